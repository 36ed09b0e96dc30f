"""A made earth whose truth is known: one column of sands and shales, folded and faulted, seen by every instrument.

A column of beds (shale volume, compacted porosity, hence velocity, density and resistivity) is laid down once. Dip, fold
and normal faults move it vertically, metre by metre, so that section, gathers, well and checkshots share one depth-time
relation. Gravity and magnetics see a prism buried below the line. A local earthquake is recorded around it.

Nothing is realistic by accident: compaction is Athy's (1930), velocity Raymer, Hunt and Gardner's (1980), resistivity
Archie's (1942) with a shale conductor beside it. The overburden is land; depths and times start at one flat datum.
The potential fields are in `synthetic_fields`, the earthquake and the files in `synthetic_files`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from moho.encoders.synthetic_fields import CRS, weigh
from moho.encoders.synthetic_files import earthquake, write
from moho.survey import Array, Curve, Gather, Gravity, Magnetics, Seismic, Well

FINE = 0.5  # m, sampling of the column
CELL = 3.0  # m, depth sampling below each trace
LOG_STEP = 0.1524  # m, half a foot
SCALE = 1.0e4  # recorded amplitude of a reflection coefficient of one
SAND, SHALE, FLUID = 5600.0, 4300.0, 1580.0  # m/s, of the grains and the brine
NAMES = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Gorse", "Hazel", "Iris", "Juniper", "Kingcup", "Larch")

__all__ = ["Column", "Earth", "Fault", "convolve", "drill", "earth", "earthquake", "lay_down", "ricker", "write"]


@dataclass(frozen=True)
class Column:
    """Rock over stratigraphic depth: (sample,) every FINE metres from the datum of the undeformed earth."""

    vsh: Array  # shale volume, fraction
    porosity: Array  # total, fraction
    velocity: Array  # m/s, water bearing
    density: Array  # kg/m3
    formations: tuple[tuple[str, float], ...]  # name and top, m
    reservoir: tuple[float, float]  # m, top and base of the clean sand

    @property
    def depth(self) -> Array:
        """(sample,) m."""
        return FINE * np.arange(len(self.vsh))


@dataclass(frozen=True)
class Fault:
    """A planar normal fault that cuts the whole line."""

    position: float  # m along the line, at `depth`
    depth: float  # m
    dip: float  # deg from the horizontal
    toward: int  # +1: dips towards higher CDP numbers, which side is thrown down
    throw: float  # m

    def along(self, depth: Array | float) -> Array:
        """Position of the plane along the line (m) at `depth` (m)."""
        return np.asarray(self.position + self.toward * (np.asarray(depth) - self.depth) / np.tan(np.radians(self.dip)))


@dataclass(frozen=True)
class Earth:
    """One earth in every modality, and the truth behind it."""

    seed: int
    section: Seismic
    gather: Gather
    well: Well
    gravity: Gravity
    magnetics: Magnetics
    truth: Mapping[str, Any]


def earth(seed: int, *, traces: int = 240, samples: int = 500, dt: float = 0.004, faults: int = 1, noise: float = 0.12) -> Earth:
    """The earth of this seed. `noise` is the share of noise in the section, rms over rms; dt in s."""
    random = np.random.default_rng([seed, 1])
    column = lay_down(random)
    dx = float(random.choice([12.5, 25.0]))
    along = dx * np.arange(traces)
    planes = break_up(random, along, faults)
    structure = fold(random, along, [plane.position for plane in planes])
    well_at = _well_trace(random, along, planes)
    top, base = column.reservoir
    lowered = structure[well_at] + float(_thrown(planes, along[well_at], top + structure[well_at]))
    contact = float(round(top + lowered + random.uniform(0.4, 0.7) * (base - top), 1))
    fluid = str(random.choice(["gas", "oil"]))
    rw = float(round(random.uniform(0.03, 0.08), 3))
    residual = float(round(random.uniform(0.15, 0.3), 2))

    ground = _Ground.below(along, column, planes, structure, contact, (fluid, residual))
    frequency = float(round(random.uniform(25, 30), 1))
    reflectivity, impedance = ground.in_time(samples, dt)
    clean = _smear(convolve(reflectivity, ricker(frequency, dt)))
    data = SCALE * (clean + noise * clean.std() * _rumble(random, clean.shape, frequency, dt))
    azimuth = random.uniform(0, 2 * np.pi)
    origin = np.round([random.uniform(4.4e5, 5.6e5), random.uniform(5.20e6, 5.42e6)], 1)
    x = np.round(origin[0] + along * np.sin(azimuth), 2)
    y = np.round(origin[1] + along * np.cos(azimuth), 2)
    cdp = 101 + np.arange(traces)
    section = Seismic(
        title=f"line {seed}", data=data.astype(np.float32), dt=dt, polarity="SEG normal", cdp=cdp, x=x, y=y, dx=dx, crs=CRS,
        notes=("made earth: convolutional section, Ricker wavelet, migrated, flat datum",),
    )  # fmt: skip
    gather, velocities = shoot(random, ground, reflectivity, cdp, x, y, azimuth, dx, dt, frequency, well_at)
    name = f"{NAMES[seed % 12]}-{1 + seed % 9}"
    well = drill(random, column, ground, well_at, contact, rw, residual, fluid, name, float(x[well_at]), float(y[well_at]))
    gravity, magnetics, body = weigh(random, float(x.mean()), float(y.mean()))
    truth = {
        "faults": [_fault_truth(plane, ground, along, cdp, samples, dt) for plane in planes],
        "horizons": {name: ground.horizon(depth) for name, depth in column.formations},
        "impedance": impedance,
        "wavelet_hz": frequency, "scale": SCALE, "dip_m_per_km": float(1000 * np.polyfit(along, structure, 1)[0]),
        "well": {"cdp": int(cdp[well_at]), "trace": int(well_at), "x": float(x[well_at]), "y": float(y[well_at])},
        "pay": {"top_m": float(ground.depth_of(well_at, top)), "contact_m": contact, "base_m": float(ground.depth_of(well_at, base)),
                "fluid": fluid, "saturation": residual, "porosity": float(_mean(column, column.porosity, top, base))},
        "rw_ohmm": rw, "archie": {"a": 1.0, "m": 2.0, "n": 2.0}, "clean_gr_gapi": 25.0, "shale_gr_gapi": 115.0,
        "velocities": velocities, "body": body,
    }  # fmt: skip
    return Earth(seed, section, gather, well, gravity, magnetics, truth)


# The rocks


def lay_down(random: np.random.Generator, deepest: float = 4400.0) -> Column:
    """A column of formations, each a package of beds between clean sand and shale, compacted with depth."""
    count = int(deepest / FINE)
    depth = FINE * np.arange(count)
    tops = [0.0]
    while tops[-1] < deepest:
        tops.append(tops[-1] + float(np.round(random.uniform(170, 380))))
    tops = tops[:-1]
    holding = int(np.searchsorted(tops, random.uniform(1150, 1500)))  # the reservoir is the top of this formation
    reservoir = (tops[holding], tops[holding] + float(np.round(random.uniform(45, 75))))
    vsh, stiff = np.empty(count), np.empty(count)
    sandy = bool(random.integers(2))
    for number, top in enumerate(tops):
        base = tops[number + 1] if number + 1 < len(tops) else deepest
        sandy = not sandy if number != holding - 1 else False  # alternating sand-rich and shaly; a seal over the reservoir
        thick = np.maximum(4.0, random.lognormal(np.log(9.0), 0.6, 120))
        edges = top + np.concatenate([[0], np.cumsum(thick)])
        share = random.beta(0.9, 1.5, 121) if sandy else random.beta(4.0, 1.2, 121)
        inside = slice(int(top / FINE), int(base / FINE))
        vsh[inside] = share[np.searchsorted(edges, depth[inside], side="right") - 1]
        stiff[inside] = random.uniform(0.94, 1.06)  # cementation, overpressure: what makes a formation top reflect
    vsh[int((reservoir[0] - 40) / FINE) : int(reservoir[0] / FINE)] = random.uniform(0.88, 0.97)
    vsh[int(reservoir[0] / FINE) : int(reservoir[1] / FINE)] = random.uniform(0.02, 0.05)
    texture = np.interp(np.arange(count) / 3, np.arange(count // 3 + 2), random.standard_normal(count // 3 + 2))  # lamination of 1.5 m
    vsh = np.clip(vsh + 0.05 * texture * np.sqrt(4 * vsh * (1 - vsh)), 0.01, 0.99)
    shale_porosity = random.uniform(0.54, 0.62) * np.exp(-depth / random.uniform(1900, 2500))
    sand_porosity = random.uniform(0.38, 0.42) * np.exp(-depth / random.uniform(3200, 4200))
    porosity = (vsh * shale_porosity + (1 - vsh) * sand_porosity) * (1 + 0.02 * np.roll(texture, 7))
    grain = vsh * SHALE + (1 - vsh) * SAND
    velocity = stiff * ((1 - porosity) ** 2 * grain + porosity * FLUID)
    density = (1 - porosity) * (2650 + 60 * vsh) + porosity * 1030
    return Column(vsh, porosity, velocity, density, tuple(zip(NAMES[1:], tops[1:12], strict=False)), reservoir)


def break_up(random: np.random.Generator, along: Array, count: int) -> list[Fault]:
    """`count` normal faults, apart from one another, somewhere in the middle of the line."""
    length = float(along[-1])
    places = (np.arange(count) + random.uniform(0.35, 0.65, count)) / max(count, 1)
    return [
        Fault(
            position=float(length * (0.2 + 0.6 * place)), depth=1300.0, dip=float(random.uniform(66, 78)),
            toward=int(random.choice([-1, 1])), throw=float(np.round(random.uniform(35, 85))),
        )
        for place in places
    ]  # fmt: skip


def fold(random: np.random.Generator, along: Array, faults: list[float]) -> Array:
    """(trace,) m: regional dip and one gentle fold, positive down, never above the datum."""
    length = float(along[-1])
    dip = random.uniform(-60, 60) / length * along
    wave = random.uniform(10, 45) * np.cos(2 * np.pi * along / (length * random.uniform(0.9, 1.6)) + random.uniform(0, 2 * np.pi))
    moved = dip + wave
    return np.asarray(moved - moved.min())


def _thrown(planes: list[Fault], along: Array | float, depth: Array | float) -> Array:
    """Metres by which faults have lowered the points: the throw in the hanging wall, growing from none at 250 m to all at 550 m."""
    down = np.zeros(np.broadcast_shapes(np.shape(along), np.shape(depth)), np.float32)
    growth = np.clip((np.asarray(depth, np.float32) - 250) / 300, 0, 1)
    for plane in planes:
        down += plane.throw * growth * (plane.toward * (along - plane.along(depth)) > 0)
    return down


def _well_trace(random: np.random.Generator, along: Array, planes: list[Fault]) -> int:
    """A trace whose vertical well stays well away from every fault."""
    depth = np.linspace(0, 2800, 57)
    room = np.min([np.abs(along[:, None] - plane.along(depth)).min(1) for plane in planes] or [np.full(len(along), 1e4)], 0)
    edge = len(along) // 10
    inner = np.arange(edge, len(along) - edge)
    good = inner[room[inner] >= min(200.0, np.quantile(room[inner], 0.9))]
    return int(random.choice(good))


@dataclass(frozen=True)
class _Ground:
    """Rock below each trace: (trace, cell) arrays over `depth`, and the two-way time of each cell's top."""

    depth: Array  # (cell,) m
    strata: Array  # (trace, cell) m, stratigraphic depth
    time: Array  # (trace, cell) s
    log_impedance: Array  # (trace, cell) of kg/m2/s
    velocity: Array  # (trace, cell) m/s

    @classmethod
    def below(cls, along: Array, column: Column, planes: list[Fault], structure: Array, contact: float, fill: tuple[str, float]) -> _Ground:
        depth = (CELL * np.arange(int(column.depth[-1] * 0.9 / CELL))).astype(np.float32)
        strata = depth - structure[:, None].astype(np.float32)
        if planes:
            strata -= _thrown(planes, along[:, None].astype(np.float32), depth)
        index = np.clip(strata * np.float32(1 / FINE), 0, len(column.vsh) - 1).astype(np.int32)
        top, base = (int(edge / FINE) for edge in column.reservoir)
        velocity, density = _fill(column, *fill)
        wet = len(column.vsh)
        pay = (index >= top) & (index < base) & (depth < contact)
        index += np.int32(wet) * pay
        both_v = _average(np.concatenate([column.velocity, velocity])).astype(np.float32)
        both_z = _average(np.log(np.concatenate([column.velocity * column.density, velocity * density]))).astype(np.float32)
        speed = both_v[index]
        step = np.float32(2 * CELL) / speed
        time = np.cumsum(step, axis=1)
        return cls(depth, strata, time - step, both_z[index], speed)

    def in_time(self, samples: int, dt: float) -> tuple[Array, Array]:
        """Reflectivity and impedance (kg/m2/s), both (trace, sample): the impedance averaged over each sample."""
        traces = len(self.time)
        edges = dt * (np.arange(samples + 1) - 0.5)
        end = float(self.time[:, -1].max()) + 1.0  # traces laid end to end, so that one interpolation serves all
        lane = end * np.arange(traces)[:, None]
        step = np.diff(self.time, axis=1, append=2 * self.time[:, -1:] - self.time[:, -2:-1])
        total = np.cumsum(self.log_impedance * step, axis=1, dtype=np.float64)
        total = np.concatenate([np.zeros((traces, 1)), total[:, :-1]], axis=1)
        inside = np.clip(edges, 0, None)
        at = np.interp((inside + lane).ravel(), (self.time + lane).ravel(), total.ravel()).reshape(traces, samples + 1)
        mean = np.diff(at, axis=1) / np.diff(inside)
        reflectivity = np.zeros((traces, samples), np.float32)
        reflectivity[:, 1:] = 0.5 * np.diff(mean, axis=1)
        return reflectivity, np.exp(mean).astype(np.float32)

    def horizon(self, strata: float) -> Array:
        """(trace,) s two-way time of a stratigraphic depth; NaN where a fault cut it out."""
        cell = np.argmax(self.strata >= strata, axis=1)
        rows = np.arange(len(cell))
        over = self.strata[rows, cell] - strata
        time = self.time[rows, cell] - 2 * over / self.velocity[rows, np.maximum(cell - 1, 0)]
        return np.where((over >= 0) & (over < 3 * CELL), time, np.nan)

    def depth_of(self, trace: int, strata: float) -> float:
        """Depth (m) of a stratigraphic depth below one trace."""
        return float(np.interp(strata, self.strata[trace], self.depth))


def _average(table: Array) -> Array:
    """Running mean over one cell, so that a cell stands for its rock and not for one sample of it."""
    width = int(CELL / FINE)
    total = np.cumsum(np.concatenate([[0.0], table, np.full(width, table[-1])]))
    return np.asarray((total[width:] - total[:-width])[: len(table)] / width)


def _fill(column: Column, fluid: str, saturation: float) -> tuple[Array, Array]:
    """Velocity and density with hydrocarbons in every pore above the water `saturation`: gas slows and lightens, oil little."""
    light, slow = (250.0, 0.88) if fluid == "gas" else (800.0, 0.965)
    return column.velocity * slow, column.density + column.porosity * (1 - saturation) * (light - 1030.0)


def _mean(column: Column, values: Array, top: float, base: float) -> float:
    return float(values[int(top / FINE) : int(base / FINE)].mean())


def _fault_truth(plane: Fault, ground: _Ground, along: Array, cdp: Array, samples: int, dt: float) -> dict[str, Any]:
    """Where the fault is in the section's own terms: CDP for each time, CDP at mid-section, throw in m and s."""
    times = dt * np.arange(samples)
    middle = int(np.argmin(np.abs(along - plane.position)))
    depth = np.interp(times, ground.time[middle], ground.depth)
    trace = plane.along(depth) / (along[1] - along[0])
    speed = float(np.interp(plane.depth, ground.depth, ground.velocity[middle].cumsum() / np.arange(1, len(ground.depth) + 1)))
    half = samples // 2
    return {
        "cdp": float(np.round(cdp[0] + trace[half], 1)), "time_s": float(times[half]), "dip_deg": plane.dip, "down_to": plane.toward,
        "throw_m": plane.throw, "throw_s": float(np.round(2 * plane.throw / speed, 4)), "cdp_at_time": cdp[0] + trace,
    }  # fmt: skip


# The seismic experiment


def ricker(frequency: float, dt: float) -> Array:
    """Zero-phase Ricker wavelet (peak `frequency` in Hz), centred, long enough to vanish at both ends."""
    half = int(np.ceil(1.5 / frequency / dt))
    phase = (np.pi * frequency * dt * np.arange(-half, half + 1)) ** 2
    return np.asarray((1 - 2 * phase) * np.exp(-phase), np.float32)


def convolve(traces: Array, wavelet: Array) -> Array:
    """Every trace with a centred wavelet, the same length as before."""
    samples, half = traces.shape[-1], len(wavelet) // 2
    length = samples + len(wavelet) - 1
    full = np.fft.irfft(np.fft.rfft(traces, length) * np.fft.rfft(wavelet, length), length)
    return np.asarray(full[..., half : half + samples])


def _smear(data: Array) -> Array:
    """The lateral resolution that a migration leaves: a three-trace triangle."""
    wide = np.pad(data, ((1, 1), (0, 0)), mode="edge")
    return np.asarray(0.25 * wide[:-2] + 0.5 * wide[1:-1] + 0.25 * wide[2:])


def _rumble(random: np.random.Generator, shape: tuple[int, ...], frequency: float, dt: float) -> Array:
    """Noise of unit rms in and above the band of the signal."""
    white = random.standard_normal(shape, dtype=np.float32)
    coloured = convolve(white, ricker(1.2 * frequency, dt))
    return np.asarray(coloured / coloured.std() * 0.85 + 0.5 * white)


def shoot(
    random: np.random.Generator, ground: _Ground, reflectivity: Array, cdp: Array, x: Array, y: Array, azimuth: float, dx: float, dt: float,
    frequency: float, well_at: int,
) -> tuple[Gather, dict[str, Any]]:  # fmt: skip
    """Five CDP gathers of hyperbolic events, and the rms velocities (m/s) at twelve times (s) they were made with."""
    offset, samples = 100.0 * np.arange(1, 31), reflectivity.shape[1]
    times = dt * np.arange(samples)
    places = np.unique(np.concatenate([[well_at], np.linspace(0.15, 0.85, 4) * len(cdp)]).astype(int))
    wavelet = ricker(frequency, dt)
    table = np.linspace(0.2, dt * (samples - 1) * 0.95, 12).round(3)
    rows, truth = [], {}
    for place in places:
        squared = np.cumsum(2 * CELL * ground.velocity[place].astype(float))  # v2 dt = 2 v dz
        rms = np.sqrt(np.interp(times, ground.time[place, 1:], squared[:-1] / ground.time[place, 1:]))
        arrival = np.sqrt(times**2 + (offset[:, None] / rms) ** 2)  # (offset, sample)
        strength = np.where(arrival < 1.6 * times, reflectivity[place], 0.0)  # outer mute at a stretch of 60 %
        where = arrival / dt
        low = np.minimum(where.astype(int), samples - 1)
        lane = samples * np.arange(len(offset))[:, None]
        inside = where < samples - 1
        part = where - low
        size = samples * len(offset)
        spikes = np.bincount((lane + low)[inside], (strength * (1 - part))[inside], size)
        spikes += np.bincount((lane + np.minimum(low + 1, samples - 1))[inside], (strength * part)[inside], size)
        rows.append(convolve(spikes.reshape(len(offset), samples), wavelet))
        truth[str(int(cdp[place]))] = [float(v) for v in np.interp(table, times, rms).round(1)]
    clean = np.concatenate(rows)
    data = SCALE * (clean + 0.35 * clean.std() * _rumble(random, clean.shape, frequency, dt))
    number = np.repeat(places, len(offset))
    distance = np.tile(offset, len(places))
    unit = np.array([np.sin(azimuth), np.cos(azimuth)])
    source = np.stack([x, y], 1)[number] - 0.5 * distance[:, None] * unit
    receiver = source + distance[:, None] * unit
    shot = 1000 + np.round((number * dx - 0.5 * distance) / 25).astype(int)
    gather = Gather(
        title="CDP gathers", data=data.astype(np.float32), dt=dt, offset=distance, cdp=cdp[number], shot=shot,
        channel=np.tile(1 + np.arange(len(offset)), len(places)), source_x=source[:, 0].round(2), source_y=source[:, 1].round(2),
        receiver_x=receiver[:, 0].round(2), receiver_y=receiver[:, 1].round(2), crs=CRS, polarity="SEG normal",
        notes=("made earth: hyperbolic primaries, outer mute at 60 % stretch",),
    )  # fmt: skip
    return gather, {"time_s": table.tolist(), "rms_m_s": truth}


# The well


def drill(
    random: np.random.Generator, column: Column, ground: _Ground, trace: int, contact: float, rw: float, residual: float, fluid: str, name: str,
    x: float, y: float,
) -> Well:  # fmt: skip
    """A vertical well with GR, CALI, RHOB, NPHI, DT and RT in the units they are recorded in; tops and checkshots."""
    bottom = float(np.interp(1.85, ground.time[trace], ground.depth))
    depth = LOG_STEP * np.arange(int(200 / LOG_STEP), int(min(bottom, 2500) / LOG_STEP))
    strata = np.interp(depth, ground.depth, ground.strata[trace].astype(float))
    index = np.clip((strata / FINE).astype(int), 0, len(column.vsh) - 1)
    top, base = column.reservoir
    pay = (strata >= top) & (strata < base) & (depth < contact)
    light_v, light_d = _fill(column, fluid, residual)
    vsh, porosity = column.vsh[index], column.porosity[index]
    velocity = np.where(pay, light_v[index], column.velocity[index])
    density = np.where(pay, light_d[index], column.density[index])
    water = np.where(pay, residual, 1.0)
    clean = np.maximum(porosity * (1 - 0.9 * vsh), 0.01)  # pores that conduct as Archie has it
    resistivity = 1 / (clean**2 * water**2 / rw + vsh**2 / 2.2)
    gas = np.where(pay & (fluid == "gas"), 0.55, 1.0)
    neutron = porosity * gas - 0.03 * (1 - vsh) + 0.11 * vsh
    rough = np.maximum(_drift(random, len(depth), 40) - 0.6, 0) * vsh  # the bit cuts shales too wide
    n = len(depth)
    values = {
        "GR": (25 + 90 * vsh + 3.0 * _drift(random, n, 3) + 2.0 * _drift(random, n, 200), 0.4, "gAPI", "GAMMA RAY"),
        "CALI": (8.5 + 0.05 * _drift(random, n, 5) + 1.8 * rough, 0.3, "in", "CALIPER"),
        "RHOB": (density / 1000 + 0.008 * _drift(random, n, 3) - 0.08 * rough, 0.45, "g/cm3", "BULK DENSITY"),
        "NPHI": (neutron + 0.008 * _drift(random, n, 3) + 0.02 * rough, 0.6, "v/v", "NEUTRON POROSITY (LIMESTONE)"),
        "DT": (304800 / velocity * (1 + 0.004 * _drift(random, n, 3)), 0.6, "us/ft", "COMPRESSIONAL SLOWNESS"),
        "RT": (np.log(resistivity) + 0.03 * _drift(random, n, 3), 0.6, "ohm.m", "TRUE RESISTIVITY"),
    }
    curves = {}
    for mnemonic, (trace_values, length, unit, text) in values.items():
        seen = _tool(trace_values, length)
        curves[mnemonic] = Curve((np.exp(seen) if mnemonic == "RT" else seen).round(4), unit, text)
    shots = np.arange(100.0, float(depth[-1]), 90.0).round(1)
    tops = {f"{name_} Fm": round(ground.depth_of(trace, place), 1) for name_, place in column.formations}
    return Well(
        title=name, well_name=name, depth=depth.round(4), curves=curves, reference="MD", x=x, y=y, crs=CRS,
        tops={key: value for key, value in tops.items() if value < depth[-1]}, checkshot_depth=shots,
        checkshot_time=np.interp(shots, ground.depth, ground.time[trace].astype(float)).round(5),
        notes=("made earth: vertical well, depths from the seismic datum, MD equals TVD",),
    )  # fmt: skip


def _drift(random: np.random.Generator, count: int, length: int) -> Array:
    """Noise of unit spread that forgets itself over `length` samples."""
    coarse = random.standard_normal(count // length + 3)
    return np.interp(np.arange(count) / length, np.arange(len(coarse)), coarse) * 1.2


def _tool(values: Array, length: float) -> Array:
    """What a tool of vertical resolution `length` (m) reads: the mean over it."""
    width = 2 * int(length / LOG_STEP / 2) + 1
    padded = np.pad(values, width // 2, mode="edge")
    total = np.cumsum(np.concatenate([[0.0], padded]))
    return np.asarray((total[width:] - total[:-width]) / width)
