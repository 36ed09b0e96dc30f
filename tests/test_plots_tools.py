"""Plot tools: the data come back unchanged, with what the picture will show; what cannot be drawn is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from moho import plot
from moho.agent.registry import TOOLS, execute, prepare
from moho.agent.tools.plots import plot_logs, plot_map, plot_section, plot_waveforms
from moho.encoders.synthetic import Earth, earth, earthquake
from moho.errors import Refusal
from moho.survey import Curve, Grid, Horizon, Picks, Seismic, Waveforms


@pytest.fixture(scope="module")
def made() -> Earth:
    return earth(3)


def picks_of(truth: dict[str, Any]) -> Picks:
    from obspy import UTCDateTime

    origin = UTCDateTime(truth["origin_time"])
    rows = truth["onsets"]
    return Picks(
        station=np.array([row["station"] for row in rows]), phase=np.array([row["phase"] for row in rows]),
        time=np.array([UTCDateTime(row["time"]) - origin for row in rows]), origin=truth["origin_time"], uncertainty=np.full(len(rows), 0.1),
    )  # fmt: skip


def test_section_tool_says_what_its_picture_shows(made: Earth) -> None:
    shown = plot_section(made.section, clip=95, top=0.8, base=1.2)
    assert shown.data is made.section.data
    assert shown.facts["window"].value == [0.8, 1.2]
    assert shown.facts["cdp"].value == [101, 340]
    figure = plot.draw(shown)
    assert figure is not None
    assert figure.parameters["clip_value"] == pytest.approx(shown.facts["clip_value"].value, rel=1e-6)  # type: ignore[attr-defined]
    assert figure.parameters["clip_percent"] == 95  # type: ignore[attr-defined]


def test_gather_tool_says_what_its_picture_shows(made: Earth) -> None:
    shown = plot_section(made.gather, style="wiggle")
    assert shown.facts["offset"].value == [100.0, 3000.0]
    figure = plot.draw(shown)
    assert figure is not None
    assert figure.parameters["clip_value"] == pytest.approx(shown.facts["clip_value"].value, rel=1e-6)  # type: ignore[attr-defined]


def test_impedance_has_a_colour_range_and_no_wiggles(made: Earth) -> None:
    impedance = replace(made.section, data=made.truth["impedance"], quantity="acoustic impedance", unit="kg/m2/s")
    shown = plot_section(impedance, style="wiggle")
    assert shown.view["style"] == "density"
    assert "no sign" in shown.notes[0]
    low, high = shown.facts["colour_range"].value
    assert 2e6 < low < high < 1.2e7
    assert shown.facts["colour_range"].unit == "kg/m2/s"


def test_map_tool_gives_extents_and_colours(made: Earth) -> None:
    shown = plot_map(made.gravity)
    low, high = shown.facts["x"].value
    assert (low, high) == pytest.approx((made.gravity.longitude.min(), made.gravity.longitude.max()), abs=1e-5)
    assert shown.facts["colour_range"].unit == "mGal"
    assert shown.facts["points"].value == 400


def test_logs_tool_keeps_to_the_window(made: Earth) -> None:
    shown = plot_logs(made.well, top=1000, base=1200)
    assert shown.facts["depth"].value == [1000.0, 1200.0]
    figure = plot.draw(shown)
    assert figure is not None
    low, high = sorted(next(ax for ax in figure.axes if ax.get_label() == "resistivity").get_ylim())
    assert (low, high) == pytest.approx((1000, 1200), abs=0.2)


def test_waveforms_tool_merges_stations_and_places_picks() -> None:
    waveforms, _, truth = earthquake(3)
    single = [Waveforms(title=name, stream=waveforms.stream.select(station=name)) for name in ("MO01", "MO02")]
    shown = plot_waveforms(single, picks=picks_of(truth), start=15, end=50)
    assert shown.facts["channels"].value == 6
    assert shown.facts["picks"].value == 4
    first = next(row for row in shown.view["picks"] if row["phase"] == "P")
    wanted = next(row["time"] for row in truth["onsets"] if row["station"] == first["station"])
    assert first["time"][:22] == wanted[:22]
    figure = plot.draw(shown)
    assert figure is not None
    assert figure.axes[0].get_xlim() == pytest.approx((0, 35))
    assert len(single[0].stream) == 3  # the input is as it was


def test_a_single_set_of_seismograms_is_taken_too() -> None:
    waveforms, _, _ = earthquake(3)
    assert plot_waveforms(waveforms).facts["channels"].value == 15  # type: ignore[arg-type]


def test_tools_are_called_through_the_registry(made: Earth) -> None:
    catalogue = {"line 3": Seismic}
    call = prepare("plot_section", {"line": "line 3", "clip": "98 %", "top": "800 ms"}, catalogue)
    shown = execute(call, {"line 3": made.section}.__getitem__)
    assert shown.view["clip"] == 98
    assert shown.view["top"] == pytest.approx(0.8)
    assert shown.history[-1].tool == "plot_section"
    for name in ("plot_section", "plot_map", "plot_logs", "plot_waveforms"):
        found = TOOLS[name]
        assert len(found.say) >= 8
        slots = {argument.name for argument in found.arguments}
        assert all(part.split("}")[0] in slots for phrase in found.say for part in phrase.split("{")[1:])


@pytest.mark.parametrize("clip", [49.9, 101])
def test_clip_outside_its_range_can_be_mended(made: Earth, clip: float) -> None:
    with pytest.raises(ValueError, match="50 to 100"):
        plot_section(made.section, clip=clip)


def test_windows_upside_down_or_outside_the_data_are_turned_down(made: Earth) -> None:
    with pytest.raises(ValueError, match="top < base"):
        plot_section(made.section, top=1.2, base=0.8)
    with pytest.raises(Refusal, match=r"from 0 to 1\.996 s"):
        plot_section(made.section, top=2.5)
    with pytest.raises(Refusal, match=r"24\d\d"):
        plot_logs(made.well, top=3000, base=3100)
    waveforms, _, _ = earthquake(3)
    with pytest.raises(Refusal, match=r"74\.99"):
        plot_waveforms([waveforms], start=10, end=900)


def test_what_has_no_place_is_not_mapped(made: Earth) -> None:
    with pytest.raises(Refusal, match="coordinates") as caught:
        plot_map(Horizon(time=np.ones(4), cdp=np.arange(4)))
    assert caught.value.code == "E_GEOMETRY"
    with pytest.raises(Refusal, match="coordinates"):
        plot_map(replace(made.gravity, longitude=np.zeros(400), latitude=np.zeros(400)))
    with pytest.raises(Refusal, match="no finite value"):
        plot_map(Grid(values=np.full((3, 3), np.nan), x=np.arange(3.0), y=np.arange(3.0)))


def test_empty_sections_wells_and_strangers_picks_are_refused(made: Earth) -> None:
    with pytest.raises(Refusal, match="no finite sample"):
        plot_section(replace(made.section, data=np.full((240, 500), np.nan)))
    empty = {"GR": Curve(np.full(len(made.well.depth), np.nan), "gAPI")}
    with pytest.raises(Refusal, match="no curve"):
        plot_logs(replace(made.well, curves=empty))
    waveforms, _, truth = earthquake(3)
    strangers = replace(picks_of(truth), station=np.array(["YY.Q"] * 10))
    with pytest.raises(Refusal, match=r"YY\.Q"):
        plot_waveforms([waveforms], picks=strangers)
    with pytest.raises(Refusal, match="different quantities"):
        plot_waveforms([waveforms, replace(waveforms, quantity="velocity", unit="m/s")])


def test_a_map_need_not_be_square() -> None:
    shown = plot_map(Grid(values=np.arange(35.0).reshape(5, 7), x=100.0 * np.arange(7), y=200.0 * np.arange(5), quantity="gravity", unit="mGal"))
    assert (shown.facts["x"].value, shown.facts["y"].value) == ([0.0, 600.0], [0.0, 800.0])
    assert plot.draw(shown) is not None
