"""Carrying out one checked call on a project: load, run, draw, keep. The graph, the command line and a replay all come here."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from moho.agent.registry import Call, execute, find_tool, load_tools
from moho.project import Run, StepRecord
from moho.survey import Data, Report, Volume
from moho.volumes import THREAD, Place, Tell, Workers, into

Error = Mapping[str, str]


def perform(
    call: Call, run: Run, *, identity: str = "", notes: Sequence[str] = (), draw: bool = True, workers: Workers = THREAD, tell: Tell | None = None
) -> StepRecord:
    """The kept step of a call, with its figure. Whatever the tool raises is raised again after the failed step is kept.

    Volumes are made by `workers`, in a folder that the same call finds again after a kill; `tell` hears of each chunk.
    """
    inputs = [name for names in call.data.values() for name in ([names] if isinstance(names, str) else names)]
    started = time.perf_counter()
    with run.part(lambda: _key(call, run, inputs)) as folder:
        try:
            with into(Place(folder, workers, tell)):
                result = execute(call, run.project.load)
            if notes:
                result = replace(result, notes=(*result.notes, *notes))
        except Exception as error:
            seconds = time.perf_counter() - started
            reason = {"code": getattr(error, "code", type(error).__name__), "message": str(error)}
            run.keep(call.tool, call.arguments, [], None, seconds=seconds, error=reason, call=identity)
            raise
        seconds = time.perf_counter() - started
        new = find_tool(call.tool).stage != "plot" and not isinstance(result, Report)
        beside = streamed(result)
        drawn = figures if draw else None
        return run.keep(call.tool, call.arguments, inputs, result, seconds=seconds, draw=drawn, new=new, call=identity, beside=beside)


def streamed(result: Data) -> Path | None:
    """The file of a volume that the call itself has written."""
    written = isinstance(result, Volume) and result.streamed and result.path.rpartition("/")[0].endswith(".part")
    return Path(result.path) if isinstance(result, Volume) and written else None


def _key(call: Call, run: Run, inputs: Sequence[str]) -> str:
    """The same for the same call on the same data."""
    told = [call.tool, call.arguments, {name: run.project.sha256(name) for name in inputs}]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:24]


def figures(result: Data, folder: Path) -> list[Path]:
    """The figure of a result as PNG, SVG and JSON; none for what has no picture."""
    from moho import plot

    figure = plot.draw(result)
    return plot.save(figure, folder / "figure", plot.alt_text(result), dict(result.view)) if figure is not None else []


def recall(step: Mapping[str, Any]) -> Call:
    """The call of a kept step, for a replay."""
    arguments = step["arguments"]
    data = {a.name: arguments[a.name] for a in load_tools()[step["tool"]].arguments if a.is_data and arguments.get(a.name) is not None}
    return Call(step["tool"], data, {key: value for key, value in arguments.items() if key not in data})
