"""Phrasings by several hands: each fits its tool, and those kept for measuring are apart."""

from __future__ import annotations

import json
import re

from moho.agent.registry import load_tools
from moho.agent.voices import FOLDER, asks, phrasings


def test_every_phrasing_is_of_a_tool_and_its_arguments() -> None:
    for path in sorted(FOLDER.rglob("*.jsonl")):
        if path.stem.endswith("-asks"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            row = json.loads(line)
            names = {argument.name for argument in load_tools()[row["tool"]].arguments}
            assert set(re.findall(r"\{(\w+)\}", row["say"])) <= names, f"{path.name}, line {number}"


def test_nearly_every_tool_is_asked_for_in_many_ways() -> None:
    said = phrasings()
    few = [name for name, tool in load_tools().items() if tool.say and tool.stage != "literature" and len(said.get(name, ())) < 8]
    assert set(few) <= {"evidence_table"}
    assert len(asks()) > 100


def test_phrasings_kept_for_measuring_are_no_others() -> None:
    trained = {say for says in phrasings().values() for say in says} | {say for tool in load_tools().values() for say in tool.say}
    kept = {say for says in phrasings(kept=True).values() for say in says}
    assert not kept & trained
