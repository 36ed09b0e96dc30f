"""Impedance from stacked traces: a linear inversion of the convolutional model around a low-frequency model from a well.

The wavelet, the well's impedance in time and the sign convention are those of `seismic_modelling`. What the seismic band
does not hold comes from the prior, and the result says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np

from moho.agent.registry import Cost, tool
from moho.agent.tools.seismic_modelling import impedance_in_time, ricker
from moho.agent.tools.seismic_processing import amplitudes, in_time, passing, trapezoid
from moho.agent.tools.wavelet_shapes import given_wavelet, own_wavelet
from moho.errors import Missing, Refusal
from moho.segy_volume import read_inline
from moho.survey import Array, Seismic, Volume, Well
from moho.units import Hertz, Quantity
from moho.volumes import trace_by_trace

TRACES = 512  # of a volume, inverted together


def _cost(line: Seismic | Volume, **given: Any) -> Cost:
    return passing(0.25, 16)(line)


@tool(
    discipline="seismic",
    stage="inversion",
    cost=_cost,
    reference="Russell and Hampson 1991, Comparison of poststack seismic inversion methods, SEG Expanded Abstracts, 876-878",
    truth="a made earth with 0 and 10 % noise: correlation over 0.95, mean within 3 %; the misfit reaches the noise within 10 %",
    say=(
        "Invert {line} for acoustic impedance using {well}",
        "impedance inversion of {line} with the low-frequency model from {well}",
        "poststack inversion {line}, {well}, wavelet {frequency}",
        "Turn {line} into impedance",
        "AI inversion of {line}, low frequencies below {low_frequency} from {well}",
        "I need an impedance section from {line} and {well}",
        "run a model-based inversion on {line} with {well}, {frequency} Ricker",
        "please to invert the seismic {line} with well {well}",
        "calculate acoustic impedance along {line} pls",
        "get rock properties from {line}: absolute impedance tied to {well}",
        "seismic inversion {line} {well}",
        "invert {line} with the low-frequency model {model} and the wavelet {wavelet}, scaled by {well}",
    ),
)
def poststack_impedance(
    line: Seismic | Volume,
    well: Well | None = None,
    frequency: Annotated[Hertz, "peak frequency of a Ricker wavelet"] | None = None,
    low_frequency: Annotated[Hertz, "upper end of the low-frequency model"] = 8,
    model: Annotated[Seismic, "low-frequency impedance model"] | None = None,
    wavelet: Annotated[Seismic, "wavelet"] | None = None,
) -> Seismic | Volume:
    """Acoustic impedance of every sample, kg/m2/s.

    Minimises |s G m - d|^2 + lambda s^2 |m - m0|^2 for m = ln(impedance): G is a zero-phase wavelet on half the derivative of m, s
    scales the synthetic of the well to the section, m0 is ln of `model`, or the well's ln(impedance) below `low_frequency`, the same
    on all traces. lambda follows the discrepancy principle: the misfit expected of the noise between neighbouring traces. The wavelet
    is the one given, a Ricker where `frequency` is given, else zero phase with the mean amplitude spectrum of the section. In
    a volume wavelet, scale and lambda come from one line, the inline nearest the well, so that no line is scaled against another.
    """
    if wavelet is not None and frequency is not None:
        raise ValueError("give a wavelet or a frequency, not both")
    if isinstance(line, Volume):
        return _of_volume(line, well, frequency, low_frequency, model, wavelet)
    found = _settled(line, well, frequency, low_frequency, model, wavelet)
    logarithm = found.prior.copy()
    logarithm[found.live] += found.change
    result = np.exp(logarithm).astype(np.float32)
    held = result[found.live]
    facts = found.facts(float(held.min()), float(held.max()), float(held.mean()), found.misfit)
    return line.made(
        facts=facts, notes=found.notes, title=f"impedance of {line.title}".strip(), data=result, quantity="acoustic impedance", unit="kg/m2/s",
        band=None,  # it holds the low frequencies of the well too
    )  # fmt: skip


def _of_volume(
    volume: Volume, well: Well | None, frequency: float | None, low_frequency: float, model: Seismic | None, wavelet: Seismic | None
) -> Volume:
    """Every trace with the wavelet, scale and lambda of the guide line."""
    if model is not None and len(model.data) > 1:
        message = f"the low-frequency model has {len(model.data)} traces: on a volume one trace holds for all."
        raise Refusal("E_GEOMETRY", message, "Leave it out for the model of the well, or give a model of one trace.")
    in_time(volume, "a convolutional inversion with a wavelet in Hz")
    if well is None:
        raise Missing("well", "Which well gives the low-frequency model? Seismic alone holds no absolute impedance.")
    number, how = _guide(volume, well)
    found = _settled(read_inline(volume, number), well, frequency, low_frequency, model, wavelet)
    kernel = partial(_inverted, shape=found.shape, prior=found.prior[0], factor=found.factor, damping=found.damping)
    changes, totals = trace_by_trace(volume, kernel, f"poststack impedance, wavelet, scale and lambda of inline {number}")
    left, energy = (sum(part[n] for part in totals.more) for n in (0, 1))
    facts = found.facts(totals.low, totals.high, totals.mean, float(np.sqrt(left / energy)))
    facts["guide"] = Quantity(number, "", "inline that wavelet, scale and lambda come from")
    said = [note for note in found.notes if "dead traces" not in note and "NaN" not in note]  # of one line
    notes = (f"wavelet, scale, noise and lambda of inline {number}, {how}, for the whole volume", *said, *totals.notes)
    return volume.made(
        facts=facts, notes=notes, title=f"impedance of {volume.title}".strip(), quantity="acoustic impedance", unit="kg/m2/s", band=None,
        **changes,
    )  # fmt: skip


def _guide(volume: Volume, well: Well) -> tuple[int, str]:
    """(the inline nearest the well, how it was chosen), the middle one where they share no coordinates."""
    first, last, step = volume.inline
    count = (last - first) // step
    middle = first + step * (count // 2), "the middle one: well and volume share no coordinates"
    corners = volume.corners
    if well.x is None or well.y is None or corners is None or not np.isfinite(corners).all():
        return middle
    sides = np.stack([corners[2] - corners[0], corners[1] - corners[0]], axis=1)
    if abs(np.linalg.det(sides)) < 1.0:
        return middle
    along, across = np.linalg.solve(sides, np.array([well.x, well.y]) - corners[0])
    inside = -0.02 <= along <= 1.02 and -0.02 <= across <= 1.02
    number = first + step * int(np.clip(round(along * count), 0, count))
    return number, "nearest the well" if inside else "nearest the well, which lies outside the volume"


def _inverted(data: Array, shape: Array, prior: Array, factor: float, damping: float) -> tuple[Array, Array, list[float]]:
    """(impedance, where it counts, [energy left, energy] of the data) of the traces of a chunk."""
    operator = _operator(shape, data.shape[1])
    expected, solve = operator @ prior[None], _solver(operator, damping)
    out, live = np.empty(data.shape, np.float32), np.asarray(data.any(axis=1))
    left = energy = 0.0
    out[:] = np.exp(prior)
    alive = np.flatnonzero(live)
    for start in range(0, len(alive), TRACES):
        rows = alive[start : start + TRACES]
        d = factor * data[rows].astype(np.float64)
        residual = d - expected
        change = solve(residual)
        left, energy = left + float(np.sum((residual - operator @ change) ** 2)), energy + float(np.sum(d**2))
        out[rows] = np.exp(prior + change)
    return out, np.broadcast_to(live[:, None], data.shape), [left, energy]


@dataclass(frozen=True)
class Settled:
    """An inversion of a section: what it was made with and what came out."""

    shape: Array  # (odd,) wavelet
    prior: Array  # (trace, sample) ln(impedance)
    factor: float  # sign over scale: of the data to those of the operator
    damping: float
    live: Array
    change: Array  # (live trace, sample)
    misfit: float
    numbers: dict[str, Quantity]
    notes: tuple[str, ...]

    def facts(self, low: float, high: float, mean: float, misfit: float) -> dict[str, Quantity]:
        """The facts with these of the impedance and this share of the data left over."""
        found = {"misfit": Quantity(round(100 * misfit, 3), "%", "misfit (rms of the residual over rms of the data)"), **self.numbers}
        at = list(found).index("prior_below") + 1
        ranges = {
            "range": Quantity([low, high], "kg/m2/s", "acoustic impedance range"),
            "mean": Quantity(mean, "kg/m2/s", "mean acoustic impedance"),
        }
        return dict([*list(found.items())[:at], *ranges.items(), *list(found.items())[at:]])


def _settled(
    line: Seismic, well: Well | None, frequency: float | None, low_frequency: float, model: Seismic | None, wavelet: Seismic | None
) -> Settled:
    """The inversion of a section."""
    data, live, notes = _checked(line, well, frequency, low_frequency)
    assert well is not None
    samples, dt = data.shape[1], line.dt
    _, time, impedance, words = impedance_in_time(well)
    truth, logged = on_samples(time, np.log(impedance), line)
    prior = np.broadcast_to(low_pass(truth, dt, low_frequency), data.shape) if model is None else _given_prior(model, line)
    if wavelet is not None:
        shape, wavelet_words = given_wavelet(wavelet, dt), f"wavelet {wavelet.title or 'as given'}"
    else:
        shape, wavelet_words = _wavelet(data[live], dt, frequency, line.band)
    operator = _operator(shape, samples)
    near, correlate, place_words = _place(line, well, live)
    scale = _scale(data, operator @ truth, logged, near)
    sign = -1.0 if line.polarity == "SEG reverse" else 1.0
    d = (sign / scale) * data[live].astype(np.float64)
    noise, noise_words = _noise_share(d, np.diff(np.flatnonzero(live)) == 1, 4e-4 if frequency else 2.5e-3)
    residual = d - operator @ (prior[:1] if model is None else prior[live])
    damping, weight, frequencies = _damping(shape, d, residual, noise, dt)
    change = _solver(operator, damping)(residual)
    misfit = float(np.sqrt(np.mean((residual - operator @ change) ** 2) / np.mean(d**2)))
    used = frequencies[weight >= 0.5]
    band = (float(used.min()), float(used.max())) if len(used) else (float(low_frequency), float(low_frequency))
    if line.band is not None:
        band = (max(band[0], line.band[0]), max(min(band[1], line.band[1]), line.band[0]))
    facts = {
        "noise": Quantity(round(100 * float(np.sqrt(noise)), 3), "%", "noise estimated between neighbouring traces (rms over rms)"),
        "band": Quantity([round(band[0], 2), round(band[1], 2)], "Hz", "band the seismic resolves"),
        "prior_below": Quantity(float(low_frequency), "Hz", "frequency below which the low-frequency model decides"),
        "damping": Quantity(float(damping), "", "regularisation weight lambda"),
        "well_interval": Quantity([round(float(time[0]), 4), round(float(time[-1]), 4)], "s", "logged interval in two-way time"),
    }
    if correlate:
        best = int(near[0])
        smooth = low_pass(truth, dt, band[1])
        logarithm = prior[best] + change[int(np.count_nonzero(live[:best]))]
        facts["well_correlation"] = Quantity(_correlation(logarithm[logged], smooth[logged]), "", "correlation with the well's impedance")
    source = "of the well" if model is None else model.title or "given"
    said = [f"resolved band {band[0]:.3g} to {band[1]:.3g} Hz; below it the low-frequency model {source}, above it nothing"]
    if band[0] > low_frequency:
        said.append(f"neither well nor seismic decides firmly from {low_frequency:g} to {band[0]:.3g} Hz: raise low_frequency to close the gap")
    if line.band is not None:
        low, high = line.band
        said.append(f"an earlier filter left {low:g} to {high:g} Hz: above that the seismic is missing, below it only the prior speaks")
        facts["filtered_band"] = Quantity([float(low), float(high)], "Hz", "band an earlier filter left on the line")
    said.append(f"lambda {damping:.3g} by the discrepancy principle, for a misfit of {100 * np.sqrt(noise):.2g} %: the noise, {noise_words}")
    told = (*said, wavelet_words, place_words if model is None else place_words.split(";")[0], *words, *_polarity_words(line), *notes)
    return Settled(shape, prior, sign / scale, damping, live, change, misfit, facts, told)


def _given_prior(model: Seismic, line: Seismic) -> Array:
    """(trace, sample) ln of a low-frequency model on the line's traces (by CDP number) and samples."""
    if model.quantity != "acoustic impedance" or model.domain != "time":
        raise ValueError(f"the model must be acoustic impedance in time; this one is {model.quantity} in {model.domain}")
    values = np.asarray(model.data, dtype=np.float64)
    if not (np.isfinite(values).all() and values.min() > 0):
        raise Refusal("E_DATA", "the low-frequency model holds values that are NaN or not positive.")
    if len(values) == 1:
        rows = np.zeros(len(line.data), int)
    else:
        order = np.argsort(model.numbers, kind="stable")
        rows = order[np.clip(np.searchsorted(model.numbers, line.numbers, sorter=order), 0, len(order) - 1)]
        if not np.array_equal(model.numbers[rows], line.numbers):
            spans = [f"{int(one.numbers.min())} to {int(one.numbers.max())}" for one in (model, line)]
            words = f"the model has CDPs {spans[0]}, the line {spans[1]}: every trace needs its own."
            raise Refusal("E_GEOMETRY", words, "Build the model on this line.")
    first, last = float(model.times[0]), float(model.times[-1])
    if line.times[0] < first - model.dt or line.times[-1] > last + model.dt:
        raise Refusal("E_GEOMETRY", f"the model runs from {first:g} to {last:g} s, the line from {line.times[0]:g} to {line.times[-1]:g} s.")
    return np.stack([np.interp(line.times, model.times, row) for row in np.log(values)[rows]])


def _checked(line: Seismic, well: Well | None, frequency: float | None, low_frequency: float) -> tuple[Array, Array, tuple[str, ...]]:
    in_time(line, "a convolutional inversion with a wavelet in Hz")
    if line.quantity != "amplitude":
        message = f"this section holds {line.quantity}, not reflection amplitudes: impedance cannot come from it."
        raise Refusal("E_PHYSICS", message, "Use the stack itself.")
    if well is None:
        raise Missing("well", "Which well gives the low-frequency model? Seismic alone holds no absolute impedance.")
    for name, value in (("wavelet frequency", frequency), ("low_frequency", low_frequency)):
        if value is not None and not value < line.nyquist:
            raise Refusal("E_PHYSICS", f"the {name} of {value:g} Hz is not below the Nyquist frequency of {line.nyquist:g} Hz.")
    if line.data.shape[1] < 16:
        raise Refusal("E_PHYSICS", f"{line.data.shape[1]} samples a trace are too few for an inversion; it needs 16.")
    data, live, notes = amplitudes(line)
    if not live.all():
        notes = (*notes, "the dead traces hold the low-frequency model alone")
    if any(step.tool == "gain_agc" for step in line.history):
        notes = (*notes, "the line went through a gain: contrasts along a trace are not to scale")
    return data, live, notes


def on_samples(time: Array, values: Array, line: Seismic) -> tuple[Array, Array]:
    """((sample,) mean of the log around each sample, constant beyond it; (sample,) bool where it was logged)."""
    centres = line.times
    edges = np.concatenate([centres - line.dt / 2, [centres[-1] + line.dt / 2]])
    integral = np.concatenate([[0.0], np.cumsum(np.diff(time) * 0.5 * (values[1:] + values[:-1]))])
    at = np.clip(edges, time[0], time[-1])
    width = np.diff(at)
    logged = width > 0.5 * line.dt
    if logged.sum() < 8:
        covered = f"the logs cover {time[0]:.3f} to {time[-1]:.3f} s, the section {centres[0]:.3f} to {centres[-1]:.3f} s"
        message = f"{covered}: {int(logged.sum())} samples in common."
        raise Refusal("E_GEOMETRY", message, "Take a well and a section of the same interval, or check datum and checkshots.")
    mean = np.diff(np.interp(at, time, integral)) / np.where(width > 0, width, 1)
    return np.interp(centres, centres[logged], mean[logged]), logged


def low_pass(values: Array, dt: float, frequency: float) -> Array:
    """Gaussian low-pass, half amplitude at `frequency`, held constant beyond the ends."""
    from scipy.ndimage import gaussian_filter1d

    sigma = np.sqrt(np.log(2) / 2) / (np.pi * frequency) / dt
    return np.asarray(gaussian_filter1d(values, sigma, mode="nearest"))


def _wavelet(data: Array, dt: float, frequency: float | None, band: tuple[float, float] | None) -> tuple[Array, str]:
    """(odd number of samples, peak 1 in the middle; how it was made)."""
    from scipy.fft import irfft, next_fast_len, rfft

    if frequency is not None:
        half = max(4, int(np.ceil(1.5 / frequency / dt)))
        wavelet = ricker(np.arange(-half, half + 1) * dt, frequency)
        words = f"{frequency:g} Hz zero-phase Ricker"
        if band is not None:
            size = next_fast_len(8 * half)
            response = trapezoid(np.fft.rfftfreq(size, dt), (0.5 * band[0], band[0], band[1], 1.25 * band[1]))
            wavelet = np.roll(irfft(rfft(wavelet, size) * response, size), half)[: 4 * half + 1]
            wavelet, words = wavelet[half : 3 * half + 1], words + f", filtered to {band[0]:g} to {band[1]:g} Hz as the line was"
        return wavelet / np.abs(wavelet).max(), words
    half = min(max(8, round(0.1 / dt)), data.shape[1] // 3)
    centred, peak = own_wavelet(data, dt, half)
    return centred, f"zero-phase wavelet with the section's own spectrum (peak {peak:.3g} Hz); reflectivity taken as white"


def _operator(wavelet: Array, samples: int) -> Any:
    """Sparse (sample, sample): half the central derivative of ln(impedance), convolved with the wavelet."""
    from scipy.sparse import diags

    half = len(wavelet) // 2
    derivative = diags([np.full(samples - 1, -0.25), np.full(samples - 1, 0.25)], [-1, 1], format="lil")
    derivative[0, :2] = derivative[-1, -2:] = [-0.25, 0.25]
    lags = [lag for lag in range(-half, half + 1) if abs(lag) < samples]
    convolution = diags([np.full(samples - abs(lag), wavelet[half - lag]) for lag in lags], lags, format="csr")
    return Rows((convolution @ derivative.tocsr()).tocsr())


class Rows:
    """A sparse matrix that acts on the last axis: `operator @ traces` for (sample,) or (trace, sample)."""

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix

    def __matmul__(self, traces: Array) -> Array:
        return np.asarray((self.matrix @ traces.T).T)

    def adjoint(self, traces: Array) -> Array:
        """The transposed matrix on the last axis."""
        return np.asarray((self.matrix.T @ traces.T).T)


def _place(line: Seismic, well: Well, live: Array) -> tuple[Array, bool, str]:
    """(traces to scale the synthetic with, nearest first; whether the well lies there; where it is)."""
    alive = np.flatnonzero(live)
    nowhere = alive, False, "well and section share no coordinates: the well stands for the whole line, structure is not followed"
    if well.x is None or well.y is None or line.x is None or line.y is None:
        return nowhere
    placed = alive[np.isfinite(line.x[alive] + line.y[alive])]
    if not len(placed) or np.ptp(line.x[placed]) + np.ptp(line.y[placed]) == 0:
        return nowhere
    x, y = line.x[placed], line.y[placed]
    distance = np.hypot(x - well.x, y - well.y)
    order = placed[np.argsort(distance, kind="stable")]
    nearest = float(distance.min())
    length = float(np.hypot(np.ptp(x), np.ptp(y)))
    at = f"CDP {int(line.numbers[order[0]])}"
    if nearest > max(500.0, length):
        words = f"the well lies {nearest / 1000:.3g} km from the nearest trace ({at}): it stands for the whole line, unchecked"
        return alive, False, words
    return order[:11], True, f"well projected {nearest:.4g} m to {at}; its low-frequency model is used on all traces, structure is not followed"


def _scale(data: Array, synthetic: Array, logged: Array, near: Array) -> float:
    """Amplitude of the section for one of the synthetic: ratio of their rms in the logged interval."""
    seismic = float(np.sqrt(np.mean(data[np.ix_(near, logged)].astype(np.float64) ** 2)))
    modelled = float(np.sqrt(np.mean(synthetic[logged] ** 2)))
    if not seismic > 0 or not modelled > 0:
        raise Refusal("E_DATA", f"the {'section' if modelled > 0 else 'well'} is silent in the logged interval: amplitudes cannot be scaled to it.")
    return seismic / modelled


def _noise_share(d: Array, neighbours: Array, least: float) -> tuple[float, str]:
    """(noise energy over total energy, how): one minus the median correlation of neighbours, best of shifts of 3 samples either way.

    `least` stands for the error of the wavelet.
    """
    if len(d) < 2 or not neighbours.any():
        return 0.01, "one trace: a noise of 10 % was assumed"
    a, b = d[:-1][neighbours], d[1:][neighbours]
    n = d.shape[1]
    energy = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    best = np.max(
        [np.einsum("ij,ij->i", a[:, max(0, k) : n + min(0, k)], b[:, max(0, -k) : n + min(0, -k)]) for k in range(-3, 4)], axis=0
    )
    return float(np.clip(1 - np.median(best / energy), least, 0.5)), "estimated from how neighbouring traces differ"


def _damping(wavelet: Array, d: Array, residual: Array, noise: float, dt: float) -> tuple[float, Array, Array]:
    """(lambda whose predicted misfit is the noise, (frequency,) weight of the data in the result, (frequency,) Hz).

    The prediction treats the operator as a filter |G(f)|^2, exact away from the ends of the traces.
    """
    from scipy.fft import next_fast_len, rfft

    size = next_fast_len(2 * d.shape[1], real=True)
    frequency = np.fft.rfftfreq(size)
    gain = np.abs(rfft(wavelet, size) * 0.5 * np.sin(2 * np.pi * frequency)) ** 2
    power = np.zeros(len(frequency))
    for start in range(0, len(residual), 64):
        power += np.sum(np.abs(rfft(residual[start : start + 64], size, axis=1)) ** 2, axis=0)
    wanted = noise * float(np.sum(d**2)) * size / 2  # Parseval, one-sided
    low, high = np.log(1e-4 * gain.max()), np.log(gain.max())
    for _ in range(60):
        middle = 0.5 * (low + high)
        left = float(np.sum(power * (np.exp(middle) / (gain + np.exp(middle))) ** 2))
        low, high = (middle, high) if left < wanted else (low, middle)
    damping = float(np.exp(0.5 * (low + high)))
    return damping, gain / (gain + damping), frequency / dt


def _solver(operator: Rows, damping: float) -> Callable[[Array], Array]:
    """A function from (trace, sample) residuals to the change of ln(impedance): one banded Cholesky factor for all traces."""
    from scipy.linalg import cho_solve_banded, cholesky_banded

    normal = (operator.matrix.T @ operator.matrix).tocsr()
    samples = normal.shape[0]
    coordinates = normal.tocoo()
    width = int((coordinates.col - coordinates.row).max())
    banded = np.zeros((width + 1, samples))
    lower = coordinates.row >= coordinates.col
    banded[(coordinates.row - coordinates.col)[lower], coordinates.col[lower]] = coordinates.data[lower]
    banded[0] += damping
    factor = cholesky_banded(banded, lower=True)
    return lambda residual: np.asarray(cho_solve_banded((factor, True), operator.adjoint(residual).T).T)


def _correlation(a: Array, b: Array) -> float:
    return round(float(np.corrcoef(a, b)[0, 1]), 4) if np.ptp(a) and np.ptp(b) else 0.0


def _polarity_words(line: Seismic) -> tuple[str, ...]:
    if line.polarity == "SEG reverse":
        return ("SEG reverse polarity: the traces were turned",)
    return () if line.polarity == "SEG normal" else ("polarity unknown, taken as SEG normal: if it is reversed, highs and lows change places",)
