"""Passages are pieces of the text as it stands: offsets exact, whole sentences, none longer than the target."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moho.knowledge.embed import pieces
from moho.knowledge.passages import TARGET, Block, Document, cut, sentences


def words(text: str) -> int:
    return len(text.split())


def said(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    "sentence",
    [
        "Fig. 3 shows the stack.",
        "Claerbout et al. 2009 invert it.",
        "As J. F. Claerbout wrote, the data decide.",
        "Use a prior, e.g. Gaussian, for the trend.",
        "See Eqs. (3) and (4) and Sec. 2 of Geophys. J. Int. 12.",
        "The velocity is 3.5 km/s below 1.2 km.",
        "Prof. K. Aki and Dr. P. Richards say so on pp. 12 and 13.",
    ],
)
def test_a_full_stop_of_an_abbreviation_ends_no_sentence(sentence: str) -> None:
    assert said(f"{sentence} The next one follows.") == [sentence, "The next one follows."]


def test_marks_after_the_full_stop_stay_with_their_sentence() -> None:
    assert said("“The crust is thin.” (It is not.) Is it? “No!” they say.") == ["“The crust is thin.”", "(It is not.)", "Is it?", "“No!” they say."]


def test_blanks_between_sentences_belong_to_none() -> None:
    assert said("One stands here.   \n Two stands here. ") == ["One stands here.", "Two stands here."]


def test_a_passage_holds_whole_sentences_of_one_section() -> None:
    text = " ".join(f"Sentence number {i} says what it says about the crust." for i in range(60))
    document = Document((Block(text, "Theory", 1), Block(text, "Theory", 2), Block("Short end.", "Results", 3)))
    found = cut(document, words, 50)
    whole = set(said(text))
    assert all(set(said(p.text)) <= whole for p in found if p.section == "Theory")
    assert [p.text for p in found if p.section == "Results"] == ["Short end."]
    assert {p.page for p in found} == {1, 2, 3}


def test_a_section_is_cut_into_nearly_equal_passages() -> None:
    text = " ".join(f"Sentence number {i} says what it says about the crust." for i in range(61))
    sizes = [p.pieces for p in cut(Document((Block(text),)), words, 200)]
    assert max(sizes) <= 200
    assert min(sizes) > 0.6 * max(sizes)


def test_a_sentence_longer_than_any_passage_is_cut_at_a_clause() -> None:
    clause = "the reflector is deep and the velocity above it is uncertain"
    text = "; ".join([clause] * 8) + "."
    found = cut(Document((Block(text),)), words, 30)
    assert all(p.pieces <= 30 for p in found)
    assert all(p.text.endswith((";", ".")) for p in found)


def test_what_has_no_blanks_does_not_make_a_passage_without_end() -> None:
    text = "QUJD" * 20_000
    found = cut(Document((Block(f"Before it. {text}"),)), pieces)
    assert max(len(p.text) for p in found) < 4000
    assert found[0].start == 0
    assert found[-1].end == len(text) + 11


def test_a_table_is_cut_between_its_rows() -> None:
    rows = [f"Well {i}. | {i * 10} m | Top. Reservoir" for i in range(40)]
    found = cut(Document((Block("\n".join(rows), "Wells", 4, "table"),)), words, 40)
    assert [row for p in found for row in p.text.split("\n")] == rows
    assert {p.kind for p in found} == {"table"}


def test_text_and_references_are_not_mixed() -> None:
    document = Document(
        (Block("It is known (Aki, 1980).", "End"), Block("Aki, K., 1980. Seismology.\nBott, M., 1960. Gravity.", "End", kind="references"))
    )
    assert [(p.kind, p.text.count("\n")) for p in cut(document, words, 100)] == [("text", 0), ("references", 1)]


def test_the_encoder_never_sees_more_than_its_target() -> None:
    odd = "Poroelastodynamik Überschiebungsgürtel $\\nabla\\cdot(\\kappa\\nabla u)=f$ λ=3.25×10⁻⁷ 地震波 " * 80
    for passage in cut(Document((Block(odd), Block(f"{odd}. End of it.", "B"))), pieces):
        assert passage.pieces <= TARGET
        assert pieces(passage.text) <= TARGET


ALPHABET = st.text(st.sampled_from('aBc. .!?;,:\n\t)("“”’1é λ震 e.g. Fig. '), max_size=300)
BLOCKS = st.lists(
    st.builds(Block, ALPHABET, st.sampled_from(["", "A", "A > B"]), st.none() | st.integers(1, 3), st.sampled_from(["text", "table", "references"]))
)


@settings(max_examples=300, deadline=None)
@given(BLOCKS, st.integers(5, 40))
def test_offsets_are_exact_and_nothing_is_lost_or_said_twice(blocks: list[Block], target: int) -> None:
    document = Document(tuple(blocks))
    text = document.text
    found = cut(document, words, target)
    at = 0
    for passage in found:
        assert text[passage.start : passage.end] == passage.text
        assert passage.text.strip()
        assert passage.pieces <= target
        assert not text[at : passage.start].strip()
        assert passage.start >= at
        at = passage.end
    assert not text[at:].strip()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=400).map(Block), max_size=4))
def test_any_text_at_all_can_be_cut(blocks: list[Block]) -> None:
    document = Document(tuple(blocks))
    for passage in cut(document, pieces, 20):
        assert document.text[passage.start : passage.end] == passage.text
        assert pieces(passage.text) <= 20
