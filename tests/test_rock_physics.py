"""Logs cleaned, substituted, summed and upscaled, against closed forms and planted spikes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from moho import plot
from moho.agent.tools.rock_physics import dry_modulus, fluid_substitution, log_clean, net_pay, saturated_modulus, upscale_logs
from moho.errors import MohoError
from moho.read import read
from moho.survey import Curve, Well

N = 2001
FLUIDS = (2.25, 1000.0, 0.8, 800.0)  # GPa and kg/m3, before and after


def well(step: float = 0.15, reference: str = "MD", **curves: tuple[object, str]) -> Well:
    n = max((np.size(values) for values, _ in curves.values()), default=N)
    n = N if n == 1 else n
    held = {name: Curve(np.broadcast_to(np.asarray(values, float), n).copy(), unit) for name, (values, unit) in curves.items()}
    return Well(depth=1000 + step * np.arange(n), curves=held, well_name="A-1", reference=reference)


def noisy(seed: int = 0) -> np.ndarray:
    """Beds of different gamma ray with noise."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.uniform(30, 110, 40), 51)[:N] + rng.normal(0, 2, N)


def sand(**more: tuple[object, str]) -> Well:
    return well(**{"DT": (1e6 / 3000, "us/m"), "DTS": (1e6 / 1700, "us/m"), "RHOB": (2250, "kg/m3"), "PHI": (0.25, "v/v"), **more})


@pytest.mark.parametrize("seed", range(3))
def test_planted_spikes_are_removed_and_nothing_else(seed: int) -> None:
    clean = noisy(seed)
    rng = np.random.default_rng(seed + 10)
    free = np.arange(10, N - 10, 25)
    free = free[(free % 51 > 2) & (free % 51 < 47)]  # a spike beside the edge of a bed leaves a sample alone between them
    at = rng.choice(free, 20, replace=False)
    spiked = clean.copy()
    spiked[at] += rng.choice([-1, 1], 20) * rng.uniform(60, 200, 20)
    spiked[at[0] + 1] = spiked[at[0]]  # one is two samples wide
    spiked[700:760] = np.nan
    made = log_clean(well(GR=(spiked, "gAPI")), ["GR"])
    values = made.curves["GR"].values
    changed = np.flatnonzero(np.isfinite(spiked) & (values != spiked))
    planted = np.sort(np.append(at, at[0] + 1))
    assert set(planted[(planted < 700) | (planted >= 760)]) == set(changed)
    assert made.facts["changed"].value == len(changed)
    assert np.isnan(values[700:760]).all()
    quiet = changed[(changed % 51 > 3) & (changed % 51 < 47)]  # away from the edges of beds
    assert np.abs(values - clean)[quiet].max() < 10


def test_noise_and_beds_are_left_alone() -> None:
    made = log_clean(well(GR=(noisy(5), "gAPI")))
    assert made.facts["changed"].value == 0


@pytest.mark.parametrize(("low", "high", "unit"), [(60, 140, "us/ft"), (220, 480, "us/m"), (150, 225, ""), (260, 400, "us/m")])
def test_the_unit_of_a_sonic_log_comes_from_its_values(low: float, high: float, unit: str) -> None:
    log = well(DT=(np.random.default_rng(0).uniform(low, high, N), "unknown"))
    if unit:
        made = log_clean(log)
        assert made.curves["DT"].unit == unit
        assert any("no unit" in note for note in made.notes)
    else:
        with pytest.raises(MohoError, match="us/ft or us/m"):
            log_clean(log)
        assert log_clean(log, sonic_unit="us/m").curves["DT"].unit == "us/m"


def test_the_same_fluid_changes_nothing() -> None:
    before = sand()
    made = fluid_substitution(before, 2.25, 1000, 2.25, 1000)
    for name in ("DT", "DTS", "RHOB"):
        np.testing.assert_allclose(made.curves[name].values, before.curves[name].values, rtol=1e-12)


def test_lighter_fluid_takes_density_from_2250_to_2200_and_keeps_the_shear_modulus() -> None:
    made = fluid_substitution(sand(), *FLUIDS)
    assert made.facts["rho_after"].value == pytest.approx(2200, abs=1e-9)
    assert made.facts["vs_after"].value == pytest.approx(1700 * np.sqrt(2250 / 2200), rel=1e-7)
    dry = dry_modulus(np.array(2250 * (3000**2 - 4 / 3 * 1700**2)), np.array(0.25), 37e9, 2.25e9)
    expected = np.sqrt((saturated_modulus(dry, np.array(0.25), 37e9, 0.8e9) + 4 / 3 * 2250 * 1700**2) / 2200)
    assert made.facts["vp_after"].value == pytest.approx(float(expected), rel=1e-7)
    assert made.facts["vp_after"].value < 3000


def test_gassmann_there_and_back() -> None:
    gas = fluid_substitution(sand(), *FLUIDS)
    only = gas.made(curves={name: gas.curves[name] for name in ("DT", "DTS", "RHOB", "PHI")})
    back = fluid_substitution(only, *FLUIDS[2:], *FLUIDS[:2])
    np.testing.assert_allclose(back.curves["DT"].values, 1e6 / 3000, rtol=1e-10)
    np.testing.assert_allclose(back.curves["RHOB"].values, 2250, rtol=1e-12)


def test_samples_beyond_the_bounds_are_left_and_counted() -> None:
    slow = np.full(N, 1e6 / 3000)
    slow[:100] = 1e6 / 2200  # K_sat below Reuss: K_dry negative
    made = fluid_substitution(sand(DT=(slow, "us/m")), *FLUIDS)
    assert made.facts["outside"].value == 100
    np.testing.assert_array_equal(made.curves["DT"].values[:100], slow[:100])


def flagged(reference: str = "MD") -> Well:
    """10 m of pay in 30 m of net in 100 m."""
    z = np.arange(1000) * 0.1
    pay, net = (z >= 20) & (z < 30 - 1e-9), (z >= 20) & (z < 50 - 1e-9)
    curves = {"VSH": (np.where(net, 0.2, 0.9), "v/v"), "PHI": (np.where(net, 20, 5), "%"), "SW": (np.where(pay, 0.3, 0.9), "v/v")}
    return well(0.1, reference, **curves)


def test_net_pay_sums_what_passes_the_cut_offs() -> None:
    made = net_pay(flagged())
    value = {key: quantity.value for key, quantity in made.facts.items()}
    assert value["gross"] == pytest.approx(100)
    assert value["net"] == pytest.approx(30)
    assert value["pay"] == pytest.approx(10)
    assert value["pay_ft"] == pytest.approx(10 / 0.3048, abs=1e-3)
    assert value["net_to_gross"] == pytest.approx(0.3)
    assert (value["pay_phi"], value["pay_sw"], value["pay_vsh"]) == pytest.approx((0.2, 0.3, 0.2))
    assert value["net_sw"] == pytest.approx(0.7)
    assert value["hydrocarbon"] == pytest.approx(10 * 0.2 * 0.7)
    assert "(MD)" in made.facts["pay"].label
    assert any("not true vertical" in note for note in made.notes)


def test_nothing_over_the_cut_offs_is_no_pay_and_nulls_are_neither() -> None:
    assert net_pay(flagged(), sw=0.1).facts["pay"].value == 0
    held = flagged()
    gone = held.curves["SW"].values.copy()
    gone[250:270] = np.nan
    made = net_pay(held.made(curves={**held.curves, "SW": Curve(gone, "v/v")}))
    assert made.facts["pay"].value == pytest.approx(8)
    assert made.facts["unknown"].value == pytest.approx(2)


def layered() -> Well:
    thick = np.tile(np.repeat([0, 1], 10), 100)
    return well(
        0.1, DT=(np.where(thick, 1e6 / 3500, 1e6 / 2500), "us/m"), DTS=(np.where(thick, 1e6 / 2000, 1e6 / 1000), "us/m"),
        RHOB=(np.where(thick, 2400, 2200), "kg/m3"),
    )  # fmt: skip


def test_backus_average_of_two_layers_is_the_closed_form() -> None:
    made = upscale_logs(layered(), window=8.0)
    rho, vp, vs = np.array([2200.0, 2400]), np.array([2500.0, 3500]), np.array([1000.0, 2000])
    m, mu = rho * vp**2, rho * vs**2
    c33, c44, c66, density = 1 / np.mean(1 / m), 1 / np.mean(1 / mu), mu.mean(), rho.mean()
    lam = m - 2 * mu
    c13 = c33 * np.mean(lam / m)
    c11 = np.mean(m - lam**2 / m) + c13**2 / c33
    middle = slice(200, 1800)
    np.testing.assert_allclose(1e6 / made.curves["DT"].values[middle], np.sqrt(c33 / density), rtol=1e-9)
    np.testing.assert_allclose(1e6 / made.curves["DTS"].values[middle], np.sqrt(c44 / density), rtol=1e-9)
    np.testing.assert_allclose(made.curves["RHOB"].values[middle], density, rtol=1e-12)
    np.testing.assert_allclose(made.curves["EPSILON"].values[middle], (c11 - c33) / (2 * c33), rtol=1e-8)
    np.testing.assert_allclose(made.curves["GAMMA"].values[middle], (c66 - c44) / (2 * c44), rtol=1e-8)
    delta = ((c13 + c44) ** 2 - (c33 - c44) ** 2) / (2 * c33 * (c33 - c44))
    np.testing.assert_allclose(made.curves["DELTA"].values[middle], delta, rtol=1e-7)


def test_a_uniform_medium_stays_itself_without_anisotropy() -> None:
    made = upscale_logs(sand(), frequency=30)
    np.testing.assert_allclose(made.curves["DT"].values, 1e6 / 3000, rtol=1e-10)
    np.testing.assert_allclose(made.curves["EPSILON"].values, 0, atol=1e-10)
    assert made.facts["window"].value == pytest.approx(10)  # 3000 m/s / (10 * 30 Hz)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: log_clean(sand(), ["XX"]), "no curve 'XX'"),
        (lambda: log_clean(sand(), window=0.3), "holds 3 samples"),
        (lambda: log_clean(well(GR=(np.nan, "gAPI"))), "no curve of the well holds numbers"),
        (lambda: fluid_substitution(sand(), 40, 1000, 0.8, 800), "must exceed those of the fluids"),
        (lambda: fluid_substitution(sand(PHI=(0.02, "v/v")), *FLUIDS), "allowed are 0 to"),
        (lambda: fluid_substitution(well(DT=(300, "us/m"), RHOB=(2250, "kg/m3"), PHI=(0.2, "v/v")), *FLUIDS), "no shear log"),
        (lambda: fluid_substitution(sand(RHOB=(22.5, "g/cm3")), *FLUIDS), "RHOB has a median of"),
        (lambda: fluid_substitution(sand(), *FLUIDS, top=5000), "not within|need top < base"),
        (lambda: net_pay(sand()), "no VSH curve"),
        (lambda: net_pay(flagged(), top=2000, base=2100), "not within the logged"),
        (lambda: upscale_logs(sand()), "Over what length"),
        (lambda: upscale_logs(sand(), window=0.1), "fewer than two samples"),
        (lambda: upscale_logs(sand(), frequency=0.01), "longer than the logged"),
        (lambda: upscale_logs(well(GR=(50, "gAPI")), window=5), "no DT or VP curve"),
    ],
)
def test_what_cannot_be_is_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises((MohoError, ValueError), match=words):
        call()


def test_pictures_carry_units() -> None:
    axes = plot.describe(plot.draw(fluid_substitution(sand(), *FLUIDS)))["axes"]  # type: ignore[arg-type]
    assert any(ax["x"] == "DT (us/m)" for ax in axes)
    assert plot.draw(upscale_logs(layered(), window=8.0)) is not None
    assert any("flag" in ax["x"] for ax in plot.describe(plot.draw(net_pay(flagged())))["axes"])  # type: ignore[arg-type]


def test_f3_and_scorpio_logs_lose_few_samples(shared: Path) -> None:
    f3 = read(shared / "seismic_f3/wells/F03-2_logs.las")
    assert isinstance(f3, Well)
    assert 0 < log_clean(f3).facts["share"].value < 1
    up = upscale_logs(f3, frequency=40)
    assert abs(up.facts["vp_after"].value / up.facts["vp_before"].value - 1) < 0.01
    gas = fluid_substitution(f3, 2.4, 1030, 0.05, 150, 37, 44, porosity_curve="PHIE", shear="mudrock line", top=900, base=1300)
    assert gas.facts["outside"].value == 0
    assert gas.facts["vp_after"].value < 0.85 * gas.facts["vp_before"].value
    scorpio = read(shared / "logs_lasio_examples/6038187_v1.2.las")
    assert isinstance(scorpio, Well)
    assert 0 < log_clean(scorpio).facts["share"].value < 1
