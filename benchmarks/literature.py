"""The literature library beside LlamaIndex's default pipeline, and at 100 000 passages: `python -m benchmarks.literature [--million]`.

The pipeline is LlamaIndex's: its sentence splitter of 1024 tokens, its vector store in memory, and an embedding class around the
same MiniLM as Sentence Transformers runs it by default, in float32. Documents are made of the words of the handbook. The large
library is built once, in the temporary folder, and used again; its vectors point anywhere, so that nothing is said of recall.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import Row, medians, process, show

IMPORT = "import time; t = time.perf_counter(); import moho.knowledge.library, moho.knowledge.index; print(time.perf_counter() - t)"
REPEATS = 3
LARGE = 100_000  # passages
PAPER = 100  # passages of one
WORDS = 110  # words of a passage
QUERIES = 60


@cache
def vocabulary() -> tuple[list[str], np.ndarray]:
    """The handbook's words and 20 000 made ones, with probabilities that fall as one over the rank."""
    from moho.knowledge.starter import pages

    counted = Counter(word for _, path in pages() for word in path.read_text(encoding="utf-8").split() if word.isalpha())
    rng = np.random.default_rng(0)
    tail = {"".join(rng.choice(list("abdegiklmnorstu"), rng.integers(5, 10))) for _ in range(20_000)}
    words = [word for word, _ in counted.most_common()] + sorted(tail - set(counted))
    weight = 1 / (np.arange(len(words)) + 10.0)
    return words, weight / weight.sum()


def texts(many: int, length: int, seed: int) -> list[str]:
    """Texts of `length` words in sentences of eighteen."""
    words, weight = vocabulary()
    drawn = np.random.default_rng(seed).choice(len(words), (many, length), p=weight)
    return [". ".join(" ".join(words[i] for i in row[a : a + 18]).capitalize() for a in range(0, length, 18)) + "." for row in drawn]


def queries() -> list[str]:
    """Questions of seven words of the handbook, none of them among the most frequent."""
    words, _ = vocabulary()
    rng = np.random.default_rng(1)
    return [" ".join(words[i] for i in rng.integers(100, 2500, 7)) for _ in range(QUERIES)]


def units(many: int, seed: int) -> np.ndarray:
    """Random unit vectors."""
    from moho.knowledge.embed import WIDTH

    vectors = np.random.default_rng(seed).standard_normal((many, WIDTH), np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


# -- beside LlamaIndex


def pipeline() -> Any:
    """LlamaIndex's MiniLM, as its Hugging Face class wraps it, and the word pieces it reads."""
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import PrivateAttr
    from sentence_transformers import SentenceTransformer

    from moho.knowledge.embed import _folder

    class MiniLM(BaseEmbedding):
        _model: Any = PrivateAttr()

        def __init__(self) -> None:
            super().__init__(model_name="all-MiniLM-L6-v2")
            self._model = SentenceTransformer(str(_folder()), device="cpu", local_files_only=True)

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return self._model.encode(texts, batch_size=self.embed_batch_size, normalize_embeddings=True, show_progress_bar=False).tolist()

        def _get_text_embedding(self, text: str) -> list[float]:
            return self._get_text_embeddings([text])[0]

        def _get_query_embedding(self, query: str) -> list[float]:
            return self._get_text_embedding(query)

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_text_embedding(query)

    return MiniLM()


def embedded() -> list[Row]:
    """Seconds on a processor for each document, from text to searchable."""
    from llama_index.core import Document, VectorStoreIndex
    from llama_index.core.node_parser import SentenceSplitter

    from moho.knowledge.embed import ENCODER, WINDOW, pieces
    from moho.knowledge.index import Library
    from moho.knowledge.ingest import add_texts

    model, splitter = pipeline(), SentenceSplitter()
    rows = []
    for name, many, length in (("abstract", 60, 130), ("paper", 4, 3000)):
        given = texts(many, length, 2)

        def theirs(repeat: int, given: list[str] = given) -> None:
            VectorStoreIndex.from_documents([Document(text=text) for text in given], embed_model=model, transformations=[splitter])

        def ours(repeat: int, given: list[str] = given) -> None:
            with tempfile.TemporaryDirectory() as folder:
                library = Library(Path(folder), ENCODER)
                add_texts(library, [(f"{i}", "", text) for i, text in enumerate(given)])
                library.close()

        mine, peer = medians(REPEATS, ours, theirs, clock=time.process_time)
        chunks = [part for text in given for part in splitter.split_text(text)]
        all_, seen = sum(map(pieces, given)), sum(min(pieces(part), WINDOW - 2) for part in chunks)
        said = f"{many / mine:.1f} and {many / peer:.1f} documents a second; of {all_:,} word pieces LlamaIndex embeds {seen:,}, Moho all"
        held = 1 / 2.3 if seen > 0.95 * all_ else None  # who leaves most of a text unread is no measure of speed
        rows.append(Row(f"one {name} of {length} words embedded", mine / many, "s", peer / many, "LlamaIndex", ratio_at_most=held, note=said))
        if held is None:
            each = (1000 * mine / all_, "s", 1000 * peer / seen)
            rows.append(Row(f"1000 word pieces of a {name} embedded", *each, "LlamaIndex", ratio_at_most=1 / 2.3))
    return rows


def again(many: int = 1000) -> Row:
    """Seconds to add a folder in which nothing has changed."""
    from moho.knowledge.embed import ENCODER
    from moho.knowledge.index import Library
    from moho.knowledge.ingest import add

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "papers"
        folder.mkdir()
        for i, text in enumerate(texts(many, 60, 3)):
            (folder / f"{i}.txt").write_text(text)
        library = Library(Path(place) / "library", ENCODER)
        started = time.perf_counter()
        first = add(library, [folder], embed=lambda given: units(len(given), 0))
        filled = time.perf_counter() - started
        started = time.perf_counter()
        second = add(library, [folder])
        seconds = time.perf_counter() - started
        library.close()
    assert (len(first.added), second.unchanged) == (many, many), (first.failed, second)
    return Row(f"adding {many} unchanged documents again", seconds, "s", at_most=3, note=f"the first time {filled:.0f} s without embedding")


# -- a large library


def large(many: int = LARGE) -> Path:
    """The folder of a library of this many passages, built where it is absent."""
    from moho.knowledge.embed import ENCODER
    from moho.knowledge.index import Library
    from moho.knowledge.retrieve import Retriever

    folder = place("literature", many)
    library = Library(folder, ENCODER)
    for number in range(library.texts(), many // PAPER):
        library.keep(paper(number))
        if number % 100 == 99:
            print(f"{(number + 1) * PAPER:,} of {many:,} passages", file=sys.stderr, flush=True)
    retriever = Retriever(library)
    retriever.vectors.snapshot()
    retriever.words.snapshot()
    library.close()
    return folder


def place(name: str, many: int) -> Path:
    """The folder of a library that is kept between runs, another one for another form of the file."""
    from moho.knowledge.index import _SCHEMA

    return Path(tempfile.gettempdir()) / f"moho-benchmark-{name}-{many}-{sha256(_SCHEMA.encode()).hexdigest()[:8]}"


def paper(number: int) -> Any:
    """A made paper, ready to be kept."""
    from moho.knowledge.index import Entry
    from moho.knowledge.passages import SEPARATOR, Block, Document, Passage

    parts = texts(PAPER, WORDS, 1000 + number)
    passages, at = [], 0
    for i, text in enumerate(parts):
        passages.append(Passage(text, at, at + len(text), f"Section {i // 10}", 1 + i // 8))
        at += len(text) + len(SEPARATOR)
    title = " ".join(texts(1, 8, number)[0].split()).rstrip(".")
    document = Document(tuple(Block(text) for text in parts), title, (f"Author{number % 500}, A.",), 1950 + number % 75)
    return Entry(f"paper-{number}", f"{number:064d}", 1, 1, document, passages, units(PAPER, number))


def opened(place: str) -> None:
    """What a process of its own does with the large library; prints its seconds."""
    import faiss  # noqa: F401
    import tantivy  # noqa: F401

    from moho.knowledge.embed import ENCODER, embed
    from moho.knowledge.index import Library
    from moho.knowledge.retrieve import Retriever

    started = time.perf_counter()
    library = Library(Path(place), ENCODER)
    retriever = Retriever(library)
    retriever.vectors.current()
    retriever.words.search("seismic velocity", 10)
    seconds: dict[str, Any] = {"open": time.perf_counter() - started}
    embed(["warm"])
    names = ("search", "embed", "vectors", "words", "documents")
    took: dict[str, list[float]] = {name: [] for name in names}  # seconds on a processor: other work shares the machine
    walls: dict[str, list[float]] = {name: [] for name in names}
    from moho.knowledge.words import terms

    for query in queries():
        for name, work in (
            ("search", lambda q=query: retriever.search(q, read=False)),
            ("embed", lambda q=query: embed([q])),
            ("vectors", lambda: retriever.vectors.search(units(1, 5)[0], 200)),
            ("words", lambda q=query: retriever.words.search(terms(q), 200)),
            ("documents", lambda q=query: retriever.words.documents(terms(q), 200)),
        ):
            at, started = time.process_time(), time.perf_counter()
            work()
            took[name].append(time.process_time() - at)
            walls[name].append(time.perf_counter() - started)
    seconds |= {name: statistics.median(values) for name, values in took.items()} | {"wall": statistics.median(walls["search"])}
    new = paper(10**6)
    asked = new.passages[7].text.split(".")[0]
    at = time.perf_counter()
    library.keep(new)
    hits = retriever.search(asked, read=False)
    seconds["added"] = time.perf_counter() - at
    assert hits[0].record.source == new.source, hits[0]
    at = time.perf_counter()
    library.remove(new.source)
    hits = retriever.search(asked, read=False)
    seconds["removed"] = time.perf_counter() - at
    assert all(hit.record.source != new.source for hit in hits)
    print(json.dumps(seconds))


def at_large() -> list[Row]:
    """Opening, asking and changing a library of 100 000 passages."""
    folder = large()
    done = process("-m", "benchmarks.literature", "--opened", str(folder))
    found = json.loads(done.printed.splitlines()[-1])
    parts = ", ".join(f"{name} {1000 * found[name]:.1f}" for name in ("embed", "vectors", "words", "documents"))
    note = f"on a processor, without the second reading by tokens; {1000 * found['wall']:.0f} ms by the clock. By themselves, ms: {parts}"
    return [
        Row(f"opening {LARGE:,} passages", found["open"], "s", at_most=1),
        Row("median query by meaning and words, with its embedding", 1000 * found["search"], "ms", at_most=25, note=note),
        Row(f"a paper of {PAPER} passages added and found", found["added"], "s", at_most=1),
        Row("the same removed and no longer found", found["removed"], "s", at_most=1),
        Row("peak memory of that process", done.memory, "MiB"),
    ]


# -- a million


def million(many: int = 1_000_000) -> list[Row]:
    """Memory with a million passages: their vectors and nothing else, written straight into the library's table."""
    from moho.knowledge.embed import ENCODER
    from moho.knowledge.index import Library

    folder = place("vectors", many)
    library = Library(folder, ENCODER)
    part = 10_000
    for start in range(library.size(), many, part):
        with library._writing() as generation:
            write = library._connection
            columns = "source, digest, size, changed, format, title, authors, notes, doi, fingerprint, generation"
            row = (f"part-{start}", "", 0, 0, "text", "", "[]", "[]", "", 0, generation)
            number = write.execute(f"INSERT INTO documents ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row).lastrowid
            vectors = units(part, start).astype(np.float16)
            rows = [(number, i, "", 0, 0, "text", "", vector.tobytes(), generation) for i, vector in enumerate(vectors)]
            columns = "document, ordinal, section, first, last, kind, text, vector, generation"
            write.executemany(f"INSERT INTO passages ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    library.close()
    built = process("-m", "benchmarks.literature", "--vectors", str(folder))
    used = process("-m", "benchmarks.literature", "--vectors", str(folder))
    first, second = (json.loads(one.printed.splitlines()[-1]) for one in (built, used))
    return [
        Row(f"peak memory, index of {many:,} passages built", built.memory, "MiB", at_most=2048, note=f"{first['open']:.0f} s"),
        Row("peak memory, opened and searched", used.memory, "MiB", at_most=2048, note=f"opened in {second['open']:.1f} s"),
        Row("median search of the vectors", 1000 * second["search"], "ms"),
    ]


def searched(place: str) -> None:
    """What a process of its own does: builds or opens the vectors, searches them; prints its seconds."""
    from moho.knowledge.embed import ENCODER
    from moho.knowledge.index import Library
    from moho.knowledge.vectors import Vectors

    started = time.perf_counter()
    vectors = Vectors(Library(Path(place), ENCODER))
    vectors.snapshot()
    took = [time.perf_counter() - started]
    for query in units(50, 9):
        at = time.perf_counter()
        vectors.search(query, 200)
        took.append(time.perf_counter() - at)
    print(json.dumps({"open": took[0], "search": statistics.median(took[1:])}))


def measure() -> list[Row]:
    """Seconds, ms and MiB."""
    imported = statistics.median(float(process("-c", IMPORT).printed) for _ in range(REPEATS))
    return [Row("import of moho.knowledge", imported, "s", at_most=0.3), *embedded(), again(), *at_large()]


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", action="store_true", help="memory with a million passages; minutes, and 2 GB in the temporary folder")
    parser.add_argument("--opened", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--vectors", metavar="FOLDER", help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.opened or given.vectors:
        opened(given.opened) if given.opened else searched(given.vectors)
        return 0
    rows = million() if given.million else measure()
    print(show(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
