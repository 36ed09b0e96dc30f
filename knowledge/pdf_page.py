"""The lines of a PDF's page through PDFium: their words, their boxes, and which of them a reader of the page cannot see.

Speed decides the shape of this module. PDFium gives a page's text at once and is asked for two boxes a line, for the mode and colour of
each text object, and for single characters only on pages where objects stand apart within a line (columns that PDFium took for one
line, tables) or are drawn invisibly. Functions are called by prototypes that take addresses, three times as fast as `pypdfium2.raw`, and
by `map` over a whole page's objects, into one array that numpy then compares: what is asked of all of them costs no step of Python each.
"""

from __future__ import annotations

import ctypes
import re
from codecs import utf_16_le_decode
from collections import deque
from collections.abc import Callable, Iterable
from ctypes import c_double, c_float, c_int, c_uint, c_void_p
from itertools import repeat
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium

from moho.knowledge.lines import Line, Page

LARGEST_PAGE = 200_000  # characters; what is beyond is left out, and said
MOST_OBJECTS = 200_000  # on a page, that are looked at
SPARE = 2**24  # bytes, more than a page takes; giving them back after each page costs a sixth of the time
SMALLEST_TYPE = 1.0  # pt; text below it is not meant to be read
WHITE = 240  # of 255: every channel above it is white on white paper
NARROWEST_GAP = 8.0  # pt between the parts of a line that stand apart
TOGETHER = 256  # of them that are looked for at once
SCANNED = 0.5  # share of a page that an image covers where text drawn invisibly is the scan's recognised text

_TEXT, _PATH, _IMAGE, _SHADING, _FORM = 1, 2, 3, 4, 5  # FPDF_PAGEOBJ_*
_UNSEEN = {3, 7}  # text render modes: neither filled nor stroked
_BOLD = (b"bold", b"black", b"heavy", b"cmbx", b"sfbx", b"-medi", b"ptmb", b"phvb", b"demi")  # in a font's name
_ENDS = re.compile("(\r\n|\ufffe)")  # of a line: \ufffe stands for the hyphen at its end
_PROTOTYPES: dict[str, tuple[Any, ...]] = {  # result, arguments
    "FPDF_LoadPage": (c_void_p, c_void_p, c_int),
    "FPDF_ClosePage": (None, c_void_p),
    "FPDF_GetPageBoundingBox": (c_int, c_void_p, c_void_p),
    "FPDFText_LoadPage": (c_void_p, c_void_p),
    "FPDFText_ClosePage": (None, c_void_p),
    "FPDFText_CountChars": (c_int, c_void_p),
    "FPDFText_GetText": (c_int, c_void_p, c_int, c_int, c_void_p),
    "FPDFText_GetLooseCharBox": (c_int, c_void_p, c_int, c_void_p),
    "FPDFText_GetCharBox": (c_int, c_void_p, c_int, c_void_p, c_void_p, c_void_p, c_void_p),
    "FPDFText_GetFontInfo": (ctypes.c_ulong, c_void_p, c_int, c_void_p, ctypes.c_ulong, c_void_p),
    "FPDFText_GetUnicode": (c_uint, c_void_p, c_int),
    "FPDFText_GetTextObject": (c_void_p, c_void_p, c_int),
    "FPDFText_CountRects": (c_int, c_void_p, c_int, c_int),
    "FPDFText_GetRect": (c_int, c_void_p, c_int, c_void_p, c_void_p, c_void_p, c_void_p),
    "FPDFPage_CountObjects": (c_int, c_void_p),
    "FPDFPage_GetObject": (c_void_p, c_void_p, c_int),
    "FPDFFormObj_CountObjects": (c_int, c_void_p),
    "FPDFFormObj_GetObject": (c_void_p, c_void_p, ctypes.c_ulong),
    "FPDFPageObj_GetType": (c_int, c_void_p),
    "FPDFPageObj_GetFillColor": (c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p),
    "FPDFPageObj_GetBounds": (c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p),
    "FPDFPageObj_GetMatrix": (c_int, c_void_p, c_void_p),
    "FPDFPath_GetDrawMode": (c_int, c_void_p, c_void_p, c_void_p),
    "FPDFTextObj_GetTextRenderMode": (c_int, c_void_p),
    "FPDFTextObj_GetFontSize": (c_int, c_void_p, c_void_p),
}
_CALLS: dict[str, Callable[..., Any]] = {  # made once, before a child is forked for each document
    name: ctypes.PYFUNCTYPE(*types)(ctypes.cast(getattr(pdfium, name), c_void_p).value or 0) for name, types in _PROTOTYPES.items()
}


class Reader:
    """Reads the pages of an opened document, with buffers of its own so that a call allocates nothing."""

    def __init__(self, document: Any) -> None:
        self.document = ctypes.cast(document, c_void_p).value
        self.calls = _CALLS
        bytes(SPARE)  # made and freed at once: from then on the C library keeps as much of what a page has freed for the next one
        self.size = 16384
        self.characters = (ctypes.c_ushort * self.size)()
        self.floats = (c_float * 6)()  # left, top, right, bottom of a box; a, b, c, d, e, f of a matrix
        self.at_floats = ctypes.addressof(self.floats)
        self.bounds = (c_float * 4)()  # left, bottom, right, top
        self.at_bounds = [ctypes.addressof(self.bounds) + 4 * i for i in range(4)]
        self.doubles = (c_double * 4)()
        self.at_doubles = [ctypes.addressof(self.doubles) + 8 * i for i in range(4)]
        self.whole = (c_uint * 4)()
        self.at_whole = [ctypes.addressof(self.whole) + 4 * i for i in range(4)]
        self.name = ctypes.create_string_buffer(128)
        self.at_name = ctypes.addressof(self.name)
        self.bold: dict[bytes, bool] = {}  # by the name of a font

    def page(self, number: int) -> Page:
        """A page's lines in the order of its stream; pages count from 0 here, from 1 in what comes back."""
        calls = self.calls
        handle = calls["FPDF_LoadPage"](self.document, number)
        if not handle:
            return Page(number + 1, broken=True)
        text = calls["FPDFText_LoadPage"](handle)
        try:
            return self._read(number, handle, text) if text else Page(number + 1, broken=True)
        finally:
            if text:
                calls["FPDFText_ClosePage"](text)
            calls["FPDF_ClosePage"](handle)

    def _read(self, number: int, handle: int, text: int) -> Page:
        calls = self.calls
        many = calls["FPDFText_CountChars"](text)
        kept = min(max(many, 0), LARGEST_PAGE)
        calls["FPDF_GetPageBoundingBox"](handle, self.at_floats)
        left, top, right, bottom = self.floats[:4]
        page = Page(number + 1, (left, bottom, right, top), cut=many > kept)
        objects = calls["FPDFPage_CountObjects"](handle)
        if not kept:
            page.image = self._image_share(handle, objects, page)
            return page
        if kept >= self.size:
            self.size = kept + 1
            self.characters = (ctypes.c_ushort * self.size)()
        got = calls["FPDFText_GetText"](text, 0, kept, ctypes.addressof(self.characters))
        words, _ = utf_16_le_decode(ctypes.string_at(self.characters, 2 * max(got - 1, 0)), "replace")
        if len(words) != kept:  # some characters have no text of their own, or two units
            codes = map(calls["FPDFText_GetUnicode"], repeat(text), range(kept))
            words = "".join(chr(code) if 0 < code < 0xD800 or 0xDFFF < code < 0x110000 else "\0" for code in codes)
        page.lines = self._lines(text, words, page)
        unseen, drawn = self._unseen(handle, objects, page, len(page.lines))
        self._drop_tiny(page)
        if unseen:
            self._part(text, words, page, unseen)
        if drawn > len(page.lines):
            self._find_gaps(text, words, page)
        return page

    def _lines(self, text: int, words: str, page: Page) -> list[Line]:
        """The lines of a page, their places from the loose boxes of their first and last characters."""
        found: list[tuple[str, int, int, bool]] = []
        start = 0
        pieces = _ENDS.split(words)
        for piece, mark in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
            if stripped := piece.strip():
                first = start if stripped is piece else start + len(piece) - len(piece.lstrip())
                found.append((stripped, first, first + len(stripped) - 1, mark == "\ufffe"))
            start += len(piece) + len(mark)
        ends = [end for _, first, last, _ in found for end in (first, last)]
        boxes, places = _array((len(ends), 4), np.float32)
        _each(self.calls["FPDFText_GetLooseCharBox"], repeat(text), ends, places[0])
        lines: list[Line] = []
        bold = False
        for (stripped, first, last, hyphen), edges in zip(found, boxes.reshape(-1, 8).tolist(), strict=True):
            left, top, right, bottom, left_, top_, right_, bottom_ = edges
            if right_ >= left and bottom_ <= top and top_ >= bottom:
                line = Line(stripped, left, bottom, right_, top, hyphen, first, last)
            elif bottom_ > top or top_ < bottom:  # the line runs up or down the page
                page.down += 1 if top_ < bottom else -1
                line = Line(stripped, min(left, left_), min(bottom, bottom_), max(right, right_), max(top, top_), hyphen, first, last)
            else:  # from right to left, or on its head
                page.over += stripped[0] < "\u0590"
                line = Line(stripped, left_, bottom, right, top, hyphen, first, last)
            if len(stripped) < 70 and (bold or stripped[0].isupper() or stripped[0].isdigit()) and stripped[-1] not in ".,;":
                bold = line.bold = self._is_bold(text, first)
            else:
                bold = False
            lines.append(line)
        return lines

    def _is_bold(self, text: int, at: int) -> bool:
        """Whether the font of a character is called bold."""
        got = self.calls["FPDFText_GetFontInfo"](text, at, self.at_name, 128, self.at_whole[0])
        name = self.name.raw[: max(got - 1, 0)] if got <= 128 else b""
        if (bold := self.bold.get(name)) is None:
            bold = self.bold[name] = any(mark in name.lower() for mark in _BOLD)
        return bold

    # what is not to be seen

    def _unseen(self, handle: int, many: int, page: Page, lines: int) -> tuple[set[int], int]:
        """The text objects that a reader of the page cannot see, by address, and how many text objects there are."""
        calls = self.calls
        get, mode_of, kind_of = calls["FPDFPage_GetObject"], calls["FPDFTextObj_GetTextRenderMode"], calls["FPDFPageObj_GetType"]
        items = list(map(get, repeat(handle), range(min(many, MOST_OBJECTS))))
        nested = len(items)  # from here on they are in forms, whose places are their own
        modes = list(map(mode_of, items))
        if -1 in modes:
            for at, item in enumerate(items):  # which grow by what is in forms
                if modes[at] == -1 and kind_of(item) == _FORM:
                    inner = min(calls["FPDFFormObj_CountObjects"](item), MOST_OBJECTS - len(items))
                    items += list(map(calls["FPDFFormObj_GetObject"], repeat(item), range(inner)))
                    modes += list(map(mode_of, items[len(modes) :]))
        texts = [place for place, mode in enumerate(modes) if mode >= 0]
        unseen: set[int] = set()
        strokeless = set() if _UNSEEN.isdisjoint(modes) else {items[place] for place in texts if modes[place] in _UNSEEN}
        if strokeless:
            page.image = self._image_share(handle, many, page)
            page.recognised = page.image > SCANNED and len(strokeless) > 0.9 * len(texts)
            if not page.recognised:
                unseen |= strokeless
        drawn = [items[place] for place in texts]
        for i in self._white(drawn):
            place = texts[i]
            if modes[place] in (0, 4) and (place >= nested or not self._on_dark(items[:place], items[place])):
                unseen.add(items[place])
        if len(texts) > lines:  # else an object is a line, which has a box
            low, outside = self._misplaced(drawn, page.box)
            unseen |= {drawn[i] for i in low if self._type_size(drawn[i]) < SMALLEST_TYPE}
            unseen |= {drawn[i] for i in outside if texts[i] < nested}
        return unseen, len(texts)

    def _white(self, texts: list[int]) -> list[int]:
        """Which of the text objects are white or transparent."""
        colours, places = _array((len(texts), 4), np.uint32, 128)
        _each(self.calls["FPDFPageObj_GetFillColor"], texts, *places)
        light = colours[:, :3].min(axis=1) > WHITE
        return np.flatnonzero(light | (colours[:, 3] == 0)).tolist()

    def _misplaced(self, texts: list[int], box: tuple[float, float, float, float]) -> tuple[list[int], list[int]]:
        """Which of the text objects are as low as no type is, and which stand outside the page."""
        bounds, places = _array((len(texts), 4), np.float32)
        known = np.array(list(map(self.calls["FPDFPageObj_GetBounds"], texts, *places)), bool)
        left, bottom, right, top = bounds.astype(float).T
        low = known & (top - bottom < SMALLEST_TYPE)
        outside = known & ((left > box[2]) | (right < box[0]) | (bottom > box[3]) | (top < box[1]))
        return np.flatnonzero(low).tolist(), np.flatnonzero(outside).tolist()

    def _on_dark(self, below: list[int], item: int) -> bool:
        """Whether the uppermost thing painted under a white text is not white."""
        calls = self.calls
        if not calls["FPDFPageObj_GetBounds"](item, *self.at_bounds):
            return False
        left, bottom, right, top = self.bounds
        x, y = (left + right) / 2, (bottom + top) / 2
        for ground in reversed(below):
            kind = calls["FPDFPageObj_GetType"](ground)
            if kind == _TEXT or not calls["FPDFPageObj_GetBounds"](ground, *self.at_bounds):
                continue
            left, bottom, right, top = self.bounds
            if left <= x <= right and bottom <= y <= top:
                if kind != _PATH:
                    return True
                calls["FPDFPath_GetDrawMode"](ground, *self.at_whole[:2])
                if self.whole[0] and calls["FPDFPageObj_GetFillColor"](ground, *self.at_whole):
                    return min(self.whole[:3]) <= WHITE and self.whole[3] > 0
        return False

    def _type_size(self, item: int) -> float:
        """The height of a text object's type on the page, pt."""
        self.calls["FPDFTextObj_GetFontSize"](item, self.at_floats)
        size = abs(self.floats[0])
        self.calls["FPDFPageObj_GetMatrix"](item, self.at_floats)
        return float(size * max(abs(self.floats[1]), abs(self.floats[2]), abs(self.floats[3])))

    def _image_share(self, handle: int, many: int, page: Page) -> float:
        """The share of the page that its largest image covers."""
        calls, largest = self.calls, 0.0
        for i in range(min(many, 1000)):
            item = calls["FPDFPage_GetObject"](handle, i)
            if calls["FPDFPageObj_GetType"](item) in (_IMAGE, _FORM) and calls["FPDFPageObj_GetBounds"](item, *self.at_bounds):
                left, bottom, right, top = self.bounds
                largest = max(largest, abs(right - left) * abs(top - bottom))
        left, bottom, right, top = page.box
        return largest / max((right - left) * (top - bottom), 1.0)

    def _drop_tiny(self, page: Page) -> None:
        """Hide the lines outside the page, and those too small to be read."""
        left, bottom, right, top = page.box
        hidden = [
            line
            for line in page.lines
            if line.right < left or line.left > right or line.top < bottom or line.bottom > top
            or min(line.top - line.bottom, line.right - line.left) < SMALLEST_TYPE
        ]
        if hidden:
            hidden = [line for line in hidden if len(line.text) > 1 or line.top - line.bottom < SMALLEST_TYPE]
            page.hidden += [line.text for line in hidden]
            page.lines = [line for line in page.lines if line not in hidden]

    def _part(self, text: int, words: str, page: Page, unseen: set[int]) -> None:
        """Take the invisible characters out of the lines."""
        item_of = self.calls["FPDFText_GetTextObject"]
        lines = []
        for line in page.lines:
            seen: list[int] = []
            hidden: list[int] = []
            into, inked = seen, []
            for at in range(line.first, line.last + 1):
                if item := item_of(text, at):  # a blank that PDFium made has none
                    into = hidden if item in unseen else seen
                    if into is seen:
                        inked.append(at)
                into.append(at)
            if hidden:
                page.hidden.append("".join(words[at] for at in hidden).strip())
                if not inked:
                    continue
                line = self._boxed(text, "".join(words[at] for at in seen).strip(), inked[0], inked[-1], line.hyphen and into is not hidden)
            lines.append(line)
        page.lines = lines

    def _boxed(self, text: int, words: str, first: int, last: int, hyphen: bool = False) -> Line:
        loose = self.calls["FPDFText_GetLooseCharBox"]
        loose(text, first, self.at_floats)
        left, top, _, bottom = self.floats[:4]
        loose(text, last, self.at_floats)
        return Line(words, left, bottom, self.floats[2], top, hyphen, first, last, self._is_bold(text, first))

    # text objects that stand apart

    def _find_gaps(self, text: int, words: str, page: Page) -> None:
        """Part lines where text objects stand apart by more than a blank: columns, and cells of tables."""
        boxes, places = _array((self.calls["FPDFText_CountRects"](text, 0, -1), 4), np.float64)
        _each(self.calls["FPDFText_GetRect"], repeat(text), range(len(boxes)), *places)
        gaps: dict[int, list[float]] = {}
        for k, left in _gaps(boxes, page.lines):
            gaps.setdefault(k, []).append(left)
        if gaps:
            page.lines = [
                part for k, line in enumerate(page.lines) for part in (self._cut_line(text, words, line, gaps[k]) if k in gaps else [line])
            ]

    def _cut_line(self, text: int, words: str, line: Line, lefts: list[float]) -> list[Line]:
        """A line in parts that begin at `lefts`; its characters are found by halving, because they run from left to right."""
        starts = [line.first]
        for edge in lefts:
            low, high = starts[-1] + 1, line.last
            while low < high:
                middle = (low + high) // 2
                self.calls["FPDFText_GetCharBox"](text, middle, *self.at_doubles)
                if self.doubles[0] < edge - 0.5:
                    low = middle + 1
                else:
                    high = middle
            starts.append(low)
        parts = []
        for first, after in zip(starts, [*starts[1:], line.last + 1], strict=True):
            part = words[first:after]
            if stripped := part.strip():
                first += len(part) - len(part.lstrip())
                whole = self._boxed(text, stripped, first, first + len(stripped) - 1, line.hyphen and after > line.last)
                whole.row = line.first + 1
                parts.append(whole)
        return parts


def _array(shape: tuple[int, int], kind: type, value: int = 0) -> tuple[np.ndarray, list[range]]:
    """An array filled with `value`, and the addresses of its items, by column."""
    made: np.ndarray = np.full(shape, value, kind)
    rows, size = shape[0], made.itemsize
    first = made.ctypes.data
    return made, [range(at, at + rows * shape[1] * size, shape[1] * size) for at in range(first, first + shape[1] * size, size)]


def _each(function: Callable[..., Any], *arguments: Iterable[int]) -> None:
    """Call a function with each of the arguments."""
    deque(map(function, *arguments), maxlen=0)


def _gaps(boxes: np.ndarray, lines: list[Line]) -> list[tuple[int, float]]:
    """Where a box (left, top, right, bottom) stands apart from the one before it in the same line: (the line's number, left of the box)."""
    left, top, right, bottom = boxes.T
    apart = np.flatnonzero(left[1:] - right[:-1] > NARROWEST_GAP) + 1
    if not apart.size or not lines:
        return []
    low, high = np.array([line.bottom for line in lines]), np.array([line.top for line in lines])  # (line,)
    start, end = np.array([line.left for line in lines]), np.array([line.right for line in lines])
    middle = (top + bottom) / 2
    apart = apart[np.abs(middle[apart] - middle[apart - 1]) <= (high - low).max() + 2]
    found: list[tuple[int, float]] = []
    for first in range(0, apart.size, TOGETHER):
        box = apart[first : first + TOGETHER]
        near = np.flatnonzero((low - 1 <= middle[box].max()) & (high + 1 >= middle[box].min()))
        if not near.size:
            continue
        within = np.ones((box.size, near.size), bool)
        for one in (box, box - 1):
            at = middle[one, None]
            within &= (low[near] - 1 <= at) & (at <= high[near] + 1) & (left[one, None] >= start[near] - 2) & (right[one, None] <= end[near] + 2)
        line = near[within.argmax(axis=1)]
        wide = left[box] - right[box - 1] > np.maximum(NARROWEST_GAP, 0.9 * (high - low)[line])
        chosen = within.any(axis=1) & wide
        found += zip(line[chosen].tolist(), left[box[chosen]].tolist(), strict=True)
    return found
