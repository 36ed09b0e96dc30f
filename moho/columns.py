"""What the columns of a table are: roles and units from their names, and the stations, earthquakes or picks they make.

A role is taken only where name and unit leave no choice; otherwise the table stays a `Table` and a person assigns its columns.
Files are parsed in `moho.tables`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from moho.errors import DataError
from moho.files import clean
from moho.survey import UNKNOWN, Array, Catalogue, Data, Gravity, Magnetics, Picks, Table

# Unit as written at the end of a column's name, lower case -> the house's symbol.
UNITS = {
    "mgal": "mGal", "mgals": "mGal", "milligal": "mGal", "ugal": "uGal", "microgal": "uGal", "gu": "gu",
    "m/s2": "m/s2", "m/s^2": "m/s2", "ms2": "m/s2",
    "nt": "nT", "gamma": "nT", "gammas": "nT", "nanotesla": "nT", "m": "m", "metres": "m", "meters": "m", "metre": "m", "meter": "m", "km": "km",
    "ft": "ft", "feet": "ft", "deg": "deg", "degree": "deg", "degrees": "deg", "degrees_east": "deg", "degrees_north": "deg", "°": "deg",
    "s": "s", "sec": "s", "ms": "ms", "us": "us",
}  # fmt: skip
LENGTH = {"m": 1.0, "km": 1000.0, "ft": 0.3048}
# Unit -> how many of the house's unit one of it is.
FACTORS = {"mGal": 1.0, "uGal": 1e-3, "gu": 0.1, "m/s2": 1e5}
# Role -> names it goes by, lower case, words joined by one blank, without unit.
ROLES: dict[str, tuple[str, ...]] = {
    "longitude": ("longitude", "lon", "long", "lng", "longitud", "station longitude", "event longitude"),
    "latitude": ("latitude", "lat", "latitud", "station latitude", "event latitude"),
    "east": ("easting", "east", "x", "utm x", "utm e", "utm easting", "x utm", "utmx", "x coord", "xcoord", "coord x", "e"),
    "north": ("northing", "north", "y", "utm y", "utm n", "utm northing", "y utm", "utmy", "y coord", "ycoord", "coord y", "n"),
    "height": (
        "height", "elevation", "elev", "altitude", "alt", "z", "h", "height sea level", "elevation sea level", "orthometric height", "height msl",
        "elevation msl", "ellipsoidal height", "height ellipsoid", "height ellipsoidal", "height wgs84", "height above ellipsoid", "station height",
        "station elevation", "sensor height", "flight height",
    ),
    "observed gravity": ("gravity", "grav", "g", "gobs", "g obs", "observed gravity", "gravity observed", "absolute gravity", "obs grav", "obs g"),
    "gravity disturbance": ("gravity disturbance", "disturbance"),
    "free-air anomaly": ("free air anomaly", "free air", "faa", "freeair", "free air anom", "fa anomaly", "gravity anomaly free air"),
    "Bouguer anomaly": ("bouguer anomaly", "bouguer", "cba", "sba", "complete bouguer anomaly", "simple bouguer anomaly", "complete bouguer", "ba"),
    "Bouguer disturbance": ("bouguer disturbance", "bouguer gravity disturbance"),
    "total field": ("total field", "total magnetic field", "tmf", "total magnetic intensity", "tmi", "magnetic field", "f total", "mag field"),
    "total field anomaly": (
        "total field anomaly", "total field magnetic anomaly", "magnetic anomaly", "mag anomaly", "tfa", "tmi anomaly", "anomaly mag",
        "residual magnetic", "residual field", "igrf residual",
    ),
    "line": ("line", "line id", "line number", "line no", "line and segment", "flight line", "flightline", "profile", "traverse"),
    "time": ("time", "datetime", "date time", "origin time", "event time", "timestamp", "origintime", "time utc", "utc"),
    "magnitude": ("magnitude", "mag", "ml", "mw", "md", "magnitud"),
    "magnitude type": ("magtype", "magnitude type", "mag type"),
    "depth": ("depth", "event depth", "hypocentral depth"),
    "station": ("station", "station id", "sta", "station code", "id"),
    "phase": ("phase", "phase type", "type", "phase hint"),
    "uncertainty": ("uncertainty", "sigma", "std", "time error", "pick error"),
}  # fmt: skip
POSSIBLE = {"observed gravity": (974000.0, 986000.0), "total field": (10000.0, 80000.0)}  # on the Earth, mGal and nT
ANOMALY = 1000.0  # mGal: disturbances and anomalies, free-air and Bouguer, run from about -600 to 900 on the Earth
GRAVITY = ("observed gravity", "gravity disturbance", "free-air anomaly", "Bouguer anomaly", "Bouguer disturbance")
MAGNETIC = ("total field", "total field anomaly")
IDENTIFIERS = ("line", "station", "phase", "time", "magnitude type")
EQUATOR, FORMULA, ECCENTRICITY = 978032.53359, 0.00193185265241, 0.00669437999013  # Somigliana, WGS84 (NIMA TR8350.2, 2000)


@dataclass(frozen=True)
class Role:
    """What one column is."""

    name: str  # as in the file
    role: str  # a key of ROLES, "" when none is known
    unit: str  # "" when the name gives none


def role(name: str) -> Role:
    """The role and unit that a column's name states.

    >>> role("height_sea_level_m"), role("gravity_mgal")
    (Role(name='height_sea_level_m', role='height', unit='m'), Role(name='gravity_mgal', role='observed gravity', unit='mGal'))
    """
    text = re.sub(r"(?<![A-Za-z])([mu])Gal", r"\1gal", name.strip())  # one word
    text = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", text).lower()
    unit = ""
    if match := re.search(r"[\[(<{]\s*([^\])>}]+?)\s*[\])>}]\s*$", text):
        unit = UNITS.get(match[1].strip(), clean(match[1], 16))
        text = text[: match.start()]
    text = re.sub(r"(?<=[\s_\-.])m/s\^?2$", "ms2", text)
    words = re.sub(r"[\s_\-./:]+", " ", text).strip()
    known = {alias: found for found, aliases in ROLES.items() for alias in aliases}
    if words in known:
        return Role(name, known[words], unit)
    head, _, tail = words.rpartition(" ")
    if head and not unit and tail in UNITS:
        unit = UNITS[tail]
        words = head
    return Role(name, known.get(words, ""), unit)


def recognise(columns: Mapping[str, Array], title: str, notes: tuple[str, ...]) -> Data:
    """Gravity, Magnetics, Catalogue or Picks where names and units leave no choice; else a Table whose notes say what was seen."""
    roles = [role(name) for name in columns]
    by_role: dict[str, list[Role]] = {}
    for found in roles:
        if found.role:
            by_role.setdefault(found.role, []).append(found)
    one = {key: held[0] for key, held in by_role.items() if len(held) == 1}
    fields = [found for found in roles if found.role in (*GRAVITY, *MAGNETIC)]
    why = ""
    if "magnitude" in one and "time" in one and "longitude" in one and "latitude" in one:
        return _catalogue(columns, one, title, notes)
    if {"station", "phase", "time"} <= set(one) and not fields:
        picks = _picks(columns, one, title, notes)
        if picks is not None:
            return picks
    if len(fields) == 1:
        made, why = _stations(columns, one, fields[0], title, notes)
        if made is not None:
            return made
    elif len(fields) > 1:
        why = f"Several columns could be the value: {', '.join(clean(found.name, 30) for found in fields)}. Assign the columns to use one."
    said = [f"{clean(f.name, 30)} is {f.role}{f' in {f.unit}' if f.unit else ''}" for f in roles if f.role]
    seen = (f"By their names, {'; '.join(said[:12])}.",) if said else ()
    return Table(title=title, columns=dict(columns), notes=(*notes, *seen, *((why,) if why else ())))


def _stations(
    columns: Mapping[str, Array], one: Mapping[str, Role], field: Role, title: str, notes: tuple[str, ...]
) -> tuple[Gravity | Magnetics | None, str]:
    """Stations with their field, or None and the reason."""
    if not np.issubdtype(columns[field.name].dtype, np.number):
        raise DataError("E_FORMAT", f"column {clean(field.name, 30)} should be {field.role} and holds text.")
    degrees = "longitude" in one and "latitude" in one
    metres = "east" in one and "north" in one
    if not degrees and not metres:
        return None, f"{clean(field.name, 30)} could be {field.role}, but no single pair of coordinate columns is named. Assign the columns."
    first, second = (one["longitude"], one["latitude"]) if degrees else (one["east"], one["north"])
    east, north = (_numeric(columns, found) for found in (first, second))
    said = [f"{clean(first.name, 30)} and {clean(second.name, 30)} are the coordinates, {clean(field.name, 30)} is the {field.role}."]
    if not degrees:
        unit = first.unit or second.unit
        inside = np.nanmax(np.abs(east)) <= 360 and np.nanmax(np.abs(north)) <= 90
        if not unit and inside:
            return None, f"{first.name} and {second.name} may be degrees or metres. Assign the columns."
        if unit not in ("", *LENGTH) or (first.unit and second.unit and first.unit != second.unit):
            raise DataError("E_UNITS", f"coordinates in {first.unit or 'nothing'} and {second.unit or 'nothing'}: metres, km or feet are read.")
        east, north = east * LENGTH[unit or "m"], north * LENGTH[unit or "m"]
        said.append("The unit of the coordinates is not stated: metres are taken." if not unit else f"Coordinates are in {unit}; metres here.")
    if degrees:
        check_degrees(east, north, first.name, second.name)
    values, unit_note = _field(_numeric(columns, field), field)
    if values is None:
        return None, unit_note
    said += [unit_note] if unit_note else []
    height, datum, height_note = _height(columns, one.get("height"))
    said += [height_note] if height_note else []
    good = np.isfinite(east) & np.isfinite(north) & np.isfinite(values)
    if not good.any():
        raise DataError("E_DATA", f"no row has coordinates and a {field.role}.")
    if not good.all():
        said.append(f"{int((~good).sum())} of {len(good)} rows without coordinates or value are left out.")
    line = columns[one["line"].name][good] if "line" in one else None
    height = None if height is None else height[good]
    if height is not None and np.isnan(height).any():
        said.append(f"{int(np.isnan(height).sum())} stations have no height: NaN.")
    east, north, values = east[good], north[good], values[good]
    if degrees and field.role == "observed gravity":
        check_latitude(values, east, north, height)
        slope = None if height is None else per_foot(values, north, height)
        if slope is not None:
            like = f"gravity changes by {slope:.3f} mGal a unit of {clean(one['height'].name, 30)}, as it does a foot (a metre: -0.19 to -0.31)"
            if not one["height"].unit:
                return None, f"{like}: the heights look like feet and their unit is not stated. Say it in the column's name, e.g. height (ft)."
            said.append(f"Check the heights: {like}, and the column's name says {one['height'].unit}.")
    if degrees:
        said.append("The geodetic datum of longitude and latitude is not stated.")
    elif np.ptp(east) == 0 and np.ptp(north) == 0 and len(east) > 1:
        raise DataError("E_GEOMETRY", f"all {len(east)} stations have the same coordinates.")
    if copies := len(east) - len(np.unique(east + 1j * north)):
        said.append(f"{copies} stations share their coordinates with another.")
    place = {"longitude": east, "latitude": north} if degrees else {"x": east, "y": north}
    common: dict[str, Any] = place | {"height": height, "datum": datum, "line": line, "value": values, "quantity": field.role}
    kind = Gravity if field.role in GRAVITY else Magnetics
    return kind(title=title, notes=(*notes, *said), **common), ""


def _numeric(columns: Mapping[str, Array], found: Role) -> Array:
    column = columns[found.name]
    if not np.issubdtype(column.dtype, np.number):
        raise DataError("E_FORMAT", f"column {clean(found.name, 30)} should be {found.role} and holds text: {clean(str(column[0]), 30)!r}.")
    return np.asarray(column, dtype=np.float64)


def _field(values: Array, field: Role) -> tuple[Array | None, str]:
    """The field in mGal or nT and a note; None and the reason where its unit is neither stated nor beyond doubt."""
    median = float(np.nanmedian(values)) if np.isfinite(values).any() else np.nan
    if np.isnan(median):
        raise DataError("E_DATA", f"column {clean(field.name, 30)} holds no number.")
    house = "mGal" if field.role in GRAVITY else "nT"
    factors = FACTORS if house == "mGal" else {"nT": 1.0}
    unit, note = field.unit, ""
    if unit and unit not in factors:
        raise DataError("E_UNITS", f"{field.role} in {unit!r}: {', '.join(factors)} are read.")
    if not unit:
        if field.role == "observed gravity" and 970000 < median < 990000:
            unit, note = "mGal", f"The unit is not stated; a median of {median:.6g} can only be mGal."
        elif field.role == "observed gravity" and 9.7 < median < 9.9:
            unit, note = "m/s2", f"The unit is not stated; a median of {median:.5g} can only be m/s2. It is in mGal here."
        elif field.role == "total field" and 15000 < median < 75000:
            unit, note = "nT", f"The unit is not stated; a median of {median:.5g} can only be nT."
        else:
            return None, f"The unit of {clean(field.name, 30)} is not stated. Assign the columns and give it."
    elif unit != house:
        note = f"{clean(field.name, 30)} is in {unit}; {house} here."
    values = values * factors[unit]
    check_anomaly(values, field.role, unit, field.name, f"in the name of the column, e.g. {field.role.split(' ')[0]} (uGal)")
    low, high = POSSIBLE.get(field.role, (-1e5, 1e5))
    middle = float(np.nanmedian(values))
    if not low <= middle <= high:
        fits = [other for other, factor in factors.items() if low <= middle / factors[unit] * factor <= high]
        hint = f"In {fits[0]} the numbers would fit: the column's name says {unit}." if fits else ""
        raise DataError("E_UNITS", f"the median {field.role} is {middle:.6g} {house}; on Earth it is between {low:g} and {high:g}.", hint)
    check_values(values, field.role, house, field.name)
    return values, note


def check_anomaly(values: Array, quantity: str, stated: str, name: str, where: str) -> None:
    """Refuse gravity anomalies and disturbances (mGal) that none on the Earth reaches; `stated` is the unit they were said to be in, `where`
    the place to say another.

    E_DATA where one value or a hundredth of them is beyond 1000 mGal, E_UNITS where more are: then the unit is the likely cause.
    """
    if quantity not in GRAVITY or quantity == "observed gravity":
        return
    bad = np.flatnonzero(np.abs(values) > ANOMALY)  # not NaN
    if not len(bad):
        return
    known = int(np.isfinite(values).sum())
    largest = float(values[bad[np.argmax(np.abs(values[bad]))]])
    raw = largest / FACTORS[stated] if stated in FACTORS else math.inf
    fits = {other: raw * factor for other, factor in FACTORS.items() if other != stated and abs(raw) * factor <= ANOMALY}
    words = {"uGal": "microgal (uGal)", "gu": "gravity units (gu)"}
    other = " or ".join(f"{words.get(unit, unit)}, where the largest is {value:.4g} mGal," for unit, value in fits.items()).rstrip(",")
    column = f"column {clean(name, 30)}"
    earth = f"on the Earth a {quantity} stays within {ANOMALY:g} mGal"
    if len(bad) == 1 or len(bad) <= 0.01 * known:
        more = f", and {len(bad) - 1} more such rows" if len(bad) > 1 else ""
        said = f"{column}, row {bad[0] + 1} of the table: {values[bad[0]]:g} mGal is no {quantity}{more}; {earth}."
        raise DataError("E_DATA", said, "Correct these cells, or empty them" + (f"; or is the whole column in {other}?" if other else "."))
    said = f"{column} reaches {largest:g} mGal and {len(bad)} of {known} values lie beyond {ANOMALY:g}; {earth}."
    raise DataError("E_UNITS", said, f"Are they in {other}? Then say so {where}." if other else "Check the unit and the column.")


def check_values(values: Array, quantity: str, unit: str, name: str) -> None:
    """E_DATA where single values (mGal or nT) cannot be this quantity on the Earth: which, in which row, and how many more."""
    low, high = POSSIBLE.get(quantity, (-1e5, 1e5))
    bad = np.flatnonzero((values < low) | (values > high))  # not NaN
    if len(bad):
        more = f", and {len(bad) - 1} more such rows" if len(bad) > 1 else ""
        said = f"column {clean(name, 30)}, row {bad[0] + 1} of the table: {values[bad[0]]:g} {unit} is no {quantity}{more}"
        raise DataError("E_DATA", f"{said}; on Earth it is between {low:g} and {high:g} {unit}.", "Correct these cells, or empty them.")


def per_foot(gravity: Array, latitude: Array, height: Array) -> float | None:
    """How gravity (mGal) changes with a unit of `height`, where that is as per foot and not as per metre; None else.

    Free air and rock make -0.31 to -0.19 mGal a metre, -0.095 to -0.055 a foot. It takes relief, and heights that gravity follows.
    """
    good = np.isfinite(gravity) & np.isfinite(latitude) & np.isfinite(height)
    if good.sum() < 10 or float(np.ptp(height[good])) < 300:
        return None
    h, g = height[good], (gravity - normal_gravity(latitude))[good]
    slope = float(np.polyfit(h - h.mean(), g - g.mean(), 1)[0])
    follows = float(np.corrcoef(h, g)[0, 1])
    return slope if follows < -0.9 and -0.12 < slope < -0.05 else None


def _height(columns: Mapping[str, Array], found: Role | None) -> tuple[Array | None, str, str]:
    """Heights in metres, their datum and a note."""
    if found is None:
        return None, UNKNOWN, ""
    if found.unit and found.unit not in LENGTH:
        raise DataError("E_UNITS", f"heights in {found.unit!r}: metres, km or feet are read.")
    words = found.name.lower().replace("_", " ")
    datum = UNKNOWN
    if re.search(r"sea ?level|msl|orthometric|geoid", words):
        datum = "geoid"
    elif re.search(r"ellips|wgs ?84", words):
        datum = "ellipsoidal WGS84" if "wgs" in words else "ellipsoidal"
    note = f"Height is {clean(found.name, 30)}, " + ("above sea level." if datum == "geoid" else f"datum {datum}.")
    if not found.unit:
        note += " Its unit is not stated: metres are taken."
    elif found.unit != "m":
        note += f" It is in {found.unit}; metres here."
    return _numeric(columns, found) * LENGTH[found.unit or "m"], datum, note


def check_degrees(longitude: Array, latitude: Array, east: str = "longitude", north: str = "latitude") -> None:
    """E_GEOMETRY where these cannot be degrees of longitude and latitude."""
    high = float(np.nanmax(np.abs(latitude)))
    for values, most, name in ((latitude, 90.0, north), (longitude, 360.0, east)):
        bad = np.flatnonzero(np.abs(values) > most)
        if not len(bad):
            continue
        reaches = f"{clean(name, 30)} reaches {np.nanmax(np.abs(values)):g} deg"
        if len(bad) > 0.5 * len(values):
            fits = most == 90 and np.nanmax(np.abs(longitude)) <= 90 and high <= 360
            raise DataError("E_GEOMETRY", f"{reaches}: {'are the columns swapped?' if fits else 'are they metres?'}")
        more = f", and {len(bad) - 1} more such rows" if len(bad) > 1 else ""
        said = f"{reaches}: row {bad[0] + 1} of the table has {values[bad[0]]:g}{more}."
        raise DataError("E_GEOMETRY", said, "Correct these cells, or empty them.")
    if len(longitude) > 1 and np.ptp(longitude) == 0 and np.ptp(latitude) == 0:
        raise DataError("E_GEOMETRY", f"all {len(longitude)} stations lie at {longitude[0]:g}, {latitude[0]:g}.")


def normal_gravity(latitude: Array) -> Array:
    """Normal gravity of WGS84 on the ellipsoid, mGal (Somigliana's closed form); for checks, the tools use boule."""
    squared = np.sin(np.radians(latitude)) ** 2
    return EQUATOR * (1 + FORMULA * squared) / np.sqrt(1 - ECCENTRICITY * squared)


def check_latitude(gravity: Array, longitude: Array, latitude: Array, height: Array | None) -> None:
    """E_GEOMETRY where observed gravity belongs to the latitude that the longitude column holds, E_DATA where it belongs nowhere near."""
    free = np.zeros(len(gravity)) if height is None else np.nan_to_num(height)
    here = float(np.median(np.abs(gravity - normal_gravity(latitude) + 0.3086 * free)))
    allowed = 500.0 if height is not None else 1500.0
    if here <= allowed:
        return
    if np.max(np.abs(longitude)) <= 90:
        swapped = float(np.median(np.abs(gravity - normal_gravity(longitude) + 0.3086 * free)))
        if swapped < min(allowed, 0.5 * here):
            words = f"gravity is {here:.0f} mGal off normal gravity at these latitudes and {swapped:.0f} with the columns exchanged"
            raise DataError("E_GEOMETRY", f"{words}: longitude and latitude are swapped.")
    feet = float(np.median(np.abs(gravity - normal_gravity(latitude) + 0.3086 * 0.3048 * free)))
    if height is not None and feet < min(allowed, 0.3 * here):
        words = f"observed gravity is {here:.0f} mGal (median) off normal gravity at its latitudes, and {feet:.0f} with the heights read as feet"
        raise DataError("E_UNITS", f"{words}: the heights are in feet.", "Say so in the column's name, e.g. height (ft).")
    raise DataError("E_DATA", f"observed gravity is {here:.0f} mGal (median) off normal gravity at its latitudes: check units, columns and heights.")


def _catalogue(columns: Mapping[str, Array], one: Mapping[str, Role], title: str, notes: tuple[str, ...]) -> Catalogue:
    longitude, latitude, magnitude = (_numeric(columns, one[name]) for name in ("longitude", "latitude", "magnitude"))
    check_degrees(longitude, latitude, one["longitude"].name, one["latitude"].name)
    said = []
    depth = np.full(len(latitude), np.nan)
    if "depth" in one:
        depth, unit = _numeric(columns, one["depth"]), one["depth"].unit
        deepest = float(np.nanmax(depth)) if np.isfinite(depth).any() else 0.0
        if not unit:
            unit = "m" if deepest > 800 else "km"
            said.append(f"The unit of depth is not stated; they reach {deepest:g}: {unit} {'it must be' if unit == 'm' else 'is taken'}.")
        if unit not in LENGTH:
            raise DataError("E_UNITS", f"depths in {unit!r}: m, km or ft are read.")
        depth = depth * LENGTH[unit] / 1000.0
        if unit == "m":
            said.append("Depth is in metres in the file; km here.")
        if np.nanmax(np.abs(depth), initial=0.0) > 800:
            raise DataError("E_UNITS", f"depth reaches {np.nanmax(np.abs(depth)):g} km; earthquakes end near 700 km.")
    kinds = columns[one["magnitude type"].name].astype(str) if "magnitude type" in one else np.full(len(latitude), UNKNOWN)
    time, zone = _times(columns[one["time"].name], one["time"].name)
    said += [zone] if zone else []
    lost = int((~np.isfinite(latitude) | ~np.isfinite(longitude)).sum())
    if lost:
        said.append(f"{lost} events have no epicentre: NaN.")
    return Catalogue(
        title=title, notes=(*notes, *said), time=time, longitude=longitude, latitude=latitude, depth=depth, magnitude=magnitude, magnitude_type=kinds
    )


def _times(column: Array, name: str) -> tuple[Array, str]:
    """ISO 8601 strings in UTC, and a note on the zone."""
    import pandas as pd

    text = pd.Series(column.astype(str))
    stamps = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")
    bad = stamps.isna()
    if bad.any():
        row = int(bad.to_numpy().argmax())
        raise DataError("E_FORMAT", f"column {clean(name, 30)}, row {row + 1}: {clean(str(text[row]), 30)!r} is no ISO 8601 time.")
    zoned = text.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True).all()
    return stamps.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ").to_numpy(dtype=str), "" if zoned else "Times name no zone: UTC is taken."


def _picks(columns: Mapping[str, Array], one: Mapping[str, Role], title: str, notes: tuple[str, ...]) -> Picks | None:
    phase = np.char.upper(columns[one["phase"].name].astype(str)).astype("<U1")
    if not np.isin(phase, ("P", "S")).all():
        return None
    station, said = columns[one["station"].name].astype(str), []
    if np.issubdtype(columns[one["time"].name].dtype, np.number):
        time, origin = _numeric(columns, one["time"]), "1970-01-01T00:00:00Z"
        said.append("Pick times are plain seconds: no date is given.")
    else:
        stamps, zone = _times(columns[one["time"].name], one["time"].name)
        exact = stamps.astype("U26").astype("datetime64[us]")
        time, origin = (exact - exact.min()) / np.timedelta64(1, "s"), str(exact.min()) + "Z"
        said += [zone] if zone else []
    sigma = _numeric(columns, one["uncertainty"]) if "uncertainty" in one else np.full(len(time), np.nan)
    if "uncertainty" not in one:
        said.append("No uncertainty is given for the picks.")
    place = {key: _numeric(columns, one[key]) for key in ("latitude", "longitude") if key in one}
    if len(place) == 2:
        check_degrees(place["longitude"], place["latitude"])
    elevation, _, note = _height(columns, one.get("height"))
    said += [note] if note else []
    return Picks(
        title=title, notes=(*notes, *said), station=station, phase=phase, time=time, origin=origin, uncertainty=sigma,
        latitude=place.get("latitude"), longitude=place.get("longitude"), elevation=elevation,
    )  # fmt: skip
