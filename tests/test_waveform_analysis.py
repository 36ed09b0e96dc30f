"""Catalogues against ObsPy's own events, rotation of pure waves, white noise at zero decibel, plane waves over an array."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import obspy
import pytest
from obspy.core.inventory import Inventory, Network, Station

from moho import plot, store
from moho.agent.tools.beams import array_beam
from moho.agent.tools.catalogues import event_inspect
from moho.agent.tools.waveform_analysis import filter_rotate, spectrogram_ppsd
from moho.errors import Missing, Refusal
from moho.read import read
from moho.survey import Catalogue, Data, Response, Waveforms


def drawn(data: Data) -> list[str]:
    """The axis labels of the picture of `data`, which must draw."""
    figure = plot.draw(data)
    assert figure is not None
    figure.draw_without_rendering()
    return [word for ax in figure.axes for word in (ax.get_xlabel(), ax.get_ylabel()) if word]


def record(data: np.ndarray, rate: float = 100.0, quantity: str = "counts", unit: str = "counts", **header: object) -> Waveforms:
    """A record of the rows of `data`, channels HHZ, HHN, HHE."""
    base = {"network": "XX", "station": "AAA", "sampling_rate": rate} | header
    traces = [obspy.Trace(row.copy(), base | {"channel": "HH" + letter}) for row, letter in zip(np.atleast_2d(data), "ZNE", strict=False)]
    return Waveforms(stream=obspy.Stream(traces), quantity=quantity, unit=unit)


# catalogues and metadata


@pytest.fixture(scope="module")
def example() -> Catalogue:
    """ObsPy's packaged example events, through our own reader."""
    held = read(next(Path(obspy.__file__).parent.rglob("neries_events.xml")))
    assert isinstance(held, Catalogue)
    return held


def test_obspys_example_events(example: Catalogue) -> None:
    made = event_inspect(example)
    facts = {key: fact.value for key, fact in made.facts.items()}
    assert facts["events"] == 3
    assert facts["magnitude_types"] == ["ML (2)", "mb (1)"]
    assert (facts["largest"], facts["largest_type"]) == (4.4, "mb")
    assert facts["largest_place"] == [41.818, 79.689]
    assert facts["first"].startswith("2012-04-04T14:08:46")
    assert facts["last"].startswith("2012-04-04T14:21:42.3")
    assert facts["magnitude"] == [3.0, 4.4]
    assert "horizontal_error" not in facts  # the file states zeros
    assert any("exactly zero" in note for note in made.notes)
    assert any("not one scale" in note for note in made.notes)
    assert made.arrays["time"].tolist() == sorted(made.arrays["time"].tolist())
    assert {"longitude (deg)", "magnitude", "time (UTC)", "depth (km)"} <= set(drawn(made))


def test_uncertainties_of_a_located_event_are_read_and_kept(tmp_path: Path) -> None:
    path = Path(obspy.__file__).parent / "io" / "cnv" / "tests" / "data" / "obspyck_20141020150701.xml"
    held = read(path)
    assert isinstance(held, Catalogue)
    origin = obspy.read_events(str(path))[0].origins[0]
    made = event_inspect(held)
    assert made.facts["depth_error"].value == pytest.approx(origin.depth_errors.uncertainty / 1000, abs=1e-4)
    assert origin.time_errors.uncertainty is None
    assert "time_error" not in made.facts
    assert 0 < made.facts["horizontal_error"].value < 2
    kept = tmp_path / "kept.moho"
    kept.write_bytes(store.dump(held))
    assert event_inspect(store.load(kept)).facts == made.facts  # type: ignore[arg-type]


def test_obspys_example_stations() -> None:
    made = event_inspect(Response(inventory=obspy.read_inventory()))
    facts = {key: fact.value for key, fact in made.facts.items()}
    assert facts["networks"] == ["BW", "GR"]
    assert facts["names"] == ["BW.RJOB", "GR.FUR", "GR.WET"]
    assert facts["channel_epochs"] == 30
    assert facts["channels"] == 24
    assert facts["without_response"] == 0
    assert facts["input_units"] == ["m/s"]
    assert {1.0, 20.0, 100.0, 200.0} <= set(facts["sampling_rates"]) | {1.0, 20.0, 100.0, 200.0}
    assert "channel" in drawn(made)


# rotation


def polarised(angle: float, seconds: float = 20.0) -> Waveforms:
    """Horizontal motion along one azimuth, deg: a Ricker of 2 Hz."""
    t = np.arange(round(seconds * 100)) / 100 - seconds / 2
    wave = (1 - 2 * (np.pi * 2 * t) ** 2) * np.exp(-((np.pi * 2 * t) ** 2))
    return record(np.array([0.3 * wave, np.cos(np.radians(angle)) * wave, np.sin(np.radians(angle)) * wave]), quantity="velocity", unit="m/s")


@pytest.mark.parametrize("back_azimuth", [0.0, 37.0, 143.5, 251.0, -60.0])
def test_a_pure_radial_wave_has_no_transverse_energy(back_azimuth: float) -> None:
    made = filter_rotate(polarised(back_azimuth + 180), back_azimuth=back_azimuth)
    assert made.facts["transverse_share"].value < 1e-20
    radial = made.stream.select(channel="HHR")[0].data
    assert radial[np.argmax(np.abs(radial))] > 0  # motion away from the source is positive
    assert sorted(trace.stats.channel for trace in made.stream) == ["HHR", "HHT", "HHZ"]


def test_rotation_is_that_of_obspy() -> None:
    rng = np.random.default_rng(1)
    held = record(rng.normal(size=(3, 500)))
    truth = held.stream.copy().rotate("NE->RT", back_azimuth=77.0)
    made = filter_rotate(held, back_azimuth=77.0)
    for letter in "RT":
        np.testing.assert_allclose(made.stream.select(component=letter)[0].data, truth.select(component=letter)[0].data, atol=1e-12)


def test_filter_and_rotation_commute_and_the_band_is_kept() -> None:
    held = polarised(30.0)
    made = filter_rotate(held, 1.0, 5.0, 210.0)
    assert made.band == (1.0, 5.0)
    assert made.facts["transverse_share"].value < 1e-20
    plain = filter_rotate(held, 1.0, 5.0)
    assert any("filtered only" in note for note in plain.notes)
    assert sorted(trace.stats.channel for trace in plain.stream) == ["HHE", "HHN", "HHZ"]


def test_numbered_horizontals_are_turned_by_their_azimuths() -> None:
    inventory = obspy.read_inventory().select(station="FUR", channel="HH?")
    held = polarised(120.0 + 180)
    for trace in held.stream:
        trace.stats.update({"network": "GR", "station": "FUR", "starttime": obspy.UTCDateTime(2010, 1, 1)})
    north, east = (held.stream.select(component=letter)[0] for letter in "NE")
    turn = np.radians(25.0)
    one, two = np.cos(turn) * north.data + np.sin(turn) * east.data, -np.sin(turn) * north.data + np.cos(turn) * east.data
    for trace, data, name, azimuth in ((north, one, "HH1", 25.0), (east, two, "HH2", 115.0)):
        channel = inventory.select(channel=trace.stats.channel)[0][0][0]
        channel.code, channel.azimuth, channel.dip = name, azimuth, 0.0
        trace.data, trace.stats.channel = data, name
    with pytest.raises(Refusal, match="StationXML with their azimuths"):
        filter_rotate(held, back_azimuth=120.0)
    made = filter_rotate(held, back_azimuth=120.0, response=Response(inventory=inventory))
    assert made.facts["transverse_share"].value < 1e-20


# noise spectra


def white(level: float = 1.0, seconds: float = 1200.0, rate: float = 40.0) -> Waveforms:
    """Gaussian acceleration of `level` (m/s2)2/Hz."""
    x = np.random.default_rng(2).normal(size=round(seconds * rate)) * np.sqrt(level * rate / 2)
    return record(x, rate, "acceleration", "m/s2")


def test_white_acceleration_of_unit_density_is_zero_decibel() -> None:
    made = spectrogram_ppsd(white(), window=120.0)
    assert made.facts["median_level"].value == pytest.approx(-0.3, abs=0.2)  # the mean of decibels, not of powers
    np.testing.assert_allclose(made.arrays["median"], -0.3, atol=1.0)
    assert {"period (s)", "power (dB rel. 1 (m/s2)2/Hz)"} <= set(drawn(made))


def test_ten_times_the_amplitude_is_twenty_decibel() -> None:
    quiet, loud = (spectrogram_ppsd(white(level), window=120.0).arrays["level"] for level in (1.0, 100.0))
    np.testing.assert_allclose(loud - quiet, 20, atol=1e-4)


def test_velocity_and_counts_with_a_response_give_the_same_acceleration() -> None:
    """The same ground motion as acceleration, velocity, displacement, and counts of GR.FUR."""
    rate, count = 20.0, 12000
    ground = np.random.default_rng(4).normal(size=count)
    f = np.fft.rfftfreq(count, 1 / rate)
    shape = np.where((f > 0.05) & (f < 8), 1.0, 0.0)
    accelerated = np.fft.irfft(np.fft.rfft(ground) * shape, count) * 1e-6
    omega = 2j * np.pi * np.where(f > 0, f, 1.0)
    spectrum = np.fft.rfft(accelerated)
    header = {"network": "GR", "station": "FUR", "starttime": obspy.UTCDateTime(2010, 1, 1)}
    inventory = obspy.read_inventory().select(station="FUR", channel="BH?")
    held = inventory.get_response("GR.FUR..BHZ", header["starttime"])  # type: ignore[arg-type]
    counts_per, _ = held.get_evalresp_response(1 / rate, count, output="ACC")
    levels = []
    kinds = (("acceleration", 1, "m/s2"), ("velocity", 1 / omega, "m/s"), ("displacement", 1 / omega**2, "m"), ("counts", counts_per, "counts"))
    for name, factor, unit in kinds:
        data = np.fft.irfft(spectrum * factor, count)
        made = record(data, rate, name, unit, **header)
        made.stream[0].stats.channel = "BHZ"
        levels.append(spectrogram_ppsd(made, Response(inventory=inventory) if name == "counts" else None, window=100.0))
    period = levels[0].arrays["period"]
    inner = (period > 0.25) & (period < 4)
    for other in levels[1:]:
        np.testing.assert_allclose(other.arrays["median"][inner], levels[0].arrays["median"][inner], atol=1.0)


def test_counts_without_a_response_are_refused_unless_told() -> None:
    held = record(np.random.default_rng(5).normal(size=30000))
    with pytest.raises(Refusal, match="without the instrument response"):
        spectrogram_ppsd(held)
    made = spectrogram_ppsd(held, window=30.0, reference="as recorded")
    assert made.labels["unit"] == "counts2/Hz"
    assert made.facts["median_level"].value == pytest.approx(10 * np.log10(2 / 100), abs=0.3)
    assert "low_noise" not in made.arrays


# arrays


def metadata(places: np.ndarray) -> Response:
    """Stations S00, S01 ... at (longitude, latitude)."""
    stations = [Station(f"S{i:02d}", latitude=float(lat), longitude=float(lon), elevation=500.0) for i, (lon, lat) in enumerate(places)]
    return Response(inventory=Inventory([Network("XX", stations)], source="made"))


def plane_wave(
    back_azimuth: float, slowness: float, stations: int = 9, noise: float = 0.2, radius: float = 2.0, rate: float = 50.0
) -> tuple[list[Waveforms], Response]:
    """A 2 Hz wavelet in noise, over stations on two rings about 50 N 12 E."""
    from pyproj import Geod

    rng = np.random.default_rng(6)
    azimuth = np.arange(stations) * 360 / stations * 1.9 + rng.uniform(-20, 20, stations)
    distance = np.where(np.arange(stations) % 2, radius, 0.45 * radius)
    lon, lat, _ = Geod(ellps="WGS84").fwd([12.0] * stations, [50.0] * stations, azimuth, distance * 1000)
    x, y = distance * np.sin(np.radians(azimuth)), distance * np.cos(np.radians(azimuth))
    along = -(np.sin(np.radians(back_azimuth)) * x + np.cos(np.radians(back_azimuth)) * y)  # km, down the way of the wave
    t = np.arange(round(30 * rate)) / rate
    made = []
    for i in range(stations):
        late = t - 15 - slowness * along[i]
        wave = np.exp(-((late / 0.6) ** 2)) * np.cos(2 * np.pi * 2 * late)
        trace = obspy.Trace((wave + noise * rng.normal(size=len(t))) * 10 ** rng.uniform(-2, 2))
        trace.stats.update({"network": "XX", "station": f"S{i:02d}", "channel": "HHZ", "sampling_rate": rate})
        made.append(Waveforms(stream=obspy.Stream([trace])))
    return made, metadata(np.column_stack([lon, lat]))


@pytest.mark.parametrize(("back_azimuth", "slowness"), [(30.0, 0.06), (128.0, 0.15), (251.0, 0.25), (359.0, 0.33)])
def test_a_plane_wave_is_recovered(back_azimuth: float, slowness: float) -> None:
    made = array_beam(*plane_wave(back_azimuth, slowness), 1.0, 4.0, window=6.0, start=12.0)
    away = (made.facts["back_azimuth"].value - back_azimuth + 180) % 360 - 180
    assert abs(away) < 1.0
    assert made.facts["slowness"].value == pytest.approx(slowness, abs=0.005)
    assert made.facts["power"].value > 0.8
    assert abs(away) < 4 * made.facts["back_azimuth_error"].value + 0.05
    assert made.facts["apparent_velocity"].value == pytest.approx(1 / slowness, rel=0.06)


def test_the_beam_is_drawn_with_units() -> None:
    made = array_beam(*plane_wave(128.0, 0.15), 1.0, 4.0)
    assert {"slowness to the source, east (s/km)", "difference of slowness, north (s/km)"} <= set(drawn(made))
    assert made.arrays["response"].max() == pytest.approx(1, abs=1e-6)
    middle = len(made.arrays["response_axis"]) // 2
    assert made.arrays["response"][middle, middle] == pytest.approx(1, abs=1e-6)


def test_different_sampling_rates_stand_beside_each_other() -> None:
    records, response = plane_wave(200.0, 0.2, noise=0.0)
    trace = records[3].stream[0]
    trace.resample(100.0)
    trace.data = trace.data[: 2 * 1500]
    made = array_beam(records, response, 1.0, 4.0, start=12.0, window=6.0)
    assert made.facts["back_azimuth"].value == pytest.approx(200, abs=0.5)
    assert made.facts["slowness"].value == pytest.approx(0.2, abs=0.002)


def test_a_sparse_array_says_that_it_aliases() -> None:
    made = array_beam(*plane_wave(60.0, 0.1, stations=4, radius=8.0, noise=0.02), 1.9, 2.1, window=8.0, start=11.0)
    assert made.facts["sidelobe"].value > 0.5
    assert any(note.startswith("aliasing") for note in made.notes)


def test_noise_alone_is_called_so() -> None:
    records, response = plane_wave(60.0, 0.1, stations=9, noise=1e6)
    made = array_beam(records, response, 1.0, 4.0)
    assert made.facts["power"].value < 0.3
    assert any("no plane wave" in note for note in made.notes)


def holed(held: Waveforms) -> Waveforms:
    held.stream[0].data[7] = np.nan
    return held


def on_a_line() -> Response:
    return metadata(np.column_stack([12 + 0.01 * np.arange(9), 50 + 0.01 * np.arange(9)]))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: filter_rotate(polarised(0.0)), Missing, "back azimuth"),
        (lambda: filter_rotate(polarised(0.0), back_azimuth=400.0), ValueError, "back_azimuth"),
        (lambda: filter_rotate(polarised(0.0), 10.0, 60.0, 20.0), Refusal, "Nyquist"),
        (lambda: filter_rotate(record(np.ones(500)), back_azimuth=20.0), Refusal, "two horizontals"),
        (lambda: filter_rotate(holed(polarised(0.0)), back_azimuth=20.0), Refusal, "NaN"),
        (lambda: spectrogram_ppsd(record(np.zeros(9000), quantity="velocity", unit="m/s")), Refusal, "dead"),
        (lambda: spectrogram_ppsd(white(), window=3000.0), Refusal, "does not fit"),
        (lambda: spectrogram_ppsd(white(), window=1.0), Refusal, "samples"),
        (lambda: spectrogram_ppsd(white(), channel="BHE"), ValueError, "there is no channel"),
        (lambda: spectrogram_ppsd(holed(white())), Refusal, "NaN"),
        (lambda: spectrogram_ppsd(white().made(quantity="counts"), Response(inventory=obspy.read_inventory())), Refusal, "has nothing for XX.AAA"),
        (lambda: array_beam(plane_wave(1, 0.1)[0], on_a_line(), 1.0, 4.0), Refusal, "on a line"),
        (lambda: array_beam(plane_wave(1, 0.1)[0], metadata(np.array([[12.0, 50.0]])), 1.0, 4.0), Refusal, "no coordinates"),
        (lambda: array_beam(plane_wave(1, 0.1)[0][:2], on_a_line(), 1.0, 4.0), Refusal, "at least three"),
        (lambda: array_beam(*plane_wave(1, 0.1), 1.0, 40.0), Refusal, "Nyquist"),
        (lambda: array_beam(*plane_wave(1, 0.1), 4.0, 1.0), ValueError, "low < high"),
        (lambda: array_beam(*plane_wave(1, 0.1), 1.0, 4.0, start=29.9, window=5.0), Refusal, "ends after"),
        (lambda: array_beam(*plane_wave(1, 0.1), 1.0, 4.0, start=90.0), Refusal, "not inside"),
        (lambda: event_inspect(Response(inventory=Inventory([], source="made"))), Refusal, "no station"),
    ],
)
def test_bad_input_is_turned_down_with_a_reason(call: Callable[[], Data], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_the_noise_of_a_real_station_lies_near_the_models(shared: Path) -> None:
    held = read(shared / "seismology_obspy_trigger" / "BW.UH3._.SHZ.D.2010.147.cut.slist.gz")
    assert isinstance(held, Waveforms)
    made = spectrogram_ppsd(held, reference="as recorded")
    assert made.facts["windows"].value >= 5
    assert np.isfinite(made.arrays["level"]).all()
