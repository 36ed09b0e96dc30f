"""Sections, gathers and horizons as interpreters expect them: time or depth down, numbers on top, amplitude about zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.ticker import AutoMinorLocator, FuncFormatter, MaxNLocator

from moho.plot_frame import QUIET, Picture, after, colour_bar, heading, new, title_of, with_unit
from moho.plot_ranges import SCALES, SIGNED, colours, robust, window
from moho.plot_waves import MODELS, model
from moho.survey import Array, Gather, Horizon, Seismic

WIGGLES = 120  # traces that can still be told apart across a page
TIMES: dict[str, Any] = {"color": "black", "lw": 0.4, "alpha": 0.45, "ls": (0, (1, 7))}  # dotted: a full line would pass for a thin layer
ENDS = {(True, True): "both", (True, False): "min", (False, True): "max", (False, False): "neither"}  # (low, high) left to the values


def section(data: Seismic) -> Picture:
    """A 2-D section in variable density, or wiggles on request; a velocity or density model over position and depth."""
    if data.domain == "depth" and (data.quantity in MODELS) and (data.dx or data.x is not None):
        return model(data)
    view = data.view
    first, last = window(data)
    shown, times = data.data[:, first:last], data.times[first:last]
    numbers, even = _numbers(data.numbers)
    clip = float(view.get("clip", 99.0))
    alone = len(shown) == 1 and data.quantity in SIGNED  # one trace has no width to colour
    style = "wiggle" if alone else str(view.get("style", "density"))
    figure = new(min(14.0, max(8.5, 6.5 + len(shown) / 110)), 6.6, style=style, quantity=data.quantity, polarity=data.polarity, domain=data.domain)
    ax = figure.add_subplot(label="section")
    half = 0.5 * (numbers[-1] - numbers[0]) / max(len(numbers) - 1, 1) or (1.5 if alone else 0.5)
    extent = (numbers[0] - half, numbers[-1] + half, times[-1] + 0.5 * data.dt, times[0] - 0.5 * data.dt)
    signed = data.quantity in SIGNED
    low, high = colours(data)
    largest = high
    figure.parameters |= {"x_extent": [extent[0], extent[1]], "y_extent": [float(times[0]), float(times[-1])]}
    if style == "wiggle" and signed:
        every = _wiggles(ax, shown, times, numbers, largest)
        figure.parameters |= {"clip_percent": clip, "clip_value": largest, "every_trace": every}
        said = f"{clip:g} % clip ±{largest:.4g}, wiggles of every {_ordinal(every)} trace, positive filled"
        ax.set_xlim(extent[0], extent[1])
        ax.set_ylim(extent[2], extent[3])
    elif signed:
        image = _density(ax, shown, extent, "RdBu", -largest, largest)
        colour_bar(figure, image, ax, with_unit(data.quantity, data.unit))
        figure.parameters |= {"clip_percent": clip, "clip_value": largest}
        said = f"{clip:g} % clip ±{largest:.4g}; blue positive, red negative"
    else:
        palette, floor, ceiling = SCALES.get(data.quantity, ("viridis", None, None))
        image = _density(ax, shown, extent, palette, low, high, smooth=palette != "twilight")
        colour_bar(figure, image, ax, with_unit(data.quantity, data.unit), extend=ENDS[floor is None, ceiling is None])
        figure.parameters |= {"clip_percent": clip, "colour_range": [low, high]}
        share = [f"{end:g}" for end, fixed in ((100 - clip, floor), (clip, ceiling)) if fixed is None]
        said = f"colours {low:.4g} to {high:.4g}" + (f" ({' to '.join(share)} % of the values)" if share else "")
    _time_axis(ax, data.domain)
    _number_axis(ax, data, numbers, even)
    band = f"; band {data.band[0]:g}-{data.band[1]:g} Hz" if data.band else ""
    heading(figure, title_of(data, "Section"), f"{said}; {_polarity(data.polarity, data.quantity)}{band}{after(data)}")
    return figure


def gathers(data: Gather) -> Picture:
    """Up to six gathers beside one another, traces by offset (CDP gathers) or channel (shots), offsets on top."""
    view = data.view
    first, last = window(data)
    times = data.times[first:last]
    clip = float(view.get("clip", 99.0))
    style = str(view.get("style", "density"))
    name, key = _grouping(data)
    groups = np.unique(key)
    shown = groups[np.unique(np.linspace(0, len(groups) - 1, min(len(groups), 6)).astype(int))]
    wide = max(7.0, min(14.0, 2.5 + 2.3 * len(shown)))
    figure = new(wide, 6.6, style=style, polarity=data.polarity, sorted_by=name, gathers=[int(g) for g in shown])
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    largest = colours(data)[1]
    image: Any = None
    for ax, group in zip(panels, shown, strict=True):
        ax.set_label(f"{name} {group}")
        rows = np.flatnonzero(key == group)
        offset = data.offset[rows]
        recorded = name != "CDP" and data.channel is not None
        order = rows[np.argsort(data.channel[rows] if recorded else offset, kind="stable")]  # type: ignore[index]
        traces = data.data[order, first:last]
        position = np.arange(len(order), dtype=float)
        extent = (-0.5, len(order) - 0.5, times[-1] + 0.5 * data.dt, times[0] - 0.5 * data.dt)
        if style == "wiggle":
            _wiggles(ax, traces, times, position, largest, limit=max(12, WIGGLES // len(shown)))
            ax.set_xlim(extent[0], extent[1])
            ax.set_ylim(extent[2], extent[3])
        else:
            image = _density(ax, traces, extent, "RdBu", -largest, largest)
        _offset_axis(ax, data.offset[order], f"{name} {group}", many=len(shown) > 3)
    _time_axis(panels[0], "time")
    if image is not None:
        colour_bar(figure, image, list(panels), "amplitude (unit unknown)")
    figure.parameters |= {"clip_percent": clip, "clip_value": largest, "y_extent": [float(times[0]), float(times[-1])],
                          "offset_extent": [float(data.offset.min()), float(data.offset.max())]}  # fmt: skip
    left = f"; {len(shown)} of {len(groups)} gathers" if len(shown) < len(groups) else ""
    band = f"; band {data.band[0]:g}-{data.band[1]:g} Hz" if data.band else ""
    meaning = "positive filled" if style == "wiggle" else "blue positive, red negative"
    heading(figure, title_of(data, "Gathers"), f"{clip:g} % clip ±{largest:.4g}; {meaning}; {_polarity(data.polarity)}{band}{left}{after(data)}")
    return figure


def horizon(data: Horizon) -> Picture:
    """A horizon along a line (time down), or as points over a map."""
    along = data.cdp is not None
    if not along and data.x is not None and data.y is not None:
        from moho.plot_maps import scatter_map

        unit = "s, two-way" if data.domain == "time" else "m"
        return scatter_map(data, data.x, data.y, data.time, with_unit("horizon " + data.domain, unit), False, "viridis_r", [])
    numbers = np.asarray(data.cdp if data.cdp is not None else np.arange(1, len(data.time) + 1))
    figure = new(9.5, 4.6, tracked_percent=100 * float(np.isfinite(data.time).mean()))
    ax = figure.add_subplot(label="horizon")
    behind = _behind(ax, data)
    ax.plot(numbers, data.time, color="#d9480f" if behind is not None else "#404040", lw=0.9, zorder=1)
    if data.confidence is not None:
        points = ax.scatter(numbers, data.time, c=data.confidence, s=9, cmap="viridis", vmin=0, vmax=1, zorder=2)
        colour_bar(figure, points, ax, "confidence (correlation, 0 to 1)")
    ax.set_xlim(float(numbers[0]), float(numbers[-1]))
    low, high = float(np.nanmin(data.time)), float(np.nanmax(data.time))
    room = 0.15 * (high - low) or 0.05 * abs(high) or 0.05
    ax.set_ylim(*((high + room, low - room) if behind is None else behind))
    ax.set_ylabel("two-way time (s)" if data.domain == "time" else "depth (m)")
    ax.grid(color="#dddddd", lw=0.5)
    _top(ax, "CDP" if data.cdp is not None else "point")
    gaps = 100 * float(np.isnan(data.time).mean())
    heading(figure, title_of(data, "Horizon"), f"{low:.4g} to {high:.4g} {'s' if data.domain == 'time' else 'm'}; {100 - gaps:.4g} % tracked"
            + ("" if behind is None else "; behind it the section, grey, peaks dark"))
    return figure


def _behind(ax: Axes, data: Horizon) -> tuple[float, float] | None:
    """The section a horizon was tracked on, grey; its limits in time, down, or None where none was kept."""
    kept: Mapping[str, Any] | None = data.view.get("section")
    if kept is None or data.domain != "time" or data.cdp is None:
        return None
    numbers, times, values = (np.asarray(kept[name]) for name in ("cdp", "time", "data"))
    steps = np.diff(numbers)
    if len(numbers) < 2 or len(times) < 2 or not ((steps > 0).all() or (steps < 0).all()):
        return None
    largest = robust(np.abs(values), 0, 98)[1]
    ax.pcolormesh(numbers, times, values.T, cmap="Greys", vmin=-largest, vmax=largest, shading="nearest", rasterized=True, zorder=0)
    return float(times[-1]), float(times[0])


def _polarity(polarity: str, quantity: str = "amplitude") -> str:
    if quantity not in SIGNED and quantity != "instantaneous phase":
        return f"input polarity {polarity}"
    meaning = {"SEG normal": " (impedance increase positive)", "SEG reverse": " (impedance increase negative)"}.get(polarity, "")
    return f"polarity {polarity}{meaning}"


def _numbers(numbers: Array) -> tuple[Array, bool]:
    """Positions to draw at: the numbers themselves where they step evenly, else 0, 1, 2 ..."""
    steps = np.diff(np.asarray(numbers, dtype=float))
    even = bool(len(steps) == 0 or (steps[0] != 0 and np.all(steps == steps[0])))
    return (np.asarray(numbers, dtype=float) if even else np.arange(len(numbers), dtype=float)), even


def _density(ax: Axes, data: Array, extent: tuple[float, float, float, float], palette: str, low: float, high: float, smooth: bool = True) -> Any:
    """Variable density; NaN is grey. Angles are not smoothed: half way from 179 to -179 degrees is not 0."""
    import matplotlib

    shades = matplotlib.colormaps[palette].with_extremes(bad="#bdbdbd")
    between = "nearest" if not smooth else "bilinear" if data.shape[0] < 900 and data.shape[1] < 1200 else "hanning"
    return ax.imshow(
        np.ma.masked_invalid(data.T), extent=extent, aspect="auto", cmap=shades, vmin=low, vmax=high, interpolation=between,
        interpolation_stage="data",
    )  # fmt: skip


def _wiggles(ax: Axes, data: Array, times: Array, positions: Array, largest: float, limit: int = WIGGLES) -> int:
    """Wiggles with positive lobes filled; every how many traces one is drawn."""
    every = int(np.ceil(len(data) / limit))
    step = (positions[-1] - positions[0]) / max(len(positions) - 1, 1) or 1.0
    reach = 1.3 * step * every
    lines, fills = [], []
    for position, trace in zip(positions[::every], data[::every], strict=True):
        swing = position + reach * np.clip(np.nan_to_num(trace) / largest, -1, 1)
        lines.append(np.column_stack([swing, times]))
        right = np.maximum(swing * np.sign(reach), position * np.sign(reach)) * np.sign(reach)
        fills.append(np.column_stack([np.r_[position, right, position], np.r_[times[0], times, times[-1]]]))
    ax.add_collection(PolyCollection(fills, facecolors="#1f1f1f", edgecolors="none", rasterized=True))
    ax.add_collection(LineCollection(lines, colors="#1f1f1f", linewidths=0.45, rasterized=True))
    return every


def _time_axis(ax: Axes, domain: str) -> None:
    ax.set_ylabel("two-way time (s)" if domain == "time" else "depth (m)")
    ax.yaxis.set_major_locator(MaxNLocator(12, steps=[1, 2, 5, 10]))
    ax.yaxis.set_minor_locator(AutoMinorLocator())
    ax.grid(axis="y", **TIMES)


def _top(ax: Axes, label: str) -> None:
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.set_xlabel(label)


def _number_axis(ax: Axes, data: Seismic, numbers: Array, even: bool) -> None:
    """CDP numbers on top, distance below where the geometry is known."""
    _top(ax, str(data.view.get("numbers", "CDP")) if data.cdp is not None else "trace")
    ax.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    if not even:
        real = data.numbers
        ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{real[int(v)]}" if 0 <= int(v) < len(real) and v == int(v) else ""))
    if data.dx and len(numbers) > 1:
        step = (numbers[-1] - numbers[0]) / (len(numbers) - 1)
        scale = data.dx / 1000 / step
        below = ax.secondary_xaxis("bottom", functions=(lambda v: (v - numbers[0]) * scale, lambda v: v / scale + numbers[0]))
        below.set_xlabel("distance along the line (km)", color=QUIET)
        below.tick_params(colors=QUIET)


def _offset_axis(ax: Axes, offset: Array, title: str, many: bool) -> None:
    """Offsets on top of a panel of traces, the gather's name at its foot."""
    _top(ax, "offset (m)")
    wanted = np.unique(np.linspace(0, len(offset) - 1, 3 if many else 6).round().astype(int))
    ax.set_xticks(wanted, [f"{offset[i]:.0f}" for i in wanted])
    ax.text(0.5, -0.012, title, transform=ax.transAxes, ha="center", va="top", fontsize=9)
    if len(wanted) > 1 and many:
        ax.get_xticklabels()[0].set_horizontalalignment("left")
        ax.get_xticklabels()[-1].set_horizontalalignment("right")
    ax.grid(axis="y", **TIMES)


def _grouping(data: Gather) -> tuple[str, Array]:
    """What the traces are gathered by: the number that changes less often."""
    found = [(name, numbers) for name, numbers in (("shot", data.shot), ("CDP", data.cdp)) if numbers is not None]
    if not found:
        return "gather", np.ones(len(data.data), int)
    return min(found, key=lambda pair: (len(np.unique(pair[1])), pair[0] != "CDP"))


def _ordinal(n: int) -> str:
    return {1: "single", 2: "2nd", 3: "3rd"}.get(n, f"{n}th")
