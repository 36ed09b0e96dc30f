"""The agent: think, act behind a guard, and check, as a LangGraph graph over a project.

    think   the model sees the catalogue, the tools that fit and the steps so far, and calls a tool or answers
    act     guards each call (numbers nobody gave, units, names, cost: asks the person, refuses, or waits for an approval), then
            runs it and keeps the step
    check   binds every number of the answer to its source, and corrects what was taken for granted

A wrong call goes back to the model with the reason; the third in a row ends the request. Checkpoints are SQLite, synced at
each step, so that a killed process resumes where it was; a step that was kept is not run again.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage, SystemMessage, ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from moho.agent import act, followup, guard, ledger, offer, premises, prompts, sources
from moho.agent.model import EmbeddedChat
from moho.agent.quantities import quantities
from moho.agent.registry import Call, Cost, estimate, find_tool, load_tools, prepare
from moho.agent.state import Conversation
from moho.errors import DataError, Missing, MohoError, Refusal
from moho.project import Entry, Project, Run, StepRecord
from moho.survey import KINDS
from moho.units import OutOfBounds, Quantity, unit_of
from moho.volumes import THREAD, Tell, Workers, progress_words

Node = Literal["think", "act", "check", "__end__"]
ATTEMPTS = 3  # wrong replies in a row before a request is given up


@dataclass(frozen=True)
class Outcome:
    """How a request ended, as every door prints it."""

    run_id: str
    thread: str
    status: str  # answered | question | refused | failed
    answer: str
    numbers: list[dict[str, Any]]
    steps: list[StepRecord]
    about: list[str]
    candidates: list[str]
    code: str
    model: str
    seconds: float
    approval: Mapping[str, Any] = field(default_factory=dict)  # what waits for a person, empty for nothing

    @property
    def citations(self) -> list[dict[str, Any]]:
        """The passages that the answer names."""
        return sources.citations(self.answer, self.steps)

    def json(self) -> dict[str, Any]:
        """The object of `moho ask --json`."""
        artifacts = [dict(artifact) for step in self.steps for artifact in step.artifacts]
        steps = [
            {
                "id": s.id, "tool": s.tool, "arguments": dict(s.arguments), "result": dict(s.result),
                "artifacts": [a["path"] for a in s.artifacts], "seconds": s.seconds, "error": s.error,
            }
            for s in self.steps
        ]  # fmt: skip
        return {
            "schema_version": 1, "run_id": self.run_id, "thread": self.thread, "status": self.status, "answer": self.answer, "numbers": self.numbers,
            "steps": steps, "citations": self.citations,
            "artifacts": artifacts, "about": self.about, "candidates": self.candidates, "code": self.code,
            "approval": dict(self.approval), "model": self.model, "seconds": round(self.seconds, 3),
        }  # fmt: skip


@dataclass(frozen=True)
class Event:
    """Progress that a door may show, in words and as data.

    `what`: "run" (its id) | "think" | "plan" (the calls that passed the guard, with their estimates) | "call" (one begins) | "chunk" | "step" (one
    was kept) | "error" | "text" (a piece of the answer, its numbers bound) | "retract" (those pieces did not stand).
    """

    what: str
    text: str
    far: tuple[int, int] = (0, 0)  # chunks done, of how many
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Guarded:
    """A call that passed the guard: the model's id of it, the key its step is kept under, and notes on what was left out."""

    id: str
    key: str
    call: Call
    notes: list[str]
    seconds: float = 0.0  # that it is estimated to take

    @property
    def plan(self) -> dict[str, Any]:
        """What is told of it before it begins."""
        return {"tool": self.call.tool, "arguments": self.call.arguments, "seconds": self.seconds}


class _Closed(Exception):
    """Ends the request with an update of its state."""

    def __init__(self, update: dict[str, Any]) -> None:
        super().__init__(update["answer"])
        self.update = update


class Agent:
    """An agent on one project with one model. `ask` is a request; `resume` answers an approval or continues a killed run."""

    def __init__(
        self,
        project: Project,
        model: BaseChatModel,
        *,
        name: str = "",
        budget: guard.Budget | None = None,
        approve: bool = False,
        draw: bool = True,
        checkpointer: BaseCheckpointSaver[Any] | None = None,
        on_event: Callable[[Event], None] | None = None,
        stream: bool = False,
        prefix: str = "",
        workers: Workers = THREAD,
    ) -> None:
        os.environ["LANGSMITH_TRACING"] = os.environ["LANGCHAIN_TRACING_V2"] = "false"  # nothing leaves the machine
        self.project, self.model, self.name = project, model, name or getattr(model, "_llm_type", "model")
        self.budget, self.approve, self.draw = budget or guard.Budget(), approve, draw
        self.workers, self.stream, self.prefix = workers, stream, prefix
        self._tell = on_event or (lambda event: None)
        self._graph = self._build().compile(checkpointer=checkpointer)

    # -- doors call these

    def ask(self, request: str, *, thread: str = "", focus: Sequence[str] = ()) -> Outcome:
        """The outcome of a request, on a new thread or as the next turn of an old one.

        `focus` names the data sets this thread is about; it then sees those and what it makes itself, not the rest of the project.
        """
        thread = thread or secrets.token_hex(6)
        run = self.project.start(request, model=self.name, thread=thread)
        fresh: dict[str, Any] = {
            "run": run.id, "status": "", "answer": "", "about": [], "candidates": [], "code": "", "numbers": [],
            "attempts": 0, "sent_back": False, "turns": 0, "runs": [run.id], "owed": [], "asked": [], "draft": "",
        }  # fmt: skip
        if focus:
            fresh["focus"] = list(focus)
        self._tell(Event("run", run.id))
        config = self._config(thread)
        repairs = self._repairs(config)
        return self._invoke(fresh | {"messages": [*repairs, HumanMessage(request)]}, config, run)

    def resume(self, thread: str, *, approved: bool | None = None, edited: Mapping[str, Any] | None = None, fingerprint: str = "") -> Outcome:
        """The outcome of a thread that waits for an approval (`approved` says which) or was killed (None).

        `edited`: the arguments that a person gives the call instead. `fingerprint`: of the call they looked at; DataError E_CHANGED where
        another one waits.
        """
        config = self._config(thread)
        snapshot = self._graph.get_state(config)
        if not snapshot.values.get("run"):
            raise DataError("E_NOT_FOUND", f"there is no conversation {thread!r} here")
        run = self.project.run(snapshot.values["run"])
        self._tell(Event("run", run.id))
        if not snapshot.tasks:  # `next` leaves out a task whose writes were kept before its checkpoint was
            return self._outcome(snapshot.values, run, thread, 0.0)
        waiting = [item for task in snapshot.tasks for item in task.interrupts]
        if waiting and approved is None:
            return self._outcome(snapshot.values, run, thread, 0.0, waiting[0].value)
        if waiting and fingerprint and fingerprint != waiting[0].value["fingerprint"]:
            raise DataError("E_CHANGED", "another call waits for an approval now than the one that was looked at", "Look at it again.")
        reply: Any = False
        if waiting and approved:
            wanted = waiting[0].value["fingerprint"]
            reply = {"edited": dict(edited), "fingerprint": wanted} if edited else wanted
        return self._invoke(Command(resume={waiting[0].id: reply}) if waiting else None, config, run)

    # -- nodes

    def _think(self, state: Conversation) -> dict[str, Any]:
        run = self.project.run(state["run"])
        if words := self._spent(run, state["turns"]):
            return {"status": "failed", "code": "E_BUDGET", "answer": words, "messages": []}
        entries = self._entries(state)
        kinds = {name: entry.kind for name, entry in entries.items()}
        request = _request(state)
        steps = run.steps()
        used = [step.tool for step in steps]
        served = [] if any(step.error for step in steps) else used
        if (reply := self._from_literature(state, run, list(entries))) is not None:
            return {"messages": [reply], "turns": state["turns"] + 1, "owed": []}
        owed, messages = state.get("owed"), state["messages"]
        again = followup.follow(request, _asked(messages), kinds)
        if owed:
            offered, messages = [owed[1]], [*_asked(messages)[:-1], HumanMessage(owed[0])]
        elif again is not None and again.complete:
            offered = [again.tool]
        else:
            offered = offer.choose(_conversation(state), kinds, [*([again.tool] if again else []), *used], served=served)
        tools = [{"type": "function", "function": function} for function in [*map(_described, offered), prompts.ASK, prompts.REFUSE]]
        text = prompts.system({name: (entry.kind, entry.line) for name, entry in entries.items()})
        system = SystemMessage(text, additional_kwargs={"catalogue": kinds})
        self._tell(Event("think", request))
        reply = self._reply(self.model.bind_tools(tools), [system, *messages], state, run)
        if again is not None and not used and not state["turns"]:
            reply = _leaning(reply, again, request)
        if owed and not any(call["name"] != "refuse" for call in reply.tool_calls):
            reply = AIMessage(state["draft"])
        elif owed:
            reply = _onward(reply, owed[0], run.steps())
        return {"messages": [reply], "turns": state["turns"] + 1, "owed": []}

    def _from_literature(self, state: Conversation, run: Run, names: list[str]) -> AIMessage | None:
        """The call that asks the library, or what a model that only chooses says of it; None where the model is to speak."""
        question, rest = sources.asked(_request(state), names)
        owed = state.get("owed")
        if not question or (rest and not owed and not state["draft"]):
            return None
        done = [step for step in run.steps() if not step.error and sources.is_literature(step)]
        if done:
            extractive = isinstance(self.model, EmbeddedChat) or state["draft"]
            return AIMessage(f"{state['draft']} {{s{done[-1].id}.answer}}".strip()) if extractive else None
        name = sources.tool(question)
        if (rest and not (owed and owed[1] == name)) or any(step.tool == name for step in run.steps()):
            return None
        return AIMessage("", tool_calls=[ToolCall(name=name, args={"question": question}, id=f"literature-{state['turns']}", type="tool_call")])

    def _after_think(self, state: Conversation) -> Node:
        if state["status"]:
            return END  # type: ignore[return-value]
        last = state["messages"][-1]
        return "act" if isinstance(last, AIMessage) and last.tool_calls else "check"

    def _act(self, state: Conversation) -> dict[str, Any]:
        last = state["messages"][-1]
        assert isinstance(last, AIMessage)
        run = self.project.run(state["run"])
        calls: list[Guarded] = []
        replies: list[ToolMessage] = []
        for place, call in enumerate(last.tool_calls):
            key = f"{state['turns']}.{place} {call['id']}"  # some servers give every call the same id
            try:
                guarded = self._guard(call, key, run, state, len(calls))
            except _Closed as closed:
                return _closed(last, closed.update)
            except (ValueError, TypeError, MohoError) as error:
                replies.append(_failed(error, call["id"]))
            else:
                calls.append(guarded)
        done = {step.call: step for step in run.steps() if not step.error}
        right = 0
        if calls:
            self._tell(Event("plan", "; ".join(guarded.call.tool for guarded in calls), data={"calls": [guarded.plan for guarded in calls]}))
        for guarded in calls:
            self._tell(Event("call", guarded.call.tool, data={"tool": guarded.call.tool, "arguments": guarded.call.arguments}))
            try:
                step = done.get(guarded.key) or act.perform(
                    guarded.call,
                    run,
                    identity=guarded.key,
                    notes=guarded.notes,
                    draw=self.draw,
                    workers=self.workers,
                    tell=self._telling(guarded.call.tool),
                )
            except Missing as missing:
                return {"messages": [*replies, _failed(missing, guarded.id, "E_MISSING")]} | _question(missing)
            except Refusal as refusal:
                return {"messages": [*replies, _failed(refusal, guarded.id)]} | _refusal(refusal)
            except Exception as error:  # the one place where a tool's failure becomes the model's to mend
                reason = {"tool": guarded.call.tool, "code": getattr(error, "code", "E_ARGUMENT"), "message": str(error)}
                self._tell(Event("error", f"{guarded.call.tool}: {error}", data=reason))
                replies.append(_failed(error, guarded.id))
                continue
            right += 1
            result = step.result
            made, kind, passages = result.get("name", ""), result.get("kind", ""), result.get("citations", [])
            text = prompts.observation(step.id, made, kind, step.facts(), list(result.get("notes", [])), passages)
            replies.append(ToolMessage(text, tool_call_id=guarded.id))
            words = f"{step.id} {step.tool}: {result.get('name') or result.get('line', '')} ({step.seconds:.2f} s)"
            self._tell(Event("step", words, data=shown(step)))
        wrong = 0 if right else state["attempts"] + 1
        update: dict[str, Any] = {"messages": replies, "attempts": wrong}
        return update | self._given_up(run, replies) if wrong >= ATTEMPTS else update

    def _guard(self, call: ToolCall, key: str, run: Run, state: Conversation, before: int) -> Guarded:
        """A call that may be run; _Closed where the request ends with it, any other error for the model to mend."""
        if words := self._spent(run, len(run.steps()) + before):
            raise _Closed({"status": "failed", "answer": words, "code": "E_BUDGET"})
        if call["name"] in ("ask", "refuse"):
            raise _Closed(self._control(call["name"], call["args"], run, state))
        try:
            arguments, notes = guard.provenance(call["name"], call["args"], _conversation(state), _known(state))
            ready = prepare(call["name"], arguments, {name: KINDS[entry.kind] for name, entry in self._entries(state).items()})
            again = (step for step in run.steps() if not step.error and step.call != key and _same(step, ready))
            if (step := next(again, None)) is not None:
                raise ValueError(f"step {step.id} has done exactly this; answer from its result")
            cost = estimate(ready, self.project.load)
            asked = guard.afford(ready, cost, self.budget, guard.free_memory())
        except Missing as missing:
            raise _Closed(_question(missing)) from None
        except OutOfBounds as error:  # the person's own number: the model could only invent another
            raise _Closed({"status": "refused", "answer": _sentence(str(error)), "code": "E_PHYSICS"}) from None
        except Refusal as refusal:
            raise _Closed(_refusal(refusal)) from None
        if asked and not self.approve:
            wanted = {"tool": ready.tool, "arguments": ready.arguments, "why": asked, "fingerprint": guard.fingerprint(ready)}
            answer = interrupt(wanted)
            if isinstance(answer, Mapping) and answer.get("fingerprint") == wanted["fingerprint"]:  # who writes arguments approves them
                ready, cost = self._edited(ready, answer["edited"], state)
                notes = [*notes, "the arguments were edited by the person"]
            elif answer != wanted["fingerprint"]:  # an approval holds for exactly these arguments
                raise _Closed({"status": "refused", "answer": f"Not run: {asked}, and that was not approved.", "code": "E_APPROVAL"})
        return Guarded(str(call["id"]), key, ready, notes, cost.seconds)

    def _edited(self, call: Call, arguments: Mapping[str, Any], state: Conversation) -> tuple[Call, Cost]:
        """A call with the arguments that a person wrote, and its cost; _Closed where they are none of the tool's, or not allowed."""
        try:
            ready = prepare(call.tool, {**call.arguments, **arguments}, {name: KINDS[entry.kind] for name, entry in self._entries(state).items()})
            cost = estimate(ready, self.project.load)
            guard.afford(ready, cost, self.budget, guard.free_memory())
        except (ValueError, TypeError) as error:
            raise _Closed({"status": "refused", "answer": _sentence(f"Not run: {error}"), "code": "E_ARGUMENT"}) from None
        except Refusal as refusal:
            raise _Closed(_refusal(refusal)) from None
        return ready, cost

    def _reply(self, model: Any, messages: Sequence[AnyMessage], state: Conversation, run: Run) -> AIMessage:
        """What the model replies; where it can stream and somebody listens, its words are told as they come, each number bound before."""
        if not self.stream or isinstance(self.model, EmbeddedChat):
            return model.invoke(messages)
        flow = ledger.Flow([step for step in run.steps() if not step.error], _conversation(state), list(self.project.catalogue()))
        whole: Any = None
        for piece in model.stream(messages):
            whole = piece if whole is None else whole + piece
            if isinstance(piece.content, str) and not getattr(whole, "tool_call_chunks", None) and (words := flow.feed(piece.content)):
                self._tell(Event("text", words))
        if whole is None:
            return AIMessage("")
        if whole.tool_calls and flow.told:
            self._tell(Event("retract", ""))
        return AIMessage(whole.content, tool_calls=whole.tool_calls, id=whole.id, usage_metadata=whole.usage_metadata)

    def _telling(self, tool: str) -> Tell:
        """What tells of the chunks of a volume."""
        return lambda done, chunks, seconds: self._tell(Event("chunk", f"{tool}: {progress_words(done, chunks, seconds)}", (done, chunks)))

    def _after_act(self, state: Conversation) -> Node:
        return END if state["status"] else "think"  # type: ignore[return-value]

    def _check(self, state: Conversation) -> dict[str, Any]:
        run = self.project.run(state["run"])
        steps = [step for step in run.steps() if not step.error]
        last = state["messages"][-1]
        text = str(last.content).strip()
        if not text:
            return {"status": "failed", "code": "E_DATA", "answer": "The model gave no answer."}
        if undone := self._undone(state, steps):
            return {"messages": [RemoveMessage(id=str(last.id))], "owed": list(undone), "asked": [*state.get("asked", []), undone[0]], "draft": text}
        names = list(self.project.catalogue())
        for written, step, key in premises.wrong(_request(state), steps, names):
            if f"not {written}" not in text:
                text += f" {_named(steps, step, key)}, not {written}."
        answered = [(int(step), key) for step, key in ledger.BINDING.findall(text)]
        for step, key in premises.left_out(_request(state), steps, answered, names):
            text += f" {_named(steps, step, key)}."
        checked = ledger.check(text, steps, _conversation(state), names)
        if (checked.unbound or checked.unknown) and not state["sent_back"]:
            without = ", ".join([*checked.unbound, *checked.unknown])
            words = f"These numbers have no source in a step's result: {without}. Write bindings like {{s1.key}}."
            self._tell(Event("retract", ""))
            return {"messages": [SystemMessage(words)], "sent_back": True}
        if any(sources.is_literature(step) for step in steps) and not ledger.BINDING.search(text):
            verified = sources.check(checked.text, steps, not sources.asked(_request(state), names)[1])
            if verified.faults and not state["sent_back"]:
                self._tell(Event("retract", ""))
                words = f"Mend these sentences, or leave them out: {' '.join(verified.faults)} Each ends with the key of its passage, like [abcdef]."
                return {"messages": [SystemMessage(words)], "sent_back": True}
            checked = replace(checked, text=verified.text)
        said = premises.without(_request(state), names)
        left = [quantity for quantity in ledger.unused(said, steps) if quantity not in checked.text]
        remark = f" Not used of what you gave: {', '.join(left)}." if left else ""
        return {"status": "answered", "answer": checked.text + remark, "numbers": [number.json() for number in checked.numbers]}

    def _after_check(self, state: Conversation) -> Node:
        return END if state["status"] else "think"  # type: ignore[return-value]

    # -- below

    def _undone(self, state: Conversation, steps: Sequence[StepRecord]) -> tuple[str, str] | None:
        """A clause of the request that no step has served, and its tool, where the model was not asked for it before."""
        question, rest = sources.asked(_request(state), self._entries(state))
        if question and rest and not any(sources.is_literature(step) for step in steps) and question not in state.get("asked", []):
            return question, sources.tool(question)
        if not steps:
            return None
        calls = [(step.tool, list(step.inputs)) for step in steps]
        kinds = {name: entry.kind for name, entry in self._entries(state).items()}
        asked = state.get("asked", [])
        return next((one for one in offer.undone(_request(state), kinds, calls) if one[0] not in asked and not _served(one[0], steps)), None)

    def _entries(self, state: Conversation) -> dict[str, Entry]:
        """The data sets this thread sees."""
        entries = self.project.catalogue()
        focus, runs = state.get("focus"), set(state.get("runs", []))
        if not focus:
            return entries
        return {name: e for name, e in entries.items() if name in focus or (e.source.startswith("run ") and e.source.split(" ")[1] in runs)}

    def _build(self) -> StateGraph[Conversation]:
        graph = StateGraph(Conversation)
        graph.add_node("think", self._think)
        graph.add_node("act", self._act)
        graph.add_node("check", self._check)
        graph.add_edge(START, "think")
        graph.add_conditional_edges("think", self._after_think, ["act", "check", END])
        graph.add_conditional_edges("act", self._after_act, ["think", END])
        graph.add_conditional_edges("check", self._after_check, ["think", END])
        return graph

    def _invoke(self, entry: Any, config: RunnableConfig, run: Run) -> Outcome:
        started = time.perf_counter()
        options: dict[str, Any] = {"durability": "sync"} if self._graph.checkpointer else {}
        state = self._graph.invoke(entry, config, **options)
        waiting = state.get("__interrupt__") or ()
        seconds = time.perf_counter() - started
        kept = str(config["configurable"]["thread_id"])
        outcome = self._outcome(state, run, kept.removeprefix(self.prefix), seconds, waiting[0].value if waiting else {})
        if not waiting:
            run.finish(outcome.json())
            _forget(self._graph.checkpointer, kept)
        return outcome

    def _outcome(self, state: Mapping[str, Any], run: Run, thread: str, seconds: float, approval: Mapping[str, Any] | None = None) -> Outcome:
        approval = approval or {}
        status = "question" if approval else state["status"] or "failed"
        answer = f"Approve? {approval['why']}." if approval else state["answer"]
        made = [str(step.result["name"]) for step in run.steps() if not step.error and step.result.get("name")]
        if made and status in ("question", "refused") and not approval:
            answer = f"Made {' and '.join(f'“{name}”' for name in made)}. {answer}"
        about = ["approval"] if approval else state["about"]
        return Outcome(
            run.id, thread, status, answer, state["numbers"], run.steps(), about, state["candidates"], state["code"], self.name, seconds, approval
        )

    def _control(self, name: str, arguments: Mapping[str, Any], run: Run, state: Conversation) -> dict[str, Any]:
        """The end of a turn that the model chose: a question or a refusal. Its words pass the ledger like any answer."""
        about = str(arguments.get("about", ""))
        words = str(arguments.get("question" if name == "ask" else "reason", ""))
        words = words or (f"What is the {about}?" if name == "ask" else "This cannot be done.")
        steps = [step for step in run.steps() if not step.error]
        checked = ledger.check(words, steps, _conversation(state), list(self.project.catalogue()))
        said = {"answer": checked.text, "numbers": [number.json() for number in checked.numbers]}
        if name == "ask":
            return said | {"status": "question", "about": [about]}
        return said | {"status": "refused", "code": "E_SCOPE" if arguments.get("scope") else "E_DATA"}

    def _spent(self, run: Run, used: int) -> str:
        """Which budget of the request is used up after `used` turns or calls; "" for none."""
        steps = run.steps()
        if max(used, len(steps)) >= self.budget.steps:
            return f"Stopped after {self.budget.steps} steps."
        if sum(min(step.seconds, self.budget.approve_seconds) for step in steps) > 60 * self.budget.minutes:  # a longer one was approved
            return f"Stopped: the steps took more than {self.budget.minutes:g} minutes."
        return ""

    def _given_up(self, run: Run, replies: list[ToolMessage]) -> dict[str, Any]:
        """After too many wrong calls: what was found so far, or the last reason."""
        done = [step for step in run.steps() if not step.error and step.facts()]
        if done and "has done exactly this" in str(replies[-1].content):
            text = " ".join(f"{q.label or key}: {{s{done[-1].id}.{key}}}." for key, q in list(done[-1].facts().items())[:8])
            checked = ledger.check(text, done, "")
            return {"status": "answered", "answer": checked.text, "numbers": [number.json() for number in checked.numbers]}
        reason = json.loads(str(replies[-1].content))
        return {"status": "failed", "code": reason["code"], "answer": f"This could not be done: {reason['error']}"}

    def _config(self, thread: str) -> RunnableConfig:
        return {"configurable": {"thread_id": f"{self.prefix}{thread}"}, "recursion_limit": 4 * self.budget.steps + 10}

    def _repairs(self, config: RunnableConfig) -> list[Any]:
        """What makes an interrupted conversation whole again: calls without replies are taken out before a new turn."""
        if not self._graph.checkpointer:
            return []
        messages = self._graph.get_state(config).values.get("messages", [])
        answered = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
        return [
            RemoveMessage(id=str(message.id))
            for message in messages
            if isinstance(message, AIMessage) and any(call["id"] not in answered for call in message.tool_calls)
        ]


def shown(step: StepRecord) -> dict[str, Any]:
    """A kept step as doors show it."""
    return {
        "id": step.id, "tool": step.tool, "arguments": dict(step.arguments), "result": {k: v for k, v in step.result.items() if k != "citations"},
        "artifacts": [dict(artifact) for artifact in step.artifacts], "seconds": step.seconds, "error": step.error,
    }  # fmt: skip


@contextmanager
def threads(project: Project, database: str = "") -> Iterator[BaseCheckpointSaver[Any]]:
    """The project's conversations: one SQLite file, or the PostgreSQL that `database` names."""
    import sqlite3

    if database:
        from langgraph.checkpoint.postgres import PostgresSaver

        with PostgresSaver.from_conn_string(database) as saver:
            with saver._cursor() as cursor:  # one process at a time makes the tables
                cursor.execute("SELECT pg_advisory_lock(hashtext('moho checkpoints'))")
            saver.setup()
            with saver._cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtext('moho checkpoints'))")
            yield saver
        return

    from langgraph.checkpoint.sqlite import SqliteSaver

    path: Path = project.folder / "threads.sqlite"
    connection = sqlite3.connect(path, check_same_thread=False, timeout=30)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        yield SqliteSaver(connection)
    finally:
        connection.close()


def _described(name: str) -> dict[str, Any]:
    """A tool as OpenAI-style tool calling wants it."""
    tool = find_tool(name)
    return {"name": name, "description": tool.description, "parameters": tool.schema()}


def _forget(checkpointer: Any, thread: str) -> None:
    """Keep only the last checkpoint of a thread whose request has ended: each holds the whole conversation, and none before it is gone back to."""
    from langgraph.checkpoint.sqlite import SqliteSaver

    if isinstance(checkpointer, SqliteSaver):
        with checkpointer.cursor() as cursor:
            last = cursor.execute("SELECT max(checkpoint_id) FROM checkpoints WHERE thread_id = ?", (thread,)).fetchone()[0]
            for table in ("checkpoints", "writes"):
                cursor.execute(f"DELETE FROM {table} WHERE thread_id = ? AND checkpoint_id < ?", (thread, last))
    elif type(checkpointer).__name__ == "PostgresSaver":
        with checkpointer._cursor() as cursor:
            last = cursor.execute("SELECT max(checkpoint_id) AS last FROM checkpoints WHERE thread_id = %s", (thread,)).fetchone()["last"]
            for table in ("checkpoints", "checkpoint_writes"):
                cursor.execute(f"DELETE FROM {table} WHERE thread_id = %s AND checkpoint_id < %s", (thread, last))
            cursor.execute(
                "DELETE FROM checkpoint_blobs b WHERE thread_id = %s AND NOT EXISTS (SELECT 1 FROM checkpoints c WHERE c.thread_id = b.thread_id"
                " AND c.checkpoint_ns = b.checkpoint_ns AND c.checkpoint -> 'channel_versions' ->> b.channel = b.version)",
                (thread,),
            )


def _closed(last: AIMessage, update: dict[str, Any]) -> dict[str, Any]:
    """`update`, with a reply to every call of the message that ends here, so that the history stays whole."""
    words = json.dumps({"error": update["answer"], "code": update.get("code", update["status"])}, ensure_ascii=False)
    return update | {"messages": [ToolMessage(words, tool_call_id=str(call["id"]), status="error") for call in last.tool_calls]}


def _failed(error: Exception, identity: str | None, code: str = "") -> ToolMessage:
    """The reply to a call that was not carried out."""
    code = code or getattr(error, "code", "E_ARGUMENT")
    return ToolMessage(prompts.failure(code, str(error)), tool_call_id=str(identity), status="error")


def _question(missing: Missing) -> dict[str, Any]:
    return {"status": "question", "answer": str(missing), "about": missing.about, "candidates": list(missing.candidates)}


def _refusal(refusal: Refusal) -> dict[str, Any]:
    return {"status": "refused", "answer": _reason(refusal), "code": refusal.code}


def _same(step: StepRecord, call: Call) -> bool:
    """Whether a call is one that a step has carried out already: on the same data, or once more on what that step made of them."""
    made = step.result.get("name")
    data = {name: step.arguments.get(name) if made and value == made else value for name, value in call.data.items()}
    return step.tool == call.tool and dict(step.arguments) == call.arguments | data


def _named(steps: Sequence[StepRecord], step: int, key: str) -> str:
    """A number of a step by its label, as a binding."""
    label = next(one for one in steps if one.id == step).facts()[key].label or key.replace("_", " ")
    return f"{label[:1].upper()}{label[1:]}: {{s{step}.{key}}}"


def _sentence(words: str) -> str:
    """With a capital and a full stop."""
    words = words.strip()
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "?", "!")) else ".")


def _reason(refusal: Refusal) -> str:
    """Why, without the code."""
    return _sentence(str(refusal).removesuffix(f" [{refusal.code}]"))


def _asked(messages: Sequence[AnyMessage]) -> Sequence[AnyMessage]:
    """The messages up to the last request."""
    return messages[: max((place for place, message in enumerate(messages) if isinstance(message, HumanMessage)), default=-1) + 1]


def _onward(reply: AIMessage, clause: str, steps: Sequence[StepRecord]) -> AIMessage:
    """A model's reply to one clause of a request, on what the steps before have made of a data set that the clause does not name."""
    latest: dict[str, str] = {}
    for step in steps:
        if not step.error and (made := step.result.get("name")) and step.inputs:
            latest |= {next(iter(step.inputs)): str(made)}
    calls = []
    for call in reply.tool_calls:
        arguments = dict(call["args"])
        first = next((a.name for a in find_tool(call["name"]).arguments if a.is_data), "") if call["name"] in load_tools() else ""
        while (name := arguments.get(first)) in latest and str(name).casefold() not in clause.casefold():
            arguments[first] = latest.pop(str(name))
        calls.append(ToolCall(name=call["name"], args=arguments, id=call["id"]))
    return AIMessage(reply.content, id=reply.id, tool_calls=calls)


def _served(clause: str, steps: Sequence[StepRecord]) -> bool:
    """Whether a clause says what an argument of a step is: one of its words, or nothing but quantities that steps took."""
    for step in steps:
        tool = find_tool(step.tool)
        words = [step.arguments.get(a.name) for a in tool.arguments if a.unit is None and not a.is_data]
        if any(isinstance(word, str) and len(word) > 1 and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", clause, re.I) for word in words):
            return True
    given = [quantity for quantity in quantities(clause) if unit_of(quantity)]
    return bool(given) and all(ledger.took(steps, quantity) for quantity in given)


def _leaning(reply: AIMessage, again: followup.Followup, request: str) -> AIMessage:
    """A model's reply to a short request that leans on the call before: what nobody has said anew is as it was."""
    calls = reply.tool_calls
    place = next((place for place, call in enumerate(calls) if call["name"] == again.tool), None)
    if place is not None:
        mended = ToolCall(name=again.tool, args=again.mended(calls[place]["args"], request), id=calls[place]["id"])
        return AIMessage(reply.content, id=reply.id, tool_calls=[*calls[:place], mended, *calls[place + 1 :]])
    if again.complete and all(call["name"] in ("ask", "refuse") for call in calls):
        return AIMessage("", tool_calls=[ToolCall(name=again.tool, args=again.arguments, id=f"call_{secrets.token_hex(4)}")])
    return reply


def _request(state: Conversation) -> str:
    return next(str(m.content) for m in reversed(state["messages"]) if isinstance(m, HumanMessage))


def _conversation(state: Conversation) -> str:
    return "\n".join(str(m.content) for m in state["messages"] if isinstance(m, HumanMessage))


def _known(state: Conversation) -> list[Quantity]:
    """Every number that a tool has returned in this conversation."""
    found: list[Quantity] = []
    for message in state["messages"]:
        if isinstance(message, ToolMessage) and message.status != "error":
            for fact in json.loads(str(message.content)).get("facts", {}).values():
                values = fact["value"] if isinstance(fact["value"], list) else [fact["value"]]
                found += [Quantity(float(v), fact["unit"]) for v in values if isinstance(v, (int, float))]
    return found
