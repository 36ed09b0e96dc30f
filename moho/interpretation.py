"""What interpreters export as text: checkshots, well tops, well tracks and horizons, and how they are attached to a well.

The files have no header as a rule; what their columns are is decided by physics (times grow with depth, an average velocity is
that of rock) and said in the notes. Pick tables with named columns are read by `moho.tables`, QuakeML picks by `moho.waveforms`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from moho.errors import DataError, Missing
from moho.files import DELIMITERS, clean, coded, read_text, text_head
from moho.survey import Array, Horizon, Table, Well
from moho.tables import read_columns

SLOWEST, FASTEST = 1300.0, 7000.0  # m/s, average velocities from the surface that are believed
NAMES = {
    "checkshots": r"check ?shot|(?<![a-z])td(?![a-z])|time ?depth|\bcs\b|vsp",
    "tops": r"marker|tops?(?![a-z])|pick.*well",
    "track": r"track|deviation|survey",
}
HORIZON = re.compile(r"horizon|\bhor\b|\bhrz\b|seismic ?surface", re.I)


def looks_like(head: bytes, path: Path) -> bool:
    """Whether the file is one of these by its name and its first lines."""
    return bool(kind_of(head, path))


def kind_of(head: bytes, path: Path) -> str:
    """'checkshots', 'tops', 'track', 'horizon', or '' when name and first lines do not say."""
    content = [line for line in text_head(head).split("\n")[:20] if line.strip() and line[0] not in "#!%"]
    lines = [line.split("\t") if "\t" in line else line.split() for line in content]
    if not lines or path.suffix.lower() in (".las", ".csv"):
        return ""
    name = re.sub(r"[_\-.]+", " ", path.name.lower())
    kind = next((kind for kind, pattern in NAMES.items() if re.search(pattern, name)), "horizon" if HORIZON.search(name) else "")
    first = [word for word in lines[-1 if len(lines) < 3 else 1] if word.strip()]
    if kind == "tops":
        return kind if len(first) > 1 and sum(map(_is_number, first)) < len(first) else ""
    numbers = " ".join(first).split()
    return kind if len(numbers) > 1 and all(map(_is_number, numbers)) else ""


def read_interpretation(
    path: str | Path, *, time: Literal["one-way", "two-way"] | None = None, unit: Literal["s", "ms", "m"] | None = None
) -> Table | Horizon:
    """Checkshots, tops, a track or a horizon, whichever name and first lines make it; E_FORMAT when they do not say.

    `time` is for checkshots, `unit` for horizons.
    """
    path = Path(path)
    text, _ = read_text(path)
    kind = kind_of(text[:65536].encode(), path)
    if kind == "checkshots":
        return read_checkshots(path, time=time)
    if kind == "horizon":
        return read_horizon(path, unit=unit)
    if kind == "tops":
        return read_tops(path)
    if kind == "track":
        return read_track(path)
    raise DataError("E_FORMAT", f"{path.name} is not plainly checkshots, tops, a track or a horizon.")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _columns(path: Path, delimiter: str | None = None) -> tuple[list[Array], list[str], tuple[str, ...]]:
    """All columns in order, their names and notes. Blanks and tabs together separate, as these files mix them."""
    if delimiter is not None and delimiter not in DELIMITERS:
        raise ValueError(f"delimiter must be one of {', '.join(DELIMITERS)}, got {delimiter!r}")
    text, notes = read_text(path)
    with coded("the table", path):
        mixed = delimiter is None and not re.search(r"[,;]", text)
        columns, said = read_columns(re.sub(r"[ \t]+", " ", text) if mixed else text, path.name, delimiter)
    kept = tuple(note for note in said if "separated by blanks" not in note and "names no columns" not in note)
    return list(columns.values()), list(columns), (*notes, *kept)


def _numbers(columns: list[Array], count: int, path: Path, what: str) -> list[Array]:
    if len(columns) < count:
        raise DataError("E_FORMAT", f"{path.name}: {len(columns)} columns; {what} are wanted.")
    for index, column in enumerate(columns[:count]):
        if not np.issubdtype(column.dtype, np.number):
            raise DataError("E_FORMAT", f"{path.name}: column {index + 1} holds text where {what} are wanted.")
        if not np.isfinite(column).all():
            raise DataError("E_DATA", f"{path.name}: column {index + 1} holds {int(np.isnan(column).sum())} nulls.")
    return columns[:count]


def read_checkshots(path: str | Path, *, time: Literal["one-way", "two-way"] | None = None) -> Table:
    """Checkshots of a two-column file: `depth_m` increasing and `twt_s`, two-way from where the file puts zero.

    Units and ways of time, and what is refused, are those of `checkshots_of`.
    """
    path = Path(path)
    columns, names, notes = _columns(path)
    depth, times = (column.astype(np.float64) for column in _numbers(columns, 2, path, "depth in metres and time"))
    said = [f"Depth is {clean(names[0], 20)} and time {clean(names[1], 20)}."] if not names[0].startswith("column_") else []
    return checkshots_of(depth, times, path.name, path.stem, time=time, notes=(*notes, *said))


def checkshots_of(
    depth: Array, times: Array, name: str, title: str, *, time: str | None = None, unit: str = "", notes: tuple[str, ...] = ()
) -> Table:
    """Depths in metres and times as checkshots: a Table of `depth_m`, increasing, and `twt_s`, two-way.

    Milliseconds, where `unit` does not say, and one-way times are recognised by the average velocity they give, which must be
    between 1300 and 7000 m/s; Missing `time` where both ways are possible. Repeated rows are left out, rows put in order, both
    said. Raises DataError.
    """
    said: list[str] = []
    order = np.argsort(depth, kind="stable")
    if not np.array_equal(order, np.arange(len(depth))):
        said.append("The rows are not in order of depth: they were sorted.")
    depth, times = depth[order], times[order]
    keep = np.concatenate([[True], (np.diff(depth) > 0) | (np.diff(times) != 0)])
    if not keep.all():
        said.append(f"{int((~keep).sum())} repeated rows are left out.")
    depth, times = depth[keep], times[keep]
    for axis, label in ((depth, "depth"), (times, "time")):
        if (np.diff(axis) <= 0).any():
            row = int(np.argmax(np.diff(axis) <= 0))
            words = f"{depth[row]:g} m, {times[row]:g} to {depth[row + 1]:g} m, {times[row + 1]:g}"
            raise DataError("E_GEOMETRY", f"{name}: {label} does not grow from {words}.")
    if len(depth) < 2:
        raise DataError("E_TRUNCATED", f"{name} holds one checkshot only.")
    unit = unit or ("ms" if np.ptp(times) > 20 else "s")
    seconds = times / 1000.0 if unit == "ms" else times
    velocity = float(np.ptp(depth) / np.ptp(seconds))
    believed = {way: factor * velocity for way, factor in (("one-way", 1.0), ("two-way", 2.0)) if SLOWEST <= factor * velocity <= FASTEST}
    if time is not None and time not in ("one-way", "two-way"):
        raise ValueError(f"time must be one-way or two-way, got {time!r}")
    if time is None and len(believed) == 2:
        words = f"the average velocity is {believed['one-way']:.0f} m/s if one-way, {believed['two-way']:.0f} if two-way"
        asked = f"{name} does not say whether its times are one-way or two-way: {words}. Say which"
        raise Missing("time", f"{asked}; for a file that is added: --hint time=one-way, or two-way.", ("one-way", "two-way"))
    if not believed or (time is not None and time not in believed):
        words = f"{name}: {np.ptp(depth):g} m in {np.ptp(seconds):g} s is {velocity:.0f} m/s one way, {2 * velocity:.0f} m/s two ways"
        if believed:
            why = f"As {next(iter(believed))} times they would fit."
        elif _fits(1000 * velocity) and unit == "s":
            why = "Are the times in ms? Then call them so where s is written."
        elif _fits(velocity / 1000) and unit == "ms":
            why = "Are the times in s? Then call them so where ms is written."
        else:
            why = "Are the depths in feet, or the times in another unit?"
        raise DataError("E_UNITS", f"{words}; rock has {SLOWEST:g} to {FASTEST:g} m/s. {why}")
    way: str = time or next(iter(believed))
    said.append(f"Times are {way} in {unit}{', as asked' if time else ''}: {believed[way]:.0f} m/s on average. Two-way seconds here.")
    said.append(f"Time is {seconds[0]:g} s at {depth[0]:g} m; the depth reference is not stated.")
    return Table(title=title, columns={"depth_m": depth, "twt_s": seconds * (2.0 if way == "one-way" else 1.0)}, notes=(*notes, *said))


def _fits(velocity: float) -> bool:
    """Whether an average velocity, of one-way or of two-way times, can be that of rock."""
    return SLOWEST / 2 <= velocity <= FASTEST


def read_tops(path: str | Path) -> Table:
    """Well tops of a file of depths in metres and names, in the file's order: columns `top` and `depth_m`. Raises DataError."""
    path = Path(path)
    text, notes = read_text(path)
    rows: list[tuple[float, str, list[str]]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line[0] in "#!%":
            continue
        words = [word.strip() for word in (re.split(r"[\t;,]", line) if re.search(r"[\t;,]", line) else line.split(None, 1))]
        numbers = [i for i, word in enumerate(words) if _is_number(word)]
        names = [i for i, word in enumerate(words) if word and not _is_number(word)]
        if not numbers and not rows:
            continue  # a header
        if len(numbers) != 1 or not names:
            raise DataError("E_FORMAT", f"{path.name}, line {number}: a depth and a name are wanted, got {clean(line, 50)!r}.")
        rows.append((float(words[numbers[0]]), clean(words[names[0]]), [words[i] for i in names[1:]]))
    if not rows:
        raise DataError("E_FORMAT", f"{path.name} holds no tops.")
    depth = np.array([row[0] for row in rows])
    if not np.isfinite(depth).all():
        raise DataError("E_DATA", f"{path.name}: a depth is NaN or infinite.")
    units = {word.lower() for row in rows for word in row[2]}
    if units - {"m", "md", "metres", "meters", ""}:
        raise DataError("E_UNITS", f"{path.name}: {clean(', '.join(sorted(units)), 40)!r} beside the tops; metres are read.")
    said = ["Depths are marked M; whether that is metres or measured depth is not stated, metres are taken."] if "m" in units else []
    said += [] if units else ["The unit of the depths is not stated: metres are taken."]
    if len({row[1] for row in rows}) < len(rows):
        raise DataError("E_HEADER", f"{path.name} names a top twice.")
    for value in sorted(set(depth.tolist())):
        together = [row[1] for row in rows if row[0] == value]
        if len(together) > 1:
            said.append(f"{', '.join(together)} are all at {value:g} m.")
    if (np.diff(depth) < 0).any():
        said.append("The tops are not in order of depth.")
    return Table(title=path.stem, columns={"top": np.array([row[1] for row in rows]), "depth_m": depth}, notes=(*notes, *said))


def read_track(path: str | Path) -> Table:
    """A well track: `x_m`, `y_m`, `tvdss_m` (positive down from the datum) and `md_m`, of a file of x, y, z and measured depth."""
    path = Path(path)
    columns, _, notes = _columns(path)
    x, y, z, md = (column.astype(np.float64) for column in _numbers(columns, 4, path, "x, y, z and measured depth in metres"))
    if (np.diff(md) <= 0).any():
        raise DataError("E_GEOMETRY", f"{path.name}: measured depth does not increase.")
    down = np.diff(z)
    length = np.sqrt(np.diff(x) ** 2 + np.diff(y) ** 2 + down**2)
    worst = float(np.max(np.abs(length) - np.diff(md), initial=0.0))
    if worst > 0.01 * float(np.ptp(md)) + 0.5:
        raise DataError("E_GEOMETRY", f"{path.name}: the track is {worst:.1f} m longer than its measured depth between two points.")
    above = -float(np.interp(0, md, z))
    said = [f"Columns are x, y, depth below the datum (positive down) and measured depth, whose zero lies {above:g} m above the datum."]
    if len(z) > 1 and np.ptp(x) == 0 and np.ptp(y) == 0:
        said.append("The well is vertical.")
    return Table(title=path.stem, columns={"x_m": x, "y_m": y, "tvdss_m": z, "md_m": md}, notes=(*notes, *said))


def read_horizon(path: str | Path, *, unit: Literal["s", "ms", "m"] | None = None) -> Horizon:
    """A horizon of x, y and time (or depth in metres with unit="m"): the unit is taken from a column's name or asked for."""
    path = Path(path)
    columns, names, notes = _columns(path)
    x, y, z = (column.astype(np.float64) for column in _numbers(columns, 3, path, "x, y and time or depth"))
    if unit is None:
        match = re.search(r"[\[(_ ](s|ms|m)[\])]?$", names[2].lower())
        if match is None:
            raise Missing("unit", f"{path.name} does not give the unit of its third column, {z.min():g} to {z.max():g}.", ("s", "ms", "m"))
        unit = match[1]  # type: ignore[assignment]
    if unit not in ("s", "ms", "m"):
        raise ValueError(f"unit must be s, ms or m, got {unit!r}")
    time = z / 1000.0 if unit == "ms" else z
    if unit != "m" and np.abs(time).max() > 30:
        raise DataError("E_UNITS", f"{path.name}: times reach {np.abs(time).max():g} s.")
    if (time < 0).all():
        time, notes = -time, (*notes, "Times or depths are negative in the file; positive down here.")
    return Horizon(title=path.stem, time=time, domain="depth" if unit == "m" else "time", x=x, y=y, notes=(*notes, f"The third column is in {unit}."))


def _reach(well: Well, deepest: float, what: str) -> None:
    """Refuse depths that belong to another well, or to this one in feet."""
    if deepest > 2.5 * float(well.depth[-1]) + 500:
        words = f"{what} reach {deepest:g} m, {well.well_name or 'the well'} ends at {well.depth[-1]:g} m"
        raise DataError("E_GEOMETRY", f"{words}: are they of this well, in metres?")


def with_checkshots(well: Well, checkshots: Table) -> Well:
    """The well with the checkshots of a Table that has `depth_m` and `twt_s`; their depth reference is taken to be the well's."""
    if not {"depth_m", "twt_s"} <= set(checkshots.columns):
        raise DataError("E_DATA", f"{checkshots.title} has no columns depth_m and twt_s: it holds {', '.join(checkshots.columns)}.")
    depth, time = checkshots.columns["depth_m"], checkshots.columns["twt_s"]
    _reach(well, float(depth[0]), "checkshots")
    said = f"{len(depth)} checkshots from {depth[0]:g} to {depth[-1]:g} m, taken to have the depth reference of the logs."
    return replace(well, checkshot_depth=depth, checkshot_time=time, notes=(*well.notes, *checkshots.notes, said))


def with_tops(well: Well, tops: Table) -> Well:
    """The well with the tops of a Table that has `top` and `depth_m`; their depth reference is taken to be the well's."""
    if not {"top", "depth_m"} <= set(tops.columns):
        raise DataError("E_DATA", f"{tops.title} has no columns top and depth_m: it holds {', '.join(tops.columns)}.")
    depth = tops.columns["depth_m"]
    _reach(well, float(depth.min()), "tops")
    held = {str(name): float(value) for name, value in zip(tops.columns["top"], depth, strict=True)}
    return replace(well, tops=held, notes=(*well.notes, *tops.notes, f"{len(held)} tops, taken to have the depth reference of the logs."))


def with_track(well: Well, track: Table) -> Well:
    """The well with its track, placed at its first point; E_GEOMETRY where that is more than 50 m from where the log header puts it."""
    if not {"x_m", "y_m", "tvdss_m", "md_m"} <= set(track.columns):
        raise DataError("E_DATA", f"{track.title} has no columns x_m, y_m, tvdss_m and md_m: it holds {', '.join(track.columns)}.")
    x, y = float(track.columns["x_m"][0]), float(track.columns["y_m"][0])
    if well.x is not None and well.y is not None and np.hypot(well.x - x, well.y - y) > 50:
        away = float(np.hypot(well.x - x, well.y - y))
        raise DataError("E_GEOMETRY", f"the track begins {away:.0f} m from where the log puts {well.well_name or 'the well'}.")
    stations = np.column_stack([np.asarray(track.columns[name], float) for name in ("x_m", "y_m", "tvdss_m", "md_m")])
    return replace(well, x=x, y=y, track=stations, notes=(*well.notes, *track.notes))
