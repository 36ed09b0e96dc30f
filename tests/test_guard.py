"""Whose numbers these are, what a call costs, and who has to approve it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from moho.agent import guard
from moho.agent.guard import Budget, afford, fingerprint, provenance
from moho.agent.registry import Cost, prepare
from moho.errors import Missing, Refusal
from moho.survey import Seismic
from moho.units import Quantity

CALL = prepare("bandpass", {"low": 5, "high": 60}, {"line": Seismic})
GIB = 2.0**30


def test_what_was_said_passes_in_any_unit() -> None:
    written = {"line": "line", "low": "5 Hz", "high": "0.06 kHz"}
    assert provenance("bandpass", written, "filter it 5 to 60 Hz", []) == (written, [])


def test_an_optional_number_that_nobody_said_is_dropped_and_told() -> None:
    kept, notes = provenance("gain_agc", {"line": "line", "window": "0.25 s"}, "agc on line 12 please", [])
    assert kept == {"line": "line"}
    assert notes == ["window 0.25 s was not given by the person; the default 0.5 is used"]
    kept, notes = provenance("bandpass", {"low": "5", "high": "60", "low_cut": "3 Hz"}, "5-60", [])
    assert kept == {"low": "5", "high": "60"}
    assert "it is left out" in notes[0]


def test_a_required_number_that_nobody_said_is_asked() -> None:
    with pytest.raises(Missing, match="low") as missing:
        provenance("bandpass", {"line": "line", "low": "5 Hz", "high": "60 Hz"}, "filter line below 60 Hz", [])
    assert missing.value.about == ["low"]


def test_a_number_in_the_wrong_unit_is_not_what_was_said() -> None:
    with pytest.raises(Missing):
        provenance("bandpass", {"low": "5 kHz", "high": "60 Hz"}, "5-60 Hz", [])


@pytest.mark.parametrize(
    ("written", "known"), [("31.7 Hz", Quantity(31.7, "Hz")), ("31.7", Quantity(31.7, "Hz")), ("31.7 Hz", Quantity(0.0317, "kHz"))]
)
def test_a_measured_number_may_be_used(written: str, known: Quantity) -> None:
    arguments = {"line": "line", "low": "5 Hz", "high": written}
    assert provenance("bandpass", arguments, "low is 5 Hz, up to the peak", [known]) == (arguments, [])


def test_a_measured_number_keeps_its_unit() -> None:
    """4 ms measured is 0.004 s said."""
    arguments = {"line": "line", "lag": "4 ms"}
    assert provenance("decon", arguments, "lag of one sample", [Quantity(4.0, "ms")])[0] == arguments
    assert provenance("decon", arguments, "lag of one sample", [Quantity(7.0, "ms")])[0] == {"line": "line"}


def test_lists_are_looked_at_number_by_number() -> None:
    assert provenance("nmo_stack", {"velocity": "1500 m/s, 2 km/s"}, "velocities 1500 and 2000 m/s", [])[1] == []
    with pytest.raises(Missing):
        provenance("nmo_stack", {"velocity": ["1500 m/s", "2500 m/s"]}, "velocities 1500 and 2000 m/s", [])


def test_names_words_and_what_is_open_pass() -> None:
    written = {"line": "line 99", "attribute": "envelope", "window": "?"}
    assert provenance("attributes", written, "envelope", []) == (written, [])


def test_memory_that_is_not_there_is_refused_with_the_figures() -> None:
    with pytest.raises(Refusal, match=r"200\.0 GiB and 8\.0 GiB is free") as refused:
        afford(CALL, Cost(1.0, 200 * GIB), Budget(), 8 * GIB)
    assert refused.value.code == "E_BUDGET"
    assert afford(CALL, Cost(1.0, 4.7 * GIB), Budget(), 8 * GIB) == ""
    with pytest.raises(Refusal):
        afford(CALL, Cost(1.0, 4.9 * GIB), Budget(), 8 * GIB)  # 60 % of what is free


def test_a_long_call_has_to_be_approved() -> None:
    assert afford(CALL, Cost(59.0, 0), Budget(), GIB) == ""
    assert "90 s" in afford(CALL, Cost(90.0, 0), Budget(), GIB)
    assert afford(CALL, Cost(90.0, 0), Budget(approve_seconds=100), GIB) == ""


def test_an_approval_is_for_exactly_these_arguments() -> None:
    assert fingerprint(CALL) == fingerprint(prepare("bandpass", {"high": "60 Hz", "low": "5 Hz"}, {"line": Seismic}))
    assert fingerprint(CALL) != fingerprint(replace(CALL, values={**CALL.values, "low": 5.1}))
    assert fingerprint(CALL) != fingerprint(replace(CALL, data={"line": "other"}))


def test_free_memory_is_what_the_system_says() -> None:
    assert guard.free_memory() > 2**20


def test_a_number_said_once_is_the_value_of_one_argument() -> None:
    written = {"line": "line 12", "operator": "0.1 s", "lag": "0.1 s"}
    kept, notes = guard.provenance("decon", written, "spiking decon, 0.1 s operator", [])
    assert kept == {"line": "line 12", "operator": "0.1 s"}
    assert "lag" in notes[0]
    assert guard.provenance("decon", written, "decon, 0.1 s operator and 0.1 s gap", [])[0] == written
