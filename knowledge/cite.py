"""Answers from the literature: evidence under short keys, quotations that are verbatim, and "not in these sources".

`quote` answers without a language model: it chooses and orders sentences of passages, and says no more than they say. A
larger model may write sentences of its own over the same evidence; `verify` holds each to the passages it names. What has
no key, a key that was not retrieved, a quotation that is not in its passage or a number that is not there goes back to the
model once and is then struck with a visible mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from moho.knowledge.embed import embed
from moho.knowledge.index import Record
from moho.knowledge.judge import Line, judged
from moho.knowledge.passages import Passage, sentences
from moho.knowledge.reader import match, tokens
from moho.knowledge.retrieve import Filter, Hit, Retriever
from moho.knowledge.words import stems, terms

NOTHING = "Not in these sources."
STRUCK = "[struck: no source]"
LENGTH = 6  # characters of a key
KEY = re.compile(r"\[([a-z2-7]{6}(?:\s*[,;]\s*[a-z2-7]{6})*)\]")
SHOWN = 3  # sentences of an extractive answer
BESIDE, JUDGED = 1, 12  # passages that are weighed beside those asked for, and sentences that are judged
ANSWERS = 3.0  # what a sentence that surely answers adds to the score of its passage
SUPPORT = 0.5  # of the words of a sentence that its passages hold, below which it is not supported


@dataclass(frozen=True)
class Evidence:
    """A passage that may be cited in this turn."""

    key: str
    text: str  # the passage
    title: str
    where: str  # "p. 3", the section, or both
    source: str
    passage: int  # its id in the library

    @property
    def label(self) -> str:
        """Title and place, as an answer names them."""
        return f"{self.title}{f', {self.where}' if self.where else ''}"


@dataclass(frozen=True)
class Quote:
    """A sentence of a passage, word for word."""

    text: str
    key: str
    nearness: float  # cosine with the question


@dataclass(frozen=True)
class Answer:
    """What the library says to a question."""

    text: str  # quotations with their keys, or NOTHING
    supported: bool
    quotes: tuple[Quote, ...]
    evidence: tuple[Evidence, ...]  # all that was retrieved, best first, also where the answer is NOTHING
    belief: float  # how sure it is that the passages answer, 0 to 1


def key(text: str) -> str:
    """The stable name of a passage: the same wherever and whenever it is indexed.

    >>> key("The low-frequency model supplies the trend.") == key("The low-frequency model supplies the trend.")
    True
    """
    number = int.from_bytes(sha256(text.encode()).digest()[:5], "big")
    return "".join("abcdefghijklmnopqrstuvwxyz234567"[(number >> 5 * i) & 31] for i in range(LENGTH))


def evidence(hits: Sequence[Hit]) -> tuple[Evidence, ...]:
    """Hits as what may be cited."""
    return tuple(
        Evidence(
            key(hit.held.passage.text), hit.held.passage.text, hit.record.label, place(hit.held.passage, hit.record), hit.record.source, hit.held.id
        )
        for hit in hits
    )


def place(passage: Passage, record: Record) -> str:
    """Where in its document a passage stands: page, and the last headings."""
    section = " > ".join(part for part in passage.section.split(" > ") if part != record.title)
    hidden = "text that it does not show" if passage.kind == "invisible" else ""
    return ", ".join(part for part in (f"p. {passage.page}" if passage.page else "", section, hidden) if part)


def quote(retriever: Retriever, question: str, k: int = 5, shown: int = SHOWN, only: Filter | None = None) -> Answer:
    """The sentences of the library that answer a question, word for word, or NOTHING where support is missing."""
    hits = [hit for hit in retriever.search(question, k + BESIDE, only) if hit.held.passage.kind in ("text", "table")]
    lines = weighed(retriever, question, hits)
    best = [hit.score + ANSWERS * max((line.answers for line in lines if line.rank == rank), default=0.0) for rank, hit in enumerate(hits)]
    kept = sorted(range(len(hits)), key=lambda rank: -best[rank])[:k]
    found = evidence([hits[rank] for rank in kept])
    if not lines:
        return Answer(NOTHING, False, (), found, 0.0)
    belief = 0.0
    for inside in retriever.prepared(hits):  # documents that questions are kept with, and the others
        if mine := [line for line in lines if line.rank in inside]:
            belief = max(belief, believed(features(retriever, question, [hits[rank] for rank in inside], mine)))
    if belief < 0.5:
        return Answer(NOTHING, False, (), found, belief)
    able = sorted((line for line in lines if line.rank in kept), key=lambda line: -line.worth)
    chosen: list[Weighed] = []
    for line in able:
        if len(chosen) < shown and line.worth > 0.8 * able[0].worth and all(line.text != other.text for other in chosen):
            chosen.append(line)
    quotes = tuple(Quote(line.text, found[kept.index(line.rank)].key, line.near) for line in chosen)
    return Answer(" ".join(f"“{one.text}” [{one.key}]" for one in quotes), True, quotes, found, belief)


@dataclass(frozen=True)
class Weighed:
    """A sentence of a hit and what speaks for it."""

    text: str
    rank: int  # of its hit
    near: float  # cosine with the question
    fit: float  # of its tokens
    kept: float  # nearness of the nearest question kept with it
    odds: float  # the judge's, that it answers; -inf where the judge was not asked

    @property
    def answers(self) -> float:
        """The judge's odds between 0 and 1."""
        return float(1 / (1 + np.exp(-self.odds)))

    @property
    def worth(self) -> float:
        """By which quotations are ordered."""
        return self.fit + 0.5 * max(self.kept - 0.4, 0.0) - 0.02 * self.rank + 0.2 * self.answers


def weighed(retriever: Retriever, question: str, hits: Sequence[Hit]) -> list[Weighed]:
    """The sentences of the hits; those that look best by the rest are put before the judge."""
    lines = [(line, rank) for rank, hit in enumerate(hits) for line in lines_of(hit.held.passage, hit.record.title)]
    if not lines:
        return []
    near = embed([f"{line.title}. {line.text}" for line, _ in lines]) @ embed([question])[0]
    asked = tokens([question])[0]
    fit = np.array([match(asked, one) for one in tokens([line.text for line, _ in lines])])
    expected, flat = np.zeros(len(lines)), [_flat(line.text) for line, _ in lines]
    for one in retriever.answering(question, [hit.held.id for hit in hits]):
        beginning = _flat(one.sentence)
        for i, (_, rank) in enumerate(lines):
            if hits[rank].held.id == one.passage and flat[i].startswith(beginning):
                expected[i] = max(expected[i], one.near)
    promise = fit + 0.5 * near + 0.5 * np.maximum(expected - 0.4, 0) - 0.01 * np.array([rank for _, rank in lines])
    read = np.argsort(-promise, kind="stable")[:JUDGED]
    odds = np.full(len(lines), -np.inf)
    odds[read] = judged(question, [lines[i][0] for i in read])
    measured = zip(near.tolist(), fit.tolist(), expected.tolist(), odds.tolist(), strict=True)
    return [Weighed(line.text, rank, *values) for (line, rank), values in zip(lines, measured, strict=True)]


# What tells a question that is answered from one that is not, by logistic regression: where questions are kept with the documents, on the
# development questions, most of which it cannot answer were written to be hard to decline; for all other documents, on pages that
# the judge did not learn from, with and without the page that answers.
KEPT: Mapping[str, float] = {
    "bias": -2.193, "judge": 1.014, "near": -6.278, "fit": -10.358, "kept": 11.812, "next": 7.168, "shared": 2.89, "words": -0.163,
}  # fmt: skip
# The regression counts a near sentence against an answer that no kept question leads to. Where judge, kept question and words all speak
# for it, it is one.
PLAINLY: Mapping[str, float] = {"judge": 1.25, "kept": 0.48, "shared": 0.75}
PLAIN: Mapping[str, float] = {"bias": 0.38, "judge": 0.747}


def features(retriever: Retriever, question: str, hits: Sequence[Hit], lines: Sequence[Weighed]) -> dict[str, float]:
    """What tells a question that is answered from one that is not: see `KEPT`."""
    kept = retriever.answering(question, [hit.held.id for hit in hits])[:JUDGED]
    words = terms(question)
    rare = retriever.words.rarity(words) if words else np.zeros(1)
    known = set().union(*(stems(f"{one.question} {one.sentence}") for one in kept))
    here = np.array([bool(stems(word) & known) for word in words]) if words else np.ones(1, bool)
    nearest = sorted((line.kept for line in lines), reverse=True)
    return {
        "bias": 1.0,
        "judge": max(-12.0, *(line.odds for line in lines)),
        "near": max(line.near for line in lines),
        "fit": max(line.fit for line in lines),
        "kept": nearest[0],  # nearness of the nearest question kept with a sentence, and with another sentence
        "next": nearest[min(1, len(nearest) - 1)],
        "shared": float((rare * here).sum() / max(rare.sum(), 1e-9)),  # of the question's words with those of the kept ones, rare ones counting more
        "words": float(len(words)),
    }


def believed(known: Mapping[str, float]) -> float:
    """How sure it is that passages with these features answer, 0 to 1."""
    weights = KEPT if known["kept"] else PLAIN
    belief = float(1 / (1 + np.exp(-sum(weight * known[name] for name, weight in weights.items()))))
    return max(belief, 0.5) if known["kept"] and all(known[name] > least for name, least in PLAINLY.items()) else belief


@dataclass(frozen=True)
class Verified:
    """A written answer after the check."""

    text: str  # what has no source struck
    used: tuple[str, ...]  # keys that stand in it
    faults: tuple[str, ...]  # what was struck and why, for the model to mend


def verify(text: str, held: Sequence[Evidence], whole: bool = True) -> Verified:
    """`text` with every sentence held to the passages it names: keys known, quotations verbatim, numbers and words there.

    `whole`: every sentence is of the literature; otherwise those that name no passage are left as they are.
    """
    known = {one.key: one for one in held}
    pieces: list[str] = []
    faults: list[str] = []
    used: dict[str, None] = {}
    position = 0
    for start, end in _claims(text):
        sentence = text[start:end]
        pieces.append(text[position:start])
        position = end
        keys = [name for match in KEY.finditer(sentence) for name in re.split(r"\s*[,;]\s*", match[1])]
        fault = _fault(KEY.sub("", sentence), keys, known) if keys or whole else ""
        if fault and sentence.strip() != NOTHING:
            faults.append(f"“{sentence.strip()[:120]}”: {fault}")
            pieces.append(STRUCK)
        else:
            used |= dict.fromkeys(keys)
            pieces.append(sentence)
    return Verified("".join([*pieces, text[position:]]), tuple(used), tuple(faults))


def _claims(text: str) -> Iterator[tuple[int, int]]:
    """Sentences, each with the keys that follow its full stop."""
    spans = list(sentences(text))
    joined: list[list[int]] = []
    for start, end in spans:
        rest = KEY.sub("", text[start:end]).strip(" .")
        if joined and not rest:
            joined[-1][1] = end
            continue
        lead = re.match(rf"(?:\s*{KEY.pattern}\s*)+", text[start:end])
        if joined and lead:  # "… depth. [abcdef] The next …": the key belongs to what stands before it
            joined[-1][1] = start + lead.end()
            start += lead.end()
        joined.append([start, end])
    yield from ((start, end) for start, end in joined)


def _fault(words: str, keys: Sequence[str], known: Mapping[str, Evidence]) -> str:
    """What is wrong with a sentence and its keys; "" where nothing is."""
    if not keys:
        return "it names no passage"
    if unknown := [name for name in keys if name not in known]:
        return f"there is no passage {', '.join(unknown)} among those retrieved"
    passages = " ".join(known[name].text for name in keys)
    flat = _flat(passages)
    for quoted in re.findall(r"[“\"]([^”\"]{12,})[”\"]", words):
        if _flat(quoted).rstrip(".…") not in flat:
            return f"the passage does not say “{quoted[:60]}”"
    numbers = set(re.findall(r"\d+(?:[.,]\d+)*", words))
    if missing := sorted(numbers - set(re.findall(r"\d+(?:[.,]\d+)*", passages))):
        return f"the passage has no {', '.join(missing)}"
    said = stems(words)
    if said and len(said & stems(passages)) / len(said) < SUPPORT:
        return "the passage speaks of something else"
    return ""


@dataclass(frozen=True)
class Clash:
    """Two sentences of different sources that may contradict each other. Not judged: a person has to read them."""

    first: Quote
    second: Quote
    why: str


_AGAINST = (
    ("increase", "decrease"), ("increases", "decreases"), ("higher", "lower"), ("positive", "negative"), ("above", "below"), ("faster", "slower"),
    ("thicker", "thinner"), ("before", "after"), ("always", "never"), ("must", "need not"), ("possible", "impossible"), ("larger", "smaller"),
    ("overestimates", "underestimates"), ("improves", "degrades"), ("stable", "unstable"), ("sufficient", "insufficient"), ("better", "worse"),
)  # fmt: skip
_NOT = re.compile(r"\b(?:not|no|never|cannot|without|neither|nor|fails? to|does not|do not|is not|are not)\b", re.I)
_VALUE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:-|to)?\s*(\d+(?:\.\d+)?)?\s*(Hz|ms|s|m|km|m/s|km/s|mGal|nT|%|kg/m3|g/cc|ohm m|degrees)\b")


def clashes(retriever: Retriever, question: str, k: int = 12) -> tuple[list[Clash], tuple[Evidence, ...]]:
    """Sentences on one matter from different sources that differ by a negation, an opposite word or a number."""
    hits = [hit for hit in retriever.search(question, k, apart=False) if hit.held.passage.kind == "text"]
    found = evidence(hits)
    asked = embed([question])[0] if hits else np.empty(0)
    lines = [(text, rank) for rank, hit in enumerate(hits) for text in _quotable(hit.held.passage)]
    if not lines:
        return [], found
    vectors = embed([text for text, _ in lines])
    near = vectors @ asked
    alike = vectors @ vectors.T
    about = [i for i in np.argsort(-near, kind="stable")[:40] if near[i] > 0.35]
    pairs: list[tuple[float, Clash]] = []
    for place_, i in enumerate(about):
        for j in about[place_ + 1 :]:
            if found[lines[i][1]].source == found[lines[j][1]].source or alike[i, j] < 0.6:
                continue
            if why := _against(lines[i][0], lines[j][0]):
                first, second = (Quote(lines[n][0], found[lines[n][1]].key, float(near[n])) for n in (i, j))
                pairs.append((float(alike[i, j]), Clash(first, second, why)))
    pairs.sort(key=lambda pair: -pair[0])
    return [clash for _, clash in pairs[:5]], found


def _against(first: str, second: str) -> str:
    """How two sentences on one matter may contradict each other; "" where nothing shows it."""
    one, two = stems(_NOT.sub("", first)), stems(_NOT.sub("", second))
    shared = len(one & two) / max(1, min(len(one), len(two)))
    if shared < 0.5:
        return ""
    if bool(_NOT.search(first)) != bool(_NOT.search(second)):
        return "one denies what the other states"
    a, b = set(re.findall(r"[a-z]+", first.casefold())), set(re.findall(r"[a-z]+", second.casefold()))
    for left, right in _AGAINST:
        if (left in a and right in b and right not in a) or (right in a and left in b and left not in a):
            return f"“{left}” against “{right}”"
    values = [{(unit, low): (float(low), float(high or low)) for low, high, unit in _VALUE.findall(text)} for text in (first, second)]
    for (unit, _), (low, high) in values[0].items():
        for (other, _), (least, most) in values[1].items():
            if unit == other and (high < least or most < low):
                return f"{low:g} against {least:g} {unit}"
    return ""


def _quotable(passage: Passage) -> list[str]:
    """The sentences of a passage that can stand in an answer."""
    return [line.text for line in lines_of(passage)]


def lines_of(passage: Passage, title: str = "") -> list[Line]:
    """The sentences of a passage that can stand in an answer, each with the one before it."""
    found = [part for a, b in sentences(passage.text) for part in _ITEM.split(passage.text[a:b]) if part.strip()]
    return [Line(text, title, found[i - 1] if i else "") for i, text in enumerate(found) if 5 <= len(text.split()) <= 80]


# Before an item of a list, and after a unit of one letter, which ends a sentence where an initial does not.
_ITEM = re.compile(r"(?:^|\s*\n\s*)[-*•]\s+|(?<=[ /][a-z]\.)\s+(?=[A-Z])")


def _flat(text: str) -> str:
    return " ".join(text.casefold().replace("’", "'").split())
