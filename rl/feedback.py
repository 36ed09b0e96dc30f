"""What of people's feedback (`moho.agent.feedback`) may be trained on: corrections, and decisions that were called good.

The last word of a person on a run counts. Where two people disagree both are kept and neither is trained on.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from moho.agent import decision
from moho.agent.better import fault, meant_alike
from moho.agent.feedback import GOOD, WITHDRAWN, Said, differ
from moho.rl.instructions import Example


@dataclass(frozen=True)
class Correction:
    """A decision that people corrected: what Moho replied, and what would have been right."""

    situation: decision.Situation
    reply: str
    right: str

    @property
    def example(self) -> Example:
        """To be trained on or measured."""
        name = self.right.partition("(")[0]
        return Example(self.situation, self.right, "corrected", "" if name in ("answer", "refuse") else name)


@dataclass(frozen=True)
class Learnable:
    """What may be trained on, and what may not with the reason."""

    corrections: Sequence[Correction] = ()
    liked: Sequence[Example] = ()  # decisions of runs that people called good
    excluded: Sequence[tuple[Said, str]] = field(default_factory=tuple)


def learnable(said: Sequence[Said]) -> Learnable:
    """What of it may be trained on: looked at again, without what is contradicted, and each correction once."""
    last: dict[tuple[str, str, str], Said] = {}
    for one in said:
        last[one.person, one.project, one.run] = one
    runs: dict[tuple[str, str], list[Said]] = defaultdict(list)
    for one in last.values():
        if one.verdict != WITHDRAWN:
            runs[one.project, one.run].append(one)
    excluded: list[tuple[Said, str]] = []
    rights: dict[str, list[tuple[Said, Correction]]] = defaultdict(list)
    liked: dict[str, list[tuple[Said, Example]]] = defaultdict(list)
    for group in runs.values():
        if any(differ(one, other) for one in group for other in group):
            excluded += [(one, "people disagree about this run") for one in group]
            continue
        for one in group:
            if one.verdict == GOOD:
                for d in one.decisions:
                    if not fault(d.situation, d.reply):
                        liked[_key(d.situation)].append((one, Correction(d.situation, "", d.reply).example))
            elif not one.reply:
                excluded.append((one, one.refused or "bad, without what would have been better"))
            elif (at := next((d for d in one.decisions if d.number == one.number), None)) is None:
                excluded.append((one, f"there is no decision {one.number} in this run"))
            elif reason := fault(at.situation, one.reply):
                excluded.append((one, reason))
            else:
                rights[_key(at.situation)].append((one, Correction(at.situation, at.reply, one.reply)))
    corrections, good = [], []
    for key, several in rights.items():
        first = several[0][1]
        if not all(meant_alike(other.right, first.right) for _, other in several[1:]):
            excluded += [(one, "the same request was corrected to different replies") for one, _ in several]
        elif not all(meant_alike(example.reply, first.right) for _, example in liked.get(key, [])):
            excluded += [(one, "what was corrected here was called good elsewhere") for one, _ in several]
            liked.pop(key)
        else:
            corrections.append(first)
    for key, others in liked.items():
        if key not in rights:
            good.append(others[0][1])
    return Learnable(corrections, [Example(e.situation, e.reply, "liked", e.tool) for e in good], excluded)


def _key(situation: decision.Situation) -> str:
    """A digest of all that a decision depends on."""
    return sha256(json.dumps(decision.prompt(situation), ensure_ascii=False).encode()).hexdigest()
