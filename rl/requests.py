"""Requests made on synthetic projects: what is asked, the data it is asked of, and the script that is right.

Words and values are drawn as instruction data are (`moho.rl.instructions`), but on the files of a real made earth, so that what the right
script comes to is found by playing it (`moho.rl.environment`) and no number is written by hand. Two data sets of one kind are of two
earths: to work on the wrong one shows in the result. What takes long, draws, or asks the literature is left out.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from moho.agent import decision, offer
from moho.agent.model import differs
from moho.agent.quantities import quantities
from moho.agent.registry import Tool, execute, prepare
from moho.errors import MohoError
from moho.project import Project
from moho.rl.evaluate import survey
from moho.rl.harvest import INSPECTING
from moho.rl.instructions import Example, Writer
from moho.rl.phrases import AGAIN, ASKED_TWO, NAMES, NOUNS, OUTSIDE, PREMISES, QUESTIONS, STATED, SYNONYMS
from moho.rl.written import written
from moho.survey import Data, Report
from moho.units import Quantity, Unit, parse

TRAINING = tuple(range(903, 943))  # seeds of the earths; evaluations use seeds below 100
FILES = {
    "line": "Seismic", "gather": "Gather", "well": "Well", "gravity": "Gravity", "magnetics": "Magnetics", "waveforms": "Waveforms",
    "stations": "Response",
}  # fmt: skip
LEFT_OUT = {  # what takes long here, has no data here, or is no work on data
    "array_beam", "cluster_classify", "dc_2d", "fwi_2d", "gravity_mag_3d", "interpolate_traces", "log_clean", "low_frequency_model", "mt_1d",
    "prestack_avo", "radon_demultiple", "refraction_tomography", "spectrogram_ppsd", "wave_acoustic_2d", "wave_elastic_2d",
    "ask_literature", "search_literature", "find_contradictions", "compare", "evidence_table",
}  # fmt: skip
SHARES = {
    "single": 20, "chain": 16, "question": 18, "missing": 11, "ambiguous": 6, "physics": 8, "lacking": 3, "outside": 5, "premise": 10, "follow": 7,
    "given": 4, "written": 32,
}  # fmt: skip
BEYOND: dict[str, tuple[str, ...]] = {  # by unit: what no instrument records and no rock has
    "Hz": ("130 Hz", "180 Hz", "250 Hz", "400 Hz", "0.3 kHz"),
    "s": ("12 s", "30 s", "9000 ms", "20 seconds"),
    "m": ("-500 m", "-2 km", "5000 km"),
    "m/s": ("-2000 m/s", "-3 km/s", "90 km/s"),
    "kg/m3": ("-2670 kg/m3", "-2.4 g/cc", "26700 kg/m3", "-2300 kg/m3"),
    "g/cm3": ("-2.65 g/cc", "26.5 g/cc"),
    "gAPI": ("-40 API", "-100 API"),
    "ohm.m": ("-0.05 ohm.m", "-2 ohm m"),
    "deg": ("200 deg", "-190 degrees", "400 deg"),
    "km": ("-10 km",),
    "%": ("-20 %", "250 %"),
    "GPa": ("-2.25 GPa",),
    "": ("-3", "900"),
}  # fmt: skip


@dataclass(frozen=True)
class Turn:
    """One thing a person says, and the lines of a model that gets it right."""

    text: str
    script: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """What a person wants of a project, in one turn or two."""

    id: str
    kind: str  # of SHARES
    discipline: str
    data: Mapping[str, tuple[int, str]]  # name -> seed of the earth and file of its survey
    turns: tuple[Turn, ...]
    tool: str  # the one it is mainly about, "" for none


class Bench:
    """Data sets under the names of a request, and calls carried out on them without a project."""

    def __init__(self, data: Mapping[str, Data]) -> None:
        self.data = dict(data)

    @property
    def kinds(self) -> dict[str, str]:
        return {name: type(data).__name__ for name, data in self.data.items()}

    def run(self, line: str) -> tuple[str, dict[str, Quantity]]:
        """The name of the data set that a call makes, "" for a measurement, and its numbers. Raises what the tool raises."""
        chosen = decision.read(line)
        call = prepare(chosen.name, chosen.arguments, {name: type(data) for name, data in self.data.items()})
        result = execute(call, self.data.__getitem__)
        name = ""
        if not isinstance(result, Report):
            number = 1 + sum(re.fullmatch(rf"{chosen.name} \d+", held) is not None for held in self.data)
            name = f"{chosen.name} {number}"
            self.data[name] = result
        return name, dict(result.facts) or result.summary()


@lru_cache(maxsize=64)
def library(seed: int) -> Project:
    """A project with the files of a made earth, each read once, under the names of `FILES`."""
    folder, paths, _ = survey(seed)
    project = Project.open(f"{folder.name}/project")
    for name in FILES:
        project.add(paths[name], name=name)
    return project


@lru_cache(maxsize=2048)
def measured(seed: int, file: str, tool: str, argument: str) -> Mapping[str, Quantity]:
    """What an inspecting tool says of a file; empty where it says nothing."""
    try:
        return Bench({"data": library(seed).load(file)}).run(decision.write_call(tool, {argument: "data"}))[1]
    except (MohoError, ValueError, ArithmeticError):
        return {}


class Maker(Writer):
    """Requests, each drawn from its own seed: the same seed gives the same request."""

    def __init__(self, seed: int, *, earths: Sequence[int] = TRAINING, held_out: bool = False) -> None:
        super().__init__(seed, held_out=held_out)
        self.seed, self.earths = seed, tuple(earths)
        self.every = {name: tool for name, tool in self.tools.items() if name not in LEFT_OUT and tool.stage != "plot"}
        self.held: dict[str, str] = {}  # name -> class
        self.data: dict[str, tuple[int, str]] = {}
        self.forced: dict[str, str] = {}  # argument -> value that is written whatever was drawn

    def make(self, kind: str = "") -> Request:
        """A request of this kind, or of any in the shares of `SHARES`."""
        kind = kind or self.random.choices(list(SHARES), list(SHARES.values()))[0]
        for _ in range(400):
            self.forced = {}
            self._scene(double=kind == "ambiguous")
            found = getattr(self, f"_{kind}")()
            if found is not None:
                tool, turns = found
                discipline = tool.discipline if tool else "any"
                return Request(f"{kind}-{self.seed}", kind, discipline, dict(self.data), tuple(turns), tool.name if tool else "")
        raise RuntimeError(f"no request of kind {kind} in 400 draws")

    # -- the kinds of request: the tool it is about and its turns, None for a draw that did not work out

    def _single(self) -> tuple[Tool, list[Turn]] | None:
        """One call."""
        tool = self.random.choice(list(self.tools.values()))
        first = self._asked_for(tool)
        return (tool, [first[0]]) if first else None

    def _chain(self) -> tuple[Tool, list[Turn]] | None:
        """Two or three calls, each on what the one before it made; or a question about a data set and then a call on it."""
        bench, lines, said, keys = self._bench(), [], [], []
        last, tool = "", self.random.choice(list(self.tools.values()))
        count = self.random.choice((2, 2, 2, 3))
        for position in range(1, count + 1):
            kinds = bench.kinds
            example = self._call(tool, "chain", plain=True, catalogue=kinds, chained=last)
            done = self._tried(example, bench) if example and set(example.situation.catalogue) <= set(kinds) else None
            if example is None or done is None:
                return None
            last, facts = done
            lines.append(example.reply)
            said.append(example.situation.request)
            keys.append([f"{position}.{key}" for key in facts])
            if position == count:
                break
            kind = bench.kinds.get(last, "")
            follow = [t for t in self.every.values() if kind and any(a.is_data and a.required and a.takes(kind) for a in t.arguments)]
            if not follow or (tool := self.random.choice(follow)).name in {line.partition("(")[0] for line in lines}:
                return None
        text = said[0]
        for part in said[1:]:
            text += self.random.choice((", then ", " and then ", ". Then ", ", after that ", " and ", "; ")) + part
        answer = [*(several[0] for several in keys[:-1] if several), *keys[-1][:3]]
        return (tool, [Turn(self._dress(text), (*lines, decision.write_answer(answer)))]) if answer else None

    def _question(self) -> tuple[Tool, list[Turn]] | None:
        """Some of the numbers that one inspecting tool measures of a data set, or two."""
        name = self.random.choice(list(self.held))
        tools = [tool for tool in map(self.tools.get, INSPECTING) if tool and any(a.is_data and a.takes(self.held[name]) for a in tool.arguments)]
        if not tools:
            return None
        chosen = self.random.sample(tools, 2) if len(tools) > 1 and self.random.random() < 0.3 else [self.random.choice(tools)]
        parts, keys, calls = [], [], []
        for position, tool in enumerate(chosen, 1):
            facts = self._own(tool, name)
            if not facts:
                return None
            wanted = self.random.sample(list(facts), min(len(facts), self.random.choice((1, 1, 2, 3) if len(chosen) == 1 else (1, 1, 2))))
            words = [self._wanted(facts[key], key) for key in wanted]
            parts.append(words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1])
            keys += [f"{position}.{key}" for key in facts if key in wanted]  # answers name numbers in the order of the steps
            calls.append(self._inspection(tool, name))
        target = self._spoken(name)
        form = self.random.choice(ASKED_TWO if len(chosen) == 2 else QUESTIONS)
        text = form.format(*parts, of=target) if len(chosen) == 2 else form.format(what=parts[0], of=target)
        return chosen[0], [Turn(self._dress(text), (*calls, decision.write_answer(keys)))]

    def _missing(self) -> tuple[Tool, list[Turn]] | None:
        """A call with something required left open."""
        tools = [t for t in self.tools.values() if any(a.required and not a.is_data for a in t.arguments)]
        if not tools:
            return None
        tool = self.random.choice(tools)
        example = self._call(tool, "ask", cut=True) if self.random.random() < 0.5 else self._call(tool, "ask", bare=True)
        if example is None or "=?" not in example.reply or not self._closed(example):
            return None
        return tool, [Turn(example.situation.request, (example.reply,))]

    def _ambiguous(self) -> tuple[Tool, list[Turn]] | None:
        """A call on one of two data sets that fit, where none was named."""
        double = next(kind for kind in self.held.values() if list(self.held.values()).count(kind) > 1)
        tools = [t for t in self.tools.values() if any(a.is_data and a.required and not a.many and a.takes(double) for a in t.arguments)]
        tool = self.random.choice(tools)
        example = self._call(tool, "ask", ambiguous=True)
        if example is None or "=?" not in example.reply or not self._closed(example):
            return None
        return tool, [Turn(example.situation.request, (example.reply,))]

    def _physics(self) -> tuple[Tool, list[Turn]] | None:
        """A call with a value that physics or the recording does not allow."""
        tool = self.random.choice([t for t in self.tools.values() if any(a.unit for a in t.arguments)] or [None])
        if tool is None:
            return None
        argument = self.random.choice([a for a in tool.arguments if a.unit])
        assert argument.unit is not None
        value = self.random.choice(BEYOND.get(argument.unit.symbol, BEYOND[""]))
        self.forced = {argument.name: value}
        example = self._call(tool, "call")
        if example is None or "=?" in example.reply or argument.name not in decision.read(example.reply).arguments or not self._closed(example):
            return None
        return tool, [Turn(example.situation.request, (example.reply,))]

    def _lacking(self) -> tuple[Tool, list[Turn]] | None:
        """A call for which the project holds no data."""
        tool = self.random.choice([t for t in self.every.values() if not offer.fits(t, set(self.held.values()))])
        self.held, held = {}, self.held
        example = self._call(tool, "lacking")
        self.held = held
        if example is None or offer.maker(tool, set(held.values())):  # another tool makes what is missing
            return None
        arguments = dict(decision.read(example.reply).arguments)
        for argument in (a for a in tool.arguments if a.is_data and a.name in arguments):
            name = arguments[argument.name]
            if name != "?" and name in example.situation.request:
                return None  # a name that is not in the project is another matter
            arguments[argument.name] = "?"
            if not argument.required:
                del arguments[argument.name]
        return tool, [Turn(example.situation.request, (decision.write_call(tool.name, arguments),))]

    def _outside(self) -> tuple[None, list[Turn]]:
        """Something that no tool serves."""
        words = OUTSIDE[-8:] if self.held_out else OUTSIDE[:-8]
        return None, [Turn(self._dress(self.random.choice(words)), ("refuse()",))]

    def _premise(self) -> tuple[Tool, list[Turn]] | None:
        """A number that was taken for granted, mostly wrongly, and often another question besides."""
        name = self.random.choice(list(self.held))
        tools = [tool for tool in map(self.tools.get, INSPECTING) if tool and any(a.is_data and a.takes(self.held[name]) for a in tool.arguments)]
        if not tools:
            return None
        tool = self.random.choice(tools)
        facts = self._own(tool, name)
        numeric = [key for key, q in facts.items() if isinstance(q.value, (int, float)) and not isinstance(q.value, bool) and q.value and q.label]
        if not numeric:
            return None
        key = self.random.choice(numeric)
        quantity = facts[key]
        right = self.random.random() < 0.2
        value = quantity.value if right else self.random.choice([quantity.value * 2, quantity.value / 2, quantity.value + 50, quantity.value * 5])
        value = round(value) if isinstance(quantity.value, int) else value
        shown = f"{float(f'{value:.4g}'):g}" + (f" {quantity.unit}" if quantity.unit else "")
        others = [other for other in facts if other != key]
        target, answer = self._spoken(name), []
        if others and self.random.random() < 0.5:
            other = self.random.choice(others)
            what = self.random.choice((quantity.label, *SYNONYMS.get(key, ())))
            text = self.random.choice(STATED).format(value=shown, what=what, of=target, more=self._wanted(facts[other], other))
            answer = [other]
        else:
            text = self.random.choice(PREMISES).format(value=shown, what=quantity.label, of=target)
        text = self._dress(text)
        written = next((q for q in quantities(text) if _close(q, quantity.unit, value)), None)
        if written is None or (not right and not differs(written, quantity)):
            return None
        keys = [f'1.{one}!="{written}"' if one == key else f"1.{one}" for one in facts if one in (key, *answer)]
        lines = (self._inspection(tool, name), decision.write_answer(keys))
        return tool, [Turn(text, lines)]

    def _follow(self) -> tuple[Tool, list[Turn]] | None:
        """A call, and the same again with another value."""
        tool = self.random.choice([t for t in self.tools.values() if any(a.unit for a in t.arguments)] or [None])
        first = self._asked_for(tool) if tool else None
        if tool is None or first is None:
            return None
        turn, bench, chosen = first
        numeric = [a for a in tool.arguments if a.unit and not a.many and a.name in chosen.arguments]
        if not numeric:
            return None
        argument = self.random.choice(numeric)
        assert argument.unit is not None
        alone = sum(a.unit is not None and a.unit.symbol == argument.unit.symbol for a in numeric) == 1
        value = self._number(argument)
        form = self.random.choice(AGAIN if alone else [form for form in AGAIN if "{name}" in form])
        text = self._dress(form.format(value=value, name=argument.name.replace("_", " ")), short=True)
        copied = self._copied(text, argument, value)
        if copied is None or _close(copied, argument.unit.symbol, parse(chosen.arguments[argument.name], Unit(argument.unit.symbol))):
            return None
        line = decision.write_call(tool.name, dict(chosen.arguments) | {argument.name: copied})
        second = self._answered(text, line, bench)
        return (tool, [turn, second]) if second else None

    def _given(self) -> tuple[Tool, list[Turn]] | None:
        """A call that lacks one value, and the value."""
        first = self._missing()
        if first is None or first[1][0].script[0].count("=?") != 1:
            return None
        tool, (turn,) = first
        chosen = decision.read(turn.script[0])
        argument = tool.argument(next(key for key, value in chosen.arguments.items() if value == "?"))
        if argument.many or argument.is_data or argument.unit is None:
            return None
        value = self._number(argument)
        form = self.random.choice(("{v}", "{v}", "{n} {v}", "use {v}", "{n} is {v}", "take {v}", "{v} please", "it's {v}"))
        text = form.format(v=value, n=argument.name.replace("_", " "))
        copied = self._copied(text, argument, value)
        if copied is None:
            return None
        second = self._answered(text, decision.write_call(tool.name, dict(chosen.arguments) | {argument.name: copied}), self._bench())
        return (tool, [turn, second]) if second else None

    def _written(self) -> tuple[Tool, list[Turn]] | None:
        """A request written whole, with the numbers it asks for, where the scene has its data and nothing is left open."""
        kinds = Counter(self.held.values())
        fitting = [
            one
            for one in written(self.held_out)
            if one.turn.steps and not one.earlier and not one.beliefs and not Counter(one.data.values()) - kinds
            and all(name in self.every for name, _ in one.turn.steps)
        ]  # fmt: skip
        if not fitting:
            return None
        one = self.random.choice(fitting)
        free = self.random.sample(list(self.held), len(self.held))
        letters: dict[str, str] = {}
        for letter, kind in one.data.items():
            letters[letter] = next(name for name in free if self.held[name] == kind and name not in letters.values())
        said = {letter: self._spoken(name) for letter, name in letters.items()}
        found = self._steps(one.turn, "", letters, said, dict(self.held), upto=0)
        if found is None or any("=?" in done.call for done in found[1]):
            return None
        text, bench, listed = found[0], self._bench(), []
        for position, done in enumerate(found[1], 1):
            try:
                made, facts = bench.run(done.call)
            except (MohoError, ValueError, TypeError, ArithmeticError):
                return None
            if made != done.result:
                return None
            listed.append([f"{position}.{key}" for key in facts])
        wanted = set(one.answer) or set(listed[-1][:3])
        keys = [key for several in listed for key in several if key in wanted]
        if len(keys) < len(wanted) or not keys:
            return None
        return self.every[one.turn.steps[-1][0]], [Turn(text, (*(done.call for done in found[1]), decision.write_answer(keys)))]

    # -- below

    def _scene(self, *, double: bool) -> None:
        """One to four files of an earth under drawn names, and the tools that fit them; twice the same kind where wanted, at times anyway."""
        earth = self.random.choice(self.earths)
        files = self.random.sample(list(FILES), self.random.choice((1, 2, 2, 3, 4)))
        if "stations" in files and "waveforms" not in files:
            files.append("waveforms")
        wanted = [(earth, file) for file in files]
        if double or self.random.random() < 0.15:
            one = self.random.choice([file for file in files if file != "stations"])
            wanted.append((self.random.choice([seed for seed in self.earths if seed != earth]), one))
        self.random.shuffle(wanted)
        self.held, self.data = {}, {}
        for seed, file in wanted:
            kind = FILES[file]
            taken = {name.casefold() for name in self.held}
            name = self.random.choice([name for name in NAMES[kind] if name.casefold() not in taken and "/" not in name])
            self.held[name], self.data[name] = kind, (seed, file)
        kinds = set(self.held.values())
        bare = self.random.random() < 0.25  # whether a tool that needs no data may be meant
        fitting = {name: tool for name, tool in self.every.items() if offer.fits(tool, kinds)}
        self.tools = {name: tool for name, tool in fitting.items() if bare or any(a.is_data and a.required for a in tool.arguments)}

    def _bench(self) -> Bench:
        return Bench({name: library(seed).load(file) for name, (seed, file) in self.data.items()})

    def _asked_for(self, tool: Tool) -> tuple[Turn, Bench, decision.Decision] | None:
        """A request for one call that can be carried out."""
        example = self._call(tool, "call")
        if example is None or "=?" in example.reply or not self._closed(example):
            return None
        bench = self._bench()
        turn = self._answered(example.situation.request, example.reply, bench)
        return (turn, bench, decision.read(example.reply)) if turn else None

    def _answered(self, text: str, line: str, bench: Bench) -> Turn | None:
        """A turn of one call and the answer with its first numbers."""
        try:
            _, facts = bench.run(line)
        except (MohoError, ValueError, TypeError, ArithmeticError):
            return None
        return Turn(text, (line, decision.write_answer([f"1.{key}" for key in list(facts)[:3]]))) if facts else None

    def _tried(self, example: Example, bench: Bench) -> tuple[str, dict[str, Quantity]] | None:
        """What a call of a chain makes; None where it cannot be carried out."""
        if "=?" in example.reply:
            return None
        try:
            name, facts = bench.run(example.reply)
        except (MohoError, ValueError, TypeError, ArithmeticError):
            return None
        return (name, facts) if facts else None

    def _closed(self, example: Example) -> bool:
        """Whether a request speaks of no data but those of the project."""
        return set(example.situation.catalogue) <= set(self.held)

    def _own(self, tool: Tool, name: str) -> dict[str, Quantity]:
        """The numbers of a data set that a question goes to this tool for: no inspecting tool before it reports them."""
        found: dict[str, Quantity] = {}
        for one in INSPECTING:
            argument = next((a for a in self.every[one].arguments if a.is_data and a.takes(self.held[name])), None)
            facts = measured(*self.data[name], one, argument.name) if argument else {}
            if one == tool.name:
                return {key: quantity for key, quantity in facts.items() if key not in found}
            found |= facts
        return {}

    def _inspection(self, tool: Tool, name: str) -> str:
        return decision.write_call(tool.name, {next(a.name for a in tool.arguments if a.is_data): name})

    def _spoken(self, name: str) -> str:
        """A data set by its name, or by what it is where there is one of its kind."""
        kind = self.held[name]
        alone = list(self.held.values()).count(kind) == 1
        return self.random.choice(NOUNS[kind]) if alone and self.random.random() < 0.5 else name

    def _data(
        self, tool: Tool, form: str = "", *, ambiguous: bool = False, catalogue: Mapping[str, str] | None = None, chained: str = ""
    ) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        """As the writer of instruction data has it, on the data of the project."""
        return super()._data(tool, form, ambiguous=ambiguous, catalogue=self.held or None if catalogue is None else catalogue, chained=chained)

    def _ordered(self, values: dict[str, str]) -> dict[str, str]:
        return super()._ordered(values) | {name: value for name, value in self.forced.items() if name in values}


def _close(written: str, unit: str, value: float) -> bool:
    try:
        return abs(parse(written, Unit(unit)) - value) <= 6e-4 * max(abs(value), 1e-12)
    except ValueError:
        return False


def draws(seed: int, usable: Callable[[Request], Any], *, kind: str = "", **settings: Any) -> Any:
    """What `usable` makes of the first request of this seed that it does not turn down with None."""
    maker = Maker(seed, **settings)
    kind = kind or random.Random(seed).choices(list(SHARES), list(SHARES.values()))[0]  # the shares hold, whatever is turned down
    for _ in range(200):
        if (found := usable(maker.make(kind))) is not None:
            return found
    raise RuntimeError(f"no request of kind {kind} could be played in 200 draws")
