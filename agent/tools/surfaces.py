"""From scattered stations to surfaces: projection, repeats, polynomial trends, thin-plate splines, distance to data.

No tools here: `potential_fields` and `gravity_inversion` call these.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from moho.errors import Refusal
from moho.survey import UNKNOWN, Array, Gravity, Magnetics

MOST = 20_000  # points of a cross-validation
SMOOTHING = (0.0, 0.03, 0.3, 3.0)  # of the thin-plate splines, for points about one unit apart


def project(stations: Gravity | Magnetics) -> tuple[Array, Array, str, list[str]]:
    """Easting and northing in m, their CRS, and how they came about: UTM up to 6 degrees wide, Lambert conformal beyond, Mercator at the equator."""
    east, north = stations.coordinates()
    if not stations.geographic:
        return east, north, stations.crs, []
    from pyproj import Transformer

    if np.ptp(east) > 180:
        east = np.where(east < 0, east + 360, east)
    middle, low, high = 0.5 * float(east.min() + east.max()), float(north.min()), float(north.max())
    if np.ptp(east) <= 6 and low > -80 and high < 84:
        zone = int(math.floor((middle + 180) / 6) % 60) + 1
        crs = f"EPSG:{32600 + zone if low + high >= 0 else 32700 + zone}"
        name = f"UTM zone {zone}{'N' if low + high >= 0 else 'S'} ({crs})"
    elif abs(low + high) < 20 or low < -85 or high > 85:
        if max(-low, high) > 80:
            raise Refusal("E_GEOMETRY", f"stations from {low:g} to {high:g} deg of latitude do not fit one map in metres.", "Choose a smaller area.")
        crs = f"+proj=merc +lon_0={middle:.4f} +lat_ts={0.5 * (low + high):.4f} +datum=WGS84 +units=m"
        name = f"Mercator, true at {0.5 * (low + high):.2f} deg"
    else:
        first, second = low + (high - low) / 6, high - (high - low) / 6
        crs = f"+proj=lcc +lat_1={first:.4f} +lat_2={second:.4f} +lat_0={0.5 * (low + high):.4f} +lon_0={middle:.4f} +datum=WGS84 +units=m"
        name = f"Lambert conformal conic, true at {first:.2f} and {second:.2f} deg, centre {middle:.2f} deg"
    source = stations.crs if stations.crs != UNKNOWN else "EPSG:4326"
    x, y = (np.asarray(axis) for axis in Transformer.from_crs(source, crs, always_xy=True).transform(east, north))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise Refusal("E_GEOMETRY", f"{int((~np.isfinite(x)).sum())} stations cannot be projected to {name}.")
    return x, y, crs, [f"degrees projected to metres: {name}"]


def merge(x: Array, y: Array, value: Array, height: Array | None) -> tuple[Array, Array, Array, Array | None, list[str]]:
    """Stations with those on the same spot (within 1 cm) averaged, in order of northing then easting, and what was done."""
    spots = np.round(np.column_stack([y, x]), 2)
    unique, where, counts = np.unique(spots, axis=0, return_inverse=True, return_counts=True)
    where = where.ravel()

    def mean(array: Array) -> Array:
        return np.bincount(where, weights=np.asarray(array, dtype=float)) / counts

    notes = [f"{len(x) - len(unique)} repeated stations were averaged ({len(unique)} different places)"] if len(unique) < len(x) else []
    return mean(x), mean(y), mean(value), None if height is None else mean(height), notes


def not_constant(values: Array, quantity: str) -> None:
    """Refusal where every value is the same."""
    if values.size > 1 and float(np.ptp(values)) == 0:
        raise Refusal("E_DATA", f"all {values.size} values of {quantity} are {float(values.flat[0]):g}; there is nothing to work on.")


def fit_trend(x: Array, y: Array, value: Array, degree: int, weights: Array | None) -> tuple[Callable[[Array, Array], Array], tuple[float, float]]:
    """A fitted polynomial surface and its slope (east, north) in the middle. Coordinates are centred and scaled: high degrees stay well-posed."""
    import verde

    terms = (degree + 1) * (degree + 2) // 2
    if len(value) <= terms:
        raise Refusal("E_DATA", f"{len(value)} values cannot carry a trend of degree {degree} with {terms} coefficients.")
    x0, y0 = 0.5 * float(x.min() + x.max()), 0.5 * float(y.min() + y.max())
    scale = 0.5 * max(float(np.ptp(x)), float(np.ptp(y))) or 1.0
    level = float(value.mean())
    trend = verde.Trend(degree=degree).fit(((x - x0) / scale, (y - y0) / scale), value - level, weights)

    def surface(at_x: Array, at_y: Array) -> Array:
        return level + np.asarray(trend.predict(((at_x - x0) / scale, (at_y - y0) / scale)))

    slope = (0.0, 0.0) if degree == 0 else (float(trend.coef_[1]) / scale, float(trend.coef_[2]) / scale)
    return surface, slope


def decluster(x: Array, y: Array, cell: float) -> Array:
    """One over the number of stations in the cell each station is in."""
    cells = np.floor(np.column_stack([x, y]) / cell).astype(np.int64)
    _, where, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    return 1.0 / counts[where.ravel()]


def block_means(x: Array, y: Array, value: Array, cell: float) -> tuple[Array, Array, Array]:
    """Mean position and value of the points in each square cell."""
    cells = np.floor(np.column_stack([y, x]) / cell + 0.5).astype(np.int64)  # blocks centred on the nodes
    _, where, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    means = [np.bincount(where.ravel(), weights=array) / counts for array in (x, y, value)]
    return means[0], means[1], means[2]


class Splines:
    """Thin-plate splines over overlapping squares, each with few enough points, blended smoothly (multi-level partition of unity).

    One spline would need a dense matrix of all points; a cubic over triangles overshoots at thin triangles. A plane is kept exactly.
    """

    OVERLAP = 1.5  # of the half side of a square
    POINTS = 200  # in a square
    FEWEST = 24

    def __init__(self, x: Array, y: Array, value: Array, smoothing: float) -> None:
        from scipy.spatial import KDTree

        self.centre = np.array([0.5 * (x.min() + x.max()), 0.5 * (y.min() + y.max())])
        self.scale = math.sqrt(max(float(np.ptp(x) * np.ptp(y)), 1e-6 * max(float(np.ptp(x)), float(np.ptp(y))) ** 2) / len(x))
        self.points = (np.column_stack([x, y]) - self.centre) / self.scale  # about one unit apart
        self.value, self.smoothing, self.tree = value, smoothing, KDTree(self.points)
        half = 0.5 * float(max(np.ptp(self.points[:, 0]), np.ptp(self.points[:, 1]))) + 1e-9
        self.squares: list[tuple[Array, float, Array]] = []  # middle, half side, the points in it
        self._split(np.zeros(2), half, 0)

    def _split(self, middle: Array, half: float, depth: int) -> None:
        inside = np.flatnonzero(np.abs(self.points - middle).max(axis=1) <= 1.15 * self.OVERLAP * half)
        if len(inside) > self.POINTS and depth < 24:
            for dx in (-0.5, 0.5):
                for dy in (-0.5, 0.5):
                    self._split(middle + half * np.array([dx, dy]), 0.5 * half, depth + 1)
            return
        if len(inside) < min(self.FEWEST, len(self.points)):
            inside = np.sort(self.tree.query(middle, min(self.FEWEST, len(self.points)))[1])
        self.squares.append((middle, half, inside))

    def __call__(self, x: Array, y: Array) -> Array:
        """Values at these points, which may lie at most half a square outside the data."""
        from scipy.interpolate import RBFInterpolator

        where = (np.column_stack([np.ravel(x), np.ravel(y)]) - self.centre) / self.scale
        total, weights = np.zeros(len(where)), np.zeros(len(where))
        tree_x = np.argsort(where[:, 0], kind="stable")
        sorted_x = where[tree_x, 0]
        edge = max(np.abs(middle).max() + half for middle, half, _ in self.squares)
        clipped = np.clip(where, -edge, edge)  # weights beyond the outermost squares are those of their rim
        sorted_clip = np.clip(sorted_x, -edge, edge)
        for middle, half, inside in self.squares:
            reach = self.OVERLAP * half
            first, last = np.searchsorted(sorted_clip, [middle[0] - reach, middle[0] + reach])
            near = tree_x[first:last]
            near = near[np.abs(clipped[near, 1] - middle[1]) < reach]
            if not len(near):
                continue
            offset = np.abs(clipped[near] - middle) / reach
            weight = np.prod(np.cos(0.5 * np.pi * np.minimum(offset, 1.0)) ** 2, axis=1)
            points, value = self.points[inside], self.value[inside]
            if np.linalg.matrix_rank(points - points.mean(axis=0), tol=1e-6) < 2:
                local = np.full(len(near), value.mean())
            else:
                level = value.mean()
                local = level + RBFInterpolator(points, value - level, kernel="thin_plate_spline", smoothing=self.smoothing)(where[near])
            total[near] += weight * local
            weights[near] += weight
        with np.errstate(invalid="ignore"):
            return (total / np.where(weights > 0, weights, np.nan)).reshape(np.shape(x))


def held_out(x: Array, y: Array, value: Array, far: float) -> tuple[float, float | None]:
    """The smoothing that predicts a tenth of the points best from the others, and its rms misfit there; points the map would mask do not count.

    Of very many points the middle ones stand for all.
    """
    from scipy.spatial import KDTree

    if len(value) > MOST:
        middle = np.argsort(np.hypot(x - np.median(x), y - np.median(y)), kind="stable")[:MOST]
        x, y, value = x[middle], y[middle], value[middle]
    order = np.random.default_rng(0).permutation(len(value))
    test, rest = order[: len(order) // 10], order[len(order) // 10 :]
    distance, _ = KDTree(np.column_stack([x[rest], y[rest]])).query(np.column_stack([x[test], y[test]]))
    test = test[distance <= far]
    if len(test) < 3:
        return 0.0, None
    misfit = {s: float(np.sqrt(np.mean((Splines(x[rest], y[rest], value[rest], s)(x[test], y[test]) - value[test]) ** 2))) for s in SMOOTHING}
    best = min(SMOOTHING, key=lambda s: (misfit[s], s))
    return best, misfit[best]


def near_stations(x: Array, y: Array, east: Array, north: Array, far: float, beyond: float) -> Array:
    """(northing, easting) whether a station lies within `far` of the node, or within `beyond` where stations lie on one side of it only.

    A node has stations on one side when the directions to its 12 nearest leave more than half a turn open: there a surface is
    extrapolated, and across a steep coast it runs away.
    """
    from scipy.spatial import KDTree

    tree = KDTree(np.column_stack([x, y]))
    rows = []
    for n in north:
        nodes = np.column_stack([east, np.full(len(east), n)])
        distance, _ = tree.query(nodes, distance_upper_bound=far)
        good = np.isfinite(distance)
        doubtful = np.flatnonzero(good & (distance > beyond))
        if len(doubtful):
            _, near = tree.query(nodes[doubtful], k=min(12, len(x)))
            turn = np.sort(np.arctan2(y[near] - n, x[near] - east[doubtful, None]), axis=1)
            gaps = np.diff(turn, axis=1, append=turn[:, :1] + 2 * np.pi)
            good[doubtful[gaps.max(axis=1) > np.pi]] = False
        rows.append(good)
    return np.stack(rows)
