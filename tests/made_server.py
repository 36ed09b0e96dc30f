"""A server on a made project with a scripted model, for the tests of the doors: in process for the routes, on a port for browsers and clients."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from made_project import write_line, write_well
from starlette.applications import Starlette
from starlette.testclient import TestClient

from moho.agent import doors, server
from moho.agent.jobs import Jobs, Options
from moho.agent.people import People, alone
from moho.project import Project

TOKEN = "a-token-of-the-tests"
HEAD = {"Authorization": f"Bearer {TOKEN}"}
FILTER = {"call": "bandpass", "with": {"line": "line", "low": "5 Hz", "high": "60 Hz"}}
REQUEST = "filter line to 5-60 Hz"
SAYS = {"say": "The section was filtered; its pass band is {s1.pass_band} and that is all there is to say about it."}


def script(folder: Path, *replies: Mapping[str, Any], pause: float = 0.0, name: str = "script.json") -> str:
    """The name of a model that makes these replies to every request."""
    path = folder / name
    path.write_text(json.dumps({"pause": pause, "replies": list(replies)}))
    return f"scripted:{path}"


def project(folder: Path) -> Project:
    """A project with a line and a well, and a folder of files beside it."""
    files = folder / "files"
    files.mkdir(parents=True, exist_ok=True)
    made = Project.open(folder / "survey")
    made.add(write_line(files / "line.sgy"))
    made.add(write_well(files / "well.las"))
    write_line(files / "other.sgy", seed=3)
    return made


def application(
    place: Project, model: str, people: People | None = None, *, roots: Sequence[Path] = (), at_once: int = 1, **more: Any
) -> tuple[Starlette, Jobs]:
    """The application and its jobs."""
    options = {key: more.pop(key) for key in list(more) if key in Options.__dataclass_fields__}
    jobs = Jobs(Options(model=model, **({"draw": False} | options)), at_once=at_once, **more)
    whose = people or alone(TOKEN, place.folder)
    settings = doors.Settings(hosts=("127.0.0.1", "localhost", "testserver"), roots=list(roots))
    return server.create(jobs, lambda: whose, settings), jobs


@contextmanager
def client(place: Project, model: str, **more: Any) -> Iterator[TestClient]:
    """A client of a running application, its token in the head."""
    app, _ = application(place, model, **more)
    with TestClient(app, headers=HEAD) as made:
        yield made


@contextmanager
def listening(app: Starlette) -> Iterator[int]:
    """The port that an application listens on, in a thread of its own."""
    import uvicorn

    running = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not running.started:
        if time.monotonic() > deadline:
            raise TimeoutError("the server did not start")
        time.sleep(0.02)
    try:
        yield int(running.servers[0].sockets[0].getsockname()[1])
    finally:
        app.state.doors.closing = True
        running.should_exit = True
        thread.join(20)


def until(made: TestClient, thread: str, *whats: str, after: int = 0, seconds: float = 60.0) -> list[dict[str, Any]]:
    """The events of a thread, once one of these is among those after number `after`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        rows = made.get(f"/api/projects/survey/threads/{thread}/events").json()["events"]
        if any(row["what"] in whats and row["seq"] > after for row in rows):
            return list(rows)
        time.sleep(0.05)
    raise TimeoutError(f"none of {whats} came: {[row['what'] for row in rows]}")
