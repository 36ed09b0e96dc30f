"""What people write becomes a number in the argument's unit, or an error that says what was wanted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moho.errors import MohoError
from moho.units import OutOfBounds, Quantity, Unit, convert, parse, show, split, spoken

S, M, HZ = Unit("s"), Unit("m"), Unit("Hz", above=0)


@pytest.mark.parametrize(
    ("written", "unit", "value"),
    [
        ("half a second", S, 0.5),
        ("500 ms", S, 0.5),
        (".5", S, 0.5),
        ("0,5 s", S, 0.5),
        ("one and a half seconds", S, 1.5),
        ("a quarter of a second", S, 0.25),
        ("5 km", M, 5000),
        ("5,000 m", M, 5000),
        ("10 000 m", M, 10000),
        ("2,5 km", M, 2500),
        ("2.5 thousand m", M, 2500),
        ("100 ft", M, 30.48),
        ("a hundred and fifty metres", M, 150),
        ("thirty-seven m", M, 37),
        ("minus twenty m", M, -20),
        ("−5 m", M, -5),
        ("1e3 m", M, 1000),
        ("60 Hz", HZ, 60),
        ("60hz", HZ, 60),
        ("0.06 kHz", HZ, 60),
        ("60", HZ, 60),
        (60, HZ, 60),
        ("200 mHz", HZ, 0.2),
        ("1 MHz", HZ, 1e6),
        ("2.67 g/cc", Unit("kg/m3"), 2670),
        ("2.67", Unit("kg/m3"), 2670),
        ("2670", Unit("kg/m3"), 2670),
        ("2,67 g/cm³", Unit("kg/m3"), 2670),
        ("6.2", Unit("m/s"), 6200),
        ("6.2 km/s", Unit("m/s"), 6200),
        ("8000 ft/s", Unit("m/s"), 2438.4),
        ("5.8 km s-1", Unit("m/s"), 5800),
        ("30 %", Unit(""), 0.3),
        ("0.3", Unit(""), 0.3),
        ("45°", Unit("deg"), 45),
        ("500 gammas", Unit("nT"), 500),
        ("10 gu", Unit("mGal"), 1),
        ("0.05 ohmm", Unit("ohm.m"), 0.05),
        ("90 us/ft", Unit("us/ft"), 90),
        ("first", Unit(""), 1),
        ("2nd", Unit(""), 2),
        ("plane", Unit(""), 1),
        ("two point six seven g/cc", Unit("kg/m3"), 2670),
        ("seventy Hz", HZ, 70),
        ("fifteen hundred m/s", Unit("m/s"), 1500),
    ],
)
def test_what_people_write(written: str | float, unit: Unit, value: float) -> None:
    assert parse(written, unit) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("written", ["", "wide", "5 apples", "5 s", True, "nan", "1.2.3"])
def test_no_number_or_a_unit_that_does_not_fit_is_an_error(written: str) -> None:
    with pytest.raises(ValueError, match="low"):
        parse(written, HZ, "low")


@pytest.mark.parametrize(
    ("unit", "value", "words"),
    [
        (Unit("Hz", above=0), "0", "above 0 Hz"),
        (Unit("deg", low=-90, high=90), "91", "from -90 to 90 deg"),
        (Unit("", low=1), "0", "at least 1"),
        (Unit("kg/m3", above=0, high=25000), "30000 kg/m3", "above 0 and at most 25000"),
        (Unit("m/s", above=0), "-5", "above 0"),
    ],
)
def test_bounds_are_held_and_said(unit: Unit, value: str, words: str) -> None:
    with pytest.raises(OutOfBounds, match=words):
        parse(value, unit)


def test_only_finite_numbers_pass() -> None:
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="finite"):
            parse(value, M)


@settings(deadline=None)
@given(st.floats(1e-6, 1e9))
def test_shown_numbers_keep_five_digits(value: float) -> None:
    assert float(show(value)) == pytest.approx(value, rel=6e-5, abs=5.1e-3 if value >= 1e4 else 0)


@settings(deadline=None)
@given(st.floats(-1e6, 1e6))
def test_units_there_and_back(value: float) -> None:
    assert convert(convert(value, "km", "ft"), "ft", "km") == pytest.approx(value, rel=1e-12, abs=1e-12)
    assert parse(f"{value!r} km", M) == pytest.approx(1000 * value, rel=1e-9, abs=1e-9)


def test_arrays_convert_and_wrong_pairs_are_refused() -> None:
    assert np.allclose(convert(np.array([1.0, 2.0]), "g/cc", "kg/m3"), [1000, 2000])
    with pytest.raises(ValueError, match="cannot convert"):
        convert(1.0, "mGal", "nT")


@pytest.mark.parametrize(
    ("words", "value"), [("two hundred and fifty", 250), ("twenty-five", 25), ("three thousand two hundred", 3200), ("one point five", 1.5)]
)
def test_numbers_in_words(words: str, value: float) -> None:
    assert spoken(words) == value


def test_lists_keep_the_comma_of_a_thousand() -> None:
    assert split("1,500 m/s, 2000 m/s and 2500 m/s") == ["1,500 m/s", "2000 m/s", "2500 m/s"]
    assert split("0.5,1,1.5") == ["0.5", "1", "1.5"]


def test_a_pair_reads_as_a_range_only_where_it_is_one() -> None:
    assert str(Quantity([5.0, 60.0], "Hz", "pass band")) == "5 to 60 Hz"
    assert str(Quantity([3, 4], "", "faults")) == "3, 4"
    assert str(Quantity(3.0, "unknown", "mean")) == "3"


def test_every_error_has_a_known_code() -> None:
    with pytest.raises(KeyError):
        MohoError("E_NOVEL", "no such code")
