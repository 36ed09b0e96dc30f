"""DC resistivity and IP lines from UBC-GIF observation files (DCIP2D, surface electrodes), as a `DCSurvey`.

A title line, a line of whole numbers of which the first counts the current dipoles, then for each of them `A B count` and as many
lines `M N value error`. Positions are metres along the line. The models these programs write (.CON, .CHG) need their mesh and are not read.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from moho.errors import DataError, Missing
from moho.files import clean, read_text, text_head
from moho.survey import DCSurvey
from moho.units import Quantity

MOST = 1_000_000  # data
LIKELY = (1e-2, 2e4)  # ohm.m, median apparent resistivity of a file of resistances


def looks_like(head: bytes, path: Path) -> bool:
    """Whether a title and whole numbers are followed by `A B count` and `M N value ...`."""
    lines = [line.split() for line in text_head(head).split("\n") if line.strip()][:5]
    if len(lines) < 4 or _floats(lines[0]) is not None:
        return False
    counts, current, first = (_floats(cells) for cells in lines[1:4])
    if counts is None or current is None or first is None:
        return False
    whole = 1 <= len(counts) <= 3 and all(value == int(value) for value in counts if math.isfinite(value))
    return whole and len(current) == 3 and current[2] == int(current[2]) >= 1 and len(first) in (3, 4)


def read_dcip(path: str | Path, *, quantity: str | None = None) -> DCSurvey:
    """The survey of a DCIP2D file. `quantity`: "resistance" (V/I in ohm) or "chargeability" (mV/V), where the numbers do not tell.

    Raises DataError: E_FORMAT, E_TRUNCATED, E_HEADER, E_GEOMETRY, E_LIMIT, E_ENCODING. Missing `quantity` when a file of resistances
    would have an impossible apparent resistivity, as one of chargeabilities has.
    """
    if quantity not in (None, "resistance", "chargeability"):
        raise ValueError(f"quantity must be resistance or chargeability, got {quantity!r}")
    path = Path(path)
    text, notes = read_text(path)
    name = path.name
    lines = [(number, line.split()) for number, line in enumerate(text.split("\n"), 1) if line.strip() and not line.lstrip().startswith("!")]
    if len(lines) < 2:
        raise DataError("E_TRUNCATED", f"{name} holds {len(lines)} line only.")
    counts = _floats(lines[1][1])
    if not counts or not 1 <= counts[0] <= MOST or counts[0] != int(counts[0]):
        raise DataError("E_FORMAT", f"{name}, line {lines[1][0]}: the number of current dipoles is {clean(' '.join(lines[1][1]), 40)!r}.")
    dipoles = int(counts[0])
    rows = _rows(lines[2:], dipoles, name)
    data = np.array(rows, dtype=float)
    a, b, m, n, value, error = data.T
    if not np.isfinite(data[:, :5]).all():
        raise DataError("E_HEADER", f"{name}: {int((~np.isfinite(data[:, :5])).any(axis=1).sum())} data hold a position or value that is no number.")
    if not float(np.ptp(data[:, :4])) > 0:
        raise DataError("E_GEOMETRY", f"{name}: all electrodes lie at {a[0]:g} m.")
    b = np.where(a == b, np.inf, b)  # how DCIP2D writes a pole
    n = np.where(m == n, np.inf, n)
    shared = (a == m) | (a == n) | (b == m) | ((b == n) & np.isfinite(b))
    if shared.any():
        row = int(np.argmax(shared))
        places = f"A {a[row]:g}, B {b[row]:g}, M {m[row]:g}, N {n[row]:g} m"
        raise DataError("E_GEOMETRY", f"{name}: datum {row + 1} measures at a current electrode ({places}).")
    if not np.isfinite(error).all():
        sigma = None
        notes = (*notes, "the file gives no errors")
    else:
        if (error <= 0).any():
            raise DataError("E_HEADER", f"{name}: {int((error <= 0).sum())} errors are not positive.")
        sigma = error
    common = {"a": a, "b": b, "m": m, "n": n, "value": value, "error": sigma, "line": path.stem, "title": path.stem}
    kind = quantity or "resistance"
    survey = DCSurvey(**common, quantity=kind)
    if kind == "resistance":
        apparent = survey.apparent
        finite = np.isfinite(apparent)
        if not finite.any():
            raise DataError("E_GEOMETRY", f"{name}: no datum has a finite geometric factor.")
        middle = float(np.median(np.abs(apparent[finite])))
        if quantity is None and not LIKELY[0] <= middle <= LIKELY[1]:
            words = f"Read as V/I, {name} has a median apparent resistivity of {middle:.3g} ohm.m"
            raise Missing("quantity", f"{words}: are its values resistances (ohm) or chargeabilities (mV/V)?", ("resistance", "chargeability"))
        negative = int(np.sum(apparent < 0))
        notes = (*notes, "values taken as V/I in ohm, positions as metres along a straight line on flat ground")
        if negative:
            notes = (*notes, f"{negative} of {len(value)} apparent resistivities are negative")
        facts = {
            "dipoles": Quantity(dipoles, "", "current dipoles"),
            "median": Quantity(float(np.median(apparent)), "ohm.m", "median apparent resistivity"),
            "negative": Quantity(negative, "", "negative apparent resistivities"),
        }
    else:
        facts = {"dipoles": Quantity(dipoles, "", "current dipoles")}
        notes = (*notes, "values taken as apparent chargeability in mV/V")
    return DCSurvey(**common, quantity=kind, facts=facts, notes=(*notes, f"title line: {clean(text.split(chr(10), 1)[0], 80)}"))


def _rows(lines: list[tuple[int, list[str]]], dipoles: int, name: str) -> list[list[float]]:
    """[A, B, M, N, value, error] of every datum, error NaN where the file has none."""
    rows: list[list[float]] = []
    at = 0
    for dipole in range(dipoles):
        if at >= len(lines):
            raise DataError("E_TRUNCATED", f"{name} ends after {dipole} of {dipoles} current dipoles.")
        number, cells = lines[at]
        current = _floats(cells)
        if current is None or len(current) != 3 or current[2] != int(current[2]) or not 0 <= current[2] <= MOST:
            raise DataError("E_FORMAT", f"{name}, line {number}: `A B count` was expected, got {clean(' '.join(cells), 40)!r}.")
        count = int(current[2])
        at += 1
        for number, cells in lines[at : at + count]:
            values = _floats(cells)
            if values is None:
                raise DataError("E_FORMAT", f"{name}, line {number}: {clean(' '.join(cells), 40)!r} is not `M N value error`.")
            if len(values) not in (3, 4):
                code = "E_TRUNCATED" if number == lines[-1][0] and len(values) < 3 else "E_HEADER"
                raise DataError(code, f"{name}, line {number}: {len(values)} numbers, not `M N value error`.")
            rows.append([current[0], current[1], *values, *([math.nan] if len(values) == 3 else [])])
        if at + count > len(lines):
            raise DataError("E_TRUNCATED", f"{name} ends in current dipole {dipole + 1} of {dipoles}: {len(lines) - at} of {count} data are there.")
        at += count
    if at < len(lines):
        raise DataError("E_HEADER", f"{name}: line {lines[at][0]} follows the {dipoles} current dipoles that were declared.")
    if not rows:
        raise DataError("E_TRUNCATED", f"{name} holds no datum.")
    return rows


def _floats(cells: list[str]) -> list[float] | None:
    """The cells as numbers, None where one is none."""
    try:
        return [float(cell.replace("D", "E")) for cell in cells]
    except ValueError:
        return None
