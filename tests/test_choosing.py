"""The adapted projections, computed in one go, are those of peft, forwards and backwards, with the adapter on and off."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from moho.rl import sft
from moho.rl.adapter import lora
from moho.rl.choosing import lean

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")  # peft asks transformers by the old name


def test_lean_projections_are_those_of_peft() -> None:
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
    plain = get_peft_model(LlamaForCausalLM(config), lora(sft.Settings(rank=4, alpha=12, layers=(0, 2))))
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.2)
    other = copy.deepcopy(plain)
    lean(other)
    ids = torch.randint(0, 64, (1, 12))
    gradients = []
    for model in (plain, other):
        out = model(input_ids=ids, labels=ids)
        out.loss.backward()
        gradients.append([p.grad for _, p in sorted(model.named_parameters()) if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) == 28
    assert all(torch.allclose(one, two, rtol=1e-4, atol=1e-5) for one, two in zip(*gradients, strict=True))
    with plain.disable_adapter(), other.disable_adapter(), torch.no_grad():
        assert torch.equal(plain(input_ids=ids).logits, other(input_ids=ids).logits)
