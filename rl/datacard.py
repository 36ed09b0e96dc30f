"""Instruction data written down: the examples as JSON lines, and a page that says what they are, by kind and by tool.

`moho train data --out FOLDER` writes both; a training run draws the same examples from the same seed and never reads them from a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from moho.agent import decision
from moho.agent.decisions import to_json
from moho.agent.registry import load_tools
from moho.agent.voices import asks, phrasings
from moho.rl.aliases import aliases
from moho.rl.instructions import Example, card, uncontaminated
from moho.rl.pen import HELD_OUT
from moho.rl.written import written

KINDS = {
    "call": "one call that the request says all of",
    "ask": "something required was not said, or not which data: left open as `?`",
    "chain": "a step of several, at any place of the chain",
    "answer": "the numbers that answer, named by step and key",
    "follow": "the next turn of a conversation",
    "correct": "a number the person takes for granted, held against the measured one",
    "lacking": "a call for which the project holds no data",
    "refuse": "what no tool does",
    "recover": "after an error",
}


def write(examples: Iterable[Example], out: Path, held_out: Sequence[str], seed: int) -> dict[str, Any]:
    """Write `examples.jsonl` and `card.md` into `out`; the counts. What shares eight words in a row with a held-out request is left out."""
    out.mkdir(parents=True, exist_ok=True)
    drawn = list(examples)
    kept = uncontaminated(drawn, held_out)
    with (out / "examples.jsonl").open("w", encoding="utf-8") as file:
        for example in kept:
            row = {"kind": example.kind, "tool": example.tool, "messages": decision.prompt(example.situation), "reply": example.reply}
            file.write(json.dumps(row | {"situation": to_json(example.situation)}, ensure_ascii=False) + "\n")
    counts = card(kept) | {"seed": seed, "removed_as_contaminated": len(drawn) - len(kept), "requests": len({e.situation.request for e in kept})}
    (out / "card.md").write_text("\n".join(_page(counts)) + "\n", encoding="utf-8")
    return counts


def _page(counts: dict[str, Any]) -> Iterator[str]:
    kept = sum(len(says) for says in phrasings(True).values())
    hands = sum(len(says) for says in phrasings().values())
    yield "# Instruction data"
    yield ""
    yield (
        f"{counts['examples']} decisions of {counts['requests']} different requests, seed {counts['seed']}: what the model is shown at one step, "
        "and the line it should reply. All are made by `rl/instructions.py` from the registry: a tool's signature, units and phrasings, values "
        "drawn and spelled as people write them, numbers that tools returned on made earths whose seeds no evaluation uses. A reply is right by "
        "construction and possible under the grammar of its situation."
    )
    yield ""
    yield (
        f"Manners of asking: {sum(len(t.say) for t in load_tools().values())} phrasings of the tools themselves, {hands} of other hands, "
        f"{sum(map(len, asks().values()))} ways to ask for a number, {len(written())} requests written whole with their steps; greetings, case, "
        f"slips of the finger, units and numbers in words. {sum(map(len, aliases().values()))} versions of the tools under other names stand in a "
        f"fifth of the lists. Kept apart, never trained on: the last {HELD_OUT} phrasings of every tool, {kept} phrasings and "
        f"{len(written(True))} whole requests of other hands, and everything in `tests/`. An example that shares eight words in a row "
        f"with a held-out request is left out ({counts['removed_as_contaminated']} were)."
    )
    yield ""
    yield "| kind | decisions | what it is |"
    yield "|---|---|---|"
    for kind, count in sorted(counts["kinds"].items(), key=lambda item: -item[1]):
        yield f"| {kind} | {count} | {KINDS.get(kind, '')} |"
    yield ""
    yield "| tool | decisions | | tool | decisions |"
    yield "|---|---|---|---|---|"
    tools = sorted((name or "none", count) for name, count in counts["tools"].items())
    half = -(-len(tools) // 2)
    for (name, count), other in zip(tools[:half], [*tools[half:], ("", "")], strict=False):
        yield f"| {name} | {count} | | {other[0]} | {other[1]} |"
    yield ""
    yield "Licence Apache-2.0. `moho train data --out FOLDER` writes the examples and this page."
