"""Retrieval: what is found in the handbook, conditions said in words, and the scores of an evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from moho.errors import DataError
from moho.knowledge import evaluate, reader
from moho.knowledge.embed import ENCODER, embed, pieces
from moho.knowledge.index import Library
from moho.knowledge.ingest import add_texts
from moho.knowledge.library import open_library
from moho.knowledge.retrieve import Filter, Retriever, conditions
from moho.knowledge.starter import unmarked
from moho.knowledge.terms import expand

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def handbook(tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    return Retriever(open_library(tmp_path_factory.mktemp("library")))


def test_development_questions_find_a_passage_that_answers(handbook: Retriever) -> None:
    rows = [row for row in evaluate.questions(HERE / "questions" / "dev.jsonl") if row["kind"] == "answerable"][::6]
    found = 0
    for row in rows:
        hits = handbook.search(row["question"], 5)
        found += any(unmarked(p["quote"]) in unmarked(hit.held.passage.text) for p in row["passages"] for hit in hits)
    assert found >= 0.88 * len(rows)  # 0.948 of all 155


def test_the_reader_orders_better_than_the_cheap_scores(handbook: Retriever) -> None:
    rows = [row for row in evaluate.questions(HERE / "questions" / "dev.jsonl") if row["kind"] == "answerable"][3::8]

    def first(read: bool) -> int:
        good = 0
        for row in rows:
            hit = handbook.search(row["question"], 1, read=read)[0]
            good += any(unmarked(p["quote"]) in unmarked(hit.held.passage.text) for p in row["passages"])
        return good

    assert first(True) >= first(False)


def test_what_the_handbook_holds_is_answered_and_what_it_lacks_declined(handbook: Retriever) -> None:
    rows = evaluate.questions(HERE / "questions" / "dev.jsonl")
    held = [row for row in rows if row["kind"] != "unanswerable"][::15]
    foreign = [row for row in rows if row["kind"] == "unanswerable"][::4]
    scores = evaluate.table(evaluate.ask(handbook, [*held, *foreign]))
    assert scores["answerable, answered"]["share"] >= 0.5  # the price of declining nineteen of twenty that it cannot answer
    assert scores["unanswerable, declined"]["share"] >= 0.87
    assert scores["quotations verbatim"]["share"] == scores["keys in the index"]["share"] == 1


def test_a_passage_matches_itself_best() -> None:
    texts = ["Gain control hides amplitudes.", "The pole is where the field is vertical.", "Porosity from the density log."]
    tokens = reader.tokens(texts)
    scores = np.array([[reader.match(a, b) for b in tokens] for a in tokens])
    assert (scores.argmax(axis=1) == np.arange(3)).all()
    np.testing.assert_allclose(np.diag(scores), 1, atol=2e-2)
    assert reader.match(tokens[0], np.empty((0, 384), np.float32)) == 0


def test_vectors_are_of_unit_length_and_pieces_add_up() -> None:
    vectors = embed(["one", "a much longer text about the low-frequency model of impedance"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert pieces("normal moveout") == pieces("normal") + pieces("moveout")


@pytest.fixture
def papers(tmp_path: Path) -> Library:
    library = Library(tmp_path / "library", ENCODER)
    texts = [("old", "Predictive decomposition", "Deconvolution of seismic traces."), ("new", "Deconvolution today", "Deconvolution with networks.")]
    add_texts(library, texts)
    library.cite({"predictivedecomposition": {"title": "Predictive decomposition", "authors": ["Robinson, E. A."], "year": 1957, "doi": ""}})
    library.cite({"deconvolutiontoday": {"title": "Deconvolution today", "authors": ["Miller, A."], "year": 2021, "doi": ""}})
    return library


@pytest.mark.parametrize(
    ("words", "kept", "only"),
    [
        ("deconvolution since 2020", "deconvolution", Filter(since=2020)),
        ("deconvolution after 2020", "deconvolution", Filter(since=2021)),
        ("deconvolution before 1960", "deconvolution", Filter(until=1959)),
        ("deconvolution between 1950 and 1960", "deconvolution", Filter(since=1950, until=1960)),
        ("deconvolution by Robinson", "deconvolution", Filter(author="Robinson")),
        ("deconvolution by Wiener", "deconvolution by Wiener", Filter()),
        ("a gate of 2000 ms", "a gate of 2000 ms", Filter()),
        ("ground roll from 1990 to 2000", "ground roll", Filter(since=1990, until=2000)),
        ("ground roll 1990-2000", "ground roll", Filter(since=1990, until=2000)),
        ("ground roll newer than 2021", "ground roll", Filter(since=2022)),
        ("ground roll older than 2000", "ground roll", Filter(until=1999)),
    ],
)
def test_conditions_said_in_words(papers: Library, words: str, kept: str, only: Filter) -> None:
    assert conditions(words, papers) == (kept, only)


def test_a_filter_keeps_to_its_documents(papers: Library) -> None:
    retriever = Retriever(papers)
    assert [hit.record.source for hit in retriever.search("deconvolution before 1960")] == ["old"]
    assert [hit.record.source for hit in retriever.search("deconvolution", only=Filter(author="Miller"))] == ["new"]
    assert retriever.search("deconvolution since 2030") == []
    assert {source for source, _ in retriever.rank("deconvolution")} == {"old", "new"}


def test_abbreviations_of_the_field_are_spelled_out() -> None:
    assert "full-waveform inversion" in expand("FWI of land data")
    assert "FWI" in expand("full waveform inversion of land data")
    assert expand("a tail of ai in aisle") == []


def test_a_collection_is_scored_and_a_wrong_one_named(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    texts = {"d1": "The gravimeter drifts with time.", "d2": "Salt is fast and light.", "d3": "Tides move the ground."}
    (folder / "corpus.jsonl").write_text("\n".join(json.dumps({"_id": n, "title": "", "text": t}) for n, t in texts.items()))
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q1", "text": "drift of a gravimeter"}))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    result = evaluate.score(evaluate.load(folder))
    assert (result["ndcg@10"], result["queries"], result["documents"]) == (1.0, 1, 3)
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\n")
    with pytest.raises(DataError, match=r"qrels.tsv, line 2"):
        evaluate.load(folder)
    (folder / "queries.jsonl").write_text("{")
    with pytest.raises(DataError, match=r"queries.jsonl, line 1"):
        evaluate.load(folder)
    with pytest.raises(DataError, match="there is no"):
        evaluate.load(tmp_path / "nowhere")


def test_ndcg_is_the_closed_form() -> None:
    assert evaluate.ndcg(["a", "b", "c"], {"a": 1, "c": 1}) == pytest.approx((1 + 1 / 2) / (1 + 1 / np.log2(3)))
    assert evaluate.ndcg(["x"], {"a": 1}) == 0
    assert evaluate.ndcg([], {}) == 0


def test_training_pulls_questions_to_their_passages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["porosity", "gravity", "moveout", "magnitude", "susceptibility", "resistivity"]
    pairs = [(f"alpha {word}", f"beta gamma {words[i - 1]}", i) for i, word in enumerate(words)]  # each leads to another's word
    settings = reader.Settings(rank=4, layers=1, steps=12, batch=6, rate=5e-3, warm=1)
    card = reader.train(pairs, settings, tmp_path)
    assert card["steps"] == 12
    asked, passages = [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    def right(weights: Path) -> float:
        monkeypatch.setattr(reader, "WEIGHTS", weights)
        reader._model.cache_clear()
        scores = np.array([[reader.match(a, b) for b in reader.tokens(passages)] for a in reader.tokens(asked)])
        return float((np.diag(scores) - (scores.sum(axis=1) - np.diag(scores)) / (len(pairs) - 1)).mean())

    before, after = right(tmp_path / "none"), right(tmp_path / "reader.safetensors")
    reader._model.cache_clear()
    assert after > before + 0.05
    _foreign(tmp_path / "foreign.safetensors")
    with pytest.raises(DataError, match="another model"):
        right(tmp_path / "foreign.safetensors")
    reader._model.cache_clear()


def _foreign(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"encoder.layer.99.up": np.zeros((4, 2), np.float16), "encoder.layer.99.down": np.zeros((2, 4), np.float16)}, path)
