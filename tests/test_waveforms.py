"""Seismograms, stations and events: the samples that were written come back, and what is odd is said."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from moho.errors import DataError
from moho.survey import Catalogue, Picks, Response
from moho.waveforms import looks_like, looks_like_events, looks_like_stations, read_events, read_picks, read_stations, read_waveforms

obspy = pytest.importorskip("obspy")


def trace(samples: int = 1000, rate: float = 100.0, start: float = 0.0, station: str = "AAA"):
    data = np.cumsum(np.random.default_rng(0).integers(-50, 50, samples)).astype(np.int32)
    header = {"sampling_rate": rate, "network": "XX", "station": station, "channel": "HHZ", "starttime": obspy.UTCDateTime(2020, 1, 1) + start}
    return obspy.Trace(data, header)


@pytest.mark.parametrize("kind", ["MSEED", "SAC", "GSE2", "SLIST", "TSPAIR"])
def test_round_trip(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "w"
    written = trace()
    if kind == "SAC":
        written.data = written.data.astype(np.float32)
    obspy.Stream([written]).write(str(path), format=kind)
    assert looks_like(path.read_bytes()[:4096], path)
    read = read_waveforms(path)
    np.testing.assert_array_equal(read.stream[0].data, written.data)
    assert read.summary()["sampling_rate"].value == 100.0
    assert read.stream[0].stats.starttime == written.stats.starttime


def test_gap_is_found_to_one_sample(tmp_path: Path) -> None:
    path = tmp_path / "w.mseed"
    obspy.Stream([trace(1000), trace(1000, start=12.37)]).write(str(path), format="MSEED")
    notes = read_waveforms(path).notes
    assert any("1 gap" in note and "(237 samples)" in note for note in notes)  # 10.00 to 12.37 s at 100 Hz


def test_overlap_and_copy_are_said(tmp_path: Path) -> None:
    path = tmp_path / "w.mseed"
    obspy.Stream([trace(1000), trace(1000, start=5.0)]).write(str(path), format="MSEED")
    assert any("1 overlap" in note for note in read_waveforms(path).notes)
    obspy.Stream([trace(1000), trace(1000)]).write(str(path), format="MSEED")
    assert any("2 times" in note for note in read_waveforms(path).notes)


def test_nan_and_dead_traces_are_said(tmp_path: Path) -> None:
    path = tmp_path / "w.mseed"
    holed, dead = trace(), trace(station="BBB")
    holed.data = holed.data.astype(np.float32)
    holed.data[3:7] = np.nan
    dead.data = np.full(1000, 5, dtype=np.float32)
    obspy.Stream([holed, dead]).write(str(path), format="MSEED")
    notes = " ".join(read_waveforms(path).notes)
    assert "4 of 1000 samples are NaN" in notes
    assert "XX.BBB..HHZ is constant" in notes


def test_sac_states_its_quantity_but_not_its_unit(tmp_path: Path) -> None:
    path = tmp_path / "w.sac"
    written = trace()
    written.stats.sac = obspy.core.AttribDict({"idep": 7})
    written.write(str(path), format="SAC")
    read = read_waveforms(path)
    assert read.quantity == "velocity"
    assert read.unit == "unknown"


def test_trigger_records_are_read(shared: Path, tmp_path: Path) -> None:
    for name, samples, rate in (("BW.UH1._.SHZ.D.2010.147.cut.slist.gz", 11517, 50), ("BW.UH4._.EHZ.D.2010.147.cut.slist.gz", 23033, 100)):
        path = tmp_path / name[:-3]
        path.write_bytes(gzip.decompress((shared / "seismology_obspy_trigger" / name).read_bytes()))
        stats = read_waveforms(path).stream[0].stats
        assert (stats.npts, stats.sampling_rate) == (samples, rate)


def test_analyst_picks_come_with_the_record(shared: Path) -> None:
    read = read_waveforms(shared / "seismology_ncedc_picks" / "NC_PSM_2007120702123974.npz")
    assert read.facts["p_pick"].value == 30.0
    assert read.facts["s_pick"].value == 32.83
    assert [t.id for t in read.stream] == ["NC.PSM..EHE", "NC.PSM..EHN", "NC.PSM..EHZ"]
    assert read.stream[0].stats.npts == 9001
    assert read.stream[2].stats.endtime - read.stream[2].stats.starttime == 90.0
    assert any("does not state its sampling rate" in note for note in read.notes)


def test_stations_come_with_coordinates_and_response(tmp_path: Path) -> None:
    path = tmp_path / "s.xml"
    obspy.read_inventory().write(str(path), format="STATIONXML")
    read = read_stations(path)
    assert isinstance(read, Response)
    assert read.summary()["stations"].value == 3
    assert looks_like_stations(path.read_bytes()[:4096], path)


def event(depth: float | None = 10600.0, picks: int = 0):
    from obspy.core.event import Event, Magnitude, Origin, Pick, WaveformStreamID

    time = obspy.UTCDateTime(2019, 7, 4, 17, 33, 49)
    origins = [] if depth is None else [Origin(time=time, latitude=35.7, longitude=-117.5, depth=depth)]
    made = [Pick(time=time + 2 + i, phase_hint="PS"[i % 2], waveform_id=WaveformStreamID("GR", "FUR")) for i in range(picks)]
    return Event(origins=origins, magnitudes=[Magnitude(mag=6.4, magnitude_type="Mw")] if origins else [], picks=made)


def test_quakeml_depth_is_in_kilometres(tmp_path: Path) -> None:
    path = tmp_path / "e.xml"
    obspy.core.event.Catalog([event(), event(None)]).write(str(path), format="QUAKEML")
    read = read_events(path)
    assert isinstance(read, Catalogue)
    assert read.depth[0] == 10.6
    assert np.isnan(read.depth[1])
    assert looks_like_events(path.read_bytes()[:4096], path)
    assert read.magnitude[0] == 6.4
    assert str(read.magnitude_type[0]) == "Mw"
    assert any("no origin" in note for note in read.notes)


def test_events_without_origin_are_picks_and_take_coordinates_from_stations(tmp_path: Path) -> None:
    path = tmp_path / "e.xml"
    obspy.core.event.Catalog([event(None, picks=4)]).write(str(path), format="QUAKEML")
    bare = read_events(path)
    assert isinstance(bare, Picks)
    assert bare.latitude is None
    assert bare.time.tolist() == [0, 1, 2, 3]
    placed = read_picks(path, Response(inventory=obspy.read_inventory()))
    assert placed.latitude is not None
    assert placed.latitude[0] == pytest.approx(48.16, abs=0.01)


def test_document_types_in_xml_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.xml"
    path.write_text('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><FDSNStationXML></FDSNStationXML>')
    with pytest.raises(DataError) as refused:
        read_stations(path)
    assert refused.value.code == "E_UNSUPPORTED"
