"""The command as `accelerate launch` starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_base import written

import moho.rl

CONFIG = Path(moho.rl.__file__).parent / "fsdp.yaml"


@pytest.mark.slow
def test_accelerate_starts_the_command_on_a_cpu(tmp_path: Path) -> None:
    base = written(tmp_path / "base")
    given = ["--config_file", str(CONFIG), "--cpu", "--num_processes", "1", "-m", "moho.agent.cli"]
    told = ["train", "sft", "--preset", "micro", "--base", str(base), "--out", "out", "--minutes", "0.0001"]
    environment = os.environ | {"PYTHONPATH": str(Path(moho.rl.__file__).parents[2])}
    command = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", *given, *told]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    card = json.loads((tmp_path / "out" / "adapter.json").read_text())
    assert (card["base"], card["steps"]) == (str(base.resolve()), 1)
    assert card["settings"]["layers"] == [0, 2]
    assert done.stdout.splitlines()[-1].startswith("out: 1 steps")
