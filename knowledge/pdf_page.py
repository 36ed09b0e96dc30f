"""The lines of a PDF's page through PDFium: their words, their boxes, and which of them a reader of the page cannot see.

Speed decides the shape of this module. PDFium gives a page's text at once and is asked for two boxes a line, for the mode and colour of
each text object, and for single characters only on pages where objects stand apart within a line (columns that PDFium took for one
line, tables) or are drawn invisibly. Functions are called by prototypes that take addresses, three times as fast as `pypdfium2.raw`.
"""

from __future__ import annotations

import ctypes
import re
from array import array
from collections.abc import Callable
from ctypes import c_double, c_float, c_int, c_uint, c_void_p
from typing import Any

from moho.knowledge.layout import Line, Page

LARGEST_PAGE = 200_000  # characters; what is beyond is left out, and said
MOST_OBJECTS = 200_000  # on a page, that are looked at
SMALLEST_TYPE = 1.0  # pt; text below it is not meant to be read
WHITE = 240  # of 255: every channel above it is white on white paper
SCANNED = 0.5  # share of a page that an image covers where text drawn invisibly is the scan's recognised text

_TEXT, _PATH, _IMAGE, _SHADING, _FORM = 1, 2, 3, 4, 5  # FPDF_PAGEOBJ_*
_UNSEEN = (3, 7)  # text render modes: neither filled nor stroked
_BOLD = (b"bold", b"black", b"heavy", b"cmbx", b"sfbx", b"-medi", b"ptmb", b"phvb", b"demi")  # in a font's name
_ENDS = re.compile("\r\n|\ufffe")  # of a line: \ufffe stands for the hyphen at its end
_PROTOTYPES: dict[str, tuple[Any, ...]] = {  # result, arguments
    "FPDF_LoadPage": (c_void_p, c_void_p, c_int),
    "FPDF_ClosePage": (None, c_void_p),
    "FPDF_GetPageBoundingBox": (c_int, c_void_p, c_void_p),
    "FPDFText_LoadPage": (c_void_p, c_void_p),
    "FPDFText_ClosePage": (None, c_void_p),
    "FPDFText_CountChars": (c_int, c_void_p),
    "FPDFText_GetText": (c_int, c_void_p, c_int, c_int, c_void_p),
    "FPDFText_GetCharIndexFromTextIndex": (c_int, c_void_p, c_int),
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


class Reader:
    """Reads the pages of an opened document, with buffers of its own so that a call allocates nothing."""

    def __init__(self, document: Any) -> None:
        import pypdfium2.raw as pdfium

        self.document = ctypes.cast(document, c_void_p).value
        self.calls: dict[str, Callable[..., Any]] = {
            name: ctypes.PYFUNCTYPE(*types)(ctypes.cast(getattr(pdfium, name), c_void_p).value or 0) for name, types in _PROTOTYPES.items()
        }
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
        words = ctypes.string_at(self.characters, 2 * max(got - 1, 0)).decode("utf-16-le", "replace")
        if len(words) != kept:  # some characters have no text of their own, or two units
            codes = [calls["FPDFText_GetUnicode"](text, i) for i in range(kept)]
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
        for match in [*_ENDS.finditer(words), None]:
            end = match.start() if match else len(words)
            piece = words[start:end]
            stripped = piece.strip()
            if stripped:
                first = start + len(piece) - len(piece.lstrip())
                found.append((stripped, first, first + len(stripped) - 1, match is not None and end + 1 == match.end()))
            start = match.end() if match else end
        boxes = array("f", bytes(32 * len(found)))
        at, _ = boxes.buffer_info()
        loose = self.calls["FPDFText_GetLooseCharBox"]
        for _, first, last, _ in found:
            loose(text, first, at)
            loose(text, last, at + 16)
            at += 32
        lines: list[Line] = []
        bold = False
        edges = iter(boxes.tolist())
        for (stripped, first, last, hyphen), left, top, right, bottom, left_, top_, right_, bottom_ in zip(found, *[edges] * 8, strict=True):
            if bottom_ > top or top_ < bottom:  # the line runs up or down the page
                page.down += 1 if top_ < bottom else -1
                line = Line(stripped, min(left, left_), min(bottom, bottom_), max(right, right_), max(top, top_), hyphen, first, last)
            elif right_ < left:  # from right to left, or on its head
                page.over += stripped[0] < "\u0590"
                line = Line(stripped, left_, bottom, right, top, hyphen, first, last)
            else:
                line = Line(stripped, left, bottom, right_, top, hyphen, first, last)
            if len(stripped) < 70 and (bold or stripped[0].isupper() or stripped[0].isdigit()) and stripped[-1] not in ".,;":
                bold = line.bold = self._is_bold(text, first)
            else:
                bold = False
            lines.append(line)
        return lines

    def _is_bold(self, text: int, at: int) -> bool:
        """Whether the font of a character is called bold."""
        got = self.calls["FPDFText_GetFontInfo"](text, at, self.at_name, 128, self.at_whole[0])
        name = self.name.raw[: max(got - 1, 0)].lower() if got <= 128 else b""
        return any(mark in name for mark in _BOLD)

    # what is not to be seen

    def _unseen(self, handle: int, many: int, page: Page, lines: int) -> tuple[set[int], int]:
        """The text objects that a reader of the page cannot see, by address, and how many text objects there are."""
        calls = self.calls
        get, mode_of, kind_of = calls["FPDFPage_GetObject"], calls["FPDFTextObj_GetTextRenderMode"], calls["FPDFPageObj_GetType"]
        items = [get(handle, i) for i in range(min(many, MOST_OBJECTS))]
        nested = len(items)  # from here on they are in forms, whose places are their own
        modes = [mode_of(item) for item in items]
        at = 0
        while -1 in modes[at:]:
            at = modes.index(-1, at)
            if kind_of(items[at]) == _FORM:
                inner = min(calls["FPDFFormObj_CountObjects"](items[at]), MOST_OBJECTS - len(items))
                items += [calls["FPDFFormObj_GetObject"](items[at], i) for i in range(inner)]
                modes += [mode_of(item) for item in items[len(modes) :]]
            at += 1
        texts = [(place, item) for place, (item, mode) in enumerate(zip(items, modes, strict=True)) if mode >= 0]
        unseen: set[int] = set()
        strokeless = {item for place, item in texts if modes[place] in _UNSEEN}
        if strokeless:
            page.image = self._image_share(handle, many, page)
            page.recognised = page.image > SCANNED and len(strokeless) > 0.9 * len(texts)
            if not page.recognised:
                unseen |= strokeless
        for place, item in self._white(texts):
            if modes[place] in (0, 4) and (place >= nested or not self._on_dark(items[:place], item)):
                unseen.add(item)
        if len(texts) > lines:  # else an object is a line, which has a box
            left, bottom, right, top = page.box
            bounds_of = calls["FPDFPageObj_GetBounds"]
            for place, item in texts:
                if bounds_of(item, *self.at_bounds):
                    low, below, high, above = self.bounds
                    if (above - below < SMALLEST_TYPE and self._type_size(item) < SMALLEST_TYPE) or (place < nested and (low > right or high < left or below > top or above < bottom)):  # noqa: E501
                        unseen.add(item)
        return unseen, len(texts)

    def _white(self, texts: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """The text objects that are white or transparent."""
        colours = array("I", [128]) * (4 * len(texts))
        at, _ = colours.buffer_info()
        fill_of = self.calls["FPDFPageObj_GetFillColor"]
        for _, item in texts:
            fill_of(item, at, at + 4, at + 8, at + 12)
            at += 16
        light, alpha = list(map(min, colours[0::4], colours[1::4], colours[2::4])), colours[3::4]
        if not light or (max(light) <= WHITE and min(alpha) > 0):
            return []
        return [text for text, channel, opaque in zip(texts, light, alpha, strict=True) if channel > WHITE or opaque == 0]

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
        lines, at = page.lines, 0
        gaps: dict[int, list[float]] = {}
        last, edge = -1, 0.0
        rect_of, (to_left, to_top, to_right, to_bottom) = self.calls["FPDFText_GetRect"], self.at_doubles
        for i in range(self.calls["FPDFText_CountRects"](text, 0, -1)):
            rect_of(text, i, to_left, to_top, to_right, to_bottom)
            left, top, right, bottom = self.doubles
            middle = (top + bottom) / 2
            for k in range(at, min(at + 6, len(lines))):
                line = lines[k]
                if line.bottom - 1 <= middle <= line.top + 1 and left >= line.left - 2 and right <= line.right + 2:
                    if last == k and left - edge > max(8.0, 0.9 * (line.top - line.bottom)):
                        gaps.setdefault(k, []).append(left)
                    last, edge, at = k, right, k
                    break
        if gaps:
            page.lines = [part for k, line in enumerate(lines) for part in (self._cut_line(text, words, line, gaps[k]) if k in gaps else [line])]

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
