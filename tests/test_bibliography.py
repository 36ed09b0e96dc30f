"""A bibliography's entries are found by DOI and by title; what is broken in it hurts nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from moho.errors import DataError
from moho.knowledge import bibliography
from moho.knowledge.index import fold

BIBTEX = r"""
@string{geo = "Geophysics"}
@string(gji = {Geophysical Journal })
This line is a remark, me@example.org.
@article{dix1955, author = {Dix, C. Hewitt}, title = {Seismic velocities from {S}urface measurements},
  journal = geo, year = 1955, doi = "https://doi.org/10.1190/1.1438126"}
@Article(bul2003, author={Buland, Arild and Omre, Henning}, title="Bayesian linearized {AVO} inversion", journal=geo, year={2003})
@book{broken, title = {Never closed, author = {Nobody}, year = 1999
@article{mil, author = {Mil{\v s}evi{\'c}, Ana and Erik S{\o}rensen and {Geological Survey of Norway} and Ludwig van der Waals and others},
  title = {{\"U}ber \emph{Moho} {\&} {G}r\"o{\ss}e, na\"{\i}ve}, journal = gji # "International", date = {2011-05-03}, }
"""

RIS = """TY  - JOUR
AU  - Claerbout, Jon F.
A1  - Fomel, Sergey
T1  - Seismic imaging of
  long titles
JO  - Geophysics
PY  - 1998/05/01
DO  - 10.1190/ABC(98)12
ER  -
TY  - JOUR
XX  - nothing
ER  -
"""


def write(folder: Path, name: str, words: str) -> Path:
    (folder / name).write_text(words, encoding="utf-8")
    return folder / name


def test_bibtex_entries_are_found_by_doi_and_title(tmp_path: Path) -> None:
    found = bibliography.read(write(tmp_path, "a.bib", BIBTEX))
    dix = found["10.1190/1.1438126"]
    assert dix is found[fold("Seismic velocities from surface measurements")]
    assert dix == {
        "title": "Seismic velocities from Surface measurements", "authors": ["Dix, C. Hewitt"], "year": 1955,
        "doi": "10.1190/1.1438126", "journal": "Geophysics",
    }  # fmt: skip
    assert found[fold("Bayesian linearized AVO inversion")]["authors"] == ["Buland, Arild", "Omre, Henning"]


def test_accents_braces_and_macros_are_read(tmp_path: Path) -> None:
    entry = bibliography.read(write(tmp_path, "a.bib", BIBTEX))[fold("Über Moho & Größe, naïve")]
    assert entry["title"] == "Über Moho & Größe, naïve"
    assert entry["authors"] == ["Milšević, Ana", "Sørensen, Erik", "Geological Survey of Norway", "van der Waals, Ludwig"]
    assert entry["journal"] == "Geophysical Journal International"
    assert entry["year"] == 2011


def test_a_broken_entry_is_left_out(tmp_path: Path) -> None:
    titles = {entry["title"] for entry in bibliography.read(write(tmp_path, "a.bib", BIBTEX)).values()}
    assert len(titles) == 3
    assert not any("Never" in str(title) for title in titles)


def test_a_file_of_nothing_but_broken_entries_is_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "bad.bib"
    path.write_text("@article{x, title = {Never closed, author = {Nobody}")
    with pytest.raises(DataError, match="none of its entries is whole"):
        bibliography.read(path)


def test_ris_entries_are_read(tmp_path: Path) -> None:
    found = bibliography.read(write(tmp_path, "a.ris", RIS))
    assert set(found) == {"10.1190/abc(98)12", fold("Seismic imaging of long titles")}
    entry = found["10.1190/abc(98)12"]
    assert (entry["authors"], entry["year"], entry["journal"]) == (["Claerbout, Jon F.", "Fomel, Sergey"], 1998, "Geophysics")


def test_what_is_no_bibliography_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no BibTeX or RIS"):
        bibliography.read(write(tmp_path, "a.bib", "some words"))


@pytest.mark.parametrize(
    "words",
    ["@article{a, title={" * 50_000, "@a{" + "{" * 1_000_000, "@article{k, title = " + '"' * 1_000_000, "@article{k, " + " , " * 300_000, "\\" * 1_000_000 + "@a{b}",  # noqa: E501
     "@article{k, title={" + "\\\"" * 400_000 + "}}", "@article{k, author={" + "and " * 250_000 + "}}", "TY  - JOUR\nTI  - " + "x\n" * 400_000,
     "@article{k, title={" + "10.1190/" * 120_000 + "}}"],
    ids=range(9),
)  # fmt: skip
def test_no_text_makes_it_hang(tmp_path: Path, words: str) -> None:
    start = time.process_time()
    try:
        bibliography.read(write(tmp_path, "a.bib", words))
    except DataError as error:
        assert error.code == "E_FORMAT"  # noqa: PT017
    assert time.process_time() - start < 5
