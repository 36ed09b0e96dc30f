"""How people ask: phrasings of every tool and of the numbers it returns, written by several hands in manners of their own.

`phrasings/*.jsonl` are trained on; those in `phrasings/kept/` are of other hands, and only measure how the model does with a manner of asking
that it has never met.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from moho.agent.registry import Tool, load_tools

FOLDER = Path(__file__).parent / "phrasings"
_SLOT = re.compile(r"\{(\w+)\}")


@cache
def phrasings(kept: bool = False) -> dict[str, tuple[str, ...]]:
    """Tool -> phrasings with its arguments as slots; `kept` for those that are never trained on."""
    found: dict[str, list[str]] = {}
    for row in _rows("*.jsonl", kept):
        tool = load_tools().get(row.get("tool", ""))
        if tool is not None and _fits(row["say"], tool):
            found.setdefault(tool.name, []).append(row["say"])
    return {name: tuple(dict.fromkeys(says)) for name, says in found.items()}


@cache
def asks(kept: bool = False) -> dict[str, tuple[str, ...]]:
    """Key of a number -> ways to ask for it."""
    found: dict[str, list[str]] = {}
    for row in _rows("*-asks.jsonl", kept):
        if "key" in row:
            found.setdefault(row["key"], []).append(row["ask"])
    return {key: tuple(dict.fromkeys(ways)) for key, ways in found.items()}


def _rows(pattern: str, kept: bool) -> list[dict[str, str]]:
    paths = sorted((FOLDER / "kept" if kept else FOLDER).glob(pattern))
    return [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _fits(say: str, tool: Tool) -> bool:
    """Whether every slot is an argument, and a listed word that the tool requires is said in it."""
    slots = set(_SLOT.findall(say))
    if not slots <= {argument.name for argument in tool.arguments}:
        return False
    open_ = [a for a in tool.arguments if a.choices and a.required and a.name not in slots]
    return all(any(choice.lower() in say.lower() for choice in a.choices) for a in open_)
