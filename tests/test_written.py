"""Requests written whole: what can be wrong with a line is said, and what is right of one is found at each of its steps."""

from __future__ import annotations

import pytest

from moho.agent import decision
from moho.errors import DataError
from moho.rl.instructions import Writer
from moho.rl.written import read, written

LINE = {
    "say": "Filter {d} {1.low} to {1.high}, then AGC it over {2.window}; the pass band please",
    "data": {"d": "Seismic"},
    "steps": [{"tool": "bandpass", "line": "d"}, {"tool": "gain_agc", "line": "1"}],
    "answer": ["1.pass_band"],
}


def test_all_that_come_with_moho_can_be_read_and_no_kept_one_is_trained_on() -> None:
    ours, kept = written(), written(kept=True)
    assert len(ours) > 600
    assert len(kept) > 150
    assert not {one.turn.say for one in ours} & {one.turn.say for one in kept}


def test_each_step_of_a_request_is_a_decision_with_its_reply() -> None:
    writer, one = Writer(3), read(LINE)
    made = [[example for _ in range(10) if (example := writer.play_written(one, upto))] for upto in range(3)]
    assert all(made)
    for upto, several in enumerate(made):
        for example in several:
            chosen = decision.read(example.reply)
            assert chosen.name == ("bandpass", "gain_agc", "answer")[upto]
            assert len(example.situation.done) == upto
            assert chosen.name in (*example.situation.tools, "answer")
    assert all(decision.read(example.reply).arguments["line"] == "bandpass 1" for example in made[1])
    assert all([key for key, _ in decision.read(example.reply).keys] == ["1.pass_band"] for example in made[2])


def test_a_belief_is_corrected_and_what_was_forgotten_is_open() -> None:
    writer = Writer(4)
    belief = read({"say": "{d} has {?1.traces} traces, right?", "data": {"d": "Seismic"}, "steps": [{"tool": "segy_inspect", "data": "d"}]})
    made = [example for _ in range(12) if (example := writer.play_written(belief, 1))]
    assert made
    assert all('1.traces!="' in example.reply for example in made)
    forgotten = read({"say": "Filter {d} please", "data": {"d": "Seismic"}, "steps": [{"tool": "bandpass", "line": "d"}]})
    made = [example for _ in range(12) if (example := writer.play_written(forgotten, 0))]
    assert any("low=?, high=?" in example.reply for example in made)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"steps": [{"tool": "no_tool", "line": "d"}]}, "no tool no_tool"),
        ({"steps": [{"tool": "bandpass", "gate": "d"}]}, "no argument gate"),
        ({"steps": [{"tool": "bandpass", "line": "x"}]}, "neither a letter"),
        ({"steps": [{"tool": "bandpass", "line": "1"}]}, "neither a letter"),
        ({"say": "filter {z} {1.low} to {1.high}"}, "no letter"),
        ({"say": "filter {d} {5.low} to {1.high}"}, "no step 5"),
        ({"say": "filter {d} {low}"}, "slot"),
        ({"steps": None}, "lacks a part"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(change: dict, why: str) -> None:
    with pytest.raises(DataError, match=why):
        read(LINE | change)
