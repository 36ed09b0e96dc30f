"""A well made whole: checkshots, tops and a track joined to its logs, and depths along the hole changed for depths straight down.

The files are read in `moho.interpretation`; what a complete well is for is in `seismic_modelling`, `well_tie` and `depth_conversion`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np

from moho.agent.registry import tool
from moho.agent.tools.seismic_modelling import sonic_time, vertical
from moho.agent.tools.ties import called
from moho.errors import Missing, Refusal
from moho.interpretation import checkshots_of, with_checkshots, with_tops, with_track
from moho.survey import UNKNOWN, Array, Table, Well
from moho.units import Quantity

FEET = 0.3048
WELL_NAME = re.compile(r"(?<![A-Za-z0-9])(?:[A-Za-z]|[A-Za-z]{0,4}\d{1,3})(?:[-/]\d{1,3})+[A-Za-z]?\d{0,2}(?![A-Za-z0-9])")
SONIC_OFF = 1.25  # times of checkshots over those of the sonic: another well, or another unit
SONIC_ODD = 1.05
LISTED = 12  # tops among the facts
DEPTHS = {"MD": "measured depth", "TVD": "true vertical depth", "TVDSS": "true vertical depth below the datum"}
# what a column may be called, without its unit
COLUMNS = {
    "depth": r"md|measured ?depth|depth|tvd|dept|z",
    "time": r"twt|twtt|owt|two ?way ?(?:travel ?)?time|one ?way ?(?:travel ?)?time|time|t",
    "top": r"tops?|name|markers?|surface|formation|pick|horizon|zone|unit",
    "inclination": r"inc|incl|inclination|dev|deviation|drift|hole ?inclination",
    "azimuth": r"az|azi|azim|azimuth|hole ?azimuth",
}


@tool(
    discipline="well",
    stage="processing",
    reference="White and Simm 2003, Tutorial: good practice in well ties, First Break 21(10), 75-83; Sawaryn and Thorogood 2005, SPE 84246",
    truth="F02-1 with its own 25 checkshots, 25 tops and track: 0.544 s at 553.6 m, datum 30 m below its zero; a bend of 500 m radius to 1e-6 m",
    say=(
        "Join the checkshots {checkshots} to {well}",
        "complete {well} with checkshots {checkshots}, tops {tops} and track {track}",
        "attach markers {tops} to {well}",
        "load the deviation survey {track} into {well}",
        "give {well} its time-depth relation from {checkshots}",
        "{well} + {checkshots} + {tops} pls, one well",
        "put the formation tops {tops} and the checkshots {checkshots} on well {well}",
        "please to add to the well {well} the T-D file {checkshots}, times are {time}",
        "I have the LAS {well}, the checkshot {checkshots} and the well path {track}: put them together",
        "prepare {well} for the tie with {checkshots}",
        "set the trajectory of {well} from {track}",
    ),
)
def complete_well(
    well: Well,
    checkshots: Table | None = None,
    tops: Table | None = None,
    track: Table | None = None,
    time: Annotated[Literal["one-way", "two-way"], "way of the checkshot times"] | None = None,
) -> Well:
    """The well with its time-depth relation, its tops and its trajectory, whichever are given.

    A track holds x, y, depth below the datum and measured depth, or measured depth, inclination and azimuth in degrees, which
    minimum curvature makes a path from the wellhead. Depths of all are taken to be the logs', and what is datum, zero and
    unit is said. Tables named after another well, positions over 50 m from the log's, and times that differ from the sonic's
    by a quarter are refused.
    """
    if checkshots is None and tops is None and track is None:
        raise Missing("checkshots", f"What shall be joined to {called(well)}: checkshots, tops or a track?")
    name = called(well)
    for table, what in ((checkshots, "checkshots"), (tops, "tops"), (track, "track")):
        if table is not None:
            _of_this_well(table, well, what)
    full, notes = replace(well, notes=()), []
    bushing = well.facts["kelly_bushing"].value if "kelly_bushing" in well.facts else None
    facts: dict[str, Quantity] = {}
    if track is not None:
        full = with_track(full, _as_track(track, well, bushing))
        stations = full.track
        assert stations is not None
        if full.reference == UNKNOWN:
            full = replace(full, reference="MD")
            notes.append("the log file does not say what its depths are: with a track they are taken as measured depth (MD)")
        zero = 0.0 - _vertical_of_zero(stations)
        if bushing is not None and abs(zero - float(bushing)) > 5:
            words = f"the track's measured depth begins {zero:.5g} m above its datum, the log header's kelly bushing lies"
            words += f" {float(bushing):.5g} m above: is the track this well's, in metres?"
            raise Refusal("E_UNITS", f"{name}: {words}", "Take the track of this well, in metres.")
        side = np.hypot(stations[:, 0] - stations[0, 0], stations[:, 1] - stations[0, 1])
        facts["track_stations"] = Quantity(len(stations), "", "stations of the track")
        facts["datum_below_zero"] = Quantity(round(zero, 3), "m", "height of the depths' zero above the track's datum")
        facts["deepest"] = Quantity(round(float(stations[:, 2].max()), 3), "m", "deepest point of the track below the datum")
        facts["departure"] = Quantity(round(float(side.max()), 3), "m", "largest horizontal distance from the wellhead")
        notes.append(f"zero of measured depth lies {zero:.5g} m above the track's datum, which the track does not name: sea level as a rule")
        if full.depth[-1] > stations[-1, 3] + 1:
            notes.append(f"the logs go to {full.depth[-1]:.6g} m, the track to {stations[-1, 3]:.6g} m: no vertical depth is known below")
        if side.max() > 25:
            notes.append("the well deviates: distances to traces are taken from the middle of its logs, other tools use the wellhead")
    if checkshots is not None:
        full = with_checkshots(full, _as_checkshots(checkshots, time))
        assert full.checkshot_depth is not None
        assert full.checkshot_time is not None
        z, t = full.checkshot_depth, full.checkshot_time
        facts["shots"] = Quantity(len(z), "", "checkshots")
        facts["shot_depths"] = Quantity([float(z[0]), float(z[-1])], "m", "depths of the checkshots")
        facts["shot_times"] = Quantity([float(t[0]), float(t[-1])], "s", "two-way times of the checkshots")
        facts["average_velocity"] = Quantity(round(float(2 * np.ptp(vertical(full, z)) / np.ptp(t)), 1), "m/s", "average velocity of the checkshots")
        origin = float(z[0] - t[0] * (z[1] - z[0]) / (t[1] - t[0]))
        facts["time_zero"] = Quantity(round(origin, 3), "m", "depth at which two-way time is zero")
        notes.append(_time_datum(origin, t[0] != 0, full, bushing))
        if z[-1] < full.depth[-1]:
            ends = f"the checkshots end at {z[-1]:.6g} m, the logs at {full.depth[-1]:.6g} m"
            notes.append(f"{ends}: below, time is only the sonic's or the last interval's")
        facts |= _against_sonic(full, notes)
    if tops is not None:
        full = with_tops(full, _as_tops(tops))
        _tops_fit(full)
        below = [one for one, place in full.tops.items() if place > full.depth[-1]]
        facts["tops"] = Quantity(len(full.tops), "", "tops")
        facts["top_depths"] = Quantity([float(min(full.tops.values())), float(max(full.tops.values()))], "m", "depths of the tops")
        if below:
            named = ", ".join(below[:6]) + (f" and {len(below) - 6} more" if len(below) > 6 else "")
            notes.append(f"{len(below)} of {len(full.tops)} tops lie below the logs, which end at {full.depth[-1]:.6g} m: {named}")
    if bushing is not None:
        facts["kelly_bushing"] = well.facts["kelly_bushing"]
    view = {"completed": _velocities(full)} if checkshots is not None else {}
    return full.made(facts=facts, notes=(*notes, *full.notes), view=view)


@tool(
    discipline="well",
    stage="processing",
    reference="Sawaryn and Thorogood 2005, A compendium of directional calculations based on the minimum curvature method, SPE Drilling 20(1)",
    truth="a straight hole at 60 degrees: vertical depth is half the measured depth to 1e-6 m, and back to 1e-6 m",
    say=(
        "Put {well} in {to}",
        "convert the depths of {well} to {to}",
        "{well} MD to TVD",
        "I need the logs of {well} in true vertical depth",
        "TVDSS of {well} pls",
        "change depth reference of {well} to {to}",
        "what is the TVD of the tops of {well}?",
        "show {well} in depth below sea level",
        "measured depth of {well} back from {to}",
        "please to transform {well} from measured depth in {to}",
    ),
)
def well_depths(well: Well, to: Annotated[Literal["MD", "TVD", "TVDSS"], "depth to change to"]) -> Well:
    """The well with its logs, tops and checkshots over measured depth (MD), true vertical depth (TVD) or that below the datum (TVDSS).

    By its track, linear between stations: TVD counts from the zero of measured depth, TVDSS from the track's datum, positive down.
    Nothing is extrapolated beyond the track; no sample is interpolated, each keeps its value at its new depth.
    """
    name = called(well)
    if well.track is None:
        raise Refusal("E_GEOMETRY", f"{name} has no track: how it runs is not known.", "Join its deviation survey with complete_well first.")
    if well.reference not in DEPTHS:
        raise Refusal("E_DATA", f"the depths of {name} are {well.measured}.", "complete_well with a track takes them as measured depth.")
    if well.reference == to:
        raise ValueError(f"the depths of {name} are {to} already")
    track = well.track
    scale = {"MD": track[:, 3], "TVDSS": track[:, 2], "TVD": track[:, 2] - _vertical_of_zero(track)}
    source, target = scale[well.reference], scale[to]
    for label, axis in ((well.reference, source), (to, target)):
        if (np.diff(axis) <= 0).any():
            row = int(np.argmax(np.diff(axis) <= 0))
            words = f"{DEPTHS[label]} does not increase from {axis[row]:.6g} to {axis[row + 1]:.6g} m, at a measured depth of {track[row, 3]:.6g} m"
            raise Refusal("E_GEOMETRY", f"{name} runs level or upward: {words}.", "Keep its logs in measured depth.")
    low, high = (source[0], source[-1]) if well.reference != "MD" else (min(0.0, source[0]), source[-1])

    def moved(depth: Array) -> Array:
        above = np.minimum(np.asarray(depth, float) - source[0], 0.0)  # vertical above the first station
        return np.asarray(np.interp(depth, source, target) + above)

    kept = (well.depth >= low - 1e-6) & (well.depth <= high + 1e-6)
    if kept.sum() < 2:
        raise Refusal("E_GEOMETRY", f"the logs of {name} run from {well.depth[0]:g} to {well.depth[-1]:g} m, its track from {low:g} to {high:g} m.")
    tops = {top: float(moved(np.array([place]))[0]) for top, place in well.tops.items() if low - 1e-6 <= place <= high + 1e-6}
    depth = moved(well.depth[kept])
    zero = f"zero of measured depth {0.0 - _vertical_of_zero(track):.5g} m above the datum"
    notes = [f"{DEPTHS[to]} by {len(track)} stations of the track, linear between them; {zero}"]
    shots = well.checkshot_depth, well.checkshot_time
    if well.checkshot_depth is not None and well.checkshot_time is not None:
        inside = (well.checkshot_depth >= low - 1e-6) & (well.checkshot_depth <= high + 1e-6)
        shots = moved(well.checkshot_depth[inside]), well.checkshot_time[inside]
        if not inside.all():
            notes.append(f"{int((~inside).sum())} checkshots beyond the track are left out")
    if len(tops) < len(well.tops):
        notes.append(f"{len(well.tops) - len(tops)} tops beyond the track, which ends at {high:.6g} m, are left out")
    if not kept.all():
        notes.append(f"{int((~kept).sum())} samples beyond the track are left out")
    change = depth - well.depth[kept]
    facts = {
        "depth": Quantity([round(float(depth[0]), 4), round(float(depth[-1]), 4)], "m", f"depth range ({to})"),
        "change": Quantity([round(float(change.min()), 4), round(float(change.max()), 4)], "m", f"{to} less {well.reference}"),
    }
    facts |= {f"top_{number}": Quantity(round(place, 3), "m", f"{top} ({to})") for number, (top, place) in enumerate(list(tops.items())[:LISTED], 1)}
    if len(tops) > LISTED:
        notes.append(f"the first {LISTED} of {len(tops)} tops are listed, and {len(tops) - LISTED} more are kept on the well")
    curves = {key: replace(curve, values=curve.values[kept]) for key, curve in well.curves.items()}
    changes = {"curves": curves, "tops": tops, "checkshot_depth": shots[0], "checkshot_time": shots[1], "reference": to, "view": {}}
    return well.made(facts=facts, notes=tuple(notes), depth=depth, **changes)


def minimum_curvature(md: Array, inclination: Array, azimuth: Array) -> Array:
    """(station, 3) m east, north and down of the first station: measured depth in m, angles in degrees, azimuth from north.

    Between two stations the hole is an arc of a circle.
    """
    inc, azi = np.radians(inclination), np.radians(azimuth)
    way = np.column_stack([np.sin(inc) * np.sin(azi), np.sin(inc) * np.cos(azi), np.cos(inc)])
    bend = np.arccos(np.clip(np.sum(way[1:] * way[:-1], axis=1), -1, 1))
    ratio = np.where(bend > 1e-6, np.tan(bend / 2) / np.where(bend > 1e-6, bend / 2, 1), 1.0)
    steps = 0.5 * (np.diff(md) * ratio)[:, None] * (way[1:] + way[:-1])
    return np.vstack([np.zeros(3), np.cumsum(steps, axis=0)])


def _vertical_of_zero(track: Array) -> float:
    """Depth below the datum (m) where measured depth is zero; vertical above the first station."""
    md, down = track[:, 3], track[:, 2]
    return float(down[0] - md[0]) if md[0] > 0 else float(np.interp(0.0, md, down))


def _of_this_well(table: Table, well: Well, what: str) -> None:
    """Refuse a table that is plainly named after another well."""
    theirs = WELL_NAME.search(table.title.replace("_", " "))
    ours = WELL_NAME.search(called(well).replace("_", " "))
    if theirs is None or ours is None:
        return
    a, b = ([int(part) if part.isdigit() else part for part in re.findall(r"[a-z]+|\d+", one[0].lower())] for one in (theirs, ours))
    if a[: len(b)] != b and b[: len(a)] != a:
        words = f"the {what} {table.title} {'is' if what == 'track' else 'are'} named after {theirs[0]}, the logs are of {called(well)}"
        raise Refusal("E_DATA", f"{words}.", f"Take the {what} of {called(well)}; if only the file's name is wrong, rename it and add it again.")


def _time_datum(origin: float, extrapolated: bool, well: Well, bushing: float | None) -> str:
    """Where two-way time zero lies, against the datum as far as it is known."""
    words = f"two-way time is zero at {origin:.5g} m of the logs' depth" + (" (from the first two shots)" if extrapolated else "")
    above = 0.0 - _vertical_of_zero(well.track) if well.track is not None else bushing
    if above is None:
        return f"{words}; the height of the depths' zero is not known, so neither is the datum of the times"
    off = origin - float(above)
    where = "at the datum" if abs(off) < 0.5 else f"{abs(off):.3g} m {'below' if off > 0 else 'above'} the datum"
    source = "track" if well.track is not None else "kelly bushing"
    return f"{words}, that is {where}, which lies {float(above):.5g} m below the zero of depth ({source})"


def _against_sonic(well: Well, notes: list[str]) -> dict[str, Quantity]:
    """The checkshots' time over the sonic's where both are; Refusal where they cannot be of one well in one unit."""
    assert well.checkshot_depth is not None
    assert well.checkshot_time is not None
    sonic = sonic_time(well)
    if sonic is None:
        notes.append("no sonic log to hold the checkshots against")
        return {}
    depth, time = sonic
    low, high = max(float(depth[0]), float(well.checkshot_depth[0])), min(float(depth[-1]), float(well.checkshot_depth[-1]))
    if high < low + 50:
        ends = f"checkshots ({well.checkshot_depth[0]:g} to {well.checkshot_depth[-1]:g} m) and sonic ({depth[0]:g} to {depth[-1]:g} m)"
        notes.append(f"{ends} hardly meet")
        return {}
    shot, log = (float(np.diff(np.interp([low, high], z, t))[0]) for z, t in ((well.checkshot_depth, well.checkshot_time), (depth, time)))
    ratio = shot / log
    words = f"from {low:.6g} to {high:.6g} m the checkshots take {shot:.4g} s and the sonic {log:.4g} s"
    if not 1 / SONIC_OFF < ratio < SONIC_OFF:
        hint = "Look at the unit of the depths (feet?), of the sonic, at one-way or two-way times, and whether both are of this well."
        raise Refusal("E_UNITS", f"{called(well)}: {words}, a factor of {ratio:.3g}.", hint)
    odd = not 1 / SONIC_ODD < ratio < SONIC_ODD
    notes.append(words + (f": {abs(ratio - 1):.0%} apart, more than a well and its own shots differ as a rule" if odd else ""))
    return {"sonic_ratio": Quantity(round(ratio, 4), "", "time of the checkshots over that of the sonic")}


def _velocities(well: Well) -> dict[str, Array]:
    """For the drawing: velocity straight down (m/s) between the checkshots, and of the sonic in blocks of 10 m at their depths."""
    assert well.checkshot_depth is not None
    assert well.checkshot_time is not None
    made = {"shots": 2 * np.diff(vertical(well, well.checkshot_depth)) / np.diff(well.checkshot_time), "depth": np.zeros(0), "velocity": np.zeros(0)}
    sonic = sonic_time(well)
    if sonic is not None and np.ptp(sonic[0]) >= 20:
        edges = np.linspace(sonic[0][0], sonic[0][-1], int(np.ptp(sonic[0]) / 10) + 1)
        made["depth"] = 0.5 * (edges[1:] + edges[:-1])
        made["velocity"] = 2 * np.diff(vertical(well, edges)) / np.diff(np.interp(edges, *sonic))
    return made


def _tops_fit(well: Well) -> None:
    """Refuse tops most of which lie below all else that is known of the well."""
    ends = [float(well.depth[-1])]
    ends += [float(well.checkshot_depth[-1])] if well.checkshot_depth is not None else []
    ends += [float(well.track[-1, 3])] if well.track is not None else []
    places = np.array(list(well.tops.values()))
    low = int((places > max(ends) + 1).sum())
    if low > 0.5 * len(places):
        words = f"{low} of {len(places)} tops lie below {max(ends):.6g} m, where all that is known of {called(well)} ends;"
        words += f" the deepest is {places.max():.6g} m"
        raise Refusal("E_UNITS", f"{words}.", "Are they of this well, in metres (not feet), by the depth of the logs?")


def _named(table: Table, role: str, text: bool = False) -> tuple[Array, str] | None:
    """(values of the column that goes by one of the role's names, its unit, '' where none is written)."""
    for name, values in table.columns.items():
        match = re.fullmatch(r"\s*(.+?)[\s_]*(?:[\[(\s_](m|ft|feet|s|sec|ms|msec|deg|degrees)[\])]?)?\s*", name.lower())
        assert match is not None
        plain = re.sub(r"[_\-.]+", " ", match[1]).strip()
        if re.fullmatch(COLUMNS[role], plain) and np.issubdtype(values.dtype, np.number) is not text:
            return values, {"feet": "ft", "sec": "s", "msec": "ms", "degrees": "deg"}.get(match[2] or "", match[2] or "")
    return None


def _lacking(table: Table, what: str) -> Refusal:
    return Refusal("E_DATA", f"{table.title} holds {', '.join(table.columns)}, not {what}.", "Give those columns these names, with their units.")


def _as_checkshots(table: Table, time: Literal["one-way", "two-way"] | None) -> Table:
    if {"depth_m", "twt_s"} <= set(table.columns):
        if time == "one-way":
            speed = float(2 * np.ptp(table.columns["depth_m"]) / np.ptp(table.columns["twt_s"]))
            raise Refusal("E_UNITS", f"{table.title} was read as two-way times already: average {speed:.0f} m/s, twice that if they are one-way.")
        return table
    depth, times = _named(table, "depth"), _named(table, "time")
    if depth is None or times is None:
        raise _lacking(table, "a depth and a time column (MD (m), TWT (ms))")
    if not (np.isfinite(depth[0]).all() and np.isfinite(times[0]).all()):
        raise Refusal("E_DATA", f"{table.title}: {int((~np.isfinite(depth[0] + times[0])).sum())} of {len(depth[0])} rows lack a depth or a time.")
    metres = np.asarray(depth[0], float) * (FEET if depth[1] == "ft" else 1.0)
    name = " ".join(table.columns).lower()
    way = time or ("two-way" if re.search(r"twt|two", name) else "one-way" if re.search(r"owt|one", name) else None)
    notes = ("Depth is in feet in the table; metres here.",) if depth[1] == "ft" else ()
    return checkshots_of(metres, np.asarray(times[0], float), table.title, table.title, time=way, unit=times[1], notes=notes)


def _as_tops(table: Table) -> Table:
    if {"top", "depth_m"} <= set(table.columns):
        return table
    names, depth = _named(table, "top", text=True), _named(table, "depth")
    if names is None or depth is None:
        raise _lacking(table, "a column of names and one of depths (top, MD (m))")
    known = np.isfinite(depth[0])
    if not known.any():
        raise Refusal("E_DATA", f"{table.title}: no top has a depth.")
    notes = ["Depths of the tops are in feet in the table; metres here."] if depth[1] == "ft" else []
    notes += [] if known.all() else [f"{int((~known).sum())} tops without a depth are left out."]
    metres = np.asarray(depth[0], float)[known] * (FEET if depth[1] == "ft" else 1.0)
    return Table(title=table.title, columns={"top": names[0][known].astype(str), "depth_m": metres}, notes=tuple(notes))


def _as_track(table: Table, well: Well, bushing: float | None) -> Table:
    """The track by positions; one of angles is followed from the wellhead."""
    if {"x_m", "y_m", "tvdss_m", "md_m"} <= set(table.columns):
        return table
    md, inclination, azimuth = (_named(table, role) for role in ("depth", "inclination", "azimuth"))
    if md is None or inclination is None or azimuth is None:
        raise _lacking(table, "x, y, depth and measured depth, nor MD, inclination and azimuth")
    depth = np.asarray(md[0], float) * (FEET if md[1] == "ft" else 1.0)
    inc, azi = np.asarray(inclination[0], float), np.asarray(azimuth[0], float)
    whole = int(np.isfinite(depth + inc + azi).sum())
    if whole < max(2, len(depth)):
        raise Refusal("E_DATA", f"{table.title}: {whole} of {len(depth)} stations are complete; all must be, and two at least.")
    if (np.diff(depth) <= 0).any():
        row = int(np.argmax(np.diff(depth) <= 0))
        raise Refusal("E_GEOMETRY", f"{table.title}: measured depth does not increase from {depth[row]:g} to {depth[row + 1]:g} m.")
    if inc.min() < 0 or inc.max() > 180 or azi.min() < -360 or azi.max() > 360:
        words = f"inclination {inc.min():g} to {inc.max():g}, azimuth {azi.min():g} to {azi.max():g}"
        raise Refusal("E_UNITS", f"{table.title}: {words}; degrees from 0 to 180 and 0 to 360 are wanted.")
    if well.x is None or well.y is None:
        raise Refusal("E_GEOMETRY", f"{called(well)} has no position in its log header: a track of angles needs where it begins.")
    path = minimum_curvature(depth, inc, azi)
    height = 0.0 if bushing is None else float(bushing)
    said = "Minimum curvature from the wellhead of the log header, vertical above the first station; azimuth taken from grid north."
    zero = f"Depth zero lies {height:g} m above the datum by the log's kelly bushing." if bushing is not None else (
        "No kelly bushing is given: the datum is taken at the zero of measured depth.")  # fmt: skip
    columns = {"x_m": well.x + path[:, 0], "y_m": well.y + path[:, 1], "tvdss_m": path[:, 2] + depth[0] - height, "md_m": depth}
    return Table(title=table.title, columns=columns, notes=(*table.notes, said, zero))
