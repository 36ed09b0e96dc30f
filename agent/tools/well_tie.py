"""A well tied to a line: the bulk shift, stretch and phase that fit its synthetic, whether chance does as well, and new times for the well.

The search itself is in `ties`, the wavelet of a line in `wavelets`, what the new times are for in `depth_conversion`.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from moho.agent.registry import tool
from moho.agent.tools.ties import (
    Fit,
    Search,
    checked_well,
    mean_trace,
    nearest,
    oriented,
    own_window,
    ready,
    reflectivity,
    series,
    time_depth,
    verdict_of,
)
from moho.agent.tools.wavelet_shapes import CONVENTION, given_wavelet, own_wavelet, ricker_wavelet, rotated, whitened
from moho.errors import Refusal
from moho.survey import Array, Seismic, Table, Well
from moho.units import Degrees, Hertz, Number, Percent, Quantity, Seconds, TimeShift

POINTS = 400  # of the time-depth relation a tie leaves on the well


@tool(
    discipline="well",
    stage="interpretation",
    reference="White and Simm 2003, Tutorial: good practice in well ties, First Break 21(10), 75-83; Walden and White 1984, Geophys. Prosp. 32",
    truth="a known shift within 0.5 ms, stretch within 0.05 % and phase within 5 degrees come back; a tie to noise is said to be no better "
    "than chance",
    say=(
        "Tie {well} to {line}",
        "well tie {well} {line}",
        "tie {well} to the seismic {line} at CDP {cdp}",
        "match the synthetic of {well} with {line}, shift at most {shift}",
        "How well does {well} fit {line}? do the tie",
        "make the seismic to well tie of {well} on {line} with the checkshots {checkshots}",
        "correlate the synthetic of {well} with the trace between {top} and {base}",
        "what is the shift and the phase between {well} and {line}?",
        "stretch and squeeze {well} onto {line}, no more than {stretch}",
        "please to calibrate time-depth of {well} by {line}",
        "update the T-D curve of {well} from {line}",
    ),
)
def well_tie(
    line: Seismic,
    well: Well,
    checkshots: Table | None = None,
    cdp: Annotated[Number, "CDP of the well"] | None = None,
    shift: Annotated[Seconds, "largest bulk shift"] = 0.05,
    stretch: Annotated[Percent, "largest stretch or squeeze"] = 2,
    top: Annotated[TimeShift, "top of the window"] | None = None,
    base: Annotated[TimeShift, "base of the window"] | None = None,
    phase: Annotated[Degrees, "wavelet phase, when known"] | None = None,
    frequency: Annotated[Hertz, "peak frequency of a Ricker instead of the section's wavelet"] | None = None,
    wavelet: Annotated[Seismic, "wavelet"] | None = None,
) -> Well:
    """The well with its time-depth relation moved so that its synthetic fits the nearest traces.

    t' = tc + (t - tc)(1 + stretch) + shift in the tied window, the displacement of its ends beyond it. Shift, stretch and constant
    phase of the highest correlation within the limits are found together. `blind` is the correlation on blocks of the
    window that were not used; `chance` is what 95 % of random traces with the spectrum of the real one stay below, given the same
    freedom. Where the logs go far beyond the last checkshot the window ends there unless `base` is given. A tie no better than
    chance, or that fails on what was left out, leaves the time-depth relation as it was.
    """
    if wavelet is not None and frequency is not None:
        raise ValueError("give a wavelet or a frequency, not both")
    if stretch > 20 or shift > 0.5:
        raise ValueError(f"a tie searches shifts to 0.5 s and stretches to 20 %, got {shift:g} s and {stretch:g} %: correct the checkshots instead")
    data, live, notes = ready(line)
    used = checked_well(well, checkshots)
    at, coefficient, words = reflectivity(used)
    near, distance, place = nearest(line, used, cdp, live)
    held, beyond = _shot(used, at) if base is None else (at, ())
    window = own_window(line, held, shift, top, base)
    first, last = window
    trace, polarity = oriented(line, mean_trace(data, near)[first:last])
    if not np.any(trace):
        raise Refusal("E_DATA", f"the traces at the well are silent from {line.times[first]:.3f} to {line.times[last - 1]:.3f} s.")
    if wavelet is not None:
        shape, how = given_wavelet(wavelet, line.dt), f"wavelet {wavelet.title or 'as given'}"
    elif frequency is not None:
        shape, how = ricker_wavelet(frequency, line.dt), f"{frequency:g} Hz zero-phase Ricker, turned by the phase"
    else:
        half = min(max(8, round(0.1 / line.dt)), (last - first) // 3)
        shape, peak = own_wavelet(data[live][:, first:last], line.dt, half)
        shape = whitened(shape, series(at, coefficient, line, first, last - first))
        how = f"wavelet with the section's spectrum in the window (peak {peak:.3g} Hz) over the reflectivity's, turned by the phase"
    search = Search(at, coefficient, line, shape, window, shift, stretch / 100)
    before = search.fitted(trace, slice(None), 0.0, 0.0, 0.0 if phase is None else phase)
    fit = search.best(trace, phase=phase)
    blind = search.blind(trace, phase)
    chance = search.chance(trace, phase)
    level = float(np.quantile(chance, 0.95))
    beaten = float(np.mean(chance >= fit.correlation))
    good = fit.correlation > level and blind > 0
    depth, time, source = time_depth(used)
    moved = _moved(time, fit, search.middle, (float(line.times[first]), float(line.times[last - 1]))) if good else time
    kept = _thinned(depth, moved)
    if not good and fit.correlation > level:
        failed = f"no tie: the fit of {fit.correlation:.2f} does not hold on blocks left out (blind {blind:.2f})"
        verdict = f"{failed}; the time-depth relation was left as it was"
    elif good:
        verdict = verdict_of(blind, fit.correlation, level)
    else:
        verdict = f"the tie is no better than chance: {100 * beaten:.0f} % of random traces fit as well; the time-depth relation was left as it was"
    said = [verdict, place, *beyond, how, CONVENTION, f"mean of {len(near)} traces; primaries only"]
    if fit.edge:
        said.append("the best shift or stretch lies at the limit set: the checkshots or the datum need a look before this tie is believed")
    angle = float((fit.phase + 180) % 360 - 180)
    if good and abs(angle) > 135:
        said.append(f"a phase of {angle:.0f} degrees: the polarity of the line is likely the reverse of what was assumed")
    applied = "" if good else ", found, not applied"
    facts = {
        "correlation": Quantity(round(fit.correlation, 4), "", f"correlation of synthetic and trace in the window{applied}"),
        "blind": Quantity(round(blind, 4), "", "blind correlation, on blocks of the window not used"),
        "chance": Quantity(round(level, 4), "", "correlation that 95 % of random traces stay below"),
        "before": Quantity(round(before.correlation, 4), "", "correlation before the tie"),
        "shift": Quantity(round(1000 * fit.shift, 3), "ms", f"bulk shift of the well, positive later{applied}"),
        "stretch": Quantity(round(100 * fit.stretch, 4), "%", f"stretch of the well's times{applied}"),
        "phase": Quantity(round(angle, 2), "deg", f"phase of the wavelet{applied}"),
        "window": Quantity([round(float(line.times[first]), 4), round(float(line.times[last - 1]), 4)], "s", "window of the tie"),
        "cdp": Quantity(int(line.numbers[near[0]]), "", "CDP of the tie"),
    }
    if distance is not None:
        facts["distance"] = Quantity(round(distance, 1), "m", "distance from the well to that CDP")
    shown = rotated(search.made(fit.shift, fit.stretch), fit.phase)
    size = float(np.sqrt(np.mean(trace**2) / max(float(np.mean(shown**2)), 1e-30)))
    view = {
        "tie": {
            "time": line.times[first:last].astype(float),
            "trace": trace.astype(float),
            "synthetic": shown * size,  # to the rms of the trace
            "before": search.made(0.0, 0.0) * size,
            "wavelet": rotated(shape, fit.phase),
            "dt": float(line.dt),
        }
    }
    return used.made(
        facts=facts,
        notes=tuple(dict.fromkeys((*said, *polarity, *words, source, *notes))),
        checkshot_depth=kept[0],
        checkshot_time=kept[1],
        view=view,
    )


def _shot(well: Well, at: Array) -> tuple[Array, tuple[str, ...]]:
    """(the interfaces' times as far as the checkshots hold, what to note): well beyond the last shot no one has measured a time."""
    if well.checkshot_time is None or not len(well.checkshot_time):
        return at, ()
    last = float(np.max(well.checkshot_time))
    kept = at[at <= last]
    if last >= at[-1] - 0.1 * (at[-1] - at[0]) or len(kept) < 2 or kept[-1] - kept[0] < 0.4 * (at[-1] - at[0]):
        return at, ()
    return kept, (f"the checkshots end at {last:.4g} s, the logs at {at[-1]:.4g} s: the window ends with the checkshots unless a base is given",)


def _moved(time: Array, fit: Fit, middle: float, window: tuple[float, float]) -> Array:
    """Times after the tie; beyond the window the displacement of its nearer end."""
    inside = np.clip(time, *window)
    return np.asarray(time + (inside - middle) * fit.stretch + fit.shift)


def _thinned(depth: Array, time: Array) -> tuple[Array, Array]:
    """At most POINTS depths of the relation, its ends among them."""
    rows = np.unique(np.linspace(0, len(depth) - 1, min(POINTS, len(depth))).round().astype(int))
    return depth[rows], time[rows]
