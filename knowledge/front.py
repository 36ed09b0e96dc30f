"""What a document's first page and its file say of it: title, authors, year."""

from __future__ import annotations

import re
from collections.abc import Mapping

from moho.knowledge.bibliography import joined
from moho.knowledge.clean import cleaned
from moho.knowledge.lines import Line, middle
from moho.knowledge.paragraphs import KNOWN, NUMBER

_NO_TITLE = re.compile(r"untitled|unspecified|anonymous|microsoft word.*|.*\.(?:docx?|dvi|tex|pdf|indd|qxd|ps|eps|rtf)|title|\W*|[\w.-]*\d{4,}[\w.-]*", re.I)  # noqa: E501
_NOT_A_NAME = re.compile(r"\d{2}|@|universit|institut|department|laborator|school|college|abstract|summary|introduction|received|accepted|http|www|journal|vol\b|press", re.I)  # noqa: E501
_ISSUED = re.compile(r"(?:©|\(c\)|copyright|published|accepted|received|revised|vol(?:ume|\.)|no\.|issue)[^\n]{0,60}?\b(19\d\d|20\d\d)\b", re.I)
_CREATED = re.compile(r"D:((?:19|20)\d\d)")
_BETWEEN = re.compile(r"\s?;\s?|\s+and\s+|\s?&\s?")  # names
_MARK = re.compile(r"[\d*†‡§¶∗]")  # beside a name
_DATED = re.compile(r"(?<![\d.])(19\d\d|20\d\d)(?![\d.])")


def front(lines: list[Line], meta: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
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
    usual = middle([line.size for line in lines])
    large = [line for line in upper if line.size > 0.93 * size and not (NUMBER.match(line.text) or KNOWN.fullmatch(line.text))]
    if not title and size > 1.1 * usual and 0 < len(large) <= 6:
        title = " ".join(cleaned(" ".join(line.text for line in large)).split())[:300]
    if not people and size > 1.1 * usual and large:
        below = [line for line in upper if line.bottom < min(line.bottom for line in large) and line.size > 0.7 * usual][:3]
        for line in below:
            if _NOT_A_NAME.search(line.text):
                break
            names = [name for name in _people(_MARK.sub(" ", line.text)) if _is_name(name)]
            if not names:
                break
            people += joined(names)
    return title, people


def _people(text: str) -> list[str]:
    parted = _BETWEEN.split(text)
    if len(parted) == 1 and text.count(",") == 1 and " " not in text.split(",")[0].strip():
        return parted  # "Family, Given"
    if ";" in text:
        return [part for part in parted if part.strip(" ,")]
    return [name.strip() for part in parted for name in part.split(",") if name.strip(" .")]


def _is_name(name: str) -> bool:
    words = name.split()
    return 2 <= len(words) <= 6 and words[0][0].isupper() and words[-1][0].isupper() and sum(word[0].isupper() for word in words) >= 2 and len(name) < 50  # noqa: E501


def year(words: str, meta: Mapping[str, str]) -> int | None:
    """The year on the first page, beside what says that it was issued; else any alone there; else that of the file."""
    if match := _ISSUED.search(words[:8000]):
        return int(match[1])
    created = _CREATED.match(meta.get("CreationDate", ""))
    years = [int(found) for found in _DATED.findall(words[:600])]
    if years and (not created or max(years) <= int(created[1])):
        return max(years)
    return int(created[1]) if created else None
