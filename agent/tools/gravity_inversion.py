"""From gravity to a block model of density contrast, and from a buried block to its gravity.

SimPEG supplies prism sensitivities, depth weights and regularisation; the problem is linear, so it is solved exactly in
data space and the trade-off is set where the misfit equals the error. Gravity is not unique in depth: an ensemble over the
depth weighting says how far the depth may move. Processing before that is in `potential_fields`.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from moho.agent.guard import free_memory
from moho.agent.registry import Cost, tool
from moho.agent.tools.potential_fields import GRAVITATION
from moho.agent.tools.surfaces import merge, project
from moho.errors import Refusal
from moho.survey import Array, Blocks, Gravity, Grid, Magnetics
from moho.units import Count, Degrees, DensityContrast, Depth, Inclination, Metres, MilliGal, NanoTesla, Position, Quantity

DATA = 600  # stations inverted at most; more are averaged in blocks
CELLS = 12_000  # of a mesh chosen here
LAYERS = 12  # cells down, where no depth is asked for
PADDING = 3  # cells beyond the stations on each side
# (exponent of SimPEG's depth weights, smoothing length in cells); the first is the model handed over. SimPEG weights the
# square of the model by depth^-(exponent/2). 2.5 and BODY were chosen on four buried blocks, where 2 lay too shallow and 3 too
# deep. On 24 other random blocks (2 km survey, 100 m cells, 0.02 mGal): depth within a cell 21 times, mass of the body within
# 20 % 21 times, Gauss's mass 24 times. With exponents up to 3 the range held the true depth 19 times of those 24, missing mostly too
# shallow, and 13 of 14 others (missed: a body 519 m tall with its top at 108 m). With 3.5 in place of 3 it held 14 of these 14.
MEMBERS = ((2.5, 1.0), (2.0, 1.0), (3.5, 1.0), (2.5, 4.0))
BODY = 0.2  # of the largest contrast: cells that count as the body when its mass is summed


@dataclass(frozen=True)
class _Plan:
    """Data in metres and the mesh that they will get."""

    x: Array  # (datum,) m
    y: Array
    height: Array  # (datum,) m, positive up, above the top of the mesh
    value: Array  # (datum,) mGal or nT
    crs: str
    cell: float  # m
    shape: tuple[int, int, int]  # cells (z, y, x)
    corner: tuple[float, float]  # m, south-west
    top: float  # m, height of the top of the mesh
    spacing: float  # m, between data
    notes: tuple[str, ...]

    @property
    def bytes(self) -> float:
        cells = math.prod(self.shape)
        return 4.0 * len(self.x) * cells * 5 + 900.0 * cells ** (4 / 3) + 2e8

    @property
    def seconds(self) -> float:
        n, cells = len(self.x), math.prod(self.shape)
        return 8 + 4e-7 * n * cells + len(MEMBERS) * (2e-8 * cells ** (4 / 3) * n + 1e-9 * n**3)


def _cost(data: Gravity | Magnetics | Grid, error: float | None = None, cell: float | None = None, depth: float | None = None, **field: Any) -> Cost:
    plan = _plan(data, cell, depth)
    return Cost(plan.seconds * (2.0 if is_magnetic(data) else 1.0), plan.bytes)


def is_magnetic(data: Gravity | Magnetics | Grid) -> bool:
    """Whether these are magnetic data, in nT."""
    return isinstance(data, Magnetics) or (isinstance(data, Grid) and data.unit == "nT")


@tool(
    discipline="gravity",
    stage="inversion",
    cost=_cost,
    say=(
        "invert {data} for density",
        "3D gravity inversion of {data}",
        "Invert {data} with an error of {error}, {cell} cells down to {depth}",
        "density model under {data}, errors {error}",
        "what lies under the anomaly in {data}? invert it",
        "run a smooth 3-D inversion on {data}, cell {cell}",
        "how deep is the body that makes {data}?",
        "find density contrast in 3D from {data}, {error} noise",
        "get me a block model of the subsurface from {data}",
        "estimate the excess mass and its depth from {data}",
        "inversion of residual gravity {data} please, mesh {cell}, depth {depth}",
        "Li-Oldenburg inversion of {data}",
        "invert the magnetic data {data} for susceptibility, noise {noise}",
        "3-D susceptibility model of {data}, field {strength}, inclination {inclination}, declination {declination}",
    ),
    reference="Li & Oldenburg 1998, 3-D inversion of gravity data, Geophysics 63; Cockett et al. 2015, SimPEG, Computers & Geosciences 85",
    truth="buried blocks: centre within one cell, phi_d/N 1 within 0.01 (gravity) or 0.05 (magnetic), mass within 20 %; Raglan's main body "
    "within 150 m of the published 1997 model",
)
def gravity_mag_3d(
    data: Gravity | Magnetics | Grid,
    error: Annotated[MilliGal | None, "error of gravity data"] = None,
    cell: Metres | None = None,
    depth: Metres | None = None,
    noise: Annotated[NanoTesla | None, "error of magnetic data"] = None,
    inclination: Annotated[Inclination | None, "inclination of the Earth's field"] = None,
    declination: Annotated[Degrees | None, "declination of the Earth's field"] = None,
    strength: Annotated[NanoTesla | None, "strength of the Earth's field"] = None,
    date: Annotated[str | None, "date of a magnetic survey"] = None,
) -> Blocks:
    """The smoothest density contrast (kg/m3) or susceptibility (SI), weighted against depth, that explains gravity or total field anomaly.

    Magnetics: susceptibility is not negative, magnetisation induced; the field is that given, else that of the data, else IGRF at
    `date`. `error` (mGal) and `noise` (nT) are one standard deviation. Depth is below the lowest station. The centre of mass is
    that of the strongest body, the joined cells above half the largest contrast; the depth range is that of an ensemble over depth
    weighting (gravity: exponents 2, 2.5, 3.5; magnetics: 2.5, 3.25, 4) and smoothing: it shows the ambiguity of the method and is no
    confidence interval.
    Gauss's theorem gives the excess mass without a model.
    """
    if not isinstance(data, Gravity) and is_magnetic(data):
        from moho.agent.tools.magnetic_inversion import invert

        if error is not None:
            raise ValueError(f"error is for gravity, in mGal; these data are magnetic: give the error as noise, in nT (got error {error:g})")
        return invert(data, noise, cell, depth, inclination, declination, strength, date)
    if any(value is not None for value in (noise, inclination, declination, strength, date)):
        raise ValueError("noise, inclination, declination, strength and date are for magnetic data; these are gravity: leave them out")
    if error is not None and error <= 0:
        raise ValueError(f"error must be above 0 mGal, got {error:g}")
    plan = _plan(data, cell, depth)
    if plan.bytes > 0.6 * (free := free_memory()):
        needs = f"{len(plan.x)} data and {math.prod(plan.shape)} cells need {plan.bytes / 1e9:.2f} GB"
        larger = plan.cell * (plan.bytes / (0.5 * free)) ** (1 / 3)
        raise Refusal("E_LIMIT", f"{needs}; 60 % of what is free is {0.6 * free / 1e9:.2f} GB.", f"Use cells of {larger:.3g} m or larger.")
    notes = [*plan.notes]
    sigma = error
    if sigma is None:
        scatter, span = _scatter(plan), float(np.ptp(plan.value))
        sigma = max(scatter, 0.01 * span)
        origin = "from the scatter of data about their neighbours" if scatter >= 0.01 * span else f"1 % of the range (scatter {scatter:.3g} is less)"
        notes.append(f"error taken as {sigma:.3g} mGal: {origin}")
    if float(np.abs(plan.value).max()) < 2 * sigma:
        largest = float(np.abs(plan.value).max())
        raise Refusal("E_DATA", f"the largest value, {largest:.3g} mGal, is within two errors of {sigma:.3g} mGal: nothing to invert.")

    mesh, sensitivity = _sensitivity(plan)
    members = [_solve(plan, mesh, sensitivity, sigma, exponent, length) for exponent, length in MEMBERS]
    contrast, predicted, misfit = members[0]
    z, y, x = (np.arange(n + 1) * plan.cell + start for n, start in zip(plan.shape, (0.0, plan.corner[1], plan.corner[0]), strict=True))
    centres = [_centre(values, x, y, z) for values, _, _ in members]
    depths = [centre[2] for centre in centres]
    body, bodies = _body(contrast, BODY)
    mass = float(contrast[body].sum() * plan.cell**3)
    total = _mass_from_data(plan, centres[0])
    if abs(misfit - 1) > 0.1:
        why = "the error is too small for this mesh" if misfit > 1 else "the error is too large for these data"
        notes.append(f"phi_d/N ended at {misfit:.2f}: {why}")
    if float(np.abs(contrast[-1]).max()) > 0.7 * float(np.abs(contrast).max()):
        notes.append("large contrasts reach the bottom of the mesh: ask for a greater depth")
    if bodies > 1:
        notes.append(f"{bodies} separate bodies exceed {100 * BODY:g} % of the largest contrast; centre and mass are those of the strongest")
    if abs(total - mass) > 0.5 * abs(mass):
        notes.append("Gauss's theorem sums all bodies and what is left of the regional; here that is not the mass of the main body alone")
    notes.append("z is down from the lowest station; SimPEG's gz is up and its sign is turned here: positive mGal pulls down")
    if abs(total - mass) > 0.2 * min(abs(total), abs(mass)):
        notes.append(f"the mass is not settled: {mass:.3g} kg in the body of the model, {total:.3g} kg by Gauss's theorem, and they disagree")
        notes.append("a smooth model spreads a body out: its contrast is a lower bound, its centre is better known")
    else:
        notes.append("a smooth model spreads a body out: its contrast is a lower bound, its mass and centre are better known")
    notes.append(f"excess mass: joined cells above {100 * BODY:g} % of the largest contrast; the fainter rest trades off with the regional")
    notes.append(f"{len(members)} models over depth-weighting exponents and smoothing lengths; the true depth may lie outside their range")
    facts = {
        "centre_x": Quantity(centres[0][0], "m", "easting of the centre of mass"),
        "centre_y": Quantity(centres[0][1], "m", "northing of the centre of mass"),
        "centre_depth": Quantity(centres[0][2], "m", "depth of the centre of mass"),
        "depth_range": Quantity([min(depths), max(depths)], "m", "depth range of the centre over the ensemble"),
        "excess_mass": Quantity(mass, "kg", "excess mass of the body in the model"),
        "gauss_mass": Quantity(total, "kg", "excess mass from the data by Gauss's theorem"),
        "contrast": Quantity([float(contrast.min()), float(contrast.max())], "kg/m3", "density contrast range"),
        "misfit": Quantity(misfit, "", "misfit phi_d/N"),
        "error": Quantity(float(sigma), "mGal", "error of a datum"),
        "rms": Quantity(float(np.sqrt(np.mean((predicted - plan.value) ** 2))), "mGal", "rms misfit"),
        "data": Quantity(len(plan.x), "", "data"),
        "cells": Quantity(math.prod(plan.shape), "", "cells"),
        "cell": Quantity(plan.cell, "m", "cell size"),
        "depth": Quantity(float(z[-1]), "m", "depth of the mesh"),
    }
    arrays: dict[str, Array] = {"x": plan.x, "y": plan.y, "height": plan.height + plan.top, "observed": plan.value, "predicted": predicted}
    arrays |= {f"member_{k}": values.astype(np.float32) for k, (values, _, _) in enumerate(members[1:], 1)}
    return Blocks(
        title=data.title, facts=facts, notes=tuple(notes), values=contrast, x_edges=x, y_edges=y, z_edges=z, quantity="density contrast",
        unit="kg/m3", crs=plan.crs, arrays=arrays,
    )  # fmt: skip


@tool(
    discipline="gravity",
    stage="modelling",
    say=(
        "gravity of a block {width} wide from {depth_top} to {depth_base}, contrast {density_contrast}",
        "forward model a prism {depth_top} to {depth_base} deep, {width} by {length}, {density_contrast}",
        "what anomaly would a buried block with {density_contrast} make, top {depth_top}, base {depth_base}, width {width}?",
        "compute the gravity effect of a box {width} x {length} with {density_contrast} between {depth_top} and {depth_base}",
        "synthetic gravity over a body: {density_contrast}, {depth_top}-{depth_base}, {width} across",
        "how big is the anomaly of a {width} ore body at {depth_top}, base {depth_base}, {density_contrast}",
        "model gravity for prism at {x} {y}, {depth_top} to {depth_base}, width {width}, {density_contrast}",
        "prism forward, {density_contrast}, {depth_top}..{depth_base}, {width}",
    ),
    reference="Nagy, Papp & Benedek 2000, The gravitational potential and its derivatives for the prism, J. Geodesy 74",
    truth="a deep small block pulls like a point mass within 0.3 %",
)
def gravity_forward(
    depth_top: Depth,
    depth_base: Depth,
    width: Metres,
    density_contrast: DensityContrast,
    length: Metres | None = None,
    x: Position = 0.0,
    y: Position = 0.0,
    nodes: Count = 61,
) -> Grid:
    """The vertical pull (mGal, positive down) of a rectangular block on a level map over it, five depths or widths to each side."""
    if not depth_top < depth_base:
        raise ValueError(f"depth_top must be less than depth_base, got {depth_top:g} and {depth_base:g} m")
    if not 5 <= nodes <= 1001:
        raise ValueError(f"nodes must be from 5 to 1001, got {nodes}")
    if density_contrast == 0:
        raise ValueError("a density contrast of 0 makes no gravity")
    import harmonica

    across = width if length is None else length
    half = 2.5 * max(depth_base, width, across)
    axis = np.linspace(-half, half, nodes)
    east, north = np.meshgrid(x + axis, y + axis)
    prism = np.array([[x - width / 2, x + width / 2, y - across / 2, y + across / 2, -depth_base, -depth_top]])
    pull = harmonica.prism_gravity((east, north, np.zeros_like(east)), prism, np.array([float(density_contrast)]), field="g_z", parallel=False)
    value = np.asarray(pull)
    extreme = float(value.flat[int(np.argmax(np.abs(value)))])
    mass = density_contrast * width * across * (depth_base - depth_top)
    facts = {
        "peak": Quantity(extreme, "mGal", "largest anomaly"),
        "range": Quantity([float(value.min()), float(value.max())], "mGal", "anomaly range"),
        "excess_mass": Quantity(float(mass), "kg", "excess mass"),
    }
    block = f"block {width:g} m east by {across:g} m north, {depth_top:g} to {depth_base:g} m deep, {density_contrast:g} kg/m3"
    return Grid(
        title="buried block", facts=facts, notes=(f"{block}; stations on a plane at depth 0",), values=value, x=x + axis, y=y + axis,
        quantity="residual gravity", unit="mGal", height=0.0,
    )  # fmt: skip


# Data and mesh --------------------------------------------------------------------------------------------------------


def _plan(data: Gravity | Magnetics | Grid, cell: float | None, depth: float | None) -> _Plan:
    """Data thinned and in metres, the regional taken off where it is still in, and a mesh for them."""
    notes: list[str] = []
    if data.quantity == "observed gravity":
        said = "observed gravity cannot be inverted for density contrast."
        raise Refusal("E_DATA", said, "Reduce it (bouguer_terrain) and take out the regional first.")
    if data.quantity == "total field" or "reduced to the pole" in data.quantity:
        said = f"{data.quantity} cannot be inverted: the total field anomaly, as measured along the field, is wanted."
        raise Refusal("E_DATA", said, "igrf_anomaly takes the main field out; reduction to the pole is not needed.")
    if isinstance(data, Grid):
        if data.unit not in ("mGal", "nT"):
            raise Refusal("E_UNITS", f"a gravity map in mGal or a magnetic one in nT is wanted; this one is {data.quantity} in {data.unit}.")
        if data.geographic:
            raise Refusal("E_GEOMETRY", "the inversion needs a map in metres, this one is in degrees.", "grid_trend projects stations to metres.")
        columns, rows = np.meshgrid(data.x, data.y)
        good = np.isfinite(data.values)
        x, y, value, crs = columns[good], rows[good], data.values[good], data.crs
        height = None if data.height is None else np.full(len(x), float(data.height))
        if empty := int((~good).sum()):
            notes.append(f"{empty} empty nodes left out")
    else:
        x, y, crs, projected = project(data)
        value, height = data.value, data.height
        good = np.isfinite(value) & np.isfinite(x) & np.isfinite(y) & (np.isfinite(height) if height is not None else True)
        if lost := int((~good).sum()):
            notes.append(f"{lost} of {len(good)} stations without value, height or coordinates were left out")
        x, y, value, height, merged = merge(x[good], y[good], value[good], None if height is None else height[good])
        notes += projected + merged
    if len(x) < 16:
        raise Refusal("E_DATA", f"{len(x)} data are too few for a 3-D inversion; at least 16 are needed.")
    if float(np.ptp(value)) == 0:
        raise Refusal("E_DATA", f"all {len(value)} values are {float(value[0]):g} mGal; there is no anomaly to invert.")
    width, length = float(np.ptp(x)), float(np.ptp(y))
    if min(width, length) < 0.05 * max(width, length):
        raise Refusal("E_GEOMETRY", f"the data cover {width:g} by {length:g} m: a profile does not constrain a 3-D model.")
    if height is None:
        height = np.zeros(len(x))
        notes.append("no heights: the data are taken to lie on one level, the top of the model")
    spacing = _spacing(width, length, len(x))
    if len(x) > DATA:
        spacing *= math.sqrt(len(x) / DATA)
        count = len(x)
        x, y, value, height = _thin(x, y, value, height, spacing)
        notes.append(f"{count} data averaged in blocks of {spacing:.3g} m to {len(x)}")
    x, y, value, height = (np.asarray(array, dtype=float) for array in (x, y, value, height))
    value, regional = _regional(x, y, value, data.quantity, "nT" if is_magnetic(data) else "mGal")
    notes += regional
    if relief := float(np.ptp(height)):
        notes.append(f"stations lie up to {relief:.0f} m above the top of the model; rock between is not modelled")
    return _mesh_for(x, y, height, value, crs, spacing, cell, depth, notes)


def _mesh_for(
    x: Array, y: Array, height: Array, value: Array, crs: str, spacing: float, cell: float | None, depth: float | None, notes: list[str]
) -> _Plan:
    width, length = float(np.ptp(x)), float(np.ptp(y))
    reach = min(0.5 * min(width, length), LAYERS * spacing) if depth is None else depth
    chosen = _tidy(spacing) if cell is None else cell

    def shape(size: float) -> tuple[int, int, int]:
        down, north, east = (math.ceil(extent / size - 1e-9) for extent in (reach, length, width))
        return max(2, down), north + 1 + 2 * PADDING, east + 1 + 2 * PADDING

    while cell is None and math.prod(shape(chosen)) > CELLS:
        chosen = _tidy(1.1 * chosen)
    if cell is None:
        notes.append(f"cells of {chosen:g} m, from the spacing of the data ({spacing:.4g} m)")
    elif cell < 0.4 * spacing:
        notes.append(f"cells of {cell:g} m are finer than the data ({spacing:.4g} m apart) can resolve")
    elif cell > 1.2 * spacing:
        notes.append(f"cells of {cell:g} m are coarser than the data ({spacing:.4g} m apart): what they cannot explain becomes hot spots")
    if chosen > 0.25 * min(width, length):
        raise ValueError(f"cells of {chosen:g} m are too large for data over {width:.4g} by {length:.4g} m")
    if depth is None:
        bottom = math.ceil(reach / chosen - 1e-9) * chosen
        notes.append(f"model depth {bottom:.4g} m: half the shorter side of the survey, at most {LAYERS} data spacings")
    elif depth > max(width, length):
        notes.append(f"a depth of {depth:g} m is more than the survey is wide ({max(width, length):.4g} m): the data say little there")
    size = shape(chosen)
    middle = 0.5 * (x.min() + x.max()), 0.5 * (y.min() + y.max())
    corner = float(middle[0] - 0.5 * size[2] * chosen), float(middle[1] - 0.5 * size[1] * chosen)
    top = float(height.min())
    return _Plan(x, y, height - top, value, crs, float(chosen), size, corner, top, spacing, tuple(notes))


def _thin(x: Array, y: Array, value: Array, height: Array, size: float) -> tuple[Array, Array, Array, Array]:
    cells = np.floor(np.column_stack([y - y.min(), x - x.min()]) / size).astype(np.int64)
    _, where, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    means = [np.bincount(where.ravel(), weights=array) / counts for array in (x, y, value, height)]
    return means[0], means[1], means[2], means[3]


def _regional(x: Array, y: Array, value: Array, quantity: str, unit: str) -> tuple[Array, list[str]]:
    """Values less a plane through the border data, unless they are a residual already."""
    rim = np.zeros(len(x), dtype=bool)
    for axis in (x, y):
        at = (axis - axis.min()) / np.ptp(axis)
        rim |= (at < 0.08) | (at > 0.92)
    if rim.sum() < 8:
        rim[:] = True
    if quantity.startswith("residual"):
        level = float(np.median(value[rim]))
        return value, [f"taken as a residual: no regional removed; the median along the border is {level:.3g} {unit}"]
    u, v = x - x.mean(), y - y.mean()
    scale = max(float(np.ptp(u)), float(np.ptp(v)))
    design = np.column_stack([np.ones_like(u), u / scale, v / scale])
    plane = np.linalg.lstsq(design[rim], value[rim], rcond=None)[0]
    slopes = 1000 * plane[1:] / scale
    return value - design @ plane, [
        f"{quantity} holds the regional: a plane through the {int(rim.sum())} border data was taken off "
        f"({plane[0]:.4g} {unit} in the middle, {slopes[0]:.3g} {unit}/km east, {slopes[1]:.3g} {unit}/km north)"
    ]


def _scatter(plan: _Plan) -> float:
    """Robust standard deviation of data about a quadratic surface through their neighbours, mGal."""
    from scipy.spatial import KDTree

    points = np.column_stack([plan.x, plan.y])
    count = min(13, len(points))
    _, near = KDTree(points).query(points, k=count)
    misfits = []
    for k, around in enumerate(near):
        u, v = ((points[around] - points[k]) / plan.spacing).T
        design = np.column_stack([np.ones_like(u), u, v, u * u, u * v, v * v])
        hat = design @ np.linalg.pinv(design)
        at = int(np.flatnonzero(around == k)[0]) if (around == k).any() else 0
        if (free := 1 - hat[at, at]) > 0.05:
            misfits.append(float((plan.value[around] - hat @ plan.value[around])[at]) / math.sqrt(free))
    return 1.4826 * float(np.median(np.abs(misfits))) if misfits else 0.0


def _spacing(width: float, length: float, count: int) -> float:
    """The step s of a lattice of `count` points over this area: (width + s)(length + s) = count s^2."""
    a, b = count - 1.0, width + length
    return (b + math.sqrt(b * b + 4 * a * width * length)) / (2 * a)


def _tidy(size: float) -> float:
    """To two significant digits."""
    return float(f"{size:.2g}")


# Inversion ------------------------------------------------------------------------------------------------------------


def _sensitivity(plan: _Plan) -> tuple[Any, Array]:
    """The SimPEG mesh (z up, top at 0) and (datum, cell) mGal, positive down, per kg/m3."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SimPEG announces its own deprecations on import
        import discretize
        from simpeg import maps
        from simpeg.potential_fields import gravity

        nz, ny, nx = plan.shape
        origin = [plan.corner[0], plan.corner[1], -nz * plan.cell]
        mesh = discretize.TensorMesh([np.full(n, plan.cell) for n in (nx, ny, nz)], origin=origin)
        points = np.column_stack([plan.x, plan.y, plan.height + 1e-4 * plan.cell])  # a hair above the top: not on a prism's face
        survey = gravity.Survey(gravity.SourceField([gravity.Point(points, components="gz")]))
        simulation = gravity.Simulation3DIntegral(
            mesh, survey=survey, rhoMap=maps.IdentityMap(nP=mesh.n_cells), engine="choclo", numba_parallel=False, store_sensitivities="ram"
        )
        return mesh, -np.asarray(simulation.G) / 1000.0  # SimPEG: gz up, g/cm3


def smoothness(mesh: Any, cell: float, exponent: float, length: float) -> Any:
    """(cell, cell) sparse second derivative of SimPEG's weighted least squares: depth weights of `exponent`, `length` in cells."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from simpeg import regularization
        from simpeg.utils import depth_weighting

        weights = depth_weighting(mesh, 0.0, exponent=exponent, threshold=0.5 * cell)
        rule = regularization.WeightedLeastSquares(
            mesh, length_scale_x=length, length_scale_y=length, length_scale_z=length, weights={"depth": weights},
            reference_model=np.zeros(mesh.n_cells),
        )  # fmt: skip
        return rule.deriv2(np.zeros(mesh.n_cells))


def _solve(plan: _Plan, mesh: Any, sensitivity: Array, sigma: float, exponent: float, length: float) -> tuple[Array, Array, float]:
    """Model (z, y, x) in kg/m3, predicted data in mGal and phi_d/N, at the trade-off where phi_d/N is 1.

    With R the regularisation, m = R^-1 G' (G R^-1 G' + beta S^2)^-1 d for any beta: one factorisation serves all.
    """
    from scipy.linalg import eigh
    from scipy.sparse.linalg import splu

    hessian = smoothness(mesh, plan.cell, exponent, length).tocsc()
    factor = splu(hessian, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    spread = factor.solve(np.ascontiguousarray(sensitivity.T, dtype=float))  # (cell, datum)
    kernel = sensitivity @ spread
    power, basis = eigh(0.5 * (kernel + kernel.T))
    seen = basis.T @ plan.value
    power = np.maximum(power, 0.0)

    def misfit(log_beta: float) -> float:
        beta = math.exp(log_beta)
        return float(np.sum((beta / (power + beta) * seen) ** 2)) / (len(seen) * sigma**2)

    low, high = math.log(1e-10 * power[-1]), math.log(1e6 * power[-1])
    if misfit(low) > 1:
        high = low
    for _ in range(80):  # phi_d grows with beta
        middle = 0.5 * (low + high)
        low, high = (middle, high) if misfit(middle) < 1 else (low, middle)
    beta = math.exp(0.5 * (low + high))
    weights_of_data = basis @ (seen / (power + beta))
    model = spread @ weights_of_data
    predicted = sensitivity @ model
    nz, ny, nx = plan.shape
    up = model.reshape(nz, ny, nx)  # discretize counts x first, z last and upward
    return up[::-1].copy(), np.asarray(predicted, dtype=float), float(np.mean(((predicted - plan.value) / sigma) ** 2))


def _body(values: Array, share: float) -> tuple[Array, int]:
    """(z, y, x) cells joined to the strongest one with at least this share of its contrast; how many such bodies there are, of either sign."""
    from scipy.ndimage import label

    peak = np.unravel_index(int(np.argmax(np.abs(values))), values.shape)
    same, count = label(values / values[peak] >= share)
    _, opposite = label(values / values[peak] <= -share)
    return np.asarray(same == same[peak]), int(count + opposite)


def _centre(values: Array, x: Array, y: Array, z: Array) -> tuple[float, float, float]:
    """Centre of mass (x, y, z down) of the strongest body above half the largest contrast."""
    body = np.where(_body(values, 0.5)[0], np.abs(values), 0.0)
    mids = [0.5 * (edges[1:] + edges[:-1]) for edges in (z, y, x)]
    total = body.sum()
    found = [float((body.sum(axis=tuple(a for a in range(3) if a != axis)) * mid).sum() / total) for axis, mid in enumerate(mids)]
    return found[2], found[1], found[0]


def _mass_from_data(plan: _Plan, centre: tuple[float, float, float]) -> float:
    """Excess mass by Gauss's theorem: flux through the map, over the share of the half-space's solid angle that it fills from the body."""
    area = float(np.ptp(plan.x) + plan.spacing) * float(np.ptp(plan.y) + plan.spacing)
    flux = float(np.mean(plan.value)) * 1e-5 * area / (2 * math.pi * GRAVITATION)
    pad, h = 0.5 * plan.spacing, centre[2] + float(plan.height.mean())
    angle = 0.0
    for a in (float(plan.x.max()) + pad - centre[0], centre[0] - float(plan.x.min()) + pad):
        for b in (float(plan.y.max()) + pad - centre[1], centre[1] - float(plan.y.min()) + pad):
            angle += math.atan(a * b / (h * math.sqrt(a * a + b * b + h * h)))
    return flux / max(angle / (2 * math.pi), 0.05)
