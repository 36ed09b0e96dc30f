"""Onsets by the trained network, for `pick_phases` with the method "network": records made ready for it, picks in seconds."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from moho.errors import Refusal
from moho.survey import Array

if TYPE_CHECKING:
    import obspy

SLOWEST = 20.0  # Hz, lowest sampling rate the network was trained for
LATEST = 60.0  # s after a P within which an S belongs to it
RISE = (1.0, 5.0)  # s after and before an onset, whose amplitudes are compared


def network_onsets(vertical: obspy.Trace, sides: list[obspy.Trace]) -> tuple[list[tuple[str, float, float, float]], int, float]:
    """((phase, s after the start, uncertainty s, amplitude ratio) of every onset, S left out, largest probability) of one instrument."""
    from moho.encoders.picker import load_picker
    from moho.encoders.picker_records import RATE

    picker = load_picker()
    data = at_100_hz(vertical, sides)
    picks = picker.pick_window(data)
    p = [sample for phase, sample, _, _ in picks if phase == "P"]
    three = bool(data.any(axis=1).all())  # on a lone vertical a converted wave passes for S
    kept = [pick for pick in picks if pick[0] == "P" or (three and any(0 < pick[1] - sample < LATEST * RATE for sample in p))]
    found = [(phase, sample / RATE, error, _rise(data, round(sample), RATE)) for phase, sample, _, error in kept]
    return found, len(picks) - len(kept), float(picker.probabilities(data).max())


def at_100_hz(vertical: obspy.Trace, sides: list[obspy.Trace]) -> Array:
    """(3, sample) float32 as the network wants it: 100 Hz, causal high-pass, vertical and two horizontals, zero where absent."""
    from scipy.signal import resample_poly, sosfilt

    from moho.encoders.picker_records import RATE, high_pass

    rate = float(vertical.stats.sampling_rate)
    if rate < SLOWEST:
        raise Refusal("E_PHYSICS", f"{vertical.id} has {rate:g} samples/s; the network wants at least {SLOWEST:g}.", 'Use the method "sta-lta".')
    horizontal = sorted(sides, key=lambda trace: ("N1E2".find(trace.id[-1]) % 5, trace.id))[:2]
    length = min(trace.stats.npts for trace in (vertical, *horizontal))
    step = Fraction(RATE / rate).limit_denominator(1000)
    rows = []
    for trace in (vertical, *horizontal):
        row = trace.data[:length] - trace.data[:length].mean()
        if step != 1:
            row = resample_poly(row, step.numerator, step.denominator)
        rows.append(sosfilt(high_pass(), row))
    made = np.zeros((3, len(rows[0])), np.float32)
    made[: len(rows)] = rows
    return made


def _rise(data: Array, onset: int, rate: float) -> float:
    """Ratio of rms amplitudes of all components, after to before."""
    before = data[:, max(onset - round(RISE[1] * rate), 0) : max(onset - round(0.05 * rate), 1)]
    after = data[:, onset : onset + round(RISE[0] * rate)]
    power = [float((part.astype(float) ** 2).mean()) if part.size else 0.0 for part in (before, after)]
    return float(np.sqrt(power[1] / power[0])) if power[0] > 0 else float("inf")
