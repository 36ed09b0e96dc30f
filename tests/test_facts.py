"""Every verified answer of the real data, got through the registry from files added to a project."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import obspy
import pytest
from made_segy import build
from scipy.linalg import solve_toeplitz

from moho.agent.registry import execute, prepare
from moho.project import Project
from moho.survey import Data, Seismic

Call = Callable[..., Data]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.open(tmp_path_factory.mktemp("facts") / "project")


@pytest.fixture(scope="module")
def facts(shared: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (shared / "facts.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def run(project: Project) -> Call:
    return lambda tool, **written: execute(prepare(tool, written, project.kinds()), project.load)


def line_of(facts: list[dict[str, Any]], file: str, words: str) -> Any:
    (found,) = (fact["answer"] for fact in facts if fact["file"].startswith(file) and words in fact["question"])
    return found


def values(data: Data) -> dict[str, Any]:
    return {key: quantity.value for key, quantity in data.facts.items()}


def test_every_line_of_the_facts_is_asked_here(facts: list[dict[str, Any]]) -> None:
    source = Path(__file__).read_text()
    assert len(facts) == 9
    for fact in facts:
        assert fact["file"].split("/")[0] in source


def test_npra_line(project: Project, run: Call, shared: Path, facts: list[dict[str, Any]]) -> None:
    line = project.add(shared / "seismic_npra_31_81" / "31_81_PR.sgy")
    truth = line_of(facts, "seismic_npra_31_81", "record length")
    found = values(run("segy_inspect", data=line.name))
    assert [found[key] for key in ("traces", "samples", "sample_interval", "end", "format_code", "cdp")] == [
        truth[key] for key in ("traces", "samples", "dt_ms", "last_sample_s", "format_code", "cdp")
    ]
    assert values(run("trace_qc", line=line.name))["energy_band"] == pytest.approx(line_of(facts, "seismic_npra_31_81", "energy"), abs=2)


def test_npra_processing_agrees_with_the_reference(project: Project, shared: Path, facts: list[dict[str, Any]]) -> None:
    """AGC, trapezoid and prediction error written out as the reference does them, trace by trace."""
    entry = project.add(shared / "seismic_npra_31_81" / "31_81_PR.sgy")
    truth = line_of(facts, "seismic_npra_31_81", "First 100 traces")
    first = execute(prepare("segy_read", {"data": entry.name, "first_cdp": 101, "last_cdp": 200}, project.kinds()), project.load)
    assert isinstance(first, Seismic)
    raw = first.data.astype(float)
    assert raw.shape == (100, 1501)

    def correlation(tool: str, reference: np.ndarray, **written: Any) -> float:
        made = execute(prepare(tool, {"line": "first", **written}, {"first": Seismic}), lambda name: first)
        assert isinstance(made, Seismic)
        return float(np.corrcoef(made.data.ravel(), reference.ravel())[0, 1])

    half = 62  # samples of 4 ms in a quarter of a second
    padded = np.pad(raw**2, ((0, 0), (half, half)))
    power = np.apply_along_axis(np.convolve, 1, padded, np.ones(2 * half + 1), "valid")
    count = np.convolve(np.ones(1501), np.ones(2 * half + 1), "same")
    agc = raw / np.sqrt(np.maximum(power / count, 1e-12))
    frequency = np.fft.rfftfreq(4096, first.dt)
    filtered = np.fft.irfft(np.fft.rfft(raw, 4096) * np.interp(frequency, [5, 10, 40, 50], [0, 1, 1, 0]), 4096)[:, :1501]
    error = np.empty_like(raw)
    for i, trace in enumerate(raw):
        r = np.correlate(trace, trace, "full")[1500:1521]
        column = r[:20] * np.r_[1.001, np.ones(19)]
        error[i] = np.convolve(np.r_[1, -solve_toeplitz(column, r[1:21])], trace)[:1501]
    assert correlation("gain_agc", agc, window="0.5 s") >= 0.99 <= truth["agc_corr"]
    assert correlation("bandpass", filtered, low_cut="5 Hz", low="10 Hz", high="40 Hz", high_cut="50 Hz") >= 0.99 <= truth["bandpass_corr"]
    assert correlation("decon", error, operator="80 ms", noise="0.1 %") >= 0.99 <= truth["pef_corr"]


def test_viking_shots(project: Project, run: Call, shared: Path, facts: list[dict[str, Any]]) -> None:
    truth = line_of(facts, "seismic_viking_shots", "shots")
    found = values(run("segy_inspect", data=project.add(shared / "seismic_viking_shots" / "viking_small.segy").name))
    assert [found[key] for key in ("shots", "channels", "group_interval", "shot_interval", "near_offset", "far_offset")] == [
        truth[key] for key in ("shots", "channels", "group_m", "shot_m", "near_m", "far_m")
    ]


def test_f3_minicube(project: Project, run: Call, shared: Path, facts: list[dict[str, Any]]) -> None:
    truth = line_of(facts, "seismic_f3", "minicube")
    found = values(run("segy_inspect", data=project.add(shared / "seismic_f3" / "f3_crop.sgy").name))
    assert [found[key] for key in ("inline", "crossline", "samples", "sample_interval", "format_code", "largest_amplitude")] == [
        truth[key] for key in ("inline", "xline", "samples", "dt_ms", "format_code", "max")
    ]


def test_unterhaching_events(project: Project, run: Call, shared: Path, facts: list[dict[str, Any]]) -> None:
    names = [project.add(path).name for path in sorted((shared / "seismology_obspy_trigger").glob("*.slist.gz"))]
    truth = line_of(facts, "seismology_obspy_trigger", "coincidence")
    found = values(run("detect_associate", waveforms=names, sta="0.5 s", lta="10 s", on=3.5, off=1, low="10 Hz", high="20 Hz", stations=3))
    times = [obspy.UTCDateTime(time) for time in found["times"]]
    assert found["events"] == len(truth)
    assert [abs(a - obspy.UTCDateTime(b)) <= 0.1 for a, b in zip(times, truth, strict=True)] == [True] * 3


def test_hugoton_facies(project: Project, run: Call, shared: Path, facts: list[dict[str, Any]]) -> None:
    truth = line_of(facts, "logs_hugoton_facies", "Rows")
    found = values(run("table_inspect", table=project.add(shared / "logs_hugoton_facies" / "facies_vectors.csv").name))
    assert [found[key] for key in ("rows", "Well_Name_distinct", "Facies_top", "PE_missing")] == [
        truth[key] for key in ("rows", "wells", "top_facies", "PE_missing")
    ]
    assert round(found["Facies_top_share"], 4) == truth["share"]
    assert round(found["GR_mean"], 3) == truth["mean_GR"]


def test_southern_africa_gravity(project: Project, run: Call, shared: Path, facts: list[dict[str, Any]]) -> None:
    truth = line_of(facts, "gravity_southern_africa", "Stations")
    name = project.add(shared / "gravity_southern_africa" / "southern-africa-gravity.csv.xz").name
    disturbance = values(run("gravity_disturbance", stations=name))
    bouguer = values(run("bouguer_terrain", stations=name, density="2670 kg/m3"))
    assert disturbance["stations"] == truth["stations"]
    assert disturbance["range"] == pytest.approx(truth["disturbance"], abs=0.5)
    assert bouguer["range"] == pytest.approx(truth["bouguer"], abs=0.5)
    assert bouguer["mean"] == pytest.approx(truth["bouguer_mean"], abs=0.5)


def test_noisy_teapot(project: Project, run: Call, shared: Path, facts: list[dict[str, Any]], tmp_path: Path) -> None:
    """The raw floats of seismic_teapot_tp73 with noise, written as SEG-Y and read back."""
    truth = line_of(facts, "seismic_teapot_tp73", "SNR")
    clean = np.fromfile(shared / "seismic_teapot_tp73" / "tp73.dat", ">f4").reshape(357, 240).astype(np.float32)
    noisy = clean + 0.7 * clean.std() * np.random.default_rng(0).standard_normal(clean.shape)
    (tmp_path / "teapot.sgy").write_bytes(build(noisy.astype(np.float32), dt=2000, fields={21: np.arange(1, 358)}))
    name = project.add(tmp_path / "teapot.sgy").name

    def ratio(data: Data) -> float:
        assert isinstance(data, Seismic)
        return float(10 * np.log10((clean**2).sum() / ((data.data - clean) ** 2).sum()))

    assert ratio(project.load(name)) == pytest.approx(truth["before_db"], abs=0.05)
    assert ratio(run("fx_decon", line=name, window="0.24 s", filter_length=4, traces=20)) >= 8.5
