"""Well logs from LAS 1.2 and 2.0 files, as a `Well` over depth in metres.

lasio reads the header sections; the numbers are read here, row by row against the curves that the header declares, so that
a damaged or comma-delimited file is refused instead of filled with NaN. Checkshots, tops and tracks: `moho.interpretation`.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moho.errors import DataError, Missing
from moho.files import DELIMITERS, clean, coded, read_text, text_head
from moho.survey import MNEMONICS, UNKNOWN, Array, Curve, Well
from moho.units import Quantity

if TYPE_CHECKING:
    import lasio

LONGEST_LINE = 2000  # characters of a header line: lasio's expressions take quadratic time, and longer ones are made to hang it
MOST_HEADER_LINES = 20000
# written by loggers whatever NULL says
NULLS = (-999.25, -999.0, -999.9, -999.99, -9999.0, -9999.25, -9999.9, -9999.99, -99999.0, -99999.25, -999999.0, -32767.0, -32768.0)
ENDLESS = 1e20  # beyond it a number is a mark for "missing" (1e30, -3.4e38)
DEEPEST = 15000.0  # m along a hole; none is longer
# Depth unit as written, lower case -> metres.
LENGTHS = {
    "m": 1.0, "metre": 1.0, "metres": 1.0, "meter": 1.0, "meters": 1.0, "mtr": 1.0, "cm": 0.01, "mm": 0.001, "km": 1000.0,
    "ft": 0.3048, "f": 0.3048, "feet": 0.3048, "foot": 0.3048, "in": 0.0254, "inch": 0.0254, "0.1in": 0.00254, ".1in": 0.00254,
}  # fmt: skip
# Curve unit as written, upper case -> the house's spelling of the same unit; values stay as they are.
SPELLED = {
    "K/M3": "kg/m3", "KG/M3": "kg/m3", "KG/M^3": "kg/m3", "G/C3": "g/cm3", "G/CC": "g/cm3", "GM/CC": "g/cm3", "G/CM3": "g/cm3", "GMCC": "g/cm3",
    "GM/C3": "g/cm3", "G/CM^3": "g/cm3", "GCC": "g/cm3", "US/F": "us/ft", "US/FT": "us/ft", "USEC/FT": "us/ft", "USEC/F": "us/ft", "US/M": "us/m",
    "USEC/M": "us/m", "µS/FT": "us/ft", "µS/M": "us/m", "OHMM": "ohm.m", "OHM.M": "ohm.m", "OHM-M": "ohm.m", "OHM M": "ohm.m", "OHM*M": "ohm.m",
    "OHM/M": "ohm.m", "GAPI": "gAPI", "API": "gAPI", "V/V": "v/v", "VOL/VOL": "v/v", "FRAC": "v/v", "FRACTION": "v/v", "DEC": "v/v", "M3/M3": "v/v",
    "%": "%", "PU": "%", "P.U.": "%", "PERCENT": "%", "IN": "in", "INCH": "in", "INCHES": "in", "MM": "mm", "CM": "cm",
    "M": "m", "FT": "ft", "F": "ft", "DEG": "deg", "MV": "mV", "MS/M": "mS/m", "MMHO/M": "mS/m", "MMHO": "mS/m", "CPS": "cps",
    "M/S": "m/s", "KM/S": "km/s", "FT/S": "ft/s", "B/E": "b/e",
    "(M/S)*(KG/M3)": "kg/m2/s", "KG/M2S": "kg/m2/s", "KG/M2/S": "kg/m2/s", "KG/(M2*S)": "kg/m2/s", "M/S*KG/M3": "kg/m2/s",
}  # fmt: skip
# What a curve of a kind may have as its median, by unit: outside it the unit in the file is not believed.
PLAUSIBLE = {
    "RHOB": {"g/cm3": (0.8, 6.0), "kg/m3": (800.0, 6000.0)},
    "DT": {"us/ft": (25.0, 260.0), "us/m": (85.0, 860.0)},
}


def looks_like(head: bytes, path: Path) -> bool:
    """Whether the file opens like LAS: a `~V` section, or any `~` section in a file called .las."""
    lines = [line.strip() for line in text_head(head[:65536]).split("\n")]
    first = next((line for line in lines if line and not line.startswith("#")), "")
    if first.startswith("~") and (first[1:2].upper() == "V" or path.suffix.lower() == ".las"):
        return True
    return any(line[:2].upper() == "~V" for line in lines) or (path.suffix.lower() == ".las" and any(line.startswith("~") for line in lines))


def read_las(
    path: str | Path, *, depth_unit: str | None = None, curve_units: str | None = None, delimiter: str | None = None, partial: bool = False
) -> Well:
    """The well of a LAS 1.2 or 2.0 file: curves with nulls as NaN, depth in metres and increasing.

    `depth_unit`: "m" or "ft" where the file gives no unit, or a wrong one. `curve_units`: the same of curves, "DT:us/m, RHOB:g/cm3",
    which is believed. `delimiter`: "comma", "tab", "semicolon" or "space"
    where the file has no DLM line. `partial`: read a file whose data end before its STOP.

    Raises DataError: E_FORMAT, E_TRUNCATED, E_HEADER, E_UNITS, E_GEOMETRY, E_UNSUPPORTED, E_LIMIT, E_ENCODING, E_DATA. Missing
    `depth_unit` when the file states none.
    """
    path = Path(path)
    text, notes = read_text(path)
    name = path.name
    with coded("LAS", path):
        header_text, rows, first_row = _split(text, name)
        _version(header_text, name)
        header = _header(header_text, name)
        mnemonics = [curve.original_mnemonic for curve in header.curves]
        if not mnemonics:
            raise DataError("E_HEADER", f"{name} declares no curves: its ~C section is absent or empty.")
        nulls, null_notes = _nulls(header)
        values, texts, row_notes = _numbers(rows, first_row, header, delimiter, name)
    notes = (*notes, *null_notes, *row_notes)
    depth, keep, depth_notes = _depth(values[:, 0], header, depth_unit, nulls, partial, name)
    curves, curve_notes = _curves(values[keep], header, nulls, texts, _stated(curve_units, mnemonics[1:]))
    if not curves:
        raise DataError("E_DATA", f"{name} holds no numeric log curve beside its index.")
    if not any(np.isfinite(curve.values).any() for curve in curves.values()):
        raise DataError("E_DATA", f"{name}: all {len(curves)} curves are null over all {len(depth)} depths.")
    x, y = _position(header)
    well_name = clean(_item(header, "WELL")) or path.stem
    facts = _elevations(header)
    return Well(
        title=well_name, depth=depth, curves=curves, reference=_reference(header), well_name=well_name, x=x, y=y,
        facts=facts, notes=(*notes, *depth_notes, *curve_notes), air_gap=_air_gap(facts),
    )  # fmt: skip


def _split(text: str, name: str) -> tuple[str, list[str], int]:
    """Header text, data lines and the number of the first of them, with the checks that keep lasio from hanging."""
    lines = text.split("\n")
    start = next((i for i, line in enumerate(lines) if re.match(r"\s*~A", line, re.I)), None)
    head = lines if start is None else lines[:start]
    if not any(line.lstrip().startswith("~") for line in head):
        raise DataError("E_FORMAT", f"{name} has no LAS section: no line starts with ~.")
    if len(head) > MOST_HEADER_LINES:
        code = "E_HEADER" if start is None else "E_LIMIT"
        raise DataError(code, f"{name}: {len(head)} lines before any ~A section; at most {MOST_HEADER_LINES} are read.")
    longest = max(map(len, head))
    if longest > LONGEST_LINE:
        raise DataError("E_LIMIT", f"{name}: a header line has {longest} characters; at most {LONGEST_LINE} are read.")
    kinds = [line.lstrip()[1:2].upper() for line in head if line.lstrip().startswith("~")]
    for kind, section in (("V", "~Version"), ("W", "~Well"), ("C", "~Curve")):
        count = kinds.count(kind)
        if count != 1 and not (kind == "C" and _las3(head)):
            raise DataError("E_HEADER", f"{name} has {count or 'no'} {section} section{'s' if count > 1 else ''}; LAS needs one.")
    if start is None:
        if _las3(head):
            return "\n".join(head), [], 0
        raise DataError("E_TRUNCATED", f"{name} has no ~A section: the header is there and the data are not.")
    rows = lines[start + 1 :]
    again = next((i for i, line in enumerate(rows) if line.lstrip().startswith("~")), None)
    if again is not None:
        raise DataError("E_HEADER", f"{name}: another section, {clean(rows[again], 30)!r}, follows the data on line {start + again + 2}.")
    return "\n".join(head) + "\n", rows, start + 2


def _las3(lines: Sequence[str]) -> bool:
    return any(re.match(r"\s*VERS\s*\.\s+3", line, re.I) for line in lines)


def _header(text: str, name: str) -> lasio.LASFile:
    """The header sections, by lasio; units it strips of their outer brackets are mended in `_unit`."""
    import lasio

    with coded("the LAS header", Path(name)):
        return lasio.read(io.StringIO(text), ignore_data=True, mnemonic_case="preserve")


def _version(text: str, name: str) -> None:
    """E_UNSUPPORTED for LAS 3, E_HEADER where the version is no number."""
    match = re.search(r"^\s*VERS\s*\.\s*([^\s:]*)", text, re.I | re.M)
    try:
        version = float(match[1]) if match else math.nan
    except ValueError:
        version = math.nan
    if math.isnan(version):
        raise DataError("E_HEADER", f"{name}: VERS is {clean(match[1]) if match else 'absent'}, not 1.2 or 2.0.")
    if not 1 <= version < 3:
        raise DataError("E_UNSUPPORTED", f"{name} is LAS {version:g}; 1.2 and 2.0 are read.", "Export it as LAS 2.0.")


def _item(header: lasio.LASFile, mnemonic: str, *sections: str) -> str:
    """The value of a header line as text, from the sections given (well and parameter otherwise), '' when absent."""
    for section in sections or ("well", "params"):
        for item in getattr(header, section):
            if item.original_mnemonic.upper() == mnemonic:
                return str(item.value).strip()
    return ""


def _number(header: lasio.LASFile, mnemonic: str) -> float | None:
    """A number of the well section; None when it is absent or blank; E_HEADER when it is no finite number."""
    written = _item(header, mnemonic, "well")
    if not written:
        return None
    try:
        value = float(written.split()[0].replace(",", "")) if mnemonic != "NULL" else float(written)
    except ValueError:
        raise DataError("E_HEADER", f"{mnemonic} is {clean(written, 30)!r}, not a number.") from None
    if not np.isfinite(value) and mnemonic != "NULL":
        raise DataError("E_HEADER", f"{mnemonic} is {value}.")
    return value


def _nulls(header: lasio.LASFile) -> tuple[tuple[float, ...], tuple[str, ...]]:
    declared = _number(header, "NULL")
    if declared is None:
        return NULLS, (f"The file declares no NULL: {', '.join(f'{null:g}' for null in NULLS)} are taken as null.",)
    return (declared, *(null for null in NULLS if null != declared)), ()


def _numbers(
    rows: list[str], first: int, header: lasio.LASFile, delimiter: str | None, name: str
) -> tuple[Array, dict[int, str], tuple[str, ...]]:
    """(sample, curve) values, the curves that are text with an example of each, and notes."""
    lines = [(first + i, line.strip()) for i, line in enumerate(rows)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise DataError("E_TRUNCATED", f"{name}: the ~A section holds no data.")
    count = len(header.curves)
    separator, notes = _delimiter(header, delimiter, [line for _, line in lines[:50]], count, name)
    cells = [_cells(line, separator) for _, line in lines]
    if _item(header, "WRAP", "version").upper().startswith("Y"):
        flat = [cell for row in cells for cell in row]
        if len(flat) % count:
            raise DataError("E_TRUNCATED", f"{name}: {len(flat)} wrapped values are no multiple of the {count} curves declared.")
        starts = np.cumsum([0, *map(len, cells[:-1])])
        if not np.isin(np.arange(0, len(flat), count), starts).all():
            raise DataError("E_HEADER", f"{name}: wrapped rows do not begin on a line of their own every {count} values.")
        cells = [flat[i : i + count] for i in range(0, len(flat), count)]
        lines = [(first, "")] * len(cells)
    else:
        for index, row in enumerate(cells):
            if len(row) != count:
                last = index == len(cells) - 1 and len(row) < count and index > 0
                if index == 0 and len(row) < count:
                    last = len(cells) == 1
                words = f"{name}, line {lines[index][0]}: {len(row)} values for {count} curves."
                raise DataError("E_TRUNCATED" if last else "E_HEADER", words)
    columns, texts = [], {}
    for index in range(count):
        written = [row[index] or "nan" for row in cells]
        try:
            columns.append(np.array(written, dtype=np.float64))
        except ValueError:
            bad = next(i for i, cell in enumerate(written) if not _is_number(cell))
            share = np.mean([_is_number(cell) for cell in written[:2000]])
            if index == 0 or share > 0.2:
                where = f"line {lines[bad][0]}" if lines[bad][1] else f"row {bad + 1}"
                raise DataError("E_FORMAT", f"{name}, {where}: {clean(written[bad], 30)!r} is not a number.") from None
            texts[index] = clean(written[0], 20)
            columns.append(np.full(len(written), np.nan))
    return np.stack(columns, axis=1), texts, notes


def _delimiter(header: lasio.LASFile, asked: str | None, sample: list[str], count: int, name: str) -> tuple[str | None, tuple[str, ...]]:
    """The separator (None for blanks). A comma-delimited file that does not say so is refused, not guessed."""
    declared = _item(header, "DLM", "version").upper()
    known: dict[str, str | None] = {"SPACE": None, "COMMA": ",", "TAB": "\t", "SEMICOLON": ";", "": None}
    if asked is not None:
        if asked not in DELIMITERS:
            raise ValueError(f"delimiter must be one of {', '.join(DELIMITERS)}, got {asked!r}")
        return (None if asked == "space" else DELIMITERS[asked]), (f"Values are separated by {asked}s, as asked.",)
    if declared not in known:
        raise DataError("E_HEADER", f"{name}: DLM is {clean(declared, 20)!r}; SPACE, COMMA or TAB are known.")
    separator = known[declared]
    if separator is None:
        for word, mark in (("comma", ","), ("semicolon", ";")):
            if any(mark in line for line in sample):
                decimal = word == "comma" and all(len(line.split()) == count for line in sample)
                why = "commas in its numbers" if decimal else f"{word}-delimited data and no DLM line that says so"
                hint = "Write decimal points." if decimal else f"Give delimiter={word!r} if that is what they are."
                raise DataError("E_FORMAT", f"{name} has {why}: {clean(sample[0], 50)!r}.", hint)
    return separator, ()


def _cells(line: str, separator: str | None) -> list[str]:
    if separator is not None:
        return [cell.strip() for cell in line.split(separator)]
    return re.findall(r'"[^"]*"|\S+', line) if '"' in line else line.split()


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _depth(
    index: Array, header: lasio.LASFile, asked: str | None, nulls: tuple[float, ...], partial: bool, name: str
) -> tuple[Array, Array, tuple[str, ...]]:
    """(sample,) m increasing, the rows in that order, and notes: unit, direction, and where STRT, STOP and STEP disagree."""
    if not np.isfinite(index).all() or np.isin(index, nulls).any():
        row = int(np.argmax(~np.isfinite(index) | np.isin(index, nulls)))
        raise DataError("E_GEOMETRY", f"{name}: depth is null in row {row + 1} of {len(index)}.")
    scale, unit, notes = _length(header, asked, name)
    start, stop, step = (_number(header, key) for key in ("STRT", "STOP", "STEP"))
    steps = np.diff(index)
    if len(index) < 2:
        raise DataError("E_TRUNCATED", f"{name} holds one depth only.")
    if (steps == 0).any():
        row = int(np.argmax(steps == 0))
        raise DataError("E_GEOMETRY", f"{name}: depth {index[row]:g} {unit} comes twice, in rows {row + 1} and {row + 2}.")
    if not (np.all(steps > 0) or np.all(steps < 0)):
        row = int(np.argmax(np.sign(steps) != np.sign(steps[0])))
        raise DataError("E_GEOMETRY", f"{name}: depth turns round after {index[row]:g} {unit} (row {row + 1}).")
    typical = float(np.median(np.abs(steps)))
    span = abs(index[-1] - index[0])
    if start is not None and stop is not None:
        notes += _limits(index, start, stop, typical, unit, partial, name)
    if step is not None and step != 0:
        if abs(step) > max(span, abs((stop or 0) - (start or 0)), typical) * 1.5:
            raise DataError("E_HEADER", f"{name}: STEP is {step:g} {unit}, longer than the whole log of {span:g} {unit}.")
        if abs(abs(step) - typical) > 0.01 * typical:
            notes += (f"STEP says {step:g} {unit}, the data have {typical:g}: the data are used.",)
    order = np.arange(len(index))
    if steps[0] < 0:
        order = order[::-1]
        notes += ("Depth decreases in the file: the curves are turned round.",)
    depth = index[order] * scale
    if depth[-1] > DEEPEST or depth[0] < -DEEPEST:
        raise DataError("E_UNITS", f"{name}: depth reaches {depth[-1]:g} m in {unit}; no well is that deep.", "Give depth_unit.")
    irregular = float(np.ptp(np.abs(steps))) / typical
    if irregular > 0.05:
        notes += (f"Depth steps vary from {np.abs(steps).min() * scale:.4g} to {np.abs(steps).max() * scale:.4g} m.",)
    return np.ascontiguousarray(depth), order, notes


def _length(header: lasio.LASFile, asked: str | None, name: str) -> tuple[float, str, tuple[str, ...]]:
    """Metres in one unit of depth, the unit's name, and a note on it."""
    if asked is not None:
        if asked.lower() not in LENGTHS:
            raise ValueError(f"depth_unit must be one of {', '.join(LENGTHS)}, got {asked!r}")
        return LENGTHS[asked.lower()], asked.lower(), (f"Depth is in {asked.lower()}, as asked; metres here.",)
    curve = str(header.curves[0].unit).strip()
    written = {"STRT": "", "STOP": ""}
    for item in header.well:
        if item.original_mnemonic.upper() in written:
            written[item.original_mnemonic.upper()] = str(item.unit).strip()
    stated = [unit for unit in (curve, *written.values()) if unit]
    if not stated:
        raise Missing("depth_unit", f"{name} does not give the unit of its depths: metres or feet?", ("m", "ft"))
    unknown = [unit for unit in stated if unit.lower() not in LENGTHS]
    if unknown:
        code = "E_UNSUPPORTED" if unknown[0].upper() in ("S", "SEC", "MS", "MSEC", "HR", "H", "MIN", "D", "DAY") else "E_UNITS"
        why = "a log over time is not read" if code == "E_UNSUPPORTED" else "no unit of length that is known"
        raise DataError(code, f"{name}: the index is in {clean(unknown[0], 20)!r}; {why}.", "" if code == "E_UNSUPPORTED" else "Give depth_unit.")
    if len({LENGTHS[unit.lower()] for unit in stated}) > 1:
        words = f"{name}: the depth curve is in {clean(curve, 10) or 'nothing'}, STRT and STOP in {clean(' and '.join(written.values()), 20)}."
        raise DataError("E_UNITS", words, "Give depth_unit.")
    unit = stated[0].lower()
    scale = LENGTHS[unit]
    return scale, unit, () if scale == 1 else (f"Depth is in {unit} in the file; metres here.",)


def _limits(index: Array, start: float, stop: float, typical: float, unit: str, partial: bool, name: str) -> tuple[str, ...]:
    """Notes where the data disagree with STRT and STOP; E_UNITS for feet called metres, E_TRUNCATED for data that end early."""
    top, base = sorted((start, stop))
    first, last = float(index.min()), float(index.max())
    slack = max(2.01 * typical, 0.001 * (base - top))
    if abs(first - top) <= slack and abs(last - base) <= slack:
        return ()
    if base > 0 and last > 0:
        ratio = last / base
        for factor, words in ((3.28084, "feet"), (0.3048, "metres")):
            same_top = abs(first - top * factor) <= max(slack, 0.01 * abs(first))
            if abs(ratio / factor - 1) < 0.005 and same_top:
                said = f"STRT and STOP say {top:g} to {base:g} {unit}, the data {first:g} to {last:g}: one of them is in {words}."
                raise DataError("E_UNITS", f"{name}: {said}", "Give depth_unit for the data.")
    ended = index[-1]  # as the file runs
    short = (stop - ended) * np.sign(stop - start) if stop != start else 0.0
    if short > max(slack, 0.01 * (base - top)) and not partial:
        words = f"{name}: data end at {ended:g} {unit}, its header says {stop:g}."
        raise DataError("E_TRUNCATED", words, "Give partial=True to read what is there.")
    return (f"STRT and STOP say {top:g} to {base:g} {unit}, the data run from {first:g} to {last:g}: the data are used.",)


def _stated(written: str | None, mnemonics: list[str]) -> dict[str, str]:
    """Mnemonic in capitals -> the unit a person states for it, of "DT:us/m, RHOB:g/cm3"."""
    found: dict[str, str] = {}
    for pair in (written or "").split(","):
        name, colon, unit = (part.strip() for part in pair.partition(":"))
        if not pair.strip():
            continue
        if not (name and colon and unit):
            raise ValueError(f"curve_units wants CURVE:UNIT, e.g. DT:us/m, got {pair.strip()!r}")
        if name.upper() not in {one.upper() for one in mnemonics}:
            raise ValueError(f"curve_units names {name!r}; the file has {', '.join(mnemonics)}")
        found[name.upper()] = unit
    return found


def _curves(
    values: Array, header: lasio.LASFile, nulls: tuple[float, ...], texts: dict[int, str], stated: dict[str, str]
) -> tuple[dict[str, Curve], tuple[str, ...]]:
    """Curves by mnemonic, and what was done to them; units a person has `stated` are believed."""
    curves: dict[str, Curve] = {}
    notes: list[str] = []
    declared = nulls[0]
    silent = _number(header, "NULL") is None
    for index, item in enumerate(header.curves):
        if index == 0:
            continue
        mnemonic = clean(item.original_mnemonic, 24) or f"CURVE_{index}"
        if index in texts:
            notes.append(f"{mnemonic} holds text ({texts[index]!r}): it is left out.")
            continue
        column = values[:, index].copy()
        infinite = np.isinf(column)
        if infinite.any():
            notes.append(f"{mnemonic}: {int(infinite.sum())} infinite values are taken as null.")
        for null in nulls:
            hit = np.isclose(column, null, rtol=0, atol=1e-6 * max(1.0, abs(null)))
            if hit.any() and silent:
                notes.append(f"{mnemonic}: {int(hit.sum())} values of {null:g} are taken as null.")
            elif null != declared and hit.any():
                notes.append(f"{mnemonic}: {int(hit.sum())} values of {null:g} are taken as null too (NULL is {declared:g}).")
            column[hit] = np.nan
        huge = np.abs(column) > ENDLESS
        if (huge & ~infinite).any():
            notes.append(f"{mnemonic}: {int((huge & ~infinite).sum())} values beyond {ENDLESS:g} are taken as null.")
        column[huge] = np.nan
        column[infinite] = np.nan
        if mnemonic in curves:
            copy = next(f"{mnemonic}_{n}" for n in range(2, len(values[0]) + 2) if f"{mnemonic}_{n}" not in curves)
            notes.append(f"{mnemonic} is declared more than once: the later one is called {copy}.")
            mnemonic = copy
        said = stated.get(mnemonic.upper())
        if said is None:
            unit, unit_notes = _unit(mnemonic, str(item.unit), column)
        else:
            unit_notes = [f"{mnemonic} is in {said}, as asked; the file says {clean(str(item.unit), 24) or 'nothing'}."]
            unit = SPELLED.get(said.upper(), said)
        notes += unit_notes
        doubt = next((note.removesuffix(".") for note in unit_notes if unit == UNKNOWN and " says " in note), "")
        if not np.isfinite(column).any():
            notes.append(f"{mnemonic} is null throughout.")
        curves[mnemonic] = Curve(column, unit, clean(re.sub(r"^\s*\d+\s+", "", str(item.descr))), doubt)
    return curves, tuple(notes)


def _unit(mnemonic: str, written: str, column: Array) -> tuple[str, list[str]]:
    """The curve's unit in the house's spelling, "unknown" where none is given or the values cannot be in it."""
    text = clean(written, 24)
    if text.count(")") and text.find(")") < (text.find("(") if "(" in text else len(text)):
        text = f"({text})"  # lasio takes the outer brackets of (m/s)*(kg/m3) for a pair
    if not text:
        return UNKNOWN, [f"{mnemonic} has no unit in the file."]
    unit = SPELLED.get(text.upper(), text)
    notes = []
    if text.upper() == "OHM/M":
        notes.append(f"{mnemonic}: OHM/M is taken as ohm.m, the usual slip.")
    elif text.upper().startswith("(M/S)*"):
        notes.append(f"{mnemonic}: {text} is written kg/m2/s.")
    kind = next((kind for kind in PLAUSIBLE if mnemonic.upper() in MNEMONICS[kind]), "")
    ranges: dict[str, Any] = PLAUSIBLE.get(kind, {})
    if unit in ranges and np.isfinite(column).any():
        median = float(np.nanmedian(column))
        low, high = ranges[unit]
        if not low <= median <= high:
            fits = " or ".join(other for other, (a, b) in ranges.items() if a <= median <= b)
            notes.append(f"{mnemonic} says {unit} but its median is {median:.4g}{f', which fits {fits}' if fits else ''}: its unit is not believed.")
            unit = UNKNOWN
    return unit, notes


def _reference(header: lasio.LASFile) -> str:
    """What depth is measured along, where mnemonic or description of the index state it."""
    words = f"{header.curves[0].original_mnemonic} {header.curves[0].descr}".upper()
    for reference, pattern in (("TVDSS", r"TVDSS|TRUE VERTICAL DEPTH SUB"), ("TVD", r"\bTVD|TRUE VERTICAL"), ("MD", r"\bMD\b|MEASURED DEPTH")):
        if re.search(pattern, words):
            return reference
    return UNKNOWN


def _position(header: lasio.LASFile) -> tuple[float | None, float | None]:
    """Easting and northing in metres, from XCOORD and YCOORD, X and Y, or an 'X = ... Y = ...' location; None where not both are there."""
    found: list[float | None] = []
    location = _item(header, "LOC")
    for axis in "XY":
        value = None
        for key in (f"{axis}COORD", f"{axis}WELL", f"{axis}_COORD", axis):
            written = _item(header, key)
            if written and _is_number(written.split()[0]):
                value = float(written.split()[0])
                break
        match = re.search(rf"\b{axis}\s*=\s*(-?\d+(?:\.\d+)?)", location)
        found.append(value if value is not None else float(match[1]) if match else None)
    x, y = found
    return (x, y) if x is not None and y is not None and np.isfinite([x, y]).all() else (None, None)


def _elevations(header: lasio.LASFile) -> dict[str, Quantity]:
    """Kelly bushing and ground elevation in metres, where given with a unit."""
    facts: dict[str, Quantity] = {}
    wanted = {"kelly_bushing": ("EKB", "KB"), "ground_level": ("EGL", "GL")}
    for key, mnemonics in wanted.items():
        for item in (*header.well, *header.params):
            written, unit = str(item.value).strip(), str(item.unit).strip().lower()
            if item.original_mnemonic.upper() in mnemonics and unit in LENGTHS and _is_number(written) and np.isfinite(float(written)):
                facts.setdefault(key, Quantity(round(float(written) * LENGTHS[unit], 6), "m", f"{key.replace('_', ' ')} elevation"))
    return facts


def _air_gap(elevations: dict[str, Quantity]) -> float | None:
    """Metres from the kelly bushing down to the sea, or to the ground where it is higher; None where they are blank or make no sense."""
    if "kelly_bushing" not in elevations:
        return None
    ground = max(float(elevations["ground_level"].value), 0.0) if "ground_level" in elevations else 0.0
    gap = float(elevations["kelly_bushing"].value) - ground
    return round(gap, 6) if gap > 0 else None
