"""Curvature of a mapped surface or of a horizon along a section."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from moho.agent.registry import tool
from moho.errors import Missing, Refusal
from moho.survey import Array, Grid, Horizon, Report
from moho.units import Count, Quantity, Velocity

KINDS = Literal["mean", "gaussian", "maximum", "minimum", "most positive", "most negative"]


@tool(
    discipline="seismic",
    stage="interpretation",
    say=(
        "Curvature of {surface}",
        "compute the {kind} curvature of {surface}",
        "{kind} curvature map {surface}, window {half_window} nodes",
        "where does the horizon {surface} bend most?",
        "curvature attribute on {surface} pls, velocity {velocity}",
        "anticlines and synclines of {surface} from curvature",
        "fracture proxy: most positive curvature of {surface}",
        "how curved is the structure map {surface}?",
        "please to calculate Gaussian curvature of the grid {surface}",
        "curvature along horizon {surface} with {velocity}",
    ),
    reference="Roberts 2001, Curvature attributes and their application to 3D interpreted horizons, First Break 19, 85-100",
    truth="a sphere of 4000 m radius has curvature 1/R, and 1/R2 Gaussian, within 0.02 %; a dome is positive, a basin negative",
)
def curvature(
    surface: Grid | Horizon,
    kind: Annotated[KINDS, "kind of curvature"] = "mean",
    velocity: Annotated[Velocity, "velocity from time to depth"] | None = None,
    half_window: Annotated[Count, "nodes to either side"] = 1,
) -> Grid | Report:
    """Curvature in 1/m (Gaussian in 1/m2), positive where the surface is an anticline, a dome or a ridge.

    From the quadratic surface fitted to the nodes around each node, with the full formulas of differential geometry, not those for
    small dips: a sphere of radius R has mean, maximum and minimum 1/R, Gaussian 1/R^2. Most positive and most negative are the largest and
    smallest second derivative of the quadratic. Heights in a grid are positive up; horizons, depths and times count positive down. A
    surface in time needs a velocity. A horizon along a section gives its curvature in that plane.
    """
    if isinstance(surface, Horizon):
        return _along(surface, velocity, half_window)
    if surface.geographic:
        raise Refusal("E_GEOMETRY", "the grid is in degrees: curvature needs metres.", "Project it first.")
    z, notes = _height(surface, velocity)
    width = 2 * half_window + 1
    if min(z.shape) < width:
        raise ValueError(f"a window of {width} x {width} nodes is larger than the grid of {z.shape[0]} x {z.shape[1]}; give a smaller half_window")
    for name, axis in (("x", surface.x), ("y", surface.y)):
        steps = np.diff(axis)
        if not np.allclose(steps, steps.mean(), rtol=1e-3):
            raise Refusal("E_GEOMETRY", f"the grid is uneven in {name}: steps from {steps.min():g} to {steps.max():g} m.", "Grid it evenly.")
    values = _curvature(z, surface.spacing, half_window, kind)
    finite = values[np.isfinite(values)]
    if not len(finite):
        raise Refusal("E_DATA", f"no node has all of its {width} x {width} neighbours.", "The grid has too many holes.")
    unit = "1/m2" if kind == "gaussian" else "1/m"
    i, j = np.unravel_index(int(np.nanargmax(np.abs(values))), values.shape)
    facts = {
        "mean": Quantity(float(f"{finite.mean():.8g}"), unit, f"mean of the {kind} curvature"),
        "median": Quantity(float(f"{np.median(finite):.8g}"), unit, f"median {kind} curvature"),
        "range": Quantity([float(f"{finite.min():.8g}"), float(f"{finite.max():.8g}")], unit, f"{kind} curvature range"),
        "largest_at": Quantity([float(surface.x[j]), float(surface.y[i])], "m", "easting, northing of the strongest curvature"),
        "nodes": Quantity(len(finite), "", "nodes computed"),
    }
    size = f"{width * surface.spacing[0]:g} x {width * surface.spacing[1]:g} m"
    notes = [f"quadratic over {width} x {width} nodes ({size}); positive over anticlines", *notes]
    title = f"{kind} curvature of {surface.title}".strip()
    quantity = f"{kind} curvature"
    return surface.made(facts=facts, notes=tuple(notes), title=title, values=values, quantity=quantity, unit=unit, height=None, density=None, view={})


def _height(surface: Grid, velocity: float | None) -> tuple[Array, list[str]]:
    """(m, positive up; notes)."""
    values, unit, what = np.asarray(surface.values, float), surface.unit.strip().lower(), surface.quantity.lower()
    if not np.isfinite(values).any():
        raise Refusal("E_DATA", "the grid is empty: every node is NaN.")
    if unit in ("s", "ms"):
        if velocity is None:
            raise Missing("velocity", f"The surface is in {unit}: what velocity turns two-way time into depth?")
        metres = values * (0.5e-3 if unit == "ms" else 0.5) * velocity
        return -metres, [f"two-way time turned into depth with {velocity:g} m/s"]
    if unit not in ("m", "metre", "metres", "meter", "meters"):
        raise Refusal("E_UNITS", f"curvature needs a surface in m or s; this grid holds {surface.quantity} in {surface.unit}.")
    if any(word in what for word in ("depth", "horizon", "thickness")):
        return -values, [f"{surface.quantity} is taken positive down"]
    return values, [f"{surface.quantity} is taken positive up"]


def _curvature(z: Array, spacing: tuple[float, float], half: int, kind: str) -> Array:
    """Of z (northing, easting), from least-squares quadratics."""
    from scipy.ndimage import correlate

    dx, dy = spacing
    span = np.arange(-half, half + 1)
    ones, first = np.ones(len(span)), span / float(np.sum(span**2))
    # second derivative of the least-squares parabola through equal weights
    bent = span**2 - np.mean(span**2)
    bent = 2 * bent / float(np.sum(bent * span**2))
    mean = ones / len(span)
    hole = ~np.isfinite(z)
    filled = np.where(hole, 0.0, z)

    def slope(rows: Array, columns: Array) -> Array:
        out = np.asarray(correlate(filled, np.outer(rows, columns), mode="nearest"))
        near = np.asarray(correlate(hole.astype(float), np.ones((len(span), len(span))), mode="constant", cval=1.0))
        return np.where(near > 0, np.nan, out)

    zx, zy = slope(mean, first) / dx, slope(first, mean) / dy
    zxx, zyy, zxy = slope(mean, bent) / dx**2, slope(bent, mean) / dy**2, slope(first, first) / (dx * dy)
    if kind in ("most positive", "most negative"):
        middle, spread = -(zxx + zyy) / 2, np.hypot((zxx - zyy) / 2, zxy)
        return middle + spread if kind == "most positive" else middle - spread
    w = 1 + zx**2 + zy**2
    gaussian = (zxx * zyy - zxy**2) / w**2
    average = -((1 + zy**2) * zxx - 2 * zx * zy * zxy + (1 + zx**2) * zyy) / (2 * w**1.5)
    spread = np.sqrt(np.maximum(average**2 - gaussian, 0))
    return {"mean": average, "gaussian": gaussian, "maximum": average + spread, "minimum": average - spread}[kind]


def _along(horizon: Horizon, velocity: float | None, half: int) -> Report:
    """Curvature of a horizon in the plane of its section, over distance."""
    if horizon.x is None or horizon.y is None:
        raise Refusal("E_GEOMETRY", "the horizon has no coordinates: curvature needs distances in metres.", "Track it on a section with coordinates.")
    x, y = np.asarray(horizon.x, float), np.asarray(horizon.y, float)
    distance = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    if not np.all(np.diff(distance) > 0):
        raise Refusal("E_GEOMETRY", "neighbouring points of the horizon lie on one place: there is no distance between them.")
    notes = ["curvature in the plane of the section only; positive over anticlines"]
    depth = np.asarray(horizon.time, float)
    if horizon.domain == "time":
        if velocity is None:
            raise Missing("velocity", "The horizon is in two-way time: what velocity turns it into depth?")
        depth = depth * velocity / 2
        notes.append(f"two-way time turned into depth with {velocity:g} m/s")
    values = np.full(len(depth), np.nan)
    for i in range(half, len(depth) - half):
        part = slice(i - half, i + half + 1)
        if np.isfinite(depth[part]).all():
            bend, tilt, _ = np.polyfit(distance[part] - distance[i], -depth[part], 2)
            values[i] = -2 * bend / (1 + tilt**2) ** 1.5
    finite = np.isfinite(values)
    if not finite.any():
        raise Refusal("E_DATA", f"no point of the horizon has {half} tracked neighbours to either side.")
    strongest = int(np.nanargmax(np.abs(values)))
    facts = {
        "mean": Quantity(float(f"{np.nanmean(values):.8g}"), "1/m", "mean curvature along the section"),
        "range": Quantity([float(f"{np.nanmin(values):.8g}"), float(f"{np.nanmax(values):.8g}")], "1/m", "curvature range"),
        "strongest_at": Quantity(round(float(distance[strongest]), 3), "m", "distance of the strongest curvature"),
    }
    arrays = {"distance": distance, "curvature": values}
    labels = {"x": "distance along the section (m)", "y": "curvature (1/m), positive over anticlines"}
    return Report(title=f"curvature of {horizon.title}".strip(), facts=facts, notes=tuple(notes), arrays=arrays, drawing="lines", labels=labels)
