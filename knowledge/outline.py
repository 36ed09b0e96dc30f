"""What every reader writes a document with: blocks under the headings that lead to them, cleaned, within a limit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from moho.errors import DataError
from moho.knowledge.clean import cleaned
from moho.knowledge.passages import Block

LARGEST = 64_000_000  # characters of a document
LONGEST_BLOCK = 8000  # characters of references kept together
LONGEST_HEADING = 200  # characters

_NUMBER = r"(?:(?:\d{1,2}|[A-Z]|[IVX]{1,5})(?:\.\d{1,2}){0,3}\.?\s{1,3})?"
_REFERENCES = re.compile(rf"{_NUMBER}(?:references?(?: cited| and notes)?|bibliography|literature(?: cited)?|works cited)\s{{0,2}}[.:]?", re.I)


def lists_references(heading: str) -> bool:
    """Whether a heading opens the list of references."""
    return len(heading) < 60 and _REFERENCES.fullmatch(heading.strip()) is not None


@dataclass
class Outline:
    """The blocks written so far, and the headings that the next one stands under."""

    blocks: list[Block] = field(default_factory=list)
    headings: list[tuple[int, str]] = field(default_factory=list)  # (level, words), outermost first
    section: str = ""
    kind: str = "text"  # of what stands under these headings: text or references
    size: int = 0  # characters

    def head(self, level: int, words: str) -> None:
        """Open a section: it closes those of its level and below."""
        words = " ".join(cleaned(words).split())[:LONGEST_HEADING]
        self.headings = [held for held in self.headings if held[0] < level]
        if words:
            self.headings.append((level, words))
        self.section = " > ".join(words for _, words in self.headings)
        self.kind = "references" if any(lists_references(words) for _, words in self.headings) else "text"

    def write(self, text: str, kind: str = "", page: int | None = None) -> None:
        """A block under the headings held; `kind` is that of the section unless given. Only tables and references keep their lines."""
        kind = kind or self.kind
        text = cleaned(text)
        if kind in ("table", "references"):
            text = "\n".join(line for part in text.split("\n") if (line := " ".join(part.split())))
        else:
            text = " ".join(text.split())
        if not text:
            return
        self.size += len(text)
        if self.size > LARGEST:
            raise DataError("E_LIMIT", f"the document has more than {LARGEST:,} characters.")
        last = self.blocks[-1] if self.blocks else None
        if kind == "references" and last and (last.kind, last.section, last.page) == (kind, self.section, page) and len(last.text) < LONGEST_BLOCK:
            self.blocks[-1] = Block(f"{last.text}\n{text}", last.section, page, kind)
        else:
            self.blocks.append(Block(text, self.section, page, kind))
