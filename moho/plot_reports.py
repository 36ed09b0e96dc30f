"""Diagrams of measurements: spectra, semblance, travel times, and plain lines or points with labelled axes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from moho.plot_frame import INK, P_COLOUR, QUIET, S_COLOUR, Picture, after, colour_bar, heading, new, title_of
from moho.survey import Report
from moho.units import show


def spectrum(report: Report) -> Picture:
    """Power over frequency in dB below its peak; the band that holds the energy shaded. Arrays: frequency, power; band."""
    frequency, power = np.asarray(report.arrays["frequency"], float), np.asarray(report.arrays["power"], float)
    decibel = 10 * np.log10(np.maximum(power / (power.max() or 1.0), 1e-6))
    figure = new(8.5, 4.8)
    ax = figure.add_subplot(label="spectrum")
    ax.plot(frequency, decibel, color=P_COLOUR, lw=1.3)
    ax.fill_between(frequency, -60, decibel, color=P_COLOUR, alpha=0.12, lw=0)
    ax.set_xlim(float(frequency[0]), float(frequency[-1]))
    ax.set_ylim(-60, 3)
    ax.set_ylabel(report.labels.get("y", "power (dB below the peak)"))
    ax.grid(color="#dddddd", lw=0.5)
    known = report.facts.get("peak_frequency")
    peak = float(known.value) if known is not None else float(frequency[int(np.argmax(power))])
    across = report.labels.get("x", "frequency (Hz)")
    unit = across.rpartition("(")[2].rstrip(")")
    ax.set_xlabel(across)
    said = report.labels.get("flat", f"peak {show(peak)} {unit}")
    if "flat" not in report.labels:
        ax.axvline(peak, color=S_COLOUR, lw=0.9, ls="--")
        ax.annotate(said, (peak, 1.0), (4, 0), textcoords="offset points", color=S_COLOUR, fontsize=8, va="center")
        figure.parameters["peak"] = peak
    if "band" in report.arrays:
        low, high = (float(v) for v in np.asarray(report.arrays["band"])[:2])
        ax.axvspan(low, high, color="#f0c419", alpha=0.18, lw=0, zorder=0)
        said += f"; shaded band {low:.4g} to {high:.4g} {unit}"
        figure.parameters["band"] = [low, high]
    heading(figure, title_of(report, "Spectrum"), said + after(replace(report, history=report.history[:-1])))
    return figure


def semblance(report: Report) -> Picture:
    """Semblance over velocity and time, with the picks. Arrays: time, velocity, semblance (time, velocity); pick_time, pick_velocity."""
    time, velocity = np.asarray(report.arrays["time"], float), np.asarray(report.arrays["velocity"], float)
    panel = np.asarray(report.arrays["semblance"], float)
    if panel.shape == (len(velocity), len(time)) and panel.shape != (len(time), len(velocity)):
        panel = panel.T
    figure = new(6.2, 7.4)
    ax = figure.add_subplot(label="semblance")
    high = float(np.nanpercentile(panel, 99.8)) or 1.0
    image = ax.pcolormesh(velocity, time, panel, cmap="viridis", vmin=0, vmax=high, shading="nearest", rasterized=True)
    colour_bar(figure, image, ax, report.labels.get("colour", "semblance"), extend="max")
    said = f"{velocity[0]:g} to {velocity[-1]:g} m/s"
    if len(report.arrays.get("pick_time", ())):
        order = np.argsort(report.arrays["pick_time"], kind="stable")
        picked, at = np.asarray(report.arrays["pick_velocity"])[order], np.asarray(report.arrays["pick_time"])[order]
        ax.plot(picked, at, color="white", lw=2.4)
        ax.plot(picked, at, color=INK, lw=1.0, marker="o", ms=4.5, mfc="white", mec=INK)
        said += f"; {len(at)} picks"
    ax.set_xlim(float(velocity[0]), float(velocity[-1]))
    ax.set_ylim(float(time[-1]), float(time[0]))
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.set_xlabel(report.labels.get("x", "stacking velocity (m/s)"))
    ax.set_ylabel(report.labels.get("y", "two-way time (s)"))
    figure.parameters |= {"colour_range": [0.0, high], "picks": len(report.arrays.get("pick_time", ()))}
    heading(figure, title_of(report, "Semblance"), said)
    return figure


def travel_times(report: Report) -> Picture:
    """Travel times: curves over `distance` where that is an array, else one bar a phase. Arrays: phase, time; distance."""
    arrays = report.arrays
    phase, time = np.asarray(arrays["phase"]).astype(str), np.asarray(arrays["time"], float)
    distance = np.asarray(arrays["distance"], float) if "distance" in arrays else np.zeros(0)
    names = list(dict.fromkeys(phase.tolist()))
    colours = {name: P_COLOUR if name.upper().startswith("P") else S_COLOUR if name.upper().startswith("S") else INK for name in names}
    if len(distance) == len(time) and len(np.unique(distance)) > 1:
        figure = new(8.0, 5.6, phases=names)
        ax = figure.add_subplot(label="travel times")
        for name in names:
            which = np.flatnonzero(phase == name)
            which = which[np.argsort(distance[which], kind="stable")]
            ax.plot(distance[which], time[which], marker=".", ms=4, lw=1.0, color=colours[name])
            end = (float(distance[which[-1]]), float(time[which[-1]]))
            ax.annotate(name, end, (4, 0), textcoords="offset points", fontsize=8, va="center", color=colours[name])
        ax.set_xlabel(report.labels.get("x", "distance (deg)"))
        ax.set_ylabel(report.labels.get("y", "travel time (s)"))
        ax.grid(color="#dddddd", lw=0.5)
    else:
        figure = new(8.5, float(np.clip(1.6 + 0.32 * len(time), 2.4, 9.0)), phases=names)
        ax = figure.add_subplot(label="travel times")
        order = np.argsort(time, kind="stable")
        ax.barh(np.arange(len(order)), time[order], color=[colours[str(phase[i])] for i in order], height=0.55)
        for row, i in enumerate(order):
            ax.annotate(f"{time[i]:.2f} s", (time[i], row), (4, 0), textcoords="offset points", fontsize=8, va="center", color=QUIET)
        ax.set_yticks(np.arange(len(order)), [str(phase[i]) for i in order])
        ax.set_ylim(len(order) - 0.4, -0.6)
        ax.set_xlim(0, 1.14 * float(time.max()) if len(time) else 1.0)
        ax.set_xlabel(report.labels.get("x", "travel time (s)"))
        ax.set_ylabel("phase")
    heading(figure, title_of(report, "Travel times"), "; ".join(report.notes[-1:]))
    return figure


def lines(report: Report) -> Picture:
    """Every array over the first one, named by its key."""
    return _over_first(report, "-", "")


def points(report: Report) -> Picture:
    """Every array over the first one, as points."""
    return _over_first(report, "", "o")


def _over_first(report: Report, line: str, marker: str) -> Picture:
    keys = list(report.arrays)
    across: Any = report.arrays[keys[0]]
    figure = new(8.0, 5.0, curves=keys[1:])
    ax = figure.add_subplot(label="diagram")
    for number, key in enumerate(keys[1:]):
        colour = (P_COLOUR, S_COLOUR, "#1b7837", "#7a5195", INK)[number % 5]
        ax.plot(across, report.arrays[key], ls=line or "none", marker=marker or None, ms=4, color=colour, label=key.replace("_", " "))
    ax.set_xlabel(report.labels.get("x", keys[0].replace("_", " ")))
    ax.set_ylabel(report.labels.get("y", keys[1].replace("_", " ") if len(keys) == 2 else "value"))
    ax.grid(color="#dddddd", lw=0.5)
    if report.labels.get("invert") == "y":
        ax.invert_yaxis()
    if len(keys) > 2:
        ax.legend(frameon=True, framealpha=0.9)
    heading(figure, title_of(report, "Diagram"), "; ".join(report.notes[:1]))
    return figure
