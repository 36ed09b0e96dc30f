"""What a seismic file holds, where it lies and how good its traces are; and a part of it cut out.

Waveforms, logs and tables have inspection tools of their own in other modules. Reading the bytes is `moho.segy`.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from moho.agent.registry import Cost, tool
from moho.errors import Missing, Refusal
from moho.survey import Array, Gather, Report, Seismic, Volume
from moho.units import Number, Percent, Quantity, TimeShift
from moho.volumes import looking, measured


def _qc_cost(line: Seismic | Gather | Volume, **given: Any) -> Cost:
    """The pass over a volume reads it; nothing is written."""
    return Cost(*looking(line, 0.05, 8)) if isinstance(line, Volume) else Cost(0.05e-6 * line.data.size, 24.0 * line.data.size)


@tool(
    discipline="seismic",
    stage="inspect",
    reference="SEG Technical Standards Committee 2023, SEG-Y_r2.1, SEG",
    truth="NPRA: 534 traces, 1501 samples, 4 ms, CDP 101 to 634; Viking: 4 shots of 120 channels, offsets 262 to 3237 m",
    say=(
        "What is in {data}?",
        "How many traces and samples does {data} have?",
        "inspect {data}",
        "Show me the headers of {data}",
        "what is the sample interval and record length of {data}",
        "segy info {data}",
        "Describe the SEG-Y file {data}: format code, CDP range, dt",
        "how many shots and channels in {data}, and the offsets?",
        "please tell me the parameters of the file {data}",
        "summary of {data} pls",
        "Which bytes were used to read {data}?",
    ),
)
def segy_inspect(data: Seismic | Gather | Volume) -> Report:
    """The numbers that describe a seismic data set, and in its notes the header bytes they were read from."""
    facts = dict(data.summary())
    read = ("format_code", "group_interval", "shot_interval", "dead_traces", "nan_samples")
    facts |= {key: data.facts[key] for key in read if key in data.facts}
    broken: tuple[str, ...] = ()
    if not isinstance(data, Volume):
        facts["largest_amplitude"] = Quantity(_largest(data.data), "", "largest absolute amplitude")
        holes, dead = int((~np.isfinite(data.data)).sum()), int((~np.asarray(data.data, bool).any(axis=1)).sum())
        broken += (f"{holes} of {data.data.size} samples are NaN or infinite",) if holes else ()
        broken += (f"{dead} of {len(data.data)} traces are dead",) if dead else ()
    if isinstance(data, Gather):
        facts |= {key: value for key, value in _intervals(data).items() if key not in facts}
        facts["near_offset"] = Quantity(float(np.abs(data.offset).min()), "m", "near offset")
        facts["far_offset"] = Quantity(float(np.abs(data.offset).max()), "m", "far offset")
    if isinstance(data, Volume):
        end = data.t0 + data.dt * (data.samples - 1)
        facts["end"] = Quantity(round(end, 9), "s" if data.domain == "time" else "m", f"last sample {data.domain}")
        bytes_used = ", ".join(f"{name} {byte}" for name, byte in data.header_bytes.items())
        notes = (f"header bytes: {bytes_used}",) if bytes_used else ()
    else:
        notes = ()
        facts["start"] = Quantity(round(data.t0, 9), "s" if _is_time(data) else "m", "first sample")
    if data.polarity == "unknown":
        notes = (*notes, "the polarity is unknown: SEG-Y headers do not tell it")
    return Report(title=f"contents of {data.title}".strip(), facts=facts, notes=(*data.notes, *broken, *notes), history=data.history)


@tool(
    discipline="seismic",
    stage="inspect",
    reference="SEG Technical Standards Committee 2023, SEG-Y_r2.1, SEG",
    truth="a cut holds the very samples inside it (difference 0); inlines and crosslines of F3 meet in the same samples",
    say=(
        "Take inline {inline} out of {data}",
        "Read crossline {crossline} of {data}",
        "extract inline {inline} from {data} between {top} and {base}",
        "cut {data} to CDP {first_cdp} - {last_cdp}",
        "Give me only the traces {first_cdp} to {last_cdp} of {data}",
        "window {data} from {top} to {base}",
        "IL {inline} of {data} pls",
        "I need a 2-D section from the cube {data}: xline {crossline}",
        "please to load inline {inline} of volume {data}",
        "crop {data}, time {top} to {base}, cdp {first_cdp} to {last_cdp}",
        "Open {data} at crossline {crossline}",
    ),
)
def segy_read(
    data: Volume | Seismic,
    inline: Annotated[Number, "inline to read"] | None = None,
    crossline: Annotated[Number, "crossline to read"] | None = None,
    first_cdp: Annotated[Number, "first CDP to keep"] | None = None,
    last_cdp: Annotated[Number, "last CDP to keep"] | None = None,
    top: Annotated[TimeShift, "earliest time to keep"] | None = None,
    base: Annotated[TimeShift, "latest time to keep"] | None = None,
) -> Seismic:
    """One inline or crossline of a volume, or part of a section: a range of CDPs and a window of time, ends included.

    On an inline `first_cdp` and `last_cdp` count crosslines, on a crossline inlines.
    """
    if top is not None and base is not None and not top < base:
        raise ValueError(f"need top < base, got {top:g} and {base:g} s")
    if first_cdp is not None and last_cdp is not None and first_cdp > last_cdp:
        raise ValueError(f"need first_cdp <= last_cdp, got {first_cdp} and {last_cdp}")
    if data.domain != "time" and (top is not None or base is not None):
        raise Refusal("E_UNITS", f"{data.title or 'the data'} is in depth; top and base are times.", "Leave top and base out.")
    if isinstance(data, Volume):
        line = _slice(data, inline, crossline)
    elif inline is not None or crossline is not None:
        hint = "Give first_cdp and last_cdp instead."
        raise Refusal("E_GEOMETRY", f"{data.title or 'this'} is a 2-D section: it has no inlines or crosslines.", hint)
    else:
        line = data
    rows, columns = _between(line, first_cdp, last_cdp), _within(line, top, base)
    cut: dict[str, Any] = {name: array[rows] for name in ("cdp", "x", "y") if (array := getattr(line, name)) is not None}
    cut["data"] = np.ascontiguousarray(line.data[rows, columns])
    cut["t0"] = round(line.t0 + line.dt * columns.start, 9)
    if isinstance(data, Volume):
        cut["view"] = {**line.view, "numbers": "crossline" if inline is not None else "inline"}
    result = line.made(notes=(*line.notes, *_beyond(line, first_cdp, last_cdp, top, base)), **cut)
    facts = dict(result.summary())
    facts["largest_amplitude"] = Quantity(_largest(result.data), "", "largest absolute amplitude")
    return result.made(facts=facts, notes=result.notes)


@tool(
    discipline="seismic",
    stage="inspect",
    reference="SEG Technical Standards Committee 2023, SEG-Y_r2.1, SEG",
    truth="a made line: its length and spacing (1e-6), azimuth within 0.001 degrees; F3 bins of 25 m; NPRA, without coordinates, is refused",
    say=(
        "How long is line {data}?",
        "Where does {data} lie?",
        "trace spacing and extent of {data}",
        "check the geometry of {data}",
        "Is there a valid geometry in {data}?",
        "what are the coordinates of {data}",
        "bin size and corner points of {data}",
        "how far apart are the traces of {data}",
        "please give length and the spacing of the profile {data}",
        "line length {data} pls",
    ),
)
def segy_geometry(data: Seismic | Gather | Volume) -> Report:
    """Length, trace spacing and extent from the coordinates of the traces.

    Length follows the line from trace to trace. Raises Refusal E_GEOMETRY where coordinates are absent or constant.
    """
    if isinstance(data, Volume):
        return _volume_geometry(data)
    x, y, words = _positions(data)
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good], y[good]
    if not len(x) or (np.ptp(x) == 0 and np.ptp(y) == 0):
        where = f"all {len(x)} traces lie at x = {x[0]:g} m, y = {y[0]:g} m" if len(x) else "no trace has coordinates"
        hint = "Name the header bytes of the coordinates if they stand elsewhere in the file."
        raise Refusal("E_GEOMETRY", f"{data.title or 'the line'} has no usable geometry: {where}.", hint)
    facts = {
        "easting": Quantity([float(x.min()), float(x.max())], "m", "easting range"),
        "northing": Quantity([float(y.min()), float(y.max())], "m", "northing range"),
    }
    notes = [words, f"coordinate reference system {data.crs}"]
    if (~good).any():
        notes.append(f"{int((~good).sum())} of {len(good)} traces have no position and were left out")
    if isinstance(data, Seismic):
        steps = np.hypot(np.diff(x), np.diff(y))
        facts["length"] = Quantity(round(float(steps.sum()), 3), "m", "line length")
        facts["spacing"] = Quantity(round(float(np.median(steps)), 4), "m", "trace spacing (median)")
        azimuth = float(np.degrees(np.arctan2(x[-1] - x[0], y[-1] - y[0]))) % 360
        facts["azimuth"] = Quantity(round(azimuth, 3), "deg", "azimuth from first to last trace")
        if (steps > 3 * np.median(steps)).any() or (steps == 0).any():
            notes.append(f"spacing is uneven: from {steps.min():.4g} to {steps.max():.4g} m")
    else:
        facts |= _intervals(data)
        facts["offset"] = Quantity([float(np.abs(data.offset).min()), float(np.abs(data.offset).max())], "m", "offset range")
    title = f"geometry of {data.title}".strip()
    return Report(title=title, facts=facts, notes=tuple(notes), arrays={"x": x, "y": y}, drawing="geometry")


@tool(
    discipline="seismic",
    stage="inspect",
    cost=_qc_cost,
    reference="Yilmaz 2001, Seismic Data Analysis, SEG, sections 1.2 (amplitude spectra) and 1.5 (trace editing)",
    truth="a sine of 25 Hz peaks there within 0.02 Hz; NPRA holds 5 to 95 % of its energy in 8.5 to 40.3 Hz within 0.3",
    say=(
        "QC the traces of {line}",
        "What is the bandwidth of {line}?",
        "Which frequencies hold {low_share} to {high_share} of the energy in {line}?",
        "dominant frequency of {line}",
        "any dead or noisy traces in {line}?",
        "amplitude spectrum of {line}",
        "check the data quality of {line}",
        "is {line} clipped, or are there NaNs?",
        "trace qc {line} pls",
        "please to verify the quality and frequency content of {line}",
        "peak frequency and energy band of {line}",
    ),
)
def trace_qc(
    line: Seismic | Gather | Volume,
    low_share: Annotated[Percent, "share of the energy below the band"] = 5,
    high_share: Annotated[Percent, "share of the energy below the top of the band"] = 95,
) -> Report:
    """Peak frequency, the band that holds most energy, rms, and counts of dead, noisy, clipped and NaN; no peak where the spectrum is flat.

    Spectrum: mean power of the Hann-tapered live traces; flat where no sixteenth of it holds twice the usual power, or less than half
    of it: white noise, or a spike. A sample or a trace that holds most of the energy is named. Noisy: rms more than five times above
    or below the median of the 11 live traces around. Clipped: samples at the largest absolute amplitude with a neighbour there too.
    A volume is read once, chunk by chunk; its traces follow one another as in the file.
    """
    from scipy.ndimage import median_filter

    if not low_share < high_share:
        raise ValueError(f"need low_share < high_share, got {low_share:g} and {high_share:g} %")
    samples = line.samples if isinstance(line, Volume) else line.data.shape[1]
    if samples < 8:
        raise Refusal("E_PHYSICS", f"{samples} samples a trace are too few for a spectrum; it needs 8.")
    live, each, power, clipped, nans, notes = _volume_traces(line) if isinstance(line, Volume) else _line_traces(line)
    frequency = np.fft.rfftfreq(samples, line.dt)
    peak = None if _flat(power) else _peak(frequency, power)
    share = np.concatenate([[0.0], np.cumsum(power)]) / power.sum()
    edges = np.concatenate([[0.0], frequency + 0.5 * frequency[1]])
    band = [float(np.interp(level / 100, share, edges)) for level in (low_share, high_share)]
    usual = median_filter(each[live], min(11, int(live.sum())), mode="nearest")
    noisy = np.flatnonzero(live)[(each[live] > 5 * usual) | (each[live] < usual / 5)]
    unit = "Hz" if _is_time(line) else "1/m"
    facts = {
        "energy_band": Quantity([round(edge, 4) for edge in band], unit, f"band of {low_share:g} to {high_share:g} % of the energy"),
        "rms": Quantity(float(np.sqrt(np.mean(each[live] ** 2))), "", "rms amplitude"),
        "dead_traces": Quantity(int((~live).sum()), "", "dead traces"),
        "noisy_traces": Quantity(len(noisy), "", "noisy traces"),
        "clipped": Quantity(clipped, "", "clipped samples"),
        "nan_samples": Quantity(nans, "", "NaN or infinite samples"),
    }
    if peak is not None:
        facts = {"peak_frequency": Quantity(round(peak, 4), unit, "peak frequency"), **facts}
    else:
        notes = ("the spectrum is flat: it has no peak frequency, as of white noise or of a spike, and the band says nothing of a signal", *notes)
    notes = (*_dominant(line, live, each), *notes)
    if len(noisy):
        named = ", ".join(_names(line, noisy[:20]))
        what = "traces (inline/crossline)" if isinstance(line, Volume) else "traces"
        notes = (*notes, f"{what} of unusual rms: {named}{' and more' if len(noisy) > 20 else ''}")
    if unit == "1/m":
        notes = (*notes, "a depth section: frequencies are cycles a metre")
    if line.band is not None:
        notes = (*notes, f"an earlier filter left {line.band[0]:g} to {line.band[1]:g} Hz")
    return Report(
        title=f"quality of {line.title}".strip(),
        facts=facts,
        notes=notes,
        arrays={"frequency": frequency, "power": power, "band": np.array(band)},
        drawing="spectrum",
        labels={"x": f"frequency ({unit})"} | ({"flat": "no peak: the spectrum is flat"} if peak is None else {}),
    )


def _flat(power: Array) -> bool:
    """Whether the sixteenths of a spectrum are alike: none twice its usual power, none under half of it."""
    if len(power) < 34:
        return False
    parts = np.array([part.mean() for part in np.array_split(power[1:-1], 16)])
    usual = float(np.median(parts))
    return bool(parts.max() < 2 * usual and parts.min() > 0.5 * usual)


def _dominant(line: Seismic | Gather | Volume, live: Array, each: Array) -> tuple[str, ...]:
    """A warning where a sample, or one trace of many, holds so much of the energy that the spectrum is its own."""
    energy = np.where(live, each, 0.0) ** 2
    first = int(energy.argmax())
    if not isinstance(line, Volume):
        size = np.where(np.isfinite(line.data), np.abs(line.data), 0)
        top = size.max(axis=1).astype(np.float64)
        share = np.divide(top**2, energy * line.data.shape[1], out=np.zeros(len(top)), where=energy > 0)
        whole = float(top[first] ** 2 / (energy.sum() * line.data.shape[1]))
        if whole > 0.2:
            at = line.t0 + line.dt * int(size[first].argmax())
            return (f"one sample, on trace {_names(line, np.array([first]))[0]} at {at:.4g} s, holds {100 * whole:.0f} % of all energy: "
                    "a spike rules this spectrum; take it out first",)  # fmt: skip
        if float(np.median(share[live])) > 0.5:
            return (f"one sample a trace holds {100 * float(np.median(share[live])):.0f} % of its energy: spikes rule this spectrum",)
    if live.sum() > 4 and energy[first] > 0.5 * energy.sum():
        name = _names(line, np.array([first]))[0]
        return (f"trace {name} holds {100 * float(energy[first] / energy.sum()):.0f} % of all energy: the spectrum is that trace's",)
    return ()


def _line_traces(line: Seismic | Gather) -> tuple[Array, Array, Array, int, int, tuple[str, ...]]:
    """((trace,) live, (trace,) rms, (frequency,) mean power of the live ones, clipped samples, NaN samples, what to note)."""
    from moho.agent.tools.seismic_processing import amplitudes

    nans = int((~np.isfinite(line.data)).sum())
    data, live, notes = amplitudes(line)
    return live, _rms(data), _power(data[live]) / int(live.sum()), _clipped(data), nans, notes


def _volume_traces(volume: Volume) -> tuple[Array, Array, Array, int, int, tuple[str, ...]]:
    """The same of all traces of a volume in the order of the file; only two numbers a trace are kept."""
    parts = measured(volume, _of_chunk)
    live, each = np.concatenate([part["live"] for part in parts]), np.concatenate([part["rms"] for part in parts])
    nans, holed = sum(part["nans"] for part in parts), sum(part["holed"] for part in parts)
    if nans == volume.traces * volume.samples:
        raise Refusal("E_PHYSICS", f"all {nans} samples are NaN or infinite.", "Read the file again, or look at its sample format.")
    if not live.any():
        raise Refusal("E_PHYSICS", f"all {len(live)} traces are dead (zero).", "Look at the file with segy_inspect.")
    top = max(part["top"] for part in parts)
    clipped = sum(part["clipped"] for part in parts if part["top"] == top)
    notes = [f"{nans} NaN or infinite samples in {holed} traces taken as zero"] if nans else []
    notes += [f"{int((~live).sum())} dead traces stay dead"] if not live.all() else []
    return live, each, sum(part["power"] for part in parts) / int(live.sum()), clipped, nans, tuple(notes)


def _of_chunk(data: Array) -> dict[str, Any]:
    """What is added up over the chunks of a volume."""
    broken = ~np.isfinite(data)
    nans, holed = int(broken.sum()), int(broken.any(axis=1).sum())
    data[broken] = 0
    live = data.any(axis=1)
    found = {"live": live, "rms": _rms(data), "nans": nans, "holed": holed}
    return found | {"power": _power(data[live]), "top": float(np.abs(data).max()), "clipped": _clipped(data)}


def _rms(data: Array) -> Array:
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", data, data, dtype=np.float64) / data.shape[1]))


def _names(line: Seismic | Gather | Volume, traces: Array) -> list[str]:
    """What a person calls these traces."""
    if isinstance(line, Volume):
        from moho.segy_volume import opened

        with opened(line) as source:
            return [f"{int(head['inline'])}/{int(head['crossline'])}" for head in source.headers(traces)]
    numbers = line.numbers if isinstance(line, Seismic) else np.arange(1, len(line.data) + 1)
    return [str(int(numbers[i])) for i in traces]


def _is_time(data: Seismic | Gather | Volume) -> bool:
    return isinstance(data, Gather) or data.domain == "time"


def _largest(data: Array) -> float:
    finite = np.abs(data[np.isfinite(data)])
    return float(finite.max()) if finite.size else 0.0


def _slice(volume: Volume, inline: int | None, crossline: int | None) -> Seismic:
    from moho.segy import read_crossline, read_inline

    if inline is not None and crossline is not None:
        raise ValueError("give an inline or a crossline, not both")
    if inline is None and crossline is None:
        ranges = f"inlines {volume.inline[0]} to {volume.inline[1]}, crosslines {volume.crossline[0]} to {volume.crossline[1]}"
        raise Missing("inline", f"Which inline or crossline of {volume.title or 'the volume'} should be read ({ranges})?")
    name, number, (first, last, step) = ("inline", inline, volume.inline) if inline is not None else ("crossline", crossline, volume.crossline)
    assert number is not None
    if not first <= number <= last:
        raise Refusal("E_GEOMETRY", f"{name} {number} is outside the volume, whose {name}s run from {first} to {last}.")
    if (number - first) % step:
        near = first + step * round((number - first) / step)
        raise ValueError(f"there is no {name} {number}: they run from {first} to {last} in steps of {step}; the nearest is {near}")
    return read_inline(volume, number) if name == "inline" else read_crossline(volume, number)


def _between(line: Seismic, first: int | None, last: int | None) -> Array:
    """(trace,) bool of the CDPs kept; Refusal when there are none."""
    numbers = np.asarray(line.numbers)
    low, high = int(numbers.min()), int(numbers.max())
    keep = (numbers >= (low if first is None else first)) & (numbers <= (high if last is None else last))
    if not keep.any():
        wanted = f"CDP {low if first is None else first} to {high if last is None else last}"
        raise Refusal("E_GEOMETRY", f"no trace lies in {wanted}; CDPs run from {low} to {high}.")
    return keep


def _within(line: Seismic, top: float | None, base: float | None) -> slice:
    """The samples kept; Refusal when there are none."""
    samples = line.data.shape[1]
    end = line.t0 + line.dt * (samples - 1)
    low, high = line.t0 if top is None else top, end if base is None else base
    first = max(0, int(np.ceil((low - line.t0) / line.dt - 1e-6)))
    last = min(samples - 1, int(np.floor((high - line.t0) / line.dt + 1e-6)))
    if first > last:
        raise Refusal("E_GEOMETRY", f"no sample lies between {low:g} and {high:g} s; the data run from {line.t0:g} to {end:g} s.")
    return slice(first, last + 1)


def _beyond(line: Seismic, first: int | None, last: int | None, top: float | None, base: float | None) -> list[str]:
    """A note for each range asked for that reaches beyond the line."""
    numbers = np.asarray(line.numbers)
    held_cdp = int(numbers.min()), int(numbers.max())
    held_time = line.t0, line.t0 + line.dt * (line.data.shape[1] - 1)
    notes = []
    for name, (low, high), (start, end), room, unit in (("CDP", (first, last), held_cdp, 0, ""), ("time", (top, base), held_time, line.dt, " s")):
        wide = [] if low is None or low >= start - room else [f"from {name} {low:g}{unit}, it starts at {start:g}{unit}"]
        wide += [] if high is None or high <= end + room * (1 + 1e-6) else [f"to {name} {high:g}{unit}, it ends at {end:g}{unit}"]
        notes += [f"asked beyond the line, cut there: {'; '.join(wide)}"] if wide else []
    return notes


def _positions(data: Seismic | Gather) -> tuple[Array, Array, str]:
    """((trace,) x, y in m, whose they are); Refusal where there are none."""
    if isinstance(data, Seismic):
        if data.x is not None and data.y is not None:
            return np.asarray(data.x, float), np.asarray(data.y, float), "positions of the traces"
    elif data.source_x is not None and data.receiver_x is not None:
        zero = np.zeros(len(data.data))
        sy, ry = (zero if part is None else part for part in (data.source_y, data.receiver_y))
        return 0.5 * (data.source_x + data.receiver_x), 0.5 * (sy + ry), "midpoints of source and receiver"
    hint = "Name the header bytes of the coordinates, or give them in a table."
    raise Refusal("E_GEOMETRY", f"{data.title or 'the data'} has no coordinates: no length, spacing or map can be had.", hint)


def _volume_geometry(data: Volume) -> Report:
    corners = data.corners
    if corners is None or not np.isfinite(corners).all() or np.ptp(corners, axis=0).max() == 0:
        hint = "Name the header bytes of the coordinates if they stand elsewhere in the file."
        raise Refusal("E_GEOMETRY", f"{data.title or 'the volume'} has no usable coordinates at its corners.", hint)
    facts = {
        "easting": Quantity([float(corners[:, 0].min()), float(corners[:, 0].max())], "m", "easting range"),
        "northing": Quantity([float(corners[:, 1].min()), float(corners[:, 1].max())], "m", "northing range"),
    }
    if data.bin_size is not None:
        facts["bin_size"] = Quantity([float(size) for size in data.bin_size], "m", "spacing of inlines and of crosslines")
        inlines, crosslines, _ = data.shape
        facts["area"] = Quantity(inlines * crosslines * float(np.prod(data.bin_size)) / 1e6, "km2", "area of the bins")
    notes, places = (*data.notes, f"coordinate reference system {data.crs}"), {"x": corners[:, 0], "y": corners[:, 1]}
    return Report(title=f"geometry of {data.title}".strip(), facts=facts, notes=notes, arrays=places, drawing="geometry")


def _intervals(gather: Gather) -> dict[str, Quantity]:
    """Group and shot interval (m), where they can be told."""
    found: dict[str, Quantity] = {}
    shot = np.zeros(len(gather.data), int) if gather.shot is None else gather.shot
    steps = np.abs(np.diff(np.abs(gather.offset)))[np.diff(shot) == 0]
    if (steps > 0).any():
        found["group_interval"] = Quantity(round(float(np.median(steps[steps > 0])), 3), "m", "group interval")
    if gather.source_x is not None and gather.shot is not None:
        first = np.unique(gather.shot, return_index=True)[1]
        y = np.zeros(len(first)) if gather.source_y is None else gather.source_y[first]
        moves = np.hypot(np.diff(gather.source_x[first]), np.diff(y))
        if (moves > 0).any():
            found["shot_interval"] = Quantity(round(float(np.median(moves[moves > 0])), 3), "m", "shot interval")
    return found


def _power(data: Array) -> Array:
    """(frequency,) power of the Hann-tapered traces together."""
    from scipy.fft import rfft

    samples = data.shape[1]
    taper = np.hanning(samples).astype(np.float32)
    power = np.zeros(samples // 2 + 1)
    for start in range(0, len(data), 64):
        spectrum = rfft(data[start : start + 64] * taper, axis=1)
        power += np.sum(spectrum.real.astype(np.float64) ** 2 + spectrum.imag.astype(np.float64) ** 2, axis=0)
    return power


def _peak(frequency: Array, power: Array) -> float:
    """Frequency of the largest power, between bins by a parabola through its logarithm."""
    k = int(power.argmax())
    if not 0 < k < len(power) - 1 or min(power[k - 1], power[k + 1]) <= 0:
        return float(frequency[k])
    a, b, c = (float(np.log(power[i])) for i in (k - 1, k, k + 1))
    bend = a - 2 * b + c
    return float(frequency[k] + (0.5 * (a - c) / bend if bend < 0 else 0.0) * frequency[1])


def _clipped(data: Array) -> int:
    """Samples at the largest absolute amplitude that have a neighbour there too."""
    top = np.abs(data).max()
    flat = np.abs(data) >= top
    pair = flat[:, 1:] & flat[:, :-1] & (data[:, 1:] == data[:, :-1])
    member = np.zeros_like(flat)
    member[:, 1:] |= pair
    member[:, :-1] |= pair
    return int(member.sum())
