"""First-arrival tomography: a velocity model from the times of first breaks along a line.

Times by fast marching (`wave_modelling.arrivals`), rays by descent through them, and for each linear step LSQR with smoothing whose
weight is set by the error of the picks. Starting models come from `velocity_models` or from the picks themselves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from moho.agent.registry import Cost, tool
from moho.agent.tools.velocity_models import Plane, plane
from moho.agent.tools.wave_modelling import arrivals
from moho.errors import Missing, Refusal
from moho.survey import Array, Data, Report, Seismic, Table, noun
from moho.units import Count, Metres, Quantity, Seconds, convert

ITERATIONS = 12  # at most
FLAT = 0.25  # of the receiver spacing: the most by which sources and receivers may leave a straight line
SMOOTHER = 0.5  # the smoothing weight of one iteration over that of the one before, until the picks are fitted
VERTICAL = 0.3  # weight of smoothness downwards over that along the line
COLUMNS = 240  # of a grid chosen here, at most
LAYER = 6  # nodes at least over the shallow layer of a grid chosen here
GAIN = 0.97  # of the misfit: a rougher model that still misses the picks must do better than this to take the place of a smoother one
FITTED = 0.95  # chi2 from here to 1 is near enough
KNOTS = 24  # of the mean curve of time over offset
STEEP = (150.0, 9000.0)  # m/s, what a model may reach at all
WITHIN = (0.5, 1.5)  # of the slowest and the fastest apparent velocity of the picks: what a model may reach
TIME_UNITS = {"s": "s", "sec": "s", "seconds": "s", "ms": "ms", "msec": "ms", "milliseconds": "ms"}  # at the end of a column's name
LENGTH_UNITS = {"m": "m", "metres": "m", "meters": "m", "km": "km", "cm": "cm", "ft": "ft", "feet": "ft"}
# what spreadsheets call the columns, most usual first
NAMES = {
    "source": ("source_x", "sx", "shot_x", "source", "shot", "shotpoint", "sp", "src", "xs", "s"),
    "receiver": ("receiver_x", "rx", "gx", "geophone_x", "receiver", "geophone", "rec", "xr", "g", "r", "x"),
    "time": ("time", "t", "first_break", "firstbreak", "pick", "traveltime", "travel_time", "tt", "first_arrival"),
}


def _cost(picks: Table | Report, *_: Any, **given: Any) -> Cost:
    columns = picks.columns if isinstance(picks, Table) else picks.arrays
    rows = max((len(np.atleast_1d(v)) for v in columns.values()), default=1)
    return Cost(2 + 3e-3 * rows, 3e8)


@tool(
    discipline="seismic",
    stage="inversion",
    cost=_cost,
    reference="Zelt and Barton 1998, Three-dimensional seismic refraction tomography, J. Geophys. Res. 103, 7187-7210",
    truth="two layers of 800 and 2400 m/s, 1 ms of noise, 5 to 13 shots: both velocities within 6 %, the picks to 1.1 of their error; linear and "
    "lateral change of velocity within 3 % (median where rays pass); a sharp interface is smeared, 15 % off near it",
    say=(
        "Refraction tomography of {picks}",
        "invert the first breaks {picks} for velocity, error {error}",
        "first-arrival tomography {picks}, grid {spacing}, down to {depth}",
        "tomo {picks} err {error}",
        "make a velocity model from the first arrivals in {picks}",
        "travel time tomography with {picks}, source column {source}, receiver column {receiver}, time column {time}",
        "how deep is bedrock? invert the refraction picks {picks}",
        "please invert my refraction data {picks} starting from {start}",
        "near-surface velocity from {picks}, times in {unit}",
        "refraction inversion {picks} with {iterations} iterations",
    ),
)
def refraction_tomography(
    picks: Table | Report,
    error: Annotated[Seconds, "one standard deviation of a pick"] | None = None,
    spacing: Annotated[Metres, "grid spacing"] | None = None,
    depth: Annotated[Metres, "depth of the model"] | None = None,
    start: Seismic | None = None,
    source: Annotated[str, "column with the source positions"] | None = None,
    receiver: Annotated[str, "column with the receiver positions"] | None = None,
    time: Annotated[str, "column with the first-arrival times"] | None = None,
    unit: Annotated[str, "unit of the times, s or ms"] | None = None,
    iterations: Annotated[Count, "iterations at most"] = ITERATIONS,
) -> Seismic:
    """The smoothest P velocity model whose first arrivals fit the picks to their error.

    Positions are metres along a straight line; elevations that leave it by over a quarter of the receiver spacing are refused. Sources and
    receivers are at the surface unless columns source_depth and receiver_depth say otherwise. A column of uncertainties weighs the picks; units are
    read from the ends of the columns' names (_km, _ft, _ms).
    Each step minimises |W (t - t(m))|^2 + lambda^2 |R m|^2 over slowness by LSQR, with R the first differences of slowness
    along the line and, at 0.3 of the weight, downwards; lambda halves from step to step until chi2 is 1.
    """
    if not isinstance(picks, (Table, Report)):
        held = noun(type(picks)) if isinstance(picks, Data) else repr(picks)[:60]
        raise TypeError(f"refraction_tomography needs a table of first-arrival times, as pick_first_breaks makes it; this is {held}")
    from scipy.ndimage import maximum_filter

    data = _picks(picks, source, receiver, time, unit)
    notes = list(data.notes)
    sigma = error
    if sigma is None:
        sigma = _scatter(data)
    if error is None and data.uncertainty is None:
        notes.append(f"pick error taken as {1000 * sigma:.3g} ms: from reciprocal and neighbouring picks, at least 0.5 % of the latest time")
    if error is None and data.uncertainty is not None:
        sigma = float(np.median(data.uncertainty))
        notes.append(f"pick errors as the picks say, {1000 * data.uncertainty.min():.3g} to {1000 * data.uncertainty.max():.3g} ms")
    ground, words = _ground(data, start, spacing, depth)
    notes += words
    slowest, fastest = _bounds(data)
    held = min(slowest, float(ground.values.min())), max(fastest, float(ground.values.max()))
    wider = ", widened to the starting model's" if held != (slowest, fastest) else ""
    said = f"{WITHIN[0]:g} times the slowest to {WITHIN[1]:g} times the fastest apparent velocity of the picks"
    notes.append(f"velocities held within {held[0]:.3g} and {held[1]:.4g} m/s: {said}{wider}")
    each = data.uncertainty if error is None and data.uncertainty is not None else np.full(len(data.time), sigma)
    problem = _Problem(data, ground, each, held)
    slowness, chi, counts = 1 / ground.values, list[float](), list[int]()
    weight, settled, best = 0.0, False, None
    before, begin = slowness, None
    for step in range(iterations + 1):
        residual, matrix = problem.linearised(slowness)
        misfit = float(np.mean((residual / each) ** 2))
        for _ in range(3):  # rays move with the model: a step that makes things worse was too long
            if not chi or misfit <= max(1.0, 1.02 * chi[-1]):
                break
            slowness = np.sqrt(slowness * before)
            residual, matrix = problem.linearised(slowness)
            misfit = float(np.mean((residual / each) ** 2))
        chi.append(misfit)
        begin = float(np.sqrt(np.mean(residual**2))) if begin is None else begin
        if best is None or _better(misfit, best[0]):
            best = misfit, slowness, matrix, weight
        if step == iterations or (settled and step > 2 and (FITTED <= misfit <= 1.0 or abs(chi[-1] - chi[-2]) < 0.02 * chi[-2])):
            break
        if not weight:
            weight = problem.first_weight(matrix, slowness)
        elif misfit > 1.0:
            weight *= SMOOTHER
        else:
            weight, settled = weight / SMOOTHER**0.5, True
        before, slowness = slowness, problem.step(slowness, residual, matrix, weight)
        counts.append(step)
    assert best is not None
    misfit, slowness, matrix, weight = best
    residual, matrix = problem.linearised(slowness)
    title = f"refraction tomography of {picks.title.removeprefix('first breaks of ')}".removesuffix(" of ")
    speed = 1 / slowness
    length = np.asarray(abs(matrix).sum(axis=0)).reshape(speed.shape)  # m of ray in the neighbourhood of each node
    # the most at nodes within half the receiver spacing, beyond which each ray is shared already: what counts does not hang on the grid
    near = int(np.clip(round(0.5 * _gap(data) / ground.dx) - 1, 0, 3))
    rays = maximum_filter(np.asarray((matrix != 0).sum(axis=0)).reshape(speed.shape), 2 * near + 1)
    seen = rays >= 3
    deepest = float(ground.z[np.flatnonzero(seen.any(axis=0))[-1]]) if seen.any() else 0.0
    surface = speed[seen[:, 0], 0] if seen[:, 0].any() else speed[:, 0]
    facts = {
        "picks": Quantity(len(data.time), "", "picks used"),
        "rms": Quantity(float(f"{1000 * np.sqrt(np.mean(residual**2)):.4g}"), "ms", "rms time misfit"),
        "start_rms": Quantity(float(f"{1000 * (begin or 0.0):.4g}"), "ms", "rms time misfit of the starting model"),
        "chi2": Quantity(float(f"{misfit:.4g}"), "", "chi2 (mean squared misfit over the squared pick error)"),
        "error": Quantity(float(f"{1000 * sigma:.4g}"), "ms", "pick error"),
        "iterations": Quantity(len(counts), "", "iterations"),
        "damping": Quantity(float(f"{weight:.4g}"), "", "smoothing weight lambda"),
        "velocity_range": Quantity([float(f"{v:.5g}") for v in (speed[seen].min(), speed[seen].max())], "m/s", "P velocity range where rays pass"),
        "surface_velocity": Quantity(float(f"{np.median(surface):.5g}"), "m/s", "median velocity at the surface"),
        "deepest_ray": Quantity(deepest, "m", "depth that rays reach"),
        "coverage": Quantity(float(f"{100 * seen.mean():.4g}"), "%", "share of the model with three rays or more"),
        "spacing": Quantity(float(ground.dx), "m", "grid spacing"),
    } | _refractor(speed, seen, length, ground)
    notes += [
        f"lambda {weight:.3g}: halved from step to step until chi2 was 1; it ended at {misfit:.3g}",
        "smooth by choice: a sharp interface appears as a gradient, deeper than it is; where fewer than three rays pass (faded in the picture) the "
        "model is the start's, smoothed",
        "first arrivals do not see a layer slower than the one above it, nor a thin layer whose head wave never comes first",
    ]
    if misfit > 1.5:
        coarse = f"the grid of {ground.dx:g} m is too coarse (try a spacing of {ground.dx / 2:.3g} m)"
        others = "the error is too small, some picks are wrong, or the ground is not two-dimensional"
        notes.append(f"chi2 stayed at {misfit:.3g}: {coarse}, the iterations are too few, {others}")
    x = ground.x
    return Seismic(
        title=title, facts=facts, notes=tuple(notes), data=speed.astype(np.float32), dt=float(ground.dz), t0=float(ground.z0),
        domain="depth", quantity="P velocity", unit="m/s", x=x, y=np.zeros_like(x), dx=float(ground.dx),
        view={"coverage": np.clip(rays / 3, 0, 1).astype(np.float32), "ray_length": length.astype(np.float32)},
    )  # fmt: skip


@dataclass(frozen=True)
class Picks2D:
    """First-arrival times of source-receiver pairs along a line."""

    source: Array  # (pick, 2) m, position and depth
    receiver: Array
    time: Array  # s
    uncertainty: Array | None  # s
    notes: tuple[str, ...]

    @property
    def offset(self) -> Array:
        return np.asarray(np.abs(self.source[:, 0] - self.receiver[:, 0]))


def _picks(picks: Table | Report, source: str | None, receiver: str | None, time: str | None, unit: str | None) -> Picks2D:
    columns = dict(picks.columns if isinstance(picks, Table) else picks.arrays)
    found = {key: _column(columns, key, named) for key, named in (("source", source), ("receiver", receiver), ("time", time))}
    rows = len(columns[found["time"]])
    if {len(columns[name]) for name in found.values()} != {rows}:
        raise Refusal("E_DATA", f"{', '.join(found.values())} are of different lengths.")
    values = {key: _numbers(columns[name], name) for key, name in found.items()}
    notes = [f"columns: source {found['source']}, receiver {found['receiver']}, time {found['time']}"]
    good = np.isfinite(values["source"]) & np.isfinite(values["receiver"]) & np.isfinite(values["time"])
    lengths: list[str] = []
    for side in ("source", "receiver"):
        values[side], told = _metres(values[side], found[side])
        lengths += told
    notes += lengths
    seconds, said = _seconds(values["time"], good, found["time"], unit, isinstance(picks, Report) or "first_breaks" in picks.view)
    notes.append(said)
    depths, named = {}, {}
    for side in ("source", "receiver"):
        name = f"{side}_depth"
        name = next((held for held in (name, f"{name}_m", f"{name}_km", f"{name} (m)", f"{name} (km)") if held in columns), name)
        depths[side] = _metres(_numbers(columns[name], name), name)[0] if name in columns and len(columns[name]) == rows else np.zeros(rows)
        named[side] = name
        good &= np.isfinite(depths[side]) & (depths[side] >= 0)
    if not any(name in columns for name in named.values()):
        notes.append("no depths: sources and receivers on a flat surface at depth 0")
    offset = np.abs(values["source"] - values["receiver"])
    near = good & (offset + np.abs(depths["source"] - depths["receiver"]) < 1e-9)
    late = good & ~near & (seconds <= 0)
    keep = good & ~near & ~late
    for count, why in ((int((~good).sum()), "without number"), (int(late.sum()), "at or before time 0"), (int(near.sum()), "at offset 0")):
        if count:
            notes.append(f"{count} of {rows} picks {why} left out")
    if keep.sum() < 10:
        raise Refusal("E_DATA", f"{int(keep.sum())} usable picks of {rows} are too few for tomography; 10 are the least.")
    points = {side: np.column_stack([values[side], depths[side]])[keep] for side in ("source", "receiver")}
    fast = offset[keep] / seconds[keep]
    if np.median(fast) > 10000 or np.median(fast) < 50:
        taken = f"times {said.removeprefix('times ')}, positions {'; '.join(lengths) or 'taken as m'}"
        said = f"the median of offset over time is {np.median(fast):.3g} m/s: the times or the positions are not in the units taken ({taken})"
        hint = "Name the unit of the times, s or ms; end the names of the columns of positions in _km or _ft where they are no metres."
        raise Refusal("E_UNITS", f"{said}.", hint)
    if len(np.unique(points["source"][:, 0])) < 2:
        raise Refusal("E_GEOMETRY", "all picks are of one source position: a single shot cannot tell dip from velocity.", "Add a reverse shot.")
    uncertainty = None
    held = next((name for name in columns if re.fullmatch(r"uncertainty(_m?s| [([]m?s[)\]])?", name.casefold())), None)
    if held is not None and len(columns[held]) == rows:
        said_by = _numbers(columns[held], held)[keep]
        own = _unit(held, TIME_UNITS) or ("s" if isinstance(picks, Report) else _unit(found["time"], TIME_UNITS) or unit or "s")
        said_by = np.asarray(convert(said_by, own, "s"))
        uncertainty = said_by if np.all(np.isfinite(said_by) & (said_by > 0)) else None
        if uncertainty is None:
            notes.append(f"column {held} left aside: it holds gaps, or values that are not above 0")
    notes += _flat(columns, values, keep)
    return Picks2D(points["source"], points["receiver"], seconds[keep], uncertainty, tuple(notes))


def _flat(columns: dict[str, Array], values: dict[str, Array], keep: Array) -> list[str]:
    """Notes on the elevations; Refusal where sources and receivers leave a straight line by more than FLAT of the receiver spacing."""
    plain = {name.casefold().split("(")[0].split("[")[0].strip().replace(" ", "_").removesuffix("_m"): name for name in columns}
    found = {}
    for side, letters in (("source", "s"), ("receiver", "rg")):
        ends = ("elevation", "elev", "z", "height", "altitude")
        names = [f"{first}_{end}" for first in (side, *NAMES[side]) for end in ends] + [f"{letter}{end}" for letter in letters for end in ends]
        held = [plain[name] for name in names if name in plain and len(columns[plain[name]]) == len(keep)]
        if held:
            found[side] = _numbers(columns[held[0]], held[0])[keep]
    if not found:
        return []
    along = np.concatenate([values[side][keep] for side in found])
    height = np.concatenate(list(found.values()))
    if not np.isfinite(height).all():
        raise Refusal("E_DATA", f"{int((~np.isfinite(height)).sum())} elevations are no numbers.", "Fill them in or leave the column out.")
    slope, level = np.polyfit(along, height, 1) if np.ptp(along) > 0 else (0.0, float(height.mean()))
    off = float(np.abs(height - level - slope * along).max())
    spacing = float(np.median(np.diff(np.unique(np.round(values["receiver"][keep], 3)))))
    if off > FLAT * spacing:
        said = f"elevations run over {np.ptp(height):.3g} m and leave a straight line by up to {off:.3g} m, "
        said += f"more than {FLAT:g} of the {spacing:g} m between receivers"
        hint = "This tomography knows no topography: correct the times to a plane first, or split the line where it is straight."
        raise Refusal("E_GEOMETRY", f"{said}.", hint)
    told = f"elevations leave a straight line by {off:.2g} m at most: taken as flat"
    return [told if abs(slope) < 1e-3 else f"{told}; depth counts at right angles to its slope of {math.degrees(math.atan(slope)):.2g} degrees"]


def _column(columns: dict[str, Array], what: str, named: str | None) -> str:
    if named is not None:
        by_fold = {name.casefold(): name for name in columns}
        if named.casefold() not in by_fold:
            raise ValueError(f"there is no column {named!r} for {what}; there is {', '.join(columns)}")
        return by_fold[named.casefold()]
    plain = {name.casefold().split("(")[0].split("[")[0].strip().replace(" ", "_"): name for name in columns}
    units = TIME_UNITS if what == "time" else LENGTH_UNITS
    for guess in NAMES[what]:
        for form in (guess, *(f"{guess}_{unit}" for unit in units)):
            if form in plain:
                return plain[form]
    raise Missing(what, f"Which column holds the {what} {'times' if what == 'time' else 'positions'}: {', '.join(columns)}?", tuple(columns))


def _numbers(values: Array, name: str) -> Array:
    try:
        return np.asarray(values, float)
    except (TypeError, ValueError) as error:
        raise Refusal("E_DATA", f"column {name} holds words, not numbers.") from error


def _unit(name: str, units: Mapping[str, str]) -> str | None:
    """The unit that a column's name ends in: shot_km, shot (km), shot [km]."""
    if found := re.search(r"(?:_|[([]\s*|\s)([a-z]+)\s*[)\]]?$", name.strip().casefold()):
        return units.get(found[1])
    return None


def _metres(values: Array, name: str) -> tuple[Array, list[str]]:
    """Positions in m, and what their column's name says of their unit."""
    unit = _unit(name, LENGTH_UNITS)
    if unit is None or unit == "m":
        return values, []
    return np.asarray(convert(values, unit, "m")), [f"positions in column {name} are in {unit}, as its name says: converted to m"]


def _seconds(values: Array, good: Array, name: str, unit: str | None, known: bool) -> tuple[Array, str]:
    if unit is None and not known:
        unit = _unit(name, TIME_UNITS) or ("ms" if name.casefold().endswith("ms") else None)
        if unit is None:
            largest = float(np.max(values[good], initial=0.0))
            if largest > 5:
                raise Missing("unit", f"Times in column {name} reach {largest:g}: are they in s or ms?", ("ms", "s"))
            return values, f"times in column {name} taken as s: they reach {largest:g}"
    unit = unit or "s"
    try:
        return np.asarray(convert(values, unit, "s")), f"times in {unit}"
    except ValueError as error:
        raise ValueError(f"unit must be a unit of time, s or ms; got {unit!r}") from error


def _scatter(data: Picks2D) -> float:
    """One standard deviation of a pick, s: from pairs shot both ways, else from neighbours along the receivers."""
    floor = 0.005 * float(data.time.max())
    key = {(round(float(s), 3), round(float(r), 3)): t for (s, _), (r, _), t in zip(data.source, data.receiver, data.time, strict=True)}
    twice = np.array([t - key[r, s] for (s, r), t in key.items() if s < r and (r, s) in key])
    if len(twice) >= 10:
        return max(floor, 1.4826 * float(np.median(np.abs(twice))) / math.sqrt(2))
    bends = []
    for shot in np.unique(data.source[:, 0]):
        rows = np.flatnonzero(data.source[:, 0] == shot)
        rows = rows[np.argsort(data.receiver[rows, 0], kind="stable")]
        x, t = data.receiver[rows, 0], data.time[rows]
        inner = (x[:-2] - shot) * (x[2:] - shot) > 0
        bends += list((t[:-2] - 2 * t[1:-1] + t[2:])[inner] / math.sqrt(6))
    return max(floor, 1.4826 * float(np.median(np.abs(bends)))) if bends else floor


def _ground(data: Picks2D, start: Seismic | None, spacing: float | None, depth: float | None) -> tuple[Plane, list[str]]:
    """The starting model on its grid."""
    if start is not None:
        given = plane(start)
        for points, what in ((data.source, "sources"), (data.receiver, "receivers")):
            given.nodes(points[:, 0], points[:, 1], what)
        if not math.isclose(given.dx, given.dz, rel_tol=1e-6):
            raise Refusal("E_GEOMETRY", f"the start model's nodes are {given.dx:g} by {given.dz:g} m apart; tomography wants a square grid.")
        return given, ["starting model and grid as given"]
    places = np.concatenate([data.source, data.receiver])
    left, right = float(places[:, 0].min()), float(places[:, 0].max())
    curve = _mean_curve(data)
    deepest, profile = _turning(curve)
    step = spacing or _step(_gap(data), _layer(curve), right - left)
    reach = depth or max(0.3 * float(data.offset.max()), 1.3 * deepest, 10 * step, float(places[:, 1].max()) + 5 * step)
    columns, rows = math.ceil((right - left) / step - 1e-9) + 3, math.ceil(reach / step - 1e-9) + 1
    if not 5 <= rows <= 2000 or columns > 5000:
        raise ValueError(f"{step:g} m steps make {columns} by {rows} nodes; take another spacing or depth")
    z = step * np.arange(rows)
    values = np.tile(profile(z), (columns, 1))
    notes = [
        f"grid of {step:g} m, {columns} by {rows} nodes down to {z[-1]:g} m" + ("" if depth else " (0.3 of the largest offset, or what rays reach)"),
        f"starting model from the picks by the Herglotz-Wiechert integral of their mean curve: {values[0, 0]:.0f} m/s at the surface, "
        f"{values[0, -1]:.0f} m/s at {min(deepest, z[-1]):.3g} m and below",
    ]
    return Plane(values, step, step, left - step, 0.0), notes


def _gap(data: Picks2D) -> float:
    """The usual distance between neighbouring receivers, m; of all places where there is one receiver."""
    for places in (data.receiver[:, 0], np.concatenate([data.source[:, 0], data.receiver[:, 0]])):
        gaps = np.diff(np.unique(np.round(places, 3)))
        if len(gaps):
            break
    return float(np.median(gaps))


def _step(gap: float, layer: float, length: float) -> float:
    """Grid spacing, m: half, a quarter or an eighth of the receivers' `gap` for LAYER nodes over the shallow layer; at most COLUMNS in all."""
    least = length / COLUMNS
    wanted = next((parts for parts in (2, 4) if parts >= LAYER * gap / layer), 8)
    parts = min(wanted, int(gap / least + 1e-9))
    return gap / parts if parts >= 1 else float(f"{least:.2g}")


def _bounds(data: Picks2D) -> tuple[float, float]:
    """(lowest, highest) velocity m/s that the picks allow: WITHIN times the slowest and the fastest apparent velocity.

    The slowest is offset over time, of all but 2 % of the picks. The fastest is that of the mean curve's far quarter, or of the
    farther half of one side of a shot where that is faster by up to a factor of two: more is an error of picks.
    """
    x, t = _mean_curve(data)
    slow = float(np.quantile(data.offset / data.time, 0.02))
    fast = _far_velocity(x, t)
    way = np.sign(data.receiver[:, 0] - data.source[:, 0])
    sides = [0.0]
    for shot in np.unique(data.source[:, 0]):
        for side in (-1, 1):
            rows = np.flatnonzero((data.source[:, 0] == shot) & (way == side))
            rows = rows[np.argsort(data.offset[rows], kind="stable")][len(rows) // 2 :]
            if len(rows) >= 6 and np.ptp(data.offset[rows]) > 0:
                slope = float(np.polyfit(data.offset[rows], data.time[rows], 1)[0])
                sides.append(1 / max(slope, 0.5 / fast))
    low, high = WITHIN[0] * min(slow, float(x[1] / t[1])), WITHIN[1] * max(fast, *sides)
    return float(np.clip(low, *STEEP)), float(np.clip(high, *STEEP))


def _mean_curve(data: Picks2D) -> tuple[Array, Array]:
    """(offsets m, times s) of the concave curve through 0 that is nearest to all picks: the corners of sum a_j min(x, k_j), a_j >= 0.

    Weights of Huber keep single wild picks from drawing it; no pick decides alone, so that one receiver less changes little.
    """
    from scipy.optimize import nnls

    far = float(data.offset.max())
    knots = np.linspace(0.0, far, KNOTS + 1)[1:]
    free = (knots < 0.8 * far) | (knots == knots[-1])  # the last piece is a long one: few picks lie beyond a late knot
    x = np.maximum(data.offset, 1e-3 * far)
    basis, weight = np.minimum(x[:, None], knots), np.ones(len(x))
    share = np.zeros(KNOTS)
    for _ in range(4):
        share[free], _ = nnls(basis[:, free] * weight[:, None], data.time * weight)
        off = np.abs(data.time - basis @ share)
        spread = 1.5 * 1.4826 * float(np.median(off)) + 1e-4 * float(data.time.max())
        weight = np.sqrt(np.minimum(1.0, spread / np.maximum(off, 1e-30)))
    corners = np.concatenate([[0.0], knots])
    slope = np.clip([share[j:].sum() for j in range(KNOTS)], 1 / STEEP[1], 1 / STEEP[0])
    return corners, np.concatenate([[0.0], np.cumsum(slope * np.diff(corners))])


def _far_velocity(x: Array, t: Array) -> float:
    """Apparent velocity, m/s, over the farthest quarter of the offsets of a mean curve: one piece alone follows the noise."""
    far = -1 - KNOTS // 4
    return float((x[-1] - x[far]) / (t[-1] - t[far]))


def _layer(curve: tuple[Array, Array]) -> float:
    """Thickness m of the upper of two layers with this curve, by the intercept time of its far end; a third of its length where they are one."""
    x, t = curve
    upper, lower = x[1] / t[1], _far_velocity(x, t)
    if lower < 1.05 * upper:
        return float(x[-1] / 3)
    late = max(float(t[-1] - x[-1] / lower), 1e-9)
    return float(0.5 * late * upper * lower / np.sqrt(lower**2 - upper**2))


def _turning(curve: tuple[Array, Array]) -> tuple[float, Callable[[Array], Array]]:
    """(depth m that rays reach, velocity m/s at depths m) of the layered earth with this concave curve of time over offset.

    z = 1/pi times the integral of arccosh(p(x) / p(X)) over x from 0 to X (Herglotz, Wiechert), slowness p linear between the middles of pieces.
    """
    x, t = curve
    slowness = np.diff(t) / np.diff(x)
    p = np.concatenate([slowness[:1], slowness])
    middle = np.concatenate([[0.0], 0.5 * (x[1:] + x[:-1])])
    fine = np.linspace(0.0, middle[-1], 400)
    steep = np.minimum.accumulate(np.interp(fine, middle, p))
    depth = np.array([np.arccosh(np.maximum(steep[: i + 1] / steep[i], 1.0)).sum() for i in range(len(fine))]) * fine[1] / np.pi
    depth = np.maximum.accumulate(depth)
    speed = 1 / steep
    return float(depth[-1]), lambda z: np.asarray(np.interp(z, depth, speed))


def _better(misfit: float, best: float) -> bool:
    """A misfit nearer 1 from above is better, when it is so by 3 %: the earlier model is the smoother; below 1 the one nearer to 1 is."""
    return misfit < max(1.0, GAIN * best) if best > 1 else 1.0 >= misfit > best


class _Problem:
    """Times, their derivatives by slowness, and one damped step."""

    def __init__(self, data: Picks2D, ground: Plane, sigma: Array | float, held: tuple[float, float] = STEEP) -> None:
        from scipy.sparse import diags, identity, kron, vstack

        self.data, self.ground, self.sigma, self.held = data, ground, sigma, held  # sigma (pick,) s, held m/s
        self.sources, self.which = np.unique(data.source, axis=0, return_inverse=True)
        self.which = self.which.ravel()
        nx, nz = ground.values.shape
        along = kron(diags([-np.ones(nx - 1), np.ones(nx - 1)], [0, 1], shape=(nx - 1, nx)), identity(nz))
        down = kron(identity(nx), diags([-np.ones(nz - 1), np.ones(nz - 1)], [0, 1], shape=(nz - 1, nz)))
        self.rough = vstack([along, VERTICAL * down]).tocsr()

    def linearised(self, slowness: Array) -> tuple[Array, Any]:
        """((pick,) s observed less computed, sparse (pick, node) m of ray at each node)."""
        from scipy.sparse import csr_matrix

        g = self.ground
        ground = Plane(1 / slowness, g.dx, g.dz, g.x0, g.z0)
        residual = np.empty(len(self.data.time))
        parts = []
        for number, source in enumerate(self.sources):
            rows = np.flatnonzero(self.which == number)
            start = ground.nodes(source[:1], source[1:], "sources")[0]
            ends = ground.nodes(self.data.receiver[rows, 0], self.data.receiver[rows, 1], "receivers")
            field = arrivals(ground, start)
            residual[rows] = self.data.time[rows] - field(ends)
            parts.append(_rays(field.times(), ground, start, ends, rows))
        i, j, length = (np.concatenate(part) for part in zip(*parts, strict=True))
        return residual, csr_matrix((length, (i, j)), shape=(len(residual), slowness.size))

    def first_weight(self, matrix: Any, slowness: Array) -> float:
        """Lambda at which data and smoothness weigh alike on the starting model's scale."""
        data = float(np.sqrt(np.sum(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel() / self.sigma**2)))
        return 10.0 * data / float(np.sqrt(self.rough.multiply(self.rough).sum()))

    def step(self, slowness: Array, residual: Array, matrix: Any, weight: float) -> Array:
        """Slowness after one step; smoothness is asked of the model, not of its change."""
        from scipy.sparse import diags, vstack
        from scipy.sparse.linalg import lsqr

        mean = float(slowness.mean())
        scale = diags(slowness.ravel())  # unknowns are relative changes
        system = vstack([diags(1 / self.sigma) @ matrix @ scale, weight * mean * self.rough @ scale / mean]).tocsr()
        wanted = np.concatenate([residual / self.sigma, -weight * (self.rough @ slowness.ravel())])
        change = lsqr(system, wanted, atol=1e-6, btol=1e-6, iter_lim=300)[0]
        new = slowness * np.exp(np.clip(change, -0.25, 0.25)).reshape(slowness.shape)
        return np.asarray(np.clip(new, 1 / self.held[1], 1 / self.held[0]))


def _rays(time: Array, ground: Plane, start: Array, ends: Array, names: Array) -> tuple[Array, Array, Array]:
    """(pick, node, m) of the rays from `ends` down the gradient of `time` to `start`, half a node a step, lengths shared among four nodes."""
    from scipy.ndimage import map_coordinates

    nx, nz = time.shape
    size = np.array([ground.dx, ground.dz])
    slope = np.gradient(time, ground.dx, ground.dz, edge_order=2)
    at, alive = ends.astype(float).copy(), np.ones(len(ends), bool)
    stride = 0.5 * float(size.min())
    limit = int(8 * (nx + nz))
    found: list[tuple[Array, Array, Array]] = []

    def share(rows: Array, here: Array, there: Array) -> None:
        middle = 0.5 * (here + there)
        low = np.clip(np.floor(middle).astype(int), 0, (nx - 2, nz - 2))
        part = np.clip(middle - low, 0, 1)
        length = np.hypot(*((there - here) * size).T)
        for a in (0, 1):
            for b in (0, 1):
                much = (part[:, 0] if a else 1 - part[:, 0]) * (part[:, 1] if b else 1 - part[:, 1]) * length
                found.append((names[rows], (low[:, 0] + a) * nz + low[:, 1] + b, much))

    for _ in range(limit):
        rows = np.flatnonzero(alive)
        if not len(rows):
            break
        here = at[rows]
        to = (start - here) * size
        distance = np.hypot(*to.T)
        gradient = np.column_stack([map_coordinates(part, here.T, order=1, mode="nearest") for part in slope])
        steep = np.maximum(np.hypot(*gradient.T), 1e-30)
        direction = -gradient / steep[:, None]
        close = distance < 2 * size.max()  # the gradient turns within a node of the source: go straight
        direction[close] = to[close] / np.maximum(distance[close, None], 1e-30)
        step = np.where(close, np.minimum(distance, stride), stride)
        there = np.clip(here + direction * step[:, None] / size, 0, (nx - 1, nz - 1))
        share(rows, here, there)
        at[rows] = there
        alive[rows] = np.hypot(*((start - there) * size).T) > 1e-6 * stride
    if alive.any():  # a ray that circles in a flat spot goes home straight, so that its time still counts
        rows = np.flatnonzero(alive)
        share(rows, at[rows], np.broadcast_to(start, at[rows].shape))
    i, j, length = (np.concatenate(part) for part in zip(*found, strict=True))
    return i, j, length


def _refractor(speed: Array, seen: Array, length: Array, ground: Plane) -> dict[str, Quantity]:
    """Depth where velocity grows fastest, and the velocity along the rays below it, over columns with rays to depth.

    That velocity is the length of ray below the steepest increase over the time spent there: what times of head waves hold.
    """
    reach = np.where(seen.any(axis=1), seen.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1), 0)
    columns = np.flatnonzero(reach >= max(3, 0.7 * np.median(reach[reach > 0]) if (reach > 0).any() else 3))
    if not len(columns):
        return {}
    slopes = np.array([int(np.argmax(np.diff(speed[c, : reach[c] + 1]))) for c in columns])
    below = np.zeros(speed.shape, bool)
    for c, k in zip(columns, slopes, strict=True):
        below[c, k + 1 : reach[c] + 1] = True
    along = float(length[below].sum() / max(float((length / speed)[below].sum()), 1e-30))
    depth = float(np.median(ground.z0 + ground.dz * (slopes + 0.5)))
    return {
        "deep_velocity": Quantity(float(f"{along:.5g}"), "m/s", "velocity along the rays below the steepest increase"),
        "steepest_depth": Quantity(float(f"{depth:.4g}"), "m", "median depth of the steepest increase of velocity"),
    }
