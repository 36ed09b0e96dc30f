"""Made three-component records of local earthquakes with known onsets, to train and score the phase picker.

Rays through a layered crust give the times of direct and head waves, conversions and polarisation; causal wavelets, scattered
coda, coloured noise, hum, glitches, gains, polarities, narrow recording bands and missing components do the rest. Nothing
recorded enters. The network is in `picker`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

RATE = 100.0  # Hz, of every record the network sees
SAMPLES = 3072  # of one window, 30.72 s
LEAD = 1024  # samples made before the window: filters settle, coda of earlier events runs in
CORNER = 1.0  # Hz, causal high-pass before the network
TOTAL = LEAD + SAMPLES


@dataclass(frozen=True)
class Record:
    """One window. data: (Z and two horizontals, sample), high-passed; onsets in samples after its start; `snr` of each P."""

    data: Array
    p: tuple[int, ...]
    s: tuple[int, ...]
    snr: tuple[float, ...]


@cache
def high_pass() -> Array:
    """Second-order sections of the causal Butterworth high-pass (2 poles) every record goes through."""
    from scipy.signal import butter

    return np.asarray(butter(2, CORNER, "highpass", fs=RATE, output="sos"))


def make_record(seed: int | tuple[int, ...]) -> Record:
    """The record of this seed: in six of seven an earthquake or two, else noise and disturbances alone."""
    from scipy.signal import sosfilt

    rng = np.random.default_rng(seed)
    noise = np.asarray(sosfilt(high_pass(), _noise(rng), axis=-1))
    noise /= np.maximum(noise[:, LEAD:].std(axis=1, keepdims=True), 1e-12)
    noise *= np.exp(rng.normal(0, 0.3, (3, 1)))
    signal = np.zeros((3, TOTAL))
    p, s, snr = [], [], []
    events = rng.choice([0, 1, 2], p=[0.14, 0.72, 0.14])
    starts = rng.uniform(-700 if events else 0, SAMPLES - 50, events) + LEAD
    for start in sorted(starts):
        onset, other, motion = _event(rng, int(start))
        motion = np.asarray(sosfilt(high_pass(), motion, axis=-1))
        last = min(onset + 100, max(other, onset + 10), TOTAL)
        peak = float(np.abs(motion[:, onset:last]).max()) if onset < TOTAL else 0.0
        ratio = float(np.exp(rng.uniform(np.log(2.5), np.log(200))))
        if peak > 0:
            signal += motion * (ratio / peak)
            p.append(onset)
            s.append(other)
            snr.append(ratio)
    data = signal + noise
    _disturb(rng, data)
    data *= np.exp(rng.normal(0, 0.2, (3, 1))) * rng.choice([-1.0, 1.0])
    if rng.random() < 0.35:
        data = _narrow(data, rng.choice([8.0, 16.0, 20.0, 30.0, 40.0]))
    if rng.random() < 0.18:
        data[rng.choice([[1, 2], [1, 2], [1, 1], [2, 2], [0, 0]])] = 0.0
    end = TOTAL if rng.random() > 0.08 else int(rng.integers(LEAD + SAMPLES // 3, TOTAL))  # a record shorter than the window
    data[:, end:] = 0.0
    kept = [(a - LEAD, r) for a, r in zip(p, snr, strict=True) if LEAD <= a < end]
    return Record(
        data[:, LEAD:].astype(np.float32), tuple(a for a, _ in kept), tuple(b - LEAD for b in s if LEAD <= b < end), tuple(r for _, r in kept)
    )


def _event(rng: np.random.Generator, start: int) -> tuple[int, int, Array]:
    """(P sample, S sample, ground motion (3, TOTAL)) of an earthquake whose P comes at `start`."""
    count = int(rng.integers(2, 6))
    vp = np.sort(np.r_[rng.uniform(1.6, 5.6), rng.uniform(4.5, 7.0, count - 2), rng.uniform(6.5, 8.2)])  # km/s
    ratio = rng.uniform(1.65, 1.85, count)
    ratio[0] = rng.uniform(1.65, 2.6) if vp[0] < 3.5 else ratio[0]
    thick = np.exp(rng.uniform(np.log(0.2), np.log(12), count))
    depth = float(np.clip(np.exp(rng.uniform(np.log(0.8), np.log(25))), 0, thick.sum() * 0.98))
    distance = float(np.exp(rng.uniform(np.log(2), np.log(120))))
    p_times = _first(vp, thick, depth, distance)
    s_times = _first(vp / ratio, thick, depth, distance)
    late = {name: [(t - p_times[0][0], size, slow) for t, size, slow in times] for name, times in (("P", p_times), ("S", s_times))}
    s_start = start + max(round(RATE * late["S"][0][0]), 15)
    away = rng.uniform(0, 2 * np.pi)
    turn = np.array([[1, 0, 0], [0, np.cos(away), -np.sin(away)], [0, np.sin(away), np.cos(away)]])  # Z R T to Z N E
    corner = float(np.exp(rng.uniform(np.log(2), np.log(22))))
    strength = float(np.exp(rng.uniform(np.log(0.8), np.log(6))))  # of S over P
    split = rng.uniform(0, 2 * np.pi)  # between SV and SH
    total = np.zeros((3, TOTAL))
    delay = thick[0] * (ratio[0] - 1) / vp[0]  # s, between P and S through the top layer
    for phase, first, velocity in (("P", start, vp[0]), ("S", s_start, vp[0] / ratio[0])):
        pulses = np.zeros((3, TOTAL))
        for i, (time, size, slow) in enumerate(late[phase]):
            sine = min(slow * velocity, 0.98)
            cosine = float(np.sqrt(1 - sine**2))
            if phase == "P":
                direction = np.array([cosine, -sine, 0.05 * rng.normal()])
            else:
                direction = strength * np.array([sine * np.cos(split), cosine * np.cos(split), np.sin(split)])
            at = first + round(RATE * (time - late[phase][0][0]))
            for j, sub in enumerate(np.r_[0.0, rng.exponential(1 / corner, int(rng.integers(0, 3)))]):  # a rupture of a few pulses
                where = at + round(RATE * sub)
                if 0 <= where < TOTAL:
                    pulses[:, where] += direction * size * (1.0 if j == 0 else rng.uniform(-0.5, 1.5))
            if i == 0 and delay < 3:
                where = at + round(RATE * delay) * (1 if phase == "P" else -1)
                if start + 5 < where < TOTAL:  # P to S after P on the radial, S to P before S on the vertical
                    pulses[1 if phase == "P" else 0, where] += size * rng.uniform(0, 0.4) * (1.0 if phase == "P" else strength)
        energy = float(np.abs(pulses).max())
        tail = np.arange(TOTAL) - first
        decay = RATE * float(np.exp(rng.uniform(np.log(0.7), np.log(12))))
        envelope = np.where(tail > 0, np.exp(-np.maximum(tail, 0) / decay), 0.0)
        density = rng.random((3, TOTAL)) < rng.choice([0.03, 0.1, 1.0])
        coda = rng.normal(size=(3, TOTAL)) * envelope * density
        weight = np.array([[1.0], [0.8], [0.8]]) if phase == "P" else np.array([[0.55], [1.0], [1.0]])
        pulses += coda * weight * energy * float(np.exp(rng.uniform(np.log(0.05), np.log(0.6))))
        wave = _wavelet(rng, corner / (1.0 if phase == "P" else rng.uniform(1.0, 2.2)))
        length = 4704  # at least TOTAL and a wavelet, and fast
        total += np.fft.irfft(np.fft.rfft(turn @ pulses, length) * np.fft.rfft(wave, length), length)[:, :TOTAL]
    return start, s_start, total


def _first(v: Array, thick: Array, depth: float, distance: float) -> list[tuple[float, float, float]]:
    """(time s, amplitude, ray parameter s/km) of direct and head waves from `depth` in layers of velocity v, the earliest first."""
    top = np.r_[0.0, np.cumsum(thick)[:-1]]
    above = np.clip(depth - top, 0, thick)
    above[-1] = max(depth - top[-1], 0.0)
    used = above > 0
    h, u = above[used], v[used]
    p = (1 - np.geomspace(1, 1e-6, 80)) / u.max()
    eta = np.sqrt(1 - (p[:, None] * u) ** 2)
    reach = (h * p[:, None] * u / eta).sum(1)
    slow = float(np.interp(distance, reach, p))
    time = float((h / u * np.sqrt(1 - (slow * u) ** 2)).sum() + slow * distance)
    found = [(time, 1.0, slow)]
    for k in range(int(used.sum()), len(v)):  # head waves along the top of layer k, below the source
        if v[k] <= v[:k].max():
            continue
        slow = 1 / float(v[k])
        eta = np.sqrt(1 - (slow * v[:k]) ** 2) / v[:k]
        legs = 2 * thick[:k] - above[:k]
        if (legs * slow / eta).sum() < distance:
            found.append((float((legs * eta).sum() + slow * distance), 0.35, slow))
    found.sort()
    return found[:3]


def _wavelet(rng: np.random.Generator, corner: float) -> Array:
    """A causal pulse of unit peak that begins at its first sample."""
    t = np.arange(600) / RATE
    power = int(rng.choice([0, 0, 1]))
    damping = rng.uniform(0.35 if power else 0.15, 1.0)
    angle = 2 * np.pi * min(corner, 0.4 * RATE) * t
    wave = t**power * np.exp(-damping * angle) * np.sin(angle + rng.choice([0.0, 0.5]))
    return np.asarray(wave / np.abs(wave).max())


def _noise(rng: np.random.Generator) -> Array:
    """(3, TOTAL) coloured noise: a power law, the microseism, a site resonance, hum, and slow swells of its level."""
    frequency = np.fft.rfftfreq(TOTAL, 1 / RATE)
    f = np.maximum(frequency, frequency[1])
    shape = f ** -rng.uniform(-0.3, 1.3)
    shape += rng.uniform(0, 30) * np.exp(-(np.log(f / rng.uniform(0.12, 0.4)) ** 2) / 0.15)
    if rng.random() < 0.5:
        shape *= 1 + rng.uniform(0, 6) * np.exp(-(np.log(f / np.exp(rng.uniform(0, 3.4))) ** 2) / rng.uniform(0.01, 0.3))
    white = rng.normal(size=(3, len(f))) + 1j * rng.normal(size=(3, len(f)))
    noise = np.fft.irfft(white * shape, TOTAL)
    t = np.arange(TOTAL) / RATE
    if rng.random() < 0.2:
        hum = np.sin(2 * np.pi * rng.uniform(3, 49) * t + rng.uniform(0, 6.28, (3, 1)))
        noise += hum * noise.std(1, keepdims=True) * rng.uniform(0, 1.5, (3, 1)) * (f[-1] * 0.02)
    if rng.random() < 0.25:  # a passing vehicle
        swell = np.exp(-(((t - rng.uniform(0, t[-1])) / rng.uniform(2, 10)) ** 2))
        noise *= 1 + rng.uniform(0, 4) * swell
    return np.asarray(noise)


def _disturb(rng: np.random.Generator, data: Array) -> None:
    """Spikes, and bursts that are no earthquake, into `data`."""
    for _ in range(int(rng.choice([0, 1, 2, 4], p=[0.7, 0.15, 0.1, 0.05]))):
        at = int(rng.integers(LEAD, TOTAL - 5))
        size = float(np.exp(rng.uniform(np.log(3), np.log(60)))) * rng.choice([-1, 1])
        which = int(rng.integers(0, 3))
        if rng.random() < 0.5:
            data[which, at : at + int(rng.integers(1, 4))] += size
        else:  # a narrow burst, symmetric in time or nearly so, on one component or all
            width = rng.uniform(3, 40)
            n = np.arange(TOTAL) - at
            burst = size * np.exp(-((n / width) ** 2)) * np.cos(2 * np.pi * rng.uniform(2, 35) * n / RATE)
            data[slice(None) if rng.random() < 0.4 else slice(which, which + 1)] += burst


def _narrow(data: Array, corner: float) -> Array:
    """Without what lies above `corner`, Hz: as from a slower digitiser, resampled."""
    f = np.fft.rfftfreq(data.shape[1], 1 / RATE)
    return np.asarray(np.fft.irfft(np.fft.rfft(data) / (1 + (f / corner) ** 16), data.shape[1]))
