"""A document from a PDF: its words in reading order, under its headings, without what repeats on every page.

Here: what is refused, which library reads, what the notes say. A page's lines: `moho.knowledge.pdf_page`; how lines become paragraphs
under headings: `moho.knowledge.layout`.
"""

from __future__ import annotations

import mmap
import re
import zlib
from pathlib import Path

import pypdfium2

from moho.errors import DataError
from moho.files import clean
from moho.knowledge import layout
from moho.knowledge.lines import Line, Page
from moho.knowledge.passages import Document
from moho.knowledge.pdf_page import LARGEST_PAGE, Reader

MOST_PAGES = 10_000
LARGEST_STREAM = 256 * 2**20  # bytes that a stream other than an image may unpack to

_LINEAR = re.compile(rb"/Linearized\b[^>]{0,200}?/L\s{1,3}(\d{1,12})")  # and the length of the file
_STREAM = re.compile(rb"stream\r?\n")


def read_pdf(path: Path) -> Document:
    """The document in a PDF. E_PERM where it asks for a password, E_TRUNCATED where its end is missing, E_DATA where it is all scans."""
    _gate(path)
    notes: list[str] = []
    try:
        pages, meta = _by_pdfium(path, notes)
    except _Unreadable as error:
        notes.append(f"PDFium could not read it ({error}); it was read by pypdf, without columns and headings by size.")
        pages, meta = _by_pypdf(path)
    _say_scans(path, pages, notes)
    document = layout.document(pages, meta)
    hidden = sorted({block.page for block in document.blocks if block.kind == "invisible" and block.page})
    if hidden:
        notes.append(f"{_numbers(hidden)} {'hold' if len(hidden) > 1 else 'holds'} invisible text.")
    return Document(document.blocks, document.title, document.authors, document.year, document.doi, "pdf", tuple(notes))


class _Unreadable(Exception):
    """PDFium does not open the file, though it may be read otherwise."""


# -- before it is opened


def _gate(path: Path) -> None:
    """Refuse a file that ends early, and one with a stream that unpacks to more than any text needs."""
    size = path.stat().st_size
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        tail = raw[max(0, size - 65536) :]
        if b"%%EOF" not in tail and b"startxref" not in tail:
            raise DataError("E_TRUNCATED", f"{path.name} ends before the end of a PDF ({size:,} bytes).", "Fetch the file again.")
        linear = _LINEAR.search(raw[:2048])
        if linear and int(linear[1]) > size:
            raise DataError("E_TRUNCATED", f"{path.name} has {size:,} of {int(linear[1]):,} bytes.", "Fetch the file again.")
        for match in _STREAM.finditer(raw):
            start = match.end()
            end = raw.find(b"endstream", start)
            length = (end if end >= 0 else size) - start
            if length * 1032 > LARGEST_STREAM and raw[start] & 0x0F == 8:  # deflate, which packs at most 1032 to one
                head = raw[max(0, start - 1000) : start].rpartition(b"obj")[2]
                if b"/Image" not in head and _unpacked(raw, start, start + length) > LARGEST_STREAM:
                    raise DataError("E_LIMIT", f"{path.name} holds a stream that unpacks to more than {LARGEST_STREAM:,} bytes.")


def _unpacked(raw: mmap.mmap, start: int, end: int) -> int:
    """How many bytes a deflated stream unpacks to, counted to just above the limit."""
    unpack, total = zlib.decompressobj(), 0
    try:
        for at in range(start, end, 1 << 20):
            piece = raw[at : min(end, at + (1 << 20))]
            while piece and total <= LARGEST_STREAM:
                total += len(unpack.decompress(piece, 1 << 24))
                piece = unpack.unconsumed_tail
    except zlib.error:
        pass
    return total


# -- PDFium


def _by_pdfium(path: Path, notes: list[str]) -> tuple[list[Page], dict[str, str]]:
    try:
        opened = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise DataError("E_PERM", f"{path.name} is encrypted.", "Save it without its password, then add it again.") from error
        if "security" in str(error).lower():
            raise DataError("E_UNSUPPORTED", f"{path.name} is encrypted in a way that is not read.", "Save it without encryption.") from error
        raise _Unreadable(clean(str(error), 120)) from error
    try:
        many = len(opened)
        if many > MOST_PAGES:
            raise DataError("E_LIMIT", f"{path.name} has {many:,} pages; a document may have {MOST_PAGES:,}.", "Split it.")
        if many == 0:
            raise _Unreadable("it lists no pages")
        reader = Reader(opened.raw)
        pages = [reader.page(number) for number in range(many)]
        broken = [page.number for page in pages if page.broken]
        if len(broken) == many:
            raise _Unreadable("no page opens")
        if broken:
            notes.append(f"{_numbers(broken)} could not be read.")
        cut = [page.number for page in pages if page.cut]
        if cut:
            notes.append(f"{_numbers(cut)}: only the first {LARGEST_PAGE:,} characters of a page are kept.")
        return pages, {name: str(value) for name, value in opened.get_metadata_dict().items()}
    finally:
        opened.close()


# -- pypdf


def _by_pypdf(path: Path) -> tuple[list[Page], dict[str, str]]:
    """Pages as pypdf reads them: lines of text without places."""
    import logging

    import pypdf
    from pypdf.errors import PdfReadError, PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = pypdf.PdfReader(path, strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise DataError("E_PERM", f"{path.name} is encrypted.", "Save it without its password, then add it again.")
        many = len(reader.pages)
        if many > MOST_PAGES:
            raise DataError("E_LIMIT", f"{path.name} has {many:,} pages; a document may have {MOST_PAGES:,}.", "Split it.")
        pages = []
        for number in range(many):
            page = Page(number + 1)
            words = (reader.pages[number].extract_text() or "")[:LARGEST_PAGE]
            page.lines = [Line(line.strip(), 0.0, -12.0 * i, 400.0, 10.0 - 12.0 * i) for i, line in enumerate(words.split("\n")) if line.strip()]
            pages.append(page)
        meta = {str(name).lstrip("/"): str(value) for name, value in (reader.metadata or {}).items()}
    except (PyPdfError, PdfReadError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise DataError("E_FORMAT", f"{path.name} is no PDF that can be read ({type(error).__name__}: {clean(str(error), 120)}).") from error
    if not pages:
        raise DataError("E_FORMAT", f"{path.name} lists no pages.")
    return pages, meta


def _say_scans(path: Path, pages: list[Page], notes: list[str]) -> None:
    """Name the pages that are pictures of text; E_DATA when that is all there is."""
    scans = [page.number for page in pages if page.image > 0.2 and not page.lines and not page.hidden]
    texts = any(page.lines or page.hidden for page in pages)
    if not texts and scans:
        raise DataError("E_DATA", f"{path.name} is scanned: its {len(pages)} pages are pictures without text.", "Run text recognition (OCR) over it first.")  # noqa: E501
    if not texts:
        raise DataError("E_DATA", f"{path.name} holds no text on its {len(pages)} pages.")
    if scans:
        notes.append(f"{_numbers(scans)} {'are pictures' if len(scans) > 1 else 'is a picture'} without text (scanned) and cannot be searched.")
    recognised = [page.number for page in pages if page.recognised]
    if recognised:
        notes.append(f"{_numbers(recognised)}: the text was recognised from a scan (OCR) and may hold errors.")


def _numbers(pages: list[int]) -> str:
    """Page numbers as words, runs shortened: "pages 1-3, 7"."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and page == runs[-1][-1] + 1:
            runs[-1].append(page)
        else:
            runs.append([page])
    words = ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs[:20])
    return f"page{'s' if len(pages) > 1 else ''} {words}{' and others' if len(runs) > 20 else ''}"
