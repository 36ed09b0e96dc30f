"""Tables: roles and units from names, and no column given a meaning that it may not have."""

from __future__ import annotations

import lzma
import time
from pathlib import Path

import numpy as np
import pytest

from moho.columns import normal_gravity, per_foot, role
from moho.errors import DataError, Missing
from moho.interpretation import (
    kind_of,
    read_checkshots,
    read_horizon,
    read_interpretation,
    read_tops,
    read_track,
    with_checkshots,
    with_tops,
    with_track,
)
from moho.las import read_las
from moho.survey import Catalogue, Gravity, Magnetics, Picks, Table
from moho.tables import looks_like, read_table

LAND = "longitude,latitude,height_sea_level_m,gravity_mgal\n18.34444,-34.12971,32.2,979656.12\n18.36028,-34.08833,592.5,979508.21\n"


@pytest.fixture
def write(tmp_path: Path):
    def file(text: str | bytes, name: str = "t.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return file


def unpacked(path: Path, to: Path) -> Path:
    result = to / path.stem
    result.write_bytes(lzma.decompress(path.read_bytes()))
    return result


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gravity_mgal", ("observed gravity", "mGal")), ("height_sea_level_m", ("height", "m")), ("depth(m)", ("depth", "m")),
        ("Total Field Anomaly [nT]", ("total field anomaly", "nT")), ("LON", ("longitude", "")), ("line_and_segment", ("line", "")),
        ("Easting (m)", ("east", "m")), ("magnitude", ("magnitude", "")), ("GR", ("", "")),
        ("bouguer_disturbance_mgal", ("Bouguer disturbance", "mGal")), ("Gravity (mGal)", ("observed gravity", "mGal")),
        ("FAA_mGal", ("free-air anomaly", "mGal")),
    ],
)  # fmt: skip
def test_roles_and_units_from_names(name: str, expected: tuple[str, str]) -> None:
    found = role(name)
    assert (found.role, found.unit) == expected


def test_normal_gravity_at_equator_and_pole() -> None:
    np.testing.assert_allclose(normal_gravity(np.array([0.0, 90.0])), [978032.53359, 983218.49379], atol=0.01)


def test_southern_africa_gravity(shared: Path, tmp_path: Path) -> None:
    data = read_table(unpacked(shared / "gravity_southern_africa" / "southern-africa-gravity.csv.xz", tmp_path))
    assert isinstance(data, Gravity)
    assert len(data.value) == 14359
    assert data.quantity == "observed gravity"
    assert data.datum == "geoid"
    import boule

    assert data.longitude is not None
    assert data.latitude is not None
    assert data.height is not None
    disturbance = data.value - boule.WGS84.normal_gravity((data.longitude, data.latitude, data.height))
    assert disturbance.min() == pytest.approx(-101.72, abs=0.5)
    assert disturbance.max() == pytest.approx(131.64, abs=0.5)


def test_britain_magnetic_is_read_in_seconds(shared: Path, tmp_path: Path) -> None:
    path = unpacked(shared / "magnetic_britain" / "britain-magnetic.csv.xz", tmp_path)
    began = time.process_time()
    data = read_table(path)
    assert time.process_time() - began < 8
    assert isinstance(data, Magnetics)
    assert len(data.value) == 541508
    assert data.line is not None
    assert data.height is not None


def test_hugoton_facies(shared: Path) -> None:
    data = read_table(shared / "logs_hugoton_facies" / "facies_vectors.csv")
    assert isinstance(data, Table)
    assert data.summary()["rows"].value == 4149
    facies, counts = np.unique(data.columns["Facies"], return_counts=True)
    assert facies[counts.argmax()] == 2
    assert counts.max() / 4149 == pytest.approx(0.2266, abs=1e-4)
    assert len(set(data.columns["Well Name"].tolist())) == 10
    assert np.isnan(data.columns["PE"]).sum() == 917
    assert data.columns["GR"].mean() == pytest.approx(64.934, abs=1e-3)
    assert any("917" in note for note in data.notes)


def test_ridgecrest_catalogue_depth_is_in_kilometres(shared: Path) -> None:
    data = read_table(shared / "seismology_ridgecrest_catalog" / "catalog_scsn.csv")
    assert isinstance(data, Catalogue)
    assert data.depth[0] == pytest.approx(10.6)
    assert data.time[0] == "2019-07-04T17:02:55.340000Z"
    assert isinstance(read_table(shared / "seismology_ridgecrest_catalog" / "stations.csv"), Table)


def test_raglan_carries_its_field(shared: Path) -> None:
    data = read_table(shared / "magnetic_raglan" / "obs.mag")
    assert isinstance(data, Magnetics)
    assert (data.inclination, data.declination, data.intensity) == (83.0, -32.0, 60000.0)
    assert len(data.value) == 1638
    assert data.x is not None
    assert data.y is not None
    top = int(data.value.argmax())
    assert (data.value[top], data.x[top], data.y[top]) == (5220.64, 4478, 40150)


def test_dc_files_are_known_and_refused(shared: Path) -> None:
    with pytest.raises(DataError) as refused:
        read_table(shared / "dcip_century" / "46800E_46800POT.OBS")
    assert refused.value.code == "E_UNSUPPORTED"


def test_units_in_names_are_converted(write) -> None:
    feet = read_table(write(LAND.replace("height_sea_level_m", "elev_ft")))
    assert isinstance(feet, Gravity)
    assert feet.height is not None
    assert feet.height[0] == pytest.approx(32.2 * 0.3048)
    si = read_table(write("x_km,y_km,observed_gravity_m/s2\n500,6000,9.79656\n501,6000,9.79657\n"))
    assert isinstance(si, Gravity)
    assert si.value[0] == pytest.approx(979656)
    assert si.x is not None
    assert si.x[0] == 500000


@pytest.mark.parametrize(
    "text",
    [
        LAND.replace(",", ";").replace(".", ","),
        LAND.replace(",", "\t"),
        LAND.replace(",", "  "),
        LAND.replace(",", " ").replace(".", ","),
        "\ufeff" + LAND,
        "# survey of 1970\n" + LAND.replace("\n", "\r\n"),
        "# " + LAND,
    ],
    ids=["semicolon and comma", "tab", "blanks", "blanks and comma", "mark", "comment", "commented header"],
)
def test_every_way_of_writing_it_gives_the_same_stations(text: str, write) -> None:
    data = read_table(write(text))
    assert isinstance(data, Gravity)
    assert data.longitude is not None
    np.testing.assert_array_equal(data.value, [979656.12, 979508.21])
    np.testing.assert_array_equal(data.longitude, [18.34444, 18.36028])


def test_latin_1_names_are_read_and_said(write) -> None:
    data = read_table(write("Länge,wert\n1,2\n3,4\n".encode("latin-1")))
    assert isinstance(data, Table)
    assert "Länge" in data.columns
    assert any("Latin-1" in note for note in data.notes)


def test_ambiguous_columns_stay_a_table(write) -> None:
    two = read_table(write("longitude,latitude,faa_mgal,bouguer_mgal\n18,-34,10,20\n19,-34,11,21\n"))
    assert isinstance(two, Table)
    assert any("Several columns" in note for note in two.notes)
    bare = read_table(write("longitude,latitude,bouguer\n18,-34,10\n19,-34,11\n"))
    assert isinstance(bare, Table)
    assert any("unit of bouguer is not stated" in note for note in bare.notes)
    xy = read_table(write("x,y,bouguer_mgal\n18,-34,10\n19,-34,11\n"))
    assert isinstance(xy, Table)
    assert any("degrees or metres" in note for note in xy.notes)


def test_swapped_coordinates_are_seen_by_their_gravity(write) -> None:
    swapped = LAND.replace("longitude,latitude", "latitude,longitude")
    with pytest.raises(DataError, match="swapped") as refused:
        read_table(write(swapped))
    assert refused.value.code == "E_GEOMETRY"


def test_nulls_are_counted_and_their_rows_left_out(write) -> None:
    data = read_table(write(LAND + "18.4,-34.1,10,-99999\n18.5,-34.1,*,979650\n18.6,-34.1,20,NaN\n"))
    assert isinstance(data, Gravity)
    assert len(data.value) == 3
    assert data.height is not None
    assert np.isnan(data.height[2])
    assert any("1 values of -99999 are taken as null" in note for note in data.notes)
    assert any("2 of 5 rows" in note for note in data.notes)


def survey(*, feet: bool = False, header: str = "longitude,latitude,height,gravity_mgal", above: str = "", **cells: str) -> str:
    """20 stations from 100 to 1240 m whose gravity falls by 0.2 mGal a metre; `row5_3="x"` replaces a cell of row 5."""
    rows = []
    for k in range(20):
        latitude, height = -34 + 0.03 * k, 100 + 60.0 * k
        value = float(normal_gravity(np.array(latitude))) - 0.2 * height
        row = [f"{18 + 0.1 * k:.3f}", f"{latitude:.3f}", f"{height / 0.3048 if feet else height:.2f}", f"{value:.3f}"]
        for name, cell in cells.items():
            at, column = name.removeprefix("row").split("_")
            if int(at) == k + 1:
                row[int(column)] = cell
        rows.append(",".join(row))
    return "\n".join([*above.splitlines(), header, *rows]) + "\n"


@pytest.mark.parametrize("mark", ["-9999", "9999.9", "-999", "1e30", "-1.0e+32", "99999"])
def test_marks_for_missing_values_are_no_data(write, mark: str) -> None:
    data = read_table(write(survey(row5_3=mark, row9_3=mark, row7_2="-99999", row8_2="-9999")))
    assert isinstance(data, Gravity)
    assert len(data.value) == 18
    assert data.height is not None
    assert np.isnan(data.height).sum() == 2
    assert any(note == f"gravity_mgal: 2 values of {float(mark):g} are taken as null, the first on line 6." for note in data.notes)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"row5_3": "0", "row9_3": "9.79"}, r"column gravity_mgal, row 5 of the table: 0 mGal is no observed gravity, and 1 more such rows"),
        ({"row5_1": "95"}, r"latitude reaches 95 deg: row 5 of the table has 95"),
        ({"row5_0": "18E", "row6_0": "19E"}, r"line 6, column longitude: '18E' among numbers \(2 such of 20\)"),
    ],
)
def test_the_first_bad_cell_is_named_and_the_others_counted(write, cells: dict[str, str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_table(write(survey(**cells)))


@pytest.mark.parametrize(
    ("above", "header"),
    [
        ("# heights in feet", "longitude,latitude,height,gravity_mgal"), ("# elevation (ft), gravity: mGal", "lon,lat,elev,gravity"),
        ("", "lon,lat,elevation,gravity\ndeg,deg,ft,mGal"), ("", "lon,lat,elevation (ft),gravity (mGal)"),
    ],
)  # fmt: skip
def test_feet_declared_anywhere_in_the_header_become_metres(write, above: str, header: str) -> None:
    data = read_table(write(survey(feet=True, above=above, header=header)))
    assert isinstance(data, Gravity)
    assert data.height == pytest.approx(100 + 60.0 * np.arange(20), abs=0.01)


def test_feet_that_nobody_declared_are_seen_in_gravity_itself(write) -> None:
    assert isinstance(read_table(write(survey())), Gravity)
    with pytest.raises(DataError, match="heights read as feet") as refused:
        read_table(write(survey(feet=True)))
    assert refused.value.code == "E_UNITS"
    latitude, metres = np.full(30, -30.0), np.linspace(0, 800, 30)
    value = normal_gravity(latitude) - 0.25 * metres
    assert per_foot(value, latitude, metres) is None
    assert per_foot(value, latitude, metres / 0.3048) == pytest.approx(-0.0762, abs=1e-4)


def test_gravity_in_another_unit_than_its_name_says_is_refused_with_the_unit_that_fits(write) -> None:
    with pytest.raises(DataError, match=r"In m/s2 the numbers would fit"):
        read_table(write("longitude,latitude,height_m,gravity_mgal\n18.3,-34.1,32.2,9.7965612\n18.4,-34.0,592.5,9.7950821\n"))


@pytest.mark.parametrize("name", ["bouguer", "bouguer_disturbance", "disturbance", "free_air"])
def test_anomalies_beyond_any_on_the_earth_are_asked_about_as_microgal(write, name: str) -> None:
    rows = "".join(f"{1000 * k},{1000 * (k % 3)},{500 * k - 40}\n" for k in range(20))
    with pytest.raises(DataError, match=r"reaches 9460 mGal and 17 of 20 values lie beyond 1000") as refused:
        read_table(write(f"x_m,y_m,{name}_mgal\n{rows}"))
    assert refused.value.code == "E_UNITS"
    assert "microgal (uGal), where the largest is 9.46 mGal" in refused.value.hint
    assert float(np.max(read_table(write(f"x_m,y_m,{name} (uGal)\n{rows}")).value)) == pytest.approx(9.46)
    small = "".join(f"{1000 * k},{1000 * (k % 3)},{-300 + k}\n" for k in range(20))
    with pytest.raises(DataError, match=r"row 21 of the table: 5000 mGal is no") as refused:
        read_table(write(f"x_m,y_m,{name}_mgal\n{small}100,200,5000\n"))
    assert refused.value.code == "E_DATA"
    assert isinstance(read_table(write(f"x_m,y_m,{name}_mgal\n{small}")), Gravity)


def test_repeated_header_is_left_out(write) -> None:
    data = read_table(write(LAND + LAND.replace("18.3", "18.4")))
    assert isinstance(data, Gravity)
    assert len(data.value) == 4
    assert any("comes again 1 times" in note for note in data.notes)


def test_picks_table(write) -> None:
    data = read_table(write("station,phase,time\nA,P,2020-01-01T00:00:01.5\nA,S,2020-01-01T00:00:03\n"))
    assert isinstance(data, Picks)
    assert data.time.tolist() == [0.0, 1.5]
    assert data.origin.startswith("2020-01-01T00:00:01.5")


def test_words_of_a_file_are_made_safe(write) -> None:
    data = read_table(write("a\u202eb<|im_start|>,c\n1,2\n3,4\n"))
    assert isinstance(data, Table)
    assert list(data.columns) == ["a b< |im_start| >", "c"]


def test_prose_is_no_table() -> None:
    assert looks_like(LAND.encode(), Path("t.csv"))
    assert not looks_like(b"The quick brown fox.\nJumps over it.\n", Path("t.txt"))
    assert not looks_like(b"# data\n\nSource: 12, 13\n\n14 359 stations\n2 files\n- 1 was cut, 0.5 % of 3\n", Path("README.md"))


def test_f3_interpretation_goes_with_its_well(shared: Path) -> None:
    folder = shared / "seismic_f3" / "wells"
    well = read_las(folder / "F02-1_logs.las")
    well = with_checkshots(well, read_checkshots(folder / "F02-1_checkshot_TD.txt"))
    well = with_track(with_tops(well, read_tops(folder / "F02-1_markers.txt")), read_track(folder / "F02-1.track"))
    assert well.checkshot_time is not None
    assert well.checkshot_depth is not None
    assert len(well.checkshot_time) == 25
    assert np.interp(553.6, well.checkshot_depth, well.checkshot_time) == pytest.approx(0.544)
    assert well.tops["Truncation 1"] == 1025.42
    assert len(well.tops) == 25
    for path in folder.iterdir():
        assert bool(kind_of(path.read_bytes()[:4096], path)) is (path.suffix != ".las")


def test_checkshots_out_of_order_are_sorted_and_repeats_left_out(shared: Path) -> None:
    shots = read_checkshots(shared / "seismic_f3" / "wells" / "F03-2_checkshot_TD.txt")
    assert (np.diff(shots.columns["depth_m"]) > 0).all()
    assert len(shots.columns["depth_m"]) == 18
    assert any("sorted" in note for note in shots.notes)
    assert any("2 repeated" in note for note in shots.notes)


def test_one_way_milliseconds_are_recognised_or_asked_for(write) -> None:
    one = read_checkshots(write("0 0\n1000 500\n2000 900\n", "cs.txt"), time="one-way")
    assert one.columns["twt_s"].tolist() == [0.0, 1.0, 1.8]
    with pytest.raises(Missing) as asked:
        read_checkshots(write("0 0\n1000 500\n2000 900\n", "cs.txt"))
    assert asked.value.candidates == ("one-way", "two-way")
    with pytest.raises(DataError) as refused:
        read_checkshots(write("0 0\n1000 5\n2000 9\n", "cs.txt"))
    assert refused.value.code == "E_UNITS"


def test_horizon_asks_for_its_unit(write) -> None:
    path = write("500000 6000000 1200\n500025 6000000 1204\n", "top_horizon.xyz")
    with pytest.raises(Missing):
        read_horizon(path)
    assert read_horizon(path, unit="ms").time.tolist() == [1.2, 1.204]
    named = write("x y twt_ms\n500000 6000000 1200\n500025 6000000 1204\n", "seafloor_horizon.txt")
    assert read_interpretation(named).summary()["points"].value == 2
