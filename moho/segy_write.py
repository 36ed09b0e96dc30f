"""Writing a section as SEG-Y revision 1: IEEE floats, big-endian, positions and history in the headers."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

from moho.errors import DataError
from moho.segy_layout import TRACE_HEADER
from moho.store import disk_error
from moho.survey import Array, Seismic

BLOCK = 1 << 22  # bytes written at a time
LARGEST = 32767  # of a signed 2-byte number


def write_segy(section: Seismic, path: str | os.PathLike[str]) -> Path:
    """Write a section (format code 5) under a name that must not exist yet; the samples read back are the same bits.

    CDP numbers stand in bytes 21-24, positions in 181-188 to the centimetre or better, the first sample's time in 109-110, the history
    in the textual header. DataError: E_PERM where the name is taken, E_DISK, E_LIMIT for more than 32 767 samples a
    trace, E_UNSUPPORTED for an interval or start time that the headers cannot hold exactly.
    """
    path = Path(path)
    traces, samples = section.data.shape
    if samples > LARGEST:
        raise DataError("E_LIMIT", f"SEG-Y revision 1 holds {LARGEST} samples a trace; the section has {samples}.", "Cut it in time first.")
    interval = _whole(section.dt * (1e6 if section.domain == "time" else 1e3), "sample interval")
    delay, time_scalar = _delay(section)
    headers = _trace_headers(section, interval, delay, time_scalar)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(_text(section))
            file.write(_binary(interval, samples))
            step = max(1, BLOCK // (TRACE_HEADER + 4 * samples))
            for a in range(0, traces, step):
                b = min(traces, a + step)
                block = np.empty((b - a, TRACE_HEADER + 4 * samples), np.uint8)
                block[:, :TRACE_HEADER] = headers[a:b]
                block[:, TRACE_HEADER:] = np.ascontiguousarray(section.data[a:b], ">f4").view(np.uint8)
                file.write(block.tobytes())
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)  # fails if the name is taken
    except FileExistsError as error:
        raise DataError("E_PERM", f"{path.name} exists and is never overwritten.") from error
    except FileNotFoundError as error:
        raise DataError("E_NOT_FOUND", f"there is no folder {path.parent}.") from error
    except OSError as error:
        raise disk_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _whole(value: float, what: str) -> int:
    whole = round(value)
    if not 0 < whole <= LARGEST or abs(value - whole) > 1e-6 * max(1.0, value):
        raise DataError("E_UNSUPPORTED", f"a {what} of {value:g} cannot be written: SEG-Y revision 1 holds whole numbers from 1 to {LARGEST}.")
    return whole


def _delay(section: Seismic) -> tuple[int, int]:
    """Time of the first sample in ms (m in depth) and the scalar of bytes 215-216 that makes it whole."""
    value = section.t0 * 1000 if section.domain == "time" else section.t0
    for scalar in (1, 10, 100, 1000):
        whole = round(value * scalar)
        if abs(value * scalar - whole) < 1e-6 * max(1.0, abs(value)) and abs(whole) <= LARGEST:
            return whole, 0 if scalar == 1 else -scalar
    raise DataError("E_UNSUPPORTED", f"a first sample at {section.t0:g} cannot be written exactly in a SEG-Y header.")


def _trace_headers(section: Seismic, interval: int, delay: int, time_scalar: int) -> Array:
    traces, samples = section.data.shape
    kind = np.dtype(
        {
            "names": ["line", "file", "cdp", "in_cdp", "id", "scalar", "unit", "delay", "samples", "interval", "x", "y", "time_scalar"],
            "formats": [">i4", ">i4", ">i4", ">i4", ">i2", ">i2", ">i2", ">i2", ">i2", ">i2", ">i4", ">i4", ">i2"],
            "offsets": [0, 4, 20, 24, 28, 70, 88, 108, 114, 116, 180, 184, 214],
            "itemsize": TRACE_HEADER,
        }
    )
    heads = np.zeros(traces, kind)
    heads["line"] = heads["file"] = np.arange(1, traces + 1)
    heads["in_cdp"] = heads["id"] = 1
    heads["samples"], heads["interval"], heads["delay"], heads["time_scalar"] = samples, interval, delay, time_scalar
    if section.cdp is not None:
        heads["cdp"] = section.cdp
    if section.x is not None and section.y is not None:
        both = np.nan_to_num(np.stack([section.x, section.y]))
        scalar = next((s for s in (1, 10, 100, 1000) if np.abs(both * s - np.round(both * s)).max() < 1e-6), 100)
        whole = np.round(both * scalar)
        if np.abs(whole).max() >= 2**31:
            raise DataError("E_UNSUPPORTED", f"coordinates up to {np.abs(both).max():g} m do not fit a SEG-Y header.")
        heads["x"], heads["y"] = whole
        heads["scalar"], heads["unit"] = (1 if scalar == 1 else -scalar), 1
    return heads.view(np.uint8).reshape(traces, TRACE_HEADER)


def _binary(interval: int, samples: int) -> bytes:
    head = bytearray(400)
    struct.pack_into(">iiihhhhhhhhh", head, 0, 1, 1, 1, 1, 0, interval, interval, samples, samples, 5, 1, 4)
    struct.pack_into(">h", head, 54, 1)  # metres
    struct.pack_into(">Hhh", head, 300, 0x0100, 1, 0)
    return bytes(head)


def _text(section: Seismic) -> bytes:
    """Forty card images in EBCDIC: what it is, which bytes hold what, how it was made."""
    unit = "S" if section.domain == "time" else "M"
    lines = [
        f"{section.title[:60]}",
        f"WRITTEN BY MOHO. {section.quantity.upper()}, UNIT {section.unit.upper()}, POLARITY {section.polarity.upper()}",
        f"{section.domain.upper()} DOMAIN, SAMPLE INTERVAL {section.dt * 1000 if unit == 'S' else section.dt:g} {'MS' if unit == 'S' else 'M'}, "
        f"FIRST SAMPLE {section.t0:g} {unit}",
        "BYTES 21-24 CDP, 71-72 SCALAR, 109-110 FIRST SAMPLE, 181-184 X, 185-188 Y",
        f"CRS {section.crs}",
    ]
    lines += [f"{step.tool}({', '.join(f'{name}={value}' for name, value in step.arguments.items())})" for step in section.history]
    lines = lines[:38] if len(lines) <= 38 else [*lines[:5], "(EARLIER STEPS LEFT OUT)", *lines[-32:]]
    return cards(lines)


def cards(lines: list[str]) -> bytes:
    """Textual header of up to 38 lines, in EBCDIC."""
    found = [f"C{number:>2} {line}" for number, line in enumerate(lines[:38], 1)]
    found += [f"C{number:>2}" for number in range(len(found) + 1, 39)] + ["C39 SEG Y REV1", "C40 END TEXTUAL HEADER"]
    return "".join(card.encode("ascii", "replace").decode("ascii")[:80].ljust(80) for card in found).encode("cp037")
