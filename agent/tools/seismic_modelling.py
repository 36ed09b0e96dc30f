"""The convolutional model: a well's impedance in two-way time, a wavelet, and the seismogram they make.

Inversion uses the same impedance and the same wavelet (`seismic_inversion`). Polarity is SEG normal throughout: an increase of
impedance is a positive peak.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from moho.agent.registry import tool
from moho.errors import Missing, Refusal
from moho.survey import UNKNOWN, Array, Seismic, Well
from moho.units import Hertz, Quantity, Seconds

MAST = 100.0  # m: no rig at sea has its kelly bushing higher above the water
USUAL_GAP = 30.0  # m, of a rig at sea
# kg/m2/s for one of the unit; loggers spell it in their own ways
IMPEDANCE_UNITS = {
    "kg/m2/s": 1.0, "kg/m2s": 1.0, "kg/(m2s)": 1.0, "kg/(m2.s)": 1.0, "kg/m^2/s": 1.0, "m/s*kg/m3": 1.0, "(m/s)*(kg/m3)": 1.0, "kg/m3*m/s": 1.0,
    "(kg/m3)*(m/s)": 1.0, "kg/m3.m/s": 1.0, "pa.s/m": 1.0, "pa*s/m": 1.0, "rayl": 1.0, "mrayl": 1e6,
    "m/s*g/cc": 1e3, "m/s*g/cm3": 1e3, "g/cc*m/s": 1e3, "g/cm3*m/s": 1e3, "(m/s)*(g/cc)": 1e3, "(m/s)*(g/cm3)": 1e3, "g/cc.m/s": 1e3,
    "km/s*g/cc": 1e6, "km/s*g/cm3": 1e6, "g/cc*km/s": 1e6, "g/cm3*km/s": 1e6, "(km/s)*(g/cc)": 1e6, "ft/s*g/cc": 304.8, "ft/s*g/cm3": 304.8,
    "g/cc*ft/s": 304.8, "g/cm3*ft/s": 304.8, "(ft/s)*(g/cc)": 304.8,
}  # fmt: skip


@tool(
    discipline="seismic",
    stage="modelling",
    reference="Ricker 1953, The form and laws of propagation of seismic wavelets, Geophysics 18, 10-40",
    truth="one interface of 0.1339 gives one reflection of that size (1e-4) at its two-way time (1 ms)",
    say=(
        "Make a synthetic seismogram from {well}",
        "synthetic for {well}, {frequency} Ricker",
        "Model the seismic trace at {well} with a {frequency} wavelet sampled at {dt}",
        "What would {well} look like on seismic at {frequency}?",
        "compute the synthetic trace of {well} pls",
        "convolve the reflectivity of {well} with a Ricker of {frequency}",
        "zero-offset synthetic {well} dt {dt}",
        "please to calculate synthetic seismogram from the sonic and density logs of {well}",
        "I want to tie {well}: give me its synthetic first",
        "forward model {well} at {frequency}, {dt} sampling",
    ),
)
def synthetic_seismogram(
    well: Well, frequency: Annotated[Hertz, "peak frequency of the Ricker wavelet"] = 25, dt: Annotated[Seconds, "sample interval"] = 0.002
) -> Seismic:
    """One trace: the normal-incidence reflection coefficients of the logs, each at its two-way time, with a Ricker wavelet.

    r = (Z2 - Z1) / (Z2 + Z1) between log samples, unit wavelet, primaries only, no transmission loss or absorption. Time comes
    from the checkshots, refined by the sonic, or from the integrated sonic alone.
    """
    if not frequency < 0.5 / dt:
        hint = f"Sample at {0.2 / frequency:.4g} s or finer."
        raise Refusal("E_PHYSICS", f"a {frequency:g} Hz wavelet is above the Nyquist frequency of {0.5 / dt:g} Hz at {dt:g} s sampling.", hint)
    depth, time, impedance, notes = impedance_in_time(well)
    coefficient = np.diff(impedance) / (impedance[1:] + impedance[:-1])
    at = 0.5 * (time[1:] + time[:-1])
    pad = 1.5 / frequency
    first = int(np.floor(max(at[0] - pad, min(0.0, at[0])) / dt))
    samples = int(np.ceil((at[-1] + pad) / dt)) - first + 1
    if samples > 200_000:
        raise Refusal("E_DATA", f"the logs span {at[-1] - at[0]:g} s of two-way time: check the units of the sonic and the checkshots.")
    trace = _convolved(coefficient, (at - first * dt) / dt, samples, frequency * dt)
    strongest = int(np.abs(coefficient).argmax())
    facts = {
        "frequency": Quantity(float(frequency), "Hz", "peak frequency of the wavelet"),
        "time_range": Quantity([round(float(time[0]), 6), round(float(time[-1]), 6)], "s", "two-way time of the logged interval"),
        "depth_range": Quantity([float(depth[0]), float(depth[-1])], "m", "depth of the logged interval"),
        "largest_coefficient": Quantity(round(float(coefficient[strongest]), 6), "", "strongest reflection coefficient"),
        "strongest_time": Quantity(round(float(at[strongest]), 6), "s", "time of the strongest reflection coefficient"),
        "impedance_range": Quantity([float(impedance.min()), float(impedance.max())], "kg/m2/s", "acoustic impedance range"),
        "peak": Quantity(float(np.abs(trace).max()), "", "largest amplitude of the synthetic"),
    }
    if 2.5 * frequency > 0.5 / dt:
        notes = (*notes, f"the Ricker spectrum reaches past the Nyquist frequency of {0.5 / dt:g} Hz: sample finer than {0.2 / frequency:.4g} s")
    placed = well.x is not None and well.y is not None
    return Seismic(
        title=f"synthetic of {well.title or well.well_name}".strip(),
        facts=facts,
        notes=("SEG normal polarity: an increase of impedance is a positive peak; zero-phase Ricker; primaries only", *notes),
        data=trace[None].astype(np.float32),
        dt=dt,
        t0=round(first * dt, 9),
        unit="",
        polarity="SEG normal",
        x=np.array([well.x], float) if placed else None,
        y=np.array([well.y], float) if placed else None,
        crs=well.crs,
    )


def ricker(time: Array, frequency: float) -> Array:
    """Ricker wavelet of peak frequency `frequency`, 1 at time 0.

    >>> float(ricker(np.array([0.0]), 25.0)[0])
    1.0
    """
    a = (np.pi * frequency * np.asarray(time)) ** 2
    return np.asarray((1 - 2 * a) * np.exp(-a))


def impedance_in_time(well: Well) -> tuple[Array, Array, Array, tuple[str, ...]]:
    """(depth m, two-way time s, impedance kg/m2/s, what to note), over the logged interval, gaps filled, time increasing."""
    values, note = _impedance(well)
    good = np.isfinite(values) & (values > 0)
    if good.sum() < 2:
        raise Refusal("E_DATA", f"{_name(well)}: the impedance log has {int(good.sum())} usable samples.")
    notes = [note]
    first, last = np.flatnonzero(good)[[0, -1]]
    inside = slice(first, last + 1)
    depth = well.depth[inside]
    gap = 1 - good[inside].mean()
    if gap > 0:
        notes.append(f"{100 * gap:.1f} % of the logged interval had no impedance and was interpolated")
    impedance = np.interp(depth, well.depth[good], values[good])
    time, how = two_way_time(well)
    time = time[inside]
    notes.append(how)
    if not (np.all(np.isfinite(time)) and np.all(np.diff(time) > 0)):
        raise Refusal("E_DATA", f"{_name(well)}: two-way time does not increase down the well; check the checkshots and the sonic.")
    return depth, time, impedance, tuple(notes)


def two_way_time(well: Well) -> tuple[Array, str]:
    """((sample,) s two-way time of every depth of the well, where it comes from).

    With checkshots the integrated sonic follows them: its drift against the shots is taken out, linear between them; the ends of
    the logs lie on the straight line between the shots about them. Without, time is zero at the seismic datum as far as it is known.
    """
    slowness = _slowness(well)
    down = vertical(well)
    integrated = None if slowness is None else _integrated(down, slowness)
    if well.checkshot_depth is not None and well.checkshot_time is not None and len(well.checkshot_depth) > 1:
        order = np.argsort(well.checkshot_depth, kind="stable")
        z, t = well.checkshot_depth[order].astype(float), well.checkshot_time[order].astype(float)
        keep = np.concatenate([[True], (np.diff(z) > 0) & (np.diff(t) > 0)]) & np.isfinite(z) & np.isfinite(t)
        z, t = z[keep], t[keep]
        if len(z) > 1:
            return _from_checkshots(well.depth, z, t, integrated)
    if integrated is None:
        held = ", ".join(well.curves)
        raise Missing("well", f"{_name(well)} has neither checkshots nor a sonic log to turn depth into time; it holds {held}.")
    assert slowness is not None
    top = float(np.nanmean(slowness[np.isfinite(slowness)][:200]))
    zero, where = _datum(well)
    start = 2 * (down[0] - (zero or 0.0)) * top
    words = f"no checkshots: time is the integrated sonic, with {1 / top:.0f} m/s from {where} to the first sample at {start:.4g} s"
    if zero is None:
        words += f"; every 10 m between that zero and the datum of the seismic make the times {20000 * top:.3g} ms late"
        words += f" ({2000 * USUAL_GAP * top:.2g} ms for the {USUAL_GAP:g} m of a usual rig at sea)"
    return start + integrated, f"{words}: expect a shift against seismic"


def _datum(well: Well) -> tuple[float | None, str]:
    """(m of the depths at which time is zero, None where nothing says; where that is, in words)."""
    if well.reference == "TVDSS":
        return 0.0, "depth 0, the datum of the depths,"
    gap, source = well.air_gap, "kelly bushing of the log header"
    if gap is None and well.track is not None:
        gap, source = 0.0 - _zero_of(well.track), "track"
    if gap is None or not 0 < gap <= MAST:
        return None, "depth 0, whose height above sea level is not known,"
    return gap, f"mean sea level (on land the ground), {gap:.4g} m below the zero of depth ({source}),"


def vertical(well: Well, depth: Array | None = None) -> Array:
    """`depth`, or that of the logs, straight down from its zero by the track, m; as it is where no track says otherwise."""
    depth = well.depth if depth is None else depth
    if well.track is None or well.reference != "MD":
        return depth
    md, down = well.track[:, 3], well.track[:, 2]
    zero = _zero_of(well.track)
    beyond = np.minimum(depth - md[0], 0.0) + np.maximum(depth - md[-1], 0.0)  # as if vertical
    return np.asarray(np.interp(depth, md, down) - zero + beyond)


def _zero_of(track: Array) -> float:
    """Depth below the track's datum (m) where measured depth is zero; vertical above the first station."""
    md, down = track[:, 3], track[:, 2]
    return float(down[0] - md[0]) if md[0] > 0 else float(np.interp(0.0, md, down))


def sonic_time(well: Well) -> tuple[Array, Array] | None:
    """(depth m, two-way time s from the first of them) between the ends of the sonic log; None without one."""
    slowness = _slowness(well)
    if slowness is None:
        return None
    first, last = np.flatnonzero(np.isfinite(slowness))[[0, -1]]
    time = _integrated(vertical(well), slowness)[first : last + 1]
    return well.depth[first : last + 1], time - time[0]


def _from_checkshots(depth: Array, z: Array, t: Array, integrated: Array | None) -> tuple[Array, str]:
    straight = _extended(depth, z, t)
    words = f"time from {len(z)} checkshots"
    if integrated is None:
        return straight, words + ", linear between them"
    within = (z >= depth[0]) & (z <= depth[-1])
    ends = np.array([end for end in (depth[0], depth[-1]) if z[0] < end < z[-1] and not np.any(z == end)])
    knots = np.concatenate([z[within], ends])
    if len(knots) < 2:
        return straight + 0 * integrated, words + ", linear between them"
    order = np.argsort(knots, kind="stable")
    knots, times = knots[order], np.concatenate([t[within], np.interp(ends, z, t)])[order]
    sonic = np.interp(knots, depth, integrated)
    corrected = integrated + np.interp(depth, knots, times - sonic)
    if np.any(np.diff(corrected) <= 0):
        return straight, words + ", linear between them (the sonic disagrees with them)"
    drift = np.ptp(times - sonic) * 1000
    return corrected, f"{words}; the sonic, calibrated to them, fills in between (its drift was {drift:.1f} ms)"


def _extended(depth: Array, z: Array, t: Array) -> Array:
    """Checkshot time at `depth`, linear between the shots and along the last interval beyond them."""
    time = np.interp(depth, z, t)
    above, below = depth < z[0], depth > z[-1]
    time[above] = t[0] + (depth[above] - z[0]) * (t[1] - t[0]) / (z[1] - z[0])
    time[below] = t[-1] + (depth[below] - z[-1]) * (t[-1] - t[-2]) / (z[-1] - z[-2])
    return time


def _integrated(depth: Array, slowness: Array) -> Array:
    """(sample,) s two-way from the first depth: trapezoid rule over the sonic, gaps interpolated."""
    good = np.isfinite(slowness)
    filled = np.interp(depth, depth[good], slowness[good])
    return np.concatenate([[0.0], np.cumsum(np.diff(depth) * (filled[1:] + filled[:-1]))])


def _slowness(well: Well) -> Array | None:
    """(sample,) s/m from DT or VP; None when the well has neither."""
    for kind, unit in (("DT", "s/m"), ("VP", "m/s")):
        try:
            well.find(kind)
        except Missing:
            continue
        values = np.asarray(well.curve(kind, unit), dtype=float)
        values = values if kind == "DT" else 1 / np.where(values > 0, values, np.nan)
        values = np.where((values > 1 / 12000) & (values < 1 / 200), values, np.nan)
        if not np.isfinite(values).any():
            raise Refusal("E_UNITS", f"{_name(well)}: no {kind} value lies between 200 and 12000 m/s; check its unit.")
        return values
    return None


def _impedance(well: Well) -> tuple[Array, str]:
    """((sample,) kg/m2/s with NaN, where it comes from)."""
    try:
        mnemonic = well.find("AI")
    except Missing:
        mnemonic = ""
    if mnemonic:
        curve = well.curves[mnemonic]
        unit = curve.unit.strip().lower().replace(" ", "").replace("³", "3").replace("²", "2")
        if unit in IMPEDANCE_UNITS:
            return curve.values * IMPEDANCE_UNITS[unit], f"impedance from curve {mnemonic}"
    try:
        density = np.asarray(well.curve("RHOB", "kg/m3"), dtype=float)
    except Missing as error:
        if mnemonic:
            raise Missing("unit", f"{_name(well)}: what is the unit of curve {mnemonic} ({well.curves[mnemonic].unit})?", ("kg/m2/s",)) from error
        raise
    slowness = _slowness(well)
    if slowness is None:
        raise Missing("curve", f"{_name(well)} has no DT or VP curve for an impedance; it holds {', '.join(well.curves)}.", tuple(well.curves))
    density = np.where((density > 500) & (density < 12000), density, np.nan)
    return density / slowness, "impedance from density and sonic"


def _convolved(coefficient: Array, place: Array, samples: int, frequency: float) -> Array:
    """Spikes at fractional samples `place` convolved with a Ricker (cycles a sample), made at an eighth of the sampling."""
    from scipy.signal import fftconvolve

    fine = 8
    position = place * fine
    low = np.floor(position + 1e-7).astype(int)
    share = np.clip(position - low, 0, 1)
    spikes = np.zeros(samples * fine + 1)
    np.add.at(spikes, low, coefficient * (1 - share))
    np.add.at(spikes, low + 1, coefficient * share)
    half = int(np.ceil(2 * fine / frequency))
    wavelet = ricker(np.arange(-half, half + 1) / fine, frequency)
    return np.asarray(fftconvolve(spikes, wavelet)[half : half + samples * fine : fine])


def _name(well: Well) -> str:
    return well.title or (well.well_name if well.well_name not in ("", UNKNOWN) else "the well")
