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
    assert facts["rms"] < 0.6 * facts["start_rms"] < 1.5  # the start, from the mean curve of the picks, is near already
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
    assert facts["spacing"] == 2.5  # half the receiver spacing, wherever the shots are


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
    assert found.facts["rms"].value < found.facts["start_rms"].value
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
