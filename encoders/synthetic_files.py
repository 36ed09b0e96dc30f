"""The made earth as a survey on disk, in the formats of the field, with a local earthquake recorded around it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moho.encoders.synthetic_fields import CRS, transformer
from moho.survey import Array, Response, Waveforms, Well

if TYPE_CHECKING:
    from moho.encoders.synthetic import Earth


def write(made: Earth, folder: Path) -> dict[str, Path]:
    """The survey in field formats: SEG-Y line and gathers, LAS well with markers and checkshots, CSV stations, miniSEED, StationXML, truth."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = {
        "line": "line.sgy", "gather": "gather.sgy", "well": "well.las", "checkshots": "well_checkshot_TD.txt", "markers": "well_markers.txt",
        "gravity": "gravity.csv", "magnetics": "magnetics.csv", "waveforms": "waveforms.mseed", "stations": "stations.xml", "truth": "truth.json",
    }  # fmt: skip
    paths = {key: folder / name for key, name in names.items()}
    section, gather, well = made.section, made.gather, made.well
    assert section.x is not None
    assert section.y is not None
    frame = f"COORDINATES {CRS} IN M, SCALAR -100"
    _segy(paths["line"], section.data, section.dt, {
        1: np.arange(1, len(section.data) + 1), 21: section.numbers, 71: -100, 73: section.x, 77: section.y, 181: section.x, 185: section.y,
    }, [f"LINE {made.seed} MADE EARTH STACK, MIGRATED", frame, "CDP BYTES 21-24, X 181-184, Y 185-188",
        "POLARITY SEG NORMAL: POSITIVE = IMPEDANCE INCREASE", "DATUM FLAT"])  # fmt: skip
    heads = {9: gather.shot, 13: gather.channel, 21: gather.cdp, 37: gather.offset, 71: -100, 73: gather.source_x, 77: gather.source_y,
             81: gather.receiver_x, 85: gather.receiver_y, 1: np.arange(1, len(gather.data) + 1)}  # fmt: skip
    _segy(paths["gather"], gather.data, gather.dt, heads, [f"LINE {made.seed} CDP GATHERS", frame, "POLARITY SEG NORMAL"])
    _las(paths["well"], well)
    pairs = zip(np.asarray(well.checkshot_depth), np.asarray(well.checkshot_time), strict=True)
    paths["checkshots"].write_text("".join(f"{depth:.2f}\t{time:.5f}\n" for depth, time in pairs))
    paths["markers"].write_text("".join(f"{depth:.2f}\t{name}\n" for name, depth in well.tops.items()))
    for key, column, digits in (("gravity", "gravity_mgal", 4), ("magnetics", "total_field_anomaly_nt", 2)):
        data = made.gravity if key == "gravity" else made.magnetics
        rows = zip(*data.coordinates(), np.asarray(data.height), data.value, strict=True)
        lines = [f"{lon:.7f},{lat:.7f},{height:.2f},{value:.{digits}f}" for lon, lat, height, value in rows]
        paths[key].write_text("\n".join([f"longitude,latitude,height_m,{column}", *lines]) + "\n")
    waveforms, response, event = earthquake(made.seed, float(section.x.mean()), float(section.y.mean()))
    waveforms.stream.write(str(paths["waveforms"]), format="MSEED")
    response.inventory.write(str(paths["stations"]), format="STATIONXML")
    paths["truth"].write_text(json.dumps(_plain({**made.truth, "event": event, "seed": made.seed}), indent=1))
    return paths


def earthquake(seed: int, east: float = 5.0e5, north: float = 5.3e6) -> tuple[Waveforms, Response, dict[str, Any]]:
    """A local event on five three-component stations: counts, their response, the hypocentre and the onsets."""
    import obspy
    from obspy.core.inventory import Channel, Inventory, Network, Site, Station
    from obspy.core.inventory import Response as Instrument

    random = np.random.default_rng([seed, 2])
    back = transformer()
    epicentre = np.array([east, north]) + random.uniform(-6000, 6000, 2)
    depth = float(np.round(random.uniform(5, 13), 2))  # km
    velocity, ratio, rate, gain = 6.0, 1.73, 100.0, 6.0e8
    start = obspy.UTCDateTime(2024, 3, 1 + seed % 28, seed % 24, (7 * seed) % 60)
    origin = start + 20 + float(np.round(random.uniform(0, 2), 2))
    count = int(75 * rate)
    instrument = Instrument.from_paz(zeros=[], poles=[], stage_gain=gain, input_units="M/S", output_units="COUNTS")
    stream, stations, onsets = obspy.Stream(), [], []
    turn = random.uniform(0, 2 * np.pi)
    for number in range(5):
        angle = turn + 2 * np.pi * (number + random.uniform(-0.25, 0.25)) / 5
        place = epicentre + random.uniform(9e3, 38e3) * np.array([np.sin(angle), np.cos(angle)])
        longitude, latitude = (round(float(v), 5) for v in back.transform(*place, direction="INVERSE"))
        distance = float(np.hypot(np.hypot(*(place - epicentre)) / 1000, depth))
        arrival = {"P": origin + distance / velocity, "S": origin + ratio * distance / velocity}
        code = f"MO{number + 1:02d}"
        channels = []
        for component, share in (("Z", (1.0, 0.5)), ("N", (0.35, 1.5)), ("E", (0.3, 1.4))):
            data = 2e-8 * _hum(random, count)
            for (phase, onset), part in zip(arrival.items(), share, strict=True):
                data += part * (18 / distance) * _coda(random, count, (onset - start) * rate, phase == "S")
            header = {"network": "XX", "station": code, "location": "00", "channel": f"HH{component}", "sampling_rate": rate, "starttime": start}
            stream.append(obspy.Trace(np.round(gain * data).astype(np.int32), header))
            tilt = {"Z": (0.0, -90.0), "N": (0.0, 0.0), "E": (90.0, 0.0)}[component]
            channels.append(
                Channel(header["channel"], "00", latitude, longitude, 0.0, 0.0, azimuth=tilt[0], dip=tilt[1], sample_rate=rate, response=instrument)
            )
        stations.append(Station(code, latitude, longitude, 0.0, channels=channels, site=Site(f"station {number + 1}"), creation_date=start - 86400))
        for phase, time in arrival.items():
            onsets.append({"station": f"XX.{code}", "phase": phase, "time": str(time), "latitude": latitude, "longitude": longitude})
    inventory = Inventory(networks=[Network("XX", stations=stations)], source="made earth", created=start)
    longitude, latitude = back.transform(*epicentre, direction="INVERSE")
    truth = {
        "latitude": round(float(latitude), 5), "longitude": round(float(longitude), 5), "depth_km": depth, "origin_time": str(origin),
        "p_velocity_m_s": 1000 * velocity, "vp_vs": ratio, "onsets": onsets,
    }  # fmt: skip
    return Waveforms(title="local event", stream=stream), Response(title="stations", inventory=inventory), truth


def _hum(random: np.random.Generator, count: int) -> Array:
    """Background of unit rms, stronger at low frequency."""
    spectrum = np.fft.rfft(random.standard_normal(count))
    spectrum /= (0.3 + np.arange(len(spectrum)) * 100.0 / count) ** 0.7
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(noise / noise.std())


def _coda(random: np.random.Generator, count: int, onset: float, shear: bool) -> Array:
    """Velocity (m/s) of one phase: a sharp onset at sample `onset` and a decaying coda, lower in frequency for S."""
    after = (np.arange(count) - onset) / 100.0
    late = np.clip(after, 0, None)
    lowest, highest, decay = (1.5, 9.0, 3.5) if shear else (4.0, 16.0, 2.0)
    wiggle = np.zeros(count)
    for frequency in np.linspace(lowest, highest, 24):
        wiggle += np.sin(2 * np.pi * frequency * late + random.uniform(0, 2 * np.pi)) * (0.7 if frequency > 12 else 1.0)
    first = np.sin(2 * np.pi * 0.6 * highest * late) * np.exp(-late / 0.15) * 5
    rise = np.where(after >= 0, np.exp(-late / decay), 0.0)
    return np.asarray(1.2e-6 * (2.5 if shear else 1.0) * rise * (0.35 * wiggle * np.clip(late / 0.06, 0, 1) + first))


def _plain(value: Any) -> Any:
    """The truth as JSON: arrays as rounded lists, NaN as null; the impedance of the section stays out."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items() if key != "impedance"}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(part) for part in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _segy(path: Path, data: Array, dt: float, heads: Mapping[int, Any], text: list[str]) -> None:
    """SEG-Y revision 1, IEEE float, with trace headers by byte; coordinates (73 to 88, 181 to 188) in cm."""
    import segyio

    spec = segyio.spec()
    spec.samples, spec.tracecount, spec.format = 1000 * dt * np.arange(data.shape[1]), len(data), 5
    with segyio.create(str(path), spec) as file:
        file.text[0] = segyio.tools.create_text_header({n + 1: line for n, line in enumerate(text)})
        field = segyio.BinField
        file.bin.update({field.Interval: round(1e6 * dt), field.SEGYRevision: 1, field.TraceFlag: 1, field.MeasurementSystem: 1})
        file.trace = np.ascontiguousarray(data, np.float32)
        columns = {}
        for byte, values in heads.items():
            scale = 100 if byte in (73, 77, 81, 85, 181, 185) else 1
            columns[byte] = np.broadcast_to(np.round(scale * np.asarray(values)).astype(int), len(data))
        for n in range(len(data)):
            file.header[n] = {byte: int(column[n]) for byte, column in columns.items()} | {115: data.shape[1], 117: round(1e6 * dt), 29: 1}


def _las(path: Path, well: Well) -> None:
    """LAS 2.0, one line a depth."""
    lines = [
        "~Version", "VERS.  2.0 : CWLS LOG ASCII STANDARD - VERSION 2.0", "WRAP.   NO : ONE LINE PER DEPTH STEP", "~Well",
        f"STRT.M {well.depth[0]:.4f} : START DEPTH", f"STOP.M {well.depth[-1]:.4f} : STOP DEPTH", f"STEP.M {np.diff(well.depth[:2])[0]:.4f} : STEP",
        "NULL.  -999.25 : NULL VALUE", f"WELL.  {well.well_name} : WELL", "COMP.  MADE EARTH : COMPANY", f"XCOORD.M {well.x:.2f} : X, EASTING",
        f"YCOORD.M {well.y:.2f} : Y, NORTHING", f"GDAT.  {well.crs} : COORDINATE REFERENCE SYSTEM", "~Curve", "DEPT.M : MEASURED DEPTH",
        *(f"{name}.{curve.unit} : {curve.description}" for name, curve in well.curves.items()),
        "~Parameter", "EKB.M 0.0 : KELLY BUSHING ABOVE THE SEISMIC DATUM", "~ASCII",
    ]  # fmt: skip
    table = np.column_stack([well.depth, *(np.where(np.isfinite(c.values), c.values, -999.25) for c in well.curves.values())])
    with path.open("w") as file:
        file.write("\n".join(lines) + "\n")
        np.savetxt(file, table, "%.4f", " ")
