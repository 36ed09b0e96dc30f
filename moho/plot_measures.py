"""Diagrams of what a tool measured on records and lines: where traces lie, the spectrum a magnitude came from, events a network saw."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

from moho.plot_frame import P_COLOUR, QUIET, S_COLOUR, Picture, heading, kilometres, new, title_of
from moho.survey import Report


def traces(report: Report) -> Picture:
    """Where the traces lie, equal aspect, the first one marked. Arrays: x, y."""
    x, y = (np.asarray(report.arrays[name], float) for name in ("x", "y"))
    figure = new(6.4, 5.8, traces=len(x))
    ax = figure.add_subplot(label="traces")
    ax.plot(x, y, ls="none", marker=".", ms=4, color=P_COLOUR)
    ax.plot(x[:1], y[:1], ls="none", marker="o", ms=7, mfc="none", mec=S_COLOUR, label="first trace")
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.1)
    kilometres(ax)
    ax.set_xlabel("easting (km)")
    ax.set_ylabel("northing (km)")
    ax.grid(color="#dddddd", lw=0.5)
    ax.legend(framealpha=0.9)
    heading(figure, title_of(report, "Geometry"), "; ".join(report.notes[:2]))
    return figure


def magnitude(report: Report) -> Picture:
    """The displacement spectrum with Brune's, its corner marked; a bar a channel for a local magnitude. Arrays: frequency, ...; channel, ml."""
    arrays = report.arrays
    figure = new(7.6, 4.8)
    ax = figure.add_subplot(label="magnitude")
    if "ml" in arrays:
        names, each = np.asarray(arrays["channel"]).astype(str), np.asarray(arrays["ml"], float)
        ax.plot(np.arange(len(names)), each, ls="none", marker="o", ms=7, color=P_COLOUR)
        ax.axhline(float(each.mean()), color=S_COLOUR, lw=0.9, ls="--", label="mean")
        ax.set_xticks(np.arange(len(names)), names.tolist())
        ax.set_xlim(-0.6, len(names) - 0.4)
        ax.margins(y=0.4)
        ax.set_xlabel("channel")
        ax.set_ylabel("local magnitude ML")
    else:
        frequency = np.asarray(arrays["frequency"], float)
        ax.loglog(frequency, arrays["observed"], color=P_COLOUR, lw=1.3, label="observed")
        ax.loglog(frequency, arrays["fitted"], color=S_COLOUR, lw=1.2, ls="--", label="Brune")
        corner = report.facts["corner_frequency"].value
        ax.axvline(corner, color=QUIET, lw=0.8, ls=":", label=f"corner {corner:.3g} Hz")
        ax.set_xlabel("frequency (Hz)")
        ax.set_ylabel("displacement spectrum (m s)")
    ax.grid(color="#dddddd", lw=0.5)
    ax.legend(framealpha=0.9)
    heading(figure, title_of(report, "Magnitude"), "; ".join(report.notes[:1]))
    return figure


def detections(report: Report) -> Picture:
    """How many stations saw each event, from its first trigger to its end. Arrays: time, station_count, duration."""
    when = np.array([date2num(np.datetime64(str(text).rstrip("Z"))) for text in report.arrays["time"]], float)
    count, last = np.asarray(report.arrays["station_count"], int), np.asarray(report.arrays["duration"], float)
    searched = report.facts["stations"].value
    figure = new(9.0, 3.8, events=len(when))
    ax = figure.add_subplot(label="events")
    for start, seen, seconds in zip(when, count, last, strict=True):
        ax.plot([start, start + max(float(seconds), 0.0) / 86400], [seen, seen], color=P_COLOUR, lw=4, solid_capstyle="butt")
        ax.plot([start], [seen], marker="o", ms=6, color=S_COLOUR)
    ax.axhline(searched, color=QUIET, lw=0.8, ls=":")
    locator: Any = AutoDateLocator()
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    ax.set_xlabel("time (UTC)")
    ax.set_ylabel("stations that saw it")
    ax.set_ylim(0, searched + 0.6)
    ax.margins(x=0.1)
    ax.grid(color="#dddddd", lw=0.5)
    said = f"point: first trigger; bar: until it ended; dotted: {searched} stations searched" if len(when) else "no event"
    heading(figure, title_of(report, "Events"), said)
    return figure
