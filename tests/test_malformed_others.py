"""Damaged, lying and hostile files of every format but SEG-Y: each ends in an error of the right code, none in a crash, a hang or a wrong number."""

from __future__ import annotations

import gzip
import io
import re
import struct
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from moho.errors import Missing, MohoError
from moho.read import read

obspy = pytest.importorskip("obspy")

SECONDS = 20.0  # for one file on a loaded machine; a hang would be stopped by the reader's own limit after 60


@cache
def mseed(encoding: str = "STEIM2", samples: int = 2000) -> bytes:
    data = np.cumsum(np.random.default_rng(1).integers(-50, 50, samples)).astype("float32" if encoding == "FLOAT32" else "int32")
    buffer = io.BytesIO()
    header = {"sampling_rate": 100.0, "network": "XX", "station": "AAA", "channel": "HHZ", "starttime": obspy.UTCDateTime(2020, 1, 1)}
    obspy.Stream([obspy.Trace(data, header)]).write(buffer, format="MSEED", reclen=512, encoding=encoding, byteorder=">")
    return buffer.getvalue()


@cache
def other(kind: str) -> bytes:
    data = np.cumsum(np.random.default_rng(1).integers(-50, 50, 500)).astype("float32" if kind == "SAC" else "int32")
    header = {"sampling_rate": 100.0, "network": "XX", "station": "AAA", "channel": "HHZ", "starttime": obspy.UTCDateTime(2020, 1, 1)}
    with tempfile.TemporaryDirectory() as folder:  # its text formats are written to files only
        obspy.Stream([obspy.Trace(data, header)]).write(f"{folder}/a", format=kind)
        return Path(folder, "a").read_bytes()


@cache
def stationxml() -> bytes:
    buffer = io.BytesIO()
    obspy.read_inventory().write(buffer, format="STATIONXML")
    return buffer.getvalue()


@cache
def quakeml() -> bytes:
    from obspy.core.event import Catalog, Event, Origin

    buffer = io.BytesIO()
    origin = Origin(time=obspy.UTCDateTime(2019, 7, 4), latitude=35.7, longitude=-117.5, depth=1e4)
    Catalog([Event(origins=[origin])]).write(buffer, format="QUAKEML")
    return buffer.getvalue()


def patched(raw: bytes, at: int, piece: bytes) -> bytes:
    return raw[:at] + piece + raw[at + len(piece) :]


LAS = """~Version
VERS. 2.0 : V
WRAP. NO : W
~Well
STRT.M 100 : S
STOP.M 101.5 : S
STEP.M 0.5 : S
NULL. -999.25 : N
WELL. A : W
~Curve
DEPT.M : Depth
GR.API : Gamma
RHOB.G/CC : Density
~A
100.0 50 2.65
100.5 60 2.60
101.0 55 2.55
101.5 70 2.50
"""
CSV = "longitude,latitude,height_m,gravity_mgal\n18.34444,-34.12971,32.2,979656.12\n18.36028,-34.08833,592.5,979508.21\n18.4,-34.1,18.4,979666.46\n"
MAG = "83 -32 60000 ! field\n83 -32\n3\n509 42958 40 42.9 5.8\n504 42858 40 88.3 6.7\n500 42758 40 90.1 6.7\n"
DSAA = "DSAA\n3 3\n500000 500200\n6000000 6000200\n1 9\n1 2 3\n4 5 6\n7 8 9\n"
ARC = "ncols 3\nnrows 3\nxllcorner 500000\nyllcorner 6000000\ncellsize 100\nNODATA_value -9999\n1 2 3\n4 5 6\n7 8 9\n"


def dsbb(columns: int = 3, rows: int = 3, order: str = "<", values: int = 9, x: tuple[float, float] = (500000, 500200)) -> bytes:
    head = b"DSBB" + struct.pack(f"{order}hh6d", columns, rows, *x, 6000000, 6000200, 0, 8)
    return head + np.arange(values).astype(f"{order}f4").tobytes()


def dsrb(columns: int = 3, rows: int = 3, rotation: float = 0.0, dx: float = 100.0, data: int = 9) -> bytes:
    grid = struct.pack("<ii8d", rows, columns, 500000, 6000000, dx, 100, 0, 8, rotation, 1.70141e38)
    values = b"DATA" + struct.pack("<i", 8 * data) + np.zeros(data).tobytes()
    return b"DSRB" + struct.pack("<ii", 4, 1) + b"GRID" + struct.pack("<i", 72) + grid + values


@cache
def netcdf(kind: str = "plain") -> bytes:
    import xarray

    x, y = np.arange(5.0) * 100 + 5e5, np.arange(4.0) * 100 + 6e6
    values = np.arange(20.0).reshape(4, 5)
    units = "furlong" if kind == "units" else "m"
    if kind == "nan":
        values = np.full((4, 5), np.nan)
    if kind == "irregular":
        x = 5e5 + np.array([0.0, 100, 250, 900, 950])
    if kind == "folded":
        x = 5e5 + np.array([0.0, 100, 50, 300, 400])
    if kind == "swapped":
        made = xarray.Dataset(
            {"g": (("lat", "lon"), values)},
            {"lat": ("lat", 100 + np.arange(4.0), {"units": "degrees_north"}), "lon": ("lon", np.arange(5.0), {"units": "degrees_east"})},
        )
    elif kind == "bare":
        made = xarray.Dataset({"g": (("y", "x"), values)})
    elif kind == "list":
        made = xarray.Dataset({"g": (("x",), np.arange(5.0))}, {"x": x})
    elif kind == "time":
        made = xarray.Dataset({"g": (("time", "x"), values)}, {"time": ("time", np.arange(4.0), {"units": "days since 2000-01-01"}), "x": x})
    elif kind == "cube":
        made = xarray.Dataset({"g": (("z", "y", "x"), np.zeros((3, 4, 5)))}, {"z": np.arange(3.0), "y": y, "x": x})
    else:
        made = xarray.Dataset({"g": (("y", "x"), values)}, {"x": ("x", x, {"units": units}), "y": ("y", y, {"units": units})})
    with tempfile.TemporaryDirectory() as folder:
        made.to_netcdf(Path(folder) / "a.nc", engine="netcdf4" if kind == "hdf5" else "scipy")
        return (Path(folder) / "a.nc").read_bytes()


@cache
def geotiff(kind: str = "plain") -> bytes:
    import rasterio

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        skew = 30.0 if kind == "rotated" else 0.0
        transform = rasterio.Affine(100, skew, 5e5, skew, -100, 6e6) if kind != "picture" else rasterio.Affine.identity()
        values = np.random.default_rng(0).random((64, 64)).astype("float32") if kind != "nan" else np.full((64, 64), np.nan, "float32")
        with rasterio.MemoryFile() as memory:
            with memory.open(driver="GTiff", width=64, height=64, count=1, dtype="float32", transform=transform, crs="EPSG:32631") as file:
                file.write(values, 1)
            return bytes(memory.read())


def noise(count: int) -> bytes:
    return bytes(np.random.default_rng(3).integers(0, 256, count, dtype=np.uint8))


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def header() -> str:
    return LAS[: LAS.index("~A") + 3]


def rows() -> str:
    return LAS[LAS.index("~A") + 3 :]


Made = Callable[[], bytes | str]
CASES: dict[str, tuple[str, Made, str]] = {
    # miniSEED: name -> (codes, bytes, file name)
    "mseed cut in a record": ("E_TRUNCATED", lambda: mseed()[:-200], "a.mseed"),
    "mseed cut in a header": ("E_TRUNCATED", lambda: mseed()[:-490], "a.mseed"),
    "mseed counting 65535 samples": ("E_HEADER", lambda: patched(mseed(), 30, b"\xff\xff"), "a.mseed"),
    "mseed counting too few samples": ("E_HEADER E_FORMAT", lambda: patched(mseed(), 30, b"\x00\x07"), "a.mseed"),
    "mseed of floats counting too many": ("E_HEADER", lambda: patched(mseed("FLOAT32"), 30, struct.pack(">H", 5000)), "a.mseed"),
    "mseed sampled at 0 Hz": ("E_HEADER", lambda: patched(mseed(), 32, b"\0\0\0\0"), "a.mseed"),
    "mseed of day 999": ("E_HEADER", lambda: patched(mseed(), 22, struct.pack(">H", 999)), "a.mseed"),
    "mseed in records of 2^60 bytes": ("E_HEADER", lambda: patched(mseed(), 54, b"\x3c"), "a.mseed"),
    "mseed in records longer than the file": ("E_TRUNCATED", lambda: patched(mseed(), 54, b"\x14"), "a.mseed"),
    "mseed of unknown encoding": ("E_UNSUPPORTED", lambda: patched(mseed(), 52, b"\x63"), "a.mseed"),
    "mseed whose data begin beyond the record": ("E_HEADER", lambda: patched(mseed(), 44, struct.pack(">H", 4000)), "a.mseed"),
    "mseed whose blockettes lead out": ("E_HEADER", lambda: patched(mseed(), 46, struct.pack(">H", 60000)), "a.mseed"),
    "mseed without blockettes": ("E_UNSUPPORTED", lambda: patched(mseed(), 46, b"\0\0"), "a.mseed"),
    "mseed with garbage between records": ("E_FORMAT", lambda: mseed()[:512] + bytes(range(1, 255)) * 3 + mseed()[512:], "a.mseed"),
    "mseed with damaged differences": ("E_HEADER E_FORMAT", lambda: patched(mseed(), 130, b"\x55\xaa\x13\x37" * 20), "a.mseed"),
    "mseed of NaN": ("E_DATA", lambda: _nan_mseed(), "a.mseed"),
    "mseed 3": ("E_UNSUPPORTED", lambda: b"MS\x03" + bytes(100), "a.mseed"),
    # SAC, GSE2, SLIST, NumPy
    "sac cut": ("E_TRUNCATED", lambda: other("SAC")[:-100], "a.sac"),
    "sac counting 2^31-1 samples": ("E_TRUNCATED", lambda: patched(other("SAC"), 316, struct.pack("<i", 2**31 - 1)), "a.sac"),
    "sac counting -5 samples": ("E_HEADER", lambda: patched(other("SAC"), 316, struct.pack("<i", -5)), "a.sac"),
    "sac with more after its samples": ("E_HEADER", lambda: other("SAC") + bytes(64), "a.sac"),
    "sac with dt 0": ("E_HEADER", lambda: patched(other("SAC"), 0, struct.pack("<f", 0)), "a.sac"),
    "sac with dt NaN": ("E_HEADER", lambda: patched(other("SAC"), 0, struct.pack("<f", float("nan"))), "a.sac"),
    "sac spectrum": ("E_UNSUPPORTED", lambda: patched(other("SAC"), 340, struct.pack("<i", 2)), "a.sac"),
    "gse2 cut": ("E_TRUNCATED", lambda: other("GSE2")[:-300], "a.gse2"),
    "gse2 counting too many": ("E_TRUNCATED", lambda: patched(other("GSE2"), 48, b"99999999"), "a.gse2"),
    "gse2 with another letter": ("E_HEADER", lambda: _swapped_letter(other("GSE2")), "a.gse2"),
    "slist counting too many": ("E_TRUNCATED", lambda: other("SLIST").replace(b"500 samples", b"999999999 samples"), "a.slist"),
    "slist counting too few": ("E_HEADER", lambda: other("SLIST").replace(b"500 samples", b"400 samples"), "a.slist"),
    "slist at -100 samples a second": ("E_HEADER", lambda: other("SLIST").replace(b"100 sps", b"-100 sps"), "a.slist"),
    "slist of words": ("E_FORMAT E_TRUNCATED", lambda: re.sub(rb"\n[^T]*", b"\n" + b"four " * 500, other("SLIST")), "a.slist"),
    "slist gzip cut": ("E_TRUNCATED", lambda: gzip.compress(other("SLIST"))[:-60], "a.slist.gz"),
    "npz of objects": ("E_FORMAT", lambda: npz(data=np.array([{"a": 1}, None], dtype=object)), "a.npz"),
    "npz transposed": ("E_HEADER", lambda: npz(data=np.zeros((3, 9001)), itp=np.array(3000)), "a.npz"),
    "npz all NaN": ("E_DATA", lambda: npz(data=np.full((100, 3), np.nan)), "a.npz"),
    # StationXML and QuakeML
    "stationxml cut": ("E_TRUNCATED", lambda: stationxml()[:-500], "a.xml"),
    "stationxml at latitude 123": ("E_GEOMETRY", lambda: stationxml().replace(b">48.162899<", b">123.162899<"), "a.xml"),
    "stationxml with entities": ("E_UNSUPPORTED", lambda: stationxml().replace(b"<FDSN", b"<!DOCTYPE x [<!ENTITY y 'z'>]><FDSN", 1), "a.xml"),
    "quakeml cut": ("E_TRUNCATED", lambda: quakeml()[:-300], "a.xml"),
    "quakeml at latitude 135": ("E_GEOMETRY", lambda: quakeml().replace(b"35.7", b"135.7"), "a.xml"),
    "quakeml without events": ("E_FORMAT", lambda: re.sub(rb"<event .*</event>", b"", quakeml(), flags=re.S), "a.xml"),
    # LAS
    "las comma-delimited without DLM": ("E_FORMAT", lambda: header() + rows().replace(" ", ","), "a.las"),
    "las with decimal commas": ("E_FORMAT", lambda: header() + rows().replace(".", ","), "a.las"),
    "las cut in a row": ("E_TRUNCATED", lambda: LAS[:-8], "a.las"),
    "las cut between rows": ("E_TRUNCATED", lambda: LAS.replace("STOP.M 101.5", "STOP.M 900"), "a.las"),
    "las without data": ("E_TRUNCATED", lambda: header(), "a.las"),
    "las without ~A": ("E_TRUNCATED", lambda: LAS[: LAS.index("~A")], "a.las"),
    "las without ~C": ("E_HEADER", lambda: LAS[: LAS.index("~Curve")] + LAS[LAS.index("~A") :], "a.las"),
    "las with an empty ~C": ("E_HEADER", lambda: LAS[: LAS.index("DEPT")] + LAS[LAS.index("~A") :], "a.las"),
    "las with two ~W": ("E_HEADER", lambda: LAS.replace("~Curve", "~Well\nSTRT.M 5 : S\n~Curve"), "a.las"),
    "las declaring a curve too many": ("E_HEADER", lambda: LAS.replace("~A", "DT.US/F : S\n~A"), "a.las"),
    "las 3": ("E_UNSUPPORTED", lambda: LAS.replace("VERS. 2.0", "VERS. 3.0"), "a.las"),
    "las version two": ("E_HEADER", lambda: LAS.replace("VERS. 2.0", "VERS. two"), "a.las"),
    "las with STRT in feet": ("E_UNITS", lambda: LAS.replace("STRT.M 100", "STRT.M 328.084").replace("STOP.M 101.5", "STOP.M 333.005"), "a.las"),
    "las in metres and feet": ("E_UNITS", lambda: LAS.replace("DEPT.M", "DEPT.FT"), "a.las"),
    "las in furlongs": ("E_UNITS", lambda: LAS.replace(".M ", ".FURLONG "), "a.las"),
    "las over time": ("E_UNSUPPORTED", lambda: LAS.replace(".M ", ".S "), "a.las"),
    "las without a unit of depth": ("Missing", lambda: LAS.replace(".M ", ". "), "a.las"),
    "las 40 km deep": ("E_UNITS", lambda: LAS.replace("100", "40000").replace("101.", "40001."), "a.las"),
    "las whose depth turns round": ("E_GEOMETRY", lambda: LAS.replace("\n101.0 ", "\n100.2 "), "a.las"),
    "las whose depth stands still": ("E_GEOMETRY", lambda: LAS.replace("\n101.0 ", "\n100.5 "), "a.las"),
    "las with null depths": ("E_GEOMETRY", lambda: LAS.replace("\n101.0 ", "\n-999.25 "), "a.las"),
    "las with words among numbers": ("E_FORMAT", lambda: LAS.replace("\n101.0 55", "\n101.0 n/a"), "a.las"),
    "las with run-on numbers": ("E_HEADER", lambda: LAS.replace("55 2.55", "-999.25-999.25"), "a.las"),
    "las all null": ("E_DATA", lambda: header() + re.sub(r" \S+ \S+", " -999.25 -999.25", rows()), "a.las"),
    "las with STEP 1e30": ("E_HEADER", lambda: LAS.replace("STEP.M 0.5", "STEP.M 1e30"), "a.las"),
    "las with STEP NaN": ("E_HEADER", lambda: LAS.replace("STEP.M 0.5", "STEP.M NaN"), "a.las"),
    "las with a header line of a megabyte": ("E_LIMIT", lambda: LAS.replace("GR.API", "GR." + "a." * 500_000), "a.las"),
    "las of 100000 header lines": ("E_LIMIT", lambda: LAS.replace("~Curve", "X. 1 : Y\n" * 100_000 + "~Curve"), "a.las"),
    "las wrapped, one value short": ("E_TRUNCATED", lambda: LAS.replace("WRAP. NO", "WRAP. YES")[:-5], "a.las"),
    "las in utf-16 without a mark": ("E_ENCODING", lambda: LAS.encode("utf-16-le"), "a.las"),
    "las of noise": ("E_FORMAT E_ENCODING", lambda: noise(5000), "a.las"),
    "las with data under two ~A": ("E_HEADER", lambda: LAS + "~A\n102 1 2\n", "a.las"),
    # tables
    "csv empty": ("E_FORMAT", lambda: b"", "a.csv"),
    "csv of blank lines": ("E_FORMAT", lambda: "\n \n\n", "a.csv"),
    "csv header only": ("E_TRUNCATED", lambda: CSV.split("\n")[0] + "\n", "a.csv"),
    "csv cut in a row": ("E_TRUNCATED", lambda: CSV[: CSV.rindex("-34.1,") + 5], "a.csv"),
    "csv ragged": ("E_FORMAT", lambda: CSV.replace(",592.5,", ","), "a.csv"),
    "csv with a field too many": ("E_FORMAT", lambda: CSV.replace(",592.5,", ",592.5,7,"), "a.csv"),
    "csv with words among numbers": ("E_FORMAT", lambda: CSV.replace("592.5", "high"), "a.csv"),
    "csv with letter O for zero": ("E_FORMAT", lambda: CSV.replace("979508.21", "9795O8.21"), "a.csv"),
    "csv with decimal commas": ("E_FORMAT", lambda: CSV.replace(".", ","), "a.csv"),
    "csv with points and commas": ("E_FORMAT", lambda: CSV.replace(",", ";").replace("979508.21", "979.508,21"), "a.csv"),
    "csv with two decimal marks": ("E_FORMAT", lambda: CSV.replace(",", ";").replace("592.5", "592,5"), "a.csv"),
    "csv with mixed separators": ("E_FORMAT", lambda: CSV.replace("18.36028,-34.08833,592.5,", "18.36028;-34.08833;592.5;"), "a.csv"),
    "csv with swapped names": ("E_GEOMETRY", lambda: CSV.replace("longitude,latitude", "latitude,longitude"), "a.csv"),
    "csv with latitude 134": ("E_GEOMETRY", lambda: CSV.replace("-34.", "-134."), "a.csv"),
    "csv with metres called degrees": ("E_GEOMETRY", lambda: CSV.replace("18.", "5018000.").replace("-34.", "6034000."), "a.csv"),
    "csv with gravity in m/s2 called mGal": ("E_UNITS", lambda: "longitude,latitude,gravity_mgal\n18,-34,9.79656\n19,-34,9.79657\n", "a.csv"),
    "csv with gravity of another latitude": ("E_DATA", lambda: CSV.replace("-34.", "-74.").replace("18.", "118."), "a.csv"),
    "csv with gravity in nT": ("E_UNITS", lambda: CSV.replace("gravity_mgal", "gravity_nt"), "a.csv"),
    "csv all null": ("E_DATA", lambda: "longitude,latitude,gravity_mgal\n" + "*,*,-99999\n" * 5, "a.csv"),
    "csv without gravity values": ("E_DATA", lambda: "longitude,latitude,gravity_mgal\n18,-34,NaN\n19,-34,NaN\n", "a.csv"),
    "csv at one place": ("E_GEOMETRY", lambda: "longitude,latitude,gravity_mgal\n" + "18.3,-34.1,979656\n" * 5, "a.csv"),
    "csv in utf-16 without a mark": ("E_ENCODING", lambda: CSV.encode("utf-16-le"), "a.csv"),
    "csv in ebcdic": ("E_ENCODING E_FORMAT", lambda: CSV.encode("cp037"), "a.csv"),
    "csv with a broken mark": ("E_ENCODING", lambda: b"\xef\xbb\xbf" + CSV.encode() + b"\xff\xfe\xfa", "a.csv"),
    "csv with zero bytes": ("E_FORMAT", lambda: CSV.replace("18.4", "18\0.4"), "a.csv"),
    "csv with an open quotation mark": ("E_FORMAT E_TRUNCATED", lambda: CSV.replace("592.5", '"592.5'), "a.csv"),
    "csv of 5000 columns": ("E_LIMIT", lambda: "\n".join([",".join(["1"] * 5000)] * 3), "a.csv"),
    "csv of noise": ("E_FORMAT E_ENCODING", lambda: noise(5000), "a.csv"),
    "catalogue with a month 13": ("E_FORMAT", lambda: "time,latitude,longitude,depth_km,magnitude\n2019-13-04T00:00:00,35,-117,10,3\n", "a.csv"),
    "catalogue 70000 km deep": ("E_UNITS", lambda: "time,latitude,longitude,depth_km,magnitude\n2019-12-04T00:00:00,35,-117,70000,3\n", "a.csv"),
    "catalogue with swapped columns": ("E_GEOMETRY", lambda: "time,longitude,latitude,magnitude\n2019-12-04T00:00:00,35,-117,3\n", "a.csv"),
    # UBC-GIF
    "mag counting 10^12 data": ("E_TRUNCATED", lambda: MAG.replace("\n3\n", "\n1000000000000\n"), "a.mag"),
    "mag counting too few data": ("E_HEADER", lambda: MAG.replace("\n3\n", "\n2\n"), "a.mag"),
    "mag with inclination 183": ("E_HEADER", lambda: MAG.replace("83 -32 60000", "183 -32 60000"), "a.mag"),
    "mag with a field of -1 nT": ("E_HEADER", lambda: MAG.replace("60000", "-1"), "a.mag"),
    "mag along another direction": ("E_UNSUPPORTED", lambda: MAG.replace("\n83 -32\n", "\n0 90\n"), "a.mag"),
    "mag cut in a row": ("E_TRUNCATED", lambda: MAG[:-10], "a.mag"),
    "mag of words": ("E_FORMAT", lambda: MAG.replace("88.3", "high"), "a.mag"),
    "mag of NaN": ("E_DATA", lambda: MAG.replace("88.3", "NaN"), "a.mag"),
    # grids
    "surfer 6 cut": ("E_TRUNCATED", lambda: dsbb()[:-10], "a.grd"),
    "surfer 6 of 32767 x 32767": ("E_LIMIT E_TRUNCATED", lambda: dsbb(32767, 32767), "a.grd"),
    "surfer 6 of -3 columns": ("E_HEADER", lambda: dsbb(-3), "a.grd"),
    "surfer 6 big-endian": ("E_UNSUPPORTED", lambda: dsbb(order=">"), "a.grd"),
    "surfer 6 with more values": ("E_HEADER", lambda: dsbb(values=12), "a.grd"),
    "surfer 6 from east to west": ("E_HEADER", lambda: dsbb(x=(500200, 500000)), "a.grd"),
    "surfer 6 at infinity": ("E_HEADER", lambda: dsbb(x=(500000, float("inf"))), "a.grd"),
    "surfer 6 header only": ("E_TRUNCATED", lambda: dsbb()[:40], "a.grd"),
    "surfer 7 cut": ("E_TRUNCATED", lambda: dsrb()[:-10], "a.grd"),
    "surfer 7 without data": ("E_TRUNCATED", lambda: dsrb()[:-80], "a.grd"),
    "surfer 7 of 10^9 nodes": ("E_LIMIT E_TRUNCATED", lambda: dsrb(100000, 10000), "a.grd"),
    "surfer 7 rotated": ("E_UNSUPPORTED", lambda: dsrb(rotation=30), "a.grd"),
    "surfer 7 with cells of 0": ("E_HEADER", lambda: dsrb(dx=0), "a.grd"),
    "surfer 7 with a section of -1 bytes": ("E_HEADER", lambda: patched(dsrb(), 16, struct.pack("<i", -1)), "a.grd"),
    "surfer text cut": ("E_TRUNCATED", lambda: DSAA[:-5], "a.grd"),
    "surfer text of 10^9 columns": ("E_TRUNCATED E_LIMIT", lambda: DSAA.replace("3 3", "1000000000 3"), "a.grd"),
    "surfer text of 2.5 columns": ("E_HEADER", lambda: DSAA.replace("3 3", "2.5 3"), "a.grd"),
    "surfer text of words": ("E_FORMAT", lambda: DSAA.replace("5", "five"), "a.grd"),
    "surfer text all blank": ("E_DATA", lambda: DSAA[: DSAA.index("1 2 3")] + "1.70141e38 " * 9, "a.grd"),
    "arc cut": ("E_TRUNCATED", lambda: ARC[:-5], "a.asc"),
    "arc with cells of 0": ("E_HEADER", lambda: ARC.replace("cellsize 100", "cellsize 0"), "a.asc"),
    "arc without a corner": ("E_GEOMETRY", lambda: ARC.replace("xllcorner 500000\n", ""), "a.asc"),
    "arc all blank": ("E_DATA", lambda: ARC[: ARC.index("1 2 3")] + "-9999 " * 9, "a.asc"),
    "netcdf cut": ("E_TRUNCATED", lambda: netcdf()[:-60], "a.nc"),
    "netcdf cut in its header": ("E_TRUNCATED", lambda: netcdf()[:40], "a.nc"),
    "netcdf with a dimension of 2^31-1": ("E_TRUNCATED E_HEADER", lambda: netcdf().replace(b"\0\0\0\5", b"\x7f\xff\xff\xff", 1), "a.nc"),
    "netcdf all NaN": ("E_DATA", lambda: netcdf("nan"), "a.nc"),
    "netcdf in furlongs": ("E_UNITS", lambda: netcdf("units"), "a.nc"),
    "netcdf with uneven steps": ("E_GEOMETRY", lambda: netcdf("irregular"), "a.nc"),
    "netcdf folded over": ("E_GEOMETRY", lambda: netcdf("folded"), "a.nc"),
    "netcdf at latitude 103": ("E_GEOMETRY", lambda: netcdf("swapped"), "a.nc"),
    "netcdf without coordinates": ("E_GEOMETRY", lambda: netcdf("bare"), "a.nc"),
    "netcdf of a list": ("E_FORMAT", lambda: netcdf("list"), "a.nc"),
    "netcdf over time": ("E_UNSUPPORTED", lambda: netcdf("time"), "a.nc"),
    "netcdf of a cube": ("E_UNSUPPORTED", lambda: netcdf("cube"), "a.nc"),
    "netcdf 4 cut": ("E_TRUNCATED", lambda: netcdf("hdf5")[:-100], "a.nc"),
    "netcdf 4 of noise": ("E_FORMAT E_TRUNCATED", lambda: netcdf("hdf5")[:48] + noise(9000), "a.nc"),
    "geotiff cut": ("E_TRUNCATED E_FORMAT", lambda: geotiff()[:-3000], "a.tif"),
    "geotiff cut in its header": ("E_FORMAT E_TRUNCATED", lambda: geotiff()[:20], "a.tif"),
    "geotiff without coordinates": ("E_GEOMETRY", lambda: geotiff("picture"), "a.tif"),
    "geotiff rotated": ("E_GEOMETRY", lambda: geotiff("rotated"), "a.tif"),
    "geotiff all NaN": ("E_DATA", lambda: geotiff("nan"), "a.tif"),
    "checkshots that go back in time": ("E_GEOMETRY", lambda: "0 0\n500 0.5\n600 0.4\n900 0.9\n", "a_checkshot.txt"),
    "checkshots of NaN": ("E_DATA", lambda: "0 0\n500 NaN\n900 0.9\n", "a_checkshot.txt"),
    "tops without a depth": ("E_FORMAT", lambda: "30\tSea\nnone\tBase\n", "a_markers.txt"),
}  # fmt: skip


def _nan_mseed() -> bytes:
    buffer = io.BytesIO()
    obspy.Stream([obspy.Trace(np.full(300, np.nan, "float32"), {"sampling_rate": 10.0})]).write(buffer, format="MSEED")
    return buffer.getvalue()


def _swapped_letter(raw: bytes) -> bytes:
    at = raw.index(b"DAT2") + 60
    return patched(raw, at, b"A" if raw[at : at + 1] != b"A" else b"B")


@pytest.mark.parametrize("case", CASES)
def test_malformed_file_ends_in_an_error_of_its_class(case: str, tmp_path: Path) -> None:
    codes, make, name = CASES[case]
    made = make()
    path = tmp_path / name
    path.write_bytes(made.encode() if isinstance(made, str) else made)
    began = time.monotonic()
    with pytest.raises(MohoError) as refused:
        read(path)
    assert time.monotonic() - began < SECONDS
    got = "Missing" if isinstance(refused.value, Missing) else refused.value.code
    assert got in codes.split(), f"{got}: {refused.value}"
    assert str(refused.value).isprintable()


def test_there_are_enough_cases_and_the_sound_files_beside_them_are_read(tmp_path: Path) -> None:
    assert len(CASES) >= 120
    sound: dict[str, bytes | str] = {
        "a.mseed": mseed(), "f.mseed": mseed("FLOAT32"), "a.sac": other("SAC"), "a.gse2": other("GSE2"), "a.slist": other("SLIST"),
        "s.xml": stationxml(), "q.xml": quakeml(), "a.las": LAS, "a.csv": CSV, "a.mag": MAG, "6.grd": dsbb(), "7.grd": dsrb(), "t.grd": DSAA,
        "a.asc": ARC, "a.nc": netcdf(), "4.nc": netcdf("hdf5"), "a.tif": geotiff(), "a.npz": npz(data=np.random.default_rng(0).normal(size=(100, 3))),
    }  # fmt: skip
    for name, made in sound.items():
        (tmp_path / name).write_bytes(made.encode() if isinstance(made, str) else made)
        read(tmp_path / name)
