"""The wavelet of a line, from the section alone or against a well.

The search for shift and phase is in `ties`; `well_tie`, `seismic_inversion` and `avo` take what this makes.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from moho.agent.registry import tool
from moho.agent.tools.seismic_processing import window_samples
from moho.agent.tools.ties import Search, checked_well, mean_trace, nearest, oriented, own_window, ready, reflectivity, series, verdict_of
from moho.agent.tools.wavelet_shapes import CONVENTION, own_wavelet, phase_of, rotated, whitened
from moho.errors import Refusal
from moho.survey import Array, Seismic, Table, Well
from moho.units import Degrees, Number, Quantity, Seconds, TimeShift


@tool(
    discipline="seismic",
    stage="processing",
    reference="White and Simm 2003, Tutorial: good practice in well ties, First Break 21(10), 75-83",
    truth="a Ricker comes back at correlation over 0.99; with a well its phase within 3 degrees",
    say=(
        "Estimate the wavelet of {line}",
        "extract a {length} statistical wavelet from {line}",
        "wavelet from {line} with {well}",
        "What wavelet is in {line}? use the well {well}",
        "zero phase wavelet {line}, {length} long",
        "give me a wavelet with phase {phase} from the autocorrelation of {line}",
        "what is the phase of {line} at {well}?",
        "wavelet estimation between {top} and {base} on {line} pls",
        "please to extract wavelet from seismic {line}",
        "I need the wavelet for the inversion of {line}, tie it with {well} at CDP {cdp}",
    ),
)
def wavelet_estimate(
    line: Seismic,
    well: Well | None = None,
    length: Annotated[Seconds, "wavelet length"] = 0.2,
    phase: Annotated[Degrees, "constant phase"] | None = None,
    cdp: Annotated[Number, "CDP of the well"] | None = None,
    top: Annotated[TimeShift, "top of the window"] | None = None,
    base: Annotated[TimeShift, "base of the window"] | None = None,
    checkshots: Table | None = None,
) -> Seismic:
    """The wavelet as one trace, time 0 in the middle, largest amplitude 1.

    Without a well: the zero-phase wavelet whose autocorrelation is the section's (reflectivity taken as white), turned to `phase`;
    the section alone does not tell a phase. With a well and no `phase`: a constant-phase scan of that wavelet and a least-squares
    (Wiener) filter are both made against the reflectivity, and the one that predicts the unused half of the window better is kept.
    """
    data, live, notes = ready(line)
    dt = line.dt
    half = window_samples(line, length, "wavelet", 8) // 2
    axis = line.times
    wanted = (axis >= (axis[0] if top is None else top) - 1e-9) & (axis <= (axis[-1] if base is None else base) + 1e-9)
    if top is not None and base is not None and not top < base:
        raise ValueError(f"need top < base, got {top:g} and {base:g} s")
    if wanted.sum() < 2 * half + 1:
        words = f"{int(wanted.sum())} samples lie between {axis[0] if top is None else top:g} and {axis[-1] if base is None else base:g} s"
        raise Refusal("E_PHYSICS", f"{words}; a wavelet of {length:g} s needs {2 * half + 1}.", "Widen the window or shorten the wavelet.")
    if not np.any(data[live][:, wanted]):
        raise Refusal("E_DATA", "the section is silent in this window.")
    zero, _ = own_wavelet(data[live][:, wanted], dt, half)
    if well is None or phase is not None:
        shape = rotated(zero, phase or 0.0)
        facts = _halves(data[live][:, wanted], dt, half)
        how = f"statistical: amplitude spectrum of {int(live.sum())} traces, reflectivity taken as white; " + (
            "zero phase assumed, the section alone does not tell it" if phase is None else f"phase {phase:g} degrees as asked"
        )
        said = (how, *(("the well was not used: the phase was given",) if well is not None else ()))
        return _as_wavelet(line, shape, 0.0 if phase is None else phase, facts, (*said, CONVENTION, *notes))
    used = checked_well(well, checkshots)
    return _with_well(line, used, data, live, zero, half, cdp, (top, base), notes)


def _halves(data: Array, dt: float, half: int) -> dict[str, Quantity]:
    """How alike the wavelets of the upper and the lower half of the window are; nothing where the window is too short."""
    middle = data.shape[1] // 2
    if middle < 2 * (2 * half + 1) or not np.any(data[:, :middle]) or not np.any(data[:, middle:]):
        return {}
    one, two = own_wavelet(data[:, :middle], dt, half)[0], own_wavelet(data[:, middle:], dt, half)[0]
    alike = round(float(np.corrcoef(one, two)[0, 1]), 4)
    return {"quality": Quantity(alike, "", "correlation of the wavelets of the upper and lower half of the window")}


def _as_wavelet(line: Seismic, shape: Array, phase: float, facts: dict[str, Quantity], notes: tuple[str, ...]) -> Seismic:
    half = len(shape) // 2
    fine = np.abs(np.fft.rfft(shape, 16 * len(shape)))
    frequency = np.fft.rfftfreq(16 * len(shape), line.dt)
    strong = frequency[fine >= 0.5 * fine.max()]
    measured, _ = phase_of(shape)
    facts = {
        "peak_frequency": Quantity(round(float(frequency[fine.argmax()]), 2), "Hz", "peak frequency of the wavelet"),
        "band": Quantity([round(float(strong.min()), 2), round(float(strong.max()), 2)], "Hz", "band above half amplitude"),
        "phase": Quantity(round(float((phase + 180) % 360 - 180) if phase != 180 else 180.0, 2), "deg", "phase of the wavelet"),
        "length": Quantity(round(2 * half * line.dt, 6), "s", "wavelet length"),
        **facts,
    }
    values = (shape / np.abs(shape).max()).astype(np.float32)
    return Seismic(
        title=f"wavelet of {line.title}".strip(),
        facts=facts,
        notes=notes,
        data=values[None],
        dt=line.dt,
        t0=round(-half * line.dt, 9),
        quantity="wavelet",
        unit="",
        polarity="SEG normal" if line.polarity != "unknown" else line.polarity,
        view={"wavelet": {"measured_phase": measured}},
    )


def _with_well(
    line: Seismic, well: Well, data: Array, live: Array, zero: Array, half: int, cdp: int | None, ends: tuple[float | None, float | None],
    notes: tuple[str, ...],
) -> Seismic:  # fmt: skip
    """The better of a constant-phase and a least-squares wavelet by what each predicts where it was not fitted."""
    at, coefficient, words = reflectivity(well)
    near, _, place = nearest(line, well, cdp, live)
    reach = 0.04
    first, last = own_window(line, at, reach, *ends)
    trace, polarity = oriented(line, mean_trace(data, near)[first:last])
    if not np.any(trace):
        raise Refusal("E_DATA", f"the traces at the well are silent from {line.times[first]:.3f} to {line.times[last - 1]:.3f} s.")
    own, zero = zero, whitened(zero, series(at, coefficient, line, first, last - first))
    search = Search(at, coefficient, line, zero, (first, last), reach, 0.0)
    fit = search.best(trace)
    scores = {"constant phase": search.blind(trace)}
    matrix = _lagged(at + fit.shift, coefficient, line, (first, last), half)
    middle = (last - first) // 2
    if last - first >= 2.5 * (2 * half + 1):
        parts = slice(0, middle), slice(middle, None)
        found = []
        for fitted, kept in (parts, parts[::-1]):
            predicted = matrix[kept] @ _wiener(matrix[fitted], trace[fitted])
            found.append(_correlated(predicted, trace[kept]))
        scores["least squares"] = float(np.mean(found))
    chance = float(np.quantile(search.chance(trace), 0.95))
    margin = 0.002 if scores["constant phase"] > 0.9 else 0.05  # many free samples win a little by luck
    method = "least squares" if scores.get("least squares", -1.0) > scores["constant phase"] + margin else "constant phase"
    if fit.correlation <= chance or max(scores.values()) <= 0:
        method = "statistical, zero phase"
        scores[method] = scores["constant phase"]
    if method == "least squares":
        raw = _wiener(matrix, trace)
        size, shape = float(np.abs(raw).max()), raw / np.abs(raw).max()
        phase, correlation = phase_of(shape)[0], _correlated(matrix @ raw, trace)
    elif method == "constant phase":
        shape, phase, correlation, size = rotated(zero, fit.phase), fit.phase, fit.correlation, fit.scale
    else:
        shape, phase, correlation, size = own, 0.0, fit.correlation, abs(fit.scale)
    facts = {
        "correlation": Quantity(round(correlation, 4), "", "correlation of synthetic and trace in the window"),
        "quality": Quantity(round(scores[method], 4), "", "blind correlation, on blocks of the window not used"),
        "chance": Quantity(round(chance, 4), "", "correlation that 95 % of random traces stay below"),
        "shift": Quantity(round(1000 * fit.shift, 3), "ms", "shift between well and trace, taken out"),
        "scale": Quantity(float(size), "", "amplitude of the line for a reflection coefficient of 1"),
        "method": Quantity(method, "", "method"),
        "window": Quantity([round(float(line.times[first]), 4), round(float(line.times[last - 1]), 4)], "s", "window of the estimate"),
    }
    told = ", ".join(f"{name} {value:.2f}" for name, value in scores.items())
    said = ["the well does not tell the phase: zero phase was assumed"] if method.startswith("stat") else []
    said += [f"{method} kept, blind correlations: {told}", verdict_of(scores[method], fit.correlation, chance), place, CONVENTION]
    return _as_wavelet(line, shape, phase, facts, (*said, *polarity, *words, *notes))


def _lagged(at: Array, coefficient: Array, line: Seismic, window: tuple[int, int], half: int) -> Array:
    """(sample, lag) reflectivity shifted by -half to half samples: a wavelet times this is a synthetic."""
    first, last = window
    values = series(at, coefficient, line, first - half, last - first + 2 * half)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(values, last - first)[::-1].T)


def _wiener(matrix: Array, trace: Array) -> Array:
    """Least-squares filter with 1 % white noise, tapered to zero at its ends by a penalty that grows there."""
    lags = matrix.shape[1]
    normal = matrix.T @ matrix
    outward = np.abs(np.arange(lags) - lags // 2) / (lags // 2 + 1)
    normal += 0.01 * np.trace(normal) / lags * np.diag(1 + 10 * outward**4)
    return np.asarray(np.linalg.solve(normal, matrix.T @ trace))


def _correlated(a: Array, b: Array) -> float:
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0
