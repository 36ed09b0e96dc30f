"""Every number of an answer bound to its source, or struck.

A source is a step's result (`step:1:energy_band`), a step's argument (`step:1:low`), or the person's own words (`request`).
Bindings `{s1.energy_band}` are replaced by number and unit; numbers written out are looked up among the sources, at the
precision they are written with. What has no source goes back to the model once and is then struck with a visible mark.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moho.agent.quantities import SPOKEN_QUANTITY, quantities
from moho.agent.registry import find_tool
from moho.project import StepRecord
from moho.units import WORDS, Quantity, Unit, parse, unit_of

STRUCK = "[number struck: no source]"
BINDING = re.compile(r"\{s(\d+)\.(\w+)\}")
# A number may have its unit glued to it ("37Hz") or follow a label ("CDP412"); the digits of "S1", "WGS84", "kg/m3" and "3D" are words.
_NUMBER = re.compile(
    r"(?:(?<![^\W_])(?<!\w_)(?<!\d\.)|(?<=cdp)|(?<=cmp)|(?<=shot)|(?<=trace)|(?<=line))"
    r"(?![1-4]-?d\b)[-+−]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?[¼-¾⅐-⅞]?|\.\d+|[¼-¾⅐-⅞])(?:e[-+]?\d+|[⁰¹²³⁴-⁹⁻]+)?(?!\d|\.\d)",
    re.I,
)


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
    heard = {_plain(word) for word in re.findall(_NUMBER, request)} | _said(request)
    labels = {q.label for q in facts.values() if re.search(r"\d", q.label)}
    words = {*names, *labels, *(f"step {step.id}" for step in steps)}  # these hold digits of their own
    words |= {word[:1].upper() + word[1:] for word in words}
    protected = _whole(words)

    def resolve(match: re.Match[str]) -> str:
        step, key = int(match[1]), match[2]
        if (quantity := facts.get((step, key))) is None:
            unknown.append(match[0])
            return STRUCK
        numbers.append(Bound(str(quantity), quantity.value, quantity.unit, f"step:{step}:{key}"))
        return str(quantity)

    def look_up(match: re.Match[str]) -> str:
        written = match[0]
        value = _value(written)
        for key, source in sources:
            if abs(key - value) <= _precision(written) + 1e-9 * abs(value):
                numbers.append(Bound(written, value, source[1], source[0]))
                return written
        if _plain(written) in heard or f"{value:g}" in heard:
            numbers.append(Bound(written, value, "", "request"))
            return written
        unbound.append(written)
        return STRUCK

    position = 0
    for match in BINDING.finditer(text):
        pieces += [_outside(text[position : match.start()], look_up, protected), resolve(match)]
        position = match.end()
    pieces.append(_outside(text[position:], look_up, protected))
    return Checked("".join(pieces), numbers, unbound, unknown)


class Flow:
    """The words of an answer as they come, held back until each number in them is bound: what is told of an answer before the whole is checked."""

    def __init__(self, steps: Sequence[StepRecord], request: str, names: Sequence[str] = ()) -> None:
        self._sources = steps, request, names
        self._held, self._stopped = "", False
        self.told = ""

    def feed(self, piece: str) -> str:
        """What can be told after another piece: up to the words that a number may still become part of, nothing from an unbound number on."""
        self._held += piece
        if self._stopped:
            return ""
        ready = self._held[: self._whole()]
        if not ready:
            return ""
        checked = check(ready, *self._sources)
        if checked.unbound or checked.unknown:
            self._stopped = True
            return ""
        self._held = self._held[len(ready) :]
        self.told += checked.text
        return checked.text

    def _whole(self) -> int:
        """How much of what is held is whole: no open binding, no begun word, no word that a number may go on after ("five hundred")."""
        open_ = self._held.rfind("{")
        upto = open_ if open_ > self._held.rfind("}") else len(self._held)
        words = list(re.finditer(r"\S+(?=\s)", self._held[:upto]))
        while words and all(part in WORDS or part in ("and", "point", "of") for part in re.findall(r"[a-z]+", words[-1][0].lower()) or ("",)):
            words.pop()
        return words[-1].end() if words else 0


def unused(request: str, steps: Sequence[StepRecord]) -> list[str]:
    """The quantities with a unit that the person gave and no step took, so that an answer can say so."""
    left = []
    for written in quantities(request):
        if unit_of(written) and not took(steps, written):
            left.append(written)
    return left


def took(steps: Sequence[StepRecord], written: str) -> bool:
    """Whether an argument of a step has the value of a quantity as the person wrote it."""
    return any(_took(step, written) for step in steps)


def _took(step: StepRecord, written: str) -> bool:
    for argument in find_tool(step.tool).arguments:
        value = step.arguments.get(argument.name)
        if argument.unit is None or argument.is_data or value is None:
            continue
        try:
            number = parse(written, Unit(argument.unit.symbol))
        except ValueError:
            continue
        values = value if isinstance(value, (list, tuple)) else [value]
        if any(isinstance(one, (int, float)) and abs(one - number) <= 1e-6 * max(abs(one), abs(number)) for one in values):
            return True
    return False


def _outside(text: str, look_up: Any, protected: re.Pattern[str] | None) -> str:
    """Numbers, in digits or in words with a unit, looked up everywhere but inside the names of data sets."""
    pieces, position = [], 0
    for match in protected.finditer(text) if protected is not None else ():
        pieces += [_checked(text[position : match.start()], look_up), match[0]]
        position = match.end()
    return "".join([*pieces, _checked(text[position:], look_up)])


def _checked(text: str, look_up: Any) -> str:
    """`text` with `look_up` of every number in it."""
    pieces, position = [], 0
    for match in SPOKEN_QUANTITY.finditer(text):
        pieces += [_NUMBER.sub(look_up, text[position : match.start()]), look_up(re.match(r".*", match[1])), text[match.end(1) : match.end()]]
        position = match.end()
    return "".join([*pieces, _NUMBER.sub(look_up, text[position:])])


def _sources(steps: Sequence[StepRecord], facts: Mapping[tuple[int, str], Quantity]) -> list[tuple[float, tuple[str, str]]]:
    """Every number that a step returned or was given, with its source and unit; results before arguments."""
    found = []
    for (step, key), quantity in facts.items():
        for value in quantity.value if isinstance(quantity.value, (list, tuple)) else [quantity.value]:
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                found.append((float(value), (f"step:{step}:{key}", quantity.unit)))
            elif isinstance(value, str):  # a time, a list of curves
                found += [(float(word), (f"step:{step}:{key}", "")) for word in re.findall(r"\d+(?:\.\d+)?", value)]
    for record in steps:
        for passage in record.result.get("citations", []):
            found += [(float(word), (f"passage:{passage['key']}", "")) for word in re.findall(r"\d+(?:\.\d+)?", passage["quote"])]
        for key, given in record.arguments.items():
            for value in given if isinstance(given, (list, tuple)) else [given]:
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    found.append((float(value), (f"step:{record.id}:{key}", "")))
    return found


def _whole(words: set[str]) -> re.Pattern[str] | None:
    """Names and labels as whole words; a name that is nothing but a number only in quotation marks."""
    parts = [
        rf"“{re.escape(word)}”" if _NUMBER.fullmatch(word) else rf"(?<![\w.]){re.escape(word)}(?!\w|\.\d)"
        for word in sorted(words, key=len, reverse=True)
        if word
    ]
    return re.compile("|".join(parts)) if parts else None


def _said(request: str) -> set[str]:
    values = set()
    for written in quantities(request):
        for number, unit in ((written.split(" ")[0], ""), (written, unit_of(written))):  # "500 m", "five hundred metres"
            with contextlib.suppress(ValueError):
                values.add(f"{parse(number, Unit(unit)):g}")
    return values


def _plain(written: str) -> str:
    return written.replace(",", "").replace("−", "-").lstrip("+")


def _precision(written: str) -> float:
    """Half a unit of the last digit written: '8.5' stands for 8.45 to 8.55, '534' for nothing else among whole numbers."""
    plain = _plain(written).lower() if written[-1:].isdecimal() else "0.00"
    mantissa, _, exponent = plain.partition("e")
    decimals = len(mantissa.partition(".")[2])
    half = float(0.4999999 * 10.0 ** (int(exponent or 0) - decimals))
    return min(half, 0.05 * abs(float(plain))) if exponent else half  # "1e3" is not 534


def _value(written: str) -> float:
    try:
        return float(_plain(written))
    except ValueError:
        if match := re.fullmatch(r"(-?)([¼-¾⅐-⅞])", _plain(written)):
            return unicodedata.numeric(match[2]) * (-1 if match[1] else 1)
        return parse(written, Unit("")) if written[:1].isalpha() else float("nan")  # a power has no source
