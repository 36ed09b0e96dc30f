"""Proximal policy optimisation of the embedded model over episodes of several turns: sample, score, advantage, update, log.

The adapter that training starts from is merged into the base, and a fresh LoRA whose B is zero learns the rest; switched off, it leaves the
reference policy. The two are put together again in what is kept (`fold`). The penalty for leaving the reference is part of the reward of
every token, with a coefficient that steers to a target (Ziegler et al. 2019); the clipped objective and value loss are those of Schulman
et al. (2017), advantages those of Schulman et al. (2016), over the policy's own tokens of a whole episode. A token is its own where the
grammar left a choice; log-probabilities are over what it allowed, in sampling and in learning.

Nothing random has a state: every update draws from its own seed, so a run killed and started again gives the same weights. How a policy
plays is in `moho.rl.policy`, what it plays in an `Environment`, how a batch is looked at in `moho.rl.learner`, the log in `moho.rl.trace`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moho.agent.embedded import merge, unpack
from moho.errors import DataError
from moho.rl.adapter import fold, keep
from moho.rl.learner import Learner, Row, lay_out
from moho.rl.policy import Constraint, Diverged, Environment, Episode, Grammar, Policy, Turn
from moho.rl.trace import Trace, draw

__all__ = ["PRESETS", "Constraint", "Diverged", "Environment", "Episode", "Grammar", "Policy", "Settings", "Turn", "fold", "gae", "optimise", "train"]

Array = NDArray[np.float64]
CHECKPOINT = "checkpoint.safetensors"
PICTURE = 60.0  # seconds between two drawings of the curves
SMOOTH = 3  # batches a reward is averaged over before it is called a fall


@dataclass(frozen=True)
class Settings:
    """A training run."""

    updates: int = 60
    episodes: int = 32  # played before each update
    epochs: int = 3  # passes over them, at most
    minibatches: int = 4  # steps of the optimiser a pass
    tokens: int = 512  # of one forward pass, at most; a longer turn goes alone
    seed: int = 7
    rank: int = 16  # of the LoRA that learns
    alpha: int = 32
    layers: tuple[int, int] = (16, 30)  # first and one past the last layer that is adapted
    kept_rank: int = 0  # of the adapter that is kept, by truncated SVD; 0 for all of it, the sum of the two ranks
    rate: float = 1e-4  # of learning at the beginning; falls linearly to zero
    value_rate: float = 5e-4  # the same of the value head
    norm: float = 1.0  # the gradient is scaled down to, of the LoRA and of the value head
    temperature: float = 1.0
    longest: int = 160  # tokens of a reply
    sure: float = 1.0  # a token taken with at least this probability counts as forced: turns of such tokens cost nothing
    discount: float = 1.0  # a token
    decay: float = 0.95  # lambda of the advantage estimate
    clip: float = 0.2  # the ratio's distance from 1 that still counts
    value_clip: float = 0.2  # change of a value in one update that still counts, in units of reward
    value_weight: float = 0.1  # of half the squared error of the values
    entropy_weight: float = 0.0  # reward a nat of entropy
    kl_weight: float = 0.05  # reward a nat of distance from the reference, at the beginning
    kl_target: float | None = 2.0  # nats an episode that the weight steers to; None keeps the weight
    kl_step: float = 0.03  # nats a token: an update that has gone farther ends
    kl_most: float = 20.0  # nats an episode: beyond it the run stops
    entropy_least: float = 0.02  # share of the first batch's entropy below which the run stops
    fall: float = 0.3  # of the smoothed reward below its best, at which the run stops
    minutes: float = 240.0  # wall clock after which no further update begins
    threads: int = 1


PRESETS = {
    "micro": Settings(updates=2, episodes=4, epochs=2, minibatches=2, minutes=5.0),
    "tiny": Settings(
        updates=40, episodes=24, epochs=2, tokens=1024, layers=(20, 30), rate=1.5e-4, sure=0.99, kl_weight=0.02, kl_target=3.0, kept_rank=16
    ),
    "base": Settings(updates=300, episodes=256, minibatches=8, tokens=4096, minutes=600.0),
}


def train(settings: Settings, environment: Environment, start: Path | None, out: Path) -> dict[str, Any]:
    """Train the embedded model from the adapter in `start` (None: as it comes), into the folder `out`; the card of what is kept."""
    return optimise(settings, environment, base(), start, out)


def base() -> Any:
    """The embedded model as it comes, on a GPU where there is one."""
    import torch
    from transformers import LlamaForCausalLM

    device = "cuda" if torch.cuda.is_available() else "cpu"
    attention = "sdpa" if device == "cuda" else "eager"  # whose backward is the faster one on a CPU
    model = LlamaForCausalLM.from_pretrained(unpack(), dtype=torch.bfloat16, local_files_only=True, attn_implementation=attention)
    return model.to(device)


def optimise(settings: Settings, environment: Environment, model: Any, start: Path | None, out: Path) -> dict[str, Any]:
    """Train `model`, which is changed, as `train` does. Goes on from a checkpoint in `out`; Diverged, with the last good adapter kept."""
    import torch

    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    if start is not None:
        merge(model, start)
    learner = Learner(model, settings)
    out.mkdir(parents=True, exist_ok=True)
    ground = sha256((start / "adapter.safetensors").read_bytes()).hexdigest() if start is not None else ""
    state = State(**learner.load(out / CHECKPOINT)) if (out / CHECKPOINT).exists() else State(settings.kl_weight, ground)
    if state.start != ground:
        raise DataError("E_CHANGED", f"{out.name} holds a run from another adapter", "Name another folder, or remove its checkpoint.")
    trace = Trace(out / "trace.jsonl", kept=state.update)
    if len(trace.rows) < state.update:
        raise DataError("E_CHANGED", f"{trace.path.name} has {len(trace.rows)} lines, its checkpoint was written after {state.update}")
    began = time.monotonic() - state.seconds
    drawn = time.monotonic()
    while True:
        clock, row, seconds = Clock(), {}, {}

        # Sample: the policy plays.
        policy = Policy(learner.reader(), settings.temperature, settings.longest, settings.sure)
        learner.rate(max(0.0, 1 - state.update / settings.updates))
        try:
            seeds = np.random.SeedSequence([settings.seed, state.update]).generate_state(settings.episodes).tolist()
            episodes = environment.play(policy, seeds)
            seconds["seconds_sample"] = clock.lap()

            # Score: log-probabilities before the update, distance from the reference, values.
            batch = score(learner, episodes, settings.tokens)
            seconds["seconds_score"] = clock.lap()
            row = {"update": state.update, "kl_weight": state.kl_weight} | look_at(episodes, batch)
            if judge(settings, [*trace.rows, row]):
                learner.remember()
                state.good = state.update
            last = state.update == settings.updates or time.monotonic() - began > settings.minutes * 60
            if not last:
                # Advantage: of each own token, with the penalty in its reward.
                row |= estimate(settings, episodes, batch, state.kl_weight)

                # Update: the clipped objective.
                row |= update(settings, learner, batch, np.random.default_rng([settings.seed, state.update, 1]))
                if settings.kl_target is not None:
                    state.kl_weight *= 1 + 0.1 * float(np.clip(row["kl"] / settings.kl_target - 1, -0.2, 0.2))
                seconds["seconds_update"] = clock.lap()
        except Diverged as error:
            trace.append({"update": state.update} | row | seconds | {"stopped": error.message})
            finish(settings, learner, start, out, trace, state, error.message)
            raise

        # Log, and write down all that the next update depends on.
        trace.append(row | seconds)
        if last:
            return finish(settings, learner, start, out, trace, state)
        if time.monotonic() - drawn > PICTURE:
            draw(trace.rows, out / "curves.png")
            drawn = time.monotonic()
        state.update += 1
        state.seconds = time.monotonic() - began
        learner.save(out / CHECKPOINT, asdict(state))


@dataclass
class State:
    """What a run carries from one update to the next beside the weights."""

    kl_weight: float
    start: str  # checksum of the adapter that the run began with, "" for none
    update: int = 0  # done so far
    good: int = 0  # update before which the good weights were seen
    seconds: float = 0.0


@dataclass
class Batch:
    """The own tokens of all episodes in the order they were played, and what is known of each before the update."""

    rows: list[Row]
    logprob: Array
    reference: Array  # log-probability under the reference
    kl: Array  # nats, of the whole distribution there
    entropy: Array
    value: Array
    advantage: Array = field(default_factory=lambda: np.zeros(0))  # whitened
    returns: Array = field(default_factory=lambda: np.zeros(0))


def score(learner: Learner, episodes: Sequence[Episode], tokens: int) -> Batch:
    """What policy, reference and value head say of the own tokens, before the update."""
    import torch

    turns = [turn for episode in episodes for turn in episode.turns if turn.own]
    if not turns:
        raise DataError("E_DATA", f"in {len(episodes)} episodes the grammar left the policy no choice", "There is nothing to learn from.")
    batch = Batch(lay_out(learner, turns, tokens), *np.zeros((5, sum(len(turn.own) for turn in turns))))
    with torch.no_grad():
        for row in batch.rows:
            now, value = learner.look(row)
            with learner.model.disable_adapter():
                reference, _ = learner.look(row)
            chosen = row.actions[:, None]
            found = {
                "logprob": now.gather(1, chosen)[:, 0],
                "reference": reference.gather(1, chosen)[:, 0],
                "kl": (now.exp() * (now - reference)).sum(-1),
                "entropy": -(now.exp() * now).sum(-1),
                "value": value,
            }
            for name, each in found.items():
                getattr(batch, name)[row.span] = each.double().cpu().numpy()
    return batch


def spans(episodes: Sequence[Episode]) -> Iterator[tuple[Episode, slice]]:
    """Each episode and where its own tokens are in the batch."""
    begin = 0
    for episode in episodes:
        size = sum(len(turn.own) for turn in episode.turns)
        yield episode, slice(begin, begin + size)
        begin += size


def rewards(episode: Episode, penalty: Array) -> Array:
    """The reward after each own token: minus `penalty`, and a turn's or the episode's own at the last own token that came before it."""
    earned = -penalty
    place = -1
    for turn in episode.turns:
        place += len(turn.own)
        if place >= 0:
            earned[place] += turn.reward
    if place >= 0:
        earned[place] += episode.reward
    return earned


def gae(earned: Array, value: Array, discount: float, decay: float) -> Array:
    """Generalised advantage estimates along one episode, after whose end the value is zero.

    >>> gae(np.array([0.0, 1.0]), np.array([0.5, 0.5]), 1.0, 1.0).tolist()
    [0.5, 0.5]
    """
    surprise = earned + discount * np.append(value[1:], 0.0) - value
    advantage = np.zeros_like(surprise)
    running = 0.0
    for t in range(len(surprise) - 1, -1, -1):
        running = surprise[t] + discount * decay * running
        advantage[t] = running
    return advantage


def estimate(settings: Settings, episodes: Sequence[Episode], batch: Batch, kl_weight: float) -> dict[str, float]:
    """Fill in whitened advantages and returns; what they look like."""
    advantage = np.zeros_like(batch.value)
    for episode, span in spans(episodes):
        earned = rewards(episode, kl_weight * (batch.logprob - batch.reference)[span])
        advantage[span] = gae(earned, batch.value[span], settings.discount, settings.decay)
    batch.returns = advantage + batch.value
    batch.advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    spread_of_returns = float(batch.returns.var())
    return {
        "advantage_mean": float(advantage.mean()),
        "advantage_std": float(advantage.std()),
        "return_mean": float(batch.returns.mean()),
        "value_mean": float(batch.value.mean()),
        "explained_variance": 1 - float((batch.returns - batch.value).var()) / spread_of_returns if spread_of_returns > 0 else math.nan,
    }


def update(settings: Settings, learner: Learner, batch: Batch, generator: np.random.Generator) -> dict[str, float]:
    """Steps of the optimiser over a batch, ended early when the policy has moved far enough; what happened, as means over the steps."""
    import torch

    seen: list[dict[str, float]] = []
    steps, early = 0, False
    critic = list(learner.critic.parameters())
    for _ in range(settings.epochs):
        for part in np.array_split(generator.permutation(len(batch.rows)), min(settings.minibatches, len(batch.rows))):
            learner.optimiser.zero_grad(set_to_none=True)
            seen.append(accumulate(settings, learner, batch, [batch.rows[i] for i in part]))
            if early := seen[-1]["approx_kl"] > settings.kl_step:
                break
            seen[-1]["gradient_norm"] = float(torch.nn.utils.clip_grad_norm_(list(learner.matrices.values()), settings.norm))
            seen[-1]["value_gradient_norm"] = float(torch.nn.utils.clip_grad_norm_(critic, settings.norm))
            if not all(map(math.isfinite, seen[-1].values())):
                raise Diverged(f"after {steps} steps of an update: " + ", ".join(f"{key} {value:g}" for key, value in seen[-1].items()))
            learner.optimiser.step()
            steps += 1
        if early:
            break
    learner.optimiser.zero_grad(set_to_none=True)
    found = {key: float(np.mean([one[key] for one in seen if key in one])) for key in seen[0]}
    return found | {
        "ratio_max": max(one["ratio_max"] for one in seen),
        "steps": steps,
        "early": early,
        "rate": learner.optimiser.param_groups[0]["lr"],
    }


def accumulate(settings: Settings, learner: Learner, batch: Batch, rows: Sequence[Row]) -> dict[str, float]:
    """Add the gradient of the loss, a mean over the own tokens of `rows`, row by row; its parts."""
    import torch

    device = learner.model.device
    own = sum(row.span.stop - row.span.start for row in rows)
    totals = dict.fromkeys(("policy_loss", "value_loss", "approx_kl", "clip_fraction", "value_clip_fraction", "entropy_after"), 0.0)
    ratio_max = 0.0
    for row in rows:
        before, advantage, returns, was = (
            torch.as_tensor(each[row.span], dtype=torch.float32, device=device)
            for each in (batch.logprob, batch.advantage, batch.returns, batch.value)
        )
        logs, value = learner.look(row)
        change = logs.gather(1, row.actions[:, None])[:, 0] - before
        ratio = change.exp()
        clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
        policy_loss = -torch.minimum(ratio * advantage, clipped * advantage)

        near = was + (value - was).clamp(-settings.value_clip, settings.value_clip)
        value_loss = 0.5 * torch.maximum((value - returns) ** 2, (near - returns) ** 2)

        entropy = -(logs.exp() * logs).sum(-1)
        loss = policy_loss + settings.value_weight * value_loss - settings.entropy_weight * entropy
        (loss.sum() / own).backward()

        each_token = {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "approx_kl": ratio - 1 - change,  # estimates KL(before, now), and is never negative
            "clip_fraction": (ratio * advantage > clipped * advantage).float(),
            "value_clip_fraction": (near != value).float(),
            "entropy_after": entropy,
        }
        for name, each in each_token.items():
            totals[name] += float(each.detach().double().sum()) / own
        ratio_max = max(ratio_max, float(ratio.detach().max()))
    return totals | {"ratio_max": ratio_max}


def look_at(episodes: Sequence[Episode], batch: Batch) -> dict[str, float]:
    """What a practitioner looks at of a batch before the update."""
    totals = np.array([episode.total for episode in episodes])
    turns = [turn for episode in episodes for turn in episode.turns]
    parts = sorted({name for episode in episodes for name in episode.parts})
    apart = np.array([batch.kl[span].sum() for _, span in spans(episodes)])
    sampled = np.array([turn.logprob[i] for turn in turns for i in turn.own])
    return {
        "episodes": len(episodes),
        "reward": float(totals.mean()),
        "reward_error": float(totals.std() / math.sqrt(len(totals))),
        **{f"part {name}": float(np.mean([episode.parts.get(name, 0.0) for episode in episodes])) for name in parts},
        "kl": float(apart.mean()),
        "kl_sampled": float((batch.logprob - batch.reference).sum() / len(episodes)),
        "entropy": float(batch.entropy.mean()),
        "turns": len(turns) / len(episodes),
        "own_tokens": len(sampled) / len(episodes),
        "reply_tokens": sum(len(turn.reply) for turn in turns) / len(episodes),
        "prompt_tokens": sum(len(turn.prompt) for turn in turns) / len(episodes),
        "computed_tokens": sum(row.hidden.shape[1] for row in batch.rows) / len(episodes),
        "sampling_gap": float(np.abs(batch.logprob - sampled).mean()),  # of log-probabilities as sampled and as scored: rounding
    }


def judge(settings: Settings, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the weights that played the last batch are good ones: not far below the best. Diverged when training has to stop."""
    last = rows[-1]
    values = [last[key] for key in ("reward", "kl", "kl_sampled", "entropy", "sampling_gap")]
    if not all(map(math.isfinite, values)):
        raise Diverged(f"update {last['update']}: reward, KL or entropy is not a number: {values}")
    if last["kl"] > settings.kl_most:
        raise Diverged(f"update {last['update']}: {last['kl']:.3g} nats an episode from the reference, more than {settings.kl_most:g}")
    if last["entropy"] < settings.entropy_least * rows[0]["entropy"]:
        least = settings.entropy_least * rows[0]["entropy"]
        raise Diverged(f"update {last['update']}: entropy fell to {last['entropy']:.3g} nats a token, below {least:.3g}")
    reward = [row["reward"] for row in rows]
    smooth = [float(np.mean(reward[max(0, i + 1 - SMOOTH) : i + 1])) for i in range(len(reward))]
    if smooth[-1] < max(smooth) - settings.fall:
        raise Diverged(f"update {last['update']}: reward fell from {max(smooth):.3g} to {smooth[-1]:.3g}, by more than {settings.fall:g}")
    return smooth[-1] >= max(smooth) - settings.fall / 2


def finish(settings: Settings, learner: Learner, start: Path | None, out: Path, trace: Trace, state: State, stopped: str = "") -> dict[str, Any]:
    """Draw the curves and keep the good adapter; its card."""
    draw(trace.rows, out / "curves.png")
    made = {
        "method": "LoRA, proximal policy optimisation",
        "updates": state.update,
        "good_before_update": state.good,
        "stopped": stopped,
        "reward_first_last": [row["reward"] for row in (trace.rows[0], trace.rows[-1]) if "reward" in row],
        "kl_last": trace.rows[-1].get("kl"),
        "minutes": round(state.seconds / 60, 1),
    }
    return keep(settings, learner.good, start, out, made)


class Clock:
    """Seconds of wall clock, from one lap to the next."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def lap(self) -> float:
        now = time.monotonic()
        taken, self.last = now - self.last, now
        return round(taken, 3)
