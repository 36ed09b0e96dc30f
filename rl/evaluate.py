"""Scoring any model on requests with checks on what came of them.

A file of requests holds one JSON object a line:

    {"id": "dev-001", "discipline": "seismic", "kind": "answer | ask | refuse | correct", "earth": 3,
     "data": {"line 12": "line", "A-1": "well"},
     "turns": [{"request": "...",
                "script": [{"call": "bandpass", "with": {"line": "line 12", "low": "5 Hz", "high": "60 Hz"}}, {"answer": ["1.pass_band"]}],
                "check": {"status": "answered", "numbers": [{"value": 5, "tolerance": 0.01}],
                          "made": [{"kind": "Seismic", "fields": {"band": [5, 60]}}]}}]}

`data` gives names to the files of a made earth (`moho.encoders.synthetic.write`). A check looks at the outcome: its status, numbers bound
in the answer, data sets made and their properties, what a question is about, the code of a refusal, the premise corrected. The `script`
is what a perfect model replies; played through the same graph it must score 100 %, which shows that every check can be met.
"""

from __future__ import annotations

import atexit
import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage

from moho.agent import decision
from moho.agent.graph import Agent, Outcome
from moho.agent.guard import Budget
from moho.agent.model import ScriptedChat, message, situate
from moho.errors import DataError
from moho.project import Project

RELATIVE = 0.02  # tolerance of a number or property where a check gives none
STATUSES = {"answer": ("answered",), "ask": ("question",), "refuse": ("refused",), "correct": ("answered", "refused")}


@dataclass(frozen=True)
class Scored:
    """One request, played once."""

    id: str
    discipline: str
    kind: str
    passed: bool
    why: str  # the first check that failed
    seconds: float
    invented: int  # numbers of the answers that had no source
    replies: tuple[str, ...]  # what the model did, for reading


def load(path: Path) -> list[dict[str, Any]]:
    """The requests of a file; DataError with the line that is wrong."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            row = json.loads(line)
            if row["kind"] not in STATUSES or not row["turns"] or not row["id"]:
                raise ValueError("a request needs id, kind and turns")
        except (ValueError, KeyError, TypeError) as error:
            raise DataError("E_FORMAT", f"{path.name} line {number}: {error!r}") from error
        rows.append(row)
    return rows


SURVEYS: dict[int, tuple[tempfile.TemporaryDirectory[str], dict[str, Path], dict[str, Any]]] = {}  # the latest, written once


def survey(earth: int) -> tuple[tempfile.TemporaryDirectory[str], dict[str, Path], dict[str, Any]]:
    """The files of a made earth and its truth; the sixteen used last stay on disk."""
    from moho.encoders import synthetic

    if earth in SURVEYS:
        SURVEYS[earth] = SURVEYS.pop(earth)
        return SURVEYS[earth]
    while len(SURVEYS) >= 16:
        SURVEYS.pop(next(iter(SURVEYS)))[0].cleanup()
    made = synthetic.earth(earth)
    folder = tempfile.TemporaryDirectory(prefix="moho-earth-")
    atexit.register(folder.cleanup)
    paths = synthetic.write(made, Path(folder.name))
    truth = json.loads(paths["truth"].read_text()) if "truth" in paths else dict(made.truth)
    SURVEYS[earth] = (folder, paths, truth)
    return SURVEYS[earth]


def evaluate(rows: Sequence[Mapping[str, Any]], model: Callable[[Mapping[str, Any]], BaseChatModel], tell: Callable[[Scored], None]) -> list[Scored]:
    """Every request played once; `model(row)` gives the model that plays it."""
    scored = []
    for row in rows:
        with tempfile.TemporaryDirectory(prefix="moho-eval-") as folder:
            scored.append(play(row, model(row), Path(folder)))
        tell(scored[-1])
    return scored


def play(row: Mapping[str, Any], model: BaseChatModel, folder: Path) -> Scored:
    """One request in a fresh project."""
    from langgraph.checkpoint.memory import InMemorySaver

    _, paths, truth = survey(int(row.get("earth", 0)))
    project = Project.open(folder / "project")
    for name, file in row.get("data", {}).items():
        project.add(paths[file], name=name)
    agent = Agent(project, model, budget=Budget(steps=12, approve_seconds=1e9), checkpointer=InMemorySaver(), draw=False)
    thread, why, seconds, invented = "", "", 0.0, 0
    replies: list[str] = []
    for number, turn in enumerate(row["turns"], 1):
        try:
            outcome = agent.ask(turn["request"], thread=thread)
        except Exception as error:  # a crash is a failed request, and its own kind of news
            return Scored(row["id"], row["discipline"], row["kind"], False, f"turn {number}: crashed: {error!r}", seconds, invented, tuple(replies))
        thread, seconds = outcome.thread, seconds + outcome.seconds
        invented += outcome.answer.count("[number struck")
        replies += [decision.write_call(step.tool, step.arguments) for step in outcome.steps] + [f"{outcome.status}: {outcome.answer[:160]}"]
        wrong = fault(turn["check"], outcome, project, truth)
        if wrong and not why:
            why = f"turn {number}: {wrong}"
    return Scored(row["id"], row["discipline"], row["kind"], not why, why, seconds, invented, tuple(replies))


def fault(check: Mapping[str, Any], outcome: Outcome, project: Project, truth: Mapping[str, Any]) -> str:
    """The first check that the outcome fails, in words; "" for none."""
    allowed = check["status"] if isinstance(check["status"], list) else [check["status"]]
    if outcome.status not in allowed:
        return f"status {outcome.status} ({outcome.answer[:100]}), wanted {'/'.join(allowed)}"
    for wanted in check.get("numbers", []):
        value, tolerance = _target(wanted, truth)
        said = [item for number in outcome.numbers for item in _flat(number["value"])]
        if not any(_close(one, value, tolerance) for one in said):
            return f"no number {value} +- {tolerance:g} among {said[:12]}"
    for wanted in check.get("made", []):
        if reason := _not_made(wanted, outcome, project, truth):
            return reason
    if "about" in check and not set(check["about"]) & set(outcome.about):
        return f"the question is about {outcome.about}, wanted one of {check['about']}"
    if "code" in check and outcome.code not in check["code"]:
        return f"refused as {outcome.code}, wanted one of {check['code']}"
    if "premise" in check and f"not {check['premise']}" not in outcome.answer:
        return f"does not say that it is not {check['premise']}: {outcome.answer[:120]}"
    if "text" in check and str(check["text"]) not in outcome.answer:
        return f"does not say {check['text']!r}: {outcome.answer[:120]}"
    return ""


def _target(wanted: Mapping[str, Any], truth: Mapping[str, Any]) -> tuple[Any, float]:
    value = _look(truth, wanted["truth"]) if "truth" in wanted else wanted["value"]
    if isinstance(value, str):
        return value, 0.0
    return float(value) * float(wanted.get("scale", 1)), float(wanted.get("tolerance", RELATIVE * abs(float(value))))


def _close(one: Any, value: Any, tolerance: float) -> bool:
    if isinstance(value, str) or isinstance(one, str):
        return str(one).startswith(str(value))
    if not isinstance(one, (int, float, np.number)) or not isinstance(value, (int, float, np.number)):
        return one is value
    return math.isfinite(one) and abs(one - value) <= tolerance + 1e-9


def _flat(value: Any) -> list[Any]:
    return [item for part in value for item in _flat(part)] if isinstance(value, (list, tuple)) else [value]


def _look(tree: Any, path: str) -> Any:
    """`faults.0.cdp` in nested mappings, lists and dataclasses; `mean`, `max`, `min`, `rms` of an array end a path."""
    for part in path.split("."):
        if isinstance(tree, Mapping):
            tree = tree[part]
        elif isinstance(tree, (list, tuple)):
            tree = tree[int(part)]
        elif isinstance(tree, np.ndarray) and part in ("mean", "max", "min", "rms", "size"):
            whole = tree[np.isfinite(tree)] if tree.dtype.kind == "f" else tree
            tree = float(np.sqrt(np.mean(whole**2))) if part == "rms" else float(getattr(whole, part)() if part != "size" else tree.size)
        else:
            tree = getattr(tree, part)
    return tree


def _not_made(wanted: Mapping[str, Any], outcome: Outcome, project: Project, truth: Mapping[str, Any]) -> str:
    """Why no data set of this run has the class and properties wanted; "" when one has."""
    made = [step.result["name"] for step in outcome.steps if step.result.get("name") and step.result["kind"] == wanted["kind"]]
    reasons = [f"no {wanted['kind']} was made"]
    for name in made:
        data = project.load(name)
        reason = ""
        for path, target in wanted.get("fields", {}).items():
            try:
                found = _look(data, path)
            except (KeyError, AttributeError, IndexError, ValueError):
                reason = f"“{name}” has no {path} ({', '.join(f.name for f in fields(data))})"
                break
            goal = _look(truth, target["truth"]) if isinstance(target, dict) else target
            tolerance = float(wanted.get("tolerance", RELATIVE))
            pairs = list(zip(_flat(found), _flat(goal), strict=False))
            if len(_flat(found)) != len(_flat(goal)) or not all(_close(a, b, tolerance * abs(b) if not isinstance(b, str) else 0) for a, b in pairs):
                reason = f"{path} of “{name}” is {found}, wanted {goal}"
                break
        if not reason:
            return ""
        reasons.append(reason)
    return reasons[-1]


def perfect(row: Mapping[str, Any]) -> ScriptedChat:
    """The model that replies as the script of a request says, in the same words a small model would use."""
    replies: list[Any] = []
    for turn in row["turns"]:
        for step in turn["script"]:
            replies.append(_scripted(step, len(replies)))
    return ScriptedChat(replies=replies)


def _scripted(step: Mapping[str, Any], position: int) -> Any:
    def reply(messages: Sequence[Any]) -> AIMessage:
        situation = situate(messages, [])
        if "call" in step:
            line = decision.write_call(step["call"], step.get("with", {}))
        elif "answer" in step:
            line = decision.write_answer([key if isinstance(key, str) else f'{key[0]}!="{key[1]}"' for key in step["answer"]])
        else:
            line = "refuse()"
        return message(line, situation, f"call_{position}")

    return reply


def table(scored: Sequence[Sequence[Scored]]) -> dict[str, Any]:
    """pass^1 (mean share passed) and pass^n (share passed in every one of n plays), in all, by kind and by discipline."""
    plays: dict[str, list[Scored]] = defaultdict(list)
    for once in scored:
        for one in once:
            plays[one.id].append(one)
    groups: dict[str, list[list[Scored]]] = defaultdict(list)
    for several in plays.values():
        for group in ("all", f"kind {several[0].kind}", f"discipline {several[0].discipline}"):
            groups[group].append(several)
    rows = {
        group: {
            "requests": len(members),
            "pass^1": round(sum(one.passed for several in members for one in several) / sum(map(len, members)), 4),
            f"pass^{len(scored)}": round(sum(all(one.passed for one in several) for several in members) / len(members), 4),
        }
        for group, members in sorted(groups.items())
    }
    everything = [one for once in scored for one in once]
    times = sorted(one.seconds for one in everything)
    return {
        "scores": rows,
        "invented_numbers": sum(one.invented for one in everything),
        "median_seconds": round(times[len(times) // 2], 3) if times else 0.0,
    }
