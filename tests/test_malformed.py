"""SEG-Y files that lie: each is refused with the right code or read as it truly is with a note; none crashes, hangs or misleads."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from made_segy import build, cube, line, samples_of, section, shots

from moho.errors import CODES, DataError, MohoError
from moho.read import read
from moho.segy import load, read_segy
from moho.survey import Data, Gather, Seismic, Volume

TRACE = 240 + 4 * 120  # bytes of a trace of `line` and `shots` in 4-byte formats


def put(raw: bytearray, byte: int, kind: str, value: float) -> bytearray:
    """`raw` with a big-endian value at `byte`, counted from 1."""
    struct.pack_into(">" + kind, raw, byte - 1, value)
    return raw


def head(raw: bytearray, trace: int, byte: int, kind: str, value: int, length: int = TRACE) -> bytearray:
    """`raw` with a value in the header of trace `trace` (from 0)."""
    return put(raw, 3600 + trace * length + byte, kind, value)


def all_heads(raw: bytearray, byte: int, kind: str, value: int) -> bytearray:
    for trace in range((len(raw) - 3600) // TRACE):
        head(raw, trace, byte, kind, value)
    return raw


def swap(raw: bytearray, width: int, samples: int = 120) -> bytearray:
    """Samples in the other byte order, headers as they were."""
    length = 240 + width * samples
    block = np.frombuffer(raw, np.uint8)[3600:].reshape(-1, length).copy()
    block[:, 240:] = block[:, 240:].reshape(len(block), samples, width)[:, :, ::-1].reshape(len(block), -1)
    return raw[:3600] + bytearray(block.tobytes())


def swap_binary(raw: bytearray) -> bytearray:
    for byte in (3217, 3221, 3225):
        raw[byte - 1 : byte + 1] = raw[byte - 1 : byte + 1][::-1]
    return raw


def swap_traces(raw: bytearray) -> bytearray:
    for trace in range((len(raw) - 3600) // TRACE):
        for byte in (115, 117):
            at = 3600 + trace * TRACE + byte - 1
            raw[at : at + 2] = raw[at : at + 2][::-1]
    return raw


def relabel(raw: bytearray, code: int) -> bytearray:
    return put(raw, 3225, "h", code)


def with_samples(change: Callable[[np.ndarray], None], code: int = 5) -> bytearray:
    data = section()
    change(data)
    numbers = np.arange(40)
    return build(data, code=code, fields={21: 101 + numbers, 71: ("h", -10), 181: 6_000_000 + 200 * numbers, 185: 50_000_000 + 150 * numbers})


def fill(value: float, where: object = slice(None)) -> Callable[[np.ndarray], None]:
    def change(data: np.ndarray) -> None:
        data[where] = value

    return change


def varying() -> bytearray:
    """Traces of 120 and 100 samples in turn."""
    raw = line()
    out = raw[:3600]
    for trace in range(40):
        piece = raw[3600 + trace * TRACE : 3600 + (trace + 1) * TRACE]
        if trace % 2:
            piece = put(piece[: 240 + 400], 115, "H", 100)
        out += piece
    return out


def records() -> bytearray:
    """Fortran record marks around every block, as some programs leave them."""
    raw, mark = line(), struct.pack(">i", TRACE)
    traces = b"".join(mark + raw[at : at + TRACE] + mark for at in range(3600, len(raw), TRACE))
    return bytearray(struct.pack(">i", 3200) + raw[:3200] + struct.pack(">ii", 3200, 400) + raw[3200:3600] + struct.pack(">i", 400) + traces)


def rev2(count: int = 0, first: int = 0, more: int = 0, long_samples: int = 0) -> bytearray:
    return line(revision=2, binary={3269: ("i", long_samples), 3507: ("I", more), 3513: ("Q", count), 3521: ("Q", first)})


# name -> (bytes, codes that are right, words of the note where reading it is right)
CASES: dict[str, tuple[Callable[[], bytes | bytearray], set[str], str]] = {
    # the file ends early
    "empty": (lambda: b"", {"E_FORMAT"}, ""),
    "one byte": (lambda: b"C", {"E_FORMAT", "E_TRUNCATED"}, ""),
    "inside the textual header": (lambda: line()[:2000], {"E_TRUNCATED"}, ""),
    "before the binary header": (lambda: line()[:3200], {"E_TRUNCATED"}, ""),
    "inside the binary header": (lambda: line()[:3400], {"E_TRUNCATED"}, ""),
    "headers only": (lambda: line()[:3600], {"E_TRUNCATED"}, ""),
    "inside the first trace header": (lambda: line()[:3700], {"E_TRUNCATED"}, ""),
    "first trace header only": (lambda: line()[:3840], {"E_TRUNCATED"}, ""),
    "inside the first trace": (lambda: line()[:4000], {"E_TRUNCATED"}, ""),
    "one byte short": (lambda: line()[:-1], {"E_TRUNCATED"}, ""),
    "half a last trace": (lambda: line()[: -TRACE // 2], {"E_TRUNCATED"}, ""),
    "after a last trace header": (lambda: line()[: -4 * 120], {"E_TRUNCATED"}, ""),
    "inside the last trace header": (lambda: line()[: -TRACE + 100], {"E_TRUNCATED"}, ""),
    "last shot short of channels": (lambda: shots()[: -3 * TRACE], set(), "from 9 to 12 traces"),
    "last inline short of traces": (lambda: cube()[: -2 * 480], set(), "different numbers of traces"),
    "one byte more": (lambda: line() + b"x", {"E_TRUNCATED", "E_HEADER"}, ""),
    "junk behind": (lambda: line() + bytes(range(1, 101)), {"E_TRUNCATED", "E_HEADER"}, ""),
    "padded with zeros": (lambda: line() + bytes(512), set(), "zero bytes after the last trace"),
    # number of samples
    "ns 0 in the binary header": (lambda: put(line(), 3221, "H", 0), {"E_HEADER"}, "120"),
    "ns 0 in the traces": (lambda: all_heads(line(), 115, "H", 0), {"E_HEADER"}, "no number of samples"),
    "ns 0 everywhere": (lambda: all_heads(put(line(), 3221, "H", 0), 115, "H", 0), {"E_HEADER"}, ""),
    "ns one too many": (lambda: put(line(), 3221, "H", 121), {"E_HEADER", "E_TRUNCATED"}, "120 fits"),
    "ns one too few": (lambda: put(line(), 3221, "H", 119), {"E_HEADER", "E_TRUNCATED"}, "120 fits"),
    "ns doubled": (lambda: put(line(), 3221, "H", 240), {"E_HEADER", "E_TRUNCATED"}, "120 fits"),
    "ns 65535": (lambda: put(line(), 3221, "H", 65535), {"E_HEADER", "E_TRUNCATED"}, "120 fits"),
    "ns of the traces wrong": (lambda: all_heads(line(), 115, "H", 1500), {"E_HEADER"}, "120 fits"),
    "ns wrong everywhere": (lambda: all_heads(put(line(), 3221, "H", 130), 115, "H", 130), {"E_HEADER", "E_TRUNCATED"}, ""),
    "ns halved everywhere": (lambda: all_heads(put(line(), 3221, "H", 60), 115, "H", 60), {"E_HEADER", "E_TRUNCATED"}, ""),
    "ns 1 everywhere": (lambda: all_heads(put(line(), 3221, "H", 1), 115, "H", 1), {"E_HEADER", "E_TRUNCATED"}, ""),
    "ns such that the size fits": (lambda: all_heads(put(line(), 3221, "H", 300), 115, "H", 300), {"E_HEADER"}, ""),
    "ns of one trace wrong": (lambda: head(line(), 17, 115, "H", 99), {"E_HEADER"}, "trace 18 first (99)"),
    "two traces told as one, in part": (lambda: all_heads(put(line(traces=41), 3221, "H", 300), 115, "H", 300), {"E_HEADER", "E_TRUNCATED"}, ""),
    "traces of different length": (varying, {"E_UNSUPPORTED", "E_HEADER"}, ""),
    # sample interval
    "dt 0 in the binary header": (lambda: put(line(), 3217, "h", 0), {"E_HEADER"}, "Only one header"),
    "dt 0 in the traces": (lambda: all_heads(line(), 117, "h", 0), {"E_HEADER"}, "Only one header"),
    "dt 0 everywhere": (lambda: all_heads(put(line(), 3217, "h", 0), 117, "h", 0), {"E_HEADER"}, ""),
    "dt 1 ms against 2 ms": (lambda: put(line(), 3217, "h", 1000), {"E_HEADER"}, ""),
    "dt 4 ms against 2 ms": (lambda: all_heads(line(), 117, "h", 4000), {"E_HEADER"}, ""),
    "dt in ms": (lambda: line(dt=2), {"E_UNITS"}, ""),
    "dt negative": (lambda: line(dt=-2000, fields={117: ("h", -2000)}), {"E_HEADER"}, ""),
    "dt of one trace wrong": (lambda: head(line(), 23, 117, "h", 4000), {"E_HEADER"}, ""),
    "dt that is depth": (lambda: line(dt=5000, text="C 1 PRESTACK DEPTH MIGRATION PSDM"), {"E_DATA", "E_UNITS"}, ""),
    "dt that is depth and disagrees": (lambda: line(dt=4000, text="C 1 DEPTH DOMAIN, SAMPLE INTERVAL 5 M"), {"E_UNITS"}, ""),
    # format code
    "format 0": (lambda: relabel(line(), 0), {"E_HEADER", "E_FORMAT"}, ""),
    "format -1": (lambda: relabel(line(), -1), {"E_HEADER", "E_FORMAT"}, ""),
    "format 255": (lambda: relabel(line(), 255), {"E_HEADER", "E_FORMAT"}, ""),
    "format 4 with gain": (lambda: relabel(line(), 4), {"E_UNSUPPORTED"}, ""),
    "format 6 double": (lambda: relabel(line(), 6), {"E_UNSUPPORTED"}, ""),
    "format 7 int24": (lambda: relabel(line(), 7), {"E_UNSUPPORTED"}, ""),
    "format 16 uint8": (lambda: relabel(line(), 16), {"E_UNSUPPORTED"}, ""),
    "IEEE called IBM": (lambda: relabel(line(5), 1), {"E_FORMAT"}, ""),
    "IBM called IEEE": (lambda: relabel(line(1), 5), {"E_FORMAT"}, ""),
    "IEEE called int32": (lambda: relabel(line(5), 2), {"E_FORMAT"}, ""),
    "IBM called int32": (lambda: relabel(line(1), 2), {"E_FORMAT"}, ""),
    "int32 called IEEE": (lambda: relabel(line(2), 5), {"E_FORMAT"}, ""),
    "int32 called IBM": (lambda: relabel(line(2), 1), {"E_FORMAT"}, ""),
    "IEEE called int16": (lambda: relabel(line(5), 3), {"E_HEADER", "E_TRUNCATED"}, ""),
    "int16 called IEEE": (lambda: relabel(line(3), 5), {"E_HEADER", "E_TRUNCATED"}, ""),
    "int16 called int8": (lambda: relabel(line(3), 8), {"E_HEADER", "E_TRUNCATED"}, ""),
    # byte order
    "IEEE samples swapped": (lambda: swap(line(5), 4), {"E_HEADER"}, ""),
    "IBM samples swapped": (lambda: swap(line(1), 4), {"E_HEADER"}, ""),
    "int32 samples swapped": (lambda: swap(line(2), 4), {"E_HEADER"}, ""),
    "int16 samples swapped": (lambda: swap(line(3), 2), {"E_HEADER"}, ""),
    "binary header swapped": (lambda: swap_binary(line()), {"E_HEADER"}, ""),
    "trace headers swapped": (lambda: swap_traces(line()), {"E_HEADER"}, ""),
    "all of it little-endian": (lambda: line(order="<"), set(), "little-endian"),
    # counts of headers
    "one extended header promised": (lambda: put(line(), 3505, "h", 1), {"E_HEADER", "E_TRUNCATED"}, ""),
    "one extended header hidden": (lambda: put(line(extended=1), 3505, "h", 0), {"E_HEADER", "E_TRUNCATED"}, ""),
    "32767 extended headers": (lambda: put(line(), 3505, "h", 32767), {"E_HEADER"}, ""),
    "extended headers without end": (lambda: put(line(), 3505, "h", -1), {"E_HEADER"}, ""),
    "-5 extended headers": (lambda: put(line(), 3505, "h", -5), {"E_HEADER"}, ""),
    "revision 77": (lambda: line(revision=77), {"E_HEADER"}, "does not exist"),
    "rev 2, more traces promised": (lambda: rev2(count=41), {"E_TRUNCATED"}, ""),
    "rev 2, fewer traces promised": (lambda: rev2(count=39), {"E_HEADER"}, ""),
    "rev 2, first trace beyond the end": (lambda: rev2(first=10**9), {"E_HEADER"}, ""),
    "rev 2, first trace elsewhere": (lambda: rev2(first=3601), {"E_HEADER", "E_TRUNCATED"}, ""),
    "rev 2, more headers a trace": (lambda: rev2(more=2), {"E_UNSUPPORTED"}, ""),
    "rev 2, two billion samples": (lambda: rev2(long_samples=2**31 - 1), {"E_HEADER", "E_TRUNCATED"}, "120 fits"),
    "textual header missing": (lambda: line()[3200:], {"E_HEADER", "E_FORMAT", "E_TRUNCATED", "E_UNSUPPORTED"}, ""),
    "shifted by a byte": (lambda: b"\0" + line(), {"E_HEADER", "E_FORMAT", "E_TRUNCATED"}, ""),
    "Fortran record marks": (records, {"E_HEADER", "E_FORMAT", "E_TRUNCATED", "E_UNSUPPORTED"}, ""),
    # samples
    "all NaN": (lambda: with_samples(fill(np.nan)), {"E_DATA"}, ""),
    "all infinite": (lambda: with_samples(fill(np.inf)), {"E_DATA"}, ""),
    "all zero": (lambda: with_samples(fill(0)), {"E_DATA"}, ""),
    "zeros and NaN only": (lambda: with_samples(lambda d: (fill(0)(d), fill(np.nan, slice(5))(d))[0]), {"E_DATA"}, ""),
    "a trace of NaN": (lambda: with_samples(fill(np.nan, 7)), set(), "120 samples (2.5 %) in 1 of 40"),
    "one infinite sample": (lambda: with_samples(fill(np.inf, (3, 3))), set(), "1 samples"),
    "half of it dead": (lambda: with_samples(fill(0, slice(20))), set(), "20 of 40 traces are dead"),
    "random words": (lambda: line()[:3600] + b"".join(bytes(line()[3600 + t * TRACE : 3840 + t * TRACE]) + np.random.default_rng(t).bytes(480)
                                                      for t in range(40)), {"E_FORMAT", "E_HEADER"}, ""),
    # geometry
    "shots without offsets or coordinates": (lambda: shots(fields={37: 0, 73: 0, 81: 0}), {"E_GEOMETRY"}, ""),
    "offsets that disagree with coordinates": (lambda: shots(fields={37: 7 + np.arange(36) % 12}), {"E_GEOMETRY", "E_HEADER"}, "disagree"),
    "delays that differ": (lambda: line(fields={109: ("h", np.arange(40) * 4)}), {"E_UNSUPPORTED"}, ""),
    "one CDP number wild": (lambda: head(line(), 9, 21, "i", 99999), set(), "do not step evenly"),
    "one source position wild": (lambda: head(shots(), 5, 73, "i", 99999), set(), "change inside a shot"),
    "one trace far off the line": (lambda: head(line(), 9, 181, "i", 99), set(), "Positions are uneven"),
    "coordinate scalar 7": (lambda: line(fields={71: ("h", 7)}), set(), "Unusual coordinate scalar 7"),
    "coordinates constant": (lambda: line(fields={181: 6000, 185: 65536}), set(), "constant (6000, 65536)"),
    "coordinates absent": (lambda: line(fields={181: 0, 185: 0}), set(), "all zero"),
    "coordinates in degrees": (lambda: line(fields={71: ("h", -10000), 89: ("h", 3), 181: 50_000 + np.arange(40), 185: 520_000}), set(), "angles"),
    "junk in bytes 189-196": (lambda: line(fields={189: np.arange(40) * 7919 % 977, 193: np.arange(40) * 104729 % 613}), set(), "do not form a grid"),
    # not SEG-Y at all
    "a PDF": (lambda: b"%PDF-1.7\n" + bytes(9000), {"E_FORMAT"}, ""),
    "text": (lambda: b"depth velocity\n" * 700, {"E_FORMAT"}, ""),
    "noise": (lambda: np.random.default_rng(1).bytes(20_000), {"E_FORMAT", "E_HEADER", "E_TRUNCATED"}, ""),
    "zeros": (lambda: bytes(20_000), {"E_FORMAT", "E_HEADER"}, ""),
}  # fmt: skip


def truth(name: str, found: Data) -> bool:
    """Whether what was read is what was put into the file."""
    if isinstance(found, Volume):
        block = load(found).reshape(-1, 60)
        return np.array_equal(block[np.isfinite(block[:, 0])], section(63, 60)[: found.traces])
    assert isinstance(found, Seismic | Gather)
    whole = section(36) if isinstance(found, Gather) else section()
    given = found.data.copy()
    odd = {"a trace of NaN": fill(np.nan, 7), "one infinite sample": fill(np.inf, (3, 3)), "half of it dead": fill(0, slice(20))}
    if name in odd:
        odd[name](whole)
    return found.dt == 0.002 and np.array_equal(given, whole[: len(given)], equal_nan=True)


def attempt(path: Path) -> Data | MohoError:
    """What reading gives, a typed error included; any other error is one of the test."""
    try:
        return read_segy(path)
    except MohoError as error:
        return error


def test_there_are_enough_of_them():
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", CASES)
def test_lying_file_is_refused_or_read_true_with_a_note(name, tmp_path: Path):
    make, codes, words = CASES[name]
    path = tmp_path / "lying.sgy"
    path.write_bytes(make())
    before = sha256(path.read_bytes()).digest()
    found = attempt(path)
    if isinstance(found, MohoError):
        assert found.code in codes, str(found)
        assert len(str(found)) < 600
        assert found.code not in ("E_HEADER", "E_TRUNCATED") or "byte" in str(found), str(found)
    else:
        assert words, f"read in silence: {found.notes}"
        assert any(words in note for note in found.notes), found.notes
        assert truth(name, found), "read, and not what is in the file"
    assert sha256(path.read_bytes()).digest() == before


def test_said_is_believed_with_a_note(tmp_path: Path):
    path = tmp_path / "lying.sgy"
    path.write_bytes(all_heads(put(line(), 3217, "h", 0), 117, "h", 0))
    found = read_segy(path, dt=0.002)
    assert found.dt == 0.002
    path.write_bytes(relabel(line(), 0))
    assert np.array_equal(read_segy(path, format_code=5).data, section())
    path.write_bytes(relabel(line(5), 1))
    assert np.array_equal(read_segy(path, format_code=5).data, section())
    path.write_bytes(line()[:-100])
    assert np.array_equal(read_segy(path, whole_traces=True).data, section()[:39])
    path.write_bytes(all_heads(put(line(), 3221, "H", 0), 115, "H", 0))
    assert np.array_equal(read_segy(path, samples=120).data, section())
    path.write_bytes(shots(fields={37: 0, 73: 0, 81: 0}))
    assert isinstance(read_segy(path, kind="2-D"), Seismic)


@pytest.mark.parametrize("seed", range(200))
def test_mutated_bytes_give_data_or_a_typed_error(seed, tmp_path: Path):
    rng = np.random.default_rng(seed)
    raw = [line, shots, cube, lambda: line(1), lambda: line(3), lambda: line(order="<"), lambda: line(revision=2, extended=1)][seed % 7]()
    for _ in range(int(rng.integers(1, 12))):
        low, high = [(0, 3200), (3200, 3600), (3200, 3600), (3600, 3840), (0, len(raw))][int(rng.integers(5))]
        where = int(rng.integers(low, high))
        raw[where] = int(rng.choice([0, 1, 127, 128, 255, rng.integers(256)]))
    if seed % 5 == 0:
        raw = raw[: int(rng.integers(0, len(raw)))]
    if seed % 11 == 0:
        at = int(rng.integers(len(raw) + 1))
        raw[at:at] = rng.bytes(int(rng.integers(1, 50)))
    path = tmp_path / "mutated.sgy"
    path.write_bytes(raw)
    found = attempt(path)
    if isinstance(found, MohoError):
        assert found.code in set(CODES) - {"E_RESOURCE"}
    else:
        assert found.notes


# -- the door: what is no file, no format, or packed


def refused(path: Path, **hints: object) -> DataError:
    with pytest.raises(DataError) as caught:
        read(path, **hints)
    return caught.value


def test_missing_file_names_the_nearest(tmp_path: Path):
    (tmp_path / "line_31.sgy").write_bytes(line())
    error = refused(tmp_path / "line-31.sgy")
    assert error.code == "E_NOT_FOUND"
    assert "line_31.sgy" in str(error)


def test_what_is_no_file_is_refused(tmp_path: Path):
    (tmp_path / "a.sgy").write_bytes(line())
    assert "a.sgy" in str(refused(tmp_path))
    os.mkfifo(tmp_path / "pipe.sgy")
    assert refused(tmp_path / "pipe.sgy").code == "E_FORMAT"
    assert refused(Path("/dev/zero")).code == "E_FORMAT"
    (tmp_path / "loop.sgy").symlink_to(tmp_path / "loop.sgy")
    assert refused(tmp_path / "loop.sgy").code == "E_FORMAT"
    (tmp_path / "empty.sgy").touch()
    assert refused(tmp_path / "empty.sgy").code == "E_FORMAT"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path):
    path = tmp_path / "shut.sgy"
    path.write_bytes(line())
    path.chmod(0)
    assert refused(path).code == "E_PERM"


@pytest.mark.parametrize(
    ("content", "words"), [(b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG"), (b"%PDF-1.7 <|im_start|>", "PDF"), (bytes(range(256)) * 4, "00 01 02 03")]
)
def test_unknown_content_is_shown_safely(content, words, tmp_path: Path):
    path = tmp_path / "thing.bin"
    path.write_bytes(content)
    error = refused(path)
    assert error.code == "E_FORMAT"
    assert words in str(error)
    assert "<|" not in str(error)
    assert "SEG-Y" in error.hint


def zipped(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def test_packed_files_are_unpacked(tmp_path: Path):
    import bz2
    import lzma

    packed = {"gz": gzip.compress(line()), "xz": lzma.compress(line()), "bz2": bz2.compress(line()), "zip": zipped(("../../line.sgy", bytes(line())))}
    for suffix, content in packed.items():
        path = tmp_path / f"line.sgy.{suffix}"
        path.write_bytes(content)
        found = read(path)
        assert isinstance(found, Seismic)
        assert np.array_equal(found.data, section())
        assert found.title == "line"
    assert len(list(tmp_path.iterdir())) == 4


def test_packed_real_files(shared):
    from moho.survey import Gravity, Waveforms

    found = read(shared / "gravity_southern_africa" / "southern-africa-gravity.csv.xz")
    assert isinstance(found, Gravity)
    assert len(found.value) == 14359
    assert found.title == "southern-africa-gravity"
    found = read(shared / "seismology_obspy_trigger" / "BW.UH1._.SHZ.D.2010.147.cut.slist.gz")
    assert isinstance(found, Waveforms)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (lambda: gzip.compress(line())[:-2000], "E_TRUNCATED"), (lambda: b"\x1f\x8b\x08\0" + bytes(50), "E_FORMAT"),
        (lambda: b"BZh9" + bytes(50), "E_FORMAT"),
        (lambda: b"\xfd7zXZ\0" + bytes(50), "E_FORMAT"), (lambda: gzip.compress(bytes(70 << 20), 9), "E_LIMIT"),
        (lambda: b"PK\x03\x04" + bytes(50), "E_FORMAT"),
        (lambda: zipped(("a", b"x"), ("b", b"y")), "E_UNSUPPORTED"), (lambda: gzip.compress(gzip.compress(line())), "E_UNSUPPORTED"),
        (lambda: gzip.compress(cube()), "E_UNSUPPORTED"),
    ],
    ids=["cut", "gzip junk", "bzip2 junk", "xz junk", "bomb", "zip junk", "two files", "twice", "volume"],
)  # fmt: skip
def test_packed_files_that_are_damaged_or_bombs(content, code, tmp_path: Path):
    path = tmp_path / "packed.sgy.gz"
    path.write_bytes(content())
    assert refused(path).code == code


def test_hint_that_the_reader_does_not_take(tmp_path: Path):
    path = tmp_path / "line.sgy"
    path.write_bytes(line())
    with pytest.raises(ValueError, match="header_bytes"):
        read(path, depth_unit="ft")
    assert read(path, header_bytes={"cdp": 1}).cdp[0] == 1


def test_samples_helper_is_what_it_says():
    assert samples_of(np.array([[1.0]], np.float32), 1, ">").tolist() == [[0x41, 0x10, 0, 0]]
    assert samples_of(np.array([[-118.625]], np.float32), 1, ">").tolist() == [[0xC2, 0x76, 0xA0, 0]]
