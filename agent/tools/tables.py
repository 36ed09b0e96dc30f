"""Looking at tables, stations, catalogues and grids, and giving the columns of a table their roles.

Reading is in `moho.tables` and `moho.grids`; what names of columns usually mean is in `moho.columns`.
"""

from __future__ import annotations

import re
from functools import singledispatch
from typing import Any, Literal

import numpy as np

from moho.agent.registry import tool
from moho.columns import FACTORS, GRAVITY, check_anomaly, check_values, per_foot, role
from moho.errors import Missing, Refusal
from moho.survey import UNKNOWN, Array, Catalogue, Data, Gravity, Grid, Magnetics, Picks, Report, Table
from moho.units import Quantity, convert

SHOWN = 40  # columns measured one by one
FEW = 30  # different values, at most, of a column that is a category
EARTH = 6_371_008.8  # m, mean radius


@tool(
    discipline="any",
    stage="inspect",
    say=(
        "what is in {table}?",
        "describe {table}",
        "Inspect {table}",
        "show me the columns and units of {table}",
        "how many rows and missing values has {table}",
        "how many stations are in {table} and what area do they cover?",
        "basic statistics of {table} please",
        "give mean, min and max of every column of {table}",
        "quick look at {table}",
        "station spacing and extent of {table}?",
        "which wells and facies are there in {table}, and which is most common?",
        "check {table} for gaps",
    ),
    reference="Tukey 1977, Exploratory Data Analysis",
    truth="southern Africa: 14359 stations, 34 repeated; Hugoton: 4149 rows, mean GR 64.934, 917 missing PE",
)
def table_inspect(table: Table | Gravity | Magnetics | Catalogue | Picks | Grid) -> Report:
    """Counts, ranges, missing values and, for stations and maps, extent, spacing, units and CRS.

    Facts of a column are called by its name with blanks as underscores: GR_mean, PE_missing, Facies_top, Facies_top_share.
    """
    facts, notes = _measure(table)
    return Report(title=table.title or type(table).__name__, facts={**table.summary(), **facts}, notes=(*notes, *table.notes))


@tool(
    discipline="any",
    stage="processing",
    say=(
        "in {table}, {value} is {quantity}, coordinates are {east} and {north}",
        "use columns {east} {north} {value} of {table} as {quantity} in {unit}",
        "assign columns of {table}: east {east}, north {north}, height {height}, value {value} ({quantity}, {unit})",
        "make gravity stations from {table} with {value} as {quantity}",
        "column {value} of {table} holds the {quantity}, {east}/{north} are in {crs}",
        "treat {table} as magnetic data: {value} in {unit}, x {east}, y {north}",
        "{table}: lon={east} lat={north} elev={height} g={value}, {quantity}",
        "tell moho that {value} means {quantity}, positions {east}, {north}",
        "turn the table {table} into stations, {quantity} from {value}, units {unit}, crs {crs}",
        "please set the columns: {value} for {quantity}, {east} for x and {north} for y, {height} for height",
    ),
    reference="EPSG Geodetic Parameter Dataset; units by pint",
    truth="feet, m/s2 and gravity units become metres and mGal: 100 ft is 30.48 m, 9.796 m/s2 is 979600 mGal",
)
def assign_columns(
    table: Table,
    quantity: Literal[
        "observed gravity",
        "gravity disturbance",
        "free-air anomaly",
        "Bouguer disturbance",
        "Bouguer anomaly",
        "total field",
        "total field anomaly",
    ],
    value: str,
    east: str,
    north: str,
    height: str | None = None,
    unit: str | None = None,
    crs: str | None = None,
) -> Gravity | Magnetics:
    """Stations from the columns named: gravity in mGal or magnetic field in nT, with coordinates in degrees or metres.

    Unit and kind of coordinates come from `unit` and `crs`, else from the columns' names where these leave no doubt; otherwise
    they are asked for. Heights are metres, positive up.
    """
    names = [_column(table, name) for name in (value, east, north)]
    values, easting, northing = (_numbers(table, name) for name in names)
    notes = [f"{names[0]} is the {quantity}; {names[1]} and {names[2]} are the coordinates"]
    house = "mGal" if quantity in GRAVITY else "nT"
    stated = unit or role(names[0]).unit
    if not stated:
        others = ("mGal", "gu", "m/s2", "uGal") if house == "mGal" else ("nT", "uT")
        raise Missing("unit", f"In which unit is {names[0]}: {', '.join(others)}?", others)
    if stated != house:
        values = np.asarray(convert(values, stated, house))
        notes.append(f"{names[0]} converted from {stated} to {house}")
    place, said = _place(easting, northing, names[1], names[2], crs)
    notes += said
    up, datum = None, UNKNOWN
    if height is not None:
        name = _column(table, height)
        up = _numbers(table, name)
        if (given := role(name).unit) and given != "m":
            up = np.asarray(convert(up, given, "m"))
            notes.append(f"{name} converted from {given} to m")
        elif not given:
            notes.append(f"{name} is taken to be in metres, positive up")
        datum = _datum(name)
        notes.append(f"datum of the heights: {datum}")
    good = np.isfinite(values) & np.isfinite(easting) & np.isfinite(northing)
    if not good.any():
        raise Refusal("E_DATA", f"no row of {len(good)} has {names[0]}, {names[1]} and {names[2]} together.")
    if not good.all():
        notes.append(f"{int((~good).sum())} of {len(good)} rows without value or coordinates were left out")
    check_anomaly(values, quantity, stated, names[0], "with the argument unit, e.g. unit uGal")
    _believable(values[good], quantity, house, stated)
    check_values(values, quantity, house, names[0])  # its rows are those of the table
    values, place = values[good], {key: array[good] if isinstance(array, np.ndarray) else array for key, array in place.items()}
    up = None if up is None else up[good]
    if up is not None and (lost := int(np.isnan(up).sum())):
        notes.append(f"{lost} stations have no height")
    if quantity == "observed gravity" and up is not None and "latitude" in place and (slope := per_foot(values, place["latitude"], up)) is not None:
        said_ = f"gravity changes by {slope:.3f} mGal a unit of {height}, as it does a foot (a metre: -0.19 to -0.31)"
        if not role(_column(table, str(height))).unit:
            raise Refusal("E_UNITS", f"{said_}: the heights look like feet and their unit is not stated.", "Name the column, e.g. height (ft).")
        notes.append(f"check the heights: {said_}")
    spots = np.column_stack([easting[good], northing[good]])
    if copies := len(spots) - len(np.unique(spots, axis=0)):
        notes.append(f"{copies} stations lie on the same spot as another; gridding averages them")
    if "Bouguer" in quantity:
        notes.append("the density of the Bouguer correction is not stated")
    kind = Gravity if house == "mGal" else Magnetics
    made = kind(title=table.title, value=values, quantity=quantity, height=up, datum=datum, **place)
    return made.made(made.summary(), tuple(notes))


# Measures -------------------------------------------------------------------------------------------------------------


@singledispatch
def _measure(data: Data) -> tuple[dict[str, Quantity], list[str]]:
    """Facts beyond the summary, and notes."""
    return {}, []


@_measure.register
def _(data: Table) -> tuple[dict[str, Quantity], list[str]]:
    facts: dict[str, Quantity] = {}
    empty = []
    for name, column in list(data.columns.items())[:SHOWN]:
        key, seen = re.sub(r"\W+", "_", name).strip("_"), role(name)
        unit = seen.unit if seen.role or name.rstrip().endswith((")", "]")) else ""  # NM_M is no length
        if np.issubdtype(column.dtype, np.number):
            known = column[np.isfinite(column)]
            facts[f"{key}_missing"] = Quantity(int(len(column) - len(known)), "", f"rows without {name}")
            if not len(known):
                empty.append(name)
                continue
            counted = bool(np.all(known == np.round(known))) and len(np.unique(known)) <= min(FEW, 0.1 * len(known))
            if not counted:  # the mean of a category says nothing
                facts[f"{key}_mean"] = Quantity(float(known.mean()), unit, f"mean {name}")
            facts[f"{key}_range"] = Quantity([float(known.min()), float(known.max())], unit, f"{name} range")
        else:
            known = np.array([text for text in column.tolist() if str(text).strip()])
            facts[f"{key}_missing"] = Quantity(int(len(column) - len(known)), "", f"rows without {name}")
            if not len(known):
                empty.append(name)
                continue
            counted = True
        if not counted:
            continue
        kinds, counts = np.unique(known, return_counts=True)
        text = not np.issubdtype(known.dtype, np.number)
        facts[f"{key}_distinct"] = Quantity(len(kinds), "", f"different values of {name}")
        if len(kinds) <= max(FEW, 0.1 * len(known)):
            top = kinds[int(counts.argmax())]
            facts[f"{key}_top"] = Quantity(str(top) if text else int(top), "", f"most common {name}")
            facts[f"{key}_top_share"] = Quantity(round(float(counts.max() / len(column)), 6), "", f"share of the most common {name}")
    notes = [f"{len(data.columns) - SHOWN} further columns were not measured"] if len(data.columns) > SHOWN else []
    if empty:
        notes.append(f"empty columns: {', '.join(empty)}")
    return facts, notes


@_measure.register(Gravity)
@_measure.register(Magnetics)
def _(data: Gravity | Magnetics) -> tuple[dict[str, Quantity], list[str]]:
    east, north = data.coordinates()
    length = "deg" if data.geographic else "m"
    facts = {
        "unit": Quantity("mGal" if isinstance(data, Gravity) else "nT", "", "unit of the values"),
        "quantity": Quantity(data.quantity, "", "quantity"),
        "missing": Quantity(int(np.sum(~np.isfinite(data.value))), "", "stations without value"),
        "east": _span(east, length, "longitude range" if data.geographic else "easting range"),
        "north": _span(north, length, "latitude range" if data.geographic else "northing range"),
        "crs": Quantity(data.crs, "", "coordinate reference system"),
    }
    nearest, copies = _nearest(data)
    notes = []
    if len(nearest):
        facts["station_spacing"] = Quantity(float(np.median(nearest)), "m", "median distance to the nearest other station")
    if copies:
        facts["repeated"] = Quantity(copies, "", "stations on the same spot as another")
    if data.height is None:
        notes.append("no station heights")
    else:
        facts["height"] = _span(data.height, "m", "height range")
        facts["datum"] = Quantity(data.datum, "", "datum of the heights")
    if data.line is not None:
        facts["lines"] = Quantity(len(np.unique(data.line)), "", "lines")
    return facts, notes


@_measure.register
def _(data: Grid) -> tuple[dict[str, Quantity], list[str]]:
    length = "deg" if data.geographic else "m"
    facts = {
        "unit": Quantity(data.unit, "", "unit of the values"),
        "quantity": Quantity(data.quantity, "", "quantity"),
        "east": _span(data.x, length, "longitude range" if data.geographic else "easting range"),
        "north": _span(data.y, length, "latitude range" if data.geographic else "northing range"),
        "empty": Quantity(round(100 * float(np.mean(~np.isfinite(data.values))), 3), "%", "share of empty nodes"),
        "crs": Quantity(data.crs, "", "coordinate reference system"),
    }
    if np.isfinite(data.values).any():
        for name, at in (("largest", np.nanargmax(data.values)), ("smallest", np.nanargmin(data.values))):
            row, column = np.unravel_index(int(at), data.values.shape)
            facts[name] = Quantity([float(data.x[column]), float(data.y[row])], length, f"where the {name} value is")
    if data.height is not None:
        facts["height"] = Quantity(float(data.height), "m", "height of the observation surface")
    return facts, []


@_measure.register
def _(data: Catalogue) -> tuple[dict[str, Quantity], list[str]]:
    times = sorted(str(time) for time in data.time)
    facts = {
        "first": Quantity(times[0], "UTC", "first event"),
        "last": Quantity(times[-1], "UTC", "last event"),
        "latitude": _span(data.latitude, "deg", "latitude range"),
        "longitude": _span(data.longitude, "deg", "longitude range"),
        "magnitude_missing": Quantity(int(np.sum(~np.isfinite(data.magnitude))), "", "events without magnitude"),
    }
    if np.isfinite(data.magnitude).any():
        largest = int(np.nanargmax(data.magnitude))
        facts["largest"] = Quantity(float(data.magnitude[largest]), str(data.magnitude_type[largest]), "largest magnitude")
        facts["largest_time"] = Quantity(str(data.time[largest]), "UTC", "time of the largest event")
    return facts, []


@_measure.register
def _(data: Picks) -> tuple[dict[str, Quantity], list[str]]:
    facts = {
        "origin": Quantity(data.origin, "UTC", "zero of the times"),
        "time": _span(data.time, "s", "pick times after the zero"),
        "uncertainty": Quantity(float(np.nanmedian(data.uncertainty)), "s", "median uncertainty"),
    }
    return facts, ([] if data.latitude is not None else ["no station coordinates"])


def _span(values: Array, unit: str, label: str) -> Quantity:
    known = values[np.isfinite(values)]
    return Quantity([float(known.min()), float(known.max())] if len(known) else "none", unit, label)


def _nearest(data: Gravity | Magnetics) -> tuple[Array, int]:
    """(place,) m from each place to the nearest other one, and how many stations repeat a place."""
    from scipy.spatial import KDTree

    east, north = data.coordinates()
    known = np.isfinite(east) & np.isfinite(north)
    spots = np.unique(np.column_stack([east[known], north[known]]), axis=0)
    copies = int(known.sum() - len(spots))
    if len(spots) < 2:
        return np.empty(0), copies
    if data.geographic:
        lon, lat = np.radians(spots).T
        points = EARTH * np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    else:
        points = spots
    distance, _ = KDTree(points).query(points, k=2)
    return np.asarray(distance[:, 1]), copies


# Roles ----------------------------------------------------------------------------------------------------------------


def _column(table: Table, written: str) -> str:
    """The name of the column meant; ValueError lists the columns."""
    folded = {name.casefold().strip(): name for name in table.columns}
    if (found := folded.get(written.casefold().strip())) is None:
        raise ValueError(f"there is no column {written!r}; the table has {', '.join(table.columns)}")
    return found


def _numbers(table: Table, name: str) -> Array:
    column = table.columns[name]
    if not np.issubdtype(column.dtype, np.number):
        numeric = [other for other, values in table.columns.items() if np.issubdtype(values.dtype, np.number)]
        raise ValueError(f"column {name} holds text, e.g. {str(column[0])!r}; columns of numbers are {', '.join(numeric) or 'none'}")
    return np.asarray(column, dtype=float)


def _place(east: Array, north: Array, east_name: str, north_name: str, crs: str | None) -> tuple[dict[str, Any], list[str]]:
    """Coordinates as the fields of stations, degrees or metres, and how that was decided."""
    roles = role(east_name), role(north_name)
    if roles[0].role in ("latitude", "north") and roles[1].role in ("longitude", "east"):
        raise ValueError(f"{east_name} looks like the northing and {north_name} like the easting: are they swapped?")
    known = np.isfinite(east) & np.isfinite(north)
    if not known.any():
        raise Refusal("E_GEOMETRY", f"{east_name} and {north_name} hold no coordinates.")
    if np.ptp(east[known]) == 0 and np.ptp(north[known]) == 0 and known.sum() > 1:
        raise Refusal("E_GEOMETRY", f"all {int(known.sum())} stations have the same coordinates, {east[known][0]:g} and {north[known][0]:g}.")
    far = float(np.abs(east[known]).max()), float(np.abs(north[known]).max())
    fits_degrees = far[0] <= 360 and far[1] <= 90
    units = {found.unit for found in roles if found.unit}
    if crs is not None:
        from pyproj import CRS
        from pyproj.exceptions import CRSError

        try:
            system = CRS.from_user_input(crs)
        except CRSError as error:
            raise ValueError(f"{crs!r} is no coordinate reference system that PROJ knows; EPSG:4326 and EPSG:32735 are examples") from error
        degrees, said = system.is_geographic, f"coordinates in {crs} ({system.name})"
        axes = {axis.unit_name for axis in system.axis_info}
        if not degrees and axes - {"metre"}:
            raise Refusal("E_UNITS", f"{crs} is in {', '.join(sorted(axes))}; metres are wanted.", "Convert the coordinates first.")
    elif roles[0].role == "longitude" and roles[1].role == "latitude":
        degrees, said = True, "coordinates in degrees, as the columns' names say; their geodetic datum is not stated"
    elif units & {"m", "km", "ft"} or not fits_degrees:
        degrees, said = False, f"coordinates in {', '.join(sorted(units)) or 'metres, being too large for degrees'}; no CRS stated"
    elif units == {"deg"}:
        degrees, said = True, "coordinates in degrees, as the columns' names say"
    else:
        asked = f"{east_name} and {north_name} could be degrees or metres. Which CRS are they in, e.g. EPSG:4326 for degrees?"
        raise Missing("crs", asked, ("EPSG:4326",))
    if degrees:
        if not fits_degrees:
            raise Refusal("E_GEOMETRY", f"{east_name} reaches {far[0]:g} and {north_name} {far[1]:g}: not degrees of longitude and latitude.")
        return {"longitude": east, "latitude": north, "crs": crs or UNKNOWN}, [said]
    scale = [1.0 if found.unit in ("", "m") else float(convert(1.0, found.unit, "m")) for found in roles]
    return {"x": east * scale[0], "y": north * scale[1], "crs": crs or UNKNOWN}, [said]


def _datum(name: str) -> str:
    """What the name of a height column says of its datum."""
    words = name.casefold().replace("_", " ")
    if any(word in words for word in ("sea level", "msl", "orthometric", "geoid")):
        return "geoid"
    return "ellipsoidal WGS84" if "ellips" in words or "wgs84" in words else UNKNOWN


def _believable(values: Array, quantity: str, house: str, stated: str) -> None:
    """Refusal where the values cannot be this quantity on the Earth."""
    middle = float(np.median(values))
    limits = {"observed gravity": (9.70e5, 9.90e5), "total field": (1.5e4, 8e4)}.get(quantity, (-2e4, 2e4) if house == "nT" else (-1500.0, 1500.0))
    if not limits[0] <= middle <= limits[1]:
        said = f"the median would be {middle:.6g} {house} (unit taken: {stated}); {quantity} lies between {limits[0]:g} and {limits[1]:g} {house}."
        fits = [other for other in FACTORS if stated in FACTORS and limits[0] <= middle / FACTORS[stated] * FACTORS[other] <= limits[1]]
        hint = f"In {fits[0]} the numbers would fit." if fits and quantity == "observed gravity" else "Check the unit, the column and the quantity."
        raise Refusal("E_UNITS", said, hint)
    if len(values) > 1 and float(np.ptp(values)) == 0:
        raise Refusal("E_DATA", f"all {len(values)} values are {middle:g} {house}.")
