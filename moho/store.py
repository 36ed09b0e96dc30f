"""One file a data set: a zip of plain numpy arrays and one JSON description, the same bytes for the same data.

No pickle is written or read. Waveforms keep their traces as arrays and their headers as JSON; station metadata are kept
as the StationXML they were read as.
"""

from __future__ import annotations

import io
import json
import os
import typing
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moho.errors import DataError
from moho.survey import KINDS, Curve, Data, Step, Volume
from moho.units import Quantity

if TYPE_CHECKING:
    import obspy

EPOCH = (1980, 1, 1, 0, 0, 0)  # the date of every member, so that equal data give equal bytes
STREAMED = "result.sgy"  # a volume that a tool made, beside its description
ZARR = "result.zarr"  # the same as a folder of chunks
BESIDE = (STREAMED, ZARR)
NESTED: dict[str, type] = {"Curve": Curve, "Quantity": Quantity, "Step": Step}


def save(data: Data, path: Path) -> None:
    """Write `data` to `path`, which must not exist, through a temporary name; synced before it gets its name."""
    atomic_write(path, dump(data))


def atomic_write(path: Path, content: bytes, *, replace: bool = False) -> None:
    """All of `content` under `path`, or nothing."""
    with atomic(path, replace=replace) as file:
        file.write(content)


@contextmanager
def atomic(path: Path, *, replace: bool = False) -> Iterator[io.BufferedIOBase]:
    """A file to write and read that gets its name once it is whole, or never: a temporary one, fsync, then a link or a rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)  # fails if the name is taken; rename would overwrite it
    except FileExistsError as error:
        raise DataError("E_PERM", f"{path.name} exists and is never overwritten") from error
    except OSError as error:
        raise disk_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def disk_error(error: OSError, path: Path) -> DataError:
    """An operating system's refusal to write, with its code."""
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DataError("E_DISK", f"no space to write {path.name}", "Free some space; nothing that was acknowledged is lost.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DataError("E_PERM", f"not allowed to write {path.name}: {error.strerror}")
    return DataError("E_DISK", f"cannot write {path.name}: {error.strerror}")


def dump(data: Data) -> bytes:
    """`data` as bytes. Of a volume that a tool made only the name of its file is kept: it lies beside."""
    if isinstance(data, Volume) and data.streamed:
        data = replace(data, path=Path(data.path).name)
    arrays: dict[str, np.ndarray] = {}
    description = {"kind": type(data).__name__, "fields": {f.name: _encode(getattr(data, f.name), f.name, arrays) for f in fields(data)}}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", EPOCH), member.getbuffer())
        archive.writestr(zipfile.ZipInfo("data.json", EPOCH), json.dumps(description, indent=1, allow_nan=True))
    return buffer.getvalue()


def load(path: Path) -> Data:
    """The data set in `path`; DataError when it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            description = json.loads(archive.read("data.json"))
            arrays = {}
            for info in archive.infolist():
                if info.filename.endswith(".npy"):
                    with archive.open(info) as member:
                        arrays[info.filename.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
        kind = KINDS[description["kind"]]
        data = kind(**{name: _decode(value, arrays) for name, value in description["fields"].items()})
        return replace(data, path=str(path.parent / Path(data.path).name)) if isinstance(data, Volume) and data.streamed else data
    except FileNotFoundError as error:
        raise DataError("E_NOT_FOUND", f"{path.name} is gone from the project") from error
    except Exception as error:  # a broken zip raises a dozen kinds
        raise DataError("E_CHANGED", f"{path.name} is damaged: {error}") from error


def stamp(path: Path) -> tuple[int, int]:
    """(bytes, last change in ns) of a file, or of all files of a folder together."""
    if path.is_dir():
        found = [os.stat(one) for one in files(path)]
        return sum(one.st_size for one in found), max((one.st_mtime_ns for one in found), default=0)
    found_one = os.stat(path)
    return found_one.st_size, found_one.st_mtime_ns


def files(folder: Path) -> list[Path]:
    """Every file of a folder and the folders in it, sorted."""
    return sorted(Path(place, name) for place, _, names in os.walk(folder) for name in names)


def digest(path: Path) -> str:
    """SHA-256 of a file, read in pieces; of a folder, that of the names and digests of its files."""
    total = sha256()
    if path.is_dir():
        for one in files(path):
            total.update(f"{one.relative_to(path)} {digest(one)}\n".encode())
        return total.hexdigest()
    with open(path, "rb") as file:
        while piece := file.read(1 << 22):
            total.update(piece)
    return total.hexdigest()


def _encode(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """`value` as JSON, its arrays put aside under the path of their field."""
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            value = value.astype(str)
        arrays[name] = np.ascontiguousarray(value)
        return {"$array": name}
    if isinstance(value, np.generic):
        return value.item()
    if is_dataclass(value) and type(value).__name__ in NESTED:
        return {"$object": type(value).__name__} | {f.name: _encode(getattr(value, f.name), f"{name}.{f.name}", arrays) for f in fields(value)}
    if isinstance(value, Mapping):
        return {"$map": [[key, _encode(item, f"{name}.{key}", arrays)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"$tuple": [_encode(item, f"{name}.{i}", arrays) for i, item in enumerate(value)]}
    if isinstance(value, list):
        return [_encode(item, f"{name}.{i}", arrays) for i, item in enumerate(value)]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return _encode_obspy(value, name, arrays)


def _encode_obspy(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    import obspy

    if isinstance(value, obspy.Inventory):
        return {"$stationxml": inventory_xml(value)}
    if isinstance(value, obspy.Stream):
        traces = []
        for i, trace in enumerate(value):
            plain = np.ma.filled(trace.data.astype(float), np.nan) if np.ma.isMaskedArray(trace.data) else trace.data
            arrays[f"{name}.{i}"] = np.ascontiguousarray(plain)
            header = {key: trace.stats[key] for key in ("network", "station", "location", "channel", "sampling_rate")}
            traces.append(header | {"starttime": trace.stats.starttime.ns, "data": f"{name}.{i}"})
        return {"$stream": traces}
    raise TypeError(f"{name}: the store cannot keep a {type(value).__name__}")


def inventory_xml(inventory: obspy.Inventory) -> str:
    """StationXML without the time of its writing, which ObsPy would otherwise put there."""
    buffer = io.BytesIO()
    inventory = inventory.copy()
    if inventory.created is None:
        import obspy

        inventory.created = obspy.UTCDateTime(0)
    inventory.write(buffer, format="STATIONXML")
    return buffer.getvalue().decode("utf-8")


def _decode(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if "$array" in value:
        return arrays[value["$array"]]
    if "$map" in value:
        return {key: _decode(item, arrays) for key, item in value["$map"]}
    if "$tuple" in value:
        return tuple(_decode(item, arrays) for item in value["$tuple"])
    if "$object" in value:
        kind = NESTED[value["$object"]]
        return kind(**{key: _decode(item, arrays) for key, item in value.items() if key != "$object"})
    return _decode_obspy(value, arrays)


def _decode_obspy(value: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    import obspy

    if "$stationxml" in value:
        return obspy.read_inventory(io.BytesIO(value["$stationxml"].encode("utf-8")), format="STATIONXML")
    stream = obspy.Stream()
    for header in typing.cast(list[dict[str, Any]], value["$stream"]):
        stats = {key: header[key] for key in ("network", "station", "location", "channel", "sampling_rate")}
        stats["starttime"] = obspy.UTCDateTime(ns=header["starttime"])
        stream.append(obspy.Trace(arrays[header["data"]], header=stats))
    return stream
