"""The order in which a printed page is read: columns one after the other, whatever runs across them between, and turned pages turned back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from moho.knowledge.lines import Line, Page

GUTTER = 0.12  # share of the lines that may cross the gap between two columns
DEEPEST = 3  # times that a page is parted in two

_LEFT, _RIGHT, _BOTTOM, _LENGTH = range(4)  # rows of the array that stands for lines here: pt, pt, pt, characters


def ordered(lines: list[Line]) -> Iterator[list[Line]]:
    """The lines of a page in the order they are read, by column; lines across columns stand between what is above and below them."""
    places = np.empty((4, len(lines)))  # (of what is known of a line, line)
    places[_LEFT] = [line.left for line in lines]
    places[_RIGHT] = [line.right for line in lines]
    places[_BOTTOM] = [line.bottom for line in lines]
    places[_LENGTH] = [len(line.text) for line in lines]
    for column in _parted(places, np.arange(len(lines)), 0):
        yield [lines[i] for i in column.tolist()]


def _parted(places: np.ndarray, chosen: np.ndarray, depth: int) -> Iterator[np.ndarray]:
    """The chosen lines by column, from top to bottom."""
    if not chosen.size:
        return
    here = places[:, chosen]
    gutter = _gutter(here) if depth < DEEPEST else None
    if gutter is None:
        yield chosen[_downwards(here)]
        return
    order = np.argsort(-here[_BOTTOM], kind="stable")
    chosen, here = chosen[order], here[:, order]
    across = (here[_LEFT] < gutter - 5) & (here[_RIGHT] > gutter + 5)
    after = here[_LEFT] + here[_RIGHT] > 2 * gutter
    edges = [0, *(np.flatnonzero(across[1:] != across[:-1]) + 1).tolist(), len(chosen)]
    for start, end in pairwise(edges):
        run = chosen[start:end]
        if across[start]:
            yield run[_downwards(here[:, start:end])]
        else:
            for side in (~after[start:end], after[start:end]):
                yield from _parted(places, run[side], depth + 1)


def _downwards(here: np.ndarray) -> np.ndarray:
    """The order of lines from top to bottom, in a row from left to right."""
    return np.lexsort((here[_LEFT], -np.rint(here[_BOTTOM])))


def _gutter(here: np.ndarray) -> float | None:
    """Where the gap between two columns of prose lies; None where there is one column."""
    many = here.shape[1]
    if many < 12:
        return None
    left, right = here[_LEFT], here[_RIGHT]
    width = right - left
    low, high = float(np.sort(left)[many // 50]), float(np.sort(right)[-1 - many // 50])
    if np.count_nonzero(width > 0.62 * (high - low)) > 0.6 * many:
        return None
    at = np.arange(low + 0.22 * (high - low), high - 0.22 * (high - low), 3.0)  # (place,)
    if not at.size:
        return None
    can = width > 2  # lines that begin before a place less those that end before it; what is narrower crosses none
    crossing = np.searchsorted(np.sort(left[can]), at - 1) - np.searchsorted(np.sort(right[can]), at + 1, "right")
    best = np.flatnonzero(crossing == crossing.min())
    ends = [0, *(np.flatnonzero(np.diff(best) > 1) + 1).tolist(), len(best)]
    start, end = max(pairwise(ends), key=lambda run: run[1] - run[0])
    gutter = float(at[best[start + (end - start) // 2]])
    before, after = right <= gutter + 5, left >= gutter - 5
    sides = np.count_nonzero(before), np.count_nonzero(after)
    if min(sides) < max(4, 0.08 * many) or many - sum(sides) > max(GUTTER * many, 0.5 * min(sides)):
        return None
    for side, beside in zip((before, after), sides, strict=True):
        prose = np.sort(here[_LENGTH, side])[beside // 2] >= 18 and np.sort(width[side])[beside // 2] > 0.22 * (high - low)
        if not prose:
            return None
    return gutter


def turn_upright(page: Page) -> None:
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
