"""Processing steps beside the plainest way of doing the same: SciPy's `sosfiltfilt`, and the formula of AGC in a loop."""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, sosfiltfilt

from benchmarks.table import Row, medians, show
from moho.agent.tools.seismic_processing import bandpass, gain_agc
from moho.survey import Array, Seismic

TRACES, SAMPLES, DT = 500, 1500, 0.004
LOW, HIGH = 8.0, 45.0
WINDOW = 0.5


def section() -> Seismic:
    """Noise with a slow decay, as many traces and samples as a short 2-D line."""
    noise = np.random.default_rng(0).standard_normal((TRACES, SAMPLES)) * np.exp(-np.arange(SAMPLES) / 600)
    return Seismic(data=noise.astype(np.float32), dt=DT)


def butterworth(line: Seismic) -> Array:
    """Zero phase, order 4, at -6 dB where our trapezoid begins to fall."""
    return np.asarray(sosfiltfilt(butter(4, [LOW, HIGH], "bandpass", fs=1 / line.dt, output="sos"), line.data, axis=-1))


def agc_loop(line: Seismic, window: float) -> Array:
    """Every sample over the rms of its window, one time after another for all traces at once."""
    half, data = round(window / line.dt) // 2, line.data.astype(np.float64)
    out = np.empty_like(data)
    for n in range(data.shape[1]):
        part = data[:, max(0, n - half) : n + half + 1]
        out[:, n] = data[:, n] / np.sqrt(np.mean(part * part, axis=1))
    return out


def measure() -> list[Row]:
    """Milliseconds; the answers are compared first."""
    line = section()
    cycles = np.fft.rfftfreq(SAMPLES, DT)
    a, b = (np.fft.rfft(data * np.hanning(SAMPLES))[:, (cycles > 12) & (cycles < 30)] for data in (bandpass(line, LOW, HIGH).data, butterworth(line)))
    assert np.linalg.norm(a - b) < 0.03 * np.linalg.norm(b), "where both pass everything they differ"
    assert np.allclose(gain_agc(line, WINDOW).data, agc_loop(line, WINDOW), rtol=1e-4, atol=1e-5)
    filtering = medians(7, lambda _: bandpass(line, LOW, HIGH), lambda _: butterworth(line))
    gain = medians(7, lambda _: gain_agc(line, WINDOW), lambda _: agc_loop(line, WINDOW))
    size = f"{TRACES} x {SAMPLES}"
    return [
        Row(f"bandpass, {size}", 1e3 * filtering[0], "ms", 1e3 * filtering[1], "sosfiltfilt", ratio_at_most=1),
        Row(f"AGC, {size}", 1e3 * gain[0], "ms", 1e3 * gain[1], "numpy loop", ratio_at_most=1),
    ]


if __name__ == "__main__":
    print(show(measure()))
