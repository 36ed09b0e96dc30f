"""A typed function is a checked call: names, units and bounds are looked at before it runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import pytest

from moho.agent import registry
from moho.agent.registry import WAYS, Call, Cost, estimate, execute, find_tool, load_tools, prepare, tool
from moho.errors import Missing, Refusal
from moho.survey import KINDS, Data, Gravity, Grid, Response, Seismic, Volume, Waveforms, Well
from moho.units import Count, Hertz, OutOfBounds, Quantity, Seconds, Velocity

TOOLS = load_tools()
LINE = Seismic(data=np.ones((3, 4)), dt=0.004)


def smear(
    line: Seismic,
    width: Annotated[Seconds, "smearing width"],
    passes: Count = 2,
    speeds: list[Velocity] | None = None,
    style: Literal["Soft", "hard"] = "Soft",
    top: Hertz | None = None,
    label: str = "",
    other: Seismic | None = None,
    reverse: bool = False,
) -> Seismic:
    """The line, smeared.

    By a made law.
    """
    return line.made(facts={"width": Quantity(width, "s", "width")}, data=line.data * passes)


@pytest.fixture(autouse=True)
def _smear() -> Iterator[None]:
    tool(discipline="seismic", stage="processing", cost=lambda line, **_: Cost(3.0, line.data.nbytes), reference="made")(smear)
    yield
    TOOLS.pop("smear")


LINES: dict[str, type[Data]] = {"line 12": Seismic, "A-1": Well}


def test_the_signature_is_the_schema() -> None:
    schema = find_tool("smear").schema()
    assert schema["required"] == ["line", "width"]
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert list(properties) == ["line", "width", "passes", "speeds", "style", "top", "label", "other", "reverse"]
    assert properties["line"] == {"type": "string", "description": "line; name of a seismic line in the project"}
    assert "smearing width" in properties["width"]["description"]
    assert "above 0 s" in properties["width"]["description"]
    assert properties["passes"]["description"].endswith("default 2")
    assert properties["speeds"]["type"] == "array"
    assert properties["style"]["enum"] == ["Soft", "hard"]
    assert find_tool("smear").summary == "The line, smeared."
    assert "made law" in find_tool("smear").description


def test_units_are_converted_at_the_door_and_defaults_filled_in() -> None:
    call = prepare("smear", {"line": "LINE 12", "width": "40 ms", "speeds": "1.5 km/s, 2,000 m/s", "style": "HARD", "top": "0.06 kHz"}, LINES)
    assert call == Call(
        "smear",
        {"line": "line 12"},
        {"width": 0.04, "passes": 2, "speeds": [1500, 2000], "style": "hard", "top": 60, "label": "", "other": None, "reverse": False},
    )
    assert list(call.arguments) == ["line", "width", "passes", "speeds", "style", "top", "label", "other", "reverse"]


def test_the_only_data_that_fits_is_taken_but_an_optional_one_is_not() -> None:
    call = prepare("smear", {"width": 1}, LINES)
    assert call.data == {"line": "line 12"}
    assert call.values["other"] is None


def test_an_accessory_is_taken_without_being_told() -> None:
    held: dict[str, type[Data]] = {"mseed": Waveforms, "xml": Response}
    assert prepare("pick_phases", {}, held).data["response"] == "xml"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"widht": 1}, "no argument widht; it takes line, width, passes"),
        ({"line": "line 99", "width": 1}, "no 'line 99' in the project; for line there is line 12"),
        ({"line": "A-1", "width": 1}, "'A-1' is a well; line wants a seismic line: line 12"),
        ({"width": "wide"}, "no number in 'wide'"),
        ({"width": "5 km"}, "cannot be given in s"),
        ({"width": 1, "passes": 1.5}, "whole number, got 1.5"),
        ({"width": 1, "style": "firm"}, "one of Soft, hard, got 'firm'"),
        ({"width": True}, "wants a number"),
        ({"width": 1, "reverse": "maybe"}, "reverse must be true or false, got 'maybe'"),
    ],
)
def test_what_can_be_mended_names_the_valid_choices(written: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        prepare("smear", written, LINES)


@pytest.mark.parametrize(("written", "value"), [(True, True), ("yes", True), ("False", False), ("NO", False), (None, False)])
def test_a_flag_is_said_in_json_or_in_words(written: object, value: bool) -> None:
    assert prepare("smear", {"width": 1, "reverse": written}, LINES).values["reverse"] is value
    assert find_tool("smear").schema()["properties"]["reverse"]["type"] == "boolean"


def test_the_tool_that_leads_to_what_is_wanted_is_named() -> None:
    with pytest.raises(Refusal, match=r"it holds cube \(a volume\). `segy_read` takes an inline"):
        prepare("smear", {"width": 1}, {"cube": Volume})
    with pytest.raises(ValueError, match=r"'cube' is a volume; line wants a seismic line: line 12. `segy_read` takes"):
        prepare("smear", {"line": "cube", "width": 1}, LINES | {"cube": Volume})
    tools = load_tools()
    for (wanted, held), words in WAYS.items():
        leads = tools[words.split("`")[1]]
        assert any(argument.takes(held) for argument in leads.arguments if argument.is_data)
        returned = typing.get_type_hints(leads.function)["return"]
        assert any(issubclass(KINDS[wanted], kind) for kind in typing.get_args(returned) or (returned,))


def test_an_unknown_tool_names_its_neighbours() -> None:
    with pytest.raises(ValueError, match=r"did you mean .*bandpass"):
        prepare("band_pass", {}, LINES)


@pytest.mark.parametrize("open_", [{}, {"width": "?"}, {"width": ""}, {"width": None}])
def test_what_only_the_person_can_say_is_asked(open_: dict[str, object]) -> None:
    with pytest.raises(Missing, match=r"smearing width \(in s\)") as missing:
        prepare("smear", open_, LINES)
    assert missing.value.about == ["width"]


def test_all_that_is_missing_is_asked_at_once() -> None:
    with pytest.raises(Missing) as missing:
        prepare("bandpass", {"line": "line 12"}, LINES)
    assert missing.value.about == ["low", "high"]
    with pytest.raises(Missing) as missing:
        prepare("smear", {"width": 1}, LINES | {"line 13": Seismic})
    assert (missing.value.argument, missing.value.candidates) == ("line", ("line 12", "line 13"))


def test_nothing_that_fits_is_a_refusal_that_says_what_there_is() -> None:
    with pytest.raises(Refusal, match=r"needs a seismic line and the project has none; it holds A-1 \(a well\)"):
        prepare("smear", {"width": 1}, {"A-1": Well})


@pytest.mark.parametrize("written", [{"width": "-5 s"}, {"width": 1, "speeds": "20 km/s"}, {"width": 1, "passes": 0}, {"width": 1, "top": "0 Hz"}])
def test_numbers_that_cannot_be_are_out_of_bounds(written: dict[str, object]) -> None:
    with pytest.raises(OutOfBounds, match="must be"):
        prepare("smear", written, LINES)


def test_a_call_runs_the_plain_function_and_leaves_a_history() -> None:
    call = prepare("smear", {"width": "40 ms"}, LINES)
    made = execute(call, lambda name: LINE)
    again = execute(call, lambda name: made)
    assert isinstance(made, Seismic)
    assert np.array_equal(made.data, 2 * LINE.data)
    assert [step.arguments["width"] for step in again.history] == [0.04, 0.04]
    assert LINE.history == ()
    assert estimate(call, lambda name: LINE) == Cost(3.0, LINE.data.nbytes)


def test_a_list_of_data_takes_all_that_fit_or_those_named() -> None:
    held: dict[str, type[Data]] = {"a": Waveforms, "b": Waveforms, "line": Seismic}
    assert prepare("detect_associate", {}, held).data["waveforms"] == ["a", "b"]
    assert prepare("detect_associate", {"waveforms": "B, a"}, held).data["waveforms"] == ["b", "a"]


def test_two_tools_cannot_have_one_name() -> None:
    def other(line: Seismic) -> Seismic:
        return line

    other.__name__, other.__module__ = "bandpass", "elsewhere"
    with pytest.raises(ValueError, match="two tools"):
        tool(discipline="any", stage="plot")(other)


def test_a_tool_that_returns_no_data_is_an_error() -> None:
    TOOLS["smear"] = replace(TOOLS["smear"], function=lambda **_: 5)
    with pytest.raises(TypeError, match="not a data set"):
        execute(Call("smear", {"line": "x"}, {}), lambda name: LINE)


# -- every tool that there is


@pytest.mark.parametrize("name", sorted(set(TOOLS) - {"smear"}))
def test_every_tool_is_described(name: str) -> None:
    found = TOOLS[name]
    names = {argument.name for argument in found.arguments}
    assert len(found.say) >= 8
    assert len(set(found.say)) == len(found.say)
    for phrase in found.say:
        assert set(re.findall(r"\{(\w+)\}", phrase)) <= names, phrase
        assert phrase.count("{") == phrase.count("}") == len(re.findall(r"\{\w+\}", phrase)), phrase
    assert found.summary
    assert found.summary.endswith(".")
    assert found.reference or found.stage == "plot"
    assert found.discipline in {"seismic", "seismology", "gravity", "magnetics", "well", "em", "any"}
    assert found.stage in {"inspect", "processing", "modelling", "inversion", "interpretation", "plot", "literature"}
    json.dumps(found.schema())
    for argument in found.arguments:
        assert argument.is_data or argument.choices or argument.unit is not None or argument.label
        if argument.default is not None and argument.unit is not None and not argument.many:
            argument.unit.check(argument.name, float(argument.default))


def test_data_come_first_and_every_result_is_one_of_ours() -> None:
    for found in TOOLS.values():
        required = [argument.is_data for argument in found.arguments if argument.required]
        assert required == sorted(required, reverse=True), found.name


IMPORT = """
import sys, time
start = time.process_time()
from moho.agent.registry import load_tools
tools = load_tools()
heavy = ("torch", "scipy.signal", "obspy", "matplotlib", "pandas", "simpeg", "langgraph")
print(len(tools), time.process_time() - start, *(m for m in heavy if m in sys.modules))
"""


def test_importing_the_tools_is_without_the_heavy_libraries() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
    count, _, *heavy = done.stdout.split()
    assert int(count) >= 30
    assert heavy == []


def test_the_kinds_of_the_catalogue_are_those_the_arguments_name() -> None:
    assert find_tool("grid_trend").argument("stations").takes("Gravity")
    assert not find_tool("grid_trend").argument("stations").takes("Grid")
    assert not find_tool("grid_trend").argument("stations").takes("NoSuchKind")
    assert registry.question(find_tool("bandpass"), find_tool("bandpass").argument("low")).endswith("should bandpass use?")
    assert issubclass(Gravity, Data)
    assert issubclass(Grid, Data)
