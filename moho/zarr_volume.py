"""3-D volumes as Zarr: the traces of a SEG-Y volume on their grid, in chunks that inlines, crosslines and time slices read alike.

    data          (slow, fast, sample) float32, NaN where there is no trace; slow is what the file was sorted by
    trace_header  (slow, fast, 240) bytes, as SEG-Y has them, so that nothing is lost and a SEG-Y can be made of it again
    trace         (slow, fast) int32: which trace of the file it was, -1 for none
    inline, crossline, time or depth: coordinates; file_header: the first 3600 bytes of a SEG-Y

Chunks are not compressed: noise does not shrink, and equal volumes are equal bytes. `moho.segy_volume` reads lines of both kinds.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moho.errors import DataError
from moho.segy_layout import HEADERS, TRACE_HEADER, Layout, header_type
from moho.survey import Array, Volume

SCHEMA = 1
LINES, TRACES, SAMPLES = 16, 32, 256  # of a chunk, 512 KiB
FIELDS = ("dt", "t0", "domain", "inline", "crossline", "sorting", "byte_order", "traces", "bin_size", "crs", "polarity", "title", "samples")


def create(folder: Path, volume: Volume, head: bytes, cells: tuple[int, int], slow: Array, fast: Array, grid: Array | None) -> None:
    """An empty volume. `cells`: lines and traces of a chunk; `slow`, `fast`: numbers of lines and of traces; `grid`: which trace lies where."""
    import zarr

    other = "crossline" if volume.sorting == "inline" else "inline"
    across, shape = (volume.sorting, other), (len(slow), len(fast))
    kept = {name: getattr(volume, name) for name in FIELDS} | {"header_bytes": {k: v for k, v in volume.header_bytes.items() if k != "first_trace"}}
    kept |= {"corners": None if volume.corners is None else np.asarray(volume.corners).tolist()}
    group = zarr.open_group(folder, mode="w-", zarr_format=3, attributes={"moho_volume": SCHEMA, **kept})
    plain: dict[str, Any] = {"compressors": None, "config": {"write_empty_chunks": True}}
    depth = min(SAMPLES, volume.samples)
    unit = "s" if volume.domain == "time" else "m"
    group.create_array(
        "data", shape=(*shape, volume.samples), chunks=(*cells, depth), dtype="float32", fill_value=np.nan,
        dimension_names=(*across, volume.domain), **plain,
    )  # fmt: skip
    group.create_array("trace_header", shape=(*shape, TRACE_HEADER), chunks=(*cells, TRACE_HEADER), dtype="uint8", fill_value=0,
                       dimension_names=(*across, "byte"), **plain)  # fmt: skip
    places = np.arange(math.prod(shape), dtype=np.int32).reshape(shape) if grid is None else grid
    arrays: tuple[tuple[str, Array, tuple[str, ...], dict[str, Any]], ...] = (
        ("trace", places, across, {"long_name": "trace of the SEG-Y file, from 0; -1 for none"}),
        ("file_header", np.frombuffer(head, np.uint8), ("file_byte",), {"long_name": "textual and binary header of the SEG-Y file"}),
        (across[0], np.asarray(slow, np.int32), (across[0],), {}),
        (across[1], np.asarray(fast, np.int32), (across[1],), {}),
        (volume.domain, volume.times, (volume.domain,), {"units": unit, "positive": "down"}),
    )
    for name, values, along, words in arrays:
        shape_of: dict[str, Any] = {"shape": values.shape, "chunks": values.shape, "dtype": values.dtype}
        made = group.create_array(name, **shape_of, dimension_names=along, attributes=words, **plain)
        made[...] = values


def write(folder: Path, slow: tuple[int, int], fast: tuple[int, int], data: Array, headers: Array) -> None:
    """Put (slow, fast, sample) and (slow, fast, 240) at their place, which must consist of whole chunks."""
    import zarr

    group = zarr.open_group(folder, mode="r+", zarr_format=3)
    for name, values in (("data", data), ("trace_header", headers)):
        _array(group, name)[slow[0] : slow[1], fast[0] : fast[1]] = values


def part(folder: Path, slow: tuple[int, int], fast: tuple[int, int]) -> tuple[Array, Array]:
    """What lies there: (slow, fast, sample) float32, (slow, fast, 240) bytes."""
    import zarr

    group = zarr.open_group(folder, mode="r", zarr_format=3)
    place = slice(*slow), slice(*fast)
    return np.asarray(_array(group, "data")[place]), np.asarray(_array(group, "trace_header")[place])


def _array(group: Any, name: str) -> Any:
    return group[name]


@dataclass(frozen=True)
class Cells:
    """Traces of an open Zarr volume by their number from 0, as `moho.segy_volume.Traces` gives those of a SEG-Y file."""

    group: Any
    layout: Layout
    kind: np.dtype[Any]
    at: tuple[Array, Array] | None  # line and place on it of every trace; None where all cells hold one
    run: int

    def head(self) -> bytes:
        """The first 3600 bytes of the SEG-Y file."""
        return bytes(np.asarray(_array(self.group, "file_header")[...]).tobytes())

    def headers(self, places: Array) -> Array:
        """The trace headers of these traces."""
        return np.ascontiguousarray(self._of("trace_header", np.asarray(places), TRACE_HEADER, np.uint8)).view(self.kind)[:, 0]

    def read(self, places: Array) -> tuple[Array, Array, Array]:
        """(trace, sample) float32, (trace, 240) bytes, (trace,) sum of squares."""
        data = self._of("data", np.asarray(places), self.layout.samples, np.float32)
        with np.errstate(all="ignore"):
            energy = np.einsum("ij,ij->i", data, data)
        return data, self._of("trace_header", np.asarray(places), TRACE_HEADER, np.uint8), energy

    def samples(self, places: Array, number: int) -> Array:
        """(trace,) one sample of each of these traces."""
        return self._of("data", np.asarray(places), 1, np.float32, number)[:, 0]

    def _of(self, name: str, places: Array, width: int, kind: Any, number: int | None = None) -> Array:
        """(trace, width): boxes of the grid are read, line by line where one box would hold much that is not wanted."""
        slow, fast = divmod(places, self.run) if self.at is None else (self.at[0][places], self.at[1][places])
        array, out = _array(self.group, name), np.empty((len(places), width), kind)
        deep = slice(None) if number is None else slice(number, number + 1)
        box = (np.ptp(slow) + 1) * (np.ptp(fast) + 1)
        thin = number is not None  # a slice of the whole is no larger than a line
        groups = [np.arange(len(places))] if thin or box <= 2 * len(places) + 64 else _same(slow)
        for rows in groups:
            i, j = slow[rows], fast[rows]
            held = np.asarray(array[i.min() : i.max() + 1, j.min() : j.max() + 1, deep])
            out[rows] = held[i - i.min(), j - j.min()]
        return out


def _same(values: Array) -> list[Array]:
    """Places of equal values."""
    order = np.argsort(values, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(values[order])) + 1)


def cells(volume: Volume) -> Cells:
    """The traces of a volume; E_CHANGED where the folder is no longer what was opened."""
    import zarr

    path = Path(volume.path)
    try:
        group = zarr.open_group(path, mode="r", zarr_format=3)
        shape = tuple(_array(group, "data").shape)
        head = np.asarray(_array(group, "file_header")[...])
        inlines, crosslines, samples = volume.shape
        lines, run = (inlines, crosslines) if volume.sorting == "inline" else (crosslines, inlines)
        same = shape == (lines, run, samples) and _array(group, "trace_header").shape == (lines, run, TRACE_HEADER) and len(head) == HEADERS
        grid = np.asarray(_array(group, "trace")[...]) if volume.traces != lines * run else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError("E_CHANGED", f"{path.name} is no longer the volume that was opened: {error}") from error
    if not same or (grid is not None and int((grid >= 0).sum()) != volume.traces):
        raise DataError("E_CHANGED", f"{path.name} is no longer the volume that was opened.")
    at = None
    if grid is not None:
        slow, fast = np.nonzero(grid >= 0)
        order = np.argsort(grid[slow, fast], kind="stable")
        at = slow[order], fast[order]
    sign = ">" if volume.byte_order == "big" else "<"
    system = int(head[3254:3256].view(sign + "i2")[0])
    layout = Layout(0, HEADERS, volume.traces, volume.samples, volume.dt * 1e6, 5, volume.byte_order, 0, system, 0)
    return Cells(group, layout, header_type(layout, dict(volume.header_bytes)), at, run)


# -- opening


def looks_like(path: Path) -> bool:
    """Whether a folder is a Zarr group or array, by what is in it."""
    return any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def read_zarr(path: Path) -> Volume:
    """The volume in a Zarr folder of Moho's, opened from its descriptions; every chunk must be there at its full length.

    E_FORMAT for a Zarr of another make, E_TRUNCATED where chunks are missing: Zarr itself would read those as empty.
    """
    path = path.resolve()
    made = "Moho opens the Zarr volumes it has written itself; hand others over as SEG-Y."
    try:
        found = json.loads((path / "zarr.json").read_text())["attributes"]
        schema = found["moho_volume"]
        arrays = {name: json.loads((path / name / "zarr.json").read_text()) for name in ("data", "trace_header", "trace", "file_header")}
        shapes = {name: tuple(array["shape"]) for name, array in arrays.items()}
        chunks = {name: tuple(array["chunk_grid"]["configuration"]["chunk_shape"]) for name, array in arrays.items()}
    except PermissionError as error:
        raise DataError("E_PERM", f"{path.name} may not be read.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError("E_FORMAT", f"{path.name} is a Zarr folder, and not a seismic volume as Moho writes it.", made) from error
    if schema != SCHEMA:
        raise DataError("E_UNSUPPORTED", f"{path.name} is a volume of layout {schema}; this version reads layout {SCHEMA}.")
    try:
        more: dict[str, Any] = {name: tuple(found[name]) for name in ("inline", "crossline")}
        more["bin_size"] = tuple(found["bin_size"]) if found["bin_size"] else None
        corners = None if found["corners"] is None else np.array(found["corners"], float).reshape(4, 2)
        volume = Volume(**{name: found[name] for name in FIELDS if name not in more}, **more, corners=corners, header_bytes=found["header_bytes"],
                        path=str(path), format_code=0)  # fmt: skip
        inlines, crosslines, samples = volume.shape
        grid = (inlines, crosslines) if volume.sorting == "inline" else (crosslines, inlines)
        fits = shapes["data"] == (*grid, samples) and shapes["trace_header"] == (*grid, TRACE_HEADER) and shapes["trace"] == grid
        if not (fits and volume.dt > 0 and 0 < volume.traces <= math.prod(grid) and set(volume.header_bytes) >= {"inline", "crossline"}):
            raise ValueError("shapes")
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("E_HEADER", f"{path.name}: the description of the volume contradicts its arrays ({error}).", made) from error
    for name, size in (("data", 4), ("trace_header", 1), ("trace", 4), ("file_header", 1)):
        _whole(path, name, shapes[name], chunks[name], size)
    return _sampled(volume)


def _whole(path: Path, name: str, shape: tuple[int, ...], chunk: tuple[int, ...], size: int) -> None:
    """E_TRUNCATED unless every chunk of an array has its file, of its length."""
    wanted = math.prod(-(-count // step) for count, step in zip(shape, chunk, strict=True))
    length = size * math.prod(chunk)
    held = sum(os.stat(os.path.join(folder, one)).st_size == length for folder, _, names in os.walk(path / name / "c") for one in names)
    if held < wanted:
        words = f"{path.name} holds {held} of the {wanted} chunks of its {'samples' if name == 'data' else name.replace('_', ' ')}."
        raise DataError("E_TRUNCATED", words, "Copy the folder again, with all that is in it.")


def _sampled(volume: Volume) -> Volume:
    """With the amplitude range of few traces."""
    from dataclasses import replace

    places = np.unique(np.linspace(0, volume.traces - 1, min(volume.traces, 40)).astype(int))
    data = cells(volume).read(places)[0]
    finite = data[np.isfinite(data)]
    if not len(finite):
        raise DataError("E_DATA", f"{volume.title}: every sample of {len(places)} sampled traces is NaN or infinite.")
    note = f"Amplitudes from {len(places)} sampled traces."
    return replace(volume, amplitude=(float(finite.min()), float(finite.max())), notes=(note,))
