"""MiniLM as it is run: BERT's six layers (Devlin et al., 2019, NAACL) on token numbers; its weights and its words are in `moho.knowledge.embed`.

In bf16 where the processor computes in it by itself, which elsewhere is slower than float32. The scale of the attention is in the
weights of the query, the three projections are one, and oneDNN holds the matrices in the order in which it reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.nn.functional import gelu, layer_norm, linear

HEADS = 12
LAYERS = 6
_NEVER = -1e4  # added to the score of a token that only fills a row up

Affine = Callable[[torch.Tensor], torch.Tensor]


class MiniLM:
    """The encoder of these float32 weights, called as `model(tokens, lengths)`: (text, token, width) of the last layer, in float32."""

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        self.type = torch.bfloat16 if native() else torch.float32
        places = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
        self.words, self.places = weights["embeddings.word_embeddings.weight"].to(self.type), places.to(self.type)
        self.norm = self._norm(weights, "embeddings")
        self.layers = [self._layer(weights, f"encoder.layer.{number}") for number in range(LAYERS)]

    @torch.inference_mode()
    def __call__(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.through(self.first(tokens), lengths).float()

    def first(self, tokens: torch.Tensor) -> torch.Tensor:
        """(text, token, width) as the first layer gets them."""
        return self.norm(self.words[tokens] + self.places[: tokens.shape[1]])

    def through(self, x: torch.Tensor, lengths: torch.Tensor, layers: slice = slice(None)) -> torch.Tensor:
        """`x` (text, token, width) after these layers."""
        many, longest, _ = x.shape
        x = x.flatten(0, 1)  # (text · token, width)
        filled = torch.arange(longest) >= lengths[:, None]
        mask = torch.zeros(filled.shape, dtype=self.type).masked_fill_(filled, _NEVER)[:, None, None] if filled.any() else None
        for project, gather, widen, narrow, middle, last in self.layers[layers]:
            query, key, value = project(x).view(many, longest, 3, HEADS, -1).permute(2, 0, 3, 1, 4)  # each (text, head, token, width / heads)
            scores = query @ key.transpose(2, 3)
            if mask is not None:
                scores += mask
            x = middle(x + gather((scores.softmax(3) @ value).transpose(1, 2).flatten(2).flatten(0, 1)))
            x = last(x + narrow(gelu(widen(x))))
        return x.view(many, longest, -1)

    def _layer(self, weights: Mapping[str, torch.Tensor], name: str) -> tuple[Affine, ...]:
        def held(layer: str, kind: str) -> torch.Tensor:
            return weights[f"{name}.{layer}.{kind}"]

        scale = (held("attention.self.query", "weight").shape[0] / HEADS) ** -0.5
        parts = (("query", scale), ("key", 1.0), ("value", 1.0))
        project = [torch.cat([factor * held(f"attention.self.{part}", kind) for part, factor in parts]) for kind in ("weight", "bias")]
        others = ("attention.output.dense", "intermediate.dense", "output.dense")
        matrices = [project, *([held(layer, kind) for kind in ("weight", "bias")] for layer in others)]
        affine = [_affine(weight.to(self.type), bias.to(self.type)) for weight, bias in matrices]
        return (*affine, self._norm(weights, f"{name}.attention.output"), self._norm(weights, f"{name}.output"))

    def _norm(self, weights: Mapping[str, torch.Tensor], name: str) -> Affine:
        weight, bias = (weights[f"{name}.LayerNorm.{kind}"].to(self.type) for kind in ("weight", "bias"))
        return lambda x: layer_norm(x, weight.shape, weight, bias, eps=1e-12)


def native() -> bool:
    """Whether this processor multiplies matrices of bf16 by itself."""
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def _affine(weight: torch.Tensor, bias: torch.Tensor) -> Affine:
    """`x` by a matrix, with its bias; packed for oneDNN on x86, which also in float32 is twice as fast as MKL on processors of others."""
    if torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())
        return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return lambda x: linear(x, weight, bias)
