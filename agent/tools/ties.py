"""A well against a trace: reflectivity on the trace's time axis, synthetics with any wavelet, shift, stretch and phase, and chance.

No tools here: `well_tie`, `wavelets`, `low_frequency` and `avo` call these. Phases are those of `wavelet_shapes`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from moho.agent.tools.seismic_modelling import impedance_in_time, two_way_time
from moho.agent.tools.seismic_processing import amplitudes, in_time
from moho.agent.tools.wavelet_shapes import FINE, quadrature, rotated, upsampled
from moho.errors import Missing, Refusal
from moho.interpretation import with_checkshots
from moho.survey import UNKNOWN, Array, Horizon, Seismic, Table, Well

AVERAGED = 5  # traces about the well that are averaged
RAMP = 40.0  # m of a log without a wiggle
STRAIGHT = 1e-3  # departure from a straight line over 10 m, share of the impedance, below which nothing was measured
BLOCK = 0.12  # s of the window left out at a time when a tie is tested
SURROGATES = 199  # random traces with the spectrum of the real one: what chance reaches


@dataclass(frozen=True)
class Fit:
    """How a synthetic was moved to a trace."""

    correlation: float
    shift: float  # s, added to the well's times
    stretch: float  # share, about the middle of the window
    phase: float  # deg, of the wavelet
    scale: float = 1.0  # amplitude of the trace for a unit reflection coefficient
    edge: bool = False  # the shift or the stretch is as large as was allowed


def checked_well(well: Well, checkshots: Table | None) -> Well:
    """The well, with the checkshots of a table where one is given."""
    return well if checkshots is None else with_checkshots(well, checkshots)


def called(well: Well) -> str:
    """The name an answer uses for the well."""
    return well.well_name if well.well_name not in ("", UNKNOWN) else well.title or "the well"


def reflectivity(well: Well) -> tuple[Array, Array, tuple[str, ...]]:
    """((interface,) two-way time s, (interface,) normal-incidence coefficients, what to note), without ends that were filled in."""
    _, time, impedance, notes = logged_impedance(well)
    return 0.5 * (time[1:] + time[:-1]), np.diff(impedance) / (impedance[1:] + impedance[:-1]), notes


def logged_impedance(well: Well) -> tuple[Array, Array, Array, tuple[str, ...]]:
    """As `impedance_in_time`, without straight ramps of RAMP m or more at the ends of the log: filled in, not measured."""
    depth, time, impedance, notes = impedance_in_time(well)
    count = max(8, int(np.searchsorted(depth, depth[0] + 10)))  # samples of 10 m
    blocks = len(depth) // count
    first, last = 0, len(depth)
    if blocks > 2:
        position = np.arange(count) - (count - 1) / 2
        steps = []
        for values in (impedance[: blocks * count], impedance[len(depth) - blocks * count :][::-1]):
            rows = values.reshape(blocks, count)
            mean = rows.mean(axis=1, keepdims=True)
            slope = (rows @ position / (position @ position))[:, None]
            wiggle = np.sqrt(np.mean((rows - mean - slope * position) ** 2, axis=1)) / mean[:, 0]
            ramp = (wiggle < STRAIGHT) & (np.abs(slope[:, 0]) * count > 1e-5 * mean[:, 0])
            steps.append(blocks if ramp.all() else int(np.argmin(ramp)))
        long = [run * count if run < blocks and run * 10 >= RAMP else 0 for run in steps]
        if long[0] + long[1] < len(depth) - 2 * count:
            first, last = long[0], len(depth) - long[1]
    if first or last < len(depth):
        words = f"the impedance log is a straight line outside {depth[first]:.5g} to {depth[last - 1]:.5g} m: filled in, not measured, and left out"
        notes = (*notes, words)
    return depth[first:last], time[first:last], impedance[first:last], notes


def time_depth(well: Well) -> tuple[Array, Array, str]:
    """(depth m, two-way time s, both increasing; where it comes from): checkshots beyond the logs are kept."""
    time, words = two_way_time(well)
    depth = well.depth
    good = np.isfinite(time)
    depth, time = depth[good], time[good]
    if well.checkshot_depth is not None and well.checkshot_time is not None:
        order = np.argsort(well.checkshot_depth, kind="stable")
        z, t = well.checkshot_depth[order].astype(float), well.checkshot_time[order].astype(float)
        if len(z) > 1:  # beyond the shots nothing is known: the logs are cut there
            inside = (depth >= z[0]) & (depth <= z[-1])
            depth, time = depth[inside], time[inside]
        above = z < (depth[0] if len(depth) else np.inf)
        below = z > (depth[-1] if len(depth) else np.inf)
        depth, time = np.concatenate([z[above], depth, z[below]]), np.concatenate([t[above], time, t[below]])
    keep = np.ones(len(depth), bool)
    top = np.maximum.accumulate(time) if len(time) else time
    keep[1:] = (np.diff(depth) > 0) & (time[1:] > top[:-1])
    depth, time = depth[keep], time[keep]
    if len(depth) < 2:
        raise Refusal("E_DATA", f"{called(well)}: fewer than two depths with an increasing two-way time.")
    return depth, time, words


def nearest(line: Seismic, well: Well, cdp: int | None, live: Array) -> tuple[Array, float | None, str]:
    """(traces to average, nearest first; distance m where known; where that is).

    Raises Missing `cdp` where neither coordinates nor the person say which trace is meant.
    """
    alive = np.flatnonzero(live)
    distance = None
    if cdp is not None:
        hits = np.flatnonzero(line.numbers == cdp)
        if not len(hits):
            raise Refusal("E_GEOMETRY", f"CDP {cdp} is not on the line: it runs from {int(line.numbers.min())} to {int(line.numbers.max())}.")
        if not live[hits[0]]:
            raise Refusal("E_DATA", f"the trace at CDP {cdp} is dead.", "Choose a live one beside it.")
        at = int(hits[0])
        words = f"tied at CDP {cdp}, as asked"
    elif len(line.data) == 1:
        at, words = 0, "the only trace"
    else:
        placed = None
        if line.x is not None and line.y is not None and well.x is not None and well.y is not None:
            away = np.hypot(*(np.subtract(axis[alive], place) for axis, place in zip((line.x, line.y), _place(well), strict=True)))
            placed = away if np.isfinite(away).any() and np.ptp(line.x[alive]) + np.ptp(line.y[alive]) > 0 else None
        if placed is None:
            span = f"{int(line.numbers.min())} to {int(line.numbers.max())}"
            raise Missing("cdp", f"The line and {called(well)} share no coordinates. At which CDP is the well ({span})?")
        at = int(alive[np.nanargmin(placed)])
        distance = float(np.nanmin(placed))
        words = f"the well lies {distance:.4g} m from the nearest trace, CDP {int(line.numbers[at])}"
        if distance > 1000:
            words += ": too far for a tie to prove anything unless the layers are flat between them"
    order = alive[np.argsort(np.abs(alive - at), kind="stable")]
    return order[np.abs(order - at) <= AVERAGED // 2], distance, words


def _place(well: Well) -> tuple[float, float]:
    """Where the middle of the logs lies, m: along the track where the depths are measured along it, else the wellhead."""
    if well.track is None or well.reference not in ("MD", "TVDSS"):
        return float(well.x or 0), float(well.y or 0)
    middle, along = 0.5 * float(well.depth[0] + well.depth[-1]), well.track[:, 3 if well.reference == "MD" else 2]
    return float(np.interp(middle, along, well.track[:, 0])), float(np.interp(middle, along, well.track[:, 1]))


def own_window(line: Seismic, time: Array, margin: float, top: float | None, base: float | None) -> tuple[int, int]:
    """First and one past the last sample between `top` and `base` that the logs (`time`) cover, `margin` s kept from their ends."""
    if top is not None and base is not None and not top < base:
        raise ValueError(f"need top < base, got {top:g} and {base:g} s")
    axis = line.times
    low = max(float(time[0]) + margin, float(axis[0]), -np.inf if top is None else top)
    high = min(float(time[-1]) - margin, float(axis[-1]), np.inf if base is None else base)
    first, last = int(np.searchsorted(axis, low - 1e-9)), int(np.searchsorted(axis, high + 1e-9))
    if last - first < max(24, round(0.12 / line.dt)):
        covered = f"the logs cover {time[0]:.3f} to {time[-1]:.3f} s, the line {axis[0]:.3f} to {axis[-1]:.3f} s"
        message = f"{covered}: {max(last - first, 0)} samples are left for a tie, {max(24, round(0.12 / line.dt))} are wanted."
        raise Refusal("E_GEOMETRY", message, "Widen top and base, or take a well and a line of the same interval.")
    return first, last


def synthetic(coefficient: Array, place: Array, samples: int, fine: Array) -> Array:
    """Spikes at fractional samples `place` convolved with a wavelet from `upsampled`, on `samples` samples."""
    from scipy.signal import fftconvolve

    half = len(fine) // 2
    spread = half + FINE
    position = place * FINE
    inside = (position > -spread) & (position < samples * FINE + spread)
    position, strength = position[inside] + spread, coefficient[inside]
    low = np.floor(position + 1e-7).astype(int)
    share = np.clip(position - low, 0, 1)
    spikes = np.zeros(samples * FINE + 2 * spread + 2)
    np.add.at(spikes, low, strength * (1 - share))
    np.add.at(spikes, low + 1, strength * share)
    start = spread + half
    return np.asarray(fftconvolve(spikes, fine)[start : start + samples * FINE : FINE])


def series(at: Array, coefficient: Array, line: Seismic, first: int, count: int) -> Array:
    """(count,) reflectivity on the line's samples from `first`, nothing above Nyquist."""
    reach = 12
    sinc = np.sinc(np.arange(-reach, reach + 1)) * np.hanning(2 * reach + 3)[1:-1]
    return synthetic(coefficient, (at - line.t0) / line.dt - first, count, upsampled(sinc))


class Search:
    """All synthetics of a well that a shift, a stretch and a phase within their limits allow, against a window of a trace."""

    def __init__(self, at: Array, coefficient: Array, line: Seismic, wavelet: Array, window: tuple[int, int], shift: float, stretch: float) -> None:
        self.at, self.coefficient, self.line, self.window = at, coefficient, line, window
        self.fine = upsampled(wavelet)
        self.limits = shift, stretch
        self.first, self.last = window
        self.middle = 0.5 * float(line.times[self.first] + line.times[self.last - 1])
        half = 0.5 * (self.last - self.first) * line.dt
        steps = int(np.ceil(stretch * half / (0.5 * line.dt))) if stretch > 0 else 0
        self.stretches = np.linspace(-stretch, stretch, 2 * steps + 1) if steps else np.zeros(1)
        reach = int(np.floor(shift / line.dt + 1e-9))
        self.lags = np.arange(-reach, reach + 1)
        wide = []
        for value in self.stretches:
            trace = self.made(0.0, float(value), reach)
            pair = np.stack([trace, quadrature(trace)])
            wide.append(np.lib.stride_tricks.sliding_window_view(pair, self.last - self.first, axis=1)[:, ::-1])
        self.pairs = np.stack(wide, axis=1).astype(np.float32)  # (2, stretch, lag, sample)

    def made(self, shift: float, stretch: float, margin: int = 0) -> Array:
        """The zero-phase synthetic of the window, `margin` more samples at either end."""
        time = self.middle + (self.at - self.middle) * (1 + stretch) + shift
        place = (time - self.line.t0) / self.line.dt - (self.first - margin)
        return synthetic(self.coefficient, place, self.last - self.first + 2 * margin, self.fine)

    def scores(self, traces: Array, rows: Array | slice, phase: float | None) -> Array:
        """(stretch, lag, trace) best correlation of `traces` (trace, window) with the synthetics on `rows`, over all phases or at one."""
        s, h = self.pairs[0][..., rows], self.pairs[1][..., rows]  # (stretch, lag, sample)
        d = np.ascontiguousarray(traces[:, rows].T, dtype=np.float32)  # (sample, trace)
        ds, dh = s @ d, h @ d
        ss, hh, sh = (np.einsum("ijk,ijk->ij", a, b)[..., None] for a, b in ((s, s), (h, h), (s, h)))
        size = np.maximum(np.sqrt(np.sum(d * d, axis=0)), 1e-30)
        if phase is not None:
            c, q = np.cos(np.deg2rad(phase)), np.sin(np.deg2rad(phase))
            energy = c * c * ss + q * q * hh - 2 * c * q * sh
            return np.asarray((c * ds - q * dh) / (np.sqrt(np.maximum(energy, 1e-30)) * size))
        det = np.maximum(ss * hh - sh * sh, 1e-30)
        return np.asarray(np.sqrt(np.maximum((hh * ds * ds - 2 * sh * ds * dh + ss * dh * dh) / det, 0)) / size)

    def fitted(self, trace: Array, rows: Array | slice, shift: float, stretch: float, phase: float | None) -> Fit:
        """The correlation at a shift and stretch, with the phase that fits best or at the one given."""
        s = self.made(shift, stretch)
        h = quadrature(s)
        s, h, d = s[rows], h[rows], trace[rows]
        if phase is None:
            system = np.array([[s @ s, s @ h], [s @ h, h @ h]])
            a, b = np.linalg.solve(system + 1e-12 * np.trace(system) * np.eye(2), [d @ s, d @ h])
            model, angle = a * s + b * h, float(np.rad2deg(np.arctan2(-b, a)))
        else:
            model, angle = np.cos(np.deg2rad(phase)) * s - np.sin(np.deg2rad(phase)) * h, phase
        size = float(np.sqrt((model @ model) * (d @ d)))
        correlation = float(model @ d) / size if size > 0 else 0.0
        unit = np.cos(np.deg2rad(angle)) * s - np.sin(np.deg2rad(angle)) * h
        scale = float(unit @ d) / max(float(unit @ unit), 1e-30)
        return Fit(correlation, shift, stretch, angle, scale)

    def best(self, trace: Array, rows: Array | slice | None = None, phase: float | None = None, refine: bool = True) -> Fit:
        """The shift, stretch and phase of the highest correlation on `rows` of the window: a grid, then a simplex between its nodes."""
        from scipy.optimize import minimize

        rows = slice(None) if rows is None else rows
        scores = self.scores(trace[None], rows, phase)[..., 0]
        i, j = np.unravel_index(int(scores.argmax()), scores.shape)
        start = np.array([self.lags[j] * self.line.dt, self.stretches[i]])
        units = np.array([self.line.dt, self.stretches[1] - self.stretches[0] if len(self.stretches) > 1 else 1e-9])
        free = 2 if len(self.stretches) > 1 else 1

        def at(x: Array) -> tuple[float, float]:
            moved = start + units * np.array([x[0], x[1] if free == 2 else 0.0])
            return float(np.clip(moved[0], -self.limits[0], self.limits[0])), float(np.clip(moved[1], -self.limits[1], self.limits[1]))

        x = np.zeros(free)
        if refine:
            simplex = np.vstack([x, 0.5 * np.eye(free)])
            options = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-7, "maxiter": 120}
            x = minimize(lambda v: -self.fitted(trace, rows, *at(v), phase).correlation, x, method="Nelder-Mead", options=options).x
        fit = self.fitted(trace, rows, *at(x), phase)
        edge = abs(fit.shift) > self.limits[0] - 0.5 * self.line.dt or (free == 2 and abs(fit.stretch) > self.limits[1] - 0.5 * units[1])
        return replace(fit, edge=bool(edge))

    def blind(self, trace: Array, phase: float | None = None) -> float:
        """Correlation on the blocks of the window (BLOCK s) that were not used, with shift, stretch and phase found on every other one."""
        count = self.last - self.first
        block = np.arange(count) // max(round(BLOCK / self.line.dt), count // 12, 6)
        model = np.zeros(count)
        for kept in (block % 2 == 0, block % 2 == 1):
            fit = self.best(trace, ~kept, phase, refine=False)
            made = rotated(self.made(fit.shift, fit.stretch), fit.phase)
            model[kept] = made[kept] * abs(fit.scale)
        size = float(np.sqrt((model @ model) * (trace @ trace)))
        return float(model @ trace) / size if size > 0 else 0.0

    def chance(self, trace: Array, phase: float | None = None) -> Array:
        """(SURROGATES,) sorted best correlations of traces with the same spectrum and random phases, the same freedom given to each."""
        rng = np.random.default_rng(0)
        spectrum = np.abs(np.fft.rfft(trace - trace.mean()))
        turns = rng.uniform(0, 2 * np.pi, (SURROGATES, len(spectrum)))
        random = np.fft.irfft(spectrum * np.exp(1j * turns), len(trace), axis=1)
        return np.sort(self.scores(random, slice(None), phase).max(axis=(0, 1)).astype(float))


def horizon_time(horizon: Horizon, line: Seismic) -> Array:
    """(trace,) the horizon's time at every trace of the line, by CDP, else by position; NaN where it is not tracked.

    Gaps of the tracking are interpolated along the line, nothing beyond its ends. Raises E_GEOMETRY where neither fits.
    """
    good = np.isfinite(horizon.time)
    if not good.any():
        raise Refusal("E_DATA", f"horizon {horizon.title or ''} holds no time.")
    if horizon.cdp is not None:
        order = np.argsort(horizon.cdp[good], kind="stable")
        at, time = horizon.cdp[good][order].astype(float), horizon.time[good][order]
        return np.asarray(np.interp(line.numbers.astype(float), at, time, left=np.nan, right=np.nan))
    if horizon.x is None or horizon.y is None or line.x is None or line.y is None:
        raise Refusal("E_GEOMETRY", f"horizon {horizon.title or ''} and the line share neither CDP numbers nor coordinates.")
    return horizon_near(horizon, line.x, line.y)[0]


def horizon_near(horizon: Horizon, x: Array, y: Array) -> tuple[Array, Array]:
    """((point,) time of the horizon's nearest points, inverse-distance mean of three; (point,) distance m to the nearest)."""
    from scipy.spatial import cKDTree

    if horizon.x is None or horizon.y is None:
        raise Refusal("E_GEOMETRY", f"horizon {horizon.title or ''} has no coordinates.")
    good = np.isfinite(horizon.time) & np.isfinite(horizon.x + horizon.y)
    if not good.any():
        raise Refusal("E_DATA", f"horizon {horizon.title or ''} holds no time.")
    count = min(3, int(good.sum()))
    distance, index = cKDTree(np.column_stack([horizon.x[good], horizon.y[good]])).query(np.column_stack([x, y]), k=count)
    distance, index = np.reshape(distance, (-1, count)), np.reshape(index, (-1, count))
    weight = 1 / np.maximum(distance, 1e-3) ** 2
    return np.asarray((weight * horizon.time[good][index]).sum(axis=1) / weight.sum(axis=1)), np.asarray(distance[:, 0])


def oriented(line: Seismic, data: Array) -> tuple[Array, tuple[str, ...]]:
    """(traces in SEG normal polarity, what to note)."""
    if line.polarity == "SEG reverse":
        return -data, ("SEG reverse polarity: the traces were turned, phases are relative to SEG normal",)
    if line.polarity == "SEG normal":
        return data, ()
    return data, ("polarity unknown, taken as SEG normal: a phase near 180 degrees would mean it is reversed",)


def ready(line: Seismic) -> tuple[Array, Array, tuple[str, ...]]:
    """`amplitudes` of a section that can hold a wavelet; Refusal for one in depth, of another quantity, or too short."""
    in_time(line, "a wavelet")
    if line.data.shape[1] < 16:
        raise Refusal("E_DATA", f"{line.data.shape[1]} samples a trace are too few to hold a wavelet; 16 are wanted.")
    if line.quantity != "amplitude":
        raise Refusal("E_PHYSICS", f"this section holds {line.quantity}, not reflection amplitudes: it has no wavelet.", "Use the stack itself.")
    data, live, notes = amplitudes(line)
    if any(step.tool == "gain_agc" for step in line.history):
        notes = (*notes, "the line went through a gain: amplitudes along the trace are not to scale")
    return data, live, notes


def mean_trace(data: Array, near: Array) -> Array:
    """(sample,) float64 mean of some traces."""
    return np.asarray(data[near].astype(np.float64).mean(axis=0))


def verdict_of(blind: float, correlation: float, chance: float) -> str:
    """What a tie is worth, in words, from its correlations."""
    if correlation <= chance:
        return f"no better than chance: {correlation:.2f} where random traces reach {chance:.2f}"
    words = "a good tie" if blind >= 0.6 else "a fair tie" if blind >= 0.35 else "a weak tie, to be believed only with other evidence"
    return f"{words}: blind correlation {blind:.2f}, fitted {correlation:.2f}, random traces reach {chance:.2f}"
