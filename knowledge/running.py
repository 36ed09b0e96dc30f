"""Running heads, feet and page numbers: lines that stand at the same height on several pages, whatever number they hold."""

from __future__ import annotations

import re
from collections import defaultdict

from moho.knowledge.lines import Line, Page, middle

REPEATED = 3  # pages on which a line stands at the same height, to be a running head

_DIGITS = re.compile(r"\d+")
_ROMAN = re.compile(r"[ivxlc]{1,7}")


def drop_running(pages: list[Page]) -> None:
    """Drop the lines at the edges of pages that stand at the same height on several of them, whatever number they hold."""
    edges: dict[str, list[tuple[float, Page, Line]]] = defaultdict(list)
    for page in pages:
        heights = sorted([line.bottom for line in page.lines])
        below, above = (heights[min(1, len(heights) - 1)] + 3, heights[max(-2, -len(heights))] - 3) if heights else (0.0, 0.0)
        few = sorted([line for line in page.lines if line.bottom < below or line.bottom > above], key=lambda line: line.bottom)
        for line in {id(line): line for line in few[:4] + few[-4:]}.values():
            if key := _folded(line.text):
                edges[key].append((line.bottom, page, line))
    dropped: set[int] = set()
    enough = min(REPEATED, max(2, len(pages)))
    for found in edges.values():
        height = middle([bottom for bottom, *_ in found])
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
    folded = _DIGITS.sub("#", text).casefold().strip(" -–—|.[]")
    if _ROMAN.fullmatch(folded):
        return "#"
    return folded if folded == "#" or any(map(str.isalpha, folded)) else ""
