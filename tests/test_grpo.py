"""GRPO by trl on a bandit, under our sampling: rewards arrive, only own tokens are learned from, the adapter is kept on top of its start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from moho.agent.embedded import merge
from moho.errors import DataError
from moho.rl import grpo, ppo, trace
from moho.rl.policy import Episode, Policy, Words, pack

pytestmark = [
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),  # peft 0.21 reads it, transformers 5.23 renamed it
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]

VOCABULARY, STOP = 40, 3
ARMS = (10, 11, 12)
SETTINGS = ppo.Settings(updates=8, episodes=32, epochs=1, rank=4, alpha=8, layers=(0, 2), rate=2e-2, kl_weight=0.0, longest=4)


def micro() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=64, initializer_range=0.3, tie_word_embeddings=True, eos_token_id=STOP, bos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    words = Tokenizer(WordLevel({f"t{i}": i for i in range(VOCABULARY)}, unk_token="t0"))
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token=f"t{STOP}", pad_token="t0", unk_token="t0")


class Script:
    def __init__(self, *sets: Sequence[int]) -> None:
        self.sets = list(sets)

    def allowed(self) -> Words:
        return pack(self.sets[0], VOCABULARY)

    def accept(self, token: int) -> bool:
        self.sets.pop(0)
        return bool(self.sets)


class Bandit:
    """The prompt names an arm, which pays."""

    turns = 1

    def play(self, policy: Policy, seeds: Sequence[int]) -> list[Episode]:
        episodes = []
        for seed in seeds:
            arm = seed % 3
            turn = policy.reply([1, 20 + arm], Script([5], ARMS, [STOP]), np.random.default_rng(seed))
            episodes.append(Episode([turn] * self.turns, float(turn.reply[1] == ARMS[arm]), {"right": float(turn.reply[1] == ARMS[arm])}))
        return episodes


def chosen(model: LlamaForCausalLM) -> float:
    """Mean probability of the right arm."""
    with torch.no_grad():
        return float(np.mean([model(torch.tensor([[1, 20 + arm, 5]])).logits[0, -1, list(ARMS)].softmax(-1)[arm] for arm in range(3)]))


def test_a_few_updates_raise_the_reward_and_keep_the_adapter(tmp_path: Path) -> None:
    card = grpo.optimise(SETTINGS, Bandit(), micro(), tokenizer(), None, tmp_path)
    rows = trace.read(tmp_path / "trace.jsonl")
    assert len(rows) == card["updates"] == SETTINGS.updates
    assert rows[-1]["reward"] > rows[0]["reward"] + 0.2
    assert rows[-1]["reward"] == pytest.approx(rows[-1]["part right"])
    merge(learned := micro(), tmp_path)
    assert chosen(learned) > chosen(micro()) + 0.2


def test_a_small_batch_is_one_group_and_the_clock_ends_a_run(tmp_path: Path) -> None:
    card = grpo.optimise(replace(SETTINGS, episodes=4, minutes=0.0), Bandit(), micro(), tokenizer(), None, tmp_path)
    rows = trace.read(tmp_path / "trace.jsonl")
    assert len(rows) == card["updates"] == 1
    assert rows[0]["num_tokens"] == 4 * 3  # a prompt of two and one token of the policy's own
    assert (tmp_path / "curves.png").exists()


def test_episodes_of_several_turns_are_refused(tmp_path: Path) -> None:
    class Long(Bandit):
        turns = 2

    with pytest.raises(DataError, match="2 turns"):
        grpo.optimise(replace(SETTINGS, updates=1), Long(), micro(), tokenizer(), None, tmp_path)
