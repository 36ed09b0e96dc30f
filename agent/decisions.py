"""What the model was shown at each decision of a kept run, and the line it replied.

The conversation is taken from the project's checkpoints where it is still there, word for word; else from the kept steps, whose
canonical values are written again as the person wrote them. Which data sets and tools were on offer is worked out anew, as of then.
What code decided (a question handed to the library) is no decision of the model and is left out.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolCall, ToolMessage

from moho.agent import decision, offer, prompts
from moho.agent.ledger import BINDING
from moho.agent.model import situate
from moho.agent.quantities import candidates
from moho.agent.registry import Argument, find_tool, load_tools
from moho.project import Project, Run, StepRecord
from moho.units import Quantity, Unit, parse

_PREMISE = re.compile(r"\{s(\d+)\.(\w+)\}(?:, not (.+?)\.(?=\s|$))?")


@dataclass(frozen=True)
class Decided:
    """A decision of a run: what the model was shown, and its reply as a line."""

    number: int  # from 1
    situation: decision.Situation
    reply: str


def decided(project: Project, run: Run) -> list[Decided]:
    """The decisions of a run in order; none of a tool that a person ran by its name."""
    if run.record.get("model") == "none":
        return []
    messages, start, focus = _conversation(project, run)
    known = _held(project, run, focus)
    found: list[Decided] = []
    used: list[str] = []
    for place in range(start, len(messages)):
        message = messages[place]
        if not isinstance(message, AIMessage):
            continue
        line = _line(message)
        before = [m for m in messages[:place] if not isinstance(m, SystemMessage)]
        catalogue = known | _made(before[start:])
        if line:
            said = "\n".join(str(m.content) for m in before if isinstance(m, HumanMessage))
            failed = any(isinstance(m, ToolMessage) and m.status == "error" for m in before[start:])
            offered = offer.choose(said, catalogue, used, served=[] if failed else used)
            name = line.partition("(")[0]
            if name in load_tools() and name not in offered:
                offered = [*offered, name]
            system = SystemMessage("", additional_kwargs={"catalogue": catalogue})
            found.append(Decided(len(found) + 1, situate([system, *before], offered), line))
        used += [call["name"] for call in message.tool_calls if call["name"] in load_tools()]
    return found


def _conversation(project: Project, run: Run) -> tuple[list[BaseMessage], int, list[str]]:
    """The messages up to the end of a run, where those after its request begin, and the data sets its thread is about."""
    thread = str(run.record.get("thread", ""))
    if thread and (project.folder / "threads.sqlite").exists():
        from moho.agent import graph

        with graph.threads(project) as saver:
            kept = saver.get_tuple({"configurable": {"thread_id": thread, "checkpoint_ns": ""}})
        values = kept.checkpoint["channel_values"] if kept else {}
        messages, runs = list(values.get("messages", [])), list(values.get("runs", []))
        asked = [place for place, message in enumerate(messages) if isinstance(message, HumanMessage)]
        if run.id in runs and len(asked) == len(runs):
            turn = runs.index(run.id)
            end = asked[turn + 1] if turn + 1 < len(asked) else len(messages)
            kept_messages = [m for m in messages[:end] if not isinstance(m, SystemMessage)]
            start = next(i for i, m in enumerate(kept_messages) if m is messages[asked[turn]]) + 1
            return kept_messages, start, list(values.get("focus") or [])
    return _retold(run), 1, []


def _retold(run: Run) -> list[BaseMessage]:
    """The messages of a run as its kept steps and answer tell them."""
    request = str(run.record["request"])
    messages: list[BaseMessage] = [HumanMessage(request)]
    for step in run.steps():
        identity = f"step-{step.id}"
        messages.append(AIMessage("", tool_calls=[ToolCall(name=step.tool, args=written(step, request), id=identity)]))
        result = step.result
        if step.error:
            text = prompts.failure(step.error.get("code", ""), step.error.get("message", ""))
        else:
            text = prompts.observation(step.id, result.get("name", ""), result.get("kind", ""), step.facts(), list(result.get("notes", [])))
        messages.append(ToolMessage(text, tool_call_id=identity, status="error" if step.error else "success"))
    answer = run.answer
    sources = [str(number.get("source", "")).split(":") for number in answer.get("numbers", [])]
    bound = [f"{{s{source[1]}.{source[2]}}}" for source in sources if source[0] == "step" and len(source) > 2]
    if answer.get("status") == "answered" and bound:
        messages.append(AIMessage(" ".join(bound)))
    elif answer.get("status") == "refused" and answer.get("code") == "E_SCOPE":
        messages.append(AIMessage("", tool_calls=[ToolCall(name="refuse", args={}, id="end")]))
    return messages


def written(step: StepRecord, text: str) -> dict[str, Any]:
    """The arguments of a kept step as they were written: values as they stand in `text`, without defaults that nobody gave."""
    found: dict[str, Any] = {}
    for argument in find_tool(step.tool).arguments:
        value = step.arguments.get(argument.name)
        if value is None or (not argument.required and value == argument.default and not _stands(argument, value, text)):
            continue
        parts = value if isinstance(value, list) else [value]
        words = [_as_said(argument, part, text) for part in parts]
        found[argument.name] = ", ".join(words) if argument.many else words[0]
    return found


def _stands(argument: Argument, value: Any, text: str) -> bool:
    if argument.unit is None or isinstance(value, list):
        return len(str(value)) > 3 and str(value).casefold() in text.casefold()
    return any(abs(parse(one, Unit(argument.unit.symbol)) - value) <= 1e-6 * max(1.0, abs(value)) for one in candidates(text, argument))


def _as_said(argument: Argument, value: Any, text: str) -> str:
    """A value as `text` has it; in the argument's own unit where it does not stand there."""
    if argument.unit is None or argument.choices or argument.is_data or isinstance(value, str):
        return str(value).lower() if argument.flag else str(value)
    unit = Unit(argument.unit.symbol)
    for one in candidates(text, argument):
        if abs(parse(one, unit) - value) <= 1e-6 * max(1e-9, abs(value)):
            return one
    return f"{value:g} {argument.unit.symbol}".strip()


def _line(message: AIMessage) -> str:
    """The reply as a line; "" where it is none of the small model's or was not one decision."""
    if len(message.tool_calls) > 1 or (message.tool_calls and str(message.tool_calls[0]["id"]).startswith("literature-")):
        return ""
    if message.tool_calls:
        call = message.tool_calls[0]
        if call["name"] == "refuse":
            return "refuse()"
        return decision.write_call(call["name"], call["args"]) if call["name"] in load_tools() else ""
    keys = [f"{step}.{key}" + (f'!="{premise}"' if premise else "") for step, key, premise in _PREMISE.findall(str(message.content))]
    return decision.write_answer(keys) if keys and BINDING.search(str(message.content)) else ""


def _held(project: Project, run: Run, focus: Sequence[str]) -> dict[str, str]:
    """Name -> kind of the data sets that were there when the run began, those of its thread where that is about some."""
    began = _began(run)
    thread = run.record.get("thread", "")
    found = {}
    for entry in project.catalogue().values():
        words = entry.source.split(" ")
        own = words[0] == "run" and (words[1] == run.id or project.run(words[1]).record.get("thread") == thread)
        if entry.added <= began and (not focus or entry.name in focus or own):
            found[entry.name] = entry.kind
    return found


def _began(run: Run) -> float:
    """When a run began, in seconds since the epoch, from its id."""
    day, clock, rest = run.id.split("-")[:3]
    return time.mktime(time.strptime(f"{day}-{clock}", "%Y%m%d-%H%M%S")) + (int(rest[:5]) + 1) / 1e5


def _made(messages: Sequence[BaseMessage]) -> dict[str, str]:
    """Name -> kind of what the steps told in `messages` have made."""
    told = [json.loads(str(m.content)) for m in messages if isinstance(m, ToolMessage)]
    return {str(one["result"]): str(one["kind"]) for one in told if one.get("result")}


def to_json(one: decision.Situation) -> dict[str, Any]:
    """A situation as JSON."""
    done = [{"id": d.id, "call": d.call, "result": d.result, "facts": _facts(d.facts), "error": d.error} for d in one.done]
    earlier = [list(pair) for pair in one.earlier]
    return {"request": one.request, "catalogue": dict(one.catalogue), "tools": list(one.tools), "done": done, "earlier": earlier}


def from_json(kept: Mapping[str, Any]) -> decision.Situation:
    """The situation that `to_json` wrote."""
    done = [
        decision.Done(int(d["id"]), d["call"], d["result"], {key: Quantity(**value) for key, value in d["facts"].items()}, d["error"])
        for d in kept["done"]
    ]
    return decision.Situation(kept["request"], dict(kept["catalogue"]), list(kept["tools"]), done, [(a, b) for a, b in kept["earlier"]])


def _facts(facts: Mapping[str, Quantity]) -> dict[str, Any]:
    return {key: {"value": q.value, "unit": q.unit, "label": q.label} for key, q in facts.items()}
