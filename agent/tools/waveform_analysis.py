"""Seismograms turned to radial and transverse, and their noise spectra over time.

Filters, response and inspection are in `seismology`, picks and hypocentres in `earthquakes`, arrays in `beams`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from moho.agent.registry import Cost, tool
from moho.agent.tools.seismology import MOTION, filter_waveforms, segments
from moho.errors import Missing, Refusal
from moho.survey import Array, Report, Response, Waveforms
from moho.units import Degrees, Hertz, Quantity, Seconds, Unit

if TYPE_CHECKING:
    import obspy

HOUR = 3600.0  # s, window of McNamara & Buland
CYCLES = 5  # of the longest period in one sub-window of a noise spectrum
TOP = 0.8  # of Nyquist: above it anti-alias filters act
LEVELS = (0.2, 1.0, 10.0)  # Hz at which a noise level is quoted


@tool(
    discipline="seismology",
    stage="processing",
    say=(
        "Rotate {waveforms} to radial and transverse, back azimuth {back_azimuth}",
        "ZRT rotation of {waveforms} with baz {back_azimuth}",
        "filter {waveforms} {low} to {high} and rotate to {back_azimuth}",
        "give me the transverse component, event lies at {back_azimuth} from the station",
        "rotate horizontals NE -> RT baz {back_azimuth} pls",
        "I want radial and tangential seismograms, between {low} and {high}",
        "turn the components of {waveforms} towards the source at {back_azimuth}",
        "separate SH from SV in {waveforms}: source azimuth from station {back_azimuth}",
        "bandpass {low}-{high} then rotation by back-azimuth {back_azimuth}",
        "make R and T traces from {waveforms}",
    ),
    reference="Havskov & Ottemöller 2010, Routine Data Processing in Earthquake Seismology, Springer; Krischer et al. 2015 (ObsPy)",
    truth="a pure radial wave leaves under 1e-20 of its energy on the transverse; the rotation is ObsPy's to 1e-12",
)
def filter_rotate(
    waveforms: Waveforms,
    low: Annotated[Hertz, "low corner"] | None = None,
    high: Annotated[Hertz, "high corner"] | None = None,
    back_azimuth: Annotated[Degrees, "back azimuth"] | None = None,
    response: Response | None = None,
) -> Waveforms:
    """Seismograms with the horizontals turned to radial (R) and transverse (T), filtered first where corners are given.

    R points away from the source, T to its right seen from above, 90 degrees clockwise of R; the back azimuth is the direction from
    station to source, clockwise from north. The filter is that of filter_waveforms, without phase shift. Horizontals
    called 1 and 2 are turned to north and east by the azimuths in `response`. Without a back azimuth the record is only filtered.
    """
    record = waveforms if low is None and high is None else filter_waveforms(waveforms, low, high)
    if back_azimuth is None:
        if record is waveforms:
            raise Missing("back_azimuth", "What back azimuth, station to source, clockwise from north (in deg)?")
        return record.made(facts=record.facts, notes=(*record.notes, "filtered only: no back azimuth was given to rotate to"))
    Unit("deg", low=-360, high=360).check("back_azimuth", back_azimuth)
    traces, notes = segments(record)
    notes = list(dict.fromkeys([*(record.notes if record is not waveforms else ()), *notes]))
    instruments: dict[str, list[obspy.Trace]] = {}
    for trace in traces:
        instruments.setdefault(trace.id[:-1], []).append(trace)
    stream = waveforms.stream.__class__()
    energy = {"R": 0.0, "T": 0.0}
    peaks = {"R": 0.0, "T": 0.0}
    left = []
    for name, parts in sorted(instruments.items()):
        ready = _north_east(name, parts, response, notes)
        if not ready:
            left.append(name)
            continue
        for vertical, north, east in ready:
            angle = math.radians(back_azimuth)
            radial, transverse = north.copy(), north.copy()
            radial.data = -math.cos(angle) * north.data - math.sin(angle) * east.data
            transverse.data = math.sin(angle) * north.data - math.cos(angle) * east.data
            for trace, letter in ((radial, "R"), (transverse, "T")):
                trace.stats.channel = trace.stats.channel[:-1] + letter
                trace.stats.back_azimuth = float(back_azimuth)
                energy[letter] += float(np.sum((trace.data - trace.data.mean()) ** 2))
                peaks[letter] = max(peaks[letter], float(np.abs(trace.data).max()))
            stream.extend([*([vertical] if vertical is not None else []), radial, transverse])
    if not len(stream):
        held = ", ".join(sorted({trace.id for trace in traces})[:12])
        raise Refusal(
            "E_GEOMETRY",
            f"no station has two horizontals known to point north and east; the record holds {held}.",
            "For components called 1 and 2 give the StationXML with their azimuths as response.",
        )
    if left:
        notes.append(f"left out, no pair of horizontals: {', '.join(left)}")
    stations = {(trace.stats.network, trace.stats.station) for trace in stream}
    if len(stations) > 1:
        notes.append(f"one back azimuth for {len(stations)} stations holds only for a source far away against their distances")
    notes.append(f"R = -N cos - E sin, away from the source; T = N sin - E cos; back azimuth {back_azimuth % 360:g} deg, station to source")
    total = energy["R"] + energy["T"]
    share = 100 * energy["T"] / total if total > 0 else 0.0
    facts = {
        "back_azimuth": Quantity(float(back_azimuth % 360), "deg", "back azimuth"),
        "transverse_share": Quantity(float(f"{share:.6g}"), "%", "transverse share of the horizontal energy"),
        "radial_peak": Quantity(peaks["R"], waveforms.unit, "peak of the radial component"),
        "transverse_peak": Quantity(peaks["T"], waveforms.unit, "peak of the transverse component"),
        "traces": Quantity(len(stream), "", "traces"),
    }
    if record is not waveforms:
        facts["band"] = record.facts["band"]
    return waveforms.made(facts=facts, notes=tuple(notes), stream=stream, band=record.band)


def _north_east(
    name: str, parts: list[obspy.Trace], response: Response | None, notes: list[str]
) -> list[tuple[obspy.Trace | None, obspy.Trace, obspy.Trace]]:
    """(vertical or None, north, east) of one instrument, piece by piece over their common time; empty where it lacks them."""
    by_letter: dict[str, list[obspy.Trace]] = {}
    for trace in parts:
        by_letter.setdefault(trace.id[-1], []).append(trace)
    if {"1", "2"} <= set(by_letter) and not {"N", "E"} <= set(by_letter):
        if response is None:
            return []
        return [(vertical, *_turned(one, two, response, notes)) for vertical, one, two in _pieces(by_letter, "1", "2")]
    if not {"N", "E"} <= set(by_letter):
        return []
    if response is not None:
        return [(vertical, *_turned(north, east, response, notes)) for vertical, north, east in _pieces(by_letter, "N", "E")]
    notes.append(f"{name}: N and E taken to point north and east, no station metadata was given")
    return _pieces(by_letter, "N", "E")


def _pieces(by_letter: dict[str, list[obspy.Trace]], first: str, second: str) -> list[tuple[obspy.Trace | None, obspy.Trace, obspy.Trace]]:
    """Every stretch of time both horizontals cover, with the vertical where it covers it too."""
    found = []
    for one in by_letter[first]:
        for two in by_letter[second]:
            start, end = max(one.stats.starttime, two.stats.starttime), min(one.stats.endtime, two.stats.endtime)
            step = one.stats.delta
            if two.stats.delta != step or end - start < 8 * step:
                continue
            offset = float(one.stats.starttime - two.stats.starttime) / step
            if abs(offset - round(offset)) > 0.05:
                raise Refusal("E_DATA", f"{one.id} and {two.id} are sampled {abs(offset - round(offset)) * step:.4g} s apart: resample them first.")
            a, b = one.slice(start, end, nearest_sample=True).copy(), two.slice(start, end, nearest_sample=True).copy()
            count = min(len(a), len(b))
            a.data, b.data = a.data[:count], b.data[:count]
            vertical = next((z for z in by_letter.get("Z", []) if z.stats.starttime <= start + step and z.stats.endtime >= end - step), None)
            found.append((vertical.slice(start, end) if vertical is not None else None, a, b))
    return found


def _turned(one: obspy.Trace, two: obspy.Trace, response: Response, notes: list[str]) -> tuple[obspy.Trace, obspy.Trace]:
    """North and east from two horizontals of known azimuth."""
    angles = []
    for trace in (one, two):
        try:
            held = response.inventory.get_orientation(trace.id, trace.stats.starttime)
        except Exception as error:  # obspy raises the bare class
            raise Refusal("E_DATA", f"the station metadata have no azimuth of {trace.id} at {trace.stats.starttime}.") from error
        angles.append(math.radians(float(held["azimuth"])))
        if abs(float(held["dip"])) > 5:
            raise Refusal("E_GEOMETRY", f"{trace.id} dips {held['dip']:g} deg: it is no horizontal.")
    matrix = np.array([[math.cos(angles[0]), math.sin(angles[0])], [math.cos(angles[1]), math.sin(angles[1])]])
    if abs(np.linalg.det(matrix)) < 0.2:
        raise Refusal("E_GEOMETRY", f"{one.id} and {two.id} point nearly the same way.")
    north, east = one.copy(), two.copy()
    north.data, east.data = np.linalg.solve(matrix, np.vstack([one.data, two.data]))
    north.stats.channel, east.stats.channel = one.stats.channel[:-1] + "N", two.stats.channel[:-1] + "E"
    notes.append(f"{one.id} and {two.id} point to {math.degrees(angles[0]):g} and {math.degrees(angles[1]):g} deg by the station metadata")
    return north, east


def _ppsd_cost(waveforms: Waveforms, **_: Any) -> Cost:
    return Cost(1.0 + 2e-7 * sum(trace.stats.npts for trace in waveforms.stream))


@tool(
    discipline="seismology",
    stage="processing",
    cost=_ppsd_cost,
    say=(
        "Noise spectrum of {waveforms} with {response}",
        "PPSD of {waveforms}, windows of {window}",
        "probabilistic power spectral density for the station",
        "How noisy is the site against the new low noise model?",
        "spectrogram of {waveforms} pls",
        "power spectral density over time, {window} windows, channel {channel}",
        "compare the noise of {waveforms} with NLNM and NHNM",
        "station quality check: McNamara PPSD",
        "spectrum in dB rel. (m/s2)2/Hz, please",
        "I want see how the noise changes during the record {waveforms}",
        "PSD of {waveforms} without response, {reference}",
    ),
    reference="McNamara & Buland 2004, Ambient noise levels in the continental United States, BSSA 94; Peterson 1993, USGS OFR 93-322",
    truth="white noise of 1 (m/s2)2/Hz has a median of -0.3 dB within 0.2, as a mean of decibels must; ten times the amplitude is 20 dB to 1e-4",
)
def spectrogram_ppsd(
    waveforms: Waveforms,
    response: Response | None = None,
    window: Annotated[Seconds, "window length"] | None = None,
    channel: Annotated[str, "channel, e.g. HHZ or NET.STA.LOC.CHA"] | None = None,
    reference: Literal["ground acceleration", "as recorded"] = "ground acceleration",
) -> Report:
    """Power spectral densities of one channel over time and their distribution, dB relative to 1 (m/s2)^2/Hz.

    ObsPy's PPSD: windows that overlap by half, each averaged over 13 sub-windows, smoothed over one octave at eighths of an
    octave. Counts need the response, unless `reference` says "as recorded": then dB relative to 1 unit^2/Hz, which no noise
    model can be compared with. Periods with at least five cycles in a sub-window and below 80 % of Nyquist are kept.
    """
    traces, notes = segments(waveforms)
    name = _chosen(sorted({trace.id for trace in traces}), channel, notes)
    pieces = [trace for trace in traces if trace.id == name]
    rates = {trace.stats.sampling_rate for trace in pieces}
    if len(rates) > 1:
        raise Refusal("E_DATA", f"{name} changes its sampling rate: {', '.join(f'{r:g}' for r in sorted(rates))} Hz.", "Cut the record there.")
    rate = float(rates.pop())
    longest = max(trace.stats.npts for trace in pieces) / rate
    if all(np.ptp(trace.data) == 0 for trace in pieces):
        raise Refusal("E_DATA", f"{name} is dead: every sample is the same.")
    if window is None:
        window = HOUR if longest >= 3 * HOUR else max(float(f"{longest / 6:.2g}"), 256 / rate)
        notes.append(f"windows of {window:g} s chosen: " + ("an hour, as usual" if window == HOUR else "a sixth of the record, too short for hours"))
    if window > longest:
        raise Refusal("E_DATA", f"a window of {window:g} s does not fit the longest gap-free piece, {longest:g} s.", "Shorten window.")
    if window * rate < 128:
        raise Refusal("E_PHYSICS", f"a window of {window:g} s holds {window * rate:.0f} samples; at least 128 are needed.", "Lengthen window.")
    metadata, handling, unit = _metadata_for(waveforms, pieces, response, reference, notes)
    levels, periods, times = _densities(pieces, metadata, handling, window, notes)
    sub = 2 ** math.floor(math.log2(window * rate / 4)) / rate  # s, ObsPy's sub-window
    kept = (periods <= sub / CYCLES) & (periods >= 2 / (TOP * rate))
    if waveforms.band is not None:
        low, high = waveforms.band
        kept &= (periods <= 1 / low if low > 0 else True) & (periods >= 1 / high)
        notes.append(f"an earlier filter left {low:g} to {high:g} Hz: only these are shown")
    if kept.sum() < 3:
        words = f"windows of {window:g} s at {rate:g} Hz leave {int(kept.sum())} periods with {CYCLES} cycles."
        raise Refusal("E_PHYSICS", words, "Lengthen window.")
    levels, periods = levels[:, kept], periods[kept]
    if not np.isfinite(levels).all():
        raise Refusal("E_DATA", f"{name}: windows without any power in some periods; is part of the record flat?", "Cut it out first.")
    percentiles = np.percentile(levels, (10, 50, 90), axis=0)
    median = percentiles[1]
    frequency = 1 / periods
    facts = {
        "channel": Quantity(name, "", "channel"),
        "windows": Quantity(len(levels), "", "windows"),
        "window": Quantity(float(window), "s", "window length"),
        "median_level": Quantity(round(float(np.median(levels)), 3), "dB", "median level over all periods and windows"),
        "frequencies": Quantity([float(f"{frequency.min():.5g}"), float(f"{frequency.max():.5g}")], "Hz", "frequency range"),
        "spread": Quantity(round(float(np.median(percentiles[2] - percentiles[0])), 3), "dB", "typical spread, 10th to 90th percentile"),
        "loudest_frequency": Quantity(float(f"{frequency[int(np.argmax(median))]:.4g}"), "Hz", "frequency of the largest median level"),
    }
    for level in LEVELS:
        if frequency.min() <= level <= frequency.max():
            at = float(np.interp(np.log(1 / level), np.log(periods), median))
            facts[f"level_{level:g}".replace(".", "_")] = Quantity(round(at, 2), "dB", f"median level at {level:g} Hz")
    arrays = {"period": periods, "seconds": times, "level": levels.astype(np.float32), "p10": percentiles[0], "median": median, "p90": percentiles[2]}
    if unit == "(m/s2)2/Hz":
        arrays |= _noise_models(periods)
        above = float(np.mean(median > arrays["high_noise"]))
        facts["above_high_noise"] = Quantity(round(100 * above, 1), "%", "share of periods whose median is above the new high noise model")
        if np.mean(median < arrays["low_noise"]) > 0.2:
            notes.append("the median is below the new low noise model over a fifth of the periods: is the response right?")
    if len(levels) < 10:
        notes.append(f"{len(levels)} windows are few for a distribution: the percentiles are rough")
    notes.append("decibels are averaged, as usual for a PPSD: some 0.3 dB below the decibel of the average power")
    notes.append(f"dB relative to 1 {unit}; one-octave smoothing every eighth of an octave, windows overlap by half")
    labels = {"unit": unit, "start": str(min(trace.stats.starttime for trace in pieces))}
    return Report(title=f"Noise spectra of {name}", facts=facts, notes=tuple(notes), arrays=arrays, drawing="ppsd", labels=labels)


def _chosen(ids: Sequence[str], wanted: str | None, notes: list[str]) -> str:
    """The channel meant: named, the only one, or the only vertical."""
    if wanted:
        code = wanted.upper()
        fitting = [name for name in ids if code in (name, name.split(".")[-1], name[-1], ".".join(name.split(".")[:2]))]
        if len(fitting) == 1:
            return fitting[0]
        if not fitting:
            raise ValueError(f"there is no channel {wanted!r}; the record holds {', '.join(ids)}")
        ids = fitting
    if len(ids) == 1:
        return ids[0]
    vertical = [name for name in ids if name[-1] == "Z"]
    if len(vertical) == 1:
        notes.append(f"{vertical[0]} of {len(ids)} channels chosen: the vertical")
        return vertical[0]
    raise Missing("channel", f"Which channel: {', '.join(ids)}?", tuple(ids))


def _metadata_for(
    waveforms: Waveforms, pieces: list[obspy.Trace], response: Response | None, reference: str, notes: list[str]
) -> tuple[Any, str | None, str]:
    """(metadata, special handling) for ObsPy's PPSD, and the unit of the densities."""
    flat = {"poles": [], "zeros": [], "gain": 1.0, "sensitivity": 1.0}
    if reference == "as recorded":
        notes.append(f"spectra of the record as it is, in {waveforms.unit}: not comparable with noise models")
        unit = f"({waveforms.unit})2/Hz" if "/" in waveforms.unit else f"{waveforms.unit}2/Hz"
        return flat, "ringlaser", unit
    if waveforms.quantity == "acceleration":
        return flat, "ringlaser", "(m/s2)2/Hz"
    if waveforms.quantity in ("velocity", "displacement"):
        if waveforms.quantity == "displacement":
            for trace in pieces:
                trace.data = _velocity(trace.data, trace.stats.delta)
        notes.append(f"ground {waveforms.quantity} turned into acceleration in the spectrum")
        return flat, None, "(m/s2)2/Hz"
    if response is None:
        raise Refusal(
            "E_UNITS",
            f"the record is in {waveforms.unit}: without the instrument response its spectrum has no level in (m/s2)2/Hz.",
            'Give the StationXML as response, or ask for the reference "as recorded".',
        )
    for trace in pieces:
        for moment in (trace.stats.starttime, trace.stats.endtime):
            try:
                held = response.inventory.get_response(trace.id, moment)
            except Exception as error:  # obspy raises the bare class
                words = f"the response has nothing for {trace.id} at {moment}."
                raise Refusal("E_DATA", words, "Give the StationXML of this channel and epoch.") from error
            if not held.response_stages:
                raise Refusal("E_DATA", f"the response of {trace.id} has no stages: poles and zeros are needed.")
            if (said := (held.response_stages[0].input_units or "").upper()) not in MOTION:
                raise Refusal("E_UNITS", f"the sensor of {trace.id} records {said or 'an unnamed unit'}, not ground motion.")
    return held, None, "(m/s2)2/Hz"


def _velocity(displacement: Array, dt: float) -> Array:
    """The derivative, exact up to Nyquist: its straight line apart, the rest in the Fourier domain."""
    n = len(displacement)
    t = dt * np.arange(n)
    slope = (displacement[-1] - displacement[0]) / (t[-1] or 1.0)
    spectrum = np.fft.rfft(displacement - displacement[0] - slope * t)
    return np.asarray(np.fft.irfft(2j * np.pi * np.fft.rfftfreq(n, dt) * spectrum, n) + slope)


def _densities(pieces: list[obspy.Trace], metadata: Any, handling: str | None, window: float, notes: list[str]) -> tuple[Array, Array, Array]:
    """((window, period) dB, (period,) s, (window,) s after the first start) by ObsPy's PPSD."""
    from obspy.signal import PPSD

    start = min(trace.stats.starttime for trace in pieces)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = PPSD(pieces[0].stats, metadata, skip_on_gaps=True, ppsd_length=window, overlap=0.5, special_handling=handling)
        for trace in pieces:
            if trace.stats.npts * trace.stats.delta >= window:
                whole = trace.copy()
                found.add(pieces[0].__class__(whole.data, whole.stats))
    notes += [f"ObsPy: {word}" for word in dict.fromkeys(str(w.message)[:120] for w in caught if not issubclass(w.category, DeprecationWarning))]
    if not found.times_processed:
        raise Refusal("E_DATA", f"no window of {window:g} s could be taken from the record.", "Shorten window.")
    seconds = np.array([float(moment - start) for moment in found.times_processed]) + window / 2
    return np.array(found.psd_values, float), np.array(found.period_bin_centers, float), seconds


def _noise_models(periods: Array) -> dict[str, Array]:
    """Peterson's new low and high noise models, dB of (m/s2)^2/Hz, at these periods."""
    from obspy.signal.spectral_estimation import get_nhnm, get_nlnm

    made = {}
    for key, model in (("low_noise", get_nlnm()), ("high_noise", get_nhnm())):
        period, level = (np.asarray(part, float) for part in model)
        order = np.argsort(period)
        made[key] = np.interp(np.log(periods), np.log(period[order]), level[order])
    return made
