"""The figures of a card: what differs from what was said is named, and the card keeps what was found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moho.agent import decision
from moho.errors import DataError
from moho.rl import datacard, figures
from moho.rl.instructions import Example


def one(share: float | None, n: int = 100) -> figures.Share:
    return {"share": share, "n": n, "interval": None if share is None else [share - 0.05, share + 0.05]}


def test_what_differs_from_the_card_is_named() -> None:
    said = {"whole": one(0.6), "few": one(0.5, 8), "none": one(None, 0), "gone": one(0.9)}
    found = {"whole": one(0.63), "few": one(0.625, 8), "none": one(None, 0), "new": one(0.2)}
    assert figures.apart(found, said) == ["whole"]  # one of eight more is no difference
    lines = figures.words(found, said)
    assert "0.630" in lines[0]
    assert "card 0.600" in lines[0]
    assert "card" not in lines[3]


def test_the_card_keeps_its_recipe_beside_the_figures(tmp_path: Path) -> None:
    (tmp_path / "adapter.json").write_text(json.dumps({"rank": 16, "sha256": "x"}))
    figures.write(tmp_path, {"whole": one(0.6)})
    assert json.loads((tmp_path / "adapter.json").read_text()) == {"rank": 16, "sha256": "x", "scores": {"whole": one(0.6)}}


def test_figures_are_of_the_embedded_model_and_from_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="embedded model"):
        figures.measure("openai:http://localhost#m")
    monkeypatch.setattr(figures, "REQUESTS", tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="held-out requests"):
        figures.measure("embedded")


def test_examples_are_written_down_with_a_page_that_counts_them(tmp_path: Path) -> None:
    def example(request: str) -> Example:
        situation = decision.Situation(request, {"line 12": "Seismic"}, ["bandpass", "trace_qc"])
        return Example(situation, 'trace_qc(line="line 12")', "call", "trace_qc")

    near = "please tell me how many of the traces on this line are dead"
    made = [example("dead traces of line 12?"), example(f"hello, {near} now"), example("qc of line 12")]
    counts = datacard.write(made, tmp_path, [near], 7)
    rows = [json.loads(line) for line in (tmp_path / "examples.jsonl").read_text().splitlines()]
    assert [row["situation"]["request"] for row in rows] == ["dead traces of line 12?", "qc of line 12"]
    assert rows[0]["messages"] == decision.prompt(made[0].situation)
    assert (counts["examples"], counts["removed_as_contaminated"]) == (2, 1)
    page = (tmp_path / "card.md").read_text()
    assert "| call | 2 |" in page
    assert "| trace_qc | 2 |" in page
