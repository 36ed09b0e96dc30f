"""The figures of an adapter's card, and whether they come out again: one command plays them all, and says what the card says beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from moho import store
from moho.agent.model import make
from moho.errors import DataError
from moho.rl import evaluate, scores, sft, unseen
from moho.rl.instructions import Writer

REQUESTS = Path(__file__).resolve().parents[1] / "tests" / "requests" / "test.jsonl"
DECISIONS, SEED = 300, 4242
PLACES = 0.02  # a share may differ by from one processor to another, whose sums round otherwise

Share = dict[str, Any]  # share, n, interval: see `moho.rl.scores.share`


def measure(model: str = "embedded", tell: Callable[[str], None] = lambda words: None) -> dict[str, Share]:
    """Every figure by its name: held-out requests by outcome, decisions in seen and in unseen manners of asking, unseen tools."""
    from moho.agent.embedded import embedded

    scheme, _, variant = model.partition(":")
    if scheme != "embedded":
        raise DataError("E_UNSUPPORTED", f"the figures of a card are of the embedded model, not {model!r}", "`moho evaluate requests` plays any.")
    if not REQUESTS.exists():
        raise DataError("E_NOT_FOUND", f"the held-out requests are not at {REQUESTS}", "They come with a checkout of Moho, not with a package.")
    tell("held-out requests, played through the whole agent")
    rows, chat = evaluate.load(REQUESTS), make(model)
    played = scores.table([evaluate.evaluate(rows, lambda row: chat, lambda one: None)])
    found: dict[str, Share] = {
        f"requests: {group}": {"share": row["pass^1"], "n": row["requests"], "interval": row["interval"]} for group, row in played["scores"].items()
    }
    found |= {f"requests: {name}": one for name, one in scores.measures(played).items()}
    for kind in ("invented_numbers", "invented_references"):
        found[f"requests: {kind.replace('_', ' ')}"] = {"share": played[kind], "n": len(rows), "interval": None}
    for name, held_out in (("seen", False), ("unseen", True)):
        tell(f"decisions, asked for in {name} manners")
        decided = sft.measure(embedded(variant), list(Writer(SEED, held_out=held_out).examples(DECISIONS)))
        found |= {f"decisions, {name} manners: {group}": row["exact"] for group, row in decided["scores"].items()}
        found[f"decisions, {name} manners: right tool"] = decided["scores"]["all"]["name"]
    tell("tools that no training has seen")
    found |= {f"unseen tools: {name}": one for name, one in unseen.score(embedded(variant).decide)["scores"]["all"].items()}
    return found


def words(found: Mapping[str, Share], said: Mapping[str, Share]) -> list[str]:
    """A table, with what the card says where it says something."""
    lines = []
    for name, one in found.items():
        low, high = one["interval"] or (0.0, 0.0)
        line = f"{name:<44} {one['share'] if one['share'] is not None else float('nan'):7.3f}  n {one['n']:4d}"
        line += f"  ({low:.3f} to {high:.3f})" if one["interval"] else ""
        if name in said:
            line += f"  card {said[name]['share']:.3f}" if said[name]["share"] is not None else "  card -"
        lines.append(line)
    return lines


def apart(found: Mapping[str, Share], said: Mapping[str, Share], most: float = PLACES) -> list[str]:
    """The names of the figures that differ from the card's by more than `most`, or by more than one case where that is more."""
    return [
        name
        for name, one in found.items()
        if name in said and one["n"] and one["share"] is not None and abs(one["share"] - said[name]["share"]) > max(most, 1.01 / one["n"])
    ]


def write(folder: Path, found: Mapping[str, Share]) -> None:
    """Put the figures into the card of the adapter in `folder`."""
    path = folder / "adapter.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    store.atomic_write(path, (json.dumps(card | {"scores": dict(found)}, indent=1) + "\n").encode(), replace=True)
