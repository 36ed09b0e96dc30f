"""What a model scored: one record a request played, kept a line at once, and the tables made of them.

Intervals are 95 % percentile bootstraps over requests: all plays of a request are drawn together, for they are alike. How a request is
played and checked is in `moho.rl.evaluate`, how the scores read as a page in `moho.rl.report`.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

RESAMPLED = 2000  # draws of a bootstrap
LABELS = {"ask": "question", "refuse": "refused"}  # how a turn ends -> the status it has then


@dataclass(frozen=True)
class Ended:
    """How one turn ended, and how it might have."""

    status: str
    allowed: tuple[str, ...]
    passed: bool = True
    premise: bool = False  # whether a premise was to be corrected
    corrected: bool = False  # whether one was

    @property
    def due(self) -> str:
        """The status that was due: the one it has where that is allowed."""
        return self.status if self.status in self.allowed else self.allowed[0]


@dataclass(frozen=True)
class Scored:
    """One request, played once."""

    id: str
    discipline: str
    kind: str
    passed: bool
    why: str  # the first check that failed
    seconds: float
    invented: int  # numbers of the answers that had no source
    replies: tuple[str, ...]  # what the model did, for reading
    steps: int = 0  # calls of its script
    ended: tuple[Ended, ...] = ()  # turn by turn
    tools: tuple[int, int] = (0, 0)  # calls of the script, and how many of their tools were called
    exact: int = 0  # of them called with exactly the script's arguments
    called: int = 0  # calls the model wrote
    numbers: tuple[int, int] = (0, 0)  # wanted, and stated within their tolerances
    references: int = 0  # sentences struck for a key that was not retrieved, or for none
    tokens: tuple[int, int] = (0, 0)  # read and written, where the model tells
    play: int = 0  # which of several plays

    def json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Scored:
        """From a line of a file."""
        known = {key: value for key, value in row.items() if key in cls.__dataclass_fields__}
        plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in known.items()}
        ended = tuple(Ended(**one | {"allowed": tuple(one["allowed"])}) for one in row.get("ended", ()))
        return cls(**plain | {"ended": ended})


class Kept:
    """A file of what one model scored: each play is appended and synced when it ends, and known again in a second run.

    `model` is the digest of the model's card, so that what another model scored is left alone.
    """

    def __init__(self, path: Path | None, model: str) -> None:
        self.path, self.model = path, model
        self.done: dict[tuple[str, int], Scored] = {}
        if path is None or not path.exists():
            return
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:  # cut short by a kill
                continue
            if row.get("model") == model:
                scored = Scored.of(row)
                self.done[scored.id, scored.play] = scored

    def append(self, scored: Scored) -> None:
        """Keep one play."""
        self.done[scored.id, scored.play] = scored
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = not self.path.exists() or self.path.read_bytes()[-1:] in (b"\n", b"")
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(("" if whole else "\n") + json.dumps({"model": self.model} | scored.json(), ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def table(scored: Sequence[Sequence[Scored]]) -> dict[str, Any]:
    """All scores of several plays of the same requests.

    `scores`: pass^1 (mean share passed) and pass^n (share passed in every one of n plays), in all, by kind, by discipline and by the steps
    of the script. `calls`: shares of the script's calls whose tool was called, and that were made with the same arguments. `numbers`:
    share of those wanted that were stated within tolerance. `ends`: precision and recall of questions, refusals and corrections.
    """
    plays: dict[str, list[Scored]] = defaultdict(list)
    for once in scored:
        for one in once:
            plays[one.id].append(one)
    groups: dict[str, list[list[Scored]]] = defaultdict(list)
    for several in plays.values():
        first = several[0]
        steps = "several" if first.steps > 1 else "single" if first.steps else "none"
        for group in ("all", f"kind {first.kind}", f"discipline {first.discipline}", f"steps {steps}"):
            groups[group].append(several)
    rows = {
        group: {
            "requests": len(members),
            "pass^1": round(sum(one.passed for several in members for one in several) / sum(map(len, members)), 4),
            f"pass^{len(scored)}": round(sum(all(one.passed for one in several) for several in members) / len(members), 4),
            "interval": share([(sum(one.passed for one in several), len(several)) for several in members])["interval"],
        }
        for group, members in sorted(groups.items())
    }
    requests = list(plays.values())
    everything = [one for several in requests for one in several]
    times = sorted(one.seconds for one in everything)
    told = [one.tokens for one in everything if any(one.tokens)]
    return {
        "scores": rows,
        "calls": {
            "tool": share([_sums(several, lambda one: (one.tools[1], one.tools[0])) for several in requests]),
            "exact": share([_sums(several, lambda one: (one.exact, one.tools[0])) for several in requests]),
            "written_per_script_call": round(sum(one.called for one in everything) / max(sum(one.tools[0] for one in everything), 1), 3),
        },
        "numbers": share([_sums(several, lambda one: (one.numbers[1], one.numbers[0])) for several in requests]),
        "ends": {label: ends(requests, label) for label in (*LABELS, "correct")},
        "invented_numbers": sum(one.invented for one in everything),
        "invented_references": sum(one.references for one in everything),
        "seconds": {"median": round(times[len(times) // 2], 3), "mean": round(sum(times) / len(times), 3)} if times else {},
        "tokens": {"read": round(sum(r for r, _ in told) / len(told)), "written": round(sum(w for _, w in told) / len(told))} if told else {},
    }


def ends(requests: Sequence[Sequence[Scored]], label: str) -> dict[str, Any]:
    """Precision and recall of one way to end a turn, over every turn played: "ask", "refuse" or "correct".

    `right` is the share of those that were due and done whose check passed too: asked about the right thing, refused for the right reason.
    """
    counts = []  # due and done, done, due, due and done and right
    for several in requests:
        turns = [turn for one in several for turn in one.ended]
        if label == "correct":
            pairs = [(turn.premise, turn.corrected, turn.passed) for turn in turns]
        else:
            pairs = [(turn.due == LABELS[label], turn.status == LABELS[label], turn.passed) for turn in turns]
        counts.append(
            (
                sum(due and did for due, did, _ in pairs),
                sum(did for _, did, _ in pairs),
                sum(due for due, _, _ in pairs),
                sum(due and did and right for due, did, right in pairs),
            )
        )
    return {
        "precision": share([(both, done) for both, done, _, _ in counts]),
        "recall": share([(both, due) for both, _, due, _ in counts]),
        "right": share([(right, both) for both, _, _, right in counts]),
    }


def share(counts: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """The ratio of two sums over requests, what it counts, and its interval; null where nothing was counted."""
    pairs = np.array(counts, float).reshape(-1, 2)
    total = pairs.sum(axis=0)
    if not total[1]:
        return {"share": None, "n": 0, "interval": None}
    chosen = np.random.default_rng(0).integers(0, len(pairs), (RESAMPLED, len(pairs)))
    drawn = pairs[chosen].sum(axis=1)  # (draw, 2)
    ratios = drawn[drawn[:, 1] > 0]
    low, high = np.percentile(ratios[:, 0] / ratios[:, 1], [2.5, 97.5])
    return {"share": round(float(total[0] / total[1]), 4), "n": int(total[1]), "interval": [round(float(low), 4), round(float(high), 4)]}


def words(result: Mapping[str, Any]) -> list[str]:
    """A table as lines of text."""
    lines = []
    for group, score in result["scores"].items():
        low, high = score["interval"]
        rest = "  ".join(f"{key} {value}" for key, value in score.items() if key != "interval")
        lines.append(f"{group:<28} {rest}  ({low:.3f} to {high:.3f})")
    for name, one in measures(result).items():
        if one["share"] is not None:
            low, high = one["interval"]
            lines.append(f"{name:<28} {one['share']:.3f}  ({low:.3f} to {high:.3f}, n = {one['n']})")
    seconds, tokens = result["seconds"], result["tokens"]
    lines.append(f"invented numbers {result['invented_numbers']}, invented references {result['invented_references']}")
    lines.append(f"seconds a request: median {seconds['median']}, mean {seconds['mean']}" if seconds else "nothing was played")
    if tokens:
        lines.append(f"tokens a request: {tokens['read']} read, {tokens['written']} written")
    return lines


def measures(result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The shares of a table other than those passed, by their names."""
    found = {"right tool": result["calls"]["tool"], "right arguments": result["calls"]["exact"], "numbers in tolerance": result["numbers"]}
    for label, row in result["ends"].items():
        found |= {f"{label}: {name}": one for name, one in row.items()}
    return found


def _sums(several: Sequence[Scored], count: Any) -> tuple[int, int]:
    pairs = [count(one) for one in several]
    return sum(a for a, _ in pairs), sum(b for _, b in pairs)
