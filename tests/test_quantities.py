"""The quantities that stand in what a person wrote, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moho.agent.quantities import candidates, quantities, said, spans
from moho.agent.registry import find_tool
from moho.units import Unit, parse

LOW = find_tool("bandpass").argument("low")
DENSITY = find_tool("bouguer_terrain").argument("density")
WINDOW = find_tool("gain_agc").argument("window")
DEGREE = find_tool("remove_trend").argument("degree")
RW = find_tool("water_saturation").argument("rw")
CEMENT = find_tool("water_saturation").argument("m")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("filter it 5-60 Hz, then AGC with half a second", ("5 Hz", "60 Hz", "half a second")),
        ("5–60 hz", ("5 hz", "60 hz")),
        ("5 to 60Hz", ("5 Hz", "60 Hz")),
        ("8..60 Hz", ("8 Hz", "60 Hz")),
        ("5 or 6 Hz", ("5 Hz", "6 Hz")),
        ("8/12/60/70 Hz", ("8 Hz", "12 Hz", "60 Hz", "70 Hz")),
        ("between ten and sixty hertz", ("ten Hz", "sixty Hz")),
        ("von 8 bis 60 Hz", ("8 Hz", "60 Hz")),
        ("5 Hz and 0.5 s", ("5 Hz", "0.5 s")),
        ("100-200 ms", ("100 ms", "200 ms")),
        ("0,5 s", ("0,5 s",)),
        ("2,67 g/cc", ("2,67 g/cc",)),
        ("1,500 m/s, 2000 m/s", ("1,500 m/s", "2000 m/s")),
        ("10 000 m", ("10 000 m",)),
        ("1\u202f500 m", ("1\u202f500 m",)),
        ("line 12 500 ms", ("12", "500 ms")),
        ("one and a half second", ("one and a half second",)),
        ("a quarter of a second", ("a quarter of a second",)),
        ("1 1/2 s", ("1.5 s",)),
        ("½ s", ("0.5 s",)),
        ("two point six seven g/cc", ("two point six seven g/cc",)),
        ("twenty five Hz", ("twenty five Hz",)),
        ("seventy Hz", ("seventy Hz",)),
        ("a hundred and fifty metres", ("a hundred and fifty metres",)),
        ("2.5 thousand m", ("2.5 thousand m",)),
        ("CDP180", ("180",)),
        ("cdp 180", ("180",)),
        ("XL900", ("900",)),
        ("2x2 km", ("2", "2 km")),
        ("500m cells", ("500 m",)),
        ("-5 mGal", ("-5 mGal",)),
        ("minus 5 mGal", ("-5 mGal",)),
        ("−5 mGal", ("-5 mGal",)),
        ("+5 Hz", ("5 Hz",)),
        ("0.5-s window", ("0.5 s",)),
        ("20-Hz low cut", ("20 Hz",)),
        ("5Hz-60Hz", ("5 Hz", "60 Hz")),
        ("1.5km/s", ("1.5 km/s",)),
        ("5.8 km s-1", ("5.8 km s-1",)),
        ("Rw=.05 ohm.m", (".05 ohm.m",)),
        ("rw 0.05 m=2", ("0.05", "2")),
        ("a=0.62 m=2.15 n=2", ("0.62", "2.15", "2")),
        ("1e-3 s", ("1e-3 s",)),
        ("first order trend", ("first",)),
        ("a second-order surface", ("second",)),
        ("remove a plane", ("plane",)),
        ("2nd degree", ("2nd",)),
        ("65 API", ("65 API",)),
        ("10%", ("10 %",)),
        ("30 per cent", ("30 %",)),
        ("45 degrees", ("45 degrees",)),
        ("500 nT", ("500 nT",)),
        ("500 milligals", ("500 mGal",)),
        ("5 kilometres per second", ("5 km/s",)),
        ("well F02-1 and A-7", ()),
        ("line WGS84", ()),
        ("mid-section", ()),
        ("", ()),
        ("the second line", ()),
        ("a plane wave", ()),
    ],
)
def test_quantities_as_people_write_them(text: str, found: tuple[str, ...]) -> None:
    assert quantities(text) == found


@settings(deadline=None)
@given(
    st.integers(1, 99_999),
    st.sampled_from(["Hz", "ms", "s", "km", "m", "mGal", "g/cc", "%", "ohm.m"]),
    st.sampled_from(["{} {}", "{}{}", "at {} {}.", "({} {})", "{}-{}"]),
)
def test_a_number_with_a_unit_is_found_wherever_it_stands(number: int, unit: str, frame: str) -> None:
    (found,) = quantities(frame.format(number, unit))
    assert parse(found, Unit("")) == number if unit == "" else found == f"{number} {unit}"


@settings(deadline=None)
@given(st.text(max_size=80))
def test_no_text_breaks_it_and_all_it_finds_can_be_read(text: str) -> None:
    for written in quantities(text):
        words = ""
        try:
            parse(written, Unit(""))
        except ValueError as error:
            words = str(error)
        assert words == "" or "cannot be given" in words or "finite" in words, written


def test_only_what_the_unit_takes_is_a_candidate() -> None:
    text = "filter 5-60 Hz, AGC 500 ms, density 2.67 g/cc, second order trend"
    assert candidates(text, LOW) == ["5 Hz", "60 Hz"]
    assert candidates(text, WINDOW) == ["500 ms"]
    assert "2.67 g/cc" in candidates(text, DENSITY)
    assert "second" in candidates(text, DEGREE)
    assert candidates("rw 0.05 m=2", RW) == ["0.05", "2"]
    assert "2" in candidates("rw 0.05 m=2", CEMENT)


def test_said_is_the_same_number_in_any_unit() -> None:
    assert said("0.5 s", "a window of 500 ms", WINDOW)
    assert said("2670", "use 2.67 g/cc", DENSITY)
    assert not said("0.6 s", "a window of 500 ms", WINDOW)
    assert not said("5 Hz", "filter it", LOW)
    assert said("5 Hz", "from 5 to 60", LOW)


def test_runs_of_words_for_arguments_that_are_words() -> None:
    assert "MO01" in spans("pick at MO01, please")
    assert spans("a b c", longest=2) == ["a", "a b", "b", "b c", "c"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("corners 4,9,52,70 Hz", ("4 Hz", "9 Hz", "52 Hz", "70 Hz")),
        ("f1=4 f2=9 f3=52 f4=70 Hz", ("4", "9", "52", "70 Hz")),
        ("1 thru 25 Hz", ("1 Hz", "25 Hz")),
        ("three quarters of a second", ("0.75 second",)),
        ("AGC 3/4 s", ("0.75 s",)),
        ("seed CDP 122, 0.444 sec", ("122", "0.444 sec")),
        ("at 0,732 s", ("0,732 s",)),
    ],
)
def test_lists_fractions_and_labels(text: str, found: tuple[str, ...]) -> None:
    assert quantities(text) == found


def test_a_leading_nought_makes_a_comma_decimal() -> None:
    assert parse("0,732 s", Unit("s")) == 0.732
    assert parse("1,611 ms", Unit("ms")) == 1611


def test_a_corner_in_hertz_is_no_power() -> None:
    power = find_tool("gain_agc").argument("power")
    assert candidates("same again but 8-40 Hz", power) == []
    assert candidates("t^2 gain, power 2", power) == ["2"]
