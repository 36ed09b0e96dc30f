"""Proximal policy optimisation: closed forms, a plain reference in double precision, a run that is killed and one that goes wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from moho.agent.embedded import Checkpoint, merge
from moho.agent.models import SOURCE
from moho.errors import DataError
from moho.knowledge.minilm import native
from moho.rl import adapter as adapters
from moho.rl import learner as learning
from moho.rl import ppo, sft, trace
from moho.rl.learner import Learner
from moho.rl.policy import Episode, Policy, Turn, Words, only, pack

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # peft 0.21 reads it, transformers 5.23 renamed it

VOCABULARY = 40
SMALL = ppo.Settings(
    updates=3, episodes=8, epochs=2, minibatches=2, tokens=64, rank=4, alpha=8, layers=(1, 2), rate=1e-2, value_rate=1e-2, longest=8,
    kl_target=None, kl_step=1.0, entropy_least=0.0, fall=9.0,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves take a second or two to draw: only the test that is about them waits for them."""
    if "drawn" not in request.function.__name__:
        monkeypatch.setattr(ppo, "draw", lambda rows, path: None)


def micro(seed: int = 0, spread: float = 0.3) -> LlamaForCausalLM:
    """Two layers of width 32, with weights large enough that the model has opinions."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=128, initializer_range=spread, tie_word_embeddings=True, attn_implementation="eager",
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


class Script:
    """A constraint that allows a given set of tokens at each position."""

    def __init__(self, *sets: Sequence[int] | None) -> None:
        self.sets = list(sets)

    def allowed(self) -> Words | None:
        return None if self.sets[0] is None else pack(self.sets[0], VOCABULARY)

    def accept(self, token: int) -> bool:
        self.sets.pop(0)
        return bool(self.sets)


class Bandit:
    """One turn, one choice among four arms after a forced token; the second half of the arms pays."""

    arms, pays = (3, 4, 5, 6), (0.0, 0.3, 0.6, 1.0)

    def play(self, policy: Policy, seeds: Sequence[int]) -> list[Episode]:
        turns = [policy.reply([1, 2], Script([9], self.arms), np.random.default_rng(seed)) for seed in seeds]
        return [Episode([turn], self.pays[self.arms.index(turn.reply[1])]) for turn in turns]


class Corridor:
    """Five cells; left, stay or right, four turns; pays 1 at the end for standing on cell 3."""

    moves = {10: -1, 11: 0, 12: 1}  # noqa: RUF012

    def play(self, policy: Policy, seeds: Sequence[int]) -> list[Episode]:
        return [self.walk(policy, np.random.default_rng(seed)) for seed in seeds]

    def walk(self, policy: Policy, generator: np.random.Generator) -> Episode:
        cell, turns, seen = int(generator.integers(5)), [], [1]
        for _ in range(4):
            seen = [*seen, 20 + cell]
            turns.append(policy.reply(seen, Script([2], list(self.moves), [3]), generator))
            cell = min(4, max(0, cell + self.moves[turns[-1].reply[1]]))
        return Episode(turns, float(cell == 3), {"distance": abs(cell - 3)})


class Noted:
    """An environment played through, with something done before each batch."""

    def __init__(self, inner: Any, before: Callable[[int, Policy], None]) -> None:
        self.inner, self.before, self.batches = inner, before, 0

    def play(self, policy: Policy, seeds: Sequence[int]) -> list[Episode]:
        self.before(self.batches, policy)
        self.batches += 1
        return self.inner.play(policy, seeds)


def invented(learner: Learner, seed: int = 5) -> list[Episode]:
    """Episodes of several turns that share beginnings, with forced tokens, free tokens, masks, a turn without a choice."""
    generator = np.random.default_rng(seed)
    policy = Policy(learner.reader(), learner.settings.temperature)
    episodes = []
    for _ in range(4):
        prompt = generator.integers(1, VOCABULARY, 6).tolist()
        turns = []
        for step in range(3):
            script = Script([7]) if step == 1 else Script([8], [3, 4, 5, 30], None, [9], [10, 11])
            turns.append(replace(policy.reply(prompt, script, generator), reward=float(generator.normal())))
            prompt = [*prompt, *generator.integers(1, VOCABULARY, 3).tolist()]
        episodes.append(Episode(turns, float(generator.normal())))
    return episodes


def stirred(settings: ppo.Settings = SMALL) -> Learner:
    """A learner whose adapter and value head are no longer at zero."""
    learner = Learner(micro(), settings)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in learner.trained.values():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return learner


def gradients(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: parameter.grad.clone() for name, parameter in learner.trained.items()}


def test_importing_does_no_work() -> None:
    for module in (ppo, learning, adapters, trace):
        lines = Path(module.__file__).read_text().splitlines()
        assert not any(line.startswith(("import torch", "from torch", "from peft", "from transformers")) for line in lines)


def test_advantages_are_the_double_sum_of_discounted_surprises() -> None:
    generator = np.random.default_rng(0)
    earned, value = generator.normal(size=(2, 17))
    following = [*value[1:], 0.0]
    surprise = [earned[t] + 0.9 * following[t] - value[t] for t in range(17)]
    plain = [sum((0.9 * 0.8) ** (k - t) * surprise[k] for k in range(t, 17)) for t in range(17)]
    assert ppo.gae(earned, value, 0.9, 0.8) == pytest.approx(np.array(plain))


def test_rewards_fall_on_the_last_own_token_before_them() -> None:
    def turn(choices: Sequence[bool], reward: float) -> Turn:
        allowed = [None if own else only(1, VOCABULARY) for own in choices]
        return Turn([1], [1] * len(choices), allowed, [0.0] * len(choices), reward)

    episode = Episode([turn([False], 100.0), turn([True, False, True, False], 1.0), turn([False], 2.0), turn([True], 4.0)], 8.0)
    assert ppo.rewards(episode, np.array([0.1, 0.2, 0.3])).tolist() == pytest.approx([-0.1, 3 - 0.2, 12 - 0.3])
    assert episode.total == 115.0


def test_a_tree_of_turns_gives_what_each_turn_gives_alone() -> None:
    learner = stirred()
    episodes = invented(learner)
    batch = ppo.score(learner, episodes, 10**6)
    assert len(batch.rows) == 1
    turns = [turn for episode in episodes for turn in episode.turns if turn.own]
    assert batch.rows[0].hidden.shape[1] < 0.8 * sum(len(turn.prompt) + turn.own[-1] for turn in turns)  # something was shared
    plain, values = [], []
    for turn in turns:
        with torch.no_grad():
            out = learner.model(torch.tensor([[*turn.prompt, *turn.reply]]), output_hidden_states=True)
        for i in turn.own:
            place = len(turn.prompt) + i - 1
            words = turn.allowed[i]
            names = list(range(VOCABULARY)) if words is None else [t for t in range(VOCABULARY) if words[t // 32] >> t % 32 & 1]
            logs = out.logits[0, place, names].log_softmax(-1)
            plain.append(float(logs[names.index(turn.reply[i])]))
            hidden = out.hidden_states[-1][0, place]
            values.append(learner.critic(hidden / (hidden**2).mean().sqrt()).item())
    assert batch.logprob == pytest.approx(plain, abs=2e-5)
    assert batch.value == pytest.approx(values, abs=2e-5)
    assert batch.logprob == pytest.approx([turn.logprob[i] for turn in turns for i in turn.own], abs=2e-5)  # as they were sampled


def reference(learner: Learner, episodes: Sequence[Episode], batch: ppo.Batch, scored: Callable[[Turn], Sequence[int]]) -> dict[str, torch.Tensor]:
    """The gradient of the loss as it is written in the papers: one turn at a time, token by token, in double precision."""
    settings = learner.settings
    leaves = {name: parameter.detach().double().requires_grad_() for name, parameter in learner.trained.items()}
    plain = micro().double()
    weights = dict(plain.named_parameters())
    for name in list(weights):
        module = name.removesuffix(".weight")
        if f"{module}.lora_A" in leaves:
            weights[name] = weights[name].detach() + settings.alpha / settings.rank * leaves[f"{module}.lora_B"] @ leaves[f"{module}.lora_A"]
    losses = []
    places = iter(range(len(batch.logprob)))
    for turn in (turn for episode in episodes for turn in episode.turns):
        ids = torch.tensor([[*turn.prompt, *turn.reply]])
        hidden = torch.func.functional_call(plain.model, {k.removeprefix("model."): v for k, v in weights.items()}, (ids,)).last_hidden_state[0]
        for i in scored(turn):
            state = hidden[len(turn.prompt) + i - 1]
            logits = state @ weights["model.embed_tokens.weight"].T / settings.temperature
            words = turn.allowed[i]
            names = list(range(VOCABULARY)) if words is None else [t for t in range(VOCABULARY) if words[t // 32] >> t % 32 & 1]
            logs = torch.log_softmax(logits[names], 0)
            place = next(places, 0)
            ratio = torch.exp(logs[names.index(turn.reply[i])] - batch.logprob[place])
            advantage = batch.advantage[place]
            loss = -torch.minimum(ratio * advantage, ratio.clamp(1 - settings.clip, 1 + settings.clip) * advantage)
            value = (state / (state**2).mean().sqrt()) @ leaves["critic.weight"][0] + leaves["critic.bias"][0]
            was, wanted = batch.value[place], batch.returns[place]
            near = was + (value - was).clamp(-settings.value_clip, settings.value_clip)
            loss = loss + settings.value_weight * 0.5 * torch.maximum((value - wanted) ** 2, (near - wanted) ** 2)
            losses.append(loss + settings.entropy_weight * (logs.exp() * logs).sum())
    torch.stack(losses).mean().backward()
    return {name: leaf.grad for name, leaf in leaves.items()}


def disturbed(learner: Learner, episodes: Sequence[Episode], tokens: int = 10**6) -> ppo.Batch:
    """A batch in the middle of an update: ratios away from one on both sides, some clipped, values moved."""
    batch = ppo.score(learner, episodes, tokens)
    ppo.estimate(learner.settings, episodes, batch, 0.1)
    generator = np.random.default_rng(1)
    batch.logprob = batch.logprob + 0.3 * generator.normal(size=batch.logprob.shape)
    batch.value = batch.value + 0.3 * generator.normal(size=batch.value.shape)
    return batch


def test_the_gradient_is_that_of_the_loss_written_plainly() -> None:
    learner = stirred(replace(SMALL, layers=(0, 2), temperature=0.7, value_weight=0.5, entropy_weight=0.03))
    episodes = invented(learner)
    batch = disturbed(learner, episodes)
    parts = ppo.accumulate(learner.settings, learner, batch, batch.rows)
    assert 0.1 < parts["clip_fraction"] < 0.9
    assert 0.1 < parts["value_clip_fraction"] < 0.9
    plain = reference(learner, episodes, batch, lambda turn: turn.own)
    for name, gradient in gradients(learner).items():
        assert float((gradient - plain[name]).abs().max()) < 2e-4 * float(plain[name].abs().max()), name


def test_prompts_and_forced_tokens_have_no_gradient() -> None:
    learner = stirred()
    episodes = invented(learner)
    batch = disturbed(learner, episodes)
    ppo.accumulate(learner.settings, learner, batch, batch.rows)
    ours = gradients(learner)
    without = [Episode([turn for turn in episode.turns if turn.own], episode.reward) for episode in episodes]
    same = reference(learner, without, batch, lambda turn: turn.own)
    other = reference(learner, episodes, batch, lambda turn: range(len(turn.reply)))
    name = next(iter(learner.matrices))
    size = float(same[name].abs().max())
    assert float((ours[name] - same[name]).abs().max()) < 2e-4 * size
    assert float((ours[name] - other[name]).abs().max()) > 1e-2 * size  # scoring the forced ones would show

    state = batch.rows[0]
    hidden = state.hidden.clone().requires_grad_()
    logs, value = learner.look(replace(state, hidden=hidden))
    assert logs.shape[0] == value.shape[0] == sum(len(turn.own) for episode in episodes for turn in episode.turns)


def test_how_turns_are_packed_and_ordered_does_not_change_the_gradient() -> None:
    learner = stirred()
    episodes = invented(learner)
    found = []
    for tokens, order in ((10**6, 1), (1, 1), (1, -1), (40, 1)):
        learner.optimiser.zero_grad()
        batch = disturbed(learner, episodes, tokens)
        ppo.accumulate(learner.settings, learner, batch, batch.rows[::order])
        found.append((len(batch.rows), gradients(learner)))
    assert found[0][0] == 1
    assert found[1][0] == 8
    assert 1 < found[3][0] < 8
    for _, other in found[1:]:
        for name, gradient in found[0][1].items():
            assert torch.allclose(gradient, other[name], rtol=1e-4, atol=1e-6), name


def test_what_is_sampled_follows_the_masked_distribution() -> None:
    model = micro()
    policy = Policy(Checkpoint(model), temperature=0.8)
    generator = np.random.default_rng(0)
    turns = [policy.reply([1, 2], Script([9], Bandit.arms), generator) for _ in range(2000)]
    with torch.no_grad():
        wanted = (model(torch.tensor([[1, 2, 9]])).logits[0, -1, list(Bandit.arms)] / 0.8).softmax(-1).numpy()
    shares = np.array([np.mean([turn.reply[1] == arm for turn in turns]) for arm in Bandit.arms])
    assert shares == pytest.approx(wanted, abs=4 * 0.5 / np.sqrt(2000))
    for turn in turns[:20]:
        assert turn.logprob == pytest.approx([0.0, np.log(wanted[Bandit.arms.index(turn.reply[1])])], abs=1e-5)
        assert turn.own == [1]


def arm_shares(model: Any) -> np.ndarray:
    with torch.no_grad():
        return model(torch.tensor([[1, 2, 9]])).logits[0, -1, list(Bandit.arms)].double().softmax(-1).numpy()


def test_a_bandit_comes_to_the_reference_times_the_exponential_of_the_reward(tmp_path: Path) -> None:
    weight = 0.5
    model = micro()
    before = arm_shares(model)
    optimum = before * np.exp(np.array(Bandit.pays) / weight)
    optimum /= optimum.sum()
    settings = replace(SMALL, updates=30, episodes=96, epochs=4, minibatches=1, kl_weight=weight, layers=(0, 2), rate=3e-3)
    card = ppo.optimise(settings, Bandit(), model, None, tmp_path / "run")
    learned = micro()
    merge(learned, tmp_path / "run")
    after = arm_shares(learned)
    assert 0.5 * np.abs(before - optimum).sum() > 0.2
    assert 0.5 * np.abs(after - optimum).sum() < 0.04, (before, after, optimum)
    assert card["updates"] == 30


def test_a_walk_of_several_turns_is_solved_and_its_curves_are_drawn(tmp_path: Path) -> None:
    settings = replace(SMALL, updates=20, episodes=32, epochs=4, kl_weight=0.0, layers=(0, 2), tokens=256, kl_step=0.1)
    card = ppo.optimise(settings, Corridor(), micro(), None, tmp_path)
    rows = trace.read(tmp_path / "trace.jsonl")
    assert rows[0]["reward"] < 0.6
    assert np.mean([row["reward"] for row in rows[-3:]]) > 0.95
    assert rows[-1]["part distance"] < 0.1
    assert rows[0]["turns"] == 4
    assert rows[0]["own_tokens"] == 4
    assert rows[0]["reply_tokens"] == 12
    assert rows[0]["kl"] == 0
    assert rows[0]["computed_tokens"] < rows[0]["prompt_tokens"] + rows[0]["reply_tokens"]
    assert all(row["sampling_gap"] < 1e-4 for row in rows)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert card["reward_first_last"] == [rows[0]["reward"], rows[-1]["reward"]]
    drawn = {name for names in trace.PANELS.values() for name in names}
    assert {name for name in drawn if not name.endswith(" ")} <= set(rows[0])


def test_numbers_that_are_none_are_null_in_the_log_and_not_drawn(tmp_path: Path) -> None:
    log = trace.Trace(tmp_path / "trace.jsonl")
    log.append({"update": 0, "reward": float("nan"), "reward_error": float("inf"), "kl": 0.5})
    assert trace.read(log.path) == log.rows == [{"update": 0, "reward": None, "reward_error": None, "kl": 0.5}]
    trace.draw(log.rows, tmp_path / "curves.svg")
    assert (tmp_path / "curves.svg").read_text().count('id="axes_') == 1  # the KL alone
    trace.draw([{"update": 0, "stopped": "at once"}], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_values_come_to_know_what_the_prompt_says_of_the_reward(tmp_path: Path) -> None:
    class Weather(Bandit):
        """The reward stands in the prompt, whatever is done."""

        def play(self, policy: Policy, seeds: Sequence[int]) -> list[Episode]:
            prompts = [[1, 20 + seed % 4, 3, 30 + seed // 4 % 5] for seed in seeds]
            turns = [policy.reply(p, Script([10, 11], [12, 13]), np.random.default_rng(seed)) for p, seed in zip(prompts, seeds, strict=True)]
            return [Episode([turn], 0.5 * (seed % 4)) for turn, seed in zip(turns, seeds, strict=True)]

    settings = replace(SMALL, updates=16, episodes=32, epochs=3, minibatches=4, kl_weight=0.0, rate=3e-3, tokens=8)
    ppo.optimise(settings, Weather(), micro(), None, tmp_path)
    explained = [row["explained_variance"] for row in trace.read(tmp_path / "trace.jsonl")[:-1]]
    assert explained[0] == pytest.approx(0)
    assert np.mean(explained[-5:]) > 0.4


def test_a_run_killed_and_started_again_gives_the_same_weights(tmp_path: Path) -> None:
    settings = replace(SMALL, updates=5, kl_target=0.05, kl_weight=0.2)
    whole = ppo.optimise(settings, Corridor(), micro(), None, tmp_path / "whole")

    def kill(batch: int, policy: Policy) -> None:
        if batch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ppo.optimise(settings, Noted(Corridor(), kill), micro(), None, tmp_path / "halved")
    with open(tmp_path / "halved" / "trace.jsonl", "a") as file:
        file.write('{"update": 3, "rew')  # the kill came while a line was being written
    halved = ppo.optimise(settings, Corridor(), micro(), None, tmp_path / "halved")
    assert halved["sha256"] == whole["sha256"]

    def lines(name: str) -> list[dict[str, Any]]:
        return [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in trace.read(tmp_path / name / "trace.jsonl")]

    assert lines("halved") == lines("whole")
    assert len({row["kl_weight"] for row in lines("whole")}) > 2  # the coefficient moved
    learners = [Learner(micro(), settings) for _ in range(2)]
    states = [learner.load(tmp_path / name / ppo.CHECKPOINT) for learner, name in zip(learners, ("whole", "halved"), strict=True)]
    assert states[0]["kl_weight"] == states[1]["kl_weight"]
    assert states[0]["update"] == states[1]["update"] == settings.updates
    for name, parameter in learners[0].trained.items():
        assert torch.equal(parameter, learners[1].trained[name])
        for key, value in learners[0].optimiser.state[parameter].items():
            assert torch.equal(value, learners[1].optimiser.state[learners[1].trained[name]][key])
            assert key == "step" or float(value.abs().max()) > 0
    with pytest.raises(DataError, match="other settings"):
        ppo.optimise(replace(settings, rate=1.0), Corridor(), micro(), None, tmp_path / "halved")


def kept(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter.safetensors")


@pytest.mark.parametrize(
    ("guards", "says"),
    [
        ({"kl_most": 0.02, "rate": 0.05}, "from the reference"),
        ({"entropy_least": 0.9, "rate": 0.05, "kl_weight": 0.0}, "entropy fell"),
        ({"fall": 0.2}, "reward fell"),
    ],
)
def test_a_run_that_goes_wrong_stops_and_keeps_the_last_good_weights(tmp_path: Path, guards: dict[str, float], says: str) -> None:
    class Souring(Corridor):
        """Pays less and less."""

        batches = 0

        def play(self, policy: Policy, seeds: Sequence[int]) -> list[Episode]:
            self.batches += 1
            return [
                replace(one, reward=one.reward - 0.1 * self.batches if says == "reward fell" else one.reward) for one in super().play(policy, seeds)
            ]

    seen: list[dict[str, torch.Tensor]] = []

    def note(batch: int, policy: Policy) -> None:
        seen.append({adapters.short(name): p.detach().to(torch.bfloat16) for name, p in policy.reader.model.named_parameters() if p.requires_grad})

    with pytest.raises(ppo.Diverged, match=says):
        ppo.optimise(replace(SMALL, updates=40, kl_step=9.0, **guards), Noted(Souring(), note), micro(), None, tmp_path)
    card = json.loads((tmp_path / "adapter.json").read_text())
    assert says in card["stopped"]
    assert 0 <= card["good_before_update"] < len(seen) - 1
    for name, value in kept(tmp_path).items():
        good = seen[card["good_before_update"]][name].float() * (2.0 if name.endswith("_B") else 1.0)  # the scale stands in B
        assert torch.equal(value.float(), good), name
    assert trace.read(tmp_path / "trace.jsonl")[-1]["stopped"]


def test_a_reward_that_is_not_a_number_stops_the_run_before_a_step(tmp_path: Path) -> None:
    class Broken(Bandit):
        def play(self, policy: Policy, seeds: Sequence[int]) -> list[Episode]:
            return [replace(one, reward=float("nan")) for one in super().play(policy, seeds)]

    with pytest.raises(ppo.Diverged, match="not a number"):
        ppo.optimise(SMALL, Broken(), micro(), None, tmp_path)
    assert all(float(value.float().abs().max()) == 0 for name, value in kept(tmp_path).items() if name.endswith("_B"))


def test_a_gradient_that_is_not_a_number_stops_the_run_before_a_step() -> None:
    learner = stirred()
    episodes = invented(learner)
    batch = disturbed(learner, episodes)
    batch.advantage[0] = np.inf
    before = copy.deepcopy(learner.matrices)
    with pytest.raises(ppo.Diverged):
        ppo.update(learner.settings, learner, batch, np.random.default_rng(0))
    assert all(torch.equal(parameter, before[name]) for name, parameter in learner.matrices.items())


def test_an_update_ends_when_the_policy_has_moved_far_enough() -> None:
    learner = stirred(replace(SMALL, rate=0.05, epochs=20, minibatches=1, kl_step=0.01))
    episodes = invented(learner)
    batch = ppo.score(learner, episodes, 10**6)
    ppo.estimate(learner.settings, episodes, batch, 0.1)
    seen = ppo.update(learner.settings, learner, batch, np.random.default_rng(0))
    assert seen["early"]
    assert 0 < seen["steps"] < 20


def test_nothing_to_choose_is_nothing_to_learn(tmp_path: Path) -> None:
    class Forced(Bandit):
        arms = (3,)

    with pytest.raises(DataError, match="no choice"):
        ppo.optimise(SMALL, Forced(), micro(), None, tmp_path)


def adapter(folder: Path, settings: ppo.Settings) -> Path:
    """A supervised adapter, as `moho.rl.sft` keeps one."""
    learner = stirred(settings)
    sft.keep(learner.model, folder, {"rank": settings.rank, "alpha": settings.alpha, "base": SOURCE})
    return folder


def test_what_is_kept_is_the_first_adapter_and_what_was_learned_on_it(tmp_path: Path) -> None:
    start = adapter(tmp_path / "start", replace(SMALL, rank=3, alpha=6, layers=(0, 2)))
    model = micro()
    card = ppo.optimise(SMALL, Corridor(), model, start, tmp_path / "out")  # `model` now has start merged in and the new LoRA beside it
    assert card["rank"] == card["alpha"] == SMALL.rank + 3
    ids = torch.tensor([[1, 2, 9, 20, 21]])
    with torch.no_grad():
        learned = model(ids).logits
        merge(deployed := micro(), tmp_path / "out")
        merge(before := micro(), start)
        found, first = deployed(ids).logits, before(ids).logits
    moved = float((learned - first).abs().max())
    assert moved > 0.1
    with pytest.raises(DataError, match="another adapter"):
        ppo.optimise(SMALL, Corridor(), micro(), None, tmp_path / "out")
    assert float((learned - found).abs().max()) < 0.03 * moved + 0.02  # adapters are kept in bfloat16


def test_between_two_adapters_each_product_is_the_mean_of_theirs(tmp_path: Path) -> None:
    from moho.rl.adapter import between

    generator = torch.Generator().manual_seed(5)
    module, made = "model.layers.0.mlp.up_proj", {}
    for name, rank in (("old", 2), ("new", 4)):
        a, b = torch.randn(rank, 12, generator=generator), torch.randn(9, rank, generator=generator)
        sft_like = {f"{module}.lora_A": a, f"{module}.lora_B": b}
        (tmp_path / name).mkdir()
        save_file(sft_like, tmp_path / name / "adapter.safetensors")
        (tmp_path / name / "adapter.json").write_text(json.dumps({"rank": rank, "alpha": 2 * rank, "base": SOURCE}))
        made[name] = 2 * b @ a
    for before, share in ((tmp_path / "old", 0.75), (None, 0.5)):
        between(before, tmp_path / "new", share, tmp_path / "mixed")
        tensors, card = load_file(tmp_path / "mixed" / "adapter.safetensors"), json.loads((tmp_path / "mixed" / "adapter.json").read_text())
        product = card["alpha"] / card["rank"] * tensors[f"{module}.lora_B"].float() @ tensors[f"{module}.lora_A"].float()
        wanted = share * made["new"] + ((1 - share) * made["old"] if before else 0)
        left_out = torch.linalg.svdvals(wanted)[card["rank"] :].square().sum()
        assert (product - wanted).square().sum() == pytest.approx(float(left_out), abs=0.02 * float(wanted.square().sum()))
        assert card["share_of_the_way"] == share


def test_folding_is_exact_and_truncation_says_what_it_lost() -> None:
    one, two = stirred(replace(SMALL, layers=(0, 2))), stirred(replace(SMALL, rank=3))
    terms = [
        ({name: value.detach() for name, value in one.matrices.items()}, 2.0),
        ({name: value.detach() for name, value in two.matrices.items()}, 0.5),
    ]

    def product(tensors: dict[str, torch.Tensor], module: str) -> torch.Tensor:
        return tensors[f"{module}.lora_B"] @ tensors[f"{module}.lora_A"]

    folded, lost = ppo.fold(terms)
    cut, lost_by_cut = ppo.fold(terms, rank=5)
    assert lost == 0
    assert 0 < lost_by_cut < 0.5
    off = whole = 0.0
    for module in {name.rpartition(".")[0] for name in folded}:
        wanted = sum(scale * product(tensors, module) for tensors, scale in terms if f"{module}.lora_A" in tensors)
        assert torch.allclose(product(folded, module), wanted, atol=1e-5)
        assert cut[f"{module}.lora_A"].shape[0] <= 5
        off += float(((product(cut, module) - wanted) ** 2).sum())
        whole += float((wanted**2).sum())
    assert off / whole == pytest.approx(lost_by_cut, rel=1e-3)


@pytest.mark.skipif(not native(), reason="this processor does not compute in bf16 by itself")
def test_what_samples_in_bf16_is_what_learns() -> None:
    """The packed model that plays and the one that is scored differ by rounding, not by the adapter."""
    learner = Learner(micro().bfloat16(), SMALL)
    before = learner.reader().after([1, 2, 9])
    with torch.no_grad():
        for parameter in learner.matrices.values():
            parameter.add_(0.3)
    after, scored = learner.reader().after([1, 2, 9]), Checkpoint(learner.model).after([1, 2, 9])
    assert type(learner.reader()).__name__ == "Llama"
    assert float((after - before).abs().max()) > 10 * float((after - scored).abs().max())


def test_an_adapter_says_in_which_shape_to_go_on(tmp_path: Path) -> None:
    settings = replace(SMALL, rank=4, alpha=8, layers=(1, 2))
    learner = Learner(micro(), settings)
    sft.keep(learner.model, tmp_path, {"rank": 4, "alpha": 8})
    assert adapters.shape(tmp_path) == {"rank": 4, "alpha": 8, "layers": (1, 2)}
    card = json.loads((tmp_path / "adapter.json").read_text())
    (tmp_path / "adapter.json").write_text(json.dumps(card | {"rank": 6}))
    with pytest.raises(DataError, match="ranks"):
        adapters.shape(tmp_path)
