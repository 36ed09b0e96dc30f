"""Drawings of electromagnetic data and models: soundings, DC lines as pseudo-sections or curves, layers below a sounding, resistivity sections."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from moho.plot_frame import INK, P_COLOUR, QUIET, S_COLOUR, Picture, colour_bar, heading, new, title_of
from moho.survey import Array, DCSurvey, MTSounding, Report
from moho.units import show

RESISTIVITY = "Spectral_r"  # low resistivity blue, as it is drawn everywhere: conductors cold here, named in the colour bar
PLAIN = FuncFormatter(lambda value, _: f"{value:g}")


def sounding(data: MTSounding) -> Picture:
    """Apparent resistivity and phase over period, xy and yx, with one standard deviation; yx turned into the first quadrant."""
    figure = new(7.2, 7.0, components=["xy", "yx"])
    upper, lower = figure.add_subplot(2, 1, 1, label="apparent resistivity"), figure.add_subplot(2, 1, 2, label="phase")
    lower.sharex(upper)
    seen: list[Array] = []
    for name, colour, marker in (("xy", S_COLOUR, "o"), ("yx", P_COLOUR, "s")):
        rho, phase, relative = data.apparent(name)
        good = np.isfinite(rho) & (rho > 0)
        if not good.any():
            continue
        seen.append(rho[good])
        spread = np.where(np.isfinite(relative), relative, 0.0)[good]
        bars = np.stack([rho[good] * (1 - np.exp(-np.minimum(spread, 3))), rho[good] * (np.exp(np.minimum(spread, 3)) - 1)])
        options: dict[str, Any] = {"ls": "none", "marker": marker, "ms": 4, "color": colour, "elinewidth": 0.7, "label": f"{name}"}
        upper.errorbar(data.period[good], rho[good], yerr=bars if spread.any() else None, **options)
        lower.errorbar(data.period[good], phase[good], yerr=np.degrees(np.minimum(spread / 2, 1.5)) if spread.any() else None, **options)
    _log_axes(upper, np.concatenate(seen) if seen else np.array([1.0, 10.0]))
    upper.set_ylabel("apparent resistivity (ohm.m)")
    upper.tick_params(labelbottom=False)
    upper.legend(frameon=True, framealpha=0.9)
    _phase_axes(lower, np.concatenate([data.apparent(name)[1] for name in ("xy", "yx")]))
    where = "" if data.latitude is None else f"latitude {data.latitude:.4f}, longitude {data.longitude:.4f} deg; "
    heading(figure, title_of(data, data.station or "MT sounding"), f"{where}bars one standard deviation; phase of yx plus 180 deg; time as exp(+iwt)")
    return figure


def _log_axes(ax: Axes, values: Array) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    low, high = np.nanpercentile(values, [1, 99])
    ax.set_ylim(float(low) / 4, float(high) * 4)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PLAIN)
        axis.set_minor_formatter(NullFormatter())
    ax.grid(which="both", color="#e4e4e4", lw=0.4)


def _phase_axes(ax: Axes, phase: Array) -> None:
    ax.set_xscale("log")
    wide = np.mean((phase[np.isfinite(phase)] < -5) | (phase[np.isfinite(phase)] > 95)) > 0.25 if np.isfinite(phase).any() else False
    ax.set_ylim((-180, 180) if wide else (0, 90))
    ax.set_yticks(range(-180, 181, 60) if wide else range(0, 91, 15))
    ax.axhline(45, color=QUIET, lw=0.6, ls=":")
    ax.set_xlabel("period (s)")
    ax.set_ylabel("phase (deg)")
    ax.xaxis.set_major_formatter(PLAIN)
    ax.grid(color="#e4e4e4", lw=0.4)


def survey(data: DCSurvey) -> Picture:
    """A pseudo-section; a curve over AB/2 where all data share one middle."""
    place, pseudo = data.pseudosection
    resistance = data.quantity == "resistance"
    words = "apparent resistivity (ohm.m)" if resistance else "apparent chargeability (mV/V)"
    if np.ptp(place) < 1e-6 * max(float(np.ptp(data.electrodes)), 1.0) and len(place) > 1:
        figure = new(7.0, 4.8, half=[float(v) for v in 0.5 * np.abs(data.a - data.b)])
        ax = figure.add_subplot(label="sounding curve")
        half = 0.5 * np.abs(data.a - data.b)
        order = np.argsort(half, kind="stable")
        ax.plot(half[order], data.apparent[order], color=P_COLOUR, marker="o", ms=4)
        _log_axes(ax, data.apparent)
        ax.set_xlabel("AB/2 (m)")
        ax.set_ylabel(words)
        heading(figure, title_of(data, "DC sounding"), "; ".join(data.notes[:2]))
        return figure
    figure = new(9.5, 4.0, data=len(place))
    ax = figure.add_subplot(label="pseudo-section")
    shown = _dots(ax, place, pseudo, data.apparent, None if resistance else _linear(data.apparent))
    _electrodes(ax, data.electrodes)
    ax.set_xlabel("distance along the line (m)")
    ax.set_ylabel("pseudo-depth (m)")
    bar = colour_bar(figure, shown, ax, words, extend="both")
    if resistance:
        _plain_bar(bar)
    heading(figure, title_of(data, "DC line"), f"{len(place)} data; pseudo-depth is half the distance between the dipoles' centres, not a depth")
    return figure


def _linear(values: Array) -> tuple[float, float]:
    low, high = np.nanpercentile(values, [2, 98])
    return float(low), float(high) if high > low else float(low) + 1.0


def _norm(values: Array) -> LogNorm:
    good = values[np.isfinite(values) & (values > 0)]
    low, high = (float(v) for v in np.percentile(good, [2, 98])) if len(good) else (1.0, 10.0)
    if high < 1.2 * low:
        low, high = low / 1.2, high * 1.2
    return LogNorm(low, high)


def _dots(ax: Axes, place: Array, pseudo: Array, values: Array, limits: tuple[float, float] | None = None, norm: LogNorm | None = None) -> Any:
    scale: dict[str, Any] = {"vmin": limits[0], "vmax": limits[1]} if limits else {"norm": norm or _norm(values)}
    shown = ax.scatter(place, pseudo, c=values, s=62, marker="s", cmap=RESISTIVITY, edgecolors="none", rasterized=True, **scale)
    ax.set_ylim(1.12 * float(pseudo.max()), -0.06 * float(pseudo.max()))
    return shown


def _electrodes(ax: Axes, places: Array) -> None:
    ax.plot(places, np.zeros(len(places)), ls="none", marker="v", ms=4, color=INK, clip_on=False, zorder=5)


def _plain_bar(bar: Any) -> None:
    bar.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    bar.ax.yaxis.set_major_formatter(PLAIN)
    bar.ax.yaxis.set_minor_formatter(NullFormatter())


def layers(report: Report) -> Picture:
    """Left: the data and what both models predict. Right: resistivity over depth, the range of models that fit, the depth of investigation."""
    arrays = report.arrays
    investigation = float(arrays["investigation"][0])
    figure = new(10.0, 6.6, depth_of_investigation=investigation, component=report.labels.get("component", ""))
    grid = figure.add_gridspec(2, 2, width_ratios=[1.25, 1.0])
    upper, lower = figure.add_subplot(grid[0, 0], label="apparent resistivity"), figure.add_subplot(grid[1, 0], label="phase")
    model = figure.add_subplot(grid[:, 1], label="model")
    period, rho, sigma = arrays["period"], arrays["observed"], arrays["error"]
    options: dict[str, Any] = {"ls": "none", "marker": "o", "ms": 4, "color": INK, "elinewidth": 0.8, "label": "observed", "zorder": 3}
    upper.errorbar(period, rho, yerr=np.stack([rho * (1 - np.exp(-sigma)), rho * (np.exp(sigma) - 1)]), **options)
    lower.errorbar(period, arrays["phase"], yerr=arrays["phase_error"], **options)
    for values, phase, colour, name, style in (
        ("smooth_predicted", "smooth_phase", P_COLOUR, "smooth model", "--"),
        ("predicted", "predicted_phase", S_COLOUR, f"{len(arrays['resistivity'])} layers", "-"),
    ):
        upper.plot(period, arrays[values], color=colour, ls=style, label=name)
        lower.plot(period, arrays[phase], color=colour, ls=style)
    _log_axes(upper, rho)
    upper.set_ylabel("apparent resistivity (ohm.m)")
    upper.set_xlabel("period (s)")
    upper.legend(frameon=True, framealpha=0.9)
    _phase_axes(lower, arrays["phase"])
    depth = arrays["depth"]
    model.fill_betweenx(depth, arrays["least"], arrays["largest"], color=S_COLOUR, alpha=0.15, lw=0, label="ends of the 95 % ranges")
    model.plot(*_steps(arrays["smooth_resistivity"], arrays["smooth_top"], depth), color=P_COLOUR, ls="--", label="smooth model")
    tops = np.concatenate([[0.0], np.cumsum(arrays["thickness"])])
    model.plot(*_steps(arrays["resistivity"], tops, depth), color=S_COLOUR, lw=1.6, label=f"{len(tops)} layers")
    model.set_xscale("log")
    model.set_yscale("log")
    base = float(depth[-1])
    model.set_ylim(base, float(depth[0]))
    shown = np.concatenate([arrays["smooth_resistivity"], arrays["resistivity"], rho])
    model.set_xlim(max(0.4 * float(shown.min()), 0.05), min(2.5 * float(shown.max()), 3e5))
    if depth[0] < investigation < base:
        model.axhspan(investigation, base, color="#cccccc", alpha=0.45, lw=0, zorder=0)
        model.axhline(investigation, color=QUIET, lw=0.8, ls="-.")
        words = f"depth of investigation {show(float(f'{investigation:.3g}'))} m"
        box = {"fc": "white", "ec": "none", "alpha": 0.75, "pad": 1.0}
        model.annotate(words, (0.02, investigation), (0, 4), xycoords=("axes fraction", "data"), textcoords="offset points", fontsize=8, bbox=box)
    model.set_xlabel("resistivity (ohm.m)")
    model.set_ylabel("depth (m)")
    for axis in (model.xaxis, model.yaxis):
        axis.set_major_formatter(PLAIN)
        axis.set_minor_formatter(NullFormatter())
    model.grid(which="both", color="#e4e4e4", lw=0.4)
    model.legend(frameon=True, framealpha=0.9, loc="best")
    misfit = report.facts["misfit"].value if "misfit" in report.facts else None
    said = f"{report.labels.get('component', '')}; error bars as fitted" + (f"; phi_d/N {show(misfit)} (layers)" if misfit is not None else "")
    heading(figure, title_of(report, "Layers"), said)
    return figure


def _steps(values: Array, tops: Array, depth: Array) -> tuple[Array, Array]:
    """(value, depth) of the corners of a layered model, between the first and the last depth."""
    edges = np.clip(np.concatenate([tops, [depth[-1]]]), depth[0], depth[-1])
    return np.repeat(values, 2), np.repeat(edges, 2)[1:-1]


def section(report: Report) -> Picture:
    """Above: the section, paled below the depth of investigation. Below: observed and predicted pseudo-sections on one colour scale."""
    arrays = report.arrays
    x, z = arrays["x_edges"], arrays["z_edges"]
    figure = new(10.0, 7.4, depth_of_investigation=[float(v) for v in np.percentile(arrays["investigation"], [0, 50, 100])])
    grid = figure.add_gridspec(3, 1, height_ratios=[1.5, 1.0, 1.0])
    ax = figure.add_subplot(grid[0], label="section")
    norm = _norm(np.concatenate([arrays["resistivity"][arrays["index"] <= 0.5], arrays["observed"]]))
    image = ax.pcolormesh(x, z, arrays["resistivity"], norm=norm, cmap=RESISTIVITY, rasterized=True)
    ax.stairs(arrays["investigation"], x, baseline=float(z[-1]), fill=True, color="white", alpha=0.62, lw=0)
    ax.stairs(arrays["investigation"], x, baseline=None, color=INK, lw=0.8, ls="--")
    ax.set_ylim(float(z[-1]), -0.03 * float(z[-1]))
    ax.set_xlim(float(x[0]), float(x[-1]))
    _electrodes(ax, arrays["electrodes"])
    ax.set_ylabel(report.labels.get("y", "depth (m)"))
    ax.set_aspect("equal" if (x[-1] - x[0]) < 6.5 * z[-1] else "auto")
    bar = colour_bar(figure, image, ax, report.labels.get("colour", "resistivity (ohm.m)"), extend="both")
    _plain_bar(bar)
    for row, name in ((1, "observed"), (2, "predicted")):
        below = figure.add_subplot(grid[row], label=name)
        shown = _dots(below, arrays["place"], arrays["pseudo"], arrays[name], norm=norm)
        below.set_xlim(float(x[0]), float(x[-1]))
        below.set_ylabel("pseudo-depth (m)")
        below.text(0.01, 0.05, name, transform=below.transAxes, fontsize=9, fontweight="bold")
        _plain_bar(colour_bar(figure, shown, below, "app. res. (ohm.m)", extend="both"))
    figure.axes[-2].set_xlabel(report.labels.get("x", "distance along the line (m)"))
    misfit = f"; phi_d/N {show(report.facts['misfit'].value)}" if "misfit" in report.facts else ""
    heading(figure, title_of(report, "Resistivity section"), f"paled below the dashed depth of investigation{misfit}; triangles are electrodes")
    return figure


def csem(report: Report) -> Picture:
    """Amplitude and phase of the field over offset, a line a frequency."""
    arrays = report.arrays
    figure = new(7.2, 6.4, frequencies=[float(v) for v in arrays["frequency"]])
    upper, lower = figure.add_subplot(2, 1, 1, label="amplitude"), figure.add_subplot(2, 1, 2, label="phase")
    colours = (P_COLOUR, S_COLOUR, "#1b7837", "#7a5195", INK)
    for number, value in enumerate(arrays["frequency"]):
        colour = colours[number % 5]
        upper.plot(arrays["offset"], arrays["field"][number], color=colour, marker=".", label=f"{value:g} Hz")
        lower.plot(arrays["offset"], np.degrees(np.unwrap(np.radians(arrays["phase"][number]))), color=colour, marker=".")
    upper.set_yscale("log")
    upper.set_ylabel(report.labels.get("y", "|Ex| (V/m for 1 A m)"))
    lower.set_ylabel("phase (deg)")
    lower.set_xlabel(report.labels.get("x", "offset (m)"))
    for ax in (upper, lower):
        ax.grid(color="#e4e4e4", lw=0.4)
    upper.legend(frameon=True, framealpha=0.9)
    heading(figure, title_of(report, "CSEM"), "; ".join(report.notes[:1]))
    return figure
