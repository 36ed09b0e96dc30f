"""UBC-GIF observation files of magnetics (inducing field, count, easting northing elevation value error) and of gravity (count, rows).

The DC, IP, mesh and model files of that family are known by sight and not read.
"""

from __future__ import annotations

import numpy as np

from moho.errors import DataError
from moho.files import clean
from moho.survey import Array, Gravity, Magnetics
from moho.units import Quantity


def looks_like(text: str) -> bool:
    """Whether the first lines are those of an observation file, of potential fields or of DC/IP."""
    return bool(_kind(_head(text)))


def _head(text: str) -> list[list[str]]:
    """The first four lines with content, as words; what follows ! is a comment."""
    rows: list[list[str]] = []
    for line in text[:8192].split("\n"):
        if words := line.split("!")[0].split():
            rows.append(words)
        if len(rows) == 4:
            break
    return rows


def _kind(rows: list[list[str]]) -> str:
    if len(rows) < 3:
        return ""
    widths = [len(row) for row in rows]
    numeric = [all(_is_number(word) for word in row) for row in rows]
    if widths[:3] in ([3, 2, 1], [3, 3, 1]) and all(numeric[:3]) and rows[2][0].isdigit():
        return "magnetic"
    if widths[0] == 1 and rows[0][0].isdigit() and widths[1] in (4, 5) and all(numeric[:3]):
        return "gravity"
    if not numeric[0] and widths[1:3] == [3, 3] and all(word.isdigit() for word in rows[1]) and numeric[2]:
        return "DC or IP"
    return ""


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def read_observations(text: str, name: str, title: str, notes: tuple[str, ...] = ()) -> Gravity | Magnetics:
    """The stations of an observation file. Raises DataError: E_HEADER, E_TRUNCATED, E_FORMAT, E_DATA, E_UNSUPPORTED."""
    kind = _kind(_head(text))
    if kind not in ("magnetic", "gravity"):
        raise DataError("E_UNSUPPORTED", f"{name} looks like a UBC-GIF {kind} observation file, which is not read.")
    lines = [words for line in text.split("\n") if (words := line.split("!")[0].split())]
    if kind == "magnetic":
        field, anomaly = ([float(word) for word in line] for line in lines[:2])
        return _magnetic(lines, field, anomaly, name, title, notes)
    values = _data(lines[1:], int(lines[0][0]), name)
    said = "UBC-GIF gravity observations, by that format's manual: metres, elevations positive up, mGal of the vertical anomaly positive down."
    return Gravity(
        title=title, x=values[:, 0], y=values[:, 1], height=values[:, 2], value=values[:, 3], quantity="gravity disturbance", notes=(*notes, said)
    )


def _magnetic(lines: list[list[str]], field: list[float], anomaly: list[float], name: str, title: str, notes: tuple[str, ...]) -> Magnetics:
    inclination, declination, intensity = field
    if not (abs(inclination) <= 90 and abs(declination) <= 360 and 0 < intensity < 1e6):
        raise DataError("E_HEADER", f"{name}: an inducing field of I={inclination:g}, D={declination:g} deg, F={intensity:g} nT.")
    if len(anomaly) == 3 and anomaly[2] not in (0.0, 1.0):
        raise DataError("E_UNSUPPORTED", f"{name} holds {anomaly[2]:g} components a station; one, the total field anomaly, is read.")
    if abs(anomaly[0] - inclination) > 0.01 or abs(anomaly[1] - declination) > 0.01:
        raise DataError("E_UNSUPPORTED", f"{name}: data along I={anomaly[0]:g}, D={anomaly[1]:g} deg, not along the inducing field.")
    values = _data(lines[3:], int(lines[2][0]), name)
    said = ["UBC-GIF magnetic observations: easting, northing and elevation in metres, positive up; nT by that format's manual."]
    facts = {
        "inclination": Quantity(inclination, "deg", "inclination of the inducing field"),
        "declination": Quantity(declination, "deg", "declination of the inducing field"),
        "intensity": Quantity(intensity, "nT", "intensity of the inducing field"),
    }
    if values.shape[1] == 5:
        facts["uncertainty"] = Quantity(float(np.median(values[:, 4])), "nT", "median standard deviation of the data")
        said.append(f"The standard deviations in the file run from {values[:, 4].min():.4g} to {values[:, 4].max():.4g} nT.")
    return Magnetics(
        title=title, x=values[:, 0], y=values[:, 1], height=values[:, 2], value=values[:, 3], quantity="total field anomaly", facts=facts,
        inclination=inclination, declination=declination, intensity=intensity, notes=(*notes, *said),
    )  # fmt: skip


def _data(rows: list[list[str]], declared: int, name: str) -> Array:
    """(datum, 4 or 5) numbers of exactly the count declared."""
    if len(rows) != declared:
        code = "E_TRUNCATED" if len(rows) < declared else "E_HEADER"
        raise DataError(code, f"{name} declares {declared} data and holds {len(rows)}.")
    width = len(rows[0])
    uneven = next((i for i, row in enumerate(rows) if len(row) != width), None)
    if uneven is not None or width not in (4, 5):
        last = uneven == len(rows) - 1
        words = f"{name}, datum {(uneven or 0) + 1}: {len(rows[uneven or 0])} values; 4 or 5 in every row are read."
        raise DataError("E_TRUNCATED" if last else "E_FORMAT", words)
    try:
        values = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise DataError("E_FORMAT", f"{name}: {clean(str(error), 80)}.") from error
    if not np.isfinite(values).all():
        raise DataError("E_DATA", f"{name} holds {int((~np.isfinite(values)).sum())} values that are NaN or infinite.")
    return values
