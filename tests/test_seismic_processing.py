"""Filters, gain, deconvolution, f-x prediction, stack and velocities against closed forms and real lines of known answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moho.agent.tools.seismic_modelling import ricker
from moho.agent.tools.seismic_processing import bandpass, decon, fx_decon, gain_agc, nmo_stack, trapezoid, velocity_semblance
from moho.errors import Missing, Refusal
from moho.segy import read_segy
from moho.survey import Array, Gather, Seismic

DT = 0.004


def section(data: Array, **more: object) -> Seismic:
    return Seismic(data=np.asarray(data, dtype=np.float32), dt=DT, **more)  # type: ignore[arg-type]


def noise(traces: int = 12, samples: int = 500, seed: int = 1) -> Seismic:
    return section(np.random.default_rng(seed).standard_normal((traces, samples)))


def hyperbolas(events: list[tuple[float, float, float]], samples: int = 501, seed: int | None = None) -> Gather:
    """A CDP gather with (t0 s, velocity m/s, amplitude) events."""
    offset, times = np.arange(100, 2100, 50.0), np.arange(samples) * DT
    data = sum(a * ricker(times - np.sqrt(t0**2 + (offset[:, None] / v) ** 2), 30) for t0, v, a in events)
    if seed is not None:
        data = data + 0.2 * np.random.default_rng(seed).standard_normal(data.shape)
    return Gather(data=np.asarray(data, np.float32), dt=DT, offset=offset, cdp=np.full(len(offset), 7))


def test_an_impulse_becomes_the_trapezoid() -> None:
    impulse = np.zeros((1, 16001))
    impulse[0, 8000] = 1
    out = bandpass(section(impulse), 10, 40, 5, 50).data[0].astype(float)
    frequency = np.fft.rfftfreq(16001, DT)
    assert np.abs(np.fft.rfft(out)) == pytest.approx(trapezoid(frequency, (5, 10, 40, 50)), abs=5e-4)
    assert out == pytest.approx(out[::-1], abs=1e-7)  # zero phase


def test_nothing_wraps_around() -> None:
    late = np.zeros((1, 1000))
    late[0, 990] = 1
    out = bandpass(section(late), 10, 40).data[0]
    assert np.abs(out[:100]).max() < 2e-3 * np.abs(out).max()


def test_the_pass_band_stays_on_the_line() -> None:
    once = bandpass(noise(), 10, 60)
    assert once.band == (10, 60)
    twice = bandpass(once, 5, 40)
    assert twice.band == (10, 40)
    assert twice.facts["pass_band"].value == [10, 40]
    with pytest.raises(Refusal, match="10 to 60 Hz"):
        bandpass(once, 70, 90)


def test_agc_gives_unit_rms_and_keeps_signs() -> None:
    line = noise()
    loud = replace(line, data=line.data * np.linspace(0.01, 100, 500, dtype=np.float32))
    out = gain_agc(loud, 0.4)
    pieces = out.data[:, 50:450].reshape(12, 4, 100)
    assert np.sqrt(np.mean(pieces**2, axis=-1)) == pytest.approx(1, abs=0.2)
    assert np.array_equal(np.sign(out.data), np.sign(loud.data))


def test_agc_is_the_centred_rms_window() -> None:
    line = noise(2, 300)
    out = gain_agc(line, 0.1)
    half = round(0.1 / DT) // 2
    for i in (0, 5, 150, 299):
        window = line.data[0, max(0, i - half) : i + half + 1].astype(float)
        assert out.data[0, i] == pytest.approx(line.data[0, i] / np.sqrt(np.mean(window**2)), rel=1e-5)


def test_dead_traces_and_mutes_stay_dead() -> None:
    data = noise().data.copy()
    data[4] = 0
    data[5, :200] = 0
    data[6, 7] = np.nan
    for step in (gain_agc, decon, lambda one: bandpass(one, 10, 60), lambda one: fx_decon(one, traces=10)):
        out = step(section(data))
        assert np.isfinite(out.data).all()
        assert not out.data[4].any()
    assert not gain_agc(section(data)).data[5, :200].any()
    assert any("NaN" in note for note in gain_agc(section(data)).notes)


def test_power_of_time() -> None:
    out = gain_agc(section(np.ones((1, 11)), t0=1.0), power=2)
    assert out.data[0] == pytest.approx((1 + DT * np.arange(11)) ** 2, rel=1e-6)


def test_spiking_decon_recovers_the_series() -> None:
    spikes = np.random.default_rng(5).standard_normal(2000) * (np.random.default_rng(6).random(2000) < 0.3)
    wavelet = np.convolve(np.convolve([1, -0.8], [1, 0.5]), [1, 0.6])  # all zeros inside the circle: minimum phase
    out = decon(section(np.convolve(spikes, wavelet)[None, :2000]), operator=0.16)
    assert np.corrcoef(out.data[0], spikes)[0, 1] > 0.98


def test_predictive_decon_removes_the_water_layer() -> None:
    primary = np.convolve(np.random.default_rng(8).standard_normal(1500), ricker(np.arange(-10, 11) * DT, 30), "same")
    reverberation = np.zeros(1500)
    reverberation[::25] = (-0.6) ** np.arange(60)  # every 100 ms
    out = decon(section(np.convolve(primary, reverberation)[None, :1500]), operator=0.06, lag=0.08)

    def at_the_period(trace: Array) -> float:
        return float(np.dot(trace[25:], trace[:-25]) / np.dot(trace, trace))

    assert at_the_period(np.convolve(primary, reverberation)[:1500]) < -0.4
    assert abs(at_the_period(out.data[0].astype(float))) < 0.1
    assert np.corrcoef(out.data[0], primary)[0, 1] > 0.95


def test_fx_decon_on_noisy_teapot(shared: Path) -> None:
    clean = np.fromfile(shared / "seismic_teapot_tp73" / "tp73.dat", ">f4").reshape(357, 240).astype(np.float32)
    noisy = clean + 0.7 * clean.std() * np.random.default_rng(0).standard_normal(clean.shape)

    def ratio(data: Array) -> float:
        return float(10 * np.log10((clean**2).sum() / ((data - clean) ** 2).sum()))

    assert ratio(noisy) == pytest.approx(3.10, abs=0.02)
    assert ratio(fx_decon(section(noisy)).data) > 9.5


def test_fx_decon_keeps_plane_events() -> None:
    trace, times = np.arange(40)[:, None], np.arange(300) * DT
    plane = ricker(times - 0.3 - 0.003 * trace, 25) + 0.7 * ricker(times - 0.8 + 0.002 * trace, 25)
    out = fx_decon(section(plane))
    assert np.linalg.norm(out.data - plane) < 0.02 * np.linalg.norm(plane)


def test_fx_decon_does_not_mix_shots() -> None:
    data = noise(40).data
    shots = np.repeat([1, 2], 20)
    both = fx_decon(Gather(data=data, dt=DT, offset=np.arange(40.0), shot=shots))
    alone = fx_decon(Gather(data=data[20:], dt=DT, offset=np.arange(20.0)))
    assert np.array_equal(both.data[20:], alone.data)


def test_stack_flattens_and_mutes() -> None:
    gather = hyperbolas([(0.6, 1800, 1.0), (1.1, 2400, -0.7), (1.5, 3000, 0.5)])
    stack = nmo_stack(gather, [1800, 2400, 3000], [0.6, 1.1, 1.5])
    trace = stack.data[0]
    assert stack.data.shape == (1, 501)
    assert stack.cdp is not None
    assert stack.cdp[0] == 7
    assert abs(int(trace[:200].argmax()) - 150) <= 1
    assert abs(int(trace.argmin()) - 275) <= 1
    assert trace[150] == pytest.approx(1, abs=0.03)  # a flat event stacks to its own amplitude, whatever the fold
    assert trace[275] == pytest.approx(-0.7, abs=0.03)
    wrong = nmo_stack(gather, [1500]).data[0]
    assert np.abs(wrong[100:200]).max() < 0.8


def test_semblance_peaks_at_the_true_velocities() -> None:
    for seed in (None, 1):
        report = velocity_semblance(hyperbolas([(0.6, 1800, 1.0), (1.1, 2400, -0.7), (1.5, 3000, 0.5)], seed=seed))
        times, velocities = np.array(report.facts["pick_times"].value), np.array(report.facts["pick_velocities"].value)
        for t0, v in ((0.6, 1800), (1.1, 2400), (1.5, 3000)):
            nearest = int(np.abs(times - t0).argmin())
            assert times[nearest] == pytest.approx(t0, abs=DT)
            assert velocities[nearest] == pytest.approx(v, rel=0.01)
        assert report.arrays["semblance"].shape == (501, len(report.arrays["velocity"]))
        assert report.arrays["semblance"].max() <= 1 + 1e-9


def test_nothing_is_picked_in_the_water() -> None:
    gather = hyperbolas([(0.9, 1800, 1), (1.3, 2300, 0.5)])
    hum = 1e-3 * np.sin(2 * np.pi * 20 * gather.times)  # coherent at infinite velocity, far below the reflections
    report = velocity_semblance(replace(gather, data=(gather.data + hum).astype(np.float32)))
    assert min(report.facts["pick_times"].value) > 0.8
    assert any("nothing is picked before" in note for note in report.notes)


def test_a_velocity_at_the_edge_of_the_scan_is_said() -> None:
    gather = hyperbolas([(0.9, 3000, 1)])
    assert any("edge of the scan" in note for note in velocity_semblance(gather, 1500, 2900).notes)
    two = hyperbolas([(0.9, 3000, 1), (1.4, 2000, 0.3)], seed=1)
    assert any("at the edge of the scan, 2950 m/s" in note for note in velocity_semblance(two, 1500, 2950).notes)
    assert not any("edge of the scan" in note for note in velocity_semblance(gather).notes)


def test_a_lag_between_samples_and_an_unused_window_are_said() -> None:
    assert "the lag of 0.01 s was rounded to 2 samples, 0.008 s" in decon(noise(), 0.08, 0.01).notes
    assert not any("rounded" in note for note in decon(noise(), 0.08, 0.1).notes)
    assert "the window of 0.3 s was not used" in gain_agc(noise(), 0.3, power=2).notes[0]


def test_viking_sea_floor_velocity(shared: Path) -> None:
    shots = read_segy(shared / "seismic_viking_shots" / "viking_small.segy")
    assert isinstance(shots, Gather)
    report = velocity_semblance(shots)
    panel, velocities = report.arrays["semblance"], report.arrays["velocity"]
    assert velocities[panel[round(0.478 / DT)].argmax()] == pytest.approx(1438, rel=0.01)
    assert report.facts["velocity"].value == pytest.approx(1438, rel=0.01)
    assert 0.46 < report.facts["time"].value < 0.55
    stack = nmo_stack(shots, [1480])
    assert stack.data.shape == (126, 600)
    assert np.isfinite(stack.data).all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: bandpass(noise(), 10, 130), Refusal, "130 Hz is above the Nyquist frequency of 125 Hz"),
        (lambda: bandpass(noise(), 10, 100, high_cut=126), Refusal, "high_cut"),
        (lambda: bandpass(noise(), 40, 10), ValueError, "low < high"),
        (lambda: bandpass(noise(), 10, 40, low_cut=20), ValueError, "low_cut <= low"),
        (lambda: bandpass(replace(noise(), domain="depth"), 10, 40), Refusal, "depth"),
        (lambda: bandpass(section(np.zeros((3, 50))), 10, 40), Refusal, "dead"),
        (lambda: bandpass(section(np.full((3, 50), np.nan)), 10, 40), Refusal, "NaN"),
        (lambda: gain_agc(noise(), 10), Refusal, "longer than the record"),
        (lambda: gain_agc(noise(), 0.001), Refusal, "at least 2"),
        (lambda: gain_agc(noise(), power=50), ValueError, "power"),
        (lambda: decon(noise(), 3), Refusal, "longer than the record"),
        (lambda: decon(noise(), 0.08, 1.99), Refusal, "together"),
        (lambda: decon(noise(), 0.08, 0.94), Refusal, "1.02 s long, more than half of the record of 2 s"),
        (lambda: decon(noise(), 0.003), ValueError, "operator of 0.003 s is shorter than one sample of 0.004 s"),
        (lambda: decon(noise(), 0.08, 0.001), ValueError, "lag of 0.001 s is shorter than one sample of 0.004 s"),
        (lambda: nmo_stack(hyperbolas([(0.6, 1800, 1)]), [1500, 2000], [0.0, 500.0]), Refusal, "at 500 s, the record ends at 2 s"),
        (lambda: nmo_stack(hyperbolas([(0.6, 1800, 1)]), [1500], [500.0]), Refusal, "at 500 s, the record ends at 2 s"),
        (lambda: fx_decon(noise(), traces=6), ValueError, "traces > 2"),
        (lambda: fx_decon(noise()), Refusal, "only 12"),
        (lambda: nmo_stack(hyperbolas([(0.6, 1800, 1)]), [-1500]), Refusal, "above zero"),
        (lambda: nmo_stack(hyperbolas([(0.6, 1800, 1)]), [1500, 2000]), Missing, "which zero-offset times"),
        (lambda: nmo_stack(hyperbolas([(0.6, 1800, 1)]), [1500, 2000], [1.0]), ValueError, "one time for each"),
        (lambda: nmo_stack(hyperbolas([(0.6, 1800, 1)]), [1500, 2000], [1.0, 0.5]), ValueError, "increase"),
        (lambda: velocity_semblance(hyperbolas([(0.6, 1800, 1)]), 3000, 2000), ValueError, "lowest < highest"),
        (lambda: velocity_semblance(hyperbolas([(0.6, 1800, 1)]), cdp=9), Refusal, "CDP 9"),
        (lambda: velocity_semblance(replace(hyperbolas([(0.6, 1800, 1)]), offset=np.zeros(40))), Refusal, "no moveout"),
    ],
)
def test_physics_that_does_not_work_is_refused(call: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
