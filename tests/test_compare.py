"""What changed between two results is what was changed."""

from __future__ import annotations

import numpy as np
import pytest

from moho.agent.tools.compare import compare
from moho.errors import Refusal
from moho.survey import Catalogue, Curve, Data, Gravity, Grid, Horizon, Picks, Seismic, Well
from moho.units import Quantity

N = np.arange(5.0)
NAMES = np.array(["A", "B", "C"])


def values(first: Data, second: Data) -> dict[str, object]:
    return {key: quantity.value for key, quantity in compare(first, second).facts.items()}


def event(latitude: float, longitude: float, depth: float = 10.0) -> Catalogue:
    one = {name: np.array([value]) for name, value in (("latitude", latitude), ("longitude", longitude), ("depth", depth), ("magnitude", np.nan))}
    return Catalogue(time=np.array(["2024"]), magnitude_type=np.array([""]), **one)


def picks(shift: float, origin: str = "2024-01-01T00:00:00", drop: int = 0) -> Picks:
    keep = slice(drop, None)
    return Picks(
        station=NAMES[keep],
        phase=np.array(["P", "P", "S"])[keep],
        time=np.array([1.0, 2.0, 3.0])[keep] + shift,
        origin=origin,
        uncertainty=np.ones(3)[keep],
    )


def section(data: np.ndarray, **more: object) -> Seismic:
    return Seismic(data=data, dt=0.004, **more)  # type: ignore[arg-type]


def test_one_degree_of_latitude_is_a_great_circle_of_111_km() -> None:
    found = values(event(35, -117), event(36, -117, 12.5))
    assert (found["moved"], found["depth_change"]) == (pytest.approx(6371 * np.pi / 180), 2.5)
    assert values(event(35, -117), event(35, -117, np.nan))["moved"] == 0


def test_an_epicentre_across_the_date_line_moved_a_short_way() -> None:
    assert values(event(0, 179.9), event(0, -179.9))["moved"] == pytest.approx(6371 * np.radians(0.2))


def test_picks_are_compared_in_absolute_time() -> None:
    found = values(picks(0), picks(0.25 - 60, "2024-01-01T00:01:00", drop=1))
    assert found["mean_shift"] == pytest.approx(0.25)
    assert found["largest_shift"] == pytest.approx(0.25)
    assert found["shared_picks"] == 2


def test_horizons_are_matched_by_cdp() -> None:
    first, second = Horizon(time=N, cdp=np.arange(5)), Horizon(time=N[2:] + 0.01, cdp=np.arange(2, 5))
    assert values(first, second)["mean_shift"] == pytest.approx(0.01)
    with pytest.raises(Refusal, match="no CDP"):
        compare(Horizon(time=N), Horizon(time=N[1:]))
    with pytest.raises(Refusal, match="no tracked point"):
        compare(first, Horizon(time=N, cdp=np.arange(10, 15)))


def test_sections_by_rms_and_correlation() -> None:
    data = np.random.default_rng(0).standard_normal((4, 50))
    found = values(section(data), section(2 * data))
    assert found["rms_difference"] == pytest.approx(np.sqrt(np.mean(data**2)))
    assert found["correlation"] == pytest.approx(1)
    assert values(section(data), section(data))["rms_difference"] == 0


@pytest.mark.parametrize("change", [{"t0": 1.0}, {"cdp": np.arange(4) + 7}, {"unit": "kg/m2/s"}])
def test_samples_that_do_not_belong_together_are_not_subtracted(change: dict[str, object]) -> None:
    data = np.random.default_rng(0).standard_normal((4, 50))
    assert "rms_difference" not in values(section(data), section(data, **change))


def test_grids_of_one_unit_on_the_same_nodes() -> None:
    def grid(value: float, unit: str = "mGal", shift: float = 0) -> Grid:
        return Grid(values=np.full((2, 3), value), x=np.arange(3.0) + shift, y=np.arange(2.0), unit=unit)

    assert values(grid(1), grid(4))["rms_difference"] == pytest.approx(3)
    assert values(grid(1), grid(4, shift=1)) == {"mean": 3, "range": [3, 3]}
    assert "rms_difference" not in values(grid(1), grid(4, "nT"))


def test_well_curves_that_changed_are_named() -> None:
    first = Well(depth=N, curves={"GR": Curve(N, "gAPI"), "VSH": Curve(N / 5)})
    second = Well(depth=N, curves={"GR": Curve(N, "gAPI"), "VSH": Curve(N / 5 + 0.1)})
    assert values(first, second) == {"vsh_change": pytest.approx(0.1)}


def test_numbers_both_have_are_subtracted_also_in_lists() -> None:
    first, second = (Gravity(value=N + i, x=N, y=N, facts={"band": Quantity([5.0, 60.0 + i], "Hz", "band")}) for i in (0, 2))
    found = values(first, second)
    assert found["mean"] == 2
    assert found["band"] == [0, 2]
    assert values(first, first) == {"identical": "no number differs"}


def test_different_quantities_are_not_compared() -> None:
    impedance = section(np.ones((2, 5)), quantity="acoustic impedance")
    with pytest.raises(ValueError, match="first is amplitude and second acoustic impedance"):
        compare(section(np.ones((2, 5))), impedance)


def test_different_kinds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="one kind"):
        compare(event(0, 0), picks(0))
