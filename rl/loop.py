"""Learning on site: corrections become a candidate adapter, which answers from then on only if it is better and nothing got worse.

    learn     the corrections that are not held out, those decisions that people called good, and made examples so that nothing is forgotten
    temper    between the adapter in use and what was learned: as far as made decisions, of phrasings that are trained on, lose nothing
    measure   the candidate and the adapter in use on the same decisions: held-out corrections, good ones, and made ones by kind and discipline
    adopt     where the held-out corrections are won and no group is lost; the person says yes, and `moho model rollback` goes back

The adapter in use is never written: a candidate grows in a folder of its own, gets its name when it is whole and is in use when the pointer
says so (`moho.agent.models`). Whatever fails before that leaves everything as it was.
"""

from __future__ import annotations

import json
import math
import os
import random
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from moho import store
from moho.agent import decision, models
from moho.agent.better import meant_alike
from moho.agent.registry import load_tools
from moho.errors import DataError, MohoError
from moho.rl.feedback import Correction, Learnable
from moho.rl.instructions import Example, Writer

LEAST = 4  # corrections below which nothing is learned
NEAR = 0.8  # share of words that two requests have in common, above which they are the same one
DRAWS = 2000  # of the bootstrap


@dataclass(frozen=True)
class Settings:
    """One round of learning."""

    seed: int = 7
    held_out: float = 0.3  # share of the corrections, and of the good decisions, that is measured with
    times: int = 4  # each correction is shown
    replay: int = 300  # made examples among them
    shares: tuple[float, ...] = (1.0, 0.7, 0.5, 0.35)  # of the way from the adapter in use to what was learned that are tried
    trials: int = 150  # made decisions that they are tried with
    decisions: int = 300  # made ones measured with, of phrasings that are never trained on
    few: int = 8  # held-out requests below which no interval is asked for, but that none is lost
    worse: float = 0.02  # share of a group that may be lost; of a group in which that is no decision, what chance takes


class Decides(Protocol):
    """A model that decides."""

    def decide(self, situation: decision.Situation) -> str:
        """Its reply, as a line."""
        ...


Fit = Callable[[Sequence[Example], Path | None, Path], Any]  # examples, adapter to go on from, folder to write into
Load = Callable[[Path | None], Decides]  # the model with the adapter of a folder
Mix = Callable[[Path | None, Path, float, Path], None]  # adapter in use, what was learned, share of the way, folder to write into


@dataclass(frozen=True)
class Row:
    """A group of decisions that both have replied to."""

    group: str
    decisions: int
    before: int  # of them right with the adapter in use
    after: int  # with the candidate
    interval: tuple[float, float]  # 95 % of the difference of the shares, by paired bootstrap over requests
    lost: int = 0  # right before and wrong after

    @property
    def words(self) -> str:
        """As a line of a table."""
        shares = f"{self.before / self.decisions:6.3f} {self.after / self.decisions:6.3f}"
        return f"{self.group:<28} {self.decisions:5d} {shares}   {self.interval[0]:+.3f} to {self.interval[1]:+.3f}"


@dataclass(frozen=True)
class Candidate:
    """An adapter that was trained and measured. `against`: why it is not to be adopted, nothing where it is."""

    name: str
    parent: str
    rows: Sequence[Row]
    against: Sequence[str]
    card: Mapping[str, Any] = field(default_factory=dict)

    @property
    def table(self) -> str:
        """What a person is shown."""
        head = f"{'':<28} {'n':>5} {'before':>6} {'after':>6}   difference, 95 %"
        return "\n".join([head, *(row.words for row in self.rows)])


def improve(
    found: Learnable,
    settings: Settings,
    *,
    fit: Fit,
    load: Load,
    mix: Mix | None = None,
    made: Callable[[int, int, bool], Sequence[Example]] | None = None,
    tokenizer: str = "",
    tell: Callable[[str], None] = lambda words: None,
) -> Candidate:
    """A candidate from what people said, measured against the adapter in use; kept under its name where nothing speaks against it.

    `mix` writes an adapter between two; without it the candidate is what was learned. `made(seed, count, held_out)` gives the made examples;
    `tokenizer` is the SHA-256 of the base's, which the card keeps and has to agree with.
    DataError where there is too little to learn from, where training diverged, on a full disk, or for an adapter of another base.
    """
    made = made or (lambda seed, count, held_out: list(Writer(seed, held_out=held_out).examples(count)))
    learned, held = split([c.example for c in found.corrections], settings.held_out, settings.seed)
    if len(found.corrections) < LEAST or not learned or not held:
        there = f"{len(found.corrections)} corrections of {len(groups([c.situation.request for c in found.corrections]))} requests"
        raise DataError("E_DATA", f"{there} are too few to learn from and to measure with: it takes {LEAST}, of two requests")
    good, liked = split(found.liked, settings.held_out, settings.seed)
    with models.locked("train"):
        models.sweep()
        parent = models.in_use()
        start = models.sound(parent, tokenizer).folder if parent else None
        name = models.free_name("feedback")
        growing = models.folder() / f".{name}.{os.getpid()}.part"
        began = time.monotonic()
        try:
            lesson = mixed(learned, [*good, *made(settings.seed, settings.replay, False)], settings)
            tell(f"learning from {len(learned)} corrections, {len(good)} good decisions and {settings.replay} made ones")
            card = dict(fit(lesson, start, growing))
            check(growing, tokenizer)
            share = 1.0
            if mix is not None:
                trials = [*learned, *made(settings.seed + 2, settings.trials, False)]
                share = temper(mix, load, start, growing, trials, settings, tell)
                card = json.loads((growing / models.CARD).read_bytes())
            tests = {"corrections": held, "called good": liked} | grouped(made(settings.seed + 1, settings.decisions, True))
            rows = compare(load, start, growing, tests, settings.seed, tell)
            against = objections(rows, settings, len(groups([e.situation.request for e in held])))
            card |= {
                "parent": parent.name if parent else "",
                "parent_sha256": parent.sha256 if parent else "",
                "made": time.strftime("%Y-%m-%d %H:%M"),
                "feedback": {"learned": len(learned), "held_out": len(held), "good": len(good), "digest": digest(found.corrections)},
                "seed": settings.seed,
                "loop": asdict(settings),
                "share_of_the_way": share,
                "loop_minutes": round((time.monotonic() - began) / 60, 2),
                "scores": [asdict(row) for row in rows],
                "tokenizer": tokenizer,
            }
            if not against:
                store.atomic_write(growing / models.CARD, (json.dumps(card, indent=1) + "\n").encode(), replace=True)
                shutil.rmtree(growing / "checkpoints", ignore_errors=True)
                models.add(growing, name)
        except MohoError:
            raise
        except OSError as error:
            raise store.disk_error(error, growing) from error
        except Exception as error:
            if "os error 28" in str(error) or "No space left" in str(error):  # as safetensors says it
                raise DataError("E_DISK", f"no space to write {growing.name}", "Free some space; the adapter in use is untouched.") from error
            raise
        finally:
            shutil.rmtree(growing, ignore_errors=True)
    return Candidate(name, parent.name if parent else "", rows, against, card)


def temper(
    mix: Mix, load: Load, start: Path | None, learned: Path, trials: Sequence[Example], settings: Settings, tell: Callable[[str], None]
) -> float:
    """Leave in `learned` the adapter that is the farthest on the way there and gets no more of the trials wrong that were made; the share.

    `trials` are corrections that were learned and made decisions. Where each share loses some of these, it is the one that gains most on the whole.
    """

    def count(folder: Path | None) -> dict[bool, int]:
        model = load(folder)
        found = {True: 0, False: 0}
        for example in trials:
            found[example.kind == "corrected"] += meant_alike(model.decide(example.situation), example.reply)
        return found

    before, best = count(start), (-math.inf, 0.0)
    for share in settings.shares:
        there = learned / f"at-{share:g}" if share < 1 else learned
        if share < 1:
            mix(start, learned, share, there)
        now = count(there)
        tell(f"{share:g} of the way: {now[True]} corrections right, {before[True]} before; {now[False]} made decisions right, {before[False]} before")
        best = max(best, (float(sum(now.values())), share))
        if now[False] >= before[False]:
            best = (math.inf, share)
            break
    if (share := best[1]) < 1:
        for name in (models.WEIGHTS, models.CARD):
            store.atomic_write(learned / name, (learned / f"at-{share:g}" / name).read_bytes(), replace=True)
    for path in learned.glob("at-*"):
        shutil.rmtree(path)
    return share


def split(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """(to learn from, to measure with): requests that are nearly the same stay on one side, and on that side from round to round."""
    requests = [example.situation.request for example in examples]
    lot: dict[int, float] = {}
    numbers = _clusters(requests)
    for request, group in zip(requests, numbers, strict=True):
        drawn = int(sha256(f"{seed} {_skeleton(request)}".encode()).hexdigest()[:12], 16) / 16**12
        lot[group] = min(drawn, lot.get(group, 1.0))
    order = sorted(lot, key=lambda group: lot[group])
    several = len(order) > 1
    held = {group for group in order[: -1 if several else 0] if lot[group] < share or (several and group == order[0])}
    return [e for e, group in zip(examples, numbers, strict=True) if group not in held], [
        e for e, group in zip(examples, numbers, strict=True) if group in held
    ]


def groups(requests: Sequence[str]) -> list[list[int]]:
    """The places of requests that are nearly the same, together."""
    found: dict[int, list[int]] = defaultdict(list)
    for place, group in enumerate(_clusters(requests)):
        found[group].append(place)
    return list(found.values())


def mixed(learned: Sequence[Example], others: Sequence[Example], settings: Settings) -> list[Example]:
    """What is trained on, in an order of its own: each correction several times among the others."""
    lesson = [*(example for example in learned for _ in range(settings.times)), *others]
    random.Random(settings.seed).shuffle(lesson)
    return lesson


def grouped(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """Made decisions together, by kind and by discipline."""
    found: dict[str, list[Example]] = {"made": list(examples)}
    for example in examples:
        tool = load_tools().get(example.tool)
        found.setdefault(f"kind {example.kind}", []).append(example)
        found.setdefault(f"discipline {tool.discipline if tool else 'none'}", []).append(example)
    return {group: found[group] for group in sorted(found, key=lambda one: (one != "made", one))}


def compare(
    load: Load, before: Path | None, after: Path | None, tests: Mapping[str, Sequence[Example]], seed: int, tell: Callable[[str], None]
) -> list[Row]:
    """Both on the same decisions, group by group; each decision is asked for once of each."""
    every = {id(example): example for group in tests.values() for example in group}
    right: list[dict[int, bool]] = []
    for folder in (before, after):
        model = load(folder)
        right.append({key: meant_alike(model.decide(example.situation), example.reply) for key, example in every.items()})
        tell(f"{sum(right[-1].values())} of {len(every)} right with {'the adapter in use' if folder == before else 'the candidate'}")
        del model
    rows = []
    for group, examples in tests.items():
        if examples:
            one = np.array([right[0][id(e)] for e in examples], dtype=float)
            two = np.array([right[1][id(e)] for e in examples], dtype=float)
            clusters = _clusters([e.situation.request for e in examples]) if len(examples) < 500 else list(range(len(examples)))
            lost = int(np.sum((one == 1) & (two == 0)))
            rows.append(Row(group, len(examples), int(one.sum()), int(two.sum()), interval(two - one, clusters, seed), lost))
    return rows


def interval(differences: np.ndarray, clusters: Sequence[int], seed: int) -> tuple[float, float]:
    """95 % of the mean of paired differences, drawn by whole clusters."""
    names = sorted(set(clusters))
    place = np.searchsorted(names, clusters)
    total = np.bincount(place, weights=differences, minlength=len(names))
    size = np.bincount(place, minlength=len(names))
    drawn = np.random.default_rng(seed).integers(0, len(names), (DRAWS, len(names)))
    means = total[drawn].sum(axis=1) / size[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return round(float(low), 4), round(float(high), 4)


def objections(rows: Sequence[Row], settings: Settings, requests: int) -> list[str]:
    """What speaks against adopting a candidate, from its rows; `requests`: how many different ones the held-out corrections are of."""
    against = []
    for row in rows:
        gained = row.after - row.before
        if row.group == "corrections":
            if gained <= 0:
                against.append(f"no more held-out corrections right than before ({row.after} of {row.decisions}, before {row.before})")
            elif requests < settings.few and row.lost:
                against.append(f"{row.lost} held-out corrections lost, of {requests} requests only")
            elif requests >= settings.few and row.interval[0] <= 0:
                against.append(f"the gain on held-out corrections may be chance ({row.interval[0]:+.3f} to {row.interval[1]:+.3f})")
        elif row.group == "called good" and requests < settings.few and row.lost:
            against.append(f"{row.lost} decisions lost that people called good")
        elif -gained > row.decisions * settings.worse and (row.decisions * settings.worse >= 1 or row.interval[1] < 0):
            against.append(f"{row.group}: {row.after} of {row.decisions} right, before {row.before}")
    if not any(row.group == "corrections" for row in rows):
        against.append("no correction was held out")
    return against


def check(folder: Path, tokenizer: str) -> None:
    """That what training left is an adapter of this base with finite weights; DataError otherwise."""
    import torch
    from safetensors.torch import load_file

    try:
        card = json.loads((folder / models.CARD).read_bytes())
        tensors = load_file(folder / models.WEIGHTS)
    except Exception as error:  # whatever training left, it is no adapter
        raise DataError("E_DATA", f"training left no adapter: {error}") from error
    models.sound(models.Adapter("candidate", folder, card), tokenizer)
    losses = [loss for loss in card.get("loss_first_last", []) if not np.isfinite(loss)]
    if losses or not tensors or not all(torch.isfinite(value.float()).all() for value in tensors.values()):
        raise DataError("E_DATA", "training diverged: its loss or weights are not finite", "Try a smaller rate; the adapter in use is untouched.")


def digest(corrections: Sequence[Correction]) -> str:
    """SHA-256 of what was learned from, whatever its order."""
    lines = sorted(json.dumps([decision.prompt(c.situation), c.reply, c.right], ensure_ascii=False) for c in corrections)
    return sha256("\n".join(lines).encode()).hexdigest()


class Corrected:
    """What PPO is trained in (`moho.rl.policy.Environment`): the corrected and the good decisions of a lesson, among episodes of `others`.

    A reply that means the right one earns 1; another call of the right tool up to .3, the share of its arguments that are right; the reply
    that was corrected (`wrong`, by the identity of its situation) costs .3.
    """

    def __init__(self, lesson: Sequence[Example], decider: Any, others: Any, wrong: Mapping[int, str] | None = None, share: float = 0.5) -> None:
        self.tasks = [(e.situation, e.reply, (wrong or {}).get(id(e.situation), "")) for e in lesson if e.kind in ("corrected", "liked")]
        self.decider, self.others, self.share = decider, others, share

    def play(self, policy: Any, seeds: Sequence[int]) -> list[Any]:
        """An episode for each seed."""
        return [self._episode(policy, seed) for seed in seeds]

    def _episode(self, policy: Any, seed: int) -> Any:
        from moho.rl.policy import Episode, Grammar

        generator = np.random.default_rng([seed, 5])
        if generator.random() >= self.share:
            return self.others.play(policy, [seed])[0]
        situation, right, wrong = self.tasks[int(generator.integers(len(self.tasks)))]
        constraint = Grammar(self.decider.matcher(situation), self.decider.tokenizer, policy.vocabulary)
        turn = policy.reply(self.decider.ids(decision.prompt(situation)), constraint, generator)
        earned = worth(self.decider.text(turn.reply), right, wrong)
        return Episode((turn,), earned, {"corrected": earned})


def worth(reply: str, right: str, wrong: str = "") -> float:
    """What a reply earns where the right one is known."""
    if meant_alike(reply, right):
        return 1.0
    if wrong and meant_alike(reply, wrong):
        return -0.3
    try:
        a, b = decision.read(reply), decision.read(right)
    except ValueError:
        return -0.3
    if a.name != b.name:
        return 0.0
    one, other = ({*a.arguments.items(), *a.keys}, {*b.arguments.items(), *b.keys})
    return 0.3 * len(one & other) / max(1, len(one | other))


def _clusters(requests: Sequence[str]) -> list[int]:
    """A number for each request, the same for those that are nearly the same: in all but numbers, or in most of their words."""
    skeletons = [_skeleton(request) for request in requests]
    words = [set(re.findall(r"[#\w]+", skeleton)) for skeleton in skeletons]
    number = list(range(len(requests)))
    for i in range(len(requests)):
        for j in range(i):
            if number[i] != number[j] and (skeletons[i] == skeletons[j] or len(words[i] & words[j]) >= NEAR * max(1, len(words[i] | words[j]))):
                old, new = max(number[i], number[j]), min(number[i], number[j])
                number = [new if one == old else one for one in number]
    return number


def _skeleton(request: str) -> str:
    """A request without its numbers."""
    return re.sub(r"[-+]?\d[\d.,]*", "#", re.sub(r"\s+", " ", request.lower().strip(" .?!")))
