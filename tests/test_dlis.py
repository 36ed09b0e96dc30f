"""DLIS and LIS files: frames listed, one read at a time, time never taken for depth; damaged ones end in an error of the right code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_dlis import dlis

from moho import store
from moho.agent.tools.dlis import dlis_inspect, dlis_read
from moho.errors import DataError, Missing
from moho.read import describe_kind, read, recognise
from moho.survey import LogFile, Table, Well

DEPTH = np.arange(10.0) * 0.5 + 1000
ROWS = np.column_stack([DEPTH, 50 + np.arange(10.0), np.r_[-999.25, np.full(9, 2.5)]])
NAMES, UNITS = ["DEPT", "GR", "RHOB"], ["m", "gAPI", "g/cm3"]


def put(folder: Path, raw: bytes, name: str = "a.dlis") -> Path:
    path = folder / name
    path.write_bytes(raw)
    return path


def test_one_frame_over_depth_is_a_well(tmp_path: Path) -> None:
    well = read(put(tmp_path, dlis(ROWS, NAMES, UNITS), "a.bin"))
    assert isinstance(well, Well)
    assert (well.well_name, list(well.curves)) == ("Test-1", ["GR", "RHOB"])
    assert well.depth == pytest.approx(DEPTH)
    assert well.curve("GR") == pytest.approx(50 + np.arange(10.0))
    assert np.isnan(well.curve("RHOB")[0])
    assert well.curves["RHOB"].unit == "g/cm3"


@pytest.mark.parametrize(("unit", "metres"), [("ft", 0.3048), ("0.1 in", 0.00254)])
def test_depth_becomes_metres_and_increases(unit: str, metres: float, tmp_path: Path) -> None:
    well = read(put(tmp_path, dlis(ROWS[::-1], NAMES, [unit, *UNITS[1:]])))
    assert isinstance(well, Well)
    assert well.depth == pytest.approx(DEPTH * metres)
    assert well.curve("GR") == pytest.approx(50 + np.arange(10.0))
    assert any("turned" in note for note in well.notes)


def test_several_frames_are_listed_and_one_is_chosen(tmp_path: Path) -> None:
    path = put(tmp_path, dlis(ROWS, NAMES, UNITS, copies=2))
    listed = read(path)
    assert isinstance(listed, LogFile)
    assert listed.frames == ("MAIN", "MAIN2")
    assert isinstance(read(path, frame="MAIN2"), Well)
    assert isinstance(dlis_read(listed, "main"), Well)
    with pytest.raises(Missing) as missing:
        dlis_read(listed)
    assert missing.value.candidates == ("MAIN", "MAIN2")
    with pytest.raises(ValueError, match="MAIN, MAIN2"):
        dlis_inspect(listed, "OTHER")
    with pytest.raises(DataError, match="there is no frame"):
        read(path, frame="OTHER")
    store.save(listed, tmp_path / "a.npz")
    assert store.dump(store.load(tmp_path / "a.npz")) == store.dump(listed)


def test_time_is_not_depth(tmp_path: Path) -> None:
    path = put(tmp_path, dlis(ROWS, ["TIME", "GR", "RHOB"], ["s", "gAPI", "g/cm3"], index="TIME"))
    assert isinstance(read(path), LogFile)
    table = read(path, frame="MAIN")
    assert isinstance(table, Table)
    assert list(table.columns) == ["TIME (s)", "GR (gAPI)", "RHOB (g/cm3)"]
    assert any("not depth" in note for note in table.notes)
    report = dlis_inspect(read(path))
    assert report.facts["MAIN_samples"].value == 10
    assert report.facts["channels"].value == ["TIME (s)", "GR (gAPI)", "RHOB (g/cm3)"]


WHOLE = dlis(ROWS, NAMES, UNITS)
TURNED = ROWS.copy()
TURNED[5, 0] = 990.0


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "E_FORMAT"),
        (b"not a log file at all, but words " * 20, "E_FORMAT"),
        (WHOLE[:80], "E_TRUNCATED"),
        (WHOLE[:-11], "E_TRUNCATED"),
        (WHOLE[:300], "E_TRUNCATED"),
        (WHOLE[:200] + b"\xff" * 100 + WHOLE[300:], "E_FORMAT"),
        (dlis(TURNED, NAMES, UNITS), "E_GEOMETRY"),
        (dlis(ROWS, NAMES, ["furlong", *UNITS[1:]]), "E_UNITS"),
        (dlis(np.column_stack([DEPTH, np.full((10, 2), -999.25)]), NAMES, UNITS), "E_DATA"),
        (dlis(ROWS * [1000, 1, 1], NAMES, UNITS), "E_UNITS"),
        (dlis(ROWS[:0], NAMES, UNITS), "E_DATA"),
    ],
)
def test_damaged_files_end_in_their_code(raw: bytes, code: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        read(put(tmp_path, raw))
    assert raised.value.code == code


def test_every_cut_is_refused(tmp_path: Path) -> None:
    for cut in range(1, len(WHOLE) - 1, 23):
        with pytest.raises(DataError) as raised:
            read(put(tmp_path, WHOLE[:cut]))
        assert raised.value.code in ("E_TRUNCATED", "E_FORMAT", "E_DATA")


def test_fulla(shared: Path) -> None:
    path = next((shared / "logs_dlis").glob("*.DLIS"))
    assert recognise(path) == "DLIS"
    file = read(path)
    assert isinstance(file, LogFile)
    report = dlis_inspect(file)
    shapes = [(report.facts[f"{name}_samples"].value, report.facts[f"{name}_channels"].value) for name in file.frames]
    assert shapes == [(921, 4), (2301, 43)]
    assert all("time" in index for index in file.index)
    assert "206/05a-3" in file.well_name
    table = read(path, frame="800T")
    assert isinstance(table, Table)
    assert table.summary()["rows"].value == 2301
    assert len(table.columns) == 43


def test_mud_log_in_lis(shared: Path) -> None:
    well = read(next((shared / "logs_dlis").glob("*.LIS")))
    assert isinstance(well, Well)
    assert len(well.depth) == 3946
    assert well.summary()["depth"].value == [145.0, 4090.0]
    assert "well" in describe_kind(well)
