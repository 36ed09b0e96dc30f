"""The direction and slowness of a wave over an array of stations, by frequency-wavenumber beams."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np

from moho.agent.registry import tool
from moho.agent.tools.seismology import segments
from moho.errors import Refusal
from moho.survey import Array, Report, Response, Waveforms
from moho.units import Hertz, Quantity, Seconds, TimeShift, Unit

if TYPE_CHECKING:
    import obspy

SlownessLimit = Annotated[float, Unit("s/km", above=0, high=5), "largest slowness searched"]

TWIN = 0.8  # share of the largest beam power from which another maximum is told


@tool(
    discipline="seismology",
    stage="processing",
    say=(
        "Where does the wave come from? beam {waveforms} between {low} and {high}",
        "Array analysis of {waveforms} with {response}, {low} to {high}",
        "f-k analysis {low}-{high}, slowness up to {slowness}",
        "back azimuth and slowness from the array",
        "beamforming on {waveforms}, coordinates in {response}",
        "FK beam power over slowness pls",
        "apparent velocity and direction of the wave over the array between {low} and {high}",
        "slowness of the arrival at {start}, window {window}",
        "find the direction of the signal with the array of stations",
        "run array processing {low} {high} smax {slowness}",
        "how well does this array resolve slowness, any aliasing?",
    ),
    reference="Rost & Thomas 2002, Array seismology: methods and applications, Rev. Geophys. 40; Kelly 1967, MIT Lincoln Lab. TN 1967-30",
    truth="plane waves over nine made stations: back azimuth within 1 degree, slowness within 0.005 s/km",
)
def array_beam(
    waveforms: list[Waveforms],
    response: Response,
    low: Annotated[Hertz, "low corner"],
    high: Annotated[Hertz, "high corner"],
    slowness: SlownessLimit = 0.5,
    start: Annotated[TimeShift, "start of the window after the first sample"] = 0.0,
    window: Annotated[Seconds, "window length"] | None = None,
) -> Report:
    """Back azimuth and horizontal slowness of the strongest plane wave over an array, with the beam power and the array response.

    Frequency-wavenumber beam of one vertical a station: relative power, 1 for a perfect plane wave, 1/N for noise. Station
    gains are evened out. The largest value of a grid is refined, its standard errors come from leaving out one station at a
    time. Back azimuth is station to source, clockwise from north, at the middle of the array; heights are not used.
    """
    if not low < high:
        raise ValueError(f"need low < high, got low {low:g} Hz and high {high:g} Hz")
    Unit("s/km", above=0, high=5).check("slowness", slowness)
    traces, notes = _array(waveforms, high)
    names = [f"{trace.stats.network}.{trace.stats.station}" for trace in traces]
    offsets, middle, height = _offsets(traces, response)
    aperture = float(max(np.hypot(*(offsets - place).T).max() for place in offsets))
    spectra, frequency, duration = _window_spectra(traces, low, high, start, window)
    if aperture * slowness > 0.5 * duration:
        notes.append(f"the slowest wave crosses the array in {aperture * slowness:.3g} s, long against the window of {duration:.3g} s")
    if height * slowness > 0.25 / high:
        notes.append(f"station heights differ by {1000 * height:.0f} m, up to {height * slowness:.2g} s for a steep wave: not corrected")
    axis = np.linspace(-slowness, slowness, 2 * min(max(math.ceil(slowness * high * aperture * 6), 40), 150) + 1)
    power = _beam_map(spectra, frequency, offsets, axis)
    peak = np.unravel_index(int(np.argmax(power)), power.shape)
    best = _refine(spectra, frequency, offsets, np.array([axis[peak[1]], axis[peak[0]]]), axis[1] - axis[0])
    value = float(_beam(spectra, frequency, offsets, best[None])[0])
    size, azimuth = float(np.hypot(*best)), float(np.degrees(np.arctan2(-best[0], -best[1])) % 360)
    errors = _left_out(spectra, frequency, offsets, best, axis[1] - axis[0])
    weight = (np.abs(spectra) ** 2).mean(0)
    shape = _beam_map(np.repeat(np.sqrt(weight)[None], len(offsets), 0).astype(complex), frequency, offsets, 2 * axis)
    radius, lobes = _lobes(shape, 2 * axis)
    facts = {
        "back_azimuth": Quantity(round(azimuth, 3), "deg", "back azimuth"),
        "slowness": Quantity(round(size, 5), "s/km", "horizontal slowness"),
        "apparent_velocity": Quantity(float(f"{1 / size:.5g}") if size > 1e-4 else "infinite", "km/s" if size > 1e-4 else "", "apparent velocity"),
        "power": Quantity(round(value, 4), "", "relative beam power"),
        "stations": Quantity(len(traces), "", "stations"),
        "aperture": Quantity(round(aperture, 4), "km", "aperture of the array"),
        "window": Quantity([round(start, 4), round(start + duration, 4)], "s", "time window"),
        "band": Quantity([float(low), float(high)], "Hz", "band"),
        "resolution": Quantity(round(radius, 5), "s/km", "half-power radius of the array response"),
        "sidelobe": Quantity(round(lobes[0][0], 3) if lobes else 0.0, "", "highest side lobe of the array response"),
    }
    if errors is not None:
        facts["back_azimuth_error"] = Quantity(round(errors[0], 3), "deg", "standard error of the back azimuth")
        facts["slowness_error"] = Quantity(round(errors[1], 5), "s/km", "standard error of the slowness")
    else:
        notes.append("three stations leave nothing to judge the errors by")
    for level, away, direction in lobes[:3]:
        if level > 0.5:
            notes.append(f"aliasing: the array response has a lobe of {level:.2f}, {away:.3g} s/km away towards {direction:.0f} deg")
    _, twins = _lobes(power / power.max(), axis, (best[0], best[1]), radius)
    for level, x, y in twins[:2]:
        if level > TWIN:
            other = np.degrees(np.arctan2(-x, -y)) % 360
            where = f"back azimuth {other:.0f} deg, {np.hypot(x, y):.3g} s/km"
            notes.append(f"another wave fits nearly as well ({100 * level:.0f} % of the power): {where}")
    if size > 0.97 * slowness or np.abs(best).max() > 0.999 * slowness:
        notes.append(f"the best slowness is at the edge of the search ({slowness:g} s/km): search further")
    if size < radius / 3:
        notes.append("the slowness is small against the resolution: the wave comes from below and its back azimuth is not held")
    if value < 2 / len(traces):
        notes.append(f"a relative power of {value:.2f} is little above the {1 / len(traces):.2f} of incoherent noise: this may be no plane wave")
    notes.append("plane wave, relative power averaged over the band; vertical components, each scaled to the same energy")
    notes.append(f"errors by leaving out one station at a time; middle of the array at {middle[1]:.4f} deg, {middle[0]:.4f} deg")
    arrays: dict[str, Array] = {
        "slowness_east": axis, "slowness_north": axis, "power": power.astype(np.float32), "response_axis": 2 * axis,
        "response": shape.astype(np.float32), "best": best, "x": offsets[:, 0], "y": offsets[:, 1], "station": np.array(names),
    }  # fmt: skip
    return Report(title=f"Beam of {len(traces)} stations", facts=facts, notes=tuple(notes), arrays=arrays, drawing="beam")


def _array(waveforms: Sequence[Waveforms], high: float) -> tuple[list[obspy.Trace], list[str]]:
    """(one trace a station, the vertical where there is one; notes)."""
    if not waveforms:
        raise ValueError("give at least one data set of seismograms")
    by_station: dict[str, list[obspy.Trace]] = {}
    notes: list[str] = []
    for record in waveforms:
        traces, said = segments(record)
        notes += said
        for trace in traces:
            by_station.setdefault(f"{trace.stats.network}.{trace.stats.station}.{trace.stats.location}", []).append(trace)
    chosen = []
    for name, traces in sorted(by_station.items()):
        vertical = [trace for trace in traces if trace.id[-1] in "Z3"] or [trace for trace in traces if trace.id[-1] not in "NE12RT"]
        if not vertical:
            notes.append(f"{name} has no vertical channel and was left out")
            continue
        trace = max(sorted(vertical, key=lambda t: t.id), key=lambda t: t.stats.npts * t.stats.delta)
        if np.ptp(trace.data) == 0:
            notes.append(f"{trace.id} is dead and was left out")
        else:
            chosen.append(trace)
    for trace in chosen:
        if not high < trace.stats.sampling_rate / 2:
            nyquist = trace.stats.sampling_rate / 2
            words = f"the corner of {high:g} Hz is not below the Nyquist frequency of {trace.id}, {nyquist:g} Hz."
            raise Refusal("E_PHYSICS", words, f"Choose high below {nyquist:g} Hz.")
    if len(chosen) < 3:
        raise Refusal("E_GEOMETRY", f"{len(chosen)} station(s) with a live vertical: a slowness has two components and needs at least three.")
    return chosen, notes


def _offsets(traces: list[obspy.Trace], response: Response) -> tuple[Array, tuple[float, float], float]:
    """((station, 2) km east and north of the middle, (longitude, latitude) of it, range of heights km); Refusal without coordinates or width."""
    from pyproj import Transformer

    places, lost = [], []
    for trace in traces:
        found = [
            (float(held.longitude), float(held.latitude), float(held.elevation) / 1000)
            for network in response.inventory.select(network=trace.stats.network, station=trace.stats.station)
            for station in network
            for held in ([c for c in station if c.code == trace.stats.channel and c.location_code == trace.stats.location] or [station])
        ]
        if found:
            places.append(found[0])
        else:
            lost.append(trace.id)
    if lost:
        raise Refusal("E_GEOMETRY", f"no coordinates for {', '.join(lost[:8])} in the station metadata.", "Give the StationXML of every station.")
    lon, lat, height = np.array(places).T
    middle = (float(np.degrees(np.angle(np.exp(1j * np.radians(lon)).mean()))), float(lat.mean()))
    plane = Transformer.from_crs("EPSG:4326", f"+proj=aeqd +lat_0={middle[1]:.10f} +lon_0={middle[0]:.10f} +ellps=WGS84 +units=km", always_xy=True)
    offsets = np.column_stack(plane.transform(lon, lat))
    offsets -= offsets.mean(0)
    sizes = np.linalg.svd(offsets, compute_uv=False)
    if sizes[0] < 1e-4:
        raise Refusal("E_GEOMETRY", "all stations have the same coordinates.")
    if sizes[1] < 0.02 * sizes[0]:
        raise Refusal("E_GEOMETRY", "the stations lie on a line: slowness across it is not held.", "Add a station off the line.")
    if sizes[0] > 2000:
        raise Refusal("E_GEOMETRY", f"the stations spread over {2 * offsets.max():.0f} km: no plane wave on a sphere.")
    return offsets, middle, float(np.ptp(height))


def _window_spectra(traces: list[obspy.Trace], low: float, high: float, start: float, window: float | None) -> tuple[Array, Array, float]:
    """((station, frequency) spectra of equal energy in the band, their frequencies Hz, length of the window s)."""
    first, last = max(trace.stats.starttime for trace in traces), min(trace.stats.endtime for trace in traces)
    earliest = min(trace.stats.starttime for trace in traces)
    begin = max(earliest + start, first)
    slowest = max(trace.stats.delta for trace in traces)
    available = float(last - begin) + slowest
    if start < 0 or available < 2 * slowest:
        shared = f"{float(first - earliest):g} to {float(last - earliest):g} s"
        raise Refusal("E_DATA", f"a window from {start:g} s is not inside the time all stations share, {shared}.")
    duration = available if window is None else window
    if duration > available + slowest:
        words = f"a window of {duration:g} s from {start:g} s ends after the time all stations share ({available:g} s left)."
        raise Refusal("E_DATA", words, "Shorten window.")
    count = int(round(min(duration, available) / slowest, 6))
    duration = count * slowest
    bins = np.arange(math.ceil(low * duration - 1e-9), math.floor(high * duration + 1e-9) + 1)
    if len(bins) < 1 or low * duration < 1:
        raise Refusal("E_PHYSICS", f"a window of {duration:g} s is too short for {low:g} to {high:g} Hz.", "Lengthen window or widen the band.")
    rows = []
    for trace in traces:
        rate = trace.stats.sampling_rate
        at = max(round(float(begin - trace.stats.starttime) * rate), 0)
        part = trace.data[at : at + round(duration * rate)]
        if abs(len(part) - duration * rate) > 1.5:
            raise Refusal("E_DATA", f"{trace.id} does not cover the window; {len(part)} of {duration * rate:.0f} samples.")
        part = part - part.mean()
        n = np.arange(len(part))
        edge = max(round(0.1 * len(part)), 1)
        taper = np.sin(0.5 * np.pi * np.clip(np.minimum(n + 0.5, len(part) - n - 0.5) / edge, 0, 1)) ** 2
        frequency = bins / duration
        late = float(trace.stats.starttime - begin) + at / rate  # s of the first sample taken
        full = np.fft.rfft(part * taper, round(duration * rate))
        if bins[-1] >= len(full):
            bins = bins[bins < len(full)]
            frequency = bins / duration
        row = full[bins] * np.exp(-2j * np.pi * frequency * late)
        rows.append(row)
    shortest = min(len(row) for row in rows)
    spectra = np.array([row[:shortest] for row in rows])
    energy = np.sqrt((np.abs(spectra) ** 2).sum(1, keepdims=True))
    if not (energy > 0).all():
        raise Refusal("E_DATA", f"{traces[int(np.argmin(energy))].id} has no energy between {low:g} and {high:g} Hz in the window.")
    return spectra / energy, bins[:shortest] / duration, duration


def _beam(spectra: Array, frequency: Array, offsets: Array, slowness: Array) -> Array:
    """(vector,) relative power of the beam for slowness vectors (vector, 2) of propagation, s/km."""
    delays = slowness @ offsets.T  # (vector, station) s
    total = np.zeros(len(slowness))
    for f, column in zip(frequency, spectra.T, strict=True):
        total += np.abs(np.exp(2j * np.pi * f * delays) @ column) ** 2
    return np.asarray(total / (len(offsets) * (np.abs(spectra) ** 2).sum()))


def _beam_map(spectra: Array, frequency: Array, offsets: Array, axis: Array) -> Array:
    """(north, east) relative power over a square grid of slowness; of many frequencies those with most energy."""
    keep = np.sort(np.argsort(-(np.abs(spectra) ** 2).sum(0), kind="stable")[:120])
    total = np.zeros((len(axis), len(axis)))
    for f, column in zip(frequency[keep], spectra[:, keep].T, strict=True):
        east = np.exp(2j * np.pi * f * np.outer(axis, offsets[:, 0]))
        north = np.exp(2j * np.pi * f * np.outer(axis, offsets[:, 1]))
        total += np.abs((north * column) @ east.T) ** 2
    return np.asarray(total / (len(offsets) * (np.abs(spectra[:, keep]) ** 2).sum()))


def _refine(spectra: Array, frequency: Array, offsets: Array, start: Array, step: float) -> Array:
    """The slowness vector of largest power near `start`."""
    from scipy.optimize import minimize

    found = minimize(
        lambda s: -float(_beam(spectra, frequency, offsets, s[None])[0]), start, method="Nelder-Mead",
        options={"initial_simplex": start + step * np.array([[0, 0], [1, 0], [0, 1]]), "xatol": 1e-6, "fatol": 1e-10, "maxiter": 200},
    )  # fmt: skip
    return np.asarray(found.x)


def _left_out(spectra: Array, frequency: Array, offsets: Array, best: Array, step: float) -> tuple[float, float] | None:
    """Jackknife standard errors of back azimuth (deg) and slowness (s/km), None for three stations."""
    n = len(offsets)
    if n < 4:
        return None
    keep = np.sort(np.argsort(-(np.abs(spectra) ** 2).sum(0), kind="stable")[:200])
    vectors = []
    for i in range(n):
        others = np.arange(n) != i
        vectors.append(_refine(spectra[np.ix_(others, keep)], frequency[keep], offsets[others], best, 0.5 * step))
    spread = np.array(vectors)
    size = np.hypot(*spread.T)
    turn = (np.degrees(np.arctan2(spread[:, 0], spread[:, 1]) - np.arctan2(best[0], best[1])) + 180) % 360 - 180
    scale = (n - 1) / n
    return float(np.sqrt(scale * np.sum((turn - turn.mean()) ** 2))), float(np.sqrt(scale * np.sum((size - size.mean()) ** 2)))


def _lobes(
    power: Array, axis: Array, middle: tuple[float, float] = (0.0, 0.0), radius: float | None = None
) -> tuple[float, list[tuple[float, float, float]]]:
    """(half-power radius of the main lobe, other maxima as (level, ...)).

    Around zero the maxima are (level, distance s/km, direction deg); around another middle (level, east, north).
    """
    from scipy.ndimage import label, maximum_filter

    east, north = np.meshgrid(axis, axis)
    away = np.hypot(east - middle[0], north - middle[1])
    at = np.unravel_index(int(np.argmin(away)), away.shape)
    if radius is None:
        main, _ = label(power >= 0.5 * power[at])
        inside = main == main[at]
        radius = float(np.sqrt(inside.sum() / np.pi) * (axis[1] - axis[0]))
    peaks = (power == maximum_filter(power, 3)) & (away > 1.5 * radius) & (power > 0.2)
    rows = sorted(((float(power[i, j]), float(east[i, j]), float(north[i, j])) for i, j in np.argwhere(peaks)), reverse=True)
    if middle != (0.0, 0.0):
        return radius, rows
    return radius, [(level, float(np.hypot(x, y)), float(np.degrees(np.arctan2(x, y)) % 360)) for level, x, y in rows]
