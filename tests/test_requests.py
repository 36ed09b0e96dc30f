"""The requests themselves: a perfect model passes every check, so a model that fails one has failed, not the check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.messages import AIMessage
from made_project import call, quick_choice

from moho.agent.model import ScriptedChat
from moho.errors import DataError
from moho.rl.evaluate import STATUSES, Scored, evaluate, fault, load, perfect, play, table

FOLDER = Path(__file__).parent / "requests"
FILES = ("dev.jsonl", "test.jsonl")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moho.agent.offer.choose", quick_choice)  # a script needs no choice of tools


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_the_perfect_model_passes_every_request(file: str) -> None:
    failed: list[str] = []
    scored = evaluate(load(FOLDER / file), perfect, lambda one: None if one.passed else failed.append(f"{one.id}: {one.why}"))
    assert failed == []
    assert table([scored])["scores"]["all"]["pass^1"] == 1
    assert sum(one.invented for one in scored) == 0


def test_requests_are_told_apart_and_cover_every_kind_of_end() -> None:
    rows = {file: load(FOLDER / file) for file in FILES}
    identities = [row["id"] for file in FILES for row in rows[file]]
    assert len(set(identities)) == len(identities)
    words = [{turn["request"].casefold() for row in rows[file] for turn in row["turns"]} for file in FILES]
    assert not words[0] & words[1]
    for file in FILES:
        assert {row["kind"] for row in rows[file]} == set(STATUSES)
        assert len(rows[file]) >= 150
        earths = {row.get("earth", 0) for row in rows[file]}
        assert len(earths) > 10


ROW: dict[str, Any] = {
    "id": "x",
    "discipline": "seismic",
    "kind": "answer",
    "earth": 1,
    "data": {"line 12": "line"},
    "turns": [
        {
            "request": "filter line 12 8-45 Hz",
            "script": [],
            "check": {
                "status": "answered",
                "numbers": [{"value": 45, "tolerance": 0.01}],
                "made": [{"kind": "Seismic", "fields": {"band": [8, 45]}}],
            },
        }
    ],
}
RIGHT = call("bandpass", line="line 12", low="8 Hz", high="45 Hz")


@pytest.mark.parametrize(
    ("replies", "why"),
    [
        ([RIGHT, AIMessage("{s1.pass_band}")], ""),
        ([RIGHT, AIMessage("Done.")], "no number 45"),
        ([call("bandpass", line="line 12", low="45 Hz", high="8 Hz")] * 3, "status failed"),
        ([call("trace_qc", line="line 12"), AIMessage("45 Hz")], "no Seismic was made"),
        ([call("refuse", reason="no")], "status refused"),
        ([call("bandpass", line="line 12", low="8 Hz", high="?")], "status question"),
    ],
)
def test_wrong_replies_fail_their_checks(replies: list[AIMessage], why: str, tmp_path: Path) -> None:
    scored = play(ROW, ScriptedChat(replies=replies), tmp_path)
    assert scored.passed == (why == "")
    assert why in scored.why


def test_a_crash_is_a_failed_request(tmp_path: Path) -> None:
    def crash(messages: Any) -> AIMessage:
        raise RuntimeError("no such model")

    assert "crashed" in play(ROW, ScriptedChat(replies=[crash]), tmp_path).why


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({"status": "question", "about": ["high"]}, "the question is about"),
        ({"status": "question", "code": ["E_PHYSICS"]}, "refused as"),
        ({"status": "question", "premise": "600"}, "does not say that it is not 600"),
        ({"status": "question", "text": "Nyquist"}, "does not say 'Nyquist'"),
        ({"status": ["question", "refused"], "about": ["low", "high"]}, ""),
    ],
)
def test_each_check_can_fail(check: dict[str, Any], words: str) -> None:
    from types import SimpleNamespace

    outcome = SimpleNamespace(status="question", answer="Which low?", about=["low"], code="", numbers=[], steps=[])
    found = fault(check, outcome, None, {})  # type: ignore[arg-type]
    assert words in found
    assert bool(words) == bool(found)


def test_pass_n_counts_requests_that_pass_every_time() -> None:
    def one(identity: str, passed: bool) -> Scored:
        return Scored(identity, "seismic", "answer", passed, "", 1.0, 0, ())

    scores = table([[one("a", True), one("b", True)], [one("a", True), one("b", False)]])["scores"]
    assert scores["all"] == {"requests": 2, "pass^1": 0.75, "pass^2": 0.5}
    assert np.isclose(scores["kind answer"]["pass^1"], 0.75)


@pytest.mark.parametrize(
    "line", ["{", '{"id": "x"}', json.dumps({"id": "x", "kind": "poem", "turns": [1]}), json.dumps({"id": "x", "kind": "ask", "turns": []})]
)
def test_a_wrong_row_is_named(line: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(f"# a comment\n\n{line}\n")
    with pytest.raises(DataError, match="line 3"):
        load(tmp_path / "rows.jsonl")
