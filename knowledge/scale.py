"""A library that outgrows one machine: its vectors in a store that LlamaIndex knows, its embedding on a Dask cluster.

SQLite stays the truth about documents, texts and words, and the library's folder stays where it is. The setting `store` chooses
who finds the nearest vectors: "" for FAISS in this process, else `qdrant:FOLDER_OR_URL`, `milvus:URI` or `postgres:DSN`. An
outside store is a copy like FAISS's: it follows the library's generation, it can be thrown away, and what it finds is scored
again with the library's own vectors, so that what has been removed is never returned. The setting `scheduler` is Moho's Dask
cluster, for volumes as for texts.
"""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import numpy as np

from moho.errors import DataError
from moho.knowledge.index import Library
from moho.knowledge.rows import Rows
from moho.knowledge.vectors import Vectors
from moho.store import atomic_write

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

    from moho.knowledge.ingest import Embed

POINTER = "store.json"
EXACT = 1000  # passages that are compared with the query directly rather than filtered from what a store finds
ASKED = 2  # times as many as wanted are asked of a store, and scored again
TOGETHER = 64  # texts a worker embeds at once
WAIT = 10  # s, for a scheduler
HERE = "Leave the setting `store` empty to search with FAISS here."
ALONE = "Leave the setting `scheduler` empty to embed here."


class Nearest(Protocol):
    """Who finds the nearest passages: `moho.knowledge.vectors.Vectors`, or `Outside`."""

    def search(self, query: np.ndarray, k: int, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]: ...
    def matrix(self, ids: np.ndarray) -> tuple[Rows, np.ndarray]: ...
    def current(self) -> Any: ...
    def snapshot(self) -> None: ...


def nearest(library: Library, store: str = "") -> Nearest:
    """The searcher of a library's vectors that the setting `store` names."""
    if not store:
        return Vectors(library)
    kind, _, place = store.partition(":")
    if kind not in STORES or not place:
        raise DataError("E_FORMAT", f"the setting store is {_hidden(store)!r}; it may be empty or {', '.join(f'{name}:…' for name in STORES)}.", HERE)
    return Outside(library, kind, place)


@dataclass(frozen=True)
class _State:
    """What the outside store holds: the collection, as of a generation of the library."""

    generation: int
    size: int
    collection: str
    witness: int | None  # a passage it holds; None where it holds nothing


class Outside:
    """The nearest passages of a library, found by a store of LlamaIndex's that is kept in step with it."""

    def __init__(self, library: Library, kind: str, place: str) -> None:
        self.library, self.kind, self.place = library, kind, place
        self._lock = threading.RLock()
        self._state: _State | None = None
        self._store: BasePydanticVectorStore | None = None

    def search(self, query: np.ndarray, k: int, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(ids, scores) of the `k` nearest to a unit vector, best first; only `among` these ids where given."""
        from llama_index.core.vector_stores.types import VectorStoreQuery

        state = self.current()
        wanted = min(k, state.size if among is None else len(among))
        if wanted == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if among is not None and len(among) <= 5 * k + EXACT:
            return self._scored(query, among, wanted)
        many = ASKED * wanted
        while True:  # stores differ in what they filter by, so that more are asked for until enough may answer
            with self._answering():
                found = self._of(state).query(VectorStoreQuery(query_embedding=query.astype(float).tolist(), similarity_top_k=min(many, state.size)))
            ids = np.array([UUID(name).int for name in found.ids or ()], np.int64)
            kept = ids if among is None else ids[np.isin(ids, among)]
            if len(kept) >= wanted or len(ids) < many or many >= state.size:
                return self._scored(query, kept, wanted)
            many *= 8

    def matrix(self, ids: np.ndarray) -> tuple[Rows, np.ndarray]:
        """What `Library.matrix` gives: a store gives no vectors back."""
        return self.library.matrix(ids)

    def current(self) -> _State:
        """The store as of the library's generation, caught up or filled again where it is behind."""
        generation = self.library.generation
        state = self._state
        if state is not None and state.generation == generation:
            return state
        with self._lock, self._alone():
            state = self._held()
            if state is None or state.generation > generation:
                state = self._fill(state)
            elif state.generation < generation:
                state = self._catch_up(state)
            self._state = state
            return state

    def snapshot(self) -> None:
        """Bring the store up to the library; it keeps itself."""
        self.current()

    def close(self) -> None:
        """Leave the store, so that another process may open a local one."""
        with self._lock:
            self._store = self._state = None
            if self.kind == "qdrant":
                _client(self.place).close()
                _client.cache_clear()

    # -- inside

    def _scored(self, query: np.ndarray, ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The best `k` of these by the library's own vectors; ids that the library does not hold are left out."""
        rows, _ = self.library.matrix(ids)
        return rows.nearest(query, k)

    def _held(self) -> _State | None:
        """What the store holds of this library, as the pointer says; None where it says nothing or the store has lost it."""
        pointer = self._pointer()
        if pointer is None:
            return None
        state = _State(int(pointer["generation"]), self.library.size(), str(pointer["collection"]), pointer["witness"])
        if self._state is None or self._state.collection != state.collection:
            self._store = None
            if state.witness is not None and not self._seen(state, state.witness):
                return None
        return state

    def _seen(self, state: _State, passage: int) -> bool:
        with self._answering():
            try:
                return bool(self._of(state).get_nodes(node_ids=[_name(passage)]))
            except (ValueError, KeyError):  # there is no such collection
                return False
            except Exception as error:
                if getattr(error, "status_code", None) == 404:
                    return False
                raise

    def _fill(self, old: _State | None) -> _State:
        """A new collection with everything; the old one goes."""
        if old is not None and old.witness is not None:
            with self._answering():
                self._of(old).clear()
        generation, ids, batches, _ = self.library.stream(5_000)
        state = _State(generation, len(ids), f"moho_{uuid4().hex[:12]}", int(ids[-1]) if len(ids) else None)
        self._store = None
        with closing(batches):  # where the store fails, its connection is closed here and not by whichever thread collects it
            for rows in batches:
                with self._answering():
                    self._of(state).add(_bare(rows))
        self._point(state)
        return state

    def _catch_up(self, state: _State) -> _State:
        """What the library has seen since; done twice it changes nothing, so that a run that was killed goes on."""
        if state.witness is None:
            return self._fill(None)
        generation, added, gone, _ = self.library.changes(state.generation)
        out = [_name(number) for number in np.union1d(gone, added.ids).tolist()]
        with self._answering():
            store = self._of(state)
            for start in range(0, len(out), 500):
                store.delete_nodes(node_ids=out[start : start + 500])
            if len(added):
                store.add(_bare(added))
        last = self.library.execute("SELECT max(id) FROM passages WHERE generation <= ?", (generation,))[0][0]
        new = _State(generation, self.library.size(), state.collection, last)
        self._point(new)
        return new

    def _pointer(self) -> dict[str, Any] | None:
        try:
            found = json.loads((self.library.folder / POINTER).read_text())
        except (OSError, ValueError):
            return None
        same = isinstance(found, dict) and self._mine().items() <= found.items()
        return found if same and {"generation", "collection", "witness"} <= set(found) else None

    def _point(self, state: _State) -> None:
        pointer = self._mine() | {"generation": state.generation, "collection": state.collection, "witness": state.witness}
        atomic_write(self.library.folder / POINTER, json.dumps(pointer).encode(), replace=True)

    def _mine(self) -> dict[str, Any]:
        return {"store": self._named(), "library": self.library.identity, "encoder": self.library.encoder}

    def _named(self) -> str:
        """The setting, without what is secret in it."""
        return _hidden(f"{self.kind}:{self.place}")

    def _of(self, state: _State) -> BasePydanticVectorStore:
        if self._store is None:
            width = self.library.execute("SELECT length(vector) / 2 FROM passages LIMIT 1")
            self._store = STORES[self.kind](self.place, state.collection, int(width[0][0]) if width else 1)
        return self._store

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time brings the store up to the library."""
        with open(self.library.folder / ".store.lock", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Whatever a store's client raises, under a code of ours: clients share no class of errors."""
        try:
            yield
        except DataError:
            raise
        except Exception as error:
            raise DataError("E_NOT_FOUND", f"the store {self._named()} does not answer: {type(error).__name__}: {str(error)[:200]}", HERE) from error


def _qdrant(place: str, collection: str, width: int) -> BasePydanticVectorStore:
    return _class("qdrant", "QdrantVectorStore")(collection, client=_client(place), index_doc_id=False)


@cache
def _client(place: str) -> Any:
    """One client for a place, as a local one may be opened once only."""
    from qdrant_client import QdrantClient

    if "://" in place:
        parts = urlsplit(place)
        address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        return QdrantClient(url=address, api_key=parts.username or None, check_compatibility=False)  # else a thread of its own warns
    try:
        return QdrantClient(path=str(Path(place).expanduser()))
    except RuntimeError as error:
        words = f"another process has the Qdrant folder {place} open; a folder serves one process at a time."
        raise DataError("E_LOCKED", words, "Start a Qdrant server and set store to qdrant:http://HOST:6333.") from error


def _milvus(place: str, collection: str, width: int) -> BasePydanticVectorStore:
    return _class("milvus", "MilvusVectorStore")(uri=place, collection_name=collection, dim=width, similarity_metric="IP", overwrite=False)


def _postgres(place: str, collection: str, width: int) -> BasePydanticVectorStore:
    _, _, rest = place.partition("://")
    return _class("postgres", "PGVectorStore").from_params(
        connection_string=f"postgresql+psycopg2://{rest}",
        async_connection_string=f"postgresql+asyncpg://{rest}",
        table_name=collection,
        embed_dim=width,
    )


STORES: dict[str, Callable[[str, str, int], Any]] = {"qdrant": _qdrant, "milvus": _milvus, "postgres": _postgres}


def _class(store: str, name: str) -> Any:
    """A vector store of LlamaIndex's, each of which is a package of its own."""
    package = f"llama-index-vector-stores-{store}"
    try:
        return getattr(import_module(f"llama_index.vector_stores.{store}"), name)
    except ImportError as error:
        raise DataError("E_NOT_FOUND", f"the store {store} needs {package}, which is not installed ({error}).", f"pip install {package}") from error


def _bare(rows: Rows) -> list[Any]:
    """Nodes of nothing but id and vector: the texts stay in the library."""
    from llama_index.core.schema import TextNode

    pairs = zip(rows.ids, rows.vectors, strict=True)
    return [TextNode(id_=_name(number), text="", embedding=vector.astype(float).tolist()) for number, vector in pairs]


def _name(passage: int) -> str:
    """A passage's number as the UUID that Qdrant asks for."""
    return str(UUID(int=int(passage)))


def _hidden(store: str) -> str:
    """A setting without the key or password in its address."""
    head, slashes, rest = store.partition("://")
    return f"{head}{slashes}{rest.rpartition('@')[2]}" if slashes else store


# -- embedding


@contextmanager
def embedder(address: str, together: int = TOGETHER) -> Iterator[Embed]:
    """`embed` by the workers of the Dask scheduler at an address, for `moho.knowledge.ingest`.

    Batches of texts go out and vectors come back, in order; the workers need Moho with its encoder, and no shared folder. What a
    dying worker leaves is done by another.
    """
    from distributed import Client
    from distributed.scheduler import KilledWorker

    try:
        client = Client(address, timeout=WAIT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise DataError("E_NOT_FOUND", f"no Dask scheduler answers at {address}: {error}", ALONE) from error

    def embed(texts: Sequence[str]) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # texts of like length together, as the encoder takes them
        parts = [order[start : start + together] for start in range(0, len(order), together)]
        futures = client.map(_embedded, [[texts[i] for i in part] for part in parts], pure=False)
        try:
            vectors = client.gather(futures)
        except KilledWorker as error:
            raise DataError("E_RESOURCE", "the same texts stopped several workers: is their memory large enough?") from error
        out = np.empty((len(texts), vectors[0].shape[1] if vectors else 0), np.float32)
        for part, own in zip(parts, vectors, strict=True):
            out[part] = own
        return out

    with client:
        client.wait_for_workers(1, timeout=30)
        _same_encoder(client)
        yield embed


def _same_encoder(client: Any) -> None:
    """DataError where a worker lacks the encoder or has another."""
    from moho.knowledge.embed import ENCODER

    try:
        seen = client.run(_encoder)
    except (ImportError, DataError) as error:
        raise DataError("E_NOT_FOUND", f"a worker of the cluster cannot embed: {error}", "Install Moho with its encoder on all workers.") from error
    if others := {name for name in seen.values() if name != ENCODER}:
        raise DataError("E_CHANGED", f"workers embed with {', '.join(sorted(others))}, and the encoder here is {ENCODER}.", ALONE)


def _encoder() -> str:
    from moho.knowledge.embed import ENCODER, embed

    embed(["a first text, so that the weights are there"])
    return ENCODER


def _embedded(texts: Sequence[str]) -> np.ndarray:
    from moho.knowledge.embed import embed

    return embed(texts)
