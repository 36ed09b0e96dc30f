"""Well logs: inspection, shale volume, porosity and water saturation.

Curves are read in the unit they were recorded in and converted; results are fractions. An interval that is asked for and
not logged is refused, samples outside it stay empty. Cut-offs and net pay are elsewhere.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from moho.agent.registry import tool
from moho.errors import Missing, Refusal
from moho.survey import MNEMONICS, UNKNOWN, Array, Curve, Report, Well
from moho.units import Depth, Exponent, GammaRay, GramsPerCC, OhmMetres, Quantity, Slowness, convert

# Curve -> unit worked in, and for every unit a log may come in the range its median has to lie in.
RANGES: dict[str, tuple[str, dict[str, tuple[float, float]]]] = {
    "GR": ("gapi", {"gapi": (3, 500)}),
    "RHOB": ("g/cm3", {"g/cm3": (1.0, 3.6), "kg/m3": (1000, 3600)}),
    "DT": ("us/ft", {"us/ft": (40, 230), "us/m": (150, 850)}),
    "NPHI": ("v/v", {"v/v": (-0.1, 0.8), "%": (2, 80)}),
    "RT": ("ohm.m", {"ohm.m": (0.01, 1e5)}),
    "PHI": ("v/v", {"v/v": (0.0, 0.6), "%": (2, 60)}),
}
POROSITIES = ("PHI", "PHIT", "PHIE", "PHID", "PHIS", "PHIA", "PHI_T", "PHI_E", "POR", "PORO", "POROSITY", "DPHI", "DPOR", "DPHZ", "SPHI", "PHIX")
POSITIVE = ("GR", "RHOB", "DT", "DTS", "CALI", "PE")  # kinds of curve that are never negative
MADE = "Moho porosity"  # how a PHI curve of `porosity` is described
Top = Annotated[Depth, "top of the interval"]
Base = Annotated[Depth, "base of the interval"]


@tool(
    discipline="well",
    stage="inspect",
    say=(
        "What curves are in {well}?",
        "Inspect the log {well}",
        "las header of {well} pls: curves, units, depth range, step",
        "how much of {well} is null?",
        "QC the LAS file",
        "which logs does this well have and over what depth",
        "mean gamma ray of {well}",
        "Are there gaps in the logs of {well}?",
        "tell me the units of the curves in {well}",
        "show me what is inside the well file",
    ),
    reference="Canadian Well Logging Society 2014, LAS version 2.0 standard",
    truth="planted nulls counted to 0.001 %, a planted gap of 12.5 m found; Scorpio: 2732 samples from 0.05 to 136.6 m",
)
def las_inspect(well: Well) -> Report:
    """Curves with units, depth range and step, share of nulls, gaps in depth, and mean, least and largest value of every curve.

    Means skip nulls. Depths are metres by the well's reference whatever the file used.
    """
    facts = well.summary()
    notes = list(well.notes)
    steps = np.diff(well.depth)
    step = float(np.median(steps)) if len(steps) else 0.0
    holes = np.flatnonzero(steps > 1.5 * step)
    facts["gaps"] = Quantity(len(holes), "", "gaps in depth")
    if len(holes):
        facts["longest_gap"] = Quantity(round(float(steps[holes].max()), 4), "m", "longest gap in depth")
        notes += [f"nothing between {well.depth[i]:.2f} and {well.depth[i + 1]:.2f} m" for i in holes[:10]]
    facts["units"] = Quantity([f"{name}: {curve.unit or UNKNOWN}" for name, curve in well.curves.items()], "", "units")
    rows = []
    for name, curve in well.curves.items():
        numeric = np.issubdtype(np.asarray(curve.values).dtype, np.number)
        values = np.asarray(curve.values, float) if numeric else np.full(len(well.depth), np.nan)
        finite = values[np.isfinite(values)]
        null = 100 * (1 - len(finite) / len(values))
        facts[f"{name}_null"] = Quantity(round(null, 3), "%", f"nulls in {name}")
        if not numeric:
            notes.append(f"{name} holds text")
        elif not len(finite):
            notes.append(f"{name} is empty: every sample is null")
        unit = "" if curve.unit == UNKNOWN else curve.unit
        if len(finite):
            facts[f"{name}_mean"] = Quantity(float(f"{finite.mean():.8g}"), unit, f"mean {name}")
            facts[f"{name}_range"] = Quantity([float(f"{finite.min():.8g}"), float(f"{finite.max():.8g}")], unit, f"{name} range")
        if any(name.upper() in MNEMONICS[kind] for kind in POSITIVE) and (negative := int(np.sum(finite < 0))):
            notes.append(f"{name}: {negative} negative values, down to {finite.min():g}, which are impossible")
        if curve.unit in ("", UNKNOWN):
            notes.append(f"{name} has no unit in the file")
        ends = well.depth[np.flatnonzero(np.isfinite(values))[[0, -1]]] if len(finite) else np.array([np.nan, np.nan])
        rows.append((null, *((finite.mean(), finite.min(), finite.max()) if len(finite) else (np.nan,) * 3), *ends))
    table = np.array(rows, float).reshape(-1, 6)
    arrays = {
        "curve": np.array(list(well.curves), dtype=str),
        "unit": np.array([curve.unit for curve in well.curves.values()], dtype=str),
        "null_percent": table[:, 0],
        "mean": table[:, 1],
        "least": table[:, 2],
        "largest": table[:, 3],
        "top": table[:, 4],  # m, first sample with a value
        "base": table[:, 5],
    }
    return Report(title=f"Logs of {well.well_name or well.title or 'the well'}", facts=facts, notes=tuple(notes), arrays=arrays)


@tool(
    discipline="well",
    stage="interpretation",
    say=(
        "Shale volume of {well} from gamma ray, clean {clean}, shale {shale}",
        "Compute Vsh in {well} with {law}, GR clean {clean} and GR shale {shale}",
        "vshale {clean} {shale} on {well}",
        "how shaly is {well} between {top} and {base}?",
        "Vcl from GR please, sand line {clean}, shale line {shale}",
        "Larionov shale volume for {well}, {clean}/{shale} API",
        "make me a VSH curve, clean sand at {clean}, shale at {shale}",
        "what is the mean clay content from the gamma ray, min {clean} max {shale}",
        "calculate volume of shale from {top} to {base} using {clean} and {shale}",
        "gamma ray index to Vshale, {law}",
    ),
    reference="Larionov 1969, Borehole Radiometry, Nedra; Asquith & Krygowski 2004, Basic Well Log Analysis, AAPG",
    truth="linear and Larionov's laws to 1e-6 of their closed forms, never outside 0 to 1",
)
def vshale(
    well: Well,
    clean: Annotated[GammaRay, "clean-sand GR"],
    shale: Annotated[GammaRay, "shale GR"],
    law: Literal["linear", "larionov tertiary", "larionov older"] = "linear",
    top: Top | None = None,
    base: Base | None = None,
) -> Well:
    """The well with the shale volume VSH (v/v) from its gamma ray.

    I = (GR - clean) / (shale - clean), limited to 0..1; linear VSH = I, Larionov for Tertiary rocks 0.083 (2^(3.7 I) - 1), for
    older rocks 0.33 (2^(2 I) - 1).
    """
    if not clean < shale:
        raise ValueError(f"need clean < shale, got clean {clean:g} and shale {shale:g} gAPI")
    inside = _interval(well, top, base)
    gamma, name, notes = _curve(well, "GR", inside)
    index, clipped = _limit((gamma - clean) / (shale - clean), inside)
    laws = {"linear": index, "larionov tertiary": 0.083 * (2 ** (3.7 * index) - 1), "larionov older": 0.33 * (2 ** (2 * index) - 1)}
    notes.append(f"VSH from {name}, {law}, clean {clean:g} gAPI, shale {shale:g} gAPI")
    return _add(well, "VSH", "shale volume", laws[law], inside, clipped, notes, f"shale volume from {name}, {law}")


@tool(
    discipline="well",
    stage="interpretation",
    say=(
        "Porosity of {well} from the density log, matrix {matrix}, fluid {fluid}",
        "compute {method} porosity for {well}",
        "density porosity {matrix} {fluid}",
        "What is the mean porosity between {top} and {base}?",
        "phi from sonic, Wyllie, in {well}",
        "neutron density porosity on {well} please",
        "calculate the porosity log, grain density {matrix}",
        "how porous is the reservoir from {top} to {base}",
        "make a PHI curve out of RHOB for limestone, {matrix}",
        "porosity by {method} in interval {top}-{base}",
    ),
    reference="Wyllie, Gregory & Gardner 1956, Geophysics 21; Asquith & Krygowski 2004, Basic Well Log Analysis, AAPG",
    truth="2.32 g/cm3 in quartz and water is 0.20 (1e-9), in five spellings of the unit; Wyllie's average and the neutron-density mean to 1e-6",
)
def porosity(
    well: Well,
    method: Literal["density", "sonic", "neutron-density"] = "density",
    matrix: Annotated[GramsPerCC, "matrix density"] = 2.65,
    fluid: Annotated[GramsPerCC, "fluid density"] = 1.0,
    top: Top | None = None,
    base: Base | None = None,
    matrix_slowness: Annotated[Slowness, "matrix slowness"] = 55.5,
    fluid_slowness: Annotated[Slowness, "fluid slowness"] = 189.0,
) -> Well:
    """The well with its porosity PHI (v/v).

    Density: (matrix - RHOB) / (matrix - fluid). Sonic: Wyllie's time average, (DT - matrix) / (fluid - matrix), not corrected
    for compaction. Neutron-density: the mean of density porosity and NPHI as recorded. No shale correction.
    """
    if not fluid < matrix:
        raise ValueError(f"need fluid < matrix density, got fluid {fluid:g} and matrix {matrix:g} g/cm3")
    if not matrix_slowness < fluid_slowness:
        raise ValueError(f"need matrix_slowness < fluid_slowness, got {matrix_slowness:g} and {fluid_slowness:g} us/ft")
    inside = _interval(well, top, base)
    if method == "sonic":
        slowness, name, notes = _curve(well, "DT", inside)
        phi = (slowness - matrix_slowness) / (fluid_slowness - matrix_slowness)
        notes.append(f"PHI from {name}, Wyllie time average without compaction, matrix {matrix_slowness:g} us/ft, fluid {fluid_slowness:g} us/ft")
    else:
        density, name, notes = _curve(well, "RHOB", inside)
        phi = (matrix - density) / (matrix - fluid)
        notes.append(f"PHI from {name}, matrix {matrix:g} g/cm3, fluid {fluid:g} g/cm3")
        if method == "neutron-density":
            neutron, other, said = _curve(well, "NPHI", inside)
            notes += [*said, f"mean of density porosity and {other} as recorded (limestone units unless the log says otherwise)"]
            crossed = float(np.mean((phi - neutron)[inside & np.isfinite(phi - neutron)] > 0.04)) if np.isfinite(phi - neutron)[inside].any() else 0.0
            if crossed > 0.05:
                notes.append(f"density porosity exceeds neutron by more than 0.04 in {100 * crossed:.0f} % of the samples: gas, or another matrix")
            phi, name = (phi + neutron) / 2, f"{name} and {other}"
    notes.append("not corrected for shale")
    if method == "sonic" and np.nanmean(phi[inside]) > 0.4:
        notes.append(f"a mean of {np.nanmean(phi[inside]):.2f} is too high for rock: Wyllie's average holds for compacted rock, prefer density here")
    phi, clipped = _limit(phi, inside)
    return _add(well, "PHI", "porosity", phi, inside, clipped, notes, f"{MADE}, {method}, from {name}")


@tool(
    discipline="well",
    stage="interpretation",
    say=(
        "Water saturation of {well} with Rw {rw}",
        "Archie Sw, Rw {rw}, a {a}, m {m}, n {n}",
        "compute Sw in {well} from {porosity_curve}, rw={rw}",
        "how much water is in the pores between {top} and {base}? Rw is {rw}",
        "Sw archie {rw} pls",
        "saturation from the deep resistivity, formation water {rw}",
        "what's the hydrocarbon saturation of {well} with Rw = {rw}",
        "calculate water saturation with cementation {m} and Rw {rw}",
        "is the zone {top} to {base} wet? use Rw {rw}",
        "run Archie on {well}",
    ),
    reference="Archie 1942, The electrical resistivity log as an aid in determining some reservoir characteristics, Trans. AIME 146",
    truth="Rt 20, Rw 0.05, porosity 0.2: Sw 0.25 to 1e-9",
)
def water_saturation(
    well: Well,
    rw: Annotated[OhmMetres, "formation-water resistivity"],
    a: Annotated[Exponent, "tortuosity factor"] = 1.0,
    m: Annotated[Exponent, "cementation exponent"] = 2.0,
    n: Annotated[Exponent, "saturation exponent"] = 2.0,
    porosity_curve: Annotated[str, "porosity curve"] | None = None,
    top: Top | None = None,
    base: Base | None = None,
) -> Well:
    """The well with its water saturation SW (v/v) by Archie: Sw = (a Rw / (phi^m Rt))^(1/n).

    For clean rock; shale conducts too, and there this overestimates. Rw must hold at formation temperature. A porosity made
    by the tool `porosity` is used before neutron logs; two interpreted porosities are asked about.
    """
    if not (a > 0 and n > 0):
        raise ValueError(f"a and n must be above 0, got a {a:g} and n {n:g}")
    if not rw > 0:
        raise ValueError(f"rw must be above 0 ohm.m, got {rw:g}")
    inside = _interval(well, top, base)
    chosen, notes = _porosity_curve(well, porosity_curve)
    phi, _, said = _curve(well, "PHI", inside, chosen)
    resistivity, name, more = _curve(well, "RT", inside)
    notes += said + more
    with np.errstate(divide="ignore", invalid="ignore"):
        impossible = inside & ((resistivity <= 0) | (phi < 0))
        saturation = np.where((resistivity > 0) & (phi >= 0), (a * rw / (np.maximum(phi, 0) ** m * resistivity)) ** (1 / n), np.nan)
    if impossible.any():
        notes.append(f"{int(impossible.sum())} samples with resistivity or porosity below what is possible were left empty")
    saturation, clipped = _limit(saturation, inside)
    notes.append(f"Archie with Rw {rw:g} ohm.m, a {a:g}, m {m:g}, n {n:g}, porosity {chosen}, resistivity {name}; clean rock assumed")
    return _add(well, "SW", "water saturation", saturation, inside, clipped, notes, f"Archie water saturation from {name} and {chosen}")


def _interval(well: Well, top: float | None, base: float | None) -> Array:
    """(sample,) bool, depths from `top` to `base`; Refusal where the well was not logged there."""
    first, last = float(well.depth[0]), float(well.depth[-1])
    step = float(np.median(np.diff(well.depth))) if len(well.depth) > 1 else 0.0
    upper, lower = first if top is None else top, last if base is None else base
    if top is not None and base is not None and not top < base:
        raise ValueError(f"need top < base, got top {top:g} and base {base:g} m")
    if upper < first - step or lower > last + step or upper > last or lower < first:
        wanted = f"{upper:g} to {lower:g} m"
        raise Refusal("E_DATA", f"{wanted} is not within the logged {first:g} to {last:g} m ({well.reference}).", "Choose depths inside this range.")
    inside = (well.depth >= upper - 1e-9) & (well.depth <= lower + 1e-9)
    if not inside.any():
        raise Refusal("E_DATA", f"no sample lies between {upper:g} and {lower:g} m; the step is {step:g} m.")
    return inside


def _curve(well: Well, kind: str, inside: Array, mnemonic: str | None = None) -> tuple[Array, str, list[str]]:
    """(values in the working unit, mnemonic, notes) of a curve.

    A unit that is recorded is held against the median; one that is not recorded is taken from the median when only one
    fits, and this is said.
    """
    name = mnemonic or well.find(kind)
    curve = well.curves[name]
    wanted, ranges = RANGES[kind]
    values = np.asarray(curve.values, float)
    notes: list[str] = []
    if name.upper().endswith("LOG10"):
        values = 10.0**values
        notes.append(f"{name} is the logarithm of resistivity: raised to the power of ten")
    if not np.isfinite(values[inside]).any():
        span = f"{well.depth[inside][0]:g} to {well.depth[inside][-1]:g} m"
        held = well.depth[np.isfinite(values)]
        where = f"it has values from {held[0]:g} to {held[-1]:g} m" if len(held) else "the whole curve is null"
        raise Refusal("E_DATA", f"{name} has no value from {span}; {where}.")
    median = float(np.nanmedian(values[np.isfinite(values)]))
    unit = "" if curve.unit == UNKNOWN else curve.unit.strip()
    if not unit:
        fitting = [other for other, (low, high) in ranges.items() if low <= median <= high]
        if len(fitting) != 1:
            raise Missing("unit", f"{name} has no unit in the file and a median of {median:g}: is it {' or '.join(ranges)}?", tuple(ranges))
        unit = fitting[0]
        notes.append(f"{name} has no unit in the file; its median of {median:g} is only possible in {unit}, which was taken")
        return _to(values, unit, wanted), name, notes
    try:
        converted = _to(values, unit, wanted)
    except ValueError as error:
        raise Refusal("E_UNITS", f"{name} is recorded in {unit}, which cannot become {wanted}.", "Correct the unit of the curve.") from error
    low, high = ranges[wanted]
    middle = float(np.nanmedian(converted[np.isfinite(converted)]))
    if kind in ("RHOB", "DT", "NPHI", "PHI") and not 0.5 * low - 0.1 <= middle <= 1.5 * high:
        raise Refusal(
            "E_UNITS",
            f"{name} is recorded in {unit}, but its median of {median:g} {unit} is {middle:g} {wanted}; {low:g} to {high:g} is possible.",
            "The unit in the file is wrong: correct it.",
        )
    if unit.lower() not in (wanted, wanted.replace("gapi", "api")):
        notes.append(f"{name} converted from {unit} to {wanted}")
    return converted, name, notes


def _to(values: Array, unit: str, wanted: str) -> Array:
    return values if unit.lower() == wanted else np.asarray(convert(values, unit, wanted))


def _porosity_curve(well: Well, named: str | None) -> tuple[str, list[str]]:
    """(mnemonic of the porosity, notes): the one named, the one Moho made, or the only one there is."""
    by_upper = {name.upper(): name for name in well.curves}
    interpreted = [by_upper[name] for name in POROSITIES if name in by_upper]
    neutron = [by_upper[name] for name in MNEMONICS["NPHI"] if name in by_upper and _fraction(well.curves[by_upper[name]].unit)]
    held = (*interpreted, *neutron)
    if named is not None:
        if named.upper() not in by_upper:
            raise ValueError(f"there is no curve {named!r}; porosity curves are {', '.join(held) or 'none'}, all curves {', '.join(well.curves)}")
        return by_upper[named.upper()], []
    if not held:
        raise Refusal("E_DATA", f"the well has no porosity curve; it holds {', '.join(well.curves)}.", "Run the tool porosity first.")
    if len(interpreted) == 1 and well.curves[interpreted[0]].description.startswith(MADE):
        notes = [f"{interpreted[0]} of the tool porosity used, not {', '.join(neutron)}"] if neutron else []
        return interpreted[0], notes
    if len(held) > 1:
        raise Missing("porosity_curve", f"Which porosity curve should be used: {', '.join(held)}?", held)
    return held[0], ["neutron porosity taken as recorded, not corrected for lithology"] if neutron else []


def _fraction(unit: str) -> bool:
    """Whether a unit can be one of porosity; a count rate cannot."""
    try:
        return unit in ("", UNKNOWN) or bool(convert(1.0, unit, "v/v"))
    except ValueError:
        return False


def _limit(values: Array, inside: Array) -> tuple[Array, int]:
    """(values held to 0..1, empty outside the interval; how many samples were changed). NaN stays."""
    kept = np.where(inside, values, np.nan)
    return np.clip(kept, 0.0, 1.0), int(np.sum((kept < 0) | (kept > 1)))


def _add(well: Well, name: str, words: str, values: Array, inside: Array, clipped: int, notes: list[str], description: str) -> Well:
    """The well with one more curve, and its numbers over the interval as facts."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        raise Refusal("E_DATA", f"no {words} could be computed in the interval: every sample lacks an input.")
    if empty := int(inside.sum()) - len(finite):
        notes.append(f"{empty} of {int(inside.sum())} samples are null in the input and stay empty")
    if clipped:
        notes.append(f"{clipped} of {len(finite)} samples lay outside 0 to 1 and were clipped")
    if name in well.curves:
        notes.append(f"the former {name} curve was replaced")
    span = well.depth[inside]
    facts = {
        "mean": Quantity(float(f"{finite.mean():.8g}"), "v/v", f"mean {words}"),
        "min": Quantity(float(f"{finite.min():.8g}"), "v/v", f"least {words}"),
        "max": Quantity(float(f"{finite.max():.8g}"), "v/v", f"largest {words}"),
        "median": Quantity(float(f"{np.median(finite):.8g}"), "v/v", f"median {words}"),
        "samples": Quantity(len(finite), "", "samples computed"),
        "clipped": Quantity(clipped, "", "samples clipped"),
        "interval": Quantity([float(span[0]), float(span[-1])], "m", "interval"),
    }
    curves = {**well.curves, name: Curve(values, "v/v", description)}
    return well.made(facts=facts, notes=tuple(notes), curves=curves)
