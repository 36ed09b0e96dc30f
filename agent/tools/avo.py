"""Amplitude against angle: what an interface reflects, and elastic properties from angle gathers.

Angles are of incidence in degrees; polarity is SEG normal. The linear inversion is around low-frequency logs of a well, as
`seismic_inversion` does it for stacked traces; what the angles do not hold comes from that prior, and the result says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from moho.agent.registry import tool
from moho.agent.tools.seismic_inversion import Rows, low_pass, on_samples
from moho.agent.tools.seismic_modelling import two_way_time
from moho.agent.tools.seismic_processing import amplitudes
from moho.agent.tools.ties import called
from moho.agent.tools.wavelet_shapes import given_wavelet, own_wavelet, ricker_wavelet
from moho.errors import Missing, Refusal
from moho.survey import Array, Gather, Report, Seismic, Well
from moho.units import Degrees, Density, Hertz, Quantity, Ratio, Unit, Velocity

ShearVelocity = Annotated[float, Unit("m/s", low=0, high=8000)]
FLAT = 0.02  # an intercept this small is class II
STEEPEST = 70.0  # deg, beyond which neither gathers nor linear theory mean anything
OUTPUTS = {"P velocity": "m/s", "S velocity": "m/s", "density": "kg/m3", "acoustic impedance": "kg/m2/s", "Vp/Vs": ""}


@tool(
    discipline="seismic",
    stage="modelling",
    reference="Zoeppritz 1919; Aki and Richards 1980; Shuey 1985, Geophysics 50, 609-614; Rutherford and Williams 1989, Geophysics 54, 680-688",
    truth="Zoeppritz at 0, 10, 20 and 30 degrees: 0.13386, 0.12754, 0.11063, 0.09023; Shuey is its limit for small contrasts, to 3e-5",
    say=(
        "AVO curve for {vp1} {vs1} {rho1} over {vp2} {vs2} {rho2}",
        "What AVO class is vp {vp1}, vs {vs1}, rho {rho1} above vp {vp2}, vs {vs2}, rho {rho2}?",
        "reflection coefficient against angle: upper {vp1}/{vs1}/{rho1}, lower {vp2}/{vs2}/{rho2}",
        "Zoeppritz at {angles} for shale {vp1} {vs1} {rho1} on sand {vp2} {vs2} {rho2}",
        "intercept and gradient of that interface: {vp1}, {vs1}, {rho1} / {vp2}, {vs2}, {rho2}",
        "shuey two term for vp1={vp1} vs1={vs1} rho1={rho1} vp2={vp2} vs2={vs2} rho2={rho2}",
        "how does the amplitude change with offset, {vp1} {vs1} {rho1} to {vp2} {vs2} {rho2}, up to {angles}",
        "please to calculate avo of two layers {vp1}, {vs1}, {rho1} and {vp2}, {vs2}, {rho2}",
        "compare Zoeppritz with Aki-Richards: {vp1} {vs1} {rho1} {vp2} {vs2} {rho2}",
        "AVO response pls: top {vp1} m/s {vs1} m/s {rho1}, bottom {vp2} m/s {vs2} m/s {rho2}, angles {angles}",
    ),
)
def avo_curve(
    vp1: Annotated[Velocity, "P velocity above"],
    vs1: Annotated[ShearVelocity, "S velocity above"],
    rho1: Annotated[Density, "density above"],
    vp2: Annotated[Velocity, "P velocity below"],
    vs2: Annotated[ShearVelocity, "S velocity below"],
    rho2: Annotated[Density, "density below"],
    angles: list[Annotated[Degrees, "angles of incidence"]] | None = None,
) -> Report:
    """P-P reflection coefficients of one interface by angle: exact (Zoeppritz), Aki-Richards and two-term Shuey, intercept, gradient and class.

    Shuey: R = A + B sin^2(theta). Class after Rutherford and Williams with Castagna's IV: I, A > 0.02 and B < 0; II, |A| <= 0.02 and B < 0;
    III, A < -0.02 and B < 0; IV, A < -0.02 and B > 0. Angles beyond the critical one are refused: the coefficient is complex there.
    """
    from pylops.avo.avo import zoeppritz_pp

    for where, vp, vs in (("above", vp1, vs1), ("below", vp2, vs2)):
        if not vs < vp * np.sqrt(0.75):
            words = f"{where} the interface an S velocity of {vs:g} m/s needs a P velocity above {vs / np.sqrt(0.75):.0f} m/s, got {vp:g}"
            raise Refusal("E_PHYSICS", words + ": no rock has a negative bulk modulus.", "Are Vp and Vs exchanged?")
    if vs1 == 0 and vs2 == 0:
        raise Refusal("E_PHYSICS", "neither side has an S velocity: between two fluids there is no AVO of rock to compute.")
    critical = float(np.degrees(np.arcsin(vp1 / vp2))) if vp2 > vp1 else 90.0
    largest = min(45.0, np.floor(critical - 1e-9)) if critical < 90 else 45.0
    wanted = sorted(set(angles)) if angles else [float(a) for a in (0, 10, 20, 30) if a < critical]
    if min(wanted) < 0 or max(wanted) >= 90:
        raise ValueError(f"angles of incidence lie from 0 to below 90 degrees, got {min(wanted):g} to {max(wanted):g}")
    if max(wanted) >= critical:
        message = f"{max(wanted):g} degrees is beyond the critical angle of {critical:.1f} degrees: no P wave is transmitted, R is complex."
        raise Refusal("E_PHYSICS", message, f"Ask for angles below {critical:.1f} degrees.")
    slow = 1e-6 * vp1  # a fluid: the system is singular at exactly 0
    upper, lower = (vp1, max(vs1, slow), rho1), (vp2, max(vs2, slow), rho2)
    theta = np.unique(np.concatenate([np.linspace(0, max(largest, max(wanted)), 91), wanted]))
    exact = np.real(zoeppritz_pp(*upper, *lower, theta))
    intercept, gradient, curvature = shuey(vp1, vs1, rho1, vp2, vs2, rho2)
    sine = np.sin(np.radians(theta)) ** 2
    two_term = intercept + gradient * sine
    linear = two_term + curvature * (np.tan(np.radians(theta)) ** 2 - sine)
    at = np.searchsorted(theta, wanted)
    usable = theta <= 30
    misfit = float(np.abs(two_term - exact)[usable].max())
    kind = avo_class(intercept, gradient)
    notes = [f"critical angle {critical:.1f} degrees" if critical < 90 else "no critical angle: the lower layer is slower"]
    notes.append("Aki-Richards and Shuey with the angle of incidence in place of the mean of incidence and transmission")
    notes.append(f"two-term Shuey is off by at most {misfit:.2g} up to {theta[usable].max():.0f} degrees")
    contrast = max(abs(2 * (b - a) / (a + b)) for a, b in ((vp1, vp2), (rho1, rho2), (max(vs1, 1.0), max(vs2, 1.0))))
    if contrast > 0.4:
        notes.append(f"contrasts reach {100 * contrast:.0f} %: the linear forms hold for small ones, trust the exact curve")
    if vs1 == 0 or vs2 == 0:
        notes.append("a fluid on one side: its S velocity was taken as a millionth of the P velocity above")
    facts = {
        "coefficients": Quantity([round(float(v), 5) for v in exact[at]], "", "exact reflection coefficients at the angles asked for"),
        "angles": Quantity([float(a) for a in wanted], "deg", "angles"),
        "normal": Quantity(round(float(exact[0]), 6), "", "reflection coefficient at normal incidence"),
        "intercept": Quantity(round(intercept, 5), "", "intercept A"),
        "gradient": Quantity(round(gradient, 5), "", "gradient B"),
        "curvature": Quantity(round(curvature, 5), "", "curvature C"),
        "class": Quantity(kind, "", "AVO class"),
        "linear_error": Quantity(round(misfit, 5), "", "largest error of two-term Shuey up to 30 degrees"),
    }
    if critical < 90:
        facts["critical_angle"] = Quantity(round(critical, 2), "deg", "critical angle")
    return Report(
        title=f"AVO, class {kind}" if kind != "none" else "AVO, no class",
        facts=facts,
        notes=tuple(notes),
        arrays={"angle": theta, "Zoeppritz": exact, "Aki-Richards": linear, "two-term_Shuey": two_term},
        drawing="lines",
        labels={"x": "angle of incidence (degrees)", "y": "P-P reflection coefficient"},
    )


@tool(
    discipline="seismic",
    stage="inversion",
    reference="Buland and Omre 2003, Bayesian linearized AVO inversion, Geophysics 68, 185-198",
    truth="made angle gathers (Zoeppritz, 5 % noise): correlation over 0.99 for Vp, 0.98 for Vs, 0.94 for density; the operator is that of "
    "PyLops to 1e-12 and passes the dot test",
    say=(
        "Invert the angle gather {gather} with {well}",
        "prestack inversion of {gather}, background {well}, {frequency} Ricker",
        "AVO inversion {gather} for {output} with {well}",
        "Vp, Vs and density from {gather}",
        "simultaneous inversion of {gather} at angles {angles} using the logs of {well}",
        "elastic inversion {gather} {well} wavelet {wavelet}",
        "give me {output} from the angle gathers {gather}",
        "please to make prestack AVO inversion of {gather}, Vp/Vs {vp_vs}",
        "I want shear velocity from the gather {gather} and well {well}",
        "linear AVO inversion of {gather}, low frequencies below {low_frequency} from {well}",
    ),
)
def prestack_avo(
    gather: Gather,
    well: Well | None = None,
    wavelet: Annotated[Seismic, "wavelet"] | None = None,
    frequency: Annotated[Hertz, "peak frequency of a Ricker wavelet"] | None = None,
    angles: list[Annotated[Degrees, "angle of each trace of a gather"]] | None = None,
    vp_vs: Annotated[Ratio, "Vp/Vs, when there is no shear log"] | None = None,
    low_frequency: Annotated[Hertz, "upper end of the low-frequency model"] = 8,
    output: Literal["P velocity", "S velocity", "density", "acoustic impedance", "Vp/Vs"] = "P velocity",
) -> Seismic:
    """One elastic property at every CDP of angle gathers, from a joint linear inversion for Vp, Vs and density.

    Minimises |s W A D m - d|^2 + lambda s^2 (m - m0)' C^-1 (m - m0) for m = ln(Vp, Vs, density): A holds the Aki-Richards weights of the
    angles (pylops) with the prior's Vs/Vp at every sample, D is the derivative, W the wavelet; m0 are the well's logs below
    `low_frequency`, C is how their remainders vary together, which is what carries density. lambda follows the discrepancy
    principle: the misfit expected of the noise between neighbouring angles.
    """
    if wavelet is not None and frequency is not None:
        raise ValueError("give a wavelet or a frequency, not both")
    if well is None:
        raise Missing("well", "Which well gives the low-frequency Vp, Vs and density? Angle gathers alone hold only contrasts.")
    data, live, notes = amplitudes(gather)
    if gather.data.shape[1] < 16 or gather.data.shape[1] > 4000:
        raise Refusal("E_DATA", f"{gather.data.shape[1]} samples a trace; a linear inversion takes 16 to 4000.", "Cut a window.")
    if not low_frequency < gather.nyquist:
        raise Refusal("E_PHYSICS", f"low_frequency of {low_frequency:g} Hz is not below the Nyquist frequency of {gather.nyquist:g} Hz.")
    theta, rows, names = _angle_gathers(gather, angles, live)
    if wavelet is not None:
        shape, how = given_wavelet(wavelet, gather.dt), f"wavelet {wavelet.title or 'as given'}"
    elif frequency is not None:
        shape, how = ricker_wavelet(frequency, gather.dt), f"{frequency:g} Hz zero-phase Ricker at all angles"
    else:
        half = min(max(8, round(0.1 / gather.dt)), data.shape[1] // 3)
        shape, peak = own_wavelet(data[rows[:, : max(1, len(theta) // 3)].ravel()], gather.dt, half)
        how = f"zero-phase wavelet with the spectrum of the near angles (peak {peak:.3g} Hz) at all angles"
    logs = _elastic_logs(well, gather, vp_vs, low_frequency)
    sign = -1.0 if gather.polarity == "SEG reverse" else 1.0
    operator = _operator(shape, theta, logs.prior)
    synthetic = operator @ logs.truth.ravel()
    d = sign * data[rows].astype(np.float64).transpose(0, 2, 1)  # (gather, sample, angle)
    size = float(np.sqrt(np.mean(d[:, logs.logged] ** 2)))
    modelled = float(np.sqrt(np.mean(synthetic.reshape(-1, len(theta))[logs.logged] ** 2)))
    if not size > 0 or not modelled > 0:
        raise Refusal("E_DATA", f"the {'gathers are' if modelled > 0 else 'well is'} silent in the logged interval: amplitudes cannot be scaled.")
    d = (d * (modelled / size)).reshape(len(d), -1)
    noise, words = _noise(d.reshape(len(d), -1, len(theta)))
    residual = d - operator @ logs.prior.ravel()
    change, damping, misfit = _solved(operator, residual, logs.factor, noise * float(np.sum(d**2)))
    misfit /= float(np.sqrt(np.sum(d**2)))
    model = np.exp(logs.prior + change.reshape(len(d), -1, 3))  # (gather, sample, property)
    vp, vs, rho = (model[..., i] for i in range(3))
    results = {"P velocity": vp, "S velocity": vs, "density": rho, "acoustic impedance": vp * rho, "Vp/Vs": vp / vs}
    band = _bands(shape, theta, logs, damping, gather.dt)
    facts: dict[str, Quantity] = {
        "misfit": Quantity(round(100 * misfit, 3), "%", "misfit (rms of the residual over rms of the data)"),
        "noise": Quantity(round(100 * float(np.sqrt(noise)), 3), "%", "noise estimated between neighbouring angles (rms over rms)"),
        "angles": Quantity([float(theta.min()), float(theta.max())], "deg", "angle range"),
        "gathers": Quantity(len(d), "", "gathers inverted"),
        "damping": Quantity(float(damping), "", "regularisation weight lambda"),
        "prior_below": Quantity(float(low_frequency), "Hz", "frequency below which the well's logs decide"),
        "range": Quantity([float(results[output].min()), float(results[output].max())], OUTPUTS[output], f"{output} range"),
        "mean": Quantity(float(results[output].mean()), OUTPUTS[output], f"mean {output}"),
    }
    said = [f"lambda {damping:.3g} by the discrepancy principle, for a misfit of {100 * np.sqrt(noise):.2g} %: the noise, {words}"]
    top = 0.0
    for name, (low, high) in band.items():
        if high > low:
            facts[f"band_{name.split()[0].lower()}"] = Quantity([round(low, 2), round(high, 2)], "Hz", f"band in which the angles decide {name}")
            top = max(top, high)
        else:
            said.append(f"{name} is nowhere decided by the angles alone: it follows the others as the well's logs do")
    at, place = _gather_of(gather, well, rows, names)
    if at is not None:
        upper = top or gather.nyquist / 2
        for i, name in enumerate(("vp", "vs", "density")):
            truth = low_pass(logs.truth[:, i], gather.dt, upper)[logs.logged]
            found = np.log(model[at, logs.logged, i])
            value = float(np.corrcoef(truth, found)[0, 1]) if np.ptp(truth) and np.ptp(found) else 0.0
            facts[f"correlation_{name}"] = Quantity(round(value, 4), "", f"correlation with the well's {name}")
    shown = at if at is not None else len(d) // 2
    view = {"time": gather.times.astype(float), "cdp": int(names[shown])}
    for i, name in enumerate(("vp", "vs", "density")):
        recorded = np.where(logs.logged, np.exp(logs.truth[:, i]), np.nan)
        view |= {name: model[shown, :, i], f"{name}_prior": np.exp(logs.prior[:, i]), f"{name}_log": recorded}
    said += [how, place, "Aki-Richards weights: small contrasts, angles below the critical one", "the low-frequency logs do not follow structure"]
    if gather.polarity != "SEG normal":
        said.append("SEG reverse polarity: the traces were turned" if sign < 0 else "polarity unknown, taken as SEG normal")
    if theta.max() < 25:
        said.append(f"angles reach {theta.max():g} degrees only: density, and much of Vs, come from the prior")
    return Seismic(
        title=f"{output} of {gather.title}".strip(),
        facts=facts,
        notes=(*said, *logs.notes, *notes),
        data=results[output].astype(np.float32),
        dt=gather.dt,
        t0=gather.t0,
        quantity=output,
        unit=OUTPUTS[output],
        polarity=gather.polarity,
        cdp=names,
        crs=gather.crs,
        view={"elastic": view},
    )


def shuey(vp1: float, vs1: float, rho1: float, vp2: float, vs2: float, rho2: float) -> tuple[float, float, float]:
    """(A, B, C) of R = A + B sin^2 + C (tan^2 - sin^2), Aki-Richards coefficients grouped by angle (Shuey 1985).

    >>> [round(v, 4) for v in shuey(2500, 1250, 2200, 3000, 1600, 2400)]
    [0.1344, -0.2196, 0.0909]
    """
    vp, vs, rho = 0.5 * (vp1 + vp2), 0.5 * (vs1 + vs2), 0.5 * (rho1 + rho2)
    p, s, r = (vp2 - vp1) / vp, (vs2 - vs1) / vs, (rho2 - rho1) / rho
    k = (vs / vp) ** 2
    return 0.5 * (p + r), 0.5 * p - 2 * k * (r + 2 * s), 0.5 * p


def avo_class(intercept: float, gradient: float) -> str:
    """'I', 'II', 'III', 'IV', or 'none' where the amplitude grows from a positive intercept."""
    if abs(intercept) <= FLAT:
        return "II" if gradient < 0 else "none"
    if intercept > 0:
        return "I" if gradient < 0 else "none"
    return "III" if gradient < 0 else "IV"


@dataclass(frozen=True)
class _Logs:
    """ln(Vp, Vs, density) on the gather's samples: (sample, 3) as logged and low-passed; where logged; a factor of their covariance."""

    truth: Array
    prior: Array
    logged: Array
    factor: Array  # (3, 3) with factor @ factor.T the covariance
    notes: tuple[str, ...]


def _elastic_logs(well: Well, gather: Gather, vp_vs: float | None, low_frequency: float) -> _Logs:
    time, how = two_way_time(well)
    velocity, shear, said = _velocities(well, vp_vs)
    density = np.asarray(well.curve("RHOB", "kg/m3"), float)
    good = np.isfinite(time) & np.isfinite(velocity) & np.isfinite(shear) & np.isfinite(density) & (density > 500) & (velocity > 300) & (shear > 0)
    if good.sum() < 16:
        raise Refusal("E_DATA", f"{called(well)}: Vp, Vs and density are known together at {int(good.sum())} depths only.")
    if not np.all(shear[good] < velocity[good]):
        above = int(np.sum(shear[good] >= velocity[good]))
        raise Refusal("E_PHYSICS", f"{called(well)}: Vs is above Vp at {above} depths; check the shear log and its unit.")
    axis = Seismic(data=np.zeros((1, gather.data.shape[1]), np.float32), dt=gather.dt, t0=gather.t0)
    inside = slice(*(np.flatnonzero(good)[[0, -1]] + [0, 1]))
    columns, logged = [], np.zeros(0, bool)
    for values in (velocity, shear, density):
        filled = np.interp(well.depth[inside], well.depth[good], np.log(values[good]))
        column, logged = on_samples(time[inside], filled, axis)
        columns.append(column)
    truth = np.stack(columns, axis=1)
    prior = np.stack([low_pass(column, gather.dt, low_frequency) for column in columns], axis=1)
    rest = (truth - prior)[logged]
    covariance = rest.T @ rest / len(rest)
    if not np.trace(covariance) > 0:
        raise Refusal("E_DATA", f"{called(well)}: the logs do not vary above {low_frequency:g} Hz; nothing says how the properties go together.")
    covariance /= np.trace(covariance) / 3
    values, vectors = np.linalg.eigh(covariance)
    factor = vectors * np.sqrt(np.maximum(values, 1e-3))
    return _Logs(truth, prior, logged, factor, (*said, how))


def _velocities(well: Well, vp_vs: float | None) -> tuple[Array, Array, tuple[str, ...]]:
    """((sample,) Vp m/s, (sample,) Vs m/s, what to note)."""
    try:
        velocity = 1 / np.asarray(well.curve("DT", "s/m"), float)
    except Missing:
        velocity = np.asarray(well.curve("VP", "m/s"), float)
    for kind in ("DTS", "VS"):
        try:
            mnemonic = well.find(kind)
        except Missing:
            continue
        values = np.asarray(well.curve(kind, "s/m" if kind == "DTS" else "m/s"), float)
        used = (f"{mnemonic} used, not the Vp/Vs of {vp_vs:g}",) if vp_vs is not None else ()
        return velocity, 1 / values if kind == "DTS" else values, used
    if vp_vs is None:
        held = ", ".join(well.curves)
        raise Missing("vp_vs", f"{called(well)} has no shear log (DTS or VS); it holds {held}. Which Vp/Vs should be taken?", ("2.0",))
    if not vp_vs > 1 / np.sqrt(0.75):
        raise Refusal("E_PHYSICS", f"a Vp/Vs of {vp_vs:g} is below 1.155: no rock has a negative bulk modulus.")
    return velocity, velocity / vp_vs, (f"no shear log: Vs is Vp/{vp_vs:g} in the prior, so Vs above it rests on the angles alone",)


def _angle_gathers(gather: Gather, angles: list[float] | None, live: Array) -> tuple[Array, Array, Array]:
    """((angle,) deg increasing, (gather, angle) trace indices, (gather,) CDP numbers) of the gathers that are complete and alive."""
    keys = gather.cdp if gather.cdp is not None else np.ones(len(gather.data), int)
    names = np.unique(keys)
    if gather.angle is not None and angles is None:
        values = np.asarray(gather.angle, float)
    elif angles is not None:
        counts = {int(np.sum(keys == name)) for name in names}
        if counts != {len(angles)}:
            held = ", ".join(map(str, sorted(counts)))
            raise ValueError(f"{len(angles)} angles for gathers of {held} traces: one angle for each trace of a gather is wanted")
        values = np.empty(len(keys))
        for name in names:
            values[keys == name] = angles
    else:
        span = f"{gather.offset.min():g} to {gather.offset.max():g}"
        words = f"These traces have offsets ({span}) and no angles. What are the angles of the traces of a gather, in degrees?"
        raise Missing("angles", words)
    theta = np.unique(values)
    if theta.min() < 0 or theta.max() > STEEPEST:
        words = f"angles from {theta.min():g} to {theta.max():g} degrees; 0 to {STEEPEST:g} can be inverted."
        raise Refusal("E_PHYSICS", words, "Are these offsets?")
    if len(theta) < 3 or np.ptp(theta) < 8:
        words = f"{len(theta)} angles over {np.ptp(theta):g} degrees cannot tell Vp, Vs and density apart; 3 over 8 degrees are wanted"
        raise Refusal("E_PHYSICS", words + ".", "Use the stack for acoustic impedance.")
    rows, kept = [], []
    for name in names:
        members = np.flatnonzero(keys == name)
        found = members[np.argsort(values[members], kind="stable")]
        if len(found) == len(theta) and np.array_equal(values[found], theta) and live[found].all():
            rows.append(found)
            kept.append(name)
    if not rows:
        raise Refusal("E_GEOMETRY", f"no gather has a live trace at each of the {len(theta)} angles once.", "Give gathers with the same angles.")
    return theta, np.array(rows), np.array(kept)


def _operator(wavelet: Array, theta: Array, prior: Array) -> Rows:
    """Sparse (sample x angle, sample x property): Aki-Richards weights of the central derivative of ln(property), convolved with the wavelet."""
    from pylops.avo.avo import akirichards
    from scipy.sparse import csr_matrix, diags, kron

    samples = len(prior)
    ratio = np.exp(prior[:, 1] - prior[:, 0])
    weights = np.stack([np.asarray(g) for g in akirichards(theta, ratio, n=samples)])  # (property, angle, sample)
    derivative = diags([np.full(samples - 1, -0.5), np.full(samples - 1, 0.5)], [-1, 1], format="lil")
    derivative[0] = derivative[-1] = 0
    half = len(wavelet) // 2
    lags = [lag for lag in range(-half, half + 1) if abs(lag) < samples]
    convolution = diags([np.full(samples - abs(lag), wavelet[half - lag]) for lag in lags], lags, format="csr")
    total: Any = csr_matrix((samples * len(theta), samples * 3))
    for angle in range(len(theta)):
        for part in range(3):
            block = convolution @ diags(weights[part, angle]) @ derivative.tocsr()
            place = csr_matrix(([1.0], ([angle], [part])), shape=(len(theta), 3))
            total = total + kron(block, place, format="csr")
    return Rows(total)


def _noise(d: Array) -> tuple[float, str]:
    """(noise energy over total energy, how) of (gather, sample, angle): one minus the correlation of angles with the mean of their neighbours."""
    middle, around = d[..., 1:-1], 0.5 * (d[..., :-2] + d[..., 2:])
    cross = np.sum(middle * around, axis=1)
    own, other = np.sum(middle**2, axis=1), np.sum(around**2, axis=1)
    predicted = cross**2 / np.maximum(own * other, 1e-30)
    # of the unexplained share, two thirds are noise of the trace itself, one third of its two neighbours' mean
    return float(np.clip(2 / 3 * (1 - np.median(predicted)), 1e-3, 0.5)), "estimated from how neighbouring angles differ"


def _solved(operator: Rows, residual: Array, factor: Array, wanted: float) -> tuple[Array, float, float]:
    """(change of ln(property), lambda, root of the residual energy): banded Cholesky, lambda by bisection for residual energy `wanted`."""
    from scipy.linalg import cho_solve_banded, cholesky_banded
    from scipy.sparse import identity, kron

    samples = operator.matrix.shape[1] // 3
    spread = kron(identity(samples, format="csr"), factor, format="csr")
    scaled = Rows((operator.matrix @ spread).tocsr())
    normal = (scaled.matrix.T @ scaled.matrix).tocoo()
    width = int((normal.col - normal.row).max())
    banded = np.zeros((width + 1, 3 * samples))
    lower = normal.row >= normal.col
    banded[(normal.row - normal.col)[lower], normal.col[lower]] = normal.data[lower]
    few = np.unique(np.linspace(0, len(residual) - 1, min(8, len(residual))).astype(int))
    share = wanted * float(np.sum(residual[few] ** 2) / max(float(np.sum(residual**2)), 1e-30))

    def solve(damping: float, rows: Array) -> Array:
        system = banded.copy()
        system[0] += damping
        return np.asarray(cho_solve_banded((cholesky_banded(system, lower=True), True), scaled.adjoint(rows).T).T)

    low, high = np.log(1e-5 * banded[0].max()), np.log(10 * banded[0].max())
    for _ in range(14):
        middle = 0.5 * (low + high)
        left = float(np.sum((residual[few] - scaled @ solve(float(np.exp(middle)), residual[few])) ** 2))
        low, high = (middle, high) if left < share else (low, middle)
    damping = float(np.exp(0.5 * (low + high)))
    change = solve(damping, residual)
    misfit = float(np.sqrt(np.sum((residual - scaled @ change) ** 2)))
    return np.asarray((spread @ change.T).T), damping, misfit


def _bands(wavelet: Array, theta: Array, logs: _Logs, damping: float, dt: float) -> dict[str, tuple[float, float]]:
    """(lowest, highest Hz) by property at which the data decide more than half of it, as filters with the mean Vs/Vp."""
    from pylops.avo.avo import akirichards

    size = 1024
    frequency = np.fft.rfftfreq(size)
    gain = np.abs(np.fft.rfft(wavelet, size) * np.sin(2 * np.pi * frequency)) ** 2
    ratio = float(np.exp(np.mean(logs.prior[:, 1] - logs.prior[:, 0])))
    weights = np.stack([np.asarray(g).ravel() for g in akirichards(theta, ratio, n=1)], axis=1)  # (angle, property)
    scaled = weights @ logs.factor
    found = {}
    inverse = np.linalg.inv(logs.factor)
    square = scaled.T @ scaled
    shares = np.array([np.diag(logs.factor @ np.linalg.solve(g * square + damping * np.eye(3), g * square) @ inverse) for g in gain])
    for i, name in enumerate(("Vp", "Vs", "density")):
        over = frequency[shares[:, i] >= 0.5] / dt
        found[name] = (float(over.min()), float(over.max())) if len(over) else (0.0, 0.0)
    return found


def _gather_of(gather: Gather, well: Well, rows: Array, names: Array) -> tuple[int | None, str]:
    """(number of the gather nearest to the well, or None; where it is)."""
    if len(names) == 1:
        return 0, "one gather, taken to be at the well"
    first = rows[:, 0]
    x, y = (a[first] if a is not None else None for a in (gather.source_x, gather.source_y))
    rx, ry = (a[first] if a is not None else None for a in (gather.receiver_x, gather.receiver_y))
    if x is None or y is None or rx is None or ry is None or well.x is None or well.y is None or np.ptp(x) + np.ptp(y) == 0:
        return None, "well and gathers share no coordinates: the well stands for all of them"
    distance = np.hypot(0.5 * (x + rx) - well.x, 0.5 * (y + ry) - well.y)
    at = int(distance.argmin())
    words = f"the well lies {distance[at]:.4g} m from CDP {int(names[at])}; its low-frequency logs are used at all gathers"
    return (at if distance[at] < 500 else None), words
