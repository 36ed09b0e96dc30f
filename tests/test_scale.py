"""A library whose vectors are searched here or in a store outside gives the same passages, and never one that is gone."""

from __future__ import annotations

import importlib.metadata
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from moho.errors import DataError
from moho.knowledge import scale, vectors
from moho.knowledge.index import Entry, Library
from moho.knowledge.passages import Block, Document, Passage

WIDTH = 16


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(WIDTH)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def keep(library: Library, source: str, *seeds: int) -> None:
    """A document whose passages are called by their seeds and point where these say."""
    texts = [f"passage {seed}" for seed in seeds]
    passages = [Passage(text, 0, len(text)) for text in texts]
    entry = Entry(source, f"{source} {seeds}", 1, 1, Document(tuple(map(Block, texts))), passages, np.stack([unit(seed) for seed in seeds]))
    library.keep(entry)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library", f"test/{WIDTH}")


@pytest.fixture(params=["faiss", "qdrant"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, library: Library) -> Iterator[Callable[[], scale.Nearest]]:
    """Opens the searcher, as a new process would."""
    made: list[scale.Nearest] = []

    def shut() -> None:
        while made:
            if isinstance(one := made.pop(), scale.Outside):
                one.close()

    def open_() -> scale.Nearest:
        shut()
        made.append(scale.nearest(library, "" if request.param == "faiss" else f"qdrant:{tmp_path / 'qdrant'}"))
        return made[-1]

    yield open_
    shut()


def found(library: Library, nearest: scale.Nearest, seed: int, k: int = 1, among: np.ndarray | None = None) -> list[str]:
    ids, scores = nearest.search(unit(seed), k, among)
    assert list(scores) == sorted(scores, reverse=True)
    held = library.passages(ids)
    return [held[int(number)].passage.text.removeprefix("passage ") for number in ids]


def test_nothing_is_found_in_an_empty_library_and_all_when_it_fills(library: Library, opened: Callable[[], scale.Nearest]) -> None:
    nearest = opened()
    assert found(library, nearest, 1, 5) == []
    keep(library, "a", 1, 2)
    assert found(library, nearest, 1) == ["1"]
    assert sorted(found(library, nearest, 1, 5)) == ["1", "2"]
    assert nearest.current().size == 2


def test_after_a_deletion_the_next_one_added_is_not_taken_for_it(library: Library, opened: Callable[[], scale.Nearest]) -> None:
    nearest = opened()
    keep(library, "a", 1)
    keep(library, "c", 3)
    assert found(library, nearest, 1) == ["1"]
    library.remove("a")
    assert found(library, nearest, 1, 5) == ["3"]
    keep(library, "b", 2)
    assert (found(library, nearest, 3), found(library, nearest, 2)) == (["3"], ["2"])
    assert "1" not in found(library, nearest, 1, 5)


def test_a_replaced_document_is_found_as_it_is_now(library: Library, opened: Callable[[], scale.Nearest]) -> None:
    nearest = opened()
    keep(library, "a", 1, 2, 3)
    keep(library, "b", 9)
    assert found(library, nearest, 2) == ["2"]
    keep(library, "a", 4)
    assert sorted(found(library, nearest, 2, 9)) == ["4", "9"]


def test_new_vectors_of_a_passage_take_the_place_of_the_old(library: Library, opened: Callable[[], scale.Nearest]) -> None:
    nearest = opened()
    keep(library, "a", 1, 2)
    ids, _ = nearest.search(unit(1), 2)
    library.embed_again(ids.tolist(), np.stack([unit(7), unit(2)]))
    assert nearest.search(unit(1), 1)[0] == ids[0]  # the old ones answer until all are there
    assert library.finish_embedding()
    again, scores = nearest.search(unit(7), 2)
    assert again[0] == ids[0]
    assert scores[0] == pytest.approx(1, abs=0.01)
    assert len(set(again.tolist())) == 2


def test_many_changes_in_any_order_leave_what_the_library_holds(library: Library, opened: Callable[[], scale.Nearest]) -> None:
    rng = np.random.default_rng(0)
    nearest = opened()
    held: dict[str, int] = {}
    for step in range(60):
        source = f"paper {rng.integers(12)}"
        if rng.random() < 0.4:
            library.remove(source)
            held.pop(source, None)
        else:
            keep(library, source, 100 + step)
            held[source] = 100 + step
        if step % 7 == 0:
            nearest = opened() if step % 2 else nearest
            nearest.snapshot()
        for seed in held.values():
            assert found(library, nearest, seed) == [str(seed)]
        assert sorted(found(library, nearest, 0, 99)) == sorted(map(str, held.values()))


def test_a_restart_finds_what_was_kept_and_what_came_between(library: Library, opened: Callable[[], scale.Nearest]) -> None:
    keep(library, "a", 1, 2)
    opened().snapshot()
    keep(library, "b", 3)
    nearest = opened()
    assert (found(library, nearest, 1), found(library, nearest, 3)) == (["1"], ["3"])
    library.remove("a")
    assert found(library, opened(), 1, 5) == ["3"]


def test_only_those_allowed_answer(library: Library, opened: Callable[[], scale.Nearest], monkeypatch: pytest.MonkeyPatch) -> None:
    keep(library, "a", *range(1, 200))
    nearest = opened()
    ids, _ = nearest.search(unit(0), 199)
    assert len(ids) == 199
    few, many = ids[-2:], ids[::2]
    assert sorted(found(library, nearest, 1, 9, few)) == sorted(found(library, nearest, 0, 199)[-2:])
    monkeypatch.setattr(scale, "EXACT", -10**6)  # so that the store itself has to go on asking
    chosen, scores = nearest.search(unit(0), 5, many)
    assert chosen.tolist() == many[:5].tolist()
    assert list(scores) == sorted(scores, reverse=True)


def test_a_library_set_back_is_not_searched_by_what_came_after(library: Library, opened: Callable[[], scale.Nearest]) -> None:
    keep(library, "a", 1)
    before = library.path.read_bytes() if library.execute("PRAGMA wal_checkpoint(TRUNCATE)") else b""
    keep(library, "b", 2)
    opened().snapshot()
    library.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    library.close()
    library.path.write_bytes(before)
    assert found(library, opened(), 2, 5) == ["1"]


def test_a_store_that_lost_its_folder_is_filled_again(library: Library, tmp_path: Path) -> None:
    keep(library, "a", 1)
    for place in ("one", "two"):  # another folder under the same setting would look the same: it is empty
        nearest = scale.nearest(library, f"qdrant:{tmp_path / place}")
        assert isinstance(nearest, scale.Outside)
        assert found(library, nearest, 1) == ["1"]
        nearest.close()
    pointer = library.folder / scale.POINTER
    pointer.write_text(pointer.read_text().replace("two", "three"))
    nearest = scale.nearest(library, f"qdrant:{tmp_path / 'three'}")
    assert found(library, nearest, 1) == ["1"]
    nearest.close()  # type: ignore[attr-defined]


def test_an_ingest_killed_before_it_said_so_is_done_again(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nearest = scale.nearest(library, f"qdrant:{tmp_path / 'qdrant'}")
    assert isinstance(nearest, scale.Outside)
    keep(library, "a", 1)
    nearest.current()
    keep(library, "b", 2)

    def die(self: Any, state: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(scale.Outside, "_point", die)
        with pytest.raises(KeyboardInterrupt):
            nearest.current()
    assert found(library, nearest, 2, 9) == ["2", "1"]
    library.remove("b")
    assert found(library, nearest, 2, 9) == ["1"]
    nearest.close()


def test_a_setting_that_names_no_store(library: Library) -> None:
    for store in ("chroma:x", "qdrant", "qdrant:"):
        with pytest.raises(DataError, match="setting store") as caught:
            scale.nearest(library, store)
        assert caught.value.code == "E_FORMAT"


@pytest.mark.parametrize(("store", "package"), [("milvus:http://host:19530", "milvus"), ("postgres:postgresql://me:secret@host/db", "postgres")])
def test_a_store_that_is_not_installed_says_what_to_install(library: Library, store: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, f"llama_index.vector_stores.{package}", None)
    keep(library, "a", 1)
    with pytest.raises(DataError, match=f"pip install llama-index-vector-stores-{package}") as caught:
        scale.nearest(library, store).search(unit(1), 1)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("store", "name", "expected"),
    [
        ("milvus:http://host:19530", "MilvusVectorStore", {"uri": "http://host:19530", "dim": WIDTH, "similarity_metric": "IP"}),
        (
            "postgres:postgresql://me:secret@host/db",
            "PGVectorStore",
            {"connection_string": "postgresql+psycopg2://me:secret@host/db", "async_connection_string": "postgresql+asyncpg://me:secret@host/db"},
        ),
    ],
)
def test_what_a_store_is_given(library: Library, store: str, name: str, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the call: no such server runs here."""
    from llama_index.core.vector_stores.simple import SimpleVectorStore

    given: list[dict[str, Any]] = []

    class Fake(SimpleVectorStore):
        def __init__(self, **words: Any) -> None:
            given.append(words)
            super().__init__()

        from_params = classmethod(lambda cls, **words: cls(**words))

    module = ModuleType("fake")
    setattr(module, name, Fake)
    monkeypatch.setitem(sys.modules, f"llama_index.vector_stores.{store.partition(':')[0]}", module)
    keep(library, "a", 1, 2)
    nearest = scale.nearest(library, store)
    assert found(library, nearest, 2) == ["2"]
    library.remove("a")
    keep(library, "b", 3)
    assert found(library, nearest, 2, 5) == ["3"]
    assert expected.items() <= given[0].items()
    assert "secret" not in (library.folder / scale.POINTER).read_text()


def test_a_store_that_does_not_answer(library: Library) -> None:
    keep(library, "a", 1)
    with pytest.raises(DataError, match=r"qdrant:https://127.0.0.1:9 does not answer") as caught:
        scale.nearest(library, "qdrant:https://key@127.0.0.1:9").search(unit(1), 1)
    assert "key" not in str(caught.value)
    scale._client.cache_clear()


def test_a_store_that_fails_leaves_no_reader_behind(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who collects the error later may be another thread, which must not close this one's connection."""
    keep(library, "a", 1)
    read: list[Any] = []
    stream = library.stream

    def noted(many: int) -> Any:
        found = stream(many)
        read.append(found[2])
        return found

    monkeypatch.setattr(library, "stream", noted)
    with pytest.raises(DataError) as caught:
        scale.nearest(library, "qdrant:https://key@127.0.0.1:9").search(unit(1), 1)
    assert caught.value.code
    assert [inspect.getgeneratorstate(one) for one in read] == [inspect.GEN_CLOSED]
    scale._client.cache_clear()


# -- FAISS


def wheels(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: [SimpleNamespace(metadata={"Name": name}) for name in names])
    vectors.library.cache_clear()


@pytest.fixture
def fresh() -> Iterator[None]:
    yield
    vectors.library.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_two_wheels_of_faiss_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wheels(monkeypatch, "numpy", "faiss-cpu", "FAISS-GPU-cu12", "faiss_wrapper")
    with pytest.raises(DataError, match="pip uninstall faiss-cpu faiss-gpu-cu12") as caught:
        vectors.library()
    assert caught.value.code == "E_UNSUPPORTED"


@pytest.mark.usefixtures("fresh")
def test_one_wheel_of_faiss_will_do_and_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("faiss-cpu", "faiss-gpu-cu12"):
        wheels(monkeypatch, name, "numpy")
        assert vectors.library().IndexFlatIP
    wheels(monkeypatch, "numpy")
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(DataError, match=r"moho\[cpu\]"):
        vectors.library()


class OnGpu:
    """A copy of an index that takes no conditions and gives 2048 results at most, as FAISS's on a GPU."""

    def __init__(self, index: Any) -> None:
        self.index, self.asked = index, []

    def search(self, queries: np.ndarray, k: int) -> Any:
        assert k <= 2048
        self.asked.append(k)
        return self.index.search(queries, k)


@pytest.mark.parametrize("large", [False, True])
def test_a_gpu_is_searched_where_faiss_sees_one(library: Library, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the device: that the copy is made once, asked for more, and what is gone left out."""
    faiss, made = vectors.library(), []
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", lambda index: made.append(OnGpu(index)) or made[-1])
    monkeypatch.setattr(vectors, "LARGE", 100 if large else 10**6)
    for i in range(10):
        keep(library, f"paper {i}", *range(50 * i, 50 * i + 50))
    here = vectors.Vectors(library)
    assert found(library, here, 77) == ["77"]
    library.remove("paper 1")
    keep(library, "new", 77_000)
    assert "77" not in found(library, here, 77, 20)
    assert len(found(library, here, 77, 20)) == 20
    assert found(library, here, 77_000) == ["77000"]
    assert len(made) == (1 if large else 2)  # the small index is made again when a tenth is gone
    asked = len(made[-1].asked)
    ids = library.select("d.source = ?", ("paper 3",))
    here.search(unit(1), 9, np.tile(ids, 200))
    here.search(unit(1), 450, None)
    assert len(made[-1].asked) == asked + (450 * (vectors.RESCORED if large else 1) + 50 <= 2048)  # conditions are met on the processor


# -- embedding


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from distributed import LocalCluster

    made = LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1", memory_limit=0)
    yield made
    made.close()


def test_a_cluster_embeds_as_this_process_does(cluster: Any, tmp_path: Path) -> None:
    from moho.knowledge import ingest
    from moho.knowledge.embed import ENCODER, WIDTH, embed

    texts = [f"Layer {i} {'is thick ' * (i % 7)}." for i in range(20)]
    with scale.embedder(cluster.scheduler_address, together=6) as there:
        vectors_ = there(texts)
        assert vectors_.shape == (20, WIDTH)
        assert np.sum(vectors_ * embed(texts), axis=1).min() > 0.999
        assert len(there([])) == 0
        (tmp_path / "note.txt").write_text("Gravity falls with height. " * 30)
        library = Library(tmp_path / "library", ENCODER)
        report = ingest.add(library, [tmp_path / "note.txt"], embed=there)
    assert report.passages == library.size() > 0


def test_no_scheduler_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "WAIT", 0.5)
    with pytest.raises(DataError, match="no Dask scheduler answers"), scale.embedder("tcp://127.0.0.1:9"):
        pass


def test_a_worker_with_another_encoder_is_refused(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from moho.knowledge import embed

    monkeypatch.setattr(embed, "ENCODER", "another/384")
    with pytest.raises(DataError, match="workers embed with all-MiniLM"), scale.embedder(cluster.scheduler_address):
        pass
