"""Documents from text with marks: Markdown, HTML, EPUB, LaTeX, and text without any. `moho.knowledge.readers` decides which.

Every reader is linear in the length of its file: patterns are bounded, and trees are walked, not descended by recursion.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from moho.errors import DataError
from moho.files import contents, decode, read_text
from moho.knowledge.bibliography import doi, joined, plain, year
from moho.knowledge.clean import cleaned
from moho.knowledge.outline import LARGEST, Outline, lists_references
from moho.knowledge.passages import Document

if TYPE_CHECKING:
    from lxml import etree

LARGEST_FILE = 64 * 2**20  # bytes of a text file, or of a file inside an EPUB
LARGEST_ARCHIVE = 256 * 2**20  # bytes of an EPUB, unpacked
MOST_MEMBERS = 10_000  # files in an EPUB

# -- plain text

_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,3})\.?\s{1,3}([A-Z][^.!?:;]{2,100})")
_GAPS = re.compile(r"(?:\t| {2,})[ \t]*")


def read_plain(path: Path) -> Document:
    """A text without marks: paragraphs between blank lines; headings underlined, numbered or in capitals."""
    text, notes = read_text(path, LARGEST_FILE)
    outline, title = Outline(), ""
    for lines in _paragraphs(text):
        if len(lines) > 1 and _underlines(lines[1]) and len(lines[0]) < 120:
            title = title or lines[0]
            outline.head(1 if "=" in lines[1] else 2, lines[0].strip())
            lines = lines[2:]
        elif len(lines) == 1 and (level := _stands_as_heading(lines[0])):
            outline.head(level, lines[0].strip())
            title = title or lines[0]
            continue
        if len(lines) > 2 and sum(len(_GAPS.split(line.strip())) > 1 for line in lines) > 0.8 * len(lines):
            outline.write("\n".join(" | ".join(_GAPS.split(line.strip())) for line in lines), "table")
        elif outline.kind == "references":
            outline.write(_entries(lines))
        elif lines:
            outline.write(unwrapped(lines))
    first = text.lstrip()[:200].split("\n")[0].strip()
    title = title or (first if len(first) < 120 and not first.endswith((".", ",", ";")) else "")
    return Document(tuple(outline.blocks), " ".join(cleaned(title).split()), doi=doi(text[:20_000]), notes=notes)


def unwrapped(lines: Sequence[str]) -> str:
    """Lines as one text; a word parted at a line's end is joined.

    >>> unwrapped(["the acoustic imped-", "ance of well-", "A and B"])
    'the acoustic impedance of well-A and B'
    """
    parts: list[str] = []
    for line in lines:
        line = line.strip()
        if parts and line[:1].isalpha() and len(parts[-1]) > 1 and parts[-1][-1] == "-" and parts[-1][-2].isalpha():
            if line[0].islower():
                parts[-1] = parts[-1][:-1]
        elif parts:
            parts.append(" ")
        parts.append(line)
    return "".join(parts)


def _paragraphs(text: str) -> Iterator[list[str]]:
    """Runs of lines that are not blank."""
    held: list[str] = []
    for line in text.replace("\f", "\n\n").split("\n"):
        if line.strip():
            held.append(line)
        elif held:
            yield held
            held = []
    if held:
        yield held


def _underlines(line: str) -> bool:
    line = line.strip()
    return len(line) > 2 and line[0] in "=-~" and line == line[0] * len(line)


def _stands_as_heading(line: str) -> int:
    """The level of a heading that a line alone is; 0 when it is none."""
    line = line.strip()
    if len(line) > 120 or sum(map(str.isalpha, line)) < 3:
        return 0
    if match := _NUMBERED.fullmatch(line):
        return match[1].count(".") + 1
    if lists_references(line) or line.lower().rstrip(".:") in ("abstract", "summary"):
        return 1
    return 1 if line.isupper() and len(line) < 80 else 0


def _entries(lines: Sequence[str]) -> str:
    """Lines of a reference list, one entry a line: an entry begins with its number, or where a line is not indented."""
    entries: list[list[str]] = []
    numbered = re.match(r"\s*(?:\[\w{1,8}\]|\d{1,3}\.)\s", lines[0]) is not None
    hanging = any(line[:1] in " \t" for line in lines[1:])
    for line in lines:
        begins = re.match(r"\s*(?:\[\w{1,8}\]|\d{1,3}\.)\s", line) is not None if numbered else line[:1] not in " \t" if hanging else not entries
        if begins or not entries:
            entries.append([])
        entries[-1].append(line)
    return "\n".join(unwrapped(entry) for entry in entries)


# -- Markdown

_LINK = re.compile(
    r"!?\[([^\[\]\n]{0,500})\]"
    r"(?:\([^()\s]{0,1000}(?:\([^()\s]{0,200}\)[^()\s]{0,300})?(?:[ \t]{1,5}[\"'][^\"'\n]{0,300}[\"'])?\)|\[[^\[\]\n]{0,100}\])"
)
_DEFINITION = re.compile(r" {0,3}\[([^\[\]\n]{1,100})\]:[ \t]{0,5}\S")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+|$)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM = re.compile(r"[ \t]{0,30}(?:[-*+]|\d{1,4}[.)])[ \t]")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,500}>")
_RAW = re.compile(
    r" {0,3}</?(?:address|article|aside|blockquote|center|details|div|dl|figure|footer|form|h[1-6]|header|main|nav|ol|p|pre|script|section|span|style"
    r"|table|ul)\b",
    re.I,
)


def read_markdown(path: Path) -> Document:
    """Markdown: front matter is metadata, a comment is invisible, raw HTML goes through the reader of HTML."""
    text, notes = read_text(path, LARGEST_FILE)
    meta, text = _front_matter(text)
    outline = Outline()
    for comment in _between(text, "<!--", "-->"):
        if any(map(str.isalpha, comment)):
            outline.write(comment, "invisible")
    text = _without(text, "<!--", "-->")
    lines = text.split("\n")
    title, at = meta.get("title", [""])[0], 0
    while at < len(lines):
        line = lines[at]
        if not line.strip() or _DEFINITION.match(line) or re.fullmatch(r" {0,3}[-*_](?:[ \t]?[-*_]){2,100}[ \t]{0,5}", line):
            at += 1
        elif fence := _FENCE.match(line):
            end = next((i for i in range(at + 1, len(lines)) if lines[i].strip().startswith(fence[1])), len(lines))
            outline.write("\n".join(lines[at + 1 : end]))
            at = end + 1
        elif heading := _ATX.match(line):
            title = _open(outline, title, len(heading[1]), _inline(line[heading.end() :].rstrip().rstrip("#")))
            at += 1
        elif at + 1 < len(lines) and "|" in line and re.fullmatch(r"[ \t|:-]{3,2000}", lines[at + 1]) and "-" in lines[at + 1]:
            end = next((i for i in range(at + 2, len(lines)) if "|" not in lines[i]), len(lines))
            rows = [line, *lines[at + 2 : end]]
            outline.write("\n".join(" | ".join(_inline(cell).strip() for cell in row.strip().strip("|").split("|")) for row in rows), "table")
            at = end
        else:
            end = at + 1
            while end < len(lines) and lines[end].strip() and not (_ATX.match(lines[end]) or _FENCE.match(lines[end]) or _underlines(lines[end])):
                end += 1
            if end < len(lines) and _underlines(lines[end]) and lines[end].strip()[0] != "~" and end == at + 1:
                title = _open(outline, title, 1 if "=" in lines[end] else 2, _inline(line))
                at = end + 1
                continue
            _paragraph(outline, lines[at:end])
            at = end
    head = text[:20_000]
    return Document(
        tuple(outline.blocks), _words(title), joined(_words(name) for name in meta.get("author", []) + meta.get("authors", [])),
        year(" ".join(meta.get("year", []) + meta.get("date", []))), doi(" ".join(meta.get("doi", [])) or head), notes=_noted(outline, notes),
    )  # fmt: skip


def _paragraph(outline: Outline, lines: list[str]) -> None:
    """A paragraph, a list, or raw HTML."""
    if _RAW.match(lines[0]):
        tree = _tree("\n".join(lines))
        if tree is not None:
            _walk(tree, outline, "")
        return
    held: list[str] = []
    for line in lines:
        line = line.lstrip(" \t>")
        if held and (_ITEM.match(line) or (outline.kind == "references" and line.startswith("["))):
            outline.write(_listed(outline, held))
            held = []
        held.append(line)
    outline.write(_listed(outline, held))


def _listed(outline: Outline, lines: list[str]) -> str:
    """An item or a paragraph; references lose the marks of their list."""
    words = unwrapped(lines)
    if outline.kind == "references" and (mark := _ITEM.match(words)):
        words = words[mark.end() :]
    return _inline(words)


def _open(outline: Outline, title: str, level: int, words: str) -> str:
    """Open a section; the first heading of the first level is the title where there is none, and no section."""
    if level == 1 and (not title or _folded(title) == _folded(words)) and not outline.headings:
        return title or words
    outline.head(level, words)
    return title


def _inline(text: str) -> str:
    """Words without the marks of links, emphasis, code and tags."""
    for _ in range(2):  # an image inside a link
        text = _LINK.sub(lambda match: match[1], text)
    text = _TAG.sub("", text).replace("**", "").replace("`", "")
    return re.sub(r"(?<![\w*])[*_]([^\s*_][^*_\n]{0,300})[*_](?![\w*])", r"\1", text)


def _front_matter(text: str) -> tuple[dict[str, list[str]], str]:
    """The fields between two lines of dashes at the top, and the text after them."""
    if not text.startswith("---\n"):
        return {}, text
    end = text.find("\n---", 3, 100_000)
    if end < 0:
        return {}, text
    meta: dict[str, list[str]] = {}
    name = ""
    for line in text[4:end].split("\n"):
        key, colon, value = line.partition(":")
        if colon and key.strip().isidentifier() and not line[:1].isspace():
            name = key.strip().lower()
            value = value.strip()
            parts = value[1:-1].split(",") if value.startswith("[") and value.endswith("]") else [value]
            meta[name] = [part.strip().strip("\"'") for part in parts if part.strip()]
        elif name and line.strip().startswith("- "):
            meta[name].append(line.strip()[2:].removeprefix("name:").strip().strip("\"'"))
    return {key: value for key, value in meta.items() if value}, text[end + 4 :].partition("\n")[2]


def _between(text: str, opening: str, closing: str) -> Iterator[str]:
    for part in text.split(opening)[1:]:
        yield part.partition(closing)[0]


def _without(text: str, opening: str, closing: str) -> str:
    first, *rest = text.split(opening)
    return first + "".join(part.partition(closing)[2] for part in rest)


# -- HTML

_DROPPED = {
    "script", "style", "nav", "noscript", "template", "svg", "iframe", "object", "embed", "button", "select", "option", "input", "textarea", "head",
    "audio", "video", "canvas", "footer",
}  # fmt: skip
_BLOCKS = {
    "p", "div", "section", "article", "main", "header", "aside", "ul", "ol", "li", "dl", "dt", "dd", "blockquote", "figure", "figcaption", "pre",
    "hr", "form", "fieldset", "address", "details", "summary", "center", "table", "tbody", "thead", "tfoot", "tr", "td", "th", "caption", "body", "html",  # noqa: E501
}  # fmt: skip
_HIDING = re.compile(
    r"display:none|visibility:hidden|opacity:0(?:\.0{1,5})?(?:;|$|!)|font-size:0(?:\.\d{1,5})?(?:px|pt|em|rem|%)?(?:;|$|!)"
    r"|(?:^|;)(?:left|top|text-indent):-\d{4,}"
)
_WHITE = re.compile(r"(?:^|;)color:(?:white|#fff(?:fff)?|rgba?\(255,255,255(?:,[\d.]{1,5})?\)|transparent)(?:;|$|!)")


def read_html(path: Path) -> Document:
    """A page of HTML: its text under its headings; what the page does not show is of kind "invisible"."""
    text, notes = _page(contents(path, LARGEST_FILE), path.name)
    tree = _tree(text)
    if tree is None:
        return Document((), notes=notes)
    meta = _meta(tree)
    title = _words(next(iter(meta.get("citation_title", []) + meta.get("dc.title", [])), "") or "".join(tree.xpath("string(//head/title)")))
    outline = Outline()
    heading = _walk(tree, outline, title)
    authors = meta.get("citation_author", []) or meta.get("dc.creator", []) or meta.get("author", [])
    if len(authors) == 1:
        authors = re.split(r"\s?;\s?|\s+and\s+", authors[0]) if ";" in authors[0] or " and " in authors[0] else authors
    dated = ("citation_publication_date", "citation_date", "citation_year", "dc.date", "article:published_time")
    dates = [value for name in dated for value in meta.get(name, [])]
    identifiers = " ".join(meta.get("citation_doi", []) + meta.get("dc.identifier", []) + meta.get("prism.doi", []))
    return Document(
        tuple(outline.blocks), title or heading, joined(_words(name) for name in authors), year(" ".join(dates)),
        doi(identifiers) or doi(" ".join(block.text for block in outline.blocks[:12])), notes=_noted(outline, notes),
    )  # fmt: skip


def _page(raw: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """The text of an HTML file: UTF-8, else in the encoding it declares, else as any text."""
    match = re.search(rb"(?:charset|encoding)\s{0,3}=\s{0,3}[\"']?([\w-]{2,30})", raw[:4096], re.I)
    if match and b"\0" not in raw[:65536]:
        try:
            return raw.decode(match[1].decode("ascii")), ()
        except (LookupError, UnicodeDecodeError):
            pass
    return decode(raw, name)


def _tree(text: str) -> etree._Element | None:
    """The tree of a page; entities and links of the file are not followed."""
    from lxml import etree

    parser = etree.HTMLParser(encoding="utf-8", no_network=True, recover=True, huge_tree=False, remove_comments=True, remove_pis=True)
    raw = text.encode("utf-8", "replace")
    return etree.fromstring(raw, parser) if raw.strip() else None


def _meta(tree: etree._Element) -> dict[str, list[str]]:
    meta: dict[str, list[str]] = {}
    for element in tree.iter("meta"):
        name, value = (element.get("name") or element.get("property") or "").lower(), (element.get("content") or "").strip()
        if name and value and len(value) < 2000:
            meta.setdefault(name, []).append(value)
    return meta


def _walk(tree: etree._Element, outline: Outline, title: str) -> str:
    """Write the tree's text; the first heading comes back. Walked without recursion, however deep the tree is."""
    from lxml import etree

    hidden = _hidden_classes(tree)
    held: list[str] = []
    first = ""
    level = 0  # of the heading being read
    item = False

    def flush() -> None:
        nonlocal item
        words = "".join(held)
        held.clear()
        if words.strip():
            outline.write(f"- {words.strip()}" if item and outline.kind == "text" else words)
            item = False

    walk = etree.iterwalk(tree, events=("start", "end"))
    for event, element in walk:
        tag = element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""
        heads = len(tag) == 2 and tag[0] == "h" and tag[1] in "123456"
        if event == "start":
            invisible = _is_hidden(element, hidden)
            if not tag or tag in _DROPPED or invisible:
                if invisible and tag not in _DROPPED:
                    words = "".join(element.itertext())
                    if any(map(str.isalnum, words)):
                        flush()
                        outline.write(words, "invisible")
                walk.skip_subtree()
                continue
            if tag == "math" or (tag == "table" and _is_data(element)):
                if tag == "math":
                    held.append(element.get("alttext") or "".join(element.itertext()))
                else:
                    flush()
                    outline.write("\n".join(_rows(element, hidden)), "table")
                walk.skip_subtree()
                continue
            if heads or tag in _BLOCKS:
                flush()
                item = tag == "li"
                level = int(tag[1]) if heads else level
            elif tag == "br":
                held.append("\n")
            if element.text:
                held.append(element.text)
        else:
            if heads and level:
                words = _words("".join(held))
                held.clear()
                level = 0
                if words and _folded(words) == _folded(title):
                    outline.head(0, "")
                elif words:
                    outline.head(int(tag[1]), words)
                first = first or words
            elif tag in _BLOCKS:
                flush()
            if element.tail and element is not tree:
                held.append(element.tail)
    flush()
    return first


def _is_hidden(element: etree._Element, hidden: set[str]) -> bool:
    if element.get("hidden") is not None or element.get("aria-hidden", "").lower() == "true":
        return True
    if hidden and (hidden & {f".{name}" for name in element.get("class", "").split()} or f"#{element.get('id')}" in hidden):
        return True
    style = element.get("style")
    return _hides(style) if style else element.get("color", "").lower() in ("white", "#ffffff", "#fff")


def _hides(style: str) -> bool:
    style = "".join(style[:5000].lower().split())
    return _HIDING.search(style) is not None or (_WHITE.search(style) is not None and "background" not in style)


def _hidden_classes(tree: etree._Element) -> set[str]:
    """Classes and ids that the page's own style sheets hide."""
    hidden: set[str] = set()
    for element in tree.iter("style"):
        for rule in (element.text or "").split("}"):
            names, _, body = rule.rpartition("{")
            if body and "@" not in names and _hides(body):
                hidden |= {name.strip() for name in names.split(",") if re.fullmatch(r"[.#][\w-]{1,80}", name.strip())}
    return hidden


def _is_data(table: etree._Element) -> bool:
    """Whether a table holds data, and does not only lay out the page."""
    rows = sum(1 for _ in table.iter("tr"))
    if rows < 2 or next(table.iterdescendants("table", "h1", "h2", "h3", "h4", "ul", "ol"), None) is not None:
        return False
    cells = [sum(len(text) for text in cell.itertext()) for cell in table.iter("td", "th")]
    return len(cells) > rows and max(cells) < 600


def _rows(table: etree._Element, hidden: set[str]) -> Iterator[str]:
    for row in table.iter("caption", "tr"):
        if row.tag == "caption":
            yield _words("".join(row.itertext()))
        else:
            yield " | ".join(_words("".join(cell.itertext())) for cell in row if cell.tag in ("td", "th") and not _is_hidden(cell, hidden))


# -- EPUB


def read_epub(path: Path) -> Document:
    """A book of XHTML pages in the order of its spine."""
    outline, notes, pages = Outline(), [], 0
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        size = sum(info.file_size for info in members.values())
        if len(members) > MOST_MEMBERS or size > LARGEST_ARCHIVE:
            limits = f"{MOST_MEMBERS:,} files and {LARGEST_ARCHIVE:,} bytes"
            raise DataError("E_LIMIT", f"{path.name} unpacks to {len(members):,} files of {size:,} bytes; a book may have {limits}.")
        container = _xml(_member(archive, members, "META-INF/container.xml", path))
        package = next((element.get("full-path", "") for element in container.iter("{*}rootfile")), "")
        opf = _xml(_member(archive, members, package, path))
        locked = _locked(archive, members, path)
        manifest = {item.get("id"): item for item in opf.iter("{*}item")}
        for reference in opf.iter("{*}itemref"):
            item = manifest.get(reference.get("idref"))
            if item is None or "nav" in (item.get("properties") or "").split():
                continue
            name = posixpath.normpath(posixpath.join(posixpath.dirname(package), unquote(item.get("href", "").partition("#")[0])))
            if name in locked:
                raise DataError("E_UNSUPPORTED", f"{path.name} is encrypted (digital rights management).", "Use a copy without encryption.")
            if name not in members:
                notes.append(f"{posixpath.basename(name)[:80]} is missing from the book.")
                continue
            tree = _tree(_page(_member(archive, members, name, path), name)[0])
            pages += 1
            if tree is not None:
                _walk(tree, outline, "")
    if not pages:
        raise DataError("E_FORMAT", f"{path.name} lists no page in its spine.")

    def meta(name: str) -> list[str]:
        return [_words(element.text or "") for element in opf.iter(f"{{http://purl.org/dc/elements/1.1/}}{name}")]

    return Document(
        tuple(outline.blocks), next(iter(meta("title")), ""), joined(meta("creator")), year(" ".join(meta("date"))),
        doi(" ".join(meta("identifier"))), notes=_noted(outline, tuple(notes[:20])),
    )  # fmt: skip


def _member(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str, path: Path) -> bytes:
    """The bytes of a file in the archive, no more than the archive says that it has."""
    info = members.get(name)
    if info is None:
        raise DataError("E_FORMAT", f"{path.name} has no {name[:80] or 'package file'}: it is no EPUB.")
    if info.flag_bits & 1:
        raise DataError("E_PERM", f"{path.name} is encrypted.", "Use a copy without a password.")
    try:
        with archive.open(info) as file:
            raw = file.read(min(info.file_size, LARGEST_FILE) + 1)
    except (zipfile.BadZipFile, EOFError) as error:
        raise DataError("E_TRUNCATED", f"{path.name}: {name[:80]} is damaged.") from error
    if len(raw) > LARGEST_FILE:
        raise DataError("E_LIMIT", f"{path.name}: {name[:80]} unpacks to more than {LARGEST_FILE:,} bytes.")
    return raw


def _xml(raw: bytes) -> etree._Element:
    """A tree of XML in which no entity is resolved and nothing is fetched."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False, recover=True)
    tree = etree.fromstring(raw, parser)
    if tree is None:
        raise DataError("E_FORMAT", "the book's package file is no XML.")
    return tree


def _locked(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], path: Path) -> set[str]:
    """The encrypted files of a book (fonts often are, which is of no concern)."""
    if "META-INF/encryption.xml" not in members:
        return set()
    tree = _xml(_member(archive, members, "META-INF/encryption.xml", path))
    return {unquote(element.get("URI", "")) for element in tree.iter("{*}CipherReference")}


# -- LaTeX

_LEVELS = {"part": 1, "chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4, "paragraph": 5}
_EQUATIONS = {"equation", "align", "eqnarray", "gather", "multline", "displaymath", "math", "alignat", "flalign"}
_LEFT_OUT = {"comment", "tikzpicture", "CCSXML", "filecontents", "pgfpicture", "picture"}
_VERBATIM = {"verbatim", "lstlisting", "minted", "alltt"}
_TABULARS = {"tabular", "tabularx", "longtable", "tabulary", "array"}
_TOKEN = re.compile(
    r"\\begin\s{0,2}\{([A-Za-z]{1,30})\*?\}|\\end\s{0,2}\{([A-Za-z]{1,30})\*?\}"
    r"|\\(part|chapter|section|subsection|subsubsection|paragraph)\*?\s{0,3}(?=[\[{])|\\(bibitem|item|caption|appendix|maketitle)\b\*?|\n[ \t]{0,200}\n"  # noqa: E501
)
_WITHOUT_WORDS = re.compile(
    r"\\(?:label|ref|eqref|pageref|vspace|hspace|includegraphics|input|include|bibliographystyle|bibliography|usepackage|setlength|addtolength|pagestyle"
    r"|thispagestyle|setcounter|addtocounter|hypersetup|graphicspath|vskip|hskip|rule|index|fontsize|color|thanks|orcid|email|affiliation|address)"
    r"\*?\s{0,2}(?:\[[^\[\]]{0,200}\])?(?:\{[^{}]{0,400}\})"
)
_CITE = re.compile(r"\\(?:[A-Za-z]{0,10}cite[A-Za-z]{0,12})\*?\s{0,2}(?:\[[^\[\]]{0,200}\]){0,2}\{([^{}]{1,500})\}")
_HREF = re.compile(r"\\href\s{0,2}\{[^{}]{0,500}\}")
_WHITE_TEXT = re.compile(r"\\(?:textcolor\s{0,2}(?:\[\w{0,9}\])?\{white\}\s{0,2}|color\{white\}|phantom\s{0,2}|hphantom\s{0,2}|vphantom\s{0,2})")
_MACRO = re.compile(r"\\(?:re)?newcommand\*?\s{0,2}\{?\\([A-Za-z]{1,30})\}?\s{0,2}\{|\\def\s{0,2}\\([A-Za-z]{1,30})\s{0,2}\{")
_MATH = re.compile(r"(?<!\\)(\$\$?)|(\\[()\[\]])")
_COMMENT = re.compile(r"(?<!\\)(?:\\\\)*%")
_INCLUDES = re.compile(r"\\(?:input|include|subfile)\s{0,2}\{([^{}]{1,200})\}")


def read_latex(path: Path) -> Document:
    """A LaTeX file: its body in words, mathematics between dollars, citations as [key]. Files that it includes are not read (said)."""
    text, notes = read_text(path, LARGEST_FILE)
    text = "\n".join(_uncommented(line) for line in text.split("\n"))
    preamble, begins, body = text.partition("\\begin{document}")
    if not begins:
        preamble, body = "", text
    body = body.partition("\\end{document}")[0]
    body = _expanded(body, _macros(preamble))
    outline = Outline()
    _write_latex(body, outline)
    included = [match[1] for match in _INCLUDES.finditer(body)]
    if included:
        notes += (f"Files that it includes are not read: {', '.join(cleaned(name)[:60] for name in included[:5])}.",)
    front = preamble + body[:20_000]
    names = re.split(r"\\and\b|\s+and\s+|,(?!\s{0,2}Jr)|\\\\", _WITHOUT_WORDS.sub("", _argument_of(front, "author")))[:60]
    people = [name for part in names if 2 < len(name := detex(part)) < 60 and sum(map(str.isalpha, name)) > 0.6 * len(name)]
    date = _argument_of(front, "date")
    title = _words(detex(_argument_of(front, "title")))
    return Document(tuple(outline.blocks), title, joined(people), year(date), doi(front), notes=_noted(outline, notes))


def detex(text: str) -> str:
    r"""LaTeX as words, mathematics left as it is between dollars.

    >>> detex(r"\emph{Misfit} of $\chi^2$, see~\citep[p.~3]{Tarantola2005}.")
    'Misfit of $\\chi^2$, see [Tarantola2005].'
    """
    parts: list[str] = []
    start, inside = 0, False
    for match in _MATH.finditer(text):
        opens = (match[0] in ("$", "$$") and not inside) or match[0] in ("\\(", "\\[")
        if opens and not inside:
            parts.append(_prose(text[start : match.start()]))
            start, inside = match.end(), True
        elif inside and not opens:
            parts.append(f" ${' '.join(text[start : match.start()].split())}$")
            start, inside = match.end(), False
    parts.append(_prose(text[start:]))
    return re.sub(r"(?<=[(\[]) (?=\$)", "", " ".join("".join(parts).split()))


def _prose(text: str) -> str:
    """Words of LaTeX without mathematics, the blanks at its ends kept as one."""
    text = _WITHOUT_WORDS.sub("", _HREF.sub("", _CITE.sub(lambda match: f"[{match[1]}]", text)))
    words = plain(text)
    return f"{' ' if text[:1].isspace() else ''}{words}{' ' if words and text[-1:].isspace() else ''}"


def _write_latex(body: str, outline: Outline) -> None:
    """Write the body token by token: environments, headings, items, blank lines."""
    held: list[str] = []

    def flush(kind: str = "") -> None:
        words = "".join(held)
        held.clear()
        if words.strip():
            _write_visible(words, outline, kind)

    at = 0
    while match := _TOKEN.search(body, at):
        held.append(body[at : match.start()])
        at = match.end()
        opened, closed, section, command = match.groups()
        if opened in _LEFT_OUT or opened in _VERBATIM or opened in _EQUATIONS or opened in _TABULARS:
            end = body.find(f"\\end{{{opened}", at)
            end = len(body) if end < 0 else end
            inner = body[at:end]
            at = body.find("}", end) + 1 or len(body)
            if opened in _EQUATIONS:
                equation = re.sub(r"\\label\{[^{}]{0,200}\}|\\nonumber", "", inner.lstrip("*}"))
                held.append(f" ${' '.join(equation.split())}$ ")
            elif opened in _VERBATIM:
                flush()
                outline.write(inner)
            elif opened in _TABULARS:
                flush()
                outline.write("\n".join(_tabular(inner)), "table")
        elif opened == "thebibliography":
            flush()
            outline.head(2, "References")
            at = _close_brace(body, at)
        elif opened:
            flush()
            if opened == "abstract":
                outline.head(2, "Abstract")
            at += len(options[0]) if (options := re.match(r"\s{0,2}\[[^\[\]]{0,200}\]", body[at : at + 300])) else 0
        elif closed:
            flush()
            if closed == "abstract":
                outline.head(2, "")
        elif section:
            flush()
            if body[at : at + 1] == "[":
                at = body.find("]", at, at + 500) + 1 or at
            end = _close_brace(body, at, 300)
            outline.head(_LEVELS[section], detex(body[at:end]))
            at = end
        elif command == "bibitem":
            flush("references")
            if body[at : at + 1] == "[":
                at = body.find("]", at, at + 1000) + 1 or at
            end = _close_brace(body, at)
            held.append(f"[{body[at + 1 : end - 1]}] ")
            at = end
        elif command == "item":
            flush()
            held.append("- ")
        elif command in ("caption", "appendix", "maketitle"):
            flush()
        else:
            if outline.kind != "references":
                flush()
            else:
                held.append(" ")
    held.append(body[at:])
    flush()


def _write_visible(text: str, outline: Outline, kind: str) -> None:
    """A paragraph without what is set in white, which is written as invisible."""
    shown, at = [], 0
    for match in _WHITE_TEXT.finditer(text):
        if match.start() < at:
            continue
        end = _close_brace(text, match.end(), 500) if text[match.end() : match.end() + 1] == "{" else len(text)
        outline.write(detex(text[match.end() : end]), "invisible")
        shown.append(text[at : match.start()])
        at = end
    shown.append(text[at:])
    words = detex(_argumentless("".join(shown)))
    if words.strip("- []*"):
        outline.write(words, kind)


def _argumentless(text: str) -> str:
    r"""A paragraph without \title, \author and \date, which are metadata."""
    for name in ("title", "author", "date"):
        at = text.find(f"\\{name}{{")
        if at >= 0:
            text = text[:at] + text[_close_brace(text, at + len(name) + 1) :]
    return text


def _tabular(inner: str) -> Iterator[str]:
    """Rows of a tabular, cells parted by bars."""
    if inner.lstrip("*}").startswith("{"):
        at = inner.find("{")
        inner = inner[_close_brace(inner, at) :]
    inner = re.sub(r"\\(?:hline|toprule|midrule|bottomrule|endhead|endfirsthead)\b", "", inner)
    inner = re.sub(r"\\c(?:mid)?(?:rule|line)\s{0,2}(?:\([^()]{0,20}\))?\{[^{}]{0,20}\}", "", inner)
    for row in inner.split("\\\\"):
        cells = [detex(cell) for cell in re.split(r"(?<!\\)&", row)]
        if any(cells):
            yield " | ".join(cells)


def _close_brace(text: str, at: int, longest: int = 20_000) -> int:
    """One past the brace that closes the one at `at`; `at` where there is none, or no close within `longest`."""
    if text[at : at + 1] != "{":
        return at
    depth = 0
    for match in re.compile(r"\\.|[{}]", re.S).finditer(text, at, at + longest):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.end()
    return at


def _argument_of(text: str, command: str) -> str:
    match = re.search(rf"\\{command}\s{{0,3}}(?:\[[^\[\]]{{0,300}}\]\s{{0,3}})?(?=\{{)", text)
    return text[match.end() + 1 : _close_brace(text, match.end()) - 1] if match else ""


def _macros(preamble: str) -> dict[str, str]:
    r"""Short commands without arguments that the preamble defines; one that uses another is not expanded further."""
    macros: dict[str, str] = {}
    for match in _MACRO.finditer(preamble):
        end = _close_brace(preamble, match.end() - 1, 200)
        value = preamble[match.end() : end - 1]
        if end > match.end() and len(value) <= 100 and "#" not in value and len(macros) < 500:
            macros[match[1] or match[2]] = value
    return macros


def _expanded(body: str, macros: dict[str, str]) -> str:
    if not macros:
        return body
    expanded = re.sub(r"\\([A-Za-z]{1,30})(?![A-Za-z])(?:\{\})?", lambda match: macros.get(match[1], match[0]), body)
    if len(expanded) > LARGEST:
        raise DataError("E_LIMIT", f"the document's own commands expand to more than {LARGEST:,} characters.")
    return expanded


def _uncommented(line: str) -> str:
    """A line up to its comment; a line that is all comment leaves no blank line behind."""
    match = _COMMENT.search(line)
    if not match:
        return line
    line = line[: match.end() - 1]
    return line if line.strip() else "\\relax "


# -- what several of them share


def _words(text: Any) -> str:
    return " ".join(cleaned(str(text)).split())


def _folded(text: str) -> str:
    from moho.knowledge.index import fold

    return fold(text)


def _noted(outline: Outline, notes: tuple[str, ...]) -> tuple[str, ...]:
    hidden = any(block.kind == "invisible" for block in outline.blocks)
    return (*notes, "It holds text that is not shown to a reader.") if hidden else notes

