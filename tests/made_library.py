"""Libraries made for tests: documents of known words, vectors without a model, and what must hold of every library."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256

import numpy as np

from moho.knowledge.index import Entry, Library
from moho.knowledge.passages import Block, Document, cut

WIDTH = 48
ENCODER = f"words/{WIDTH}"


@cache
def _direction(word: str) -> np.ndarray:
    return np.random.default_rng(list(word.encode())).standard_normal(WIDTH)


def embed(texts: Sequence[str]) -> np.ndarray:
    """Unit vectors: the sum of a direction for each word."""
    rows = [np.sum([_direction(word) for word in text.casefold().split()] or [_direction("")], axis=0) for text in texts]
    return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32) if rows else np.empty((0, WIDTH), np.float32)


def size(text: str) -> int:
    """Words, in the place of word pieces."""
    return len(text.split())


def entry(source: str, *texts: str, title: str = "", doi: str = "", content: str = "", year: int | None = None) -> Entry:
    """A document of these paragraphs, ready to be kept."""
    document = Document(tuple(Block(text, f"Part {i}", i + 1) for i, text in enumerate(texts)), title or source, doi=doi, year=year)
    passages = cut(document, size, 40)
    digest = sha256((content or repr(texts)).encode()).hexdigest()
    return Entry(source, digest, 1, 1, document, passages, embed([passage.text for passage in passages]))


def paragraphs(seed: int, many: int = 4) -> list[str]:
    """Sentences that another seed does not make."""
    rng = np.random.default_rng(seed)
    return [" ".join(f"Term{seed} sees wave{rng.integers(90)} over layer{rng.integers(90)} of part{i}." for _ in range(5)) for i in range(many)]


def consistent(library: Library) -> None:
    """Words, vectors, passages and documents of the library agree."""
    library.verify()
    execute = library.execute
    assert not execute("SELECT 1 FROM passages WHERE document NOT IN (SELECT id FROM documents)")
    assert not execute("SELECT 1 FROM removed WHERE passage IN (SELECT id FROM passages)")
    assert execute("SELECT id FROM passages ORDER BY id") == execute("SELECT rowid FROM words_docsize ORDER BY rowid")
    with_text = execute("SELECT DISTINCT document FROM passages ORDER BY document")
    assert with_text == execute("SELECT rowid FROM texts_docsize ORDER BY rowid")
    assert with_text == execute("SELECT id FROM documents WHERE same_as IS NULL ORDER BY id")
    assert with_text == execute("SELECT id FROM documents WHERE vector IS NOT NULL ORDER BY id")
    assert not execute("SELECT 1 FROM documents WHERE same_as IN (SELECT id FROM documents WHERE same_as IS NOT NULL)")
    assert len(execute("SELECT DISTINCT length(vector) FROM passages")) <= 1
    for number, text, heading in execute("SELECT id, text, heading FROM passage_words"):
        for column, words in (("text", text), ("heading", heading)):
            if words.strip():
                quoted = words.split()[-1].strip(".").replace('"', "")
                assert execute(f"SELECT 1 FROM words WHERE rowid = ? AND words MATCH '{column}:\"{quoted}\"'", (number,)), words
    for (document,) in with_text:
        ordinals = [row[0] for row in execute("SELECT ordinal FROM passages WHERE document = ? ORDER BY ordinal", (document,))]
        assert ordinals == list(range(len(ordinals)))
