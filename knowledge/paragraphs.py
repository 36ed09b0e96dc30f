"""From the lines of columns to blocks: paragraphs that go on across columns and pages, headings by number, type and words, tables."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from moho.knowledge.lines import Line, Page, middle
from moho.knowledge.outline import Outline, lists_references

LARGER = 1.15  # times the height of the body's type: a heading's
LONGEST = 100  # lines of a paragraph

NUMBER = re.compile(r"((?:\d{1,2}|[A-H])(?:\.\d{1,2}){0,3})[.)]?\s{1,4}(?=[A-Z])")
_ROMAN = re.compile(r"([IVX]{1,5})[.)]?\s{1,4}(?=[A-Z])")
KNOWN = re.compile(
    r"(?:abstract|summary|key ?words|introduction|background|theory|method(?:s|ology)?|data(?: and methods)?|materials and methods|results?(?: and discussion)?"  # noqa: E501
    r"|discussion|conclusions?|acknowled?ge?ments?|appendix(?: [A-H0-9])?|data availability|supplementary materials?|nomenclature)[.:]?",
    re.I,
)
_RUN_IN = re.compile(r"(abstract|summary)\s{0,2}[.:—–-]{1,2}\s{0,3}(?=\S)", re.I)
_ENTRY = re.compile(r"\[\w{1,8}\]\s|\d{1,3}[.)]\s")
_CAPTION = re.compile(r"(?:fig(?:ure|\.)|table|plate)\s{1,2}[A-Z]?\d", re.I)


class Writer:
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
        pitch = middle(tight) if tight else 1.2 * self.size
        tables = _tables(rows) if len(rows) < len(lines) else {}
        above: Line | None = None  # in this column
        at = 0
        while at < len(rows):
            if at in tables:
                end = tables[at]
                self.flush()
                self.outline.write("\n".join(" | ".join(line.text for line in row) for row in rows[at:end]), "table", page)
                above, at = rows[end - 1][0], end
                continue
            line = rows[at][0] if len(rows[at]) == 1 else _whole(rows[at])
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
            if not after.text[:1].islower() or f"{last_word(before)}-{first_word(after.text)}" in self.compounds:
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
        size, before = line.size, last.size
        if gap > 1.35 * pitch or gap < -pitch or (gap > 0.8 * pitch and abs(size - before) > 0.2 * max(size, before)):
            return True
        if not last.text.endswith((".", "!", "?", ":", "”")):
            return False
        indented = line.left > left + 0.7 * size and last.left <= left + 0.7 * size
        return indented or last.right < right - 0.25 * (right - left) or (last.text.endswith(".") and _CAPTION.match(line.text) is not None)

    # headings

    def _heading(self, line: Line, apart: bool, left: float, right: float) -> int:
        """The level of the heading that a line is; 0 where it is none."""
        text, larger = line.text, line.size > LARGER * self.size
        if not (apart or line.bold or larger or text.isupper()):
            return 0
        if len(text) > 120 or len(text) < 3 or line.hyphen or _CAPTION.match(text) or not text[0].isalnum() or (self.lines and self.lines[-1].hyphen):
            return 0
        letters = sum(map(str.isalpha, text))
        if letters < 3 or letters < 0.5 * len(text):
            return 0
        references = self.outline.kind == "references"
        if lists_references(text) or KNOWN.fullmatch(text):
            return 1 if text[0].isupper() and (apart or larger or line.bold or text.isupper()) else 0
        if text[-1] in ".,;:" and not larger:
            return 0
        if match := NUMBER.match(text):
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
        while end < len(rows) and len(words) < 4 and not lists_references(line.text) and not KNOWN.fullmatch(line.text):
            below = _whole(rows[end])
            close = 0 < words[-1].bottom - below.bottom < 1.6 * line.size
            alike = abs(below.size - line.size) < 0.05 * line.size and (line.size > LARGER * self.size or (line.bold and below.bold))
            if not (close and alike) or NUMBER.match(below.text) or below.text.endswith("."):
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
        if match := NUMBER.match(line.text):
            return match[1].count(".") + 1
        if line.bold and line.size <= LARGER * self.size and not line.text.isupper() and not KNOWN.fullmatch(line.text) and not lists_references(line.text):  # noqa: E501
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
    return [sorted(row, key=lambda line: line.left) if len(row) > 1 else row for row in rows]


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


def last_word(text: str) -> str:
    """The word that a text ends with, in lower case; empty where it is no word."""
    word = text[-40:].rpartition(" ")[2].lower()
    return word if word.isalpha() else ""


def first_word(text: str) -> str:
    """The word that a text begins with, in lower case; empty where it is no word."""
    word = text[:40].partition(" ")[0].rstrip(".,;:)]").lower()
    return word if word.isalpha() else ""
