"""Models of the subsurface on a vertical plane: made from a few numbers, checked, and addressed in metres.

A model is a `Seismic` in depth whose quantity is "P velocity", "S velocity" or "density": data are (position, depth), `dx` and `dt`
are the steps in m. Waves run through it in `wave_modelling`, and `tomography` and `waveform_inversion` return such models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from moho.agent.registry import tool
from moho.errors import Missing, Refusal
from moho.survey import Array, Seismic
from moho.units import Degrees, Depth, Metres, Position, Quantity, Unit, Velocity

RANGE = {"P velocity": (100.0, 12000.0), "S velocity": (0.0, 8000.0), "density": (0.9, 25000.0)}  # what rock, water and air can have
UNITS = {"P velocity": "m/s", "S velocity": "m/s", "density": "kg/m3"}
NODES = 4_000_000  # of a model made here


@tool(
    discipline="seismic",
    stage="modelling",
    reference="Slotnick 1936, On seismic computations with applications, Geophysics 1, 9-22 (linear increase of velocity with depth)",
    truth="gradient and layers at their depths to 1e-6, a dip of 10 degrees within 0.2, a block centred where it was put",
    say=(
        "Make a velocity model {length} long and {depth} deep with {top_velocity} at the top",
        "velocity model v0 {top_velocity}, gradient {gradient}, {length} by {depth}",
        "build a layered model: {top_velocity} down to {layer_depths}, then {layer_velocities}, over {length}, {depth} deep",
        "I need a 2-D model with {top_velocity} on top and {layer_velocities} below {layer_depths}, dipping {dip}, {length} x {depth}",
        "vel model {top_velocity} {length} x {depth} grid {spacing}",
        "please create gradient model from {top_velocity} with {gradient}, size {length} and {depth}",
        "make a {length} by {depth} model at {top_velocity} with a block of {block_velocity} at {block_x}",
        "starting model for tomography: {top_velocity} at surface increasing {gradient}, {length} wide, {depth} deep",
        "constant {top_velocity} model, {length} wide and {depth} deep, {spacing} cells",
        "S velocity model of {top_velocity}, {length} by {depth}",
    ),
)
def velocity_model(
    top_velocity: Annotated[Velocity, "velocity at the top"],
    length: Annotated[Metres, "length of the model"],
    depth: Annotated[Metres, "depth of the model"],
    gradient: Annotated[float, Unit("1/s", low=-10, high=100), "increase of velocity with depth"] = 0.0,
    spacing: Annotated[Metres, "grid spacing"] = 10.0,
    layer_depths: list[Annotated[Depth, "depths of the interfaces in the middle of the model"]] | None = None,
    layer_velocities: list[Annotated[Velocity, "velocities below the interfaces"]] | None = None,
    dip: Annotated[Degrees, "dip of the interfaces, positive down to the right"] = 0.0,
    block_velocity: Annotated[Velocity, "velocity of a block"] | None = None,
    block_x: Annotated[Position, "position of the middle of the block"] | None = None,
    block_depth: Annotated[Depth, "depth of the middle of the block"] | None = None,
    block_size: Annotated[Metres, "side of the square block"] | None = None,
    quantity: Literal["P velocity", "S velocity"] = "P velocity",
) -> Seismic:
    """A velocity model on a vertical grid: v0 + gradient z, or plane layers, with a square block where one is asked for.

    Positions run from 0 at the left edge, depth from 0 at the top. The gradient is added in every layer; interfaces are at their
    depth in the middle of the model. A node exactly on an interface belongs to the layer below.
    """
    columns, rows = round(length / spacing) + 1, round(depth / spacing) + 1
    if min(columns, rows) < 5:
        hint = f"Take {min(length, depth) / 20:.3g} m."
        raise Refusal("E_GEOMETRY", f"{spacing:g} m steps give {columns} by {rows} nodes over {length:g} by {depth:g} m; 5 are the least.", hint)
    if columns * rows > NODES:
        hint = f"Take steps of {(length * depth / NODES) ** 0.5:.3g} m or more."
        raise Refusal("E_LIMIT", f"{columns} by {rows} nodes are more than {NODES:,}.", hint)
    depths, velocities = list(layer_depths or []), list(layer_velocities or [])
    if len(depths) != len(velocities):
        raise ValueError(f"each interface wants the velocity below it: {len(depths)} layer_depths and {len(velocities)} layer_velocities")
    if depths != sorted(set(depths)):
        raise ValueError(f"layer_depths must increase, got {', '.join(f'{d:g}' for d in depths)} m")
    if abs(dip) >= 80:
        raise ValueError(f"dip must be under 80 degrees, got {dip:g}")
    x, z = spacing * np.arange(columns), spacing * np.arange(rows)
    drop = np.tan(np.radians(dip)) * (x[:, None] - 0.5 * x[-1])  # m, of the interfaces against the middle
    values = np.full((columns, rows), float(top_velocity))
    for interface, below in zip(depths, velocities, strict=True):
        values[z[None] - drop >= interface - 1e-9 * spacing] = below
    values += gradient * z
    notes = [f"{columns} by {rows} nodes {spacing:g} m apart; positions from 0 at the left edge, depth from 0 at the top"]
    if outside := [d for d in depths if d > z[-1]]:
        notes.append(f"interfaces at {', '.join(f'{d:g}' for d in outside)} m lie below the model's {z[-1]:g} m")
    facts = {
        "nodes": Quantity([columns, rows], "", "nodes along and down"),
        "spacing": Quantity(float(spacing), "m", "grid spacing"),
    }
    given = {"block_velocity": block_velocity, "block_x": block_x, "block_depth": block_depth, "block_size": block_size}
    if any(value is not None for value in given.values()):
        inside = _block(x, z, given)
        values[inside] = block_velocity
        facts["block_nodes"] = Quantity(int(inside.sum()), "", "nodes in the block")
    low, high = float(values.min()), float(values.max())
    if low < RANGE[quantity][0] or high > RANGE[quantity][1]:
        least, most = RANGE[quantity]
        raise Refusal("E_PHYSICS", f"the model would run from {low:g} to {high:g} m/s; {quantity} lies between {least:g} and {most:g} m/s.")
    facts["velocity_range"] = Quantity([low, high], "m/s", f"{quantity} range")
    return Seismic(
        title=f"{quantity} model", facts=facts, notes=tuple(notes), data=values.astype(np.float32), dt=float(spacing), t0=0.0, domain="depth",
        quantity=quantity, unit="m/s", x=x, y=np.zeros_like(x), dx=float(spacing),
    )  # fmt: skip


def _block(x: Array, z: Array, given: dict[str, float | None]) -> Array:
    """(position, depth) bool, the nodes of the block."""
    for name, value in given.items():
        if value is None:
            raise Missing(name, f"What {name.replace('_', ' ')} should the block have?")
    middle, down, side = (float(given[name] or 0.0) for name in ("block_x", "block_depth", "block_size"))
    half = 0.5 * side + 1e-9
    inside = (np.abs(x - middle)[:, None] <= half) & (np.abs(z - down)[None] <= half)
    if not inside.any():
        raise Refusal("E_GEOMETRY", f"the block at {middle:g} m, {down:g} m deep lies outside the model of {x[-1]:g} by {z[-1]:g} m.")
    return inside


@dataclass(frozen=True)
class Plane:
    """A checked model: values on nodes, and where the nodes are."""

    values: Array  # (position, depth), float64
    dx: float  # m
    dz: float  # m
    x0: float  # m, of the first column
    z0: float  # m, of the first row

    @property
    def x(self) -> Array:
        return self.x0 + self.dx * np.arange(self.values.shape[0])

    @property
    def z(self) -> Array:
        return self.z0 + self.dz * np.arange(self.values.shape[1])

    @property
    def right(self) -> float:
        """m, position of the last column."""
        return self.x0 + self.dx * (self.values.shape[0] - 1)

    @property
    def bottom(self) -> float:
        """m, depth of the last row."""
        return self.z0 + self.dz * (self.values.shape[1] - 1)

    def nodes(self, x: Array, depth: Array | float, what: str) -> Array:
        """(point, 2) places in steps of the grid; Refusal for points outside it."""
        x, depth = np.broadcast_arrays(np.asarray(x, float), np.asarray(depth, float))
        if not (np.isfinite(x).all() and np.isfinite(depth).all()):
            raise Refusal("E_GEOMETRY", f"{int(np.sum(~np.isfinite(x) | ~np.isfinite(depth)))} of {x.size} {what} have no position.")
        slack = 1e-6 * (self.dx + self.dz)
        out = (x < self.x0 - slack) | (x > self.right + slack) | (depth < self.z0 - slack) | (depth > self.bottom + slack)
        if out.any():
            worst = int(np.flatnonzero(out)[0])
            where = f"{x[worst]:g} m, depth {depth[worst]:g} m"
            covers = f"the model covers {self.x0:g} to {self.right:g} m and depths {self.z0:g} to {self.bottom:g} m"
            raise Refusal("E_GEOMETRY", f"{int(out.sum())} of {out.size} {what} lie outside the model, the first at {where}; {covers}.")
        return np.column_stack([(x - self.x0) / self.dx, (depth - self.z0) / self.dz])


def plane(model: Seismic, quantity: str = "P velocity") -> Plane:
    """`model` as a Plane; Refusal when it is not a full model of this quantity in depth."""
    name = model.title or "the model"
    if model.domain != "depth" or model.quantity != quantity:
        said = f"a {quantity} model in depth is wanted; {name} holds {model.quantity} in {model.domain}."
        raise Refusal("E_DATA", said, "Make one with velocity_model.")
    if model.unit != UNITS[quantity]:
        raise Refusal("E_UNITS", f"the {quantity} must be in {UNITS[quantity]}, {name} is in {model.unit}.")
    values = np.asarray(model.data, float)
    if min(values.shape) < 2:
        raise Refusal("E_GEOMETRY", f"{name} has {values.shape[0]} by {values.shape[1]} nodes; a plane needs two each way.")
    if bad := int((~np.isfinite(values)).sum()):
        raise Refusal("E_DATA", f"{bad} of {values.size} nodes of {name} hold no number.")
    low, high = RANGE[quantity]
    if values.min() < low or values.max() > high:
        found = f"{values.min():g} to {values.max():g} {model.unit}"
        raise Refusal("E_PHYSICS", f"{name} runs from {found}; {quantity} lies between {low:g} and {high:g} {model.unit}.")
    x0 = 0.0
    along = model.x is not None and (model.y is None or float(np.ptp(model.y)) == 0)
    step = model.dx
    if along and model.x is not None:
        steps = np.diff(model.x)
        if not (np.all(steps > 0) and np.allclose(steps, steps[0], rtol=1e-4)):
            raise Refusal("E_GEOMETRY", f"the columns of {name} are {steps.min():g} to {steps.max():g} m apart; waves need an even grid.")
        x0, step = float(model.x[0]), float((model.x[-1] - model.x[0]) / (len(model.x) - 1))
    if step is None or not step > 0:
        raise Refusal("E_GEOMETRY", f"{name} does not say how far apart its columns are.")
    return Plane(values, float(step), float(model.dt), x0, float(model.t0))
