"""Radon demultiple and trace interpolation against gathers whose primaries, multiples and missing traces are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moho import plot
from moho.agent.tools.seismic_modelling import ricker
from moho.agent.tools.seismic_multiples import Parabolas, interpolate_traces, moveouts, radon_demultiple
from moho.errors import Refusal
from moho.read import read
from moho.survey import Array, Gather, Seismic

DT = 0.004
OFFSET = 100 + 50.0 * np.arange(48)
TIMES = DT * np.arange(500)


def parabolas(events: tuple[tuple[float, float, float], ...]) -> Array:
    """(time s, moveout at the far offset s, amplitude) events."""
    return np.asarray(sum(a * ricker(TIMES - t - q * (OFFSET[:, None] / OFFSET.max()) ** 2, 25) for t, q, a in events), np.float32)


def hyperbolas(events: tuple[tuple[float, float, float], ...]) -> Array:
    """(time s, velocity m/s, amplitude) events."""
    return np.asarray(sum(a * ricker(TIMES - np.sqrt(t**2 + (OFFSET[:, None] / v) ** 2), 25) for t, v, a in events), np.float32)


PRIMARIES = parabolas(((0.5, 0, 1), (1.0, 0.005, -0.8), (1.5, -0.01, 0.6)))
MULTIPLES = parabolas(((0.8, 0.15, 0.8), (1.0, 0.2, 0.8), (1.45, 0.12, 0.6), (1.6, 0.25, -0.5)))


def gather(data: Array, **more: object) -> Gather:
    return Gather(**({"data": np.asarray(data, np.float32), "dt": DT, "offset": OFFSET, "cdp": np.ones(len(data), int)} | more))  # type: ignore[arg-type]


def decibel(signal: Array, error: Array) -> float:
    return float(10 * np.log10(np.square(signal, dtype=float).sum() / np.square(error, dtype=float).sum()))


def test_the_radon_operator_passes_the_dot_test() -> None:
    operator = Parabolas(OFFSET / OFFSET.max(), moveouts(-0.1, 0.4, 60), DT, 301)
    random = np.random.default_rng(4)
    panel, data = random.standard_normal((len(operator.curves), 301)), random.standard_normal((48, 301))
    assert np.vdot(operator.spread(panel), data) == pytest.approx(np.vdot(panel, operator.stack(data)), rel=1e-10)


def test_primaries_stay_and_multiples_go() -> None:
    alone = radon_demultiple(gather(PRIMARIES)).data
    assert np.linalg.norm(alone - PRIMARIES) < 0.05 * np.linalg.norm(PRIMARIES)
    both = radon_demultiple(gather(PRIMARIES + MULTIPLES))
    assert np.linalg.norm(both.data - PRIMARIES) < 0.05 * np.linalg.norm(PRIMARIES)
    assert decibel(MULTIPLES, both.data - PRIMARIES) > 25
    assert both.facts["removed"].value == pytest.approx(100 * np.square(MULTIPLES).sum() / np.square(PRIMARIES + MULTIPLES).sum(), abs=1)
    assert any("NMO-corrected" in note for note in both.notes)


def test_noise_does_not_open_the_door() -> None:
    noise = 0.02 * np.random.default_rng(0).standard_normal(PRIMARIES.shape)
    out = radon_demultiple(gather(PRIMARIES + MULTIPLES + noise)).data
    assert decibel(MULTIPLES, out - PRIMARIES - noise) > 18


def test_an_uncorrected_gather_is_corrected_inside() -> None:
    primaries = hyperbolas(((0.8, 2200, 1), (1.2, 2200, -0.8), (1.6, 2200, 0.6)))
    multiples = hyperbolas(((1.0, 1700, 1), (1.4, 1750, -0.8)))
    out = radon_demultiple(gather(primaries + multiples), velocity=[2200], highest=0.6)
    assert decibel(multiples, out.data - primaries) > 12
    assert np.linalg.norm(radon_demultiple(gather(primaries), velocity=[2200]).data - primaries) < 0.05 * np.linalg.norm(primaries)


def test_gathers_are_treated_one_by_one_and_dead_traces_stay() -> None:
    data = (PRIMARIES + MULTIPLES).copy()
    data[7] = 0
    one = radon_demultiple(gather(data)).data
    two = gather(np.concatenate([data, PRIMARIES]), offset=np.tile(OFFSET, 2), cdp=np.repeat([1, 2], 48))
    out = radon_demultiple(two)
    assert out.data[:48] == pytest.approx(one, abs=0.02)
    assert not one[7].any()
    assert plot.draw(out) is not None


def without(data: Array, rows: list[int]) -> Array:
    out = data.copy()
    out[rows] = 0
    return out


GONE = [5, 12, 13, 20, 31, 32, 33, 40]
SHOT = hyperbolas(((0.4, 1700, 1), (0.7, 2000, -0.8), (1.1, 2400, 0.6), (1.5, 2800, 0.7)))


def test_known_missing_traces_come_back() -> None:
    slow = replace(gather(SHOT), offset=0.5 * OFFSET)
    data = np.asarray(sum(a * ricker(TIMES - np.sqrt(t**2 + (slow.offset[:, None] / v) ** 2), 25) for t, v, a in ((0.4, 1700, 1), (1.1, 2400, 0.6))))
    line = replace(slow, data=data.astype(np.float32))
    out = interpolate_traces(replace(line, data=without(line.data, GONE)))
    assert decibel(line.data[GONE], (out.data - line.data)[GONE]) > 15
    assert out.facts["filled"].value == len(GONE)
    assert out.facts["check"].value > 15
    kept = np.setdiff1d(np.arange(48), GONE)
    assert np.array_equal(out.data[kept], line.data[kept])
    assert plot.draw(out) is not None
    absent = Gather(data=line.data[kept], dt=DT, offset=slow.offset[kept], channel=kept)
    back = interpolate_traces(absent)
    assert back.data == pytest.approx(out.data, abs=1e-5)
    assert back.offset == pytest.approx(slow.offset)
    assert np.array_equal(back.channel, np.arange(48))
    assert back.facts["added"].value == len(GONE)


def test_teapot_traces_come_back(shared: Path) -> None:
    true = np.fromfile(shared / "seismic_teapot_tp73" / "tp73.dat", ">f4").reshape(357, 240).astype(np.float32)[:160]
    gone = list(range(9, 150, 12))
    out = interpolate_traces(Seismic(data=without(true, gone), dt=DT, cdp=np.arange(160)))
    assert decibel(true[gone], (out.data - true)[gone]) > 15
    cut = np.setdiff1d(np.arange(160), gone)
    back = interpolate_traces(Seismic(data=true[cut], dt=DT, cdp=1000 + 2 * cut))
    assert np.array_equal(back.numbers, 1000 + 2 * np.arange(160))
    assert decibel(true[gone], (back.data - true)[gone]) > 15


def test_what_cannot_be_predicted_is_said_and_wide_gaps_stay() -> None:
    noise = np.random.default_rng(2).standard_normal((60, 200)).astype(np.float32)
    out = interpolate_traces(Seismic(data=without(noise, [0, 10, 30, 31, 32, 33, 34, 35]), dt=DT))
    assert any("do not trust" in note for note in out.notes)
    assert out.facts["filled"].value == 1
    assert out.facts["left"].value == 7
    assert not out.data[30:36].any()


def test_viking_channels_come_back(shared: Path) -> None:
    shots = read(shared / "seismic_viking_shots" / "viking_small.segy")
    assert isinstance(shots, Gather)
    one = replace(shots, data=shots.data[:120], offset=shots.offset[:120], shot=None, cdp=None, channel=None,
                  source_x=None, source_y=None, receiver_x=None, receiver_y=None)  # fmt: skip
    gone = [30, 60, 61, 90]
    out = interpolate_traces(replace(one, data=without(one.data, gone)))
    assert decibel(one.data[gone], (out.data - one.data)[gone]) > 3


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: radon_demultiple(gather(PRIMARIES), cut=0.5), ValueError, "lowest < cut < highest"),
        (lambda: radon_demultiple(gather(PRIMARIES), highest=4), Refusal, "longer than the record"),
        (lambda: radon_demultiple(gather(np.zeros_like(PRIMARIES))), Refusal, "dead"),
        (lambda: radon_demultiple(gather(np.full_like(PRIMARIES, np.nan))), Refusal, "NaN"),
        (lambda: radon_demultiple(gather(PRIMARIES, offset=np.zeros(48))), Refusal, "different offsets"),
        (lambda: radon_demultiple(gather(PRIMARIES[:5], offset=OFFSET[:5])), Refusal, "8 live traces"),
        (lambda: radon_demultiple(gather(PRIMARIES), velocity=[-1500]), Refusal, "above zero"),
        (lambda: interpolate_traces(gather(SHOT)), Refusal, "no dead or missing trace"),
        (lambda: interpolate_traces(gather(without(SHOT, list(range(10, 20))))), Refusal, "gaps wider than 5"),
        (lambda: interpolate_traces(gather(without(SHOT, [5])), traces=8), ValueError, "4 . filter_length"),
        (lambda: interpolate_traces(gather(without(SHOT[:12], [5]), offset=OFFSET[:12])), Refusal, "12 traces"),
        (lambda: interpolate_traces(gather(np.zeros_like(SHOT))), Refusal, "dead"),
        (lambda: interpolate_traces(Seismic(data=without(SHOT, [5]), dt=10.0, domain="depth")), Refusal, "depth"),
    ],
)
def test_what_cannot_be_is_refused(call: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
