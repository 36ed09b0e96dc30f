"""Lines of text with their places on printed pages: what a reader of pages makes, and what the layout is told from."""

from __future__ import annotations

from dataclasses import dataclass, field


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


def middle(values: list[float] | list[int]) -> float:
    """The upper median: a value that is there."""
    return sorted(values)[len(values) // 2]
