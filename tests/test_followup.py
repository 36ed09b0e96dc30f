"""Requests that lean on the one before, and parts of a request that were left undone: code knows what is meant, whatever the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolCall, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from made_project import call, made_project, quick_choice, scripted, write_line

from moho.agent import offer
from moho.agent.followup import Followup, follow
from moho.project import Project

KINDS = {
    "line 12": "Seismic", "line 14": "Seismic", "gathers": "Gather", "A-1": "Well", "karoo": "Gravity", "mag": "Magnetics", "BUG array": "Waveforms",
}  # fmt: skip
LINE = {"line": "line 12"}
BANDPASS = ("bandpass", LINE | {"low": "5 Hz", "high": "60 Hz"})
AGC = ("gain_agc", {"line": "bandpass 1", "window": "0.5 s"})
BOUGUER = ("bouguer_terrain", {"stations": "karoo", "density": "2.67"})


def told(*calls: tuple[str, dict[str, Any]], request: str) -> list[BaseMessage]:
    """A conversation of one turn with these calls, and the next request."""
    messages: list[BaseMessage] = [HumanMessage("do it")]
    for place, (name, arguments) in enumerate(calls, 1):
        messages.append(AIMessage("", tool_calls=[ToolCall(name=name, args=arguments, id=f"{place}")]))
        messages.append(ToolMessage(json.dumps({"step": place, "facts": {}}), tool_call_id=f"{place}"))
    return [*messages, AIMessage("Made it."), HumanMessage(request)]


def after(*calls: tuple[str, dict[str, Any]], request: str) -> Followup | None:
    return follow(request, told(*calls, request=request), KINDS)


@pytest.mark.parametrize(
    ("before", "request_", "anew"),
    [
        (BANDPASS, "same again but 8-40 Hz", {"low": "8 Hz", "high": "40 Hz"}),
        (BANDPASS, "Once more please, 10 to 50 hertz", {"low": "10 Hz", "high": "50 Hz"}),
        (BANDPASS, "same for line 14", {"line": "line 14"}),
        (BANDPASS, "and on line 14: same, 8-40", None),
        (BOUGUER, "Same thing at 2.4.", {"density": "2.4"}),
        (BOUGUER, "and at 2.4?", {"density": "2.4"}),
        (("gain_agc", LINE | {"window": "0.5 s"}), "now with a 1 s window", {"window": "1 s"}),
        (("gain_agc", LINE | {"window": "0.5 s"}), "try it with 250 ms instead", {"window": "250 ms"}),
        (("decon", LINE | {"operator": "100 ms"}), "again with an 80 ms operator", {"operator": "80 ms"}),
        (("fx_decon", LINE), "repeat with a 500 ms window", {"window": "500 ms"}),
        (("nmo_stack", {"gather": "gathers", "velocity": "2200 m/s"}), "and with 2500?", {"velocity": "2500"}),
        (("grid_trend", {"stations": "mag", "spacing": "1 km"}), "lekker. same grid but 2 km", {"spacing": "2 km"}),
        (("vshale", {"well": "A-1", "clean": "25", "shale": "115"}), "and with 30 and 110?", {"clean": "30", "shale": "110"}),
        (("water_saturation", {"well": "A-1", "rw": "0.047", "top": "1513 m"}), "what if Rw was 0.067?", {"rw": "0.067"}),
        (("track_horizon", LINE | {"cdp": "146", "time": "1.121 s"}), "now the one at 1.313 s, same CDP", {"time": "1.313 s"}),
        (("attributes", LINE | {"attribute": "envelope"}), "same but instantaneous phase", {"attribute": "instantaneous phase"}),
        (("earth_travel_times", {"distance": "30 deg"}), "what about 60 deg?", {"distance": "60 deg"}),
    ],
)
def test_what_is_not_said_anew_is_as_it_was(before: tuple[str, dict[str, Any]], request_: str, anew: dict[str, str] | None) -> None:
    meant = after(before, request=request_)
    if anew is None:
        anew = {"line": "line 14", "low": "8", "high": "40"}
    assert meant is not None
    assert (meant.tool, dict(meant.restated), meant.complete) == (before[0], anew, True)
    assert meant.arguments == before[1] | anew


def test_of_several_calls_the_one_whose_arguments_are_said_is_repeated() -> None:
    window = after(BANDPASS, AGC, request="same again but with a 1 s window")
    band = after(BANDPASS, AGC, request="same again but 8-40 Hz")
    assert window is not None
    assert band is not None
    assert (window.tool, window.arguments) == ("gain_agc", {"line": "bandpass 1", "window": "1 s"})
    assert (band.tool, band.arguments) == ("bandpass", LINE | {"low": "8 Hz", "high": "40 Hz"})


@pytest.mark.parametrize(
    "request_",
    [
        "now the AGC with 500 ms",
        "same line, but decon with 80 ms",
        "and now with an AGC of 1 s",
        "now filter that one again 10-40 Hz",
        "do the same bandpass on the result",
        "any dead traces?",
        "8-40 Hz",
        "thanks, what is the length of line 12?",
        "again, a spiking deconvolution please",
    ],
)
def test_what_names_another_tool_or_a_result_is_left_to_the_model(request_: str) -> None:
    assert after(BANDPASS, request=request_) is None


def test_a_first_request_leans_on_nothing_and_neither_does_one_after_a_question() -> None:
    assert follow("same again but 8-40 Hz", [HumanMessage("same again but 8-40 Hz")], KINDS) is None
    assert after(request="and with 8-40 Hz") is None


def test_what_has_no_plain_place_is_the_models_to_place() -> None:
    meant = after(BANDPASS, request="same again but 8 Hz")
    assert meant is not None
    assert not meant.complete
    written = {"line": "line 14", "low": "8 Hz", "high": "99 Hz"}  # neither the line nor 99 Hz was said
    assert meant.mended(written, "same again but 8 Hz") == LINE | {"low": "8 Hz", "high": "60 Hz"}


# -- in the graph


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr("moho.agent.offer.choose", quick_choice)
    made = made_project(tmp_path)
    made.add(write_line(tmp_path / "other.sgy", seed=3))
    return made


FIRST = call("bandpass", "a", line="line", low="5 Hz", high="60 Hz")


@pytest.mark.parametrize(
    "reply",
    [
        call("bandpass", "b", line="other", low="8 Hz", high="60 Hz"),
        call("bandpass", "b", line="bandpass 1", low="8 Hz", high="40 Hz"),
        call("refuse", "b", reason="no"),
        call("ask", "b", about="low", question="Which?"),
        AIMessage("Done."),
    ],
)
def test_a_follow_up_is_done_right_whatever_the_model_replies(project: Project, reply: AIMessage) -> None:
    agent = scripted(project, FIRST, "{s1.pass_band}", reply, "{s1.pass_band}", checkpointer=InMemorySaver())
    thread = agent.ask("filter line 5-60 Hz").thread
    outcome = agent.ask("same again but 8-40 Hz", thread=thread)
    assert (outcome.status, outcome.answer) == ("answered", "8 to 40 Hz")
    assert [(step.tool, step.arguments["line"]) for step in outcome.steps] == [("bandpass", "line")]


def test_only_the_tool_of_the_follow_up_is_on_offer_and_another_one_may_still_be_called(project: Project) -> None:
    offered: list[list[str]] = []
    agent = scripted(project, FIRST, "{s1.pass_band}", call("trace_qc", line="line"), "{s1.dead_traces} dead", checkpointer=InMemorySaver())
    bind = type(agent.model).bind_tools
    object.__setattr__(agent.model, "bind_tools", lambda tools: offered.append([t["function"]["name"] for t in tools]) or bind(agent.model, tools))
    thread = agent.ask("filter line 5-60 Hz").thread
    outcome = agent.ask("same again but 8-40 Hz", thread=thread)
    assert offered[2] == ["bandpass", "ask", "refuse"]
    assert outcome.answer.startswith("0 dead")


# -- parts left undone


CHAIN = "bandpass line 5-60 Hz, then AGC with half a second"


def test_a_part_left_undone_is_asked_for_once_with_its_tool_alone(project: Project) -> None:
    shown: list[str] = []

    def gain(messages: Sequence[BaseMessage]) -> AIMessage:
        shown.append(str(next(m.content for m in reversed(messages) if isinstance(m, HumanMessage))))
        return call("gain_agc", "c", line="line", window="half a second")  # it is shown the clause alone, and means what was made of the line

    outcome = scripted(project, FIRST, "{s1.pass_band}.", gain, "{s1.pass_band}, {s2.window}.").ask(CHAIN)
    assert shown == ["AGC with half a second"]
    assert outcome.answer == "5 to 60 Hz, 0.5 s."
    assert [(step.tool, step.arguments["line"]) for step in outcome.steps] == [("bandpass", "line"), ("gain_agc", "bandpass 1")]


@pytest.mark.parametrize("reply", ["No.", call("refuse", reason="no")])
def test_a_model_that_keeps_to_its_answer_has_it(project: Project, reply: Any) -> None:
    outcome = scripted(project, FIRST, "{s1.pass_band}.", reply, "never").ask(CHAIN)
    assert (outcome.status, outcome.answer) == ("answered", "5 to 60 Hz. Not used of what you gave: half a second.")
    assert len(outcome.steps) == 1


@pytest.mark.parametrize(
    ("request_", "calls", "left"),
    [
        ("bandpass 5-40 then AGC then decon", [("bandpass", ["line 12"])], ["gain_agc", "decon"]),
        ("bandpass 5-40 then AGC then decon", [("bandpass", ["line 12"]), ("gain_agc", ["bandpass 1"])], ["decon"]),
        ("density porosity, then Sw with Rw 0.05", [("porosity", ["A-1"])], ["water_saturation"]),
        ("bandpass 5-40 Hz. What would an AGC do?", [("bandpass", ["line 12"])], []),
        ("bandpass 5-40 Hz and explain decon", [("bandpass", ["line 12"])], []),
        ("bandpass 5-40 Hz and tell me the pass band", [("bandpass", ["line 12"])], []),
        ("filter line 12, then reduce to the pole", [("bandpass", ["line 12"])], []),  # no grid is there
        ("invert line 12 to impedance, tie it to A-1", [("poststack_impedance", ["line 12", "A-1"])], []),
    ],
)
def test_a_part_is_left_undone_when_it_names_a_tool_that_no_step_has_served(request_: str, calls: Any, left: list[str]) -> None:
    held = {"line 12": "Seismic", "A-1": "Well"}
    assert [tool for _, tool in offer.undone(request_, held, calls)] == left
