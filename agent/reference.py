"""The reference page of the tools, from what the registry knows of them: `moho tools --markdown` prints it, `docs/tools.md` is it."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

from moho.agent.registry import Argument, Tool, load_tools
from moho.knowledge import starter
from moho.plot import DRAWINGS, REPORTS, RESULTS
from moho.survey import Data, Report, Table, Well

DISCIPLINES = {
    "seismic": "Seismic", "seismology": "Seismology", "gravity": "Gravity", "magnetics": "Magnetics", "em": "Electromagnetics", "well": "Wells",
    "any": "Any data",
}  # fmt: skip
STAGES = ("inspect", "processing", "modelling", "inversion", "interpretation", "plot", "literature")
HEAD = """\
# Tools

Every tool takes names of data sets in a project and numbers with units (a bare number is in the unit given here), and returns one
data set or report, with a figure where there is something to see. What the data or physics do not allow is refused with the numbers;
what only a person can say is asked. "Held to" says what the tests of a tool assert; "Assumes" is from the page of the handbook.
This page is the output of `moho tools --markdown`; `make docs` writes it anew.
"""


def page() -> str:
    """The whole page in Markdown: an index, then every tool by discipline and stage."""
    tools = load_tools().values()
    parts = [HEAD]
    for discipline, title in DISCIPLINES.items():
        rows = []
        for stage in STAGES:
            names = sorted(tool.name for tool in tools if (tool.discipline, tool.stage) == (discipline, stage))
            rows += [f"{stage}: " + ", ".join(f"[{name}](#{name})" for name in names)] if names else []
        parts.append(f"**{title}**, " + "; ".join(rows) + "\n")
    for discipline, title in DISCIPLINES.items():
        parts.append(f"## {title}\n")
        for stage in STAGES:
            here = sorted((tool for tool in tools if (tool.discipline, tool.stage) == (discipline, stage)), key=lambda tool: tool.name)
            parts += [entry(tool) for tool in here]
    return "\n".join(parts)


def entry(tool: Tool) -> str:
    """One tool: what comes back, arguments, how people ask, notes, source, what it is held to, what its figure shows."""
    first, *rest = paragraphs(tool.description)
    lines = [f"### {tool.name}\n", f"*{DISCIPLINES[tool.discipline]}, {tool.stage}; returns {returned(tool)}.* {first}\n"]
    lines += [f"- `{argument.name}`: {described(argument)}" for argument in tool.arguments]
    lines.append("\nAsk: " + " · ".join(f"“{plain(phrase)}”" for phrase in tool.say[:2]) + "\n")
    lines += [f"{paragraph}\n" for paragraph in rest]
    lines += [f"{paragraph}\n" for paragraph in from_handbook(tool.name)]
    lines.append(f"Source: {plain(tool.reference)}.  \nHeld to: {plain(tool.truth)}.  \nFigure: {plain(figure(tool))}\n")
    return "\n".join(lines).replace("..  \n", ".  \n")


def from_handbook(name: str) -> list[str]:
    """What the handbook says a tool assumes, with links to its pages; nothing where it has none."""
    pages = starter.of_tool().get(name, ())
    if not pages:
        return []
    links = ", ".join(f"[{page}](../knowledge/handbook/{page}.md)" for page in pages[:3])
    assumptions = " ".join(starter.section(pages[0], "Assumptions").split())
    return [*([f"Assumes: {plain(assumptions)}"] if assumptions else []), f"Handbook: {links}."]


def paragraphs(text: str) -> list[str]:
    """A docstring's paragraphs, each on one line; indented ones stay as they are."""
    return [part if part.startswith("    ") else plain(" ".join(part.split())) for part in text.split("\n\n")]


def plain(text: str) -> str:
    """Words that Markdown would take for markup, escaped."""
    return text.replace("*", "\\*").replace("<", "&lt;").replace("|", "\\|")


def described(argument: Argument) -> str:
    """Label, kind or unit and bounds, and whether it may be left out."""
    words = [] if argument.label == argument.name.replace("_", " ") else [argument.label]
    if argument.is_data:
        words.append(" or ".join(kind.__name__ for kind in argument.kinds))
    elif argument.choices:
        words.append("one of " + ", ".join(argument.choices))
    elif argument.unit is not None:
        bounds, whole = argument.unit.bounds().removesuffix("in "), "whole number" if argument.integer else "number"
        words.append(bounds if argument.unit.symbol and not argument.integer else f"{whole} {bounds}".rstrip())
    else:
        words.append("words")
    if argument.many:
        words.append("one or more")
    if not argument.required:
        unit = argument.unit.symbol if argument.unit is not None else ""
        words.append("optional" if argument.default is None else f"default {argument.default} {unit}".rstrip())
    return plain("; ".join(words))


def kinds(tool: Tool) -> tuple[type[Data], ...]:
    """The classes a tool returns, from its annotation."""
    hint = typing.get_type_hints(tool.function)["return"]
    return tuple(typing.get_args(hint)) or (hint,)


def returned(tool: Tool) -> str:
    """The same in words."""
    return " or ".join("a data set" if kind is Data else kind.__name__ for kind in kinds(tool))


def figure(tool: Tool) -> str:
    """What the figure of a result shows: the first line of the docstring of its drawing."""
    written = _strings(tool)
    said = []
    for kind in kinds(tool):
        places = [place[:2] for key, place in RESULTS.items() if key in written and _draws(place, kind)]
        if kind is Report or kind is Data:
            places += [place for word, place in REPORTS.items() if f"drawing={word}" in written]
        elif not places and "of" in written and kind in (Well, Table):
            places = [("plot_rocks", "tracks" if kind is Well else "crossplot")]
        elif not places and kind in DRAWINGS:
            places = [DRAWINGS[kind]]
        said += [_first_line(place) for place in places]
        said += ["that of the kind of data which comes back."] if kind is Data else []
    return " Or: ".join(dict.fromkeys(said)) or "none, the numbers are the answer."


def _drawing(place: tuple[str, ...]) -> Any:
    return getattr(importlib.import_module(f"moho.{place[0]}"), place[1])


def _draws(place: tuple[str, ...], kind: type[Data]) -> bool:
    return bool(next(iter(inspect.signature(_drawing(place)).parameters.values())).annotation == kind.__name__)


def _first_line(place: tuple[str, ...]) -> str:
    words = (inspect.getdoc(_drawing(place)) or "").split("\n", 1)[0].split(" Arrays:")[0].strip()
    return words if words.endswith(".") else f"{words}."


@cache
def _functions(module: str) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def _strings(tool: Tool) -> set[str]:
    """Dictionary keys, and `drawing=...` keywords, in the body of a tool and of the functions of its module that it calls."""
    held = _functions(tool.function.__module__)
    seen: set[str] = set()
    found: set[str] = set()

    def visit(name: str) -> None:
        seen.add(name)
        for statement in held[name].body:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and node.id in held and node.id not in seen:
                    visit(node.id)
                found.update(_words(node))

    visit(tool.name)
    return found


def _words(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Dict):
        yield from (key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
    if isinstance(node, ast.keyword) and node.arg == "drawing":
        chosen: list[Any] = [part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant)]
        yield from (f"drawing={word}" for word in chosen)
