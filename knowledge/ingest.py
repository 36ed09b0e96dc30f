"""Documents into the library: found, read in a child process with limits, cut, embedded, kept one by one.

What has not changed is not read, what has the same content is not embedded twice, and a run that is killed goes on where it
stopped, because every document that was acknowledged is in the library.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from moho.errors import DataError, MohoError
from moho.files import clean, coded
from moho.knowledge import bibliography
from moho.knowledge.clean import cleaned
from moho.knowledge.index import Entry, Library
from moho.knowledge.passages import Document, Passage, cut
from moho.knowledge.readers import FORMATS, prepare, read
from moho.sandbox import GIB, limited
from moho.store import digest

LARGEST = 512 * 2**20  # bytes of a document
SECONDS = 120.0  # a document may take to be read
TOGETHER = 256  # passages embedded at once
PREFIX = 60  # word pieces at most of title and section before a passage

Embed = Callable[[Sequence[str]], np.ndarray]
Tell = Callable[[int, int, str], None]


@dataclass
class Report:
    """What an ingest did, by source."""

    added: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    unchanged: int = 0
    same: dict[str, str] = field(default_factory=dict)  # source -> the source of the same content
    near: dict[str, str] = field(default_factory=dict)  # source -> the source of nearly the same text
    failed: dict[str, MohoError] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)  # files that are gone
    joined: int = 0  # documents that a bibliography described
    passages: int = 0
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def add(library: Library, paths: Iterable[Path], *, tell: Tell | None = None, embed: Embed | None = None) -> Report:
    """Add files, and all files of folders, to the library; what a folder no longer holds is removed.

    `tell(done, all, name)` is called as documents come. `embed` is MiniLM of this process unless given. A file that cannot
    be read is in `failed`, with its error, and the others go on; what the library held of it stays.
    """
    roots = [Path(os.path.abspath(path.expanduser())) for path in paths]
    report = Report()
    files, entries = _files(roots, report)
    known = library.states()
    add_files(library, files, tell=tell, embed=embed, report=report)
    for root in roots:
        report.removed += _gone(library, root, known)
    if entries:
        report.joined = library.cite(entries)
    return report


def add_files(
    library: Library,
    files: Sequence[Path],
    *,
    name: Callable[[Path], str] = str,
    tell: Tell | None = None,
    embed: Embed | None = None,
    report: Report | None = None,
) -> Report:
    """Add these files, each under the source that `name` gives it."""
    embed = embed or _here()
    library.check_encoder()
    report = report or Report()
    known = library.states()
    waiting: list[tuple[Entry, bool]] = []
    held = 0
    todo = []
    for path in files:
        try:
            if not _unchanged(library, path, name(path), known, report):
                todo.append(path)
        except MohoError as error:
            report.failed[str(path)] = error
    for done, path in enumerate(todo):
        if tell:
            tell(done, len(todo), path.name)
        try:
            entry = _read(path, name(path))
        except MohoError as error:
            report.failed[str(path)] = error
            continue
        waiting.append((entry, name(path) in known))
        held += len(entry.passages)
        if held >= TOGETHER:
            report.passages += _keep(library, waiting, embed, report)
            waiting, held = [], 0
    report.passages += _keep(library, waiting, embed, report)
    if tell:
        tell(len(todo), len(todo), "")
    return report


def add_texts(library: Library, texts: Iterable[tuple[str, str, str]], *, embed: Embed | None = None) -> int:
    """Add (source, title, text) as documents, as of a collection to be evaluated on; how many passages came."""
    from hashlib import sha256

    from moho.knowledge.passages import Block

    embed = embed or _here()
    library.check_encoder()
    waiting: list[tuple[Entry, bool]] = []
    many = total = 0
    report = Report()
    for source, title, text in texts:
        blocks = tuple(Block(part) for part in cleaned(text).split("\n\n") if part.strip()) or (Block(cleaned(title)),)
        document = Document(blocks, cleaned(title))
        entry = _entry(source, sha256(f"{title}\n{text}".encode()).hexdigest(), len(text), 0, document)
        waiting.append((entry, False))
        many += len(entry.passages)
        if many >= TOGETHER:
            total += _keep(library, waiting, embed, report)
            waiting, many = [], 0
    return total + _keep(library, waiting, embed, report)


def embed_again(library: Library, *, tell: Tell | None = None, embed: Embed | None = None) -> int:
    """New vectors for all passages, by the library's present encoder; how many there are.

    The old ones answer until all are there; after a kill it goes on where it was.
    """
    embed = embed or _here()
    done = 0
    while not library.finish_embedding():  # once more where documents came meanwhile
        ids = library.not_embedded()
        for start in range(0, len(ids), TOGETHER):
            if tell:
                tell(done, library.size(), "")
            held = library.passages(ids[start : start + TOGETHER])
            records = library.records({one.document for one in held.values()})
            here = [one for one in held.values() if one.document in records]
            library.embed_again([one.id for one in here], embed([worded(Document((), records[one.document].title), one.passage) for one in here]))
            done += len(here)
    if tell:
        tell(done, done, "")
    return library.size()


def worded(document: Document, passage: Passage) -> str:
    """What is embedded for a passage: its title and section before it, as far as they fit the window."""
    from moho.knowledge.embed import pieces

    section = passage.section if passage.section != document.title else ""
    words = ". ".join(part for part in (document.title, section) if part).split()
    while words and pieces(" ".join(words)) > PREFIX:
        words = words[:-1]
    return f"{' '.join(words)}\n{passage.text}" if words else passage.text


# -- inside


def _files(roots: Sequence[Path], report: Report) -> tuple[list[Path], dict[str, dict[str, object]]]:
    """All files to look at, and the entries of the bibliographies among them."""
    files: list[Path] = []
    entries: dict[str, dict[str, object]] = {}
    for root in roots:
        if not root.exists():
            report.failed[str(root)] = DataError("E_NOT_FOUND", f"there is no {root}.")
            continue
        for path in _walk(root) if root.is_dir() else [root]:
            suffix = path.suffix.lower()
            if suffix in bibliography.SUFFIXES:
                try:
                    entries |= limited(bibliography.read, path, seconds=SECONDS, memory=GIB)
                except MohoError as error:
                    report.failed[str(path)] = error
            elif suffix in FORMATS or not root.is_dir():
                files.append(path)
    return sorted(set(files)), entries


def _walk(folder: Path) -> Iterator[Path]:
    """Files below a folder, without hidden ones; links are not followed."""
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(at, name)
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                yield path


def _here() -> Embed:
    from moho.knowledge.embed import embed

    return embed


def _unchanged(library: Library, path: Path, source: str, known: dict[str, tuple[int, int, str]], report: Report) -> bool:
    """Whether the library holds this very content; the file's time is noted where only that has changed."""
    held = known.get(source)
    if held is None:
        return False
    with coded("the file", path):
        state = path.stat()
        same = held[:2] == (state.st_size, state.st_mtime_ns)
        if not same and (held[0] != state.st_size or digest(path) != held[2]):
            return False
    if not same:
        library.touch(source, state.st_size, state.st_mtime_ns)
    report.unchanged += 1
    return True


def _read(path: Path, source: str) -> Entry:
    """A file, read in a child process and cut into passages."""
    with coded("the file", path):
        source.encode()  # E_ENCODING where the name is no text
        state = path.stat()
    if state.st_size > LARGEST:
        raise DataError("E_LIMIT", f"{path.name} has {state.st_size:,} bytes; a document may have {LARGEST:,}.")
    if state.st_size == 0:
        raise DataError("E_FORMAT", f"{path.name} is empty.")
    with coded("the file", path):
        content = digest(path)  # before it is read: where it changes meanwhile, the next ingest sees it
    prepare(path)
    document = limited(read, path, seconds=SECONDS, memory=2 * GIB)
    return _entry(source, content, state.st_size, state.st_mtime_ns, document)


def _entry(source: str, digest_: str, size: int, changed: int, document: Document) -> Entry:
    from moho.knowledge.embed import pieces

    passages = cut(document, pieces)
    if not passages:
        raise DataError("E_DATA", f"{clean(Path(source).name)} holds no text to index.", *document.notes[:1])
    return Entry(source, digest_, size, changed, document, passages, np.empty((0, 0), np.float32))


def _keep(library: Library, waiting: Sequence[tuple[Entry, bool]], embed: Embed, report: Report) -> int:
    """Embed what waits, all at once, and keep each document in a transaction of its own; how many passages came.

    Content that the library holds under another source, or that waits twice, needs no vectors.
    """
    first: dict[str, Entry] = {}
    for entry, _ in waiting:
        if not library.holds(entry.digest, entry.source):
            first.setdefault(entry.digest, entry)
    texts = [worded(entry.document, passage) for entry in first.values() for passage in entry.passages]
    vectors = embed(texts) if texts else np.empty((0, 0), np.float32)
    at = total = 0
    for entry, was in waiting:
        if first.get(entry.digest) is entry:
            own = vectors[at : at + len(entry.passages)]
            at += len(entry.passages)
        elif library.holds(entry.digest, entry.source):
            own = np.empty((0, 0), np.float32)
        else:  # what held the same content has gone
            own = embed([worded(entry.document, passage) for passage in entry.passages])
        record = library.keep(replace(entry, vectors=own))
        (report.replaced if was else report.added).append(entry.source)
        total += record.passages
        for other, into in ((record.same_as, report.same), (record.near, report.near)):
            if other is not None and (found := library.records([other])):
                into[entry.source] = found[other].source
        if entry.document.notes:
            report.notes[entry.source] = entry.document.notes
    return total


def _gone(library: Library, root: Path, known: dict[str, tuple[int, int, str]]) -> list[str]:
    """Remove what the library holds of a folder and is no longer there."""
    if not root.is_dir():
        return []
    inside = f"{root}{os.sep}"
    return [source for source in known if source.startswith(inside) and _absent(source) and library.remove(source)]


def _absent(source: str) -> bool:
    """Whether a file is not there; one that only may not be looked at is."""
    try:
        os.lstat(source)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
