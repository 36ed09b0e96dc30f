"""Direct current over layers and over a 2-D section: SimPEG's forward models, and a Gauss-Newton inversion in data space.

The 2.5-D finite volumes (nodal, 11 wavenumbers) are divided by their own answer over a half-space and multiplied by the true one, which
takes out what the mesh does near the electrodes. The tools that use this are in `electromagnetics`.
"""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from moho.errors import Refusal
from moho.survey import Array, DCSurvey

WAVENUMBERS = 11
CELLS = 20_000  # at most, with padding
GROWTH = 1.12  # of the cells downward
SMALL = 1e-2  # weight of closeness to the reference against smoothness, both a cell
STEPS = 8
PADS = 9  # cells beyond the section, 1.4 times as large each
TRUSTED = 0.2  # index of investigation up to which a cell is the data's


def layered(rho: Array, h: Array, a: Array, b: Array, m: Array, n: Array) -> Array:
    """(datum,) ohm.m, apparent resistivity of electrodes on layered ground."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SimPEG announces its own deprecations on import
        from simpeg.electromagnetics.static import resistivity as dc

        flat = [np.column_stack([x, np.zeros_like(x), np.zeros_like(x)]) for x in (a, b, m, n)]
        sources = [
            dc.sources.Dipole([dc.receivers.Dipole(flat[2][k : k + 1], flat[3][k : k + 1], data_type="apparent_resistivity")], flat[0][k], flat[1][k])
            for k in range(len(a))
        ]
        survey = dc.Survey(sources)
        survey.set_geometric_factor()
        if not len(h):  # SimPEG wants an interface
            rho, h = np.array([rho[0], rho[0]]), np.array([float(np.abs(b - a).max())])
        simulation = dc.Simulation1DLayers(survey=survey, rho=rho, thicknesses=h)
        return np.asarray(simulation.dpred(None), dtype=float)


@dataclass(frozen=True)
class Plan:
    """The data that are used and the section they will get."""

    line: DCSurvey
    rows: Array  # (datum,) int
    x_edges: Array  # m, of the section
    z_edges: Array  # m, down
    dx: Array  # m, cell widths with padding
    dz: Array  # m, cell heights downward with padding
    notes: tuple[str, ...]

    @property
    def spacing(self) -> float:
        """m, between electrodes."""
        return float(np.median(np.diff(self.line.electrodes)))

    @property
    def cells(self) -> int:
        """Of the whole mesh."""
        return len(self.dx) * len(self.dz)

    @property
    def seconds(self) -> float:
        return 8 + 2.5e-5 * self.cells * len(self.rows)

    @property
    def bytes(self) -> float:
        return 8.0 * self.cells * (4 * len(self.rows) + 60 * WAVENUMBERS) + 4e8


def plan(line: DCSurvey, cell: float | None, depth: float | None) -> Plan:
    """A section for the line: cells of a quarter of the electrode spacing, down to 0.2 of the longest array at least."""
    if line.quantity != "resistance":
        raise Refusal("E_UNITS", f"{line.title or 'the line'} holds {line.quantity}; a resistivity section needs resistances (V/I in ohm).")
    apparent = line.apparent
    notes = []
    good = np.isfinite(apparent) & (apparent > 0)
    if lost := int((~good).sum()):
        notes.append(f"{lost} of {len(good)} data left out: their apparent resistivity is negative or not finite")
    if good.sum() < 10:
        raise Refusal("E_DATA", f"{int(good.sum())} data with a positive apparent resistivity are too few for a section; 10 are needed.")
    rows = np.flatnonzero(good)
    places = line.electrodes
    if len(places) < 6:
        raise Refusal("E_GEOMETRY", f"{len(places)} electrode positions are too few for a section; 6 are needed.")
    spacing = float(np.median(np.diff(places)))
    length = float(np.ptp(places))
    size = 0.25 * spacing if cell is None else cell
    if size > 0.5 * spacing:
        raise ValueError(f"cells of {size:g} m are too large for electrodes {spacing:g} m apart; at most {0.5 * spacing:g} m")
    _, pseudo = line.pseudosection
    reach = 1.5 * float(pseudo[rows].max()) if depth is None else depth
    if not 2 * size <= reach <= 2 * length:
        raise ValueError(f"depth must be from {2 * size:g} to {2 * length:g} m for this line, got {reach:g}")
    first, last = places[0] - 4 * size, places[-1] + 4 * size
    x_edges = first + size * np.arange(round((last - first) / size) + 1)
    heights = [0.5 * size]
    while sum(heights) < reach:
        heights.append(heights[-1] * GROWTH)
    pads = 1.4 ** np.arange(1, PADS + 1)
    dx = np.concatenate([size * pads[::-1], np.diff(x_edges), size * pads])
    dz = np.concatenate([heights, heights[-1] * pads])
    made = Plan(line, rows, x_edges, np.concatenate([[0.0], np.cumsum(heights)]), dx, dz, ())
    notes.append(f"cells {size:g} m wide and {heights[0]:.3g} to {heights[-1]:.3g} m high, {made.cells} with padding, to {made.z_edges[-1]:.4g} m")
    notes.append(f"estimate before it ran: {made.seconds:.0f} s and {made.bytes / 1e9:.2g} GB")
    if made.cells > CELLS:
        raise Refusal("E_LIMIT", f"cells of {size:g} m make {made.cells}; at most {CELLS} are inverted.", "Use larger cells or less depth.")
    return Plan(line, rows, x_edges, made.z_edges, dx, dz, tuple(notes))


def errors(line: DCSurvey, plan: Plan, asked: float | None) -> tuple[Array, list[str]]:
    """(datum,) relative standard deviations, and where they come from."""
    if asked is not None:
        return np.full(len(plan.rows), asked / 100), [f"error {asked:g} % of every datum, as asked"]
    if line.error is None:
        return np.full(len(plan.rows), 0.05), ["the data have no errors: 5 % is assumed"]
    relative = np.asarray(line.error[plan.rows] / np.abs(line.value[plan.rows]), dtype=float)
    low = int(np.sum(relative < 0.01))
    note = f"errors of the file, median {100 * float(np.median(relative)):.3g} %" + (f"; {low} raised to 1 %" if low else "")
    return np.maximum(relative, 0.01), [note]


@dataclass(frozen=True)
class Section:
    """What an inversion found."""

    resistivity: Array  # (z, x) ohm.m of the section, without padding
    index: Array  # (z, x) 0 where the data decide, 1 where the reference does
    predicted: Array  # (datum,) ohm.m
    misfit: float  # phi_d/N
    beta: float
    target: float
    reference: float  # ohm.m
    numerical: float  # largest error of the forward model over a half-space, before it is corrected
    iterations: int


class Forward:
    """SimPEG's 2.5-D simulation of a plan: ln apparent resistivity, and its derivative by ln resistivity of every cell."""

    def __init__(self, plan: Plan) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import discretize
            from simpeg import maps
            from simpeg.electromagnetics.static import resistivity as dc
            from simpeg.utils import get_default_solver

            line, rows = plan.line, plan.rows
            origin = [plan.x_edges[0] - plan.dx[:PADS].sum(), -plan.dz.sum()]
            self.mesh = discretize.TensorMesh([plan.dx, plan.dz[::-1]], origin=origin)
            a, b, m, n = (array[rows] for array in (line.a, line.b, line.m, line.n))
            self.order: list[int] = []
            sources = []
            pairs = list(dict.fromkeys(zip(a.tolist(), b.tolist(), strict=True)))
            for first, second in pairs:
                mine = np.flatnonzero((a == first) & (b == second))
                for remote in (False, True):
                    some = mine[np.isinf(n[mine]) == remote]
                    if not len(some):
                        continue
                    at = np.column_stack([m[some], np.zeros(len(some))])
                    receiver = (
                        dc.receivers.Pole(at) if remote else dc.receivers.Dipole(at, np.column_stack([n[some], np.zeros(len(some))]))
                    )
                    source = (
                        dc.sources.Pole([receiver], np.array([first, 0.0]))
                        if math.isinf(second)
                        else dc.sources.Dipole([receiver], np.array([first, 0.0]), np.array([second, 0.0]))
                    )
                    sources.append(source)
                    self.order += some.tolist()
            self.simulation = dc.Simulation2DNodal(
                self.mesh, survey=dc.Survey(sources), rhoMap=maps.ExpMap(self.mesh), nky=WAVENUMBERS, storeJ=True, solver=get_default_solver()
            )
        self.factor = line.factor[rows]
        self.correction = np.ones(len(rows))
        raw = self.raw(np.zeros(self.mesh.n_cells))
        self.numerical = float(np.max(np.abs(raw * self.factor - 1)))
        if not np.all(raw * self.factor > 0) or self.numerical > 0.5:
            words = f"the mesh gives a half-space {100 * self.numerical:.0f} % wrong: electrodes are too uneven for these cells."
            raise Refusal("E_GEOMETRY", words, "Use smaller cells.")
        self.correction = 1 / (raw * self.factor)

    def raw(self, model: Array) -> Array:
        """(datum,) ohm, in the order of the plan."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = np.empty(len(self.order))
            values[self.order] = self.simulation.dpred(model)
            return values

    def apparent(self, model: Array) -> Array:
        """(datum,) ohm.m of ln resistivity."""
        return self.raw(model) * self.factor * self.correction

    def jacobian(self, model: Array, raw: Array) -> Array:
        """(datum, cell) derivative of ln apparent resistivity by ln resistivity."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = np.empty((len(self.order), self.mesh.n_cells))
            found[self.order] = np.asarray(self.simulation.getJ(model))
            return found / raw[:, None]


def invert(plan: Plan, relative: Array) -> Section:
    """The smoothest section that fits to phi_d/N 1, or the best fitting one.

    Every step solves dm = R^-1 J' (J R^-1 J' + beta S^2)^-1 (r + J dm_now) for many beta with one eigen-decomposition and takes the largest
    that fits. After three exact Jacobians Broyden's update stands in.
    """
    from scipy.linalg import eigh
    from scipy.sparse.linalg import splu

    forward = Forward(plan)
    observed = np.log(plan.line.apparent[plan.rows])
    reference = float(np.median(observed))
    factor = splu(_penalty(plan), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    base = np.full(forward.mesh.n_cells, reference)
    model = base.copy()
    apparent = forward.apparent(model)
    predicted = np.log(apparent)
    misfit = float(np.mean(((observed - predicted) / relative) ** 2))
    target, beta, iterations = 1.0, math.nan, 0
    jacobian = forward.jacobian(model, apparent / forward.factor / forward.correction) if misfit > 0 else None
    spread = kernel = None
    for step in range(STEPS):
        if jacobian is None or misfit <= 1e-6:
            break
        scaled = jacobian / relative[:, None]
        spread = factor.solve(np.ascontiguousarray(scaled.T))  # (cell, datum)
        kernel = scaled @ spread
        power, basis = eigh(0.5 * (kernel + kernel.T))
        power = np.maximum(power, 0.0)
        right = basis.T @ ((observed - predicted) / relative + scaled @ (model - base))
        goal = max(target, 0.15 * misfit)  # no further than the linear model holds
        low, high = math.log(1e-8 * power[-1]), math.log(1e5 * power[-1])
        for _ in range(60):
            middle = 0.5 * (low + high)
            left = np.mean((math.exp(middle) / (power + math.exp(middle)) * right) ** 2)
            low, high = (middle, high) if left < goal else (low, middle)
        beta = math.exp(0.5 * (low + high))
        wanted = base + spread @ (basis @ (right / (power + beta)))
        moved = False
        for share in (1.0, 0.5, 0.25):
            trial = np.clip(model + share * (wanted - model), math.log(1e-2), math.log(1e6))
            values = forward.apparent(trial)
            if np.all(values > 0):
                found = np.log(values)
                phi = float(np.mean(((observed - found) / relative) ** 2))
                if phi < misfit or phi <= 1.05 * target:
                    moved = True
                    break
        if not moved:
            break
        iterations += 1
        change, gain = trial - model, found - predicted
        small = abs(phi - misfit) < 0.02 * misfit
        before, model, predicted, misfit = misfit, trial, found, phi
        fits = misfit <= 1.05 * target
        if (fits and (before <= 1.3 * target or step >= 3)) or (small and not fits):
            break
        if iterations <= 2:
            jacobian = forward.jacobian(model, values / forward.factor / forward.correction)
        else:
            jacobian = jacobian + np.outer(gain - jacobian @ change, change) / max(float(change @ change), 1e-12)
    if spread is None or kernel is None or jacobian is None:
        index = np.zeros(forward.mesh.n_cells)
    else:  # how much of a shift of the reference comes through: 1 - K J 1
        scaled = jacobian / relative[:, None]
        seen = np.linalg.solve(kernel + beta * np.eye(len(kernel)), scaled.sum(axis=1))
        index = np.clip(np.abs(1 - spread @ seen), 0.0, 1.0)
    return Section(
        _cut(plan, np.exp(model)), _cut(plan, index), np.exp(predicted), misfit, beta if math.isfinite(beta) else 0.0, target, math.exp(reference),
        forward.numerical, iterations,
    )  # fmt: skip


def _cut(plan: Plan, values: Array) -> Array:
    """(z, x) of the section, z down, from values of the mesh, which counts up and has padding."""
    rows = values.reshape(len(plan.dz), len(plan.dx))[::-1]
    return rows[: len(plan.z_edges) - 1, PADS : PADS + len(plan.x_edges) - 1].copy()


def _penalty(plan: Plan) -> Any:
    """Sparse (cell, cell): squared differences between neighbours, weighted by face over distance and up near the electrodes, and closeness to
    the reference.

    Cells count z upward as the mesh does, x first.
    """
    from scipy.sparse import csc_matrix, diags, identity, kron

    dx, dz = plan.dx, plan.dz[::-1]
    unit = float(np.median(np.diff(plan.x_edges)))

    def differences(sizes: Array) -> Any:
        between = 0.5 * (sizes[1:] + sizes[:-1])
        count = len(sizes)
        step = diags([-np.ones(count - 1), np.ones(count - 1)], [0, 1], shape=(count - 1, count))
        return step, between

    step_x, between_x = differences(dx)
    step_z, between_z = differences(dz)
    along = kron(identity(len(dz)), step_x)
    down = kron(step_z, identity(len(dx)))
    depth = np.cumsum(plan.dz)[::-1] - 0.5 * dz
    shallow = np.maximum(1.0, 0.5 * plan.spacing / depth)  # electrodes see the cells beside them best, and place anything there
    weight_x = np.outer(dz * shallow, 1 / between_x).ravel()
    weight_z = np.outer(np.sqrt(shallow[1:] * shallow[:-1]) / between_z, dx).ravel()
    area = np.outer(dz, dx).ravel() / unit**2
    return csc_matrix(along.T @ diags(weight_x) @ along + down.T @ diags(weight_z) @ down + diags(SMALL * area))


def investigation(plan: Plan, index: Array) -> Array:
    """(x,) m, depth to which the index of a column stays at or below TRUSTED."""
    below = index > TRUSTED
    first = np.where(below.any(axis=0), np.argmax(below, axis=0), len(index))
    return np.asarray(plan.z_edges[first], dtype=float)


def free_memory() -> float:
    """Bytes the machine can still give."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return 1024.0 * float(line.split()[1])
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError):
        return 4e9
