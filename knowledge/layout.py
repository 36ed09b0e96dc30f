"""From the lines of printed pages to a document.

Here: the order of the steps. Each has a module of its own: `reading_order`, what repeats (`running`), paragraphs, headings and
tables (`paragraphs`), title and authors (`front`). All work on places and words only; where they come from is of no concern (`pdf`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

from moho.knowledge.bibliography import doi
from moho.knowledge.front import front, year
from moho.knowledge.lines import Page
from moho.knowledge.outline import Outline
from moho.knowledge.paragraphs import Writer, first_word, last_word
from moho.knowledge.passages import Document
from moho.knowledge.reading_order import ordered, turn_upright
from moho.knowledge.running import drop_running


def document(pages: list[Page], meta: Mapping[str, str]) -> Document:
    """The document of these pages; `meta` is what the file says of itself (Title, Author, Subject, Keywords, CreationDate)."""
    for page in pages:
        turn_upright(page)
    opening = list(pages[0].lines) if pages else []
    title, people = front(opening, meta)
    drop_running(pages)
    compounds = _compounds(pages)
    outline = Outline()
    writer = Writer(outline, _body_size(pages), compounds, title)
    for page in pages:
        for column in ordered(page.lines):
            writer.column(column, page.number)
        writer.hidden(page)
        page.lines = []
    writer.flush()
    words = "\n".join(line.text for line in opening)
    identifier = doi(" ".join(meta.get(name, "") for name in ("doi", "DOI", "Subject", "Keywords", "Title"))) or doi(words)
    return Document(tuple(outline.blocks), title, people, year(words, meta), identifier, "pdf")


def _body_size(pages: list[Page]) -> float:
    """The height of most of the type, pt."""
    sizes: Counter[float] = Counter()
    for page in pages[:: max(1, len(pages) // 50)]:
        for line in page.lines:
            sizes[line.top - line.bottom] += len(line.text)
    rounded: Counter[float] = Counter()
    for size, many in sizes.items():
        rounded[round(size, 1)] += many
    return max(max(rounded, key=rounded.__getitem__), 1.0) if rounded else 10.0


def _compounds(pages: list[Page]) -> set[str]:
    """Words with a hyphen inside a line: a line's end may part them, and they keep it."""
    compounds: set[str] = set()
    for page in pages:
        for line in page.lines:
            if "-" in line.text and len(compounds) < 100_000:
                pieces = line.text.split("-")
                pairs = ((last_word(left), first_word(right)) for left, right in pairwise(pieces))
                compounds |= {f"{a}-{b}" for a, b in pairs if a and b}
    return compounds
