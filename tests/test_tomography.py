"""Velocity from first arrivals: two layers, the error of the picks, the columns of a table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moho import plot
from moho.agent.tools.tomography import refraction_tomography
from moho.agent.tools.velocity_models import plane, velocity_model
from moho.agent.tools.wave_modelling import arrivals, travel_times
from moho.errors import Missing, Refusal
from moho.store import dump
from moho.survey import Report, Seismic, Table

V1, V2, DEPTH = 800.0, 2400.0, 10.0


def line(noise: float = 0.0, unit: float = 1.0, shots: int = 7) -> Table:
    """Two layers with the closed form of direct and head wave: 24 geophones at 5 m."""
    source, receiver = (a.ravel() for a in np.meshgrid(np.linspace(0, 115, shots), 5.0 * np.arange(24), indexing="ij"))
    offset = np.abs(source - receiver)
    head = offset / V2 + 2 * DEPTH * np.sqrt(V2**2 - V1**2) / (V1 * V2)
    time = np.minimum(offset / V1, head) + np.random.default_rng(3).normal(0, noise, len(offset)) * (offset > 0)
    return Table(columns={"shot_x": source, "geophone_x": receiver, "time": unit * time})


@pytest.fixture(scope="module")
def found():
    return refraction_tomography(line(0.001), 0.001)


def test_two_layers_come_back_within_five_percent(found):
    facts = {key: fact.value for key, fact in found.facts.items()}
    assert facts["surface_velocity"] == pytest.approx(V1, rel=0.05)
    assert facts["deep_velocity"] == pytest.approx(V2, rel=0.05)
    assert DEPTH <= facts["deepest_ray"] <= 2.5 * DEPTH
    assert facts["rms"] < 1.1
    assert facts["chi2"] < 1.5
    assert facts["rms"] <= facts["start_rms"] < 1.2  # the start, from the mean curve of the picks, is near already
    assert 0 < facts["coverage"] < 100
    assert "lambda" in " ".join(found.notes)
    assert plane(found).dx == facts["spacing"]
    assert found.view["coverage"].shape == found.data.shape


@pytest.mark.parametrize("shots", [5, 9, 13])
def test_the_number_of_shots_does_not_matter(shots):
    facts = {key: fact.value for key, fact in refraction_tomography(line(0.001, shots=shots), 0.001).facts.items()}
    assert facts["surface_velocity"] == pytest.approx(V1, rel=0.05)
    assert facts["deep_velocity"] == pytest.approx(V2, rel=0.06)
    assert facts["chi2"] < 1.2
    assert facts["spacing"] == 1.25  # a quarter of the receiver spacing, for six nodes over the layer of 10 m, wherever the shots are


EARTHS = {
    "linear": lambda x, z: 600 + 40 * z + 0 * x,
    "lateral": lambda x, z: 700 + 300 / (1 + np.exp(-(x - 60) / 8)) + 30 * z,
    "layers": lambda x, z: np.where(z < 8, 900.0, 2700.0) + 0 * x,
}


@pytest.mark.parametrize("name", sorted(EARTHS))
def test_three_earths_come_back_with_the_same_defaults(name):
    x, z = np.arange(0, 121.0), np.arange(0, 51.0)
    values = EARTHS[name](x[:, None], z[None])
    model = Seismic(data=values.astype(np.float32), dt=1.0, domain="depth", quantity="P velocity", unit="m/s", x=x, y=0 * x, dx=1.0)
    made = travel_times(model, list(np.linspace(0, 120, 7)), receiver_spacing=5.0)
    noisy = made.arrays["time"] + np.random.default_rng(2).normal(0, 5e-4, len(made.arrays["time"]))
    found = refraction_tomography(made.made(arrays={**made.arrays, "time": noisy}), 5e-4)
    assert found.facts["chi2"].value < 2
    ground = plane(found)
    truth = EARTHS[name](ground.x[:, None], ground.z[None])
    off = np.abs(ground.values / truth - 1)[found.view["coverage"] >= 1]
    if name == "layers":  # rays do not tell an interface from a steep gradient; above and along it they tell the velocities
        assert found.facts["surface_velocity"].value == pytest.approx(900, rel=0.05)
        assert found.facts["deep_velocity"].value == pytest.approx(2700, rel=0.06)
        assert 8 <= found.facts["steepest_depth"].value < 13
    else:
        assert np.median(off) < 0.03
        assert np.quantile(off, 0.9) < 0.08


def test_elevations_off_a_straight_line_are_refused_and_a_slope_is_not():
    columns = line(0.001).columns
    tilted = Table(columns={**columns, "shot_elev": 100 + 0.05 * columns["shot_x"], "geophone_elev": 100 + 0.05 * columns["geophone_x"]})
    found = refraction_tomography(tilted, 0.001, iterations=2)
    assert "right angles to its slope of 2.9 degrees" in " ".join(found.notes)
    hilly = Table(columns={**tilted.columns, "geophone_elev": 100 + 4 * np.sin(columns["geophone_x"] / 20)})
    with pytest.raises(Refusal, match=r"leave a straight line by up to [\d.]+ m, more than 0.25 of the 5 m between receivers"):
        refraction_tomography(hilly, 0.001)
    with pytest.raises(Refusal, match="elevations are no numbers"):
        refraction_tomography(Table(columns={**columns, "geophone_elev": np.full(168, np.nan)}), 0.001)


def test_a_pick_weighs_by_its_own_uncertainty():
    columns = line(0.0005).columns
    bad = np.arange(168) % 12 == 5
    arrays = {"source_x": columns["shot_x"], "receiver_x": columns["geophone_x"], "time": columns["time"] + 0.02 * bad}
    sure = Report(title="picks", arrays={**arrays, "uncertainty": np.where(bad, 0.05, 0.0005)})
    found = refraction_tomography(sure, iterations=5)
    assert found.facts["surface_velocity"].value == pytest.approx(V1, rel=0.06)
    assert found.facts["chi2"].value < 2
    assert refraction_tomography(sure, 0.0005, iterations=5).facts["chi2"].value > 10  # taken as equally good they cannot be fitted


def test_a_shot_in_the_model_found_has_the_times_of_the_picks(found):
    table = line()
    ground = plane(found)
    rows = table.columns["shot_x"] == 0.0
    field = arrivals(ground, ground.nodes(np.zeros(1), 0.0, "sources")[0])
    times = field(ground.nodes(table.columns["geophone_x"][rows], 0.0, "receivers"))
    np.testing.assert_allclose(times, table.columns["time"][rows], atol=0.003)


def test_times_that_travel_times_made_go_straight_in_and_milliseconds_are_understood():
    model = velocity_model(600.0, 60.0, 20.0, gradient=60.0, spacing=1.0)
    made = travel_times(model, [0.0, 30.0, 60.0], receiver_spacing=5.0)
    found = refraction_tomography(made, 0.0003, iterations=4)
    assert found.facts["start_rms"].value < 0.1  # the integral of Herglotz and Wiechert is exact for a gradient
    assert found.facts["rms"].value <= 0.3  # smoothed as far as the error lets it
    table = Table(columns={"Source (m)": made.arrays["source_x"], "Receiver (m)": made.arrays["receiver_x"], "Time (ms)": 1000 * made.arrays["time"]})
    again = refraction_tomography(table, 0.0003, iterations=4)
    assert again.facts["rms"].value == pytest.approx(found.facts["rms"].value, rel=1e-6)
    started = refraction_tomography(made, 0.0003, start=model, iterations=2)
    assert started.facts["start_rms"].value < 0.02
    assert dump(started) == dump(refraction_tomography(made, 0.0003, start=model, iterations=2))


def test_the_error_is_taken_from_picks_shot_both_ways():
    source, receiver = (a.ravel() for a in np.meshgrid(5.0 * np.arange(12), 5.0 * np.arange(12)))
    time = np.abs(source - receiver) / 1000.0 + np.random.default_rng(1).normal(0, 0.001, len(source)) * (source != receiver)
    found = refraction_tomography(Table(columns={"sx": source, "gx": receiver, "t_s": time}), iterations=2)
    assert found.facts["error"].value == pytest.approx(1.0, rel=0.25)
    assert "12 of 144 picks at or before time 0" in " ".join(found.notes) or "at offset 0" in " ".join(found.notes)


def change(**columns) -> Table:
    return Table(columns={**line().columns, **columns})


@pytest.mark.parametrize(
    ("picks", "given", "kind", "words"),
    [
        (change(time=np.full(168, np.nan)), {}, Refusal, "0 usable picks"),
        (change(shot_x=np.zeros(168)), {}, Refusal, "one source position"),
        (change(time=np.array(["late"] * 168)), {}, Refusal, "words"),
        (line(unit=1000.0), {}, Missing, "in s or ms"),
        (line(unit=1e-4), {}, Refusal, "not in the units"),
        (Table(columns={"a": np.arange(9.0), "b": np.arange(9.0)}), {}, Missing, "Which column"),
        (line(), {"time": "picks"}, ValueError, "no column"),
        (line(), {"unit": "m"}, ValueError, "unit of time"),
        (line(), {"spacing": 80.0, "depth": 100.0}, ValueError, "nodes"),
        (line(), {"start": velocity_model(800.0, 50.0, 30.0, spacing=2.0)}, Refusal, "lie outside"),
    ],
)
def test_picks_that_cannot_be_inverted_are_refused(picks, given, kind, words):
    with pytest.raises(kind, match=words):
        refraction_tomography(picks, **given)


def test_the_model_is_drawn_with_what_no_ray_reached_faded(found):
    figure = plot.draw(found)
    assert figure.axes[0].get_ylabel() == "depth (m)"
    assert figure.parameters["faded_percent"] > 5
    assert plot.draw(replace(found, view={})).parameters.get("faded_percent") is None


def at_offset(shots: int = 5, without: int | None = None) -> Table:
    """Shots from 5 m before the geophones to 5 m after them, true noise 0.5 ms; the picks of one geophone left out where one is named."""
    source, receiver = (a.ravel() for a in np.meshgrid(np.linspace(-5, 120, shots), 5.0 * np.arange(24), indexing="ij"))
    offset = np.abs(source - receiver)
    head = offset / V2 + 2 * DEPTH * np.sqrt(V2**2 - V1**2) / (V1 * V2)
    time = np.minimum(offset / V1, head) + np.random.default_rng(0).normal(0, 5e-4, len(offset))
    held = np.ones(len(offset), bool) if without is None else receiver != 5.0 * without
    return Table(title="line 3", columns={"shot_x": source[held], "geophone_x": receiver[held], "rt_s": time[held]})


def test_one_missing_geophone_changes_neither_start_nor_smoothing():
    whole, less = ({key: fact.value for key, fact in refraction_tomography(at_offset(without=w), 5e-4, time="rt_s").facts.items()} for w in (None, 7))
    for facts in (whole, less):
        assert facts["start_rms"] < 0.75
        assert facts["chi2"] < 1.2
        assert facts["velocity_range"][0] > 0.8 * V1
        assert facts["velocity_range"][1] < 1.3 * V2
        assert facts["surface_velocity"] == pytest.approx(V1, rel=0.05)
        assert facts["deep_velocity"] == pytest.approx(V2, rel=0.06)
    assert less["spacing"] == whole["spacing"]
    assert 0.4 < less["damping"] / whole["damping"] < 2.5
    assert less["start_rms"] == pytest.approx(whole["start_rms"], rel=0.1)


def test_velocities_stay_within_what_the_picks_allow_and_a_bad_fit_names_the_grid():
    found = refraction_tomography(at_offset(), 5e-5, time="rt_s", iterations=5)  # an error ten times too small
    ground = plane(found)
    assert ground.values.max() < 1.85 * V2
    assert ground.values.min() > 0.4 * V1
    said = " ".join(found.notes)
    assert "the grid of 1.25 m is too coarse (try a spacing of 0.625 m)" in said
    assert "velocities held within" in said
    assert plot.draw(found).texts[0].get_text() == "refraction tomography of line 3"


def test_units_of_positions_and_errors_are_read_from_the_columns_names():
    columns = at_offset().columns
    source, receiver, time = columns.values()
    metres = refraction_tomography(Table(columns=columns), 5e-4, time="rt_s", iterations=2)
    km = Table(columns={"source_km": source / 1000, "receiver (km)": receiver / 1000, "rt_ms": 1000 * time, "uncertainty": np.full(len(time), 0.5)})
    found = refraction_tomography(km, source="source_km", receiver="receiver (km)", time="rt_ms", iterations=2)
    np.testing.assert_allclose(found.data, metres.data, rtol=1e-3)
    assert found.facts["error"].value == 0.5
    assert "positions in column source_km are in km" in " ".join(found.notes)
    plain = Table(columns={"source_x": source / 1000, "receiver_x": receiver / 1000, "time": time})
    with pytest.raises(Refusal, match="positions taken as m"):
        refraction_tomography(plain)


@pytest.mark.parametrize(("thing", "words"), [("x", "this is 'x'"), (velocity_model(800.0, 50.0, 30.0, spacing=2.0), "a seismic line")])
def test_what_is_no_picks_is_named(thing, words):
    with pytest.raises(TypeError, match=f"needs a table of first-arrival times.*{words}"):
        refraction_tomography(thing)
