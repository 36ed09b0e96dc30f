"""Several kinds of data at one place: horizons at wells, gravity along a seismic line, and a table of what each result says.

Nothing is fitted here; numbers are read where data meet, with the distance over which they had to be carried.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from moho.agent.registry import tool
from moho.agent.tools.ties import called, horizon_near, horizon_time, time_depth
from moho.errors import Missing, Refusal
from moho.survey import UNKNOWN, Array, Data, Gravity, Grid, Horizon, Magnetics, Report, Seismic, Well
from moho.units import Metres, Quantity

MOST = 300  # rows of an evidence table
APART = 0.05  # share by which two numbers of one name may differ before it is said


@tool(
    discipline="well",
    stage="interpretation",
    reference="Read at the nearest points; times of tops through each well's own time-depth relation.",
    truth="a planted dipping horizon: time 0.6 s, depth 700 m, amplitude 0.7 (1e-5) and misties of -5 and 10 m as planted",
    say=(
        "What are the times of {horizon} at {wells}?",
        "horizon {horizon} at the wells {wells}",
        "mistie of {horizon} with top {top} at {wells}",
        "How far is {horizon} from the {top} marker in {wells}?",
        "amplitude of {line} on {horizon} at each of {wells}",
        "pull {horizon} times and amplitudes at well locations",
        "does {horizon} tie the wells {wells}? compare with {top}",
        "at which depth do {wells} cross {horizon}",
        "please to extract horizon {horizon} value in wells {wells}",
        "horizon amplitudes at wells pls, {horizon} on {line}",
    ),
)
def horizon_at_wells(
    horizon: Horizon, wells: list[Well], line: Seismic | None = None, top: Annotated[str, "name of the top to compare with"] | None = None
) -> Report:
    """Time of the horizon at each well, the depth the well has there, the amplitude on the line, and the distance to a top.

    A well takes the horizon's value at its nearest point (mean of three, by inverse distance) or at the nearest trace of the line. The
    mistie is horizon minus top, in ms (m for a horizon in depth): positive, the horizon is deeper.
    """
    if not wells:
        raise Missing("wells", "At which wells should the horizon be read?")
    if line is not None and line.domain != horizon.domain:
        raise ValueError(f"the horizon is in {horizon.domain}, the line in {line.domain}: give both in one")
    if top is not None and not any(_top(well, top) is not None for well in wells):
        held = sorted({name for well in wells for name in well.tops})
        raise Missing("top", f"No well has a top called {top!r}; they have {', '.join(held) or 'no tops'}.", tuple(held))
    if line is None and (horizon.x is None or horizon.y is None):
        message = "the horizon has CDP numbers and no coordinates: it meets a well only on its line."
        raise Refusal("E_GEOMETRY", message, "Give the line it was picked on.")
    times = horizon_time(horizon, line) if line is not None else np.zeros(0)
    in_time = horizon.domain == "time"
    unit, factor, apart = ("s", 1000.0, "ms") if in_time else ("m", 1.0, "m")
    rows: dict[str, list[Any]] = {name: [] for name in ("well", "horizon_time", "distance", "depth", "amplitude", "top_time", "mistie_ms")}
    facts: dict[str, Quantity] = {}
    notes: list[str] = []
    for well in wells:
        name = called(well)
        key = "".join(c if c.isalnum() else "_" for c in name)
        value, distance, amplitude = _read(horizon, line, times, well)
        depth, wanted = np.nan, np.nan
        if in_time:
            try:
                z, t, _ = time_depth(well)
            except Missing:
                z, t = np.zeros(0), np.zeros(0)
                notes.append(f"{name} has neither checkshots nor a sonic: no depth, no mistie")
            if len(z) and t[0] <= value <= t[-1]:
                depth = float(np.interp(value, t, z))
            elif len(z) and np.isfinite(value):
                notes.append(f"{name}: {value:.4g} s is outside its time-depth relation ({t[0]:.4g} to {t[-1]:.4g} s), no depth is given")
            marker = _top(well, top)
            if marker is not None and len(z) and z[0] <= marker <= z[-1]:
                wanted = float(np.interp(marker, z, t))
        else:
            marker = _top(well, top)
            wanted = np.nan if marker is None else marker
        mistie = factor * (value - wanted)
        for column, cell in zip(rows, (name, value, distance, depth, amplitude, wanted, mistie), strict=True):
            rows[column].append(cell)
        if not np.isfinite(value):
            notes.append(f"{name}: the horizon is not tracked there")
            continue
        facts[f"horizon_{key}"] = Quantity(round(float(value), 5), unit, f"horizon at {name}")
        facts[f"distance_{key}"] = Quantity(round(float(distance), 1), "m", f"distance from {name} to where it was read")
        for short, cell, its, words in (("depth", depth, "m", "depth of the horizon at"), ("amplitude", amplitude, _unit(line), "amplitude at"),
                                        ("mistie", mistie, apart, "horizon less top at")):  # fmt: skip
            if np.isfinite(cell):
                facts[f"{short}_{key}"] = Quantity(float(f"{cell:.6g}"), its, f"{words} {name}")
    found = np.array(rows["mistie_ms"], float)
    found = found[np.isfinite(found)]
    if not np.isfinite(rows["horizon_time"]).any():
        raise Refusal("E_GEOMETRY", "the horizon is tracked at none of the wells.", "Track it farther, or take wells on the line.")
    if len(found):
        facts["mistie_mean"] = Quantity(round(float(found.mean()), 3), apart, f"mean of horizon less {top}")
        facts["mistie_rms"] = Quantity(round(float(np.sqrt(np.mean(found**2))), 3), apart, f"rms of horizon less {top}")
    far = [f"{name} {distance:.0f} m" for name, distance in zip(rows["well"], rows["distance"], strict=True) if distance > 500]
    if far:
        notes.append(f"read far from the well: {', '.join(far)}; with dip the times there are not those of the well")
    kept = {name: np.array(column, str if name == "well" else float) for name, column in rows.items()}
    if top is None:
        kept = {name: column for name, column in kept.items() if name not in ("top_time", "mistie_ms")}
    labels = {"y": "two-way time (s)" if in_time else "depth (m)", "top": str(top)}
    title = f"{horizon.title or 'Horizon'} at wells"
    return Report(title=title, facts=facts, notes=tuple(notes), arrays=kept, drawing="horizon_at_wells", labels=labels)


@tool(
    discipline="any",
    stage="interpretation",
    reference="Linear interpolation on the Delaunay triangles of the stations (bilinear on a grid); nothing beyond their hull.",
    truth="a plane of gravity is read at every trace to 1e-9 mGal (1e-6 through a projection), its gradient as 2 mGal/km",
    say=(
        "Gravity along {line} from {stations}",
        "sample {stations} along the seismic line {line}",
        "extract a gravity profile on {line}",
        "What does {stations} do along {line}?",
        "bouguer profile under {line} pls, no farther than {reach} from a station",
        "put the gravity of {stations} on the traces of {line}",
        "compare seismic {line} with gravity {stations}",
        "magnetic profile from {stations} along {line}",
        "please to take the anomaly of {stations} at every CDP of {line}",
        "profile of {stations} along {line}, reach {reach}",
    ),
)
def gravity_along_line(
    stations: Gravity | Magnetics | Grid, line: Seismic, reach: Annotated[Metres, "farthest a station may be from the line"] | None = None
) -> Report:
    """The field at every trace of a seismic line, and how far the nearest station is.

    Both need coordinates in one CRS; degrees are projected to the line's. Traces outside the stations' hull, or farther than `reach` from
    every station (default: three times their median spacing), stay empty.
    """
    if line.x is None or line.y is None or not np.isfinite(line.x + line.y).any() or np.ptp(line.x) + np.ptp(line.y) == 0:
        message = "the line has no coordinates: nothing says where it crosses the map."
        raise Refusal("E_GEOMETRY", message, "Give a line whose headers hold positions.")
    x, y, value, unit, said = _points(stations, line)
    nodes = []  # m between neighbours along either axis of a grid
    if isinstance(stations, Grid):
        rows, columns = x.reshape(stations.values.shape), y.reshape(stations.values.shape)
        nodes = [np.hypot(np.diff(rows, axis=axis), np.diff(columns, axis=axis)) for axis in (0, 1)]
    good = np.isfinite(x + y + value)
    if good.sum() < 3:
        raise Refusal("E_DATA", f"{int(good.sum())} points hold a value; three are needed.")
    x, y, value = x[good], y[good], value[good]
    along = _distance(line.x, line.y)
    sampled, away, spacing = _interpolated(x, y, value, line.x, line.y)
    spacing = max([spacing, *(float(np.median(step)) for step in nodes)])
    limit = reach if reach is not None else 3 * spacing
    kept = np.isfinite(sampled) & (away <= limit)
    if not kept.any():
        nearest = float(np.nanmin(away))
        words = f"no trace lies among the points: the nearest is {nearest / 1000:.4g} km from the line, {limit / 1000:.4g} km are allowed"
        raise Refusal("E_GEOMETRY", words + ".", "Check that both have one CRS, or give a larger reach.")
    sampled = np.where(kept, sampled, np.nan)
    quantity = stations.quantity
    lowest, highest = int(np.nanargmin(sampled)), int(np.nanargmax(sampled))
    trend = np.polyfit(along[kept] / 1000, sampled[kept], 1)[0] if kept.sum() > 2 and np.ptp(along[kept]) > 0 else 0.0
    facts = {
        "range": Quantity([float(f"{sampled[lowest]:.7g}"), float(f"{sampled[highest]:.7g}")], unit, f"{quantity} range along the line"),
        "mean": Quantity(float(f"{np.nanmean(sampled):.7g}"), unit, f"mean {quantity} along the line"),
        "lowest_cdp": Quantity(int(line.numbers[lowest]), "", f"CDP of the lowest {quantity}"),
        "highest_cdp": Quantity(int(line.numbers[highest]), "", f"CDP of the highest {quantity}"),
        "gradient": Quantity(float(f"{trend:.5g}"), f"{unit}/km", f"mean slope of the {quantity} along the line"),
        "length": Quantity(round(float(along[-1]), 1), "m", "length of the line"),
        "traces": Quantity(int(kept.sum()), "", "traces with a value"),
        "nearest": Quantity(round(float(np.median(away[kept])), 1), "m", "median distance to the nearest point"),
    }
    notes = [f"{quantity}, linear between the points; positive distance from CDP {int(line.numbers[0])}", *said]
    if left := int((~kept).sum()):
        notes.append(f"{left} of {len(kept)} traces are outside the points or farther than {limit:.4g} m from one: left empty")
    if spacing > 0.5 * float(along[-1]):
        notes.append(f"the points are {spacing:.4g} m apart, the line is {along[-1]:.4g} m long: detail along it is interpolation")
    return Report(
        title=f"{quantity} along {line.title or 'the line'}",
        facts=facts,
        notes=tuple(notes),
        arrays={"distance": along / 1000, quantity.replace(" ", "_"): sampled},
        drawing="lines",
        labels={"x": "distance along the line (km)", "y": f"{quantity} ({unit})"},
    )


@tool(
    discipline="any",
    stage="interpretation",
    reference="A listing: numbers as the steps that made them stated them.",
    truth="values, units and sources as they were stated; 1500 m against 1700 m is told as a disagreement",
    say=(
        "Put what {results} say into one table",
        "evidence table of {results}",
        "summarise the numbers of {results} with their sources",
        "What do all the data say? collect {results}",
        "list every result with its unit and where it comes from",
        "table of findings from {results} pls",
        "collect the evidence from seismic, wells and gravity: {results}",
        "please to make a summary table of {results}",
        "where do {results} disagree?",
        "one table: value, unit, source, for {results}",
    ),
)
def evidence_table(results: list[Data]) -> Report:
    """Every number of several results in one table, with unit and source, and where two of one name differ by more than 5 %.

    The numbers are the facts of the step that made each result, or its summary where it is as it was read.
    """
    if not results:
        raise Missing("results", "Which results should the table hold?")
    names = _sources(results)
    facts: dict[str, Quantity] = {}
    rows: list[tuple[str, str, str, str, str]] = []
    seen: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for source, result in zip(names, results, strict=True):
        made = result.history[-1].tool if result.history else "as read"
        measured = {key: quantity for key, quantity in (result.facts or result.summary()).items() if not key.startswith("table.")}
        for key, quantity in measured.items():
            if len(rows) == MOST:
                break
            what = quantity.label or key.replace("_", " ")
            unit = "" if quantity.unit == UNKNOWN else quantity.unit
            rows.append((what, str(Quantity(quantity.value, "", quantity.label)), unit, source, made))
            short = f"{_slug(source)}.{key}"
            facts[short] = Quantity(quantity.value, quantity.unit, f"{what} ({source})")
            if isinstance(quantity.value, (int, float)) and not isinstance(quantity.value, bool) and np.isfinite(quantity.value):
                seen.setdefault((what, unit), []).append((source, float(quantity.value)))
    if not rows:
        raise Refusal("E_DATA", f"none of {', '.join(names)} holds a number.")
    notes = [f"{len(rows)} numbers of {len(results)} results, each as its own step stated it; nothing was recomputed"]
    total = sum(len(result.facts or result.summary()) for result in results)
    if total > len(rows):
        notes.append(f"{total - len(rows)} numbers beyond the first {MOST} are left out")
    for (what, unit), values in seen.items():
        low, high = min(values, key=lambda pair: pair[1]), max(values, key=lambda pair: pair[1])
        size = max(abs(low[1]), abs(high[1]))
        if len(values) > 1 and size > 0 and (high[1] - low[1]) / size > APART:
            notes.append(f"{what}: {low[1]:.5g} {unit} by {low[0]}, {high[1]:.5g} {unit} by {high[0]}".replace("  ", " "))
    columns = ("what", "value", "unit", "source", "step")
    arrays = {name: np.array([row[i] for row in rows]) for i, name in enumerate(columns)}
    return Report(title="Evidence", facts=facts, notes=tuple(notes), arrays=arrays, drawing="evidence")


def _read(horizon: Horizon, line: Seismic | None, times: Array, well: Well) -> tuple[float, float, float]:
    """(the horizon at a well, m to where it was read, amplitude there)."""
    if well.x is None or well.y is None:
        raise Refusal("E_GEOMETRY", f"{called(well)} has no coordinates: nothing says where it meets the horizon.")
    if line is None:
        read, apart = horizon_near(horizon, np.array([well.x]), np.array([well.y]))
        return float(read[0]), float(apart[0]), np.nan
    if line.x is None or line.y is None or np.ptp(line.x) + np.ptp(line.y) == 0:
        raise Refusal("E_GEOMETRY", "the line has no coordinates: nothing says where the wells are on it.")
    distance = np.hypot(line.x - well.x, line.y - well.y)
    at = int(np.nanargmin(distance))
    value = float(times[at])
    place = (value - line.t0) / line.dt
    trace = line.data[at]
    inside = np.isfinite(value) and 0 <= place <= len(trace) - 1
    amplitude = float(np.interp(place, np.arange(len(trace)), trace)) if inside else np.nan
    return value, float(distance[at]), amplitude


def _top(well: Well, name: str | None) -> float | None:
    if name is None:
        return None
    return next((float(depth) for held, depth in well.tops.items() if held.casefold().replace(" ", "") == name.casefold().replace(" ", "")), None)


def _unit(line: Seismic | None) -> str:
    return "" if line is None or line.unit == UNKNOWN else line.unit


def _points(stations: Gravity | Magnetics | Grid, line: Seismic) -> tuple[Array, Array, Array, str, list[str]]:
    """(x, y in the line's CRS, values, unit, what to note)."""
    if isinstance(stations, Grid):
        x, y = (axis.ravel() for axis in np.meshgrid(stations.x, stations.y))
        value, unit, geographic = stations.values.ravel(), stations.unit, stations.geographic
    else:
        (x, y), value, geographic = stations.coordinates(), stations.value, stations.geographic
        unit = "mGal" if isinstance(stations, Gravity) else "nT"
    source = stations.crs if stations.crs != UNKNOWN else "EPSG:4326" if geographic else UNKNOWN
    if source == line.crs != UNKNOWN and not geographic:
        return x, y, value, unit, []
    if geographic or (source != UNKNOWN and line.crs != UNKNOWN):
        if line.crs == UNKNOWN:
            message = "the points are in degrees and the CRS of the line is not known: they cannot be laid over one another."
            raise Refusal("E_GEOMETRY", message, "Say which CRS the line's coordinates are in.")
        from pyproj import Transformer
        from pyproj.exceptions import CRSError

        try:
            x, y = (np.asarray(axis) for axis in Transformer.from_crs(source, line.crs, always_xy=True).transform(x, y))
        except CRSError as error:
            raise Refusal("E_GEOMETRY", f"{source} cannot be projected to {line.crs}: {error}") from error
        return x, y, value, unit, [f"points projected from {source} to {line.crs}"]
    return x, y, value, unit, ["the CRS of the line or of the points is not stated: taken to be the same"]


def _distance(x: Array, y: Array) -> Array:
    """(trace,) m along the line."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x.astype(float)), np.diff(y.astype(float))))])


def _interpolated(x: Array, y: Array, value: Array, at_x: Array, at_y: Array) -> tuple[Array, Array, float]:
    """((trace,) values, NaN beyond the hull; (trace,) m to the nearest point; median spacing of the points m)."""
    from scipy.interpolate import LinearNDInterpolator
    from scipy.spatial import QhullError, cKDTree

    wanted = np.column_stack([at_x, at_y]).astype(float)
    tree = cKDTree(np.column_stack([x, y]))
    away = np.asarray(tree.query(np.where(np.isfinite(wanted), wanted, np.inf))[0])
    some = np.column_stack([x, y])[:: max(1, len(x) // 2000)]
    spacing = float(np.median(tree.query(some, k=2)[0][:, 1]))
    near = _around(x, y, wanted, 20 * spacing)
    middle = np.array([x[near].mean(), y[near].mean()]) if near.any() else np.zeros(2)
    try:
        surface = LinearNDInterpolator(np.column_stack([x[near], y[near]]) - middle, value[near])
        return np.asarray(surface(wanted - middle)), away, spacing
    except (QhullError, ValueError):  # fewer than three points, or all on one line
        return np.full(len(wanted), np.nan), away, spacing


def _around(x: Array, y: Array, wanted: Array, margin: float) -> Array:
    """(point,) bool, inside the line's box and a margin: a global grid need not be triangulated for one line; all when too few are."""
    low, high = np.nanmin(wanted, axis=0) - margin, np.nanmax(wanted, axis=0) + margin
    inside = (x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])
    return np.asarray(inside if inside.sum() >= 16 else np.ones(len(x), bool))


def _sources(results: list[Data]) -> list[str]:
    """A name for each result, all different."""
    names: list[str] = []
    for result in results:
        kind = type(result).__name__.lower()
        name = result.title or (result.well_name if isinstance(result, Well) else "") or kind
        count = sum(other == name or other.startswith(f"{name} (") for other in names)
        names.append(f"{name} ({count + 1})" if count else name)
    return names


def _slug(name: str) -> str:
    return "".join(c.lower() if c.isalnum() else "_" for c in name).strip("_")
