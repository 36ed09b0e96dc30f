"""Ten tools that no model was trained on: they compute, they leave no trace, and the right calls of their requests can be written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from test_decision import accepts
from typer.testing import CliRunner

from moho.agent import decision, embedded, offer
from moho.agent.registry import MARK, Tool, load_tools, prepare
from moho.errors import DataError, Missing, Refusal
from moho.rl import unseen
from moho.rl.commands import evaluate
from moho.rl.pen import Example, _possible
from moho.survey import KINDS, Catalogue, Curve, Gather, Grid, Magnetics, MTSounding, Picks, Seismic, Well

ROWS = unseen.requests()
NAMES = ["correlate_sweep", "decluster", "depth_shift", "flip_polarity", "fourth_difference", "normalise_gamma", "smooth_map", "undo_static"]
NAMES += ["wadati_origin", "whiten_spectrum"]


@pytest.fixture
def tools() -> Iterator[dict[str, Tool]]:
    with unseen.registered() as found:
        yield found


def on_offer(request: str, catalogue: Mapping[str, str]) -> list[str]:
    """An offer that holds all ten, beside another."""
    return [*NAMES, "bandpass"]


# -- the tools compute


def test_a_turned_section_is_turned_back_by_turning_it_again(tools) -> None:
    flip = tools["flip_polarity"].function
    line = Seismic(data=np.arange(1.0, 13).reshape(4, 3), dt=0.004, polarity="SEG normal")
    assert np.array_equal(flip(line, from_trace=2, upto_trace=3).data, line.data * [[1], [-1], [-1], [1]])
    assert flip(line).polarity == "SEG reverse"
    assert np.array_equal(flip(flip(line)).data, line.data)


def test_a_wavelet_becomes_white(tools) -> None:
    t = np.arange(-128, 128) * 0.004
    ricker = (1 - 2 * (np.pi * 25 * t) ** 2) * np.exp(-((np.pi * 25 * t) ** 2))
    white = tools["whiten_spectrum"].function(Seismic(data=ricker[None], dt=0.004), smoother=4.0, floor=0.1)
    size = np.abs(np.fft.rfft(white.data[0]))[10:50]  # 10 to 48 Hz
    assert size.max() / size.min() < 1.05


def test_a_correlated_sweep_is_a_spike_where_the_reflector_is(tools) -> None:
    t = np.arange(1000) * 0.004
    trace = np.zeros(2000)
    trace[300:1300] = np.sin(2 * np.pi * (60 - 50 / 8 * t) * t)  # 60 down to 10 Hz in 4 s
    made = tools["correlate_sweep"].function(Gather(data=trace[None], dt=0.004, offset=np.zeros(1)), 60.0, 10.0, 4.0)
    assert np.argmax(made.data[0]) == 300
    assert made.data.shape == (1, 1000)


def test_a_bed_moves_by_the_shift(tools) -> None:
    depth = np.arange(1000.0, 1050, 0.5)
    curves = {name: Curve((depth > 1020).astype(float)) for name in ("GR", "DT")}
    made = tools["depth_shift"].function(Well(depth=depth, curves=curves), 3.0, "shallower", "DT")
    assert np.array_equal(np.nan_to_num(made.curves["DT"].values[:90]), (depth > 1017)[:90])
    assert made.curves["GR"] is curves["GR"]


def test_the_percentiles_come_to_the_readings(tools) -> None:
    well = Well(depth=np.arange(101.0), curves={"GR": Curve(np.arange(101.0) ** 2, "gAPI")})
    made = tools["normalise_gamma"].function(well, 20.0, 120.0, 10.0).curves["GR"].values
    assert made[[10, 90]] == pytest.approx([20, 120])


def test_an_aftershock_is_taken_out_and_a_distant_event_stays(tools) -> None:
    time = np.array(["2020-01-01T00:00:00", "2020-01-03T00:00:00", "2020-01-03T00:00:00", "2023-01-01T00:00:00"])
    place = {"latitude": np.array([40, 40.1, 45, 40.0]), "longitude": np.full(4, 10.0), "depth": np.full(4, 8.0)}
    events = Catalogue(time=time, magnitude=np.array([6.0, 4, 4, 3]), magnitude_type=np.full(4, "Mw"), **place)
    for windows in ("Gardner-Knopoff", "Gruenthal", "Uhrhammer"):
        assert tools["decluster"].function(events, windows).magnitude.tolist() == [6, 4, 3]
    assert tools["decluster"].function(events, "Uhrhammer", cutoff=3.5).latitude.tolist() == [40, 45]


def test_the_line_of_wadati_meets_the_axis_at_the_origin_time(tools) -> None:
    p = np.array([4.0, 6, 7, 9])  # 2 s after the origin the event begins, Vp/Vs 1.75
    s = 2 + 1.75 * (p - 2)
    many = {"station": np.array([*"ABCD"] * 2), "phase": np.repeat(["P", "S"], 4), "uncertainty": np.full(8, 0.1)}
    found = tools["wadati_origin"].function(Picks(time=np.concatenate([p, s]), origin="2020-01-01T00:00:00", **many)).facts
    assert [found["origin"].value, found["vp_vs"].value, found["stations"].value] == pytest.approx([2, 1.75, 4])


@pytest.mark.parametrize("kernel", ["gaussian", "mean", "median"])
def test_a_plane_stays_and_noise_goes(tools, kernel: str) -> None:
    x = np.arange(20) * 100.0
    plane, noise = x[None] + 2 * x[:, None], np.random.default_rng(1).normal(size=(20, 20))
    smooth = tools["smooth_map"].function
    assert smooth(Grid(values=plane, x=x, y=x), 250.0, kernel).values[3:-3, 3:-3] == pytest.approx(plane[3:-3, 3:-3])
    assert smooth(Grid(values=noise, x=x, y=x), 250.0, kernel).values.std() < 0.45


def test_a_lone_spike_goes_and_the_anomaly_stays(tools) -> None:
    x = np.arange(100.0)
    field = 200 * np.exp(-(((x - 50) / 10) ** 2))
    points = Magnetics(x=x, y=x, value=field + 30 * (x == 20))
    assert tools["fourth_difference"].function(points, 10.0).value == pytest.approx(field, abs=0.1)
    assert len(tools["fourth_difference"].function(points, 10.0, "delete").value) == 99


def test_one_curve_comes_to_its_level_with_its_phase(tools) -> None:
    frequency = 10.0 ** np.arange(2, -3, -1)
    z = np.sqrt(8e-7 * np.pi**2 * frequency * 100) * np.exp(1j * np.pi / 4)  # a half-space of 100 ohm.m
    impedance = np.zeros((5, 2, 2), complex)
    impedance[:, 0, 1], impedance[:, 1, 0] = 3 * z, -z  # xy shifted by 9
    made = tools["undo_static"].function(MTSounding(frequency=frequency, impedance=impedance), 100.0, 1.0, "xy")
    assert made.apparent("xy")[0] == pytest.approx(np.full(5, 100))
    assert made.impedance[:, 1] == pytest.approx(impedance[:, 1])
    with pytest.raises(Refusal, match="no xy impedance"):
        tools["undo_static"].function(MTSounding(frequency=frequency, impedance=impedance * np.nan), 100.0, mode="xy")


# -- they are there only while they are scored


def test_the_tools_come_without_phrasings_and_leave_no_trace() -> None:
    before, common = set(load_tools()), offer._common()
    with unseen.registered() as tools:
        assert sorted(tools) == NAMES
        assert not any(tool.say for tool in tools.values())
        assert all(tool.summary.endswith(".") and tool.reference and 2 <= len(tool.arguments) <= 4 for tool in tools.values())
        assert offer._common()["polarity"] == common["polarity"] + 1
    assert set(load_tools()) == before
    with pytest.raises(ZeroDivisionError), unseen.registered():
        1 / 0  # noqa: B018
    assert set(load_tools()) == before
    assert offer._common() == common
    theirs = {argument.name for tool in tools.values() for argument in tool.arguments}
    assert not theirs & {argument.name for tool in load_tools().values() for argument in tool.arguments}


def test_without_a_checkout_the_error_says_where_they_are_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not at .*checkout.*E_NOT_FOUND"), unseen.registered(tmp_path):
        pass
    with pytest.raises(DataError, match="E_NOT_FOUND"):
        unseen.requests(tmp_path)


# -- the requests


def test_eight_requests_a_tool_most_of_them_in_other_words() -> None:
    assert Counter(row.tool for row in ROWS) == dict.fromkeys(NAMES, 8)
    assert len({row.id for row in ROWS}) == len({row.request for row in ROWS}) == 80
    assert sum(row.named for row in ROWS) <= 40
    assert 8 <= sum(row.open for row in ROWS) <= 12
    assert all(1 <= len(row.catalogue) <= 3 and set(row.catalogue.values()) <= set(KINDS) for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_the_right_call_can_be_written_and_carried_out(tools, row: unseen.Asked) -> None:
    situation = decision.Situation(row.request, row.catalogue, [row.tool])
    assert _possible(Example(situation, row.reply, "call", row.tool))
    assert accepts(row.reply, situation)
    held = {name: KINDS[kind] for name, kind in row.catalogue.items()}
    if row.open:
        with pytest.raises(Missing) as asked:
            prepare(row.tool, row.arguments, held)
        assert row.arguments[asked.value.argument] == MARK
    else:
        assert set(prepare(row.tool, row.arguments, held).arguments) >= set(row.arguments)


# -- the scores


def test_a_perfect_decider_scores_one_and_one_that_refuses_nothing() -> None:
    right = {row.request: row.reply for row in ROWS}
    perfect = unseen.score(lambda situation: right[situation.request], choose=on_offer)
    assert {name: one["share"] for name, one in perfect["scores"]["all"].items()} == dict.fromkeys(
        ("offered", "tool", "exact", "exact where offered"), 1.0
    )
    assert perfect["wrong"] == []
    assert {"all said", "left open", "named", "paraphrased", *NAMES} < set(perfect["scores"])
    refusing = unseen.score(lambda situation: "refuse()", choose=on_offer)
    assert [refusing["scores"]["all"][name]["share"] for name in ("offered", "tool", "exact")] == [1, 0, 0]
    assert len(refusing["wrong"]) == 80


def test_a_tool_that_is_not_offered_counts_against_the_agent_and_not_the_model() -> None:
    right = {row.request: row.reply for row in ROWS}
    choose = lambda request, catalogue: ["decluster", "bandpass"]  # noqa: E731
    found = unseen.score(lambda s: right[s.request] if right[s.request].startswith("decluster") else "refuse()", choose=choose)["scores"]
    assert {name: (one["share"], one["n"]) for name, one in found["all"].items()} == {
        "offered": (0.1, 80), "tool": (0.1, 80), "exact": (0.1, 80), "exact where offered": (1.0, 8),
    }  # fmt: skip
    assert found["all"]["tool"]["interval"] == [0.0, 0.3]  # one tool of ten, drawn together
    assert found["flip_polarity"]["exact where offered"] == {"share": None, "n": 0, "interval": None}


def test_the_command_prints_a_table_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "embedded", lambda variant: SimpleNamespace(decide=lambda situation: "refuse()"))
    scored = unseen.score(lambda situation: "refuse()", choose=on_offer)
    monkeypatch.setattr(unseen, "score", lambda decide: scored)
    made = json.loads(CliRunner().invoke(evaluate, ["unseen", "--json"]).stdout)
    assert (made["schema_version"], made["model"], made["tools"]) == (1, "embedded", 10)
    shown = CliRunner().invoke(evaluate, ["unseen"])
    assert shown.stdout.startswith("offered              1.000  (1.000 to 1.000, n = 80, 10 tools)\ntool                 0.000")
    assert "wanted decluster(" in shown.stderr
    assert isinstance(CliRunner().invoke(evaluate, ["unseen", "--model", "hf:x"]).exception, DataError)
