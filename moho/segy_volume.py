"""3-D SEG-Y volumes: opened from a few hundred headers, read line by line, indexed in full only when asked.

Where every line has the same number of traces a trace's place follows from its numbers, and each line that is read has its headers
compared with the numbers expected there. Elsewhere `index` reads every header once.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moho.errors import DataError
from moho.segy_layout import FIELDS, FORMATS, HEADERS, TRACE_HEADER, Layout, Options, delay, header_type, headers_at, scaled, spacing
from moho.segy_samples import decode, gate, gate_notes, read_traces
from moho.store import stamp
from moho.survey import Array, Seismic, Volume

if TYPE_CHECKING:
    from moho.zarr_volume import Cells

WHOLE = 100_000  # traces up to which all headers of an irregular volume are read at once
SAMPLED = 4000  # headers of a larger one
EXACT = 1 << 22  # samples up to which the amplitude range is that of all of them
LARGEST = 2 << 30  # bytes `load` makes without being told

HeadersAt = Callable[[Array], Array]


@dataclass(frozen=True)
class Numbering:
    """How inline and crossline numbers run over the traces of a volume."""

    slow: str  # "inline" | "crossline": constant over runs of traces
    inline: tuple[int, int, int]  # smallest, largest, step
    crossline: tuple[int, int, int]
    run: int  # traces a line, 0 where lines differ
    notes: tuple[str, ...] = ()


def numbering(at: HeadersAt, traces: int) -> Numbering | None:
    """The grid that the line numbers form, from sampled headers; None where they form none (2-D, pre-stack, junk)."""
    if traces < 4:
        return None
    first = at(np.arange(min(traces, 64)))
    still = {name: np.diff(first[name].astype(np.int64)) == 0 for name in ("inline", "crossline")}
    shares = {slow: float(np.mean(still[slow] & ~still[fast])) for slow, fast in (("inline", "crossline"), ("crossline", "inline"))}
    slow = max(shares, key=lambda name: shares[name])
    if shares[slow] < 0.5:
        return None
    fast = "crossline" if slow == "inline" else "inline"
    run = _run(at, slow, traces)
    if run == traces:
        return None
    return _regular(at, slow, fast, run, traces) or _irregular(at, slow, fast, traces)


def _run(at: HeadersAt, slow: str, traces: int) -> int:
    """Number of leading traces with one and the same slow number, by doubling and halving."""
    value = at(np.array([0]))[slow][0]
    low, high = 0, 1  # low belongs to the run, high does not
    while high < traces and at(np.array([high]))[slow][0] == value:
        low, high = high, 2 * high
    high = min(high, traces)
    while high - low > 1:
        middle = (low + high) // 2
        if at(np.array([middle]))[slow][0] == value:
            low = middle
        else:
            high = middle
    return high


def _regular(at: HeadersAt, slow: str, fast: str, run: int, traces: int) -> Numbering | None:
    """The numbering where all lines have the same fast numbers, checked at a few hundred traces."""
    lines, rest = divmod(traces, run)
    if rest or run < 2:
        return None
    ends = at(np.array([0, 1, run - 1, run, traces - 1]))
    s, f = ends[slow].astype(int), ends[fast].astype(int)
    slow_step, fast_step = s[3] - s[0], f[1] - f[0]
    if not slow_step or not fast_step:
        return None
    edges = run * np.linspace(1, lines - 1, min(lines - 1, 100)).astype(int)
    sample = np.unique(np.concatenate([np.linspace(0, traces - 1, min(traces, 400)).astype(int), edges, edges - 1]))
    seen = at(sample)
    if (seen[slow] != s[0] + slow_step * (sample // run)).any() or (seen[fast] != f[0] + fast_step * (sample % run)).any():
        return None
    ranges = {slow: _span(s[0], s[0] + slow_step * (lines - 1), slow_step), fast: _span(f[0], f[2], fast_step)}
    return Numbering(slow, ranges["inline"], ranges["crossline"], run)


def _irregular(at: HeadersAt, slow: str, fast: str, traces: int) -> Numbering | None:
    whole = traces <= WHOLE
    near = np.arange(256)
    sample = np.arange(traces) if whole else np.unique(np.concatenate([near, traces - 1 - near, np.linspace(0, traces - 1, SAMPLED).astype(int)]))
    seen = at(sample)
    ranges = {}
    for name in (slow, fast):
        values = np.unique(seen[name].astype(np.int64))
        if len(values) < 2:
            return None
        ranges[name] = _span(int(values[0]), int(values[-1]), int(np.gcd.reduce(np.diff(values))))
    cells = np.prod([(last - first) // step + 1 for first, last, step in ranges.values()], dtype=float)
    if not 0.05 < traces / cells <= 1:
        return None
    words = f"Lines have different numbers of traces: {traces} traces on a grid of {cells:.0f}."
    if whole:
        pairs = np.unique(np.stack([seen["inline"], seen["crossline"]]), axis=1).shape[1]
        if pairs < traces:
            return None
    else:
        words += f" Ranges come from {len(sample)} headers; the index reads all of them."
    return Numbering(slow, ranges["inline"], ranges["crossline"], 0, (words,))


def _span(first: int, last: int, step: int) -> tuple[int, int, int]:
    return int(min(first, last)), int(max(first, last)), abs(int(step))


def open_volume(file: int, path: Path, layout: Layout, found: Numbering, where: str, dt: float, notes: list[str], options: Options) -> Volume:
    """The volume behind a descriptor: corners, bin size, amplitude range from few traces."""
    kind = header_type(layout, options.header_bytes)
    ends = headers_at(file, layout, np.array([0, layout.traces - 1]), kind)
    t0, more = delay(headers_at(file, layout, np.linspace(0, layout.traces - 1, min(64, layout.traces)).astype(int), kind), layout, where, options)
    notes += [*found.notes, *more]
    used = {name: options.header_bytes.get(name, FIELDS[name][0]) for name in ("inline", "crossline")}
    notes.append(f"Inline from bytes {bytes_of('inline', options)}, crossline from bytes {bytes_of('crossline', options)}.")
    corners = bin_size = None
    sample = headers_at(file, layout, np.linspace(0, layout.traces - 1, min(64, layout.traces)).astype(int), kind)
    if (pair := position_fields(sample, layout, options, notes)) is not None:
        used |= {axis: options.header_bytes.get(name, FIELDS[name][0]) for axis, name in zip("xy", pair, strict=True)}
        if found.run:
            corners, bin_size = _corners(file, layout, kind, found, ends, pair)
    used["first_trace"] = layout.start + 1
    amplitude, exact = _amplitude(file, layout, path.name, notes)
    notes.append(f"Amplitudes from {'all' if exact else '200 sampled'} traces.")
    return Volume(
        title=path.stem, path=str(path), samples=layout.samples, dt=dt, t0=t0, domain=where, inline=found.inline, crossline=found.crossline,
        sorting=found.slow, format_code=layout.format_code, byte_order=layout.byte_order, traces=layout.traces, header_bytes=used,
        corners=corners, bin_size=bin_size, amplitude=amplitude, notes=tuple(notes),
    )  # fmt: skip


def bytes_of(name: str, options: Options) -> str:
    """The bytes of a 4-byte trace header field, as `189-192`."""
    first = options.header_bytes.get(name, FIELDS[name][0])
    return f"{first}-{first + 3}"


def position_fields(headers: Array, layout: Layout, options: Options, notes: list[str]) -> tuple[str, str] | None:
    """The header fields that hold positions: CDP coordinates, else source coordinates; None, said, where neither changes."""
    reasons = []
    for x, y, words in (("x", "y", "CDP"), ("source_x", "source_y", "source")):
        place = f"{words} coordinates in bytes {bytes_of(x, options)} and {bytes_of(y, options)}"
        values = [int(headers[name][0]) for name in (x, y)]
        if len(headers) > 1 and any((headers[name] != headers[name][0]).any() for name in (x, y)):
            unit = int(headers["coordinate_unit"][0])
            if unit in (2, 3, 4) and _angular(headers, x, y, unit):
                notes.append(f"No positions: the {place} are angles (unit code {unit}, byte 89), and metres are needed.")
                return None
            notes.append(f"Positions from the {place}{', feet turned into metres' if layout.system == 2 else ''}.")
            return x, y
        reasons.append(f"the {place} are {f'constant ({values[0]}, {values[1]})' if any(values) else 'all zero'}")
    notes.append(f"No positions: {' and '.join(reasons)}.")
    return None


def _angular(headers: Array, x: str, y: str, unit: int) -> bool:
    """Whether coordinates of an angular unit code can be angles at all; marine files often carry the code with metres."""
    east, north, _ = scaled(headers, x, y)
    largest = {2: 3600.0, 3: 1.0, 4: 10000.0}[unit]
    return bool(np.abs(east).max() <= 180 * largest and np.abs(north).max() <= 90 * largest and np.ptp(east) < 20 * largest)


def _corners(
    file: int, layout: Layout, kind: np.dtype[Any], found: Numbering, ends: Array, pair: tuple[str, str]
) -> tuple[Array, tuple[float, float] | None]:
    """Corner positions in the order (first, first), (first, last), (last, first), (last, last) of inline and crossline, and bin sizes."""
    places = []
    for il in found.inline[:2]:
        for xl in found.crossline[:2]:
            places.append(_place(found, ends, il, xl))
    heads = headers_at(file, layout, np.array(places), kind)
    x, y, _ = scaled(heads, *pair)
    corners = np.stack([x, y], axis=1) * layout.metres
    counts = [(last - first) // step for first, last, step in (found.inline, found.crossline)]
    sides = [float(np.hypot(*(corners[2] - corners[0]))), float(np.hypot(*(corners[1] - corners[0])))]
    if not all(counts) or not all(sides):
        return corners, None
    return corners, (round(sides[0] / counts[0], 3), round(sides[1] / counts[1], 3))


def _place(found: Numbering, ends: Array, inline: int, crossline: int) -> int:
    """The trace (from 0) of these numbers in a regular volume. `ends`: headers of the first and last trace, which give the direction."""
    at = {}
    for name, number in (("inline", inline), ("crossline", crossline)):
        step = getattr(found, name)[2]
        begin, end = int(ends[name][0]), int(ends[name][1])
        at[name] = (number - begin) // (step if end >= begin else -step)
    fast = "crossline" if found.slow == "inline" else "inline"
    return at[found.slow] * found.run + at[fast]


def _amplitude(file: int, layout: Layout, name: str, notes: list[str]) -> tuple[tuple[float, float] | None, bool]:
    """(smallest, largest) finite amplitude, of all traces where few samples, else of 200; whether of all."""
    exact = layout.traces * layout.samples <= EXACT
    if exact:
        data, _, energy = read_traces(file, layout, 0, layout.traces)
        notes += gate_notes(gate(data, energy, layout, name), layout, layout.traces)
    else:
        places = np.unique(np.linspace(0, layout.traces - 1, 200).astype(int))
        data = np.concatenate([read_traces(file, layout, int(number), 1)[0] for number in places])
        bad, dead = int(np.count_nonzero(~np.isfinite(data))), int(np.count_nonzero(~data.any(axis=1)))
        if bad == data.size:
            raise DataError("E_DATA", f"{name}: every sample of {len(places)} sampled traces is NaN or infinite.")
        if bad:
            notes.append(f"{100 * bad / data.size:.3g} % of the samples of {len(places)} sampled traces are NaN or infinite.")
        if dead:
            notes.append(f"{dead} of {len(places)} sampled traces are dead (all zero).")
    finite = data[np.isfinite(data)]
    return (float(finite.min()), float(finite.max())) if len(finite) else None, exact


# -- reading from an open volume


@dataclass(frozen=True)
class Traces:
    """Traces of an open SEG-Y file by their number from 0."""

    file: int
    layout: Layout
    kind: np.dtype[Any]

    def head(self) -> bytes:
        """The first 3600 bytes."""
        return os.pread(self.file, HEADERS, 0)

    def headers(self, places: Array) -> Array:
        """The trace headers of these traces."""
        return headers_at(self.file, self.layout, places, self.kind)

    def read(self, places: Array) -> tuple[Array, Array, Array]:
        """(trace, sample) float32, (trace, 240) bytes, (trace,) sum of squares."""
        runs = stretches(places)
        if len(runs) == 1:
            return read_traces(self.file, self.layout, int(places[0]), len(places))
        data, headers = np.empty((len(places), self.layout.samples), np.float32), np.empty((len(places), TRACE_HEADER), np.uint8)
        energy = np.empty(len(places), np.float32)
        for a, b in runs:
            data[a:b], headers[a:b], energy[a:b] = read_traces(self.file, self.layout, int(places[a]), b - a)
        return data, headers, energy

    def samples(self, places: Array, number: int) -> Array:
        """(trace,) one sample of each of these traces."""
        size = self.layout.sample_type.itemsize
        first = self.layout.start + TRACE_HEADER + number * size
        raw = b"".join([os.pread(self.file, size, first + int(place) * self.layout.trace_bytes) for place in places])
        if len(raw) != size * len(places):
            raise DataError("E_CHANGED", "the file became shorter while it was read.")
        out = np.empty((len(places), 1), np.float32)
        decode(np.frombuffer(raw, np.uint8).reshape(len(places), size), self.layout, out)
        return out[:, 0]


def stretches(places: Array) -> list[tuple[int, int]]:
    """Bounds of the stretches in which one trace follows the other in the file."""
    breaks = [0, *(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
    return [(a, b) for a, b in pairwise(breaks) if b > a]


@contextmanager
def opened(volume: Volume) -> Iterator[Traces | Cells]:
    """The traces of a volume whose file is still what it was, or whose Zarr folder is."""
    path = Path(volume.path)
    if path.is_dir():
        from moho.zarr_volume import cells

        yield cells(volume)
        return
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise DataError("E_NOT_FOUND", f"{path.name} is gone from {path.parent}.") from error
    except PermissionError as error:
        raise DataError("E_PERM", f"{path.name} may not be read.") from error
    try:
        sign = ">" if volume.byte_order == "big" else "<"
        system = struct.unpack(sign + "h", os.pread(file, 2, 3254))[0]
        size = os.fstat(file).st_size
        start = volume.header_bytes.get("first_trace", 3601) - 1
        layout = Layout(size, start, volume.traces, volume.samples, volume.dt * 1e6, volume.format_code, volume.byte_order, 0, system, 0)
        if volume.format_code not in FORMATS or size < start + volume.traces * layout.trace_bytes:
            raise DataError("E_CHANGED", f"{path.name} is no longer the file that was opened.")
        named = {name: byte for name, byte in volume.header_bytes.items() if name in FIELDS}
        yield Traces(file, layout, header_type(layout, named))
    finally:
        os.close(file)


def read_inline(volume: Volume, number: int, *, top: float | None = None, base: float | None = None) -> Seismic:
    """The section along an inline, between `top` and `base` (s, or m in depth); ValueError for a number that is not there."""
    return _section(volume, "inline", number, top, base)


def read_crossline(volume: Volume, number: int, *, top: float | None = None, base: float | None = None) -> Seismic:
    """The section along a crossline, between `top` and `base` (s, or m in depth); ValueError for a number that is not there."""
    return _section(volume, "crossline", number, top, base)


def _section(volume: Volume, which: str, number: int, top: float | None, base: float | None) -> Seismic:
    first, last, step = volume.inline if which == "inline" else volume.crossline
    if not first <= number <= last or (number - first) % step:
        steps = f" in steps of {step}" if step > 1 else ""
        raise ValueError(f"there is no {which} {number}; the volume has {first} to {last}{steps}")
    other = "crossline" if which == "inline" else "inline"
    window = _window(volume, top, base)
    with opened(volume) as source:
        layout = source.layout
        places = _line_places(volume, source, which, number)
        if places is None or not _are_there(source, places, which, number):
            numbers = _numbers(source)
            places = np.flatnonzero(numbers[:, 0 if which == "inline" else 1] == number)
        if not len(places):
            raise DataError("E_GEOMETRY", f"{which} {number} holds no trace.")
        data, raw, energy = source.read(places)
        headers = raw.view(source.kind)[:, 0]
        order = np.argsort(headers[other], kind="stable")
        data, headers = data[order], headers[order]
        notes = [f"{which} {number} of {volume.title}."]
        if energy.any():
            notes += gate_notes(gate(data, energy[order], layout, volume.title), layout, len(data))
        else:
            notes.append("Every trace of this line is dead (all zero).")
        x = y = dx = None
        if "x" in volume.header_bytes:
            x, y, more = scaled(headers, "x", "y")
            x, y = x * layout.metres, y * layout.metres
            notes += more
            dx = spacing(x, y)
    return Seismic(
        title=f"{volume.title} {which} {number}", data=np.ascontiguousarray(data[:, window]), dt=volume.dt,
        t0=round(volume.t0 + volume.dt * window.start, 9),
        domain=volume.domain, quantity=volume.quantity, unit=volume.unit, band=volume.band,
        polarity=volume.polarity, cdp=headers[other].astype(np.int64), x=x, y=y, dx=dx, crs=volume.crs, notes=tuple(notes),
        history=volume.history,
    )  # fmt: skip


def _window(volume: Volume, top: float | None, base: float | None) -> slice:
    end = volume.t0 + volume.dt * (volume.samples - 1)
    unit = "s" if volume.domain == "time" else "m"
    low, high = volume.t0 if top is None else top, end if base is None else base
    first = max(0, int(np.ceil((low - volume.t0) / volume.dt - 1e-6)))
    last = min(volume.samples - 1, int(np.floor((high - volume.t0) / volume.dt + 1e-6)))
    if first > last:
        raise ValueError(f"no sample between {low:g} and {high:g} {unit}; the volume runs from {volume.t0:g} to {end:g} {unit}")
    return slice(first, last + 1)


def _run_of(volume: Volume) -> int:
    """Traces a line where all lines are complete, else 0."""
    inlines, crosslines, _ = volume.shape
    return 0 if volume.traces != inlines * crosslines else crosslines if volume.sorting == "inline" else inlines


def _line_places(volume: Volume, source: Traces | Cells, which: str, number: int) -> Array | None:
    """Where the traces of a line lie in a regular volume; None in others."""
    run = _run_of(volume)
    if not run:
        return None
    found = Numbering(volume.sorting, volume.inline, volume.crossline, run)
    ends = source.headers(np.array([0, volume.traces - 1]))
    other = volume.crossline if which == "inline" else volume.inline
    pairs = [(number, n) if which == "inline" else (n, number) for n in (other[0], other[1])]
    first, last = (_place(found, ends, *pair) for pair in pairs)
    count = (other[1] - other[0]) // other[2] + 1
    places = np.linspace(first, last, count).astype(np.int64)
    return np.sort(places) if places.min() >= 0 and places.max() < volume.traces else None


def _are_there(source: Traces | Cells, places: Array, which: str, number: int) -> bool:
    heads = source.headers(places)
    other = "crossline" if which == "inline" else "inline"
    return bool((heads[which] == number).all() and len(np.unique(heads[other])) == len(heads))


def read_slice(volume: Volume, value: float, most: int = 400) -> tuple[Array, Array, Array, float]:
    """((inline,) and (crossline,) numbers, (inline, crossline) amplitudes there, NaN for none, its s or m) of a time or depth slice.

    The sample nearest to `value`; every so many lines and traces of them that neither side has more than about `most`.
    """
    number = int(np.clip(round((value - volume.t0) / volume.dt), 0, volume.samples - 1))
    steps = [-(-count // most) for count in volume.shape[:2]]
    axes = [np.arange(first, last + 1, step * every) for (first, last, step), every in zip((volume.inline, volume.crossline), steps, strict=True)]
    with opened(volume) as source:
        if run := _run_of(volume):
            found = Numbering(volume.sorting, volume.inline, volume.crossline, run)
            ends = source.headers(np.array([0, volume.traces - 1]))
            origin, one, two = (_place(found, ends, i, j) for i, j in ((axes[0][0], axes[1][0]), (axes[0][1], axes[1][0]), (axes[0][0], axes[1][1])))
            grid = origin + (one - origin) * np.arange(len(axes[0]))[:, None] + (two - origin) * np.arange(len(axes[1]))
        else:
            numbers = _numbers(source).astype(np.int64)
            grid = np.full((len(axes[0]), len(axes[1])), -1)
            cell = [(numbers[:, n] - axis[0]) / (axis[1] - axis[0] if len(axis) > 1 else 1) for n, axis in enumerate(axes)]
            hit = np.flatnonzero((cell[0] == np.floor(cell[0])) & (cell[1] == np.floor(cell[1])))
            grid[cell[0][hit].astype(int), cell[1][hit].astype(int)] = hit
        out = np.full(grid.shape, np.nan, np.float32)
        out[grid >= 0] = source.samples(grid[grid >= 0], number)
    return axes[0], axes[1], out, float(volume.t0 + volume.dt * number)


def index(volume: Volume, progress: Callable[[float], None] | None = None, cache: Path | None = None) -> Array:
    """(trace, 2) int32: inline and crossline of every trace, read once.

    `cache`: a folder of Moho's own where it is kept as .npy under a name made of path, size, date and header bytes. What is found
    there is compared with headers of the file. E_GEOMETRY where numbers occur twice or leave the ranges of a regular volume.
    """
    size, changed = stamp(Path(volume.path))
    key = f"{volume.path} {size} {changed} {sorted(volume.header_bytes.items())} {volume.samples} {volume.format_code}"
    kept = None if cache is None else cache / f"{sha256(key.encode()).hexdigest()[:32]}.npy"
    with opened(volume) as source:
        if kept is not None and kept.exists() and (held := _kept(kept, volume)) is not None:
            sample = np.unique(np.linspace(0, volume.traces - 1, 64).astype(int))
            heads = source.headers(sample)
            if (held[sample, 0] == heads["inline"]).all() and (held[sample, 1] == heads["crossline"]).all():
                return held
        numbers = _numbers(source, progress)
    _check_index(volume, numbers)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = kept.with_name(f".{kept.name}.{os.getpid()}.tmp")
        with open(temporary, "xb") as target:
            np.lib.format.write_array(target, numbers, allow_pickle=False)
        os.replace(temporary, kept)
    return numbers


def _kept(path: Path, volume: Volume) -> Array | None:
    try:
        held = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return held if held.shape == (volume.traces, 2) and held.dtype == np.int32 else None


def _numbers(source: Traces | Cells, progress: Callable[[float], None] | None = None) -> Array:
    traces = source.layout.traces
    numbers = np.empty((traces, 2), np.int32)
    step = 1 << 14
    for a in range(0, traces, step):
        b = min(traces, a + step)
        heads = source.headers(np.arange(a, b))
        numbers[a:b, 0], numbers[a:b, 1] = heads["inline"], heads["crossline"]
        if progress is not None:
            progress(b / traces)
    return numbers


def _check_index(volume: Volume, numbers: Array) -> None:
    spans = [(int(column.min()), int(column.max())) for column in numbers.T]
    if _run_of(volume) and spans != [volume.inline[:2], volume.crossline[:2]]:
        words = f"{volume.title}: sampled headers gave inlines {volume.inline[:2]} and crosslines {volume.crossline[:2]}"
        words += f", all headers {spans[0]} and {spans[1]}."
        raise DataError("E_GEOMETRY", words, "Some headers are damaged, or the numbers stand in other bytes: say header_bytes=.")
    combined = numbers[:, 0].astype(np.int64) << 32 | (numbers[:, 1].astype(np.int64) & 0xFFFFFFFF)
    combined.sort()
    if twice := int(np.count_nonzero(np.diff(combined) == 0)):
        words = f"{volume.title}: {twice} traces carry the inline and crossline of another."
        raise DataError("E_GEOMETRY", words, "Is it pre-stack? Say kind='pre-stack'.")


def load(volume: Volume, limit: int = LARGEST) -> Array:
    """All of a volume, (inline, crossline, sample) float32, NaN where there is no trace; E_LIMIT above `limit` bytes."""
    inlines, crosslines, samples = volume.shape
    need = 4 * inlines * crosslines * samples
    if need > limit:
        words = f"{volume.title} needs {need / 2**30:.3g} GiB in memory; the limit is {limit / 2**30:.3g} GiB."
        raise DataError("E_LIMIT", words, "Read a line of it.")
    with opened(volume) as source:
        data, raw, _ = source.read(np.arange(volume.traces))
        headers = raw.view(source.kind)[:, 0]
    i = (headers["inline"].astype(np.int64) - volume.inline[0]) // volume.inline[2]
    j = (headers["crossline"].astype(np.int64) - volume.crossline[0]) // volume.crossline[2]
    _check_index(volume, np.stack([headers["inline"], headers["crossline"]], axis=1))
    if i.min() < 0 or j.min() < 0 or i.max() >= inlines or j.max() >= crosslines:
        raise DataError("E_GEOMETRY", f"{volume.title}: traces with numbers outside the ranges found when it was opened.")
    cube = np.full((inlines, crosslines, samples), np.nan, np.float32)
    cube[i, j] = data
    return cube
