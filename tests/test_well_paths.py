"""A well with its checkshots, tops and track joined, and its depths along the hole and straight down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moho import store
from moho.agent.tools.coordinates import crs_convert
from moho.agent.tools.seismic_modelling import two_way_time
from moho.agent.tools.well_paths import complete_well, minimum_curvature, well_depths
from moho.errors import DataError, Missing, Refusal
from moho.plot import describe, draw
from moho.read import read
from moho.survey import Array, Curve, Table, Well
from moho.units import Quantity

Z = np.arange(0, 1900, 0.5)


def hole(**more: Any) -> Well:
    return Well(depth=Z, curves={"DT": Curve(np.full(len(Z), 500.0), "us/m")}, x=1000.0, y=2000.0, well_name="D-1", **more)  # 2000 m/s


def slanted() -> Table:
    """60 degrees from the vertical due east, all the way."""
    return Table(title="survey", columns={"MD (m)": np.array([0.0, 1000, 2000]), "Inc": np.full(3, 60.0), "Azi": np.full(3, 90.0)})


def shots(depth: Array, time: Array, depth_name: str = "depth_m", time_name: str = "twt_s", title: str = "shots") -> Table:
    return Table(title=title, columns={depth_name: np.asarray(depth, float), time_name: np.asarray(time, float)})


def value(well: Well, key: str) -> Any:
    return well.facts[key].value


def f3(shared: Path, name: str) -> Well:
    folder = shared / "seismic_f3" / "wells"
    files = (f"{name}_logs.las", f"{name}_checkshot_TD.txt", f"{name}_markers.txt", f"{name}.track")
    made = complete_well(*(read(folder / file) for file in files))
    assert isinstance(made, Well)
    return made


WELLS = [("F02-1", 25, 25, 30, 0), ("F03-4", 34, 36, 30, 4.1), ("F06-1", 17, 16, 28.64, 0)]


@pytest.mark.parametrize(("name", "count", "tops", "zero", "off"), WELLS)
def test_an_f3_well_is_whole(shared: Path, name: str, count: int, tops: int, zero: float, off: float) -> None:
    well = f3(shared, name)
    assert (value(well, "shots"), value(well, "tops"), value(well, "track_stations")) == (count, tops, 2)
    assert value(well, "datum_below_zero") == value(well, "kelly_bushing") == zero
    assert value(well, "time_zero") == pytest.approx(zero + off)
    assert 1 < value(well, "sonic_ratio") < 1.03
    assert well.reference == "MD"
    assert any("taken as measured depth" in note for note in well.notes)
    assert any(("4.1 m below the datum" if off else "that is at the datum") in note for note in well.notes)
    down = well_depths(well, "TVDSS")
    assert down.depth[0] == pytest.approx(well.depth[0] - zero)
    assert down.tops["MFS11" if name != "F06-1" else "FS11"] == pytest.approx(well.tops["MFS11" if name != "F06-1" else "FS11"] - zero)


def test_f02_1_has_its_times(shared: Path) -> None:
    well = f3(shared, "F02-1")
    assert well.checkshot_depth is not None
    assert np.interp(553.6, well.checkshot_depth, np.asarray(well.checkshot_time)) == pytest.approx(0.544)
    assert store.dump(well) == store.dump(f3(shared, "F02-1"))
    figure = draw(well)
    assert figure is not None
    written = describe(figure)["axes"]
    assert [ax["x"] for ax in written] == ["two-way time (s)", "velocity (m/s)"]
    assert written[0]["y"] == "depth, MD (m)"


def test_a_bend_of_minimum_curvature_is_an_arc_of_a_circle() -> None:
    angle = np.linspace(0, 90, 10)
    path = minimum_curvature(500 * np.radians(angle), angle, np.full(10, 90.0))
    exact = 500 * np.column_stack([1 - np.cos(np.radians(angle)), np.zeros(10), np.sin(np.radians(angle))])
    assert path == pytest.approx(exact, abs=1e-6)


def test_a_straight_hole_at_sixty_degrees_goes_half_as_deep_and_back() -> None:
    tops = Table(columns={"top": np.array(["A"]), "md": np.array([1200.0])})
    well = complete_well(hole(facts={"kelly_bushing": Quantity(25.0, "m")}), tops=tops, track=slanted())
    assert (value(well, "deepest"), value(well, "departure")) == (pytest.approx(975), pytest.approx(2000 * np.sin(np.pi / 3), abs=1e-3))
    down, below = well_depths(well, "TVD"), well_depths(well, "TVDSS")
    assert down.depth == pytest.approx(Z / 2, abs=1e-6)
    assert below.depth == pytest.approx(Z / 2 - 25, abs=1e-6)
    assert (down.tops["A"], below.tops["A"]) == (pytest.approx(600), pytest.approx(575))
    for other in (down, below):
        assert well_depths(other, "MD").depth == pytest.approx(Z, abs=1e-6)
    # the sonic is integrated straight down, from the datum 25 m below the zero of depth
    assert two_way_time(well)[0] == pytest.approx((Z - 50) / 2000, abs=1e-9)
    assert crs_convert(replace(well, crs="EPSG:32631", x=6e5, y=6e6), "EPSG:32632").track.shape == (3, 4)


def test_feet_milliseconds_and_one_way_times_by_the_names_of_columns() -> None:
    depth = np.arange(0, 1801, 300.0)
    plain = complete_well(hole(), shots(depth, depth / 1000))
    feet = complete_well(hole(), shots(depth / 0.3048, depth / 2, "MD (ft)", "OWT (ms)"))
    assert feet.checkshot_depth == pytest.approx(plain.checkshot_depth)
    assert feet.checkshot_time == pytest.approx(plain.checkshot_time)
    assert value(feet, "average_velocity") == pytest.approx(2000)
    asked = complete_well(hole(), shots(depth, depth / 2000, "depth", "time"), time="one-way")
    assert asked.checkshot_time == pytest.approx(depth / 1000)


def test_a_slanted_well_is_drawn_in_plan_and_no_velocity_is_measured_along_the_hole() -> None:
    depth = np.arange(0, 1801, 300.0)
    well = complete_well(hole(), shots(depth, depth / 2000), track=slanted())
    assert value(well, "average_velocity") == pytest.approx(2000)
    assert value(well, "sonic_ratio") == pytest.approx(1)
    figure = draw(well)
    assert figure is not None
    assert "east of the wellhead (m)" in [ax["x"] for ax in describe(figure)["axes"]]


GOOD = np.arange(0, 1801, 300.0)
TRACK = {"x_m": np.full(2, 1000.0), "y_m": np.full(2, 2000.0), "tvdss_m": np.array([-30.0, 1870]), "md_m": np.array([0.0, 1900])}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"checkshots": shots(GOOD, GOOD / 1000, title="F03-2_checkshot_TD")}, "named after F03-2, the logs are of D-1"),
        ({"checkshots": shots(GOOD, GOOD / 3000)}, "0.6 s and the sonic 1.8 s, a factor of 0.333"),
        ({"checkshots": shots(GOOD, GOOD / 1000, "north", "east")}, "not a depth and a time column"),
        ({"checkshots": shots(GOOD, GOOD, "MD (m)", "TWT (s)")}, "Are the times in ms?"),
        ({"checkshots": shots(GOOD, GOOD / 3000, "MD (m)", "time (s)")}, "--hint time=one-way"),
        ({"track": Table(title="F06-1", columns=TRACK)}, "the track F06-1 is named after F06-1"),
        ({"checkshots": shots(GOOD, GOOD / 1000), "time": "one-way"}, "read as two-way times already"),
        ({"tops": Table(columns={"top": np.array(["A", "B"]), "depth_m": np.array([1500.0, 6000])})}, None),
        ({"tops": Table(columns={"top": np.array(["A", "B", "C"]), "depth_m": np.array([1500.0, 4000, 6000])})}, "2 of 3 tops lie below 1899.5 m"),
        ({"track": Table(columns=TRACK | {"x_m": np.full(2, 1400.0)})}, "400 m from where the log puts D-1"),
        ({"track": Table(columns=TRACK)}, "begins 30 m above its datum, the log header's kelly bushing lies 98.4 m above"),
        ({"track": Table(columns={"md": GOOD, "inc": GOOD, "azi": GOOD})}, "inclination 0 to 1800"),
        ({}, "What shall be joined to D-1"),
    ],
)
def test_what_is_of_another_well_or_unit_is_refused(given: dict[str, Any], words: str | None) -> None:
    well = hole(facts={"kelly_bushing": Quantity(98.4, "m")} if "track" in given else {})
    if words is None:
        assert any("1 of 2 tops lie below the logs" in note for note in complete_well(well, **given).notes)
        return
    with pytest.raises((Refusal, Missing, DataError)) as refused:
        complete_well(well, **given)
    assert words in str(refused.value)


def test_depths_are_not_changed_without_a_track_or_where_the_hole_runs_level() -> None:
    with pytest.raises(Refusal, match="D-1 has no track"):
        well_depths(hole(reference="MD"), "TVD")
    angle = np.array([0.0, 45, 90, 95])
    level = complete_well(hole(), track=Table(columns={"md": np.array([0.0, 600, 1200, 1800]), "incl": angle, "azim": np.zeros(4)}))
    with pytest.raises(Refusal, match="runs level or upward"):
        well_depths(level, "TVD")
    with pytest.raises(ValueError, match="are MD already"):
        well_depths(level, "MD")


def test_f02_1_keeps_its_checkshots_above_the_log_and_says_what_it_cuts(shared: Path) -> None:
    from moho.plot import draw

    well = f3(shared, "F02-1")
    assert two_way_time(well)[0][0] == pytest.approx(18 * 0.544 / 523.6, abs=1e-6)  # 48 m, on the line from 30 m, 0 s to 553.6 m, 0.544 s
    assert any("SLCML and 1 more" in note for note in well.notes)
    below = well_depths(well, "TVDSS")
    assert any("first 12 of 19 tops are listed, and 7 more" in note for note in below.notes)
    figure = draw(below)
    assert figure is not None
    words = " ".join(text.get_text().replace("\n", " ") for text in figure.texts)
    assert "off the scale of the track: RHOB 19 % below 1650, down to 1350" in words
