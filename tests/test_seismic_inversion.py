"""Impedance of a made earth comes back, and the result says which frequencies came from where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moho.agent.tools.seismic_inversion import poststack_impedance
from moho.agent.tools.seismic_modelling import ricker
from moho.agent.tools.seismic_processing import bandpass, gain_agc
from moho.errors import Missing, Refusal
from moho.survey import Array, Curve, Seismic, Step, Well

DT, TRACES, SAMPLES = 0.004, 200, 256


def earth(noise: float = 0.0, seed: int = 0) -> tuple[Array, Seismic, Well]:
    """(impedance, section with a 25 Hz Ricker, well at trace 100 with checkshots) of gently dipping layers."""
    rng = np.random.default_rng(seed)
    fine = np.arange(-100, SAMPLES + 200)
    tops = np.sort(rng.choice(fine, 60, replace=False))
    layer = (15.3 + 0.0012 * tops + 0.12 * rng.standard_normal(60))[np.clip(np.searchsorted(tops, fine), 0, 59)]
    shift = 0.03 * (np.arange(TRACES) - TRACES / 2) + 2 * np.sin(np.arange(TRACES) / 40)
    impedance = np.exp(np.array([np.interp(np.arange(SAMPLES) + s, fine, layer) for s in shift]))
    coefficient = np.zeros_like(impedance)
    coefficient[:, 1:] = np.diff(impedance) / (impedance[:, 1:] + impedance[:, :-1])
    wavelet = ricker(np.arange(-20, 21) * DT, 25)
    data = 1000 * np.array([np.convolve(trace, wavelet, "same") for trace in coefficient])
    data += noise * data.std() * rng.standard_normal(data.shape)
    x = 12.5 * np.arange(TRACES)
    line = Seismic(data=data.astype(np.float32), dt=DT, polarity="SEG normal", x=x, y=np.zeros(TRACES), cdp=np.arange(TRACES))
    z = impedance[100]
    depth = np.concatenate([[0.0], np.cumsum(z[:-1] / 2200 * DT / 2)])
    well = Well(depth=depth, curves={"AI": Curve(z, "kg/m2/s")}, checkshot_depth=depth, checkshot_time=np.arange(SAMPLES) * DT, x=1250.0, y=20.0)
    return impedance, line, well


@pytest.mark.parametrize(("noise", "frequency"), [(0.0, 25.0), (0.0, None), (0.1, 25.0), (0.1, None)])
def test_impedance_of_a_made_earth_comes_back(noise: float, frequency: float | None) -> None:
    truth, line, well = earth(noise)
    result = poststack_impedance(line, well, frequency)
    assert np.corrcoef(result.data.ravel(), truth.ravel())[0, 1] > 0.95
    assert result.data.mean() == pytest.approx(truth.mean(), rel=0.03)
    assert result.facts["well_correlation"].value > 0.97
    assert (result.quantity, result.unit) == ("acoustic impedance", "kg/m2/s")


def test_the_noise_is_estimated_and_the_misfit_reaches_it() -> None:
    for noise in (0.1, 0.3):
        _, line, well = earth(noise)
        facts = poststack_impedance(line, well, 25).facts
        assert facts["noise"].value == pytest.approx(100 * noise / np.hypot(1, noise), rel=0.15)
        assert facts["misfit"].value == pytest.approx(facts["noise"].value, rel=0.1)


def test_the_band_narrows_with_noise_and_with_an_earlier_filter() -> None:
    clean, noisy = (poststack_impedance(*earth(noise)[1:], 25).facts["band"].value for noise in (0.0, 0.3))
    assert clean[0] < noisy[0] < noisy[1] < clean[1]
    _, line, well = earth(0.05)
    result = poststack_impedance(bandpass(line, 12, 40), well, 25)
    assert 12 <= result.facts["band"].value[0] < result.facts["band"].value[1] <= 40
    assert result.facts["filtered_band"].value == [12, 40]
    assert any("only the prior speaks" in note for note in result.notes)


def test_reverse_polarity_is_turned() -> None:
    _, line, well = earth()
    turned = replace(line, data=-line.data, polarity="SEG reverse")
    assert poststack_impedance(turned, well, 25).data == pytest.approx(poststack_impedance(line, well, 25).data, rel=1e-5)


def test_dead_traces_hold_the_prior_and_a_distant_well_is_said() -> None:
    _, line, well = earth(0.1)
    data = line.data.copy()
    data[10] = 0
    result = poststack_impedance(replace(line, data=data), replace(well, x=1e6), 25)
    assert np.isfinite(result.data).all()
    assert np.abs(np.diff(np.log(result.data[10]))).max() < 0.06  # smooth: nothing but low frequencies
    assert "well_correlation" not in result.facts
    assert any("km from the nearest trace" in note for note in result.notes)


def test_gain_in_the_history_is_said() -> None:
    _, line, well = earth()
    gained = replace(gain_agc(line), history=(Step("gain_agc"),))
    assert any("not to scale" in note for note in poststack_impedance(gained, well, 25).notes)


def test_what_cannot_be_inverted_is_refused() -> None:
    _, line, well = earth()
    with pytest.raises(Missing, match="well"):
        poststack_impedance(line)
    with pytest.raises(Refusal, match="depth"):
        poststack_impedance(replace(line, domain="depth"), well)
    with pytest.raises(Refusal, match="envelope"):
        poststack_impedance(replace(line, quantity="envelope"), well)
    with pytest.raises(Refusal, match="Nyquist"):
        poststack_impedance(line, well, 200)
    with pytest.raises(Refusal, match="samples in common"):
        poststack_impedance(replace(line, t0=3.0), well)
    with pytest.raises(Refusal, match="dead"):
        poststack_impedance(replace(line, data=np.zeros_like(line.data)), well)
