"""Scores of retrieval: on collections with judgements, and on questions about the handbook.

A collection is a folder with `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`) and `qrels.tsv`
(query, document, grade), as BEIR keeps them (Thakur et al., 2021, NeurIPS Datasets). Questions are JSON lines: `question`, `kind`
and the sentences, each with its page, that answer it.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moho.errors import DataError
from moho.knowledge import cite
from moho.knowledge.embed import ENCODER
from moho.knowledge.index import Library
from moho.knowledge.ingest import add_texts
from moho.knowledge.retrieve import Retriever
from moho.knowledge.starter import unmarked

DEPTH = 10  # of nDCG
DRAWS = 2000  # of the bootstrap


@dataclass(frozen=True)
class Collection:
    """Documents, queries and which answers which."""

    name: str
    documents: Sequence[tuple[str, str, str]]  # id, title, text
    queries: Mapping[str, str]
    judged: Mapping[str, Mapping[str, int]]  # query -> document -> grade


def load(folder: Path) -> Collection:
    """A collection from its three files; DataError names the file and line that is wrong."""
    documents = [(str(row["_id"]), str(row.get("title") or ""), str(row.get("text") or "")) for row in _rows(folder / "corpus.jsonl", "_id")]
    queries = {str(row["_id"]): str(row["text"]) for row in _rows(folder / "queries.jsonl", "_id", "text")}
    judged: dict[str, dict[str, int]] = {}
    path = next((p for p in (folder / "qrels.tsv", *sorted(folder.glob("qrels/*.tsv"))) if p.exists()), folder / "qrels.tsv")
    for number, line in enumerate(_lines(path), 1):
        parts = line.split("\t") if "\t" in line else line.split()
        parts = [parts[0], parts[2], parts[3]] if len(parts) == 4 else parts
        try:
            judged.setdefault(parts[0], {})[parts[1]] = int(float(parts[2]))
        except (IndexError, ValueError):
            if number > 1:  # the first line may be a heading
                raise DataError("E_FORMAT", f"{path.name}, line {number}: wants query, document and grade, got {line[:80]!r}") from None
    return Collection(
        folder.name, documents, {q: text for q, text in queries.items() if any(grade > 0 for grade in judged.get(q, {}).values())}, judged
    )


def score(collection: Collection, at: Path | None = None, read: bool = True) -> dict[str, Any]:
    """nDCG@10 with its 95 % interval, recall at 100 documents left out: what was found first, and how long a query took."""
    with tempfile.TemporaryDirectory() as scratch:
        library = Library(at or Path(scratch) / "library", ENCODER)
        if not library.size():
            add_texts(library, ((number, title, text) for number, title, text in collection.documents if f"{title}{text}".strip()))
        retriever = Retriever(library)
        gains, seconds = [], []
        for number, text in collection.queries.items():
            started = time.perf_counter()
            ranked = [source for source, _ in retriever.rank(text, DEPTH, read=read)]
            seconds.append(time.perf_counter() - started)
            gains.append(ndcg(ranked, collection.judged[number]))
        library.close()
    values = np.array(gains)
    return {
        "collection": collection.name, "documents": len(collection.documents), "queries": len(gains), "ndcg@10": round(float(values.mean()), 4),
        "interval": interval(values), "median_seconds": round(float(np.median(seconds)), 4),
    }  # fmt: skip


def ndcg(ranked: Sequence[str], judged: Mapping[str, int], depth: int = DEPTH) -> float:
    """Discounted gain of a ranking over that of the best one, gain the grade itself (Järvelin and Kekäläinen, 2002, ACM TOIS).

    >>> ndcg(["a", "b"], {"b": 1})
    0.6309297535714575
    """
    discount = 1 / np.log2(np.arange(2, depth + 2))
    got = sum(max(judged.get(name, 0), 0) * discount[i] for i, name in enumerate(ranked[:depth]))
    best = sum(grade * discount[i] for i, grade in enumerate(sorted((g for g in judged.values() if g > 0), reverse=True)[:depth]))
    return float(got / best) if best else 0.0


def interval(values: np.ndarray) -> list[float]:
    """95 % bootstrap interval of the mean."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (DRAWS, len(values)))].mean(axis=1)
    return [round(float(edge), 4) for edge in np.percentile(means, [2.5, 97.5])]


@dataclass(frozen=True)
class Asked:
    """One question and what came of it."""

    id: str
    kind: str
    found: bool  # a passage that answers is among the first five
    declined: bool
    verbatim: bool  # every quotation is a substring of its passage
    known: bool  # every key is of a passage of the library
    answers: bool  # a sentence that answers is among the quotations
    belief: float


def ask(retriever: Retriever, questions: Sequence[Mapping[str, Any]]) -> list[Asked]:
    """Every question put to the library."""
    asked = []
    for row in questions:
        answer = cite.quote(retriever, row["question"])
        texts = {one.key: one.text for one in answer.evidence}
        stored = retriever.library.passages([one.passage for one in answer.evidence])
        right = [unmarked(passage["quote"]) for passage in row["passages"]]
        asked.append(
            Asked(
                row["id"],
                row["kind"],
                any(quote in unmarked(one.text) for one in answer.evidence for quote in right),
                not answer.supported,
                all(quote.text in texts.get(quote.key, "") for quote in answer.quotes),
                all(one.passage in stored and stored[one.passage].passage.text == one.text for one in answer.evidence),
                any(unmarked(quote.text) in wanted or wanted in unmarked(quote.text) for quote in answer.quotes for wanted in right),
                answer.belief,
            )
        )
    return asked


def table(asked: Sequence[Asked]) -> dict[str, Any]:
    """Shares, each with its 95 % interval."""
    groups = {kind: [one for one in asked if one.kind == kind] for kind in ("answerable", "false premise", "unanswerable")}
    wanted = [*groups["answerable"], *groups["false premise"]]
    rows = {
        "right passage in the first five": [one.found for one in groups["answerable"]],
        "the same, false premises": [one.found for one in groups["false premise"]],
        "answerable, answered": [not one.declined for one in wanted],
        "a sentence that answers is quoted": [one.answers for one in wanted],
        "unanswerable, declined": [one.declined for one in groups["unanswerable"]],
        "quotations verbatim": [one.verbatim for one in asked],
        "keys in the index": [one.known for one in asked],
    }
    return {name: {"share": round(float(np.mean(v)), 3), "n": len(v), "interval": interval(np.array(v, float))} for name, v in rows.items() if v}


def questions(path: Path) -> list[dict[str, Any]]:
    """Questions of a file; DataError names the line that is wrong."""
    return _rows(path, "id", "kind", "question", "passages")


def _rows(path: Path, *keys: str) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError("E_FORMAT", f"{path.name}, line {number}: no JSON ({error})") from error
        if missing := [key for key in keys if key not in row]:
            raise DataError("E_FORMAT", f"{path.name}, line {number}: lacks {', '.join(missing)}")
        rows.append(row)
    return rows


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise DataError("E_NOT_FOUND", f"there is no {path}", "A collection holds corpus.jsonl, queries.jsonl and qrels.tsv.") from error
