"""Group relative policy optimisation (Shao et al. 2024) by trl's GRPOTrainer, to compare with `moho.rl.ppo`: one decision an episode.

Each task is played several times and a reply is judged by the mean of its group, so there is no value head. Sampling is ours, under the
grammar, and only the policy's own tokens are learned from; trl's log-probabilities are over the whole vocabulary, though, where ours are
over what the grammar allowed.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moho.agent import decision
from moho.agent.embedded import Checkpoint, Reader, merge, unpack
from moho.errors import DataError
from moho.rl import adapter, ppo
from moho.rl.instructions import Example, Writer
from moho.rl.policy import Constraint, Environment, Episode, Grammar, Policy, Turn
from moho.rl.sft import same
from moho.rl.trace import Trace, draw

if TYPE_CHECKING:
    from moho.agent.embedded import Decider

NAMED = 0.3  # reward of the right tool with wrong arguments
GROUP = 8  # times that a task is played


class OneDecision:
    """An environment of single decisions whose right reply is known: 1 for it, a part for its tool, nothing else."""

    def __init__(self, examples: Sequence[Example], decider: Decider) -> None:
        self.examples, self.decider = examples, decider

    def play(self, policy: Policy, seeds: Sequence[int]) -> list[Episode]:
        """For each seed one of the examples."""
        return [self.episode(policy, self.examples[seed % len(self.examples)], np.random.default_rng([seed, 1])) for seed in seeds]

    def episode(self, policy: Policy, example: Example, generator: np.random.Generator) -> Episode:
        """The reply to one example and what it earns."""
        constraint = Grammar(self.decider.matcher(example.situation), self.decider.tokenizer, policy.vocabulary)
        turn = policy.reply(self.decider.ids(decision.prompt(example.situation)), constraint, generator)
        line = self.decider.text(turn.reply)
        exact, named = same(line, example.reply), line.partition("(")[0] == example.reply.partition("(")[0]
        return Episode([turn], 1.0 if exact else NAMED * named, {"exact": float(exact), "named": float(named)})


def decisions(settings: ppo.Settings, decider: Decider) -> OneDecision:
    """As many made decisions as a run plays tasks."""
    return OneDecision(list(Writer(settings.seed).examples(settings.updates * max(1, settings.episodes // GROUP))), decider)


class Again(Policy):
    """A policy with random numbers of its own: the same seed played again is the same task and another reply."""

    def __init__(self, reader: Reader, temperature: float, longest: int, generator: np.random.Generator) -> None:
        super().__init__(reader, temperature, longest)
        self.generator = generator

    def reply(self, prompt: Sequence[int], constraint: Constraint, generator: np.random.Generator) -> Turn:
        return super().reply(prompt, constraint, self.generator)


def train(settings: ppo.Settings, environment: Environment, start: Path | None, out: Path, group: int = GROUP) -> dict[str, Any]:
    """Train the embedded model as `moho.rl.ppo.train` does, each task played `group` times (or as often as there are episodes); its card."""
    from transformers import AutoTokenizer

    return optimise(settings, environment, ppo.base(), AutoTokenizer.from_pretrained(unpack(), local_files_only=True), start, out, group)


def optimise(
    settings: ppo.Settings, environment: Environment, model: Any, tokenizer: Any, start: Path | None, out: Path, group: int = GROUP
) -> dict[str, Any]:
    """Train `model`, which is changed, as `train` does. The settings mean what they mean there, `epochs` the passes over a batch."""
    import torch
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(settings.threads)
    if start is not None:
        merge(model, start)
    began = time.monotonic()
    trace = Trace(_made(out) / "trace.jsonl")
    group = min(group, settings.episodes)
    tasks = settings.episodes // group
    seeds = np.random.SeedSequence([settings.seed, 2]).generate_state(settings.updates * tasks).tolist()
    generator = np.random.default_rng([settings.seed, 3])
    played: list[Episode] = []

    def rollout(prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        policy = Again(Checkpoint(trainer.accelerator.unwrap_model(trainer.model)), settings.temperature, settings.longest, generator)
        episodes = environment.play(policy, [int(prompt) for prompt in prompts])
        if any(len(episode.turns) != 1 for episode in episodes):
            raise DataError("E_UNSUPPORTED", f"an episode has {max(len(e.turns) for e in episodes)} turns", "GRPO learns from single decisions here.")
        played[:] = episodes
        turns = [episode.turns[0] for episode in episodes]
        return {
            "prompt_ids": [list(turn.prompt) for turn in turns],
            "completion_ids": [list(turn.reply) for turn in turns],
            "logprobs": [list(turn.logprob) for turn in turns],
            "env_mask": [[int(i in turn.own) for i in range(len(turn.reply))] for turn in turns],
            "earned": [episode.total for episode in episodes],
        }

    def total(earned: list[float], **others: Any) -> list[float]:
        return earned

    class Noting(TrainerCallback):
        """A line of the log for each update; stops at the wall clock."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "reward" in logs:
                parts = {f"part {name}": float(np.mean([e.parts[name] for e in played])) for name in (played[0].parts if played else ())}
                row = {
                    name.replace("grad_norm", "gradient_norm"): float(value) for name, value in logs.items() if isinstance(value, (int, float, str))
                }
                trace.append({"update": len(trace.rows), **row, **parts, "kl_weight": settings.kl_weight, "seconds": time.monotonic() - began})

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if time.monotonic() - began > settings.minutes * 60:
                control.should_training_stop = True

    config = GRPOConfig(
        **adapter.arguments(settings, out),
        per_device_train_batch_size=group,
        gradient_accumulation_steps=tasks,
        num_generations=group,
        num_iterations=settings.epochs,
        max_steps=settings.updates * settings.epochs,
        lr_scheduler_type="linear",
        max_grad_norm=settings.norm,
        weight_decay=0.0,
        beta=settings.kl_weight,
        epsilon=settings.clip,
        temperature=settings.temperature,
        max_completion_length=settings.longest,
        shuffle_dataset=False,
        logging_steps=settings.epochs,
        save_strategy="no",
    )
    rows = Dataset.from_list([{"prompt": str(seed)} for seed in seeds])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*rollout_func.*")  # trl calls it experimental: `moho` pins trl
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=total,
            args=config,
            train_dataset=rows,
            processing_class=tokenizer,
            peft_config=adapter.lora(settings),
            rollout_func=rollout,
            callbacks=[Noting()],
        )
    trainer.train()
    draw(trace.rows, out / "curves.png")
    matrices = {adapter.short(name): parameter.detach() for name, parameter in trainer.model.named_parameters() if parameter.requires_grad}
    made = {
        "method": "LoRA, group relative policy optimisation",
        "updates": len(trace.rows),
        "reward_first_last": [trace.rows[0]["reward"], trace.rows[-1]["reward"]],
        "kl_last": trace.rows[-1].get("kl"),
        "minutes": round((time.monotonic() - began) / 60, 1),
    }
    return adapter.keep(settings, matrices, start, out, made)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
