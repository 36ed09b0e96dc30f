"""What must hold for any input: linear tools are linear, shapes and units stay, adjoints pass the dot test, laws keep their symmetries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as some
from made_calls import arrivals, bowl, gather, line, model, one_station, sand, stations
from made_calls import field as anomaly

from moho.agent.registry import load_tools
from moho.agent.tools import avo, seismic_inversion
from moho.agent.tools.avo import avo_curve
from moho.agent.tools.coordinates import crs_convert
from moho.agent.tools.depth_conversion import depth_convert
from moho.agent.tools.electromagnetics import em1d_forward
from moho.agent.tools.gravity_inversion import gravity_forward
from moho.agent.tools.magnetics import magnetic_forward
from moho.agent.tools.potential_fields import bouguer_terrain, continue_derive, remove_trend, rtp_tilt_analytic
from moho.agent.tools.rock_physics import upscale_logs
from moho.agent.tools.seismic_imaging import fk_filter, migrate_poststack
from moho.agent.tools.seismic_inversion import poststack_impedance
from moho.agent.tools.seismic_multiples import Parabolas, moveouts
from moho.agent.tools.seismic_processing import bandpass, decon, gain_agc, nmo_stack
from moho.agent.tools.seismology import filter_waveforms
from moho.agent.tools.tomography import _ground, _picks, _Problem
from moho.agent.tools.waveform_analysis import filter_rotate
from moho.agent.tools.wells import vshale, water_saturation
from moho.survey import Array, Curve, Data, Gravity, Grid, Horizon, Seismic, Waveforms, Well

few = settings(max_examples=4, deadline=None, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate))
seeds = some.integers(0, 2**16)
factors = some.floats(-20, 20).filter(lambda factor: abs(factor) > 0.05)
SEISMIC: dict[str, Callable[[Any], Seismic]] = {
    "bandpass": lambda data: bandpass(data, 8, 45),
    "power of time": lambda data: gain_agc(data, power=1.5),
    "stolt": lambda data: migrate_poststack(data, [2200.0], method="stolt"),
    "phase shift": lambda data: migrate_poststack(data, [1800.0, 2600.0], [0.2, 1.0], method="phase shift"),
}
MAPS: dict[str, Callable[[Grid], Grid]] = {
    "remove_trend": lambda grid: remove_trend(grid, 2),
    "continue_derive, up": lambda grid: continue_derive(grid, 300.0),
    "continue_derive, east": lambda grid: continue_derive(grid, derivative="east"),
    "continue_derive, up and upwards": lambda grid: continue_derive(grid, 150.0, derivative="up"),
    "reduction to the pole": lambda grid: rtp_tilt_analytic(grid, "reduction to the pole"),
}


def noise(seed: int, shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def close(first: Array, second: Array, part: float = 2e-5) -> None:
    np.testing.assert_allclose(first, second, atol=part * float(np.abs(second).max()), rtol=0)


# Linear tools


@pytest.mark.parametrize("name", SEISMIC)
@few
@given(seed=seeds, a=factors, b=factors)
def test_linear_seismic_tools_are_linear_and_keep_the_line(name: str, seed: int, a: float, b: float) -> None:
    base, tool = line(), SEISMIC[name]
    one, two = (replace(base, data=noise(seed + k, base.data.shape)) for k in (0, 1))
    mixed = tool(replace(base, data=np.float32(a) * one.data + np.float32(b) * two.data))
    close(mixed.data, np.float32(a) * tool(one).data + np.float32(b) * tool(two).data, 1e-4)
    assert mixed.data.shape == base.data.shape
    assert mixed.data.dtype == np.float32
    assert (mixed.dt, mixed.t0, mixed.domain, mixed.unit, mixed.polarity, mixed.crs) == (
        base.dt, base.t0, base.domain, base.unit, base.polarity, base.crs,
    )  # fmt: skip
    for axis in ("cdp", "x", "y"):
        assert np.array_equal(getattr(mixed, axis), getattr(base, axis))


@few
@given(seed=seeds, a=factors, b=factors)
def test_the_stack_is_linear(seed: int, a: float, b: float) -> None:
    base = gather()
    one, two = (replace(base, data=noise(seed + k, base.data.shape)) for k in (0, 1))
    parts = [nmo_stack(part, [2000.0, 2600.0], [0.3, 1.0]).data for part in (one, two)]
    mixed = nmo_stack(replace(base, data=np.float32(a) * one.data + np.float32(b) * two.data), [2000.0, 2600.0], [0.3, 1.0])
    close(mixed.data, np.float32(a) * parts[0] + np.float32(b) * parts[1], 1e-4)


@few
@given(seed=seeds, factor=factors)
def test_a_fan_filter_scales_with_its_input_and_splits_it(seed: int, factor: float) -> None:
    """It adds up only away from the ends of the line, beyond which it predicts each input by a filter of that input."""
    base = line()
    data = noise(seed, base.data.shape)
    one, scaled = replace(base, data=data), replace(base, data=np.float32(factor) * data)
    removed, kept = (fk_filter(one, slowest=1200.0, action=action, side="down").data for action in ("remove", "keep"))  # type: ignore[arg-type]
    close(removed + kept, data, 1e-5)
    close(fk_filter(scaled, slowest=1200.0, side="down").data, np.float32(factor) * removed, 1e-4)


@few
@given(factor=factors)
def test_deconvolution_scales_with_its_input_and_agc_forgets_it(factor: float) -> None:
    base = line()
    scaled = replace(base, data=np.float32(factor) * base.data)
    close(decon(scaled).data, np.float32(factor) * decon(base).data, 1e-3)
    close(gain_agc(scaled).data, np.float32(np.sign(factor)) * gain_agc(base).data, 1e-4)


@few
@given(shift=some.integers(1, 60))
def test_filters_do_not_care_when_it_was(shift: int) -> None:
    data = np.zeros((1, 400), np.float32)
    data[0, 150] = 1
    later = np.roll(data, shift, axis=1)
    first, second = (bandpass(Seismic(data=part, dt=0.004), 10, 40).data[0] for part in (data, later))
    close(second[100 + shift : 300 + shift], first[100:300], 1e-3)


@pytest.mark.parametrize("name", MAPS)
@few
@given(seed=seeds, a=factors, b=factors)
def test_linear_map_tools_are_linear_and_keep_the_map(name: str, seed: int, a: float, b: float) -> None:
    tool = MAPS[name]
    base = anomaly()
    other = base.values[::-1, ::-1] + np.cumsum(np.cumsum(noise(seed, base.values.shape), 0), 1) * 0.05
    one, two = base, replace(base, values=np.ascontiguousarray(other))
    mixed = tool(replace(base, values=a * one.values + b * two.values))
    close(mixed.values, a * tool(one).values + b * tool(two).values, 1e-6)
    assert mixed.values.shape == base.values.shape
    assert (mixed.crs, mixed.geographic) == (base.crs, base.geographic)
    assert np.array_equal(mixed.x, base.x)
    assert mixed.unit == ("nT/m" if name.endswith(("east", "upwards")) else "nT")


@few
@given(degree=some.integers(0, 3), size=factors)
def test_a_trend_is_removed_once(degree: int, size: float) -> None:
    grid = anomaly()
    once = remove_trend(replace(grid, values=size * grid.values), degree)
    again = remove_trend(once.made(quantity=grid.quantity), degree)
    close(again.values, once.values, 1e-9)


@few
@given(first=some.floats(50, 400), second=some.floats(50, 400))
def test_two_steps_up_are_one(first: float, second: float) -> None:
    grid = anomaly()
    there = continue_derive(continue_derive(grid, first), second)
    once = continue_derive(grid, first + second)
    assert there.height == pytest.approx(once.height)
    middle = (slice(16, 48), slice(16, 48))
    close(there.values[middle], once.values[middle], 2e-2)  # the edges are filled twice


@few
@given(seed=seeds, a=factors, b=factors)
def test_seismograms_are_filtered_linearly_and_rotation_keeps_the_energy(seed: int, a: float, b: float) -> None:
    def with_noise(weights: tuple[float, float]) -> Waveforms:
        held = one_station()
        for number, trace in enumerate(held.stream):
            parts = [noise(seed + number + 10 * k, (len(trace),)).astype(float) for k in (0, 1)]
            trace.data = weights[0] * parts[0] + weights[1] * parts[1]
        return held

    one, two, mixed = (filter_waveforms(with_noise(weights), 1.0, 10.0) for weights in ((1, 0), (0, 1), (a, b)))
    for first, second, both in zip(one.stream, two.stream, mixed.stream, strict=True):
        close(both.data, a * first.data + b * second.data, 1e-9)
    before = with_noise((a, b))
    after = filter_rotate(before, back_azimuth=float(seed % 360))
    for pair in ("NE", "RT"):
        assert {trace.stats.component for trace in (before if pair == "NE" else after).stream} >= set(pair)
    energy = [sum(float((trace.data**2).sum()) for trace in held.stream) for held in (before, after)]
    assert energy[1] == pytest.approx(energy[0], rel=1e-9)


# Forward models


@few
@given(contrast=some.floats(-900, 900).filter(lambda value: abs(value) > 1), factor=some.floats(0.1, 3))
def test_forward_fields_are_linear_in_the_property(contrast: float, factor: float) -> None:
    one, more = (gravity_forward(100.0, 300.0, 200.0, value, nodes=11) for value in (contrast, factor * contrast))
    close(more.values, factor * one.values, 1e-9)
    assert np.sign(one.values[5, 5]) == np.sign(contrast)
    place: dict[str, Any] = {"depth_top": 100.0, "depth_base": 300.0, "width": 200.0, "inclination": 50.0, "declination": 5.0, "nodes": 11}
    weak, strong = (magnetic_forward(susceptibility=0.01, strength=strength, **place) for strength in (40_000.0, 40_000.0 * min(factor, 1.7)))
    close(strong.values, min(factor, 1.7) * weak.values, 1e-9)


@few
@given(density=some.floats(1500, 3000))
def test_bouguer_falls_in_proportion_to_density(density: float) -> None:
    held = stations(observed=True)
    none, given_ = (bouguer_terrain(held, value).value for value in (1.0, density))
    height = np.asarray(held.height)
    close(none - given_, 2e5 * np.pi * 6.6743e-11 * (density - 1.0) * height, 2e-3)


@few
@given(rho=some.floats(1, 5000), depth=some.floats(10, 2000))
def test_any_half_space_returns_itself(rho: float, depth: float) -> None:
    for method in ("MT", "DC Schlumberger"):
        value = em1d_forward([rho, rho], [depth], method=method).facts["apparent_resistivity"].value  # type: ignore[arg-type]
        assert value == pytest.approx([rho] * 2, rel=1e-3)


@few
@given(vp=some.floats(2000, 4000), ratio=some.floats(1.6, 2.2), rho=some.floats(2000, 2600), up=some.floats(1.02, 1.4))
def test_normal_reflection_changes_sign_from_the_other_side(vp: float, ratio: float, rho: float, up: float) -> None:
    above, below = (vp, vp / ratio, rho), (vp * up, vp * up / ratio, rho * up**0.25)
    there, back = (avo_curve(*pair, angles=[0.0]).facts["normal"].value for pair in ((*above, *below), (*below, *above)))
    assert there == pytest.approx(-back, abs=2e-6)
    assert there == pytest.approx((below[0] * below[2] - vp * rho) / (below[0] * below[2] + vp * rho), abs=2e-6)


# Wells, depths, coordinates


def gamma(seed: int) -> Well:
    values = np.random.default_rng(seed).uniform(0, 200, 120)
    return Well(depth=1000 + 0.5 * np.arange(120), curves={"GR": Curve(values, "gAPI")}, well_name="A")


@few
@given(seed=seeds, clean=some.floats(10, 60), span=some.floats(20, 120), law=some.sampled_from(["linear", "larionov tertiary", "larionov older"]))
def test_shale_is_a_share_that_grows_with_gamma_ray(seed: int, clean: float, span: float, law: Any) -> None:
    well = gamma(seed)
    made = vshale(well, clean, clean + span, law).curves["VSH"].values
    assert made.min() >= 0
    assert made.max() <= 1
    assert np.all(np.diff(made[np.argsort(well.curves["GR"].values)]) >= -1e-12)


@few
@given(rw=some.floats(0.01, 0.3), more=some.floats(1.05, 3))
def test_water_fills_more_where_it_is_more_resistive(rw: float, more: float) -> None:
    fresh, salt = (water_saturation(sand(), value).curves["SW"].values for value in (rw * more, rw))
    assert np.all(fresh >= salt)
    assert fresh.max() <= 1


@few
@given(window=some.floats(2, 12))
def test_a_uniform_rock_is_its_own_average(window: float) -> None:
    made = upscale_logs(sand(), window=window)
    np.testing.assert_allclose(made.curves["RHOB"].values, 2250, rtol=1e-9)
    np.testing.assert_allclose(made.curves["DT"].values, 1e6 / 3000, rtol=1e-9)


@few
@given(velocity=some.floats(1500, 6000), seed=seeds)
def test_depth_conversion_is_proportional_and_comes_back(velocity: float, seed: int) -> None:
    time = np.sort(np.random.default_rng(seed).uniform(0.1, 3, 30))
    deep = depth_convert(Horizon(time=time), velocity=velocity)
    np.testing.assert_allclose(deep.time, 0.5 * velocity * time, rtol=1e-9)  # type: ignore[union-attr]
    back = depth_convert(deep, velocity=velocity)  # type: ignore[arg-type]
    np.testing.assert_allclose(back.time, time, rtol=1e-9)  # type: ignore[union-attr]


@few
@given(seed=seeds, zone=some.integers(31, 34))
def test_coordinates_come_back_to_a_millimetre(seed: int, zone: int) -> None:
    rng = np.random.default_rng(seed)
    place = {"longitude": rng.uniform(-2, 2, 9) + 6 * zone - 183, "latitude": rng.uniform(-70, 70, 9)}
    held = Gravity(value=np.zeros(9), crs="EPSG:4326", **place)  # type: ignore[arg-type]
    back: Any = crs_convert(crs_convert(held, f"EPSG:{32600 + zone}"), "EPSG:4326")
    for name, truth in place.items():
        np.testing.assert_allclose(getattr(back, name), truth, atol=1e-3 / 111_195)


@few
@given(tilt=some.floats(-0.2, 0.2), level=some.floats(-500, 500))
def test_a_plane_has_no_curvature_and_adds_none(tilt: float, level: float) -> None:
    from moho.agent.tools.curvature import curvature

    flat = bowl()
    flat = replace(flat, values=2000 + level + tilt * flat.x[None, :] + np.zeros_like(flat.values))
    assert np.nanmax(np.abs(curvature(flat, "maximum").values)) < 1e-12  # type: ignore[union-attr]


# Adjoints and derivatives


@few
@given(seed=seeds, traces=some.integers(3, 12), half=some.integers(20, 60))
def test_radon_and_its_adjoint_are_one_matrix(seed: int, traces: int, half: int) -> None:
    operator = Parabolas(np.linspace(0.05, 1, traces), moveouts(-0.1, 0.3, 40), 0.004, 2 * half + 1)
    rng = np.random.default_rng(seed)
    panel, data = rng.standard_normal((len(operator.curves), 2 * half + 1)), rng.standard_normal((traces, 2 * half + 1))
    assert np.vdot(operator.spread(panel), data) == pytest.approx(np.vdot(panel, operator.stack(data)), rel=1e-9, abs=1e-9)


@few
@given(seed=seeds, samples=some.integers(12, 50))
def test_the_operators_of_inversion_pass_the_dot_test(seed: int, samples: int) -> None:
    rng = np.random.default_rng(seed)
    wavelet, theta = rng.standard_normal(11), np.array([5.0, 15.0, 30.0])
    prior = np.log([[2500.0, 1250.0, 2200.0]]) + 0.05 * rng.standard_normal((samples, 3))
    for operator, columns, rows in (
        (avo._operator(wavelet, theta, prior), 3 * samples, 3 * samples), (seismic_inversion._operator(wavelet, samples), samples, samples),
    ):  # fmt: skip
        model_, data = rng.standard_normal(columns), rng.standard_normal(rows)
        assert float((operator @ model_) @ data) == pytest.approx(float(model_ @ operator.adjoint(data)), rel=1e-9, abs=1e-9)


@few
@given(seed=seeds)
def test_rays_times_slowness_are_the_times_and_the_rays_are_the_derivative(seed: int) -> None:
    """A time is homogeneous of degree one in slowness, so the derivative applied to it gives it back; and it passes the dot test."""
    data = _picks(arrivals(), None, None, None, None)
    ground, _ = _ground(data, None, 2.5, 30.0)
    problem = _Problem(data, ground, 0.001)
    rng = np.random.default_rng(seed)
    slowness = (1 / ground.values) * (1 + 0.02 * np.cumsum(rng.standard_normal(ground.values.shape[1]))[None, :] / 5)
    residual, matrix = problem.linearised(slowness)
    far = np.abs(data.source[:, 0] - data.receiver[:, 0]) > 20
    np.testing.assert_allclose((matrix @ slowness.ravel())[far], (data.time - residual)[far], rtol=0.03)
    step, weights = rng.standard_normal(slowness.size), rng.standard_normal(len(residual))
    assert float((matrix @ step) @ weights) == pytest.approx(float(step @ (matrix.T @ weights)), rel=1e-9, abs=1e-9)
    moved, _ = problem.linearised(1.01 * slowness)
    np.testing.assert_allclose((residual - moved)[far], 0.01 * (matrix @ slowness.ravel())[far], rtol=0.05)


# The same answer every time


@pytest.mark.parametrize("name", ["bandpass", "remove_trend", "poststack_impedance"])
def test_the_same_input_gives_the_same_bytes(name: str) -> None:
    from moho.store import dump

    calls: dict[str, Callable[[], Data]] = {
        "bandpass": lambda: bandpass(line(), 8, 40), "remove_trend": lambda: remove_trend(anomaly(), 1),
        "poststack_impedance": lambda: poststack_impedance(line(), _logged()),
    }  # fmt: skip
    assert dump(calls[name]()) == dump(calls[name]())


def _logged() -> Well:
    from made_calls import well

    return well()


def test_a_model_is_not_touched_by_what_is_sent_through_it() -> None:
    from moho.agent.tools.wave_modelling import travel_times

    ground = model()
    before = ground.data.tobytes()
    travel_times(ground, [0.0], receiver_spacing=50.0)
    assert ground.data.tobytes() == before
    assert set(load_tools()) >= {"travel_times"}
