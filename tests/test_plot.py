"""Pictures: axes, units, colour ranges, labels, and the same bytes every time."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moho import plot
from moho.encoders.synthetic import Earth, earth, earthquake
from moho.survey import Blocks, Catalogue, Curve, Data, Grid, Horizon, Picks, Report, Seismic, Step, Table, Waveforms
from moho.units import Quantity


@pytest.fixture(scope="module")
def made() -> Earth:
    return earth(3)


def axes(figure: Any) -> dict[str, Any]:
    return {ax.get_label(): ax for ax in figure.axes}


def words(figure: Any) -> str:
    return " ".join(text.get_text() for text in figure.texts)


def grid(quantity: str = "Bouguer disturbance", **changes: Any) -> Grid:
    x, y = 5e5 + 500.0 * np.arange(41), 5.3e6 + 500.0 * np.arange(31)
    values = 4 * np.exp(-((x[None] - 5.1e5) ** 2 + (y[:, None] - 5.307e6) ** 2) / 4e3**2) - 1
    values[:4, :5] = np.nan
    return Grid(**{"values": values, "x": x, "y": y, "quantity": quantity, "unit": "mGal", "crs": "EPSG:32631", "density": 2670.0} | changes)


def event() -> Catalogue:
    facts = {"ellipse_major": Quantity(2.0, "km"), "ellipse_minor": Quantity(1.0, "km"), "ellipse_azimuth": Quantity(90.0, "deg")}
    return Catalogue(
        time=np.array(["2024-03-06T05:35:20.5Z"]), latitude=np.array([48.0]), longitude=np.array([3.0]), depth=np.array([8.2]),
        magnitude=np.array([np.nan]), magnitude_type=np.array([""]), facts=facts, view={"stations": [["MO01", 2.8, 47.9], ["MO02", 3.3, 48.1]]},
    )  # fmt: skip


def blocks() -> Blocks:
    values = np.zeros((4, 6, 8))
    values[1, 2, 5] = 300.0
    data = {"observed": np.arange(5.0), "predicted": np.arange(5.0) + 0.1}
    return Blocks(values=values, x_edges=1000.0 * np.arange(9), y_edges=1000.0 * np.arange(7), z_edges=500.0 * np.arange(5), arrays=data)


def phase_picks() -> Picks:
    return Picks(
        station=np.array(["XX.A", "XX.A", "XX.B"]), phase=np.array(["P", "S", "P"]), time=np.array([2.0, 4.0, 3.0]),
        origin="2024-03-06T05:35:20Z", uncertainty=np.array([0.05, 0.1, 0.05]),
    )  # fmt: skip


def every_kind(made: Earth) -> dict[str, Data]:
    waveforms, response, _ = earthquake(3)
    return {
        "section": made.section, "wiggle": replace(made.section, view={"style": "wiggle"}), "gather": made.gather, "well": made.well,
        "gravity": made.gravity, "magnetics": made.magnetics, "grid": grid(), "event": event(), "blocks": blocks(), "picks": phase_picks(),
        "waveforms": waveforms, "network": response, "horizon": Horizon(time=made.truth["horizons"]["Fir"], cdp=made.section.cdp),
        "spectrum": Report(arrays={"frequency": np.arange(1.0, 50), "power": np.arange(1.0, 50), "band": np.array([8.0, 40.0])}, drawing="spectrum"),
        "times": Report(arrays={"phase": np.array(["P", "S"]), "time": np.array([370.3, 670.0])}, drawing="travel_times"),
        "semblance": Report(arrays={"time": np.arange(5.0), "velocity": 1500 + np.arange(9.0), "semblance": np.random.default_rng(0).random((5, 9)),
                                    "pick_time": np.array([1.0]), "pick_velocity": np.array([1503.0])}, drawing="semblance"),
    }  # fmt: skip


def test_every_kind_of_picture_is_drawn_with_labels_and_described(made: Earth) -> None:
    for name, data in every_kind(made).items():
        figure = plot.draw(data)
        assert figure is not None, name
        described = plot.describe(figure)
        assert any(ax["x"] for ax in described["axes"]), name
        json.dumps(figure.parameters)  # type: ignore[attr-defined]
        alt = plot.alt_text(data)
        assert len(alt) > 20, name
        assert "/" not in alt.split(":")[0], name


def test_kinds_without_a_picture_give_none() -> None:
    assert plot.draw(Table(columns={"a": np.zeros(2)})) is None
    assert plot.draw(Report(facts={"a": Quantity(1.0)})) is None


@pytest.mark.parametrize("kind", ["section", "well", "waveforms", "grid", "event"])
def test_two_saves_and_two_drawings_give_the_same_bytes(made: Earth, kind: str, tmp_path: Path) -> None:
    data = every_kind(made)[kind]
    files = []
    for run in ("a", "b"):
        figure = plot.draw(data)
        assert figure is not None
        files.append(plot.save(figure, tmp_path / run, plot.alt_text(data), {"clip": 99}))
    for first, second in zip(*files, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.suffix
    assert [path.suffix for path in files[0]] == [".png", ".svg", ".json"]
    assert files[0][0].stat().st_size <= 1_000_000
    assert b"<dc:date>" not in files[0][1].read_bytes()
    sidecar = json.loads(files[0][2].read_text(encoding="utf-8"))
    assert sidecar["alt"] == plot.alt_text(data)
    assert sidecar["parameters"]["clip"] == 99
    assert sidecar["axes"]


def test_a_picture_does_not_depend_on_the_persons_matplotlib_or_thread(made: Earth, tmp_path: Path) -> None:
    import matplotlib

    def once(name: str) -> bytes:
        figure = plot.draw(grid())
        assert figure is not None
        return plot.save(figure, tmp_path / name, "map")[0].read_bytes()

    plain = once("plain")
    with matplotlib.rc_context({"font.size": 20, "image.cmap": "jet"}):
        assert once("other") == plain
    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(once, ["t1", "t2", "t3"])) == {plain}


def test_a_noisy_picture_stays_under_a_megabyte(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal((800, 1000)).astype(np.float32)
    figure = plot.draw(Seismic(data=noise, dt=0.002))
    assert figure is not None
    assert plot.save(figure, tmp_path / "noise", "noise")[0].stat().st_size <= 1_000_000


def test_section_has_time_down_numbers_on_top_and_colours_about_zero(made: Earth) -> None:
    figure = plot.draw(made.section)
    assert figure is not None
    ax = axes(figure)["section"]
    bottom, top = ax.get_ylim()
    assert bottom > top
    assert (top, bottom) == pytest.approx((-0.002, 1.998))
    assert ax.get_xlim() == (100.5, 340.5)
    assert ax.get_ylabel() == "two-way time (s)"
    assert (ax.get_xlabel(), ax.xaxis.get_label_position()) == ("CDP", "top")
    image = ax.images[0]
    low, high = image.get_clim()
    assert low == -high
    assert high == pytest.approx(np.percentile(np.abs(made.section.data), 99))
    assert image.get_cmap().name == "RdBu"
    assert image.get_cmap()(1.0)[2] > image.get_cmap()(1.0)[0]  # the positive end is blue
    assert "99 % clip" in words(figure)
    assert "polarity SEG normal" in words(figure)
    assert image.colorbar.ax.get_ylabel() == "amplitude (unit unknown)"
    assert figure.parameters["clip_value"] == pytest.approx(high)  # type: ignore[attr-defined]


def test_unknown_polarity_is_said_and_a_depth_section_has_depth_down(made: Earth) -> None:
    figure = plot.draw(replace(made.section, polarity="unknown", domain="depth", dt=5.0, cdp=None))
    assert figure is not None
    assert "polarity unknown" in words(figure)
    assert axes(figure)["section"].get_ylabel() == "depth (m)"
    assert axes(figure)["section"].get_xlabel() == "trace"


def test_positive_sample_is_drawn_blue_at_its_place(tmp_path: Path) -> None:
    from matplotlib.image import imread

    data = np.zeros((11, 21), np.float32)
    data[8:10, 4:7] = 1.0
    data[1:3, 14:17] = -1.0
    figure = plot.draw(Seismic(data=data, dt=0.004, view={"clip": 100}))
    assert figure is not None
    path = plot.save(figure, tmp_path / "spike", "spike")[0]
    picture = imread(path)[..., :3]
    box = axes(figure)["section"].get_position()
    height, width = picture.shape[:2]
    x = int(width * (box.x0 + box.width * 9.0 / 11))
    y = int(height * (1 - box.y1 + box.height * 5.5 / 21))
    red, _, blue = picture[y, x]
    assert blue > red + 0.2
    red, _, blue = picture[int(height * (1 - box.y1 + box.height * 15.5 / 21)), int(width * (box.x0 + box.width * 2.0 / 11))]
    assert red > blue + 0.2


@pytest.mark.parametrize(("quantity", "unit"), [("acoustic impedance", "kg/m2/s"), ("envelope", "unknown"), ("coherence", "")])
def test_attributes_are_not_drawn_about_zero(made: Earth, quantity: str, unit: str) -> None:
    figure = plot.draw(replace(made.section, data=np.abs(made.section.data) + 1, quantity=quantity, unit=unit))
    assert figure is not None
    image = axes(figure)["section"].images[0]
    assert image.get_clim()[0] >= 0
    assert image.get_cmap().name != "RdBu"
    assert quantity in image.colorbar.ax.get_ylabel()


def test_window_and_uneven_numbers_are_honoured(made: Earth) -> None:
    uneven = made.section.cdp.copy()
    uneven[100:] += 7
    figure = plot.draw(replace(made.section, cdp=uneven, view={"top": 0.8, "base": 1.2, "clip": 95.0}))
    assert figure is not None
    ax = axes(figure)["section"]
    assert ax.get_ylim() == pytest.approx((1.202, 0.798))
    assert ax.xaxis.get_major_formatter()(150.0, 0) == str(uneven[150])


def test_gathers_stand_side_by_side_by_offset(made: Earth) -> None:
    figure = plot.draw(made.gather)
    assert figure is not None
    panels = {name: ax for name, ax in axes(figure).items() if name.startswith("CDP")}
    assert len(panels) == 5
    first = next(iter(panels.values()))
    assert first.get_xlabel() == "offset (m)"
    assert next(iter(first.get_xticklabels())).get_text() == "100"
    assert first.get_ylim()[0] > first.get_ylim()[1]


def test_logs_have_their_tracks_scales_and_depth_down(made: Earth) -> None:
    figure = plot.draw(made.well)
    assert figure is not None
    found = axes(figure)
    assert {"correlation", "depth", "resistivity", "density neutron", "sonic"} <= set(found)
    for name in ("correlation", "depth", "resistivity", "density neutron"):
        assert found[name].get_ylim() == pytest.approx((made.well.depth[-1], made.well.depth[0]))
    assert found["resistivity"].get_xscale() == "log"
    assert found["resistivity"].get_xlim() == (0.2, 2000)
    neutron = found["density neutron NPHI"]
    assert neutron.get_xlim()[0] > neutron.get_xlim()[1]  # reversed
    assert "measured depth (MD)" in words(figure)
    header = " ".join(text.get_text() for text in found["header density neutron"].texts)
    assert "RHOB (g/cm3)" in header
    assert "NPHI (v/v)" in header


def test_log_scales_follow_the_recorded_units(made: Earth) -> None:
    curves = dict(made.well.curves)
    curves["RHOB"] = Curve(curves["RHOB"].values * 1000, "kg/m3")
    curves["NPHI"] = Curve(curves["NPHI"].values * 100, "%")
    curves["DT"] = Curve(curves["DT"].values / 0.3048, "us/m")
    figure = plot.draw(replace(made.well, curves=curves, reference="unknown"))
    assert figure is not None
    tracks = figure.parameters["tracks"]  # type: ignore[attr-defined]
    assert tracks["density neutron"]["RHOB"]["left"] in (1650, 1950)
    assert tracks["density neutron"]["NPHI"]["right"] == pytest.approx(3 if tracks["density neutron"]["RHOB"]["left"] == 1650 else -15)
    assert tracks["sonic"]["DT"]["left"] == pytest.approx(240 / 0.3048, rel=0.005)
    assert "not stated" in words(figure)


def test_crossover_is_filled_where_density_lies_left_of_neutron() -> None:
    gas = next(made for made in map(earth, range(20)) if made.truth["pay"]["fluid"] == "gas")
    pay = gas.truth["pay"]
    figure = plot.draw(replace(gas.well, view={"top": pay["top_m"] + 2, "base": pay["contact_m"] - 2}))
    assert figure is not None
    ax = axes(figure)["density neutron"]
    areas = [sum(abs(np.ptp(path.vertices[:, 0])) for path in fill.get_paths()) for fill in ax.collections]
    assert areas[0] > 0
    assert sum(areas[1:]) == 0


def test_map_has_equal_aspect_crs_unit_density_and_contours() -> None:
    figure = plot.draw(grid())
    assert figure is not None
    ax = axes(figure)["map"]
    assert ax.get_aspect() == 1
    assert ax.get_xlim() == (5e5 - 250, 5.2e5 + 250)
    assert "EPSG:32631" in words(figure)
    assert "density 2670 kg/m3" in words(figure)
    assert "contours every" in words(figure)
    assert ax.images[0].colorbar.ax.get_ylabel() == "Bouguer disturbance (mGal)"
    assert ax.images[0].get_array().mask.sum() == 20  # NaN stays blank
    assert ax.images[0].get_cmap().name == "viridis"


def test_residual_is_centred_on_zero_and_degrees_are_stretched() -> None:
    figure = plot.draw(grid("Bouguer disturbance residual"))
    assert figure is not None
    low, high = axes(figure)["map"].images[0].get_clim()
    assert low == -high
    figure = plot.draw(grid(x=3 + 0.01 * np.arange(41), y=60 + 0.01 * np.arange(31), geographic=True, crs="EPSG:4326"))
    assert figure is not None
    assert axes(figure)["map"].get_aspect() == pytest.approx(1 / np.cos(np.radians(60.15)), rel=0.01)


def test_error_ellipse_has_its_axes_in_kilometres() -> None:
    figure = plot.draw(event())
    assert figure is not None
    line = max(axes(figure)["map"].lines, key=lambda shown: len(shown.get_xdata()))
    east = np.ptp(line.get_xdata()) * 111.2 * np.cos(np.radians(48))
    north = np.ptp(line.get_ydata()) * 111.2
    assert (east, north) == pytest.approx((4.0, 2.0), rel=0.01)
    assert "depth 8.2 km" in words(figure)


def test_names_of_neighbouring_stations_do_not_cover_each_other() -> None:
    close = [["BW.UH1", 2.8, 47.9], ["BW.UH4", 3.1, 48.0], ["BW.UH3", 3.104, 48.002], ["BW.UH2", 3.098, 48.003]]
    figure = plot.draw(replace(event(), view={"stations": close}))
    assert figure is not None
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text().startswith("BW.")]
    assert len(boxes) == 4
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_slices_cut_the_strongest_cell() -> None:
    figure = plot.draw(blocks())
    assert figure is not None
    assert figure.parameters["slices_m"] == {"z": 750.0, "y": 2500.0, "x": 5500.0}  # type: ignore[attr-defined]
    section = axes(figure)["section y"]
    assert section.get_ylim() == (2000, 0)
    assert "rms 0.1 mGal" in axes(figure)["fit"].get_title()


def test_seismograms_share_utc_and_carry_picks_with_uncertainty() -> None:
    waveforms, _, truth = earthquake(3)
    rows = [{"station": o["station"], "phase": o["phase"], "time": o["time"], "uncertainty": 0.2} for o in truth["onsets"]]
    three = Waveforms(stream=waveforms.stream.select(station="MO01"), view={"picks": rows}, band=(2.0, 20.0))
    figure = plot.draw(three)
    assert figure is not None
    names = list(axes(figure))
    assert names[:2] == ["XX.MO01.00.HHE trace", "XX.MO01.00.HHE spectrogram"]
    last = axes(figure)["XX.MO01.00.HHZ spectrogram"]
    assert last.get_xlabel() == "UTC, 2024-03-04"
    assert last.get_ylabel() == "frequency (Hz)"
    trace = axes(figure)["XX.MO01.00.HHZ trace"]
    assert {text.get_text() for text in trace.texts} >= {"XX.MO01.00.HHZ", "P", "S"}
    onset = next(o for o in truth["onsets"] if o["station"] == "XX.MO01" and o["phase"] == "P")
    from obspy import UTCDateTime

    seconds = UTCDateTime(onset["time"]) - waveforms.stream[0].stats.starttime
    assert any(np.allclose(line.get_xdata(), seconds, atol=1e-3) for line in trace.lines)
    assert "band 2-20 Hz" in words(figure)


def test_many_channels_are_drawn_as_verticals_and_gaps_stay_open() -> None:
    waveforms, _, _ = earthquake(3)
    figure = plot.draw(waveforms)
    assert figure is not None
    assert figure.parameters["channels"] == [f"XX.MO0{n}.00.HHZ" for n in range(1, 6)]  # type: ignore[attr-defined]
    trace = waveforms.stream[0]
    start = trace.stats.starttime
    pieces = type(waveforms.stream)([trace.slice(start, start + 10), trace.slice(start + 20, start + 40)])
    figure = plot.draw(Waveforms(stream=pieces, view={"spectrogram": False}))
    assert figure is not None
    drawn = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 2]
    assert [round(float(line.get_xdata()[0])) for line in drawn] == [0, 20]


def test_picks_are_listed_by_arrival_over_utc() -> None:
    figure = plot.draw(phase_picks())
    assert figure is not None
    ax = axes(figure)["picks"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["XX.A", "XX.B"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert "2024-03-06" in ax.get_xlabel()


def test_semblance_has_time_down_and_its_picks(made: Earth) -> None:
    figure = plot.draw(every_kind(made)["semblance"])
    assert figure is not None
    ax = axes(figure)["semblance"]
    assert ax.get_ylim() == (4.0, 0.0)
    assert any(list(line.get_xdata()) == [1503.0] for line in ax.lines)


def test_importing_plot_does_not_import_matplotlib() -> None:
    import subprocess
    import sys

    code = "import sys, moho.plot, moho.agent.tools.plots; sys.exit('matplotlib' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_real_section_is_drawn(shared: Path) -> None:
    from moho.read import read

    line = read(shared / "seismic_npra_31_81" / "31_81_PR.sgy")
    figure = plot.draw(line)
    assert figure is not None
    assert axes(figure)["section"].get_ylim()[0] == pytest.approx(6.002)


def test_a_section_says_what_was_done_to_it(made: Earth) -> None:
    steps = (Step("segy_read"), Step("decon"), Step("bandpass"), Step("plot_section"))
    assert "after decon, bandpass" in " ".join(words(plot.draw(replace(made.section, history=steps))).split())
    assert "after" not in words(plot.draw(made.section))


def test_one_trace_is_a_wiggle_inside_its_page(made: Earth) -> None:
    one = replace(made.section, data=made.section.data[:1], cdp=None, x=None, y=None)
    figure = plot.draw(one)
    assert figure is not None
    assert figure.parameters["style"] == "wiggle"  # type: ignore[attr-defined]
    ax = axes(figure)["section"]
    swing = ax.collections[1].get_segments()[0][:, 0]
    assert ax.get_xlim()[0] < swing.min() < swing.max() < ax.get_xlim()[1]
