"""Bibliographies: what BibTeX and RIS files say of documents, to be joined to them by DOI or by title.

`plain` and `named`, which turn LaTeX into words and a name into "Family, Given", serve the readers of documents too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from moho.errors import DataError
from moho.files import read_text
from moho.knowledge.clean import cleaned

SUFFIXES = {".bib", ".ris"}
LARGEST = 64 * 2**20  # bytes of a bibliography

# Patterns repeat a bounded number of times or a class that excludes what follows it, so that none can be made to hang.
_ENTRY = re.compile(r"(?:^|(?<=[\s})]))@(\w{1,30})\s{0,20}([{(])", re.M)
_FIELD = re.compile(r"[\s,]*([A-Za-z][\w:.+/-]{0,60})\s{0,50}=\s{0,50}")
_RIS = re.compile(r"^([A-Z][A-Z0-9]) {1,2}- ?(.*)$")
_DOI = re.compile(r"10\.\d{4,9}/[^\s\"<>{}]{1,200}")
_YEAR = re.compile(r"(?<!\d)(1[5-9]\d\d|20\d\d)(?!\d)")

_MARKS = {
    "`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", '"': "\u0308", "=": "\u0304", ".": "\u0307", "u": "\u0306", "v": "\u030c",
    "H": "\u030b", "c": "\u0327", "d": "\u0323", "b": "\u0331", "k": "\u0328", "r": "\u030a",
}  # fmt: skip
_LETTERS = {
    "ss": "ß", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å", "AA": "Å", "i": "i", "j": "j",
    "dh": "ð", "DH": "Ð", "th": "þ", "TH": "Þ", "dj": "đ", "DJ": "Đ",
}  # fmt: skip
_SYMBOL_ACCENT = re.compile(r"\\([`'^~\"=.])\s{0,2}\{?\s{0,2}\\?([A-Za-z])(?:\{\})?")
_LETTER_ACCENT = re.compile(r"\\([uvHcdbkr])(?:\s{1,2}|\s{0,2}\{\s{0,2})\\?([A-Za-z])")
_LETTER = re.compile(rf"\\({'|'.join(sorted(_LETTERS, key=len, reverse=True))})(?![A-Za-z])(?:\{{\}}|\s)?")
_COMMAND = re.compile(r"\\(?:[A-Za-z]{1,40}\*?\s?|[\\ ,;:!/-])")
_ESCAPED = re.compile(r"\\([&%$#_{}])")


def read(path: Path) -> dict[str, dict[str, object]]:
    """The entries of a BibTeX or RIS file, each under its DOI and under its folded title.

    An entry is {"title", "authors", "year", "doi", "journal"}; one that is broken, or has no title, is left out.
    """
    from moho.knowledge.index import fold

    text, _ = read_text(path, LARGEST)
    if re.search(r"^TY {1,2}-", text, re.M):
        records = _ris(text)
    elif _ENTRY.search(text):
        records = _bibtex(text)
    else:
        raise DataError("E_FORMAT", f"{path.name} holds no BibTeX or RIS entry.")
    found: dict[str, dict[str, object]] = {}
    for record in records:
        entry = _entry(record)
        for key in (str(entry["doi"]).casefold(), fold(str(entry["title"]))):
            if key and entry["title"]:
                found[key] = entry
    if not found:
        raise DataError("E_FORMAT", f"{path.name}: none of its entries is whole and has a title.", "Look for a brace or quotation mark left open.")
    return found


def plain(latex: str) -> str:
    r"""The words of a LaTeX text: accents composed, commands and braces gone, mathematics left between its dollars.

    >>> plain(r"{\"U}ber {M}oho \emph{depth} --- S{\o}rensen \& Mil\v{s}evi\'c")
    'Über Moho depth — Sørensen & Milšević'
    """
    if "\\" in latex:
        latex = latex.replace(r"\\", " ")
        latex = _LETTER.sub(lambda match: _LETTERS[match[1]], _SYMBOL_ACCENT.sub(_accented, _LETTER_ACCENT.sub(_accented, latex)))
        latex = _ESCAPED.sub(lambda match: {"{": "\ue001", "}": "\ue002"}.get(match[1], match[1]), latex)
        latex = _COMMAND.sub(" ", latex)
    latex = latex.replace("---", "—").replace("--", "–").replace("``", "“").replace("''", "”").replace("~", " ")
    latex = latex.replace("{", "").replace("}", "").replace("\ue001", "{").replace("\ue002", "}")
    return " ".join(latex.split())


def named(name: str) -> str:
    """A person's name as "Family, Given"; what has one word, or a comma, stays.

    >>> named("Jon F. Claerbout"), named("Ludwig van Beethoven"), named("Claerbout, J. F.")
    ('Claerbout, Jon F.', 'van Beethoven, Ludwig', 'Claerbout, J. F.')
    """
    name = " ".join(name.split()).strip(" ,;")
    words = name.split(" ")
    if "," in name or len(words) < 2:
        return name
    at = next((i for i, word in enumerate(words[:-1]) if i and word[:1].islower()), len(words) - 1)
    if at == len(words) - 1 and words[-1].rstrip(".").lower() in ("jr", "sr", "ii", "iii") and at > 1:
        return f"{words[-2]}, {' '.join(words[:-2])} {words[-1]}"
    return f"{' '.join(words[at:])}, {' '.join(words[:at])}"


def doi(text: str) -> str:
    """The first DOI in a text, in lower case; empty when there is none.

    >>> doi("see https://doi.org/10.1190/GEO2019-0101.1.")
    '10.1190/geo2019-0101.1'
    """
    match = _DOI.search(text)
    if not match:
        return ""
    found = match[0].rstrip(".,;:'”’*")
    while found.endswith((")", "]")) and found.count("(") + found.count("[") < found.count(")") + found.count("]"):
        found = found[:-1].rstrip(".,;:")
    return found.casefold()


def year(text: str) -> int | None:
    """The first year from 1500 to 2099 in a text."""
    match = _YEAR.search(text)
    return int(match[1]) if match else None


# -- inside


def _entry(record: dict[str, list[str]]) -> dict[str, object]:
    def first(*names: str) -> str:
        return next((value for name in names for value in record.get(name, ()) if value), "")

    return {
        "title": first("title"),
        "authors": [name for name in record.get("author", ()) if name] or [name for name in record.get("editor", ()) if name],
        "year": year(first("year", "date")),
        "doi": doi(first("doi")) or doi(first("url")) or doi(first("note")),
        "journal": first("journal", "journaltitle", "booktitle", "series", "publisher"),
    }


def _accented(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFC", match[2] + _MARKS[match[1]])


# BibTeX


def _bibtex(text: str) -> Iterator[dict[str, list[str]]]:
    strings = {name: str(i + 1) for i, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])}
    heads = list(_ENTRY.finditer(text))
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        body = text[head.end() : following.start() if following else len(text)]
        kind = head[1].lower()
        if kind in ("comment", "preamble"):
            continue
        try:
            fields = dict(_fields(body if kind == "string" else body.partition(",")[2], strings))
        except ValueError:
            continue
        if kind == "string":
            strings |= fields
            continue
        record = {name: [cleaned(plain(value))] for name, value in fields.items() if name not in ("author", "editor")}
        for name in ("author", "editor"):
            people = [cleaned(person) for person in _people(fields.get(name, ""))]
            if people:
                record[name] = people
        yield record


def _fields(body: str, strings: dict[str, str]) -> Iterator[tuple[str, str]]:
    """(name, value) of an entry after its key, to its closing brace; ValueError where it is broken."""
    at = 0
    while match := _FIELD.match(body, at):
        at = match.end()
        parts: list[str] = []
        while True:
            if body[at : at + 1] in ("{", '"'):
                end = _close(body, at)
                parts.append(body[at + 1 : end])
                at = end + 1
            else:
                end = at
                while end < len(body) and body[end] not in ' \t\n,#})"{':
                    end += 1
                if end == at:
                    raise ValueError("a field without a value")
                word = body[at:end]
                parts.append(word if word.isdigit() else strings.get(word.lower(), word))
                at = end
            while body[at : at + 1].isspace():
                at += 1
            if body[at : at + 1] != "#":
                break
            at += 1
            while body[at : at + 1].isspace():
                at += 1
        yield match[1].lower(), "".join(parts)
    if body[at:].strip(" \t\n,")[:1] not in ("}", ")"):
        raise ValueError("an entry that does not close")


def _close(body: str, at: int) -> int:
    """Where the value that opens at `at` closes."""
    quoted, depth = body[at] == '"', 0
    for match in re.finditer(r'\\.|[{}"]', body[at + 1 :], re.S):
        mark = match[0]
        if mark == "{":
            depth += 1
        elif mark == "}":
            if depth == 0:
                if quoted:
                    break
                return at + 1 + match.start()
            depth -= 1
        elif mark == '"' and quoted and depth == 0:
            return at + 1 + match.start()
    raise ValueError("a value that does not close")


def _people(value: str) -> Iterator[str]:
    """Names of a BibTeX list, which "and" parts outside braces."""
    depth, start, parts = 0, 0, []
    for match in re.finditer(r"[{}]|\band\b", value):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
        elif depth == 0:
            parts.append(value[start : match.start()])
            start = match.end()
    for part in [*parts, value[start:]]:
        person = part.strip()
        if person.startswith("{") and person.endswith("}") and "{" not in person[1:]:
            name = plain(person)  # an institution: its braces say that it is one word
        else:
            name = _ordered(plain(person))
        if name and name.lower() != "others":
            yield name


def _ordered(name: str) -> str:
    """"Family, Jr, Given" as "Family, Given Jr"; other names as `named` has them."""
    parts = [part.strip() for part in name.split(",")]
    return f"{parts[0]}, {parts[2]} {parts[1]}" if len(parts) == 3 else named(name)


# RIS

_TAGS = {
    "TI": "title", "T1": "title", "AU": "author", "A1": "author", "PY": "year", "Y1": "year", "DA": "date", "DO": "doi", "UR": "url", "L3": "doi",
    "JO": "journal", "JF": "journal", "T2": "journal", "JA": "journal", "BT": "booktitle", "PB": "publisher", "N1": "note", "A2": "editor",
}  # fmt: skip


def _ris(text: str) -> Iterator[dict[str, list[str]]]:
    record: dict[str, list[str]] = {}
    last = ""
    for line in text.split("\n"):
        match = _RIS.match(line[:20_000].rstrip())
        if not match:
            if last and line.strip() and len(record[last][-1]) < 20_000:  # a value goes on
                record[last][-1] += " " + cleaned(line.strip()[:20_000])
            continue
        tag, value = match[1], cleaned(match[2].strip())
        if tag in ("TY", "ER"):
            if record:
                yield record
            record, last = {}, ""
            continue
        last = _TAGS.get(tag, "")
        if last:
            record.setdefault(last, []).append(_ordered(value) if last in ("author", "editor") else value)
    if record:
        yield record


def joined(names: Iterable[str]) -> tuple[str, ...]:
    """Names as `named` has them, without doubles, in order."""
    return tuple(dict.fromkeys(person for name in names if (person := named(name))))
