"""What the tools return on made earths: the numbers that instruction data can ask about and name."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from moho.agent import decision
from moho.agent.registry import Argument, Tool, load_tools
from moho.errors import MohoError
from moho.survey import Data
from moho.units import Quantity

SEEDS = (901, 902)  # of the made earths whose results are shown; evaluations use seeds below 100


@cache
def harvest() -> dict[str, list[tuple[str, dict[str, Quantity]]]]:
    """Tool -> (class of the data it worked on, facts it returned) on made earths; tools that could not be run there are absent."""
    from moho.encoders import synthetic

    found: dict[str, list[tuple[str, dict[str, Quantity]]]] = {}
    for seed in SEEDS:
        data = _sample(synthetic.earth(seed), seed)
        for _ in range(2):  # the second time on what the first has made
            for name, tool in sorted(load_tools().items()):
                for kind, result in _tries(tool, data):
                    found.setdefault(name, []).append((kind, dict(result.facts) or result.summary()))
                    KIND_MADE.setdefault(name, type(result).__name__)
                    if kind == KIND_MADE[name] or type(result).__name__ not in data:
                        data.setdefault(type(result).__name__, []).append(result)
    return found


def facts_of(tool: str, kind: str, chooser: random.Random) -> dict[str, Quantity] | None:
    """Facts that `tool` returned on data of a class; None where it was never run on one."""
    fitting = [facts for worked_on, facts in harvest().get(tool, []) if worked_on == kind or not kind]
    return chooser.choice(fitting) if fitting else None


@cache
def owner(key: str, kind: str) -> str:
    """The inspecting tool that a question about `key` of data of a class goes to: the first that reports it."""
    for tool in INSPECTING:
        if any(worked_on == kind and key in facts for worked_on, facts in harvest().get(tool, [])):
            return tool
    return ""


INSPECTING = ("segy_inspect", "trace_qc", "segy_geometry", "waveform_inspect", "las_inspect", "table_inspect")
KIND_MADE: dict[str, str] = {}  # tool -> class of its result, filled by `harvest`


def made_kind_of(tool: str) -> str:
    """The class of data set a tool adds to the project, "" for a measurement or a plot."""
    harvest()
    kind = KIND_MADE.get(tool, "")
    return "" if kind == "Report" or load_tools()[tool].stage == "plot" else kind


def made_kind(done: decision.Done, tools: Mapping[str, Tool]) -> str:
    """The class of the data set that a step made."""
    name = done.call.partition("(")[0]
    return made_kind_of(name) if name in tools else ""


def _sample(earth: Any, seed: int) -> dict[str, list[Data]]:
    """One data set of each class, from a made earth."""
    from moho.encoders import synthetic

    waveforms, response, _ = synthetic.earthquake(seed)
    return {
        "Seismic": [earth.section],
        "Gather": [earth.gather],
        "Well": [earth.well],
        "Gravity": [earth.gravity],
        "Magnetics": [earth.magnetics],
        "Waveforms": [waveforms],
        "Response": [response],
    }


DEFAULTS: dict[str, Any] = {
    "low": 5.0,
    "high": 40.0,
    "velocity": 6000.0,
    "cdp": 200,
    "time": 0.8,
    "clean": 25.0,
    "shale": 115.0,
    "rw": 0.05,
    "spacing": 2000.0,
    "degree": 1,
    "distance": 30.0,
    "quantity": "gravity disturbance",
    "output": "tilt",
    "attribute": "envelope",
    "inclination": 60.0,
    "declination": 2.0,
    "height": 500.0,
}
# Inverted and modelled in an evaluation, not for the labels of their numbers.
SLOW = {
    "array_beam", "blind_well_test", "cluster_classify", "dc_2d", "fwi_2d", "geobody_salt", "gravity_mag_3d", "interpolate_traces", "log_clean",
    "migrate_poststack", "prestack_avo", "radon_demultiple", "refraction_tomography", "spectrogram_ppsd", "wave_acoustic_2d",
    "wave_elastic_2d", "well_tie",
}  # fmt: skip


def _tries(tool: Tool, data: Mapping[str, Sequence[Data]]) -> Iterator[tuple[str, Data]]:
    """Results of a tool with ordinary values, once for each class of data it takes: (class, result)."""
    if tool.name in SLOW or tool.name == "compare":
        return
    arguments: dict[str, Any] = {}
    first: Argument | None = None
    for argument in tool.arguments:
        if argument.is_data:
            there = [one for kind in argument.kinds for one in reversed(data.get(kind.__name__, []))]
            if argument.required and not there:
                return
            if argument.required and first is None:
                first = argument
            elif there and (argument.required or argument.name in ("response", "well")):
                arguments[argument.name] = there[0]
        elif argument.required:
            if argument.name not in DEFAULTS and not argument.choices:
                return
            value = DEFAULTS.get(argument.name, argument.choices[0] if argument.choices else None)
            arguments[argument.name] = [value] if argument.many else value
    for kind in [k.__name__ for k in first.kinds] if first else [""]:
        for one in [*reversed(data.get(kind, []))][:4] if first else [None]:
            chosen = arguments | ({first.name: [one] if first.many else one} if first else {})
            try:
                result = tool.function(**chosen)
            except (MohoError, ValueError, TypeError, ArithmeticError):
                continue
            if isinstance(result, Data):
                yield kind, result
                break
