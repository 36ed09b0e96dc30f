"""A small DLIS file (RP66 v1), byte by byte: one frame of float channels, its index in depth or in time."""

from __future__ import annotations

import struct

import numpy as np


def ident(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def ascii_(text: str) -> bytes:
    return uvari(len(text)) + text.encode()


def uvari(number: int) -> bytes:
    return bytes([number]) if number < 128 else struct.pack(">H", number | 0x8000)


def obname(name: str) -> bytes:
    return uvari(1) + b"\0" + ident(name)


def template(*attributes: tuple[str, int]) -> bytes:
    """Labels with representation codes."""
    return b"".join(b"\x34" + ident(label) + bytes([code]) for label, code in attributes)


def made(name: str, *values: bytes) -> bytes:
    """An object: its name and one value an attribute (empty for an absent one)."""
    return b"\x70" + obname(name) + b"".join(b"\x21" + value if value else b"\x00" for value in values)


def segment(kind: int, body: bytes, explicit: bool = True) -> bytes:
    """A logical record in one segment, padded to an even length of at least 16."""
    pad = max(0, 12 - len(body))
    pad += (len(body) + pad) % 2
    if pad:
        body += b"\1" * (pad - 1) + bytes([pad])
    attributes = (0x80 if explicit else 0) | (1 if pad else 0)
    return struct.pack(">HBB", len(body) + 4, attributes, kind) + body


def dlis(rows: np.ndarray, names: list[str], units: list[str], index: str = "BOREHOLE-DEPTH", copies: int = 1) -> bytes:
    """A file with `copies` frames MAIN, MAIN2 ... of the same float64 rows: (sample, channel)."""
    first = template(("SEQUENCE-NUMBER", 20), ("ID", 20)) + made("0", ascii_("1".rjust(10)), ascii_("made".ljust(65)))
    records = [
        segment(0, b"\xf0" + ident("FILE-HEADER") + first),
        segment(1, b"\xf0" + ident("ORIGIN") + template(("FILE-ID", 20), ("WELL-NAME", 20)) + made("O", ascii_("made"), ascii_("Test-1"))),
    ]
    frames = ["MAIN" if k == 0 else f"MAIN{k + 1}" for k in range(copies)]
    channels = b"".join(
        made(f"{name}{'' if k == 0 else k + 1}", ascii_(f"channel {name}"), b"\x07", ident(unit), uvari(1))
        for k in range(copies)
        for name, unit in zip(names, units, strict=True)
    )
    head = template(("LONG-NAME", 20), ("REPRESENTATION-CODE", 15), ("UNITS", 27), ("DIMENSION", 18))
    records.append(segment(3, b"\xf0" + ident("CHANNEL") + head + channels))
    body = b"\xf0" + ident("FRAME") + b"\x34" + ident("CHANNELS") + b"\x17" + b"\x34" + ident("INDEX-TYPE") + b"\x13"
    for k, frame in enumerate(frames):
        listed = b"".join(obname(f"{name}{'' if k == 0 else k + 1}") for name in names)
        body += b"\x70" + obname(frame) + b"\x29" + uvari(len(names)) + listed + b"\x21" + ident(index)
    records.append(segment(4, body))
    for frame in frames:
        for number, row in enumerate(rows, 1):
            records.append(segment(0, obname(frame) + uvari(number) + struct.pack(f">{len(row)}d", *row), explicit=False))
    label = b"   1V1.00RECORD 8192" + b"made".ljust(60)
    visible = b""
    for record in records:
        visible += struct.pack(">HBB", len(record) + 4, 0xFF, 1) + record
    return label + visible
