"""The reader: MiniLM with a small adapter, which gives the tokens of questions and passages by which the best passages are read again.

Its scores order passages that meaning and words have found (MaxSim: Khattab and Zaharia, 2020, SIGIR). The adapter is of low
rank (Hu et al., 2022, ICLR), trained on questions kept with the handbook's pages and on the documentation of Python packages;
`python -m moho.knowledge.reader OUT` trains it again. Where the adapter is absent MiniLM reads as it is.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from moho.errors import DataError
from moho.knowledge.embed import WIDTH, hidden, minilm, weights

WEIGHTS = Path(__file__).parent / "weights" / "reader.safetensors"
CARD = WEIGHTS.with_suffix(".json")
PLACES = ("query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense")  # layers with an adapter


@dataclass(frozen=True)
class Settings:
    """Of the training."""

    rank: int = 16
    layers: int = 3  # of the upper ones, which get an adapter
    steps: int = 260
    batch: int = 20  # questions, each with its passage and one that is easily mistaken for it
    rate: float = 4e-4
    warm: int = 40  # steps until the full rate, which then falls to nothing
    temperature: float = 0.03
    seed: int = 0


def tokens(texts: Sequence[str]) -> list[np.ndarray]:
    """(token, 384) float32 of unit length for each text, without its two marks."""
    rows: list[np.ndarray] = [np.empty((0, WIDTH), np.float32)] * len(texts)
    for chosen, last, mask in hidden(_model(), texts):
        unit = last / last.norm(dim=2, keepdim=True).clamp_min(1e-9)
        for row, number in enumerate(chosen):
            rows[number] = unit[row, 1 : int(mask[row].sum()) - 1].numpy()
    return rows


def match(question: np.ndarray, passage: np.ndarray) -> float:
    """For every token of the question its nearest in the passage, on the average; 0 where either is empty."""
    return float((question @ passage.T).max(axis=1).mean()) if len(question) and len(passage) else 0.0


@cache
def _model() -> Any:
    """MiniLM with the adapter added to its weights."""
    from safetensors.torch import load_file

    from moho.knowledge.minilm import MiniLM

    own = dict(weights())
    if WEIGHTS.exists():
        held = load_file(WEIGHTS)
        for name in sorted({key.rpartition(".")[0] for key in held}):
            if f"{name}.weight" not in own:
                raise DataError("E_FORMAT", f"the reader's weights are of another model: there is no layer {name}.")
            own[f"{name}.weight"] = own[f"{name}.weight"] + held[f"{name}.up"].float() @ held[f"{name}.down"].float()
    return MiniLM(own)


def train(pairs: Sequence[tuple[str, str, int]], settings: Settings, out: Path, *, minutes: float = 30.0) -> dict[str, Any]:
    """Train the adapter on (question, passage, group) and write it with its card; passages of one group are no negatives of each other."""
    import copy

    import torch
    from safetensors.torch import save_file

    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    tokenizer, base = minilm()
    model = copy.deepcopy(base)
    model.requires_grad_(False)
    adapters = {name: _Adapter(layer, settings.rank) for name, layer in model.named_modules() if _adapted(name, layer, settings.layers)}
    for name, adapter in adapters.items():
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, adapter)
    weights = [parameter for adapter in adapters.values() for parameter in (adapter.down, adapter.up)]
    optimiser = torch.optim.AdamW(weights, lr=settings.rate, weight_decay=0.0)
    hard = _mistaken(pairs, rng)
    losses: list[float] = []
    started = time.monotonic()
    order: list[int] = []
    for step in range(settings.steps):
        if time.monotonic() - started > 60 * minutes:
            break
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * min((step + 1) / settings.warm, (settings.steps - step) / (settings.steps - settings.warm))
        if len(order) < settings.batch:
            order = rng.permutation(len(pairs)).tolist()
        chosen, order = order[: settings.batch], order[settings.batch :]
        beside = [hard[i] for i in chosen]
        questions = [pairs[i][0] for i in chosen]
        passages = [pairs[i][1] for i in (*chosen, *beside)]
        groups = np.array([pairs[i][2] for i in (*chosen, *beside)])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            asked, asked_mask = _unit(model, tokenizer, questions)
            found, found_mask = _unit(model, tokenizer, passages)
        near = torch.einsum("qtd,pud->qptu", asked, found)  # (question, passage, its token, its token)
        near = near.masked_fill(~found_mask[None, :, None, :], -1.0).amax(dim=3)
        scores = (near * asked_mask[:, None, :]).sum(2) / asked_mask.sum(1)[:, None]
        same = torch.from_numpy(groups[: len(chosen), None] == groups[None, :])
        same[torch.arange(len(chosen)), torch.arange(len(chosen))] = False
        loss = torch.nn.functional.cross_entropy((scores / settings.temperature).masked_fill(same, -1e4), torch.arange(len(chosen)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        if (step + 1) % 20 == 0:
            spent = time.monotonic() - started
            print(f"step {step + 1}/{settings.steps}, loss {np.mean(losses[-20:]):.3f}, {spent:.0f} s", file=sys.stderr, flush=True)
    out.mkdir(parents=True, exist_ok=True)
    held = {f"{name}.{part}": getattr(adapter, part).detach().half().contiguous() for name, adapter in adapters.items() for part in ("down", "up")}
    save_file(held, out / WEIGHTS.name)
    card: dict[str, Any] = {"base": "all-MiniLM-L6-v2", "settings": asdict(settings), "pairs": len(pairs), "steps": len(losses)}
    card["loss"] = [round(float(np.mean(losses[i : i + 20])), 4) for i in range(0, len(losses), 20)]
    (out / CARD.name).write_text(json.dumps(card, indent=1) + "\n")
    return card


def data() -> list[tuple[str, str, int]]:
    """(question, passage, group): the questions kept with the handbook, and what summary lines of documentation say of what follows."""
    from moho.knowledge import starter
    from moho.knowledge.embed import pieces
    from moho.knowledge.passages import cut
    from moho.knowledge.readers import read

    pairs: list[tuple[str, str, int]] = []
    asked = starter.asked()
    group = 0
    for name, path in starter.pages():
        texts = [" ".join(passage.text.split()) for passage in cut(read(path), pieces)]
        for number, text in enumerate(texts):
            pairs += [(question, text, group + number) for sentence, question in asked.get(name, []) if sentence in text]
        group += len(texts)
    documented = _documented()
    return [*pairs, *((head, body, group + number) for number, (head, body) in enumerate(documented))]


PACKAGES = ("scipy", "sklearn", "obspy", "torch", "networkx", "skimage")  # pandas and simpeg are held out


def _documented() -> list[tuple[str, str]]:
    """(summary line, first part of the rest) of the documentation of functions and classes."""
    import importlib
    import inspect
    import pkgutil
    import re
    import warnings

    found: dict[str, str] = {}
    for package in PACKAGES:
        try:
            root = importlib.import_module(package)
        except ImportError:
            continue
        modules = [root]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for info in list(pkgutil.iter_modules(root.__path__, f"{package}."))[:60]:
                if not info.name.rpartition(".")[2].startswith("_") and "test" not in info.name:
                    try:
                        modules.append(importlib.import_module(info.name))
                    except (ImportError, RuntimeError, AttributeError):
                        continue
        for module in modules:
            for name, held in sorted(vars(module).items()):
                if name.startswith("_") or not (inspect.isclass(held) or inspect.isroutine(held)):
                    continue
                head, _, body = (inspect.getdoc(held) or "").partition("\n")
                body = " ".join(re.sub(r">>>.*", "", body).split()[:130])
                if len(head.split()) >= 4 and len(body.split()) >= 40:
                    found.setdefault(head.strip(), body)
    return sorted(found.items())


def _mistaken(pairs: Sequence[tuple[str, str, int]], rng: np.random.Generator) -> list[int]:
    """For each pair another whose passage is among the nearest to its question and not its own."""
    from moho.knowledge.embed import embed

    texts = sorted({text for _, text, _ in pairs})
    place = {text: i for i, text in enumerate(texts)}
    first = {text: i for i, (_, text, _) in reversed(list(enumerate(pairs)))}
    near = embed([question for question, _, _ in pairs]) @ embed(texts).T
    chosen = []
    for i, (_, text, _) in enumerate(pairs):
        best = [j for j in np.argsort(-near[i])[:12] if j != place[text]]
        chosen.append(first[texts[int(rng.choice(best))]])
    return chosen


def _adapted(name: str, layer: Any, layers: int) -> bool:
    import torch

    upper = tuple(f"encoder.layer.{number}." for number in range(6 - layers, 6))
    return isinstance(layer, torch.nn.Linear) and name.startswith(upper) and name.endswith(PLACES)


def _unit(model: Any, tokenizer: Any, texts: Sequence[str]) -> tuple[Any, Any]:
    """(text, token, 384) unit vectors and which tokens count, without the two marks."""
    import torch

    read = tokenizer(list(texts), padding=True, truncation=True, max_length=192, return_tensors="pt")
    last = model(**read).last_hidden_state.float()
    mask = read["attention_mask"].bool()
    lengths = mask.sum(1)
    mask = mask.clone()
    mask[:, 0] = False
    mask[torch.arange(len(texts)), lengths - 1] = False
    return torch.nn.functional.normalize(last, dim=2), mask


def _Adapter(layer: Any, rank: int) -> Any:  # a class, made where torch is imported
    """A linear layer with a low-rank term beside its weights."""
    import torch

    class Adapter(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer
            self.down = torch.nn.Parameter(torch.randn(rank, layer.in_features) / layer.in_features**0.5)
            self.up = torch.nn.Parameter(torch.zeros(layer.out_features, rank))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) + x @ self.down.T.to(x.dtype) @ self.up.T.to(x.dtype)

    return Adapter()


if __name__ == "__main__":
    made = train(data(), Settings(), Path(sys.argv[1]))
    print(json.dumps(made))
