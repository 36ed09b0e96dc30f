"""What a block model from gravity and one from magnetics share: data and mesh, depth weights, the body in the model, a buried block.

Data are thinned, put into metres and freed of a regional; the mesh of cubes is chosen from them. The inversions that stand on this
are `gravity_inversion` and `magnetic_inversion`; no tools here.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from moho.agent.guard import free_memory
from moho.agent.tools.surfaces import merge, project
from moho.columns import ANOMALY
from moho.errors import Refusal
from moho.survey import Array, Gravity, Grid, Magnetics
from moho.units import Quantity, as_length, show

DATA = 600  # stations inverted at most; more are averaged in blocks
CELLS = 12_000  # of a mesh chosen here
LAYERS = 12  # cells down, where no depth is asked for
PADDING = 3  # cells beyond the stations on each side
COARSE = 1.2  # cell over spacing of the data: beyond it the data are averaged, or what the cells cannot make becomes hot spots
# Of that too: finer cells resolve nothing. On 6 magnetic blocks cells of 0.35 to 0.5 of the spacing put half of them at a half of
# their depth or less; gravity is not as touchy.
FINE = {"mGal": 0.4, "nT": 0.65}
# Cell over the width of the strongest anomaly at half its height. On 8 random magnetic blocks with cells of 1 to 3 data spacings the
# data averaged to one a cell kept the centre within 0.37 of its depth sideways and 0.45 up or down, and susceptibility times volume within
# 0.7 to 1.6, up to WIDEST; beyond it that was up to 7 times too large. Without averaging it was up to 190 times too large.
NARROW, WIDEST = 0.5, 0.75
ACROSS = 0.25  # cell over the shorter side of the survey, at most
EXPLAINED = 0.8  # of the strongest anomaly: a model that makes less of it is said to
CUT = 0.05  # of the strongest value lost to averaging, that is said
MEASURED = 20_000  # stations that the width is measured on, at most
BODY = 0.2  # of the largest contrast: cells that count as the body when its mass is summed


@dataclass(frozen=True)
class Plan:
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
    cut: float | None = None  # share of the strongest value, above the median, that averaging took away; None where nothing was averaged

    @property
    def bytes(self) -> float:
        """Of memory, that an inversion on this mesh takes."""
        cells = math.prod(self.shape)
        return 4.0 * len(self.x) * cells * 5 + 900.0 * cells ** (4 / 3) + 2e8

    @property
    def edges(self) -> tuple[Array, Array, Array]:
        """(z, y, x) m, borders of the cells; z is down from the lowest station."""
        z, y, x = (np.arange(n + 1) * self.cell + start for n, start in zip(self.shape, (0.0, self.corner[1], self.corner[0]), strict=True))
        return z, y, x

    def seconds(self, models: int) -> float:
        """Of one processor, that so many models take."""
        n, cells = len(self.x), math.prod(self.shape)
        return 8 + 4e-7 * n * cells + models * (2e-8 * cells ** (4 / 3) * n + 1e-9 * n**3)

    def check_memory(self) -> None:
        """Refusal E_LIMIT where the inversion does not fit into 60 % of the free memory; says which cell would."""
        if self.bytes > 0.6 * (free := free_memory()):
            size = f"cells of {as_length(self.cell)} (a bare number is metres)"
            needs = f"{size}: {len(self.x)} data and {math.prod(self.shape)} cells need {self.bytes / 1e9:.3g} GB"
            larger = self.cell * (self.bytes / (0.5 * free)) ** (1 / 3)
            said = f"{needs}; 60 % of what is free is {0.6 * free / 1e9:.3g} GB."
            raise Refusal("E_LIMIT", said, f"Use cells of {as_length(larger, 3)} or larger.")


def is_magnetic(data: Gravity | Magnetics | Grid) -> bool:
    """Whether these are magnetic data, in nT."""
    return isinstance(data, Magnetics) or (isinstance(data, Grid) and data.unit == "nT")


# Data and mesh --------------------------------------------------------------------------------------------------------


def planned(data: Gravity | Magnetics | Grid, cell: float | None, depth: float | None) -> Plan:
    """Data thinned and in metres, the regional taken off where it is still in, and a mesh for them.

    `cell` and `depth` in m, chosen here where None. Refusal (E_DATA, E_UNITS, E_GEOMETRY) where the data cannot be inverted or
    the cells are too large for the area.
    """
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
    unit = "nT" if is_magnetic(data) else "mGal"
    if unit == "mGal" and (largest := float(np.abs(value).max())) > ANOMALY:
        said = f"the data reach {largest:.5g} mGal, and no gravity anomaly on the Earth exceeds {ANOMALY:g} mGal."
        raise Refusal("E_UNITS", said, f"Are they microgal (then {largest / 1000:.4g} mGal), or is normal gravity still in them?")
    width, length = float(np.ptp(x)), float(np.ptp(y))
    if min(width, length) < 0.05 * max(width, length):
        raise Refusal("E_GEOMETRY", f"the data cover {width:g} by {length:g} m: a profile does not constrain a 3-D model.")
    if height is None:
        height = np.zeros(len(x))
        notes.append("no heights: the data are taken to lie on one level, the top of the model")
    spacing = math.sqrt(math.prod(data.spacing)) if isinstance(data, Grid) else _spacing(width, length, len(x))
    between = spacing * max(1.0, math.sqrt(len(x) / DATA))
    if cell is not None and cell > ACROSS * min(width, length):
        x, y, value, height = (np.asarray(array, dtype=float) for array in (x, y, value, height))
        anomaly, _ = _strongest(x, y, value, height, data.quantity, unit, spacing)
        fits = _tidy(min(max(NARROW * anomaly, spacing), 0.95 * ACROSS * min(width, length)))
        said = f"cells of {as_length(cell)} are too large: the data cover only {as_length(width)} by {as_length(length)}."
        raise Refusal("E_GEOMETRY", said, f"Use cells of {as_length(fits)} or smaller, or leave them out: they are then chosen from the data.")
    chosen, down, mesh_notes = _cells(width, length, between, cell, depth, FINE[unit])
    if chosen > COARSE * between:
        between = chosen
        mesh_notes.append(f"data are averaged to one a cell: what is narrower than {as_length(2 * chosen)} is lost")
    x, y, value, height = (np.asarray(array, dtype=float) for array in (x, y, value, height))
    coarse = _resolved(x, y, value, height, data.quantity, unit, spacing, between, chosen)
    cut = None
    if between > spacing:
        count, spacing, measured = len(x), between, value
        x, y, value, height = _thin(x, y, value, height, spacing)
        notes.append(f"{count} data averaged in blocks of {as_length(spacing, 3)} to {len(x)}")
        cut, said_ = _cut(measured, value, unit)
        notes += said_
    value, regional = _regional(x, y, value, data.quantity, unit)
    notes += regional
    if relief := float(np.ptp(height)):
        notes.append(f"stations lie up to {relief:.0f} m above the top of the model; rock between is not modelled")
    notes += [*mesh_notes, *coarse]
    middle = 0.5 * (x.min() + x.max()), 0.5 * (y.min() + y.max())
    across = [math.ceil(float(np.ptp(axis)) / chosen - 1e-9) + 1 + 2 * PADDING for axis in (y, x)]
    corner = float(middle[0] - 0.5 * across[1] * chosen), float(middle[1] - 0.5 * across[0] * chosen)
    top = float(height.min())
    return Plan(x, y, height - top, value, crs, chosen, (down, across[0], across[1]), corner, top, spacing, tuple(notes), cut)


def _cells(width: float, length: float, spacing: float, cell: float | None, depth: float | None, fine: float) -> tuple[float, int, list[str]]:
    """Cell in m, how many lie on top of each other, and what is to be said of both; `spacing` is that of the data, `fine` the finest cell over it."""
    reach = min(0.5 * min(width, length), LAYERS * spacing) if depth is None else depth
    chosen = _tidy(spacing) if cell is None else float(cell)

    def counts(size: float) -> tuple[int, int, int]:
        down, north, east = (math.ceil(extent / size - 1e-9) for extent in (reach, length, width))
        return max(2, down), north + 1 + 2 * PADDING, east + 1 + 2 * PADDING

    while cell is None and math.prod(counts(chosen)) > CELLS:
        chosen = _tidy(1.1 * chosen)
    if chosen > ACROSS * min(width, length):
        said = f"the data are {as_length(spacing, 3)} apart over {as_length(width)} by {as_length(length)}: too sparse for a 3-D model."
        raise Refusal("E_GEOMETRY", said, f"Cells of {as_length(_tidy(0.95 * ACROSS * min(width, length)))} or smaller can be asked for.")
    notes = []
    if cell is None:
        notes.append(f"cells of {as_length(chosen)}, from the spacing of the data ({as_length(spacing)})")
    elif cell > COARSE * spacing:
        notes.append(f"cells of {as_length(cell)} are coarser than the data ({as_length(spacing)} apart)")
    elif cell < fine * spacing:
        said = f"cells of {as_length(cell)} are finer than the data ({as_length(spacing)} apart) can resolve"
        notes.append(f"{said}: bodies come out too shallow and too weak; {as_length(_tidy(spacing))} is the safe choice")
    if depth is None:
        bottom = math.ceil(reach / chosen - 1e-9) * chosen
        notes.append(f"model depth {as_length(bottom)}: half the shorter side of the survey, at most {LAYERS} data spacings")
    elif depth > max(width, length):
        notes.append(f"a depth of {depth:g} m is more than the survey is wide ({max(width, length):.4g} m): the data say little there")
    return chosen, counts(chosen)[0], notes


def _resolved(
    x: Array, y: Array, value: Array, height: Array, quantity: str, unit: str, spacing: float, between: float, cell: float
) -> list[str]:
    """A note where cells or data (`between` m apart once averaged) are coarse for the strongest anomaly; Refusal where the cells cannot make it."""
    width, peak = _strongest(x, y, value, height, quantity, unit, spacing)
    if cell <= NARROW * width:
        return []
    peak = float(f"{peak:.3g}")
    strongest = f"the strongest anomaly ({show(peak)} {unit}) is {as_length(width, 3)} wide at half its height"
    fits = _tidy(min(max(NARROW * width, spacing), cell))
    if cell > WIDEST * width and fits < cell and cell >= between:
        moved = "on made blocks such cells moved the body by up to 0.9 of its depth and made it up to 7 times too strong"
        said = f"cells of {as_length(cell)} are too coarse: {strongest}; {moved}."
        raise Refusal("E_GEOMETRY", said, f"Use cells of {as_length(fits)}; if those are too many, cut the data to the anomaly first (crop_map).")
    if fits < cell:
        cut = "" if between == spacing else " (on data cut to the anomaly by crop_map: these are more than are inverted one by one)"
        off = f"cells of {as_length(cell)} are coarse for it and may put its centre off by a third of the depth"
        return [f"{strongest}; {off}: {as_length(fits)} is better{cut}"]
    sparse = f"the data are {as_length(spacing, 3)} apart: too sparse for its depth"
    return [f"{strongest} and {sparse}; denser stations, not finer cells, would settle it"]


def _strongest(x: Array, y: Array, value: Array, height: Array, quantity: str, unit: str, spacing: float) -> tuple[float, float]:
    """Width of the strongest anomaly at half its height, m, and its strongest value, without the regional."""
    step = spacing * max(1.0, math.sqrt(len(x) / MEASURED))
    if step > spacing:
        x, y, value, height = _thin(x, y, value, height, step)
    value, _ = _regional(x, y, value, quantity, unit)
    return anomaly_width(x, y, value, step), float(value[int(np.argmax(np.abs(value)))])


def _cut(measured: Array, mean: Array, unit: str) -> tuple[float, list[str]]:
    """Share of the strongest value, above or below the median, that is lost in the means of blocks, and a note where it matters."""
    middle = float(np.median(measured))
    strongest = float(measured[int(np.argmax(np.abs(measured - middle)))])
    left = float(mean.max() if strongest > middle else mean.min())
    share = 1 - (left - middle) / (strongest - middle)
    if share <= CUT:
        return share, []
    lost = f"{100 * share:.0f} % of what it is off the median"
    return share, [f"averaging cut the strongest value from {show(strongest)} to {show(left)} {unit}, {lost}"]


def explained(plan: Plan, predicted: Array, sigma: Array | float, unit: str) -> tuple[dict[str, Quantity], list[str]]:
    """Facts on how much of the strongest datum the model makes at the same place, and a note where that is under 80 %."""
    at = int(np.argmax(np.abs(plan.value)))
    observed, made = float(plan.value[at]), float(predicted[at])
    share, error = made / observed, float(np.broadcast_to(sigma, plan.value.shape)[at])
    facts = {"peak_explained": Quantity(100 * share, "%", "share of the strongest anomaly that the model explains")}
    if plan.cut is not None:
        facts["peak_cut"] = Quantity(100 * plan.cut, "%", "share of the strongest value lost to averaging")
    if share >= EXPLAINED:
        return facts, []
    said = f"the model makes {made:.4g} of the {observed:.4g} {unit} of the strongest anomaly ({100 * share:.0f} %)"
    off = abs(observed - made) / error
    if off <= 2:
        return facts, [f"{said}: what is left is {off:.2g} errors of {error:.3g} {unit}; a smaller error would explain more"]
    finer = "" if plan.cut is None else ", and smaller cells on data cut to the anomaly (crop_map),"
    more = f"a smaller error{finer} would make more of it"
    return facts, [f"{said}: {off:.2g} errors of {error:.3g} {unit} are left unexplained there, whatever phi_d/N says of all data; {more}"]


def anomaly_width(x: Array, y: Array, value: Array, spacing: float) -> float:
    """m, diameter of the circle as large as the joined data of at least half the strongest value, each a square of the spacing."""
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    at = int(np.argmax(np.abs(value)))
    high = np.flatnonzero(value / value[at] >= 0.5)
    tree = KDTree(np.column_stack([x, y])[high])
    near = tree.sparse_distance_matrix(tree, 1.6 * spacing, output_type="coo_matrix")
    _, group = connected_components(near, directed=False)
    return spacing * math.sqrt(4 * int(np.sum(group == group[high == at])) / math.pi)


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


def scatter_of(plan: Plan) -> float:
    """Robust standard deviation of data about a quadratic surface through their neighbours, in their unit."""
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


# Models ---------------------------------------------------------------------------------------------------------------


def tensor_mesh(plan: Plan) -> Any:
    """The SimPEG mesh of the plan: z up, its top at 0. Its models count x first, z last and upward; `model_of` turns them."""
    import discretize

    nz, ny, nx = plan.shape
    origin = [plan.corner[0], plan.corner[1], -nz * plan.cell]
    return discretize.TensorMesh([np.full(n, plan.cell) for n in (nx, ny, nz)], origin=origin)


def model_of(plan: Plan, cells: Array) -> Array:
    """(z, y, x), z down, of SimPEG's (cell,)."""
    return cells.reshape(plan.shape)[::-1].copy()


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


def strongest_body(values: Array, share: float) -> tuple[Array, int]:
    """(z, y, x) cells joined to the strongest one with at least this share of its contrast; how many such bodies there are, of either sign."""
    from scipy.ndimage import label

    peak = np.unravel_index(int(np.argmax(np.abs(values))), values.shape)
    same, count = label(values / values[peak] >= share)
    _, opposite = label(values / values[peak] <= -share)
    return np.asarray(same == same[peak]), int(count + opposite)


def centre_of(values: Array, x: Array, y: Array, z: Array) -> tuple[float, float, float]:
    """Centre of mass (x, y, z down) of the strongest body above half the largest contrast."""
    inside = np.where(strongest_body(values, 0.5)[0], np.abs(values), 0.0)
    mids = [0.5 * (edges[1:] + edges[:-1]) for edges in (z, y, x)]
    total = inside.sum()
    found = [float((inside.sum(axis=tuple(a for a in range(3) if a != axis)) * mid).sum() / total) for axis, mid in enumerate(mids)]
    return found[2], found[1], found[0]


# A buried block -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """A rectangular block, sides north and east, under the nodes of a level map centred on it."""

    prism: Array  # (6,) m: west, east, south, north, bottom, top; z up
    x: Array  # (easting,) m, of the nodes
    y: Array  # (northing,) m
    volume: float  # m3
    words: str  # its measures, for a note


def buried_block(
    depth_top: float, depth_base: float, width: float, length: float | None, x: float, y: float, nodes: int, height: float = 0.0
) -> Block:
    """The block of this width (east) and length (north; None: as wide) in m, and a map that reaches 2.5 depths or widths to each side of it.

    `height` is the map's above depth 0, `nodes` its nodes along each side. ValueError where the block has no thickness or the
    nodes are not 5 to 1001.
    """
    if not depth_top < depth_base:
        raise ValueError(f"depth_top must be less than depth_base, got {depth_top:g} and {depth_base:g} m")
    if not 5 <= nodes <= 1001:
        raise ValueError(f"nodes must be from 5 to 1001, got {nodes}")
    across = width if length is None else length
    half = 2.5 * max(depth_base + height, width, across)
    axis = np.linspace(-half, half, nodes)
    prism = np.array([x - width / 2, x + width / 2, y - across / 2, y + across / 2, -depth_base, -depth_top])
    words = f"block {width:g} m east by {across:g} m north, {depth_top:g} to {depth_base:g} m deep"
    return Block(prism, x + axis, y + axis, width * across * (depth_base - depth_top), words)
