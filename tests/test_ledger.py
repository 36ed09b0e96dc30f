"""Every number of an answer has a source, or it does not leave."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moho.agent.ledger import STRUCK, check
from moho.project import StepRecord


def step(number: int = 1, arguments: dict[str, Any] | None = None, **facts: tuple[Any, str, str]) -> StepRecord:
    held = {key: {"value": value, "unit": unit, "label": label} for key, (value, unit, label) in facts.items()}
    return StepRecord(number, "tool", arguments or {}, {"facts": held}, [], 0.1, None)


STEPS = [
    step(
        1,
        {"low": 5.0, "velocity": [1500.0, 2250.0], "line": "line 12"},
        energy_band=([8.472, 40.31], "Hz", "energy band"),
        traces=(534, "", "traces"),
    ),
    step(2, start=("2010-05-27T16:24:33.210", "UTC", "start"), mean=(-93.743, "mGal", "mean at 2670 kg/m3"), count=(25013, "", "cells")),
]


def text(answer: str, request: str = "", names: tuple[str, ...] = ("line 12",)) -> str:
    return check(answer, STEPS, request, names).text


def test_bindings_become_numbers_with_units_and_sources() -> None:
    checked = check("Band {s1.energy_band}, mean {s2.mean}.", STEPS, "")
    assert checked.text == "Band 8.472 to 40.31 Hz, mean -93.743 mGal."
    assert [number.source for number in checked.numbers] == ["step:1:energy_band", "step:2:mean"]
    assert checked.numbers[1].json() == {"text": "-93.743 mGal", "value": -93.743, "unit": "mGal", "source": "step:2:mean"}
    assert not checked.unbound
    assert not checked.unknown


def test_a_binding_to_nothing_is_struck_and_told() -> None:
    checked = check("Peak {s1.peak} and {s9.traces}.", STEPS, "")
    assert checked.text == f"Peak {STRUCK} and {STRUCK}."
    assert checked.unknown == ["{s1.peak}", "{s9.traces}"]


@pytest.mark.parametrize(
    "written",
    [
        "8.5 Hz",
        "8.47 Hz",
        "8.5-40.3 Hz",
        "8 to 40 Hz",
        "534 traces",
        "-93.7 mGal",
        "−93.74 mGal",
        "25,013 cells",
        "25013 cells",
        "5 Hz",
        "1500 m/s",
        "2,250 m/s",
        "at 16:24:33.2",
        "on 2010-05-27",
        "8.5Hz",
        "(8.5)",
        "**8.5**",
        "534.",
        "five Hz",
        "5.0 Hz",
        "8.472e0",
    ],
)
def test_written_numbers_match_at_their_precision(written: str) -> None:
    assert text(f"It is {written} here") == f"It is {written} here"


@pytest.mark.parametrize(
    "written",
    [
        "8.6 Hz",
        "8.480 Hz",
        "533 traces",
        "93.7 mGal",
        "25,014 cells",
        "37Hz",
        "37 Hz",
        "CDP412",
        "cdp 412",
        ".37 s",
        "3.7e1",
        "10⁵ m",
        "½ s",
        "_37_",
        "*37*",
        "$37",
        "~37",
        "thirty-seven Hz",
        "two hundred m",
        "half a second",
        "４２ Hz",
        "(37)",
        "37%",
        "37.",
        "{37}",
        "1 in 37",
        "37–41",
        "line 13",
        "−8.472",
        "85 s",
        "1e3",
    ],
)
def test_a_made_up_number_is_struck_visibly(written: str) -> None:
    checked = check(f"It is {written} here", STEPS, "please", ["line 12"])
    assert STRUCK in checked.text
    assert checked.unbound


@pytest.mark.parametrize(
    "words",
    [
        "Made “line 12” from line 12.",
        "mean at 2670 kg/m3",
        "Mean at 2670 kg/m3: {s2.mean}",
        "a 3D model, 2-D line, WGS84, m/s2, S1, H2O, P2 wave, step 1 and step 2",
        "version 1.2.3",
        "two horizons and one fault",
        "",
    ],
)
def test_names_labels_and_words_with_digits_are_untouched(words: str) -> None:
    assert text(words) == words.replace("{s2.mean}", "-93.743 mGal")


def test_a_name_that_is_a_number_protects_itself_only_in_quotation_marks() -> None:
    assert text("“37” is at 4375 m and 37 s", names=("37",)) == f"“37” is at {STRUCK} m and {STRUCK} s"


def test_a_name_protects_whole_words_only() -> None:
    assert text("A-1 and A-12", names=("A-1",)) == f"A-1 and A-{STRUCK}"


NUMBERS = st.one_of(
    st.integers(-(10**7), 10**7).map(str),
    st.floats(-1e6, 1e6, allow_nan=False).map(repr),
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: f"{v:,.2f}"),
)
FRAMES = st.sampled_from(
    [
        "{}",
        "peak {}Hz",
        "at CDP{}",
        "({})",
        "**{}**",
        "_{}_",
        "x={}",
        "{} m",
        "from {} on",
        "“{}”",
        "\n{}\n",
        "a,{},b",
        "µ{} ",
        "<{}>",
        "{}%",
        "#{}",
        "/{}/",
    ]
)


@settings(deadline=None, max_examples=400)
@given(NUMBERS, FRAMES, st.sampled_from(["", "Hello ", "The mean is "]))
def test_no_made_up_number_survives(number: str, frame: str, before: str) -> None:
    """Whatever stands around it: without steps and without a request, no number of two digits or more is left."""
    answer = check(before + frame.format(number), [], "").text.replace(STRUCK, "")
    if frame != "µ{} " or number.startswith("-"):  # a letter before the digits makes a word of them
        assert not re.search(r"\d", answer), answer


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_can_be_checked_and_a_second_check_changes_nothing(answer: str) -> None:
    once = check(answer, STEPS, "").text
    assert check(once, STEPS, "").text == once


@settings(deadline=None)
@given(st.floats(-1e9, 1e9, allow_nan=False))
def test_every_measured_number_can_be_stated(value: float) -> None:
    held = [step(value=(value, "m", "depth"))]
    checked = check("It is {s1.value}.", held, "")
    assert STRUCK not in checked.text
    assert STRUCK not in check(checked.text, held, "").text  # as printed, it is found again
