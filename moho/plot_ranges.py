"""Which samples a picture shows and which values its colours span: the numbers behind a drawing, without matplotlib.

Plot tools report them and drawings use them, so that both say the same.
"""

from __future__ import annotations

import numpy as np

from moho.survey import Array, Gather, Seismic

# quantity -> colour map and fixed range; what is not listed is sequential over its 1st to 99th percentile
SIGNED = {"amplitude", "difference", "residual", "noise", "quadrature", "relative impedance", "relative acoustic impedance", "reflectivity"}
SCALES: dict[str, tuple[str, float | None, float | None]] = {
    "acoustic impedance": ("viridis", None, None), "envelope": ("magma", 0.0, None), "rms amplitude": ("magma", 0.0, None),
    "sweetness": ("magma", 0.0, None), "coherence": ("gray", None, 1.0), "fault likelihood": ("magma", 0.0, 1.0),
    "instantaneous phase": ("twilight", -180.0, 180.0), "instantaneous frequency": ("viridis", 0.0, None),
}  # fmt: skip
ABOUT_ZERO = ("residual", "derivative", "difference", "tilt", "contrast", "misfit")  # quantities whose sign is the message


def robust(values: Array, low: float = 1.0, high: float = 99.0) -> tuple[float, float]:
    """Percentiles of what is finite, never of equal value; from at most about two million samples."""
    flat = np.asarray(values).ravel()
    flat = flat[:: max(1, flat.size // 2_000_000)]
    flat = flat[np.isfinite(flat)]
    if not flat.size:
        return 0.0, 1.0
    bottom, top = (float(v) for v in np.percentile(flat, [low, high]))
    if top - bottom <= 1e-9 * max(abs(top), abs(bottom)):
        bottom, top = float(flat.min()), float(flat.max())
    if top <= bottom:
        bottom, top = bottom - 0.5 * (abs(bottom) or 1), top + 0.5 * (abs(top) or 1)
    return bottom, top


def window(data: Seismic | Gather) -> tuple[int, int]:
    """First and one past the last sample between `top` and `base` of the view."""
    top, base = data.view.get("top"), data.view.get("base")
    times = data.times
    first = 0 if top is None else int(np.searchsorted(times, float(top) - 1e-6 * data.dt))
    last = len(times) if base is None else int(np.searchsorted(times, float(base) + 1e-6 * data.dt, side="right"))
    return max(min(first, len(times) - 2), 0), max(last, first + 2)


def colours(data: Seismic | Gather) -> tuple[float, float]:
    """Colour limits of the window in view: about zero at the clip percentile of |amplitude|, else percentiles of the quantity."""
    first, last = window(data)
    clip = float(data.view.get("clip", 99.0))
    shown = data.data[:, first:last]
    if isinstance(data, Gather) or data.quantity in SIGNED:
        largest = robust(np.abs(shown), 0, clip)[1]
        return -largest, largest
    _, low, high = SCALES.get(data.quantity, ("viridis", None, None))
    bottom, top = robust(shown, 100 - clip, clip)
    bottom, top = bottom if low is None else low, top if high is None else high
    return bottom, top if top > bottom else bottom + (abs(bottom) or 1.0) * 1e-6


def about_zero(quantity: str) -> bool:
    """Whether the sign of this quantity is the message, so that its colours are centred on zero."""
    return any(word in quantity.lower() for word in ABOUT_ZERO)


def map_colours(values: Array, quantity: str) -> tuple[float, float]:
    """Colour limits of a map: 0.5 to 99.5 percent of what is finite, about zero where the quantity has a sign."""
    low, high = robust(values, 0.5, 99.5)
    if about_zero(quantity):
        high = max(abs(low), abs(high))
        low = -high
    return low, high
