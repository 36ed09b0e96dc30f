"""The language models behind one interface, LangChain's chat model: embedded, any local checkpoint, any compatible endpoint.

    embedded            the packaged 135 M model with the adapter that ships (`embedded:base` without, `embedded:FOLDER` with another)
    hf:PATH_OR_ID       a checkpoint on disk, or from the hub where the person allows the network
    openai:URL#NAME     vLLM, Ollama, llama.cpp or a hosted service
    scripted:FILE       replies from a file, the same for every request: to try a server without a model; in code a list of
                        replies, for tests and for the perfect model of an evaluation

Messages mean the same for all: the system message carries the catalogue, a tool message the JSON of a step's result.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolCall, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable

from moho.agent import decision
from moho.agent.choices import rising
from moho.agent.registry import MARK, find_tool
from moho.errors import DataError
from moho.units import Quantity, Unit, parse

ENDS = {"top", "base"}  # arguments that cut an interval out of a log
FIRST = 3  # numbers of the last step that an answer states in any case


def make(spec: str, *, key: str = "", network: bool = False) -> BaseChatModel:
    """The model that `spec` names; DataError with the valid forms otherwise."""
    scheme, _, rest = spec.partition(":")
    if scheme == "embedded":
        return EmbeddedChat(variant=rest)
    if scheme == "hf" and rest:
        from moho.agent.checkpoint import CheckpointChat

        return CheckpointChat(path=rest, network=network)
    if scheme == "openai" and "#" in rest:
        from langchain_openai import ChatOpenAI
        from pydantic import SecretStr

        url, _, name = rest.rpartition("#")
        return ChatOpenAI(base_url=url, model=name, api_key=SecretStr(key or "none"), temperature=0, timeout=120, max_retries=2)
    if scheme == "scripted" and rest:
        return from_script(Path(rest))
    raise DataError("E_UNSUPPORTED", f"no such model: {spec!r}", "`embedded`, `hf:PATH_OR_ID` or `openai:BASE_URL#NAME`.")


class EmbeddedChat(BaseChatModel):
    """The embedded model: each turn is one decision under the grammar of `moho.agent.decision`."""

    variant: str = ""

    @property
    def _llm_type(self) -> str:
        return "embedded"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, Any]:
        """Offer tools, as OpenAI-style descriptions; `ask` and `refuse` are part of the grammar anyway."""
        names = [tool["function"]["name"] for tool in tools]
        return self.bind(offered=[name for name in names if name not in ("ask", "refuse")], **kwargs)

    def _generate(self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        from moho.agent.embedded import embedded

        situation = situate(messages, kwargs.get("offered", []))
        decider = embedded(self.variant)
        made = message(decider.decide(situation), situation, f"call_{len(messages)}")
        made.usage_metadata = usage(decider)
        return ChatResult(generations=[ChatGeneration(message=made)])


def usage(decider: Any) -> UsageMetadata:
    """The tokens of a model's last decision, as chat messages tell them."""
    read, written = decider.used
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)


def situate(messages: Sequence[BaseMessage], offered: Sequence[str]) -> decision.Situation:
    """A conversation as the small model sees it."""
    catalogue: dict[str, str] = {}
    turns: list[tuple[str, list[decision.Done], str]] = []
    calls: dict[str, ToolCall] = {}
    for item in messages:
        if isinstance(item, SystemMessage):
            catalogue = dict(item.additional_kwargs.get("catalogue", catalogue))  # a later one only sends an answer back
        elif isinstance(item, HumanMessage):
            turns.append((str(item.content), [], ""))
        elif isinstance(item, AIMessage):
            calls |= {str(call["id"]): call for call in item.tool_calls}
            if item.content and turns:
                turns[-1] = (*turns[-1][:2], str(item.content))
        elif isinstance(item, ToolMessage) and turns and (call := calls.get(item.tool_call_id)) is not None:
            turns[-1][1].append(_done(call, json.loads(str(item.content))))
    earlier = [(request, _reply(steps, reply)) for request, steps, reply in turns[:-1]]
    request, steps, _ = turns[-1] if turns else ("", [], "")
    return decision.Situation(request, catalogue, list(offered), steps, earlier)


def _reply(steps: Sequence[decision.Done], reply: str) -> str:
    """What an earlier turn came to: the calls that were carried out, else the question asked or the reason given."""
    made = "; ".join(step.call for step in steps if not step.error)
    return made or (steps[-1].error if steps else reply)[:120]


def _done(call: ToolCall, content: dict[str, Any]) -> decision.Done:
    facts = {key: Quantity(**value) for key, value in content.get("facts", {}).items()}
    line = decision.write_call(call["name"], call["args"])
    return decision.Done(int(content.get("step", 0)), line, content.get("result", ""), facts, str(content.get("error", ""))[:160])


def message(line: str, situation: decision.Situation, identity: str) -> AIMessage:
    """The chat message that a decision means: a call, a refusal, or an answer whose numbers are bindings."""
    chosen = decision.read(line)
    if chosen.name == "refuse":
        words = "This is not something that Moho's tools can do with these data."
        return AIMessage("", tool_calls=[ToolCall(name="refuse", args={"reason": words, "scope": True}, id=identity)])
    if chosen.name != "answer":
        arguments = rising(find_tool(chosen.name), chosen.arguments)
        return AIMessage("", tool_calls=[ToolCall(name=chosen.name, args=arguments, id=identity)])
    return AIMessage(compose(disclosed(chosen.keys, situation.done), situation.done))


def disclosed(keys: Sequence[tuple[str, str]], done: Sequence[decision.Done]) -> list[tuple[str, str]]:
    """The keys of an answer with those that a reader needs to trust it, in the order of the steps.

    What was set, by the person or by default, is said where the result states it again (the density of a Bouguer correction, the
    interval, the pass band), and of the last step the numbers that its tool puts first, unless it only inspects.
    """
    named = dict(keys)
    good = [step for step in done if step.facts and not step.error]
    for step in good:
        tool = find_tool(decision.read(step.call).name)
        if tool.stage in ("inspect", "plot"):
            continue
        given = decision.read(step.call).arguments
        repeated = {a.name for a in tool.arguments if not a.is_data} | ({"interval"} if given.keys() & ENDS else set())
        wanted = [key for key, quantity in step.facts.items() if key in repeated or _was_set(quantity, list(given.values()))]
        if step is good[-1]:
            wanted += list(step.facts)[: FIRST if step.result and not any(key.startswith(f"{step.id}.") for key in named) else 1]
        named |= {f"{step.id}.{key}": "" for key in wanted if f"{step.id}.{key}" not in named}
    order = {f"{step.id}.{key}": place for step in done for place, key in enumerate(step.facts)}
    return sorted(named.items(), key=lambda item: (int(item[0].partition(".")[0]), order.get(item[0], 0)))


def _was_set(quantity: Quantity, given: Sequence[str]) -> bool:
    """Whether a number is one that the call was given, or a list of such."""
    if not decision.numeric(quantity):
        return False
    values = quantity.value if isinstance(quantity.value, (list, tuple)) else [quantity.value]
    numbers = []
    for written in given:
        try:
            numbers.append(parse(written, Unit(quantity.unit if quantity.unit != "unknown" else "")))
        except ValueError:
            continue  # a name, a word, a number of another kind
    return all(any(abs(value - number) <= 1e-6 * abs(number) for number in numbers) for value in values)


def compose(keys: Sequence[tuple[str, str]], done: Sequence[decision.Done]) -> str:
    """Sentences that state the named results, each number a binding; what the person took for granted is corrected where it differs."""
    facts = {f"{step.id}.{key}": quantity for step in done for key, quantity in step.facts.items()}
    made = [f"“{step.result}”" for step in done if step.result]
    sentences = [f"Made {' and '.join(made)}."] if made else []
    for key, premise in keys:
        label = facts[key].label if key in facts else ""  # an unknown key goes back from the ledger
        label = label or key.partition(".")[2].replace("_", " ")
        words = f"{label[:1].upper()}{label[1:]}: {{s{key}}}"
        wrong = premise and key in facts and differs(premise, facts[key])
        sentences.append(f"{words}, not {premise}." if wrong else f"{words}.")
    return " ".join(sentences)


def differs(premise: str, quantity: Quantity) -> bool:
    """Whether what the person said a number to be is another number than was measured, at the precision they said it with.

    >>> differs("600", Quantity(534)), differs("4 ms", Quantity(4.0, "ms")), differs("8.5 Hz", Quantity([8.48, 40.3], "Hz"))
    (True, False, False)
    """
    try:
        said = parse(premise, Unit(quantity.unit if quantity.unit != "unknown" else ""))
        digits = premise.partition(" ")[0].partition(".")[2]
    except ValueError:
        return False  # a number of another kind is about something else
    scale = abs(said / parse(premise.partition(" ")[0], Unit(""))) if said else 1.0  # of the unit they wrote
    values = quantity.value if isinstance(quantity.value, (list, tuple)) else [quantity.value]
    near = 0.5 * 10.0 ** -len([c for c in digits if c.isdigit()]) * scale
    return not any(isinstance(v, (int, float)) and abs(v - said) <= (near if isinstance(v, float) else 1e-9) for v in values)


class ScriptedChat(BaseChatModel):
    """Replies from a list, one a turn: `Reply` objects, or functions of the messages that return one.

    With `again` they begin anew with every request; what is said comes word by word, `pause` seconds apart, to who streams it.
    """

    replies: list[Any]
    position: int = 0
    again: bool = False
    pause: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, Any]:
        """A script needs no tools."""
        return self

    def _generate(self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        if self.again:
            last = max((place for place, item in enumerate(messages) if isinstance(item, HumanMessage)), default=-1)
            self.position = sum(isinstance(item, AIMessage) for item in messages[last + 1 :])
        reply = self.replies[self.position] if self.position < len(self.replies) else AIMessage("")
        self.position += 1
        made: AIMessage = reply.model_copy(update={"id": None}) if isinstance(reply, AIMessage) else reply(messages)  # each turn a new message
        return ChatResult(generations=[ChatGeneration(message=made)])

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        made = self._generate(messages).generations[0].message
        assert isinstance(made, AIMessage)
        if made.tool_calls:
            pieces = [{"name": c["name"], "args": json.dumps(c["args"]), "id": c["id"], "index": i} for i, c in enumerate(made.tool_calls)]
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=pieces))  # type: ignore[arg-type]
            return
        for number, word in enumerate(re.findall(r"\S+\s*", str(made.content))):
            time.sleep(self.pause if number else 0.0)
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))


def from_script(path: Path) -> ScriptedChat:
    """The model of a file: `{"pause": s, "replies": [{"call": TOOL, "with": {...}}, {"say": TEXT}]}`; DataError where it is none."""
    try:
        kept = json.loads(path.read_bytes())
        replies = [call(str(one["call"]), **one.get("with", {})) if "call" in one else AIMessage(str(one["say"])) for one in kept["replies"]]
        return ScriptedChat(replies=replies, again=True, pause=float(kept.get("pause", 0.0)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError("E_FORMAT", f"{path.name} is no script of replies: {error!r}") from error


def call(name: str, identity: str = "", **arguments: Any) -> AIMessage:
    """A scripted reply that calls a tool."""
    return AIMessage("", tool_calls=[ToolCall(name=name, args=arguments, id=identity or f"call_{name}")])


def open_arguments(args: dict[str, Any]) -> list[str]:
    """The arguments a model left open with `?`."""
    return [name for name, value in args.items() if value == MARK]
