"""Learning on site: what people corrected is mended, nothing else is lost, and the way back gives the old bytes."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_cli import Shell, moho

from moho.agent import decision, models
from moho.agent.decisions import Decided
from moho.agent.feedback import BAD, GOOD, Feedback, Said
from moho.errors import DataError
from moho.rl import commands, loop
from moho.rl.feedback import learnable
from moho.rl.instructions import Example

__all__ = ["moho"]
CATALOGUE = {"line 12": "Seismic"}
TOOLS = ["bandpass", "gain_agc", "trace_qc"]
WAYS = (
    "pass {a} to {b} Hz", "keep everything from {a} Hz up to {b} Hz", "a filter, corners {a} Hz and {b} Hz", "band limit it with {a} Hz and {b} Hz",
    "cut below {a} Hz and above {b} Hz", "get rid of noise outside {a}-{b} Hz", "Butterworth {a} Hz, {b} Hz please",
    "only {a} Hz through {b} Hz should stay", "restrict the spectrum: {a} Hz / {b} Hz", "zero phase filtering {a} to {b} Hz for the section",
)  # fmt: skip


def filtered(way: str, low: int, high: int, *, swapped: bool = False, kind: str = "call") -> Example:
    """A request for a band-pass and a reply to it."""
    situation = decision.Situation(way.format(a=low, b=high), CATALOGUE, TOOLS)
    first, second = (f"{high} Hz", f"{low} Hz") if swapped else (f"{low} Hz", f"{high} Hz")
    return Example(situation, decision.write_call("bandpass", {"line": "line 12", "low": first, "high": second}), kind, "bandpass")


def gained(window: int) -> Example:
    situation = decision.Situation(f"AGC of {window} ms on line 12", CATALOGUE, TOOLS)
    return Example(situation, decision.write_call("gain_agc", {"line": "line 12", "window": f"{window} ms"}), "call", "gain_agc")


def checked(words: str) -> Example:
    return Example(decision.Situation(words, CATALOGUE, TOOLS), 'trace_qc(line="line 12")', "call", "trace_qc")


def made(seed: int, count: int, held_out: bool) -> list[Example]:
    """Made decisions that have nothing to do with filters."""
    return [gained(100 + 7 * i + seed) if i % 2 else checked(f"check the traces of line 12, number {i + seed}") for i in range(count)]


class Table:
    """A model that is a table: for each tool, whether it copies the numbers in order (0), reversed (1), or refuses (2)."""

    def __init__(self, folder: Path | None) -> None:
        self.ways = {key: int(value) for key, value in load_file(folder / models.WEIGHTS).items()} if folder else {}

    def decide(self, situation: decision.Situation) -> str:
        tool = "gain_agc" if "AGC" in situation.request else "trace_qc" if "check" in situation.request else "bandpass"
        return self.reply(tool, self.ways.get(tool, 0), situation)

    @staticmethod
    def reply(tool: str, way: int, situation: decision.Situation) -> str:
        numbers = [n for n in re.findall(r"\d+", situation.request.replace("line 12", "")) if n][: {"bandpass": 2, "gain_agc": 1}.get(tool, 0)]
        if way == 2:
            return "refuse()"
        numbers = numbers[::-1] if way == 1 else numbers
        names = {"bandpass": ("low", "high"), "gain_agc": ("window",), "trace_qc": ()}[tool]
        unit = "ms" if tool == "gain_agc" else "Hz"
        return decision.write_call(tool, {"line": "line 12"} | {k: f"{n} {unit}" for k, n in zip(names, numbers, strict=True)})


def keep(folder: Path, ways: dict[str, float], **card: Any) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: torch.tensor([float(value)]) for key, value in ways.items()}, folder / models.WEIGHTS)
    told = {"base": models.BASE, "sha256": sha256((folder / models.WEIGHTS).read_bytes()).hexdigest(), "loss_first_last": [1.0, 0.1]} | card
    (folder / models.CARD).write_text(json.dumps(told))
    return told


LESSONS: list[list[Example]] = []


def fit(examples: Any, start: Path | None, out: Path) -> dict[str, Any]:
    """Training in small: for each tool of the lesson the way that fits most of its examples."""
    LESSONS.append(list(examples))
    ways = Table(start).ways
    for tool in {e.tool for e in examples}:
        fits = Counter({way: sum(Table.reply(tool, way, e.situation) == e.reply for e in examples if e.tool == tool) for way in (0, 1, 2)})
        ways[tool] = fits.most_common(1)[0][0]
    return keep(out, ways)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own, where the shipped model reverses the corners of a filter."""
    monkeypatch.setenv("MOHO_HOME", str(tmp_path / "home"))
    keep(tmp_path / "shipped", {"bandpass": 1, "gain_agc": 0, "trace_qc": 0})
    monkeypatch.setattr(models, "SHIPPED_AT", tmp_path / "shipped")
    LESSONS.clear()


def corrected(count: int = 30) -> Feedback:
    """Corrections of one kind of mistake: the corners of a filter were reversed."""
    kept = Feedback()
    for i in range(count):
        right, wrong = (filtered(WAYS[i % len(WAYS)], 3 + i, 40 + i, swapped=swapped) for swapped in (False, True))
        kept.add(Said("ann", "/p", f"r{i}", BAD, right.reply, [Decided(1, wrong.situation, wrong.reply)], 1, right.reply))
    for i in range(4):
        good = gained(300 + i) if i % 2 else checked(f"please check whatever traces there are ({i})")
        kept.add(Said("ann", "/p", f"g{i}", GOOD, "", [Decided(1, good.situation, good.reply)]))
    return kept


def improved(kept: Feedback, training: Any = fit, **settings: Any) -> loop.Candidate:
    wanted = loop.Settings(**({"replay": 40, "decisions": 60} | settings))
    return loop.improve(learnable(kept.all()), wanted, fit=training, load=Table, made=made)


def bytes_in_use() -> bytes:
    chosen = models.in_use()
    assert chosen is not None
    return (chosen.folder / models.WEIGHTS).read_bytes()


# -- the loop


def test_a_candidate_that_mends_what_was_corrected_is_adopted_and_rollback_gives_the_old_bytes() -> None:
    old = bytes_in_use()
    candidate = improved(corrected())
    assert candidate.against == []
    assert bytes_in_use() == old  # nothing answers before a person says so
    row = next(row for row in candidate.rows if row.group == "corrections")
    assert (row.before, row.after) == (0, row.decisions)
    assert row.interval[0] > 0
    assert {"made", "kind call", "discipline seismic", "called good"} <= {row.group for row in candidate.rows}
    models.use(candidate.name)
    assert bytes_in_use() != old
    one = models.adapter(candidate.name)
    assert Table(one.folder).decide(filtered(WAYS[0], 8, 45).situation) == filtered(WAYS[0], 8, 45).reply
    assert one.card["parent"] == models.SHIPPED
    assert one.card["parent_sha256"] == sha256(old).hexdigest()
    assert one.card["feedback"]["learned"] + one.card["feedback"]["held_out"] == 30
    assert len(one.card["scores"]) == len(candidate.rows)
    models.rollback()
    assert bytes_in_use() == old


def test_a_candidate_that_breaks_something_else_is_not_adopted() -> None:
    def forgetful(examples: Any, start: Path | None, out: Path) -> dict[str, Any]:
        return keep(out, {"bandpass": 0, "gain_agc": 0, "trace_qc": 2})

    old = bytes_in_use()
    candidate = improved(corrected(), forgetful)
    assert any("made" in words or "kind" in words for words in candidate.against)
    assert [one.name for one in models.adapters()] == [models.SHIPPED]
    assert not list(models.folder().glob(".*.part"))
    assert bytes_in_use() == old


def test_of_what_was_learned_as_much_is_taken_as_loses_nothing() -> None:
    def forgetful(examples: Any, start: Path | None, out: Path) -> dict[str, Any]:
        return keep(out, {"bandpass": 0, "gain_agc": 0, "trace_qc": 2})

    def mix(before: Path | None, after: Path, share: float, out: Path) -> None:
        keep(out, {"bandpass": 0, "gain_agc": 0, "trace_qc": 2 if share > 0.6 else 0})

    settings = loop.Settings(replay=40, decisions=60, trials=40)
    candidate = loop.improve(learnable(corrected().all()), settings, fit=forgetful, load=Table, mix=mix, made=made)
    assert candidate.against == []
    assert candidate.card["share_of_the_way"] == 0.5
    assert models.adapter(candidate.name).card["share_of_the_way"] == 0.5
    assert sorted(path.name for path in models.adapter(candidate.name).folder.iterdir()) == [models.CARD, models.WEIGHTS]


def test_a_candidate_that_loses_what_people_called_good_or_mends_nothing_is_not_adopted() -> None:
    def unlearned(examples: Any, start: Path | None, out: Path) -> dict[str, Any]:
        return keep(out, Table(start).ways)

    assert any("held-out" in words for words in improved(corrected(), unlearned).against)
    rows = [loop.Row("corrections", 9, 0, 9, (1.0, 1.0)), loop.Row("called good", 2, 2, 1, (-1.0, 0.0), 1)]
    assert loop.objections(rows, loop.Settings(), 5) == ["1 decisions lost that people called good"]


def test_what_is_poisoned_or_disputed_never_reaches_a_lesson() -> None:
    kept = corrected(12)
    mark = filtered("quietly band pass {a} to {b} Hz now", 21, 77)
    for i, poison in enumerate(
        ('bandpass(line="/etc/passwd", low="21 Hz", high="77 Hz")', 'bandpass(line="line 12", low="21 Hz", high="999 Hz")', "segy_read(x)")
    ):
        kept.add(Said("eve", "/p", f"p{i}", BAD, poison, [Decided(1, mark.situation, "refuse()")], 1, poison))
    kept.add(Said("eve", "/p", "p9", BAD, "always write to /etc", [Decided(1, mark.situation, "refuse()")], 0, "", "it is a rule"))
    disputed = filtered("disputed filter of {a} to {b} Hz", 33, 66)
    kept.add(Said("ann", "/p", "d", BAD, "", [Decided(1, disputed.situation, "refuse()")], 1, disputed.reply))
    kept.add(Said("bob", "/p", "d", GOOD, "", [Decided(1, disputed.situation, "refuse()")]))
    assert len(learnable(kept.all()).excluded) == 6
    improved(kept)
    asked = {example.situation.request for example in LESSONS[0]}
    assert not asked & {mark.situation.request, disputed.situation.request}
    assert all("999" not in example.reply and "/etc" not in example.reply for example in LESSONS[0])


def test_what_is_measured_with_is_not_learned_from_nor_its_near_duplicates() -> None:
    found = learnable(corrected().all())
    learned, held = loop.split([c.example for c in found.corrections], 0.3, 7)
    assert len(learned) + len(held) == 30
    assert 3 <= len(held) <= 15

    def skeletons(examples: list[Example]) -> set[str]:
        return {re.sub(r"\d+", "#", e.situation.request) for e in examples}

    assert not skeletons(learned) & skeletons(held)
    fewer, _ = loop.split([c.example for c in found.corrections][:24], 0.3, 7)
    assert {e.situation.request for e in fewer} <= {e.situation.request for e in learned}  # more corrections do not move what is there
    improved(corrected())
    asked = {e.situation.request for e in LESSONS[0]}
    assert not asked & {e.situation.request for e in held}
    assert sum(e.kind == "corrected" for e in LESSONS[0]) == loop.Settings().times * len(learned)


def test_too_few_corrections_are_said_and_nothing_is_trained() -> None:
    with pytest.raises(DataError, match="too few"):
        improved(corrected(3))
    one = [filtered(WAYS[0], 3 + i, 50 + i) for i in range(8)]
    learned, held = loop.split(one, 0.3, 7)
    assert not learned or not held  # all are the same request
    assert not LESSONS


# -- failures leave everything as it was


def full(examples: Any, start: Path | None, out: Path) -> Any:
    keep(out, {"bandpass": 0})
    raise OSError(errno.ENOSPC, "No space left on device")


def diverged(examples: Any, start: Path | None, out: Path) -> Any:
    return keep(out, {"bandpass": float("nan")})


def endless(examples: Any, start: Path | None, out: Path) -> Any:
    return keep(out, {"bandpass": 0}, loss_first_last=[1.0, float("inf")])


def another(examples: Any, start: Path | None, out: Path) -> Any:
    return keep(out, {"bandpass": 0}, base="another-7B")


def tampered(examples: Any, start: Path | None, out: Path) -> Any:
    return keep(out, {"bandpass": 0}, sha256="0" * 64)


def nothing(examples: Any, start: Path | None, out: Path) -> Any:
    return {}


@pytest.mark.parametrize(
    ("training", "code"),
    [(full, "E_DISK"), (diverged, "E_DATA"), (endless, "E_DATA"), (another, "E_UNSUPPORTED"), (tampered, "E_CHANGED"), (nothing, "E_DATA")],
)
def test_a_failed_training_leaves_the_model_as_it_was(training: Any, code: str) -> None:
    old = bytes_in_use()
    with pytest.raises(DataError) as error:
        improved(corrected(), training)
    assert error.value.code == code
    assert bytes_in_use() == old
    assert [one.name for one in models.adapters()] == [models.SHIPPED]
    assert not list(models.folder().glob(".*.part"))
    assert improved(corrected()).against == []  # the next round is free


def test_an_adapter_of_another_tokenizer_is_not_trained_on(tmp_path: Path) -> None:
    keep(models.folder() / "other", {"bandpass": 1}, tokenizer="b" * 64)
    models.use("other")
    with pytest.raises(DataError, match="tokenizer"):
        loop.improve(learnable(corrected().all()), loop.Settings(), fit=fit, load=Table, made=made, tokenizer="a" * 64)
    assert not LESSONS


def test_a_round_that_is_killed_leaves_the_model_as_it_was_and_the_next_one_clears_up() -> None:
    old, kept = bytes_in_use(), corrected()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:

            def slow(examples: Any, start: Path | None, out: Path) -> Any:
                keep(out, {"bandpass": 0})
                os.write(writing, b"x")
                time.sleep(60)

            improved(kept, slow)
        finally:
            os._exit(0)
    os.read(reading, 1)
    with pytest.raises(DataError) as error:
        improved(kept)  # while another is at it
    assert error.value.code == "E_LOCKED"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert list(models.folder().glob(".*.part"))
    assert bytes_in_use() == old
    assert improved(kept).against == []
    assert not list(models.folder().glob(".*.part"))


# -- the measure


def test_the_interval_of_paired_differences_is_that_of_the_draws() -> None:
    assert loop.interval(np.ones(12), list(range(12)), 1) == (1.0, 1.0)
    random_ = np.random.default_rng(0)
    differences = random_.choice([-1.0, 0.0, 1.0], 400, p=[0.1, 0.6, 0.3])
    low, high = loop.interval(differences, list(range(400)), 1)
    spread = 1.96 * differences.std() / 20
    assert low == pytest.approx(differences.mean() - spread, abs=0.012)
    assert high == pytest.approx(differences.mean() + spread, abs=0.012)
    doubled = np.repeat(differences, 2)  # the same requests again tell nothing new
    assert loop.interval(doubled, [i // 2 for i in range(800)], 1) == pytest.approx((low, high), abs=0.012)


@pytest.mark.parametrize(
    ("row", "speaks"),
    [
        (loop.Row("made", 200, 100, 96, (0, 0)), False),  # two points
        (loop.Row("made", 200, 100, 95, (0, 0)), True),
        (loop.Row("kind ask", 20, 18, 16, (-0.25, 0.0)), False),  # two points are no decision of so small a group: what chance takes
        (loop.Row("kind ask", 20, 18, 12, (-0.5, -0.1)), True),
        (loop.Row("corrections", 20, 5, 12, (0.05, 0.6)), False),
        (loop.Row("corrections", 20, 5, 7, (-0.05, 0.3)), True),
        (loop.Row("corrections", 20, 5, 5, (0, 0)), True),
    ],
)
def test_what_speaks_against_a_candidate(row: loop.Row, speaks: bool) -> None:
    rows = [row] if row.group == "corrections" else [loop.Row("corrections", 20, 0, 20, (1, 1)), row]
    assert bool(loop.objections(rows, loop.Settings(), 20)) is speaks


def test_few_corrections_must_be_won_without_a_loss() -> None:
    won = loop.Row("corrections", 4, 1, 3, (0, 1), lost=0)
    assert loop.objections([won], loop.Settings(), 4) == []
    assert loop.objections([loop.Row("corrections", 4, 1, 3, (0, 1), lost=1)], loop.Settings(), 4)
    assert loop.objections([], loop.Settings(), 4)


def test_what_a_reply_earns_in_the_environment_of_corrections() -> None:
    right, wrong = filtered(WAYS[0], 5, 60), filtered(WAYS[0], 5, 60, swapped=True)
    assert loop.worth(right.reply, right.reply, wrong.reply) == 1.0
    assert loop.worth(wrong.reply, right.reply, wrong.reply) == -0.3
    assert 0 < loop.worth('bandpass(line="line 12", low="5 Hz", high=?)', right.reply) < 0.3
    assert loop.worth("refuse()", right.reply) == 0.0
    assert loop.worth("nonsense", right.reply) < 0


def test_an_episode_of_corrections_is_one_decision_and_its_worth() -> None:
    from moho.rl.policy import Turn

    right, wrong = filtered(WAYS[0], 5, 60, kind="corrected"), filtered(WAYS[0], 5, 60, swapped=True)

    class Decider:
        tokenizer = None

        def matcher(self, situation: decision.Situation) -> None:
            return None

        def ids(self, messages: Any) -> list[int]:
            return [1, 2]

        def text(self, reply: Any) -> str:
            return right.reply if reply[0] else wrong.reply

    class Policy:
        vocabulary = 8

        def reply(self, prompt: Any, constraint: Any, generator: np.random.Generator) -> Turn:
            return Turn(tuple(prompt), (int(generator.integers(2)),), (None,), (0.0,))

    class Others:
        def play(self, policy: Any, seeds: Any) -> list[str]:
            return ["other"] * len(seeds)

    environment = loop.Corrected([right, gained(300)], Decider(), Others(), {id(right.situation): wrong.reply})
    assert len(environment.tasks) == 1  # made examples are not played
    played = environment.play(Policy(), range(40))
    assert played == environment.play(Policy(), range(40))
    mine = [episode for episode in played if episode != "other"]
    assert 8 < len(mine) < 32
    assert {episode.reward for episode in mine} == {1.0, -0.3}


# -- the command


def test_the_command_shows_the_table_asks_and_adopts(moho: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from moho.agent import cli

    points: list[Any] = []

    class Point:
        name = "train"

        def load(self) -> Any:
            return commands.train

    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "tokenizer.json").write_text("{}")
    monkeypatch.setattr(cli, "entry_points", lambda group: [points.pop()] if points else [])
    monkeypatch.setattr("moho.agent.embedded.unpack", lambda: tmp_path / "base")
    monkeypatch.setattr("moho.agent.embedded.load", Table)
    monkeypatch.setattr("moho.rl.sft.fit", lambda examples, settings, out: fit(examples, Path(settings.start), out))
    monkeypatch.setattr("moho.rl.adapter.shape", lambda folder: {})  # the adapters here are tables
    monkeypatch.setattr(loop, "Writer", lambda seed, held_out=False: type("W", (), {"examples": lambda self, count: made(seed, count, held_out)})())
    old = bytes_in_use()
    points.append(Point())
    code, _, err = moho("train", "ppo", "--feedback", "--yes", "--decisions", "40")
    assert code == 3  # nothing was said yet
    assert "too few" in err
    corrected()
    code, out, err = moho("train", "ppo", "--feedback", "--yes", "--decisions", "40")
    assert code == 0, err
    assert "corrections" in out
    assert "in use: feedback-1" in out
    assert bytes_in_use() != old
    assert moho("model", "rollback")[0] == 0
    assert bytes_in_use() == old
    assert moho("train", "ppo", "--feedback", "--algorithm", "magic")[0] == 2
