"""Finding passages: nearness of meaning and shared words together, of a passage and of the document it stands in.

Four scores a passage, each made comparable by the mean and spread of the best of its own list (a z-score): the inner product
with the passage's vector and with its document's, BM25 of the passage and of the document. The document's own rank lifts its
passages, which is worth more than any one of the others. The best are read once more by their tokens (MaxSim: Khattab and
Zaharia, 2020, SIGIR), where there is time. Weights were set on collections made of the documentation of Python packages, none
of which Moho is scored on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from moho.knowledge.embed import embed
from moho.knowledge.index import Held, Library, Record
from moho.knowledge.reader import match, tokens
from moho.knowledge.terms import expand
from moho.knowledge.vectors import Vectors
from moho.knowledge.words import Words, terms

if TYPE_CHECKING:
    from moho.knowledge.scale import Nearest

POOL = 200  # best passages of each list that are candidates
TEXTS, FIRST = 20, 20  # best documents by words whose first passages are candidates
READ = 40  # passages read again by their tokens
KEPT = 600  # passages whose tokens are remembered
ALIKE = 0.96  # cosine from which two passages say the same
ASKED, ASKED_FROM, ASKED_WORD = 12.0, 0.4, 0.2  # weight of a question kept with a passage: of its cosine above this, and of its BM25


@dataclass(frozen=True)
class Weights:
    """Of the scores: the passage's vector, its document's, the words of both, and the reading by tokens."""

    dense: float
    dense_text: float
    word: float
    word_text: float
    tokens: float


PASSAGES = Weights(0.2, 0.2, 0.1, 0.4, 1.5)  # which sentence answers hangs on the words around it
DOCUMENTS = Weights(0.5, 0.5, 0.0, 1.0, 0.5)  # what a document is about hangs on all of it


@dataclass(frozen=True)
class Filter:
    """Which documents may answer."""

    since: int | None = None  # first year
    until: int | None = None  # last year
    author: str = ""  # part of an author's name
    source: str = ""  # part of the path or title
    section: str = ""  # part of a heading

    def __bool__(self) -> bool:
        return self != Filter()

    def where(self) -> tuple[str, list[object]]:
        """As a condition over documents `d` and passages `p`."""
        parts: list[str] = []
        values: list[object] = []
        for condition, value in (
            ("d.year >= ?", self.since),
            ("d.year <= ?", self.until),
            ("d.authors LIKE ? ESCAPE '\\'", _like(self.author)),
            ("(d.source LIKE ? ESCAPE '\\' OR d.title LIKE ? ESCAPE '\\')", _like(self.source)),
            ("p.section LIKE ? ESCAPE '\\'", _like(self.section)),
        ):
            if value is not None:
                parts.append(condition)
                values += [value] * condition.count("?")
        return " AND ".join(parts) or "1", values


@dataclass(frozen=True)
class Hit:
    """A passage that was found, best first."""

    held: Held
    record: Record
    score: float  # of this search only: no probability
    nearness: float  # cosine of query and passage


@dataclass(frozen=True)
class Kept:
    """A question kept with a passage."""

    passage: int
    question: str
    sentence: str  # beginning of the one that answers it
    near: float  # cosine with the query


class Retriever:
    """Search over one library. Keeps its fast copies; make one and use it for all queries."""

    def __init__(self, library: Library, vectors: Nearest | None = None) -> None:
        library.check_encoder()
        self.library = library
        self.vectors = vectors or Vectors(library)
        self.words = Words(library)
        self._held: tuple[int, tuple[np.ndarray, np.ndarray, np.ndarray, list[tuple[str, str]]]] | None = None
        self._documents: tuple[int, set[int]] | None = None
        self._tokens: dict[int, np.ndarray] = {}

    def search(self, query: str, k: int = 8, only: Filter | None = None, read: bool = True, apart: bool = True) -> list[Hit]:
        """The `k` best passages for a question.

        `only` keeps to documents that meet it; conditions said in the query itself ("since 2020", "by Claerbout") are heeded
        as well. `read`: whether the best are read again by their tokens (tenths of a second). `apart`: whether passages
        that say the same as a better one are left out.
        """
        query, said = conditions(query, self.library)
        ranked, scores, nearness = self._scored(query, _both(only, said), read, PASSAGES)
        chosen = self._apart(ranked, k) if apart else ranked[:k]
        held = self.library.passages(chosen)
        records = self.library.records({one.document for one in held.values()})
        place = {number: i for i, number in enumerate(ranked)}
        return [
            Hit(held[n], records[held[n].document], float(scores[place[n]]), float(nearness[place[n]]))
            for n in chosen
            if n in held
        ]

    def rank(self, query: str, k: int = 10, read: bool = True) -> list[tuple[str, float]]:
        """The `k` best documents, as (source, score), best first: a document is as good as its best passage."""
        ranked, scores, _ = self._scored(query, Filter(), read, DOCUMENTS)
        owners = self.library.owners(ranked)
        best: dict[int, float] = {}
        for number, score in zip(ranked, scores, strict=True):
            if number in owners:
                best.setdefault(owners[number], float(score))
            if len(best) == k:
                break
        records = self.library.records(best)
        return [(records[number].source, score) for number, score in best.items() if number in records]

    # -- inside

    def _scored(self, query: str, only: Filter, read: bool, weights: Weights) -> tuple[list[int], np.ndarray, np.ndarray]:
        """Passages best first, their scores and cosines."""
        other = expand(query)
        vector = embed([query if not other else f"{query} ({', '.join(other)})"])[0]
        among = self.library.select(*only.where()) if only else None
        words = terms(" ".join([query, *other]))
        near, nearness = self.vectors.search(vector, POOL, among)
        by_word, word = self.words.search(words, POOL)
        texts, text = self.words.documents(words, POOL)
        lifted = self._asked(vector, words)
        wanted = np.array(sorted({*near.tolist(), *by_word.tolist(), *lifted, *self.library.of_documents(texts[:TEXTS], FIRST)}), np.int64)
        rows, papers = self.vectors.matrix(wanted if among is None else np.intersect1d(wanted, among))
        if not len(rows):
            return [], np.empty(0, np.float32), np.empty(0, np.float32)
        numbers, whose, own, theirs = rows.ids, rows.documents, rows.vectors @ vector, papers @ vector
        scores = weights.dense * _z(own, nearness) + weights.dense_text * _z(theirs, _best(theirs, whose))
        scores += weights.word * _z(_looked_up(numbers, by_word, word), _padded(word, self.vectors.current().size))
        scores += weights.word_text * _z(_looked_up(whose, texts, text), _padded(text, self.library.texts()))
        scores += np.array([lifted.get(int(number), 0.0) for number in numbers], np.float32)
        order = np.lexsort((numbers, -scores))
        numbers, scores, own = numbers[order], scores[order], own[order]
        if read and len(numbers) > 1:
            values = self._read(query, numbers[:READ])
            scores[:READ] += weights.tokens * _z(values, values)
            scores[READ:] += weights.tokens * _z(values, values).min()
            order = np.lexsort((numbers, -scores))
            numbers, scores, own = numbers[order], scores[order], own[order]
        return numbers.tolist(), scores, own

    def _asked(self, vector: np.ndarray, words: Sequence[str]) -> dict[int, float]:
        """What the questions kept with passages add to those passages' scores."""
        ids, passages, vectors, _ = self._questions()
        if not len(ids):
            return {}
        best: dict[int, float] = {}
        near = vectors @ vector
        for i in np.flatnonzero(near > ASKED_FROM):
            best[int(passages[i])] = max(best.get(int(passages[i]), 0.0), float(near[i]) - ASKED_FROM)
        lexical: dict[int, float] = {}
        place = {int(number): int(passage) for number, passage in zip(ids, passages, strict=True)}
        for number, score in zip(*self.words.asked(words, POOL), strict=True):
            if int(number) in place:
                at = place[int(number)]
                lexical[at] = max(lexical.get(at, 0.0), float(score))
        return {at: ASKED * best.get(at, 0.0) + ASKED_WORD * lexical.get(at, 0.0) for at in {*best, *lexical}}

    def answering(self, query: str, numbers: Sequence[int]) -> list[Kept]:
        """The questions kept with these passages, the nearest to the query first."""
        _, passages, vectors, texts = self._questions()
        if not len(passages):
            return []
        near = vectors @ embed([query])[0]
        mine = np.flatnonzero(np.isin(passages, list(numbers)))
        order = mine[np.argsort(-near[mine], kind="stable")]
        return [Kept(int(passages[i]), texts[i][0], texts[i][1], float(near[i])) for i in order]

    def prepared(self, hits: Sequence[Hit]) -> list[list[int]]:
        """The places of the hits in two groups: of documents that questions are kept with, and of the others."""
        _, passages, _, _ = self._questions()
        if self._documents is None or self._documents[0] != self.library.generation:
            self._documents = self.library.generation, set(self.library.owners(passages.tolist()).values())
        held = [hit.held.document in self._documents[1] for hit in hits]
        return [[i for i, with_ in enumerate(held) if with_ is one] for one in (True, False)]

    def _questions(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[tuple[str, str]]]:
        """The questions kept with passages, as of the library's generation."""
        generation = self.library.generation
        if self._held is None or self._held[0] != generation:
            ids, passages, vectors, texts = self.library.asked()
            self._held = generation, (ids, passages, vectors.astype(np.float32), texts)
        return self._held[1]

    def _read(self, query: str, numbers: np.ndarray) -> np.ndarray:
        """The passages read again: for every token of the query its nearest in the passage, on the average."""
        new = [int(number) for number in numbers if int(number) not in self._tokens]
        held = self.library.passages(new)
        for number, read in zip(held, tokens([one.passage.text for one in held.values()]), strict=True):
            self._tokens[number] = read.astype(np.float16)
        asked, none = tokens([query])[0], np.empty((0, 0), np.float16)
        values = np.array([match(asked, self._tokens.get(int(number), none).astype(np.float32)) for number in numbers], np.float32)
        while len(self._tokens) > KEPT:
            self._tokens.pop(next(iter(self._tokens)))
        return values

    def _apart(self, numbers: Sequence[int], k: int) -> list[int]:
        """The best `k`, without those that say what a better one says."""
        pool = list(numbers[: 4 * k])
        vectors = self.library.vectors(pool)
        chosen: list[int] = []
        for number in pool:
            if number not in vectors:
                continue
            mine = vectors[number].astype(np.float32)
            if all(float(mine @ vectors[other].astype(np.float32)) < ALIKE for other in chosen):
                chosen.append(number)
            if len(chosen) == k:
                break
        return chosen


_YEAR = r"(1[89]\d\d|20\d\d)"
_SAID = (
    (re.compile(rf"\b(?:from\s+)?{_YEAR}\s*(?:to|-|–|until)\s*{_YEAR}\b", re.I), "between"),
    (re.compile(rf"\b(?:since|from|after|(?:later|newer|more recent)\s+than)\s+{_YEAR}(?:\s+on(?:wards?)?)?\b", re.I), "since"),
    (re.compile(rf"\b(?:before|until|up to|till|(?:earlier|older)\s+than)\s+{_YEAR}\b", re.I), "until"),
    (re.compile(rf"\bbetween\s+{_YEAR}\s+and\s+{_YEAR}\b", re.I), "between"),
    (re.compile(rf"\b(?:published\s+in|papers?\s+(?:of|from|in)|from the year)\s+{_YEAR}\b", re.I), "in"),
)
_BY = re.compile(r"\b(?:written |published |papers? )?by\s+([A-ZÀ-Þ][\w'’-]+)(?:\s+et al\.?)?")


def conditions(query: str, library: Library) -> tuple[str, Filter]:
    """The query without the conditions it states, and those: years always, an author only where the library has one of that name."""
    found: dict[str, object] = {}
    for pattern, kind in _SAID:
        match = pattern.search(query)
        if match is None:
            continue
        year = int(match[1])
        after = not match[0].lower().startswith(("since", "from"))
        before = match[0].lower().startswith(("before", "earlier", "older"))
        found |= {
            "since": {"since": year + after},
            "until": {"until": year - before},
            "between": {"since": year, "until": int(match[2]) if kind == "between" else year},
            "in": {"since": year, "until": year},
        }[kind]
        query = query.replace(match[0], " ")
    match = _BY.search(query)
    if match and library.execute("SELECT 1 FROM documents WHERE authors LIKE ? ESCAPE '\\' LIMIT 1", (_like(match[1]),)):
        found["author"] = match[1]
        query = query.replace(match[0], " ")
    return " ".join(query.split()), Filter(**found)  # type: ignore[arg-type]


def _both(first: Filter | None, second: Filter) -> Filter:
    if first is None:
        return second
    return Filter(*(getattr(first, name) or getattr(second, name) for name in ("since", "until", "author", "source", "section")))


def _like(part: str) -> str | None:
    escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%" if part else None


def _z(values: np.ndarray, best: np.ndarray) -> np.ndarray:
    """`values` in standard deviations of the best ones from their mean."""
    spread = float(best.std()) if len(best) > 1 else 0.0
    return np.zeros_like(values) if spread < 1e-6 else (values - float(best.mean())) / spread


def _best(values: np.ndarray, whose: np.ndarray) -> np.ndarray:
    """The value of each document once, the best first."""
    _, first = np.unique(whose, return_index=True)
    return np.sort(values[first])[::-1][:POOL]


def _looked_up(numbers: np.ndarray, found: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The score of each number; of one that is not among those found the lowest there, or zero where all were found."""
    known = dict(zip(found.tolist(), scores.tolist(), strict=True))
    floor = float(scores.min()) if len(scores) >= POOL else 0.0
    return np.array([known.get(int(number), floor) for number in numbers], np.float32)


def _padded(scores: np.ndarray, many: int) -> np.ndarray:
    """The best scores among `many`; what shares no word with the query counts as zero."""
    return np.concatenate([scores, np.zeros(max(0, min(POOL, many) - len(scores)), np.float32)])
