"""What a gather should not hold and what it lacks: multiples by the parabolic Radon transform, missing traces by f-x prediction.

Multiples of one period (water-layer reverberation) are taken out by `decon`; linear noise by `fk_filter`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Annotated

import numpy as np

from moho.agent.registry import Cost, tool
from moho.agent.tools.seismic_imaging import panels
from moho.agent.tools.seismic_processing import amplitudes, in_time, moveout, velocity_function, window_samples
from moho.errors import Refusal
from moho.survey import Array, Gather, Seismic
from moho.units import Count, Percent, Quantity, Seconds, TimeShift, Velocity

SWEEPS = 3  # solutions, each but the first weighted by the energy on the curves of the one before
FLOOR = 1e-3  # smallest weight of a curve, of the largest
BLOCK = 16  # frequencies solved at once
ROUNDS = 4  # filter, traces, filter, traces ...
POOR = 6.0  # dB of the check below which a filling is called untrustworthy
STRETCH = 1.0  # moveout stretch up to which multiples are modelled when the tool corrects the gather itself


def _radon_cost(gather: Gather, lowest: float = -0.1, highest: float = 0.4, **values: object) -> Cost:
    traces, samples = gather.data.shape
    curves = (highest - lowest) / gather.dt
    return Cost(1e-8 * traces * samples * curves, 6.0 * gather.data.nbytes)


@tool(
    discipline="seismic",
    stage="processing",
    cost=_radon_cost,
    reference="Hampson 1986, Inverse velocity stacking for multiple elimination, SEG Technical Program Expanded Abstracts, 422-424; Sacchi and "
    "Ulrych 1995, High-resolution velocity gathers and offset space reconstruction, Geophysics 60, 1169-1177",
    truth="primaries kept within 5 %, multiples down over 25 dB; the operator passes the dot test to 1e-10",
    say=(
        "Remove the multiples from {gather} with a Radon transform",
        "radon demultiple {gather}, cut at {cut}",
        "parabolic radon on {gather} pls, moveout {lowest} to {highest}, mute below {cut}",
        "Attenuate the long-period multiples in the NMO corrected gathers {gather}",
        "Take out everything with more than {cut} of residual moveout at the far offset from {gather}",
        "demultiple {gather}",
        "The CDP gathers {gather} still show slow events curving down after NMO, get rid of them",
        "please to make the multiple suppression of {gather} by Radon, velocities {velocity} at {time}",
        "high-resolution Radon {gather} qmin {lowest} qmax {highest} cut {cut}",
        "surface multiples in {gather}: model them between {cut} and {highest} and subtract",
    ),
)
def radon_demultiple(
    gather: Gather,
    cut: Annotated[TimeShift, "residual moveout at the far offset from which an event is a multiple"] = 0.04,
    lowest: Annotated[TimeShift, "smallest residual moveout at the far offset scanned"] = -0.1,
    highest: Annotated[TimeShift, "largest residual moveout at the far offset scanned"] = 0.4,
    velocity: Annotated[list[Velocity], "moveout velocities of a gather that is not yet corrected"] | None = None,
    time: Annotated[list[Seconds], "zero-offset times of the velocities"] | None = None,
    noise: Annotated[Percent, "damping"] = 1,
) -> Gather:
    """The gathers minus what curves down by more than `cut` at the far offset: multiples, modelled on parabolas and subtracted.

    After NMO an event is t = tau + q (x / far offset)^2: primaries have q near 0, multiples, slower, q above. Each frequency is solved
    by damped least squares, reweighted towards the curvatures that hold the energy of the whole gather. Only the model of the multiples
    is subtracted, so what fits no parabola stays. Expects NMO-corrected gathers; with `velocity` they are corrected, modelled and the
    multiples moved back out, and the result is uncorrected like the input.
    """
    if not lowest < cut < highest:
        raise ValueError(f"need lowest < cut < highest, got {lowest:g}, {cut:g} and {highest:g} s")
    record = gather.dt * gather.data.shape[1]
    if highest - lowest > record:
        raise Refusal("E_PHYSICS", f"the scan of {highest - lowest:g} s of moveout is longer than the record of {record:g} s.", "Scan less moveout.")
    data, live, notes = amplitudes(gather)
    flat, speeds, words = data, None, "the gather is taken to be NMO-corrected: without that a parabola fits no reflection"
    if velocity is not None:
        speeds = velocity_function(velocity, time, gather.times)
        flat = moveout(data, gather.offset, gather.times, speeds, STRETCH)[0]
        words = f"NMO applied for the model only, which ends where it stretches by more than {100 * STRETCH:g} %; the result is not NMO-corrected"
    far = float(np.abs(gather.offset[live]).max())
    top = _top(flat[live], gather.dt)
    curves = moveouts(lowest, highest, top)
    multiples = np.zeros_like(data)
    groups = panels(gather)
    few = 0
    for rows in groups:
        alive = rows[live[rows]]
        if len(alive) < 8 or np.ptp(gather.offset[alive]) == 0:
            few += 1
            continue
        multiples[alive] = _multiples(flat[alive], gather.dt, gather.offset[alive] / far, curves, cut, top, noise / 100)
    if few == len(groups):
        raise Refusal("E_GEOMETRY", "no gather has 8 live traces of different offsets: curvature cannot be told.", "Sort the data into CDP gathers.")
    if speeds is not None:
        multiples = _moved_back(multiples, gather.offset, gather.times, speeds)
    out = data - multiples
    out[~live] = 0
    energy = float(np.square(data, dtype=np.float64).sum())
    facts = {
        "removed": Quantity(100 * float(np.square(multiples, dtype=np.float64).sum()) / energy, "%", "energy modelled as multiples and subtracted"),
        "cut": Quantity(float(cut), "s", "residual moveout at the far offset from which events were removed"),
        "scan": Quantity([float(lowest), float(highest)], "s", "moveout scan range at the far offset"),
        "curvatures": Quantity(len(curves), "", "curvatures scanned"),
        "far_offset": Quantity(far, "m", "far offset"),
    }
    if few:
        notes = (*notes, f"{few} of {len(groups)} gathers have fewer than 8 live traces of different offsets and were left as they are")
    if len(groups) > 1:
        notes = (*notes, f"{len(groups)} gathers treated one by one")
    limit = f"multiples with less than {cut:g} s of moveout at {far:g} m remain; frequencies to {top:.3g} Hz"
    return gather.made(facts=facts, notes=(words, limit, *notes), data=out)


@tool(
    discipline="seismic",
    stage="processing",
    reference="Spitz 1991, Seismic trace interpolation in the F-X domain, Geophysics 56, 785-794; Claerbout 1992, Earth soundings analysis, chapter "
    "8 (missing data and prediction-error filters)",
    truth="missing traces of a made gather and of Teapot come back with over 15 dB, the others are untouched",
    say=(
        "Fill in the dead traces of {line}",
        "interpolate missing traces in {line}",
        "Reconstruct the gaps of {line} up to {gap} traces wide",
        "trace interpolation {line} pls",
        "some channels in {line} are dead, can you rebuild them from their neighbours?",
        "fx interpolation of {line}, window {window}, {traces} traces",
        "Regularise {line}: there are offsets missing",
        "please to fill the missing traces of gather {line}",
        "make {line} continuous before migration, fill the holes",
        "infill dead traces {line} max gap {gap}",
    ),
)
def interpolate_traces(
    line: Seismic | Gather,
    gap: Annotated[Count, "widest gap filled, in traces"] = 5,
    window: Annotated[Seconds, "time window"] = 0.3,
    traces: Annotated[Count, "traces in a window"] = 20,
    filter_length: Annotated[Count, "traces in the prediction filter"] = 3,
) -> Seismic | Gather:
    """The line with its dead traces, and those missing from its CDP numbers or offsets, filled.

    In windows overlapping by half, each frequency finds the filter that best predicts every trace from its neighbours either way and the
    missing traces that this filter predicts best, by turns. Live traces stay as they are. Gaps wider than `gap` and those at an end stay.
    As a check some live traces are hidden and filled too.
    """
    in_time(line, "a time window in seconds")
    hop = window_samples(line, window, "time window", least=8) // 2
    if traces < 4 * filter_length:
        raise ValueError(f"need traces >= 4 * filter_length, got {traces} and {filter_length}")
    data, live, notes = amplitudes(line)
    notes = tuple(note for note in notes if not note.endswith("stay dead"))
    line, data, known, added = _with_room(line, data, live, gap)
    out = data.copy()
    filled = left = 0
    signal = error = 0.0
    for rows in panels(line):
        wanted = _fillable(known[rows], gap)
        left += int((~known[rows]).sum() - wanted.sum())
        if not wanted.any():
            continue
        span = rows[known[rows] | wanted]
        if len(span) < traces or (share := float(wanted.sum()) / len(span)) > 0.6:
            why = f"{len(span)} traces" if len(span) < traces else f"{100 * share:.3g} % missing"
            raise Refusal("E_DATA", f"a gather or line with {why} does not hold enough to predict from (need {traces} traces, at most 60 % missing).")
        new = _filled(data[span], known[span], hop, traces, filter_length)
        out[span] = np.where(known[span][:, None], data[span], new)
        filled += int(wanted.sum())
        hidden = _hidden(known[span], traces // 2)
        again = _filled(np.where(hidden[:, None], np.float32(0), data[span]), known[span] & ~hidden, hop, traces, filter_length)
        signal += float(np.square(data[span][hidden], dtype=np.float64).sum())
        error += float(np.square((again - data[span])[hidden], dtype=np.float64).sum())
    if not filled:
        why = f"{left} dead or missing traces lie at an end or in gaps wider than {gap}" if left else "there is no dead or missing trace"
        raise Refusal("E_DATA", f"nothing to fill: {why}.", "Raise the gap if the events are straight enough." if left else "")
    facts = {
        "filled": Quantity(filled, "", "traces filled"),
        "added": Quantity(added, "", "of these, traces that were absent from the data"),
        "left": Quantity(left, "", "dead traces left dead"),
        "widest_gap": Quantity(int(gap), "", "widest gap filled, in traces"),
    }
    if signal > 0 and error > 0:
        ratio = 10 * float(np.log10(signal / error))
        facts["check"] = Quantity(round(ratio, 2), "dB", "signal-to-noise ratio of live traces hidden and filled in the same way")
        if ratio < POOR:
            notes = (*notes, f"live traces hidden and filled the same way come back with only {ratio:.3g} dB: do not trust these traces")
    words = f"filled by f-x prediction in windows of {2 * hop * line.dt:g} s and {traces} traces, filter of {filter_length}: events locally straight"
    if left:
        notes = (*notes, f"{left} dead traces lie at an end or in gaps wider than {gap} and stay dead")
    return line.made(facts=facts, notes=(words, "filled traces are predictions, not measurements", *notes), data=out)


def moveouts(lowest: float, highest: float, top: float) -> Array:
    """(curve,) s of moveout at the far offset, a quarter of the shortest period apart."""
    return np.linspace(lowest, highest, int(np.ceil((highest - lowest) * 4 * top)) + 1)


@dataclass(frozen=True)
class Parabolas:
    """The linear operator from a Radon panel (curve, sample) to a gather (trace, sample), circular in time, and its adjoint."""

    distance: Array  # (trace,) offset over the far offset
    curves: Array  # (curve,) s at the far offset
    dt: float
    samples: int  # odd: the Nyquist frequency has no sine

    def matrix(self, frequency: Array) -> Array:
        """(frequency, trace, curve): each curve's delay at each trace."""
        delay = self.distance[:, None] ** 2 * self.curves
        return np.asarray(np.exp(-2j * np.pi * np.asarray(frequency)[:, None, None] * delay))

    def spread(self, panel: Array) -> Array:
        """The gather of a panel."""
        return self._applied(panel, adjoint=False)

    def stack(self, gather: Array) -> Array:
        """The adjoint: the gather summed along the parabolas."""
        return self._applied(gather, adjoint=True)

    def _applied(self, values: Array, adjoint: bool) -> Array:
        matrix = self.matrix(np.fft.rfftfreq(self.samples, self.dt))
        spectrum = np.fft.rfft(values, self.samples, axis=1).T[..., None]
        if adjoint:
            matrix = np.conj(np.swapaxes(matrix, 1, 2))
        return np.asarray(np.fft.irfft((matrix @ spectrum)[..., 0].T, self.samples, axis=1))


def _top(data: Array, dt: float) -> float:
    """Hz below which 99.9 % of the energy lies, at least a tenth of Nyquist."""
    power = np.cumsum(np.sum(np.abs(np.fft.rfft(data, axis=1)) ** 2, axis=0))
    f = np.fft.rfftfreq(data.shape[1], dt)
    return max(float(f[min(int(np.searchsorted(power, 0.999 * power[-1])), len(f) - 1)]), 0.05 / dt)


def _multiples(data: Array, dt: float, distance: Array, curves: Array, cut: float, top: float, noise: float) -> Array:
    """What of one NMO-corrected gather lies on curves above `cut`.

    All frequencies share the weights of the curves: the high ones tell curves apart that the low ones cannot.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    traces, samples = data.shape
    size = next_fast_len(samples + int(np.abs(curves).max() / dt), real=True)
    spectrum = rfft(data.astype(np.float64), size, axis=1).T  # (frequency, trace)
    f = np.fft.rfftfreq(size, dt)
    parabolas = Parabolas(distance, curves, dt, size)
    last = min(int(np.searchsorted(f, 1.1 * top)) + 1, len(f))
    blocks = [slice(first, min(first + BLOCK, last)) for first in range(1, last, BLOCK)]
    weight, power = np.ones(len(curves)), np.zeros(len(curves))
    model = np.zeros_like(spectrum)
    beyond = curves > cut
    for sweep in range(SWEEPS):
        power[:] = 0
        for block in blocks:
            a = parabolas.matrix(f[block])
            weighted = a * weight
            normal = weighted @ np.conj(np.swapaxes(a, 1, 2))
            damping = noise * np.real(np.trace(normal, axis1=1, axis2=2)) / traces
            solved = np.linalg.solve(normal + damping[:, None, None] * np.eye(traces), spectrum[block][..., None])
            found = np.conj(np.swapaxes(weighted, 1, 2)) @ solved
            power += np.sum(np.abs(found[..., 0]) ** 2, axis=0)
            if sweep == SWEEPS - 1:
                model[block] = (a[:, :, beyond] @ found[:, beyond])[..., 0]
        weight = power / power.max() + FLOOR if power.any() else weight
    return np.asarray(irfft(model.T, size, axis=1)[:, :samples], np.float32)


def _moved_back(flat: Array, offset: Array, times: Array, velocity: Array) -> Array:
    """Traces of zero-offset time put back to their recorded times, the inverse of `moveout`."""
    from scipy.ndimage import map_coordinates

    dt = times[1] - times[0]
    out = np.zeros_like(flat)
    t0 = np.maximum(times, 0.0)
    for i, x in enumerate(np.abs(offset)):
        recorded = np.maximum.accumulate(np.sqrt(t0**2 + (x / velocity) ** 2))
        at = (np.interp(times, recorded, t0, left=-1.0) - times[0]) / dt
        inside = (times >= recorded[0]) & (at >= 0)
        out[i, inside] = map_coordinates(flat[i].astype(np.float64), [at[inside]], order=3, mode="mirror")
    return out


def _with_room(line: Seismic | Gather, data: Array, live: Array, gap: int) -> tuple[Seismic | Gather, Array, Array, int]:
    """(line, data, live, traces added): empty traces where the CDP numbers or offsets leave out up to `gap` of them."""
    pieces: list[Array] = []  # places between the rows of the input, in rows
    count = 0
    for rows in panels(line):
        steps = _steps(line, rows)
        many = np.where((steps > 1) & (steps <= gap + 1), steps, 1)
        count += int((many - 1).sum())
        for j, row in enumerate(rows):
            pieces.append(np.array([[row, row, 0.0]]))
            if j < len(many) and many[j] > 1:
                share = np.arange(1, many[j]) / many[j]
                pieces.append(np.column_stack([np.full(len(share), row), np.full(len(share), rows[j + 1]), share]))
    if not count:
        return line, data, live, 0
    places = np.concatenate(pieces)
    first, second, share = places[:, 0].astype(int), places[:, 1].astype(int), places[:, 2]
    changes = {}
    for item in fields(line):
        values = getattr(line, item.name)
        if isinstance(values, np.ndarray) and item.name != "data":
            between = values[first] * (1 - share) + values[second] * share
            changes[item.name] = np.round(between).astype(values.dtype) if values.dtype.kind in "iu" else between.astype(values.dtype)
    new = np.where(share[:, None] > 0, np.float32(0), data[first])
    return line.made(data=new, **changes), new, np.where(share > 0, False, live[first]), count


def _steps(line: Seismic | Gather, rows: Array) -> Array:
    """(row - 1,) whole trace intervals from each row to the next, 1 where nothing says otherwise."""
    along: Array | None = line.offset if isinstance(line, Gather) else line.cdp
    if along is None or len(rows) < 3:
        return np.ones(max(len(rows) - 1, 0), int)
    steps = np.abs(np.diff(along[rows].astype(float)))
    one = float(np.median(steps))
    if one == 0:
        return np.ones(len(steps), int)
    ratio = steps / one
    whole = np.round(ratio)
    return np.where((np.abs(ratio - whole) < 0.15) & (whole > 1), whole, 1).astype(int)


def _fillable(known: Array, gap: int) -> Array:
    """Which unknown traces lie in a gap of at most `gap` with known ones on both sides."""
    wanted = np.zeros(len(known), bool)
    alive = np.flatnonzero(known)
    for a, b in pairwise(alive):
        if 1 < b - a <= gap + 1:
            wanted[a + 1 : b] = True
    return wanted


def _hidden(known: Array, near: int) -> Array:
    """Every fifth known trace, at most `near` from a missing one, with known ones on both sides (any known one where there is none)."""
    missing, alive = np.flatnonzero(~known), np.arange(1, len(known) - 1)
    alive = alive[known[alive] & (np.abs(alive[:, None] - missing).min(axis=1) <= near)]
    between = alive[known[alive - 1] & known[alive + 1]]
    found = between if len(between) else alive
    hidden = np.zeros(len(known), bool)
    hidden[found[min(2, max(len(found) - 1, 0)) :: 5]] = True
    return hidden


def _filled(data: Array, known: Array, hop: int, traces: int, length: int) -> Array:
    """`data` with predictions where not `known`: windows of 2 * `hop` samples and `traces` traces, overlapping by half."""
    from scipy.fft import irfft, next_fast_len, rfft

    count, samples = data.shape
    frames = -(-samples // hop) + 1
    padded = np.zeros((count, (frames + 1) * hop), np.float32)
    padded[:, hop : hop + samples] = data
    hann = (0.5 - 0.5 * np.cos(np.pi * np.arange(2 * hop) / hop)).astype(np.float32)  # halves sum to one
    size = next_fast_len(4 * hop, real=True)
    pieces = np.stack([padded[:, k * hop : (k + 2) * hop] for k in range(frames)]) * hann  # (frame, trace, sample)
    spectra = rfft(pieces, size, axis=-1).transpose(0, 2, 1).astype(np.complex128)  # (frame, frequency, trace)
    power = np.cumsum(np.sum(np.abs(spectra) ** 2, axis=(0, 2)))
    used = int(np.searchsorted(power, 0.9999 * power[-1])) + 1  # above it there is next to nothing: linear between neighbours
    total, weight = np.zeros_like(spectra), np.zeros(count)
    taper = np.minimum(np.arange(traces), np.arange(traces)[::-1]) + 1.0
    for start in sorted({*range(0, count - traces + 1, max(1, traces // 2)), count - traces}):
        part = slice(start, start + traces)
        here = known[part]
        if not here.all() and here.any():
            for k in range(frames):
                total[k, :, part] += _predicted(spectra[k, :, part], here, length, used) * taper
            weight[part] += taper
    back = irfft((total / np.maximum(weight, 1e-12)).transpose(0, 2, 1), size, axis=-1)[..., : 2 * hop]
    joined = np.zeros(padded.shape)
    for k in range(frames):
        joined[:, k * hop : (k + 2) * hop] += back[k]
    return np.asarray(joined[:, hop : hop + samples], np.float32)


def _predicted(spectra: Array, known: Array, length: int, used: int) -> Array:
    """(frequency, trace) with the unknown traces that, frequency by frequency, one prediction filter errs least on.

    The start is linear between neighbours; then, for the `used` lowest frequencies, the filter is fitted to all traces and the traces to
    the filter.
    """
    n = len(known)
    alive, missing = np.flatnonzero(known), np.flatnonzero(~known)
    whole = spectra.copy()
    whole[:, missing] = [np.interp(missing, alive, row.real) + 1j * np.interp(missing, alive, row.imag) for row in spectra[:, alive]]
    if not whole.any():
        return whole
    x = whole[:used]
    rows = np.arange(n - length)
    for _ in range(ROUNDS):
        both = (x, np.conj(x[:, ::-1]))
        lagged = np.concatenate([np.stack([y[:, length - j : n - j] for j in range(1, length + 1)], axis=-1) for y in both], axis=1)
        wanted = np.concatenate([y[:, length:] for y in both], axis=1)[..., None]
        adjoint = np.conj(np.swapaxes(lagged, 1, 2))
        normal = adjoint @ lagged
        power = np.real(np.trace(normal, axis1=1, axis2=2)) / length
        filters = np.linalg.solve(normal + (1e-3 * power + 1e-30)[:, None, None] * np.eye(length), adjoint @ wanted)[..., 0]
        error = np.zeros((len(x), 2 * len(rows), n), complex)  # what forward and backward prediction leave, as a matrix on the traces
        error[:, rows, rows + length] = 1
        error[:, len(rows) + rows, rows] = 1
        for j in range(length):
            error[:, rows, rows + length - 1 - j] = -filters[:, j, None]
            error[:, len(rows) + rows, rows + 1 + j] = -np.conj(filters[:, j, None])
        of_missing = error[:, :, missing]
        adjoint = np.conj(np.swapaxes(of_missing, 1, 2))
        target = -adjoint @ (error[:, :, alive] @ x[:, alive, None])
        x[:, missing] = np.linalg.solve(adjoint @ of_missing + 1e-6 * np.eye(len(missing)), target)[..., 0]
    return whole
