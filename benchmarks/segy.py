"""Opening and reading SEG-Y beside segyio, in turn: `python -m benchmarks.segy --size 200 --repeats 7`.

Answers are compared before anything is timed. Reading goes through the public `read_segy`, with its child process, header checks and
statistics; opening is the layout with its checks, and for a volume the public door.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import segyio

from benchmarks.table import Row, medians
from moho.segy import load, read_segy
from moho.segy_layout import read_layout
from moho.survey import Volume

SAMPLES = 1500


def make(path: Path, megabytes: float, code: int, lines: int = 0) -> None:
    """A file of noise with CDP numbers, or `lines` inlines."""
    traces = int(megabytes * 1e6 / (240 + 4 * SAMPLES))
    if lines:
        traces -= traces % lines
    spec = segyio.spec()
    spec.format, spec.samples, spec.tracecount = code, 4.0 * np.arange(SAMPLES), traces
    noise = (1000 * np.random.default_rng(0).standard_normal((64, SAMPLES))).astype(np.float32)
    with segyio.create(path, spec) as file:
        file.bin.update({3217: 4000, 3221: SAMPLES, 3255: 1})
        for k in range(traces):
            file.trace[k] = noise[k % 64] * (1 + k % 7)
            run = traces // lines if lines else 0
            file.header[k] = {115: SAMPLES, 117: 4000, 21: k + 1} | ({189: 1 + k // run, 193: 1 + k % run} if lines else {})


def segyio_open(path: Path) -> None:
    """Headers and number of traces."""
    with segyio.open(path, ignore_geometry=True):
        pass


def segyio_geometry(path: Path) -> None:
    """All line numbers."""
    segyio.open(path).close()


def segyio_read(path: Path) -> np.ndarray:
    """All samples."""
    with segyio.open(path, ignore_geometry=True) as file:
        return file.trace.raw[:]


def moho_open(path: Path) -> None:
    """The layout, checked against the size of the file."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        read_layout(file, path.name)
    finally:
        os.close(file)


def moho_read(path: Path) -> np.ndarray:
    """All samples, with headers and statistics checked."""
    return read_segy(path).data


def compare(what: str, theirs: Callable[[Path], object], ours: Callable[[Path], object], path: Path, repeats: int, inner: int = 1) -> float:
    """Print medians of both, timed in turn, and how many times faster ours is."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for held, function in zip(seconds, (theirs, ours), strict=True):
            started = time.perf_counter()
            for _ in range(inner):
                function(path)
            held.append((time.perf_counter() - started) / inner)
    a, b = map(statistics.median, seconds)
    megabytes = path.stat().st_size / 1e6
    rate = f", {megabytes / a:.0f} and {megabytes / b:.0f} MB/s" if inner == 1 else ""
    print(f"{what}: segyio {a * 1e3:.3f} ms, moho {b * 1e3:.3f} ms{rate}; rate {a / b:.2f} of segyio's, time {b / a:.2f}")
    return a / b


def measure(size: float = 200) -> list[Row]:
    """Rows of the common table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ieee.sgy"
        make(path, size, 5)
        assert np.array_equal(moho_read(path), segyio_read(path))
        rows = []
        for name, ours, theirs, inner, bound in (("open", moho_open, segyio_open, 50, 1.2), ("read", moho_read, segyio_read, 1, 1.25)):
            seconds = medians(7, *(lambda _, f=f, inner=inner: [f(path) for _ in range(inner)] for f in (ours, theirs)))
            a, b = (1e3 * one / inner for one in seconds)
            rows.append(Row(f"{name} SEG-Y, {size:g} MB", a, "ms", b, "segyio", ratio_at_most=bound))
    return rows


def main() -> int:
    """Make, compare, time; 0 where the bounds hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=200, help="MB of the file")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=None, help="where the files are made")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        ieee, ibm, cube = (Path(folder) / name for name in ("ieee.sgy", "ibm.sgy", "cube.sgy"))
        make(ieee, given.size, 5)
        make(ibm, given.size / 2, 1)
        make(cube, given.size / 4, 5, lines=20)
        for path in (ieee, ibm):
            assert np.array_equal(moho_read(path), segyio_read(path)), path.name
        volume = read_segy(cube)
        assert isinstance(volume, Volume)
        assert np.array_equal(load(volume), segyio.tools.cube(str(cube)))
        opening = compare("open IEEE", segyio_open, moho_open, ieee, max(given.repeats, 21), inner=50)
        reading = compare("read IEEE", segyio_read, moho_read, ieee, given.repeats)
        compare("read IBM", segyio_read, moho_read, ibm, given.repeats)
        compare("open volume (moho: grid, formats, amplitudes; segyio: geometry)", segyio_geometry, read_segy, cube, given.repeats)
    print(f"bounds: opening at most 1.2 x segyio's time: {1 / opening:.2f}; reading at least 0.8 of segyio's rate: {reading:.2f}")
    return 0 if opening >= 1 / 1.2 and reading >= 0.8 else 1


if __name__ == "__main__":
    sys.exit(main())
