"""Layers forward and back, DC sections, and the DC files they come from: half-spaces, closed forms, known layers, published models."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from moho import store
from moho.agent.registry import load_tools, prepare
from moho.agent.tools import dc_section, layered
from moho.agent.tools.electromagnetics import dc_2d, em1d_forward, mt_1d
from moho.errors import DataError, Missing, Refusal
from moho.plot import draw
from moho.read import describe_kind, read
from moho.survey import DCSurvey, MTSounding, Report

PERIODS = np.geomspace(1e-3, 100, 26)


def facts(data) -> dict:
    return {key: fact.value for key, fact in data.facts.items()}


def dipoles(n: int = 6, electrodes: int = 17, spacing: float = 10.0) -> dict[str, np.ndarray]:
    rows = [(i, i + 1, i + 2 + k, i + 3 + k) for i in range(electrodes) for k in range(n) if i + 3 + k < electrodes]
    return dict(zip("abmn", spacing * np.array(rows, float).T, strict=True))


def line(value: np.ndarray | float = 100.0, **changes) -> DCSurvey:
    places = dipoles()
    unit = DCSurvey(**places, value=np.ones(len(places["a"])))
    return DCSurvey(**{**places, "value": value / unit.factor, "title": "line", **changes})


# -- forward


@pytest.mark.parametrize("method", ["MT", "DC Schlumberger", "DC Wenner"])
def test_a_half_space_returns_its_resistivity(method: str) -> None:
    data = em1d_forward([100.0], method=method)
    assert facts(data)["apparent_resistivity"] == pytest.approx([100.0, 100.0], rel=1e-4)
    split = em1d_forward([100.0, 100.0], [50.0], method=method)
    assert facts(split)["apparent_resistivity"] == pytest.approx([100.0, 100.0], rel=1e-4)
    if method == "MT":
        assert facts(data)["phase"] == pytest.approx([45.0, 45.0])
        assert np.degrees(np.angle(data.impedance[:, 1, 0])) == pytest.approx([-135.0] * 25)


def test_simpeg_gives_the_same_and_its_phase_is_turned() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from simpeg.electromagnetics import natural_source as ns

        frequency = np.array([100.0, 1.0, 0.01])
        parts = ("apparent_resistivity", "phase")
        sources = [
            ns.sources.Planewave([ns.receivers.Impedance(np.zeros((1, 3)), orientation="xy", component=part) for part in parts], frequency=f)
            for f in frequency
        ]
        upward = {"thicknesses": np.array([800.0, 500.0]), "sigma": np.array([0.001, 0.1, 0.01])}  # SimPEG's layers count from the base
        simulation = ns.Simulation1DRecursive(survey=ns.Survey(sources), **upward)
        theirs = np.asarray(simulation.dpred(None)).reshape(3, 2)
    rho, phase, _ = em1d_forward([100.0, 10.0, 1000.0], [500.0, 800.0], frequency=frequency.tolist()).apparent("xy")
    assert rho == pytest.approx(theirs[:, 0], rel=1e-6)
    assert phase == pytest.approx(theirs[:, 1] + 180, abs=1e-4)


def test_schlumberger_over_two_layers_is_the_image_series() -> None:
    spacing, top, base, h = np.array([5.0, 30.0, 200.0]), 100.0, 10.0, 20.0
    data = em1d_forward([top, base], [h], method="DC Wenner", spacing=spacing.tolist())
    k = (base - top) / (base + top)
    n = np.arange(1, 400)[:, None]
    series = top * (1 + 4 * np.sum(k**n * (1 / np.sqrt(1 + (2 * n * h / spacing) ** 2) - 1 / np.sqrt(4 + (2 * n * h / spacing) ** 2)), axis=0))
    assert data.apparent == pytest.approx(series, rel=2e-3)


def test_short_periods_see_the_top_and_long_ones_the_base() -> None:
    found = facts(em1d_forward([100.0, 10.0], [500.0]))
    assert found["at_shortest_period"] == pytest.approx(100, rel=0.01)
    assert found["at_longest_period"] == pytest.approx(10, rel=0.05)


@pytest.mark.slow
def test_csem_over_a_half_space_is_its_closed_form() -> None:
    data = em1d_forward([100.0], method="CSEM", frequency=[1e-4], spacing=[1000.0])
    assert isinstance(data, Report)
    assert facts(data)["field"] == pytest.approx(3.18310e-8, rel=1e-4)  # rho / (pi r^3)
    assert facts(data)["apparent_resistivity"] == pytest.approx(100.0, rel=1e-4)
    figure = draw(data)
    assert figure is not None
    assert figure.axes[1].get_xlabel() == "offset (m)"


@pytest.mark.parametrize(
    "arguments",
    [
        {"resistivity": [100.0, -1.0], "thickness": [10.0]},
        {"resistivity": []},
        {"resistivity": [100.0, 10.0]},
        {"resistivity": [100.0], "thickness": [10.0]},
        {"resistivity": [100.0, 10.0], "thickness": [float("nan")]},
        {"resistivity": [100.0], "frequency": [0.0]},
        {"resistivity": [100.0], "frequency": []},
        {"resistivity": [100.0], "spacing": [10.0]},
        {"resistivity": [100.0], "method": "DC Wenner", "frequency": [1.0]},
    ],
)
def test_a_model_that_cannot_be_is_said(arguments: dict) -> None:
    with pytest.raises(ValueError):
        em1d_forward(**arguments)


def test_a_person_may_write_the_layers_in_their_units() -> None:
    load_tools()
    call = prepare("em1d_forward", {"resistivity": "100, 10 ohm.m", "thickness": "0.5 km", "frequency": "10 Hz"}, {})
    assert call.values["resistivity"] == [100.0, 10.0]
    assert call.values["thickness"] == [500.0]


# -- one sounding back


def sounding(rho: list[float], h: list[float], noise: float = 0.0, error: float | None = 0.05) -> MTSounding:
    made = em1d_forward(rho, h, frequency=(1 / PERIODS).tolist())
    draw_ = np.random.default_rng(3).standard_normal((2, len(PERIODS), 2, 2)) if noise else np.zeros((2, len(PERIODS), 2, 2))
    z = made.impedance + noise / 2 / np.sqrt(2) * np.abs(made.impedance) * (draw_[0] + 1j * draw_[1])
    return made.made(impedance=z, error=None if error is None else 0.5 * error * np.abs(made.impedance), station="made")


@pytest.mark.parametrize(
    ("rho", "h", "noise"),
    [
        ([100.0, 10.0], [500.0], 0.0),
        ([100.0, 10.0], [500.0], 0.05),
        ([20.0, 500.0], [300.0], 0.05),
        ([200.0, 5.0, 500.0], [400.0, 300.0], 0.05),
    ],
)
def test_layers_come_back_within_a_tenth(rho: list[float], h: list[float], noise: float) -> None:
    report = mt_1d(sounding(rho, h, noise))
    found = facts(report)
    assert found["layers"] == len(rho)
    if len(rho) == 2:
        for key, truth in (("resistivity_1", rho[0]), ("resistivity_2", rho[1]), ("thickness_1", h[0])):
            assert found[key] == pytest.approx(truth, rel=0.1)
            low, high = found[f"{key}_range"]
            assert low <= truth <= high
    assert found["resistivity_2"] * found.get("thickness_2", 1) ** -1 == pytest.approx(rho[1] / (h[1] if len(h) > 1 else 1), rel=0.1)
    assert found["misfit"] < 1.3
    assert 0.8 <= found["smooth_misfit"] <= 1.02
    assert found["depth_of_investigation"] > h[0]
    assert any("not unique" in note for note in report.notes)
    assert any("trade-off" in note for note in report.notes)


def test_a_thin_conductor_is_known_by_its_conductance_alone() -> None:
    """S = h / rho stays while both move: the range of the thickness is wide, and says so."""
    found = facts(mt_1d(sounding([200.0, 5.0, 500.0], [1000.0, 50.0], 0.02), layers=3))
    low, high = (found.get("thickness_2_range") or [found.get("thickness_2_least", 1.0), found.get("thickness_2_most", np.inf)])[:2]
    assert high > 2 * low or "thickness_2_range" not in found
    assert found["thickness_2"] / found["resistivity_2"] == pytest.approx(10.0, rel=0.15)


def test_ground_that_is_not_layered_is_refused_or_said() -> None:
    made = sounding([100.0, 10.0], [500.0])
    turned = made.made(impedance=-made.impedance)
    with pytest.raises(Refusal, match="layered ground"):
        mt_1d(turned, "xy")
    with pytest.raises(Refusal, match="no ground"):
        mt_1d(made.made(impedance=1000 * made.impedance))
    with pytest.raises(Refusal, match="needed"):
        mt_1d(made, last_period=2e-3)
    with pytest.raises(Refusal):
        mt_1d(made.made(impedance=np.full_like(made.impedance, np.nan)))
    with pytest.raises(ValueError):
        mt_1d(made, layers=20)
    with pytest.raises(ValueError):
        mt_1d(made, error=0.0)
    skewed = made.impedance.copy()
    skewed[:, 0, 0] = skewed[:, 1, 1] = 0.4 * skewed[:, 0, 1]
    assert any("not layered" in note for note in mt_1d(made.made(impedance=skewed), "xy").notes)


def test_the_same_sounding_gives_the_same_bytes_and_a_picture() -> None:
    made = sounding([100.0, 10.0], [500.0], 0.05)
    first = mt_1d(made)
    assert store.dump(first) == store.dump(mt_1d(made))
    figure = draw(first)
    assert figure is not None
    labels = {(ax.get_xlabel(), ax.get_ylabel()) for ax in figure.axes}
    assert labels == {("period (s)", "apparent resistivity (ohm.m)"), ("period (s)", "phase (deg)"), ("resistivity (ohm.m)", "depth (m)")}


def test_gabbs_valley_has_a_conductor_below_300_m(shared: Path) -> None:
    report = mt_1d(read(shared / "mt_edi" / "gv100.edi"))
    found = facts(report)
    assert 60 < found["resistivity_1"] < 200
    assert 250 < found["thickness_1"] < 450
    assert found["resistivity_2"] < 10
    assert found["misfit"] < 2.5
    assert 1000 < found["depth_of_investigation"] < 5000
    with pytest.raises(Refusal) as refused:
        mt_1d(read(shared / "mt_edi" / "gv149.edi"))
    assert refused.value.code == "E_UNITS"


# -- DC lines


def test_a_half_space_section_is_the_half_space() -> None:
    data = line(100.0)
    plan = dc_section.plan(data, 2.5, 40.0)
    forward = dc_section.Forward(plan)
    assert forward.numerical < 0.01  # the mesh alone, before it is corrected
    assert forward.apparent(np.full(plan.cells, np.log(50.0))) == pytest.approx(np.full(len(data.value), 50.0), rel=1e-6)
    model = np.full(plan.cells, np.log(100.0))
    raw = forward.raw(model)
    change = 0.002 * np.random.default_rng(0).standard_normal(plan.cells)
    step = forward.jacobian(model, raw) @ change
    assert np.log(forward.raw(model + change) / raw) == pytest.approx(step, abs=0.03 * np.abs(step).max())
    report = dc_2d(data, 3.0)
    assert report.arrays["resistivity"] == pytest.approx(np.full_like(report.arrays["resistivity"], 100.0), rel=0.01)


def test_layers_under_a_line_are_found() -> None:
    data = line()
    apparent = dc_section.layered(np.array([100.0, 10.0]), np.array([15.0]), data.a, data.b, data.m, data.n)
    noisy = apparent * np.exp(0.02 * np.random.default_rng(1).standard_normal(len(apparent)))
    report = dc_2d(data.made(value=noisy / data.factor, error=0.02 * noisy / np.abs(data.factor)))
    found, arrays = facts(report), report.arrays
    assert found["misfit"] == pytest.approx(1.0, abs=0.15)
    centre = 0.5 * (arrays["z_edges"][1:] + arrays["z_edges"][:-1])
    middle = arrays["resistivity"][:, arrays["resistivity"].shape[1] // 2]
    assert middle[centre < 6] == pytest.approx(100.0, rel=0.25)
    assert middle[(centre > 25) & (centre < 35)] == pytest.approx(10.0, rel=0.35)
    assert found["depth_of_investigation"] > 15
    figure = draw(report)
    assert figure is not None
    assert figure.axes[0].get_ylabel() == "depth (m)"
    assert any("distance along the line (m)" in ax.get_xlabel() for ax in figure.axes)


@pytest.mark.parametrize(
    ("changes", "arguments", "error"),
    [
        ({"quantity": "chargeability"}, {}, Refusal),
        ({"value": np.full(81, np.nan)}, {}, Refusal),
        ({}, {"cell": 20.0}, ValueError),
        ({}, {"depth": 1e5}, ValueError),
        ({}, {"error": 0.0}, ValueError),
        ({}, {"cell": 0.15}, Refusal),
    ],
)
def test_what_cannot_be_inverted_is_said(changes: dict, arguments: dict, error: type) -> None:
    data = line()
    with pytest.raises(error):
        dc_2d(data.made(**{key: value[: len(data.value)] if isinstance(value, np.ndarray) else value for key, value in changes.items()}), **arguments)


OBS = "title CENTURY\n 2 1 1\n 0 100 2\n 200 300 -0.0106 0.0005\n 300 400 -0.00265 0.0001\n 100 200 1\n 300 400 -0.0106 0.0005\n"


def test_a_ubc_line_has_its_apparent_resistivities(tmp_path: Path) -> None:
    path = tmp_path / "a.obs"
    path.write_text(OBS)
    data = read(path)
    assert isinstance(data, DCSurvey)
    assert data.factor == pytest.approx([-np.pi * 100 * 6, -np.pi * 100 * 24, -np.pi * 100 * 6])  # pi n (n + 1) (n + 2) a
    assert data.apparent == pytest.approx([20.0, 20.0, 20.0], rel=0.01)
    assert "DC resistivity line" in describe_kind(data)
    assert store.dump(data) == store.dump(read(path))
    figure = draw(data)
    assert figure is not None
    assert figure.axes[0].get_ylabel() == "pseudo-depth (m)"


def test_chargeabilities_are_not_taken_for_resistances(tmp_path: Path) -> None:
    path = tmp_path / "ip.obs"
    path.write_text("title\n 1 1 1\n 0 100 3\n 300 200 14.1 .4\n 400 300 13.2 .4\n 500 400 12.0 .4\n")
    with pytest.raises(Missing) as missing:
        read(path)
    assert missing.value.argument == "quantity"
    data = read(path, quantity="chargeability")
    assert describe_kind(data).startswith("IP line")
    assert draw(data) is not None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "E_FORMAT"),
        ("one line only\n", "E_TRUNCATED"),
        (OBS.replace(" 2 1 1", " x 1 1"), "E_FORMAT"),
        (OBS.replace(" 2 1 1", " 3 1 1"), "E_TRUNCATED"),
        (OBS.replace(" 2 1 1", " 1 1 1"), "E_HEADER"),
        (OBS[:60], "E_TRUNCATED"),
        (OBS.replace("-0.00265", "-0.0o265"), "E_FORMAT"),
        (OBS.replace("300 400 -0.00265 0.0001", "300 400 nan 0.0001"), "E_HEADER"),
        (OBS.replace("200 300 -0.0106 0.0005", "200 300 -0.0106 -0.0005"), "E_HEADER"),
        (OBS.replace(" 200 300 -0.0106 0.0005\n", " 100 300 -0.0106 0.0005\n"), "E_GEOMETRY"),
    ],
)
def test_damaged_lines_end_in_their_code(text: str, code: str, tmp_path: Path) -> None:
    path = tmp_path / "a.obs"
    path.write_text(text)
    with pytest.raises(DataError) as raised:
        read(path)
    assert raised.value.code == code


def test_century_lines_are_read(shared: Path) -> None:
    counts = {"46800E_46800POT.OBS": (151, 33), "27750N_27750POT.OBS": (173, 30), "47700E_47700POT.OBS": (115, 23)}
    for name, (data, electrodes) in counts.items():
        survey = read(shared / "dcip_century" / name)
        assert isinstance(survey, DCSurvey)
        assert (len(survey.value), len(survey.electrodes)) == (data, electrodes)
        assert (survey.apparent > 0).all()
        assert survey.summary()["spacing"].value == 100


@pytest.mark.slow
def test_a_century_line_gives_the_published_section(shared: Path) -> None:
    """The UBC model of line 46800E on its mesh: 25 to 50 m cells, 24 400 to 30 800 m, down to 2700 m."""
    report = dc_2d(read(shared / "dcip_century" / "46800E_46800POT.OBS"))
    found, arrays = facts(report), report.arrays
    assert found["misfit"] == pytest.approx(1.0, abs=0.1)
    assert found["numerical_error"] < 1
    words = (shared / "dcip_century" / "46800E_DCMODA.CON").read_text().split()
    published = 1 / np.array(words[2:], float).reshape(int(words[1]), int(words[0]))
    x = [24400.0]
    for end, cells in ((25200, 1), (25600, 1), (25800, 1), (25900, 1), (29300, 68), (29400, 1), (29600, 1), (30000, 1), (30800, 1)):
        x += np.linspace(x[-1], end, cells + 1)[1:].tolist()
    z = [0.0]
    for end, cells in ((400, 16), (800, 8), (1200, 2), (1500, 1), (2000, 1), (2700, 1)):
        z += np.linspace(z[-1], end, cells + 1)[1:].tolist()
    centre = [0.5 * (arrays[key][1:] + arrays[key][:-1]) for key in ("z_edges", "x_edges")]
    theirs = published[np.ix_(np.searchsorted(z, centre[0]) - 1, np.searchsorted(x, centre[1]) - 1)]
    seen = arrays["index"] <= dc_section.TRUSTED
    assert np.corrcoef(np.log(theirs[seen]), np.log(arrays["resistivity"][seen]))[0, 1] > 0.8


def test_a_deeper_layer_is_seen_less() -> None:
    curve = layered.Curve(1 / PERIODS, np.log(np.full(26, 100.0)), np.full(26, np.pi / 4), np.full(26, 0.05), np.full(26, 0.025))
    model, _, _ = layered.smooth(curve)
    near = layered.depth_seen(curve, model, 1.0)
    assert near > layered.depth_seen(curve, model, 100.0) > 0
    assert model.resistivity == pytest.approx(np.full(len(model.resistivity), 100.0), rel=0.01)
