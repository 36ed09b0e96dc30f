"""What a person took for granted about their data, against what was measured.

A number in the request that no call used ("this 600-trace line") may be a premise. It is held against the one measured number it
can only be about: of the same unit, and named in the same clause by the words of its label. Which one that is, MiniLM's
nearness says, less so the further the numbers are apart; below `NEAR` nothing is said. So a wrong premise is corrected whatever model answers.

In the same way a part of a question that names a number which an inspecting step has measured is answered with it, also where the
model's answer left it out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from moho.agent import ledger
from moho.agent.decision import numeric
from moho.agent.model import differs
from moho.agent.quantities import quantities
from moho.agent.registry import find_tool
from moho.project import StepRecord
from moho.units import Quantity, Unit, parse, unit_of

NEAR = {True: 0.2, False: 0.3}  # cosine between the clause of a number, with a unit or a bare count, and the label it is taken to be about
LEAD = 0.05  # by which the nearest label has to be nearer than the next that is about something else
FAR = 0.1  # taken from the nearness for each power of ten between two numbers with a unit


ASKED = 0.6  # cosine between a part of a question and the label of the number it asks for
ALIKE = 0.9  # of the best: another label as near as this, when it is in the answer, has answered the part


def left_out(request: str, steps: Sequence[StepRecord], answered: Sequence[tuple[int, str]], names: Sequence[str] = ()) -> list[tuple[int, str]]:
    """(step, key) of each number that a part of the request names, an inspecting step has measured, and `answered` does not hold."""
    from moho.knowledge.embed import embed

    facts = [(step.id, key, q) for step in steps if find_tool(step.tool).stage == "inspect" for key, q in step.facts().items()]
    if not facts:
        return []
    parts = [part for part in re.split(r"[,;?!]\s*|\.\s+|\s+(?:and|also|plus|then)\s+", without(request, names)) if len(part.split()) > 1]
    vectors = embed([*parts, *(_label(key, quantity) for _, key, quantity in facts)])
    found: list[tuple[int, str]] = []
    for near in vectors[: len(parts)] @ vectors[len(parts) :].T:
        best = int(np.argmax(near))
        enough = [(step, key) for (step, key, _), value in zip(facts, near, strict=True) if value >= ALIKE * near[best]]
        if near[best] >= ASKED and not set(enough) & {*answered, *found}:
            found.append(facts[best][:2])
    return found


def wrong(request: str, steps: Sequence[StepRecord], names: Sequence[str] = ()) -> list[tuple[str, int, str]]:
    """(as it was said, step, key) of each number of the request that a measured one contradicts. `names` of data sets hold no premises."""
    text = without(request, names)
    facts = [(step.id, key, quantity) for step in steps for key, quantity in step.facts().items() if numeric(quantity)]
    found = []
    for written in (quantity.removesuffix(" samples") for quantity in quantities(text)):
        if ledger.took(steps, written) or _in_a_range(text, written):
            continue
        alike = [(step, key, quantity) for step, key, quantity in facts if _same_kind(written, quantity)]
        if not alike or not all(differs(written, quantity) for _, _, quantity in alike):
            continue
        if (about := _about(_clause(text, written), written, alike)) is not None:
            found.append((written, *about))
    return found


def _about(clause: str, written: str, alike: Sequence[tuple[int, str, Quantity]]) -> tuple[int, str] | None:
    """The step and key whose label the clause names."""
    from moho.knowledge.embed import embed

    labels = [_label(key, quantity) for _, key, quantity in alike]
    vectors = embed([clause, *labels])
    near = vectors[1:] @ vectors[0]
    if unit_of(written):
        near -= FAR * np.array([_decades(written, quantity) for _, _, quantity in alike])
    first = int(np.argmax(near))
    rivals = [value for value, label in zip(near, labels, strict=True) if not _words(label) & _words(labels[first])]
    if near[first] < NEAR[bool(unit_of(written))] or (rivals and near[first] - max(rivals) < LEAD):
        return None
    return alike[first][0], alike[first][1]


def _label(key: str, quantity: Quantity) -> str:
    return quantity.label or key.replace("_", " ")


def without(request: str, names: Sequence[str]) -> str:
    """The request with "data" for the names of data sets."""
    for name in sorted(names, key=len, reverse=True):
        request = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "data", request, flags=re.I)
    return request


def _words(label: str) -> set[str]:
    return {word.rstrip("s") for word in re.findall(r"[a-z]{4,}", label.lower())}


def _decades(written: str, quantity: Quantity) -> float:
    """How many powers of ten a number is away from a measured one, three at most."""
    said = abs(parse(written, Unit(quantity.unit)))
    values = quantity.value if isinstance(quantity.value, list) else [quantity.value]
    ratios = [abs(np.log10(abs(value) / said)) for value in values if value and said]
    return float(min([*ratios, 3.0]))


def _in_a_range(text: str, written: str) -> bool:
    """Whether a number is one end of a range: what is wanted, not what is taken to be so."""
    number = re.escape(written.split(" ")[0])
    return bool(re.search(rf"(?<![\w.]){number}\s?[-–]\s?\d|\d\s?[-–]\s?{number}(?![\d.]*\d)", text))


def _clause(text: str, written: str) -> str:
    """The clause that holds a quantity."""
    number = re.escape(written.split(" ")[0])
    parts = re.split(r"[,;?!]\s*|\.\s+|\s+(?:and|but|so|then)\s+", text)
    return next((part for part in parts if re.search(rf"(?<!\w){number}", part)), text)


def _same_kind(written: str, quantity: Quantity) -> bool:
    """Whether both have a unit and one becomes the other, or neither has one and both are counts."""
    if not unit_of(written):
        return not quantity.unit and isinstance(quantity.value, int)
    if not quantity.unit or quantity.unit == "unknown":
        return False
    try:
        parse(written, Unit(quantity.unit))
    except ValueError:
        return False
    return True
