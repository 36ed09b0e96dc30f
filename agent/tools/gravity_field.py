"""Field gravity: readings of a relative gravimeter made into differences, and depths from the slope of a map's power spectrum.

The earth tide is Longman's formula, written here. Reductions to anomalies are in `potential_fields`, models in `gravity_inversion`.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np

from moho.agent.registry import tool
from moho.agent.tools.spectrum import harmonic_fill, metric
from moho.agent.tools.surfaces import not_constant
from moho.agent.tools.tables import _column, _datum, _numbers
from moho.columns import role
from moho.errors import Missing, Refusal
from moho.survey import UNKNOWN, Array, Gravity, Grid, Report, Table
from moho.units import Metres, MilliGal, Quantity, Unit, convert

AMPLIFICATION = 1.16  # gravimetric factor of an elastic Earth, Longman's and the usual choice
READINGS = ("reading", "readings", "counter", "counter reading", "dial", "dial reading", "gravimeter", "gravimeter reading", "meter reading", "raw")
HOURS = 3600.0
LISTED = 60  # stations whose differences are facts
TIED = 35 / 18  # neighbours that a Hann taper ties into one, along one axis: 1 + 2 (2/3)^2 + 2 (1/6)^2
RINGS = 8  # fewest rings that carry a straight line
MOST_GAPS = 0.25  # share of empty nodes a spectrum may have


# Earth tide -----------------------------------------------------------------------------------------------------------


def earth_tide(time: Array, longitude: Array, latitude: Array, height: Array) -> Array:
    """The pull of Moon and Sun on a rigid Earth, mGal, positive up: what a gravimeter reads too little.

    `time` is datetime64 in UTC, the place in degrees (east, north) and m. Longman 1959, J. Geophys. Res. 64, 2351-2355; a real
    Earth yields, so that the correction is this times 1.16. Good to about 0.001 mGal in 1900 to 2100.
    """
    moon, sun = _moon_and_sun(time, longitude, latitude, height)
    return moon + sun


def _moon_and_sun(time: Array, longitude: Array, latitude: Array, height: Array) -> tuple[Array, Array]:
    """The two parts, mGal; symbols are Longman's."""
    days = (time - np.datetime64("1899-12-31T12:00:00")) / np.timedelta64(1, "us") / 86_400e6
    century = days / 36_525.0
    hours = ((time - time.astype("datetime64[D]")) / np.timedelta64(1, "us")) / 3600e6
    lam, e, m, tilt = np.radians(latitude), 0.054899720, 0.074804, math.radians(23.452)

    def angle(degrees: float, minutes: float, seconds: float, turns: float, *arc: float) -> Array:
        total = degrees * 3600 + minutes * 60 + seconds + turns * 1_296_000 * century
        return np.asarray(np.radians((total + sum(a * century**k for k, a in enumerate(arc, 1))) / 3600))

    s = angle(270, 26, 14.72, 1336, 1108411.20, 9.09, 0.0068)  # mean longitude of the Moon
    p = angle(334, 19, 40.87, 11, 392515.94, -37.24, -0.045)  # of its perigee
    h = angle(279, 41, 48.04, 0, 129602768.13, 1.089)  # of the Sun
    node = angle(259, 10, 57.12, -5, -482912.63, 7.58, 0.008)
    perihelion = angle(281, 13, 15.0, 0, 6189.03, 1.63, 0.012)
    e1 = 0.01675104 - 0.0000418 * century - 0.000000126 * century**2
    dip = np.arccos(0.91369 - 0.03569 * np.cos(node))  # of the Moon's orbit to the equator
    nu = np.arcsin(0.08968 * np.sin(node) / np.sin(dip))
    t = np.radians(15.0 * (hours - 12) + longitude)  # hour angle of the mean Sun
    cos_a = np.cos(node) * np.cos(nu) + np.sin(node) * np.sin(nu) * math.cos(tilt)
    sin_a = math.sin(tilt) * np.sin(node) / np.sin(dip)
    xi = node - 2 * np.arctan2(sin_a, 1 + cos_a)
    sigma = s - xi
    moon = sigma + 2 * e * np.sin(s - p) + 1.25 * e**2 * np.sin(2 * (s - p))
    moon = moon + 3.75 * m * e * np.sin(s - 2 * h + p) + 1.375 * m**2 * np.sin(2 * (s - h))
    sun = h + 2 * e1 * np.sin(h - perihelion)

    def zenith(orbit: Array, slope: Array | float, hour: Array) -> Array:
        """Cosine of the zenith angle of a body at this longitude in an orbit of this slope."""
        across = np.cos(slope / 2) ** 2 * np.cos(orbit - hour) + np.sin(slope / 2) ** 2 * np.cos(orbit + hour)
        return np.asarray(np.sin(lam) * np.sin(slope) * np.sin(orbit) + np.cos(lam) * across)

    theta, phi = zenith(moon, dip, t + h - nu), zenith(sun, tilt, t + h)
    mu, moon_mass, sun_mass, c, c1, a = 6.673e-8, 7.3537e25, 1.993e33, 3.84402e10, 1.495e13, 6.378270e8  # cgs
    near, far = 1 / (c * (1 - e**2)), 1 / (c1 * (1 - e1**2))
    reach = 1 / c + near * e * np.cos(s - p) + near * e**2 * np.cos(2 * (s - p))
    reach = reach + 1.875 * near * m * e * np.cos(s - 2 * h + p) + near * m**2 * np.cos(2 * (s - h))  # 1 / distance
    reach1 = 1 / c1 + far * e1 * np.cos(h - perihelion)
    r = a / np.sqrt(1 + 0.006738 * np.sin(lam) ** 2) + 100.0 * height
    pull = mu * moon_mass * r * reach**3 * (3 * theta**2 - 1) + 1.5 * mu * moon_mass * r**2 * reach**4 * (5 * theta**3 - 3 * theta)
    return 1e3 * pull, 1e3 * mu * sun_mass * r * reach1**3 * (3 * phi**2 - 1)


# Readings -------------------------------------------------------------------------------------------------------------


@tool(
    discipline="gravity",
    stage="processing",
    say=(
        "reduce the gravimeter readings in {readings}, base {base}",
        "Drift and tide correction of {readings} with base station {base}",
        "gravity differences from {readings}, base {base}, scale {scale}",
        "process my CG-5 loop {readings}, base station is {base}",
        "correct {readings} for drift by the repeats at {base}, scale factor {scale}",
        "LaCoste readings {readings}: apply scale {scale}, earth tide and drift, base {base}",
        "make observed gravity from {readings}, base {base} is {base_value}",
        "gravimeter loop reduction {readings} {base}",
        "remove drift from {readings}, base {base}, tide {tide}",
        "please to calculate gravity differences to base {base} of the readings {readings}",
        "relative gravity survey {readings}, tie to {base}, tide is already out so tide {tide}",
    ),
    reference="Longman 1959, Formulas for computing the tidal accelerations due to the Moon and the Sun, JGR 64; drift: Telford et al. 1990, ch. 2.4",
    truth="loops close below 1e-9 mGal and planted differences come back within 1e-6; the tide is that of Longman's program within 2e-5 mGal",
)
def gravimeter_reduce(
    readings: Table,
    base: Annotated[str, "base station"],
    scale: Annotated[float | None, Unit("", above=0, high=20), "mGal per unit of the readings"] = None,
    tide: Annotated[Literal["yes", "no"], "whether to correct the earth tide"] = "yes",
    base_value: Annotated[MilliGal | None, "absolute gravity of the base"] = None,
    reading: Annotated[str | None, "column of readings"] = None,
    station: Annotated[str | None, "column of stations"] = None,
    time: Annotated[str | None, "column of times (UTC)"] = None,
) -> Gravity:
    """Gravity of each station less that of the base (mGal), or observed gravity where that of the base is given.

    Reading x scale + tide (Longman, x 1.16), less a drift that runs straight between visits to the base, so that every loop
    closes to zero; visits to a station are averaged. Times are UTC. Coordinates and heights come from the table.
    """
    value_column = _named(readings, reading, "reading", "column of readings", READINGS)
    place_column = _named(readings, station, "station", "column of stations", ("station", "point", "stn", "site"))
    time_column = _named(readings, time, "time", "column of times", ("time utc", "utc time", "date time", "datetime"))
    values = _numbers(readings, value_column)
    places = np.array([_tidy(name) for name in readings.columns[place_column].tolist()])
    stamps = _stamps(readings.columns[time_column], time_column)
    notes = [f"readings in {value_column}, stations in {place_column}, times in {time_column} (taken as UTC)"]
    good = np.isfinite(values) & ~np.isnat(stamps) & (places != "")
    if not good.any():
        raise Refusal("E_DATA", f"none of {len(good)} rows has a station, a time and a reading.")
    if not good.all():
        notes.append(f"{int((~good).sum())} of {len(good)} rows without station, time or reading were left out")
    order = np.flatnonzero(good)[np.argsort(stamps[good], kind="stable")]
    values, places, stamps = values[order], places[order], stamps[order]
    chosen = _base(base, places)
    factor = _scale(scale, value_column)
    notes.append(f"scale {factor:g} mGal per unit" + ("" if scale is not None else ": the readings are in mGal, as their column says"))
    gravity = values * factor
    longitude, latitude = _where(readings, "longitude", order), _where(readings, "latitude", order)
    x, y, height = _where(readings, "east", order), _where(readings, "north", order), _where(readings, "height", order)
    datum = UNKNOWN
    if height is not None:
        datum = _datum(next(name for name in readings.columns if role(name).role == "height"))
    tides = np.zeros(len(gravity))
    if tide == "yes":
        if longitude is None or latitude is None or not (np.isfinite(longitude).all() and np.isfinite(latitude).all()):
            raise Missing("tide", "The earth tide needs longitude and latitude of every reading (deg), and the table has none. Has it been taken out "
                          "already (tide no), or can you add them?", ("no",))  # fmt: skip
        level = np.zeros(len(gravity)) if height is None else np.nan_to_num(height)
        tides = AMPLIFICATION * earth_tide(stamps, longitude, latitude, level)
        span = f"{tides.min():+.3f} to {tides.max():+.3f} mGal"
        notes.append(f"earth tide by Longman's formula times {AMPLIFICATION:g}, {span} added; no ocean loading")
    else:
        notes.append("no tide correction: the readings are taken to be free of it")
    gravity = gravity + tides
    hours = (stamps - stamps[0]) / np.timedelta64(1, "us") / (HOURS * 1e6)
    drift, loops = _drift(hours, gravity, places == chosen, chosen)
    outside = (hours < loops[0][0]) | (hours > loops[-1][1])
    if outside.any():
        notes.append(f"{int(outside.sum())} readings lie outside all visits to the base: their drift goes on as in the nearest loop, unchecked")
    reduced = gravity - drift
    reduced = reduced - reduced[places == chosen].mean()
    closure = float(np.abs(reduced[places == chosen]).max())
    names, first, where, visits = np.unique(places, return_index=True, return_inverse=True, return_counts=True)
    mean = np.bincount(where, weights=reduced) / visits
    rest = reduced - mean[where]
    again = (visits > 1) & (names != chosen)
    free = int((visits[again] - 1).sum())
    repeat = math.sqrt(float(np.sum(rest[again[where]] ** 2)) / free) if free else None
    rates = [rate for _, _, rate in loops]
    jumps = [abs(rate * (end - start)) for start, end, rate in loops]
    notes.append(f"drift straight between {len(loops) + 1} visits to base {chosen}; it takes up whatever changed at the base, tares too")
    if max(abs(rate) for rate in rates) > 0.2:
        notes.append(f"a drift of {max(rates, key=abs):.3g} mGal/h is large: a jump (tare) or a wrong time is likely")
    if (longest := max(end - start for start, end, _ in loops)) > 6:
        notes.append(f"the base was left for {longest:.1f} h at most: a drift that bends within that time stays in")
    facts = {
        "stations": Quantity(len(names), "", "stations"),
        "loops": Quantity(len(loops), "", "loops"),
        "drift": Quantity([float(min(rates)), float(max(rates))], "mGal/h", "drift rate range"),
        "misclosure": Quantity(float(max(jumps)), "mGal", "largest misclosure of a loop before the drift correction"),
        "closure": Quantity(closure, "mGal", "largest misclosure after it"),
        "tide": Quantity([float(tides.min()), float(tides.max())], "mGal", "tide correction range"),
        "range": Quantity([float(mean.min()), float(mean.max())], "mGal", f"range of differences to {chosen}"),
        "scale": Quantity(float(factor), "", "mGal per unit of the readings"),
        "base": Quantity(chosen, "", "base station"),
    }
    if len(names) <= LISTED:
        facts["names"] = Quantity([str(name) for name in names], "", "station names")
        facts["differences"] = Quantity([round(float(v), 6) for v in mean], "mGal", f"gravity of these stations less {chosen}")
    if repeat is not None:
        facts["repeatability"] = Quantity(repeat, "mGal", f"standard deviation of a reading from {int(again.sum())} stations read again")
    else:
        notes.append("no station but the base was read twice: the precision cannot be judged")
    quantity, value = "gravity difference", mean
    if base_value is not None:
        if not 9.7e5 < base_value < 9.9e5:
            raise ValueError(f"the absolute gravity of the base must be 976000 to 984000 mGal, got {base_value:g}")
        quantity, value = "observed gravity", mean + base_value
        facts["base_value"] = Quantity(float(base_value), "mGal", "gravity of the base")
    spot = {"longitude": longitude, "latitude": latitude} if longitude is not None and latitude is not None else {"x": x, "y": y}
    if any(array is None for array in spot.values()):
        raise Missing("readings", "Where are the stations? The table has no columns of longitude and latitude or of easting and northing.")
    kept: dict[str, Any] = {key: None if array is None else array[first] for key, array in (spot | {"height": height}).items()}
    return Gravity(
        title=readings.title, facts=facts, notes=tuple(notes), value=value, quantity=quantity, datum=datum, uncertainty=repeat, **kept
    )


def _named(table: Table, given: str | None, argument: str, label: str, others: tuple[str, ...]) -> str:
    """The column of this role; Missing where the names leave a choice."""
    if given is not None:
        return _column(table, given)
    named = {name: role(name) for name in table.columns}
    words = {name: found.name.casefold().replace("_", " ").split("(")[0].split("[")[0].strip() for name, found in named.items()}
    hits = [name for name in table.columns if named[name].role == argument or any(words[name] in (w, f"{w} mgal", f"{w} counts") for w in others)]
    if len(hits) != 1:
        raise Missing(argument, f"Which {label} should be used: {', '.join(table.columns)}?", tuple(table.columns))
    return hits[0]


def _tidy(name: object) -> str:
    """'12.0' as people write it."""
    text = str(name).strip()
    return "" if text in ("", "nan") else text.removesuffix(".0")


def _stamps(column: Array, name: str) -> Array:
    """(row,) datetime64 in UTC."""
    import pandas as pd

    if np.issubdtype(column.dtype, np.number):
        raise Refusal("E_UNITS", f"{name} holds plain numbers, e.g. {column[0]:g}.", "Times are wanted as 2024-05-17T10:31:00 (UTC).")
    found = pd.to_datetime(pd.Series(column.astype(str)), format="ISO8601", utc=True, errors="coerce")
    text = np.array([str(part).strip() for part in column.tolist()])
    if bad := int((found.isna().to_numpy() & (text != "")).sum()):
        example = str(text[found.isna().to_numpy() & (text != "")][0])
        raise Refusal("E_UNITS", f"{bad} times in {name} cannot be read, e.g. {example!r}.", "Write 2024-05-17T10:31:00 (UTC).")
    return np.asarray(found.dt.tz_localize(None).to_numpy().astype("datetime64[us]"))


def _base(written: str, places: Array) -> str:
    folded = {str(name).casefold(): str(name) for name in places}
    if (found := folded.get(_tidy(written).casefold())) is None:
        held = sorted(set(places.tolist()))
        raise Missing("base", f"There is no station {written!r}. Which is the base: {', '.join(held[:20])}?", tuple(held))
    return found


def _scale(scale: float | None, column: str) -> float:
    if scale is not None:
        return scale
    unit = role(column).unit
    if not unit:
        asked = f"How many mGal is one unit of {column}? 1 for readings in mGal; for a dial the factor of the instrument's table."
        raise Missing("scale", asked)
    return float(convert(1.0, unit, "mGal"))


def _where(table: Table, wanted: str, order: Array) -> Array | None:
    """(reading,) the column of this role in the order of time, in degrees or metres, None without one."""
    hits = [name for name in table.columns if role(name).role == wanted]
    if len(hits) != 1 or not np.issubdtype(table.columns[hits[0]].dtype, np.number):
        return None
    unit = role(hits[0]).unit
    factor = float(convert(1.0, unit, "m")) if unit in ("km", "ft") else 1.0
    return np.asarray(table.columns[hits[0]], dtype=float)[order] * factor


def _drift(hours: Array, gravity: Array, at_base: Array, name: str) -> tuple[Array, list[tuple[float, float, float]]]:
    """(reading,) drift since the first visit to the base, straight from visit to visit; loops as (start, end, rate)."""
    when, where = np.unique(hours[at_base], return_inverse=True)
    if len(when) < 2:
        raise Refusal("E_DATA", f"base {name} was read at {len(when)} time: the drift needs a second visit.", "Is another station read more often?")
    level = np.bincount(where, weights=gravity[at_base]) / np.bincount(where)
    drift = np.interp(hours, when, level - level[0])
    rates = np.diff(level) / np.diff(when)
    before, after = hours < when[0], hours > when[-1]
    drift[before] = rates[0] * (hours[before] - when[0])
    drift[after] = level[-1] - level[0] + rates[-1] * (hours[after] - when[-1])
    return drift, [(float(a), float(b), float(rate)) for a, b, rate in zip(when[:-1], when[1:], rates, strict=True)]


# Radial spectrum ------------------------------------------------------------------------------------------------------


@tool(
    discipline="gravity",
    stage="interpretation",
    say=(
        "depth from the power spectrum of {grid}",
        "Spector-Grant depth of {grid}",
        "radially averaged power spectrum of {grid}, how deep are the sources?",
        "spectral depth {grid}, wavelengths {shortest} to {longest}",
        "slope of ln power against wavenumber for {grid}, between {longest} and {shortest}",
        "depth to basement from the spectrum of {grid}",
        "estimate the mean source depth in {grid} spectrally, {sources} sources",
        "average depth of magnetic sources by radial spectrum on {grid} please",
        "RAPS of {grid} and the depths from its segments",
        "pls calculate depth with spectral analysis of map {grid}",
    ),
    reference="Spector & Grant 1970, Statistical models for interpreting aeromagnetic data, Geophysics 35; Fedi et al. 1997, Geophysics 62",
    truth="ensembles of sources at 600 and 1500 m: depth within 3 %",
)
def spectral_depth(
    grid: Grid,
    shortest: Annotated[Metres | None, "shortest wavelength of the line"] = None,
    longest: Annotated[Metres | None, "longest wavelength of the line"] = None,
    sources: Annotated[Literal["thick", "thin"], "thick: tops of deep-rooted bodies (magnetics) or point masses (gravity)"] = "thick",
) -> Report:
    """Depths of source ensembles below the survey, from straight parts of ln power over wavenumber: power falls as exp(-2 k depth).

    `thick`: no correction for shape (magnetic bodies with deep roots, gravity of point or thin masses). `thin`: thin magnetic
    sources, whose power is taken by k^-2 first; for gravity, deep-rooted bodies, by k^2. Errors are of the straight line alone.
    """
    dx = metric(grid, "the radial spectrum")
    if grid.unit not in ("nT", "mGal"):
        raise Refusal("E_UNITS", f"a magnetic or gravity map is wanted; this one is {grid.quantity} in {grid.unit}.")
    if shortest is not None and shortest < 2 * dx:
        raise ValueError(f"shortest must be at least two grid spacings, {2 * dx:g} m; got {shortest:g} m")
    if shortest is not None and longest is not None and not shortest < longest:
        raise ValueError(f"shortest must be less than longest, got {shortest:g} and {longest:g} m")
    known = np.isfinite(grid.values)
    gaps = float(1 - known.mean())
    if gaps > MOST_GAPS or known.sum() < 256:
        said = f"{100 * gaps:.0f} % of the map are empty ({int(known.sum())} values); a spectrum bears {100 * MOST_GAPS:.0f} %."
        raise Refusal("E_DATA", said, "Cut a full part, or grid coarser.")
    not_constant(grid.values[known], grid.quantity)
    k, log_power, error, size = _rings(grid, known)
    bend = 0.0 if sources == "thick" else (-2.0 if grid.unit == "nT" else 2.0)
    log_power = log_power + bend * np.log(k)
    first = np.searchsorted(k, 2 * np.pi / longest * 1000) if longest is not None else 0
    last = np.searchsorted(k, 2 * np.pi / shortest * 1000, "right") if shortest is not None else len(k)
    if last - first < RINGS:
        raise Refusal(
            "E_DATA", f"{max(last - first, 0)} rings of the spectrum lie between these wavelengths; {RINGS} are needed.",
            f"The map bears {size:.4g} to {2 * dx:g} m.",
        )  # fmt: skip
    inside = slice(int(first), int(last))
    asked = shortest is not None or longest is not None
    parts = [(0, last - first)] if asked else _straight(k[inside], log_power[inside], error[inside])
    lines = []
    for start, end in parts:
        some = slice(int(first) + start, int(first) + end)
        slope, level, sigma = _line(k[some], log_power[some], error[some])
        lines.append((float(k[some][0]), float(k[some][-1]), slope, level, -500.0 * slope, 500.0 * sigma))
    deep = [line for line in lines if line[4] > 2 * line[5]]
    if not deep:
        raise Refusal("E_PHYSICS", "the power does not fall clearly with wavenumber: no depth can be told.", "Noise or aliasing fills the spectrum.")
    main = deep[0]
    notes = [
        f"power ~ exp(-2 k depth), k in rad/km; {sources} sources"
        + (f", power taken times k^{bend:g} first" if bend else "")
        + f"; plane off, Hann taper, {len(k)} rings of a map {size / 1000:.4g} km wide",
        "depth below the survey surface" + ("" if grid.height is None else f", which is at {grid.height:.0f} m"),
        "errors are those of the straight line; which rings make a line is a choice, and sources that spread in depth or size bend it",
    ]
    if asked:
        notes.append(f"one line, wavelengths {2000 * np.pi / main[1]:.4g} to {2000 * np.pi / main[0]:.4g} m")
    else:
        notes.append(f"{len(lines)} straight parts chosen by the Bayesian information criterion; the flat end is noise or what gridding left")
    if main[4] > size / 6:
        notes.append(f"a depth of {main[4]:.4g} m is more than a sixth of the map ({size:.4g} m): too few rings carry it, take it as a bound")
    if gaps:
        notes.append(f"{100 * gaps:.1f} % empty nodes were filled smoothly")
    if grid.unit == "nT" and "pole" not in grid.quantity:
        notes.append("not reduced to the pole: the average over directions makes that matter little for slopes")
    facts = {
        "depth": Quantity(main[4], "m", "depth of the deepest source ensemble"),
        "depth_error": Quantity(main[5], "m", "standard error of it, of the straight line"),
        "depths": Quantity([line[4] for line in lines], "m", "depth of each straight part, long wavelengths first"),
        "wavelengths": Quantity([2000 * math.pi / main[1], 2000 * math.pi / main[0]], "m", "wavelength range of that part"),
        "rings": Quantity(len(k), "", "rings of the spectrum"),
    }
    columns = np.array(lines).T
    arrays = {"wavenumber": k, "log_power": log_power, "error": error}
    arrays |= dict(zip(("starts", "ends", "slopes", "levels", "depths"), columns, strict=False))
    unit = f"ln power (({grid.unit})²)" + ("" if not bend else f" x k^{bend:g}")
    return Report(title=grid.title, facts=facts, notes=tuple(notes), arrays=arrays, drawing="radial_spectrum", labels={"y": unit})


def _rings(grid: Grid, known: Array) -> tuple[Array, Array, Array, float]:
    """Wavenumber (rad/km), ln of the mean power and its standard error in rings one fundamental wide; the width of the map, m."""
    rows, columns = grid.values.shape
    u, v = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(-1, 1, rows))
    design = np.column_stack([np.ones(int(known.sum())), u[known], v[known]])
    plane = np.linalg.lstsq(design, grid.values[known], rcond=None)[0]
    rest = np.where(known, grid.values - (plane[0] + plane[1] * u + plane[2] * v), np.nan)
    if not known.all():
        even = np.pad(rest, ((0, rows % 2), (0, columns % 2)), constant_values=np.nan)
        rest = harmonic_fill(even)[:rows, :columns]
    taper = np.outer(np.hanning(rows + 2)[1:-1], np.hanning(columns + 2)[1:-1])
    rest = rest - np.sum(rest * taper) / np.sum(taper)
    power = np.abs(np.fft.fft2(rest * taper)) ** 2 / np.sum(taper**2)
    dx, dy = grid.spacing
    kx, ky = (2 * np.pi * np.fft.fftfreq(n, step) for n, step in ((columns, dx), (rows, dy)))
    k = np.hypot(*np.meshgrid(kx, ky))
    size = min(columns * dx, rows * dy)
    step = 2 * np.pi / size
    ring = np.round(k / step).astype(int)
    top = int(min(np.pi / dx, np.pi / dy) / step)  # beyond it the corners of the square are left
    at, mean, error = [], [], []
    for n in range(2, top + 1):  # the taper spreads the mean over the first ring
        held = ring == n
        if power[held].sum() > 0:
            at.append(1000 * float(k[held].mean()))
            mean.append(math.log(float(power[held].mean())))
            error.append(1 / math.sqrt(max(held.sum() / 2 / TIED**2, 1.0)))  # half the coefficients are conjugates
    if len(at) < RINGS:
        raise Refusal("E_DATA", f"a map of {rows} x {columns} nodes makes {len(at)} rings; {RINGS} are needed.")
    return np.array(at), np.array(mean), np.array(error), size


def _line(k: Array, y: Array, error: Array) -> tuple[float, float, float]:
    """Slope, level and the slope's standard error, widened where the points scatter more than they should."""
    weight = 1 / error**2
    k0, y0 = float(np.average(k, weights=weight)), float(np.average(y, weights=weight))
    spread = float(np.sum(weight * (k - k0) ** 2))
    slope = float(np.sum(weight * (k - k0) * (y - y0))) / spread
    rest = y - y0 - slope * (k - k0)
    scale = max(1.0, float(np.sum(weight * rest**2)) / max(len(k) - 2, 1))
    return slope, y0 - slope * k0, math.sqrt(TIED * scale / spread)


def _straight(k: Array, y: Array, error: Array) -> list[tuple[int, int]]:
    """Up to three straight parts, as (start, end), that the Bayesian information criterion prefers."""
    n = len(k)
    fewest = max(4, min(RINGS // 2, n // 3))

    def cost(start: int, end: int) -> float:
        some = slice(start, end)
        slope, level, _ = _line(k[some], y[some], error[some])
        return float(np.sum(((y[some] - level - slope * k[some]) / error[some]) ** 2))

    some = sorted(set(np.unique(np.round(np.geomspace(fewest, n - fewest, 60)).astype(int)).tolist()) if n > 2 * fewest else set())
    choices: list[list[tuple[int, int]]] = [[(0, n)]]
    choices += [[(0, a), (a, n)] for a in some]
    choices += [[(0, a), (a, b), (b, n)] for a in some for b in some if b - a >= fewest]
    held: dict[tuple[int, int], float] = {}
    best, least = choices[0], math.inf
    for parts in choices:
        total = 0.0
        for part in parts:
            if part not in held:
                held[part] = cost(*part)
            total += held[part]
        total += TIED * (3 * len(parts) - 1) * math.log(n)
        if total < least - 1e-9:
            best, least = parts, total
    return best
