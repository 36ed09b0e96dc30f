"""Magnitudes of an earthquake from one station: local (Wood-Anderson) and moment (Brune spectrum)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from moho.agent.registry import tool
from moho.agent.tools.seismology import segments
from moho.errors import Refusal
from moho.survey import Array, Picks, Report, Waveforms
from moho.units import Density, Quantity, Unit, Velocity

if TYPE_CHECKING:
    import obspy

GAIN = 2080.0  # static magnification of the Wood-Anderson seismograph (IASPEI 2013); the older value is 2800
PERIOD, DAMPING = 0.8, 0.7  # s and fraction of critical, of the same
RADIATION_S = 0.63  # rms radiation of S waves over the focal sphere
FREE_SURFACE = 2.0
BRUNE = 2.34  # source radius is BRUNE * Vs / (2 pi fc)
SNR = 2.0  # least ratio of the spectra of S and of the noise before P
EARLY = 0.2  # s before a pick at which its window starts
DERIVATIVES = {"displacement": 0, "velocity": 1, "acceleration": 2}

Hypocentral = Annotated[float, Unit("km", above=0, high=2000), "hypocentral distance"]


@tool(
    discipline="seismology",
    stage="inversion",
    say=(
        "Local magnitude of {waveforms} at {distance}",
        "How big was the earthquake? it is {distance} away",
        "ML from {waveforms}, hypocentral distance {distance}",
        "compute Mw from the Brune spectrum of {waveforms}, {distance}, density {density}",
        "{scale} magnitude at {distance} pls",
        "Richter magnitude from the Wood-Anderson amplitude, distance {distance}",
        "seismic moment and corner frequency of {waveforms} with Vs {velocity}",
        "estimate the moment magnitude, station {distance} from the source",
        "what magnitude has this quake, {distance} far",
        "stress drop and Mw from the displacement spectrum, {velocity}, {density}",
    ),
    reference="IASPEI 2013, Summary of magnitude working group recommendations; Hutton & Boore 1987, BSSA 77; Brune 1970, JGR 75",
    truth="a Brune pulse gives its moment and corner within 1 % and Mw within 0.01; a sine its Wood-Anderson amplitude within 1 % (gain 2080)",
)
def magnitude(
    waveforms: Waveforms,
    distance: Hypocentral,
    scale: Literal["local", "moment"] = "local",
    velocity: Annotated[Velocity, "S velocity at the source"] = 3500.0,
    density: Annotated[Density, "density at the source"] = 2700.0,
    picks: Picks | None = None,
) -> Report:
    """The magnitude of an earthquake recorded at one station, from ground motion in SI units.

    Local: ML = log10 A + 1.11 log10 R + 0.00189 R - 2.09, A the largest amplitude of a horizontal in nm behind a
    Wood-Anderson response of unit gain, R km, mean over the horizontals. Moment: flat level and corner of a Brune spectrum
    fitted to displacement, M0 = 4 pi density velocity^3 R level / (2 * 0.63), Mw = 2/3 (log10 M0 - 9.1), M0 in N m.
    """
    if waveforms.quantity not in DERIVATIVES:
        raise Refusal(
            "E_UNITS",
            f"a magnitude needs ground motion in SI units, the record holds {waveforms.quantity} in {waveforms.unit}.",
            "Remove the instrument response first (remove_response).",
        )
    Unit("km", above=0, high=2000).check("distance", distance)
    traces, notes = segments(waveforms)
    names = sorted({f"{trace.stats.network}.{trace.stats.station}".strip(".") for trace in traces})
    if len(names) > 1:
        raise Refusal("E_GEOMETRY", f"{distance:g} km cannot be the distance of {len(names)} stations ({', '.join(names[:8])}).", "Take one station.")
    if scale == "local":
        facts, arrays = _local(traces, waveforms, distance, notes)
    else:
        signal, noise = _windowed(traces, names[0], picks, notes)
        facts, arrays = _moment(signal, noise, waveforms, (distance, velocity, density), notes)
    return Report(title=f"{scale.capitalize()} magnitude at {names[0]}", facts=facts, notes=tuple(notes), arrays=arrays, drawing="magnitude")


def _local(traces: list[obspy.Trace], waveforms: Waveforms, distance: float, notes: list[str]) -> tuple[dict[str, Quantity], dict[str, Array]]:
    horizontal = [trace for trace in traces if trace.id[-1] not in "Z3"] or traces
    if horizontal is traces:
        notes.append("no horizontal channel: the vertical was used, which as a rule gives a smaller ML")
    if waveforms.band and waveforms.band[0] > 1 / PERIOD:
        notes.append(f"the record starts at {waveforms.band[0]:g} Hz, above the 1.25 Hz of a Wood-Anderson: ML comes out too small")
    if not 10 <= distance <= 700:
        notes.append(f"the distance correction was made for 10 to 700 km, not for {distance:g} km")
    peaks: dict[str, float] = {}
    for trace in horizontal:
        ground = _wood_anderson(trace.data - trace.data.mean(), trace.stats.delta, DERIVATIVES[waveforms.quantity])
        peaks[trace.id] = max(peaks.get(trace.id, 0.0), float(np.abs(ground).max()))
    each = {name: np.log10(peak * 1e9) + 1.11 * np.log10(distance) + 0.00189 * distance - 2.09 for name, peak in peaks.items() if peak > 0}
    if not each:
        raise Refusal("E_DATA", "the horizontal records are dead: their amplitude is zero.")
    notes.append(f"Wood-Anderson with static magnification {GAIN:g} (IASPEI; the older 2800 gives ML larger by 0.13), zero-to-peak amplitudes")
    notes.append(f"distance correction of Hutton & Boore (southern California) at {distance:g} km")
    facts = {
        "ml": Quantity(round(float(np.mean(list(each.values()))), 3), "", "local magnitude ML"),
        "amplitude": Quantity(float(f"{max(peaks.values()) * GAIN * 1000:.6g}"), "mm", "largest Wood-Anderson amplitude"),
        "channels": Quantity(sorted(each), "", "channels used"),
        "distance": Quantity(float(distance), "km", "hypocentral distance"),
    }
    if len(each) > 1:
        facts["spread"] = Quantity(round(float(np.ptp(list(each.values()))), 3), "", "difference of ML between the channels")
    return facts, {"channel": np.array(sorted(each)), "ml": np.array([each[name] for name in sorted(each)])}


def _moment(
    traces: list[obspy.Trace], noise: list[obspy.Trace], waveforms: Waveforms, source: tuple[float, float, float], notes: list[str]
) -> tuple[dict[str, Quantity], dict[str, Array]]:
    distance, velocity, density = source
    step, length = traces[0].stats.delta, min(trace.stats.npts for trace in [*traces, *noise])
    if any(abs(trace.stats.delta - step) > 1e-9 for trace in traces):
        raise Refusal("E_DATA", "the channels have different sampling rates.", "Take the channels of one instrument.")
    f = np.fft.rfftfreq(2 * length, step)
    power, quiet = (sum((np.abs(np.fft.rfft(t.data[:length], 2 * length) * step) ** 2 for t in part), np.zeros(len(f))) for part in (traces, noise))
    low, high = waveforms.band or (0.0, np.inf)
    low, high = max(low, 1 / (length * step)), min(high, 0.8 * 0.5 / step)
    kept = (f >= low) & (f <= high) & (power > SNR**2 * quiet)
    power = power - np.where(kept, quiet, 0.0)
    if noise and kept.any():
        low, high = float(f[kept][0]), float(f[kept][-1])
        notes.append(f"fitted from {low:.3g} to {high:.3g} Hz where the spectrum exceeds {SNR:g} times that before P; noise power subtracted")
    if kept.sum() < 8:
        raise Refusal("E_DATA", f"{int(kept.sum())} frequencies between {low:g} and {high:g} Hz are too few for a spectrum.", "Take a longer record.")
    spectrum = np.sqrt(power[kept]) / (2 * np.pi * f[kept]) ** DERIVATIVES[waveforms.quantity]  # m s
    if not np.all(spectrum > 0):
        raise Refusal("E_DATA", "the spectrum is zero within the band: the record is dead or over-filtered.")
    frequency, level = _bins(f[kept], spectrum)
    corner, plateau, misfit = _brune(frequency, level)
    moment = 4 * np.pi * density * velocity**3 * distance * 1000 * plateau / (FREE_SURFACE * RADIATION_S)
    radius = BRUNE * velocity / (2 * np.pi * corner)
    if not 1.5 * low < corner < high / 1.5:
        notes.append(f"the corner of {corner:.3g} Hz lies at the edge of {low:.3g} to {high:.3g} Hz: level or corner is not held by the data")
    stress = 7 / 16 * moment / radius**3 / 1e6  # MPa
    if not 0.01 < stress < 300:
        notes.append(f"a stress drop of {stress:.2g} MPa is not believable: trust neither corner nor Mw" + ("." if noise else ", give S picks."))
    if misfit > 0.2:
        notes.append(f"the spectrum departs from Brune's by a factor of {10**misfit:.1f} on average: path, site or noise show in it")
    notes.append(f"S wave of {velocity:g} m/s in {density:g} kg/m3, radiation {RADIATION_S:g}, free surface {FREE_SURFACE:g}, channels as a vector")
    notes.append("attenuation was not taken out: the corner is a lower limit where it matters" + ("" if noise else "; nor was noise"))
    facts = {
        "mw": Quantity(round(float(2 / 3 * (np.log10(moment) - 9.1)), 3), "", "moment magnitude Mw"),
        "moment": Quantity(float(f"{moment:.6g}"), "N m", "seismic moment"),
        "corner_frequency": Quantity(float(f"{corner:.6g}"), "Hz", "corner frequency"),
        "level": Quantity(float(f"{plateau:.6g}"), "m s", "low-frequency level of the displacement spectrum"),
        "radius": Quantity(float(f"{radius:.6g}"), "m", "source radius (Brune)"),
        "stress_drop": Quantity(float(f"{stress:.6g}"), "MPa", "stress drop (Brune)"),
        "misfit": Quantity(round(misfit, 4), "", "rms misfit of the spectrum, log10"),
        "distance": Quantity(float(distance), "km", "hypocentral distance"),
    }
    return facts, {"frequency": frequency, "observed": level, "fitted": plateau / (1 + (frequency / corner) ** 2)}


def _windowed(traces: list[obspy.Trace], station: str, picks: Picks | None, notes: list[str]) -> tuple[list[obspy.Trace], list[obspy.Trace]]:
    """(the S wave of every trace, as long a piece before P for the noise), by the station's picks; (all of it, nothing) without."""
    from obspy import UTCDateTime

    own = np.zeros(0, int) if picks is None else np.flatnonzero((picks.station == station) & (picks.phase == "S"))
    if picks is None or not len(own):
        notes.append("no S pick: the whole record was used, noise and all")
        return traces, []
    origin, s = UTCDateTime(picks.origin), float(picks.time[own[0]])
    before = [float(t) for t in picks.time[(picks.station == station) & (picks.phase == "P")] if t < s]
    seconds = max(2 * (s - before[-1]) if before else 10.0, 4.0)
    signal = [trace.slice(origin + s - EARLY, origin + s + seconds) for trace in traces]
    signal = [trace for trace in signal if trace.stats.npts >= 32]
    if not signal:
        raise Refusal("E_DATA", f"the S pick at {station} ({origin + s}) lies outside the record.")
    end = origin + (before[-1] if before else s) - EARLY
    noise = [trace.slice(end - seconds - EARLY, end) for trace in traces] if before else []
    if any(trace.stats.npts < 0.9 * signal[0].stats.npts for trace in noise) or len(noise) != len(signal):
        noise = []
        notes.append("no record as long as the S window before P: noise was not looked at")
    for trace in [*signal, *noise]:
        trace.data = trace.data - trace.data.mean()
    notes.append(f"spectrum of {seconds:g} s from the S pick on")
    return signal, noise


def _wood_anderson(data: Array, step: float, derivatives: int) -> Array:
    """Ground displacement (m) behind a Wood-Anderson response of unit gain."""
    omega = 2 * np.pi * np.fft.rfftfreq(2 * len(data), step)
    own = 2 * np.pi / PERIOD
    response = omega ** (2 - derivatives) * (-1j) ** derivatives / (omega**2 - own**2 - 2j * DAMPING * own * omega)
    if derivatives == 2:
        response[0] = 0  # a constant acceleration is an offset of the record, not of the ground
    return np.fft.irfft(np.fft.rfft(data, 2 * len(data)) * response)[: len(data)]


def _bins(f: Array, spectrum: Array) -> tuple[Array, Array]:
    """(frequency, level), geometric means over bins of a thirtieth of a decade, so that every octave weighs the same."""
    number = np.floor(np.log10(f / f[0]) * 30).astype(int)
    used = np.unique(number)
    return (
        np.array([np.exp(np.log(f[number == i]).mean()) for i in used]),
        np.array([np.exp(np.log(spectrum[number == i]).mean()) for i in used]),
    )


def _brune(f: Array, level: Array) -> tuple[float, float, float]:
    """(corner Hz, plateau, rms log10 misfit) of the Brune spectrum plateau / (1 + (f/corner)^2) nearest in logarithm."""
    from scipy.optimize import minimize_scalar

    def shape(corner: float) -> Array:
        return np.asarray(np.log10(level) + np.log10(1 + (f / 10**corner) ** 2))

    grid = np.linspace(np.log10(f[0] / 3), np.log10(f[-1] * 3), 200)
    start = int(np.argmin([shape(c).var() for c in grid]))
    around = (grid[max(start - 1, 0)], grid[min(start + 1, len(grid) - 1)])
    best = float(minimize_scalar(lambda c: float(shape(c).var()), bounds=around, method="bounded", options={"xatol": 1e-8}).x)
    return 10**best, float(10 ** shape(best).mean()), float(shape(best).std())
