"""The notebooks of docs/ run as they stand, and a run that was exported as one gives the numbers of the run, without a language model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from made_project import AIMessage, call, made_project, quick_choice, scripted

from moho.agent import graph, replay

BOOKS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))


def executed(book: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A notebook after all of its cells were run; CellExecutionError where one fails."""
    client = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    monkeypatch.setenv("IPYTHONDIR", str(folder))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
    return client.NotebookClient(book, timeout=180, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()


def outputs(book: Any) -> list[str]:
    """What each code cell shows, without what differs from run to run."""
    shown = []
    for cell in book.cells:
        if cell.cell_type == "code":
            parts = [
                output.get("text", "") or output.get("data", {}).get("text/html", "") or output.get("data", {}).get("text/plain", "")
                for output in cell.outputs
                if output.get("name") != "stderr"
            ]
            shown.append(re.sub(r'src="data:[^"]*"|/tmp/\S+', "", "".join(parts)))
    return shown


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_of_the_documentation_gives_what_it_shows(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = nbformat.read(path, as_version=4)
    made = executed(nbformat.read(path, as_version=4), tmp_path, monkeypatch)
    assert outputs(made) == outputs(kept)


@pytest.mark.filterwarnings("ignore")
def test_an_exported_run_gives_its_numbers_as_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph.offer, "choose", quick_choice)
    project = made_project(tmp_path)
    filtered = call("bandpass", line="line", low="5 Hz", high="60 Hz")
    outcome = scripted(project, filtered, AIMessage("Pass band {s1.pass_band}.")).ask("filter line to 5-60 Hz")
    book = nbformat.reads(replay.notebook(project, outcome.run_id), as_version=4)
    monkeypatch.setenv("MOHO_HOME", str(tmp_path / "nothing"))
    shown = "".join(outputs(executed(book, tmp_path, monkeypatch)))
    assert "same bytes" in shown
    assert "5 to 60 Hz" in shown
    assert replay.notebook(project, outcome.run_id) == replay.notebook(project, outcome.run_id)
