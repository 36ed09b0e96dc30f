"""A 10 GB volume, sparse on the disk: how long it takes to open, and how much memory that needs."""

from __future__ import annotations

import json
import math
import struct
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import Row, process, show

SAMPLES, CROSSLINES = 30000, 200  # long traces: only the blocks with headers are on the disk
TRACE = 240 + 4 * SAMPLES


def make(path: Path, gigabytes: float) -> int:
    """A file of zero samples whose trace headers are written and nothing else; the number of inlines."""
    inlines = math.ceil(gigabytes * 1e9 / TRACE / CROSSLINES)
    binary = bytearray(400)
    for byte, value in ((3217, 1000), (3221, SAMPLES), (3225, 5), (3229, 4), (3255, 1)):
        struct.pack_into(">h", binary, byte - 3201, value)
    binary[300:302] = bytes([1, 0])
    header = bytearray(240)
    struct.pack_into(">hh", header, 114, SAMPLES, 1000)
    with open(path, "wb") as file:
        file.write("C 1 A MADE VOLUME".ljust(3200).encode("cp037") + bytes(binary))
        file.truncate(3600 + inlines * CROSSLINES * TRACE)
        for trace in range(inlines * CROSSLINES):
            inline, crossline = divmod(trace, CROSSLINES)
            struct.pack_into(">ii", header, 0, trace + 1, trace + 1)
            struct.pack_into(">h", header, 70, -100)
            struct.pack_into(">iiii", header, 180, 60_000_000 + 2500 * inline, 600_000_000 + 2500 * crossline, 1 + inline, 1 + crossline)
            file.seek(3600 + trace * TRACE)
            file.write(header)
    return inlines


def opened(path: str) -> None:
    """What a process of its own does: open the file, and print the seconds and the grid."""
    from moho.read import read

    started = time.perf_counter()
    volume = read(path)
    seconds = time.perf_counter() - started
    facts = {key: quantity.value for key, quantity in volume.summary().items()}
    print(json.dumps({"seconds": seconds, "kind": type(volume).__name__, "facts": facts}))


def measure(gigabytes: float = 10.0) -> list[Row]:
    """Seconds and MiB."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volume.sgy"
        inlines = make(path, gigabytes)
        done = process("-m", "benchmarks.open_volume", str(path))
        found = json.loads(done.printed.splitlines()[-1])
        assert found["kind"] == "Volume", found
        assert inlines in found["facts"].values() or str(inlines) in str(found["facts"]), found
        size = path.stat().st_size / 1e9
    return [
        Row(f"open a volume of {size:.1f} GB", found["seconds"], "s", at_most=10),
        Row(f"peak memory of that, {size:.1f} GB", done.memory, "MiB", at_most=1024, note="the process or its child that reads, the larger"),
    ]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        opened(sys.argv[1])
    else:
        print(show(measure()))
