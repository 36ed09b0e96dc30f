"""The catalogue of tools is complete: each is described, held to a truth, fed bad input, drawn, and leaves its input as it was.

`catalogue.json` names for every tool the test of its physical truth and one of bad input; here it is checked that they are there and
call the tool. What holds for all tools is tested on the small calls of `made_calls`; broken data are in `test_bad_input`.
"""

from __future__ import annotations

import ast
import json
import math
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_calls import CALLS, Arguments

from moho import plot, store
from moho.agent import cli, reference
from moho.agent.registry import load_tools
from moho.survey import Data, Report

HERE = Path(__file__).parent
ROOT = HERE.parent
TOOLS = load_tools()
TESTS: dict[str, dict[str, str]] = json.loads((HERE / "catalogue.json").read_text())
CATALOGUE = [
    "segy_inspect", "segy_read", "segy_geometry", "trace_qc", "waveform_inspect", "event_inspect", "las_inspect", "dlis_inspect",
    "table_inspect", "crs_convert", "bandpass", "gain_agc", "decon", "fk_filter", "fx_decon", "nmo_stack", "velocity_semblance",
    "radon_demultiple", "interpolate_traces", "migrate_poststack", "wavelet_estimate", "remove_response", "filter_rotate", "spectrogram_ppsd",
    "array_beam", "gravity_disturbance", "bouguer_terrain", "grid_trend", "continue_derive", "gravimeter_reduce", "igrf_anomaly",
    "rtp_tilt_analytic", "euler", "level_lines", "log_clean", "vshale", "porosity", "water_saturation", "fluid_substitution",
    "synthetic_seismogram", "avo_curve", "wave_acoustic_2d", "wave_elastic_2d", "travel_times", "earth_travel_times", "gravity_forward",
    "magnetic_forward", "em1d_forward", "poststack_impedance", "prestack_avo", "refraction_tomography", "fwi_2d", "gravity_mag_3d", "dc_2d",
    "mt_1d", "locate_event", "magnitude", "track_horizon", "attributes", "fault_likelihood", "geobody_salt", "cluster_classify", "pick_phases",
    "detect_associate", "well_tie", "depth_convert", "plot_section", "plot_map", "plot_logs", "plot_waveforms",
]  # fmt: skip
NUMBERS_ONLY = {  # lists of numbers, and quotations: nothing to draw
    "segy_inspect", "waveform_inspect", "las_inspect", "dlis_inspect", "table_inspect", "compare", "search_literature", "ask_literature",
    "find_contradictions",
}  # fmt: skip


def test_the_seventy_tools_of_the_catalogue_are_there() -> None:
    assert len(set(CATALOGUE)) == 70
    assert set(CATALOGUE) <= set(TOOLS)


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_tool_says_whose_method_it_is_what_it_is_held_to_and_how_people_ask(name: str) -> None:
    found = TOOLS[name]
    assert len(found.reference) > 20
    assert len(found.truth) > 20
    assert not found.truth.endswith(".")
    assert '"' not in found.truth
    assert any(letter.isdigit() for letter in found.truth)  # a number, not a promise
    assert len(set(found.say)) >= 8


# the tests of each tool


@cache
def parsed(file: str) -> dict[str, ast.AST]:
    """Module-level functions and constants of a test file by name."""
    found: dict[str, ast.AST] = {}
    for node in ast.parse((HERE / file).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found |= {target.id: node for target in node.targets if isinstance(target, ast.Name)}
    return found


def names(file: str, start: str) -> set[str]:
    """Every name and short string that a test comes by: its own, its parameters' and those of what it calls in its file, fixtures too."""
    held, seen, found = parsed(file), {start}, set()
    waiting = [start]

    def words(node: ast.AST) -> Iterator[str]:
        for part in ast.walk(node):
            if isinstance(part, ast.Name):
                yield part.id
            elif isinstance(part, ast.Attribute):
                yield part.attr
            elif isinstance(part, ast.Assert):
                yield "assert"
            elif isinstance(part, ast.arg):
                yield part.arg
            elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.value

    while waiting:
        for word in words(held[waiting.pop()]):
            found.add(word)
            if word in held and word not in seen:
                seen.add(word)
                waiting.append(word)
    return found


@pytest.mark.parametrize("name", sorted(TESTS))
@pytest.mark.parametrize("kind", ["truth", "bad"])
def test_a_tool_has_a_test_of_its_truth_and_one_of_bad_input(name: str, kind: str) -> None:
    file, test = TESTS[name][kind].split("::")
    assert test.startswith("test_")
    assert test in parsed(file), f"{file} holds no {test}"
    reached = names(file, test)
    assert name in reached, f"{test} does not call {name}"
    assert reached & ({"assert", "assert_allclose"} if kind == "truth" else {"raises", "notes"})  # an inspection tells, others refuse


def test_no_tool_is_left_out_of_the_tests() -> None:
    assert set(TESTS) == set(TOOLS)
    assert set(CALLS) == set(TOOLS)


# what holds for every tool


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Arguments, list[bytes], Data]]:
    """Every tool called once on made data; what its arguments were before as bytes, and the result."""
    folder, made = tmp_path_factory.mktemp("calls"), {}
    for name in CALLS:
        arguments = CALLS[name](folder)
        before = [store.dump(data) for data in inputs(arguments)]
        made[name] = (arguments, before, TOOLS[name].function(**arguments))
    return made


def inputs(arguments: Arguments) -> list[Data]:
    """The data sets among the arguments of a call."""
    every = [part for value in arguments.values() for part in (value if isinstance(value, list) else [value])]
    return [part for part in every if isinstance(part, Data)]


@pytest.mark.parametrize("name", sorted(CALLS))
def test_nothing_is_changed_in_place(name: str, results: dict[str, Any]) -> None:
    arguments, before, _ = results[name]
    assert [store.dump(data) for data in inputs(arguments)] == before


@pytest.mark.parametrize("name", sorted(CALLS))
def test_the_facts_are_plain_finite_numbers_with_words_that_name_them(name: str, results: dict[str, Any]) -> None:
    result = results[name][2]
    facts = result.facts if isinstance(result, Report) else {**result.summary(), **result.facts}
    assert facts
    for key, quantity in facts.items():
        parts = quantity.value if isinstance(quantity.value, list) else [quantity.value]
        assert all(type(part) in (float, int, str, bool) for part in parts), key
        assert all(math.isfinite(part) for part in parts if isinstance(part, float)), key
        assert quantity.label, key
    json.dumps({key: quantity.value for key, quantity in facts.items()}, allow_nan=False)
    assert all(isinstance(note, str) and note for note in result.notes)


@pytest.mark.parametrize("name", sorted(set(CALLS) - NUMBERS_ONLY - {"event_inspect"}))
def test_a_result_is_drawn_with_units_on_its_axes(name: str, results: dict[str, Any]) -> None:
    figure = plot.draw(results[name][2])
    assert figure is not None
    figure.set_layout_engine("none")  # the layout is most of the time, and tested with the drawings
    figure.draw_without_rendering()
    if name == "evidence_table":  # a table: its rows carry their units
        assert figure.parameters["rows"] > 0  # type: ignore[attr-defined]
        return
    labels = [label for ax in plot.describe(figure)["axes"] for label in (ax["x"], ax["y"])]
    units = ("(", "UTC", "counts", "m/s", "magnitude")  # a unit in brackets, or a label that is or has none
    assert any(unit in label for label in labels for unit in units), labels
    assert len(plot.alt_text(results[name][2])) > 20


@pytest.mark.parametrize("name", sorted(NUMBERS_ONLY))
def test_a_list_of_numbers_claims_no_picture(name: str, results: dict[str, Any]) -> None:
    result = results[name][2]
    assert isinstance(result, Report)
    assert plot.draw(result) is None
    assert reference.figure(TOOLS[name]) == "none, the numbers are the answer."


# the page


def test_the_page_is_what_the_tools_say_today() -> None:
    written = (ROOT / "docs" / "tools.md").read_text(encoding="utf-8")
    assert written == reference.page(), "docs/tools.md is stale: make docs"


def test_the_page_has_every_tool_with_its_parts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["moho", "tools", "--markdown"])
    with pytest.raises(SystemExit), warnings.catch_warnings():
        cli.main()
    page = capsys.readouterr().out
    assert page == reference.page()
    for found in TOOLS.values():
        part = reference.entry(found)
        assert part in page
        assert all(f"- `{argument.name}`" in part for argument in found.arguments)
        for word in ("Ask: ", "Source: ", "Held to: ", "Figure: "):
            assert part.count(word) == 1, (found.name, word)
    assert "above 0 s; default 0.5 s" in reference.entry(TOOLS["gain_agc"])


def test_the_figure_of_the_page_is_the_figure_that_is_drawn() -> None:
    assert reference.figure(TOOLS["velocity_semblance"]).startswith("Semblance over velocity")
    assert reference.figure(TOOLS["well_tie"]).startswith("Trace, synthetic before and after")
    assert "Or:" not in reference.figure(TOOLS["well_tie"])
    assert reference.figure(TOOLS["wavelet_estimate"]).startswith("A wavelet over time")
    assert np.all([reference.figure(found) for found in TOOLS.values()])
