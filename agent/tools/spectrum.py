"""A map in the Fourier domain: made metric, free of gaps and periodic first, so that potential-field kernels may be applied.

The kernels are harmonica's; `potential_fields` chooses them and says what they mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from moho.agent.tools.surfaces import not_constant
from moho.errors import Refusal
from moho.survey import Array, Grid

if TYPE_CHECKING:
    import xarray


class Spectrum:
    """A grid made ready for filters: plane out, gaps and a periodic rim filled harmonically, transformed once."""

    def __init__(self, grid: Grid) -> None:
        finite = np.isfinite(grid.values)
        if finite.sum() < 16:
            raise Refusal("E_DATA", f"{int(finite.sum())} values are too few for a Fourier filter.")
        not_constant(grid.values[finite], grid.quantity)
        self.grid, self.finite = grid, finite
        self.u, self.v = grid.x - grid.x.mean(), grid.y - grid.y.mean()
        columns, rows = np.meshgrid(self.u, self.v)
        design = np.column_stack([np.ones(int(finite.sum())), columns[finite], rows[finite]])
        norms = np.linalg.norm(design, axis=0)
        self.plane = np.linalg.lstsq(design / norms, grid.values[finite], rcond=None)[0] / norms
        rest = grid.values - self.sheet()
        shape = [good_length(n) for n in rest.shape]
        self.at = [(want - n) // 2 for want, n in zip(shape, rest.shape, strict=True)]
        padded = np.full(shape, np.nan)
        padded[self._inner] = rest
        self.transform = np.fft.fft2(harmonic_fill(padded))
        dx, dy = grid.spacing
        self.frequencies = {"northing": np.fft.fftfreq(shape[0], dy), "easting": np.fft.fftfreq(shape[1], dx)}
        empty = int((~finite).sum())
        filled = f"{empty} empty nodes ({100 * empty / finite.size:.1f} %) were filled smoothly for the transform and are empty again"
        padded_to = f"padded from {rest.shape[0]} x {rest.shape[1]} to {shape[0]} x {shape[1]} nodes; values near the edges are the least sure"
        self.notes = [*([filled] if empty else []), padded_to]

    @property
    def _inner(self) -> tuple[slice, slice]:
        rows, columns = self.grid.values.shape
        return slice(self.at[0], self.at[0] + rows), slice(self.at[1], self.at[1] + columns)

    def sheet(self) -> Array:
        """The plane on the grid, (northing, easting)."""
        centre, slope_x, slope_y = self.plane
        return np.asarray(centre + slope_x * self.u[None, :] + slope_y * self.v[:, None])

    def filtered(self, *shaped: tuple[Callable[..., Any], dict[str, Any]]) -> Array:
        """The map without its plane after these kernels, on the nodes of the grid."""
        import xarray

        frame: xarray.DataArray = xarray.DataArray(self.transform, coords=self.frequencies, dims=("northing", "easting"))
        result = frame
        for kernel, arguments in shaped:
            result = result * kernel(frame, **arguments)
        return np.fft.ifft2(result.transpose("northing", "easting").values).real[self._inner]


def good_length(n: int) -> int:
    """At least 1.6 times as long, a multiple of 32 with small factors."""
    from scipy.fft import next_fast_len

    return 32 * int(next_fast_len(math.ceil(1.6 * n / 32), real=False))


def harmonic_fill(values: Array) -> Array:
    """Values with NaN replaced by a smooth periodic surface: coarse to fine, relaxed towards Laplace's equation at each level."""
    known = np.isfinite(values)

    def fill(v: Array, known: Array) -> Array:
        rows, columns = v.shape
        if rows % 2 or columns % 2 or min(rows, columns) < 4 or known.all():
            return np.where(known, v, v[known].mean() if known.any() else 0.0)
        parts = v.reshape(rows // 2, 2, columns // 2, 2)
        weights = known.reshape(parts.shape).sum(axis=(1, 3))
        coarse = np.where(known, v, 0.0).reshape(parts.shape).sum(axis=(1, 3)) / np.maximum(weights, 1)
        guess = fill(coarse, weights > 0).repeat(2, axis=0).repeat(2, axis=1)
        for axis in (0, 1):
            guess = 0.5 * guess + 0.25 * (np.roll(guess, 1, axis) + np.roll(guess, -1, axis))
        filled = np.where(known, v, guess)
        for _ in range(12):
            around = 0.25 * (np.roll(filled, 1, 0) + np.roll(filled, -1, 0) + np.roll(filled, 1, 1) + np.roll(filled, -1, 1))
            filled = np.where(known, v, around)
        return filled

    return fill(np.where(known, values, 0.0), known)


def metric(grid: Grid, what: str) -> float:
    """The coarser spacing in m of a regular grid in metres; Refusal otherwise."""
    if grid.geographic:
        raise Refusal("E_GEOMETRY", f"{what} needs a grid in metres, this one is in degrees.", "grid_trend projects stations to metres.")
    for name, axis in (("easting", grid.x), ("northing", grid.y)):
        steps = np.diff(axis)
        if np.ptp(steps) > 1e-3 * steps.mean():
            raise Refusal("E_GEOMETRY", f"{what} needs an even grid; {name} steps run from {steps.min():g} to {steps.max():g} m.")
    return max(grid.spacing)
