"""Literature in a conversation: questions that go to the library, answers that are quotations, and the check of written ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage

from moho.agent import cli, sources
from moho.agent.graph import Agent
from moho.agent.model import EmbeddedChat, ScriptedChat
from moho.agent.tools.literature import ask_literature, find_contradictions, search_literature
from moho.errors import MohoError
from moho.knowledge import library, starter
from moho.knowledge.index import Library
from moho.project import Project

WHY = "Why does post-stack impedance inversion need a low-frequency model? Cite."


@pytest.fixture(scope="module", autouse=True)
def own_library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The handbook in a library of the tests' own."""
    patch = pytest.MonkeyPatch()
    patch.setenv("MOHO_LIBRARY", str(tmp_path_factory.mktemp("library")))
    yield
    patch.undo()


def test_the_passage_a_question_is_about_is_found() -> None:
    found = search_literature("what does AGC do to amplitude versus offset", 5)
    assert any("AGC" in citation["quote"] for citation in found.citations)
    assert len({citation["key"] for citation in found.citations}) == 5
    assert all(citation["source"].startswith("handbook/") for citation in found.citations)


def test_every_quotation_is_word_for_word_and_what_is_not_there_is_declined() -> None:
    answer = ask_literature(WHY)
    assert answer.supported
    text = str(answer.facts["answer"].value)
    passages = {citation["key"]: citation["quote"] for citation in answer.citations}
    quoted = [part.split("” [") for part in text.split("“")[1:]]
    assert quoted
    assert all(words in passages[key[:6]] for words, key in quoted)
    assert "low-frequency model" in text
    declined = ask_literature("Which company holds the concession of block 17 off Angola?")
    assert not declined.supported
    assert str(declined.facts["answer"].value) == "Not in these sources."


def test_sources_that_differ_by_a_number_are_set_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from moho.knowledge.embed import ENCODER
    from moho.knowledge.ingest import add_texts

    monkeypatch.setenv("MOHO_LIBRARY", str(tmp_path / "two"))
    held = Library(tmp_path / "two", ENCODER)
    held.note(starter.SOURCE, starter.edition())  # as where a person has taken the handbook out
    first = "The low-frequency model supplies the acoustic impedance below 8 Hz in the inversion of marine data."
    second = "The low-frequency model supplies the acoustic impedance below 3 Hz in the inversion of marine data."
    add_texts(held, [("a", "Inversion of line A", first), ("b", "Inversion of line B", second)])
    found = find_contradictions("below which frequency does the low-frequency model supply impedance")
    assert "3 against 8 Hz" in str(found.facts["answer"].value)
    assert len(found.citations) == 2


@pytest.mark.parametrize("question", ["", "   ", "12 34", "x" * 2001])
@pytest.mark.parametrize("tool", [search_literature, ask_literature, find_contradictions])
def test_questions_that_are_none_are_turned_down(tool, question: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="need a question"):
        tool(question)


def test_a_filter_that_no_document_meets_is_refused() -> None:
    with pytest.raises(MohoError, match="no document"):
        search_literature("impedance inversion since 1999")


@pytest.mark.parametrize(
    ("request_", "literature", "rest"),
    [
        (WHY, "Why does post-stack impedance inversion need a low-frequency model?", ""),
        ("Which paper says the low-frequency model limits impedance inversion? Quote it.", "Which paper says", ""),
        ("What does the literature say about AGC?", "What does the literature say about AGC?", ""),
        ("Explain why deconvolution needs a minimum-phase wavelet", "Explain why", ""),
        ("What are the assumptions of Euler deconvolution?", "What are the assumptions", ""),
        ("Bandpass line 12 to 5-60 Hz; what does the literature say about the LFM?", "what does the literature say", "Bandpass line 12"),
        ("Bandpass line 12 between 5 and 60 Hz", "", "Bandpass line 12"),
        ("What is the sample interval of line 12?", "", "What is the sample interval"),
        ("Why is the porosity too high in line 12?", "", "Why is the porosity"),
        ("why is this section so noisy", "", "why is this section"),
        ("What does line 12 hold?", "", "What does line 12 hold?"),
    ],
)
def test_the_part_of_a_request_that_asks_the_literature(request_: str, literature: str, rest: str) -> None:
    found = sources.asked(request_, ["line 12"])
    assert found[0].startswith(literature)
    assert bool(found[0]) == bool(literature)
    assert found[1].startswith(rest)
    assert bool(found[1]) == bool(rest)


def test_a_question_to_the_literature_is_answered_with_citations_and_replayed(tmp_path: Path) -> None:
    from moho.agent.replay import replay

    project = Project(tmp_path / "project")
    outcome = Agent(project, EmbeddedChat()).ask(WHY)
    assert outcome.status == "answered"
    assert [step.tool for step in outcome.steps] == ["ask_literature"]
    assert outcome.citations
    assert outcome.json()["citations"] == outcome.citations
    for citation in outcome.citations:
        assert f"[{citation['key']}]" in outcome.answer
        quoted = outcome.answer.split(f"” [{citation['key']}]")[0].rsplit("“", 1)[1]
        assert quoted in citation["quote"]
    assert all(row["same"] for row in replay(project, outcome.run_id))


def test_a_larger_model_is_held_to_the_passages(tmp_path: Path) -> None:
    key = str(search_literature("why a low-frequency model for impedance inversion", 1).citations[0]["key"])
    first = AIMessage("The low-frequency model was invented in 1066 by monks [aaaaaa].")
    second = AIMessage(f"Aliens built pyramids with it [{key}]. Band-limited data need it.")
    model = ScriptedChat(replies=[first, second])
    outcome = Agent(Project(tmp_path / "project"), model).ask(WHY)
    assert outcome.status == "answered"
    assert "monks" not in outcome.answer
    assert "Aliens" not in outcome.answer
    assert "[struck: no source]" in outcome.answer


def test_every_tool_has_a_page_in_the_handbook() -> None:
    from moho.agent.registry import load_tools

    pages = dict(starter.pages())
    assert len(pages) >= 60
    of_tool = starter.of_tool()
    assert set(of_tool) <= set(load_tools())
    assert all(name in pages for names in of_tool.values() for name in names)
    for path in pages.values():
        assert "## References" in path.read_text()


def test_the_shipped_vectors_are_those_of_the_pages() -> None:
    held = library.open_library()
    records = {record.id: record for record in held.documents()}
    assert sum(record.passages for record in records.values()) > 800
    known = starter.shipped()
    from moho.knowledge.ingest import worded
    from moho.knowledge.passages import Document

    for one in held.passages(range(1, 400)).values():
        text = worded(Document((), records[one.document].title), one.passage)
        assert starter.digest(text) in known, "run python -m moho.knowledge.starter"


def test_the_command_line_answers_and_cites(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["moho", "knowledge", "ask", "What does AGC do to relative amplitudes?"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    shown = capsys.readouterr().out
    assert "handbook/seismic/gain-and-automatic-gain-control" in shown
