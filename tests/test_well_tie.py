"""A known shift, stretch and phase come back from a tie; time and depth are converted without leaving the relation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moho.agent.tools.depth_conversion import depth_convert
from moho.agent.tools.low_frequency import _same_tops, blind_well_test, low_frequency_model
from moho.agent.tools.seismic_inversion import low_pass, poststack_impedance
from moho.agent.tools.seismic_modelling import ricker, synthetic_seismogram
from moho.agent.tools.ties import reflectivity, synthetic
from moho.agent.tools.wavelet_shapes import rotated, upsampled
from moho.agent.tools.wavelets import wavelet_estimate
from moho.agent.tools.well_tie import well_tie
from moho.errors import Missing, Refusal
from moho.interpretation import read_checkshots, read_tops, with_checkshots, with_tops
from moho.plot import draw
from moho.survey import Array, Curve, Horizon, Seismic, Table, Well

DT, PIVOT = 0.004, 0.762  # s; the middle of the window that 1.52 s of logs and the default limits give


def drilled(seed: int = 1) -> Well:
    """A well of random beds with a sonic, a density and checkshots from their own times."""
    rng = np.random.default_rng(seed)
    z = np.arange(0, 1800, 0.5)
    bed = np.searchsorted(np.cumsum(rng.exponential(6.0, 600)), z)
    velocity, density = 2000 + 0.5 * z + 250 * rng.standard_normal(700)[bed], 2100 + 0.1 * z + 80 * rng.standard_normal(700)[bed]
    time = np.concatenate([[0], np.cumsum(0.5 * (1 / velocity[1:] + 1 / velocity[:-1]))])
    curves = {"DT": Curve(1e6 / velocity, "us/m"), "RHOB": Curve(density, "kg/m3")}
    return Well(depth=z, curves=curves, checkshot_depth=z[::100], checkshot_time=time[::100], x=600.0, y=30.0, well_name="M-1")


def recorded(well: Well, shift: float = 0.0, stretch: float = 0.0, phase: float = 0.0, noise: float = 0.0) -> Seismic:
    """41 traces of the well's primaries, its times moved and its 28 Hz Ricker turned."""
    at, coefficient, _ = reflectivity(well)
    place = (PIVOT + (at - PIVOT) * (1 + stretch) + shift) / DT
    fine = rotated(ricker(np.arange(-480, 481) * DT / 8, 28), phase)
    data = np.tile(1000 * synthetic(coefficient, place, 420, fine), (41, 1))
    data += noise * data.std() * np.random.default_rng(2).standard_normal(data.shape)
    return Seismic(data=data.astype(np.float32), dt=DT, polarity="SEG normal", x=25.0 * np.arange(41), y=np.zeros(41), cdp=100 + np.arange(41))


def filtered_noise() -> Seismic:
    """41 traces of white reflectivity with a 28 Hz Ricker: what no well explains."""
    white, wavelet = np.random.default_rng(5).standard_normal((41, 420)), ricker(np.arange(-15, 16) * DT, 28)
    return replace(recorded(drilled()), data=np.array([np.convolve(trace, wavelet, "same") for trace in white]).astype(np.float32))


def value(result: Any, key: str) -> Any:
    return result.facts[key].value


def central(wavelet: Seismic, half: int = 15) -> Array:
    middle = wavelet.data.shape[1] // 2
    return np.asarray(wavelet.data[0, middle - half : middle + half + 1], float)


def test_the_statistical_wavelet_is_the_ricker_that_was_put_in() -> None:
    line = filtered_noise()
    wavelet = wavelet_estimate(line)
    assert np.corrcoef(central(wavelet), ricker(np.arange(-15, 16) * DT, 28))[0, 1] > 0.99
    assert value(wavelet, "peak_frequency") == pytest.approx(28, abs=3)
    assert (value(wavelet, "phase"), wavelet.quantity, wavelet.times[wavelet.data.shape[1] // 2]) == (0, "wavelet", 0)
    assert any("zero phase assumed" in note for note in wavelet.notes)
    turned = wavelet_estimate(line, phase=90)
    assert np.corrcoef(central(turned), rotated(ricker(np.arange(-40, 41) * DT, 28), 90)[25:56])[0, 1] > 0.99


@pytest.mark.parametrize("phase", [0, 90, -60, 170])
def test_a_well_tells_the_phase_within_three_degrees(phase: float) -> None:
    well = drilled()
    wavelet = wavelet_estimate(recorded(well, 0.006, phase=phase), well)
    assert value(wavelet, "phase") == pytest.approx(phase, abs=3)
    assert value(wavelet, "shift") == pytest.approx(6, abs=0.3)
    assert value(wavelet, "scale") * np.abs(rotated(central(wavelet, 20), -phase)).max() == pytest.approx(1000, rel=0.12)
    assert value(wavelet, "quality") > 0.9
    assert value(wavelet_estimate(recorded(well, 0.006, phase=phase, noise=0.3), well), "phase") == pytest.approx(phase, abs=10)


@pytest.mark.parametrize(("shift", "stretch", "phase"), [(0, 0, 0), (0.013, 0, -60), (-0.021, 0.01, 35), (0.03, -0.015, 120)])
def test_known_shift_stretch_and_phase_come_back(shift: float, stretch: float, phase: float) -> None:
    well = drilled()
    line = recorded(well, shift, stretch, phase)
    tied = well_tie(line, well)
    assert value(tied, "shift") == pytest.approx(1000 * shift, abs=0.5)
    assert value(tied, "stretch") == pytest.approx(100 * stretch, abs=0.05)
    assert value(tied, "phase") == pytest.approx(phase, abs=5)
    assert value(tied, "correlation") > 0.98
    assert value(tied, "blind") > 0.97
    assert well.checkshot_depth is not None
    assert len(well.checkshot_depth) == 36  # nothing is changed in place


def test_later_tools_use_the_times_of_the_tie() -> None:
    well = drilled()
    line = recorded(well, -0.02, 0.012)
    tied = well_tie(line, well)
    before, after = (synthetic_seismogram(one, 28, DT) for one in (well, tied))

    def fit(trace: Seismic) -> float:
        rows = np.arange(40, 340)
        return float(np.corrcoef(np.interp(line.times[rows], trace.times, trace.data[0]), line.data[24][rows])[0, 1])

    assert fit(before) < 0.3
    assert fit(after) > 0.97
    top = depth_convert(Horizon(time=np.array([PIVOT - 0.02])), well=tied)
    assert top.time[0] == pytest.approx(depth_convert(Horizon(time=np.array([PIVOT])), well=well).time[0], abs=1)


def test_a_tie_to_noise_is_no_better_than_chance_and_changes_nothing() -> None:
    well = drilled()
    tied = well_tie(filtered_noise(), well)
    assert value(tied, "blind") < 0.4
    assert value(tied, "correlation") <= value(tied, "chance")
    assert "no better than chance" in tied.notes[0]
    assert all(tied.facts[name].label.endswith(", found, not applied") for name in ("shift", "stretch", "phase"))
    assert len(set(tied.notes)) == len(tied.notes)
    times = np.interp(well.checkshot_depth, tied.checkshot_depth, tied.checkshot_time)  # type: ignore[arg-type]
    assert times == pytest.approx(well.checkshot_time, abs=1e-3)
    assert "does not tell the phase" in wavelet_estimate(filtered_noise(), well).notes[0]


def test_reverse_polarity_and_a_given_wavelet() -> None:
    well = drilled()
    line = recorded(well, 0.01, phase=40)
    assert value(well_tie(replace(line, data=-line.data, polarity="SEG reverse"), well), "phase") == pytest.approx(40, abs=5)
    assert abs(value(well_tie(replace(line, data=-line.data), well), "phase")) == pytest.approx(140, abs=5)
    wavelet = wavelet_estimate(line, well)
    assert value(well_tie(line, well, wavelet=wavelet), "phase") == pytest.approx(0, abs=3)


@pytest.mark.parametrize(
    ("kind", "error"),
    [("dead", "dead"), ("nan", "NaN"), ("depth", "depth"), ("envelope", "envelope"), ("apart", "samples are left"), ("cdp", "not on the line"),
     ("places", "At which CDP"), ("density", "RHOB"), ("high", "Nyquist"), ("one", "too few")],
)  # fmt: skip
def test_what_cannot_be_tied_is_refused(kind: str, error: str) -> None:
    well, more = drilled(), {}
    line = recorded(well)
    changed = {
        "dead": replace(line, data=np.zeros_like(line.data)),
        "nan": replace(line, data=np.full_like(line.data, np.nan)),
        "depth": replace(line, domain="depth"),
        "envelope": replace(line, quantity="envelope"),
        "apart": replace(line, t0=3.0),
        "places": replace(line, x=None, y=None),
        "one": replace(line, data=line.data[:, :1]),
    }.get(kind, line)
    if kind == "density":
        well = replace(well, curves={"DT": well.curves["DT"]})
    if kind in ("cdp", "high"):
        more = {"cdp": 999} if kind == "cdp" else {"frequency": 200.0}
    with pytest.raises(Exception, match=error):
        well_tie(changed, well, **more)


def test_a_wavelet_longer_than_the_window_is_refused() -> None:
    with pytest.raises(Refusal, match="longer than the record"):
        wavelet_estimate(recorded(drilled()), length=3.0)
    with pytest.raises(Refusal, match="Widen the window"):
        wavelet_estimate(recorded(drilled()), top=0.5, base=0.6)


def test_checkshots_come_back_and_nothing_is_extrapolated() -> None:
    well = drilled()
    assert well.checkshot_time is not None
    deep = depth_convert(Horizon(time=np.append(well.checkshot_time, [9.0, np.nan])), well=well)
    assert deep.domain == "depth"
    assert deep.time[:-2] == pytest.approx(well.checkshot_depth, abs=2e-3)
    assert np.isnan(deep.time[-2:]).all()
    assert value(deep, "left_out") == 1
    assert any("left empty" in note for note in deep.notes)
    back = depth_convert(replace(deep, notes=()), well=well)
    assert back.time[:-2] == pytest.approx(well.checkshot_time, abs=1e-6)
    with pytest.raises(Refusal, match="velocity model holds from"):
        depth_convert(Horizon(time=np.array([8.0])), well=well)


def test_one_velocity_is_half_the_time_times_it() -> None:
    assert depth_convert(Horizon(time=np.array([1.0, 2.0])), velocity=2500).time.tolist() == [1250, 2500]
    line = Seismic(data=ricker(np.arange(250) * DT - 0.5, 25)[None].astype(np.float32), dt=DT)
    deep = depth_convert(line, velocity=3000)
    assert (deep.domain, deep.dt) == ("depth", 6.0)
    assert deep.times[int(deep.data[0].argmax())] == 750
    assert deep.data[0].max() == pytest.approx(1, abs=1e-3)
    assert draw(deep).axes[0].get_ylabel() == "depth (m)"  # type: ignore[union-attr]
    with pytest.raises(Missing, match="velocity"):
        depth_convert(line)
    with pytest.raises(Refusal, match="already"):
        depth_convert(deep, velocity=3000)
    with pytest.raises(ValueError, match="not both"):
        depth_convert(line, velocity=3000, well=drilled())
    shots = Table(columns={"depth_m": np.array([0.0, 600.0]), "twt_s": np.array([0.0, 0.5])}, title="shots")
    cut = depth_convert(line, checkshots=shots)
    assert cut.times[-1] <= 600
    assert any("nothing is extrapolated" in note for note in cut.notes)


def test_pictures_of_a_tie_and_a_wavelet() -> None:
    well = drilled()
    tied, wavelet = well_tie(recorded(well), well), wavelet_estimate(recorded(well), well)
    figure = draw(tied)
    assert figure is not None
    assert [ax.get_xlabel() for ax in figure.axes] == ["amplitude"] * 3 + ["amplitude (largest 1)"]
    assert figure.axes[0].get_ylabel() == "two-way time (s)"
    assert [ax.get_xlabel() for ax in draw(wavelet).axes] == ["time (ms)", "frequency (Hz)"]  # type: ignore[union-attr]
    assert "DT" in str(draw(tied.made(facts={})).parameters["tracks"])  # type: ignore[union-attr]  # the next step's picture is its own


def dipping(seed: int = 3) -> tuple[Array, Seismic, list[Well], list[Horizon]]:
    """(ln impedance, line, wells at its ends, two horizons) of layers that dip 120 ms along it, thinning by a third."""
    rng = np.random.default_rng(seed)
    traces, samples = 101, 300
    layer = 15.2 + 0.12 * rng.standard_normal(60)
    edges = np.sort(rng.uniform(-0.2, 1.6, 59))
    log = np.empty((traces, samples))
    times = np.arange(samples) * DT
    top, base = (0.3 + 0.12 * np.arange(traces) / 100, 0.9 + 0.02 * np.arange(traces) / 100)
    for trace in range(traces):
        reference = 0.3 + (times - top[trace]) / (base[trace] - top[trace]) * 0.6
        log[trace] = layer[np.searchsorted(edges, reference)]
    line = Seismic(data=np.zeros((traces, samples), np.float32), dt=DT, x=25.0 * np.arange(traces), y=np.zeros(traces), cdp=np.arange(traces))
    wells = []
    for trace in (5, 95):
        z = np.exp(log[trace])
        depth = np.concatenate([[0.0], np.cumsum(z[:-1] / 2200 * DT / 2)])
        tops = {"A": float(np.interp(top[trace], times, depth)), "B": float(np.interp(base[trace], times, depth))}
        shots = {"checkshot_depth": depth, "checkshot_time": times, "tops": tops, "x": 25.0 * trace, "y": 0.0, "well_name": f"W{trace}"}
        wells.append(Well(depth=depth, curves={"AI": Curve(z, "kg/m2/s")}, **shots))  # type: ignore[arg-type]
    picks = [Horizon(time=time, cdp=np.arange(traces), title=name) for name, time in (("A", top), ("B", base))]
    return log, line, wells, picks


def test_the_low_frequency_model_follows_the_horizons() -> None:
    log, line, wells, picks = dipping()
    truth = low_pass(log, DT, 8)[50, 40:260]
    model = low_frequency_model(line, wells, picks)
    flat = low_frequency_model(line, wells)
    assert np.corrcoef(np.log(model.data[50, 40:260]), truth)[0, 1] > 0.99
    assert np.corrcoef(np.log(flat.data[50, 40:260]), truth)[0, 1] < 0.95
    assert (model.quantity, model.unit, model.band) == ("acoustic impedance", "kg/m2/s", (0, 8))
    assert np.log(model.data[5, 40:260]) == pytest.approx(low_pass(log, DT, 8)[5, 40:260], abs=0.02)  # a well is honoured
    report = blind_well_test(wells)
    assert value(report, "within_after") > 0.97 > 0.5 > value(report, "within_before")
    assert len(draw(report).axes) == 2  # type: ignore[union-attr]


def test_an_inversion_with_the_model_follows_structure() -> None:
    log, line, wells, picks = dipping()
    wavelet = ricker(np.arange(-20, 21) * DT, 25)
    coefficient = np.zeros_like(log)
    coefficient[:, 1:] = np.tanh(np.diff(log, axis=1) / 2)
    data = np.array([np.convolve(trace, wavelet, "same") for trace in coefficient]).astype(np.float32)
    seismic = replace(line, data=data, polarity="SEG normal")
    model = low_frequency_model(seismic, wells, picks)
    alone, along = poststack_impedance(seismic, wells[0], 25), poststack_impedance(seismic, wells[0], 25, model=model)
    far = slice(60, 101), slice(105, 228)  # between the horizons
    truth = low_pass(log, DT, 40)[far].ravel()
    scores = [np.corrcoef(np.log(one.data[far]).ravel(), truth)[0, 1] for one in (alone, along)]
    assert scores[1] > 0.9
    assert scores[1] > scores[0] + 0.1
    shape = Seismic(data=wavelet[None].astype(np.float32), dt=DT, t0=-20 * DT, quantity="wavelet")
    given = poststack_impedance(seismic, wells[0], wavelet=shape, model=model)
    assert given.data == pytest.approx(along.data, rel=0.02)
    with pytest.raises(ValueError, match="acoustic impedance"):
        poststack_impedance(seismic, wells[0], 25, model=seismic)
    with pytest.raises(Refusal, match="CDPs"):
        poststack_impedance(seismic, wells[0], 25, model=replace(model, cdp=np.arange(101) + 7))


def test_models_that_cannot_be_built_are_refused() -> None:
    _, line, wells, picks = dipping()
    with pytest.raises(Refusal, match="W5 without coordinates"):
        low_frequency_model(line, [replace(wells[0], x=None), wells[1]])
    with pytest.raises(Refusal, match="Nyquist"):
        low_frequency_model(line, wells, low_frequency=130)
    with pytest.raises(Refusal, match="horizon A is in depth"):
        low_frequency_model(line, wells, [replace(picks[0], domain="depth")])
    with pytest.raises(Refusal, match="at least two"):
        blind_well_test(wells[:1])


def f3(shared: Path, name: str) -> Well:
    from moho.read import read

    folder = shared / "seismic_f3" / "wells"
    well = read(folder / f"{name}_logs.las")
    assert isinstance(well, Well)
    well = with_checkshots(well, read_checkshots(folder / f"{name}_checkshot_TD.txt"))
    return with_tops(well, read_tops(folder / f"{name}_markers.txt"))


def test_f02_1_checkshots_return_within_two_milliseconds(shared: Path) -> None:
    well = f3(shared, "F02-1")
    assert well.checkshot_time is not None
    depth = depth_convert(Horizon(time=well.checkshot_time), well=well)
    assert depth.time == pytest.approx(well.checkshot_depth, abs=1.0)
    back = depth_convert(Horizon(time=np.asarray(well.checkshot_depth), domain="depth"), well=well)
    assert back.time == pytest.approx(well.checkshot_time, abs=0.002)


def test_f02_1_does_not_tie_four_kilometres_away(shared: Path) -> None:
    """The only 4 ms traces near it are 4.4 km off: the tool must not claim a tie."""
    from moho.agent.tools.quality import segy_read
    from moho.read import read

    line = segy_read(read(shared / "seismic_f3" / "F3_very_small.sgy"), inline=200)
    tied = well_tie(line, f3(shared, "F02-1"))
    assert value(tied, "distance") == pytest.approx(4351, abs=5)
    assert value(tied, "blind") < 0.2
    assert value(tied, "correlation") < value(tied, "chance")
    assert "no better than chance" in tied.notes[0]
    assert any("too far" in note for note in tied.notes)
    assert any("straight line outside 259" in note for note in tied.notes)


def test_f3_wells_predict_a_blind_one(shared: Path) -> None:
    report = blind_well_test([f3(shared, name) for name in ("F02-1", "F03-2", "F03-4", "F06-1")])
    assert value(report, "within_after") > 0.75  # between the 14 tops that all share
    assert value(report, "correlation_after") > value(report, "correlation_before") + 0.1
    assert value(report, "error_after") < 0.7 * value(report, "error_before")
    assert value(report, "correlation_after") > 0.6  # of all they logged, chalk and Tertiary
    assert value(report, "logged_after") > 0.68
    assert value(report, "correlation_F03_4") > 0.75  # its chalk lies 0.2 s deeper than that of F03-2
    assert value(report, "logged_share_F03_2") == pytest.approx(83, abs=3)  # no other well has a log in its chalk
    assert any("CK at F03-2 = CKEK at F03-4" in note for note in report.notes)
    assert any("predicts nothing" in note and "F03-2 17 %" in note for note in report.notes)


def test_a_group_begins_with_its_shallowest_member() -> None:
    pairs, said = _same_tops({"CK": 1.0, "FS 3": 0.5, "KNGL": 1.3}, {"CKGR (chalk)": 1.9, "CKEK": 1.7, "FS 3": 0.6, "FS": 0.1, "KN": 2.0})
    assert sorted(pairs) == [(0.5, 0.6), (1.0, 1.7), (1.3, 2.0)]
    assert sorted(said) == [("CK", "CKEK"), ("KNGL", "KN")]


def test_the_fine_wavelet_passes_through_its_samples() -> None:
    wavelet = ricker(np.arange(-20, 21) * DT, 28)
    assert upsampled(wavelet)[::8] == pytest.approx(wavelet, abs=1e-9)
