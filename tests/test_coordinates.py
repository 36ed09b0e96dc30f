"""Coordinates go there and back; what has no known system is asked about."""

from __future__ import annotations

import numpy as np
import pytest

from moho.agent.tools.coordinates import crop_map, crs_convert
from moho.errors import Missing, Refusal
from moho.survey import Catalogue, Gather, Gravity, Grid, Magnetics, Seismic, Table, Well


def stations(**changes) -> Gravity:
    place = {"longitude": np.array([24.0, 27.0, 28.5]), "latitude": np.array([-30.0, -25.0, -20.0]), "crs": "EPSG:4326"}
    return Gravity(**(place | {"value": np.arange(3.0), "height": np.array([10.0, 20.0, 30.0]), "datum": "geoid"} | changes))


def bowl() -> Grid:
    x, y = 1000.0 * np.arange(60) + 4e5, 1000.0 * np.arange(50) + 7e6
    east, north = np.meshgrid(x, y)
    values = wave(east, north)
    values[:5, :5] = np.nan
    return Grid(values=values, x=x, y=y, crs="EPSG:32735", quantity="residual gravity", unit="mGal", height=250.0)


def wave(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 10 * np.sin(x / 9000) * np.cos(y / 12_000)


def test_the_central_meridian_is_at_500_km_and_the_scale_is_0_9996():
    result = crs_convert(stations(longitude=np.full(3, 27.0), latitude=np.array([-1e-9, -1.0, -2.0])), "EPSG:32735")
    assert result.x == pytest.approx([500_000.0] * 3, abs=1e-6)
    assert result.y[0] == pytest.approx(10_000_000.0, abs=1e-3)
    assert result.y[0] - result.y[1] == pytest.approx(0.9996 * 110_574.4, abs=1.0)
    assert result.facts["scale_factor"].value == pytest.approx(0.9996, abs=1e-6)


@pytest.mark.parametrize("target", ["EPSG:32735", "32736", "EPSG:3857", "+proj=lcc +lat_1=-20 +lat_2=-30 +lat_0=-25 +lon_0=25 +datum=WGS84"])
def test_stations_come_back_within_a_millimetre(target):
    data = stations()
    there = crs_convert(data, target)
    back = crs_convert(there, "EPSG:4326")
    assert np.abs(back.longitude - data.longitude).max() * 111_195 < 1e-3
    assert np.abs(back.latitude - data.latitude).max() * 111_195 < 1e-3
    assert there.facts["round_trip"].value < 1.0
    assert there.x is not None
    assert there.longitude is None
    assert (there.height == data.height).all()
    assert (there.datum, back.datum) == ("geoid", "geoid")
    assert any("datum: geoid" in note for note in there.notes)


def test_another_datum_says_how_accurate_the_shift_is():
    assert any("accuracy about" in note for note in crs_convert(stations(), "EPSG:4222").notes)


def test_points_far_from_a_zone_are_told():
    assert any("outside the area" in note for note in crs_convert(stations(longitude=np.array([12.0, 27, 28])), "EPSG:32735").notes)


def test_a_map_goes_to_degrees_and_back():
    grid = bowl()
    there = crs_convert(grid, "EPSG:4326")
    assert there.geographic
    assert there.height == 250.0
    back = crs_convert(there, "EPSG:32735", spacing=1000.0)
    x, y = np.meshgrid(back.x, back.y)
    inside = (x > 4.07e5) & (x < 4.56e5) & (y > 7.007e6) & (y < 7.046e6)
    assert np.abs(back.values - wave(x, y))[inside].max() < 0.02
    assert np.isnan(there.values[1, 1])


def test_lines_gathers_wells_and_tables_keep_what_is_not_a_coordinate():
    x, y = np.array([4e5, 4.1e5]), np.array([7e6, 7.01e6])
    line = crs_convert(Seismic(data=np.ones((2, 4)), dt=0.004, x=x, y=y, crs="EPSG:32735"), "EPSG:32736")
    assert line.crs == "EPSG:32736"
    assert np.hypot(np.diff(line.x), np.diff(line.y))[0] == pytest.approx(np.hypot(1e4, 1e4), rel=0.02)
    gather = crs_convert(Gather(data=np.ones((2, 4)), dt=0.004, offset=np.ones(2), source_x=x, source_y=y), "EPSG:32736", "EPSG:32735")
    assert gather.source_x == pytest.approx(line.x)
    well = crs_convert(Well(depth=np.arange(3.0), curves={}, x=4e5, y=7e6, crs="EPSG:32735"), "EPSG:32736")
    assert well.x == pytest.approx(line.x[0])
    table = Table(columns={"lon": np.array([26.0]), "lat": np.array([-27.0]), "height_m": np.array([5.0])})
    more = crs_convert(table, "EPSG:32735", "EPSG:4326")
    assert list(more.columns) == ["lon", "lat", "height_m", "easting_epsg_32735", "northing_epsg_32735"]


@pytest.mark.parametrize(
    "data",
    [
        stations(crs="unknown"),
        Magnetics(x=np.array([4e5]), y=np.array([7e6]), value=np.ones(1)),
        bowl().made(crs="unknown"),
        Table(columns={"lon": np.ones(1), "lat": np.ones(1)}),
    ],
)
def test_an_unknown_system_is_asked_for(data):
    with pytest.raises(Missing) as missing:
        crs_convert(data, "EPSG:32735")
    assert missing.value.argument == "source"
    assert "reference system" in str(missing.value)


@pytest.mark.parametrize(
    ("data", "crs", "source", "error"),
    [
        (stations(), "EPSG:99999", None, ValueError),
        (stations(), "somewhere", None, ValueError),
        (stations(), "EPSG:4326", None, ValueError),
        (stations(), "EPSG:32735", "EPSG:32734", ValueError),
        (stations(), "EPSG:2263", None, Refusal),
        (stations(), "EPSG:5773", None, Refusal),
        (stations(crs="unknown"), "EPSG:4326", "EPSG:32735", Refusal),
        (stations(longitude=np.full(3, np.nan)), "EPSG:32735", None, Refusal),
        (Seismic(data=np.ones((2, 4)), dt=0.004, crs="EPSG:32735"), "EPSG:32736", None, Refusal),
        (Seismic(data=np.ones((2, 4)), dt=0.004, x=np.ones(2), y=np.ones(2), crs="EPSG:32735"), "EPSG:4326", None, Refusal),
        (Table(columns={"a": np.ones(1), "b": np.ones(1)}), "EPSG:32735", "EPSG:4326", Missing),
    ],
)
def test_what_cannot_be_converted_is_refused(data, crs, source, error):
    with pytest.raises(error):
        crs_convert(data, crs, source)


def lattice() -> Gravity:
    x, y = (axis.ravel() for axis in np.meshgrid(100.0 * np.arange(12), 100.0 * np.arange(12)))
    return Gravity(x=x, y=y, value=x + y, height=np.arange(144.0), line=np.repeat(np.arange(12), 12), quantity="residual", crs="EPSG:32735")


def events(*longitude: float) -> Catalogue:
    n = len(longitude)
    return Catalogue(time=np.array([f"2020-01-0{k + 1}T00:00:00Z" for k in range(n)]), latitude=np.full(n, -30.0), longitude=np.array(longitude),
                     depth=np.arange(float(n)), magnitude=np.full(n, 3.0), magnitude_type=np.full(n, "ML"))  # fmt: skip


def test_a_window_keeps_what_is_inside_with_its_values_and_borders():
    part = crop_map(lattice(), "250", "750 m", "0.3 km", "700")
    assert isinstance(part, Gravity)
    assert part.x is not None
    assert (len(part.value), part.facts["kept"].value, part.facts["before"].value) == (25, 25, 144)
    assert (part.value == part.x + part.y).all()
    assert part.height is not None
    assert part.line is not None
    assert len(part.height) == len(part.line) == 25
    assert part.facts["east"].value == [300.0, 700.0]
    assert part.crs == "EPSG:32735"
    half = crop_map(lattice(), south="600")
    assert half.facts["kept"].value == 72
    assert "beyond" not in " ".join(half.notes)
    assert any("beyond the data on the west, north" in note for note in crop_map(lattice(), "-5", "300", "0", "9000").notes)


def test_a_map_is_cut_at_its_nodes():
    grid = bowl()
    part = crop_map(grid, "410 km", "430000", "7010000", "7030000.0")
    assert isinstance(part, Grid)
    assert part.values.shape == (21, 21)
    assert (part.values == grid.values[10:31, 10:31]).all()
    assert (part.x[0], part.x[-1], part.y[0], part.y[-1]) == (410_000.0, 430_000.0, 7_010_000.0, 7_030_000.0)
    assert (part.height, part.unit, part.crs) == (250.0, "mGal", "EPSG:32735")


@pytest.mark.parametrize(("west", "east", "kept"), [("170", "-170", 2), ("170 E", "170 W", 2), ("20", "30 deg", 1), ("350", "10", 1)])
def test_a_window_in_degrees_may_cross_a_meridian_where_longitudes_jump(west, east, kept):
    part = crop_map(events(178.0, -179.0, 25.0, 359.0), west, east, "31 S", "29 S")
    assert isinstance(part, Catalogue)
    assert len(part.time) == len(part.magnitude_type) == kept


@pytest.mark.parametrize(
    ("data", "window", "error", "words"),
    [
        (lattice(), ("700", "300", None, None), Refusal, "easting 0 to 1100 and northing 0 to 1100 m"),
        (lattice(), ("320", "380", "0", "500"), Refusal, "none of the 144 stations"),
        (bowl(), ("410000", "410500", None, None), Refusal, "1 columns and 50 rows"),
        (bowl(), ("400000", "404500", "7000000", "7004500"), Refusal, "empty in the window"),
        (events(25.0), ("31", "26", None, None), Refusal, "reversed"),
        (lattice(), ("26 deg", None, None, None), ValueError, "cannot be given in m"),
        (lattice(), ("26 E", None, None, None), ValueError, "in metres"),
        (events(25.0), ("26 N", None, None, None), ValueError, "E or W"),
        (lattice(), (None, None, None, None), Missing, "easting 0 to 1100"),
    ],
)
def test_windows_that_hold_nothing_or_are_reversed_are_refused_with_the_extent(data, window, error, words):
    with pytest.raises(error) as refused:
        crop_map(data, *window)
    assert words in str(refused.value) + str(getattr(refused.value, "hint", ""))
