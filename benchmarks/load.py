"""Many people at once: `python -m benchmarks.load [--sessions 32] [--seconds 60]`, on demand; with a scripted model, so that Moho's own is measured.

Each session asks, follows its events to the end, thinks for a while and asks again. A request's overhead is its time from the question to the end
without what its tools took and without what the model took to speak. Printed: requests, errors, overhead at 50, 95 and 99 %, and
the resident memory of the server before the first request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from made_server import FILTER, HEAD, REQUEST, SAYS, application, listening, project, script

THINKS = 4.0  # s between an answer and the next request of a session


async def session(client: httpx.AsyncClient, until: float, overheads: list[float], errors: list[str], number: int) -> None:
    """One person, until the clock says so."""
    await asyncio.sleep(THINKS * number / 32)
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            asked = await client.post("/api/projects/survey/threads", json={"request": REQUEST})
            asked.raise_for_status()
            address = f"/api/projects/survey/threads/{asked.json()['thread']}/events"
            async with client.stream("GET", address, headers={"Accept": "text/event-stream"}) as stream:
                async for line in stream.aiter_lines():
                    if line.startswith("data: ") and (event := json.loads(line[6:]))["what"] == "ended":
                        tools = sum(step["seconds"] for step in event["data"]["steps"])
                        overheads.append(time.monotonic() - began - tools)
                        if event["data"]["status"] != "answered":
                            errors.append(event["data"]["answer"])
                        break
        except httpx.HTTPError as error:
            errors.append(repr(error))
        await asyncio.sleep(THINKS)


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = project(Path(name))
        app, _ = application(place, script(Path(name), FILTER, SAYS), at_once=2, each=64, queue=256)
        memory = psutil.Process().memory_info().rss / 2**20
        overheads: list[float] = []
        errors: list[str] = []
        with listening(app) as port:

            async def all_() -> None:
                limits = httpx.Limits(max_connections=given.sessions + 4)
                async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=HEAD, timeout=60, limits=limits) as client:
                    await session(client, time.monotonic() + 0.1, [], [], 0)  # the workers load what they need
                    until = time.monotonic() + given.seconds
                    await asyncio.gather(*(session(client, until, overheads, errors, number) for number in range(given.sessions)))

            asyncio.run(all_())
        half, most, last = np.percentile(overheads, [50, 95, 99]) if overheads else (np.nan,) * 3
        print(f"{len(overheads)} requests of {given.sessions} sessions in {given.seconds:g} s, {len(errors)} errors")
        print(f"own overhead: median {half:.3f} s, 95 % {most:.3f} s, 99 % {last:.3f} s")
        print(f"server before the first request: {memory:.0f} MiB")
        for error in errors[:5]:
            print(error)


if __name__ == "__main__":
    main()
