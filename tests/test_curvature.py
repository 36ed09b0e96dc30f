"""Curvature of surfaces whose curvature is known."""

from __future__ import annotations

import numpy as np
import pytest

from moho import plot
from moho.agent.tools.curvature import curvature
from moho.errors import MohoError
from moho.survey import Grid, Horizon

R = 4000.0
X = np.arange(-1000, 1001, 25.0)
DOME = np.sqrt(R * R - X[None, :] ** 2 - X[:, None] ** 2) - R


def grid(values: np.ndarray, quantity: str = "elevation", unit: str = "m") -> Grid:
    return Grid(values=values, x=X, y=X, quantity=quantity, unit=unit)


@pytest.mark.parametrize(("kind", "power"), [("mean", 1), ("gaussian", 2), ("maximum", 1), ("minimum", 1)])
def test_a_sphere_has_the_curvature_of_its_radius_everywhere(kind: str, power: int) -> None:
    values = curvature(grid(DOME), kind).values  # type: ignore[arg-type,union-attr]
    np.testing.assert_allclose(values[1:-1, 1:-1] * R**power, 1, rtol=2e-4)


def test_depth_time_and_sign() -> None:
    depth = curvature(grid(2000 - DOME, "depth")).facts["mean"].value
    assert depth == pytest.approx(1 / R, rel=1e-3)  # a dome
    assert curvature(grid(2000 + DOME, "depth")).facts["mean"].value == pytest.approx(-1 / R, rel=1e-3)
    time = (2000 - DOME) / 1500
    assert curvature(grid(time, "horizon time", "s"), velocity=3000).facts["mean"].value == pytest.approx(1 / R, rel=1e-3)


def test_a_cylinder_bends_one_way_only() -> None:
    values = np.broadcast_to(np.sqrt(R * R - X**2) - R, (len(X), len(X)))
    assert abs(curvature(grid(values), "gaussian").facts["range"].value[1]) < 1e-14
    assert curvature(grid(values), "maximum").facts["mean"].value == pytest.approx(1 / R, rel=1e-3)
    assert curvature(grid(values), "most negative").facts["mean"].value == pytest.approx(0, abs=1e-10)


def test_horizon_along_a_circle() -> None:
    line = Horizon(time=(2000 - (np.sqrt(R * R - X**2) - R)), domain="depth", x=X, y=0 * X)
    made = curvature(line)
    np.testing.assert_allclose(made.arrays["curvature"][1:-1] * R, 1, rtol=1e-3)  # type: ignore[union-attr]
    assert "(1/m)" in plot.describe(plot.draw(made))["axes"][0]["y"]  # type: ignore[arg-type]


def test_a_hole_empties_its_neighbours_only() -> None:
    values = DOME.copy()
    values[40, 40] = np.nan
    assert np.isnan(curvature(grid(values)).values).sum() == 9 + 4 * (len(X) - 1)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("surface", "words"),
    [
        (grid(DOME, "horizon time", "s"), "what velocity"),
        (grid(DOME, "Bouguer disturbance", "mGal"), "needs a surface in m or s"),
        (grid(np.full_like(DOME, np.nan)), "empty"),
        (Grid(values=DOME, x=X, y=X, unit="m", geographic=True), "degrees"),
        (Horizon(time=np.ones(5)), "no coordinates"),
    ],
)
def test_what_has_no_curvature_is_refused(surface: Grid | Horizon, words: str) -> None:
    with pytest.raises(MohoError, match=words):
        curvature(surface)
