"""The judge: what it learns from, that training teaches it, and that it tells an answer from what is only near."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from moho.errors import DataError
from moho.knowledge import cite, examples, judge
from moho.knowledge.judge import Line, judged
from moho.knowledge.passages import Passage

HERE = Path(__file__).parent


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the judge looks for its weights in this test."""
    monkeypatch.setattr(judge, "WEIGHTS", tmp_path / "judge.safetensors")
    judge._model.cache_clear()
    yield tmp_path
    judge._model.cache_clear()


def test_training_teaches_what_answers(weights: Path) -> None:
    words = ["porosity", "gravity", "moveout", "magnitude", "susceptibility", "resistivity"]
    made = [(f"alpha {word}", [(Line(f"beta gamma {other}"), other == words[i - 1]) for other in words]) for i, word in enumerate(words)]
    judge.train(made, judge.Settings(rank=4, questions=6, rounds=1, rate=1e-9, warm=1), weights)

    def apart() -> float:
        judge._model.cache_clear()
        scores = np.array([judged(question, [line for line, _ in lines]) for question, lines in made])
        right = np.array([[answers for _, answers in lines] for _, lines in made])
        return float(scores[right].mean() - scores[~right].mean())

    before = apart()  # one step at no rate: as it begins
    card = judge.train(made, judge.Settings(rank=4, questions=6, rounds=25, rate=3e-3, warm=2), weights)
    assert card["steps"] == 25
    assert json.loads((weights / "judge.json").read_text())["pairs"] == 36
    assert apart() > before + 1


def test_weights_of_another_model_are_named(weights: Path) -> None:
    from safetensors.numpy import save_file

    head = {"side": np.zeros(384, np.float16), "head.weight": np.zeros(judge.HEAD, np.float16), "head.bias": np.zeros((), np.float16)}
    save_file(head | {"encoder.layer.99.up": np.zeros((4, 2), np.float16), "encoder.layer.99.down": np.zeros((2, 4), np.float16)}, judge.WEIGHTS)
    with pytest.raises(DataError, match="another model"):
        judged("why", [Line("Because.")])


def test_without_weights_all_sentences_are_alike(weights: Path) -> None:
    assert judged("why", [Line("Because."), Line("Not.")]).tolist() == [0, 0]
    assert judged("why", []).shape == (0,)


def test_a_score_does_not_depend_on_the_sentences_beside_it() -> None:
    lines = [Line("Salt is fast and light."), Line("The gravimeter drifts with time, and the base is read again after some hours.", "Gravimeters")]
    together, alone = judged("how fast is salt?", lines), [float(judged("how fast is salt?", [line])[0]) for line in lines]
    np.testing.assert_allclose(together, alone, atol=0.15)  # bf16


ANSWERS = (  # documents that are not the handbook: what a package for parallel arrays and one for plots say
    (
        "how do I keep the largest chunk below a limit?",
        "The parameter limit sets the largest size of a chunk in bytes.",
        "Chunks are stored in the order in which they were made.",
    ),
    (
        "why is my colour bar empty",
        "A colour bar stays empty when the mappable has no array, which set_array supplies.",
        "The colour bar is drawn to the right of the axes.",
    ),
    (
        "what does the rate of the optimiser default to",
        "The learning rate is 0.001 unless another is given.",
        "The optimiser keeps two moments of every gradient.",
    ),
    (
        "can I merge tables on their index?",
        "Tables are joined on their index where left_index and right_index are true.",
        "Tables are printed with at most sixty rows.",
    ),
    (
        "who maintains the cable in winter?",
        "From November to March the coast guard maintains the cable.",
        "The cable was laid in 1987 along the northern shelf.",
    ),
    (
        "how thick is the ice at the summit",
        "Radar gives 3053 m of ice at the summit.",
        "The summit is reached by ski plane from the coast.",
    ),
)


def test_other_documents_are_judged_as_well() -> None:
    right = [judged(question, [Line(answer), Line(other)]) for question, answer, other in ANSWERS]
    assert sum(bool(first > second) for first, second in right) >= len(ANSWERS) - 1


def test_examples_keep_to_what_may_be_learnt() -> None:
    said = examples.said()
    without = examples.held_out()
    assert len(without) == 15
    assert sum(len(one.asked) for one in said) > 2900  # nearly every kept question finds its sentence
    asked = [question for one in said for question in one.asked]
    rng = np.random.default_rng(0)
    made = [*asked, *examples._swapped(asked, said, rng), *examples._foreign(said, rng)]
    rows = [json.loads(line)["question"] for line in (HERE / "questions" / "dev.jsonl").read_text().splitlines()]
    assert not {row.casefold() for row in rows} & {one.casefold() for one in made}
    text = " ".join(one.line.text for one in said).casefold()
    assert not [one for one in ("kimberlite", "muon", "travertine") if one in text]  # foreign things are foreign


def test_items_of_a_list_are_sentences_of_their_own() -> None:
    first = "The window is set as follows:\n\n- sta is 0.5 s long by default."
    text = f"{first}\n\n- on is the ratio that opens it. It stays open for 2 s. Then it closes by itself."
    lines = cite.lines_of(Passage(text, 0, len(text)), "Triggers")
    assert [line.text for line in lines] == [
        "The window is set as follows:",
        "sta is 0.5 s long by default.",
        "on is the ratio that opens it.",
        "It stays open for 2 s.",
        "Then it closes by itself.",
    ]
    assert all(line.text in text and line.title == "Triggers" for line in lines)
    assert lines[1].before == "The window is set as follows:"
