"""From seismograms to an earthquake: phase picks, network detections, and the hypocentre from picks.

Onsets are picked on causally filtered records, since a zero-phase filter smears energy to earlier times. The trained
picker is in `neural_picks`, magnitudes are in `magnitudes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from moho.agent.registry import tool
from moho.agent.tools.seismology import segments
from moho.errors import Refusal
from moho.survey import Array, Catalogue, Picks, Report, Response, Waveforms
from moho.units import Count, Hertz, Quantity, Ratio, Seconds, Velocity

if TYPE_CHECKING:
    import obspy

OFF = 1.0  # STA/LTA below which a trigger ends
SNR = 3.0  # least ratio of amplitudes, 1 s after to 5 s before, of a P onset worth keeping
FAINT, TOGETHER = 1.5, 3  # the least ratio where this many stations trigger at the same time
DOUBT = 1.7  # by which errors of faint picks exceeded the AIC's width, on four records of known onsets with noise added
S_RATIO = 1.3  # least ratio of horizontal amplitudes across an S onset
S_LIMIT = 60.0  # s after P within which S is looked for: some 500 km
FIRST_S = 0.2  # s after P before which no S is looked for
HUBER = 1.5  # pick uncertainties beyond which a residual counts linearly
CONFIDENCE = {68: 2.2789, 95: 5.9915}  # chi-square quantiles, two degrees of freedom
HINT = "Add the StationXML of these stations to the project and pick again with it as response, or give picks with latitude and longitude."


@tool(
    discipline="seismology",
    stage="interpretation",
    say=(
        "Pick P and S on {waveforms}",
        "Pick the phases of {waveforms} between {low} and {high}",
        "phase picking on all stations pls",
        "find the P and S arrivals with STA/LTA, threshold {threshold}",
        "Where is the P onset in {waveforms}?",
        "autopick {waveforms}, sta {sta}, lta {lta}",
        "make arrival time picks for {waveforms} and attach coordinates from {response}",
        "When do P and S arrive in the record, and how sure is that?",
        "pick first arrivals of the earthquake in {waveforms}",
        "read the S minus P time off {waveforms}",
        "pick {waveforms} with the {method} picker",
        "use the neural {method} for the P and S picks of {waveforms}",
    ),
    reference="Allen 1978, BSSA 68 (STA/LTA); Maeda 1985, Zisin 38 (AIC onset); Leonard & Kennett 1999, PEPI 113",
    truth="four NCEDC records: P within 0.1 s and S within 0.2 s of the analyst, by STA/LTA and by the network; made onsets within 0.06 s",
)
def pick_phases(
    waveforms: list[Waveforms],
    low: Hertz = 1.0,
    high: Hertz = 20.0,
    sta: Annotated[Seconds, "short window"] = 0.5,
    lta: Annotated[Seconds, "long window"] = 10.0,
    threshold: Annotated[Ratio, "STA/LTA that triggers"] = 3.5,
    response: Response | None = None,
    method: Annotated[Literal["sta-lta", "network"], "picking method"] = "sta-lta",
) -> Picks:
    """P and S onsets with uncertainties, s after the earliest start of the records.

    The method "sta-lta". P: recursive STA/LTA on the vertical, the onset where Maeda's AIC is least, kept when amplitudes rise at
    least three-fold, or 1.5-fold where the triggers of three stations overlap in time. S: least AIC of the two horizontals between P
    and the largest horizontal amplitude of the next 60 s. Uncertainty: width of the AIC minimum (counting only the independent
    samples of the band, two a hertz and second), a quarter of the dominant period and one sample, added in
    quadrature; 1.7 times that for faint onsets, as measured.
    The method "network": a small neural network trained on made records, which takes neither corners, windows nor threshold.
    Uncertainty: the residual that 68 % of its picks of like probability kept to on made records.
    """
    _windows(sta, lta, low, high)
    if not threshold > OFF:
        raise ValueError(f"threshold must be above {OFF:g}, where a trigger ends, got {threshold:g}")
    network = method == "network"
    if network:
        from moho.agent.tools.neural_picks import network_onsets
    traces, notes = _together(waveforms, *((0.0, 2.0) if network else (high, lta)))
    origin = min(trace.stats.starttime for trace in traces)
    rows: list[tuple[str, str, float, float, float]] = []  # station, phase, time, uncertainty, amplitude ratio
    records: list[Record] = []
    weak, best = 0, 0.0
    for instrument in sorted({trace.id[:-1] for trace in traces}):
        parts = [trace for trace in traces if trace.id[:-1] == instrument]
        vertical = [trace for trace in parts if trace.id[-1] in "Z3"]
        if not vertical:
            vertical = [sorted(parts, key=lambda trace: trace.id)[0]]
            notes.append(f"{instrument}: no vertical channel, P picked on {vertical[0].id}")
        for trace in vertical:
            sides = [other for other in parts if other.id[-1] != trace.id[-1] and _covers(other, trace)]
            shift = float(trace.stats.starttime - origin)
            if not network:
                records.append(_triggers(trace, sides, (low, high), (sta, lta), threshold, shift))
                continue
            found, dropped, highest = network_onsets(trace, sides)
            weak, best = weak + dropped, max(best, highest)
            rows += [(_station(trace), phase, shift + time, error, ratio) for phase, time, error, ratio in found]
        if (channels := len({trace.id for trace in parts})) < 3:
            notes.append(f"{instrument}: {channels} channel(s), S needs the vertical and two horizontals")
    faint = 0
    for record in _supported(records):
        found, dropped = _phases(record)
        weak, best = weak + dropped, max(best, record.largest)
        faint += sum(phase == "P" and ratio < SNR for phase, _, _, ratio in found)
        rows += [(record.station, phase, record.shift + time, error, ratio) for phase, time, error, ratio in found]
    rows = _distinct(rows)
    if not rows and network:
        raise Refusal("E_DATA", f"no onset found: the network's largest probability is {best:.2f}.", 'The method "sta-lta" may find weaker ones.')
    if not rows:
        raise Refusal(
            "E_DATA",
            f"no onset found: the largest STA/LTA is {best:.2f} for a threshold of {threshold:g}"
            + (f", and {weak} triggers rise less than {SNR:g}-fold without {TOGETHER} stations triggering together." if weak else "."),
            f"The first {lta:g} s of a record, one long window, cannot trigger: a shorter lta, a lower threshold or another band may help, "
            "such as the band and windows in which the event was detected.",
        )
    if weak and network:
        notes.append(f"{weak} S picks without a P before them, or on fewer than three components, were left out")
    elif weak:
        notes.append(f"{weak} triggers were left out: amplitudes rise less than {SNR:g}-fold, or they are the S wave or coda of a pick")
    if faint:
        notes.append(f"{faint} faint P picks (rising less than {SNR:g}-fold) were kept because {TOGETHER} stations or more triggered together")
    if network:
        notes.append("network picker on 100 Hz records, causal high-pass 1 Hz; uncertainties are those on made records, real ones may be larger")
    else:
        band = f"{low:g}-{high:g} Hz (causal Butterworth, 2 poles)"
        notes.append(f"recursive STA/LTA {sta:g}/{lta:g} s on {band}, threshold {threshold:g}; onsets by AIC")
        notes.append(f"the first {lta:g} s of a record, one long window, cannot trigger")
    station, phase, times, errors, ratios = (list(column) for column in zip(*rows, strict=True))
    places = _coordinates(station, traces, response, notes)
    facts = {
        "picks": Quantity(len(rows), "", "picks"),
        "p_picks": Quantity(phase.count("P"), "", "P picks"),
        "s_picks": Quantity(phase.count("S"), "", "S picks"),
        "stations": Quantity(len(set(station)), "", "stations"),
        "median_uncertainty": Quantity(round(float(np.median(errors)), 4), "s", "median pick uncertainty"),
        "first": Quantity(str(origin + float(times[0])), "UTC", f"first pick, {phase[0]} at {station[0]}"),
    }
    if phase.count("P") == 1:
        p = phase.index("P")
        facts["p_time"] = Quantity(str(origin + float(times[p])), "UTC", "P onset")
        facts["p_uncertainty"] = Quantity(round(float(errors[p]), 4), "s", "uncertainty of the P onset")
        facts["p_snr"] = Quantity(round(float(ratios[p]), 2), "", "signal-to-noise ratio at P")
        if phase.count("S") == 1:
            s = phase.index("S")
            facts["s_time"] = Quantity(str(origin + float(times[s])), "UTC", "S onset")
            facts["s_uncertainty"] = Quantity(round(float(errors[s]), 4), "s", "uncertainty of the S onset")
            facts["s_minus_p"] = Quantity(round(float(times[s] - times[p]), 4), "s", "S minus P time")
    return Picks(
        title=f"Picks on {len(set(station))} station(s)", facts=facts, notes=tuple(notes),
        station=np.array(station), phase=np.array(phase), time=np.array(times), uncertainty=np.array(errors), origin=str(origin),
        latitude=None if places is None else places[:, 0], longitude=None if places is None else places[:, 1],
        elevation=None if places is None else places[:, 2],
    )  # fmt: skip


@tool(
    discipline="seismology",
    stage="interpretation",
    say=(
        "How many events does the network see?",
        "Detect earthquakes on {waveforms}",
        "run a coincidence trigger, STA/LTA {sta}/{lta}, on {on} off {off}",
        "network trigger {low}-{high} with at least {stations} stations",
        "find events recorded by {stations} or more stations",
        "event detection over all traces please",
        "When did the quakes happen? use STA {sta} and LTA {lta}",
        "associate triggers of the stations into events",
        "any local earthquakes in these records",
        "list the detections with time and stations",
    ),
    reference="Withers et al. 1998, A comparison of select trigger algorithms, BSSA 88; Krischer et al. 2015 (ObsPy)",
    truth="the three events of the Unterhaching swarm within 0.1 s, and none on a quiet network",
)
def detect_associate(
    waveforms: list[Waveforms],
    sta: Annotated[Seconds, "short window"] = 0.5,
    lta: Annotated[Seconds, "long window"] = 10.0,
    on: Annotated[Ratio, "STA/LTA that triggers"] = 3.5,
    off: Annotated[Ratio, "STA/LTA that ends a trigger"] = 1.0,
    low: Hertz = 10.0,
    high: Hertz = 20.0,
    stations: Annotated[Count, "least number of stations"] = 3,
) -> Report:
    """Events seen by several stations at once: time of the first trigger, stations, duration.

    Recursive STA/LTA of every channel, a causal Butterworth band-pass (4 poles) before it; triggers that overlap in time on
    at least `stations` different stations make an event. Three channels of one station count once.
    """
    from obspy.signal.trigger import coincidence_trigger, recursive_sta_lta

    _windows(sta, lta, low, high)
    if not off <= on:
        raise ValueError(f"need off <= on, got off {off:g} and on {on:g}")
    traces, notes = _together(waveforms, high, lta)
    names = sorted({_station(trace) for trace in traces})
    if len(names) < stations:
        raise Refusal("E_DATA", f"{stations} stations are wanted, the records come from {len(names)}: {', '.join(names)}.")
    stream = waveforms[0].stream.__class__()
    largest = 0.0
    for trace in traces:
        trace.data = trace.data - trace.data.mean()
        trace.filter("bandpass", freqmin=low, freqmax=high, corners=4, zerophase=False)
        rate = trace.stats.sampling_rate
        largest = max(largest, float(recursive_sta_lta(trace.data, round(sta * rate), round(lta * rate)).max()))
        stream.append(trace)
    found = coincidence_trigger("recstalta", on, off, stream, stations, sta=sta, lta=lta, details=True)
    by_id = {trace.id: _station(trace) for trace in traces}
    events: list[dict[str, Any]] = []
    few = 0
    for event in found:
        seen = sorted({by_id[name] for name in event["trace_ids"]})
        if len(seen) < stations:
            few += 1
        elif events and event["time"] <= events[-1]["time"] + events[-1]["duration"]:
            if len(seen) > len(events[-1]["seen"]):
                events[-1] = {**event, "seen": seen}
        else:
            events.append({**event, "seen": seen})
    if few:
        notes.append(f"{few} coincidences between channels of fewer than {stations} stations were left out")
    notes.append(f"{low:g}-{high:g} Hz causal Butterworth (4 poles), recursive STA/LTA {sta:g}/{lta:g} s, on {on:g}, off {off:g}")
    notes.append(f"the first {lta:g} s of a record, one long window, cannot trigger")
    if not events:
        notes.append(f"no event; the largest STA/LTA of a channel is {largest:.2f}")
    times = [str(event["time"]) for event in events]
    facts = {
        "events": Quantity(len(events), "", "events"),
        "times": Quantity(times, "UTC", "event times"),
        "stations_per_event": Quantity([len(event["seen"]) for event in events], "", "stations per event"),
        "stations": Quantity(len(names), "", "stations searched"),
        "largest_ratio": Quantity(round(largest, 3), "", "largest STA/LTA"),
    }
    arrays = {
        "time": np.array(times, dtype=str),
        "stations": np.array([" ".join(event["seen"]) for event in events], dtype=str),
        "station_count": np.array([len(event["seen"]) for event in events], dtype=int),
        "duration": np.array([float(event["duration"]) for event in events]),  # s
        "largest_ratio": np.array([float(max(event["cft_peaks"])) for event in events]),
    }
    return Report(title=f"{len(events)} events on {len(names)} stations", facts=facts, notes=tuple(notes), arrays=arrays, drawing="detections")


@tool(
    discipline="seismology",
    stage="inversion",
    say=(
        "Locate the earthquake from {picks} with a P velocity of {velocity}",
        "Where was the earthquake?",
        "hypocentre of {picks}, Vp {velocity}, Vp/Vs {vp_vs}",
        "locate the event, constant velocity {velocity}",
        "find epicentre and depth from the P and S picks",
        "how deep was the quake in {picks}? take {velocity} for P",
        "Invert {picks} for the hypocenter and origin time",
        "event location with error ellipse pls",
        "compute the location of the seism with {velocity} and ratio {vp_vs}",
        "give me latitude, longitude, depth and azimuthal gap from {picks}",
    ),
    reference="Geiger 1912, Bull. St. Louis Univ. 8; Havskov & Ottemöller 2010, Routine Data Processing in Earthquake Seismology, ch. 5",
    truth="60 made events with noise: epicentre within 2 km, median depth error under 1 km, 53 to 85 % inside the 68 % ellipse; perfect "
    "picks within 0.0001 degrees",
)
def locate_event(picks: Picks, velocity: Annotated[Velocity, "P velocity"], vp_vs: Annotated[Ratio, "Vp/Vs"] = 1.73) -> Catalogue:
    """The hypocentre and origin time that fit the picks, in a half-space of constant velocity, with error ellipses.

    A grid search (L1) starts Gauss-Newton steps with Huber weights; straight rays, depth positive down from sea level where
    the picks carry elevations, otherwise from the stations. Ellipses come from the covariance of the linearised problem
    with the pick uncertainties, enlarged when the residuals exceed these. Velocity errors are not in them.
    """
    if not vp_vs > 1:
        raise ValueError(f"vp_vs must be above 1, got {vp_vs:g}")
    from obspy import UTCDateTime
    from pyproj import Transformer

    used, notes = _one_event(picks, velocity / 1000)
    latitude, longitude = (degrees[used] for degrees in _placed(picks))
    centre = f"+lat_0={latitude.mean():.10f} +lon_0={_mean_longitude(longitude):.10f}"
    plane = Transformer.from_crs("EPSG:4326", f"+proj=aeqd {centre} +ellps=WGS84 +units=km", always_xy=True)
    x, y = plane.transform(longitude, latitude)
    elevation = np.zeros(len(x)) if picks.elevation is None else picks.elevation[used].astype(float) / 1000  # km
    if np.isnan(elevation).any():
        notes.append(f"{int(np.isnan(elevation).sum())} picks without station elevation: taken at sea level")
        elevation = np.nan_to_num(elevation)
    if picks.elevation is None:
        notes.append("the picks carry no station elevations: depth counts from the level of the stations")
    station = np.column_stack([x, y, -elevation])  # (pick, 3) km, z down
    speed = np.where(picks.phase[used] == "P", velocity, velocity / vp_vs) / 1000  # km/s
    time, error = picks.time[used].astype(float), picks.uncertainty[used].astype(float)
    if (bad := ~(np.isfinite(error) & (error > 0))).any():
        notes.append(f"{int(bad.sum())} picks without uncertainty were given 0.1 s")
        error = np.where(bad, 0.1, error)
    mirror = _check_array(station, notes)
    place, residual, weight, jacobian, rivals = _search(station, speed, time, error, picks.phase[used], vp_vs, velocity / 1000)
    top = float(station[:, 2].min())
    facts = _errors(place, residual, weight, jacobian, error, top, notes)
    lon, lat = (float(v) for v in plane.transform(place[0], place[1], direction="INVERSE"))
    east, north = station[:, 0] - place[0], station[:, 1] - place[1]
    offsets = np.hypot(east, north)
    azimuths = np.unique(np.round(np.degrees(np.arctan2(east, north)) % 360, 6))
    if "ellipse_major" in facts and facts["ellipse_major"].value > offsets.max():
        notes.append("the picks hardly hold the epicentre: the ellipse is larger than the network")
    gap = float(np.diff(np.append(azimuths, azimuths[0] + 360)).max())
    origin = UTCDateTime(picks.origin) + float(place[3])
    rms = float(np.sqrt(np.mean(residual**2)))
    names = picks.station[used]
    facts = {
        "latitude": Quantity(round(lat, 5), "deg", "latitude of the epicentre"),
        "longitude": Quantity(round(lon, 5), "deg", "longitude of the epicentre"),
        "depth": Quantity(round(float(place[2]), 3), "km", "depth"),
        "origin_time": Quantity(str(origin), "UTC", "origin time"),
        "rms": Quantity(round(rms, 4), "s", "rms residual"),
        "gap": Quantity(round(gap, 1), "deg", "azimuthal gap"),
        "nearest": Quantity(round(float(offsets.min()), 3), "km", "epicentral distance of the nearest station"),
        "phases": Quantity(len(used), "", "phases used"),
        "stations": Quantity(len(set(names.tolist())), "", "stations used"),
    } | facts
    if gap > 181:
        notes.append(f"azimuthal gap {gap:.0f} deg: the event lies outside the network, the position is poorly held on that side")
    if offsets.min() > max(float(place[2] - top), 1.0) * 1.5:
        notes.append(f"the nearest station is {offsets.min():.1f} km away for a depth of {place[2]:.1f} km: depth trades off with origin time")
    if (outlier := np.abs(residual) > 3 * error).any():
        worst = [f"{names[i]} {picks.phase[used][i]} {residual[i]:+.2f} s" for i in np.flatnonzero(outlier)]
        notes.append("residuals above three pick uncertainties, weighted down: " + ", ".join(worst[:8]))
    if mirror is not None:
        middle, along = mirror
        away = place[:2] - middle
        across = away - along * (away @ along)
        # at right angles to the line times change with the square of the distance: w^2 / (2 h v)
        blind = float(np.sqrt(2 * np.hypot(offsets.min(), place[2] - top) * velocity / 1000 * np.median(error)))
        if np.hypot(*across) > blind:
            rivals = [np.append(place[:2] - 2 * across, place[2:])]
            notes.append("the stations lie on a line: the same place on its other side fits the picks as well")
        else:
            notes.append(f"the stations lie on a line and the event near it; how far off is not held, up to some {blind:.1f} km either way")
    for there in rivals[:2]:
        other = plane.transform(float(there[0]), float(there[1]), direction="INVERSE")
        notes.append(f"another hypocentre fits nearly as well: {other[1]:.4f} deg, {other[0]:.4f} deg, {there[2]:.1f} km deep")
    notes.append(f"constant velocity: P {velocity:g} m/s, Vp/Vs {vp_vs:g}, straight rays; errors of this velocity are not in the ellipse")
    view = {"stations": [[str(n), float(o), float(a)] for n, o, a in sorted(set(zip(names.tolist(), longitude, latitude, strict=True)))]}
    return Catalogue(
        title="Located event", facts=facts, notes=tuple(notes), view=view, time=np.array([str(origin)]), latitude=np.array([lat]),
        longitude=np.array([lon]), depth=np.array([float(place[2])]), magnitude=np.array([np.nan]), magnitude_type=np.array([""]),
    )  # fmt: skip


def _windows(sta: float, lta: float, low: float, high: float) -> None:
    if not sta < lta:
        raise ValueError(f"need sta < lta, got sta {sta:g} s and lta {lta:g} s")
    if not low < high:
        raise ValueError(f"need low < high, got low {low:g} Hz and high {high:g} Hz")


def _together(waveforms: Sequence[Waveforms], high: float, lta: float) -> tuple[list[obspy.Trace], list[str]]:
    """(gap-free pieces of all records long enough for the long window, notes)."""
    if not waveforms:
        raise ValueError("give at least one data set of seismograms")
    kept: list[obspy.Trace] = []
    notes: list[str] = []
    for record in waveforms:
        traces, said = segments(record)
        notes += said
        for trace in traces:
            rate = trace.stats.sampling_rate
            if not high < rate / 2:
                raise Refusal(
                    "E_PHYSICS",
                    f"the corner of {high:g} Hz is not below the Nyquist frequency of {trace.id}, {rate / 2:g} Hz.",
                    f"Choose high below {rate / 2:g} Hz.",
                )
            seconds = trace.stats.npts / rate
            if seconds < 1.5 * lta:
                notes.append(f"{trace.id}: a piece of {seconds:g} s was left out, too short for a long window of {lta:g} s")
            elif not any(_same(trace, other) for other in kept):
                kept.append(trace)
    if not kept:
        raise Refusal("E_DATA", f"no gap-free piece is longer than one and a half long windows ({1.5 * lta:g} s).", "Shorten lta.")
    return kept, notes


def _same(a: obspy.Trace, b: obspy.Trace) -> bool:
    """Whether two traces are the same record, given twice."""
    return a.id == b.id and a.stats.starttime == b.stats.starttime and a.stats.npts == b.stats.npts and bool(np.array_equal(a.data, b.data))


def _covers(other: obspy.Trace, trace: obspy.Trace) -> bool:
    """Whether `other` can stand beside `trace`, sample by sample."""
    step = trace.stats.delta
    return (
        other.stats.sampling_rate == trace.stats.sampling_rate
        and abs(other.stats.starttime - trace.stats.starttime) < step
        and abs(other.stats.endtime - trace.stats.endtime) < 2 * step
    )


def _station(trace: obspy.Trace) -> str:
    return ".".join(part for part in (trace.stats.network, trace.stats.station) if part)


@dataclass(frozen=True)
class Trigger:
    """One stretch of large STA/LTA with the onset found in it."""

    onset: int  # sample
    error: float  # s
    rise: float  # ratio of amplitudes across the onset
    sideways: bool  # the horizontals are larger than the vertical
    time: tuple[float, float]  # s after the earliest start, first and last sample of the trigger


@dataclass(frozen=True)
class Record:
    """A vertical of one station with its triggers, band-passed, and its horizontals."""

    station: str
    rate: float  # Hz
    independent: float  # share of the samples that the band leaves independent
    shift: float  # s, start after the earliest of all records
    vertical: Array
    pair: Array | None  # (2, sample)
    triggers: tuple[Trigger, ...]
    largest: float  # STA/LTA


def _triggers(
    vertical: obspy.Trace, sides: list[obspy.Trace], band: tuple[float, float], windows: tuple[float, float], threshold: float, shift: float
) -> Record:
    """The record with an onset for every trigger, worth keeping or not."""
    from obspy.signal.trigger import recursive_sta_lta, trigger_onset
    from scipy.signal import butter, sosfilt

    rate = float(vertical.stats.sampling_rate)
    sos = butter(2, band, "bandpass", fs=rate, output="sos")
    length = min(trace.stats.npts for trace in (vertical, *sides))
    x, *horizontal = (sosfilt(sos, trace.data[:length] - trace.data[:length].mean()) for trace in (vertical, *sides))
    pair = np.array(horizontal[:2]) if len(horizontal) >= 2 else None
    ratio = recursive_sta_lta(x, max(round(windows[0] * rate), 1), max(round(windows[1] * rate), 2))
    independent = min(1.0, 2 * (band[1] - band[0]) / rate)
    found = []
    for start, end in trigger_onset(ratio, threshold, OFF):
        peak = start + int(np.argmax(ratio[start : end + 1]))
        steep = start + int(np.argmax(ratio[start : end + 1] >= ratio[peak] / 2))
        for begin in (int(start), steep):  # noise can trigger just before P does
            onset, error = _onset(x, begin, peak, rate, independent)
            if (rise := _rise(x, onset, rate)) >= SNR:
                break
        else:  # faint: the noise before it is part of the doubt
            onset, error = _onset(x, int(start), peak, rate, independent)
            error, rise = DOUBT * error, _rise(x, onset, rate)
        sideways = pair is not None and _power(pair, onset, onset + round(rate)) > 2 * _power(x[None], onset, onset + round(rate))
        found.append(Trigger(onset, error, rise, sideways, (shift + start / rate, shift + end / rate)))
    return Record(_station(vertical), rate, independent, shift, x, pair, tuple(found), float(ratio.max()))


def _supported(records: Sequence[Record]) -> list[Record]:
    """The records with what other stations do not support taken to rise by nothing: faint triggers that overlap with those of too few."""

    def together(trigger: Trigger) -> bool:
        seen = {r.station for r in records for t in r.triggers if t.time[0] <= trigger.time[1] and trigger.time[0] <= t.time[1]}
        return trigger.rise >= SNR or (trigger.rise >= FAINT and len(seen) >= TOGETHER)

    return [replace(r, triggers=tuple(t if together(t) else replace(t, rise=0.0) for t in r.triggers)) for r in records]


def _phases(record: Record) -> tuple[list[tuple[str, float, float, float]], int]:
    """((phase, time, uncertainty, amplitude ratio) of every onset, triggers left out)."""
    rate = record.rate
    kept: list[Trigger] = []
    for trigger in record.triggers:
        after_p = kept and trigger.onset - kept[-1].onset < S_LIMIT * rate
        if trigger.rise >= FAINT and not (after_p and trigger.sideways):
            kept.append(trigger)
    weak = len(record.triggers) - len(kept)
    found: list[tuple[str, float, float, float]] = []
    busy = -1
    for i, trigger in enumerate(kept):
        onset = trigger.onset
        following = kept[i + 1].onset if i + 1 < len(kept) else len(record.vertical)
        if onset <= busy:
            weak += 1
            continue
        found.append(("P", onset / rate, trigger.error, trigger.rise))
        busy = onset + round(rate)
        onset_s = None if record.pair is None else _s_onset(record.pair, onset, following, rate, record.independent)
        if onset_s is not None:
            found.append(("S", onset_s[0] / rate, onset_s[1], onset_s[2]))
            busy = 2 * onset_s[0] - onset  # S and its coda until as long after S as S is after P
    return found, weak


def _onset(x: Array, start: int, peak: int, rate: float, independent: float) -> tuple[int, float]:
    """(sample, uncertainty s) of the onset near a trigger."""
    first = max(start - round(3 * rate), 0)
    last = min(peak + round(0.5 * rate), start + round(1.5 * rate), len(x))
    return _least_aic(x[None, first:last], first, rate, independent)


def _s_onset(pair: Array, p: int, following: int, rate: float, independent: float) -> tuple[int, float, float] | None:
    """(sample, uncertainty s, amplitude ratio) of S between the P at sample `p` and the `following` one; None where the horizontals do not rise."""
    half = max(round(0.25 * rate), 1)
    energy = np.convolve((pair**2).sum(0), np.ones(2 * half), "same")
    first = p + round(FIRST_S * rate)
    last = min(p + round(S_LIMIT * rate), following, pair.shape[1])
    if last - first < 4 * half:
        return None
    peak = first + int(np.argmax(energy[first:last]))
    stop = min(peak + round(0.3 * rate), pair.shape[1])
    if stop - first < 2 * half:
        return None
    onset, error = _least_aic(pair[:, first:stop], first, rate, independent)
    after = _power(pair, onset, onset + 2 * half)
    before = _power(pair, max(p, onset - 4 * half), onset)
    ratio = float(np.sqrt(after / before)) if before > 0 else np.inf
    return (onset, error, ratio) if ratio >= S_RATIO and onset > first + 2 else None


def _least_aic(x: Array, first: int, rate: float, independent: float) -> tuple[int, float]:
    """(sample, uncertainty s) of the onset in x (channel, sample): the width of the AIC minimum, a quarter of the period, one sample."""
    best, width = split(x, independent)
    signal = x[:, best : best + max(round(rate), 8)]
    crossings = np.mean([np.sum(np.diff(np.signbit(row)) != 0) for row in signal])
    period = 2 * signal.shape[1] / rate / max(float(crossings), 1.0)
    return first + best, float(np.sqrt((width / rate) ** 2 + (period / 4) ** 2 + 1 / rate**2))


def split(x: Array, independent: float) -> tuple[int, float]:
    """(sample, its uncertainty in samples) where cutting x (channel, sample) in two parts of different variance explains it best (Maeda 1985).

    `independent` is the share of the samples that tell something new: a band of B Hz has 2 B of them a second.
    """
    n = x.shape[1]
    k = np.arange(2, n - 2)
    total = np.cumsum(x**2, axis=1)
    tiny = np.maximum(total[:, -1:] / n * 1e-12, 1e-300)
    before = np.maximum(total[:, k - 1] / k, tiny)
    after = np.maximum((total[:, -1:] - total[:, k - 1]) / (n - k), tiny)
    aic = (k * np.log(before) + (n - k - 1) * np.log(after)).sum(0)
    likely = np.exp(-0.5 * independent * (aic - aic.min()))
    likely /= likely.sum()
    best = int(k[np.argmin(aic)])
    return best, float(np.sqrt(np.sum(likely * (k - best) ** 2)))


def _power(x: Array, first: int, last: int) -> float:
    """Mean square of x (channel, sample) between two samples, summed over channels."""
    part = x[:, max(first, 0) : max(last, 1)]
    return float((part**2).mean(1).sum()) if part.shape[1] else 0.0


def _rise(x: Array, onset: int, rate: float) -> float:
    """Ratio of rms amplitudes, 1 s after to 5 s before."""
    before = _power(x[None], onset - round(5 * rate), onset - round(0.05 * rate))
    after = _power(x[None], onset, onset + round(rate))
    return float(np.sqrt(after / before)) if before > 0 else np.inf


def _distinct(rows: list[tuple[str, str, float, float, float]]) -> list[tuple[str, str, float, float, float]]:
    """In order of time; of two instruments at one station that picked the same onset, the surer pick."""
    kept: list[tuple[str, str, float, float, float]] = []
    for row in sorted(rows, key=lambda row: (row[3], row[2], row[0])):
        if not any(row[:2] == other[:2] and abs(row[2] - other[2]) < 1.0 for other in kept):
            kept.append(row)
    return sorted(kept, key=lambda row: (row[2], row[0], row[1]))


def _coordinates(station: list[str], traces: list[obspy.Trace], response: Response | None, notes: list[str]) -> Array | None:
    """(pick, 3) latitude, longitude deg, elevation m from the station metadata, NaN where it lacks a station; None without any."""
    if response is None:
        notes.append("no station coordinates: give the StationXML as response to locate the event")
        return None
    places: dict[str, tuple[float, float, float]] = {}
    for trace in traces:
        for network in response.inventory.select(network=trace.stats.network, station=trace.stats.station):
            for held in network:
                places.setdefault(_station(trace), (float(held.latitude), float(held.longitude), float(held.elevation)))
    if lost := sorted(set(station) - set(places)):
        notes.append(f"no coordinates for {', '.join(lost)} in the station metadata")
    nowhere = (np.nan, np.nan, np.nan)
    return np.array([places.get(name, nowhere) for name in station]) if places else None


def _one_event(picks: Picks, vp: float) -> tuple[Array, list[str]]:
    """(indices of the picks of the event most stations saw, notes); Refusal where these cannot hold a hypocentre."""
    notes = []
    placed = np.isfinite(np.add(*_placed(picks)))
    if not placed.all():
        lost = sorted(set(picks.station[~placed].tolist()))
        if len(set(picks.station[placed].tolist())) < 3:
            raise Refusal("E_GEOMETRY", f"no coordinates for {', '.join(lost)}; fewer than three stations are left.", HINT)
        notes.append(f"no coordinates for {', '.join(lost)}: their picks were left out")
    usable = placed & np.isfinite(picks.time) & np.isin(picks.phase, ("P", "S"))
    order = np.flatnonzero(usable)[np.argsort(picks.time[usable], kind="stable")]
    reach = 1.5 * _aperture(picks, order) / vp + 1.0  # s, between the first and the last P of one event
    groups = []
    for first in [i for i in order if picks.phase[i] == "P"] or list(order[:1]):
        chosen: dict[tuple[str, str], int] = {}
        begin = picks.time[first]
        for i in order:
            key = (str(picks.station[i]), str(picks.phase[i]))
            late = picks.time[i] - begin
            after_p = key[1] == "S" and late >= 0 and late <= reach + S_LIMIT
            if key not in chosen and ((key[1] == "P" and 0 <= late <= reach) or after_p):
                chosen[key] = int(i)
        for name, phase in list(chosen):  # an S belongs to the last P before it
            if phase == "S":
                own = [i for i in order if picks.station[i] == name and picks.phase[i] == "P" and picks.time[i] < picks.time[chosen[name, "S"]]]
                if own and chosen.get((name, "P")) != own[-1]:
                    del chosen[name, "S"]
        groups.append(sorted(chosen.values()))
    group = max(groups, key=lambda g: (len(set(picks.station[g].tolist())), len(g)), default=[])
    count = len(set(picks.station[group].tolist())) if group else 0
    if count < 3 or len(group) < 4:
        raise Refusal(
            "E_DATA",
            f"{len(group)} phases at {count} stations: a hypocentre and an origin time are four unknowns and need at least 4 phases at 3 stations.",
            "Add stations, or S picks.",
        )
    if left := int(usable.sum()) - len(group):
        notes.append(f"{left} of {int(usable.sum())} picks were left out: another event, or too far in time from the first P for the network's size")
    return np.array(group, int), notes


def _placed(picks: Picks) -> tuple[Array, Array]:
    """(latitude, longitude) of every pick's station, NaN where unknown; Refusal where none is known."""
    if picks.latitude is None or picks.longitude is None:
        names = sorted(set(picks.station.tolist()))
        raise Refusal("E_GEOMETRY", f"the picks carry no station coordinates ({', '.join(names[:8])}).", HINT)
    return picks.latitude.astype(float), picks.longitude.astype(float)


def _aperture(picks: Picks, order: Array) -> float:
    """Largest distance between stations, km, near enough."""
    lat, lon = (np.radians(degrees[order]) for degrees in _placed(picks))
    unit = np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    unit = np.unique(np.round(unit, 9), axis=0)
    return float(6371 * np.sqrt(max(((unit[:, None] - unit[None]) ** 2).sum(-1).max(), 0.0))) if len(unit) else 0.0


def _mean_longitude(longitude: Array) -> float:
    """Mean across the date line."""
    return float(np.degrees(np.angle(np.exp(1j * np.radians(longitude)).mean())))


def _check_array(station: Array, notes: list[str]) -> tuple[Array, Array] | None:
    """(middle, direction) of the line the stations lie on, None where they do not; Refusal for hopeless geometry."""
    places = np.unique(station[:, :2], axis=0)
    middle = places.mean(0)
    _, size, axes = np.linalg.svd(places - middle)
    extent = 2 * float(np.abs((places - middle) @ axes[0]).max())
    if extent < 1e-3:
        raise Refusal("E_GEOMETRY", "all stations have the same coordinates.", HINT)
    if extent > 1000:
        raise Refusal(
            "E_GEOMETRY",
            f"the stations span {extent:.0f} km: one velocity and a flat earth do not hold over that distance.",
            "Locate with the stations within a few hundred km.",
        )
    if extent > 300:
        notes.append(f"the stations span {extent:.0f} km: a constant velocity and a flat earth are crude over that distance")
    return (middle, axes[0]) if len(size) < 2 or size[1] < 0.03 * size[0] else None


def _search(
    station: Array, speed: Array, time: Array, error: Array, phase: Array, vp_vs: float, vp: float
) -> tuple[Array, Array, Array, Array, list[Array]]:
    """((x, y, z, origin time) km and s, residuals s, Huber weights, Jacobian, rival hypocentres) of the best hypocentre.

    Of hypocentres that fit equally well the one nearest to the network's middle is best.
    """
    from scipy.optimize import least_squares

    top = float(station[:, 2].min())
    middle = station[:, :2].mean(0)
    extent = float(np.hypot(*(station[:, :2] - middle).T).max())
    spread = float(time.max() - time.min()) * vp / (vp_vs - 1) if "S" in phase else 0.0
    half = max(2.5 * extent, min(1.2 * spread, 500.0), 10.0)
    axis = np.linspace(-half, half, 31)
    depths = top + np.concatenate(([0.0], np.geomspace(0.02, 1, 14) * max(half, 30.0)))
    nodes = np.stack(np.meshgrid(middle[0] + axis, middle[1] + axis, depths, indexing="ij"), -1).reshape(-1, 3)
    travel = np.sqrt(((nodes[:, None, :] - station[None]) ** 2).sum(-1)) / speed  # (node, pick)
    origin = np.median(time - travel, axis=1)
    cost = (np.abs(time - travel - origin[:, None]) / error).sum(1)

    def residuals(p: Array) -> Array:
        return (time - p[3] - np.sqrt(((p[:3] - station) ** 2).sum(1)) / speed) / error

    def slope(p: Array) -> Array:
        away = p[:3] - station
        length = np.maximum(np.sqrt((away**2).sum(1, keepdims=True)), 1e-6)
        return np.column_stack([-away / length / speed[:, None], -np.ones(len(time))]) / error[:, None]

    starts: list[int] = []
    for node in np.argsort(cost, kind="stable"):
        if all(np.abs(nodes[node] - nodes[other]).max() > half / 8 for other in starts):
            starts.append(int(node))
        if len(starts) == 4:
            break
    fits = []
    for node in starts:
        begin = np.append(np.maximum(nodes[node], [-np.inf, -np.inf, top + 1e-3]), origin[node])
        bounds = ([*(middle - 2 * half), top, -np.inf], [*(middle + 2 * half), top + 700, np.inf])
        fits.append(least_squares(residuals, begin, slope, bounds, loss="huber", f_scale=HUBER, x_scale=[1, 1, 1, 0.2], xtol=1e-12, ftol=1e-12))
    least = min(fit.cost for fit in fits)
    equal = sorted((fit for fit in fits if fit.cost < least + 1.0), key=lambda fit: np.hypot(*(fit.x[:2] - middle)))
    fit = min(equal, key=lambda f: (f.cost > least + 0.1, np.hypot(*(f.x[:2] - middle))))
    rivals: list[Array] = []
    for other in equal:
        if all(np.hypot(*(other.x[:2] - known[:2])) > max(0.1 * extent, 2.0) for known in [fit.x, *rivals]):
            rivals.append(other.x)
    scaled = residuals(fit.x)
    weight = np.minimum(1.0, HUBER / np.maximum(np.abs(scaled), 1e-12))
    return fit.x, scaled * error, weight, slope(fit.x), rivals


def _errors(place: Array, residual: Array, weight: Array, jacobian: Array, error: Array, top: float, notes: list[str]) -> dict[str, Quantity]:
    """Axes of the 68 and 95 % ellipses, errors of depth and origin time, from the linearised covariance."""
    normal = jacobian.T @ (weight[:, None] * jacobian)
    shallow = place[2] - top < 0.01
    columns = [0, 1, 3] if shallow or np.linalg.cond(normal) > 1e12 else [0, 1, 2, 3]
    free = len(residual) - len(columns)  # a depth held at the surface is no unknown
    misfit = float(np.sum(weight * (residual / error) ** 2) / free) if free > 0 else 1.0
    scale = max(misfit, 1.0)
    if free == 0:
        notes.append("as many phases as unknowns: the residuals say nothing about the errors, the pick uncertainties stand alone")
    elif scale > 2:
        notes.append(f"residuals exceed the pick uncertainties (reduced chi-square {misfit:.1f}); the ellipse was enlarged accordingly")
    reduced = normal[np.ix_(columns, columns)]
    if np.linalg.cond(reduced) > 1e12:
        notes.append("the picks do not hold the epicentre in every direction: no error ellipse can be given")
        return {}
    covariance = np.linalg.inv(reduced) * scale
    sizes, axes = np.linalg.eigh(covariance[:2, :2])
    azimuth = float(np.degrees(np.arctan2(axes[0, 1], axes[1, 1])) % 180)
    facts = {"ellipse_azimuth": Quantity(round(azimuth, 1), "deg", "azimuth of the ellipse's major axis")}
    for share, quantile in CONFIDENCE.items():
        end = "" if share == 68 else f"_{share}"
        facts[f"ellipse_major{end}"] = Quantity(round(float(np.sqrt(sizes[1] * quantile)), 4), "km", f"semi-major axis of the {share} % ellipse")
        facts[f"ellipse_minor{end}"] = Quantity(round(float(np.sqrt(sizes[0] * quantile)), 4), "km", f"semi-minor axis of the {share} % ellipse")
    if len(columns) == 4:
        deep = float(np.sqrt(covariance[2, 2]))
        facts["depth_error"] = Quantity(round(deep, 4), "km", "standard error of the depth")
        if 2 * deep > place[2] - top:
            notes.append(f"the depth is not resolved: two standard errors ({2 * deep:.1f} km) reach from it to the surface")
    else:
        notes.append(f"{'the depth ran to the surface' if shallow else 'the picks do not resolve the depth'}; the ellipse holds for this depth")
    facts["time_error"] = Quantity(round(float(np.sqrt(covariance[-1, -1])), 4), "s", "standard error of the origin time")
    if free > 0:
        facts["reduced_chi2"] = Quantity(round(misfit, 3), "", "reduced chi-square")
    return facts
