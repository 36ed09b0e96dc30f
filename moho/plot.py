"""Pictures of data: one drawing a class, saved as PNG, SVG and a JSON of what they show, the same bytes every time.

`draw` looks up the drawing (`plot_seismic`, `plot_wells`, `plot_maps`, `plot_waveforms`, `plot_em`, `plot_reports`) and gives it the data;
what a plot tool wished for is in `data.view`. Figures are matplotlib objects without pyplot, so any thread may draw.
matplotlib is imported on first use.
"""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moho.survey import (
    Blocks,
    Catalogue,
    Data,
    DCSurvey,
    Gather,
    Gravity,
    Grid,
    Horizon,
    Magnetics,
    MTSounding,
    Picks,
    Report,
    Response,
    Seismic,
    Table,
    Volume,
    Waveforms,
    Well,
)
from moho.units import show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# class -> module and function of its drawing
DRAWINGS: dict[type[Data], tuple[str, str]] = {
    Seismic: ("plot_seismic", "section"),
    Volume: ("plot_volumes", "cube"),
    Gather: ("plot_seismic", "gathers"),
    Horizon: ("plot_seismic", "horizon"),
    Well: ("plot_wells", "logs"),
    Gravity: ("plot_maps", "stations"),
    Magnetics: ("plot_maps", "stations"),
    Grid: ("plot_maps", "grid"),
    Catalogue: ("plot_maps", "epicentres"),
    Response: ("plot_maps", "network"),
    Blocks: ("plot_maps", "slices"),
    Waveforms: ("plot_waveforms", "seismograms"),
    Picks: ("plot_waveforms", "picks"),
    MTSounding: ("plot_em", "sounding"),
    DCSurvey: ("plot_em", "survey"),
}
# Report.drawing -> the same
REPORTS: dict[str, tuple[str, str]] = {
    "spectrum": ("plot_reports", "spectrum"),
    "semblance": ("plot_reports", "semblance"),
    "travel_times": ("plot_reports", "travel_times"),
    "first_arrivals": ("plot_waves", "first_arrivals"),
    "lines": ("plot_reports", "lines"),
    "points": ("plot_reports", "points"),
    "mt_model": ("plot_em", "layers"),
    "resistivity_section": ("plot_em", "section"),
    "csem": ("plot_em", "csem"),
    "geobody": ("plot_bodies", "geobody"),
    "ppsd": ("plot_seismology", "noise"),
    "beam": ("plot_seismology", "beam"),
    "events": ("plot_seismology", "events"),
    "epochs": ("plot_seismology", "epochs"),
    "euler": ("plot_potential", "euler"),
    "blind_wells": ("plot_ties", "blind_wells"),
    "horizon_at_wells": ("plot_ties", "horizon_at_wells"),
    "evidence": ("plot_ties", "evidence"),
    "radial_spectrum": ("plot_potential", "radial_spectrum"),
    "geometry": ("plot_measures", "traces"),
    "magnitude": ("plot_measures", "magnitude"),
    "detections": ("plot_measures", "detections"),
}
# what a tool left in `view` -> the same, while `facts` hold the number that this picture is of
RESULTS: dict[str, tuple[str, str, str]] = {
    "tie": ("plot_ties", "tie", "blind"),
    "wavelet": ("plot_ties", "wavelet", "peak_frequency"),
    "elastic": ("plot_ties", "elastic", "misfit"),
    "first_breaks": ("plot_waves", "first_breaks", "picks"),
    "completed": ("plot_ties", "completed", "average_velocity"),
}
LARGEST = 1_000_000  # bytes of a PNG
DPI = 150


def draw(data: Data) -> Figure | None:
    """The figure of a data set, None for kinds that have none (tables, reports without a drawing).

    What it shows beyond its axes (clip percentile and value, bands, stations left out) is in `figure.parameters`.
    """
    place = REPORTS.get(data.drawing) if isinstance(data, Report) else DRAWINGS.get(type(data))
    if isinstance(data, Well) and list(data.curves) == data.view.get("of"):  # what a tool made side by side, until another tool adds a curve
        place = ("plot_rocks", "tracks")
    elif isinstance(data, Table) and list(data.columns) == data.view.get("of"):
        place = ("plot_rocks", "crossplot")
    for key in RESULTS.keys() & data.view.keys():
        if RESULTS[key][2] in data.facts:
            place = RESULTS[key][:2]
    if place is None:
        return None
    from moho.plot_frame import styled

    module, name = place
    with styled():
        figure: Figure = getattr(importlib.import_module(f"moho.{module}"), name)(data)
    return figure


def save(figure: Figure, stem: Path, alt: str, parameters: Mapping[str, Any] | None = None) -> list[Path]:
    """The files written beside `stem`: PNG (150 dpi, at most 1 MB), SVG, and a JSON sidecar.

    The sidecar holds the alt text, each axis with its limits and label, each colour range, and `parameters`. Two saves of
    one figure give the same bytes.
    """
    from moho.plot_frame import styled

    stem = Path(stem)
    paths = [stem.with_name(stem.name + ending) for ending in (".png", ".svg", ".json")]
    with styled():
        figure.draw_without_rendering()  # maps of fixed aspect find their place in two rounds
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        paths[0].write_bytes(_png(figure))
        figure.savefig(paths[1], format="svg", metadata={"Date": None, "Creator": None, "Title": alt[:200]})
    # longer arrays are in the result itself
    short = {key: value for key, value in (parameters or {}).items() if not (isinstance(value, np.ndarray) and value.size > 1000)}
    sidecar = {"schema_version": 1, "alt": alt, **describe(figure), "parameters": {**getattr(figure, "parameters", {}), **short}}
    paths[2].write_text(json.dumps(_plain(sidecar), indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    return paths


def describe(figure: Figure) -> dict[str, Any]:
    """Axes (title, labels, limits, scale) and colour ranges of a figure, as numbers and words."""
    axes, colours = [], []
    for ax in figure.axes:
        if (label := ax.get_label()) == "<colorbar>" or not ax.axison:
            continue
        axes.append({
            "name": label, "title": ax.get_title(), "x": ax.get_xlabel(), "y": ax.get_ylabel(), "x_limits": list(ax.get_xlim()),
            "y_limits": list(ax.get_ylim()), "x_scale": ax.get_xscale(), "y_scale": ax.get_yscale(),
        })  # fmt: skip
        for shown in (*ax.images, *ax.collections):
            bar = getattr(shown, "colorbar", None)
            if bar is not None:
                words = bar.ax.get_ylabel() or bar.ax.get_xlabel()
                colours.append({"axes": label, "label": words, "range": list(shown.get_clim()), "map": shown.get_cmap().name})
    return {"axes": axes, "colours": colours}


def alt_text(data: Data) -> str:
    """One or two sentences that say what the picture of `data` shows, for those who do not see it."""
    words = {
        Seismic: "Seismic section", Volume: "Inline, crossline and horizontal slice through the middle of a volume",
        Gather: "Seismic gathers", Well: "Well logs in tracks", Gravity: "Gravity station map",
        Magnetics: "Magnetic station map", Grid: "Map", Waveforms: "Seismograms", Picks: "Phase picks by station", Catalogue: "Map of epicentres",
        Horizon: "Horizon", Blocks: "Three slices through a block model", Report: "Diagram", Response: "Map of seismic stations",
        MTSounding: "Apparent resistivity and phase of a magnetotelluric sounding", DCSurvey: "Pseudo-section of a DC resistivity line",
    }  # fmt: skip
    what = words.get(type(data), type(data).__name__)
    if isinstance(data, Report):
        spans = [(key, np.asarray(array)) for key, array in data.arrays.items()]
        spans = [(key.replace("_", " "), array) for key, array in spans if array.ndim == 1 and array.size and array.dtype.kind in "fiu"]
        shown = ", ".join(f"{key} {show(float(np.nanmin(array)))} to {show(float(np.nanmax(array)))}" for key, array in spans[:2])
        what = f"Diagram of {data.drawing.replace('_', ' ') or 'measurements'}" + (f" ({shown})" if shown else "")
    if isinstance(data, (Seismic, Volume, Grid, Gravity, Magnetics, Blocks)) and data.quantity not in ("unknown", "amplitude"):
        what += f" of {data.quantity}"
    if isinstance(data, Gravity) and data.density:
        what += f" at {show(float(data.density))} kg/m3"
    title = f" {data.title!r}" if data.title else ""
    # Facts are what a report measured; every other picture is described by the data it shows.
    listed = [(q.label or key, str(q)) for key, q in data.summary().items()]
    numbers = "; ".join(f"{label} {value[:80]}" for label, value in listed[:7])
    extra = ""
    if isinstance(data, (Seismic, Gather, Volume)):
        extra = f" Polarity {data.polarity}."
    elif isinstance(data, (Gravity, Magnetics, Grid, Blocks)):
        extra = f" Coordinates {data.crs}."
    return f"{what}{title}: {numbers}.{extra}" if numbers else f"{what}{title}.{extra}"


def _png(figure: Figure) -> bytes:
    """PNG bytes under the limit: as drawn, else in 256 colours, else with fewer pixels."""
    from PIL import Image

    for dpi in (DPI, 120, 100, 80):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
        if buffer.tell() <= LARGEST:
            break
        picture = Image.open(buffer).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        buffer = io.BytesIO()
        picture.save(buffer, "png", optimize=True, dpi=(dpi, dpi))
        if buffer.tell() <= LARGEST:
            break
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    """JSON-plain and rounded to what a picture can show, so that a last-bit difference does not change a file."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(part) for part in value]
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    number = float(value)
    return float(f"{number:.8g}") if np.isfinite(number) else None
