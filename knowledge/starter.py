"""The handbook that comes with Moho: pages by discipline on what each tool does, what it assumes and where it fails.

Questions that people would put stand beside the pages, each with the sentence that answers it, and lead to its passage. The
vectors of passages and questions come with it, each under a digest of the words it was made from, so that a new installation answers at
once; a passage whose words have changed is embedded where it is added. `python -m moho.knowledge.starter` makes them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from moho.knowledge.index import Library

PAGES = Path(__file__).parent / "handbook"
VECTORS = Path(__file__).parent / "weights" / "handbook.safetensors"
SOURCE = "handbook"  # before the name of a page in the library


def pages() -> Iterator[tuple[str, Path]]:
    """(name, file) of every page: `seismic/low-frequency-model`."""
    for path in sorted(PAGES.rglob("*.md")):
        yield path.relative_to(PAGES).with_suffix("").as_posix(), path


@cache
def of_tool() -> Mapping[str, tuple[str, ...]]:
    """The pages that speak of each tool, the first one being its own: the page that names fewest."""
    found: dict[str, list[tuple[int, str]]] = {}
    for name, path in pages():
        head = path.read_text(encoding="utf-8").split("---", 2)[1]
        line = next((line for line in head.splitlines() if line.startswith("tools:")), "tools:")
        tools = [tool.strip() for tool in line.removeprefix("tools:").split(",") if tool.strip()]
        for tool in tools:
            found.setdefault(tool, []).append((len(tools), name))
    return {tool: tuple(name for _, name in sorted(names)) for tool, names in found.items()}


def section(page: str, heading: str) -> str:
    """The text below a heading of a page; "" where the page has none of that name."""
    lines = (PAGES / f"{page}.md").read_text(encoding="utf-8").splitlines()
    inside: list[str] = []
    held = False
    for line in lines:
        if line.startswith("## "):
            held = line[3:].strip().casefold() == heading.casefold()
        elif held:
            inside.append(line)
    return "\n".join(inside).strip()


def add(library: Library) -> int:
    """Add or renew the handbook in a library; how many pages were new or changed. Pages that are no more go."""
    from moho.knowledge.ingest import add_files

    named = {path: f"{SOURCE}/{name}" for name, path in pages()}
    report = add_files(library, list(named), name=lambda path: named[path], embed=embed)
    for failed in report.failed.values():
        raise failed
    for record in library.documents():
        if record.source.startswith(f"{SOURCE}/") and record.source not in named.values():
            library.remove(record.source)
    for page, pairs in asked().items():
        library.expect(f"{SOURCE}/{page}", pairs, embed([question for _, question in pairs]))
    library.note(SOURCE, edition())
    return len({source for source in (*report.added, *report.replaced) if source not in report.same})


def is_held(library: Library) -> bool:
    """Whether this edition of the handbook was put into the library, all of it; what a person removed of it since stays out."""
    return library.noted(SOURCE) == edition()


@cache
def edition() -> str:
    """What the pages and the questions beside them are known by."""
    found = sha256()
    for path in sorted([*PAGES.rglob("*.md"), *PAGES.glob("asked-*.jsonl")]):
        found.update(path.read_bytes())
    return found.hexdigest()[:20]


@cache
def asked() -> Mapping[str, list[tuple[str, str]]]:
    """Page -> (beginning of a sentence, a question that it answers), as people would put it."""
    import json

    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(PAGES.glob("asked-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found.setdefault(row["page"], []).append((unmarked(row["quote"]), row["question"]))
    return found


def unmarked(text: str) -> str:
    """A sentence of a page as the reader of Markdown gives it: without marks of code and emphasis."""
    return " ".join(text.replace("`", "").replace("**", "").split())


def embed(texts: Sequence[str]) -> np.ndarray:
    """Vectors of passages: those that come with Moho, and new ones for what has changed since."""
    from moho.knowledge import embed as encoder

    known = shipped()
    keys = [digest(text) for text in texts]
    missing = [i for i, key in enumerate(keys) if key not in known]
    fresh = dict(zip(missing, encoder.embed([texts[i] for i in missing]), strict=True)) if missing else {}
    rows = [fresh[i] if i in fresh else known[key].astype(np.float32) for i, key in enumerate(keys)]
    return np.stack(rows) if rows else np.empty((0, encoder.WIDTH), np.float32)


@cache
def shipped() -> Mapping[str, np.ndarray]:
    """Digest of the words -> vector, as they come with Moho."""
    from safetensors.numpy import load_file

    if not VECTORS.exists():
        return {}
    held = load_file(VECTORS)
    keys = bytes(held["digests"]).decode().split()
    return dict(zip(keys, held["vectors"], strict=True))


def digest(text: str) -> str:
    """What a vector is kept under."""
    return sha256(text.encode()).hexdigest()[:20]


def make() -> int:
    """Embed all passages of the handbook and write the file that comes with Moho; how many there are."""
    from safetensors.numpy import save_file

    from moho.knowledge import embed as encoder
    from moho.knowledge.embed import pieces
    from moho.knowledge.ingest import worded
    from moho.knowledge.passages import cut
    from moho.knowledge.readers import read

    texts = []
    for _, path in pages():
        document = read(path)
        texts += [worded(document, passage) for passage in cut(document, pieces)]
    texts += [question for pairs in asked().values() for _, question in pairs]
    vectors = encoder.embed(texts).astype(np.float16)
    digests = np.frombuffer("\n".join(map(digest, texts)).encode(), np.uint8).copy()
    VECTORS.parent.mkdir(exist_ok=True)
    save_file({"vectors": vectors, "digests": digests}, VECTORS, metadata={"encoder": encoder.ENCODER})
    return len(texts)


if __name__ == "__main__":
    print(f"{make()} passages embedded")
