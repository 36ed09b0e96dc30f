"""Electromagnetics: what layered ground would show, a sounding back to layers, a DC line back to a section.

Magnetotelluric phases are those of time as exp(+iwt): xy is +45 deg over a half-space, yx -135 (SimPEG's xy is -135, its e field being
turned; that is not passed on). The kernels are in `layered` and `dc_section`, the files in `moho.edi` and `moho.dcip`.
"""

from __future__ import annotations

import math
import warnings
from typing import Annotated, Any, Literal

import numpy as np

from moho.agent.registry import Cost, tool
from moho.agent.tools import dc_section, layered
from moho.errors import Refusal
from moho.survey import Array, Data, DCSurvey, MTSounding, Report
from moho.units import Count, Depth, Hertz, Metres, OhmMetres, Percent, Quantity, Seconds

LAYERS = 6  # of a few-layer model at most
ROCK = 1e5  # ohm.m, median apparent resistivity above which a unit is wrong
FEWEST = 4  # frequencies
WORST = 0.5  # relative error of apparent resistivity above which a frequency is not used
GAP = 4  # frequencies that may fail in a row
PERIODS = (1e-3, 1e3, 25)  # s, s and count where no frequency is given
SPACINGS = (1.0, 1000.0, 25)  # m, m and count where no spacing is given
OFFSETS = (500.0, 10_000.0, 20)  # m, of CSEM


def _forward_cost(
    resistivity: list[float], thickness: list[float] | None = None, method: str = "MT", *_: Any, **__: Any
) -> Cost:
    return Cost({"MT": 0.1, "CSEM": 60.0}.get(method, 10.0), 4e8 if method != "MT" else 1e7)


@tool(
    discipline="em",
    stage="modelling",
    cost=_forward_cost,
    say=(
        "MT response of layers {resistivity} with thicknesses {thickness}",
        "forward model {method} over {resistivity}, {thickness}",
        "What apparent resistivity would a {resistivity} half-space give at {frequency}?",
        "1D {method} forward: rho {resistivity}, h {thickness}, spacing {spacing}",
        "compute a Schlumberger sounding curve for {resistivity} and {thickness}, AB/2 {spacing}",
        "how does the Wenner curve look over {thickness} of {resistivity}?",
        "simulate layered earth EM, {resistivity}, {thickness}, {frequency}",
        "layered CSEM field at offsets {spacing}, {frequency}, layers {resistivity} / {thickness}",
        "please to calculate apparent resistivity and the phase for model {resistivity} {thickness}",
        "em1d {resistivity} {thickness} {frequency}",
        "phase and apparent resistivity of a two-layer earth {resistivity}, top layer {thickness} thick",
    ),
    reference="Wait 1954, Geophysics 19; Cockett et al. 2015, SimPEG, Comput. Geosci. 85; Werthmueller 2017, empymod, Geophysics 82",
    truth="a 100 ohm.m half-space returns 100 within 0.01 % (MT, DC and CSEM); SimPEG's three layers to 1e-6; Wenner over two layers within "
    "0.2 % of the image series",
)
def em1d_forward(
    resistivity: Annotated[list[OhmMetres], "layer resistivities from the top"],
    thickness: Annotated[list[Metres], "layer thicknesses, without the half-space"] | None = None,
    method: Literal["MT", "DC Schlumberger", "DC Wenner", "CSEM"] = "MT",
    frequency: Annotated[list[Hertz], "frequencies"] | None = None,
    spacing: Annotated[list[Metres], "AB/2, Wenner a, or CSEM offset"] | None = None,
    source_depth: Annotated[Depth, "depth of the CSEM dipole"] = 0.0,
    receiver_depth: Annotated[Depth, "depth of the CSEM receiver"] = 0.0,
) -> Data:
    """What layered ground shows at its surface: an MT sounding, a DC sounding curve, or the inline electric field of a dipole (CSEM).

    `spacing` is AB/2 (Schlumberger, MN a tenth of AB), a (Wenner) or the offset (CSEM). CSEM: unit x dipole, Ex in V/m a A m, air
    above depth 0; its apparent resistivity |Ex| pi r^3 is that of a half-space at low frequency.
    """
    rho = np.asarray(resistivity, dtype=float)
    h = np.asarray([] if thickness is None else thickness, dtype=float)
    if not len(rho) or not np.all(np.isfinite(rho)) or not np.all(rho > 0):
        raise ValueError(f"resistivity must be above 0 ohm.m in every layer, got {rho.tolist()}")
    if len(h) != len(rho) - 1 or not np.all(np.isfinite(h)) or not np.all(h > 0):
        raise ValueError(f"{len(rho)} resistivities need {len(rho) - 1} thicknesses above 0 m (the last layer is a half-space), got {h.tolist()}")
    words = ", ".join(f"{r:g} ohm.m" + (f" ({t:g} m)" if t else "") for r, t in zip(rho, [*h, 0.0], strict=True))
    notes = [f"layers from the top: {words}; the last one has no base"]
    for name, given in (("frequency", frequency), ("spacing", spacing)):
        if given is not None and (not len(given) or not all(math.isfinite(value) and value > 0 for value in given)):
            raise ValueError(f"{name} must hold numbers above 0, got {list(given)}")
    if method == "MT":
        if spacing is not None:
            raise ValueError("MT takes frequencies, not spacings")
        return _mt_forward(rho, h, frequency, notes)
    if method == "CSEM":
        return _csem_forward(rho, h, frequency, spacing, source_depth, receiver_depth, notes)
    if frequency is not None:
        raise ValueError(f"{method} takes spacings, not frequencies")
    return _dc_forward(rho, h, method, spacing, notes)


def _span(values: Array) -> Any:
    """The number, or the least and largest of several."""
    rounded = [float(f"{value:.6g}") for value in (values.min(), values.max())]
    return rounded[0] if len(values) == 1 else rounded


def _mt_forward(rho: Array, h: Array, frequency: list[float] | None, notes: list[str]) -> MTSounding:
    if frequency is None:
        wanted = 1 / np.geomspace(*PERIODS)
        notes.append(f"no frequency given: {PERIODS[2]} periods from {PERIODS[0]:g} to {PERIODS[1]:g} s")
    else:
        wanted = np.unique(np.asarray(frequency, dtype=float))[::-1]
    z = layered.impedance(rho[None], h[None], wanted)[0]
    tensor = np.zeros((len(wanted), 2, 2), dtype=complex)
    tensor[:, 0, 1], tensor[:, 1, 0] = z, -z
    sounding = MTSounding(title="MT over layers", station="layers", frequency=wanted, impedance=tensor)
    apparent, phase, _ = sounding.apparent("xy")
    one = len(wanted) == 1
    facts = {
        "apparent_resistivity": Quantity(_span(apparent), "ohm.m", "apparent resistivity" if one else "apparent resistivity range"),
        "phase": Quantity(_span(phase), "deg", "phase xy" if one else "phase range (xy)"),
    }
    if not one:
        facts["at_shortest_period"] = Quantity(float(f"{apparent[0]:.6g}"), "ohm.m", f"apparent resistivity at {1 / wanted[0]:.4g} s")
        facts["at_longest_period"] = Quantity(float(f"{apparent[-1]:.6g}"), "ohm.m", f"apparent resistivity at {1 / wanted[-1]:.4g} s")
    notes.append("time as exp(+iwt): phase xy is +45 deg over a half-space, yx is -135; SimPEG writes -135 for xy")
    return sounding.made(facts=facts, notes=tuple(notes))


def _dc_forward(rho: Array, h: Array, method: str, spacing: list[float] | None, notes: list[str]) -> DCSurvey:
    if spacing is None:
        distance = np.geomspace(*SPACINGS)
        notes.append(f"no spacing given: {SPACINGS[2]} from {SPACINGS[0]:g} to {SPACINGS[1]:g} m")
    else:
        distance = np.unique(np.asarray(spacing, dtype=float))
    half = 1.5 * distance if method == "DC Wenner" else distance
    inner = 0.5 * distance if method == "DC Wenner" else 0.1 * distance
    electrodes: dict[str, Any] = {"a": -half, "b": half, "m": -inner, "n": inner}
    apparent = dc_section.layered(rho, h, **electrodes)
    survey = DCSurvey(title=f"{method} over layers", **electrodes, value=np.ones(len(distance)), line="layers")
    survey = survey.made(value=apparent / survey.factor)
    kind = "AB/2" if method == "DC Schlumberger" else "a"
    facts = {"apparent_resistivity": Quantity(_span(apparent), "ohm.m", "apparent resistivity" + (" range" if len(apparent) > 1 else ""))}
    if len(apparent) > 1:
        facts["at_shortest_spacing"] = Quantity(float(f"{apparent[0]:.6g}"), "ohm.m", f"apparent resistivity at {kind} {distance[0]:g} m")
        facts["at_longest_spacing"] = Quantity(float(f"{apparent[-1]:.6g}"), "ohm.m", f"apparent resistivity at {kind} {distance[-1]:g} m")
    notes.append("MN is a tenth of AB" if method == "DC Schlumberger" else "Wenner alpha: AM, MN and NB are a")
    return survey.made(facts=facts, notes=tuple(notes))


def _csem_forward(
    rho: Array, h: Array, frequency: list[float] | None, offset: list[float] | None, source: float, receiver: float, notes: list[str]
) -> Report:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import empymod  # compiles itself for up to a minute when an installation first calls it

        f = np.array([1.0]) if frequency is None else np.unique(np.asarray(frequency, dtype=float))
        r = np.geomspace(*OFFSETS) if offset is None else np.unique(np.asarray(offset, dtype=float))
        interfaces = np.concatenate([[0.0], np.cumsum(h)])
        field = empymod.dipole(
            [0.0, 0.0, max(source, 1e-3)], [r, np.zeros_like(r), max(receiver, 1e-3)], interfaces.tolist(), [2e14, *rho.tolist()], f, ab=11,
            epermH=[0.0] + [1.0] * len(rho), verb=0,
        )  # fmt: skip
    values = np.asarray(field).reshape(len(f), len(r))
    size, phase = np.abs(values), np.degrees(np.angle(values))
    apparent = size * np.pi * r**3
    if frequency is None:
        notes.append("no frequency given: 1 Hz")
    if offset is None:
        notes.append(f"no offset given: {OFFSETS[2]} from {OFFSETS[0]:g} to {OFFSETS[1]:g} m")
    notes.append("unit horizontal electric dipole along x, Ex on its axis; z down, air above depth 0; time as exp(+iwt), phase lag negative")
    notes.append("apparent resistivity |Ex| pi r^3: the resistivity of a half-space at low frequency with both ends at the surface, else a scaling")
    near, far = float(f"{size[0, 0]:.6g}"), float(f"{size[0, -1]:.6g}")
    facts = {
        "field": Quantity(near if len(r) == 1 else [near, far], "V/m", f"Ex for 1 A m at {r[0]:g} m" + (f" and {r[-1]:g} m" if len(r) > 1 else "")),
        "apparent_resistivity": Quantity(_span(apparent.ravel()), "ohm.m", "apparent resistivity" + (" range" if apparent.size > 1 else "")),
        "phase": Quantity(_span(phase.ravel()), "deg", "phase" + (" range" if apparent.size > 1 else "")),
    }
    return Report(
        title="CSEM over layers", facts=facts, notes=tuple(notes), arrays={"offset": r, "frequency": f, "field": size, "phase": phase},
        drawing="csem", labels={"x": "offset (m)", "y": "|Ex| (V/m for 1 A m)"},
    )  # fmt: skip


@tool(
    discipline="em",
    stage="inversion",
    say=(
        "invert {sounding} for layers",
        "1D MT inversion of {sounding}",
        "What is the resistivity with depth under {sounding}?",
        "fit a layered model to {sounding}, {component}, error floor {error}",
        "Occam inversion of station {sounding} from {first_period} to {last_period}",
        "mt 1d {sounding} {layers} layers",
        "how deep does {sounding} see and what layers does it need?",
        "how deep is the conductor below {sounding}? give the range too",
        "please make the inversion one-dimensional of MT station {sounding}",
        "resistivity model from the apparent resistivity and phase of {sounding}",
        "interpret MT sounding {sounding} with {layers} layers, {error} errors",
    ),
    reference="Constable, Parker & Constable 1987, Occam's inversion, Geophysics 52; Jones 1983, Niblett and Bostick, J. Geophys. 53",
    truth="two layers with 5 % noise come back within 10 %, inside the ranges stated",
)
def mt_1d(
    sounding: MTSounding,
    component: Literal["determinant", "xy", "yx"] = "determinant",
    error: Annotated[Percent, "least error of apparent resistivity"] = 5.0,
    layers: Annotated[Count, "number of layers"] | None = None,
    first_period: Annotated[Seconds, "shortest period used"] | None = None,
    last_period: Annotated[Seconds, "longest period used"] | None = None,
) -> Report:
    """Two models of the ground below one sounding: the smoothest that fits, and the fewest layers the data ask for, with ranges.

    The number of layers is that of the least BIC (1 to 6) unless given. Ranges are 95 % profile likelihoods: the parameter held, all
    others refitted; they hold for layered ground with that many layers. The error of the phase is half the relative error of the
    apparent resistivity, in rad.
    """
    if not 0 < error <= 100:
        raise ValueError(f"error must be above 0 and at most 100 %, got {error:g}")
    if layers is not None and not 1 <= layers <= 8:
        raise ValueError(f"layers must be from 1 to 8, got {layers}")
    curve, notes = _curve(sounding, component, error / 100, first_period, last_period)
    guide, beta, target = layered.smooth(curve)
    fits = [layered.few(curve, guide, count) for count in (range(1, LAYERS + 1) if layers is None else [layers])]
    scale = max(1.0, min(fit.chi for fit in fits) / curve.count)
    bic = [fit.chi / scale + (2 * len(fit.resistivity) - 1) * math.log(curve.count) for fit in fits]
    best = fits[int(np.argmin(bic))]
    low, high, ends = layered.ranges(curve, best, scale)
    count = len(best.resistivity)
    deepest = layered.depth_seen(curve, guide, scale)
    bostick = float(curve.bostick().max())
    if layers is None:
        notes.append(f"{count} layers: least BIC of 1 to {LAYERS} (phi_d/N {', '.join(f'{fit.chi / curve.count:.3g}' for fit in fits)})")
    notes.append(
        f"smooth model: least slope of ln resistivity over ln depth, trade-off {beta:.3g} the largest that reaches phi_d/N {target:.3g}"
        + ("" if target == 1 else f"; 1 cannot be reached by layers, {target / layered.LOOSE:.3g} is the least found")
    )
    if layers is None and count == LAYERS:
        notes.append(f"{LAYERS} layers are the most that are tried; more may fit better")
    if scale > 1:
        larger = f"ranges are for errors {math.sqrt(scale):.3g} times as large"
        notes.append(f"no layered model fits to the errors: {larger}; the ground may be 2-D or 3-D")
    thin = [i + 1 for i in range(count - 1) if math.isinf(high[count + i]) or low[count + i] == 0]
    if thin:
        notes.append(f"thickness of layer {', '.join(map(str, thin))} is bounded on one side only: its conductance or its thickness alone is known")
    free = [i + 1 for i in range(count) if low[i] == 0 and math.isinf(high[i])]
    if free:
        notes.append(f"resistivity of layer {', '.join(map(str, free))} is not determined within a factor of 100 either way")
    notes.append("not unique: thin layers, and resistors under conductors, trade thickness against resistivity; ranges say how far")
    facts = _layer_facts(best, low, high) | {
        "layers": Quantity(count, "", "layers"),
        "misfit": Quantity(float(f"{best.chi / curve.count:.5g}"), "", "misfit phi_d/N of the layers"),
        "smooth_misfit": Quantity(float(f"{guide.chi / curve.count:.5g}"), "", "misfit phi_d/N of the smooth model"),
        "data": Quantity(curve.count, "", "data"),
        "depth_of_investigation": Quantity(float(f"{deepest:.4g}"), "m", "depth of investigation"),
        "bostick_depth": Quantity(float(f"{bostick:.4g}"), "m", "Niblett-Bostick depth of the longest period"),
        "error": Quantity(float(error), "%", "least error of apparent resistivity"),
    }
    notes.append("depth of investigation: deepest level of the smooth model below which resistivity times or over three changes chi-square by 4")
    if (skew := _skew(sounding, curve.frequency)) is not None:
        facts["skew"] = Quantity(float(f"{skew:.3g}"), "", "median Swift skew")
        if skew > 0.2:
            notes.append(f"median Swift skew {skew:.2f} is above 0.2: the ground is not layered, a 1-D model is a guide at most")
    predicted = layered.impedance(np.stack([best.resistivity]), np.stack([best.thickness]), curve.frequency)[0]
    smooth_z = layered.impedance(guide.resistivity[None], guide.thickness[None], curve.frequency)[0]
    omega_mu = 2 * np.pi * curve.frequency * layered.MU
    depth = np.geomspace(0.2 * float(curve.bostick().min()), 1.5 * max(bostick, deepest), 160)
    members = np.stack([end.at(depth) for end in (best, *ends)])
    arrays = {
        "period": 1 / curve.frequency, "observed": np.exp(curve.log_rho), "error": curve.log_sigma, "phase": np.degrees(curve.phase),
        "phase_error": np.degrees(curve.phase_sigma), "predicted": np.abs(predicted) ** 2 / omega_mu,
        "predicted_phase": np.degrees(np.angle(predicted)),
        "smooth_predicted": np.abs(smooth_z) ** 2 / omega_mu, "smooth_phase": np.degrees(np.angle(smooth_z)),
        "resistivity": best.resistivity, "thickness": best.thickness, "smooth_resistivity": guide.resistivity, "smooth_top": guide.tops,
        "depth": depth, "least": members.min(axis=0), "largest": members.max(axis=0), "investigation": np.array([deepest]),
    }  # fmt: skip
    return Report(
        title=f"layers below {sounding.station or sounding.title or 'the sounding'}", facts=facts, notes=tuple(notes), arrays=arrays,
        drawing="mt_model", labels={"x": "period (s)", "y": "apparent resistivity (ohm.m)", "component": component},
    )  # fmt: skip


def _curve(
    sounding: MTSounding, component: str, floor: float, first: float | None, last: float | None
) -> tuple[layered.Curve, list[str]]:
    """What is fitted, and notes on what was left out. Refusal where too little is left or a unit is wrong."""
    rho, phase, relative = sounding.apparent(component)
    known = np.isfinite(rho) & np.isfinite(phase) & (rho > 0)
    if not known.any():
        raise Refusal("E_DATA", f"{sounding.title or 'the sounding'} has no {component} impedance at any frequency.", "Choose another component.")
    middle = float(np.median(rho[known]))
    if not 1e-3 < middle < ROCK:
        said = f"the median apparent resistivity of {sounding.title or 'the sounding'} is {middle:.3g} ohm.m, which no ground has."
        raise Refusal("E_UNITS", said, "The impedances in the file are not in the unit it states; correct them.")
    inside = known.copy()
    for limit, keep in ((first, lambda p: sounding.period >= p * (1 - 1e-9)), (last, lambda p: sounding.period <= p * (1 + 1e-9))):
        if limit is not None:
            inside &= keep(limit)
    used = inside & (phase > 0) & (phase < 90)
    certain = used & ~(relative > WORST)
    notes = [f"{component} component" + (", which no rotation of the axes changes" if component == "determinant" else "")]
    if lost := int(len(known) - known.sum()):
        notes.append(f"{lost} frequencies without a value")
    if lost := int(inside.sum() - used.sum()):
        notes.append(f"{lost} frequencies left out: their phase is not from 0 to 90 deg, which no layered ground gives")
    if lost := int(used.sum() - certain.sum()):
        notes.append(f"{lost} frequencies left out: their error is above {100 * WORST:g} % of the apparent resistivity")
    together = _together(sounding.period, rho, relative, certain)
    if lost := int(certain.sum() - together.sum()):
        notes.append(f"{lost} frequencies left out: they stand alone, or their curve is steeper than layered ground allows (ln rho over ln period)")
    certain = together
    if certain.sum() < FEWEST:
        said = f"{int(certain.sum())} of {len(known)} frequencies can be fitted by layered ground ({component}); {FEWEST} are needed."
        raise Refusal("E_DATA", said, "Widen the period range or choose another component.")
    given = relative[certain]
    sigma = np.maximum(np.where(np.isfinite(given), given, floor), floor)
    if not np.isfinite(given).any():
        assumed = f"{100 * floor:g} % of apparent resistivity and {math.degrees(floor / 2):.3g} deg of phase"
        notes.append(f"the file gives no errors: {assumed} are assumed")
    else:
        raised = int(np.sum(~(given > floor)))
        notes.append(f"errors of {raised} of {len(given)} frequencies raised to {100 * floor:g} % ({math.degrees(floor / 2):.3g} deg)")
    return layered.Curve(sounding.frequency[certain], np.log(rho[certain]), np.radians(phase[certain]), sigma, sigma / 2), notes


def _together(period: Array, rho: Array, relative: Array, certain: Array) -> Array:
    """Which of the certain frequencies hang together: from the best one outward no steeper than |d ln rho / d ln T| = 1, no gap above GAP."""
    kept = np.zeros(len(certain), dtype=bool)
    at = np.flatnonzero(certain)
    if not len(at):
        return kept
    sigma = np.where(np.isfinite(relative), relative, 0.1)
    start = int(np.argmin(np.where(np.isfinite(relative[at]), relative[at], np.median(sigma[at]))))
    kept[at[start]] = True
    for side in (at[start + 1 :], at[:start][::-1]):
        last = at[start]
        for k in side:
            if abs(k - last) > GAP:
                break
            apart = abs(math.log(period[k] / period[last]))
            if abs(math.log(rho[k] / rho[last])) <= apart + 2 * math.hypot(min(sigma[k], 0.2), min(sigma[last], 0.2)):
                kept[k] = True
                last = k
    return kept


def _layer_facts(best: layered.Layers, low: Array, high: Array) -> dict[str, Quantity]:
    count = len(best.resistivity)
    facts = {}
    for i in range(count):
        name = f"layer {i + 1}" if i < count - 1 else "half-space" if count > 1 else "half-space (one layer)"
        values = [(i, "resistivity", "ohm.m", float(best.resistivity[i]))]
        if i < count - 1:
            values.append((count + i, "thickness", "m", float(best.thickness[i])))
        for at, what, unit, value in values:
            facts[f"{what}_{i + 1}"] = Quantity(float(f"{value:.5g}"), unit, f"{what} of {name}")
            bounds = float(f"{low[at]:.4g}"), float(f"{high[at]:.4g}")
            if low[at] > 0 and math.isfinite(high[at]):
                facts[f"{what}_{i + 1}_range"] = Quantity(list(bounds), unit, f"{what} range of {name} (95 %)")
            elif math.isfinite(high[at]):
                facts[f"{what}_{i + 1}_most"] = Quantity(bounds[1], unit, f"largest {what} of {name} (95 %), no lower bound")
            elif low[at] > 0:
                facts[f"{what}_{i + 1}_least"] = Quantity(bounds[0], unit, f"least {what} of {name} (95 %), no upper bound")
    if count > 1:
        facts["depth"] = Quantity(float(f"{best.tops[-1]:.5g}"), "m", "depth to the half-space")
    return facts


def _skew(sounding: MTSounding, frequency: Array) -> float | None:
    """Median |Zxx + Zyy| / |Zxy - Zyx| over the frequencies used."""
    z = sounding.impedance[np.isin(sounding.frequency, frequency)]
    with np.errstate(divide="ignore", invalid="ignore"):
        skew = np.abs(z[:, 0, 0] + z[:, 1, 1]) / np.abs(z[:, 0, 1] - z[:, 1, 0])
    return float(np.median(skew[np.isfinite(skew)])) if np.isfinite(skew).any() else None


def _dc_cost(line: DCSurvey, error: float | None = None, cell: float | None = None, depth: float | None = None) -> Cost:
    plan = dc_section.plan(line, cell, depth)
    return Cost(plan.seconds, plan.bytes)


@tool(
    discipline="em",
    stage="inversion",
    cost=_dc_cost,
    say=(
        "invert {line} for resistivity",
        "2D resistivity inversion of {line}",
        "DC inversion of line {line}, errors {error}",
        "resistivity section under {line} with {cell} cells down to {depth}",
        "Where is the conductor on {line}?",
        "run a smooth 2-D DC inversion on {line}",
        "make me a resistivity section from the dipole-dipole data {line}",
        "ERT inversion {line} pls",
        "how deep can {line} see, and what resistivities lie there?",
        "please to invert the pseudosection of {line}, error is {error}",
        "what does the electrical survey {line} say about the subsurface?",
    ),
    reference="Oldenburg & Li 1999, Estimating depth of investigation in dc resistivity and IP surveys, Geophysics 64; Cockett et al. 2015, SimPEG",
    truth="a half-space within 1 %; two layers with 2 % noise within 25 and 35 % at a misfit of 1; Century line 46800E correlates over 0.8 "
    "with the published section",
)
def dc_2d(
    line: DCSurvey, error: Annotated[Percent, "error of a datum"] | None = None, cell: Metres | None = None, depth: Metres | None = None
) -> Report:
    """The smoothest resistivity section (ohm.m) below a flat line that explains its data to their error; strike is across the line.

    `error` replaces the errors of the file. Depth of investigation: above it less than a fifth of a shift of the reference model comes
    through (Oldenburg & Li's index of the linearised problem, 0.2). Phi_d is of ln apparent resistivity.
    """
    if error is not None and not 0 < error <= 100:
        raise ValueError(f"error must be above 0 and at most 100 %, got {error:g}")
    plan = dc_section.plan(line, cell, depth)
    free = dc_section.free_memory()
    if plan.bytes > 0.6 * free:
        words = f"{len(plan.rows)} data and {plan.cells} cells need {plan.bytes / 1e9:.2f} GB; 60 % of what is free is {0.6 * free / 1e9:.2f} GB."
        raise Refusal("E_LIMIT", words, "Use larger cells.")
    relative, notes = dc_section.errors(line, plan, error)
    notes = [*plan.notes, *notes]
    found = dc_section.invert(plan, relative)
    observed = line.apparent[plan.rows]
    index = found.index
    doi = dc_section.investigation(plan, index)
    inside = index <= dc_section.TRUSTED
    shown = found.resistivity[inside] if inside.any() else found.resistivity.ravel()
    notes.append(
        f"smooth model: trade-off {found.beta:.3g} the largest that reaches phi_d/N {found.target:.3g}, reference {found.reference:.4g} ohm.m "
        "(median apparent resistivity), same smoothness along and down"
    )
    if found.misfit > 1.1:
        small = f"errors of {100 * float(np.median(relative)):.3g} % are too small for a 2-D section"
        notes.append(f"phi_d/N stays at {found.misfit:.2f}: {small}, or the ground is 3-D")
    notes.append("depth of investigation: a fifth of a shift of the reference comes through (linearised Oldenburg & Li index 0.2); below, ever more")
    notes.append("not unique: a smooth section spreads bodies out; flat ground and strike across the line are assumed")
    extremes = [float(f"{shown.min():.5g}"), float(f"{shown.max():.5g}")]
    facts = {
        "resistivity": Quantity(extremes, "ohm.m", "resistivity range above the depth of investigation"),
        "misfit": Quantity(float(f"{found.misfit:.5g}"), "", "misfit phi_d/N"),
        "rms": Quantity(float(f"{100 * np.sqrt(np.mean(np.log(found.predicted / observed) ** 2)):.4g}"), "%", "rms misfit of apparent resistivity"),
        "error": Quantity(float(f"{100 * np.median(relative):.4g}"), "%", "median error of a datum"),
        "depth_of_investigation": Quantity(float(f"{np.median(doi):.4g}"), "m", "depth of investigation (median along the line)"),
        "reference": Quantity(float(f"{found.reference:.5g}"), "ohm.m", "reference resistivity"),
        "numerical_error": Quantity(float(f"{100 * found.numerical:.3g}"), "%", "largest error of the forward model over a half-space"),
        "data": Quantity(len(plan.rows), "", "data"),
        "cells": Quantity(plan.cells, "", "cells"),
        "iterations": Quantity(found.iterations, "", "iterations"),
    }
    deep = inside & (0.5 * (plan.z_edges[1:] + plan.z_edges[:-1]) >= 0.5 * plan.spacing)[:, None]  # shallower bodies are not resolved
    for name, pick in (("conductor", np.argmin), ("resistor", np.argmax)):
        masked = np.where(deep, found.resistivity, np.inf if name == "conductor" else -np.inf)
        if deep.any():
            z, x = np.unravel_index(int(pick(masked)), masked.shape)
            centre = [0.5 * float(edges[k] + edges[k + 1]) for edges, k in ((plan.x_edges, x), (plan.z_edges, z))]
            facts[f"{name}_position"] = Quantity(centre[0], "m", f"position of the strongest {name} along the line")
            facts[f"{name}_depth"] = Quantity(float(f"{centre[1]:.4g}"), "m", f"depth of the strongest {name}")
            facts[f"{name}_resistivity"] = Quantity(float(f"{masked[z, x]:.4g}"), "ohm.m", f"resistivity of the strongest {name}")
    place, pseudo = line.pseudosection
    arrays = {
        "x_edges": plan.x_edges, "z_edges": plan.z_edges, "resistivity": found.resistivity, "index": index, "investigation": doi,
        "electrodes": line.electrodes, "place": place[plan.rows], "pseudo": pseudo[plan.rows], "observed": observed, "predicted": found.predicted,
    }  # fmt: skip
    return Report(
        title=f"resistivity below {line.title or 'the line'}", facts=facts, notes=tuple(notes), arrays=arrays, drawing="resistivity_section",
        labels={"x": "distance along the line (m)", "y": "depth (m)", "colour": "resistivity (ohm.m)"},
    )  # fmt: skip
