"""The numbers and units in what a person wrote, and the few of them that could be the value of one argument.

Nothing here decides what a number is for: it lists, with their units, the quantities that stand in a text, so that a
model can only copy a value that was said, and a value that nobody said can be told from one that was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from moho.agent.registry import Argument
from moho.units import SPELLINGS, SPOKEN, WORDS, Unit, parse, unit_of

LONG = {
    "seconds": "second", "second": "second", "milliseconds": "ms", "millisecond": "ms", "microseconds": "us", "hertz": "Hz",
    "metres per second": "m/s", "meters per second": "m/s", "kilometres per second": "km/s", "kilometers per second": "km/s",
    "feet per second": "ft/s", "grams per cc": "g/cc", "milligals": "mGal", "nanotesla": "nT", "ohm metres": "ohm.m", "ohm meters": "ohm.m",
    "minutes": "min", "percent": "%", "per cent": "%", "kg per cubic metre": "kg/m3",
}  # fmt: skip
_UNITS = sorted({*SPELLINGS, *LONG, "mHz", "kHz", "Hz", "mGal", "nT", "API", "km/s", "Ohm.m"}, key=len, reverse=True)
ORDERS = {"first", "second", "third", "fourth", "fifth", "linear", "quadratic", "cubic", "plane", "planar", "1st", "2nd", "3rd", "4th", "5th"}
_LOWER = {unit.lower() for unit in _UNITS}
_UNIT = "|".join(re.escape(unit) for unit in _UNITS)
_NUMERAL = (
    r"(?:[1-9]\d{0,2}(?:[,\u00a0\u202f]\d{3})+(?![\d,])|\d{1,3}(?: \d{3})* 000(?!\d)"
    r"|(?<!\d,)(?:0,\d+|\d+,\d{1,2})(?![\d,])|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|\.\d+"
)
_LABEL = r"(?<=cdp)|(?<=cmp)|(?<=shot)|(?<=il)|(?<=xl)|(?<=inline)|(?<=xline)|(?<=\dx)|(?<=\.\.)"  # "CDP180", "2x2 km"
_DIGITS = re.compile(
    rf"(?:(?<![\w.])|{_LABEL})(?P<number>(?:(?<![\d])[-−+])?(?:{_NUMERAL})(?: (?:hundred|thousand))?)"
    rf"(?P<gap>\s?-?)(?P<unit>(?:{_UNIT})(?!\s?=|\d))?(?![A-WYZa-wyz_])",
    re.I,
)
_NAMED = re.compile(r"(?<!\w)(?!cdp|cmp|shot|il\d|xl\d|inline|xline)([A-Za-z]\w*)-$", re.I)  # "F02-1": a name, not a number
_COUNTED = re.compile(r"(?<!\w)(?:cdp|cmp|trace|shot|record|station|inline|crossline|xline|il|xl)s?\W{0,2}$", re.I)
_FRACTIONS = {"½": 0.5, "¼": 0.25, "¾": 0.75}
_NTH = r"\d+(?:st|nd|rd|th)|first|second|third|fourth|linear|quadratic|cubic|planar"
_ORDINAL = re.compile(
    rf"(?<!\w)({_NTH})(?=[ -](?:order|degree|deg\b|trend|polynomial|surface))|(?<!\w)(plane)(?!\w| wave)",
    re.I,
)
_MIXED = re.compile(rf"(?<!\w)((?:\w+) and (?:a |an |one )?(?:half|quarter))(?: of an?| an?)? ?(?P<unit>{_UNIT})(?![A-Za-z])", re.I)
_SPOKEN_WORDS = sorted(
    (word for word in WORDS if word not in ("a", "an", "first", "second", "third", "plane", "planar") and not word[0].isdigit()),
    key=len,
    reverse=True,
)
_SPOKEN = re.compile(
    rf"(?<![\w.])(?P<number>(?:{SPOKEN}|{'|'.join(map(re.escape, _SPOKEN_WORDS))})(?: (?:hundred|thousand))?)"
    rf"(?:[ -](?:(?:a|an|of a|of an) )?(?P<unit>(?:{_UNIT})))?(?![A-Za-z])",
    re.I,
)
SPOKEN_QUANTITY = re.compile(rf"(?<!\w)({SPOKEN}|half an?|half|(?:a )?quarter(?: of an?)?)[ -](?:{_UNIT})(?![A-Za-z])", re.I)  # "thirty-seven Hz"
_RANGED = re.compile(r"^\s*(?:-|–|—|to|\.\.+)\s*$", re.I)
_JOINED = re.compile(r"^\s*(?:-|–|—|to|à|bis|and|,|/|&|or|till|until|thru|through|\.\.+)\s*$", re.I)


def quantities(text: str) -> tuple[str, ...]:
    """Every quantity in `text`, in order, as it may be written into an argument. A range gives its unit to both ends.

    >>> quantities("filter it 5-60 Hz, then AGC with half a second")
    ('5 Hz', '60 Hz', 'half a second')
    """
    return tuple(dict.fromkeys(mention.written for mention in mentions(text)))


@dataclass(frozen=True)
class Mention:
    """A quantity where it stands: as it may be written into an argument, and the words around it."""

    written: str
    before: str  # up to it, or up to the number that it makes a range with
    after: str


@lru_cache(maxsize=256)
def mentions(text: str) -> tuple[Mention, ...]:
    """Every quantity in `text`, in order, with the words before and after it."""
    found: list[list[str | int]] = []  # start, end, number, unit
    text = re.sub(r"\b(?:minus|negative) (?=[\d.])", "-", text, flags=re.I)
    text = re.sub(r"(\d*) ?([½¼¾])", lambda m: f"{int(m[1] or 0) + _FRACTIONS[m[2]]:g}", text)
    text = re.sub(rf"(?<![\d/.])(?:(\d+) )?([13])/([24])(?= ?(?:{_UNIT})(?![A-Za-z]))", lambda m: f"{int(m[1] or 0) + int(m[2]) / int(m[3]):g}", text)
    text = re.sub(rf"(?<!\w)three[- ]quarters?(?: of an?)?(?=[ -](?:{_UNIT})(?![A-Za-z]))", "0.75", text, flags=re.I)
    for match in _DIGITS.finditer(text):
        if (named := _NAMED.search(text, 0, match.start())) and named[1].lower() not in _LOWER:
            continue
        unit = match["unit"] or ""
        unit = LONG.get(unit.lower(), unit)
        end = match.end() if match["unit"] else match.end("number")
        found.append([match.start(), end, match["number"].replace("−", "-").lstrip("+"), unit])
    for match in _ORDINAL.finditer(text):
        found.append([match.start(), match.end(), match[1] or match[2], ""])
    for match in _MIXED.finditer(text):
        found.append([match.start(), match.end(), f"{match[1]} {match['unit']}", ""])
    for match in _SPOKEN.finditer(text):
        if match["number"].lower() in ("half", "quarter") and not match["unit"]:
            continue
        if match["unit"] and re.fullmatch(SPOKEN, match["number"], re.I):
            found.append([match.start(), match.end(), re.sub(r"[\s-]+", " ", match["number"]), LONG.get(match["unit"].lower(), match["unit"])])
            continue
        whole = match.group(0) if match["unit"] else match["number"]
        found.append([match.start(), match.start() + len(whole), re.sub(r"[\s-]+", " ", whole), ""])
    found.sort(key=lambda item: (int(item[0]), -int(item[1])))
    kept: list[list[str | int]] = []
    for item in found:
        if not kept or int(item[0]) >= int(kept[-1][1]):
            kept.append(item)
    for left, right in zip(reversed(kept[:-1]), reversed(kept[1:]), strict=True):
        between = text[int(left[1]) : int(right[0])]
        if not left[3] and right[3] and _JOINED.match(between) and not (between.strip() in (",", "/") and _COUNTED.search(text[: int(left[0])])):
            left[3] = right[3]
    listed: list[Mention] = []
    for place, item in enumerate(kept):
        joined = place > 0 and _RANGED.match(text[int(kept[place - 1][1]) : int(item[0])])
        before = listed[-1].before if joined else text[: int(item[0])]
        listed.append(Mention(f"{item[2]} {item[3]}".strip(), before, text[int(item[1]) :]))
    return tuple(listed)


def candidates(text: str, argument: Argument) -> list[str]:
    """What in `text` could be the value of `argument`: quantities its unit can take, its listed words, or runs of words."""
    if argument.choices:
        return list(argument.choices)
    if argument.label == "question":  # to the literature: what was asked, as it was asked
        return [" ".join(text.split())]
    if argument.unit is None:
        return spans(text)
    fitting = []
    for quantity in quantities(text):
        loose = not argument.unit.symbol and len(unit_of(quantity)) < 2
        bare = (quantity, quantity.rsplit(" ", 1)[0]) if loose else (quantity,)
        for written in dict.fromkeys(bare):  # behind a plain number a letter may be a word: "n=2 m=1.8"
            if _fits(written, argument.unit, argument.integer):
                fitting.append(written)
                break
    return fitting


@lru_cache(maxsize=4096)
def _fits(written: str, unit: Unit, integer: bool) -> bool:
    if unit.symbol and written in ORDERS:
        return False
    try:
        value = parse(written, Unit(unit.symbol))
    except ValueError:
        return False
    return value == int(value) if integer else True


def spans(text: str, longest: int = 4) -> list[str]:
    """Runs of up to `longest` words of `text`, for arguments that are free words: station names, phases, columns."""
    words = re.findall(r"[\w.,:/+-]*\w", text)
    runs = []
    for start in range(len(words)):
        for stop in range(start + 1, min(start + longest, len(words)) + 1):
            runs.append(" ".join(words[start:stop]))
    return list(dict.fromkeys(runs))[:300]


def said(value: str, text: str, argument: Argument) -> bool:
    """Whether `value` for `argument` stands in `text`, as the same number in any of the units people write."""
    if argument.unit is None or argument.choices:
        return True
    try:
        number = parse(value, Unit(argument.unit.symbol))
    except ValueError:
        return True  # the registry will say what is wrong with it
    for written in candidates(text, argument):
        other = parse(written, Unit(argument.unit.symbol))
        if abs(other - number) <= 1e-6 * max(abs(other), abs(number)):
            return True
    return False
