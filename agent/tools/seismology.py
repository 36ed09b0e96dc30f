"""Seismograms: inspection, instrument response, filters, and travel times through a standard earth.

Picking, detection and location are in `earthquakes`. Gaps are never filled: a record is worked on piece by piece.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from moho.agent.registry import tool
from moho.errors import Refusal
from moho.survey import Report, Response, Waveforms
from moho.units import Hertz, Quantity, Unit

if TYPE_CHECKING:
    import obspy

GROUND = {"displacement": ("DISP", "m"), "velocity": ("VEL", "m/s"), "acceleration": ("ACC", "m/s2")}
MOTION = ("M", "M/S", "M/S**2", "M/S2", "M/SEC", "M/SEC**2", "NM", "NM/S", "NM/S**2")  # input units of a seismometer
PHASE_EXAMPLES = "P, S, p, s, Pn, Pg, Pdiff, PP, PcP, ScS, PKP, PKIKP, SKS"
POLES = 4  # poles of the Butterworth filter; run both ways the amplitude response is squared
CLIP_RUN = 3  # equal samples in a row at the extreme that mark a clipped record

Epicentral = Annotated[float, Unit("deg", low=0, high=180), "epicentral distance"]
SourceDepth = Annotated[float, Unit("km", low=0, high=800), "source depth"]


@tool(
    discipline="seismology",
    stage="inspect",
    say=(
        "What is in {waveforms}?",
        "Inspect the seismograms {waveforms}",
        "are there gaps or overlaps in {waveforms}?",
        "check the miniSEED: sampling rate, start, end, gaps",
        "Which channels does {waveforms} hold and at what sampling rate?",
        "quick QC of the waveform file please",
        "does {waveforms} have any data missing",
        "Is the record clipped anywhere?",
        "give me start and end time and peak amplitude of {waveforms}",
        "list the traces of the stream",
    ),
    reference="Krischer et al. 2015, ObsPy: a bridge for seismology into the scientific Python ecosystem, Comput. Sci. Discov. 8",
    truth="a made gap of 17 and overlap of 11 samples are found to the sample, a clipped channel is named",
)
def waveform_inspect(waveforms: Waveforms) -> Report:
    """Channels, sampling rates, times, gaps, overlaps, peak amplitudes and clipping of seismograms.

    A gap is missing samples between two pieces of one channel, an overlap samples given twice. Clipped: at least three
    samples in a row at the channel's extreme value.
    """
    pieces = waveforms.stream.split()
    pieces.sort()
    breaks = [row for row in pieces.get_gaps()]
    gaps = [row for row in breaks if row[-1] > 0]
    overlaps = [row for row in breaks if row[-1] < 0]
    ids = sorted({trace.id for trace in pieces})
    notes = list(waveforms.notes)
    peaks, offsets, clipped, nans = [], [], [], 0
    for name in ids:
        values = np.concatenate([np.asarray(trace.data, float) for trace in pieces if trace.id == name])
        bad = int(np.sum(~np.isfinite(values)))
        nans += bad
        if bad:
            notes.append(f"{name} holds {bad} samples that are NaN or infinite")
        finite = values[np.isfinite(values)]
        peaks.append(float(np.abs(finite).max()) if len(finite) else 0.0)
        offsets.append(float(finite.mean()) if len(finite) else 0.0)
        if not len(finite) or np.ptp(finite) == 0:
            notes.append(f"{name} is dead: every sample is {finite[0]:g}" if len(finite) else f"{name} has no finite sample")
        elif _clipped(finite):
            clipped.append(name)
    facts = waveforms.summary() | {
        "channels": Quantity(ids, "", "channels"),
        "samples": Quantity(int(sum(len(trace) for trace in pieces)), "", "samples in all"),
        "gaps": Quantity(len(gaps), "", "gaps"),
        "overlaps": Quantity(len(overlaps), "", "overlaps"),
        "peak_amplitude": Quantity(max(peaks), waveforms.unit, "peak amplitude"),
        "clipped_channels": Quantity(len(clipped), "", "clipped channels"),
        "nan_samples": Quantity(nans, "", "samples that are not numbers"),
    }
    facts["traces"] = Quantity(len(pieces), "", "traces")
    if gaps:
        facts["gap_samples"] = Quantity([int(row[-1]) for row in gaps], "", "missing samples, gap by gap")
        facts["longest_gap"] = Quantity(round(max(float(row[6]) for row in gaps), 9), "s", "longest gap")
        notes += [f"{_name(row)}: {int(row[-1])} samples missing after {row[4]}" for row in gaps[:10]]
    if overlaps:
        facts["overlap_samples"] = Quantity([int(-row[-1]) for row in overlaps], "", "samples given twice, overlap by overlap")
        notes += [f"{_name(row)}: {int(-row[-1])} samples given twice from {row[5]}" for row in overlaps[:10]]
    if clipped:
        facts["clipped"] = Quantity(clipped, "", "clipped channels by name")
    first = {name: next(trace for trace in pieces if trace.id == name) for name in ids}
    arrays = {
        "channel": np.array(ids),
        "sampling_rate": np.array([first[name].stats.sampling_rate for name in ids]),
        "start": np.array([str(first[name].stats.starttime) for name in ids]),
        "end": np.array([str(max(t.stats.endtime for t in pieces if t.id == name)) for name in ids]),
        "samples": np.array([sum(len(t) for t in pieces if t.id == name) for name in ids]),
        "gaps": np.array([sum(_name(row) == name for row in gaps) for name in ids]),
        "overlaps": np.array([sum(_name(row) == name for row in overlaps) for name in ids]),
        "peak": np.array(peaks),
        "mean": np.array(offsets),
        "clipped": np.array([name in clipped for name in ids]),
    }
    return Report(title=f"Inspection of {waveforms.title or 'the seismograms'}", facts=facts, notes=tuple(notes), arrays=arrays)


@tool(
    discipline="seismology",
    stage="processing",
    say=(
        "Remove the instrument response from {waveforms}",
        "Deconvolve {waveforms} with {response} to {output} between {low} and {high}",
        "turn counts into ground {output}",
        "correct {waveforms} for the seismometer, I want {output} in SI units",
        "instrument correction on {waveforms} pls",
        "Restitute {waveforms} to {output}, prefilter {low} to {high}",
        "convert the raw record to m/s using the StationXML",
        "I need true ground displacement from {waveforms}",
        "make the response away from {waveforms}, output {output}",
        "take out the instrument from the seismogram, pass band {low} - {high}",
    ),
    reference="Havskov & Alguacil 2016, Instrumentation in Earthquake Seismology, Springer",
    truth="there and back within 1 % in displacement, velocity and acceleration",
)
def remove_response(
    waveforms: Waveforms,
    response: Response,
    output: Literal["displacement", "velocity", "acceleration"] = "velocity",
    low: Annotated[Hertz, "lowest frequency kept"] | None = None,
    high: Annotated[Hertz, "highest frequency kept"] | None = None,
) -> Waveforms:
    """Seismograms in ground displacement (m), velocity (m/s) or acceleration (m/s2), the instrument taken out.

    Spectral division without water level inside a cosine prefilter that is flat from `low` to `high`, zero below half of
    `low` and above 1.25 `high` (or 0.98 Nyquist). Where they are not given, `low` is five cycles a record and `high`
    80 % of Nyquist, and an earlier filter narrows both. The first and last 5 % are tapered. The response has to match
    network, station, location, channel and time.
    """
    if waveforms.quantity != "counts":
        raise Refusal(
            "E_PHYSICS",
            f"these seismograms hold {waveforms.quantity} in {waveforms.unit}: their instrument response was removed already.",
            "Start from the record in counts.",
        )
    traces, notes = segments(waveforms)
    _match(traces, response)
    nyquist = min(trace.stats.sampling_rate for trace in traces) / 2
    band = waveforms.band or (0.0, float("inf"))
    duration = min(trace.stats.npts * trace.stats.delta for trace in traces)
    bottom, top = low, high
    if bottom is None:
        bottom = max(5 / duration, band[0])
        notes.append(f"low corner {bottom:.4g} Hz chosen: five cycles in the shortest piece ({duration:g} s), not below an earlier filter")
    if top is None:
        top = min(0.8 * nyquist, band[1])
        notes.append(f"high corner {top:.4g} Hz chosen: 80 % of the lowest Nyquist frequency ({nyquist:g} Hz), not above an earlier filter")
    _below_nyquist(top, nyquist)
    if not bottom < top:
        raise ValueError(f"need low < high, got low {bottom:g} Hz and high {top:g} Hz")
    if bottom >= band[1] or top <= band[0]:
        raise Refusal("E_PHYSICS", f"{bottom:g} to {top:g} Hz lies outside the {band[0]:g} to {band[1]:g} Hz an earlier filter left.")
    if bottom * duration < 1:
        raise Refusal("E_PHYSICS", f"one cycle at {bottom:g} Hz lasts {1 / bottom:g} s, the shortest piece only {duration:g} s.", "Raise low.")
    corners = (bottom / 2, bottom, top, min(1.25 * top, 0.98 * nyquist) if top < 0.97 * nyquist else (top + nyquist) / 2)
    code, unit = GROUND[output]
    stream = waveforms.stream.__class__()
    for trace in traces:
        trace.remove_response(inventory=response.inventory, output=code, pre_filt=corners, water_level=None, taper_fraction=0.05)
        stream.append(trace)
    notes.append("cosine prefilter at " + ", ".join(f"{corner:.4g}" for corner in corners) + " Hz; first and last 5 % of every piece tapered")
    peak = float(max(np.abs(trace.data).max() for trace in stream))
    largest = max(stream, key=lambda trace: np.abs(trace.data).max())
    facts = {
        "peak": Quantity(peak, unit, f"peak ground {output}"),
        "peak_channel": Quantity(largest.id, "", f"channel of the peak ground {output}"),
        "band": Quantity([float(max(bottom, band[0])), float(min(top, band[1]))], "Hz", "band kept"),
        "traces": Quantity(len(stream), "", "traces corrected"),
    }
    kept = (max(bottom, band[0]), min(top, band[1]))
    return waveforms.made(facts=facts, notes=tuple(notes), stream=stream, quantity=output, unit=unit, band=kept)


@tool(
    discipline="seismology",
    stage="processing",
    say=(
        "Filter {waveforms} between {low} and {high}",
        "bandpass {waveforms} {low} to {high}",
        "high-pass {waveforms} at {low}",
        "low-pass the seismograms below {high}",
        "remove the microseism from {waveforms}, keep above {low}",
        "Apply a zero-phase Butterworth from {low} to {high} to {waveforms}",
        "get rid of everything above {high} in the earthquake record",
        "band pass filter {low}-{high} on the stream please",
        "please to filter {waveforms} from {low} until {high}",
        "cut the low frequencies under {low} from {waveforms}",
    ),
    reference="Havskov & Ottemöller 2010, Routine Data Processing in Earthquake Seismology, Springer",
    truth="an impulse comes back symmetric (1e-9), half as strong at the corners and whole between within 0.005",
)
def filter_waveforms(
    waveforms: Waveforms, low: Annotated[Hertz, "low corner"] | None = None, high: Annotated[Hertz, "high corner"] | None = None
) -> Waveforms:
    """Seismograms filtered without phase shift: Butterworth, four poles, forward and backward (6 dB down at the corners).

    `low` alone makes a high-pass, `high` alone a low-pass. Zero phase spreads an onset to times before it: do not pick on
    the result.
    """
    from scipy.signal import butter, sosfiltfilt

    if low is None and high is None:
        raise ValueError("give a low corner, a high corner, or both, in Hz")
    if low is not None and high is not None and not low < high:
        raise ValueError(f"need low < high, got low {low:g} Hz and high {high:g} Hz")
    traces, notes = segments(waveforms)
    nyquist = min(trace.stats.sampling_rate for trace in traces) / 2
    _below_nyquist(max(corner for corner in (low, high) if corner is not None), nyquist)
    duration = min(trace.stats.npts * trace.stats.delta for trace in traces)
    if low is not None and low * duration < 1:
        raise Refusal("E_PHYSICS", f"one cycle at {low:g} Hz lasts {1 / low:g} s, the shortest piece only {duration:g} s.", "Raise low.")
    corners: Any = [low, high] if low is not None and high is not None else low if low is not None else high
    shape = "bandpass" if low is not None and high is not None else "highpass" if low is not None else "lowpass"
    stream = waveforms.stream.__class__()
    before = after = 0.0
    for trace in traces:
        sos = butter(POLES, corners, shape, fs=trace.stats.sampling_rate, output="sos")
        before += float(np.sum((trace.data - trace.data.mean()) ** 2))
        pad = min(trace.stats.npts - 1, round(3 * trace.stats.sampling_rate / (low or high or 1)))
        trace.data = sosfiltfilt(sos, trace.data, padlen=pad)
        after += float(np.sum((trace.data - trace.data.mean()) ** 2))
        stream.append(trace)
    old = waveforms.band or (0.0, nyquist)
    kept = (max(low or 0.0, old[0]), min(high or nyquist, old[1]))
    if not kept[0] < kept[1]:
        notes.append(f"an earlier filter left {old[0]:g} to {old[1]:g} Hz: hardly any of the signal is in the new band")
        kept = (low or 0.0, high or nyquist)
    notes.append(f"zero-phase Butterworth {shape}, {POLES} poles each way, 6 dB down at the corners; onsets spread to earlier times")
    facts = {
        "band": Quantity([float(kept[0]), float(kept[1])], "Hz", "band kept"),
        "energy_kept": Quantity(round(100 * after / before, 4) if before > 0 else 0.0, "%", "share of the energy kept"),
        "peak": Quantity(float(max(np.abs(trace.data).max() for trace in stream)), waveforms.unit, "peak amplitude"),
        "traces": Quantity(len(stream), "", "traces filtered"),
    }
    return waveforms.made(facts=facts, notes=tuple(notes), stream=stream, band=kept)


@tool(
    discipline="seismology",
    stage="modelling",
    say=(
        "When does {phases} arrive at {distance}?",
        "Travel time of {phases} for an epicentral distance of {distance} and a source at {depth}",
        "P and S travel times at {distance} in {model}",
        "how long does the P wave need for {distance}",
        "TauP {distance} depth {depth} phases {phases}",
        "S minus P time at {distance} please",
        "compute arrivals in {model} for a quake {depth} deep, {distance} away",
        "What's the {phases} time through the earth at {distance}, focus {depth}?",
        "teleseismic arrival times {distance} {model}",
        "does {phases} arrive at {distance} at all?",
    ),
    reference="Crotwell, Owens & Ritsema 1999, The TauP Toolkit, Seismol. Res. Lett. 70; Kennett & Engdahl 1991 (iasp91)",
    truth="iasp91 at 30 degrees: P 370.26 s within 0.01, S 670.27 s within 0.02",
)
def earth_travel_times(
    distance: Epicentral,
    depth: SourceDepth = 0.0,
    phases: Annotated[str, "seismic phases, separated by commas"] = "P,S",
    model: Literal["iasp91", "ak135", "prem"] = "iasp91",
) -> Report:
    """Travel times of seismic phases through a standard spherical earth, s, the first arrival of each named phase.

    The surface is at zero depth, ellipticity and station height are not corrected for. S-P is given when both arrive.
    """
    Unit("deg", low=0, high=180).check("distance", distance)
    Unit("km", low=0, high=800).check("depth", depth)
    wanted = list(dict.fromkeys(name for name in phases.replace(" and ", ",").replace(";", ",").replace(" ", ",").split(",") if name))
    if not wanted:
        raise ValueError(f"name at least one phase, e.g. {PHASE_EXAMPLES}")
    arrivals = _arrivals(distance, depth, wanted, model)
    facts, notes = {}, []
    where = f"at {distance:g} deg from a source {depth:g} km deep"
    for name in wanted:
        times = sorted(float(arrival.time) for arrival in arrivals if arrival.name == name)
        if not times:
            notes.append(f"{name} does not arrive {where}{_instead(distance, depth, name, model)}")
            continue
        facts[name] = Quantity(round(times[0], 3), "s", f"{name} travel time")
        if len(times) > 1:
            notes.append(f"{name} arrives on {len(times)} branches, {times[0]:.2f} to {times[-1]:.2f} s; the first is given")
    if "P" in facts and "S" in facts:
        facts["S_minus_P"] = Quantity(round(facts["S"].value - facts["P"].value, 3), "s", "S minus P time")
    missing = [name for name in wanted if name not in facts]
    if missing:
        facts["missing"] = Quantity(missing, "", "phases that do not arrive")
    notes.append(f"model {model}, spherical earth, source {depth:g} km below the surface, receiver at the surface")
    ordered = sorted(arrivals, key=lambda arrival: (arrival.time, arrival.name))
    arrays = {
        "phase": np.array([arrival.name for arrival in ordered], dtype=str),
        "time": np.array([float(arrival.time) for arrival in ordered]),  # s
        "slowness": np.array([float(arrival.ray_param_sec_degree) for arrival in ordered]),  # s/deg
        "takeoff_angle": np.array([float(arrival.takeoff_angle) for arrival in ordered]),  # deg from straight down
        "incident_angle": np.array([float(arrival.incident_angle) for arrival in ordered]),  # deg from the vertical
    }
    title = f"Travel times of {', '.join(wanted)} {where} ({model})"
    return Report(title=title, facts=facts, notes=tuple(notes), arrays=arrays, drawing="travel_times" if ordered else "")


def segments(waveforms: Waveforms) -> tuple[list[obspy.Trace], list[str]]:
    """(copies of the record's gap-free pieces in float64, notes on what was split or left out); Refusal where samples are NaN."""
    pieces = waveforms.stream.split()
    bad = {trace.id: int(np.sum(~np.isfinite(trace.data))) for trace in pieces}
    if held := {name: count for name, count in bad.items() if count}:
        shown = ", ".join(f"{name}: {count}" for name, count in sorted(held.items()))
        raise Refusal("E_DATA", f"samples that are NaN or infinite ({shown}).", "Cut or repair the record first.")
    notes = []
    channels = len({trace.id for trace in pieces})
    if len(pieces) > channels:
        notes.append(f"the {channels} channels have gaps: {len(pieces)} pieces were worked on one by one, nothing was filled in")
    kept = []
    for trace in pieces:
        if trace.stats.npts < 32:
            notes.append(f"{trace.id}: a piece of {trace.stats.npts} samples was left out as too short")
            continue
        trace = trace.copy()
        trace.data = np.asarray(trace.data, np.float64)
        kept.append(trace)
    if not kept:
        raise Refusal("E_DATA", f"no gap-free piece of at least 32 samples among {len(pieces)}.")
    return kept, notes


def _match(traces: Iterable[obspy.Trace], response: Response) -> None:
    """Refusal unless every trace has a response of a ground-motion sensor over its whole time."""
    held = sorted({channel for network in response.inventory for channel in network.get_contents()["channels"]})
    for trace in traces:
        stats = trace.stats
        try:
            found = [response.inventory.get_response(trace.id, time) for time in (stats.starttime, stats.endtime)]
        except Exception as error:  # obspy raises the bare class
            same = sorted({name for name in held if name == trace.id})
            why = f"it has {same[0]}, but not for this time" if same else f"it holds {', '.join(held[:12])}{' ...' if len(held) > 12 else ''}"
            raise Refusal(
                "E_DATA",
                f"the response has nothing for {trace.id} from {stats.starttime} to {stats.endtime}: {why}.",
                "Give the StationXML of this channel and epoch.",
            ) from error
        if found[0] is not found[1] and found[0].instrument_sensitivity != found[1].instrument_sensitivity:
            raise Refusal("E_DATA", f"the response of {trace.id} changes between {stats.starttime} and {stats.endtime}.", "Cut the record there.")
        if not found[0].response_stages:
            raise Refusal("E_DATA", f"the response of {trace.id} has no stages: poles and zeros are needed.")
        unit = (found[0].response_stages[0].input_units or "").upper()
        if unit not in MOTION:
            raise Refusal("E_UNITS", f"the sensor of {trace.id} records {unit or 'an unnamed unit'}, not ground motion.")


def _below_nyquist(corner: float, nyquist: float) -> None:
    if not corner < nyquist:
        raise Refusal(
            "E_PHYSICS",
            f"the corner of {corner:g} Hz is not below the Nyquist frequency of {nyquist:g} Hz ({2 * nyquist:g} samples/s).",
            f"Choose a corner below {nyquist:g} Hz.",
        )


def _clipped(values: np.ndarray) -> bool:
    """Whether the extreme value is held for CLIP_RUN samples in a row, in a record resolved well enough to tell."""
    if len(np.unique(values)) < 50:
        return False
    for extreme in (values.max(), values.min()):
        flat = np.concatenate(([0], (values == extreme).astype(int), [0]))
        edges = np.flatnonzero(np.diff(flat))
        if (edges[1::2] - edges[::2]).max() >= CLIP_RUN:
            return True
    return False


def _name(row: list[Any]) -> str:
    """NET.STA.LOC.CHA of a row of obspy's get_gaps."""
    return ".".join(row[:4])


def _arrivals(distance: float, depth: float, wanted: list[str], model: str) -> list[Any]:
    from obspy.taup import TauPyModel

    said = io.StringIO()
    try:
        if any(name.startswith("tt") for name in wanted):
            raise ValueError("groups of phases")
        with contextlib.redirect_stdout(said):  # TauP prints the phases it skips
            arrivals = list(TauPyModel(model).get_travel_times(depth, distance, phase_list=wanted))
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{', '.join(wanted)}: not phases TauP knows ({error}); name phases such as {PHASE_EXAMPLES}") from error
    if "skipping" in said.getvalue():
        skipped = ", ".join(line.rsplit(":", 1)[-1].strip() for line in said.getvalue().splitlines() if "skipping" in line)
        raise ValueError(f"{skipped} is no phase of {model}; name phases such as {PHASE_EXAMPLES}")
    return arrivals


def _instead(distance: float, depth: float, name: str, model: str) -> str:
    """What arrives in place of a missing P or S: upgoing close by, diffracted or through the core far away."""
    others = {"P": ["p", "Pdiff", "PKIKP"], "S": ["s", "Sdiff", "SKS", "SKIKS"]}.get(name)
    arrivals = sorted(_arrivals(distance, depth, others, model), key=lambda arrival: arrival.time) if others else []
    return f"; {arrivals[0].name} does, after {arrivals[0].time:.2f} s" if arrivals else ""
