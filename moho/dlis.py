"""Logs from DLIS (RP66 v1) and LIS79 files, one frame at a time, with dlisio.

`read_dlis` without a frame gives the list of frames (`LogFile`), or the well where there is one frame and it counts depth. A frame
that counts depth becomes a `Well`; one that counts time has no depth axis and becomes a `Table`.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moho.errors import DataError
from moho.files import clean, coded
from moho.las import DEEPEST, LENGTHS, SPELLED
from moho.survey import UNKNOWN, Array, Curve, Data, LogFile, Table, Well
from moho.units import Quantity

ABSENT = (-999.25, -9999.0, -999.0)
MOST = 400_000_000  # numbers of a frame that are read at once
DEPTHS = ("BOREHOLE-DEPTH", "VERTICAL-DEPTH", "DRIFT")
TIMES = ("TIME", "ELAPSED-TIME", "NON-STANDARD-TIME")
STORAGE = re.compile(rb"[ \d]{4}V1\.\d\dRECORD", re.S)
REEL = {128, 130, 132}  # LIS records that open a file, a tape or a reel


@dataclass(frozen=True)
class Frame:
    """One frame, whichever format it is in."""

    name: str
    rows: int
    index: str  # mnemonic
    index_unit: str
    index_type: str  # "depth" | "time" | "row"
    spacing: str
    channels: tuple[tuple[str, str, int, str], ...]  # mnemonic, unit, numbers a sample, description
    curves: Array  # structured, (row,)
    well: str


def looks_like(head: bytes, path: Path) -> bool:
    """Whether a DLIS storage unit label stands in front, or a LIS reel, tape or file header (both with or without tape marks)."""
    inside = head[12:] if head[:8] == bytes(8) and len(head) > 24 else head
    if STORAGE.match(inside[:15]):
        return True
    if len(inside) < 64 or inside[4] not in REEL or inside[5]:
        return False
    length, text = int.from_bytes(inside[:2], "big"), inside[6:60]
    return length in (62, 132, 136) or (32 <= length <= 1024 and sum(32 <= byte < 127 for byte in text) > 0.7 * len(text))


def read_dlis(path: str | Path, *, frame: str | None = None) -> Data:
    """A `Well` (depth in metres, increasing) or, for a frame that counts time, a `Table`; a `LogFile` listing the frames otherwise.

    `frame`: a name of the list. Channels with several numbers a sample are left out and named in the notes. Raises DataError:
    E_FORMAT, E_TRUNCATED, E_GEOMETRY, E_UNITS, E_LIMIT, E_DATA; ValueError for a frame that is not there.
    """
    path = Path(path)
    with _logged() as said, coded("the log file", path):
        frames = list(_frames(path, frame))
    notes = tuple(dict.fromkeys(said))[:5]
    if not frames:
        raise DataError("E_DATA", f"{path.name} holds no frame with samples.")
    if frame is None and (len(frames) > 1 or frames[0].index_type != "depth"):
        return _listed(path, frames, notes)
    if frame is not None and frame not in [one.name for one in frames]:
        raise ValueError(f"there is no frame {frame!r} in {path.name}; it has {', '.join(one.name for one in frames)}")
    chosen = frames[0] if frame is None else next(one for one in frames if one.name == frame)
    return _well(path, chosen, notes) if chosen.index_type == "depth" else _table(path, chosen, notes)


# -- the two formats


def _frames(path: Path, wanted: str | None) -> Iterator[Frame]:
    with open(path, "rb") as file:
        head = file.read(1 << 10)
    if not head:
        raise DataError("E_FORMAT", f"{path.name} is empty.")
    inside = head[12:] if head[:8] == bytes(8) else head
    reader = _dlis_frames if STORAGE.match(inside[:15]) else _lis_frames if looks_like(head, path) else None
    if reader is None:
        raise DataError("E_FORMAT", f"{path.name} opens neither with a DLIS storage unit label nor with a LIS header.")
    found: list[Frame] = []
    try:
        for one in reader(path):
            same = sum(re.sub(r" \(\d+\)$", "", other.name) == one.name for other in found)
            found.append(one if not same else Frame(f"{one.name} ({same + 1})", *list(one.__dict__.values())[1:]))
    except (RuntimeError, EOFError, OSError) as error:
        words = str(error)
        problem = re.search(r"Problem:\s*(.+)", words)
        code = "E_TRUNCATED" if re.search(r"truncat|EOF|end of file|enough bytes|Cannot read", words, re.I) else "E_FORMAT"
        raise DataError(code, f"{path.name} is damaged: {clean(problem[1] if problem else words, 200)}.") from error
    yield from found


def _dlis_frames(path: Path) -> Iterator[Frame]:
    from dlisio import dlis

    seen = False
    with dlis.load(str(path)) as files:
        for file in files:
            seen = True
            origins = list(file.origins)
            well = clean(str(getattr(origins[0], "well_name", "") or "")) if origins else ""
            for one in file.frames:
                channels = tuple(
                    (clean(channel.name, 40), clean(channel.units or "", 20), math.prod(channel.dimension or [1]), _words(channel.long_name))
                    for channel in one.channels
                )
                if not channels:
                    continue
                if sum(number for _, _, number, _ in channels) > 1_000_000:
                    raise DataError("E_LIMIT", f"{path.name}: frame {clean(one.name)} has a million numbers a sample.")
                curves = one.curves()
                if not len(curves):
                    continue
                kind = "depth" if one.index_type in DEPTHS else "time" if one.index_type in TIMES else "row"
                spacing = f"{one.spacing:g} {_attribute_unit(one, 'SPACING')}".strip() if isinstance(one.spacing, (int, float)) else UNKNOWN
                index, unit = (channels[0][0], channels[0][1]) if kind != "row" else ("row", "")
                yield Frame(clean(one.name, 40), len(curves), index, unit, kind, spacing, channels, curves, well)
    if not seen:
        raise DataError("E_TRUNCATED", f"{path.name} ends after its storage unit label.")


def _words(value: Any) -> str:
    """A description, empty where it is an object of its own."""
    return clean(value, 120) if isinstance(value, str) else ""


def _attribute_unit(frame: Any, label: str) -> str:
    try:
        return clean(str(frame.attic[label].units or ""), 20)
    except (KeyError, AttributeError):
        return ""


def _lis_frames(path: Path) -> Iterator[Frame]:
    from dlisio import lis

    seen = False
    with lis.load(str(path)) as files:
        for number, file in enumerate(files, 1):
            for at, spec in enumerate(file.data_format_specs(), 1):
                seen = True
                curves = lis.curves(file, spec)
                if not len(curves):
                    continue
                channels = tuple((clean(one.mnemonic.strip(), 40), clean(one.units.strip(), 20), int(one.samples), "") for one in spec.specs)
                name, unit = clean(str(spec.index_mnem).strip(), 40), clean(str(spec.index_units or "").strip(), 20)
                kind = "depth" if unit.lower() in LENGTHS or name.upper().startswith("DEP") else "time" if name.upper().startswith("TIME") else "row"
                spacing = UNKNOWN if spec.spacing is None else f"{spec.spacing:g} {unit}"
                yield Frame(f"{number}-{at}", len(curves), name, unit, kind, spacing, channels, curves, "")
    if not seen:
        raise DataError("E_TRUNCATED", f"{path.name} holds LIS headers and no data format.")


@contextmanager
def _logged() -> Iterator[list[str]]:
    """What dlisio says of a file that breaks the standard and can be read all the same."""
    said: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            words = record.getMessage()
            problem = re.search(r"Problem:\s*(.+)", words)
            said.append("the file breaks its standard: " + clean(problem[1] if problem else words, 120))

    logger, handler = logging.getLogger("dlisio"), Keep(logging.WARNING)
    before = logger.propagate, logger.level
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = before[0]
        logger.setLevel(before[1])


# -- what they become


def _listed(path: Path, frames: list[Frame], notes: tuple[str, ...]) -> LogFile:
    rows = [(one.name, *channel) for one in frames for channel in one.channels]
    names, channels, units, numbers, words = (list(column) for column in zip(*rows, strict=True))
    well = next((one.well for one in frames if one.well), "")
    return LogFile(
        title=well or path.stem, path=str(path), frames=tuple(one.name for one in frames), rows=np.array([one.rows for one in frames]),
        index=np.array([f"{one.index} ({one.index_unit or 'no unit'}, {one.index_type})" for one in frames]),
        spacing=np.array([one.spacing for one in frames]),
        frame=np.array(names), channel=np.array(channels), unit=np.array(units), values=np.array(numbers), description=np.array(words),
        well_name=well, notes=(*notes, "one frame is read at a time: name it"),
    )  # fmt: skip


def _columns(frame: Frame) -> tuple[dict[str, Array], dict[str, tuple[str, str]], list[str]]:
    """Single-number channels as float with absent values NaN, their unit and description, and notes."""
    if frame.rows * sum(number for _, _, number, _ in frame.channels) > MOST:
        raise DataError("E_LIMIT", f"frame {frame.name} has {frame.rows} samples of {len(frame.channels)} channels, more than are read at once.")
    columns: dict[str, Array] = {}
    meaning: dict[str, tuple[str, str]] = {}
    several, texts = [], []
    fields = [field for field in frame.curves.dtype.names or () if field != "FRAMENO"]
    for field, (mnemonic, unit, number, words) in zip(fields, frame.channels, strict=True):
        values = frame.curves[field]
        if number != 1 or values.ndim != 1:
            several.append(f"{mnemonic} ({number})")
            continue
        if values.dtype.kind not in "iufb":
            texts.append(mnemonic)
            continue
        name = mnemonic
        while name in columns:
            name += "_2"
        plain = values.astype(float)
        columns[name] = np.where(np.isin(plain, ABSENT) | ~np.isfinite(plain), np.nan, plain)
        meaning[name] = unit, words
    notes = [f"left out, {why}: {', '.join(names[:8])}" for why, names in (("several numbers a sample", several), ("no numbers", texts)) if names]
    return columns, meaning, notes


def _well(path: Path, frame: Frame, notes: tuple[str, ...]) -> Well:
    columns, meaning, said = _columns(frame)
    first = next(iter(columns), None)
    if first != frame.index:
        raise DataError("E_GEOMETRY", f"{path.name}: the index {frame.index} of frame {frame.name} is no single number.")
    depth, unit = columns.pop(first), frame.index_unit.lower()
    scale = {**LENGTHS, "0.5in": 0.0127, "0.01m": 0.01}.get(unit.replace(" ", ""))
    if scale is None:
        raise DataError("E_UNITS", f"{path.name}: depth {frame.index} is in {clean(unit, 20) or 'no unit'}; metres, feet or inches are known.")
    if not np.isfinite(depth).all():
        lost = int((~np.isfinite(depth)).sum())
        raise DataError("E_GEOMETRY", f"{path.name}: depth is absent in {lost} of {len(depth)} samples of frame {frame.name}.")
    metres = depth * scale
    steps = np.diff(metres)
    if len(steps) and (steps < 0).all():
        metres, columns = metres[::-1], {name: values[::-1] for name, values in columns.items()}
        said.append("logged upward; turned to increase with depth")
    elif len(steps) and not (steps > 0).all():
        raise DataError("E_GEOMETRY", f"{path.name}: depth turns back or stands still {int((steps <= 0).sum())} times in frame {frame.name}.")
    if abs(float(metres[-1])) > DEEPEST:
        raise DataError("E_UNITS", f"{path.name}: a depth of {metres[-1]:g} m is not possible; {frame.index} is said to be in {clean(unit, 20)}.")
    if not columns:
        raise DataError("E_DATA", f"{path.name}: frame {frame.name} holds no curve beside {frame.index}.")
    curves = {}
    for name, values in columns.items():
        written, words = meaning[name]
        curves[name] = Curve(values, SPELLED.get(written.upper(), written) or UNKNOWN, words)
    if not any(np.isfinite(curve.values).any() for curve in curves.values()):
        raise DataError("E_DATA", f"{path.name}: every curve of frame {frame.name} is absent over all {len(metres)} depths.")
    if scale != 1:
        said.append(f"depth converted from {frame.index_unit} to m")
    title = frame.well or path.stem
    said.insert(0, f"frame {frame.name}, index {frame.index}")
    return Well(title=title, well_name=title, depth=metres, curves=curves, facts=_shape(frame), notes=(*notes, *said))


def _table(path: Path, frame: Frame, notes: tuple[str, ...]) -> Table:
    columns, meaning, said = _columns(frame)
    named = {f"{name} ({meaning[name][0]})" if meaning[name][0] else name: values for name, values in columns.items()}
    what = "time" if frame.index_type == "time" else "no depth"
    words = f"frame {frame.name} counts {what} ({frame.index}, {frame.index_unit or 'no unit'}), not depth: it is a table, not a well"
    return Table(title=f"{frame.well or path.stem} {frame.name}", columns=named, facts=_shape(frame), notes=(*notes, words, *said))


def _shape(frame: Frame) -> dict[str, Quantity]:
    return {"samples": Quantity(frame.rows, "", "samples"), "channels": Quantity(len(frame.channels), "", "channels")}
