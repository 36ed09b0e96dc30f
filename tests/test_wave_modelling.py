"""Finite-difference waves against Green's functions, fast marching against the closed form."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import hankel2

from moho import plot
from moho.agent.tools.seismic_modelling import ricker
from moho.agent.tools.velocity_models import velocity_model
from moho.agent.tools.wave_modelling import remap, travel_times, wave_acoustic_2d, wave_elastic_2d
from moho.errors import Refusal

V, DT = 2000.0, 0.002
MODEL = velocity_model(V, 500.0, 400.0, spacing=5.0)
SIZE = 4096
OMEGA = 2 * np.pi * np.fft.rfftfreq(SIZE, DT)


def line_source(distance: float, speed: float = V) -> np.ndarray:
    """(1/v^2 d2/dt2 - Laplacian)^-1 at each frequency above 0, time as exp(+iwt)."""
    return -0.25j * hankel2(0, OMEGA[1:] / speed * distance)


def trace(response: np.ndarray, frequency: float, samples: int) -> np.ndarray:
    time = (np.arange(SIZE) - SIZE // 2) * DT
    spectrum = np.fft.rfft(np.fft.ifftshift(ricker(time, frequency)))
    spectrum[1:] *= response
    spectrum[0] = 0
    return np.fft.irfft(spectrum, SIZE)[:samples]


def worst(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


@pytest.fixture(scope="module")
def shot():
    return wave_acoustic_2d(MODEL, 20.0, [150.0], 0.3, source_depth=200.0, receiver_x=[350.0, 291.5], receiver_depth=200.0, dt=DT)


def test_the_field_is_the_green_function_of_a_line_source_between_the_nodes_too(shot):
    for k in range(2):
        assert worst(shot.data[k], trace(line_source(shot.offset[k]), 20.0, shot.data.shape[1])) < 0.01
    assert shot.facts["courant_number"].value <= 0.6
    assert shot.facts["nodes_per_wavelength"].value == pytest.approx(V / 50 / 5)
    assert shot.data.dtype == np.float32
    assert "Courant number" in " ".join(shot.notes)


def test_a_free_surface_is_an_image_of_opposite_sign():
    found = wave_acoustic_2d(MODEL, 20.0, [200.0], 0.25, source_depth=50.0, receiver_x=[300.0], receiver_depth=20.0, dt=DT, top="free surface")
    wanted = trace(line_source(np.hypot(100, 30)) - line_source(np.hypot(100, 70)), 20.0, found.data.shape[1])
    assert worst(found.data[0], wanted) < 0.01


def test_source_and_receiver_change_places():
    model = velocity_model(1600.0, 300.0, 200.0, spacing=10.0, layer_depths=[100.0], layer_velocities=[2600.0])
    there = wave_acoustic_2d(model, 10.0, [60.0], 0.3, source_depth=20.0, receiver_x=[230.0], receiver_depth=130.0)
    back = wave_acoustic_2d(model, 10.0, [230.0], 0.3, source_depth=130.0, receiver_x=[60.0], receiver_depth=20.0)
    assert worst(there.data[0], back.data[0]) < 1e-3
    assert dump_equal(there, wave_acoustic_2d(model, 10.0, [60.0], 0.3, source_depth=20.0, receiver_x=[230.0], receiver_depth=130.0))


def dump_equal(a, b) -> bool:
    from moho.store import dump

    return dump(a) == dump(b)


def test_dispersion_taken_out_is_what_was_put_in():
    time = np.arange(400) * 0.002
    wave = ricker(time - 0.4, 20.0)
    there = remap(wave, 0.002, 0.002, -1)
    assert worst(there, wave) > 1e-3
    assert worst(remap(there, 0.002, 0.002, 1), wave) < 1e-4


VP, VS, RHO = 2000.0, 1200.0, 2100.0


def displacement(x: float, z: float, i: int) -> np.ndarray:
    """Of a unit vertical force, by component (0 along, 1 down): the 2-D Green's tensor from its potentials."""
    step = 0.05

    def both(a: float, b: float) -> np.ndarray:
        r = np.hypot(x + a, z + b)
        return line_source(r, VS) - line_source(r, VP)

    if i == 1:
        bend = (both(0, step) - 2 * both(0, 0) + both(0, -step)) / step**2
    else:
        bend = (both(step, step) - both(step, -step) - both(-step, step) + both(-step, -step)) / (4 * step**2)
    own = line_source(np.hypot(x, z), VS) if i == 1 else 0
    return (own + (VS / OMEGA[1:]) ** 2 * bend) / (RHO * VS**2)


DIRECTIONS = [("vertical velocity", 120.0, 0.0), ("vertical velocity", 0.0, 120.0), ("horizontal velocity", 90.0, 80.0)]


@pytest.mark.parametrize(("component", "x", "z"), DIRECTIONS)
def test_p_and_s_arrive_on_time_with_the_right_amplitude(component, x, z):
    vp = velocity_model(VP, 400.0, 400.0, spacing=5.0)
    vs = velocity_model(VS, 400.0, 400.0, spacing=5.0, quantity="S velocity")
    rho = replace(vp, data=np.full_like(vp.data, RHO), quantity="density", unit="kg/m3")
    found = wave_elastic_2d(
        vp, 15.0, [150.0], 0.25, vs=vs, rho=rho, source="vertical force", component=component, source_depth=150.0, receiver_x=[150.0 + x],
        receiver_depth=150.0 + z, dt=DT,
    )  # fmt: skip
    samples = found.data.shape[1]
    wanted = trace(1j * OMEGA[1:] * displacement(x, z, component.startswith("v")), 15.0, samples)
    assert worst(found.data[0], wanted) < 0.02
    fine = 16
    pair = [np.fft.irfft(np.fft.rfft(part, 2 * samples), 2 * samples * fine) for part in (found.data[0].astype(float), wanted)]
    cross = np.fft.irfft(np.fft.rfft(pair[0]) * np.conj(np.fft.rfft(pair[1])))
    lag = int(np.argmax(cross))
    assert abs(lag - len(cross) if lag > len(cross) // 2 else lag) < fine  # one sample


def test_an_explosion_without_shear_models_says_what_it_took():
    vp = velocity_model(VP, 200.0, 200.0, spacing=10.0)
    found = wave_elastic_2d(vp, 8.0, [50.0], 0.2, component="pressure", source_depth=100.0, receiver_x=[150.0], receiver_depth=100.0)
    notes = " ".join(found.notes)
    assert "Vp/Vs" in notes
    assert "Gardner" in notes
    assert float(found.data[0][int(np.abs(found.data[0]).argmax())]) > 0  # compression first


# First arrivals


def test_times_in_a_gradient_follow_the_arccosh_law():
    v0, k = 2000.0, 0.8
    model = velocity_model(v0, 1500.0, 600.0, gradient=k, spacing=10.0)
    for source in (100.0, 103.7):  # on a node and between two
        found = travel_times(model, [source])
        x = found.arrays["receiver_x"] - source
        wanted = np.arccosh(1 + (k * x) ** 2 / (2 * v0**2)) / k
        away = np.abs(x) > 0
        np.testing.assert_allclose(found.arrays["time"][away], wanted[away], rtol=1e-3)
        dx, dz = np.meshgrid(found.arrays["x"] - source, found.arrays["depth"], indexing="ij")
        field = np.arccosh(1 + k**2 * (dx**2 + dz**2) / (2 * v0 * (v0 + k * dz))) / k
        np.testing.assert_allclose(found.arrays["field"][field > 0], field[field > 0], rtol=1e-3)


def test_a_head_wave_takes_over_at_the_crossover_distance():
    v1, v2, h = 800.0, 2400.0, 10.0
    found = travel_times(velocity_model(v1, 120.0, 30.0, spacing=0.5, layer_depths=[h], layer_velocities=[v2]), [0.0], receiver_spacing=5.0)
    x = found.arrays["receiver_x"]
    head = x / v2 + 2 * h * np.sqrt(v2**2 - v1**2) / (v1 * v2)
    np.testing.assert_allclose(found.arrays["time"], np.minimum(x / v1, head), atol=4e-4)
    crossover = 2 * h * np.sqrt((v2 + v1) / (v2 - v1))
    slopes = np.diff(found.arrays["time"]) / 5
    assert x[int(np.argmax(slopes < 0.5 * (1 / v1 + 1 / v2)))] == pytest.approx(crossover, abs=5.0)


def test_times_are_the_same_both_ways():
    model = velocity_model(1000.0, 100.0, 50.0, gradient=10.0, spacing=1.0, block_velocity=3000.0, block_x=50.0, block_depth=20.0, block_size=10.0)
    there = travel_times(model, [10.0], 0.0, [90.0]).facts["times"].value[0]
    assert there == pytest.approx(travel_times(model, [90.0], 0.0, [10.0]).facts["times"].value[0], rel=2e-3)


# Refusals and pictures


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frequency": 200.0}, "numerical dispersion"),
        ({"frequency": 100.0, "dt": 0.004}, "Nyquist"),
        ({"source_x": [900.0]}, "1 of 1 sources lie outside"),
        ({"receiver_x": [float("nan")]}, "no position"),
        ({"receiver_depth": 999.0}, "receivers lie outside"),
        ({"length": 0.002, "dt": 0.001}, "samples"),
        ({"top": "free surface"}, "pressure is zero"),
        ({"model": replace(MODEL, data=np.where(MODEL.data > 0, np.nan, 0).astype(np.float32))}, "hold no number"),
        ({"model": replace(MODEL, quantity="amplitude", domain="time")}, "in depth is wanted"),
    ],
)
def test_waves_that_cannot_be_modelled_are_refused(changes, words):
    with pytest.raises(Refusal, match=words):
        wave_acoustic_2d(**{"model": MODEL, "frequency": 20.0, "source_x": [100.0], "length": 0.2} | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vp_vs": 1.1}, "stable solid"),
        ({"rho": replace(MODEL, quantity="density", unit="kg/m3", data=-MODEL.data)}, "lies between"),
        ({"vs": velocity_model(1000.0, 500.0, 400.0, spacing=10.0, quantity="S velocity")}, "different grids"),
        ({"vp_vs": 10.0}, "S waves"),
    ],
)
def test_solids_that_cannot_be_are_refused(changes, words):
    with pytest.raises(Refusal, match=words):
        wave_elastic_2d(**{"vp": MODEL, "frequency": 20.0, "source_x": [100.0], "length": 0.2} | changes)


def test_times_through_what_is_no_velocity_model_are_refused():
    with pytest.raises(Refusal, match="holds density"):
        travel_times(replace(MODEL, quantity="density", unit="kg/m3"), [0.0])
    with pytest.raises(ValueError, match="at least one"):
        travel_times(MODEL, [0.0], receiver_x=[])


def test_the_thread_count_is_given_back(shot):
    torch = sys.modules["torch"]
    before = torch.get_num_threads()
    wave_acoustic_2d(velocity_model(V, 100.0, 100.0), 10.0, [50.0], 0.1)
    assert torch.get_num_threads() == before


def test_shots_and_times_are_drawn_with_their_units(shot):
    assert any("time (s)" in ax.get_ylabel() for ax in plot.draw(shot).axes)
    figure = plot.draw(travel_times(MODEL, [0.0, 400.0], receiver_spacing=50.0))
    upper, lower = figure.axes[:2]
    assert (upper.get_ylabel(), lower.get_xlabel(), lower.get_ylabel()) == ("first-arrival time (s)", "position (m)", "depth (m)")
    assert any("P velocity (m/s)" in ax.get_ylabel() for ax in figure.axes)
