"""Volumes larger than memory, beside `dd` of the same bytes: `python -m benchmarks.volumes --size 8 --folder DIR`.

Band-pass, AGC and coherence over a made SEG-Y volume, each in a process of its own. The size is in GB; the common table takes a small one.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.table import Row, process, show

SAMPLES, CROSSLINES = 1500, 600
TRACE = 240 + 4 * SAMPLES
MEMORY = 1536  # MiB, at most
CALLS = {
    "bandpass": {"low": 8.0, "high": 60.0},
    "gain_agc": {"window": 0.5},
    "coherence": {"attribute": "coherence", "window": 0.04},
}


def make(path: Path, gigabytes: float) -> None:
    """A volume of noise and two dipping reflectors, cut by a fault, inline by inline."""
    inlines = max(4, round(gigabytes * 1e9 / TRACE / CROSSLINES))
    binary = bytearray(400)
    for byte, value in ((3217, 4000), (3221, SAMPLES), (3225, 5), (3229, 4), (3255, 1)):
        struct.pack_into(">h", binary, byte - 3201, value)
    binary[300:304] = bytes([1, 0, 0, 1])
    rng = np.random.default_rng(0)
    noise = np.cumsum(rng.standard_normal((CROSSLINES, SAMPLES)), axis=1).astype(np.float32)
    noise -= noise.mean(axis=1, keepdims=True)
    noise[:, 1:] = np.diff(noise, axis=1)
    block = np.zeros((CROSSLINES, TRACE), np.uint8)
    heads = block[:, :240]
    words = block[:, 240:].view(">u4")
    crossline = np.arange(CROSSLINES)
    with open(path, "wb") as file:
        file.write("C 1 A MADE VOLUME".ljust(3200).encode("cp037") + bytes(binary))
        for inline in range(inlines):
            data = np.roll(noise, (7 * inline) % CROSSLINES, axis=0)
            for depth, dip in ((400, 0.2), (900, -0.1)):
                at = (depth + dip * crossline + 0.1 * inline + 12 * (crossline > 300)).astype(int) % (SAMPLES - 8)
                for k, size in enumerate((3, 8, 10, 8, 3)):
                    data[crossline, at + k] += size
            numbers = {1: inline * CROSSLINES + crossline + 1, 189: 1 + inline, 193: 1 + crossline}
            for byte, values in (numbers | {181: 500_000 + 25 * crossline, 185: 6_000_000 + 25 * inline}).items():
                heads[:, byte - 1 : byte + 3] = np.broadcast_to(values, CROSSLINES).astype(">i4")[:, None].view(np.uint8)
            heads[:, 114:118] = np.frombuffer(struct.pack(">hh", SAMPLES, 4000), np.uint8)
            words[...] = data.view(np.uint32)
            file.write(block.data)


def ran(name: str, source: str, folder: str, threads: str) -> None:
    """What a process of its own does: one tool on the volume; prints its seconds."""
    from moho.agent.registry import find_tool
    from moho.read import read
    from moho.volumes import Place, Workers, into

    tool = find_tool("attributes" if name == "coherence" else name).function
    volume = read(source)
    started = time.perf_counter()
    with into(Place(lambda: Path(folder), Workers(threads=int(threads)))):
        result = tool(volume, **CALLS[name])
    print(json.dumps({"seconds": time.perf_counter() - started, "path": result.path, "title": result.title}))


def copied(source: Path, target: Path) -> float:
    """Seconds that `dd` takes to copy the bytes onto the disk."""
    started = time.perf_counter()
    subprocess.run(["dd", f"if={source}", f"of={target}", "bs=4M", "conv=fsync"], check=True, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    target.unlink()
    return seconds


def measure(gigabytes: float = 0.25, threads: int = 1, folder: str | None = None, names: Sequence[str] = tuple(CALLS)) -> list[Row]:
    """Seconds beside those of `dd`, MB/s, MiB."""
    rows = []
    with tempfile.TemporaryDirectory(dir=folder) as place:
        source = Path(place) / "volume.sgy"
        make(source, gigabytes)
        os.sync()
        size = source.stat().st_size
        for name in names:
            copy = copied(source, Path(place) / "copy")
            target = Path(place) / name
            target.mkdir()
            done = process("-m", "benchmarks.volumes", "--one", name, str(source), str(target), str(threads))
            found = json.loads(done.printed.splitlines()[-1])
            assert Path(found["path"]).stat().st_size == size, found
            Path(found["path"]).unlink()
            rate = f"{size / 1e6 / found['seconds']:.0f} MB/s, dd {size / 1e6 / copy:.0f} MB/s"
            rows.append(Row(f"{name} of a volume of {size / 1e9:.2f} GB", found["seconds"], "s", copy, "dd", note=rate))
            rows.append(Row(f"peak memory of that, {name}", done.memory, "MiB", at_most=MEMORY))
            print(f"{name}: {found['seconds']:.0f} s, {rate}, peak {done.memory:.0f} MiB", file=sys.stderr, flush=True)
    return rows


def main() -> int:
    """Make, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=0.25, help="GB of the volume")
    parser.add_argument("--tools", nargs="+", choices=list(CALLS), default=list(CALLS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", default=None, help="where the files are made; three times the size")
    parser.add_argument("--one", nargs=4, metavar=("NAME", "SOURCE", "FOLDER", "THREADS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        ran(*given.one)
        return 0
    rows = measure(given.size, given.threads, given.folder, given.tools)
    print(show(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
