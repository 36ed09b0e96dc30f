"""What is kept comes back the same, byte for byte, and a damaged file is an error with a code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import obspy
import pytest

from moho import store
from moho.errors import DataError
from moho.survey import (
    KINDS,
    Blocks,
    Catalogue,
    Curve,
    Data,
    DCSurvey,
    Gather,
    Gravity,
    Grid,
    Horizon,
    Literature,
    LogFile,
    Magnetics,
    MTSounding,
    Picks,
    Report,
    Response,
    Seismic,
    Step,
    Table,
    Volume,
    Waveforms,
    Well,
)
from moho.units import Quantity

RNG = np.random.default_rng(0)
N = np.arange(4.0)
SEEN: dict[str, Any] = {
    "title": "línea “12”",
    "facts": {"band": Quantity([5.0, 60.0], "Hz", "pass band"), "n": Quantity(3), "words": Quantity("yes")},
    "notes": ("one", "two"),
    "history": (Step("bandpass", {"line": "line 12", "low": 5.0, "names": ["a", "b"], "none": None}),),
    "view": {"clip": 99.0, "limits": (0.0, 1.0)},
}


def one_of_each() -> dict[str, Data]:
    stream = obspy.read()
    made = [
        Seismic(data=RNG.standard_normal((3, 5)).astype("f4"), dt=0.004, cdp=np.arange(3), band=(5.0, 60.0), **SEEN),
        Gather(data=np.asfortranarray(RNG.standard_normal((4, 5))), dt=0.002, offset=N, shot=np.array([1, 1, 2, 2], ">i4"), **SEEN),
        Volume(
            path="a/cube.sgy",
            samples=75,
            dt=0.004,
            inline=(111, 133, 2),
            crossline=(875, 892, 1),
            header_bytes={"inline": 189},
            corners=np.zeros((4, 2)),
        ),
        Waveforms(stream=stream, band=(1.0, 20.0), **SEEN),
        Response(inventory=obspy.read_inventory(), **SEEN),
        Gravity(value=N, longitude=N, latitude=N, line=np.array(["a", "b", "c", "d"]), density=2670.0, **SEEN),
        Magnetics(value=N, x=N, y=N, inclination=60.0, **SEEN),
        Grid(values=np.array([[1, np.nan], [3, np.inf]]), x=np.array([0.0, 1.0]), y=np.array([5.0, 6.0]), **SEEN),
        Well(
            depth=N,
            curves={"GR": Curve(N, "gAPI", "gamma"), "GR/ÿ.values": Curve(N[::-1])},
            tops={"Top ß": 1.5},
            checkshot_depth=N,
            checkshot_time=N / 1000,
            **SEEN,
        ),
        Picks(
            station=np.array(["A", "BB"], object),
            phase=np.array(["P", "S"]),
            time=np.arange(2.0),
            origin="2024-01-01T00:00:00",
            uncertainty=np.ones(2),
            **SEEN,
        ),
        Catalogue(
            time=np.array(["2024"]), latitude=N[:1], longitude=N[:1], depth=N[:1], magnitude=np.array([np.nan]), magnitude_type=np.array(["ML"])
        ),
        Horizon(time=N, cdp=np.arange(4), confidence=N / 4, **SEEN),
        Table(columns={"x, km": N, "name": np.array(["a", "b", "ç", ""])}, **SEEN),
        Report(arrays={"f": N, "empty": np.empty((0, 2))}, drawing="spectrum", labels={"x": "Hz"}, **SEEN),
        Blocks(values=RNG.standard_normal((2, 3, 4)), x_edges=np.arange(5.0), y_edges=np.arange(4.0), z_edges=np.arange(3.0), arrays={"phi": N}),
        MTSounding(
            frequency=N[::-1] + 1,
            impedance=RNG.standard_normal((4, 2, 2)) * (1 + 2j),
            error=np.ones((4, 2, 2)),
            tipper=np.full((4, 2), np.nan + 0j),
            **SEEN,
        ),
        DCSurvey(a=N, b=np.full(4, np.inf), m=N + 2, n=N + 3, value=N + 1, error=N + 1, **SEEN),
        Literature(title="Literature on gain", citations=({"key": "abcdef", "title": "Gain", "where": "p. 3", "quote": "AGC.", "source": "a.pdf"},)),
        LogFile(
            path="a/b.dlis", frames=("1", "2"), rows=np.array([3, 4]), index=np.array(["DEPT (m, depth)", "TIME (s, time)"]),
            spacing=np.array(["", ""]),
            frame=np.array(["1", "2"]), channel=np.array(["DEPT", "TIME"]), unit=np.array(["m", "s"]), values=np.array([1, 1]),
            description=np.array(["", "ç"]), **SEEN,
        ),
    ]
    return {type(data).__name__: data for data in made}


def test_there_is_an_example_of_every_kind() -> None:
    assert set(one_of_each()) == set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_round_trip_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    data = one_of_each()[kind]
    store.save(data, tmp_path / "a.npz")
    back = store.load(tmp_path / "a.npz")
    assert type(back) is KINDS[kind]
    assert (back.title, back.notes, back.history, dict(back.facts), dict(back.view)) == (
        data.title,
        data.notes,
        data.history,
        dict(data.facts),
        dict(data.view),
    )
    assert store.dump(back) == (tmp_path / "a.npz").read_bytes() == store.dump(data)


def test_values_come_back_exactly(tmp_path: Path) -> None:
    for name, data in one_of_each().items():
        store.save(data, tmp_path / f"{name}.npz")
    grid, stream = store.load(tmp_path / "Grid.npz"), store.load(tmp_path / "Waveforms.npz")
    assert isinstance(grid, Grid)
    assert isinstance(stream, Waveforms)
    assert np.array_equal(grid.values, [[1, np.nan], [3, np.inf]], equal_nan=True)
    for a, b in zip(obspy.read(), stream.stream, strict=True):
        assert (a.id, a.stats.starttime, a.stats.endtime, a.stats.delta) == (b.id, b.stats.starttime, b.stats.endtime, b.stats.delta)
        assert np.array_equal(a.data, b.data)


def test_gaps_of_a_merged_stream_become_nan(tmp_path: Path) -> None:
    stream = obspy.read()[:1]
    stream[0].data = np.ma.masked_equal(np.array([1, 2, 3], "i4"), 2)
    store.save(Waveforms(stream=stream), tmp_path / "a.npz")
    back = store.load(tmp_path / "a.npz")
    assert isinstance(back, Waveforms)
    assert np.array_equal(back.stream[0].data, [1, np.nan, 3], equal_nan=True)


def test_every_damaged_byte_is_found_or_harmless(tmp_path: Path) -> None:
    whole = store.dump(one_of_each()["Seismic"])
    path = tmp_path / "a.npz"
    wrong = 0
    for position in [*range(0, len(whole), 7), *range(len(whole) - 60, len(whole))]:
        damaged = bytearray(whole)
        damaged[position] ^= 0x41
        path.write_bytes(damaged)
        code = ""
        try:
            assert store.dump(store.load(path)) == whole
        except DataError as error:
            code = error.code
        assert code in ("", "E_CHANGED")
        wrong += code != ""
    assert wrong > 100


@pytest.mark.parametrize("cut", [0, 10, 100, -30, -1])
def test_a_truncated_file_is_found(cut: int, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(store.dump(one_of_each()["Well"])[:cut])
    with pytest.raises(DataError, match="damaged"):
        store.load(tmp_path / "a.npz")


def test_no_pickle_is_read(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    for content in (pickle.dumps(Trap()), b"\x93NUMPY" + pickle.dumps(Trap())):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(DataError):
            store.load(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", data=np.array([Trap()], object), allow_pickle=True)
    with pytest.raises(DataError):
        store.load(tmp_path / "b.npz")
    assert not (tmp_path / "sprung").exists()


def test_a_file_that_exists_is_never_overwritten(tmp_path: Path) -> None:
    store.save(one_of_each()["Table"], tmp_path / "a.npz")
    before = (tmp_path / "a.npz").read_bytes()
    with pytest.raises(DataError) as raised:
        store.save(one_of_each()["Grid"], tmp_path / "a.npz")
    assert raised.value.code == "E_PERM"
    assert (tmp_path / "a.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cannot keep"):
        store.save(Seismic(data=np.zeros((1, 2)), dt=1.0, view={"bad": object()}), tmp_path / "a.npz")
    with pytest.raises(DataError) as raised:
        store.load(tmp_path / "a.npz")
    assert raised.value.code == "E_NOT_FOUND"
