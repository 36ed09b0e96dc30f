"""Volumes larger than memory: a tool's kernel run chunk by chunk with Dask, the result streamed into a SEG-Y file or a Zarr folder.

`trace_by_trace` and `with_neighbours` take a kernel (a picklable function of arrays) and give what changed on the volume and the totals that
facts are made of; `measured` only measures. The plan of chunks follows from the volume alone, so any number of workers writes the same
bytes. Every finished chunk is told in a journal with the digest of its bytes: after a kill the same call does the rest only. Chunks are
read from and written to the files by whoever computes them; a cluster needs both folders in sight of its workers.
Where results go and who computes them is said by `into`; the tools stay plain functions.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from moho import __version__
from moho.errors import DataError, Refusal
from moho.segy_layout import HEADERS, TRACE_HEADER
from moho.segy_volume import index, opened, stretches
from moho.segy_write import cards
from moho.store import STREAMED, ZARR, disk_error, stamp
from moho.survey import Array, Volume

CHUNK = 32 << 20  # bytes of samples in the core of a chunk
KEPT, LEAST = 1 << 16, 512  # values that percentiles are made of, in all and of a chunk
LINES = 6  # times the reach: fewer lines a chunk, and lines are divided
WAIT = 10  # s, for a scheduler
HERE = "Leave the setting `scheduler` empty to work here."
JOURNAL, GRID = "journal.jsonl", "grid.npy"
FORMS = {"segy": STREAMED, "zarr": ZARR}


@dataclass(frozen=True)
class Workers:
    """Who makes volumes, threads of this process or the cluster behind a Dask scheduler, and in which of `FORMS` they write them."""

    scheduler: str = ""  # e.g. tcp://host:8786
    threads: int = 1
    form: str = "segy"

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise DataError("E_FORMAT", f"volumes are written as {' or '.join(FORMS)}, not as {self.form!r}.", "Change the setting `volumes`.")


THREAD = Workers()
Tell = Callable[[int, int, float], None]  # (chunks done, chunks, seconds so far)


@dataclass(frozen=True)
class Place:
    """Where results are streamed to, by whom, and who is told of the progress."""

    folder: Callable[[], Path]  # made on first use
    workers: Workers = THREAD
    tell: Tell | None = None


_PLACE: ContextVar[Place | None] = ContextVar("place", default=None)


@contextmanager
def into(place: Place) -> Iterator[None]:
    """Volumes made inside are streamed into the folder of `place`; outside, into a new temporary folder."""
    token = _PLACE.set(place)
    try:
        yield
    finally:
        _PLACE.reset(token)


@dataclass(frozen=True)
class Block:
    """What a kernel with neighbours sees: traces on their grid, `reach` more on every side where there are any."""

    data: Array  # (slow, fast, sample) float32; zero where there is no trace, and for NaN
    live: Array  # (slow, fast) bool
    there: Array  # (slow, fast) bool
    core: tuple[slice, slice]  # what is wanted
    lines: Array  # (slow,) inline numbers, or crossline numbers where the file is sorted by them
    places: Array  # (fast,) the other numbers


@dataclass(frozen=True)
class Totals:
    """Sums over all chunks, in their order."""

    samples: int  # a trace
    traces: int
    dead: int
    bad_samples: int
    bad_traces: int
    before: float  # rms of the live input traces
    after: float  # rms of what they became
    removed: float  # rms of the difference, of whole lines only
    mean: float  # of the values heard
    low: float
    high: float
    values: Array  # a sample of the values heard, increasing
    weights: Array
    more: tuple[Any, ...] = ()  # what the kernel said of each chunk

    def percentiles(self, *shares: float) -> list[float]:
        """Percentiles of the sample, each value with the number it stands for."""
        reached = 100 * (np.cumsum(self.weights) - 0.5 * self.weights) / self.weights.sum()
        return [float(np.interp(share, reached, self.values)) for share in shares]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was odd about the samples."""
        words = [f"{self.bad_samples} NaN or infinite samples in {self.bad_traces} traces taken as zero"] if self.bad_samples else []
        return (*words, *([f"{self.dead} dead traces stay dead"] if self.dead else []))


def trace_by_trace(volume: Volume, kernel: Callable[[Array], Any], words: str) -> tuple[dict[str, Any], Totals]:
    """(what changed on the volume, totals) of a kernel that works on (trace, sample) float32 without NaN, each trace for itself.

    It returns the new samples, or them and where they count, (trace, sample) bool, or these and something for JSON that is found in
    `Totals.more`. `words` stand in the textual header.
    """
    if _here().workers.form == "segy":
        return _stream(_planned(volume, 1, volume.traces), partial(_on_traces, kernel), words)
    lines, run = _sides(volume)
    return _stream(_planned(volume, lines, run, gaps=volume.traces != lines * run), partial(_on_traces, kernel), words)


def with_neighbours(
    volume: Volume, kernel: Callable[[Block], Any], words: str, *, reach: int = 0, whole_lines: bool = False
) -> tuple[dict[str, Any], Totals]:
    """The same for a kernel of a `Block` that looks `reach` traces to every side, or at whole lines, and returns its core.

    Lines are those of the file's sorting; neighbours are next in inline or crossline number. A volume with gaps is indexed first.
    """
    lines, run = _sides(volume)
    plan = _planned(volume, lines, run, reach=reach, whole_lines=whole_lines, gaps=volume.traces != lines * run)
    return _stream(plan, kernel, words)


def measured(volume: Volume, kernel: Callable[[Array], Any]) -> list[Any]:
    """What a kernel of (trace, sample) float32, as they are, says of each chunk of traces, in their order; nothing is written."""
    place, started = _here(), time.monotonic()
    volume = replace(volume, path=str(Path(volume.path).resolve()), facts={}, view={})
    stamped, plan = _stamp(volume), _planned(volume, 1, volume.traces)
    found: dict[int, Any] = {}

    def done(record: Mapping[str, Any]) -> None:
        found[record["chunk"]] = record["found"]
        if place.tell is not None:
            place.tell(len(found), len(plan), time.monotonic() - started)

    _by(place.workers, partial(_look, plan, kernel), range(len(plan)), done, Path(volume.path), None)
    if _stamp(volume) != stamped:
        raise DataError("E_CHANGED", f"{Path(volume.path).name} changed while it was worked on.")
    return [found[n] for n in range(len(plan))]


def estimate(volume: Volume, seconds: float, copies: float) -> tuple[float, float, float]:
    """(seconds, bytes of memory, bytes on the disk) of a stream: `seconds` a million samples on one thread, `copies` of a chunk."""
    return (*looking(volume, seconds, copies), HEADERS + volume.traces * (TRACE_HEADER + 4.0 * volume.samples))


def looking(volume: Volume, seconds: float, copies: float) -> tuple[float, float]:
    """(seconds, bytes of memory) of `measured`."""
    count = volume.traces * volume.samples
    return 1.0 + 1e-6 * count * seconds, copies * min(4.0 * count, CHUNK)


def progress_words(done: int, chunks: int, seconds: float) -> str:
    """How far a volume is."""
    return f"{100 * done // chunks} % ({done} of {chunks} chunks, {seconds:.0f} s)"


# -- the plan


@dataclass(frozen=True)
class Chunk:
    """A core of the grid: lines `slow`, traces `fast` of each."""

    number: int
    slow: tuple[int, int]
    fast: tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """How a volume is divided."""

    volume: Volume
    lines: int
    run: int
    reach: int
    gaps: bool
    whole_lines: bool
    across: tuple[int, ...]  # where lines are divided
    along: tuple[int, ...]  # where their traces are
    cells: tuple[int, int] | None = None  # lines and traces of a chunk of the Zarr that is written, None for SEG-Y

    @property
    def target(self) -> str:
        """The name of the result; it grows under this name and `.part`."""
        return STREAMED if self.cells is None else ZARR

    def __len__(self) -> int:
        return (len(self.across) - 1) * (len(self.along) - 1)

    def chunk(self, number: int) -> Chunk:
        """The chunk of this number."""
        i, j = divmod(number, len(self.along) - 1)
        return Chunk(number, (self.across[i], self.across[i + 1]), (self.along[j], self.along[j + 1]))


def _here() -> Place:
    return _PLACE.get() or Place(lambda: Path(tempfile.mkdtemp(prefix="moho-")))


def _sides(volume: Volume) -> tuple[int, int]:
    """Lines, and traces of a complete one."""
    inlines, crosslines, _ = volume.shape
    return (inlines, crosslines) if volume.sorting == "inline" else (crosslines, inlines)


def _planned(volume: Volume, lines: int, run: int, *, reach: int = 0, whole_lines: bool = False, gaps: bool = False) -> Plan:
    traces = max(1, CHUNK // (4 * volume.samples))
    wide, high = run, max(1, traces // run)
    if not whole_lines and (traces < run or high < LINES * reach):
        high = min(lines, max(math.isqrt(traces), LINES * reach)) if reach else 1
        wide = max(1, traces // high)
    if lines == 1 or _here().workers.form == "segy":
        return Plan(volume, lines, run, reach, gaps, whole_lines, _divided(lines, high), _divided(run, wide))
    from moho.zarr_volume import LINES as THICK
    from moho.zarr_volume import TRACES as LONG

    if not whole_lines and high < THICK:
        high = min(lines, THICK)
        wide = min(run, max(1, traces // high))
    cells = min(THICK, 1 << high.bit_length() - 1), min(LONG, 1 << wide.bit_length() - 1)
    return Plan(volume, lines, run, reach, gaps, whole_lines, _stepped(lines, high, cells[0]), _stepped(run, wide, cells[1]), cells)


def _stepped(count: int, most: int, unit: int) -> tuple[int, ...]:
    """Bounds of parts of at most `most` that begin at whole units."""
    return (*range(0, count, most // unit * unit), count) if most < count else (0, count)


def _divided(count: int, most: int) -> tuple[int, ...]:
    """Bounds of equal parts of at most `most`."""
    parts = -(-count // most)
    return tuple(count * n // parts for n in range(parts + 1))


def _places(plan: Plan, folder: Path, slow: tuple[int, int], fast: tuple[int, int]) -> Array:
    """(slow, fast) which trace of the file lies there, -1 for none."""
    if plan.gaps:
        grid = np.load(folder / GRID, mmap_mode="r", allow_pickle=False)
        return np.asarray(grid[slow[0] : slow[1], fast[0] : fast[1]], dtype=np.int64)
    return np.arange(*slow)[:, None] * plan.run + np.arange(*fast)


def _grid(volume: Volume, lines: int, run: int) -> Array:
    """(slow, fast) int32: which trace lies where, -1 for none, in the order of the numbers."""
    numbers = index(volume).astype(np.int64)
    i, j = ((numbers[:, n] - span[0]) // span[2] for n, span in enumerate((volume.inline, volume.crossline)))
    if i.min() < 0 or j.min() < 0 or i.max() >= volume.shape[0] or j.max() >= volume.shape[1]:
        raise DataError("E_GEOMETRY", f"{volume.title}: traces with numbers outside the ranges found when it was opened.")
    grid = np.full((lines, run), -1, np.int32)
    slow, fast = (i, j) if volume.sorting == "inline" else (j, i)
    grid[slow, fast] = np.arange(volume.traces)
    return grid


# -- one chunk, on any worker


def _on_traces(kernel: Callable[[Array], Any], block: Block) -> Any:
    shape = block.data.shape
    found = kernel(block.data.reshape(-1, shape[-1]))
    out, heard, *more = found if isinstance(found, tuple) else (found, None)
    return out.reshape(shape), None if heard is None else np.broadcast_to(heard, (len(out), shape[-1])).reshape(shape), *more


def _look(plan: Plan, kernel: Callable[[Array], Any], number: int) -> dict[str, Any]:
    """Read a chunk of traces and measure it."""
    first, last = plan.chunk(number).fast
    with opened(plan.volume) as source:
        data = source.read(np.arange(first, last))[0]
    return {"chunk": number, "found": kernel(data)}


def _work(plan: Plan, kernel: Callable[[Block], Any], folder: str, number: int) -> dict[str, Any]:
    """Read a chunk and its surroundings, compute, write; what the journal says of it."""
    chunk, volume, target = plan.chunk(number), plan.volume, Path(folder)
    slow, fast = (
        (max(0, bounds[0] - plan.reach), min(count, bounds[1] + plan.reach))
        for bounds, count in ((chunk.slow, plan.lines), (chunk.fast, plan.run))
    )  # fmt: skip
    core = tuple(slice(inner[0] - outer[0], inner[1] - outer[0]) for inner, outer in ((chunk.slow, slow), (chunk.fast, fast)))
    places = _places(plan, target, slow, fast)
    there = places >= 0
    with opened(volume) as source:
        data, headers, _ = source.read(places[there])
    if plan.gaps:
        across, along = (span[0] + span[2] * np.arange(*bounds) for span, bounds in zip(_spans(volume), (slow, fast), strict=True))
    elif plan.lines == 1:  # traces one by one, of no line
        across, along = np.arange(*slow), np.arange(*fast)
    else:
        across, along = _expect_lines(headers.view(source.kind)[:, 0].reshape(places.shape), volume)
    broken = ~np.isfinite(data)
    bad = broken.any()
    if bad:
        data[broken] = 0
    cube = data.reshape(*places.shape, volume.samples) if there.all() else _spread(data, there)
    live: Array = np.asarray(cube.any(axis=-1))
    inside, wanted = np.zeros(places.shape, bool), places[core]
    inside[core] = there[core]
    chosen = inside[there]  # of the traces that were read
    record: dict[str, Any] = {"chunk": number, "traces": int(chosen.sum())}
    record |= {"bad_samples": int(broken[chosen].sum()) if bad else 0, "bad_traces": int(broken[chosen].any(axis=1).sum()) if bad else 0}
    del broken
    alive = live[core][wanted >= 0]
    original = data if chosen.all() else data[chosen]
    record |= {"dead": int((~alive).sum()), "before": _energy(original)}
    out, heard, *more = kernel(Block(cube, live, there, (core[0], core[1]), across, along))
    if more:
        record["more"] = more[0]
    del cube, data
    all_there = bool((wanted >= 0).all())
    made = np.ascontiguousarray(out.reshape(-1, volume.samples) if all_there else out[wanted >= 0], dtype=np.float32)
    if not (all_alive := bool(alive.all())):
        made = np.where(alive[:, None], made, np.float32(0))
    record["after"], record["removed"] = _energy(made), _energy(original - made) if plan.whole_lines else 0.0
    if heard is None:
        values = made if all_alive else made[alive]
    else:
        values = made[heard[wanted >= 0] & alive[:, None]]
    record |= _counted(values, max(LEAST, KEPT // len(plan)), volume.samples)
    write = _write if plan.cells is None else _write_cells
    record["sha256"] = write(_part(plan, target), plan, chunk, wanted, _stamped(headers[chosen], volume), made)
    return record


def _spread(data: Array, there: Array) -> Array:
    cube = np.zeros((*there.shape, data.shape[1]), np.float32)
    cube[there] = data
    return cube


def _spans(volume: Volume) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """First, last and step of the numbers of lines and of the traces on them."""
    return (volume.inline, volume.crossline) if volume.sorting == "inline" else (volume.crossline, volume.inline)


def _expect_lines(headers: Array, volume: Volume) -> tuple[Array, Array]:
    """(slow,) and (fast,) numbers; E_GEOMETRY where sampled headers promised complete lines and these are not."""
    slow, fast = (volume.sorting, "crossline" if volume.sorting == "inline" else "inline")
    if (headers[slow] != headers[slow][:, :1]).any() or (headers[fast] != headers[fast][:1]).any():
        raise DataError("E_GEOMETRY", f"{volume.title}: lines are not as complete as sampled headers said.", "Read it again with header_bytes=.")
    return headers[slow][:, 0].astype(np.int64), headers[fast][0].astype(np.int64)


def _energy(data: Array) -> float:
    return float(np.einsum("ij,ij->i", data, data).sum(dtype=np.float64))


def _counted(values: Array, most: int, samples: int) -> dict[str, Any]:
    """Sums, and at most so many of the values, from all times of traces of `samples`."""
    if not len(values := values.ravel()):
        return {"heard": 0, "sum": 0.0, "low": 0.0, "high": 0.0, "sample": []}
    step = -(-len(values) // most)
    while math.gcd(step, samples) > 1:
        step += 1
    sample = [float(f"{value:.7g}") for value in values[::step]]
    total = float(values.sum(dtype=np.float64))
    return {"heard": len(values), "sum": total, "low": float(values.min()), "high": float(values.max()), "sample": sample}


def _part(plan: Plan, folder: Path) -> Path:
    return folder / f"{plan.target}.part"


def _stamped(headers: Array, volume: Volume) -> Array:
    """(trace, 240) bytes with the number of samples and the interval of the volume, where they can hold them."""
    sign, headers = ">" if volume.byte_order == "big" else "<", headers.copy()
    for byte, value in ((115, volume.samples), (117, _interval(volume))):
        if 0 < value < 1 << 16:
            headers[:, byte - 1 : byte + 1] = np.frombuffer(struct.pack(sign + "H", value), np.uint8)
    return headers


def _write(path: Path, plan: Plan, chunk: Chunk, wanted: Array, headers: Array, data: Array) -> str:
    """Put traces at their places in a SEG-Y file; SHA-256 of their bytes in the order of `wanted`."""
    length, places = TRACE_HEADER + 4 * plan.volume.samples, wanted[wanted >= 0]
    block = np.empty((len(data), length), np.uint8)
    block[:, :TRACE_HEADER] = headers
    block[:, TRACE_HEADER:].view((">" if plan.volume.byte_order == "big" else "<") + "u4")[...] = data.view(np.uint32)
    try:
        target = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for a, b in stretches(places):
                _put(target, block[a:b], HEADERS + int(places[a]) * length)
        finally:
            os.close(target)
    except OSError as error:
        raise disk_error(error, path) from error
    return hashlib.sha256(block.data).hexdigest()


def _write_cells(path: Path, plan: Plan, chunk: Chunk, wanted: Array, headers: Array, data: Array) -> str:
    """Put them into whole chunks of a Zarr; SHA-256 of samples and headers."""
    from moho.zarr_volume import write

    if (wanted < 0).any():
        cube, heads = np.full((*wanted.shape, data.shape[1]), np.nan, np.float32), np.zeros((*wanted.shape, TRACE_HEADER), np.uint8)
        cube[wanted >= 0], heads[wanted >= 0] = data, headers
    else:
        cube, heads = data.reshape(*wanted.shape, -1), headers.reshape(*wanted.shape, -1)
    try:
        write(path, chunk.slow, chunk.fast, cube, heads)
    except OSError as error:
        raise disk_error(error, path) from error
    return _sum(cube, heads)


def _sum(*arrays: Array) -> str:
    total = hashlib.sha256()
    for array in arrays:
        total.update(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data)
    return total.hexdigest()


def _put(target: int, block: Array, offset: int) -> None:
    view, done = block.reshape(-1).data, 0
    while done < len(view):
        done += os.pwrite(target, view[done : done + (8 << 20)], offset + done)


def _interval(volume: Volume) -> int:
    """Sample interval as headers have it, us or mm; 0 where they cannot hold it."""
    value = volume.dt * (1e6 if volume.domain == "time" else 1e3)
    return round(value) if abs(value - round(value)) < 1e-6 * value else 0


def _is_whole(plan: Plan, folder: str, number: int, digest: str) -> bool:
    """Whether the bytes of a chunk are those that the journal tells of."""
    chunk, length = plan.chunk(number), TRACE_HEADER + 4 * plan.volume.samples
    if plan.cells is not None:
        from moho.zarr_volume import part

        try:
            return _sum(*part(_part(plan, Path(folder)), chunk.slow, chunk.fast)) == digest
        except (OSError, ValueError, KeyError):  # a chunk that is torn
            return False
    places = _places(plan, Path(folder), chunk.slow, chunk.fast)
    total = hashlib.sha256()
    with open(_part(plan, Path(folder)), "rb") as file:
        for a, b in stretches(held := places[places >= 0]):
            file.seek(HEADERS + int(held[a]) * length)
            left = (b - a) * length
            while left > 0 and (piece := file.read(min(left, 4 << 20))):
                total.update(piece)
                left -= len(piece)
    return total.hexdigest() == digest


# -- all chunks


def _stream(plan: Plan, kernel: Callable[[Block], Any], words: str) -> tuple[dict[str, Any], Totals]:
    place = _here()
    volume, started = plan.volume, time.monotonic()
    volume = replace(volume, path=str(Path(volume.path).resolve()), facts={}, view={})
    plan = replace(plan, volume=volume)
    stamped = _stamp(volume)
    folder = place.folder().resolve()
    final, growing = folder / plan.target, _part(plan, folder)
    identity = hashlib.sha256(repr((stamped, replace(plan, volume=volume), _described(kernel), words, _versions())).encode()).hexdigest()
    records = _journal(folder, identity)
    if final.exists() and len(records) == len(plan):  # killed after the last chunk
        return _changes(volume, final, records)
    if not growing.exists():
        records = {}
    if not records:
        _begin(plan, folder, identity, words)
    work = partial(_work, plan, kernel, str(folder))
    records = {n: record for n, record in records.items() if _is_whole(plan, str(folder), n, record["sha256"])}
    tell = place.tell or (lambda done, chunks, seconds: None)
    with open(folder / JOURNAL, "a") as journal:

        def done(record: Mapping[str, Any]) -> None:
            records[record["chunk"]] = dict(record)
            journal.write(json.dumps(record) + "\n")
            journal.flush()
            tell(len(records), len(plan), time.monotonic() - started)

        left = [n for n in range(len(plan)) if n not in records]
        _by(place.workers, work, left, done, Path(volume.path), folder)
    if _stamp(volume) != stamped:
        raise DataError("E_CHANGED", f"{Path(volume.path).name} changed while it was worked on.")
    changes = _changes(volume, final, records)
    if plan.cells is None:
        with open(growing, "rb+") as file:
            os.fsync(file.fileno())
    else:
        os.sync()
    os.replace(growing, final)
    return changes


def _described(kernel: Any) -> Any:
    """A kernel by name and arguments."""
    if isinstance(kernel, partial):
        return [_described(kernel.func), [_described(a) for a in kernel.args], sorted((k, _described(v)) for k, v in kernel.keywords.items())]
    return f"{kernel.__module__}.{kernel.__qualname__}" if callable(kernel) else repr(kernel)


def _versions() -> list[str]:
    return [__version__, *(metadata.version(name) for name in ("numpy", "scipy"))]


def _stamp(volume: Volume) -> tuple[int, int]:
    try:
        return stamp(Path(volume.path))
    except OSError as error:
        raise DataError("E_NOT_FOUND", f"{Path(volume.path).name} is gone from {Path(volume.path).parent}.") from error


def _journal(folder: Path, identity: str) -> dict[int, dict[str, Any]]:
    """What an earlier attempt at the same has done; torn lines are left out."""
    try:
        lines = (folder / JOURNAL).read_text().splitlines()
    except FileNotFoundError:
        return {}
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    if not rows or rows[0] != {"plan": identity}:
        return {}
    kept = {row["chunk"]: row for row in rows[1:] if "chunk" in row}
    _write_journal(folder, identity, kept.values())
    return kept


def _write_journal(folder: Path, identity: str, rows: Any = ()) -> None:
    temporary = folder / f".{JOURNAL}"
    temporary.write_text("".join(json.dumps(row) + "\n" for row in ({"plan": identity}, *rows)))
    os.replace(temporary, folder / JOURNAL)


def _begin(plan: Plan, folder: Path, identity: str, words: str) -> None:
    """The empty file with its headers, at its full length, and an empty journal."""
    volume = plan.volume
    cells = volume.traces if plan.cells is None else plan.lines * plan.run
    size = HEADERS + cells * (TRACE_HEADER + 4 * volume.samples)
    for name in FORMS.values():
        for old in (folder / name, folder / f"{name}.part"):
            shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
    if (free := shutil.disk_usage(folder).free) < size + (64 << 20):
        raise DataError("E_DISK", f"the result takes {size / 2**30:.2f} GiB and {free / 2**30:.2f} GiB is free on the disk of the project.")
    try:
        grid = _grid(volume, plan.lines, plan.run) if plan.gaps else None
        if grid is not None:
            with open(folder / GRID, "wb") as kept:
                np.lib.format.write_array(kept, grid, allow_pickle=False)
        if plan.cells is None:
            with open(_part(plan, folder), "wb") as file:
                file.write(_heads(volume, words))
                file.truncate(size)
        else:
            from moho.zarr_volume import create

            create(_part(plan, folder), volume, _heads(volume, words), plan.cells, *_numbers(plan), grid)
        _write_journal(folder, identity)
    except OSError as error:
        raise disk_error(error, _part(plan, folder)) from error


def _numbers(plan: Plan) -> tuple[Array, Array]:
    """The numbers of lines and of the traces on them, in the order of the grid."""
    volume = plan.volume
    if plan.gaps:
        slow, fast = (np.arange(first, last + 1, step) for first, last, step in _spans(volume))
        return slow, fast
    names = (volume.sorting, "crossline" if volume.sorting == "inline" else "inline")
    with opened(volume) as source:
        heads = source.headers(np.arange(plan.lines) * plan.run), source.headers(np.arange(plan.run))
    return heads[0][names[0]].astype(np.int64), heads[1][names[1]].astype(np.int64)


def _heads(volume: Volume, words: str) -> bytes:
    """Textual header of our own, binary header of the input with IEEE floats and no stanzas behind."""
    with opened(volume) as source:
        head = bytearray(source.head()[3200:])
    sign = ">" if volume.byte_order == "big" else "<"
    for byte, kind, value in ((3217, "H", _interval(volume)), (3221, "H", volume.samples), (3225, "h", 5), (3505, "h", 0)):
        if value < 1 << 16 and (value or byte == 3505):
            struct.pack_into(sign + kind, head, byte - 3201, value)
    if head[300] == 2:
        struct.pack_into(sign + "Qi", head, 3521 - 3201, 0, 0)
    else:
        head[300:302] = bytes([1, 0])
    struct.pack_into(sign + "h", head, 302, 1)
    lines = [
        volume.title, f"WRITTEN BY MOHO. {words.upper()}", "BINARY AND TRACE HEADERS ARE THOSE OF THE INPUT; SAMPLES ARE IEEE FLOATS",
        f"INLINE IN BYTE {volume.header_bytes.get('inline', 189)}, CROSSLINE IN BYTE {volume.header_bytes.get('crossline', 193)}",
        f"SAMPLE INTERVAL {volume.dt:g}, FIRST SAMPLE {volume.t0:g} {'S' if volume.domain == 'time' else 'M'}, CRS {volume.crs}",
    ]  # fmt: skip
    lines += ["INPUT:"] * bool(volume.history)
    lines += [f"{step.tool}({', '.join(f'{name}={value}' for name, value in step.arguments.items())})" for step in volume.history]
    return cards(lines) + bytes(head)


def _changes(volume: Volume, final: Path, records: Mapping[int, Mapping[str, Any]]) -> tuple[dict[str, Any], Totals]:
    rows = [records[n] for n in sorted(records)]
    names = ("traces", "dead", "bad_samples", "bad_traces", "before", "after", "removed", "heard", "sum")
    total = {name: sum(row[name] for row in rows) for name in names}
    if total["bad_samples"] == total["traces"] * volume.samples:
        raise Refusal("E_PHYSICS", f"all {total['bad_samples']} samples are NaN or infinite.", "Read the file again, or look at its sample format.")
    if total["dead"] == total["traces"]:
        raise Refusal("E_PHYSICS", f"all {total['traces']} traces are dead (zero).", "Look at the file with segy_inspect.")
    heard = [row for row in rows if row["heard"]]
    values = np.concatenate([np.asarray(row["sample"]) for row in heard] or [np.zeros(1)])
    weights = np.concatenate([np.full(len(row["sample"]), row["heard"] / len(row["sample"])) for row in heard] or [np.ones(1)])
    order = np.argsort(values, kind="stable")
    low, high = (min((row["low"] for row in heard), default=0.0), max((row["high"] for row in heard), default=0.0))
    count = (total["traces"] - total["dead"]) * volume.samples
    totals = Totals(
        volume.samples, total["traces"], total["dead"], total["bad_samples"], total["bad_traces"], math.sqrt(total["before"] / count),
        math.sqrt(total["after"] / count), math.sqrt(total["removed"] / count), total["sum"] / max(1, total["heard"]), low, high,
        values[order], weights[order], tuple(row["more"] for row in rows if "more" in row),
    )  # fmt: skip
    ends = (min(low, 0.0), max(high, 0.0)) if total["dead"] else (low, high)
    code = 5 if final.name == STREAMED else 0
    where = {"path": str(final), "streamed": True, "format_code": code, "header_bytes": dict(volume.header_bytes) | {"first_trace": HEADERS + 1}}
    return where | {"amplitude": ends}, totals


def _by(
    workers: Workers, work: Callable[[int], dict[str, Any]], numbers: Sequence[int], done: Callable[[Any], None], source: Path, folder: Path | None
) -> None:
    """Each number by the workers; `done` hears of each."""
    if numbers and workers.scheduler:
        _on_cluster(workers.scheduler, work, numbers, done, source, folder)
    elif numbers:
        _on_threads(workers.threads, work, numbers, done)


def _on_threads(threads: int, work: Callable[[int], dict[str, Any]], numbers: Sequence[int], done: Callable[[Any], None]) -> None:
    """Each number by a thread of this process; `done` is called in this one."""
    from dask.base import compute
    from dask.callbacks import Callback
    from dask.delayed import delayed

    task = delayed(work, pure=False, traverse=False)
    tasks = [task(n, dask_key_name=f"chunk-{10**9 - 1 - n}") for n in numbers]  # the last name comes first
    with Callback(posttask=lambda key, record, *_: done(record) if isinstance(record, dict) else None):
        compute(*tasks, scheduler="threads", num_workers=max(1, threads), optimize_graph=False, traverse=False)


def _on_cluster(
    address: str, work: Callable[[int], dict[str, Any]], numbers: Sequence[int], done: Callable[[Any], None], source: Path, folder: Path | None
) -> None:
    """Each number by a worker of a cluster; what a dying worker leaves is done by another."""
    from distributed import Client, as_completed
    from distributed.scheduler import KilledWorker

    try:
        client = Client(address, timeout=WAIT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise DataError("E_NOT_FOUND", f"no Dask scheduler answers at {address}: {error}", HERE) from error
    with client, client.as_current():
        client.wait_for_workers(1, timeout=30)
        seen = client.run(_sees, str(source), str(folder or ""))
        if blind := sorted(name for name, sees in seen.items() if not sees):
            words = f"the workers {', '.join(blind[:4])} do not see {source.name} or the folder of the run"
            raise DataError("E_PERM", f"{words}; a cluster needs a file system that all share.", HERE)
        futures = client.map(work, numbers, pure=False)
        try:
            for future in as_completed(futures):
                done(future.result())
                future.release()
        except KilledWorker as error:
            raise DataError("E_RESOURCE", "the same chunk stopped several workers: is their memory large enough?") from error


def _sees(source: str, folder: str) -> bool:
    return os.access(source, os.R_OK) and (not folder or os.access(folder, os.W_OK))
