"""What an argument could be: the words around a number say which one it is."""

from __future__ import annotations

import pytest

from moho.agent import choices
from moho.agent.decision import Done, Situation
from moho.agent.registry import find_tool

LINE = {"line 12": "Seismic"}


def could_be(request: str, tool: str, argument: str, catalogue: dict[str, str] = LINE, earlier: tuple[tuple[str, str], ...] = ()) -> list[str]:
    found = find_tool(tool)
    return choices.values(found, found.argument(argument), Situation(request, catalogue, [tool], [], earlier))


@pytest.mark.parametrize(
    ("request_", "tool", "argument", "expected"),
    [
        ("velan at cdp 193, scan 1500 to 4000 m/s", "velocity_semblance", "lowest", ["1500 m/s"]),
        ("velan at cdp 193, scan 1500 to 4000 m/s", "velocity_semblance", "cdp", ["193"]),
        ("take cdp 120 to 300 and bandpass it 6-60 Hz", "bandpass", "low", ["6 Hz"]),
        ("run a trapezoid 4-8-50-65 Hz", "bandpass", "high", ["50 Hz"]),
        ("run a trapezoid 4-8-50-65 Hz", "bandpass", "low_cut", ["4 Hz"]),
        ("filter, nothing above 60 Hz", "bandpass", "high", ["60 Hz"]),
        ("sta 0.5 s lta 10 s", "detect_associate", "lta", ["10 s"]),
        ("sta 0.5 s lta 10 s", "detect_associate", "sta", ["0.5 s"]),
        ("events on at least 4 stations", "detect_associate", "stations", ["4"]),
        ("pick it at cdp 146 / 1.121 s", "track_horizon", "time", ["1.121 s"]),
        ("filter 8-45", "bandpass", "low", ["8"]),
    ],
)
def test_a_number_goes_where_the_words_around_it_say(request_: str, tool: str, argument: str, expected: list[str]) -> None:
    assert could_be(request_, tool, argument) == expected


def test_numbers_of_an_earlier_turn_do_not_keep_out_bare_ones() -> None:
    assert could_be("now 8 to 40", "bandpass", "low", earlier=(("filter 5-60 Hz", ""),)) == ["5 Hz", "60 Hz", "8", "40"]


def test_a_listed_word_that_nobody_said_or_hinted_at_is_not_on_offer() -> None:
    assert could_be("P arrival at 30 deg?", "earth_travel_times", "model", {}) == []
    assert could_be("P arrival at 30 deg in ak135?", "earth_travel_times", "model", {}) == ["ak135"]
    assert could_be("RTP it", "rtp_tilt_analytic", "output", {"g": "Grid"}) == ["reduction to the pole"]
    assert set(could_be("do something", "rtp_tilt_analytic", "output", {"g": "Grid"})) == {"reduction to the pole", "tilt", "analytic signal"}


def test_one_data_set_is_not_taken_twice() -> None:
    assert could_be("invert", "poststack_impedance", "model") == []
    assert could_be("invert", "poststack_impedance", "model", {**LINE, "lfm": "Seismic"}) == ["line 12", "lfm"]


def test_an_optional_value_that_was_named_cannot_be_left_out() -> None:
    tool = find_tool("decon")
    said = Situation("spiking decon, 120 ms operator", LINE, ["decon"])
    assert choices.given(tool, tool.argument("operator"), said)
    assert not choices.given(tool, tool.argument("lag"), said)
    assert not choices.given(tool, tool.argument("operator"), said, used='decon(line="line 12", operator="120 ms")')


def test_corners_rise_in_whatever_order_they_were_said() -> None:
    given = {"line": "line 12", "low": "4 Hz", "high": "8 Hz", "low_cut": "50 Hz", "high_cut": "65 Hz"}
    assert choices.rising(find_tool("bandpass"), given) == {"line": "line 12", "low": "8 Hz", "high": "50 Hz", "low_cut": "4 Hz", "high_cut": "65 Hz"}
    assert choices.rising(find_tool("bandpass"), {"low": "60 Hz", "high": "?"}) == {"low": "60 Hz", "high": "?"}
    assert choices.rising(find_tool("velocity_semblance"), {"lowest": "4 km/s", "highest": "1500 m/s"}) == {"lowest": "1500 m/s", "highest": "4 km/s"}


TWO = {"F02-1": "Seismic", "F02-2": "Seismic", "cdp gathers": "Gather", "A-1": "Well"}


@pytest.mark.parametrize(
    ("request_", "done", "expected"),
    [
        ("AGC with 400 ms please", [], []),  # which of three? ask
        ("AGC on F02-2, 400 ms", [], ["F02-2"]),
        ("AGC the gathers, 400 ms", [], ["cdp gathers"]),
        ("AGC on f02-1 then filter it", [Done(1, 'gain_agc(line="F02-1")', "gain_agc 1")], ["F02-1", "gain_agc 1"]),
    ],
)
def test_which_data_set_is_meant(request_: str, done: list[Done], expected: list[str]) -> None:
    tool = find_tool("gain_agc")
    catalogue = TWO | {step.result: "Seismic" for step in done}
    assert choices.values(tool, tool.argument("line"), Situation(request_, catalogue, ["gain_agc"], done)) == expected


def test_a_data_set_named_a_turn_before_is_still_meant() -> None:
    tool = find_tool("gain_agc")
    seen = Situation("and with 800 ms?", TWO | {"gain_agc 1": "Seismic"}, ["gain_agc"], [], [("AGC on F02-2", 'gain_agc(line="F02-2")')])
    assert choices.values(tool, tool.argument("line"), seen) == ["F02-2", "gain_agc 1"]  # or what that turn made


def test_what_is_made_of_one_line_goes_on_and_the_original_can_be_meant() -> None:
    tool, made = find_tool("gain_agc"), [Done(1, 'bandpass(line="line 12")', "bandpass 1")]
    catalogue = LINE | {"bandpass 1": "Seismic"}
    assert choices.values(tool, tool.argument("line"), Situation("filter, then AGC", catalogue, [], made)) == ["bandpass 1"]
    assert choices.values(tool, tool.argument("line"), Situation("filter, then AGC the original", catalogue, [], made)) == ["line 12", "bandpass 1"]
    asked = Situation("filter it, and which peak?", catalogue, [], made)
    assert choices.values(find_tool("trace_qc"), find_tool("trace_qc").argument("line"), asked) == ["line 12", "bandpass 1"]
