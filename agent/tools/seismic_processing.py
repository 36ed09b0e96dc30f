"""Reflection processing: band-pass, gain, deconvolution, f-x prediction, moveout and stack, velocity analysis.

Sections and gathers go in, sections and gathers come out; volumes of any size go through chunk by chunk (`moho.volumes`). A dead
trace stays dead, NaN never leaves. What the band of a line is after each step stays on the line (`band`). Pictures are drawn
elsewhere (`moho.plot`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np

from moho.agent.registry import Cost, tool
from moho.errors import Missing, Refusal
from moho.survey import Array, Gather, Report, Seismic, Volume
from moho.units import Count, Hertz, Number, Percent, Quantity, Seconds, Velocity
from moho.volumes import Block, estimate, trace_by_trace, with_neighbours

CHUNK = 64  # traces a transform works on at once: stays in the cache
QUIET = 0.01  # share of the largest stacked energy below which nothing has arrived yet


def passing(seconds: float, copies: float) -> Callable[..., Cost]:
    """What a tool costs that takes `seconds` a million samples and holds `copies` of what it works on."""

    def cost(line: Seismic | Gather | Volume, **given: Any) -> Cost:
        if isinstance(line, Volume):
            return Cost(*estimate(line, seconds, copies))
        return Cost(1e-6 * seconds * line.data.size, 4.0 * copies * line.data.size)

    return cost


@tool(
    discipline="seismic",
    stage="processing",
    cost=passing(0.05, 6),
    reference="Ormsby 1961, Design of numerical filters with applications to missile data processing, J. ACM 8, 440-466",
    truth="an impulse becomes the trapezoid within 5e-4, symmetric to 1e-7; nothing wraps around",
    say=(
        "Filter {line} between {low} and {high}",
        "bandpass {low} to {high} on {line} pls",
        "Apply a {low_cut}-{low}-{high}-{high_cut} Ormsby filter to {line}",
        "Keep only the frequencies from {low} to {high} in {line}",
        "run a trapezoidal bandpass, corners {low_cut} {low} {high} {high_cut}",
        "Take out the ground roll and the high-frequency noise: pass {low} to {high}",
        "zero phase filter of {line}, pass band {low} - {high}",
        "please to filter the section {line} from {low} until {high}",
        "BP {line} {low}/{high}",
        "Could you limit {line} to {low}-{high}? I only trust that range",
        "Cut everything below {low} and above {high}",
    ),
)
def bandpass(
    line: Seismic | Gather | Volume,
    low: Annotated[Hertz, "low end of the pass band"],
    high: Annotated[Hertz, "high end of the pass band"],
    low_cut: Annotated[Hertz, "below this nothing passes"] | None = None,
    high_cut: Annotated[Hertz, "above this nothing passes"] | None = None,
) -> Seismic | Gather | Volume:
    """Every trace filtered by a zero-phase Ormsby trapezoid.

    The response rises linearly from 0 at `low_cut` to 1 at `low`, and falls from 1 at `high` to 0 at `high_cut`. Left out,
    `low_cut` is half of `low` and `high_cut` a quarter above `high`, at most Nyquist. Traces are padded with zeros, so
    nothing wraps around. The pass band, cut to that of earlier filters, is left on the result.
    """
    in_time(line, "a filter in Hz")
    if not low < high:
        raise ValueError(f"need low < high, got {low:g} and {high:g} Hz")
    nyquist = line.nyquist
    for name, corner in (("low", low), ("high", high), ("low_cut", low_cut), ("high_cut", high_cut)):
        if corner is not None and corner > nyquist * (1 + 1e-9):
            hint = f"Use a corner below {nyquist:g} Hz."
            raise Refusal("E_PHYSICS", f"the corner {name} = {corner:g} Hz is above the Nyquist frequency of {nyquist:g} Hz.", hint)
    notes = []
    if low_cut is None or high_cut is None:
        notes.append("corners not given were set: low_cut to half of low, high_cut a quarter above high (at most Nyquist)")
    low_cut = 0.5 * low if low_cut is None else low_cut
    high_cut = min(1.25 * high, nyquist) if high_cut is None else high_cut
    if not low_cut <= low < high <= high_cut:
        raise ValueError(f"need low_cut <= low < high <= high_cut, got {low_cut:g}, {low:g}, {high:g}, {high_cut:g} Hz")
    band = (low, high)
    if line.band is not None:
        band = (max(low, line.band[0]), min(high, line.band[1]))
        if not band[0] < band[1]:
            raise Refusal(
                "E_PHYSICS",
                f"an earlier filter left {line.band[0]:g} to {line.band[1]:g} Hz on these data: {low:g} to {high:g} Hz holds nothing of it.",
                "Filter the unfiltered line instead.",
            )
        if band != (low, high):
            notes.append(f"an earlier filter had left {line.band[0]:g} to {line.band[1]:g} Hz; together they leave {band[0]:g} to {band[1]:g} Hz")
    corners = (low_cut, low, high, high_cut)
    passed = each_trace(line, partial(_filtered, dt=line.dt, corners=corners), f"band-pass {'-'.join(f'{c:g}' for c in corners)} Hz")
    facts = {
        "pass_band": Quantity([float(band[0]), float(band[1])], "Hz", "pass band"),
        "cut_band": Quantity([float(low_cut), float(high_cut)], "Hz", "frequencies beyond which nothing passes"),
        "rms_ratio": Quantity(passed.after / passed.before, "", "rms of the output over rms of the input"),
    }
    return line.made(facts=facts, notes=("zero phase", *notes, *passed.notes), band=(float(band[0]), float(band[1])), **passed.changes)


@tool(
    discipline="seismic",
    stage="processing",
    cost=passing(0.05, 6),
    reference="Yilmaz 2001, Seismic Data Analysis, SEG, section 1.4 (gain applications)",
    truth="each sample over the RMS of its centred window to 1e-5; t^2 to 1e-6",
    say=(
        "Apply AGC with a {window} window to {line}",
        "agc {line} {window}",
        "balance the amplitudes of {line}",
        "The deep part of {line} is too weak to see, boost it",
        "Gain {line} with t to the power {power}",
        "automatic gain control on {line}, window length {window}",
        "apply t^{power} to {line} for spherical spreading",
        "make weak reflections visible with a sliding RMS gain of {window}",
        "please do the gain recovery of {line}, time power {power}",
        "RMS AGC {window} pls",
    ),
)
def gain_agc(
    line: Seismic | Gather | Volume,
    window: Annotated[Seconds, "AGC window length"] = 0.5,
    power: Annotated[float, "n of a t^n gain instead of AGC"] | None = None,
) -> Seismic | Gather | Volume:
    """Traces divided by their RMS in a centred window (AGC), or multiplied by t^n when `power` is given.

    AGC: out = in / rms(window around the sample); at the ends the window holds what there is of it. The scale is positive,
    so signs and zero crossings stay; amplitudes no longer compare from event to event. t^n: t in seconds from time zero.
    """
    if power is not None:
        if not abs(power) <= 10:
            raise ValueError(f"power must lie from -10 to 10, got {power:g}")
        passed = each_trace(line, partial(_gained, t0=line.t0, dt=line.dt, power=power), f"gain t^{power:g}")
        facts = {
            "power": Quantity(float(power), "", "power of time in the gain"),
            "rms_ratio": Quantity(passed.after / passed.before, "", "rms of the output over rms of the input"),
        }
        words = f"multiplied by t^{power:g}, t in s; no AGC: the window of {window:g} s was not used"
        return line.made(facts=facts, notes=(words, *passed.notes), **passed.changes)
    in_time(line, "an AGC window in seconds")
    half = window_samples(line, window, "AGC window") // 2
    passed = each_trace(line, partial(_balanced, half=half), f"AGC, window {window:g} s")
    facts = {
        "window": Quantity(round(float(window), 9), "s", "AGC window"),
        "rms": Quantity(passed.after, "", "rms after AGC"),
        "dead_traces": Quantity(passed.dead, "", "dead traces, left dead"),
    }
    words = "AGC output has an rms near 1: relative amplitudes along a trace are not preserved"
    length = f"the window is centred on its sample: {2 * half + 1} samples, {half * line.dt:g} s either side"
    extra = {} if isinstance(line, Gather) else {"unit": ""}
    return line.made(facts=facts, notes=(words, length, *passed.notes), **passed.changes, **extra)


@tool(
    discipline="seismic",
    stage="processing",
    cost=passing(0.25, 6),
    reference="Peacock and Treitel 1969, Predictive deconvolution: theory and practice, Geophysics 34, 155-169",
    truth="a minimum-phase series gives its spikes back, correlation over 0.98; a water layer's period goes from below -0.4 to within 0.1 "
    "in autocorrelation",
    say=(
        "Deconvolve {line}",
        "spiking decon on {line}, operator {operator}",
        "Run predictive deconvolution with a gap of {lag} and an operator of {operator} on {line}",
        "remove the water-bottom multiple from {line}, period {lag}",
        "sharpen the wavelet of {line}",
        "decon {line} op {operator} gap {lag} noise {noise}",
        "I see ringing in {line}, can you take out the reverberation?",
        "Whiten {line} with a Wiener filter of {operator} and {noise} white noise",
        "gapped decon pls, lag {lag}",
        "please make deconvolution with operator length {operator} for {line}",
    ),
)
def decon(
    line: Seismic | Gather | Volume,
    operator: Annotated[Seconds, "operator length"] = 0.08,
    lag: Annotated[Seconds, "prediction lag (gap)"] | None = None,
    noise: Annotated[Percent, "white noise"] = 0.1,
) -> Seismic | Gather | Volume:
    """Prediction error of every trace: Wiener-Levinson deconvolution, spiking when `lag` is left out (one sample).

    From the autocorrelation r of the whole trace, r[0] raised by `noise`, the filter f solves R f = r[lag:]; the output is
    the trace minus what f predicts `lag` ahead. It assumes a minimum-phase wavelet and a white reflectivity. Each trace
    has its own operator.
    """
    in_time(line, "an operator in seconds")
    samples = _samples(line)
    for name, seconds in (("operator", operator), ("lag", line.dt if lag is None else lag)):
        if seconds < line.dt * (1 - 1e-6):
            raise ValueError(f"the {name} of {seconds:g} s is shorter than one sample of {line.dt:g} s")
    length = window_samples(line, operator, "operator", least=1)
    ahead = 1 if lag is None else round(lag / line.dt)
    if 2 * (ahead + length) > samples:
        record = samples * line.dt
        message = f"lag and operator together are {(ahead + length) * line.dt:g} s long, more than half of the record of {record:g} s."
        raise Refusal("E_PHYSICS", message, "Shorten the operator or the lag.")
    words = f"deconvolution, operator {length * line.dt:g} s, lag {ahead * line.dt:g} s, white noise {noise:g} %"
    passed = each_trace(line, partial(_whitened, length=length, ahead=ahead, noise=noise), words)
    notes = passed.notes
    if abs(operator - length * line.dt) > 1e-3 * line.dt:
        notes = (*notes, f"the operator of {operator:g} s was rounded to {length} samples, {length * line.dt:g} s")
    if lag is not None and abs(lag - ahead * line.dt) > 1e-3 * line.dt:
        notes = (*notes, f"the lag of {lag:g} s was rounded to {ahead} samples, {ahead * line.dt:g} s")
    facts = {
        "operator": Quantity(round(length * line.dt, 9), "s", "operator length"),
        "lag": Quantity(round(ahead * line.dt, 9), "s", "prediction lag"),
        "white_noise": Quantity(float(noise), "%", "white noise"),
        "energy_left": Quantity(100 * (passed.after / passed.before) ** 2, "%", "energy that could not be predicted"),
    }
    kind = "spiking (lag of one sample)" if ahead == 1 else f"predictive, lag {ahead * line.dt:g} s"
    more = [f"{kind}; one operator a trace from its whole length; minimum-phase wavelet assumed"]
    if line.band is not None:
        more.append(f"noise outside the earlier pass band of {line.band[0]:g} to {line.band[1]:g} Hz is raised too: filter again")
    return line.made(facts=facts, notes=(*more, *notes), **passed.changes)


@tool(
    discipline="seismic",
    stage="processing",
    cost=passing(1.5, 12),
    reference="Canales 1984, Random noise reduction, SEG Technical Program Expanded Abstracts, 525-527",
    truth="noisy Teapot from 3.10 to over 9.5 dB; plane events kept within 2 %",
    say=(
        "Attenuate the random noise in {line}",
        "fx decon on {line}",
        "run f-x deconvolution with {filter_length} filter traces and a {window} window",
        "Denoise {line} but keep the reflections",
        "f-x prediction filtering of {line}, window {window}, {traces} traces",
        "clean up {line}, it looks grainy",
        "improve the signal to noise ratio of section {line}",
        "FXDECON {line} twlen {window} ntrw {traces} ntf {filter_length}",
        "please remove incoherent noise from {line}",
        "random noise suppression pls",
    ),
)
def fx_decon(
    line: Seismic | Gather | Volume,
    window: Annotated[Seconds, "time window"] = 0.24,
    filter_length: Annotated[Count, "traces in the prediction filter"] = 4,
    traces: Annotated[Count, "traces in a window"] = 20,
) -> Seismic | Gather | Volume:
    """What is predictable from trace to trace: random noise down, straight events kept.

    In windows overlapping by half, each frequency of a trace is predicted from the `filter_length` traces before and after
    it by one complex least-squares filter, and the two predictions are averaged. Shots are treated one by one, and so are the lines
    of a volume.
    """
    in_time(line, "a time window in seconds")
    hop = window_samples(line, window, "time window", least=4) // 2
    if filter_length < 1 or traces < 2 * filter_length + 1:
        raise ValueError(f"need traces > 2 * filter_length, got {traces} and {filter_length}")
    passed = _prediction(line, hop, filter_length, traces)
    facts = {
        "removed": Quantity(100 * (passed.removed / passed.before) ** 2, "%", "energy removed as noise"),
        "rms_ratio": Quantity(passed.after / passed.before, "", "rms of the output over rms of the input"),
        "window": Quantity(round(2 * hop * line.dt, 9), "s", "time window"),
    }
    words = f"windows of {2 * hop * line.dt:g} s and {traces} traces, filter of {filter_length} traces each way; steep or curved events suffer first"
    return line.made(facts=facts, notes=(words, *passed.notes), **passed.changes)


@tool(
    discipline="seismic",
    stage="processing",
    reference="Yilmaz 2001, Seismic Data Analysis, SEG, chapter 3 (normal moveout, stretch mute, stack)",
    truth="three events stack within one sample, with their amplitudes within 0.03",
    say=(
        "Stack {gather} with {velocity}",
        "NMO correct and stack {gather} at {velocity}",
        "nmo + stack, v={velocity} at t={time}, stretch mute {stretch}",
        "Flatten the hyperbolas in {gather} with velocities {velocity} at times {time} and stack them",
        "make a stack from {gather}, constant velocity {velocity}",
        "Apply normal moveout to {gather} and sum",
        "brute stack of {gather} at {velocity} pls",
        "please stack the CDP gathers {gather} using velocity {velocity}",
        "stack {gather}, mute the stretch above {stretch}",
        "turn the prestack data {gather} into a section, velocity function {time} {velocity}",
    ),
)
def nmo_stack(
    gather: Gather,
    velocity: Annotated[list[Velocity], "stacking velocities"],
    time: Annotated[list[Seconds], "zero-offset times of the velocities"] | None = None,
    stretch: Annotated[Percent, "stretch mute"] = 30,
) -> Seismic:
    """A stacked section: one trace a CDP after hyperbolic moveout, stretch mute and a mean over the live fold.

    t = sqrt(t0^2 + (offset / v(t0))^2), v linear between the `time`s given and constant beyond them; samples stretched by
    more than `stretch`, (t - t0) / t0, are muted. Without CDP numbers the midpoints are binned, and a single shot makes
    one trace.
    """
    data, live, notes = amplitudes(gather)
    v = velocity_function(velocity, time, gather.times)
    bins, x, y, how = _common_midpoints(gather)
    corrected, used = moveout(data, gather.offset, gather.times, v, stretch / 100)
    used &= live[:, None]
    names = np.unique(bins)
    place = np.searchsorted(names, bins)
    total = np.zeros((len(names), data.shape[1]))
    fold = np.zeros((len(names), data.shape[1]))
    np.add.at(total, place, np.where(used, corrected, 0))
    np.add.at(fold, place, used)
    stack = np.divide(total, fold, out=np.zeros_like(total), where=fold > 0).astype(np.float32)
    if not stack.any():
        raise Refusal("E_PHYSICS", f"the stretch mute of {stretch:g} % leaves nothing of these offsets and velocities.", "Raise the stretch.")
    first = np.searchsorted(place, np.arange(len(names)), sorter=(order := np.argsort(place, kind="stable")))
    where = order[first]
    speeds = "lowest and highest stacking velocity" if np.ptp(v) else "stacking velocity"
    facts = {
        "traces": Quantity(len(names), "", "stacked traces"),
        "fold": Quantity(int(fold.max()), "", "largest fold after the stretch mute"),
        "velocity": Quantity([float(v.min()), float(v.max())] if np.ptp(v) else float(v[0]), "m/s", speeds),
        "muted": Quantity(100 * float(1 - used[live].mean()), "%", "samples muted for stretch or beyond the record"),
    }
    return Seismic(
        title=f"stack of {gather.title}".strip(),
        facts=facts,
        notes=(how, f"stretch mute {stretch:g} %", *notes),
        data=stack,
        dt=gather.dt,
        t0=gather.t0,
        polarity=gather.polarity,
        cdp=names.astype(int),
        x=None if x is None else x[where],
        y=None if y is None else y[where],
        crs=gather.crs,
        band=gather.band,
    )


@tool(
    discipline="seismic",
    stage="processing",
    reference="Neidell and Taner 1971, Semblance and other coherency measures for multichannel data, Geophysics 36, 482-497",
    truth="three events, with and without noise: velocity within 1 %, time within one sample; Viking's sea floor at 1438 m/s within 1 %",
    say=(
        "Pick stacking velocities on {gather}",
        "velocity analysis of {gather} from {lowest} to {highest}",
        "velocity semblance for CDP {cdp} of {gather}",
        "what velocity flattens the reflections in {gather}?",
        "make a velan between {lowest} and {highest}",
        "Which NMO velocity does the sea floor in {gather} have?",
        "semblance panel {gather}, v range {lowest}-{highest}, cdp {cdp}",
        "scan velocities on {gather} pls",
        "please analyse the velocity of the gather {gather}",
        "find the best stacking velocity for {gather}",
    ),
)
def velocity_semblance(
    gather: Gather,
    lowest: Annotated[Velocity, "lowest velocity scanned"] = 1400,
    highest: Annotated[Velocity, "highest velocity scanned"] = 5000,
    cdp: Annotated[Number, "CDP to analyse"] | None = None,
) -> Report:
    """Semblance over zero-offset time and stacking velocity, with picks of its peaks.

    Semblance is the energy of the stack over that of the traces in a gate of 36 ms; velocities scan in steps of 0.5 %, and the
    stretch mute is 30 %. A pick sits where the stack is strongest on its peak of semblance, none before the first arrival, where
    the energy of the stack first reaches 1 % of its largest. Without `cdp`, the CDP of the largest fold is taken when that is 8
    or more, else all traces together.
    """
    if not lowest < highest:
        raise ValueError(f"need lowest < highest, got {lowest:g} and {highest:g} m/s")
    data, live, notes = amplitudes(gather)
    chosen, words = _analysis_traces(gather, live, cdp)
    data, offset, times = data[chosen], gather.offset[chosen], gather.times
    if len(data) < 4:
        raise Refusal("E_PHYSICS", f"velocity analysis needs at least 4 live traces, got {len(data)}.", "Take another CDP or all traces.")
    if np.ptp(np.abs(offset)) == 0:
        raise Refusal("E_GEOMETRY", f"all {len(data)} traces have the offset {abs(offset[0]):g} m: there is no moveout to measure.")
    velocities = np.geomspace(lowest, highest, 1 + max(4, round(np.log(highest / lowest) / 0.005)))
    half = max(2, round(0.016 / gather.dt))
    panel, energy = _semblance(data, offset, times, velocities, half)
    heard = energy.max(axis=1)
    start = int(np.argmax(heard >= QUIET * heard.max()))  # above it: mute, water, noise before the first arrival
    audible = np.where(np.arange(len(times))[:, None] < start, 0.0, panel)
    picks = _peaks(audible, energy, max(1, round(0.1 / gather.dt)), 2 * half)
    if not picks:
        raise Refusal("E_DATA", "no event stands out anywhere in the semblance: the gather holds no hyperbola in this velocity range.")
    step = float(np.log(velocities[1] / velocities[0]))
    found = [(float(times[i]), float(velocities[j] * np.exp(step * _vertex(panel[i], j))), float(panel[i, j])) for i, j in picks]
    best = found[0]
    ordered = sorted(found)
    facts = {
        "velocity": Quantity(round(best[1], 2), "m/s", "velocity at the strongest semblance peak"),
        "time": Quantity(round(best[0], 6), "s", "zero-offset time of the strongest semblance peak"),
        "semblance": Quantity(round(best[2], 4), "", "largest semblance"),
        "pick_times": Quantity([round(t, 6) for t, _, _ in ordered], "s", "times of the semblance picks"),
        "pick_velocities": Quantity([round(v, 2) for _, v, _ in ordered], "m/s", "velocities of the semblance picks"),
        "traces": Quantity(len(data), "", "traces analysed"),
    }
    if min(abs(best[1] / lowest - 1), abs(best[1] / highest - 1)) < 0.006:
        notes = (*notes, "the strongest peak lies at the edge of the scan: widen the velocity range")
    elif (edge := int(audible.max(axis=0).argmax())) in (0, len(velocities) - 1):
        at = float(times[int(audible[:, edge].argmax())])
        said = f"semblance is largest at the edge of the scan, {velocities[edge]:g} m/s at {at:.4g} s, and not picked there"
        notes = (*notes, f"{said}: widen the velocity range")
    if start and panel[:start].max() >= 0.5 * audible.max():
        notes = (*notes, f"nothing is picked before {times[start]:.4g} s, where the stack holds less than {100 * QUIET:g} % of its largest energy")
    return Report(
        title=f"velocity analysis of {gather.title}".strip(),
        facts=facts,
        notes=(words, "stacking velocities, not interval velocities; a pick can be a multiple", *notes),
        arrays={
            "time": times,
            "velocity": velocities,
            "semblance": panel,
            "pick_time": np.array([t for t, _, _ in ordered]),
            "pick_velocity": np.array([v for _, v, _ in ordered]),
        },
        drawing="semblance",
        labels={"x": "stacking velocity (m/s)", "y": "two-way time (s)", "colour": "semblance"},
    )


def amplitudes(line: Seismic | Gather) -> tuple[Array, Array, tuple[str, ...]]:
    """((trace, sample) float32 without NaN, (trace,) bool of the live traces, what to note); Refusal when nothing is alive."""
    data = np.asarray(line.data, dtype=np.float32)
    broken = ~np.isfinite(data)
    notes: list[str] = []
    if broken.any():
        if broken.all():
            raise Refusal("E_PHYSICS", f"all {data.size} samples are NaN or infinite.", "Read the file again, or look at its sample format.")
        data = np.where(broken, np.float32(0), data)
        notes.append(f"{int(broken.sum())} NaN or infinite samples in {int(broken.any(axis=1).sum())} traces taken as zero")
    live: Array = np.any(data, axis=1)
    if not live.any():
        raise Refusal("E_PHYSICS", f"all {len(data)} traces are dead (zero).", "Look at the file with trace_qc.")
    if not live.all():
        notes.append(f"{int((~live).sum())} dead traces stay dead")
    return data, live, tuple(notes)


@dataclass(frozen=True)
class Passed:
    """What became of a line: fields that change, rms of its live traces before and after, dead traces, notes."""

    changes: dict[str, Any]
    before: float
    after: float
    dead: int
    notes: tuple[str, ...]
    removed: float = 0.0  # rms of the difference, where it was asked for


def each_trace(line: Seismic | Gather | Volume, kernel: Callable[[Array], Array], words: str) -> Passed:
    """`line` through a kernel that takes (trace, sample) float32 and sees each trace alone; a volume is streamed, `words` in its header."""
    if isinstance(line, Volume):
        changes, totals = trace_by_trace(line, kernel, words)
        return Passed(changes, totals.before, totals.after, totals.dead, totals.notes)
    data, live, notes = amplitudes(line)
    out = kernel(data)
    return Passed({"data": out}, _rms(data, live), _rms(out, live), int((~live).sum()), notes)


def _samples(line: Seismic | Gather | Volume) -> int:
    return line.samples if isinstance(line, Volume) else int(line.data.shape[1])


def in_time(line: Seismic | Gather | Volume, what: str) -> None:
    """Refusal when the section is in depth and `what` needs seconds or hertz."""
    if not isinstance(line, Gather) and line.domain != "time":
        raise Refusal("E_PHYSICS", f"this section is in {line.domain}, sampled every {line.dt:g} m: {what} has no meaning there.")


def window_samples(line: Seismic | Gather | Volume, seconds: float, name: str, least: int = 2) -> int:
    """A window in samples; Refusal when it is shorter than `least` samples or longer than the record."""
    samples = _samples(line)
    count = round(seconds / line.dt)
    if count < least:
        message = f"the {name} of {seconds:g} s is {count} samples of {line.dt:g} s; it needs at least {least}."
        raise Refusal("E_PHYSICS", message, f"Give at least {least * line.dt:g} s.")
    if count > samples:
        message = f"the {name} of {seconds:g} s is longer than the record of {samples * line.dt:g} s."
        raise Refusal("E_PHYSICS", message, "Give a shorter one.")
    return count


def trapezoid(frequency: Array, corners: tuple[float, float, float, float]) -> Array:
    """Ormsby response: 0 below the first corner, 1 between the middle two, 0 above the last, linear between.

    >>> trapezoid(np.array([0, 7.5, 10, 45, 60]), (5, 10, 40, 50)).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    f1, f2, f3, f4 = corners
    rise = np.clip((frequency - f1) / (f2 - f1), 0, 1) if f2 > f1 else (frequency >= f2).astype(float)
    fall = np.clip((f4 - frequency) / (f4 - f3), 0, 1) if f4 > f3 else (frequency <= f3).astype(float)
    return np.asarray(rise * fall)


def velocity_function(velocity: list[float], time: list[float] | None, times: Array) -> Array:
    """(sample,) m/s: linear between the pairs, constant beyond; one velocity needs no time."""
    v = np.atleast_1d(np.asarray(velocity, dtype=float))
    if not len(v) or not np.all(np.isfinite(v)) or np.any(v <= 0):
        raise Refusal("E_PHYSICS", f"velocities must be above zero, got {', '.join(f'{value:g}' for value in v)} m/s.")
    dt = float(times[1] - times[0]) if len(times) > 1 else 0.0
    if time is not None and np.max(time, initial=0.0) > times[-1] + dt * (1 + 1e-6):  # one sample more: the length of the record
        message = f"a velocity is given at {np.max(time):g} s, the record ends at {times[-1]:g} s."
        raise Refusal("E_PHYSICS", message, "Give times in seconds inside the record.")
    if len(v) == 1:
        return np.full(len(times), v[0])
    if time is None:
        raise Missing("time", f"At which zero-offset times (s) do the {len(v)} velocities apply?")
    t = np.atleast_1d(np.asarray(time, dtype=float))
    if len(t) != len(v):
        raise ValueError(f"need one time for each velocity, got {len(t)} times for {len(v)} velocities")
    if np.any(np.diff(t) <= 0):
        raise ValueError(f"times must increase, got {', '.join(f'{value:g}' for value in t)} s")
    return np.interp(times, t, v)


def moveout(data: Array, offset: Array, times: Array, velocity: Array, stretch: float) -> tuple[Array, Array]:
    """(moveout-corrected traces, which samples are live): cubic-spline interpolation at sqrt(t0^2 + (x/v)^2)."""
    from scipy.ndimage import map_coordinates, spline_filter1d

    dt = times[1] - times[0] if len(times) > 1 else 1.0
    coefficients = spline_filter1d(data.astype(np.float64), order=3, axis=1, mode="mirror")
    out = np.zeros(data.shape, np.float32)
    live = np.zeros(data.shape, bool)
    t0 = np.maximum(times, 0.0)
    for i, x in enumerate(np.abs(offset)):
        t = np.sqrt(t0**2 + (x / velocity) ** 2)
        live[i] = (t - t0 <= stretch * t0) & (t <= times[-1]) & (times >= 0)
        wanted = live[i]
        out[i, wanted] = map_coordinates(coefficients[i], [(t[wanted] - times[0]) / dt], order=3, prefilter=False, mode="mirror")
    return out, live


def _filtered(data: Array, dt: float, corners: tuple[float, float, float, float]) -> Array:
    """`data` through the trapezoid, padded by two over its narrower slope so that no tail wraps around."""
    from scipy.fft import irfft, next_fast_len, rfft

    samples = data.shape[1]
    slope = max(min(corners[1] - corners[0], corners[3] - corners[2]), 1 / (samples * dt))
    size = next_fast_len(samples + min(samples, int(2 / (slope * dt))), real=True)
    response = trapezoid(np.fft.rfftfreq(size, dt), corners).astype(np.float32)
    out = np.empty_like(data)
    for start in range(0, len(data), CHUNK):
        spectrum = rfft(data[start : start + CHUNK], size, axis=1)
        spectrum *= response
        out[start : start + CHUNK] = irfft(spectrum, size, axis=1, overwrite_x=True)[:, :samples]
    return out


def _gained(data: Array, t0: float, dt: float, power: float) -> Array:
    """`data` times t^n, zero before time zero."""
    times = t0 + dt * np.arange(data.shape[1])
    scale = np.where(times > 0, np.power(np.where(times > 0, times, 1.0), power), 0.0 if power else 1.0).astype(np.float32)
    return np.asarray(data * scale)


def _balanced(data: Array, half: int) -> Array:
    """`data` over its rms in a window of `half` samples either side."""
    from scipy.ndimage import uniform_filter1d

    samples = data.shape[1]
    sample = np.arange(samples)
    there = np.minimum(sample + half + 1, samples) - np.maximum(sample - half, 0)  # samples in the window, fewer at the ends
    out = np.empty_like(data)
    for start in range(0, len(data), CHUNK):
        part = data[start : start + CHUNK]
        energy = part.astype(np.float64)
        energy *= energy
        mean = uniform_filter1d(energy, 2 * half + 1, axis=1, output=energy, mode="constant")
        mean *= (2 * half + 1) / there
        loudest = mean.max(axis=1, keepdims=True)
        np.copyto(mean, np.inf, where=mean <= 1e-14 * loudest)  # rms below the precision of the samples: silence, not signal
        np.divide(part, np.sqrt(mean, out=mean).astype(np.float32), out=out[start : start + CHUNK])
    return out


def _whitened(data: Array, length: int, ahead: int, noise: float) -> Array:
    """Prediction error of every live trace, filter of `length` samples and lag of `ahead`."""
    from scipy.fft import irfft, next_fast_len, rfft
    from scipy.linalg import LinAlgError, solve_toeplitz

    samples = data.shape[1]
    size = next_fast_len(samples + ahead + length, real=True)
    out = np.zeros_like(data)
    for i in np.flatnonzero(np.any(data, axis=1)):
        spectrum = rfft(data[i].astype(np.float64), size)
        r = irfft(np.abs(spectrum) ** 2, size)[: ahead + length]
        column = r[:length].copy()
        column[0] *= 1 + noise / 100
        try:
            f = solve_toeplitz(column, r[ahead:])
        except LinAlgError as error:
            raise ValueError(f"the autocorrelation of trace {i + 1} is singular: raise noise above {noise:g} %") from error
        error_filter = np.concatenate([[1.0], np.zeros(ahead - 1), -f])
        out[i] = irfft(spectrum * rfft(error_filter, size), size)[:samples]
    return out


def _rms(data: Array, live: Array) -> float:
    """Root mean square of the live traces; the dead ones must be zero."""
    energy = np.einsum("ij,ij->i", data, data)
    if not np.isfinite(energy).all():  # too large for float32
        energy = np.einsum("ij,ij->i", data, data, dtype=np.float64)
    return float(np.sqrt(energy.sum(dtype=np.float64) / (live.sum() * data.shape[1])))


def _running_mean(values: Array, half: int) -> Array:
    """Mean over `half` samples either side along the last axis, of what there is of them at the ends. values: float64."""
    samples = values.shape[-1]
    total = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
    first = np.maximum(np.arange(samples) - half, 0)
    last = np.minimum(np.arange(samples) + half + 1, samples)
    return np.maximum(total[..., last] - total[..., first], 0) / (last - first)


def _ensembles(line: Seismic | Gather) -> list[Array]:
    """The traces that belong side by side: each shot of a gather, all of a section."""
    if isinstance(line, Seismic) or line.shot is None:
        return [np.arange(len(line.data))]
    return [np.flatnonzero(line.shot == shot) for shot in np.unique(line.shot)]


def _prediction(line: Seismic | Gather | Volume, hop: int, filter_length: int, traces: int) -> Passed:
    """f-x prediction of every ensemble: shots, lines of a volume, or all of a section."""
    if isinstance(line, Volume):
        kernel = partial(_lines_without_noise, hop=hop, filter_length=filter_length, traces=traces)
        changes, totals = with_neighbours(line, kernel, f"f-x prediction, {traces} traces, filter {filter_length}", whole_lines=True)
        words = f"along each {line.sorting}, one by one"
        return Passed(changes, totals.before, totals.after, totals.dead, (words, *totals.notes), totals.removed)
    data, live, notes = amplitudes(line)
    parts = _ensembles(line)
    _wide_enough(min(len(part) for part in parts), traces, " in a shot" if len(parts) > 1 else "")
    out = np.zeros_like(data)
    for part in parts:
        out[part] = _without_noise(data[part], hop, filter_length, traces)
    out[~live] = 0
    return Passed({"data": out}, _rms(data, live), _rms(out, live), int((~live).sum()), notes, _rms(data - out, live))


def _wide_enough(smallest: int, traces: int, where: str) -> None:
    if smallest < traces:
        message = f"the window is {traces} traces wide and there are only {smallest}{where}."
        raise Refusal("E_PHYSICS", message, "Give a smaller number of traces, with a shorter filter.")


def _lines_without_noise(block: Block, hop: int, filter_length: int, traces: int) -> tuple[Array, None]:
    """The predictable part of whole lines, each for itself, without the traces that are not there."""
    out = np.zeros_like(block.data)
    for line, there, kept in zip(block.data, block.there, out, strict=True):
        if there.any():
            _wide_enough(int(there.sum()), traces, " in a line")
            kept[there] = _without_noise(line[there], hop, filter_length, traces)
    return out, None


def _without_noise(data: Array, hop: int, filter_length: int, traces: int) -> Array:
    """The predictable part: windows of 2 * `hop` samples and `traces` traces, each overlapping by half."""
    from scipy.fft import irfft, next_fast_len, rfft

    count, samples = data.shape
    length, frames = 2 * hop, -(-samples // hop) + 1
    padded = np.zeros((count, (frames + 1) * hop), np.float32)
    padded[:, hop : hop + samples] = data
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)  # halves sum to one
    size = next_fast_len(2 * length, real=True)
    pieces = np.stack([padded[:, k * hop : k * hop + length] for k in range(frames)])  # (frame, trace, sample)
    spectra = rfft(pieces * hann, size, axis=-1).transpose(0, 2, 1)  # (frame, frequency, trace)
    result = np.zeros_like(spectra)
    weight = np.zeros(count, np.float32)
    for start in sorted({*range(0, count - traces + 1, max(1, traces // 2)), count - traces}):
        taper = (np.minimum(np.arange(traces), np.arange(traces)[::-1]) + 1).astype(np.float32)
        result[..., start : start + traces] += _predicted(spectra[..., start : start + traces], filter_length) * taper
        weight[start : start + traces] += taper
    back = irfft((result / weight).transpose(0, 2, 1), size, axis=-1)[..., :length]
    total = np.zeros_like(padded)
    for k in range(frames):
        total[:, k * hop : k * hop + length] += back[k]
    return total[:, hop : hop + samples]


def _predicted(spectra: Array, length: int) -> Array:
    """Mean of the forward and backward prediction along the last axis, from one least-squares filter each row."""
    count = spectra.shape[-1]
    backward = np.conj(spectra[..., ::-1])  # the same filter predicts the conjugate, read backwards
    lagged, wanted = [], []
    for values in (spectra, backward):
        lagged.append(np.stack([values[..., length - k : count - k] for k in range(1, length + 1)], axis=-1))  # (..., row, lag)
        wanted.append(values[..., length:])
    a = np.concatenate(lagged, axis=-2)
    b = np.concatenate(wanted, axis=-1)[..., None]
    adjoint = np.conj(np.swapaxes(a, -1, -2))
    normal = adjoint @ a
    power = np.real(np.trace(normal, axis1=-2, axis2=-1)) / length
    normal = normal + (1e-3 * power + 1e-30)[..., None, None] * np.eye(length, dtype=np.float32)
    filters = np.linalg.solve(normal, adjoint @ b)
    total = np.zeros_like(spectra)
    hits = np.zeros(count, np.float32)
    total[..., length:] += (lagged[0] @ filters)[..., 0]
    hits[length:] += 1
    total[..., : count - length] += np.conj((lagged[1] @ filters)[..., 0])[..., ::-1]
    hits[: count - length] += 1
    return np.asarray(total / hits)


def _common_midpoints(gather: Gather) -> tuple[Array, Array | None, Array | None, str]:
    """((trace,) bin numbers, x, y of the midpoints, how they were found)."""
    midpoint = None
    if gather.source_x is not None and gather.receiver_x is not None:
        zero = np.zeros(len(gather.data))
        sy, ry = (zero if part is None else part for part in (gather.source_y, gather.receiver_y))
        midpoint = 0.5 * (gather.source_x + gather.receiver_x), 0.5 * (sy + ry)
    x, y = midpoint if midpoint is not None else (None, None)
    if gather.cdp is not None:
        return gather.cdp, x, y, "stacked by CDP number"
    if gather.shot is None or len(np.unique(gather.shot)) == 1:
        return np.ones(len(gather.data), int), x, y, "no CDP numbers: all traces stacked into one"
    if midpoint is None or (np.ptp(midpoint[0]) == 0 and np.ptp(midpoint[1]) == 0):
        raise Refusal("E_GEOMETRY", f"{len(np.unique(gather.shot))} shots without CDP numbers or coordinates cannot be sorted into midpoints.")
    along = np.hypot(midpoint[0] - midpoint[0][0], midpoint[1] - midpoint[1][0]) * np.sign(midpoint[0] - midpoint[0][0] + 1e-9)
    gaps = np.diff(np.unique(np.round(along, 3)))
    width = float(np.median(gaps)) if len(gaps) else 1.0
    bins = np.round((along - along.min()) / width).astype(int) + 1
    return bins, x, y, f"no CDP numbers: midpoints binned every {width:g} m"


def _analysis_traces(gather: Gather, live: Array, cdp: int | None) -> tuple[Array, str]:
    """(indices of the traces to analyse, which they are)."""
    if cdp is not None:
        if gather.cdp is None:
            raise Refusal("E_GEOMETRY", f"these gathers have no CDP numbers; CDP {cdp} cannot be found.", "Leave cdp out to use all traces.")
        chosen = np.flatnonzero((gather.cdp == cdp) & live)
        if not len(chosen):
            message = f"CDP {cdp} is not among the live traces; CDPs run from {int(gather.cdp.min())} to {int(gather.cdp.max())}."
            raise Refusal("E_PHYSICS", message)
        return chosen, f"CDP {cdp}, {len(chosen)} traces"
    if gather.cdp is not None:
        names, fold = np.unique(gather.cdp[live], return_counts=True)
        if len(names) > 1 and fold.max() >= 8:
            best = names[fold == fold.max()]
            name = int(best[len(best) // 2])
            return np.flatnonzero((gather.cdp == name) & live), f"CDP {name} was taken, the middle one of the largest fold ({int(fold.max())})"
    return np.flatnonzero(live), "all traces were analysed together as one gather: true for flat layers"


def _semblance(data: Array, offset: Array, times: Array, velocities: Array, half: int) -> tuple[Array, Array]:
    """((time, velocity) semblance, energy of the stack), both in a gate of `half` samples either side.

    Zero where fewer than a twentieth of the traces (at least 4), or fewer than half of those inside the stretch mute, are live.
    """
    dt = times[1] - times[0]
    norm = np.sqrt(np.mean(np.square(data, dtype=np.float64), axis=1, keepdims=True))
    flat = (data / np.where(norm > 0, norm, 1)).astype(np.float64).ravel()
    x2 = (np.abs(offset).astype(np.float64) ** 2)[:, None]
    t0 = np.maximum(times, 0.0)
    samples, count = len(times), len(data)
    base = (np.arange(count) * samples)[:, None]
    panel = np.zeros((samples, len(velocities)))
    energy = np.zeros_like(panel)
    for j, v in enumerate(velocities):
        t = np.sqrt(t0**2 + x2 / v**2)  # (trace, sample)
        unmuted = t <= 1.3 * t0
        live = unmuted & (t < times[-1])
        at = np.where(live, (t - times[0]) / dt, 0.0)
        index = at.astype(np.int64)
        part = at - index
        index = np.minimum(index, samples - 2) + base
        values = np.where(live, flat[index] * (1 - part) + flat[index + 1] * part, 0.0)
        fold = live.sum(axis=0)
        top = _running_mean(values.sum(axis=0) ** 2, half)
        bottom = _running_mean(fold * (values**2).sum(axis=0), half)
        enough = (fold >= max(4, count // 20)) & (2 * fold >= unmuted.sum(axis=0)) & (bottom > 1e-9)
        panel[:, j] = np.divide(top, bottom, out=np.zeros(samples), where=enough)
        energy[:, j] = np.where(enough, top, 0)
    return panel, energy


def _peaks(panel: Array, energy: Array, apart: int, reach: int) -> list[tuple[int, int]]:
    """Up to 12 peaks, strongest first, at least `apart` samples from each other and above half of the strongest.

    Semblance is flat in time where nothing but the event is heard, so a peak moves up to `reach` samples to the most energy.
    """
    strength, column = panel.max(axis=1).copy(), panel.argmax(axis=1)
    found: list[tuple[int, int]] = []
    top = strength.max()
    while len(found) < 12 and top > 0:
        i = int(strength.argmax())
        if strength[i] < 0.5 * top:
            break
        first = max(0, i - reach)
        best = first + int(energy[first : i + reach + 1, column[i]].argmax())
        found.append((best, int(column[best])))
        for centre in (i, best):
            strength[max(0, centre - apart) : centre + apart + 1] = 0
    inside = [(i, j) for i, j in found if 0 < j < panel.shape[1] - 1]
    return inside or found


def _vertex(row: Array, j: int) -> float:
    """Offset of a parabola's vertex from sample j, between -0.5 and 0.5."""
    if not 0 < j < len(row) - 1:
        return 0.0
    a, b, c = float(row[j - 1]), float(row[j]), float(row[j + 1])
    bend = a - 2 * b + c
    return 0.0 if bend >= 0 else float(np.clip(0.5 * (a - c) / bend, -0.5, 0.5))
