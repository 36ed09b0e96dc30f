"""A judge of replies: the embedded model with its adapter, a LoRA and a scalar head, trained on choices by trl's RewardTrainer.

The loss is that of Bradley and Terry (1952): -log sigmoid(score of the better - score of the worse). A score is the model's own log-probability
of a reply under its grammar plus the head's word, so that it begins with what the policy knows. A choice is laid out as one sequence,
the prompt and then each reply as a branch of its own that sees the prompt but no other branch, so that the prompt is computed once.
`examine` tells how far the scores can be trusted: accuracy on made choices and on those of people apart, calibration, and whether length or
form alone moves a score.
"""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from moho import store
from moho.agent import decision, models
from moho.agent.embedded import _quiet, add, compiler, merge, unpack
from moho.errors import DataError
from moho.project import versions
from moho.rl.adapter import arguments, lora
from moho.rl.contrasts import HUMAN, MADE, Choice
from moho.rl.sft import options

WEIGHTS, CARD = "reward.safetensors", "reward.json"
SHOWN = ("chosen_ids", "rejected_ids")  # columns that are there for trl to look at
MOST = 4.0  # times that the weight of a pair is raised
BINS = 10  # of a confidence, for the calibration error


@dataclass(frozen=True)
class Settings:
    """A training run."""

    choices: int = 1600  # made ones to learn from
    ways: int = 3  # wrong replies of each, at most
    held_out: int = 200  # made ones to measure with, of phrasings and a seed that are not learned from
    seed: int = 7
    rank: int = 16  # of the LoRA
    alpha: int = 32
    layers: tuple[int, int] = (16, 30)  # first and one past the last layer that is adapted
    rate: float = 5e-4  # peak of the learning rate
    batch: int = 16  # choices an update
    epochs: int = 1
    warmup: float = 0.05  # share of the steps
    minutes: float = 40.0  # wall clock after which training stops early, at the state it has then
    threads: int = 1


PRESETS = {
    "tiny": Settings(),
    "micro": Settings(choices=64, held_out=30, minutes=2.0),
    "base": Settings(choices=20000, held_out=1000, batch=32, minutes=60.0),
}


class Judge:
    """A loaded reward model."""

    def __init__(self, tokenizer: Any, model: Any, temperature: float = 1.0) -> None:
        self.tokenizer, self.model, self.temperature = tokenizer, model, temperature
        self.compiler = compiler(tokenizer, model.config.vocab_size)

    def scores(self, situation: decision.Situation, replies: Sequence[str]) -> list[float]:
        """The score of each reply to a situation: differences count, in logits. ValueError for a reply that its grammar does not allow."""
        import torch

        with torch.inference_mode():
            batch = collate([laid_out(self.tokenizer, self.compiler, situation, replies)])
            found = score(self.model, {key: value.to(self.model.device) for key, value in batch.items()})
        return [float(value) for value in found]

    def preferred(self, situation: decision.Situation, one: str, other: str) -> float:
        """The probability that `one` is the better reply."""
        a, b = self.scores(situation, [one, other])
        return float(_sigmoid((a - b) / self.temperature))


def laid_out(tokenizer: Any, compiler: Any, situation: decision.Situation, replies: Sequence[str]) -> dict[str, Any]:
    """One sequence of a prompt and its replies as branches, with what `score` needs of each.

    `ends`: where each reply ends; `owners`, `places`, `allowed`, `taken`: of each choice that the grammar left, the reply it is in, the token it was
    made after, the tokens it was made from, and which of them was.
    """
    text = tokenizer.apply_chat_template(decision.prompt(situation), tokenize=False, add_generation_prompt=True)
    prompt = tokenizer.encode(text, add_special_tokens=False)
    row: dict[str, Any] = {"input_ids": list(prompt), "position_ids": list(range(len(prompt))), "branch": [0] * len(prompt)}
    row |= {"ends": [], "owners": [], "places": [], "allowed": [], "taken": []}
    for number, line in enumerate(replies):
        reply = [*tokenizer.encode(line, add_special_tokens=False), tokenizer.eos_token_id]
        start = len(row["input_ids"])
        for at, (token, allowed) in enumerate(zip(reply, options(compiler, situation, reply), strict=True)):
            if len(allowed) > 1:
                row["owners"].append(number)
                row["places"].append(start + at - 1 if at else len(prompt) - 1)
                row["allowed"].append(allowed)
                row["taken"].append(allowed.index(token))
        row["input_ids"] += reply
        row["position_ids"] += range(len(prompt), len(prompt) + len(reply))
        row["branch"] += [number + 1] * len(reply)
        row["ends"].append(len(row["input_ids"]) - 1)
    return row


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The tensors of one sequence: a step takes one at a time, and an update gathers the gradients of several."""
    import torch

    from moho.rl.branches import padded

    (row,) = rows
    return {key: torch.tensor(row[key]) for key in row.keys() - {"allowed", *SHOWN}} | {"allowed": padded(row["allowed"])}


def score(model: Any, row: dict[str, Any]) -> Any:
    """(reply,) scores of a sequence; `model` is a sequence classifier of one label, adapted or not.

    The logarithm of the probability of the reply under its grammar, plus the head's word on its last token. The first is what a policy's own
    preference is (Rafailov et al., 2023, arXiv:2305.18290); models whose words are not tied to their output have the head alone.
    """
    import torch

    from moho.rl.branches import among, branches

    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    where = branches(row["branch"].tolist(), row["branch"].device)
    ids, positions = row["input_ids"][None], row["position_ids"][None]
    hidden = core.model(input_ids=ids, position_ids=positions, branches=where, use_cache=False).last_hidden_state[0]  # (token, width)
    found = core.score(hidden[row["ends"]].float())[:, 0]
    if not core.config.tie_word_embeddings or not len(row["owners"]):
        return found
    logits = among(core.model.embed_tokens.weight, hidden[row["places"]], row["allowed"]).masked_fill(row["allowed"] < 0, -torch.inf)
    chosen = logits.log_softmax(1).gather(1, row["taken"][:, None])[:, 0]
    return found.index_add(0, row["owners"], chosen)


def train(
    choices: Sequence[Choice], settings: Settings, out: Path, *, held_out: Sequence[Choice] = (), base: Path | None = None, start: Path | None = None
) -> dict[str, Any]:
    """Train a judge on choices into the folder `out`; its card, with what `examine` says of `held_out`.

    `base`: folder of a model and its tokenizer, the embedded one by default; `start`: folder of an adapter merged into it first.
    """
    import torch
    from datasets import Dataset
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file
    from transformers import PrinterCallback, TrainerCallback
    from trl import RewardConfig, RewardTrainer

    if len(choices) < settings.batch:
        raise DataError("E_DATA", f"a judge needs at least {settings.batch} choices to learn from, there are {len(choices)}")
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    began = time.monotonic()
    tokenizer, model = _loaded(base or unpack(), start)
    grammars = compiler(tokenizer, model.config.vocab_size)
    rows = []
    for choice, weight in zip(choices, balanced(choices), strict=True):
        row = laid_out(tokenizer, grammars, choice.situation, [choice.better, *(reply for _, reply in choice.worse)])
        ids = row["input_ids"]
        rows.append(row | dict(zip(SHOWN, (ids[: row["ends"][0] + 1], ids[: row["branch"].index(1)]), strict=True)) | {"weights": weight})

    class Branched(RewardTrainer):
        """Scores all branches of a choice at once."""

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
            found = score(model, inputs)
            better, worse = found[:1], found[1:]
            loss = -(inputs["weights"] * torch.nn.functional.logsigmoid(better - worse)).sum()
            self._metrics["train"]["accuracy"].append(float((better > worse).float().mean()))
            return (loss, {"logits": found}) if return_outputs else loss

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, pace)
            return self.lr_scheduler

    def pace(step: int) -> float:
        """Share of the peak rate: a warm-up, then a cosine over the steps or over the minutes, whichever is further on."""
        far = max(step / steps, (time.monotonic() - began) / (60 * settings.minutes))
        return min(1.0, (step + 1) / max(1.0, settings.warmup * steps)) * 0.5 * (1 + math.cos(math.pi * min(1.0, far)))

    class Deadline(TrainerCallback):
        """Lets training end at the wall clock and prints a line now and then."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                words = f"loss {float(logs['loss']):.4f} accuracy {float(logs.get('accuracy', 0)):.3f}"
                print(f"step {state.global_step}/{state.max_steps} {words} {time.monotonic() - began:.0f} s", flush=True)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if time.monotonic() - began > settings.minutes * 60:
                control.should_training_stop = True

    steps = max(1, math.ceil(len(rows) / settings.batch) * settings.epochs)
    config = RewardConfig(
        **arguments(settings, out),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=settings.batch,
        num_train_epochs=settings.epochs,
        logging_steps=max(1, min(10, steps // 4)),
        save_strategy="no",
        max_length=None,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        max_grad_norm=1.0,
    )
    trainer = Branched(
        model=model,
        args=config,
        data_collator=collate,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=lora(settings, "SEQ_CLS", modules_to_save=["score"]),
        callbacks=[Deadline()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    tensors = {
        key.removeprefix("base_model.model.").removesuffix(".weight"): value.float().contiguous().cpu()
        for key, value in get_peft_model_state_dict(trainer.model).items()
    }
    if not all(torch.isfinite(value).all() for value in tensors.values()):
        raise DataError("E_DATA", "training diverged: weights are not finite", "Try a smaller rate.")
    report = examine(Judge(tokenizer, trainer.model.eval()), held_out) if held_out else {}
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    made = {
        "what": "reward model: LoRA and scalar head",
        "base": models.SOURCE if base is None else base.name,
        "start": _digest(start / models.WEIGHTS) if start else "",
        "tokenizer": _digest((base or unpack()) / "tokenizer.json"),
        "rank": settings.rank,
        "alpha": settings.alpha,
        "settings": asdict(settings),
        "data": _counted(choices),
        "steps": trainer.state.global_step,
        "loss_first_last": [losses[0], losses[-1]] if losses else [],
        "minutes": round((time.monotonic() - began) / 60, 2),
        "temperature": report.get("temperature", 1.0),
        "held_out": report,
        "versions": versions(),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        save_file(tensors, out / WEIGHTS)
    except OSError as error:
        raise store.disk_error(error, out / WEIGHTS) from error
    made["sha256"] = _digest(out / WEIGHTS)
    store.atomic_write(out / CARD, json.dumps(made, indent=1).encode(), replace=True)
    return made


def balanced(choices: Sequence[Choice]) -> list[list[float]]:
    """The weight of each pair: each choice counts once, and pairs whose better side is the longer one as much as those where it is shorter.

    Most wrong replies are shorter than the right one; without this a judge learns first of all that long is right.
    """
    lengths = [[np.sign(len(choice.better) - len(reply)) for _, reply in choice.worse] for choice in choices]
    total = {sign: sum(signs.count(sign) / len(signs) for signs in lengths) for sign in (-1, 0, 1)}
    even = (total[-1] + total[1]) / 2
    share = {sign: min(MOST, even / total[sign]) if sign and total[sign] else 1.0 for sign in total}
    return [[float(share[int(sign)]) / len(signs) for sign in signs] for signs in lengths]


def load(folder: Path, *, base: Path | None = None, start: Path | None = None) -> Judge:
    """The judge in a folder; DataError where its weights, its base's tokenizer or the adapter it was trained on are others."""
    import torch
    from safetensors.torch import load_file

    if not (folder / CARD).exists():
        raise DataError("E_NOT_FOUND", f"no reward model in {folder}", "`moho train reward` makes one.")
    card = json.loads((folder / CARD).read_bytes())
    if _digest(folder / WEIGHTS) != card["sha256"]:
        raise DataError("E_CHANGED", f"the weights in {folder.name} are not those of their card")
    place = base or unpack()
    if _digest(place / "tokenizer.json") != card["tokenizer"]:
        raise DataError("E_UNSUPPORTED", f"the reward model in {folder.name} was made with another tokenizer")
    if card["start"] and start is None:
        start = next((one.folder for one in models.adapters() if one.sha256 == card["start"]), None)
    if card["start"] != (_digest(start / models.WEIGHTS) if start else ""):
        raise DataError("E_UNSUPPORTED", f"the reward model in {folder.name} was trained on another adapter ({card['start'][:12] or 'none'})")
    tokenizer, model = _loaded(place, start)
    tensors = load_file(folder / WEIGHTS)
    named = dict(model.named_parameters())
    add(named, tensors, card["alpha"] / card["rank"])
    with torch.no_grad():
        named["score.weight"].copy_(tensors["score"])
    return Judge(tokenizer, model, float(card["temperature"]))


def examine(judge: Any, choices: Sequence[Choice]) -> dict[str, Any]:
    """Accuracy by source and way of being wrong, calibration, and what length and form do to scores; `judge` has `scores`.

    The temperature is fitted on every other choice, the calibration errors are of the rest.
    """
    pairs: list[tuple[str, str, float, int, dict[str, int]]] = []  # source, way, difference of scores, of characters, of form
    owners: list[int] = []
    for number, choice in enumerate(choices):
        first, *others = judge.scores(choice.situation, [choice.better, *(reply for _, reply in choice.worse)])
        for (way, reply), other in zip(choice.worse, others, strict=True):
            form = {name: marks(choice.better) - marks(reply) for name, marks in FORMS.items()}
            pairs.append((choice.source, way, first - other, len(choice.better) - len(reply), form))
            owners.append(number)
    differences = np.array([pair[2] for pair in pairs])
    lengths = np.array([pair[3] for pair in pairs], dtype=float)
    won = np.array(differences > 0, dtype=bool)
    groups: dict[str, list[int]] = {MADE: [], HUMAN: []}
    for place, (source, way, *_) in enumerate(pairs):
        groups[source].append(place)
        if source == MADE:
            groups.setdefault(f"made: {way}", []).append(place)
    for name, chosen in (("better is longer", lengths > 0), ("better is shorter", lengths < 0), ("as long", lengths == 0)):
        groups[name] = list(np.flatnonzero(chosen))
    fitted = np.array([owner % 2 == 0 for owner in owners], dtype=bool)
    heat = temperature(differences[fitted]) if fitted.any() else 1.0
    return {
        "accuracy": {name: {"pairs": len(places), "share": _share(won[places])} for name, places in sorted(groups.items())},
        "made": _share(won[groups[MADE]]),
        "human": _share(won[groups[HUMAN]]),
        "temperature": round(heat, 4),
        "calibration_error": {
            "raw": _rounded(calibration_error(differences[~fitted])),
            "with temperature": _rounded(calibration_error(differences[~fitted] / heat)),
        },
        "correlation": {  # with the score, and what the truth itself has
            name: {"score": _rounded(_along(differences, x)), "truth": _rounded(_along(np.ones_like(differences), x))}
            for name, x in [("length", lengths), *((name, np.array([float(pair[4][name]) for pair in pairs])) for name in FORMS)]
        },
    }


FORMS = {
    "open arguments": lambda reply: reply.count("=?"),
    "arguments": lambda reply: reply.count('="'),
    "refusal": lambda reply: int(reply == "refuse()"),
    "answer": lambda reply: int(reply.startswith("answer(")),
}


def temperature(differences: np.ndarray) -> float:
    """What differences of scores are to be divided by so that their sigmoid is a probability: the likeliest of a grid, .005 to 50."""
    grid = np.geomspace(0.005, 50.0, 369)
    losses = [float(np.mean(np.logaddexp(0.0, -differences / one))) for one in grid]
    return float(grid[int(np.argmin(losses))])


def calibration_error(differences: np.ndarray) -> float:
    """Expected calibration error: how far the probability of the preferred side is from the share in which it is the better one."""
    if not len(differences):
        return float("nan")
    confidence = _sigmoid(np.abs(differences))  # of the side with the higher score
    right = differences > 0
    bins = np.minimum((2 * (confidence - 0.5) * BINS).astype(int), BINS - 1)
    return float(sum(np.sum(bins == b) * abs(confidence[bins == b].mean() - right[bins == b].mean()) for b in set(bins.tolist())) / len(differences))


def _loaded(folder: Path, start: Path | None) -> tuple[Any, Any]:
    """The tokenizer and the model of a folder with a fresh scalar head in single precision, an adapter merged into it."""
    import torch
    from transformers import AutoTokenizer, LlamaForSequenceClassification

    from moho.rl.branches import register

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    with _quiet():  # that the head is new is what is wanted
        torch.manual_seed(0)
        model = LlamaForSequenceClassification.from_pretrained(
            folder, num_labels=1, dtype=torch.bfloat16, local_files_only=True, attn_implementation=register()
        )
    model.config.pad_token_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    if start is not None:
        merge(model, start)
    torch.nn.init.zeros_(model.score.float().weight)  # so that it begins as the policy judges
    return tokenizer, model.eval()


def _counted(choices: Sequence[Choice]) -> dict[str, Any]:
    counts: dict[str, int] = defaultdict(int)
    for choice in choices:
        for way, _ in choice.worse:
            counts[f"{choice.source}: {way}"] += 1
    return {"choices": len(choices), "pairs": dict(sorted(counts.items()))}


def _along(scores: np.ndarray, x: np.ndarray) -> float:
    """Correlation of differences of scores with differences of something, which has no sign of its own."""
    scale = math.sqrt(float(np.sum(scores**2) * np.sum(x**2)))
    return float(np.sum(scores * x)) / scale if scale else 0.0


def _sigmoid(x: Any) -> Any:
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(x, dtype=float)))


def _share(won: np.ndarray) -> float | None:
    return round(float(np.mean(won)), 4) if len(won) else None


def _rounded(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _digest(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError("E_NOT_FOUND", f"there is no {path.name} in {path.parent.name}: {error.strerror}") from error
