"""Attention over a sequence that begins once and goes on in several ways: branches that see the beginning and themselves, not each other.

It is what scaled dot-product attention (Vaswani et al., 2017, arXiv:1706.03762) gives under a mask of all tokens by all tokens, without the
parts that the mask takes away: of a list of tools with eight requests two thirds. `NAME` is what transformers calls it by
(`attn_implementation`); each call of the model then brings its `Branches`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

NAME = "moho_branches"


@dataclass(frozen=True)
class Branches:
    """Where the branches of one sequence stand."""

    shared: int  # tokens that all begin with
    places: torch.Tensor  # (branch, token) place of each token in the sequence, filled up with the last place
    real: torch.Tensor  # (branch, token) whether that is a token of the branch
    later: torch.Tensor  # (token, token) added to the scores within a branch: -inf for tokens that come later


def branches(numbers: Sequence[int], device: Any = "cpu") -> Branches:
    """The branches of a sequence of which each token has the number of its branch, 0 for what is shared, in rising order."""
    if list(numbers) != sorted(numbers):
        raise ValueError("the tokens of a branch have to stand together, behind what is shared")
    shared = sum(number == 0 for number in numbers)
    lengths = list(Counter(numbers[shared:]).values())
    long = max(lengths, default=0)
    starts = [shared + sum(lengths[:i]) for i in range(len(lengths))]
    steps = torch.arange(long)
    places = (torch.tensor(starts, dtype=torch.long)[:, None] + steps).clamp_max(len(numbers) - 1)
    real = steps < torch.tensor(lengths, dtype=torch.long)[:, None]
    later = torch.full((long, long), -torch.inf).triu(1)
    return Branches(shared, places.to(device), real.to(device), later.to(device))


def attend(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, *, scaling: float, branches: Branches, **_: Any
) -> tuple[torch.Tensor, None]:
    """(1, token, head, width) for (1, head, token, width) queries and (1, group, token, width) keys and values, as transformers calls it."""
    heads, tokens, width = query.shape[1:]
    groups, shared = key.shape[1], branches.shared
    times = heads // groups
    keys, values = (one[:, :, :shared].repeat_interleave(times, 1) for one in (key, value))
    first = scaled_dot_product_attention(query[:, :, :shared], keys, values, is_causal=True, scale=scaling)
    if shared == tokens:
        return first.transpose(1, 2), None
    query, key, value = (query * scaling)[0].view(groups, times, tokens, width), key[0], value[0]
    place, real = branches.places, branches.real
    many, long = place.shape
    new = tokens - shared

    def in_rows(one: torch.Tensor) -> torch.Tensor:
        """(group, head, token, width) as (group, branch, head · token, width)."""
        return one[:, :, place].transpose(1, 2).reshape(groups, many, times * long, width)

    def in_line(one: torch.Tensor) -> torch.Tensor:
        """(group, branch, head · token, n) as (group, head, token, n), the real ones in their order."""
        return one.view(groups, many, times, long, -1).transpose(1, 2)[:, :, real]

    before = (query[:, :, shared:].reshape(groups, times * new, width) @ key[:, :shared].transpose(1, 2)).view(groups, times, new, shared)
    within = in_rows(query) @ key[:, place].transpose(2, 3)  # (group, branch, head · token, token)
    within = (within.view(groups, many, times, long, long) + branches.later.to(within.dtype)).view(groups, many, times * long, long)
    weights = torch.cat([before, in_line(within)], 3).softmax(3)
    gathered = (weights[..., :shared].reshape(groups, times * new, shared) @ value[:, :shared]).view(groups, times, new, width)
    own = weights.new_zeros(groups, times, many, long, long)
    own[:, :, real] = weights[..., shared:]
    gathered = gathered + in_line(own.transpose(1, 2).reshape(groups, many, times * long, long) @ value[:, place])
    return torch.cat([first, gathered.view(1, heads, new, width)], 2).transpose(1, 2), None


def padded(sets: Sequence[Sequence[int]]) -> torch.Tensor:
    """(choice, token) the tokens that each choice is made from, filled up with -1."""
    widest = max(map(len, sets), default=0)
    return torch.tensor([[*some, *[-1] * (widest - len(some))] for some in sets], dtype=torch.long).view(-1, widest)


def among(words: torch.Tensor, hidden: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """(choice, token) logits, in float32, of the `allowed` of `words` (vocabulary, width) after (choice, width) states; anything where it is -1."""
    return (words[allowed.clamp_min(0)] @ hidden[:, :, None])[..., 0].float()


def register() -> str:
    """Make the attention known to transformers; its name."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, lambda *_, **__: None)
    return NAME
