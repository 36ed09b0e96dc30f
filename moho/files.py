"""What every reader needs of a file: its bytes within a limit, its text decoded strictly, foreign words made safe, errors coded.

The readers of one format each are in modules of their own; which of them a file goes to is decided in `moho.read`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moho.errors import DataError, MohoError

LARGEST_TEXT = 512 * 2**20  # bytes of a text file that is read whole
BOMS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
DELIMITERS: dict[str, str] = {"tab": "\t", "bar": "|", "semicolon": ";", "comma": ",", "space": " "}  # surest first


@contextmanager
def coded(what: str, path: Path) -> Iterator[None]:
    """Errors of a library that reads `what` leave as DataError with a code; those that have one pass."""
    try:
        yield
    except MohoError:
        raise
    except MemoryError as error:
        raise DataError("E_LIMIT", f"{path.name}: {what} needs more memory than a reader may use.") from error
    except FileNotFoundError as error:
        raise DataError("E_NOT_FOUND", f"there is no file {path.name}.") from error
    except PermissionError as error:
        raise DataError("E_PERM", f"{path.name} may not be read.") from error
    except UnicodeError as error:
        raise DataError("E_ENCODING", f"{path.name}: text in {what} cannot be decoded.") from error
    except EOFError as error:
        raise DataError("E_TRUNCATED", f"{path.name}: {what} ends early.") from error
    except Exception as error:
        words = f"{path.name}: {what} cannot be read ({type(error).__name__}: {clean(str(error), 160)})."
        raise DataError("E_FORMAT", words) from error


def contents(path: Path, limit: int = LARGEST_TEXT) -> bytes:
    """The file's bytes; E_LIMIT above `limit`, E_FORMAT when it is empty or no regular file."""
    with coded("the file", path):
        if not path.is_file():
            code = "E_FORMAT" if path.exists() else "E_NOT_FOUND"
            raise DataError(code, f"{path.name} is {'no regular file' if path.exists() else 'not there'}.")
        size = path.stat().st_size
        if size > limit:
            raise DataError("E_LIMIT", f"{path.name} has {size:,} bytes; at most {limit:,} are read whole.")
        if size == 0:
            raise DataError("E_FORMAT", f"{path.name} is empty.")
        return path.read_bytes()


def decode(raw: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """Text and notes: UTF-8, a byte-order mark obeyed, else Windows-1252 (said). E_ENCODING when it is no text in any of them."""
    for mark, encoding in BOMS.items():
        if raw.startswith(mark):
            try:
                return raw[len(mark) :].decode(encoding), () if encoding == "utf-8" else (f"The file is {encoding.upper()} text.",)
            except UnicodeDecodeError as error:
                raise DataError("E_ENCODING", f"{name} carries the mark of {encoding.upper()} and byte {error.start} breaks it.") from error
    head = raw[:65536]
    if b"\0" in head:
        even, odd = head[0::2].count(0), head[1::2].count(0)
        if max(even, odd) > 0.4 * len(head) / 2 > min(even, odd):
            raise DataError("E_ENCODING", f"{name} looks like UTF-16 text without its byte-order mark.", "Save it as UTF-8.")
        raise DataError("E_FORMAT", f"{name} holds binary data, not text.")
    try:
        text, notes = raw.decode("utf-8"), ()
        if not is_text(text[:65536]):
            raise DataError("E_FORMAT", f"{name} holds binary data, not text.")
        return text, notes
    except UnicodeDecodeError as error:
        plain = sum(byte < 0x80 for byte in head) / len(head)
        where = error.start
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    if plain < 0.7 or not is_text(text[:65536]):
        raise DataError("E_ENCODING", f"{name} is neither UTF-8 (byte {where}) nor Windows-1252 text.", "Save it as UTF-8.")
    return text, ("The text is not UTF-8; it was read as Windows-1252 (Latin-1).",)


def is_text(text: str) -> bool:
    """Whether there are next to no control characters in it."""
    odd = sum(1 for character in text if unicodedata.category(character) == "Cc" and character not in "\t\r\n\f\v\x1a")
    return bool(text) and odd <= 0.001 * len(text)


def read_text(path: Path, limit: int = LARGEST_TEXT) -> tuple[str, tuple[str, ...]]:
    """The file's text with line ends as newlines, and notes on its encoding."""
    text, notes = decode(contents(path, limit), path.name)
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\x1a"), notes


def text_head(head: bytes) -> str:
    """The first bytes of a file as text, empty when they are not text."""
    for mark, encoding in BOMS.items():
        if head.startswith(mark):
            return head[len(mark) :].decode(encoding, "ignore")
    if b"\0" in head:
        return ""
    text = head.decode("utf-8", "replace") if head.isascii() else head.decode("cp1252", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n") if is_text(text) else ""


def clean(words: str, limit: int = 80) -> str:
    """Words from a file as they may be shown: no control, zero-width, bidirectional or tag characters, chat tokens broken, cut to `limit`.

    >>> clean("GR" + chr(0x202E) + " <|im_start|>  API" + chr(7))
    'GR < |im_start| > API'
    """
    kept = "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs", "Cn") else " " for c in words)
    kept = re.sub(r"\s+", " ", kept).strip().replace("<|", "< |").replace("|>", "| >")
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"
