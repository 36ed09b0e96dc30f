"""Volumes are worked on chunk by chunk: the numbers of the whole, bounded memory, nothing done twice after a kill, the same bytes always."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_project import call as model_call
from made_project import quick_choice, scripted
from made_segy import build, cube, section

from moho import plot, store, volumes
from moho.agent import act, guard
from moho.agent.registry import Cost, estimate, prepare
from moho.agent.replay import replay
from moho.agent.tools.quality import trace_qc
from moho.agent.tools.seismic_interpretation import attributes, fault_likelihood
from moho.agent.tools.seismic_inversion import poststack_impedance
from moho.agent.tools.seismic_processing import bandpass, decon, fx_decon, gain_agc
from moho.errors import DataError, Refusal
from moho.project import Project
from moho.read import describe_kind, read
from moho.segy_volume import load, read_crossline, read_inline, read_slice
from moho.survey import Curve, Seismic, Volume, Well

ROOT = Path(__file__).parents[1]
DRAW = plot.draw
Call = Callable[..., Any]
EACH = [
    (bandpass, {"low": 10.0, "high": 60.0}),
    (gain_agc, {"window": 0.05}),
    (gain_agc, {"power": 1.5}),
    (decon, {"operator": 0.02}),
    (fx_decon, {"window": 0.06, "filter_length": 2, "traces": 8}),
    *((attributes, {"attribute": name}) for name in ("envelope", "instantaneous phase", "instantaneous frequency", "rms amplitude", "sweetness")),
]


def made(folder: Path, **more: Any) -> Volume:
    """23 inlines of 17 crosslines, some traces dead, one with NaN."""
    path = folder / "cube.sgy"
    options = {"inlines": 23, "crosslines": 17, "samples": 120} | more
    path.write_bytes(cube(**options))
    found = read(path)
    assert isinstance(found, Volume)
    return found


def spoilt(folder: Path) -> Volume:
    """The same with two dead traces and one that holds NaN."""
    i, j = np.divmod(np.arange(23 * 17), 17)
    data = section(23 * 17, 120)
    data[[40, 200]] = 0
    data[77, 30:33] = np.nan
    path = folder / "spoilt.sgy"
    path.write_bytes(build(data, fields={189: 100 + 2 * i, 193: 300 + j, 181: 25 * j, 185: 25 * i}))
    found = read(path)
    assert isinstance(found, Volume)
    return found


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 50 traces, so that there are many borders; figures, which take longer than all the rest, only where they are looked at."""
    monkeypatch.setattr(volumes, "CHUNK", 4 * 120 * 50)
    monkeypatch.setattr(plot, "draw", lambda data: None)


def here(folder: Path, **more: Any) -> Any:
    """Results go to `folder`."""
    folder.mkdir(exist_ok=True)
    return volumes.into(volumes.Place(lambda: folder, **more))


# -- the numbers of the whole


@pytest.mark.parametrize(
    ("tool", "arguments", "by"),
    [*((tool, arguments, "inline") for tool, arguments in EACH), *((*EACH[n], "crossline") for n in (0, 4))],
    ids=lambda value: value.__name__ if callable(value) else value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_a_volume_gives_what_its_lines_give(tool: Call, arguments: dict[str, Any], by: str, tmp_path: Path) -> None:
    volume = made(tmp_path, by=by)
    with here(tmp_path / "out"):
        result = tool(volume, **arguments)
    assert isinstance(result, Volume)
    assert (result.inline, result.crossline, result.samples, result.dt) == (volume.inline, volume.crossline, volume.samples, volume.dt)
    for number in (100, 110, 144):
        read_line = read_crossline if tool is fx_decon and by == "crossline" else read_inline
        number = {100: 300, 110: 309, 144: 316}[number] if read_line is read_crossline else number
        line, alone = read_line(result, number), tool(read_line(volume, number), **arguments)
        scale = np.abs(alone.data).max()
        assert np.abs(line.data - alone.data).max() <= 2e-6 * scale
        assert (line.quantity, line.unit, line.band) == (alone.quantity, alone.unit, alone.band)
        assert np.array_equal(line.x, alone.x)


def test_facts_are_those_of_all_traces_together(tmp_path: Path) -> None:
    volume = spoilt(tmp_path)
    flat = load(volume).reshape(-1, volume.samples)
    together = Seismic(data=flat, dt=volume.dt, title=volume.title)
    for tool, arguments in ((bandpass, {"low": 10.0, "high": 60.0}), (gain_agc, {}), (attributes, {"attribute": "envelope"})):
        with here(tmp_path / f"{tool.__name__}"):
            result = tool(volume, **arguments | ({"window": 0.1} if tool is gain_agc else {}))
        wanted = tool(together, **arguments | ({"window": 0.1} if tool is gain_agc else {}))
        assert result.facts.keys() == wanted.facts.keys()
        for key, quantity in wanted.facts.items():
            assert result.facts[key].value == pytest.approx(quantity.value, rel=0.03 if key == "percentiles" else 1e-5), key
        assert set(wanted.notes) <= set(result.notes)  # NaN taken as zero, dead traces, defaults
    assert np.array_equal(read_inline(result, 104).data[40 % 17], np.zeros(120))


@pytest.mark.parametrize("chunk", [4 * 120 * 60, 4 * 120 * 400])
def test_coherence_of_a_volume_is_the_geometric_mean_of_both_directions_also_across_borders(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes, "CHUNK", chunk)
    volume = spoilt(tmp_path)
    with here(tmp_path / "out"):
        result = load(attributes(volume, "coherence"))
    along = np.stack([attributes(read_inline(volume, number), "coherence").data for number in range(100, 146, 8)])
    across = np.stack([attributes(read_crossline(volume, number), "coherence").data for number in range(300, 317, 3)], axis=1)
    assert np.abs(result[::4, ::3] - np.sqrt(along[:, ::3] * across[::4])).max() < 2e-6
    assert 0 <= result.min() < 0.3 < result.max() <= 1


def test_a_fault_along_the_inlines_is_seen(tmp_path: Path) -> None:
    i, j = np.divmod(np.arange(20 * 20), 20)
    wavelet = np.array([-1.0, -2, 1, 6, 1, -2, -1])
    data = np.zeros((400, 120), np.float32)
    for depth in range(12, 100, 12):
        for k, size in enumerate(wavelet):
            data[np.arange(400), depth + k + 5 * (i >= 10)] += 100 * size
    (tmp_path / "fault.sgy").write_bytes(build(data, fields={189: 1 + i, 193: 1 + j, 181: 25 * j, 185: 25 * i}))
    volume = read(tmp_path / "fault.sgy")
    with here(tmp_path / "out"):
        result = load(attributes(volume, "coherence"))[:, 10, 30:100].mean(axis=1)  # type: ignore[arg-type]
    assert result[3:7].min() > 0.95
    assert result[9:11].max() < 0.9


def test_lines_with_gaps_keep_their_places(tmp_path: Path) -> None:
    i, j = np.divmod(np.arange(23 * 17), 17)
    there = np.random.default_rng(3).random(23 * 17) > 0.15
    there[[0, 1, 16, 17]] = True
    data = section(23 * 17, 120)
    fields = {189: 100 + 2 * i[there], 193: 300 + j[there], 181: 25 * j[there], 185: 25 * i[there]}
    (tmp_path / "gaps.sgy").write_bytes(build(data[there], fields=fields))
    volume = read(tmp_path / "gaps.sgy")
    assert isinstance(volume, Volume)
    with here(tmp_path / "band"):
        filtered = bandpass(volume, 10.0, 60.0)
    assert isinstance(filtered, Volume)
    assert np.array_equal(np.isnan(load(filtered)), np.isnan(load(volume)))
    wanted = bandpass(Seismic(data=data[there], dt=0.002), 10.0, 60.0)
    assert isinstance(wanted, Seismic)
    assert np.allclose(load(filtered)[i[there] // 1, j[there]], wanted.data, atol=1e-3)
    with here(tmp_path / "coherence"):
        coherence = load(attributes(volume, "coherence"))  # type: ignore[arg-type]
    full = np.nan_to_num(load(volume))
    block = volumes.Block(full, full.any(axis=-1), ~np.isnan(load(volume)[..., 0]), (slice(0, 23), slice(0, 17)), np.arange(23), np.arange(17))
    from moho.agent.tools.seismic_interpretation import _coherent

    assert np.abs(np.nan_to_num(coherence) - _coherent(block, 10)[0]).max() < 2e-6


@pytest.mark.parametrize(("code", "order"), [(1, ">"), (3, ">"), (5, "<")])
def test_any_format_comes_out_as_floats_with_its_headers(code: int, order: str, tmp_path: Path) -> None:
    import segyio

    volume = made(tmp_path, code=code, order=order)
    with here(tmp_path / "out"):
        result = gain_agc(volume, power=1.0)
    assert isinstance(result, Volume)
    assert result.format_code == 5
    options = {"endian": "little"} if order == "<" else {}
    with segyio.open(volume.path, **options) as before, segyio.open(result.path, **options) as after:
        for n in (0, 100, 390):
            assert {k: v for k, v in before.header[n].items() if k not in (115, 117)} == {
                k: v for k, v in after.header[n].items() if k not in (115, 117)
            }
        times = volume.times.astype(np.float32)
        assert np.allclose(after.trace.raw[:], before.trace.raw[:] * times, rtol=1e-6)
    again = read(result.path)
    assert isinstance(again, Volume)
    assert (again.inline, again.crossline, again.bin_size, again.dt) == (volume.inline, volume.crossline, volume.bin_size, volume.dt)


# -- as Zarr


def both(volume: Volume, folder: Path, tool: Call, **arguments: Any) -> tuple[Volume, Volume]:
    """The same result as SEG-Y and as Zarr."""
    results = []
    for form in volumes.FORMS:
        with here(folder / f"{tool.__name__}-{form}", workers=volumes.Workers(form=form)):
            results.append(tool(volume, **arguments))
    return results[0], results[1]


def test_zarr_holds_the_samples_of_segy_and_opens_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes, "CHUNK", 4 * 120 * 200)
    volume = made(tmp_path, by="crossline")
    for tool, arguments in ((attributes, {"attribute": "coherence"}), (fx_decon, EACH[4][1])):
        segy, zarr = both(volume, tmp_path, tool, **arguments)
        again = read(zarr.path)
        assert isinstance(again, Volume)
        assert np.array_equal(load(again), load(segy))
        for key, quantity in segy.facts.items():
            assert zarr.facts[key].value == pytest.approx(quantity.value, rel=0.02)
        same = ("inline", "crossline", "sorting", "samples", "dt", "t0", "traces", "bin_size", "byte_order")
        assert [getattr(again, name) for name in same] == [getattr(volume, name) for name in same]
        assert np.array_equal(again.corners, volume.corners)
    for number, read_line in ((110, read_inline), (309, read_crossline)):
        one, other = read_line(segy, number, top=0.1), read_line(again, number, top=0.1)
        assert np.array_equal(one.data, other.data)
        assert np.array_equal(one.x, other.x)
        assert np.array_equal(one.cdp, other.cdp)
    for kept in (segy, again):
        inlines, crosslines, flat, at = read_slice(kept, 0.1, most=10)
        assert (inlines[1] - inlines[0], crosslines[1] - crosslines[0], at) == (6, 2, 0.1)
        assert np.array_equal(flat, load(segy)[::3, ::2, 50])


def test_a_segy_made_of_a_zarr_is_the_segy_made_of_a_segy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes, "CHUNK", 4 * 120 * 200)
    i, j = np.divmod(np.arange(23 * 17), 17)
    there = np.random.default_rng(3).random(23 * 17) > 0.15
    there[[0, 1, 16, 17]] = True
    (tmp_path / "gaps.sgy").write_bytes(
        build(section(23 * 17, 120)[there], fields={189: 100 + 2 * i[there], 193: 300 + j[there], 181: 25 * j[there], 185: 25 * i[there]})
    )
    volume = read(tmp_path / "gaps.sgy")
    assert isinstance(volume, Volume)
    segy, zarr = both(volume, tmp_path, bandpass, low=10.0, high=60.0)
    again = read(zarr.path)
    assert isinstance(again, Volume)
    assert np.array_equal(load(segy), load(again), equal_nan=True)
    assert np.array_equal(read_slice(segy, 0.1)[2], read_slice(again, 0.1)[2], equal_nan=True)
    for name, one in (("one", segy), ("other", zarr)):
        with here(tmp_path / name):
            gain_agc(one, 0.05)
    assert (tmp_path / "one" / store.STREAMED).read_bytes() == (tmp_path / "other" / store.STREAMED).read_bytes()


def test_a_zarr_is_resumed_and_its_torn_chunks_are_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume, form = made(tmp_path), volumes.Workers(form="zarr")

    def stop(done: int, chunks: int, seconds: float) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with here(tmp_path / "out", workers=form, tell=stop), pytest.raises(KeyboardInterrupt):
        bandpass(volume, 10.0, 60.0)
    assert not (tmp_path / "out" / store.ZARR).exists()
    first = tmp_path / "out" / f"{store.ZARR}.part" / "data" / "c" / "0" / "0" / "0"
    first.write_bytes(first.read_bytes()[:100])
    worked: list[int] = []
    original = volumes._work
    monkeypatch.setattr(volumes, "_work", lambda plan, kernel, folder, number: worked.append(number) or original(plan, kernel, folder, number))
    with here(tmp_path / "out", workers=form):
        resumed = bandpass(volume, 10.0, 60.0)
    again, worked[:] = list(worked), []
    with here(tmp_path / "whole", workers=form):
        whole = bandpass(volume, 10.0, 60.0)
    assert isinstance(resumed, Volume)
    assert isinstance(whole, Volume)
    assert set(again) == {0} | set(range(5, len(worked)))
    assert store.digest(Path(resumed.path)) == store.digest(Path(whole.path))
    with here(tmp_path / "whole", workers=volumes.Workers()):
        other = bandpass(volume, 10.0, 60.0)  # the other form starts anew in the same folder
    assert sorted(path.name for path in (tmp_path / "whole").iterdir()) == ["journal.jsonl", store.STREAMED]
    assert np.array_equal(load(resumed), load(other))  # type: ignore[arg-type]


def test_damaged_and_foreign_zarr_folders_are_refused(tmp_path: Path) -> None:
    zarr = Path(both(made(tmp_path), tmp_path, bandpass, low=10.0, high=60.0)[1].path)
    held = read(zarr)
    description = (zarr / "zarr.json").read_text()
    for words, code in (
        (description.replace('"moho_volume"', '"other"'), "E_FORMAT"), (description.replace('"samples": 120', '"samples": 121'), "E_HEADER"),
        (description[:50], "E_FORMAT"), (description.replace('"moho_volume": 1', '"moho_volume": 9'), "E_UNSUPPORTED"),
    ):  # fmt: skip
        (zarr / "zarr.json").write_text(words)
        with pytest.raises(DataError) as error:
            read(zarr)
        assert error.value.code == code
    (zarr / "zarr.json").write_text(description)
    (zarr / "data" / "c" / "0" / "1" / "0").unlink()
    with pytest.raises(DataError, match="chunks of its samples"):
        read(zarr)
    shutil.rmtree(zarr / "trace_header")
    with pytest.raises(DataError, match="no longer the volume"):
        read_inline(held, 110)  # type: ignore[arg-type]


# -- tools that measure, or look at lines


def test_trace_qc_of_a_volume_is_that_of_its_traces_in_memory(tmp_path: Path) -> None:
    volume = spoilt(tmp_path)
    data = section(23 * 17, 120)
    data[[40, 200]] = 0
    data[77, 30:33] = np.nan
    data[[5, 300]] *= 30
    data[10:12, 50:54] = np.nanmax(data) + 1  # clipped, in the first chunk
    raw = bytearray(Path(volume.path).read_bytes())
    np.frombuffer(raw, np.uint8, offset=3600).reshape(-1, 720)[:, 240:] = data.astype(">f4").view(np.uint8)
    Path(volume.path).write_bytes(raw)
    told: list[int] = []
    with here(tmp_path / "unused", tell=lambda done, chunks, seconds: told.append(chunks)):
        report = trace_qc(volume)
    wanted = trace_qc(Seismic(data=data, dt=volume.dt))
    assert report.facts.keys() == wanted.facts.keys()
    for key, quantity in wanted.facts.items():
        assert report.facts[key].value == pytest.approx(quantity.value, rel=1e-6), key
    assert wanted.facts["noisy_traces"].value >= 2
    assert wanted.facts["clipped"].value == 8
    named = next(note for note in report.notes if "unusual rms" in note)
    assert named.startswith("traces (inline/crossline) of unusual rms: 100/305")
    assert named.endswith("134/311")
    assert set(wanted.notes) - set(report.notes) == {note for note in wanted.notes if "unusual" in note}
    assert np.allclose(report.arrays["power"], wanted.arrays["power"], rtol=1e-9)
    assert told == [len(told)] * len(told)
    assert not list((tmp_path / "unused").iterdir())
    raw[3600:] = bytes(len(raw) - 3600)
    Path(volume.path).write_bytes(raw)
    with pytest.raises(Refusal, match="all 391 traces are dead"):
        trace_qc(volume)


@pytest.mark.parametrize("by", ["inline", "crossline"])
def test_faults_of_a_volume_are_those_of_its_lines(by: str, tmp_path: Path) -> None:
    lines, run, samples = 4, 90, 160
    i, j = np.divmod(np.arange(lines * run), run)
    series = np.convolve(np.random.default_rng(4).standard_normal(600), np.hanning(9), "same")
    depth = np.arange(samples) + 100.0 + 0.05 * j[:, None]
    depth -= 6 * (j[:, None] > 45 + 0.3 * (np.arange(samples) - 80))
    data = (1000 * np.interp(depth, np.arange(600), series)).astype(np.float32)
    data += 30 * np.random.default_rng(0).standard_normal(data.shape).astype(np.float32)
    data[[10, 11]] = 0
    there = np.arange(len(data)) != 130
    slow, fast = (189, 193) if by == "inline" else (193, 189)
    fields = {slow: 1 + i[there], fast: 5 + 2 * j[there]}
    (tmp_path / "fault.sgy").write_bytes(build(data[there], fields=fields))
    volume = read(tmp_path / "fault.sgy")
    assert isinstance(volume, Volume)
    assert volume.sorting == by
    with here(tmp_path / "out"):
        result = fault_likelihood(volume, 6)
    assert isinstance(result, Volume)
    found, read_line = [], read_inline if by == "inline" else read_crossline
    for number in range(1, lines + 1):
        alone, line = fault_likelihood(read_line(volume, number), 6), read_line(result, number)
        assert np.array_equal(alone.data, line.data)  # type: ignore[union-attr]
        found.append(alone.facts)
    assert result.facts["faults"].value == sum(facts["faults"].value for facts in found) >= lines  # type: ignore[misc]
    assert result.facts["largest"].value == max(facts["largest"].value for facts in found)  # type: ignore[type-var]
    assert result.facts["semblance"].value == pytest.approx(np.median([facts["semblance"].value for facts in found]), abs=1e-4)
    assert np.median(result.facts["fault_cdp"].value) == pytest.approx(95, abs=6)
    assert set(result.facts["fault_line"].value) == {1, 2, 3, 4}  # type: ignore[arg-type]


def test_impedance_of_a_volume_is_that_of_its_inline_at_the_well_and_keeps_lines_to_scale(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    depth = np.arange(0.0, 400.0, 1.0)
    velocity = 2000 + 400 * np.sin(depth / 15) + 100 * rng.standard_normal(400)
    curves = {"DT": Curve(1e6 / velocity / 3.28084, "us/ft"), "RHOB": Curve(np.full(400, 2300.0), "kg/m3")}
    i, j = np.divmod(np.arange(9 * 12), 12)
    fields = {189: 10 + i, 193: 1 + j, 181: 25 * j, 185: 25 * i}
    data = section(9 * 12, 120) * (1 + i)[:, None].astype(np.float32)
    data[3 * 12 + 2] = 0
    (tmp_path / "cube.sgy").write_bytes(build(data, fields=fields, dt=4000))
    volume = read(tmp_path / "cube.sgy")
    assert isinstance(volume, Volume)
    well = Well(title="W", depth=depth, curves=curves, x=100.0, y=76.0)
    with here(tmp_path / "out"):
        result = poststack_impedance(volume, well, 30.0)
    assert isinstance(result, Volume)
    alone = poststack_impedance(read_inline(volume, 13), well, 30.0)
    assert isinstance(alone, Seismic)
    line, live = read_inline(result, 13).data, np.arange(12) != 2
    assert np.allclose(line[live], alone.data[live], rtol=1e-6)
    assert not line[2].any()
    for key in ("noise", "damping", "band", "well_interval"):
        assert result.facts[key].value == alone.facts[key].value
    assert result.facts["guide"].value == 13
    assert (result.quantity, result.unit) == ("acoustic impedance", "kg/m2/s")
    swing = [np.log(read_inline(result, number).data[:, 40:] / alone.data[2, 40:]).std() for number in (11, 14, 17)]
    assert swing[0] < swing[1] < swing[2]  # amplitudes of 2, 5 and 8 stay apart
    with pytest.raises(Refusal, match="one trace holds for all"):
        poststack_impedance(volume, well, 30.0, model=alone)
    with here(tmp_path / "far"):
        far = poststack_impedance(volume, Well(title="W", depth=depth, curves=curves), 30.0)
    assert far.facts["guide"].value == 14


def test_the_form_of_volumes_is_a_flag_or_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    from moho.agent.cli import workers

    monkeypatch.setenv("MOHO_VOLUMES", "zarr")
    assert (workers().form, workers(volumes="segy").form) == ("zarr", "segy")
    with pytest.raises(DataError, match="segy or zarr, not as 'hdf'"):
        workers(volumes="hdf")


def test_what_volumes_cost_is_known_before(tmp_path: Path) -> None:
    volume = made(tmp_path)
    large = volumes.replace(volume, traces=2_000_000, samples=1500, inline=(1, 2000, 1), crossline=(1, 1000, 1))
    kinds = {"cube": Volume, "well": Well}
    for tool, written, seconds in (("trace_qc", {}, 60), ("fault_likelihood", {}, 1800), ("poststack_impedance", {"well": "well"}, 300)):
        cost = estimate(prepare(tool, {"line": "cube", **written}, kinds), lambda name: large)
        assert cost.seconds > seconds
        assert cost.bytes < 1.5 * 2**30
        assert cost.disk == pytest.approx(0 if tool == "trace_qc" else 2_000_000 * 6240, rel=0.01)


def test_the_figure_of_a_volume_shows_three_slices_of_it(tmp_path: Path) -> None:
    for one in both(made(tmp_path), tmp_path, bandpass, low=10.0, high=60.0):
        figure = DRAW(one)
        assert figure is not None
        held = plot.describe(figure)
        axes = {axis["name"]: axis for axis in held["axes"]}
        assert axes["inline"]["y"] == axes["crossline"]["y"] == "two-way time (s)"
        assert axes["inline"]["x"] == "crossline number, along inline 122"
        assert axes["slice"]["title"] == "two-way time 0.12 s"
        assert axes["slice"]["y_limits"] == [99.0, 145.0]
        assert held["colours"][0]["label"] == "amplitude (unit unknown)"
        shown = {image.axes.get_label(): np.asarray(image.get_array()) for axis in figure.axes for image in axis.images}
        whole = load(one)
        assert np.array_equal(shown["inline"], whole[11].T)
        assert np.array_equal(shown["crossline"], whole[:, 8].T)
        assert np.array_equal(shown["slice"], whole[::-1, :, 60])
        assert "slice through the middle of a volume" in plot.alt_text(one)


# -- what is refused


def test_what_a_section_refuses_a_volume_refuses(tmp_path: Path) -> None:
    volume = made(tmp_path)
    with here(tmp_path / "out"):
        with pytest.raises(Refusal, match="Nyquist"):
            bandpass(volume, 10.0, 400.0)
        with pytest.raises(Refusal, match="longer than the record"):
            gain_agc(volume, 9.0)
        with pytest.raises(Refusal, match="only 17"):
            fx_decon(volume, window=0.06, filter_length=2, traces=30)
        once = bandpass(volume, 10.0, 60.0)
    with here(tmp_path / "again"), pytest.raises(Refusal, match="holds nothing of it"):
        bandpass(once, 70.0, 90.0)


def test_dead_broken_changed_and_too_large_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    i, j = np.divmod(np.arange(100), 10)
    fields = {189: 1 + i, 193: 1 + j, 181: 25 * j, 185: 25 * i}
    (tmp_path / "live.sgy").write_bytes(build(section(100), fields=fields))
    volume = read(tmp_path / "live.sgy")
    for value, words in ((0, "dead"), (np.nan, "NaN")):
        (tmp_path / "live.sgy").write_bytes(build(np.full((100, 120), value, np.float32), fields=fields))
        with here(tmp_path / words), pytest.raises(Refusal, match=words):
            bandpass(volume, 10.0, 60.0)  # type: ignore[arg-type]
        assert not (tmp_path / words / store.STREAMED).exists()
    data = bytearray(build(section(100), fields=fields))
    data[3600 + 50 * 720 + 188 : 3600 + 50 * 720 + 192] = (77).to_bytes(4, "big")
    (tmp_path / "live.sgy").write_bytes(data)
    with here(tmp_path / "lines"), pytest.raises(DataError, match="complete"):
        attributes(volume, "coherence")  # type: ignore[arg-type]
    monkeypatch.setattr(volumes.shutil, "disk_usage", lambda path: type("usage", (), {"free": 1 << 20})())
    with here(tmp_path / "full"), pytest.raises(DataError, match="free on the disk") as full:
        bandpass(volume, 10.0, 60.0)  # type: ignore[arg-type]
    assert full.value.code == "E_DISK"


def test_a_long_stream_asks_for_approval_before(tmp_path: Path) -> None:
    volume = made(tmp_path)
    kinds = {"cube": Volume}
    call = prepare("attributes", {"line": "cube", "attribute": "coherence"}, kinds)
    small_cost = estimate(call, lambda name: volume)
    assert small_cost.seconds < 5
    large = volumes.replace(volume, traces=2_000_000, samples=1500, inline=(1, 2000, 1), crossline=(1, 1000, 1))
    cost = estimate(call, lambda name: large)
    assert cost.seconds > 600
    assert cost.bytes < 1.5 * 2**30
    assert cost.disk == pytest.approx(2_000_000 * 6240, rel=0.01)
    assert "to write 11.6" in guard.afford(call, cost, guard.Budget(), 8 * 2.0**30)
    assert guard.afford(call, Cost(1.0, 1e6, 5 * 2.0**30), guard.Budget(), 8 * 2.0**30)


# -- in a project


def project_of(folder: Path) -> Project:
    volume = made(folder)
    project = Project.open(folder / "project")
    project.add(volume.path)
    return project


def test_a_step_keeps_the_volume_and_replay_gives_the_same_bytes(tmp_path: Path) -> None:
    project = project_of(tmp_path)
    run = project.start("filter and coherence")
    told: list[tuple[int, int]] = []
    call = prepare("bandpass", {"low": "10 Hz", "high": "60 Hz"}, project.kinds())
    first = act.perform(call, run, tell=lambda *far: told.append(far[:2]))
    assert told == [(n, 8) for n in range(1, 9)]
    second = act.perform(prepare("attributes", {"line": "bandpass 1", "attribute": "coherence"}, project.kinds()), run)
    assert [a["name"] for a in second.artifacts] == ["result.npz", "result.sgy"]
    folder = project.folder / second.artifacts[1]["path"]
    assert folder.parent.name == "02-attributes"
    assert store.digest(folder) == second.artifacts[1]["sha256"]
    assert not [p.name for p in (run.folder / "steps").iterdir() if p.name.startswith(".")]
    moved = tmp_path / "moved"
    project.folder.rename(moved)
    project = Project.open(moved)
    result = project.load("attributes 1")
    assert isinstance(result, Volume)
    assert Path(result.path).is_relative_to(moved)
    assert [step.tool for step in result.history] == ["bandpass", "attributes"]
    assert describe_kind(result).startswith("3-D volume of coherence, inlines 100-144")
    assert read_inline(result, 110).quantity == "coherence"
    rows = replay(project, "last")
    assert [Path(row["artifact"]).name for row in rows] == ["result.npz", "result.sgy"] * 2
    assert all(row["same"] for row in rows)
    digest = project.sha256("bandpass 1")
    with open(moved / first.artifacts[1]["path"], "r+b") as file:
        file.seek(9000)
        file.write(b"\1")
    assert project.sha256("bandpass 1") != digest


def test_a_zarr_step_is_kept_loaded_and_replayed(tmp_path: Path) -> None:
    project = project_of(tmp_path)
    run = project.start("filter")
    call = prepare("bandpass", {"low": "10 Hz", "high": "60 Hz"}, project.kinds())
    step = act.perform(call, run, workers=volumes.Workers(form="zarr"))
    assert [a["name"] for a in step.artifacts] == ["result.npz", "result.zarr"]
    folder = project.folder / step.artifacts[1]["path"]
    assert store.digest(folder) == step.artifacts[1]["sha256"]
    assert not [p.name for p in (run.folder / "steps").iterdir() if p.name.startswith(".")]
    result, entry = project.load("bandpass 1"), project.add(folder, name="again")
    assert isinstance(result, Volume)
    assert result.band == (10.0, 60.0)
    assert "3-D volume" in entry.line
    assert np.array_equal(load(project.load("again")), load(result))  # type: ignore[arg-type]
    assert [(Path(row["artifact"]).name, row["same"]) for row in replay(project, "last")] == [("result.npz", True), ("result.zarr", True)]
    digest = project.sha256("bandpass 1")
    chunk = folder / "data" / "c" / "0" / "0" / "0"
    chunk.write_bytes(bytes(chunk.stat().st_size))
    assert project.sha256("bandpass 1") != digest
    with pytest.raises(DataError, match="not the file that was added"):
        project.load("again")


def test_the_agent_streams_and_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moho.agent.offer.choose", quick_choice)
    project, heard = project_of(tmp_path), []
    replies = model_call("gain_agc", window="0.05 s"), "AGC of {s1.window}."
    agent = scripted(project, *replies, on_event=lambda event: heard.append((event.what, event.far)))
    assert agent.ask("agc 0.05 s on the cube").answer == "AGC of 0.05 s."
    assert ("chunk", (8, 8)) in heard
    little = guard.Budget(approve_disk=1.0)
    agent = scripted(project, model_call("gain_agc", line="cube", window="0.06 s"), "no", budget=little, checkpointer=graph_memory())
    asked = agent.ask("agc 0.06 s on the cube")
    assert asked.approval["tool"] == "gain_agc"
    assert "write" in asked.answer


def graph_memory() -> Any:
    from langgraph.checkpoint.memory import InMemorySaver

    return InMemorySaver()


# -- killed and resumed


def killed(folder: Path, after: int, code: str) -> None:
    """Run `code` in a process that kills itself when `after` chunks are done."""
    script = textwrap.dedent(
        f"""
        import os, signal, sys
        from moho import volumes
        volumes.CHUNK = {volumes.CHUNK}
        def tell(done, chunks, seconds):
            if done == {after}:
                os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run([sys.executable, "-c", script + textwrap.dedent(code)], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=60)
    assert done.returncode == -signal.SIGKILL


def test_after_kill_9_finished_chunks_are_not_done_again_and_the_bytes_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_of(tmp_path)
    killed(
        tmp_path, 5,
        f"""
        from moho.agent import act
        from moho.agent.registry import prepare
        from moho.project import Project
        project = Project.open({str(project.folder)!r})
        act.perform(prepare("bandpass", {{"low": "10 Hz", "high": "60 Hz"}}, project.kinds()), project.start("killed"), tell=tell)
        """,
    )  # fmt: skip
    left = [path for path in (project.folder / "runs").glob("*/steps/.*.part")]
    assert len(left) == 1
    assert not list(project.folder.glob("runs/*/steps/**/result.sgy"))
    lines = [json.loads(line) for line in (left[0] / "journal.jsonl").read_text().splitlines()]
    finished = {line["chunk"] for line in lines[1:]}
    assert len(finished) == 5
    with open(left[0] / "journal.jsonl", "a") as journal:
        journal.write('{"chunk": 7, "tra')  # torn by the kill
    with open(left[0] / "result.sgy.part", "r+b") as file:
        file.seek(3600 + 240)
        file.write(b"\0\0")  # a chunk that the disk has lost is done again
    worked: list[int] = []
    original = volumes._work
    monkeypatch.setattr(volumes, "_work", lambda plan, kernel, folder, number: worked.append(number) or original(plan, kernel, folder, number))
    run = project.start("again")
    call = prepare("bandpass", {"low": "10 Hz", "high": "60 Hz"}, project.kinds())
    step = act.perform(call, run, tell=None)
    assert sorted(worked) == sorted({0} | set(range(8)) - finished)
    assert not left[0].exists()
    whole = act.perform(call, project.start("whole"))
    assert sorted(worked[-8:]) == list(range(8))
    assert [a["sha256"] for a in step.artifacts] == [a["sha256"] for a in whole.artifacts]


def test_killed_between_the_last_chunk_and_the_record_nothing_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = made(tmp_path)
    with here(tmp_path / "out"):
        first = bandpass(volume, 10.0, 60.0)
        monkeypatch.setattr(volumes, "_work", None)
        again = bandpass(volume, 10.0, 60.0)
    assert store.dump(first) == store.dump(again)


def test_another_call_or_a_changed_file_starts_anew(tmp_path: Path) -> None:
    volume = made(tmp_path)
    with here(tmp_path / "out"):
        bandpass(volume, 10.0, 60.0)
        digest = store.digest(tmp_path / "out" / store.STREAMED)
        bandpass(volume, 10.0, 50.0)
        assert store.digest(tmp_path / "out" / store.STREAMED) != digest

        def touch(done: int, chunks: int, seconds: float) -> None:
            if done == 3:
                os.utime(volume.path, (1, 1))

        with here(tmp_path / "other", tell=touch), pytest.raises(DataError, match="changed while"):
            bandpass(volume, 10.0, 60.0)


def test_a_result_that_is_being_written_is_left_to_its_writer(tmp_path: Path) -> None:
    project = project_of(tmp_path)
    with project.start("one").part(lambda: "key") as one, project.start("two").part(lambda: "key") as two:
        assert one() != two()
        assert one() == one()


def test_what_killed_runs_left_goes_after_a_week_and_never_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from moho.agent.doctor import examine

    project = project_of(tmp_path)
    lefts = []
    for number, days in enumerate((9, 8, 1)):
        part = project.start("killed").folder / "steps" / f".{number:024x}-00000000.part"
        part.mkdir()
        for name in (".lock", "journal.jsonl", "result.sgy.part"):
            (part / name).write_bytes(bytes(5000))
            os.utime(part / name, (then := time.time() - 86400 * days, then))
        lefts.append(part)
    with open(lefts[1] / ".lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a process that has been at work on one chunk for days
        assert [one.folder for one in project.abandoned()] == [lefts[0], lefts[2]]
        assert project.abandoned()[0].bytes >= 10_000
        monkeypatch.setenv("MOHO_PROJECT", str(project.folder))
        row = next(row for row in examine() if row["what"] == "unfinished volumes")
        assert row["found"].startswith("2 in ")
        assert "the oldest 9.0 days old" in row["found"]
        with project.start("new").part(lambda: "key") as folder:
            mine = folder()
            assert [part.exists() for part in (mine, *lefts)] == [True, False, True, True]
            assert [one.folder for one in project.clean(older=0)] == [lefts[2]]  # not the one of a minute ago, nor the one in use
            assert [part.exists() for part in (mine, *lefts)] == [True, False, True, False]
    assert [one.folder for one in project.clean()] == [lefts[1]]
    assert not list(project.folder.glob("runs/*/steps/.*"))


# -- memory and workers


def test_memory_is_bounded_by_the_chunks_not_by_the_volume(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import json, resource, struct, sys
        from pathlib import Path
        import numpy as np
        samples, lines, run = 4000, 40, 125
        length = 240 + 4 * samples
        head = bytearray(3600)
        for byte, value in ((3217, 2000), (3221, samples), (3225, 5), (3229, 4), (3255, 1), (3503, 1)):
            struct.pack_into(">h", head, byte - 1, value)
        head[0:3200] = "C 1 MADE".ljust(3200).encode("cp037")
        head[3500] = 1
        source = Path({str(tmp_path)!r}) / "sparse.sgy"
        with open(source, "wb") as file:
            file.write(head)
            file.truncate(3600 + lines * run * length)
            for n in range(lines * run):
                trace = bytearray(240)
                struct.pack_into(">hh", trace, 114, samples, 2000)
                struct.pack_into(">iiii", trace, 180, 25 * (n % run), 25 * (n // run), 1 + n // run, 1 + n % run)
                file.seek(3600 + n * length)
                file.write(trace + (np.sin(np.arange(500.0)) * 100).astype(">f4").tobytes() if n % 50 == 0 else trace)
        from moho import volumes
        from moho.read import read
        from moho.agent.tools.seismic_processing import bandpass
        volume = read(source)
        volumes.CHUNK = 1 << 20
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        out = Path({str(tmp_path)!r}) / "out"
        out.mkdir()
        with volumes.into(volumes.Place(lambda: out)):
            bandpass(volumes.replace(volume, traces=run), 10.0, 60.0)  # imports
            before = peak()
            volumes.CHUNK = 4 << 20
            result = bandpass(volume, 10.0, 60.0)
        print(json.dumps([before, peak(), source.stat().st_size, Path(result.path).stat().st_size, result.facts["rms_ratio"].value]))
        """
    )
    there = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=there, capture_output=True, text=True, timeout=120)
    before, after, size, written, ratio = json.loads(done.stdout)
    assert size == written > 80e6
    assert after - before < 60  # MiB, for chunks of 4
    assert ratio > 0


def test_any_number_of_threads_writes_the_same_bytes(tmp_path: Path) -> None:
    volume = made(tmp_path)
    digests = set()
    for threads in (1, 3):
        with here(tmp_path / f"{threads}", workers=volumes.Workers(threads=threads)):
            result = attributes(volume, "coherence")
        assert isinstance(result, Volume)
        digests.add((store.digest(Path(result.path)), store.dump(result)))
    assert len(digests) == 1


def test_a_cluster_that_loses_a_worker_writes_the_same_bytes(tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    volume = made(tmp_path)
    with here(tmp_path / "alone", workers=volumes.Workers(form="zarr")):
        alone, report = attributes(volume, "coherence"), trace_qc(volume)
    with here(tmp_path / "segy"):
        filtered = bandpass(volume, 10.0, 60.0)
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1", memory_limit=0)
    workers = volumes.Workers(cluster.scheduler_address, form="zarr")
    try:
        with Client(cluster, set_as_default=False) as client:
            pids = list(client.run(os.getpid).values())

        def kill(done: int, chunks: int, seconds: float) -> None:
            if done == 2:
                os.kill(pids[0], signal.SIGKILL)

        with here(tmp_path / "more", workers=volumes.replace(workers, form="segy")):
            assert store.dump(trace_qc(volume)) == store.dump(report)
            assert store.dump(bandpass(volume, 10.0, 60.0)) == store.dump(filtered)
        with here(tmp_path / "together", workers=workers, tell=kill):
            together = attributes(volume, "coherence")
    finally:
        cluster.close()
    assert isinstance(alone, Volume)
    assert isinstance(together, Volume)
    assert store.digest(tmp_path / "segy" / store.STREAMED) == store.digest(tmp_path / "more" / store.STREAMED)
    assert store.digest(Path(alone.path)) == store.digest(Path(together.path))
    assert store.dump(alone) == store.dump(together)


def test_no_scheduler_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = made(tmp_path)
    monkeypatch.setattr(volumes, "WAIT", 0.5)
    with here(tmp_path / "out", workers=volumes.Workers("tcp://127.0.0.1:9")), pytest.raises(DataError, match="no Dask scheduler answers"):
        bandpass(volume, 10.0, 60.0)


def test_real_volume(shared: Path, tmp_path: Path) -> None:
    volume = read(shared / "seismic_f3" / "f3_crop.sgy")
    assert isinstance(volume, Volume)
    with here(tmp_path / "out"):
        result = attributes(volume, "coherence")
    assert isinstance(result, Volume)
    assert result.shape == volume.shape
    assert 0.5 < result.facts["mean"].value <= 1  # type: ignore[operator]
    assert store.digest(Path(volume.path)) == store.digest(shared / "seismic_f3" / "f3_crop.sgy")

