"""Dips and their places: f-k filtering, and migration of a stack to where its reflections come from.

Both need metres between traces; where the data carry none the person is asked. Time runs from zero (`t0` is honoured), distance
along the traces as they are stored.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from moho.agent.registry import Cost, tool
from moho.agent.tools.seismic_processing import amplitudes, in_time, velocity_function
from moho.errors import Missing, Refusal
from moho.survey import Array, Gather, Seismic, Step
from moho.units import Degrees, Metres, Percent, Quantity, Seconds, Unit, Velocity

ApparentVelocity = Annotated[float, Unit("m/s", above=0)]
MOST = 64  # traces by which an f-k filter continues a line beyond its ends
BLOCK = 24  # wavenumbers a phase shift works on at once: stays in the cache
COPIES = 10  # low-passed copies a Kirchhoff sum chooses from, each half an octave lower
LAYER = 8  # samples over which an interval velocity that changes with time is held
STEEP = 10.0  # deg over which a migration fades beyond its steepest dip


@tool(
    discipline="seismic",
    stage="processing",
    reference="Embree, Burg and Backus 1963, Wide-band velocity filtering: the pie-slice process, Geophysics 28, 948-974",
    truth="one plane wave down over 30 dB, the other kept within 0.1 dB; kept and removed add up to the line",
    say=(
        "f-k filter {line}, remove everything slower than {fastest}",
        "Take the ground roll out of {line} with an fk fan filter, {slowest} to {fastest}",
        "fk filter on {line} below {fastest} pls",
        "dip filter {line}: {action} apparent velocities from {slowest} to {fastest}, traces {spacing} apart",
        "Suppress the linear noise in {line}, it crosses at about {fastest}",
        "Keep only events faster than {slowest} in {line}",
        "velocity filter (pie slice) {slowest}-{fastest} for {line}",
        "remove the {side}-dipping steep noise from {line}, slower than {fastest}",
        "please to filter {line} in f-k domain, cut velocity {fastest}",
        "There is a direct wave at {fastest} in {line}; kill it but leave the reflections alone",
        "FK {line} vmax {fastest} dx {spacing}",
    ),
)
def fk_filter(
    line: Seismic | Gather,
    fastest: Annotated[ApparentVelocity, "largest apparent velocity of the fan"] | None = None,
    slowest: Annotated[ApparentVelocity, "smallest apparent velocity of the fan"] | None = None,
    action: Annotated[Literal["remove", "keep"], "what happens inside the fan"] = "remove",
    side: Annotated[Literal["both", "down", "up"], "dips of the fan, seen along the section or away from the source"] = "both",
    taper: Annotated[Percent, "width of the taper outside the fan"] = 20,
    spacing: Annotated[Metres, "trace spacing"] | None = None,
) -> Seismic | Gather:
    """The line without (or with only) the events inside a fan of apparent velocities.

    Apparent velocity is dx/dt along the traces, whichever way the event dips; `fastest` left out means up to flat, `slowest` left out
    means down to zero. Inside the fan the response is 0 (or 1 to keep it), and returns by a cosine over `taper` of the slope outside
    it. Gathers are filtered one by one. Events steeper than one wavelength in two traces are aliased and fall on other slopes.
    Beyond its ends a line is continued by f-x prediction from its own traces, so the filter is not linear there: a sum filtered differs
    from the sum of its parts filtered, by several percent of the rms at the end traces and under one percent some ten traces in. What
    is kept and what is removed of one line add up to it everywhere.
    """
    in_time(line, "an apparent velocity in m/s")
    if fastest is None and slowest is None:
        question = "Between which apparent velocities (m/s) should fk_filter work? Give the largest, the smallest or both."
        raise Missing("fastest", question, also=("slowest",))
    if fastest is not None and slowest is not None and not slowest < fastest:
        raise ValueError(f"need slowest < fastest, got {slowest:g} and {fastest:g} m/s")
    data, live, notes = amplitudes(line)
    groups = panels(line)
    dx, words = trace_spacing(line, spacing, groups)
    if min(map(len, groups)) < 4:
        raise Refusal("E_PHYSICS", f"an f-k filter needs at least 4 traces side by side, got {min(map(len, groups))}.")
    low = 1 / fastest if fastest else 0.0
    high = 1 / slowest if slowest else np.inf
    sides = {"both": (1, -1), "down": (1,), "up": (-1,)}[side]
    out = np.zeros_like(data)
    for rows in groups:
        out[rows] = _fan(data[rows], line.dt, dx, low, high, sides, taper / 100, action == "keep")
    out[~live] = 0
    edge = high if np.isfinite(high) else low
    alias = 0.5 / (dx * edge)
    removed = float(np.square(data - out, dtype=np.float64).sum() / np.square(data, dtype=np.float64).sum())
    facts = {
        "removed": Quantity(100 * removed, "%", "energy removed by the f-k filter"),
        "slope": Quantity([float(1e3 * low * dx), float(1e3 * high * dx)] if np.isfinite(high) else float(1e3 * low * dx), "ms/trace",
                          "fan of slopes between" if np.isfinite(high) else "smallest slope of the fan"),
        "alias_frequency": Quantity(float(alias), "Hz", f"frequency above which events at {1 / edge:g} m/s are aliased"),
        "spacing": Quantity(dx, "m", "trace spacing"),
    }  # fmt: skip
    top = _top_frequency(data, line.dt)
    did = "kept" if action == "keep" else "removed"
    fan = f"{did}: apparent velocities {_fan_words(slowest, fastest)}, dips {side}, taper {taper:g} % of the slope"
    said = f"99 % of the energy lies below {top:.3g} Hz, where events slower than {2 * dx * top:.4g} m/s are aliased"
    notes = (*notes, f"spatial aliasing: {said}: above their alias frequency they fall on other slopes and are not told apart")
    if len(groups) > 1:
        notes = (*notes, f"{len(groups)} gathers filtered one by one")
    return line.made(facts=facts, notes=(fan, words, *notes), data=out)


def _migration_cost(line: Seismic, **values: object) -> Cost:
    traces, samples = line.data.shape
    return Cost(2e-8 * traces * samples * max(traces, 200) ** 0.5 * 20, 40.0 * line.data.nbytes)


@tool(
    discipline="seismic",
    stage="processing",
    cost=_migration_cost,
    reference="Stolt 1978, Migration by Fourier transform, Geophysics 43, 23-48; Gazdag 1978, Wave equation migration with the phase-shift method, "
    "Geophysics 43, 1342-1351; Schneider 1978, Integral formulation for migration in two and three dimensions, Geophysics 43, 49-76",
    truth="a diffractor focuses within one trace and one sample by all three methods; events of 0 to 35 degrees take their true dip within "
    "one sample",
    say=(
        "Migrate {line} with {velocity}",
        "post-stack time migration of {line}, {method}, {velocity}",
        "stolt {line} at {velocity}, traces {spacing} apart",
        "Collapse the diffractions in {line}, velocity {velocity}",
        "run a {method} migration on the stack {line} with v={velocity} at t={time}",
        "migrate pls, dx {spacing} v {velocity}",
        "I see bow ties and diffraction tails on {line}: can you migrate it at {velocity}?",
        "please make the migration of section {line} using velocity function {time} {velocity}",
        "Move the dipping reflectors of {line} to their true position, v {velocity}",
        "poststack migration {line}, interval velocities {velocity} at {time}, dips up to {dip}",
        "phase-shift (Gazdag) migration of {line}",
        "Kirchhoff migrate {line} {velocity} aperture {dip}",
    ),
)
def migrate_poststack(
    line: Seismic,
    velocity: Annotated[list[Velocity], "migration velocities"],
    time: Annotated[list[Seconds], "two-way times of the velocities"] | None = None,
    method: Annotated[Literal["stolt", "kirchhoff", "phase shift"], "migration method"] | None = None,
    kind: Annotated[Literal["rms", "interval"], "kind of velocity"] = "rms",
    spacing: Annotated[Metres, "trace spacing"] | None = None,
    dip: Annotated[Degrees, "steepest dip migrated"] = 75,
    again: Annotated[Literal["no", "yes"], "whether a migrated line may be migrated once more"] = "no",
) -> Seismic:
    """The stack as a time-migrated section: diffractions collapsed, dipping reflections moved up dip and steepened.

    Exploding reflectors, half of the velocity, waves of the plane of the section only. Stolt: one velocity, exact. Phase shift: v(t)
    through interval velocities (Dix from RMS, constant between the times). Kirchhoff: straight rays at the RMS velocity of the image
    time, half-derivative, obliquity, spreading, and less bandwidth wherever the operator would alias. Left out, `method` is
    Stolt for one velocity and phase shift for several. Beyond `dip` the image fades over 10 degrees. Amplitudes of flat events stay.
    """
    in_time(line, "time migration")
    if line.quantity != "amplitude":
        raise Refusal("E_PHYSICS", f"migration moves waves, and this section holds {line.quantity}.", "Migrate the stack, then compute attributes.")
    if again != "yes" and (before := [step for step in line.history if step.tool == "migrate_poststack"]):
        used = before[-1].arguments.get("velocity") or ()
        speeds = ", ".join(f"{value:g}" for value in used) or "an unstated velocity"
        message = f"{line.title or 'this section'} was migrated before, with {speeds} m/s; a second pass would over-migrate it."
        raise Refusal("E_PHYSICS", message, "Migrate the unmigrated stack, or ask for it again in so many words (again = yes).")
    if not 0 < dip <= 90:
        raise ValueError(f"dip must be above 0 and at most 90 degrees, got {dip:g}")
    data, live, notes = amplitudes(line)
    if len(data) < 8:
        raise Refusal("E_PHYSICS", f"migration needs traces beside one another, got {len(data)}.", "Give the whole line.")
    given = velocity_function(velocity, time, line.times)  # checks both
    constant = bool(np.ptp(given) == 0)
    chosen = method or ("stolt" if constant else "phase shift")
    if chosen == "stolt" and not constant:
        message = f"Stolt migration takes one velocity, got {len(velocity)}, from {min(velocity):g} to {max(velocity):g} m/s."
        raise Refusal("E_PHYSICS", message, "Use the method phase shift or kirchhoff.")
    if line.t0 + line.dt * (data.shape[1] - 1) <= 0:
        raise Refusal("E_GEOMETRY", f"the record ends at {line.times[-1]:g} s, before time zero.", "Correct the start time first.")
    dx, words = trace_spacing(line, spacing, panels(line))
    axis = line.dt * np.arange(int(np.ceil(line.times[-1] / line.dt - 1e-6)) + 1)  # from time zero, where waves start
    interval, rms = _velocities(velocity, time, kind, axis)
    top = _top_frequency(data, line.dt)
    steepest = np.sin(np.radians(dip))
    if chosen == "kirchhoff":
        image = _kirchhoff(data, line.dt, line.t0, dx, rms, axis, dip)
    else:
        reach = 0.5 * float(interval.max()) * axis[-1] * steepest
        pad = min(int(np.ceil(reach / dx)), 3 * len(data))
        work = _stolt if chosen == "stolt" else _phase_shift
        image = work(data, line.dt, line.t0, dx, interval, axis, dip, pad, min(1.15 * top, line.nyquist))
    out = np.stack([np.interp(line.times, axis, trace, left=0.0) for trace in image]).astype(np.float32)
    alias = float(rms.min()) / (4 * dx * steepest)
    energy = float(np.square(data, dtype=np.float64).sum())
    facts = {
        "velocity": Quantity([float(v) for v in velocity] if len(velocity) > 1 else float(velocity[0]), "m/s", f"migration velocity ({kind})"),
        "spacing": Quantity(dx, "m", "trace spacing"),
        "steepest_dip": Quantity(float(dip), "deg", "steepest dip migrated"),
        "alias_frequency": Quantity(float(alias), "Hz", f"frequency above which dips of {dip:g} degrees are aliased"),
        "energy_ratio": Quantity(float(np.square(out, dtype=np.float64).sum() / energy), "", "energy of the output over that of the input"),
    }
    notes = tuple(note for note in notes if not note.endswith("stay dead"))
    if not live.all():
        notes = (*notes, f"{int((~live).sum())} dead traces went in as zero amplitude, and the image fills them: interpolate_traces first is better")
    if method is None:
        notes = (*notes, f"{chosen} was chosen: the velocity is {'constant' if constant else 'a function of time'}")
    if time is not None and kind == "rms" and not constant:
        shown = f"{interval.min():.4g} to {interval.max():.4g} m/s"
        notes = (*notes, "velocities taken as RMS" + (f"; Dix interval velocities {shown}" if chosen == "phase shift" else ""))
    if alias < top:
        said = f"dips of {dip:g} degrees are aliased above {alias:.3g} Hz and the data reach {top:.3g} Hz"
        notes = (*notes, f"spatial aliasing: {said}; a smaller dip or interpolated traces make a cleaner image")
    main = f"migrated in time ({chosen}), exploding reflectors, dips to {dip:g} degrees; 2-D: what comes from beside the line is misplaced"
    arguments = {"line": line.title, "velocity": list(map(float, velocity)), "time": time, "method": chosen, "kind": kind, "spacing": dx, "dip": dip}
    done = (*line.history, Step("migrate_poststack", {**arguments, "again": again}))
    return line.made(facts=facts, notes=(main, words, *notes), data=out, dx=dx, history=done)


def panels(line: Seismic | Gather) -> list[Array]:
    """Rows that lie side by side: all of a section as stored; each shot by channel, each CDP by offset, both away from the source."""
    if isinstance(line, Seismic):
        return [np.arange(len(line.data))]
    found = [(key, numbers) for key, numbers in (("shot", line.shot), ("cdp", line.cdp)) if numbers is not None]
    name, numbers = min(found, key=lambda pair: (len(np.unique(pair[1])), pair[0] != "cdp"), default=("", np.zeros(len(line.data), int)))
    parts = [np.flatnonzero(numbers == number) for number in np.unique(numbers)]
    found_in = line.offset if name != "shot" or line.channel is None else line.channel
    parts = [part[np.argsort(found_in[part], kind="stable")] for part in parts]
    return [part[::-1] if line.offset[part[-1]] < line.offset[part[0]] else part for part in parts]


def trace_spacing(line: Seismic | Gather, spacing: float | None, groups: list[Array]) -> tuple[float, str]:
    """(m between neighbouring traces, where it comes from). Missing where the data have none; Refusal where they are uneven.

    A section's own spacing or coordinates, a gather's steps of offset; `spacing` given wins over both.
    """
    known: float | None = None
    if isinstance(line, Seismic):
        known, source = line.dx, "the line's geometry"
        if known is None and line.x is not None and line.y is not None:
            steps = np.hypot(np.diff(line.x), np.diff(line.y))
            steps = steps[np.isfinite(steps)]
            known = float(np.median(steps)) or None if len(steps) else None
    else:
        steps = np.abs(np.concatenate([np.diff(line.offset[rows]) for rows in groups]))
        known, source = (float(np.median(steps)) or None) if len(steps) else None, "the offsets"
        if known is not None and spacing is None and (odd := float(np.mean(np.abs(steps - known) > 0.1 * known))) > 0.1:
            message = f"offsets step unevenly: {100 * odd:.3g} % of the steps differ by more than a tenth from their median of {known:g} m."
            raise Refusal("E_GEOMETRY", message, "Fill the gaps with interpolate_traces, or give the trace spacing to use.")
    if spacing is not None:
        differs = known is not None and abs(spacing / known - 1) > 0.01
        return float(spacing), f"trace spacing {spacing:g} m as given" + (f"; {source} would say {known:g} m" if differs else "")
    if known is None:
        raise Missing("spacing", f"How far apart are the traces of {line.title or 'the line'} (m)? Neither coordinates nor offsets say it.")
    return known, f"trace spacing {known:.6g} m from {source}"


def _fan_words(slowest: float | None, fastest: float | None) -> str:
    if slowest is None:
        return f"up to {fastest:g} m/s"
    return f"from {slowest:g} m/s" if fastest is None else f"from {slowest:g} to {fastest:g} m/s"


def _top_frequency(data: Array, dt: float) -> float:
    """Hz below which 99 % of the energy lies."""
    every = max(1, len(data) // 200)
    power = np.sum(np.abs(np.fft.rfft(data[::every], axis=1)) ** 2, axis=0)
    total = np.cumsum(power)
    return float(np.fft.rfftfreq(data.shape[1], dt)[int(np.searchsorted(total, 0.99 * total[-1]))])


def _fan(data: Array, dt: float, dx: float, low: float, high: float, sides: tuple[int, ...], taper: float, keep: bool) -> Array:
    """`data` filtered in f-k; the fan holds slopes from `low` to `high` s/m.

    Padded with zeros in time; along the line it goes on beyond both ends by f-x prediction, so that the filter sees no cut there.
    """
    from scipy.fft import fft, ifft, irfft, next_fast_len, rfft

    traces, samples = data.shape
    more = min(traces, MOST)
    size, wide = next_fast_len(samples + min(samples, 250), real=True), next_fast_len(traces + 3 * more)
    k, f = np.fft.fftfreq(wide, dx)[:, None], np.fft.rfftfreq(size, dt)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = -k / f  # exp(2 pi i (f t + k x)): an event t = p x has k = -p f
    slope[np.isnan(slope)] = np.inf
    fan = np.zeros(slope.shape, np.float32)
    for sign in sides:
        fan = np.maximum(fan, _inside(sign * slope, low, high, taper))
    fan[:, 0] = fan[0, 0] = float(low == 0)
    fan[1:, 0] = float(not np.isfinite(high))
    extended = _continued(rfft(data, size, axis=1), more)
    spectrum = fft(extended, wide, axis=0) * (fan if keep else 1 - fan)
    return np.asarray(irfft(ifft(spectrum, axis=0)[more : more + traces], size, axis=1)[:, :samples], np.float32)


def _continued(spectra: Array, more: int) -> Array:
    """(trace + 2 `more`, frequency): each frequency predicted outwards by a least-squares filter of up to 6 traces, faded to zero."""
    traces = len(spectra)
    length = min(6, max(1, (traces - 1) // 3))
    rows = spectra.T.astype(np.complex128)  # (frequency, trace)
    both = [rows, np.conj(rows[:, ::-1])]  # one filter predicts either way
    lagged = np.concatenate([np.stack([x[:, length - j : traces - j] for j in range(1, length + 1)], axis=-1) for x in both], axis=1)
    wanted = np.concatenate([x[:, length:] for x in both], axis=1)[..., None]
    adjoint = np.conj(np.swapaxes(lagged, 1, 2))
    normal = adjoint @ lagged
    power = np.real(np.trace(normal, axis1=1, axis2=2)) / length
    filters = np.linalg.solve(normal + (1e-4 * power + 1e-30)[:, None, None] * np.eye(length), adjoint @ wanted)[..., 0]
    largest = np.abs(rows).max(axis=1)
    fade = np.cos(0.5 * np.pi * np.arange(1, more + 1) / (more + 1)) ** 2
    ends = []
    for x in both:
        grown = np.concatenate([x, np.zeros((len(x), more), complex)], axis=1)
        for j in range(traces, traces + more):
            value = np.einsum("fl,fl->f", filters, grown[:, j - length : j][:, ::-1])
            grown[:, j] = value * np.minimum(1, largest / np.maximum(np.abs(value), 1e-300))
        ends.append(grown[:, traces:] * fade)
    return np.concatenate([np.conj(ends[1][:, ::-1]), rows, ends[0]], axis=1).T


def _inside(slope: Array, low: float, high: float, taper: float) -> Array:
    """1 from `low` to `high`, cosine to 0 outside over `taper` of either (of `high` where `low` is 0)."""
    width = max(taper, 1e-6)
    start, span = (low * (1 - width), low * width) if low else (-high * width, high * width)
    rise = np.clip((slope - start) / span, 0, 1)
    fall = np.ones_like(slope) if not np.isfinite(high) else np.clip((high * (1 + width) - slope) / (high * width), 0, 1)
    return np.asarray(np.sin(0.5 * np.pi * rise) ** 2 * np.sin(0.5 * np.pi * fall) ** 2, np.float32)


def _velocities(velocity: list[float], time: list[float] | None, kind: str, axis: Array) -> tuple[Array, Array]:
    """((sample,) interval, (sample,) RMS velocity) on a time axis from zero."""
    v = np.asarray(velocity, float)
    if len(v) == 1:
        return np.full(len(axis), v[0]), np.full(len(axis), v[0])
    t = np.asarray(time, float)
    mid = axis + 0.5 * (axis[1] - axis[0])
    if kind == "interval":
        interval = np.interp(mid, t, v)
        blocks = np.arange(len(axis)) // LAYER
        interval = (np.bincount(blocks, interval) / np.bincount(blocks))[blocks]
        return interval, _rms_velocity(interval, axis)
    squared = np.diff(t * v**2) / np.diff(t)
    if np.any(squared <= 0):
        worst = int(np.argmin(squared))
        message = f"RMS velocities falling from {v[worst]:g} m/s at {t[worst]:g} s to {v[worst + 1]:g} m/s at {t[worst + 1]:g} s"
        hint = "Correct the picks, or say that they are interval velocities."
        raise Refusal("E_PHYSICS", f"{message} have no interval velocity between them (Dix).", hint)
    layers = np.sqrt(np.concatenate([[v[0] ** 2], squared, [squared[-1]]]))
    return (interval := layers[np.searchsorted(t, mid)]), _rms_velocity(interval, axis)


def _rms_velocity(interval: Array, axis: Array) -> Array:
    """Root of the time average of the squared interval velocity from time zero."""
    travelled = np.concatenate([[0.0], np.cumsum(interval**2)[:-1]]) * (axis[1] - axis[0])
    return np.asarray(np.sqrt(np.divide(travelled, axis, out=np.full(len(axis), interval[0] ** 2), where=axis > 0)))


def _dip_taper(sine: Array, dip: float) -> Array:
    """1 up to the sine of `dip`, 0 from `STEEP` degrees beyond it (at most 90), cosine in the angle between."""
    angle = np.degrees(np.arcsin(np.clip(sine, 0, 1)))
    width = min(STEEP, 90 - dip)
    if width <= 0:
        return np.asarray(sine < 1, np.float32)
    return np.asarray(np.cos(0.5 * np.pi * np.clip((angle - dip) / width, 0, 1)) ** 2 * (sine < 1), np.float32)


def _spectrum(data: Array, dt: float, t0: float, dx: float, pad: int, length: int) -> tuple[Array, Array, Array]:
    """(frequency >= 0 by wavenumber spectrum for a record from time zero, Hz, 1/m)."""
    from scipy.fft import fft, next_fast_len, rfft

    size, wide = next_fast_len(length, real=True), next_fast_len(len(data) + pad)
    f = np.fft.rfftfreq(size, dt)
    spectrum = rfft(data, size, axis=1)
    if t0:
        spectrum = spectrum * np.exp(-2j * np.pi * f * t0)
    return fft(spectrum, wide, axis=0), f, np.fft.fftfreq(wide, dx)


def _stolt(data: Array, dt: float, t0: float, dx: float, interval: Array, axis: Array, dip: float, pad: int, top: float) -> Array:
    """(trace, sample) image: the spectrum at f is moved to sqrt(f^2 - (v k / 2)^2).

    The record is padded fourfold and its middle made time zero, so that a cubic spline is enough between frequencies.
    """
    from scipy.fft import ifft, irfft
    from scipy.ndimage import map_coordinates, spline_filter1d

    half = 0.5 * float(interval[0])
    spectrum, f, k = _spectrum(data, dt, t0, dx, pad, 4 * len(axis))
    middle = 0.5 * axis[-1]
    spectrum *= np.exp(2j * np.pi * f * middle)
    used = int(np.searchsorted(f, top)) + 1
    image = np.zeros((len(k), len(f)), np.complex64)
    moved = f[:used]
    for i, number in enumerate(k):
        shift = half * abs(number)
        source = np.sqrt(moved**2 + shift**2)
        inside = source <= f[-1]
        source = source[inside]
        real, imaginary = (
            map_coordinates(spline_filter1d(part, 3, mode="mirror"), [source / f[1]], order=3, prefilter=False, mode="mirror")
            for part in (spectrum[i].real, spectrum[i].imag)
        )
        cosine = np.divide(moved[inside], source, out=np.ones(len(source)), where=source > 0)
        faded = cosine * _dip_taper(np.sqrt(1 - cosine**2), dip)
        image[i, : len(source)] = (real + 1j * imaginary) * np.exp(-2j * np.pi * source * middle) * faded
    size = 2 * (len(f) - 1) if np.isclose(f[-1], 0.5 / dt) else 2 * len(f) - 1
    return np.asarray(irfft(ifft(image, axis=0)[: len(data)], size, axis=1)[:, : len(axis)])


def _phase_shift(data: Array, dt: float, t0: float, dx: float, interval: Array, axis: Array, dip: float, pad: int, top: float) -> Array:
    """(trace, sample) image: the wavefield continued down one sample at a time and taken at time zero.

    A component that has been shifted by more than the record (its group time) has been imaged and is dropped, so nothing wraps.
    """
    from scipy.fft import ifft

    spectrum, f, k = _spectrum(data, dt, t0, dx, pad, 2 * len(axis))
    used = int(np.searchsorted(f, top)) + 1
    scale = 2.0 / (2 * (len(f) - 1) if np.isclose(f[-1], 0.5 / dt) else 2 * len(f) - 1)
    spectrum, f = spectrum[:, 1:used], f[1:used]
    longest = axis[-1] + 4 * dt
    image = np.zeros((len(axis), len(k)), np.complex64)
    order = np.argsort(np.abs(k), kind="stable")
    for start in range(0, len(k), BLOCK):
        rows = order[start : start + BLOCK]
        field = np.ascontiguousarray(spectrum[rows], dtype=np.complex64)
        shifted = np.zeros(field.shape, np.float32)
        speed, step, delay, fade = 0.0, np.zeros_like(field), shifted, shifted
        for j in range(len(axis)):
            if interval[j] != speed:
                speed = float(interval[j])
                sine = 0.5 * speed * np.abs(k[rows])[:, None] / f
                field *= sine < 1  # evanescent from here down
                fade = _dip_taper(sine, dip)
                cosine = np.sqrt(np.maximum(1 - sine**2, 1e-6))
                delay = (dt / cosine).astype(np.float32)
                phase = (2 * np.pi * dt * f * cosine).astype(np.float32)
                step.real, step.imag = np.cos(phase), np.sin(phase)
            image[j, rows] = np.einsum("kf,kf->k", field, fade)
            field *= step
            shifted += delay
            if j % 16 == 15:
                field *= shifted < longest
    return np.asarray(scale * ifft(image, axis=1)[:, : len(data)].real.T)


def _kirchhoff(data: Array, dt: float, t0: float, dx: float, rms: Array, axis: Array, dip: float) -> Array:
    """(trace, sample) image: sum along t = sqrt(tau^2 + (2 x / v)^2) with weight cos(dip) sqrt(2 / (pi t)) / v after a half-derivative.

    The weight makes the sum over a flat reflection its amplitude (stationary phase). Each sample of the operator reads the copy of the
    data whose top frequency its slope does not alias: 1 / (2 dx |dt/dx|).
    """
    from scipy.fft import irfft, next_fast_len, rfft

    traces, length = len(data), len(axis)
    size = next_fast_len(2 * length, real=True)
    f = np.fft.rfftfreq(size, dt)
    spectrum = rfft(data, size, axis=1) * np.sqrt(-2j * np.pi * f)
    if t0:
        spectrum *= np.exp(-2j * np.pi * f * t0)
    tops = 0.5 / dt * 0.5 ** (0.5 * np.arange(COPIES))
    copies = np.empty((traces, COPIES, length + 1), np.float32)
    for j, top in enumerate(tops):
        response = np.cos(0.5 * np.pi * np.clip((f / top - 0.85) / 0.3, 0, 1)) ** 2 if j else np.ones(len(f))
        copies[:, j, :length] = irfft(spectrum * response, size, axis=1)[:, :length]
    copies[..., length] = 0
    flat = copies.reshape(traces, -1)
    image = np.zeros((traces, length), np.float32)
    for lag in range(traces):
        x = lag * dx
        t = np.sqrt(axis**2 + (2 * x / rms) ** 2)
        t = np.maximum(t, dt)
        sine = np.where(axis < t, np.sqrt(np.maximum(1 - (axis / t) ** 2, 0)), 0)
        weight = dx / rms * np.sqrt(2 / (np.pi * t)) * np.sqrt(1 - sine**2) * _dip_taper(sine, dip)
        reached = np.flatnonzero((t < axis[-1]) & (weight > 0))
        if not len(reached):
            break
        slope = 4 * x / (rms[reached] ** 2 * t[reached])
        copy = np.clip(np.ceil(2 * np.log2(np.maximum(slope * dx / dt, 1))), 0, COPIES - 1).astype(int)  # top <= 1 / (2 dx slope)
        at = t[reached] / dt
        index = at.astype(int)
        part = (at - index).astype(np.float32)
        column = copy * (length + 1) + index
        w = weight[reached].astype(np.float32)
        values = flat[:, column] * ((1 - part) * w) + flat[:, column + 1] * (part * w)
        image[: traces - lag, reached] += values[lag:]
        if lag:
            image[lag:, reached] += values[: traces - lag]
    return image
