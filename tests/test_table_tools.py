"""What is in a table, and which column is what."""

from __future__ import annotations

import numpy as np
import pytest

from moho.agent.tools.tables import assign_columns, table_inspect
from moho.columns import normal_gravity
from moho.errors import DataError, Missing, Refusal
from moho.survey import Catalogue, Gravity, Grid, Magnetics, Picks, Table


def table(**columns) -> Table:
    base = {
        "lon": np.array([18.0, 18.1, 18.2, 18.3]),
        "lat": np.array([-33.0, -33.1, -33.2, -33.3]),
        "elev_ft": np.array([100.0, 200.0, 300.0, 400.0]),
        "g": np.array([979600.0, 979610.0, np.nan, 979630.0]),
        "rock": np.array(["dolerite", "shale", "shale", ""]),
    }
    return Table(title="survey", columns=base | columns)


def test_hugoton_facies_are_counted(shared):
    from moho.read import read

    facts = table_inspect(read(shared / "logs_hugoton_facies" / "facies_vectors.csv")).facts
    assert facts["rows"].value == 4149
    assert facts["Well_Name_distinct"].value == 10
    assert (facts["Facies_top"].value, facts["Facies_top_share"].value) == (2, pytest.approx(0.2266, abs=5e-5))
    assert facts["GR_mean"].value == pytest.approx(64.934, abs=5e-4)
    assert facts["PE_missing"].value == 917


def test_southern_africa_stations_are_counted_and_measured(shared):
    from moho.read import read

    facts = table_inspect(read(shared / "gravity_southern_africa" / "southern-africa-gravity.csv.xz")).facts
    assert facts["stations"].value == 14359
    assert facts["repeated"].value == 34
    assert facts["east"].value == pytest.approx([11.908, 32.747], abs=1e-3)
    assert 4000 < facts["station_spacing"].value < 7000


def test_missing_values_and_categories_of_a_small_table():
    facts = table_inspect(table()).facts
    assert (facts["g_missing"].value, facts["rock_missing"].value) == (1, 1)
    assert (facts["rock_top"].value, facts["rock_top_share"].value) == ("shale", 0.5)
    assert facts["elev_ft_mean"].unit == "ft"


def test_maps_catalogues_and_picks_are_measured():
    grid = Grid(values=np.arange(12.0).reshape(3, 4), x=np.arange(4.0), y=10 * np.arange(3.0), unit="mGal", quantity="residual")
    assert table_inspect(grid).facts["largest"].value == [3.0, 20.0]
    two = {"latitude": np.array([1.0, 2.0]), "longitude": np.array([3.0, 4.0])}
    events = Catalogue(
        time=np.array(["2020-01-02", "2020-01-01"]), depth=np.array([5.0, np.nan]), magnitude=np.array([2.0, 3.5]),
        magnitude_type=np.array(["ML", "Mw"]), **two,
    )  # fmt: skip
    facts = table_inspect(events).facts
    assert (facts["largest"].value, facts["largest"].unit, facts["first"].value) == (3.5, "Mw", "2020-01-01")
    picks = Picks(
        station=np.array(["A", "A"]), phase=np.array(["P", "S"]), time=np.array([1.0, 2.0]), origin="2020-01-01T00:00:00",
        uncertainty=np.full(2, 0.1),
    )  # fmt: skip
    assert table_inspect(picks).facts["time"].value == [1.0, 2.0]


def test_columns_become_gravity_stations():
    stations = assign_columns(table(), "observed gravity", "G", "lon", "lat", "elev_ft", "mGal")
    assert isinstance(stations, Gravity)
    assert stations.geographic
    assert len(stations.value) == 3
    assert stations.height == pytest.approx([30.48, 60.96, 121.92])
    assert any("1 of 4 rows" in note for note in stations.notes)


def test_gravity_units_and_metres():
    columns = {"lon": np.array([400e3, 401e3]), "lat": np.array([7.0e6, 7.001e6]), "g": np.array([9.796, 9.7961])}
    two = Table(columns=columns)
    stations = assign_columns(two, "observed gravity", "g", "lon", "lat", unit="m/s2", crs="EPSG:32734")
    assert stations.value == pytest.approx([979600.0, 979610.0])
    assert not stations.geographic
    assert stations.crs == "EPSG:32734"
    small = Table(columns=columns | {"g": np.array([52.0, 61.0])})
    assert assign_columns(small, "gravity disturbance", "g", "lon", "lat", unit="gu", crs="EPSG:32734").value == pytest.approx([5.2, 6.1])
    assert isinstance(assign_columns(small, "total field anomaly", "g", "lon", "lat", unit="nT", crs="EPSG:32734"), Magnetics)


def test_what_only_the_person_knows_is_asked():
    with pytest.raises(Missing) as missing:
        assign_columns(table(), "observed gravity", "g", "lon", "lat")
    assert missing.value.argument == "unit"
    small = Table(columns={"x": np.array([1.0, 2.0]), "y": np.array([3.0, 4.0]), "v": np.array([1.0, 2.0])})
    with pytest.raises(Missing) as missing:
        assign_columns(small, "total field anomaly", "v", "x", "y", unit="nT")
    assert missing.value.argument == "crs"


@pytest.mark.parametrize(
    ("changes", "arguments", "error", "words"),
    [
        ({}, {"value": "gravity"}, ValueError, "lon, lat"),
        ({}, {"value": "rock"}, ValueError, "holds text"),
        ({}, {"east": "lat", "north": "lon"}, ValueError, "swapped"),
        ({}, {"unit": "kg"}, ValueError, "cannot convert"),
        ({}, {"crs": "EPSG:nonsense"}, ValueError, "coordinate reference system"),
        ({}, {"unit": "gu"}, Refusal, "median"),
        ({"lat": np.full(4, 7e6)}, {}, Refusal, "not degrees"),
        ({"lat": np.full(4, -33.0), "lon": np.full(4, 18.0)}, {}, Refusal, "same coordinates"),
        ({"g": np.full(4, np.nan)}, {}, Refusal, "no row"),
        ({"g": np.full(4, 979600.0)}, {}, Refusal, "all 4 values"),
        ({"g": np.array([9.796, 9.797, 9.798, 9.799])}, {}, Refusal, "In m/s2 the numbers would fit"),
        ({"g": np.array([979600.0, np.nan, 0.0, 979620.0])}, {}, DataError, "row 3 of the table: 0 mGal"),
    ],
)
def test_columns_that_cannot_be_meant_are_turned_down(changes, arguments, error, words):
    usual = {"quantity": "observed gravity", "value": "g", "east": "lon", "north": "lat", "unit": "mGal"}
    with pytest.raises(error, match=words):
        assign_columns(table(**changes), **(usual | arguments))


def test_anomalies_in_microgal_called_milligal_are_turned_down():
    small = Table(columns={"x": np.array([0.0, 1e3, 2e3]), "y": np.array([5e3, 4e3, 9e3]), "g": np.array([-90.2, 316.5, 9459.9])})
    with pytest.raises(DataError, match=r"row 3 of the table: 9459\.9 mGal is no Bouguer anomaly.*microgal"):
        assign_columns(small, "Bouguer anomaly", "g", "x", "y", unit="mGal")
    assert assign_columns(small, "Bouguer anomaly", "g", "x", "y", unit="uGal").value == pytest.approx([-0.0902, 0.3165, 9.4599])


def test_heights_that_gravity_says_are_feet_are_asked_about() -> None:
    latitude, metres = np.linspace(-34, -33, 30), np.linspace(0, 800, 30)
    columns = {"lon": np.linspace(18, 19, 30), "lat": latitude, "level": metres / 0.3048, "g": normal_gravity(latitude) - 0.25 * metres}
    named = {"quantity": "observed gravity", "value": "g", "east": "lon", "north": "lat", "unit": "mGal"}
    with pytest.raises(Refusal, match="look like feet"):
        assign_columns(Table(columns=columns), height="level", **named)
    told = assign_columns(Table(columns=columns | {"level (ft)": columns["level"]}), height="level (ft)", **named)
    assert told.height == pytest.approx(metres)
