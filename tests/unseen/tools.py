"""Ten tools as a plugin would bring them: plain functions with types, and none of the phrasings that the tools of Moho come with.

No model was trained on their names, on those of their arguments or on a way to ask for them. `moho.rl.unseen` registers them while it
measures how well a model calls a tool that it meets for the first time; the requests are those of `requests.jsonl`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np

from moho.agent.registry import tool
from moho.errors import Refusal
from moho.survey import Array, Catalogue, Curve, Gather, Grid, Magnetics, MTSounding, Picks, Report, Seismic, Well
from moho.units import Count, GammaRay, Hertz, Metres, Number, OhmMetres, Percent, Quantity, Seconds, Unit

Magnitude = Annotated[float, Unit("", low=-3, high=10)]
Jump = Annotated[float, Unit("nT", above=0)]
TURNED = {"SEG normal": "SEG reverse", "SEG reverse": "SEG normal"}
DAY, RADIUS = 86400.0, 6371.0  # s, km of the Earth


@tool(
    discipline="seismic",
    stage="processing",
    reference="Thigpen, Dalby and Landrum 1975, Special report on polarity standards, Geophysics 40, 694-699",
)
def flip_polarity(
    section: Seismic | Gather,
    from_trace: Annotated[Number, "first trace to turn, counted from 1"] | None = None,
    upto_trace: Annotated[Number, "last trace to turn"] | None = None,
) -> Seismic | Gather:
    """Traces with their sign turned: all of them, or those from one to another, both included."""
    count = len(section.data)
    first, last = from_trace or 1, upto_trace or count
    if not 1 <= first <= last <= count:
        raise ValueError(f"need 1 <= from_trace <= upto_trace <= {count}, got {first} and {last}")
    data = section.data.copy()
    data[first - 1 : last] *= -1
    polarity = TURNED.get(section.polarity, section.polarity) if last - first + 1 == count else "unknown"
    return section.made(facts={"turned": Quantity(last - first + 1, "", "traces turned")}, data=data, polarity=polarity)


@tool(discipline="seismic", stage="processing", reference="Yilmaz 2001, Seismic Data Analysis, chapter 2: time-variant spectral whitening")
def whiten_spectrum(
    section: Seismic | Gather,
    smoother: Annotated[Hertz, "width of the running mean over the amplitude spectrum"],
    floor: Annotated[Percent, "added to the spectrum, of its largest value"] = 1.0,
) -> Seismic | Gather:
    """Traces whose amplitude spectrum is balanced: divided by its own running mean, phases as they were."""
    spectrum = np.fft.rfft(section.data, axis=-1)
    size = np.abs(spectrum)
    bins = max(1, round(smoother * section.data.shape[1] * section.dt)) // 2 * 2 + 1
    if bins >= size.shape[1]:
        raise ValueError(f"smoother must be below the Nyquist frequency, got {smoother:g} for {section.nyquist:g} Hz")
    padded = np.pad(size, ((0, 0), (bins // 2, bins // 2)), mode="reflect")
    mean = np.lib.stride_tricks.sliding_window_view(padded, bins, axis=-1).mean(-1)
    even = spectrum / (mean + floor / 100 * size.max(-1, keepdims=True) + np.finfo(float).tiny)
    data = np.fft.irfft(even, section.data.shape[1], axis=-1)
    return section.made(facts={"smoother": Quantity(smoother, "Hz", "width of the running mean")}, data=data)


@tool(discipline="seismic", stage="processing", reference="Geyer 1970, The Vibroseis system of seismic mapping, J. Can. Soc. Expl. Geophys. 6, 39-57")
def correlate_sweep(
    record: Gather,
    sweep_from: Annotated[Hertz, "frequency the sweep begins with"],
    sweep_to: Annotated[Hertz, "frequency the sweep ends with"],
    sweep_time: Annotated[Seconds, "how long the sweep lasts"],
) -> Gather:
    """Vibroseis records correlated with the linear sweep they were shot with: a short wavelet in place of each long sweep."""
    samples = round(sweep_time / record.dt)
    if samples >= record.data.shape[1]:
        raise Refusal("E_DATA", f"a sweep of {sweep_time:g} s does not fit into records of {record.data.shape[1] * record.dt:g} s.")
    t = record.dt * np.arange(samples)
    sweep = np.sin(2 * np.pi * (sweep_from + 0.5 * (sweep_to - sweep_from) * t / sweep_time) * t)
    length = record.data.shape[1] + samples
    product = np.fft.rfft(record.data, length, axis=-1) * np.conj(np.fft.rfft(sweep, length))
    data = np.fft.irfft(product, length, axis=-1)[:, : record.data.shape[1] - samples]
    band = (min(sweep_from, sweep_to), max(sweep_from, sweep_to))
    return record.made(facts={"listening_time": Quantity(data.shape[1] * record.dt, "s", "listening time")}, data=data, band=band)


@tool(discipline="well", stage="processing", reference="Theys 1999, Log Data Acquisition and Quality Control, chapter on depth")
def depth_shift(
    borehole: Well,
    amount: Annotated[Metres, "how far"],
    toward: Annotated[Literal["deeper", "shallower"], "which way"],
    mnemonic: Annotated[str, "the one curve to move"] | None = None,
) -> Well:
    """Log curves moved along the depths of the well, all of them or one; what is moved in from outside is a gap."""
    moved = {borehole.find(mnemonic)} if mnemonic else set(borehole.curves)
    by = amount if toward == "deeper" else -amount
    curves = {
        name: replace(curve, values=np.interp(borehole.depth - by, borehole.depth, curve.values, np.nan, np.nan)) if name in moved else curve
        for name, curve in borehole.curves.items()
    }
    return borehole.made(facts={"amount": Quantity(amount, "m", f"distance moved {toward}")}, curves=curves)


@tool(discipline="well", stage="processing", reference="Shier 2004, Well log normalization: methods and guidelines, Petrophysics 45, 268-280")
def normalise_gamma(
    borehole: Well,
    lower: Annotated[GammaRay, "reading of the low percentile"],
    upper: Annotated[GammaRay, "reading of the high percentile"],
    tail: Annotated[Percent, "share of the samples beyond each percentile"] = 5.0,
) -> Well:
    """The gamma ray stretched to a regional histogram: its low and high percentiles come to two given readings."""
    if not lower < upper or not tail < 50:
        raise ValueError(f"need lower < upper and tail < 50, got {lower:g}, {upper:g} gAPI and {tail:g} %")
    name = borehole.find("GR")
    curve = borehole.curves[name]
    low, high = np.nanpercentile(curve.values, [tail, 100 - tail])
    if not high > low:
        raise Refusal("E_DATA", f"curve {name} is constant at {low:g}.")
    gain = (upper - lower) / (high - low)
    stretched = Curve(lower + gain * (curve.values - low), curve.unit, curve.description)
    return borehole.made(facts={"gain": Quantity(float(gain), "", "gain of the gamma ray")}, curves={**borehole.curves, name: stretched})


def _gardner_knopoff(m: Array) -> tuple[Array, Array]:
    return 10 ** (0.1238 * m + 0.983), 10 ** np.where(m >= 6.5, 0.032 * m + 2.7389, 0.5409 * m - 0.547)


def _gruenthal(m: Array) -> tuple[Array, Array]:
    m = np.maximum(m, 0)
    return np.exp(1.77 + np.sqrt(0.037 + 1.02 * m)), np.where(m >= 6.5, 10 ** (2.8 + 0.024 * m), np.exp(-3.95 + np.sqrt(0.62 + 17.32 * m)))


def _uhrhammer(m: Array) -> tuple[Array, Array]:
    return np.exp(-1.024 + 0.804 * m), np.exp(-2.87 + 1.235 * m)


WINDOWS = {"Gardner-Knopoff": _gardner_knopoff, "Gruenthal": _gruenthal, "Uhrhammer": _uhrhammer}  # magnitude -> km, days


@tool(discipline="seismology", stage="processing", reference="van Stiphout, Zhuang and Marsan 2012, Seismicity declustering, CORSSA, Table 1")
def decluster(
    events: Catalogue,
    windows: Annotated[Literal["Gardner-Knopoff", "Gruenthal", "Uhrhammer"], "whose windows in space and time"],
    cutoff: Annotated[Magnitude, "smallest magnitude kept"] | None = None,
) -> Catalogue:
    """The independent earthquakes of a catalogue: aftershocks and foreshocks inside the windows of a larger event are taken out."""
    size = np.nan_to_num(events.magnitude, nan=-3.0)
    days = np.array(events.time, "datetime64[ms]").astype(float) / 1000 / DAY
    far, long = WINDOWS[windows](size)
    lat, lon = np.radians(events.latitude), np.radians(events.longitude)
    kept = size >= (-np.inf if cutoff is None else cutoff)
    independent = kept.copy()
    for main in np.argsort(-size, kind="stable"):
        if independent[main]:
            half = np.sin((lat - lat[main]) / 2) ** 2 + np.cos(lat) * np.cos(lat[main]) * np.sin((lon - lon[main]) / 2) ** 2
            near = (2 * RADIUS * np.arcsin(np.sqrt(half)) <= far[main]) & (np.abs(days - days[main]) <= long[main])
            independent &= ~near
            independent[main] = True
    names = ("time", "latitude", "longitude", "depth", "magnitude", "magnitude_type", "horizontal_error", "depth_error", "time_error")
    fields = {name: getattr(events, name)[independent] for name in names if getattr(events, name) is not None}
    return events.made(facts={"removed": Quantity(int(kept.sum() - independent.sum()), "", "dependent events")}, **fields)


@tool(
    discipline="seismology",
    stage="interpretation",
    reference="Wadati 1933, On the travel time of earthquake waves, part II, Geophys. Mag. 7, 101-111",
)
def wadati_origin(
    arrivals: Picks,
    misfit: Annotated[Seconds, "farthest a station may lie off the line"] = 0.5,
    fewest: Annotated[Count, "stations needed"] = 3,
) -> Report:
    """Origin time and Vp/Vs of an earthquake from the straight line of S minus P times over P times, without any velocity."""
    when: dict[str, dict[str, float]] = {}
    for station, phase, time in zip(arrivals.station, arrivals.phase, arrivals.time, strict=True):
        when.setdefault(str(station), {})[str(phase)] = float(time)
    pairs = np.array([(both["P"], both["S"] - both["P"]) for both in when.values() if {"P", "S"} <= set(both)]).reshape(-1, 2)
    if len(pairs) < max(2, fewest):
        raise Refusal("E_DATA", f"{len(pairs)} stations have P and S; {max(2, fewest)} are needed.")
    slope, level = np.polyfit(*pairs.T, 1)
    good = pairs[np.abs(pairs[:, 1] - level - slope * pairs[:, 0]) <= misfit]
    if len(good) < max(2, fewest):
        raise Refusal("E_DATA", f"{len(good)} of {len(pairs)} stations lie within {misfit:g} s of the line; {max(2, fewest)} are needed.")
    slope, level = np.polyfit(*good.T, 1)
    facts = {
        "origin": Quantity(float(-level / slope), "s", f"origin time after {arrivals.origin}"),
        "vp_vs": Quantity(float(1 + slope), "", "Vp/Vs"),
        "stations": Quantity(len(good), "", "stations on the line"),
    }
    return Report(title="Wadati diagram", facts=facts, arrays={"p_time": good[:, 0], "s_minus_p": good[:, 1]})


KERNELS = {"gaussian": np.average, "mean": np.average, "median": np.median}


@tool(discipline="any", stage="processing", reference="Davis 2002, Statistics and Data Analysis in Geology, chapter 5")
def smooth_map(
    raster: Grid,
    radius: Annotated[Metres, "how far around each node"],
    kernel: Annotated[Literal["gaussian", "mean", "median"], "how the nodes around are weighed"] = "gaussian",
) -> Grid:
    """The map with short wavelengths and noise taken away by a moving window; empty nodes stay empty."""
    if raster.geographic:
        raise Refusal("E_DATA", "a radius in metres needs a map in metres, and this one is in degrees.")
    values = np.full_like(raster.values, np.nan, float)
    for row, column in np.argwhere(np.isfinite(raster.values)):
        far = np.hypot(raster.x - raster.x[column], (raster.y - raster.y[row])[:, None])
        inside = (far <= radius) & np.isfinite(raster.values)
        weight = {"weights": np.exp(-2 * (far[inside] / radius) ** 2)} if kernel == "gaussian" else {}  # a standard deviation of half the radius
        values[row, column] = KERNELS[kernel](raster.values[inside], **weight)
    before, after = float(np.nanstd(raster.values)), float(np.nanstd(values))
    facts = {"before": Quantity(before, raster.unit, "scatter before"), "after": Quantity(after, raster.unit, "scatter after")}
    return raster.made(facts=facts, values=values)


@tool(
    discipline="magnetics", stage="processing", reference="Coyle et al. 2014, Aeromagnetic survey specifications, Geol. Surv. Canada Open File 7660"
)
def fourth_difference(
    points: Magnetics,
    jump: Annotated[Jump, "smallest spike"],
    repair: Annotated[Literal["interpolate", "delete"], "what becomes of a spike"] = "interpolate",
) -> Magnetics:
    """Magnetic readings without one-sample spikes, found in each line by the fourth difference of the field."""
    lines = np.zeros(len(points.value)) if points.line is None else points.line
    value, bad = np.array(points.value, float), np.zeros(len(points.value), bool)
    for line in np.unique(lines):
        place = np.flatnonzero(lines == line)
        while len(place) >= 5:
            height = np.abs(np.convolve(value[place], [1, -4, 6, -4, 1], "valid")) / 6  # of a lone spike, its own
            worst = int(np.argmax(height)) + 2
            if height[worst - 2] < jump or bad[place[worst]]:
                break
            bad[place[worst]] = True
            value[place[worst]] = (value[place[worst - 1]] + value[place[worst + 1]]) / 2
    facts = {"spikes": Quantity(int(bad.sum()), "", "spikes")}
    if repair == "interpolate":
        return points.made(facts=facts, value=value)
    names = ("longitude", "latitude", "x", "y", "height", "line", "value")
    return points.made(facts=facts, **{name: getattr(points, name)[~bad] for name in names if getattr(points, name) is not None})


@tool(discipline="em", stage="processing", reference="Jones 1988, Static shift of magnetotelluric data and its removal, Geophysics 53, 967-978")
def undo_static(
    site: MTSounding,
    level: Annotated[OhmMetres, "apparent resistivity that is right"],
    at_period: Annotated[Seconds, "period it is right at; the shortest otherwise"] | None = None,
    mode: Annotated[Literal["xy", "yx", "both"], "which curve to move"] = "both",
) -> MTSounding:
    """The sounding with its apparent resistivity curves moved up or down to a known level; phases stay."""
    impedance = site.impedance.copy()
    error = None if site.error is None else site.error.copy()
    facts = {}
    for row, name in enumerate(("xy", "yx")):
        if mode in (name, "both"):
            rho = site.apparent(name)[0]
            held = np.isfinite(rho)
            if not held.any():
                raise Refusal("E_DATA", f"the sounding has no {name} impedance.")
            there = np.interp(np.log(at_period or site.period[held][0]), np.log(site.period[held]), np.log(rho[held]))
            gain = np.sqrt(level / np.exp(there))
            impedance[:, row] *= gain
            if error is not None:
                error[:, row] *= gain
            facts[f"factor_{name}"] = Quantity(float(gain**2), "", f"factor on the {name} apparent resistivity")
    return site.made(facts=facts, impedance=impedance, error=error)
