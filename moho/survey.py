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


def _same_length(what: str, n: int, /, **arrays: Array | None) -> None:
    for name, array in arrays.items():
        if array is not None and len(array) != n:
            raise DataError("E_GEOMETRY", f"{what}: {name} has {len(array)} entries for {n}")


def _span(values: Array, unit: str, quantity: str) -> dict[str, Quantity]:
    """Range and mean of what is finite, nothing where nothing is."""
    held = values[np.isfinite(values)]
    if not held.size:
        return {}
    ends = [float(held.min()), float(held.max())]
    return {"range": Quantity(ends, unit, f"{quantity} range"), "mean": Quantity(float(held.mean()), unit, f"mean {quantity}")}


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
    angle: Array | None = None  # (trace,) deg of incidence: an angle gather, whose offsets may be zero
    shot: Array | None = None  # (trace,) int, field record
    cdp: Array | None = None  # (trace,) int
    channel: Array | None = None  # (trace,) int
    source_x: Array | None = None  # (trace,) m
    source_y: Array | None = None
    receiver_x: Array | None = None
    receiver_y: Array | None = None
    source_depth: Array | None = None  # (trace,) m, positive down
    receiver_depth: Array | None = None
    crs: str = UNKNOWN
    polarity: str = UNKNOWN
    band: tuple[float, float] | None = None  # Hz

    def __post_init__(self) -> None:
        _shape("gather", self.data, 2)
        _same_length("gather", self.data.shape[0], offset=self.offset, shot=self.shot, cdp=self.cdp, channel=self.channel, angle=self.angle)
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
        if self.angle is not None:
            facts["angle"] = Quantity([float(self.angle.min()), float(self.angle.max())], "deg", "angle range")
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
    """A 3-D post-stack volume that stays on disk, SEG-Y or Zarr; `moho.segy_volume` reads slices of it. Opened from sampled headers."""

    path: str
    samples: int
    dt: float  # s, or m where domain is "depth"
    t0: float = 0.0
    domain: str = "time"
    inline: tuple[int, int, int]  # first, last, step
    crossline: tuple[int, int, int]
    sorting: str = "inline"  # which number is constant over runs of traces: "inline" | "crossline"
    format_code: int = 1  # of the SEG-Y file, 0 for a Zarr folder
    byte_order: str = "big"
    traces: int = 0
    header_bytes: Mapping[str, int] = field(default_factory=dict)  # "inline" -> 189 ...
    corners: Array | None = None  # (4, 2) m, x and y of the corner traces
    bin_size: tuple[float, float] | None = None  # m, between inlines and between crosslines
    crs: str = UNKNOWN
    polarity: str = UNKNOWN
    amplitude: tuple[float, float] | None = None  # smallest and largest of the sampled traces, or of all when small
    quantity: str = "amplitude"
    unit: str = UNKNOWN
    band: tuple[float, float] | None = None  # Hz, what a filter left
    streamed: bool = False  # made by a tool: its file lies beside the kept result and goes where that goes

    @property
    def times(self) -> Array:
        """(sample,) s, or m in depth."""
        return self.t0 + self.dt * np.arange(self.samples)

    @property
    def nyquist(self) -> float:
        """Hz."""
        return 0.5 / self.dt

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
        }
        if self.format_code:
            facts["format_code"] = Quantity(self.format_code, "", "SEG-Y format code")
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
        } | _span(self.value, "mGal", self.quantity)


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
        } | _span(self.value, "nT", self.quantity)


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
    intensity: float | None = None  # nT of the inducing field
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
        } | _span(self.values, self.unit, self.quantity)


@dataclass(frozen=True)
class Curve:
    """One log curve: (sample,) values with NaN for nulls, the unit as recorded, its description."""

    values: Array
    unit: str = UNKNOWN
    description: str = ""
    doubt: str = ""  # why the unit in the file is not believed, where it is not


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
    track: Array | None = None  # (station, 4) m: x, y, depth below the datum of heights, measured depth
    air_gap: float | None = None  # m from the zero of depth down to the sea, on land to the ground, by the log header

    def __post_init__(self) -> None:
        _shape("well", self.depth, 1)
        if not np.all(np.diff(self.depth) > 0):
            raise DataError("E_GEOMETRY", "well: depth must increase")
        if self.track is not None and (self.track.ndim != 2 or self.track.shape[1:] != (4,)):
            raise DataError("E_GEOMETRY", f"well: a track has x, y, depth and measured depth, got shape {self.track.shape}")
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
            said = curve.doubt or f"curve {mnemonic} has no unit in the file"
            remedy = f"add the file again with its unit, e.g. --hint curve_units={mnemonic}:{unit}, or the unit it truly is in"
            raise Missing("unit", f"{said}; {unit}, or a unit that becomes it, was wanted: {remedy}.", (unit,))
        try:
            return np.asarray(convert(curve.values, curve.unit, unit))
        except ValueError as error:
            raise DataError("E_UNITS", f"curve {mnemonic} is in {curve.unit}, which cannot become {unit}") from error

    @property
    def measured(self) -> str:
        """What the depths are, in words: MD, TVD, or that nobody said."""
        return self.reference if self.reference != UNKNOWN else "reference not stated"

    def summary(self) -> dict[str, Quantity]:
        steps = np.diff(self.depth)
        return {
            "samples": Quantity(len(self.depth), "", "depth samples"),
            "depth": Quantity([float(self.depth[0]), float(self.depth[-1])], "m", f"depth range ({self.measured})"),
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
    horizontal_error: Array | None = None  # km, as the catalogue gives it
    depth_error: Array | None = None  # km
    time_error: Array | None = None  # s

    def __post_init__(self) -> None:
        _same_length("catalogue", len(self.time), horizontal_error=self.horizontal_error, depth_error=self.depth_error, time_error=self.time_error)
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
        span = {key: value for key, value in _span(self.time, unit, "horizon").items() if key == "range"}
        return {
            "points": Quantity(len(self.time), "", "points"),
            "tracked": Quantity(round(100 * float(np.isfinite(self.time).mean()), 3), "%", "share tracked"),
        } | span


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
class Literature(Report):
    """Passages of the literature index. `citations`: key, title, where, quote (the passage), source of each, best first."""

    citations: tuple[Mapping[str, str], ...] = ()
    supported: bool = True  # whether they answer what was asked


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


@dataclass(frozen=True, kw_only=True)
class MTSounding(Data):
    """A magnetotelluric sounding. Axes x north, y east (as rotated), z down; time as exp(+iwt): phase xy is +45 deg over a half-space."""

    frequency: Array  # (n,) Hz, decreasing
    impedance: Array  # (n, 2, 2) complex, E/H in ohm: [[xx, xy], [yx, yy]]; NaN where missing
    error: Array | None = None  # (n, 2, 2) ohm, one standard deviation of the modulus
    tipper: Array | None = None  # (n, 2) complex
    rotation: float | None = None  # deg clockwise, of x as the file gives it
    station: str = ""
    latitude: float | None = None  # deg
    longitude: float | None = None  # deg
    elevation: float | None = None  # m

    def __post_init__(self) -> None:
        if self.frequency.ndim != 1 or self.impedance.shape != (len(self.frequency), 2, 2) or not len(self.frequency):
            raise DataError("E_GEOMETRY", f"sounding: impedance {self.impedance.shape} for frequencies {self.frequency.shape}")
        if not np.all(self.frequency > 0) or not np.all(np.diff(self.frequency) < 0):
            raise DataError("E_HEADER", "sounding: frequencies must be positive, and decrease")
        _same_length("sounding", len(self.frequency), error=self.error, tipper=self.tipper)

    @property
    def period(self) -> Array:
        """(n,) s, increasing."""
        return 1.0 / self.frequency

    def response(self, component: str = "determinant") -> tuple[Array, Array]:
        """(n,) complex impedance in the first quadrant over layered ground, and its standard deviation (NaN where unknown), ohm.

        "xy", "yx" (its sign turned) or "determinant", sqrt(Zxx Zyy - Zxy Zyx), which no rotation changes.
        """
        z = self.impedance
        s = np.full(z.shape, np.nan) if self.error is None else self.error
        if component == "xy":
            return z[:, 0, 1], s[:, 0, 1]
        if component == "yx":
            return -z[:, 1, 0], s[:, 1, 0]
        both = np.sqrt(z[:, 0, 0] * z[:, 1, 1] - z[:, 0, 1] * z[:, 1, 0])
        size = np.abs(z)
        square = size[:, 1, 1] * s[:, 0, 0], size[:, 0, 0] * s[:, 1, 1], size[:, 1, 0] * s[:, 0, 1], size[:, 0, 1] * s[:, 1, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            return both, np.sqrt(sum(part**2 for part in square)) / (2 * np.abs(both))

    def apparent(self, component: str = "determinant") -> tuple[Array, Array, Array]:
        """(n,) apparent resistivity (ohm.m), phase (deg), relative standard deviation of the resistivity; that of the phase is half of it, in rad."""
        z, sigma = self.response(component)
        size = np.abs(z)
        with np.errstate(divide="ignore", invalid="ignore"):
            return size**2 / (8e-7 * np.pi**2 * self.frequency), np.degrees(np.angle(z)), 2 * sigma / size

    def summary(self) -> dict[str, Quantity]:
        rho = np.concatenate([self.apparent(name)[0] for name in ("xy", "yx")])
        facts = {
            "frequencies": Quantity(len(self.frequency), "", "frequencies"),
            "period": Quantity([float(f"{self.period[0]:.6g}"), float(f"{self.period[-1]:.6g}")], "s", "period range"),
        }
        if np.isfinite(rho).any():
            ends = [float(np.nanmin(rho)), float(np.nanmax(rho))]
            facts["apparent_resistivity"] = Quantity(ends, "ohm.m", "apparent resistivity range (xy and yx)")
        if self.latitude is not None and self.longitude is not None:
            facts["latitude"] = Quantity(self.latitude, "deg", "latitude")
            facts["longitude"] = Quantity(self.longitude, "deg", "longitude")
        return facts


@dataclass(frozen=True, kw_only=True)
class DCSurvey(Data):
    """Four-electrode data along a straight line on flat ground. Current A, B and potential M, N: (datum,) m; infinite where remote."""

    a: Array
    b: Array
    m: Array
    n: Array
    value: Array  # (datum,) ohm (potential M less N over the current into A), or mV/V where quantity is "chargeability"
    error: Array | None = None  # (datum,) one standard deviation, in the unit of the value
    quantity: str = "resistance"  # "resistance" | "chargeability"
    line: str = ""

    def __post_init__(self) -> None:
        _shape("survey", self.value, 1)
        _same_length("survey", len(self.value), a=self.a, b=self.b, m=self.m, n=self.n, error=self.error)
        if not np.all(np.isfinite(self.a) & np.isfinite(self.m)):
            raise DataError("E_GEOMETRY", "survey: A and M need a place; B and N may be remote")

    @property
    def factor(self) -> Array:
        """(datum,) m, geometric factor over flat ground: apparent resistivity is factor times resistance."""
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = [1 / np.abs(p - q) for p, q in ((self.a, self.m), (self.b, self.m), (self.a, self.n), (self.b, self.n))]
            return 2 * np.pi / (parts[0] - parts[1] - np.where(np.isinf(self.n), 0.0, parts[2] - np.where(np.isinf(self.b), 0.0, parts[3])))

    @property
    def apparent(self) -> Array:
        """(datum,) ohm.m, apparent resistivity; the values themselves where they are chargeabilities."""
        return self.factor * self.value if self.quantity == "resistance" else self.value

    @property
    def electrodes(self) -> Array:
        """(electrode,) m, increasing, without remote ones."""
        places = np.unique(np.concatenate([self.a, self.b, self.m, self.n]))
        return np.asarray(places[np.isfinite(places)])

    @property
    def pseudosection(self) -> tuple[Array, Array]:
        """(datum,) m along the line and m down where a datum is drawn: between the dipoles, at half the distance of their centres."""
        current = np.where(np.isfinite(self.b), 0.5 * (self.a + self.b), self.a)
        potential = np.where(np.isfinite(self.n), 0.5 * (self.m + self.n), self.m)
        inside = (np.minimum(self.a, self.b) < np.minimum(self.m, self.n)) & (np.maximum(self.a, self.b) > np.maximum(self.m, self.n))
        nested = inside & np.isfinite(self.b)  # Wenner, Schlumberger: depth after Edwards 1977
        return 0.5 * (current + potential), np.where(nested, 0.19 * np.abs(self.a - self.b), 0.5 * np.abs(current - potential))

    def summary(self) -> dict[str, Quantity]:
        places, apparent = self.electrodes, self.apparent
        what = ("ohm.m", "apparent resistivity range") if self.quantity == "resistance" else ("mV/V", "apparent chargeability range")
        facts = {
            "data": Quantity(len(self.value), "", "data"),
            "electrodes": Quantity(len(places), "", "electrodes"),
            "line_extent": Quantity([float(places[0]), float(places[-1])], "m", "line extent"),
            "spacing": Quantity(float(np.median(np.diff(places))), "m", "electrode spacing"),
            "range": Quantity([float(np.nanmin(apparent)), float(np.nanmax(apparent))], *what),
        }
        if self.error is not None:
            facts["error"] = Quantity(round(100 * float(np.nanmedian(self.error / np.abs(self.value))), 3), "%", "median error")
        return facts


@dataclass(frozen=True, kw_only=True)
class LogFile(Data):
    """A DLIS or LIS file that stays on disk: its frames and the channels in them; `moho.dlis` reads one frame."""

    path: str
    frames: tuple[str, ...]  # names to choose a frame by
    rows: Array  # (frame,) int, samples
    index: Array  # (frame,) str, the channel that counts the samples, with its unit
    spacing: Array  # (frame,) str
    frame: Array  # (channel,) str, the frame it is in
    channel: Array  # (channel,) str
    unit: Array  # (channel,) str
    values: Array  # (channel,) int, numbers a sample
    description: Array  # (channel,) str
    well_name: str = ""

    def __post_init__(self) -> None:
        _same_length("log file", len(self.frames), rows=self.rows, index=self.index, spacing=self.spacing)
        _same_length("log file", len(self.frame), channel=self.channel, unit=self.unit, values=self.values, description=self.description)

    def summary(self) -> dict[str, Quantity]:
        shapes = [f"{name}: {rows} x {int(np.sum(self.frame == name))}" for name, rows in zip(self.frames, self.rows, strict=True)]
        return {
            "frames": Quantity(len(self.frames), "", "frames"),
            "shapes": Quantity(shapes, "", "samples and channels by frame"),
            "index": Quantity([str(name) for name in self.index], "", "index channels"),
        }


KINDS: dict[str, type[Data]] = {
    kind.__name__: kind
    for kind in (
        Seismic, Gather, Volume, Waveforms, Response, Gravity, Magnetics, Grid, Well, Picks, Catalogue, Horizon, Table, Report, Blocks,
        MTSounding, DCSurvey, LogFile, Literature,
    )
}

NOUNS: dict[str, str] = {  # the field's words for each kind, as a message says them
    "Data": "data set", "Seismic": "seismic line", "Gather": "set of gathers", "Volume": "volume", "Waveforms": "set of seismograms",
    "Response": "set of station metadata", "Gravity": "set of gravity stations", "Magnetics": "set of magnetic stations", "Grid": "grid",
    "Well": "well", "Picks": "set of phase picks", "Catalogue": "catalogue of earthquakes", "Horizon": "horizon", "Table": "table",
    "Report": "report", "Blocks": "block model", "MTSounding": "magnetotelluric sounding", "DCSurvey": "resistivity line", "LogFile": "log file",
    "Literature": "set of passages",
}  # fmt: skip


def noun(*kinds: type[Data]) -> str:
    """Kinds of data in words, with an article.

    >>> noun(Seismic), noun(Gravity, Grid)
    ('a seismic line', 'a set of gravity stations or a grid')
    """
    return " or ".join(f"a {NOUNS.get(kind.__name__, kind.__name__)}" for kind in kinds)
