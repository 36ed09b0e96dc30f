"""A document of the library from a file: PDF, HTML, EPUB, LaTeX, Markdown or plain text, told by its content before its name.

Called in a child process by `moho.knowledge.ingest`; the formats themselves are read in `moho.knowledge.pdf` and `moho.knowledge.markup`.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from moho.errors import DataError
from moho.files import BOMS, coded, text_head
from moho.knowledge.passages import Document

HEAD = 65536  # bytes that tell a format
FORMATS = {
    ".pdf": "pdf", ".html": "html", ".htm": "html", ".xhtml": "html", ".md": "markdown", ".markdown": "markdown", ".txt": "text", ".text": "text",
    ".tex": "latex", ".ltx": "latex", ".epub": "epub",
}  # fmt: skip
NAMES = {"pdf": "PDF", "html": "HTML", "markdown": "Markdown", "text": "plain text", "latex": "LaTeX", "epub": "EPUB"}

_READERS = {
    "pdf": ("pdf", "read_pdf"), "html": ("markup", "read_html"), "markdown": ("markup", "read_markdown"), "text": ("markup", "read_plain"),
    "latex": ("markup", "read_latex"), "epub": ("markup", "read_epub"),
}  # fmt: skip
_FOREIGN = {
    b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"GIF8": "a GIF image", b"II*\0": "a TIFF image", b"MM\0*": "a TIFF image",
    b"\x1f\x8b": "a gzip archive", b"7z\xbc\xaf": "a 7z archive", b"Rar!": "a RAR archive", b"BZh": "a bzip2 archive", b"\x7fELF": "a program",
    b"\x89HDF": "an HDF5 file", b"CDF\x01": "a netCDF file", b"CDF\x02": "a netCDF file", b"\xd0\xcf\x11\xe0": "an old Office document",
    b"%!PS": "a PostScript file", b"{\\rtf": "an RTF document", b"SQLite format 3": "an SQLite database", b"AT&TFORM": "a DjVu document",
}  # fmt: skip
_HTML = re.compile(r"<(?:!doctype\s{1,9}html|html[\s>]|head[\s>]|body[\s>])", re.I)
_LATEX = re.compile(r"^[^%\n]{0,200}\\(?:documentclass\b|documentstyle\b|begin\s{0,3}\{document\})", re.M)


def read(path: Path) -> Document:
    """The document in `path`. A file whose content is another format than its name says is read as what it is, and the notes say so."""
    with coded("the file", path):
        if not path.is_file():
            raise DataError("E_FORMAT" if path.exists() else "E_NOT_FOUND", f"{path.name} is {'no regular file' if path.exists() else 'not there'}.")
        with path.open("rb") as file:
            head = file.read(HEAD)
    found = _format(head, path)
    module, name = _READERS[found]
    reader: Callable[[Path], Document] = getattr(import_module(f"moho.knowledge.{module}"), name)
    with coded(f"{NAMES[found]} text", path):
        document = reader(path)
    if not document.blocks:
        raise DataError("E_DATA", f"{path.name} holds no text.", " ".join(document.notes))
    named = FORMATS.get(path.suffix.lower())
    if named and named != found:
        document = replace(document, notes=(f"The file is named {path.suffix} but holds {NAMES[found]}; it was read as that.", *document.notes))
    return replace(document, format=found)


def prepare(path: Path) -> None:
    """Import what reads files of this name, so that a child forked for each of them need not."""
    if named := FORMATS.get(path.suffix.lower()):
        import_module(f"moho.knowledge.{_READERS[named][0]}")


def _format(head: bytes, path: Path) -> str:
    """The format of a file by its first bytes, else by its name. E_FORMAT for what is no document."""
    named = FORMATS.get(path.suffix.lower())
    if not head:
        raise DataError("E_FORMAT", f"{path.name} is empty.")
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(b"PK\x03\x04"):
        return _zipped(path)
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise DataError("E_FORMAT", f"{path.name} is {what}, not a document that Moho reads.")
    marked = next((encoding for mark, encoding in BOMS.items() if head.startswith(mark)), "")
    if b"\0" in head and not marked.startswith("utf-16"):
        raise DataError("E_FORMAT", f"{path.name} holds binary data, not a document.")
    text = text_head(head)
    if not text:
        raise DataError("E_FORMAT", f"{path.name} holds binary data, not a document.")
    if named == "markdown":
        return named  # Markdown may hold HTML and quote LaTeX
    opening = text.lstrip()[:2048]
    if _LATEX.search(text) and not opening.lower().startswith(("<!doctype", "<html")):
        return "latex"
    if _HTML.search(opening) or (opening.startswith("<?xml") and _HTML.search(text)):
        return "html"
    if named in ("latex", "text", "html"):
        return named
    if named:  # a PDF or an EPUB by name only
        return "text"
    raise DataError("E_UNSUPPORTED", f"{path.name}: documents may be {', '.join(FORMATS)}.")


def _zipped(path: Path) -> str:
    with coded("the archive", path), zipfile.ZipFile(path) as archive:
        names = set(archive.namelist()[:10_000])
        if "META-INF/container.xml" in names:
            return "epub"
        kinds = {"word/document.xml": "a Word document", "xl/workbook.xml": "an Excel workbook", "ppt/presentation.xml": "a PowerPoint file"}
        what = next((words for name, words in kinds.items() if name in names), "a zip archive")
    raise DataError("E_FORMAT", f"{path.name} is {what}, not a document that Moho reads.", "Export it as PDF.")
