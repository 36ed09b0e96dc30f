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
is what a perfect model replies; played through the same graph it must score 100 %, which shows that every check can be met. A model's
calls are also compared with those of the script. What all this adds up to is in `moho.rl.scores`.
"""

from __future__ import annotations

import atexit
import json
import math
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage

from moho.agent import decision
from moho.agent.graph import Agent, Outcome
from moho.agent.guard import Budget
from moho.agent.model import ScriptedChat, message, situate
from moho.agent.quantities import quantities
from moho.errors import DataError
from moho.project import Project
from moho.rl.calls import Listener, compared, either
from moho.rl.scores import Ended, Kept, Scored

RELATIVE = 0.02  # tolerance of a number or property where a check gives none
ON_DISK = 64  # made earths kept at a time
STATUSES = {"answer": ("answered",), "ask": ("question",), "refuse": ("refused",), "correct": ("answered", "refused")}


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


def chosen(rows: Sequence[dict[str, Any]], only: Sequence[str] = (), part: str = "1/1") -> list[dict[str, Any]]:
    """The requests of these ids, all where none is named, and of them every n-th from the i-th on (`part` is "i/n")."""
    if unknown := sorted(set(only) - {row["id"] for row in rows}):
        raise DataError("E_NOT_FOUND", f"there is no request {', '.join(unknown)}")
    first, _, count = part.partition("/")
    if not (first.isdigit() and count.isdigit() and 1 <= int(first) <= int(count)):
        raise DataError("E_FORMAT", f"a part is i/n with i from 1 to n, got {part!r}")
    return [row for row in rows if not only or row["id"] in only][int(first) - 1 :: int(count)]


SURVEYS: dict[int, tuple[tempfile.TemporaryDirectory[str], dict[str, Path], dict[str, Any]]] = {}  # the latest, written once


def survey(earth: int) -> tuple[tempfile.TemporaryDirectory[str], dict[str, Path], dict[str, Any]]:
    """The files of a made earth and its truth; the last `ON_DISK` stay on disk."""
    from moho.encoders import synthetic

    if earth in SURVEYS:
        SURVEYS[earth] = SURVEYS.pop(earth)
        return SURVEYS[earth]
    while len(SURVEYS) >= ON_DISK:
        SURVEYS.pop(next(iter(SURVEYS)))[0].cleanup()
    made = synthetic.earth(earth)
    folder = tempfile.TemporaryDirectory(prefix="moho-earth-")
    atexit.register(folder.cleanup)
    paths = synthetic.write(made, Path(folder.name))
    truth = json.loads(paths["truth"].read_text()) if "truth" in paths else dict(made.truth)
    SURVEYS[earth] = (folder, paths, truth)
    return SURVEYS[earth]


def evaluate(
    rows: Sequence[Mapping[str, Any]],
    model: Callable[[Mapping[str, Any]], BaseChatModel],
    tell: Callable[[Scored], None],
    kept: Kept | None = None,
    number: int = 0,
) -> list[Scored]:
    """Every request played once, as play `number`; `model(row)` gives the model that plays it. What `kept` holds is not played again."""
    kept = kept or Kept(None, "")
    scored = []
    for row in rows:
        one = kept.done.get((row["id"], number))
        if one is None:
            with tempfile.TemporaryDirectory(prefix="moho-eval-") as folder:
                one = replace(play(row, model(row), Path(folder)), play=number)
            kept.append(one)
        scored.append(one)
        tell(one)
    return scored


def play(row: Mapping[str, Any], model: BaseChatModel, folder: Path) -> Scored:
    """One request in a fresh project."""
    from langgraph.checkpoint.memory import InMemorySaver

    from moho.knowledge import cite

    _, paths, truth = survey(int(row.get("earth", 0)))
    project = Project.open(folder / "project")
    for name, file in row.get("data", {}).items():
        project.add(paths[file], name=name)
    listener = Listener()
    model = model.model_copy(update={"callbacks": [listener]})
    agent = Agent(project, model, budget=Budget(steps=12, approve_seconds=1e9), checkpointer=InMemorySaver(), draw=False)
    kinds = {name: entry.kind for name, entry in project.catalogue().items()}
    scripted = [[(step["call"], step.get("with", {})) for step in turn["script"] if "call" in step] for turn in row["turns"]]
    thread, why, seconds, invented, references = "", "", 0.0, 0, 0
    replies: list[str] = []
    ended: list[Ended] = []
    matched, exact, called, wanted, stated = 0, 0, 0, 0, 0
    for number, (turn, script) in enumerate(zip(row["turns"], scripted, strict=True), 1):
        check = turn["check"]
        allowed = tuple(check["status"]) if isinstance(check["status"], list) else (check["status"],)
        wanted += len(check.get("numbers", []))
        before = len(listener.calls)
        try:
            outcome = agent.ask(turn["request"], thread=thread)
        except Exception as error:  # a crash is a failed request, and its own kind of news
            why = why or f"turn {number}: crashed: {error!r}"
            ended.append(Ended("crashed", allowed, False, "premise" in check))
            break
        thread, seconds = outcome.thread, seconds + outcome.seconds
        invented += outcome.answer.count("[number struck")
        references += outcome.answer.count(cite.STRUCK)
        replies += [decision.write_call(step.tool, step.arguments) for step in outcome.steps] + [f"{outcome.status}: {outcome.answer[:160]}"]
        wrong = fault(check, outcome, project, truth)
        contradicted = any(f", not {quantity}." in outcome.answer for quantity in quantities(turn["request"]))
        corrected = _corrected(check, outcome, truth) if "premise" in check else contradicted
        ended.append(Ended(outcome.status, allowed, not wrong, "premise" in check, corrected))
        stated += sum(_stated(one, outcome, truth) for one in check.get("numbers", []))
        tools, same = compared(script, either(listener.calls[before:], [(step.tool, step.arguments) for step in outcome.steps], kinds), kinds)
        matched, exact, called = matched + tools, exact + same, called + len(listener.calls) - before
        if wrong and not why:
            why = f"turn {number}: {wrong}"
    scripts = sum(map(len, scripted))
    return Scored(
        row["id"], row["discipline"], row["kind"], not why, why, seconds, invented, tuple(replies), scripts, tuple(ended), (scripts, matched), exact,
        called, (wanted, stated), references, (listener.read, listener.written),
    )  # fmt: skip


def identity(spec: str) -> str:
    """A digest of what `--model SPEC` stands for: of the card of an adapter or a checkpoint, else of the words."""
    scheme, _, rest = spec.partition(":")
    told = spec
    if scheme == "embedded" and rest != "base":
        from moho.agent import models

        chosen = models.in_use() if not rest else None
        card = Path(rest) / "adapter.json" if rest else chosen.folder / "adapter.json" if chosen else Path("absent")
        told = card.read_text(encoding="utf-8") if card.exists() else "embedded:base"
    elif scheme == "hf" and Path(rest).is_dir():
        told = "\n".join(f"{file.name} {file.stat().st_size}" for file in sorted(Path(rest).iterdir()) if file.is_file())
        told += "".join(path.read_text(encoding="utf-8") for name in ("config.json", "adapter.json") if (path := Path(rest) / name).exists())
    return sha256(told.encode()).hexdigest()[:16]


def fault(check: Mapping[str, Any], outcome: Outcome, project: Project, truth: Mapping[str, Any]) -> str:
    """The first check that the outcome fails, in words; "" for none."""
    allowed = check["status"] if isinstance(check["status"], list) else [check["status"]]
    if outcome.status not in allowed:
        return f"status {outcome.status} ({outcome.answer[:100]}), wanted {'/'.join(allowed)}"
    for wanted in check.get("numbers", []):
        if not _stated(wanted, outcome, truth):
            value, tolerance = _target(wanted, truth)
            return f"no number {value} +- {tolerance:g} among {_said(outcome)[:12]}"
    for wanted in check.get("made", []):
        if reason := _not_made(wanted, outcome, project, truth):
            return reason
    if "about" in check and not set(check["about"]) & set(outcome.about):
        return f"the question is about {outcome.about}, wanted one of {check['about']}"
    if "code" in check and outcome.code not in check["code"]:
        return f"refused as {outcome.code}, wanted one of {check['code']}"
    if "premise" in check and not _corrected(check, outcome, truth):
        return f"does not say that it is not {check['premise']}: {outcome.answer[:120]}"
    if "text" in check and str(check["text"]) not in outcome.answer:
        return f"does not say {check['text']!r}: {outcome.answer[:120]}"
    return ""


def _stated(wanted: Mapping[str, Any], outcome: Outcome, truth: Mapping[str, Any]) -> bool:
    """Whether an answer states a number within its tolerance."""
    value, tolerance = _target(wanted, truth)
    return any(close(one, value, tolerance) for one in _said(outcome))


def _corrected(check: Mapping[str, Any], outcome: Outcome, truth: Mapping[str, Any]) -> bool:
    """Whether a sentence says what the premise is not, and one of the numbers wanted: "1.996 s, not 600" does not correct a count."""
    sentences = [part for part in re.split(r"(?<=[.?!])\s+", outcome.answer) if f"not {check['premise']}" in part]
    targets = [_target(wanted, truth) for wanted in check.get("numbers", [])]
    right = [n["text"] for n in outcome.numbers if any(close(one, *target) for one in flat(n["value"]) for target in targets)]
    return bool(sentences) and (not targets or any(text in sentence for text in right for sentence in sentences))


def _said(outcome: Outcome) -> list[Any]:
    """Every number of an answer but those that only repeat the request."""
    return [item for number in outcome.numbers if number.get("source") != "request" for item in flat(number["value"])]


def _target(wanted: Mapping[str, Any], truth: Mapping[str, Any]) -> tuple[Any, float]:
    value = _look(truth, wanted["truth"]) if "truth" in wanted else wanted["value"]
    if isinstance(value, str):
        return value, 0.0
    return float(value) * float(wanted.get("scale", 1)), float(wanted.get("tolerance", RELATIVE * abs(float(value))))


def close(one: Any, value: Any, tolerance: float) -> bool:
    """Whether a number is within the tolerance of another, or a word begins like one."""
    if isinstance(value, str) or isinstance(one, str):
        return str(one).startswith(str(value))
    if not isinstance(one, (int, float, np.number)) or not isinstance(value, (int, float, np.number)):
        return one is value
    return math.isfinite(one) and abs(one - value) <= tolerance + 1e-9


def flat(value: Any) -> list[Any]:
    """The parts of nested lists, or one value as a list of one."""
    return [item for part in value for item in flat(part)] if isinstance(value, (list, tuple)) else [value]


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
            pairs = list(zip(flat(found), flat(goal), strict=False))
            if len(flat(found)) != len(flat(goal)) or not all(close(a, b, tolerance * abs(b) if not isinstance(b, str) else 0) for a, b in pairs):
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
