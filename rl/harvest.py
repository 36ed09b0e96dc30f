"""What the tools return on made earths: the numbers that instruction data can ask about and name.

They come with Moho in `harvest.jsonl`, a line a result; `python -m moho.rl.harvest` makes the file anew, in minutes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from moho.agent import decision
from moho.agent.registry import Argument, Tool, load_tools
from moho.errors import MohoError
from moho.project import facts_json
from moho.store import atomic_write
from moho.survey import Data, Well
from moho.units import Quantity

FILE = Path(__file__).parent / "harvest.jsonl"
FEW = 12  # numbers that are kept of a list

# Run once, for the labels of their numbers.
SLOW = {"fwi_2d", "refraction_tomography", "wave_acoustic_2d", "wave_elastic_2d", "gravity_mag_3d", "radon_demultiple", "dc_2d"}
SEEDS = (901, 902)  # of the made earths whose results are shown; evaluations use seeds below 100


@cache
def harvest() -> dict[str, list[tuple[str, dict[str, Quantity]]]]:
    """Tool -> (class of the data it worked on, facts it returned) on made earths; tools that could not be run there are absent."""
    found: dict[str, list[tuple[str, dict[str, Quantity]]]] = {}
    for line in FILE.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["tool"] in load_tools():
            found.setdefault(row["tool"], []).append((row["on"], {key: Quantity(**kept) for key, kept in row["facts"].items()}))
            for on in ("", row["on"]):
                KIND_MADE.setdefault((row["tool"], on), row["made"])
    return found


def collect(seeds: Sequence[int] = SEEDS, skip: Collection[str] = ()) -> dict[str, list[tuple[str, str, dict[str, Quantity]]]]:
    """Tool -> (class of the data it worked on, class it made, facts), each run; a quarter of an hour for all tools."""
    from moho.encoders import synthetic

    found: dict[str, list[tuple[str, str, dict[str, Quantity]]]] = {}
    made: dict[str, str] = {}
    for seed in seeds:
        data = _sample(synthetic.earth(seed), seed)
        for _ in range(2):  # the second time on what the first has made
            for name, tool in sorted(load_tools().items()):
                if name in skip or (name in SLOW and name in found):
                    continue
                for kind, result in _tries(tool, data):
                    kinds = type(result).__name__
                    found.setdefault(name, []).append((kind, kinds, dict(result.facts) or result.summary()))
                    made.setdefault(name, kinds)
                    if kind in ("", made[name]) or kinds not in data:
                        data.setdefault(kinds, []).append(result)
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
KIND_MADE: dict[tuple[str, str], str] = {}  # tool and class that it works on, "" for any -> class of its result, filled by `harvest`


def made_kind_of(tool: str, on: str = "") -> str:
    """The class of data set a tool adds to the project when it works on one of class `on`, "" for a measurement or a plot."""
    harvest()
    kind = KIND_MADE.get((tool, on)) or KIND_MADE.get((tool, ""), "")
    return "" if kind == "Report" or load_tools()[tool].stage == "plot" else kind


def made_kind(done: decision.Done, tools: Mapping[str, Tool]) -> str:
    """The class of the data set that a step made."""
    name = done.call.partition("(")[0]
    return made_kind_of(name) if name in tools else ""


def _sample(earth: Any, seed: int) -> dict[str, list[Data]]:
    """One data set of each class, from a made earth."""
    from moho.encoders import synthetic

    waveforms, response, _ = synthetic.earthquake(seed)
    station = replace(waveforms, stream=waveforms.stream.select(station=waveforms.stream[0].stats.station))
    moved = load_tools()["remove_response"].function(waveforms=station, response=response, output="displacement", low=0.5, high=30.0)
    return {
        "Seismic": [earth.section],
        "Gather": [earth.gather],
        "Well": [earth.well],
        "Gravity": [earth.gravity],
        "Magnetics": [earth.magnetics],
        "Waveforms": [waveforms, moved],
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
# What a tool is also called with, beyond its data: what it needs together, and what brings numbers of its own.
CALLS: dict[str, Sequence[Mapping[str, Any]]] = {
    "array_beam": [{"low": 1.0, "high": 5.0}],
    "attributes": [{"attribute": "envelope"}, {"attribute": "rms amplitude", "window": 0.04}, {"attribute": "instantaneous frequency"}],
    "avo_curve": [{"vp1": 2500.0, "vs1": 1100.0, "rho1": 2200.0, "vp2": 2900.0, "vs2": 1500.0, "rho2": 2300.0}],
    "bandpass": [{}, {"low_cut": 2.0, "high_cut": 60.0}],
    "continue_derive": [{"height": 500.0}, {"derivative": "up"}, {"height": 300.0, "direction": "down"}, {"derivative": "east"}],
    "crop_map": [{"west": "3.0", "east": "3.2", "south": "48.2", "north": "48.35"}],
    "crs_convert": [{"crs": "EPSG:32631"}, {"crs": "EPSG:3857"}],
    "cut_window": [{"start": "0.4", "end": "1.4"}, {"end": "1.2"}],
    "em1d_forward": [{"resistivity": [100.0, 10.0, 500.0], "thickness": [200.0, 300.0], "frequency": [0.1, 1.0, 10.0]}],
    "euler": [{"structural_index": 1.0}, {"structural_index": 1.0, "window": 8000.0}],
    "filter_rotate": [{"low": 1.0, "high": 10.0}],
    "filter_waveforms": [{"low": 1.0, "high": 20.0}, {"low": 2.0}, {"high": 5.0}],
    "fk_filter": [{"slowest": 1500.0}],
    "fluid_substitution": [{"fluid_modulus": 2.5, "fluid_density": 1030.0, "new_modulus": 0.1, "new_density": 200.0, "shear": "mudrock line"}],
    "gravity_forward": [{"depth_top": 500.0, "depth_base": 1500.0, "width": 1000.0, "density_contrast": 300.0}],
    "grid_trend": [{"spacing": 2000.0}, {"spacing": 1000.0}, {"spacing": 2000.0, "degree": 1}],
    "igrf_anomaly": [{"date": "2015-06-01"}],
    "magnetic_forward": [
        {
            "depth_top": 500.0,
            "depth_base": 1500.0,
            "width": 1000.0,
            "susceptibility": 0.05,
            "inclination": 60.0,
            "declination": 2.0,
            "strength": 48000.0,
        }
    ],
    "migrate_poststack": [{"velocity": [2500.0]}],
    "porosity": [{"method": "density"}, {"method": "density", "top": 1500.0, "base": 1600.0}, {"method": "neutron-density"}],
    "remove_response": [{"output": "velocity"}, {"output": "displacement", "low": 0.5, "high": 30.0}],
    "rtp_tilt_analytic": [{"output": "reduction to the pole"}, {"output": "tilt"}, {"output": "analytic signal"}],
    "spectrogram_ppsd": [{"channel": "XX.MO01.00.HHZ"}],
    "travel_times": [{"source_x": [500.0]}],
    "upscale_logs": [{"window": 5.0}],
    "velocity_model": [{"top_velocity": 1800.0, "length": 3000.0, "depth": 1500.0}],
    "vshale": [{}, {"top": 1500.0, "base": 1600.0}],
    "wave_acoustic_2d": [{"frequency": 8.0, "source_x": [1000.0], "length": 0.8}],
    "wave_elastic_2d": [{"frequency": 4.0, "source_x": [1000.0], "length": 0.5}],
    "well_tie": [{}, {"frequency": 28.0}],
}
ALONE = ("compare", "evidence_table")  # whose numbers are those of whatever they are given
HELPERS = ("response", "well", "wells")  # optional data that are given where they are there


def _tries(tool: Tool, data: Mapping[str, Sequence[Data]]) -> Iterator[tuple[str, Data]]:
    """Results of a tool with ordinary values, once for each class of data it takes and each of its calls: (class, result)."""
    if tool.name in ALONE:
        return
    arguments: dict[str, Any] = {}
    first: Argument | None = None
    calls = CALLS.get(tool.name, [{}])
    for argument in tool.arguments:
        if argument.is_data:
            there = [one for kind in argument.kinds for one in reversed(data.get(kind.__name__, []))]
            if argument.required and not there:
                return
            if argument.required and first is None:
                first = argument
            elif there and (argument.required or argument.name in HELPERS):
                arguments[argument.name] = there[-1:] if argument.many else there[-1]
        elif argument.required and argument.name not in calls[0]:
            if argument.name not in DEFAULTS and not argument.choices:
                return
            value = DEFAULTS.get(argument.name, argument.choices[0] if argument.choices else None)
            arguments[argument.name] = [value] if argument.many else value
    for call in calls:
        for kind in [k.__name__ for k in first.kinds] if first else [""]:
            for one in (_several(data[kind]) if kind in data else []) if first else [None]:
                chosen = arguments | ({first.name: [one] if first.many else one} if first else {}) | dict(call)
                try:
                    result = tool.function(**chosen)
                except (MohoError, ValueError, TypeError, ArithmeticError):
                    continue
                if isinstance(result, Data):
                    yield kind, result
                    break


def _several(made: Sequence[Data]) -> list[Data]:
    """The one that was there first and some of the latest; of wells, which gain a curve with each step, the other way round."""
    latest = list(reversed(made[1:][-5:]))
    return [*latest, *made[:1]] if isinstance(made[0], Well) else [*made[:1], *latest]


def make() -> int:
    """Run the tools on made earths and write the file that comes with Moho; how many tools there are in it."""
    found = collect()
    rows = [
        {"tool": name, "made": made, "on": kind, "facts": {key: _shown(quantity) for key, quantity in facts.items()}}
        for name, results in sorted(found.items())
        for kind, made, facts in results
    ]
    atomic_write(FILE, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode(), replace=True)
    return len(found)


def _shown(quantity: Quantity) -> dict[str, Any]:
    """A number as it is kept: a long list by its beginning, since only keys, labels and sizes are learned from."""
    (kept,) = facts_json({"": quantity}).values()
    value = kept["value"]
    return kept | {"value": value[:FEW] if isinstance(value, list) else value}


if __name__ == "__main__":
    print(f"{make()} tools")
