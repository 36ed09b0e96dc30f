"""Diagrams of seismology: noise spectra against the noise models, beam power over slowness, catalogues in space and time, station epochs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.ticker import FuncFormatter

from moho.plot_frame import INK, P_COLOUR, QUIET, S_COLOUR, Picture, colour_bar, heading, new, title_of
from moho.plot_ranges import robust
from moho.survey import Report


def noise(report: Report) -> Picture:
    """Distribution of the levels over period with percentiles and noise models, and the levels over time.

    Arrays: period, seconds, level (window, period), p10, median, p90; low_noise, high_noise.
    """
    arrays = report.arrays
    period, level = np.asarray(arrays["period"], float), np.asarray(arrays["level"], float)
    unit = report.labels.get("unit", "")
    figure = new(9.5, 8.2, windows=len(level))
    top, below = figure.subplots(2, 1, height_ratios=[1.25, 1])
    top.set_label("distribution")
    low, high = np.floor(level.min() / 5) * 5, np.ceil(level.max() / 5) * 5
    step = 1.0 if high - low < 150 else 2.0
    edges = np.arange(low, high + step, step)
    share = np.array([np.histogram(column, edges)[0] for column in level.T]).T * 100.0 / len(level)
    borders = np.concatenate(([period[0] * 2**-0.0625], np.sqrt(period[1:] * period[:-1]), [period[-1] * 2**0.0625]))
    filled = np.ma.masked_where(share == 0, share)
    cells = top.pcolormesh(borders, edges, filled, cmap="Blues", vmin=0, vmax=max(float(np.percentile(share[share > 0], 98)), 1.0), rasterized=True)
    colour_bar(figure, cells, top, "share of the windows (%)", extend="max")
    top.plot(period, arrays["median"], color=INK, lw=1.6, label="median")
    top.plot(period, arrays["p10"], color=INK, lw=0.8, ls=":", label="10th and 90th percentile")
    top.plot(period, arrays["p90"], color=INK, lw=0.8, ls=":")
    if "low_noise" in arrays:
        top.plot(period, arrays["low_noise"], color=S_COLOUR, lw=1.2, ls="--", label="new low and high noise models")
        top.plot(period, arrays["high_noise"], color=S_COLOUR, lw=1.2, ls="--")
    top.set_xscale("log")
    top.set_xlim(borders[0], borders[-1])
    top.set_xlabel("period (s)")
    top.set_ylabel(f"power (dB rel. 1 {unit})")
    top.grid(color="#dddddd", lw=0.5, which="both")
    top.legend(loc="best", framealpha=0.9)
    below.set_label("over time")
    seconds = np.asarray(arrays["seconds"], float)
    scale, word = (3600.0, "h") if seconds[-1] > 2 * 3600 else (60.0, "min") if seconds[-1] > 600 else (1.0, "s")
    least, most = robust(level, 1, 99)
    if len(seconds) > 1:
        spacing = float(np.min(np.diff(seconds)))
        grid = np.full((round((seconds[-1] - seconds[0]) / spacing) + 1, len(period)), np.nan)
        grid[np.round((seconds - seconds[0]) / spacing).astype(int)] = level  # gaps stay empty
        across = (seconds[0] + spacing * (np.arange(len(grid) + 1) - 0.5)) / scale
    else:
        grid, across = level, np.array([0.0, 2 * seconds[0]]) / scale
    image = below.pcolormesh(across, borders, np.ma.masked_invalid(grid.T), cmap="viridis", vmin=least, vmax=most, rasterized=True)
    colour_bar(figure, image, below, f"dB rel. 1 {unit}", extend="both")
    below.set_yscale("log")
    below.set_ylabel("period (s)")
    below.set_xlabel(f"time after {report.labels.get('start', 'the start')[:19].replace('T', ' ')} ({word})")
    for axis in (top.xaxis, below.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    figure.parameters |= {"colour_range": [least, most], "unit": unit}
    heading(figure, title_of(report, "Noise spectra"), report.notes[-1] if report.notes else "")
    return figure


def beam(report: Report) -> Picture:
    """Beam power over slowness with the best wave marked, and the array response. Arrays: slowness_east, power, best, response_axis, response."""
    arrays = report.arrays
    axis, power, best = (np.asarray(arrays[name], float) for name in ("slowness_east", "power", "best"))
    figure = new(11.0, 5.2)
    left, right = figure.subplots(1, 2)
    left.set_label("beam power")
    # the map is over the direction the wave comes from: minus the slowness of propagation
    image = left.pcolormesh(-axis, -axis, power, cmap="viridis", vmin=0, vmax=max(float(power.max()), 0.01), shading="nearest", rasterized=True)
    colour_bar(figure, image, left, "relative power")
    limit = float(np.abs(axis).max())
    for radius in _rings(limit):
        left.add_patch(_circle(radius))
        left.annotate(f"{radius:g}", (0, radius), color="white", fontsize=7, ha="center", va="bottom")
    for azimuth in range(0, 360, 45):
        x, y = np.sin(np.radians(azimuth)) * limit, np.cos(np.radians(azimuth)) * limit
        left.plot([0, x], [0, y], color="white", lw=0.3, alpha=0.6)
    left.plot(-best[0], -best[1], marker="+", ms=16, mew=2.2, color="white")
    left.plot(-best[0], -best[1], marker="+", ms=14, mew=1.2, color=S_COLOUR)
    left.set_xlabel("slowness to the source, east (s/km)")
    left.set_ylabel("slowness to the source, north (s/km)")
    left.set_title("beam power; the mark points to where the wave comes from", loc="left", fontsize=8.5, color=QUIET)
    right.set_label("array response")
    wide, response = np.asarray(arrays["response_axis"], float), np.asarray(arrays["response"], float)
    shown = right.pcolormesh(wide, wide, response, cmap="magma", vmin=0, vmax=1, shading="nearest", rasterized=True)
    if (response >= 0.5).any() and (response < 0.5).any():
        right.contour(wide, wide, response, [0.5], colors="white", linewidths=0.7)
    colour_bar(figure, shown, right, "response")
    right.set_xlabel("difference of slowness, east (s/km)")
    right.set_ylabel("difference of slowness, north (s/km)")
    right.set_title("array response in this band; line at half power", loc="left", fontsize=8.5, color=QUIET)
    for ax in (left, right):
        ax.set_aspect("equal")
    facts = {key: fact.value for key, fact in report.facts.items()}
    under = f"back azimuth {facts.get('back_azimuth', 0):.1f}°"
    if "back_azimuth_error" in facts:
        under += f" ± {facts['back_azimuth_error']:.1f}°"
    under += f", slowness {facts.get('slowness', 0):.4f} s/km, relative power {facts.get('power', 0):.2f}, "
    band = facts.get("band", ["", ""])
    under += f"{band[0]:g} to {band[1]:g} Hz" if isinstance(band[0], float) else ""
    figure.parameters |= {"colour_range": [0.0, float(power.max())], "best_slowness": best.tolist()}
    heading(figure, title_of(report, "Beam"), under)
    return figure


def _rings(limit: float) -> list[float]:
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0) if limit / s <= 4)
    return [round(step * i, 6) for i in range(1, int(limit / step) + 1)]


def _circle(radius: float) -> Any:
    from matplotlib.patches import Circle

    return Circle((0, 0), radius, fill=False, ec="white", lw=0.5, alpha=0.7)


def events(report: Report) -> Picture:
    """Epicentres by depth, and magnitudes over time by type. Arrays: time, latitude, longitude, depth, magnitude, magnitude_type."""
    arrays = report.arrays
    x, y, depth = (np.asarray(arrays[name], float) for name in ("longitude", "latitude", "depth"))
    magnitude = np.asarray(arrays["magnitude"], float)
    figure = new(11.0, 4.8)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.1])
    left.set_label("epicentres")
    size = np.where(np.isfinite(magnitude), 10 + 5 * np.clip(magnitude, 0, 9) ** 1.8, 14)
    order = np.argsort(-size, kind="stable")
    if np.isfinite(depth).any():
        colour: Any = np.nan_to_num(depth, nan=float(np.nanmin(depth)))[order]
        shown = left.scatter(x[order], y[order], s=size[order], c=colour, cmap="viridis_r", edgecolors="black", linewidths=0.4)
        if np.ptp(colour) == 0:
            shown.set_clim(float(colour[0]) - 0.5, float(colour[0]) + 0.5)
        colour_bar(figure, shown, left, "depth (km)")
    else:
        left.scatter(x[order], y[order], s=size[order], color=P_COLOUR, edgecolors="black", linewidths=0.4)
    left.set_xlabel("longitude (deg)")
    left.set_ylabel("latitude (deg)")
    left.grid(color="#dddddd", lw=0.5)
    left.margins(0.15)
    if np.isfinite(y).any():
        left.set_aspect(1 / max(np.cos(np.radians(float(np.nanmean(y)))), 0.1), adjustable="datalim")
    right.set_label("magnitudes")
    times = np.array([date2num(_moment(str(t))) if str(t) else np.nan for t in arrays["time"]])
    kinds = np.asarray(arrays["magnitude_type"]).astype(str)
    for number, kind in enumerate(sorted(set(kinds.tolist()))):
        which = kinds == kind
        colour = (P_COLOUR, S_COLOUR, "#1b7837", "#7a5195", INK)[number % 5]
        if np.isfinite(magnitude[which]).any():
            right.plot(times[which], magnitude[which], ls="none", marker="o", ms=5, color=colour, label=kind or "unknown")
    if right.lines:
        right.legend(title="type", framealpha=0.9)
    locator = AutoDateLocator()
    right.xaxis.set_major_locator(locator)
    right.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    right.set_xlabel("time (UTC)")
    right.set_ylabel("magnitude")
    right.grid(color="#dddddd", lw=0.5)
    right.margins(0.08)
    heading(figure, title_of(report, "Catalogue"), "symbols grow with magnitude")
    return figure


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def epochs(report: Report) -> Picture:
    """When each channel was in service. Arrays: channel, start, end."""
    names = np.asarray(report.arrays["channel"]).astype(str)
    starts, ends = (np.asarray(report.arrays[key]).astype(str) for key in ("start", "end"))
    known = [str(t) for t in (*starts, *ends) if t and t < "2100"]
    last = max(_moment(t) for t in known)
    rows = list(dict.fromkeys(names.tolist()))[:40]
    figure = new(10.0, float(np.clip(1.6 + 0.2 * len(rows), 2.6, 10.0)), channels=len(rows))
    ax = figure.add_subplot(label="epochs")
    begin = min(_moment(t) for t in known)
    beyond = last + (last - begin) * 0.08
    for name, start, end in zip(names, starts, ends, strict=True):
        if name not in rows or not start:
            continue
        first = date2num(_moment(start))
        still = not end or end > "2100"
        until = date2num(beyond if still else _moment(end))
        ax.barh(rows.index(name), until - first, left=first, height=0.6, color=P_COLOUR, alpha=0.45 if still else 0.85, edgecolor="white", lw=0.8)
    ax.set_yticks(range(len(rows)), rows, fontsize=7)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_ylabel("channel")
    ax.set_xlabel("time (UTC)")
    ax.xaxis_date()
    ax.grid(axis="x", color="#dddddd", lw=0.5)
    every = len(set(names.tolist()))
    said = "one bar an epoch; pale: still open" + (f"; {len(rows)} of {every} channels" if len(rows) < every else "")
    heading(figure, title_of(report, "Channel epochs"), said)
    return figure
