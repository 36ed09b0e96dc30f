"""Moho in a notebook or a script: a project that is asked in words, and every tool as a function of it.

    from moho import Project

    survey = Project("north-sea")
    survey.add("line12.sgy")
    survey.ask("filter line12 to 5-60 Hz")          # an answer, with its figures below it
    survey.bandpass(line="line12", low="5 Hz", high="60 Hz")   # the same tool by name, without a language model

What is called is kept as a run of the project, as everywhere; a result is there by its name, `survey["bandpass 1"]`.
"""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from moho import project as projects
from moho.agent import act, guard, render
from moho.agent.registry import estimate, find_tool, load_tools, prepare
from moho.errors import Refusal
from moho.project import Entry, StepRecord
from moho.settings import setting
from moho.survey import Data
from moho.units import Quantity


@dataclass(frozen=True)
class Answer:
    """What came of a request; a notebook shows its text and its figures."""

    outcome: Any
    project: projects.Project

    @property
    def text(self) -> str:
        """The answer in words."""
        return str(self.outcome.answer)

    @property
    def status(self) -> str:
        """answered, question, refused or failed."""
        return str(self.outcome.status)

    @property
    def numbers(self) -> dict[str, Any]:
        """Each number of the answer by where it comes from, `step:1:pass_band`."""
        return {str(number["source"]): number["value"] for number in self.outcome.numbers}

    @property
    def steps(self) -> Sequence[StepRecord]:
        """The calls that were made."""
        return list(self.outcome.steps)

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        told = self.outcome.json()
        shown = "".join(_figure(self.project, step) for step in self.outcome.steps)
        return render.answer(told["answer"], told["numbers"], told["steps"], told["citations"]) + shown


@dataclass(frozen=True)
class Result:
    """What a tool made or measured."""

    step: StepRecord
    project: projects.Project

    @property
    def name(self) -> str:
        """Its name in the project, "" for a measurement."""
        return str(self.step.result.get("name", ""))

    @property
    def facts(self) -> dict[str, Quantity]:
        """Its numbers by key."""
        return self.step.facts()

    @property
    def data(self) -> Data:
        """The data set itself."""
        from moho import store

        return self.project.load(self.name) if self.name else store.load(self.project.folder / self.step.artifacts[0]["path"])

    def __getitem__(self, key: str) -> Any:
        return self.facts[key].value

    def __str__(self) -> str:
        made = [f"“{self.name}”"] if self.name else []
        return "; ".join([*made, *(f"{quantity.label or key}: {quantity}" for key, quantity in self.facts.items())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{html.escape(q.label or key)}</th><td>{html.escape(str(q))}</td></tr>" for key, q in self.facts.items())
        title = f"<b>{html.escape(self.name)}</b>" if self.name else ""
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.step.result.get("notes", []))
        return f"{title}<table>{rows}</table><ul>{notes}</ul>{_figure(self.project, self.step)}"


class Project:
    """A project folder, opened or made; `model` as in `moho ask --model`.

    Calls that are estimated to take longer than the settings allow are refused without `approve`.
    """

    def __init__(self, folder: str | os.PathLike[str] = "moho-project", *, model: str | None = None, approve: bool = False) -> None:
        self.project = projects.Project.open(folder)
        self.spec, self.approve = setting("model", model).value, approve
        self._thread = ""

    def add(self, path: str | os.PathLike[str], *, name: str = "", **hints: Any) -> Entry:
        """Read a file and enter it under its stem, or `name`."""
        return self.project.add(path, name=name, **hints)

    def ask(self, request: str, *, follow: bool = False) -> Answer:
        """Have a request in words carried out; with `follow` as the next turn of the conversation before."""
        from moho.agent import graph
        from moho.agent.chosen import budget, make_model, workers

        with graph.threads(self.project) as checkpointer:
            agent = graph.Agent(self.project, make_model(self.spec), name=self.spec, budget=budget(), approve=self.approve, checkpointer=checkpointer,
                                workers=workers())  # fmt: skip
            outcome = agent.ask(request, thread=self._thread if follow else "")
        self._thread = outcome.thread
        return Answer(outcome, self.project)

    def run(self, tool: str, **arguments: Any) -> Result:
        """Run a tool by its name: numbers as numbers in the tool's unit or as text with theirs, data sets by their names."""
        written = {key: value.name if isinstance(value, (Result, Entry)) else value for key, value in arguments.items()}
        call = prepare(tool, written, self.project.kinds())
        asked = guard.afford(
            call, estimate(call, self.project.load), guard.Budget(approve_seconds=setting("approve_seconds").value), guard.free_memory()
        )
        if asked and not self.approve:
            raise Refusal("E_APPROVAL", f"{asked}.", "Project(..., approve=True) lets it run.")
        kept = self.project.start(f"run {tool}", model="none")
        step = act.perform(call, kept)
        kept.finish({"schema_version": 1, "run_id": kept.id, "status": "answered", "tool": tool, "arguments": dict(step.arguments)})
        return Result(step, self.project)

    def __getattr__(self, name: str) -> Callable[..., Result]:
        if name.startswith("_") or name not in load_tools():
            raise AttributeError(f"a project has no {name!r}; tools are {', '.join(sorted(load_tools()))}")

        def called(**arguments: Any) -> Result:
            return self.run(name, **arguments)

        called.__name__, called.__doc__ = name, find_tool(name).description
        return called

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *load_tools()]

    def __getitem__(self, name: str) -> Data:
        return self.project.load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.project.catalogue())

    def __repr__(self) -> str:
        return "\n".join(f"{entry.name}: {entry.line}" for entry in self.project.catalogue().values()) or "an empty project"


def _figure(project: projects.Project, step: StepRecord) -> str:
    """The figure of a step as HTML that needs no file."""
    pictures = [project.folder / artifact["path"] for artifact in step.artifacts if artifact["kind"] == "png"]
    return "".join(
        f'<img alt="figure of step {step.id}, {step.tool}" src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}">'
        for path in pictures
    )
