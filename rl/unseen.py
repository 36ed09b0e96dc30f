"""How well a model calls tools that it was never trained on, from what a plugin brings: name, first line, arguments.

`tests/unseen/tools.py` holds ten such tools, without phrasings, and `tests/unseen/requests.jsonl` requests for them, a JSON object a line:

    {"id": "smooth_map-1", "request": "Smooth the bouguer map with a 2 km radius", "catalogue": {"bouguer": "Grid"},
     "tool": "smooth_map", "arguments": {"raster": "bouguer", "radius": "2 km"}}

Values stand as the decision copies them, `?` for what was not said. The tools are registered only while they are scored, beside all others,
and a request is offered tools as the agent offers them. The model itself is shown no more than names of tools and arguments: first lines help
to offer, and units, choices and kinds make the grammar. What is decided after a first call is not measured here.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moho.agent import decision, offer
from moho.agent.registry import MARK, TOOLS, Tool, load_tools
from moho.errors import DataError
from moho.rl import scores, sft

GROUPS = ("all", "all said", "left open", "named", "paraphrased")  # of the requests; then the tools
FOLDER = Path(__file__).resolve().parents[1] / "tests" / "unseen"  # beside the package in a checkout; an installed package has none


@dataclass(frozen=True)
class Asked:
    """A request for one of the tools, and the call that is right."""

    id: str
    request: str
    catalogue: Mapping[str, str]  # name -> kind
    tool: str
    arguments: Mapping[str, str]

    @property
    def reply(self) -> str:
        """The right call as the model writes it."""
        return decision.write_call(self.tool, self.arguments)

    @property
    def open(self) -> bool:
        """Whether something required was not said."""
        return MARK in self.arguments.values()

    @property
    def named(self) -> bool:
        """Whether a word of the request begins like one of the tool's name: "correlation" like `correlate_sweep`."""
        words = re.findall(r"[a-z]+", self.request.casefold())
        return any(word.startswith(part[:6]) for part in self.tool.split("_") for word in words)


def requests(folder: Path = FOLDER) -> list[Asked]:
    """The requests that are scored; DataError where there are none."""
    lines = _file(folder, "requests.jsonl").read_text(encoding="utf-8").splitlines()
    return [Asked(**json.loads(line)) for line in lines if line.strip()]


@contextmanager
def registered(folder: Path = FOLDER) -> Iterator[dict[str, Tool]]:
    """The tools of `folder`, registered beside all others until the context ends."""
    path = _file(folder, "tools.py")
    before = frozenset(load_tools())
    spec = importlib.util.spec_from_file_location("moho_unseen_tools", path)
    if spec is None or spec.loader is None:
        raise DataError("E_FORMAT", f"{path} is no module of tools")
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        offer.forget()
        yield {name: tool for name, tool in TOOLS.items() if name not in before}
    finally:
        for name in set(TOOLS) - before:
            del TOOLS[name]
        offer.forget()


def score(
    decide: Callable[[decision.Situation], str],
    rows: Sequence[Asked] | None = None,
    choose: Callable[[str, Mapping[str, str]], Sequence[str]] = offer.choose,
    folder: Path = FOLDER,
) -> dict[str, Any]:
    """Shares of the requests whose tool was on offer, was called, and was called with just the right arguments; `choose` makes the offer.

    A tool that is not on offer cannot be called: `exact where offered` is what the model does of what it can do. Intervals are over tools,
    whose requests are drawn together: it is the next tool, not the next request for one of these, that is asked about.
    """
    wrong = []
    with registered(folder) as tools:
        counts: dict[str, dict[str, list[tuple[bool, bool, bool]]]] = {group: defaultdict(list) for group in (*GROUPS, *tools)}
        for row in requests(folder) if rows is None else rows:
            situation = decision.Situation(row.request, row.catalogue, list(choose(row.request, row.catalogue)))
            reply = decide(situation)
            offered, exact = row.tool in situation.tools, sft.same(reply, row.reply)
            right = reply.partition("(")[0] == row.tool
            for group in ("all", "left open" if row.open else "all said", "named" if row.named else "paraphrased", row.tool):
                counts[group][row.tool].append((offered, right, exact))
            if not exact:
                wrong.append({"id": row.id, "request": row.request, "offered": offered, "wanted": row.reply, "got": reply})
    return {"tools": len(counts["all"]), "scores": {group: _shares(by_tool) for group, by_tool in counts.items() if by_tool}, "wrong": wrong}


def words(result: Mapping[str, Any]) -> list[str]:
    """What `score` returns as lines of text: intervals for all requests, shares for the others."""
    lines = []
    for name, one in result["scores"]["all"].items():
        low, high = one["interval"] or (0.0, 1.0)
        lines.append(f"{name:<20} {one['share'] or 0:.3f}  ({low:.3f} to {high:.3f}, n = {one['n']}, {result['tools']} tools)")
    for group, row in list(result["scores"].items())[1:]:
        lines.append(f"  {group:<18} " + "  ".join(f"{name} {one['share'] or 0:.2f}" for name, one in row.items()) + f"  (n = {row['offered']['n']})")
    return lines


def _shares(by_tool: Mapping[str, Sequence[tuple[bool, bool, bool]]]) -> dict[str, Any]:
    (first, *others) = by_tool.values()
    alike = [first, *others] if others else [[one] for one in first]

    def over(count: Callable[[tuple[bool, bool, bool]], bool], of: Callable[[tuple[bool, bool, bool]], bool] = lambda one: True) -> dict[str, Any]:
        return scores.share([(sum(count(one) and of(one) for one in several), sum(map(of, several))) for several in alike])

    return {
        "offered": over(lambda one: one[0]),
        "tool": over(lambda one: one[1]),
        "exact": over(lambda one: one[2]),
        "exact where offered": over(lambda one: one[2], lambda one: one[0]),
    }


def _file(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise DataError("E_NOT_FOUND", f"the unseen tools are not at {folder}", "They come with a checkout of Moho, not with an installed package.")
    return path
