"""Rock physics on logs: cleaning, Gassmann fluid substitution, net pay and the Backus average.

What a tool changes keeps its mnemonic, so that a synthetic or a tie made next uses it; the curve it replaces stays under the
name with `_IN` behind it. Shale volume, porosity and saturation are made in `wells`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np

from moho.agent.registry import tool
from moho.agent.tools.wells import POROSITIES, RANGES, Base, Top
from moho.errors import Missing, Refusal
from moho.survey import MNEMONICS, UNKNOWN, Array, Curve, Well
from moho.units import Density, Fraction, Hertz, Metres, Quantity, Ratio, Unit, convert

Gigapascals = Annotated[float, Unit("GPa", above=0, high=600)]
FOOT = 0.3048  # m
SHEARS = (*MNEMONICS["DTS"], "VS", "V_S", "VELS")


@tool(
    discipline="well",
    stage="processing",
    say=(
        "Despike the logs of {well}",
        "clean {curves} in {well}",
        "remove spikes from {curves}, window {window}, threshold {threshold}",
        "log QC: take the cycle skips out of the sonic in {well}",
        "despike {curves} pls",
        "there are spikes on the density log, please edit them",
        "median filter the bad samples of {well} only, {window}",
        "clean up the curves before the well tie",
        "how many samples of {curves} are spikes?",
        "the sonic in {well} has no unit, it is {sonic_unit}: clean it",
        "please to remove outliers from log {curves}",
        "edit {curves} with a Hampel filter of {window}",
    ),
    reference="Pearson, Neuvo, Astola & Gabbouj 2016, Generalized Hampel filters, EURASIP Journal on Advances in Signal Processing 2016:87",
    truth="20 planted spikes, one of them two samples wide, are removed and nothing else; us/ft and us/m are told by the values",
)
def log_clean(
    well: Well,
    curves: Annotated[list[str], "curves to clean"] | None = None,
    window: Annotated[Metres, "window length"] | None = None,
    threshold: Annotated[Ratio, "threshold in standard deviations"] = 6.0,
    sonic_unit: Annotated[Literal["us/ft", "us/m"], "unit of a sonic log that has none"] | None = None,
) -> Well:
    """The well with spikes taken out of its curves and every other sample as it was.

    Hampel: a sample farther than `threshold` robust standard deviations from the median in the window is replaced by a straight line
    between its good neighbours. The deviation is the 90th percentile of the distances from that median over
    twenty windows around, divided by 1.645 as for normal noise, and no less than half that of the whole curve: lamination is not spikes.
    A spike is narrower than half the window, which is 0.75 m by default: thinner than most logging tools resolve. Resistivity is
    judged by its logarithm. Gaps stay gaps. A missing unit is taken from the values where
    only one fits, and asked for where two do.
    """
    names = _named(well, curves)
    if not threshold >= 2:
        raise ValueError(f"threshold must be 2 standard deviations or more, got {threshold:g}: below that noise would be cleaned away")
    step = _step(well)
    length = max(0.75, 5 * step) if window is None else window
    count = round(length / step) // 2 * 2 + 1
    if count < 5:
        raise ValueError(f"window of {length:g} m holds {count} samples at a step of {step:g} m; give {5 * step:g} m or more")
    if count > len(well.depth):
        span = float(np.ptp(well.depth))
        raise Refusal("E_PHYSICS", f"a window of {length:g} m is longer than the logged {span:g} m.", "Give a shorter window.")
    notes = [f"window {count * step:.4g} m ({count} samples), threshold {threshold:g} standard deviations; spikes up to {count // 2} samples wide"]
    made, facts, total, judged = dict(well.curves), {}, 0, 0
    pieces = _pieces(well.depth)
    for name in names:
        curve = well.curves[name]
        values = np.asarray(curve.values, float)
        unit, said = _unit_from_values(name, curve.unit, values, sonic_unit)
        notes += said
        log = any(name.upper() == other for other in MNEMONICS["RT"]) and not name.upper().endswith("LOG10") and not np.any(values <= 0)
        spikes, cleaned = _despiked(np.log10(values) if log else values, well.depth, pieces, count, threshold)
        cleaned = np.where(spikes, 10.0**cleaned if log else cleaned, values)
        made[name] = Curve(cleaned.astype(np.asarray(curve.values).dtype), unit, curve.description)
        changed, held = int(spikes.sum()), int(np.isfinite(values).sum())
        total, judged = total + changed, judged + held
        facts[f"{name}_changed"] = Quantity(changed, "", f"samples changed in {name}")
        if changed:
            largest = float(np.abs(cleaned - values)[spikes].max())
            facts[f"{name}_largest"] = Quantity(float(f"{largest:.6g}"), "" if unit == UNKNOWN else unit, f"largest change in {name}")
            where = ", ".join(f"{z:.2f}" for z in well.depth[spikes][:6])
            notes.append(f"{name}: {changed} of {held} samples changed, at {where}{' ...' if changed > 6 else ''} m")
        if changed > 0.03 * held:
            words = f"{name}: {100 * changed / held:.1f} % is much for spikes: thin beds may be among them"
            notes.append(f"{words}; a shorter window or a higher threshold helps")
        if any(name.upper() in MNEMONICS[kind] for kind in ("GR", "RHOB", "DT", "DTS", "CALI", "PE")) and (left := int(np.sum(cleaned < 0))):
            notes.append(f"{name}: {left} negative values remain, in runs too long for spikes")
    facts = {
        "changed": Quantity(total, "", "samples changed"),
        "share": Quantity(float(f"{100 * total / max(judged, 1):.4g}"), "%", "share of samples changed"),
        **facts,
    }
    return well.made(facts=facts, notes=tuple(notes), curves=made)


@tool(
    discipline="well",
    stage="modelling",
    say=(
        "Replace the fluid in {well}: from {fluid_modulus}, {fluid_density} to {new_modulus}, {new_density}",
        "Gassmann fluid substitution on {well}, mineral {mineral_modulus}",
        "what if the brine were gas? K {new_modulus}, rho {new_density}",
        "fluid sub {fluid_modulus}/{fluid_density} -> {new_modulus}/{new_density}, Kmin {mineral_modulus}",
        "substitute oil for brine between {top} and {base} in {well}",
        "compute Vp, Vs and density with gas in the pores",
        "FRM gassmann {well} brine to oil, porosity {porosity_curve}",
        "how would the sonic look if the reservoir held gas of {new_density}",
        "run Gassmann with grain modulus {mineral_modulus}, initial fluid {fluid_modulus}, final fluid {new_modulus}",
        "please change pore fluid of sand, from water to gas, and give me the new velocities",
    ),
    reference="Gassmann 1951, Über die Elastizität poröser Medien; Smith et al. 2003, Gassmann fluid substitutions: A tutorial, Geophysics 68",
    truth="the same fluid changes nothing (1e-12); a lighter one takes 2250 to 2200 kg/m3; there and back to 1e-10",
)
def fluid_substitution(
    well: Well,
    fluid_modulus: Annotated[Gigapascals, "bulk modulus of the fluid in place"],
    fluid_density: Annotated[Density, "density of the fluid in place"],
    new_modulus: Annotated[Gigapascals, "bulk modulus of the new fluid"],
    new_density: Annotated[Density, "density of the new fluid"],
    mineral_modulus: Annotated[Gigapascals, "bulk modulus of the mineral"] = 37.0,
    mineral_shear: Annotated[Gigapascals, "shear modulus of the mineral"] | None = None,
    porosity_curve: Annotated[str, "porosity curve"] | None = None,
    shear: Annotated[Literal["log", "mudrock line"], "source of the shear velocity"] = "log",
    largest_vsh: Annotated[Fraction, "largest shale volume substituted"] | None = None,
    top: Top | None = None,
    base: Base | None = None,
) -> Well:
    """The well as it would log with another fluid in its pores: sonic, shear sonic and density by Gassmann's equation.

    K_sat = rho (Vp^2 - 4/3 Vs^2); K_dry from K_sat with the fluid in place; K_sat again with the new one. The shear modulus is kept, so
    Vs changes by density only. K_dry must lie between 0 and the Hashin-Shtrikman bound of the mineral with empty pores (Voigt's,
    (1 - phi) K_mineral, without `mineral_shear`): samples outside are left as recorded and counted, more than half of them are
    refused. Samples with less than 1 % porosity stay too. Holds at seismic frequencies, for connected pores in one mineral.
    `shear` "mudrock line": Castagna's Vs = 0.862 Vp - 1172 m/s, for brine-filled clastics without a shear log.
    """
    if not max(fluid_modulus, new_modulus) < mineral_modulus:
        words = f"the mineral's bulk modulus of {mineral_modulus:g} GPa must exceed those of the fluids, {fluid_modulus:g} and {new_modulus:g} GPa."
        raise Refusal("E_PHYSICS", words, "Quartz has 37, calcite 77, brine 2.2 to 2.9, oil 0.5 to 1.5, gas 0.01 to 0.2 GPa.")
    inside = interval(well, top, base)
    vp, compressional, notes = _velocity(well, ("DT", "VP"), inside)
    rho, density_name = in_unit(well, "RHOB", "kg/m3", notes)
    phi, porosity_name = _porosity(well, porosity_curve, notes)
    vs, shear_name = _shear(well, shear, vp, inside, notes)
    chosen = inside & np.isfinite(vp + vs + rho + phi)
    if largest_vsh is not None:
        chosen &= in_unit(well, "VSH", "v/v", notes)[0] <= largest_vsh
        notes.append(f"substituted where VSH is at most {largest_vsh:g}")
    if not chosen.any():
        raise Refusal("E_DATA", f"no sample has {compressional}, shear, {density_name} and {porosity_name} together in the interval.")
    tight = chosen & (phi < 0.01)
    chosen &= ~tight
    if not chosen.any():
        raise Refusal("E_PHYSICS", f"{porosity_name} is below 0.01 everywhere in the interval: there is no fluid to replace.")
    mineral, old, new = mineral_modulus * 1e9, fluid_modulus * 1e9, new_modulus * 1e9
    rigidity = rho * vs**2
    saturated = rho * vp**2 - 4 / 3 * rigidity
    dry = dry_modulus(saturated, phi, mineral, old)
    highest, bound = (1 - phi) * mineral, "Voigt"
    if mineral_shear is not None:
        g = 4 / 3 * mineral_shear * 1e9
        highest, bound = 1 / (phi / g + (1 - phi) / (mineral + g)) - g, "Hashin-Shtrikman"
    with np.errstate(invalid="ignore"):
        allowed = (dry >= 0) & (dry <= highest) & (saturated > 0) & (phi < 1)
    outside = chosen & ~allowed
    if outside.sum() > 0.5 * chosen.sum():
        words = f"K_dry leaves its bounds in {int(outside.sum())} of {int(chosen.sum())} samples: "
        words += f"its median is {np.nanmedian(dry[chosen]) / 1e9:.3g} GPa, "
        words += f"allowed are 0 to {np.nanmedian(highest[chosen]) / 1e9:.3g} GPa ({bound}) at a median porosity of {np.nanmedian(phi[chosen]):.3g}."
        raise Refusal("E_PHYSICS", words, "Porosity, moduli, fluid in place and the shear log do not belong together.")
    chosen &= allowed
    replaced = saturated_modulus(dry, phi, mineral, new)
    heavier = rho + phi * (new_density - fluid_density)
    if np.any(heavier[chosen] <= 0):
        raise Refusal("E_PHYSICS", f"the new density falls to {heavier[chosen].min():g} kg/m3: the fluid in place is too dense for this rock.")
    results = {
        "vp": np.sqrt(np.where(chosen, (replaced + 4 / 3 * rigidity) / heavier, vp**2)),
        "vs": np.sqrt(np.where(chosen, rigidity / heavier, vs**2)),
        "rho": np.where(chosen, heavier, rho),
    }
    made = _replaced(well, {compressional: results["vp"], density_name: results["rho"]}, notes)
    if shear_name is None:
        made |= {"VS_IN": Curve(vs, "m/s", "shear velocity before, mudrock line"), "VS": Curve(results["vs"], "m/s", "shear velocity, new fluid")}
    else:
        made |= {name: curve for name, curve in _replaced(well, {shear_name: results["vs"]}, notes).items() if name.startswith(shear_name)}
    made["K_DRY"] = Curve(np.where(chosen, dry / 1e9, np.nan), "GPa", "bulk modulus of the dry rock")
    made = _impedance(well, made, results["vp"] * results["rho"], notes)
    facts = {"samples": Quantity(int(chosen.sum()), "", "samples substituted")}
    before = {"vp": ("Vp", "m/s", vp), "vs": ("Vs", "m/s", vs), "rho": ("density", "kg/m3", rho)}
    for key, (words, unit, values) in before.items():
        facts[f"{key}_before"] = Quantity(_short(values[chosen].mean()), unit, f"mean {words} before")
        facts[f"{key}_after"] = Quantity(_short(results[key][chosen].mean()), unit, f"mean {words} after")
    facts["dry_modulus"] = Quantity(_short(np.median(dry[chosen]) / 1e9), "GPa", "median bulk modulus of the dry rock")
    facts["outside"] = Quantity(int(outside.sum()), "", f"samples outside the {bound} bounds, left as recorded")
    facts["tight"] = Quantity(int(tight.sum()), "", "samples with less than 1 % porosity, left as recorded")
    grain = (rho - phi * fluid_density)[chosen] / (1 - phi[chosen])
    notes.insert(0, f"fluid in place {fluid_modulus:g} GPa, {fluid_density:g} kg/m3; new fluid {new_modulus:g} GPa, {new_density:g} kg/m3")
    notes.insert(1, f"mineral {mineral_modulus:g} GPa; porosity from {porosity_name}; K_dry held against the {bound} bound")
    notes.append(f"log density, porosity and the fluid in place imply a grain density of {np.median(grain):.0f} kg/m3")
    if not 2500 < np.median(grain) < 3000:
        notes.append("such a grain density is unusual: porosity or the fluid in place may be wrong")
    if outside.any():
        notes.append(f"{int(outside.sum())} samples have K_dry outside 0 to the {bound} bound and were left as recorded")
    shown = {} if top is None and base is None else {"top": float(well.depth[inside][0]), "base": float(well.depth[inside][-1])}
    return well.made(facts=facts, notes=tuple(notes), curves=made, view={"tracks": _overlays(made), "of": list(made), **shown})


def dry_modulus(saturated: Array, phi: Array, mineral: float, fluid: float) -> Array:
    """Bulk modulus of the dry frame, all Pa (Gassmann solved for it)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        top = saturated * (phi * mineral / fluid + 1 - phi) - mineral
        return np.asarray(top / (phi * mineral / fluid + saturated / mineral - 1 - phi))


def saturated_modulus(dry: Array, phi: Array, mineral: float, fluid: float) -> Array:
    """Bulk modulus of the rock filled with a fluid, all Pa (Gassmann)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(dry + (1 - dry / mineral) ** 2 / (phi / fluid + (1 - phi) / mineral - dry / mineral**2))


@tool(
    discipline="well",
    stage="interpretation",
    say=(
        "Net pay of {well} with cut-offs Vsh {vsh}, porosity {phi}, Sw {sw}",
        "net to gross in {well} between {top} and {base}",
        "how many feet of pay does {well} have?",
        "net pay {vsh} {phi} {sw}",
        "how thick is the net reservoir from {top} to {base}",
        "N/G and average porosity of {well} pls, phi cut-off {phi}",
        "compute pay summary: vsh < {vsh}, phi > {phi}, sw < {sw}",
        "what's the average Sw in the pay",
        "metres of pay in the zone {top}-{base}",
        "apply cutoffs and sum net sand in {well}",
        "hydrocarbon pore thickness of {well}",
    ),
    reference="Worthington & Cosentino 2005, The role of cutoffs in integrated reservoir studies, SPE Reservoir Evaluation & Engineering 8",
    truth="planted 100 m gross, 30 m net and 10 m pay with their averages, to 1e-6",
)
def net_pay(
    well: Well,
    vsh: Annotated[Fraction, "largest shale volume"] = 0.5,
    phi: Annotated[Fraction, "least porosity"] = 0.1,
    sw: Annotated[Fraction, "largest water saturation"] = 0.5,
    porosity_curve: Annotated[str, "porosity curve"] | None = None,
    top: Top | None = None,
    base: Base | None = None,
) -> Well:
    """The well with flags NET (VSH and porosity pass) and PAY (SW too), and thicknesses, net/gross and averages as facts.

    Thickness is along the depth axis of the logs. A sample stands for half the way to its neighbours, no more than a step. Averages:
    shale volume and porosity weighted by thickness, saturation by pore volume. Samples with a null count as neither net nor pay.
    """
    inside = interval(well, top, base)
    notes = [f"cut-offs: VSH at most {vsh:g}, porosity at least {phi:g}, SW at most {sw:g}"]
    shale, _ = in_unit(well, "VSH", "v/v", notes, "Run the tool vshale first.")
    pores, porosity_name = _porosity(well, porosity_curve, notes)
    water, _ = in_unit(well, "SW", "v/v", notes, "Run the tool water_saturation first.")
    thickness = np.where(inside, _thickness(well.depth), 0.0)
    known = inside & np.isfinite(shale + pores + water)
    if not known.any():
        span = f"{well.depth[inside][0]:g} and {well.depth[inside][-1]:g} m"
        raise Refusal("E_DATA", f"no sample between {span} has VSH, {porosity_name} and SW together.")
    with np.errstate(invalid="ignore"):
        net = known & (shale <= vsh) & (pores >= phi)
        pay = net & (water <= sw)
    gross, net_m, pay_m = (float(thickness[part].sum()) for part in (inside, net, pay))
    unknown = gross - float(thickness[known].sum())
    frame = well.reference if well.reference != UNKNOWN else "depth reference not stated"
    facts: dict[str, Quantity] = {}
    for key, words, value in (("gross", "gross thickness", gross), ("net", "net reservoir", net_m), ("pay", "net pay", pay_m)):
        facts[key] = Quantity(round(value, 4), "m", f"{words} ({frame})")
        facts[f"{key}_ft"] = Quantity(round(value / FOOT, 3), "ft", f"{words} ({frame})")
    facts["net_to_gross"] = Quantity(round(net_m / gross, 5), "", "net reservoir to gross")
    facts["pay_to_gross"] = Quantity(round(pay_m / gross, 5), "", "net pay to gross")
    for key, words, part in (("net", "net reservoir", net), ("pay", "net pay", pay)):
        if not part.any():
            continue
        h = thickness[part]
        facts[f"{key}_vsh"] = Quantity(_short(np.average(shale[part], weights=h)), "v/v", f"mean shale volume of the {words}")
        facts[f"{key}_phi"] = Quantity(_short(np.average(pores[part], weights=h)), "v/v", f"mean porosity of the {words}")
        if (volume := h * np.maximum(pores[part], 0)).sum() > 0:
            facts[f"{key}_sw"] = Quantity(_short(np.average(water[part], weights=volume)), "v/v", f"mean water saturation of the {words}")
    facts["hydrocarbon"] = Quantity(_short(np.sum((thickness * pores * (1 - water))[pay])), "m", "hydrocarbon pore thickness of the net pay")
    runs = _runs(pay, well.depth)
    facts["zones"] = Quantity(len(runs), "", "separate pay zones")
    if runs:
        thickest = max(runs, key=lambda run: float(thickness[run].sum()))
        facts["thickest"] = Quantity(round(float(thickness[thickest].sum()), 4), "m", "thickest pay zone")
        facts["thickest_interval"] = Quantity([float(well.depth[thickest][0]), float(well.depth[thickest][-1])], "m", "thickest pay zone from")
    if unknown > 0:
        facts["unknown"] = Quantity(round(unknown, 4), "m", "thickness without an answer (nulls), counted as neither")
    along = {"MD": "along the hole (MD), not true vertical unless the well is", "TVD": "vertical (TVD)", "TVDSS": "vertical (TVDSS)"}
    notes.append(f"thickness is {along.get(well.reference, 'along the depth axis of the logs, whose reference (MD or TVD) the file does not state')}")
    notes.append(f"porosity is {porosity_name}; saturation is averaged by pore volume")
    if not pay.any():
        notes.append("nothing passes all three cut-offs: there is no net pay")
    made = {
        **well.curves,
        "NET": Curve(np.where(known, net.astype(float), np.nan), "flag", f"net reservoir: VSH <= {vsh:g}, {porosity_name} >= {phi:g}"),
        "PAY": Curve(np.where(known, pay.astype(float), np.nan), "flag", f"net pay: net and SW <= {sw:g}"),
    }
    tracks = [["VSH"], [porosity_name], ["SW"], ["NET", "PAY"]]
    by_upper = {name.upper(): name for name in made}
    cuts = {by_upper["VSH"]: vsh, porosity_name: phi, by_upper["SW"]: sw}
    view: dict[str, Any] = {"tracks": [[by_upper.get(name.upper(), name) for name in track] for track in tracks], "cutoffs": cuts, "of": list(made)}
    view |= {"top": float(well.depth[inside][0]), "base": float(well.depth[inside][-1])}
    return well.made(facts=facts, notes=tuple(notes), curves=made, view=view)


@tool(
    discipline="well",
    stage="processing",
    say=(
        "Backus average of {well} over {window}",
        "upscale the logs of {well} to {frequency}",
        "upscale logs {frequency}",
        "Bring the sonic and density of {well} to seismic scale, {window} window",
        "what do the logs look like at {frequency}?",
        "compute the effective medium of {well} with {window}",
        "layer-induced anisotropy of {well}: epsilon and delta at {frequency}",
        "smooth {well} with Backus, not arithmetic, {window}",
        "make seismic-scale velocities from log {well} pls",
        "blocky upscaling of Vp Vs rho, window of {window}",
        "Thomsen parameters from thin layering in {well}",
    ),
    reference="Backus 1962, Long-wave elastic anisotropy produced by horizontal layering, Journal of Geophysical Research 67, 4427-4440",
    truth="Backus average of two layers: velocities to 1e-9, Thomsen's parameters to 1e-7 of the closed form",
)
def upscale_logs(
    well: Well,
    window: Annotated[Metres, "averaging length"] | None = None,
    frequency: Annotated[Hertz, "seismic frequency"] | None = None,
) -> Well:
    """The well with sonic, shear sonic and density averaged as a wave much longer than the window sees them (Backus).

    Vertical velocities: rho from the mean density, c33 = 1 / <1/M>, c44 = 1 / <1/mu>, averages by thickness in a window centred on each
    sample. With a shear log also c11, c13, c66 and Thomsen's EPSILON, DELTA, GAMMA of the thin layering. `frequency` sets the window to a
    tenth of the mean P wavelength. Samples with nulls in more than half the window stay empty.
    """
    if (window is None) == (frequency is None):
        if window is None:
            raise Missing("window", "Over what length should the logs be averaged: a window in m, or for which seismic frequency?")
        raise ValueError(f"give either window or frequency, not both (got {window:g} m and {frequency:g} Hz)")
    notes: list[str] = []
    everywhere = np.ones(len(well.depth), bool)
    vp, compressional, words = _velocity(well, ("DT", "VP"), everywhere)
    notes += words
    rho, density_name = in_unit(well, "RHOB", "kg/m3", notes)
    shear = next((name for name in well.curves if name.upper() in SHEARS), None)
    vs = _velocity(well, (shear,), everywhere)[0] if shear else np.full(len(vp), np.nan)
    good = np.isfinite(vp + rho) & (vp > 0) & (rho > 0)
    if not good.any():
        raise Refusal("E_DATA", f"no depth has both {compressional} and {density_name}.")
    if frequency is not None:
        window = float(np.mean(vp[good]) / (10 * frequency))
        notes.append(f"window {window:.4g} m: a tenth of the mean P wavelength at {frequency:g} Hz")
    assert window is not None
    step, span = _step(well), float(np.ptp(well.depth))
    if window < 2 * step:
        words_ = f"a window of {window:.4g} m holds fewer than two samples at a step of {step:g} m: nothing would be averaged."
        raise Refusal("E_PHYSICS", words_, f"Give {2 * step:g} m or more.")
    if window > span:
        raise Refusal("E_PHYSICS", f"a window of {window:.4g} m is longer than the logged {span:g} m.", "Average over less.")
    average = _Average(well.depth, good, window)
    modulus = rho * vp**2
    mean_rho, c33 = average(rho), 1 / average(1 / modulus)
    results = {compressional: np.sqrt(c33 / mean_rho), density_name: mean_rho}
    made = _replaced(well, results, notes)
    facts = {
        "window": Quantity(_short(window), "m", "averaging length"),
        "vp_before": Quantity(_short(1 / np.mean(1 / vp[good])), "m/s", "mean Vp before (from the mean slowness)"),
        "vp_after": Quantity(_short(1 / np.nanmean(1 / results[compressional])), "m/s", "mean Vp after (from the mean slowness)"),
        "rho_after": Quantity(_short(np.nanmean(mean_rho)), "kg/m3", "mean density after"),
    }
    sheared = good & np.isfinite(vs) & (vs > 0)
    if shear and sheared.any():
        made |= _with_shear(well, shear, vp, vs, rho, _Average(well.depth, sheared, window), facts, notes)
    else:
        notes.append("no shear log: Vs and the anisotropy of the layering were not computed")
    made = _impedance(well, made, results[compressional] * mean_rho, notes)
    empty = int(np.sum(~np.isfinite(mean_rho)))
    facts["samples"] = Quantity(len(mean_rho) - empty, "", "samples averaged")
    if empty:
        notes.append(f"{empty} samples have nulls in more than half their window and stay empty")
    notes.append("within half a window of the ends of the logs the window is shorter")
    return well.made(facts=facts, notes=tuple(notes), curves=made, view={"tracks": _overlays(made), "of": list(made)})


def _with_shear(
    well: Well, shear: str, vp: Array, vs: Array, rho: Array, average: _Average, facts: dict[str, Quantity], notes: list[str]
) -> dict[str, Curve]:
    """Averaged shear log and Thomsen's parameters of the layering; their means go into `facts`."""
    modulus, rigidity = rho * vp**2, rho * vs**2
    mean_rho, c33, c44, c66 = average(rho), 1 / average(1 / modulus), 1 / average(1 / rigidity), average(rigidity)
    ratio = average(1 - 2 * rigidity / modulus)  # <lambda / (lambda + 2 mu)>
    c11 = average(4 * rigidity * (1 - rigidity / modulus)) + ratio**2 * c33
    c13 = ratio * c33
    anisotropy = {
        "EPSILON": (c11 - c33) / (2 * c33),
        "DELTA": ((c13 + c44) ** 2 - (c33 - c44) ** 2) / (2 * c33 * (c33 - c44)),
        "GAMMA": (c66 - c44) / (2 * c44),
    }
    made = {name: curve for name, curve in _replaced(well, {shear: np.sqrt(c44 / mean_rho)}, notes).items() if name.startswith(shear)}
    for name, values in anisotropy.items():
        made[name] = Curve(values, "", f"Thomsen {name.lower()} of the thin layering")
        facts[name.lower()] = Quantity(_short(np.nanmean(values)), "", f"mean Thomsen {name.lower()} of the layering")
    facts["vs_after"] = Quantity(_short(1 / np.nanmean(np.sqrt(mean_rho / c44))), "m/s", "mean Vs after (from the mean slowness)")
    return made


@dataclass(frozen=True)
class _Average:
    """Mean over a centred window of piecewise constant samples, exact for any window length; NaN where over half of it is null."""

    depth: Array
    good: Array
    window: float  # m

    def __call__(self, values: Array) -> Array:
        middle = 0.5 * (self.depth[1:] + self.depth[:-1])
        edges = np.concatenate([self.depth[:1], middle, self.depth[-1:]])
        cell = np.diff(edges) * self.good
        low, high = np.maximum(self.depth - self.window / 2, edges[0]), np.minimum(self.depth + self.window / 2, edges[-1])
        weight, total = (np.concatenate([[0.0], np.cumsum(part)]) for part in (cell, cell * np.where(self.good, values, 0.0)))
        covered = np.interp(high, edges, weight) - np.interp(low, edges, weight)
        summed = np.interp(high, edges, total) - np.interp(low, edges, total)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(covered > 0.5 * (high - low), summed / covered, np.nan)


def interval(well: Well, top: float | None, base: float | None) -> Array:
    """(sample,) bool, depths from `top` to `base`; Refusal where the well was not logged there."""
    first, last, step = float(well.depth[0]), float(well.depth[-1]), _step(well)
    upper, lower = first if top is None else top, last if base is None else base
    if not upper < lower:
        raise ValueError(f"need top < base, got top {upper:g} and base {lower:g} m")
    if upper < first - step or lower > last + step:
        words = f"{upper:g} to {lower:g} m is not within the logged {first:g} to {last:g} m ({well.reference})."
        raise Refusal("E_DATA", words, "Choose depths inside this range.")
    inside = (well.depth >= upper - 1e-9) & (well.depth <= lower + 1e-9)
    if not inside.any():
        raise Refusal("E_DATA", f"no sample lies between {upper:g} and {lower:g} m; the step is {step:g} m.")
    return np.asarray(inside)


def in_unit(well: Well, kind: str, unit: str, notes: list[str], hint: str = "") -> tuple[Array, str]:
    """(values in `unit`, mnemonic) of a curve; a missing unit is taken from the values where they leave no doubt."""
    names = {name.upper(): name for name in well.curves}
    found = next((names[alias] for alias in (kind.upper(), *MNEMONICS.get(kind.upper(), ())) if alias in names), None)
    if found is None and kind in ("VSH", "SW"):
        found = next((name for upper, name in names.items() if upper.startswith((kind, *(("VCL", "VSHALE") if kind == "VSH" else ())))), None)
    if found is None:
        raise Refusal("E_DATA", f"the well has no {kind} curve; it holds {', '.join(well.curves)}.", hint)
    curve = well.curves[found]
    values = np.asarray(curve.values, float)
    recorded = curve.unit
    if recorded in ("", UNKNOWN):
        recorded, words = _unit_from_values(found, recorded, values, None, {"v/v": (0, 1.0), "%": (2, 100)} if unit == "v/v" else None)
        notes += words
    try:
        converted = values if recorded.lower() == unit else np.asarray(convert(values, recorded, unit))
    except ValueError as error:
        raise Refusal("E_UNITS", f"{found} is recorded in {recorded}, which cannot become {unit}.", "Correct the unit of the curve.") from error
    finite = converted[np.isfinite(converted)]
    middle = float(np.median(finite)) if len(finite) else np.nan
    low, high = {"kg/m3": (1000.0, 3600.0), "v/v": (-0.2, 1.01)}.get(unit, (-np.inf, np.inf))
    if len(finite) and not low <= middle <= high:
        words_ = f"{found} has a median of {middle:g} {unit}; {low:g} to {high:g} is possible."
        raise Refusal("E_UNITS", words_, "The unit in the file is wrong: correct it.")
    return converted, found


def _velocity(well: Well, kinds: tuple[str, ...], inside: Array) -> tuple[Array, str, list[str]]:
    """(m/s, mnemonic, notes) from a slowness or velocity log; NaN where it is not positive."""
    notes: list[str] = []
    names = {name.upper(): name for name in well.curves}
    aliases = [alias for kind in kinds for alias in (kind.upper(), *MNEMONICS.get(kind.upper(), ()))]
    found = next((names[alias] for alias in aliases if alias in names), None)
    if found is None:
        raise Refusal("E_DATA", f"the well has no {' or '.join(kinds)} curve; it holds {', '.join(well.curves)}.")
    curve = well.curves[found]
    values = np.asarray(curve.values, float)
    unit, words = _unit_from_values(found, curve.unit, values, None)
    notes += words
    with np.errstate(divide="ignore", invalid="ignore"):
        velocity = np.where(values > 0, values, np.nan)
        if is_slowness(unit):
            velocity = 1e6 / np.asarray(convert(velocity, unit, "us/m"))
        else:
            try:
                velocity = np.asarray(convert(velocity, unit, "m/s"))
            except ValueError as error:
                words_ = f"{found} is recorded in {unit}, which is neither a slowness nor a velocity."
                raise Refusal("E_UNITS", words_, "Correct the unit of the curve.") from error
    if not np.isfinite(velocity[inside]).any():
        raise Refusal("E_DATA", f"{found} has no positive value from {well.depth[inside][0]:g} to {well.depth[inside][-1]:g} m.")
    middle = float(np.nanmedian(velocity[inside]))
    if not 100 <= middle <= 9000:
        raise Refusal("E_UNITS", f"{found} in {unit} gives a median velocity of {middle:g} m/s, which no rock has.", "Correct the unit of the curve.")
    return velocity, found, notes


def is_slowness(unit: str) -> bool:
    """Whether a unit is one of time over length."""
    try:
        convert(1.0, unit, "us/m")
    except ValueError:
        return False
    return True


def _shear(well: Well, source: str, vp: Array, inside: Array, notes: list[str]) -> tuple[Array, str | None]:
    """(Vs in m/s, mnemonic of the shear log or None where it was computed)."""
    held = next((name for name in well.curves if name.upper() in SHEARS), None)
    if source == "mudrock line":
        notes.append("Vs by Castagna's mudrock line, Vs = 0.862 Vp - 1172 m/s, which holds for brine-filled clastic rock only")
        if held:
            notes.append(f"the shear log {held} was not used, as asked")
        vs = 0.862 * vp - 1172
        if slow := int(np.sum(inside & (vs <= 0))):
            notes.append(f"the mudrock line gives no Vs in {slow} samples (Vp below 1360 m/s): left as recorded")
        return np.where(vs > 0, vs, np.nan), None
    if held is None:
        words = f"The well has no shear log (it holds {', '.join(well.curves)}): "
        words += "should Vs come from Castagna's mudrock line for brine-filled clastics?"
        raise Missing("shear", words, ("mudrock line",))
    vs, name, words_ = _velocity(well, (held,), inside)
    notes += words_
    return vs, name


def _porosity(well: Well, named: str | None, notes: list[str]) -> tuple[Array, str]:
    """(v/v, mnemonic) of the porosity named, or of the only interpreted one."""
    names = {name.upper(): name for name in well.curves}
    held = tuple(names[name] for name in POROSITIES if name in names)
    if named is not None and named.upper() not in names:
        raise ValueError(f"there is no curve {named!r}; porosity curves are {', '.join(held) or 'none'}, all curves {', '.join(well.curves)}")
    if named is None and not held:
        raise Refusal("E_DATA", f"the well has no porosity curve; it holds {', '.join(well.curves)}.", "Run the tool porosity first.")
    if named is None and len(held) > 1:
        raise Missing("porosity_curve", f"Which porosity curve should be used: {', '.join(held)}?", held)
    return in_unit(well, held[0] if named is None else names[named.upper()], "v/v", notes)


def _replaced(well: Well, results: dict[str, Array], notes: list[str]) -> dict[str, Curve]:
    """The curves with those of `results` (velocity in m/s or density in kg/m3) in the unit of the log they replace, kept under `_IN`."""
    made = dict(well.curves)
    for name, values in results.items():
        former = well.curves[name]
        recorded, _ = _unit_from_values(name, former.unit, np.asarray(former.values, float), None)
        if is_slowness(recorded):
            out = np.asarray(convert(1e6 / values, "us/m", recorded))
        else:
            out = np.asarray(convert(values, "kg/m3" if name.upper() in MNEMONICS["RHOB"] else "m/s", recorded))
        made[f"{name}_IN"] = Curve(former.values, recorded, f"{former.description or name} before")
        made[name] = Curve(out, recorded, former.description)
        notes.append(f"{name} was replaced; {name}_IN holds it as it was")
    return made


def _impedance(well: Well, made: dict[str, Curve], values: Array, notes: list[str]) -> dict[str, Curve]:
    """`made` with an impedance log, if there was one, computed anew."""
    name = next((name for name in well.curves if name.upper() in MNEMONICS["AI"]), None)
    if name is not None:
        made = made | {name: Curve(values, "kg/m2/s", "impedance from the replaced logs"), f"{name}_IN": well.curves[name]}
        notes.append(f"{name} was computed anew from the replaced logs; other curves derived from them are as they were")
    return made


def _overlays(made: dict[str, Curve]) -> list[list[str]]:
    """Tracks for the drawing: each replaced curve over what it was, then what is new."""
    pairs = [[f"{name}", f"{name}_IN"] for name in made if f"{name}_IN" in made]
    return pairs + [[name] for name in ("K_DRY",) if name in made] + [[n for n in ("EPSILON", "DELTA", "GAMMA") if n in made]] * ("EPSILON" in made)


def _named(well: Well, curves: list[str] | None) -> list[str]:
    """Mnemonics of the curves meant; all numeric ones that hold a value when none is named."""
    numeric = [
        name for name, curve in well.curves.items()
        if np.issubdtype(np.asarray(curve.values).dtype, np.number) and np.isfinite(np.asarray(curve.values, float)).sum() > 4
    ]  # fmt: skip
    if curves is None:
        if not numeric:
            raise Refusal("E_DATA", f"no curve of the well holds numbers: {', '.join(well.curves) or 'it has none'}.")
        return numeric
    by_upper = {name.upper(): name for name in well.curves}
    chosen = []
    for wanted in curves:
        aliases = (wanted.upper(), *MNEMONICS.get(wanted.upper(), ()))
        found = next((by_upper[alias] for alias in aliases if alias in by_upper), None)
        if found is None:
            raise ValueError(f"there is no curve {wanted!r}; the well has {', '.join(well.curves)}")
        if found not in numeric:
            raise Refusal("E_DATA", f"{found} holds fewer than five numbers: there is nothing to clean.")
        chosen.append(found)
    return list(dict.fromkeys(chosen))


def _unit_from_values(
    name: str, recorded: str, values: Array, said: str | None, ranges: dict[str, tuple[float, float]] | None = None
) -> tuple[str, list[str]]:
    """(unit, notes): as recorded, else the only one the values allow; Missing for a sonic log that could be in either.

    For a sonic also the extremes speak: 2 % of values below 130 can be no rock in us/m, 2 % above 250 none in us/ft.
    """
    if recorded not in ("", UNKNOWN):
        return recorded, []
    kind = next((kind for kind in RANGES if name.upper() == kind or name.upper() in MNEMONICS.get(kind, ())), None)
    finite = values[np.isfinite(values)]
    shear = name.upper() in MNEMONICS["DTS"]
    ranges = {"us/ft": (70, 700), "us/m": (230, 2300)} if shear else ranges if ranges is not None else RANGES[kind][1] if kind else None
    if ranges is None or not len(finite):
        return recorded, []
    low, middle, high = (float(v) for v in np.percentile(finite, [2, 50, 98]))
    fitting = [unit for unit, (least, most) in ranges.items() if least <= middle <= most]
    if kind == "DT":
        if said is not None:
            return said, [f"{name} has no unit in the file; {said} as you said"]
        fitting = [unit for unit in fitting if not (unit == "us/m" and low < 130) and not (unit == "us/ft" and high > 250)]
    if shear and said is not None:
        return said, [f"{name} has no unit in the file; {said} as you said"]
    if len(fitting) == 1:
        return fitting[0], [f"{name} has no unit in the file; values from {low:.4g} to {high:.4g} (2 to 98 %) are only possible in {fitting[0]}"]
    if kind == "DT" or shear:
        words = f"{name} has no unit in the file and values of {low:.4g} to {high:.4g} about {middle:.4g}: is it us/ft or us/m?"
        raise Missing("sonic_unit", words, ("us/ft", "us/m"))
    return recorded, [f"{name} has no unit in the file and its median of {middle:.4g} fits none"]


def _pieces(depth: Array) -> list[slice]:
    """Runs of samples without a hole in depth."""
    steps = np.diff(depth)
    cuts = np.flatnonzero(steps > 1.5 * np.median(steps)) + 1 if len(steps) else np.zeros(0, int)
    ends = [0, *cuts.tolist(), len(depth)]
    return [slice(a, b) for a, b in pairwise(ends)]


def _despiked(values: Array, depth: Array, pieces: list[slice], count: int, threshold: float) -> tuple[Array, Array]:
    """(which samples are spikes, the values with a line drawn across these). NaN stays NaN."""
    from scipy.ndimage import uniform_filter1d

    distance = np.full(len(values), np.nan)
    for piece in pieces:
        distance[piece] = np.abs(values[piece] - _running_median(values[piece], count))
    finite = np.isfinite(distance)
    if not finite.any():
        return np.zeros(len(values), bool), values.copy()
    overall = float(np.percentile(distance[finite], 90)) / 1.6449
    smallest = 1e-6 * float(np.ptp(values[finite]) or 1.0)  # a blocky curve has no noise at all
    scale = np.full(len(values), np.inf)
    for piece in pieces:
        held = np.flatnonzero(np.isfinite(distance[piece])) + piece.start
        if len(held):
            scale[held] = uniform_filter1d(_ninth_tenth(distance[held], count), count, mode="nearest") / 1.6449
    limit = threshold * np.maximum(np.maximum(scale, 0.5 * overall), smallest)
    spikes = finite & (distance > limit)
    for piece in pieces:  # a sample between a spike and the edge of its bed agrees with its next good neighbour: no spike
        bad = np.flatnonzero(spikes[piece]) + piece.start
        good = np.flatnonzero(finite[piece] & ~spikes[piece]) + piece.start
        if len(bad) and len(good):
            after = np.searchsorted(good, bad)
            sides = [good[np.maximum(after - 1, 0)], good[np.minimum(after, len(good) - 1)]]
            agrees = [(np.abs(values[bad] - values[side]) <= limit[bad]) & (np.abs(bad - side) <= 1) for side in sides]
            spikes[bad[agrees[0] | agrees[1]]] = False
    cleaned = values.copy()
    for piece in pieces:
        bad = np.flatnonzero(spikes[piece]) + piece.start
        good = np.flatnonzero(finite[piece] & ~spikes[piece]) + piece.start
        if len(bad) and len(good):
            cleaned[bad] = np.interp(depth[bad], depth[good], values[good])
    return spikes, cleaned


def _running_median(values: Array, count: int) -> Array:
    """Centred median that skips NaN; the window shrinks at the ends."""
    padded = np.pad(values.astype(float), count // 2, constant_values=np.nan)
    views = np.lib.stride_tricks.sliding_window_view(padded, count)
    out = np.empty(len(values))
    step = max(1, 2_000_000 // count)
    for start in range(0, len(values), step):
        part = np.sort(views[start : start + step], axis=1)  # NaN last
        held = np.sum(np.isfinite(part), axis=1)
        rows = np.arange(len(part))
        low, high = part[rows, np.maximum((held - 1) // 2, 0)], part[rows, np.maximum(held // 2, 0)]
        out[start : start + step] = np.where(held > 0, 0.5 * (low + high), np.nan)
    return out


def _ninth_tenth(values: Array, count: int) -> Array:
    """90th percentile over twenty windows, taken once a window and interpolated between: what is not spikes, lamination included."""
    centres = np.arange(0, len(values), count)
    found = [float(np.percentile(values[max(0, c - 10 * count) : c + 10 * count + 1], 90)) for c in centres]
    return np.interp(np.arange(len(values)), centres, found)


def _step(well: Well) -> float:
    if len(well.depth) < 2:
        raise Refusal("E_DATA", "the well has a single sample: there is no step to work with.")
    return float(np.median(np.diff(well.depth)))


def _thickness(depth: Array) -> Array:
    """Thickness in m that each sample stands for: half the way to its neighbours, no more than half a step to either side."""
    steps = np.diff(depth)
    half = 0.5 * np.minimum(steps, 1.5 * np.median(steps))
    half = np.where(steps > 1.5 * np.median(steps), 0.5 * np.median(steps), half)
    ends = 0.5 * np.median(steps)
    return np.concatenate([[ends], half]) + np.concatenate([half, [ends]])


def _runs(flags: Array, depth: Array) -> list[Array]:
    """Indices of each unbroken run of True."""
    at = np.flatnonzero(flags)
    if not len(at):
        return []
    hole = np.diff(depth)[at[:-1]] > 1.5 * np.median(np.diff(depth)) if len(at) > 1 else np.zeros(0, bool)
    return np.split(at, np.flatnonzero((np.diff(at) > 1) | hole) + 1)


def _short(value: float | np.floating[Any]) -> float:
    return float(f"{float(value):.8g}")
