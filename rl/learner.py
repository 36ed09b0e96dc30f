"""What learns: a frozen model with a LoRA and a value head, and how it looks at the turns of a batch.

Turns of an episode share most of their prompts. They are laid out as one tree, each token attending to its ancestors, so that what is
shared is computed once and nothing is padded. Layers below the first adapted one never change: what they make of a batch is computed once.
Log-probabilities are over what the grammar allowed. What is done with them is in `moho.rl.ppo`.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from moho import store
from moho.agent.embedded import Checkpoint, Reader, add
from moho.errors import DataError
from moho.knowledge.minilm import native
from moho.rl.adapter import lora, short
from moho.rl.policy import Turn, common, unpack

if TYPE_CHECKING:
    from moho.rl.ppo import Settings

NEVER = -1e30  # logit of a token that the grammar does not allow: finite, so that 0 times its logarithm is 0


@dataclass(frozen=True)
class Row:
    """Turns laid out as a tree for one forward pass, and those own tokens of a batch that are in it."""

    positions: Any  # (1, node): depth in the tree
    mask: Any  # (1, 1, node, node), added to the scores: 0 for a node and its ancestors, minus infinity else
    hidden: Any  # (1, node, width): below the first adapted layer
    states: Any  # (own,): the node that each own token was chosen after
    choices: Any  # (own, token): the tokens that were allowed, filled up with -1
    actions: Any  # (own,): which of these was chosen
    span: slice  # where its own tokens are in the batch


class Learner:
    """A frozen model with a LoRA that learns, a value head on its last hidden states, and their optimiser."""

    def __init__(self, model: Any, settings: Settings) -> None:
        import torch
        from peft import get_peft_model

        self.settings = settings
        self.model = get_peft_model(model, lora(settings)).eval()
        self.lower, self.upper = halves(model.model, settings.layers[0])
        self.critic = torch.nn.Linear(model.config.hidden_size, 1).to(model.device)
        for parameter in self.critic.parameters():
            torch.nn.init.zeros_(parameter)
        self.matrices = {short(name): parameter for name, parameter in self.model.named_parameters() if parameter.requires_grad}
        self.trained = self.matrices | {f"critic.{name}": parameter for name, parameter in self.critic.named_parameters()}
        groups = [
            {"params": list(self.matrices.values()), "lr": settings.rate},
            {"params": list(self.critic.parameters()), "lr": settings.value_rate},
        ]
        self.optimiser = torch.optim.AdamW(groups, weight_decay=0.0)
        self.remember()

    def look(self, row: Row) -> tuple[Any, Any]:
        """At each own token, the log-probabilities of its choices, (own, token), and the value, (own,)."""
        import torch

        from moho.rl.branches import among

        out = self.upper(inputs_embeds=row.hidden, attention_mask=row.mask, position_ids=row.positions, use_cache=False)
        hidden = out.last_hidden_state[0, row.states]  # (own, width)
        logits = among(self.model.get_base_model().lm_head.weight, hidden, row.choices) / self.settings.temperature
        logits = logits.masked_fill(row.choices < 0, NEVER)
        plain = torch.nn.functional.rms_norm(hidden.float(), hidden.shape[-1:])
        return logits.log_softmax(-1), self.critic(plain)[:, 0]

    def reader(self) -> Reader:
        """The policy as it is now, for sampling: as the embedded model is run where that is in bf16 on a processor, else as transformers does."""
        import torch

        from moho.agent.llama import Llama

        base = self.model.get_base_model()
        if self.model.device.type != "cpu" or base.dtype != torch.bfloat16 or not native():
            return Checkpoint(self.model)
        weights = {short(name).replace(".base_layer", ""): value.detach() for name, value in base.state_dict().items() if ".lora_" not in name}
        weights |= {name: weights[name].clone() for name in (f"{one.rpartition('.')[0]}.weight" for one in self.matrices)}
        add(weights, self.matrices, self.settings.alpha / self.settings.rank)
        return Llama(weights, base.config.to_dict())

    def rate(self, share: float) -> None:
        """Set the learning rates to a share of those of the beginning."""
        for group, rate in zip(self.optimiser.param_groups, (self.settings.rate, self.settings.value_rate), strict=True):
            group["lr"] = rate * share

    def remember(self) -> None:
        """Take the matrices as they are now as good ones."""
        self.good = {name: parameter.detach().clone() for name, parameter in self.matrices.items()}

    def save(self, path: Path, state: Mapping[str, Any]) -> None:
        """Everything in one file: weights, moments, good weights, and what else the run carries as JSON in its header."""
        from safetensors.torch import save

        tensors = {f"weight:{name}": parameter.detach() for name, parameter in self.trained.items()}
        tensors |= {f"{key}:{name}": value for name, parameter in self.trained.items() for key, value in self.optimiser.state[parameter].items()}
        tensors |= {f"good:{name}": value for name, value in self.good.items()}
        header = {"state": json.dumps(state), "settings": json.dumps(asdict(self.settings))}
        store.atomic_write(path, save({key: value.cpu().contiguous() for key, value in tensors.items()}, header), replace=True)

    def load(self, path: Path) -> dict[str, Any]:
        """Back to what `save` wrote; what else the run carried. DataError when it was written by a run with other settings."""
        import torch
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt", device=str(self.model.device)) as file:
                header, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise DataError("E_CHANGED", f"{path.name} is damaged: {error}") from error
        free = {"minutes": 0, "threads": 0}
        if json.loads(header["settings"]) | free != json.loads(json.dumps(asdict(self.settings))) | free:
            raise DataError("E_CHANGED", f"{path.parent.name} holds a run with other settings", "Name another folder, or remove its checkpoint.")
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(tensors[f"weight:{name}"])
        for key, value in tensors.items():
            kind, _, name = key.partition(":")
            if kind not in ("weight", "good"):
                self.optimiser.state[self.trained[name]][kind] = value.cpu() if kind == "step" else value
        self.good = {name: tensors[f"good:{name}"] for name in self.matrices}
        carried: dict[str, Any] = json.loads(header["state"])
        return carried


def halves(core: Any, first: int) -> tuple[Any, Any]:
    """A decoder as the layers below `first`, whose output is not normalised, and those from there on; the layers are shared, not copied."""
    import torch

    lower, upper = copy.copy(core), copy.copy(core)
    for half, layers, norm in ((lower, core.layers[:first], torch.nn.Identity()), (upper, core.layers[first:], core.norm)):
        half._modules = {**core._modules, "layers": layers, "norm": norm}
    return lower, upper


def tree(sequences: Sequence[Sequence[int]]) -> tuple[list[int], list[int], NDArray[np.bool_], list[list[int]]]:
    """Sequences with their common beginnings written once: token and depth of each node, whom it sees, and the nodes of each sequence.

    >>> tokens, depth, sees, paths = tree([[5, 6, 7], [5, 6, 8]])
    >>> tokens, depth, paths, sees[3].tolist()
    ([5, 6, 7, 8], [0, 1, 2, 2], [[0, 1, 2], [0, 1, 3]], [True, True, False, True])
    """
    tokens: list[int] = []
    parents: list[int] = []
    depth: list[int] = []
    paths: list[list[int]] = []
    children: dict[tuple[int, int], int] = {}
    for sequence in sequences:
        node = -1
        path: list[int] = []
        for token in sequence:
            following = children.setdefault((node, token), len(tokens))
            if following == len(tokens):
                tokens.append(token)
                parents.append(node)
                depth.append(len(path))
            node = following
            path.append(node)
        paths.append(path)
    sees = np.eye(len(tokens), dtype=bool)
    for node, parent in enumerate(parents):
        if parent >= 0:
            sees[node] |= sees[parent]
    return tokens, depth, sees, paths


def lay_out(learner: Learner, turns: Sequence[Turn], most: int) -> list[Row]:
    """Rows of about `most` nodes, the turns in their order. Of a reply nothing is needed from its last own token on."""
    groups: list[list[Turn]] = []
    size = 0
    before: list[int] = []
    for turn in turns:
        ids = [*turn.prompt, *turn.reply[: turn.own[-1]]]
        new = len(ids) - common(before, ids)
        if not groups or size + new > most:
            groups.append([])
            size, new = 0, len(ids)
        groups[-1].append(turn)
        size, before = size + new, ids
    rows: list[Row] = []
    begin = 0
    for group in groups:
        rows.append(_row(learner, group, begin))
        begin = rows[-1].span.stop
    return rows


def _row(learner: Learner, turns: Sequence[Turn], begin: int) -> Row:
    import torch

    from moho.rl.branches import padded

    tokens, depth, sees, paths = tree([[*turn.prompt, *turn.reply[: turn.own[-1]]] for turn in turns])
    model = learner.model.get_base_model()
    size = model.config.vocab_size
    own = [(turn, path, i) for turn, path in zip(turns, paths, strict=True) for i in turn.own]
    sets = [np.arange(size) if words is None else np.flatnonzero(unpack(words, size)) for words in (turn.allowed[i] for turn, _, i in own)]
    choices = padded([some.tolist() for some in sets])
    taken = torch.tensor([turn.reply[i] for turn, _, i in own])
    positions = torch.tensor([depth], device=model.device)
    mask = torch.zeros(sees.shape, dtype=model.dtype).masked_fill(~torch.from_numpy(sees), -math.inf)[None, None].to(model.device)
    with torch.no_grad():
        below = learner.lower(input_ids=torch.tensor([tokens], device=model.device), attention_mask=mask, position_ids=positions, use_cache=False)
    return Row(
        positions=positions,
        mask=mask,
        hidden=below.last_hidden_state,
        states=torch.tensor([path[len(turn.prompt) + i - 1] for turn, path, i in own], device=model.device),
        choices=choices.to(model.device),
        actions=(choices == taken[:, None]).int().argmax(1).to(model.device),
        span=slice(begin, begin + len(own)),
    )
