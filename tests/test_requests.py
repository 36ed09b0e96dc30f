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
from moho.rl.calls import compared, either
from moho.rl.evaluate import STATUSES, chosen, evaluate, fault, identity, load, perfect, play
from moho.rl.report import page
from moho.rl.scores import Ended, Kept, Scored, share, table, words

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
    made = table([scored])
    assert made["scores"]["all"]["pass^1"] == 1
    assert made["invented_numbers"] == made["invented_references"] == 0
    assert made["calls"]["tool"]["share"] == made["calls"]["exact"]["share"] == made["numbers"]["share"] == 1
    for end in made["ends"].values():
        assert end["precision"]["share"] == end["recall"]["share"] == end["right"]["share"] == 1


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
                "made": [{"kind": "Seismic", "fields": {"band": [8, 45], "dt": 0.004}}],
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
        ([call("trace_qc", line="line 12"), AIMessage("45 Hz")], "no number 45"),
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


@pytest.mark.parametrize(
    ("answer", "corrected"),
    [
        ("Traces: 240, not 600. Last sample time: 1.996 s.", True),
        ("The line has 240 traces, not 600. It ends at 1.996 s.", True),
        ("Traces: 240. Last sample time: 1.996 s, not 600.", False),
        ("Traces: 240. Last sample time: 1.996 s.", False),
    ],
)
def test_a_premise_is_corrected_by_the_number_it_is_about(answer: str, corrected: bool) -> None:
    from types import SimpleNamespace

    numbers = [{"text": "240", "value": 240, "source": "step:1:traces"}, {"text": "1.996 s", "value": 1.996, "source": "step:1:end"}]
    outcome = SimpleNamespace(status="answered", answer=answer, about=[], code="", numbers=numbers, steps=[])
    check = {"status": "answered", "numbers": [{"value": 240, "tolerance": 0}], "premise": "600"}
    assert (fault(check, outcome, None, {}) == "") == corrected  # type: ignore[arg-type]


def test_pass_n_counts_requests_that_pass_every_time() -> None:
    def one(identity: str, passed: bool) -> Scored:
        return Scored(identity, "seismic", "answer", passed, "", 1.0, 0, ())

    scores = table([[one("a", True), one("b", True)], [one("a", True), one("b", False)]])["scores"]
    assert {key: scores["all"][key] for key in ("requests", "pass^1", "pass^2")} == {"requests": 2, "pass^1": 0.75, "pass^2": 0.5}
    assert np.isclose(scores["kind answer"]["pass^1"], 0.75)


@pytest.mark.parametrize(
    "line", ["{", '{"id": "x"}', json.dumps({"id": "x", "kind": "poem", "turns": [1]}), json.dumps({"id": "x", "kind": "ask", "turns": []})]
)
def test_a_wrong_row_is_named(line: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(f"# a comment\n\n{line}\n")
    with pytest.raises(DataError, match="line 3"):
        load(tmp_path / "rows.jsonl")


def played(identity: str, *ended: Ended, **more: Any) -> Scored:
    return Scored(identity, "seismic", "answer", all(turn.passed for turn in ended), "", 1.0, 0, (), ended=ended, **more)


def test_precision_and_recall_of_a_made_table_are_what_they_are_by_hand() -> None:
    question, answer = ("question",), ("answered",)
    scored = [
        played("a", Ended("question", question)),  # due and done
        played("b", Ended("question", question, passed=False)),  # due and done, about something else
        played("c", Ended("answered", question, passed=False)),  # due and not done
        played("d", Ended("question", answer, passed=False)),  # done and not due
        played("e", Ended("refused", ("question", "refused"))),  # either would do
        played("f", Ended("answered", answer, premise=True, corrected=True), Ended("answered", answer, corrected=True)),
        played("g", Ended("answered", answer, premise=True, passed=False)),
    ]
    ends = table([scored])["ends"]
    assert {name: one["share"] for name, one in ends["ask"].items()} == {"precision": 0.6667, "recall": 0.6667, "right": 0.5}
    assert {name: one["share"] for name, one in ends["refuse"].items()} == {"precision": 1, "recall": 1, "right": 1}
    assert {name: one["share"] for name, one in ends["correct"].items()} == {"precision": 0.5, "recall": 0.5, "right": 1}
    assert (ends["ask"]["precision"]["n"], ends["refuse"]["recall"]["n"]) == (3, 1)


def test_intervals_hold_the_share_and_narrow_with_more_requests() -> None:
    few, many = (share([(1, 1), (0, 1), (1, 1), (1, 1)] * times) for times in (5, 50))
    assert few["share"] == many["share"] == 0.75
    for one in (few, many):
        assert one["interval"][0] < 0.75 < one["interval"][1]
    assert np.ptp(many["interval"]) < 0.5 * np.ptp(few["interval"])
    exact = 1.96 * np.sqrt(0.75 * 0.25 / 200)  # of a binomial
    assert np.ptp(many["interval"]) == pytest.approx(2 * exact, rel=0.15)
    assert share([(0, 0)]) == {"share": None, "n": 0, "interval": None}


@pytest.mark.parametrize(
    ("calls", "counts"),
    [
        ([("bandpass", {"line": "LINE 12", "low": "8", "high": "0.045 kHz"})], (1, 1)),
        ([("bandpass", {"low": 8, "high": 45.0, "low_cut": None})], (1, 1)),
        ([("bandpass", {"line": "line 12", "low": "8 Hz", "high": "46 Hz"})], (1, 0)),
        ([("trace_qc", {"line": "line 12"}), ("no_such_tool", {})], (0, 0)),
        ([("bandpass", {"low": "9 Hz"}), ("bandpass", {"low": "8 Hz", "high": "45 Hz"})], (1, 1)),
        ([], (0, 0)),
    ],
)
def test_calls_are_compared_by_what_they_mean(calls: list[tuple[str, dict[str, Any]]], counts: tuple[int, int]) -> None:
    script = [("bandpass", {"line": "line 12", "low": "8 Hz", "high": "45 Hz"})]
    assert compared(script, calls, {"line 12": "Seismic"}) == counts


def test_a_call_that_was_written_and_carried_out_counts_once() -> None:
    kinds = {"line 12": "Seismic"}
    written = [("bandpass", {"low": "8 Hz", "high": "45 Hz"}), ("gain_agc", {"window": "?"}), ("no_such_tool", {})]
    carried = [("bandpass", {"line": "line 12", "low": 8.0, "high": 45.0, "low_cut": None, "high_cut": None})]
    assert either(written, carried, kinds) == [carried[0], written[1]]


def test_calls_tokens_and_steps_are_heard(tmp_path: Path) -> None:
    told = RIGHT.model_copy(update={"usage_metadata": {"input_tokens": 300, "output_tokens": 20, "total_tokens": 320}})
    row = ROW | {"turns": [ROW["turns"][0] | {"script": [{"call": "bandpass", "with": {"line": "line 12", "low": "8 hz", "high": "45 Hz"}}]}]}
    scored = play(row, ScriptedChat(replies=[call("trace_qc", line="line 12"), told, AIMessage("{s2.pass_band}")]), tmp_path)
    assert scored.passed, scored.why
    assert (scored.steps, scored.tools, scored.exact, scored.called) == (1, (1, 1), 1, 2)
    assert scored.numbers == (1, 1)
    assert scored.tokens == (300, 20)
    assert scored.ended == (Ended("answered", ("answered",)),)


def test_a_measurement_is_no_data_set(tmp_path: Path) -> None:
    check = {"status": "answered", "made": [{"kind": "Seismic"}]}
    row = ROW | {"turns": [ROW["turns"][0] | {"check": check}]}
    assert "no Seismic was made" in play(row, ScriptedChat(replies=[call("trace_qc", line="line 12"), AIMessage("{s1.rms}")]), tmp_path).why


def test_a_model_behind_an_endpoint_is_scored_by_the_same_checks(tmp_path: Path) -> None:
    import threading
    from http.server import HTTPServer

    from test_endpoint import NAME, Endpoint

    from moho.agent.model import make

    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    turn = {
        "request": f"what is the peak frequency of {NAME}",
        "script": [{"call": "trace_qc", "with": {"line": NAME}}, {"answer": ["1.peak_frequency"]}],
        "check": {"status": "answered", "numbers": [{"truth": "wavelet_hz", "tolerance": 8}]},
    }
    try:
        scored = play(ROW | {"data": {NAME: "line"}, "turns": [turn]}, make(f"openai:http://127.0.0.1:{server.server_port}/v1#m"), tmp_path)
    finally:
        server.shutdown()
        server.server_close()
    assert scored.passed, scored.why
    assert scored.invented == 1  # a percentage of its own making
    assert (scored.exact, scored.numbers) == (1, (1, 1))
    assert scored.tokens == (3, 3)  # a call, an answer that went back, and the answer


def test_a_number_of_the_request_is_no_result(tmp_path: Path) -> None:
    row = ROW | {"turns": [ROW["turns"][0] | {"check": {"status": "answered", "numbers": [{"value": 45, "tolerance": 0.01}]}}]}
    assert "no number 45" in play(row, ScriptedChat(replies=[AIMessage("It is 45 Hz.")]), tmp_path).why


def test_what_was_played_is_kept_and_not_played_again(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "played.jsonl"
    replies = [RIGHT, AIMessage("{s1.pass_band}")]

    def model(row: Any) -> ScriptedChat:
        return ScriptedChat(replies=replies)

    def never(row: Any) -> ScriptedChat:
        raise AssertionError("played again")

    first = evaluate([ROW], model, lambda one: None, Kept(path, "card a"))
    with open(path, "a") as file:
        file.write('{"model": "card a", "id": "cut sh')  # a kill
    told: list[Scored] = []
    assert evaluate([ROW], never, told.append, Kept(path, "card a")) == first == told
    with pytest.raises(AssertionError):
        evaluate([ROW], never, told.append, Kept(path, "card b"))
    with pytest.raises(AssertionError):
        evaluate([ROW], never, told.append, Kept(path, "card a"), number=1)
    second = evaluate([ROW | {"id": "y"}], model, lambda one: None, Kept(path, "card a"))
    assert set(Kept(path, "card a").done.values()) == {*first, *second}


def test_parts_of_a_file_are_all_of_it_and_none_twice() -> None:
    rows = [{"id": f"r{i}"} for i in range(11)]
    parts = [chosen(rows, (), f"{i}/3") for i in (1, 2, 3)]
    assert sorted(row["id"] for part in parts for row in part) == sorted(row["id"] for row in rows)
    assert [row["id"] for row in chosen(rows, ("r7", "r2"))] == ["r2", "r7"]
    for wrong in ("0/3", "4/3", "x", "1"):
        with pytest.raises(DataError, match="part"):
            chosen(rows, (), wrong)
    with pytest.raises(DataError, match="r99"):
        chosen(rows, ("r99",))


def test_a_model_is_known_by_its_card(tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter.json").write_text('{"sha256": "a"}')
    before = identity(f"embedded:{folder}")
    assert before == identity(f"embedded:{folder}")
    (folder / "adapter.json").write_text('{"sha256": "b"}')
    assert len({before, identity(f"embedded:{folder}"), identity("embedded:base"), identity("perfect"), identity("openai:http://x#y")}) == 5


def test_the_report_stands_alone_and_escapes_what_it_shows() -> None:
    evil = '<script>alert(1)</script> & "quotes"'
    row = ROW | {"turns": [ROW["turns"][0] | {"request": evil}]}
    failed = Scored(
        "x", "seismic", "answer", False, f"no number 45 {evil}", 1.0, 1, (f"answered: {evil}",), ended=(Ended("answered", ("answered",), False),)
    )
    result = {"model": evil, "files": ["dev.jsonl"]} | table([[failed]])
    html = page(result, [[failed]], [row])
    assert "<script" not in html
    assert "http" not in html.replace('http-equiv="Content', "")
    assert "src=" not in html
    assert "url(" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quotes&quot;") == 5  # title twice, request, reply, reason
    for there in ("answered; the number 45 ± 0.01; a Seismic with band [8, 45], dt 0.004", "pass^1", "Failures (1)", "kind answer", "default-src"):
        assert there in html
    _balanced(html)


def _balanced(html: str) -> None:
    """Every element that is opened is closed in its turn."""
    from html.parser import HTMLParser

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            if tag != "meta":
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    reader = Reader()
    reader.feed(html)
    assert reader.open == []


def test_a_table_reads_as_words() -> None:
    lines = "\n".join(words(table([[played("a", Ended("question", ("question",)), tokens=(310, 12))]])))
    for there in ("all", "kind answer", "steps none", "ask: precision", "310 read, 12 written", "invented numbers 0"):
        assert there in lines


def test_the_command_plays_keeps_and_reports(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from moho.rl.commands import evaluate as commands

    script = [{"call": "bandpass", "with": {"line": "line 12", "low": "8 hz", "high": "45 hz"}}, {"answer": ["1.pass_band"]}]
    rows = [ROW | {"id": identity_, "turns": [ROW["turns"][0] | {"script": script}]} for identity_ in ("one", "two", "three")]
    file, out, html = (tmp_path / name for name in ("rows.jsonl", "played.jsonl", "report.html"))
    file.write_text("\n".join(json.dumps(row) for row in rows))
    asked = ["requests", str(file), "--model", "perfect", "--plays", "2", "--out", str(out), "--html", str(html), "--json"]
    first = CliRunner().invoke(commands, [*asked, "--only", "three", "--only", "one"])
    assert first.exit_code == 0, first.output
    made = json.loads(first.stdout)
    assert made["scores"]["all"] == {"requests": 2, "pass^1": 1.0, "pass^2": 1.0, "interval": [1.0, 1.0]}
    assert made["calls"]["exact"] == {"share": 1.0, "n": 4, "interval": [1.0, 1.0]}
    kept = out.read_text()
    assert {(json.loads(line)["id"], json.loads(line)["play"]) for line in kept.splitlines()} == {(i, n) for i in ("one", "three") for n in (0, 1)}
    assert "Failures (0)" in html.read_text()
    again = CliRunner().invoke(commands, [*asked, "--part", "1/3"])
    assert again.exit_code == 0, again.output
    assert out.read_text() == kept  # nothing was played again
    assert json.loads(again.stdout)["scores"]["all"]["requests"] == 1
    spoken = CliRunner().invoke(commands, ["requests", str(file), "--model", "perfect", "--plays", "1", "--limit", "1"])
    assert "right arguments" in spoken.output
