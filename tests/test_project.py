"""A project keeps what was added and made, changes nothing of the person's, and says so when something else did."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_project import made_project, write_gravity, write_line, write_well

from moho import store
from moho.agent import act
from moho.agent.registry import prepare
from moho.errors import DataError
from moho.project import Project
from moho.survey import Seismic


def filtered(project: Project, low: str = "5 Hz", draw: bool = False) -> Any:
    run = project.start("filter it")
    return run, act.perform(prepare("bandpass", {"line": "line", "low": low, "high": "60 Hz"}, project.kinds()), run, draw=draw)


def digests(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_content_says_what_a_file_is(tmp_path: Path) -> None:
    project = Project.open(tmp_path / "project")
    write_line(tmp_path / "a.dat")
    write_well(tmp_path / "b.txt")
    write_gravity(tmp_path / "c.xyz")
    assert [project.add(tmp_path / name).kind for name in ("a.dat", "b.txt", "c.xyz")] == ["Seismic", "Well", "Gravity"]


def test_inputs_are_hashed_and_never_changed(tmp_path: Path) -> None:
    line = write_line(tmp_path / "line.sgy")
    before, stamp = sha256(line.read_bytes()).hexdigest(), line.stat()
    os.chmod(line, 0o444)
    project = Project.open(tmp_path / "project")
    project.add(line)
    filtered(project)
    assert project.sha256("line") == before == sha256(line.read_bytes()).hexdigest()
    assert (line.stat().st_mtime_ns, line.stat().st_ino) == (stamp.st_mtime_ns, stamp.st_ino)


def test_the_same_file_twice_is_one_entry(tmp_path: Path) -> None:
    project = made_project(tmp_path)
    assert project.add(tmp_path / "line.sgy").name == "line"
    assert Project.open(tmp_path / "project").add(tmp_path / "line.sgy").name == "line"
    assert list(project.catalogue()) == ["line"]


def test_a_changed_input_is_said_until_it_is_put_back(tmp_path: Path) -> None:
    project = made_project(tmp_path)
    whole = (tmp_path / "line.sgy").read_bytes()
    write_line(tmp_path / "line.sgy", seed=5)
    for opened in (project, Project.open(tmp_path / "project")):
        with pytest.raises(DataError) as raised:
            opened.load("line")
        assert raised.value.code == "E_CHANGED"
        with pytest.raises(DataError):
            opened.add(tmp_path / "line.sgy")
    (tmp_path / "line.sgy").write_bytes(whole)
    assert isinstance(project.load("line"), Seismic)
    (tmp_path / "line.sgy").unlink()
    with pytest.raises(DataError) as raised:
        Project.open(tmp_path / "project").load("line")
    assert raised.value.code == "E_NOT_FOUND"


def test_names_are_free_safe_and_told_apart(tmp_path: Path) -> None:
    project = Project.open(tmp_path / "project")
    for number in range(3):
        (tmp_path / str(number)).mkdir()
    names = [project.add(write_line(tmp_path / str(i) / "line 12.sgy", seed=i)).name for i in range(3)]
    assert names == ["line 12", "line 12 (2)", "line 12 (3)"]  # never "line 2", which may be a line of its own
    again = [project.add(write_line(tmp_path / str(i) / "LINE.segy", seed=i)).name for i in range(2)]
    assert again == ["LINE", "LINE 2"]
    assert project.add(tmp_path / "0" / "LINE.segy", name='../../out"side').name == "_.._out_side"
    assert project.add(write_line(tmp_path / "evil;rm -rf.sgy")).name == "evil_rm -rf"
    assert {path.name for path in tmp_path.iterdir()} == {"project", "0", "1", "2", "evil;rm -rf.sgy"}
    for name in ("../project", "../../0/LINE", "nothing"):
        with pytest.raises(DataError) as raised:
            project.load(name)
        assert raised.value.code == "E_NOT_FOUND"


def test_results_are_numbered_and_everything_is_there_after_reopening(tmp_path: Path) -> None:
    project = made_project(tmp_path)
    filtered(project)
    run, step = filtered(project, "8 Hz")
    assert step.result["name"] == "bandpass 2"
    opened = Project.open(tmp_path / "project")
    assert list(opened.catalogue()) == ["line", "bandpass 1", "bandpass 2"]
    assert opened.catalogue()["bandpass 2"].source == f"run {run.id} step 1"
    assert opened.facts("bandpass 2")["pass_band"].value == [8, 60]
    assert opened.facts("line")["traces"].value == 12
    kept = opened.load("bandpass 2")
    assert isinstance(kept, Seismic)
    assert kept.band == (8, 60)
    assert [step.tool for step in kept.history] == ["bandpass"]
    assert sorted(opened.kinds()) == ["bandpass 1", "bandpass 2", "line"]
    assert opened.run("last").steps() == run.steps()
    assert [row["status"] for row in opened.history()] == ["interrupted", "interrupted"]


def test_two_runs_with_the_same_arguments_keep_the_same_bytes(tmp_path: Path) -> None:
    project = made_project(tmp_path)
    first, second = filtered(project, draw=True)[1], filtered(project, draw=True)[1]
    assert [a["sha256"] for a in first.artifacts] == [a["sha256"] for a in second.artifacts]
    assert {a["name"] for a in first.artifacts} == {"result.npz", "figure.png", "figure.svg", "figure.json"}
    for artifact in first.artifacts:
        assert store.digest(project.folder / artifact["path"]) == artifact["sha256"]


def test_nothing_that_was_kept_is_touched_by_what_follows(tmp_path: Path) -> None:
    project = made_project(tmp_path)
    filtered(project)
    before = digests(project.folder)
    filtered(project, "9 Hz")
    project.add(write_well(tmp_path / "well.las"))
    after = digests(project.folder)
    assert {name: after[name] for name in before} == before


def test_a_damaged_result_is_said(tmp_path: Path) -> None:
    project = made_project(tmp_path)
    run, _ = filtered(project)
    whole = project.folder / "runs" / run.id / "steps" / "01-bandpass"
    (whole / "result.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataError) as raised:
        project.load("bandpass 1")
    assert raised.value.code == "E_CHANGED"
    (whole / "step.json").write_bytes(b"{")
    with pytest.raises(DataError, match="record of step 01-bandpass"):
        Project.open(project.folder).catalogue()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"schema_version": 99}'])
def test_a_damaged_or_newer_project_is_said(content: bytes, tmp_path: Path) -> None:
    project = made_project(tmp_path)
    (project.folder / "project.json").write_bytes(content)
    with pytest.raises(DataError) as raised:
        Project.open(project.folder)
    assert raised.value.code in ("E_CHANGED", "E_UNSUPPORTED")


def test_a_folder_with_other_things_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("\\end")
    for place, code in ((tmp_path, "E_PERM"), (tmp_path / "thesis.tex", "E_PERM")):
        with pytest.raises(DataError) as raised:
            Project.open(place)
        assert raised.value.code == code
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(DataError) as raised:
        Project.open(tmp_path / "absent", create=False)
    assert raised.value.code == "E_NOT_FOUND"
    assert not (tmp_path / "absent").exists()


LOCKER = """
import sys
from moho.project import Project
with Project.open(sys.argv[1])._locked():
    print("locked", flush=True)
    sys.stdin.readline()
"""


def test_another_process_that_writes_locks_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = made_project(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", LOCKER, project.folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "locked\n"
        monkeypatch.setattr(Project._locked.__wrapped__, "__defaults__", (0.05,))  # type: ignore[attr-defined]
        with pytest.raises(DataError) as raised:
            project.add(write_well(tmp_path / "well.las"))
        assert raised.value.code == "E_LOCKED"
        assert list(Project.open(project.folder).catalogue()) == ["line"]  # readers do not wait
        child.communicate("go\n")
    assert project.add(tmp_path / "well.las").name == "well"


@pytest.mark.parametrize("where", ["fsync", "mkdir", "rename", "link"])
@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, "E_DISK"), (errno.EROFS, "E_PERM")])
def test_a_full_disk_is_said_and_what_was_kept_stays(where: str, number: int, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = made_project(tmp_path)
    run, _ = filtered(project)
    before = digests(project.folder)

    def full(*args: Any, **more: Any) -> Any:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, where, full)
        with pytest.raises(DataError) as raised:
            act.perform(prepare("bandpass", {"line": "line", "low": "7 Hz", "high": "60 Hz"}, project.kinds()), run, draw=False)
        assert raised.value.code == code
    opened = Project.open(project.folder)
    assert {name: sha for name, sha in digests(project.folder).items() if name != ".lock"} == {k: v for k, v in before.items() if k != ".lock"}
    assert list(opened.catalogue()) == ["line", "bandpass 1"]
    assert act.perform(prepare("bandpass", {"line": "line", "low": "7 Hz", "high": "60 Hz"}, project.kinds()), run, draw=False).id == 2


SMALL_DISK = """
import resource, signal, sys
from moho.agent import act
from moho.agent.registry import prepare
from moho.errors import DataError
from moho.project import Project
project = Project.open(sys.argv[1])
call = prepare("bandpass", {"line": "line", "low": "7 Hz", "high": "60 Hz"}, project.kinds())
project.load("line")
run = project.start("again")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))
try:
    act.perform(call, run, draw=False)
except DataError as error:
    print(error.code)
"""


def test_a_result_too_large_for_the_disk_leaves_no_half_of_it(tmp_path: Path) -> None:
    project = made_project(tmp_path)
    filtered(project)
    done = subprocess.run([sys.executable, "-c", SMALL_DISK, project.folder], capture_output=True, text=True, check=True)
    assert done.stdout == "E_DISK\n"
    assert list(Project.open(project.folder).catalogue()) == ["line", "bandpass 1"]
    assert not list(project.folder.rglob("*.tmp"))


def test_a_step_that_failed_is_kept_with_its_reason(tmp_path: Path) -> None:
    project = made_project(tmp_path)
    run = project.start("too high")
    with pytest.raises(ValueError, match="low < high"):
        act.perform(prepare("bandpass", {"low": "60 Hz", "high": "5 Hz"}, project.kinds()), run, draw=False)
    (step,) = run.steps()
    assert step.error is not None
    assert not step.result
    assert list(project.catalogue()) == ["line"]


def test_hints_are_kept_and_used_at_every_reading(tmp_path: Path) -> None:
    write_line(tmp_path / "line.sgy")
    project = Project.open(tmp_path / "project")
    entry = project.add(tmp_path / "line.sgy", header_bytes={"cdp": 1})
    assert project.origin(entry.name) == ((tmp_path / "line.sgy").resolve(), {"header_bytes": {"cdp": 1}})
    loaded = [opened.load(entry.name) for opened in (project, Project.open(project.folder))]
    numbers = [one.numbers for one in loaded if isinstance(one, Seismic)]
    assert np.array_equal(*numbers)


def test_records_are_json_that_a_person_can_read(tmp_path: Path) -> None:
    project = made_project(tmp_path)
    run, _ = filtered(project)
    record = json.loads((project.folder / "inputs" / "line.json").read_text())
    assert {"name", "kind", "path", "sha256", "hints", "facts", "notes"} <= set(record)
    run.finish({"schema_version": 1, "status": "answered", "answer": "done"})
    assert Project.open(project.folder).run("last").answer["status"] == "answered"
    assert "numpy" in run.record["versions"]
