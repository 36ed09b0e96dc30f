"""Shot gathers by finite differences and first-arrival times by fast marching, in a model on a vertical plane.

deepwave propagates, eikonalfm marches; here are the checks before they start, the placing of sources and receivers, and their
conventions turned into ours. Models come from `velocity_models`; `waveform_inversion` and `tomography` run the same physics
backwards.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np

from moho.agent.registry import Cost, tool
from moho.agent.tools.seismic_modelling import ricker
from moho.agent.tools.velocity_models import Plane, plane
from moho.errors import Refusal
from moho.survey import Array, Gather, Report, Seismic
from moho.units import Depth, Hertz, Metres, Position, Quantity, Ratio, Seconds

if TYPE_CHECKING:
    import torch

ACCURACY: Final = 8  # order of the spatial differences
FINE, COARSE = 4.8, 3.4  # nodes in the shortest wavelength for 0.1 % and for 1 % error of phase velocity at that order
HIGHEST = 2.5  # times its peak frequency: where a Ricker spectrum has fallen to 2 % of its peak
PML = 20  # absorbing nodes beyond each edge
PAD = 4  # nodes of the edge repeated outwards, so that a source on the edge can lie between nodes
STEPS = (1, 2, 4, 5)  # leading digits of a sample interval chosen here
TRACES = 20_000  # of one call
COST = {"acoustic": 9e-9, "elastic": 4e-8}  # s for a node and a time step, measured on one core


@tool(
    discipline="seismic",
    stage="modelling",
    cost=lambda **given: _cost("acoustic", given["model"], given),
    reference="Richardson 2023, Deepwave, Zenodo 3829886; Koene et al. 2018, Eliminating time dispersion, Geophys. J. Int. 213",
    truth="the Green's function of a line source (Hankel) within 1 %, also below a free surface; source and receiver change places within 0.1 %",
    say=(
        "Model a shot in {model} with a {frequency} source at {source_x}, record {length}",
        "acoustic wave modelling in {model}, {frequency} Ricker, shots at {source_x}, {length} long",
        "shoot {model}: sources {source_x}, {frequency}, {length}, receivers every {receiver_spacing}",
        "synthetic shot gather from {model} at {source_x}, {frequency}, {length}",
        "finite difference modelling {model} {frequency} {source_x} {length} pls",
        "what would a shot at {source_x} record over {model} with {frequency} in {length}?",
        "forward model {model} with free surface, source {source_x} at {source_depth}, {frequency}, {length}",
        "please to simulate acoustic waves in the model {model}, source frequency {frequency} at positions {source_x}, time {length}",
        "run deepwave on {model}, f {frequency}, sx {source_x}, T {length}, dt {dt}",
        "make me 2D shot records over {model}: {source_x}, {frequency}, receivers at {receiver_x}, {length}",
    ),
)
def wave_acoustic_2d(
    model: Seismic,
    frequency: Annotated[Hertz, "peak frequency of the Ricker source"],
    source_x: list[Annotated[Position, "positions of the sources along the model"]],
    length: Annotated[Seconds, "record length"],
    source_depth: Depth = 0.0,
    receiver_x: list[Annotated[Position, "positions of the receivers along the model"]] | None = None,
    receiver_spacing: Annotated[Metres, "distance between receivers where no positions are given"] | None = None,
    receiver_depth: Depth = 0.0,
    dt: Annotated[Seconds, "sample interval"] | None = None,
    top: Literal["absorbing", "free surface"] = "absorbing",
) -> Gather:
    """One gather a source of the constant-density acoustic wave equation in two dimensions.

    (1/v^2 d2/dt2 - Laplacian) p = s(t) delta(x): the amplitude is that of the Green's function of a line source, (i/4) H0(kr),
    convolved with a Ricker of unit peak at time 0. Deepwave's field is -dx dz times that and is converted. Eighth order in space;
    the dispersion of the second-order time steps is removed (Koene et al. 2018). Depths are those of the model.
    """
    ground = plane(model)
    layout = _layout(ground, frequency, source_x, source_depth, receiver_x, receiver_spacing, receiver_depth, length, dt)
    speed = ground.values
    steps, wavelet, sources, receivers = _shooting(ground, layout, float(speed.min()), "waves")
    if top == "free surface" and min(source_depth, receiver_depth) < ground.z0 + ground.dz * (1 - 1e-6):
        said = f"pressure is zero on the free surface at {ground.z0:g} m; source at {source_depth:g} m, receivers at {receiver_depth:g} m."
        raise Refusal("E_PHYSICS", said, f"Put both at {ground.z0 + ground.dz:g} m or deeper.")
    traces = []
    with one_thread() as torch:
        medium = torch.tensor(speed, dtype=torch.float32)
        signal = torch.tensor(wavelet, dtype=torch.float32)
        for shot in sources:  # one at a time: memory stays that of one wavefield
            field = acoustic(medium, ground, signal, steps.dt, shot[None], receivers[None], frequency, float(speed.max()), top == "free surface")
            traces.append(field[0].numpy()[:, :: steps.ratio])
    data = remap(np.concatenate(traces), layout.dt, steps.dt, 1)[:, steps.before : steps.before + layout.samples]
    notes = [
        "amplitude of the 2-D Green's function convolved with a Ricker of unit peak at time 0 (deepwave's field divided by -dx dz); "
        "a line source, so the waveform lags the Ricker by 45 degrees and falls with the root of distance",
        f"{top} top, absorbing sides and base",
    ]
    return _gather(model, layout, data, {"frequency": Quantity(float(frequency), "Hz", "peak frequency of the source"),
                   **steps.facts}, (*notes, *steps.notes, *layout.notes))  # fmt: skip


@tool(
    discipline="seismic",
    stage="modelling",
    cost=lambda **given: _cost("elastic", given["vp"], given),
    reference="Virieux 1986, P-SV wave propagation in heterogeneous media, Geophysics 51, 889-901; Richardson 2023, Deepwave",
    truth="the 2-D Green's tensor of a vertical force within 2 %, P and S within one sample",
    say=(
        "Elastic modelling in {vp} and {vs}, {frequency} source at {source_x}, {length}",
        "P-SV wave simulation {vp} {vs} {rho} {frequency} {source_x} {length}",
        "model an elastic shot at {source_x} in {vp} with Vp/Vs {vp_vs}, {frequency}, record {length}",
        "elastic wave propagation through {vp}, source {source_x}, {frequency}, {length}, {component}",
        "shoot elastically over {vp} with a {source} at {source_x}, {frequency}, {length}",
        "I want to see P and S waves in {vp}: shot {source_x}, {frequency}, {length}",
        "elastic FD {vp} vs {vs} rho {rho}, {frequency}, {source_x}, T {length}",
        "please simulate elastic waves with models {vp}, {vs}, {rho}; source at {source_x} {frequency} for {length}",
        "elastic synthetic gather of {component} for a {source} at {source_x}, {vp}, {frequency}, {length}",
        "2D elastic shot record from {vp}, {frequency} at {source_x}, {length} long, geophones at {receiver_x}",
    ),
)
def wave_elastic_2d(
    vp: Seismic,
    frequency: Annotated[Hertz, "peak frequency of the Ricker source"],
    source_x: list[Annotated[Position, "positions of the sources along the model"]],
    length: Annotated[Seconds, "record length"],
    vs: Seismic | None = None,
    rho: Seismic | None = None,
    vp_vs: Annotated[Ratio, "Vp/Vs where there is no S velocity model"] = 1.7320508,
    source: Literal["explosion", "vertical force"] = "explosion",
    component: Literal["vertical velocity", "horizontal velocity", "pressure"] = "vertical velocity",
    source_depth: Depth = 0.0,
    receiver_x: list[Annotated[Position, "positions of the receivers along the model"]] | None = None,
    receiver_spacing: Annotated[Metres, "distance between receivers where no positions are given"] | None = None,
    receiver_depth: Depth = 0.0,
    dt: Annotated[Seconds, "sample interval"] | None = None,
) -> Gather:
    """One gather a source of the isotropic elastic wave equation in two dimensions (P and SV), absorbing on all sides.

    A vertical force is 1 N/m times a Ricker, positive down; an explosion adds pressure at 1 Pa m2/s times a Ricker. Velocity is in
    m/s, positive down and to the right, pressure in Pa, positive in compression. Without a density model Gardner's relation
    rho = 310 v^0.25 is used.
    """
    ground = plane(vp)
    layout = _layout(ground, frequency, source_x, source_depth, receiver_x, receiver_spacing, receiver_depth, length, dt)
    speed = ground.values
    shear, density, said = _elastic_models(ground, vp, vs, rho, vp_vs)
    if (excess := shear / speed).max() > 0.75**0.5:  # Poisson's ratio under -1
        much = f"the S velocity reaches {excess.max():.3g} of the P velocity; {0.75**0.5:.3g} is the most for a stable solid."
        raise Refusal("E_PHYSICS", much)
    solid = shear[shear > 0]
    slowest = float(min(speed.min(), solid.min() if solid.size else speed.min()))
    steps, wavelet, sources, receivers = _shooting(ground, layout, slowest, "S waves" if solid.size else "waves")
    # Deepwave records velocity half a step before, and adds a pressure rate half a step after, the sample's own time.
    lead = steps.dt * (0.5 * (component != "pressure") + 0.5 * (source == "explosion"))
    signal = wavelet / (ground.dx * ground.dz)
    traces = []
    for shot in sources:
        field = _elastic(ground, speed, shear, density, signal, steps.dt, shot, receivers, frequency, source, component)
        traces.append(field[:, :: steps.ratio])
    data = remap(np.concatenate(traces), layout.dt, steps.dt, 1, lead)[:, steps.before : steps.before + layout.samples]
    way = "down" if component.startswith("vertical") else "to the right"
    what = "pressure in Pa, positive in compression" if component == "pressure" else f"{component} in m/s, positive {way}"
    strength = "1 Pa m2/s" if source == "explosion" else "1 N/m, positive down,"
    notes = [f"{what}; the source is an {source}" if source == "explosion" else f"{what}; the source is a {source}"]
    notes[0] += f" of {strength} times a Ricker with its peak at time 0; all sides absorb, there is no free surface"
    return _gather(vp, layout, data, {"frequency": Quantity(float(frequency), "Hz", "peak frequency of the source"),
                   **steps.facts}, (*notes, *said, *steps.notes, *layout.notes))  # fmt: skip


@tool(
    discipline="seismic",
    stage="modelling",
    reference="Treister and Haber 2016, A fast marching algorithm for the factored eikonal equation, J. Comput. Phys. 324, 210-225",
    truth="the arccosh law of v0 + k z within 0.1 %, a head wave within 0.4 ms, the same both ways within 0.2 %",
    say=(
        "First-arrival times in {model} from a source at {source_x}",
        "travel times through {model}, shot {source_x}",
        "compute first breaks for {model}: sources {source_x}, geophones {receiver_x}",
        "eikonal {model} src {source_x}",
        "how long does the first wave take from {source_x} across {model}?",
        "traveltime map of {model} for a source at {source_x}, depth {source_depth}",
        "make synthetic refraction picks from {model} with shots at {source_x} and receivers every {receiver_spacing}",
        "please calculate the arrival time at {receiver_x} from {source_x} in velocity model {model}",
        "fast marching times in {model} for shots {source_x}",
        "isochrones of {model}, source {source_x} {source_depth} deep",
    ),
)
def travel_times(
    model: Seismic,
    source_x: list[Annotated[Position, "positions of the sources along the model"]],
    source_depth: Depth = 0.0,
    receiver_x: list[Annotated[Position, "positions of the receivers along the model"]] | None = None,
    receiver_spacing: Annotated[Metres, "distance between receivers where no positions are given"] | None = None,
    receiver_depth: Depth = 0.0,
) -> Report:
    """Times of the first arrival from every source at every receiver, s, by second-order fast marching of the factored eikonal equation.

    The factor is the distance from the source, so that times near the source are exact. Arrays hold one entry a pair, `time` in s.
    """
    ground = plane(model, "S velocity" if model.quantity == "S velocity" else "P velocity")
    if ground.values.min() <= 0:
        raise Refusal("E_PHYSICS", f"{int((ground.values <= 0).sum())} nodes have no {model.quantity}: no wave passes there.")
    at = _receivers(ground, receiver_x, receiver_spacing, receiver_depth)
    sources = np.asarray(source_x, float)
    _enough(len(sources), len(at))
    places = ground.nodes(sources, source_depth, "sources")
    receivers = ground.nodes(at, receiver_depth, "receivers")
    fields = [arrivals(ground, place) for place in places]
    times = np.array([field(receivers) for field in fields])  # (source, receiver)
    pairs = times.size
    offset = np.abs(sources[:, None] - at[None])
    first = np.unravel_index(int(np.argmax(times)), times.shape)
    facts = {
        "time_range": Quantity([float(times.min()), float(times.max())], "s", "first-arrival time range"),
        "farthest_time": Quantity(float(times[first]), "s", "latest first arrival"),
        "farthest_offset": Quantity(float(offset[first]), "m", "offset of the latest first arrival"),
        "pairs": Quantity(int(pairs), "", "source-receiver pairs"),
    }
    if pairs <= 12:
        facts["times"] = Quantity([round(float(t), 7) for t in times.ravel()], "s", "first-arrival times")
    grid = fields[0].times()
    arrays = {
        "source_x": np.repeat(sources, len(at)), "receiver_x": np.tile(at, len(sources)), "time": times.ravel(),
        "source_depth": np.full(pairs, float(source_depth)), "receiver_depth": np.full(pairs, float(receiver_depth)),
        "x": ground.x, "depth": ground.z, "velocity": ground.values, "field": grid,
    }  # fmt: skip
    notes = (
        f"factored eikonal equation, second order, on {ground.values.shape[0]} by {ground.values.shape[1]} nodes of {ground.dx:g} by {ground.dz:g} m",
        "first arrivals only: a head wave or diving wave takes over from the direct wave where it is faster",
    )
    title = f"first arrivals in {model.title}".strip()
    labels = {"x": "position (m)", "y": "first-arrival time (s)", "quantity": model.quantity}
    return Report(title=title, facts=facts, notes=notes, arrays=arrays, drawing="first_arrivals", labels=labels)


# Waves ----------------------------------------------------------------------------------------------------------------


@contextmanager
def one_thread() -> Iterator[Any]:
    """torch, limited to one thread inside: deepwave with more threads than free cores runs many times slower."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deepwave warns below six nodes a wavelength; `_steps` has the rule for this order
            yield torch
    finally:
        torch.set_num_threads(before)


def acoustic(
    speed: torch.Tensor, ground: Plane, signal: torch.Tensor, dt: float, sources: Array, receivers: Array, frequency: float, fastest: float,
    free: bool = False, accuracy: Literal[2, 4, 6, 8] = ACCURACY, reach: int = PML, every: int = 1,
) -> torch.Tensor:  # fmt: skip
    """(shot, receiver, step) pressure for one source a shot, differentiable by `speed`.

    `sources` (shot, 2) and `receivers` (shot, receiver, 2) are in nodes. Receivers with a NaN place record zeros. `signal` is (step,) for all
    shots or (shot, step). The gradient correlates every `every`-th step. Deepwave's free surface lies one node above
    the first, so the first row is left out where the top is free.
    """
    import deepwave
    import torch

    between = np.nanmax(np.abs(receivers - np.rint(receivers))) + np.abs(sources - np.rint(sources)).max() > 1e-6
    pad = PAD if between else 0
    above = -1 if free else pad
    padded = torch.nn.functional.pad(speed[None, None, :, 1:] if free else speed[None, None], (max(above, 0), pad, pad, pad), mode="replicate")[0, 0]
    shift = torch.tensor([pad, above], dtype=torch.float32)
    absent: Array = np.any(np.isnan(receivers), axis=-1)
    source_places = torch.tensor(sources[:, None], dtype=torch.float32) + shift
    receiver_places = torch.tensor(np.where(absent[..., None], 0.0, receivers), dtype=torch.float32) + shift
    signal = signal.expand(len(sources), -1)[:, None] if signal.ndim == 1 else signal[:, None]
    out = deepwave.scalar(
        padded, [ground.dx, ground.dz], dt, source_amplitudes=signal, source_locations=source_places, receiver_locations=receiver_places,
        receiver_mask=torch.tensor(~absent) if absent.any() else None, accuracy=accuracy, pml_width=[reach, reach, 0 if free else reach, reach],
        boundary=["pml", "pml", "free" if free else "pml", "pml"], pml_freq=frequency, max_vel=fastest,
        model_gradient_sampling_interval=every,
    )  # fmt: skip
    return out[-1] / (-ground.dx * ground.dz)


def _elastic(
    ground: Plane, speed: Array, shear: Array, density: Array, signal: Array, dt: float, source: Array, receivers: Array, frequency: float,
    kind: str, component: str,
) -> Array:  # fmt: skip
    """(receiver, step) of one shot. Deepwave's first axis, "y", is along the model and its second, "x", is down."""
    import deepwave

    with one_thread() as torch:
        models = [torch.tensor(np.pad(values, PAD, mode="edge"), dtype=torch.float32) for values in (speed, shear, density)]
        where = {"explosion": "pressure_rate", "vertical force": "x"}[kind]
        heard = {"vertical velocity": "x", "horizontal velocity": "y", "pressure": "p"}[component]
        given = {
            f"source_amplitudes_{where}": torch.tensor(signal, dtype=torch.float32)[None, None],
            f"source_locations_{where}": torch.tensor(source + PAD, dtype=torch.float32)[None, None],
            f"receiver_locations_{heard}": torch.tensor(receivers + PAD, dtype=torch.float32)[None],
        }
        out = deepwave.elastic(
            *deepwave.vpvsrho_to_lambmubuoyancy(*models), [ground.dx, ground.dz], dt, accuracy=ACCURACY, pml_width=PML, pml_freq=frequency,
            max_vel=float(speed.max()), **given,
        )  # fmt: skip
        return np.asarray(out.receivers[heard][0].numpy())


def remap(traces: Array, dt: float, internal: float, direction: int, lead: float = 0.0) -> Array:
    """Traces (..., sample) with the dispersion of leapfrog steps of `internal` s taken out (1) or put in (-1), read `lead` s later.

    Physics at angular frequency W appears at w = (2/h) asin(W h / 2); the spectrum is read where it is and put where it belongs.
    Koene et al. 2018, Geophys. J. Int. 213.
    """
    traces = np.asarray(traces, float)
    samples = traces.shape[-1]
    size = 2 * samples
    wanted = 2 * np.pi * np.fft.rfftfreq(size, dt)
    bent = 0.5 * wanted * internal
    found = 2 / internal * (np.arcsin(np.minimum(bent, 1.0)) if direction > 0 else np.sin(bent))
    taken = np.flatnonzero(found < np.pi / dt)  # beyond its Nyquist frequency a trace holds nothing
    kernel = np.exp(-1j * np.outer(np.arange(samples) * dt, found[taken]))
    spectrum = np.zeros((*traces.shape[:-1], len(wanted)), complex)
    spectrum[..., taken] = (traces @ kernel) * np.exp(1j * found[taken] * lead)
    return np.fft.irfft(spectrum, size, axis=-1)[..., :samples].astype(np.float32)


# First arrivals -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arrivals:
    """First-arrival times from one source, kept as the smooth factor by which they differ from the distance."""

    ground: Plane
    source: Array  # (2,) nodes
    factor: Array  # (position, depth) s/m on the marched grid, whose nodes hold the source
    shift: Array  # (2,) nodes: marched grid minus model grid

    def __call__(self, places: Array) -> Array:
        """(point,) s at `places` (point, 2) in nodes."""
        from scipy.ndimage import map_coordinates

        factor = map_coordinates(self.factor, (places + self.shift).T, order=1, mode="nearest")
        steps = (places - self.source) * np.array([self.ground.dx, self.ground.dz])
        return np.asarray(factor * np.hypot(*steps.T))

    def times(self) -> Array:
        """(position, depth) s on the nodes of the model."""
        grid = np.indices(self.ground.values.shape).reshape(2, -1).T.astype(float)
        return self(grid).reshape(self.ground.values.shape)


def arrivals(ground: Plane, source: Array) -> Arrivals:
    """First arrivals from `source` (2,) in nodes. A source between nodes gets a grid of its own, shifted onto it."""
    import eikonalfm  # type: ignore[import-untyped]
    from scipy.ndimage import map_coordinates

    node = np.floor(source + 1e-9)
    rest = np.where(source - node < 1e-6, 0.0, source - node)
    speed, shift = ground.values, np.zeros(2)
    if rest.any():
        shape = [n + (1 if part else 0) for n, part in zip(speed.shape, rest, strict=True)]
        shift = np.where(rest > 0, 1 - rest, 0.0)  # the marched grid starts before the model's first node
        places = np.indices(shape).reshape(2, -1) - shift[:, None]
        speed = map_coordinates(speed, places, order=1, mode="nearest").reshape(shape)
    start = tuple(int(n) for n in np.rint(source + shift))
    factor = eikonalfm.factored_fast_marching(np.ascontiguousarray(speed), start, (ground.dx, ground.dz), 2)
    return Arrivals(ground, np.asarray(source, float), np.asarray(factor), shift)


# Before they start ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """Positions and sampling of a modelled survey."""

    source_x: Array
    receiver_x: Array
    source_depth: float
    receiver_depth: float
    frequency: float
    length: float
    dt: float
    notes: tuple[str, ...]

    @property
    def samples(self) -> int:
        return round(self.length / self.dt) + 1


@dataclass(frozen=True)
class Steps:
    """The time steps a propagation takes."""

    dt: float  # s, the propagator's own
    ratio: int  # of them in a sample
    times: Array  # s after the source's peak
    before: int  # samples before time 0
    facts: dict[str, Quantity]
    notes: tuple[str, ...]


def _layout(
    ground: Plane, frequency: float, source_x: list[float], source_depth: float, receiver_x: list[float] | None, spacing: float | None,
    receiver_depth: float, length: float, dt: float | None,
) -> Layout:  # fmt: skip
    sources, at = np.asarray(source_x, float), _receivers(ground, receiver_x, spacing, receiver_depth)
    if not len(sources):
        raise ValueError("source_x wants at least one position")
    ground.nodes(sources, source_depth, "sources")
    _enough(len(sources), len(at))
    notes = []
    if dt is None:
        dt = _nice(min(0.1 / frequency, length / 50))
        notes.append(f"sampled every {1000 * dt:g} ms, a tenth of the source's period or finer")
    if HIGHEST * frequency > 0.5 / dt:
        said = f"a {frequency:g} Hz Ricker reaches {HIGHEST * frequency:g} Hz, above the Nyquist frequency of {0.5 / dt:g} Hz at {dt:g} s sampling."
        raise Refusal("E_PHYSICS", said, f"Sample at {0.5 / HIGHEST / frequency:.3g} s or finer.")
    if not 10 <= length / dt <= 200_000:
        raise Refusal("E_PHYSICS", f"a record of {length:g} s has {length / dt:.0f} samples of {dt:g} s; from 10 to 200000 are modelled.")
    return Layout(sources, at, float(source_depth), float(receiver_depth), float(frequency), float(length), float(dt), tuple(notes))


def _shooting(ground: Plane, layout: Layout, slowest: float, waves: str) -> tuple[Steps, Array, Array, Array]:
    """(time steps, source signal with their dispersion put in, (source, 2) and (receiver, 2) nodes): what every propagation starts from."""
    steps = _steps(ground, slowest, float(ground.values.max()), layout, waves)
    signal = remap(ricker(steps.times, layout.frequency), steps.dt, steps.dt, -1)
    sources = ground.nodes(layout.source_x, layout.source_depth, "sources")
    return steps, signal, sources, ground.nodes(layout.receiver_x, layout.receiver_depth, "receivers")


def _receivers(ground: Plane, receiver_x: list[float] | None, spacing: float | None, depth: float) -> Array:
    if receiver_x is not None:
        at = np.asarray(receiver_x, float)
    else:
        step = ground.dx if spacing is None else spacing
        at = ground.x0 + step * np.arange(int(np.floor((ground.right - ground.x0) / step + 1e-6)) + 1)
    if not len(at):
        raise ValueError("receiver_x wants at least one position")
    ground.nodes(at, depth, "receivers")
    return at


def _enough(sources: int, receivers: int) -> None:
    if sources * receivers > TRACES:
        raise Refusal("E_LIMIT", f"{sources} sources and {receivers} receivers make {sources * receivers:,} traces; {TRACES:,} are the most at once.")


def _steps(ground: Plane, slowest: float, fastest: float, layout: Layout, waves: str) -> Steps:
    """Time steps that hold the CFL condition; Refusal where the grid is too coarse for the slowest wave."""
    highest = HIGHEST * layout.frequency
    spacing = max(ground.dx, ground.dz)
    nodes = slowest / highest / spacing
    if nodes < COARSE:
        said = f"{slowest:g} m/s at {highest:g} Hz ({HIGHEST:g} times the peak) is {slowest / highest:.3g} m long: {nodes:.2g} nodes of {spacing:g} m"
        hint = f"Take a grid of {slowest / highest / COARSE:.3g} m or a source of {slowest / HIGHEST / COARSE / spacing:.3g} Hz or lower."
        raise Refusal("E_PHYSICS", f"numerical dispersion: the shortest of the {waves}, {said}; {COARSE:g} are the least.", hint)
    inner, ratio, number = courant(ground, fastest, layout.dt)
    before = int(np.ceil(1.5 / layout.frequency / layout.dt))
    count = (before + layout.samples + before) * ratio
    facts = {
        "nodes_per_wavelength": Quantity(float(f"{nodes:.4g}"), "", f"grid nodes in the shortest wavelength (at {highest:g} Hz)"),
        "courant_number": Quantity(float(f"{number:.4g}"), "", "Courant number"),
        "time_step": Quantity(float(f"{1000 * inner:.6g}"), "ms", "internal time step"),
    }
    notes = [
        f"CFL: internal steps of {1000 * inner:.4g} ms, Courant number {number:.3g} of 0.6 allowed; {nodes:.3g} nodes in the shortest wavelength "
        f"({slowest:g} m/s at {highest:g} Hz): phase velocity within {'0.1' if nodes >= FINE else '1'} %"
    ]
    return Steps(inner, ratio, (np.arange(count) - before * ratio) * inner, before, facts, tuple(notes))


def courant(ground: Plane, fastest: float, dt: float) -> tuple[float, int, float]:
    """(internal step in s, steps in a sample, Courant number v dt sqrt(1/dx^2 + 1/dz^2)) that hold the limit of 0.6."""
    rate = fastest * float(np.hypot(1 / ground.dx, 1 / ground.dz))
    ratio = int(np.ceil(dt * rate / 0.6 - 1e-9))
    return dt / ratio, ratio, rate * dt / ratio


def _nice(largest: float) -> float:
    """The largest of 1, 2, 4, 5 times a power of ten that is not above `largest`."""
    power = 10.0 ** np.floor(np.log10(largest))
    return float(f"{max(step for step in STEPS if step * power <= largest * (1 + 1e-9)) * power:.6g}")


def _elastic_models(ground: Plane, vp: Seismic, vs: Seismic | None, rho: Seismic | None, vp_vs: float) -> tuple[Array, Array, list[str]]:
    notes = []
    if vs is None:
        shear = ground.values / vp_vs
        notes.append(f"no S velocity model: Vp/Vs {vp_vs:.4g} everywhere")
    else:
        shear = _same_grid(ground, plane(vs, "S velocity"), "S velocity")
    if rho is None:
        density = 310.0 * ground.values**0.25
        notes.append(f"no density model: Gardner's relation, {density.min():.0f} to {density.max():.0f} kg/m3")
    else:
        density = _same_grid(ground, plane(rho, "density"), "density")
    return shear, density, notes


def _same_grid(ground: Plane, other: Plane, what: str) -> Array:
    mine, theirs = ((*p.values.shape, p.dx, p.dz, p.x0, p.z0) for p in (ground, other))
    if not np.allclose(mine, theirs):
        shapes = " and ".join(f"{p[0]} by {p[1]} nodes of {p[2]:g} by {p[3]:g} m from ({p[4]:g}, {p[5]:g})" for p in (mine, theirs))
        raise Refusal("E_GEOMETRY", f"the P velocity and {what} models are on different grids: {shapes}.")
    return other.values


def _gather(model: Seismic, layout: Layout, data: Array, facts: dict[str, Quantity], notes: tuple[str, ...]) -> Gather:
    shots, channels = len(layout.source_x), len(layout.receiver_x)
    count = shots * channels
    source, receiver = np.repeat(layout.source_x, channels), np.tile(layout.receiver_x, shots)
    facts = facts | {"largest_amplitude": Quantity(float(np.abs(data).max()), "", "largest absolute amplitude")}
    return Gather(
        title=f"shots over {model.title}".strip(), facts=facts, notes=notes, data=np.ascontiguousarray(data), dt=layout.dt,
        offset=np.hypot(receiver - source, layout.receiver_depth - layout.source_depth), shot=np.repeat(np.arange(1, shots + 1), channels),
        channel=np.tile(np.arange(1, channels + 1), shots), source_x=source, source_y=np.zeros(count), receiver_x=receiver,
        receiver_y=np.zeros(count), source_depth=np.full(count, layout.source_depth), receiver_depth=np.full(count, layout.receiver_depth),
    )  # fmt: skip


def _cost(kind: str, model: Seismic, given: dict[str, Any]) -> Cost:
    """Of a propagation, from what its tool was called with."""
    nodes = float(np.prod([n + 2 * (PML + PAD) + ACCURACY for n in model.data.shape]))
    step = 0.5 / np.hypot(1 / (model.dx or model.dt), 1 / model.dt) / max(float(np.nanmax(model.data)), 1.0)
    steps = (given["length"] + 3 / given["frequency"]) / step
    receivers = model.data.shape[0] if given.get("receiver_x") is None else len(given["receiver_x"])
    shots = len(given["source_x"])
    return Cost(1 + COST[kind] * nodes * steps * shots, 3e8 + (100 if kind == "elastic" else 30) * nodes + 16 * steps * receivers * shots)
