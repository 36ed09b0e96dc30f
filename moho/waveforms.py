"""Seismograms, station metadata and events: miniSEED, SAC, GSE2, SLIST, TSPAIR and NumPy records, StationXML, QuakeML.

ObsPy reads them; before it does, headers are checked against the bytes that are there, because a sample count that lies kills
its process (ObsPy 1.5.1 with SIGBUS). Pick files that are tables are read by `moho.tables`.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moho.errors import DataError
from moho.files import clean, coded, contents, text_head
from moho.survey import UNKNOWN, Catalogue, Picks, Response, Waveforms
from moho.units import Quantity

if TYPE_CHECKING:
    import obspy

LARGEST = 2 * 2**30  # bytes of a waveform file
LARGEST_XML = 256 * 2**20
FASTEST = 1e6  # Hz; above it a sampling rate is not believed
# miniSEED encoding -> (ObsPy's name, most samples in n bytes of data): Steim frames hold 15 words of at most 4 or 7 differences.
ENCODINGS = {
    1: ("int16", lambda n: n // 2), 3: ("int32", lambda n: n // 4), 4: ("float32", lambda n: n // 4), 5: ("float64", lambda n: n // 8),
    10: ("Steim-1", lambda n: n // 64 * 60), 11: ("Steim-2", lambda n: n // 64 * 105), 0: ("text", lambda n: n),
    12: ("GEOSCOPE 24", lambda n: n // 3), 13: ("GEOSCOPE 16/3", lambda n: n // 2), 14: ("GEOSCOPE 16/4", lambda n: n // 2),
    16: ("CDSN", lambda n: n // 2), 30: ("SRO", lambda n: n // 2), 32: ("DWWSSN", lambda n: n // 2),
}  # fmt: skip
SAC_QUANTITIES = {6: "displacement", 7: "velocity", 8: "acceleration"}


def looks_like(head: bytes, path: Path) -> bool:
    """Whether the file opens like seismograms that `read_waveforms` reads."""
    return bool(_format(head))


def looks_like_stations(head: bytes, path: Path) -> bool:
    """Whether it is StationXML."""
    return "<FDSNStationXML" in text_head(head[:4096]) or "FDSNStationXML" in text_head(head[:4096]).split(">", 2)[0]


def looks_like_events(head: bytes, path: Path) -> bool:
    """Whether it is QuakeML."""
    return bool(re.search(r"<(\w+:)?quakeml[\s>]", text_head(head[:4096])))


def _format(head: bytes) -> str:
    if re.match(rb"[\d \0]{6}[DRQM][ \0]", head):
        return "MSEED"
    if head[:3] == b"MS\x03":
        return "miniSEED 3"
    if re.match(rb"[\d ]{6}V ", head):
        return "full SEED"
    if head[:4] == b"WID2":
        return "GSE2"
    if head[:11] == b"TIMESERIES ":
        return "TSPAIR" if b", TSPAIR," in head[:400] else "SLIST"
    if head[:4] == b"PK\x03\x04" and b"data.npy" in head[:64]:
        return "NumPy"
    if len(head) >= 632 and _sac_order(head):
        return "SAC"
    return ""


def _sac_order(head: bytes) -> str:
    """Byte order of a SAC header: header version 6 or 7, and a logical variable that is one; '' when it is none."""
    for order in "<>":
        version, (even, _, _, _, unused) = struct.unpack(f"{order}i", head[304:308])[0], struct.unpack(f"{order}5i", head[420:440])
        if version in (6, 7) and even in (0, 1) and unused in (0, 1, -12345):
            return order
    return ""


def read_waveforms(path: str | Path, *, sampling_rate: float | None = None) -> Waveforms:
    """The seismograms of a file, traces as recorded: gaps, overlaps, NaN and dead traces are said in `notes`, not mended.

    `sampling_rate` in Hz is for NumPy records, which do not state theirs (100 Hz otherwise). Raises DataError: E_FORMAT,
    E_TRUNCATED, E_HEADER, E_UNSUPPORTED, E_LIMIT, E_DATA.
    """
    path = Path(path)
    raw = contents(path, LARGEST)
    kind = _format(raw[:1024])
    if not kind:
        raise DataError("E_FORMAT", f"{path.name} is not miniSEED, SAC, GSE2, SLIST, TSPAIR or a NumPy record.")
    if kind in ("miniSEED 3", "full SEED"):
        raise DataError("E_UNSUPPORTED", f"{path.name} is {kind}; miniSEED 2 is read.")
    if kind == "NumPy":
        return _read_record(path, raw, sampling_rate)
    with coded(kind, path):
        expected = {"MSEED": _check_mseed, "SAC": _check_sac, "GSE2": _check_gse2}.get(kind, _check_ascii)(raw, path.name)
    if kind == "MSEED":
        raw = raw[: len(raw) // 128 * 128]  # whatever follows whole records was seen to be blank
    stream, said = _obspy(raw, kind, path)
    samples = sum(trace.stats.npts for trace in stream)
    if samples != expected and not any("text" in note for note in said):
        raise DataError("E_HEADER", f"{path.name}: headers promise {expected} samples, {samples} can be decoded.")
    quantity, unit, notes = _quantity(stream, kind)
    return Waveforms(title=path.stem, stream=stream, quantity=quantity, unit=unit, notes=(*said, *notes, *_gate(stream, path.name)))


def _library() -> Any:
    """ObsPy, imported at first use without the deprecation warnings it gives then."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import obspy
        import obspy.io.gse2.libgse2
    return obspy


def _obspy(raw: bytes, kind: str, path: Path) -> tuple[obspy.Stream, tuple[str, ...]]:
    """The stream, and ObsPy's warnings as notes; a record that fails its own checksum is refused."""
    obspy = _library()
    from obspy.io.gse2.libgse2 import ChksumError

    with coded(kind, path), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            stream = obspy.read(io.BytesIO(raw), format=kind)
        except ChksumError as error:
            raise DataError("E_HEADER", f"{path.name}: the samples do not match their checksum ({clean(str(error), 60)}).") from error
    idle = re.compile("deprecat|to microsecond precision", re.I)
    words = list(dict.fromkeys(clean(str(warning.message), 160) for warning in caught if not idle.search(str(warning.message))))
    for sentence in words:
        if re.search(r"integrity|checksum|decompress|corrupt|Steim|not a SEED|unpack", sentence, re.I):
            raise DataError("E_HEADER", f"{path.name}: {sentence}")
    kept = [trace for trace in stream if trace.stats.npts and np.issubdtype(trace.data.dtype, np.number)]
    if not kept:
        raise DataError("E_UNSUPPORTED", f"{path.name} holds no trace of numbers: {len(stream)} are empty or text.")
    notes = [f"ObsPy: {sentence}" for sentence in words]
    if len(kept) < len(stream):
        notes.append(f"{len(stream) - len(kept)} traces are empty or hold text (log records): left out.")
    return obspy.Stream(kept), tuple(notes)


def _check_mseed(raw: bytes, name: str) -> int:
    """Samples promised by all records together; E_HEADER for a record whose header its own length belies."""
    at, total, records = 0, 0, 0
    while at < len(raw):
        if len(raw) - at < 48:
            if not raw[at:].strip(b"\0 "):
                break
            raise DataError("E_TRUNCATED", f"{name}: {len(raw) - at} bytes are left after record {records}, no whole header.")
        if not re.match(rb"[\d \0]{6}[DRQM][ \0]", raw[at : at + 8]):
            if at and not raw[at:].strip(b"\0 "):
                break
            raise DataError("E_FORMAT", f"{name}: byte {at} begins no miniSEED record (after {records} of them).")
        length, samples = _check_record(raw, at, f"{name}, record {records + 1}")
        if at + length > len(raw):
            raise DataError("E_TRUNCATED", f"{name}: record {records + 1} has {len(raw) - at} of its {length} bytes.")
        at, total, records = at + length, total + samples, records + 1
    return total


def _check_record(raw: bytes, at: int, where: str) -> tuple[int, int]:
    """Length in bytes and samples of the record at `at`."""
    order = next((o for o in "><" if _is_date(*struct.unpack_from(f"{o}HHBBB", raw, at + 20))), "")
    if not order:
        raise DataError("E_HEADER", f"{where}: its start time is none in either byte order.")
    samples, factor, multiplier = struct.unpack_from(f"{order}Hhh", raw, at + 30)
    blockettes, data, blockette = raw[at + 39], *struct.unpack_from(f"{order}HH", raw, at + 44)
    encoding = exponent = -1
    rate = 0.0
    seen = 0
    while blockette:
        if blockette < 48 or at + blockette + 8 > len(raw) or seen > 32:
            raise DataError("E_HEADER", f"{where}: its chain of blockettes leaves the record.")
        kind, following = struct.unpack_from(f"{order}HH", raw, at + blockette)
        if kind == 1000:
            encoding, exponent = raw[at + blockette + 4], raw[at + blockette + 6]
        elif kind == 100:
            rate = struct.unpack_from(f"{order}f", raw, at + blockette + 4)[0]
        if following and following <= blockette:
            raise DataError("E_HEADER", f"{where}: its chain of blockettes runs backwards.")
        blockette, seen = following, seen + 1
    if exponent < 0:
        raise DataError("E_UNSUPPORTED", f"{where} has no blockette 1000 ({blockettes} others): its length is not stated.")
    if not 7 <= exponent <= 20:
        raise DataError("E_HEADER", f"{where}: a record length of 2^{exponent} bytes.")
    length = 2**exponent
    if samples:
        if encoding not in ENCODINGS:
            raise DataError("E_UNSUPPORTED", f"{where}: data encoding {encoding} is not known.")
        if not 48 <= data < length:
            raise DataError("E_HEADER", f"{where}: data begin at byte {data} of {length}.")
        word, most = ENCODINGS[encoding]
        if samples > most(length - data):
            raise DataError("E_HEADER", f"{where}: {samples} {word} samples cannot be in {length - data} bytes.")
        if encoding != 0 and not (rate or (factor and multiplier)):
            raise DataError("E_HEADER", f"{where}: sampling rate 0 with {samples} samples.")
        if not np.isfinite(rate) or rate < 0 or rate > FASTEST:
            raise DataError("E_HEADER", f"{where}: sampling rate {rate:g} Hz.")
    return length, samples


def _is_date(year: int, day: int, hour: int, minute: int, second: int) -> bool:
    return 1900 <= year <= 2100 and 1 <= day <= 366 and hour < 24 and minute < 60 and second <= 60


def _check_sac(raw: bytes, name: str) -> int:
    """Samples of a binary SAC file whose header and length agree."""
    order = _sac_order(raw)
    samples, kind = struct.unpack(f"{order}i", raw[316:320])[0], struct.unpack(f"{order}i", raw[340:344])[0]
    delta = struct.unpack(f"{order}f", raw[:4])[0]
    even = struct.unpack(f"{order}i", raw[420:424])[0]
    if kind != 1 or not even:
        raise DataError("E_UNSUPPORTED", f"{name}: SAC of file type {kind}, evenly sampled {bool(even)}; evenly sampled time series are read.")
    if not 1 / FASTEST <= delta < 1e6:
        raise DataError("E_HEADER", f"{name}: a SAC sample interval of {delta:g} s.")
    if samples <= 0:
        raise DataError("E_HEADER", f"{name}: its SAC header declares {samples} samples.")
    footer = 22 * 8 if struct.unpack(f"{order}i", raw[304:308])[0] == 7 else 0
    size = 632 + 4 * samples + footer
    if size != len(raw):
        code = "E_TRUNCATED" if len(raw) < size else "E_HEADER"
        raise DataError(code, f"{name}: {samples} SAC samples take {size} bytes, the file has {len(raw)}.")
    return samples


def _check_gse2(raw: bytes, name: str) -> int:
    """Samples promised by all WID2 lines; E_TRUNCATED where fewer characters follow."""
    total = 0
    parts = re.split(rb"(?m)^(?=WID2 )", raw)
    for part in parts:
        if not part.strip():
            continue
        line = part.split(b"\n", 1)[0]
        fields = line[48:69].decode("ascii", "replace")
        try:
            samples, rate = int(fields[:8]), float(fields[9:20])
        except ValueError:
            raise DataError("E_HEADER", f"{name}: a WID2 line without sample count and rate: {clean(fields, 30)!r}.") from None
        if samples < 0 or not 0 < rate <= FASTEST:
            raise DataError("E_HEADER", f"{name}: WID2 declares {samples} samples at {rate:g} Hz.")
        body = re.search(rb"(?m)^DAT2\s*\n(.*?)^CHK2\s+-?\d+", part, re.S)
        if body is None:
            raise DataError("E_TRUNCATED", f"{name}: a GSE2 block without DAT2 or its CHK2 line.")
        packed = line[44:48].startswith(b"CM")
        if odd := re.search(rb"[^0-9A-Za-z+\-\s]" if packed else rb"[^0-9+\-.eE\s]", body[1]):
            raise DataError("E_FORMAT", f"{name}: {clean(repr(odd[0])[1:], 10)} is no character of its GSE2 samples.")
        width = 1 if packed else 2
        if samples * width > len(body[1]) + 1:
            raise DataError("E_TRUNCATED", f"{name}: {samples} GSE2 samples cannot be in {len(body[1])} characters.")
        total += samples
    return total


def _check_ascii(raw: bytes, name: str) -> int:
    """Samples promised by all TIMESERIES lines, which must be followed by as many values."""
    total = 0
    for part in re.split(rb"(?m)^(?=TIMESERIES )", raw):
        if not part.strip():
            continue
        line, _, body = part.partition(b"\n")
        match = re.match(rb"TIMESERIES [^,]*, *(-?\d+) samples, *(\S+) sps, *([^,]+), *(SLIST|TSPAIR), *(INTEGER|FLOAT|ASCII)", line)
        if match is None:
            raise DataError("E_HEADER", f"{name}: a TIMESERIES line that is not one: {clean(line.decode('latin-1'), 60)!r}.")
        samples, pairs = int(match[1]), match[4] == b"TSPAIR"
        try:
            rate = float(match[2])
        except ValueError:
            rate = -1.0
        if samples <= 0 or not 0 < rate <= FASTEST:
            raise DataError("E_HEADER", f"{name}: {samples} samples at {clean(match[2].decode('latin-1'), 20)} per second.")
        if match[5] == b"ASCII":
            raise DataError("E_UNSUPPORTED", f"{name} holds text, not samples.")
        values = body.split()
        held = len(values) // 2 if pairs else len(values)
        if held != samples:
            code = "E_TRUNCATED" if held < samples else "E_HEADER"
            raise DataError(code, f"{name}: {samples} samples declared, {held} there.")
        total += samples
    return total


def _quantity(stream: obspy.Stream, kind: str) -> tuple[str, str, tuple[str, ...]]:
    """What the samples are, as far as the format says it."""
    if kind != "SAC":
        return "counts", "counts", ()
    kinds = {int(trace.stats.sac.get("idep", -12345)) for trace in stream}
    quantity = SAC_QUANTITIES.get(next(iter(kinds)))
    if quantity is None:
        return "counts", "counts", ("The SAC header does not say what was recorded: the samples are taken as counts.",)
    return quantity, UNKNOWN, (f"The SAC header says {quantity}; SAC's own unit is the nanometre, many writers use the metre: the unit is unknown.",)


def _gate(stream: obspy.Stream, name: str) -> tuple[str, ...]:
    """Notes on gaps, overlaps, duplicates, NaN and dead traces; DataError where nothing usable is left."""
    notes: list[str] = []
    usable = 0
    for trace in stream:
        rate = float(trace.stats.sampling_rate)
        if not 0 < rate <= FASTEST:
            raise DataError("E_HEADER", f"{name}: {trace.id} has a sampling rate of {rate:g} Hz.")
        bad = 0 if np.issubdtype(trace.data.dtype, np.integer) else int((~np.isfinite(trace.data)).sum())
        if bad:
            notes.append(f"{trace.id}: {bad} of {trace.stats.npts} samples are NaN or infinite.")
        if bad < trace.stats.npts:
            usable += 1
        if trace.stats.npts > 1 and bad == 0 and np.all(trace.data == trace.data[0]):
            notes.append(f"{trace.id} is constant from {trace.stats.starttime} on ({trace.stats.npts} samples).")
    if not usable:
        raise DataError("E_DATA", f"{name}: every sample is NaN or infinite.")
    rates: dict[str, set[float]] = {}
    for trace in stream:
        rates.setdefault(trace.id, set()).add(float(trace.stats.sampling_rate))
    notes += [f"{id_} changes its sampling rate: {', '.join(f'{r:g}' for r in sorted(found))} Hz." for id_, found in rates.items() if len(found) > 1]
    notes += _breaks(stream)
    years = [trace.stats.starttime.year for trace in stream]
    if min(years) <= 1970:
        notes.append(f"Time begins in {min(years)}: was it set?")
    return tuple(notes)


def _breaks(stream: obspy.Stream) -> list[str]:
    """Gaps and overlaps between traces of one id, and copies."""
    notes: list[str] = []
    copies = Counter((t.id, str(t.stats.starttime), t.stats.npts) for t in stream)
    for (id_, start, _), count in copies.items():
        if count > 1:
            notes.append(f"{id_} from {start} is there {count} times.")
    by_id: dict[str, list[Any]] = {}
    for trace in stream:
        by_id.setdefault(trace.id, []).append(trace)
    for id_, traces in by_id.items():
        traces.sort(key=lambda trace: (trace.stats.starttime, trace.stats.endtime))
        gaps, overlaps = [], []
        end = traces[0].stats.endtime
        for trace in traces[1:]:
            delta = trace.stats.delta
            hole = float(trace.stats.starttime - end) - delta
            if hole > 0.5 * delta:
                gaps.append((hole, end, round(hole / delta)))
            elif hole < -0.5 * delta:
                overlaps.append(-hole)
            end = max(end, trace.stats.endtime)
        if gaps:
            longest, where, samples = max(gaps, key=lambda gap: gap[0])
            words = f"{id_} has {len(gaps)} gap{'s' if len(gaps) > 1 else ''}"
            notes.append(f"{words}, the longest {longest:.6g} s ({samples} samples) after {where}.")
        if overlaps:
            notes.append(f"{id_} has {len(overlaps)} overlap{'s' if len(overlaps) > 1 else ''}, the longest {max(overlaps):.6g} s.")
    return notes


def _read_record(path: Path, raw: bytes, asked: float | None) -> Waveforms:
    """A three-component NumPy record (PhaseNet's training files): data (sample, channel), analyst picks itp and its as samples."""
    obspy = _library()

    with coded("the NumPy record", path):
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > 2**29:
            raise DataError("E_LIMIT", f"{path.name} unpacks to {size:,} bytes.")
        with np.load(io.BytesIO(raw), allow_pickle=False) as held:
            record = {name: held[name] for name in held.files}
    data = record.get("data")
    if data is None or data.ndim != 2 or 0 in data.shape or not np.issubdtype(data.dtype, np.number):
        raise DataError("E_FORMAT", f"{path.name} holds no array 'data' of samples by channels.")
    if data.shape[1] > data.shape[0]:
        raise DataError("E_HEADER", f"{path.name}: data of shape {data.shape} has more channels than samples.")
    rate = 100.0 if asked is None else asked
    if not 0 < rate <= FASTEST:
        raise ValueError(f"sampling_rate must be above 0 Hz, got {rate:g}")
    names = clean(str(record["channels"]), 60).split("_") if "channels" in record else []
    if len(names) != data.shape[1]:
        names = [f"CH{index + 1}" for index in range(data.shape[1])]
    match = re.match(r"([A-Z0-9]{1,2})_([A-Z0-9]{1,5})_(\d{14})(\d{2})$", path.stem)
    header: dict[str, Any] = {"sampling_rate": rate}
    notes = [f"The file does not state its sampling rate: {rate:g} Hz {'as asked' if asked is not None else 'as these training records have'}."]
    if match:
        header |= {"network": match[1], "station": match[2], "starttime": obspy.UTCDateTime(f"{match[3]}.{match[4]}")}
        notes.append("Network, station and start time are from the file's name; that it is the time of the first sample is not stated.")
    else:
        notes.append("The file states no time: it begins at 1970-01-01.")
    stream = obspy.Stream([obspy.Trace(data[:, i].copy(), header | {"channel": names[i]}) for i in range(data.shape[1])])
    facts = {}
    for key, phase in (("itp", "P"), ("its", "S")):
        if key in record and record[key].size == 1:
            sample = float(record[key])
            if 0 <= sample < len(data):
                facts[f"{phase.lower()}_pick"] = Quantity(sample / rate, "s", f"analyst {phase} pick after the start")
                notes.append(f"The analyst picked {phase} at sample {sample:g}, {sample / rate:g} s after the start.")
            else:
                notes.append(f"The {phase} pick, sample {sample:g}, is outside the record: left out.")
    checked = [note for note in _gate(stream, path.name) if not note.startswith("Time begins")]
    return Waveforms(title=path.stem, stream=stream, facts=facts, notes=(*notes, *checked))


def read_stations(path: str | Path) -> Response:
    """Station metadata of a StationXML file: coordinates, epochs, instrument responses. Raises DataError: E_FORMAT, E_GEOMETRY, E_HEADER, E_LIMIT."""
    obspy = _library()

    path = Path(path)
    raw = _xml(path, "FDSNStationXML", "StationXML")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            inventory = obspy.read_inventory(io.BytesIO(raw), format="STATIONXML")
        except ValueError as error:
            code = "E_GEOMETRY" if re.search(r"latitude|longitude|out of bounds|outside|azimuth|dip|range", str(error), re.I) else "E_FORMAT"
            raise DataError(code, f"{path.name}: {clean(str(error), 160)}") from error
        except Exception as error:
            raise DataError("E_FORMAT", f"{path.name} is no StationXML that can be read: {clean(str(error), 120)}.") from error
    notes = [f"ObsPy: {words}" for words in dict.fromkeys(clean(str(w.message), 160) for w in caught) if "deprecat" not in words.lower()]
    stations = [station for network in inventory for station in network]
    if not stations:
        raise DataError("E_FORMAT", f"{path.name} describes no station.")
    channels = [channel for station in stations for channel in station]
    without = sum(channel.response is None for channel in channels)
    if not channels:
        notes.append("It goes to station level only: coordinates, no channels and no responses.")
    elif without:
        notes.append(f"{without} of {len(channels)} channels have no response.")
    for channel in channels:
        sensitivity = channel.response.instrument_sensitivity if channel.response is not None else None
        if sensitivity is not None and not (sensitivity.value and np.isfinite(sensitivity.value)):
            notes.append(f"Channel {clean(channel.code, 8)} declares a sensitivity of {sensitivity.value}.")
    if any(station.latitude == 0 and station.longitude == 0 for station in stations):
        notes.append("A station lies at 0 N, 0 E: was it set?")
    return Response(title=path.stem, inventory=inventory, notes=tuple(notes[:20]))


def _xml(path: Path, root: str, what: str) -> bytes:
    """XML bytes of the right root, without a document type that could expand into something else."""
    raw = contents(path, LARGEST_XML)
    if re.search(rb"<!(DOCTYPE|ENTITY)", raw, re.I):
        raise DataError("E_UNSUPPORTED", f"{path.name} defines a document type or entities; {what} needs none.")
    if root.encode() not in raw[:8192]:
        raise DataError("E_FORMAT", f"{path.name} is not {what}.")
    closing = re.search(rb"</[^<>]*>\s*$", raw[-4096:])
    if closing is None or root.encode() not in closing[0]:
        raise DataError("E_TRUNCATED", f"{path.name}: the {root} element is never closed.")
    return raw


def read_events(path: str | Path) -> Catalogue | Picks:
    """The earthquakes of a QuakeML file, each by its preferred origin and magnitude (else the first); Picks when no event has an origin.

    QuakeML does not hold station coordinates: picks get theirs from a Response with `read_picks`. Raises DataError: E_FORMAT,
    E_TRUNCATED, E_UNSUPPORTED, E_GEOMETRY, E_DATA.
    """
    path = Path(path)
    events, notes = _events(path)
    origins = [event.preferred_origin() or (event.origins[0] if event.origins else None) for event in events]
    picks = sum(len(event.picks) for event in events)
    if not any(origin is not None for origin in origins):
        if picks:
            return read_picks(path)
        raise DataError("E_DATA", f"{path.name}: none of its {len(events)} events has an origin or a pick.")
    magnitudes = [event.preferred_magnitude() or (event.magnitudes[0] if event.magnitudes else None) for event in events]
    first = sum(event.preferred_origin() is None and bool(event.origins) for event in events)
    if first:
        notes.append(f"{first} events name no preferred origin: their first one is used.")
    if picks:
        notes.append(f"The file holds {picks} phase picks too.")
    latitude, longitude, depth = (_column(origins, name) for name in ("latitude", "longitude", "depth"))
    outside = (np.abs(latitude) > 90) | (np.abs(longitude) > 360)
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError("E_GEOMETRY", f"{path.name}: event {row + 1} lies at latitude {latitude[row]:g}, longitude {longitude[row]:g}.")
    missing = sum(origin is None for origin in origins)
    if missing:
        notes.append(f"{missing} events have no origin: NaN.")
    deepest = float(np.nanmax(np.abs(depth))) if np.isfinite(depth).any() else 0.0
    if 0 < deepest <= 1000 and np.nanmedian(np.abs(depth)) < 100 and len(depth) > 3:
        notes.append(f"Depths reach {deepest:g} m, QuakeML's unit: were kilometres written?")
    return Catalogue(
        title=path.stem, notes=tuple(notes), latitude=latitude, longitude=longitude, depth=depth / 1000.0, magnitude=_column(magnitudes, "mag"),
        time=np.array(["" if origin is None or origin.time is None else str(origin.time) for origin in origins]),
        magnitude_type=np.array([UNKNOWN if m is None or not m.magnitude_type else clean(m.magnitude_type, 8) for m in magnitudes]),
        **_uncertainties(origins),
    )  # fmt: skip


def _uncertainties(origins: list[Any]) -> dict[str, Any]:
    """Errors the origins state, km and s: horizontal (else the larger of latitude and longitude), depth, time; only those any origin has."""
    degree = 111.195  # km
    rows: list[tuple[float, ...]] = []
    for origin in origins:
        if origin is None:
            rows.append((np.nan, np.nan, np.nan))
            continue
        held = origin.origin_uncertainty
        stated = [getattr(held, name, None) for name in ("horizontal_uncertainty", "max_horizontal_uncertainty")] if held is not None else []
        metres = next((float(value) for value in stated if value is not None), np.nan)
        sides = [
            float(error.uncertainty) * degree * factor
            for error, factor in ((origin.latitude_errors, 1.0), (origin.longitude_errors, np.cos(np.radians(origin.latitude or 0.0))))
            if error is not None and error.uncertainty is not None
        ]
        others = [
            np.nan if error is None or error.uncertainty is None else float(error.uncertainty) * factor
            for error, factor in ((origin.depth_errors, 1e-3), (origin.time_errors, 1.0))
        ]
        rows.append((metres / 1000 if np.isfinite(metres) else max(sides, default=np.nan), *others))
    columns = zip(("horizontal_error", "depth_error", "time_error"), np.array(rows, float).reshape(-1, 3).T, strict=True)
    return {name: column for name, column in columns if np.isfinite(column).any()}


def _column(items: list[Any], name: str) -> np.ndarray[Any, np.dtype[Any]]:
    values = [getattr(item, name) if item is not None else None for item in items]
    return np.array([np.nan if value is None else float(value) for value in values])


def _events(path: Path) -> tuple[list[Any], list[str]]:
    obspy = _library()

    raw = _xml(path, "quakeml", "QuakeML")
    with coded("QuakeML", path), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        events = list(obspy.read_events(io.BytesIO(raw), format="QUAKEML"))
    if not events:
        raise DataError("E_FORMAT", f"{path.name} describes no event.")
    said = dict.fromkeys(clean(str(w.message), 160) for w in caught)
    return events, [f"ObsPy: {words}" for words in said if "deprecat" not in words.lower()]


def read_picks(path: str | Path, response: Response | None = None) -> Picks:
    """The phase picks of a QuakeML file, in seconds after the first; coordinates come from `response` where it knows the station."""
    path = Path(path)
    events, notes = _events(path)
    picks = sorted((pick for event in events for pick in event.picks if pick.time is not None), key=lambda pick: pick.time)
    if not picks:
        raise DataError("E_DATA", f"{path.name} holds no phase picks.")
    known = [pick for pick in picks if (pick.phase_hint or "")[:1].upper() in ("P", "S")]
    if len(known) < len(picks):
        notes.append(f"{len(picks) - len(known)} picks of no P or S phase are left out.")
    if not known:
        raise DataError("E_DATA", f"{path.name}: none of its {len(picks)} picks names a P or S phase.")
    ids = [(pick.waveform_id.network_code or "", pick.waveform_id.station_code or "") for pick in known]
    sites: dict[tuple[str, str], Any] = {}
    if response is not None:
        sites = {(network.code, station.code): station for network in response.inventory for station in network}
        absent = sorted({".".join(id_) for id_ in ids if id_ not in sites})
        if absent:
            notes.append(f"No coordinates for {clean(', '.join(absent), 120)}.")
    else:
        notes.append("QuakeML holds no station coordinates: give a Response for them.")
    sigma = np.array([float(pick.time_errors.uncertainty or np.nan) if pick.time_errors else np.nan for pick in known])
    if np.isnan(sigma).any():
        notes.append(f"{int(np.isnan(sigma).sum())} picks have no uncertainty.")
    located = [sites.get(id_) for id_ in ids] if sites else []
    return Picks(
        title=path.stem, notes=tuple(notes), station=np.array([".".join(filter(None, id_)) for id_ in ids]),
        phase=np.array([(pick.phase_hint or "")[0].upper() for pick in known]), time=np.array([float(pick.time - known[0].time) for pick in known]),
        origin=str(known[0].time), uncertainty=sigma, latitude=_column(located, "latitude") if sites else None,
        longitude=_column(located, "longitude") if sites else None, elevation=_column(located, "elevation") if sites else None,
    )  # fmt: skip
