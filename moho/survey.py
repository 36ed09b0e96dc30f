"""The data a geophysicist works on: arrays with their sampling, coordinates, units, datum and polarity.

Each class is a frozen dataclass that is checked once where it is made and trusted afterwards. Nothing here reads a
file (`moho.read`), keeps one (`moho.store`) or draws one (`moho.plot`). What is not known is said: `None` for a missing
array, the word "unknown" for a missing description.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from moho.errors import DataError, Missing
from moho.units import Quantity, convert

if TYPE_CHECKING:
    import obspy

Array = np.ndarray[Any, np.dtype[Any]]
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Step:
    """One tool call in the history of a data set: what was called, on what, with which arguments (canonical units)."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Data:
    """What every data set carries. `facts` are the numbers measured when it was made, keyed by a short name."""

    accessory: ClassVar[bool] = False  # whether a tool that can use one takes the only one there is without being told

    title: str = ""
    facts: Mapping[str, Quantity] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what a reader must know: header bytes used, assumptions, warnings
    history: tuple[Step, ...] = ()
    view: Mapping[str, Any] = field(default_factory=dict)  # how a plot tool wants it drawn: clip, wiggle, limits

    def summary(self) -> dict[str, Quantity]:
        """The numbers that describe this data set, for the catalogue and for answers."""
        return {}

    def made(self, facts: Mapping[str, Quantity] | None = None, notes: tuple[str, ...] = (), **changes: Any) -> Self:
        """A copy with `changes`, and with the facts and notes of the step that made it in place of the old ones."""
        return replace(self, facts=dict(facts or {}), notes=notes, **changes)


def _same_length(what: str, n: int, **arrays: Array | None) -> None:
    for name, array in arrays.items():
        if array is not None and len(array) != n:
            raise DataError("E_GEOMETRY", f"{what}: {name} has {len(array)} entries for {n}")


def _shape(what: str, array: Array, ndim: int) -> None:
    if array.ndim != ndim or 0 in array.shape:
        raise DataError("E_HEADER", f"{what}: need {ndim} non-empty dimensions, got shape {array.shape}")


@dataclass(frozen=True, kw_only=True)
class Seismic(Data):
    """A 2-D section: one trace a position, e.g. a stack, an inline, or an attribute of one. data: (trace, sample)."""

    data: Array
    dt: float  # s, or m where domain is "depth"
    t0: float = 0.0  # s or m, of the first sample
    domain: str = "time"  # "time" | "depth"
    quantity: str = "amplitude"  # "amplitude" | "acoustic impedance" | "envelope" | ...
    unit: str = UNKNOWN
    polarity: str = UNKNOWN  # "SEG normal" | "SEG reverse" | "unknown"
    cdp: Array | None = None  # (trace,) int: CDP, inline or crossline numbers along the section
    x: Array | None = None  # (trace,) m
    y: Array | None = None  # (trace,) m
    dx: float | None = None  # m, trace spacing
    crs: str = UNKNOWN
    band: tuple[float, float] | None = None  # Hz, what a filter left

    def __post_init__(self) -> None:
        _shape("section", self.data, 2)
        _same_length("section", self.data.shape[0], cdp=self.cdp, x=self.x, y=self.y)
        if not self.dt > 0:
            raise DataError("E_HEADER", f"section: sample interval must be positive, got {self.dt}")

    @property
    def times(self) -> Array:
        """(sample,) s, or m in depth."""
        return self.t0 + self.dt * np.arange(self.data.shape[1])

    @property
    def nyquist(self) -> float:
        """Hz."""
        return 0.5 / self.dt

    @property
    def numbers(self) -> Array:
        """(trace,) CDP numbers, or 1, 2, 3 ... where there are none."""
        return np.arange(1, len(self.data) + 1) if self.cdp is None else self.cdp

    def summary(self) -> dict[str, Quantity]:
        traces, samples = self.data.shape
        ms = self.domain == "time"
        return {
            "traces": Quantity(int(traces), "", "traces"),
            "samples": Quantity(int(samples), "", "samples per trace"),
            "sample_interval": Quantity(round(self.dt * 1000, 9) if ms else self.dt, "ms" if ms else "m", "sample interval"),
            "end": Quantity(round(float(self.t0 + self.dt * (samples - 1)), 9), "s" if ms else "m", f"last sample {self.domain}"),
        } | ({} if self.cdp is None else {"cdp": Quantity([int(self.cdp.min()), int(self.cdp.max())], "", "CDP range")})


@dataclass(frozen=True, kw_only=True)
class Gather(Data):
    """Pre-stack traces: shot, CDP or angle gathers, several of them in one data set. data: (trace, sample)."""

    data: Array
    dt: float  # s
    t0: float = 0.0  # s
    offset: Array  # (trace,) m, absolute source-receiver distance
    shot: Array | None = None  # (trace,) int, field record
    cdp: Array | None = None  # (trace,) int
    channel: Array | None = None  # (trace,) int
    source_x: Array | None = None  # (trace,) m
    source_y: Array | None = None
    receiver_x: Array | None = None
    receiver_y: Array | None = None
    crs: str = UNKNOWN
    polarity: str = UNKNOWN
    band: tuple[float, float] | None = None  # Hz

    def __post_init__(self) -> None:
        _shape("gather", self.data, 2)
        _same_length("gather", self.data.shape[0], offset=self.offset, shot=self.shot, cdp=self.cdp, channel=self.channel)
        if not self.dt > 0:
            raise DataError("E_HEADER", f"gather: sample interval must be positive, got {self.dt}")

    @property
    def times(self) -> Array:
        """(sample,) s."""
        return self.t0 + self.dt * np.arange(self.data.shape[1])

    @property
    def nyquist(self) -> float:
        """Hz."""
        return 0.5 / self.dt

    def summary(self) -> dict[str, Quantity]:
        facts = {
            "traces": Quantity(int(self.data.shape[0]), "", "traces"),
            "samples": Quantity(int(self.data.shape[1]), "", "samples per trace"),
            "sample_interval": Quantity(round(self.dt * 1000, 9), "ms", "sample interval"),
            "offset": Quantity([float(self.offset.min()), float(self.offset.max())], "m", "offset range"),
        }
        if self.shot is not None:
            shots, counts = np.unique(self.shot, return_counts=True)
            facts["shots"] = Quantity(len(shots), "", "shots")
            facts["channels"] = Quantity(int(counts.max()), "", "channels per shot")
        if self.cdp is not None:
            facts["cdp"] = Quantity([int(self.cdp.min()), int(self.cdp.max())], "", "CDP range")
            facts["fold"] = Quantity(int(np.unique(self.cdp, return_counts=True)[1].max()), "", "largest fold")
        return facts


@dataclass(frozen=True, kw_only=True)
class Volume(Data):
    """A 3-D post-stack volume that stays on disk; `moho.segy` reads slices of it. Opened from sampled headers."""

    path: str
    samples: int
    dt: float  # s, or m where domain is "depth"
    t0: float = 0.0
    domain: str = "time"
    inline: tuple[int, int, int]  # first, last, step
    crossline: tuple[int, int, int]
    sorting: str = "inline"  # which number is constant over runs of traces: "inline" | "crossline"
    format_code: int = 1
    byte_order: str = "big"
    traces: int = 0
    header_bytes: Mapping[str, int] = field(default_factory=dict)  # "inline" -> 189 ...
    corners: Array | None = None  # (4, 2) m, x and y of the corner traces
    bin_size: tuple[float, float] | None = None  # m, between inlines and between crosslines
    crs: str = UNKNOWN
    polarity: str = UNKNOWN
    amplitude: tuple[float, float] | None = None  # smallest and largest of the sampled traces, or of all when small

    @property
    def shape(self) -> tuple[int, int, int]:
        """(inline, crossline, sample)."""
        count = [(last - first) // step + 1 for first, last, step in (self.inline, self.crossline)]
        return count[0], count[1], self.samples

    def summary(self) -> dict[str, Quantity]:
        facts = {
            "inline": Quantity([self.inline[0], self.inline[1]], "", "inline range"),
            "crossline": Quantity([self.crossline[0], self.crossline[1]], "", "crossline range"),
            "traces": Quantity(self.traces, "", "traces"),
            "samples": Quantity(self.samples, "", "samples per trace"),
            "sample_interval": Quantity(round(self.dt * 1000, 9), "ms", "sample interval"),
            "format_code": Quantity(self.format_code, "", "SEG-Y format code"),
        }
        if self.amplitude is not None:
            facts["largest_amplitude"] = Quantity(float(max(map(abs, self.amplitude))), "", "largest absolute amplitude")
        return facts


@dataclass(frozen=True, kw_only=True)
class Response(Data):
    """Station metadata: an obspy Inventory with coordinates and instrument responses."""

    accessory = True
    inventory: obspy.Inventory

    def summary(self) -> dict[str, Quantity]:
        stations = [(network.code, station) for network in self.inventory for station in network]
        return {
            "stations": Quantity(len({(network, station.code) for network, station in stations}), "", "stations"),
            "channels": Quantity(sum(len(station.channels) for _, station in stations), "", "channels"),
        }


@dataclass(frozen=True, kw_only=True)
class Waveforms(Data):
    """Seismograms: an obspy Stream, the quantity it holds and, once attached, its response."""

    stream: obspy.Stream
    quantity: str = "counts"  # "counts" | "displacement" | "velocity" | "acceleration"
    unit: str = "counts"  # "counts" | "m" | "m/s" | "m/s2"
    band: tuple[float, float] | None = None  # Hz

    def __post_init__(self) -> None:
        if not len(self.stream):
            raise DataError("E_FORMAT", "waveforms: the stream holds no trace")

    def summary(self) -> dict[str, Quantity]:
        traces = list(self.stream)
        rates = sorted({float(trace.stats.sampling_rate) for trace in traces})
        return {
            "traces": Quantity(len(traces), "", "traces"),
            "stations": Quantity(len({(t.stats.network, t.stats.station) for t in traces}), "", "stations"),
            "sampling_rate": Quantity(rates[0] if len(rates) == 1 else rates, "Hz", "sampling rate"),
            "start": Quantity(str(min(t.stats.starttime for t in traces)), "UTC", "start"),
            "end": Quantity(str(max(t.stats.endtime for t in traces)), "UTC", "end"),
        }


@dataclass(frozen=True, kw_only=True)
class Stations(Data):
    """Points of measurement, in degrees (`longitude`, `latitude`) or metres (`x`, `y`), never neither. All (station,)."""

    longitude: Array | None = None  # deg
    latitude: Array | None = None  # deg
    x: Array | None = None  # m, easting
    y: Array | None = None  # m, northing
    height: Array | None = None  # m, positive up, of the observation
    crs: str = UNKNOWN
    datum: str = UNKNOWN  # of the heights: "ellipsoidal WGS84" | "geoid" | "unknown"
    line: Array | None = None  # (station,) int or str

    def _count(self) -> int:
        first = self.longitude if self.longitude is not None else self.x
        second = self.latitude if self.longitude is not None else self.y
        if first is None or second is None:
            raise DataError("E_GEOMETRY", "stations need longitude and latitude, or x and y")
        _same_length("stations", len(first), longitude=self.longitude, latitude=self.latitude, x=self.x, y=self.y)
        _same_length("stations", len(first), height=self.height, line=self.line)
        if self.latitude is not None and not np.nanmax(np.abs(self.latitude)) <= 90:
            raise DataError("E_GEOMETRY", f"latitude reaches {np.nanmax(np.abs(self.latitude)):g} deg: are the columns swapped?")
        return len(first)

    @property
    def geographic(self) -> bool:
        """Whether the coordinates are degrees."""
        return self.longitude is not None

    def coordinates(self) -> tuple[Array, Array]:
        """(easting or longitude, northing or latitude)."""
        if self.longitude is not None and self.latitude is not None:
            return self.longitude, self.latitude
        assert self.x is not None
        assert self.y is not None
        return self.x, self.y


@dataclass(frozen=True, kw_only=True)
class Gravity(Stations):
    """Gravity at stations, mGal."""

    value: Array  # (station,) mGal
    quantity: str = "observed gravity"  # | "gravity disturbance" | "free-air anomaly" | "Bouguer disturbance" | "residual"
    density: float | None = None  # kg/m3, once a Bouguer or terrain correction was made
    ellipsoid: str = ""  # of the normal gravity that was subtracted
    uncertainty: float | None = None  # mGal

    def __post_init__(self) -> None:
        _same_length("gravity", self._count(), value=self.value)

    def summary(self) -> dict[str, Quantity]:
        return {
            "stations": Quantity(len(self.value), "", "stations"),
            "range": Quantity([float(np.nanmin(self.value)), float(np.nanmax(self.value))], "mGal", f"{self.quantity} range"),
            "mean": Quantity(float(np.nanmean(self.value)), "mGal", f"mean {self.quantity}"),
        }


@dataclass(frozen=True, kw_only=True)
class Magnetics(Stations):
    """Magnetic field at points, nT: total field or its anomaly."""

    value: Array  # (point,) nT
    quantity: str = "total field anomaly"  # | "total field"
    inclination: float | None = None  # deg of the inducing field, positive down
    declination: float | None = None  # deg, positive east
    intensity: float | None = None  # nT of the inducing field

    def __post_init__(self) -> None:
        _same_length("magnetics", self._count(), value=self.value)

    def summary(self) -> dict[str, Quantity]:
        return {
            "stations": Quantity(len(self.value), "", "points"),
            "range": Quantity([float(np.nanmin(self.value)), float(np.nanmax(self.value))], "nT", f"{self.quantity} range"),
            "mean": Quantity(float(np.nanmean(self.value)), "nT", f"mean {self.quantity}"),
        }


@dataclass(frozen=True, kw_only=True)
class Grid(Data):
    """A regular map. values: (northing, easting), south first; NaN beyond data. x, y are m, or deg where geographic."""

    values: Array
    x: Array  # (easting,) increasing
    y: Array  # (northing,) increasing
    quantity: str = UNKNOWN  # "Bouguer disturbance" | "total field anomaly" | "topography" | "horizon time" | ...
    unit: str = UNKNOWN  # "mGal" | "nT" | "m" | ...
    geographic: bool = False
    crs: str = UNKNOWN
    height: float | None = None  # m, positive up, of the observation surface
    density: float | None = None  # kg/m3, of a Bouguer correction
    inclination: float | None = None  # deg, magnetic grids
    declination: float | None = None  # deg
    stations: Array | None = None  # (station, 2) where it was measured, for the map

    def __post_init__(self) -> None:
        _shape("grid", self.values, 2)
        if self.values.shape != (len(self.y), len(self.x)):
            raise DataError("E_GEOMETRY", f"grid: values {self.values.shape} for {len(self.y)} rows and {len(self.x)} columns")
        for name, axis in (("x", self.x), ("y", self.y)):
            if len(axis) < 2 or not np.all(np.diff(axis) > 0):
                raise DataError("E_GEOMETRY", f"grid: {name} must increase and have at least two entries")

    @property
    def spacing(self) -> tuple[float, float]:
        """(dx, dy), mean."""
        return float(np.diff(self.x).mean()), float(np.diff(self.y).mean())

    def summary(self) -> dict[str, Quantity]:
        length = "deg" if self.geographic else "m"
        return {
            "rows": Quantity(len(self.y), "", "rows"),
            "columns": Quantity(len(self.x), "", "columns"),
            "spacing": Quantity(round(self.spacing[0], 9), length, "grid spacing"),
            "range": Quantity([float(np.nanmin(self.values)), float(np.nanmax(self.values))], self.unit, f"{self.quantity} range"),
            "mean": Quantity(float(np.nanmean(self.values)), self.unit, f"mean {self.quantity}"),
        }


@dataclass(frozen=True)
class Curve:
    """One log curve: (sample,) values with NaN for nulls, the unit as recorded, its description."""

    values: Array
    unit: str = UNKNOWN
    description: str = ""


# The curve a method means -> the mnemonics loggers give it, most usual first.
MNEMONICS: dict[str, tuple[str, ...]] = {
    "GR": ("GR", "GRC", "SGR", "CGR", "GAMMA", "GRD", "HGR", "ECGR", "GR_EDTC", "GAMN"),
    "RHOB": ("RHOB", "RHOZ", "DEN", "ZDEN", "RHO", "DENSITY", "RHOM", "HRHOB"),
    "NPHI": ("NPHI", "TNPH", "CNPOR", "CNC", "NPOR", "PHIN", "NEUT", "HNPHI", "NPRL"),
    "DT": ("DT", "DTC", "AC", "DTCO", "DT4P", "SONIC", "DTP", "BHC"),
    "DTS": ("DTS", "DTSM", "DT4S", "DTSH"),
    "RT": ("RT", "ILD", "LLD", "RDEP", "AT90", "RILD", "RD", "LLHD", "HRLD", "RES", "RESD", "ILD_LOG10"),
    "SP": ("SP",),
    "CALI": ("CALI", "CAL", "HCAL", "CALX"),
    "PE": ("PE", "PEF", "PEFZ"),
    "AI": ("AI", "IMP", "ZP", "PIMP"),
    "VP": ("VP", "V_P", "VELP"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Well(Data):
    """A well: curves over one depth axis, with tops and checkshots where known."""

    depth: Array  # (sample,) m, increasing
    curves: Mapping[str, Curve]
    reference: str = UNKNOWN  # "MD" | "TVD" | "TVDSS" | "unknown"
    well_name: str = ""
    x: float | None = None
    y: float | None = None
    crs: str = UNKNOWN
    tops: Mapping[str, float] = field(default_factory=dict)  # m
    checkshot_depth: Array | None = None  # (shot,) m, same reference as `depth` unless `notes` say otherwise
    checkshot_time: Array | None = None  # (shot,) s, two-way

    def __post_init__(self) -> None:
        _shape("well", self.depth, 1)
        if not np.all(np.diff(self.depth) > 0):
            raise DataError("E_GEOMETRY", "well: depth must increase")
        for mnemonic, curve in self.curves.items():
            _same_length(f"well curve {mnemonic}", len(self.depth), values=curve.values)

    def find(self, kind: str) -> str:
        """The mnemonic of the curve of this kind ('GR', 'RHOB', ...: keys of MNEMONICS, or a mnemonic); else Missing."""
        by_upper = {mnemonic.upper(): mnemonic for mnemonic in self.curves}
        for alias in (kind.upper(), *MNEMONICS.get(kind.upper(), ())):
            if alias in by_upper:
                return by_upper[alias]
        held = ", ".join(self.curves)
        raise Missing("curve", f"{self.title or self.well_name or 'the well'} has no {kind} curve; it holds {held}.", tuple(self.curves))

    def curve(self, kind: str, unit: str = "") -> Array:
        """The values of the curve of this kind, converted to `unit` when one is given; DataError when its unit does not fit."""
        mnemonic = self.find(kind)
        curve = self.curves[mnemonic]
        if not unit or curve.unit == unit:
            return curve.values
        if curve.unit in (UNKNOWN, ""):
            raise Missing("unit", f"curve {mnemonic} has no unit in the file; {unit} was wanted.", (unit,))
        try:
            return np.asarray(convert(curve.values, curve.unit, unit))
        except ValueError as error:
            raise DataError("E_UNITS", f"curve {mnemonic} is in {curve.unit}, which cannot become {unit}") from error

    def summary(self) -> dict[str, Quantity]:
        steps = np.diff(self.depth)
        return {
            "samples": Quantity(len(self.depth), "", "depth samples"),
            "depth": Quantity([float(self.depth[0]), float(self.depth[-1])], "m", f"depth range ({self.reference})"),
            "step": Quantity(round(float(np.median(steps)), 6) if len(steps) else 0.0, "m", "depth step"),
            "curves": Quantity(list(self.curves), "", "curves"),
        }


@dataclass(frozen=True, kw_only=True)
class Picks(Data):
    """Phase picks. All (pick,); times are seconds after `origin`."""

    station: Array  # str
    phase: Array  # str, "P" | "S"
    time: Array  # s after origin
    origin: str  # UTC, ISO 8601
    uncertainty: Array  # s
    latitude: Array | None = None  # deg, of the station
    longitude: Array | None = None  # deg
    elevation: Array | None = None  # m

    def __post_init__(self) -> None:
        _same_length("picks", len(self.station), phase=self.phase, time=self.time, uncertainty=self.uncertainty, latitude=self.latitude)

    def summary(self) -> dict[str, Quantity]:
        return {
            "picks": Quantity(len(self.station), "", "picks"),
            "p_picks": Quantity(int(np.sum(self.phase == "P")), "", "P picks"),
            "s_picks": Quantity(int(np.sum(self.phase == "S")), "", "S picks"),
            "stations": Quantity(len(set(self.station.tolist())), "", "stations"),
        }


@dataclass(frozen=True, kw_only=True)
class Catalogue(Data):
    """Earthquakes. All (event,); NaN where unknown."""

    time: Array  # str, UTC ISO 8601
    latitude: Array  # deg
    longitude: Array  # deg
    depth: Array  # km, positive down
    magnitude: Array
    magnitude_type: Array  # str

    def __post_init__(self) -> None:
        _same_length("catalogue", len(self.time), latitude=self.latitude, longitude=self.longitude, depth=self.depth, magnitude=self.magnitude)

    def summary(self) -> dict[str, Quantity]:
        facts = {"events": Quantity(len(self.time), "", "events")}
        if np.isfinite(self.magnitude).any():
            facts["magnitude"] = Quantity([float(np.nanmin(self.magnitude)), float(np.nanmax(self.magnitude))], "", "magnitude range")
        if np.isfinite(self.depth).any():
            facts["depth"] = Quantity([float(np.nanmin(self.depth)), float(np.nanmax(self.depth))], "km", "depth range")
        return facts


@dataclass(frozen=True, kw_only=True)
class Horizon(Data):
    """An interpreted surface along a section or over a map. All (point,)."""

    time: Array  # s two-way, or m where domain is "depth"; NaN where not tracked
    domain: str = "time"
    cdp: Array | None = None
    x: Array | None = None
    y: Array | None = None
    confidence: Array | None = None  # 0 to 1

    def __post_init__(self) -> None:
        _same_length("horizon", len(self.time), cdp=self.cdp, x=self.x, y=self.y, confidence=self.confidence)

    def summary(self) -> dict[str, Quantity]:
        unit = "s" if self.domain == "time" else "m"
        return {
            "points": Quantity(len(self.time), "", "points"),
            "tracked": Quantity(round(100 * float(np.isfinite(self.time).mean()), 3), "%", "share tracked"),
            "range": Quantity([float(np.nanmin(self.time)), float(np.nanmax(self.time))], unit, "horizon range"),
        }


@dataclass(frozen=True, kw_only=True)
class Table(Data):
    """A table whose columns have not all been given a role yet: `table_inspect` shows them, `assign_columns` names them."""

    columns: Mapping[str, Array]  # name -> (row,), float or str

    def __post_init__(self) -> None:
        if not self.columns:
            raise DataError("E_FORMAT", "table: no columns")
        _same_length("table", len(next(iter(self.columns.values()))), **dict(self.columns))

    def summary(self) -> dict[str, Quantity]:
        return {
            "rows": Quantity(len(next(iter(self.columns.values()))), "", "rows"),
            "columns": Quantity(list(self.columns), "", "columns"),
        }


@dataclass(frozen=True, kw_only=True)
class Report(Data):
    """Measurements that are no data set themselves: `facts`, and a table or arrays to plot under names of their own."""

    arrays: Mapping[str, Array] = field(default_factory=dict)
    drawing: str = ""  # the name of a drawing in `moho.plot.REPORTS`, "" for none
    labels: Mapping[str, str] = field(default_factory=dict)  # what the drawing writes on its axes

    def summary(self) -> dict[str, Quantity]:
        return dict(self.facts)


@dataclass(frozen=True, kw_only=True)
class Blocks(Data):
    """A 3-D model on a regular mesh, values: (z, y, x), z down from the top; edges one longer than cells."""

    values: Array
    x_edges: Array  # m
    y_edges: Array  # m
    z_edges: Array  # m, depth positive down
    quantity: str = "density contrast"
    unit: str = "kg/m3"
    crs: str = UNKNOWN
    arrays: Mapping[str, Array] = field(default_factory=dict)  # observed and predicted data, members of an ensemble

    def __post_init__(self) -> None:
        _shape("model", self.values, 3)
        edges = (len(self.z_edges) - 1, len(self.y_edges) - 1, len(self.x_edges) - 1)
        if self.values.shape != edges:
            raise DataError("E_GEOMETRY", f"model: values {self.values.shape} for cells {edges}")

    def summary(self) -> dict[str, Quantity]:
        return {
            "cells": Quantity(int(self.values.size), "", "cells"),
            "range": Quantity([float(self.values.min()), float(self.values.max())], self.unit, f"{self.quantity} range"),
        }


KINDS: dict[str, type[Data]] = {
    kind.__name__: kind
    for kind in (Seismic, Gather, Volume, Waveforms, Response, Gravity, Magnetics, Grid, Well, Picks, Catalogue, Horizon, Table, Report, Blocks)
}
