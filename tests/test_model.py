"""Chat messages and decisions: what one means in terms of the other."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from moho.agent import decision, prompts
from moho.agent.checkpoint import reply
from moho.agent.decision import Done
from moho.agent.model import call, compose, differs, disclosed, make, message, situate
from moho.errors import DataError
from moho.units import Quantity

FACTS = {"traces": Quantity(534, "", "traces"), "sample_interval": Quantity(4.0, "ms", "sample interval")}


def conversation() -> list:
    first = call("segy_inspect", "c1", data="line 12")
    return [
        SystemMessage("...", additional_kwargs={"catalogue": {"line 12": "Seismic"}}),
        HumanMessage("how many traces?"),
        first,
        ToolMessage(prompts.observation(1, "", "Report", FACTS, []), tool_call_id="c1"),
        AIMessage("Traces: 534."),
        HumanMessage("filter it 5-60 Hz"),
    ]


def test_a_conversation_becomes_requests_calls_and_results() -> None:
    made = situate(conversation(), ["bandpass"])
    assert made.request == "filter it 5-60 Hz"
    assert made.earlier == [("how many traces?", 'segy_inspect(data="line 12")')]
    assert made.catalogue == {"line 12": "Seismic"}
    assert situate(conversation()[:4], []).done[0].facts == FACTS


def test_an_answer_binds_numbers_and_corrects_a_premise() -> None:
    done = [decision.Done(1, 'segy_inspect(data="line 12")', "", FACTS)]
    text = compose([("1.traces", "600"), ("1.sample_interval", "4 ms")], done)
    assert text == "Traces: {s1.traces}, not 600. Sample interval: {s1.sample_interval}."
    assert "{s1.absent}" in compose([("1.absent", "")], done)


@pytest.mark.parametrize(
    ("premise", "quantity", "other"),
    [
        ("600", Quantity(534), True),
        ("534", Quantity(534), False),
        ("2 ms", Quantity(4.0, "ms"), True),
        ("0.004 s", Quantity(4.0, "ms"), False),
        ("12 km", Quantity(5975.0, "m"), True),
        ("6 km", Quantity(5975.0, "m"), False),
        ("8.5 Hz", Quantity([8.48, 40.3], "Hz"), False),
    ],
)
def test_a_premise_is_compared_at_the_precision_it_was_said_with(premise: str, quantity: Quantity, other: bool) -> None:
    assert differs(premise, quantity) is other


def test_a_refusal_is_a_call_that_ends_the_turn() -> None:
    made = message("refuse()", decision.Situation("a poem", {}, []), "c")
    assert made.tool_calls[0]["name"] == "refuse"


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>\n{"name": "bandpass", "arguments": {"low": "5 Hz"}}\n</tool_call>',
        '[TOOL_CALLS][{"name": "bandpass", "arguments": {"low": "5 Hz"}}]',
        '{"name": "bandpass", "parameters": {"low": "5 Hz"}}',
        '<think>hm</think><tool_call>{"name": "bandpass", "arguments": "{\\"low\\": \\"5 Hz\\"}"}</tool_call>',
    ],
)
def test_calls_are_read_from_the_formats_of_known_checkpoints(text: str) -> None:
    made = reply(text, "c")
    assert [(c["name"], c["args"]) for c in made.tool_calls] == [("bandpass", {"low": "5 Hz"})]


def test_words_and_broken_calls_stay_words() -> None:
    assert reply("The line has {s1.traces} traces.", "c").content == "The line has {s1.traces} traces."
    assert not reply("<tool_call>{broken</tool_call>", "c").tool_calls


@pytest.mark.parametrize("spec", ["gpt", "openai:http://x", "hf:", ""])
def test_an_unknown_model_is_refused_with_the_valid_forms(spec: str) -> None:
    with pytest.raises(DataError, match="embedded"):
        make(spec)


def test_a_compatible_endpoint_is_named_by_address_and_model() -> None:
    made = make("openai:http://127.0.0.1:9/v1#some-model", key="k")
    assert made.model_name == "some-model"


def test_an_answer_says_again_what_the_person_set_and_what_the_tool_puts_first() -> None:
    facts = {"stations": Quantity(400), "mean": Quantity(17.1, "mGal"), "range": Quantity([13.0, 19.9], "mGal"), "density": Quantity(2670, "kg/m3")}
    done = [Done(1, 'bouguer_terrain(stations="s", density="2.67")', "bouguer_terrain 1", facts)]
    assert [key for key, _ in disclosed([("1.mean", "9")], done)] == ["1.stations", "1.mean", "1.density"]
    assert dict(disclosed([("1.mean", "9")], done))["1.mean"] == "9"
    assert [key for key, _ in disclosed([], done)] == ["1.stations", "1.mean", "1.range", "1.density"]
    measured = [Done(1, 'trace_qc(line="s")', "", facts)]  # an inspection is answered with what was asked for
    assert disclosed([("1.mean", "")], measured) == [("1.mean", "")]


def test_a_message_that_sends_an_answer_back_leaves_the_catalogue() -> None:
    system = SystemMessage("", additional_kwargs={"catalogue": {"line 12": "Seismic"}})
    situation = situate([system, HumanMessage("filter it"), SystemMessage("These numbers have no source.")], ["bandpass"])
    assert dict(situation.catalogue) == {"line 12": "Seismic"}
