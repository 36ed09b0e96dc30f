"""SEG-Y as data: a 2-D section, pre-stack gathers or a volume that stays on disk, decided from the headers.

Textual header, layout and a sample of headers and traces are judged in a child process (`moho.sandbox`); once sizes are known to be
true the samples are read here, block by block. Layout in `moho.segy_layout`, formats in `moho.segy_samples`, lines of volumes
in `moho.segy_volume`, writing in `moho.segy_write`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from moho.errors import DataError
from moho.sandbox import limited
from moho.segy_layout import (
    FIELDS,
    FORMATS,
    MOVABLE,
    TEXT,
    TRACE_HEADER,
    Layout,
    Options,
    check_headers,
    decode_text,
    delay,
    domain,
    header_type,
    headers_at,
    looks_like,
    quoted,
    read_layout,
    scaled,
    spacing,
)  # fmt: skip
from moho.segy_samples import Gate, check_format, gate, gate_notes, read_traces
from moho.segy_volume import bytes_of, index, load, numbering, open_volume, position_fields, read_crossline, read_inline
from moho.segy_write import write_segy
from moho.survey import Array, Gather, Seismic, Volume
from moho.units import Quantity

KINDS = ("2-D", "pre-stack", "3-D")
PRESTACK = {1: "as recorded", 5: "common source", 6: "common receiver", 7: "common offset", 8: "common midpoint", 9: "common conversion point"}
WHOLE = 4096  # traces up to which every header is judged before reading
CHECKED = 400_000  # samples that the format is judged by
SHARE = 0.6  # of free memory that samples may take


@dataclass(frozen=True)
class Survey:
    """What the child found: the layout and what kind of data it is, or the opened volume."""

    layout: Layout
    kind: str
    domain: str
    dt: float  # s or m
    notes: tuple[str, ...]
    volume: Volume | None = None


def read_segy(
    path: str | os.PathLike[str],
    header_bytes: Mapping[str, int] | None = None,
    *,
    kind: str | None = None,
    dt: float | None = None,
    t0: float | None = None,
    domain: str | None = None,
    samples: int | None = None,
    format_code: int | None = None,
    byte_order: str | None = None,
    whole_traces: bool = False,
    limit: int | None = None,
) -> Seismic | Gather | Volume:
    """The SEG-Y file as a 2-D section, pre-stack gathers, or a volume opened from sampled headers.

    Format codes 1 (IBM), 2, 3, 8 (integers) and 5 (IEEE) of revisions 0 to 2, either byte order, samples as float32. `header_bytes`
    moves trace header fields, e.g. {"inline": 9, "crossline": 21}; names are those of `segy_layout.MOVABLE`. The other
    arguments overrule what the headers say: `kind` "2-D", "pre-stack" or "3-D", `dt` and `t0` in s (m in depth), `domain` "time" or
    "depth". `whole_traces` reads a file that was cut off as far as it goes. `limit` in bytes for samples in memory, else 60 % of
    what is free.

    Raises DataError: E_TRUNCATED, E_HEADER, E_FORMAT, E_UNSUPPORTED, E_UNITS, E_GEOMETRY, E_DATA, E_LIMIT, each with the byte and
    the way out; Missing where only the person can tell time from depth. What is odd but harmless stands in `notes`.
    """
    options = _options(header_bytes, kind, dt, t0, domain, samples, format_code, byte_order, whole_traces)
    path = Path(path)
    with opened(path) as file:
        before = os.fstat(file)
        survey = limited(_survey, path, options, seconds=60)
        if survey.volume is not None:
            return survey.volume
        layout = survey.layout
        need = layout.traces * (4 * layout.samples + TRACE_HEADER)
        allowed = int(SHARE * _free_memory()) if limit is None else limit
        if need > allowed:
            words = f"{path.name} needs {need / 2**30:.3g} GiB in memory; {allowed / 2**30:.3g} GiB may be used."
            raise DataError("E_LIMIT", words, "Cut it into smaller files, or say limit= in bytes.")
        data, raw, energy = read_traces(file, layout, 0, layout.traces)
        after = os.fstat(file)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise DataError("E_CHANGED", f"{path.name} changed while it was read.")
    headers = raw.view(header_type(layout, options.header_bytes))[:, 0]
    notes = list(survey.notes)
    notes += check_headers(headers, layout, path.name, options)
    found = gate(data, energy, layout, path.name)
    notes += gate_notes(found, layout, layout.traces)
    make = _gather if survey.kind == "pre-stack" else _section
    return make(path, data, headers, survey, options, notes, _facts(layout, found))


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A read-only descriptor of a regular file; DataError E_NOT_FOUND, E_PERM or E_FORMAT otherwise."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise DataError("E_NOT_FOUND", f"there is no file {path.name} in {path.parent}.") from error
    except PermissionError as error:
        raise DataError("E_PERM", f"{path.name} may not be read.") from error
    except OSError as error:
        raise DataError("E_FORMAT", f"{path.name} cannot be opened: {error.strerror}.") from error
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise DataError("E_FORMAT", f"{path.name} is no regular file.")
        yield file
    finally:
        os.close(file)


def _options(
    header_bytes: Mapping[str, int] | None,
    kind: str | None,
    dt: float | None,
    t0: float | None,
    domain: str | None,
    samples: int | None,
    format_code: int | None,
    byte_order: str | None,
    whole_traces: bool,
) -> Options:
    """The arguments checked; ValueError with what was wanted."""
    named = dict(header_bytes or {})
    for name, byte in named.items():
        if name not in MOVABLE:
            raise ValueError(f"header_bytes may name {', '.join(MOVABLE)}, not {name!r}")
        if not isinstance(byte, int) or not 1 <= byte <= TRACE_HEADER - 3:
            raise ValueError(f"header_bytes[{name!r}] must be the first of 4 bytes, from 1 to {TRACE_HEADER - 3}, got {byte!r}")
    choices = (("kind", kind, KINDS), ("domain", domain, ("time", "depth")), ("byte_order", byte_order, ("big", "little")))
    for what, value, allowed in choices:
        if value is not None and value not in allowed:
            raise ValueError(f"{what} must be one of {', '.join(allowed)}, got {value!r}")
    if format_code is not None and format_code not in FORMATS:
        raise ValueError(f"format_code must be one of {', '.join(map(str, FORMATS))}, got {format_code!r}")
    if dt is not None and not 0 < dt < 1e4:
        raise ValueError(f"dt must be positive, in s or m, got {dt!r}")
    if samples is not None and samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples!r}")
    return Options(named, kind, dt, t0, domain, samples, format_code, byte_order, whole_traces)


def _free_memory() -> int:
    """Bytes of memory that are free, 4 GiB where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 4 << 30


# -- in the child: what it is


def _survey(path: Path, options: Options) -> Survey:
    """Layout, domain, kind and format, judged from headers and a sample of traces."""
    with opened(path) as file:
        layout = read_layout(file, path.name, options)
        format_words = f"{FORMATS[layout.format_code][0]} (format code {layout.format_code})"
        notes = [f"SEG-Y revision {layout.revision}, {layout.byte_order}-endian, {format_words}."]
        notes += layout.notes
        text, encoding = decode_text(os.pread(file, TEXT, 0))
        where, dt, more = domain(layout, text, options)
        notes += more
        if where == "time" and options.domain is None and layout.interval > 4000 and layout.interval not in (5000, 6000, 8000, 10000, 16000, 20000):
            notes.append(f"A sample interval of {dt * 1000:g} ms is unusual: if it is {layout.interval / 1000:g} m of depth, say domain='depth'.")
        if layout.system not in (1, 2):
            notes.append("The unit of length is not stated (byte 3255): metres taken.")
        kind = header_type(layout, options.header_bytes)
        positions = _sample(layout.traces)
        headers = headers_at(file, layout, positions, kind)
        notes += check_headers(headers, layout, path.name, options, positions)
        notes += _check_samples(file, layout, path.name, options)
        prestack = _is_prestack(headers, layout, path.name, options)
        found = None
        if options.kind == "3-D" or (options.kind is None and not prestack):
            found = numbering(lambda numbers: headers_at(file, layout, numbers, kind), layout.traces)
            if found is None and options.kind == "3-D":
                words = f"{path.name}: bytes {bytes_of('inline', options)} and {bytes_of('crossline', options)} do not number a 3-D grid."
                raise DataError("E_GEOMETRY", words, "Say where inline and crossline stand with header_bytes=.")
            if found is None and all(len(np.unique(headers[name])) > 1 for name in ("inline", "crossline")):
                words = f"Bytes {bytes_of('inline', options)} and {bytes_of('crossline', options)} change and do not form a grid of lines"
                notes.append(f"{words}: not read as 3-D. For other bytes say header_bytes=.")
        quotation = quoted(text)
        notes.append(f"Textual header ({encoding}), quoted: {quotation}" if quotation else f"The textual header says nothing ({encoding}).")
        if found is not None:
            volume = open_volume(file, path.absolute(), layout, found, where, dt, notes, options)
            return Survey(layout, "3-D", where, dt, (), volume)
        return Survey(layout, "pre-stack" if prestack else "2-D", where, dt, tuple(notes))


def _sample(traces: int) -> Array:
    """Traces whose headers are judged first: all of a small file, else the first, the last and some between."""
    if traces <= WHOLE:
        return np.arange(traces)
    return np.unique(np.concatenate([np.arange(512), np.linspace(0, traces - 1, 512).astype(int), np.arange(traces - 256, traces)]))


def _check_samples(file: int, layout: Layout, name: str, options: Options) -> list[str]:
    """Whether the samples are of the format that the header names, from traces spread over the file."""
    count = max(1, min(layout.traces, CHECKED // layout.samples, 50))
    places = np.unique(np.linspace(0, layout.traces - 1, count).astype(np.int64))
    raw = [os.pread(file, layout.trace_bytes - TRACE_HEADER, layout.start + int(n) * layout.trace_bytes + TRACE_HEADER) for n in places]
    block = np.frombuffer(b"".join(raw), np.uint8).reshape(len(places), -1)
    return check_format(block, layout, name, options.format_code is not None)


def _is_prestack(headers: Array, layout: Layout, name: str, options: Options) -> bool:
    """Whether ensembles hold traces of different offsets. E_GEOMETRY for field records without any geometry."""
    if options.kind is not None:
        return options.kind == "pre-stack"
    offsets = np.abs(headers["offset"].astype(np.int64))
    varying = len(np.unique(offsets)) > 1
    if not varying and not offsets.any():
        varying = len(np.unique(np.round(_distances(headers)))) > 1
    if varying:
        if layout.sorting in PRESTACK:
            return True
        cdp = headers["cdp"]
        single = len(np.unique(cdp)) == len(cdp)
        return not (single and layout.sorting in (3, 4)) and any(_shares(headers[field], offsets) for field in ("cdp", "record", "source_point"))
    record, channel = headers["record"], headers["channel"]
    cdp_silent = len(np.unique(headers["cdp"])) == 1
    if layout.sorting in PRESTACK and cdp_silent and len(np.unique(channel)) > 1 and len(np.unique(record)) < len(record):
        words = f"{name}: field records of {len(np.unique(channel))} channels ({PRESTACK[layout.sorting]}, byte 3229) without offsets or coordinates."
        raise DataError("E_GEOMETRY", words, "Say where offsets stand with header_bytes={'offset': ...}, or kind='2-D' to read plain traces.")
    return False


def _shares(ensemble: Array, offsets: Array) -> bool:
    """Whether some ensemble that has a number holds several traces."""
    numbers, counts = np.unique(ensemble, return_counts=True)
    return bool(numbers.any() and counts.max() > 1 and (len(numbers) > 1 or len(np.unique(offsets)) == len(offsets)))


def _distances(headers: Array) -> Array:
    """Source-receiver distances from coordinates in the header's unit; zeros where either end is missing."""
    sx, sy, _ = scaled(headers, "source_x", "source_y")
    rx, ry, _ = scaled(headers, "receiver_x", "receiver_y")
    known = (sx.any() or sy.any()) and (rx.any() or ry.any())
    return np.hypot(sx - rx, sy - ry) if known else np.zeros(len(headers))


# -- in the caller: arrays of known sizes become data


def _facts(layout: Layout, found: Gate) -> dict[str, Quantity]:
    facts = {"format_code": Quantity(layout.format_code, "", f"SEG-Y format code ({FORMATS[layout.format_code][0]})")}
    if found.dead:
        facts["dead_traces"] = Quantity(found.dead, "", "dead traces")
    if found.bad_samples:
        facts["nan_samples"] = Quantity(found.bad_samples, "", "NaN or infinite samples")
    return facts


def _section(path: Path, data: Array, headers: Array, survey: Survey, options: Options, notes: list[str], facts: dict[str, Quantity]) -> Seismic:
    layout = survey.layout
    t0, more = delay(headers, layout, survey.domain, options)
    notes += more
    cdp = _numbers_along(headers, options, notes)
    x = y = dx = None
    if (pair := position_fields(headers, layout, options, notes)) is not None:
        x, y, more = scaled(headers, *pair)
        x, y = x * layout.metres, y * layout.metres
        notes += more
        gone = (headers[pair[0]] == 0) & (headers[pair[1]] == 0)
        if gone.any():
            x[gone] = y[gone] = np.nan
            notes.append(f"{int(gone.sum())} of {len(x)} traces have no position (both coordinates zero).")
        steps = np.hypot(np.diff(x), np.diff(y))
        if (dx := spacing(x, y)) is not None and (largest := float(np.nanmax(steps))) > 1.5 * dx:
            where = int(np.nanargmax(steps)) + 1
            notes.append(f"Positions are uneven: traces lie {dx:g} m apart, at most {largest:.1f} m, from trace {where} to the next.")
    return Seismic(
        title=path.stem, data=data, dt=survey.dt, t0=t0, domain=survey.domain, cdp=cdp, x=x, y=y, dx=dx, facts=facts, notes=tuple(notes),
    )  # fmt: skip


def _numbers_along(headers: Array, options: Options, notes: list[str]) -> Array | None:
    """CDP numbers, else inline, crossline or shot-point numbers, whichever change from trace to trace."""
    for field, words in (("cdp", "CDP"), ("crossline", "crossline"), ("inline", "inline"), ("source_point", "shot point")):
        values = headers[field].astype(np.int64)
        if (len(values) == 1 and values[0]) or (len(values) > 1 and len(np.unique(values)) > len(values) // 2):
            said = "CDP numbers" if field == "cdp" else f"Trace numbers are {words} numbers,"
            notes.append(f"{said} from bytes {bytes_of(field, options)}.")
            steps = np.diff(values)
            if len(steps) and (odd := np.flatnonzero(steps != np.median(steps))).size:
                where = f"trace {odd[0] + 1} to {odd[0] + 2} ({values[odd[0]]} to {values[odd[0] + 1]})"
                notes.append(f"{words} numbers do not step evenly: {len(odd)} of {len(steps)} steps differ, the first from {where}.")
            return values
    notes.append(f"No CDP numbers: bytes {bytes_of('cdp', options)} do not change along the line.")
    return None


def _gather(path: Path, data: Array, headers: Array, survey: Survey, options: Options, notes: list[str], facts: dict[str, Quantity]) -> Gather:
    layout = survey.layout
    if survey.domain != "time":
        raise DataError("E_UNSUPPORTED", f"{path.name}: pre-stack data in depth are not read.")
    t0, more = delay(headers, layout, survey.domain, options)
    notes += more
    ends, more = _ends(headers, layout, options)
    notes += more
    offset = _offsets(headers, layout, ends, options, notes)
    shot_field = _shot_field(headers)
    shot = None if shot_field is None else headers[shot_field].astype(np.int64)
    if shot_field is not None:
        notes.append(f"Shots from bytes {bytes_of(shot_field, options)}.")
    numbers: dict[str, Array | None] = {}
    for name in ("cdp", "channel"):
        values = headers[name].astype(np.int64)
        held = len(np.unique(values)) > 1 and 2 * np.count_nonzero(values) > len(values)
        numbers[name] = values if held else None
        if values.any() and not held and len(np.unique(values)) > 1:
            notes.append(f"{name.upper() if name == 'cdp' else name.title()} numbers are mostly zero (bytes {bytes_of(name, options)}): left out.")
    gather = Gather(
        title=path.stem, data=data, dt=survey.dt, t0=t0, offset=offset, shot=shot, cdp=numbers["cdp"], channel=numbers["channel"],
        source_x=ends.get("source_x"), source_y=ends.get("source_y"), receiver_x=ends.get("receiver_x"), receiver_y=ends.get("receiver_y"),
    )  # fmt: skip
    facts |= _intervals(gather, headers["offset"] * layout.metres)
    if shot is not None and (astray := _astray(gather)):
        notes.append(f"Source coordinates change inside a shot, {astray} times in all.")
    if shot is not None and len(set(np.unique(shot, return_counts=True)[1].tolist())) > 1:
        counts = np.unique(shot, return_counts=True)[1]
        notes.append(f"Shots have from {counts.min()} to {counts.max()} traces.")
    return gather.made(facts=facts, notes=tuple(notes))


def _ends(headers: Array, layout: Layout, options: Options) -> tuple[dict[str, Array], list[str]]:
    """Source and receiver coordinates in metres, and notes; empty where they are absent or angles."""
    columns: dict[str, Array] = {}
    notes: list[str] = []
    for end in ("source", "receiver"):
        x, y, more = scaled(headers, f"{end}_x", f"{end}_y")
        if (x != x[0]).any() or (y != y[0]).any() or x.any() or y.any():
            columns |= {f"{end}_x": x * layout.metres, f"{end}_y": y * layout.metres}
            notes += [words for words in more if words not in notes]
    if not columns:
        return {}, ["No source and receiver coordinates (bytes 73-88 are zero)."]
    unit = int(headers["coordinate_unit"][0])
    distance, stored = _distances(headers), np.abs(headers["offset"].astype(float))
    agree = bool(stored.any() and np.median(np.abs(distance - stored)) <= 0.05 * np.median(stored) + 1)
    if unit in (2, 3, 4):
        if not agree:
            return {}, [f"No source and receiver coordinates: they are in angles (unit code {unit}, byte 89), and metres are needed."]
        notes.append(f"The unit code of coordinates is {unit} (angles, byte 89), yet they agree with the offsets: taken as lengths.")
    if agree and (odd := np.flatnonzero(np.abs(distance - stored) > 0.05 * stored + 1)).size:
        notes.append(f"Offsets and distances between coordinates disagree at {len(odd)} of {len(stored)} traces, trace {odd[0] + 1} first.")
    elif unit not in (2, 3, 4) and stored.any() and distance.any() and not agree:
        words = f"Offsets (bytes {bytes_of('offset', options)}, median {np.median(stored):.0f}) and the distances between coordinates"
        notes.append(f"{words} (median {np.median(distance):.0f}) disagree: offsets were taken as they stand.")
    return columns, notes


def _offsets(headers: Array, layout: Layout, ends: Mapping[str, Array], options: Options, notes: list[str]) -> Array:
    """Absolute offsets in metres."""
    stored = headers["offset"].astype(np.float64) * layout.metres
    if stored.any():
        if stored.min() < 0:
            words = f"{'negative' if stored.max() <= 0 else 'with both signs'}, {stored.min():g} to {stored.max():g} m"
            notes.append(f"Offsets are stored {words} (bytes {bytes_of('offset', options)}): absolute values are used.")
        else:
            notes.append(f"Offsets from bytes {bytes_of('offset', options)}.")
        if layout.system == 2:
            notes.append("Offsets and coordinates in feet (byte 3255) turned into metres.")
        return np.abs(stored)
    if len(ends) == 4:
        notes.append(f"Bytes {bytes_of('offset', options)} hold no offsets: distances between source and receiver coordinates are used.")
        return np.hypot(ends["source_x"] - ends["receiver_x"], ends["source_y"] - ends["receiver_y"])
    raise DataError("E_GEOMETRY", "pre-stack traces without offsets or coordinates.", "Say where offsets stand with header_bytes={'offset': ...}.")


def _shot_field(headers: Array) -> str | None:
    """The field that numbers shots: energy source points where they group traces as field records do, else field records."""
    points, records = headers["source_point"], headers["record"]
    alike = np.array_equal(np.flatnonzero(np.diff(points)), np.flatnonzero(np.diff(records)))
    if points.any() and (alike or not records.any()):
        return "source_point"
    return "record" if records.any() else "source_point" if points.any() else None


def _astray(gather: Gather) -> int:
    """How often the source moves between traces of one shot."""
    if gather.shot is None or gather.source_x is None or gather.source_y is None:
        return 0
    same = np.diff(gather.shot) == 0
    return int(np.count_nonzero(same & ((np.diff(gather.source_x) != 0) | (np.diff(gather.source_y) != 0))))


def _intervals(gather: Gather, signed: Array) -> dict[str, Quantity]:
    """Group and shot interval (m) from coordinates, else from offsets; those that cannot be found are left out."""
    if gather.shot is None:
        return {}
    starts = np.flatnonzero(np.diff(gather.shot, prepend=gather.shot[0] - 1))
    within = np.diff(gather.shot) == 0
    found = {}
    group = np.zeros(0)
    if gather.receiver_x is not None and gather.receiver_y is not None:
        group = np.hypot(np.diff(gather.receiver_x), np.diff(gather.receiver_y))[within]
    if not group.any():
        group = np.abs(np.diff(signed))[within]
    if group.any():
        found["group_interval"] = Quantity(round(float(np.median(group[group > 0])), 3), "m", "group interval")
    if gather.source_x is not None and gather.source_y is not None and len(starts) > 1:
        middle = (starts + np.append(starts[1:], len(gather.shot)) - 1) // 2
        moves = np.hypot(np.diff(gather.source_x[middle]), np.diff(gather.source_y[middle]))
        if moves.any():
            found["shot_interval"] = Quantity(round(float(np.median(moves[moves > 0])), 3), "m", "shot interval")
    return found


__all__ = ["FIELDS", "index", "load", "looks_like", "read_crossline", "read_inline", "read_segy", "write_segy"]
