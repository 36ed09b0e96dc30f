"""kill -9 at any moment of a run: what was acknowledged is there whole, nothing half counts, and the run goes on where it was."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from made_project import call, made_project, quick_choice, scripted

from moho import store
from moho.agent import graph
from moho.project import Project, StepRecord

KILLS = 20
SCRIPT = [
    ("bandpass", {"line": "line", "low": "5 Hz", "high": "60 Hz"}),
    ("gain_agc", {"line": "bandpass 1", "window": "0.5 s"}),
    ("trace_qc", {"line": "gain_agc 1"}),
]
REQUEST = "filter 5-60 Hz, AGC 0.5 s, check it"


def replies() -> list[Any]:
    """The script as functions of what has been said, so that a resumed run goes on and does not start over."""

    def answer(messages: Any) -> Any:
        done = sum(type(message).__name__ == "ToolMessage" for message in messages)
        if done < len(SCRIPT):
            name, arguments = SCRIPT[done]
            return call(name, f"call_{done}", **arguments)
        from langchain_core.messages import AIMessage

        return AIMessage("{s1.pass_band}, {s2.window}, {s3.dead_traces} dead.")

    return [answer] * 12


def work(folder: Path, acknowledged: int, draw: bool) -> None:
    """In the child: the whole run, each kept step told through the pipe."""

    def tell(event: graph.Event) -> None:
        if event.what == "step":
            os.write(acknowledged, b"s")

    project = Project.open(folder)
    with graph.threads(project) as saver:
        os.write(acknowledged, b"g")
        scripted(project, *replies(), checkpointer=saver, on_event=tell, draw=draw).ask(REQUEST, thread="t")


def fork(folder: Path, after: float | None, draw: bool) -> tuple[int, float]:
    """(steps acknowledged, seconds from the start) of a child that is killed `after` seconds, or left to end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            work(folder, writing, draw)
        finally:
            os._exit(0)
    os.close(writing)
    told = os.read(reading, 1)
    started = time.monotonic()
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    seconds = time.monotonic() - started
    while piece := os.read(reading, 64):
        told += piece
    os.close(reading)
    return told.count(b"s"), seconds


def resumed(agent: graph.Agent, kept: list[StepRecord]) -> graph.Outcome:
    """The rest of a killed run; killed before the conversation was kept, it is asked again."""
    begun = agent._graph.get_state({"configurable": {"thread_id": "t"}}).values.get("run")
    assert begun or not kept
    return agent.resume("t") if begun else agent.ask(REQUEST, thread="t")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[bool, float]]:
    """A project before its first run, and how long a whole run takes in a warm child, with figures and without."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moho.agent.offer.choose", quick_choice)
        folder = tmp_path_factory.mktemp("kill")
        project = made_project(folder / "warm")
        with graph.threads(project) as saver:  # everything imported before the forks
            assert scripted(project, *replies(), checkpointer=saver, draw=True).ask(REQUEST).status == "answered"
        original = made_project(folder / "original").folder
        whole = {}
        for draw in (True, False):
            shutil.copytree(original, folder / f"timed {draw}")
            steps, whole[draw] = fork(folder / f"timed {draw}", None, draw)
            assert steps == 3
        return original, whole


@pytest.mark.parametrize("number", range(KILLS))
def test_killed_at_any_moment(number: int, prepared: tuple[Path, dict[bool, float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moho.agent.offer.choose", quick_choice)
    original, whole = prepared
    folder = tmp_path / "project"
    shutil.copytree(original, folder)
    draw = number % 4 == 0
    acknowledged, _ = fork(folder, random.Random(number).uniform(0, whole[draw]), draw)
    project = Project.open(folder)
    made = [name for name, entry in project.catalogue().items() if entry.source != "input"]
    assert made == ["bandpass 1", "gain_agc 1"][: len(made)]
    runs = project.history()
    assert len(runs) <= 1
    kept = project.run("last").steps() if runs else []
    assert len(kept) >= acknowledged
    for step in kept:  # each that counts is there whole
        assert step.error is None
        for artifact in step.artifacts:
            assert store.digest(folder / artifact["path"]) == artifact["sha256"]
        if step.result.get("name"):
            assert project.load(step.result["name"]).history[-1].tool == step.tool
    with sqlite3.connect(folder / "threads.sqlite") as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    connection.close()
    with graph.threads(project) as saver:
        agent = scripted(project, *replies(), checkpointer=saver)
        outcome = resumed(agent, kept)
    assert outcome.status == "answered"
    assert outcome.answer == "5 to 60 Hz, 0.5 s, 0 dead."
    assert [step.tool for step in outcome.steps] == ["bandpass", "gain_agc", "trace_qc"]  # nothing repeated
    assert [step.artifacts for step in outcome.steps][: len(kept)] == [step.artifacts for step in kept]
    assert [name for name, entry in Project.open(folder).catalogue().items() if entry.source != "input"] == ["bandpass 1", "gain_agc 1"]


class Torn(InMemorySaver):
    """Fails at one checkpoint, after the writes that lead to it were kept."""

    left = 0

    def put(self, *args: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise OSError("killed here")
        return super().put(*args)


@pytest.mark.parametrize("number", range(2, 11))
def test_killed_between_the_writes_and_the_checkpoint(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moho.agent.offer.choose", quick_choice)
    project, saver = made_project(tmp_path / "project"), Torn()
    saver.left = number
    with pytest.raises(OSError, match="killed here"):
        scripted(project, *replies(), checkpointer=saver).ask(REQUEST, thread="t")
    agent = scripted(project, *replies(), checkpointer=saver)
    outcome = resumed(agent, project.run("last").steps() if project.history() else [])
    assert outcome.answer == "5 to 60 Hz, 0.5 s, 0 dead."
    assert [step.tool for step in outcome.steps] == ["bandpass", "gain_agc", "trace_qc"]
