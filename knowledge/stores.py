"""The library as LlamaIndex sees it: a vector store over its passages and a retriever over its search.

What comes from LlamaIndex is kept with its node's own id and metadata beside the passage, in the library's file, and goes with
it; a node's reference document is a source of the library. Documents that Moho read itself show the same way, their passages
under "passage:ID". A filter speaks of a node's metadata first, then of what the library knows: year, authors, source, title,
doi, section, page, kind. This module is the only one here that imports LlamaIndex's schema.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode, MetadataMode, NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from moho.errors import DataError
from moho.knowledge.cite import key
from moho.knowledge.index import Entry, Held, Library, Record
from moho.knowledge.passages import SEPARATOR, Block, Document, Passage
from moho.knowledge.retrieve import POOL, Filter, Retriever
from moho.knowledge.vectors import Vectors
from moho.knowledge.words import Words

WEIGHT = 0.5  # of the vectors in a hybrid query that does not say; the words have the rest
_NAMED = "passage:"
_TABLE = """CREATE TABLE IF NOT EXISTS nodes (
    passage INTEGER PRIMARY KEY REFERENCES passages (id) ON DELETE CASCADE, name TEXT NOT NULL UNIQUE, content TEXT NOT NULL)"""
_COLUMNS = {
    "year": "d.year", "source": "d.source", "title": "d.title", "doi": "d.doi", "authors": "d.authors", "author": "d.authors", "format": "d.format",
    "section": "p.section", "page": "p.page", "kind": "p.kind",
}  # fmt: skip
_AUTHORS = ("author", "authors")
_COMPARED = {FilterOperator.GT: ">", FilterOperator.GTE: ">=", FilterOperator.LT: "<", FilterOperator.LTE: "<=", FilterOperator.EQ: "="}


class MohoEmbedding(BaseEmbedding):
    """The packaged MiniLM as LlamaIndex's embedding: the same vectors as the library's own."""

    model_name: str = "all-MiniLM-L6-v2"

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        from moho.knowledge.embed import embed

        return embed(texts).tolist()

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


class MohoVectorStore(BasePydanticVectorStore):
    """A LlamaIndex vector store whose nodes are the passages of a library.

    Modes: DEFAULT by vectors, TEXT_SEARCH and SPARSE by words, HYBRID by both (`alpha` is the share of the vectors).
    """

    stores_text: bool = True
    flat_metadata: bool = False
    _library: Library = PrivateAttr()
    _vectors: Vectors = PrivateAttr()
    _words: Words = PrivateAttr()

    def __init__(self, library: Library, vectors: Any = None) -> None:
        super().__init__(stores_text=True)
        library.check_encoder()
        library.execute(_TABLE)
        self._library = library
        self._vectors = vectors or Vectors(library)
        self._words = Words(library)

    @classmethod
    def class_name(cls) -> str:
        return "MohoVectorStore"

    @property
    def client(self) -> Library:
        """The library itself."""
        return self._library

    # -- writing

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Keep nodes with their embeddings, each with its reference document; one of a known id takes the other's place."""
        documents: dict[str, list[_Row]] = {}
        for node in nodes:
            documents.setdefault(node.ref_doc_id or node.node_id, []).append(self._row(node))
        names = {row.name for rows in documents.values() for row in rows}
        touched = {source for source, _ in self._whereabouts(names)} | set(documents)
        stay = {source: [row for row in self._rows(source) if row.name not in names] for source in sorted(touched)}
        for source, rows in stay.items():
            self._keep(source, rows + documents.get(source, []))
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Remove a document and its nodes."""
        self._library.remove(ref_doc_id)

    def delete_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any) -> None:
        """Remove the nodes of these ids that meet the filters; nothing where neither is given."""
        if node_ids is None and filters is None:
            return
        chosen = self._among(node_ids, None, filters)
        gone = set(chosen.tolist() if chosen is not None else [])
        records = self._library.records(set(self._library.owners(gone).values()))
        for record in records.values():
            self._keep(record.source, [row for row in self._rows(record.source) if row.held is None or row.held.id not in gone])

    def clear(self) -> None:
        """Remove all documents of the library."""
        for record in self._library.documents():
            self._library.remove(record.source)

    # -- reading

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """The nodes of these ids that meet the filters, all of the library where neither is given."""
        chosen = self._among(node_ids, None, filters)
        return self._nodes(chosen if chosen is not None else self._library.select("1", ()))[0]

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The passages that fit a query best, best first."""
        ask = {
            VectorStoreQueryMode.DEFAULT: self._near,
            VectorStoreQueryMode.TEXT_SEARCH: self._worded,
            VectorStoreQueryMode.SPARSE: self._worded,
            VectorStoreQueryMode.HYBRID: self._both,
        }.get(query.mode)
        if ask is None:
            raise ValueError(f"the library answers in the modes default, text_search, sparse and hybrid, not in {query.mode.value}")
        among = self._among(query.node_ids or None, query.doc_ids or None, query.filters)
        ids, scores = ask(query, among)
        nodes, kept = self._nodes(ids)
        found = dict(zip(ids.tolist(), scores.tolist(), strict=True))
        return VectorStoreQueryResult(nodes=nodes, similarities=[found[number] for number in kept], ids=[node.node_id for node in nodes])

    # -- inside

    def _near(self, query: VectorStoreQuery, among: np.ndarray | None, k: int = 0) -> tuple[np.ndarray, np.ndarray]:
        if query.query_embedding is None:
            raise ValueError(f"a query in the mode {query.mode.value} needs query_embedding")
        return self._vectors.search(self._unit(query.query_embedding), k or query.similarity_top_k, among)

    def _worded(self, query: VectorStoreQuery, among: np.ndarray | None, k: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """By BM25; where only some may answer, more are asked for until enough of them did or no more share a word."""
        if query.query_str is None:
            raise ValueError(f"a query in the mode {query.mode.value} needs query_str")
        k = k or query.sparse_top_k or query.similarity_top_k
        many = k
        while True:
            ids, scores = self._words.search(query.query_str, many)
            kept = np.ones(len(ids), bool) if among is None else np.isin(ids, among)
            if kept.sum() >= k or len(ids) < many:
                return ids[kept][:k], scores[kept][:k]
            many *= 8

    def _both(self, query: VectorStoreQuery, among: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """The weighted sum of both scores, each from 0 at the last of its list to 1 at the best."""
        k = query.hybrid_top_k or query.similarity_top_k
        weight = WEIGHT if query.alpha is None else query.alpha
        pool = max(k, POOL)
        total: dict[int, float] = {}
        for share, (ids, scores) in ((weight, self._near(query, among, pool)), (1 - weight, self._worded(query, among, pool))):
            low, high = (float(scores.min()), float(scores.max())) if len(scores) else (0.0, 0.0)
            for number, score in zip(ids.tolist(), scores.tolist(), strict=True):
                total[number] = total.get(number, 0.0) + share * ((score - low) / (high - low) if high > low else 1.0)
        best = sorted(total, key=lambda number: (-total[number], number))[:k]
        return np.array(best, np.int64), np.array([total[number] for number in best])

    def _unit(self, vector: Sequence[float]) -> np.ndarray:
        """A vector of unit length; DataError where its width is not the library's."""
        single = np.asarray(vector, np.float32)
        width = re.search(r"/(\d+)$", self._library.encoder)
        if width and int(width[1]) != single.size:
            words = f"the embedding has {single.size} numbers, and the library's encoder {self._library.encoder} gives {width[1]}."
            raise DataError("E_CHANGED", words, "Give LlamaIndex the encoder of the library: MohoEmbedding.")
        return single / max(float(np.linalg.norm(single)), 1e-9)

    def _among(self, node_ids: Sequence[str] | None, doc_ids: Sequence[str] | None, filters: MetadataFilters | None) -> np.ndarray | None:
        """Ids of the passages that may answer; None where all may."""
        parts: list[str] = []
        values: list[object] = []
        if node_ids is not None:
            parts.append(f"(p.id IN (SELECT passage FROM nodes WHERE name IN ({_LISTED})) OR p.id IN ({_LISTED}))")
            values += [json.dumps(list(node_ids)), json.dumps(_numbers(node_ids))]
        if doc_ids is not None:
            parts.append(f"d.source IN ({_LISTED})")
            values.append(json.dumps(list(doc_ids)))
        if filters is not None and filters.filters:
            condition, more = _condition(filters)
            parts.append(condition)
            values += more
        return self._library.select(" AND ".join(parts), values) if parts else None

    def _whereabouts(self, names: Iterable[str]) -> list[tuple[str, int]]:
        """(source, passage) of the nodes of these ids that the library holds."""
        chosen = self._among(sorted(names), None, None)
        owners = self._library.owners(chosen if chosen is not None else ())
        records = self._library.records(set(owners.values()))
        return [(records[document].source, number) for number, document in owners.items()]

    def _contents(self, ids: Iterable[int]) -> dict[int, tuple[str, dict[str, Any]]]:
        """(id, what LlamaIndex needs to make it again) of the passages that came as nodes."""
        rows = self._library.execute(f"SELECT passage, name, content FROM nodes WHERE passage IN ({_LISTED})", (json.dumps([int(n) for n in ids]),))
        return {number: (name, json.loads(content)) for number, name, content in rows}

    def _nodes(self, ids: Iterable[int]) -> tuple[list[BaseNode], list[int]]:
        """The nodes of these passages in this order, and the ids of those that are still there."""
        wanted = [int(number) for number in ids]
        held = self._library.passages(wanted)
        records = self._library.records({one.document for one in held.values()})
        contents = self._contents(held)
        kept = [number for number in wanted if number in held and held[number].document in records]
        return [_node(held[number], records[held[number].document], contents.get(number)) for number in kept], kept

    def _row(self, node: BaseNode) -> _Row:
        text = node.get_content(metadata_mode=MetadataMode.NONE)
        return _Row(node.node_id, text, self._unit(node.get_embedding()), node_to_metadata_dict(node, remove_text=True))

    def _rows(self, source: str) -> list[_Row]:
        """What the library holds of a source, in reading order."""
        ids = self._library.select("d.source = ?", (source,))
        held = sorted(self._library.passages(ids).values(), key=lambda one: one.ordinal)
        vectors, contents = self._library.vectors(ids), self._contents(ids)
        named = [(one, *contents.get(one.id, ("", None))) for one in held]
        return [_Row(name, one.passage.text, vectors[one.id].astype(np.float32), content, one) for one, name, content in named]

    def _keep(self, source: str, rows: Sequence[_Row]) -> None:
        """A document of these passages in the place of what the library held of the source, with the nodes they came as."""
        if not rows:
            self._library.remove(source)
            return
        record = self._library.document(source)
        size, changed, _ = self._library.states().get(source, (0, 0, "")) if record else (0, 0, "")
        passages: list[Passage] = []
        at = max((row.held.passage.end + len(SEPARATOR) for row in rows if row.held), default=0)
        for row in rows:
            if row.held:
                passages.append(row.held.passage)
            else:
                passages.append(_passage(row, at))
                at += len(row.text) + len(SEPARATOR)
        known = _described(rows[0])
        if record:
            known = Document((), record.title, record.authors, record.year, record.doi, record.format, record.notes)
        document = replace(known, blocks=tuple(Block(row.text) for row in rows))
        # a digest of its own: passages without vectors of their own, as of files of the same content, are no nodes
        mark = sha256("\0".join([source, *(f"{row.name}\0{row.text}" for row in rows)]).encode()).hexdigest()
        vectors = np.stack([row.vector for row in rows])

        def also(connection: sqlite3.Connection, number: int) -> None:
            ids = connection.execute("SELECT id FROM passages WHERE document = ? ORDER BY ordinal", (number,)).fetchall()
            named = [(one, row.name, json.dumps(row.content)) for (one,), row in zip(ids, rows, strict=True) if row.content is not None]
            connection.executemany("INSERT OR REPLACE INTO nodes VALUES (?, ?, ?)", named)

        self._library.keep(Entry(source, mark, size, changed, document, passages, vectors), also)


class MohoRetriever(BaseRetriever):
    """A LlamaIndex retriever over the library's whole search: meaning, words, the documents' own rank, what is read again."""

    def __init__(self, retriever: Retriever, k: int = 8, only: Filter | None = None, read: bool = True, **kwargs: Any) -> None:
        self.retriever, self.k, self.only, self.read = retriever, k, only, read
        retriever.library.execute(_TABLE)
        super().__init__(**kwargs)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        hits = self.retriever.search(query_bundle.query_str, self.k, self.only, self.read)
        found = []
        for hit in hits:
            node = _node(hit.held, hit.record, _content(self.retriever.library, hit.held.id))
            node.metadata = _metadata(hit.held, hit.record) | node.metadata
            found.append(NodeWithScore(node=node, score=hit.score))
        return found


@dataclass(frozen=True)
class _Row:
    """A passage on its way into the library."""

    name: str  # the node's id; "" for a passage that Moho read
    text: str
    vector: np.ndarray
    content: dict[str, Any] | None  # of the node
    held: Held | None = None  # as the library holds it


_LISTED = "SELECT value FROM json_each(?)"


def _content(library: Library, passage: int) -> tuple[str, dict[str, Any]] | None:
    rows = library.execute("SELECT name, content FROM nodes WHERE passage = ?", (passage,))
    return (rows[0][0], json.loads(rows[0][1])) if rows else None


def _numbers(node_ids: Sequence[str]) -> list[int]:
    """Passages that are named by their number."""
    found = [name.removeprefix(_NAMED) for name in node_ids if name.startswith(_NAMED)]
    return [int(number) for number in found if number.isdigit()]


def _metadata(held: Held, record: Record) -> dict[str, Any]:
    passage = held.passage
    known = {
        "title": record.title, "authors": "; ".join(record.authors), "year": record.year, "doi": record.doi, "page": passage.page,
        "section": passage.section, "source": record.source, "key": key(passage.text),
    }  # fmt: skip
    return {name: value for name, value in known.items() if value not in (None, "")}


def _node(held: Held, record: Record, content: tuple[str, dict[str, Any]] | None) -> BaseNode:
    """A passage as the node it came as, or as one that says where it stands."""
    if content is not None:
        return metadata_dict_to_node(content[1], text=held.passage.text)
    metadata = _metadata(held, record)
    return TextNode(
        id_=f"{_NAMED}{held.id}",
        text=held.passage.text,
        metadata=metadata,
        start_char_idx=held.passage.start,
        end_char_idx=held.passage.end,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=record.source)},
        excluded_embed_metadata_keys=[name for name in metadata if name not in ("title", "section")],
    )


def _described(row: _Row) -> Document:
    """What the first node of a document says of it."""
    said = row.content or {}
    people = said.get("authors") or said.get("author") or ()
    authors = tuple(str(one).strip() for one in (people if isinstance(people, (list, tuple)) else str(people).split(";")) if str(one).strip())
    name = str(said.get("file_name") or "")
    year = re.search(r"\b(1[89]|20)\d\d\b", str(said.get("year") or ""))
    return Document((), str(said.get("title") or Path(name).stem), authors, int(year[0]) if year else None, str(said.get("doi") or ""), "node")


def _passage(row: _Row, at: int) -> Passage:
    said = row.content or {}
    page = str(said.get("page") or said.get("page_label") or "")
    return Passage(row.text, at, at + len(row.text), str(said.get("section") or ""), int(page) if page.isdigit() else None)


def _condition(filters: MetadataFilters) -> tuple[str, list[object]]:
    """Filters as a condition over documents `d` and passages `p`."""
    parts: list[str] = []
    values: list[object] = []
    for one in filters.filters:
        if isinstance(one, MetadataFilters) and not one.filters:
            continue
        condition, more = _condition(one) if isinstance(one, MetadataFilters) else _single(one)
        parts.append(condition)
        values += more
    if not parts:
        return "1", []
    if filters.condition == FilterCondition.NOT:
        return f"NOT coalesce({' OR '.join(parts)}, 0)", values
    return f"({(' OR ' if filters.condition == FilterCondition.OR else ' AND ').join(parts)})", values


def _single(one: MetadataFilter) -> tuple[str, list[object]]:
    """One filter. An author is met by a part of a name, as in the library's own search; all else as LlamaIndex defines it."""
    own = "(SELECT json_extract(n.content, ?) FROM nodes n WHERE n.passage = p.id)"
    path = "$." + json.dumps(one.key)
    column = f"coalesce({own}, {_COLUMNS[one.key]})" if one.key in _COLUMNS else own
    each = f"(SELECT value FROM json_each(CASE WHEN json_valid({column}) THEN {column} ELSE json_array({column}) END))"
    several = one.value if isinstance(one.value, list) else [one.value]
    how = one.operator
    if how == FilterOperator.IS_EMPTY:
        return f"({column} IS NULL OR {column} IN ('', '[]'))", [path, path]
    if one.key in _AUTHORS:
        if how in (FilterOperator.GT, FilterOperator.GTE, FilterOperator.LT, FilterOperator.LTE):
            raise ValueError(f"authors have no order: {how.value} does not apply to them")
        joined = " AND " if how == FilterOperator.ALL else " OR "
        met = joined.join(f"instr(lower(coalesce({_SPOKEN.format(column)}, '')), lower(?)) > 0" for _ in several)
        values: list[object] = [part for value in several for part in (path, path, path, str(value))]
        return (f"NOT ({met})" if how in (FilterOperator.NE, FilterOperator.NIN) else f"({met})"), values
    if how in _COMPARED:
        return f"{column} {_COMPARED[how]} ?", [path, one.value]
    if how == FilterOperator.NE:
        return f"{column} IS NOT ?", [path, one.value]
    if how == FilterOperator.IN:
        return f"{column} IN ({_LISTED})", [path, json.dumps(several)]
    if how == FilterOperator.NIN:
        return f"({column} IS NULL OR {column} NOT IN ({_LISTED}))", [path, path, json.dumps(several)]
    if how == FilterOperator.TEXT_MATCH:
        return f"instr({column}, ?) > 0", [path, one.value]
    if how == FilterOperator.TEXT_MATCH_INSENSITIVE:
        return f"instr(lower({column}), lower(?)) > 0", [path, one.value]
    if how in (FilterOperator.CONTAINS, FilterOperator.ANY, FilterOperator.ALL):
        met = (" AND " if how == FilterOperator.ALL else " OR ").join(f"? IN {each}" for _ in several)
        return f"({met})", [part for value in several for part in (value, path, path, path)]
    raise ValueError(f"the library has no filter {how!r}")


# A list of names as one text: JSON escapes letters beyond ASCII, so the list is read before it is searched.
_SPOKEN = "(SELECT group_concat(value, '; ') FROM json_each(CASE WHEN json_valid({0}) THEN {0} ELSE json_array({0}) END))"
