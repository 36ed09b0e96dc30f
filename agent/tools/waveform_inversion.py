"""Full-waveform inversion of shot gathers for P velocity: the model whose acoustic waves fit the records, from low frequencies to high.

deepwave gives the misfit and its gradient, L-BFGS-B the steps; here are the checks before it starts (time step, dispersion, cycle
skipping), the source, the bands, and what the result can and cannot resolve. The forward physics is that of `wave_modelling`.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from moho.agent.guard import free_memory
from moho.agent.registry import Cost, tool
from moho.agent.tools.seismic_modelling import ricker
from moho.agent.tools.velocity_models import Plane, plane
from moho.agent.tools.wave_modelling import ACCURACY, COARSE, COST, PAD, PML, acoustic, courant, one_thread, remap
from moho.errors import DataError, Missing, Refusal
from moho.store import atomic_write
from moho.survey import Array, Gather, Seismic
from moho.units import Count, Depth, Hertz, Quantity, Velocity

ROLL = 1.3  # a band fades out between its upper frequency and this times it
STRIDE = 5.0  # % of the start velocity that the first step of a band may change at most
SKIPPED = 0.1  # share of traces that may be more than half a period off
HISTORY = 10  # pairs of L-BFGS
LIT = 0.05  # of the 90th percentile of illumination: nodes below count as not seen
GRADIENT = 5.0  # cost of a gradient in forward propagations, with its line search


def _cost(
    shots: list[Gather], start: Seismic, frequencies: list[float] | None = None, iterations: int = 8, source_frequency: float | None = None,
    slowest: float | None = None, fastest: float | None = None, fixed_depth: float | None = None,
) -> Cost:  # fmt: skip
    ground = plane(start)
    dt, samples = shots[0].dt, shots[0].data.shape[1]
    count = sum(len(np.unique(g.shot)) if g.shot is not None else 1 for g in shots)
    _, ratio, _ = courant(ground, fastest or 1.25 * float(ground.values.max()), dt)
    nodes = float(np.prod([n + 2 * (PML + PAD) + ACCURACY for n in ground.values.shape]))
    work = COST["acoustic"] * nodes * samples * ratio * 1.2 * count
    bands = len(frequencies) if frequencies else 3
    kept = samples * ratio * 1.2 / max(1, ratio)
    return Cost(3 + GRADIENT * work * bands * iterations, 4e8 + _per_shot(ground, kept) * _batch(ground, kept, count))


@tool(
    discipline="seismic",
    stage="inversion",
    cost=_cost,
    reference="Virieux and Operto 2009, An overview of full-waveform inversion in exploration geophysics, Geophysics 74; "
    "Bunks et al. 1995, Multiscale seismic waveform inversion, Geophysics 60",
    truth="six shots over a made 120 x 60 model: misfit down over 4-fold in 8 iterations; the gradient is the slope of the misfit within 2 %",
    say=(
        "Run full waveform inversion on {shots} starting from {start}",
        "FWI of {shots}, start model {start}, bands {frequencies}, {iterations} iterations each",
        "fwi {shots} {start} {frequencies}",
        "invert the waveforms in {shots} for velocity, initial model {start}, {source_frequency} Ricker source",
        "Refine {start} with the shot gathers {shots} up to {frequencies}",
        "multiscale full-waveform inversion, {shots}, from {start}, {frequencies}",
        "continue the inversion {start} with {shots} for {iterations} more iterations",
        "please to do waveform inversion of {shots} using starting velocity {start}, frequencies {frequencies}",
        "update my velocity model {start} by FWI with {shots}, keep the water down to {fixed_depth}",
        "can you get a sharper velocity model from {shots}? start at {start}, velocities {slowest} to {fastest}",
        "least squares waveform fit {shots} {start} {iterations} its",
    ),
)
def fwi_2d(
    shots: list[Gather],
    start: Seismic,
    frequencies: list[Annotated[Hertz, "upper frequency of each band, from low to high"]] | None = None,
    iterations: Annotated[Count, "iterations a band"] = 8,
    source_frequency: Annotated[Hertz, "peak frequency of the Ricker source; estimated from the records where not given"] | None = None,
    slowest: Annotated[Velocity, "lowest velocity allowed"] | None = None,
    fastest: Annotated[Velocity, "highest velocity allowed"] | None = None,
    fixed_depth: Annotated[Depth, "depth down to which the start model is kept"] | None = None,
) -> Seismic:
    """The P velocity model whose acoustic records fit the shots in least squares, band after band, with L-BFGS-B.

    Each shot's source strength is solved for in every evaluation; without `source_frequency` the source wavelet is estimated from the
    records at the start of each band (Pratt 1999). Two dimensions, constant density, absorbing on all sides. Refuses when the start
    model's waves are half a period off in the first band. A result given as `start` is continued, its misfit history kept.
    """
    plan = prepare(shots, start, frequencies, iterations, source_frequency, slowest, fastest, fixed_depth)
    return result(plan, start, invert(plan))


@dataclass(frozen=True)
class Survey:
    """Records on one time axis, gathered by shot."""

    data: Array  # (shot, receiver, sample) float32, zero where dead or absent
    live: Array  # (shot, receiver) bool
    sources: Array  # (shot, 2) nodes
    receivers: Array  # (shot, receiver, 2) nodes, NaN where absent
    offset: Array  # (shot, receiver) m
    dt: float
    t0: float


@dataclass(frozen=True)
class Plan:
    """All that an inversion needs, checked."""

    ground: Plane  # the start model
    survey: Survey
    bands: tuple[float, ...]  # Hz, upper frequencies
    iterations: int
    source_frequency: float | None
    bounds: tuple[float, float]  # m/s
    weight: Array  # (position, depth), 0 where the model is kept, else the preconditioner
    lit: Array  # (position, depth), illumination over its 90th percentile
    dt: float  # s, internal step
    ratio: int
    before: int  # samples modelled before the first recorded one
    accuracy: Literal[4, 8]
    every: int  # of the steps are kept for the gradient: eight to a period of the highest frequency
    batch: int  # shots at a time
    facts: dict[str, Quantity]
    notes: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """A digest of data, start and settings: a checkpoint holds for exactly these."""
        total = hashlib.sha256(repr((self.bands, self.iterations, self.source_frequency, self.bounds, self.dt)).encode())
        for array in (self.ground.values, self.survey.data, self.survey.sources, self.survey.receivers, self.weight):
            total.update(np.ascontiguousarray(array).tobytes())
        return total.hexdigest()


@dataclass(frozen=True)
class Evaluation:
    """A misfit with its gradient, computed once."""

    place: str  # digest of the unknowns
    misfit: float
    gradient: Array  # (position, depth) float32


@dataclass
class Progress:
    """How far an inversion has come."""

    model: Array  # (position, depth) m/s
    band: int = 0
    iteration: int = 0  # within the band
    history: list[tuple[int, float]] = field(default_factory=list)  # (band, misfit in % of the records' energy), the first before any step
    wavelet: Array | None = None  # of this band
    evaluations: int = 0
    origin: Array | None = None  # the model this band began with
    tape: list[Evaluation] = field(default_factory=list)  # of this band, in order

    def dump(self, fingerprint: str) -> bytes:
        buffer = io.BytesIO()
        extra = np.zeros(0) if self.wavelet is None else self.wavelet
        numbers = np.array([self.band, self.iteration, self.evaluations])
        np.savez(
            buffer, model=self.model, numbers=numbers, history=np.array(self.history).reshape(-1, 2), wavelet=extra, of=np.array(fingerprint),
            origin=np.zeros(0) if self.origin is None else self.origin, places=np.array([e.place for e in self.tape], dtype="U64"),
            misfits=np.array([e.misfit for e in self.tape]), gradients=np.array([e.gradient for e in self.tape], np.float32),
        )  # fmt: skip
        return buffer.getvalue()

    @classmethod
    def load(cls, path: Path, fingerprint: str) -> Progress:
        try:
            with np.load(path, allow_pickle=False) as kept:
                if str(kept["of"]) != fingerprint:
                    said = f"{path.name} was kept by an inversion of other data or with other settings"
                    raise DataError("E_CHANGED", said, "Begin in an empty folder.")
                band, iteration, evaluations = (int(n) for n in kept["numbers"])
                history = [(int(b), float(m)) for b, m in kept["history"]]
                rows = zip(kept["places"], kept["misfits"], kept["gradients"], strict=True)
                tape = [Evaluation(str(place), float(misfit), gradient) for place, misfit, gradient in rows]
                wavelet, origin = (kept[name] if kept[name].size else None for name in ("wavelet", "origin"))
                return cls(kept["model"], band, iteration, history, wavelet, evaluations, origin, tape)
        except (OSError, ValueError, KeyError) as error:
            raise DataError("E_CHANGED", f"{path.name} is damaged: {error}") from error


def prepare(
    shots: Sequence[Gather], start: Seismic, frequencies: Sequence[float] | None = None, iterations: int = 8, source_frequency: float | None = None,
    slowest: float | None = None, fastest: float | None = None, fixed_depth: float | None = None,
) -> Plan:  # fmt: skip
    """The inversion, checked and refused where it cannot work: geometry, time step, dispersion, memory, cycle skipping."""
    ground = plane(start)
    survey, notes = _survey(ground, shots)
    low, high = slowest or 0.8 * float(ground.values.min()), min(fastest or 1.25 * float(ground.values.max()), 12000.0)
    if not low <= ground.values.min() <= ground.values.max() <= high:
        raise ValueError(f"velocities from {low:g} to {high:g} m/s must hold the start model, {ground.values.min():g} to {ground.values.max():g} m/s")
    if slowest is None or fastest is None:
        notes.append(f"velocities kept between {low:.0f} and {high:.0f} m/s")
    bands, words = _bands(survey, frequencies)
    notes += words
    top = bands[-1] * ROLL
    spacing = max(ground.dx, ground.dz)
    wave = float(ground.values.min()) / bands[-1]
    if (nodes := wave / spacing) < COARSE:
        said = f"{bands[-1]:g} Hz at {ground.values.min():g} m/s is {wave:.3g} m long, {nodes:.2g} nodes of {spacing:g} m; {COARSE:g} are the least"
        hint = f"Take a grid of {wave / COARSE:.3g} m, or stop at {bands[-1] * nodes / COARSE:.3g} Hz."
        raise Refusal("E_PHYSICS", f"numerical dispersion: {said}.", hint)
    if top > 0.5 / survey.dt:
        raise Refusal("E_PHYSICS", f"the band up to {bands[-1]:g} Hz fades out at {top:g} Hz, above the Nyquist frequency of {0.5 / survey.dt:g} Hz.")
    inner, ratio, number = courant(ground, high, survey.dt)
    before = math.ceil((1.5 / min(*bands, source_frequency or bands[0]) + max(survey.t0, 0.0)) / survey.dt) - min(0, round(survey.t0 / survey.dt))
    limit = max(1, int(0.125 / top / inner))
    many = max(1, limit // ratio)
    before += -(before + survey.data.shape[2]) % many  # deepwave wants whole blocks of steps
    every = ratio * many if limit >= ratio else max(k for k in range(1, limit + 1) if ratio % k == 0)
    samples = before + survey.data.shape[2]
    batch = _batch(ground, samples * ratio / every, len(survey.data))
    need = _per_shot(ground, samples * ratio / every) * batch
    if need > 0.6 * (free := free_memory()):
        said = f"the wavefield of one shot takes {need / 1e9:.2f} GB and {free / 1e9:.2f} GB is free."
        raise Refusal("E_LIMIT", said, "Take a coarser grid or shorter records.")
    facts = {
        "courant_number": Quantity(float(f"{number:.4g}"), "", "Courant number at the highest velocity allowed"),
        "nodes_per_wavelength": Quantity(float(f"{nodes:.4g}"), "", "grid nodes in the shortest wavelength"),
    }
    notes.append(f"CFL: steps of {1000 * inner:.4g} ms, Courant number {number:.3g} of 0.6 allowed at {high:.0f} m/s; {nodes:.3g} nodes in "
                 f"the shortest wavelength ({bands[-1]:g} Hz at {ground.values.min():.0f} m/s)")  # fmt: skip
    empty = np.ones_like(ground.values)
    accuracy: Literal[4, 8] = 4 if nodes >= 6 else 8
    plan = Plan(
        ground, survey, bands, iterations, source_frequency, (low, high), empty, empty, inner, ratio, before, accuracy, every, batch, facts, (),
    )  # fmt: skip
    lit = _illumination(plan)
    off, half, share = _skip(plan)
    facts |= {
        "time_error": Quantity(float(f"{1000 * off:.4g}"), "ms", "travel-time error of the start model (90 % of traces)"),
        "half_period": Quantity(float(f"{1000 * half:.4g}"), "ms", "half a period in the first band"),
    }
    if share > SKIPPED:
        said = f"cycle skipping: in {100 * share:.0f} % of the traces the start model's waves are more than half a period "
        said += f"({1000 * half:.3g} ms at {0.5 / half:.3g} Hz) off; 90 % are within {1000 * off:.3g} ms"
        hint = f"Start at {0.5 / off:.2g} Hz or lower if the records hold it, or with a better model (refraction_tomography)."
        raise Refusal("E_PHYSICS", f"{said}.", hint)
    notes.append(f"at the start 90 % of the traces were within {1000 * off:.3g} ms, half a period being {1000 * half:.3g} ms at {0.5 / half:.3g} Hz")
    weight, words = _weight(ground, survey, lit, fixed_depth)
    return replace(plan, weight=weight, lit=lit, notes=(*notes, *words))


def invert(plan: Plan, keep: Path | None = None, until: int | None = None) -> Progress:
    """The inversion run to its end, or over `until` more iterations.

    With `keep`, a folder, the state is written there after every iteration, with the misfits and gradients of the band. A run that was
    stopped inside a band plays these to the optimiser again, which takes no waves, and ends with the very model of a run that was not.
    """
    from scipy.optimize import minimize

    path = None if keep is None else Path(keep) / "inversion.npz"
    progress = Progress.load(path, plan.fingerprint) if path is not None and path.exists() else Progress(plan.ground.values.copy())
    done = 0

    def save() -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(path, progress.dump(plan.fingerprint), replace=True)

    with one_thread():
        while progress.band < len(plan.bands):
            data, wavelet = _band(plan, progress)
            if progress.origin is None:
                progress.origin = progress.model
            reached, played = progress.iteration, 0
            if reached:  # stopped inside this band: from its beginning, with what was computed
                progress.iteration, progress.model = 0, progress.origin
                first = next(i for i, (band, _) in enumerate(progress.history) if band == progress.band)
                del progress.history[first + 1 :]
            else:
                progress.history.append((progress.band, 100 * _misfit(plan, progress.model, data, wavelet, gradient=False)[0]))
            origin, reach = progress.origin, _reach(plan, plan.bands[progress.band])
            free = np.flatnonzero(plan.weight.ravel() > 0)
            scale = 0.0

            def model_of(x: Array, origin: Array = origin, reach: tuple[float, float] = reach, free: Array = free) -> Array:
                change = np.zeros(origin.size)
                change[free] = x
                return np.clip(origin + plan.weight * _smooth(change.reshape(origin.shape), reach), *plan.bounds)

            def value(
                x: Array, data: Array = data, wavelet: Array = wavelet, reach: tuple[float, float] = reach, free: Array = free
            ) -> tuple[float, Array]:
                nonlocal scale, played
                place = hashlib.sha256(x.tobytes()).hexdigest()
                if played == len(progress.tape) or progress.tape[played].place != place:
                    misfit, gradient = _misfit(plan, model_of(x), data, wavelet)
                    progress.evaluations += 1
                    progress.tape[played:] = [Evaluation(place, misfit, gradient.astype(np.float32))]
                misfit, gradient = progress.tape[played].misfit, progress.tape[played].gradient.astype(float)
                played += 1
                slope = _smooth(plan.weight * gradient, reach).ravel()[free]
                if not scale:
                    step = plan.weight * _smooth(plan.weight * _smooth(plan.weight * gradient, reach), reach)
                    scale = 0.01 * STRIDE * float(plan.ground.values.mean()) / max(float(np.abs(step).max()), 1e-30)
                return scale * misfit, scale * slope

            def after(intermediate_result: Any) -> None:
                nonlocal done
                progress.iteration += 1
                progress.model = model_of(intermediate_result.x)
                progress.history.append((progress.band, 100 * float(intermediate_result.fun) / scale))  # noqa: B023  # this band's
                if progress.iteration > reached:  # noqa: B023  # of this band
                    done += 1
                    save()
                if progress.iteration >= plan.iterations or done == until:
                    raise StopIteration

            if reached < plan.iterations:
                minimize(value, np.zeros(len(free)), jac=True, method="L-BFGS-B", callback=after,
                         options={"maxcor": HISTORY, "maxiter": plan.iterations, "ftol": 1e-9, "gtol": 1e-12})  # fmt: skip
            if done == until and progress.iteration < plan.iterations:
                return progress
            progress.band, progress.iteration, progress.wavelet = progress.band + 1, 0, None
            progress.origin, progress.tape = None, []
            save()
            if done == until:
                return progress
    return progress


def result(plan: Plan, start: Seismic, progress: Progress) -> Seismic:
    """The model of `progress` with its numbers, after those of an earlier inversion that `start` may be."""
    earlier = [float(m) for m in start.facts["misfit_history"].value] if "misfit_history" in start.facts else []
    base = int(start.facts["iterations"].value) if earlier and "iterations" in start.facts else 0
    here = [m for _, m in progress.history]
    first = [next(m for b, m in progress.history if b == band) for band in sorted({b for b, _ in progress.history})]
    last = [[m for b, m in progress.history if b == band][-1] for band in sorted({b for b, _ in progress.history})]
    drop = first[0] / max(last[0], 1e-12)
    band = [_lowest(plan.survey, plan.bands[-1]), plan.bands[-1]]
    steps = len(here) - len(first)
    change = progress.model - plan.ground.values
    seen = plan.lit >= LIT
    wave = float(np.median(progress.model[seen])) / plan.bands[-1]
    facts = plan.facts | {
        "misfit": Quantity(float(f"{last[-1]:.5g}"), "%", "misfit at the end, of the records' energy in the last band"),
        "start_misfit": Quantity(float(f"{first[0]:.5g}"), "%", "misfit at the start, of the records' energy in the first band"),
        "reductions": Quantity([float(f"{a / max(b, 1e-12):.4g}") for a, b in zip(first, last, strict=True)], "", "misfit reduction by band"),
        "reduction": Quantity(float(f"{drop:.4g}"), "", "misfit before over after in the first band"),
        "iterations": Quantity(base + steps, "", "iterations"),
        "gradients": Quantity(int(progress.evaluations), "", "misfits and gradients computed"),
        "misfit_history": Quantity([*earlier, *(float(f"{m:.6g}") for m in here)], "%", "misfit after each iteration"),
        "frequencies": Quantity([float(b) for b in plan.bands], "Hz", "upper corners of the bands, one by one"),
        "band": Quantity([float(f"{b:.4g}") for b in band], "Hz", "band used"),
        "change_range": Quantity([float(f"{change.min():.5g}"), float(f"{change.max():.5g}")], "m/s", "range of the change to the start model"),
        "velocity_range": Quantity([float(progress.model.min()), float(progress.model.max())], "m/s", "P velocity range"),
        "illuminated": Quantity(float(f"{100 * seen.mean():.4g}"), "%", "share of the model that the waves light up"),
        "resolution": Quantity(float(f"{0.5 * wave:.4g}"), "m", "half the shortest wavelength, the least size resolved"),
    }  # fmt: skip
    notes = [
        f"not unique: only what waves of {band[0]:.3g} to {band[1]:.3g} Hz sense is constrained; details under {0.5 * wave:.3g} m, and the "
        f"{100 - 100 * seen.mean():.0f} % of the model with less than {100 * LIT:g} % of the usual illumination (faded when drawn), the start's",
        f"L-BFGS-B with {HISTORY} pairs, {plan.iterations} iterations a band; changes smoothed over a tenth of a wavelength, no more",
        "acoustic, constant density, two dimensions, no free surface: elastic waves, attenuation, 3-D spreading and ghosts are fitted as velocity",
    ]
    if earlier:
        notes.append(f"continued from {base} earlier iterations; the optimiser's memory started afresh")
    stuck = [b for b, _ in progress.history]
    if any(stuck.count(b) - 1 < plan.iterations for b in range(progress.band)):
        notes.append("a band ended before its last iteration: the line search found nothing better")
    if np.any(progress.model <= plan.bounds[0] * 1.001) or np.any(progress.model >= plan.bounds[1] * 0.999):
        notes.append(f"the model touches the allowed {plan.bounds[0]:.0f} or {plan.bounds[1]:.0f} m/s")
    shade = np.clip(plan.lit / LIT, 0, 1).astype(np.float32)
    return start.made(
        facts=facts, notes=(*notes, *plan.notes), data=progress.model.astype(np.float32), title="waveform inversion", view={"coverage": shade},
    )  # fmt: skip


# Records --------------------------------------------------------------------------------------------------------------


def _survey(ground: Plane, shots: Sequence[Gather]) -> tuple[Survey, list[str]]:
    """The gathers by shot on one time axis."""
    if not shots:
        raise Missing("shots", "Which shot gathers should be inverted?")
    head = shots[0]
    for other in shots[1:]:
        if (other.dt, other.data.shape[1], other.t0) != (head.dt, head.data.shape[1], head.t0):
            axes = [f"{g.data.shape[1]} samples of {g.dt:g} s from {g.t0:g} s" for g in (head, other)]
            said = f"{head.title or 'the first'} has {axes[0]}, {other.title or 'another'} {axes[1]}"
            raise Refusal("E_GEOMETRY", f"the gathers have different time axes: {said}.")
    records, places, heard, offsets, notes = [], [], [], [], []
    dead = broken = 0
    for gather in shots:
        if gather.source_x is None or gather.receiver_x is None:
            raise Refusal("E_GEOMETRY", f"{gather.title or 'a gather'} has no source and receiver positions: waves cannot be modelled.")
        if gather.source_depth is None or gather.receiver_depth is None:
            notes.append(f"no depths in {gather.title or 'a gather'}: sources and receivers at the top of the model, {ground.z0:g} m")
        top = np.full(len(gather.data), ground.z0)
        depths = [top if d is None else d for d in (gather.source_depth, gather.receiver_depth)]
        for side in (gather.source_y, gather.receiver_y):
            if side is not None and float(np.ptp(side)) > 0.1 * float(np.ptp(gather.receiver_x)) + 1e-6:
                raise Refusal("E_GEOMETRY", f"the line is not along x (y runs over {np.ptp(side):g} m): turn it into distance along the model first.")
        number = np.ones(len(gather.data), int) if gather.shot is None else gather.shot
        for shot in np.unique(number):
            rows = np.flatnonzero(number == shot)
            if np.ptp(gather.source_x[rows]) > 1e-3:
                raise Refusal("E_GEOMETRY", f"shot {shot} has sources from {gather.source_x[rows].min():g} to {gather.source_x[rows].max():g} m.")
            traces = np.asarray(gather.data[rows], np.float32)
            bad: Array = ~np.all(np.isfinite(traces), axis=1)
            broken += int(bad.sum())
            traces = np.where(bad[:, None], np.float32(0), traces)
            dead += int((~bad & ~traces.any(axis=1)).sum())
            records.append(traces)
            places.append(ground.nodes(gather.source_x[rows][:1], depths[0][rows][:1], "sources")[0])
            heard.append(ground.nodes(gather.receiver_x[rows], depths[1][rows], "receivers"))
            offsets.append(np.abs(gather.receiver_x[rows] - gather.source_x[rows]))
    most, samples = max(map(len, records)), head.data.shape[1]
    data = np.zeros((len(records), most, samples), np.float32)
    receivers, offset = np.full((len(records), most, 2), np.nan), np.zeros((len(records), most))
    for k, (traces, at, away) in enumerate(zip(records, heard, offsets, strict=True)):
        kept = np.flatnonzero(traces.any(axis=1))
        data[k, : len(kept)], receivers[k, : len(kept)], offset[k, : len(kept)] = traces[kept], at[kept], away[kept]
        if len(np.unique(np.round(at[kept], 6), axis=0)) < len(kept):
            raise Refusal("E_GEOMETRY", f"shot {k + 1} has two traces at one receiver position.", "Stack or drop them first.")
    live: Array = np.any(data, axis=2)
    if not live.any():
        raise Refusal("E_DATA", f"all {sum(map(len, records))} traces are dead or hold NaN.")
    if samples < 32:
        raise Refusal("E_DATA", f"{samples} samples a trace are too few for waveforms; 32 are the least.")
    silent: Array = ~np.any(live, axis=1)
    if dead or broken:
        notes.append(f"left out: {dead} dead traces and {broken} with NaN")
    keep = ~silent
    return Survey(data[keep], live[keep], np.array(places)[keep], receivers[keep], offset[keep], float(head.dt), float(head.t0)), sorted(set(notes))


def _spectrum(survey: Survey) -> tuple[Array, Array]:
    """(Hz, mean power of the traces, each of unit energy)."""
    live = survey.data[survey.live].astype(float)
    live /= np.sqrt(np.sum(live**2, axis=1, keepdims=True))
    power = np.mean(np.abs(np.fft.rfft(live, axis=1)) ** 2, axis=0)
    return np.fft.rfftfreq(survey.data.shape[2], survey.dt), power


def _lowest(survey: Survey, high: float) -> float:
    """Hz, below which 2 % of the energy up to `high` lies."""
    frequency, power = _spectrum(survey)
    inside = frequency <= high
    share = np.cumsum(power[inside]) / max(float(power[inside].sum()), 1e-30)
    return float(frequency[inside][min(int(np.searchsorted(share, 0.02)), int(inside.sum()) - 1)])


def _bands(survey: Survey, frequencies: Sequence[float] | None) -> tuple[tuple[float, ...], list[str]]:
    frequency, power = _spectrum(survey)
    if frequencies is None:
        peak = float(frequency[int(np.argmax(power))])
        bands = tuple(float(f"{share * peak:.2g}") for share in (0.6, 1.0, 1.5))
        return bands, [f"bands up to {', '.join(f'{b:g}' for b in bands)} Hz: 0.6, 1 and 1.5 times the records' peak of {peak:.3g} Hz"]
    bands = tuple(float(f) for f in frequencies)
    if not bands or list(bands) != sorted(set(bands)):
        raise ValueError(f"frequencies must increase, got {', '.join(f'{b:g}' for b in bands) or 'none'} Hz")
    if bands[0] * (span := survey.dt * survey.data.shape[2]) < 2:
        said = f"the first band, up to {bands[0]:g} Hz, is empty: {span:g} s of record hold {bands[0] * span:.2g} periods of it"
        raise Refusal("E_DATA", f"{said}.", f"Begin at {2 / span:.2g} Hz or higher.")
    share = float(power[frequency <= bands[0] * ROLL].sum() / power.sum())
    if share < 1e-3:
        said = f"only {100 * share:.2g} % of the records' energy lies below {bands[0] * ROLL:.3g} Hz"
        hint = f"The records begin at about {_lowest(survey, np.inf):.3g} Hz."
        raise Refusal("E_DATA", f"the first band, up to {bands[0]:g} Hz, is empty: {said}.", hint)
    return bands, []


def _low_pass(traces: Array, dt: float, high: float) -> Array:
    """Zero phase, flat to `high`, a cosine to nothing at ROLL times it."""
    samples = traces.shape[-1]
    size = 2 * samples
    frequency = np.fft.rfftfreq(size, dt)
    ramp = np.clip((frequency - high) / ((ROLL - 1) * high), 0, 1)
    return np.fft.irfft(np.fft.rfft(traces, size, axis=-1) * (0.5 + 0.5 * np.cos(np.pi * ramp)), size, axis=-1)[..., :samples]


def _wavelet(plan: Plan, frequency: float) -> Array:
    """(step,) Ricker with its peak at time 0, on the internal steps of a run."""
    count = (plan.before + plan.survey.data.shape[2]) * plan.ratio
    start = round(plan.survey.t0 / plan.survey.dt) - plan.before
    return ricker((np.arange(count) + start * plan.ratio) * plan.dt, frequency)


def _band(plan: Plan, progress: Progress) -> tuple[Array, Array]:
    """Records and source of this band, with the dispersion of the time steps put into both."""
    high = plan.bands[progress.band]
    data = _low_pass(remap(plan.survey.data, plan.survey.dt, plan.dt, -1), plan.survey.dt, high).astype(np.float32)
    if progress.wavelet is None:
        progress.wavelet = _source(plan, progress.model, data, high)
    return data, progress.wavelet


def _source(plan: Plan, model: Array, data: Array, high: float) -> Array:
    """(step,) source up to `high`: the Ricker asked for, else the wavelet that best makes the records in this model."""
    known = plan.source_frequency
    wavelet = _wavelet(plan, known or 0.7 * high)
    wavelet = _low_pass(wavelet, plan.dt, high)
    if known is None:
        predicted = _predict(plan, model, wavelet.astype(np.float32))
        size = 2 * data.shape[2]
        p, d = (np.fft.rfft(traces, size, axis=-1) for traces in (predicted, data))
        power = np.sum(np.abs(p) ** 2, axis=(0, 1))
        shape = np.sum(np.conj(p) * d, axis=(0, 1)) / (power + 1e-3 * power.max())
        coarse = np.fft.rfftfreq(size, plan.survey.dt)
        fine = np.fft.rfftfreq(2 * len(wavelet), plan.dt)
        shape = np.interp(fine, coarse, shape.real, right=0) + 1j * np.interp(fine, coarse, shape.imag, right=0)
        filtered = np.fft.rfft(wavelet, 2 * len(wavelet)) * shape
        time = (np.arange(len(wavelet)) - (plan.before - round(plan.survey.t0 / plan.survey.dt)) * plan.ratio) * plan.dt
        wavelet = np.fft.irfft(filtered)[: len(wavelet)] * np.clip(2.0 - np.abs(time) * 0.5 * high, 0, 1)
        wavelet = wavelet / max(float(np.abs(wavelet).max()), 1e-30)
    return remap(wavelet, plan.dt, plan.dt, -1)


# Waves ----------------------------------------------------------------------------------------------------------------


def _predict(plan: Plan, model: Array, wavelet: Array) -> Array:
    """(shot, receiver, sample)."""
    with one_thread() as torch, torch.no_grad():
        speed = torch.tensor(model, dtype=torch.float32)
        parts = [slice(k, k + plan.batch) for k in range(0, len(plan.survey.data), plan.batch)]
        return np.concatenate([_run(plan, torch, speed, wavelet, part).numpy() for part in parts])


def _run(plan: Plan, torch: Any, speed: Any, wavelet: Array, part: slice) -> Any:
    survey = plan.survey
    signal = torch.tensor(wavelet, dtype=torch.float32)
    field = acoustic(
        speed, plan.ground, signal, plan.dt, survey.sources[part], survey.receivers[part], max(plan.bands), plan.bounds[1],
        accuracy=plan.accuracy, every=plan.every,
    )  # fmt: skip
    return field[..., :: plan.ratio][..., plan.before :]


def _misfit(plan: Plan, model: Array, data: Array, wavelet: Array, gradient: bool = True) -> tuple[float, Array]:
    """(1 - the share of the records' energy that is explained, its gradient by velocity).

    Each shot has the source strength that fits it best; by that the gradient is the one at fixed strength.
    """
    import torch

    speed = torch.tensor(model, dtype=torch.float32, requires_grad=gradient)
    total, energy = 0.0, float(np.sum(data.astype(float) ** 2))
    with torch.set_grad_enabled(gradient):
        for k in range(0, len(data), plan.batch):
            part = slice(k, k + plan.batch)
            predicted = _run(plan, torch, speed, wavelet, part)
            observed = torch.tensor(data[part])
            with torch.no_grad():
                strength = (predicted * observed).sum((1, 2)) / (predicted**2).sum((1, 2)).clamp_min(1e-30)
            loss = ((strength[:, None, None] * predicted - observed) ** 2).sum() / energy
            if gradient:
                loss.backward()
            total += float(loss.detach())
    return total, (np.zeros(0) if speed.grad is None else speed.grad.numpy().astype(float))


def _illumination(plan: Plan) -> Array:
    """(position, depth) geometric mean of the energy that sources and receivers put there, over its 90th percentile."""
    survey, high = plan.survey, plan.bands[-1]
    wavelet = remap(_low_pass(_wavelet(plan, plan.source_frequency or 0.7 * high), plan.dt, high), plan.dt, plan.dt, -1)
    heard = survey.receivers[survey.live]
    heard = heard[np.unique(np.linspace(0, len(heard) - 1, 8).astype(int))]
    shot = survey.sources[np.unique(np.linspace(0, len(survey.sources) - 1, 8).astype(int))]
    parts = []
    for places in (shot, heard):
        total = np.zeros(plan.ground.values.shape)
        for place in places:
            total += _energy(plan, wavelet, place)
        parts.append(total)
    lit = np.sqrt(parts[0] * parts[1])
    return np.asarray(lit / max(float(np.percentile(lit, 90)), 1e-30))


def _energy(plan: Plan, wavelet: Array, place: Array) -> Array:
    """(position, depth) sum over time of the squared field of a source at `place`."""
    import deepwave

    total = np.zeros(plan.ground.values.shape)

    def add(state: Any) -> None:
        inner = state.get_wavefield("wavefield_0", view="inner")[0].numpy()
        total.__iadd__(inner[PAD:-PAD, PAD:-PAD].astype(float) ** 2)

    with one_thread() as torch, torch.no_grad():
        padded = torch.tensor(np.pad(plan.ground.values, PAD, mode="edge"), dtype=torch.float32)
        deepwave.scalar(
            padded, [plan.ground.dx, plan.ground.dz], plan.dt, source_amplitudes=torch.tensor(wavelet, dtype=torch.float32)[None, None],
            source_locations=torch.tensor(place[None, None] + PAD, dtype=torch.float32), accuracy=plan.accuracy, pml_width=PML,
            pml_freq=max(plan.bands), max_vel=plan.bounds[1], forward_callback=add, callback_frequency=max(1, int(0.1 / max(plan.bands) / plan.dt)),
        )  # fmt: skip
    return total


# Choices --------------------------------------------------------------------------------------------------------------


def _skip(plan: Plan) -> tuple[float, float, float]:
    """(90th percentile of |time error| of the start model in s, half a period in the first band in s, share of traces more than that off).

    The error is the lag at which the envelopes of modelled and recorded trace, in the widest band, match best.
    """
    survey, high = plan.survey, plan.bands[-1]
    progress = Progress(plan.ground.values, band=len(plan.bands) - 1)
    data, wavelet = _band(plan, progress)
    predicted = _predict(plan, plan.ground.values, wavelet)
    lag = _lags(predicted[survey.live], data[survey.live], survey.dt)
    first = _low_pass(survey.data[survey.live].astype(float), survey.dt, plan.bands[0])
    power = np.mean(np.abs(np.fft.rfft(first, axis=1)) ** 2, axis=0)
    frequency = np.fft.rfftfreq(first.shape[1], survey.dt)
    centre = float((power * frequency).sum() / max(float(power.sum()), 1e-30)) or high
    half = 0.5 / centre
    return float(np.percentile(np.abs(lag), 90)), half, float(np.mean(np.abs(lag) > half))


def _lags(predicted: Array, observed: Array, dt: float) -> Array:
    """(trace,) s by which the envelope of the observed lies behind that of the predicted."""
    from scipy.signal import hilbert

    samples = observed.shape[1]
    a, b = (np.abs(hilbert(traces.astype(float), axis=1)) for traces in (predicted, observed))
    size = 2 * samples
    cross = np.fft.irfft(np.conj(np.fft.rfft(a, size, axis=1)) * np.fft.rfft(b, size, axis=1), size, axis=1)
    best = np.argmax(cross, axis=1)
    return dt * np.where(best > samples, best - size, best)


def _weight(ground: Plane, survey: Survey, lit: Array, fixed_depth: float | None) -> tuple[Array, list[str]]:
    """(position, depth) by which a change of the model is multiplied: 0 where it is kept, larger where less light falls."""
    weight = 1 / np.sqrt(lit + 0.05)
    weight /= weight.max()
    notes = ["changes scaled by the inverse root of illumination, none within two nodes of a source"]
    if fixed_depth is not None:
        if fixed_depth >= ground.bottom:
            raise ValueError(f"fixed_depth of {fixed_depth:g} m keeps the whole model, which ends at {ground.bottom:g} m")
        weight = weight * (ground.z[None] > fixed_depth)
        notes.append(f"the start model is kept down to {fixed_depth:g} m")
    places = np.indices(ground.values.shape).reshape(2, -1).T
    from scipy.spatial import KDTree

    near, _ = KDTree(survey.sources).query(places)
    return np.asarray(weight * np.clip(near.reshape(weight.shape) / 2 - 0.5, 0, 1)), notes


def _reach(plan: Plan, high: float) -> tuple[float, float]:
    """Standard deviation of the smoothing along and down, in nodes: a tenth of the shortest wavelength of the band."""
    size = 0.1 * float(plan.ground.values.min()) / high
    return size / plan.ground.dx, size / plan.ground.dz


def _smooth(values: Array, reach: tuple[float, float]) -> Array:
    """A Gaussian, symmetric as a matrix: what leaves at an edge comes back."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values, reach, mode="reflect", truncate=3.0))


def _per_shot(ground: Plane, steps: float) -> float:
    """Bytes of one shot's wavefield, kept for the gradient."""
    return 4.0 * float(np.prod([n + 2 * (PML + PAD) + ACCURACY for n in ground.values.shape])) * (steps + 12)


def _batch(ground: Plane, steps: float, shots: int) -> int:
    """Shots propagated together: as many as fit a gigabyte or a quarter of what is free."""
    room = min(1e9, 0.25 * free_memory())
    return int(np.clip(room // _per_shot(ground, steps), 1, shots))
