"""Made choices with a known better side: the right reply of an example beside replies that are wrong in one way each.

Only replies that the grammar of the situation allows are made, for no other can come from the model. Each way of being wrong has a name,
so that a judge's accuracy can be told by it; some wrong replies are longer than the right one and some shorter, so that length tells nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from moho.agent import decision
from moho.agent.better import meant_alike, possible
from moho.agent.quantities import candidates
from moho.agent.registry import MARK, Argument, Tool, find_tool, load_tools
from moho.rl.feedback import Correction
from moho.rl.instructions import Example, Writer

MADE, HUMAN = "made", "human"
COMMON = {"refused": 0.25, "wrong tool": 0.5, "asked": 0.4}  # how much rarer than the others a way is taken that nearly every example allows
SHORTER = 0.3  # how much rarer a reply that is shorter than the right one: most are, and a judge would learn that long is right


@dataclass(frozen=True)
class Choice:
    """A situation with its right reply and wrong ones, each with the way it is wrong."""

    situation: decision.Situation
    better: str
    worse: Sequence[tuple[str, str]]  # (way, reply)
    source: str = MADE


def choices(seed: int, count: int, *, held_out: bool = False, ways: int = 3) -> Iterator[Choice]:
    """`count` made choices of up to `ways` wrong replies; the phrasings as those of `Writer`."""
    chooser = random.Random(seed)
    made = 0
    while made < count:
        for example in Writer(chooser.randrange(1 << 30), held_out=held_out).examples(min(200, count - made)):
            if found := contrasts(example, chooser):
                weights = [COMMON.get(way, 1.0) * (SHORTER if len(reply) < len(example.reply) else 1.0) for way, reply in found]
                lots = [chooser.random() ** (1 / weight) for weight in weights]
                picked = [one for _, one in sorted(zip(lots, found, strict=True), reverse=True)[:ways]]
                made += 1
                yield Choice(example.situation, example.reply, picked)


def said(corrections: Sequence[Correction]) -> list[Choice]:
    """What people corrected, as choices: the right reply beside Moho's own."""
    return [Choice(c.situation, c.right, [(HUMAN, c.reply)], HUMAN) for c in corrections if c.reply]


def contrasts(example: Example, chooser: random.Random) -> list[tuple[str, str]]:
    """Wrong replies to an example, one for each way of being wrong that it allows."""
    situation, right = example.situation, decision.read(example.reply)
    made: list[tuple[str, str]] = []
    if right.name in load_tools():
        made += _of_a_call(find_tool(right.name), right, situation)
    elif right.name == "answer":
        made += _of_an_answer(right, situation)
    if right.name != "refuse":
        made.append(("refused", "refuse()"))
    wrong = "wrong tool" if right.name != "refuse" else "not refused"
    made += [(wrong, _filled(find_tool(name), situation, right, chooser)) for name in situation.tools if name != right.name]
    if right.name != "answer" and (keys := _keys(situation)):
        made.append(("answered too early", decision.write_answer(chooser.sample(keys, min(len(keys), chooser.choice((1, 2, 3)))))))
    if situation.done and not situation.done[-1].error and right.name != "refuse":
        made.insert(0, ("repeated", situation.done[-1].call))
    there = set(possible(situation, [reply for _, reply in made]))
    chooser.shuffle(made)
    found: dict[str, str] = {}
    for way, reply in sorted(made, key=lambda one: one[0] != "repeated"):  # the same call once more is no wrong tool
        if reply in there and way not in found and reply not in found.values() and not meant_alike(reply, example.reply):
            found[way] = reply
    return list(found.items())


def _of_a_call(tool: Tool, right: decision.Decision, situation: decision.Situation) -> Iterator[tuple[str, str]]:
    """Calls of the right tool that are wrong in one argument."""
    given = dict(right.arguments)
    held = [tool.argument(name) for name in given]
    numbers = [a for a in held if a.unit is not None and not a.many and given[a.name] != MARK]
    for a in numbers:
        for b in numbers:
            if a.name < b.name and given[a.name] != given[b.name]:
                yield "swapped", _changed(tool, given, {a.name: given[b.name], b.name: given[a.name]})
    open_ = [a for a in held if given[a.name] == MARK]
    for place in range(3 if open_ else 0):
        guesses = {a.name: there[place % len(there)] for a in open_ if (there := _all(a, situation))}
        yield "not asked", _changed(tool, given, guesses)
    for argument in held:
        name = argument.name
        if not argument.required:
            yield "dropped", _changed(tool, given, {name: None})
        elif given[name] != MARK:
            yield "asked", _changed(tool, given, {name: MARK})
        if given[name] != MARK and not (argument.is_data and argument.many):
            for value in _all(argument, situation):
                yield "wrong data" if argument.is_data else "wrong value", _changed(tool, given, {name: value})
    for argument in tool.arguments:
        if not argument.required and argument.name not in given:
            for value in _all(argument, situation):
                yield "extra", _changed(tool, given, {argument.name: value})


def _of_an_answer(right: decision.Decision, situation: decision.Situation) -> Iterator[tuple[str, str]]:
    """Answers that name other numbers than were asked for; none where nothing in particular was asked for."""
    keys = list(right.keys)
    plain = [key for key, _ in keys]
    if situation.done and plain == [f"{situation.done[-1].id}.{key}" for key in list(situation.done[-1].facts)[:3]]:
        return
    for other in _keys(situation):
        if other not in plain:
            yield "too much", _answered([*keys, (other, "")])
            for place in range(len(keys)):
                yield "wrong key", _answered([*keys[:place], (other, ""), *keys[place + 1 :]])
    for place in range(len(keys) if len(keys) > 1 else 0):
        yield "too little", _answered([*keys[:place], *keys[place + 1 :]])
    if any(premise for _, premise in keys):
        yield "premise left", _answered([(key, "") for key in plain])


def _filled(tool: Tool, situation: decision.Situation, right: decision.Decision, chooser: random.Random) -> str:
    """A call of a tool with what the situation offers for its arguments, those of the right call where they have the same name."""
    arguments: dict[str, str | None] = {}
    for argument in tool.arguments:
        there = _all(argument, situation)
        if right.arguments.get(argument.name) in there:
            arguments[argument.name] = right.arguments[argument.name]
        elif argument.required or (there and chooser.random() < 0.25):
            arguments[argument.name] = chooser.choice(there) if there else MARK
    return decision.write_call(tool.name, arguments)


def _all(argument: Argument, situation: decision.Situation) -> list[str]:
    """What the situation offers for an argument, a few of it where it is free words."""
    if argument.is_data:
        return [name for name, kind in situation.catalogue.items() if argument.takes(kind)]
    return candidates(situation.text, argument)[:40]


def _keys(situation: decision.Situation) -> list[str]:
    return [f"{step.id}.{key}" for step in situation.done for key in step.facts]


def _changed(tool: Tool, given: Mapping[str, str], changes: Mapping[str, str | None]) -> str:
    after = {**given, **changes}
    return decision.write_call(tool.name, {a.name: after.get(a.name) for a in tool.arguments})


def _answered(keys: Sequence[tuple[str, str]]) -> str:
    return decision.write_answer([key + (f'!="{premise}"' if premise else "") for key, premise in keys])
