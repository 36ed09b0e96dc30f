"""The samples of SEG-Y traces: decoded fast, and whether they are of the format the header names.

IBM and IEEE floats are told apart by the leading hexadecimal digit of the mantissa: normalised IBM numbers never have a zero
there, IEEE numbers have one in a word of twelve.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from moho.errors import DataError
from moho.segy_layout import FORMATS, TRACE_HEADER, Layout
from moho.survey import Array

BLOCK = 1 << 18  # bytes read at a time: stays in the cache while it is decoded and summed
ENOUGH = 500  # non-zero words that a judgement on the format needs


@dataclass(frozen=True)
class Gate:
    """What a pass over all samples found: counts of traces and samples."""

    dead: int  # traces of zeros
    bad_traces: int  # with NaN or infinity
    bad_samples: int
    inexact: bool = False  # int32 beyond what float32 holds


def decode(raw: Array, layout: Layout, out: Array) -> None:
    """Bytes of traces without their headers, (trace, byte), into `out`, (trace, sample) float32."""
    kind = layout.sample_type
    if layout.format_code == 1:
        from segyio import _segyio

        words = out.view(np.uint32)
        words[...] = raw.view("<u4")
        if layout.sign == "<":
            words.byteswap(inplace=True)
        _segyio.native(out, 1)
    elif layout.format_code == 5:
        out.view(np.uint32)[...] = raw.view(layout.sign + "u4")  # a copy with bytes in order: NaN payloads pass
    else:
        out[...] = raw.view(kind)


def read_traces(file: int, layout: Layout, first: int, count: int) -> tuple[Array, Array, Array]:
    """(samples, headers, energy): (trace, sample) float32, (trace, 240) bytes, (trace,) sum of squares, of consecutive traces."""
    length = layout.trace_bytes
    data = np.empty((count, layout.samples), np.float32)
    headers = np.empty((count, TRACE_HEADER), np.uint8)
    energy = np.empty(count, np.float32)
    step = max(1, BLOCK // length)
    block = np.empty((step, length), np.uint8)
    with np.errstate(all="ignore"):
        for a in range(0, count, step):
            b = min(count, a + step)
            piece = block[: b - a]
            _fill(file, piece, layout.start + (first + a) * length)
            headers[a:b] = piece[:, :TRACE_HEADER]
            decode(piece[:, TRACE_HEADER:], layout, data[a:b])
            np.einsum("ij,ij->i", data[a:b], data[a:b], out=energy[a:b])
    return data, headers, energy


def _fill(file: int, block: Array, offset: int) -> None:
    view = block.reshape(-1).data
    done = 0
    while done < len(view):
        got = os.preadv(file, [view[done:]], offset + done)
        if not got:
            raise DataError("E_CHANGED", "the file became shorter while it was read.")
        done += got


def gate(data: Array, energy: Array, layout: Layout, name: str) -> Gate:
    """Dead, NaN and infinite shares; DataError E_DATA where nothing is left. `energy` from `read_traces`."""
    bad_traces = bad_samples = 0
    for number in np.flatnonzero(~np.isfinite(energy)):  # may be large numbers only
        bad = int(np.count_nonzero(~np.isfinite(data[number])))
        bad_samples += bad
        bad_traces += bad > 0
    dead = sum(not data[number].any() for number in np.flatnonzero(energy == 0))  # may be small numbers only
    if bad_samples == data.size:
        raise DataError("E_DATA", f"{name}: every sample is NaN or infinite.")
    if dead == len(data):
        raise DataError("E_DATA", f"{name}: every sample of all {len(data)} traces is zero.")
    if dead + bad_traces == len(data) and not np.any(np.isfinite(data) & (data != 0)):
        raise DataError("E_DATA", f"{name}: no trace holds a number other than zero, NaN and infinity.")
    inexact = layout.format_code == 2 and bool(np.abs(data).max() > 2**24)
    return Gate(dead, bad_traces, bad_samples, inexact)


def gate_notes(found: Gate, layout: Layout, traces: int) -> list[str]:
    """The gate's findings in words."""
    notes = []
    if found.bad_samples:
        share = 100 * found.bad_samples / (traces * layout.samples)
        notes.append(f"{found.bad_samples} samples ({share:.3g} %) in {found.bad_traces} of {traces} traces are NaN or infinite.")
    if found.dead:
        notes.append(f"{found.dead} of {traces} traces are dead (all zero).")
    if found.inexact:
        notes.append("Some 32-bit integers are larger than 2^24 and were rounded to float32.")
    return notes


# -- is it the format that the header names?


def check_format(raw: Array, layout: Layout, name: str, said: bool) -> list[str]:
    """Notes, or DataError where the samples cannot be of the format or byte order named. raw: (trace, byte) of some traces.

    E_FORMAT names the format that the samples look like, E_HEADER the byte order. `said`: the person gave the format, who is
    believed with a note.
    """
    code, label = layout.format_code, f"{FORMATS[layout.format_code][0]} (format code {layout.format_code}, byte 3225)"
    if code == 8:
        return []
    if code == 3:
        problem = _wrong_order(raw, layout)
    else:
        words = np.ascontiguousarray(raw).view(layout.sign + "u4").astype(np.uint32)
        problem = _wrong_words(words, layout, raw)
    if problem is None:
        return []
    error, looks, hint = problem
    if said:
        return [f"The samples look like {looks}; read as {FORMATS[code][0]}, as you said."]
    raise DataError(error, f"{name}: the header says {label}, and the samples look like {looks}.", hint)


def _wrong_order(raw: Array, layout: Layout) -> tuple[str, str, str] | None:
    """Whether integers are rougher, and their high bytes more varied than their low ones, than in the other byte order."""
    values = np.ascontiguousarray(raw).view(layout.sample_type)
    if np.count_nonzero(values) < ENOUGH:
        return None
    pieces = values.view(np.uint8).reshape(-1, values.itemsize)
    first, last = entropy(pieces[:, 0]), entropy(pieces[:, -1])
    high, low = (first, last) if layout.sign == ">" else (last, first)
    if high > low + 0.5 and roughness(values) > 1.15 * roughness(values.byteswap()):
        other = "little" if layout.sign == ">" else "big"
        return "E_HEADER", f"{other}-endian integers", f"Say byte_order='{other}' if headers and samples are both so."
    return None


def entropy(pieces: Array) -> float:
    """Bits of information in a byte, from the histogram of these."""
    share = np.bincount(pieces, minlength=256) / len(pieces)
    return float(-(share[share > 0] * np.log2(share[share > 0])).sum())


def roughness(values: Array) -> float:
    """Mean step between samples over mean size: 1.4 for white noise, well below 1 for seismic traces."""
    plain = values.astype(np.float64)
    plain = plain - plain.mean(axis=1, keepdims=True)
    size = np.abs(plain).mean()
    return float(np.abs(np.diff(plain, axis=1)).mean() / size) if size else 0.0


def _wrong_words(words: Array, layout: Layout, raw: Array) -> tuple[str, str, str] | None:
    """(error code, what the 4-byte words look like, hint) where that is not what the header says."""
    code = layout.format_code
    if np.count_nonzero(words & 0x7FFFFFFF) < ENOUGH:
        return None
    views = {"IBM": is_ibm, "IEEE": is_ieee, "int32": is_small_integer}
    own = {1: "IBM", 5: "IEEE", 2: "int32"}[code]
    if code == 2:
        if (problem := _wrong_order(raw, layout)) is not None:
            return problem
        signed = np.abs(words.view(np.int32).astype(np.int64))
        if np.mean(signed[signed != 0] > 2**27) < 0.95:
            return None
        for kind, number in (("IEEE", 5), ("IBM", 1)):
            if views[kind](words):
                return "E_FORMAT", f"{kind} floats", f"Say format_code={number}."
        return None
    if views[own](words):
        return None
    for kind, number in (("IBM", 1), ("IEEE", 5), ("int32", 2)):
        if kind != own and views[kind](words):
            noun = "floats" if kind != "int32" else ""
            return "E_FORMAT", f"{kind} {noun}".strip(), f"Say format_code={number}."
    swapped = words.byteswap()
    other = "little" if layout.sign == ">" else "big"
    if (is_ibm if code == 1 else is_ieee)(swapped):
        return "E_HEADER", f"the same in {other}-endian order", f"Say byte_order='{other}' if headers and samples are both so."
    if code == 1 and sizes_ibm(words) < 0.05:
        return None  # not normalised, but of sizes that make sense, and nothing else fits better
    return "E_FORMAT", "neither IBM nor IEEE floats nor integers", "The file is damaged, or the traces do not start where the headers say."


def sizes_ibm(words: Array) -> float:
    """Share of non-zero words whose size as IBM float is beyond 16^16 or below 16^-16."""
    exponent = (words[(words & 0x00FFFFFF) != 0] >> 24) & 0x7F
    return float(np.mean((exponent < 0x30) | (exponent > 0x50))) if len(exponent) else 0.0


def digits(words: Array) -> Array:
    """Shares of the hexadecimal digits 0 to 15 at the head of the mantissa as IBM has it."""
    held = words[(words & 0x00FFFFFF) != 0]
    if not len(held):
        return np.zeros(16)
    return np.bincount((held >> 20) & 15, minlength=16) / len(held)


def is_ibm(words: Array) -> bool:
    """Whether these words can be IBM floats: normalised, of sizes that make sense."""
    return bool(digits(words)[0] < 0.01 and sizes_ibm(words) < 0.05)


def is_ieee(words: Array) -> bool:
    """Whether these words can be IEEE floats: of sizes that make sense, and not with the digits that only IBM floats have."""
    size = words & 0x7FFFFFFF  # without zero, and without NaN and infinity as programs write them
    plain = words[(size != 0) & (size != 0x7F800000) & (size != 0x7FC00000) & (size != 0x7FFFFFFF)]
    if not len(plain):
        return True
    exponent = (plain >> 23) & 0xFF
    wild = float(np.mean((exponent < 127 - 66) | (exponent > 127 + 66)))
    share = digits(plain)
    only_ibm = share[0] < 0.002 and bool((share[1:] > 0.003).all())
    return wild < 0.05 and not only_ibm


def is_small_integer(words: Array) -> bool:
    """Whether these words are integers of moderate size rather than floats."""
    signed = np.abs(words.view(np.int32).astype(np.int64))
    return bool(np.mean(signed < 2**23) > 0.99)
