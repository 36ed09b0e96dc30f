"""Models on a vertical plane, with what no ray or wave reached faded, and first arrivals over them."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from moho.plot_frame import INK, Picture, after, colour_bar, heading, new, title_of, with_unit
from moho.plot_ranges import robust
from moho.survey import Array, Report, Seismic, Table

MODELS = ("P velocity", "S velocity", "density")  # quantities of a section in depth that are drawn as a model


def model(data: Seismic) -> Picture:
    """A model over position and depth; where its `view` has a coverage under 1, the colours fade to white."""
    clip = float(data.view.get("clip", 100.0))
    low, high = robust(data.data, 100 - clip, clip)
    figure = new(9.5, 4.9, quantity=data.quantity, domain=data.domain, colour_range=[low, high])
    ax = figure.add_subplot(label="model")
    x = _positions(data)
    image = _image(ax, data.data, x, data.times, low, high)
    colour_bar(figure, image, ax, with_unit(data.quantity, data.unit))
    coverage = data.view.get("coverage")
    faded = ""
    if coverage is not None and np.shape(coverage) == data.data.shape:
        veil = np.ones((*np.shape(coverage)[::-1], 4))
        veil[..., 3] = 0.72 * (1 - np.clip(np.asarray(coverage, float).T, 0, 1))
        ax.imshow(veil, extent=image.get_extent(), aspect="auto", interpolation="bilinear")
        share = 100 * float(np.mean(np.asarray(coverage) < 0.999))
        figure.parameters["faded_percent"] = share
        faded = f"; faded: {share:.0f} % that too few rays or waves reach"
    _axes(ax, data.view)
    heading(figure, title_of(data, "Model"), f"{data.quantity} {low:.5g} to {high:.5g} {data.unit}{faded}{after(data)}")
    return figure


def first_arrivals(report: Report) -> Picture:
    """Times over receiver position, a curve a source, above the model with the isochrones of the first source."""
    a = report.arrays
    figure = new(9.0, 7.0)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[1, 1.15])
    upper.set_label("times")
    lower.set_label("model")
    sources = np.unique(a["source_x"])
    shown = sources[np.unique(np.linspace(0, len(sources) - 1, min(12, len(sources))).astype(int))]
    for position in shown:
        rows = np.flatnonzero(a["source_x"] == position)
        rows = rows[np.argsort(a["receiver_x"][rows], kind="stable")]
        upper.plot(a["receiver_x"][rows], a["time"][rows], color=INK, lw=0.9, marker="." if len(rows) < 60 else None, ms=4)
    upper.set_ylabel(report.labels.get("y", "first-arrival time (s)"))
    upper.invert_yaxis()
    upper.grid(color="#dddddd", lw=0.5)
    low, high = robust(a["velocity"], 0, 100)
    image = _image(lower, a["velocity"], a["x"], a["depth"], low, high)
    lines = lower.contour(a["x"], a["depth"], a["field"].T, levels=14, colors="white", linewidths=0.8)
    lower.clabel(lines, lines.levels[1::2], fmt=lambda value: f"{value:.3g} s", fontsize=7)
    lower.plot(np.unique(a["source_x"]), np.full(len(sources), a["source_depth"][0]), ls="none", marker="*", ms=9, color="#d62728", mec="white",
               mew=0.6, clip_on=False, zorder=5)  # fmt: skip
    colour_bar(figure, image, lower, f"{report.labels.get('quantity', 'velocity')} (m/s)")
    _axes(lower, {})
    some = f"{len(shown)} of {len(sources)}" if len(shown) < len(sources) else f"{len(sources)}"
    figure.parameters |= {"sources": len(sources), "colour_range": [low, high]}
    plural = "s" if len(sources) > 1 else ""
    heading(figure, title_of(report, "First arrivals"), f"{some} source{plural}; white: isochrones of the source at {a['source_x'][0]:g} m")
    return figure


def first_breaks(table: Table) -> Picture:
    """Traces of the first shots side by side, each on its own scale, with the picks and their uncertainties.

    Columns: trace, time, uncertainty. View: shown (trace numbers), section (trace, sample), begin (first time and interval, s).
    """
    a, view = table.columns, table.view
    shown, section, (t0, dt) = np.asarray(view["shown"]), np.asarray(view["section"], float), np.asarray(view["begin"], float)
    figure = new(9.5, 5.6)
    ax = figure.add_subplot(label="first breaks")
    extent = (-0.5, len(shown) - 0.5, t0 + dt * (section.shape[1] - 0.5), t0 - 0.5 * dt)
    image = ax.imshow(np.sign(section.T) * np.sqrt(np.abs(section.T)), cmap="gray", vmin=-1, vmax=1, aspect="auto", extent=extent)
    colour_bar(figure, image, ax, "root of amplitude over the trace's largest")
    place = {int(number): column for column, number in enumerate(shown)}
    here = [i for i, number in enumerate(a["trace"]) if int(number) in place]
    columns = [place[int(a["trace"][i])] for i in here]
    ax.errorbar(columns, a["time"][here], yerr=a["uncertainty"][here], fmt="_", color="#d62728", ms=5, mew=1.2, elinewidth=0.8)
    late = float(np.max(a["time"][here])) if here else t0 + dt * section.shape[1]
    ax.set_ylim(min(extent[2], late + 0.25 * (late - t0)), t0)
    ax.set_xlabel("trace in the picture (number)")
    ax.set_ylabel("time (s)")
    figure.parameters |= {"traces": len(shown), "picks_shown": len(here), "colour_range": [-1.0, 1.0]}
    part = f"{len(here)} of {len(a['trace'])} picks on {len(shown)} traces; red: {view['first_breaks']} with its uncertainty"
    heading(figure, title_of(table, "First breaks"), part)
    return figure


def _image(ax: Axes, values: Array, x: Array, z: Array, low: float, high: float) -> Any:
    half_x, half_z = 0.5 * (x[-1] - x[0]) / max(len(x) - 1, 1), 0.5 * (z[-1] - z[0]) / max(len(z) - 1, 1)
    extent = (x[0] - half_x, x[-1] + half_x, z[-1] + half_z, z[0] - half_z)
    return ax.imshow(np.asarray(values).T, extent=extent, aspect="auto", cmap="viridis", vmin=low, vmax=high, interpolation="nearest")


def _axes(ax: Axes, view: Any) -> None:
    ax.set_xlabel("position (m)")
    ax.set_ylabel("depth (m)")
    ax.xaxis.set_major_locator(MaxNLocator(10))
    top, base = view.get("top"), view.get("base")
    if top is not None or base is not None:
        below, above = ax.get_ylim()
        ax.set_ylim(below if base is None else float(base), above if top is None else float(top))


def _positions(data: Seismic) -> Array:
    if data.x is not None and (data.y is None or float(np.ptp(data.y)) == 0):
        return np.asarray(data.x, float)
    return (data.dx or 1.0) * np.arange(len(data.data))
