"""Vectors by id as plain arrays, and the file of all those of a library, which is mapped into memory rather than read.

The file holds three numbers (passages, documents, width), the ids of the passages, the documents they stand in, the ids of the
documents, and the fp16 vectors of both. Who maps it has checked it before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import BufferedIOBase

import numpy as np


@dataclass(frozen=True)
class Rows:
    """Vectors in the order of their ids: of passages, each with the document it stands in, or of documents."""

    ids: np.ndarray
    documents: np.ndarray  # of each; a document's own id
    vectors: np.ndarray  # (id, width)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, found: Sequence[tuple[int, int, bytes]]) -> Rows:
        """As SQLite gives them, fp16."""
        vectors = np.frombuffer(b"".join([row[2] for row in found]), np.float16)
        return cls(
            np.array([row[0] for row in found], np.int64),
            np.array([row[1] for row in found], np.int64),
            vectors.reshape(len(found), vectors.size // max(1, len(found))),
        )

    @classmethod
    def gathered(cls, many: int, parts: Iterable[Rows]) -> Rows:
        """So many rows that come in parts, without a second copy of any."""
        whole, at = none(), 0
        for part in parts:
            if at == 0:
                whole = cls(np.empty(many, np.int64), np.empty(many, np.int64), np.empty((many, part.vectors.shape[1]), part.vectors.dtype))
            for here, there in zip((whole.ids, whole.documents, whole.vectors), (part.ids, part.documents, part.vectors), strict=True):
                here[at : at + len(part)] = there
            at += len(part)
        return whole

    def take(self, which: np.ndarray | slice) -> Rows:
        """The rows in these places, or where a mask is true, float32."""
        return Rows(self.ids[which], self.documents[which], self.vectors[which].astype(np.float32, copy=False))

    def only(self, ids: np.ndarray) -> Rows:
        """The rows of these ids (in order), float32; those that are not here are left out."""
        place = np.searchsorted(self.ids, ids)
        place = place[place < len(self)]
        return self.take(place[self.ids[place] == ids[: len(place)]])

    def nearest(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """(ids, inner products) of the `k` nearest to a unit vector, best first."""
        if not len(self):
            return self.ids, np.empty(0, np.float32)
        near = self.vectors.astype(np.float32, copy=False) @ query.astype(np.float32)
        order = np.lexsort((self.ids, -near))[:k]
        return self.ids[order], near[order]

    def joined(self, other: Rows) -> Rows:
        """Both, float32, in the order of the ids, of which they share none."""
        if not len(self) or not len(other):
            return (other if len(other) else self).take(slice(None))
        order = np.argsort(ids := np.concatenate([self.ids, other.ids]))
        vectors = np.concatenate([self.vectors, other.vectors]).astype(np.float32, copy=False)
        return Rows(ids[order], np.concatenate([self.documents, other.documents])[order], vectors[order])


def none() -> Rows:
    """No rows."""
    return Rows(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 0), np.float16))


@dataclass(frozen=True)
class Table:
    """The rows of a snapshot with what has come and gone since."""

    old: Rows = field(default_factory=none)
    gone: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))  # ids of `old` that count no more
    new: Rows = field(default_factory=none)  # float32

    def __len__(self) -> int:
        return len(self.old) - len(self.gone) + len(self.new)

    @property
    def behind(self) -> int:
        """How much has changed since the snapshot."""
        return len(self.gone) + len(self.new)

    def only(self, ids: np.ndarray) -> Rows:
        """The rows of these ids, float32; those that are not here are left out."""
        wanted = np.unique(ids)
        return self.old.only(np.setdiff1d(wanted, self.gone, assume_unique=True)).joined(self.new.only(wanted))

    def after(self, new: Rows, gone: np.ndarray) -> Table:
        """The table with rows that came, those of a known id in the place of the old ones, and without what has gone."""
        lost = np.union1d(gone, new.ids)
        out = np.union1d(self.gone, np.intersect1d(lost, self.old.ids))
        return Table(self.old, out, self.new.take(~np.isin(self.new.ids, lost)).joined(new))


def dump(passages: Rows, documents: Rows, file: BufferedIOBase) -> None:
    """Write both."""
    counts = np.array([len(passages), len(documents), passages.vectors.shape[1]], np.int64)
    for part in (counts, passages.ids, passages.documents, documents.ids, passages.vectors, documents.vectors):
        file.write(np.ascontiguousarray(part).data)


def mapped(file: BufferedIOBase) -> tuple[Rows, Rows]:
    """(passages, documents) of a file; their vectors stay on disk until they are asked for, and outlive its name."""
    file.seek(0)
    many, papers, width = np.fromfile(file, np.int64, 3).tolist()
    ids, owners, own = (np.fromfile(file, np.int64, length) for length in (many, many, papers))
    vectors = np.memmap(file, np.float16, "r", file.tell(), (many + papers, width))
    return Rows(ids, owners, vectors[:many]), Rows(own, own, vectors[many:])
