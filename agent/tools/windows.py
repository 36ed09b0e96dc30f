"""A stretch of time cut out of seismograms, a section or gathers. Parts of a volume and ranges of CDPs are cut in `quality`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import numpy as np

from moho.agent.registry import tool
from moho.errors import Refusal
from moho.survey import Gather, Seismic, Waveforms
from moho.units import Quantity, TimeShift

LEAST = 2  # samples of a window


@tool(
    discipline="seismology",
    stage="processing",
    reference="Havskov & Ottemöller 2010, Routine Data Processing in Earthquake Seismology, Springer; SEG 2023, SEG-Y_r2.1 (delay recording time)",
    truth="the samples inside are the very ones of the record (difference 0), and the first keeps its time to 1e-9 s",
    say=(
        "Cut {data} from {start} to {end}",
        "cut out the window {start} - {end} of {data}",
        "trim {data} to {start} until {end}",
        "only keep the record {data} between {utc_start} and {utc_end}",
        "window the seismograms {data} {utc_start} to {utc_end} pls",
        "I need just {start} to {end} two-way time of {data}",
        "shorten the gather {data}, everything after {end} away",
        "throw away the first part of {data}, begin at {start}",
        "please to take the time interval {start} to {end} out of {data}",
        "slice {data} around the event, {utc_start} {utc_end}",
    ),
)
def cut_window(
    data: Waveforms | Seismic | Gather,
    start: Annotated[TimeShift, "start of the window: seconds of the record, or two-way time"] | None = None,
    end: Annotated[TimeShift, "end of the window: seconds of the record, or two-way time"] | None = None,
    utc_start: Annotated[str, "start of the window as a UTC time"] | None = None,
    utc_end: Annotated[str, "end of the window as a UTC time"] | None = None,
) -> Waveforms | Seismic | Gather:
    """The samples between two times, both included, with the sampling they had and the time of the first one.

    Seconds of seismograms count from the earliest start of the record. What is not given stays: without `end` the rest of the record.
    Samples are not interpolated: the window begins and ends at the nearest ones. A window that leaves the record is refused.
    """
    if start is None and end is None and utc_start is None and utc_end is None:
        raise ValueError("give a start, an end, or both")
    if isinstance(data, Waveforms):
        return _seismograms(data, start, end, utc_start, utc_end)
    if utc_start is not None or utc_end is not None:
        raise ValueError("sections and gathers have times after the shot, not UTC: give start and end in seconds")
    if isinstance(data, Seismic) and data.domain != "time":
        raise Refusal("E_UNITS", f"{data.title or 'the section'} is in depth: a window of time cannot be cut out of it.")
    step, count = data.dt, data.data.shape[1]
    last = data.t0 + step * (count - 1)
    first_time, last_time = data.t0 if start is None else start, last if end is None else end
    _inside(first_time, last_time, (data.t0, last), step, "s", "the record")
    begin, stop = round((first_time - data.t0) / step), round((last_time - data.t0) / step) + 1
    _enough(stop - begin, step)
    kept = replace(data, data=np.ascontiguousarray(data.data[:, begin:stop]), t0=round(data.t0 + step * begin, 9), view={}, facts={})
    facts = {
        **kept.summary(),
        "start": Quantity(kept.t0, "s", "time of the first sample"),
        "end": Quantity(round(kept.t0 + step * (stop - begin - 1), 9), "s", "time of the last sample"),
        "largest_amplitude": Quantity(float(np.nan_to_num(np.abs(kept.data)).max()), "", "largest absolute amplitude"),
    }
    return data.made(facts=facts, notes=data.notes, data=kept.data, t0=kept.t0, view={})


def _seismograms(data: Waveforms, start: float | None, end: float | None, utc_start: str | None, utc_end: str | None) -> Waveforms:
    if (start is not None and utc_start is not None) or (end is not None and utc_end is not None):
        raise ValueError("give each end of the window once, in seconds or as UTC")
    record = min(trace.stats.starttime for trace in data.stream), max(trace.stats.endtime for trace in data.stream)
    step = max(trace.stats.delta for trace in data.stream)
    times = [
        _utc(written) if written is not None else record[0] + seconds if seconds is not None else edge
        for written, seconds, edge in ((utc_start, start, record[0]), (utc_end, end, record[1]))
    ]
    span = (0.0, float(record[1] - record[0]))
    words = f"the record, {record[0]} to {record[1]},"
    _inside(float(times[0] - record[0]), float(times[1] - record[0]), span, step, "s after its start", words)
    _enough(round(float(times[1] - times[0]) / step) + 1, step)
    stream = data.stream.__class__()
    left, short = [], []
    for trace in data.stream:
        part = trace.slice(*times, nearest_sample=True)
        if not part.stats.npts:
            left.append(trace.id)
            continue
        if part.stats.starttime - times[0] > trace.stats.delta or times[1] - part.stats.endtime > trace.stats.delta:
            short.append(trace.id)
        stream.append(part.copy())
    if not len(stream):
        raise Refusal("E_DATA", f"no trace has samples between {times[0]} and {times[1]}: the record has a gap there.")
    notes = list(data.notes)
    if lost := sorted(set(left) - {trace.id for trace in stream}):
        notes.append(f"no samples in the window, left out: {', '.join(lost)}")
    if short:
        notes.append(f"{', '.join(sorted(set(short)))} hold only part of the window: they begin late, end early or have gaps")
    kept = data.made(stream=stream, view={})
    facts = {
        **kept.summary(),
        "duration": Quantity(round(float(times[1] - times[0]), 6), "s", "length of the window"),
        "offset": Quantity(round(float(times[0] - record[0]), 6), "s", "start of the window after the start of the record"),
        "samples": Quantity(int(sum(trace.stats.npts for trace in stream)), "", "samples kept in all"),
    }
    return data.made(facts=facts, notes=tuple(notes), stream=stream, view={})


def _utc(written: str) -> Any:
    from obspy import UTCDateTime

    try:
        return UTCDateTime(written)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{written!r} is no UTC time; write it like 2010-05-27T16:24:33") from error


def _inside(start: float, end: float, span: tuple[float, float], step: float, unit: str, what: str) -> None:
    """Refusal where a window leaves the record by more than half a sample."""
    if not start < end:
        raise ValueError(f"need start < end, got {start:g} and {end:g} s")
    if start < span[0] - 0.5 * step or end > span[1] + 0.5 * step:
        said = f"the window from {start:.6g} to {end:.6g} {unit} is not inside {what} which has {span[0]:.6g} to {span[1]:.6g} {unit}"
        raise Refusal("E_DATA", f"{said}.", f"Give a window between {span[0]:.6g} and {span[1]:.6g} s.")


def _enough(samples: int, step: float) -> None:
    if samples < LEAST:
        raise Refusal("E_DATA", f"the window holds {samples} sample(s) {step:g} s apart; {LEAST} are the least.", "Take a longer window.")
