"""Reflection by angle against Zoeppritz, and elastic properties of a made earth back from its angle gathers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from moho.agent.tools import avo
from moho.agent.tools.avo import avo_class, avo_curve, prestack_avo, shuey
from moho.agent.tools.wavelet_shapes import ricker_wavelet
from moho.errors import Missing, Refusal
from moho.plot import draw
from moho.survey import Array, Curve, Gather, Seismic, Well

DT, THETA = 0.004, np.arange(0.0, 41, 5)
SHALE, SAND = (2500.0, 1250.0, 2200.0), (3000.0, 1600.0, 2400.0)


def test_zoeppritz_at_0_10_20_30_degrees() -> None:
    report = avo_curve(*SHALE, *SAND)
    assert report.facts["coefficients"].value == [0.13386, 0.12754, 0.11063, 0.09023]
    assert report.facts["normal"].value == pytest.approx(0.133858, abs=1e-6)
    assert report.facts["critical_angle"].value == pytest.approx(np.degrees(np.arcsin(2500 / 3000)), abs=0.01)
    assert report.facts["class"].value == "I"
    assert draw(report).axes[0].get_xlabel() == "angle of incidence (degrees)"  # type: ignore[union-attr]


def test_shuey_is_the_small_contrast_limit() -> None:
    small = (2510.0, 1253.0, 2203.0)
    report = avo_curve(*SHALE, *small, angles=[0, 5, 10, 15, 20])
    intercept, gradient, _ = shuey(*SHALE, *small)
    sine = np.sin(np.radians([0, 5, 10, 15, 20])) ** 2
    assert report.facts["coefficients"].value == pytest.approx(intercept + gradient * sine, abs=3e-5)
    there, back = shuey(*SHALE, *SAND), shuey(*SAND, *SHALE)
    assert there[0] == pytest.approx(-back[0])
    assert there[1] == pytest.approx(-back[1])


@pytest.mark.parametrize(
    ("intercept", "gradient", "kind"),
    [(0.1, -0.2, "I"), (0.01, -0.1, "II"), (-0.01, -0.1, "II"), (-0.1, -0.2, "III"), (-0.1, 0.1, "IV"), (0.1, 0.1, "none")],
)
def test_avo_classes(intercept: float, gradient: float, kind: str) -> None:
    assert avo_class(intercept, gradient) == kind


def test_beyond_the_critical_angle_and_impossible_rock_are_refused() -> None:
    with pytest.raises(Refusal, match=r"beyond the critical angle of 56\.4"):
        avo_curve(*SHALE, *SAND, angles=[10, 60])
    with pytest.raises(Refusal, match="bulk modulus"):
        avo_curve(2500, 2400, 2200, *SAND)
    with pytest.raises(Refusal, match="two fluids"):
        avo_curve(1500, 0, 1000, 1600, 0, 900)
    with pytest.raises(ValueError, match="below 90"):
        avo_curve(*SAND, *SHALE, angles=[95])
    sea_floor = avo_curve(1500, 0, 1000, 2000, 800, 2100)
    assert sea_floor.facts["normal"].value == pytest.approx((2000 * 2100 - 1500e3) / (2000 * 2100 + 1500e3), abs=1e-5)


def earth(noise: float = 0.05, seed: int = 0, gathers: int = 4, samples: int = 240) -> tuple[Gather, Well, tuple[Array, Array, Array]]:
    """(angle gathers by Zoeppritz with a 25 Hz Ricker, well with all three logs, the truth) of layers whose properties go together."""
    from pylops.avo.avo import zoeppritz_pp
    from scipy.ndimage import gaussian_filter1d

    rng = np.random.default_rng(seed)
    bed = np.searchsorted(np.cumsum(rng.exponential(6, 400)), np.arange(samples))
    one, two, three = gaussian_filter1d(rng.standard_normal((3, 400))[:, bed], 1.2, axis=1)
    t = np.arange(samples)
    vp = np.exp(np.log(2500) + 0.0012 * t + 0.08 * one)
    vs = np.exp(np.log(1200) + 0.0016 * t + 0.10 * (0.7 * one + 0.7 * two))
    rho = np.exp(np.log(2200) + 0.0003 * t + 0.03 * (0.6 * one + 0.5 * three))
    r = np.zeros((samples, len(THETA)))
    for i in range(samples - 1):
        r[i : i + 2] += 0.5 * np.real(zoeppritz_pp(vp[i], vs[i], rho[i], vp[i + 1], vs[i + 1], rho[i + 1], THETA))
    wavelet = ricker_wavelet(25, DT)
    data = 500 * np.tile([np.convolve(r[:, k], wavelet, "same") for k in range(len(THETA))], (gathers, 1))
    data += noise * data.std() * rng.standard_normal(data.shape)
    z = np.concatenate([[0], np.cumsum(vp[:-1] * DT / 2)])
    curves = {"VP": Curve(vp, "m/s"), "VS": Curve(vs, "m/s"), "RHOB": Curve(rho, "kg/m3")}
    well = Well(depth=z, curves=curves, checkshot_depth=z, checkshot_time=t * DT, well_name="E-1")
    cdp = np.repeat(np.arange(gathers) + 1, len(THETA))
    angle = np.tile(THETA, gathers)
    return Gather(data=data.astype(np.float32), dt=DT, offset=np.zeros(len(data)), angle=angle, cdp=cdp, polarity="SEG normal"), well, (vp, vs, rho)


def correlations(result: Seismic, truth: tuple[Array, Array, Array]) -> list[float]:
    return [float(np.corrcoef(result.view["elastic"][name], one)[0, 1]) for name, one in zip(("vp", "vs", "density"), truth, strict=True)]


def test_vp_vs_and_density_of_a_made_earth_come_back() -> None:
    gather, well, truth = earth()
    result = prestack_avo(gather, well, frequency=25)
    vp, vs, rho = correlations(result, truth)
    assert (vp > 0.99, vs > 0.98, rho > 0.94) == (True, True, True)
    assert (result.quantity, result.unit, result.data.shape) == ("P velocity", "m/s", (4, 240))
    assert result.facts["noise"].value == pytest.approx(5, rel=0.2)
    assert result.facts["misfit"].value == pytest.approx(result.facts["noise"].value, rel=0.05)
    assert result.facts["band_vp"].value[0] < result.facts["band_vs"].value[0]
    assert any("density is nowhere decided" in note for note in result.notes)
    shear = prestack_avo(gather, well, frequency=25, output="S velocity")
    assert shear.data[0] == pytest.approx(result.view["elastic"]["vs"], rel=0.05)
    figure = draw(result)
    assert figure is not None
    assert [ax.get_xlabel() for ax in figure.axes] == ["P velocity (m/s)", "S velocity (m/s)", "density (kg/m3)"]


def test_more_noise_means_more_damping_and_a_narrower_band() -> None:
    quiet, loud = (prestack_avo(*earth(noise)[:2], frequency=25) for noise in (0.05, 0.3))
    assert loud.facts["damping"].value > quiet.facts["damping"].value
    assert loud.facts["misfit"].value == pytest.approx(29, abs=4)
    assert np.ptp(loud.facts["band_vp"].value) < np.ptp(quiet.facts["band_vp"].value)


def test_the_operator_is_that_of_pylops_and_passes_the_dot_test() -> None:
    from pylops.avo.prestack import PrestackLinearModelling

    rng = np.random.default_rng(1)
    prior = np.log([[2500.0, 1250.0, 2200.0]]) + 0.05 * rng.standard_normal((60, 3))
    wavelet = ricker_wavelet(25, DT) + 0.1 * np.arange(31) / 31  # not symmetric
    operator = avo._operator(wavelet, THETA, prior)
    ratio = np.exp(prior[:, 1] - prior[:, 0])
    other = PrestackLinearModelling(wavelet, THETA, vsvp=ratio, nt0=60, linearization="akirich")
    model, data = rng.standard_normal(180), rng.standard_normal(60 * len(THETA))
    assert operator @ model == pytest.approx(other @ model, abs=1e-12)
    assert float((operator @ model) @ data) == pytest.approx(float(model @ operator.adjoint(data)), rel=1e-12)


def test_polarity_angles_and_the_section_spectrum() -> None:
    gather, well, truth = earth()
    turned = replace(gather, data=-gather.data, polarity="SEG reverse")
    assert prestack_avo(turned, well, frequency=25).data == pytest.approx(prestack_avo(gather, well, frequency=25).data, rel=1e-5)
    without = replace(gather, angle=None)
    with pytest.raises(Missing, match="angles"):
        prestack_avo(without, well, frequency=25)
    assert prestack_avo(without, well, frequency=25, angles=THETA.tolist()).data == pytest.approx(prestack_avo(gather, well, frequency=25).data)
    assert correlations(prestack_avo(gather, well), truth)[0] > 0.93  # its wavelet is only estimated


@pytest.mark.parametrize(
    ("change", "error"),
    [({"well": None}, "Which well"), ({"frequency": 200.0}, "Nyquist"), ({"low_frequency": 130.0}, "Nyquist"), ({"angles": [1.0, 2.0]}, "2 angles"),
     ({"angles": [float(a) for a in range(9)]}, None), ({"angles": [20.0 * i for i in range(9)]}, "can be inverted")],
)  # fmt: skip
def test_what_cannot_be_inverted_is_refused(change: dict[str, Any], error: str | None) -> None:
    gather, well, _ = earth(gathers=1)
    call = {"well": well, "frequency": 25.0} | change
    if error is None:  # eight degrees are just enough, and it is said that they are few
        assert any("density, and much of Vs" in note for note in prestack_avo(gather, **call).notes)
        return
    with pytest.raises(Exception, match=error):
        prestack_avo(gather, **call)


def test_dead_nan_and_missing_logs() -> None:
    gather, well, _ = earth(gathers=1)
    with pytest.raises(Refusal, match="NaN"):
        prestack_avo(replace(gather, data=np.full_like(gather.data, np.nan)), well, frequency=25)
    with pytest.raises(Refusal, match="no gather has a live trace"):
        prestack_avo(replace(gather, data=np.where(THETA[:, None] == 10, 0, gather.data).astype(np.float32)), well, frequency=25)
    bare = replace(well, curves={name: curve for name, curve in well.curves.items() if name != "VS"})
    with pytest.raises(Missing, match="Vp/Vs"):
        prestack_avo(gather, bare, frequency=25)
    assert any("no shear log" in note for note in prestack_avo(gather, bare, frequency=25, vp_vs=2).notes)
    with pytest.raises(Refusal, match=r"below 1\.155"):
        prestack_avo(gather, bare, frequency=25, vp_vs=1.1)
