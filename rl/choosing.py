"""A Llama that scores choices: at each place where the grammar leaves one, the logits of the tokens it is made from and of no others.

All of it runs inside the model's own forward, and the rows of the head are read inside the head's: what shards a model or averages its
gradients over processes hooks onto calls of modules, and would not see a part of them that is called past them.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from transformers import LlamaForCausalLM

from moho.rl.branches import among, branches, register
from moho.rl.sft import IGNORED


class _Adapted(torch.autograd.Function):
    """x W' + (x A') B' as one operation, whose backward keeps no copy of what the two parts make."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        low = x @ a.t()
        ctx.save_for_backward(x, weight, a, b, low)
        return torch.addmm(x @ weight.t(), low, b.t())

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, a, b, low = ctx.saved_tensors
        back = grad @ b  # (token, rank)
        return torch.addmm(grad @ weight, back, a) if ctx.needs_input_grad[0] else None, None, back.t() @ x, grad.t() @ low


def lean(model: Any) -> None:
    """Let the adapted projections of a peft model compute in the type of their input, each in one go: a sixth less time than as peft does it.

    The matrices stay in the precision they are learned in. Dropout, biases and other adapters than the one in use are not for this.
    """
    for module in model.modules():
        if hasattr(module, "lora_A") and hasattr(module, "base_layer"):
            (name,) = module.lora_A.keys()
            module.forward = functools.partial(_forward, module, name)


def _forward(module: Any, name: str, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    if module.disable_adapters:
        found: torch.Tensor = module.base_layer(x)
        return found
    a, b = module.lora_A[name].weight.to(x.dtype), (module.lora_B[name].weight * module.scaling[name]).to(x.dtype)
    made: torch.Tensor = _Adapted.apply(x.reshape(-1, x.shape[-1]), module.base_layer.weight, a, b)
    return made.view(*x.shape[:-1], -1)


class Head(torch.nn.Module):
    """The head of a language model, of some words for each hidden state."""

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(vocabulary, width))

    def forward(self, hidden: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """(choice, word) logits of (choice, width) hidden states and the numbers of (choice, word)."""
        return among(self.weight, hidden, words)


class ChoosingForCausalLM(LlamaForCausalLM):
    """A Llama over sequences that go on in branches (`moho.rl.branches`)."""

    def __init__(self, config: Any) -> None:
        config._attn_implementation = register()
        super().__init__(config)
        self.lm_head = Head(config.hidden_size, config.vocab_size)

    def forward(self, *args: Any, branch: Any, labels: Any, allowed: Any, **kwargs: Any) -> Any:
        """(choice, token) logits, in float32, of what is `allowed` in place of each label that is not ignored."""
        kwargs |= {"branches": branches(branch[0].tolist(), branch.device), "use_cache": False}
        hidden = self.model(*args, **kwargs).last_hidden_state  # (1, token, width)
        return self.lm_head(hidden[:, :-1][labels[:, 1:] != IGNORED], allowed)
