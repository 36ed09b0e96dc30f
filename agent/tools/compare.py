"""What changed between two results: the tool behind "how much did it move?"."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from moho.agent.registry import tool
from moho.errors import Refusal
from moho.survey import Catalogue, Data, Gravity, Grid, Horizon, Magnetics, Picks, Report, Seismic, Well
from moho.units import Quantity

EARTH_RADIUS = 6371.0  # km
COMPARED = (Gravity, Grid, Magnetics, Seismic)  # what names its quantity


@tool(
    discipline="any",
    stage="interpretation",
    say=(
        "How much did it change between {first} and {second}?",
        "compare {first} with {second}",
        "difference between {first} and {second}",
        "how far does it move?",
        "what changed from {first} to {second}?",
        "how much did the pick move?",
        "by how much do {first} and {second} differ",
        "before and after: {first} vs {second}",
        "did {second} shift against {first}?",
        "is {second} any different from {first}, and by how much",
    ),
    reference="Differences of the stated numbers; great-circle distance by the haversine formula on a sphere of 6371 km.",
    truth="one degree of latitude is 6371 pi / 180 km; planted shifts of picks (0.25 s) and horizons (0.01 s) come back",
)
def compare(first: Annotated[Data, "first result"], second: Annotated[Data, "second result"]) -> Report:
    """Differences, second minus first, of the numbers that two results of one kind share, and how far positions moved."""
    if type(first) is not type(second):
        raise ValueError(f"first is a {type(first).__name__} and second a {type(second).__name__}; two results of one kind can be compared")
    if isinstance(first, COMPARED) and isinstance(second, COMPARED) and first.quantity != second.quantity:
        raise ValueError(f"first is {first.quantity} and second {second.quantity}; two results of one quantity can be compared")
    facts = _moved(first, second)
    shared = {**first.summary(), **first.facts}
    other = {**second.summary(), **second.facts}
    for key, quantity in shared.items():
        twin = other.get(key)
        if twin is None or twin.unit != quantity.unit:
            continue
        if (change := _change(quantity.value, twin.value)) is not None:
            facts.setdefault(key, Quantity(change, quantity.unit, f"change of {quantity.label or key}"))
    if not facts:
        facts = {"identical": Quantity("no number differs", "", "comparison")}
    return Report(title=f"{second.title} against {first.title}", facts=facts, notes=("differences are second minus first",))


def _moved(first: Data, second: Data) -> dict[str, Quantity]:
    """Shifts of positions, times and samples, by the kind of data."""
    if isinstance(first, Catalogue) and isinstance(second, Catalogue):
        if len(first.time) != len(second.time):
            return {"events": Quantity(len(second.time) - len(first.time), "", "change of events")}
        distance = _haversine(first.latitude, first.longitude, second.latitude, second.longitude)
        depth = np.abs(second.depth - first.depth)
        return {
            key: Quantity(float(np.nanmax(values)), "km", label)
            for key, values, label in (("moved", distance, "epicentre moved by"), ("depth_change", depth, "depth changed by"))
            if np.isfinite(values).any()
        }
    if isinstance(first, Picks) and isinstance(second, Picks):
        return _pick_shift(first, second)
    if isinstance(first, Horizon) and isinstance(second, Horizon) and first.domain == second.domain:
        shift = _horizon_shift(first, second)
        if not np.isfinite(shift).any():
            raise Refusal("E_DATA", "the two horizons share no tracked point")
        unit = "s" if first.domain == "time" else "m"
        return {
            "mean_shift": Quantity(float(np.nanmean(shift)), unit, "mean shift of the horizon"),
            "largest_shift": Quantity(float(np.nanmax(np.abs(shift))), unit, "largest shift of the horizon"),
        }
    if isinstance(first, Seismic) and isinstance(second, Seismic) and _same_samples(first, second):
        return _array_change(first.data, second.data, second.unit if second.unit != "unknown" else "")
    if isinstance(first, Grid) and isinstance(second, Grid) and _same_nodes(first, second):
        return _array_change(first.values, second.values, second.unit)
    if isinstance(first, Well) and isinstance(second, Well) and np.array_equal(first.depth, second.depth):
        return _curve_changes(first, second)
    return {}


def _change(before: Any, after: Any) -> Any:
    """The difference of two numbers, or of two lists of as many; None where there is none to state."""
    if isinstance(before, (list, tuple)) and isinstance(after, (list, tuple)) and len(before) == len(after):
        changes = [_change(a, b) or 0.0 for a, b in zip(before, after, strict=True) if isinstance(a, (int, float)) and isinstance(b, (int, float))]
        return changes if len(changes) == len(before) and any(changes) else None
    if isinstance(before, (int, float)) and isinstance(after, (int, float)) and after != before and np.isfinite(after - before):
        return after - before
    return None


def _same_samples(first: Seismic, second: Seismic) -> bool:
    alike = (first.dt, first.t0, first.domain, first.unit) == (second.dt, second.t0, second.domain, second.unit)
    return alike and first.data.shape == second.data.shape and np.array_equal(first.numbers, second.numbers)


def _same_nodes(first: Grid, second: Grid) -> bool:
    return first.unit == second.unit and np.array_equal(first.x, second.x) and np.array_equal(first.y, second.y)


def _horizon_shift(first: Horizon, second: Horizon) -> np.ndarray:
    """(point,) second minus first where both have a point: by CDP, or one by one where neither has CDPs."""
    if first.cdp is not None and second.cdp is not None:
        _, i, j = np.intersect1d(first.cdp, second.cdp, return_indices=True)
        return np.asarray(second.time[j] - first.time[i])
    if len(first.time) != len(second.time):
        raise Refusal("E_DATA", f"the horizons have {len(first.time)} and {len(second.time)} points and no CDP numbers to match them by")
    return np.asarray(second.time - first.time)


def _curve_changes(first: Well, second: Well) -> dict[str, Quantity]:
    """Mean change of every curve that both wells hold in the same unit."""
    facts = {}
    for name, curve in first.curves.items():
        other = second.curves.get(name)
        if other is not None and other.unit == curve.unit:
            change = other.values - curve.values
            if np.nanmax(np.abs(change), initial=0) > 0:
                facts[f"{name.lower()}_change"] = Quantity(float(np.nanmean(change)), curve.unit, f"mean change of {name}")
    return facts


def _pick_shift(first: Picks, second: Picks) -> dict[str, Quantity]:
    import obspy

    before = {(s, p): obspy.UTCDateTime(first.origin) + float(t) for s, p, t in zip(first.station, first.phase, first.time, strict=True)}
    after = {(s, p): obspy.UTCDateTime(second.origin) + float(t) for s, p, t in zip(second.station, second.phase, second.time, strict=True)}
    shifts = [float(after[key] - before[key]) for key in before if key in after]
    if not shifts:
        raise Refusal("E_DATA", "the two sets of picks share no station and phase")
    return {
        "mean_shift": Quantity(float(np.mean(shifts)), "s", "mean shift of the picks"),
        "largest_shift": Quantity(float(np.max(np.abs(shifts))), "s", "largest shift of a pick"),
        "shared_picks": Quantity(len(shifts), "", "picks in both"),
    }


def _array_change(first: np.ndarray, second: np.ndarray, unit: str) -> dict[str, Quantity]:
    valid = np.isfinite(first) & np.isfinite(second)
    if not valid.any():
        raise Refusal("E_DATA", "the two results share no sample with a value")
    a, b = first[valid].astype(float), second[valid].astype(float)
    rms = float(np.sqrt(np.mean((b - a) ** 2)))
    flat = a.std() == 0 or b.std() == 0
    facts = {"rms_difference": Quantity(rms, unit, "rms difference"), "rms_first": Quantity(float(np.sqrt(np.mean(a**2))), unit, "rms of the first")}
    return facts if flat else facts | {"correlation": Quantity(float(np.corrcoef(a, b)[0, 1]), "", "correlation")}


def _haversine(latitude: np.ndarray, longitude: np.ndarray, latitude2: np.ndarray, longitude2: np.ndarray) -> np.ndarray:
    """(event,) km."""
    a, b = np.radians(latitude), np.radians(latitude2)
    half = np.sin((b - a) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(np.radians(longitude2 - longitude) / 2) ** 2
    return np.asarray(2 * EARTH_RADIUS * np.arcsin(np.sqrt(half)))
