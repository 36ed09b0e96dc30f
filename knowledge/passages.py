"""Documents and their passages: pieces of at most a window of the encoder, cut at sections and sentences.

A document is read (by `moho.knowledge.ingest`) into blocks in reading order, each with its section and page; `cut` makes
passages of them. Passages follow one another without overlap: their offsets count characters of the document's text, and
`document.text[passage.start:passage.end]` is the passage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

TARGET = 180  # word pieces of a passage: what scores best with MiniLM, and leaves room for the title within its 256
LONGEST = 16  # characters that a word piece may stand for: what has no blanks is cut as well
KINDS = ("text", "table", "references", "invisible")
SEPARATOR = "\n\n"  # between blocks of a document's text

# A full stop that ends no sentence: abbreviations of papers, initials, numbers ("Fig. 3", "et al. 2009", "J. F. Claerbout").
_SHORTENED = (
    "fig|figs|eq|eqs|eqn|eqns|ref|refs|sec|secs|sect|sects|chap|vol|no|nos|p|pp|al|cf|vs|ca|approx|resp|etc|dr|mr|mrs|prof|st|ed|eds|jr|inc|univ|dept"
    "|geophys|seism|soc|bull|res|lett|int|proc|trans|phys"
)
_SHORT = frozenset(_SHORTENED.split("|"))
_ABBREVIATION = re.compile(rf"(?:\b(?:{_SHORTENED}|e\.g|i\.e)|\b[A-Z])\.$", re.I)
_END = re.compile(r"[.!?]([\"'”’)\]]*)\s+(?=[\"'“‘(\[]?[A-Z0-9$\\À-Þ])")


@dataclass(frozen=True)
class Block:
    """A paragraph, list, table or reference list as it was read."""

    text: str
    section: str = ""  # headings that lead to it, outermost first, joined by " > "
    page: int | None = None  # from 1, where the format has pages
    kind: str = "text"  # of KINDS


@dataclass(frozen=True)
class Document:
    """A paper, page or note as it was read, and what it says of itself."""

    blocks: tuple[Block, ...]
    title: str = ""
    authors: tuple[str, ...] = ()
    year: int | None = None
    doi: str = ""
    format: str = "text"
    notes: tuple[str, ...] = ()  # what the reader has to say: pages without text, invisible text, an encoding

    @property
    def text(self) -> str:
        """All blocks in reading order; the passages' offsets count its characters."""
        return SEPARATOR.join(block.text for block in self.blocks)


@dataclass(frozen=True)
class Passage:
    """A piece of a document that is found, shown and quoted as one."""

    text: str
    start: int  # first character in the document's text
    end: int
    section: str = ""
    page: int | None = None  # where it begins
    kind: str = "text"
    pieces: int = field(default=0, compare=False)  # word pieces


def cut(document: Document, count: Callable[[str], int], target: int = TARGET) -> list[Passage]:
    """The passages of `document`: whole sentences of one section and kind, at most `target` word pieces each.

    `count` gives the word pieces of a text, and adds up over words. A sentence longer than `target` is cut at a clause near
    its middle, else at a word. Passages of a section are made of nearly equal length, so that none is left with a line.
    """
    text = document.text
    passages: list[Passage] = []
    for (section, kind), spans in _groups(document, count, target):
        left = sum(size for *_, size in spans)
        share = left / max(1, -(-left // target))  # equal parts of what is left
        held: list[_Span] = []
        size = 0
        for span in [*spans, None]:
            if held and (span is None or size + span[3] > target or (size + span[3] / 2 > share and size >= 0.6 * target)):
                start, end = held[0][0], held[-1][1]
                passages.append(Passage(text[start:end], start, end, section, held[0][2], kind, size))
                left -= size
                share = left / max(1, -(-left // target))
                held, size = [], 0
            if span is not None:
                held.append(span)
                size += span[3]
    return passages


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of every sentence of `text`; the blanks after a sentence belong to none."""
    start = 0
    for match in _END.finditer(text):
        stop = match.start() + 1
        if text[stop - 1] == "." and _abbreviated(text[max(start, stop - 12) : stop]):
            continue
        yield start, match.end(1)
        start = match.end()
    if text[start:].strip():
        yield start, start + len(text[start:].rstrip())


def _abbreviated(text: str) -> bool:
    """Whether the full stop at the end of `text` marks an abbreviation."""
    word = text[:-1].rpartition(" ")[2]
    if word.isascii() and word.isalpha():
        return len(word) == 1 or word.lower() in _SHORT
    return _ABBREVIATION.search(text) is not None


_Span = tuple[int, int, int | None, int]  # start, end, page, word pieces


def _groups(document: Document, count: Callable[[str], int], target: int) -> Iterator[tuple[tuple[str, str], list[_Span]]]:
    """Neighbouring blocks of one section and kind, as sentences of at most `target` word pieces."""
    at = 0
    spans: list[_Span] = []
    last: tuple[str, str] | None = None
    for block in document.blocks:
        key = (block.section, block.kind)
        if spans and last is not None and key != last:
            yield last, spans
            spans = []
        last = key
        parts = _lines(block.text) if block.kind in ("table", "references") else sentences(block.text)
        for start, end in parts:
            spans += [(at + a, at + b, block.page, size) for a, b, size in _fit(block.text, start, end, count, target)]
        at += len(block.text) + len(SEPARATOR)
    if spans and last is not None:
        yield last, spans


def _fit(text: str, start: int, end: int, count: Callable[[str], int], target: int) -> Iterator[tuple[int, int, int]]:
    """(start, end, word pieces) of a sentence, or of its parts where it is longer than any passage."""
    size = max(count(text[start:end]), (end - start) // LONGEST)
    if size <= target or end - start < 2:
        yield start, end, size
        return
    middle = (start + end) // 2
    window = range(start + (end - start) // 4, end - (end - start) // 4)
    marks = [i for i in window if text[i - 1] in ";:,\n" and text[i].isspace()] or [i for i in window if text[i].isspace()]
    at = min(marks, key=lambda i: abs(i - middle)) if marks else middle
    yield from _fit(text, start, at, count, target)
    while at < end - 1 and text[at].isspace():
        at += 1
    yield from _fit(text, at, end, count, target)


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for line in text.split("\n"):
        if line.strip():
            yield start, start + len(line)
        start += len(line) + 1
