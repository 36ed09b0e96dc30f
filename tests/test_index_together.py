"""Two writers and four readers of one library: no document torn, none lost, no reader kept waiting.

Five seconds; MOHO_TOGETHER=60 makes it a minute.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_library import ENCODER, consistent, embed, entry

from moho.knowledge.index import Library
from moho.knowledge.vectors import Vectors
from moho.knowledge.words import Words

SECONDS = float(os.environ.get("MOHO_TOGETHER", "5"))
WAITED = 1.0  # seconds at most for one look at the library


def forked(work: Callable[[], dict[str, object]]) -> tuple[int, int]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = json.dumps(work())
        except BaseException as error:
            told = json.dumps({"error": f"{type(error).__name__}: {error}"})
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    return child, reading


def ended(child: int, reading: int) -> dict[str, object]:
    with os.fdopen(reading) as file:
        told = json.loads(file.read())
    os.waitpid(child, 0)
    return dict(told)


def version(source: str, number: int) -> list[str]:
    """Paragraphs that all name their document's version, so that a torn one shows."""
    return [f"Of {source} this is version v{number}x in part {part} of {3 + number % 4}." for part in range(3 + number % 4)]


def writer(folder: Path, name: str, until: float) -> dict[str, object]:
    library = Library(folder, ENCODER)
    rng = np.random.default_rng(list(name.encode()))
    last: dict[str, int] = {}
    number = 0
    while time.monotonic() < until:
        number += 1
        source = f"{name}{rng.integers(12)}"
        if source in last and rng.random() < 0.2:
            assert library.remove(source)
            del last[source]
        else:
            library.keep(entry(source, *version(source, number), content=f"{source} {number}"))
            last[source] = number
    return {"last": last, "writes": number}


def reader(folder: Path, until: float) -> dict[str, object]:
    library = Library(folder, ENCODER)
    near, words = Vectors(library), Words(library)
    asked = embed(["this is version in part of"])[0]
    longest, looks = 0.0, 0
    while time.monotonic() < until:
        started = time.monotonic()
        rows = library.execute("SELECT d.source, p.text FROM documents d LEFT JOIN passages p ON p.document = d.id ORDER BY d.id, p.ordinal")
        found: dict[str, list[str]] = {}
        for source, text in rows:
            found.setdefault(source, []).append(text)
        for source, texts in found.items():
            number = int(texts[0].split(" version v")[1].split("x")[0])
            assert texts == version(source, number), texts
        ids, _ = near.search(asked, 5)
        others, _ = words.search("version part", 5)
        library.passages([*ids.tolist(), *others.tolist()])
        longest = max(longest, time.monotonic() - started)
        looks += 1
    return {"longest": longest, "looks": looks}


def test_two_writers_and_four_readers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "library"
    warm = Library(folder, ENCODER)  # everything imported before the forks
    warm.keep(entry("first", "this is version v0x in part 0 of 3."))
    Vectors(warm).search(embed(["this is version in part of"])[0], 1)
    Words(warm).search("version part", 1)
    assert warm.remove("first")
    warm.close()
    until = time.monotonic() + SECONDS
    writers = [forked(lambda name=name: writer(folder, name, until)) for name in ("a", "b")]  # type: ignore[misc]
    readers = [forked(lambda: reader(folder, until)) for _ in range(4)]
    wrote, read = [ended(*one) for one in writers], [ended(*one) for one in readers]
    assert not [one["error"] for one in (*wrote, *read) if "error" in one]
    library = Library(folder, ENCODER)
    consistent(library)
    last = {source: number for one in wrote for source, number in one["last"].items()}  # type: ignore[attr-defined]
    assert {record.source for record in library.documents()} == set(last)
    for source, number in last.items():  # none lost, each as it was last kept
        rows = library.execute("SELECT p.text FROM passages p JOIN documents d ON d.id = p.document WHERE d.source = ? ORDER BY ordinal", (source,))
        assert [row[0] for row in rows] == version(source, number)
    with capsys.disabled():
        if "MOHO_TOGETHER" in os.environ:
            print(
                f"\n{[one['writes'] for one in wrote]} writes, {[one['looks'] for one in read]} looks, the longest {[one['longest'] for one in read]} s"  # noqa: E501
            )
    assert max(float(str(one["longest"])) for one in read) < WAITED
    assert library.generation == 2 + sum(int(str(one["writes"])) for one in wrote)
