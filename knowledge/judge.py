"""The judge: whether a sentence answers a question, read together by the upper half of MiniLM with a small adapter.

The lower half reads the question by itself and the sentence with what stands around it (its page's title and the sentence before);
the upper half reads both in one sequence (a cross-encoder whose halves are parted: Cao et al., 2020, ACL), so that what the lower half
makes of a sentence is made once. What is judged is the mean of the question's and of the sentence's tokens in the last layer, their
products and differences, and the nearest tokens. The judge orders quotations and says when nothing answers. What it
was trained on is in `moho.knowledge.examples`; `moho train judge` trains it again.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from moho.errors import DataError
from moho.knowledge.embed import WIDTH, minilm, weights
from moho.knowledge.reader import _adapted, _Adapter

WEIGHTS = Path(__file__).parent / "weights" / "judge.safetensors"
CARD = WEIGHTS.with_suffix(".json")
ASKED, SAID, AROUND = 48, 72, 28  # word pieces read of the question, of the sentence, and of the title with the sentence before
JOINT = 3  # upper layers that read both, which get the adapter
HEAD = 3 * WIDTH + 1  # products, differences, the mark at the front, nearest tokens


@dataclass(frozen=True)
class Line:
    """A sentence with what helps to understand it."""

    text: str
    title: str = ""
    before: str = ""  # the sentence before it in its passage


@dataclass(frozen=True)
class Settings:
    """Of the training."""

    rank: int = 16
    questions: int = 8  # a step, each with all its sentences
    rounds: float = 2.0  # how often each question is seen
    rate: float = 6e-4
    warm: int = 60  # steps until the full rate, which then falls to nothing
    right: float = 3.0  # weight of a sentence that answers
    mean: int = 120  # last steps over which the weights are averaged, every so many
    every: int = 40
    seed: int = 0


def judged(question: str, lines: Sequence[Line], batch: int = 16) -> np.ndarray:
    """How well each line answers, as log odds (not calibrated); zeros where the judge's weights are absent."""
    import torch

    values = np.zeros(len(lines), np.float32)
    if not len(lines) or not WEIGHTS.exists():
        return values
    model, side, weight, bias = _model()
    order = sorted(range(len(lines)), key=lambda i: len(lines[i].text))
    with torch.inference_mode():
        asked = _lower(model, [_asked(question)])[0]
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            said = _lower(model, [_said(lines[i]) for i in chosen])
            seen = _seen(lambda x, lengths: model.through(x, lengths, slice(-JOINT, None)), side, [(asked, one) for one in said])
            values[chosen] = (seen @ weight + bias).numpy()
    return values


@cache
def _model() -> tuple[Any, Any, Any, Any]:
    """MiniLM with the adapter added to its weights, the mark of the question's side, and the last layer of the judge."""
    from safetensors.torch import load_file

    from moho.knowledge.minilm import MiniLM

    own, held = dict(weights()), load_file(WEIGHTS)
    side, weight, bias = (held.pop(name).float() for name in ("side", "head.weight", "head.bias"))
    for name in sorted({key.rpartition(".")[0] for key in held}):
        if f"{name}.weight" not in own:
            raise DataError("E_FORMAT", f"the judge's weights are of another model: there is no layer {name}.")
        own[f"{name}.weight"] = own[f"{name}.weight"] + held[f"{name}.up"].float() @ held[f"{name}.down"].float()
    return MiniLM(own), side, weight, bias


_Text = tuple[list[int], list[int]]  # word pieces and their kinds: 1 of the question, 2 of the sentence, 3 marks and what stands around
_Half = tuple[Any, list[int]]  # (token, 384) of the lower half, and the kinds


def _asked(question: str) -> _Text:
    tokenizer = minilm()[0]
    ids = tokenizer(question, add_special_tokens=False, truncation=True, max_length=ASKED)["input_ids"]
    return [tokenizer.cls_token_id, *ids, tokenizer.sep_token_id], [3, *[1] * len(ids), 3]


def _said(line: Line) -> _Text:
    tokenizer = minilm()[0]
    ids = tokenizer(line.text, add_special_tokens=False, truncation=True, max_length=SAID)["input_ids"]
    around = tokenizer(f"{line.title}. {line.before}", add_special_tokens=False, truncation=True, max_length=AROUND)["input_ids"]
    end = tokenizer.sep_token_id
    return [tokenizer.cls_token_id, *ids, end, *around, end], [3, *[2] * len(ids), 3, *[3] * len(around), 3]


def _lower(model: Any, texts: Sequence[_Text]) -> list[_Half]:
    """Each text as the layers below the joint ones see it."""
    import torch

    lengths = torch.tensor([len(ids) for ids, _ in texts])
    longest = int(lengths.max())
    ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in texts])
    hidden = model.through(model.first(ids), lengths, slice(-JOINT))
    return [(hidden[i, : len(kinds)], kinds) for i, (_, kinds) in enumerate(texts)]


def _seen(upper: Callable[[Any, Any], Any], side: Any, pairs: Sequence[tuple[_Half, _Half]]) -> Any:
    """(pair, HEAD) float32: what the last of the `upper` layers makes of each question with its sentence."""
    import torch

    rows = [torch.cat([asked + side.to(asked.dtype), said]) for (asked, _), (said, _) in pairs]
    hidden = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    kinds = torch.zeros(hidden.shape[:2], dtype=torch.long)
    for i, ((_, asked), (_, said)) in enumerate(pairs):
        kinds[i, : len(asked) + len(said)] = torch.tensor(asked + said)
    last = upper(hidden, torch.tensor([len(row) for row in rows])).float()
    asked_, said_ = (kinds == 1)[..., None], (kinds == 2)[..., None]  # (pair, token, 1)
    question, sentence = (torch.nn.functional.normalize((last * part).sum(1), dim=1) for part in (asked_, said_))
    unit = torch.nn.functional.normalize(last, dim=2)
    near = (unit @ unit.transpose(1, 2)).masked_fill(~said_.transpose(1, 2), -1.0).amax(2, keepdim=True)  # (pair, token, 1)
    fit = (near * asked_).sum(1) / asked_.sum(1).clamp_min(1)
    return torch.cat([len(side) ** 0.5 * question * sentence, (question - sentence).abs(), unit[:, 0], fit], dim=1)


Example = tuple[str, Sequence[tuple[Line, bool]]]  # a question and sentences, each with whether it answers


def train(examples: Sequence[Example], settings: Settings, out: Path, *, minutes: float = 45.0) -> dict[str, Any]:
    """Train the adapter and the last layer on the examples and write them with their card."""
    import copy

    import torch
    from safetensors.torch import save_file
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

    from moho.knowledge.minilm import MiniLM

    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    model = copy.deepcopy(minilm()[1])
    model.requires_grad_(False)
    adapters = {name: _Adapter(layer, settings.rank) for name, layer in model.named_modules() if _adapted(name, layer, JOINT)}
    for name, adapter in adapters.items():
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, adapter)
    trained = [parameter for adapter in adapters.values() for parameter in (adapter.down, adapter.up)]
    side, weight, bias = (torch.nn.Parameter(one) for one in (torch.zeros(WIDTH), *_first()))
    groups: list[dict[str, Any]] = [{"params": trained, "rate": settings.rate}, {"params": [side, weight, bias], "rate": 5 * settings.rate}]
    optimiser = torch.optim.AdamW(groups, lr=settings.rate, weight_decay=0.01)
    lines = sorted({line for _, given in examples for line, _ in given}, key=lambda line: len(line.text))
    lower = MiniLM(weights())  # of which nothing is trained: read once
    with torch.no_grad():
        parts = [_lower(lower, [_said(line) for line in lines[i : i + 32]]) for i in range(0, len(lines), 32)]
        said = dict(zip(lines, (half for part in parts for half in part), strict=True))
        asked = {question: _lower(lower, [_asked(question)])[0] for question, _ in examples}
    steps = int(settings.rounds * len(examples) / settings.questions)
    losses: list[float] = []
    latest: list[dict[str, Any]] = []  # weights
    order: list[int] = []
    started, used = time.monotonic(), time.process_time()

    def upper(x: Any, lengths: Any) -> Any:
        closed = torch.zeros(x.shape[:2], dtype=x.dtype).masked_fill(torch.arange(x.shape[1]) >= lengths[:, None], torch.finfo(x.dtype).min)
        for layer in model.encoder.layer[-JOINT:]:
            x = layer(x, closed[:, None, None, :])
        return x

    def keep() -> dict[str, Any]:
        out.mkdir(parents=True, exist_ok=True)
        now = {f"{name}.{part}": getattr(adapter, part) for name, adapter in adapters.items() for part in ("down", "up")}
        now |= {"side": side, "head.weight": weight, "head.bias": bias}
        latest.append({name: value.detach().clone() for name, value in now.items()})
        del latest[: -max(1, settings.mean // settings.every)]
        save_file({name: torch.stack([one[name] for one in latest]).mean(0).half().contiguous() for name in now}, out / WEIGHTS.name)
        card: dict[str, Any] = {"base": "all-MiniLM-L6-v2", "settings": asdict(settings), "questions": len(examples), "steps": len(losses)}
        card |= {"pairs": sum(len(lines) for _, lines in examples), "cpu_seconds": round(time.process_time() - used)}
        card["loss"] = [round(float(np.mean(losses[i : i + 40])), 4) for i in range(0, len(losses), settings.every)]
        (out / CARD.name).write_text(json.dumps(card, indent=1) + "\n")
        return card

    for step in range(steps):
        if time.monotonic() - started > 60 * minutes:
            break
        for group in optimiser.param_groups:
            group["lr"] = group["rate"] * min((step + 1) / settings.warm, (steps - step) / max(1, steps - settings.warm))
        if len(order) < settings.questions:
            order = rng.permutation(len(examples)).tolist()
        chosen, order = order[: settings.questions], order[settings.questions :]
        pairs = [(examples[i][0], line) for i in chosen for line, _ in examples[i][1]]
        right = torch.tensor([float(answers) for i in chosen for _, answers in examples[i][1]])
        scores = torch.zeros(len(pairs))
        by_length = sorted(range(len(pairs)), key=lambda i: len(asked[pairs[i][0]][1]) + len(said[pairs[i][1]][1]))
        for start in range(0, len(pairs), 32):  # texts of like length together
            part = by_length[start : start + 32]
            with torch.autocast("cpu", dtype=torch.bfloat16):
                seen = _seen(upper, side, [(asked[pairs[i][0]], said[pairs[i][1]]) for i in part])
            scores = scores.index_put((torch.tensor(part),), seen.float() @ weight + bias)
        loss = binary_cross_entropy_with_logits(scores, right, pos_weight=torch.tensor(settings.right))
        at = 0
        for i in chosen:  # the sentence that answers above the others of its question
            many = len(examples[i][1])
            if right[at : at + many].any():
                loss = loss + cross_entropy(scores[None, at : at + many], right[None, at : at + many].argmax(1)) / len(chosen)
            at += many
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*trained, side, weight, bias], 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        if (step + 1) % settings.every == 0:
            print(
                f"step {step + 1}/{steps}, loss {np.mean(losses[-settings.every :]):.3f}, {time.process_time() - used:.0f} s",
                file=sys.stderr,
                flush=True,
            )
            keep()
    return keep() if not losses or len(losses) % settings.every else json.loads((out / CARD.name).read_text())


def _first() -> tuple[Any, Any]:
    """The last layer before training: the cosine of question and sentence and their nearest tokens."""
    import torch

    weight = torch.zeros(HEAD)
    weight[:WIDTH] = 8 / WIDTH**0.5
    weight[-1] = 4.0
    return weight, torch.tensor(-6.0)
