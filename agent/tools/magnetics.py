"""Magnetics: the main field taken out, lines levelled at their crossings, a block's anomaly, Euler deconvolution.

The main field is IGRF by ppigrf, prisms and Euler's equation are harmonica's. Reduction to the pole, tilt and derivatives are in
`potential_fields`, the inversion for susceptibility in `gravity_inversion` and `magnetic_inversion`.
"""

from __future__ import annotations

import datetime
import math
import re
from typing import Annotated, Any

import numpy as np

from moho.agent.registry import Cost, tool
from moho.agent.tools.block_model import buried_block
from moho.agent.tools.potential_fields import _span, _value_facts, _whole
from moho.agent.tools.spectrum import Spectrum, metric
from moho.agent.tools.surfaces import not_constant, project
from moho.errors import Missing, Refusal
from moho.survey import UNKNOWN, Array, Grid, Magnetics, Report
from moho.units import Count, Degree, Degrees, Depth, Inclination, Metres, NanoTesla, Position, Quantity, Unit

Susceptibility = Annotated[float, Unit("SI", above=-1, high=20)]

MU0 = 4e-7 * math.pi  # T m/A; IGRF and harmonica agree with it to 1e-9
FIRST, DEFINITIVE, NEWEST, LAST = 1900.0, 2020.0, 2025.0, 2030.0  # epochs of IGRF-14
CHUNK = 20_000  # points whose Legendre functions are held at once
PIECE = 48  # line segments compared at once
GAP = 10.0  # median distances between points of a line: beyond it the line is broken
CROSSINGS = 400_000
SOLUTIONS = 4000  # Euler windows, about
SOURCES = "structural index (magnetic: 3 sphere, 2 pipe, 1 dyke; gravity: 2 sphere, 1 cylinder)"
RISES = (2.0, 4.0)  # grid spacings of upward continuation before Euler's equation; the second only widens the range
KEPT = 0.1  # largest standard error of an Euler depth, over the depth


# The main field -------------------------------------------------------------------------------------------------------


def when(date: str) -> datetime.datetime:
    """The day meant: '1955', '2024-05-17', '17.5.2024', '1997.4'; Missing where nothing is said, ValueError where it is no date."""
    text = date.strip()
    if not text or text.lower() in ("?", "none", "unknown"):
        raise Missing("date", "When was the survey flown or measured (date or year)? The main field changes by up to 100 nT a year.")
    if match := re.fullmatch(r"(\d{4})(\.\d+)?", text):
        year = int(match[1])
        start, end = datetime.datetime(year, 1, 1), datetime.datetime(year + 1, 1, 1)
        return start + (end - start) * float(match[2] or 0.5)
    if match := re.fullmatch(r"(\d{4})-(\d{1,2})", text):
        return datetime.datetime(int(match[1]), int(match[2]), 15)
    for form in ("%Y-%m-%d", "%d.%m.%Y", "%Y/%m/%d", "%d %B %Y", "%d %b %Y", "%B %d, %Y", "%B %Y", "%b %Y"):
        try:
            return datetime.datetime.strptime(text, form)
        except ValueError:
            continue
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError as error:
        raise ValueError(f"date must be a day or a year, such as 1997-08-15 or 1997.6; got {date!r}") from error


def decimal_year(day: datetime.datetime) -> float:
    """The year with its fraction."""
    start = datetime.datetime(day.year, 1, 1)
    return day.year + (day - start) / (datetime.datetime(day.year + 1, 1, 1) - start)


def main_field(longitude: Array, latitude: Array, height: Array, day: datetime.datetime) -> tuple[Array, Array, Array, list[str]]:
    """Strength (nT), inclination and declination (deg) of IGRF-14 at each point (height m above the ellipsoid), and what kind of model that is.

    Refusal E_PHYSICS outside 1900 to 2030.
    """
    import ppigrf

    year = decimal_year(day)
    if not FIRST <= year <= LAST:
        raise Refusal("E_PHYSICS", f"IGRF-14 holds from {FIRST:g} to {LAST:g}; the date given is {year:.2f}.")
    parts = []
    for start in range(0, len(longitude), CHUNK):
        some = slice(start, start + CHUNK)
        parts.append([np.ravel(part) for part in ppigrf.igrf(longitude[some], latitude[some], height[some] / 1000.0, day)])
    east, north, up = (np.concatenate(column) for column in zip(*parts, strict=True))
    level = np.hypot(east, north)
    if year > NEWEST:
        kind = f"extrapolated {year - NEWEST:.2f} years beyond the epoch {NEWEST:g} with the predicted secular variation"
    elif year > DEFINITIVE:
        kind = f"interpolated between DGRF {DEFINITIVE:g} and IGRF {NEWEST:g}, not yet definitive"
    else:
        first = 5 * math.floor(year / 5)
        kind = f"interpolated between the epochs {first} and {first + 5}, " + ("definitive (DGRF)" if year >= 1945 else "not definitive before 1945")
    notes = [f"main field IGRF-14 (degree 13) at {day:%Y-%m-%d} ({year:.3f}), {kind}"]
    return np.hypot(level, up), np.degrees(np.arctan2(-up, level)), np.degrees(np.arctan2(east, north)), notes


def degrees_of(x: Array, y: Array, crs: str, what: str) -> tuple[Array, Array]:
    """Longitude and latitude of points in metres; Refusal where their CRS is not known."""
    if crs == UNKNOWN:
        said = f"{what} needs longitude and latitude, and metres without a CRS do not give them."
        raise Refusal("E_GEOMETRY", said, "Say the CRS with crs_convert, e.g. EPSG:32735.")
    from pyproj import Transformer

    longitude, latitude = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    return np.asarray(longitude), np.asarray(latitude)


@tool(
    discipline="magnetics",
    stage="processing",
    cost=lambda stations, date: Cost(1 + 6e-5 * len(stations.value), 2e4 * min(len(stations.value), CHUNK) + 200.0 * len(stations.value)),
    say=(
        "total field anomaly of {stations}, flown {date}",
        "Remove the IGRF from {stations} for {date}",
        "subtract the main field from {stations}, survey date {date}",
        "IGRF correction of {stations} at {date}",
        "take the international geomagnetic reference field out of {stations}, measured {date}",
        "residual magnetic field of {stations} after IGRF removal, date {date}",
        "igrf out of {stations} pls, {date}",
        "my total field readings {stations} are from {date}, make the anomaly",
        "please to correct the magnetic data {stations} of earth main field on {date}",
        "what is the magnetic anomaly in {stations} once the core field of {date} is removed?",
    ),
    reference="Alken et al. 2021, International Geomagnetic Reference Field: the thirteenth generation, Earth Planets Space 73; IGRF-14: IAGA 2024",
    truth="four values of igrf14syn, the official program: strength within 0.3 nT, direction within 0.001 degrees; a planted anomaly back "
    "within 0.01 nT",
)
def igrf_anomaly(stations: Magnetics, date: Annotated[str, "date of the survey"]) -> Magnetics:
    """Total field less the strength of the main field (IGRF-14) at each point and date, nT.

    Inclination, declination and strength of the inducing field at the middle of the survey go with the result. Daily
    variation is not taken out. Heights are metres above the ellipsoid.
    """
    if stations.quantity != "total field":
        raise Refusal("E_DATA", f"the main field is out already: these data are {stations.quantity}.", "Give the total field as measured.")
    stations, notes = _whole(stations)
    not_constant(stations.value, "the total field")
    middle = float(np.median(stations.value))
    if not 1.5e4 < middle < 8e4:
        raise Refusal("E_UNITS", f"the median total field is {middle:g}; on the Earth it is 22000 to 67000 nT.", "Check unit and column.")
    day = when(date)
    x, y = stations.coordinates()
    longitude, latitude = (x, y) if stations.geographic else degrees_of(x, y, stations.crs, "IGRF")
    if stations.height is None:
        height = np.zeros(len(x))
        notes.append("no heights: the field was taken at 0 m; it falls by about 0.02 to 0.03 nT a metre")
    elif lost := int(np.sum(~np.isfinite(stations.height))):
        raise Refusal("E_GEOMETRY", f"{lost} of {len(x)} points have no height, which IGRF needs.", "Complete or remove them.")
    else:
        height = np.asarray(stations.height, dtype=float)
        if float(np.abs(height).max()) > 60_000:
            raise Refusal("E_UNITS", f"heights reach {np.abs(height).max():g} m: metres are wanted.")
        if stations.datum != "ellipsoidal WGS84":
            notes.append(f"heights ({stations.datum}) were used as ellipsoidal; 100 m make about 2.5 nT")
    strength, dip, azimuth, said = main_field(longitude, latitude, height, day)
    value = stations.value - strength
    if abs(float(np.median(value))) > 5000:
        off = float(np.median(value))
        raise Refusal("E_DATA", f"the median anomaly would be {off:.0f} nT, which no survey has.", "Check date, coordinates and the total field.")
    notes += [*said, "daily variation and magnetic storms are not taken out: that needs base-station readings"]
    name = "total field anomaly"
    dip_, azimuth_, strength_ = (float(np.mean(part)) for part in (dip, azimuth, strength))
    facts = _value_facts(value, name, "nT", "points")
    facts |= {
        "main_field": _span(strength, "nT", "main field range"),
        "intensity": Quantity(strength_, "nT", "mean strength of the main field"),
        "inclination": Quantity(dip_, "deg", "mean inclination of the main field"),
        "declination": Quantity(azimuth_, "deg", "mean declination of the main field"),
        "model": Quantity("IGRF-14", "", "main-field model"),
        "date": Quantity(f"{day:%Y-%m-%d}", "", "date of the main field"),
    }
    return stations.made(facts, tuple(notes), value=value, quantity=name, inclination=dip_, declination=azimuth_, intensity=strength_)


# Levelling ------------------------------------------------------------------------------------------------------------


@tool(
    discipline="magnetics",
    stage="processing",
    cost=lambda stations, tie_lines=None, degree=0: Cost(2 + 1e-4 * len(stations.value), 400.0 * len(stations.value) + 1e8),
    say=(
        "level the lines of {stations}",
        "Level {stations} on the tie lines {tie_lines}",
        "tie line levelling of {stations}, ties {tie_lines}",
        "remove the line-to-line offsets in {stations}",
        "crossover levelling of {stations} please",
        "statistical levelling of the aeromagnetic lines in {stations}",
        "correct the mis-ties between flight lines of {stations}, degree {degree}",
        "my mag map of {stations} is striped along the flight lines, fix it",
        "make the lines of {stations} agree where they cross",
        "pls adjust the flight lines {stations} to tie {tie_lines}",
    ),
    reference="Luyendyk 1997, Processing of airborne magnetic data, AGSO J. Australian Geology & Geophysics 17; Foster et al. 1970, JGR 75",
    truth="planted offsets of 15 nT (standard deviation): the levelled field within 2 nT of the truth, crossings from over 9 to under 0.6 nT",
)
def level_lines(
    stations: Magnetics, tie_lines: Annotated[list[str] | None, "tie lines, whose level is kept"] = None, degree: Degree = 0
) -> Magnetics:
    """The points with each line shifted (degree 0), or shifted and tilted, so that lines agree where they cross.

    Least squares on the differences at crossings, wild ones weighted down (Huber). Tie lines keep their level; without them
    the mean of all points is kept.
    """
    if stations.line is None:
        raise Refusal("E_DATA", "levelling needs the line of each point and the data have none.", "Read a table with a line column.")
    stations, notes = _whole(stations)
    not_constant(stations.value, stations.quantity)
    x, y, _, said = project(stations)
    notes += said
    names, line = np.unique(np.asarray(stations.line).astype(str), return_inverse=True)
    if len(names) < 2:
        raise Refusal("E_DATA", f"there is one line, {names[0]}: nothing crosses it.")
    ties = _ties(tie_lines, names)
    crossing = _crossings(x, y, line, len(names))
    if not len(crossing):
        raise Refusal("E_GEOMETRY", f"none of the {len(names)} lines crosses another.", "Levelling needs tie lines across the flight lines.")
    first, second, here, there = (crossing[:, k].astype(np.int64) for k in range(4))
    along_first, along_second = crossing[:, 4], crossing[:, 5]
    at_first = stations.value[here] + along_first * (stations.value[here + 1] - stations.value[here])
    at_second = stations.value[there] + along_second * (stations.value[there + 1] - stations.value[there])
    before = at_first - at_second
    position = _along(x, y, line, len(names))
    where_first = position[here] + along_first * (position[here + 1] - position[here])
    where_second = position[there] + along_second * (position[there + 1] - position[there])
    terms, tilted = _terms(line, first, second, ties, degree)
    system, right = _equations((first, where_first), (second, where_second), before, terms, tilted)
    weight = np.ones(len(before))
    coefficients = np.zeros(system.shape[1])
    for _ in range(15):
        coefficients = _solve(system, right, weight)
        rest = right - system @ coefficients
        scatter = 1.4826 * float(np.median(np.abs(rest))) or 1e-12
        weight = np.minimum(1.0, 1.5 * scatter / np.maximum(np.abs(rest), 1e-12))
    after = right - system @ coefficients
    shift = np.zeros(len(stations.value))
    for power in range(degree + 1):
        held = (terms[line] >= 0) & (tilted[line] >= power)
        shift[held] += coefficients[terms[line[held]] + power] * position[held] ** power
    islands = _islands(first, second, len(names))
    crossed = np.zeros(len(names), dtype=bool)
    crossed[np.concatenate([first, second])] = True
    for island in np.unique(islands[crossed]):  # lines that reach no tie keep the mean of their points
        members = np.flatnonzero((islands == island) & crossed)
        if not ties.size or not np.isin(members, ties).any():
            points = np.isin(line, members)
            shift[points] -= shift[points].mean()
    value = stations.value - shift
    offset = np.bincount(line, weights=shift) / np.bincount(line)
    largest = int(np.argmax(np.abs(offset)))
    groups = len(np.unique(islands[crossed]))
    rms = [float(np.sqrt(np.mean(part**2))) for part in (before, after)]
    middle = [1.4826 * float(np.median(np.abs(part))) for part in (before, after)]
    if uncrossed := int((~crossed).sum()):
        notes.append(f"{uncrossed} of {len(names)} lines cross no other and were left as they are")
    if groups > 1:
        notes.append(f"the crossings join the lines in {groups} groups; between groups the level is not tied, each keeps its own")
    if degree and int((tilted[crossed] < degree).sum()):
        notes.append(f"{int(((tilted < degree) & (terms >= 0))[crossed].sum())} lines with too few crossings got a shift without tilt")
    if down := int((weight < 0.2).sum()):
        notes.append(f"{down} crossings that disagree with all others (steep anomalies, different heights) count little")
    if stations.height is not None and np.isfinite(stations.height).all():
        apart = np.abs(stations.height[here] - stations.height[there])
        notes.append(f"heights at crossings differ by {np.median(apart):.0f} m in the median, {apart.max():.0f} m at most; not corrected")
    kept = f"tie lines {', '.join(names[ties][:8])}" if ties.size else "the mean of the points"
    notes.append(f"level kept: {kept}; lines are broken at gaps of {GAP:g} point distances")
    facts = _value_facts(value, stations.quantity, "nT", "points") | {
        "lines": Quantity(len(names), "", "lines"),
        "crossings": Quantity(len(before), "", "crossings"),
        "before": Quantity(rms[0], "nT", "rms difference at crossings before"),
        "after": Quantity(rms[1], "nT", "rms difference at crossings after"),
        "before_robust": Quantity(middle[0], "nT", "robust spread at crossings before"),
        "after_robust": Quantity(middle[1], "nT", "robust spread at crossings after"),
        "offset": _span(offset[crossed], "nT", "range of the offsets taken off"),
        "largest_offset": Quantity(float(offset[largest]), "nT", f"offset of line {names[largest]}, the largest"),
    }
    return stations.made(facts, tuple(notes), value=value)


def _ties(tie_lines: list[str] | None, names: Array) -> Array:
    """Indices of the tie lines; a name ending in * stands for all that begin so."""
    found: list[int] = []
    for wanted in tie_lines or []:
        text = wanted.strip()
        hits = [k for k, name in enumerate(names) if name == text or _number(name) == text or (text.endswith("*") and name.startswith(text[:-1]))]
        if not hits:
            shown = ", ".join(names[:12]) + (" ..." if len(names) > 12 else "")
            raise ValueError(f"there is no line {text!r}; the lines are {shown}")
        found += hits
    return np.array(sorted(set(found)), dtype=np.int64)


def _number(name: str) -> str:
    """'12.0' as people write it."""
    return name.removesuffix(".0")


def _along(x: Array, y: Array, line: Array, count: int) -> Array:
    """(point,) position along its line from -1 to 1, by the line's longer axis."""
    position = np.zeros(len(x))
    for k in range(count):
        on = np.flatnonzero(line == k)
        if len(on) < 2:
            continue
        points = np.column_stack([x[on] - x[on].mean(), y[on] - y[on].mean()])
        axis = np.linalg.eigh(points.T @ points)[1][:, -1]
        axis = axis * (1.0 if axis[int(np.argmax(np.abs(axis)))] > 0 else -1.0)
        along = points @ axis
        position[on] = along / (float(np.abs(along).max()) or 1.0)
    return position


def _crossings(x: Array, y: Array, line: Array, count: int) -> Array:
    """(crossing, 6): both lines, the point before it on each, and the fraction of the segment from there."""
    start = np.flatnonzero(line[1:] == line[:-1])
    length = np.hypot(x[start + 1] - x[start], y[start + 1] - y[start])
    usual = np.array([np.median(length[line[start] == k]) if (line[start] == k).any() else 0.0 for k in range(count)]) if count < 3000 else None
    limit = GAP * (usual[line[start]] if usual is not None else float(np.median(length)))
    start = start[(length > 0) & (length <= limit)]
    if not len(start):
        return np.empty((0, 6))
    breaks = np.flatnonzero((np.diff(start) != 1) | (line[start[1:]] != line[start[:-1]])) + 1
    pieces = [part for run in np.split(start, breaks) for part in np.array_split(run, math.ceil(len(run) / PIECE))]
    west = np.array([min(x[p].min(), x[p + 1].min()) for p in pieces])
    east = np.array([max(x[p].max(), x[p + 1].max()) for p in pieces])
    south = np.array([min(y[p].min(), y[p + 1].min()) for p in pieces])
    north = np.array([max(y[p].max(), y[p + 1].max()) for p in pieces])
    of = np.array([line[p[0]] for p in pieces])
    found: list[Array] = []
    total = 0
    for k, piece in enumerate(pieces):
        near = (of > of[k]) & (west <= east[k]) & (east >= west[k]) & (south <= north[k]) & (north >= south[k])
        if not near.any():
            continue
        other = np.concatenate([pieces[i] for i in np.flatnonzero(near)])
        a = x[piece, None], y[piece, None], (x[piece + 1] - x[piece])[:, None], (y[piece + 1] - y[piece])[:, None]
        b = x[other], y[other], x[other + 1] - x[other], y[other + 1] - y[other]
        cross = a[2] * b[3] - a[3] * b[2]
        with np.errstate(divide="ignore", invalid="ignore"):
            s = ((b[0] - a[0]) * b[3] - (b[1] - a[1]) * b[2]) / cross
            t = ((b[0] - a[0]) * a[3] - (b[1] - a[1]) * a[2]) / cross
        # lines that run along each other do not cross: at least 5 degrees between them
        sharp = np.abs(cross) > 0.087 * np.hypot(a[2], a[3]) * np.hypot(b[2], b[3])
        row, column = np.nonzero(sharp & (s >= 0) & (s < 1) & (t >= 0) & (t < 1))
        if len(row):
            hit = other[column]
            found.append(np.column_stack([np.full(len(row), of[k]), line[hit], piece[row], hit, s[row, column], t[row, column]]))
            total += len(row)
            if total > CROSSINGS:
                raise Refusal("E_LIMIT", f"more than {CROSSINGS} crossings.", "Level a part of the survey.")
    return np.concatenate(found) if found else np.empty((0, 6))


def _terms(line: Array, first: Array, second: Array, ties: Array, degree: int) -> tuple[Array, Array]:
    """(line,) the first unknown of each line, -1 for none, and the degree its crossings carry."""
    count = int(line.max()) + 1
    crossings = np.bincount(np.concatenate([first, second]), minlength=count)
    tilted = np.where(crossings >= 2 * degree + 2, degree, 0)
    free = crossings > 0
    free[ties] = False
    size = np.where(free, tilted + 1, 0)
    return np.where(free, np.cumsum(size) - size, -1), tilted


def _equations(first: tuple[Array, Array], second: tuple[Array, Array], difference: Array, terms: Array, tilted: Array) -> tuple[Any, Array]:
    """Sparse system: what is taken off the first line less what is taken off the second is the difference at the crossing."""
    from scipy.sparse import csr_array

    rows, columns, values = [], [], []
    for sign, (lines, position) in ((1.0, first), (-1.0, second)):
        for power in range(int(tilted.max()) + 1):
            held = np.flatnonzero((terms[lines] >= 0) & (tilted[lines] >= power))
            rows.append(held)
            columns.append(terms[lines[held]] + power)
            values.append(sign * position[held] ** power)
    size = int((np.where(terms >= 0, tilted + 1, 0)).sum())
    if not size:
        raise Refusal("E_DATA", "every line that crosses another is a tie line: nothing is left to level.")
    return csr_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(len(difference), size)), difference


def _solve(system: Any, right: Array, weight: Array) -> Array:
    """Weighted least squares of least norm (the common level of lines without ties is free)."""
    from scipy.sparse import diags_array
    from scipy.sparse.linalg import lsqr

    root = np.sqrt(weight)
    return np.asarray(lsqr(diags_array(root) @ system, root * right, damp=0.0, atol=1e-12, btol=1e-12, iter_lim=20 * system.shape[1] + 200)[0])


def _islands(first: Array, second: Array, count: int) -> Array:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    return np.asarray(connected_components(coo_array((np.ones(len(first)), (first, second)), shape=(count, count)), directed=False)[1])


# Forward model --------------------------------------------------------------------------------------------------------


def direction(inclination: float, declination: float) -> Array:
    """Unit vector (east, north, up) of a field that dips `inclination` down and points `declination` east of north."""
    dip, azimuth = math.radians(inclination), math.radians(declination)
    return np.array([math.cos(dip) * math.sin(azimuth), math.cos(dip) * math.cos(azimuth), -math.sin(dip)])


@tool(
    discipline="magnetics",
    stage="modelling",
    say=(
        "magnetic anomaly of a block {width} wide, {depth_top} to {depth_base}, {susceptibility}, field {strength}, I {inclination} D {declination}",
        "forward model a magnetic prism {depth_top} to {depth_base}, {width} by {length}, {susceptibility}, F {strength} {inclination} {declination}",
        "what total field makes a dyke of {susceptibility}, {depth_top} to {depth_base}, {width} across, in {strength} {inclination} {declination}?",
        "compute the TMI over a box of {susceptibility} from {depth_top} to {depth_base}, {width}; {strength} / {inclination} / {declination}",
        "synthetic aeromag: {susceptibility}, {depth_top}-{depth_base}, {width} wide, I={inclination}, D={declination}, F={strength}",
        "magnetic response of a body {susceptibility}, {width}, {depth_top}-{depth_base}, {strength} {inclination} {declination}, flown at {height}",
        "mag forward: k {susceptibility}, {depth_top}..{depth_base}, {width}, F {strength} I {inclination} D {declination}",
        "please to model magnetic field of block {susceptibility}, {depth_top} to {depth_base}, {width}, {inclination} {declination} {strength}",
    ),
    reference="Bhattacharyya 1964, Magnetic anomalies due to prism-shaped bodies, Geophysics 29; Blakely 1995, Potential Theory, ch. 9",
    truth="a small deep block is a dipole within 1 %; twice the susceptibility is twice the field",
)
def magnetic_forward(
    depth_top: Depth,
    depth_base: Depth,
    width: Metres,
    susceptibility: Susceptibility,
    inclination: Inclination,
    declination: Degrees,
    strength: Annotated[NanoTesla, Unit("nT", low=1000, high=100000), "strength of the Earth's field"],
    length: Metres | None = None,
    height: Annotated[Depth, "height of the survey above the ground"] = 0.0,
    x: Position = 0.0,
    y: Position = 0.0,
    nodes: Count = 61,
) -> Grid:
    """The total field anomaly (nT) of a rectangular block magnetised by the Earth's field, on a level map over it.

    Induced magnetisation only, susceptibility x field / mu0, without demagnetisation; the anomaly is the change of the field
    along itself. Width is east, length north.
    """
    if susceptibility == 0:
        raise ValueError("a susceptibility of 0 makes no anomaly")
    if depth_top + height == 0:
        raise ValueError("the block touches the survey plane: give a depth_top or a height above 0")
    block = buried_block(depth_top, depth_base, width, length, x, y, nodes, height)
    import harmonica

    east, north = np.meshgrid(block.x, block.y)
    along = direction(inclination, declination)
    magnetisation = susceptibility * strength * 1e-9 / MU0  # A/m
    field = harmonica.prism_magnetic(
        (east, north, np.full_like(east, height)), block.prism[None], tuple(np.array([magnetisation * part]) for part in along),
        field="b", parallel=False,
    )  # fmt: skip
    value = np.asarray(sum(part * component for part, component in zip(along, field, strict=True)))
    moment = magnetisation * block.volume
    facts = {
        "peak": Quantity(float(value.flat[int(np.argmax(np.abs(value)))]), "nT", "largest anomaly"),
        "range": _span(value, "nT", "anomaly range"),
        "magnetisation": Quantity(float(magnetisation), "A/m", "induced magnetisation"),
        "moment": Quantity(float(moment), "A.m2", "magnetic moment"),
        "inclination": Quantity(float(inclination), "deg", "inclination"),
        "declination": Quantity(float(declination), "deg", "declination"),
    }
    body = f"{block.words}, susceptibility {susceptibility:g} SI"
    notes = [f"{body}; field {strength:g} nT, inclination {inclination:g} deg, declination {declination:g} deg; survey {height:g} m above depth 0"]
    notes.append("induced magnetisation only: remanence is not in it")
    if susceptibility > 0.1:
        share = 100 * susceptibility / (1 + susceptibility)
        notes.append(f"at {susceptibility:g} SI the body demagnetises itself by up to {share:.0f} %; not modelled")
    return Grid(
        title="magnetic block", facts=facts, notes=tuple(notes), values=value, x=block.x, y=block.y, quantity="total field anomaly", unit="nT",
        height=float(height), inclination=float(inclination), declination=float(declination), intensity=float(strength),
    )  # fmt: skip


# Euler deconvolution --------------------------------------------------------------------------------------------------


@tool(
    discipline="magnetics",
    stage="interpretation",
    cost=lambda grid, structural_index, window=None: Cost(3 + 2e-4 * SOLUTIONS + 4e-6 * grid.values.size, 500.0 * grid.values.size),
    say=(
        "Euler deconvolution of {grid} with structural index {structural_index}",
        "euler {grid} SI {structural_index}",
        "depth to sources in {grid} by Euler, index {structural_index}, window {window}",
        "run Euler 3D on {grid}, structural index {structural_index}",
        "how deep are the sources of {grid}? use euler with SI={structural_index}",
        "source depths from {grid} with N = {structural_index}, moving window {window}",
        "estimate depth of the dykes in {grid} by Euler's homogeneity equation, SI {structural_index}",
        "Euler solutions for the mag grid {grid}, {structural_index}",
        "pls do euler depth on {grid}, index {structural_index}",
        "locate the spheres under {grid}: euler deconv with index {structural_index}, {window} windows",
    ),
    reference="Reid et al. 1990, Magnetic interpretation in 3-D using Euler deconvolution, Geophysics 55; Reid & Thurston 2014, ibid. 79",
    truth="a dipole at 800 m, with and without 2 % noise: depth within 2 %, position within 20 m at structural index 3",
)
def euler(
    grid: Grid,
    structural_index: Annotated[float, Unit("", above=0, high=3), SOURCES],
    window: Annotated[Metres | None, "side of the moving window"] = None,
) -> Report:
    """Source positions and depths from Euler's equation in moving windows, with their scatter; depth is below the survey surface.

    A window counts when its source lies under it, is no deeper than two windows and has a depth error below 10 %. The depth
    said first is the median over windows that hold the strongest total gradient; the depth follows the structural index.
    """
    dx = metric(grid, "Euler deconvolution")
    if grid.unit not in ("nT", "mGal"):
        raise Refusal("E_UNITS", f"Euler deconvolution wants a magnetic or gravity map; this one is {grid.quantity} in {grid.unit}.")
    if grid.unit == "mGal" and structural_index > 2:
        raise ValueError(f"the structural index of a gravity map is at most 2 (a sphere), got {structural_index:g}")
    if window is not None and window < 4 * dx:
        raise ValueError(f"a window needs at least 5 x 5 nodes, {4 * dx:g} m here; got {window:g} m")
    spectrum = Spectrum(grid)
    notes = list(spectrum.notes)
    half = max(2, round(0.5 * (10 if window is None else window / dx)))
    side = (2 * half + 1) * dx if window is None else window
    if window is None:
        notes.append(f"window {side:g} m, {2 * half + 1} grid spacings: a window should be about as wide as the sources are deep")
    if 2 * half + 1 > min(grid.values.shape):
        raise ValueError(f"a window of {side:g} m does not fit a map of {np.ptp(grid.x):g} by {np.ptp(grid.y):g} m")
    (sources, tried), (higher, _) = (_windows(grid, spectrum, structural_index, half, rise * dx) for rise in RISES)
    if not len(sources):
        raise Refusal(
            "E_DATA", f"none of {tried} windows of {side:g} m gave a source under itself with a depth error below {100 * KEPT:g} %.",
            "Try another window or structural index; the field may hold no simple sources.",
        )  # fmt: skip
    main = sources[sources[:, 5] > 0]
    holds = "windows that hold the strongest gradient"
    if not len(main):
        main, holds = sources, "all windows kept (none holds the strongest gradient)"
    depth = float(np.median(main[:, 2]))
    spread = [float(v) for v in np.percentile(main[:, 2], [16, 84])]
    above = float(np.median(higher[higher[:, 5] > 0, 2])) if len(higher) and (higher[:, 5] > 0).any() else depth
    spread = [min(spread[0], above), max(spread[1], above)]
    every = [float(v) for v in np.percentile(sources[:, 2], [16, 50, 84])]
    notes += [
        f"structural index {structural_index:g}; {len(sources)} of {tried} windows kept; depth below the survey surface"
        + ("" if grid.height is None else f", which is at {grid.height:.0f} m"),
        f"depth of the main source: median of {len(main)} {holds}; range 16 to 84 % of them, widened by the depth from {RISES[1]:g} spacings up",
        f"the field was continued up {RISES[0] * dx:g} m ({RISES[0]:g} grid spacings) first: noise in derivatives makes Euler depths too shallow",
        "the spread is that of windows, not an error: a wrong structural index shifts all depths together, by about a fifth to a half a unit",
    ]
    if depth < dx:
        notes.append(f"a depth of {depth:.3g} m is less than the grid spacing ({dx:g} m): not resolved, read it as shallower than about {dx:g} m")
    facts = {
        "depth": Quantity(depth, "m", "depth of the main source below the survey"),
        "depth_range": Quantity(spread, "m", "range of the depth of the main source"),
        "x": Quantity(float(np.median(main[:, 0])), "m", "easting of the main source"),
        "y": Quantity(float(np.median(main[:, 1])), "m", "northing of the main source"),
        "solutions": Quantity(len(sources), "", "solutions kept"),
        "windows": Quantity(tried, "", "windows tried"),
        "all_depths": Quantity([every[0], every[2]], "m", "range of all depths (16 to 84 %)"),
        "median_depth": Quantity(every[1], "m", "median depth of all solutions"),
        "structural_index": Quantity(float(structural_index), "", "structural index"),
        "window": Quantity(float((2 * half + 1) * dx), "m", "window"),
    }
    arrays = dict(zip(("x", "y", "depth", "error"), sources.T, strict=False)) | {"east": grid.x, "north": grid.y, "field": grid.values}
    labels = {"colour": "depth below the survey (m)", "field": f"{grid.quantity} ({grid.unit})", "crs": grid.crs}
    return Report(title=grid.title, facts=facts, notes=tuple(notes), arrays=arrays, drawing="euler", labels=labels)


def _windows(grid: Grid, spectrum: Spectrum, index: float, half: int, rise: float) -> tuple[Array, int]:
    """(source, 6) of the windows kept: x, y, depth below the survey, its error, base level, holds the strongest gradient; and windows tried."""
    import harmonica
    from harmonica.filters import _filters as kernels

    dx = max(grid.spacing)
    lift: Any = (kernels.upward_continuation_kernel, {"height_displacement": rise})
    field = spectrum.filtered(lift) + spectrum.sheet()
    east = spectrum.filtered(lift, (kernels.derivative_easting_kernel, {})) + spectrum.plane[1]
    north = spectrum.filtered(lift, (kernels.derivative_northing_kernel, {})) + spectrum.plane[2]
    up = spectrum.filtered(lift, (kernels.derivative_upward_kernel, {}))
    gradient = np.sqrt(east**2 + north**2 + up**2)
    rows, columns = grid.values.shape
    inner = _rim(np.isfinite(grid.values), max(2, round(0.03 * min(rows, columns))))  # derivatives at the rim are not worth trusting
    if not inner.any():
        raise Refusal("E_DATA", f"a map of {rows} x {columns} nodes is too small for windows off its rim.")
    top = np.unravel_index(int(np.argmax(np.where(inner, gradient, -np.inf))), gradient.shape)
    step = max(1, half // 2, math.ceil(math.sqrt((rows - 2 * half) * (columns - 2 * half) / SOLUTIONS)))
    floor = 0.02 * float(gradient[top])
    x0, y0 = float(grid.x.mean()), float(grid.y.mean())
    found: list[list[float]] = []
    tried = 0
    starts = [sorted({*range(half, n - half, step), int(np.clip(t, half, n - half - 1))}) for n, t in ((rows, top[0]), (columns, top[1]))]
    for j in starts[0]:
        for i in starts[1]:
            some = slice(j - half, j + half + 1), slice(i - half, i + half + 1)
            if not inner[some].all() or gradient[some].max() < floor:
                continue
            tried += 1
            at_x, at_y = np.meshgrid(grid.x[some[1]] - x0, grid.y[some[0]] - y0)
            solver = harmonica.EulerDeconvolution(structural_index=float(index))
            try:
                solver.fit((at_x, at_y, np.full_like(at_x, rise)), tuple(part[some] for part in (field, east, north, up)))
            except np.linalg.LinAlgError:
                continue
            sx, sy, sz = (float(v) for v in solver.location_)
            error = math.sqrt(max(float(solver.covariance_[2, 2]), 0.0))
            inside = at_x.min() <= sx <= at_x.max() and at_y.min() <= sy <= at_y.max()
            if inside and 0.25 * dx < -sz <= 2 * (2 * half + 1) * dx and error <= KEPT * (rise - sz):
                reach = abs(j - top[0]) <= half and abs(i - top[1]) <= half
                found.append([sx + x0, sy + y0, -sz, error, float(solver.base_level_), float(reach)])
    return (np.array(found) if found else np.empty((0, 6))), tried


def _rim(known: Array, width: int) -> Array:
    """Nodes at least `width` from the edge of the map and from gaps."""
    from scipy.ndimage import binary_erosion

    return np.asarray(binary_erosion(known, np.ones((3, 3)), iterations=width, border_value=0))
