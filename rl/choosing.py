"""A Llama that scores choices: at each place where the grammar leaves one, the logits of the tokens it is made from and of no others.

All of it runs inside the model's own forward, and the rows of the head are read inside the head's: what shards a model or averages its
gradients over processes hooks onto calls of modules, and would not see a part of them that is called past them.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaForCausalLM

from moho.rl.branches import branches, register
from moho.rl.sft import IGNORED


class Head(torch.nn.Module):
    """The head of a language model, of some words for each hidden state."""

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(vocabulary, width))

    def forward(self, hidden: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """(choice, word, 1) of (choice, width) hidden states and the numbers of (choice, word)."""
        return self.weight[words] @ hidden[:, :, None]


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
        return self.lm_head(hidden[:, :-1][labels[:, 1:] != IGNORED], allowed.clamp_min(0))[..., 0].float()
