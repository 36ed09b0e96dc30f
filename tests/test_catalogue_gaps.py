"""Truths and refusals of tools whose own test file had none without real data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import obspy
import pytest
from made_calls import logfile, model, sand, shots, table
from made_segy import line

from moho import plot
from moho.agent.registry import prepare
from moho.agent.tools.catalogues import event_inspect
from moho.agent.tools.dlis import dlis_read
from moho.agent.tools.earthquakes import detect_associate
from moho.agent.tools.magnitudes import magnitude
from moho.agent.tools.quality import segy_inspect
from moho.agent.tools.tables import table_inspect
from moho.agent.tools.waveform_inversion import fwi_2d
from moho.agent.tools.wells import las_inspect
from moho.errors import Refusal
from moho.read import read
from moho.survey import Curve, Response, Seismic, Waveforms, Well


def test_a_made_line_is_described_as_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "line.sgy"
    path.write_bytes(line())
    held = read(path)
    assert isinstance(held, Seismic)
    facts = {key: quantity.value for key, quantity in segy_inspect(held).facts.items()}
    assert (facts["traces"], facts["samples"], facts["sample_interval"], facts["cdp"], facts["format_code"]) == (40, 120, 2.0, [101, 140], 5)


def test_holes_and_dead_traces_are_said_when_a_line_is_inspected() -> None:
    data = np.ones((6, 50), np.float32)
    data[2], data[3, 7:9] = 0, np.nan
    made = segy_inspect(Seismic(data=data, dt=0.004))
    assert {"2 of 300 samples are NaN or infinite", "1 of 6 traces are dead"} <= set(made.notes)
    assert made.facts["largest_amplitude"].value == 1


def test_an_empty_log_is_said_to_be_empty() -> None:
    held = sand()
    curves = dict(held.curves) | {"RHOB": Curve(np.full(400, np.nan), "g/cm3"), "GR": Curve(np.full(400, 60.0), "unknown")}
    made = las_inspect(replace(held, curves=curves))
    assert any("RHOB is empty" in note for note in made.notes)
    assert any("GR has no unit" in note for note in made.notes)
    assert "RHOB_mean" not in made.facts


def test_a_frame_is_read_with_its_depths_and_values(tmp_path: Path) -> None:
    made = dlis_read(logfile(tmp_path), "MAIN")
    assert isinstance(made, Well)
    assert made.depth == pytest.approx(1000 + 0.5 * np.arange(10))
    assert made.curve("GR") == pytest.approx(50 + np.arange(10.0))
    assert made.curves["RHOB"].unit == "g/cm3"


def test_empty_columns_are_named() -> None:
    held = table()
    made = table_inspect(replace(held, columns=dict(held.columns) | {"g": np.full(4, np.nan)}))
    assert made.facts["g_missing"].value == 4
    assert "empty columns: g" in made.notes
    assert "g_mean" not in made.facts


def network(start: float = 40.0) -> list[Waveforms]:
    """Four stations that see one 12 Hz wave packet, 0.2 s apart, in noise."""
    t, made = np.arange(9000) / 100, []
    for number in range(4):
        late = np.maximum(t - start - 0.2 * number, 0)
        data = np.random.default_rng(number).normal(size=9000) + 60 * np.exp(-late) * np.sin(2 * np.pi * 12 * late)
        header = {"network": "XX", "station": f"S{number}", "channel": "HHZ", "sampling_rate": 100.0, "starttime": obspy.UTCDateTime(2024, 1, 1)}
        made.append(Waveforms(stream=obspy.Stream([obspy.Trace(data, header)])))
    return made


def test_an_event_of_three_stations_is_detected_at_its_time() -> None:
    made = detect_associate(network())
    assert made.facts["events"].value == 1
    assert obspy.UTCDateTime(made.facts["times"].value[0]) - obspy.UTCDateTime(2024, 1, 1) == pytest.approx(40.0, abs=0.1)
    assert made.facts["stations_per_event"].value[0] >= 3
    axes = plot.describe(plot.draw(made))["axes"]  # type: ignore[arg-type]
    assert (axes[0]["x"], axes[0]["y"]) == ("time (UTC)", "stations that saw it")
    assert plot.draw(detect_associate(network()[:1] * 1, stations=1, on=500.0)) is not None  # nothing found is drawn too


def test_a_moment_magnitude_is_drawn_over_its_spectrum() -> None:
    t = np.maximum(np.arange(8000) / 200 - 2, 0)
    header = {"network": "XX", "station": "AAA", "channel": "HHE", "sampling_rate": 200.0}
    pulse = 2e-6 * (6 * np.pi) ** 2 * t * np.exp(-6 * np.pi * t)
    record = Waveforms(stream=obspy.Stream([obspy.Trace(pulse, header)]), quantity="displacement", unit="m", band=(0.1, 40))
    figure = plot.draw(magnitude(record, 30.0, "moment"))
    assert figure is not None
    ax = plot.describe(figure)["axes"][0]
    assert (ax["x"], ax["y"], ax["x_scale"]) == ("frequency (Hz)", "displacement spectrum (m s)", "log")
    assert plot.draw(magnitude(record, 30.0)) is not None


def test_channel_epochs_are_drawn_over_time() -> None:
    figure = plot.draw(event_inspect(Response(inventory=obspy.read_inventory())))
    assert figure is not None
    assert figure.axes[0].get_xlabel() == "time (UTC)"


def test_dead_shots_cannot_be_inverted() -> None:
    records = shots()
    with pytest.raises(Refusal, match="dead"):
        fwi_2d([replace(records, data=np.zeros_like(records.data))], model(), [8.0], 1, 8.0)


def test_a_seed_and_a_window_of_a_cube_are_said_in_seconds() -> None:
    call = prepare("geobody_salt", {"cube": "line", "time": "260 ms", "top": "0.1 s", "base": 0.4}, {"line": Seismic})
    assert [call.values[name] for name in ("time", "top", "base")] == [0.26, 0.1, 0.4]
