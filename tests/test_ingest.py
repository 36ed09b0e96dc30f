"""A folder into the library: only what is new or changed is read and embedded, what has gone goes, and no file stops the others."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from made_library import ENCODER, consistent, embed, paragraphs

from moho.errors import DataError
from moho.knowledge import ingest
from moho.knowledge.index import Library

MANY = int(os.environ.get("MOHO_DOCUMENTS", "25"))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library", ENCODER)


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    (folder / "below").mkdir(parents=True)
    write(folder / "a.md", 1)
    write(folder / "b.txt", 2)
    write(folder / "below" / "c.html", 3, "<html><head><title>On c</title></head><body><p>{}</p></body></html>")
    write(folder / "below" / "d.tex", 4, "\\documentclass{{article}}\\begin{{document}}{}\\end{{document}}")
    (folder / "table.csv").write_text("x,y\n1,2\n")
    return folder


def write(path: Path, seed: int, form: str = "{}") -> None:
    path.write_text(form.format("\n\n".join(paragraphs(seed))))


class Spy:
    """What was read and embedded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: list[str] = []
        self.texts: list[str] = []
        read = ingest._read

        def spied(path: Path, source: str) -> ingest.Entry:
            self.read.append(path.name)
            return read(path, source)

        monkeypatch.setattr(ingest, "_read", spied)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.texts.extend(texts)
        return embed(texts)

    def forget(self) -> None:
        self.read, self.texts = [], []


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(monkeypatch)


def names(sources: Sequence[str]) -> list[str]:
    return sorted(Path(source).name for source in sources)


def held(library: Library) -> list[str]:
    return names([record.source for record in library.documents()])


def test_a_folder_of_mixed_files_is_read_whole(library: Library, papers: Path) -> None:
    told: list[tuple[int, int, str]] = []
    report = ingest.add(library, [papers], embed=embed, tell=lambda *what: told.append(what))
    assert names(report.added) == held(library) == ["a.md", "b.txt", "c.html", "d.tex"]
    assert report.failed == {}
    assert report.passages == library.size() >= 8
    assert [what[0] for what in told] == [0, 1, 2, 3, 4]
    formats = {Path(record.source).name: record.format for record in library.documents()}
    assert formats == {"a.md": "markdown", "b.txt": "text", "c.html": "html", "d.tex": "latex"}
    consistent(library)


def test_an_unchanged_folder_is_not_read_again(library: Library, papers: Path, spy: Spy) -> None:
    ingest.add(library, [papers], embed=spy.embed)
    spy.forget()
    generation = library.generation
    report = ingest.add(library, [papers], embed=spy.embed)
    assert (report.unchanged, report.added, report.replaced, report.removed) == (4, [], [], [])
    assert (spy.read, spy.texts) == ([], [])
    assert library.generation == generation


def test_a_touched_file_is_not_embedded_again(library: Library, papers: Path, spy: Spy) -> None:
    ingest.add(library, [papers], embed=spy.embed)
    os.utime(papers / "a.md", (1, 1))
    spy.forget()
    assert ingest.add(library, [papers], embed=spy.embed).unchanged == 4
    assert (spy.read, spy.texts) == ([], [])
    assert library.states()[str(papers / "a.md")][1] == 10**9


def test_a_changed_file_takes_the_place_of_the_old_one(library: Library, papers: Path, spy: Spy) -> None:
    ingest.add(library, [papers], embed=spy.embed)
    write(papers / "a.md", 9)
    spy.forget()
    report = ingest.add(library, [papers], embed=spy.embed)
    assert names(report.replaced) == spy.read == ["a.md"]
    assert report.unchanged == 3
    assert library.execute("SELECT count(*) FROM words WHERE words MATCH 'term1'") == [(0,)]
    assert library.execute("SELECT count(*) FROM words WHERE words MATCH 'term9'")[0][0] > 0
    consistent(library)


def test_a_file_that_has_gone_is_removed_and_those_outside_the_folder_stay(library: Library, papers: Path, tmp_path: Path) -> None:
    write(tmp_path / "papers2.md", 7)
    ingest.add(library, [papers, tmp_path / "papers2.md"], embed=embed)
    (papers / "b.txt").unlink()
    shutil.rmtree(papers / "below")
    (tmp_path / "papers2.md").unlink()
    report = ingest.add(library, [papers], embed=embed)
    assert names(report.removed) == ["b.txt", "c.html", "d.tex"]
    assert held(library) == ["a.md", "papers2.md"]
    consistent(library)


def test_a_folder_that_may_not_be_looked_into_loses_nothing(library: Library, papers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest.add(library, [papers], embed=embed)
    lstat, walk = os.lstat, ingest._walk

    def refusing(path: str) -> os.stat_result:
        if "below" in str(path):
            raise PermissionError(13, "no")
        return lstat(path)

    monkeypatch.setattr(ingest, "_walk", lambda folder: (path for path in walk(folder) if "below" not in str(path)))
    monkeypatch.setattr(ingest.os, "lstat", refusing)
    assert ingest.add(library, [papers], embed=embed).removed == []
    assert len(held(library)) == 4


def test_a_broken_file_does_not_stop_the_others(library: Library, papers: Path) -> None:
    (papers / "empty.md").write_text("")
    (papers / "binary.txt").write_bytes(bytes(range(256)) * 20)
    (papers / "broken.pdf").write_bytes(b"%PDF-1.7\n" + b"x" * 300)
    (papers / "image.html").write_bytes(b"\x89PNG" + bytes(100))
    (papers / "blank.md").write_text("\n\n   \n")
    (papers / os.fsdecode(b"name\xff.md")).write_text("A name that is no text.")
    report = ingest.add(library, [papers, papers / "nowhere.md"], embed=embed)
    assert len(report.added) == 4
    assert {Path(source).name: error.code for source, error in report.failed.items()} == {
        "empty.md": "E_FORMAT", "binary.txt": "E_FORMAT", "broken.pdf": report.failed[str(papers / "broken.pdf")].code, "image.html": "E_FORMAT",
        "blank.md": "E_DATA", os.fsdecode(b"name\xff.md"): "E_ENCODING", "nowhere.md": "E_NOT_FOUND",
    }  # fmt: skip
    consistent(library)


def test_a_file_that_vanishes_meanwhile_does_not_stop_the_others(library: Library, papers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest.add(library, [papers], embed=embed)
    write(papers / "e.md", 12)
    monkeypatch.setattr(ingest, "_files", lambda roots, report: (sorted([*papers.glob("*.md"), papers / "gone.md", papers / "b.txt"]), {}))
    (papers / "b.txt").unlink()
    report = ingest.add(library, [papers], embed=embed)
    assert names(report.added) == ["e.md"]
    assert {Path(source).name: error.code for source, error in report.failed.items()} == {"b.txt": "E_NOT_FOUND", "gone.md": "E_NOT_FOUND"}


def test_what_was_held_of_a_file_that_no_longer_reads_stays(library: Library, papers: Path) -> None:
    ingest.add(library, [papers], embed=embed)
    (papers / "a.md").write_bytes(bytes(range(256)))
    assert len(ingest.add(library, [papers], embed=embed).failed) == 1
    assert library.execute("SELECT count(*) FROM words WHERE words MATCH 'term1'")[0][0] > 0


def test_the_same_content_is_embedded_once(library: Library, papers: Path, spy: Spy) -> None:
    shutil.copy(papers / "a.md", papers / "copy.md")
    report = ingest.add(library, [papers], embed=spy.embed)
    assert {Path(a).name: Path(b).name for a, b in report.same.items()} == {"copy.md": "a.md"}
    assert len(spy.texts) == len(set(spy.texts)) == library.size()
    shutil.copy(papers / "a.md", papers / "later.md")
    spy.forget()
    assert names(list(ingest.add(library, [papers], embed=spy.embed).same)) == ["later.md"]
    assert spy.texts == []
    (papers / "a.md").unlink()
    ingest.add(library, [papers], embed=spy.embed)
    assert spy.texts == []
    assert library.execute("SELECT count(*) FROM words WHERE words MATCH 'term1'")[0][0] > 0
    consistent(library)


def test_a_stopped_ingest_goes_on_where_it_was(library: Library, papers: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "TOGETHER", 1)

    def dying(texts: Sequence[str]) -> np.ndarray:
        if len(library.documents()) == 2:
            raise KeyboardInterrupt
        return embed(texts)

    with pytest.raises(KeyboardInterrupt):
        ingest.add(library, [papers], embed=dying)
    assert held(library) == ["a.md", "b.txt"]
    spy.forget()
    report = ingest.add(library, [papers], embed=spy.embed)
    assert report.unchanged == 2
    assert spy.read == ["c.html", "d.tex"]
    consistent(library)


def test_links_and_hidden_files_are_not_followed(library: Library, papers: Path, tmp_path: Path) -> None:
    write(tmp_path / "secret.md", 20)
    (tmp_path / "outside").mkdir()
    write(tmp_path / "outside" / "other.md", 21)
    (papers / "link.md").symlink_to(tmp_path / "secret.md")
    (papers / "linked").symlink_to(tmp_path / "outside")
    (papers / "loop").symlink_to(papers)
    write(papers / ".hidden.md", 22)
    (papers / ".git").mkdir()
    write(papers / ".git" / "x.md", 23)
    ingest.add(library, [papers], embed=embed)
    assert held(library) == ["a.md", "b.txt", "c.html", "d.tex"]


def test_one_file_named_in_two_ways_is_one(library: Library, papers: Path) -> None:
    ingest.add(library, [papers / "a.md", papers / "below" / ".." / "a.md", papers], embed=embed)
    assert held(library) == ["a.md", "b.txt", "c.html", "d.tex"]


def test_a_bibliography_in_the_folder_describes_its_papers(library: Library, papers: Path) -> None:
    (papers / "refs.bib").write_text("@article{c, title={On c}, author={Bott, M. and Aki, K.}, year={1971}, doi={10.1234/c}}")
    assert ingest.add(library, [papers], embed=embed).joined == 1
    record = library.document(str(papers / "below" / "c.html"))
    assert record is not None
    assert (record.authors, record.year) == (("Bott, M.", "Aki, K."), 1971)
    consistent(library)


def test_vectors_of_another_encoder_are_not_mixed_in(library: Library, papers: Path) -> None:
    with pytest.raises(DataError, match="rebuild"):
        ingest.add(Library(library.folder, "other/3"), [papers], embed=embed)
    assert library.documents() == []


def test_many_unchanged_documents_are_looked_at_quickly(library: Library, tmp_path: Path, spy: Spy, capsys: pytest.CaptureFixture[str]) -> None:
    """MOHO_DOCUMENTS=1000 says how long a thousand take."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(MANY):
        (folder / f"{number}.md").write_text(f"# Note {number}\n\n{paragraphs(number, 1)[0]}")
    started = time.monotonic()
    assert len(ingest.add(library, [folder], embed=spy.embed).added) == MANY
    first = time.monotonic() - started
    spy.forget()
    started = time.monotonic()
    assert ingest.add(library, [folder], embed=spy.embed).unchanged == MANY
    again = time.monotonic() - started
    assert spy.read == []
    if "MOHO_DOCUMENTS" in os.environ:
        with capsys.disabled():
            print(f"\n{MANY} documents: {first:.2f} s, again {again:.3f} s")
