"""Gravity and magnetic processing against closed forms: normal gravity, slab, cone, plane, point mass, dipole; and southern Africa."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from moho.agent.tools.potential_fields import (
    _grid_cost,
    bouguer_terrain,
    continue_derive,
    gravity_disturbance,
    grid_trend,
    remove_trend,
    rtp_tilt_analytic,
)
from moho.errors import Missing, Refusal
from moho.survey import Gravity, Grid, Magnetics

G = 6.6743e-11


def one(height: float | None, value: float = 978032.53359, **changes) -> Gravity:
    array = None if height is None else np.array([height])
    return Gravity(**{"longitude": np.array([0.0]), "latitude": np.array([0.0]), "height": array, "value": np.array([value])} | changes)


def plane(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return -30.0 + 2e-4 * x - 5e-4 * y


def scattered(count: int = 400, side: float = 20_000.0) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.random.default_rng(3).uniform(0, side, (2, count))
    return x + 4e5, y + 7e6


def square(n: int = 160, step: float = 500.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    axis = step * (np.arange(n) - n / 2)
    return axis, *np.meshgrid(axis, axis)


def point_mass(depth: float) -> Grid:
    axis, x, y = square()
    value = 1e5 * G * 2e14 * depth / ((x - 1000) ** 2 + (y + 2000) ** 2 + depth**2) ** 1.5
    return Grid(values=value, x=axis, y=axis, quantity="gravity disturbance", unit="mGal", height=100.0, crs="EPSG:32735")


def dipole(inclination: float, declination: float, step: float = 200.0, seen: tuple[float, float] | None = None) -> Grid:
    """Total field anomaly of an induced dipole 4 km under (600, -400); `seen`: the direction the field is measured along."""
    axis, x, y = square(step=step)

    def unit(dip: float, azimuth: float) -> np.ndarray:
        i, d = np.radians(dip), np.radians(azimuth)
        return np.array([np.cos(i) * np.sin(d), np.cos(i) * np.cos(d), -np.sin(i)])

    m, f = unit(inclination, declination), unit(*(seen or (inclination, declination)))
    r = np.stack([x - 600, y + 400, np.full_like(x, 4000.0)])
    far = np.sqrt((r**2).sum(axis=0))
    rhat = r / far
    along = np.tensordot(m, rhat, 1)
    value = 1e-7 * 1e10 * 1e9 * (3 * along * np.tensordot(f, rhat, 1) - m @ f) / far**3
    return Grid(values=value, x=axis, y=axis, quantity="total field anomaly", unit="nT", inclination=inclination, declination=declination)


MIDDLE = (slice(40, 120), slice(40, 120))


@cache
def africa(folder: Path) -> Gravity:
    from moho.read import read

    data = read(folder / "gravity_southern_africa" / "southern-africa-gravity.csv.xz")
    assert isinstance(data, Gravity)
    return data


# Reductions


def test_normal_gravity_at_the_equator_leaves_no_disturbance():
    result = gravity_disturbance(one(0.0))
    assert abs(result.value[0]) < 1e-4  # 978032.53359 mGal
    assert result.quantity == "gravity disturbance"
    assert result.ellipsoid == "WGS84"
    assert any("taken as ellipsoidal" in note for note in result.notes)


def test_gravity_falls_by_the_free_air_gradient():
    assert gravity_disturbance(one(1000.0)).value[0] == pytest.approx(308.6, abs=0.5)


def test_heights_above_the_geoid_make_a_free_air_and_a_bouguer_anomaly():
    stations = one(500.0, datum="geoid")
    assert gravity_disturbance(stations).quantity == "free-air anomaly"
    assert bouguer_terrain(stations).quantity == "Bouguer anomaly"


def test_a_slab_of_100_m_pulls_11_2_mgal():
    disturbance = gravity_disturbance(one(100.0))
    result = bouguer_terrain(disturbance, 2670.0)
    assert 11.1958 <= disturbance.value[0] - result.value[0] <= 11.1970
    assert result.density == 2670.0
    assert result.quantity == "Bouguer disturbance"
    assert any("no terrain correction" in note for note in result.notes)


def test_bouguer_of_observed_gravity_says_that_it_took_normal_gravity_out():
    result = bouguer_terrain(one(100.0), 2300.0)
    assert any("normal gravity was taken out first" in note for note in result.notes)
    assert result.value[0] == pytest.approx(bouguer_terrain(gravity_disturbance(one(100.0)), 2300.0).value[0])


def test_terrain_correction_turns_the_slab_into_a_cone():
    height, radius, step = 1000.0, 5000.0, 50.0
    axis = step * np.arange(-200, 201)
    x, y = np.meshgrid(axis, axis)
    cone = Grid(values=np.maximum(0, height * (1 - np.hypot(x, y) / radius)), x=axis, y=axis, quantity="topography", unit="m", crs="EPSG:32735")
    top = one(height, 0.0, longitude=None, latitude=None, x=np.zeros(1), y=np.zeros(1), crs="EPSG:32735", quantity="gravity disturbance")
    result = bouguer_terrain(top, 2670.0, cone)
    half = axis[-1] + step / 2
    # a square slab seen from the middle of its top: the prism formula by quadrature of its vertical attraction
    depth = (np.arange(2000) + 0.5) * height / 2000
    slab = 1e5 * G * 2670 * height / 2000 * float(np.sum(4 * np.arcsin(half**2 / (half**2 + depth**2))))
    attraction = slab - result.facts["terrain"].value[0]
    assert attraction == pytest.approx(2e5 * np.pi * G * 2670 * height * (1 - height / np.hypot(height, radius)), rel=1e-3)
    assert result.value[0] == pytest.approx(-2e5 * np.pi * G * 2670 * height + result.facts["terrain"].value[0], rel=1e-4)


def test_level_ground_needs_no_terrain_correction():
    axis = np.linspace(20.0, 21.0, 61)
    level = Grid(values=np.full((61, 61), 400.0), x=axis, y=axis - 45, quantity="topography", unit="m", geographic=True)
    stations = one(400.0, 0.0, longitude=np.array([20.5]), latitude=np.array([-24.5]), quantity="gravity disturbance")
    assert abs(bouguer_terrain(stations, 2670.0, level).facts["terrain"].value[0]) < 1e-6


def test_southern_africa_gives_the_published_range(shared):
    stations = africa(shared)
    disturbance, bouguer = gravity_disturbance(stations), bouguer_terrain(stations)
    assert len(disturbance.value) == 14359
    assert disturbance.facts["range"].value == pytest.approx([-101.72, 131.64], abs=0.5)
    assert bouguer.facts["range"].value == pytest.approx([-189.66, 77.69], abs=0.5)
    assert bouguer.facts["mean"].value == pytest.approx(-93.74, abs=0.5)


# Gridding and trends


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_a_plane_is_recovered_to_rounding(degree):
    x, y = scattered()
    stations = Gravity(x=x, y=y, value=plane(x, y), quantity="Bouguer disturbance", density=2400.0, crs="EPSG:32735")
    grid = grid_trend(stations, 1000.0, degree)
    assert np.nanmax(np.abs(grid.values)) < 1e-9
    assert grid.quantity == "residual Bouguer disturbance"
    if degree == 1:
        assert grid.facts["trend_east"].value == pytest.approx(0.2, abs=1e-9)
        assert grid.facts["trend_north"].value == pytest.approx(-0.5, abs=1e-9)


def test_the_map_keeps_density_crs_and_stations():
    x, y = scattered()
    grid = grid_trend(Gravity(x=x, y=y, value=plane(x, y), quantity="Bouguer disturbance", density=2400.0, crs="EPSG:32735"), 1000.0)
    assert (grid.density, grid.crs, grid.unit, grid.quantity) == (2400.0, "EPSG:32735", "mGal", "Bouguer disturbance")
    assert grid.stations is not None
    assert grid.stations.shape == (400, 2)
    columns, rows = np.meshgrid(grid.x, grid.y)
    assert np.nanmax(np.abs(grid.values - plane(columns, rows))) < 1e-6  # a spline keeps a plane


def test_a_smooth_field_comes_back_between_the_stations():
    x, y = scattered(3000)  # many squares of splines

    def field(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 10 * np.sin((x - 4e5) / 3000) * np.cos((y - 7e6) / 4000)

    grid = grid_trend(Magnetics(x=x, y=y, value=field(x, y), inclination=60.0, declination=5.0), 400.0)
    columns, rows = np.meshgrid(grid.x, grid.y)
    inside = (columns > 4.01e5) & (columns < 4.19e5) & (rows > 7.001e6) & (rows < 7.019e6)
    assert np.sqrt(np.nanmean((grid.values - field(columns, rows))[inside] ** 2)) < 0.1
    assert grid.unit == "nT"
    assert grid.inclination == 60.0


def test_a_map_that_overshoots_in_a_gap_says_so_and_is_cut_there():
    x, y = np.random.default_rng(0).uniform(0, 20_000.0, (2, 400))
    keep = np.abs(x - 10_000) > 1700
    x, y = x[keep], y[keep]
    value = np.where(x < 10_000, 50 * np.exp(-(((x - 8300) / 800) ** 2)), 0)
    grid = grid_trend(Gravity(x=x, y=y, value=value, quantity="gravity disturbance"), 400.0)
    (note,) = (note for note in grid.notes if "overshoot" in note)
    assert "to 57.54 mGal, its stations only from 0 to 50 mGal" in note
    rows, columns = np.nonzero(grid.values > value.max() + 0.1 * np.ptp(value))
    distance = np.hypot(grid.x[columns][:, None] - x, grid.y[rows][:, None] - y).min(axis=1, initial=np.inf)
    assert (distance < 500).all()
    smooth = grid_trend(Gravity(x=x, y=y, value=np.sin(x / 4000), quantity="gravity disturbance"), 400.0)
    assert not any("overshoot" in note or "is off by" in note for note in smooth.notes)


def test_a_map_of_noise_says_that_it_is_a_guess_between_stations():
    x, y = scattered()
    value = np.random.default_rng(0).standard_normal(len(x))
    grid = grid_trend(Gravity(x=x, y=y, value=value, quantity="gravity disturbance"), 500.0)
    (note,) = (note for note in grid.notes if "is off by" in note)
    assert f"off by {grid.facts['cross_validated'].value:.3g} mGal" in note
    assert grid.facts["cross_validated"].value > 0.9


def test_gaps_in_stations_missing_rows_and_repeats_are_told():
    x, y = scattered()
    value = plane(x, y) + np.sin(x / 2000)
    keep = np.hypot(x - 4.1e5, y - 7.01e6) > 5000
    x, y, value = (np.append(a[keep], [a[keep][0], a[keep][1]]) for a in (x, y, value))
    value[5] = np.nan
    grid = grid_trend(Gravity(x=x, y=y, value=value, quantity="residual"), 500.0)
    notes = " ".join(grid.notes)
    assert "1 of" in notes
    assert "left out" in notes
    assert "2 repeated stations" in notes
    assert np.isnan(grid.values[np.argmin(np.abs(grid.y - 7.01e6)), np.argmin(np.abs(grid.x - 4.1e5))])


def test_degrees_become_metres_and_southern_africa_grids_within_its_own_range(shared):
    grid = grid_trend(bouguer_terrain(africa(shared)), 20_000.0)
    assert not grid.geographic
    assert grid.crs.startswith("+proj=lcc")
    assert -200 < grid.facts["range"].value[0] < -160
    assert 60 < grid.facts["range"].value[1] < 120
    assert grid.facts["cross_validated"].value < 6
    assert grid.facts["stations"].value == 14325
    up = continue_derive(grid, 50_000.0)
    assert np.nanstd(up.values) < np.nanstd(grid.values)
    assert np.array_equal(np.isnan(up.values), np.isnan(grid.values))


def test_remove_trend_leaves_what_no_polynomial_explains():
    axis, x, y = square(64)
    wave = np.sin(2 * np.pi * x / 8000)
    wave -= np.polynomial.polynomial.polyval(x, np.polynomial.polynomial.polyfit(axis, wave[0], 2))
    values = plane(x, y) + 1e-9 * x * y + wave
    values[3, 4] = np.nan
    result = remove_trend(Grid(values=values, x=axis, y=axis, quantity="total field anomaly", unit="nT"), 2)
    known = np.isfinite(result.values)
    assert known.sum() == values.size - 1
    assert result.quantity == "residual total field anomaly"
    assert np.max(np.abs(result.values - wave)[known]) < 0.02


# Fourier filters


@pytest.mark.parametrize("depth", [4000.0, 6000.0, 8000.0])
def test_upward_continuation_of_a_point_mass(depth):
    result, truth = continue_derive(point_mass(depth), 2000.0), point_mass(depth + 2000).values
    assert np.max(np.abs(result.values - truth)[MIDDLE]) < 2e-3 * truth.max()
    assert result.height == 2100.0


@pytest.mark.parametrize("direction", ["east", "north", "up"])
def test_derivatives_of_a_point_mass(direction):
    depth, grid = 4000.0, point_mass(4000.0)
    x, y = np.meshgrid(grid.x - 1000, grid.y + 2000)
    r = np.sqrt(x**2 + y**2 + depth**2)
    truth = 1e5 * G * 2e14 * {"east": -3 * depth * x / r**5, "north": -3 * depth * y / r**5, "up": 1 / r**3 - 3 * depth**2 / r**5}[direction]
    result = continue_derive(grid, derivative=direction)
    assert np.max(np.abs(result.values - truth)[MIDDLE]) < 1e-3 * np.abs(truth).max()
    assert result.unit == "mGal/m"


def test_a_regional_plane_is_its_own_continuation_and_gaps_stay():
    grid = point_mass(6000.0)
    x, y = np.meshgrid(grid.x, grid.y)
    tilted = grid.made(values=grid.values + plane(x, y))
    difference = continue_derive(tilted, 2000.0).values - continue_derive(grid, 2000.0).values
    assert np.max(np.abs(difference - plane(x, y))) < 1e-6
    values = grid.values.copy()
    values[:20, :30] = np.nan
    holed = continue_derive(grid.made(values=values), 2000.0)
    assert np.array_equal(np.isnan(holed.values), np.isnan(values))
    assert any("empty nodes" in note for note in holed.notes)


def test_downward_continuation_says_its_amplification_and_stops():
    down = continue_derive(point_mass(6000.0), 1000.0, "down")
    assert down.facts["amplification"].value == pytest.approx(np.exp(2 * np.pi), rel=1e-6)
    assert np.max(np.abs(down.values - point_mass(5000.0).values)[MIDDLE]) < 3e-3 * down.values.max()
    with pytest.raises(Refusal, match="shortest wavelength") as refused:
        continue_derive(point_mass(6000.0), 5000.0, "down")
    assert refused.value.code == "E_PHYSICS"
    noisy = point_mass(6000.0)
    noisy = noisy.made(values=noisy.values + np.random.default_rng(0).normal(0, 0.5, noisy.values.shape))
    with pytest.raises(Refusal, match="noise"):
        continue_derive(noisy, 1400.0, "down")


@pytest.mark.parametrize(("inclination", "declination"), [(60.0, -20.0), (-35.0, 15.0), (20.0, 5.0)])
def test_reduction_to_the_pole_puts_the_peak_above_the_dipole(inclination, declination):
    raw = dipole(inclination, declination)
    result = rtp_tilt_analytic(raw, "reduction to the pole")
    assert result.facts["peak"].value == [600.0, -400.0]
    difference = (result.values - dipole(90.0, 0.0).values)[MIDDLE]  # but for the level, which has no pole
    assert np.max(np.abs(difference - difference.mean())) < 0.02 * result.values.max()
    assert raw.x[np.argmax(raw.values) % 160] != 600.0 or raw.y[np.argmax(raw.values) // 160] != -400.0
    assert (result.inclination, result.quantity) == (90.0, "total field anomaly reduced to the pole")


def test_tilt_is_90_degrees_over_the_source_and_the_analytic_signal_peaks_there():
    pole = dipole(90.0, 0.0)
    tilt = rtp_tilt_analytic(pole, "tilt")
    assert tilt.unit == "deg"
    assert tilt.values[np.argmin(np.abs(tilt.y + 400)), np.argmin(np.abs(tilt.x - 600))] > 85
    assert rtp_tilt_analytic(pole, "analytic signal").facts["peak"].value == [600.0, -400.0]


# Refusals


@pytest.mark.parametrize("inclination", [0.0, 5.0, -14.0])
def test_low_magnetic_latitudes_are_refused(inclination):
    with pytest.raises(Refusal, match="inclination") as refused:
        rtp_tilt_analytic(dipole(60.0, 0.0), "reduction to the pole", inclination)
    assert refused.value.code == "E_PHYSICS"


def test_an_unknown_inclination_is_asked_for():
    with pytest.raises(Missing) as missing:
        rtp_tilt_analytic(dipole(60.0, 0.0).made(inclination=None), "reduction to the pole")
    assert missing.value.argument == "inclination"


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: gravity_disturbance(one(None)), "E_GEOMETRY"),
        (lambda: bouguer_terrain(one(np.nan)), "E_GEOMETRY"),
        (lambda: gravity_disturbance(one(0.0, 9.78)), "E_UNITS"),
        (lambda: gravity_disturbance(one(0.0, np.nan)), "E_DATA"),
        (lambda: gravity_disturbance(gravity_disturbance(one(0.0))), "E_DATA"),
        (lambda: bouguer_terrain(bouguer_terrain(one(0.0))), "E_DATA"),
        (lambda: gravity_disturbance(one(0.0, longitude=None, latitude=None, x=np.zeros(1), y=np.zeros(1))), "E_GEOMETRY"),
        (lambda: bouguer_terrain(one(0.0), 2670.0, point_mass(4000.0)), "E_UNITS"),
        (lambda: grid_trend(Gravity(x=np.arange(9.0), y=np.arange(9.0), value=np.arange(9.0)), 1.0), "E_GEOMETRY"),
        (lambda: grid_trend(Gravity(x=np.arange(9.0), y=np.zeros(9), value=np.arange(9.0)), 1.0), "E_GEOMETRY"),
        (lambda: grid_trend(Gravity(x=scattered()[0], y=scattered()[1], value=np.ones(400)), 500.0), "E_DATA"),
        (lambda: grid_trend(Gravity(x=scattered()[0], y=scattered()[1], value=scattered()[0]), 1.0), "E_LIMIT"),
        (lambda: grid_trend(Gravity(x=scattered()[0], y=scattered()[1], value=scattered()[0]), 15_000.0), "E_GEOMETRY"),
        (lambda: remove_trend(point_mass(4000.0).made(values=np.ones((160, 160))), 1), "E_DATA"),
        (lambda: continue_derive(point_mass(4000.0).made(geographic=True), 100.0), "E_GEOMETRY"),
        (lambda: continue_derive(point_mass(4000.0).made(values=np.full((160, 160), np.nan)), 100.0), "E_DATA"),
        (lambda: rtp_tilt_analytic(point_mass(4000.0), "reduction to the pole", 60.0, 0.0), "E_UNITS"),
    ],
)
def test_what_the_data_do_not_allow_is_refused(call, code):
    with pytest.raises(Refusal) as refused:
        call()
    assert refused.value.code == code


def test_a_spacing_too_fine_is_refused_with_its_unit_and_its_nodes():
    x, y = scattered()
    said = r"a spacing of 1 m \(a bare number is metres\) needs 39\d\.\d million nodes over 19\.9\d* by 19\.9\d* km"
    with pytest.raises(Refusal, match=said) as refused:
        _grid_cost(Gravity(x=x, y=y, value=x), 1.0)
    fits = refused.value.hint.split(" m ")[0]
    assert _grid_cost(Gravity(x=x, y=y, value=x), float(fits)).bytes < 80 * 25e6 + 1e6


def test_nothing_asked_of_continuation_is_asked_back():
    with pytest.raises(Missing, match="continued"):
        continue_derive(point_mass(4000.0))
