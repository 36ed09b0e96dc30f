"""Rows of measurements, timing in turn, and the table they are printed in."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LAUNCH = """
import resource, subprocess, sys, time
started = time.perf_counter()
status = subprocess.call(sys.argv[1:])
print()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, status)
"""


@dataclass(frozen=True)
class Row:
    """One measurement. `at_most` bounds ours, `ratio_at_most` ours over the peer's; None where nothing is promised."""

    name: str
    ours: float
    unit: str
    peer: float | None = None
    against: str = ""  # who the peer is
    at_most: float | None = None
    ratio_at_most: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.ours / self.peer if self.peer else None

    @property
    def ok(self) -> bool:
        return (self.at_most is None or self.ours <= self.at_most) and (
            self.ratio_at_most is None or (self.ratio is not None and self.ratio <= self.ratio_at_most)
        )

    def json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return asdict(self) | {"ratio": self.ratio, "ok": self.ok}

    @property
    def target(self) -> str:
        words = [f"<= {self.at_most:g} {self.unit}"] if self.at_most is not None else []
        words += [f"<= {self.ratio_at_most:g} x"] if self.ratio_at_most is not None else []
        return ", ".join(words)


def medians(repeats: int, *functions: Callable[[int], object], clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Median seconds of each function, called A B A B with the number of the repeat, once before to warm up.

    With `clock=time.process_time` they are seconds of this process on a processor: for functions of one thread, on a busy machine.
    """
    held: list[list[float]] = [[] for _ in functions]
    for repeat in range(-1, repeats):
        for seconds, function in zip(held, functions, strict=True):
            started = clock()
            function(repeat)
            if repeat >= 0:
                seconds.append(clock() - started)
    return [statistics.median(seconds) for seconds in held]


@dataclass(frozen=True)
class Process:
    """What a process took and said."""

    seconds: float  # of wall clock
    cpu: float  # s
    memory: float  # MiB at its peak
    printed: str


def process(*words: str) -> Process:
    """A Python process that has ended; RuntimeError when it failed.

    It is started by a small process of its own: what Linux counts for a child begins with the memory of the one that forked it.
    """
    command = [sys.executable, "-S", "-c", LAUNCH, sys.executable, *words]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    printed, _, last = done.stdout.rstrip("\n").rpartition("\n")
    seconds, cpu, memory, status = last.split()
    if int(status):
        raise RuntimeError(f"{' '.join(words)[:200]} ended with {status}: {printed[-500:]}")
    return Process(float(seconds), float(cpu), float(memory), printed)


def show(rows: Sequence[Row]) -> str:
    """The table, in columns."""
    lines = [("name", "ours", "peer", "ratio", "target", "")]
    for row in rows:
        peer = f"{row.peer:.3g} {row.unit} ({row.against})" if row.peer is not None else ""
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
        verdict = ("ok" if row.ok else "short") if row.target else ""
        lines.append((row.name, f"{row.ours:.4g} {row.unit}", peer, ratio, row.target, verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*table, *(f"{row.name}: {row.note}" for row in rows if row.note)])
