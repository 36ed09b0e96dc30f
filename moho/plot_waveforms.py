"""Seismograms over UTC with picks and, for a few traces, their spectrograms; picks alone as a time-station diagram."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from moho.plot_frame import INK, P_COLOUR, QUIET, S_COLOUR, Picture, arrange, colour_bar, heading, new, title_of
from moho.plot_ranges import robust
from moho.survey import Array, Picks, Waveforms
from moho.units import show

MOST = 12  # channels that can be read on one page
POINTS = 6000  # samples drawn of one channel; longer ones as the envelope of their extremes
COLOURS = {"P": P_COLOUR, "S": S_COLOUR}


def seismograms(data: Waveforms) -> Picture:
    """One row a channel, NET.STA.LOC.CHA, on one UTC axis; below each its spectrogram when there are at most three."""
    by_channel: dict[str, list[Any]] = {}
    for trace in data.stream:
        by_channel.setdefault(trace.id, []).append(trace)
    ids = _chosen(sorted(by_channel))
    start, end = _interval(data, [trace for name in ids for trace in by_channel[name]])
    spectra = len(ids) <= 3 and bool(data.view.get("spectrogram", True))
    rows = [(name, kind) for name in ids for kind in (("trace", "spectrogram") if spectra else ("trace",))]
    height = 1.1 + sum(1.5 if kind == "spectrogram" else (1.25 if len(ids) <= 3 else max(0.62, 6.5 / len(ids))) for _, kind in rows)
    figure = new(10.5, min(max(height, 3.4), 10.5), quantity=data.quantity, unit=data.unit, start=_iso(start), end=_iso(end), channels=list(ids))
    axes = np.atleast_1d(figure.subplots(len(rows), 1, sharex=True))
    arrange(figure, h_pad=0.015, hspace=0.0)
    picks = _picks(data)
    for ax, (name, kind) in zip(axes, rows, strict=True):
        ax.set_label(f"{name} {kind}")
        if kind == "trace":
            _trace(ax, by_channel[name], name, start, data.unit, few=len(ids) <= 3)
        else:
            _spectrogram(figure, ax, by_channel[name], start, data)
        _onsets(ax, picks, name, start, kind == "trace")
    _utc(axes[-1], start, 0.0, (end - start).total_seconds() or 1.0)
    band = f"band {data.band[0]:g}-{data.band[1]:g} Hz" if data.band else "no filter recorded"
    parts = [f"{data.quantity} in {data.unit}" if data.quantity != "counts" else "raw counts", band]
    if not len(ids) <= 3:
        parts.append("each trace on its own scale, largest amplitude at the right")
    if len(ids) < len(by_channel):
        parts.append(f"{len(ids)} of {len(by_channel)} channels")
    if picks:
        parts.append("P blue, S red, shaded ± uncertainty")
    if data.band:
        figure.parameters["band_hz"] = list(data.band)
    heading(figure, title_of(data, "Seismograms"), "; ".join(parts))
    return figure


def picks(data: Picks) -> Picture:
    """Onsets by station in order of arrival, with uncertainties."""
    earliest: dict[str, float] = {}
    for station, time in zip(data.station, data.time, strict=True):
        earliest[str(station)] = min(float(time), earliest.get(str(station), np.inf))
    order = sorted(earliest, key=lambda name: (earliest[name], name))
    row = {name: number for number, name in enumerate(order)}
    figure = new(9.0, float(np.clip(1.7 + 0.34 * len(order), 3.2, 11.0)), origin=data.origin, picks=len(data.time))
    ax = figure.add_subplot(label="picks")
    begin = _parse(data.origin)
    for phase in dict.fromkeys(str(p) for p in data.phase):
        which = np.flatnonzero(np.asarray([str(p) == phase for p in data.phase]))
        colour = COLOURS.get(phase[:1], INK)
        y = [row[str(data.station[i])] for i in which]
        ax.errorbar(data.time[which], y, xerr=data.uncertainty[which], fmt="|", ms=13, mew=1.8, color=colour, elinewidth=1.0, capsize=3, label=phase)
    ax.set_yticks(range(len(order)), order)
    ax.set_ylim(len(order) - 0.4, -0.6)
    ax.set_ylabel("station")
    ax.grid(axis="x", color="#dddddd", lw=0.5)
    low, high = float((data.time - data.uncertainty).min()), float((data.time + data.uncertainty).max())
    room = max(0.06 * (high - low), 0.2)
    _utc(ax, begin, low - room, high + room)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, ncols=2, borderaxespad=0.1)
    spread = f"uncertainty {data.uncertainty.min():.3g} to {data.uncertainty.max():.3g} s"
    heading(figure, title_of(data, "Phase picks"), f"{len(data.time)} picks at {len(order)} stations; {spread}; bars are ± uncertainty")
    return figure


def _chosen(ids: list[str]) -> list[str]:
    """All channels, or the vertical ones, or every n-th, when the page is too short for all."""
    if len(ids) <= MOST:
        return ids
    vertical = [name for name in ids if name.endswith("Z")]
    kept = vertical or ids
    return [kept[i] for i in np.unique(np.linspace(0, len(kept) - 1, min(len(kept), MOST)).round().astype(int))]


def _interval(data: Waveforms, traces: list[Any]) -> tuple[datetime, datetime]:
    start = _parse(str(data.view["start"])) if "start" in data.view else _utc_of(min(t.stats.starttime for t in traces))
    end = _parse(str(data.view["end"])) if "end" in data.view else _utc_of(max(t.stats.endtime for t in traces))
    return start, end


def _utc_of(time: Any) -> datetime:
    moment: datetime = time.datetime
    return moment.replace(tzinfo=UTC)


def _parse(text: str) -> datetime:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(trace: Any, start: datetime) -> Array:
    """(sample,) s after the start of the picture."""
    first = (_utc_of(trace.stats.starttime) - start).total_seconds()
    return np.asarray(first + np.arange(len(trace.data)) * trace.stats.delta)


def _trace(ax: Axes, pieces: list[Any], name: str, start: datetime, unit: str, few: bool) -> None:
    """One channel, its gaps left open, its id and largest amplitude written in it."""
    largest, middle = 0.0, _offset(pieces)
    for piece in pieces:
        values: Array = np.ma.filled(np.ma.asarray(piece.data, dtype=float), np.nan) - middle
        seconds = _seconds(piece, start)
        if np.isfinite(values).any():
            largest = max(largest, float(np.nanmax(np.abs(values))))
        if len(values) > POINTS:
            seconds, values = _envelope(seconds, values)
        ax.plot(seconds, values, color=INK, lw=0.55)
    limit = 1.12 * largest or 1.0
    ax.set_ylim(-limit, limit)
    ax.set_ylabel(unit if few else "", fontsize=8)
    power = int(np.floor(np.log10(largest))) if largest > 0 else 0
    scale = 10.0**power if not -2 <= power <= 3 else 1.0
    ax.yaxis.set_major_locator(MaxNLocator(3, symmetric=True))
    if few:
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / scale:g}"))
        if scale != 1.0:
            ax.set_ylabel(f"$10^{{{power}}}$ {unit}", fontsize=8)
    else:
        ax.set_yticks([])
    box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8}
    ax.text(0.006, 0.94, name, transform=ax.transAxes, ha="left", va="top", fontsize=8, fontweight="bold", bbox=box, zorder=5)
    if not few:
        peak = f"{show(float(f'{largest:.3g}'))} {unit}" + (f" about {show(float(f'{middle:.3g}'))}" if middle else "")
        ax.text(0.994, 0.94, peak, transform=ax.transAxes, ha="right", va="top", fontsize=7.5, color=QUIET, bbox=box, zorder=5)


def _offset(pieces: list[Any]) -> float:
    """The median of a channel where it would push the seismogram to the edge of its row, else 0."""
    values = np.concatenate([np.ma.filled(np.ma.asarray(piece.data, dtype=float), np.nan) for piece in pieces])
    values = values[np.isfinite(values)]
    middle = float(np.median(values)) if len(values) else 0.0
    return middle if len(values) and abs(middle) > 0.25 * float(np.abs(values).max()) else 0.0


def _envelope(seconds: Array, values: Array) -> tuple[Array, Array]:
    """Smallest and largest value of each of POINTS / 2 stretches: what a screen can show of a long record."""
    width = int(np.ceil(len(values) / (POINTS // 2)))
    count = len(values) // width
    folded = values[: count * width].reshape(count, width)
    both = np.column_stack([folded.min(1), folded.max(1)]).ravel()
    middle = seconds[: count * width].reshape(count, width)[:, [0, width // 2]].ravel()
    return middle, both


def _spectrogram(figure: Picture, ax: Axes, pieces: list[Any], start: datetime, data: Waveforms) -> None:
    """Power in dB, each column over about a hundredth of the record, on the time axis of its seismogram."""
    from scipy.signal import spectrogram

    image: Any = None
    for piece in pieces:
        values: Array = np.nan_to_num(np.ma.filled(np.ma.asarray(piece.data, dtype=float), 0.0))
        rate = float(piece.stats.sampling_rate)
        width = int(2 ** np.clip(np.round(np.log2(max(len(values) / 60, 1))), 5, 9))
        if len(values) < 2 * width:
            continue
        frequency, time, power = spectrogram(values - values.mean(), rate, nperseg=width, noverlap=int(0.85 * width), detrend="linear")
        decibel = 10 * np.log10(power + power.max() * 1e-14 + 1e-300)
        low, high = robust(decibel, 20, 99.8)
        seconds = _seconds(piece, start)[0] + time
        image = ax.imshow(
            decibel, extent=(seconds[0], seconds[-1], frequency[0], frequency[-1]), origin="lower", aspect="auto", cmap="viridis",
            vmin=low, vmax=high, interpolation="bilinear",
        )  # fmt: skip
        ax.set_ylim(0, frequency[-1] if data.band is None or not data.band[1] < 0.45 * frequency[-1] else 2 * data.band[1])
    ax.set_ylabel("frequency (Hz)", fontsize=8)
    if image is not None:
        unit = f"({data.unit})" if "/" in data.unit else data.unit
        colour_bar(figure, image, ax, f"dB of\n{unit}²/Hz", aspect=12, pad=0.005, shrink=0.95)


def _picks(data: Waveforms) -> list[dict[str, Any]]:
    """`view["picks"]`: rows with station, phase, time (UTC) and uncertainty (s)."""
    return [dict(row) for row in data.view.get("picks", [])]


def _onsets(ax: Axes, rows: list[dict[str, Any]], name: str, start: datetime, label: bool) -> None:
    network, station = name.split(".")[:2]
    for row in rows:
        if str(row["station"]) not in (station, f"{network}.{station}", name) and not str(row["station"]).startswith(f"{network}.{station}."):
            continue
        at = (_parse(str(row["time"])) - start).total_seconds()
        phase = str(row["phase"])
        colour = COLOURS.get(phase[:1], INK)
        error = float(row.get("uncertainty") or 0.0)
        if error > 0:
            ax.axvspan(at - error, at + error, color=colour, alpha=0.22, lw=0, zorder=0.5)
        ax.axvline(at, color=colour, lw=1.1, zorder=4)
        if label:
            ax.annotate(phase, (at, 0.04), xycoords=("data", "axes fraction"), xytext=(2.5, 0), textcoords="offset points", color=colour, fontsize=9,
                        fontweight="bold", zorder=6)  # fmt: skip


def _clock(start: datetime, span: float) -> FuncFormatter:
    """Seconds after `start` as the time of day, with as many decimals as the span needs."""
    digits = 0 if span > 12 else 1 if span > 1.5 else 2 if span > 0.2 else 3

    def form(value: float, _: Any) -> str:
        moment = start + timedelta(seconds=round(float(value), 6))
        if span > 2 * 86400:
            return f"{moment:%m-%d %H:%M}"
        fraction = f"{moment.microsecond / 1e6:.{digits}f}"[1:] if digits else ""
        return f"{moment:%H:%M:%S}{fraction}"

    return FuncFormatter(form)


def _utc(ax: Axes, origin: datetime, low: float, high: float) -> None:
    """The shared axis, s after `origin`, marked at whole seconds, minutes or hours of UTC."""
    span = high - low
    ax.set_xlim(low, high)
    steps = [s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400) if span / s <= 9]
    step = steps[0] if steps else span / 6
    midnight = origin.replace(hour=0, minute=0, second=0, microsecond=0)
    first = (origin - midnight).total_seconds()
    ax.set_xticks(np.arange(np.ceil((first + low) / step) * step, first + high + 1e-6, step) - first)
    ax.xaxis.set_major_formatter(_clock(origin, span if step < 1 else 20 if span <= 172800 else span))
    start, end = origin + timedelta(seconds=low), origin + timedelta(seconds=high)
    ax.set_xlabel(f"UTC, {start:%Y-%m-%d}" if start.date() == end.date() else f"UTC, {start:%Y-%m-%d} to {end:%Y-%m-%d}")
