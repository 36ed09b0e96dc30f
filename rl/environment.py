"""Episodes: a request on a synthetic project, played through the real graph, guard, registry and ledger, and what it earns.

The truth of a request is what its own script comes to when it is played once (`prove`). A script that ends otherwise than its kind
wants, or that the small model could not write under its grammar and from the tools it is offered, is no request to learn from. `play`
compares a finished episode with that truth: the first two parts of the reward are earned, all others only take away, and the script
earns 1. To answer wrongly costs less than to ask or refuse where nothing was amiss, so that trying pays; to guess where a question or
a refusal was due costs both. How requests are made is in `moho.rl.requests`, how a policy samples in `moho.rl.policy`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

from moho.agent import decision, guard
from moho.agent.graph import Agent, Outcome
from moho.agent.model import EmbeddedChat, message, situate
from moho.agent.registry import find_tool
from moho.errors import Missing
from moho.project import Project
from moho.rl.evaluate import RELATIVE, close, flat
from moho.rl.instructions import Example, Writer
from moho.rl.policy import Episode, Grammar, Policy, Turn
from moho.rl.requests import TRAINING, Request, draws, library
from moho.survey import Curve, Data, Waveforms
from moho.units import Quantity

if TYPE_CHECKING:
    from moho.agent.embedded import Decider

Decide = Callable[[decision.Situation], str]
BUDGET = guard.Budget(steps=8, minutes=1.0, approve_seconds=30.0)
MEMORY = Path("/dev/shm")  # where a project costs no writing to disk
GRACE = 5.0  # s of wall clock an episode may take beyond its script before it costs
ENDS = {  # how the turns of a kind end, and with which codes
    "single": ("answered",), "written": ("answered",), "chain": ("answered",), "question": ("answered",), "premise": ("answered",),
    "follow": ("answered", "answered"),
    "missing": ("question",), "ambiguous": ("question",), "given": ("question", "answered"), "physics": ("refused",), "lacking": ("refused",),
    "outside": ("refused",),
}  # fmt: skip
SHARED = ("outcome", "progress", "long")  # parts that are a mean over the turns; the others add up
CODES = {"lacking": ("E_DATA",), "outside": ("E_SCOPE",), "physics": ("E_PHYSICS", "E_GEOMETRY", "E_UNITS")}


@dataclass(frozen=True)
class Weights:
    """What each part of a reward counts."""

    outcome: float = 0.8  # the right end: data made, numbers asked for, question, refusal or correction; less where it drowns in others
    progress: float = 0.2  # share of the script's results that are there
    wrong: float = 0.2  # an answer that is not right, which is worse than none
    struck: float = 0.15  # a number of the answer without a source, up to three
    invented: float = 0.2  # a value in a call that nobody gave, or a reference that was not retrieved, up to three
    asked: float = 0.3  # asked when it should not, or not when it should, or about something else
    refused: float = 0.3  # the same for refusals
    corrected: float = 0.2  # a wrong premise left standing
    long: float = 0.4  # share of what is stated beyond what was wanted
    steps: float = 0.05  # a reply more than the script has, up to six
    failed: float = 0.1  # a malformed reply or a call that could not be carried out, up to three
    cost: float = 0.1  # time beyond the script's


@dataclass(frozen=True)
class Made:
    """A data set by what can be measured of it."""

    kind: str
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class Truth:
    """What the right script comes to in one turn."""

    status: str
    code: str
    about: tuple[str, ...]
    made: tuple[Made, ...]
    measured: tuple[Mapping[str, Quantity], ...]  # numbers of each step that made no data set
    numbers: tuple[tuple[str, Any], ...]  # key and value of what the answer has to state
    premise: str  # what has to be corrected: the number it is, and what was said, as in "240, not 600"
    stated: int  # numbers that the right answer holds
    seconds: float


@dataclass(frozen=True)
class Task:
    """A request and what is right for each of its turns."""

    request: Request
    truths: tuple[Truth, ...]


@dataclass(frozen=True)
class Played:
    """A finished episode."""

    status: str  # of its last turn
    parts: Mapping[str, float]
    reward: float
    decisions: tuple[tuple[decision.Situation, str], ...]  # what the small model saw, and the line it replied
    answers: tuple[str, ...]
    seconds: float


class Deciding(EmbeddedChat):
    """The chat model of a function that decides. It remembers what it was shown and what it replied; a line that is no call is words."""

    decide: Any
    decisions: list[Any] = Field(default_factory=list)  # of (situation, line)

    def _generate(self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        situation = situate(messages, kwargs.get("offered", []))
        line = self.decide(situation)
        self.decisions.append((situation, line))
        try:
            made = message(line, situation, f"call_{len(messages)}")
        except ValueError:
            made = AIMessage(line)
        return ChatResult(generations=[ChatGeneration(message=made)])


@dataclass
class _Finished:
    """The turns of an episode as they ended."""

    project: Project
    outcomes: list[Outcome] = field(default_factory=list)
    decisions: list[list[tuple[decision.Situation, str]]] = field(default_factory=list)  # of each turn


def play(task: Task, decide: Decide, weights: Weights | None = None) -> Played:
    """The episode that `decide` makes of a task. It ends early where a turn ends otherwise than it should: what comes next leans on it."""
    weights = weights or Weights()
    with _played(task.request, decide, [truth.status for truth in task.truths]) as finished:
        parts = dict.fromkeys(asdict(weights), 0.0)
        for truth, turn, outcome, decisions in zip(task.truths, task.request.turns, finished.outcomes, finished.decisions, strict=False):
            for name, value in judge(truth, len(turn.script), outcome, decisions, finished.project).items():
                parts[name] += value / len(task.truths) if name in SHARED else value
        reward = sum(getattr(weights, name) * value for name, value in parts.items())
        answers = tuple(outcome.answer for outcome in finished.outcomes)
        seconds = sum(outcome.seconds for outcome in finished.outcomes)
        everything = tuple(one for several in finished.decisions for one in several)
        return Played(finished.outcomes[-1].status, parts, reward, everything, answers, seconds)


def prove(request: Request, writer: Writer | None = None) -> Task | None:
    """The task of a request, by playing its script; None where that does not end as its kind should."""
    writer = writer or _writer()
    decide = scripted(request)
    ends = ENDS[request.kind]
    with _played(request, decide, ends) as finished:
        if tuple(outcome.status for outcome in finished.outcomes) != ends:
            return None
        for turn, decisions in zip(request.turns, finished.decisions, strict=True):
            if tuple(line for _, line in decisions) != turn.script or not all(_possible(one, line, writer) for one, line in decisions):
                return None
        truths = []
        for turn, outcome in zip(request.turns, finished.outcomes, strict=True):
            notes = " ".join(str(note) for step in outcome.steps for note in step.result.get("notes", []))
            failed = outcome.status == "answered" and any(step.error for step in outcome.steps)
            if failed or "[number struck" in outcome.answer or "by the person" in notes:
                return None
            if request.kind not in ("premise", "question") and "Not used of what you gave" in outcome.answer:
                return None
            if outcome.status == "refused" and outcome.code not in CODES[request.kind]:
                return None
            truths.append(_truth(request.kind, turn.script, outcome, finished.project))
        return Task(request, tuple(truths))


def scripted(request: Request) -> Decide:
    """The perfect model: the lines of a request's script, one after the other; `refuse()` behind the last."""
    lines = iter([line for turn in request.turns for line in turn.script])
    return lambda situation: next(lines, "refuse()")


@lru_cache(maxsize=4096)
def task(seed: int, kind: str = "", earths: tuple[int, ...] = TRAINING, held_out: bool = False) -> Task:
    """The task of a seed, of this kind or in the shares of `moho.rl.requests.SHARES`. The same seed gives the same task."""
    found: Task = draws(seed, prove, kind=kind, earths=earths, held_out=held_out)
    return found


def judge(truth: Truth, lines: int, outcome: Outcome, decisions: Sequence[tuple[decision.Situation, str]], project: Project) -> dict[str, float]:
    """The parts of the reward for one turn, of which the script has so many `lines`."""
    good = [step for step in outcome.steps if not step.error]
    made = [_properties(project.load(step.result["name"])) for step in good if step.result.get("name")]
    stated = [(one["source"].rpartition(":")[2], one["value"]) for one in outcome.numbers if str(one["source"]).startswith("step:")]
    there, left = 0, list(made)
    for wanted in truth.made:
        if (place := next((i for i, one in enumerate(left) if _alike(one, wanted)), None)) is not None:
            left.pop(place)
            there += 1
    measured = sum(any(_same_facts(step.facts(), facts) for step in good) for facts in truth.measured)
    results = len(truth.made) + len(truth.measured)
    asking = _overlap(outcome.about, truth.about) if outcome.status == "question" else 0.0
    right = outcome.status == truth.status and there == len(truth.made) and measured == len(truth.measured)
    right = right and all(any(key == name and _equal(one, value) for name, one in stated) for key, value in truth.numbers)
    if truth.status == "answered" and not truth.numbers:  # a measurement is only made when it is said
        right = right and all(any(_equal(one, q.value) for _, one in stated for q in facts.values()) for facts in truth.measured)
    right = right and truth.premise in outcome.answer
    right = right and (truth.status != "question" or asking >= 0.5) and (truth.status != "refused" or outcome.code == truth.code)
    allowed = max(4, truth.stated) if not truth.numbers else truth.stated + 2
    share = min(1.0, allowed / max(len(outcome.numbers), 1)) if truth.status == "answered" else 1.0
    calls = [line for _, line in decisions if line.partition("(")[0] not in ("answer", "refuse")]
    ended = outcome.status in ("question", "refused") and bool(decisions) and decisions[-1][1] in calls
    return {
        "outcome": right * share**2,
        "progress": (there + measured) / results if results else float(right),
        "wrong": -float(outcome.status == "answered" and not right),
        "struck": -float(min(3, outcome.answer.count("[number struck"))),
        "invented": -float(min(3, sum(_invented(*one) for one in decisions) + outcome.answer.count("[struck"))),
        "asked": _asked(truth, outcome, asking),
        "refused": _refused(truth, outcome),
        "corrected": -float(truth.premise not in outcome.answer),
        "long": share - 1.0,
        "steps": -float(min(6, max(0, len(decisions) - lines))),
        "failed": -float(min(3, max(0, len(calls) - len(good) - ended))),
        "cost": -float(np.clip((outcome.seconds - truth.seconds - GRACE) / GRACE, 0, 1)),
    }


class DecisionEnvironment:
    """What a policy is trained in (`moho.rl.policy.Environment`): each seed is a task and the random numbers it is played with."""

    def __init__(
        self, decider: Decider, *, weights: Weights | None = None, earths: Sequence[int] = TRAINING, held_out: bool = False, kind: str = ""
    ) -> None:
        self.decider, self.weights = decider, weights or Weights()
        self.earths, self.held_out, self.kind = tuple(earths), held_out, kind

    def play(self, policy: Policy, seeds: Sequence[int]) -> list[Episode]:
        """An episode for each seed."""
        return [self.episode(policy, seed)[0] for seed in seeds]

    def episode(self, policy: Policy, seed: int) -> tuple[Episode, Played]:
        """The episode of one seed, as it is learned from and as it can be read."""
        generator = np.random.default_rng([seed, 3])
        turns: list[Turn] = []

        def decide(situation: decision.Situation) -> str:
            constraint = Grammar(self.decider.matcher(situation), self.decider.tokenizer, policy.vocabulary)
            turns.append(policy.reply(self.decider.ids(decision.prompt(situation)), constraint, generator))
            return self.decider.text(turns[-1].reply)

        played = play(task(seed, self.kind, self.earths, self.held_out), decide, self.weights)
        return Episode(tuple(turns), played.reward, played.parts), played


# -- below


@contextmanager
def _played(request: Request, decide: Decide, ends: Sequence[str]) -> Iterator[_Finished]:
    """The turns of a request in a fresh project, up to the first that ends otherwise than `ends` says."""
    from langgraph.checkpoint.memory import InMemorySaver

    with tempfile.TemporaryDirectory(prefix="moho-episode-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        project = Project.open(folder)
        for name, (seed, file) in request.data.items():
            project.adopt(library(seed), file, under=name)
        model = Deciding(decide=decide, decisions=[])
        agent = Agent(project, model, budget=BUDGET, checkpointer=InMemorySaver(), draw=False)
        finished, thread = _Finished(project), ""
        for turn, end in zip(request.turns, ends, strict=True):
            before = len(model.decisions)
            outcome = agent.ask(turn.text, thread=thread)
            thread = outcome.thread
            finished.outcomes.append(outcome)
            finished.decisions.append(model.decisions[before:])
            if outcome.status != end or outcome.approval:
                break
        yield finished


def _truth(kind: str, script: Sequence[str], outcome: Outcome, project: Project) -> Truth:
    good = [step for step in outcome.steps if not step.error]
    made = tuple(_properties(project.load(step.result["name"])) for step in good if step.result.get("name"))
    measured = tuple(step.facts() for step in good if not step.result.get("name"))
    keys = decision.read(script[-1]).keys if kind in ("question", "premise", "written") else []
    facts = {f"{step.id}.{key}": quantity for step in good for key, quantity in step.facts().items()}
    premise = next((f"{facts[key]}, not {said}" for key, said in keys if said and f"{facts[key]}, not {said}" in outcome.answer), "")
    numbers = tuple((key.partition(".")[2], facts[key].value) for key, _ in keys)
    return Truth(
        outcome.status, outcome.code, tuple(outcome.about), made, measured, numbers, premise, len(outcome.numbers), outcome.seconds
    )  # fmt: skip


def _possible(situation: decision.Situation, line: str, writer: Writer) -> bool:
    """Whether the small model could have replied this: its tool on offer, names and values among those of the grammar."""
    name = line.partition("(")[0]
    settled = writer.settle(Example(situation, line, "", name))
    return name in ("answer", "refuse", *situation.tools) and settled is not None and settled.reply == line


@lru_cache(maxsize=1)
def _writer() -> Writer:
    return Writer(0)


def _properties(data: Data) -> Made:
    """What tells a data set from another of its class: its summary, and size and rms of its arrays."""
    found: dict[str, Any] = {key: quantity.value for key, quantity in data.summary().items()}
    arrays: dict[str, Any] = {one.name: getattr(data, one.name) for one in fields(data)}
    for name, curve in dict(getattr(data, "curves", {})).items():
        arrays[name] = curve.values if isinstance(curve, Curve) else curve
    if isinstance(data, Waveforms):
        arrays |= {f"{trace.id} {trace.stats.starttime}": trace.data for trace in data.stream}
    for name, array in arrays.items():
        if isinstance(array, np.ndarray) and array.dtype.kind in "fiuc":
            held = np.abs(array[np.isfinite(array)]).astype(float)
            found[f"{name} size"], found[f"{name} rms"] = array.size, float(np.sqrt(np.mean(held**2))) if held.size else 0.0
    return Made(type(data).__name__, found)


def _alike(one: Made, other: Made) -> bool:
    same = one.kind == other.kind and one.properties.keys() == other.properties.keys()
    return same and all(_equal(one.properties[key], value) for key, value in other.properties.items())


def _same_facts(one: Mapping[str, Quantity], other: Mapping[str, Quantity]) -> bool:
    return one.keys() == other.keys() and all(_equal(one[key].value, quantity.value) for key, quantity in other.items())


def _equal(one: Any, other: Any) -> bool:
    """Whether two values of one number are the same within `RELATIVE`."""
    a, b = flat(one), flat(other)
    return len(a) == len(b) and all(close(x, y, RELATIVE * abs(y) if isinstance(y, (int, float)) else 0.0) for x, y in zip(a, b, strict=True))


def _overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """Shared share of two sets of names."""
    return len(set(one) & set(other)) / max(len({*one, *other}), 1)


def _asked(truth: Truth, outcome: Outcome, asking: float) -> float:
    """0 for a question as it should be or none where none was due, down to -1."""
    if truth.status == "question":
        return asking - 1.0 if outcome.status != "question" else 0.5 * (asking - 1.0)
    return -float(outcome.status == "question")


def _refused(truth: Truth, outcome: Outcome) -> float:
    """0 for a refusal as it should be or none where none was due, down to -1."""
    if truth.status == "refused":
        return 0.0 if outcome.code == truth.code else -0.5 if outcome.status == "refused" else -1.0
    return -float(outcome.status == "refused")


def _invented(situation: decision.Situation, line: str) -> int:
    """How many values of a call nobody gave: neither the person nor a step."""
    try:
        chosen = decision.read(line)
        tool = find_tool(chosen.name)
    except ValueError:
        return 0
    said = "\n".join([*(request for request, _ in situation.earlier), situation.request])
    known = [
        Quantity(float(value), quantity.unit)
        for done in situation.done
        for quantity in done.facts.values()
        for value in flat(quantity.value)
        if isinstance(value, (int, float))
    ]
    count = 0
    for name, value in chosen.arguments.items():
        if name in {argument.name for argument in tool.arguments}:
            try:
                count += any("not given by the person" in note for note in guard.provenance(tool.name, {name: value}, said, known)[1])
            except Missing:
                count += 1
    return count
