"""Magnetics against published IGRF values, planted line offsets, a dipole's closed form, and buried blocks."""

from __future__ import annotations

import datetime
import math
from dataclasses import replace

import numpy as np
import pytest

from moho import plot
from moho.agent.tools.gravity_inversion import gravity_mag_3d
from moho.agent.tools.magnetics import MU0, direction, euler, igrf_anomaly, level_lines, magnetic_forward, main_field, when
from moho.errors import Missing, Refusal
from moho.survey import Gravity, Grid, Magnetics

# year, height km, latitude, longitude, X, Y, Z, F of igrf14syn, the official program, as SatelliteToolboxGeomagneticField.jl keeps them
OFFICIAL = (
    (1966.8, 440.71, 25.96, 136.21, 27732.51800, -1062.61991, 19327.44414, 33819.69563),
    (1990.6, 34.18, 55.49, 24.06, 16779.17251, 1244.60056, 46474.73203, 49426.61609),
    (2015.6, 68.83, 56.02, 176.27, 19582.39973, 543.18508, 46322.39044, 50294.42598),
    (2027.9, 139.86, 44.94, 138.29, 23759.41728, -4335.97718, 42511.80742, 48893.39810),
)


def day(year: float) -> datetime.datetime:
    start = datetime.datetime(int(year), 1, 1)
    return start + (year - int(year)) * (datetime.datetime(int(year) + 1, 1, 1) - start)


def survey(**changes) -> Magnetics:
    longitude, latitude = (a.ravel() for a in np.meshgrid(np.linspace(10, 11, 6), np.linspace(50, 51, 5)))
    height = np.full(30, 300.0)
    strength = main_field(longitude, latitude, height, day(1997.6))[0]
    anomaly = 40 * np.sin(3 * longitude) * np.cos(5 * latitude)
    place = {"longitude": longitude, "latitude": latitude, "height": height, "datum": "ellipsoidal WGS84"}
    return Magnetics(**(place | {"value": strength + anomaly, "quantity": "total field"} | changes))


def dipole(depth: float = 800.0, noise: float = 0.0, dip: float = 60.0, azimuth: float = 10.0) -> Grid:
    axis = 50.0 * np.arange(-50, 51)
    x, y = np.meshgrid(axis, axis)
    r = np.stack([x - 600, y + 400, np.full_like(x, depth)])
    far = np.sqrt((r**2).sum(axis=0))
    value = 1e11 * (3 * np.tensordot(direction(dip, azimuth), r / far, 1) ** 2 - 1) / far**3
    value += np.random.default_rng(0).normal(0, noise * np.abs(value).max(), value.shape)
    return Grid(values=value, x=axis, y=axis, quantity="total field anomaly", unit="nT", inclination=dip, declination=azimuth, height=0.0)


def field(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 80 * np.sin(x / 4000) * np.cos(y / 5000) + 0.002 * x


def lines(offsets: np.ndarray, ties: int = 4, noise: float = 0.3) -> Magnetics:
    """North-south lines 500 m apart with offsets, and east-west ties without."""
    rng = np.random.default_rng(4)
    xs, ys, names, shift = [], [], [], []
    for k, offset in enumerate(offsets):
        y = 50.0 * np.arange(200) + rng.uniform(0, 20)
        xs.append(500.0 * k + 15 * np.sin(y / 900))
        ys.append(y)
        names += [f"L{k}"] * len(y)
        shift.append(np.full(len(y), offset))
    for k in range(ties):
        x = 60.0 * np.arange(-4, 10 * len(offsets))
        xs.append(x)
        ys.append(np.full(len(x), 1000.0 + 2500 * k))
        names += [f"T{k}"] * len(x)
        shift.append(np.zeros(len(x)))
    x, y = np.concatenate(xs), np.concatenate(ys)
    value = field(x, y) + np.concatenate(shift) + rng.normal(0, noise, len(x))
    return Magnetics(x=x, y=y, value=value, line=np.array(names), height=np.full(len(x), 100.0))


# Main field


def test_the_main_field_is_the_official_one():
    for year, height, latitude, longitude, north, east, down, total in OFFICIAL:
        strength, dip, azimuth, _ = main_field(np.array([longitude]), np.array([latitude]), np.array([1000 * height]), day(year))
        assert strength[0] == pytest.approx(total, abs=0.3)
        assert dip[0] == pytest.approx(math.degrees(math.atan2(down, math.hypot(north, east))), abs=1e-3)
        assert azimuth[0] == pytest.approx(math.degrees(math.atan2(east, north)), abs=1e-3)


def test_the_anomaly_is_what_was_added_to_the_main_field():
    result = igrf_anomaly(survey(), "1997.6")
    east, north = result.coordinates()
    assert np.allclose(result.value, 40 * np.sin(3 * east) * np.cos(5 * north), atol=0.01)
    assert result.quantity == "total field anomaly"
    assert result.inclination == pytest.approx(65.6, abs=0.5)
    assert result.intensity == pytest.approx(48000, rel=0.02)
    assert "IGRF-14" in result.notes[0]
    assert "definitive" in result.notes[0]


def test_dates_beyond_the_last_model_are_extrapolated_aloud_and_then_refused():
    longitude, latitude, height = np.array([10.0]), np.array([50.0]), np.array([0.0])
    assert "extrapolated 2.50 years" in main_field(longitude, latitude, height, day(2027.5))[3][0]
    assert "not yet definitive" in main_field(longitude, latitude, height, day(2023.5))[3][0]
    with pytest.raises(Refusal, match="1900 to 2030"):
        igrf_anomaly(survey(), "2041")


@pytest.mark.parametrize("written", ["1997-08-08", "8.8.1997", "8 August 1997", "1997/08/08"])
def test_dates_as_people_write_them(written):
    assert when(written) == datetime.datetime(1997, 8, 8)


def test_a_survey_without_a_date_is_asked_about():
    with pytest.raises(Missing) as missing:
        igrf_anomaly(survey(), "")
    assert missing.value.argument == "date"


@pytest.mark.parametrize(
    ("changes", "date", "error"),
    [
        ({"quantity": "total field anomaly"}, "1997", Refusal),
        ({"value": np.full(30, np.nan)}, "1997", Refusal),
        ({"value": np.full(30, 48000.0)}, "1997", Refusal),
        ({"value": np.linspace(40, 50, 30)}, "1997", Refusal),
        ({"height": np.full(30, np.nan)}, "1997", Refusal),
        ({"longitude": None, "latitude": None, "x": np.arange(30.0), "y": np.arange(30.0) ** 2}, "1997", Refusal),
        ({}, "when it rained", ValueError),
    ],
)
def test_what_has_no_main_field_is_refused(changes, date, error):
    with pytest.raises(error):
        igrf_anomaly(survey(**changes), date)


# Levelling


def test_planted_line_offsets_are_removed():
    offsets = np.random.default_rng(1).normal(0, 15, 16)
    result = level_lines(lines(offsets), ["T*"])
    facts = {key: fact.value for key, fact in result.facts.items()}
    x, y = result.coordinates()
    assert np.abs(result.value - field(x, y)).max() < 2.0
    assert facts["before"] > 9
    assert facts["after"] < 0.6
    assert facts["crossings"] == 64
    assert facts["lines"] == 20


def test_without_ties_the_mean_is_kept_and_wild_crossings_count_little():
    data = lines(np.random.default_rng(1).normal(0, 15, 16))
    value = data.value.copy()
    value[100:106] += 300.0  # a pipeline under one line
    result = level_lines(data.made(value=value))
    assert result.value.mean() == pytest.approx(value.mean(), abs=1e-9)
    rest = result.value - field(*result.coordinates())
    rest = np.delete(rest, slice(100, 106))
    assert np.std(rest) < 0.5


def test_a_tilt_is_taken_off_with_degree_1():
    data = lines(np.zeros(12))
    tilted = data.made(value=data.value + np.where(data.line == "L5", 0.01 * (data.y - 5000), 0.0))
    x, y = data.coordinates()
    first, second = (level_lines(tilted, ["T*"], degree) for degree in (0, 1))
    on = data.line == "L5"
    assert np.std((first.value - field(x, y))[on]) > 20
    assert np.std((second.value - field(x, y))[on]) < 1.0


@pytest.mark.parametrize(
    ("data", "ties", "error"),
    [
        (lines(np.zeros(5), ties=0), None, Refusal),
        (lines(np.zeros(5)).made(line=None), None, Refusal),
        (lines(np.zeros(5)).made(line=np.full(lines(np.zeros(5)).value.shape, "L1")), None, Refusal),
        (lines(np.zeros(5)), ["T9"], ValueError),
        (lines(np.zeros(5)), ["T*", "L*"], Refusal),
    ],
)
def test_lines_that_cannot_be_levelled_are_refused(data, ties, error):
    with pytest.raises(error):
        level_lines(data, ties)


# Forward model


def test_a_small_deep_block_is_a_dipole():
    grid = magnetic_forward(2000.0, 2200.0, 200.0, 0.05, 60.0, 10.0, 50_000.0, height=100.0)
    x, y = np.meshgrid(grid.x, grid.y)
    r = np.stack([x, y, np.full_like(x, 2200.0)])
    far = np.sqrt((r**2).sum(axis=0))
    moment = 0.05 * 50_000e-9 / MU0 * 200.0**3
    truth = 1e-7 * moment * 1e9 * (3 * np.tensordot(direction(60.0, 10.0), r / far, 1) ** 2 - 1) / far**3
    assert np.abs(grid.values - truth).max() < 0.01 * np.abs(truth).max()
    assert grid.facts["moment"].value == pytest.approx(moment)


def test_the_anomaly_is_linear_in_susceptibility_and_positive_over_a_body_at_the_pole():
    one, two = (magnetic_forward(100.0, 500.0, 300.0, k, 90.0, 0.0, 60_000.0) for k in (0.01, 0.02))
    assert np.allclose(two.values, 2 * one.values)
    assert one.values[30, 30] == one.values.max() > 0


@pytest.mark.parametrize(
    "changes", [{"depth_base": 50.0}, {"susceptibility": 0.0}, {"nodes": 3}, {"depth_top": 0.0}],
)  # fmt: skip
def test_blocks_that_make_no_sense_are_sent_back(changes):
    arguments = {"depth_top": 100.0, "depth_base": 200.0, "width": 100.0, "susceptibility": 0.01, "inclination": 60.0, "declination": 0.0}
    with pytest.raises(ValueError):
        magnetic_forward(**({**arguments, "strength": 50_000.0} | changes))


# Euler


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_euler_finds_a_dipole_within_2_percent(noise):
    report = euler(dipole(noise=noise), 3.0, 1000.0)
    assert report.facts["depth"].value == pytest.approx(800.0, rel=0.02)
    assert report.facts["x"].value == pytest.approx(600.0, abs=20)
    assert report.facts["y"].value == pytest.approx(-400.0, abs=20)
    low, high = report.facts["depth_range"].value
    assert low <= report.facts["depth"].value <= high


def test_the_structural_index_moves_the_depth():
    assert euler(dipole(), 2.0, 1000.0).facts["depth"].value < 650


@pytest.mark.parametrize(
    ("grid", "index", "window", "error"),
    [
        (dipole().made(values=np.full((101, 101), np.nan)), 3.0, None, Refusal),
        (dipole().made(unit="m"), 3.0, None, Refusal),
        (dipole().made(geographic=True), 3.0, None, Refusal),
        (dipole().made(unit="mGal"), 3.0, None, ValueError),
        (dipole(), 3.0, 50.0, ValueError),
        (dipole(), 3.0, 9000.0, ValueError),
    ],
)
def test_maps_without_euler_depths_are_refused(grid, index, window, error):
    with pytest.raises(error):
        euler(grid, index, window)


def test_the_euler_map_is_drawn_with_units():
    figure = plot.draw(euler(dipole(), 3.0, 1000.0))
    assert figure is not None
    axes = plot.describe(figure)["axes"]
    assert axes[0]["x"] == "easting (km)"
    assert "(m)" in axes[1]["y"]


# Inversion


def block(dip: float, depth: tuple[float, float] = (250.0, 550.0), side: int = 16) -> Magnetics:
    import harmonica

    axis = 100.0 * np.arange(side)
    x, y = (a.ravel() for a in np.meshgrid(axis, axis))
    along = direction(dip, 10.0)
    magnetisation = 0.03 * 50_000e-9 / MU0
    prism = np.array([[600.0, 900.0, 500.0, 800.0, -depth[1], -depth[0]]])
    parts = harmonica.prism_magnetic((x, y, np.zeros_like(x)), prism, tuple(np.array([magnetisation * a]) for a in along), field="b", parallel=False)
    value = sum(a * part for a, part in zip(along, parts, strict=True)) + np.random.default_rng(2).normal(0, 1.0, x.size)
    return Magnetics(x=x, y=y, value=value, height=np.zeros_like(x), quantity="residual total field anomaly",
                     inclination=dip, declination=10.0, intensity=50_000.0)  # fmt: skip


@pytest.mark.parametrize("dip", [65.0, -30.0])
def test_a_magnetic_block_is_found(dip):
    model = gravity_mag_3d(block(dip), noise=1.0)
    facts = {key: fact.value for key, fact in model.facts.items()}
    for key, truth in (("centre_x", 750.0), ("centre_y", 650.0), ("centre_depth", 400.0)):
        assert abs(facts[key] - truth) <= facts["cell"]
    assert facts["misfit"] == pytest.approx(1.0, abs=0.05)
    assert facts["depth_range"][0] <= 400.0 <= facts["depth_range"][1]
    assert facts["moment"] == pytest.approx(0.03 * 300**3, rel=0.25)
    assert (model.quantity, model.unit) == ("susceptibility", "SI")
    assert model.values.min() >= 0


def test_the_field_of_a_date_is_used_and_an_unknown_one_asked_for():
    bare = block(65.0).made(inclination=None, declination=None, intensity=None)
    with pytest.raises(Missing) as missing:
        gravity_mag_3d(bare, noise=1.0)
    assert missing.value.about == ["inclination", "declination", "strength", "date"]
    from moho.agent.tools.block_model import planned
    from moho.agent.tools.magnetic_inversion import _field

    placed = bare.made(x=bare.x + 4e5, y=bare.y + 5.5e6, crs="EPSG:32632")
    (strength, dip, _), notes = _field(placed, planned(placed, 200.0, None), None, None, None, "1997.6")
    assert strength == pytest.approx(48_000, rel=0.02)
    assert dip == pytest.approx(65.0, abs=2)
    assert any("IGRF-14" in note for note in notes)


def test_cells_twice_the_spacing_make_no_hot_spots():
    model = gravity_mag_3d(block(-30.0, (150.0, 450.0)), noise=1.0, cell=200.0, depth=1000.0)
    assert model.facts["misfit"].value == pytest.approx(1.0, abs=0.05)
    assert model.facts["moment"].value == pytest.approx(0.03 * 300**3, rel=0.35)
    assert abs(model.facts["centre_depth"].value - 300) < 100
    assert np.hypot(model.facts["centre_x"].value - 750, model.facts["centre_y"].value - 650) < 100
    assert any("averaged to one a cell" in note for note in model.notes)


@pytest.mark.parametrize(
    ("data", "arguments", "error"),
    [
        (block(65.0), {"error": 1.0}, ValueError),
        (block(65.0, (50.0, 200.0)), {"noise": 1.0, "cell": 320.0}, Refusal),
        (block(65.0), {"noise": -1.0}, ValueError),
        (block(65.0), {"noise": 1e5}, Refusal),
        (block(65.0).made(quantity="total field"), {}, Refusal),
        (block(65.0).made(quantity="total field anomaly reduced to the pole"), {}, Refusal),
        (block(65.0), {"strength": 5.0}, Refusal),
        (Gravity(x=block(65.0).x, y=block(65.0).y, value=block(65.0).value, quantity="residual gravity"), {"noise": 1.0}, ValueError),
    ],
)
def test_magnetic_data_that_cannot_be_inverted_are_refused(data, arguments, error):
    with pytest.raises(error):
        gravity_mag_3d(data, **arguments)


def test_a_strongest_anomaly_that_is_left_over_and_cut_by_averaging_is_said():
    data = block(65.0, (60.0, 300.0))
    fine, coarse = gravity_mag_3d(data, noise=1.0, depth=800.0), gravity_mag_3d(data, noise=40.0, cell=190.0, depth=800.0)
    assert fine.facts["peak_explained"].value > 90
    assert not any("of the strongest anomaly (" in note for note in fine.notes)
    at = int(np.argmax(np.abs(coarse.arrays["observed"])))
    share = 100 * coarse.arrays["predicted"][at] / coarse.arrays["observed"][at]
    assert coarse.facts["peak_explained"].value == pytest.approx(share)
    assert share < 80
    assert any("of the strongest anomaly (" in note and f"({share:.0f} %)" in note for note in coarse.notes)
    assert coarse.facts["peak_cut"].value > 5
    assert any("averaging cut the strongest value" in note for note in coarse.notes)


def test_a_susceptibility_above_the_limit_is_refused_with_the_likely_cause(monkeypatch):
    monkeypatch.setattr("moho.agent.tools.magnetic_inversion.LARGEST", 0.001)
    with pytest.raises(Refusal, match=r"no rock or ore has more than 0\.001 SI") as refused:
        gravity_mag_3d(block(65.0), noise=1.0, cell=200.0, depth=600.0)
    assert refused.value.code == "E_PHYSICS"
    assert "are the units right" in refused.value.hint


# Real data


def test_the_main_body_of_raglan_lies_where_the_published_model_has_it(shared):
    from moho.read import read

    data = read(shared / "magnetic_raglan" / "obs.mag")
    assert isinstance(data, Magnetics)
    inside = (data.x > 2400) & (data.x < 4150) & (data.y > 39_400) & (data.y < 41_300)
    part = replace(data, x=data.x[inside], y=data.y[inside], height=data.height[inside], value=data.value[inside])
    model = gravity_mag_3d(part, cell=100.0, depth=1000.0)
    # centre of the published 1997 model's strongest body above half its largest susceptibility
    for key, truth, within in (("centre_x", 3364.0, 100.0), ("centre_y", 40_399.0, 150.0), ("centre_depth", 437.0, 150.0)):
        assert abs(model.facts[key].value - truth) < within
    assert model.facts["misfit"].value == pytest.approx(1.0, abs=0.05)
