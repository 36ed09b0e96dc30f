"""Magnetotelluric soundings from SEG EDI files, as an `MTSounding` in ohm with time as exp(+iwt).

The blocks are read here: mt_metadata takes five seconds to import, and a block that ends early leaves it as a bare shape error.
Spectra and time-series EDI files are recognised and refused. Impedance is written in mV/km/nT unless the file says ohm.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from moho.errors import DataError
from moho.files import clean, read_text, text_head
from moho.survey import Array, MTSounding
from moho.units import Quantity

FIELD = 4e-4 * math.pi  # ohm of 1 mV/km/nT: mu0 times 1000
EMPTY = 1e32
MOST = 100_000  # frequencies
PARTS = (("XX", 0, 0), ("XY", 0, 1), ("YX", 1, 0), ("YY", 1, 1))
OTHERS = {"SPECTRA": "cross spectra", "TSERIES": "time series", "=TSERIESSECT": "time series", "=EMAPSECT": "an EMAP section"}


@dataclass(frozen=True)
class Block:
    """One `>NAME options // count` and what follows it."""

    name: str
    head: str
    body: str
    line: int  # of the file


def looks_like(head: bytes, path: Path) -> bool:
    """Whether the first words are `>HEAD`, or the file is called .edi and its first line begins with `>`."""
    lines = (line.strip() for line in text_head(head).split("\n"))
    first = next((line for line in lines if line), "")
    return re.match(r">\s*HEAD\b", first, re.I) is not None or (path.suffix.lower() == ".edi" and first.startswith(">"))


def read_edi(path: str | Path) -> MTSounding:
    """The sounding of an EDI file: impedance, or apparent resistivity and phase where it has only those, with errors and tipper.

    Errors are square roots of the VAR blocks. Nothing is rotated: `rotation` is the angle the file gives.
    Raises DataError: E_FORMAT, E_TRUNCATED, E_HEADER, E_UNSUPPORTED, E_LIMIT, E_ENCODING, E_GEOMETRY, E_DATA.
    """
    path = Path(path)
    text, said = read_text(path)
    name, notes = path.name, [*said]
    blocks = _blocks(text, name)
    named: dict[str, Block] = {}
    for block in blocks:
        if block.name in named and block.name in ("FREQ", "ZXYR", "=MTSECT"):
            raise DataError("E_UNSUPPORTED", f"{name} holds several soundings ({block.name} again on line {block.line}).", "Split it by station.")
        named.setdefault(block.name, block)
    ended = "END" in named
    if not ended:
        notes.append("the file has no >END; every block it holds is complete")
    head = {**_options(named["=DEFINEMEAS"].body if "=DEFINEMEAS" in named else ""), **_options(named["HEAD"].body if "HEAD" in named else "")}
    empty = _number(head.get("EMPTY", ""), EMPTY)
    if "FREQ" not in named:
        if other := next((words for key, words in OTHERS.items() if key in named), ""):
            raise DataError("E_UNSUPPORTED", f"{name} holds {other}, not impedances.", "Export it with impedance blocks (ZXYR, ZXYI ...).")
        code = "E_HEADER" if ended else "E_TRUNCATED"
        raise DataError(code, f"{name} has no FREQ block; it holds {', '.join(clean(block.name, 20) for block in blocks[:8])}.")
    frequency = _numbers(named["FREQ"], None, empty, name)
    count = len(frequency)
    declared = _options(named["=MTSECT"].body).get("NFREQ") if "=MTSECT" in named else None
    if declared is not None and int(_number(declared, count)) != count:
        raise DataError("E_HEADER", f"{name}: NFREQ is {clean(declared, 20)} and the FREQ block holds {count}.")
    if not np.all(np.isfinite(frequency)) or not np.all(frequency > 0):
        raise DataError("E_HEADER", f"{name}: frequencies must be positive numbers; the least is {np.nanmin(frequency):g}.")
    values = {key: _numbers(block, count, empty, name) for key, block in named.items() if re.match(r"(Z|T|RHO|PHS)[XYR]|[ZT]ROT", key)}
    impedance, error, more = _impedance(values, head, frequency, name)
    notes += more
    if not np.isfinite(impedance[:, 0, 1]).any() and not np.isfinite(impedance[:, 1, 0]).any():
        raise DataError("E_DATA", f"{name}: every value of Zxy and Zyx is empty ({empty:g}).")
    tipper = _tipper(values, count)
    impedance, tipper, more = _time_sign(impedance, tipper, named.get("INFO"))
    notes += more
    rotation, more = _rotation(values.get("ZROT"), named.get("INFO"))
    notes += more
    order = np.argsort(-frequency, kind="stable")
    if (np.diff(frequency[order]) == 0).any():
        raise DataError("E_GEOMETRY", f"{name}: a frequency comes twice.")
    elevation = _number(head.get("ELEV", head.get("REFELEV", "")), math.nan)
    station = clean(head.get("DATAID", "").strip('"')) or path.stem
    return MTSounding(
        title=station, station=station, frequency=frequency[order], impedance=impedance[order],
        error=None if error is None else error[order], tipper=None if tipper is None else tipper[order], rotation=rotation,
        latitude=_degrees(head.get("LAT", head.get("REFLAT", "")), name, 90), longitude=_degrees(head.get("LON", head.get("LONG", "")), name, 180),
        elevation=elevation if math.isfinite(elevation) else None, notes=tuple(notes),
        facts={"missing": Quantity(int((~np.isfinite(impedance)).sum()), "", "missing impedance values")},
    )  # fmt: skip


# -- blocks


def _blocks(text: str, name: str) -> list[Block]:
    """Everything that starts with `>` at the left of a line; comments (`>!`) fall away."""
    found: list[Block] = []
    lines = text.split("\n")
    starts = [i for i, line in enumerate(lines) if line.lstrip().startswith(">")]
    for start, stop in zip(starts, [*starts[1:], len(lines)], strict=True):
        head = lines[start].lstrip()[1:].strip()
        key = re.match(r"=?\s*[A-Za-z0-9_.]+", head)
        if head.startswith("!") or key is None:
            continue
        found.append(Block(key[0].replace(" ", "").upper(), head[key.end() :], "\n".join(lines[start + 1 : stop]), start + 1))
    if not found:
        raise DataError("E_FORMAT", f"{name} has no EDI block: no line starts with >.")
    return found


def _options(body: str) -> dict[str, str]:
    """KEY=VALUE lines of a block, keys in upper case."""
    return {key.strip().upper(): value.strip() for key, _, value in (line.partition("=") for line in body.split("\n")) if value}


def _numbers(block: Block, count: int | None, empty: float, name: str) -> Array:
    """The block's numbers, empty ones as NaN. As many as the block, or `count`, says: E_TRUNCATED for fewer, E_HEADER for more."""
    stated = re.search(r"//\s*(\d+)", block.head)
    wanted = int(stated[1]) if stated else count
    if wanted is not None and wanted > MOST:
        raise DataError("E_LIMIT", f"{name}, line {block.line}: {block.name} declares {wanted} values; at most {MOST} are read.")
    cells = block.body.replace("D+", "E+").replace("D-", "E-").split()
    try:
        values = np.array(cells, dtype=float)
    except ValueError:
        bad = next(cell for cell in cells if not _is_number(cell))
        if bad is cells[-1] and len(cells) <= (wanted or 0) and re.fullmatch(r"[-+]?\d*\.?\d*[eE]?[-+]?", bad):
            raise DataError("E_TRUNCATED", f"{name} ends in {block.name} (line {block.line}), in the middle of a number.") from None
        raise DataError("E_FORMAT", f"{name}: {block.name} (line {block.line}) holds {clean(bad, 30)!r}, which is no number.") from None
    if wanted is not None and len(values) != wanted:
        words = f"{name}: {block.name} (line {block.line}) holds {len(values)} of {wanted} values."
        raise DataError("E_TRUNCATED" if len(values) < wanted else "E_HEADER", words)
    if count is not None and len(values) != count:
        raise DataError("E_HEADER", f"{name}: {block.name} (line {block.line}) holds {len(values)} values for {count} frequencies.")
    if not len(values):
        raise DataError("E_TRUNCATED", f"{name}: {block.name} (line {block.line}) is empty.")
    return np.where(np.isclose(values, empty, rtol=1e-3) | (np.abs(values) >= 1e31) | ~np.isfinite(values), np.nan, values)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(written: str, other: float) -> float:
    try:
        value = float(written.strip().strip('"').split()[0])
    except (ValueError, IndexError):
        return other
    return value if math.isfinite(value) else other


def _degrees(written: str, name: str, most: float) -> float | None:
    """Degrees from 38:36:40.97 or a number; None where it is absent; E_HEADER beyond what a coordinate can be."""
    parts = written.strip().strip('"').split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        return None
    size = sum(abs(value) / 60**power for power, value in enumerate(numbers))
    if size > most + (180 if most == 180 else 0):
        raise DataError("E_HEADER", f"{name}: a coordinate is {clean(written, 30)}.")
    value = -size if parts[0].strip().startswith("-") else size
    return round(value - 360 if value > 180 else value, 8)


# -- the tensor


def _impedance(values: dict[str, Array], head: dict[str, str], frequency: Array, name: str) -> tuple[Array, Array | None, list[str]]:
    """(n, 2, 2) ohm, its standard deviations, and notes."""
    impedance = np.full((len(frequency), 2, 2), np.nan + 0j)
    error = np.full((len(frequency), 2, 2), np.nan)
    if "ZXYR" in values or "ZYXR" in values:
        in_ohm = "ohm" in head.get("UNITS", "").lower()
        scale = 1.0 if in_ohm else FIELD
        for part, i, j in PARTS:
            if (f"Z{part}R" in values) != (f"Z{part}I" in values):
                raise DataError("E_HEADER", f"{name}: Z{part} has only one of its real and imaginary parts.")
            if f"Z{part}R" in values:
                impedance[:, i, j] = scale * (values[f"Z{part}R"] + 1j * values[f"Z{part}I"])
            if f"Z{part}.VAR" in values:
                variance = values[f"Z{part}.VAR"]
                error[:, i, j] = scale * np.sqrt(np.where(variance >= 0, variance, np.nan))
        notes = [f"impedance read as {'ohm' if in_ohm else 'mV/km/nT (1 mV/km/nT is 1.2566e-3 ohm)'}; errors are the square roots of the VAR blocks"]
    elif "RHOXY" in values and "PHSXY" in values:
        for part, i, j in PARTS:
            if f"RHO{part}" not in values or f"PHS{part}" not in values:
                continue
            rho, phase = values[f"RHO{part}"], np.radians(values[f"PHS{part}"])
            size = np.sqrt(np.where(rho >= 0, rho, np.nan) * 8e-7 * np.pi**2 * frequency)
            impedance[:, i, j] = size * np.exp(1j * phase)
            if part == "YX" and np.nanmedian(impedance[:, i, j].real) > 0:  # written folded into the first quadrant
                impedance[:, i, j] *= -1
            relative = values.get(f"RHO{part}.ERR")
            if relative is None and f"RHO{part}.VAR" in values:
                relative = np.sqrt(np.abs(values[f"RHO{part}.VAR"]))
            if relative is not None:
                with np.errstate(divide="ignore", invalid="ignore"):
                    error[:, i, j] = 0.5 * size * relative / rho
        notes = ["the file holds no impedance: it was made from apparent resistivity and phase"]
    else:
        held = ", ".join(values) or "no values"
        raise DataError("E_UNSUPPORTED", f"{name} has frequencies and neither ZXYR, ZXYI nor RHOXY, PHSXY; it holds {held}.")
    return impedance, error if np.isfinite(error).any() else None, notes


def _tipper(values: dict[str, Array], count: int) -> Array | None:
    found = np.full((count, 2), np.nan + 0j)
    for part, j in (("X", 0), ("Y", 1)):
        real = values.get(f"T{part}R.EXP", values.get(f"T{part}R"))
        imaginary = values.get(f"T{part}I.EXP", values.get(f"T{part}I"))
        if real is not None and imaginary is not None:
            found[:, j] = real + 1j * imaginary
    return found if np.isfinite(found).any() else None


def _time_sign(impedance: Array, tipper: Array | None, info: Block | None) -> tuple[Array, Array | None, list[str]]:
    """With time as exp(+iwt). A file that says exp(-iwt), or whose xy and yx phases both say so, is conjugated."""
    stated = re.search(r"sign_convention\s*=\s*([+-]|exp\(\s*[+-])", info.body) if info else None
    both = [part for part in (impedance[:, 0, 1], -impedance[:, 1, 0]) if np.isfinite(part).any()]
    if not all(float(np.nanmedian(np.angle(part))) < 0 for part in both):
        return impedance, tipper, ["time as exp(+iwt): phase xy in the first quadrant, yx in the third"]
    says = "as the file says" if stated and "-" in stated[1] else "by the sign of its phases"
    note = f"the file has time as exp(-iwt), {says}; it was conjugated to exp(+iwt)"
    return np.conj(impedance), None if tipper is None else np.conj(tipper), [note]


def _rotation(angles: Array | None, info: Block | None) -> tuple[float | None, list[str]]:
    if angles is None or not np.isfinite(angles).any():
        return None, ["the file gives no rotation of the axes"]
    spread = float(np.nanmax(angles) - np.nanmin(angles))
    if spread > 0.01:
        return None, [f"axes are rotated by an angle that changes with frequency ({np.nanmin(angles):g} to {np.nanmax(angles):g} deg)"]
    angle = float(angles[np.isfinite(angles)][0])
    system = re.search(r"transfer_function\.coordinate_system\s*=\s*(\w+)", info.body) if info else None
    words = f"; the file calls its coordinates {clean(system[1], 20)}" if system else ""
    return angle, [f"ZROT is {angle:g} deg{words}; nothing was rotated here"]
