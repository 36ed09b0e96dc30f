"""Windows of time: the very samples, the times they had, and the span of the record where a window leaves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import obspy
import pytest

from moho import plot
from moho.agent.tools.windows import cut_window
from moho.errors import Refusal
from moho.read import read
from moho.survey import Gather, Seismic, Waveforms

START = obspy.UTCDateTime("2020-01-01T00:00:10.003")


def seismograms() -> Waveforms:
    """Two stations at 100 and 50 Hz, the second half a minute shorter."""
    header = {"network": "XX", "channel": "HHZ", "starttime": START}
    first = obspy.Trace(np.arange(6001.0), {**header, "station": "A", "sampling_rate": 100})
    second = obspy.Trace(np.arange(1501.0), {**header, "station": "B", "sampling_rate": 50})
    return Waveforms(stream=obspy.Stream([first, second]), band=(1.0, 20.0))


def section(domain: str = "time") -> Seismic:
    data = np.random.default_rng(0).normal(size=(5, 101)).astype(np.float32)
    return Seismic(data=data, dt=0.004, t0=0.1, domain=domain, cdp=np.arange(5), polarity="SEG normal", band=(5.0, 60.0))


def gather() -> Gather:
    return Gather(data=np.random.default_rng(1).normal(size=(4, 50)), dt=0.002, offset=np.arange(4.0), shot=np.ones(4, int))


def test_the_samples_inside_are_those_of_the_record() -> None:
    whole = seismograms()
    made = cut_window(whole, 10.0, 20.0)
    assert isinstance(made, Waveforms)
    np.testing.assert_array_equal(made.stream[0].data, whole.stream[0].data[1000:2001])
    np.testing.assert_array_equal(made.stream[1].data, whole.stream[1].data[500:1001])
    assert [trace.stats.starttime - START for trace in made.stream] == pytest.approx([10.0, 10.0], abs=1e-9)
    assert [trace.stats.sampling_rate for trace in made.stream] == [100, 50]
    assert (made.facts["duration"].value, made.facts["offset"].value, made.band) == (10.0, 10.0, (1.0, 20.0))
    again = cut_window(whole, utc_start=str(START + 10), utc_end="2020-01-01T00:00:30.003")
    np.testing.assert_array_equal(again.stream[0].data, made.stream[0].data)  # type: ignore[union-attr]
    assert len(whole.stream[0]) == 6001

    line = section()
    cut = cut_window(line, 0.2, 0.3)
    assert isinstance(cut, Seismic)
    np.testing.assert_array_equal(cut.data, line.data[:, 25:51])
    assert (cut.t0, cut.dt, cut.polarity, cut.band) == (0.2, 0.004, "SEG normal", (5.0, 60.0))
    np.testing.assert_allclose(cut.times, line.times[25:51], atol=1e-9)
    np.testing.assert_array_equal(cut.cdp, line.cdp)
    shot = cut_window(gather(), end=0.05)
    assert isinstance(shot, Gather)
    np.testing.assert_array_equal(shot.data, gather().data[:, :26])


def test_two_cuts_are_one() -> None:
    line = section()
    twice, once = cut_window(cut_window(line, 0.15), 0.2, 0.4), cut_window(line, 0.2, 0.4)
    assert isinstance(twice, Seismic)
    assert isinstance(once, Seismic)
    np.testing.assert_array_equal(twice.data, once.data)
    assert twice.t0 == once.t0


def test_a_channel_that_ends_early_is_said() -> None:
    notes = " ".join(cut_window(seismograms(), 25.0, 40.0).notes)
    assert "XX.B..HHZ hold only part" in notes
    notes = " ".join(cut_window(seismograms(), 35.0, 40.0).notes)
    assert "left out: XX.B..HHZ" in notes


@pytest.mark.parametrize(
    ("make", "given", "kind", "words"),
    [
        (seismograms, {"start": 10.0, "end": 70.0}, Refusal, "2020-01-01T00:00:10.003000Z to 2020-01-01T00:01:10.003000Z, which has 0 to 60 s"),
        (seismograms, {"utc_start": "2019-12-31"}, Refusal, "has 0 to 60 s"),
        (seismograms, {"utc_start": "yesterday"}, ValueError, "no UTC time"),
        (seismograms, {"start": 1.0, "utc_start": str(START)}, ValueError, "each end of the window once"),
        (seismograms, {"start": 10.0, "end": 10.001}, Refusal, "1 sample"),
        (section, {"start": 0.0}, Refusal, "has 0.1 to 0.5 s"),
        (section, {"start": 0.3, "end": 0.2}, ValueError, "start < end"),
        (section, {"utc_start": "2020-01-01"}, ValueError, "not UTC"),
        (section, {}, ValueError, "give a start"),
        (lambda: section("depth"), {"start": 0.2}, Refusal, "in depth"),
        (gather, {"end": 0.2}, Refusal, "has 0 to 0.098 s"),
    ],
)
def test_windows_that_leave_the_record_are_refused_with_its_span(
    make: Callable[[], Waveforms | Seismic | Gather], given: dict[str, float | str], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        cut_window(make(), **given)  # type: ignore[arg-type]


def test_a_cut_record_is_drawn_over_its_own_time(shared: Path) -> None:
    held = read(shared / "seismology_obspy_trigger" / "BW.UH1._.SHZ.D.2010.147.cut.slist.gz")
    assert isinstance(held, Waveforms)
    made = cut_window(held, utc_start="2010-05-27T16:24:30", utc_end="2010-05-27T16:24:40")
    figure = plot.draw(made)
    assert figure is not None
    begin = obspy.UTCDateTime(figure.parameters["start"])  # type: ignore[attr-defined]
    assert abs(begin - obspy.UTCDateTime("2010-05-27T16:24:30")) < 0.011  # half a sample
    low, high = figure.axes[0].get_xlim()
    assert high - low == pytest.approx(10, abs=0.1)
