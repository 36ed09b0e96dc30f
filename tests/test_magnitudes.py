"""Magnitudes of made records: a Brune pulse gives its moment back, a sine its Wood-Anderson amplitude."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import obspy
import pytest

from moho.agent.tools.magnitudes import GAIN, magnitude
from moho.errors import Refusal
from moho.survey import Picks, Waveforms

LEVEL, CORNER, KM = 2e-6, 3.0, 30.0
VS, RHO = 3500.0, 2700.0


def record(data: np.ndarray, quantity: str, channel: str = "HHE", rate: float = 200.0) -> Waveforms:
    unit = {"displacement": "m", "velocity": "m/s", "acceleration": "m/s2", "counts": "counts"}[quantity]
    header = {"network": "XX", "station": "AAA", "channel": channel, "sampling_rate": rate}
    return Waveforms(stream=obspy.Stream([obspy.Trace(data, header)]), quantity=quantity, unit=unit)


@pytest.mark.parametrize("quantity", ["displacement", "velocity"])
def test_a_brune_pulse_gives_its_moment_and_corner(quantity: str) -> None:
    t = np.arange(32000) / 800 - 2
    w = 2 * np.pi * CORNER
    late = np.maximum(t, 0)
    pulse = LEVEL * w**2 * late * np.exp(-w * late)
    rate = LEVEL * w**2 * (1 - w * late) * np.exp(-w * late) * np.heaviside(t, 0.5)  # the jump counts half
    made = magnitude(replace(record(pulse if quantity == "displacement" else rate, quantity, rate=800), band=(0.1, 40)), KM, "moment", VS, RHO)
    moment = 4 * np.pi * RHO * VS**3 * KM * 1000 * LEVEL / (2 * 0.63)
    assert made.facts["moment"].value == pytest.approx(moment, rel=0.01)
    assert made.facts["corner_frequency"].value == pytest.approx(CORNER, rel=0.01)
    assert made.facts["mw"].value == pytest.approx(2 / 3 * (np.log10(moment) - 9.1), abs=0.01)
    radius = 2.34 * VS / (2 * np.pi * CORNER)
    assert made.facts["stress_drop"].value == pytest.approx(7 / 16 * moment / radius**3 / 1e6, rel=0.03)


@pytest.mark.parametrize(("quantity", "power"), [("displacement", 0), ("velocity", 1), ("acceleration", 2)])
def test_a_sine_has_its_wood_anderson_amplitude(quantity: str, power: int) -> None:
    f, size = 5.0, 1e-6
    t = np.arange(12000) / 200
    swell = np.sin(np.pi * t / t[-1]) ** 2
    made = magnitude(record(swell * size * (2 * np.pi * f) ** power * np.sin(2 * np.pi * f * t), quantity), 100)
    ratio = f**2 / abs(f**2 - 1.25**2 - 2j * 0.7 * 1.25 * f)
    assert made.facts["amplitude"].value == pytest.approx(size * ratio * GAIN * 1000, rel=0.01)
    # Hutton & Boore: an amplitude of 1 mm at 100 km is ML 3
    assert made.facts["ml"].value == pytest.approx(3 + np.log10(size * ratio * GAIN * 1000), abs=0.01)


def test_the_gain_is_stated() -> None:
    noise = record(np.random.default_rng(0).normal(size=4000) * 1e-8, "velocity")
    assert any("2080" in note and "0.13" in note for note in magnitude(noise, 50).notes)


def test_counts_are_refused_and_several_stations_too() -> None:
    with pytest.raises(Refusal, match="response"):
        magnitude(record(np.ones(100), "counts"), 50)
    two = record(np.ones(100), "velocity").stream + obspy.Stream([obspy.Trace(np.ones(100), {"station": "B"})])
    with pytest.raises(Refusal, match="2 stations"):
        magnitude(Waveforms(stream=two, quantity="velocity", unit="m/s"), 50)
    with pytest.raises(ValueError, match="distance"):
        magnitude(record(np.ones(100), "velocity"), 0)


def test_noise_before_p_is_kept_out_of_the_spectrum() -> None:
    t = np.arange(32000) / 800
    w, late = 2 * np.pi * CORNER, np.maximum(t - 22, 0)
    hum = 2e-6 * np.sin(2 * np.pi * 0.3 * t)
    loud = replace(record(LEVEL * w**2 * late * np.exp(-w * late) + hum, "displacement", rate=800), band=(0.1, 40))
    names, phases, times = np.array(["XX.AAA"] * 2), np.array(["P", "S"]), np.array([18.0, 22.0])
    picks = Picks(station=names, phase=phases, time=times, uncertainty=np.full(2, 0.1), origin="1970-01-01T00:00:00")
    made, whole = (magnitude(loud, KM, "moment", VS, RHO, held) for held in (picks, None))
    truth = 2 / 3 * (np.log10(4 * np.pi * RHO * VS**3 * KM * 1000 * LEVEL / 1.26) - 9.1)
    assert made.facts["mw"].value == pytest.approx(truth, abs=0.05)
    assert abs(whole.facts["mw"].value - truth) > abs(made.facts["mw"].value - truth)
    assert any("noise power subtracted" in note for note in made.notes)
