"""What each argument of a tool could be in a situation: the names, quantities and words that the grammar of a decision offers.

`quantities.candidates` lists what a unit allows. Here the words around a number narrow that: a number behind the name of another
argument ("lta 10 s") or a count ("CDP 150-250") is no value of this one, and where enough quantities carry the unit an
argument wants, numbers without one are left out. So the model chooses among few, and cannot choose what a reader would not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from moho.agent.quantities import ORDERS, Mention, candidates, mentions
from moho.agent.registry import Argument, Tool, load_tools
from moho.units import Unit, parse, unit_of


class Seen(Protocol):
    """What a decision may depend on: see `moho.agent.decision.Situation`."""

    @property
    def request(self) -> str: ...
    @property
    def catalogue(self) -> Mapping[str, str]: ...
    @property
    def text(self) -> str: ...
    @property
    def asked(self) -> str: ...
    @property
    def made(self) -> Sequence[str]: ...
    @property
    def spoken(self) -> str: ...
    @property
    def taken(self) -> Mapping[str, Collection[str]]: ...


COUNTS = {  # words before a number that say what it counts or names, and the arguments it may then be of
    "cdp": "cdp", "cmp": "cdp", "cdps": "cdp", "cmps": "cdp", "inline": "inline", "il": "inline", "crossline": "crossline", "xline": "crossline",
    "xl": "crossline", "trace": "trace", "traces": "trace", "shot": "shot", "shots": "shot", "record": "record", "station": "station",
    "event": "event", "step": "step",
}  # fmt: skip
RISING = (  # arguments whose values rise in this order: people say them in any
    ("low_cut", "low", "high", "high_cut"), ("lowest", "highest"), ("first_cdp", "last_cdp"), ("slowest", "fastest"), ("shortest", "longest"),
    ("first_period", "last_period"),
)  # fmt: skip
SPOKEN = {  # other words for a listed choice
    "reduction to the pole": ("rtp", "reduce to the pole", "reduced to the pole", "pole reduction", "reduce to pole", "reduction to pole"),
    "analytic signal": ("total gradient", "analytical signal"),
    "tilt": ("tilt angle", "tilt derivative"),
    "envelope": ("reflection strength", "instantaneous amplitude"),
    "instantaneous frequency": ("inst freq", "inst frequency", "inst. frequency"),
    "instantaneous phase": ("inst phase", "inst. phase"),
    "rms amplitude": ("rms amplitudes", "rms amp", "rms"),
    "coherence": ("coherency", "semblance attribute"),
    "TVDSS": ("subsea", "sub-sea"),
    "TVD": ("true vertical depth",),
    "MD": ("measured depth",),
    "larionov tertiary": ("larionov for tertiary", "tertiary larionov", "larionov young", "larionov for young"),
    "larionov older": ("larionov for older", "older larionov", "larionov old rocks", "larionov for old"),
    "local": ("ML", "richter"),
    "moment": ("Mw",),
    "displacement": ("ground displacement",),
    "network": ("neural", "neural net", "deep learning picker"),
    "up": ("upward", "upwards", "vertical derivative", "vertical gradient"),
    "down": ("downward", "downwards"),
    "wiggle": ("wiggles", "wiggle trace"),
}
CALLED = {  # words for a class of data set
    "Seismic": "lines?|sections?|stacks?|profiles?", "Gather": "gathers?|cmps?|cdps?|shots?|prestack|pre-stack", "Volume": "cubes?|volumes?|3-?d",
    "Waveforms": "waveforms?|records?|seismograms?|recordings?|mseed", "Gravity": "gravity|gravimetry", "Magnetics": "magnetics?|mags?|aeromag",
    "Grid": "grids?|rasters?", "Well": "wells?|logs?|boreholes?", "Horizon": "horizons?", "Picks": "picks?",
    "Catalogue": "catalogues?|catalogs?|events?", "Table": "tables?|csv|spreadsheets?",
}  # fmt: skip
_BEGINNING = re.compile(r"\b(?:original|originals|raw|input|unfiltered|untouched|before)\b", re.I)
_OUTCOME = re.compile(
    r"\b(?:this|that|the) (?:one|result|output|new one|\w+ed (?:one|line|section|data|grid|map))\b|\bon top of (?:this|that|it)\b", re.I
)
_BEFORE = re.compile(r"([A-Za-z][\w/]*)(?:[\s-]*(?:of|is|was|were|be|are|at|to|=|:|around|about|near|number|no\.?|from|between))?[\s=:(-]*$", re.I)
_AFTER = re.compile(r"^[\s-]*([A-Za-z]+)")


def values(tool: Tool, argument: Argument, seen: Seen) -> list[str]:
    """What `argument` could be here, best-founded readings only; empty where nothing in the situation could fill it."""
    if argument.is_data:
        return _names(tool, argument, seen)
    found = candidates(seen.text, argument)
    if argument.choices:
        here = [choice for choice in found if stands(choice, seen.request)]
        if here and (argument.required or len(here) < len(found)):
            return here
        return found if argument.required else [choice for choice in found if _hinted(choice, seen.request)]
    if argument.unit is None or not found:
        return found
    return _placed(tool, argument, seen, _narrowed(tool, argument, seen, found))


def _placed(tool: Tool, argument: Argument, seen: Seen, found: Sequence[str]) -> list[str]:
    """The one value of an argument that has to rise with others, where there are just as many values as arguments that take one."""
    group = next((group for group in RISING if argument.name in group), ())
    taking = [name for name in group if any(a.name == name and (a.required or given(tool, a, seen)) for a in tool.arguments)]
    if argument.name not in taking or len(found) != len(taking) or argument.unit is None:
        return list(found)
    unit = Unit(argument.unit.symbol)
    return [sorted(found, key=lambda one: parse(one, unit))[taking.index(argument.name)]]


def given(tool: Tool, argument: Argument, seen: Seen, used: str = "") -> bool:
    """Whether the request gives this optional argument a value that no step has used and no other argument could take.

    A data set is given by its name, or by the noun of its class where it is the only one: "with the well".
    """
    if argument.choices:
        return sum(stands(choice, seen.request) for choice in argument.choices if len(choice) > 3) == 1
    if argument.is_data:
        fitting = _names(tool, argument, seen)
        if len(fitting) != 1 or f'"{fitting[0]}"' in used:
            return False
        kind, called = seen.catalogue[fitting[0]], _called(fitting[0], seen)
        if any(other.is_data and other.required and other.takes(kind) for other in tool.arguments):
            return False
        return bool(re.search(rf"(?<!\w)(?:with|using|from|by|at|to) (?:the |our |my |its |this )?(?:{called})(?!\w)", seen.request, re.I))
    if argument.unit is None or argument.many:
        return False
    mine = [m.written for m in mentions(seen.asked) if _label(m, tool) == argument.name and m.written in candidates(seen.asked, argument)]
    if mine and not any(f'"{written}"' in used for written in mine):
        return True
    if not argument.unit.symbol:
        return False
    alike = sum(a.unit is not None and a.unit.symbol == argument.unit.symbol for a in tool.arguments)
    fresh = [q for q in candidates(seen.asked, argument) if unit_of(q) and f'"{q}"' not in used]
    return len(fresh) == alike


def _called(name: str, seen: Seen) -> str:
    """What a data set is called by: its name, or the noun of its class."""
    return "|".join([re.escape(name), *filter(None, [CALLED.get(seen.catalogue[name], "")])])


def was_said(tool: Tool, argument: Argument, seen: Seen) -> bool:
    """Whether the person must have given this required argument, so that leaving it open would ask for what they said.

    So it is when one of its listed words stands in the request, when a number stands behind its name, or when as many quantities with a unit of its
    own as the tool requires of that unit were said.
    """
    if argument.choices:
        return any(stands(choice, seen.request) for choice in argument.choices)
    if argument.is_data or argument.unit is None:
        return False
    found = candidates(seen.text, argument)
    if any(_label(m, tool) == argument.name and m.written in found for m in mentions(seen.asked)):
        return True
    if not argument.unit.symbol:
        return False
    needed = sum(a.required and a.unit is not None and a.unit.symbol == argument.unit.symbol for a in tool.arguments)
    return sum(bool(unit_of(one)) for one in found) >= (1 if argument.many else needed)


def rising(tool: Tool, arguments: Mapping[str, str]) -> dict[str, str]:
    """The arguments with those that have to rise in rising order: a trapezoid said as 4-8-50-65 Hz fills its corners so."""
    settled = dict(arguments)
    for group in RISING:
        there = [name for name in group if name in arguments]
        if len(there) < 2:
            continue
        try:
            numbers = {name: parse(arguments[name], Unit(tool.argument(name).unit.symbol)) for name in there}  # type: ignore[union-attr]
        except (ValueError, AttributeError):
            continue
        ordered = sorted(there, key=lambda name: numbers[name])
        settled |= {name: arguments[other] for name, other in zip(there, ordered, strict=True)}
    return settled


def stands(choice: str, text: str) -> bool:
    """Whether a listed choice, or another word for it, stands in the text."""
    return any(re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text, re.I) for words in (choice, *SPOKEN.get(choice, ())))


# -- below


def _names(tool: Tool, argument: Argument, seen: Seen) -> list[str]:
    """The data sets that an argument may mean; none where several fit a required one and nothing says which, so that the person is asked.

    Where several fit, those are meant that were named, here or in a turn before, and what this request has made; the last result alone where
    the request begins with "that one"; else those of the classes that words of the request name, where each names one.
    For an optional argument none that a required one has to take.
    """
    fitting = [name for name, kind in seen.catalogue.items() if argument.takes(kind)]
    if not argument.required:
        for other in tool.arguments:
            if other.is_data and other.required and not other.many and set(other.kinds) & set(argument.kinds):
                theirs = [name for name, kind in seen.catalogue.items() if other.takes(kind)]
                if len(theirs) == 1:
                    fitting = [name for name in fitting if name not in theirs]
        return fitting
    if len(fitting) < 2 or argument.many:
        return fitting
    meant = [name for name in fitting if name in seen.made or _named(name, fitting, seen.spoken)]
    results = [name for name in fitting if _is_result(name)]
    if results and not seen.made and _OUTCOME.search(seen.request) and not any(_named(name, fitting, seen.request) for name in fitting):
        return results[-1:]
    if not any(_named(name, fitting, seen.request) for name in fitting):
        meant += [name for name in fitting if name not in meant and _is_result(name)]
    classes = {kind for kind in (seen.catalogue[name] for name in fitting) if re.search(rf"\b(?:{CALLED.get(kind, '(?!)')})\b", seen.request, re.I)}
    if meant:
        meant += [name for name in fitting if seen.catalogue[name] in classes - {seen.catalogue[other] for other in meant}]
        if tool.stage == "inspect" or _BEGINNING.search(seen.request):  # of what was there, not only of what was made of it
            meant = [name for name in fitting if name in meant or not any(made in meant for made in seen.made)]
            meant += [name for name in fitting if name not in meant and all(other in seen.made for other in meant)]
        return [name for name in fitting if name in meant]
    called = [name for name in fitting if seen.catalogue[name] in classes]
    return called if len(called) == len(classes) else []


def _named(name: str, among: Sequence[str], text: str) -> bool:
    """Whether a name stands in the text, or a word of it that none of the others has."""
    if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.I):
        return True
    if _is_result(name):
        return False
    others = {word for other in among if other != name for word in _parts(other)}
    return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.I) for word in _parts(name) - others)


def _is_result(name: str) -> bool:
    """Whether a name is one that results get: of a tool, with a number."""
    return name.rpartition(" ")[0] in load_tools() and name.rpartition(" ")[2].isdigit()


def _parts(name: str) -> set[str]:
    """The words of a name that tell something: not the class it is of."""
    words = {word.casefold() for word in re.findall(r"[^\W_]+", name)}
    return {word for word in words if len(word) > 2 and not re.search(rf"^(?:{'|'.join(CALLED.values())})$", word)}


def _narrowed(tool: Tool, argument: Argument, seen: Seen, found: Sequence[str]) -> list[str]:
    """Quantities without those that the words around them give to something else, or that a step has taken for an argument of another name."""
    assert argument.unit is not None
    here = [(mention.written, _label(mention, tool)) for mention in mentions(seen.asked)]
    placed = [(mention.written, _label(mention, tool)) for mention in mentions(seen.text)]
    if kept := [one for one in found if _plain(one, {written for written, label in here if label == argument.name})]:
        return kept
    free = {written for written, label in placed if label in ("", argument.name)}
    kept = [one for one in found if not _plain(one, {written for written, _ in placed} - free)]
    times = Counter(mention.written for mention in mentions(seen.text))
    kept = [one for one in kept if one not in seen.taken or argument.name in seen.taken[one] or times[one] > len(seen.taken[one])]
    if not argument.required or any(_in_bounds(one, argument.unit) for one in kept):
        kept = [one for one in kept if _in_bounds(one, argument.unit)]
    if argument.unit.symbol:
        needed = max(1, sum(a.required and a.unit is not None and a.unit.symbol == argument.unit.symbol for a in tool.arguments))
        if sum(bool(unit_of(one)) for one in candidates(seen.asked, argument)) >= needed:
            kept = [one for one in kept if unit_of(one)]
    return kept


def _in_bounds(one: str, unit: Unit) -> bool:
    try:
        parse(one, unit)
    except ValueError:
        return False
    return True


def _plain(one: str, among: set[str]) -> bool:
    """Whether a candidate is one of these, with or without its unit."""
    return one in among or any(written.rsplit(" ", 1)[0] == one for written in among)


def _label(mention: Mention, tool: Tool) -> str:
    """The argument of the tool that the words around a number name, a count that is none of its arguments, or ""."""
    if mention.written.lower() in ORDERS and any(a.name == "degree" for a in tool.arguments):
        return "degree"  # "a first-order trend"
    behind = _BEFORE.search(mention.before[-40:])
    word = behind[1].lower().rstrip("s") if behind else ""
    if word:
        word = "vp_vs" if word in ("vp/v", "vpv") else word
        numeric = [a.name for a in tool.arguments if a.unit is not None]
        if exact := [name for name in numeric if name.lower() == word or (len(name) > 1 and name.lower().rstrip("s") == word)]:
            return exact[0]
        counted = COUNTS.get(word) or COUNTS.get(f"{word}s")
        if counted and not unit_of(mention.written):
            of = [name for name in numeric if counted in name]
            return of[0] if len(of) == 1 else "" if of else counted
    ahead = _AFTER.match(mention.after[:20])
    if ahead:
        noun = ahead[1].lower()
        numeric = [a.name for a in tool.arguments if a.unit is not None and not a.many and len(a.name) > 3]
        return next((name for name in numeric if name.lower() in (noun, f"{noun}s")), "")
    return ""


def _hinted(choice: str, text: str) -> bool:
    """Whether a word of a listed choice begins like one of the text: "neural network" for `network`, "displacements" for `displacement`."""
    said = {word[:5] for word in re.findall(r"[a-z0-9/]{2,}", text.casefold())}
    return any(word[:5] in said for word in re.findall(r"[a-z0-9/]{3,}", choice.casefold()))
