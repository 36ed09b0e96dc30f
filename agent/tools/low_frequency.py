"""The low-frequency impedance between wells: what the seismic band does not hold, carried along horizons, and how well it does blind.

`seismic_inversion.poststack_impedance` takes what `low_frequency_model` makes as its `model`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from moho.agent.registry import tool
from moho.agent.tools.seismic_inversion import low_pass, on_samples
from moho.agent.tools.seismic_processing import in_time
from moho.agent.tools.ties import called, horizon_near, horizon_time, logged_impedance, time_depth
from moho.errors import Missing, Refusal
from moho.survey import Array, Horizon, Report, Seismic, Well
from moho.units import Exponent, Hertz, Quantity

NEAR = 50.0  # m, within which a well decides alone
BEFORE, FLAT, AFTER = "nearest well, constant time", "all wells, constant time", "all wells along tops"
NO_TOPS = "all wells, constant time for want of tops"
THICKER = 3.0  # an interval that changes more between two places is another rock
BLIND_DT = 0.004  # s, sampling of the blind test


@tool(
    discipline="seismic",
    stage="modelling",
    reference="Sams and Saussus 2013, Practical implications of low frequency model selection, SEG Expanded Abstracts, 3118-3122",
    truth="dipping layers between two made wells: correlation over 0.99 along the horizons, below 0.95 without; a well is honoured to 0.02 "
    "in ln impedance",
    say=(
        "Build a low-frequency model along {line} from {wells}",
        "low frequency model for {line} with {wells} and horizons {horizons}",
        "LFM {line} {wells} below {low_frequency}",
        "Interpolate the impedance of {wells} along {horizons} on {line}",
        "background impedance model of {line} for the inversion",
        "I need a prior for inverting {line}: use wells {wells}, follow {horizons}",
        "make initial model from {wells} pls, {low_frequency} high cut",
        "inverse distance model of acoustic impedance between {wells} on {line}",
        "please to build the starting impedance model on {line} from the wells {wells}",
        "low-frequency impedance, power {power}, along {line}",
    ),
)
def low_frequency_model(
    line: Seismic,
    wells: list[Well],
    horizons: list[Horizon] | None = None,
    low_frequency: Annotated[Hertz, "upper end of the model"] = 8,
    power: Annotated[Exponent, "power of the inverse distance"] = 2,
) -> Seismic:
    """Acoustic impedance below `low_frequency` on every trace of the line, kg/m2/s.

    ln(impedance) of each well in two-way time, low-passed, is carried to a trace by mapping the times of the horizons at the trace
    to their times at the well (linear between horizons, a constant shift beyond), and weighted by 1 / distance^power. At a well a horizon
    has the time of the top of its name, else of its nearest point.
    """
    in_time(line, "a model in two-way time")
    if not low_frequency < line.nyquist:
        raise Refusal("E_PHYSICS", f"the model's end of {low_frequency:g} Hz is not below the Nyquist frequency of {line.nyquist:g} Hz.")
    if not wells:
        raise Missing("wells", "Which wells give the low-frequency model?")
    logs = [_log(well, line.times, line.dt, low_frequency) for well in wells]
    distance, projected = _distances(line, wells)
    tracked, notes = _tracked(line, horizons or [])
    at_wells = np.array([[_time_at(horizon, times, well, row) for well, row in zip(wells, projected, strict=True)]
                         for horizon, times in zip(horizons or [], tracked, strict=True)]).reshape(len(tracked), len(wells))  # fmt: skip
    model = np.empty((len(line.data), len(line.times)))
    for trace in range(len(model)):
        knots = [_knots(tracked[:, trace], at_wells[:, i]) for i in range(len(wells))]
        model[trace] = _mixed(logs, distance[:, trace], knots, line.times, power)
    result = np.exp(model).astype(np.float32)
    names = ", ".join(called(well) for well in wells)
    facts = {
        "wells": Quantity(len(wells), "", "wells used"),
        "horizons": Quantity(len(tracked), "", "horizons followed"),
        "low_frequency": Quantity(float(low_frequency), "Hz", "upper end of the low-frequency model"),
        "range": Quantity([float(result.min()), float(result.max())], "kg/m2/s", "acoustic impedance range"),
        "mean": Quantity(float(result.mean()), "kg/m2/s", "mean acoustic impedance"),
        "farthest": Quantity(round(float(distance.min(axis=0).max()), 1), "m", "largest distance of a trace from its nearest well"),
    }
    covered = [float(np.mean(log.covered(line.times) > 0.5)) for log in logs]
    said = [f"ln(impedance) of {names} below {low_frequency:g} Hz, weighted by 1/distance^{power:g}, at least {NEAR:g} m"]
    said.append("carried along the horizons" if len(tracked) else "no horizons: the wells are carried along constant time, structure is not followed")
    said += [f"{called(well)} is logged over {100 * share:.0f} % of the line's times: its ends are held beyond, at little weight"
             for well, share in zip(wells, covered, strict=True) if share < 0.95]  # fmt: skip
    if float(distance.min(axis=0).max()) == 0 and len(wells) == 1:
        said.append("well or line has no coordinates: the one well stands for the whole line")
    made = {"quantity": "acoustic impedance", "unit": "kg/m2/s", "band": (0.0, float(low_frequency)), "view": {}}
    return line.made(facts=facts, notes=(*said, *notes), title=f"low-frequency impedance of {line.title}".strip(), data=result, **made)


@tool(
    discipline="well",
    stage="inversion",
    reference="Hampson, Schuelke and Quirein 2001, Use of multiattribute transforms to predict log properties, Geophysics 66, 220-236",
    truth="made dipping wells: correlation over 0.97 along the tops, under 0.5 without; the four F3 wells over 0.6, and over 0.75 between their tops",
    say=(
        "Blind well test of {wells}",
        "Predict each of {wells} from the others",
        "How well do {wells} predict one another's impedance below {low_frequency}?",
        "leave-one-out test of the low-frequency model with {wells}",
        "hide one well and predict it from the rest, {low_frequency}",
        "is the background model of {wells} any good? test it blind",
        "cross validate wells {wells} pls",
        "do the tops help to interpolate impedance between {wells}?",
        "please to check the low frequency model by blind wells",
        "blind test, inverse distance power {power}",
    ),
)
def blind_well_test(
    wells: list[Well],
    low_frequency: Annotated[Hertz, "upper end of the model"] = 8,
    power: Annotated[Exponent, "power of the inverse distance"] = 2,
) -> Report:
    """How well the low-frequency impedance of each well is predicted by the others, along the tops they share and without.

    The blind well gives its tops and no log. Tops are one by name, or as a group (a code of two letters, CK) and its shallowest member
    (CKEK). Correlations are of ln(impedance) below `low_frequency` over the blind well's logged times; `detrended` after a straight
    line in time was taken from both, as compaction alone correlates any two wells; `logged` only where another well is logged in the
    same layer, as elsewhere its end is held and nothing is predicted.
    """
    if len(wells) < 2:
        raise Refusal("E_DATA", f"{len(wells)} well: a blind test needs at least two.")
    lost = [called(well) for well in wells if well.x is None or well.y is None]
    if lost:
        raise Refusal("E_GEOMETRY", f"{', '.join(lost)} without coordinates: distances to the blind well are unknown.")
    if not low_frequency < 0.5 / BLIND_DT:
        raise Refusal("E_PHYSICS", f"{low_frequency:g} Hz is not below the {0.5 / BLIND_DT:g} Hz this test samples.")
    spans = [logged_impedance(well)[1] for well in wells]
    start = np.floor(min(float(span[0]) for span in spans) / BLIND_DT) * BLIND_DT
    times = start + BLIND_DT * np.arange(int((max(float(span[-1]) for span in spans) - start) / BLIND_DT) + 1)
    logs = [_log(well, times, BLIND_DT, low_frequency) for well in wells]
    tops = [_top_times(well) for well in wells]
    common = sorted(set.intersection(*(set(one) for one in tops)))
    facts: dict[str, Quantity] = {}
    arrays: dict[str, Array] = {}
    table, held = [], []
    groups: set[str] = set()
    some = any(tops[i].keys() & tops[j].keys() for i in range(len(wells)) for j in range(i))
    last = AFTER if some else NO_TOPS
    for blind, (well, span) in enumerate(zip(wells, spans, strict=True)):
        others = [i for i in range(len(wells)) if i != blind]
        axis = times[(times >= span[0]) & (times <= span[-1])]
        truth = np.interp(axis, logs[blind].times, logs[blind].low)
        distance = np.array([np.hypot(float(wells[i].x or 0) - float(well.x or 0), float(wells[i].y or 0) - float(well.y or 0)) for i in others])
        flat = [(np.zeros(0), np.zeros(0))] * len(others)
        along = []
        for i in others:
            pairs, said = _same_tops(tops[blind], tops[i])
            along.append(_knots(*np.array(pairs, float).reshape(-1, 2).T))
            groups |= {f"{a} at {called(well)} = {b} at {called(wells[i])}" for a, b in said if well is min(well, wells[i], key=called)}
        nearest = int(distance.argmin())
        used = [logs[i] for i in others]
        guesses = {
            BEFORE: np.interp(axis, used[nearest].times, used[nearest].low),
            FLAT: _mixed(used, distance, flat, axis, power),
            AFTER: _mixed(used, distance, along, axis, power),
        }
        scores = {name: _score(truth, guess, axis) for name, guess in guesses.items()}
        marks = [tops[blind][name] for name in common]
        inner = (axis >= min(marks, default=np.inf)) & (axis <= max(marks, default=-np.inf))
        within = {name: _score(truth[inner], guess[inner], axis[inner])[0] for name, guess in guesses.items()} if inner.sum() > 20 else {}
        table.append((scores, within))
        logged = _supported(used, along, axis)
        held.append((_score(truth[logged], guesses[AFTER][logged], axis[logged])[0] if logged.sum() > 20 else 0.0, 100 * float(logged.mean())))
        name = called(well)
        key = "".join(c if c.isalnum() else "_" for c in name)
        drawn = {"truth": truth, "before": guesses[BEFORE], "after": guesses[AFTER]}
        arrays |= {f"{key}_time": axis} | {f"{key}_{kind}": np.exp(values) for kind, values in drawn.items()}
        facts[f"correlation_{key}"] = Quantity(scores[AFTER][0], "", f"blind correlation at {name}, {last}")
        facts[f"before_{key}"] = Quantity(scores[BEFORE][0], "", f"blind correlation at {name}, {BEFORE}")
        if within:
            facts[f"within_{key}"] = Quantity(within[AFTER], "", f"blind correlation at {name} between the tops all share, {AFTER}")
        facts[f"logged_{key}"] = Quantity(held[-1][0], "", f"blind correlation at {name} where another well is logged in the same layer")
        facts[f"logged_share_{key}"] = Quantity(round(held[-1][1], 1), "%", f"share of the times of {name} where another well is logged")
        facts[f"error_{key}"] = Quantity(scores[AFTER][2], "%", f"rms error at {name}, {last}")
    for short, name in (("before", BEFORE), ("flat", FLAT), ("after", AFTER)):
        columns = [float(np.mean([scores[name][column] for scores, _ in table])) for column in range(3)]
        inside = [within[name] for _, within in table if within]
        name = last if name == AFTER else name
        facts[f"correlation_{short}"] = Quantity(round(columns[0], 4), "", f"mean blind correlation, {name}")
        facts[f"detrended_{short}"] = Quantity(round(columns[1], 4), "", f"mean blind correlation without the trend, {name}")
        facts[f"error_{short}"] = Quantity(round(columns[2], 2), "%", f"mean rms error, {name}")
        if inside:
            facts[f"within_{short}"] = Quantity(round(float(np.mean(inside)), 4), "", f"mean blind correlation between the tops all share, {name}")
    words = "mean blind correlation where another well is logged in the same layer"
    facts["logged_after"] = Quantity(round(float(np.mean([score for score, _ in held])), 4), "", f"{words}, {last}")
    listed = f": {', '.join(common[:8])}{f' and {len(common) - 8} more' if len(common) > 8 else ''}" if common else ""
    notes = [f"below {low_frequency:g} Hz; {len(common)} tops shared by all{listed}"]
    unshot = [called(well) for well in wells if well.checkshot_time is None]
    notes.append("the blind well gives its tops and no log; times by each well's own " + ("checkshots or sonic" if unshot else "checkshots"))
    if groups:
        notes.append(f"the top of a group is that of its shallowest member: {'; '.join(sorted(groups))}")
    if any(share < 95 for _, share in held):
        lacking = ", ".join(f"{called(well)} {100 - share:.0f} %" for well, (_, share) in zip(wells, held, strict=True) if share < 95)
        notes.append(f"no other well is logged in the same layer, an end is held there, which predicts nothing: {lacking} of its times")
    if unshot:
        notes.append(f"without checkshots: {', '.join(unshot)}; their times are the integrated sonic's and may be shifted against one another")
    if not some:
        notes.append("no two wells share a top: nothing could be followed, all wells stand at constant time")
    elif facts["detrended_after"].value <= facts["detrended_before"].value:
        notes.append("along the tops is no better than the nearest well once the compaction trend is taken out")
    if facts["correlation_after"].value < 0.5:
        notes.append("a model from these wells is a weak prior: say so wherever an inversion rests on it")
    labels = {"names": ";".join(called(well) for well in wells), "after": last}
    return Report(title="Blind wells", facts=facts, notes=tuple(notes), arrays=arrays, drawing="blind_wells", labels=labels)


@dataclass(frozen=True)
class _Log:
    """ln(impedance) of a well on samples of two-way time, low-passed, and how much of each sample's surroundings was logged."""

    times: Array
    low: Array
    cover: Array

    def covered(self, times: Array) -> Array:
        return np.asarray(np.interp(times, self.times, self.cover, left=0, right=0))


def _log(well: Well, times: Array, dt: float, low_frequency: float) -> _Log:
    _, time, impedance, _ = logged_impedance(well)
    first = min(float(times[0]), np.floor(float(time[0]) / dt) * dt)
    count = int((max(float(times[-1]), float(time[-1])) - first) / dt) + 2
    axis = Seismic(data=np.zeros((1, count), np.float32), dt=dt, t0=first)
    values, logged = on_samples(time, np.log(impedance), axis)
    return _Log(axis.times, low_pass(values, dt, low_frequency), np.clip(low_pass(logged.astype(float), dt, low_frequency), 0, 1))


def _distances(line: Seismic, wells: list[Well]) -> tuple[Array, list[int]]:
    """((well, trace) m, nearest trace of each well); one well needs no positions."""
    placed = line.x is not None and line.y is not None and bool(np.ptp(line.x) + np.ptp(line.y) > 0 or len(line.data) == 1)
    if line.x is None or line.y is None or not placed or any(well.x is None or well.y is None for well in wells):
        if len(wells) == 1:
            return np.zeros((1, len(line.data))), [0]
        lost = ["the line"] * (not placed) + [called(well) for well in wells if well.x is None or well.y is None]
        raise Refusal("E_GEOMETRY", f"{', '.join(lost)} without coordinates: several wells cannot be weighted by distance.", "Use one well.")
    distance = np.array([np.hypot(line.x - float(well.x or 0), line.y - float(well.y or 0)) for well in wells])
    if not np.isfinite(distance).all():
        raise Refusal("E_GEOMETRY", f"{int((~np.isfinite(line.x + line.y)).sum())} traces have no coordinates.")
    return distance, [int(row.argmin()) for row in distance]


def _tracked(line: Seismic, horizons: list[Horizon]) -> tuple[Array, list[str]]:
    """((horizon, trace) s, what to note); beyond its ends a horizon is held at its last time."""
    rows, notes = [], []
    for number, horizon in enumerate(horizons, 1):
        if horizon.domain != "time":
            raise Refusal("E_PHYSICS", f"horizon {horizon.title or number} is in {horizon.domain}; the model is in two-way time.", "Give it in time.")
        time = horizon_time(horizon, line)
        good = np.flatnonzero(np.isfinite(time))
        if not len(good):
            raise Refusal("E_GEOMETRY", f"horizon {horizon.title or number} has no point on the line.")
        if len(good) < len(time):
            notes.append(f"horizon {horizon.title or number} is not tracked on {len(time) - len(good)} traces: held at the time of its nearest end")
        rows.append(np.interp(np.arange(len(time)), good, time[good]))
    return np.array(rows).reshape(len(rows), len(line.data)), notes


def _time_at(horizon: Horizon, tracked: Array, well: Well, nearest: int) -> float:
    """The horizon's time at a well: the top of its name, else its nearest point, else at the nearest trace."""
    tops = {name.casefold(): time for name, time in _top_times(well).items()}
    if horizon.title.casefold() in tops:
        return tops[horizon.title.casefold()]
    if horizon.cdp is None and horizon.x is not None and well.x is not None and well.y is not None:
        return float(horizon_near(horizon, np.array([well.x]), np.array([well.y]))[0][0])
    return float(tracked[nearest])


def _top_times(well: Well) -> dict[str, float]:
    """Name -> two-way time s of the tops that lie within the well's time-depth relation."""
    if not well.tops:
        return {}
    depth, time, _ = time_depth(well)
    return {name: float(np.interp(z, depth, time)) for name, z in well.tops.items() if depth[0] <= z <= depth[-1]}


def _same_tops(here: dict[str, float], there: dict[str, float]) -> tuple[list[tuple[float, float]], list[tuple[str, str]]]:
    """Times of one top in two wells: of the same name, or a group's code of two letters and the shallowest member's that begins with it."""
    pairs = [(here[name], there[name]) for name in sorted(here.keys() & there.keys())]
    codes = [{name.split(" (")[0]: time for name, time in tops.items() if re.fullmatch(r"[A-Z]{2,6}", name.split(" (")[0])} for tops in (here, there)]
    said = []
    for a, b in ((0, 1), (1, 0)):
        for group in sorted(code for code in codes[a] if len(code) == 2 and code not in codes[b]):
            members = {code: time for code, time in codes[b].items() if code.startswith(group)}
            if members:
                first = min(members, key=lambda code: members[code])
                ends = (codes[a][group], members[first]), (group, first)
                pairs.append(ends[0] if a == 0 else ends[0][::-1])
                said.append(ends[1] if a == 0 else ends[1][::-1])
    return pairs, said


def _supported(logs: list[_Log], knots: list[tuple[Array, Array]], times: Array) -> Array:
    """(sample,) bool: where one of the logs, brought to these times along the knots, was measured."""
    found = np.zeros(len(times), bool)
    for log, (here, there) in zip(logs, knots, strict=True):
        found |= log.covered(times + (np.interp(times, here, there - here) if len(here) else 0.0)) > 0.5
    return found


def _knots(here: Array, there: Array) -> tuple[Array, Array]:
    """Times of the same horizons here and at a well, both increasing: one that makes an interval THICKER times as thick is left out."""
    good = np.isfinite(here) & np.isfinite(there)
    order = np.argsort(here[good], kind="stable")
    kept: list[tuple[float, float]] = []
    for a, b in zip(here[good][order].tolist(), there[good][order].tolist(), strict=True):
        if not kept or (b > kept[-1][1] and 1 / THICKER < (b - kept[-1][1]) / max(a - kept[-1][0], 1e-6) < THICKER):
            kept.append((a, b))
    return np.array([a for a, _ in kept]), np.array([b for _, b in kept])


def _mixed(logs: list[_Log], distance: Array, knots: list[tuple[Array, Array]], times: Array, power: float) -> Array:
    """(sample,) inverse-distance mean of the wells' low-passed ln(impedance), each brought to these times along the knots."""
    total, weights = np.zeros(len(times)), np.zeros(len(times))
    for log, away, (here, there) in zip(logs, distance, knots, strict=True):
        moved = times + (np.interp(times, here, there - here) if len(here) else 0.0)
        weight = (log.covered(moved) + 1e-6) / max(float(away), NEAR) ** power
        total += weight * np.interp(moved, log.times, log.low)
        weights += weight
    return total / weights


def _score(truth: Array, guess: Array, times: Array) -> tuple[float, float, float]:
    """(correlation, the same without a straight line in time, rms error in percent of the impedance)."""
    straight = np.column_stack([np.ones(len(times)), times - times.mean()])
    a, b = (values - straight @ np.linalg.lstsq(straight, values, rcond=None)[0] for values in (truth, guess))
    pairs = [float(np.corrcoef(one, two)[0, 1]) if np.ptp(one) > 0 and np.ptp(two) > 0 else 0.0 for one, two in ((truth, guess), (a, b))]
    return round(pairs[0], 4), round(pairs[1], 4), round(100 * float(np.sqrt(np.mean(np.expm1(guess - truth) ** 2))), 2)
