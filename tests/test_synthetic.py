"""The made earth: its truth is in its data, and its files come back as they were."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from moho.encoders.synthetic import CELL, Earth, convolve, earth, earthquake, ricker, write
from moho.encoders.synthetic_fields import CRS, GRAVITATION, prism_fields


@pytest.fixture(scope="module")
def made() -> Earth:
    return earth(3)


def test_the_same_seed_gives_the_same_earth_and_another_gives_another(made: Earth) -> None:
    again, other = earth(3), earth(4)
    assert again.section.data.tobytes() == made.section.data.tobytes()
    assert again.gravity.value.tobytes() == made.gravity.value.tobytes()
    assert again.well.curves["DT"].values.tobytes() == made.well.curves["DT"].values.tobytes()
    assert other.section.data.tobytes() != made.section.data.tobytes()


def test_section_has_the_sampling_and_geometry_of_a_line(made: Earth) -> None:
    section = made.section
    assert section.data.shape == (240, 500)
    assert section.data.dtype == np.float32
    assert (section.dt, section.cdp[0], section.crs, section.polarity) == (0.004, 101, CRS, "SEG normal")
    spacing = np.hypot(np.diff(section.x), np.diff(section.y))
    np.testing.assert_allclose(spacing, section.dx, atol=0.02)


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_fault_throw_is_the_lag_across_the_fault(seed: int) -> None:
    made = earth(seed, noise=0.02)
    fault = made.truth["faults"][0]
    times = made.section.times
    window = (times > 0.75) & (times < 1.3)
    middle = round(fault["cdp"] - 101)
    trace = fault["cdp_at_time"][window] - 101
    left, right = int(np.floor(trace.min())) - 3, int(np.ceil(trace.max())) + 3
    assert 0 < left < middle < right < 240
    lags = np.arange(-30, 31)
    a, b = made.truth["impedance"][left], made.truth["impedance"][right]
    scores = [np.corrcoef(a[np.flatnonzero(window)], b[np.flatnonzero(window) + lag])[0, 1] for lag in lags]
    seen = lags[int(np.argmax(scores))] * made.section.dt
    name = min(made.truth["horizons"], key=lambda n: abs(np.nanmean(made.truth["horizons"][n]) - 1.0))
    horizon = made.truth["horizons"][name]
    assert seen == pytest.approx(horizon[right] - horizon[left], abs=0.012)
    down = (horizon[right] - horizon[left]) * fault["down_to"]
    assert down > 0.3 * fault["throw_s"]


def test_trace_is_the_true_reflectivity_with_the_true_wavelet() -> None:
    made = earth(5, noise=0.0)
    log = np.log(made.truth["impedance"].astype(float))
    reflectivity = np.zeros_like(log)
    reflectivity[:, 1:] = 0.5 * np.diff(log, axis=1)
    model = made.truth["scale"] * convolve(reflectivity, ricker(made.truth["wavelet_hz"], made.section.dt))
    flat = [20, 220]  # away from the fault, where the lateral smear changes nothing
    for trace in flat:
        assert np.corrcoef(model[trace, 5:], made.section.data[trace, 5:])[0, 1] > 0.995


def test_impedance_increase_is_a_positive_peak() -> None:
    spike = np.zeros((1, 101))
    spike[0, 50] = 0.1
    trace = convolve(spike, ricker(25, 0.004))[0]
    assert trace.argmax() == 50
    assert trace[50] == pytest.approx(0.1)


def test_well_depth_and_time_agree_with_the_section(made: Earth) -> None:
    well, trace = made.well, made.truth["well"]["trace"]
    for name, depth in list(well.tops.items())[1:]:
        time = np.interp(depth, well.checkshot_depth, well.checkshot_time)
        assert time == pytest.approx(made.truth["horizons"][name.removesuffix(" Fm")][trace], abs=0.006)
    # The sonic integrates to the checkshots.
    inside = (well.depth >= 400) & (well.depth <= 2000)
    time = 2 * np.trapezoid(well.curves["DT"].values[inside] / 304800, well.depth[inside])
    wanted = np.interp(2000, well.checkshot_depth, well.checkshot_time) - np.interp(400, well.checkshot_depth, well.checkshot_time)
    assert time == pytest.approx(wanted, rel=0.01)
    assert (well.x, well.y) == (made.section.x[trace], made.section.y[trace])


@pytest.mark.parametrize("seed", range(4))
def test_rock_physics_is_that_of_shallow_clastics(seed: int) -> None:
    curves = earth(seed).well.curves
    slowness, density, neutron = (curves[name].values for name in ("DT", "RHOB", "NPHI"))
    assert 95 < np.median(slowness) < 125
    assert 0.28 < np.median(neutron) < 0.45
    gardner = 0.31 * (304800 / slowness) ** 0.25
    assert abs(np.median(density - gardner)) < 0.12
    assert np.percentile(curves["RT"].values, 1) > 0.2
    assert np.percentile(curves["RT"].values, 99) < 200


@pytest.mark.parametrize("seed", range(3))
def test_pay_gives_its_saturation_back(seed: int) -> None:
    made = earth(seed)
    pay, well = made.truth["pay"], made.well
    assert pay["top_m"] < pay["contact_m"] < pay["base_m"]
    inside = (well.depth > pay["top_m"] + 3) & (well.depth < pay["contact_m"] - 3)
    saturation = np.sqrt(made.truth["rw_ohmm"] / well.curves["RT"].values[inside] / pay["porosity"] ** 2)
    assert np.median(saturation) == pytest.approx(pay["saturation"], abs=0.04)
    assert np.median(well.curves["GR"].values[inside]) < 45


def test_events_of_the_gathers_lie_on_their_hyperbolas(made: Earth) -> None:
    gather, truth = made.gather, made.truth["velocities"]
    cdp = int(gather.cdp[0])
    rows = np.flatnonzero(gather.cdp == cdp)
    data, offset = gather.data[rows].astype(float), gather.offset[rows]
    envelope_at = {}
    for factor in (0.9, 1.0, 1.1):
        energy = 0.0
        for time, velocity in zip(truth["time_s"][3:10], truth["rms_m_s"][str(cdp)][3:10], strict=True):
            for t0 in np.arange(time - 0.04, time + 0.04, 0.004):
                near = offset < 0.9 * t0 * velocity
                at = np.sqrt(t0**2 + (offset[near] / (factor * velocity)) ** 2)
                stack = np.mean([np.interp(at[k], gather.times, data[k]) for k in range(near.sum())])
                energy += stack**2
        envelope_at[factor] = energy
    assert envelope_at[1.0] > 2 * max(envelope_at[0.9], envelope_at[1.1])


def test_prism_is_a_point_mass_from_afar_and_a_slab_from_near() -> None:
    x, y, height = np.array([0.0, 30000, -5000]), np.array([0.0, 25000, 41000]), np.array([60000.0, 250, 300])
    attraction, tensor = prism_fields(x, y, height, (-500.0, 500.0, -400.0, 400.0, 800.0, 1200.0))
    away = np.stack([-x, -y, 1000 + height])  # from the station to the centre; east, north, down
    r = np.linalg.norm(away, axis=0)
    mass = 1000 * 800 * 400
    np.testing.assert_allclose(attraction, mass * away[2] / r**3, rtol=2e-3)
    wanted = mass * (3 * away[:, None] * away[None] / r**5 - np.eye(3)[..., None] / r**3)
    np.testing.assert_allclose(tensor, wanted, rtol=0.02, atol=1e-3 * np.abs(wanted).max())
    np.testing.assert_allclose(np.trace(tensor), 0, atol=1e-9)  # Laplace, outside the body
    wide, _ = prism_fields(np.zeros(1), np.zeros(1), np.zeros(1), (-1e6, 1e6, -1e6, 1e6, 10.0, 110.0))
    assert 2670 * GRAVITATION * 1e5 * wide[0] == pytest.approx(11.197, abs=0.002)  # 100 m of crust


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_disturbance_and_slab_leave_the_body_and_the_plane(seed: int) -> None:
    import boule
    import pyproj

    made = earth(seed)
    gravity, body = made.gravity, made.truth["body"]
    normal = boule.WGS84.normal_gravity((gravity.longitude, gravity.latitude, gravity.height))
    bouguer = gravity.value - normal - 2e5 * np.pi * GRAVITATION * 2670 * gravity.height
    x, y = pyproj.Transformer.from_crs("EPSG:4326", CRS, always_xy=True).transform(gravity.longitude, gravity.latitude)
    far = np.hypot(x - body["east_m"], y - body["north_m"]) > 9000
    plane = np.column_stack([np.ones(len(x)), x - x.mean(), y - y.mean()])
    residual = bouguer - plane @ np.linalg.lstsq(plane[far], bouguer[far], rcond=None)[0]
    near = np.hypot(x - body["east_m"], y - body["north_m"]) < 2000
    assert np.sign(np.median(residual[near])) == np.sign(body["density_contrast_kg_m3"])
    strongest = np.argsort(-np.abs(residual))[:8]
    assert np.hypot(x[strongest].mean() - body["east_m"], y[strongest].mean() - body["north_m"]) < 1500
    assert np.abs(residual[near]).max() == pytest.approx(abs(body["peak_mgal"]), rel=0.35)
    volume = 4 * body["half_width_east_m"] * body["half_width_north_m"] * (body["base_m"] - body["top_m"])
    assert body["excess_mass_kg"] == pytest.approx(body["density_contrast_kg_m3"] * volume)


def test_magnetic_high_lies_near_the_body(made: Earth) -> None:
    import pyproj

    x, y = pyproj.Transformer.from_crs("EPSG:4326", CRS, always_xy=True).transform(made.magnetics.longitude, made.magnetics.latitude)
    peak, body = int(made.magnetics.value.argmax()), made.truth["body"]
    assert np.hypot(x[peak] - body["east_m"], y[peak] - body["north_m"]) < 4000
    assert made.magnetics.value[peak] > 10
    assert y[peak] < body["north_m"] + 800  # in the northern hemisphere the high is moved south


def test_earthquake_arrives_when_its_hypocentre_says() -> None:
    from obspy import UTCDateTime
    from obspy.geodetics import gps2dist_azimuth

    waveforms, response, truth = earthquake(3)
    origin = UTCDateTime(truth["origin_time"])
    for onset in truth["onsets"]:
        away = gps2dist_azimuth(truth["latitude"], truth["longitude"], onset["latitude"], onset["longitude"])[0] / 1000
        speed = truth["p_velocity_m_s"] / 1000 / (truth["vp_vs"] if onset["phase"] == "S" else 1)
        assert UTCDateTime(onset["time"]) - origin == pytest.approx(np.hypot(away, truth["depth_km"]) / speed, abs=0.02)
        network, station = onset["station"].split(".")
        trace = waveforms.stream.select(network=network, station=station, component="Z" if onset["phase"] == "P" else "N")[0]
        sample = round((UTCDateTime(onset["time"]) - trace.stats.starttime) * 100)
        data = trace.data - trace.data.mean()
        assert data[sample : sample + 40].std() > 3 * data[sample - 45 : sample - 5].std()
    assert {s.code for s in response.inventory[0]} == {t.stats.station for t in waveforms.stream}


def test_files_are_those_of_the_field_and_come_back(made: Earth, tmp_path: Path) -> None:
    from moho.read import read

    paths = write(made, tmp_path / "survey")
    line, gather, well = read(paths["line"]), read(paths["gather"]), read(paths["well"])
    np.testing.assert_array_equal(line.data, made.section.data)
    np.testing.assert_array_equal(line.cdp, made.section.cdp)
    np.testing.assert_allclose(line.x, made.section.x, atol=0.006)
    np.testing.assert_array_equal(gather.data, made.gather.data)
    np.testing.assert_allclose(gather.offset, made.gather.offset)
    np.testing.assert_allclose(well.curves["DT"].values, made.well.curves["DT"].values, atol=1e-4)
    assert well.curves["RHOB"].unit == "g/cm3"
    assert (well.x, well.reference) == (made.well.x, "MD")
    gravity, magnetics = read(paths["gravity"]), read(paths["magnetics"])
    np.testing.assert_allclose(gravity.value, made.gravity.value)
    np.testing.assert_allclose(magnetics.value, made.magnetics.value)
    assert read(paths["waveforms"]).summary()["stations"].value == 5
    assert read(paths["stations"]).summary()["channels"].value == 15
    truth = json.loads(paths["truth"].read_text())
    assert truth["faults"][0]["throw_m"] == made.truth["faults"][0]["throw_m"]
    assert truth["event"]["p_velocity_m_s"] == 6000
    again = write(made, tmp_path / "again")
    assert all(paths[name].read_bytes() == again[name].read_bytes() for name in paths)


def test_cells_are_thin_against_the_wavelength() -> None:
    assert 2000 / 30 / CELL > 20


@pytest.mark.parametrize("faults", [0, 2])
def test_number_of_faults_is_as_asked(faults: int) -> None:
    assert len(earth(1, faults=faults).truth["faults"]) == faults
