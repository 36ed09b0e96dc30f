"""First breaks of made shots against their truth, what is refused, and the way on into tomography."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moho import plot
from moho.agent.act import perform
from moho.agent.registry import prepare
from moho.agent.tools.first_breaks import pick_first_breaks
from moho.agent.tools.tomography import refraction_tomography
from moho.agent.tools.velocity_models import velocity_model
from moho.agent.tools.wave_modelling import travel_times, wave_acoustic_2d
from moho.errors import Refusal
from moho.project import Project
from moho.read import read
from moho.survey import Array, Gather, Seismic, Table

V1, V2, DEPTH = 800.0, 2400.0, 10.0


def shots(noise: float = 0.05, dt: float = 0.001, seed: int = 0) -> tuple[Gather, Array]:
    """Seven shots over two layers, a causal 40 Hz wavelet at the closed form of direct and head wave, a slow strong wave after it; the truth."""
    source, receiver = (a.ravel() for a in np.meshgrid(np.linspace(-2.5, 117.5, 7), 5.0 * np.arange(24), indexing="ij"))
    offset = np.abs(source - receiver)
    truth = np.minimum(offset / V1, offset / V2 + 2 * DEPTH * np.sqrt(V2**2 - V1**2) / (V1 * V2))
    time = np.arange(400) * dt

    def wavelet(late: Array) -> Array:
        late = np.maximum(late, 0)
        return np.asarray(np.exp(-28 * late) * np.sin(2 * np.pi * 40 * late))

    size = (1 / (1 + offset / 30))[:, None]
    data = size * wavelet(time - truth[:, None]) + 2 * wavelet(time - (offset / 350 + 0.02)[:, None])
    data += noise * size * np.random.default_rng(seed).normal(size=data.shape)
    zero = np.zeros(len(offset))
    gather = Gather(
        data=data.astype(np.float32), dt=dt, offset=offset, shot=np.repeat(np.arange(1, 8), 24), source_x=source, receiver_x=receiver,
        source_depth=zero, receiver_depth=zero,
    )  # fmt: skip
    return gather, truth


@pytest.mark.parametrize(("noise", "most"), [(0.0, 1.5), (0.02, 2.0), (0.05, 3.0), (0.1, 4.0)])
def test_onsets_are_found_within_their_uncertainty(noise: float, most: float) -> None:
    gather, truth = shots(noise)
    found = pick_first_breaks(gather)
    error = found.columns["time"] - truth[found.columns["trace"]]
    assert len(error) >= 0.97 * len(truth)
    assert 1000 * np.quantile(np.abs(error), 0.95) < most  # ms
    assert np.mean(np.abs(error) < 1.5 * found.columns["uncertainty"]) > 0.66
    assert np.all(found.columns["uncertainty"] >= 0.0005)


def test_a_wild_trace_is_picked_where_its_neighbours_say_or_not_at_all() -> None:
    gather, truth = shots(0.02)
    data = gather.data.copy()
    data[10, 3:8] += 3.0  # a spike long before the first break
    data[60] = np.random.default_rng(1).normal(size=data.shape[1])  # no signal at all
    found = pick_first_breaks(replace(gather, data=data))
    at = {int(trace): time for trace, time in zip(found.columns["trace"], found.columns["time"], strict=True)}
    period = found.facts["period"].value / 1000
    assert all(abs(at[trace] - truth[trace]) < period for trace in (10, 60) if trace in at)
    assert abs(at[11] - truth[11]) < 0.003
    assert abs(at[59] - truth[59]) < 0.003


def test_the_peak_of_a_zero_phase_arrival_is_timed_on_the_peak() -> None:
    gather, truth = shots(0.0)
    time = np.arange(400) * gather.dt
    late = (np.pi * 40 * (time - truth[:, None] - 0.03)) ** 2
    ricker = replace(gather, data=((1 - 2 * late) * np.exp(-late)).astype(np.float32))
    found = pick_first_breaks(ricker, "peak")
    np.testing.assert_allclose(found.columns["time"] - 0.03, truth[found.columns["trace"]], atol=1e-4)
    onset = pick_first_breaks(ricker)
    assert np.median(onset.columns["time"] - found.columns["time"]) < -0.01  # a zero-phase wavelet begins before its time


def test_picks_go_straight_into_tomography() -> None:
    gather, _ = shots(0.03)
    picks = pick_first_breaks(gather)
    model = refraction_tomography(picks, iterations=6)
    assert model.facts["surface_velocity"].value == pytest.approx(V1, rel=0.06)
    assert model.facts["deep_velocity"].value == pytest.approx(V2, rel=0.08)
    assert "pick errors as the picks say" in " ".join(model.notes)
    assert "times in s" in model.notes  # a table of first breaks is in seconds, however late they are


def test_a_project_takes_picks_from_shots_to_a_velocity_model(tmp_path: Path) -> None:
    gather, _ = shots(0.03)
    project = Project.open(tmp_path / "project")
    run = project.start("near-surface velocity")
    run.keep("made", {}, [], replace(gather, title="line 3"), seconds=0.0)
    picked = perform(prepare("pick_first_breaks", {}, project.kinds()), run)
    assert picked.result["name"] == "pick_first_breaks 1"
    assert {artifact["kind"] for artifact in picked.artifacts} >= {"data", "png"}
    kept = project.load("pick_first_breaks 1")
    assert isinstance(kept, Table)
    assert kept.facts["picks"].value == len(kept.columns["time"])
    call = prepare("refraction_tomography", {"picks": "pick_first_breaks 1", "iterations": 3}, project.kinds())
    assert prepare("refraction_tomography", {}, project.kinds()).data == {"picks": "pick_first_breaks 1"}  # in words, none need be named
    step = perform(call, run)
    assert step.facts()["surface_velocity"].value == pytest.approx(V1, rel=0.06)
    assert project.load("refraction_tomography 1").title == "refraction tomography of line 3"


def test_picks_written_as_a_csv_come_back_as_picks(tmp_path: Path) -> None:
    picks = pick_first_breaks(shots(0.03)[0])
    path = tmp_path / "picks.csv"
    names = list(picks.columns)
    np.savetxt(path, np.column_stack([picks.columns[name] for name in names]), delimiter=",", header=",".join(names), comments="", fmt="%.9g")
    table = read(path)
    assert isinstance(table, Table)
    again, first = refraction_tomography(table, iterations=1), refraction_tomography(picks, iterations=1)
    np.testing.assert_allclose(again.data, first.data, rtol=1e-4)
    assert again.facts["error"].value == pytest.approx(first.facts["error"].value, rel=1e-4)


@pytest.mark.parametrize(("thing", "words"), [("x", "this is 'x'"), (Seismic(data=np.ones((3, 9)), dt=0.001), "this is a seismic line")])
def test_what_is_no_gather_is_named(thing: Any, words: str) -> None:
    with pytest.raises(TypeError, match=f"needs shot gathers; {words}"):
        pick_first_breaks(thing)


def test_first_breaks_of_modelled_waves_are_the_eikonal_times() -> None:
    model = velocity_model(1500.0, 300.0, 80.0, gradient=8.0, spacing=4.0)
    gather = wave_acoustic_2d(model, 40.0, [20.0], 0.3, source_depth=4.0, receiver_depth=4.0, receiver_spacing=10.0, dt=0.001)
    found = pick_first_breaks(gather, "peak")
    times = travel_times(model, [20.0], source_depth=4.0, receiver_depth=4.0, receiver_spacing=10.0).arrays["time"]
    late = found.columns["time"] - times[found.columns["trace"]]
    assert len(late) > 0.8 * len(times)  # not the traces at the source
    far = found.columns["offset"] > 60
    assert 0 < np.median(late[far]) < 0.25 / 40  # a line source lags the Ricker by 45 degrees and its tail
    assert np.std(late[far]) < 0.001


def test_viking_first_breaks_follow_the_water_then_the_refraction(shared: Path) -> None:
    gather = read(shared / "seismic_viking_shots" / "viking_small.segy")
    assert isinstance(gather, Gather)
    found = pick_first_breaks(gather)
    assert found.facts["picks"].value > 0.9 * 480
    offset, time = found.columns["offset"], found.columns["time"]
    near = offset < 1200
    assert 1 / np.polyfit(offset[near], time[near], 1)[0] == pytest.approx(1480, rel=0.03)  # sound in sea water
    far = offset > 2300
    assert 1750 < 1 / np.polyfit(offset[far], time[far], 1)[0] < 2600  # sediments below the sea floor
    assert np.all(np.abs(np.diff(time[found.columns["shot"] == 101])) < 0.08)


def test_dead_and_broken_traces_are_left_out_and_said() -> None:
    gather, _ = shots(0.02)
    data = gather.data.copy()
    data[5], data[9, 7] = 0.0, np.nan
    found = pick_first_breaks(replace(gather, data=data))
    assert not {5, 9} & set(found.columns["trace"].tolist())
    assert any("1 dead traces and 1 with NaN" in note for note in found.notes)


@pytest.mark.parametrize(
    ("change", "given", "kind", "words"),
    [
        (lambda g: replace(g, data=np.zeros_like(g.data)), {}, Refusal, "168 dead"),
        (lambda g: replace(g, data=np.full_like(g.data, np.nan)), {}, Refusal, "168 with NaN"),
        (lambda g: replace(g, shot=None, source_x=None), {}, Refusal, "no shot"),
        (lambda g: replace(g, data=g.data[:, 20:32]), {}, Refusal, "too short"),
        (lambda g: g, {"slowest": 9000.0}, ValueError, "slowest < fastest"),
        (lambda g: g, {"fastest": 160.0, "latest": 0.001}, Refusal, "no first break"),
    ],
)
def test_gathers_without_first_breaks_are_refused(change, given, kind, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(kind, match=words):
        pick_first_breaks(change(shots()[0]), **given)


def test_the_picks_are_drawn_on_the_traces() -> None:
    figure = plot.draw(pick_first_breaks(shots()[0]))
    assert figure is not None
    assert figure.axes[0].get_ylabel() == "time (s)"
    assert figure.parameters["picks_shown"] > 100  # type: ignore[attr-defined]


def test_a_project_with_shots_only_is_told_of_the_picker(tmp_path: Path) -> None:
    project = Project.open(tmp_path / "project")
    project.start("bedrock").keep("made", {}, [], shots()[0], seconds=0.0)
    with pytest.raises(Refusal) as refused:
        prepare("refraction_tomography", {}, project.kinds())
    assert "pick_first_breaks" in refused.value.hint
