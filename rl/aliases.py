"""Tools under other names, to train on: a model that is to call a tool it has never met has to read the list, not to remember the names.

A line of `aliases.jsonl` is another author's version of a tool: `{"tool", "name", "summary", "arguments": {old: new}}`. It takes the same
arguments in the same units, and brings no phrasings, so that a prompt lists it as it would a plugin's tool: with its first line.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from moho.agent import decision
from moho.agent.registry import TOOLS, Tool, load_tools
from moho.rl.pen import Example

FILE = Path(__file__).parent / "aliases.jsonl"


@cache
def aliases() -> dict[str, list[tuple[Tool, Mapping[str, str]]]]:
    """Tool -> its versions under other names, each with the new names of its arguments."""
    found: dict[str, list[tuple[Tool, Mapping[str, str]]]] = defaultdict(list)
    for line in FILE.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        tool, names = load_tools()[row["tool"]], row["arguments"]
        arguments = tuple(replace(argument, name=names[argument.name]) for argument in tool.arguments)
        found[tool.name].append((replace(tool, name=row["name"], arguments=arguments, say=(), function=_saying(row["summary"])), names))
    return dict(found)


def _saying(summary: str) -> Any:
    """A function with this docstring; examples are only written, so nothing calls it."""

    def unused() -> None:
        raise NotImplementedError

    unused.__doc__ = summary
    return unused


@contextmanager
def registered() -> Iterator[None]:
    """The tools under their other names, beside all others until the context ends."""
    others = {tool.name: tool for versions in aliases().values() for tool, _ in versions}
    if taken := others.keys() & load_tools().keys():
        raise ValueError(f"tools have the names of aliases: {', '.join(sorted(taken))}")
    TOOLS.update(others)
    try:
        yield
    finally:
        for name in others:
            del TOOLS[name]


def renamed(group: Sequence[Example], chooser: random.Random, share: float) -> list[Example]:
    """Examples over one list of tools, with this share of the list under other names. What a step has used keeps its name."""
    used = {call.partition("(")[0] for example in group for call in _calls(example)}
    new: dict[str, tuple[Tool, Mapping[str, str]]] = {}
    for name in group[0].situation.tools:
        if name not in used and name in aliases() and chooser.random() < share:
            new[name] = chooser.choice(aliases()[name])
    return [_renamed(example, new) for example in group]


def _calls(example: Example) -> list[str]:
    situation = example.situation
    return [*(done.call for done in situation.done), *(call for _, reply in situation.earlier for call in reply.split("; "))]


def _renamed(example: Example, new: Mapping[str, tuple[Tool, Mapping[str, str]]]) -> Example:
    tools = [new[name][0].name if name in new else name for name in example.situation.tools]
    reply, (name, rest) = example.reply, example.reply.partition("(")[::2]
    if name in new and rest:
        tool, names = new[name]
        reply = decision.write_call(tool.name, {names[key]: value for key, value in decision.read(reply).arguments.items()})
    return replace(example, situation=replace(example.situation, tools=tools), reply=reply)
