"""The phase picker: made records whose onsets are known, training that goes on where it stopped, picks beside analysts'."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import obspy
import pytest
import torch
from obspy.core.inventory import Inventory, Network, Station
from pyproj import Geod
from safetensors.torch import load_file

from moho.agent.tools.earthquakes import detect_associate, locate_event, pick_phases
from moho.agent.tools.neural_picks import at_100_hz
from moho.encoders import picker, picker_records
from moho.encoders.picker import PRESETS, WEIGHTS, features, held_out, labels, load_picker, score, train
from moho.encoders.picker_records import RATE, SAMPLES, TOTAL, Record, make_record
from moho.errors import DataError, Refusal
from moho.read import read
from moho.survey import Picks, Response, Waveforms


def test_a_record_is_the_same_every_time_and_its_parts_fit() -> None:
    for seed in range(12):
        first, again = make_record((5, seed)), make_record((5, seed))
        np.testing.assert_array_equal(first.data, again.data)
        assert first.data.shape == (3, SAMPLES)
        assert np.isfinite(first.data).all()
        assert all(0 <= onset < SAMPLES for onset in (*first.p, *first.s))


def test_nothing_moves_before_p_and_s_comes_later() -> None:
    for seed in range(30):
        p, s, motion = picker_records._event(np.random.default_rng(seed), 1500)
        assert p == 1500 < s
        assert np.abs(motion[:, :p]).max() < 1e-9 * np.abs(motion).max()
        assert np.abs(motion[:, p : p + 200]).max() > 0
        assert motion.shape == (3, TOTAL)


def test_a_ray_through_one_layer_is_straight() -> None:
    time, _, slow = picker_records._first(np.array([5.0, 8.0]), np.array([30.0, 10.0]), 6.0, 8.0)[0]
    assert time == pytest.approx(10.0 / 5.0, rel=1e-3)
    assert slow == pytest.approx(0.8 / 5.0, rel=1e-2)


def test_labels_are_probabilities_with_their_peaks_at_the_onsets() -> None:
    made = labels(Record(np.zeros((3, SAMPLES), np.float32), (700,), (1300,), (5.0,)), 0.1)
    np.testing.assert_allclose(made.sum(0), 1, atol=1e-6)
    assert (int(made[0].argmax()), int(made[1].argmax())) == (700, 1300)


def test_features_forget_the_gain() -> None:
    data = make_record((5, 3)).data
    np.testing.assert_allclose(features(data), features(data * 1e-7), rtol=1e-4, atol=1e-5)


def test_training_stopped_and_taken_up_again_gives_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = PRESETS["check"]
    train(settings, tmp_path / "whole")

    def stops(seed: tuple[int, ...]) -> Record:
        if seed[1] == 3:
            raise KeyboardInterrupt
        return make_record(seed)

    monkeypatch.setattr(picker, "make_record", stops)
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "parts")
    monkeypatch.undo()
    card = train(settings, tmp_path / "parts")
    whole, parts = (load_file(tmp_path / name / "picker.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert json.loads((tmp_path / "whole" / "card.json").read_text())["settings"] == json.loads(json.dumps(card["settings"]))


def test_the_shipped_picker_is_small_and_says_how_it_was_made() -> None:
    trained = load_picker()
    assert trained.card["parameters"] == sum(p.numel() for p in trained.model.parameters()) < 200_000
    assert (WEIGHTS / "picker.safetensors").stat().st_size < 1_000_000
    assert {"data", "settings", "calibration", "thresholds", "scores", "final_loss"} <= set(trained.card)


def test_the_scores_of_the_card_hold_on_records_never_seen() -> None:
    made = score(load_picker().pick_window, (held_out(17, i) for i in range(2000, 2100)))
    assert made["P"]["recall"] > 0.65
    assert made["P"]["precision"] > 0.75
    assert made["S"]["recall"] > 0.65
    assert abs(made["P"]["mean_residual"]) < 0.02
    assert made["P"]["std_residual"] < 0.08


def test_uncertainties_on_made_records_are_honest() -> None:
    inside = []
    for i in range(3000, 3060):
        record = held_out(17, i)
        for phase, sample, _, error in load_picker().pick_window(record.data):
            onsets = record.p if phase == "P" else record.s
            if onsets and (away := min(abs(sample - onset) for onset in onsets) / RATE) < 0.5:
                inside.append(away < 2 * error)
    assert np.mean(inside) > 0.8


def ncedc(file: Path) -> tuple[Waveforms, float, float]:
    held = read(file)
    assert isinstance(held, Waveforms)
    return held, held.facts["p_pick"].value, held.facts["s_pick"].value


@pytest.mark.parametrize("name", ["NC_PSM_2007120702123974", "NN_OMMB_2017072215554319", "PG_AR_2004102501154586", "TA_Q03C_2007052416012924"])
def test_network_picks_agree_with_the_analyst(shared: Path, name: str) -> None:
    held, p, s = ncedc(shared / "seismology_ncedc_picks" / f"{name}.npz")
    made = pick_phases([held], method="network")
    for phase, truth, tolerance in (("P", p, 0.1), ("S", s, 0.2)):
        assert np.abs(made.time[made.phase == phase] - truth).min() < tolerance
    assert len(made.time) <= 3
    assert np.all((made.uncertainty > 0.02) & (made.uncertainty < 0.2))


def made_event(rate: float = 100.0, gain: float = 1.0, horizontal: bool = True) -> Waveforms:
    """90 s of noise with P at 40 s and S at 43.5 s."""
    t = np.arange(round(90 * rate)) / rate
    rng = np.random.default_rng(8)
    traces = []
    for channel, p_size, s_size in (("HHZ", 20, 8), ("HHN", 6, 50), ("HHE", 6, 60))[: 3 if horizontal else 1]:
        x = rng.normal(size=len(t))
        for begin, size in ((40.0, p_size), (43.5, s_size)):
            late = np.maximum(t - begin, 0)
            x += size * np.exp(-2 * late) * np.sin(2 * np.pi * 6 * late)
        traces.append(obspy.Trace(gain * x, {"network": "XX", "station": "AAA", "channel": channel, "sampling_rate": rate}))
    return Waveforms(stream=obspy.Stream(traces))


@pytest.mark.parametrize(("rate", "gain"), [(100.0, 1.0), (100.0, -1e-8), (200.0, 1.0), (40.0, 1e5)])
def test_any_rate_gain_and_polarity_give_the_onsets(rate: float, gain: float) -> None:
    made = pick_phases([made_event(rate, gain)], method="network")
    assert np.abs(made.time[made.phase == "P"] - 40.0).min() < 0.1
    assert np.abs(made.time[made.phase == "S"] - 43.5).min() < 0.2


def test_a_lone_vertical_gives_p_only() -> None:
    made = pick_phases([made_event(horizontal=False)], method="network")
    assert set(made.phase.tolist()) == {"P"}
    assert any("two horizontals" in note for note in made.notes)


def test_components_are_laid_vertical_first() -> None:
    held = made_event().stream
    data = at_100_hz(held[0], [held[2], held[1]])
    alone = at_100_hz(held[0], [])
    np.testing.assert_array_equal(data[0], alone[0])
    np.testing.assert_array_equal(data[1], at_100_hz(held[1], [])[0])
    assert not alone[1:].any()


def test_bad_input_is_turned_down_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="wants at least 20"):
        pick_phases([made_event(10.0)], method="network")
    quiet = made_event()
    for trace in quiet.stream:
        trace.data = np.zeros(len(trace))
    with pytest.raises(Refusal, match="no onset found"):
        pick_phases([quiet], method="network")
    holed = made_event()
    holed.stream[0].data[5] = np.nan
    with pytest.raises(Refusal, match="NaN"):
        pick_phases([holed], method="network")
    with pytest.raises(DataError, match="cannot be loaded"):
        load_picker(tmp_path)


# the Unterhaching swarm, from detection to hypocentre

MODEL = (3900.0, 1.88)  # m/s and Vp/Vs: travel times of the located event of the same swarm, over its distances


def swarm_stations() -> tuple[Response, obspy.core.event.Origin]:
    """Positions of UH1 to UH4 and the hypocentre of a later event of the swarm, from the QuakeML ObsPy ships: origin, azimuth, distance."""
    event = obspy.read_events(str(next(Path(obspy.__file__).parent.rglob("obspyck_20141020150701.xml"))))[0]
    origin, globe = event.origins[0], Geod(ellps="WGS84")
    code = {pick.resource_id: pick.waveform_id.station_code for pick in event.picks}
    places: dict[str, list[tuple[float, float]]] = {}
    for arrival in origin.arrivals:
        lon, lat, _ = globe.fwd(origin.longitude, origin.latitude, arrival.azimuth, arrival.distance * 111195)
        places.setdefault(code[arrival.pick_id], []).append((lat, lon))
    stations = [Station(name, *np.mean(rows, axis=0), elevation=0.0) for name, rows in sorted(places.items())]
    return Response(inventory=Inventory([Network("BW", stations)], source="derived")), origin


def test_the_swarm_is_found_picked_and_located(shared: Path) -> None:
    response, origin = swarm_stations()
    records: list[Waveforms] = [read(file) for file in sorted((shared / "seismology_obspy_trigger").glob("*.slist.gz"))]  # type: ignore[misc]
    times = [obspy.UTCDateTime(time) for time in detect_associate(records).facts["times"].value]
    assert len(times) == 3
    located = []
    for time in (times[0], times[2]):
        cut = [record.made(stream=record.stream.copy().trim(time - 12, time + 14)) for record in records]
        picks: Picks = pick_phases(cut, 5.0, 20.0, lta=5.0, response=response)
        assert sorted(zip(picks.station.tolist(), picks.phase.tolist(), strict=True)) == sorted(
            [("BW.UH1", "P"), ("BW.UH2", "P"), ("BW.UH3", "P"), ("BW.UH4", "P"), ("BW.UH3", "S")]
        )
        made = locate_event(picks, *MODEL)
        _, _, away = Geod(ellps="WGS84").inv(origin.longitude, origin.latitude, made.longitude[0], made.latitude[0])
        assert away < 1000
        assert made.depth[0] == pytest.approx(origin.depth / 1000, abs=1.0)
        assert made.facts["rms"].value < 0.05
        located.append((made.latitude[0], made.longitude[0], made.depth[0]))
    assert np.abs(np.diff(located, axis=0)).max() < 0.2  # the first and the third event are neighbours
