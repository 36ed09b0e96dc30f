"""Small files, a project of them, and a scripted agent on it, for the tests of what surrounds the tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.messages import AIMessage
from made_segy import build, section

from moho.agent import guard, offer
from moho.agent.graph import Agent
from moho.agent.model import ScriptedChat, call
from moho.agent.registry import load_tools
from moho.project import Project


def write_line(path: Path, traces: int = 12, samples: int = 400, seed: int = 0) -> Path:
    """A SEG-Y stack at 2 ms, CDP 101 onwards."""
    path.write_bytes(build(section(traces, samples, seed), fields={21: np.arange(101, 101 + traces)}))
    return path


def write_well(path: Path) -> Path:
    """A LAS well with GR between 20 and 120 gAPI."""
    depth = np.arange(1000.0, 1050.0, 0.5)
    rows = "\n".join(f"{d:.2f} {70 + 50 * np.sin(d):.3f} {2.3 + 0.1 * np.cos(d):.4f}" for d in depth)
    head = "~V\nVERS. 2.0:\nWRAP. NO:\n~W\nSTRT.M 1000:\nSTOP.M 1049.5:\nSTEP.M 0.5:\nNULL. -999.25:\nWELL. A-1:\n"
    head += "~C\nDEPT.M :\nGR.GAPI :\nRHOB.G/C3 :\n~A\n"
    path.write_text(head + rows + "\n")
    return path


def write_gravity(path: Path, rows: int = 60) -> Path:
    """Gravity stations with heights."""
    rng = np.random.default_rng(1)
    lon, lat, height = rng.uniform(20, 21, rows), rng.uniform(-30, -29, rows), rng.uniform(500, 900, rows)
    lines = [f"{a:.5f},{b:.5f},{h:.2f},{979000 - 0.2 * h:.3f}" for a, b, h in zip(lon, lat, height, strict=True)]
    path.write_text("\n".join(["longitude,latitude,height_m,gravity_mgal", *lines]) + "\n")
    return path


def made_project(folder: Path, *, well: bool = False) -> Project:
    """A project with `line`, and `well` where wanted."""
    folder.mkdir(parents=True, exist_ok=True)
    project = Project.open(folder / "project")
    project.add(write_line(folder / "line.sgy"))
    if well:
        project.add(write_well(folder / "well.las"))
    return project


def quick_choice(request: str, kinds: Any, used: Any = (), many: int = 8, **others: Any) -> list[str]:
    """In place of the sentence encoder, which takes seconds to load: the tools that fit the data, in order."""
    held = set(kinds.values())
    return sorted(name for name, tool in load_tools().items() if offer.fits(tool, held))[:many]


def scripted(project: Project, *replies: Any, checkpointer: Any = None, budget: guard.Budget | None = None, **more: Any) -> Agent:
    """An agent whose model replies with these: messages, words, or functions of the messages."""
    said = [AIMessage(reply) if isinstance(reply, str) else reply for reply in replies]
    return Agent(project, ScriptedChat(replies=said), checkpointer=checkpointer, budget=budget, draw=more.pop("draw", False), **more)


def calls(*several: AIMessage) -> AIMessage:
    """Several calls in one message, each with an id of its own."""
    return AIMessage("", tool_calls=[one.tool_calls[0] | {"id": f"{i}"} for i, one in enumerate(several)])


__all__ = ["AIMessage", "call", "calls", "made_project", "quick_choice", "scripted", "write_gravity", "write_line", "write_well"]
