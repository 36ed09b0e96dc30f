"""Volumes larger than memory: a tool's kernel run chunk by chunk with Dask, the result streamed into a SEG-Y file.

`trace_by_trace` and `with_neighbours` take a kernel (a picklable function of arrays) and give what changed on the volume and the totals that
facts are made of. The plan of chunks follows from the volume alone, so any number of workers writes the same bytes. Every finished
chunk is told in a journal with the digest of its bytes: after a kill the same call does the rest only. Chunks are read from and written
to the files by whoever computes them; a cluster needs both folders in sight of its workers.
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
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from moho import __version__
from moho.errors import DataError, Refusal
from moho.segy_layout import HEADERS, TRACE_HEADER, Layout
from moho.segy_samples import read_traces
from moho.segy_volume import index, opened
from moho.segy_write import cards
from moho.store import STREAMED, disk_error
from moho.survey import Array, Volume

CHUNK = 32 << 20  # bytes of samples in the core of a chunk
KEPT, LEAST = 1 << 16, 512  # values that percentiles are made of, in all and of a chunk
LINES = 6  # times the reach: fewer lines a chunk, and lines are divided
WAIT = 10  # s, for a scheduler
HERE = "Leave the setting `scheduler` empty to work here."
JOURNAL, PART, GRID = "journal.jsonl", f"{STREAMED}.part", "grid.npy"


@dataclass(frozen=True)
class Workers:
    """Who computes: threads of this process, or the cluster behind a Dask scheduler."""

    scheduler: str = ""  # e.g. tcp://host:8786
    threads: int = 1


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

    It returns the new samples, or them and where they count, (trace, sample) bool. `words` stand in the textual header.
    """
    return _stream(_planned(volume, 1, volume.traces), partial(_on_traces, kernel), words)


def with_neighbours(
    volume: Volume, kernel: Callable[[Block], Any], words: str, *, reach: int = 0, whole_lines: bool = False
) -> tuple[dict[str, Any], Totals]:
    """The same for a kernel of a `Block` that looks `reach` traces to every side, or at whole lines, and returns its core.

    Lines are those of the file's sorting; neighbours are next in inline or crossline number. A volume with gaps is indexed first.
    """
    inlines, crosslines, _ = volume.shape
    lines, run = (inlines, crosslines) if volume.sorting == "inline" else (crosslines, inlines)
    regular = volume.traces == lines * run
    plan = _planned(volume, lines, run, reach=reach, whole_lines=whole_lines, gaps=not regular)
    return _stream(plan, kernel, words)


def estimate(volume: Volume, seconds: float, copies: float) -> tuple[float, float, float]:
    """(seconds, bytes of memory, bytes on the disk) of a stream: `seconds` a million samples on one thread, `copies` of a chunk."""
    count = volume.traces * volume.samples
    return 1.0 + 1e-6 * count * seconds, copies * min(4.0 * count, CHUNK), HEADERS + volume.traces * (TRACE_HEADER + 4.0 * volume.samples)


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

    def __len__(self) -> int:
        return (len(self.across) - 1) * (len(self.along) - 1)

    def chunk(self, number: int) -> Chunk:
        """The chunk of this number."""
        i, j = divmod(number, len(self.along) - 1)
        return Chunk(number, (self.across[i], self.across[i + 1]), (self.along[j], self.along[j + 1]))


def _planned(volume: Volume, lines: int, run: int, *, reach: int = 0, whole_lines: bool = False, gaps: bool = False) -> Plan:
    traces = max(1, CHUNK // (4 * volume.samples))
    wide, high = run, max(1, traces // run)
    if not whole_lines and (traces < run or high < LINES * reach):
        high = min(lines, max(math.isqrt(traces), LINES * reach)) if reach else 1
        wide = max(1, traces // high)
    return Plan(volume, lines, run, reach, gaps, whole_lines, _divided(lines, high), _divided(run, wide))


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
    found = kernel(block.data[0])
    out, heard = found if isinstance(found, tuple) else (found, None)
    return out[None], None if heard is None else heard[None]


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
    with opened(volume) as (file, layout, kind):
        data, headers = _read(file, layout, places[there])
    if not plan.gaps and plan.lines > 1:
        _expect_lines(headers.view(kind)[:, 0].reshape(places.shape), volume)
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
    out, heard = kernel(Block(cube, live, there, (core[0], core[1])))
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
    record["sha256"] = _write(target / PART, volume, wanted[wanted >= 0], headers[chosen], made)
    return record


def _read(file: int, layout: Layout, places: Array) -> tuple[Array, Array]:
    """(trace, sample) float32 and (trace, 240) bytes of these traces."""
    runs = _runs(places)
    if len(runs) == 1:
        return read_traces(file, layout, int(places[0]), len(places))[:2]
    data, headers = np.empty((len(places), layout.samples), np.float32), np.empty((len(places), TRACE_HEADER), np.uint8)
    for a, b in runs:
        data[a:b], headers[a:b], _ = read_traces(file, layout, int(places[a]), b - a)
    return data, headers


def _runs(places: Array) -> list[tuple[int, int]]:
    """Bounds of the stretches in which one trace follows the other in the file."""
    breaks = [0, *(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
    return [(a, b) for a, b in pairwise(breaks) if b > a]


def _spread(data: Array, there: Array) -> Array:
    cube = np.zeros((*there.shape, data.shape[1]), np.float32)
    cube[there] = data
    return cube


def _expect_lines(headers: Array, volume: Volume) -> None:
    """E_GEOMETRY where sampled headers promised complete lines and these are not."""
    slow, fast = (volume.sorting, "crossline" if volume.sorting == "inline" else "inline")
    if (headers[slow] != headers[slow][:, :1]).any() or (headers[fast] != headers[fast][:1]).any():
        raise DataError("E_GEOMETRY", f"{volume.title}: lines are not as complete as sampled headers said.", "Read it again with header_bytes=.")


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


def _write(path: Path, volume: Volume, places: Array, headers: Array, data: Array) -> str:
    """Put traces at their places; SHA-256 of their bytes in the order of `places`."""
    sign = ">" if volume.byte_order == "big" else "<"
    length = TRACE_HEADER + 4 * volume.samples
    block = np.empty((len(data), length), np.uint8)
    block[:, :TRACE_HEADER] = headers
    for byte, value in ((115, volume.samples), (117, _interval(volume))):
        if 0 < value < 1 << 16:
            block[:, byte - 1 : byte + 1] = np.frombuffer(struct.pack(sign + "H", value), np.uint8)
    block[:, TRACE_HEADER:].view(sign + "u4")[...] = data.view(np.uint32)
    try:
        target = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for a, b in _runs(places):
                _put(target, block[a:b], HEADERS + int(places[a]) * length)
        finally:
            os.close(target)
    except OSError as error:
        raise disk_error(error, path) from error
    return hashlib.sha256(block.data).hexdigest()


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
    places = _places(plan, Path(folder), chunk.slow, chunk.fast)
    total = hashlib.sha256()
    with open(Path(folder, PART), "rb") as file:
        for a, b in _runs(held := places[places >= 0]):
            file.seek(HEADERS + int(held[a]) * length)
            left = (b - a) * length
            while left > 0 and (piece := file.read(min(left, 4 << 20))):
                total.update(piece)
                left -= len(piece)
    return total.hexdigest() == digest


# -- all chunks


def _stream(plan: Plan, kernel: Callable[[Block], Any], words: str) -> tuple[dict[str, Any], Totals]:
    place = _PLACE.get() or Place(lambda: Path(tempfile.mkdtemp(prefix="moho-")))
    volume, started = plan.volume, time.monotonic()
    volume = replace(volume, path=str(Path(volume.path).resolve()), facts={}, view={})
    plan = replace(plan, volume=volume)
    stamp = _stamp(volume)
    folder = place.folder().resolve()
    final = folder / STREAMED
    identity = hashlib.sha256(repr((stamp, replace(plan, volume=volume), _described(kernel), words, _versions())).encode()).hexdigest()
    records = _journal(folder, identity)
    if final.exists() and len(records) == len(plan):  # killed after the last chunk
        return _changes(volume, final, records)
    if not (folder / PART).exists():
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
        if left and place.workers.scheduler:
            _on_cluster(place.workers.scheduler, work, left, done, Path(volume.path), folder)
        elif left:
            _on_threads(place.workers.threads, work, left, done)
    if _stamp(volume) != stamp:
        raise DataError("E_CHANGED", f"{Path(volume.path).name} changed while it was worked on.")
    changes = _changes(volume, final, records)
    with open(folder / PART, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(folder / PART, final)
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
        stat = os.stat(volume.path)
    except OSError as error:
        raise DataError("E_NOT_FOUND", f"{Path(volume.path).name} is gone from {Path(volume.path).parent}.") from error
    return stat.st_size, stat.st_mtime_ns


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
    size = HEADERS + volume.traces * (TRACE_HEADER + 4 * volume.samples)
    (folder / STREAMED).unlink(missing_ok=True)
    (folder / PART).unlink(missing_ok=True)
    if (free := shutil.disk_usage(folder).free) < size + (64 << 20):
        raise DataError("E_DISK", f"the result takes {size / 2**30:.2f} GiB and {free / 2**30:.2f} GiB is free on the disk of the project.")
    try:
        if plan.gaps:
            with open(folder / GRID, "wb") as grid:
                np.lib.format.write_array(grid, _grid(volume, plan.lines, plan.run), allow_pickle=False)
        with open(folder / PART, "wb") as file:
            file.write(_heads(volume, words))
            file.truncate(size)
        _write_journal(folder, identity)
    except OSError as error:
        raise disk_error(error, folder / PART) from error


def _heads(volume: Volume, words: str) -> bytes:
    """Textual header of our own, binary header of the input with IEEE floats and no stanzas behind."""
    with open(volume.path, "rb") as file:
        head = bytearray(file.read(HEADERS)[3200:])
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
        values[order], weights[order],
    )  # fmt: skip
    ends = (min(low, 0.0), max(high, 0.0)) if total["dead"] else (low, high)
    where = {"path": str(final), "streamed": True, "format_code": 5, "header_bytes": dict(volume.header_bytes) | {"first_trace": HEADERS + 1}}
    return where | {"amplitude": ends}, totals


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
    address: str, work: Callable[[int], dict[str, Any]], numbers: Sequence[int], done: Callable[[Any], None], source: Path, folder: Path
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
        seen = client.run(_sees, str(source), str(folder))
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
    return os.access(source, os.R_OK) and os.access(folder, os.W_OK)
