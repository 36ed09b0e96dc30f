"""Threads, events and checkpoints of a team in PostgreSQL: a real server from Debian's package, started for the test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_server import FILTER, REQUEST, SAYS, client, project, script, until

from moho.agent.events import EventLog

pytest.importorskip("psycopg", reason="psycopg is not installed")
pytest.importorskip("langgraph.checkpoint.postgres", reason="langgraph-checkpoint-postgres is not installed")
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
pytestmark = pytest.mark.skipif(not BINARIES, reason="Debian's postgresql is not installed")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="moho-pg-"))
    who = {"user": "postgres"} if os.geteuid() == 0 else {}  # it does not run as root
    if who:
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    binaries, kept = BINARIES[-1].parent, folder / "data"
    subprocess.run([binaries / "initdb", "-D", kept, "-A", "trust", "-U", "moho", "--no-sync"], check=True, capture_output=True, cwd=folder, **who)
    words = ["-D", str(kept), "-w", "-l", str(folder / "log"), "-o", f"-p {port} -k {folder} -h 127.0.0.1"]
    subprocess.run([binaries / "pg_ctl", *words, "start"], check=True, capture_output=True, cwd=folder, **who)
    yield f"postgresql://moho@127.0.0.1:{port}/postgres"
    subprocess.run([binaries / "pg_ctl", "-D", kept, "-m", "immediate", "stop"], check=True, capture_output=True, cwd=folder, **who)
    shutil.rmtree(folder, ignore_errors=True)


def test_events_of_several_projects_lie_apart_in_one_table(database: str) -> None:
    one, other = EventLog(database, "/one"), EventLog(database, "/other")
    row = one.add("t", "asked", {"request": "filter 50 % of it"})
    other.add("t", "asked", {"request": "grid it"})
    assert [found.data["request"] for found in one.since("t")] == ["filter 50 % of it"]
    assert one.since("t", row.seq) == []
    assert [thread.id for thread in other.threads("GRID")] == ["t"]
    assert one.threads("50 %")[0].status == "running"
    assert [found.thread for found in one.unfinished()] == ["t"]
    one.close()
    other.close()


def test_a_request_is_carried_out_and_its_conversation_goes_on(database: str, tmp_path: Path) -> None:
    place = project(tmp_path)
    with client(place, script(tmp_path, FILTER, SAYS), database=database) as door:
        thread = door.post("/api/projects/survey/threads", json={"request": REQUEST}).json()["thread"]
        last = until(door, thread, "ended")[-1]
        assert "5 to 60 Hz" in last["data"]["answer"]
        again = door.post("/api/projects/survey/threads", json={"request": REQUEST, "thread": thread})
        assert again.status_code == 202
        assert len([row for row in until(door, thread, "ended", after=last["seq"]) if row["what"] == "ended"]) == 2
    assert not (place.folder / "threads.sqlite").exists()
    assert not (place.folder / "events.sqlite").exists()
