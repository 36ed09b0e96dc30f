"""Wells against seismic: the tie, the wavelet with its spectrum, blind wells, elastic logs from angles, horizons at wells, evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from moho.plot_frame import INK, P_COLOUR, QUIET, S_COLOUR, Picture, heading, new, title_of
from moho.survey import Array, Report, Seismic, Well
from moho.units import show

GRID: dict[str, Any] = {"color": "#dddddd", "lw": 0.5}


def tie(data: Well) -> Picture:
    """Trace, synthetic before and after, both laid over one another, and the wavelet, over two-way time."""
    kept: Mapping[str, Any] = data.view["tie"]
    time, trace, model, before = (np.asarray(kept[name], float) for name in ("time", "trace", "synthetic", "before"))
    facts = data.facts
    figure = new(9.0, 7.6, correlation=facts["correlation"].value, shift_ms=facts["shift"].value, phase_deg=facts["phase"].value)
    panels = figure.subplots(1, 4, width_ratios=[1, 1, 1.5, 1.1])
    largest = float(max(np.abs(trace).max(), np.abs(model).max())) or 1.0
    applied = not (data.notes and "left as it was" in data.notes[0])
    tied, refused = ("synthetic, tied", "") if applied else ("best fit, not applied", " (found, not applied)")
    for ax, values, name in zip(panels[:2], (before, model), ("synthetic before", tied), strict=True):
        _wiggle(ax, time, values, largest)
        ax.set_title(name)
    ax = panels[2]
    ax.plot(trace, time, color=INK, lw=1.1, label="trace at the well")
    ax.plot(model, time, color=S_COLOUR, lw=1.1, ls="--", label=tied)
    ax.set_title("trace and synthetic")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    for ax, label in zip(panels[:3], ("before", "after", "both"), strict=True):
        ax.set_label(label)
        ax.set_ylim(float(time[-1]), float(time[0]))
        ax.set_xlim(-1.2 * largest, 1.2 * largest)
        ax.set_xlabel("amplitude")
        ax.grid(axis="y", **GRID)
    panels[0].set_ylabel("two-way time (s)")
    for ax in panels[1:3]:
        ax.tick_params(labelleft=False)
    wavelet = np.asarray(kept["wavelet"], float)
    at = 1000 * float(kept["dt"]) * (np.arange(len(wavelet)) - len(wavelet) // 2)
    ax = panels[3]
    ax.set_label("wavelet")
    ax.plot(wavelet, at, color=P_COLOUR, lw=1.2)
    ax.axvline(0, **GRID)
    ax.axhline(0, **GRID)
    ax.set_ylim(float(at[-1]), float(at[0]))
    ax.set_title(f"wavelet, {facts['phase'].value:.0f}°")
    ax.set_xlabel("amplitude (largest 1)")
    ax.set_ylabel("time (ms)")
    said = (
        f"correlation {facts['correlation'].value:.2f}, blind {facts['blind'].value:.2f}, random traces reach {facts['chance'].value:.2f}; "
        f"shift {show(facts['shift'].value)} ms, stretch {show(facts['stretch'].value)} %{refused}; CDP {facts['cdp'].value}"
        + (f", {facts['distance'].value:.0f} m from the well" if "distance" in facts else "")
    )
    heading(figure, f"Tie of {title_of(data, data.well_name or 'the well')}", f"{said}; {data.notes[0].split(':')[0] if data.notes else ''}")
    return figure


def completed(data: Well) -> Picture:
    """Time against depth with the tops, velocity between the checkshots with the sonic's, and the way of a hole that is not vertical."""
    kept: Mapping[str, Any] = data.view["completed"]
    assert data.checkshot_depth is not None
    assert data.checkshot_time is not None
    depth, time = data.checkshot_depth, data.checkshot_time
    bent = data.track is not None and float(np.ptp(data.track[:, 0]) + np.ptp(data.track[:, 1])) > 25
    figure = new(11.0 if bent else 8.4, 7.0, shots=len(depth), tops=len(data.tops), zero_time_depth=data.facts["time_zero"].value)
    panels = figure.subplots(1, 3 if bent else 2, width_ratios=[1.25, 1, 0.9] if bent else [1.25, 1])
    low, high = min(float(depth[0]), float(data.depth[0])), max(float(depth[-1]), float(data.depth[-1]))
    name = f"depth, {data.measured} (m)"
    ax = panels[0]
    ax.set_label("time")
    ax.plot(time, depth, color=P_COLOUR, lw=1.1, marker="o", ms=3.5, label="checkshots")
    ax.set_xlabel("two-way time (s)")
    ax.set_ylabel(name)
    ax.set_xlim(min(0.0, float(time[0])), float(time[-1]) * 1.03)
    ax = panels[1]
    ax.set_label("velocity")
    speed = np.asarray(kept["shots"], float)
    shown = np.asarray(kept["velocity"], float)
    ax.plot(shown, np.asarray(kept["depth"], float), color=QUIET, lw=0.8, label="sonic, 10 m blocks")
    ax.stairs(speed, depth, orientation="horizontal", baseline=None, color=P_COLOUR, lw=1.4, label="checkshots, interval")
    ax.set_xlabel("velocity (m/s)")
    fastest = max(float(speed.max()), float(np.quantile(shown, 0.995)) if len(shown) else 0.0)
    ax.set_xlim(0.9 * float(min(speed.min(), shown.min(initial=np.inf))), 1.08 * fastest)
    ax.tick_params(labelleft=False)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    inside = sorted((place, top) for top, place in data.tops.items() if low <= place <= high)
    at = _apart(np.array([place for place, _ in inside]), 0.019 * (high - low))
    for (place, top), beside in zip(inside, at, strict=True):
        for one in panels[:2]:
            one.axhline(place, color="#8e3b00", lw=0.6, ls=(0, (6, 3)))
        ax.annotate(
            top[:20], xy=(1.0, place), xytext=(1.07, beside), xycoords=ax.get_yaxis_transform(), textcoords=ax.get_yaxis_transform(), fontsize=7.2,
            va="center", color="#8e3b00", annotation_clip=False, arrowprops={"arrowstyle": "-", "lw": 0.4, "color": "#8e3b00", "relpos": (0, 0.5)},
        )  # fmt: skip
    for ax in panels[:2]:
        ax.set_ylim(high, low)
        ax.axhspan(float(data.depth[0]), float(data.depth[-1]), color="#f4f1ea", lw=0, zorder=0)
        ax.grid(**GRID)
    if bent and data.track is not None:
        ax = panels[2]
        ax.set_label("plan")
        east, north = data.track[:, 0] - data.track[0, 0], data.track[:, 1] - data.track[0, 1]
        ax.plot(east, north, color=INK, lw=1.2)
        ax.plot(0, 0, marker="o", color=INK)
        ax.set_aspect("equal", adjustable="datalim")
        ax.set_xlabel("east of the wellhead (m)")
        ax.set_ylabel("north of the wellhead (m)")
        ax.grid(**GRID)
    words = f"{len(depth)} checkshots, time zero at {show(data.facts['time_zero'].value)} m"
    words += f"; logs over the shaded depths, {data.depth[0]:.5g} to {data.depth[-1]:.5g} m"
    words += f"; {len(data.tops)} tops" if data.tops else ""
    heading(figure, f"{title_of(data, data.well_name or 'Well')}: time, depth and velocity", words)
    return figure


def _apart(places: Array, least: float) -> Array:
    """The places moved as little as it takes to stand `least` apart, in order."""
    runs: list[tuple[float, int]] = []  # (middle, labels)
    for place in places:
        runs.append((float(place), 1))
        while len(runs) > 1 and runs[-1][0] - runs[-2][0] < least * (runs[-1][1] + runs[-2][1]) / 2:
            (b, m), (a, n) = runs.pop(), runs.pop()
            runs.append(((a * n + b * m) / (n + m), n + m))
    return np.array([middle + least * (i - (count - 1) / 2) for middle, count in runs for i in range(count)])


def wavelet(data: Seismic) -> Picture:
    """A wavelet over time, and its amplitude spectrum."""
    figure = new(8.6, 4.2, phase=data.facts["phase"].value if "phase" in data.facts else None)
    left, right = figure.subplots(1, 2)
    values, time = data.data[0].astype(float), 1000 * data.times
    left.set_label("wavelet")
    left.plot(time, values, color=P_COLOUR, lw=1.4)
    left.fill_between(time, 0, values, where=values > 0, color=P_COLOUR, alpha=0.15, lw=0)
    left.axvline(0, color=QUIET, lw=0.7, ls=":")
    left.axhline(0, color=QUIET, lw=0.5)
    left.set_xlabel("time (ms)")
    left.set_ylabel("amplitude (largest 1)")
    right.set_label("spectrum")
    count = max(512, 4 * len(values))
    size, frequency = np.abs(np.fft.rfft(values, count)), np.fft.rfftfreq(count, data.dt)
    right.plot(frequency, size / size.max(), color=S_COLOUR, lw=1.4)
    right.set_xlim(0, float(frequency[-1]))
    right.set_ylim(0, 1.05)
    right.set_xlabel("frequency (Hz)")
    right.set_ylabel("amplitude, share of the peak")
    for ax in (left, right):
        ax.grid(**GRID)
    shown = [f"{quantity.label} {quantity}" for key, quantity in data.facts.items() if key in ("peak_frequency", "phase", "correlation", "quality")]
    heading(figure, title_of(data, "Wavelet"), "; ".join(shown))
    return figure


def elastic(data: Seismic) -> Picture:
    """Vp, Vs and density at one gather: inverted, low-frequency prior and the well's logs, over two-way time."""
    kept: Mapping[str, Any] = data.view["elastic"]
    time = np.asarray(kept["time"], float)
    figure = new(8.6, 7.4, cdp=kept["cdp"])
    panels = figure.subplots(1, 3, sharey=True)
    names = (("vp", "P velocity (m/s)"), ("vs", "S velocity (m/s)"), ("density", "density (kg/m3)"))
    for ax, (name, label) in zip(panels, names, strict=True):
        ax.set_label(name)
        ax.plot(kept[f"{name}_log"], time, color=INK, lw=0.9, label="well")
        ax.plot(kept[f"{name}_prior"], time, color=QUIET, lw=1.0, ls="--", label="low-frequency prior")
        ax.plot(kept[name], time, color=S_COLOUR, lw=1.3, label="inverted")
        ax.set_xlabel(label)
        ax.grid(**GRID)
    panels[0].set_ylabel("two-way time (s)")
    panels[0].set_ylim(float(time[-1]), float(time[0]))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    shown = [f"{name} {data.facts[f'correlation_{name}'].value:.2f}" for name, _ in names if f"correlation_{name}" in data.facts]
    said = f"correlation with the well below the seismic's upper end: {', '.join(shown)}" if shown else "the well is not at these gathers"
    heading(figure, f"Elastic properties at CDP {kept['cdp']}", f"{said}; misfit {show(data.facts['misfit'].value)} %")
    return figure


def blind_wells(report: Report) -> Picture:
    """The low-frequency impedance of each well, and what the others make of it."""
    names = report.labels["names"].split(";")
    figure = new(max(5.5, 2.6 * len(names)), 7.2, wells=names)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    low = min(float(report.arrays[f"{_key(name)}_time"][0]) for name in names)
    high = max(float(report.arrays[f"{_key(name)}_time"][-1]) for name in names)
    for ax, name in zip(panels, names, strict=True):
        key = _key(name)
        ax.set_label(name)
        time = report.arrays[f"{key}_time"]
        ax.plot(report.arrays[f"{key}_truth"] / 1e6, time, color=INK, lw=1.5, label="the well's own")
        ax.plot(report.arrays[f"{key}_before"] / 1e6, time, color=QUIET, lw=1.0, ls="--", label="nearest well, constant time")
        ax.plot(report.arrays[f"{key}_after"] / 1e6, time, color=S_COLOUR, lw=1.3, label=report.labels.get("after", "all wells along tops"))
        before, after = report.facts[f"before_{key}"].value, report.facts[f"correlation_{key}"].value
        ax.set_title(f"{name}\n{before:.2f} → {after:.2f}")
        ax.set_xlabel("impedance ($10^{6}$ kg/m2/s)")
        ax.grid(**GRID)
    panels[0].set_ylim(high, low)
    panels[0].set_ylabel("two-way time (s)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    heading(figure, title_of(report, "Blind wells"), f"correlation before → after; {report.notes[0] if report.notes else ''}")
    return figure


def horizon_at_wells(report: Report) -> Picture:
    """Horizon times at the wells, with the times of a top where one was named."""
    names = [str(name) for name in report.arrays["well"]]
    figure = new(max(6.0, 1.3 * len(names) + 2), 4.8, wells=names)
    ax = figure.add_subplot(label="times at wells")
    at = np.arange(len(names))
    ax.plot(at, report.arrays["horizon_time"], "o", color=P_COLOUR, ms=7, label="horizon")
    values = [np.asarray(report.arrays["horizon_time"], float)]
    if "top_time" in report.arrays:
        ax.plot(at, report.arrays["top_time"], "_", color=S_COLOUR, ms=20, mew=2, label=report.labels.get("top", "top"))
        values.append(np.asarray(report.arrays["top_time"], float))
        for i, gap in enumerate(np.asarray(report.arrays["mistie_ms"], float)):
            if np.isfinite(gap):
                ax.annotate(f"{gap:+.1f} ms", (float(i), float(values[0][i])), (9, 0), textcoords="offset points", fontsize=8, va="center")
        ax.legend()
    known = np.concatenate(values)
    known = known[np.isfinite(known)]
    if len(known):
        room = 0.2 * float(np.ptp(known)) or 0.02
        ax.set_ylim(float(known.max()) + room, float(known.min()) - room)
    ax.set_xlim(-0.6, len(names) - 0.2)
    ax.set_xticks(at, names)
    ax.set_xlabel("well")
    ax.set_ylabel(report.labels.get("y", "two-way time (s)"))
    ax.grid(axis="y", **GRID)
    heading(figure, title_of(report, "Horizon at wells"), "; ".join(report.notes[:2]))
    return figure


def evidence(report: Report) -> Picture:
    """A table: what, how much, in which unit, said by which data."""
    rows = list(zip(*(np.asarray(report.arrays[name]).astype(str) for name in ("what", "value", "unit", "source")), strict=True))[:32]
    left = len(report.arrays["what"]) - len(rows)
    figure = new(10.5, 1.2 + 0.26 * (len(rows) + 1), rows=len(report.arrays["what"]))
    ax = figure.add_subplot(label="evidence")
    ax.set_axis_off()
    places = (0.0, 0.46, 0.65, 0.74)
    ax.set_xlim(0, 1)
    ax.set_ylim(len(rows) + 0.6, -0.6)
    for x, word in zip(places, ("what", "value", "unit", "source"), strict=True):
        ax.text(x, 0, word, fontweight="bold", fontsize=8.5, va="center")
    ax.axhline(0.5, color=INK, lw=0.8)
    before = ""
    for number, row in enumerate(rows, 1):
        if row[3] != before and number > 1:
            ax.axhline(number - 0.5, **GRID)
        before = row[3]
        for x, word, most in zip(places, row, (62, 26, 10, 36), strict=True):
            ax.text(x, number, word if len(word) <= most else word[: most - 1] + "…", fontsize=8.5, va="center", color=INK)
    said = "; ".join(report.notes[:2]) + (f"; {left} more rows not shown" if left else "")
    heading(figure, title_of(report, "Evidence"), said)
    return figure


def _wiggle(ax: Axes, time: Array, values: Array, largest: float) -> None:
    """One trace downwards, positive lobes filled."""
    ax.plot(values, time, color=INK, lw=0.9)
    ax.fill_betweenx(time, 0, values, where=values > 0, color=INK, alpha=0.75, lw=0)
    ax.set_xlim(-1.2 * largest, 1.2 * largest)


def _key(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)
