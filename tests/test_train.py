"""The commands that train: which settings a preset, a base and an algorithm come to, and which combinations are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_base import written
from typer.testing import CliRunner

from moho.agent import models
from moho.errors import DataError
from moho.rl import adapter, commands, grpo, ppo, reward, sft


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOHO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(models, "SHIPPED_AT", tmp_path / "shipped")
    monkeypatch.setattr("moho.agent.embedded.embedded", lambda variant="": "decider")


def told(*words: str) -> Any:
    return CliRunner().invoke(commands.train, words)


def seen(monkeypatch: pytest.MonkeyPatch, module: Any) -> list[tuple[Any, ...]]:
    """What a trainer is called with, in place of training."""
    calls: list[tuple[Any, ...]] = []

    def train(*given: Any, **named: Any) -> dict[str, Any]:
        calls.append(given)
        return {"steps": 1, "loss_first_last": [1.0, 0.5], "minutes": 0.0, "sha256": "abc"}

    monkeypatch.setattr(module, "train", train)
    return calls


def test_a_base_comes_with_its_share_of_the_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = seen(monkeypatch, sft)
    base = written(tmp_path / "base")
    shown = told("sft", "--preset", "micro", "--base", str(base), "--seed", "3", "--minutes", "0.5", "--out", "there")
    assert shown.exit_code == 0, shown.output
    settings, out, _ = calls[0]
    assert (settings.base, settings.layers, settings.seed, settings.minutes, settings.examples) == (str(base), (0, 2), 3, 0.5, 64)
    assert out == Path("there")
    assert "there: 1 steps" in shown.output


@pytest.mark.parametrize(("base", "code"), [("no/such", "E_NOT_FOUND"), (".", "E_FORMAT")])
def test_what_is_no_base_is_told_before_anything_is_made(base: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setattr(sft, "Writer", lambda seed: pytest.fail("examples were made"))
    for run in (lambda: sft.train(sft.Settings(base=base), Path("out")), lambda: commands.sft(base=base)):
        with pytest.raises(DataError) as refused:
            run()
        assert refused.value.code == code
    assert list(Path().iterdir()) == []


def test_without_feedback_an_episode_is_a_request_or_one_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    played, single = seen(monkeypatch, ppo), seen(monkeypatch, grpo)
    monkeypatch.setattr(grpo, "Writer", lambda seed: type("W", (), {"examples": lambda self, count: range(count)})())
    for algorithm in ([], ["--algorithm", "ppo"]):
        assert told("ppo", "--preset", "micro", *algorithm).exit_code == 0
    shown = told("ppo", "--algorithm", "grpo", "--seed", "5", "--out", "there")
    assert shown.exit_code == 0, shown.output
    assert "there: abc" in shown.output
    assert [type(call[1]).__name__ for call in played + single] == ["DecisionEnvironment", "DecisionEnvironment", "OneDecision"]
    settings, environment, start, out = single[0]
    assert (settings.seed, settings.updates, start, out) == (5, ppo.PRESETS["tiny"].updates, None, Path("there"))
    assert len(environment.examples) == settings.updates * settings.episodes // grpo.GROUP


def test_each_way_of_learning_has_its_algorithms(monkeypatch: pytest.MonkeyPatch) -> None:
    learned: list[str] = []
    monkeypatch.setattr(commands, "learn", lambda algorithm, *rest: learned.append(algorithm))
    for given in ([], ["--algorithm", "sft"], ["--algorithm", "ppo"]):
        assert told("ppo", "--feedback", *given).exit_code == 0
    assert learned == ["sft", "sft", "ppo"]
    for given, words in (
        (["--algorithm", "sft"], "without --feedback are ppo and grpo, not sft"),
        (["--feedback", "--algorithm", "grpo"], "with --feedback are sft and ppo, not grpo"),
    ):
        refused = told("ppo", *given)
        assert refused.exit_code == 2
        assert words in " ".join(refused.output.replace("│", " ").split())


@pytest.mark.parametrize("command", ["sft", "reward", "ppo"])
def test_a_preset_that_is_none_is_refused_everywhere(command: str) -> None:
    refused = told(command, "--preset", "huge")
    assert refused.exit_code == 2
    assert "presets are" in refused.output


def test_all_trainers_ask_for_the_same_lora_and_run_alike(tmp_path: Path) -> None:
    layers = (16, 30)
    mine, theirs = adapter.lora(sft.Settings(layers=layers)), adapter.lora(ppo.Settings(layers=layers))
    judge = adapter.lora(reward.Settings(layers=layers), "SEQ_CLS")
    assert mine == theirs
    assert {**judge.to_dict(), "task_type": None} == {**mine.to_dict(), "task_type": None}
    alike = [adapter.arguments(settings, tmp_path) for settings in (sft.Settings(rate=1.0), ppo.Settings(rate=1.0), reward.Settings(rate=1.0))]
    assert alike[0] == alike[1] == alike[2]
