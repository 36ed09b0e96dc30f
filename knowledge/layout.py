"""From the lines of printed pages to a document: reading order, running heads, paragraphs, headings, tables, references, title.

Works on places and words only; where they come from is of no concern here (`moho.knowledge.pdf`).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from moho.knowledge.bibliography import doi, joined
from moho.knowledge.clean import cleaned
from moho.knowledge.outline import Outline, lists_references
from moho.knowledge.passages import Document

LARGER = 1.15  # times the height of the body's type: a heading's
GUTTER = 0.12  # share of the lines that may cross the gap between two columns
LONGEST = 100  # lines of a paragraph
REPEATED = 3  # pages on which a line stands at the same height, to be a running head


@dataclass(slots=True)
class Line:
    """A line of text and its box, pt from the lower left corner of the page."""

    text: str
    left: float
    bottom: float
    right: float
    top: float
    hyphen: bool = False  # a word goes on in the next line
    first: int = 0  # characters of the page
    last: int = 0
    bold: bool = False
    row: int = 0  # not 0: part of a line whose parts stand apart, the same for all of them

    @property
    def size(self) -> float:
        return self.top - self.bottom


@dataclass(slots=True)
class Page:
    """A page as it was read."""

    number: int  # from 1
    box: tuple[float, float, float, float] = (0.0, 0.0, 612.0, 792.0)  # left, bottom, right, top
    lines: list[Line] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)  # what a reader of the page does not see
    image: float = 0.0  # share of the page that an image covers, where it was looked for
    recognised: bool = False
    down: int = 0  # lines that run down the page, less those that run up
    over: int = 0  # lines that stand on their head
    broken: bool = False
    cut: bool = False


def document(pages: list[Page], meta: Mapping[str, str]) -> Document:
    """The document of these pages; `meta` is what the file says of itself (Title, Author, Subject, Keywords, CreationDate)."""
    for page in pages:
        _turn_upright(page)
    opening = list(pages[0].lines) if pages else []
    title, people = _front(opening, meta)
    _drop_running(pages)
    compounds = _compounds(pages)
    outline = Outline()
    writer = _Writer(outline, _body_size(pages), compounds, title)
    for page in pages:
        for column in ordered(page.lines):
            writer.column(column, page.number)
        writer.hidden(page)
        page.lines = []
    writer.flush()
    words = "\n".join(line.text for line in opening)
    identifier = doi(" ".join(meta.get(name, "") for name in ("doi", "DOI", "Subject", "Keywords", "Title"))) or doi(words)
    return Document(tuple(outline.blocks), title, people, _year(words, meta), identifier, "pdf")


# -- reading order


def ordered(lines: list[Line], depth: int = 0) -> Iterator[list[Line]]:
    """The lines of a page in the order they are read, by column; lines across columns stand between what is above and below them."""
    gutter = _gutter(lines) if depth < 3 else None
    if gutter is None:
        if lines:
            yield sorted(lines, key=lambda line: (-round(line.bottom), line.left))
        return
    across: list[Line] = []
    sides: tuple[list[Line], list[Line]] = ([], [])
    for line in sorted(lines, key=lambda line: -line.bottom):
        if line.left < gutter - 5 and line.right > gutter + 5:
            if sides[0] or sides[1]:
                yield from _sides(sides, depth)
                sides = ([], [])
            across.append(line)
        else:
            if across:
                yield sorted(across, key=lambda line: (-round(line.bottom), line.left))
                across = []
            sides[(line.left + line.right) / 2 > gutter].append(line)
    if across:
        yield across
    yield from _sides(sides, depth)


def _sides(sides: tuple[list[Line], list[Line]], depth: int) -> Iterator[list[Line]]:
    for side in sides:
        yield from ordered(side, depth + 1)


def _gutter(lines: list[Line]) -> float | None:
    """Where the gap between two columns of prose lies; None where there is one column."""
    many = len(lines)
    if many < 12:
        return None
    lefts, rights = sorted([line.left for line in lines]), sorted([line.right for line in lines])
    low, high = lefts[many // 50], rights[-1 - many // 50]
    wide = 0.62 * (high - low)
    if sum([line.right - line.left > wide for line in lines]) > 0.6 * many:
        return None
    left = np.array([line.left for line in lines])
    right = np.array([line.right for line in lines])
    at = np.arange(low + 0.22 * (high - low), high - 0.22 * (high - low), 3.0)  # (place,)
    if not at.size:
        return None
    crossing = ((left[:, None] < at - 1) & (right[:, None] > at + 1)).sum(axis=0)
    best = np.flatnonzero(crossing == crossing.min())
    run = max(np.split(best, np.flatnonzero(np.diff(best) > 1) + 1), key=len)
    gutter = float(at[run[len(run) // 2]])
    before, after = right <= gutter + 5, left >= gutter - 5
    fewer = min(int(before.sum()), int(after.sum()))
    crossed = many - int(before.sum()) - int(after.sum())
    if fewer < max(4, 0.08 * many) or crossed > max(GUTTER * many, 0.5 * fewer):
        return None
    for side in (before, after):
        beside = [line for line, inside in zip(lines, side.tolist(), strict=True) if inside]
        prose = _middle([len(line.text) for line in beside]) >= 18 and _middle([line.right - line.left for line in beside]) > 0.22 * (high - low)
        if not prose:
            return None
    return gutter


def _middle(values: list[float] | list[int]) -> float:
    """The upper median: a value that is there."""
    return sorted(values)[len(values) // 2]


def _turn_upright(page: Page) -> None:
    """Turn the lines of a page whose text runs up or down it, so that they run from left to right."""
    if page.over * 2 > len(page.lines):
        for line in page.lines:
            line.left, line.bottom, line.right, line.top = -line.right, -line.top, -line.left, -line.bottom
        left, bottom, right, top = page.box
        page.box = (-right, -top, -left, -bottom)
        return
    standing = [line for line in page.lines if len(line.text) > 5 and line.top - line.bottom > 2 * (line.right - line.left)]
    if len(standing) * 2 <= sum(len(line.text) > 5 for line in page.lines):
        page.lines = [line for line in page.lines if line not in standing] + standing if standing else page.lines
        return
    left, bottom, right, top = page.box
    page.box = (-top, left, -bottom, right) if page.down > 0 else (bottom, -right, top, -left)
    for line in page.lines:
        if page.down > 0:
            line.left, line.bottom, line.right, line.top = -line.top, line.left, -line.bottom, line.right
        else:
            line.left, line.bottom, line.right, line.top = line.bottom, -line.right, line.top, -line.left


# -- what repeats


def _drop_running(pages: list[Page]) -> None:
    """Drop the lines at the edges of pages that stand at the same height on several of them, whatever number they hold."""
    edges: dict[str, list[tuple[float, Page, Line]]] = defaultdict(list)
    for page in pages:
        lines = sorted(page.lines, key=lambda line: line.bottom)
        heights = [line.bottom for line in lines]
        below, above = (heights[min(1, len(lines) - 1)] + 3, heights[max(-2, -len(lines))] - 3) if lines else (0.0, 0.0)
        few = [line for line in lines if line.bottom < below or line.bottom > above]
        for line in {id(line): line for line in few[:4] + few[-4:]}.values():
            if key := _folded(line.text):
                edges[key].append((line.bottom, page, line))
    dropped: set[int] = set()
    enough = min(REPEATED, max(2, len(pages)))
    for found in edges.values():
        height = _middle([bottom for bottom, *_ in found])
        same = [(page, line) for bottom, page, line in found if abs(bottom - height) < 6]
        if len({page.number for page, _ in same}) >= enough:
            dropped |= {id(line) for _, line in same}
    for page in pages:
        low, high = page.box[1] + 0.09 * (page.box[3] - page.box[1]), page.box[3] - 0.07 * (page.box[3] - page.box[1])
        page.lines = [line for line in page.lines if id(line) not in dropped and (low < line.bottom < high or _folded(line.text) != "#")]


def _folded(text: str) -> str:
    """A running head without what changes from page to page; empty for what may be a row of numbers."""
    if len(text) > 150:
        return ""
    folded = re.sub(r"\d+", "#", text).casefold().strip(" -–—|.[]")
    if re.fullmatch(r"[ivxlc]{1,7}", folded):
        return "#"
    return folded if folded == "#" or any(map(str.isalpha, folded)) else ""


# -- paragraphs

_NUMBER = re.compile(r"((?:\d{1,2}|[A-H])(?:\.\d{1,2}){0,3})[.)]?\s{1,4}(?=[A-Z])")
_ROMAN = re.compile(r"([IVX]{1,5})[.)]?\s{1,4}(?=[A-Z])")
_KNOWN = re.compile(
    r"(?:abstract|summary|key ?words|introduction|background|theory|method(?:s|ology)?|data(?: and methods)?|materials and methods|results?(?: and discussion)?"  # noqa: E501
    r"|discussion|conclusions?|acknowled?ge?ments?|appendix(?: [A-H0-9])?|data availability|supplementary materials?|nomenclature)[.:]?",
    re.I,
)
_RUN_IN = re.compile(r"(abstract|summary)\s{0,2}[.:—–-]{1,2}\s{0,3}(?=\S)", re.I)
_ENTRY = re.compile(r"\[\w{1,8}\]\s|\d{1,3}[.)]\s")
_CAPTION = re.compile(r"(?:fig(?:ure|\.)|table|plate)\s{1,2}[A-Z]?\d", re.I)


class _Writer:
    """Gathers lines into paragraphs, across columns and pages where a sentence goes on, and writes them under their headings."""

    def __init__(self, outline: Outline, size: float, compounds: set[str], title: str) -> None:
        self.outline, self.size, self.compounds = outline, size, compounds
        self.title = "".join(filter(str.isalnum, title.casefold()))
        self.lines: list[Line] = []
        self.page: int | None = None
        self.numbers: tuple[int, ...] = ()

    def column(self, lines: list[Line], page: int) -> None:
        """The lines of a column from top to bottom."""
        rows = _rows(lines)
        if not rows:
            return
        texts = [row[0] for row in rows if len(row) == 1]
        left = sorted([line.left for line in texts])[len(texts) // 10] if texts else rows[0][0].left
        right = sorted([line.right for line in texts])[-1 - len(texts) // 10] if texts else rows[0][-1].right
        pitches = [above[0].bottom - below[0].bottom for above, below in pairwise(rows)]
        tight = [pitch for pitch in pitches if 0 < pitch < 4 * self.size]
        pitch = _middle(tight) if tight else 1.2 * self.size
        tables = _tables(rows)
        above: Line | None = None  # in this column
        at = 0
        while at < len(rows):
            if at in tables:
                end = tables[at]
                self.flush()
                self.outline.write("\n".join(" | ".join(line.text for line in row) for row in rows[at:end]), "table", page)
                above, at = rows[end - 1][0], end
                continue
            line = _whole(rows[at])
            gap = above.bottom - line.bottom if above else 2 * pitch
            if self._heading(line, gap > 1.25 * pitch or above is None, left, right):
                at = self._open(rows, at, page)
            else:
                if len(self.lines) >= LONGEST or (self.lines and self._begins(line, above, gap, pitch, left, right)):
                    self.flush()
                if not self.lines:
                    self.page = page
                    match = _RUN_IN.match(line.text)
                    if match:
                        self.outline.head(1, match[1].capitalize())
                        line = Line(line.text[match.end() :], line.left, line.bottom, line.right, line.top, line.hyphen)
                self.lines.append(line)
                at += 1
            above = line if at and above is not line else above
            above = rows[at - 1][0]

    def hidden(self, page: Page) -> None:
        """What the page hides, apart from what it shows."""
        if page.hidden:
            self.outline.write("\n".join(page.hidden), "invisible", page.number)

    def flush(self) -> None:
        """Write the paragraph held."""
        if self.lines:
            self.outline.write(self._joined(self.lines), "", self.page)
            self.lines = []

    def _joined(self, lines: list[Line]) -> str:
        """The text of lines; a word parted at a line's end is joined, a compound of the document keeps its hyphen."""
        parts: list[str] = []
        for line, after in zip(lines, [*lines[1:], None], strict=True):
            parts.append(line.text)
            if after is None:
                break
            hyphen = line.hyphen or (line.text.endswith("-") and line.text[-2:-1].isalpha() and after.text[:1].isalpha())
            if not hyphen:
                parts.append(" ")
                continue
            before = line.text if line.hyphen and not line.text.endswith("-") else line.text[:-1]
            parts[-1] = before
            if not after.text[:1].islower() or f"{_last_word(before)}-{_first_word(after.text)}" in self.compounds:
                parts.append("-")
        return "".join(parts)

    def _begins(self, line: Line, above: Line | None, gap: float, pitch: float, left: float, right: float) -> bool:
        """Whether a line begins a new paragraph."""
        last = self.lines[-1]
        if self.outline.kind == "references":
            if _ENTRY.match(self.lines[0].text):
                return _ENTRY.match(line.text) is not None
            if above is None:
                return last.text.endswith(".") and not line.left > left + 0.5 * line.size
            return line.left < left + 0.4 * line.size and (last.text.endswith((".", ")")) or gap > 1.3 * pitch)
        if above is None:  # a new column or page: the sentence goes on unless it has ended
            goes_on = line.text[:1].islower() or last.hyphen or last.text.endswith(("-", ",")) or abs(line.size - last.size) < 0.05 * line.size
            return last.text.endswith((".", "!", "?", ":")) or not goes_on
        if last.hyphen:
            return False
        if gap > 1.35 * pitch or gap < -pitch or (abs(line.size - last.size) > 0.2 * max(line.size, last.size) and gap > 0.8 * pitch):
            return True
        if _CAPTION.match(line.text) and last.text.endswith("."):
            return True
        indented = line.left > left + 0.7 * line.size
        ended = last.text.endswith((".", "!", "?", ":", "”"))
        return (indented and last.left <= left + 0.7 * line.size and ended) or (ended and last.right < right - 0.25 * (right - left))

    # headings

    def _heading(self, line: Line, apart: bool, left: float, right: float) -> int:
        """The level of the heading that a line is; 0 where it is none."""
        text = line.text
        if not (apart or line.bold or line.size > LARGER * self.size or text[0].isupper() or text[0].isdigit()):
            return 0
        if len(text) > 120 or len(text) < 3 or line.hyphen or _CAPTION.match(text) or not text[0].isalnum() or (self.lines and self.lines[-1].hyphen):
            return 0
        letters = sum(map(str.isalpha, text))
        if letters < 3 or letters < 0.5 * len(text):
            return 0
        larger = line.size > LARGER * self.size
        references = self.outline.kind == "references"
        if lists_references(text) or _KNOWN.fullmatch(text):
            return 1 if text[0].isupper() and (apart or larger or line.bold or text.isupper()) else 0
        if text[-1] in ".,;:" and not larger:
            return 0
        if match := _NUMBER.match(text):
            marked = line.bold or larger or text[match.end() :].isupper() or (apart and line.right < right - 0.1 * (right - left))
            numbers = tuple(int(part) if part.isdigit() else ord(part) for part in match[1].split("."))
            if marked and not references and self._follows(numbers):
                self.numbers = numbers
                return len(numbers)
        if (match := _ROMAN.match(text)) and (line.bold or larger or text[match.end() :].isupper()) and not references:
            return 1
        if larger and apart:
            return 1
        short = line.right - line.left < 0.8 * (right - left)
        if text.isupper() and letters >= 4 and apart and short:
            return 1
        if line.bold and apart and short and not references and " " in text:
            return 2 if self.outline.headings else 1
        return 0

    def _follows(self, numbers: tuple[int, ...]) -> bool:
        """Whether a heading's number may come after the last one's: 2.1 after 2, 2.2 after 2.1, 3 after 2.2."""
        last = self.numbers
        if len(numbers) == 1 and (numbers[0] <= 1 or not last or numbers[0] in (last[0] + 1, last[0] + 2) or numbers[0] == ord("A")):
            return not last or numbers != last
        depth = len(numbers)
        return bool(last) and (numbers[: depth - 1] == last[: depth - 1] and numbers > last[:depth] and numbers[-1] < 40)

    def _open(self, rows: list[list[Line]], at: int, page: int) -> int:
        """Open the section of the heading at `at`, which may go on in lines of the same look; where the text goes on."""
        line = _whole(rows[at])
        words, end = [line], at + 1
        while end < len(rows) and len(words) < 4 and not lists_references(line.text) and not _KNOWN.fullmatch(line.text):
            below = _whole(rows[end])
            close = 0 < words[-1].bottom - below.bottom < 1.6 * line.size
            alike = abs(below.size - line.size) < 0.05 * line.size and (line.size > LARGER * self.size or (line.bold and below.bold))
            if not (close and alike) or _NUMBER.match(below.text) or below.text.endswith("."):
                break
            words.append(below)
            end += 1
        self.flush()
        text = self._joined(words)
        if "".join(filter(str.isalnum, text.casefold())) == self.title and not self.outline.headings:
            self.outline.write(text, "", page)
        else:
            level = self._level(words[0])
            self.outline.head(level, text)
        return end

    def _level(self, line: Line) -> int:
        if match := _NUMBER.match(line.text):
            return match[1].count(".") + 1
        if line.bold and line.size <= LARGER * self.size and not line.text.isupper() and not _KNOWN.fullmatch(line.text) and not lists_references(line.text):  # noqa: E501
            return 2 if any(level == 1 for level, _ in self.outline.headings) else 1
        return 1


def _rows(lines: Iterable[Line]) -> list[list[Line]]:
    """Lines by row: parts that stand apart in one line are together."""
    rows: list[list[Line]] = []
    for line in lines:
        if line.row and rows and rows[-1][-1].row == line.row:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: line.left) for row in rows]


def _tables(rows: list[list[Line]]) -> dict[int, int]:
    """Where tables begin and end: three rows or more in cells, which may hold a row of one cell between them."""
    tables: dict[int, int] = {}
    at = 0
    while at < len(rows):
        end = at
        while end < len(rows) and (len(rows[end]) > 1 or (end > at and end + 1 < len(rows) and len(rows[end + 1]) > 1 and len(rows[end][0].text) < 40)):  # noqa: E501
            end += 1
        if sum(len(row) > 1 for row in rows[at:end]) >= 3:
            begin = at - 1 if at and _heads_table(rows[at - 1], rows[at]) else at
            tables[begin] = end
        at = max(end, at + 1)
    return tables


def _heads_table(above: list[Line], row: list[Line]) -> bool:
    """Whether a line is the head of the table below it: as close as its rows, no wider, and no sentence."""
    line = _whole(above)
    close = 0 < line.bottom - row[0].bottom < 2.2 * row[0].size
    return close and line.left > row[0].left - 60 and line.right < row[-1].right + 60 and len(line.text) < 100 and not line.text.endswith((".", ":", ";", ","))  # noqa: E501


def _whole(row: list[Line]) -> Line:
    """A row as one line."""
    if len(row) == 1:
        return row[0]
    first, last = row[0], row[-1]
    return Line(" ".join(line.text for line in row), first.left, first.bottom, last.right, first.top, last.hyphen, bold=first.bold)


def _body_size(pages: list[Page]) -> float:
    """The height of most of the type, pt."""
    sizes: Counter[float] = Counter()
    for page in pages[:: max(1, len(pages) // 50)]:
        for line in page.lines:
            sizes[round(line.size, 1)] += len(line.text)
    return max(sizes.most_common(1)[0][0], 1.0) if sizes else 10.0


def _compounds(pages: list[Page]) -> set[str]:
    """Words with a hyphen inside a line: a line's end may part them, and they keep it."""
    compounds: set[str] = set()
    for page in pages:
        for line in page.lines:
            if "-" in line.text and len(compounds) < 100_000:
                pieces = line.text.split("-")
                pairs = ((_last_word(left), _first_word(right)) for left, right in pairwise(pieces))
                compounds |= {f"{a}-{b}" for a, b in pairs if a and b}
    return compounds


def _last_word(text: str) -> str:
    word = text[-40:].rpartition(" ")[2].lower()
    return word if word.isalpha() else ""


def _first_word(text: str) -> str:
    word = text[:40].partition(" ")[0].rstrip(".,;:)]").lower()
    return word if word.isalpha() else ""


# -- what it says of itself

_NO_TITLE = re.compile(r"untitled|unspecified|anonymous|microsoft word.*|.*\.(?:docx?|dvi|tex|pdf|indd|qxd|ps|eps|rtf)|title|\W*|[\w.-]*\d{4,}[\w.-]*", re.I)  # noqa: E501
_NOT_A_NAME = re.compile(r"\d{2}|@|universit|institut|department|laborator|school|college|abstract|summary|introduction|received|accepted|http|www|journal|vol\b|press", re.I)  # noqa: E501
_ISSUED = re.compile(r"(?:©|\(c\)|copyright|published|accepted|received|revised|vol(?:ume|\.)|no\.|issue)[^\n]{0,60}?\b(19\d\d|20\d\d)\b", re.I)
_DATED = re.compile(r"(?<![\d.])(19\d\d|20\d\d)(?![\d.])")


def _front(lines: list[Line], meta: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Title and authors: what the file says, else the largest type of the first page and the names under it."""
    said = " ".join(cleaned(meta.get("Title", "")).split())
    title = said if 5 < len(said) < 300 and " " in said and not _NO_TITLE.fullmatch(said[:200]) else ""
    author = " ".join(cleaned(meta.get("Author", "")).split())
    people = joined(_people(author)) if 3 < len(author) < 2000 and not _NO_TITLE.fullmatch(author[:100]) and " " in author else ()
    lines = [line for line in lines if sum(map(str.isalpha, line.text)) > 2]
    upper = sorted(lines, key=lambda line: -line.bottom)[: max(8, len(lines) // 2)]
    if not upper:
        return title, people
    size = max(line.size for line in upper if len(line.text) > 3) if any(len(line.text) > 3 for line in upper) else 0.0
    usual = _middle([line.size for line in lines])
    large = [line for line in upper if line.size > 0.93 * size and not (_NUMBER.match(line.text) or _KNOWN.fullmatch(line.text))]
    if not title and size > 1.1 * usual and 0 < len(large) <= 6:
        title = " ".join(cleaned(" ".join(line.text for line in large)).split())[:300]
    if not people and size > 1.1 * usual and large:
        below = [line for line in upper if line.bottom < min(line.bottom for line in large) and line.size > 0.7 * usual][:3]
        for line in below:
            if _NOT_A_NAME.search(line.text):
                break
            names = [name for name in _people(re.sub(r"[\d*†‡§¶∗]", " ", line.text)) if _is_name(name)]
            if not names:
                break
            people += joined(names)
    return title, people


def _people(text: str) -> list[str]:
    parted = re.split(r"\s?;\s?|\s+and\s+|\s?&\s?", text)
    if len(parted) == 1 and text.count(",") == 1 and " " not in text.split(",")[0].strip():
        return parted  # "Family, Given"
    if ";" in text:
        return [part for part in parted if part.strip(" ,")]
    return [name.strip() for part in parted for name in part.split(",") if name.strip(" .")]


def _is_name(name: str) -> bool:
    words = name.split()
    return 2 <= len(words) <= 6 and words[0][0].isupper() and words[-1][0].isupper() and sum(word[0].isupper() for word in words) >= 2 and len(name) < 50  # noqa: E501


def _year(words: str, meta: Mapping[str, str]) -> int | None:
    """The year on the first page, beside what says that it was issued; else any alone there; else that of the file."""
    if match := _ISSUED.search(words[:8000]):
        return int(match[1])
    created = re.match(r"D:((?:19|20)\d\d)", meta.get("CreationDate", ""))
    years = [int(found) for found in _DATED.findall(words[:600])]
    if years and (not created or max(years) <= int(created[1])):
        return max(years)
    return int(created[1]) if created else None
