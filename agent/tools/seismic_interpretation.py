"""Attributes, horizons and faults of a section.

All work on what a stack shows, in time or depth where the method allows; attributes also on volumes of any size, chunk by chunk.
Attributes of pre-stack data and maps of many lines are elsewhere.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

import numpy as np

from moho.agent.registry import Cost, tool
from moho.agent.tools.seismic_processing import CHUNK, amplitudes, in_time, passing, window_samples
from moho.errors import Refusal
from moho.survey import Array, Horizon, Seismic, Volume
from moho.units import Count, Number, Quantity, Seconds
from moho.volumes import Block, trace_by_trace, with_neighbours

FAULT_SECONDS = 2.0  # a million samples, at the usual scale
UPRIGHT = 3.0  # deg from the vertical, as drawn: a fault, or the shadow of one in time
SHOWN = 1000  # traces of the section kept for the drawing of a horizon
BLOCK = 32  # traces worked on together: 500 samples of them fit a processor's cache


def _attribute_cost(line: Seismic | Volume, attribute: str, window: float) -> Cost:
    seconds = 0.45 if attribute == "coherence" else 0.15
    return passing(2 * seconds if isinstance(line, Volume) and attribute == "coherence" else seconds, 12)(line)


@tool(
    discipline="seismic",
    stage="interpretation",
    cost=_attribute_cost,
    reference="Taner, Koehler and Sheriff 1979, Complex seismic trace analysis, Geophysics 44, 1041-1063",
    truth="a chirp's frequency within 0.4 Hz, an envelope within 0.005, a phase within 1 degree; coherence over 0.98 on dipping layers",
    say=(
        "Compute the {attribute} of {line}",
        "{attribute} attribute on {line}",
        "show me the {attribute} of section {line}, window {window}",
        "Where is {line} incoherent? run {attribute}",
        "complex trace attribute of {line}: {attribute}",
        "derive {attribute} from {line} pls",
        "please calculate {attribute} in a window of {window} for {line}",
        "bright spots on {line}: compute {attribute}",
        "Make a section of {attribute} from {line}",
        "attribute {attribute}, {line}, {window}",
    ),
)
def attributes(
    line: Seismic | Volume,
    attribute: Literal["envelope", "instantaneous phase", "instantaneous frequency", "rms amplitude", "coherence", "sweetness"],
    window: Annotated[Seconds, "window length"] = 0.04,
) -> Seismic | Volume:
    """The attribute at every sample of the section or volume.

    Envelope and phase (deg) of the analytic trace; instantaneous frequency (Hz) averaged over the window with the energy as weight;
    RMS in the window; coherence, the semblance of five neighbouring analytic traces in the window along the best dip up to
    4 samples a trace, 1 where they agree (Marfurt et al. 1998); in a volume the geometric mean of that along the inline and that along
    the crossline, as Bahorich and Farmer (1995) combine them; sweetness, envelope over the root of instantaneous frequency.
    """
    if attribute not in ("envelope", "instantaneous phase"):
        in_time(line, f"{attribute} in a window of seconds")
    half, floor = 1, max(1.0, 0.02 * line.nyquist)
    notes: tuple[str, ...] = ()
    if attribute in ("instantaneous frequency", "rms amplitude", "coherence", "sweetness"):
        half = max(1, window_samples(line, window, "window") // 2)
        notes = (f"window of {(2 * half + 1) * line.dt:.4g} s",)
    if attribute == "sweetness":
        notes = (f"envelope over the root of instantaneous frequency, no less than {floor:g} Hz", *notes)
    side = max(line.shape[:2]) if isinstance(line, Volume) else len(line.data)
    if attribute == "coherence" and side < 3:
        raise Refusal("E_PHYSICS", f"coherence compares neighbouring traces and there are only {side}.", "Use a section of 3 traces or more.")
    kernel = partial(_attribute, attribute=attribute, half=half, dt=line.dt, floor=floor)
    changes: dict[str, Any]
    if isinstance(line, Volume):
        words = f"{attribute}, half window {half} samples"
        if attribute == "coherence":
            changes, totals = with_neighbours(line, partial(_coherent, half=half), words, reach=2)
            notes = ("geometric mean of the coherence along the inline and along the crossline, five traces each", *notes)
        else:
            changes, totals = trace_by_trace(line, kernel, words)
        notes = (*notes, f"percentiles from {len(totals.values)} samples", *totals.notes)
        mean, low, high, shares = totals.mean, totals.low, totals.high, totals.percentiles(5, 95)
    else:
        data, live, more = amplitudes(line)
        out, heard = (_coherence(_analytic(data), live, half), _heard(data, half)) if attribute == "coherence" else kernel(data)
        out = np.where(heard, out, 0).astype(np.float32)
        values = out[heard]
        notes, changes = (*notes, *more), {"data": out}
        mean, low, high = float(values.mean(dtype=np.float64)), float(values.min()), float(values.max())
        shares = [float(p) for p in np.percentile(values, [5, 95])]
    unit = {"envelope": line.unit, "rms amplitude": line.unit, "instantaneous phase": "deg", "instantaneous frequency": "Hz"}.get(attribute, "")
    facts = {
        "mean": Quantity(mean, unit, f"mean {attribute}"),
        "range": Quantity([low, high], unit, f"{attribute} range"),
        "percentiles": Quantity(shares, unit, f"5 and 95 % of the {attribute}"),
    }
    title = f"{attribute} of {line.title}".strip()
    return line.made(facts=facts, notes=notes, title=title, quantity=attribute, unit=unit, band=None, **changes)


@tool(
    discipline="seismic",
    stage="interpretation",
    reference="Hale 2013, Dynamic warping of seismic images, Geophysics 78, S105-S115 (path of largest similarity by dynamic programming)",
    truth="dipping layers, with and without noise: within one sample at every trace; Teapot's anticline within 12 ms",
    say=(
        "Track the horizon at {time} on CDP {cdp} of {line}",
        "autotrack {line} from cdp {cdp}, {time}",
        "Follow the reflector through CDP {cdp} at {time} along {line}",
        "pick the event at {time}, trace {cdp}, on {line}",
        "interpret the horizon starting at {cdp} / {time}",
        "horizon tracking {line} seed {cdp} {time} window {window}",
        "please trace the reflection at {time} of CDP {cdp} over the whole line",
        "I clicked CDP {cdp}, {time}: snap and track that peak",
        "where does the reflector at cdp {cdp} and {time} go?",
        "grow a horizon from seed ({cdp}, {time}) on {line} pls",
    ),
)
def track_horizon(
    line: Seismic,
    cdp: Annotated[Number, "seed CDP"],
    time: Annotated[Seconds, "seed time"],
    window: Annotated[Seconds, "correlation half window"] = 0.04,
) -> Horizon:
    """The reflector through a seed, followed to both ends of the section as the path of largest waveform similarity.

    The seed snaps to the nearest peak or trough within `window`; neighbouring traces are compared in a window of that much either
    side, steps are guided by the local dip (gradient structure tensor) and reach up to half a window a trace. Tracking ends
    where five traces running correlate below 0.4, and where the reflectors within three windows of the track do not match from one
    side of a trace to the other (correlation below 0.5), or match better shifted: a fault of more throw than the track can step over.
    Each pick is moved to the peak or trough itself, between samples. The horizon's confidence is, trace by trace, the correlation of
    the waveform about the pick with that about the seed, 0 where it is negative or nothing was tracked.
    """
    in_time(line, "a seed in seconds")
    data, live, notes = amplitudes(line)
    count, samples = data.shape
    seed = _seed_trace(line, cdp, live)
    start = (time - line.t0) / line.dt
    if not 0 <= start <= samples - 1:
        message = f"the seed at {time:g} s lies outside the section, which runs from {line.t0:g} to {line.times[-1]:g} s."
        raise Refusal("E_PHYSICS", message, "Give a time inside it.")
    half = window_samples(line, window, "correlation window")
    first, sign, words = _snapped(data[seed], round(start), half, line)
    reach = max(2, half // 2)
    slope = np.clip(_slopes(data, (4, 4)), -reach, reach)
    similarity = _similarity(data, half, reach)  # (shift, pair, sample)
    crest = np.clip(sign * data / np.sqrt(2 * np.maximum(_smoothed(data * data, 2 * half), 1e-30)), -1, 1)
    reward = 0.2 * _against(data, data[seed], first, half) + 0.3 * crest
    path, score = np.full(count, first), np.zeros(count)
    for side in (1, -1):
        _follow(path, score, seed, side, similarity, slope, reward, reach)
    confidence = np.clip(score, 0, 1)
    confidence[seed] = 1
    at = np.array([_refined(data[i], path[i], sign) for i in range(count)])
    kept = _continuous(confidence, seed)
    kept, breaks = _unbroken(data, at, kept, seed, half, live)
    kept &= live
    track = np.where(kept, line.t0 + line.dt * at, np.nan)
    alike = np.where(kept, np.clip(_seed_likeness(data, at, seed, half), 0, 1), 0.0)
    number = np.flatnonzero(kept)
    dip = float(np.polyfit(number, track[kept], 1)[0]) if len(number) > 1 else 0.0
    weakest, least = int(number[confidence[kept].argmin()]), int(number[alike[kept].argmin()])
    ended = int(number[0]) - 1 if number[0] > 0 else None, int(number[-1]) + 1 if number[-1] < count - 1 else None
    facts = {
        "time_range": Quantity([round(float(track[kept].min()), 6), round(float(track[kept].max()), 6)], "s", "horizon time range"),
        "mean_time": Quantity(round(float(track[kept].mean()), 6), "s", "mean horizon time"),
        "tracked": Quantity(round(100 * float(kept.mean()), 3), "%", "share of the traces tracked"),
        "dip": Quantity(round(1000 * dip, 5), "ms/trace", "mean dip of the horizon, positive down towards the last trace"),
        "seed_time": Quantity(round(float(track[seed]), 6), "s", "seed time after snapping"),
        "confidence": Quantity(round(float(confidence[kept].mean()), 4), "", "correlation between neighbouring traces, mean over the traces tracked"),
        "seed_correlation": Quantity(round(float(alike[kept].mean()), 4), "", "correlation with the waveform of the seed, mean over those tracked"),
        "lowest_correlation": Quantity(round(float(alike[least]), 4), "", "lowest correlation with the waveform of the seed"),
        "lowest_cdp": Quantity(int(line.numbers[least]), "", "CDP of the lowest correlation with the seed"),
        "tracked_cdps": Quantity([int(line.numbers[i]) for i in number[[0, -1]]], "", "first and last CDP tracked"),
    }
    for edge, beyond in zip(("before", "after"), ended, strict=True):
        if beyond is not None:
            facts[f"broken_{edge}"] = Quantity(int(line.numbers[beyond]), "", f"nearest CDP not tracked, {edge} the horizon")
    if line.dx:
        facts["gradient"] = Quantity(round(1e6 * dip / line.dx, 5), "ms/km", "mean dip of the horizon over distance")
    more = [words]
    if confidence[weakest] < 0.6:
        place = f"{confidence[weakest]:.2f} at CDP {int(line.numbers[weakest])} (mean over the traces {confidence[kept].mean():.2f})"
        more.append(f"correlation between neighbouring traces is lowest, {place}: look there for a fault or a jump of event")
    if len(number) < count:
        span = [int(n) for n in line.numbers[number[[0, -1]]]]
        why = "neighbours no longer match, or a trace is dead"
        gone = [int(line.numbers[i]) for i in ended if i is not None]
        where = f"not at CDP {' nor at '.join(map(str, gone))} and beyond" if gone else "traces between them are left out"
        more.append(f"tracked from CDP {span[0]} to {span[1]}, {where}: {why}")
    if alike[least] < 0.5:
        place = f"{alike[least]:.2f} at CDP {int(line.numbers[least])}"
        more.append(f"the waveform is no longer the seed's: correlation {place}, {alike[kept].mean():.2f} on average; it may be another event there")
    for i, shift, match in breaks:
        words = f"lost at CDP {int(line.numbers[i])}: the reflectors beyond do not match those before"
        if match > 0.7 and abs(shift) > 2:
            words += f"; {abs(shift) * line.dt:.3f} s {'deeper' if shift > 0 else 'shallower'} they do (correlation {match:.2f}), as beyond a fault"
        more.append(words)
    return Horizon(
        title=f"horizon of {line.title} at CDP {cdp}, {time:g} s".strip(),
        facts=facts,
        notes=(*more, *notes),
        time=track,
        domain=line.domain,
        cdp=line.numbers,
        x=line.x,
        y=line.y,
        confidence=alike,
        view={"section": _about(line, data, track)},
    )


def _about(line: Seismic, data: Array, track: Array) -> dict[str, Any]:
    """For the drawing: the section about the horizon, a tenth of a second or its own relief to either side, at most SHOWN traces."""
    room = max(0.1, 0.5 * float(np.nanmax(track) - np.nanmin(track)))
    first = int(np.searchsorted(line.times, float(np.nanmin(track)) - room))
    last = int(np.searchsorted(line.times, float(np.nanmax(track)) + room))
    step = -(-len(data) // SHOWN)
    return {"cdp": line.numbers[::step].copy(), "time": line.times[first:last].copy(), "data": data[::step, first:last].astype(np.float32)}


@tool(
    discipline="seismic",
    stage="interpretation",
    cost=passing(FAULT_SECONDS, 30),
    reference="Hale 2013, Methods to compute fault images, extract fault surfaces, and estimate fault throws, Geophysics 78, O33-O43",
    truth="planted faults within 3 traces and 2 degrees of dip, area under the curve over 0.98; none on unfaulted layers",
    say=(
        "Find the faults in {line}",
        "fault likelihood of {line}",
        "Where are the faults on {line}?",
        "run fault detection on {line} with a scale of {scale} samples",
        "compute fault likelihood, scale {scale}",
        "map discontinuities along section {line}",
        "please detect faults in the seismic {line}",
        "any faulting on {line}? give me CDPs and dips",
        "fault imaging {line} scale {scale} pls",
        "highlight breaks in the reflectors of {line}",
    ),
)
def fault_likelihood(line: Seismic | Volume, scale: Annotated[Count, "smoothing along the fault, samples"] = 8) -> Seismic | Volume:
    """Fault likelihood of every sample, 0 to 1, and the strongest faults.

    Semblance of five traces along the local dip, its two sums smoothed along trial fault planes by a Gaussian of `scale` samples;
    the plane of least semblance s counts. The likelihood is 1 - (s / m)^8 where s lies three or more standard deviations below m,
    its mean along the layer, and less in proportion below that: a noisy layer is no fault, nor is
    anything where m is below 0.4. Faults are ridges longer than five times `scale`, 0.65 high in the mean, each fitted by a straight line.
    In two-way time the pull-up or push-down under a slanting fault breaks reflectors along upright lines below its tip (fault shadow),
    often more sharply than the fault does: upright faults are named in the notes, and only their upper end is to be believed.
    A volume is worked on line by line, inlines or what its file is sorted by, each as a section of its own.
    """
    what = f"faults found on the {line.sorting}s, each counted on every line it crosses" if isinstance(line, Volume) else "faults found"
    count, samples = (_run(line), line.samples) if isinstance(line, Volume) else line.data.shape
    if count < 8 or samples < 4 * scale:
        message = f"a section of {count} traces and {samples} samples is too small for faults at a scale of {scale} samples."
        raise Refusal("E_PHYSICS", message, f"It needs 8 traces and {4 * scale} samples.")
    changes: dict[str, Any]
    if isinstance(line, Volume):
        changes, totals = with_neighbours(line, partial(_faulted, scale=scale), f"fault likelihood, scale {scale} samples", whole_lines=True)
        seen = [each for chunk in totals.more for each in chunk]
        sticks = sorted((tuple(stick) for each in seen for stick in each["faults"]), key=lambda fault: (-fault[1], fault[0], fault[2]))
        medians = [each["semblance"] for each in seen if each["semblance"] is not None]
        largest, usual, notes = totals.high, float(np.median(medians)) if medians else 1.0, totals.notes
        if short := sum(each["semblance"] is None for each in seen):
            notes = (f"{short} lines of fewer than 8 traces, or without a live one, have no likelihood", *notes)
    else:
        data, live, notes = amplitudes(line)
        likelihood, usual, faults = _likelihood(data, live, scale)
        changes, largest = {"data": likelihood}, float(likelihood.max())
        sticks = [(0, strength, float(np.interp(place, np.arange(count), line.numbers)), *rest) for strength, place, *rest in faults]
    facts = {
        "faults": Quantity(len(sticks), "", what),
        "largest": Quantity(round(largest, 4), "", "largest fault likelihood"),
        "semblance": Quantity(round(usual, 4), "", "median semblance along the reflectors"),
    }
    if sticks:
        number, _, at, middles, leans, lengths = zip(*sticks[:8], strict=True)
        unit = "s" if line.domain == "time" else "m"
        if len(sticks) > 8:
            notes = (f"the 8 strongest of {len(sticks)} faults are listed, and {len(sticks) - 8} more were found", *notes)
        if isinstance(line, Volume):
            facts["fault_line"] = Quantity(list(number), "", f"{line.sorting} of the strongest faults")
        facts["fault_cdp"] = Quantity([round(value) for value in at], "", "CDP of the strongest faults at their middle")
        middle = [round(float(line.times[m]), 4) for m in middles]
        facts["fault_time"] = Quantity(middle, unit, f"middle {line.domain} of the strongest faults")
        dx = _spacing(line)
        true = line.domain == "depth" and dx is not None
        ratio = (line.dt / dx) if true and dx else 1.0
        dips = [float(np.degrees(np.arctan2(ratio, lean))) for lean in leans]
        facts["fault_dip"] = Quantity([round(d, 1) for d in dips], "deg", "dip of the strongest faults")
        how = "true" if true else "as drawn with a trace as wide as a sample"
        notes = (f"fault dips are {how}: below 90 deg down towards the last trace, above 90 deg down towards the first", *notes)
        upright = [round(value) for value, dip, length in zip(at, dips, lengths, strict=True) if abs(dip - 90) < UPRIGHT and length >= 20 * scale]
        if upright and line.domain == "time":
            said = f"upright over a long time: CDP {', '.join(map(str, upright))}; a velocity shadow below the tip of a slanting fault looks the same"
            notes = (f"{said}: trust the upper end, and look beside it for a weaker slanting break, or take a depth section", *notes)
        facts["fault_length"] = Quantity([round(length * line.dt, 4) for length in lengths], unit, "vertical extent of the strongest faults")
    words = f"scale {scale} samples; likelihood compares a place with its own layer; a narrow noisy zone shows up as a fault does"
    if isinstance(line, Volume):
        notes = (f"{line.sorting} by {line.sorting}: a fault that runs along the {line.sorting}s is not seen", *notes)
    title = f"fault likelihood of {line.title}".strip()
    return line.made(facts=facts, notes=(words, *notes), title=title, quantity="fault likelihood", unit="", band=None, **changes)


def _run(volume: Volume) -> int:
    """Traces of a complete line."""
    return volume.shape[1] if volume.sorting == "inline" else volume.shape[0]


def _spacing(line: Seismic | Volume) -> float | None:
    """Metres between the traces of a line."""
    if isinstance(line, Seismic):
        return line.dx
    return None if line.bin_size is None else line.bin_size[1 if line.sorting == "inline" else 0]


def _faulted(block: Block, scale: int) -> tuple[Array, Array, list[dict[str, Any]]]:
    """(likelihood, where it counts, what was seen on each line) of the lines of a block, each by the traces it has."""
    out, heard, seen = np.zeros(block.data.shape, np.float32), np.zeros(block.data.shape, bool), list[dict[str, Any]]()
    for number, line, live, there, made, counts in zip(block.lines, block.data, block.live, block.there, out, heard, strict=True):
        if there.sum() < 8 or not live[there].any():
            seen.append({"semblance": None, "faults": []})
            continue
        traces = np.flatnonzero(there)
        traces = traces[np.argsort(block.places[traces], kind="stable")]  # as a section has them that is read from the file
        made[traces], usual, faults = _likelihood(line[traces], live[traces], scale)
        counts[traces], cdp = live[traces, None], block.places[traces]
        sticks = [(int(number), strength, float(np.interp(place, np.arange(len(cdp)), cdp)), *rest) for strength, place, *rest in faults]
        seen.append({"semblance": usual, "faults": sticks})
    return out, heard, seen


def _likelihood(data: Array, live: Array, scale: int) -> tuple[Array, float, list[tuple[float, float, int, float, int]]]:
    """(likelihood, median semblance, faults as `_faults` has them) of a section."""
    from scipy.ndimage import maximum_filter

    top, bottom = _along_dip(_analytic(data), _slopes(data, (6, 6)), live)
    semblance = np.full(data.shape, np.inf, np.float32)
    padded = [np.pad(part, 2 * scale, mode="edge") for part in (top, bottom)]
    for lean in np.linspace(-1, 1, 17):  # traces a sample
        smooth = [_along_fault(part, lean, scale) for part in padded]
        semblance = np.minimum(semblance, smooth[0] / np.maximum(smooth[1], 1e-12 * bottom.max() + 1e-30))
    muted = _smoothed(np.abs(data), 4) == 0
    heard = ~maximum_filter(muted, (9, 2 * scale + 1)) & live[:, None]  # a mute and its edge are no faults
    usual = float(np.median(semblance[heard])) if heard.any() else 1.0
    around, spread = _surroundings(np.where(heard, semblance, usual), scale)
    stands_out = np.clip((around - semblance) / (3 * spread + 0.03), 0, 1) * np.clip((around - 0.4) / 0.2, 0, 1)
    likelihood = np.where(heard, np.clip(1 - (semblance / around) ** 8, 0, 1) * stands_out, 0).astype(np.float32)
    likelihood[[0, 1, -2, -1]] = 0  # fewer than five traces
    return likelihood, usual, _faults(likelihood, scale)


def _heard(data: Array, half: int) -> Array:
    """(trace, sample) bool: where there is something to measure, not in dead traces and mutes."""
    return np.asarray(_smoothed(np.abs(data), max(half, 4)) > 0)


def _attribute(data: Array, attribute: str, half: int, dt: float, floor: float) -> tuple[Array, Array]:
    """(attribute, where it counts) of traces, each for itself; sweetness takes frequencies below `floor` for it."""
    heard = _heard(data, half)
    if attribute == "rms amplitude":
        out = np.sqrt(_smoothed(data * data, half))
    else:
        analytic = _analytic(data)
        if attribute == "envelope":
            out = np.abs(analytic)
        elif attribute == "instantaneous phase":
            out = np.degrees(np.angle(analytic))
        else:
            out = _instantaneous_frequency(analytic, dt, half)
            if attribute == "sweetness":
                out = np.abs(analytic) / np.sqrt(np.maximum(out, floor))
    return np.where(heard, out, 0).astype(np.float32), heard


def _coherent(block: Block, half: int) -> tuple[Array, Array]:
    """(coherence, where it counts) of the core of a block of a volume."""
    slow, fast = block.core
    whole = np.stack([_analytic(line) for line in block.data])
    product = np.ones(block.data[slow, fast].shape, np.float32)
    directions = 0
    if whole.shape[1] > 2:
        directions += 1
        for n, i in enumerate(range(slow.start, slow.stop)):
            product[n] *= _coherence(whole[i], block.live[i], half, fast)[fast]
    if whole.shape[0] > 2:
        directions += 1
        for n, j in enumerate(range(fast.start, fast.stop)):
            product[:, n] *= _coherence(whole[:, j], block.live[:, j], half, slow)[slow]
    heard = np.stack([_heard(line, half) for line in block.data[slow, fast]])
    return np.where(heard, np.sqrt(product) if directions == 2 else product, 0), heard


def _analytic(data: Array) -> Array:
    """(trace, sample) complex64: the trace and its Hilbert transform."""
    from scipy.fft import fft, ifft, next_fast_len

    samples = data.shape[1]
    size = next_fast_len(samples + min(samples, 128))
    step = np.zeros(size, np.float32)
    step[0] = 1
    step[1 : (size + 1) // 2] = 2
    if size % 2 == 0:
        step[size // 2] = 1
    out = np.empty(data.shape, np.complex64)
    for start in range(0, len(data), CHUNK):
        out[start : start + CHUNK] = ifft(fft(data[start : start + CHUNK], size, axis=1) * step, axis=1)[:, :samples]
    return out


def _smoothed(values: Array, half: int) -> Array:
    """Mean over `half` samples either side along the last axis, zero at least; float64 inside."""
    from scipy.ndimage import uniform_filter1d

    return np.asarray(np.maximum(uniform_filter1d(values, 2 * half + 1, axis=-1, output=np.float64, mode="nearest"), 0))


def _instantaneous_frequency(analytic: Array, dt: float, half: int) -> Array:
    """Hz: the phase of z[n+1] z*[n], summed over the window before the angle is taken, so energy is the weight."""
    turn = analytic[:, 1:] * np.conj(analytic[:, :-1])
    middle = np.empty(analytic.shape, np.complex64)
    middle[:, 1:-1] = 0.5 * (turn[:, 1:] + turn[:, :-1])
    middle[:, 0], middle[:, -1] = turn[:, 0], turn[:, -1]
    from scipy.ndimage import uniform_filter1d

    real = uniform_filter1d(middle.real, 2 * half + 1, axis=1, output=np.float64, mode="nearest")
    imaginary = uniform_filter1d(middle.imag, 2 * half + 1, axis=1, output=np.float64, mode="nearest")
    frequency = np.arctan2(imaginary, real) / (2 * np.pi * dt)
    return np.asarray(np.where(np.hypot(real, imaginary) > 0, np.maximum(frequency, 0), 0))


def _coherence(analytic: Array, live: Array, half: int, wanted: slice = slice(None)) -> Array:
    """Semblance of five traces, the best of dips from -4 to 4 samples a trace; zero outside the traces that are wanted."""
    count, samples = analytic.shape
    fold = sum(live[np.clip(np.arange(count) + k, 0, count - 1)].astype(np.float32) for k in range(-2, 3))
    widest = 8 + half  # samples: two traces off at the steepest dip, and the window
    best = np.zeros(analytic.shape, np.float32)
    largest = np.float32(max(np.abs(analytic.real).max(), np.abs(analytic.imag).max()) or 1)
    largest = np.exp2(np.ceil(np.log2(largest)))  # a power of two: what is elsewhere on the line does not change a digit here
    first, last, _ = wanted.indices(count)
    for start in range(first, last, BLOCK):
        stop = min(last, start + BLOCK)
        whole = analytic[np.clip(np.arange(start - 2, stop + 2), 0, count - 1)]
        whole = np.pad(whole / largest, ((0, 0), (widest, widest + 1)), mode="edge")
        sources = [_parts(part, half) for part in (whole, 0.5 * (whole[:, :-1] + whole[:, 1:]))]
        best[start:stop] = _best_semblance(sources, np.asarray(fold)[start:stop, None], samples, half)
    return np.minimum(best, 1)


def _parts(analytic: Array, half: int) -> tuple[Array, Array, Array]:
    """(real part, imaginary part, power averaged over the window), float32."""
    from scipy.ndimage import uniform_filter1d

    real, imaginary = np.ascontiguousarray(analytic.real), np.ascontiguousarray(analytic.imag)
    return real, imaginary, np.maximum(uniform_filter1d(real * real + imaginary * imaginary, 2 * half + 1, axis=1, mode="nearest"), 0)


def _best_semblance(sources: list[tuple[Array, Array, Array]], fold: Array, samples: int, half: int) -> Array:
    """Largest semblance over dips; `sources`: the padded parts at whole samples and half way between them."""
    from scipy.ndimage import uniform_filter1d

    best = np.zeros((len(fold), samples + 2 * half), np.float32)
    sums = np.empty((3, *best.shape), np.float32)
    real, imaginary, energy = sums
    for dip in np.arange(-4, 4.25, 0.5):
        sums[:] = 0
        for k in range(-2, 3):
            low = int(np.floor(dip * k))
            place = slice(2 + k, 2 + k + len(fold)), slice(8 + low, 8 + low + best.shape[1])
            for total, part in zip(sums, sources[int(dip * k != low)], strict=True):
                total += part[place]
        real *= real
        imaginary *= imaginary
        real += imaginary
        uniform_filter1d(real, 2 * half + 1, axis=1, output=imaginary, mode="nearest")
        energy *= fold
        energy += np.float32(1e-30)
        imaginary /= energy
        np.maximum(best, imaginary, out=best)
    return best[:, half : half + samples]


def _slopes(data: Array, smooth: tuple[float, float]) -> Array:
    """(trace, sample) dip in samples a trace, positive down to the right: principal direction of the gradient structure tensor."""
    from scipy.ndimage import gaussian_filter, gaussian_filter1d

    soft = gaussian_filter1d(data, 1.0, axis=1)
    across, down = np.gradient(soft, axis=0), np.gradient(soft, axis=1)
    xx, tt, xt = (gaussian_filter(part, smooth, mode="nearest") for part in (across * across, down * down, across * down))
    # the direction along which the gradient is least: tan of it from the doubled angle
    angle = 0.5 * np.arctan2(2 * xt, tt - xx)  # of the gradient, from the vertical
    return np.asarray(np.clip(-np.tan(np.clip(angle, -1.5, 1.5)), -8, 8), dtype=np.float32)


def _along_dip(analytic: Array, slope: Array, live: Array) -> tuple[Array, Array]:
    """(energy of the stack of five traces along the dip, five times the energy of the traces)."""
    count, samples = analytic.shape
    total = np.zeros_like(analytic)
    energy = np.zeros(analytic.shape, np.float32)
    fold = np.zeros((count, 1), np.float32)
    base = np.arange(samples, dtype=np.float32)
    for k in range(-2, 3):
        rows = np.clip(np.arange(count) + k, 0, count - 1)
        at = np.clip(base + k * slope, 0, samples - 1.001)
        low = at.astype(np.int32)
        part = at - low
        values = analytic[rows]
        shifted = np.take_along_axis(values, low, 1) * (1 - part) + np.take_along_axis(values, low + 1, 1) * part
        total += shifted
        energy += shifted.real**2 + shifted.imag**2
        fold[:, 0] += live[rows]
    return total.real**2 + total.imag**2, np.asarray(energy * np.maximum(fold, 1))


def _along_fault(padded: Array, lean: float, scale: int) -> Array:
    """Gaussian mean along a line that moves `lean` traces a sample; `padded` by twice `scale` on every side."""
    room = 2 * scale
    count, samples = padded.shape[0] - 2 * room, padded.shape[1] - 2 * room
    out = np.zeros((count, samples), padded.dtype)
    product = np.empty((BLOCK, samples), padded.dtype)
    steps = range(-room, room + 1, max(1, scale // 4))
    taps = [(room + round(lean * j), room + j, np.float32(np.exp(-0.5 * (j / scale) ** 2))) for j in steps]
    for start in range(0, count, BLOCK):  # a block stays in the cache
        part = out[start : start + BLOCK]
        for row, column, weight in taps:
            values = padded[row + start : row + start + len(part), column : column + samples]
            part += np.multiply(values, weight, out=product[: len(part)])
    return out


def _surroundings(semblance: Array, scale: int) -> tuple[Array, Array]:
    """(mean, standard deviation) of the semblance along the layer, in a Gaussian of 30 traces by half of `scale` samples."""
    from scipy.ndimage import gaussian_filter

    smooth = (min(30.0, len(semblance) / 6), max(1.0, scale / 2))
    mean = gaussian_filter(semblance, smooth, mode="nearest", output=np.float64)
    square = gaussian_filter(semblance.astype(np.float64) ** 2, smooth, mode="nearest")
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def _faults(likelihood: Array, scale: int) -> list[tuple[float, float, int, float, int]]:
    """[(strength, trace at its middle, middle sample, lean in traces a sample, length in samples)], strongest first."""
    from scipy.ndimage import maximum_filter1d
    from skimage.measure import label, regionprops

    ridge = (likelihood >= maximum_filter1d(likelihood, 5, axis=0)) & (likelihood > 0.25)
    joined = label(maximum_filter1d(ridge.astype(np.uint8), 3, axis=0), connectivity=2)
    found = []
    for region in regionprops(np.where(ridge, joined, 0)):
        trace, sample = region.coords.T
        length = int(np.ptp(sample)) + 1
        if length < 5 * scale:
            continue
        weight = likelihood[trace, sample].astype(float)
        if weight.mean() < 0.65:
            continue
        lean, _ = np.polyfit(sample, trace, 1, w=weight)
        middle = 0.5 * (sample.min() + sample.max())
        place = np.average(trace - lean * (sample - middle), weights=weight)
        found.append((float(weight.sum()), float(place), round(middle), float(lean), length))
    return sorted(found, key=lambda fault: -fault[0])


def _seed_trace(line: Seismic, cdp: int, live: Array) -> int:
    numbers = np.asarray(line.numbers)
    at = np.flatnonzero(numbers == cdp)
    if not len(at):
        if not numbers.min() <= cdp <= numbers.max():
            message = f"CDP {cdp} lies outside the section, which runs from CDP {int(numbers.min())} to {int(numbers.max())}."
            raise Refusal("E_PHYSICS", message, "Give a CDP inside it.")
        near = sorted({int(n) for n in numbers}, key=lambda n: (abs(n - cdp), n))[:2]
        raise ValueError(f"there is no CDP {cdp} on this section; the nearest are {near[0]} and {near[-1]}")
    if not live[at[0]]:
        raise Refusal("E_PHYSICS", f"the trace at CDP {cdp} is dead: nothing can be tracked from it.", "Take a seed on a live trace.")
    return int(at[0])


def _snapped(trace: Array, start: int, half: int, line: Seismic) -> tuple[int, int, str]:
    """(sample of the nearest peak or trough, its sign, what was done); the larger of two equally near."""
    inner = np.arange(1, len(trace) - 1)
    turning = inner[((trace[inner] > trace[inner - 1]) & (trace[inner] >= trace[inner + 1])) & (trace[inner] > 0)
                    | ((trace[inner] < trace[inner - 1]) & (trace[inner] <= trace[inner + 1])) & (trace[inner] < 0)]  # fmt: skip
    near = turning[np.abs(turning - start) <= half]
    if not len(near):
        seconds = line.t0 + line.dt * start
        raise Refusal("E_DATA", f"no peak or trough lies within {half * line.dt:g} s of the seed at {seconds:g} s.", "Seed on a reflection.")
    best = int(min(near, key=lambda n: (abs(n - start), -abs(trace[n]))))
    sign = 1 if trace[best] > 0 else -1
    return best, sign, f"seed snapped to the {'peak' if sign > 0 else 'trough'} at {line.t0 + line.dt * best:.4g} s"


def _similarity(data: Array, half: int, reach: int) -> Array:
    """(shift, pair, sample): correlation of trace i around a sample with trace i + 1 around the sample shifted."""
    count, samples = data.shape
    energy = np.sqrt(_smoothed(data * data, half))
    out = np.zeros((2 * reach + 1, max(count - 1, 0), samples), np.float32)
    for n, shift in enumerate(range(-reach, reach + 1)):
        at = np.arange(samples) + shift
        inside = (at >= 0) & (at < samples)
        clipped = np.clip(at, 0, samples - 1)
        product = data[:-1] * data[1:][:, clipped]
        from scipy.ndimage import uniform_filter1d

        top = uniform_filter1d(product, 2 * half + 1, axis=-1, output=np.float64, mode="nearest")
        bottom = energy[:-1] * energy[1:][:, clipped]
        out[n] = np.where(inside, np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0), -1)
    return np.clip(out, -1, 1)


def _against(data: Array, trace: Array, centre: int, half: int) -> Array:
    """(trace, sample) correlation with the waveform of the seed."""
    from scipy.ndimage import correlate1d

    model = np.zeros(2 * half + 1)
    low, high = max(0, centre - half), min(len(trace), centre + half + 1)
    model[low - centre + half : high - centre + half] = trace[low:high]
    model /= np.sqrt(np.sum(model**2)) or 1.0
    top = correlate1d(data, model, axis=1, output=np.float64, mode="constant")
    bottom = np.sqrt(_smoothed(data * data, half) * (2 * half + 1))
    return np.asarray(np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0))


def _seed_likeness(data: Array, at: Array, seed: int, half: int) -> Array:
    """(trace,) correlation of the waveform about the track, between samples, with that about the seed."""
    samples = data.shape[1]
    place = np.clip(at[:, None] + np.arange(-half, half + 1), 0, samples - 1.001)
    low = place.astype(int)
    part, row = place - low, np.arange(len(data))[:, None]
    waves = data[row, low] * (1 - part) + data[row, low + 1] * part
    size = np.sqrt(np.sum(waves**2, axis=1) * np.sum(waves[seed] ** 2))
    return np.asarray(np.divide(waves @ waves[seed], size, out=np.zeros(len(data)), where=size > 0))


def _follow(path: Array, score: Array, seed: int, side: int, similarity: Array, slope: Array, reward: Array, reach: int) -> None:
    """Fill `path` and `score` from the seed to one end, by dynamic programming over 16 traces ahead of which 8 are kept.

    Over the whole line the best path would leave a weak reflector for a strong one; over 16 traces that does not pay.
    """
    last = len(path) - 1 if side > 0 else 0
    i = seed
    while i != last:
        ahead = min(16, abs(last - i))
        samples, scores = _best_path(i, int(path[i]), side, ahead, similarity, slope, reward, reach)
        keep = ahead if ahead < 16 else 8
        for n in range(keep):
            path[i + side * (n + 1)], score[i + side * (n + 1)] = samples[n], scores[n]
        i += side * keep


def _best_path(
    first: int, start: int, side: int, ahead: int, similarity: Array, slope: Array, reward: Array, reach: int
) -> tuple[list[int], list[float]]:
    """(samples, similarities) of the best path over `ahead` traces from sample `start` of trace `first`."""
    low, high = max(0, start - reach * ahead), min(reward.shape[1], start + reach * ahead + 1)
    columns = np.arange(high - low)
    shifts = list(range(-reach, reach + 1))
    total = np.full(high - low, -np.inf)
    total[start - low] = 0
    came = np.zeros((ahead, high - low), np.int16)
    pairs = []
    for step in range(ahead):
        i = first + side * step
        j = i + side
        options = np.full((len(shifts), high - low), -np.inf)
        alike = np.zeros((len(shifts), high - low), np.float32)
        for n, shift in enumerate(shifts):  # from sample t of trace i to t + shift of trace j
            to = columns[max(0, shift) : len(columns) + min(0, shift)]
            pair = similarity[n, i, low + to - shift] if side > 0 else similarity[len(shifts) - 1 - n, j, low + to]
            alike[n, to] = pair
            bend = shift - side * slope[i, low + to - shift]
            # beyond 0.85 similarity counts no more: what is alike enough is not to be left for what is more alike
            options[n, to] = total[to - shift] + np.minimum(pair, 0.85) - 0.1 * bend * bend
        came[step] = options.argmax(axis=0)
        total = options[came[step], columns] + reward[j, low:high]
        pairs.append(alike)
    at = int(total.argmax())
    samples, scores = [], []
    for step in range(ahead - 1, -1, -1):
        n = int(came[step, at])
        samples.append(low + at)
        scores.append(float(pairs[step][n, at]))
        at -= shifts[n]
    return samples[::-1], scores[::-1]


def _continuous(confidence: Array, seed: int) -> Array:
    """(trace,) bool: outward from the seed, until five traces running average below 0.4."""
    kept = np.zeros(len(confidence), bool)
    kept[seed] = True
    for order in (range(seed + 1, len(confidence)), range(seed - 1, -1, -1)):
        recent: list[float] = []
        for i in order:
            recent.append(float(confidence[i]))
            if len(recent) >= 5 and np.mean(recent[-5:]) < 0.4:
                kept[np.array(list(order)[max(0, len(recent) - 5) : len(recent)])] = False
                break
            kept[i] = True
    return kept


def _unbroken(data: Array, at: Array, kept: Array, seed: int, half: int, live: Array) -> tuple[Array, list[tuple[int, float, float]]]:
    """`kept` up to the first break either side of the seed, and the breaks: (trace, shift in samples towards its far side, correlation).

    The stack of six traces along the track before a trace is correlated with that of six beyond it, two left out between them.
    """
    match, shift, best = _across(data, at, half, live)
    lost = (match < 0.5) | ((best > match + 0.15) & (np.abs(shift) > 2))
    kept, breaks = kept.copy(), []
    for side in (1, -1):
        order = np.arange(seed + side, len(data) if side > 0 else -1, side)
        order = order[kept[order]]
        bad = np.flatnonzero(lost[order])
        if not len(bad):
            continue
        run = order[bad[0] :][: 1 + int(np.argmin(np.append(lost[order[bad[0] :]], False)))]
        worst = int(run[np.argmin((match - np.maximum(best, 0.5))[run])])
        kept[order[bad[0] + 1 :]] = False  # the stacks see a break a little before the track reaches it
        breaks.append((int(run[0]) + side, side * float(shift[worst]), float(best[worst])))
    return kept, breaks


def _across(data: Array, at: Array, half: int, live: Array) -> tuple[Array, Array, Array]:
    """(correlation across each trace along the track, shift in samples that correlates best, its correlation); 1, 0, 1 at the ends."""
    count, samples = data.shape
    core, far = 3 * half, 3 * half
    offsets = np.arange(-core - far, core + far + 1)
    place = at[:, None] + offsets
    low = np.clip(np.floor(place).astype(int), 0, samples - 2)
    part = np.clip(place - low, 0, 1)
    row = np.arange(count)[:, None]
    flat = np.where((place >= 0) & (place <= samples - 1), data[row, low] * (1 - part) + data[row, low + 1] * part, 0)
    flat = np.where(live[:, None], flat / (np.sqrt(np.mean(flat[:, far:-far] ** 2, axis=1, keepdims=True)) + 1e-30), 0)
    weight = np.hanning(2 * core + 3)[1:-1]
    match, shift, best = np.ones(count), np.zeros(count), np.ones(count)
    for i in range(4, count - 4):
        before, beyond = flat[max(0, i - 8) : i - 2].sum(axis=0), flat[i + 3 : i + 9].sum(axis=0)
        model = before[far:-far]
        views = np.lib.stride_tricks.sliding_window_view(beyond, len(model))
        top = views @ (weight * model)
        bottom = np.sqrt((weight @ model**2) * (views**2 @ weight))
        likeness = np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 1e-12)
        n = int(likeness.argmax())
        match[i], shift[i], best[i] = likeness[far - 2 : far + 3].max(), n - far, likeness[n]
    return match, shift, best


def _refined(trace: Array, sample: int, sign: int) -> float:
    """The peak (or trough, sign -1) within two samples of `sample`, between samples by a parabola; `sample` itself if there is none."""
    values = (sign * trace).tolist()
    low, high = max(1, sample - 2), min(len(trace) - 2, sample + 2)
    around = [n for n in range(low, high + 1) if values[n] >= values[n - 1] and values[n] >= values[n + 1] and values[n] > 0]
    if not around:
        return float(sample)
    best = min(around, key=lambda n: (abs(n - sample), -values[n]))
    a, b, c = values[best - 1], values[best], values[best + 1]
    bend = a - 2 * b + c
    return best + (float(np.clip(0.5 * (a - c) / bend, -0.5, 0.5)) if bend < 0 else 0.0)
