"""Where things lie in a SEG-Y file, and whether its headers agree with each other and with the file's size.

The textual and binary headers, the trace headers and their fields (SEG Technical Standards: rev 0, 1975; rev 1, 2002;
rev 2.1, 2023). What contradicts itself is refused with a code, the byte and the way out, or said in a note. Bytes are
counted from 1 in messages and arguments, as the standard counts them. Samples are in `moho.segy_samples`.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from moho.errors import DataError, Missing
from moho.files import clean
from moho.survey import Array

TEXT, HEADERS, TRACE_HEADER, STANZA = 3200, 3600, 240, 3200  # bytes
FEET = 0.3048  # m
SMALLEST_INTERVAL = 20  # us; below it the header is taken to be in other units

FORMATS = {1: ("IBM float", "u4"), 2: ("int32", "i4"), 3: ("int16", "i2"), 5: ("IEEE float", "f4"), 8: ("int8", "i1")}
OTHERS = {
    4: "fixed point with gain", 6: "IEEE double", 7: "int24", 9: "int64", 10: "uint32", 11: "uint16", 12: "uint64", 15: "uint24", 16: "uint8",
}  # fmt: skip
KNOWN = FORMATS | OTHERS

# name -> (first byte, type), the trace header fields that are read; 4-byte ones may be named elsewhere by `header_bytes`
FIELDS = {
    "record": (9, "i4"), "channel": (13, "i4"), "source_point": (17, "i4"), "cdp": (21, "i4"), "offset": (37, "i4"), "scalar": (71, "i2"),
    "source_x": (73, "i4"), "source_y": (77, "i4"), "receiver_x": (81, "i4"), "receiver_y": (85, "i4"), "coordinate_unit": (89, "i2"),
    "delay": (109, "i2"), "samples": (115, "u2"), "interval": (117, "u2"), "x": (181, "i4"), "y": (185, "i4"), "inline": (189, "i4"),
    "crossline": (193, "i4"), "time_scalar": (215, "i2"),
}  # fmt: skip
MOVABLE = tuple(name for name, (_, kind) in FIELDS.items() if kind == "i4")


@dataclass(frozen=True)
class Options:
    """What the person said of the file, in place of what its headers say."""

    header_bytes: Mapping[str, int] = field(default_factory=dict)
    kind: str | None = None  # "2-D" | "pre-stack" | "3-D"
    dt: float | None = None  # s, or m in depth
    t0: float | None = None
    domain: str | None = None  # "time" | "depth"
    samples: int | None = None
    format_code: int | None = None
    byte_order: str | None = None  # "big" | "little"
    whole_traces: bool = False  # read a file that was cut off as far as its traces are whole


@dataclass(frozen=True)
class Layout:
    """A SEG-Y file's skeleton, checked against its size. Byte positions from 0."""

    size: int
    start: int  # of the first trace
    traces: int
    samples: int
    interval: float  # as in the headers: us, or mm in depth
    format_code: int
    byte_order: str  # "big" | "little"
    revision: int
    system: int  # 1 metres, 2 feet
    sorting: int
    notes: tuple[str, ...] = ()

    @property
    def sign(self) -> str:
        return ">" if self.byte_order == "big" else "<"

    @property
    def sample_type(self) -> np.dtype[Any]:
        return np.dtype(self.sign + FORMATS[self.format_code][1])

    @property
    def trace_bytes(self) -> int:
        return TRACE_HEADER + self.samples * WIDTH[self.format_code]

    @property
    def metres(self) -> float:
        """Length of the file's unit of length."""
        return FEET if self.system == 2 else 1.0


WIDTH = {1: 4, 2: 4, 3: 2, 5: 4, 8: 1}
BIG, LITTLE = struct.Struct(">h"), struct.Struct("<h")


def read_layout(file: int, name: str, options: Options = Options()) -> Layout:
    """The skeleton of the SEG-Y file behind the descriptor; DataError where headers and size do not agree.

    E_TRUNCATED: the file ends inside a header or a trace. E_HEADER: number of samples, interval, header counts or byte
    order contradict each other. E_UNSUPPORTED: a format or a variable trace length that is not read. E_UNITS: an interval that is
    not in microseconds. E_FORMAT: no SEG-Y at all.
    """
    size = os.fstat(file).st_size
    if size == 0:
        raise DataError("E_FORMAT", f"{name} is empty.")
    head = os.pread(file, HEADERS, 0)
    if size <= HEADERS + TRACE_HEADER:
        if not looks_like(head):
            raise DataError("E_FORMAT", f"{name} is no SEG-Y file: {size} bytes, and no SEG-Y header among them.")
        need = HEADERS + TRACE_HEADER
        raise DataError("E_TRUNCATED", f"{name} ends at byte {size}; the headers of a SEG-Y file and of its first trace alone take {need}.")
    order, code, notes = _format(head, name, options)
    sign = ">" if order == "big" else "<"
    (major, minor) = (head[3500], head[3501]) if order == "big" or head[3500] else (head[3501], 0)
    revision = major if major in (1, 2) else 0
    if major > 2:
        notes.append(f"Byte 3501 gives revision {major}.{minor}, which does not exist: read as revision 0.")
    interval, samples = struct.unpack_from(sign + "HxxH", head, 3216)
    system = struct.unpack_from(sign + "h", head, 3254)[0]
    sorting = struct.unpack_from(sign + "h", head, 3228)[0]
    start, count, trailer, extended = HEADERS, 0, 0, 0
    if revision:
        extended = struct.unpack_from(sign + "h", head, 3504)[0]
        start += STANZA * _stanzas(file, name, extended, size)
    if revision == 2:
        long_samples, long_interval = struct.unpack_from(sign + "id", head, 3268)
        samples = long_samples if long_samples > 0 else samples
        interval = long_interval if 0 < long_interval < 1e9 else interval
        more, _, count, first, trailer = struct.unpack_from(sign + "IHQQi", head, 3506)
        if more:
            raise DataError("E_UNSUPPORTED", f"{name}: {more} additional headers a trace (byte 3507) are not read.")
        if first:
            if not HEADERS <= first < size:
                raise DataError("E_HEADER", f"{name}: byte 3521 puts the first trace at byte {first} of {size}.")
            start = first
        trailer = max(trailer, 0)
    if start + TRACE_HEADER >= size:
        raise DataError("E_HEADER", f"{name}: {extended} extended textual headers (byte 3505) reach beyond the end of the file at byte {size}.")
    probe = _Probe(file, name, size - trailer * STANZA, start, code, sign)
    samples = _samples(probe, int(samples), options, notes)
    probe.fit(samples, options.whole_traces, notes)
    if count not in (0, 2**64 - 1, probe.traces):
        code_, what = ("E_TRUNCATED", "holds only") if count > probe.traces else ("E_HEADER", "holds")
        raise DataError(code_, f"{name}: byte 3513 promises {count} traces and the file {what} {probe.traces}.")
    interval = _interval(probe, float(interval), options, notes)
    return Layout(size, start, probe.traces, samples, interval, code, order, revision, system, sorting, tuple(notes))


def looks_like(head: bytes, path: object = None) -> bool:
    """Whether the first bytes of a file are SEG-Y's: a card image in EBCDIC or ASCII, or a binary header that makes sense."""
    if len(head) >= 160 and re.match(rb"(?i)c( ?1|01) ", head[:4]) and (len(head) < TEXT or not _has_lines(head[:TEXT])):
        return True
    if len(head) >= 160 and head[:4] in (b"\xc3\x40\xf1\x40", b"\xc3\xf0\xf1\x40"):
        return True
    if len(head) < HEADERS:
        return False
    for sign in "><":
        interval, _, samples, _, code, fold, sorting = struct.unpack_from(sign + "HHHHhhh", head, 3216)
        if code in KNOWN and samples and 0 < interval <= 32767 and fold >= 0 and -1 <= sorting <= 9:
            return head[:4] != b"\x89HDF" and not head.startswith((b"CDF", b"PK", b"\x1f\x8b"))
    return False


def _has_lines(text: bytes) -> bool:
    """Whether there are line ends as in a text file; card images have none, or one every 80 or 81 bytes."""
    return 0 < text.count(b"\n") < 38 or text.count(b"\n") > 42


def _format(head: bytes, name: str, options: Options) -> tuple[str, int, list[str]]:
    """Byte order and format code. The code stands in the high byte of a 2-byte word when the order is the other one."""
    big, little = BIG.unpack_from(head, 3224)[0], LITTLE.unpack_from(head, 3224)[0]
    notes: list[str] = []
    order = options.byte_order
    if order is None:
        if big in KNOWN or (little not in KNOWN and options.format_code):
            order = "big"
        elif little in KNOWN:
            order = "little"
            notes.append("The headers are little-endian, which the standard allows only since revision 2.")
        elif not looks_like(head):
            raise DataError("E_FORMAT", f"{name} is no SEG-Y file: no textual header and format code {big} at byte 3225.")
        else:
            words = f"{name}: byte 3225 gives format code {big}, which no SEG-Y revision defines."
            raise DataError("E_HEADER", words, f"If you know how the samples are written, say format_code=: {_formats()}.")
    code = big if order == "big" else little
    if options.format_code is not None:
        if code != options.format_code:
            notes.append(f"Format code {options.format_code} as you said; the header says {code} (byte 3225).")
        code = options.format_code
    if code in OTHERS:
        raise DataError("E_UNSUPPORTED", f"{name}: samples are {OTHERS[code]} (format code {code}); read are {_formats()}.")
    if code not in FORMATS:
        raise DataError("E_HEADER", f"{name}: byte 3225 gives format code {code} when read {order}-endian; read are {_formats()}.")
    return order, code, notes


def _formats() -> str:
    return ", ".join(f"{code} ({words})" for code, (words, _) in FORMATS.items())


def _stanzas(file: int, name: str, count: int, size: int) -> int:
    """Number of extended textual headers; -1 in the header means up to the one that says EndText."""
    if count >= 0:
        return count
    if count == -1:
        for number in range(min(100, (size - HEADERS) // STANZA)):
            if "SEG: ENDTEXT" in decode_text(os.pread(file, STANZA, HEADERS + number * STANZA))[0].upper():
                return number + 1
        raise DataError("E_HEADER", f"{name}: byte 3505 promises extended textual headers up to an ((SEG: EndText)), and there is none.")
    raise DataError("E_HEADER", f"{name}: byte 3505 gives {count} extended textual headers.")


class _Probe:
    """Tries numbers of samples against the size of the file and the headers that should lie there."""

    def __init__(self, file: int, name: str, size: int, start: int, code: int, sign: str) -> None:
        self.file, self.name, self.size, self.start, self.code = file, name, size, start, code
        self.width, self.traces = WIDTH[code], 0
        first = os.pread(file, TRACE_HEADER, start)
        self.mark = first[114:118]
        self.samples, self.interval = struct.unpack(sign + "HH", self.mark)
        self.pair = struct.Struct(sign + "HH")

    def length(self, samples: int) -> int:
        return TRACE_HEADER + samples * self.width

    def rest(self, samples: int) -> int:
        """Bytes beyond the last whole trace; negative when not one is whole."""
        length = self.length(samples)
        return (self.size - self.start) % length if self.size - self.start >= length else -1

    def aligned(self, samples: int) -> bool:
        """Whether trace headers with the interval of the first are found where this number of samples puts them."""
        length = self.length(samples)
        traces = (self.size - self.start) // length
        if traces < 2 or self.mark == bytes(4):
            return traces >= 1
        seen = 0
        for number in (1, 2, traces // 2, traces - 1):
            if number >= traces:
                continue
            mark = os.pread(self.file, 4, self.start + number * length + 114)
            if mark == self.mark or (self.interval and mark[2:] == self.mark[2:]):
                seen += 1
            elif any(os.pread(self.file, TRACE_HEADER, self.start + number * length)):  # padding traces have headers of zeros
                return False
        return seen > 0

    def fit(self, samples: int, whole: bool, notes: list[str]) -> None:
        """Set `traces`, or say what the size and the headers do not agree on."""
        length, rest = self.length(samples), self.rest(samples)
        if rest < 0:
            words = f"{self.name}: one trace of {samples} samples takes {length} bytes and only {self.size - self.start} follow the headers."
            raise DataError("E_TRUNCATED", words, "The file was cut off, or bytes 3221 and 115 lie about the number of samples.")
        self.traces = (self.size - self.start) // length
        if not self.aligned(samples):
            raise self.misplaced(samples)
        if (inside := self.inside(samples)) is not None:
            words = f"{self.name}: with {samples} samples a trace (byte 3221), trace headers lie among the samples, every {inside} bytes."
            raise DataError("E_HEADER", words, f"Say samples={(inside - TRACE_HEADER) // self.width} if that is right.")
        if not rest:
            return
        if not any(os.pread(self.file, rest, self.size - rest)):
            notes.append(f"{rest} zero bytes after the last trace were left out.")
        elif whole:
            notes.append(f"The file was cut off inside trace {self.traces + 1}; the {self.traces} whole traces were read, as you said.")
        else:
            words = f"{self.name} ends {rest} bytes into trace {self.traces + 1} of {length} bytes each."
            hint = f"Get the whole file, or add it with --hint whole_traces=true to read the first {self.traces} traces."
            raise DataError("E_TRUNCATED", words, hint)

    def inside(self, samples: int) -> int | None:
        """Length of shorter traces whose headers recur within these, as when the headers tell of several traces as one."""
        if not self.samples or not self.interval:
            return None
        length = self.length(samples)
        first = os.pread(self.file, length, self.start)
        for parts in (2, 3, 4, 5, 6):
            piece, rest = divmod(length, parts)
            if rest or piece <= TRACE_HEADER or first[piece + 114 : piece + 118] != self.mark:
                continue
            places = [self.start + number * piece + 114 for number in range(1, min(2 * parts, self.traces * parts))]
            if all(os.pread(self.file, 4, place) == self.mark for place in places):
                return piece
        return None

    def misplaced(self, samples: int) -> DataError:
        length = self.length(samples)
        where = self.start + length + 115
        found = self.pair.unpack(os.pread(self.file, 4, where - 1)) if where + 3 <= self.size else (0, 0)
        if (other := self.walk()) is not None:
            words = f"{self.name}: traces differ in length ({self.samples} and {other} samples), which is not read."
            return DataError("E_UNSUPPORTED", words, "Write it with a fixed trace length first.")
        words = (
            f"{self.name}: with {samples} samples a trace, trace 2 would start at byte {self.start + length + 1}, but bytes {where}-{where + 3} "
            f"give {found[0]} samples at {found[1]} us, trace 1 gives {self.samples} at {self.interval} us."
        )
        return DataError("E_HEADER", words, "Number of samples, format code or the count of extended headers is wrong; say samples= or format_code=.")

    def walk(self) -> int | None:
        """The number of samples of the first trace that differs, where each trace's own header leads to the next one's."""
        at, samples = self.start, self.samples
        for _ in range(3):
            at += self.length(samples)
            if not samples or at + 118 > self.size:
                return None
            samples, interval = self.pair.unpack(os.pread(self.file, 4, at + 114))
            if interval != self.interval or not interval:
                return None
            if samples != self.samples:
                return int(samples) if samples else None
        return None


def _samples(probe: _Probe, binary: int, options: Options, notes: list[str]) -> int:
    """Samples a trace: what binary and trace header say, weighed by what the file's size bears out."""
    trace, name = probe.samples, probe.name
    if options.samples is not None:
        if binary != options.samples:
            notes.append(f"{options.samples} samples a trace as you said; the binary header says {binary} (byte 3221).")
        return options.samples
    if not binary and not trace:
        words = f"{name}: neither the binary header (byte 3221) nor the first trace (byte 115) gives a number of samples."
        raise DataError("E_HEADER", words, "Say samples= if you know it.")
    if binary == trace or not trace:
        if not trace:
            notes.append(f"The first trace gives no number of samples (byte 115); the binary header's {binary} fits the file.")
        return binary
    fits = [n for n in (binary, trace) if n and probe.rest(n) == 0 and probe.aligned(n)]
    both = f"{name}: the binary header says {binary} samples a trace (byte 3221), trace 1 says {trace} (byte {probe.start + 115})"
    if len(fits) == 1:
        notes.append(f"Binary header {binary} samples (byte 3221), trace headers {trace} (byte 115): {fits[0]} fits the file's size and was used.")
        return fits[0]
    if fits:
        raise DataError("E_HEADER", f"{both}, and the file's size allows both.", "Say samples= to decide.")
    if binary and probe.rest(binary) != 0 and probe.aligned(binary) and not (trace and probe.aligned(trace)):
        return binary
    if (other := probe.walk()) is not None:
        raise DataError("E_UNSUPPORTED", f"{name}: traces differ in length ({trace} and {other} samples), which is not read.")
    words = f"{both}; neither divides the {probe.size - probe.start} bytes of traces."
    raise DataError("E_HEADER", words, "The file may be cut off; say samples= if you know it.")


def _interval(probe: _Probe, binary: float, options: Options, notes: list[str]) -> float:
    """Sample interval in the header's unit (us)."""
    trace, name = float(probe.interval), probe.name
    if binary == trace and SMALLEST_INTERVAL <= binary <= 32767 and options.dt is None:
        return binary
    where = f"binary header {binary:g} us (byte 3217), trace 1 {trace:g} us (byte {probe.start + 117})"
    if options.dt is not None:
        factor = 1e3 if options.domain == "depth" else 1e6
        said = options.dt * factor
        if any(value and abs(value - said) > 1e-6 * said for value in (binary, trace)):
            notes.append(f"Sample interval {options.dt:g} as you said; headers: {where}.")
        return said
    if not binary and not trace:
        raise DataError("E_HEADER", f"{name}: no sample interval: {where}.", "Say dt= in seconds, e.g. dt=0.004.")
    if binary and trace and abs(binary - trace) > 0.5:
        swapped = struct.unpack("<H", struct.pack(">H", probe.interval))[0]
        words = " Read in the other byte order the second equals the first: byte orders are mixed." if swapped == binary else ""
        raise DataError("E_HEADER", f"{name}: two sample intervals: {where}.{words}", "Say which is right with dt=, in seconds.")
    if not (binary and trace):
        notes.append(f"Only one header gives the sample interval: {where}.")
    value = binary or trace
    if value > 32767 and value == int(value):
        words = f"{name}: a sample interval of {value:g} us (byte 3217); as the signed number of the standard it is {int(value) - 65536}."
        raise DataError("E_HEADER", words, "Say dt= in seconds.")
    if value < SMALLEST_INTERVAL and options.domain != "depth":
        words = f"{name}: a sample interval of {value:g} us is too short for seismic data; the header may mean {value:g} ms or {value:g} m."
        raise DataError("E_UNITS", words, f"Say dt={value / 1000:g} for ms; for depth say domain='depth' and dt={value:g}.")
    return value


# -- textual headers

GOOD = re.compile(r"[A-Za-z0-9 .,:;()/\-+=_#'\"&*%]")


def decode_text(raw: bytes) -> tuple[str, str]:
    """(text, encoding) of a textual header; ('', 'neither EBCDIC nor ASCII') where it is no text."""
    best, chosen, score = "", "neither EBCDIC nor ASCII", 0.85
    for encoding, words in (("cp037", "EBCDIC"), ("latin-1", "ASCII")):
        text = raw.decode(encoding).replace("\0", " ").replace("\r", " ").replace("\n", " ")
        share = len(GOOD.findall(text)) / max(len(text), 1)
        blank = text.count("@" if encoding == "latin-1" else "\x80") / max(len(text), 1)
        if share - blank > score:
            best, chosen, score = text, words, share - blank
    return best, chosen


def quoted(text: str, limit: int = 4) -> str:
    """The first lines of a textual header that say something, cleaned, as a quotation."""
    lines = []
    for at in range(0, len(text), 80):
        line = clean(text[at : at + 80], 80)
        if re.search(r"[A-Za-z0-9]{2}", re.sub(r"^[Cc] ?\d{1,2}", "", line)):
            lines.append(line)
        if len(lines) == limit:
            break
    return " / ".join(f"“{line}”" for line in lines)


DEPTH = re.compile(
    r"(?:SAMPLE|SAMPLING|DEPTH|Z)[ -](?:INTERVAL|RATE|STEP|INCREMENT|SPACING)[ :=]*(\d+(?:\.\d+)?) ?(M|METRES|METERS|FT|FEET)\b"
)
HINTS = re.compile(
    r"\bPSDM\b|DEPTH[ -](?:DOMAIN|MIGRAT\w*|SECTION|VOLUME|CUBE|STACK|CONVERTED)|STACK[ -]DEPTH|DOMAIN[ :=]*DEPTH|IN DEPTH\b|"
    r"DEPTH (?:STEP|INTERVAL|SAMPL\w*|INCREMENT)"
)
TIME = re.compile(r"(?:TO|IN) TIME\b|TIME[ -](?:DOMAIN|SECTION|VOLUME)|DOMAIN[ :=]*TIME|TWO[ -]WAY TIME|\bPSTM\b|TIME[ -]MIGRAT")


def domain(layout: Layout, text: str, options: Options) -> tuple[str, float, list[str]]:
    """("time" | "depth", interval in s or m, notes). Missing where the textual header speaks of depth and leaves it open."""
    upper = re.sub(r"\s+", " ", text.upper())
    found, hint = DEPTH.search(upper), HINTS.search(upper)
    said = options.domain
    value = layout.interval
    if said is None and found is not None and not TIME.search(upper):
        step = float(found[1])
        unit = FEET if found[2].startswith("F") else 1.0
        if abs(value - 1000 * step) < 0.5 or abs(value - step) < 0.5:
            words = f"Depth section: the textual header says {step:g} {found[2].lower()} a sample, which the interval of {value:g} bears out."
            return "depth", step * unit, [words]
        words = f"the textual header says {step:g} {found[2].lower()} a sample and the interval is {value:g} (byte 3217)."
        raise DataError("E_UNITS", words, "Say domain= and dt=.")
    if said is None and hint is not None:
        if not TIME.search(upper):
            words = f"the textual header says “{clean(hint[0])}”, and an interval of {value:g} may be {value / 1000:g} ms or {value / 1000:g} m."
            raise Missing("domain", f"Are the samples in time or depth? For {words}", ("time", "depth"))
        return "time", value / 1e6, [f"The textual header speaks of both “{clean(hint[0])}” and time: read as time."]
    if said == "depth":
        if options.dt is not None:
            return "depth", options.dt, ["Depth, as you said."]
        metres = (value / 1000 if value >= 200 else value) * layout.metres
        return "depth", metres, [f"Depth, as you said; the interval of {value:g} in the header was read as {metres:g} m."]
    return "time", value / 1e6, []


# -- trace headers


def header_type(layout: Layout, header_bytes: Mapping[str, int]) -> np.dtype[Any]:
    """The trace header as a structured type, fields moved where the person said."""
    offsets = [header_bytes.get(name, first) - 1 for name, (first, _) in FIELDS.items()]
    formats = [layout.sign + kind for _, kind in FIELDS.values()]
    return np.dtype({"names": list(FIELDS), "formats": formats, "offsets": offsets, "itemsize": TRACE_HEADER})


def headers_at(file: int, layout: Layout, positions: Array, kind: np.dtype[Any]) -> Array:
    """The trace headers of these traces (from 0), one small read each."""
    length, start = layout.trace_bytes, layout.start
    raw = b"".join([os.pread(file, TRACE_HEADER, start + int(number) * length) for number in positions])
    if len(raw) != TRACE_HEADER * len(positions):
        raise DataError("E_CHANGED", "the file became shorter while it was read.")
    return np.frombuffer(raw, kind)


def check_headers(headers: Array, layout: Layout, name: str, options: Options, of: Array | None = None) -> list[str]:
    """Notes on trace headers that leave the line; E_HEADER where a trace has another sample interval. `of`: their numbers from 0."""
    notes = []
    numbers = np.arange(len(headers)) if of is None else of
    interval = headers["interval"]
    odd = np.flatnonzero((interval != 0) & (interval != interval[0] if interval[0] else interval != round(layout.interval)))
    if len(odd) and options.dt is None:
        k = int(numbers[odd[0]])
        words = f"{name}: trace {k + 1} has a sample interval of {int(interval[odd[0]])} us (byte {layout.start + k * layout.trace_bytes + 117})"
        raise DataError("E_HEADER", f"{words}, the file {layout.interval:g} us; {len(odd)} of {len(headers)} traces differ.", "Say dt= to overrule.")
    samples = headers["samples"]
    odd = np.flatnonzero((samples != layout.samples) & (samples != samples[0]))
    if len(odd):
        k = int(numbers[odd[0]])
        words = f"{len(odd)} of {len(headers)} trace headers give another number of samples than the rest"
        notes.append(f"{words}, trace {k + 1} first ({int(samples[odd[0]])}); {layout.samples} fits the file's size and was used.")
    return notes


def scaled(headers: Array, x: str, y: str) -> tuple[Array, Array, list[str]]:
    """Coordinates in the header's unit with the scalar of bytes 71-72 applied (negative divides), and notes on odd scalars."""
    scalar = headers["scalar"].astype(np.float64)
    notes = []
    used = np.unique(scalar)
    if not np.isin(np.abs(used), (0, 1, 10, 100, 1000, 10000)).all():
        notes.append(f"Unusual coordinate scalar {', '.join(f'{value:g}' for value in used[:4])} (bytes 71-72): applied as it stands.")
    elif len(used) > 1:
        notes.append(f"The coordinate scalar changes between traces ({', '.join(f'{value:g}' for value in used[:4])}): applied trace by trace.")
    factor = np.where(scalar == 0, 1.0, np.where(scalar < 0, 1.0 / np.where(scalar == 0, 1.0, np.abs(scalar)), scalar))
    # division, not multiplication by 0.1, so that -10 on 6201972 gives 620197.2
    divided = scalar < 0
    columns = [np.where(divided, headers[c] / np.where(divided, -scalar, 1.0), headers[c] * np.where(divided, 1.0, factor)) for c in (x, y)]
    return columns[0], columns[1], notes


def delay(headers: Array, layout: Layout, where: str, options: Options) -> tuple[float, list[str]]:
    """Time or depth of the first sample in s or m from bytes 109-110; E_UNSUPPORTED where it changes from trace to trace."""
    if options.t0 is not None:
        return options.t0, [f"First sample at {options.t0:g}, as you said."]
    values = headers["delay"].astype(np.float64)
    scalar = headers["time_scalar"].astype(np.float64)
    usual = np.isin(np.abs(scalar), (1, 10, 100, 1000, 10000))
    values = np.where(usual & (scalar < 0), values / np.where(scalar == 0, 1, np.abs(scalar)), np.where(usual, values * scalar, values))
    if (values != values[0]).any():
        words = f"recording delays from {values.min():g} to {values.max():g} ms (byte 109): traces do not start together, which is not read."
        raise DataError("E_UNSUPPORTED", words, "Say t0= to overrule.")
    first = float(values[0])
    if not first:
        return 0.0, []
    if where == "depth":
        return first * layout.metres, [f"First sample at {first:g} (bytes 109-110)."]
    return first / 1000, [f"First sample at {first:g} ms (bytes 109-110)."]


def spacing(x: Array, y: Array) -> float | None:
    """Distance of neighbouring traces in m: the median, or the mean where the line is straight and evenly sampled; None where all lie together."""
    steps = np.hypot(np.diff(x), np.diff(y))
    if not np.isfinite(steps).any():
        return None
    median = float(np.nanmedian(steps))
    mean = float(np.hypot(x[-1] - x[0], y[-1] - y[0])) / len(steps)
    return round(mean if abs(mean - median) < 0.01 * median else median, 3) or None
