"""Vectors by id: a file gives back what was written, and a table of a snapshot and its changes is what a dictionary would be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from moho.knowledge.rows import Rows, Table, dump, mapped, none

WIDTH = 8


def made(ids: list[int], seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((len(ids), WIDTH)).astype(np.float16)
    return Rows(np.array(ids, np.int64), rng.integers(1, 5, len(ids)), vectors)


def read(rows: Rows) -> dict[int, tuple[int, list[float]]]:
    return {int(i): (int(d), v.tolist()) for i, d, v in zip(rows.ids, rows.documents, rows.vectors, strict=True)}


@pytest.mark.parametrize("papers", [0, 3])
def test_a_file_gives_back_what_was_written(tmp_path: Path, papers: int) -> None:
    passages = made([2, 3, 5, 90], 1)
    own = np.arange(papers, dtype=np.int64)
    documents = Rows(own, own, made(own.tolist(), 2).vectors) if papers else none()
    with open(tmp_path / "rows", "x+b") as file:
        dump(passages, documents, file)
        found = mapped(file)
    (tmp_path / "rows").unlink()
    assert [read(rows) for rows in found] == [read(passages), read(documents)]
    assert isinstance(found[0].vectors, np.memmap)


def test_parts_are_gathered_in_their_order() -> None:
    whole = made([1, 2, 4, 7, 9], 3)
    parts = [Rows(whole.ids[a:b], whole.documents[a:b], whole.vectors[a:b]) for a, b in ((0, 2), (2, 4), (4, 5))]
    assert read(Rows.gathered(5, parts)) == read(whole)
    assert len(Rows.gathered(0, [])) == 0


def test_a_table_is_what_a_dictionary_would_be() -> None:
    rng = np.random.default_rng(4)
    old = made(list(range(1, 60, 2)), 5)
    table, held, last = Table(old), read(old), 60
    for step in range(40):
        changed = rng.choice(sorted(held), 2, replace=False).tolist() if step % 3 == 0 else []
        new = made([*sorted(changed), *range(last, last + int(rng.integers(0, 4)))], 100 + step)
        gone = rng.choice(sorted(set(held) - set(changed)), int(rng.integers(0, 3)), replace=False)
        last += 4
        table = table.after(new, gone)
        held = {number: row for number, row in (held | read(new)).items() if number not in gone}
        assert len(table) == len(held)
        asked = rng.permutation(np.arange(last + 5))
        assert read(table.only(np.concatenate([asked, asked[:7]]))) == dict(sorted(held.items()))
    assert table.behind > 20


def test_the_nearest_are_those_of_the_greatest_product() -> None:
    rows, asked = made(list(range(10, 60)), 6), np.random.default_rng(7).standard_normal(WIDTH)
    ids, near = rows.nearest(asked, 5)
    wanted = rows.vectors.astype(float) @ asked
    assert ids.tolist() == (10 + np.argsort(-wanted)[:5]).tolist()
    np.testing.assert_allclose(near, np.sort(wanted)[::-1][:5], rtol=1e-3)
    assert [len(one) for one in none().nearest(asked, 5)] == [0, 0]
