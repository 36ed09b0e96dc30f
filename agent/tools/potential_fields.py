"""Gravity and magnetic processing: reductions, gridding, trends, continuation, derivatives, reduction to the pole.

Kernels are Fatiando's (boule, verde, harmonica), splines SciPy's; what stands here is what a careful person does around them: units and
datum checked, coordinates in metres, masks put back, limits of the physics said with numbers. Trends and splines are in
`surfaces`, the Fourier transform in `spectrum`, inversion in `gravity_inversion`, reading in `moho.tables` and `moho.grids`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

import numpy as np

from moho.agent.guard import free_memory
from moho.agent.registry import Cost, tool
from moho.agent.tools.spectrum import Spectrum, good_length, metric
from moho.agent.tools.surfaces import Splines, block_means, decluster, fit_trend, held_out, merge, near_stations, not_constant, project
from moho.errors import Missing, Refusal
from moho.survey import UNKNOWN, Array, Gravity, Grid, Magnetics
from moho.units import Degree, Degrees, Density, Inclination, Metres, Quantity, as_length

Measured = TypeVar("Measured", bound=Gravity | Magnetics)

GRAVITATION = 6.6743e-11  # m3 kg-1 s-2, CODATA 2018, as in choclo
CROWN = 2670.0  # kg/m3, the usual Bouguer density
SEA_WATER = 1030.0  # kg/m3
TERRAIN_RADIUS = 166_735.0  # m, outer radius of Hayford-Bowie zone O
CELLS = 25_000_000  # nodes a grid may have
DOUBT = 0.5  # cross-validated misfit over the deviation of the stations: beyond it the map is said to be a guess between them
OVERSHOOT = 0.1  # of the range of the stations, that their map may leave it by
SAMPLE = 20_000  # stations, about, that the misfit of a map is measured at
LOW_INCLINATION = 15.0  # deg
DOWNWARD_SPACINGS = 3.0  # grid spacings a field may be continued down by a plain filter


# Reductions -----------------------------------------------------------------------------------------------------------


@tool(
    discipline="gravity",
    stage="processing",
    say=(
        "gravity disturbance of {stations}",
        "Compute the gravity disturbance for {stations}",
        "take normal gravity out of {stations}",
        "remove the WGS84 normal field from {stations} at station height",
        "free air reduction of {stations} please",
        "what is the free-air anomaly of my stations?",
        "subtract theoretical gravity from the observed values in {stations}",
        "I have raw g readings, make the disturbance",
        "please to calculate disturbance from observed gravity {stations}",
        "latitude and height correction on {stations}",
        "go from absolute g to free-air for {stations}",
    ),
    reference="Li & Götze 2001, Ellipsoid, geoid, gravity, geodesy, and geophysics, Geophysics 66; normal gravity: Lakshmanan 1991",
    truth="978032.53359 mGal at the equator leaves under 1e-4 mGal; 1000 m up it falls by 308.6 mGal within 0.5",
)
def gravity_disturbance(stations: Gravity) -> Gravity:
    """Observed gravity less WGS84 normal gravity at the height of each station, mGal.

    The closed form of normal gravity at height is used (boule), so no free-air gradient is assumed. With ellipsoidal
    heights the result is the gravity disturbance; with heights above the geoid it is the free-air anomaly, and is named so.
    """
    if stations.quantity != "observed gravity":
        raise Refusal("E_DATA", f"normal gravity has been taken out already: these data are {stations.quantity}.", "Give observed gravity.")
    stations, notes = _whole(stations)
    longitude, latitude = _degrees(stations)
    height = _heights(stations, "the gravity disturbance")
    middle = float(np.median(stations.value))
    if not 9.70e5 < middle < 9.90e5:
        raise Refusal(
            "E_UNITS",
            f"the median of the observed gravity is {middle:g}, but gravity on the Earth is 976000 to 984000 mGal.",
            "Are the values in other units, relative readings, or already an anomaly? assign_columns takes the unit and the quantity.",
        )
    not_constant(stations.value, "observed gravity")
    import boule

    with warnings.catch_warnings():  # boule warns below the ellipsoid; the closed form is smooth there and the note says it
        warnings.simplefilter("ignore")
        normal = np.asarray(boule.WGS84.normal_gravity((longitude, latitude, height)))
    value = stations.value - normal
    if abs(float(np.median(value))) > 1000:
        raise Refusal(
            "E_DATA",
            f"the median disturbance would be {np.median(value):.1f} mGal; none on the Earth exceeds about 900.",
            "Check that latitude, height (m) and gravity are the right columns.",
        )
    name = "free-air anomaly" if stations.datum == "geoid" else "gravity disturbance"
    notes += [_datum_note(stations, name), "normal gravity of WGS84 in closed form at station height"]
    if below := int(np.sum(height < 0)):
        notes.append(f"{below} stations below the ellipsoid: normal gravity continued down through the closed form")
    facts = _value_facts(value, name, "mGal", "stations")
    facts |= {"normal_gravity": _span(normal, "mGal", "normal gravity range"), "height": _span(height, "m", "height range")}
    return stations.made(facts, tuple(notes), value=value, quantity=name, ellipsoid="WGS84")


def _terrain_cost(stations: Gravity, density: float = CROWN, topography: Grid | None = None) -> Cost:
    if topography is None:
        return Cost(0.2, 64.0 * len(stations.value))
    dx, dy = (abs(step) * (111_195.0 if topography.geographic else 1.0) for step in topography.spacing)
    across = [min(n, math.ceil(2 * TERRAIN_RADIUS / step)) for n, step in ((len(topography.x), dx), (len(topography.y), dy))]
    window = math.prod(across)
    return Cost(4 + len(stations.value) * window / 2.0e6, 200.0 * window + 100.0 * len(stations.value))


@tool(
    discipline="gravity",
    stage="processing",
    cost=_terrain_cost,
    say=(
        "Bouguer anomaly of {stations}",
        "make a Bouguer map input from {stations} with {density}",
        "Apply the Bouguer correction to {stations} at {density}",
        "simple Bouguer of {stations}, density {density}",
        "complete Bouguer of {stations} with terrain from {topography}",
        "terrain correct {stations} using the DEM {topography}",
        "reduce {stations} to Bouguer please, use {density} for the slab",
        "bouguer pls",
        "i need bouguer disturbance for my gravity points",
        "remove the effect of the rock between station and sea level from {stations}",
        "slab + terrain correction, {density}, topo is {topography}",
        "please do correction of Bouguer with density of {density}",
    ),
    reference="Blakely 1995, Potential Theory in Gravity and Magnetic Applications, ch. 7; prisms: Nagy et al. 2000, J. Geodesy 74",
    truth="a slab of 100 m pulls 11.1958 to 11.1970 mGal; a cone within 0.1 % of its closed form; southern Africa from -189.66 to 77.69 "
    "mGal within 0.5",
)
def bouguer_terrain(stations: Gravity, density: Density = CROWN, topography: Grid | None = None) -> Gravity:
    """Gravity freed of the rock between station and datum: an infinite slab, and the terrain's departure from it where a topography is given.

    Slab 2 pi G density height (11.1969 mGal per 100 m at 2670 kg/m3). Terrain: rectangular prisms of the topography within
    166.7 km of each station, less a slab of the same footprint; sea is filled with water of 1030 kg/m3; the Earth is flat.
    """
    if "Bouguer" in stations.quantity or stations.density is not None:
        held = "" if stations.density is None else f" made with {stations.density:g} kg/m3"
        said = f"a Bouguer correction has been made already: these data are {stations.quantity}{held}."
        raise Refusal("E_DATA", said, "Start from the disturbance.")
    notes: list[str] = []
    if stations.quantity == "observed gravity":
        stations = gravity_disturbance(stations)
        notes = ["normal gravity was taken out first (gravity_disturbance)", *stations.notes]
    elif stations.quantity not in ("gravity disturbance", "free-air anomaly"):
        raise Refusal("E_DATA", f"a Bouguer correction of {stations.quantity} has no meaning; it wants observed gravity or a disturbance.")
    else:
        stations, notes = _whole(stations)
        notes.append(_datum_note(stations, stations.quantity))
    height = _heights(stations, "the Bouguer correction")
    import harmonica

    # Station heights, not topography: below the datum the slab is missing rock, not sea, so the sign of the height decides.
    slab = np.sign(height) * np.asarray(harmonica.bouguer_correction(np.abs(height), density_crust=density))
    name = "Bouguer anomaly" if stations.quantity == "free-air anomaly" else "Bouguer disturbance"
    value = stations.value - slab
    notes.append(f"density {density:g} kg/m3" + (" (the usual default)" if density == CROWN else ""))
    facts: dict[str, Quantity] = {}
    if topography is None:
        notes.append("simple (slab) correction: no terrain correction, which is always positive on land and largest in rough country")
    else:
        terrain, more = _terrain(stations, height, density, topography)
        value = value + terrain
        notes += more
        facts["terrain"] = _span(terrain, "mGal", "terrain correction range")
    if below := int(np.sum(height < 0)):
        notes.append(f"{below} stations below the datum: taken as on dry land, their slab put back")
    facts = _value_facts(value, name, "mGal", "stations") | facts
    facts |= {"density": Quantity(float(density), "kg/m3", "Bouguer density"), "slab": _span(slab, "mGal", "slab correction range")}
    return stations.made(facts, tuple(dict.fromkeys(notes)), value=value, quantity=name, density=float(density))


def _terrain(stations: Gravity, height: Array, density: float, topography: Grid) -> tuple[Array, list[str]]:
    """(station,) terrain correction in mGal: a slab to station height less the prisms, both over the same footprint."""
    import choclo
    import harmonica

    if topography.unit not in ("m", UNKNOWN):
        raise Refusal("E_UNITS", f"the topography is in {topography.unit}, metres are needed.")
    if topography.values.size and float(np.nanmax(np.abs(topography.values))) > 12_000:
        raise Refusal("E_UNITS", f"the topography reaches {np.nanmax(np.abs(topography.values)):g} m, beyond any on the Earth: is it in feet?")
    east, north = _in_frame(stations, topography)
    inside = (east >= topography.x[0]) & (east <= topography.x[-1]) & (north >= topography.y[0]) & (north <= topography.y[-1])
    if not inside.all():
        raise Refusal("E_GEOMETRY", f"{int((~inside).sum())} of {len(inside)} stations lie outside the topography.", "Give a larger grid.")
    x_edges, y_edges = _edges(topography.x), _edges(topography.y)
    terrain = np.empty(len(height))
    ground = np.empty(len(height))
    reach = np.inf
    for k, (e, n, h) in enumerate(zip(east, north, height, strict=True)):
        # a plane tangent at the station: degrees become metres there, within 0.1 % over the radius used
        scale_y = math.radians(1) * 6_371_008.8 if topography.geographic else 1.0
        scale_x = scale_y * math.cos(math.radians(n)) if topography.geographic else 1.0
        x, y = (x_edges - e) * scale_x, (y_edges - n) * scale_y
        i0, i1 = _window(x)
        j0, j1 = _window(y)
        block = topography.values[j0:j1, i0:i1].astype(float)
        if np.isnan(block).any():
            raise Refusal("E_DATA", f"the topography has {int(np.isnan(block).sum())} gaps within reach of station {k + 1}.", "Fill it first.")
        ground[k] = block[_cell(y) - j0, _cell(x) - i0]
        if h > 0:  # the station stands on its ground; at sea it floats over it
            block[_cell(y) - j0, _cell(x) - i0] = h
        west, south = np.meshgrid(x[i0:i1], y[j0:j1])
        east_side, north_side = np.meshgrid(x[i0 + 1 : i1 + 1], y[j0 + 1 : j1 + 1])
        prisms = np.stack([west, east_side, south, north_side, np.minimum(block, 0.0), np.maximum(block, 0.0)], axis=-1).reshape(-1, 6)
        contrast = np.where(block > 0, density, SEA_WATER - density).ravel()
        relief = prisms[:, 5] > prisms[:, 4]
        here = (np.zeros(1), np.zeros(1), np.array([h]))
        rock = 0.0
        if relief.any():
            rock = float(harmonica.prism_gravity(here, prisms[relief], contrast[relief], field="g_z", parallel=False)[0])
        low, high = min(0.0, h), max(0.0, h)
        slab = -1e5 * choclo.prism.gravity_u(0.0, 0.0, float(h), x[i0], x[i1], y[j0], y[j1], low, high, math.copysign(density, h)) if h else 0.0
        terrain[k] = slab - rock
        reach = min(reach, -x[0], x[-1], -y[0], y[-1])
    apart = height - ground
    notes = [
        f"terrain correction from {topography.title or 'the topography'}: prisms of {density:g} kg/m3 to {TERRAIN_RADIUS / 1000:.1f} km, "
        f"sea water {SEA_WATER:g} kg/m3, flat Earth, no isostatic root, no Bullard B",
        f"station heights differ from the topography under them by {np.sqrt(np.mean(apart**2)):.1f} m rms "
        f"(largest {np.abs(apart).max():.1f} m); on land the cell under a station was given the station's height",
    ]
    if (cell := max(topography.spacing) * (111_195.0 if topography.geographic else 1.0)) > 2000:
        notes.append(f"cells of {cell / 1000:.3g} km are too coarse for the ground near a station: that part of the terrain correction is missing")
    if reach < TERRAIN_RADIUS:
        notes.append(f"the topography ends {reach / 1000:.1f} km from a station; ground beyond it is taken as level with the station")
    return terrain, notes


def _cell(edges: Array) -> int:
    """The cell that 0 is in."""
    return int(np.clip(np.searchsorted(edges, 0.0, "right") - 1, 0, len(edges) - 2))


def _window(edges: Array) -> tuple[int, int]:
    """First and last edge within the terrain radius of 0; at least one cell."""
    inside = np.flatnonzero(np.abs(edges) <= TERRAIN_RADIUS)
    cell = _cell(edges)
    if not len(inside):
        return cell, cell + 1
    return min(int(inside[0]), cell), max(int(inside[-1]), cell + 1)


# Gridding and trends --------------------------------------------------------------------------------------------------


def _grid_cost(stations: Gravity | Magnetics, spacing: float, degree: int | None = None) -> Cost:
    east, north = stations.coordinates()
    known = np.isfinite(east) & np.isfinite(north)
    if not known.any():
        return Cost(1.0)
    east, north = east[known], north[known]
    scale = 111_195.0 if stations.geographic else 1.0
    width, length = float(np.ptp(east)) * scale, float(np.ptp(north)) * scale
    if stations.geographic:
        width *= math.cos(math.radians(float(np.mean(north))))
    cells = width * length / spacing**2
    if cells > 1.1 * CELLS or 80 * cells > 0.6 * free_memory():
        raise _too_many(spacing, width, length, cells, 80 * cells)
    return Cost(1 + 4e-4 * len(east) + 3e-5 * cells, 80 * cells + 500.0 * len(east))


@tool(
    discipline="gravity",
    stage="processing",
    cost=_grid_cost,
    say=(
        "grid {stations} at {spacing}",
        "Grid {stations} every {spacing} and take out a trend of degree {degree}",
        "interpolate {stations} onto a {spacing} grid",
        "make a regular map of {stations}, cell {spacing}",
        "residual anomaly: remove degree {degree} regional from {stations}, grid {spacing}",
        "regional-residual separation of {stations} with a plane, {spacing} cells",
        "put the points of {stations} on a raster with {spacing} spacing",
        "gridding of {stations} step {spacing} please",
        "can you make a grid from my scattered stations, {spacing}?",
        "detrend ({degree}) and grid {stations} @ {spacing}",
        "minimum curvature grid of {stations}, {spacing}",
        "grid the mag points {stations} with {spacing}",
    ),
    reference="Sandwell 1987, Biharmonic spline interpolation, GRL 14; trend: Uieda 2018, Verde, JOSS 3(30); squares: Ohtake et al. 2003, ACM TOG 22",
    truth="a plane is recovered to 1e-9 mGal and kept by the spline to 1e-6; a smooth field comes back to 0.1 nT rms",
)
def grid_trend(stations: Gravity | Magnetics, spacing: Metres, degree: Degree | None = None) -> Grid:
    """A regular map of the stations in metres, less a polynomial trend where a degree is given.

    Trend by least squares, stations weighted against clustering; block means at the grid spacing (against aliasing); then
    thin-plate splines, in overlapping squares where the blocks are many; nodes far from any station, and those that overshoot
    away from stations, are masked. The
    smoothing and the cross-validated misfit come from holding out a tenth of the blocks.
    """
    import verde
    from scipy.spatial import ConvexHull, QhullError

    unit = "nT" if isinstance(stations, Magnetics) else "mGal"
    stations, notes = _whole(stations)
    not_constant(stations.value, stations.quantity)
    x, y, crs, said = project(stations)
    x, y, value, height, merged = merge(x, y, stations.value, stations.height)
    notes += said + merged
    if len(x) < 4:
        raise Refusal("E_GEOMETRY", f"{len(x)} different stations cannot be gridded; at least 4 are needed.")
    width, length = float(np.ptp(x)), float(np.ptp(y))
    if spacing > min(width, length) / 3:
        raise Refusal(
            "E_GEOMETRY",
            f"a spacing of {spacing:g} m leaves fewer than 4 nodes across an area of {width / 1000:.4g} by {length / 1000:.4g} km.",
            f"Use at most {min(width, length) / 3:.3g} m; stations on one line do not make a map.",
        )
    east = spacing * np.arange(math.floor(x.min() / spacing), math.ceil(x.max() / spacing) + 1)
    north = spacing * np.arange(math.floor(y.min() / spacing), math.ceil(y.max() / spacing) + 1)
    cells = len(east) * len(north)
    if cells > CELLS:
        raise _too_many(spacing, width, length, cells, 8.0 * cells)
    try:
        area = float(ConvexHull(np.column_stack([x - x.mean(), y - y.mean()])).volume)
    except QhullError as error:
        raise Refusal("E_GEOMETRY", "all stations lie on one straight line; a map needs an area.") from error
    nearest = np.asarray(verde.median_distance((x, y), k_nearest=1))
    mean_spacing, median_spacing = math.sqrt(area / len(x)), float(np.median(nearest))
    notes += _sampling_notes(spacing, mean_spacing, median_spacing)
    if stations.quantity == "observed gravity":
        notes.append("observed gravity still holds the latitude and height effects, thousands of mGal; gravity_disturbance takes them out")

    trend, gradient = np.zeros_like(value), None
    if degree is not None:
        surface, gradient = fit_trend(x, y, value, degree, decluster(x, y, max(spacing, mean_spacing)))
        trend = surface(x, y)
        notes.append(f"a trend of degree {degree} was taken out")
    residual = value - trend
    facts: dict[str, Quantity] = {}
    far = max(2.0 * mean_spacing, 1.5 * spacing)
    near = near_stations(x, y, east, north, far, max(mean_spacing, spacing))
    grid = np.full((len(north), len(east)), np.nan)
    flat = float(np.ptp(residual)) <= 1e-9 * max(1.0, float(np.ptp(value)))
    block_x, block_y, block = block_means(x, y, residual, spacing)
    if flat or len(block) < 4:
        notes.append("the trend explains the stations to rounding: the residual is nothing but zero")
        grid[near], fitted = float(residual.mean()), np.full_like(residual, residual.mean())
    else:
        smoothing, misfit = held_out(block_x, block_y, block, far)
        splines = Splines(block_x, block_y, block, smoothing)
        columns, rows = np.meshgrid(east, north)
        grid[near] = splines(columns[near], rows[near])
        fitted = np.full_like(residual, np.nan)
        some = slice(None, None, max(1, len(x) // SAMPLE))
        fitted[some] = splines(x[some], y[some])
        if misfit is not None:
            facts["cross_validated"] = Quantity(misfit, unit, "cross-validated rms misfit at blocks held out")
            notes += _doubt(misfit, residual, unit, mean_spacing)
        notes.append(f"means of {len(block)} blocks of {as_length(spacing)}, then thin-plate splines; smoothing {smoothing:g}"
                     + (" predicts held-out blocks best" if misfit is not None else ": too few blocks to choose it by"))
        notes += _outliers((residual - fitted)[some], unit)
    grid, said = _cut_overshoot(grid, east, north, x, y, residual, max(median_spacing, spacing), unit)
    notes += said
    empty, outside = 100 * float(np.isnan(grid).mean()), max(mean_spacing, spacing)
    apart = f"farther than {as_length(far)} from any station, or {as_length(outside)} outside them"
    notes.append(f"nodes {apart}, are left empty ({empty:.1f} % of the map)")
    if not near.any():
        raise Refusal("E_DATA", f"no node at {spacing:g} m lies within {far:.4g} m of a station.")
    level = None if height is None or not np.isfinite(height).all() else float(height.mean())
    if level is not None and float(np.ptp(height)) > spacing:  # type: ignore[arg-type]
        notes.append(f"stations lie at {height.min():.0f} to {height.max():.0f} m; the map is taken to be at their mean, {level:.0f} m")  # type: ignore[union-attr]

    name = stations.quantity if degree is None else f"residual {stations.quantity}"
    known = np.isfinite(fitted)
    facts = _value_facts(grid[np.isfinite(grid)], name, unit) | {
        "residual_rms": Quantity(float(np.sqrt(np.mean((residual - fitted)[known] ** 2))), unit, "rms of stations less map"),
        "stations": Quantity(len(x), "", "stations used"),
        "spacing": Quantity(float(spacing), "m", "grid spacing"),
        "rows": Quantity(len(north), "", "rows"),
        "columns": Quantity(len(east), "", "columns"),
        "station_spacing": Quantity(mean_spacing, "m", "mean station spacing"),
    } | facts  # fmt: skip
    if gradient is not None:
        facts |= {"trend_range": _span(trend, unit, f"range of the degree {degree} trend"), **_gradient_facts(gradient, unit)}
    extra: dict[str, Any] = {"density": stations.density} if isinstance(stations, Gravity) else {
        "inclination": stations.inclination, "declination": stations.declination, "intensity": stations.intensity,
    }  # fmt: skip
    return Grid(
        title=stations.title, facts=facts, notes=tuple(notes), values=grid, x=east, y=north, quantity=name, unit=unit, crs=crs, height=level,
        stations=np.column_stack([x, y]), **extra,
    )  # fmt: skip


@tool(
    discipline="gravity",
    stage="processing",
    say=(
        "remove a degree {degree} trend from {grid}",
        "Take the regional out of {grid} with a polynomial of degree {degree}",
        "detrend {grid}, degree {degree}",
        "subtract a best-fit plane from {grid}",
        "residual of {grid} after order {degree} surface",
        "get rid of the regional gradient in {grid} ({degree})",
        "flatten {grid} with polynomial order {degree}",
        "separate regional and residual on {grid}, {degree} order",
        "please remove {degree} degree surface of map {grid}",
        "take the tilt out of {grid}",
    ),
    reference="Agocs 1951, Least squares residual anomaly determination, Geophysics 16; Uieda 2018, JOSS 3(30)",
    truth="a plane and an xy term are taken off a wave of amplitude 1 that stays within 0.02",
)
def remove_trend(grid: Grid, degree: Degree) -> Grid:
    """The map less the polynomial surface of this degree that fits it best in least squares; empty nodes stay empty."""
    finite = np.isfinite(grid.values)
    terms = (degree + 1) * (degree + 2) // 2
    if finite.sum() < 2 * terms:
        raise Refusal("E_DATA", f"{int(finite.sum())} values cannot carry a trend of degree {degree} with {terms} coefficients.")
    not_constant(grid.values[finite], grid.quantity)
    if degree >= min(grid.values.shape):
        raise Refusal("E_DATA", f"degree {degree} needs more than {degree} rows and columns, the grid has {grid.values.shape}.")
    columns, rows = np.meshgrid(grid.x, grid.y)
    x, y, value = columns[finite], rows[finite], grid.values[finite]
    every = max(1, len(value) // 200_000)
    if every > 1 and math.gcd(every, len(grid.x)) > 1:
        every += 1  # not in step with the columns
    surface, gradient = fit_trend(x[::every], y[::every], value[::every], degree, None)
    values = np.full(grid.values.shape, np.nan)
    values[finite] = value - surface(x, y)
    name = grid.quantity if grid.quantity.startswith("residual ") else f"residual {grid.quantity}"
    before, after = (float(np.std(v)) for v in (value, values[finite]))
    facts = _value_facts(values[finite], name, grid.unit) | {
        "before": Quantity(before, grid.unit, "standard deviation before"),
        "after": Quantity(after, grid.unit, "standard deviation after"),
        "degree": Quantity(int(degree), "", "degree of the trend"),
    }
    if not grid.geographic:
        facts |= _gradient_facts(gradient, grid.unit)
    share = f"; every {every}th value was used for the fit" if every > 1 else ""
    note = f"trend of degree {degree} by least squares, {100 * (1 - after**2 / before**2):.2f} % of the variance{share}"
    return grid.made(facts, (note,), values=values, quantity=name)


# Fourier filters ------------------------------------------------------------------------------------------------------


def _filter_cost(grid: Grid, *_: Any, **__: Any) -> Cost:
    nodes = math.prod(good_length(n) for n in grid.values.shape)
    return Cost(1 + 1e-6 * nodes, 150.0 * nodes)


@tool(
    discipline="gravity",
    stage="processing",
    cost=_filter_cost,
    say=(
        "continue {grid} {direction}ward by {height}",
        "{direction}ward continue {grid} {height}",
        "{direction}ward continuation of {grid} by {height}, please",
        "bring {grid} {height} {direction}",
        "{direction}ward continuation of {grid}, {height}",
        "vertical derivative of {grid}, {derivative}",
        "first {derivative} derivative of {grid}",
        "compute the {derivative} gradient of {grid}",
        "take {grid} {direction} by {height}",
        "continue {grid} {direction} {height} and take the {derivative} derivative",
        "move {grid} {height} {direction}wards",
        "make derivative to {derivative} direction from the map {grid}",
    ),
    reference="Blakely 1995, Potential Theory in Gravity and Magnetic Applications, ch. 12",
    truth="a point mass: continued upward within 0.2 % of its largest value, derivatives within 0.1 %",
)
def continue_derive(
    grid: Grid,
    height: Annotated[Metres, "distance to continue by"] | None = None,
    direction: Literal["up", "down"] = "up",
    derivative: Literal["none", "east", "north", "up"] = "none",
) -> Grid:
    """The field on a surface `height` metres above (or below) the present one, or its derivative along east, north or up, or both.

    Fourier domain: exp(-|k| height), i k, and -|k| for the derivative with respect to height, so a body's gravity has a
    negative upward derivative above it. Units of a derivative are per metre.
    """
    if height in (None, 0.0) and derivative == "none":
        raise Missing("height", "By how many metres should the field be continued, or which derivative is wanted?")
    dx = metric(grid, "continuation and derivatives")
    rise = float(height or 0.0) * (1.0 if direction == "up" else -1.0)
    notes = []
    amplification = math.exp(math.pi * -rise / dx) if rise < 0 and math.pi * -rise / dx < 700 else (math.inf if rise < 0 else 1.0)
    if rise < 0:
        said = f"downward by {-rise:g} m is {-rise / dx:.3g} grid spacings of {dx:g} m and "
        said += f"multiplies the shortest wavelength ({2 * dx:g} m) by {amplification:.3g}"
        if -rise > DOWNWARD_SPACINGS * dx:
            raise Refusal(
                "E_PHYSICS", f"{said}; its noise would drown the map.", f"At most {DOWNWARD_SPACINGS * dx:g} m, or grid coarser or smooth first."
            )
        notes.append(said)
        notes.append("downward continuation holds only above the shallowest source")
    extent = min(np.ptp(grid.x), np.ptp(grid.y))
    if rise > 0.25 * extent:
        notes.append(f"{rise:g} m up is {rise / extent:.2f} of the map's shorter side ({extent:g} m): it leans on what is assumed beyond the edges")

    spectrum = Spectrum(grid)
    from harmonica.filters import _filters as kernels  # the kernels themselves: harmonica's wrapper leans on a call xarray has withdrawn

    shaped: list[tuple[Callable[..., Any], dict[str, Any]]] = []
    if rise:
        shaped.append((kernels.upward_continuation_kernel, {"height_displacement": rise}))
    if derivative != "none":
        along = {"east": kernels.derivative_easting_kernel, "north": kernels.derivative_northing_kernel, "up": kernels.derivative_upward_kernel}
        shaped.append((along[derivative], {}))
    values = spectrum.filtered(*shaped)
    _, slope_x, slope_y = spectrum.plane
    if derivative == "none":
        values += spectrum.sheet()
        name, unit = f"{grid.quantity} continued {'up' if rise > 0 else 'down'} {abs(rise):g} m", grid.unit
        before, after = (float(np.nanstd(v)) for v in (grid.values, values))
        if rise < 0 and after > 3 * before:
            raise Refusal(
                "E_PHYSICS",
                f"{notes[0]}: the map's standard deviation would rise from {before:.4g} to {after:.4g} {grid.unit}, which is noise.",
                "Smooth the map, or continue down less.",
            )
    else:
        values += {"east": slope_x, "north": slope_y, "up": 0.0}[derivative]
        name, unit = f"{derivative}ward derivative of {grid.quantity}", f"{grid.unit}/m"
        if rise:
            name += f" continued {'up' if rise > 0 else 'down'} {abs(rise):g} m"
    values[~np.isfinite(grid.values)] = np.nan
    notes += spectrum.notes
    facts = _value_facts(values[np.isfinite(values)], name, unit) | _peak(grid, values)
    if rise:
        facts["height"] = Quantity(rise, "m", "height change")
    if rise < 0:
        facts["amplification"] = Quantity(amplification, "", "amplification of the shortest wavelength")
    return grid.made(facts, tuple(notes), values=values, quantity=name, unit=unit, height=None if grid.height is None else grid.height + rise)


@tool(
    discipline="magnetics",
    stage="processing",
    cost=_filter_cost,
    say=(
        "reduce {grid} to the pole",
        "RTP {grid} with I={inclination} D={declination}",
        "reduction to the pole of {grid}, inclination {inclination}, declination {declination}",
        "{output} of {grid}",
        "compute the {output} from {grid}",
        "tilt derivative of {grid}",
        "analytic signal map of {grid} please",
        "total gradient of the magnetic grid {grid}",
        "move the magnetic anomalies of {grid} over their sources",
        "pls do {output} for magnetic map {grid}, field dips {inclination}",
        "edge detection with tilt angle on {grid}",
    ),
    reference="Baranov & Naudy 1964, Geophysics 29; Miller & Singh 1994, J. Applied Geophysics 32; Roest et al. 1992, Geophysics 57",
    truth="a dipole's peak moves to its place, (600, -400) m, at three inclinations, its field within 2 % of that at the pole; tilt over 85 "
    "degrees above the source",
)
def rtp_tilt_analytic(
    grid: Grid,
    output: Literal["reduction to the pole", "tilt", "analytic signal"],
    inclination: Inclination | None = None,
    declination: Degrees | None = None,
) -> Grid:
    """The field as it would be at the magnetic pole, or the tilt angle, or the amplitude of the analytic signal.

    Inclination is positive down, declination positive east; magnetisation is taken as induced (parallel to the field). Tilt
    in degrees, positive over sources of a positive anomaly (vertical derivative positive down): its zero lies near edges.
    """
    if output == "reduction to the pole":
        return _to_pole(grid, inclination, declination)
    dx = metric(grid, f"the {output}")
    spectrum = Spectrum(grid)
    from harmonica.filters import _filters as kernels

    east = spectrum.filtered((kernels.derivative_easting_kernel, {})) + spectrum.plane[1]
    north = spectrum.filtered((kernels.derivative_northing_kernel, {})) + spectrum.plane[2]
    up = spectrum.filtered((kernels.derivative_upward_kernel, {}))
    along = np.hypot(east, north)
    notes = list(spectrum.notes)
    if output == "tilt":
        values, unit, name = np.degrees(np.arctan2(-up, along)), "deg", f"tilt angle of {grid.quantity}"
        notes.append("tilt is positive over the source and crosses zero near its edges; it is steered by noise where the field is flat")
        if grid.unit == "nT" and abs(grid.inclination if grid.inclination is not None else 0.0) < 60:
            notes.append("the field was not reduced to the pole: away from it the zero line is shifted off the edges")
    else:
        values, unit, name = np.sqrt(along**2 + up**2), f"{grid.unit}/m", f"analytic signal of {grid.quantity}"
        notes.append("in three dimensions the analytic signal still depends on the direction of the field, less than the field itself does")
    notes.append(f"shortest wavelength {2 * dx:g} m; derivatives raise the noise there most")
    values[~np.isfinite(grid.values)] = np.nan
    facts = _value_facts(values[np.isfinite(values)], name, unit)
    if output == "analytic signal":
        facts |= _peak(grid, values)
    return grid.made(facts, tuple(notes), values=values, quantity=name, unit=unit)


def _to_pole(grid: Grid, inclination: float | None, declination: float | None) -> Grid:
    if grid.unit != "nT":
        raise Refusal("E_UNITS", f"only a magnetic map in nT can be reduced to the pole; this one is {grid.quantity} in {grid.unit}.")
    if "reduced to the pole" in grid.quantity:
        raise Refusal("E_DATA", "the map is at the pole already.")
    dip = grid.inclination if inclination is None else inclination
    azimuth = grid.declination if declination is None else declination
    if dip is None or azimuth is None:
        lacking = "inclination" if dip is None else "declination"
        raise Missing(lacking, f"What {lacking} (deg) had the Earth's field at the place and time of the survey? The data do not say.")
    gain = math.inf if dip == 0 else 1 / math.sin(math.radians(dip)) ** 2
    if abs(dip) < LOW_INCLINATION:
        raise Refusal(
            "E_PHYSICS",
            f"at an inclination of {dip:g} deg reduction to the pole multiplies wavenumbers across the declination by up to {gain:.4g}; "
            f"below {LOW_INCLINATION:g} deg noise takes over.",
            "Use the analytic signal instead.",
        )
    metric(grid, "reduction to the pole")
    from harmonica.filters import _filters as kernels

    spectrum = Spectrum(grid)
    values = spectrum.filtered((kernels.reduction_to_pole_kernel, {"inclination": dip, "declination": azimuth}))
    values[~np.isfinite(grid.values)] = np.nan
    name = f"{grid.quantity} reduced to the pole"
    notes = [
        f"inclination {dip:g} deg, declination {azimuth:g} deg; magnetisation taken as induced, remanence would leave a skew",
        f"largest amplification {gain:.3g}" + (", stripes along the declination may be noise" if abs(dip) < 30 else ""),
        "a plane was taken out before and is not put back: the level and the regional slope have no pole",
        *spectrum.notes,
    ]
    facts = _value_facts(values[np.isfinite(values)], name, "nT") | _peak(grid, values)
    facts |= {"inclination": Quantity(float(dip), "deg", "inclination"), "declination": Quantity(float(azimuth), "deg", "declination")}
    return grid.made(facts, tuple(notes), values=values, quantity=name, inclination=90.0, declination=0.0)


# Stations -------------------------------------------------------------------------------------------------------------


def _whole(stations: Measured) -> tuple[Measured, list[str]]:
    """Stations whose value and coordinates are numbers, and what was left out."""
    east, north = stations.coordinates()
    good = np.isfinite(stations.value) & np.isfinite(east) & np.isfinite(north)
    if not good.any():
        raise Refusal("E_DATA", f"none of the {len(good)} stations has a value and coordinates.")
    if good.all():
        return stations, []
    arrays = {name: getattr(stations, name) for name in ("longitude", "latitude", "x", "y", "height", "line", "value")}
    kept: dict[str, Any] = {name: None if array is None else np.asarray(array)[good] for name, array in arrays.items()}
    return replace(stations, **kept), [f"{int((~good).sum())} of {len(good)} stations without value or coordinates were left out"]


def _heights(stations: Gravity, what: str) -> Array:
    if stations.height is None:
        raise Refusal("E_GEOMETRY", f"{what} needs station heights and the data have none.", "Name the height column with assign_columns.")
    if bad := int(np.sum(~np.isfinite(stations.height))):
        raise Refusal("E_GEOMETRY", f"{bad} of {len(stations.height)} stations have no height, which {what} needs.", "Remove or complete them.")
    if (top := float(np.abs(stations.height).max())) > 20_000:
        raise Refusal("E_UNITS", f"station heights reach {top:g} m: metres are wanted.")
    return np.asarray(stations.height, dtype=float)


def _datum_note(stations: Gravity, name: str) -> str:
    if stations.datum == "geoid":
        return f"heights above the geoid: the result is the {name}"
    if stations.datum == UNKNOWN:
        return (
            "the datum of the heights is not stated: they were taken as ellipsoidal; "
            "if they are above sea level the result is an anomaly, not a disturbance (0.31 mGal per metre of geoid height)"
        )
    return f"heights: {stations.datum}"


def _degrees(stations: Gravity) -> tuple[Array, Array]:
    """Longitude and latitude; projected stations go through their CRS."""
    if stations.geographic:
        return stations.coordinates()
    if stations.crs == UNKNOWN:
        raise Refusal("E_GEOMETRY", "normal gravity needs latitude, and metres without a CRS do not give one.", "Say the CRS, e.g. EPSG:32735.")
    from pyproj import Transformer

    longitude, latitude = Transformer.from_crs(stations.crs, "EPSG:4326", always_xy=True).transform(*stations.coordinates())
    return np.asarray(longitude), np.asarray(latitude)


def _in_frame(stations: Gravity, grid: Grid) -> tuple[Array, Array]:
    """The stations in the coordinates of the grid."""
    if stations.geographic and grid.geographic:
        east, north = stations.coordinates()
        turn = 360.0 * np.round((0.5 * (grid.x[0] + grid.x[-1]) - east) / 360.0)
        return east + turn, north
    if stations.crs == grid.crs and not stations.geographic and not grid.geographic:
        return stations.coordinates()
    source = "EPSG:4326" if stations.geographic and stations.crs == UNKNOWN else stations.crs
    target = "EPSG:4326" if grid.geographic and grid.crs == UNKNOWN else grid.crs
    if UNKNOWN in (source, target):
        raise Refusal("E_GEOMETRY", f"stations (CRS {source}) and topography (CRS {target}) cannot be laid over each other.", "Say both CRS.")
    from pyproj import Transformer

    east, north = Transformer.from_crs(source, target, always_xy=True).transform(*stations.coordinates())
    return np.asarray(east), np.asarray(north)


def _outliers(misfit: Array, unit: str) -> list[str]:
    """A word on stations that their neighbours contradict."""
    scatter = 1.4826 * float(np.median(np.abs(misfit - np.median(misfit))))
    odd = np.flatnonzero(np.abs(misfit) > 10 * scatter)
    if not len(odd) or scatter < 1e-3:
        return []
    worst = float(np.abs(misfit[odd]).max())
    return [f"{len(odd)} stations differ from the map by more than {10 * scatter:.3g} {unit}, the worst by {worst:.3g}: steep ground or errors"]


def _doubt(misfit: float, residual: Array, unit: str, spacing: float) -> list[str]:
    """A note where stations left out are predicted badly: what the map shows between stations is then a guess."""
    deviation = float(np.std(residual))
    if misfit <= DOUBT * deviation:
        return []
    share = f"{100 * misfit / deviation:.0f} % of the {deviation:.3g} {unit} that the stations vary by"
    said = f"between stations the map is off by {misfit:.3g} {unit} rms ({share})"
    return [f"{said}: the stations, {as_length(spacing)} apart, are too sparse for this field, or noisy; trust no anomaly that rests on one station"]


def _cut_overshoot(grid: Array, east: Array, north: Array, x: Array, y: Array, value: Array, reach: float, unit: str) -> tuple[Array, list[str]]:
    """The map without the nodes beyond the range of the stations by more than OVERSHOOT of it and farther than `reach` from any, and notes."""
    from scipy.spatial import KDTree

    low, high = float(value.min()), float(value.max())
    margin = OVERSHOOT * (high - low)
    if margin == 0:
        return grid, []
    rows, columns = np.nonzero((grid < low - margin) | (grid > high + margin))  # not the empty ones
    if not len(rows):
        return grid, []
    bottom, top = float(np.nanmin(grid)), float(np.nanmax(grid))
    said = f"the map ran from {bottom:.4g} to {top:.4g} {unit}, its stations only from {low:.4g} to {high:.4g} {unit}: overshoot between stations"
    distance, _ = KDTree(np.column_stack([x, y])).query(np.column_stack([east[columns], north[rows]]))
    far = distance > reach
    cut = grid.copy()
    cut[rows[far], columns[far]] = np.nan
    notes = []
    if far.any():
        notes.append(f"{int(far.sum())} of them, farther than {as_length(reach)} from any station, are left empty")
    if not far.all():
        notes.append(f"{int((~far).sum())} nodes nearer to a station are kept")
    return cut, [f"{said} by more than {100 * OVERSHOOT:g} % of that range at {len(rows)} nodes; {'; '.join(notes)}"]


def _sampling_notes(spacing: float, mean: float, median: float) -> list[str]:
    stated = f"station spacing {as_length(mean)} on average (nearest neighbours {as_length(median)} in the median)"
    if spacing < 0.5 * min(mean, max(median, 1.0)):
        finer = f"a grid of {as_length(spacing)} is finer than the data"
        return [f"{stated}: {finer}; wavelengths under {as_length(2 * mean)} are interpolation, not measurement"]
    if spacing > 2 * mean:
        return [f"{stated}: at {as_length(spacing)} wavelengths under {as_length(2 * spacing)} are lost; the block means keep them from aliasing"]
    return [stated]


# Grids and facts ------------------------------------------------------------------------------------------------------


def _edges(centres: Array) -> Array:
    middle = 0.5 * (centres[1:] + centres[:-1])
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def _value_facts(value: Array, name: str, unit: str, counted: str = "values") -> dict[str, Quantity]:
    return {
        counted: Quantity(int(value.size), "", counted),
        "range": _span(value, unit, f"{name} range"),
        "mean": Quantity(float(np.mean(value)), unit, f"mean {name}"),
    }


def _span(values: Array, unit: str, label: str) -> Quantity:
    return Quantity([float(np.min(values)), float(np.max(values))], unit, label)


def _gradient_facts(gradient: tuple[float, float], unit: str) -> dict[str, Quantity]:
    return {
        "trend_east": Quantity(1000 * gradient[0], f"{unit}/km", "slope of the trend towards east, in the middle"),
        "trend_north": Quantity(1000 * gradient[1], f"{unit}/km", "slope of the trend towards north, in the middle"),
    }


def _peak(grid: Grid, values: Array) -> dict[str, Quantity]:
    row, column = np.unravel_index(int(np.nanargmax(values)), values.shape)
    return {"peak": Quantity([float(grid.x[column]), float(grid.y[row])], "m", "easting and northing of the largest value")}


def _too_many(spacing: float, width: float, length: float, nodes: float, size: float) -> Refusal:
    """What is said of a spacing (m) that makes more nodes than a grid may have, or than fit the memory; `size` in bytes."""
    fits = spacing * math.sqrt(max(nodes / CELLS, size / (0.6 * free_memory()))) * 1.05
    area = f"{width / 1000:.4g} by {length / 1000:.4g} km"
    said = f"a spacing of {spacing:g} m (a bare number is metres) needs {nodes / 1e6:.4g} million nodes over {area}, {size / 2**30:.3g} GiB"
    limit = f"the limit is {CELLS / 1e6:g} million nodes and 60 % of the free memory, {0.6 * free_memory() / 2**30:.3g} GiB."
    return Refusal("E_LIMIT", f"{said}; {limit}", f"{as_length(_round_up(fits))} or more fits.")


def _round_up(value: float) -> float:
    """To two significant digits, upward."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / step) * step
