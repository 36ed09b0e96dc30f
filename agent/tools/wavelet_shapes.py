"""Wavelets as arrays: from a section's spectrum, as given, Ricker; their phase, and finer samples.

No tools here. Phase: a wavelet of phase phi is made of cos(2 pi f t + phi), so that at +90 degrees its peak comes before its trough; 180
degrees is reversed polarity. All have an odd number of samples, time 0 in the middle.
"""

from __future__ import annotations

import numpy as np

from moho.agent.tools.seismic_modelling import ricker
from moho.errors import Refusal
from moho.survey import Array, Seismic

CONVENTION = "phase phi means cos(2 pi f t + phi): at +90 degrees the peak comes before the trough"
FINE = 8  # synthetics are made at an eighth of the sampling


def own_wavelet(data: Array, dt: float, half: int) -> tuple[Array, float]:
    """(2 half + 1 samples of the zero-phase wavelet whose autocorrelation is that of the traces, peak 1 in the middle; peak frequency Hz)."""
    from scipy.fft import irfft, next_fast_len, rfft

    samples = data.shape[1]
    size = next_fast_len(2 * samples, real=True)
    taper = np.hanning(samples).astype(np.float32)
    power = np.zeros(size // 2 + 1)
    for start in range(0, len(data), 64):
        power += np.sum(np.abs(rfft(data[start : start + 64] * taper, size, axis=1)) ** 2, axis=0)
    correlation = irfft(power, size)[: half + 1] * (0.5 + 0.5 * np.cos(np.pi * np.arange(half + 1) / (half + 1)))
    smooth = np.maximum(np.real(rfft(np.concatenate([correlation, np.zeros(size - 2 * half - 1), correlation[:0:-1]]), size)), 0)
    centred = np.roll(irfft(np.sqrt(smooth), size), half)[: 2 * half + 1] * np.hanning(2 * half + 3)[1:-1]
    peak = float(np.fft.rfftfreq(size, dt)[smooth.argmax()])
    return centred / np.abs(centred).max(), peak


def whitened(zero: Array, series: Array) -> Array:
    """The zero-phase wavelet of a section without the colour of the reflectivity `series`: amplitude spectra smoothed alike, then divided."""
    from scipy.fft import irfft, next_fast_len, rfft

    half = len(zero) // 2
    colour, _ = own_wavelet(series[None].astype(np.float32), 1.0, half)
    size = next_fast_len(4 * len(zero), real=True)
    spectra = [np.abs(rfft(values, size)) for values in (zero, colour)]
    ratio = spectra[0] / np.maximum(spectra[1], 0.25 * spectra[1].max())
    made = np.roll(irfft(ratio, size), half)[: 2 * half + 1] * np.hanning(2 * half + 3)[1:-1]
    return np.asarray(made / np.abs(made).max())


def given_wavelet(wavelet: Seismic, dt: float) -> Array:
    """(odd,) samples of a wavelet data set at `dt`, time 0 in the middle, peak 1."""
    if len(wavelet.data) != 1 or wavelet.domain != "time":
        raise ValueError(f"a wavelet is one trace in time; this data set has {len(wavelet.data)} in {wavelet.domain}")
    values, times = np.asarray(wavelet.data[0], float), wavelet.times
    if not np.isfinite(values).all() or not np.any(values):
        raise Refusal("E_DATA", "the wavelet holds NaN or nothing but zeros.")
    if not times[0] < 0 < times[-1] or times[-1] - times[0] > 2.0:
        raise ValueError(f"a wavelet has time 0 inside it and lasts under 2 s; this trace runs from {times[0]:g} to {times[-1]:g} s")
    half = int(np.ceil(max(-times[0], times[-1]) / dt - 1e-9))
    axis = dt * np.arange(-half, half + 1)
    if abs(wavelet.dt - dt) < 1e-9:
        shifted = np.interp(axis, times, values, left=0, right=0)
    else:
        fine = upsampled(np.append(values, 0.0) if len(values) % 2 == 0 else values)
        shifted = np.interp(axis, wavelet.t0 + wavelet.dt / FINE * np.arange(len(fine)), fine, left=0, right=0)
    return np.asarray(shifted / np.abs(shifted).max())


def ricker_wavelet(frequency: float, dt: float) -> Array:
    """(odd,) Ricker samples, three half periods either side."""
    if not frequency < 0.5 / dt:
        raise Refusal("E_PHYSICS", f"a {frequency:g} Hz wavelet is not below the Nyquist frequency of {0.5 / dt:g} Hz at {dt:g} s sampling.")
    half = max(4, int(np.ceil(1.5 / frequency / dt)))
    return ricker(np.arange(-half, half + 1) * dt, frequency)


def rotated(values: Array, degrees: float) -> Array:
    """`values` with their phase advanced by a constant: cos(phi) w - sin(phi) H w."""
    angle = np.deg2rad(degrees)
    return np.asarray(np.cos(angle) * values - np.sin(angle) * quadrature(values))


def quadrature(values: Array) -> Array:
    """Hilbert transform along the last axis, padded so that nothing wraps around."""
    from scipy.fft import next_fast_len
    from scipy.signal import hilbert

    n = values.shape[-1]
    size = next_fast_len(3 * n)
    ahead = (size - n) // 2
    wide = np.zeros((*values.shape[:-1], size))
    wide[..., ahead : ahead + n] = values
    return np.asarray(np.imag(hilbert(wide))[..., ahead : ahead + n])


def phase_of(wavelet: Array) -> tuple[float, float]:
    """(phase deg, delay in samples) of the constant-phase wavelet nearest to this one: where its envelope peaks, and the phase there."""
    fine = upsampled(wavelet)
    envelope = np.hypot(fine, quadrature(fine))
    peak = int(envelope.argmax())
    return float(np.rad2deg(np.arctan2(quadrature(fine)[peak], fine[peak]))), peak / FINE - len(wavelet) // 2


def upsampled(wavelet: Array) -> Array:
    """(FINE (n - 1) + 1 samples) the band-limited wavelet at FINE times its sampling, its middle sample in the middle."""
    from scipy.fft import irfft, next_fast_len, rfft

    n, half = len(wavelet), len(wavelet) // 2
    size = next_fast_len(4 * n, real=True)
    size += size % 2
    ring = np.zeros(size)
    ring[np.arange(-half, n - half)] = wavelet
    spectrum = rfft(ring)
    spectrum[-1] *= 0.5  # the Nyquist bin belongs to both sides
    return np.asarray(np.roll(irfft(spectrum, FINE * size) * FINE, FINE * half)[: FINE * (n - 1) + 1])
