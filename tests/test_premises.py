"""What was taken for granted and measured otherwise is corrected, whichever model answers; what was right, or used, is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_project import AIMessage, call, made_project, scripted

from moho.agent import premises
from moho.project import StepRecord


def ask(folder: Path, request: str) -> tuple[str, list[StepRecord]]:
    outcome = scripted(made_project(folder), call("segy_inspect", data="line"), AIMessage("It ends at {s1.end}.")).ask(request)
    assert outcome.status == "answered"
    return outcome.answer, outcome.steps


@pytest.mark.parametrize(
    ("request_", "corrected"),
    [
        ("this 600-trace line, when does it end?", "Traces: 12, not 600."),
        ("since line is 1 ms data, when does it end?", "Sample interval: 2 ms, not 1 ms."),
        ("the line has 3000 samples a trace, right? when does it end", "Samples per trace: 400, not 3000."),
    ],
)
def test_a_wrong_premise_is_corrected(request_: str, corrected: str, tmp_path: Path) -> None:
    answer, _ = ask(tmp_path / "project", request_)
    assert corrected in answer


RIGHT = ["this 12-trace line, when does it end?", "when does the 2 ms line end?", "when does the line end? I was born in 1980"]


@pytest.mark.parametrize("request_", RIGHT)
def test_a_right_premise_and_other_numbers_are_left_alone(request_: str, tmp_path: Path) -> None:
    answer, _ = ask(tmp_path / "project", request_)
    assert ", not " not in answer


def test_a_number_that_a_call_used_is_no_premise(tmp_path: Path) -> None:
    replies = call("bandpass", line="line", low="5 Hz", high="60 Hz"), AIMessage("Done.")
    request = "filter the line 5 to 60 Hz"
    outcome = scripted(made_project(tmp_path / "project"), *replies).ask(request)
    assert premises.wrong(request, outcome.steps, ["line"]) == []
    assert outcome.answer == "Done."


def test_the_end_of_a_range_is_no_premise(tmp_path: Path) -> None:
    answer, _ = ask(tmp_path / "project", "the line from 1-3 s, when does it end?")
    assert ", not " not in answer
