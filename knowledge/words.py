"""The words of the library: BM25 over passages, by SQLite's FTS5 while it is small and by tantivy when it is large.

FTS5 lives in the library's own file and is never behind. From `LARGE` passages on, a tantivy index beside it answers in a
fraction of the time; what the library has seen since that was written comes from FTS5, and removed passages are left out. One
that is absent, damaged or of another library is made again.
Both use k1 = 1.2 and b = 0.75 and Porter's stems (Robertson and Zaragoza, 2009, Foundations and Trends in IR).
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import threading
from collections.abc import Sequence
from functools import cache, lru_cache
from hashlib import sha256
from itertools import islice
from math import log, log1p
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from moho.knowledge.index import Library
from moho.store import atomic_write
from moho.store import digest as file_digest

LARGE = 20_000  # passages from which tantivy pays
BEHIND = 0.05  # share of the tantivy index that FTS5 may answer for
LONGEST = 100  # characters of a word
POINTER = "words.json"
LOCK = ".words.lock"
STOP = frozenset(
    """
    a about above after again all also am an and any are as at be because been before being below between both but by can could did do does
    doing done down during each few for from further had has have having he her here hers him his how i if in into is it its itself just me
    more most my no nor not now of off on once only or other our out over own paper please s same say says she should show so some such t
    tell than that the their them then there these they this those through to too under until up us very was we were what when where which
    while who whom why will with would you your
    """.split()  # noqa: SIM905
)
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")


class Words:
    """The passages of a library that share words with a query."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._lock = threading.Lock()
        self._held: tuple[str, Any] | None = None  # folder and what `_opened` gives

    def search(self, query: str | Sequence[str], k: int) -> tuple[np.ndarray, np.ndarray]:
        """(ids, BM25 scores above zero) of the `k` best passages, best first. A list gives the terms as they are; text is cut into words."""
        words = terms(query) if isinstance(query, str) else _plain(query)
        fast = self._fast() if words else None
        if fast is None:
            return self._fts(words, k)
        generation, last, (index, searcher) = fast
        gone = "SELECT passage FROM removed WHERE generation > ? AND passage <= ?"
        removed = {row[0] for row in self.library.execute(gone, (generation, last))}
        hits = searcher.search(_asked(index.schema, searcher, words), k + len(removed)).hits
        found = ((searcher.doc(address)["id"][0], score) for score, address in hits)
        kept = islice(((number, score) for number, score in found if number not in removed), k)
        newer = self.library.execute("SELECT 1 FROM passages WHERE id > ? LIMIT 1", (last,))
        ids, scores = self._fts(words if newer else (), k, after=last)
        every = [*kept, *zip(ids.tolist(), scores.tolist(), strict=True)]
        every.sort(key=lambda pair: (-pair[1], pair[0]))
        return np.array([n for n, _ in every[:k]], np.int64), np.array([s for _, s in every[:k]], np.float32)

    def documents(self, words: Sequence[str], k: int) -> tuple[np.ndarray, np.ndarray]:
        """(ids, BM25 scores above zero) of the `k` documents whose whole text fits the terms best."""
        return self._fts(_plain(words), k, "texts")

    def rarity(self, words: Sequence[str]) -> np.ndarray:
        """How rare each term is among the passages: 1 where none has it, 0 where all have."""
        many = max(self.library.size(), 2)
        counts = [self.library.execute("SELECT count(*) FROM words WHERE words MATCH ?", (_quoted(word),))[0][0] for word in words]
        return np.array([1 - np.log(count + 1) / np.log(many + 1) for count in counts])

    def asked(self, words: Sequence[str], k: int) -> tuple[np.ndarray, np.ndarray]:
        """(ids, BM25 scores above zero) of the `k` questions kept with passages that fit the terms best."""
        return self._fts(words, k, "asked_words") if words else (np.empty(0, np.int64), np.empty(0, np.float32))

    def snapshot(self) -> None:
        """Write the tantivy index, where the library is large and the last one is absent or far behind."""
        size = self.library.size()
        if size < LARGE:
            return
        if (fast := self._fast()) is not None:
            fresh = self.library.execute("SELECT count(*) FROM passages WHERE id > ?", (fast[1],))[0][0]
            gone = self.library.execute("SELECT count(*) FROM removed WHERE generation > ?", (fast[0],))[0][0]
            if fresh + gone <= BEHIND * size:
                return
        with open(self.library.folder / LOCK, "a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # another process is writing one
                return
            self._write()

    # -- inside

    def _fts(self, words: Sequence[str], k: int, table: str = "words", after: int = 0) -> tuple[np.ndarray, np.ndarray]:
        if not words:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        match = " OR ".join(map(_quoted, words))
        rows = self.library.execute(
            f"SELECT rowid, -bm25({table}, 1.0, 1.0) AS score FROM {table} WHERE {table} MATCH ? AND rowid > ? ORDER BY score DESC, rowid LIMIT ?",
            (match, after, k),
        )
        return np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.float32)

    def _pointer(self) -> dict[str, Any] | None:
        try:
            found = json.loads((self.library.folder / POINTER).read_text())
        except (OSError, ValueError):
            return None
        known = isinstance(found, dict) and isinstance(found.get("generation"), int) and isinstance(found.get("last"), int)
        mine = known and found.get("library") == self.library.identity and re.fullmatch(r"words-[0-9a-f]{12}", str(found.get("folder")))
        return found if mine else None

    def _fast(self) -> tuple[int, int, Any] | None:
        """(generation, last id, (index, searcher)) of tantivy, where there is one that the library has not been set back behind."""
        pointer = self._pointer()
        if pointer is None or pointer["generation"] > self.library.generation:
            return None
        with self._lock:
            if self._held is None or self._held[0] != pointer["folder"]:
                self._held = pointer["folder"], self._opened(pointer)
            index = self._held[1]
        return None if index is None else (pointer["generation"], pointer["last"], index)

    def _opened(self, pointer: dict[str, Any]) -> Any:
        """(tantivy.Index, its Searcher) that the pointer names, when it is whole; None otherwise. The searcher remembers what it has read."""
        import tantivy

        folder = self.library.folder / pointer["folder"]
        try:
            if _digest(folder) != pointer.get("sha256"):
                return None
            index = tantivy.Index.open(str(folder))
            return index, index.searcher()  # which wants to lock the folder, as one that may only be read does not allow
        except (OSError, ValueError):
            return None

    def _write(self) -> None:
        """A new tantivy index in a folder of its own, then the pointer to it."""
        import tantivy

        generation, last = self.library.generation, 0
        folder = self.library.folder / f"words-{uuid4().hex[:12]}"
        folder.mkdir()
        builder = tantivy.SchemaBuilder()
        builder.add_integer_field("id", stored=True, indexed=True)
        builder.add_text_field("text", stored=False, tokenizer_name="words")  # with the heading, as FTS5 counts both together
        index = tantivy.Index(builder.build(), path=str(folder))
        index.register_tokenizer("words", _analyzer())
        writer = index.writer(heap_size=64 * 2**20, num_threads=1)
        while rows := self.library.execute("SELECT id, text, heading FROM passage_words WHERE id > ? ORDER BY id LIMIT 5000", (last,)):
            for number, text, heading in rows:
                writer.add_document(tantivy.Document(id=number, text=f"{text}\n{heading}"))
            last = rows[-1][0]
        writer.commit()
        writer.wait_merging_threads()
        pointer = {"generation": generation, "library": self.library.identity, "last": last, "folder": folder.name, "sha256": _digest(folder)}
        atomic_write(self.library.folder / POINTER, json.dumps(pointer).encode(), replace=True)
        for old in self.library.folder.glob("words-*"):
            if old.name != folder.name:
                shutil.rmtree(old, ignore_errors=True)


def _plain(words: Sequence[str]) -> list[str]:
    """Words that neither engine takes for its own signs."""
    found = (re.sub(r'["\0\ud800-\udfff]', " ", word) for word in words)
    return [word for word in found if _WORD.search(word) and len(word) <= LONGEST]


@cache
def _analyzer() -> Any:
    """Words as FTS5 makes them: without case and marks over letters, stemmed."""
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    builder = TextAnalyzerBuilder(Tokenizer.simple())
    for one in (Filter.remove_long(LONGEST * 4), Filter.lowercase(), Filter.ascii_fold(), Filter.stemmer("english")):
        builder = builder.filter(one)
    return builder.build()


def _asked(schema: Any, searcher: Any, words: Sequence[str]) -> Any:
    """A query for any of the words; one with a hyphen is sought as it stands.

    tantivy's weight of a rare word is that of FTS5, but not of a common one: ln(1 + x) for ln x. Set right, both rank and
    count alike, and their hits can stand in one list.
    """
    from tantivy import Occur, Query

    def odds(many: int) -> float:
        return float((searcher.num_docs - many + 0.5) / (many + 0.5))

    queries = []
    for part in filter(None, map(_analyzer().analyze, words)):
        query = Query.term_query(schema, "text", part[0]) if len(part) == 1 else Query.phrase_query(schema, "text", part)
        each = [searcher.doc_freq("text", one) for one in part]
        many = each[0] if len(part) == 1 else searcher.search(query, 1).count
        queries.append(Query.boost_query(query, max(log(odds(many)), 1e-6) / sum(log1p(odds(one)) for one in each)))
    return Query.boolean_query([(Occur.Should, query) for query in queries])


def _digest(folder: Path) -> str:
    """SHA-256 of an index's files."""
    whole = sha256()
    for path in sorted(folder.iterdir()):
        if not path.name.startswith("."):
            whole.update(f"{path.name}\n{file_digest(path)}\n".encode())
    return whole.hexdigest()


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'


def terms(text: str) -> list[str]:
    """The words of a query that carry meaning, folded, each once; a hyphened word also in its parts."""
    found: dict[str, None] = {}
    for word in _WORD.findall(text.casefold()):
        for part in (word, *re.split(r"[-'’]", word)):
            if part and part not in STOP and len(part) <= LONGEST:
                found.setdefault(part)
    return list(found)


def stems(text: str) -> set[str]:
    """The stems of a text's words that carry meaning (Porter's second algorithm)."""
    return {_stem(word) for word in terms(text)}


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))


@cache
def _stemmer() -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer("english")
