"""What a seismic file is said to hold is what it holds; what it does not tell is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from moho import plot
from moho.agent.registry import execute, prepare
from moho.agent.tools.quality import segy_geometry, segy_inspect, segy_read, trace_qc
from moho.errors import Missing, Refusal
from moho.segy import read_segy
from moho.survey import Gather, Seismic, Volume
from moho.units import show


@pytest.fixture(scope="module")
def npra(shared: Path) -> Seismic:
    line = read_segy(shared / "seismic_npra_31_81" / "31_81_PR.sgy")
    assert isinstance(line, Seismic)
    return line


@pytest.fixture(scope="module")
def f3(shared: Path) -> Volume:
    volume = read_segy(shared / "seismic_f3" / "f3_crop.sgy")
    assert isinstance(volume, Volume)
    return volume


def line(traces: int = 20, samples: int = 100, **more: object) -> Seismic:
    data = np.random.default_rng(3).standard_normal((traces, samples)).astype(np.float32)
    return Seismic(data=data, dt=0.004, cdp=np.arange(100, 100 + traces), **more)  # type: ignore[arg-type]


def test_inspect_says_what_the_npra_line_holds(npra: Seismic) -> None:
    facts = {key: quantity.value for key, quantity in segy_inspect(npra).facts.items()}
    assert (facts["traces"], facts["samples"], facts["sample_interval"], facts["end"]) == (534, 1501, 4, 6)
    assert facts["format_code"] == 1
    assert facts["cdp"] == [101, 634]


def test_inspect_says_what_the_viking_shots_hold(shared: Path) -> None:
    shots = read_segy(shared / "seismic_viking_shots" / "viking_small.segy")
    assert isinstance(shots, Gather)
    facts = {key: quantity.value for key, quantity in segy_inspect(shots).facts.items()}
    assert (facts["shots"], facts["channels"], facts["group_interval"], facts["shot_interval"]) == (4, 120, 25, 25)
    assert (facts["near_offset"], facts["far_offset"]) == (262, 3237)


def test_npra_energy_band(npra: Seismic) -> None:
    report = trace_qc(npra)
    assert report.facts["energy_band"].value == pytest.approx([8.5, 40.3], abs=0.3)
    assert report.drawing == "spectrum"
    assert report.arrays["power"].shape == report.arrays["frequency"].shape
    wider = trace_qc(npra, 1, 99).facts["energy_band"].value
    assert wider[0] < 8.5
    assert wider[1] > 40.3


def test_npra_without_coordinates_has_no_geometry(npra: Seismic) -> None:
    with pytest.raises(Refusal, match="coordinates"):
        segy_geometry(npra)


@pytest.mark.parametrize("frequency", [25.0, 31.37])
def test_a_sine_peaks_at_its_frequency(frequency: float) -> None:
    sine = np.sin(2 * np.pi * frequency * 0.004 * np.arange(500))[None].repeat(3, axis=0)
    assert trace_qc(Seismic(data=sine, dt=0.004)).facts["peak_frequency"].value == pytest.approx(frequency, abs=0.02)


def test_planted_faults_of_traces_are_counted() -> None:
    good = line()
    data = good.data.copy()
    data[3] = 0
    data[7] *= 20
    data[9, 10] = np.nan
    data[11, 50:53] = 1000.0
    facts = {key: quantity.value for key, quantity in trace_qc(good.made(data=data)).facts.items()}
    assert (facts["dead_traces"], facts["nan_samples"], facts["clipped"]) == (1, 1, 3)
    assert facts["noisy_traces"] == 2  # the loud one and the one with the plateau
    assert trace_qc(good).facts["noisy_traces"].value == 0


def test_offset_decay_is_no_noise(shared: Path) -> None:
    shots = read_segy(shared / "seismic_viking_shots" / "viking_small.segy")
    assert isinstance(shots, Gather)
    assert trace_qc(shots).facts["noisy_traces"].value < 12


def test_geometry_of_a_made_line() -> None:
    along = np.arange(20) * 12.5
    report = segy_geometry(line(x=5e5 + 0.6 * along, y=6e6 + 0.8 * along))
    assert report.facts["length"].value == pytest.approx(19 * 12.5)
    assert report.facts["spacing"].value == pytest.approx(12.5)
    assert report.facts["azimuth"].value == pytest.approx(36.8699, abs=1e-3)


def test_the_peak_that_is_drawn_is_the_peak_that_is_told() -> None:
    time = 0.004 * np.arange(500)
    report = trace_qc(Seismic(data=np.tile(np.sin(2 * np.pi * 23.37 * time), (5, 1)).astype(np.float32), dt=0.004))
    figure = plot.draw(report)
    assert figure is not None
    assert figure.parameters["peak"] == report.facts["peak_frequency"].value  # type: ignore[attr-defined]
    assert f"peak {show(report.facts['peak_frequency'].value)} Hz" in [text.get_text() for text in figure.axes[0].texts]


def test_a_flat_spectrum_has_no_peak_and_a_spike_is_named() -> None:
    rng = np.random.default_rng(0)
    white = rng.standard_normal((40, 300)).astype(np.float32)
    report = trace_qc(Seismic(data=white, dt=0.004))
    assert "peak_frequency" not in report.facts
    assert report.notes[0].startswith("the spectrum is flat")
    figure = plot.draw(report)
    assert figure is not None
    assert "peak" not in figure.parameters  # type: ignore[attr-defined]
    assert not any("spike" in note for note in report.notes[1:])
    spiked = np.array([np.convolve(trace, np.hanning(9), "same") for trace in white]).astype(np.float32)
    assert "peak_frequency" in trace_qc(Seismic(data=spiked, dt=0.004)).facts
    spiked[7, 200] = 1e4
    report = trace_qc(Seismic(data=spiked, dt=0.004, cdp=101 + np.arange(40)))
    assert "peak_frequency" not in report.facts
    assert report.notes[0].startswith("one sample, on trace 108 at 0.8 s, holds 100 % of all energy: a spike")
    spiked[7] = 100 * np.roll(spiked[8], 3)
    assert "trace 108 holds" in trace_qc(Seismic(data=spiked, dt=0.004, cdp=101 + np.arange(40))).notes[0]


def test_f3_geometry_and_inline(f3: Volume) -> None:
    assert segy_geometry(f3).facts["bin_size"].value == pytest.approx([25, 25], abs=0.1)
    section = segy_read(f3, inline=120)
    assert section.data.shape == (18, 75)
    assert np.array_equal(section.numbers, np.arange(875, 893))
    across = segy_read(f3, crossline=880, first_cdp=115, last_cdp=119, top=0.1, base=0.2)
    assert across.data.shape == (5, 26)
    assert across.t0 == pytest.approx(0.1)
    assert np.array_equal(across.data[:, 0], [segy_read(f3, inline=n).data[5, 24] for n in range(115, 120)])


def test_a_cut_keeps_what_lies_inside() -> None:
    whole = line(x=np.arange(20.0), y=np.zeros(20))
    part = segy_read(whole, first_cdp=105, last_cdp=109, top=0.1, base=0.2)
    assert np.array_equal(part.data, whole.data[5:10, 25:51])
    assert part.x is not None
    assert np.array_equal(part.x, np.arange(5.0, 10.0))
    assert part.t0 == pytest.approx(0.1)


def test_a_cut_beyond_the_line_says_so() -> None:
    whole = line()
    last, end = int(whole.numbers.max()), float(whole.times[-1])
    notes = segy_read(whole, last_cdp=last + 50, base=end + 1).notes
    assert f"asked beyond the line, cut there: to CDP {last + 50}, it ends at {last}" in notes
    assert any(f"it ends at {end:g} s" in note for note in notes)
    assert not any("beyond" in note for note in segy_read(whole, last_cdp=last, base=end).notes)


def test_a_volume_asks_which_line(f3: Volume) -> None:
    with pytest.raises(Missing, match="111 to 133"):
        segy_read(f3)
    with pytest.raises(Refusal, match="111 to 133"):
        segy_read(f3, inline=200)
    with pytest.raises(ValueError, match="not both"):
        segy_read(f3, inline=120, crossline=880)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"inline": 3}, Refusal),
        ({"top": 0.3, "base": 0.2}, ValueError),
        ({"top": 5.0}, Refusal),
        ({"first_cdp": 500}, Refusal),
        ({"first_cdp": 110, "last_cdp": 105}, ValueError),
    ],
)
def test_cuts_that_hold_nothing_are_refused(arguments: dict[str, float], error: type[Exception]) -> None:
    with pytest.raises(error):
        segy_read(line(), **arguments)  # type: ignore[arg-type]


def test_bad_sections_are_refused() -> None:
    with pytest.raises(Refusal, match="NaN"):
        trace_qc(Seismic(data=np.full((3, 50), np.nan), dt=0.004))
    with pytest.raises(Refusal, match="dead"):
        trace_qc(Seismic(data=np.zeros((3, 50)), dt=0.004))
    with pytest.raises(ValueError, match="low_share"):
        trace_qc(line(), 95, 5)
    with pytest.raises(Refusal, match="coordinates"):
        segy_geometry(line())
    with pytest.raises(Refusal, match="coordinates"):
        segy_geometry(Gather(data=np.ones((2, 9)), dt=0.004, offset=np.array([0.0, 1.0])))


def test_a_call_is_checked_and_run() -> None:
    call = prepare("segy_read", {"top": "100 ms", "base": "0.2 s"}, {"line 1": Seismic})
    assert execute(call, lambda name: line()).history[-1].arguments["top"] == pytest.approx(0.1)
