"""Argument types with unit and bounds, and the conversion of what people write into them.

Conventions of the whole house: SI inside; z and depth positive down, elevations (`height`) positive up; gravity in
mGal and magnetics in nT at the edges; log curves keep the unit they were recorded in, beside the curve; angles in
degrees; times of waveforms in UTC; porosity, saturation and shale volume as fractions.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

if TYPE_CHECKING:
    import pint


@dataclass(frozen=True)
class Unit:
    """The unit an argument is in and the closed range it may have; `above` excludes its own value."""

    symbol: str
    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf

    def check(self, name: str, value: float) -> float:
        """`value`, or ValueError with the bounds."""
        if not math.isfinite(value):
            raise ValueError(f"{name} must be finite, got {value}")
        if not self.low <= value <= self.high or not value > self.above:
            raise OutOfBounds(f"{name} must be {self.bounds()}, got {value:g} {self.symbol}".rstrip())
        return value

    def bounds(self) -> str:
        """The bounds in words, e.g. 'above 0 Hz' or 'from 0 to 90 deg'."""
        if self.above > -math.inf:
            upper = f" and at most {self.high:g}" if self.high < math.inf else ""
            return f"above {self.above:g}{upper} {self.symbol}".rstrip()
        if self.high < math.inf:
            return f"from {self.low:g} to {self.high:g} {self.symbol}".rstrip()
        return f"at least {self.low:g} {self.symbol}".rstrip() if self.low > -math.inf else f"in {self.symbol}"


Hertz = Annotated[float, Unit("Hz", above=0)]
Seconds = Annotated[float, Unit("s", above=0)]
TimeShift = Annotated[float, Unit("s")]
Metres = Annotated[float, Unit("m", above=0)]
Position = Annotated[float, Unit("m")]
Depth = Annotated[float, Unit("m", low=0)]
Kilometres = Annotated[float, Unit("km", low=0)]
Velocity = Annotated[float, Unit("m/s", above=0, high=12000)]
Density = Annotated[float, Unit("kg/m3", above=0, high=25000)]
DensityContrast = Annotated[float, Unit("kg/m3", low=-10000, high=10000)]
MilliGal = Annotated[float, Unit("mGal")]
NanoTesla = Annotated[float, Unit("nT")]
Degrees = Annotated[float, Unit("deg", low=-360, high=360)]
Inclination = Annotated[float, Unit("deg", low=-90, high=90)]
OhmMetres = Annotated[float, Unit("ohm.m", above=0)]
GammaRay = Annotated[float, Unit("gAPI", low=0, high=1000)]
GramsPerCC = Annotated[float, Unit("g/cm3", above=0, high=10)]
Slowness = Annotated[float, Unit("us/ft", above=0, high=1000)]
Fraction = Annotated[float, Unit("", low=0, high=1)]
Percent = Annotated[float, Unit("%", low=0, high=100)]
Exponent = Annotated[float, Unit("", low=0, high=10)]
Ratio = Annotated[float, Unit("", above=0)]
Count = Annotated[int, Unit("", low=1)]
Degree = Annotated[int, Unit("", low=0, high=5)]
Number = Annotated[int, Unit("")]  # a trace, CDP, inline or shot number: a name that happens to be an integer


RANGES = ("range", "band", "window", "extent", "interval", "limits", "frequencies", "between", "depths", "from")  # pairs that are ends of something


@dataclass(frozen=True)
class Quantity:
    """A number that left a tool: value, unit and the words that name it in an answer.

    >>> str(Quantity(4.0, "ms", "sample interval"))
    '4 ms'
    """

    value: Any  # float, int, str or a list of these; JSON either way
    unit: str = ""
    label: str = ""

    def __str__(self) -> str:
        values = self.value if isinstance(self.value, (list, tuple)) else [self.value]
        shown = [show(v) for v in values]
        unit = "" if self.unit == "unknown" else self.unit
        spread = any(word in self.label.lower() for word in RANGES) and not any(isinstance(v, str) for v in values)
        joined = " to ".join(shown) if len(shown) == 2 and spread else ", ".join(shown)
        return f"{joined} {unit}".strip()


def show(value: Any) -> str:
    """A number as an answer prints it: integers whole, floats to five significant digits.

    >>> show(8.4999), show(534), show(2670.0), show(1.25e-8), show(978032.5)
    ('8.4999', '534', '2670', '1.25e-08', '978032.5')
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        if abs(value) >= 1e4 and abs(value) < 1e12:
            return f"{value:.2f}".rstrip("0").rstrip(".")
        return f"{value:.5g}"
    return str(value)


def as_length(metres: float, digits: int = 4) -> str:
    """A length as a map says it, in km from 1 km on.

    >>> as_length(80.0), as_length(13921.7), as_length(7_110_000.0)
    ('80 m', '13.92 km', '7110 km')
    """
    far = abs(metres) >= 1000
    return f"{metres / 1000 if far else metres:.{digits}g} {'km' if far else 'm'}"


# What people and file headers write -> what pint reads. Keys are matched whole, case as given first, then lower case.
SPELLINGS = {
    "g/cc": "g/cm^3", "gm/cc": "g/cm^3", "g/c3": "g/cm^3", "g/cm3": "g/cm^3", "gcc": "g/cm^3", "kg/m3": "kg/m^3", "t/m3": "tonne/m^3",
    "g/cm³": "g/cm^3", "kg/m³": "kg/m^3", "k/m3": "kg/m^3",
    "us/ft": "microsecond/foot", "us/f": "microsecond/foot", "µs/ft": "microsecond/foot", "usec/ft": "microsecond/foot",
    "us/m": "microsecond/meter", "µs/m": "microsecond/meter", "usec/m": "microsecond/meter", "s/m": "second/meter",
    "ohm.m": "ohm*meter", "ohmm": "ohm*meter", "ohm-m": "ohm*meter", "ohm m": "ohm*meter", "ohm*m": "ohm*meter", "ohm": "ohm*meter",
    "kg/m2/s": "kg/m^2/s", "S/m": "siemens/meter", "mS/m": "millisiemens/meter",
    "mgal": "milliGal", "mgals": "milliGal", "milligal": "milliGal", "milligals": "milliGal", "gu": "micrometer/second^2",
    "ugal": "microGal", "µgal": "microGal", "m/s2": "meter/second^2", "m/s^2": "meter/second^2",
    "nt": "nanotesla", "gamma": "nanotesla", "gammas": "nanotesla", "nanotesla": "nanotesla",
    "hz": "hertz", "cps": "hertz",
    "c/s": "hertz", "cycles/s": "hertz", "cycle/s": "hertz", "cycles per second": "hertz",
    "lb/ft3": "pound/foot^3", "khz": "kilohertz", "mhz": "millihertz", "hertz": "hertz",
    "m": "meter", "ms": "millisecond", "msec": "millisecond", "msecs": "millisecond", "s": "second", "sec": "second", "secs": "second",
    "us": "microsecond", "min": "minute", "mins": "minute", "metres": "meter", "metre": "meter", "meters": "meter",
    "km": "kilometer", "kms": "kilometer", "kilometres": "kilometer", "kilometre": "kilometer", "kilometers": "kilometer",
    "ft": "foot", "feet": "foot", "f": "foot",
    "km/s": "kilometer/second", "m/s": "meter/second", "mps": "meter/second", "ft/s": "foot/second", "m/sec": "meter/second",
    "km/sec": "kilometer/second", "ft/sec": "foot/second", "kms-1": "kilometer/second",
    "km s-1": "kilometer/second", "m s-1": "meter/second", "g cm-3": "g/cm^3", "kg m-3": "kg/m^3",
    "s/km": "second/kilometer", "deg": "degree", "degs": "degree", "degrees": "degree", "°": "degree", "rad": "radian",
    "%": "percent", "pct": "percent", "percent": "percent", "pu": "percent", "p.u.": "percent",
    "v/v": "dimensionless", "frac": "dimensionless", "fraction": "dimensionless", "dec": "dimensionless", "m3/m3": "dimensionless",
    "gapi": "dimensionless", "api": "dimensionless", "gr api": "dimensionless", "samples": "dimensionless", "traces": "dimensionless",
}  # fmt: skip
WORDS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "eighty": 80,
    "hundred": 100, "thousand": 1000, "half": 0.5, "quarter": 0.25, "a": 1, "an": 1, "a dozen": 12, "dozen": 12, "half a": 0.5,
    "half an": 0.5, "a quarter": 0.25, "quarter of a": 0.25, "a quarter of a": 0.25, "a half": 0.5, "first": 1, "second": 2, "third": 3,
    "linear": 1, "quadratic": 2, "cubic": 3, "plane": 1, "planar": 1,
    "1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "5th": 5, "fourth": 4, "fifth": 5,
}  # fmt: skip
ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen",
    "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_SMALL = rf"(?:(?:{'|'.join(TENS)})(?:[ -](?:{'|'.join(ONES[1:10])})\b)?|(?:{'|'.join(sorted(ONES, key=len, reverse=True))}))\b"
_HUNDREDS = rf"(?:(?:{_SMALL}|a)[ -]hundred(?:[ -](?:and )?{_SMALL})?|{_SMALL})"
SPOKEN = rf"(?:(?:{_HUNDREDS}|a)[ -]thousand(?:[ -](?:and )?{_HUNDREDS})?|{_HUNDREDS})(?: point(?: (?:{'|'.join(ONES[:10])})\b)+)?"
NUMBER = re.compile(r"[-+]?(?:\d+(?:[ ,]\d{3})+(?!\d)|\d+)?(?:\.\d+|\.(?=\D|$))?(?:[eE][-+]?\d+)?")


def parse(text: str | float, unit: Unit, name: str = "value") -> float:
    """What a person wrote, as a number in `unit`, bounds checked. A bare number is taken to be in `unit`.

    >>> parse("half a second", Unit("s")), parse("2.67 g/cc", Unit("kg/m3")), parse("8000 ft/s", Unit("m/s"))
    (0.5, 2670.0, 2438.4)

    Raises ValueError when no number is there, or the unit written cannot become the unit wanted. Two rules of the field help a
    bare number: a density below 25 for an argument in kg/m3 is g/cm3, as everyone writes "2.67", and a seismic velocity below 15
    for an argument in m/s is km/s.
    """
    if isinstance(text, bool):
        raise ValueError(f"{name} wants a number in {unit.symbol or 'no unit'}, got {text}")
    if isinstance(text, (int, float)):
        value, written = float(text), ""
    else:
        value, written = _split(text, name)
    if written:
        value = _convert(value, written, unit, name)
    elif (unit.symbol == "kg/m3" and 0.02 < abs(value) < 25) or (unit.symbol == "m/s" and 0.2 < value < 15):
        value = _tidy(value * 1000.0)
    return unit.check(name, value)


def unit_of(text: str) -> str:
    """The unit a quantity is written with, "" for a bare number.

    >>> unit_of("half a second"), unit_of("2.67"), unit_of("zero")
    ('second', '', '')
    """
    try:
        return _split(text, "")[1]
    except ValueError:
        return ""


def _split(text: str, name: str) -> tuple[float, str]:
    """A number and the unit behind it, from digits or words."""
    words = re.sub(r"[\s_]+", " ", text.strip().strip("\"'").lstrip("~≈")).replace("−", "-")
    words = re.sub(r"^(0(?=,)|\d+(?=,(?!\d{3}(?!\d))\d)),(\d+)", r"\1.\2", words)  # a decimal comma; 1,500 keeps its thousands, 0,500 has none
    if words.lower() in WORDS:
        return float(WORDS[words.lower()]), ""
    if mixed := re.match(r"(\w+) and (a |an |one )?(half|quarter)\b(?: of an?| an?)?", words, re.I):  # "one and a half seconds"
        whole, rest = _split(mixed[1], name)
        if not rest:
            return whole + WORDS[mixed[3].lower()], words[mixed.end() :].strip(" -")
    if (match := NUMBER.match(words)) and re.search(r"\d", match[0]):
        written = words[match.end() :].strip(" -")
        value = float(re.sub(r"[ ,]", "", match[0]))
        for more in ("hundred", "thousand"):
            if written == more or written.startswith(more + " "):
                return value * WORDS[more], written[len(more) :].strip()
        return value, written
    low = words.lower()
    if match := re.match(rf"(minus |negative )?({SPOKEN})(?![a-z])", low):
        return (-1.0 if match[1] else 1.0) * spoken(match[2]), words[match.end() :].strip(" -")
    sign = -1.0 if low.startswith("minus ") else 1.0
    low = low.removeprefix("minus ")
    for phrase in sorted(WORDS, key=len, reverse=True):
        if low == phrase or low.startswith(phrase + " "):
            rest = low[len(phrase) :].strip()
            value = float(WORDS[phrase])
            for more in ("hundred", "thousand"):
                if rest == more or rest.startswith(more + " "):
                    value, rest = value * WORDS[more], rest[len(more) :].strip()
            return sign * value, rest
    raise ValueError(f"{name}: no number in {text!r}")


def spoken(words: str) -> float:
    """The number that words say, as `SPOKEN` matches them.

    >>> spoken("two hundred and fifty"), spoken("two point six seven"), spoken("twenty-five")
    (250.0, 2.67, 25.0)
    """
    whole, _, decimals = words.lower().partition(" point ")
    total = part = 0
    for word in re.split(r"[ -]", whole):
        if word == "thousand":
            total, part = total + 1000 * part, 0
        elif word == "hundred":
            part *= 100
        elif word != "and":
            part += TENS.get(word, 1 if word == "a" else ONES.index(word) if word in ONES else 0)
    return float(f"{total + part}.{''.join(str(ONES.index(word)) for word in decimals.split())}0")


def _convert(value: float, written: str, unit: Unit, name: str) -> float:
    """`value` from the unit as written into `unit`."""
    if written.strip() in (unit.symbol, unit.symbol.lower()):
        return value
    if unit.symbol == "Hz" and re.search(r"\brad|\brpm|\brps|radian|revolution", written, re.I):
        raise ValueError(f"{name}: {value:g} {written!r} is an angular rate; give the frequency in Hz")
    try:
        quantity = registry().Quantity(value, spell(written))
        return _tidy(quantity.to(spell(unit.symbol) if unit.symbol else "dimensionless").magnitude)
    except Exception as error:  # pint's errors have no common base
        wanted = unit.symbol or "a number without unit"
        raise ValueError(f"{name}: {value:g} {written!r} cannot be given in {wanted}") from error


def spell(written: str) -> str:
    """The unit as pint spells it.

    >>> spell("G/CC"), spell("US/F")
    ('g/cm^3', 'microsecond/foot')
    """
    clean = written.strip().rstrip(".")
    if clean == "MHz":
        return "megahertz"
    return SPELLINGS.get(clean) or SPELLINGS.get(clean.lower()) or clean


def split(text: str) -> list[str]:
    """The parts of a list as people write it: commas, semicolons or 'and'. A unit holds for the bare numbers before it.

    >>> split("1,500 m/s, 2000 m/s and 2500 m/s"), split("0.5,1,1.5"), split("5000,6000 ft/s")
    (['1,500 m/s', '2000 m/s', '2500 m/s'], ['0.5', '1', '1.5'], ['5000 ft/s', '6000 ft/s'])
    """
    parts = [part for part in re.split(r"\s*;\s*|,\s+|\s+and\s+|,(?!\d{3}(?!\d))|(?<=\d{4}),", text.strip()) if part]
    unit = ""
    for position in reversed(range(len(parts))):
        match = NUMBER.match(parts[position])
        if match is None or not re.search(r"\d", match[0]):
            unit = ""
            continue
        written = parts[position][match.end() :].strip()
        if written:
            unit = written
        elif unit:
            parts[position] = f"{parts[position].strip()} {unit}"
    return parts


class OutOfBounds(ValueError):
    """A number that is well written and cannot be: a negative density, a latitude of 120 degrees."""


def convert(values: Any, source: str, target: str) -> Any:
    """An array or number from unit `source` to unit `target`; ValueError when they do not fit."""
    try:
        factor = registry().Quantity(1.0, spell(source)).to(spell(target)).magnitude
    except Exception as error:
        raise ValueError(f"cannot convert {source!r} to {target!r}") from error
    return values * factor


def _tidy(value: float) -> float:
    """Without the last-digit noise of a conversion: 2.67 g/cc is 2670 kg/m3, not 2670.0000000000005."""
    return float(f"{value:.12g}")


@cache
def registry() -> pint.UnitRegistry:
    """Pint's registry, made at first use: importing pint costs a third of a second."""
    import pint

    return pint.UnitRegistry(cache_folder=None)
