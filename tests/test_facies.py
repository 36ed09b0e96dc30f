"""Classes of made wells and sections, and the Hugoton facies of a blind well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moho import plot
from moho.agent.registry import find_tool
from moho.agent.tools import facies
from moho.agent.tools.facies import cluster_classify
from moho.errors import MohoError
from moho.read import read
from moho.survey import Curve, Seismic, Table, Well

N = 300
ADJACENT = ["1-2", "2-3", "4-5", "5-6", "6-7", "6-8", "7-8", "8-9", "7-9"]


def made(name: str, seed: int, labelled: bool = True) -> tuple[Well, np.ndarray]:
    """A well of three rocks with logs of their own, and which rock is where."""
    rng = np.random.default_rng(seed)
    rock = np.repeat(rng.integers(0, 3, 30), 10)
    gamma, density = np.array([30.0, 70, 110])[rock] + rng.normal(0, 5, N), np.array([2.2, 2.45, 2.65])[rock] + rng.normal(0, 0.02, N)
    curves = {"GR": Curve(gamma, "gAPI"), "RHOB": Curve(density, "g/cm3")}
    if labelled:
        curves["FACIES"] = Curve(rock + 1.0, "")
    return Well(depth=1000 + 0.5 * np.arange(N), curves=curves, well_name=name, reference="MD"), rock


@pytest.mark.parametrize("method", ["k-means", "gaussian mixture"])
def test_three_rocks_are_three_clusters(method: Any) -> None:
    well, rock = made("A", 0, False)
    found = cluster_classify([well], method=method)
    assert found.facts["k"].value == 3
    assert found.facts["silhouette"].value > 0.6
    assert isinstance(found, Well)
    assert np.mean(found.curves["CLASS"].values == rock + 1) > 0.99  # numbered by gamma ray
    assert found.curves["PROBABILITY"].values.min() > 1 / 3
    again = cluster_classify([well], method=method)
    assert isinstance(again, Well)
    np.testing.assert_array_equal(found.curves["PROBABILITY"].values, again.curves["PROBABILITY"].values)


def test_facies_of_a_blind_well_come_from_the_other_wells() -> None:
    wells = [made(name, seed)[0] for seed, name in enumerate("ABC")]
    found = cluster_classify(wells, labels="FACIES", blind="B")
    assert found.facts["f1"].value > 0.95
    assert isinstance(found, Well)
    assert (found.well_name, found.reference, len(found.depth)) == ("B", "MD", N)
    total = sum(found.curves[f"P_{n}"].values for n in (1, 2, 3))
    np.testing.assert_allclose(total, 1, rtol=1e-9)


def test_the_blind_well_is_never_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its labels may say anything: the prediction stays."""
    wells = [made(name, seed)[0] for seed, name in enumerate("ABC")]
    lied = wells[1].made(curves={**wells[1].curves, "FACIES": Curve(np.full(N, 3.0), "")})
    first = cluster_classify(wells, labels="FACIES", blind="B")
    second = cluster_classify([wells[0], lied, wells[2]], labels="FACIES", blind="B")
    assert isinstance(first, Well)
    assert isinstance(second, Well)
    np.testing.assert_array_equal(first.curves["PROBABILITY"].values, second.curves["PROBABILITY"].values)
    seen = []
    real = facies._forest
    monkeypatch.setattr(facies, "_forest", lambda values, label: seen.append(len(values)) or real(values, label))
    cluster_classify(wells, labels="FACIES", blind="B")
    assert seen == [2 * N]


def test_a_section_is_classed_by_its_attributes() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((30, 80), int)
    truth[:, 30:55] = 1
    noisy = [(truth * 10 + rng.normal(0, 1, truth.shape)).astype(np.float32) for _ in range(2)]
    sections = [Seismic(data=data, dt=0.004, quantity=name) for data, name in zip(noisy, ("envelope", "rms amplitude"), strict=True)]
    sections[0].data[3] = sections[1].data[3] = 0
    found = cluster_classify(list(sections), k=2)
    assert isinstance(found, Seismic)
    live = np.arange(30) != 3
    assert np.mean(found.data[live] == truth[live] + 1) > 0.99
    assert (found.data[3] == 0).all()
    assert plot.draw(found) is not None


WELL = made("A", 0)[0]
TABLE = Table(columns={"well": np.array(["a"] * 9), "GR": np.arange(9.0), "rock": np.array(["s", "t", "u"] * 3)})


@pytest.mark.parametrize(
    ("data", "arguments", "words"),
    [
        ([WELL, TABLE], {}, "data of one kind"),
        ([WELL], {"features": ["XX"]}, "there is no XX"),
        ([WELL], {"features": ["GR"], "k": 1}, "k must be from 2"),
        ([WELL], {"labels": "FACIES", "blind": "A"}, "there is only one"),
        ([WELL, made("B", 1)[0]], {"labels": "FACIES"}, "Which well should be kept out"),
        ([WELL, made("B", 1)[0]], {"labels": "FACIES", "blind": "Q"}, "no well 'Q'"),
        ([WELL, made("B", 1)[0]], {"blind": "A"}, "holds the facies"),
        ([WELL, made("B", 1)[0]], {"labels": "FACIES", "blind": "A", "features": ["FACIES"]}, "cannot be a feature"),
        ([WELL, made("B", 1)[0]], {"labels": "FACIES", "blind": "A", "adjacent": ["1+2"]}, "wants pairs"),
        ([WELL.made(curves={"GR": Curve(np.full(N, np.nan), "gAPI")})], {}, "no sample has all of"),
        ([WELL.made(curves={"GR": Curve(np.ones(N), "gAPI")})], {}, "does not vary"),
        ([TABLE], {"features": ["rock"]}, "holds words"),
    ],
)
def test_what_cannot_be_classed_is_refused(data: list[Any], arguments: dict[str, Any], words: str) -> None:
    with pytest.raises((MohoError, ValueError), match=words):
        cluster_classify(data, **arguments)


def test_the_registry_takes_wells_tables_and_sections() -> None:
    argument = find_tool("cluster_classify").argument("data")
    assert argument.many
    assert {kind.__name__ for kind in argument.kinds} == {"Well", "Table", "Seismic"}


def test_hugoton_facies_of_the_blind_well_shankle(shared: Path) -> None:
    table = read(shared / "logs_hugoton_facies/facies_vectors.csv")
    assert isinstance(table, Table)
    found = cluster_classify([table], labels="Facies", blind="SHANKLE", adjacent=ADJACENT)
    assert found.facts["f1"].value >= 0.5
    assert found.facts["f1_adjacent"].value >= 0.9
    assert found.facts["wells"].value == 9
    assert found.facts["samples"].value == 449
    names = [ax["name"] for ax in plot.describe(plot.draw(found))["axes"]]  # type: ignore[arg-type]
    assert "confusion" in names
