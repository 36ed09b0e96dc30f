"""Every number of an answer bound to its source, or struck.

A source is a step's result (`step:1:energy_band`), a step's argument (`step:1:low`), or the person's own words (`request`).
Bindings `{s1.energy_band}` are replaced by number and unit; numbers written out are looked up among the sources, at the
precision they are written with. What has no source goes back to the model once and is then struck with a visible mark.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moho.agent.quantities import quantities
from moho.project import StepRecord
from moho.units import Quantity, Unit, parse

STRUCK = "[number struck: no source]"
_BINDING = re.compile(r"\{s(\d+)\.(\w+)\}")
_NUMBER = re.compile(r"(?<![\w.])[-+−]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w]|\.\d)")


@dataclass(frozen=True)
class Bound:
    """A number as the answer shows it, and where it comes from."""

    text: str
    value: Any
    unit: str
    source: str

    def json(self) -> dict[str, Any]:
        """As `moho ask --json` prints it."""
        return {"text": self.text, "value": self.value, "unit": self.unit, "source": self.source}


@dataclass(frozen=True)
class Checked:
    """An answer after the check."""

    text: str
    numbers: Sequence[Bound]
    unbound: Sequence[str]  # numbers without a source, struck in `text`
    unknown: Sequence[str]  # bindings to results that do not exist, struck in `text`


def check(text: str, steps: Sequence[StepRecord], request: str, names: Sequence[str] = ()) -> Checked:
    """`text` with bindings resolved and numbers without a source struck. `names` of data sets may hold digits."""
    facts = {(step.id, key): q for step in steps for key, q in step.facts().items()}
    numbers: list[Bound] = []
    unknown: list[str] = []
    pieces: list[str] = []
    unbound: list[str] = []
    sources = _sources(steps, facts)
    spoken = {_plain(word) for word in re.findall(_NUMBER, request)} | _said(request)
    words = {*names, *(q.label for q in facts.values() if re.search(r"\d", q.label))}  # names and labels hold digits of their own
    words |= {word[:1].upper() + word[1:] for word in words}
    protected = re.compile("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True) if word)) if any(words) else None

    def resolve(match: re.Match[str]) -> str:
        step, key = int(match[1]), match[2]
        if (quantity := facts.get((step, key))) is None:
            unknown.append(match[0])
            return STRUCK
        numbers.append(Bound(str(quantity), quantity.value, quantity.unit, f"step:{step}:{key}"))
        return str(quantity)

    def look_up(match: re.Match[str]) -> str:
        written = match[0]
        value = float(_plain(written))
        for key, source in sources:
            if abs(key - value) <= _precision(written) + 1e-9 * abs(value):
                numbers.append(Bound(written, value, source[1], source[0]))
                return written
        if _plain(written) in spoken or f"{value:g}" in spoken:
            numbers.append(Bound(written, value, "", "request"))
            return written
        unbound.append(written)
        return STRUCK

    position = 0
    for match in _BINDING.finditer(text):
        pieces += [_outside(text[position : match.start()], look_up, protected), resolve(match)]
        position = match.end()
    pieces.append(_outside(text[position:], look_up, protected))
    return Checked("".join(pieces), numbers, unbound, unknown)


def _outside(text: str, look_up: Any, protected: re.Pattern[str] | None) -> str:
    """Numbers looked up everywhere but inside the names of data sets."""
    if protected is None:
        return _NUMBER.sub(look_up, text)
    pieces, position = [], 0
    for match in protected.finditer(text):
        pieces += [_NUMBER.sub(look_up, text[position : match.start()]), match[0]]
        position = match.end()
    return "".join([*pieces, _NUMBER.sub(look_up, text[position:])])


def _sources(steps: Sequence[StepRecord], facts: Mapping[tuple[int, str], Quantity]) -> list[tuple[float, tuple[str, str]]]:
    """Every number that a step returned or was given, with its source and unit; results before arguments."""
    found = []
    for (step, key), quantity in facts.items():
        for value in quantity.value if isinstance(quantity.value, (list, tuple)) else [quantity.value]:
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                found.append((float(value), (f"step:{step}:{key}", quantity.unit)))
            elif isinstance(value, str):
                found += [(float(_plain(word)), (f"step:{step}:{key}", "")) for word in _NUMBER.findall(value)]
    for record in steps:
        for key, value in record.arguments.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                found.append((float(value), (f"step:{record.id}:{key}", "")))
    return found


def _said(request: str) -> set[str]:
    values = set()
    for written in quantities(request):
        try:
            values.add(f"{parse(written.split(' ')[0], Unit('')):g}")
        except ValueError:
            continue
    return values


def _plain(written: str) -> str:
    return written.replace(",", "").replace("−", "-").lstrip("+")


def _precision(written: str) -> float:
    """Half a unit of the last digit written: '8.5' stands for 8.45 to 8.55, '534' for nothing else among whole numbers."""
    plain = _plain(written).lower()
    mantissa, _, exponent = plain.partition("e")
    decimals = len(mantissa.partition(".")[2])
    return float(0.4999999 * 10.0 ** (int(exponent or 0) - decimals))
