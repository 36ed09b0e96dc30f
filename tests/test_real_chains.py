"""Chains of tools on real data, each a run of a project: calls prepared, performed, drawn and kept, names handed on from step to step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import obspy
import pytest
from made_segy import build
from obspy.core.inventory import Inventory, Network, Station
from pyproj import Geod

from moho import store
from moho.agent.act import perform
from moho.agent.registry import prepare
from moho.agent.replay import replay
from moho.errors import Refusal
from moho.project import Project, StepRecord
from moho.survey import Array, Blocks, Catalogue, Grid, Horizon, Seismic

GLOBE = Geod(ellps="WGS84")


class Chain:
    """A project and one run in it. A call names data as a person would; it gives the kept step."""

    def __init__(self, folder: Path, request: str) -> None:
        self.project = Project.open(folder / "project")
        self.run = self.project.start(request)

    def add(self, path: Path) -> str:
        """The name under which a file entered the project."""
        return self.project.add(path).name

    def __call__(self, tool: str, *, draw: bool = False, **written: Any) -> Step:
        call = prepare(tool, written, self.project.kinds())
        return Step(perform(call, self.run, draw=draw), self)


class Step:
    """A kept step: the name of its result, its facts by key, its notes as one text, its arrays."""

    def __init__(self, record: StepRecord, chain: Chain) -> None:
        self.record, self.chain = record, chain
        self.name: str = record.result["name"]
        self.notes = " ".join(record.result["notes"])

    def __getitem__(self, key: str) -> Any:
        return self.record.facts()[key].value

    @property
    def data(self) -> Any:
        """The result, loaded back from the project."""
        return self.chain.project.load(self.name)

    @property
    def section(self) -> Array:
        """(trace, sample) of a section."""
        held = self.data
        assert isinstance(held, Seismic)
        return held.data.astype(float)

    @property
    def folder(self) -> Path:
        return self.chain.run.folder / "steps" / f"{self.record.id:02d}-{self.record.tool}"

    @property
    def picture(self) -> dict[str, Any]:
        """What was written beside the kept picture."""
        assert (self.folder / "figure.png").stat().st_size > 10_000
        return dict(json.loads((self.folder / "figure.json").read_text()))

    @property
    def axes(self) -> list[str]:
        """What the kept picture writes on its axes and colour bars."""
        return [ax[side] for ax in self.picture["axes"] for side in ("x", "y")] + [colour["label"] for colour in self.picture["colours"]]


@pytest.fixture
def chain(tmp_path: Path, shared: Path, request: pytest.FixtureRequest) -> Chain:
    return Chain(tmp_path, request.node.name.removeprefix("test_").replace("_", " "))


def rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))


def alike(traces: Array) -> float:
    """Median correlation of neighbouring traces."""
    a, b = traces[:-1], traces[1:]
    return float(np.median(np.sum(a * b, 1) / np.sqrt(np.sum(a**2, 1) * np.sum(b**2, 1))))


# -- seismic lines


def test_npra_line_from_stack_to_horizon(chain: Chain, shared: Path) -> None:
    line = chain.add(shared / "seismic_npra_31_81" / "31_81_PR.sgy")
    held = chain("segy_inspect", data=line)
    assert (held["traces"], held["samples"], held["sample_interval"], held["cdp"]) == (534, 1501, 4.0, [101, 634])
    assert "No positions" in held.notes
    with pytest.raises(Refusal):
        chain("segy_geometry", data=line)
    before = chain("trace_qc", line=line)
    assert before["energy_band"] == pytest.approx([8.5, 40.3], abs=0.3)

    gained = chain("gain_agc", line=line, window="500 ms")
    raw = chain.project.load(line).data
    uneven, even = ([rms(traces[:, first : first + 125]) for first in range(250, 1400, 125)] for traces in (raw, gained.section))
    assert max(uneven) > 2 * min(uneven)
    assert max(even) < 1.25 * min(even)

    sharp = chain("decon", line=gained.name, operator="160 ms", lag="24 ms")
    assert sharp["energy_left"] == pytest.approx(68.7, abs=2)
    after = chain("trace_qc", line=sharp.name)
    assert after["energy_band"][1] > before["energy_band"][1] + 5

    quiet = chain("fx_decon", line=sharp.name, draw=True)
    assert quiet.axes == ["CDP", "two-way time (s)", "amplitude"]
    assert quiet["removed"] == pytest.approx(11, abs=2)
    assert alike(quiet.section) > alike(sharp.section) + 0.05

    envelope = chain("attributes", line=quiet.name, attribute="envelope").section
    assert np.all(envelope >= np.abs(quiet.section) - 1e-4)
    coherence = chain("attributes", line=quiet.name, attribute="coherence").section
    assert coherence[:, 500:700].mean() > 0.95 > 0.9 > coherence[:, 1000:1400].mean()

    horizon = chain("track_horizon", line=gained.name, cdp=300, time="2.17 s", draw=True)
    track = horizon.data
    assert isinstance(track, Horizon)
    assert horizon["tracked"] == 100
    assert horizon["time_range"] == pytest.approx([2.155, 2.191], abs=0.004)
    at = np.array([np.interp(time, 0.004 * np.arange(1501), trace) for time, trace in zip(track.time, gained.section, strict=True)])
    assert at.min() > 0  # one peak all along
    assert at.mean() > 2.5 * rms(gained.section)
    assert horizon.axes[:2] == ["CDP", "two-way time (s)"]
    again = chain("track_horizon", line=quiet.name, cdp=300, time="2.17 s").data.time  # after deconvolution the same peak, as far as it goes
    assert np.isfinite(again).mean() > 0.5
    assert np.nanmedian(np.abs(again - track.time)) < 0.004


def test_viking_shots_from_velocity_to_stack(chain: Chain, shared: Path) -> None:
    shots = chain.add(shared / "seismic_viking_shots" / "viking_small.segy")
    found = chain("velocity_semblance", gather=shots, draw=True)
    assert found["velocity"] == pytest.approx(1438, rel=0.01)  # sea water
    assert found["time"] == pytest.approx(0.5, abs=0.03)
    assert "multiple" in found.notes
    assert "stacking velocity (m/s)" in found.axes

    # Below the primaries the picks return to the water's velocity at twice the time: the sea floor's multiple.
    times, velocities = found["pick_times"], found["pick_velocities"]
    twice = int(np.argmin(np.abs(np.array(times) - 2 * times[0])))
    assert velocities[twice] == pytest.approx(velocities[0], rel=0.025)
    primaries = [i for i, time in enumerate(times) if time < 0.95]
    function = {"velocity": [f"{velocities[i]:.0f} m/s" for i in primaries], "time": [f"{times[i]} s" for i in primaries]}
    assert len(primaries) >= 3

    stack = chain("nmo_stack", gather=shots, **function, draw=True)
    assert (stack["traces"], stack["fold"]) == (126, 4)
    floor = stack.section[110:, 115:150]  # near offsets, 0.46 to 0.6 s
    wrong = chain("nmo_stack", gather=shots, velocity="2200 m/s").section[110:, 115:150]
    assert alike(floor) > 0.95
    assert rms(floor) > 1.3 * rms(wrong)

    filtered = chain("fk_filter", line=shots, fastest="1650 m/s", draw=True)
    assert filtered["removed"] == pytest.approx(2.6, abs=0.5)
    assert "aliased" in filtered.notes
    kept = chain("fk_filter", line=shots, fastest="1650 m/s", action="keep").data.data
    assert np.abs(kept + filtered.data.data - chain.project.load(shots).data).max() < 0.01  # type: ignore[attr-defined]
    assert chain("velocity_semblance", gather=filtered.name)["velocity"] == pytest.approx(found["velocity"], rel=0.005)


WELLS = ("F02-1", "F03-2", "F03-4", "F06-1")


def joined(chain: Chain, folder: Path, name: str) -> str:
    """A well with its checkshots, tops and track, by the tools alone."""
    given = {"checkshots": f"{name}_checkshot_TD.txt", "tops": f"{name}_markers.txt", "track": f"{name}.track"}
    return chain("complete_well", well=f"{name}_logs", **{key: chain.add(folder / file) for key, file in given.items()}).name


def test_f06_1_from_files_to_a_fair_tie_nine_hundred_metres_away(chain: Chain, shared: Path) -> None:
    folder = shared / "seismic_f3"
    line = chain("segy_read", data=chain.add(folder / "F3_very_small.sgy"), inline=210).name
    chain.add(folder / "wells" / "F06-1_logs.las")
    well = joined(chain, folder / "wells", "F06-1")
    synthetic = chain("synthetic_seismogram", well=well, frequency="35 Hz", dt="4 ms")
    assert "time from 17 checkshots" in synthetic.notes
    limits = {"frequency": "35 Hz", "shift": "20 ms", "stretch": "1 %"}
    whole = chain("well_tie", line=line, well=well, **limits)
    assert whole["distance"] == pytest.approx(910, abs=1)
    assert whole["window"] == [0.62, 1.2]  # to the last checkshot
    assert whole["correlation"] > whole["chance"] + 0.05
    assert whole["blind"] > 0.2
    assert "a weak tie" in whole.notes
    upper = chain("well_tie", line=line, well=well, top="0.6 s", base="1 s", **limits, draw=True)
    assert upper["correlation"] > 0.5 > 0.4 > upper["chance"]
    assert upper["blind"] > 0.35
    assert "a fair tie" in upper.notes
    assert abs(upper["shift"] - whole["shift"]) < 1.5
    assert [-130 < step["phase"] < -95 for step in (whole, upper)] == [True, True]
    assert chain("well_depths", well=upper.name, to="TVDSS")["change"] == [-28.64, -28.64]


def test_f3_from_cube_to_impedance(chain: Chain, shared: Path) -> None:
    folder = shared / "seismic_f3"
    cube, crop = chain.add(folder / "F3_very_small.sgy"), chain.add(folder / "f3_crop.sgy")
    for name in WELLS:
        chain.add(folder / "wells" / f"{name}_logs.las")
    shots = chain.add(folder / "wells" / "F02-1_checkshot_TD.txt")
    crossing = [chain("segy_read", data=crop, inline=120), chain("segy_read", data=crop, crossline=880)]
    assert np.array_equal(crossing[0].section[880 - 875], crossing[1].section[120 - 111])
    line = chain("segy_read", data=cube, inline=200, draw=True)
    assert (line["traces"], line["samples"], line["cdp"]) == (11, 463, [400, 410])

    tie = chain("well_tie", line=line.name, well="F02-1_logs", checkshots=shots, draw=True)
    assert line.axes[0] == "crossline"
    assert tie["distance"] == pytest.approx(4351, abs=5)  # nothing can tie from there, and the tool says so
    assert tie["blind"] < 0.2
    assert tie["correlation"] < tie["chance"]
    assert "no better than chance" in tie.notes
    assert "too far" in tie.notes

    alone = chain("blind_well_test", wells=[f"{name}_logs" for name in WELLS])
    assert alone["correlation_after"] == pytest.approx(alone["correlation_flat"])
    assert "no two wells share a top" in alone.notes
    assert "without checkshots" in alone.notes
    wells = [joined(chain, folder / "wells", name) for name in WELLS]
    blind = chain("blind_well_test", wells=wells, draw=True)
    assert blind["within_after"] > 0.75
    assert blind["correlation_after"] > blind["correlation_before"] + 0.1
    assert blind["error_after"] < 0.7 * blind["error_before"]
    assert [blind[f"within_{name.replace('-', '_')}"] > 0.6 for name in WELLS] == [True] * 4
    assert [blind[f"logged_{name.replace('-', '_')}"] > 0.5 for name in WELLS] == [True] * 4
    assert blind["correlation_after"] > 0.6

    model = chain("low_frequency_model", line=line.name, wells=wells)
    impedance = chain("poststack_impedance", line=line.name, well=wells[0], model=model.name, draw=True)
    assert "acoustic impedance ($10^{6}$ kg/m2/s)" in impedance.axes
    assert impedance["misfit"] == pytest.approx(impedance["noise"], rel=0.1)  # the discrepancy principle
    assert 1.4e6 < impedance["range"][0] < impedance["range"][1] < 1.2e7  # from water to limestone
    low, high = 20 < impedance["band"][0] < 40, 60 < impedance["band"][1] < 100
    assert (low, high) == (True, True)
    detail = np.log(impedance.section) - np.log(model.section)
    slope = np.gradient(detail, axis=1)
    assert np.corrcoef(slope.ravel(), line.section.ravel())[0, 1] > 0.5  # a positive sample is a rise of impedance
    assert abs(detail[:, 100:].mean()) < 0.02  # the seismic adds no trend of its own


def test_teapot_from_noise_to_faults(chain: Chain, shared: Path, tmp_path: Path) -> None:
    clean = np.fromfile(shared / "seismic_teapot_tp73" / "tp73.dat", ">f4").reshape(357, 240).astype(np.float32)
    noisy = clean + 0.7 * clean.std() * np.random.default_rng(0).standard_normal(clean.shape)
    for name, traces in (("clean", clean), ("noisy", noisy.astype(np.float32))):
        (tmp_path / f"{name}.sgy").write_bytes(build(traces, dt=2000, fields={21: np.arange(1, 358)}))
        chain.add(tmp_path / f"{name}.sgy")

    def ratio(traces: Array) -> float:
        return float(10 * np.log10((clean**2).sum() / ((traces - clean) ** 2).sum()))

    assert ratio(chain.project.load("noisy").data) == pytest.approx(3.1, abs=0.05)  # type: ignore[attr-defined]
    quiet = chain("fx_decon", line="noisy")
    assert ratio(quiet.section) >= 9.5

    phase = chain("attributes", line=quiet.name, attribute="instantaneous phase", draw=True)
    assert phase.picture["colours"][0]["range"] == [-180, 180]
    envelope = chain("attributes", line=quiet.name, attribute="envelope").section
    assert np.corrcoef((envelope * np.cos(np.radians(phase.section))).ravel(), quiet.section.ravel())[0, 1] > 0.999
    frequency = chain("attributes", line=quiet.name, attribute="instantaneous frequency").section
    assert np.median(frequency) == pytest.approx(np.median(chain("attributes", line="clean", attribute="instantaneous frequency").section), rel=0.1)
    coherence = chain("attributes", line=quiet.name, attribute="coherence").section

    faults = {name: chain("fault_likelihood", line=name, draw=name != "clean") for name in ("clean", quiet.name)}
    at = {name: list(zip(step["fault_cdp"], step["fault_dip"], strict=True)) for name, step in faults.items()}
    for cdp, dip in ((142, 88), (216, 102), (333, 110)):  # breaks of the reflectors seen on the section, with and without noise
        for name in at:
            assert any(abs(a - cdp) < 8 and abs(b - dip) < 5 for a, b in at[name]), (name, cdp, at[name])
    marked = faults[quiet.name].section > 0.65
    assert coherence[marked].mean() < coherence[~marked].mean() - 0.1

    horizon = chain("track_horizon", line=quiet.name, cdp=180, time="0.175 s")
    assert horizon["tracked"] == 100
    assert horizon.data.time[[0, 130, 356]] == pytest.approx([0.2375, 0.1705, 0.187], abs=0.006)  # the anticline, read off the section


# -- earthquakes

MODEL = {"velocity": "3900 m/s", "vp_vs": 1.88}  # travel times of the located event of the same swarm, over its distances


def swarm_stations(path: Path) -> obspy.core.event.Origin:
    """UH1 to UH4 written as StationXML; the hypocentre of a later event. Both from the QuakeML ObsPy ships: origin, azimuth, distance."""
    event = obspy.read_events(str(next(Path(obspy.__file__).parent.rglob("obspyck_20141020150701.xml"))))[0]
    origin, code = event.origins[0], {pick.resource_id: pick.waveform_id.station_code for pick in event.picks}
    places: dict[str, list[tuple[float, float]]] = {}
    for arrival in origin.arrivals:
        lon, lat, _ = GLOBE.fwd(origin.longitude, origin.latitude, arrival.azimuth, arrival.distance * 111195)
        places.setdefault(code[arrival.pick_id], []).append((lat, lon))
    stations = [Station(name, *np.mean(rows, axis=0), elevation=0.0) for name, rows in sorted(places.items())]
    Inventory([Network("BW", stations)], source="derived").write(str(path), "STATIONXML")
    return origin


def test_unterhaching_swarm_from_records_to_hypocentres(chain: Chain, shared: Path, tmp_path: Path) -> None:
    files = sorted((shared / "seismology_obspy_trigger").glob("*.slist.gz"))
    detected = chain("detect_associate", waveforms=[chain.add(file) for file in files], draw=True)
    times = [obspy.UTCDateTime(time) for time in detected["times"]]
    truth = ("2010-05-27T16:24:33.210", "2010-05-27T16:27:01.260", "2010-05-27T16:27:30.510")
    assert [abs(a - obspy.UTCDateTime(b)) < 0.1 for a, b in zip(times, truth, strict=True)] == [True] * 3
    assert detected["stations_per_event"] == [4, 3, 4]

    origin = swarm_stations(tmp_path / "stations.xml")
    stations = chain.add(tmp_path / "stations.xml")
    found, faint = [], None
    for number, time in enumerate(times):
        cut = []
        for file in files:
            stream = obspy.read(str(file)).trim(time - 12, time + 14)
            path = tmp_path / f"event {number} {stream[0].id}.mseed"
            stream.write(str(path), "MSEED")
            cut.append(chain.add(path))
        asked = {"waveforms": cut, "low": "5 Hz", "high": "20 Hz", "lta": "5 s", "response": stations}
        if number == 1:  # too faint at 5 to 20 Hz, and told to use the band it was detected in: three stations trigger together there
            with pytest.raises(Refusal, match="no onset found") as said:
                chain("pick_phases", **asked)
            assert "band and windows in which the event was detected" in str(said.value.hint)
            picks = chain("pick_phases", **asked | {"low": "10 Hz"}, draw=True)
            assert (picks["p_picks"], picks["s_picks"], picks["stations"]) == (3, 1, 3)
            assert "3 faint P picks" in picks.notes
            assert picks["median_uncertainty"] > 0.1
            faint = chain("locate_event", picks=picks.name, **MODEL, draw=True)
            continue
        picks = chain("pick_phases", **asked, draw=number == 0)
        assert (picks["p_picks"], picks["s_picks"], picks["stations"]) == (4, 1, 4)
        assert 0.01 < picks["median_uncertainty"] < 0.05
        if number == 0:
            chain("plot_waveforms", waveforms=cut, picks=picks.name, draw=True)
        event = chain("locate_event", picks=picks.name, **MODEL, draw=True)
        place = event.data
        assert isinstance(place, Catalogue)
        _, _, away = GLOBE.inv(origin.longitude, origin.latitude, place.longitude[0], place.latitude[0])
        assert away < 1000
        assert place.depth[0] == pytest.approx(origin.depth / 1000, abs=1.0)
        assert event["rms"] < 0.05
        assert obspy.UTCDateTime(event["origin_time"]) < time
        assert event["depth_error"] < 2
        found.append((place.latitude[0], place.longitude[0], place.depth[0]))
    assert np.abs(np.diff(found, axis=0)).max() < 0.2  # neighbours
    assert faint is not None
    azimuth, _, away = GLOBE.inv(faint.data.longitude[0], faint.data.latitude[0], found[0][1], found[0][0])
    angle, km = np.radians(azimuth - faint["ellipse_azimuth"]), away / 1000
    assert (km * np.cos(angle) / faint["ellipse_major_95"]) ** 2 + (km * np.sin(angle) / faint["ellipse_minor_95"]) ** 2 < 1  # the swarm is in it
    assert faint["ellipse_major"] > 5  # and it is large, as four phases at three stations make it
    assert faint.data.depth[0] == pytest.approx(found[0][2], abs=2 * faint["depth_error"])
    assert "as many phases as unknowns" in faint.notes
    assert "hardly hold the epicentre" in faint.notes
    rows = replay(chain.project, chain.run.id)
    assert len(rows) > 12
    assert all(row["same"] for row in rows), [row for row in rows if not row["same"]]


# -- gravity and magnetics


def test_southern_africa_from_table_to_density(chain: Chain, shared: Path, tmp_path: Path) -> None:
    import pandas as pd

    table = pd.read_csv(shared / "gravity_southern_africa" / "southern-africa-gravity.csv.xz")
    table.columns = ["a", "b", "c", "d"]
    table.to_csv(tmp_path / "plain.csv", index=False)
    plain = chain.add(tmp_path / "plain.csv")
    assert chain("table_inspect", table=plain)["rows"] == 14359
    named = {"value": "d", "east": "a", "north": "b", "height": "c", "unit": "mGal", "crs": "EPSG:4326"}
    stations = chain("assign_columns", table=plain, quantity="observed gravity", **named)
    disturbance = chain("gravity_disturbance", stations=stations.name)
    assert disturbance["range"] == pytest.approx([-101.72, 131.64], abs=0.5)
    bouguer = chain("bouguer_terrain", stations=disturbance.name, density="2670 kg/m3", draw=True)
    assert bouguer["range"] == pytest.approx([-189.66, 77.69], abs=0.5)
    assert bouguer["mean"] == pytest.approx(-93.74, abs=0.5)

    grid = chain("grid_trend", stations=bouguer.name, spacing="25 km")
    assert grid["stations"] == 14325
    assert grid["cross_validated"] < 7
    residual = chain("remove_trend", grid=grid.name, degree=2, draw=True)
    assert residual["after"] < 0.75 * residual["before"]
    assert "mGal" in residual.axes[-1]
    field = residual.data
    assert isinstance(field, Grid)
    assert field.density == 2670
    # The largest value within 150 km of Trompsburg, a buried layered intrusion (29.99 S, 25.78 E), is on it.
    from pyproj import Transformer

    x, y = Transformer.from_crs("EPSG:4326", field.crs, always_xy=True).transform(25.78, -29.99)
    distance = np.hypot(field.x[None, :] - x, field.y[:, None] - y)
    near = np.where((distance < 150_000) & np.isfinite(field.values), field.values, -np.inf)
    assert distance.ravel()[near.argmax()] < 30_000
    assert near.max() > 30

    bushveld = chain("crop_map", data=stations.name, west="26 E", east="31 E", south="27 S", north="23 S")
    assert bushveld["kept"] == int((table.a.between(26, 31) & table.b.between(-27, -23)).sum())
    window = chain("bouguer_terrain", stations=bushveld.name)
    assert "taken out first" in window.notes
    local = chain("grid_trend", stations=window.name, spacing="30 km", degree=1)
    model = chain("gravity_mag_3d", data=local.name, cell="30 km", depth="90 km", draw=True)
    assert {"depth (km)", "density contrast (kg/m3)"} <= set(model.axes)
    assert model["misfit"] == pytest.approx(1, abs=0.02)
    assert model["rms"] < 0.35 * float(np.nanstd(local.data.values))
    assert 0 < model["depth_range"][0] <= model["centre_depth"] <= model["depth_range"][1] < 45_000
    blocks = model.data
    assert isinstance(blocks, Blocks)
    # Above a dense top cell gravity is high: positive mGal pulls down.
    east, north = (0.5 * (edges[1:] + edges[:-1]) for edges in (blocks.x_edges, blocks.y_edges))
    columns, rows = (np.abs(nodes[:, None] - axis).argmin(1) for nodes, axis in ((local.data.x, east), (local.data.y, north)))
    above, known = blocks.values[0][np.ix_(rows, columns)], np.isfinite(local.data.values)
    assert np.corrcoef(above[known], local.data.values[known])[0, 1] > 0.7


@pytest.mark.slow
def test_raglan_body_lies_where_the_published_model_has_it(chain: Chain, shared: Path) -> None:
    survey = chain.add(shared / "magnetic_raglan" / "obs.mag")
    whole = chain("plot_map", grid=survey, draw=True)
    assert whole["points"] == 1638
    assert "total field anomaly (nT)" in whole.axes
    with pytest.raises(Refusal, match="wide at half its height"):
        chain("gravity_mag_3d", data=survey, cell="500 m")
    part = chain("crop_map", data=survey, west="2.4 km", east="4.15 km", south="39.4 km", north="41.3 km")
    assert part["kept"] == 330
    model = chain("gravity_mag_3d", data=part.name, cell="80 m", depth="800 m", draw=True)
    assert model["data"] == 330
    assert (model["inclination"], model["declination"], model["intensity"]) == (83, -32, 60_000)
    # centre of the published 1997 model's strongest body above half its largest susceptibility
    assert np.hypot(model["centre_x"] - 3364, model["centre_y"] - 40_399) < 150
    assert model["centre_depth"] == pytest.approx(437, abs=150)
    assert model["misfit"] == pytest.approx(1, abs=0.05)
    assert 0.05 < model["susceptibility"] < 0.3
    assert "remanence" in model.notes


# -- wells, electromagnetics


def test_hugoton_facies_of_a_blind_well(chain: Chain, shared: Path) -> None:
    table = chain.add(shared / "logs_hugoton_facies" / "facies_vectors.csv")
    assert chain("table_inspect", table=table)["PE_missing"] == 917
    found = chain("cluster_classify", data=table, labels="Facies", blind="SHANKLE", draw=True)
    assert (found["wells"], found["training_samples"], found["samples"]) == (9, 3700, 449)
    assert found["f1"] >= 0.45
    assert found["f1"] > found["baseline"] + 0.2
    assert found["f1_adjacent"] > 0.85
    confusion = np.array([[int(count) for count in row.split()] for row in found["confusion"]])
    assert confusion.sum() == 449
    assert np.trace(confusion) / 449 == pytest.approx(found["f1"], abs=1e-4)
    assert "SHANKLE was kept out whole" in found.notes


def test_gabbs_valley_sounding(chain: Chain, shared: Path) -> None:
    found = chain("mt_1d", sounding=chain.add(shared / "mt_edi" / "gv100.edi"), draw=True)
    assert {"period (s)", "apparent resistivity (ohm.m)", "phase (deg)", "resistivity (ohm.m)", "depth (m)"} <= set(found.axes)
    assert found["layers"] == 4
    assert found["resistivity_1"] == pytest.approx(110, rel=0.2)
    assert found["thickness_1"] == pytest.approx(339, rel=0.15)
    assert found["resistivity_2"] < 10
    assert 20 < found["resistivity_3"] < 60
    assert found["misfit"] < 2.5
    for key in ("resistivity_1", "thickness_1", "resistivity_2", "thickness_2"):
        low, high = found[f"{key}_range"]
        assert low < found[key] < high
    assert "2-D or 3-D" in found.notes


@pytest.mark.slow
def test_century_line_46800e(chain: Chain, shared: Path, published: Callable[[Array, Array], Array]) -> None:
    line = chain.add(shared / "dcip_century" / "46800E_46800POT.OBS")
    found = chain("dc_2d", line=line, cell="50 m", draw=True)
    assert {"depth (m)", "resistivity (ohm.m)"} <= set(found.axes)
    assert found["data"] == 151
    assert found["misfit"] == pytest.approx(1, abs=0.1)
    arrays = store.load(found.folder / "result.npz").arrays  # type: ignore[attr-defined]
    centre = [0.5 * (arrays[key][1:] + arrays[key][:-1]) for key in ("z_edges", "x_edges")]
    theirs, seen = published(*centre), arrays["index"] <= 0.2
    assert np.corrcoef(np.log(theirs[seen]), np.log(arrays["resistivity"][seen]))[0, 1] > 0.75


@pytest.fixture
def published(shared: Path) -> Callable[[Array, Array], Array]:
    """The UBC resistivity of line 46800E at depths and distances: 25 to 50 m cells, 24 400 to 30 800 m, down to 2700 m."""
    words = (shared / "dcip_century" / "46800E_DCMODA.CON").read_text().split()
    values = 1 / np.array(words[2:], float).reshape(int(words[1]), int(words[0]))

    def edges(start: float, parts: tuple[tuple[float, int], ...]) -> Array:
        made = [start]
        for end, cells in parts:
            made += np.linspace(made[-1], end, cells + 1)[1:].tolist()
        return np.array(made)

    x = edges(24400, ((25200, 1), (25600, 1), (25800, 1), (25900, 1), (29300, 68), (29400, 1), (29600, 1), (30000, 1), (30800, 1)))
    z = edges(0, ((400, 16), (800, 8), (1200, 2), (1500, 1), (2000, 1), (2700, 1)))
    return lambda down, along: np.asarray(values[np.ix_(np.searchsorted(z, down) - 1, np.searchsorted(x, along) - 1)])
