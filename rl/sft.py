"""Supervised fine-tuning: trl's SFTTrainer with a peft LoRA, loss on the assistant's tokens only, and of these on the choices.

A token that the grammar leaves no choice about teaches nothing: the model never writes it. Of the others the loss is the cross-entropy among
the tokens that the grammar allows there, which is just how the model decides.

Decisions over the same list of tools are trained in one sequence: the list once, then each request with its reply as a branch of its own,
which attends to the list and to itself and is placed right behind the list. So nothing leaks between examples, and an example costs less
than half of its tokens. What comes out is a folder with
`adapter.safetensors` (bf16 A and B of each projection) and `adapter.json` (the card: recipe, data, seed, checksum) for
`--model embedded:FOLDER`, or `hf:FOLDER` where the base is another, or to be shipped in `agent/weights`.

A base that is too large for one GPU is sharded over several, each process learning from sequences of its own; the first one writes:

    accelerate launch --config_file rl/fsdp.yaml --num_processes 8 -m moho.agent.cli train sft --preset base --base PATH

All processes make the same examples, learn at the rate of one clock and stop at one step; an update is of as many sequences as on one GPU.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from moho import store
from moho.agent import decision
from moho.agent.embedded import compiler, fingerprint
from moho.errors import DataError
from moho.project import versions
from moho.rl.adapter import arguments, lora
from moho.rl.aliases import registered, renamed
from moho.rl.base import find, load
from moho.rl.instructions import Example, Writer, card, uncontaminated
from moho.rl.policy import unpack

RENAMED = 0.5  # share of the tools of a list that are renamed, where any are
IGNORED = -100  # label of a token that is not scored
LAYERS = 30  # of the embedded model


@dataclass(frozen=True)
class Settings:
    """A training run."""

    base: str = "embedded"  # or a folder, or an id that the local cache holds
    examples: int = 12000
    seed: int = 7
    rank: int = 16  # of the LoRA
    alpha: int = 32
    layers: tuple[int, int] = (0, 30)  # first and one past the last layer that is adapted
    rate: float = 8e-4  # peak of the learning rate
    together: int = 8  # decisions at most that share a list of tools in one sequence
    longest: int = 1024  # tokens of a sequence
    renamed: float = 0.2  # share of the lists in which tools stand under other names
    batch: int = 4  # sequences an update
    warmup: float = 0.05  # share of the steps
    minutes: float = 60.0  # wall clock after which training stops early, at the state it has then
    threads: int = 1
    start: str = ""  # folder of an adapter to go on from, "" for a fresh one


PRESETS = {"tiny": Settings(), "micro": Settings(examples=64, minutes=2.0), "base": Settings(examples=40000, batch=16, minutes=10.0)}


def on(settings: Settings, base: str) -> Settings:
    """The settings of a run on the embedded model for another base: the same share of its layers."""
    count = find(base).layers
    first, last = (round(layer * count / LAYERS) for layer in settings.layers)
    return replace(settings, base=base, layers=(min(first, last - 1), last))


def tokenize(tokenizer: Any, example: Example) -> tuple[list[int], list[int]]:
    """Token ids of the prompt, and of the reply with the token that ends it."""
    text = tokenizer.apply_chat_template(decision.prompt(example.situation), tokenize=False, add_generation_prompt=True)
    return tokenizer.encode(text, add_special_tokens=False), [*_behind(tokenizer, example.reply), tokenizer.eos_token_id]


def _behind(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text that stands behind others: SentencePiece begins one that stands alone with a space, which the grammar does not allow."""
    tokens: list[int] = tokenizer.encode(text, add_special_tokens=False)
    if tokenizer.convert_ids_to_tokens(tokens[:1])[0].startswith("▁"):
        before = tokenizer.encode("\n", add_special_tokens=False)
        tokens = tokenizer.encode("\n" + text, add_special_tokens=False)[len(before) :]
    return tokens


def grouped(examples: Sequence[Example], together: int, seed: int = 0) -> list[list[Example]]:
    """The examples in groups that are shown one list of tools: the list of the first, which holds the right tools of the others.

    Each example is in one group. The tools of a list are near each other, so the members of a group are told apart by little.
    """
    chooser = random.Random(seed)
    order = list(range(len(examples)))
    chooser.shuffle(order)
    waiting: dict[str, list[int]] = defaultdict(list)  # by right tool
    for i in order:
        waiting[examples[i].tool].append(i)
    taken: set[int] = set()
    groups = []
    for i in order:
        if i in taken:
            continue
        taken.add(i)
        offered = examples[i].situation.tools
        group = [examples[i]]
        for tool in chooser.sample([*offered, ""], len(offered) + 1) * together:
            if len(group) == together:
                break
            fitting = (j for j in waiting[tool] if j not in taken and _tools(examples[j]) <= set(offered) and set(offered) <= set(examples[j].near))
            found = next(fitting, None)
            if found is None:
                continue
            taken.add(found)
            one = examples[found]
            group.append(replace(one, situation=replace(one.situation, tools=sorted(offered, key=one.near.index))))
        for tool in (*offered, ""):
            waiting[tool] = [j for j in waiting[tool] if j not in taken]
        groups.append(group)
    return groups


def _tools(example: Example) -> set[str]:
    """The tools that an example needs on offer."""
    return {done.call.partition("(")[0] for done in example.situation.done} | ({example.tool} - {""})


def sequence(tokenizer: Any, compiler: Any, group: Iterable[Example], longest: int) -> dict[str, Any]:
    """One sequence of a group: the tokens that all begin with, then a branch an example.

    Those are left out that do not fit, or whose reply the grammar does not allow.

    `branch` numbers the tokens (0 what is shared), `position_ids` places each branch behind what is shared, `labels` holds the tokens of the replies
    that the grammar leaves a choice about, and `allowed` the tokens each of them is chosen from.
    """
    made = [(*tokenize(tokenizer, example), example.situation) for example in group]
    shared = 0
    while all(len(prompt) > shared + 1 and prompt[shared] == made[0][0][shared] for prompt, _, _ in made):
        shared += 1
    row: dict[str, Any] = {"input_ids": made[0][0][:shared], "labels": [IGNORED] * shared}
    row |= {"position_ids": list(range(shared)), "branch": [0] * shared, "allowed": []}
    for number, (prompt, reply, situation) in enumerate(made, 1):
        own = [*prompt[shared:], *reply]
        if number > 1 and len(row["input_ids"]) + len(own) > longest:
            continue
        try:
            allowed = options(compiler, situation, reply)
        except ValueError:  # with another example's list of tools, or where a value reads otherwise than it was meant
            continue
        row["input_ids"] += own
        row["labels"] += [IGNORED] * (len(own) - len(reply)) + [t if len(a) > 1 else IGNORED for t, a in zip(reply, allowed, strict=True)]
        row["position_ids"] += range(shared, shared + len(own))
        row["branch"] += [number] * len(own)
        row["allowed"] += [a for a in allowed if len(a) > 1]
    return row


def options(compiler: Any, situation: decision.Situation, reply: Sequence[int]) -> list[list[int]]:
    """The tokens that the grammar of a situation allows in place of each token of a reply; ValueError for a reply that is none."""
    from xgrammar import GrammarMatcher, allocate_token_bitmask

    grammar = compiler.compile_grammar(decision.grammar(situation))
    size, matcher = grammar.tokenizer_info.vocab_size, GrammarMatcher(grammar)
    bitmask = allocate_token_bitmask(1, size)
    found = []
    for token in reply:
        matcher.fill_next_token_bitmask(bitmask)
        found.append(np.flatnonzero(unpack(bitmask[0].numpy(), size)).tolist())
        if not matcher.accept_token(token):
            raise ValueError(f"token {token} of a reply is not allowed in {situation.request!r}")
    return found


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The tensors of one sequence: a step takes one at a time, and an update gathers the gradients of several.

    (1, token) each, but `allowed`: (choice, token) the tokens each choice is made from, filled up with -1.
    """
    import torch

    from moho.rl.branches import padded

    (row,) = rows
    return {key: torch.tensor([values]) for key, values in row.items() if key != "allowed"} | {"allowed": padded(row["allowed"])}


def train(settings: Settings, out: Path, held_out: Sequence[str] = ()) -> dict[str, Any]:
    """Train an adapter on made examples into the folder `out` and return its card. `held_out`: requests no training request may resemble."""
    find(settings.base)  # before hours of work
    examples = list(Writer(settings.seed).examples(settings.examples))
    kept = uncontaminated(examples, held_out)
    return fit(kept, settings, out, {"removed_as_contaminated": len(examples) - len(kept)})


def fit(examples: Sequence[Example], settings: Settings, out: Path, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """Train an adapter on these examples into the folder `out`; its card, with what `more` says."""
    import torch
    from accelerate.utils import broadcast_object_list
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from moho.rl.choosing import ChoosingForCausalLM, lean

    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    started = time.monotonic()
    base = find(settings.base)
    if not settings.layers[0] < settings.layers[1] <= base.layers:
        raise DataError("E_DATA", f"layers {settings.layers[0]} to {settings.layers[1]} are to be adapted, {base.name} has {base.layers}")
    tokenizer, model = base.tokenizer, load(base, ChoosingForCausalLM)
    weights = {} if settings.base == "embedded" else {"base_weights": fingerprint(model)}  # of the embedded model the name is enough
    grammars = compiler(tokenizer, model.config.vocab_size)
    groups, chooser = grouped(examples, settings.together, settings.seed), random.Random(settings.seed)
    groups = [renamed(group, chooser, RENAMED) if chooser.random() < settings.renamed else group for group in groups]
    with registered():
        rows = Dataset.from_list([row for group in groups if (row := sequence(tokenizer, grammars, group, settings.longest))["allowed"]])
    if not len(rows):
        raise DataError("E_DATA", f"the grammar leaves no choice in {len(examples)} examples, as {base.name} writes them")

    class Scored(SFTTrainer):
        """The loss of a choice is among what the grammar allows there, as the model decides; the rest of the vocabulary is not looked at."""

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
            logits, allowed = model(**inputs), inputs["allowed"]  # (choice, token)
            labels = inputs["labels"][:, 1:]
            right = (allowed == labels[labels != IGNORED][:, None]).int().argmax(1)
            total = torch.nn.functional.cross_entropy(logits.masked_fill(allowed < 0, -torch.inf), right, reduction="sum")
            # Items are those of all processes, whose gradients are averaged.
            loss = total * config.world_size / num_items_in_batch if num_items_in_batch is not None else total / len(allowed)
            return (loss, {"logits": logits}) if return_outputs else loss

    class Deadline(TrainerCallback):
        """Lets the learning rate end at the wall clock, stops there, and prints a line now and then."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs and state.is_world_process_zero:
                print(f"step {state.global_step}/{state.max_steps} loss {float(logs['loss']):.4f} {time.monotonic() - started:.0f} s", flush=True)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if elapsed() > settings.minutes * 60:
                control.should_training_stop = True

    def elapsed() -> float:
        """Seconds since the start by the clock of the first process: all have to learn at one rate and to stop at one step."""
        seconds: float = broadcast_object_list([time.monotonic() - started])[0]
        return seconds

    def pace(step: int) -> float:
        """Share of the peak rate: a warm-up, then a cosine over steps or over the minutes, whichever is further on."""
        steps = max(1, len(rows) // (config.gradient_accumulation_steps * config.world_size))
        far = max(step / steps, elapsed() / (60 * settings.minutes))
        return min(1.0, (step + 1) / max(1.0, settings.warmup * steps)) * 0.5 * (1 + math.cos(math.pi * min(1.0, far)))

    class Paced(Scored):
        """With a rate that knows of the clock."""

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, pace)
            return self.lr_scheduler

    config = SFTConfig(
        **arguments(settings, out),
        per_device_train_batch_size=1,
        num_train_epochs=1,
        logging_steps=10,
        save_strategy="steps",
        save_steps=50,
        save_total_limit=1,
        max_length=None,
        packing=False,
        dataloader_num_workers=0,
        gradient_checkpointing=None,  # the old name of activation_checkpointing
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_grad_norm=1.0,
    )
    config.gradient_accumulation_steps = max(1, settings.batch // config.world_size)
    trainer = Paced(
        model=model, args=config, train_dataset=rows, processing_class=tokenizer, peft_config=lora(settings), callbacks=[Deadline()],
        data_collator=collate,
    )  # fmt: skip
    if trainer.is_fsdp_enabled and not trainer.accelerator.is_fsdp2:
        raise DataError("E_UNSUPPORTED", "adapters are trained under FSDP 2 only", "`fsdp_version: 2`, as in `rl/fsdp.yaml`.")
    lean(trainer.model)
    if settings.start:
        resume(trainer.model, Path(settings.start))
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    made = {
        "base": base.name,
        "method": "LoRA, supervised",
        "rank": settings.rank,
        "alpha": settings.alpha,
        "settings": asdict(settings),
        "data": card(examples),
        "sequences": len(rows),
        "steps": trainer.state.global_step,
        "loss_first_last": [losses[0], losses[-1]] if losses else [],
        "minutes": round((time.monotonic() - started) / 60, 1),
        "versions": versions(),
    }
    return keep(trainer.model, out, made | weights | (more or {}), write=trainer.is_world_process_zero())


def resume(model: Any, folder: Path) -> None:
    """Put the A and B matrices of an adapter kept by `keep`, or of a checkpoint of the trainer, into `model`."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    kept = folder / "adapter.safetensors"
    tensors = load_file(kept if kept.exists() else folder / "adapter_model.safetensors")
    named = {key if key.endswith(".weight") else f"base_model.model.{key}.weight": value for key, value in tensors.items()}
    set_peft_model_state_dict(model, named)


def keep(model: Any, out: Path, made: dict[str, Any], write: bool = True) -> dict[str, Any]:
    """Write the adapter's A and B matrices and its card, which is returned. Where processes share a model, all come here and one is to `write`."""
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save

    tensors = {}
    for key, value in get_peft_model_state_dict(model).items():
        whole = value.full_tensor() if hasattr(value, "full_tensor") else value  # of a matrix that is sharded
        name = key.removeprefix("base_model.model.").replace(".lora_A.weight", ".lora_A").replace(".lora_B.weight", ".lora_B")
        tensors[name] = whole.to(torch.bfloat16).contiguous().cpu()
    content = save(tensors)
    made = made | {"sha256": sha256(content).hexdigest()}
    if write:
        out.mkdir(parents=True, exist_ok=True)
        store.atomic_write(out / "adapter.safetensors", content, replace=True)
        store.atomic_write(out / "adapter.json", (json.dumps(made, indent=1) + "\n").encode(), replace=True)
    return made


def measure(model: Any, examples: Sequence[Example]) -> dict[str, Any]:
    """Shares of decisions with the right name, and exactly right, by kind, with intervals; `model` has `decide(situation)`."""
    from moho.rl.scores import share

    counts: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    wrong: list[dict[str, str]] = []
    for example in examples:
        reply = model.decide(example.situation)
        name = reply.partition("(")[0] == example.reply.partition("(")[0]
        exact = same(reply, example.reply)
        for group in ("all", example.kind):
            counts[group].append((name, exact))
        if not exact and len(wrong) < 40:
            wrong.append({"request": example.situation.request, "wanted": example.reply, "got": reply})
    scores = {
        group: {"decisions": len(rows), "name": share([(a, 1) for a, _ in rows]), "exact": share([(b, 1) for _, b in rows])}
        for group, rows in sorted(counts.items())
    }
    return {"scores": scores, "wrong": wrong}


def same(one: str, other: str) -> bool:
    """Whether two replies mean the same decision."""
    try:
        a, b = decision.read(one), decision.read(other)
    except ValueError:
        return False
    return a.name == b.name and dict(a.arguments) == dict(b.arguments) and set(a.keys) == set(b.keys)
