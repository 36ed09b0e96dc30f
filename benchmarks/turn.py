"""What a request costs beside model and tool: Moho's graph and LangChain's plain `create_agent`, in turn.

Both get the same scripted replies, four calls of a tool that does nothing and an answer, on a new thread with new words each time.
Moho also chooses among all its tools by meaning, checks every call, keeps every step on disk, synced, and checks the answer's
numbers; `create_agent` does none of that. Without checkpoints, and with SQLite ones written at every step before the next.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.messages import AIMessage, HumanMessage

from benchmarks.table import Row, medians, show
from moho.agent import offer
from moho.agent.graph import Agent, threads
from moho.agent.model import ScriptedChat, call
from moho.agent.registry import TOOLS, load_tools, tool
from moho.project import Project
from moho.segy import write_segy
from moho.survey import Report, Seismic
from moho.units import Count

STEPS = 4
TURNS = STEPS + 1  # replies of the model
ANSWER = "All of it was looked at."
REPEATS = 9


def look(line: Seismic, level: Count) -> Report:
    """Nothing: a step that only has to be kept."""
    return Report(title="nothing")


def request(number: int) -> str:
    """The words of a request, never the same."""
    levels = ", ".join(str(n) for n in range(1, STEPS + 1))
    return f"Look at line, levels {levels}; request {1000 + number}"


def script() -> ScriptedChat:
    """The replies of the model."""
    return ScriptedChat(replies=[*(call("look", f"call_{n}", line="line", level=n) for n in range(1, STEPS + 1)), AIMessage(ANSWER)])


@contextmanager
def ours(folder: Path, checkpoints: bool) -> Iterator[Any]:
    """A function that answers request n on a project with one small section."""
    load_tools()
    tool(discipline="any", stage="inspect", say=("look at {line}, level {level}",))(look)
    project = Project.open(folder / "project")
    data = np.random.default_rng(0).standard_normal((24, 256)).astype(np.float32)
    write_segy(Seismic(data=data, dt=0.004), folder / "line.sgy")
    project.add(folder / "line.sgy")
    model = script()
    with ExitStack() as stack:
        agent = Agent(project, model, checkpointer=stack.enter_context(threads(project)) if checkpoints else None)

        def answer(n: int) -> Any:
            model.position = 0
            return agent.ask(request(n), thread=f"t{n}")

        try:
            yield answer
        finally:
            del TOOLS["look"]


@contextmanager
def plain(folder: Path, checkpoints: bool) -> Iterator[Any]:
    """The same of LangChain's agent; its checkpoints as durable as ours."""
    from langchain.agents import create_agent
    from langchain_core.tools import tool as plain_tool
    from langgraph.checkpoint.sqlite import SqliteSaver

    @plain_tool("look")
    def looked(line: str, level: int) -> str:
        """Nothing."""
        return "{}"

    connection = sqlite3.connect(folder / "plain.sqlite", check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    saver = SqliteSaver(connection) if checkpoints else None
    options: dict[str, Any] = {"durability": "sync"} if checkpoints else {}
    model = script()
    agent = create_agent(model, [looked], checkpointer=saver)

    def answer(n: int) -> dict[str, Any]:
        model.position = 0
        return dict(agent.invoke({"messages": [HumanMessage(request(n))]}, {"configurable": {"thread_id": f"t{n}"}}, **options))

    yield answer
    connection.close()


def measure() -> list[Row]:
    """Milliseconds of a request over its turns, with and without checkpoints; then what choosing among the tools has in it."""
    rows = [_both("own overhead of a turn, no checkpoints", checkpoints=False), _both("own overhead of a turn, SQLite checkpoints", checkpoints=True)]
    chosen = _both("the same, tools chosen before", checkpoints=True, chosen=True)
    rows.append(replace(chosen, at_most=None, ratio_at_most=None))
    seconds = medians(REPEATS, lambda n: offer.rank(request(5000 + n)))[0]
    rows.append(Row("choosing tools by meaning, once a request", 1e3 * seconds, "ms", note="MiniLM on the request's words"))
    return rows


def _both(name: str, *, checkpoints: bool, chosen: bool = False) -> Row:
    offer.rank.cache_clear()
    for n in range(-2, REPEATS if chosen else -2):
        offer.rank(request(n))
    with tempfile.TemporaryDirectory() as place, ours(Path(place), checkpoints) as moho, plain(Path(place), checkpoints) as peer:
        first, other = moho(-2), peer(-2)
        assert first.answer == other["messages"][-1].content == ANSWER, first
        assert [step.tool for step in first.steps] == [m.name for m in other["messages"] if m.type == "tool"] == ["look"] * STEPS
        a, b = medians(REPEATS, moho, peer)
    return Row(name, 1e3 * a / TURNS, "ms", 1e3 * b / TURNS, "create_agent", 30, 1)


if __name__ == "__main__":
    print(show(measure()))
