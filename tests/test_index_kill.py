"""kill -9 at any moment of an ingest: what was acknowledged is there whole, words and vectors agree, and a new ingest completes it.

Ten kills; MOHO_KILLS=200 makes them two hundred.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from made_library import ENCODER, consistent, embed, paragraphs

from moho.knowledge import ingest, vectors, words
from moho.knowledge.index import Entry, Library, Record
from moho.knowledge.passages import Document
from moho.knowledge.vectors import Vectors
from moho.knowledge.words import Words

KILLS = int(os.environ.get("MOHO_KILLS", "10"))


class Telling(Library):
    """Tells through a pipe what it has kept and removed, once that is acknowledged."""

    pipe = -1

    def keep(self, entry: Entry, also: object = None) -> Record:
        record = super().keep(entry)
        os.write(self.pipe, f"+{Path(entry.source).name}\n".encode())
        return record

    def remove(self, source: str) -> bool:
        gone = super().remove(source)
        os.write(self.pipe, f"-{Path(source).name}\n".encode())
        return gone


def write(folder: Path, number: int, seed: int) -> None:
    (folder / f"{number}.md").write_text("\n\n".join(f"# Part {i}\n\n{text}" for i, text in enumerate(paragraphs(seed, 6))))


def everything(library: Library, papers: Path) -> None:
    """An ingest as `moho knowledge add` makes it."""
    ingest.add(library, [papers], embed=embed)
    Vectors(library).snapshot()
    Words(library).snapshot()


def held(library: Library) -> dict[str, list[str]]:
    """The passages of every document, by the name of its file."""
    rows = library.execute("SELECT d.source, p.text FROM documents d LEFT JOIN passages p ON p.document = d.id ORDER BY d.id, p.ordinal")
    found: dict[str, list[str]] = {}
    for source, text in rows:
        found.setdefault(Path(source).name, []).append(text)
    return found


def forked(folder: Path, papers: Path, after: float | None) -> tuple[list[str], float]:
    """(what was acknowledged, seconds) of an ingest in a child that is killed `after` seconds, or left to end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            Telling.pipe = writing
            library = Telling(folder, ENCODER)
            os.write(writing, b"!\n")
            everything(library, papers)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as file:
        assert file.readline() == "!\n"
        started = time.monotonic()
        if after is not None:
            time.sleep(after)
            os.kill(child, signal.SIGKILL)
        told = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in ((0,) if after is None else (0, -signal.SIGKILL))
    return [line for line in told.split("\n")[:-1] if line], time.monotonic() - started


Prepared = tuple[Path, Path, dict[str, list[str]], dict[str, list[str]], float]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A library of 8 papers, a folder where 3 of them are gone, 2 changed and 11 new, both contents, and how long that takes."""
    folder = tmp_path_factory.mktemp("kill")
    papers = folder / "papers"
    papers.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        for number in range(8):
            write(papers, number, number)
        library = Library(folder / "old", ENCODER)
        everything(library, papers)
        before = held(library)
        library.close()
        for number in (0, 3, 5):
            (papers / f"{number}.md").unlink()
        for number in (1, 6, *range(8, 18)):
            write(papers, number, 100 + number)
        shutil.copy(papers / "9.md", papers / "99.md")
        shutil.copytree(folder / "old", folder / "whole")
        _, seconds = forked(folder / "whole", papers, None)
        library = Library(folder / "whole", ENCODER)
        consistent(library)
        return folder / "old", papers, before, held(library), seconds


def small(patch: pytest.MonkeyPatch) -> None:
    """Batches and fast copies of a size that this library has."""
    patch.setattr(ingest, "TOGETHER", 12)
    patch.setattr(vectors, "BEHIND", 0.01)
    patch.setattr(words, "LARGE", 10)
    patch.setattr(words, "BEHIND", 0.01)


@pytest.mark.parametrize("number", range(KILLS))
def test_killed_at_any_moment_of_an_ingest(number: int, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    original, papers, before, after, seconds = prepared
    folder = tmp_path / "library"
    shutil.copytree(original, folder)
    told, _ = forked(folder, papers, random.Random(number).uniform(0, 1.05 * seconds))
    started = time.monotonic()
    library = Library(folder, ENCODER)
    consistent(library)
    assert time.monotonic() - started < 10
    now = held(library)
    for line in told:  # what was acknowledged is there, whole, or gone
        name = line[1:]
        assert now.get(name) == (after[name] if line[0] == "+" else None)
    for name, passages in now.items():  # and nothing is torn
        assert passages in (before.get(name), after.get(name))
    assert set(before) - set(now) <= set(before) - set(after)
    near = Vectors(library)
    by_word = Words(library)
    for passage, title in library.execute("SELECT p.id, d.title FROM passages p JOIN documents d ON d.id = p.document"):
        one = library.passages([passage])[passage].passage
        asked = embed([ingest.worded(Document((), title), one)])[0]
        assert near.search(asked, 1)[0].tolist() == [passage]
        assert passage in by_word.search(one.text, 3)[0]
    everything(library, papers)
    consistent(library)
    assert held(library) == after
