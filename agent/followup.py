"""Short requests that lean on the one before: "same again but 8-40 Hz", "and at 2.4?", "now with a 1 s window".

What such a request leaves out is known: the tool and the arguments of the last call. So code works out what is meant, whatever the
model: which call of the last turn is repeated, and which of its arguments the person gives anew. A request that asks for something
else, by the words of another tool or by pointing at a result ("of this one"), is no follow-up and is left to the model.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from moho.agent.quantities import quantities, said
from moho.agent.registry import Argument, Tool, find_tool, load_tools
from moho.units import Unit, parse

MARKED = re.compile(
    r"(?<!\w)(?:same|again|once more|one more time|repeat|redo|re-?run|ditto|likewise|this time)(?!\w)"
    r"|^\W*(?:ok(?:ay)?\W+|good\W+|thanks\W+|great\W+)?(?:(?:and|now|but|or|then|instead)\W+)*"
    r"(?:(?:what|how) (?:about|if|with)|try(?: it| that)? (?:with|at|for)|(?:and|now|but|or|then|instead|do it|do that),? (?:with|at|for|using)) ",
    re.I,
)
POINTS = re.compile(
    r"(?<!\w)(?:(?:of|on|to|from|with|in) (?:it|this|that|these|those)"
    r"|(?:this|that|filtered|new|other) (?:one|result)|results?|outputs?|originals?)(?!\w)",
    re.I,
)
COMMON = 10  # a word that more tools than this are asked for with names none of them
_WORD = re.compile(r"[a-z][a-z-]*[a-z]|[a-z]+\d*", re.I)
_SAID = (
    "same again once more one time repeat redo rerun ditto likewise this that it thing things and now with but at about for what how if use "
    "using try do instead then or also please ok okay good thanks great a an the of in on to as before only just lower higher was were is "
    "are be been had has me my we us you can could would should let want need like rather "
)
SAID = frozenset(_SAID.split())  # words of a follow-up that name nothing


@dataclass(frozen=True)
class Followup:
    """A call of the last turn, and what it becomes."""

    tool: str
    before: Mapping[str, Any]  # its arguments as they were written
    restated: Mapping[str, Any]  # those that the request gives anew
    complete: bool  # whether all that the request says has found its argument

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the new call."""
        return {**self.before, **self.restated}

    def mended(self, written: Mapping[str, Any], request: str) -> dict[str, Any]:
        """A model's arguments for this call: those nobody has said anew are what they were before."""
        tool = find_tool(self.tool)
        anew = {key: value for key, value in written.items() if _stands(tool, key, value, request)}
        if self.complete:  # but for free words, which only the model reads
            free = {a.name for a in tool.arguments if a.unit is None and not a.choices and not a.is_data}
            anew = {key: value for key, value in anew.items() if key in free}
        return {**self.before, **anew, **self.restated}


def follow(request: str, messages: Sequence[BaseMessage], kinds: Mapping[str, str]) -> Followup | None:
    """What a short request repeats of the last turn; None when it leans on nothing or asks for something else.

    `messages` end with the request; `kinds` maps the names of data sets to their classes.
    """
    if not MARKED.search(request) or POINTS.search(request):
        return None
    text, names = _named(re.sub(r"(?<!\w)(?:the|each|every) ones?(?!\w)", " ", request, flags=re.I), kinds)
    done = _last_turn(messages)
    words = [word.lower() for word in _WORD.findall(_without_quantities(text))]
    rest = {word for word in words if word not in SAID}
    plans = [plan for name, before in reversed(done) if not names_another(rest, name) and (plan := _plan(name, before, text, names, kinds))]
    return next((plan for plan in plans if plan.complete), plans[0] if plans else None)


def names_another(words: set[str], tool: str) -> bool:
    """Whether one of the words is one that other tools are asked for with, and this one is not."""
    own, others = _vocabulary()[tool], Counter(word for vocabulary in _vocabulary().values() for word in vocabulary)
    named = {part for name in load_tools() for part in name.split("_")}
    return any(word not in own and (word in named or 0 < others[word] <= COMMON) for word in words)


@cache
def _vocabulary() -> dict[str, frozenset[str]]:
    """The words each tool is known by: its name, its arguments and their choices, the ways people ask for it."""
    found = {}
    for name, tool in load_tools().items():
        texts = [name.replace("_", " "), *(re.sub(r"\{\w*\}", " ", say) for say in tool.say)]
        texts += [" ".join([a.name.replace("_", " "), a.label, *a.choices]) for a in tool.arguments]
        found[name] = frozenset(word.lower() for text in texts for word in _WORD.findall(text))
    return found


def _last_turn(messages: Sequence[BaseMessage]) -> list[tuple[str, dict[str, Any]]]:
    """(tool, arguments as written) of each call that was carried out in the turn before the last request."""
    starts = [place for place, message in enumerate(messages) if isinstance(message, HumanMessage)]
    if len(starts) < 2:
        return []
    turn = messages[starts[-2] : starts[-1]]
    good = {m.tool_call_id for m in turn if isinstance(m, ToolMessage) and m.status != "error" and "step" in json.loads(str(m.content))}
    tools = load_tools()
    return [
        (call["name"], dict(call["args"]))
        for message in turn
        if isinstance(message, AIMessage)
        for call in message.tool_calls
        if call["id"] in good and call["name"] in tools
    ]


def _plan(name: str, before: Mapping[str, Any], text: str, names: Sequence[str], kinds: Mapping[str, str]) -> Followup | None:
    """The call again with what the text says anew; None when it names data that the tool does not take."""
    tool = find_tool(name)
    restated: dict[str, Any] = {}
    for held in names:
        free = [a for a in tool.arguments if a.is_data and a.takes(kinds[held]) and a.name not in restated]
        if not free:
            return None
        restated[free[0].name] = held
    for argument in tool.arguments:
        if argument.choices and (chosen := _chosen(argument, text)):
            restated[argument.name] = chosen
            text = re.sub(rf"(?<!\w){re.escape(chosen)}(?!\w)", " ", text, flags=re.I)
    given = list(quantities(text))
    numbers = _numbers(tool, before, given, text)
    return Followup(name, before, restated | (numbers or {}), bool(restated or given) and numbers is not None)


def _numbers(tool: Tool, before: Mapping[str, Any], given: Sequence[str], text: str) -> dict[str, Any] | None:
    """Which argument each quantity is for; None when that is not plain."""
    if not given:
        return {}
    fitting = [a for a in tool.arguments if a.unit is not None and all(_fits(quantity, a) for quantity in given)]
    called = [a for a in fitting if re.search(rf"(?<!\w)(?:{re.escape(a.name.replace('_', ' '))}|{re.escape(a.label)})(?!\w)", text, re.I)]
    held = [a for a in fitting if before.get(a.name) not in (None, "", "?")]
    if len(given) == 1 and len(called) == 1:
        chosen = called
    elif len(held) == 1 and held[0].many:
        return {held[0].name: ", ".join(given)}
    elif len(held) == len(given):
        chosen = held
    elif len(given) == 1 and len(fitting) == 1:
        chosen = fitting
    else:
        return None
    return {argument.name: quantity for argument, quantity in zip(chosen, given, strict=True)}


def _fits(quantity: str, argument: Argument) -> bool:
    try:
        parse(quantity, Unit(argument.unit.symbol if argument.unit else ""))
    except ValueError:
        return False
    return True


def _chosen(argument: Argument, text: str) -> str:
    """The longest listed word of an argument that stands in the text; "" for none."""
    found = [choice for choice in argument.choices if len(choice) > 2 and re.search(rf"(?<!\w){re.escape(choice)}(?!\w)", text, re.I)]
    return max(found, key=len, default="")


def _named(request: str, kinds: Mapping[str, str]) -> tuple[str, list[str]]:
    """The request without the names of data sets, and these in the order they stand in it."""
    places: list[tuple[int, str]] = []
    for name in sorted(kinds, key=len, reverse=True):
        if match := re.search(rf"(?<!\w){re.escape(name)}(?!\w)", request, re.I):
            places.append((match.start(), name))
            request = request[: match.start()] + " " * len(match[0]) + request[match.end() :]
    return request, [name for _, name in sorted(places)]


def _without_quantities(text: str) -> str:
    """The text without its numbers and the units behind them."""
    for quantity in quantities(text):
        for word in quantity.split(" "):
            text = re.sub(rf"(?<![A-Za-z]){re.escape(word)}(?![A-Za-z])", " ", text, flags=re.I)
    return text


def _stands(tool: Tool, key: str, value: Any, request: str) -> bool:
    """Whether the request itself says this value of an argument."""
    argument = next((a for a in tool.arguments if a.name == key), None)
    if argument is None or value is None or value == "?":
        return False
    parts = value if isinstance(value, (list, tuple)) else [value]
    if argument.unit is not None:
        return all(said(str(part), request, argument) for part in parts)
    return all(re.search(rf"(?<!\w){re.escape(str(part))}(?!\w)", request, re.I) for part in parts)
