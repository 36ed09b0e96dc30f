"""Grids: a plane written in each format comes back the right way up, and truths of the global grids hold."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest

from moho.errors import DataError, Missing
from moho.grids import looks_like, read_grid

X, Y = np.arange(500000.0, 500600.0, 100.0), np.arange(6000000.0, 6000400.0, 100.0)
PLANE = (X[None, :] - X[0]) * 0.01 + (Y[:, None] - Y[0]) * 0.1  # (north, east)
HOLED = np.where(PLANE[1, 2] == PLANE, np.nan, PLANE)
BLANK = 1.70141e38


def blanked() -> np.ndarray:
    return np.where(np.isnan(HOLED), BLANK, HOLED)


def surfer6() -> bytes:
    head = b"DSBB" + struct.pack("<hh6d", len(X), len(Y), X[0], X[-1], Y[0], Y[-1], np.nanmin(HOLED), np.nanmax(HOLED))
    return head + blanked().astype("<f4").tobytes()


def surfer7() -> bytes:
    grid = struct.pack("<ii8d", len(Y), len(X), X[0], Y[0], 100, 100, np.nanmin(HOLED), np.nanmax(HOLED), 0, BLANK)
    values = b"DATA" + struct.pack("<i", 8 * HOLED.size) + blanked().astype("<f8").tobytes()
    return b"DSRB" + struct.pack("<ii", 4, 1) + b"GRID" + struct.pack("<i", 72) + grid + values


def surfer_text() -> bytes:
    rows = "\n".join(" ".join(f"{value:.9g}" for value in row) for row in blanked())
    return f"DSAA\n{len(X)} {len(Y)}\n{X[0]} {X[-1]}\n{Y[0]} {Y[-1]}\n{np.nanmin(HOLED)} {np.nanmax(HOLED)}\n{rows}\n".encode()


def arc() -> bytes:
    rows = "\n".join(" ".join(f"{value:.9g}" for value in row) for row in np.nan_to_num(HOLED, nan=-9999)[::-1])
    head = f"ncols {len(X)}\nnrows {len(Y)}\nxllcorner {X[0] - 50}\nyllcorner {Y[0] - 50}\ncellsize 100\nNODATA_value -9999\n"
    return (head + rows + "\n").encode()


def geotiff(path: Path, **changes: object) -> None:
    import rasterio

    corner = rasterio.Affine(100.0, 0.0, X[0] - 50, 0.0, -100.0, Y[-1] + 50)
    options: dict[str, object] = {"crs": "EPSG:32631", "transform": corner, "nodata": -9999.0, "count": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", driver="GTiff", width=len(X), height=len(Y), dtype="float32", **(options | changes)) as file:
            for band in range(int(str((options | changes)["count"]))):
                file.write(np.nan_to_num(HOLED, nan=-9999).astype("float32")[::-1], band + 1)


def netcdf(path: Path, engine: str = "scipy", **variables: np.ndarray) -> None:
    import xarray

    coordinates = {"x": ("x", X, {"units": "m"}), "y": ("y", Y[::-1], {"units": "m"})}
    fields = {name: (("y", "x"), values[::-1], {"units": "mGal"}) for name, values in (variables or {"bouguer": HOLED}).items()}
    xarray.Dataset(fields, coordinates).to_netcdf(path, engine=engine)  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", ["surfer6", "surfer7", "surfer_text", "arc", "geotiff", "netcdf"])
def test_plane_comes_back_south_first(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "plane.grd"
    if kind in ("geotiff", "netcdf"):
        {"geotiff": geotiff, "netcdf": netcdf}[kind](path)
    else:
        path.write_bytes({"surfer6": surfer6, "surfer7": surfer7, "surfer_text": surfer_text, "arc": arc}[kind]())
    assert looks_like(path.read_bytes()[:4096], path)
    grid = read_grid(path)
    np.testing.assert_allclose(grid.x, X)
    np.testing.assert_allclose(grid.y, Y)
    np.testing.assert_allclose(grid.values, HOLED, rtol=1e-6)
    assert not grid.geographic
    assert grid.summary()["spacing"].value == 100
    assert grid.unit == ("mGal" if kind == "netcdf" else "unknown")
    assert grid.crs == ("EPSG:32631" if kind == "geotiff" else "unknown")


def test_several_variables_or_bands_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "two.nc"
    netcdf(path, free_air=PLANE, bouguer=-PLANE)
    with pytest.raises(Missing) as asked:
        read_grid(path)
    assert asked.value.argument == "variable"
    assert set(asked.value.candidates) == {"free_air", "bouguer"}
    assert read_grid(path, variable="bouguer").values.min() == -PLANE.max()
    geotiff(tmp_path / "two.tif", count=2)
    with pytest.raises(Missing):
        read_grid(tmp_path / "two.tif")


def test_three_dimensions_are_refused_with_words(tmp_path: Path) -> None:
    import xarray

    path = tmp_path / "cube.nc"
    cube = xarray.DataArray(np.ones((3, 4, 6)), {"time": [0, 1, 2], "y": Y, "x": X}, ("time", "y", "x"), "anomaly")
    cube.to_dataset().to_netcdf(path, engine="scipy")
    with pytest.raises(DataError, match="time 3, y 4, x 6") as refused:
        read_grid(path)
    assert refused.value.code == "E_UNSUPPORTED"


def test_bare_small_coordinates_are_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "t.grd"
    path.write_text("DSAA\n3 2\n18 18.2\n-34 -33.9\n1 6\n1 2 3\n4 5 6\n")
    with pytest.raises(Missing) as asked:
        read_grid(path)
    assert asked.value.argument == "coordinates"
    assert read_grid(path, coordinates="degrees").geographic


def test_picture_without_coordinates_is_no_map(tmp_path: Path) -> None:
    import rasterio

    path = tmp_path / "p.tif"
    geotiff(path, crs=None, transform=rasterio.Affine.identity())
    with pytest.raises(DataError) as refused:
        read_grid(path)
    assert refused.value.code == "E_GEOMETRY"


def test_global_gravity_is_read_true(shared: Path) -> None:
    import boule

    grid = read_grid(shared / "gravity_global_10arcmin" / "earth-gravity-10arcmin.nc")
    assert grid.height == 10000
    assert grid.unit == "mGal"
    assert grid.geographic
    assert grid.crs == "EPSG:4326"
    assert grid.values.shape == (1081, 2161)
    disturbance = grid.values - boule.WGS84.normal_gravity((grid.x[None, :], grid.y[:, None], np.float64(10000.0)))
    row, column = np.unravel_index(disturbance.argmax(), disturbance.shape)
    assert disturbance.min() == pytest.approx(-317.6, abs=0.2)
    assert disturbance.max() == pytest.approx(451.5, abs=0.2)
    assert (grid.y[row], grid.x[column]) == (pytest.approx(10.83, abs=0.01), pytest.approx(-73.67, abs=0.01))  # Santa Marta
    weight = np.cos(np.radians(grid.y))[:, None] * np.ones(len(grid.x) - 1)
    assert np.average(disturbance[:, :-1], weights=weight) == pytest.approx(0.0, abs=0.1)


def test_global_topography_has_its_extremes(shared: Path) -> None:
    grid = read_grid(shared / "gravity_global_10arcmin" / "earth-topography-10arcmin.nc")
    assert (np.nanmin(grid.values), np.nanmax(grid.values)) == (-10023, 6082)
    assert grid.unit == "m"
