"""A Llama (Touvron et al., 2023, arXiv:2302.13971) as the embedded model is run: its layers on token numbers, on one thread of a processor.

The projections of the query, the keys and the values are one matrix, and so are the two of the gate. oneDNN holds the matrices in the order in
which it reads them, in bf16 where the processor computes in it by itself. Keys and values of the tokens of the last call are kept, so that a
text which begins as the last one did costs its new tokens only; of the vocabulary only the words are scored that are asked for. Training and
sampling go through transformers; words and grammar are in `moho.agent.embedded`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.functional import linear, rms_norm, silu

from moho.knowledge.minilm import native

BLOCK = 64  # queries that attend together: of the keys behind a block none is read
FEW = 16  # queries up to which attention is quicker in float32, as the keys are kept
ROOM = 1024  # tokens that room is made for at a time

Linear = Callable[[torch.Tensor], torch.Tensor]


class _Layer(NamedTuple):
    before: torch.Tensor  # weight of the norm
    project: Linear
    gather: Linear
    between: torch.Tensor  # weight of the norm
    widen: Linear
    narrow: Linear


class Llama:
    """The model of these weights, named as transformers names them, and of this configuration; `matrix` makes a weight what multiplies by it."""

    def __init__(
        self, weights: Mapping[str, torch.Tensor], config: Mapping[str, Any], *,
        matrix: Callable[[torch.Tensor], Linear] | None = None, dtype: torch.dtype | None = None,
    ) -> None:  # fmt: skip
        check(config)
        self.type = dtype or (torch.bfloat16 if native() else torch.float32)
        self.heads, self.groups = int(config["num_attention_heads"]), int(config["num_key_value_heads"])
        self.width = int(config.get("head_dim") or config["hidden_size"] // self.heads)  # of a head
        self.vocabulary, self.epsilon = int(config["vocab_size"]), float(config["rms_norm_eps"])
        self.words = weights["model.embed_tokens.weight"].to(self.type, copy=True)  # a view would hold the whole file they were read from
        self.head = self.words if config["tie_word_embeddings"] else weights["lm_head.weight"].to(self.type, copy=True)
        self.last = weights["model.norm.weight"].float()
        self.layers = [self._layer(weights, f"model.layers.{number}", matrix or packed) for number in range(int(config["num_hidden_layers"]))]
        theta = float(config["rope_parameters"]["rope_theta"])
        self._rates = theta ** -(torch.arange(0, self.width, 2, dtype=torch.float32) / self.width)  # rad a token
        self._seen: list[int] = []
        self._keys = self._values = torch.empty(len(self.layers), self.groups, 0, self.width)  # (layer, group, token, width)
        self._make_room(ROOM)

    def after(self, tokens: Sequence[int], rows: torch.Tensor | None = None) -> torch.Tensor:
        """Logits, in float32, of what follows `tokens`: of the words numbered `rows`, or of all. What the last call's tokens began with is kept."""
        if not tokens:
            raise ValueError("need a token that something follows, got none")
        same = next((i for i, (a, b) in enumerate(zip(self._seen, tokens, strict=False)) if a != b), min(len(self._seen), len(tokens)))
        shared = min(same, len(tokens) - 1)
        self._seen = list(tokens[:shared])  # all that holds where what follows is interrupted
        with torch.inference_mode():
            x = self._through(torch.tensor(tokens[shared:]), shared)[-1]
            table = self.head if rows is None else self.head[rows].float()
            logits = linear(rms_norm(x, x.shape, self.last, self.epsilon).to(table.dtype), table).float()
        self._seen = list(tokens)
        return logits

    def _through(self, tokens: torch.Tensor, start: int) -> torch.Tensor:
        """(token, width) of the last layer for tokens that stand from `start` on; their keys and values are kept."""
        end, many = start + len(tokens), self.heads + self.groups
        if end > self._keys.shape[2]:
            self._make_room(end)
        cosine, sine = (table[start:end] for table in self._turns)
        x = self.words[tokens].float()  # in float32 through all layers: what they add is small against the sum
        for number, layer in enumerate(self.layers):
            made = layer.project(self._norm(x, layer.before)).view(len(tokens), -1, 2, self.width // 2)
            turned = (made[:, :many] * cosine).addcmul_(made[:, :many].flip(2), sine).flatten(2)  # (token, head, width / heads)
            self._keys[number, :, start:end] = turned[:, self.heads :].transpose(0, 1)
            self._values[number, :, start:end] = made[:, many:].flatten(2).transpose(0, 1)
            x = x + layer.gather(self._attend(turned[:, : self.heads], number, end))
            gate, up = layer.widen(self._norm(x, layer.between)).chunk(2, 1)
            x = x + layer.narrow(silu(gate) * up)
        return x

    def _attend(self, query: torch.Tensor, number: int, end: int) -> torch.Tensor:
        """(token, heads · width) that the last tokens gather from all up to `end`; the heads of a group share their keys and values."""
        new, kind = len(query), self.type if len(query) > FEW else torch.float32
        query = query.view(new, self.groups, -1, self.width).permute(1, 2, 0, 3).to(kind)  # (group, head of it, token, width)
        keys, values = self._keys[number, :, :end].to(kind), self._values[number, :, :end].to(kind)  # (group, token, width)
        found = torch.empty(new, self.groups, query.shape[1], self.width, dtype=self.type)
        for first in range(0, new, BLOCK):
            block = query[:, :, first : first + BLOCK]
            size = block.shape[2]
            upto = end - new + first + size
            scores = block.flatten(1, 2) @ keys[:, :upto].transpose(1, 2)
            if size > 1:
                scores.view(self.groups, -1, size, upto)[..., upto - size :] += self._later[:size, :size].to(kind)
            gathered = scores.softmax(2) @ values[:, :upto]
            found[first : first + size] = gathered.view(self.groups, -1, size, self.width).permute(2, 0, 1, 3)
        return found.view(new, -1)

    def _norm(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return rms_norm(x, weight.shape, weight, self.epsilon).to(self.type)

    def _make_room(self, tokens: int) -> None:
        """Room for the keys and values of so many tokens, and the tables that go by place."""
        room, held = -(-tokens // ROOM) * ROOM, len(self._seen)
        keys, values = (torch.empty(len(self.layers), self.groups, room, self.width) for _ in range(2))
        keys[:, :, :held], values[:, :, :held] = self._keys[:, :, :held], self._values[:, :, :held]
        self._keys, self._values = keys, values
        angles = torch.outer(torch.arange(room, dtype=torch.float32), self._rates)[:, None, None, :]  # (token, 1, 1, width / 2)
        sine = angles.sin()
        self._turns = angles.cos().to(self.type), torch.cat([-sine, sine], 2).to(self.type)
        self._later = torch.full((BLOCK, BLOCK), -torch.inf).triu(1)  # added to the scores of tokens that come later

    def _layer(self, weights: Mapping[str, torch.Tensor], name: str, matrix: Callable[[torch.Tensor], Linear]) -> _Layer:
        def held(part: str) -> torch.Tensor:
            return weights[f"{name}.{part}.weight"]

        query = held("self_attn.q_proj").float() * self.width**-0.5  # the scale of the attention
        project = torch.cat([query, held("self_attn.k_proj").float(), held("self_attn.v_proj").float()])
        widen = torch.cat([held("mlp.gate_proj"), held("mlp.up_proj")])
        matrices = [matrix(weight.to(self.type)) for weight in (project, held("self_attn.o_proj"), widen, held("mlp.down_proj"))]
        before, between = (held(part).float() for part in ("input_layernorm", "post_attention_layernorm"))
        return _Layer(before, matrices[0], matrices[1], between, matrices[2], matrices[3])


def check(config: Mapping[str, Any]) -> None:
    """ValueError for a configuration of another kind of model than this file computes."""
    rope = config.get("rope_parameters") or {}
    found = (config.get("model_type"), config.get("hidden_act"), rope.get("rope_type"), bool(config.get("attention_bias") or config.get("mlp_bias")))
    if found != ("llama", "silu", "default", False):
        raise ValueError(f"a Llama with silu, plain rotary positions and no biases can be run, got {found}")


def packed(weight: torch.Tensor) -> Linear:
    """Multiplies by a weight that is packed for oneDNN on x86: a token is decoded twice as fast as from the plain matrix."""
    if torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        held = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())
        return lambda x: torch.ops.mkldnn._linear_pointwise(x, held, None, "none", [], "")
    return lambda x: linear(x, weight)
