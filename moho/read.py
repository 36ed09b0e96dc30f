"""Reading a file: its first bytes decide which reader it goes to, and the reader runs in a child process with limits.

Each format has a reader of its own in a module of its own; this one opens nothing but the first bytes, unpacks compressed files, and
says what a file is that nobody reads.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from moho import zarr_volume
from moho.errors import DataError
from moho.files import clean
from moho.sandbox import limited
from moho.segy import opened
from moho.survey import (
    Blocks,
    Catalogue,
    Data,
    DCSurvey,
    Gather,
    Gravity,
    Grid,
    Horizon,
    LogFile,
    Magnetics,
    MTSounding,
    Picks,
    Report,
    Response,
    Seismic,
    Table,
    Volume,
    Waveforms,
    Well,
)  # fmt: skip
from moho.units import Quantity, show

HEAD = 1 << 16  # bytes a reader is recognised by
UNPACKED = 4 << 30  # bytes at most that a compressed file may grow to
RATIO = 250  # growth above which it is a bomb, once it is past FREE
FREE = 64 << 20


@dataclass(frozen=True)
class Reader:
    """One format: where its functions live, which names it goes by, what to import before the fork."""

    module: str
    function: str
    test: str = "looks_like"
    suffixes: tuple[str, ...] = ()  # tried when no content was recognised: a damaged file gets the error of its own reader
    libraries: tuple[str, ...] = ()
    confined: bool = False  # brings its own child process

    def looks_like(self, head: bytes, path: Path) -> bool:
        found: bool = getattr(importlib.import_module(self.module), self.test)(head, path)
        return found

    def read(self) -> Callable[..., Data]:
        found: Callable[..., Data] = getattr(importlib.import_module(self.module), self.function)
        return found


OBSPY = ("obspy", "obspy.io.mseed.core", "obspy.io.sac.core", "obspy.io.stationxml.core", "obspy.io.quakeml.core")
READERS: dict[str, Reader] = {
    "SEG-Y": Reader("moho.segy", "read_segy", suffixes=(".sgy", ".segy"), confined=True),
    "seismograms": Reader("moho.waveforms", "read_waveforms", suffixes=(".mseed", ".miniseed", ".sac", ".gse2"), libraries=OBSPY),
    "StationXML": Reader("moho.waveforms", "read_stations", "looks_like_stations", libraries=OBSPY),
    "QuakeML": Reader("moho.waveforms", "read_events", "looks_like_events", (".quakeml", ".xml"), OBSPY),
    "LAS": Reader("moho.las", "read_las", suffixes=(".las",), libraries=("lasio",)),
    "DLIS": Reader("moho.dlis", "read_dlis", suffixes=(".dlis", ".lis"), libraries=("dlisio", "dlisio.dlis", "dlisio.lis")),
    "EDI": Reader("moho.edi", "read_edi", suffixes=(".edi",)),
    "DC/IP": Reader("moho.dcip", "read_dcip", suffixes=(".obs",)),
    "interpretation": Reader("moho.interpretation", "read_interpretation", suffixes=(".track",), libraries=("pandas",)),
    "grid": Reader("moho.grids", "read_grid", suffixes=(".nc", ".grd", ".tif", ".tiff", ".asc"), libraries=("xarray", "rasterio")),
    "table": Reader("moho.tables", "read_table", suffixes=(".csv", ".txt", ".dat", ".xyz"), libraries=("pandas",)),
}
READ = (
    "SEG-Y, volumes as Moho writes them in Zarr, miniSEED, SAC, GSE2, SLIST, StationXML, QuakeML, LAS, DLIS, LIS, EDI, DCIP2D lines, "
    "tables (CSV, XYZ, catalogues), netCDF, GeoTIFF, Surfer and Arc grids"
)
PACKED = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\0": "xz", b"BZh": "bzip2", b"PK\x03\x04": "zip"}
KNOWN = {
    b"%PDF": "a PDF", b"\x89PNG": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture", b"\x7fELF": "a program", b"\x89HDF": "an HDF5 file",
    b"GIF8": "a GIF picture", b"SQLite": "an SQLite database", b"\xd0\xcf\x11\xe0": "an old Office document", b"<html": "a web page",
    b"<!DOC": "a web page", b"\x28\xb5\x2f\xfd": "a zstd archive", b"7z\xbc\xaf": "a 7z archive",
}  # fmt: skip


def read(path: str | os.PathLike[str], **hints: Any) -> Data:
    """The data in a file, which is opened read-only. `hints` are arguments of the format's reader, e.g. header_bytes={"inline": 9}.

    gzip, xz, bzip2 and zip (of one file) are unpacked first, within limits. DataError: E_NOT_FOUND with the nearest names, E_PERM,
    E_FORMAT for what no reader knows, E_RESOURCE when a reader was stopped, else the codes of the format's reader; Missing where only
    the person can say; ValueError for a hint the reader does not take.
    """
    path = Path(path).expanduser()
    if path.is_dir() and zarr_volume.looks_like(path):
        if hints:
            raise ValueError(f"the Zarr reader takes no hints, got {', '.join(sorted(hints))}")
        return zarr_volume.read_zarr(path)
    _is_file(path)
    data = _dispatch(path, hints)
    return data if data.title else replace(data, title=_stem(path.name))


def recognise(path: str | os.PathLike[str]) -> str:
    """The name in READERS of the reader a file goes to, the name of its compression, or '' when it is unknown."""
    path = Path(path).expanduser()
    if path.is_dir() and zarr_volume.looks_like(path):
        return "Zarr"
    _is_file(path)
    head = _head(path)
    return _recognise(head, path) or _packing(head)


def _is_file(path: Path) -> None:
    if path.is_dir():
        names = [clean(name, 60) for name in sorted(os.listdir(path))[:5]]
        raise DataError("E_FORMAT", f"{path.name or path} is a folder.", f"Name a file in it: {', '.join(names) or 'it is empty'}.")
    if not os.path.lexists(path):
        near = _nearest(path)
        raise DataError("E_NOT_FOUND", f"there is no file {clean(path.name, 120)} in {path.parent}.", f"Did you mean {near}?" if near else "")


def _nearest(path: Path) -> str:
    """Names in the same folder, or the deepest folder that exists, that come close."""
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for _, entry in zip(range(5000), entries, strict=False)]
    except OSError:
        return ""
    folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(path.name.casefold(), folded, 3, 0.5)
    return " or ".join(clean(folded[name], 120) for name in close)


def _head(path: Path) -> bytes:
    with opened(path) as file:
        return os.pread(file, HEAD, 0)


def _recognise(head: bytes, path: Path) -> str:
    return next((name for name, reader in READERS.items() if reader.looks_like(head, path)), "")


def _packing(head: bytes) -> str:
    return next((name for mark, name in PACKED.items() if head.startswith(mark)), "")


def _dispatch(path: Path, hints: dict[str, Any], *, unpacked: bool = False) -> Data:
    head = _head(path)
    if not head:
        raise DataError("E_FORMAT", f"{path.name} is empty.")
    name = _recognise(head, path)
    if not name and (packing := _packing(head)):
        if unpacked:
            raise DataError("E_UNSUPPORTED", f"{path.name} is compressed twice.", "Unpack it once first.")
        return _unpacked(path, packing, hints)
    if not name:
        name = next((name for name, reader in READERS.items() if path.suffix.lower() in reader.suffixes), "")
    if not name:
        raise DataError("E_FORMAT", f"{path.name} is {_seen(head)}.", f"Moho reads {READ}.")
    reader = READERS[name]
    function = reader.read()
    hints = _check_hints(name, function, hints)
    if reader.confined:
        return function(path, **hints)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for library in reader.libraries:
            importlib.import_module(library)  # once, here: every child inherits it
    return limited(function, path, **hints)


def _check_hints(name: str, function: Callable[..., Data], hints: dict[str, Any]) -> dict[str, Any]:
    """The hints as the reader takes them: what came as words becomes the number, or the yes or no, that it wants."""
    taken = {key: str(parameter.annotation) for key, parameter in inspect.signature(function).parameters.items() if key != "path"}
    if extra := sorted(set(hints) - set(taken)):
        raise ValueError(f"the {name} reader does not take {', '.join(extra)}; it takes {', '.join(taken) or 'nothing'}")
    return {key: _typed(key, value, taken[key].split(" | ")) if isinstance(value, str) else value for key, value in hints.items()}


def _typed(key: str, value: str, wanted: list[str]) -> Any:
    """`value` as the first of the types `wanted` it can be."""
    if "bool" in wanted:
        if (said := {"true": True, "yes": True, "false": False, "no": False}.get(value.strip().lower())) is None:
            raise ValueError(f"{key} must be true or false, got {value!r}")
        return said
    for name, kind in (("int", int), ("float", float)):
        if name in wanted and "str" not in wanted:
            try:
                return kind(value)
            except ValueError:
                raise ValueError(f"{key} must be a number, got {value!r}") from None
    return value


def _seen(head: bytes) -> str:
    """What a file opens with, safely."""
    known = next((words for mark, words in KNOWN.items() if head.lstrip()[: len(mark)].upper() == mark.upper()), "")
    letters = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in head[:16])
    return f"{known or 'of a kind no reader knows'}; it opens with “{clean(letters, 40)}” ({head[:8].hex(' ')})"


def _stem(name: str) -> str:
    """A file's name without its folder and endings of compression and format."""
    stem = re.sub(r"(?i)\.(gz|xz|bz2|zip)$", "", name)
    return clean(Path(stem).stem, 120)


# -- compressed files


def _unpacked(path: Path, packing: str, hints: dict[str, Any]) -> Data:
    """The data in a compressed file, unpacked into a folder of its own that is gone afterwards."""
    name = re.sub(r"(?i)\.(gz|xz|bz2|zip|gzip)$", "", path.name) or "unpacked"
    with tempfile.TemporaryDirectory(prefix="moho-") as folder:
        room = min(UNPACKED, shutil.disk_usage(folder).free // 2)
        target = Path(folder) / name.replace("/", "_")
        inside = limited(_unpack, path, packing, target, room, seconds=120, written=room + (1 << 20))
        if inside and Path(inside).suffix and not target.suffix:
            target = target.rename(target.with_suffix(Path(inside).suffix))
        data = _dispatch(target, hints, unpacked=True)
        if isinstance(data, Volume):
            words = f"{path.name} holds a 3-D volume, which is read from disk line by line."
            raise DataError("E_UNSUPPORTED", words, f"Unpack the {packing} file first.")
    return replace(data, notes=(*data.notes, f"Unpacked from {packing}."))


def _unpack(path: Path, packing: str, target: Path, room: int) -> str:
    """Unpack into `target`; the member's name for a zip. E_LIMIT for what grows beyond reason, E_TRUNCATED for what ends early."""
    import bz2
    import gzip
    import lzma
    import zipfile
    import zlib

    size, name = path.stat().st_size, ""
    try:
        if packing == "zip":
            with zipfile.ZipFile(path) as archive:
                members = [info for info in archive.infolist() if not info.is_dir() and not info.filename.startswith("__MACOSX/")]
                if len(members) != 1:
                    words = f"{path.name} holds {len(members)} files ({', '.join(clean(info.filename, 60) for info in members[:5])}); one is read."
                    raise DataError("E_UNSUPPORTED", words, "Unpack it and name the file.")
                if members[0].flag_bits & 1:
                    raise DataError("E_UNSUPPORTED", f"{path.name} is encrypted.")
                name = clean(Path(members[0].filename.replace("\\", "/")).name, 120)
                with archive.open(members[0]) as source:
                    _copy(source, target, size, room, path.name)
        else:
            openers: dict[str, Callable[[Path], Any]] = {"gzip": gzip.open, "xz": lzma.open, "bzip2": bz2.open}
            with openers[packing](path) as source:
                _copy(source, target, size, room, path.name)
    except EOFError as error:
        raise DataError("E_TRUNCATED", f"{path.name} ends early: the {packing} data are not complete.") from error
    except (zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile, NotImplementedError) as error:
        raise DataError("E_FORMAT", f"{path.name}: the {packing} data are damaged ({clean(str(error), 120)}).") from error
    return name


def _copy(source: IO[bytes] | Any, target: Path, size: int, room: int, name: str) -> None:
    total = 0
    with open(target, "xb") as file:
        while piece := source.read(1 << 20):
            total += len(piece)
            if total > room:
                raise DataError("E_LIMIT", f"{name} grows beyond {room / 2**30:.2g} GiB when unpacked.", "Unpack it yourself if you trust it.")
            if total > FREE and total > RATIO * size:
                words = f"{name} grows to more than {RATIO} times its {size} bytes when unpacked, as a bomb does."
                raise DataError("E_LIMIT", words, "Unpack it yourself if you trust it.")
            file.write(piece)


# -- one line a data set


def describe_kind(data: Data) -> str:
    """One line for a catalogue, e.g. `2-D section, 534 traces, 1501 samples at 4 ms, CDP 101-634`."""
    return ", ".join(word for word in (_kind(data), *_words(data)) if word)


def _kind(data: Data) -> str:
    if isinstance(data, DCSurvey) and data.quantity != "resistance":
        return "IP line"
    if isinstance(data, Seismic):
        return "2-D section" if data.quantity == "amplitude" else f"2-D section of {data.quantity}"
    if isinstance(data, Volume) and data.quantity != "amplitude":
        return f"3-D volume of {data.quantity}"
    if isinstance(data, Gravity | Magnetics | Grid):
        noun = "grid of " if isinstance(data, Grid) else ""
        return f"{noun}{data.quantity}"
    names: dict[type[Data], str] = {
        Gather: "pre-stack gathers", Volume: "3-D volume", Waveforms: "seismograms", Response: "station metadata", Well: "well",
        Picks: "phase picks", Catalogue: "earthquake catalogue", Horizon: "horizon", Table: "table", Blocks: "3-D model", Report: "measurements",
        MTSounding: "magnetotelluric sounding", DCSurvey: "DC resistivity line", LogFile: "log file",
    }  # fmt: skip
    return names.get(type(data), type(data).__name__)


def _words(data: Data) -> Iterator[str]:
    facts = data.summary()
    match data:
        case Seismic() | Gather() | Volume():
            if isinstance(data, Volume):
                yield f"inlines {_range(facts['inline'])}, crosslines {_range(facts['crossline'])}"
            elif isinstance(data, Gather) and "shots" in facts:
                yield f"{facts['shots']} shots of {facts['channels']} channels, offsets {_range(facts['offset'])} m"
            else:
                yield f"{facts['traces']} traces"
            yield f"{facts['samples']} samples at {facts['sample_interval']}"
            if isinstance(data, Seismic) and "cdp" in facts:
                yield f"CDP {_range(facts['cdp'])}"
            if isinstance(data, Seismic | Volume) and data.domain == "depth":
                yield "in depth"
        case Waveforms():
            names = sorted({f"{t.stats.network}.{t.stats.station}.{t.stats.channel}".strip(".") for t in data.stream})
            yield ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
            yield f"{facts['sampling_rate']}, {facts['start']} to {facts['end'].value}"
        case Well():
            yield f"{_range(facts['depth'])} m, {len(data.curves)} curves: {', '.join(list(data.curves)[:8])}{' ...' if len(data.curves) > 8 else ''}"
        case Grid():
            yield f"{facts['rows']} x {facts['columns']} at {facts['spacing']}, {facts['range']}"
        case Gravity() | Magnetics():
            yield f"{facts['stations']} {facts['stations'].label}, {facts['range']}"
        case Table():
            yield f"{facts['rows']} rows, columns {', '.join(list(data.columns)[:8])}{' ...' if len(data.columns) > 8 else ''}"
        case Report():
            yield ", ".join(f"{quantity.label or name} {quantity}" for name, quantity in list(facts.items())[:4])
        case _:
            for quantity in facts.values():
                noun = isinstance(quantity.value, int) and not quantity.unit
                yield f"{quantity} {quantity.label}" if noun else f"{quantity.label} {quantity}"


def _range(quantity: Quantity) -> str:
    return "-".join(show(value) for value in quantity.value)
