"""How one request is written and what the right reply to it is: the phrasing, the data sets and values in it, the register it is put in.

Which kinds of decision are made of it, and in which shares, is in `moho.rl.instructions`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from moho.agent import choices, decision, offer
from moho.agent.quantities import candidates
from moho.agent.registry import Argument, Tool, load_tools
from moho.agent.voices import asks, phrasings
from moho.rl.harvest import facts_of, harvest, made_kind_of, owner
from moho.rl.phrases import AFTER, BEFORE, COMMON, FREE, NAMES, NOUNS, SPELLED, SYNONYMS, VALUES, WORDED
from moho.units import Quantity, Unit, parse, split

OTHERS = 0.65  # share of requests in the words of the voices, not of the tool's own phrasings
HELD_OUT = 2  # phrasings of each tool that are kept for measuring

OWN = ("compare", "evidence_table")  # `compared` makes its own; a table of any data has no kinds to draw names from


@dataclass(frozen=True)
class Example:
    """A decision and its right reply."""

    situation: decision.Situation
    reply: str
    kind: str  # call | ask | answer | chain | follow | refuse | correct | recover
    tool: str
    near: tuple[str, ...] = ()  # all tools, the nearest to the request first, by phrasings it was not made of


class Pen:
    """Writes requests with a seeded generator."""

    def __init__(self, seed: int, *, held_out: bool = False) -> None:
        self.random = random.Random(seed)
        self.held_out = held_out
        self._forms: list[str] = []  # phrasings that the example at hand is made of
        self.tools = {name: tool for name, tool in sorted(load_tools().items()) if tool.say and name not in OWN and tool.stage != "literature"}

    # -- one request

    def settle(self, example: Example) -> Example | None:
        """With the tools that would be offered, the right one among them; None where the reply is not one of the grammar."""
        situation = example.situation
        used = [done.call.partition("(")[0] for done in situation.done]
        served = [] if any(done.error for done in situation.done) else used
        offered = offer.choose(situation.text, situation.catalogue, used, leaving=self._forms, served=served)
        tool = example.reply.partition("(")[0]
        if tool in self.tools and tool not in offered:  # where the nearness fails, the model still has to be shown the right one
            offered.insert(self.random.randrange(len(offered) + 1), tool)
        near = tuple(offer.rank(situation.text, frozenset(self._forms)))
        settled = replace(example, situation=replace(situation, tools=offered), reply=_in_order(example.reply, situation), near=near)
        return settled if _possible(settled) else None

    def _call(
        self,
        tool: Tool,
        kind: str,
        *,
        cut: bool = False,
        bare: bool = False,
        plain: bool = False,
        ambiguous: bool = False,
        catalogue: Mapping[str, str] | None = None,
        chained: str = "",
    ) -> Example | None:
        """A request for one call of `tool` and the call."""
        form = self.random.choice(self._says(tool))
        self._forms.append(form)
        if bare:
            words = tool.name.replace("_", " ")
            form = self.random.choice(
                ("run {w} on {{d}}", "{w} {{d}}", "apply {w} to {{d}}", "do {w} for {{d}}", "{w} please", "I want {w} of {{d}}")
            ).format(w=words)
        named, said, slots = self._data(tool, form, ambiguous=ambiguous, catalogue=catalogue, chained=chained)
        values: dict[str, str] = {}
        open_: list[str] = []
        text = form.replace("{d}", next(iter(said.values()), "the data"))
        wanted = [a for a in tool.arguments if not a.is_data and f"{{{a.name}}}" in text]
        if cut and wanted:
            required = [a for a in wanted if a.required and a.unit]
            if not required:
                return None
            drop = required if self.random.random() < 0.6 else [self.random.choice(required)]
            text, ok = _cut(text, [a.name for a in drop])
            if not ok:
                return None
            wanted = [a for a in wanted if a not in drop]
        for argument in wanted:
            if argument.choices:
                values[argument.name] = self.random.choice(argument.choices)
            elif argument.unit is not None:
                values[argument.name] = self._list(argument) if argument.many else self._number(argument)
            else:
                free = FREE.get(f"{tool.name}.{argument.name}") or FREE.get(argument.name)
                if free is None:
                    return None
                values[argument.name] = self.random.choice(free)
        values = self._ordered(values)
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        for argument in tool.arguments:
            if argument.is_data:
                text = text.replace(f"{{{argument.name}}}", said.get(argument.name, self.random.choice(NOUNS[argument.kinds[0].__name__])))
        if re.search(r"\{\w+\}", text):
            return None
        if not plain:
            text = self._dress(text)
        arguments: dict[str, Any] = self._names(tool, named, slots)
        for argument in tool.arguments:
            if argument.is_data:
                continue
            stands = [choice for choice in argument.choices if choices.stands(choice, text)]
            if argument.name not in values and len(stands) == 1 and len(stands[0]) > 2:
                values[argument.name] = stands[0]
            if argument.name in values:
                copied = values[argument.name] if argument.unit is None else self._copied(text, argument, values[argument.name])
                if copied is None:
                    return None
                arguments[argument.name] = copied
            elif argument.required:
                arguments[argument.name] = "?"
                open_.append(argument.name)
        if kind == "ask" and not ambiguous and not open_:
            return None
        if ambiguous and not any(value == "?" for value in arguments.values()):
            return None
        ordered = {a.name: arguments[a.name] for a in tool.arguments if a.name in arguments}
        return Example(decision.Situation(text, named, []), decision.write_call(tool.name, ordered), "ask" if open_ else kind, tool.name)

    def _says(self, tool: Tool) -> Sequence[str]:
        """The phrasings of one hand: the tool's own, or those of the voices."""
        own = tool.say[-HELD_OUT:] if self.held_out else tool.say[:-HELD_OUT] or tool.say
        others = phrasings(self.held_out).get(tool.name, ())
        return others if others and self.random.random() < OTHERS else own

    def _data(
        self, tool: Tool, form: str = "", *, ambiguous: bool = False, catalogue: Mapping[str, str] | None = None, chained: str = ""
    ) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        """A catalogue, how the request speaks of each data argument, and the name that is meant for it."""
        named = dict(catalogue or {})
        said: dict[str, str] = {}
        meant: dict[str, str] = {}
        taken = {name.casefold() for name in named}
        for argument in (a for a in tool.arguments if a.is_data):
            kinds = [kind.__name__ for kind in argument.kinds]
            there = [name for name, kind in named.items() if kind in kinds]
            if chained and chained in there:
                meant[argument.name] = chained
                said[argument.name] = self.random.choice(("it", "the result", "that", chained, "the output"))
                continue
            if not argument.required and f"{{{argument.name}}}" not in form:
                continue
            if not there:
                kind = self.random.choice(kinds)
                kind = kinds[0] if self.random.random() < 0.6 else kind
                name = self._fresh(kind, taken)
                named[name] = kind
                taken.add(name.casefold())
                there = [name]
                if ambiguous or self.random.random() < 0.2:
                    other = self._fresh(kind, taken)
                    named[other] = kind
                    taken.add(other.casefold())
                    there.append(other)
            meant[argument.name] = self.random.choice(there)
            if form and argument.required and f"{{{argument.name}}}" not in form and "{d}" not in form:  # nobody says which
                said[argument.name] = ""
                if len(there) > 1 and not argument.many:
                    meant[argument.name] = "?"
            elif (len(there) == 1 and self.random.random() < 0.55) or ambiguous:
                said[argument.name] = self.random.choice(NOUNS[named[meant[argument.name]]])
                if len(there) > 1 and not argument.many:
                    meant[argument.name] = "?"
            else:
                said[argument.name] = meant[argument.name]
        if catalogue is None:
            for _ in range(self.random.choice((0, 0, 1, 2, 3))):
                kind = self.random.choice([k for k in NAMES if k not in set(named.values()) and k not in ("Report", "Blocks")])
                named[self._fresh(kind, taken)] = kind
        items = list(named.items())
        self.random.shuffle(items)
        return dict(items) if catalogue is None else named, said, meant

    def _fresh(self, kind: str, taken: set[str]) -> str:
        """A name for a data set of a class that no other has."""
        free = [name for name in NAMES[kind] if name.casefold() not in taken]
        return self.random.choice(free) if free else f"{NAMES[kind][0]} {len(taken)}"

    def _names(self, tool: Tool, named: Mapping[str, str], meant: Mapping[str, str]) -> dict[str, Any]:
        """The data arguments of a call; a noun in place of a name stands for the only data set that fits."""
        found: dict[str, Any] = {}
        for argument in (a for a in tool.arguments if a.is_data):
            name = meant.get(argument.name)
            if name is None:
                continue
            if name != "?" and name not in named:
                there = [n for n, kind in named.items() if kind in {k.__name__ for k in argument.kinds}]
                name = there[0] if len(there) == 1 else "?"
            if argument.many and name == "?":
                name = ", ".join(n for n, kind in named.items() if kind in {k.__name__ for k in argument.kinds})
            found[argument.name] = name
        return found

    def _number(self, argument: Argument) -> str:
        """A value of an argument as someone might write it."""
        unit = argument.unit
        assert unit is not None
        value = self.random.choice(pool(argument))
        if not argument.integer and value and self.random.random() < 0.4:
            value = float(f"{value * self.random.uniform(0.5, 1.8):.{self.random.choice((1, 2, 2, 3))}g}")
        elif argument.integer and value > 20 and self.random.random() < 0.5:
            value = round(value * self.random.uniform(0.5, 1.8))
        if argument.integer:
            return f"{value:g}" if argument.name != "degree" or self.random.random() < 0.5 else {1: "first", 2: "second", 3: "third"}[int(value)]
        if unit.symbol == "s" and value in (0.5, 0.25) and self.random.random() < 0.3:
            return {0.5: "half a second", 0.25: "a quarter of a second"}[value]
        if value in WORDED and self.random.random() < 0.08 and unit.symbol in ("Hz", "m/s", "m"):
            scale = {"Hz": ("hertz", 1), "m/s": ("km/s", 1000), "m": ("kilometre", 1000)}[unit.symbol]
            return f"{WORDED[int(value)]} {scale[0]}"
        spelled, factor = self.random.choice(SPELLED.get(unit.symbol, ((f" {unit.symbol}", 1.0),)))
        if unit.symbol == "kg/m3" and self.random.random() < 0.35:
            return f"{value / 1000:g}"
        if unit.symbol == "m/s" and not spelled.strip():
            spelled = " m/s"
        return f"{float(f'{value / factor:.4g}'):g}{spelled}"

    def _list(self, argument: Argument) -> str:
        values = sorted({self.random.choice(pool(argument)) for _ in range(self.random.choice((1, 1, 2, 3)))})
        unit = argument.unit.symbol if argument.unit else ""
        return ", ".join(f"{value:g} {unit}".strip() for value in values)

    def _ordered(self, values: dict[str, str]) -> dict[str, str]:
        """Ranges the right way round, and sometimes with one unit for both ends."""
        if {"low", "high"} <= values.keys():
            value_low, value_high = self.random.choice(VALUES["low"]), self.random.choice(VALUES["high"])
            spelled = self.random.choice((" Hz", "Hz", " hertz", " hz", ""))
            both = self.random.random() < 0.5
            return values | {"low": f"{value_low:g}{spelled if both else ''}", "high": f"{value_high:g}{spelled}"}
        return values

    def _copied(self, text: str, argument: Argument, value: str) -> str | None:
        """`value` as the grammar would let the model copy it from `text`."""
        assert argument.unit is not None
        unit = Unit(argument.unit.symbol)
        wanted = [part.strip() for part in value.split(",")] if argument.many else [value]
        found = []
        for part in wanted:
            try:
                number = parse(part, unit)
            except ValueError:
                return None
            match = next((c for c in candidates(text, argument) if abs(parse(c, unit) - number) <= 1e-6 * max(1, abs(number))), None)
            if match is None:
                return None
            found.append(match)
        return ", ".join(found)

    def _done(self, example: Example, position: int) -> decision.Done | None:
        """The step that a call would have left, with facts of the kind the tool returns."""
        if "=?" in example.reply or example.tool not in harvest():
            return None
        tool = self.tools[example.tool]
        data = next((a.name for a in tool.arguments if a.is_data), "")
        name = decision.read(example.reply).arguments.get(data, "").split(", ")[0]
        facts = facts_of(example.tool, example.situation.catalogue.get(name, ""), self.random)
        if facts is None:
            return None
        result = f"{example.tool} {self.random.choice((1, 1, 1, 2))}" if made_kind_of(example.tool) else ""
        return decision.Done(position, example.reply, result, facts)

    def _dress(self, text: str, *, short: bool = False) -> str:
        """In one of the registers people write in: greetings, case, lost punctuation, a slip of the finger."""
        if not short and self.random.random() < 0.5:
            before = self.random.choice(BEFORE)
            text = before + (text[:1].lower() + text[1:] if before and not text[:2].isupper() else text)
        if not short and self.random.random() < 0.4:
            text = text.rstrip(".?") + self.random.choice(AFTER)
        if self.random.random() < 0.12:
            text = text.lower() if not re.search(r"[A-Z]\d|\d_|[A-Z]-\d", text) else text
        if self.random.random() < 0.08:
            words = text.split(" ")
            place = self.random.randrange(len(words))
            word = words[place]
            if len(word) > 4 and word.isalpha() and word.islower():
                at = self.random.randrange(1, len(word) - 2)
                words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
                text = " ".join(words)
        return text

    def _kind(self, tool: Tool, named: Mapping[str, str], meant: Mapping[str, str]) -> str:
        """The class of the first data set a call works on."""
        data = next((a for a in tool.arguments if a.is_data and a.required), None)
        if data is None:
            return ""
        return named.get(meant.get(data.name, ""), "") or next((kind for kind in named.values() if data.takes(kind)), "")

    def _measured(self, tool: Tool, named: Mapping[str, str], meant: Mapping[str, str]) -> tuple[dict[str, Quantity], str] | None:
        """The numbers of a tool that a question about this data set would go to it for, and the call."""
        kind = self._kind(tool, named, meant)
        facts = facts_of(tool.name, kind, self.random)
        mine = {key: q for key, q in (facts or {}).items() if owner(key, kind) in ("", tool.name)}
        return (mine, decision.write_call(tool.name, self._names(tool, named, meant))) if mine else None

    def _wanted(self, quantity: Quantity, key: str) -> str:
        """How someone asks for one number."""
        label = quantity.label or key.replace("_", " ")
        ways = (*SYNONYMS.get(key, ()), *asks(self.held_out).get(key, ()))
        if ways and self.random.random() < 0.7:
            return self.random.choice(ways)
        if isinstance(quantity.value, int) and not quantity.unit:
            return self.random.choice((f"how many {label}", f"the number of {label}", label, f"{label} count"))
        if isinstance(quantity.value, list) and len(quantity.value) == 2:
            return self.random.choice((f"which {label}", f"the {label}", label, f"what {label}"))
        return self.random.choice((f"the {label}", label, f"what {label}", f"what is the {label}"))


def pool(argument: Argument) -> tuple[float, ...]:
    """Values that occur for an argument; depths and times share the names top and base."""
    if argument.name in ("top", "base") and argument.unit and argument.unit.symbol == "m":
        return (1200, 1250, 1300, 1350) if argument.name == "top" else (1400, 1450, 1500, 1640)
    if argument.name == "depth" and argument.unit and argument.unit.symbol == "m":
        return (2000, 3000, 5000, 6000)
    unit = argument.unit.symbol if argument.unit else ""
    return VALUES.get(argument.name) or COMMON.get(unit, (1, 2, 3, 4, 5, 6, 8, 10))


def _cut(text: str, names: Sequence[str]) -> tuple[str, bool]:
    """`text` without the slots `names` and the words that hold them; False when what is left does not read."""
    for name in names:
        text = re.sub(
            rf"[\s,(]*(?:\b(?:between|from|at|with|to|and|of|is|by|using|a|an|for|in|into|the|low|high|rw|velocity|density|clean|shale|around|about|=|-)\b[\s=,-]*)*\{{{name}\}}[\s)]*",
            " ",
            text,
            flags=re.I,
        )
    text = re.sub(r"\s+", " ", text).strip(" ,;-–")
    return text, len(text.split()) >= 2


def _in_order(reply: str, situation: decision.Situation) -> str:
    """An answer with its keys in the order in which the grammar takes them."""
    if not reply.startswith("answer("):
        return reply
    named = {key: f'{key}!="{premise}"' if premise else key for key, premise in decision.read(reply).keys}
    return decision.write_answer([named[key] for key in decision.listed(situation) if key in named])


def _possible(example: Example) -> bool:
    """Whether the names and values of a reply are among those the grammar would offer."""
    try:
        chosen = decision.read(example.reply)
    except ValueError:
        return False
    if chosen.name == "answer":
        return [key for key, _ in chosen.keys] == [key for key in decision.listed(example.situation) if key in dict(chosen.keys)]
    if chosen.name == "refuse":
        return True
    tool = load_tools()[chosen.name]
    used = " ".join(done.call for done in example.situation.done)
    for a in tool.arguments:
        forced = not a.required and a.name not in chosen.arguments and choices.given(tool, a, example.situation, used)
        if forced and choices.values(tool, a, example.situation):
            return False
    for key, value in chosen.arguments.items():
        argument = tool.argument(key)
        if value == "?":
            if not argument.required:
                return False
            if choices.values(tool, argument, example.situation) and choices.was_said(tool, argument, example.situation):
                return False
            continue
        parts = split(value) if argument.many else [value]
        allowed = choices.values(tool, argument, example.situation)
        if not all(part in allowed for part in parts):
            return False
    return True
