"""Processing and interpretation beside the plainest way of doing the same, in seconds of one thread.

Filters stand beside SciPy's `sosfiltfilt` and the formula of AGC in a loop; attributes beside the bare FFTs and convolutions
that they are made of, with the same shapes, types and blocks and nothing in between. Answers are compared before anything is timed.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.fft import fft, ifft, next_fast_len
from scipy.ndimage import correlate, gaussian_filter, gaussian_filter1d, map_coordinates, uniform_filter1d
from scipy.signal import butter, hilbert, sosfiltfilt

from benchmarks.table import Row, medians, show
from moho.agent.tools.seismic_interpretation import _slopes, attributes, fault_likelihood
from moho.agent.tools.seismic_processing import bandpass, gain_agc
from moho.read import read
from moho.segy_volume import read_crossline, read_inline
from moho.survey import Array, Seismic, Volume
from moho.volumes import Place, into

TRACES, SAMPLES, DT = 17_000, 1501, 0.004  # 100 MB
LOW, HIGH, WINDOW = 8.0, 45.0, 0.5
WIDE, DEEP, THROW = 1000, 500, 12  # the section of layers, and samples of throw at the fault in its middle
CUBE = (200, 200, 500)
HALF = 5  # samples either side: the window of 0.04 s that attributes have by default
DIPS = np.arange(-4, 4.25, 0.5)  # samples a trace
SCALE = 8  # samples
LEANS = np.linspace(-1, 1, 17)  # traces a sample
BLOCK = 32  # traces


def noise() -> Seismic:
    """A line of 100 MB."""
    return Seismic(data=np.random.default_rng(0).standard_normal((TRACES, SAMPLES), dtype=np.float32), dt=DT)


def butterworth(line: Seismic) -> Array:
    """Zero phase, order 4, at -6 dB where our trapezoid begins to fall."""
    return np.asarray(sosfiltfilt(butter(4, [LOW, HIGH], "bandpass", fs=1 / line.dt, output="sos"), line.data, axis=-1))


def agc_loop(line: Seismic, window: float) -> Array:
    """Every sample over the rms of its window, trace after trace; the sums by differences of the running total, the fastest NumPy has."""
    half, sample = round(window / line.dt) // 2, np.arange(line.data.shape[1])
    first, last = np.maximum(sample - half, 0), np.minimum(sample + half + 1, len(sample))
    out = np.empty_like(line.data)
    for n, trace in enumerate(line.data):
        total = np.concatenate([[0.0], np.cumsum(trace * trace, dtype=np.float64)])
        out[n] = trace / np.sqrt((total[last] - total[first]) / (last - first))
    return out


def filters() -> list[Row]:
    """The band-pass and AGC."""
    line = noise()
    cycles = np.fft.rfftfreq(SAMPLES, DT)
    passed = (cycles > 12) & (cycles < 30)
    a, b = (np.fft.rfft(data[:50] * np.hanning(SAMPLES))[:, passed] for data in (bandpass(line, LOW, HIGH).data, butterworth(line)))
    assert np.linalg.norm(a - b) < 0.03 * np.linalg.norm(b), "where both pass everything they differ"
    assert np.allclose(gain_agc(line, WINDOW).data, agc_loop(line, WINDOW), rtol=1e-4, atol=1e-5)
    filtering = medians(3, lambda _: bandpass(line, LOW, HIGH), lambda _: butterworth(line), clock=time.process_time)
    gain = medians(3, lambda _: gain_agc(line, WINDOW), lambda _: agc_loop(line, WINDOW), clock=time.process_time)
    size = f"{TRACES} x {SAMPLES}"
    return [
        Row(f"bandpass, {size}", filtering[0], "s", filtering[1], "sosfiltfilt", ratio_at_most=1 / 1.5),
        Row(f"AGC, {size}", gain[0], "s", gain[1], "loop over traces", ratio_at_most=1 / 1.5),
    ]


# Attributes -----------------------------------------------------------------------------------------------------------


def layers(traces: int, samples: int, dip: float = 0.3) -> Array:
    """(trace, sample) layers that dip by so many samples a trace, a fault in the middle, a tenth of noise."""
    rng = np.random.default_rng(1)
    series = gaussian_filter1d(rng.standard_normal(2 * samples), 2.5)
    number = np.arange(traces)
    shift = samples - dip * number - THROW * (number >= traces // 2)
    data = np.stack([np.interp(np.arange(samples) + s, np.arange(2 * samples), series) for s in shift])
    return (data / data.std() + 0.1 * rng.standard_normal(data.shape)).astype(np.float32)


def analytic(data: Array) -> Array:
    """(trace, sample) complex: SciPy's, with zeros appended."""
    size = next_fast_len(data.shape[1] + 128)
    return np.asarray(hilbert(data, size, axis=1)[:, : data.shape[1]])


def coherence_plainly(data: Array) -> Array:
    """The formula of Marfurt et al. 1998 on whole arrays; right away from the edges only."""
    trace = analytic(data)
    best = np.zeros(data.shape)
    for dip in DIPS:
        total, energy = np.zeros_like(trace), np.zeros(data.shape)
        for k in range(-2, 3):
            whole = int(np.floor(dip * k))
            part = dip * k - whole
            moved = np.roll(trace, -k, axis=0)
            moved = (1 - part) * np.roll(moved, -whole, axis=1) + part * np.roll(moved, -whole - 1, axis=1)
            total += moved
            energy += np.abs(moved) ** 2
        best = np.maximum(best, uniform_filter1d(np.abs(total) ** 2, 2 * HALF + 1) / (5 * uniform_filter1d(energy, 2 * HALF + 1)))
    return best


def dips_plainly(data: Array) -> Array:
    """Samples a trace, across the principal eigenvector of the gradient structure tensor."""
    soft = gaussian_filter1d(data, 1.0, axis=1)
    across, down = np.gradient(soft)
    xx, xt, tt = (gaussian_filter(part, 6, mode="nearest") for part in (across * across, across * down, down * down))
    vector = np.linalg.eigh(np.stack([np.stack([xx, xt], -1), np.stack([xt, tt], -1)], -1))[1][..., 1]
    return np.asarray(-vector[..., 0] / vector[..., 1])


def semblance_plainly(data: Array) -> Array:
    """Least semblance over trial fault planes, of five traces along the dip; right away from the edges only."""
    trace, dip = analytic(data), dips_plainly(data)
    row, column = np.indices(data.shape).astype(float)
    moved = np.stack([map_coordinates(trace, [row + k, column + k * dip], order=1, mode="nearest") for k in range(-2, 3)])
    top, bottom = np.abs(moved.sum(axis=0)) ** 2, 5 * (np.abs(moved) ** 2).sum(axis=0)
    return np.min([correlate(top, line) / correlate(bottom, line) for line in map(slanted, LEANS)], axis=0)


def slanted(lean: float) -> Array:
    """(trace, sample) weights: a Gaussian along a line."""
    room, weights = 2 * SCALE, np.zeros((4 * SCALE + 1, 4 * SCALE + 1))
    for j in range(-room, room + 1, SCALE // 4):
        weights[room + round(lean * j), room + j] = np.exp(-0.5 * (j / SCALE) ** 2)
    return weights


def transforms(data: Array) -> None:
    """There and back, 64 traces at a time."""
    size = next_fast_len(data.shape[1] + 128)
    for start in range(0, len(data), 64):
        ifft(fft(data[start : start + 64], size, axis=1), axis=1)


def window_means(parts: Array) -> None:
    """The running means of coherence: one a dip, two of power."""
    for start in range(2, parts.shape[1] - 2, BLOCK):
        part = parts[0, start : min(start + BLOCK, parts.shape[1] - 2)]
        for _ in range(len(DIPS) + 2):
            uniform_filter1d(part, 2 * HALF + 1, axis=1)


def slant_sums(parts: Array) -> None:
    """Five traces along every dip added, as real part, imaginary part and power; parts: (3, trace + 4, sample + 26) float32."""
    width = parts.shape[2] - 16
    for start in range(2, parts.shape[1] - 2, BLOCK):
        stop = min(start + BLOCK, parts.shape[1] - 2)
        total = np.empty((3, stop - start, width), np.float32)
        for dip in DIPS:
            lows = [8 + int(np.floor(dip * k)) for k in range(-2, 3)]
            first, second, *rest = (parts[:, start + k - 2 : stop + k - 2, low : low + width] for k, low in enumerate(lows))
            np.add(first, second, out=total)
            for part in rest:
                total += part


def padded(data: Array) -> Array:
    """(3, trace + 4, sample + 2 (8 + HALF)): what `slant_sums` and `window_means` add up."""
    return np.stack([np.pad(data, ((2, 2), (8 + HALF, 8 + HALF)))] * 3)


def fault_convolutions(data: Array, wide: Array) -> None:
    """FFTs, and the Gaussians of the structure tensor, along trial faults and along the layer; wide: `data` with twice SCALE around it."""
    transforms(data)
    dip_convolutions(data)
    count, samples = data.shape
    for lean in LEANS:
        weights = slanted(lean)
        taps = [(int(i), int(j), np.float32(weights[i, j])) for i, j in np.argwhere(weights)]
        for _ in range(2):
            out, product = np.zeros_like(data), np.empty((BLOCK, samples), np.float32)
            for start in range(0, count, BLOCK):
                part = out[start : start + BLOCK]
                for i, j, weight in taps:
                    part += np.multiply(wide[i + start : i + start + len(part), j : j + samples], weight, out=product[: len(part)])
    for _ in range(2):
        gaussian_filter(data, (30, SCALE / 2), mode="nearest", output=np.float64)


def dip_convolutions(data: Array) -> None:
    """Of the structure tensor: one Gaussian along the trace, three in both directions."""
    gaussian_filter1d(data, 1.0, axis=1)
    for _ in range(3):
        gaussian_filter(data, (6, 6), mode="nearest")


def interpretation() -> list[Row]:
    """Coherence, dips and fault likelihood of a section."""
    data = layers(WIDE, DEEP)
    line, inner = Seismic(data=data, dt=DT), (slice(40, -40), slice(80, -80))
    assert np.abs(attributes(line, "coherence").data - coherence_plainly(data))[inner].max() < 1e-3
    found = fault_likelihood(line, SCALE)
    assert abs(found.facts["fault_cdp"].value[0] - WIDE / 2) < 3
    assert abs(found.facts["semblance"].value - np.median(semblance_plainly(data)[inner])) < 3e-3
    assert np.abs(_slopes(data, (6, 6)) - dips_plainly(data))[inner].max() < 1e-3
    parts, wide = padded(data), np.pad(data, 2 * SCALE)
    ours, fourier, slants, means = (
        1e3 * one
        for one in medians(
            7, lambda _: attributes(line, "coherence"), lambda _: transforms(data), lambda _: slant_sums(parts), lambda _: window_means(parts),
            clock=time.process_time,
        )
    )  # fmt: skip
    dips = medians(7, lambda _: _slopes(data, (6, 6)), lambda _: dip_convolutions(data), clock=time.process_time)
    faults = medians(3, lambda _: fault_likelihood(line, SCALE), lambda _: fault_convolutions(data, wide), clock=time.process_time)
    size, note = f"{WIDE} x {DEEP}", f"FFTs {fourier:.1f}, sums of five traces along {len(DIPS)} dips {slants:.1f}, running means {means:.1f} ms"
    note += f"; over FFTs and running means alone {ours / (fourier + means):.2f}"
    return [
        Row(f"coherence, {size}", ours, "ms", fourier + slants + means, "its FFTs and convolutions", ratio_at_most=2, note=note),
        Row(f"dips by the structure tensor, {size}", 1e3 * dips[0], "ms", 1e3 * dips[1], "its convolutions", ratio_at_most=2),
        Row(f"fault_likelihood, {size}", 1e3 * faults[0], "ms", 1e3 * faults[1], "its FFTs and convolutions", ratio_at_most=2),
    ]


def volume() -> list[Row]:
    """Coherence of a volume, from its file to that of the result."""
    import segyio

    slow, fast, samples = CUBE
    cube = np.stack([np.roll(layers(fast, samples), n // 5, axis=1) for n in range(slow)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cube.sgy"
        segyio.tools.from_array3D(str(path), cube, format=5, dt=round(1e6 * DT))
        source = read(path)
        assert isinstance(source, Volume)

        def ours(repeat: int) -> Volume:
            place = Path(folder) / f"result{repeat}"
            place.mkdir()
            with into(Place(lambda: place)):
                result = attributes(source, "coherence")
            assert isinstance(result, Volume)
            return result

        def bare(_: int) -> None:
            for lines in (cube, cube.transpose(1, 0, 2)):
                for line in lines:
                    if lines is cube:
                        transforms(line)
                    parts = padded(line)
                    slant_sums(parts)
                    window_means(parts)

        result = ours(-2)
        inline, crossline = (span[0] + span[2] * (count // 3) for span, count in ((source.inline, slow), (source.crossline, fast)))
        along, across = (attributes(one, "coherence").data for one in (read_inline(source, inline), read_crossline(source, crossline)))
        trace = read_inline(result, inline).data[fast // 3]
        assert np.abs(trace - np.sqrt(along[fast // 3] * across[slow // 3])).max() < 1e-5
        seconds = medians(1, ours, bare, clock=time.process_time)
    words = "reading, writing and the digest of the bytes included"
    return [Row(f"coherence, {slow} x {fast} x {samples}", seconds[0], "s", seconds[1], "its FFTs and convolutions", ratio_at_most=2, note=words)]


def measure() -> list[Row]:
    """Seconds and milliseconds of processor time."""
    return [*filters(), *interpretation(), *volume()]


if __name__ == "__main__":
    print(show(measure()))
