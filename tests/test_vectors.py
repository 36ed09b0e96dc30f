"""The fast copy of the vectors gives what exact search gives, follows every change at once, and is never trusted when damaged."""

from __future__ import annotations

import json
import resource
import shutil
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from moho.errors import DataError
from moho.knowledge import vectors
from moho.knowledge.index import FILE, Entry, Library
from moho.knowledge.passages import Block, Document, Passage
from moho.knowledge.vectors import POINTER, Vectors

WIDTH = 32
CENTRES = np.random.default_rng(7).standard_normal((40, WIDTH))


def units(seed: int, many: int) -> np.ndarray:
    """Vectors that lie about a few centres, as those of texts do."""
    rng = np.random.default_rng(seed)
    rows = CENTRES[rng.integers(len(CENTRES), size=many)] + 0.7 * rng.standard_normal((many, WIDTH))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def keep(library: Library, source: str, rows: np.ndarray) -> None:
    texts = [f"{source} passage {i}" for i in range(len(rows))]
    passages = [Passage(text, 0, len(text)) for text in texts]
    library.keep(Entry(source, f"{source} {rows.sum()}", 1, 1, Document(tuple(map(Block, texts))), passages, rows))


def exact(library: Library, asked: np.ndarray, k: int, among: np.ndarray | None = None) -> np.ndarray:
    held = library.vectors(row[0] for row in library.execute("SELECT id FROM passages"))
    ids = np.array(sorted(held if among is None else set(held) & set(among.tolist())), np.int64)
    if not len(ids):
        return ids
    near = np.stack([held[int(number)] for number in ids]).astype(np.float32) @ asked
    return ids[np.lexsort((ids, -near))[:k]]


def agreement(library: Library, nearest: Vectors, k: int = 10, among: np.ndarray | None = None) -> float:
    """The share of the exact nearest that is found, on the average."""
    shares = []
    for asked in units(99, 20):
        wanted = exact(library, asked, k, among)
        ids, scores = nearest.search(asked, k, among)
        assert len(ids) == len(set(ids.tolist())) == len(wanted)
        assert (np.diff(scores) <= 1e-6).all()
        held = library.vectors(ids)
        np.testing.assert_allclose(scores, [held[int(number)].astype(np.float32) @ asked for number in ids], atol=2e-3)
        assert among is None or set(ids.tolist()) <= set(among.tolist())
        shares.append(len(set(ids.tolist()) & set(wanted.tolist())) / max(1, len(wanted)))
    return float(np.mean(shares))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library", "made/32")


@pytest.fixture(params=["flat", "ivf"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "ivf":
        monkeypatch.setattr(vectors, "LARGE", 1000)
        monkeypatch.setattr(vectors, "PROBES", 8)
    return str(request.param)


@pytest.fixture
def filled(library: Library, kind: str) -> Library:
    for number in range(10):
        keep(library, f"paper {number}", units(number, 240))
    return library


def test_what_is_found_is_what_exact_search_finds(filled: Library, kind: str) -> None:
    nearest = Vectors(filled)
    assert agreement(filled, nearest) >= (0.99 if kind == "flat" else 0.95)
    assert vectors._is_coarse(nearest.current().main) == (kind == "ivf")


def test_additions_and_removals_are_seen_at_once_and_without_a_rebuild(filled: Library, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nearest = Vectors(filled)
    nearest.search(units(1, 1)[0], 1)
    monkeypatch.setattr(Vectors, "_build", lambda self: pytest.fail("rebuilt"))
    new = units(50, 20)
    keep(filled, "new", new)
    ids, scores = nearest.search(new[3], 1)
    assert filled.passages(ids)[int(ids[0])].passage.text == "new passage 3"
    assert scores[0] == pytest.approx(1, abs=2e-3)
    keep(filled, "new", units(51, 5))
    assert ids[0] not in nearest.search(new[3], 50)[0]
    filled.remove("new")
    keep(filled, "small", units(52, 3))
    filled.remove("small")
    old = units(4, 240)[7]
    before = int(nearest.search(old, 1)[0][0])
    assert filled.passages([before])[before].passage.text == "paper 4 passage 7"
    if kind == "ivf":  # a flat one of this size is made again sooner
        filled.remove("paper 4")
        assert before not in nearest.search(old, 200)[0]
    assert agreement(filled, nearest) >= (0.99 if kind == "flat" else 0.95)


@pytest.mark.parametrize("share", [0.001, 0.02, 0.3, 0.9])
def test_only_those_asked_for_answer(filled: Library, kind: str, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    every = np.array([row[0] for row in filled.execute("SELECT id FROM passages")], np.int64)
    among = np.random.default_rng(3).choice(every, int(share * len(every)), replace=False)
    nearest = Vectors(filled)
    assert agreement(filled, nearest, 10, among) >= (0.99 if kind == "flat" else 0.95)
    keep(filled, "new", units(60, 30))
    fresh = np.array([row[0] for row in filled.execute("SELECT id FROM passages")], np.int64)[-30:]
    assert agreement(filled, nearest, 10, np.concatenate([among, fresh])) >= (0.99 if kind == "flat" else 0.95)


def test_few_among_many_are_found_though_they_lie_in_few_cells(filled: Library, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "PROBES", 1)
    every = np.array([row[0] for row in filled.execute("SELECT id FROM passages")], np.int64)
    asked = units(98, 1)[0]
    far = every[np.argsort([filled.vectors([n])[int(n)].astype(np.float32) @ asked for n in every])[:1300]]  # the farthest half
    ids, _ = Vectors(filled).search(asked, 10, far)
    assert len(ids) == 10
    assert set(ids.tolist()) <= set(far.tolist())


def same(library: Library, nearest: Vectors) -> None:
    """What the copy says of every passage is what the library says."""
    every = np.array([row[0] for row in library.execute("SELECT id FROM passages ORDER BY id")], np.int64)
    asked = np.concatenate([[0], every[::-1], every[:3], [10**9]])  # in any order, twice, and some that there are not
    wanted, theirs = library.matrix(asked)
    found, papers = nearest.matrix(asked)
    assert found.ids.tolist() == wanted.ids.tolist() == every.tolist()
    assert found.documents.tolist() == wanted.documents.tolist()
    np.testing.assert_array_equal(found.vectors, wanted.vectors)
    np.testing.assert_allclose(papers, theirs, rtol=0, atol=1e-3)


def test_the_vector_of_a_document_of_one_passage_is_that_passages(library: Library) -> None:
    for number in range(20):
        keep(library, f"abstract {number}", units(number, 1))
    nearest = Vectors(library)
    assert len(nearest.current().documents) == 0  # kept once
    same(library, nearest)
    nearest.snapshot()
    same(library, nearest)
    keep(library, "paper", units(90, 2))
    same(library, nearest)


def test_the_vectors_themselves_are_those_of_the_library_after_any_change(filled: Library, kind: str) -> None:
    nearest = Vectors(filled)
    same(filled, nearest)
    nearest.snapshot()
    same(filled, nearest)
    for change in (
        lambda: keep(filled, "new", units(40, 30)), lambda: keep(filled, "paper 3", units(41, 5)), lambda: filled.remove("paper 7"),
        lambda: filled.remove("new"), lambda: keep(filled, "newer", units(42, 7)), lambda: filled.remove("paper 3"),
    ):  # fmt: skip
        change()
        same(filled, nearest)
        same(filled, Vectors(filled))  # from the snapshot
    filled.embed_again(filled.not_embedded().tolist(), units(43, filled.size()))
    assert filled.finish_embedding()
    same(filled, nearest)


def test_passages_that_go_to_another_file_of_the_same_content_are_its_own(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = units(1, 20)
    keep(library, "a", rows)
    keep(library, "other", units(2, 400))
    document = Document((Block("a passage 0"),))
    library.keep(Entry("copy", f"a {rows.sum()}", 1, 1, document, [], np.empty((0, WIDTH), np.float32)))
    nearest = Vectors(library)
    nearest.snapshot()
    monkeypatch.setattr(Vectors, "_build", lambda self: pytest.fail("rebuilt"))
    library.remove("a")
    heir = library.document("copy")
    assert heir is not None
    same(library, nearest)
    assert set(nearest.matrix(np.arange(1, 21))[0].documents.tolist()) == {heir.id}


def test_no_row_of_the_library_is_read_for_a_query(filled: Library, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nearest = Vectors(filled)
    nearest.snapshot()
    asked = units(99, 1)[0]
    among = np.arange(1, 900)
    wanted, chosen = exact(filled, asked, 10), exact(filled, asked, 10, among)
    for name in ("matrix", "vectors", "owners", "changes", "stream"):
        monkeypatch.setattr(Library, name, lambda self, *_: pytest.fail("read"))
    assert len(set(nearest.search(asked, 10)[0].tolist()) & set(wanted.tolist())) >= 9
    assert nearest.search(asked, 10, among)[0].tolist() == chosen.tolist()
    assert nearest.matrix(wanted)[0].ids.tolist() == sorted(wanted.tolist())


def test_none_are_found_where_none_may_answer(library: Library) -> None:
    nearest = Vectors(library)
    assert len(nearest.search(units(1, 1)[0], 5)[0]) == 0
    keep(library, "a", units(1, 3))
    assert len(nearest.search(units(1, 1)[0], 5, np.empty(0, np.int64))[0]) == 0
    assert len(nearest.search(units(1, 1)[0], 5, np.array([999]))[0]) == 0
    assert len(nearest.search(units(1, 1)[0], 5)[0]) == 3
    library.remove("a")
    assert len(nearest.search(units(1, 1)[0], 5)[0]) == 0


# -- snapshots


def built(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The generations at which an index was made from the library."""
    made: list[int] = []
    build = Vectors._build

    def spy(self: Vectors) -> vectors._State:
        made.append(self.library.generation)
        return build(self)

    monkeypatch.setattr(Vectors, "_build", spy)
    return made


def test_a_new_start_loads_the_snapshot(filled: Library, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Vectors(filled).snapshot()
    made = built(monkeypatch)
    again = Vectors(Library(filled.folder, filled.encoder))
    assert agreement(filled, again) >= (0.99 if kind == "flat" else 0.95)
    assert made == []
    keep(filled, "new", units(70, 10))
    third = Vectors(filled)
    assert agreement(filled, third) >= (0.99 if kind == "flat" else 0.95)
    assert made == []


def test_a_snapshot_is_written_again_only_where_it_is_worth_it(filled: Library, kind: str) -> None:
    nearest = Vectors(filled)
    nearest.snapshot()
    pointer = filled.folder / POINTER
    first = pointer.read_text()
    nearest.snapshot()
    filled.cite({})  # a change, though not of vectors
    nearest.snapshot()
    keep(filled, "little", units(80, 20))
    nearest.snapshot()
    Vectors(filled).snapshot()
    assert pointer.read_text() == first
    for number in range(3):
        keep(filled, f"much {number}", units(90 + number, 200))
    nearest.snapshot()
    assert json.loads(pointer.read_text())["generation"] == filled.generation
    assert {path.name for path in filled.folder.glob("vectors-*")} == {f"vectors-{filled.generation}.{end}" for end in ("faiss", "rows")}


def only(folder: Path, end: str = "faiss") -> Path:
    (path,) = folder.glob(f"vectors-*.{end}")
    return path


def flip(folder: Path, end: str = "faiss") -> None:
    content = bytearray(only(folder, end).read_bytes())
    content[len(content) // 2] ^= 1
    only(folder, end).write_bytes(content)


def point(folder: Path, **changed: object) -> None:
    (folder / POINTER).write_text(json.dumps(json.loads((folder / POINTER).read_text()) | changed))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a byte": flip,
    "its end": lambda folder: only(folder).write_bytes(only(folder).read_bytes()[:-100]),
    "all of it": lambda folder: only(folder).unlink(),
    "a byte of the vectors": lambda folder: flip(folder, "rows"),
    "the end of the vectors": lambda folder: only(folder, "rows").write_bytes(only(folder, "rows").read_bytes()[:-100]),
    "the vectors": lambda folder: only(folder, "rows").unlink(),
    "its content": lambda folder: only(folder).write_bytes(b""),
    "its checksum": lambda folder: point(folder, sha256="0" * 64),
    "its encoder": lambda folder: point(folder, encoder="another/32"),
    "its library": lambda folder: point(folder, library="another"),
    "its generation": lambda folder: point(folder, generation="../vectors"),
    "no generation": lambda folder: (folder / POINTER).write_text('{"encoder": "made/32"}'),
    "the pointer": lambda folder: (folder / POINTER).write_text("{"),
    "the pointer's kind": lambda folder: (folder / POINTER).write_text("[1]"),
    "no pointer": lambda folder: (folder / POINTER).unlink(),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_snapshot_is_made_again(library: Library, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(library, "a", units(1, 300))
    Vectors(library).snapshot()
    DAMAGE[what](library.folder)
    made = built(monkeypatch)
    nearest = Vectors(library)
    assert agreement(library, nearest) >= 0.99
    assert len(made) == 1
    nearest.snapshot()  # and it is whole again for those who come later
    assert agreement(library, Vectors(library)) >= 0.99
    assert len(made) == 1


def test_a_damaged_snapshot_is_never_given_to_faiss(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(library, "a", units(1, 300))
    Vectors(library).snapshot()
    flip(library.folder)
    monkeypatch.setattr(vectors, "_read", lambda file: pytest.fail("loaded"))
    assert agreement(library, Vectors(library)) >= 0.99


def test_a_length_that_lies_is_refused_before_room_is_made_for_it(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(library, "a", units(1, 300))
    Vectors(library).snapshot()
    path = only(library.folder)
    length = (300 * WIDTH * 2).to_bytes(8, "little")  # of the vectors, which stand before the ids
    path.write_bytes(path.read_bytes().replace(length, (2**39).to_bytes(8, "little"), 1))  # half of the terabyte that FAISS allows
    with open(path, "rb") as file, pytest.raises(RuntimeError, match="deserialization"):
        vectors._read(file)
    point(library.folder, sha256=[sha256(only(library.folder, end).read_bytes()).hexdigest() for end in ("faiss", "rows")])
    made = built(monkeypatch)
    assert agreement(library, Vectors(library)) >= 0.99
    assert len(made) == 1


def test_a_snapshot_that_is_removed_answers_those_who_have_it_open(filled: Library, kind: str) -> None:
    Vectors(filled).snapshot()
    nearest = Vectors(filled)
    nearest.current()
    for path in filled.folder.glob("vectors*"):
        path.unlink()
    assert agreement(filled, nearest) >= (0.99 if kind == "flat" else 0.95)
    keep(filled, "new", units(60, 30))
    same(filled, nearest)


@pytest.mark.parametrize("room", [5_000, 100_000])
def test_on_a_full_disk_the_old_snapshot_answers(library: Library, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(library, "a", units(1, 100))
    Vectors(library).snapshot()
    before = {path.name: path.read_bytes() for path in library.folder.glob("vectors*")}
    keep(library, "b", units(2, 1200))
    nearest = Vectors(library)
    nearest.current()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(DataError, match="E_DISK"):
            nearest.snapshot()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in library.folder.iterdir() if "vectors" in path.name} == before
    assert agreement(library, nearest) >= 0.99
    assert agreement(library, Vectors(library)) >= 0.99


def test_a_snapshot_ahead_of_the_library_is_made_again(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(library, "a", units(1, 100))
    library._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(library.path, tmp_path / "backup")
    keep(library, "b", units(2, 100))
    Vectors(library).snapshot()
    library.close()
    for path in library.folder.glob(f"{FILE}*"):
        path.unlink()
    shutil.copy(tmp_path / "backup", library.path)
    made = built(monkeypatch)
    assert agreement(library, Vectors(library)) >= 0.99
    assert len(made) == 1


def test_the_snapshot_of_a_library_that_was_thrown_away_is_not_taken_for_the_new_ones(library: Library) -> None:
    keep(library, "a", units(1, 100))
    Vectors(library).snapshot()
    library.close()
    for path in library.folder.glob(f"{FILE}*"):
        path.unlink()
    new = Library(library.folder, library.encoder)
    keep(new, "b", units(2, 100))
    assert agreement(new, Vectors(new)) >= 0.99


def test_vectors_of_another_encoder_are_never_compared(library: Library) -> None:
    keep(library, "a", units(1, 10))
    other = Vectors(Library(library.folder, "other/32"))
    with pytest.raises(DataError, match="E_CHANGED"):
        other.search(units(1, 1)[0], 3)


def test_threads_that_search_while_documents_come_build_the_index_once(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(library, "a", units(1, 2000))
    made = built(monkeypatch)
    nearest = Vectors(library)
    wrong: list[object] = []
    done = threading.Event()

    def look() -> None:
        try:
            while not done.is_set():
                ids, _ = nearest.search(units(5, 1)[0], 20)
                assert len(ids) == 20
        except BaseException as error:
            wrong.append(error)
        finally:
            library.close()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(15):
        keep(library, f"b{number}", units(100 + number, 5))
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(made) == 1
