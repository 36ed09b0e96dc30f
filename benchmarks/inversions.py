"""Inversions and a forward model beside the libraries under them: pylops trace by trace, bare deepwave, bare choclo.

The peers are written as one would write them without us, and get what ours works out for itself: the damping, the time step, the
source, the coordinates. Seconds of one thread on a processor; answers are compared before anything is timed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import choclo
import deepwave
import numba
import numpy as np
import torch
from pylops.avo.poststack import PoststackInversion, PoststackLinearModelling
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize

from benchmarks.table import Row, medians, show
from moho.agent.tools.gravity_inversion import gravity_forward
from moho.agent.tools.seismic_inversion import low_pass, on_samples, poststack_impedance
from moho.agent.tools.seismic_modelling import impedance_in_time, ricker
from moho.agent.tools.velocity_models import velocity_model
from moho.agent.tools.wave_modelling import PML, one_thread, wave_acoustic_2d
from moho.agent.tools.waveform_inversion import HISTORY, Plan, Progress, _band, fwi_2d, prepare
from moho.survey import Array, Curve, Gather, Seismic, Well

TRACES, SAMPLES, DT = 200, 500, 0.004
PEAK, PRIOR, NOISE = 25.0, 8.0, 0.1  # Hz of the Ricker, Hz of the low-frequency model, of the rms
SHOTS, SOURCE, BANDS = (120.0, 480.0, 840.0, 1200.0, 1560.0), 6.0, [4.0, 7.0]  # m, Hz, Hz
BLOCK = {"depth_top": 300.0, "depth_base": 900.0, "width": 800.0, "density_contrast": 250.0}
PRISM = (-400.0, 400.0, -400.0, 400.0, -900.0, -300.0)  # that block: west, east, south, north, bottom, top


# Impedance ------------------------------------------------------------------------------------------------------------


def layered() -> tuple[Seismic, Well]:
    """A noisy section of dipping layers, and a well in its middle with the impedance."""
    rng = np.random.default_rng(2)
    steps = np.where(rng.random(2 * SAMPLES) < 0.2, 0.1 * rng.standard_normal(2 * SAMPLES), 0)
    column = 15.5 + 4e-4 * np.arange(2 * SAMPLES) + np.cumsum(steps) - 0.02 * np.cumsum(np.cumsum(steps)) / np.arange(1, 2 * SAMPLES + 1)
    shift = SAMPLES / 2 + 0.05 * np.arange(TRACES)
    logarithm = np.stack([np.interp(np.arange(SAMPLES) + s, np.arange(2 * SAMPLES), column) for s in shift])
    wavelet = ricker(np.arange(-30, 31) * DT, PEAK)
    data = np.stack([np.convolve(0.5 * np.gradient(trace), wavelet, "same") for trace in logarithm])
    data += NOISE * data.std() * rng.standard_normal(data.shape)
    impedance, time_ = np.exp(logarithm[TRACES // 2]), DT * np.arange(SAMPLES)
    depth = 1.2 * np.arange(SAMPLES) * 1000 * DT
    line = Seismic(data=data.astype(np.float32), dt=DT, polarity="SEG normal")
    return line, Well(depth=depth, curves={"AI": Curve(impedance, "kg/m2/s")}, checkshot_depth=depth, checkshot_time=time_)


@dataclass(frozen=True)
class Task:
    """An inversion as pylops wants it: all in logarithms of impedance, data in the units of the synthetic."""

    data: Array  # (trace, sample)
    prior: Array  # (sample,)
    wavelet: Array
    damping: float


def task(line: Seismic, well: Well, damping: float) -> Task:
    """The one that `poststack_impedance` sets itself."""
    _, time_, impedance, _ = impedance_in_time(well)
    truth, logged = on_samples(time_, np.log(impedance), line)
    half = int(np.ceil(1.5 / PEAK / DT))
    wavelet = 0.5 * ricker(np.arange(-half, half + 1) * DT, PEAK)  # pylops leaves the half of a reflection coefficient out
    synthetic = PoststackLinearModelling(wavelet, nt0=SAMPLES) @ truth
    scale = np.sqrt(np.mean(line.data[:, logged].astype(float) ** 2) / np.mean(synthetic[logged] ** 2))
    return Task(line.data.astype(float) / scale, low_pass(truth, DT, PRIOR), wavelet, damping)


def pylops_inversion(given: Task, iterations: int) -> tuple[Array, float]:
    """(ln(impedance) of every trace, one LSQR each; rms of the residual over rms of the data)."""
    found, left = np.empty_like(given.data), np.empty_like(given.data)
    for n, trace in enumerate(given.data):
        found[n], left[n] = PoststackInversion(trace, given.wavelet, m0=given.prior, damp=np.sqrt(given.damping), iter_lim=iterations, atol=0, btol=0)
    return found, float(np.sqrt(np.mean(left**2) / np.mean(given.data**2)))


def impedance() -> Row:
    """Poststack inversion of a section."""
    line, well = layered()
    result = poststack_impedance(line, well, PEAK, PRIOR)
    ours = float(result.facts["misfit"].value) / 100
    given = task(line, well, float(result.facts["damping"].value))
    few = replace(given, data=given.data[::20])
    goal = 1.002 * pylops_inversion(few, 2000)[1]
    iterations = next(n for n in (5, 10, 15, 20, 30, 40, 60, 80, 120, 160, 240, 2000) if pylops_inversion(few, n)[1] <= goal)
    theirs, misfit = pylops_inversion(given, iterations)
    inner = slice(20, -20)  # derivatives differ at the ends
    assert abs(misfit - ours) < 0.01 * ours, (misfit, ours)
    difference = np.log(result.data)[:, inner] - theirs[:, inner]
    assert np.sqrt(np.mean(difference**2)) < 0.05 * np.std(theirs[:, inner] - given.prior[inner]), "the same impedance"
    seconds = medians(
        3, lambda _: poststack_impedance(line, well, PEAK, PRIOR), lambda _: pylops_inversion(given, iterations), clock=time.process_time
    )  # fmt: skip
    note = f"misfit {100 * ours:.2f} and {100 * misfit:.2f} % of the rms, pylops after {iterations} iterations a trace, the fewest that get there"
    return Row(f"poststack_impedance, {TRACES} x {SAMPLES}", seconds[0], "s", seconds[1], "pylops by trace", ratio_at_most=1 / 3, note=note)


# Waveforms ------------------------------------------------------------------------------------------------------------


def model() -> tuple[Gather, Seismic]:
    """Five shots over 85 by 40 nodes, and a smoothed start."""
    true = velocity_model(1800.0, 1680.0, 780.0, gradient=0.7, spacing=20.0, layer_depths=[300.0, 560.0], layer_velocities=[1950.0, 2250.0],
                          block_velocity=2500.0, block_x=840.0, block_depth=400.0, block_size=160.0)  # fmt: skip
    shots = wave_acoustic_2d(true, SOURCE, list(SHOTS), 1.2, source_depth=40.0, receiver_depth=40.0, receiver_spacing=40.0, dt=0.008)
    return shots, replace(true, data=gaussian_filter(true.data, 5, mode="nearest"), facts={})


class Enough(Exception):
    """As many evaluations as were asked for."""


@dataclass(frozen=True)
class Waves:
    """What bare deepwave is given: tensors, and the settings that ours chose."""

    plan: Plan
    observed: list[torch.Tensor]  # a band
    sources: list[torch.Tensor]  # a band
    source_places: torch.Tensor
    receiver_places: torch.Tensor

    def records(self, speed: torch.Tensor, band: int) -> torch.Tensor:
        """(shot, receiver, sample)."""
        plan = self.plan
        out = deepwave.scalar(
            speed, [plan.ground.dx, plan.ground.dz], plan.dt, source_amplitudes=self.sources[band], source_locations=self.source_places,
            receiver_locations=self.receiver_places, accuracy=plan.accuracy, pml_width=PML, pml_freq=max(plan.bands), max_vel=plan.bounds[1],
            model_gradient_sampling_interval=plan.every,
        )  # fmt: skip
        return out[-1][..., :: plan.ratio][..., plan.before :]


def waves(plan: Plan) -> Waves:
    """Records and sources of every band, as ours filters them."""
    observed, sources = [], []
    for band in range(len(plan.bands)):
        data, wavelet = _band(plan, Progress(plan.ground.values, band=band))
        observed.append(torch.tensor(data))
        sources.append(torch.tensor(wavelet, dtype=torch.float32).expand(len(data), 1, -1).contiguous())
    places = (torch.tensor(np.rint(at)).long() for at in (plan.survey.sources[:, None], plan.survey.receivers))
    return Waves(plan, observed, sources, *places)


def deepwave_inversion(given: Waves, band: int, origin: Array, count: int) -> tuple[Array, list[float]]:
    """(best model, its band's misfits): least squares at the strength that fits at first, until so many misfits and gradients are computed."""
    observed, best = given.observed[band], origin
    misfits: list[float] = []
    strength = torch.zeros(())

    def value(x: Array) -> tuple[float, Array]:
        nonlocal best, strength
        if len(misfits) == count:
            raise Enough
        changed = origin + 100 * x.reshape(origin.shape)  # x in 100 m/s
        speed = torch.tensor(changed, dtype=torch.float32, requires_grad=True)
        predicted = given.records(speed, band)
        if not misfits:
            with torch.no_grad():
                strength = (predicted * observed).sum() / (predicted**2).sum()
        loss = ((strength * predicted - observed) ** 2).sum() / (observed**2).sum()
        loss.backward()
        assert speed.grad is not None
        misfits.append(float(loss.detach()))
        if misfits[-1] == min(misfits):
            best = changed
        return misfits[-1], 100 * speed.grad.numpy().ravel().astype(float)

    bounds = np.stack([(bound - origin.ravel()) / 100 for bound in given.plan.bounds], axis=1)
    endless = {"maxcor": HISTORY, "maxiter": 1000, "ftol": 0, "gtol": 0}
    try:
        minimize(value, np.zeros(origin.size), jac=True, method="L-BFGS-B", bounds=bounds, options=endless)
    except Enough:
        return best, misfits
    raise RuntimeError(f"the optimiser ended after {len(misfits)} of {count} evaluations")


def all_bands(given: Waves, evaluations: Sequence[int]) -> list[list[float]]:
    """The misfits, band after band."""
    values, history = given.plan.ground.values.astype(float), []
    for band, count in enumerate(evaluations):
        values, misfits = deepwave_inversion(given, band, values, count)
        history.append(misfits)
    return history


def waveforms() -> Row:
    """Full-waveform inversion with its checks, all bands."""
    shots, start = model()
    with one_thread():
        result = fwi_2d([shots], start, BANDS, 8, SOURCE)
        plan = prepare([shots], start, BANDS, 8, SOURCE)
        given = waves(plan)
        with torch.no_grad():
            first, observed = given.records(torch.tensor(plan.ground.values, dtype=torch.float32), 0), given.observed[0]
        explained = (first * observed).sum((1, 2)) ** 2 / (first**2).sum((1, 2))
        misfit, said = 100 * float(1 - explained.sum() / (observed**2).sum()), float(result.facts["start_misfit"].value)
        assert abs(misfit - said) < 0.01 * said, (misfit, said)
        total, count = int(result.facts["gradients"].value), len(plan.bands)
        evaluations = [total // count + (n < total % count) for n in range(count)]
        bare_drops = [misfits[0] / min(misfits) for misfits in all_bands(given, evaluations)]
        ours, bare, checks = medians(
            1, lambda _: fwi_2d([shots], start, BANDS, 8, SOURCE), lambda _: all_bands(given, evaluations),
            lambda _: prepare([shots], start, BANDS, 8, SOURCE), clock=time.process_time,
        )  # fmt: skip
    drops = [", ".join(f"{drop:.1f}" for drop in each) for each in (result.facts["reductions"].value, bare_drops)]
    note = f"{total} misfits and gradients in {count} bands; misfit down {drops[0]}-fold, of bare deepwave {drops[1]}-fold; "
    note += f"checks before the first {checks:.2f} s, without them {(ours - checks) / bare:.2f}"
    size = " x ".join(map(str, start.data.shape))
    return Row(f"fwi_2d, {size}, {len(SHOTS)} shots", ours, "s", bare, "bare deepwave", ratio_at_most=1.1, note=note)


# Gravity --------------------------------------------------------------------------------------------------------------


@numba.jit(nopython=True)
def choclo_map(axis: Array, density: float, out: Array) -> None:
    """The pull of PRISM in mGal, positive down, at every node."""
    west, east, south, north, bottom, top = PRISM
    for j in range(len(axis)):
        for i in range(len(axis)):
            out[j, i] = -1e5 * choclo.prism.gravity_u(axis[i], axis[j], 0.0, west, east, south, north, bottom, top, density)


def gravity(nodes: int, calls: int) -> Row:
    """A block on a map; ours computes a quarter of it, which mirrors into the rest, and bare choclo every node."""
    ours = gravity_forward(**BLOCK, nodes=nodes)
    out = np.empty((nodes, nodes))

    def bare(_: int) -> None:
        for _ in range(calls):
            choclo_map(np.asarray(ours.x), BLOCK["density_contrast"], out)

    bare(0)
    assert np.allclose(ours.values, out, rtol=1e-9)
    seconds = medians(7, lambda _: [gravity_forward(**BLOCK, nodes=nodes) for _ in range(calls)], bare, clock=time.process_time)
    milli = [1e3 * one / calls for one in seconds]
    return Row(f"gravity_forward, {nodes} x {nodes}", milli[0], "ms", milli[1], "bare choclo", ratio_at_most=1.1)


def measure() -> list[Row]:
    """Seconds and milliseconds of processor time."""
    return [impedance(), waveforms(), gravity(61, 100), gravity(501, 1)]


if __name__ == "__main__":
    print(show(measure()))
