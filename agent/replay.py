"""Repeating a run without a language model: the kept calls again, on the same inputs, the bytes compared."""

from __future__ import annotations

import ast
import base64
import json
import tempfile
from pathlib import Path
from typing import Any

from moho import store
from moho.agent.act import figures, recall
from moho.agent.registry import execute
from moho.errors import DataError
from moho.project import Project
from moho.survey import Data
from moho.volumes import Place, Workers, into


def replay(project: Project, identity: str) -> list[dict[str, Any]]:
    """One row an artefact: its name and whether the repeated call gave the same bytes.

    Inputs that changed raise E_CHANGED, a run that kept no result E_NOT_FOUND.
    """
    run = project.run(identity)
    rows: list[dict[str, Any]] = []
    made: dict[str, Data] = {}
    steps = run.steps()
    if all(step.error for step in steps):
        how = run.answer.get("status") or "interrupted"
        raise DataError("E_NOT_FOUND", f"run {run.id} ({how}) kept no result, so there is nothing to repeat")
    large = any(artifact["name"] in store.BESIDE for step in steps for artifact in step.artifacts)
    with tempfile.TemporaryDirectory(dir=project.folder if large else None, prefix=".replay-") as scratch:
        for step in steps:
            if step.error:
                continue
            for name, sha in step.inputs.items():
                if name not in made and project.sha256(name) != sha:
                    raise DataError("E_CHANGED", f"{name!r} is not what step {step.id} of run {run.id} worked on")
            folder = Path(scratch) / str(step.id)
            folder.mkdir()
            call = recall({"tool": step.tool, "arguments": step.arguments})
            form = "zarr" if any(artifact["name"] == store.ZARR for artifact in step.artifacts) else "segy"
            with into(Place(lambda folder=folder: folder, Workers(form=form))):  # type: ignore[misc]
                result = execute(call, lambda name: made[name] if name in made else project.load(name))
            result = _noted(result, list(step.result.get("notes", [])))
            if step.result.get("name"):
                made[step.result["name"]] = result
            store.save(result, folder / "result.npz")
            beside = [path for path in (folder / name for name in store.BESIDE) if path.exists()]
            written = {path.name: store.digest(path) for path in [folder / "result.npz", *beside, *figures(result, folder)]}
            for artifact in step.artifacts:
                same = written.get(artifact["name"]) == artifact["sha256"]
                rows.append({"artifact": artifact["path"], "sha256": artifact["sha256"], "same": same})
    return rows


def notebook(project: Project, identity: str) -> str:
    """A Jupyter notebook that repeats the run: the script's cells, each result with its numbers and its figure. No language model is needed."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    run = project.run(identity)
    head, _, rest = script(project, identity).partition('"""\n\n')
    head = head.removeprefix('"""')
    setup, _, calls = rest.partition("\n\n\ncall(")
    shown = 'from moho import plot\n\n\ndef show(name):\n    """The figure of a result."""\n    return plot.draw(data[name])'
    cells = [new_markdown_cell(f"# {run.record['request']}\n\n{head.strip()}"), new_code_cell(setup), new_code_cell(shown)]
    for line in filter(None, ("call(" + calls).splitlines()):
        name = ast.literal_eval(ast.parse(line).body[0].value.args[3])  # type: ignore[attr-defined]
        cells.append(new_code_cell(f"{line}\nshow({name!r})"))
    if answer := run.answer.get("answer"):
        cells.append(new_markdown_cell(f"Moho answered: {answer}"))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"  # the same notebook each time
    made = new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}})
    nbformat.validate(made)
    return str(nbformat.writes(made)) + "\n"


def page(project: Project, identity: str) -> str:
    """A run as one HTML page to read, its figures in it."""
    from moho.agent import render

    found = project.run(identity)
    outcome = found.answer
    if not outcome:
        raise DataError("E_NOT_FOUND", f"run {identity} has not ended")
    pictures = {}
    for step in outcome.get("steps", []):
        for path in step["artifacts"]:
            if path.endswith(".png") and (project.folder / path).is_file():
                pictures[path] = "data:image/png;base64," + base64.b64encode((project.folder / path).read_bytes()).decode()
    return render.report(outcome | {"request": found.record["request"], "model": found.record.get("model", "")}, pictures)


def _noted(result: Data, notes: list[str]) -> Data:
    """With the notes the guard put behind the tool's own, which are part of the kept bytes."""
    from dataclasses import replace

    own = list(result.notes)
    return replace(result, notes=(*own, *notes[len(own) :])) if notes[: len(own)] == own else result


def script(project: Project, identity: str) -> str:
    """A Python program that repeats the run and says for every result whether its bytes are those that were kept."""
    run = project.run(identity)
    steps = [step for step in run.steps() if not step.error]
    results = {step.result.get("name") for step in steps}
    inputs: dict[str, tuple[str, dict[str, Any]]] = {}
    for step in steps:
        for name in step.inputs:
            if name not in results:
                entry = project.catalogue()[name]
                if entry.source != "input":
                    raise DataError("E_UNSUPPORTED", f"run {run.id} used {name!r}, a result of another run", "Export that run first.")
                path, hints = project.origin(name)
                inputs[name] = (str(path), hints)
    request = json.dumps(" ".join(run.record["request"].split()), ensure_ascii=False)  # its quotes escaped: it stands in a docstring
    lines = [
        f'"""Run {run.id} of Moho, repeated without a language model.',
        "",
        f"The request was: {request}",
        '"""',
        "",
        "from dataclasses import replace",
        "from hashlib import sha256",
        "",
        "from moho import store",
        "from moho.agent.registry import Call, execute",
        "from moho.read import read",
        "",
        "data = {",
        *[f"    {name!r}: read({path!r}{''.join(f', {k}={v!r}' for k, v in hints.items())})," for name, (path, hints) in inputs.items()],
        "}",
        "",
        "",
        "def call(tool, on, values, name, notes, digest):",
        '    """Run one tool, keep its result under `name`, and compare its bytes with those kept in the run."""',
        "    result = execute(Call(tool, on, values), data.__getitem__)",
        "    data[name] = replace(result, notes=tuple(notes))",
        "    same = sha256(store.dump(data[name])).hexdigest() == digest",
        '    print(f"{tool}:", "; ".join(f"{q.label or key} {q}" for key, q in result.facts.items()), "same bytes" if same else "DIFFERENT BYTES")',
        "",
        "",
    ]
    for step in steps:
        call = recall({"tool": step.tool, "arguments": step.arguments})
        name = step.result.get("name") or f"step {step.id}"
        digest = next(artifact["sha256"] for artifact in step.artifacts if artifact["name"] == "result.npz")
        lines.append(f"call({step.tool!r}, {dict(call.data)!r}, {dict(call.values)!r}, {name!r}, {list(step.result.get('notes', []))!r}, {digest!r})")
    return "\n".join(lines) + "\n"
