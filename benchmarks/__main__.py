"""All benchmarks in one table: `python -m benchmarks [NAME ...] [--json]`. Ends with 1 where something falls short."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time

from benchmarks.table import show

NAMES = ("turn", "start", "open_volume", "methods", "inversions", "segy", "volumes", "literature")


def main() -> int:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--json", action="store_true", help="one JSON object")
    given = parser.parse_args()
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    rows, load = [], os.getloadavg()[0]
    for name in given.names or NAMES:
        started = time.perf_counter()
        rows += importlib.import_module(f"benchmarks.{name}").measure()
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    if given.json:
        print(json.dumps({"load": load, "cores": os.cpu_count(), "rows": [row.json() for row in rows]}))
    else:
        print(f"load {load:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} cores")
        print(show(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
