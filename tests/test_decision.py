"""A small model's reply is one line, and the grammar lets only lines through that mean something here."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moho.agent.decision import Done, Situation, grammar, prompt, read, signature, write_answer, write_call
from moho.agent.registry import find_tool
from moho.units import Quantity

SITUATION = Situation(
    "filter line 12 5-60 Hz with Vs 1,500 m/s",
    {"line 12": "Seismic", "A-1": "Well", "w1": "Waveforms", "w2": "Waveforms"},
    ["bandpass", "detect_associate", "filter_waveforms", "segy_inspect"],
    [Done(1, 'segy_inspect(data="line 12")', "", {"traces": Quantity(12)})],
)
RIGHT = [
    'bandpass(line="line 12", low="5 Hz", high="60 Hz")',
    'bandpass(line=?, low="5 Hz", high="60 Hz")',
    "answer(1.traces)",
    'answer(1.traces!="5 Hz")',
    'detect_associate(waveforms="w1, w2", low="5 Hz", high="60 Hz")',
    'filter_waveforms(waveforms=?, low="5 Hz", high="60 Hz")',
]
WRONG = [
    'bandpass(line="line 99", low="5 Hz", high="60 Hz")',
    'bandpass(line="A-1", low="5 Hz", high="60 Hz")',
    'bandpass(line="line 12", low="7 Hz", high="60 Hz")',
    'bandpass(line="line 12", low="5 Hz")',
    'bandpass(low="5 Hz", line="line 12", high="60 Hz")',
    "answer(2.traces)",
    "answer(1.samples)",
    "answer()",
    "answer(1.traces, 1.traces)",  # each number once
    "",
    'bandpass(line="line 12", low="5 Hz", high="60 Hz"',
    'gain_agc(line="line 12")',
    'filter_waveforms(waveforms="w1, w2", low="5 Hz", high="60 Hz")',
    'filter_waveforms(waveforms=?)',  # leaves out what was given
    'filter_waveforms(waveforms="w1", low="5 Hz", high="60 Hz")',  # or w2? nobody said
    "refuse()",  # what was measured is said
    "refuse(1)",
    "Sure! refuse()",
    'bandpass(line="line 12", low="1,500 m/s", high="60 Hz")',
]


def accepts(line: str, situation: Situation = SITUATION) -> bool:
    """Whether the grammar takes the whole of `line`, byte by byte."""
    import xgrammar

    vocabulary = xgrammar.TokenizerInfo([bytes([i]) for i in range(256)] + [b"</s>"], xgrammar.VocabType.RAW, stop_token_ids=[256])
    compiled = xgrammar.GrammarCompiler(vocabulary, max_threads=1).compile_grammar(grammar(situation))
    matcher = xgrammar.GrammarMatcher(compiled)
    return all(matcher.accept_token(byte) for byte in line.encode()) and matcher.accept_token(256)


def test_where_nothing_was_measured_a_request_can_be_refused() -> None:
    assert accepts("refuse()", Situation("an invoice", {"line 12": "Seismic"}, ["bandpass"]))
    failed = Done(1, 'segy_inspect(data="line 12")', error="it is damaged")
    assert accepts("refuse()", Situation("an invoice", {"line 12": "Seismic"}, ["bandpass"], [failed]))


@pytest.mark.parametrize("line", RIGHT)
def test_well_formed_replies_pass(line: str) -> None:
    assert accepts(line)
    decided = read(line)
    if decided.name not in ("answer", "refuse"):
        assert write_call(decided.name, decided.arguments) == line


@pytest.mark.parametrize("line", WRONG)
def test_everything_else_is_stopped(line: str) -> None:
    assert not accepts(line)


def test_a_tool_that_takes_a_list_does_not_open_lists_for_others() -> None:
    for tools in (
        ["detect_associate", "filter_waveforms"],
        ["filter_waveforms", "detect_associate"],
        ["pick_phases", "detect_associate", "filter_waveforms"],
    ):
        situation = Situation("go", SITUATION.catalogue, tools)
        assert accepts('detect_associate(waveforms="w1, w2")', situation)
        assert accepts('detect_associate(waveforms="w2")', situation)
        assert not accepts('filter_waveforms(waveforms="w1, w2")', situation)


def test_no_answer_before_a_step_and_no_premise_that_nobody_said() -> None:
    assert not accepts("answer(1.traces)", Situation("how many?", SITUATION.catalogue, ["segy_inspect"]))
    assert not accepts('answer(1.traces!="600")')


def test_names_of_data_lend_no_numbers() -> None:
    assert '"12"' not in grammar(Situation("filter line 12", {"line 12": "Seismic"}, ["bandpass"]))
    assert Situation("see LINE 12.", {"line 12": "Seismic"}, []).text == "see …."


@pytest.mark.parametrize("name", ['ü "quoted" \\ back', "a]b", "x -> y", "Ω|ζ", "日本 3"])
def test_any_name_can_be_written_and_read(name: str) -> None:
    situation = Situation("go", {name: "Seismic"}, ["segy_inspect"])
    line = write_call("segy_inspect", {"data": name})
    assert read(line).arguments == {"data": name}
    assert accepts(line, situation)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["line", "low", "high"]),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(lambda t: t != "?"),
    )
)
def test_calls_are_written_and_read_back(arguments: dict[str, str]) -> None:
    assert read(write_call("bandpass", arguments)).arguments == arguments


def test_lists_numbers_and_what_is_open() -> None:
    assert write_call("t", {"a": ["x", "y"], "b": 5, "c": "?", "d": None}) == 't(a="x, y", b="5", c=?)'
    assert read("t(c=?)").arguments == {"c": "?"}
    assert read(write_answer(["1.low", '1.traces!="600"'])).keys == [("1.low", ""), ("1.traces", "600")]
    assert read(" refuse() ").name == "refuse"


@pytest.mark.parametrize("line", ["", "Sure, I will", "bandpass", "bandpass(", "two words()"])
def test_what_is_no_call_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match="not a call"):
        read(line)


def test_the_prompt_holds_names_and_keys_and_no_numbers_of_results() -> None:
    step = Done(1, 'trace_qc(line="line 12")', "", {"peak_frequency": Quantity(31.7, "Hz", "peak")})
    failed = Done(2, "bandpass()", error="low must be above 0")
    system, user = prompt(Situation("then?", {"line 12": "Seismic"}, ["bandpass"], [step, failed], [("a", "b"), ("c", "d"), ("e", "f")]))
    assert signature(find_tool("bandpass")) in system["content"]
    assert user["content"].split("\n") == [
        'Data: "line 12" Seismic',
        "Earlier: c => d",
        "Earlier: e => f",
        "Near: bandpass",
        "Request: then?",
        'Done 1: trace_qc(line="line 12") -> peak_frequency',
        "Done 2: bandpass() -> error: low must be above 0",
    ]
    assert not re.search(r"31\.7", system["content"] + user["content"])


def test_what_was_said_cannot_be_asked_for() -> None:
    said = Situation("filter line 12 5-60 Hz", {"line 12": "Seismic"}, ["bandpass"])
    half = Situation("filter line 12, nothing above 60 Hz", {"line 12": "Seismic"}, ["bandpass"])
    assert 'low=" call_' not in grammar(said)
    assert '"low=" bandpass_low' in grammar(said)
    assert '"low=" (bandpass_low | "?")' in grammar(half)
