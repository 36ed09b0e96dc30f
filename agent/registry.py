"""The tools: a typed function becomes a checked call, a JSON schema, a line of prompt, a command and a page of documentation.

`@tool` leaves the function as it is and puts its description into `TOOLS`; there is no second list anywhere. A call
comes in three steps: `prepare` turns what a model or a person wrote into canonical arguments (names checked against the
catalogue, units converted, bounds held), the guard looks at it (`agent.guard`), `execute` runs the plain function.
What a file or a model says never becomes code here: arguments are names, numbers, listed words or quoted text.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, get_args, get_origin

from moho.errors import Missing, MohoError, Refusal
from moho.survey import KINDS, Data, Step, noun
from moho.units import Unit, parse, split

TOOLS: dict[str, Tool] = {}
MARK = "?"  # an argument a model leaves open: the person has not said it
FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
WAYS = {  # which tool makes the data set that is wanted from the one that is there
    ("Seismic", "Volume"): "`segy_read` takes an inline or a crossline out of a volume.",
    ("Seismic", "Gather"): "`nmo_stack` makes a line of gathers.",
    ("Gravity", "Table"): "`assign_columns` says which columns of a table are what.",
    ("Magnetics", "Table"): "`assign_columns` says which columns of a table are what.",
    ("Grid", "Gravity"): "`grid_trend` makes a grid of stations.",
    ("Grid", "Magnetics"): "`grid_trend` makes a grid of stations.",
    ("Picks", "Waveforms"): "`pick_phases` makes picks of seismograms.",
    ("Catalogue", "Picks"): "`locate_event` makes an event of picks.",
    ("Table", "Gather"): "`pick_first_breaks` makes a table of first-arrival times of shot gathers.",
    ("Horizon", "Seismic"): "`track_horizon` makes a horizon of a line.",
    ("Well", "LogFile"): "`dlis_read` makes a well of a frame of a log file.",
}


@dataclass(frozen=True)
class Cost:
    """What a call will take, estimated before it starts."""

    seconds: float = 0.0
    bytes: float = 0.0  # of memory
    disk: float = 0.0  # bytes written


@dataclass(frozen=True)
class Argument:
    """One argument of a tool, read from its annotation."""

    name: str
    label: str  # the field's words for it
    kinds: tuple[type[Data], ...] = ()  # for data: the classes it may be
    unit: Unit | None = None  # for numbers
    choices: tuple[str, ...] = ()  # for listed words
    integer: bool = False
    flag: bool = False  # yes or no
    many: bool = False  # a list of them
    required: bool = True
    default: Any = None

    @property
    def is_data(self) -> bool:
        return bool(self.kinds)

    def takes(self, kind: str) -> bool:
        """Whether a data set of the class of this name fits here."""
        return kind in KINDS and issubclass(KINDS[kind], self.kinds)

    def schema(self) -> dict[str, Any]:
        """JSON schema of what a model may write here."""
        if self.is_data:
            one: dict[str, Any] = {"type": "string"}
            what = f"name of {noun(*self.kinds)} in the project"
        elif self.flag:
            one, what = {"type": "boolean"}, ""
        elif self.choices:
            one, what = {"type": "string", "enum": list(self.choices)}, ""
        elif self.unit is not None:
            one = {"type": ["string", "number"]}
            bounds = self.unit.bounds().strip()
            what = "a whole number" if self.integer else "number with its unit as the person wrote it"
            what += f", {bounds}" if bounds != "in" else ""
        else:
            one, what = {"type": "string"}, ""
        words = "; ".join(word for word in (self.label, what) if word)
        if not self.required and self.default is not None:
            words += f"; default {self.default}"
        return ({"type": "array", "items": one} if self.many else one) | {"description": words}


@dataclass(frozen=True)
class Tool:
    """A registered function and what its signature says."""

    name: str
    function: Callable[..., Data]
    discipline: str  # "seismic" | "seismology" | "gravity" | "magnetics" | "well" | "em" | "any"
    stage: str  # "inspect" | "processing" | "modelling" | "inversion" | "interpretation" | "plot"
    arguments: tuple[Argument, ...]
    say: tuple[str, ...]  # how people ask for it, with {argument} where a value stands
    cost: Callable[..., Cost] | None
    reference: str
    truth: str = ""  # what it is held to, with the number, as its tests assert it

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]

    @property
    def description(self) -> str:
        """The whole docstring."""
        return inspect.getdoc(self.function) or ""

    def argument(self, name: str) -> Argument:
        """The argument of this name; KeyError otherwise."""
        return next(argument for argument in self.arguments if argument.name == name)

    def schema(self) -> dict[str, Any]:
        """The call as JSON schema, as OpenAI-style tools and MCP want it."""
        return {
            "type": "object",
            "properties": {argument.name: argument.schema() for argument in self.arguments},
            "required": [argument.name for argument in self.arguments if argument.required],
            "additionalProperties": False,
        }


def tool(
    *, discipline: str, stage: str, say: Sequence[str] = (), cost: Callable[..., Cost] | None = None, reference: str = "", truth: str = ""
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a plain function `(data..., numbers...) -> Data` under its own name. The function itself is returned unchanged.

    `say`: phrasings people use, with `{argument}` slots. `reference`: author and year, title, journal of the method. `truth`:
    what the tool is held to, with the number, in words that its tests assert.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        name = function.__name__
        if name in TOOLS and TOOLS[name].function.__module__ != function.__module__:
            raise ValueError(f"two tools are called {name}")
        TOOLS[name] = Tool(name, function, discipline, stage, _arguments(function), tuple(say), cost, reference, truth)
        return function

    return register


def _arguments(function: Callable[..., Any]) -> tuple[Argument, ...]:
    hints = typing.get_type_hints(function, include_extras=True)
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        required = parameter.default is inspect.Parameter.empty
        base = Argument(name, name.replace("_", " "), required=required, default=None if required else parameter.default)
        found.append(_read(base, hints[name]))
    return tuple(found)


def _read(argument: Argument, hint: Any) -> Argument:
    """`argument` with what the annotation says of it."""
    origin = get_origin(hint)
    if origin is typing.Annotated:
        inner, *extras = get_args(hint)
        for extra in extras:
            if isinstance(extra, Unit):
                argument = replace(argument, unit=extra)
            elif isinstance(extra, str):
                argument = replace(argument, label=extra)
        return _read(argument, inner)
    if origin in (typing.Union, types.UnionType):
        parts = [part for part in get_args(hint) if part is not type(None)]
        if all(isinstance(part, type) and issubclass(part, Data) for part in parts):
            return replace(argument, kinds=tuple(parts))
        if len(parts) == 1:
            return _read(argument, parts[0])
    if origin is Literal:
        return replace(argument, choices=tuple(str(choice) for choice in get_args(hint)))
    if origin in (list, tuple):
        return replace(_read(argument, get_args(hint)[0]), many=True)
    if isinstance(hint, type) and issubclass(hint, Data):
        return replace(argument, kinds=(hint,))
    if hint is bool:
        return replace(argument, flag=True, choices=("true", "false"))
    if hint is int:
        return replace(argument, integer=True, unit=argument.unit or Unit(""))
    if hint is float:
        return replace(argument, unit=argument.unit or Unit(""))
    if hint is str:
        return argument
    raise TypeError(f"argument {argument.name}: the registry has no use for the annotation {hint}")


@cache
def load_tools() -> dict[str, Tool]:
    """TOOLS, with every module of `moho.agent.tools` imported."""
    package = importlib.import_module("moho.agent.tools")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"moho.agent.tools.{module.name}")
    return TOOLS


@dataclass(frozen=True)
class Call:
    """A checked call: names of data sets and canonical values, defaults filled in."""

    tool: str
    data: Mapping[str, str | list[str]]  # argument -> name(s) in the project
    values: Mapping[str, Any]  # argument -> number in the argument's unit, word or None

    @property
    def arguments(self) -> dict[str, Any]:
        """All of it, in the order of the signature, as it is kept with the run."""
        return {a.name: self.data.get(a.name, self.values.get(a.name)) for a in load_tools()[self.tool].arguments}


def find_tool(name: str) -> Tool:
    """The tool of this name; ValueError lists the nearest ones."""
    import difflib

    tools = load_tools()
    if name not in tools:
        near = ", ".join(difflib.get_close_matches(name, tools, 3, 0.4)) or ", ".join(sorted(tools))
        raise ValueError(f"there is no tool {name!r}; did you mean {near}?")
    return tools[name]


def prepare(name: str, written: Mapping[str, Any], catalogue: Mapping[str, type[Data]]) -> Call:
    """A checked call from what was written.

    `catalogue` maps the names in the project to their classes. Raises Missing for what only the person can say (a
    required value or one of several data sets that fit), Refusal when the project holds nothing the tool could work on,
    and ValueError, naming the valid choices, for anything the writer can mend.
    """
    found = find_tool(name)
    known = {argument.name for argument in found.arguments}
    if extra := sorted(set(written) - known):
        raise ValueError(f"{name} has no argument {', '.join(extra)}; it takes {', '.join(a.name for a in found.arguments)}")
    data: dict[str, str | list[str]] = {}
    values: dict[str, Any] = {}
    open_: list[Argument] = []
    for argument in found.arguments:
        value = written.get(argument.name)
        absent = value is None or value == "" or value == MARK
        if argument.is_data:
            chosen = _choose(found, argument, None if absent else value, catalogue)
            if chosen is not None:
                data[argument.name] = chosen
            else:
                values[argument.name] = None
        elif absent:
            if argument.required:
                open_.append(argument)
            values[argument.name] = argument.default
        elif argument.many:
            parts = value if isinstance(value, (list, tuple)) else split(str(value))
            values[argument.name] = [_value(argument, part) for part in parts]
        else:
            values[argument.name] = _value(argument, value)
    if open_:
        words = " ".join(question(found, argument) for argument in open_)
        raise Missing(open_[0].name, words, open_[0].choices, tuple(argument.name for argument in open_[1:]))
    return Call(name, data, values)


def _choose(tool_: Tool, argument: Argument, written: Any, catalogue: Mapping[str, type[Data]]) -> str | list[str] | None:
    """The data set(s) meant, by name; when none was named the only one that fits, or for a list all that fit."""
    fitting = [name for name, kind in catalogue.items() if issubclass(kind, argument.kinds)]
    wanted = noun(*argument.kinds)
    if written is None:
        if not argument.required:
            return fitting[0] if len(fitting) == 1 and all(kind.accessory for kind in argument.kinds) else None
        if fitting and argument.many:
            return fitting
        if len(fitting) == 1:
            return fitting[0]
        if not fitting:
            held = ", ".join(f"{name} ({noun(kind)})" for name, kind in catalogue.items()) or "nothing yet"
            words = f"{tool_.name} needs {wanted} and the project has none; it holds {held}."
            raise Refusal("E_DATA", words, way(argument, catalogue.values()))
        raise Missing(argument.name, f"Which {argument.label} do you mean: {', '.join(fitting)}?", tuple(fitting))
    if argument.many:
        parts = written if isinstance(written, (list, tuple)) else [part.strip() for part in str(written).split(",")]
        return [_name(argument, part, catalogue, fitting, wanted) for part in parts]
    return _name(argument, written, catalogue, fitting, wanted)


def _name(argument: Argument, written: Any, catalogue: Mapping[str, type[Data]], fitting: list[str], wanted: str) -> str:
    text = str(written).strip()
    by_fold = {name.casefold(): name for name in catalogue}
    name = by_fold.get(text.casefold())
    if name is None:
        raise ValueError(f"there is no {text!r} in the project; for {argument.name} there is {', '.join(fitting) or 'nothing'}")
    if name not in fitting:
        hint = way(argument, [catalogue[name]])
        words = f"{name!r} is {noun(catalogue[name])}; {argument.name} wants {wanted}: {', '.join(fitting) or 'none here'}"
        raise ValueError(f"{words}. {hint}" if hint else words)
    return name


def way(argument: Argument, held: Iterable[type[Data]]) -> str:
    """The tool that leads from a data set that is there to one the argument takes, in a sentence; "" for none."""
    ways = (WAYS.get((kind.__name__, there.__name__)) for kind in argument.kinds for there in held)
    return next((words for words in ways if words), "")


def _value(argument: Argument, written: Any) -> Any:
    if argument.flag:
        said = FLAGS.get(str(written).strip().casefold())
        if said is None:
            raise ValueError(f"{argument.name} must be true or false, got {written!r}")
        return said
    if argument.choices:
        text = str(written).strip().casefold()
        for choice in argument.choices:
            if text == choice.casefold():
                return choice
        raise ValueError(f"{argument.name} must be one of {', '.join(argument.choices)}, got {written!r}")
    if argument.unit is None:
        return str(written).strip()
    number = parse(written, argument.unit, argument.name)
    if argument.integer:
        if number != int(number):
            raise ValueError(f"{argument.name} must be a whole number, got {number:g}")
        return int(number)
    return number


def question(tool_: Tool, argument: Argument) -> str:
    """What to ask a person for an argument they left open."""
    if argument.choices:
        return f"Which {argument.label} should {tool_.name} use: {', '.join(argument.choices)}?"
    unit = f" (in {argument.unit.symbol})" if argument.unit and argument.unit.symbol else ""
    return f"What {argument.label}{unit} should {tool_.name} use?"


def execute(call: Call, load: Callable[[str], Data]) -> Data:
    """Run the plain function on loaded data. What comes back carries the call in its history."""
    found = find_tool(call.tool)
    inputs = {name: [load(part) for part in parts] if isinstance(parts, list) else load(parts) for name, parts in call.data.items()}
    result = found.function(**inputs, **call.values)
    if not isinstance(result, Data):
        raise TypeError(f"{call.tool} returned {type(result).__name__}, not a data set")
    first = next((value for value in inputs.values() if isinstance(value, Data)), None)
    before = first.history if first is not None else ()
    return replace(result, history=(*before, Step(call.tool, call.arguments)))


def estimate(call: Call, load: Callable[[str], Data]) -> Cost:
    """Seconds and bytes the call will take, before it starts; zero where the tool makes no estimate."""
    found = find_tool(call.tool)
    if found.cost is None:
        return Cost()
    inputs = {name: [load(part) for part in parts] if isinstance(parts, list) else load(parts) for name, parts in call.data.items()}
    return found.cost(**inputs, **call.values)


__all__ = ["MARK", "TOOLS", "Argument", "Call", "Cost", "MohoError", "Tool", "estimate", "execute", "find_tool", "load_tools", "prepare", "tool"]
