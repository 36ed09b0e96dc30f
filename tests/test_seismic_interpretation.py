"""Attributes of signals of known attributes, a horizon of known dip, faults planted at known places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moho.agent.tools.seismic_interpretation import attributes, fault_likelihood, track_horizon
from moho.agent.tools.seismic_modelling import ricker
from moho.encoders.synthetic import earth
from moho.errors import Refusal
from moho.survey import Array, Seismic

DT = 0.004


def dipping(dip: float, noise: float = 0.0, traces: int = 120, samples: int = 300) -> Seismic:
    """Plane layers of `dip` samples a trace; the strongest passes trace 60 (CDP 61) at sample 150."""
    rng = np.random.default_rng(0)
    spikes = np.zeros(3 * samples)
    spikes[rng.choice(3 * samples, 90, replace=False)] = rng.standard_normal(90)
    spikes[samples + 150] = 2.5
    wavelet = np.zeros(3 * samples)
    wavelet[:41] = ricker(np.arange(-20, 21) * DT, 25)
    spectrum, cycles = np.fft.rfft(spikes) * np.fft.rfft(np.roll(wavelet, -20)), np.fft.rfftfreq(3 * samples)
    shifted = spectrum * np.exp(-2j * np.pi * cycles * dip * (np.arange(traces)[:, None] - 60))
    data = np.fft.irfft(shifted, 3 * samples)[:, samples : 2 * samples]
    data += noise * data.std() * rng.standard_normal(data.shape)
    return Seismic(data=data.astype(np.float32), dt=DT, cdp=np.arange(1, traces + 1))


def faulted(seed: int, noise: float = 0.1) -> tuple[Seismic, Array]:
    """Folded layers cut by two faults through traces 60 and 140 at mid-depth; (section, (trace, sample) distance to a fault)."""
    rng = np.random.default_rng(seed)
    series = np.convolve(rng.standard_normal(656) * (rng.random(656) < 0.3), ricker(np.arange(-20, 21) * DT, 28), "same")
    x, t = np.meshgrid(np.arange(200), np.arange(256), indexing="ij")
    depth, distance = t + 100.0 + 6 * np.sin(x / 35) + 0.05 * x, np.full(x.shape, np.inf)
    for place, lean, throw in ((60, 0.3, 6), (140, -0.25, -5)):
        beyond = x - (place + lean * (t - 128))
        depth -= throw * (beyond > 0)
        distance = np.minimum(distance, np.abs(beyond))
    data = np.interp(depth, np.arange(656), series)
    data += noise * data.std() * rng.standard_normal(data.shape)
    return Seismic(data=data.astype(np.float32), dt=DT), distance


def area_under_curve(score: Array, truth: Array) -> float:
    order = np.argsort(score.ravel(), kind="stable")
    rank = np.empty(score.size)
    rank[order] = np.arange(1, score.size + 1)
    positive = int(truth.sum())
    return float((rank[truth.ravel()].sum() - positive * (positive + 1) / 2) / (positive * (score.size - positive)))


def test_a_chirp_has_its_frequency() -> None:
    t = np.arange(1000) * 0.002
    chirp = Seismic(data=np.sin(2 * np.pi * (10 * t + 10 * t**2))[None], dt=0.002)
    out = attributes(chirp, "instantaneous frequency")
    assert out.data[0, 50:-50] == pytest.approx(10 + 20 * t[50:-50], abs=0.4)


def test_a_modulated_cosine_has_its_envelope_and_phase() -> None:
    t = np.arange(1000) * 0.002
    envelope, phase = np.exp(-(((t - 1) / 0.3) ** 2)), 2 * np.pi * 30 * t
    line = Seismic(data=(envelope * np.cos(phase))[None], dt=0.002)
    assert attributes(line, "envelope").data[0] == pytest.approx(envelope, abs=0.005)
    turn = np.degrees(np.angle(np.exp(1j * phase)))[300:700]
    difference = (attributes(line, "instantaneous phase").data[0, 300:700] - turn + 180) % 360 - 180
    assert np.abs(difference).max() < 1
    assert attributes(line, "sweetness").data[0, 500] == pytest.approx(1 / np.sqrt(30), rel=0.02)


def test_rms_amplitude_of_a_constant() -> None:
    assert attributes(Seismic(data=np.full((2, 100), -3.0), dt=DT), "rms amplitude").data == pytest.approx(3)


def test_coherence_is_one_on_dipping_layers_and_low_at_faults() -> None:
    assert np.median(attributes(dipping(1.5), "coherence").data[5:-5]) > 0.98
    line, distance = faulted(2)
    out = attributes(line, "coherence")
    assert area_under_curve(-out.data, distance < 2) > 0.97


def test_dead_traces_have_no_attributes() -> None:
    data = dipping(0).data.copy()
    data[30] = 0
    for name in ("envelope", "instantaneous frequency", "coherence", "sweetness"):
        out = attributes(Seismic(data=data, dt=DT), name)  # type: ignore[arg-type]
        assert np.isfinite(out.data).all()
        assert not out.data[30].any()


@pytest.mark.parametrize("dip", [0, 0.3, -1.1, 1.2])
@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_horizon_follows_the_dip_everywhere(dip: float, noise: float) -> None:
    horizon = track_horizon(dipping(dip, noise), 61, 0.596)
    assert horizon.time / DT == pytest.approx(150 + dip * (np.arange(120) - 60), abs=1)
    assert horizon.facts["dip"].value == pytest.approx(dip * 4, abs=0.05)
    assert horizon.facts["tracked"].value == 100


def test_horizon_ends_where_the_reflector_ends() -> None:
    data = dipping(0.3).data.copy()
    data[90:] = data.std() * np.random.default_rng(4).standard_normal(data[90:].shape)
    horizon = track_horizon(Seismic(data=data.astype(np.float32), dt=DT), 61, 0.6)
    assert np.isfinite(horizon.time[:88]).all()
    assert np.isnan(horizon.time[100:]).all()
    first, last = horizon.facts["tracked_cdps"].value
    broken = horizon.facts["broken_after"].value
    assert (first, last) == (1, broken - 1)
    assert "broken_before" not in horizon.facts
    assert 89 <= broken <= 101
    assert any(f"tracked from CDP 1 to {last}, not at CDP {broken} and beyond" in note for note in horizon.notes)
    assert horizon.confidence is not None
    assert horizon.confidence[60] == pytest.approx(1)
    assert (horizon.confidence[:85] > 0.9).all()
    assert not horizon.confidence[100:].any()


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_horizon_is_right_where_it_is_tracked_and_ends_at_faults(seed: int) -> None:
    made = earth(seed)
    line, fault = made.section, made.truth["faults"][0]
    ended = 0
    for time in list(made.truth["horizons"].values())[2:5]:
        horizon = track_horizon(line, int(line.numbers[60]), float(time[60]))
        tracked = np.isfinite(horizon.time)
        known = tracked & np.isfinite(time)
        error = (horizon.time - time - (horizon.time[60] - time[60]))[known] / line.dt  # a top is anywhere on its wavelet
        assert np.mean(np.abs(error) <= 2) >= 0.95
        assert horizon.facts["tracked"].value == pytest.approx(100 * tracked.mean(), abs=0.01)
        if not tracked.all():
            lost = next(note for note in horizon.notes if note.startswith("lost at CDP"))
            crossing = np.interp(float(np.nanmean(time)), line.times, fault["cdp_at_time"])
            assert float(lost.split("CDP ")[1].split(":")[0]) == pytest.approx(crossing, abs=12)
            ended += 1
    assert ended


def test_teapot_reflector_is_tracked_to_both_ends(shared: Path) -> None:
    data = np.fromfile(shared / "seismic_teapot_tp73" / "tp73.dat", ">f4").reshape(357, 240).astype(np.float32)
    horizon = track_horizon(Seismic(data=data, dt=DT), 180, 0.35)
    assert horizon.facts["tracked"].value == 100
    assert horizon.time[[0, 130, 356]] == pytest.approx([0.475, 0.341, 0.374], abs=0.012)  # the anticline, read off the section
    assert np.abs(np.diff(horizon.time)).max() < 0.015
    back = track_horizon(Seismic(data=data, dt=DT), 20, float(horizon.time[19]))  # from another seed, the same horizon
    assert back.time == pytest.approx(horizon.time, abs=0.004)


@pytest.mark.parametrize("seed", [2, 4, 5])
def test_planted_faults_are_found(seed: int) -> None:
    line, distance = faulted(seed)
    result = fault_likelihood(line)
    assert result.data.min() >= 0
    assert result.data.max() <= 1
    assert sorted(result.facts["fault_cdp"].value) == pytest.approx([61, 141], abs=3)
    dips = dict(zip(result.facts["fault_cdp"].value, result.facts["fault_dip"].value, strict=True))
    assert [dips[n] for n in sorted(dips)] == pytest.approx([90 - np.degrees(np.arctan(0.3)), 90 + np.degrees(np.arctan(0.25))], abs=2)
    assert area_under_curve(result.data, distance < 2) > 0.98


@pytest.mark.parametrize("seed", [80, 81])
def test_the_velocity_shadow_of_a_fault_is_said_to_be_one_and_begins_at_the_fault(seed: int) -> None:
    made = earth(seed)
    result, fault = fault_likelihood(made.section), made.truth["faults"][0]
    cdp, middle, length = (result.facts[key].value[0] for key in ("fault_cdp", "fault_time", "fault_length"))
    note = next(note for note in result.notes if note.startswith("upright over a long time"))
    assert str(cdp) in note
    times = made.section.times
    assert cdp == pytest.approx(np.interp(middle - 0.5 * length, times, fault["cdp_at_time"]), abs=6)
    assert abs(cdp - np.interp(middle, times, fault["cdp_at_time"])) > 6  # not where the fault is at that depth


def test_unfaulted_layers_have_no_faults() -> None:
    assert fault_likelihood(dipping(0.5, 0.3)).facts["faults"].value == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: track_horizon(dipping(0), 500, 0.6), "CDP 1 to 120"),
        (lambda: track_horizon(dipping(0), 61, 3.0), "0 to 1.196 s"),
        (lambda: track_horizon(replace(dipping(0), domain="depth"), 61, 0.6), "depth"),
        (lambda: track_horizon(Seismic(data=np.zeros((9, 99)), dt=DT), 3, 0.1), "dead"),
        (lambda: attributes(dipping(0), "rms amplitude", 5.0), "longer than the record"),
        (lambda: attributes(dipping(0), "coherence", 0.001), "at least 2"),
        (lambda: attributes(Seismic(data=np.ones((1, 99)), dt=DT), "coherence"), "only 1"),
        (lambda: attributes(Seismic(data=np.full((2, 99), np.nan), dt=DT), "envelope"), "NaN"),
        (lambda: attributes(replace(dipping(0), domain="depth"), "instantaneous frequency"), "depth"),
        (lambda: fault_likelihood(Seismic(data=np.ones((4, 99)), dt=DT)), "too small"),
    ],
)
def test_what_has_no_meaning_is_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(Refusal, match=words):
        call()


def test_a_cdp_between_numbers_names_the_nearest() -> None:
    line = replace(dipping(0), cdp=np.arange(100, 340, 2))
    with pytest.raises(ValueError, match="150 and 152"):
        track_horizon(line, 151, 0.6)


def test_a_tracked_horizon_is_drawn_on_its_section() -> None:
    from moho.plot import draw

    horizon = track_horizon(dipping(0.3), 61, 0.6)
    kept = horizon.view["section"]
    assert kept["data"].shape == (120, len(kept["time"]))
    assert kept["time"][0] < np.nanmin(horizon.time) - 0.09
    assert kept["time"][-1] > np.nanmax(horizon.time) + 0.09
    figure = draw(horizon)
    assert figure is not None
    assert figure.axes[0].get_ylim() == pytest.approx((kept["time"][-1], kept["time"][0]))
    bare = draw(replace(horizon, domain="depth"))  # the section was in time
    assert bare is not None
    assert bare.axes[0].get_ylim() != pytest.approx((kept["time"][-1], kept["time"][0]), abs=0.01)


def test_fault_likelihood_is_coloured_from_0_to_1() -> None:
    from moho.plot import draw

    figure = draw(fault_likelihood(dipping(0.3)))
    assert figure is not None
    assert figure.axes[0].images[0].get_clim() == (0, 1)
