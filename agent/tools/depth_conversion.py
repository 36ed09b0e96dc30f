"""Time to depth and back by one velocity or by the time-depth relation of a well, and never beyond it."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from moho.agent.registry import tool
from moho.agent.tools.seismic_processing import amplitudes
from moho.agent.tools.ties import called, checked_well, time_depth
from moho.errors import Missing, Refusal
from moho.survey import Array, Horizon, Seismic, Table, Well
from moho.units import Metres, Quantity, Velocity


@tool(
    discipline="seismic",
    stage="interpretation",
    reference="Etris et al. 2001, True depth conversion: more than a pretty picture, CSEG Recorder 26(9)",
    truth="made checkshots come back within 2 mm, those of F3 well F02-1 within 2 ms; nothing beyond them is extrapolated",
    say=(
        "Convert {data} to depth with {velocity}",
        "depth convert {data} using {well}",
        "time to depth {data}, {velocity}",
        "How deep is {data}? use the checkshots {checkshots}",
        "put the section {data} in depth with the time-depth curve of {well}, sampled every {step}",
        "depth conversion of horizon {data} v={velocity}",
        "at what depth does {data} lie at {well}?",
        "please to convert horizon {data} in metres with checkshots of {well}",
        "{data} to depth pls, average velocity {velocity}",
        "turn the depth horizon {data} back into two-way time with {well}",
    ),
)
def depth_convert(
    data: Horizon | Seismic,
    velocity: Annotated[Velocity, "average velocity"] | None = None,
    well: Well | None = None,
    checkshots: Table | None = None,
    step: Annotated[Metres, "depth sampling"] | None = None,
) -> Horizon | Seismic:
    """The horizon or section in depth (a horizon in depth goes back to time).

    depth = velocity x two-way time / 2 with one velocity, else linear in the time-depth relation of a well or its checkshots, the
    same everywhere along the data. Nothing is extrapolated: what lies beyond the relation is left out, and how much is said.
    """
    if velocity is not None and (well is not None or checkshots is not None):
        raise ValueError("give one velocity, or a well or checkshots, not both")
    depth, time, words = _relation(velocity, well, checkshots)
    if isinstance(data, Horizon):
        if step is not None:
            raise ValueError("step is the sampling of a section in depth; a horizon has none")
        return _horizon_converted(data, depth, time, words)
    return _section_converted(data, depth, time, words, step)


def _relation(velocity: float | None, well: Well | None, checkshots: Table | None) -> tuple[Array, Array, str]:
    """(depth m, two-way time s, both increasing; the velocity model in words)."""
    if velocity is not None:
        if velocity < 300:
            raise Refusal("E_PHYSICS", f"{velocity:g} m/s is slower than sound in air: no rock has it.", "Give m/s, 1500 to 6000 for rock.")
        return np.array([0.0, velocity * 50]), np.array([0.0, 100.0]), f"one average velocity of {velocity:g} m/s from time 0, which is depth 0"
    if well is not None:
        used = checked_well(well, checkshots)
        depth, time, words = time_depth(used)
        return depth, time, f"time-depth relation of {called(used)} used everywhere: {words}; depths from the zero of its depth ({used.reference})"
    if checkshots is not None:
        if not {"depth_m", "twt_s"} <= set(checkshots.columns):
            raise Refusal("E_DATA", f"{checkshots.title} has no columns depth_m and twt_s: it holds {', '.join(checkshots.columns)}.")
        depth, time = (np.asarray(checkshots.columns[name], float) for name in ("depth_m", "twt_s"))
        if len(depth) < 2 or np.any(np.diff(depth) <= 0) or np.any(np.diff(time) <= 0):
            raise Refusal("E_GEOMETRY", f"{checkshots.title}: depth and time must both increase.")
        return depth, time, f"{len(depth)} checkshots of {checkshots.title}, linear between them, used everywhere; depths from their zero"
    raise Missing("velocity", "Which velocity turns time into depth: an average one in m/s, or the checkshots of a well?")


def _model_facts(depth: Array, time: Array, low: float, high: float) -> dict[str, Quantity]:
    """Where the velocity model holds, and its velocities over the times `low` to `high`."""
    t = np.unique(np.concatenate([[low, high], time[(time > low) & (time < high)]]))
    z = np.interp(t, time, depth)
    facts = {}
    if time[-1] < 99:
        spans = [round(float(time[0]), 4), round(float(time[-1]), 4)], [round(float(depth[0]), 2), round(float(depth[-1]), 2)]
        facts["model_times"] = Quantity(spans[0], "s", "times between which the velocity model holds")
        facts["model_depths"] = Quantity(spans[1], "m", "depths between which the velocity model holds")
    if high > 0:
        facts["average_velocity"] = Quantity(round(float(2 * z[-1] / t[-1]), 1), "m/s", "average velocity to the deepest point")
    return facts


def _horizon_converted(data: Horizon, depth: Array, time: Array, words: str) -> Horizon:
    back = data.domain == "depth"
    source, target = (depth, time) if back else (time, depth)
    values = np.asarray(data.time, float)
    known = np.isfinite(values)
    inside = known & (values >= source[0] - 1e-9) & (values <= source[-1] + 1e-9)
    unit, other = ("m", "s") if back else ("s", "m")
    if not known.any():
        raise Refusal("E_DATA", f"the horizon {data.title} holds no value.")
    if not inside.any():
        held = f"{values[known].min():g} to {values[known].max():g} {unit}"
        raise Refusal("E_DATA", f"the horizon lies at {held}, the velocity model holds from {source[0]:g} to {source[-1]:g} {unit}.")
    result = np.where(inside, np.interp(values, source, target), np.nan)
    left = int((known & ~inside).sum())
    notes = [words, "velocity does not change along the horizon"]
    if left:
        notes.append(f"{left} of {int(known.sum())} points lie beyond {source[0]:g} to {source[-1]:g} {unit}, where the model ends: left empty")
    times = result[inside] if back else values[inside]
    held = result[inside]
    way = "time" if back else "depth"
    facts = {
        way: Quantity([float(f"{held.min():.8g}"), float(f"{held.max():.8g}")], other, f"{way} range"),
        "mean": Quantity(float(f"{held.mean():.8g}"), other, f"mean {way}"),
        "left_out": Quantity(left, "", "points beyond the velocity model"),
        **_model_facts(depth, time, float(times.min()), float(times.max())),
    }
    return data.made(facts=facts, notes=tuple(notes), time=result, domain="time" if back else "depth", view={})


def _section_converted(line: Seismic, depth: Array, time: Array, words: str, step: float | None) -> Seismic:
    from scipy.interpolate import make_interp_spline

    if line.domain != "time":
        raise Refusal("E_PHYSICS", f"this section is in {line.domain} already.", "Take the section in time.")
    if line.data.shape[1] < 4:
        raise Refusal("E_DATA", f"{line.data.shape[1]} samples a trace are too few to be put in depth; 4 are wanted.")
    data, _, notes = amplitudes(line)
    axis = line.times
    low, high = max(float(axis[0]), float(time[0])), min(float(axis[-1]), float(time[-1]))
    if not high > low + 2 * line.dt:
        raise Refusal("E_DATA", f"the line runs from {axis[0]:g} to {axis[-1]:g} s, the velocity model from {time[0]:g} to {time[-1]:g} s.")
    z = np.interp([low, high], time, depth)
    inner = np.unique(np.concatenate([[low, high], time[(time > low) & (time < high)]]))
    speeds = 2 * np.diff(np.interp(inner, time, depth)) / np.diff(inner)
    slowest = float(np.quantile(speeds, 0.02)) if len(speeds) > 1 else float(speeds[0])
    spacing = step if step is not None else float(f"{0.5 * slowest * line.dt:.2g}")
    if step is not None and step > 1.001 * 0.5 * slowest * line.dt:
        needed = 0.5 * slowest * line.dt
        notes = (*notes, f"{step:g} m is coarser than the {needed:.3g} m that {line.dt:g} s are at {slowest:.0f} m/s: fine detail is lost")
    count = int((z[1] - z[0]) / spacing + 1e-9) + 1
    if count > 50_000:
        raise Refusal("E_LIMIT", f"{spacing:g} m gives {count} samples a trace; at most 50000 are made.", "Take a coarser step.")
    axis_z = z[0] + spacing * np.arange(count)
    at = np.clip(np.interp(axis_z, depth, time), axis[0], axis[-1])
    values = make_interp_spline(axis, data.T.astype(np.float64), k=3)(at).T.astype(np.float32)
    left = [f"{low - axis[0]:.3g} s above"] * bool(low > axis[0] + 1e-9) + [f"{axis[-1] - high:.3g} s below"] * bool(high < axis[-1] - 1e-9)
    said = [words, "velocity does not change along the line: structure under lateral changes of velocity is not corrected"]
    if left:
        said.append(f"the velocity model holds from {time[0]:.4g} to {time[-1]:.4g} s: {' and '.join(left)} are cut off, nothing is extrapolated")
    facts: dict[str, Any] = {
        "depth": Quantity([round(float(axis_z[0]), 3), round(float(axis_z[-1]), 3)], "m", "depth range"),
        "step": Quantity(float(spacing), "m", "depth sampling"),
        "velocity": Quantity([round(float(speeds.min()), 1), round(float(speeds.max()), 1)], "m/s", "interval velocity range"),
        **_model_facts(depth, time, low, high),
    }
    changes = {"data": values, "dt": float(spacing), "t0": float(axis_z[0]), "domain": "depth", "band": None, "view": {}}
    return line.made(facts=facts, notes=(*said, *notes), **changes)
