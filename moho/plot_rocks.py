"""Logs as a tool wishes them side by side (before over after, cut-offs, facies), confusion matrices and cross-plots of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from moho.plot_frame import INK, P_COLOUR, QUIET, S_COLOUR, Picture, heading, new, title_of, with_unit
from moho.survey import UNKNOWN, Table, Well

COLOURS = ("#f4d35e", "#2c6fa6", "#b5651d", "#7fb069", "#7a5195", "#e08e45", "#6fb1d6", "#c44e7a", "#3a7d44", "#8d99ae", "#4a4e69", "#d9ae94")
WORDS = {"MD": "measured depth (m)", "TVD": "true vertical depth (m)", "TVDSS": "true vertical depth subsea (m)"}


def tracks(data: Well) -> Picture:
    """The tracks of `view`: curves, with what they replace behind them in grey, flags and classes as strips; a confusion matrix beside."""
    view = data.view
    listed = [[name for name in track if name in data.curves] for track in view["tracks"]]
    listed = [track for track in listed if track]
    confusion = view.get("confusion")
    width = 1.6 + 1.55 * len(listed) + (4.6 if confusion else 0)
    figure = new(max(6.5, width), 8.6, tracks=listed)
    strip = [0.55 if data.curves[track[0]].unit in ("class", "flag") else 1.0 for track in listed]
    grid = figure.add_gridspec(1, len(listed) + bool(confusion), width_ratios=[*strip, *([2.9] if confusion else [])])
    top, base = float(view.get("top", data.depth[0])), float(view.get("base", data.depth[-1]))
    rows = np.flatnonzero((data.depth >= top - 1e-6) & (data.depth <= base + 1e-6))
    first: Axes | None = None
    for column, track in enumerate(listed):
        ax = figure.add_subplot(grid[0, column], label=track[0], sharey=first)
        _track(ax, data, track, rows)
        if first is None:
            first = ax
            ax.set_ylim(base, top)
            ax.set_ylabel(WORDS.get(data.reference, "depth (m), reference not stated"))
        else:
            ax.tick_params(labelleft=False)
    if confusion:
        _matrix(figure.add_subplot(grid[0, len(listed)], label="confusion"), confusion, view.get("classes", {}))
    heading(figure, title_of(data, data.well_name or "Well"), "; ".join(data.notes[:1]))
    return figure


def _track(ax: Axes, data: Well, track: list[str], rows: Any) -> None:
    depth = data.depth[rows]
    unit = data.curves[track[0]].unit
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    if unit in ("class", "flag"):
        return _strips(ax, data, track, rows, unit)
    cut = data.view.get("cutoffs", {}).get(track[0])
    for number, name in enumerate(track):
        values = np.asarray(data.curves[name].values, float)[rows]
        before = name.endswith("_IN")
        colour = "#9a9a9a" if before else (P_COLOUR, S_COLOUR, "#1b7837")[number % 3]
        ax.plot(values, depth, color=colour, lw=0.7 if before else 0.9, zorder=1 if before else 2, label="before" if before else name)
    held = np.concatenate([np.asarray(data.curves[name].values, float)[rows] for name in track])
    held = held[np.isfinite(held)]
    low, high = (float(v) for v in np.percentile(held, [0.5, 99.5])) if len(held) else (0.0, 1.0)
    if unit == "v/v" and low >= 0 and high <= 1.0001:
        low, high = 0.0, 1.0 if high > 0.5 else 0.5
    room = 0.06 * (high - low) or 0.5
    ax.set_xlim(low - room, high + room)
    ax.set_xlabel(with_unit(track[0] if len(track) < 3 else ", ".join(track), "unit not stated" if unit == UNKNOWN else unit), fontsize=8)
    ax.tick_params(axis="x", labelsize=7)
    ax.locator_params(axis="x", nbins=3)
    ax.grid(color="#e2e2e2", lw=0.5)
    if cut is not None:
        cut = 100 * cut if unit in ("%", "pu", "p.u.") else cut  # cut-offs are fractions
        ax.axvline(cut, color=S_COLOUR, lw=1.0, ls="--")
        ax.text(cut, 0.995, f" {cut:g}", transform=ax.get_xaxis_transform(), fontsize=7, color=S_COLOUR, va="top")
    if len(track) > 1:
        ax.legend(fontsize=6.5, loc="lower right", framealpha=0.9)
    return None


def _strips(ax: Axes, data: Well, track: list[str], rows: Any, unit: str) -> None:
    depth = data.depth[rows]
    edges = np.concatenate([depth[:1], 0.5 * (depth[1:] + depth[:-1]), depth[-1:]])
    values = np.stack([np.asarray(data.curves[name].values, float)[rows] for name in track], axis=1)
    if unit == "flag":
        palette, low, high = ListedColormap(["#f3f3f3", "#2f9e44"]), 0.0, 1.0
    else:
        low, high = _span(data)
        palette = ListedColormap([COLOURS[n % len(COLOURS)] for n in range(int(high - low) + 1)])
        low, high = low - 0.5, high + 0.5
    ax.pcolormesh(np.arange(len(track) + 1), edges, np.ma.masked_invalid(values), cmap=palette, vmin=low, vmax=high, rasterized=True)
    words = [name.replace("FACIES_PREDICTED", "PREDICTED") for name in track]
    ax.set_xticks(np.arange(len(track)) + 0.5, words, fontsize=7)
    ax.set_xlabel("flag (green: yes)" if unit == "flag" else "class", fontsize=8)
    if unit == "class":
        words_of = data.view.get("classes", {})
        keys = [Patch(color=palette(int(v - low)), label=words_of.get(f"{v:g}", f"{v:g}")) for v in np.unique(values[np.isfinite(values)])]
        below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "ncols": 2, "columnspacing": 0.8}  # the strip stays free
        ax.legend(handles=keys, fontsize=6.5, frameon=False, handlelength=1.0, **below)


def _span(data: Well) -> tuple[float, float]:
    held = np.concatenate([np.asarray(curve.values, float) for curve in data.curves.values() if curve.unit == "class"])
    return float(np.nanmin(held)), float(np.nanmax(held))


def _matrix(ax: Axes, confusion: Any, classes: Any) -> None:
    counts = np.asarray(confusion["counts"], float)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    for i, j in np.ndindex(counts.shape):
        if counts[i, j]:
            ax.text(j, i, f"{counts[i, j]:.0f}", ha="center", va="center", fontsize=7.5, color="white" if share[i, j] > 0.55 else INK)
    ax.set_xticks(np.arange(len(counts)), confusion["labels"], fontsize=8)
    ax.set_yticks(np.arange(len(counts)), confusion["labels"], fontsize=8)
    ax.set_xlabel("predicted facies")
    ax.set_ylabel("true facies")
    ax.set_title("samples; shade: share of the true facies", fontsize=8, color=QUIET)


def crossplot(data: Table) -> Picture:
    """Two columns against each other, coloured by the class column."""
    across, down, by = data.view["crossplot"]
    x, y, classes = (np.asarray(data.columns[name], float) for name in (across, down, by))
    figure = new(7.6, 6.2, x=across, y=down, classes=by)
    ax = figure.add_subplot(label="crossplot")
    for number, value in enumerate(np.unique(classes[np.isfinite(classes)])):
        here = classes == value
        words = f"{by} {value:g} ({int(here.sum())})"
        ax.scatter(x[here], y[here], s=5, color=COLOURS[number % len(COLOURS)], lw=0, alpha=0.7, label=words, rasterized=True)
    ax.set_xlabel(f"{across} (unit as in the table)")
    ax.set_ylabel(f"{down} (unit as in the table)" if down != "probability" else "probability")
    ax.grid(color="#dddddd", lw=0.5)
    ax.legend(fontsize=8, framealpha=0.9, markerscale=2.5)
    heading(figure, title_of(data, "Classes"), "; ".join(data.notes[:1]))
    return figure
