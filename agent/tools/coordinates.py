"""Coordinates from one reference system to another, by PROJ; and what lies in a window of the map.

Only horizontal coordinates change: heights keep their datum, and the result says which. Maps are interpolated onto a regular grid
in the new system; everything else keeps its points and order. A window is cut in the coordinates that the data have.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import Annotated, Any

import numpy as np

from moho.agent.registry import Cost, tool
from moho.columns import role
from moho.errors import Missing, Refusal
from moho.survey import UNKNOWN, Array, Catalogue, Data, Gather, Gravity, Grid, Magnetics, Seismic, Table, Well
from moho.units import Metres, Quantity, Unit, parse

EXAMPLES = "EPSG:4326 for degrees of WGS84, EPSG:32735 for UTM zone 35S"
CLOSED = 1e-3  # m, what a point may be off after going there and back
NODES = 25_000_000
EARTH = 6_371_008.8  # m


@dataclass(frozen=True)
class _Change:
    """Two reference systems and the way between them, easting or longitude first."""

    there: Any  # pyproj Transformer
    back: Any
    source: str
    target: str
    degrees: tuple[bool, bool]  # whether source and target are in degrees
    notes: tuple[str, ...]

    def points(self, east: Array, north: Array) -> tuple[Array, Array, float]:
        """Points in the new system and the largest error of going there and back, m; NaN stays NaN."""
        known = np.isfinite(east) & np.isfinite(north)
        if not known.any():
            raise Refusal("E_GEOMETRY", "no point has both coordinates.")
        x, y = np.full(len(east), np.nan), np.full(len(east), np.nan)
        x[known], y[known] = self.there.transform(east[known], north[known])
        lost = known & ~(np.isfinite(x) & np.isfinite(y))
        if lost.any():
            one = int(np.flatnonzero(lost)[0])
            example = f"{east[one]:.8g}, {north[one]:.8g} of {self.source}"
            said = f"{int(lost.sum())} of {int(known.sum())} points have no place in {self.target}, e.g. {example}."
            raise Refusal("E_GEOMETRY", said, "Is the source system right, and does the target cover the area?")
        again = self.back.transform(x[known], y[known])
        apart = [np.asarray(a) - b for a, b in zip(again, (east[known], north[known]), strict=True)]
        if self.degrees[0]:
            apart[0] = (apart[0] + 180.0) % 360.0 - 180.0
            apart = [np.radians(apart[0]) * EARTH * np.cos(np.radians(north[known])), np.radians(apart[1]) * EARTH]
        off = float(np.hypot(*apart).max())
        if off > CLOSED:
            said = f"going to {self.target} and back moves a point by {off:.3g} m; {1000 * CLOSED:g} mm are allowed."
            raise Refusal("E_GEOMETRY", said, "The points lie outside the area the target is made for.")
        return x, y, off


def system(written: str, what: str = "crs") -> Any:
    """The reference system as pyproj has it; ValueError where PROJ does not know it, Refusal where it is neither degrees nor metres."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    text = written.strip()
    if text.isdigit():
        text = f"EPSG:{text}"
    if text.upper().replace(" ", "") in ("WGS84", "WGS1984"):
        text = "EPSG:4326"
    try:
        found = CRS.from_user_input(text)
    except CRSError as error:
        raise ValueError(f"{what} {written!r} is no reference system that PROJ knows; write e.g. {EXAMPLES}") from error
    if not (found.is_geographic or found.is_projected):
        raise Refusal("E_GEOMETRY", f"{written} ({found.name}) is neither geographic nor projected.", f"Write e.g. {EXAMPLES}.")
    units = {axis.unit_name for axis in found.axis_info[:2]}
    if units - {"metre", "degree"}:
        raise Refusal("E_UNITS", f"{written} ({found.name}) is in {', '.join(sorted(units))}; metres or degrees are wanted.")
    return found


def _cost(data: Data, crs: str, source: str | None = None, spacing: float | None = None) -> Cost:
    size = data.values.size if isinstance(data, Grid) else 1e5
    return Cost(1 + 3e-6 * size, 200.0 * size)


@tool(
    discipline="any",
    stage="processing",
    cost=_cost,
    say=(
        "convert {data} to {crs}",
        "Reproject {data} from {source} to {crs}",
        "put the coordinates of {data} into {crs}",
        "transform {data} to UTM, {crs}",
        "coordinate conversion of {data} into {crs}, it is in {source}",
        "{data} into lat lon {crs} please",
        "change CRS of {data} to {crs}",
        "my stations {data} are in {source}, I need {crs}",
        "reproject the grid {data} to {crs} at {spacing}",
        "pls make {data} coordinates in metres, {crs}",
        "project {data} onto {crs}",
    ),
    reference="PROJ contributors 2024, PROJ coordinate transformation software; Snyder 1987, Map Projections: a working manual, USGS PP 1395",
    truth="there and back within 1 mm in four projections; on the central meridian of UTM, easting 500 km and scale 0.9996",
)
def crs_convert(
    data: Gravity | Magnetics | Grid | Seismic | Gather | Well | Table,
    crs: Annotated[str, "reference system wanted, e.g. EPSG:32735"],
    source: Annotated[str | None, "reference system the data are in"] = None,
    spacing: Annotated[Metres | None, "spacing of a map in metres"] = None,
) -> Data:
    """The data with horizontal coordinates in another reference system; heights keep their datum.

    Points go there and back within 1 mm or the call is refused. A map is interpolated (cubic) onto an even grid of the new
    system; a table gets two more columns. `source` is asked for where the data do not say it.
    """
    held = getattr(data, "crs", UNKNOWN)
    if source is not None and held != UNKNOWN and system(source, "source") != system(held):
        raise ValueError(f"the data say they are in {held}, not in {source}; leave source out")
    origin = source or (held if held != UNKNOWN else None)
    if origin is None:
        degrees = bool(getattr(data, "geographic", False))
        kind = "degrees: WGS84 (EPSG:4326), NAD27 (EPSG:4267), or another?" if degrees else "metres or in a table: UTM zone, national grid?"
        raise Missing("source", f"In which reference system are the coordinates of the data? They are in {kind} Systems lie up to 200 m apart.",
                      ("EPSG:4326",) if degrees else ())  # fmt: skip
    change = _change(origin, crs)
    if isinstance(data, Grid):
        return _grid(data, change, spacing)
    if isinstance(data, Table):
        return _table(data, change)
    if isinstance(data, (Gravity, Magnetics)):
        if data.geographic != change.degrees[0]:
            said = "degrees" if data.geographic else "metres"
            raise Refusal("E_GEOMETRY", f"the stations are in {said} and {change.source} is not.", "Name the system they are in.")
        x, y, off = change.points(*(np.asarray(axis, dtype=float) for axis in data.coordinates()))
        place: dict[str, Any] = dict.fromkeys(("longitude", "latitude", "x", "y"))
        place |= {"longitude": x, "latitude": y} if change.degrees[1] else {"x": x, "y": y}
        facts, notes = _words(change, x, y, off, len(x))
        if data.height is not None:
            notes.append(f"heights are untouched, in metres, datum: {data.datum}")
        return data.made(facts, tuple(notes), crs=change.target, **place)
    if change.degrees[1]:
        raise Refusal("E_GEOMETRY", f"a {type(data).__name__.lower()} keeps metres, and {crs} is in degrees.", "Choose a projected system, e.g. UTM.")
    if isinstance(data, Well):
        if data.x is None or data.y is None:
            raise Refusal("E_GEOMETRY", "the well has no coordinates.")
        x, y, off = change.points(np.array([data.x]), np.array([data.y]))
        facts, notes = _words(change, x, y, off, 1)
        notes.append(f"depths are untouched, reference {data.reference}")
        moved = data.track
        if moved is not None:
            east, north, _ = change.points(moved[:, 0], moved[:, 1])
            moved = np.column_stack([east, north, moved[:, 2:]])
        return data.made(facts, tuple(notes), x=float(x[0]), y=float(y[0]), crs=change.target, track=moved)
    pairs = (("x", "y"),) if isinstance(data, Seismic) else (("source_x", "source_y"), ("receiver_x", "receiver_y"))
    changes: dict[str, Array] = {}
    worst, first = 0.0, None
    for names in pairs:
        east, north = (getattr(data, name) for name in names)
        if east is None or north is None:
            continue
        x, y, off = change.points(np.asarray(east, dtype=float), np.asarray(north, dtype=float))
        changes |= dict(zip(names, (x, y), strict=True))
        worst, first = max(worst, off), first or (x, y)
    if first is None:
        raise Refusal("E_GEOMETRY", f"the {type(data).__name__.lower()} has no coordinates.", "segy_geometry says what its headers hold.")
    facts, notes = _words(change, *first, worst, len(data.data))
    return data.made(facts, tuple(notes), crs=change.target, **changes)


def _change(origin: str, target: str) -> _Change:
    """The most accurate way that needs no files from the network."""
    import warnings

    from pyproj import Transformer
    from pyproj.transformer import TransformerGroup

    a, b = system(origin, "source"), system(target)
    if a == b:
        raise ValueError(f"the data are in {origin} already")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the best way is not at hand is said in the notes
        group = TransformerGroup(a, b, always_xy=True)
    if not group.transformers:
        raise Refusal("E_GEOMETRY", f"PROJ knows no way from {origin} to {target}.")
    there, back = Transformer.from_crs(a, b, always_xy=True), Transformer.from_crs(b, a, always_xy=True)
    notes = [f"from {a.name} ({_code(a, origin)}) to {b.name} ({_code(b, target)})"]
    datums = a.geodetic_crs.datum, b.geodetic_crs.datum
    if datums[0] == datums[1]:
        notes.append(f"same datum ({datums[0].name}): an exact change of projection")
    else:
        best = group.transformers[0].accuracy
        said = f"about {best:g} m" if best >= 0 else "unknown, a ballpark shift"
        notes.append(f"datum {datums[0].name} to {datums[1].name}: accuracy {said}")
        if not group.best_available:
            notes.append("a more accurate way needs a grid file that is not installed")
    return _Change(there, back, _code(a, origin), _code(b, target), (bool(a.is_geographic), bool(b.is_geographic)), tuple(notes))


def _code(found: Any, written: str) -> str:
    authority = found.to_authority(min_confidence=100)
    return ":".join(authority) if authority else written.strip()


def _words(change: _Change, x: Array, y: Array, off: float, count: int) -> tuple[dict[str, Quantity], list[str]]:
    unit = "deg" if change.degrees[1] else "m"
    names = ("longitude", "latitude") if change.degrees[1] else ("easting", "northing")
    facts = {
        "points": Quantity(int(count), "", "points"),
        "east": Quantity([float(np.nanmin(x)), float(np.nanmax(x))], unit, f"{names[0]} range"),
        "north": Quantity([float(np.nanmin(y)), float(np.nanmax(y))], unit, f"{names[1]} range"),
        "round_trip": Quantity(1000 * off, "mm", "largest error of going there and back"),
        "crs": Quantity(change.target, "", "coordinate reference system"),
    }
    notes = list(change.notes)
    if not change.degrees[1]:
        from pyproj import CRS, Proj, Transformer

        wanted = CRS.from_user_input(change.target)
        spot = Transformer.from_crs(wanted, wanted.geodetic_crs, always_xy=True).transform(float(np.nanmean(x)), float(np.nanmean(y)))
        factors = Proj(wanted).get_factors(*spot)
        facts["convergence"] = Quantity(float(factors.meridian_convergence), "deg", "grid north east of true north, in the middle")
        facts["scale_factor"] = Quantity(float(math.sqrt(factors.areal_scale)), "", "scale factor in the middle")
        area = wanted.area_of_use
        if area is not None and x.shape == y.shape:
            known = np.isfinite(x) & np.isfinite(y)
            spots = Transformer.from_crs(wanted, wanted.geodetic_crs, always_xy=True).transform(x[known], y[known])
            if out := int((~_within(np.asarray(spots[0]), np.asarray(spots[1]), area)).sum()):
                made = f"the area {change.target} is made for ({area.name})"
                notes.append(f"{out} of {int(known.sum())} points lie outside {made}: lengths are off there")
        if abs(factors.areal_scale - 1) > 0.01:
            notes.append(f"lengths are off by {100 * (math.sqrt(factors.areal_scale) - 1):.2g} % in this projection")
    return facts, notes


def _within(longitude: Array, latitude: Array, area: Any) -> Array:
    """(point,) whether it lies in the area of use, a degree of grace around it."""
    east = (longitude - (area.west - 1)) % 360 <= (area.east - area.west) % 360 + 2
    return np.asarray((east | (area.east - area.west >= 360)) & (latitude >= area.south - 1) & (latitude <= area.north + 1))


def _grid(data: Grid, change: _Change, spacing: float | None) -> Grid:
    """The map on an even grid of the new system, about as fine; nodes outside the old one are empty."""
    from scipy.interpolate import RectBivariateSpline, RegularGridInterpolator

    if data.geographic != change.degrees[0]:
        raise Refusal("E_GEOMETRY", f"the map is in {'degrees' if data.geographic else 'metres'} and {change.source} is not.", "Name its system.")
    if min(data.values.shape) < 4:
        raise Refusal("E_DATA", f"a map of {data.values.shape} nodes is too small for cubic interpolation.")
    rows, columns = data.values.shape
    rim = np.concatenate([
        np.column_stack([data.x, np.full(columns, side)]) for side in (data.y[0], data.y[-1])
    ] + [np.column_stack([np.full(rows, side), data.y]) for side in (data.x[0], data.x[-1])])  # fmt: skip
    x, y, off = change.points(rim[:, 0], rim[:, 1])
    if change.degrees[1]:
        if spacing is not None:
            raise ValueError("spacing is in metres and the new map is in degrees: leave it out")
        if float(np.ptp(x)) > 180:
            raise Refusal("E_GEOMETRY", "the map lies across the 180th meridian, where degrees jump.")
        step = math.sqrt(float(np.ptp(x) * np.ptp(y)) / (rows * columns))
    else:
        step = spacing or math.sqrt(float(np.ptp(x) * np.ptp(y)) / (rows * columns))
    step = float(f"{step:.3g}")
    east = step * np.arange(math.ceil(x.min() / step - 1e-9), math.floor(x.max() / step + 1e-9) + 1)
    north = step * np.arange(math.ceil(y.min() / step - 1e-9), math.floor(y.max() / step + 1e-9) + 1)
    if len(east) * len(north) > NODES:
        raise Refusal("E_LIMIT", f"a spacing of {step:g} makes {len(east) * len(north) / 1e6:.4g} million nodes; {NODES / 1e6:g} are allowed.")
    if min(len(east), len(north)) < 2:
        raise ValueError(f"a spacing of {step:g} leaves fewer than two nodes across the map")
    at_x, at_y = np.meshgrid(east, north)
    old_x, old_y = (np.asarray(part) for part in change.back.transform(at_x, at_y))
    known = np.isfinite(data.values)
    filled = data.values
    if not known.all():
        from scipy.ndimage import distance_transform_edt

        nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
        filled = data.values[tuple(nearest)]
    inside = (old_x >= data.x[0]) & (old_x <= data.x[-1]) & (old_y >= data.y[0]) & (old_y <= data.y[-1])
    hole = RegularGridInterpolator((data.y, data.x), (~known).astype(float), bounds_error=False, fill_value=1.0)
    inside[inside] = hole(np.column_stack([old_y[inside], old_x[inside]])) <= 0.5
    values = np.full(at_x.shape, np.nan)
    values[inside] = RectBivariateSpline(data.y, data.x, filled).ev(old_y[inside], old_x[inside])
    if not np.isfinite(values).any():
        raise Refusal("E_GEOMETRY", "no node of the new grid lies within the map.")
    facts, notes = _words(change, east, north, off, int(values.size))
    before, after = (float(np.nanstd(v)) for v in (data.values, values))
    facts |= {
        "spacing": Quantity(step, "deg" if change.degrees[1] else "m", "grid spacing"),
        "deviation": Quantity([before, after], data.unit, "standard deviation before and after"),
    }
    notes.append(f"cubic splines onto an even grid; {100 * float(np.isnan(values).mean()):.1f} % of its nodes lie outside the old map")
    if data.height is not None:
        notes.append(f"the height of the survey surface, {data.height:.4g} m, is untouched; its datum is as before")
    if data.unit == "m" and "topography" in data.quantity:
        notes.append("heights of the topography keep their vertical datum")
    spots = None
    if data.stations is not None:
        spots = np.column_stack(change.points(data.stations[:, 0], data.stations[:, 1])[:2])
    return data.made(
        facts, tuple(notes), values=values, x=east, y=north, crs=change.target, geographic=change.degrees[1], stations=spots
    )


def _table(data: Table, change: _Change) -> Table:
    """The table with two more columns, from the only pair of coordinate columns."""
    pairs = [("longitude", "latitude")] if change.degrees[0] else [("east", "north")]
    named = {wanted: [name for name in data.columns if role(name).role == wanted] for wanted in pairs[0]}
    if any(len(hits) != 1 for hits in named.values()):
        asked = f"Which columns are {pairs[0][0]} and {pairs[0][1]}? The table has {', '.join(data.columns)}."
        raise Missing("data", f"{asked} assign_columns names them.")
    first, second = (named[wanted][0] for wanted in pairs[0])
    columns = [data.columns[name] for name in (first, second)]
    if not all(np.issubdtype(column.dtype, np.number) for column in columns):
        raise Refusal("E_GEOMETRY", f"{first} and {second} hold text, not coordinates.")
    units = [role(name).unit or "m" for name in (first, second)]
    if not change.degrees[0] and units != ["m", "m"]:
        raise Refusal("E_UNITS", f"{first} and {second} are in {' and '.join(units)}; metres are wanted.")
    x, y, off = change.points(*(np.asarray(column, dtype=float) for column in columns))
    code = change.target.replace(":", "_").lower() if ":" in change.target else "new"
    names = [f"{axis}_{code}" for axis in (("longitude", "latitude") if change.degrees[1] else ("easting", "northing"))]
    facts, notes = _words(change, x, y, off, len(x))
    notes.append(f"{first} and {second} are kept; {names[0]} and {names[1]} are new; all other columns, heights too, are untouched")
    return data.made(facts, tuple(notes), columns={**data.columns, **dict(zip(names, (x, y), strict=True))})


# Windows --------------------------------------------------------------------------------------------------------------


SIDES = {"west": ("w", -1.0), "east": ("e", 1.0), "south": ("s", -1.0), "north": ("n", 1.0)}


@tool(
    discipline="any",
    stage="processing",
    say=(
        "crop {data} to {west} to {east} and {south} to {north}",
        "Cut {data} to the window west {west}, east {east}, south {south}, north {north}",
        "keep only the part of {data} between {west} and {east}, {south} and {north}",
        "subset {data}: x {west}..{east}, y {south}..{north}",
        "window the map {data}, easting {west} to {east}, northing {south} to {north}",
        "clip {data} to W{west} E{east} S{south} N{north} pls",
        "I only want the stations of {data} inside {west}/{east}/{south}/{north}",
        "cut out the area from {west} to {east} longitude and {south} to {north} latitude of {data}",
        "events of {data} within {west} {east} {south} {north} only",
        "throw away everything of {data} south of {south}",
        "zoom {data} on the anomaly, {west} to {east} by {south} to {north}, and drop the rest",
        "please to take from {data} only region {west}, {east}, {south}, {north}",
    ),
    reference="Wessel et al. 2019, The Generic Mapping Tools version 6, Geochemistry Geophysics Geosystems 20 (regions west/east/south/north)",
    truth="of a lattice of 12 by 12 stations 100 m apart a window of 250 to 750 m keeps 5 by 5 with their values; the 180th meridian is no border",
)
def crop_map(
    data: Gravity | Magnetics | Grid | Catalogue,
    west: Annotated[str | None, "western border in the coordinates of the data, m or deg"] = None,
    east: Annotated[str | None, "eastern border"] = None,
    south: Annotated[str | None, "southern border"] = None,
    north: Annotated[str | None, "northern border"] = None,
) -> Gravity | Magnetics | Grid | Catalogue:
    """The stations, nodes or events inside a window of the map, borders included; a side left out is open.

    The window is in the data's own coordinates, degrees or metres ("26", "26 E", "27 S", "415 km"). In degrees a window may cross
    the 180th meridian, and longitudes of 0 to 360 and of -180 to 180 are the same. Values, heights and order are untouched.
    """
    degrees = isinstance(data, Catalogue) or bool(data.geographic)
    borders = {name: _border(name, written, degrees) for name, written in (("west", west), ("east", east), ("south", south), ("north", north))}
    if all(border is None for border in borders.values()):
        asked = "Which window: its western, eastern, southern and northern borders, in the coordinates of the data?"
        raise Missing("west", f"{asked} {_extent(data, degrees)}", also=("east", "south", "north"))
    x, y = (data.longitude, data.latitude) if isinstance(data, Catalogue) else (data.x, data.y) if isinstance(data, Grid) else data.coordinates()
    inside_x = _between(x, borders["west"], borders["east"], ("west", "east"), degrees, data)
    inside_y = _between(y, borders["south"], borders["north"], ("south", "north"), False, data)
    if isinstance(data, Grid):
        return _cropped(data, inside_x, inside_y, borders, degrees)
    keep = inside_x & inside_y
    what = "events" if isinstance(data, Catalogue) else "stations"
    if not keep.any():
        raise Refusal("E_GEOMETRY", f"none of the {len(keep)} {what} lies in the window {_window(borders, degrees)}.", _extent(data, degrees))
    held = {field.name: getattr(data, field.name) for field in fields(data)}
    changes: dict[str, Any] = {name: array[keep] for name, array in held.items() if isinstance(array, np.ndarray) and len(array) == len(keep)}
    result = data.made(**changes)
    facts = {
        "kept": Quantity(int(keep.sum()), "", f"{what} kept"),
        "before": Quantity(len(keep), "", f"{what} before"),
    } | _sides(x[keep], y[keep], degrees) | result.summary()  # fmt: skip
    notes = [f"window {_window(borders, degrees)}, borders included: {int(keep.sum())} of {len(keep)} {what}"]
    if lost := int((~(np.isfinite(x) & np.isfinite(y))).sum()):
        notes.append(f"{lost} {what} without coordinates are not in it")
    return result.made(facts, (*notes, *_beyond(x, y, borders)))


def _border(name: str, written: str | float | None, degrees: bool) -> float | None:
    """One side in m or degrees; "27 S" is -27. ValueError where it is neither, or a letter of another side."""
    if written is None:
        return None
    unit = Unit("deg" if degrees else "m")
    if not isinstance(written, str):
        return parse(written, unit, name)
    text, sign = written.strip(), 1.0
    if match := re.fullmatch(r"(.*?)\s*(?:\u00b0|deg(?:rees?)?)?\s*([NSEWnsew])(?:ast|est|outh|orth)?", text):
        if not degrees:
            raise ValueError(f"{name}: {written!r} is a longitude or latitude and these data are in metres; crs_convert turns one into the other")
        letters = "ew" if name in ("west", "east") else "ns"
        if match[2].lower() not in letters:
            raise ValueError(f"{name} wants {' or '.join(letters.upper())} behind its degrees, got {written!r}")
        text, sign = match[1], dict(SIDES.values())[match[2].lower()]
    value = parse(text, unit, name)
    return sign * abs(value) if sign < 0 else value


def _between(values: Array, low: float | None, high: float | None, names: tuple[str, str], turn: bool, data: Any) -> Array:
    """(point,) whether it lies from `low` to `high`; `turn`: they are longitudes. Refusal where the borders are the wrong way round."""
    degrees = isinstance(data, Catalogue) or bool(data.geographic)
    if low is not None and high is not None and not low < high and not (turn and low != high and (high - low) % 360 <= 180):
        said = f"the window is reversed: {names[0]} {low:.10g} is not below {names[1]} {high:.10g}."
        raise Refusal("E_GEOMETRY", said, _extent(data, degrees))
    if turn and low is not None and high is not None and high - low < 360:
        return np.asarray((values - low) % 360 <= (high - low) % 360)
    bottom, top = -np.inf if low is None else low, np.inf if high is None else high
    return np.asarray((values >= bottom) & (values <= top))


def _cropped(data: Grid, inside_x: Array, inside_y: Array, borders: dict[str, float | None], degrees: bool) -> Grid:
    """The nodes inside, which must be one block of at least two by two with a value."""
    columns, rows = np.flatnonzero(inside_x), np.flatnonzero(inside_y)
    if min(len(columns), len(rows)) < 2:
        said = f"the window {_window(borders, degrees)} holds {len(columns)} columns and {len(rows)} rows of the map; two of each are needed."
        raise Refusal("E_GEOMETRY", said, _extent(data, degrees))
    if columns[-1] - columns[0] + 1 != len(columns):
        raise Refusal("E_GEOMETRY", f"the window {_window(borders, degrees)} takes both ends of the map and not its middle.", _extent(data, degrees))
    values = data.values[np.ix_(rows, columns)].copy()
    if not np.isfinite(values).any():
        raise Refusal("E_GEOMETRY", f"the map is empty in the window {_window(borders, degrees)}.", _extent(data, degrees))
    x, y = data.x[columns].copy(), data.y[rows].copy()
    spots = data.stations
    if spots is not None:
        within = (spots[:, 0] >= x[0]) & (spots[:, 0] <= x[-1]) & (spots[:, 1] >= y[0]) & (spots[:, 1] <= y[-1])
        spots = spots[within].copy()
    result = data.made(values=values, x=x, y=y, stations=spots)
    facts = {
        "kept": Quantity(int(values.size), "", "nodes kept"),
        "before": Quantity(int(data.values.size), "", "nodes before"),
    } | _sides(x, y, degrees) | result.summary()  # fmt: skip
    note = f"window {_window(borders, degrees)}, borders included: {len(rows)} of {len(data.y)} rows, {len(columns)} of {len(data.x)} columns"
    return result.made(facts, (note, *_beyond(data.x, data.y, borders)))


def _sides(x: Array, y: Array, degrees: bool) -> dict[str, Quantity]:
    unit, names = ("deg", ("longitude", "latitude")) if degrees else ("m", ("easting", "northing"))
    ends = [[float(np.nanmin(axis)), float(np.nanmax(axis))] for axis in (x, y)]
    return {"east": Quantity(ends[0], unit, f"{names[0]} range"), "north": Quantity(ends[1], unit, f"{names[1]} range")}


def _window(borders: dict[str, float | None], degrees: bool) -> str:
    unit = "deg" if degrees else "m"
    return ", ".join(f"{name} {border:.10g} {unit}" for name, border in borders.items() if border is not None)


def _extent(data: Any, degrees: bool) -> str:
    """Where the data are, for a person who has to choose a window."""
    x, y = (data.x, data.y) if isinstance(data, Grid) else (data.longitude, data.latitude) if degrees else (data.x, data.y)
    names, unit = (("longitude", "latitude"), "deg") if degrees else (("easting", "northing"), "m")
    spans = [f"{name} {np.nanmin(axis):.10g} to {np.nanmax(axis):.10g}" for name, axis in zip(names, (x, y), strict=True)]
    return f"The data lie at {spans[0]} and {spans[1]} {unit}."


def _beyond(x: Array, y: Array, borders: dict[str, float | None]) -> list[str]:
    """A note on sides that reach beyond the data, where nothing was cut."""
    ends = {"west": np.nanmin(x), "east": np.nanmax(x), "south": np.nanmin(y), "north": np.nanmax(y)}
    open_ = [name for name, border in borders.items() if border is not None and SIDES[name][1] * (border - ends[name]) > 0]
    return [f"the window reaches beyond the data on the {', '.join(open_)}: nothing was cut there"] if open_ else []
