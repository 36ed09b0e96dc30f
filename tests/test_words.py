"""Words find the passages that hold them, stemmed; the large index ranks as the small one, and nothing that is gone is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_library import ENCODER, entry

from moho.knowledge import words
from moho.knowledge.index import FILE, Library
from moho.knowledge.words import POINTER, Words, stems, terms

VOCABULARY = [
    "seismic",
    "inversion",
    "impedance",
    "reflectivity",
    "wavelet",
    "reservoir",
    "porosity",
    "velocity",
    "gravity",
    "anomalies",
    "density",
    "magnetization",
    "susceptibility",
    "tomography",
    "refraction",
    "attenuation",
    "anisotropy",
    "migration",
    "imaging",
    "deconvolution",
    "multiple",
    "statics",
    "moveout",
    "semblance",
    "stacking",
    "fold",
    "aliasing",
    "low-frequency",
    "full-waveform",
    "time-lapse",
    "ground-roll",
    "pre-stack",
    "Überschiebung",
    "Gassmann",
    "Claerbout",
    "Zoeppritz",
    "basin",
    "salt",
    "dome",
    "fault",
    "fracture",
]


def made_text(rng: np.random.Generator) -> str:
    """Words of the field, some more common than others, among many of none."""
    weights = 1 / np.arange(6, len(VOCABULARY) + 6)
    chosen = rng.choice(VOCABULARY, size=6, p=weights / weights.sum()).tolist() + [
        f"filler{n}" for n in rng.integers(300, size=int(rng.integers(4, 30)))
    ]
    return " ".join(rng.permutation(chosen)) + "."


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library", ENCODER)


@pytest.fixture(params=["fts5", "tantivy"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "tantivy":
        monkeypatch.setattr(words, "LARGE", 1)
    return str(request.param)


def opened(library: Library, kind: str) -> Words:
    made = Words(library)
    made.snapshot()
    assert (made._fast() is not None) == (kind == "tantivy")
    return made


def texts(library: Library, found: tuple[np.ndarray, np.ndarray]) -> list[str]:
    held = library.passages(found[0])
    assert len(held) == len(found[0])  # nothing that is gone
    return [held[int(number)].passage.text for number in found[0]]


def fill(library: Library, many: int = 120, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for number in range(many):
        library.keep(entry(f"{seed}-{number}", *(made_text(rng) for _ in range(3)), title=" ".join(rng.choice(VOCABULARY, 3))))


QUERIES = (
    "impedance inversion", "salt dome", "fault fracture basin", "low-frequency", "full-waveform inversion of velocity", "gravity anomaly", "migrated images",  # noqa: E501
    "Zoeppritz", "what is the porosity of the reservoir", "überschiebung", "time-lapse seismic", "stacked fold", "Claerbout deconvolution",
)  # fmt: skip


def test_the_large_index_ranks_as_the_small_one(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(library)
    small = Words(library)
    before = {query: small.search(query, 20) for query in QUERIES}
    monkeypatch.setattr(words, "LARGE", 1)
    large = opened(library, "tantivy")
    for query, (ids, scores) in before.items():
        assert len(ids) == 20 or query == "überschiebung"
        again, others = large.search(query, 20)
        assert len(set(ids[:10].tolist()) & set(again[:10].tolist())) >= 8, query
        assert again[0] in ids[:3], query
        np.testing.assert_allclose(others[:5], scores[:5], rtol=0.15, err_msg=query)


def test_what_came_since_ranks_with_what_was_there(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(library, 114)
    monkeypatch.setattr(words, "LARGE", 1)
    large = opened(library, "tantivy")
    fill(library, 6, 1)
    for query in QUERIES:
        ids, _ = large._fts(terms(query), 20)
        again, _ = large.search(query, 20)
        assert len(set(ids[:10].tolist()) & set(again[:10].tolist())) >= 7, query


@pytest.mark.parametrize("query", ["inversions", "inverted", "INVERT", "inverting", "Inversion's"])
def test_forms_of_a_word_are_one(library: Library, kind: str, query: str) -> None:
    library.keep(entry("a", "Inverting it gives impedance."))
    library.keep(entry("b", "Gravity is measured on the ship."))
    found = texts(library, opened(library, kind).search(query, 5))
    assert found == (["Inverting it gives impedance."] if "sion" not in query.lower() else [])
    assert stems("inverted") == stems("inverting")


def test_marks_over_letters_make_no_difference(library: Library, kind: str) -> None:
    library.keep(entry("a", "Überschiebung in the Pyrénées."))
    library.keep(entry("b", "Gravity is measured on the ship."))
    held = opened(library, kind)
    for query in ("Uberschiebung", "überschiebung", "Pyrenees", "pyrénées"):
        assert len(held.search(query, 5)[0]) == 1, query


def test_a_word_with_a_hyphen_is_found_by_its_parts_and_whole(library: Library, kind: str) -> None:
    library.keep(entry("a", "The low-frequency model is taken from wells."))
    library.keep(entry("b", "Frequency runs from high to low here."))
    library.keep(entry("c", "Gravity is measured on the ship."))
    held = opened(library, kind)
    assert terms("low-frequency") == ["low-frequency", "low", "frequency"]
    assert texts(library, held.search("low-frequency", 5)) == [
        "The low-frequency model is taken from wells.",
        "Frequency runs from high to low here.",
    ]
    assert len(held.search("frequency", 5)[0]) == 2
    assert len(held.search("low frequency", 5)[0]) == 2


def test_a_word_of_the_title_finds_its_passages(library: Library, kind: str) -> None:
    library.keep(entry("a", "It is thick here.", title="Crust of Iberia"))
    library.keep(entry("b", "Gravity is measured on the ship."))
    assert texts(library, opened(library, kind).search("Iberia", 5)) == ["It is thick here."]


def test_small_words_are_not_sought(library: Library, kind: str) -> None:
    library.keep(entry("a", "It is thick here."))
    assert terms("What is it of the?") == []
    assert len(opened(library, kind).search("What is it of the?", 5)[0]) == 0


def test_nothing_stale_is_found(library: Library, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(library, 30)
    held = opened(library, kind)
    assert len(held.search("salt dome", 200)[0])
    for number in range(0, 30, 2):
        library.remove(f"0-{number}")
    library.keep(entry("0-1", "Nothing of that kind."))
    for query in QUERIES:
        texts(library, held.search(query, 200))
    library.keep(entry("later", "The quokka sleeps."))
    assert texts(library, held.search("quokka", 5)) == ["The quokka sleeps."]
    held.snapshot()
    assert texts(library, held.search("quokka", 5)) == ["The quokka sleeps."]
    assert texts(Library(library.folder, ENCODER), Words(library).search("quokka", 5)) == ["The quokka sleeps."]
    assert len(list(library.folder.glob("words-*"))) == (kind == "tantivy")


def test_documents_rank_by_their_whole_text(library: Library) -> None:
    library.keep(entry("a", "Salt is here.", "A dome is there."))
    library.keep(entry("b", "Salt is here.", "A basin is there."))
    library.keep(entry("c", "Granite is here.", "A basin is there."))
    ids, scores = Words(library).documents(["salt", "dome"], 5)
    assert ids.tolist() == [1, 2]
    assert scores[0] > scores[1] > 0


HOSTILE = (
    '"', '""', '"salt', 'salt"dome', "salt*", "NEAR(salt dome, 2)", "salt NEAR dome", "salt OR", "AND", "NOT salt", "OR OR OR", "text:salt", "heading : salt",  # noqa: E501
    "{text heading}: salt", "^salt", "salt + dome", "-salt", "(salt", "salt)", "'; DROP TABLE words; --", "\0", "salt\0dome", "\ud800salt", "\\", "[salt TO dome]",  # noqa: E501
    "salt~2", "salt^3", "/salt/", "*", "***", "…", "“salt”", "地震波 salt", "Ⅻ salt ½", "x" * 5000, "a-" * 3000, "salt " * 5000,
    " ".join(f"word{n}" for n in range(3000)), "salt‑dome", "it's", "\u202esalt", "𝐬𝐚𝐥𝐭",
)  # fmt: skip


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_no_query_breaks_the_search(number: int, kind: str, library: Library) -> None:
    library.keep(entry("a", "Salt and a dome, near or not."))
    library.keep(entry("b", "Gravity is measured on the ship."))
    held = opened(library, kind)
    query = HOSTILE[number]
    assert set(held.search(query, 5)[0].tolist()) <= {1, 2}
    held.documents(terms(query), 5)
    assert held.search([query, '"', "", "NEAR(", "salt"], 5)[0].tolist()[:1] == [1]
    assert len(library.documents()) == 2


@settings(max_examples=25, deadline=None)
@given(query=st.text(max_size=60))
def test_any_text_at_all_may_be_asked(query: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    library = Library(folder, ENCODER)
    if library.generation == 0:
        library.keep(entry("a", "Salt and a dome, near or not."))
    with pytest.MonkeyPatch.context() as patch:
        Words(library).search(query, 3)
        patch.setattr(words, "LARGE", 1)
        held = opened(library, "tantivy")
        held.search(query, 3)
        shutil.rmtree(folder / json.loads((folder / POINTER).read_text())["folder"], ignore_errors=True)
        (folder / POINTER).unlink()


DAMAGE = {
    "its folder": lambda folder: shutil.rmtree(next(folder.glob("words-*"))),
    "its files": lambda folder: [path.unlink() for path in next(folder.glob("words-*")).iterdir() if path.suffix not in (".json",)],
    "its content": lambda folder: [path.write_bytes(b"") for path in next(folder.glob("words-*")).iterdir()],
    "its middle": lambda folder: [
        path.write_bytes(path.read_bytes()[:20] + b"?" * (path.stat().st_size - 20))
        for path in next(folder.glob("words-*")).iterdir()
        if path.suffix != ".json"
    ],
    "its list": lambda folder: (next(folder.glob("words-*")) / "meta.json").write_text("{"),
    "the pointer": lambda folder: (folder / POINTER).write_text("{"),
    "the pointer's kind": lambda folder: (folder / POINTER).write_text('{"generation": "x", "last": null, "folder": "/"}'),
    "its library": lambda folder: (folder / POINTER).write_text(json.dumps(json.loads((folder / POINTER).read_text()) | {"library": "another"})),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_index_is_not_used_and_made_again(library: Library, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "LARGE", 1)
    fill(library, 20)
    wanted = Words(library).search("salt dome", 5)[0].tolist()
    opened(library, "tantivy")
    DAMAGE[what](library.folder)
    held = Words(library)
    assert len(set(held.search("salt dome", 5)[0].tolist()) & set(wanted)) >= 4
    held.snapshot()
    assert held._fast() is not None
    assert len(set(held.search("salt dome", 5)[0].tolist()) & set(wanted)) >= 4


def test_the_index_of_a_library_that_was_thrown_away_is_not_taken_for_the_new_ones(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "LARGE", 1)
    fill(library, 5)
    opened(library, "tantivy")
    library.close()
    for path in library.folder.glob(f"{FILE}*"):
        path.unlink()
    new = Library(library.folder, ENCODER)
    for number in range(8):
        new.keep(entry(f"{number}", "Gravity is measured on the ship."[number:]))
    assert len(Words(new).search("salt dome basin fault", 10)[0]) == 0
