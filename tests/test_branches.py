"""Attention by branches: what the full mask gives, forwards and backwards."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from moho.rl.branches import attend, branches


@pytest.mark.parametrize("numbers", [[0, 0, 0], [0, 1, 1, 2], [0, 0, 1, 1, 1, 2, 3, 3], [0] * 5 + [1] * 7 + [2] * 3])
@pytest.mark.parametrize(("heads", "groups"), [(4, 2), (3, 3), (6, 1)])
def test_it_is_attention_under_the_mask_of_the_branches(numbers: list[int], heads: int, groups: int) -> None:
    torch.manual_seed(1)
    tokens, width = len(numbers), 8
    query, key, value = (torch.randn(1, n, tokens, width, dtype=torch.float64, requires_grad=True) for n in (heads, groups, groups))
    at = torch.tensor(numbers)
    seen = torch.ones(tokens, tokens, dtype=torch.bool).tril() & ((at[None, :] == 0) | (at[None, :] == at[:, None]))
    spread = [one.repeat_interleave(heads // groups, 1) for one in (key, value)]
    wanted = scaled_dot_product_attention(query, *spread, attn_mask=seen, scale=0.3).transpose(1, 2)
    found, _ = attend(None, query, key, value, None, scaling=0.3, branches=branches(numbers))
    assert torch.allclose(found, wanted, atol=1e-12)
    weights = torch.randn_like(wanted)
    for one, other in zip(*(torch.autograd.grad((out * weights).sum(), (query, key, value)) for out in (found, wanted)), strict=True):
        assert torch.allclose(one, other, atol=1e-12)


def test_tokens_of_a_branch_that_stand_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="stand together"):
        branches([0, 1, 0, 1])
