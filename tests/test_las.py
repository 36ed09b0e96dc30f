"""LAS: what was recorded comes back, in metres, with its units; what cannot be trusted is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from moho.agent.tools.wells import las_inspect
from moho.errors import DataError, Missing
from moho.las import looks_like, read_las

HEADER = """~Version
VERS. {version} : CWLS
WRAP. {wrap} : LINES
{dlm}~Well
STRT.{unit} {start} : FIRST
STOP.{unit} {stop} : LAST
STEP.{unit} {step} : STEP
NULL. {null} : NULL
WELL. Deep Thought 42 : WELL
{extra}~Curve
DEPT.{unit} : {index}
GR.API : Gamma
RHOB.{density} : Density
{curves}~A
"""


def las(rows: str, **changes: object) -> str:
    fields: dict[str, object] = {
        "version": "2.0", "wrap": "NO", "dlm": "", "unit": "M", "start": 100, "stop": 101.5, "step": 0.5, "null": -999.25, "extra": "",
        "index": "Depth", "density": "G/CC", "curves": "",
    }  # fmt: skip
    return HEADER.format(**(fields | changes)) + rows


ROWS = "100.0 50 2.65\n100.5 60 2.60\n101.0 -999.25 2.55\n101.5 70 2.50\n"


@pytest.fixture
def write(tmp_path: Path):
    def file(text: str | bytes, name: str = "w.las") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return file


def test_curves_come_back_with_units_and_nulls(write) -> None:
    well = read_las(write(las(ROWS)))
    assert well.well_name == "Deep Thought 42"
    assert well.reference == "unknown"
    np.testing.assert_array_equal(well.depth, [100, 100.5, 101, 101.5])
    np.testing.assert_array_equal(well.curves["GR"].values, [50, 60, np.nan, 70])
    assert well.curves["GR"].unit == "gAPI"
    assert well.curves["RHOB"].unit == "g/cm3"
    np.testing.assert_allclose(well.curve("RHOB", "kg/m3")[0], 2650)


def test_wrapped_file_holds_the_same_well(write) -> None:
    wrapped = "100.0\n50\n2.65\n100.5\n60 2.60\n101.0\n-999.25\n2.55\n101.5\n70 2.50\n"
    first, second = read_las(write(las(ROWS))), read_las(write(las(wrapped, wrap="YES"), "x.las"))
    np.testing.assert_array_equal(first.curves["RHOB"].values, second.curves["RHOB"].values)


def test_feet_become_metres(write) -> None:
    well = read_las(write(las(ROWS, unit="FT")))
    np.testing.assert_allclose(well.depth, np.array([100, 100.5, 101, 101.5]) * 0.3048)
    assert any("ft" in note for note in well.notes)


def test_decreasing_depth_is_turned_round(write) -> None:
    up = "\n".join(reversed(ROWS.splitlines())) + "\n"
    well = read_las(write(las(up, start=101.5, stop=100, step=-0.5)))
    np.testing.assert_array_equal(well.curves["RHOB"].values, [2.65, 2.6, 2.55, 2.5])
    assert any("turned round" in note for note in well.notes)


def test_declared_comma_is_obeyed_and_an_undeclared_one_refused(write) -> None:
    commas = ROWS.replace(" ", ",")
    np.testing.assert_array_equal(read_las(write(las(commas, dlm="DLM. COMMA : D\n"))).curves["RHOB"].values, [2.65, 2.6, 2.55, 2.5])
    with pytest.raises(DataError, match="comma-delimited") as refused:
        read_las(write(las(commas)))
    assert refused.value.code == "E_FORMAT"
    np.testing.assert_array_equal(read_las(write(las(commas)), delimiter="comma").curves["RHOB"].values, [2.65, 2.6, 2.55, 2.5])


def test_duplicate_mnemonics_are_kept_apart(write) -> None:
    well = read_las(write(las("100 1 2.5 3\n100.5 1 2.5 3\n101 1 2.5 3\n101.5 1 2.5 3\n", curves="GR.API : again\n")))
    assert set(well.curves) == {"GR", "RHOB", "GR_2"}
    assert well.curves["GR_2"].values[0] == 3


def test_text_column_is_left_out_and_said(write) -> None:
    well = read_las(write(las("100 1 2.5 sand\n100.5 1 2.5 silt\n101 1 2.5 sand\n101.5 1 2.5 sand\n", curves="LITH. : rock\n")))
    assert "LITH" not in well.curves
    assert any("LITH holds text" in note for note in well.notes)


def test_density_in_the_wrong_unit_is_not_believed(write) -> None:
    well = read_las(write(las(ROWS, density="KG/M3")))
    assert well.curves["RHOB"].unit == "unknown"
    assert any("fits g/cm3" in note for note in well.notes)
    with pytest.raises(Missing, match=r"RHOB says kg/m3 but its median is 2\.575, which fits g/cm3.*--hint curve_units=RHOB:kg/m3"):
        well.curve("RHOB", "kg/m3")
    stated = read_las(write(las(ROWS, density="KG/M3")), curve_units="rhob:g/cc")
    assert stated.curve("RHOB", "kg/m3") == pytest.approx([2650, 2600, 2550, 2500])
    assert any("RHOB is in g/cc, as asked; the file says KG/M3" in note for note in stated.notes)


@pytest.mark.parametrize(("written", "words"), [("RHOB", "CURVE:UNIT"), ("DT:us/m", "names 'DT'; the file has GR, RHOB")])
def test_units_of_curves_that_are_not_stated_rightly_are_refused(write, written: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_las(write(las(ROWS)), curve_units=written)


@pytest.mark.parametrize(
    ("elevations", "gap"),
    [("EKB.M 30 : KB\nEGL.M 0 : GL\n", 30), ("EKB.FT 1000 : KB\nEGL.FT 990 : GL\n", 3.048), ("EKB.M 25 : KB\nEGL.M -80 : GL\n", 25),
     ("EKB.M 0 : KB\n", None), ("", None)],
)  # fmt: skip
def test_the_air_gap_is_the_kelly_bushing_above_the_sea_or_the_ground(write, elevations: str, gap: float | None) -> None:
    assert read_las(write(las(ROWS, extra=elevations))).air_gap == (None if gap is None else pytest.approx(gap))


def test_stated_reference_is_kept(write) -> None:
    assert read_las(write(las(ROWS, index="Measured depth"))).reference == "MD"
    assert read_las(write(las(ROWS, index="TVDSS"))).reference == "TVDSS"


def test_unknown_depth_unit_is_asked_for(write) -> None:
    with pytest.raises(Missing) as asked:
        read_las(write(las(ROWS, unit="")))
    assert asked.value.argument == "depth_unit"
    assert read_las(write(las(ROWS, unit="")), depth_unit="ft").depth[0] == pytest.approx(30.48)


def test_data_that_end_before_stop_are_read_only_when_asked(write) -> None:
    path = write(las(ROWS, stop=500))
    with pytest.raises(DataError) as refused:
        read_las(path)
    assert refused.value.code == "E_TRUNCATED"
    assert any("the data are used" in note for note in read_las(path, partial=True).notes)


def test_infinite_and_undeclared_nulls_are_said(write) -> None:
    well = read_las(write(las("100 1e999 2.5\n100.5 -9999 2.5\n101 1 2.5\n101.5 1 2.5\n")))
    assert np.isnan(well.curves["GR"].values[:2]).all()
    assert sum("taken as null" in note for note in well.notes) == 2


@pytest.mark.parametrize("mark", ["-9999", "-999.25", "-999", "-999.9", "-9999.25", "-32768", "1e30"])
@pytest.mark.parametrize("declared", ["-111.5", ""])
def test_a_sentinel_the_header_does_not_declare_is_counted_and_never_averaged(write, mark: str, declared: str) -> None:
    well = read_las(write(las(f"100 50 {mark}\n100.5 60 2.5\n101 {mark} {mark}\n101.5 70 2.5\n", null=declared)))
    assert las_inspect(well).facts["GR_mean"].value == pytest.approx(60)
    assert las_inspect(well).facts["RHOB_mean"].value == pytest.approx(2.5)
    assert sum(note.startswith(("GR: 1 values", "RHOB: 2 values")) and "taken as null" in note for note in las_inspect(well).notes) == 2


def test_f3_wells_are_in_si(shared: Path) -> None:
    well = read_las(shared / "seismic_f3" / "wells" / "F02-1_logs.las")
    assert len(well.depth) == 9680
    assert well.depth[0] == 48
    assert (well.x, well.y) == (606554, 6080126)
    assert [well.curves[name].unit for name in ("RHOB", "DT", "GR", "AI")] == ["kg/m3", "us/m", "gAPI", "kg/m2/s"]
    product = well.curves["RHOB"].values / well.curves["DT"].values * 1e6
    good = np.isfinite(product)
    assert np.corrcoef(product[good], well.curves["AI"].values[good])[0, 1] > 0.99  # impedance is density times velocity
    assert well.facts["kelly_bushing"].value == 30


def test_scorpio_has_its_rows(shared: Path) -> None:
    well = read_las(shared / "logs_lasio_examples" / "6038187_v1.2.las")
    assert len(well.depth) == 2732
    assert well.depth[0] == 0.05
    assert well.depth[-1] == 136.6
    assert well.well_name == "Scorpio E1"
    assert not any((curve.values == -99999).any() for curve in well.curves.values())


def test_only_las_looks_like_las() -> None:
    assert looks_like(las(ROWS).encode(), Path("w.las"))
    assert looks_like(b"# c\n~V\n", Path("w.txt"))
    assert not looks_like(b"a,b\n1,2\n", Path("w.csv"))
    assert not looks_like(bytes(range(256)), Path("w.las"))
