"""Data are checked once, where they are made."""

from __future__ import annotations

import numpy as np
import obspy
import pytest

from moho.errors import DataError, Missing
from moho.survey import Curve, Gather, Gravity, Grid, Seismic, Table, Waveforms, Well
from moho.units import Quantity

N = np.arange(4.0)


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        (Seismic, {"data": np.zeros((2, 3)), "dt": 0.0}, "E_HEADER"),
        (Seismic, {"data": np.zeros((0, 3)), "dt": 0.004}, "E_HEADER"),
        (Seismic, {"data": np.zeros((2, 3)), "dt": 0.004, "cdp": np.arange(3)}, "E_GEOMETRY"),
        (Gather, {"data": np.zeros((2, 3)), "dt": 0.004, "offset": np.arange(3)}, "E_GEOMETRY"),
        (Gravity, {"value": N}, "E_GEOMETRY"),
        (Gravity, {"value": N, "longitude": N, "latitude": N + 100}, "E_GEOMETRY"),
        (Grid, {"values": np.zeros((2, 3)), "x": np.arange(2), "y": np.arange(3)}, "E_GEOMETRY"),
        (Grid, {"values": np.zeros((2, 2)), "x": np.array([1, 0]), "y": np.arange(2)}, "E_GEOMETRY"),
        (Well, {"depth": np.array([2.0, 1.0]), "curves": {}}, "E_GEOMETRY"),
        (Well, {"depth": N, "curves": {"GR": Curve(np.zeros(3))}}, "E_GEOMETRY"),
        (Waveforms, {"stream": obspy.Stream()}, "E_FORMAT"),
        (Table, {"columns": {}}, "E_FORMAT"),
    ],
)
def test_what_cannot_be_is_not_made(kind: type, fields: dict[str, object], code: str) -> None:
    with pytest.raises(DataError) as raised:
        kind(**fields)
    assert raised.value.code == code


def test_times_nyquist_and_summary_of_a_section() -> None:
    line = Seismic(data=np.zeros((3, 5)), dt=0.004, t0=1.0, cdp=np.array([7, 8, 9]))
    assert line.times == pytest.approx([1, 1.004, 1.008, 1.012, 1.016])
    assert line.nyquist == 125
    assert line.summary()["cdp"].value == [7, 9]
    assert line.summary()["end"] == Quantity(1.016, "s", "last sample time")


def test_what_a_step_makes_leaves_what_it_was_made_from() -> None:
    line = Seismic(data=np.zeros((3, 5)), dt=0.004, facts={"old": Quantity(1)}, notes=("old",))
    made = line.made(facts={"new": Quantity(2)}, notes=("new",), band=(5.0, 60.0))
    assert (line.band, line.notes, set(line.facts)) == (None, ("old",), {"old"})
    assert (made.band, made.notes, set(made.facts)) == ((5.0, 60.0), ("new",), {"new"})


def test_a_curve_is_found_under_what_loggers_call_it_and_in_the_unit_wanted() -> None:
    well = Well(depth=N, curves={"RHOZ": Curve(N + 2, "G/C3"), "DEPTHLESS": Curve(N)})
    assert well.find("RHOB") == "RHOZ"
    assert well.curve("RHOB", "kg/m3") == pytest.approx(1000 * (N + 2))
    with pytest.raises(Missing) as missing:
        well.curve("GR")
    assert missing.value.candidates == ("RHOZ", "DEPTHLESS")
    with pytest.raises(Missing, match="no unit"):
        well.curve("DEPTHLESS", "m")
    with pytest.raises(DataError, match="cannot become"):
        well.curve("RHOB", "ohm.m")
