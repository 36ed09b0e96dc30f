"""How long Moho takes to be there: the command line, the tools, the embedded model's first and next call, and the memory of it.

Every figure is of a fresh process. The cold request includes starting Python, loading the model and its first decision; the warm
one is the same agent's next request, from the words to the end of its first step.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import Row, process, show

REPEATS = 3
REQUESTS = ("Bandpass line from 8 to 45 Hz", "apply AGC to line with a window of 500 ms")
MOHO = "from moho.agent.cli import main; main()"  # what the command does
IMPORT = "import time; t = time.perf_counter(); from moho.agent.registry import load_tools; n = len(load_tools()); print(time.perf_counter() - t, n)"


def make(folder: Path) -> Path:
    """A small section in a file."""
    from moho.segy import write_segy
    from moho.survey import Seismic

    data = np.random.default_rng(0).standard_normal((60, 400)).astype(np.float32)
    return write_segy(Seismic(data=data, dt=0.004), folder / "line.sgy")


def first_calls(place: str) -> None:
    """What a process of its own does: two requests to one agent, and the seconds to each one's first step, printed."""
    started = time.perf_counter()
    from moho.agent.graph import Agent, Event, threads
    from moho.agent.model import make as make_model
    from moho.project import Project

    seen: dict[str, float] = {}
    took = []
    project = Project.open(Path(place) / "project")
    project.add(Path(place) / "line.sgy")

    def heard(event: Event) -> None:
        if event.what == "step":
            seen.setdefault("step", time.perf_counter())

    with threads(project) as saver:
        agent = Agent(project, make_model("embedded"), checkpointer=saver, on_event=heard)
        for words in REQUESTS:
            began = started if not took else time.perf_counter()
            outcome = agent.ask(words)
            took.append([seen.pop("step", time.perf_counter()) - began, time.perf_counter() - began, [s.tool for s in outcome.steps], outcome.status])
    print(json.dumps(took))


def measure() -> list[Row]:
    """Seconds and MiB."""
    help_ = statistics.median(process("-c", MOHO, "--help").seconds for _ in range(REPEATS))
    imports = [process("-c", IMPORT).printed.split() for _ in range(REPEATS)]
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        cold, warm = json.loads(process("-m", "benchmarks.start", folder).printed.splitlines()[-1])
        command = ("-c", MOHO, "ask", REQUESTS[0], "--data", f"{folder}/line.sgy", "--project", f"{folder}/other", "--json", "--no-input")
        asked = process(*command)
        status = json.loads(asked.printed.splitlines()[-1])["status"]
    return [
        Row("moho --help", help_, "s", at_most=0.5),
        Row(f"import of the registry and {imports[0][1]} tools", statistics.median(float(words[0]) for words in imports), "s", at_most=1),
        Row("cold request to its first step, embedded model", cold[0], "s", note=_words(cold)),
        Row("warm request to its first step", warm[0], "s", note=_words(warm)),
        Row("moho ask, whole process", asked.seconds, "s", note=f"{asked.cpu:.1f} s of CPU; ended as {status}"),
        Row("peak memory of moho ask", asked.memory, "MiB", at_most=2048),
    ]


def _words(taken: list[Any]) -> str:
    return f"{', '.join(taken[2]) or 'no tool'}; {taken[3]} after {taken[1]:.2f} s"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        first_calls(sys.argv[1])
    else:
        print(show(measure()))
