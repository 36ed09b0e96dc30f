"""Picks against analysts, detections against a published swarm, locations against made picks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import obspy
import pytest

from moho.agent.tools.earthquakes import detect_associate, locate_event, pick_phases
from moho.errors import Refusal
from moho.read import read
from moho.survey import Picks, Response, Waveforms

VP, VP_VS = 6000.0, 1.73


@pytest.fixture(scope="module")
def swarm(shared: Path) -> list[Waveforms]:
    files = sorted((shared / "seismology_obspy_trigger").glob("*.slist.gz"))
    return [read(file) for file in files]  # type: ignore[misc]


def ncedc(file: Path) -> tuple[Waveforms, float, float]:
    held = np.load(file)
    network, station, _ = file.name.split("_")
    names = str(held["channels"]).split("_")
    traces = [
        obspy.Trace(column.copy(), {"network": network, "station": station, "channel": name, "sampling_rate": 100})
        for column, name in zip(held["data"].T, names, strict=True)
    ]
    return Waveforms(stream=obspy.Stream(traces)), float(held["itp"]) / 100, float(held["its"]) / 100


@pytest.mark.parametrize("name", ["NC_PSM_2007120702123974", "NN_OMMB_2017072215554319", "PG_AR_2004102501154586", "TA_Q03C_2007052416012924"])
def test_picks_agree_with_the_analyst(shared: Path, name: str) -> None:
    record, p, s = ncedc(shared / "seismology_ncedc_picks" / f"{name}.npz")
    made = pick_phases([record])
    assert made.phase.tolist() == ["P", "S"]
    assert made.time[0] == pytest.approx(p, abs=0.1)
    assert made.time[1] == pytest.approx(s, abs=0.2)
    assert np.all(np.abs(made.time - [p, s]) < 3 * made.uncertainty)
    assert np.all(made.uncertainty < 0.2)


@pytest.mark.parametrize("low", [1.0, 5.0])
def test_faint_onsets_are_kept_where_three_stations_agree_and_their_uncertainty_is_honest(shared: Path, low: float) -> None:
    rng, alone = np.random.default_rng(0), 0
    errors: list[float] = []  # of the first pick of every station, in uncertainties
    for file in sorted((shared / "seismology_ncedc_picks").glob("*.npz")):
        record, p, _ = ncedc(file)
        clean = record.stream.select(channel="*Z")[0]
        size = 0.6 * np.std(clean.data[round(100 * p) : round(100 * p) + 100])
        for _ in range(4):
            network = []
            for name in "ABC":
                trace = clean.copy()
                trace.stats.station = name
                trace.data = trace.data + size * rng.normal(size=len(trace))
                network.append(Waveforms(stream=obspy.Stream([trace])))
            for stations in (network, network[:2]):  # two stations support nothing
                try:
                    made = pick_phases(stations, low, 20.0)
                except Refusal:
                    continue
                if any("faint P picks" in note for note in made.notes):
                    alone += len(stations) < 3
                    first = [int(np.flatnonzero(made.station == name)[0]) for name in sorted(set(made.station.tolist()))]
                    errors += [(made.time[i] - p) / made.uncertainty[i] for i in first]
    assert alone == 0
    assert len(errors) >= 20
    assert np.quantile(np.abs(errors), 0.68) < 1.3
    assert np.quantile(np.abs(errors), 0.9) < 2.6


def test_noise_on_four_stations_gives_no_faint_picks() -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        network = [
            Waveforms(stream=obspy.Stream([obspy.Trace(rng.normal(size=6000), {"station": name, "channel": "HHZ", "sampling_rate": 100})]))
            for name in "ABCD"
        ]
        with pytest.raises(Refusal, match="no onset found"):
            pick_phases(network, 5.0, 20.0)


def test_four_p_picks_give_a_place_and_say_that_depth_is_not_resolved() -> None:
    inside, deep, said = [], [], 0
    for seed in range(40):
        picks, truth = made_picks(seed, stations=4)
        four = part(picks, [0, 1, 2, 3])
        made = locate_event(four, VP, VP_VS)
        inside.append(miss(four, truth)[1] < 1)
        unresolved = any(words in note for note in made.notes for words in ("depth is not resolved", "ran to the surface", "not resolve the depth"))
        said += unresolved
        if not unresolved:
            deep.append(abs(made.depth[0] - truth[2]) / made.facts["depth_error"].value)
    assert np.mean(inside) > 0.85  # the 95 % ellipse
    assert said > 5
    assert np.mean(np.array(deep) < 2) > 0.85


def onset_record(starts: list[float], horizontal: bool = True, station: str = "AAA") -> Waveforms:
    """Noise with decaying 8 Hz P on the vertical at `starts` and S two seconds later, five times larger, on the horizontals."""
    rng = np.random.default_rng(3)
    t = np.arange(9000) / 100
    traces = []
    for channel, p_size, s_size in (("HHZ", 20, 10), ("HHN", 5, 100), ("HHE", 5, 100))[: 3 if horizontal else 1]:
        x = rng.normal(size=len(t))
        for start in starts:
            for begin, size in ((start, p_size), (start + 2, s_size)):
                late = np.maximum(t - begin, 0)
                x += size * np.exp(-late) * np.sin(2 * np.pi * 8 * late)
        traces.append(obspy.Trace(x, {"network": "XX", "station": station, "channel": channel, "sampling_rate": 100}))
    return Waveforms(stream=obspy.Stream(traces))


def test_two_earthquakes_give_two_pairs_of_picks() -> None:
    made = pick_phases([onset_record([20.0, 50.0])])
    assert made.phase.tolist() == ["P", "S", "P", "S"]
    np.testing.assert_allclose(made.time, [20, 22, 50, 52], atol=0.06)


def test_a_lone_vertical_gives_p_only_and_says_so() -> None:
    made = pick_phases([onset_record([20.0], horizontal=False)])
    assert made.phase.tolist() == ["P"]
    assert any("two horizontals" in note for note in made.notes)


def test_picks_carry_the_coordinates_of_the_station() -> None:
    record = onset_record([20.0], station="RJOB")
    for trace in record.stream:
        trace.stats.network = "BW"
    inventory = obspy.read_inventory()
    made = pick_phases([record], response=Response(inventory=inventory))
    held = inventory.select(station="RJOB")[0][0]
    assert made.latitude is not None
    assert made.elevation is not None
    np.testing.assert_allclose(made.latitude, held.latitude)
    np.testing.assert_allclose(made.elevation, held.elevation)


def test_the_three_events_of_the_unterhaching_swarm(swarm: list[Waveforms]) -> None:
    made = detect_associate(swarm)
    truth = ["2010-05-27T16:24:33.210", "2010-05-27T16:27:01.260", "2010-05-27T16:27:30.510"]
    assert made.facts["events"].value == 3
    late = [obspy.UTCDateTime(a) - obspy.UTCDateTime(b) for a, b in zip(made.facts["times"].value, truth, strict=True)]
    np.testing.assert_allclose(late, 0, atol=0.1)


def test_three_channels_of_one_station_are_no_network(swarm: list[Waveforms]) -> None:
    with pytest.raises(Refusal, match="the records come from 1"):
        detect_associate([w for w in swarm if w.stream[0].stats.station == "UH3"])


def made_picks(seed: int, stations: int = 8, noise: float = 1.0, line: bool = False) -> tuple[Picks, tuple[float, float, float]]:
    """Picks with Gaussian noise of their uncertainty, and the (latitude, longitude, depth km) they came from."""
    from pyproj import Geod

    rng, globe = np.random.default_rng(seed), Geod(ellps="WGS84")
    azimuth = np.full(stations, 30.0) + (rng.integers(0, 2, stations) * 180 if line else rng.uniform(0, 360, stations))
    lon, lat, _ = globe.fwd([10.0] * stations, [46.0] * stations, azimuth, rng.uniform(3e3, 40e3, stations))
    lon0, lat0, _ = globe.fwd(10.0, 46.0, rng.uniform(0, 360), rng.uniform(0, 15e3))
    depth, height = rng.uniform(4, 18), rng.uniform(0, 2000, stations)
    offset = np.array([globe.inv(lon0, lat0, a, b)[2] for a, b in zip(lon, lat, strict=True)]) / 1000
    travel = np.hypot(offset, depth + height / 1000) / (VP / 1000)
    error = np.r_[np.full(stations, 0.05), np.full(stations, 0.1)]
    time = 12.5 + np.r_[travel, VP_VS * travel] + noise * rng.normal(0, error)
    names = np.array([f"XX.S{i:02d}" for i in range(stations)] * 2)
    phase = np.array(["P"] * stations + ["S"] * stations)
    twice = {"latitude": np.r_[lat, lat], "longitude": np.r_[lon, lon], "elevation": np.r_[height, height]}
    return Picks(station=names, phase=phase, time=time, origin="2020-01-01T00:00:00", uncertainty=error, **twice), (lat0, lon0, depth)  # type: ignore[arg-type]


def miss(picks: Picks, truth: tuple[float, float, float]) -> tuple[float, float, float, float]:
    """(km along the ellipse's axes over their 68 % lengths, squared; the same at 95 %; distance km; depth error km)."""
    from pyproj import Geod

    made = locate_event(picks, VP, VP_VS)
    azimuth, _, distance = Geod(ellps="WGS84").inv(truth[1], truth[0], made.longitude[0], made.latitude[0])
    angle, km = np.radians(azimuth - made.facts["ellipse_azimuth"].value), distance / 1000

    def size(end: str) -> float:
        major, minor = (made.facts[f"ellipse_{axis}{end}"].value for axis in ("major", "minor"))
        return float((km * np.cos(angle) / major) ** 2 + (km * np.sin(angle) / minor) ** 2)

    return size(""), size("_95"), km, float(made.depth[0] - truth[2])


def test_perfect_picks_give_the_hypocentre_back() -> None:
    picks, truth = made_picks(1, noise=0)
    made = locate_event(picks, VP, VP_VS)
    assert made.latitude[0] == pytest.approx(truth[0], abs=1e-4)
    assert made.longitude[0] == pytest.approx(truth[1], abs=1e-4)
    assert made.depth[0] == pytest.approx(truth[2], abs=0.02)
    assert obspy.UTCDateTime(made.time[0]) - obspy.UTCDateTime("2020-01-01T00:00:12.5") == pytest.approx(0, abs=2e-3)
    assert made.facts["rms"].value < 1e-3


def test_noisy_picks_stay_within_two_km_and_the_ellipse_is_honest() -> None:
    found = np.array([miss(*made_picks(seed)) for seed in range(60)])
    assert found[:, 2].max() < 2
    assert np.median(np.abs(found[:, 3])) < 1
    assert 0.53 < np.mean(found[:, 0] < 1) < 0.85
    assert np.mean(found[:, 1] < 1) > 0.87


def test_a_wild_pick_is_weighted_down() -> None:
    picks, truth = made_picks(5)
    time = picks.time.copy()
    time[3] += 3.0
    wild = picks.made(time=time)
    assert miss(wild, truth)[2] < 2
    assert any("XX.S03 P" in note for note in locate_event(wild, VP, VP_VS).notes)


def test_one_event_is_taken_from_the_picks_of_two() -> None:
    (first, truth), (second, _) = made_picks(1), made_picks(2)
    keep = np.arange(0, len(second.station), 3)
    names = {name: i for i, name in enumerate(first.station[:8])}
    place = np.array([names[name] for name in second.station[keep]])
    columns = {name: np.r_[getattr(first, name), getattr(second, name)[keep]] for name in ("station", "phase", "uncertainty")}
    places = {name: np.r_[getattr(first, name), getattr(first, name)[place]] for name in ("latitude", "longitude", "elevation")}
    both = Picks(time=np.r_[first.time, second.time[keep] + 300], origin=first.origin, **columns, **places)  # type: ignore[arg-type]
    made = locate_event(both, VP, VP_VS)
    assert made.facts["phases"].value == 16
    assert made.latitude[0] == pytest.approx(truth[0], abs=0.01)
    assert any("left out" in note for note in made.notes)


def test_stations_on_a_line_have_two_solutions() -> None:
    picks, _ = made_picks(4, line=True)
    assert any("lie on a line" in note for note in locate_event(picks, VP, VP_VS).notes)


def part(picks: Picks, keep: list[int], **changes: object) -> Picks:
    names = ("station", "phase", "time", "uncertainty", "latitude", "longitude", "elevation")
    return picks.made(**({name: getattr(picks, name)[keep] for name in names} | changes))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda p: locate_event(part(p, [0, 1, 8, 9]), VP), Refusal, "4 phases at 2 stations"),
        (lambda p: locate_event(part(p, [0, 1, 2]), VP), Refusal, "3 phases at 3 stations"),
        (lambda p: locate_event(part(p, list(range(16)), latitude=None, longitude=None), VP), Refusal, "StationXML"),
        (lambda p: locate_event(p, VP, 0.9), ValueError, "vp_vs"),
        (lambda p: pick_phases([onset_record([20.0])], 1, 60), Refusal, "Nyquist frequency of XX.AAA..HHZ, 50 Hz"),
        (lambda p: pick_phases([onset_record([20.0])], sta=10, lta=5), ValueError, "sta < lta"),
        (lambda p: pick_phases([onset_record([20.0])], lta=80), Refusal, "long window"),
        (lambda p: pick_phases([onset_record([])]), Refusal, "no onset found"),
        (lambda p: detect_associate([onset_record([20.0])], on=2, off=3), ValueError, "off <= on"),
    ],
)
def test_bad_input_is_turned_down_with_a_reason(call: object, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call(made_picks(1)[0])  # type: ignore[operator]


def test_a_quiet_network_has_no_events() -> None:
    made = detect_associate([onset_record([], station=name) for name in ("A", "B", "C")])
    assert made.facts["events"].value == 0
    assert made.facts["times"].value == []
