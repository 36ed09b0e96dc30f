"""Plot tools: they leave the data as they are and say how to draw them; `moho.plot.draw` makes the figure.

Each returns the same data with `view` set, and as facts what the picture will span: extents, clip, colour range.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np

from moho.agent.registry import tool
from moho.errors import Refusal
from moho.plot_ranges import SIGNED, colours, map_colours, window
from moho.survey import Catalogue, Data, Gather, Gravity, Grid, Horizon, Magnetics, Picks, Response, Seismic, Stations, Waveforms, Well
from moho.units import Depth, Percent, Quantity, TimeShift


@tool(
    discipline="seismic",
    stage="plot",
    say=(
        "plot {line}",
        "Show me {line}",
        "display {line} between {top} and {base}",
        "Draw {line} as wiggles please",
        "can i see the section {line}, clip {clip}",
        "variable density display of {line}, {clip} clip",
        "Picture of {line} from {top} down to {base} in {style}",
        "Make one figure of the gather {line} for the report",
        "zoom {line} {top}-{base}",
        "wiggle plot of {line}",
        "let me look at {line}, and flip to {style}",
    ),
    reference="Hunter 2007, Matplotlib: a 2D graphics environment, Computing in Science and Engineering 9, 90-95",
    truth="the picture's clip value is the one in the facts (1e-6), its window and numbers those stated",
)
def plot_section(
    line: Seismic | Gather,
    clip: Annotated[Percent, "clip percentile, 50 to 100"] = 99,
    style: Literal["density", "wiggle"] = "density",
    top: Annotated[TimeShift, "top of the window"] | None = None,
    base: Annotated[TimeShift, "base of the window"] | None = None,
) -> Seismic | Gather:
    """The section or gathers with a picture: time or depth down, numbers or offsets on top, amplitudes about zero.

    Colours end at the `clip` percentile of |amplitude| in the window; blue is positive, red negative. `top` and `base` are
    in s, in m for a depth section. Attributes without sign are drawn in one direction of colour, between the percentiles
    100 - clip and clip, and never as wiggles.
    """
    if not 50 <= clip <= 100:
        raise ValueError(f"clip must be from 50 to 100 %, got {clip:g} %")
    unit = "m" if isinstance(line, Seismic) and line.domain == "depth" else "s"
    times = line.times
    top, base = _inside("window", top, base, float(times[0]), float(times[-1]), unit, line.dt)
    signed = isinstance(line, Gather) or line.quantity in SIGNED
    notes: tuple[str, ...] = ()
    if style == "wiggle" and not signed:
        style, notes = "density", (f"{getattr(line, 'quantity', '')} has no sign, so it is drawn in colour, not as wiggles",)
    if signed and isinstance(line, Seismic) and len(line.data) == 1:
        style = "wiggle"  # one trace has no width to colour
    if not np.isfinite(line.data).any():
        raise Refusal("E_DATA", f"{line.title or 'the section'} holds no finite sample, there is nothing to draw.")
    if len(times) < 2:
        raise Refusal("E_DATA", f"{line.title or 'the section'} holds one sample a trace, at {times[0]:g} {unit}: there is no axis to draw it over.")
    shown = line.made(view={**line.view, "clip": float(clip), "style": style, "top": top, "base": base})
    first, last = window(shown)
    low, high = colours(shown)
    facts = {
        "clip": Quantity(float(clip), "%", "clip percentile"),
        "window": Quantity([_round(times[first]), _round(times[last - 1])], unit, "window drawn"),
        "traces": Quantity(int(line.data.shape[0]), "", "traces"),
    }
    if signed:
        facts["clip_value"] = Quantity(_round(high), "", "amplitude at the clip")
        notes += (f"polarity {line.polarity}; blue positive, red negative" if style == "density" else f"polarity {line.polarity}; positive filled",)
    else:
        facts["colour_range"] = Quantity([_round(low), _round(high)], line.unit if isinstance(line, Seismic) else "", "colour range")
    if isinstance(line, Seismic):
        if line.cdp is not None:
            facts["cdp"] = Quantity([int(line.cdp[0]), int(line.cdp[-1])], "", "CDP range")
    else:
        facts["offset"] = Quantity([_round(line.offset.min()), _round(line.offset.max())], "m", "offset range")
    return shown.made(facts=facts, notes=notes)


@tool(
    discipline="any",
    stage="plot",
    say=(
        "map {grid}",
        "Plot a map of {grid}",
        "show me {grid} on a map with contours",
        "draw the stations of {grid}",
        "Where are the stations in {grid}?",
        "let me see {grid} as map please",
        "colour map of {grid}",
        "contour map {grid}",
        "Map view of the grid {grid} for my report",
        "plot epicentres of {grid}",
    ),
    reference="Hunter 2007, Matplotlib: a 2D graphics environment, Computing in Science and Engineering 9, 90-95",
    truth="extents are those of the coordinates to 1e-5 degrees; a grid of 7 x 5 nodes spans 600 m east and 800 m north",
)
def plot_map(grid: Grid | Gravity | Magnetics | Catalogue | Horizon | Response) -> Data:
    """The data with a map: equal aspect, CRS, unit, density, contours and stations; colours about zero for residuals.

    Needs coordinates: a horizon along a line without x and y is refused. Colours span 0.5 to 99.5 % of the values.
    """
    x, y, values, unit = _points(grid)
    count = len(x)
    if not isinstance(grid, Grid):  # the axes of a grid are of their own lengths, those of points belong together
        known = np.isfinite(x) & np.isfinite(y)
        x, y = x[known], y[known]
    if not len(x) or (len(x) > 1 and np.ptp(x) == 0 and np.ptp(y) == 0):
        raise Refusal("E_GEOMETRY", f"{grid.title or 'the data'} have no coordinates that differ, a map cannot be drawn.")
    degrees = isinstance(grid, (Catalogue, Response)) or (isinstance(grid, (Grid, Stations)) and grid.geographic)
    length = "deg" if degrees else "m"
    facts = {
        "x": Quantity([_round(x.min()), _round(x.max())], length, "longitude range" if degrees else "easting range"),
        "y": Quantity([_round(y.min()), _round(y.max())], length, "latitude range" if degrees else "northing range"),
    }
    if values is not None:
        if not np.isfinite(values).any():
            raise Refusal("E_DATA", f"{grid.title or 'the map'} holds no finite value, there is nothing to draw.")
        low, high = map_colours(values, str(getattr(grid, "quantity", "")))
        facts["colour_range"] = Quantity([_round(low), _round(high)], unit, "colour range")
    if not isinstance(grid, Grid):
        facts["points"] = Quantity(count, "", "points")
    crs = str(getattr(grid, "crs", "EPSG:4326" if degrees else "unknown"))
    return grid.made(facts=facts, notes=(f"CRS {crs}",), view={**grid.view, "map": True})


@tool(
    discipline="well",
    stage="plot",
    say=(
        "plot logs of {well}",
        "Show the logs of {well} from {top} to {base}",
        "log display {well}",
        "Draw well {well} in tracks, GR, resistivity and density-neutron",
        "can you show me {well} between {top} and {base}?",
        "composite plot for {well}",
        "triple combo of {well} pls",
        "Let me see the curves in {well}",
        "layout of {well}, {top} - {base}",
        "print the logs from well {well}",
    ),
    reference="Hunter 2007, Matplotlib: a 2D graphics environment, Computing in Science and Engineering 9, 90-95",
    truth="the depth axis spans the window asked for within 0.2 m",
)
def plot_logs(well: Well, top: Annotated[Depth, "top depth"] | None = None, base: Annotated[Depth, "base depth"] | None = None) -> Well:
    """The well with its curves in tracks over one depth axis: GR, resistivity (log), density-neutron, sonic, computed; tops across.

    Scales stand in the headers in the recorded units. Neutron is reversed; yellow where density lies left of neutron.
    `top` and `base` are in the well's own depth reference.
    """
    step = float(np.median(np.diff(well.depth))) if len(well.depth) > 1 else 1.0
    top, base = _inside("depth window", top, base, float(well.depth[0]), float(well.depth[-1]), "m", step)
    first = float(well.depth[0]) if top is None else top
    last = float(well.depth[-1]) if base is None else base
    rows = (well.depth >= first - 1e-6) & (well.depth <= last + 1e-6)
    held = [name for name, curve in well.curves.items() if np.isfinite(curve.values[rows]).any()]
    if not held:
        raise Refusal("E_DATA", f"no curve of {well.title or 'the well'} has a value between {first:g} and {last:g} m.")
    facts = {
        "depth": Quantity([_round(first), _round(last)], "m", f"depth drawn ({well.measured})"),
        "curves": Quantity(held, "", "curves with values"),
    }
    empty = [name for name in well.curves if name not in held]
    notes = (f"depths are {well.reference}",) + ((f"without values here: {', '.join(empty)}",) if empty else ())
    view: dict[str, Any] = {**well.view, "top": first, "base": last}
    return well.made(facts=facts, notes=notes, view=view)


@tool(
    discipline="seismology",
    stage="plot",
    say=(
        "plot {waveforms}",
        "Show me the seismograms {waveforms}",
        "draw {waveforms} with the picks {picks}",
        "record section of {waveforms} please",
        "Plot waveforms with P and S from {picks}",
        "let me see {waveforms} from {start} to {end}",
        "spectrogram of {waveforms}",
        "display the traces of {waveforms}, picks {picks} on top",
        "zoom into {waveforms} {start} - {end}",
        "look at the three components in {waveforms}",
    ),
    reference="Hunter 2007, Matplotlib: a 2D graphics environment, Computing in Science and Engineering 9, 90-95",
    truth="picks stand at the true onsets to 10 ms, the axis spans the window asked for",
)
def plot_waveforms(
    waveforms: list[Waveforms],
    picks: Picks | None = None,
    start: Annotated[TimeShift, "start, s after the first sample"] | None = None,
    end: Annotated[TimeShift, "end, s after the first sample"] | None = None,
) -> Waveforms:
    """The seismograms with a picture: one row a channel over UTC, picks with uncertainty, spectrograms for up to three channels.

    More than twelve channels are drawn as their vertical components. Several data sets are drawn together when they hold
    the same quantity.
    """
    many: list[Waveforms] = [waveforms] if isinstance(waveforms, Waveforms) else list(waveforms)
    if not many:
        raise ValueError("need at least one set of seismograms, got none")
    kinds = sorted({(one.quantity, one.unit) for one in many})
    if len(kinds) > 1:
        held = ", ".join(f"{quantity} in {unit}" for quantity, unit in kinds)
        message = f"these seismograms hold different quantities ({held}); one picture shows one."
        raise Refusal("E_UNITS", message, "Remove the response from all or none.")
    whole = many[0] if len(many) == 1 else _together(many)
    if not any(np.isfinite(np.ma.filled(np.ma.asarray(trace.data, dtype=float), np.nan)).any() for trace in whole.stream):
        raise Refusal("E_DATA", f"{whole.title or 'the record'} holds no finite sample on its {len(whole.stream)} traces, there is nothing to draw.")
    first, last = min(t.stats.starttime for t in whole.stream), max(t.stats.endtime for t in whole.stream)
    length = float(last - first)
    begin, finish = _inside("time window", start, end, 0.0, length, "s after the first sample", min(float(t.stats.delta) for t in whole.stream))
    view: dict[str, Any] = {**whole.view, "start": str(first + (begin or 0.0)), "end": str(first + (length if finish is None else finish))}
    facts = {
        "start": Quantity(view["start"], "UTC", "start of the picture"),
        "end": Quantity(view["end"], "UTC", "end of the picture"),
        "channels": Quantity(len({trace.id for trace in whole.stream}), "", "channels"),
    }
    notes: tuple[str, ...] = ()
    if picks is not None:
        rows, known = _pick_rows(picks), {(t.stats.network, t.stats.station) for t in whole.stream}
        stations = {name for network, name in known} | {f"{network}.{name}" for network, name in known}
        fitting = [row for row in rows if ".".join(str(row["station"]).split(".")[:2]) in stations]
        if not fitting:
            there = ", ".join(sorted(set(picks.station.tolist())))
            raise Refusal("E_DATA", f"the picks are at {there}; the seismograms at {', '.join(sorted(stations))}.")
        view["picks"] = fitting
        facts["picks"] = Quantity(len(fitting), "", "picks drawn")
        if len(fitting) < len(rows):
            notes += (f"{len(rows) - len(fitting)} picks belong to other stations",)
    return whole.made(facts=facts, notes=notes, view=view)


def _inside(what: str, top: float | None, base: float | None, low: float, high: float, unit: str, step: float) -> tuple[float | None, float | None]:
    """Both ends of a window, held to the data; Refusal when it lies outside them, ValueError when it is upside down."""
    if top is not None and base is not None and not top < base:
        raise ValueError(f"{what}: need top < base, got {top:g} and {base:g} {unit}")
    outside = (top is not None and not low - step <= top <= high - step) or (base is not None and not low + step <= base <= high + step)
    if outside:
        wanted = f"{'start' if top is None else f'{top:g}'} to {'end' if base is None else f'{base:g}'}"
        raise Refusal("E_DATA", f"{what} {wanted} {unit} is not inside the data, which run from {low:g} to {high:g} {unit}.")
    return None if top is None else float(max(top, low)), None if base is None else float(min(base, high))


def _points(data: Data) -> tuple[Any, Any, Any, str]:
    """x, y (m or deg), values to colour by (None for positions alone) and their unit."""
    if isinstance(data, Grid):
        return data.x, data.y, data.values, data.unit
    if isinstance(data, Stations):
        x, y = data.coordinates()
        return x, y, getattr(data, "value", None), "nT" if isinstance(data, Magnetics) else "mGal"
    if isinstance(data, Catalogue):
        return data.longitude, data.latitude, data.depth if np.isfinite(data.depth).any() else None, "km"
    if isinstance(data, Response):
        places = [(float(station.longitude), float(station.latitude)) for network in data.inventory for station in network]
        return np.array([p[0] for p in places]), np.array([p[1] for p in places]), None, ""
    if isinstance(data, Horizon) and data.x is not None and data.y is not None:
        return data.x, data.y, data.time, "s" if data.domain == "time" else "m"
    raise Refusal("E_GEOMETRY", f"{data.title or 'this data set'} has no coordinates, a map cannot be drawn.", "Coordinates x and y are needed.")


def _together(many: list[Waveforms]) -> Waveforms:
    """One set with the traces of all, under the first one's name; the band only where all share it."""
    stream = many[0].stream.copy()
    for more in many[1:]:
        stream += more.stream
    bands = {one.band for one in many}
    title = ", ".join(one.title for one in many[:4] if one.title) + (f" and {len(many) - 4} more" if len(many) > 4 else "")
    return many[0].made(stream=stream, title=title, band=bands.pop() if len(bands) == 1 else None)


def _pick_rows(picks: Picks) -> list[dict[str, Any]]:
    """Picks as JSON-plain rows with UTC times."""
    from datetime import UTC, datetime, timedelta

    origin = datetime.fromisoformat(picks.origin.replace("Z", "+00:00"))
    origin = origin if origin.tzinfo else origin.replace(tzinfo=UTC)
    rows = []
    for station, phase, time, error in zip(picks.station, picks.phase, picks.time, picks.uncertainty, strict=True):
        moment = (origin + timedelta(seconds=float(time))).isoformat(timespec="microseconds")
        rows.append({"station": str(station), "phase": str(phase), "time": moment.replace("+00:00", "Z"), "uncertainty": float(error)})
    return rows


def _round(value: Any) -> float:
    return float(f"{float(value):.7g}")
