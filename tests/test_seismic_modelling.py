"""The convolutional model: one interface is one wavelet of the size the textbook gives."""

from __future__ import annotations

import numpy as np
import pytest

from moho.agent.tools.seismic_modelling import impedance_in_time, ricker, synthetic_seismogram, two_way_time
from moho.errors import DataError, Missing, Refusal
from moho.survey import Curve, Well

ABOVE, BELOW = (2500.0, 2200.0), (3000.0, 2400.0)  # m/s, kg/m3
COEFFICIENT = (3000 * 2400 - 2500 * 2200) / (3000 * 2400 + 2500 * 2200)  # 0.13386


def interface(step: float = 0.5, depth: float = 500.0, **more: object) -> Well:
    z = np.arange(step / 2, 1000, step)
    velocity, density = (np.where(z < depth, one, two) for one, two in zip(ABOVE, BELOW, strict=True))
    curves = {"DT": Curve(1e6 / velocity * 0.3048, "us/ft"), "RHOB": Curve(density / 1000, "g/cc")}
    return Well(depth=z, curves=curves, well_name="A", **more)  # type: ignore[arg-type]


def test_one_interface_gives_one_reflection_of_0_1339() -> None:
    synthetic = synthetic_seismogram(interface(), 25, 0.002)
    trace, peak = synthetic.data[0], int(synthetic.data[0].argmax())
    assert trace[peak] == pytest.approx(0.1339, abs=1e-4)
    assert synthetic.times[peak] == pytest.approx(2 * 500 / 2500, abs=1e-3)
    assert trace == pytest.approx(COEFFICIENT * ricker(synthetic.times - 0.4, 25), abs=2e-3)
    assert synthetic.facts["largest_coefficient"].value == pytest.approx(COEFFICIENT, abs=1e-6)
    assert synthetic.polarity == "SEG normal"


def test_a_decrease_of_impedance_is_a_trough() -> None:
    well = interface()
    turned = {name: Curve(curve.values[::-1].copy(), curve.unit) for name, curve in well.curves.items()}
    assert synthetic_seismogram(Well(depth=well.depth, curves=turned)).data.min() == pytest.approx(-COEFFICIENT, abs=2e-3)


def test_impedance_curve_and_density_with_sonic_agree() -> None:
    well = interface()
    _, _, impedance, _ = impedance_in_time(well)
    curves = {"AI": Curve(impedance / 1000, "m/s*g/cc"), "DT": well.curves["DT"]}
    other = synthetic_seismogram(Well(depth=well.depth, curves=curves))
    assert other.data == pytest.approx(synthetic_seismogram(well).data, abs=1e-6)


def test_checkshots_decide_the_time_and_the_sonic_fills_in() -> None:
    shots = np.array([100.0, 400.0, 900.0])
    well = interface(checkshot_depth=shots, checkshot_time=np.array([0.1, 0.36, 0.72]))
    time, words = two_way_time(well)
    assert np.interp(shots, well.depth, time) == pytest.approx([0.1, 0.36, 0.72], abs=1e-4)
    assert "3 checkshots" in words
    sample = np.searchsorted(well.depth, [401, 499, 501, 899])
    slope = np.diff(time)[sample]
    assert slope[0] / slope[3] == pytest.approx(1 + 0, rel=0.5)
    assert slope[0] > slope[3]  # the faster layer below


def test_a_checkshot_above_the_logs_stretches_their_top_and_does_not_shift_it() -> None:
    whole = interface()
    kept = whole.depth > 120
    curves = {name: Curve(curve.values[kept], curve.unit) for name, curve in whole.curves.items()}
    z, t = np.array([30.0, 400.0, 700.0, 1100.0]), np.array([0.0, 0.33, 0.56, 0.82])
    time, words = two_way_time(Well(depth=whole.depth[kept], curves=curves, checkshot_depth=z, checkshot_time=t))
    depth = whole.depth[kept]
    assert time[[0, -1]] == pytest.approx(np.interp(depth[[0, -1]], z, t), abs=1e-9)
    assert np.interp(z[1:3], depth, time) == pytest.approx(t[1:3], abs=2e-5)
    block = depth < 399  # of one velocity: the straight line between the shots about it
    assert time[block] == pytest.approx(np.interp(depth[block], z, t), abs=1e-6)
    assert "4 checkshots; the sonic, calibrated" in words
    one = Well(depth=depth, curves=curves, checkshot_depth=z[[0, 3]], checkshot_time=t[[0, 3]])  # none within the logs
    assert two_way_time(one)[0][[0, -1]] == pytest.approx(np.interp(depth[[0, -1]], z[[0, 3]], t[[0, 3]]), abs=1e-9)


def test_without_checkshots_time_is_zero_at_the_sea_and_not_at_the_kelly_bushing() -> None:
    known, words = two_way_time(interface(air_gap=30.0))
    assert np.interp([30, 500], interface().depth, known) == pytest.approx([0, 2 * 470 / 2500], abs=5e-5)
    assert "mean sea level (on land the ground), 30 m below the zero of depth (kelly bushing of the log header)" in words
    for held in (interface(), interface(air_gap=1500.0)):
        unknown, words = two_way_time(held)
        assert np.interp(500, held.depth, unknown) == pytest.approx(0.4, abs=5e-5)
        assert "every 10 m between that zero and the datum of the seismic make the times 8 ms late (24 ms for the 30 m" in words
    subsea, _ = two_way_time(interface(air_gap=30.0, reference="TVDSS"))
    assert subsea == pytest.approx(unknown, abs=1e-9)


def test_gaps_are_filled_and_said() -> None:
    well = interface()
    density = well.curves["RHOB"].values.copy()
    density[200:300] = np.nan
    holed = Well(depth=well.depth, curves=dict(well.curves) | {"RHOB": Curve(density, "g/cc")})
    synthetic = synthetic_seismogram(holed)
    assert np.isfinite(synthetic.data).all()
    assert any("interpolated" in note for note in synthetic.notes)


def test_what_cannot_be_modelled_is_refused() -> None:
    well = interface()
    with pytest.raises(Refusal, match="Nyquist frequency of 125 Hz"):
        synthetic_seismogram(well, 150, 0.004)
    with pytest.raises(Missing, match="RHOB"):
        synthetic_seismogram(Well(depth=well.depth, curves={"DT": well.curves["DT"]}))
    with pytest.raises(Missing, match=r"DT or VP|neither"):
        synthetic_seismogram(Well(depth=well.depth, curves={"RHOB": well.curves["RHOB"]}))
    with pytest.raises(Missing, match="unit"):
        synthetic_seismogram(Well(depth=well.depth, curves={"AI": Curve(well.depth * 1e4, "unknown")}))
    metres = dict(well.curves) | {"DT": Curve(well.curves["DT"].values, "m")}
    with pytest.raises(DataError, match="is in m"):
        synthetic_seismogram(Well(depth=well.depth, curves=metres))
    slow = dict(well.curves) | {"DT": Curve(well.curves["DT"].values * 100, "us/ft")}
    with pytest.raises(Refusal, match="between 200 and 12000"):
        synthetic_seismogram(Well(depth=well.depth, curves=slow))
