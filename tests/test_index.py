"""The library keeps a document whole or not at all, and its words and vectors are those of its passages after every change."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_library import ENCODER, WIDTH, consistent, embed, entry, paragraphs

from moho.errors import DataError
from moho.knowledge import ingest
from moho.knowledge.index import FILE, Library, fingerprint, fold
from moho.knowledge.retrieve import Retriever


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library", ENCODER)


def found(library: Library, word: str) -> set[str]:
    """Sources of the passages that hold a word."""
    rows = library.execute(
        "SELECT d.source FROM words w JOIN passages p ON p.id = w.rowid JOIN documents d ON d.id = p.document WHERE words MATCH ?", (f'"{word}"',)
    )
    return {row[0] for row in rows}


def texts(library: Library, source: str) -> list[str]:
    rows = library.execute("SELECT p.text FROM passages p JOIN documents d ON d.id = p.document WHERE d.source = ? ORDER BY ordinal", (source,))
    return [row[0] for row in rows]


def raised(code: str, action: Callable[[], object]) -> DataError:
    with pytest.raises(DataError) as caught:
        action()
    assert caught.value.code == code, caught.value
    return caught.value


# -- documents come and go


def test_what_was_kept_is_read_back(library: Library) -> None:
    kept = entry("a", "The crust is thick here.", "The mantle is hot below it.", title="On the crust", year=1999)
    record = library.keep(kept)
    assert (record.title, record.year, record.passages) == ("On the crust", 1999, 2)
    ids = [row[0] for row in library.execute("SELECT id FROM passages")]
    held = library.passages(ids)
    assert [held[i].passage for i in ids] == list(kept.passages)
    near = library.vectors(ids)
    np.testing.assert_allclose([near[i] for i in ids], kept.vectors, atol=1e-3)
    assert [one.passage.text for one in library.around(held[ids[0]])] == [p.text for p in kept.passages]
    consistent(library)


def test_a_document_takes_the_place_of_the_earlier_one_of_its_source(library: Library) -> None:
    library.keep(entry("a", "Basalt is dense."))
    library.keep(entry("a", "Granite is light.", "Gneiss is folded."))
    assert texts(library, "a") == ["Granite is light.", "Gneiss is folded."]
    assert found(library, "basalt") == set()
    assert found(library, "gneiss") == {"a"}
    assert len(library.documents()) == 1
    consistent(library)


def test_a_removed_document_leaves_nothing_to_be_found(library: Library) -> None:
    library.keep(entry("a", "Basalt is dense."))
    library.keep(entry("b", "Granite is light."))
    assert library.remove("a")
    assert not library.remove("a")
    assert library.document("a") is None
    assert found(library, "basalt") == set()
    assert library.execute("SELECT count(*) FROM texts WHERE texts MATCH 'basalt'") == [(0,)]
    consistent(library)


def test_ids_of_passages_are_never_used_again(library: Library) -> None:
    seen: set[int] = set()
    for number in range(5):
        library.keep(entry("a", *paragraphs(number)))
        ids = {row[0] for row in library.execute("SELECT id FROM passages")}
        assert not ids & seen
        seen |= ids
        library.remove("a")


def test_every_change_raises_the_generation_by_one_and_an_opening_does_not(library: Library) -> None:
    assert library.generation == 0
    library.keep(entry("a", "Basalt is dense."))
    assert Library(library.folder, ENCODER).generation == 1
    library.touch("a", 2, 2)
    assert library.generation == 1
    library.remove("a")
    assert Library(library.folder, ENCODER).generation == 2


def test_changes_tell_what_came_and_went_since_a_generation(library: Library) -> None:
    library.keep(entry("a", "Basalt is dense."))
    first = library.generation
    library.keep(entry("b", "Granite is light."))
    library.keep(entry("c", "Granite is light.", "Granite is light."))
    library.remove("a")
    generation, added, gone, documents = library.changes(first)
    assert generation == library.generation
    assert (added.ids.tolist(), added.documents.tolist(), gone.tolist(), documents.ids.tolist()) == ([2, 3, 4], [2, 3, 3], [1], [3])
    for rows in (added, documents):
        np.testing.assert_allclose(rows.vectors, embed(["Granite is light."] * len(rows)), atol=1e-3)


def test_a_document_that_cannot_be_kept_leaves_the_old_one(library: Library) -> None:
    library.keep(entry("a", "Basalt is dense."))

    def fail(connection: sqlite3.Connection, number: int) -> None:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        library.keep(entry("a", "Granite is light."), fail)
    assert texts(library, "a") == ["Basalt is dense."]
    assert library.generation == 1
    consistent(library)


# -- the same content


def test_the_same_content_is_held_once_and_its_heir_takes_over(library: Library) -> None:
    library.keep(entry("a", *paragraphs(1), title="First"))
    again = library.keep(entry("b", *paragraphs(1), title="Second"))
    library.keep(entry("c", *paragraphs(1), title="Third"))
    assert again.same_as == library.document("a").id  # type: ignore[union-attr]
    assert found(library, "term1") == {"a"}
    library.remove("a")
    assert found(library, "term1") == {"b"}
    assert found(library, "second") == {"b"}
    assert found(library, "first") == set()
    consistent(library)
    library.keep(entry("b", *paragraphs(2)))
    assert found(library, "term1") == {"c"}
    library.remove("c")
    assert found(library, "term1") == set()
    assert found(library, "term2") == {"b"}
    consistent(library)


def test_the_same_content_kept_again_under_its_source_stays_held_once(library: Library) -> None:
    library.keep(entry("a", *paragraphs(1)))
    library.keep(entry("b", *paragraphs(1)))
    library.keep(entry("a", *paragraphs(1)))
    assert library.execute("SELECT count(*), count(DISTINCT text) FROM passages") == [(4, 4)]
    assert library.texts() == 1
    consistent(library)


def test_a_file_that_becomes_the_same_as_another_gives_its_passages_up(library: Library) -> None:
    library.keep(entry("a", *paragraphs(1)))
    library.keep(entry("b", *paragraphs(2)))
    assert library.keep(entry("b", *paragraphs(1))).same_as == 1
    assert found(library, "term2") == set()
    consistent(library)


def test_a_nearly_equal_text_is_recognised_and_another_is_not(library: Library) -> None:
    rng = np.random.default_rng(0)
    words = [f"word{n}" for n in rng.integers(400, size=900)]
    changed = list(words)
    changed[450], changed[700] = "other", "words"
    library.keep(entry("a", " ".join(words)))
    assert library.keep(entry("b", " ".join(changed))).near == 1
    assert library.keep(entry("c", " ".join(f"word{n}" for n in rng.integers(400, size=900)))).near is None
    library.remove("a")
    assert library.document("b").near is None  # type: ignore[union-attr]


def test_texts_that_are_far_apart_have_fingerprints_far_apart() -> None:
    prints = np.array([fingerprint(" ".join(paragraphs(seed, 10))) for seed in range(60)]).view(np.uint64)
    apart = np.bitwise_count(prints[:, None] ^ prints[None])[np.triu_indices(60, 1)]
    assert apart.min() > 12


def test_a_short_text_has_no_fingerprint() -> None:
    assert fingerprint("too short to compare") == 0


# -- bibliographies


def test_a_bibliography_joins_what_is_there_and_what_comes_later(library: Library) -> None:
    said = {"title": "The Crust of the Earth", "authors": ["Bott, M.", "Aki, K."], "year": 1971, "doi": "10.1/x"}
    library.keep(entry("a", "Basalt is dense.", title="the crust of the earth"))
    assert library.cite({"10.1/x": said, fold("The Crust of the Earth"): said}) == 1
    library.keep(entry("b", "Granite is light.", title="scan 0012", doi="10.1/X"))
    for source in ("a", "b"):
        record = library.document(source)
        assert record is not None
        assert (record.title, record.authors, record.year, record.doi) == ("The Crust of the Earth", ("Bott, M.", "Aki, K."), 1971, "10.1/x")
        assert record.label == "The Crust of the Earth (Bott et al., 1971)"
    assert found(library, "earth") == {"a", "b"}
    assert found(library, "scan") == set()
    consistent(library)


def test_a_bibliography_given_again_changes_nothing(library: Library) -> None:
    said = {fold("The Crust"): {"title": "The Crust", "authors": ["Bott, M."], "year": 1971, "doi": ""}}
    library.keep(entry("a", "Basalt is dense.", title="the crust"))
    assert library.cite(said) == 1
    ids = library.execute("SELECT rowid FROM words_docsize")
    assert library.cite(said) == 1
    assert library.execute("SELECT rowid FROM words_docsize") == ids
    consistent(library)


STEPS = st.lists(st.tuples(st.sampled_from(["keep", "remove", "cite", "open"]), st.integers(0, 3), st.integers(0, 3)), max_size=12)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_words_and_vectors_are_in_step_after_any_changes(steps: list[tuple[str, int, int]]) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        library = Library(folder, ENCODER)
        held: dict[str, int] = {}
        for what, source, content in steps:
            name = f"source{source}"
            if what == "keep":
                library.keep(entry(name, *paragraphs(content, 2), title=f"Title{content}"))
                held[name] = content
            elif what == "remove":
                assert library.remove(name) == (held.pop(name, None) is not None)
            elif what == "cite":
                library.cite({fold(f"Title{content}"): {"title": f"Title{content}", "authors": [f"Name{source}"], "year": 1990 + source}})
            else:
                library.close()
                library = Library(folder, ENCODER)
            consistent(library)
        assert {record.source for record in library.documents()} == set(held)
        assert {row[0] for row in library.execute("SELECT DISTINCT heading FROM passage_words")} >= {f"Title{n} Part 0" for n in held.values()}
        assert library.texts() == len(set(held.values()))
        library.close()
    finally:
        shutil.rmtree(folder)


# -- encoders


def half(texts: list[str]) -> np.ndarray:
    """Another encoder, of another width."""
    short = embed(texts)[:, : WIDTH // 2]
    return short / np.linalg.norm(short, axis=1, keepdims=True)


def test_another_encoder_is_refused_until_the_library_is_rebuilt(library: Library) -> None:
    library.keep(entry("a", *paragraphs(1)))
    library.keep(entry("b", *paragraphs(2)))
    other = Library(library.folder, "half/24")
    assert "rebuild" in raised("E_CHANGED", lambda: Retriever(other)).hint
    raised("E_CHANGED", lambda: other.keep(entry("c", *paragraphs(3))))
    assert ingest.embed_again(other, embed=half) == 8  # type: ignore[arg-type]
    other.check_encoder()
    assert other.execute("SELECT DISTINCT length(vector) FROM passages") == [(WIDTH,)]
    assert other.execute("SELECT DISTINCT length(vector) FROM documents") == [(WIDTH,)]
    raised("E_CHANGED", library.check_encoder)
    raised("E_CHANGED", lambda: library.keep(entry("c", *paragraphs(3))))
    consistent(other)


def test_the_old_vectors_answer_until_all_the_new_ones_are_there(library: Library) -> None:
    from moho.knowledge.vectors import Vectors

    library.keep(entry("a", *paragraphs(1)))
    here = Vectors(library)
    asked = embed([paragraphs(1)[2]])[0]
    before = here.search(asked, 4)[0].tolist()
    other = Library(library.folder, "half/24")
    ids = other.not_embedded()
    other.embed_again(ids[:2].tolist(), half(["x", "y"]))
    assert here.search(asked, 4)[0].tolist() == before
    assert not other.finish_embedding()
    library.keep(entry("b", *paragraphs(2)))  # a process of the old encoder goes on meanwhile
    assert here.search(asked, 4)[0][0] == before[0]
    rest = other.not_embedded()
    assert len(rest) == 6
    other.embed_again(rest.tolist(), half([str(n) for n in rest]))
    assert other.finish_embedding()
    raised("E_CHANGED", lambda: here.search(asked, 4))


def test_a_rebuild_that_was_killed_goes_on_where_it_was(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "TOGETHER", 3)
    library.keep(entry("a", *paragraphs(1, 8)))
    other = Library(library.folder, "half/24")
    seen: list[str] = []

    def dying(texts: list[str]) -> np.ndarray:
        if len(seen) >= 6:
            raise KeyboardInterrupt
        seen.extend(texts)
        return half(texts)

    with pytest.raises(KeyboardInterrupt):
        ingest.embed_again(other, embed=dying)  # type: ignore[arg-type]
    library.check_encoder()
    rest: list[str] = []

    def again(texts: list[str]) -> np.ndarray:
        rest.extend(texts)
        return half(texts)

    assert ingest.embed_again(other, embed=again) == 8  # type: ignore[arg-type]
    assert (len(seen), len(rest)) == (6, 2)


# -- files that are no library, or a damaged one


def test_a_database_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("CREATE TABLE meta (a, b)")
    connection.close()
    before = (tmp_path / FILE).read_bytes()
    raised("E_FORMAT", lambda: Library(tmp_path, ENCODER))
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.parametrize("content", [b"no database, but a file of more than a hundred bytes. " * 4, b"SQLite format 3\0" + bytes(4080)])
def test_a_file_that_is_no_library_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    raised("E_FORMAT", lambda: Library(tmp_path, ENCODER))
    assert (tmp_path / FILE).read_bytes() == content


def test_a_library_of_another_version_is_refused(library: Library) -> None:
    library._connection.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    raised("E_UNSUPPORTED", lambda: Library(library.folder, ENCODER))


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "library").write_text("")
    raised("E_FORMAT", lambda: Library(tmp_path / "library", ENCODER))
    raised("E_FORMAT", lambda: Library(tmp_path / "library" / "below", ENCODER))


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_library_gives_typed_errors_only(library: Library, seed: int) -> None:
    for number in range(8):
        library.keep(entry(f"{number}", *paragraphs(number)))
    library._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    library.close()
    content = bytearray(library.path.read_bytes())
    rng = np.random.default_rng(seed)
    if seed % 3 == 0:
        del content[int(rng.integers(200, len(content) - 1)) :]
    else:
        for _ in range(seed):
            at = int(rng.integers(100, len(content) - 300))
            content[at : at + 256] = rng.bytes(256)
    library.path.write_bytes(content)
    codes = set()
    for action in (
        lambda: Library(library.folder, ENCODER), library.verify, library.documents, library.states, lambda: library.passages(range(40)),
        lambda: library.vectors(range(40)), lambda: library.changes(0), lambda: list(library.stream()[2]), lambda: found(library, "term1"),
        lambda: library.remove("1"), lambda: library.keep(entry("9", *paragraphs(9))),
    ):  # fmt: skip
        try:
            action()
        except DataError as error:
            codes.add(error.code)
    assert codes or seed < 3  # a little damage may lie where nothing is
    assert codes <= {"E_FORMAT", "E_CHANGED", "E_DISK"}


def test_words_that_are_not_those_of_the_passages_are_noticed(library: Library) -> None:
    library.keep(entry("a", "Basalt is dense."))
    library._connection.execute("UPDATE passages SET text = 'Granite is light.'")
    raised("E_FORMAT", library.verify)


# -- no room, no right to write


def in_a_child(body: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", body, *map(str, arguments)], capture_output=True, text=True, cwd=Path(__file__).parent, timeout=60)


FULL = """
import resource, signal, sys
from pathlib import Path
from made_library import ENCODER, entry, paragraphs
from moho.errors import DataError
from moho.knowledge.index import Library
library = Library(Path(sys.argv[1]), ENCODER)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
kept = 0
try:
    for number in range(100, 400):
        library.keep(entry(str(number), *paragraphs(number, 20)))
        kept += 1
except DataError as error:
    print(error.code, kept, len(library.documents()), library.execute("SELECT count(*) FROM words WHERE words MATCH 'term1'")[0][0])
"""


@pytest.mark.parametrize("room", [200_000, 350_000])
def test_a_full_disk_is_said_and_the_old_content_answers(library: Library, room: int) -> None:
    for number in range(3):
        library.keep(entry(f"{number}", *paragraphs(number)))
    done = in_a_child(FULL, library.folder, room)
    assert done.returncode == 0, done.stderr
    code, kept, documents, hits = done.stdout.split()
    assert code == "E_DISK"
    assert int(documents) == 3 + int(kept)
    assert int(hits) == 4
    consistent(library)
    library.keep(entry("later", *paragraphs(99)))  # there is room again
    consistent(library)


@pytest.fixture
def fixed_folder(library: Library) -> Iterator[Path]:
    """A library that this user may read and not write; as root in a child that gives root up."""
    base = Path(tempfile.mkdtemp(prefix="moho-read-only-"))
    base.chmod(0o755)
    for number in range(3):
        library.keep(entry(f"{number}", *paragraphs(number)))
    library.close()
    folder = base / "library"
    shutil.copytree(library.folder, folder)
    for path in (*folder.iterdir(), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(base)


def as_another(work: Callable[[], None]) -> str:
    """What `work` printed or raised, in a fork that is not root."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        words = "done"
        try:
            if os.geteuid() == 0:
                os.seteuid(65534)
            work()
        except BaseException as error:
            words = f"{type(error).__name__} {error}"
        os.write(writing, words.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as file:
        return file.read()


def test_a_library_that_may_only_be_read_answers(fixed_folder: Path) -> None:
    def work() -> None:
        library = Library(fixed_folder, ENCODER)
        assert found(library, "term1") == {"1"}
        library.verify()
        assert len(list(library.stream()[2])) == 1
        assert raised("E_PERM", lambda: library.keep(entry("9", *paragraphs(9)))).message
        raised("E_PERM", lambda: library.remove("1"))
        assert len(library.documents()) == 3
        assert len(Retriever(library).vectors.search(embed(paragraphs(1))[0], 3)[0]) == 3

    assert as_another(work) == "done"


def test_a_reader_without_the_right_to_write_sees_what_its_owner_adds(fixed_folder: Path) -> None:
    def work() -> None:
        library = Library(fixed_folder, ENCODER)
        assert len(library.documents()) == 3
        os.seteuid(os.getuid())
        fixed_folder.chmod(0o755)
        (fixed_folder / FILE).chmod(0o644)
        done = in_a_child(
            "import sys; from pathlib import Path; from made_library import *; Library(Path(sys.argv[1]), ENCODER).keep(entry('9', *paragraphs(9)))",
            fixed_folder,
        )
        assert done.returncode == 0, done.stderr
        os.seteuid(65534)
        assert len(library.documents()) == 4

    if os.geteuid() != 0:
        pytest.skip("needs root, to be two users")
    assert as_another(work) == "done"


def test_a_folder_in_which_nothing_may_be_made_is_refused(fixed_folder: Path) -> None:
    assert as_another(lambda: raised("E_PERM", lambda: Library(fixed_folder / "new", ENCODER)) and None) == "done"


def test_no_descriptors_left_is_a_typed_error(library: Library) -> None:
    library.keep(entry("a", *paragraphs(1)))
    library.close()

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1,) * 2)
        raised("E_PERM", library.documents)

    assert as_another(work) == "done"


def test_many_processes_may_open_a_new_library_at_once(tmp_path: Path) -> None:
    go, hold = os.pipe()
    children = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(hold)
                os.read(go, 1)
                Library(tmp_path / "library", ENCODER).keep(entry(str(os.getpid()), *paragraphs(os.getpid(), 1)))
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    os.close(hold)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 8
    os.close(go)
    library = Library(tmp_path / "library", ENCODER)
    assert len(library.documents()) == library.generation == 8
    consistent(library)
