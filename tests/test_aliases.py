"""Tools under other names: the same call with other words, and nothing left behind."""

from __future__ import annotations

import random

from moho.agent import decision
from moho.agent.registry import load_tools
from moho.rl.aliases import aliases, registered, renamed
from moho.rl.instructions import Example


def example(request: str, tools: list[str], reply: str, done: tuple[decision.Done, ...] = ()) -> Example:
    situation = decision.Situation(request, {"line 12": "Seismic"}, tools, done)
    return Example(situation, reply, "call", reply.partition("(")[0])


def test_every_tool_has_others_names_for_itself_and_its_arguments() -> None:
    for name, versions in aliases().items():
        tool = load_tools()[name]
        assert len(versions) == 3
        for other, names in versions:
            assert other.name not in load_tools()
            assert [names[a.name] for a in tool.arguments] == [a.name for a in other.arguments]
            assert [(a.unit, a.kinds, a.choices, a.required) for a in tool.arguments] == [
                (a.unit, a.kinds, a.choices, a.required) for a in other.arguments
            ]
            assert other.summary.endswith(".")


def test_a_renamed_reply_is_one_that_the_grammar_of_the_renamed_list_allows() -> None:
    before = set(load_tools())
    group = [
        example("filter line 12 8-45 Hz", ["bandpass", "gain_agc"], 'bandpass(line="line 12", low="8", high="45 Hz")'),
        example("agc on line 12 with 500 ms", ["bandpass", "gain_agc"], 'gain_agc(line="line 12", window="500 ms")'),
    ]
    for seed in range(8):
        others = renamed(group, random.Random(seed), 1.0)
        assert others[0].situation.tools == others[1].situation.tools
        assert not set(others[0].situation.tools) & before
        with registered():
            for one, was in zip(others, group, strict=True):
                chosen, same = decision.read(one.reply), decision.read(was.reply)
                assert list(chosen.arguments.values()) == list(same.arguments.values())
                assert chosen.name in one.situation.tools
                assert f"{chosen.name}(" in decision.grammar(one.situation)
                assert f"{chosen.name}(" in decision.prompt(one.situation)[0]["content"]
                assert load_tools()[chosen.name].summary in decision.prompt(one.situation)[0]["content"]
    assert set(load_tools()) == before


def test_what_a_step_has_used_keeps_its_name() -> None:
    done = decision.Done(1, 'bandpass(line="line 12", low="8", high="45 Hz")', "bandpass 1")
    group = [example("filter line 12 8-45 Hz, then agc 500 ms", ["bandpass", "gain_agc"], 'gain_agc(line="bandpass 1", window="500 ms")', (done,))]
    (other,) = renamed(group, random.Random(0), 1.0)
    assert other.situation.tools[0] == "bandpass"
    assert other.situation.tools[1] != "gain_agc"
