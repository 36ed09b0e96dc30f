"""A made earth whose truth is known: one column of sands and shales, folded and faulted, seen by every instrument.

A column of beds (shale volume, compacted porosity, hence velocity, density and resistivity) is laid down once. Dip, fold
and normal faults move it vertically, metre by metre, so that section, gathers, well and checkshots share one depth-time
relation. Gravity and magnetics see a prism buried below the line. A local earthquake is recorded around it.

Nothing is realistic by accident: compaction is Athy's (1930), velocity Raymer, Hunt and Gardner's (1980), resistivity
Archie's (1942) with a shale conductor beside it. The overburden is land; depths and times start at one flat datum.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moho.survey import Array, Curve, Gather, Gravity, Magnetics, Response, Seismic, Waveforms, Well

CRS = "EPSG:32631"  # WGS 84 / UTM zone 31N
GRAVITATION = 6.6743e-11  # m3/(kg s2), CODATA 2018, as harmonica has it
FINE = 0.5  # m, sampling of the column
CELL = 3.0  # m, depth sampling below each trace
LOG_STEP = 0.1524  # m, half a foot
SCALE = 1.0e4  # recorded amplitude of a reflection coefficient of one
SAND, SHALE, FLUID = 5600.0, 4300.0, 1580.0  # m/s, of the grains and the brine
NAMES = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Gorse", "Hazel", "Iris", "Juniper", "Kingcup", "Larch")


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


# The potential fields


def weigh(random: np.random.Generator, east: float, north: float) -> tuple[Gravity, Magnetics, dict[str, Any]]:
    """About 400 stations over an intrusion below the line: observed gravity (mGal), total-field anomaly (nT), the body."""
    import boule
    import pyproj

    heavy = bool(random.integers(2))
    contrast = float(np.round(random.uniform(200, 420) if heavy else -random.uniform(150, 300)))
    middle = np.round([east + random.uniform(-2500, 2500), north + random.uniform(-2500, 2500)], 0)
    half = np.round(random.uniform(2000, 3400, 2), 0)
    top = float(np.round(random.uniform(2500, 3200)))
    base = top + float(np.round(random.uniform(1800, 3000)))
    prism = (middle[0] - half[0], middle[0] + half[0], middle[1] - half[1], middle[1] + half[1], top, base)
    lines = np.linspace(-12000, 12000, 20)
    x, y = (axis.ravel() + shift for axis, shift in zip(np.meshgrid(lines, lines), (east, north), strict=True))
    x, y = x + random.uniform(-350, 350, 400), y + random.uniform(-350, 350, 400)
    longitude, latitude = (np.asarray(axis) for axis in _transformer(pyproj).transform(x, y, direction="INVERSE"))
    longitude, latitude = longitude.round(7), latitude.round(7)
    height = _hills(random, x - east, y - north).round(2)
    regional = random.uniform(-2.5e-4, 2.5e-4, 2).round(6)  # mGal/m
    level = float(np.round(random.uniform(-20, 20), 2))
    slab = 2e5 * np.pi * GRAVITATION * 2670.0 * height
    effect, tensor = prism_fields(x, y, height, prism)
    plane = level + regional[0] * (x - east) + regional[1] * (y - north)
    normal = np.asarray(boule.WGS84.normal_gravity((longitude, latitude, height)))
    observed = normal + slab + plane + contrast * GRAVITATION * 1e5 * effect + 0.03 * random.standard_normal(400)
    gravity = Gravity(
        title="gravity", longitude=longitude, latitude=latitude, height=height, value=observed.round(4), crs="EPSG:4326",
        datum="ellipsoidal WGS84", uncertainty=0.03, notes=("made earth: observed gravity, slab topography of 2670 kg/m3",),
    )  # fmt: skip
    inclination, declination, intensity = 63.5, 1.5, 47800.0
    susceptibility = float(np.round(random.uniform(0.02, 0.05) if heavy else random.uniform(0.008, 0.02), 4))
    steep, turn = np.radians([inclination, declination])
    field = np.array([np.cos(steep) * np.sin(turn), np.cos(steep) * np.cos(turn), np.sin(steep)])  # east, north, down
    anomaly = susceptibility * intensity / (4 * np.pi) * np.einsum("i,ijn,j->n", field, tensor, field) + 0.3 * random.standard_normal(400)
    magnetics = Magnetics(
        title="magnetics", longitude=longitude, latitude=latitude, height=height, value=anomaly.round(2), crs="EPSG:4326",
        datum="ellipsoidal WGS84", inclination=inclination, declination=declination, intensity=intensity,
        notes=("made earth: anomaly of an induced prism",),
    )  # fmt: skip
    volume = 4 * half[0] * half[1] * (base - top)
    body = {
        "east_m": float(middle[0]), "north_m": float(middle[1]), "depth_m": (top + base) / 2, "top_m": top, "base_m": base,
        "half_width_east_m": float(half[0]), "half_width_north_m": float(half[1]), "density_contrast_kg_m3": contrast,
        "excess_mass_kg": float(contrast * volume), "susceptibility_si": susceptibility,
        "regional_mgal_per_m": regional.tolist(), "level_mgal": level, "topography_density_kg_m3": 2670.0,
        "peak_mgal": float(contrast * GRAVITATION * 1e5 * effect.max()),
        "inclination_deg": inclination, "declination_deg": declination, "intensity_nt": intensity, "crs": CRS,
    }  # fmt: skip
    return gravity, magnetics, body


def _transformer(pyproj: Any) -> Any:
    return pyproj.Transformer.from_crs("EPSG:4326", CRS, always_xy=True)


def _hills(random: np.random.Generator, x: Array, y: Array) -> Array:
    """Heights (m): a plateau with smooth hills, as a plate correction can bear."""
    height = np.full(len(x), random.uniform(180, 320))
    for _ in range(5):
        direction, length = random.uniform(0, np.pi), random.uniform(5000, 16000)
        height += random.uniform(8, 28) * np.cos(2 * np.pi * (x * np.cos(direction) + y * np.sin(direction)) / length + random.uniform(0, 2 * np.pi))
    return height


def prism_fields(x: Array, y: Array, height: Array, prism: tuple[float, ...]) -> tuple[Array, Array]:
    """Downward attraction over G times density (m), and the tensor of second derivatives of the potential over the same (3, 3, point).

    `prism` is west, east, south, north, top, base in m, the last two as depth. Axes east, north, down. Closed form of
    Nagy (1966); observation points lie outside the prism.
    """
    west, east, south, north, top, base = prism
    attraction = np.zeros(len(x))
    tensor = np.zeros((3, 3, len(x)))
    for i, side_x in enumerate((west, east)):
        for j, side_y in enumerate((south, north)):
            for k, side_z in enumerate((top, base)):
                sign = (-1) ** (i + j + k + 1)
                u, v, w = side_x - x, side_y - y, side_z + height
                r = np.sqrt(u * u + v * v + w * w)
                log_u, log_v, log_w = np.log(u + r), np.log(v + r), np.log(w + r)
                attraction -= sign * (u * log_v + v * log_u - w * np.arctan2(u * v, w * r))
                tensor[0, 0] -= sign * np.arctan(v * w / (u * r))
                tensor[1, 1] -= sign * np.arctan(u * w / (v * r))
                tensor[2, 2] -= sign * np.arctan(u * v / (w * r))
                for a, b, value in ((0, 1, log_w), (0, 2, log_v), (1, 2, log_u)):
                    tensor[a, b] += sign * value
    for a, b in ((1, 0), (2, 0), (2, 1)):
        tensor[a, b] = tensor[b, a]
    return attraction, tensor


# The earthquake


def earthquake(seed: int, east: float = 5.0e5, north: float = 5.3e6) -> tuple[Waveforms, Response, dict[str, Any]]:
    """A local event on five three-component stations: counts, their response, the hypocentre and the onsets."""
    import obspy
    import pyproj
    from obspy.core.inventory import Channel, Inventory, Network, Site, Station
    from obspy.core.inventory import Response as Instrument

    random = np.random.default_rng([seed, 2])
    back = _transformer(pyproj)
    epicentre = np.array([east, north]) + random.uniform(-6000, 6000, 2)
    depth = float(np.round(random.uniform(5, 13), 2))  # km
    velocity, ratio, rate, gain = 6.0, 1.73, 100.0, 6.0e8
    start = obspy.UTCDateTime(2024, 3, 1 + seed % 28, seed % 24, (7 * seed) % 60)
    origin = start + 20 + float(np.round(random.uniform(0, 2), 2))
    count = int(75 * rate)
    instrument = Instrument.from_paz(zeros=[], poles=[], stage_gain=gain, input_units="M/S", output_units="COUNTS")
    stream, stations, onsets = obspy.Stream(), [], []
    turn = random.uniform(0, 2 * np.pi)
    for number in range(5):
        angle = turn + 2 * np.pi * (number + random.uniform(-0.25, 0.25)) / 5
        place = epicentre + random.uniform(9e3, 38e3) * np.array([np.sin(angle), np.cos(angle)])
        longitude, latitude = (round(float(v), 5) for v in back.transform(*place, direction="INVERSE"))
        distance = float(np.hypot(np.hypot(*(place - epicentre)) / 1000, depth))
        arrival = {"P": origin + distance / velocity, "S": origin + ratio * distance / velocity}
        code = f"MO{number + 1:02d}"
        channels = []
        for component, share in (("Z", (1.0, 0.5)), ("N", (0.35, 1.5)), ("E", (0.3, 1.4))):
            data = 2e-8 * _hum(random, count)
            for (phase, onset), part in zip(arrival.items(), share, strict=True):
                data += part * (18 / distance) * _coda(random, count, (onset - start) * rate, phase == "S")
            header = {"network": "XX", "station": code, "location": "00", "channel": f"HH{component}", "sampling_rate": rate, "starttime": start}
            stream.append(obspy.Trace(np.round(gain * data).astype(np.int32), header))
            tilt = {"Z": (0.0, -90.0), "N": (0.0, 0.0), "E": (90.0, 0.0)}[component]
            channels.append(
                Channel(header["channel"], "00", latitude, longitude, 0.0, 0.0, azimuth=tilt[0], dip=tilt[1], sample_rate=rate, response=instrument)
            )
        stations.append(Station(code, latitude, longitude, 0.0, channels=channels, site=Site(f"station {number + 1}"), creation_date=start - 86400))
        for phase, time in arrival.items():
            onsets.append({"station": f"XX.{code}", "phase": phase, "time": str(time), "latitude": latitude, "longitude": longitude})
    inventory = Inventory(networks=[Network("XX", stations=stations)], source="made earth", created=start)
    longitude, latitude = back.transform(*epicentre, direction="INVERSE")
    truth = {
        "latitude": round(float(latitude), 5), "longitude": round(float(longitude), 5), "depth_km": depth, "origin_time": str(origin),
        "p_velocity_m_s": 1000 * velocity, "vp_vs": ratio, "onsets": onsets,
    }  # fmt: skip
    return Waveforms(title="local event", stream=stream), Response(title="stations", inventory=inventory), truth


def _hum(random: np.random.Generator, count: int) -> Array:
    """Background of unit rms, stronger at low frequency."""
    spectrum = np.fft.rfft(random.standard_normal(count))
    spectrum /= (0.3 + np.arange(len(spectrum)) * 100.0 / count) ** 0.7
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(noise / noise.std())


def _coda(random: np.random.Generator, count: int, onset: float, shear: bool) -> Array:
    """Velocity (m/s) of one phase: a sharp onset at sample `onset` and a decaying coda, lower in frequency for S."""
    after = (np.arange(count) - onset) / 100.0
    late = np.clip(after, 0, None)
    lowest, highest, decay = (1.5, 9.0, 3.5) if shear else (4.0, 16.0, 2.0)
    wiggle = np.zeros(count)
    for frequency in np.linspace(lowest, highest, 24):
        wiggle += np.sin(2 * np.pi * frequency * late + random.uniform(0, 2 * np.pi)) * (0.7 if frequency > 12 else 1.0)
    first = np.sin(2 * np.pi * 0.6 * highest * late) * np.exp(-late / 0.15) * 5
    rise = np.where(after >= 0, np.exp(-late / decay), 0.0)
    return np.asarray(1.2e-6 * (2.5 if shear else 1.0) * rise * (0.35 * wiggle * np.clip(late / 0.06, 0, 1) + first))


# On disk


def write(made: Earth, folder: Path) -> dict[str, Path]:
    """The survey in field formats: SEG-Y line and gathers, LAS well with markers and checkshots, CSV stations, miniSEED, StationXML, truth."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = {
        "line": "line.sgy", "gather": "gather.sgy", "well": "well.las", "checkshots": "well_checkshot_TD.txt", "markers": "well_markers.txt",
        "gravity": "gravity.csv", "magnetics": "magnetics.csv", "waveforms": "waveforms.mseed", "stations": "stations.xml", "truth": "truth.json",
    }  # fmt: skip
    paths = {key: folder / name for key, name in names.items()}
    section, gather, well = made.section, made.gather, made.well
    assert section.x is not None
    assert section.y is not None
    frame = f"COORDINATES {CRS} IN M, SCALAR -100"
    _segy(paths["line"], section.data, section.dt, {
        1: np.arange(1, len(section.data) + 1), 21: section.numbers, 71: -100, 73: section.x, 77: section.y, 181: section.x, 185: section.y,
    }, [f"LINE {made.seed} MADE EARTH STACK, MIGRATED", frame, "CDP BYTES 21-24, X 181-184, Y 185-188",
        "POLARITY SEG NORMAL: POSITIVE = IMPEDANCE INCREASE", "DATUM FLAT"])  # fmt: skip
    heads = {9: gather.shot, 13: gather.channel, 21: gather.cdp, 37: gather.offset, 71: -100, 73: gather.source_x, 77: gather.source_y,
             81: gather.receiver_x, 85: gather.receiver_y, 1: np.arange(1, len(gather.data) + 1)}  # fmt: skip
    _segy(paths["gather"], gather.data, gather.dt, heads, [f"LINE {made.seed} CDP GATHERS", frame, "POLARITY SEG NORMAL"])
    _las(paths["well"], well)
    pairs = zip(np.asarray(well.checkshot_depth), np.asarray(well.checkshot_time), strict=True)
    paths["checkshots"].write_text("".join(f"{depth:.2f}\t{time:.5f}\n" for depth, time in pairs))
    paths["markers"].write_text("".join(f"{depth:.2f}\t{name}\n" for name, depth in well.tops.items()))
    for key, column, digits in (("gravity", "gravity_mgal", 4), ("magnetics", "total_field_anomaly_nt", 2)):
        data = made.gravity if key == "gravity" else made.magnetics
        rows = zip(*data.coordinates(), np.asarray(data.height), data.value, strict=True)
        lines = [f"{lon:.7f},{lat:.7f},{height:.2f},{value:.{digits}f}" for lon, lat, height, value in rows]
        paths[key].write_text("\n".join([f"longitude,latitude,height_m,{column}", *lines]) + "\n")
    waveforms, response, event = earthquake(made.seed, float(section.x.mean()), float(section.y.mean()))
    waveforms.stream.write(str(paths["waveforms"]), format="MSEED")
    response.inventory.write(str(paths["stations"]), format="STATIONXML")
    paths["truth"].write_text(json.dumps(_plain({**made.truth, "event": event, "seed": made.seed}), indent=1))
    return paths


def _plain(value: Any) -> Any:
    """The truth as JSON: arrays as rounded lists, NaN as null; the impedance of the section stays out."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items() if key != "impedance"}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(part) for part in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _segy(path: Path, data: Array, dt: float, heads: Mapping[int, Any], text: list[str]) -> None:
    """SEG-Y revision 1, IEEE float, with trace headers by byte; coordinates (73 to 88, 181 to 188) in cm."""
    import segyio

    spec = segyio.spec()
    spec.samples, spec.tracecount, spec.format = 1000 * dt * np.arange(data.shape[1]), len(data), 5
    with segyio.create(str(path), spec) as file:
        file.text[0] = segyio.tools.create_text_header({n + 1: line for n, line in enumerate(text)})
        field = segyio.BinField
        file.bin.update({field.Interval: round(1e6 * dt), field.SEGYRevision: 1, field.TraceFlag: 1, field.MeasurementSystem: 1})
        file.trace = np.ascontiguousarray(data, np.float32)
        columns = {}
        for byte, values in heads.items():
            scale = 100 if byte in (73, 77, 81, 85, 181, 185) else 1
            columns[byte] = np.broadcast_to(np.round(scale * np.asarray(values)).astype(int), len(data))
        for n in range(len(data)):
            file.header[n] = {byte: int(column[n]) for byte, column in columns.items()} | {115: data.shape[1], 117: round(1e6 * dt), 29: 1}


def _las(path: Path, well: Well) -> None:
    """LAS 2.0, one line a depth."""
    lines = [
        "~Version", "VERS.  2.0 : CWLS LOG ASCII STANDARD - VERSION 2.0", "WRAP.   NO : ONE LINE PER DEPTH STEP", "~Well",
        f"STRT.M {well.depth[0]:.4f} : START DEPTH", f"STOP.M {well.depth[-1]:.4f} : STOP DEPTH", f"STEP.M {LOG_STEP:.4f} : STEP",
        "NULL.  -999.25 : NULL VALUE", f"WELL.  {well.well_name} : WELL", "COMP.  MADE EARTH : COMPANY", f"XCOORD.M {well.x:.2f} : X, EASTING",
        f"YCOORD.M {well.y:.2f} : Y, NORTHING", f"GDAT.  {well.crs} : COORDINATE REFERENCE SYSTEM", "~Curve", "DEPT.M : MEASURED DEPTH",
        *(f"{name}.{curve.unit} : {curve.description}" for name, curve in well.curves.items()),
        "~Parameter", "EKB.M 0.0 : KELLY BUSHING ABOVE THE SEISMIC DATUM", "~ASCII",
    ]  # fmt: skip
    table = np.column_stack([well.depth, *(np.where(np.isfinite(c.values), c.values, -999.25) for c in well.curves.values())])
    with path.open("w") as file:
        file.write("\n".join(lines) + "\n")
        np.savetxt(file, table, "%.4f", " ")
