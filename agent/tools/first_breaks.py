"""First breaks of shot gathers: the time at which each trace first moves, with its uncertainty, made to follow one moveout.

What comes out goes straight into `tomography`. Onsets of earthquakes are in `earthquakes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from moho.agent.registry import Cost, tool
from moho.agent.tools.earthquakes import split
from moho.errors import Refusal
from moho.survey import Array, Data, Gather, Table, noun
from moho.units import Quantity, Seconds, Velocity

LEAST_RISE = 2.0  # ratio of amplitudes, one period after to two before, of an onset worth looking at
FLOOR = 1e-3  # of a trace's largest amplitude: below it nothing counts, not even the noise of arithmetic
NEIGHBOURS = 4  # traces either side that say where a first break is expected
FEWEST = 5  # traces on one side of a shot for such a check
SHOWN = 400  # traces kept for the picture


def _cost(gather: Gather, **_: Any) -> Cost:
    return Cost(1 + 1e-3 * len(gather.data), 2e8 + 40.0 * gather.data.size)


@tool(
    discipline="seismic",
    stage="interpretation",
    cost=_cost,
    reference="Coppens 1985, First arrival picking on common-offset trace collections, Geophys. Prospect. 33; Maeda 1985, Zisin 38 (AIC)",
    truth="made shots over two layers with noise of 5 % of the first arrival: 95 % of the onsets within 3 ms of the truth at 1 ms sampling, "
    "two thirds of them within 1.5 of their uncertainty",
    say=(
        "Pick the first breaks of {gather}",
        "first breaks {gather} pls",
        "pick first arrivals on the shot gathers {gather}",
        "FB picking of {gather}, the {event}",
        "when does each trace of {gather} first move?",
        "autopick refraction first arrivals in {gather} between {slowest} and {fastest}",
        "get the first-arrival times from {gather} for tomography",
        "please to pick the first onset in all traces of {gather}, not later than {latest}",
        "first break times with their errors from {gather}",
        "I need refraction picks from {gather}",
    ),
)
def pick_first_breaks(
    gather: Gather,
    event: Annotated[Literal["onset", "peak", "trough"], "part of the first arrival that is timed"] = "onset",
    slowest: Annotated[Velocity, "lowest velocity of a first arrival"] = 150.0,
    fastest: Annotated[Velocity, "highest velocity of a first arrival"] = 8000.0,
    latest: Annotated[Seconds, "time after which no first break is looked for"] | None = None,
) -> Table:
    """A table of the first-break times of shot gathers, s, with an uncertainty each, in metres and seconds: what refraction_tomography takes.

    Candidates are the peaks of the energy ratio, one dominant period after to two before, at times that offset and the two velocities
    allow. The first candidate is taken, then the one nearest to the line through up to four neighbours on either side; what is more than
    a period off that line is left out. The onset is where Maeda's AIC is least. A zero-phase source, a vibrator's or a Ricker, is timed at
    its "peak" or "trough". Uncertainty: width of the AIC minimum (half a sample for a peak), scatter about the neighbours and half a sample.
    """
    if not isinstance(gather, Gather):
        held = noun(type(gather)) if isinstance(gather, Data) else repr(gather)[:60]
        raise TypeError(f"pick_first_breaks needs shot gathers; this is {held}")
    if not slowest < fastest:
        raise ValueError(f"need slowest < fastest, got {slowest:g} and {fastest:g} m/s")
    if gather.angle is not None or (gather.shot is None and gather.source_x is None):
        raise Refusal("E_GEOMETRY", f"{gather.title or 'this'} is no set of shot gathers: its traces name no shot.")
    data = np.asarray(gather.data, float)
    broken: Array = ~np.isfinite(data).all(axis=1)
    dead: Array = ~broken & (np.ptp(np.where(broken[:, None], 0.0, data), axis=1) == 0)
    live = ~broken & ~dead
    if not live.any():
        raise Refusal("E_DATA", f"all {len(data)} traces are unusable: {int(dead.sum())} dead, {int(broken.sum())} with NaN or infinite samples.")
    notes = []
    if broken.any() or dead.any():
        notes.append(f"left out: {int(dead.sum())} dead traces and {int(broken.sum())} with NaN or infinite samples")
    data[~live] = 0.0
    data -= np.median(data, axis=1, keepdims=True)
    period = _period(data[live], gather.dt)
    if data.shape[1] * gather.dt < 4 * period:
        said = f"{data.shape[1]} samples of {1000 * gather.dt:g} ms hold {data.shape[1] * gather.dt / period:.2g} periods of {1000 * period:.3g} ms"
        raise Refusal("E_DATA", f"the records are too short for a first break: {said}; 4 are the least.")
    shots = gather.shot if gather.shot is not None else np.unique(np.asarray(gather.source_x), return_inverse=True)[1]
    groups = _groups(gather, np.asarray(shots), live)
    found: list[Found] = []
    unchecked = gone = 0
    for rows in groups:
        picked, missed, checked = _side(data, gather, rows, period, (slowest, fastest), latest, event)
        found += picked
        gone += missed
        unchecked += 0 if checked else len(picked)
    if len(found) < 1:
        said = f"no first break on {int(live.sum())} live traces: none rises {LEAST_RISE:g}-fold where {slowest:g} to {fastest:g} m/s allow it"
        raise Refusal("E_DATA", f"{said}.", "Look at the gather; filter it, or give other velocities.")
    found.sort(key=lambda pick: pick.trace)
    trace = np.array([pick.trace for pick in found])
    times, errors = np.array([pick.time for pick in found]), np.array([pick.error for pick in found])
    offset = np.asarray(gather.offset, float)[trace]
    columns: dict[str, Array] = {"trace": trace, "shot": np.asarray(shots)[trace], "offset": offset, "time": times, "uncertainty": errors}
    for name in ("source_x", "receiver_x", "source_depth", "receiver_depth"):
        if (held := getattr(gather, name)) is not None:
            columns[name] = np.asarray(held, float)[trace]
    if gather.source_x is None or gather.receiver_x is None:
        notes.append("no source and receiver positions: these picks have offsets only, and no tomography can take them")
    if gone:
        why = f"no rise, or more than a period ({1000 * period:.3g} ms) off their neighbours"
        notes.append(f"{gone} of {int(live.sum())} live traces have no pick: {why}")
    if unchecked:
        notes.append(f"{unchecked} picks on sides of shots with fewer than {FEWEST} traces were not checked against neighbours")
    notes.append(
        f"energy ratio over {1000 * period:.3g} ms (the dominant period) after to twice that before, then " + ("AIC" if event == "onset" else event)
        + f"; moveout between {slowest:g} and {fastest:g} m/s"
    )  # fmt: skip
    if event == "onset":
        notes.append("the onset of a causal source; for a vibrator or another zero-phase source time the peak or trough instead")
    far = offset > np.median(offset)
    facts = {
        "picks": Quantity(len(found), "", "first breaks picked"),
        "live": Quantity(int(live.sum()), "", "live traces"),
        "left_out": Quantity(len(data) - len(found), "", "traces without a pick"),
        "time_range": Quantity([float(f"{t:.6g}") for t in (times.min(), times.max())], "s", "first-break time range"),
        "uncertainty": Quantity(float(f"{1000 * np.median(errors):.4g}"), "ms", "median pick uncertainty"),
        "period": Quantity(float(f"{1000 * period:.4g}"), "ms", "dominant period"),
        "shots": Quantity(len(np.unique(columns["shot"])), "", "shots picked"),
    }
    if far.sum() >= FEWEST and np.ptp(offset[far]) > 0:
        slope = float(np.polyfit(offset[far], times[far], 1)[0])
        if slope > 0:
            facts["far_velocity"] = Quantity(float(f"{1 / slope:.4g}"), "m/s", "apparent velocity over the farther half of the offsets")
    some = np.flatnonzero(np.isin(np.asarray(shots), np.unique(np.asarray(shots)[live])[: max(1, SHOWN // max(1, len(data) // max(1, len(groups))))]))
    some = some[:SHOWN]
    last = min(data.shape[1], int((times.max() - gather.t0) / gather.dt + 6 * period / gather.dt))
    peak = np.maximum(np.abs(data[some, :last]).max(axis=1, keepdims=True), 1e-30)
    section = (data[some, :last] / peak).astype(np.float32)
    view = {"first_breaks": event, "shown": some, "section": section, "begin": np.array([gather.t0, gather.dt])}
    title = f"first breaks of {gather.title or 'the shots'}"
    return Table(title=title, facts=facts, notes=tuple(notes), columns=columns, view=view)


@dataclass(frozen=True)
class Found:
    """A first break."""

    trace: int
    time: float  # s
    error: float  # s


def _period(live: Array, dt: float) -> float:
    """Dominant period of the traces, each of unit energy, s: that of the middle of their power spectrum."""
    power = np.mean(np.abs(np.fft.rfft(live / np.sqrt(np.sum(live**2, axis=1, keepdims=True)), axis=1)) ** 2, axis=0)
    frequency = np.fft.rfftfreq(live.shape[1], dt)
    centre = float((frequency * power).sum() / power.sum())
    return 1 / min(max(centre, 2 / (live.shape[1] * dt)), 0.25 / dt)


def _groups(gather: Gather, shots: Array, live: Array) -> list[Array]:
    """Live traces of one side of one shot, from near to far."""
    offset = np.asarray(gather.offset, float)
    side = np.zeros(len(offset))
    if gather.source_x is not None and gather.receiver_x is not None:
        side = np.sign(np.asarray(gather.receiver_x, float) - np.asarray(gather.source_x, float))
    found = []
    for shot in np.unique(shots):
        for way in (-1.0, 1.0) if np.any(side) else (0.0,):
            rows = np.flatnonzero((shots == shot) & live & ((side == way) | ((side == 0) & (way == 1.0)) | (way == 0.0)))
            if len(rows):
                found.append(rows[np.argsort(np.abs(offset[rows]), kind="stable")])
    return found


def _side(
    data: Array, gather: Gather, rows: Array, period: float, speeds: tuple[float, float], latest: float | None, event: str
) -> tuple[list[Found], int, bool]:
    """(first breaks along one side of one shot, traces without one, whether there were neighbours to check by)."""
    dt, t0 = gather.dt, gather.t0
    offset = np.abs(np.asarray(gather.offset, float)[rows])
    width = max(round(period / dt), 2)
    onsets, candidates = np.full(len(rows), np.nan), []
    for i, row in enumerate(rows):
        early = offset[i] / speeds[1] - period
        late = min(offset[i] / speeds[0] + 2 * period, np.inf if latest is None else latest)
        first, last = (int(np.clip(round((t - t0) / dt), 0, data.shape[1])) if np.isfinite(t) else data.shape[1] for t in (early, late))
        candidates.append([t0 + dt * k for k in _rises(data[row], first, last, width)])
        if candidates[-1]:
            onsets[i] = candidates[-1][0]
    checked = int(np.isfinite(onsets).sum()) >= FEWEST
    if checked:
        for _ in range(3):  # what one wild neighbour spoils in the first round is mended in the next
            expected = _expected(offset, onsets)
            for i, times in enumerate(candidates):
                away = np.abs(np.array(times) - expected[i])
                onsets[i] = times[int(np.argmin(away))] if len(away) and away.min() <= period else np.nan
    breaks, widths = np.full(len(rows), np.nan), np.zeros(len(rows))
    for i in np.flatnonzero(np.isfinite(onsets)).tolist():
        breaks[i], widths[i] = _refined(data[rows[i]], round((onsets[i] - t0) / dt), width, event, gather)
    scatter = 0.0
    if checked:
        expected = _expected(offset, breaks)
        good = np.isfinite(breaks) & np.isfinite(expected)
        away = breaks - expected
        spread = 1.4826 * float(np.median(np.abs(away[good]))) if good.any() else 0.0
        breaks[np.abs(away) > max(4 * spread, period / 2)] = np.nan
        scatter = spread / np.sqrt(1 + 1 / NEIGHBOURS)  # the line through the neighbours has an error too
    kept = np.flatnonzero(np.isfinite(breaks))
    found = [Found(int(rows[i]), float(breaks[i]), float(np.sqrt(widths[i] ** 2 + scatter**2 + (dt / 2) ** 2))) for i in kept]
    return found, len(rows) - len(found), checked


def _rises(x: Array, first: int, last: int, width: int) -> list[int]:
    """Samples in [first, last) where the energy ratio peaks above LEAST_RISE squared, in order of time."""
    power = np.concatenate(([0.0], np.cumsum(x**2)))
    k = np.arange(max(first, 3), min(last, len(x) - width))
    if not len(k):
        return []
    before = (power[k] - power[np.maximum(k - 2 * width, 0)]) / np.minimum(k, 2 * width)
    after = (power[k + width] - power[k]) / width
    ratio = after / (before + (FLOOR * float(np.abs(x).max())) ** 2)
    from scipy.signal import find_peaks

    peaks, _ = find_peaks(np.concatenate(([0.0], ratio, [0.0])), height=LEAST_RISE**2, distance=width)
    return [int(k[p - 1]) for p in peaks]


def _expected(offset: Array, times: Array) -> Array:
    """(trace,) s on the line of median slope through the neighbours (Theil and Sen); NaN where fewer than three have a time."""
    expected = np.full(len(times), np.nan)
    known = np.flatnonzero(np.isfinite(times))
    for i in range(len(times)):
        others = known[known != i]
        near = np.concatenate([others[others < i][-NEIGHBOURS:], others[others > i][:NEIGHBOURS]])
        if len(near) < 3:
            continue
        a, b = np.triu_indices(len(near), 1)
        run = offset[near[b]] - offset[near[a]]
        steep = (times[near[b]] - times[near[a]])[run != 0] / run[run != 0]
        slope = np.median(steep) if len(steep) else 0.0
        expected[i] = np.median(times[near] + slope * (offset[i] - offset[near]))
    return expected


def _refined(x: Array, at: int, width: int, event: str, gather: Gather) -> tuple[float, float]:
    """(time s, width of the doubt s) of the first break near sample `at`."""
    first, last = max(at - 2 * width, 0), min(at + width, len(x))
    if event == "onset":
        floor = FLOOR * float(np.abs(x).max()) * np.cos(np.arange(last - first))  # what is quieter than this counts as silence
        best, doubt = split((x[first:last] + floor)[None], 1.0)
        return gather.t0 + gather.dt * (first + best), doubt * gather.dt
    last = min(at + 2 * width, len(x))
    part = x[at:last] if event == "peak" else -x[at:last]
    large = 0.5 * float(part.max())
    k = next((j for j in range(1, len(part) - 1) if part[j] >= max(part[j - 1], part[j + 1], large) and part[j] > 0), int(np.argmax(part)))
    if not 0 < k < len(part) - 1:
        return gather.t0 + gather.dt * (at + k), gather.dt / 2
    bend = part[k - 1] - 2 * part[k] + part[k + 1]
    return gather.t0 + gather.dt * (at + k + (0.5 * (part[k - 1] - part[k + 1]) / bend if bend else 0.0)), gather.dt / 2
