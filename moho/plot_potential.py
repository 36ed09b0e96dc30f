"""Diagrams of potential fields: Euler solutions over their map, the radial power spectrum with its straight parts, drift of a gravimeter."""

from __future__ import annotations

from typing import Any

import numpy as np

from moho.plot_frame import INK, P_COLOUR, QUIET, S_COLOUR, Picture, colour_bar, heading, kilometres, new, title_of
from moho.plot_ranges import map_colours, robust
from moho.survey import Report


def euler(report: Report) -> Picture:
    """Sources on the grey map they came from, coloured by depth, and the depths counted. Arrays: x, y, depth, east, north, field."""
    x, y, depth = (np.asarray(report.arrays[key], float) for key in ("x", "y", "depth"))
    east, north, field = (np.asarray(report.arrays[key], float) for key in ("east", "north", "field"))
    ratio = float(np.clip(np.ptp(north) / np.ptp(east), 0.4, 1.8))
    figure = new(10.6, max(6.4 * ratio + 1.4, 4.6), solutions=len(x))
    axes = figure.subplot_mosaic([["map", "depths"]], width_ratios=[2.4, 1])
    ax = axes["map"]
    low, high = map_colours(field, report.labels.get("field", ""))
    ax.pcolormesh(east, north, np.ma.masked_invalid(field), cmap="Greys", vmin=low, vmax=high, shading="nearest", rasterized=True)
    shallow, deep = robust(depth, 1, 99)
    if deep <= shallow:
        deep = shallow + 1.0
    order = np.argsort(-depth, kind="stable")
    size = float(np.clip(6000 / max(len(x), 1), 6.0, 40.0))
    shown: Any = ax.scatter(x[order], y[order], c=depth[order], s=size, cmap="viridis_r", vmin=shallow, vmax=deep, edgecolors="white", linewidths=0.3,
                            rasterized=len(x) > 3000)  # fmt: skip
    colour_bar(figure, shown, ax, report.labels.get("colour", "depth (m)"), location="bottom")
    ax.set_aspect("equal")
    ax.set_xlim(float(east[0]), float(east[-1]))
    ax.set_ylim(float(north[0]), float(north[-1]))
    ax.set_xlabel("easting (km)")
    ax.set_ylabel("northing (km)")
    kilometres(ax)
    side = axes["depths"]
    side.hist(depth, bins=int(np.clip(np.sqrt(len(depth)) * 2, 8, 40)), orientation="horizontal", color=P_COLOUR, alpha=0.75)
    side.set_ylim(float(max(depth.max(), deep)) * 1.03, 0)
    side.set_xlabel("solutions")
    side.set_ylabel(report.labels.get("colour", "depth (m)"))
    main = report.facts.get("depth")
    if main is not None:
        side.axhline(float(main.value), color=S_COLOUR, lw=1.2, ls="--")
        side.annotate(f"main source {float(main.value):.4g} m", (0.98, float(main.value)), (0, -10), xycoords=("axes fraction", "data"),
                      textcoords="offset points", ha="right", color=S_COLOUR, fontsize=8)  # fmt: skip
    index = report.facts.get("structural_index")
    said = [f"{len(x)} solutions", *([f"structural index {index.value:g}"] if index is not None else [])]
    said.append(f"on {report.labels.get('field', 'the map')}")
    figure.parameters["colour_range"] = [shallow, deep]
    heading(figure, title_of(report, "Euler deconvolution"), "; ".join([*said, f"CRS {report.labels.get('crs', 'unknown')[:40]}"]))
    return figure


def radial_spectrum(report: Report) -> Picture:
    """Logarithm of the radial power over wavenumber with the straight lines whose slopes are the depths.

    Arrays: wavenumber, log_power, error; starts, ends, slopes, levels, depths (one a line).
    """
    arrays = {key: np.asarray(array, float) for key, array in report.arrays.items()}
    k, power = arrays["wavenumber"], arrays["log_power"]
    figure = new(8.4, 5.4, lines=len(arrays["depths"]))
    ax = figure.add_subplot(label="spectrum")
    ax.errorbar(k, power, yerr=arrays["error"], ls="", marker="o", ms=3.2, color=QUIET, ecolor="#bbbbbb", elinewidth=0.8, label="ring means")
    colours = (S_COLOUR, P_COLOUR, "#1b7837")
    for n, (start, end, slope, level, depth) in enumerate(
        zip(*(arrays[key] for key in ("starts", "ends", "slopes", "levels", "depths")), strict=True)
    ):
        across = np.array([start, end])
        ax.plot(across, level + slope * across, color=colours[n % 3], lw=2.0, label=f"slope {slope:.4g} km: depth {depth:.4g} m")
    ax.set_xlabel("wavenumber (rad/km)")
    ax.set_ylabel(report.labels.get("y", "ln power"))
    ax.set_xlim(0, float(k[-1]) * 1.02)
    ax.grid(color="#dddddd", lw=0.5)
    top = ax.secondary_xaxis("top", functions=(lambda v: np.asarray(v) / (2 * np.pi), lambda v: np.asarray(v) * 2 * np.pi))
    top.set_xlabel("cycles/km", color=INK)
    ax.legend(frameon=True, framealpha=0.9)
    heading(figure, title_of(report, "Radial power spectrum"), "; ".join(report.notes[:1]))
    return figure
