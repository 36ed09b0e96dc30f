"""Smooth gravity inversion of buried blocks, and the forward model of one."""

from __future__ import annotations

import re

import numpy as np
import pytest

from moho.agent.tools.block_model import _thin, anomaly_width, planned
from moho.agent.tools.gravity_inversion import _cost, _sensitivity, gravity_forward, gravity_mag_3d
from moho.errors import Refusal
from moho.survey import Gravity, Grid
from moho.units import show

G = 6.6743e-11


def attraction(x: np.ndarray, y: np.ndarray, block: tuple[float, ...], density: float) -> np.ndarray:
    import harmonica

    west, east, south, north, top, base = block
    prism = np.array([[west, east, south, north, -base, -top]])
    return np.asarray(harmonica.prism_gravity((x, y, np.zeros_like(x)), prism, np.array([density]), field="g_z"))


def stations(block: tuple[float, ...], density: float, noise: float = 0.02, **changes) -> Gravity:
    axis = 100.0 * np.arange(20)
    x, y = (a.ravel() for a in np.meshgrid(axis, axis))
    value = attraction(x, y, block, density) + np.random.default_rng(1).normal(0, noise, x.size)
    return Gravity(**{"x": x, "y": y, "value": value, "height": np.zeros_like(x), "quantity": "residual gravity"} | changes)


DEEP = (800.0, 1200.0, 700.0, 1100.0, 300.0, 600.0)
SHALLOW = (800.0, 1200.0, 700.0, 1100.0, 100.0, 400.0)


@pytest.mark.parametrize(("block", "density", "error"), [(DEEP, 400.0, 0.02), (SHALLOW, -400.0, None)])
def test_a_buried_block_is_found(block, density, error):
    result = gravity_mag_3d(stations(block, density), error)
    facts = {key: fact.value for key, fact in result.facts.items()}
    truth = [0.5 * (block[k] + block[k + 1]) for k in (0, 2, 4)]
    cell = facts["cell"]
    for found, wanted in zip((facts["centre_x"], facts["centre_y"], facts["centre_depth"]), truth, strict=True):
        assert abs(found - wanted) <= cell
    low, high = facts["depth_range"]
    assert low <= truth[2] <= high
    mass = density * (block[1] - block[0]) * (block[3] - block[2]) * (block[5] - block[4])
    assert facts["excess_mass"] == pytest.approx(mass, rel=0.2)
    assert facts["gauss_mass"] == pytest.approx(mass, rel=0.1)
    apart = abs(facts["gauss_mass"] - facts["excess_mass"]) > 0.2 * min(abs(facts["gauss_mass"]), abs(facts["excess_mass"]))
    notes = " ".join(result.notes)
    assert ("they disagree" in notes, "its mass and centre are better known" in notes) == (apart, not apart)
    assert facts["misfit"] == pytest.approx(1.0, abs=0.01)
    assert facts["error"] == pytest.approx(0.02, rel=0.2)
    assert result.values.shape == (len(result.z_edges) - 1, len(result.y_edges) - 1, len(result.x_edges) - 1)
    _z, y, x = np.unravel_index(np.argmax(np.abs(result.values)), result.values.shape)
    assert result.x_edges[x] - cell < truth[0] < result.x_edges[x + 1] + cell
    assert result.y_edges[y] - cell < truth[1] < result.y_edges[y + 1] + cell
    assert len(result.arrays["observed"]) == len(result.arrays["predicted"]) == 400


def test_simpegs_sign_is_turned_and_its_prisms_are_harmonicas():
    plan = planned(stations(DEEP, 400.0), 100.0, 600.0)
    mesh, sensitivity = _sensitivity(plan)
    cell = 13 * 17 + 6 * 17 * plan.shape[1]
    east, north, up = mesh.cell_centers[cell]
    half = plan.cell / 2
    truth = attraction(plan.x, plan.y, (east - half, east + half, north - half, north + half, -up - half, -up + half), 1.0)
    assert sensitivity[:, cell] == pytest.approx(truth, rel=1e-3)
    assert (truth > 0).all()


def test_a_map_gives_what_its_stations_give():
    data = stations(DEEP, 400.0, noise=0.005)
    axis = 100.0 * np.arange(20)
    grid = Grid(values=data.value.reshape(20, 20), x=axis, y=axis, quantity="residual gravity", unit="mGal", height=0.0)
    first, second = gravity_mag_3d(grid, 0.02, 200.0, 800.0), gravity_mag_3d(data, 0.02, 200.0, 800.0)
    assert first.values == pytest.approx(second.values, abs=1e-6)
    assert first.values.tobytes() == gravity_mag_3d(grid, 0.02, 200.0, 800.0).values.tobytes()


def test_a_regional_that_is_still_in_the_data_is_taken_off():
    data = stations(DEEP, 400.0)
    assert data.x is not None
    assert data.y is not None
    raised = data.made(value=data.value - 95 + 1e-3 * data.x, quantity="Bouguer disturbance")
    result = gravity_mag_3d(raised, 0.02, 200.0, 800.0)
    assert abs(result.facts["centre_x"].value - 1000) < 100
    assert any("plane through the" in note for note in result.notes)


def test_the_width_of_the_anomaly_of_a_deep_point_is_one_and_a_half_depths():
    x, y = (a.ravel() for a in np.meshgrid(50.0 * np.arange(41), 50.0 * np.arange(41)))
    depth = 300.0
    value = depth / ((x - 1000) ** 2 + (y - 1000) ** 2 + depth**2) ** 1.5
    assert anomaly_width(x, y, value, 50.0) == pytest.approx(2 * 0.7664 * depth, rel=0.05)  # half the peak at 0.7664 of the depth


def test_data_are_averaged_to_coarse_cells_and_too_coarse_ones_are_refused():
    data = stations((900.0, 1150.0, 800.0, 1050.0, 100.0, 300.0), 400.0)
    plan = planned(data, 160.0, 800.0)
    assert len(plan.x) < 200
    assert plan.spacing == 160
    assert any("averaged to one a cell" in note for note in plan.notes)
    with pytest.raises(Refusal, match=r"cells of 340 m are too coarse: the strongest anomaly \(.* mGal\) is 3.. m wide") as refused:
        planned(data, 340.0, 800.0)
    assert "crop_map" in refused.value.hint


@pytest.mark.parametrize("nodes", [6, 7])
def test_the_map_of_a_block_is_harmonicas_at_every_node(nodes):
    grid = gravity_forward(200.0, 500.0, 300.0, 250.0, length=700.0, x=5e5, y=-120.0, nodes=nodes)
    x, y = np.meshgrid(grid.x, grid.y)
    truth = attraction(x, y, (5e5 - 150, 5e5 + 150, -470.0, 230.0, 200.0, 500.0), 250.0)
    assert grid.values == pytest.approx(truth, rel=1e-9)


def test_a_deep_small_block_pulls_like_a_point():
    grid = gravity_forward(950.0, 1050.0, 100.0, 500.0)
    assert grid.facts["peak"].value == pytest.approx(1e5 * G * grid.facts["excess_mass"].value / 1000**2, rel=3e-3)
    assert grid.quantity == "residual gravity"


@pytest.mark.parametrize(
    ("data", "arguments", "code"),
    [
        (stations(DEEP, 400.0, quantity="observed gravity"), {}, "E_DATA"),
        (stations(DEEP, 400.0, value=np.ones(400)), {}, "E_DATA"),
        (stations(DEEP, 400.0), {"error": 5.0}, "E_DATA"),
        (stations(DEEP, 400.0, y=np.arange(400) * 1e-3), {}, "E_GEOMETRY"),
        (stations(DEEP, 400.0), {"cell": 5.0}, "E_LIMIT"),
        (stations(DEEP, 400.0), {"cell": 1500.0}, "E_GEOMETRY"),
        (stations(DEEP, 1e6), {}, "E_UNITS"),  # 1.4 Gal
        (Grid(values=np.eye(20), x=np.arange(20.0), y=np.arange(20.0), unit="m"), {}, "E_UNITS"),
    ],
)
def test_what_cannot_be_inverted_is_refused(data, arguments, code):
    with pytest.raises(Refusal) as refused:
        gravity_mag_3d(data, **arguments)
    assert refused.value.code == code


@pytest.mark.parametrize("cell", [510.0, 5000.0, 30_000.0])
def test_cells_too_large_for_the_area_are_refused_before_the_run_with_cells_that_do(cell):
    data = stations(DEEP, 400.0)
    for asked in (lambda: _cost(data, cell=cell), lambda: gravity_mag_3d(data, cell=cell)):
        with pytest.raises(Refusal, match=r"too large: the data cover only 1\.9 km by 1\.9 km") as refused:
            asked()
    fits = re.search(r"Use cells of (\d+) m or smaller", refused.value.hint)
    assert fits
    assert planned(data, float(fits[1]), None).cell == float(fits[1])


def test_cells_too_many_for_the_memory_are_refused_before_the_run_with_their_size():
    with pytest.raises(Refusal, match=r"cells of 5 m \(a bare number is metres\): .* cells need .* GB"):
        _cost(stations(DEEP, 400.0), cell=5.0)


def test_a_contrast_that_no_rock_has_is_refused_with_the_likely_cause():
    with pytest.raises(Refusal, match=r"no rock or ore differs by more than 10000 kg/m3") as refused:
        gravity_mag_3d(stations(DEEP, 4e5), 0.02)
    assert refused.value.code == "E_PHYSICS"
    assert "in microgal" in refused.value.hint


def test_what_the_model_leaves_of_the_strongest_anomaly_is_said():
    data = stations(DEEP, 400.0)
    good, loose = gravity_mag_3d(data, 0.01, 100.0, 800.0), gravity_mag_3d(data, 0.15, 100.0, 800.0)
    for result in (good, loose):
        at = int(np.argmax(np.abs(result.arrays["observed"])))
        share = 100 * result.arrays["predicted"][at] / result.arrays["observed"][at]
        assert result.facts["peak_explained"].value == pytest.approx(share)
        assert any("of the strongest anomaly (" in note for note in result.notes) == (share < 80)
    assert good.facts["peak_explained"].value > 95
    assert loose.facts["peak_explained"].value < 80
    assert "peak_cut" not in loose.facts  # 100 m cells on data 100 m apart: nothing is averaged


def test_averaging_says_how_much_of_the_maximum_it_took():
    data = stations(SHALLOW, 400.0, noise=0.0)
    plan = planned(data, 200.0, 800.0)
    middle = float(np.median(data.value))
    _, _, mean, _ = _thin(data.x, data.y, data.value, data.height, 200.0)
    assert plan.cut == pytest.approx(1 - (mean.max() - middle) / (data.value.max() - middle))
    assert plan.cut > 0.05
    assert any(f"averaging cut the strongest value from {show(float(data.value.max()))} to" in note for note in plan.notes)


def test_arguments_that_can_be_mended_say_so():
    with pytest.raises(ValueError):
        gravity_mag_3d(stations(DEEP, 400.0), -1.0)
    with pytest.raises(ValueError):
        gravity_forward(300.0, 200.0, 100.0, 400.0)
