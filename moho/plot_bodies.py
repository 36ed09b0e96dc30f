"""Bodies found in a cube: a section and a plan through the middle with their outline, and the map of their top."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from moho.plot_frame import S_COLOUR, Picture, colour_bar, heading, new, title_of
from moho.survey import Array, Report


def geobody(report: Report) -> Picture:
    """Amplitude and chaos of the inline through the middle with the outline of the body; in 3-D also a time slice and the top."""
    arrays = {key: np.asarray(value) for key, value in report.arrays.items()}
    body, inline, crossline, z = arrays["body"], arrays["inline"], arrays["crossline"], arrays["z"]
    three = len(inline) > 1
    i, _, k = (int(n) for n in arrays["slice"])
    figure = new(11.0, 8.4 if three else 4.8, slice=[i, k])
    grid = figure.add_gridspec(2 if three else 1, 2)
    clip = float(np.percentile(np.abs(arrays["amplitude"]), 99)) or 1.0
    down, across = report.labels["z"], report.labels["across"]
    where = f"inline {int(inline[i])}" if three else "section"
    panels = [("amplitude", arrays["amplitude"], "RdBu", -clip, clip), ("chaos", arrays["chaos"], "viridis", 0.0, 1.0)]
    for column, (name, values, palette, low, high) in enumerate(panels):
        ax = figure.add_subplot(grid[0, column], label=name)
        image = ax.pcolormesh(crossline, z, values.T, cmap=palette, vmin=low, vmax=high, shading="nearest", rasterized=True)
        colour_bar(figure, image, ax, "amplitude (as recorded)" if name == "amplitude" else "chaos (0 to 1)")
        _outline(ax, crossline, z, body[i].T)
        ax.set_ylim(float(z[-1]), float(z[0]))
        ax.set_xlabel(across)
        ax.set_ylabel(down)
        ax.set_title(f"{where}: {name}, outline of the body", fontsize=9)
    if three:
        plan = figure.add_subplot(grid[1, 0], label="plan")
        image = plan.pcolormesh(crossline, inline, arrays["plan"], cmap="RdBu", vmin=-clip, vmax=clip, shading="nearest", rasterized=True)
        colour_bar(figure, image, plan, "amplitude (as recorded)")
        _outline(plan, crossline, inline, body[:, :, k])
        plan.set_title(f"slice at {z[k]:.4g} {'s' if '(s)' in down else 'm'}", fontsize=9)
        tops = figure.add_subplot(grid[1, 1], label="top")
        image = tops.pcolormesh(crossline, inline, np.ma.masked_invalid(arrays["top"]), cmap="viridis_r", shading="nearest", rasterized=True)
        colour_bar(figure, image, tops, f"top: {down}")
        tops.set_title("top of the body", fontsize=9)
        for ax in (plan, tops):
            ax.set_xlabel(across)
            ax.set_ylabel(report.labels["along"])
    volume = report.facts.get("volume") or report.facts.get("area")
    heading(figure, title_of(report, "Geobody"), f"{volume.label} {volume}" if volume else "; ".join(report.notes[:1]))
    return figure


def _outline(ax: Axes, x: Array, y: Array, inside: Array) -> None:
    if inside.any() and not inside.all():
        ax.contour(x, y, inside.astype(float), [0.5], colors=[S_COLOUR], linewidths=1.5)
