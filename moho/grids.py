"""Regular grids: netCDF 3 and 4, GeoTIFF, Surfer 6 and 7 binary, Surfer and Arc text, as a `Grid` with south first.

A grid is one value a node: files with several variables or bands need `variable`, files with a time or a depth axis are refused.
"""

from __future__ import annotations

import importlib.util
import math
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moho.errors import DataError, Missing
from moho.files import LARGEST_TEXT, clean, coded, contents, read_text, text_head
from moho.survey import UNKNOWN, Array, Grid

if TYPE_CHECKING:
    import xarray

MOST_NODES = 60_000_000
SURFER_BLANK = 1.70141e38  # at or above it a Surfer node is blank
LENGTHS = {
    "m": 1.0, "metre": 1.0, "metres": 1.0, "meter": 1.0, "meters": 1.0, "km": 1000.0, "kilometre": 1000.0, "kilometer": 1000.0,
    "ft": 0.3048, "foot": 0.3048, "feet": 0.3048, "us survey foot": 1200 / 3937, "us_survey_foot": 1200 / 3937,
}  # fmt: skip
ARC_KEYS = {"ncols", "nrows", "xllcorner", "yllcorner", "xllcenter", "yllcenter", "cellsize", "dx", "dy", "nodata_value"}


def looks_like(head: bytes, path: Path) -> bool:
    """Whether the file opens like a grid that `read_grid` reads. HDF5 counts only when it names netCDF dimensions or is called .nc or .grd."""
    kind = _format(head)
    if kind == "netCDF 4":
        return path.suffix.lower() in (".nc", ".nc4", ".grd", ".cdf", ".netcdf") or b"_Netcdf4" in head or b"_NCProperties" in head
    return bool(kind)


def _format(head: bytes) -> str:
    if head[:3] == b"CDF" and head[3:4] in (b"\x01", b"\x02", b"\x05"):
        return "netCDF 3"
    if head[:8] == b"\x89HDF\r\n\x1a\n":
        return "netCDF 4"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "GeoTIFF"
    if head[:4] in (b"DSBB", b"DSRB", b"DSAA"):
        return f"Surfer {head[:4].decode()}"
    words = text_head(head[:2048]).lower().split()
    return "Arc grid" if words[:1] and words[0] in ("ncols", "nrows") and len(ARC_KEYS.intersection(words[:14])) >= 4 else ""


def read_grid(path: str | Path, *, variable: str | None = None, coordinates: str | None = None) -> Grid:
    """The grid of a file: rows south first, columns west first, NaN where it has no value.

    `variable`: which netCDF variable or which band ("1", "2" ...) where there are several. `coordinates`: "metres" or
    "degrees" where the file does not say. Raises DataError: E_FORMAT, E_TRUNCATED, E_HEADER, E_GEOMETRY, E_UNITS, E_LIMIT,
    E_UNSUPPORTED, E_DATA; Missing `variable` or `coordinates`.
    """
    path = Path(path)
    if coordinates not in (None, "metres", "degrees"):
        raise ValueError(f"coordinates must be metres or degrees, got {coordinates!r}")
    with coded("the grid", path):
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(4096)
    kind = _format(head)
    if not kind:
        raise DataError("E_FORMAT", f"{path.name} is {'empty' if not size else 'no netCDF, GeoTIFF, Surfer or Arc grid'}.")
    with coded(kind, path):
        if kind.startswith("netCDF"):
            return _read_netcdf(path, kind, head, size, variable, coordinates)
        if kind == "GeoTIFF":
            return _read_geotiff(path, variable, coordinates)
        if variable is not None:
            raise ValueError(f"{path.name} is a {kind} file: it has one grid and no variables")
        readers = {"Surfer DSBB": _read_surfer6, "Surfer DSRB": _read_surfer7, "Surfer DSAA": _read_surfer_text, "Arc grid": _read_arc}
        values, x, y, notes = readers[kind](path)
        return _finish(path, values, x, y, coordinates, (f"{kind}: the format states no quantity, unit or datum.", *notes))


def _finish(path: Path, values: Array, x: Array, y: Array, coordinates: str | None, notes: tuple[str, ...], **known: Any) -> Grid:
    """The Grid, once axes are in order and degrees and metres told apart."""
    if not np.isfinite(x).all() or not np.isfinite(y).all():
        raise DataError("E_GEOMETRY", f"{path.name}: its coordinates hold NaN or infinity.")
    if len(x) < 2 or len(y) < 2:
        raise DataError("E_GEOMETRY", f"{path.name}: {len(y)} rows and {len(x)} columns make no grid.")
    infinite = np.isinf(values)
    if infinite.any():
        values = np.where(infinite, np.nan, values)
        notes += (f"{int(infinite.sum())} infinite values are taken as blank.",)
    if not np.isfinite(values).any():
        raise DataError("E_DATA", f"{path.name}: every node of {values.shape[0]} x {values.shape[1]} is blank.")
    if x[0] > x[-1]:
        x, values = x[::-1], values[:, ::-1]
    if y[0] > y[-1]:
        y, values = y[::-1], values[::-1]
    for name, axis in (("x", x), ("y", y)):
        steps = np.diff(axis)
        if not np.all(steps > 0) or np.ptp(steps) > 0.01 * steps.mean():
            raise DataError("E_GEOMETRY", f"{path.name}: {name} steps from {steps.min():g} to {steps.max():g}: the grid is not regular.")
    blank = int(np.isnan(values).sum())
    if blank:
        notes += (f"{blank} of {values.size} nodes are blank.",)
    geographic = known.pop("geographic", None)
    if geographic is None:
        geographic, said = _degrees(x, y, coordinates, path.name)
        notes += said
    if geographic and (np.abs(y).max() > 90.01 or np.abs(x).max() > 360.01 or np.ptp(x) > 360.01):
        words = f"{path.name}: longitude {x[0]:g} to {x[-1]:g}, latitude {y[0]:g} to {y[-1]:g} deg"
        raise DataError("E_GEOMETRY", f"{words}: are the axes swapped or in metres?")
    return Grid(
        title=path.stem, values=np.ascontiguousarray(values), x=np.ascontiguousarray(x), y=np.ascontiguousarray(y),
        geographic=geographic, notes=notes, **known,
    )  # fmt: skip


def _degrees(x: Array, y: Array, coordinates: str | None, name: str) -> tuple[bool, tuple[str, ...]]:
    """Whether bare coordinates are degrees: asked of the person where they could be either."""
    if coordinates is not None:
        return coordinates == "degrees", (f"Coordinates are {coordinates}, as asked.",)
    inside = np.abs(x).max() <= 360 and np.abs(y).max() <= 90 and np.ptp(x) <= 360
    step = min(np.diff(x).mean(), np.diff(y).mean())
    if inside and step < 1 - 1e-9:
        words = f"{name} does not say whether its coordinates, {x[0]:g} to {x[-1]:g} and {y[0]:g} to {y[-1]:g}, are metres or degrees."
        raise Missing("coordinates", words, ("metres", "degrees"))
    return False, ("The unit of the coordinates is not stated: metres are taken.",)


def _nodes(columns: int, rows: int, name: str) -> None:
    if columns < 2 or rows < 2:
        raise DataError("E_HEADER", f"{name} declares {rows} rows and {columns} columns.")
    if columns * rows > MOST_NODES:
        raise DataError("E_LIMIT", f"{name} declares {rows} x {columns} nodes; at most {MOST_NODES:,} are read.")


def _limits(low: float, high: float, axis: str, name: str) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise DataError("E_HEADER", f"{name}: {axis} from {low:g} to {high:g}.")


def _range_note(values: Array, low: float, high: float) -> tuple[str, ...]:
    """A note where the values leave the range that the header states."""
    if not np.isfinite(values).any():
        return ()
    found = float(np.nanmin(values)), float(np.nanmax(values))
    slack = 1e-3 * max(abs(low), abs(high), 1e-30)
    if abs(found[0] - low) > slack or abs(found[1] - high) > slack:
        return (f"The header says values run from {low:g} to {high:g}, they run from {found[0]:g} to {found[1]:g}.",)
    return ()


def _read_surfer6(path: Path) -> tuple[Array, Array, Array, tuple[str, ...]]:
    raw = contents(path)
    if len(raw) < 56:
        raise DataError("E_TRUNCATED", f"{path.name}: {len(raw)} bytes, a Surfer 6 header has 56.")
    columns, rows, x0, x1, y0, y1, z0, z1 = struct.unpack("<hh6d", raw[4:56])
    swapped = struct.unpack(">hh", raw[4:8])
    if columns * rows * 4 + 56 != len(raw) and swapped[0] * swapped[1] * 4 + 56 == len(raw):
        raise DataError("E_UNSUPPORTED", f"{path.name} is a Surfer 6 grid in big-endian byte order.")
    _nodes(columns, rows, path.name)
    _limits(x0, x1, "x", path.name)
    _limits(y0, y1, "y", path.name)
    _held(len(raw) - 56, 4 * columns * rows, path.name)
    values = np.frombuffer(raw, "<f4", columns * rows, 56).reshape(rows, columns).astype(np.float64)
    values[values >= SURFER_BLANK * (1 - 1e-5)] = np.nan
    return values, np.linspace(x0, x1, columns), np.linspace(y0, y1, rows), _range_note(values, z0, z1)


def _held(have: int, want: int, name: str) -> None:
    if have < want:
        raise DataError("E_TRUNCATED", f"{name}: its header promises {want} bytes of values, {have} are there.")
    if have > want:
        raise DataError("E_HEADER", f"{name}: {have - want} bytes follow the {want} bytes of values its header promises.")


def _read_surfer7(path: Path) -> tuple[Array, Array, Array, tuple[str, ...]]:
    raw = contents(path, 8 * MOST_NODES + 4096)
    at = 0
    sections: dict[bytes, bytes] = {}
    while at + 8 <= len(raw):
        tag, size = raw[at : at + 4], struct.unpack_from("<i", raw, at + 4)[0]
        if size < 0:
            raise DataError("E_HEADER", f"{path.name}: section {clean(repr(tag), 12)} of {size} bytes.")
        if at + 8 + size > len(raw):
            raise DataError("E_TRUNCATED", f"{path.name}: section {clean(repr(tag), 12)} has {len(raw) - at - 8} of its {size} bytes.")
        sections.setdefault(tag, raw[at + 8 : at + 8 + size])
        at += 8 + size
    if b"GRID" not in sections or b"DATA" not in sections:
        raise DataError("E_TRUNCATED", f"{path.name}: a Surfer 7 grid without its {'GRID' if b'GRID' not in sections else 'DATA'} section.")
    if len(sections[b"GRID"]) < 72:
        raise DataError("E_HEADER", f"{path.name}: a GRID section of {len(sections[b'GRID'])} bytes, 72 are wanted.")
    rows, columns, x0, y0, dx, dy, z0, z1, rotation, blank = struct.unpack("<ii8d", sections[b"GRID"][:72])
    _nodes(columns, rows, path.name)
    if rotation:
        raise DataError("E_UNSUPPORTED", f"{path.name} is rotated by {rotation:g} deg.")
    _limits(x0, x0 + dx, "x", path.name)
    _limits(y0, y0 + dy, "y", path.name)
    _held(len(sections[b"DATA"]), 8 * rows * columns, path.name)
    values = np.frombuffer(sections[b"DATA"], "<f8").reshape(rows, columns).copy()
    values[(values >= blank) | (values >= SURFER_BLANK * (1 - 1e-5)) if blank > 1e30 else values == blank] = np.nan
    return values, x0 + dx * np.arange(columns), y0 + dy * np.arange(rows), _range_note(values, z0, z1)


def _floats(words: list[str], name: str) -> Array:
    try:
        return np.array(words, dtype=np.float64)
    except ValueError as error:
        raise DataError("E_FORMAT", f"{name}: {clean(str(error), 80)}.") from error


def _whole(number: float, name: str) -> int:
    if not math.isfinite(number) or number != int(number):
        raise DataError("E_HEADER", f"{name}: a count of {number:g}.")
    return int(number)


def _read_surfer_text(path: Path) -> tuple[Array, Array, Array, tuple[str, ...]]:
    text, notes = read_text(path)
    words = text.split()
    if len(words) < 9:
        raise DataError("E_TRUNCATED", f"{path.name}: {len(words)} words, a Surfer text header has 9.")
    head = _floats(words[1:9], path.name)
    columns, rows = (_whole(value, path.name) for value in head[:2])
    _limits(head[2], head[3], "x", path.name)
    _limits(head[4], head[5], "y", path.name)
    values = _filled(words[9:], rows, columns, path.name)
    values[values >= SURFER_BLANK * (1 - 1e-5)] = np.nan
    return values, np.linspace(head[2], head[3], columns), np.linspace(head[4], head[5], rows), (*notes, *_range_note(values, head[6], head[7]))


def _filled(words: list[str], rows: int, columns: int, name: str) -> Array:
    """(row, column) values of exactly the nodes declared."""
    if rows < 2 or columns < 2:
        _nodes(columns, rows, name)
    if len(words) != rows * columns:
        code = "E_TRUNCATED" if len(words) < rows * columns else "E_HEADER"
        raise DataError(code, f"{name} declares {rows} x {columns} = {rows * columns} nodes and holds {len(words)}.")
    _nodes(columns, rows, name)
    return _floats(words, name).reshape(rows, columns)


def _read_arc(path: Path) -> tuple[Array, Array, Array, tuple[str, ...]]:
    text, notes = read_text(path)
    lines = text.split("\n")
    header: dict[str, float] = {}
    used = 0
    for line in lines:
        words = line.split()
        if len(words) != 2 or words[0].lower() not in ARC_KEYS:
            if words:
                break
        else:
            header[words[0].lower()] = float(_floats([words[1]], path.name)[0])
        used += 1
    if "ncols" not in header or "nrows" not in header:
        raise DataError("E_HEADER", f"{path.name}: an Arc grid without ncols or nrows.")
    columns, rows = (_whole(header[key], path.name) for key in ("ncols", "nrows"))
    dx, dy = header.get("dx", header.get("cellsize", math.nan)), header.get("dy", header.get("cellsize", math.nan))
    if not (dx > 0 and dy > 0 and math.isfinite(dx * dy)):
        raise DataError("E_HEADER", f"{path.name}: cells of {dx:g} by {dy:g}.")
    origin = []
    for axis, step in (("x", dx), ("y", dy)):
        if f"{axis}llcenter" in header:
            origin.append(header[f"{axis}llcenter"])
        elif f"{axis}llcorner" in header:
            origin.append(header[f"{axis}llcorner"] + 0.5 * step)
        else:
            raise DataError("E_GEOMETRY", f"{path.name}: an Arc grid without {axis}llcorner or {axis}llcenter.")
    values = _filled(" ".join(lines[used:]).split(), rows, columns, path.name)
    null = header.get("nodata_value")
    if null is None:
        null, notes = -9999.0, (*notes, "No NODATA_value is given: -9999, the format's default, is blank.")
    values[values == null] = np.nan
    return values[::-1], origin[0] + dx * np.arange(columns), origin[1] + dy * np.arange(rows), notes


def _read_geotiff(path: Path, variable: str | None, coordinates: str | None) -> Grid:
    import rasterio

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_CACHEMAX=64), rasterio.open(path, driver="GTiff") as source:
            band = _band(source.count, variable, path.name)
            _nodes(source.width, source.height, path.name)
            if np.dtype(source.dtypes[band - 1]).kind == "c":
                raise DataError("E_UNSUPPORTED", f"{path.name} holds complex numbers.")
            transform, crs = source.transform, source.crs
            if transform.b or transform.d:
                raise DataError("E_GEOMETRY", f"{path.name} is rotated; grids along east and north are read.")
            if transform.is_identity:
                raise DataError("E_GEOMETRY", f"{path.name} states no coordinates: it is a picture, not a map.")
            try:
                raw = source.read(band, masked=True)
            except rasterio.errors.RasterioIOError as error:
                raise DataError("E_TRUNCATED", f"{path.name}: its pixels cannot be read to the end ({clean(str(error), 60)}).") from error
            scale, offset = source.scales[band - 1], source.offsets[band - 1]
            unit, words = source.units[band - 1], source.descriptions[band - 1]
    values = np.ma.filled(raw.astype(np.float64), np.nan) * scale + offset
    x = transform.c + transform.a * (0.5 + np.arange(values.shape[1]))
    y = transform.f + transform.e * (0.5 + np.arange(values.shape[0]))
    notes: tuple[str, ...] = ("GeoTIFF: coordinates are those of the pixels' centres.",)
    known: dict[str, Any] = {"quantity": clean(words or "") or UNKNOWN, "unit": clean(unit or "", 16) or UNKNOWN}
    if crs:
        known |= {"crs": _crs_name(crs), "geographic": bool(crs.is_geographic)}
        if not crs.is_geographic:
            factor = float(crs.linear_units_factor[1])
            if factor != 1.0:
                x, y, notes = x * factor, y * factor, (*notes, f"Coordinates are in {crs.linear_units_factor[0]}; metres here.")
    else:
        notes += ("No coordinate reference system is stated.",)
    return _finish(path, values, x, y, coordinates, notes, **known)


def _crs_name(crs: Any) -> str:
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else clean(crs.to_wkt(), 60)


def _band(count: int, variable: str | None, name: str) -> int:
    if variable is None:
        if count > 1:
            raise Missing("variable", f"{name} has {count} bands: which one?", tuple(str(i + 1) for i in range(count))[:20])
        return 1
    if not str(variable).isdigit() or not 1 <= int(variable) <= count:
        raise ValueError(f"variable must be a band from 1 to {count}, got {variable!r}")
    return int(variable)


def _read_netcdf(path: Path, kind: str, head: bytes, size: int, variable: str | None, coordinates: str | None) -> Grid:
    import xarray

    if kind == "netCDF 4":
        _check_hdf5(head, size, path.name)
        engine = "h5netcdf" if importlib.util.find_spec("h5py") else "netcdf4"
    else:
        engine = "netcdf4" if head[3:4] == b"\x05" else "scipy"
        if size > LARGEST_TEXT * 4:
            raise DataError("E_LIMIT", f"{path.name} has {size:,} bytes.")
        if engine == "scipy":
            _check_netcdf3(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with xarray.open_dataset(path, engine=engine, decode_times=False, cache=False) as dataset:
            return _one_variable(dataset, path, variable, coordinates)


def _check_hdf5(head: bytes, size: int, name: str) -> None:
    """E_TRUNCATED where the superblock says the file is longer than it is."""
    version = head[8]
    widths = (head[13], head[14]) if version in (0, 1) else (head[9], head[10])
    if widths != (8, 8):
        return
    end = struct.unpack_from("<Q", head, {0: 40, 1: 44}.get(version, 28))[0]
    if end > size:
        raise DataError("E_TRUNCATED", f"{name}: its superblock says {end:,} bytes, the file has {size:,}.")


def _check_netcdf3(path: Path) -> None:
    """E_TRUNCATED or E_HEADER where dimensions and offsets of a classic header do not fit the file."""
    raw = contents(path, LARGEST_TEXT * 4)
    wide = raw[3] == 2
    sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8}
    at = 4

    def take(layout: str) -> int:
        nonlocal at
        width = struct.calcsize(layout)
        if at + width > len(raw):
            raise DataError("E_TRUNCATED", f"{path.name}: the file ends within its header.")
        value = struct.unpack_from(layout, raw, at)[0]
        at += width
        if value < 0:
            raise DataError("E_HEADER", f"{path.name}: a count of {value} in its header.")
        return int(value)

    def skip(count: int) -> None:
        nonlocal at
        at += -(-count // 4) * 4
        if at > len(raw):
            raise DataError("E_TRUNCATED", f"{path.name}: the file ends within its header.")

    def attributes() -> None:
        take(">i")
        for _ in range(take(">i")):
            skip(take(">i"))
            code = take(">i")
            if code not in sizes:
                raise DataError("E_HEADER", f"{path.name}: an attribute of type {code}.")
            skip(take(">i") * sizes[code])

    records = struct.unpack(">i", raw[4:8])[0] if len(raw) >= 8 else 0
    at = 8
    take(">i")
    lengths = []
    for _ in range(take(">i")):
        skip(take(">i"))
        lengths.append(take(">i"))
    attributes()
    take(">i")
    for _ in range(take(">i")):
        skip(take(">i"))
        dimensions = [take(">i") for _ in range(take(">i"))]
        attributes()
        code, _, begin = take(">i"), take(">I"), take(">q" if wide else ">i")
        if code not in sizes or any(index >= len(lengths) for index in dimensions):
            raise DataError("E_HEADER", f"{path.name}: a variable of type {code} over dimensions {dimensions}.")
        of_records = bool(dimensions) and lengths[dimensions[0]] == 0
        count = math.prod([max(records, 0) if of_records else 1, *(lengths[i] for i in (dimensions[1:] if of_records else dimensions))])
        if begin + count * sizes[code] > len(raw):
            raise DataError("E_TRUNCATED", f"{path.name}: a variable of {count} values from byte {begin} does not fit its {len(raw)} bytes.")


def _one_variable(dataset: xarray.Dataset, path: Path, variable: str | None, coordinates: str | None) -> Grid:
    """The one gridded variable of a data set, or the one named."""
    every = {str(name): array for name, array in dataset.data_vars.items()}
    numeric = {name: array for name, array in every.items() if array.dtype.kind in "iuf" and array.squeeze(drop=True).ndim >= 2}
    flat = {name: array for name, array in numeric.items() if array.squeeze(drop=True).ndim == 2}
    bounds = {str(array.attrs.get(key, "")) for array in dataset.variables.values() for key in ("bounds", "grid_mapping")}
    flat = {name: array for name, array in flat.items() if name not in bounds and 2 not in array.shape[-1:] * name.endswith(("_bnds", "_bounds"))}
    if variable is not None:
        if variable not in every:
            raise ValueError(f"{path.name} has no variable {variable!r}; it has {', '.join(numeric) or 'none'}")
        if variable not in flat:
            raise DataError("E_UNSUPPORTED", f"{path.name}: {variable} has dimensions {_shape(every[variable])}; a grid has two.")
        chosen = variable
    elif len(flat) == 1:
        chosen = next(iter(flat))
    elif flat:
        raise Missing("variable", f"{path.name} holds {', '.join(clean(name, 30) for name in flat)}: which one?", tuple(flat))
    elif numeric:
        name, array = next(iter(numeric.items()))
        words = f"{path.name}: {clean(name, 30)} has dimensions {_shape(array)}; a map has two, and no slice is chosen for you."
        raise DataError("E_UNSUPPORTED", words, "Cut one slice out of it.")
    else:
        raise DataError("E_FORMAT", f"{path.name} holds no gridded variable: {', '.join(clean(name, 30) for name in list(every)[:6]) or 'nothing'}.")
    return _variable(dataset, flat[chosen], path, coordinates)


def _shape(array: xarray.DataArray) -> str:
    return ", ".join(f"{clean(str(name), 20)} {size}" for name, size in array.sizes.items()) or "none"


def _variable(dataset: xarray.Dataset, array: xarray.DataArray, path: Path, coordinates: str | None) -> Grid:
    if array.size > MOST_NODES:
        raise DataError("E_LIMIT", f"{path.name}: {_shape(array)} are more than {MOST_NODES:,} nodes.")
    notes: list[str] = [f"{clean(str(k), 20)} has one entry and is left out." for k, size in array.sizes.items() if size == 1]
    array = array.squeeze(drop=True)
    missing = [str(name) for name in array.dims if name not in array.coords]
    if missing:
        raise DataError("E_GEOMETRY", f"{path.name}: {clean(', '.join(missing), 40)} has no coordinates.")
    north, east = (str(name) for name in array.dims)
    roles = [_axis(array[name]) for name in (north, east)]
    if roles[0] == "x" or roles[1] == "y":
        array, north, east = array.transpose(east, north), east, north
    time = [name for name in (north, east) if _is_time(array[name])]
    if time:
        raise DataError("E_UNSUPPORTED", f"{path.name}: {clean(time[0], 20)} is a time axis; a map over two axes in space is read.")
    values = array.to_numpy().astype(np.float64)
    x, geographic_x, said_x = _coordinate(array[east], path.name)
    y, geographic_y, said_y = _coordinate(array[north], path.name)
    if geographic_x is not geographic_y:
        raise DataError("E_UNITS", f"{path.name}: {clean(east, 20)} and {clean(north, 20)} are not in the same kind of unit.")
    crs, said_crs = _dataset_crs(dataset, array)
    unit = clean(str(array.attrs.get("units", "")), 16) or UNKNOWN
    quantity = clean(str(array.attrs.get("long_name") or array.attrs.get("standard_name") or array.name), 60)
    if unit == UNKNOWN:
        notes.append("The unit of the values is not stated.")
    known: dict[str, Any] = {"quantity": quantity, "unit": unit, "crs": crs}
    if geographic_x is not None:
        known["geographic"] = geographic_x
    known["height"] = _height(array, notes)
    return _finish(path, values, x, y, coordinates, (*notes, *said_x, *said_y, *said_crs), **known)


def _axis(axis: xarray.DataArray) -> str:
    """'x' or 'y' by name and attributes, '' where they do not say."""
    words = f"{axis.name} {axis.attrs.get('standard_name', '')} {axis.attrs.get('units', '')} {axis.attrs.get('axis', '')}".lower().split()
    if {"longitude", "lon", "x", "easting", "east", "degrees_east", "projection_x_coordinate"}.intersection(words):
        return "x"
    return "y" if {"latitude", "lat", "y", "northing", "north", "degrees_north", "projection_y_coordinate"}.intersection(words) else ""


def _is_time(axis: xarray.DataArray) -> bool:
    return " since " in str(axis.attrs.get("units", "")) or axis.dtype.kind in "mM" or str(axis.name).lower() == "time"


def _coordinate(axis: xarray.DataArray, name: str) -> tuple[Array, bool | None, tuple[str, ...]]:
    """Values in metres or degrees, whether they are degrees (None: not stated), and notes."""
    if axis.dtype.kind not in "iuf":
        raise DataError("E_GEOMETRY", f"{name}: {clean(str(axis.name), 20)} holds no numbers.")
    values = axis.to_numpy().astype(np.float64)
    unit = str(axis.attrs.get("units", "")).strip().lower()
    words = f"{axis.name} {axis.attrs.get('standard_name', '')}".lower()
    if unit.startswith("degree") or (not unit and any(key in words.split() for key in ("longitude", "latitude", "lon", "lat"))):
        return values, True, ()
    if not unit:
        return values, None, ()
    if unit not in LENGTHS:
        raise DataError("E_UNITS", f"{name}: {clean(str(axis.name), 20)} is in {clean(unit, 20)!r}; degrees, m, km or ft are read.")
    factor = LENGTHS[unit]
    return values * factor, False, () if factor == 1 else (f"{clean(str(axis.name), 20)} is in {unit}; metres here.",)


def _dataset_crs(dataset: xarray.Dataset, array: xarray.DataArray) -> tuple[str, tuple[str, ...]]:
    """EPSG code of the coordinate reference system, where an attribute of variable, file or grid mapping states it."""
    import pyproj

    mapping = array.attrs.get("grid_mapping") or array.encoding.get("grid_mapping") or ""
    stated = dict(dataset[mapping].attrs) if mapping in dataset.variables else {}
    given = [stated.get(key) for key in ("crs_wkt", "spatial_ref", "epsg_code")] + [where.get("crs") for where in (array.attrs, dataset.attrs)]
    for text in given:
        if isinstance(text, str) and text.strip():
            if text.strip().upper() in ("WGS84", "WGS 84"):
                return "EPSG:4326", ()
            try:
                code = pyproj.CRS.from_user_input(text).to_epsg()
            except pyproj.exceptions.CRSError:
                return UNKNOWN, (f"The coordinate reference system {clean(text, 40)!r} is not known.",)
            return (f"EPSG:{code}" if code else clean(text, 60)), ()
    return UNKNOWN, ("No coordinate reference system is stated.",)


def _height(array: xarray.DataArray, notes: list[str]) -> float | None:
    """The height of the observation surface, where a coordinate of the same shape holds one constant."""
    for name, coordinate in array.coords.items():
        if str(name).lower() in ("height", "altitude", "elevation") and coordinate.dtype.kind in "iuf":
            low, high = float(coordinate.min()), float(coordinate.max())
            if low == high and str(coordinate.attrs.get("units", "")) in ("m", "metre", "meter"):
                above = clean(str(coordinate.attrs.get("standard_name", "datum unknown")), 50).replace("_", " ")
                notes.append(f"Values are at {low:g} m ({above}).")
                return low
            notes.append(f"{clean(str(name), 20)} varies from {low:g} to {high:g}: it is not kept.")
    return None
