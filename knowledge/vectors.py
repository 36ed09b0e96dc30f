"""The library's fast copy of its vectors: nearest passages by inner product, as of the library's generation.

A snapshot is two files beside the library under its generation: a FAISS index, and the vectors themselves
(`moho.knowledge.rows`), so that scores are exact and no query waits for rows of SQLite. A small file that is swapped atomically
says which one holds, with the SHA-256 of both. What the library has seen since is caught up in memory: new passages are compared
one by one, removed ones left out of every search. A snapshot that is absent, damaged, ahead of the library, of another library or
encoder is made again.

While the library is small the index is flat with fp16 vectors; from `LARGE` passages on it is IVF with 8-bit codes, whose
nearest are scored again. Where FAISS sees a GPU, the snapshot is searched there as well.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import file_digest
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from moho.errors import DataError
from moho.knowledge.index import Library
from moho.knowledge.rows import Rows, Table, dump, mapped
from moho.store import atomic, atomic_write

LARGE = 40_000  # passages from which the index is IVF
PROBES = 24  # cells searched of an IVF index
TRAINED = 60_000  # vectors at most that k-means sees
RESCORED = 2  # times as many candidates as wanted are scored exactly
BEHIND = 0.1  # share of the snapshot that may be caught up in memory before a new one is worth its time
DEEPEST = 2048  # results a GPU gives at most
POINTER = "vectors.json"
TOGETHER = 20_000  # vectors added at once
_READING = threading.Lock()  # FAISS's limit on what it reads is one for the whole process


@cache
def library() -> Any:
    """The `faiss` module; DataError where neither or both of its wheels are installed."""
    from importlib.metadata import distributions

    wheels = sorted({name for d in distributions() if (name := (d.metadata["Name"] or "").lower()).startswith("faiss-")})
    if len(wheels) > 1:
        words = f"{' and '.join(wheels)} are installed, and each overwrites the other's files."
        raise DataError("E_UNSUPPORTED", words, f"pip uninstall {' '.join(wheels)}, then install one of them: moho[cpu] or moho[gpu].")
    try:
        import faiss
    except ImportError as error:
        words = "FAISS is not installed, and the literature index needs it."
        raise DataError("E_NOT_FOUND", words, "pip install 'moho[cpu]', or 'moho[gpu]' on a machine with CUDA.") from error
    faiss.omp_set_num_threads(1)
    return faiss


@dataclass(frozen=True)
class _State:
    """What is known of one generation, swapped as a whole."""

    generation: int
    main: Any = None  # faiss.Index over the old passages
    passages: Table = field(default_factory=Table)
    documents: Table = field(default_factory=Table)  # those of several passages
    device: Any = None  # `main` on the GPUs, where there are some
    kept: int | None = None  # generation of the snapshot on disk that `main` is

    @property
    def size(self) -> int:
        return len(self.passages)


class Vectors:
    """The nearest passages of a library."""

    def __init__(self, library_: Library) -> None:
        self.library = library_
        self._lock = threading.Lock()
        self._device_lock = threading.Lock()  # a GPU's scratch memory serves one search at a time
        self._state: _State | None = None

    def search(self, query: np.ndarray, k: int, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(ids, scores) of the `k` nearest to a unit vector, best first; only `among` these ids where given."""
        state = self.current()
        wanted = min(k, state.size if among is None else len(among))
        if wanted == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if among is not None and len(among) <= 5 * k + 1000:
            return state.passages.only(among).nearest(query, wanted)
        coarse = _is_coarse(state.main)
        wide = 1 if among is None else max(1, state.size // len(among))  # few may answer: they lie in more cells
        ids, near = self._near(state, query, wanted * RESCORED if coarse else wanted, among, wide)
        if coarse and len(ids) < wanted:  # they lie far off
            ids, near = self._near(state, query, wanted * RESCORED, among, state.main.nlist)
        if coarse:
            return state.passages.only(ids).nearest(query, wanted)
        order = np.lexsort((ids, -near))[:wanted]
        return ids[order], near[order]

    def matrix(self, ids: np.ndarray) -> tuple[Rows, np.ndarray]:
        """(passages in the order of their ids, the vectors of their documents (passage, width)); those that are gone are left out."""
        state = self.current()
        rows = state.passages.only(ids)
        papers = state.documents.only(rows.documents)
        theirs = rows.vectors.copy()  # of a document of one passage
        if len(papers):
            known = np.flatnonzero(np.isin(rows.documents, papers.ids))
            theirs[known] = papers.vectors[np.searchsorted(papers.ids, rows.documents[known])]
        return rows, theirs

    def current(self) -> _State:
        """The index as of the library's generation, caught up or made again where it is behind."""
        state = self._state
        if state is not None and state.generation == self.library.generation:
            return state
        with self._lock:
            self.library.check_encoder()
            generation = self.library.generation
            state = self._state or self._load()
            if state is not None and state.generation == generation:
                self._state = state
                return state
            if state is None or state.generation > generation:
                state = self._build()
            elif state.generation < generation:
                state = self._catch_up(state)
            self._state = state
            return state

    def snapshot(self) -> None:
        """Write a snapshot, where the last one is absent or far enough behind to be worth it."""
        state = self.current()
        with self._lock:
            state = self._state or state
            pointer = self._pointer()
            behind = state.passages.behind
            if pointer and pointer["generation"] == state.kept and behind <= BEHIND * len(state.passages.old):
                return
            self._state = self._write(self._build() if behind else state)

    # -- inside

    def _near(self, state: _State, query: np.ndarray, ask: int, among: np.ndarray | None, wide: int) -> tuple[np.ndarray, np.ndarray]:
        """(ids, scores) that the indexes give, `ask` at most of each, in `wide` times as many cells as usual."""
        gone, new = state.passages.gone, state.passages.new
        if among is not None:
            new = new.take(np.isin(new.ids, among))
        ids, scores = new.nearest(query, ask)
        if state.main is None:
            return ids, scores
        deep = min(ask + len(gone), state.main.ntotal)
        if state.device is not None and among is None and deep <= DEEPEST:
            with self._device_lock:  # GPUs take no conditions: more are asked for, and what is gone is left out
                near, which = state.device.search(query[None].astype(np.float32), deep)
            good = np.flatnonzero((which[0] >= 0) & ~np.isin(which[0], gone))[:ask]
        else:
            chosen = _parameters(state.main, gone, among, wide)
            near, which = state.main.search(query[None].astype(np.float32), min(ask, state.main.ntotal), params=chosen)
            good = np.flatnonzero(which[0] >= 0)
        return np.concatenate([which[0][good], ids]), np.concatenate([near[0][good], scores])

    def _build(self) -> _State:
        """A new index over everything, vectors read in batches."""
        generation, ids, batches, papers = self.library.stream(TOGETHER)
        if not len(ids):
            return _State(generation)
        with closing(batches):
            rows = Rows.gathered(len(ids), batches)
        index = _trained(rows) if len(rows) >= LARGE else _flat(rows.vectors.shape[1])
        for start in range(0, len(rows), TOGETHER):
            part = slice(start, start + TOGETHER)
            index.add_with_ids(rows.vectors[part].astype(np.float32), rows.ids[part])
        return _State(generation, index, Table(rows), Table(papers), _on_gpus(index))

    def _catch_up(self, state: _State) -> _State:
        """`state` with what the library has seen since; the old one stays as it is for those who search it."""
        generation, new, gone, papers = self.library.changes(state.generation)
        behind, many = len(new) + len(gone) + state.passages.behind, len(state.passages.old)
        if state.main is None or (behind > BEHIND * many and many < LARGE):
            return self._build()
        documents = state.documents.after(papers, np.empty(0, np.int64))  # no passage leads to those that are gone
        return replace(state, generation=generation, passages=state.passages.after(new, gone), documents=documents)

    def _pointer(self) -> dict[str, Any] | None:
        try:
            found = json.loads((self.library.folder / POINTER).read_text())
        except (OSError, ValueError):
            return None
        known = isinstance(found, dict) and isinstance(found.get("generation"), int)
        mine = {"encoder": self.library.encoder, "library": self.library.identity}
        return found if known and found.items() >= mine.items() else None

    def _load(self) -> _State | None:
        """The snapshot the pointer names, when it is whole; None otherwise."""
        pointer = self._pointer()
        if pointer is None:
            return None
        generation = pointer["generation"]
        try:
            with open(self._path(generation, "faiss"), "rb") as first, open(self._path(generation, "rows"), "rb") as second:
                if _sums(first, second) != pointer.get("sha256"):
                    return None
                index, (passages, documents) = _read(first), mapped(second)
        except (OSError, ValueError, RuntimeError):
            return None
        return _State(generation, index, Table(passages), Table(documents), _on_gpus(index), generation)

    def _write(self, state: _State) -> _State:
        """The state on disk, then the pointer to it; older snapshots go. Gives the state whose vectors lie on the disk."""
        if state.main is None:
            return replace(state, kept=state.generation)
        faiss = library()
        paths = [self._path(state.generation, kind) for kind in ("faiss", "rows")]
        with atomic(paths[0], replace=True) as first, atomic(paths[1], replace=True) as second:
            faiss.write_index(state.main, faiss.PyCallbackIOWriter(first.write))
            dump(state.passages.old, state.documents.old, second)
            passages, documents = mapped(second)
            sums = _sums(first, second)
        pointer = {"generation": state.generation, "library": self.library.identity, "encoder": self.library.encoder, "sha256": sums}
        atomic_write(self.library.folder / POINTER, json.dumps(pointer).encode(), replace=True)
        for old in self.library.folder.glob("vectors-*"):
            if old not in paths:
                old.unlink(missing_ok=True)
        return replace(state, passages=Table(passages), documents=Table(documents), kept=state.generation)

    def _path(self, generation: int, kind: str) -> Path:
        return self.library.folder / f"vectors-{generation}.{kind}"


def _sums(*files: BufferedIOBase) -> list[str]:
    """SHA-256 of files, read from their beginning and in pieces."""
    for file in files:
        file.seek(0)
    return [file_digest(file, "sha256").hexdigest() for file in files]


def _read(file: BufferedIOBase) -> Any:
    """The index in a file from its beginning. FAISS would take the file's word for lengths up to a terabyte."""
    faiss = library()
    file.seek(0)
    with _READING:
        faiss.set_deserialization_vector_byte_limit(os.fstat(file.fileno()).st_size)
        return faiss.read_index(faiss.PyCallbackIOReader(file.read))


def _trained(rows: Rows) -> Any:
    """An empty IVF index whose cells were found on a sample of the vectors."""
    faiss = library()
    width = rows.vectors.shape[1]
    sample = rows.vectors[np.sort(np.random.default_rng(0).permutation(len(rows))[:TRAINED])].astype(np.float32)
    cells = min(int(4 * np.sqrt(len(rows))), len(sample) // 40)
    index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(width), width, cells, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    index.cp.niter = 8
    index.train(sample)
    index.nprobe = PROBES
    return index


def _flat(width: int) -> Any:
    faiss = library()
    return faiss.IndexIDMap2(faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT))


def _on_gpus(index: Any) -> Any:
    """A copy of an index on every GPU that FAISS sees; None where it sees none, as faiss-cpu does."""
    faiss = library()
    return faiss.index_cpu_to_all_gpus(index) if faiss.get_num_gpus() > 0 else None


def _is_coarse(index: Any) -> bool:
    return index is not None and hasattr(index, "nprobe")


def _parameters(index: Any, out: np.ndarray, among: np.ndarray | None, wide: int = 1) -> Any:
    """Search parameters that leave out removed ids and keep to those asked for."""
    faiss = library()
    selectors = []
    if among is not None:
        selectors.append(faiss.IDSelectorBatch(among))
    if len(out):
        selectors.append(faiss.IDSelectorNot(faiss.IDSelectorBatch(out)))
    if _is_coarse(index):
        chosen = faiss.SearchParametersIVF(nprobe=min(index.nlist, wide * index.nprobe))
    elif selectors:
        chosen = faiss.SearchParameters()
    else:
        return None
    if selectors:
        chosen.sel = selectors[0] if len(selectors) == 1 else faiss.IDSelectorAnd(*selectors)
        chosen.kept = selectors  # FAISS holds pointers only
    return chosen
