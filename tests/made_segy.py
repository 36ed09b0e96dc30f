"""SEG-Y files made byte by byte for the tests, without the code under test."""

from __future__ import annotations

import struct

import numpy as np


def section(traces: int = 40, samples: int = 120, seed: int = 0) -> np.ndarray:
    """Band-limited noise with two reflectors, about +-1000."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((traces, samples + 8))
    smooth = np.stack([np.convolve(trace, [1, 3, 5, 6, 5, 3, 1, -2, -3], "valid") for trace in noise])
    smooth[:, samples // 3] += 20
    smooth[:, 2 * samples // 3] -= 20
    return (40 * smooth).astype(np.float32)


def ibm(values: np.ndarray) -> np.ndarray:
    """IBM System/360 words of float32 values (excess-64 exponent in base 16, 24-bit fraction), to the nearest."""
    plain = np.abs(values.astype(np.float64))
    exponent = np.where(plain > 0, np.floor(np.log2(np.where(plain > 0, plain, 1)) / 4) + 1, 0).astype(int)
    fraction = np.round(plain / 16.0**exponent * 2**24).astype(np.int64)
    exponent += fraction == 2**24
    fraction = np.where(fraction == 2**24, 2**20, fraction)
    word = (np.signbit(values).astype(np.int64) << 31) | ((exponent + 64) << 24) | fraction
    return np.where(plain > 0, word, 0).astype(np.uint32)


def samples_of(data: np.ndarray, code: int, order: str) -> np.ndarray:
    """(trace, byte) as format code `code` stores them."""
    if code == 1:
        words = ibm(data).astype(order + "u4")
    else:
        words = np.round(data).astype(order + {2: "i4", 3: "i2", 8: "i1"}[code]) if code != 5 else data.astype(order + "f4")
    return np.ascontiguousarray(words).view(np.uint8)


def build(
    data: np.ndarray,
    *,
    code: int = 5,
    order: str = ">",
    dt: int = 2000,
    revision: int = 1,
    extended: int = 0,
    sorting: int = 4,
    text: str = "C 1 A MADE LINE",
    encoding: str = "cp037",
    system: int = 1,
    fields: dict[int, object] | None = None,
    binary: dict[int, tuple[str, object]] | None = None,
) -> bytearray:
    """A file: `fields` maps first trace header byte -> 4-byte value(s), or (format, values); `binary` maps byte (from 3201) -> (format, value)."""
    traces, samples = data.shape
    head = bytearray(text.ljust(3200)[:3200].encode(encoding)) + bytearray(400)
    for byte, kind, value in ((3217, "h", dt), (3221, "H", samples), (3225, "h", code), (3229, "h", sorting), (3255, "h", system)):
        struct.pack_into(order + kind, head, byte - 1, value)
    head[3500:3502] = bytes([revision, 0])
    struct.pack_into(order + "hh", head, 3502, 1, extended)
    for byte, (kind, value) in (binary or {}).items():
        struct.pack_into(order + kind, head, byte - 1, value)
    raw = samples_of(data, code, order)
    block = np.zeros((traces, 240 + raw.shape[1]), np.uint8)
    block[:, 240:] = raw
    usual: dict[int, object] = {1: np.arange(1, traces + 1), 29: ("h", 1), 115: ("H", samples), 117: ("H", dt), 71: ("h", 1)}
    for byte, value in (usual | (fields or {})).items():
        kind, values = value if isinstance(value, tuple) else ("i", value)
        column = np.broadcast_to(np.asarray(values), (traces,)).astype(order + {"i": "i4", "h": "i2", "H": "u2"}[kind])
        block[:, byte - 1 : byte - 1 + column.itemsize] = np.ascontiguousarray(column).view(np.uint8).reshape(traces, -1)
    stanzas = b"".join("((SEG: MORE))".ljust(3200).encode("cp037") for _ in range(extended))
    return head + bytearray(stanzas) + bytearray(block.tobytes())


def line(code: int = 5, order: str = ">", traces: int = 40, samples: int = 120, **more: object) -> bytearray:
    """A 2-D stack with CDP 101 on and positions every 25 m along a straight line."""
    numbers = np.arange(traces)
    fields = {21: 101 + numbers, 71: ("h", -10), 181: 6_000_000 + 200 * numbers, 185: 50_000_000 + 150 * numbers}
    return build(section(traces, samples), code=code, order=order, **{"fields": fields | more.pop("fields", {}), **more})  # type: ignore[operator,arg-type]


def shots(code: int = 5, shots: int = 3, channels: int = 12, samples: int = 120, **more: object) -> bytearray:
    """Marine shots: 50 m between shots, 25 m between groups, offsets stored negative from -100 m."""
    shot, channel = np.divmod(np.arange(shots * channels), channels)
    source = 1000 + 50 * shot
    offset = 100 + 25 * channel
    fields = {9: 1 + shot, 13: 1 + channel, 17: 1001 + shot, 37: -offset, 73: source, 81: source - offset}
    return build(section(shots * channels, samples), code=code, sorting=1, **{"fields": fields | more.pop("fields", {}), **more})  # type: ignore[operator,arg-type]


def cube(code: int = 5, inlines: int = 7, crosslines: int = 9, samples: int = 60, by: str = "inline", **more: object) -> bytearray:
    """A volume, inlines 100 by 2 at 50 m, crosslines 300 by 1 at 12.5 m, scalar -100."""
    i, j = np.divmod(np.arange(inlines * crosslines), crosslines)
    if by == "crossline":
        j, i = np.divmod(np.arange(inlines * crosslines), inlines)
    fields = {189: 100 + 2 * i, 193: 300 + j, 71: ("h", -100), 181: 50_000_000 + 1250 * j, 185: 100 * (6_000_000 + 50 * i)}
    return build(section(inlines * crosslines, samples), code=code, **{"fields": fields | more.pop("fields", {}), **more})  # type: ignore[operator,arg-type]
