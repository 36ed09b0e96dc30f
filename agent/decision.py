"""How a small language model decides: a short prompt, one line of reply, and the grammar that makes every line a valid one.

The reply is a call, `bandpass(line="line 12", low="5 Hz", high="60 Hz")`; `answer(1.energy_band)`, naming results of numbered
steps; or `refuse()` when no tool fits. Values can only be quantities and words that stand in the conversation, names that
stand in the catalogue, or `?` for what the person has not said. So a reply is well-formed by construction and holds no
number of the model's own; whether it is the right reply is for the training (`moho.rl`) and the evaluation to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moho.agent import choices
from moho.agent.quantities import quantities
from moho.agent.registry import MARK, Argument, Tool, find_tool
from moho.units import Quantity, Unit, parse, unit_of

SYSTEM = "You are Moho. Reply with one call; ? for a value not given; answer(keys) when it is done; refuse() when no call fits."

COUNTED = ("", "counts", "samples", "traces")  # units of plain numbers
NEAREST = 3  # tools that the prompt names as the nearest of those it lists


@dataclass(frozen=True)
class Done:
    """A step of this request as the small model is shown it: its call and the keys of its numbers, or its error."""

    id: int
    call: str
    result: str = ""  # name of the data set it made
    facts: Mapping[str, Quantity] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Situation:
    """All that a decision may depend on."""

    request: str
    catalogue: Mapping[str, str]  # name -> kind
    tools: Sequence[str]  # names of those offered, the nearest to the request first
    done: Sequence[Done] = ()
    earlier: Sequence[tuple[str, str]] = ()  # (request, calls or reply) of this conversation, oldest first

    @property
    def text(self) -> str:
        """Everything the person has said in this conversation, without the names of data sets, whose digits are no quantities."""
        return self._nameless("\n".join([*(request for request, _ in self.earlier), self.request]))

    @property
    def asked(self) -> str:
        """The request, without the names of data sets."""
        return self._nameless(self.request)

    @property
    def made(self) -> list[str]:
        """The data sets that the steps of this request made."""
        return [done.result for done in self.done if done.result]

    @property
    def spoken(self) -> str:
        """All that was said and replied, with the names of data sets."""
        return "\n".join([*(f"{request}\n{reply}" for request, reply in self.earlier), self.request])

    @property
    def taken(self) -> dict[str, set[str]]:
        """Each value that a step of this request has taken, and the arguments it was taken for."""
        found: dict[str, set[str]] = {}
        for done in self.done:
            if not done.error:
                for argument, value in read(done.call).arguments.items():
                    found.setdefault(value, set()).add(argument)
        return found

    def _nameless(self, said: str) -> str:
        for name in sorted(self.catalogue, key=len, reverse=True):
            said = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", said, flags=re.I)
        return said


def signature(tool: Tool) -> str:
    """A tool as the prompt lists it: `bandpass(line, low, high, low_cut?)`; with what it does where nobody has said how it is asked for."""
    plain = f"{tool.name}({', '.join(a.name + ('' if a.required else '?') for a in tool.arguments)})"
    return plain if tool.say else f"{plain}: {tool.summary}"


def prompt(situation: Situation) -> list[dict[str, str]]:
    """The chat messages of one decision."""
    calls = "\n".join(signature(find_tool(name)) for name in sorted(situation.tools))  # the same list, the same first tokens
    data = ", ".join(f'"{name}" {kind}' for name, kind in situation.catalogue.items()) or "none"
    lines = [f"Data: {data}"]
    lines += [f"Earlier: {request} => {reply}" for request, reply in situation.earlier[-2:]]
    lines.append(f"Near: {', '.join(situation.tools[:NEAREST]) or 'none'}")
    lines.append(f"Request: {situation.request}")
    for step in situation.done:
        made = f'"{step.result}" ' if step.result else ""
        lines.append(f"Done {step.id}: {step.call} -> " + (f"error: {step.error}" if step.error else f"{made}{', '.join(step.facts)}"))
    return [{"role": "system", "content": f"{SYSTEM}\nCalls:\n{calls}"}, {"role": "user", "content": "\n".join(lines)}]


def write_call(name: str, arguments: Mapping[str, Any]) -> str:
    """The line a call is written as; `?` stands without quotes, None is left out."""
    parts = []
    for argument, value in arguments.items():
        if value is not None:
            text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
            parts.append(f"{argument}={MARK}" if text == MARK else f'{argument}="{_escape(text)}"')
    return f"{name}({', '.join(parts)})"


def write_answer(keys: Sequence[str]) -> str:
    """The line an answer is written as: keys like `1.energy_band`, or `1.traces!="600"` where the person took it to be 600."""
    return f"answer({', '.join(keys)})"


@dataclass(frozen=True)
class Decision:
    """A parsed reply: `name` is a tool, "answer" or "refuse"."""

    name: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    keys: Sequence[tuple[str, str]] = ()  # ("1.energy_band", what the person said it was or "")


_ARGUMENT = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|(\?))')
_KEY = re.compile(r'(\d+\.\w+)(?:!="([^"]*)")?')


def read(line: str) -> Decision:
    """The decision in a reply; ValueError when it is none."""
    match = re.fullmatch(r"\s*(\w+)\((.*)\)\s*", line, re.S)
    if not match:
        raise ValueError(f"not a call: {line[:80]!r}")
    name, inside = match.groups()
    if name == "answer":
        return Decision("answer", keys=[(key, premise or "") for key, premise in _KEY.findall(inside)])
    return Decision(name, {key: (MARK if mark else _unescape(value)) for key, value, mark in _ARGUMENT.findall(inside)})


def grammar(situation: Situation) -> str:
    """The replies possible here, as the EBNF that xgrammar compiles."""
    rules: dict[str, str] = {}
    starts = []
    for name in situation.tools:
        if (rule := _call_rule(find_tool(name), situation, rules)) is not None:
            rules[f"call_{name}"] = rule
            starts.append(f"call_{name}")
    if keys := listed(situation):
        believed = beliefs(situation)
        parts = []
        for place, key in enumerate(keys):
            premise = f' ("!=" {_choice(rules, f"premise{place}", believed[key])})?' if key in believed else ""
            parts.append(f"{_literal(key)}{premise}")
        rules["answer"] = f'"answer(" {_once(rules, "from", parts)} ")"'
        starts.append("answer")
    else:  # what was measured is said, whatever else could not be done
        starts.append('"refuse()"')
    return f"root ::= {' | '.join(starts)}\n" + "\n".join(f"{name} ::= {body}" for name, body in rules.items())


def beliefs(situation: Situation) -> dict[str, list[str]]:
    """What the person may have taken each number to be: what they said of its kind, and gave to no call. Keys as in an answer.

    A bare number, and one with a word for a unit that none of the numbers has ("600 traces"), is of the counts, where there are any.
    """
    facts = {f"{step.id}.{key}": quantity for step in situation.done for key, quantity in step.facts.items() if numeric(quantity)}
    counts = [key for key, quantity in facts.items() if quantity.unit in COUNTED]
    found: dict[str, list[str]] = {}
    for written in quantities(situation.request):
        if written not in situation.taken:
            alike = [key for key, quantity in facts.items() if unit_of(written) not in COUNTED and _becomes(written, quantity)]
            for key in alike or counts or facts:
                found.setdefault(key, []).append(written)
    return found


def numeric(quantity: Quantity) -> bool:
    """Whether it is a number or a list of numbers."""
    values = quantity.value if isinstance(quantity.value, (list, tuple)) else [quantity.value]
    return bool(values) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _becomes(written: str, quantity: Quantity) -> bool:
    """Whether what was said has a unit that becomes that of a number."""
    if quantity.unit in (*COUNTED, "unknown"):
        return False
    try:
        parse(written, Unit(quantity.unit))
    except ValueError:
        return False
    return True


def listed(situation: Situation) -> list[str]:
    """The keys that an answer may name, in the order in which it names them."""
    return [f"{step.id}.{key}" for step in situation.done for key in step.facts]


def _call_rule(tool: Tool, situation: Situation, rules: dict[str, str]) -> str | None:
    """The calls of one tool that can be written here, arguments in the order of the signature.

    An optional argument that the request gives a value for, and that value to nothing else, cannot be left out.
    """
    used = " ".join(done.call for done in situation.done)
    parts: list[str] = []
    first = True
    optional: list[tuple[str, bool]] = []
    for argument in tool.arguments:
        values = _values(tool, argument, situation, rules)
        if values is None:
            continue
        pair = f'"{argument.name}=" {values}'
        if argument.required:
            parts.append(pair if first else f'", " {pair}')
            first = False
        else:
            optional.append((pair, choices.given(tool, argument, situation, used)))
    if first and optional:  # no required argument: the first one written has no comma before it
        tails = []
        for i, (pair, _) in enumerate(optional):
            if not any(forced for _, forced in optional[:i]):
                tails.append(" ".join([pair, *_tail(optional[i + 1 :])]))
        body = f"({' | '.join(tails)})" + ("" if any(forced for _, forced in optional) else "?")
    else:
        body = " ".join([*parts, *_tail(optional)])
    return f'"{tool.name}(" {body} ")"'


def _tail(optional: Sequence[tuple[str, bool]]) -> list[str]:
    return [f'", " {pair}' if forced else f'(", " {pair})?' for pair, forced in optional]


def _values(tool: Tool, argument: Argument, situation: Situation, rules: dict[str, str]) -> str | None:
    """The rule for one argument's values; None for an optional one that nothing here could fill."""
    names = choices.values(tool, argument, situation)
    key = f"{tool.name}_{argument.name}{'_list' if argument.many else ''}"
    if not names and not argument.required:
        return None
    listed = _choice(rules, key, names) if names else ""
    if argument.many and names and (argument.is_data or argument.unit):
        rules[key] = f'"\\"" {_once(rules, f"{key}_from", [_literal(_escape(name)) for name in names])} "\\""'
    elif argument.many and names:
        one = rules[key].removeprefix('"\\"" ').removesuffix(' "\\""')
        rules[key] = f'"\\"" {one} (", " {one})* "\\""'
    if argument.required:
        if names and choices.was_said(tool, argument, situation):
            return listed
        return f'({listed} | "{MARK}")' if listed else f'"{MARK}"'
    return listed


def _once(rules: dict[str, str], name: str, parts: Sequence[str]) -> str:
    """The rule for some of the parts, each once and in their order, with commas between them."""
    for place, part in enumerate(parts):
        after = f"{name}{place + 1}"
        rules[f"{name}{place}"] = f'{part} (", " {after})? | {after}' if place + 1 < len(parts) else part
    return f"{name}0"


def _choice(rules: dict[str, str], key: str, texts: Sequence[str]) -> str:
    if key not in rules:
        rules[key] = f'"\\"" ({" | ".join(_literal(_escape(text)) for text in texts)}) "\\""'
    return key


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _literal(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
