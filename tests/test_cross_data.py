"""Where data meet: horizons at wells, gravity along a line, and a table that says who said what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moho.agent.tools.cross_data import evidence_table, gravity_along_line, horizon_at_wells
from moho.errors import Missing, Refusal
from moho.plot import draw
from moho.survey import Curve, Gravity, Grid, Horizon, Report, Seismic, Step, Well
from moho.units import Quantity

X = 25.0 * np.arange(101)


def line(**more: object) -> Seismic:
    times = np.arange(250) * 0.004
    data = np.tile(times, (101, 1)) + X[:, None] / 1e4  # amplitude t + x / 10 km
    return Seismic(data=data.astype(np.float32), dt=0.004, x=X, y=np.zeros(101), cdp=200 + np.arange(101), **more)  # type: ignore[arg-type]


def well(name: str, x: float, y: float = 10.0, top: float = 605.0) -> Well:
    z = np.arange(0, 1500.0, 5)
    curves = {"GR": Curve(z, "gAPI")}
    return Well(depth=z, curves=curves, well_name=name, x=x, y=y, tops={"Top A": top}, checkshot_depth=z, checkshot_time=z / 1000)


DIPPING = Horizon(title="H", time=0.5 + X / 1e4, cdp=200 + np.arange(101))


def test_times_amplitudes_and_misties_at_wells() -> None:
    report = horizon_at_wells(DIPPING, [well("A", 1000.0), well("B", 2000.0, top=690.0)], line(), "top a")
    assert report.facts["horizon_A"].value == pytest.approx(0.6)
    assert report.facts["depth_B"].value == pytest.approx(700)
    assert report.facts["amplitude_A"].value == pytest.approx(0.7, abs=1e-5)
    assert report.facts["mistie_A"].value == pytest.approx(-5)
    assert report.facts["mistie_B"].value == pytest.approx(10)
    assert report.facts["mistie_rms"].value == pytest.approx(np.sqrt(62.5), abs=1e-3)
    assert report.facts["distance_A"].value == 10
    assert draw(report).axes[0].get_ylabel() == "two-way time (s)"  # type: ignore[union-attr]


def test_a_map_horizon_needs_no_line_and_distance_is_said() -> None:
    mapped = Horizon(title="H", time=np.full(4, 0.8), x=np.array([0.0, 100, 0, 100]), y=np.array([0.0, 0, 100, 100]))
    report = horizon_at_wells(mapped, [well("A", 50.0, 50.0), well("B", 5000.0)])
    assert report.facts["horizon_A"].value == pytest.approx(0.8)
    assert any("B 49" in note for note in report.notes)


def test_a_horizon_that_meets_no_well_is_refused() -> None:
    with pytest.raises(Refusal, match="only on its line"):
        horizon_at_wells(DIPPING, [well("A", 0.0)])
    with pytest.raises(Refusal, match="no coordinates"):
        horizon_at_wells(DIPPING, [replace(well("A", 0.0), x=None)], line())
    with pytest.raises(Missing, match="Top A"):
        horizon_at_wells(DIPPING, [well("A", 0.0)], line(), "Chalk")
    with pytest.raises(ValueError, match="depth"):
        horizon_at_wells(replace(DIPPING, domain="depth"), [well("A", 0.0)], line())
    with pytest.raises(Refusal, match="holds no time"):
        horizon_at_wells(replace(DIPPING, time=np.full(101, np.nan)), [well("A", 0.0)], line())


def stations(**more: object) -> Gravity:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-500, 3000, 300), rng.uniform(-500, 500, 300)
    return Gravity(x=x, y=y, value=10 + 2e-3 * x - 1e-3 * y, quantity="Bouguer disturbance", **more)  # type: ignore[arg-type]


def test_a_plane_of_gravity_is_read_exactly_along_the_line() -> None:
    report = gravity_along_line(stations(), line())
    assert report.arrays["Bouguer_disturbance"] == pytest.approx(10 + 2e-3 * X, abs=1e-9)
    assert report.facts["gradient"].value == pytest.approx(2)
    assert report.facts["gradient"].unit == "mGal/km"
    assert report.facts["highest_cdp"].value == 300
    assert any("not stated" in note for note in report.notes)
    assert draw(report).axes[0].get_ylabel() == "Bouguer disturbance (mGal)"  # type: ignore[union-attr]
    values, x, y = np.tile(np.linspace(0, 1, 8), (5, 1)), np.linspace(0, 2800, 8), np.linspace(-50, 50, 5)
    grid = Grid(values=values, x=x, y=y, quantity="residual", unit="mGal")
    assert gravity_along_line(grid, line()).arrays["residual"] == pytest.approx(X / 2800)


def test_degrees_are_projected_and_a_far_line_is_refused() -> None:
    from pyproj import Transformer

    back = Transformer.from_crs("EPSG:32631", "EPSG:4326", always_xy=True)
    local = stations()
    assert local.x is not None
    assert local.y is not None
    longitude, latitude = back.transform(local.x + 5e5, local.y + 6e6)
    geographic = Gravity(longitude=longitude, latitude=latitude, value=local.value, quantity="Bouguer disturbance")
    utm = replace(line(), x=X + 5e5, y=np.full(101, 6e6), crs="EPSG:32631")
    assert gravity_along_line(geographic, utm).arrays["Bouguer_disturbance"] == pytest.approx(10 + 2e-3 * X, abs=1e-6)
    with pytest.raises(Refusal, match="CRS of the line is not known"):
        gravity_along_line(geographic, line())
    with pytest.raises(Refusal, match="no trace lies among"):
        gravity_along_line(local, replace(line(), x=X + 1e6))
    with pytest.raises(Refusal, match="no coordinates"):
        gravity_along_line(local, replace(line(), x=None, y=None))
    with pytest.raises(Refusal, match="three are needed"):
        gravity_along_line(replace(local, value=np.full(300, np.nan)), line())


def test_traces_beyond_the_stations_stay_empty() -> None:
    some = stations()
    assert some.x is not None
    assert some.y is not None
    kept = some.x < 1500
    report = gravity_along_line(Gravity(x=some.x[kept], y=some.y[kept], value=some.value[kept]), line())
    assert np.isnan(report.arrays["observed_gravity"][-30:]).all()
    assert report.facts["traces"].value < 65
    assert any("left empty" in note for note in report.notes)


def test_the_table_keeps_values_units_and_sources_and_tells_disagreement() -> None:
    one = Report(title="tie", facts={"depth": Quantity(1500.0, "m", "depth of the reservoir")}, history=(Step("well_tie"),))
    facts = {"depth": Quantity(1700.0, "m", "depth of the reservoir"), "excess": Quantity([1.0, 2.0], "mGal", "anomaly range")}
    two = Report(title="gravity", facts=facts)
    table = evidence_table([one, two, stations(), stations()])
    assert table.facts["tie.depth"] == Quantity(1500.0, "m", "depth of the reservoir (tie)")
    assert table.facts["gravity.excess"].unit == "mGal"
    assert table.arrays["source"].tolist()[:2] == ["tie", "gravity"]
    assert table.arrays["step"].tolist()[0] == "well_tie"
    assert any(note == "depth of the reservoir: 1500 m by tie, 1700 m by gravity" for note in table.notes)
    assert {"gravity", "gravity (2)", "gravity (3)"} <= set(table.arrays["source"].tolist())
    figure = draw(table)
    assert figure is not None
    assert figure.parameters["rows"] == len(table.arrays["what"])
    with pytest.raises(Refusal, match="holds a number"):
        evidence_table([Report(title="nothing")])


def test_southern_africa_along_a_made_line(shared: Path) -> None:
    from moho.read import read

    folder = shared / "gravity_southern_africa"
    table = read(sorted(folder.glob("*.csv*"))[0])
    assert isinstance(table, Gravity)
    across = Seismic(data=np.zeros((50, 4), np.float32), dt=0.004, x=np.linspace(3e5, 5e5, 50), y=np.full(50, 7.1e6), crs="EPSG:32735")
    report = gravity_along_line(table, across)
    low, high = report.facts["range"].value
    assert 978000 < low < high < 980000
    assert report.facts["nearest"].value < 20000
