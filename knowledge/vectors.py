"""FAISS as the library's fast copy: nearest passages by inner product, as of the library's generation.

A snapshot lies beside the library under its generation, and a small file that is swapped atomically says which one holds, with
its SHA-256. What the library has seen since is caught up in memory: new passages in a second, flat index, removed
ones left out of every search. A snapshot that is absent, damaged, ahead of the library, of another library or encoder is made again.

While the library is small the index is flat with fp16 vectors; from `LARGE` passages on it is IVF with 8-bit codes, whose
nearest are scored again with the exact vectors of the library. Where FAISS sees a GPU, the snapshot is searched there as well.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np

from moho.errors import DataError
from moho.knowledge.index import Library
from moho.store import atomic_write

LARGE = 40_000  # passages from which the index is IVF
PROBES = 24  # cells searched of an IVF index
TRAINED = 60_000  # vectors at most that k-means sees
RESCORED = 2  # times as many candidates as wanted are scored exactly
BEHIND = 0.1  # share of the snapshot that may be caught up in memory before a new one is worth its time
DEEPEST = 2048  # results a GPU gives at most
POINTER = "vectors.json"


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


@dataclass
class _State:
    """The index of one generation, swapped as a whole."""

    generation: int
    main: Any = None  # faiss.Index over ids
    ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))  # of `main`, sorted
    gone: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))  # of `main`, not to be found
    fresh: Any = None  # faiss.Index over ids that came since
    fresh_ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    device: Any = None  # `main` on the GPUs, where there are some
    kept: int | None = None  # generation of the snapshot on disk that `main` is

    @property
    def size(self) -> int:
        return len(self.ids) - len(self.gone) + len(self.fresh_ids)


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
            return self._exact(query, among, wanted)
        coarse = _is_coarse(state.main)
        wide = 1 if among is None else max(1, state.size // len(among))  # few may answer: they lie in more cells
        ids, near = self._near(state, query, wanted * RESCORED if coarse else wanted, among, wide)
        if coarse and len(ids) < wanted:  # they lie far off
            ids, near = self._near(state, query, wanted * RESCORED, among, state.main.nlist)
        if coarse:
            return self._exact(query, ids, wanted)
        order = np.lexsort((ids, -near))[:wanted]
        return ids[order], near[order]

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
            behind = len(state.fresh_ids) + len(state.gone)
            if pointer and pointer["generation"] == state.kept and behind <= BEHIND * len(state.ids):
                return
            state = self._build() if behind else state
            self._write(state)
            self._state = replace(state, kept=state.generation)

    # -- inside

    def _near(self, state: _State, query: np.ndarray, ask: int, among: np.ndarray | None, wide: int) -> tuple[np.ndarray, np.ndarray]:
        """(ids, scores) that the indexes give, `ask` at most of each, in `wide` times as many cells as usual."""
        found: list[np.ndarray] = []
        scores: list[np.ndarray] = []
        for index, out in ((state.main, state.gone), (state.fresh, None)):
            if index is None or index.ntotal == 0:
                continue
            deep = ask + (0 if out is None else len(out))
            if index is state.main and state.device is not None and among is None and deep <= DEEPEST:
                with self._device_lock:  # GPUs take no conditions: more are asked for, and what is gone is left out
                    near, which = state.device.search(query[None].astype(np.float32), min(deep, index.ntotal))
                good = np.flatnonzero((which[0] >= 0) & ~np.isin(which[0], state.gone))[:ask]
            else:
                near, which = index.search(query[None].astype(np.float32), min(ask, index.ntotal), params=_parameters(index, out, among, wide))
                good = np.flatnonzero(which[0] >= 0)
            found.append(which[0][good])
            scores.append(near[0][good])
        return np.concatenate(found), np.concatenate(scores)

    def _exact(self, query: np.ndarray, ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        kept, _, vectors = self.library.matrix(ids)
        if not len(kept):
            return kept, np.empty(0, np.float32)
        near = vectors.astype(np.float32) @ query.astype(np.float32)
        order = np.lexsort((kept, -near))[:k]
        return kept[order], near[order]

    def _build(self) -> _State:
        """A new index over everything, vectors read in batches."""
        generation, ids, batches = self.library.stream()
        if not len(ids):
            return _State(generation)
        index: Any = None
        for batch, vectors in batches:
            single = vectors.astype(np.float32)
            if index is None:
                width = single.shape[1]
                index = self._trained(ids, width) if len(ids) >= LARGE else _flat(width)
            index.add_with_ids(single, batch)
        if _is_coarse(index):
            index.nprobe = PROBES
        return _State(generation, index, ids, device=_on_gpus(index))

    def _trained(self, ids: np.ndarray, width: int) -> Any:
        """An empty IVF index whose cells were found on a sample of the library."""
        faiss = library()
        sample = self.library.vectors(np.random.default_rng(0).permutation(ids)[:TRAINED])
        single = np.stack([sample[number] for number in sorted(sample)]).astype(np.float32)
        cells = min(int(4 * np.sqrt(len(ids))), len(single) // 40)
        index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(width), width, cells, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
        index.cp.niter = 8
        index.train(single)
        return index

    def _catch_up(self, state: _State) -> _State:
        """`state` with what the library has seen since; the old one stays as it is for those who search it."""
        faiss = library()
        generation, ids, vectors, gone = self.library.changes(state.generation)
        behind = len(ids) + len(gone) + len(state.fresh_ids) + len(state.gone)
        if state.main is None or (behind > BEHIND * len(state.ids) and len(state.ids) < LARGE):
            return self._build()
        lost = np.union1d(gone, ids)  # an id with a new vector is searched among the fresh
        out = np.union1d(state.gone, np.intersect1d(lost, state.ids))
        fresh_ids, fresh = state.fresh_ids, None
        stay = ~np.isin(fresh_ids, lost)
        parts = [state.fresh.reconstruct_batch(fresh_ids[stay])] if state.fresh is not None and stay.any() else []
        if len(ids):
            parts.append(vectors.astype(np.float32))
        fresh_ids = np.concatenate([fresh_ids[stay], ids])
        if len(fresh_ids):
            fresh = faiss.IndexIDMap2(faiss.IndexFlatIP(parts[0].shape[1]))
            fresh.add_with_ids(np.concatenate(parts), fresh_ids)
        return _State(generation, state.main, state.ids, out, fresh, fresh_ids, state.device, state.kept)

    def _pointer(self) -> dict[str, Any] | None:
        try:
            found = json.loads((self.library.folder / POINTER).read_text())
        except (OSError, ValueError):
            return None
        known = isinstance(found, dict) and isinstance(found.get("generation"), int) and isinstance(found.get("sha256"), str)
        mine = {"encoder": self.library.encoder, "library": self.library.identity}
        return found if known and found.items() >= mine.items() else None

    def _load(self) -> _State | None:
        """The snapshot the pointer names, when it is whole; None otherwise."""
        pointer = self._pointer()
        if pointer is None:
            return None
        path = self.library.folder / f"vectors-{pointer['generation']}.faiss"
        try:
            content = np.fromfile(path, np.uint8)
            if sha256(content.data).hexdigest() != pointer["sha256"]:
                return None
            index = library().deserialize_index(content)
        except (OSError, ValueError, RuntimeError):
            return None
        return _State(pointer["generation"], index, np.sort(_ids(index)), device=_on_gpus(index), kept=pointer["generation"])

    def _write(self, state: _State) -> None:
        """The state on disk, then the pointer to it; older snapshots go."""
        if state.main is None:
            return
        name = f"vectors-{state.generation}.faiss"
        content = library().serialize_index(state.main)
        atomic_write(self.library.folder / name, content.data, replace=True)
        pointer = {
            "generation": state.generation, "library": self.library.identity, "encoder": self.library.encoder,
            "sha256": sha256(content.data).hexdigest(),
        }  # fmt: skip
        atomic_write(self.library.folder / POINTER, json.dumps(pointer).encode(), replace=True)
        for old in self.library.folder.glob("vectors-*.faiss"):
            if old.name != name:
                old.unlink(missing_ok=True)


def _flat(width: int) -> Any:
    faiss = library()
    return faiss.IndexIDMap2(faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT))


def _on_gpus(index: Any) -> Any:
    """A copy of an index on every GPU that FAISS sees; None where it sees none, as faiss-cpu does."""
    faiss = library()
    return faiss.index_cpu_to_all_gpus(index) if faiss.get_num_gpus() > 0 else None


def _is_coarse(index: Any) -> bool:
    return index is not None and hasattr(index, "nprobe")


def _ids(index: Any) -> np.ndarray:
    faiss = library()
    if _is_coarse(index):
        lists = index.invlists
        full = [i for i in range(index.nlist) if lists.list_size(i)]
        return np.concatenate([np.empty(0, np.int64), *(faiss.rev_swig_ptr(lists.get_ids(i), lists.list_size(i)).copy() for i in full)])
    return np.array(faiss.vector_to_array(index.id_map), np.int64)


def _parameters(index: Any, out: np.ndarray | None, among: np.ndarray | None, wide: int = 1) -> Any:
    """Search parameters that leave out removed ids and keep to those asked for."""
    faiss = library()
    selectors = []
    if among is not None:
        selectors.append(faiss.IDSelectorBatch(among))
    if out is not None and len(out):
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
