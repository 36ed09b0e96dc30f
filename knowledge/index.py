"""The library: one SQLite file is the truth about documents, passages, their vectors and words.

Every document comes and goes in one transaction, which raises the generation by one; what was acknowledged survives a kill.
Ids of passages are never used again. The file is in WAL mode: readers never wait for a writer, writers wait for each other.
Words are kept twice: of passages (`words`) and of whole documents (`texts`), because a document's own rank lifts its passages.
The copies made for speed (`moho.knowledge.vectors`, `moho.knowledge.words`) follow the generation and can be thrown away.
"""

from __future__ import annotations

import errno
import json
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import numpy as np

from moho.errors import DataError
from moho.knowledge.passages import Document, Passage
from moho.knowledge.rows import Rows

FILE = "library.sqlite"
VERSION = 1
WAIT = 60.0  # seconds a writer waits for another
NEAR = 6  # bits of 64 in which the fingerprints of near-duplicates differ at most

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, size INTEGER NOT NULL, changed INTEGER NOT NULL,
    format TEXT NOT NULL, title TEXT NOT NULL, authors TEXT NOT NULL, year INTEGER, doi TEXT NOT NULL, notes TEXT NOT NULL,
    fingerprint INTEGER NOT NULL, same_as INTEGER, near INTEGER, vector BLOB, generation INTEGER NOT NULL);
CREATE INDEX by_digest ON documents (digest);
CREATE TABLE passages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL REFERENCES documents (id), ordinal INTEGER NOT NULL,
    section TEXT NOT NULL, page INTEGER, first INTEGER NOT NULL, last INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL,
    vector BLOB NOT NULL, generation INTEGER NOT NULL);
CREATE INDEX by_document ON passages (document, ordinal);
CREATE INDEX by_generation ON passages (generation);
CREATE TABLE removed (passage INTEGER PRIMARY KEY, generation INTEGER NOT NULL);
CREATE INDEX removed_by_generation ON removed (generation);
CREATE TABLE asked (id INTEGER PRIMARY KEY, passage INTEGER NOT NULL, sentence TEXT NOT NULL, text TEXT NOT NULL, vector BLOB NOT NULL);
CREATE INDEX asked_of ON asked (passage);
CREATE VIRTUAL TABLE asked_words USING fts5 (text, content='asked', content_rowid='id', tokenize="porter unicode61 remove_diacritics 2");
CREATE TABLE citations (key TEXT PRIMARY KEY, entry TEXT NOT NULL);
CREATE VIEW passage_words AS
    SELECT p.id AS id, p.text AS text, d.title || ' ' || p.section AS heading FROM passages p JOIN documents d ON d.id = p.document;
CREATE VIRTUAL TABLE words USING fts5 (text, heading, content='passage_words', content_rowid='id', tokenize="porter unicode61 remove_diacritics 2");
CREATE VIRTUAL TABLE texts USING fts5 (text, heading, content='', tokenize="porter unicode61 remove_diacritics 2");
"""


@dataclass(frozen=True)
class Record:
    """A document as the library keeps it."""

    id: int
    source: str  # path or given name
    digest: str  # SHA-256 of the file
    title: str
    authors: tuple[str, ...]
    year: int | None
    doi: str
    format: str
    notes: tuple[str, ...]
    same_as: int | None = None  # the document with the same text, whose passages stand for both
    near: int | None = None  # a document with nearly the same text
    passages: int = 0

    @property
    def label(self) -> str:
        """Title, first author and year, as an answer names it."""
        who = self.authors[0].split(",")[0] + (" et al." if len(self.authors) > 1 else "") if self.authors else ""
        rest = ", ".join(str(part) for part in (who, self.year) if part)
        return f"{self.title or Path(self.source).name}{f' ({rest})' if rest else ''}"


@dataclass(frozen=True)
class Held:
    """A passage of the library."""

    id: int
    document: int
    ordinal: int
    passage: Passage


@dataclass(frozen=True)
class Entry:
    """A new document, ready to be kept: what was read, its passages and their vectors (passage, width)."""

    source: str
    digest: str
    size: int
    changed: int  # nanoseconds, the file's time
    document: Document
    passages: Sequence[Passage]
    vectors: np.ndarray


class Library:
    """An open library. Safe for several threads, processes, readers and writers at once.

    DataError E_CHANGED when the vectors were made by another encoder than `encoder`, E_FORMAT when the file is no library,
    E_DISK when a write finds no room; what was kept before stays as it was.
    """

    def __init__(self, folder: Path, encoder: str) -> None:
        self.folder, self.encoder = folder, encoder
        self.path = folder / FILE
        self._local = threading.local()
        with self._coded():
            folder.mkdir(parents=True, exist_ok=True)
            self._prepare()

    def _prepare(self) -> None:
        connection = self._connection
        if not self._tables():
            connection.execute("PRAGMA journal_mode = WAL")
            with self._writing(count=False):
                if not self._tables():  # another process may have been quicker
                    for statement in _SCHEMA.split(";\n"):
                        if statement.strip():
                            connection.execute(statement)
                    rows = {"version": str(VERSION), "encoder": self.encoder, "generation": "0", "identity": uuid4().hex}
                    connection.executemany("INSERT INTO meta VALUES (?, ?)", rows.items())
        if not {"meta", "documents", "passages", "words"} <= self._tables():
            raise DataError("E_FORMAT", f"{self.path} is a database of something else.", "Name another folder for the library.")
        if self._meta("version") != str(VERSION):
            raise DataError("E_UNSUPPORTED", f"{self.path} was written by another version of Moho (format {self._meta('version')}).")

    def _tables(self) -> set[str]:
        return {row[0] for row in self._connection.execute("SELECT name FROM sqlite_master")}

    def check_encoder(self) -> None:
        """DataError when the library's vectors are another encoder's, so that none are compared across two."""
        if (held := self._meta("encoder")) != self.encoder:
            words = f"the library's vectors were made by {held}, and the encoder here is {self.encoder}."
            raise DataError("E_CHANGED", words, "Run `moho knowledge rebuild` to embed its passages again.")

    # -- reading

    @property
    def generation(self) -> int:
        """How many changes the library has seen."""
        return int(self._meta("generation"))

    @property
    def identity(self) -> str:
        """What tells this library from one that was made again in the same folder."""
        return self._meta("identity")

    def documents(self) -> list[Record]:
        """All documents, in the order they came."""
        return [_record(row) for row in self.execute(f"{_RECORD} GROUP BY d.id ORDER BY d.id")]

    def document(self, source: str) -> Record | None:
        """The document of this source."""
        rows = self.execute(f"{_RECORD} WHERE d.source = ? GROUP BY d.id", (source,))
        return _record(rows[0]) if rows else None

    def records(self, ids: Iterable[int]) -> dict[int, Record]:
        """Documents by id."""
        return {
            row[0]: _record(row)
            for part in _parts(ids)
            for row in self.execute(f"{_RECORD} WHERE d.id IN ({_marks(part)}) GROUP BY d.id", part)
        }

    def states(self) -> dict[str, tuple[int, int, str]]:
        """(size, time, digest) of every source: what tells whether a file has to be read again."""
        return {
            source: (size, changed, digest)
            for source, size, changed, digest in self.execute("SELECT source, size, changed, digest FROM documents")
        }

    def holds(self, digest: str, but: str) -> bool:
        """Whether passages of this content are held under another source than `but`."""
        return bool(self.execute("SELECT 1 FROM documents WHERE digest = ? AND source != ? AND same_as IS NULL", (digest, but)))

    def passages(self, ids: Iterable[int]) -> dict[int, Held]:
        """Passages by id; those that are gone are left out."""
        found = {}
        for part in _parts(ids):
            for row in self.execute(f"SELECT {_HELD} FROM passages WHERE id IN ({_marks(part)})", part):
                found[row[0]] = _held(row)
        return found

    def of_documents(self, ids: Iterable[int], first: int = 40) -> dict[int, int]:
        """Passage -> document for the first passages of documents."""
        return {
            row[0]: row[1]
            for part in _parts(ids)
            for row in self.execute(
                f"SELECT id, document FROM passages WHERE document IN ({_marks(part)}) AND ordinal < ?", (*part, first)
            )
        }

    def owners(self, ids: Iterable[int]) -> dict[int, int]:
        """Passage -> document."""
        return {
            row[0]: row[1]
            for part in _parts(ids)
            for row in self.execute(f"SELECT id, document FROM passages WHERE id IN ({_marks(part)})", part)
        }

    def around(self, held: Held, before: int = 1, after: int = 1) -> list[Held]:
        """A passage and its neighbours in the document, in reading order."""
        rows = self.execute(
            f"SELECT {_HELD} FROM passages WHERE document = ? AND ordinal BETWEEN ? AND ? ORDER BY ordinal",
            (held.document, held.ordinal - before, held.ordinal + after),
        )
        return [_held(row) for row in rows]

    def vectors(self, ids: Iterable[int]) -> dict[int, np.ndarray]:
        """fp16 vectors of passages by id."""
        return {
            row[0]: np.frombuffer(row[1], np.float16)
            for part in _parts(ids)
            for row in self.execute(f"SELECT id, vector FROM passages WHERE id IN ({_marks(part)})", part)
        }

    def matrix(self, ids: Iterable[int]) -> tuple[Rows, np.ndarray]:
        """(passages in the order of their ids, the vectors of their documents (passage, width)); those that are gone are left out."""
        statement = (
            "SELECT p.id, p.document, p.vector, coalesce(d.vector, p.vector) FROM passages p"
            " JOIN documents d ON d.id = p.document WHERE p.id IN (SELECT value FROM json_each(?)) ORDER BY p.id"
        )
        found = self.execute(statement, (json.dumps([int(number) for number in ids]),))
        rows = Rows.of([row[:3] for row in found])
        return rows, np.frombuffer(b"".join([row[3] for row in found]), np.float16).reshape(rows.vectors.shape)

    def changes(self, since: int) -> tuple[int, Rows, np.ndarray, Rows]:
        """(generation, passages added, ids of those removed, documents of several added) after generation `since`, as one consistent state."""
        with self._coded():
            connection = self._connection
            connection.execute("BEGIN")
            try:
                generation = self.generation
                added = Rows.of(connection.execute(f"{_PASSAGES} WHERE generation > ? ORDER BY id", (since,)).fetchall())
                gone = [row[0] for row in connection.execute("SELECT passage FROM removed WHERE generation > ?", (since,))]
                documents = Rows.of(connection.execute(f"{_DOCUMENTS} AND generation > ? ORDER BY id", (since,)).fetchall())
            finally:
                connection.execute("COMMIT")
        return generation, added, np.array(gone, np.int64), documents

    def stream(self, many: int = 20_000) -> tuple[int, np.ndarray, Generator[Rows, None, None], Rows]:
        """(generation, ids of all passages, these in batches, documents of several) of one consistent state, read on a connection of its own."""
        with self._coded():
            connection = self._connect()
            connection.execute("BEGIN")
            generation = int(connection.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()[0])
            ids = np.fromiter((row[0] for row in connection.execute("SELECT id FROM passages ORDER BY id")), np.int64)
            papers = connection.execute(f"SELECT count(*) FROM ({_DOCUMENTS})").fetchone()[0]
            documents = Rows.gathered(papers, self._batches(connection, f"{_DOCUMENTS} ORDER BY id", many))
        if not len(ids):
            connection.close()

        def batches() -> Generator[Rows, None, None]:
            if not len(ids):
                return
            try:
                yield from self._batches(connection, f"{_PASSAGES} ORDER BY id", many)
            finally:
                connection.close()

        return generation, ids, batches(), documents

    def asked(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[tuple[str, str]]]:
        """(ids, passages, (question, width) fp16 vectors, [(question, beginning of its answer)]) of the questions kept with passages."""
        rows = self.execute("SELECT id, passage, vector, text, sentence FROM asked ORDER BY id")
        vectors = np.frombuffer(b"".join(row[2] for row in rows), np.float16).reshape(len(rows), -1) if rows else np.empty((0, 0), np.float16)
        return np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.int64), vectors, [row[3:] for row in rows]

    def size(self) -> int:
        """Passages held."""
        return int(self.execute("SELECT count(*) FROM passages")[0][0])

    def texts(self) -> int:
        """Documents whose passages are held."""
        return int(self.execute("SELECT count(*) FROM texts_docsize")[0][0])

    def select(self, where: str, values: Sequence[object]) -> np.ndarray:
        """Ids of the passages whose document meets a condition over `d` and `p`, made by `moho.knowledge.retrieve` from a filter."""
        query = f"SELECT p.id FROM passages p JOIN documents d ON d.id = p.document WHERE {where}"
        return np.fromiter((row[0] for row in self.execute(query, values)), np.int64)

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[tuple]:
        """Rows of a reading statement of one of the fast copies."""
        with self._coded():
            return self._connection.execute(statement, tuple(values)).fetchall()

    # -- writing

    def keep(self, entry: Entry, also: Callable[[sqlite3.Connection, int], object] | None = None) -> Record:
        """Keep a document in the place of an earlier one of its source, in one transaction.

        `also` writes more in the same transaction, given its connection and the document's id.
        """
        document = entry.document
        text = fingerprint(document.text)
        with self._coded(), self._writing() as generation:
            self.check_encoder()
            write = self._connection.execute
            entered = self._cited(document)
            self._drop(entry.source, generation)
            twin = write("SELECT id FROM documents WHERE digest = ? AND same_as IS NULL", (entry.digest,)).fetchone()
            near = None if twin else self._near(text)
            if not twin and len(entry.vectors) != len(entry.passages):
                words = f"{entry.source} has {len(entry.passages)} passages and {len(entry.vectors)} vectors."
                raise DataError("E_CHANGED", words, "The document of the same content has gone meanwhile; add it again.")
            number = write(
                "INSERT INTO documents"
                " (source, digest, size, changed, format, title, authors, year, doi, notes, fingerprint, same_as, near, generation)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    entry.source, entry.digest, entry.size, entry.changed, document.format, entered.title, json.dumps(entered.authors), entered.year,
                    entered.doi, json.dumps(document.notes), text, twin[0] if twin else None, near, generation,
                ),
            ).lastrowid  # fmt: skip
            assert number is not None
            if not twin:
                self._insert(number, entry.passages, entry.vectors, generation)
            if also:
                also(self._connection, number)
        record = self.document(entry.source)
        assert record is not None
        return record

    def expect(self, source: str, questions: Sequence[tuple[str, str]], vectors: np.ndarray) -> int:
        """Keep (sentence, question) pairs with a document, in the place of earlier ones; how many stand in one of its passages.

        A question is kept with the passage that holds its sentence, or the sentence's beginning, and leads to it as its own words do.
        """
        kept = 0
        with self._coded(), self._writing():
            write = self._connection.execute
            own = "FROM passages p JOIN documents d ON d.id = p.document WHERE d.source = ?"
            rows = write(f"SELECT p.id, p.text {own} ORDER BY p.ordinal", (source,)).fetchall()
            passages = [(number, " ".join(text.split())) for number, text in rows]
            for number, _ in passages:
                self._unask(number)
            for (sentence, question), vector in zip(questions, vectors, strict=True):
                start = " ".join(sentence.split())
                at = next((number for number, text in passages if start in text), None)
                if at is None:
                    continue
                row = (at, start, question, np.asarray(vector, np.float16).tobytes())
                new = write("INSERT INTO asked (passage, sentence, text, vector) VALUES (?, ?, ?, ?)", row).lastrowid
                write("INSERT INTO asked_words (rowid, text) VALUES (?, ?)", (new, question))
                kept += 1
        return kept

    def touch(self, source: str, size: int, changed: int) -> None:
        """The file of a source has another time and the same content."""
        with self._coded(), self._writing(count=False):
            self._connection.execute("UPDATE documents SET size = ?, changed = ? WHERE source = ?", (size, changed, source))

    def remove(self, source: str) -> bool:
        """Remove a document and its passages; False where there is none. A file of the same content takes its place."""
        with self._coded(), self._writing() as generation:
            return self._drop(source, generation)

    def cite(self, entries: Mapping[str, Mapping[str, object]]) -> int:
        """Keep bibliography entries by key (a DOI or a folded title) and join them to the documents they speak of; how many joined."""
        joined = 0
        with self._coded(), self._writing():
            write = self._connection.execute
            for key, value in entries.items():
                write("INSERT OR REPLACE INTO citations VALUES (?, ?)", (key, json.dumps(value)))
            for number, title, doi in write("SELECT id, title, doi FROM documents").fetchall():
                entry = entries.get(doi.casefold()) or entries.get(fold(title))
                if entry:
                    self._reword(number, entry)  # nothing where it is so already
                    joined += 1
        return joined

    def not_embedded(self) -> np.ndarray:
        """Ids of the passages for which `embed_again` has no vector of `encoder` yet."""
        if "staged" not in self._tables():
            return np.array([row[0] for row in self.execute("SELECT id FROM passages ORDER BY id")], np.int64)
        query = "SELECT id FROM passages WHERE id NOT IN (SELECT passage FROM staged WHERE encoder = ?) ORDER BY id"
        return np.array([row[0] for row in self.execute(query, (self.encoder,))], np.int64)

    def embed_again(self, ids: Sequence[int], vectors: np.ndarray) -> None:
        """Lay new vectors of `encoder` beside passages, whose old ones answer until `finish_embedding`."""
        with self._coded(), self._writing(count=False):
            self._connection.execute("CREATE TABLE IF NOT EXISTS staged (passage INTEGER PRIMARY KEY, encoder TEXT NOT NULL, vector BLOB NOT NULL)")
            rows = [(number, self.encoder, vector.astype(np.float16).tobytes()) for number, vector in zip(ids, vectors, strict=True)]
            self._connection.executemany("INSERT OR REPLACE INTO staged VALUES (?, ?, ?)", rows)

    def finish_embedding(self) -> bool:
        """Put the vectors of `embed_again` in the place of the old ones, all at once; False where passages without one have come."""
        with self._coded(), self._writing() as generation:
            if len(self.not_embedded()):
                return False
            write = self._connection.execute
            if "staged" in self._tables():
                write("UPDATE passages SET vector = (SELECT vector FROM staged WHERE passage = id), generation = ?", (generation,))
                write("DROP TABLE staged")
            for (document,) in write("SELECT id FROM documents WHERE vector IS NOT NULL").fetchall():
                rows = write("SELECT vector FROM passages WHERE document = ?", (document,)).fetchall()
                vectors = np.stack([np.frombuffer(row[0], np.float16) for row in rows])
                write("UPDATE documents SET vector = ?, generation = ? WHERE id = ?", (_mean(vectors), generation, document))
            write("UPDATE meta SET value = ? WHERE key = 'encoder'", (self.encoder,))
            for (passage,) in write("SELECT DISTINCT passage FROM asked").fetchall():
                self._unask(passage)  # their vectors are the old encoder's
        return True

    def note(self, key: str, value: str) -> None:
        """Keep a remark of its owner's with the library."""
        with self._coded(), self._writing(count=False):
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"note {key}", value))

    def noted(self, key: str) -> str:
        """A remark that was kept; "" where there is none."""
        return self._meta(f"note {key}")

    def verify(self) -> None:
        """DataError when the file is damaged (E_FORMAT, E_CHANGED), or its words are not those of its passages."""
        with self._coded():
            answer = self._connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if answer != "ok":
                raise DataError("E_CHANGED", f"{self.path} is damaged: {answer}", "Add the documents again into a new library.")
            if not self._local.fixed:
                with self._writing(count=False):
                    self._connection.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")
                    self._connection.execute("INSERT INTO texts (texts) VALUES ('integrity-check')")

    def close(self) -> None:
        """Close this thread's connection."""
        held = getattr(self._local, "connection", None)
        if held is not None:
            held.close()
            self._local.connection = None

    # -- inside

    def _batches(self, connection: sqlite3.Connection, statement: str, many: int) -> Iterator[Rows]:
        with self._coded():
            cursor = connection.execute(statement)
        while True:
            with self._coded():
                found = cursor.fetchmany(many)
            if not found:
                return
            yield Rows.of(found)

    @property
    def _connection(self) -> sqlite3.Connection:
        held: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if held is not None and self._local.fixed and self._local.fixed != self._state():
            held.close()
            held = None
        if held is None:
            self._local.fixed = ()
            held = self._local.connection = self._connect()
        return held

    def _connect(self) -> sqlite3.Connection:
        """A connection; where the folder takes no writes, one to the file as it is now."""
        held = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)
        try:
            held.execute("SELECT 1 FROM sqlite_master")
        except sqlite3.OperationalError as error:
            held.close()
            if not ("readonly" in str(error) or "unable to open" in str(error)) or not self.path.is_file():
                raise
            self._local.fixed = self._state()
            held = sqlite3.connect(f"{self.path.absolute().as_uri()}?immutable=1", uri=True, isolation_level=None)
        for pragma in ("synchronous = FULL", "foreign_keys = ON", "cache_size = -32768", "mmap_size = 1073741824"):
            held.execute(f"PRAGMA {pragma}")
        return held

    def _state(self) -> tuple[int, ...]:
        state = self.path.stat()
        return state.st_ino, state.st_size, state.st_mtime_ns

    def _meta(self, key: str) -> str:
        rows = self.execute("SELECT value FROM meta WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else ""

    @contextmanager
    def _writing(self, count: bool = True) -> Iterator[int]:
        """A transaction; gives the generation that it makes. All of it is kept, or nothing."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            generation = 0
            if count and connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                generation = self.generation + 1
                connection.execute("UPDATE meta SET value = ? WHERE key = 'generation'", (str(generation),))
            yield generation
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _coded(self) -> Iterator[None]:
        """SQLite's errors with a code of ours."""
        try:
            yield
        except OSError as error:
            codes = {errno.ENOSPC: "E_DISK", errno.EDQUOT: "E_DISK", errno.ENOTDIR: "E_FORMAT", errno.EEXIST: "E_FORMAT"}
            code = codes.get(error.errno or 0, "E_PERM")
            raise DataError(code, f"{self.folder} cannot be a library: {error.strerror}.", "Name another folder for the library.") from error
        except sqlite3.OperationalError as error:
            words = str(error)
            if "full" in words or "disk I/O" in words:
                raise DataError("E_DISK", f"no room to write {self.path.name}", "Free some space; what was kept before is untouched.") from error
            if "locked" in words or "busy" in words:
                raise DataError("E_BUSY", f"another process has been writing the library for {WAIT:g} s.") from error
            if "readonly" in words or "unable to open" in words:
                raise DataError("E_PERM", f"{self.path} cannot be written or opened: {words}") from error
            raise DataError("E_CHANGED", f"{self.path}: {words}") from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise DataError("E_FORMAT", f"{self.path} is damaged or no library: {error}", "Add the documents again into a new library.") from error

    def _insert(self, document: int, passages: Sequence[Passage], vectors: np.ndarray, generation: int) -> None:
        write = self._connection.execute
        for ordinal, (passage, vector) in enumerate(zip(passages, vectors, strict=True)):
            cursor = write(
                "INSERT INTO passages (document, ordinal, section, page, first, last, kind, text, vector, generation)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    document, ordinal, passage.section, passage.page, passage.start, passage.end, passage.kind, passage.text,
                    np.asarray(vector, np.float16).tobytes(), generation,
                ),
            )  # fmt: skip
            write("INSERT INTO words (rowid, text, heading) SELECT id, text, heading FROM passage_words WHERE id = ?", (cursor.lastrowid,))
        if len(passages):
            write("INSERT INTO texts (rowid, text, heading) VALUES (?, ?, ?)", self._text(document))
            write("UPDATE documents SET vector = ? WHERE id = ?", (_mean(np.asarray(vectors)), document))

    def _drop(self, source: str, generation: int) -> bool:
        write = self._connection.execute
        row = write("SELECT id FROM documents WHERE source = ?", (source,)).fetchone()
        if row is None:
            return False
        heir = write("SELECT id FROM documents WHERE same_as = ? ORDER BY id", (row[0],)).fetchone()
        if heir:  # the passages go to the file of the same content
            write("UPDATE documents SET same_as = ? WHERE same_as = ?", (heir[0], row[0]))
            write("UPDATE documents SET same_as = NULL WHERE id = ?", heir)
            self._unword(row[0])
            write("UPDATE passages SET document = ?, generation = ? WHERE document = ?", (heir[0], generation, row[0]))
            vector = "(SELECT vector FROM documents WHERE id = ?)"
            write(f"UPDATE documents SET vector = {vector}, generation = ? WHERE id = ?", (row[0], generation, heir[0]))
            self._word(heir[0])
        else:
            self._unword(row[0])
            for (passage,) in write("SELECT id FROM passages WHERE document = ?", (row[0],)).fetchall():
                self._unask(passage)
            write("INSERT INTO removed SELECT id, ? FROM passages WHERE document = ?", (generation, row[0]))
            write("DELETE FROM passages WHERE document = ?", row)
        write("UPDATE documents SET near = ? WHERE near = ?", (heir[0] if heir else None, row[0]))
        write("DELETE FROM documents WHERE id = ?", row)
        return True

    def _unword(self, document: int) -> None:
        """Take a document's words out of the indexes; FTS5 wants them as they were put in."""
        rows = self._connection.execute(_WORDS_OF, (document,)).fetchall()
        self._connection.executemany("INSERT INTO words (words, rowid, text, heading) VALUES ('delete', ?, ?, ?)", rows)
        if rows:
            self._connection.execute("INSERT INTO texts (texts, rowid, text, heading) VALUES ('delete', ?, ?, ?)", self._text(document))

    def _word(self, document: int) -> None:
        rows = self._connection.execute(_WORDS_OF, (document,)).fetchall()
        self._connection.executemany("INSERT INTO words (rowid, text, heading) VALUES (?, ?, ?)", rows)
        if rows:
            self._connection.execute("INSERT INTO texts (rowid, text, heading) VALUES (?, ?, ?)", self._text(document))

    def _text(self, document: int) -> tuple[int, str, str]:
        """(id, all passages, title) of a document."""
        parts = self._connection.execute(
            "SELECT text FROM passages WHERE document = ? AND kind != 'references' ORDER BY ordinal", (document,)
        ).fetchall()
        title = self._connection.execute("SELECT title FROM documents WHERE id = ?", (document,)).fetchone()[0]
        return document, "\n".join(part[0] for part in parts), title

    def _unask(self, passage: int) -> None:
        """Take the questions kept with a passage away."""
        write = self._connection.execute
        for number, text in write("SELECT id, text FROM asked WHERE passage = ?", (passage,)).fetchall():
            write("INSERT INTO asked_words (asked_words, rowid, text) VALUES ('delete', ?, ?)", (number, text))
        write("DELETE FROM asked WHERE passage = ?", (passage,))

    def _cited(self, document: Document) -> Document:
        """`document` with what a bibliography says of it."""
        for key in (document.doi.casefold(), fold(document.title)):
            row = self._connection.execute("SELECT entry FROM citations WHERE key = ?", (key,)).fetchone() if key else None
            if row:
                return _joined(document, json.loads(row[0]))
        return document

    def _reword(self, number: int, entry: Mapping[str, object]) -> None:
        write = self._connection.execute
        row = write("SELECT title, authors, year, doi FROM documents WHERE id = ?", (number,)).fetchone()
        old = Document((), row[0], tuple(json.loads(row[1])), row[2], row[3])
        new = _joined(old, entry)
        if new == old:
            return
        self._unword(number)
        write(
            "UPDATE documents SET title = ?, authors = ?, year = ?, doi = ? WHERE id = ?",
            (new.title, json.dumps(new.authors), new.year, new.doi, number),
        )
        self._word(number)

    def _near(self, text: int) -> int | None:
        if not text:
            return None
        rows = self._connection.execute("SELECT id, fingerprint FROM documents WHERE same_as IS NULL AND fingerprint != 0").fetchall()
        if not rows:
            return None
        apart = np.bitwise_count(np.array([row[1] for row in rows], np.int64).view(np.uint64) ^ np.array(text, np.int64).view(np.uint64))
        return int(rows[int(apart.argmin())][0]) if apart.min() <= NEAR else None


_RECORD = (
    "SELECT d.id, d.source, d.digest, d.title, d.authors, d.year, d.doi, d.format, d.notes, d.same_as, d.near, count(p.id)"
    " FROM documents d LEFT JOIN passages p ON p.document = d.id"
)
_WORDS_OF = "SELECT w.id, w.text, w.heading FROM passage_words w JOIN passages p ON p.id = w.id WHERE p.document = ?"
_PASSAGES = "SELECT id, document, vector FROM passages"  # as `Rows` takes them
_DOCUMENTS = (  # those of several passages: the vector of a single one is its document's as well
    "SELECT id, id, vector FROM documents WHERE vector IS NOT NULL AND EXISTS"
    " (SELECT 1 FROM passages WHERE document = documents.id AND ordinal = 1)"
)
_HELD = "id, document, ordinal, section, page, first, last, kind, text"


def fold(title: str) -> str:
    """A title without case, blanks and punctuation: what two spellings of it share."""
    return "".join(character for character in title.casefold() if character.isalnum())


def fingerprint(text: str) -> int:
    """SimHash over three-word shingles, 64 bits as a signed number; 0 for texts too short to compare (Charikar, 2002, STOC)."""
    words = text.casefold().split()
    if len(words) < 40:
        return 0
    shingles = {" ".join(words[i : i + 3]) for i in range(min(len(words), 20_000) - 2)}
    hashes = np.frombuffer(b"".join(sha256(shingle.encode()).digest()[:8] for shingle in sorted(shingles)), np.uint8).reshape(-1, 8)
    votes = np.unpackbits(hashes, axis=1).sum(axis=0, dtype=np.int64) * 2 > len(hashes)
    return int(np.packbits(votes).view(">i8")[0])


def _mean(vectors: np.ndarray) -> bytes:
    """The mean of unit vectors, of unit length, as it is kept."""
    mean = vectors.astype(np.float32).mean(axis=0)
    return bytes((mean / max(float(np.linalg.norm(mean)), 1e-9)).astype(np.float16).tobytes())


def _joined(document: Document, entry: Mapping[str, object]) -> Document:
    authors = entry.get("authors") or document.authors
    year = entry.get("year") or document.year
    return replace(
        document,
        title=str(entry.get("title") or document.title),
        authors=tuple(str(author) for author in authors) if isinstance(authors, (list, tuple)) else document.authors,
        year=int(str(year)) if year else None,
        doi=str(entry.get("doi") or document.doi),
    )


def _record(row: tuple) -> Record:
    return Record(
        row[0], row[1], row[2], row[3], tuple(json.loads(row[4])), row[5], row[6], row[7], tuple(json.loads(row[8])), row[9], row[10], row[11]
    )


def _held(row: tuple) -> Held:
    return Held(row[0], row[1], row[2], Passage(row[8], row[5], row[6], row[3], row[4], row[7]))


def _parts(ids: Iterable[int]) -> Iterator[list[int]]:
    every = [int(number) for number in ids]
    for start in range(0, len(every), 500):
        yield every[start : start + 500]


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
