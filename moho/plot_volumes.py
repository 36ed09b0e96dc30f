"""A volume on disk in three slices read from it: an inline, a crossline, and a time or depth slice, each through the middle."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from moho.errors import DataError
from moho.plot_frame import INK, Picture, after, colour_bar, heading, new, title_of, with_unit
from moho.plot_ranges import SCALES, SIGNED, robust
from moho.plot_seismic import ENDS, _density, _polarity, _time_axis, _top
from moho.segy_volume import read_crossline, read_inline, read_slice
from moho.survey import Array, Seismic, Volume

SHARES = (1 / 2, 1 / 3, 2 / 3, 1 / 4, 3 / 4)  # of the way through the volume: the middle, else where a line has traces
LINE: dict[str, Any] = {"color": INK, "lw": 0.6, "ls": (0, (4, 3)), "alpha": 0.8}  # where another slice cuts


def cube(data: Volume) -> Picture:
    """Inline and crossline with time or depth down, and the slice in map view with bins in their proportion; one colour scale."""
    inline, along = _line(data, "inline")
    crossline, across = _line(data, "crossline")
    middle = data.t0 + data.dt * (data.samples // 2)
    lines, places, flat, at = read_slice(data, middle)
    unit = "s" if data.domain == "time" else "m"
    values = np.concatenate([part[np.isfinite(part)] for part in (along, across, flat)])
    palette, low, high, said = _colours(data, values)
    extend = "neither" if data.quantity in SIGNED else ENDS[tuple(end is None for end in SCALES.get(data.quantity, ("", None, None))[1:])]  # type: ignore[index]
    figure = new(13.0, 8.2, quantity=data.quantity, polarity=data.polarity, domain=data.domain, inline=inline, crossline=crossline, slice=at)
    axes = figure.subplot_mosaic([["inline", "slice"], ["crossline", "slice"]], width_ratios=[1.25, 1])
    smooth = palette != "twilight"
    image: Any = None
    for name, section, span, number, cut in (
        ("inline", along, data.crossline, inline, crossline), ("crossline", across, data.inline, crossline, inline)
    ):  # fmt: skip
        ax = axes[name]
        ax.set_label(name)
        times = data.times
        extent = (*_edges(span), times[-1] + 0.5 * data.dt, times[0] - 0.5 * data.dt)
        image = _density(ax, section, extent, palette, low, high, smooth)
        _time_axis(ax, data.domain)
        _top(ax, f"{'crossline' if name == 'inline' else 'inline'} number, along {name} {number}")
        ax.xaxis.set_major_locator(MaxNLocator(9, integer=True))
        ax.axvline(cut, **LINE)
        ax.axhline(at, **LINE)
    _map(axes["slice"], data, lines, places, flat, (palette, low, high))
    axes["slice"].axhline(inline, **LINE)
    axes["slice"].axvline(crossline, **LINE)
    axes["slice"].set_title(f"{'two-way time' if data.domain == 'time' else 'depth'} {at:.4g} {unit}", fontsize=9)
    colour_bar(figure, image, list(axes.values()), with_unit(data.quantity, data.unit), extend=extend)
    figure.parameters |= {"colour_range": [low, high], "slice_shape": list(flat.shape)}
    thin = [-(-count // have) for count, have in zip(data.shape[:2], flat.shape, strict=True)]
    shown = f"; the slice shows every {thin[0]}. inline and {thin[1]}. crossline" if max(thin) > 1 else ""
    words = f"inline {inline}, crossline {crossline}, slice at {at:.4g} {unit}, dashed where they meet; {said}"
    words += f"; {_polarity(data.polarity, data.quantity)}"
    band = f"; band {data.band[0]:g}-{data.band[1]:g} Hz" if data.band else ""
    heading(figure, title_of(data, "Volume"), f"{words}{band}{shown}{after(data)}")
    return figure


def _line(data: Volume, which: str) -> tuple[int, Array]:
    """(its number, (place, sample) with NaN where there is no trace) of the line nearest the middle that has traces."""
    first, last, step = data.inline if which == "inline" else data.crossline
    read = read_inline if which == "inline" else read_crossline
    fault: DataError | None = None
    for share in SHARES:
        number = first + step * int((last - first) // step * share)
        try:
            return number, _filled(read(data, number), data.crossline if which == "inline" else data.inline)
        except DataError as error:
            fault = error
    assert fault is not None
    raise fault


def _filled(section: Seismic, span: tuple[int, int, int]) -> Array:
    first, last, step = span
    out = np.full(((last - first) // step + 1, section.data.shape[1]), np.nan, np.float32)
    out[(np.asarray(section.numbers) - first) // step] = section.data
    return out


def _edges(span: tuple[int, int, int]) -> tuple[float, float]:
    first, last, step = span
    return first - 0.5 * step, last + 0.5 * step


def _colours(data: Volume, values: Array) -> tuple[str, float, float, str]:
    """(colour map, limits, what to say of them): those of a section of the same quantity."""
    clip = float(data.view.get("clip", 99.0))
    if data.quantity in SIGNED:
        largest = robust(np.abs(values), 0, clip)[1]
        return "RdBu", -largest, largest, f"{clip:g} % clip ±{largest:.4g}; blue positive, red negative"
    palette, floor, ceiling = SCALES.get(data.quantity, ("viridis", None, None))
    bottom, top = robust(values, 100 - clip, clip)
    low, high = bottom if floor is None else floor, top if ceiling is None else ceiling
    high = high if high > low else low + (abs(low) or 1.0) * 1e-6
    return palette, low, high, f"colours {low:.4g} to {high:.4g}"


def _map(ax: Axes, data: Volume, lines: Array, places: Array, flat: Array, colours: tuple[str, float, float]) -> None:
    """The slice, inlines up and crosslines to the right, in the proportions of the bins where they are known."""
    ax.set_label("slice")
    steps = [float(axis[1] - axis[0]) if len(axis) > 1 else 1.0 for axis in (lines, places)]
    extent = (places[0] - 0.5 * steps[1], places[-1] + 0.5 * steps[1], lines[0] - 0.5 * steps[0], lines[-1] + 0.5 * steps[0])
    image = _density(ax, flat.T[:, ::-1], extent, *colours, smooth=False)  # rows are drawn from the top
    image.set_extent(extent)
    if data.bin_size is not None:
        ax.set_aspect((data.bin_size[0] / data.inline[2]) / (data.bin_size[1] / data.crossline[2]))
    ax.set_xlabel("crossline number")
    ax.set_ylabel("inline number")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(8, integer=True))
