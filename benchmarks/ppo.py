"""Proximal policy optimisation: a step of `moho.rl.ppo` and one of trl 1.12's PPOTrainer, at equal tokens, and what both learn.

trl dropped PPO in 1.13, so the peer lives in a folder of its own, `build/trl-1.12`; without it there is nothing to compare and the
benchmark says so. One turn an episode, prompts of random tokens, replies of fixed length over the whole vocabulary, reward the share of
even tokens: what trl can do as well. Same small model, LoRA, batch, passes, steps, clips and KL weight; of trl the value model is a
network of its own, as its documentation has it, of ours a head on the policy. Seconds are of processor time. Sampling is apart: trl
samples the batch at once, ours one reply at a time, as the agent plays.

    python -m benchmarks.ppo
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import ROOT, Row, show

PEER = ROOT / "build" / "trl-1.12"
INSTALL = f"pip install --no-deps --target {PEER.relative_to(ROOT)} trl==1.12.0"
VOCABULARY, PROMPT, REPLY = 64, 56, 8  # tokens
EPISODES, EPOCHS, MINIBATCHES, UPDATES, REPEATS = 32, 3, 4, 12, 3
RATE, KL, CLIP, VALUE_WEIGHT = 5e-3, 0.02, 0.2, 0.1


def model() -> Any:
    """A Llama of four layers of width 128."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        attn_implementation="eager",
    )
    return LlamaForCausalLM(config).eval()


def prompts(seed: int, count: int) -> list[list[int]]:
    """Random prompts."""
    return np.random.default_rng(seed).integers(0, VOCABULARY, (count, PROMPT)).tolist()  # type: ignore[no-any-return]


def ours(seed: int) -> dict[str, Any]:
    """A run of `moho.rl.ppo`."""
    from moho.rl import ppo
    from moho.rl.policy import Episode, Policy, Words
    from moho.rl.trace import read

    class Free:
        """Any token, a fixed number of times."""

        left = REPLY

        def allowed(self) -> Words | None:
            return None

        def accept(self, token: int) -> bool:
            self.left -= 1
            return self.left > 0

    starts: list[float] = []
    sampling: list[float] = []

    class Even:
        """Pays for even tokens."""

        def play(self, policy: Policy, seeds: Sequence[int]) -> list[Episode]:
            began = time.process_time()
            starts.append(began)
            turns = [policy.reply(prompts(one, 1)[0], Free(), np.random.default_rng(one)) for one in seeds]
            sampling.append(time.process_time() - began)
            return [Episode([turn], float(np.mean([token % 2 == 0 for token in turn.reply]))) for turn in turns]

    settings = ppo.Settings(
        updates=UPDATES, episodes=EPISODES, epochs=EPOCHS, minibatches=MINIBATCHES, tokens=EPISODES // MINIBATCHES * (PROMPT + REPLY), seed=seed,
        layers=(0, 4), rate=RATE, value_rate=RATE, clip=CLIP, value_clip=CLIP, value_weight=VALUE_WEIGHT, kl_weight=KL, kl_target=None, kl_step=9.0,
        kl_most=1e9, longest=REPLY, fall=9.0, entropy_least=0.0,
    )  # fmt: skip
    ppo.draw = lambda rows, path: None
    with tempfile.TemporaryDirectory() as folder:
        ppo.optimise(settings, Even(), model(), None, Path(folder))
        seconds = starts[-1] - starts[0] - sum(sampling[:-1])  # up to the closing batch, without loading
        rewards = [row["reward"] for row in read(Path(folder) / "trace.jsonl")]
    return {"learning": seconds / UPDATES, "sampling": statistics.mean(sampling), "rewards": rewards}


def trl(seed: int) -> dict[str, Any]:
    """A run of trl's PPOTrainer."""
    from types import SimpleNamespace

    import torch
    from datasets import Dataset
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import LlamaConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast, TrainerCallback
    from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer

    from moho.rl.adapter import lora
    from moho.rl.ppo import Settings

    torch.set_num_threads(1)
    words = Tokenizer(WordLevel({f"t{i}": i for i in range(VOCABULARY + 1)}, unk_token="t0"))
    pad = f"t{VOCABULARY}"  # a token that the policy does not have, so that a reply never ends early
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="t1", pad_token=pad, unk_token="t0", padding_side="left")

    class Counting(torch.nn.Module):
        """Share of even tokens in the reply so far, as the one hidden state of a backbone."""

        def forward(self, input_ids: Any, **others: Any) -> Any:
            even = ((input_ids % 2 == 0) & (torch.arange(input_ids.shape[1]) >= PROMPT)).float().cumsum(1) / REPLY
            return SimpleNamespace(hidden_states=[even[:, :, None]])

    class Even(torch.nn.Module):
        base_model_prefix = "backbone"

        def __init__(self) -> None:
            super().__init__()
            self.backbone = Counting()
            self.score = torch.nn.Identity()

    sampling: list[float] = []
    rewards: list[float] = []
    generate = ppo_trainer.batch_generation

    def timed(*words: Any, **named: Any) -> Any:
        began = time.process_time()
        found = generate(*words, **named)
        sampling.append(time.process_time() - began)
        return found

    class Noting(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if "objective/scores" in (logs or {}):
                rewards.append(float(logs["objective/scores"]))

    ppo_trainer.batch_generation = timed
    policy = model()
    value = LlamaForSequenceClassification(LlamaConfig(**policy.config.to_dict() | {"num_labels": 1}))
    value.model.load_state_dict(policy.model.state_dict())
    with tempfile.TemporaryDirectory() as folder:
        config = PPOConfig(
            output_dir=folder, per_device_train_batch_size=EPISODES, gradient_accumulation_steps=1, num_mini_batches=MINIBATCHES,
            num_ppo_epochs=EPOCHS, total_episodes=EPISODES * UPDATES, response_length=REPLY, temperature=1.0, kl_coef=KL, cliprange=CLIP,
            cliprange_value=CLIP, vf_coef=VALUE_WEIGHT, learning_rate=RATE, lr_scheduler_type="linear", weight_decay=0.0, seed=seed,
            local_rollout_forward_batch_size=EPISODES, num_sample_generations=0, report_to=[], save_strategy="no", disable_tqdm=True,
            use_cpu=True, bf16=False, gradient_checkpointing=False, logging_steps=1,
        )  # fmt: skip
        rows = Dataset.from_dict({"input_ids": prompts(seed, EPISODES * UPDATES)})
        trainer = PPOTrainer(
            config, tokenizer, policy, None, Even(), rows, value, eval_dataset=rows.select(range(2)), callbacks=[Noting()],
            peft_config=lora(Settings(layers=(0, 4))),
        )
        began = time.process_time()
        trainer.train()
        seconds = time.process_time() - began - sum(sampling)
    return {"learning": seconds / UPDATES, "sampling": sum(sampling) / UPDATES, "rewards": rewards}


def measure() -> list[Row]:
    """Both in turn, each run in a process of its own; medians, and the reward at the beginning and at the end."""
    if not PEER.is_dir():
        print(f"ppo: trl 1.12 is not in {PEER.relative_to(ROOT)}: {INSTALL}", file=sys.stderr)
        return []
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "trl": []}
    for seed in range(REPEATS):
        for name, runs in found.items():
            paths = [str(PEER)] if name == "trl" else []
            environment = os.environ | {"PYTHONPATH": os.pathsep.join([*paths, str(ROOT)]), "OMP_NUM_THREADS": "1"}
            command = [sys.executable, "-m", "benchmarks.ppo", name, str(seed)]
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            runs.append(json.loads(done.stdout.splitlines()[-1]))

    def middle(name: str, *keys: str) -> float:
        return statistics.median(sum(run[key] for key in keys) for run in found[name])

    def curve(name: str) -> str:
        return " ".join(f"{np.mean(each):.2f}" for each in zip(*(run["rewards"] for run in found[name]), strict=True))

    note = f"mean reward of {REPEATS} seeds, ours {curve('ours')}; trl {curve('trl')}"
    return [
        Row("PPO, learning from 32 x 64 tokens", middle("ours", "learning"), "s", middle("trl", "learning"), "trl 1.12", None, 1, note),
        Row("PPO, sampling 32 x 8 tokens", middle("ours", "sampling"), "s", middle("trl", "sampling"), "trl 1.12"),
        Row("PPO, both", middle("ours", "learning", "sampling"), "s", middle("trl", "learning", "sampling"), "trl 1.12"),
    ]


if __name__ == "__main__":
    if len(sys.argv) == 3:
        warnings.simplefilter("ignore")
        print(json.dumps({"ours": ours, "trl": trl}[sys.argv[1]](int(sys.argv[2]))))
    else:
        print(show(measure()))
