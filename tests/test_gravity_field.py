"""Gravimeter readings against a planted drift and Longman's tide; spectral depths against ensembles of sources at a known depth."""

from __future__ import annotations

import numpy as np
import pytest

from moho import plot
from moho.agent.tools.gravity_field import AMPLIFICATION, _moon_and_sun, earth_tide, gravimeter_reduce, spectral_depth
from moho.errors import Missing, Refusal
from moho.survey import Gravity, Grid, Table

TRUTH = {"B": 0.0, "1": 3.2, "2": -1.7, "3": 8.05, "4": 0.4}
ROUTE = ("B", "1", "2", "B", "3", "1", "B", "4", "2", "B")


def stamps(hours: np.ndarray) -> np.ndarray:
    return np.datetime64("2024-05-17T06:00:00", "us") + (hours * 3600e6).astype("timedelta64[us]")


def readings(noise: float = 0.0, scale: float = 1.0, **changes) -> Table:
    """Ten readings with a drift that changes its rate at each visit to the base, and the tide in them."""
    hours = np.arange(10) * 0.7
    place = {name: (10.0 + 0.01 * k, 50.0 + 0.02 * k, 200.0 + 10 * k) for k, name in enumerate(TRUTH)}
    longitude, latitude, height = (np.array([place[name][k] for name in ROUTE]) for k in range(3))
    drift = np.interp(hours, hours[[0, 3, 6, 9]], [0.0, 0.06, 0.05, 0.11])
    tide = AMPLIFICATION * earth_tide(stamps(hours), longitude, latitude, height)
    value = 4200.0 + np.array([TRUTH[name] for name in ROUTE]) + drift - tide + np.random.default_rng(5).normal(0, noise, 10)
    columns = {
        "station": np.array(ROUTE), "time_utc": np.array([str(t) for t in stamps(hours)]), "reading_mgal": value / scale, "longitude": longitude,
        "latitude": latitude, "height_m": height,
    }  # fmt: skip
    columns |= changes
    return Table(columns={name: column for name, column in columns.items() if column is not None})


def ensemble(depth: float, unit: str, seed: int = 0) -> Grid:
    rng = np.random.default_rng(seed)
    axis = 250.0 * np.arange(128)
    x, y = np.meshgrid(axis, axis)
    value = np.zeros_like(x)
    for east, north, size in zip(*rng.uniform(-8000, 40_000, (2, 1200)), rng.normal(size=1200), strict=True):
        far = (x - east) ** 2 + (y - north) ** 2 + depth**2
        value += size * (depth if unit == "mGal" else 3 * depth**2 / far - 1) / far**1.5
    name = "residual gravity" if unit == "mGal" else "total field anomaly reduced to the pole"
    return Grid(values=value / value.std(), x=axis, y=axis, quantity=name, unit=unit, height=100.0)


# Tide


def test_the_tide_is_that_of_longmans_programs():
    """State College, 2015-04-23 00:00 UTC, 370 m: the value that John Leeman's LongmanTide tests, which holds the factor 1.1575 already."""
    time = np.array(["2015-04-23T00:00:00"], dtype="datetime64[us]")
    moon, sun = _moon_and_sun(time, np.array([282.1414]), np.array([40.7914]), np.array([370.0]))
    assert 1.1575 * moon[0] == pytest.approx(0.0324029651226, abs=2e-5)
    assert 1.1575 * sun[0] == pytest.approx(-0.0288682178454, abs=2e-5)


def test_a_year_of_tide_stays_within_its_known_range_and_averages_out():
    time = np.datetime64("2024-01-01", "us") + np.arange(366 * 24) * np.timedelta64(3600, "s")
    tide = earth_tide(time, np.zeros(len(time)), np.zeros(len(time)), np.zeros(len(time)))
    assert 0.12 < tide.max() < 0.19
    assert -0.13 < tide.min() < -0.05
    assert abs(tide.mean()) < 0.03


# Readings


def test_loops_close_to_zero_and_the_differences_come_back():
    result = gravimeter_reduce(readings(), "B")
    assert isinstance(result, Gravity)
    facts = {key: fact.value for key, fact in result.facts.items()}
    assert facts["closure"] < 1e-9
    assert facts["loops"] == 3
    assert dict(zip(facts["names"], facts["differences"], strict=True)) == pytest.approx(TRUTH, abs=1e-6)
    assert facts["repeatability"] < 1e-6
    assert facts["misclosure"] == pytest.approx(0.06, abs=1e-9)
    assert facts["drift"] == pytest.approx([-0.01 / 2.1, 0.06 / 2.1])
    assert result.quantity == "gravity difference"
    assert result.height is not None


def test_dial_readings_take_the_scale_and_the_base_makes_observed_gravity():
    table = readings(scale=1.0567)
    columns = {("counter" if name == "reading_mgal" else name): column for name, column in table.columns.items()}
    result = gravimeter_reduce(Table(columns=columns), "b", 1.0567, base_value=981_000.0)
    assert result.quantity == "observed gravity"
    assert np.sort(result.value) == pytest.approx(np.sort(981_000.0 + np.array(list(TRUTH.values()))), abs=1e-6)
    with pytest.raises(Missing) as missing:
        gravimeter_reduce(Table(columns=columns), "B")
    assert missing.value.argument == "scale"


def test_noise_shows_in_the_repeats():
    assert 0.003 < gravimeter_reduce(readings(noise=0.01), "B").facts["repeatability"].value < 0.03


def test_leaving_the_tide_in_shows():
    facts = gravimeter_reduce(readings(), "B", tide="no").facts
    assert max(abs(a - b) for a, b in zip(facts["differences"].value, sorted_truth(facts["names"].value), strict=True)) > 1e-3


def sorted_truth(names: list[str]) -> list[float]:
    return [TRUTH[name] for name in names]


def test_a_base_that_is_not_named_is_asked_for():
    with pytest.raises(Missing, match="Which is the base"):
        gravimeter_reduce(readings(), "X9")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"longitude": None}, Missing),
        ({"station": np.array(["B", *"123456789"])}, Refusal),
        ({"time_utc": np.arange(10.0)}, Refusal),
        ({"time_utc": np.array(["yesterday"] * 10)}, Refusal),
        ({"reading_mgal": np.full(10, np.nan)}, Refusal),
        ({"reading_mgal": np.array(["a"] * 10)}, ValueError),
        ({"station": None}, Missing),
    ],
)
def test_tables_that_are_no_loops_are_refused(changes, error):
    with pytest.raises(error):
        gravimeter_reduce(readings(**changes), "B")


# Spectrum


@pytest.mark.parametrize(("unit", "sources"), [("mGal", "thick"), ("nT", "thin")])
@pytest.mark.parametrize("depth", [600.0, 1500.0])
def test_the_depth_of_an_ensemble_is_the_slope_of_its_spectrum(unit, sources, depth):
    report = spectral_depth(ensemble(depth, unit), sources=sources)
    assert report.facts["depth"].value == pytest.approx(depth, rel=0.03)
    assert report.facts["depth_error"].value < 0.03 * depth


def test_wavelengths_choose_one_line_and_the_picture_has_units():
    report = spectral_depth(ensemble(600.0, "mGal"), 1000.0, 16_000.0)
    assert report.facts["depth"].value == pytest.approx(600.0, rel=0.15)
    assert len(report.arrays["depths"]) == 1
    figure = plot.draw(report)
    assert figure is not None
    axes = plot.describe(figure)["axes"][0]
    assert (axes["x"], axes["y"]) == ("wavenumber (rad/km)", "ln power ((mGal)²)")


@pytest.mark.parametrize(
    ("grid", "arguments", "error"),
    [
        (ensemble(600.0, "mGal").made(values=np.full((128, 128), np.nan)), {}, Refusal),
        (ensemble(600.0, "mGal").made(values=np.ones((128, 128))), {}, Refusal),
        (ensemble(600.0, "mGal").made(unit="m"), {}, Refusal),
        (ensemble(600.0, "mGal").made(geographic=True), {}, Refusal),
        (ensemble(600.0, "mGal"), {"shortest": 100.0}, ValueError),
        (ensemble(600.0, "mGal"), {"shortest": 9000.0, "longest": 8000.0}, ValueError),
        (ensemble(600.0, "mGal"), {"shortest": 9000.0, "longest": 10_000.0}, Refusal),
        (ensemble(600.0, "mGal").made(values=np.random.default_rng(0).normal(size=(128, 128))), {"longest": 4000.0}, Refusal),
    ],
)
def test_maps_without_a_spectral_depth_are_refused(grid, arguments, error):
    with pytest.raises(error):
        spectral_depth(grid, **arguments)
