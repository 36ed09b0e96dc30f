"""Response, filters, inspection and travel times against round trips, impulses and published times."""

from __future__ import annotations

import numpy as np
import obspy
import pytest

from moho.agent.tools.seismology import earth_travel_times, filter_waveforms, remove_response, waveform_inspect
from moho.errors import Refusal
from moho.survey import Response, Waveforms

RATE = 100.0


@pytest.fixture(scope="module")
def record() -> Waveforms:
    return Waveforms(stream=obspy.read())


@pytest.fixture(scope="module")
def response() -> Response:
    return Response(inventory=obspy.read_inventory())


def made_trace(data: np.ndarray, channel: str = "EHZ") -> obspy.Trace:
    header = {"network": "BW", "station": "RJOB", "channel": channel, "sampling_rate": RATE, "starttime": obspy.UTCDateTime("2009-08-24T00:20:03")}
    return obspy.Trace(np.asarray(data, float), header)


def ground(samples: int = 8192) -> np.ndarray:
    """Band-limited ground velocity, m/s, quiet at both ends."""
    t = (np.arange(samples) - samples / 2) / RATE
    return 1e-6 * np.exp(-((t / 8) ** 2)) * (np.sin(2 * np.pi * 2 * t) + 0.5 * np.sin(2 * np.pi * 7.3 * t + 1))


@pytest.mark.parametrize(("output", "power"), [("displacement", -1), ("velocity", 0), ("acceleration", 1)])
def test_response_there_and_back(response: Response, output: str, power: int) -> None:
    velocity = ground()
    spectrum = np.fft.rfft(velocity, 2 * len(velocity))
    f = np.fft.rfftfreq(2 * len(velocity), 1 / RATE)
    trace = made_trace(velocity)
    transfer = response.inventory.get_response(trace.id, trace.stats.starttime).get_evalresp_response_for_frequencies(f, output="VEL")
    trace.data = np.fft.irfft(spectrum * transfer)[: len(velocity)]
    made = remove_response(Waveforms(stream=obspy.Stream([trace])), response, output, 0.5, 20)  # type: ignore[arg-type]
    wanted = np.fft.irfft(spectrum * np.where(f > 0, 2j * np.pi * np.maximum(f, 1e-9), 1) ** power)[: len(velocity)]
    error = np.linalg.norm(made.stream[0].data - wanted) / np.linalg.norm(wanted)
    assert error < 0.01
    assert made.quantity == output
    assert made.band == (0.5, 20)


def test_response_leaves_the_input_alone_and_says_its_prefilter(record: Waveforms, response: Response) -> None:
    before = [trace.data.copy() for trace in record.stream]
    made = remove_response(record, response)
    assert all(np.array_equal(a, trace.data) for a, trace in zip(before, record.stream, strict=True))
    assert made.unit == "m/s"
    assert sum("chosen" in note for note in made.notes) == 2
    assert made.facts["band"].value == [pytest.approx(5 / 30), 40.0]
    with pytest.raises(Refusal, match="removed already"):
        remove_response(made, response)


@pytest.mark.parametrize("change", [{"station": "NOPE"}, {"starttime": obspy.UTCDateTime("1990-01-01")}, {"location": "10"}])
def test_response_must_match_id_and_time(record: Waveforms, response: Response, change: dict) -> None:
    stream = record.stream.copy()
    stream[0].stats.update(change)
    with pytest.raises(Refusal, match="response has nothing for") as raised:
        remove_response(Waveforms(stream=stream), response)
    assert stream[0].id in str(raised.value)


def test_filter_keeps_phase_and_halves_amplitude_at_its_corners() -> None:
    impulse = np.zeros(8001)
    impulse[4000] = 1
    made = filter_waveforms(Waveforms(stream=obspy.Stream([made_trace(impulse)])), 2, 20).stream[0].data
    np.testing.assert_allclose(made, made[::-1], atol=1e-9)
    gain = np.abs(np.fft.rfft(made))
    f = np.fft.rfftfreq(len(made), 1 / RATE)
    np.testing.assert_allclose(np.interp([2, 20], f, gain), 0.5, atol=5e-3)
    np.testing.assert_allclose(np.interp(8, f, gain), 1, atol=5e-3)


def test_one_corner_makes_a_high_or_low_pass() -> None:
    t = np.arange(4000) / RATE
    both = Waveforms(stream=obspy.Stream([made_trace(np.sin(2 * np.pi * t) + np.sin(2 * np.pi * 20 * t))]))
    middle = slice(1000, 3000)
    np.testing.assert_allclose(filter_waveforms(both, low=5).stream[0].data[middle], np.sin(2 * np.pi * 20 * t)[middle], atol=0.01)
    np.testing.assert_allclose(filter_waveforms(both, high=5).stream[0].data[middle], np.sin(2 * np.pi * t)[middle], atol=0.01)


def test_a_made_gap_and_overlap_are_found_to_the_sample() -> None:
    whole = made_trace(np.random.default_rng(0).normal(size=3000))
    t0, dt = whole.stats.starttime, whole.stats.delta
    gappy = obspy.Stream([whole.slice(t0, t0 + 999 * dt), whole.slice(t0 + 1017 * dt, t0 + 2000 * dt), whole.slice(t0 + 1990 * dt)])
    facts = waveform_inspect(Waveforms(stream=gappy)).facts
    assert facts["gaps"].value == 1
    assert facts["gap_samples"].value == [17]
    assert facts["overlaps"].value == 1
    assert facts["overlap_samples"].value == [11]
    masked = obspy.Stream([gappy[0].copy(), gappy[1].copy()]).merge()
    assert waveform_inspect(Waveforms(stream=masked)).facts["gap_samples"].value == [17]


def test_a_gappy_record_is_filtered_piece_by_piece() -> None:
    whole = made_trace(np.random.default_rng(0).normal(size=3000))
    masked = whole.copy()
    masked.data = np.ma.masked_array(whole.data, np.isin(np.arange(3000), range(1000, 1017)))
    made = filter_waveforms(Waveforms(stream=obspy.Stream([masked])), 1, 10)
    assert len(made.stream) == 2
    assert sum(len(trace) for trace in made.stream) == 3000 - 17
    assert any("gaps" in note for note in made.notes)


def test_clipping_is_seen() -> None:
    t = np.arange(3000) / RATE
    loud = np.clip(np.round(5000 * np.sin(2 * np.pi * 1.03 * t)), -4000, 4000)
    assert waveform_inspect(Waveforms(stream=obspy.Stream([made_trace(loud)]))).facts["clipped"].value == ["BW.RJOB..EHZ"]
    fine = np.round(5000 * np.sin(2 * np.pi * 3.3 * t))
    assert waveform_inspect(Waveforms(stream=obspy.Stream([made_trace(fine)]))).facts["clipped_channels"].value == 0


def test_iasp91_times_at_thirty_degrees() -> None:
    facts = earth_travel_times(30, 0, "P,S,PcP").facts
    assert facts["P"].value == pytest.approx(370.26, abs=0.01)
    assert facts["S"].value == pytest.approx(670.27, abs=0.02)
    assert facts["PcP"].value > facts["P"].value
    assert facts["S_minus_P"].value == pytest.approx(facts["S"].value - facts["P"].value, abs=2e-3)


def test_deeper_sources_arrive_earlier_and_models_agree() -> None:
    assert earth_travel_times(60, 300, "P").facts["P"].value < earth_travel_times(60, 0, "P").facts["P"].value
    assert earth_travel_times(60, 0, "P", "ak135").facts["P"].value == pytest.approx(earth_travel_times(60, 0, "P").facts["P"].value, abs=1)


def test_the_shadow_is_said() -> None:
    made = earth_travel_times(120, 0, "P,PKIKP")
    assert "P" not in made.facts
    assert made.facts["missing"].value == ["P"]
    assert any("P does not arrive at 120 deg" in note and "Pdiff" in note for note in made.notes)


def bad_samples() -> Waveforms:
    data = np.ones(1000)
    data[3] = np.nan
    return Waveforms(stream=obspy.Stream([made_trace(data)]))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda w, r: filter_waveforms(w, 1, 60), Refusal, "60 Hz is not below the Nyquist frequency of 50 Hz"),
        (lambda w, r: filter_waveforms(w, 10, 5), ValueError, "low < high"),
        (lambda w, r: filter_waveforms(w), ValueError, "low corner, a high corner"),
        (lambda w, r: filter_waveforms(w, 0.01), Refusal, "one cycle"),
        (lambda w, r: filter_waveforms(bad_samples(), 1), Refusal, "BW.RJOB..EHZ: 1"),
        (lambda w, r: remove_response(w, r, low=1, high=70), Refusal, "Nyquist"),
        (lambda w, r: remove_response(w, r, low=10, high=5), ValueError, "low < high"),
        (lambda w, r: earth_travel_times(30, 0, "P,foo"), ValueError, "PcP"),
        (lambda w, r: earth_travel_times(30, 0, "K"), ValueError, "name phases such as"),
        (lambda w, r: earth_travel_times(200), ValueError, "from 0 to 180"),
        (lambda w, r: earth_travel_times(30, 900), ValueError, "from 0 to 800"),
    ],
)
def test_bad_input_is_turned_down_with_a_reason(record: Waveforms, response: Response, call: object, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call(record, response)  # type: ignore[operator]


def test_inspection_reports_nan_and_dead_channels() -> None:
    made = waveform_inspect(bad_samples())
    assert made.facts["nan_samples"].value == 1
    assert any("dead" in note for note in made.notes)
