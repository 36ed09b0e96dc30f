"""LlamaIndex over Moho's library: what is added is found as itself, what is deleted is not, filters mean what they say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

from moho.errors import DataError
from moho.knowledge.cite import key
from moho.knowledge.index import Entry, Library
from moho.knowledge.passages import Block, Passage
from moho.knowledge.passages import Document as Read
from moho.knowledge.stores import MohoRetriever, MohoVectorStore

WIDTH = 64


def spread(text: str) -> np.ndarray:
    """A unit vector of a text: the sum of a direction for each word."""
    total = np.zeros(WIDTH)
    for word in text.casefold().replace(".", " ").split():
        total += np.random.default_rng(list(word.encode())).standard_normal(WIDTH)
    return (total / max(np.linalg.norm(total), 1e-9)).astype(np.float32)


class Words(BaseEmbedding):
    """An embedding without a model."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return spread(text).tolist()  # type: ignore[no-any-return]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library", f"words/{WIDTH}")


@pytest.fixture
def store(library: Library) -> MohoVectorStore:
    return MohoVectorStore(library)


def node(name: str, text: str, document: str = "", **metadata: Any) -> TextNode:
    related = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document or f"of {name}")}
    return TextNode(id_=name, text=text, embedding=spread(text).tolist(), metadata=metadata, relationships=related)


def read_here(library: Library, source: str, texts: Sequence[str], **known: Any) -> None:
    """A document as Moho's own reader leaves it."""
    document = Read(tuple(Block(text, "Theory", 3) for text in texts), **known)
    passages, at = [], 0
    for text in texts:
        passages.append(Passage(text, at, at + len(text), "Theory", 3))
        at += len(text) + 2
    library.keep(Entry(source, f"digest of {source}", 1, 1, document, passages, np.stack([spread(text) for text in texts])))


def ask(store: MohoVectorStore, text: str, k: int = 1, mode: str = "default", **more: Any) -> list[str]:
    query = VectorStoreQuery(spread(text).tolist(), k, query_str=text, mode=VectorStoreQueryMode(mode), **more)
    return list(store.query(query).ids or [])


def met(*filters: tuple[str, Any, str], how: FilterCondition = FilterCondition.AND) -> MetadataFilters:
    return MetadataFilters(filters=[MetadataFilter(key=k, value=v, operator=FilterOperator(o)) for k, v, o in filters], condition=how)


def test_after_a_deletion_the_next_one_added_is_not_taken_for_it(store: MohoVectorStore) -> None:
    """LlamaIndex's own FAISS store counts rows, and names c's row b."""
    store.add([node("a", "gravity of a buried sphere"), node("c", "velocity of seismic waves")])
    store.delete("of a")
    store.add([node("b", "magnetic total field")])
    assert ask(store, "velocity of seismic waves") == ["c"]
    assert ask(store, "magnetic total field") == ["b"]
    assert "a" not in ask(store, "gravity of a buried sphere", 3)


def test_a_node_comes_back_as_it_was(store: MohoVectorStore) -> None:
    given = node("n", "Über die Dichte. A second sentence.", "paper", year=2009, tags=["a", "b"], title="Density")
    assert store.add([given]) == ["n"]
    (found,) = store.get_nodes(["n"])
    given.embedding = None
    assert found == given
    assert found.ref_doc_id == "paper"


def test_nodes_of_one_document_may_come_in_parts_and_again(store: MohoVectorStore, library: Library) -> None:
    store.add([node("1", "first part", "paper", title="A paper", authors=["Claerbout, J. F."], year=1985)])
    store.add([node("2", "second part", "paper")])
    store.add([node("1", "first part, corrected", "paper")])
    assert sorted(n.node_id for n in store.get_nodes()) == ["1", "2"]
    assert store.get_nodes(["1"])[0].get_content() == "first part, corrected"
    (record,) = library.documents()
    assert (record.source, record.title, record.year, record.passages) == ("paper", "A paper", 1985, 2)


def test_a_node_may_move_to_another_document(store: MohoVectorStore) -> None:
    store.add([node("1", "one", "b"), node("2", "two", "b")])
    store.add([node("3", "three", "b"), node("1", "one", "a")])
    assert {n.node_id: n.ref_doc_id for n in store.get_nodes()} == {"1": "a", "2": "b", "3": "b"}


def test_deleted_nodes_leave_the_others(store: MohoVectorStore) -> None:
    store.add([node(name, f"text of number {name}", "paper", year=2000 + int(name)) for name in "12345"])
    store.delete_nodes(["1"])
    store.delete_nodes(filters=met(("year", 2004, ">=")))
    store.delete_nodes()
    assert sorted(n.node_id for n in store.get_nodes()) == ["2", "3"]
    assert ask(store, "text of number 1", 5) in (["2", "3"], ["3", "2"])
    store.delete_nodes(["2", "3"])
    assert store.get_nodes() == []
    assert store.client.documents() == []


def test_clear_leaves_nothing(store: MohoVectorStore) -> None:
    store.add([node("a", "one"), node("b", "one")])
    store.clear()
    assert store.get_nodes() == []
    assert ask(store, "one", 3) == []
    assert ask(store, "one", 3, "text_search") == []


def test_texts_that_are_equal_stay_two_nodes(store: MohoVectorStore) -> None:
    store.add([node("a", "the same words"), node("b", "the same words")])
    assert sorted(ask(store, "the same words", 5)) == ["a", "b"]


def test_modes(store: MohoVectorStore) -> None:
    store.add([node("near", "elastic waves travel"), node("word", "a hapaxlegomenon stands here"), node("off", "gravity anomaly")])
    assert ask(store, "hapaxlegomenon", 1, "text_search") == ["word"]
    assert ask(store, "hapaxlegomenon", 1, "sparse") == ["word"]
    mixed = VectorStoreQuery(spread("elastic waves travel").tolist(), 3, query_str="hapaxlegomenon", mode=VectorStoreQueryMode.HYBRID)
    for alpha, first in ((1.0, "near"), (0.0, "word")):
        mixed.alpha = alpha
        assert next(iter(store.query(mixed).ids or ())) == first
    mixed.alpha = None
    assert set(list(store.query(mixed).ids or ())[:2]) == {"near", "word"}
    with pytest.raises(ValueError, match="not in mmr"):
        ask(store, "x", 1, "mmr")


def test_a_filter_keeps_words_and_vectors_to_what_it_allows(store: MohoVectorStore) -> None:
    store.add([node(f"{i}", f"reflection seismology {'x' * i}", f"paper {i}", year=1980 + i) for i in range(30)])
    late = met(("year", 2008, ">="))
    for mode in ("default", "text_search", "hybrid"):
        assert sorted(ask(store, "reflection seismology", 5, mode, filters=late)) == ["28", "29"]
        assert ask(store, "reflection seismology", 5, mode, doc_ids=["paper 7"]) == ["7"]
        assert ask(store, "reflection seismology", 5, mode, node_ids=["3"]) == ["3"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (met(("year", 1985, "==")), "a"),
        (met(("year", 1985, "!=")), "bcp"),
        (met(("year", 1990, ">"), ("year", 2015, "<=")), "bp"),
        (met(("year", [1985, 2020], "in")), "ac"),
        (met(("year", [1985, 2020], "nin")), "bp"),
        (met(("author", "claerbout", "==")), "a"),
        (met(("authors", ["Müller", "Aki"], "in")), "bp"),
        (met(("author", "Müller", "!=")), "acp"),
        (met(("source", "doc b", "==")), "b"),
        (met(("source", "doc", "text_match")), "abc"),
        (met(("section", "theory", "text_match_insensitive")), "p"),
        (met(("page", 3, "==")), "p"),
        (met(("tags", "well", "contains")), "ab"),
        (met(("tags", ["well", "core"], "all")), "b"),
        (met(("tags", ["core", "log"], "any")), "bc"),
        (met(("tags", None, "is_empty")), "p"),
        (met(("year", 1985, "=="), ("tags", "log", "contains"), how=FilterCondition.OR), "ac"),
        (met(("year", 1985, "=="), ("tags", "log", "contains"), how=FilterCondition.NOT), "bp"),
        (MetadataFilters(filters=[met(("year", 1985, "=="), ("year", 2020, "=="), how=FilterCondition.OR), met(("tags", "log", "contains"))]), "c"),
        (met(("mis\"sing'; --", "x", "==")), ""),
    ],
)
def test_filters(store: MohoVectorStore, filters: MetadataFilters, expected: str) -> None:
    store.add([node("a", "one", "doc a", year=1985, author="Claerbout, J. F.", tags=["well"])])
    store.add([node("b", "two", "doc b", year=2000, authors=["Müller, G.", "Kind, R."], tags=["well", "core"])])
    store.add([node("c", "three", "doc c", year=2020, tags=["log"])])
    read_here(store.client, "/papers/p.pdf", ["four"], title="Paper", authors=("Aki, K.", "Richards, P. G."), year=2002)
    found = {n.node_id[0] for n in store.get_nodes(filters=filters)}
    assert "".join(sorted(found)) == expected
    assert {name[0] for name in ask(store, "one", 9, filters=filters)} == found


def test_papers_that_moho_read_are_nodes_too(store: MohoVectorStore) -> None:
    texts = ["Rays bend toward slow rock.", "Amplitudes fall with distance.", "Noise is everywhere."]
    read_here(store.client, "/papers/aki.pdf", texts, title="Rays", authors=("Aki, K.",), year=1980, doi="10.1/x")
    query = VectorStoreQuery(spread("rays bend toward slow rock").tolist(), 1)
    (found,) = store.query(query).nodes or ()
    assert found.metadata == {
        "title": "Rays", "authors": "Aki, K.", "year": 1980, "doi": "10.1/x", "page": 3, "section": "Theory",
        "source": "/papers/aki.pdf", "key": key(found.get_content()),
    }  # fmt: skip
    assert found.ref_doc_id == "/papers/aki.pdf"
    assert store.get_nodes([found.node_id]) == [found]
    store.delete_nodes([found.node_id])
    assert sorted(n.get_content() for n in store.get_nodes()) == sorted(texts[1:])
    assert store.get_nodes()[0].start_char_idx == len(texts[0]) + 2  # its place in the paper stays
    store.delete("/papers/aki.pdf")
    assert store.get_nodes() == []


def test_an_index_of_llamaindex_on_top(store: MohoVectorStore, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "_transformations", [SentenceSplitter(chunk_size=40, chunk_overlap=0)])
    index = VectorStoreIndex.from_vector_store(store, embed_model=Words())
    long = ". ".join(f"Sentence {i} of the paper speaks of layer {i}" for i in range(20)) + "."
    index.insert(Document(text=long, id_="long", metadata={"year": 1999}))
    index.insert(Document(text="Gravity decreases with height.", id_="short"))
    assert len(store.get_nodes()) > 3
    best = index.as_retriever(similarity_top_k=1).retrieve("gravity decreases with height")
    assert [(one.node.get_content(), one.node.ref_doc_id) for one in best] == [("Gravity decreases with height.", "short")]
    assert best[0].score == pytest.approx(1, abs=0.01)
    filtered = index.as_retriever(similarity_top_k=50, filters=met(("year", 1999, "=="))).retrieve("gravity")
    assert {one.node.ref_doc_id for one in filtered} == {"long"}
    index.delete_ref_doc("short")
    assert {one.node.ref_doc_id for one in index.as_retriever(similarity_top_k=50).retrieve("gravity")} == {"long"}
    again = VectorStoreIndex.from_vector_store(MohoVectorStore(Library(library.folder, library.encoder)), embed_model=Words())
    assert "layer 7" in again.as_retriever(similarity_top_k=1).retrieve("Sentence 7 of the paper speaks of layer 7")[0].node.get_content()


def test_another_encoder_is_said(store: MohoVectorStore) -> None:
    given = node("a", "one")
    given.embedding = [1.0, 0.0]
    with pytest.raises(DataError, match="2 numbers"):
        store.add([given])
    with pytest.raises(DataError, match="2 numbers"):
        store.query(VectorStoreQuery([1.0, 0.0]))
    assert store.get_nodes() == []


def test_the_whole_search_as_a_retriever_with_minilm(tmp_path: Path) -> None:
    from moho.knowledge.embed import ENCODER, embed
    from moho.knowledge.retrieve import Filter, Retriever
    from moho.knowledge.stores import MohoEmbedding

    library = Library(tmp_path / "library", ENCODER)
    texts = ["Semblance measures the likeness of traces along a hyperbola.", "A Bouguer slab removes the pull of rock above the datum."]
    for source, text, year in zip("ab", texts, (1969, 2001), strict=True):
        document = Read((Block(text),), f"On {source}", ("Taner, M. T.",), year)
        library.keep(Entry(source, source, 1, 1, document, [Passage(text, 0, len(text), page=2)], embed([text])))
    model = MohoEmbedding()
    assert np.allclose(model.get_text_embedding(texts[0]), embed([texts[0]])[0], atol=1e-6)
    index = VectorStoreIndex.from_vector_store(MohoVectorStore(library), embed_model=model)
    index.insert_nodes([TextNode(id_="n", text="Stacking velocity is picked on a spectrum.", metadata={"lab": "ours"})])
    found = MohoRetriever(Retriever(library), k=3).retrieve("how alike are the traces along a hyperbola")
    assert found[0].node.metadata == {"title": "On a", "authors": "Taner, M. T.", "year": 1969, "page": 2, "source": "a", "key": key(texts[0])}
    (own,) = [one.node for one in found if one.node.node_id == "n"]
    assert (own.metadata["lab"], own.metadata["key"]) == ("ours", key(own.get_content()))
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)  # type: ignore[type-var]
    assert {one.node.metadata["year"] for one in MohoRetriever(Retriever(library), only=Filter(since=2000)).retrieve("datum")} == {2001}
    assert index.as_retriever(similarity_top_k=1).retrieve("Bouguer correction")[0].node.ref_doc_id == "b"


def test_moho_knowledge_comes_without_llamaindex() -> None:
    words = "import moho.knowledge.library, moho.knowledge.retrieve, moho.knowledge.scale, moho.knowledge.ingest, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout.split()
    assert not {"llama_index", "llama_index.core", "torch", "faiss", "distributed", "qdrant_client", "tantivy"} & set(loaded)
