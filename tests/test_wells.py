"""Well-log tools against their closed forms, and their care for units, intervals and nulls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from moho.agent.tools.wells import las_inspect, porosity, vshale, water_saturation
from moho.errors import Missing, Refusal
from moho.las import read_las
from moho.survey import Curve, Well

N = 101


def well(**curves: tuple[object, str]) -> Well:
    held = {name: Curve(np.broadcast_to(np.asarray(values, float), N).copy(), unit) for name, (values, unit) in curves.items()}
    return Well(depth=1000 + 0.5 * np.arange(N), curves=held, well_name="A-1")


@pytest.mark.parametrize(
    ("law", "expected"), [("linear", 0.5), ("larionov tertiary", 0.083 * (2**1.85 - 1)), ("larionov older", 0.33)]
)  # index 0.5
def test_shale_volume_is_the_closed_form(law: str, expected: float) -> None:
    made = vshale(well(GR=(70, "GAPI")), 20, 120, law)  # type: ignore[arg-type]
    assert made.facts["mean"].value == pytest.approx(expected, rel=1e-6)
    assert made.curves["VSH"].unit == "v/v"


def test_shale_volume_stays_within_zero_and_one_and_counts_what_was_clipped() -> None:
    gamma = np.full(N, 70.0)
    gamma[:10], gamma[10:15], gamma[50] = 200, 5, np.nan
    made = vshale(well(SGR=(gamma, "API")), 20, 120)
    values = made.curves["VSH"].values
    assert made.facts["clipped"].value == 15
    assert np.nanmin(values) == 0
    assert np.nanmax(values) == 1
    assert np.isnan(values[50])
    assert made.facts["samples"].value == N - 1
    assert any("clipped" in note for note in made.notes)


def test_density_porosity_of_quartz_sand() -> None:
    assert porosity(well(RHOB=(2.32, "G/C3"))).facts["mean"].value == pytest.approx(0.20, abs=1e-9)


@pytest.mark.parametrize(("value", "unit"), [(2.32, "G/CC"), (2320, "K/M3"), (2320, "kg/m3"), (2.32, "unknown"), (2320, "")])
def test_density_comes_in_many_units(value: float, unit: str) -> None:
    made = porosity(well(RHOZ=(value, unit)))
    assert made.facts["mean"].value == pytest.approx(0.20, abs=1e-9)
    if unit in ("", "unknown"):
        assert any("no unit" in note for note in made.notes)


@pytest.mark.parametrize(("value", "unit"), [(82.2, "US/F"), (82.2 / 0.3048, "us/m")])
def test_sonic_porosity_is_wyllies_time_average(value: float, unit: str) -> None:
    made = porosity(well(DT=(value, unit)), "sonic")
    assert made.facts["mean"].value == pytest.approx((82.2 - 55.5) / (189 - 55.5), rel=1e-6)


@pytest.mark.parametrize(("value", "unit"), [(0.24, "V/V"), (24, "%"), (24, "PU"), (0.24, "")])
def test_neutron_density_porosity_is_the_mean(value: float, unit: str) -> None:
    made = porosity(well(RHOB=(2.32, "g/cm3"), NPHI=(value, unit)), "neutron-density")
    assert made.facts["mean"].value == pytest.approx(0.22, rel=1e-6)


def test_archie_gives_a_quarter() -> None:
    made = water_saturation(well(RT=(20, "OHMM"), PHI=(0.2, "v/v")), 0.05)
    assert made.facts["mean"].value == pytest.approx(0.25, rel=1e-9)
    assert any("Rw 0.05" in note and "m 2" in note for note in made.notes)


def test_archie_on_water_bearing_rock_is_clipped_to_one() -> None:
    made = water_saturation(well(ILD=(0.5, "ohm.m"), PHIE=(0.2, "v/v")), 0.05)
    assert made.facts["max"].value == 1.0
    assert made.facts["clipped"].value == N


def test_a_logarithm_of_resistivity_is_recognised() -> None:
    made = water_saturation(well(ILD_LOG10=(np.log10(20), "ohm.m"), PHI=(0.2, "v/v")), 0.05)
    assert made.facts["mean"].value == pytest.approx(0.25, rel=1e-9)


def test_porosity_then_saturation_needs_no_question_about_neutron() -> None:
    both = porosity(well(RHOB=(2.32, "g/cc"), NPHI=(0.3, "v/v"), RT=(20, "ohmm")))
    made = water_saturation(both, 0.05)
    assert made.facts["mean"].value == pytest.approx(0.25)
    assert any("not NPHI" in note for note in made.notes)


def test_two_porosities_are_a_question_with_candidates() -> None:
    with pytest.raises(Missing) as raised:
        water_saturation(well(RT=(20, "ohm.m"), PHIT=(0.2, "v/v"), NPHI=(0.2, "v/v")), 0.05)
    assert raised.value.argument == "porosity_curve"
    assert raised.value.candidates == ("PHIT", "NPHI")


def test_no_porosity_names_the_tool_to_run() -> None:
    with pytest.raises(Refusal, match="Run the tool porosity first"):
        water_saturation(well(RT=(20, "ohm.m")), 0.05)


def test_interval_is_computed_and_the_rest_stays_empty() -> None:
    source = well(GR=(70, "GAPI"))
    made = vshale(source, 20, 120, top=1010, base=1020)
    values = made.curves["VSH"].values
    assert made.facts["samples"].value == 21
    assert np.isfinite(values[20:41]).all()
    assert np.isnan(values[:20]).all()
    assert "VSH" not in source.curves


@pytest.mark.parametrize(("top", "base"), [(900, 950), (1040, 1100), (500, None), (None, 3000)])
def test_an_interval_outside_the_log_is_refused_with_its_range(top: float | None, base: float | None) -> None:
    with pytest.raises(Refusal, match="1000 to 1050 m"):
        vshale(well(GR=(70, "GAPI")), 20, 120, top=top, base=base)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: vshale(well(GR=(70, "GAPI")), 120, 20), ValueError, "clean < shale"),
        (lambda: vshale(well(RHOB=(2.3, "g/cc")), 20, 120), Missing, "no GR"),
        (lambda: vshale(well(GR=(np.nan, "GAPI")), 20, 120), Refusal, "null"),
        (lambda: porosity(well(RHOB=(2.3, "g/cc")), fluid=2.7), ValueError, "fluid < matrix"),
        (lambda: porosity(well(RHOB=(2.3, "ohm.m"))), Refusal, "cannot become"),
        (lambda: porosity(well(RHOB=(2.3, "kg/m3"))), Refusal, "unit in the file is wrong"),
        (lambda: porosity(well(RHOB=(60, ""))), Missing, "no unit"),
        (lambda: porosity(well(DT=(180, "")), "sonic"), Missing, "us/ft or us/m"),
        (lambda: water_saturation(well(RT=(20, "ohmm"), NEUT=(400, "cps")), 0.05), Refusal, "Run the tool porosity"),
        (lambda: porosity(well(RHOB=(2.3, "g/cc"), NEUT=(400, "cps")), "neutron-density"), Refusal, "cps"),
        (lambda: water_saturation(well(RT=(20, "ohmm"), PHI=(0.2, "")), 0.05, n=0), ValueError, "above 0"),
        (lambda: water_saturation(well(RT=(20, "ohmm"), PHI=(0.2, "")), 0.05, porosity_curve="PHIX"), ValueError, "no curve"),
        (lambda: vshale(well(GR=(70, "GAPI")), 20, 120, top=1020, base=1010), ValueError, "top < base"),
    ],
)
def test_bad_input_is_turned_down_with_a_reason(call: object, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()  # type: ignore[operator]


def test_inspection_counts_nulls_and_gaps() -> None:
    source = well(GR=(np.r_[np.full(20, np.nan), np.full(N - 20, 80.0)], "GAPI"), DT=(90, "unknown"), EMPTY=(np.nan, "m"))
    depth = source.depth.copy()
    depth[60:] += 12
    made = las_inspect(Well(depth=depth, curves=source.curves))
    assert made.facts["GR_mean"].value == 80
    assert made.facts["GR_null"].value == pytest.approx(100 * 20 / N, abs=1e-3)
    assert made.facts["gaps"].value == 1
    assert made.facts["longest_gap"].value == pytest.approx(12.5)
    assert "EMPTY_mean" not in made.facts
    assert any("DT has no unit" in note for note in made.notes)


def test_scorpio_has_its_rows_and_depths(shared: Path) -> None:
    held = read_las(shared / "logs_lasio_examples" / "6038187_v1.2.las")
    made = las_inspect(held)
    assert made.facts["samples"].value == 2732
    assert made.facts["depth"].value == pytest.approx([0.05, 136.6])
