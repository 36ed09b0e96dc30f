"""One small call of every tool on data made here: the tests that look at all tools share it. Each entry makes its own data anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from made_dlis import dlis

from moho.encoders.synthetic import Earth, earth, earthquake
from moho.survey import Curve, Data, DCSurvey, Gather, Gravity, Grid, Horizon, LogFile, Magnetics, Picks, Response, Seismic, Table, Waveforms, Well
from moho.units import Quantity

Arguments = dict[str, Any]
TOP, BASE = 1000.0, 1060.0  # m, the part of the made well that the log tools work on


@cache
def ground() -> Earth:
    """The synthetic earth the calls share; what a call takes from it is copied."""
    return earth(3, traces=80, samples=300)


def line() -> Seismic:
    whole = ground().section
    return replace(whole, data=whole.data.copy(), cdp=np.asarray(whole.cdp).copy(), x=np.asarray(whole.x).copy(), y=np.asarray(whole.y).copy())


def gather() -> Gather:
    whole = ground().gather
    rows = np.asarray(whole.cdp) == np.asarray(whole.cdp)[0]
    return Gather(data=whole.data[rows].copy(), dt=whole.dt, offset=whole.offset[rows].copy(), cdp=np.asarray(whole.cdp)[rows].copy())


def well(name: str = "", x: float | None = None) -> Well:
    whole = ground().well
    rows = slice(None, None, 8)
    curves = {key: Curve(curve.values[rows].copy(), curve.unit, curve.description) for key, curve in whole.curves.items()}
    kept = replace(whole, depth=whole.depth[rows].copy(), curves=curves)
    return replace(kept, well_name=name, x=whole.x if x is None else x) if name else kept


def sand() -> Well:
    """A uniform sand with all the logs the rock-physics tools ask for."""
    values = {"DT": (1e6 / 3000, "us/m"), "DTS": (1e6 / 1700, "us/m"), "RHOB": (2250.0, "kg/m3"), "PHI": (0.25, "v/v"), "VSH": (0.2, "v/v"),
              "SW": (0.3, "v/v"), "RT": (20.0, "ohm.m"), "GR": (60.0, "gAPI")}  # fmt: skip
    curves = {name: Curve(np.full(400, value), unit) for name, (value, unit) in values.items()}
    return Well(depth=1000 + 0.15 * np.arange(400), curves=curves, well_name="A-1", reference="MD")


def drilled() -> Well:
    """The sand along a hole at 60 degrees."""
    return replace(sand(), track=np.array([[0.0, 0, -20, 0], [1732.0508, 0, 980, 2000]]))


def stations(observed: bool = False) -> Gravity:
    """A block's gravity on a square of 12 by 12 stations; observed: with heights, latitudes and the normal field, as the synthetic earth has it."""
    if observed:
        whole = ground().gravity
        return replace(whole, value=whole.value.copy(), height=np.asarray(whole.height).copy())
    axis = 100.0 * np.arange(12)
    x, y = (one.ravel() for one in np.meshgrid(axis, axis))
    value = 4e6 * 0.2 / ((x - 550) ** 2 + (y - 550) ** 2 + 250.0**2) ** 1.5 * 250 + 0.01 * np.random.default_rng(1).standard_normal(144)
    return Gravity(x=x, y=y, value=value, height=np.zeros(144), quantity="residual gravity", crs="EPSG:32632")


def field(unit: str = "nT") -> Grid:
    """The anomaly of a vertical dipole 800 m deep on 64 by 64 nodes."""
    axis = 100.0 * (np.arange(64) - 32)
    x, y = np.meshgrid(axis, axis)
    r2 = (x - 300) ** 2 + (y + 200) ** 2 + 800.0**2
    value = 1e11 * (3 * 800.0**2 / r2 - 1) / r2**1.5 + 0.05 * np.random.default_rng(2).standard_normal(x.shape)
    more: Arguments = {"inclination": 60.0, "declination": 5.0} if unit == "nT" else {}
    quantity = "total field anomaly" if unit == "nT" else "residual gravity"
    return Grid(values=value, x=axis, y=axis, quantity=quantity, unit=unit, height=0.0, crs="EPSG:32632", **more)


def flight() -> Magnetics:
    """Six lines and three ties with offsets between the lines."""
    along = 50.0 * np.arange(60)
    xs = [np.full(60, 300.0 * k) for k in range(6)] + [np.linspace(-50, 1550, 60)] * 3
    ys = [along] * 6 + [np.full(60, y) for y in (400.0, 1500.0, 2600.0)]
    value = [30 * np.sin(y / 700) + 0.01 * x + shift for x, y, shift in zip(xs, ys, (5.0, -3.0, 8.0, 0.0, -6.0, 2.0, 0.0, 0.0, 0.0), strict=True)]
    names = [name for name in ("L1", "L2", "L3", "L4", "L5", "L6", "T1", "T2", "T3") for _ in range(60)]
    return Magnetics(x=np.concatenate(xs), y=np.concatenate(ys), value=np.concatenate(value), line=np.array(names), height=np.full(540, 80.0))


def total_field() -> Magnetics:
    longitude, latitude = (one.ravel() for one in np.meshgrid(np.linspace(10, 10.2, 5), np.linspace(50, 50.2, 5)))
    value = 48_200 + 20 * np.sin(30 * longitude)
    place = {"longitude": longitude, "latitude": latitude, "height": np.full(25, 300.0), "datum": "ellipsoidal WGS84"}
    return Magnetics(value=value, quantity="total field", **place)  # type: ignore[arg-type]


@cache
def _shaking() -> tuple[Waveforms, Response, dict[str, Any]]:
    return earthquake(3)


def waveforms(quantity: str = "counts") -> Waveforms:
    held = _shaking()[0]
    return held.made(stream=held.stream.copy(), quantity=quantity, unit={"counts": "counts", "velocity": "m/s"}[quantity])


def response() -> Response:
    return _shaking()[1]


def by_station(count: int = 5) -> list[Waveforms]:
    whole = waveforms()
    names = sorted({trace.stats.station for trace in whole.stream})[:count]
    return [whole.made(stream=whole.stream.select(station=name).copy(), title=name) for name in names]


def one_station(quantity: str = "counts") -> Waveforms:
    whole = waveforms(quantity)
    stream = whole.stream.select(station=sorted({trace.stats.station for trace in whole.stream})[0]).copy()
    if quantity == "velocity":
        for trace in stream:
            trace.data = trace.data / 6e8
    return whole.made(stream=stream)


def picks() -> Picks:
    """Eight stations about 46 N 10 E, P and S from a hypocentre below their middle."""
    from pyproj import Geod

    globe, azimuth, far = Geod(ellps="WGS84"), np.arange(8) * 45.0 + 7, 6e3 + 3e3 * np.arange(8)
    longitude, latitude, _ = globe.fwd([10.0] * 8, [46.0] * 8, azimuth, far)
    travel = np.hypot(far / 1000, 9.0) / 6.0
    names, time = np.array([f"XX.S{i}" for i in range(8)] * 2), 5 + np.r_[travel, 1.73 * travel]
    twice = {"latitude": np.r_[latitude, latitude], "longitude": np.r_[longitude, longitude], "elevation": np.zeros(16)}
    phase = np.array(["P"] * 8 + ["S"] * 8)
    return Picks(station=names, phase=phase, time=time, origin="2020-01-01T00:00:00", uncertainty=np.full(16, 0.05), **twice)  # type: ignore[arg-type]


def array() -> tuple[list[Waveforms], Response]:
    """A plane wave of 2 Hz over six stations."""
    import obspy
    from obspy.core.inventory import Inventory, Network, Station
    from pyproj import Geod

    azimuth, far = np.arange(6) * 60.0, np.array([0.5, 2, 1, 2, 1.5, 2])
    longitude, latitude, _ = Geod(ellps="WGS84").fwd([12.0] * 6, [50.0] * 6, azimuth, far * 1000)
    t, made = np.arange(1000) / 50, []
    for i in range(6):
        late = t - 10 + 0.2 * far[i] * np.cos(np.radians(azimuth[i] - 60))
        trace = obspy.Trace(np.exp(-((late / 0.6) ** 2)) * np.cos(4 * np.pi * late) + 0.01 * np.random.default_rng(i).standard_normal(1000))
        trace.stats.update({"network": "XX", "station": f"S{i}", "channel": "HHZ", "sampling_rate": 50.0})
        made.append(Waveforms(stream=obspy.Stream([trace])))
    places = [Station(f"S{i}", latitude=float(latitude[i]), longitude=float(longitude[i]), elevation=500.0) for i in range(6)]
    return made, Response(inventory=Inventory([Network("XX", places)], source="made"))


def logfile(folder: Path) -> LogFile:
    from moho.read import read

    depth = 1000 + 0.5 * np.arange(10)
    rows = np.column_stack([depth, 50 + np.arange(10.0), np.full(10, 2.5)])
    path = folder / "a.dlis"
    path.write_bytes(dlis(rows, ["DEPT", "GR", "RHOB"], ["m", "gAPI", "g/cm3"], copies=2))
    made = read(path)
    assert isinstance(made, LogFile)
    return made


def loop() -> Table:
    """Gravimeter readings of two loops."""
    minutes = np.arange(7) * 30
    time = np.array([str(np.datetime64("2024-05-17T06:00") + np.timedelta64(int(m), "m")) for m in minutes])
    columns: Arguments = {
        "station": np.array(["B", "1", "2", "B", "1", "2", "B"]), "time_utc": time, "longitude": np.full(7, 10.0), "latitude": np.full(7, 50.0),
        "height_m": np.full(7, 200.0), "reading_mgal": 4200 + np.array([0, 3.2, -1.7, 0.01, 3.21, -1.69, 0.02]),
    }  # fmt: skip
    return Table(columns=columns)


def dc_line() -> DCSurvey:
    rows = np.array([(i, i + 1, i + 2 + k, i + 3 + k) for i in range(11) for k in range(4) if i + 3 + k < 11], float) * 10
    unit = DCSurvey(a=rows[:, 0], b=rows[:, 1], m=rows[:, 2], n=rows[:, 3], value=np.ones(len(rows)))
    return replace(unit, value=100.0 * np.exp(0.02 * np.random.default_rng(0).standard_normal(len(rows))) / unit.factor)


def angles() -> tuple[Gather, Well]:
    """Two angle gathers of nine angles over a made well with all three logs."""
    rng = np.random.default_rng(0)
    samples, theta = 120, np.arange(0.0, 41, 5)
    bed = np.cumsum(rng.random(samples) < 0.2)
    vp = 2500 * np.exp(0.001 * np.arange(samples) + 0.08 * rng.standard_normal(bed[-1] + 1)[bed])
    vs, rho = 0.55 * vp, 2200 * (vp / 2500) ** 0.25
    z = np.concatenate([[0], np.cumsum(vp[:-1] * 0.002)])
    depth_time = {"checkshot_depth": z, "checkshot_time": 0.004 * np.arange(samples)}
    logs = {"VP": Curve(vp, "m/s"), "VS": Curve(vs, "m/s"), "RHOB": Curve(rho, "kg/m3")}
    step = np.diff(np.log(vp * rho), prepend=np.log(vp[0] * rho[0])) / 2
    from moho.agent.tools.seismic_modelling import ricker

    wavelet = ricker(np.arange(-20, 21) * 0.004, 25)
    data = np.array([np.convolve(step * (1 - 0.8 * np.sin(np.radians(a)) ** 2), wavelet, "same") for a in theta])
    data = np.tile(data, (2, 1)) + 0.02 * data.std() * rng.standard_normal((18, samples))
    made = Gather(data=(500 * data).astype(np.float32), dt=0.004, offset=np.zeros(18), angle=np.tile(theta, 2), cdp=np.repeat([1, 2], 9),
                  polarity="SEG normal")  # fmt: skip
    return made, Well(depth=z, curves=logs, well_name="E-1", **depth_time)  # type: ignore[arg-type]


def salt() -> Seismic:
    """A section of layers with a patch of chaos."""
    rng = np.random.default_rng(0)
    data = np.tile(np.convolve(rng.standard_normal(120), np.hanning(7), "same"), (48, 1))
    data[14:34, 40:90] = 0.6 * rng.standard_normal((20, 50))
    return Seismic(data=(data + 0.2 * rng.standard_normal(data.shape)).astype(np.float32), dt=0.004, cdp=300 + np.arange(48), dx=25.0)


def model() -> Seismic:
    from moho.agent.tools.velocity_models import velocity_model

    return velocity_model(1800.0, 500.0, 260.0, gradient=0.8, spacing=20.0)  # type: ignore[no-any-return]


def shots() -> Gather:
    from moho.agent.tools.velocity_models import velocity_model
    from moho.agent.tools.wave_modelling import wave_acoustic_2d

    true = velocity_model(1800.0, 500.0, 260.0, gradient=0.8, spacing=20.0, block_velocity=2200.0, block_x=240.0, block_depth=140.0, block_size=80.0)
    return wave_acoustic_2d(true, 8.0, [100.0, 400.0], 0.6, 40.0, None, 40.0, 20.0, 0.008)  # type: ignore[no-any-return]


def arrivals() -> Table:
    source, receiver = (one.ravel() for one in np.meshgrid(np.linspace(0, 115, 4), 5.0 * np.arange(24), indexing="ij"))
    offset = np.abs(source - receiver)
    return Table(columns={"shot_x": source, "geophone_x": receiver, "time": np.minimum(offset / 800, offset / 2400 + 0.0236)})


def bowl() -> Grid:
    axis = 25.0 * np.arange(-20, 21)
    values = 1500 + (axis[None, :] ** 2 + axis[:, None] ** 2) / 8000
    return Grid(values=values, x=axis, y=axis, quantity="depth", unit="m", crs="EPSG:32632")


def horizon() -> Horizon:
    held = line()
    return Horizon(title="Cedar", time=0.4 + 0.0005 * np.arange(80), cdp=held.cdp, x=held.x, y=held.y)


def reports() -> list[Data]:
    return [replace(sand(), title="sand", facts={"net": Quantity(30.0, "m", "net")}), replace(stations(), title="gravity")]


def facies() -> list[Well]:
    rng = np.random.default_rng(0)
    rock = np.repeat(rng.integers(0, 3, 20), 10)
    curves = {"GR": Curve(np.array([30.0, 70, 110])[rock] + rng.normal(0, 5, 200), "gAPI"),
              "RHOB": Curve(np.array([2.2, 2.45, 2.65])[rock] + rng.normal(0, 0.02, 200), "g/cm3")}  # fmt: skip
    return [Well(depth=1000 + 0.5 * np.arange(200), curves=curves, well_name="A", reference="MD")]


def table() -> Table:
    columns: Arguments = {"lon": 18 + 0.1 * np.arange(4), "lat": -33 - 0.1 * np.arange(4), "elev_ft": 100.0 * np.arange(1, 5),
                          "g": np.array([979600.0, 979610.0, 979640.0, 979630.0])}  # fmt: skip
    return Table(title="survey", columns=columns)


def two_wells() -> list[Well]:
    place = np.asarray(line().x)
    return [well("A", float(place[10])), well("B", float(place[60]))]


def gappy() -> Seismic:
    held = line()
    held.data[[20, 41, 60]] = 0
    return held


CALLS: dict[str, Callable[[Path], Arguments]] = {
    "segy_inspect": lambda _: {"data": line()},
    "segy_read": lambda _: {"data": line(), "first_cdp": 110, "last_cdp": 150, "top": 0.2, "base": 0.9},
    "segy_geometry": lambda _: {"data": line()},
    "trace_qc": lambda _: {"line": line()},
    "waveform_inspect": lambda _: {"waveforms": waveforms()},
    "event_inspect": lambda _: {"catalogue": response()},
    "las_inspect": lambda _: {"well": well()},
    "dlis_inspect": lambda folder: {"file": logfile(folder), "frame": "MAIN"},
    "dlis_read": lambda folder: {"file": logfile(folder), "frame": "MAIN"},
    "table_inspect": lambda _: {"table": table()},
    "assign_columns": lambda _: {"table": table(), "quantity": "observed gravity", "value": "g", "east": "lon", "north": "lat", "height": "elev_ft",
                                 "unit": "mGal"},
    "crop_map": lambda _: {"data": stations(), "west": "200", "east": "900", "south": "100", "north": "800"},
    "crs_convert": lambda _: {"data": stations(True), "crs": "EPSG:32632"},
    "bandpass": lambda _: {"line": line(), "low": 10.0, "high": 50.0},
    "gain_agc": lambda _: {"line": line()},
    "decon": lambda _: {"line": line()},
    "fk_filter": lambda _: {"line": line(), "fastest": 1500.0},
    "fx_decon": lambda _: {"line": line()},
    "nmo_stack": lambda _: {"gather": gather(), "velocity": [2000.0, 2600.0], "time": [0.3, 1.0]},
    "velocity_semblance": lambda _: {"gather": gather()},
    "radon_demultiple": lambda _: {"gather": gather(), "velocity": [2200.0]},
    "interpolate_traces": lambda _: {"line": gappy()},
    "migrate_poststack": lambda _: {"line": line(), "velocity": [2000.0]},
    "wavelet_estimate": lambda _: {"line": line()},
    "cut_window": lambda _: {"data": one_station(), "start": 2.0, "end": 20.0},
    "remove_response": lambda _: {"waveforms": one_station(), "response": response(), "low": 0.5, "high": 30.0},
    "filter_waveforms": lambda _: {"waveforms": one_station(), "low": 1.0, "high": 10.0},
    "filter_rotate": lambda _: {"waveforms": one_station("velocity"), "back_azimuth": 40.0},
    "spectrogram_ppsd": lambda _: {"waveforms": one_station("velocity"), "window": 10.0},
    "array_beam": lambda _: dict(zip(("waveforms", "response"), array(), strict=True)) | {"low": 1.0, "high": 4.0},
    "gravity_disturbance": lambda _: {"stations": stations(True)},
    "bouguer_terrain": lambda _: {"stations": stations(True), "density": 2400.0},
    "grid_trend": lambda _: {"stations": stations(), "spacing": 100.0, "degree": 1},
    "remove_trend": lambda _: {"grid": field(), "degree": 2},
    "continue_derive": lambda _: {"grid": field(), "height": 200.0},
    "gravimeter_reduce": lambda _: {"readings": loop(), "base": "B"},
    "igrf_anomaly": lambda _: {"stations": total_field(), "date": "1997.6"},
    "rtp_tilt_analytic": lambda _: {"grid": field(), "output": "reduction to the pole"},
    "euler": lambda _: {"grid": field(), "structural_index": 3.0, "window": 1000.0},
    "level_lines": lambda _: {"stations": flight(), "tie_lines": ["T*"]},
    "spectral_depth": lambda _: {"grid": field("mGal")},
    "log_clean": lambda _: {"well": sand()},
    "vshale": lambda _: {"well": well(), "clean": 25.0, "shale": 115.0, "top": TOP, "base": BASE},
    "porosity": lambda _: {"well": well(), "top": TOP, "base": BASE},
    "water_saturation": lambda _: {"well": sand(), "rw": 0.05},
    "net_pay": lambda _: {"well": sand()},
    "upscale_logs": lambda _: {"well": sand(), "window": 8.0},
    "fluid_substitution": lambda _: {"well": sand(), "fluid_modulus": 2.25, "fluid_density": 1000.0, "new_modulus": 0.8, "new_density": 800.0},
    "synthetic_seismogram": lambda _: {"well": well()},
    "avo_curve": lambda _: {"vp1": 2500.0, "vs1": 1250.0, "rho1": 2200.0, "vp2": 3000.0, "vs2": 1600.0, "rho2": 2400.0},
    "velocity_model": lambda _: {"top_velocity": 1800.0, "length": 500.0, "depth": 260.0, "gradient": 0.8, "spacing": 20.0},
    "wave_acoustic_2d": lambda _: {"model": model(), "frequency": 8.0, "source_x": [100.0], "length": 0.3},
    "wave_elastic_2d": lambda _: {"vp": model(), "frequency": 5.0, "source_x": [100.0], "length": 0.2},
    "travel_times": lambda _: {"model": model(), "source_x": [0.0], "receiver_spacing": 50.0},
    "earth_travel_times": lambda _: {"distance": 30.0},
    "gravity_forward": lambda _: {"depth_top": 100.0, "depth_base": 300.0, "width": 200.0, "density_contrast": 400.0, "nodes": 21},
    "magnetic_forward": lambda _: {"depth_top": 100.0, "depth_base": 300.0, "width": 200.0, "susceptibility": 0.02, "inclination": 60.0,
                                   "declination": 5.0, "strength": 50_000.0, "nodes": 21},
    "em1d_forward": lambda _: {"resistivity": [100.0, 10.0], "thickness": [500.0], "method": "MT"},
    "poststack_impedance": lambda _: {"line": line(), "well": well()},
    "prestack_avo": lambda _: dict(zip(("gather", "well"), angles(), strict=True)) | {"frequency": 25.0},
    "low_frequency_model": lambda _: {"line": line(), "wells": two_wells()},
    "blind_well_test": lambda _: {"wells": two_wells()},
    "pick_first_breaks": lambda _: {"gather": shots()},
    "refraction_tomography": lambda _: {"picks": arrivals(), "error": 0.001, "iterations": 3},
    "fwi_2d": lambda _: {"shots": [shots()], "start": model(), "frequencies": [8.0], "iterations": 1, "source_frequency": 8.0},
    "gravity_mag_3d": lambda _: {"data": stations(), "error": 0.05, "cell": 200.0, "depth": 600.0},
    "dc_2d": lambda _: {"line": dc_line(), "error": 3.0, "cell": 2.5, "depth": 20.0},
    "mt_1d": lambda _: {"sounding": sounding()},
    "locate_event": lambda _: {"picks": picks(), "velocity": 6000.0},
    "magnitude": lambda _: {"waveforms": one_station("velocity"), "distance": 30.0},
    "track_horizon": lambda _: {"line": line(), "cdp": 130, "time": 0.5},
    "attributes": lambda _: {"line": line(), "attribute": "envelope"},
    "curvature": lambda _: {"surface": bowl()},
    "fault_likelihood": lambda _: {"line": line()},
    "geobody_salt": lambda _: {"cube": salt(), "crossline": 324, "time": 0.26},
    "cluster_classify": lambda _: {"data": facies(), "k": 3},
    "pick_phases": lambda _: {"waveforms": [one_station()]},
    "detect_associate": lambda _: {"waveforms": by_station()},
    "complete_well": lambda _: {"well": sand(), "tops": Table(columns={"top": np.array(["A"]), "depth_m": np.array([1020.0])})},
    "well_depths": lambda _: {"well": drilled(), "to": "TVD"},
    "well_tie": lambda _: {"line": line(), "well": well()},
    "depth_convert": lambda _: {"data": horizon(), "velocity": 2500.0},
    "horizon_at_wells": lambda _: {"horizon": horizon(), "wells": two_wells(), "line": line()},
    "gravity_along_line": lambda _: {"stations": along(), "line": line()},
    "evidence_table": lambda _: {"results": reports()},
    "search_literature": lambda _: {"question": "low-frequency model"},
    "ask_literature": lambda _: {"question": "Why does impedance inversion need a low-frequency model?"},
    "find_contradictions": lambda _: {"question": "window of automatic gain control"},
    "compare": lambda _: {"first": line(), "second": replace(line(), data=2 * line().data)},
    "plot_section": lambda _: {"line": line()},
    "plot_map": lambda _: {"grid": stations()},
    "plot_logs": lambda _: {"well": well()},
    "plot_waveforms": lambda _: {"waveforms": [one_station()]},
}  # fmt: skip


def sounding() -> Data:
    from moho.agent.tools.electromagnetics import em1d_forward

    made = em1d_forward([100.0, 10.0], [500.0], frequency=np.geomspace(1e3, 0.01, 16).tolist())
    return replace(made, error=0.025 * np.abs(made.impedance), station="made")  # type: ignore[no-any-return]


def along() -> Gravity:
    held = line()
    x, y = np.asarray(held.x), np.asarray(held.y)
    place = np.random.default_rng(0).uniform(-1500, 1500, (2, 200))
    east, north = float(x.mean()) + place[0], float(y.mean()) + place[1]
    return Gravity(x=east, y=north, value=10 + 1e-3 * place[0], quantity="Bouguer disturbance", crs=held.crs)

