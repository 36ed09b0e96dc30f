"""Full-waveform inversion: the misfit falls, its gradient is right, it refuses to skip cycles, it can be stopped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from moho import plot
from moho.agent.registry import find_tool
from moho.agent.tools import waveform_inversion as inversion
from moho.agent.tools.velocity_models import velocity_model
from moho.agent.tools.wave_modelling import one_thread, wave_acoustic_2d
from moho.agent.tools.waveform_inversion import fwi_2d, invert, prepare
from moho.errors import DataError, Missing, Refusal
from moho.store import dump


def smoothed(model, nodes):
    return replace(model, data=gaussian_filter(model.data, nodes, mode="nearest"), facts={})


@pytest.fixture(scope="module")
def small():
    """A 36 by 20 model with a block, three shots at 8 Hz, a start without the block."""
    kind = {"length": 700.0, "depth": 380.0, "gradient": 0.8, "spacing": 20.0}
    true = velocity_model(1800.0, **kind, block_velocity=2400.0, block_x=340.0, block_depth=200.0, block_size=100.0)
    shots = wave_acoustic_2d(true, 8.0, [100.0, 340.0, 600.0], 0.7, source_depth=40.0, receiver_depth=20.0, dt=0.008)
    return true, velocity_model(1800.0, **kind), shots


def test_the_misfit_falls_fourfold_in_eight_iterations_over_the_made_model():
    true = velocity_model(
        1800.0, 2380.0, 1180.0, gradient=0.6, spacing=20.0, layer_depths=[400.0, 760.0], layer_velocities=[2000.0, 2300.0],
        block_velocity=2600.0, block_x=1200.0, block_depth=500.0, block_size=240.0,
    )  # fmt: skip
    assert true.data.shape == (120, 60)
    shots = wave_acoustic_2d(true, 5.0, [200.0, 600.0, 1000.0, 1400.0, 1800.0, 2200.0], 1.3, 40.0, None, 40.0, 40.0, 0.01)
    start = smoothed(true, 12)
    found = fwi_2d([shots], start, [5.0], 8, 5.0, fastest=3400.0)
    assert found.facts["iterations"].value == 8
    assert found.facts["reduction"].value > 4
    history = found.facts["misfit_history"].value
    assert history == sorted(history, reverse=True)
    assert np.sqrt(np.mean((found.data - true.data) ** 2)) < 0.85 * np.sqrt(np.mean((start.data - true.data) ** 2))
    notes = " ".join(found.notes)
    for said in ("not unique", "Courant number", "half a period", "illumination"):
        assert said in notes


def test_the_gradient_is_the_slope_of_the_misfit(small):
    _, start, shots = small
    plan = prepare([shots], start, [8.0], 1, 8.0)
    data, wavelet = inversion._band(plan, inversion.Progress(plan.ground.values))
    bump = np.zeros_like(plan.ground.values)
    bump[12:24, 6:14] = 1.0
    with one_thread():
        _, gradient = inversion._misfit(plan, plan.ground.values, data, wavelet)
        up, down = (inversion._misfit(plan, plan.ground.values + sign * 10 * bump, data, wavelet, gradient=False)[0] for sign in (1, -1))
    assert float((gradient * bump).sum()) == pytest.approx((up - down) / 20, rel=0.02)


def test_the_source_is_found_from_the_records_and_strength_and_sign_do_not_matter(small):
    _, start, shots = small
    odd = replace(shots, data=-1e5 * shots.data)
    found = fwi_2d([odd], start, [6.0, 10.0], 3)
    assert found.facts["reduction"].value > 1.5
    assert found.facts["frequencies"].value == [6.0, 10.0]
    assert found.facts["band"].value[1] == 10.0
    known = fwi_2d([odd], start, [8.0], 2, 8.0)
    np.testing.assert_allclose(known.data, fwi_2d([shots], start, [8.0], 2, 8.0).data, rtol=1e-4)


def test_stopped_and_resumed_it_ends_where_it_would_have(small, tmp_path):
    _, start, shots = small
    plan = prepare([shots], start, [6.0, 9.0], 2, 8.0)
    whole = invert(plan)
    first = invert(plan, tmp_path, until=2)  # stopped at the end of the first band
    assert len(first.history) == 3
    again = invert(plan, tmp_path)
    assert [band for band, _ in again.history] == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(again.model, whole.model)
    assert again.history == whole.history
    other = prepare([shots], start, [6.0, 9.5], 2, 8.0)
    with pytest.raises(DataError, match="other settings"):
        invert(other, tmp_path)
    (tmp_path / "inversion.npz").write_bytes(b"broken")
    with pytest.raises(DataError, match="damaged"):
        invert(plan, tmp_path)


def test_killed_inside_a_band_it_ends_with_the_same_bytes(small, tmp_path, monkeypatch):
    _, start, shots = small
    plan = prepare([shots], start, [8.0], 3, None)
    whole = invert(plan)
    true, calls, killed = inversion._misfit, [], []

    def counted(*given, **named):
        if (tmp_path / "inversion.npz").exists() and not killed:
            killed.append(1)
            raise KeyboardInterrupt  # in the second iteration
        calls.append(1)
        return true(*given, **named)

    monkeypatch.setattr(inversion, "_misfit", counted)
    with pytest.raises(KeyboardInterrupt):
        invert(plan, tmp_path)
    before = inversion.Progress.load(tmp_path / "inversion.npz", plan.fingerprint)
    assert (before.band, before.iteration) == (0, 1)
    again = invert(plan, tmp_path)
    assert again.model.tobytes() == whole.model.tobytes()
    assert again.history == whole.history
    assert dump(inversion.result(plan, start, again)) == dump(inversion.result(plan, start, whole))
    assert len(calls) == whole.evaluations + 1  # nothing was computed twice; the one more is the misfit before any step


def test_a_source_estimated_from_the_records_brings_misfit_and_model_down_like_the_known_one(small):
    true, start, shots = small

    def error(model):
        inside = np.s_[8:28, 4:16]
        return float(np.sqrt(np.mean((model.data[inside] - true.data[inside]) ** 2)))

    known, estimated = (fwi_2d([shots], start, [6.0, 10.0], 4, frequency) for frequency in (8.0, None))
    for one, other in zip(known.facts["reductions"].value, estimated.facts["reductions"].value, strict=True):
        assert other > 0.8 * one > 1
    assert estimated.facts["misfit"].value < 1.5 * known.facts["misfit"].value
    assert error(known) < 0.75 * error(start)
    assert error(estimated) < 0.88 * error(start)  # the wavelet takes up part of what the model should: about half as far


def test_a_result_is_continued_with_its_history(small):
    _, start, shots = small
    first = fwi_2d([shots], start, [8.0], 2, 8.0)
    second = fwi_2d([shots], first, [8.0], 2, 8.0)
    assert second.facts["iterations"].value == 4
    assert second.facts["misfit_history"].value[:3] == first.facts["misfit_history"].value
    assert second.facts["misfit"].value < first.facts["misfit"].value
    assert dump(first) == dump(fwi_2d([shots], start, [8.0], 2, 8.0))


def test_a_start_half_a_period_off_is_refused_with_the_numbers(small):
    _, start, shots = small
    slow = replace(start, data=0.55 * start.data)
    with pytest.raises(Refusal, match=r"cycle skipping: in \d+ % of the traces .* half a period \([\d.]+ ms at [\d.]+ Hz\)"):
        prepare([shots], slow, [8.0], 1, 8.0)


def test_water_is_kept(small):
    _, start, shots = small
    found = fwi_2d([shots], start, [8.0], 1, 8.0, fixed_depth=100.0)
    np.testing.assert_array_equal(found.data[:, :6], start.data[:, :6])
    assert np.abs(found.data[:, 6:] - start.data[:, 6:]).max() > 1


def dead(shots):
    return replace(shots, data=np.zeros_like(shots.data))


@pytest.mark.parametrize(
    ("change", "given", "kind", "words"),
    [
        (dead, {}, Refusal, "dead"),
        (lambda s: replace(s, data=np.full_like(s.data, np.nan)), {}, Refusal, "hold NaN"),
        (lambda s: replace(s, data=s.data[:, :8]), {}, Refusal, "too few"),
        (lambda s: replace(s, source_x=None), {}, Refusal, "no source and receiver"),
        (lambda s: replace(s, receiver_y=s.receiver_x), {}, Refusal, "not along x"),
        (lambda s: replace(s, receiver_x=s.receiver_x + 5000), {}, Refusal, "lie outside"),
        (lambda s: replace(s, shot=np.ones_like(s.shot)), {}, Refusal, "has sources from"),
        (lambda s: s, {"frequencies": [60.0]}, Refusal, "numerical dispersion"),
        (lambda s: s, {"frequencies": [0.1]}, Refusal, "is empty"),
        (lambda s: s, {"frequencies": [9.0, 5.0]}, ValueError, "increase"),
        (lambda s: s, {"fastest": 1900.0}, ValueError, "must hold the start model"),
        (lambda s: s, {"fixed_depth": 5000.0}, ValueError, "keeps the whole model"),
    ],
)
def test_records_that_cannot_be_inverted_are_refused(small, change, given, kind, words):
    _, start, shots = small
    with pytest.raises(kind, match=words):
        prepare([change(shots)], **({"start": start, "frequencies": [8.0], "source_frequency": 8.0} | given))


def test_no_shots_and_shots_on_two_time_axes_are_turned_down(small):
    _, start, shots = small
    with pytest.raises(Missing):
        prepare([], start)
    with pytest.raises(Refusal, match="different time axes"):
        prepare([shots, replace(shots, dt=0.004)], start)


def test_dead_and_broken_traces_are_left_out_and_said(small):
    _, start, shots = small
    data = shots.data.copy()
    data[3], data[40, 5] = 0, np.nan
    plan = prepare([replace(shots, data=data)], start, [8.0], 1, 8.0)
    assert "left out: 1 dead traces and 1 with NaN" in plan.notes
    assert plan.survey.live.sum() == len(data) - 2


def test_time_and_memory_are_estimated_before_it_starts(small):
    _, start, shots = small
    cost = find_tool("fwi_2d").cost
    one, ten = cost([shots], start, [8.0], 1), cost([shots], start, [8.0], 10)
    assert 0 < one.seconds < ten.seconds
    assert one.bytes > 1e8


def test_the_model_is_drawn_with_its_illumination(small):
    _, start, shots = small
    found = fwi_2d([shots], start, [8.0], 1, 8.0)
    assert found.view["coverage"].shape == found.data.shape
    assert plot.draw(found).axes[0].get_xlabel() == "position (m)"
