"""f-k filter and migration against plane waves, a diffractor, dipping reflectors and each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moho import plot
from moho.agent.registry import execute, prepare
from moho.agent.tools.seismic_imaging import fk_filter, migrate_poststack, panels, trace_spacing
from moho.agent.tools.seismic_modelling import ricker
from moho.errors import Missing, Refusal
from moho.read import read
from moho.survey import Array, Gather, Seismic

DT, DX = 0.004, 12.5
TIMES = DT * np.arange(400)
METHODS = ("stolt", "phase shift", "kirchhoff")


def section(data: Array, **more: object) -> Seismic:
    return Seismic(data=np.asarray(data, np.float32), dt=DT, **({"dx": DX} | more))  # type: ignore[arg-type]


def plane(velocity: float, start: float, frequency: float = 12, traces: int = 96, side: int = 1) -> Array:
    x = DX * np.arange(traces)[::side]
    return np.asarray(ricker(TIMES - start - x[:, None] / velocity, frequency), np.float32)


def diffraction(velocity: float = 2000.0, t0: float = 0.6, at: int = 70, traces: int = 140) -> Array:
    t = np.sqrt(t0**2 + 4 * (DX * (np.arange(traces) - at)) ** 2 / velocity**2)[:, None]
    return np.asarray(ricker(TIMES - t, 25) * np.sqrt(t0 / t), np.float32)


def decibel(part: Array, whole: Array) -> float:
    return float(20 * np.log10(np.linalg.norm(part) / np.linalg.norm(whole)))


NOISE, REFLECTION = plane(800, 0.05), plane(5000, 0.6, 25)


def test_one_plane_wave_goes_and_the_other_stays() -> None:
    both = fk_filter(section(NOISE + REFLECTION), fastest=1500).data
    assert decibel(both - REFLECTION, NOISE) < -30
    assert abs(decibel(both, REFLECTION)) < 0.1
    assert decibel(fk_filter(section(NOISE), fastest=1500).data, NOISE) < -30
    kept = fk_filter(section(NOISE + REFLECTION), slowest=2500, action="keep").data
    assert decibel(kept - REFLECTION, NOISE) < -30
    only = fk_filter(section(NOISE + REFLECTION), slowest=600, fastest=1200, action="keep").data
    assert decibel(only - NOISE, REFLECTION) < -30


def test_keep_and_remove_add_up_and_the_filter_scales() -> None:
    line = section(NOISE + REFLECTION)
    kept, removed = (fk_filter(line, fastest=1500, action=action).data for action in ("keep", "remove"))  # type: ignore[arg-type]
    assert kept + removed == pytest.approx(line.data, abs=2e-6)
    assert fk_filter(section(3 * line.data), fastest=1500).data == pytest.approx(3 * removed, abs=1e-5)


def test_a_sum_is_filtered_as_its_parts_are_away_from_the_ends() -> None:
    parts = REFLECTION, NOISE + 0.3 * np.random.default_rng(0).standard_normal(NOISE.shape)
    one, two, both = (fk_filter(section(part), fastest=1500).data.astype(float) for part in (*parts, parts[0] + parts[1]))
    off = np.sqrt(np.mean((both - one - two) ** 2, axis=1)) / np.sqrt(np.mean(both**2))
    assert off[12:-12].max() < 0.01
    assert 0.01 < max(off[0], off[-1]) < 0.3  # the line is continued by what it holds itself


def test_one_side_of_the_fan() -> None:
    mirrored = plane(800, 0.05, side=-1)
    out = fk_filter(section(NOISE + mirrored), fastest=1500, side="down").data
    assert decibel(out - mirrored, NOISE) < -30
    shot = Gather(data=mirrored[::-1].copy()[::-1], dt=DT, offset=100 + DX * np.arange(96)[::-1], shot=np.ones(96, int))
    assert decibel(fk_filter(shot, fastest=1500, side="down").data, mirrored) < -30  # away from the source, however the traces are stored


def test_aliasing_and_spacing_are_said() -> None:
    out = fk_filter(section(NOISE), slowest=500, fastest=1500)
    assert out.facts["alias_frequency"].value == pytest.approx(500 / (2 * DX))
    assert any("aliased" in note for note in out.notes)
    bare = section(NOISE, dx=None)
    with pytest.raises(Missing) as caught:
        fk_filter(bare, fastest=1500)
    assert caught.value.argument == "spacing"
    assert fk_filter(bare, fastest=1500, spacing=DX).data == pytest.approx(fk_filter(section(NOISE), fastest=1500).data)
    placed = section(NOISE, dx=None, x=20.0 * np.arange(96), y=15.0 * np.arange(96))
    assert trace_spacing(placed, None, panels(placed))[0] == pytest.approx(25)
    assert "would say 25 m" in trace_spacing(placed, 30, panels(placed))[1]


@pytest.mark.parametrize("method", METHODS)
def test_a_diffractor_focuses_within_one_cell(method: str) -> None:
    out = migrate_poststack(section(diffraction()), [2000], method=method)  # type: ignore[arg-type]
    trace, sample = np.unravel_index(np.abs(out.data).argmax(), out.data.shape)
    assert abs(int(trace) - 70) <= 1
    assert abs(int(sample) - 150) <= 1
    energy = out.data.astype(float) ** 2
    assert energy[67:74, 138:163].sum() > 0.9 * energy.sum()
    assert out.facts["velocity"].value == 2000


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("angle", [0, 20, 35])
def test_a_dipping_event_takes_its_true_dip_and_place(method: str, angle: float) -> None:
    v, x = 2000.0, DX * np.arange(200)
    apparent = 2 * np.sin(np.radians(angle)) / v
    out = migrate_poststack(section(ricker(TIMES - 0.5 - apparent * (x[:, None] - 600), 25)), [v], method=method)  # type: ignore[arg-type]
    rows = np.arange(60, 86, 5)
    times = TIMES[out.data[rows].argmax(axis=1)]
    crossing = 600 - 0.5 / apparent if angle else 0.0
    expected = 2 * np.tan(np.radians(angle)) / v * (x[rows] - crossing) if angle else np.full(len(rows), 0.5)
    assert times == pytest.approx(expected, abs=DT)
    assert out.data[rows].max(axis=1) == pytest.approx(1, abs=0.12)  # amplitudes of a reflector stay


def test_the_methods_agree() -> None:
    images = [migrate_poststack(section(diffraction()), [2000], method=method).data for method in METHODS]  # type: ignore[arg-type]
    assert np.corrcoef(images[0].ravel(), images[1].ravel())[0, 1] > 0.995
    assert np.corrcoef(images[0].ravel(), images[2].ravel())[0, 1] > 0.97


@pytest.mark.parametrize("method", METHODS[1:])
def test_velocity_that_grows_with_time(method: str) -> None:
    """Two layers: straight rays at the RMS velocity hold near the apex, and interval and RMS velocities say the same."""
    t, v = np.array([0.3, 0.8]), np.array([1800.0, 2400.0])
    rms = np.sqrt(1800**2 * 0.3 / 0.6 + (0.8 * 2400**2 - 0.3 * 1800**2) / 0.5 * 0.3 / 0.6)
    data = diffraction(rms)
    out = migrate_poststack(section(data), list(v), list(t), method=method, dip=40)  # type: ignore[arg-type]
    trace, sample = np.unravel_index(np.abs(out.data).argmax(), out.data.shape)
    assert abs(int(trace) - 70) <= 1
    assert abs(int(sample) - 150) <= 1
    layer = float(np.sqrt((0.8 * 2400**2 - 0.3 * 1800**2) / 0.5))
    same = migrate_poststack(section(data), [1800, 1800, layer, layer], [0.1, 0.299, 0.301, 0.8], method=method, kind="interval", dip=40)  # type: ignore[arg-type]
    assert np.corrcoef(same.data.ravel(), out.data.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("method", METHODS)
def test_time_zero_is_where_waves_start(method: str) -> None:
    whole = migrate_poststack(section(diffraction()), [2000], method=method)  # type: ignore[arg-type]
    late = migrate_poststack(section(diffraction()[:, 50:], t0=50 * DT), [2000], method=method)  # type: ignore[arg-type]
    assert late.data == pytest.approx(whole.data[:, 50:], abs=0.02 * float(np.abs(whole.data).max()))


def test_a_migrated_line_remembers_and_is_not_migrated_again() -> None:
    line = section(diffraction(), title="line 3")
    call = prepare("migrate_poststack", {"line": "line 3", "velocity": "2 km/s"}, {"line 3": Seismic})
    for once in (migrate_poststack(line, [2000]), execute(call, {"line 3": line}.__getitem__)):
        assert isinstance(once, Seismic)
        assert once.history[-1].tool == "migrate_poststack"
        assert once.history[-1].arguments["velocity"] == [2000]
        with pytest.raises(Refusal, match="migrated before, with 2000 m/s"):
            migrate_poststack(once, [2000])
        assert len(migrate_poststack(once, [2000], again="yes").history) == 2


def test_dead_traces_are_said_and_the_picture_drawn() -> None:
    data = diffraction()
    data[30] = 0
    data[31, 5] = np.nan
    out = migrate_poststack(section(data), [2000])
    assert np.isfinite(out.data).all()
    assert any("1 dead traces" in note for note in out.notes)
    figure = plot.draw(out)
    assert figure is not None
    assert figure.axes[0].get_ylabel() == "two-way time (s)"
    assert not fk_filter(section(data), fastest=1500).data[30].any()


def test_real_lines(shared: Path) -> None:
    stack = read(shared / "seismic_npra_31_81" / "31_81_PR.sgy")
    assert isinstance(stack, Seismic)
    with pytest.raises(Missing, match="How far apart"):
        migrate_poststack(stack, [3500])
    part = replace(stack, data=stack.data[:200, :600], cdp=None)
    out = migrate_poststack(part, [3000], spacing=33.5)
    assert 0.8 < out.facts["energy_ratio"].value < 1.05
    shots = read(shared / "seismic_viking_shots" / "viking_small.segy")
    assert isinstance(shots, Gather)
    direct = fk_filter(shots, fastest=1650)
    assert "25 m from the offsets" in direct.notes[1]
    assert direct.facts["removed"].value == pytest.approx(2.6, abs=1)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: fk_filter(section(NOISE)), Missing, "apparent velocities"),
        (lambda: fk_filter(section(NOISE), 1000, 2000), ValueError, "slowest < fastest"),
        (lambda: fk_filter(section(NOISE[:3]), 1000), Refusal, "at least 4 traces"),
        (lambda: fk_filter(section(np.full((9, 50), np.nan)), 1000), Refusal, "NaN"),
        (lambda: fk_filter(section(NOISE, domain="depth"), 1000), Refusal, "depth"),
        (lambda: fk_filter(Gather(data=NOISE, dt=DT, offset=np.arange(96.0) ** 2), 1000), Refusal, "unevenly"),
        (lambda: migrate_poststack(section(NOISE), [-2000]), Refusal, "above zero"),
        (lambda: migrate_poststack(section(NOISE), [2000, 3000]), Missing, "zero-offset times"),
        (lambda: migrate_poststack(section(NOISE), [2000, 3000], [0.1, 1], method="stolt"), Refusal, "one velocity"),
        (lambda: migrate_poststack(section(NOISE), [3000, 1500], [0.5, 1]), Refusal, "Dix"),
        (lambda: migrate_poststack(section(NOISE), [2000], dip=100), ValueError, "dip"),
        (lambda: migrate_poststack(section(NOISE[:2]), [2000]), Refusal, "got 2"),
        (lambda: migrate_poststack(section(NOISE[:, :1]), [2000]), Refusal, "time zero"),
        (lambda: migrate_poststack(section(np.zeros((9, 50))), [2000]), Refusal, "dead"),
        (lambda: migrate_poststack(section(NOISE, quantity="envelope"), [2000]), Refusal, "envelope"),
        (lambda: migrate_poststack(section(NOISE, domain="depth"), [2000]), Refusal, "depth"),
    ],
)
def test_what_cannot_be_is_refused(call: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
