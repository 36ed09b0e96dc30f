"""A project: a folder with the data sets a person added, and every run on them, kept so that it can be repeated.

    DIR/project.json              what this folder is
    DIR/inputs/NAME.json          one input: where the file is, its SHA-256, how it was read. The file itself is never copied or written
    DIR/runs/ID/run.json          one request: its words, the model, versions
    DIR/runs/ID/steps/01-TOOL/    one call: step.json, result.npz, figure.png ... The folder appears whole, by a rename, or not at all
    DIR/runs/ID/steps/.KEY.part/  a volume that is being written chunk by chunk; the same call goes on with it after a kill,
                                  within a week: then a later volume clears it away
    DIR/runs/ID/answer.json       how the request ended

The folder is the catalogue: nothing else has to be kept consistent with it. Text that comes from files stays in `notes`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from moho import __version__, store
from moho.errors import DataError, Refusal
from moho.survey import KINDS, Data, Literature
from moho.units import Quantity

SCHEMA = 1
KEPT = 7 * 86400.0  # s that an unfinished volume waits for its call to be repeated
FRESH = 60.0  # s in which a folder is left alone in any case: its lock may not be there yet
SAMPLED_ABOVE = 1 << 30  # bytes; a larger input's digest is of its size and 64 pieces, and says so
LIBRARIES = (
    "numpy", "scipy", "obspy", "segyio", "lasio", "pylops", "verde", "harmonica", "boule", "simpeg", "dask", "torch", "transformers", "matplotlib",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A data set in the catalogue."""

    name: str
    kind: str
    line: str  # one line of description
    source: str  # "input" or "run ID step N"
    path: Path  # the person's file, or result.npz
    added: float = 0.0


@dataclass(frozen=True)
class StepRecord:
    """One kept call, as `step.json` holds it."""

    id: int
    tool: str
    arguments: Mapping[str, Any]
    result: Mapping[str, Any]  # {"name", "kind", "facts", "notes", "line"}, empty where the call failed
    artifacts: Sequence[Mapping[str, str]]
    seconds: float
    error: Mapping[str, str] | None
    inputs: Mapping[str, str] = field(default_factory=dict)  # name -> SHA-256
    call: str = ""  # the model's id of the call: a resumed run does not repeat it

    def facts(self) -> dict[str, Quantity]:
        """The numbers of the result."""
        return {key: Quantity(**value) for key, value in self.result.get("facts", {}).items()}


@dataclass(frozen=True)
class Abandoned:
    """An unfinished volume that nobody writes."""

    folder: Path
    bytes: int  # on the disk
    seconds: float  # since its last change


class Project:
    """An opened project folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cache: dict[str, tuple[tuple[Any, ...], Data]] = {}
        self._steps: dict[str, dict[str, Any]] = {}  # a kept step never changes
        self._listed: dict[str, tuple[int, list[str]]] = {}
        self._inputs: dict[Path, dict[str, Any]] = {}

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, create: bool = True) -> Project:
        """The project in `folder`, made when it is absent or empty; DataError when the folder is something else."""
        path = Path(folder).expanduser().resolve()
        marker = path / "project.json"
        try:
            if not marker.exists():
                if not create:
                    raise DataError("E_NOT_FOUND", f"there is no Moho project in {folder}", "`moho project add FILE` makes one.")
                if path.exists() and not path.is_dir():
                    raise DataError("E_PERM", f"{folder} is a file, not a folder")
                if path.exists() and any(not p.name.startswith(".") for p in path.iterdir()):
                    raise DataError("E_PERM", f"{folder} is not empty and not a Moho project; it is left as it is", "Name a new folder.")
                (path / "inputs").mkdir(parents=True, exist_ok=True)
                (path / "runs").mkdir(exist_ok=True)
                store.atomic_write(marker, _json({"schema_version": SCHEMA, "moho": __version__}), replace=True)
            found = json.loads(marker.read_bytes())
        except OSError as error:
            raise store.disk_error(error, path) from error
        except ValueError as error:
            raise DataError("E_CHANGED", f"{marker.name} of {folder} is damaged: {error}") from error
        if not isinstance(found, dict) or found.get("schema_version") != SCHEMA:
            found = found if isinstance(found, dict) else {}
            raise DataError("E_UNSUPPORTED", f"project schema {found.get('schema_version')}, this Moho reads {SCHEMA}")
        return cls(path)

    # -- the catalogue

    def catalogue(self) -> dict[str, Entry]:
        """Every data set by name: inputs in the order they were added, then results in the order they were made."""
        inputs = sorted((self._input(path) for path in (self.folder / "inputs").glob("*.json")), key=lambda i: (i["added"], i["name"]))
        entries = {i["name"]: Entry(i["name"], i["kind"], i["line"], "input", Path(i["path"]), i["added"]) for i in inputs}
        for folder, step in self._all_steps():
            result = step["result"]
            if result and result.get("name"):
                path = Path(folder, "result.npz")
                where = f"run {path.parents[2].name} step {step['id']}"
                entries[result["name"]] = Entry(result["name"], result["kind"], result["line"], where, path, step["finished"])
        return entries

    def kinds(self) -> dict[str, type[Data]]:
        """Name -> class, as the registry wants it."""
        return {name: KINDS[entry.kind] for name, entry in self.catalogue().items()}

    def add(self, path: str | os.PathLike[str], *, name: str = "", **hints: Any) -> Entry:
        """Read a file and enter it in the catalogue under its stem (or `name`). The file is hashed, never copied or changed.

        Adding the same unchanged file again gives the entry it already has. `hints` go to the reader (`header_bytes`, `variable`, ...).
        """
        from moho.read import describe_kind, read

        source = Path(path).expanduser().resolve()
        for entry in self.catalogue().values():
            if entry.source == "input" and entry.path == source and not name and not hints:
                self.load(entry.name)
                return entry
        before = _stamp(source)
        data = read(source, **hints)
        sha = _input_digest(source)
        if _stamp(source) != before:
            raise DataError("E_CHANGED", f"{source.name} changed while it was read")
        with self._locked():
            free = _free_input(_safe(name) if name else _plain(source.name), self.catalogue())
            record = {
                "name": free, "kind": type(data).__name__, "path": str(source), "sha256": sha, "stamp": list(_stamp(source)), "hints": hints,
                "line": describe_kind(data), "facts": facts_json(data.summary() | dict(data.facts)), "notes": list(data.notes), "added": time.time(),
            }  # fmt: skip
            store.atomic_write(self.folder / "inputs" / f"{free}.json", _json(record))
        self._cache[free] = (_stamp(source), data)
        return self.catalogue()[free]

    def adopt(self, other: Project, name: str, *, under: str = "") -> Entry:
        """Enter an input of another project, by its name or another, without reading its file again."""
        data, record = other.load(name), other._input(other._record(name))
        with self._locked():
            free = _free_input(_safe(under or name), self.catalogue())
            store.atomic_write(self.folder / "inputs" / f"{free}.json", _json(record | {"name": free, "added": time.time()}))
        self._cache[free] = (_stamp(Path(record["path"])), data)
        return self.catalogue()[free]

    def load(self, name: str) -> Data:
        """The data set of this name. An input is read anew when its file changed back and forth; E_CHANGED when it differs."""
        record = self._record(name)
        if record.exists():
            return self._load_input(name, self._input(record))
        entry = self.catalogue().get(name)
        if entry is None:
            raise DataError("E_NOT_FOUND", f"there is no {name!r} in the project; it holds {', '.join(self.catalogue()) or 'nothing'}")
        key = _stamp(entry.path)
        if name not in self._cache or self._cache[name][0] != key:
            self._cache[name] = (key, store.load(entry.path))
        return self._cache[name][1]

    def facts(self, name: str) -> dict[str, Quantity]:
        """The numbers known of a data set without loading it."""
        record = self._record(name)
        if record.exists():
            return {key: Quantity(**value) for key, value in self._input(record)["facts"].items()}
        for _, step in self._all_steps():
            if step["result"] and step["result"].get("name") == name:
                return {key: Quantity(**value) for key, value in step["result"]["facts"].items()}
        return {}

    def origin(self, name: str) -> tuple[Path, dict[str, Any]]:
        """The file of an input and the hints it was read with; E_NOT_FOUND for anything else."""
        record = self._record(name)
        if not record.exists():
            raise DataError("E_NOT_FOUND", f"{name!r} is no input of this project")
        found = self._input(record)
        return Path(found["path"]), found["hints"]

    def sha256(self, name: str) -> str:
        """The digest of an input's file as it was added, or of a result."""
        record = self._record(name)
        if record.exists():
            return str(self._input(record)["sha256"])
        path = self.catalogue()[name].path
        for beside in map(path.with_name, store.BESIDE):
            if beside.exists():
                return hashlib.sha256(f"{store.digest(path)} {_input_digest(beside)}".encode()).hexdigest()
        return store.digest(path)

    def _record(self, name: str) -> Path:
        return self.folder / "inputs" / f"{_safe(name)}.json"  # never a path out of this folder

    def _load_input(self, name: str, record: dict[str, Any]) -> Data:
        from moho.read import read

        path = Path(record["path"])
        stamp = _stamp(path)
        if name in self._cache and self._cache[name][0] == stamp:
            return self._cache[name][1]
        if list(stamp) != record["stamp"] and _input_digest(path) != record["sha256"]:
            raise DataError("E_CHANGED", f"{path.name} is not the file that was added as {name!r}", "Add it again under a new name.")
        data = read(path, **record["hints"])
        self._cache[name] = (stamp, data)
        return data

    def _input(self, path: Path) -> dict[str, Any]:
        if path not in self._inputs:
            try:
                self._inputs[path] = json.loads(path.read_bytes())
            except (OSError, ValueError) as error:
                raise DataError("E_CHANGED", f"the project's record of {path.stem} is damaged: {error}") from error
        return self._inputs[path]

    def _all_steps(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for run in sorted(os.listdir(self.folder / "runs")):
            for folder in self._kept(f"{self.folder}/runs/{run}/steps"):
                yield folder, self._step(folder)

    def _kept(self, steps: str) -> list[str]:
        """The folders of a run's kept steps in order. A listing serves again while the folder is as it was, and was not just written."""
        try:
            changed = os.stat(steps).st_mtime_ns
            known = self._listed.get(steps)
            if known is not None and known[0] == changed:
                return known[1]
            found = sorted(f"{steps}/{name}" for name in os.listdir(steps) if name[0].isdigit() and "-" in name)
        except (FileNotFoundError, NotADirectoryError):
            return []
        if time.time_ns() - changed > 2_000_000_000:  # within the clock's grain a second change would not show
            self._listed[steps] = (changed, found)
        return found

    def _step(self, folder: str) -> dict[str, Any]:
        if folder not in self._steps:
            try:
                with open(f"{folder}/step.json", "rb") as file:
                    self._steps[folder] = json.loads(file.read())
            except (OSError, ValueError) as error:
                raise DataError("E_CHANGED", f"the record of step {Path(folder).name} is damaged: {error}") from error
        return self._steps[folder]

    # -- runs

    def start(self, request: str, *, model: str = "", thread: str = "") -> Run:
        """A new run for a request."""
        now = time.time()
        identity = time.strftime("%Y%m%d-%H%M%S", time.localtime(now)) + f"-{int(now * 1e5) % 100000:05d}{secrets.token_hex(2)}"  # in order of time
        folder = self.folder / "runs" / identity
        try:
            (folder / "steps").mkdir(parents=True)
            store.atomic_write(
                folder / "run.json",
                _json({"schema_version": SCHEMA, "id": identity, "request": request, "model": model, "thread": thread, "versions": versions()}),
            )
        except OSError as error:
            raise store.disk_error(error, folder) from error
        return Run(self, folder)

    def run(self, identity: str) -> Run:
        """The run of this id, or the last one for 'last'; DataError when there is none."""
        if re.fullmatch(r"\d[\w-]*", identity) and (self.folder / "runs" / identity / "run.json").exists():
            return Run(self, self.folder / "runs" / identity)
        names = sorted(path.name for path in (self.folder / "runs").iterdir() if (path / "run.json").exists())
        if identity == "last" and names:
            identity = names[-1]
        if identity not in names:
            raise DataError("E_NOT_FOUND", f"there is no run {identity!r} here; the latest are {', '.join(names[-3:]) or 'none'}")
        return Run(self, self.folder / "runs" / identity)

    def history(self) -> list[dict[str, Any]]:
        """Every run, oldest first: id, request, status, answer."""
        rows = []
        for path in sorted((self.folder / "runs").iterdir()):
            if (path / "run.json").exists():
                run = Run(self, path)
                record = run.record
                rows.append({key: record.get(key, "") for key in ("id", "request", "model")} | {"status": run.answer.get("status", "interrupted")})
        return rows

    def abandoned(self) -> list[Abandoned]:
        """What killed runs have left of volumes, oldest first, and no process is writing."""
        found = []
        for folder in (self.folder / "runs").glob("*/steps/.*.part"):
            with _unused(folder) as free:
                if free:
                    held = [os.stat(path) for path in store.files(folder)]
                    last = max((one.st_mtime for one in held), default=os.stat(folder).st_mtime)
                    found.append(Abandoned(folder, sum(512 * one.st_blocks for one in held), max(0.0, time.time() - last)))
        return sorted(found, key=lambda one: (-one.seconds, one.folder))

    def clean(self, older: float = KEPT) -> list[Abandoned]:
        """Remove what has been abandoned for so many seconds; the same call could have gone on with it. What was removed."""
        gone = []
        for one in self.abandoned():
            if one.seconds < max(older, FRESH):
                continue
            with _unused(one.folder) as free:
                rest = one.folder.with_name(f".{secrets.token_hex(4)}.tmp")
                try:
                    if free:
                        os.rename(one.folder, rest)  # no longer under the name by which it would be taken over
                except OSError:
                    continue
                if free:
                    shutil.rmtree(rest, ignore_errors=True)
                    gone.append(one)
        return gone

    @contextmanager
    def _locked(self, wait: float = 30.0) -> Iterator[None]:
        """The one writer; E_LOCKED after `wait` seconds."""
        with open(self.folder / ".lock", "a") as file:
            deadline = time.monotonic() + wait
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() > deadline:
                        raise DataError("E_LOCKED", "another process is writing this project") from error
                    time.sleep(0.02)
            yield


class Run:
    """One request's folder: calls are kept in it as they end."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project, self.folder = project, folder
        self.id = folder.name

    @property
    def record(self) -> dict[str, Any]:
        """What was asked, of which model, with which versions."""
        return dict(json.loads((self.folder / "run.json").read_bytes()))

    @property
    def answer(self) -> dict[str, Any]:
        """How it ended; empty while it runs or when it was interrupted."""
        path = self.folder / "answer.json"
        return dict(json.loads(path.read_bytes())) if path.exists() else {}

    def steps(self) -> list[StepRecord]:
        """The kept calls in order."""
        kept = [self.project._step(folder) for folder in self.project._kept(f"{self.folder}/steps")]
        return [StepRecord(**{key: value for key, value in step.items() if key != "finished"}) for step in kept]

    @contextmanager
    def part(self, key: Callable[[], str]) -> Iterator[Callable[[], Path]]:
        """A folder for what is written piece by piece, made on first use; that of the same call, by `key`, in a killed run is taken over.

        It goes when the step was kept or refused; otherwise it stays with what was done.
        """
        held: list[tuple[Path, IO[str]]] = []

        def folder() -> Path:
            if not held:
                held.append(self._taken(key()))
                self.project.clean()
            return held[0][0]

        try:
            yield folder
        except BaseException as error:
            if held and isinstance(error, Refusal | ValueError | TypeError):
                shutil.rmtree(held[0][0], ignore_errors=True)
            raise
        else:
            if held:
                shutil.rmtree(held[0][0], ignore_errors=True)
        finally:
            for _, lock in held:
                lock.close()

    def _taken(self, key: str) -> tuple[Path, IO[str]]:
        """A folder of this run and the lock on it, which no other process holds."""
        folder = self.folder / "steps" / f".{key}-{secrets.token_hex(4)}.part"
        for left in sorted((self.project.folder / "runs").glob(f"*/steps/.{key}-*.part")):
            try:
                lock = open(left / ".lock", "a")  # noqa: SIM115  held as long as the run
            except OSError:
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.rename(left, folder)
            except OSError:  # a process is at work there, or was faster
                lock.close()
                continue
            return folder, lock
        try:
            folder.mkdir()
            lock = open(folder / ".lock", "a")  # noqa: SIM115
        except OSError as error:
            raise store.disk_error(error, folder) from error
        fcntl.flock(lock, fcntl.LOCK_EX)
        return folder, lock

    def keep(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        inputs: Sequence[str],
        result: Data | None,
        *,
        seconds: float,
        error: Mapping[str, str] | None = None,
        draw: Callable[[Data, Path], Sequence[Path]] | None = None,
        new: bool = True,
        call: str = "",
        beside: Path | None = None,
    ) -> StepRecord:
        """Keep one call: all of its folder appears at once, synced, or nothing does.

        `new`: the result is a data set of its own and gets a name in the catalogue; a plot or a mere measurement does not.
        `draw(result, folder)` writes figures and returns their paths. `beside`: a file that belongs to the result, synced, which is moved.
        """
        from moho.read import describe_kind

        steps = self.folder / "steps"
        temporary = steps / f".{secrets.token_hex(4)}.tmp"
        try:
            temporary.mkdir()
            kept: dict[str, Any] = {}
            files: list[Path] = []
            if result is not None:
                store.save(result, temporary / "result.npz")
                if beside is not None:
                    _moved(beside, temporary / beside.name)
                files = [temporary / "result.npz", *([temporary / beside.name] if beside else []), *(draw(result, temporary) if draw else [])]
                facts = dict(result.facts) or result.summary()
                kept = {"kind": type(result).__name__, "facts": facts_json(facts), "notes": list(result.notes), "line": describe_kind(result)}
                if isinstance(result, Literature):
                    kept["citations"] = [dict(citation) for citation in result.citations]
            artifacts = [{"name": p.name, "kind": _artifact(p), "sha256": store.digest(p)} for p in files]
            used = {name: self.project.sha256(name) for name in inputs}
            with self.project._locked():
                number = 1 + max((int(p.name[:2]) for p in steps.glob("[0-9]*-*")), default=0)
                if result is not None:
                    kept["name"] = _free_name(f"{tool} 1", self.project.catalogue()) if new else ""
                folder = steps / f"{number:02d}-{tool}"
                for artifact in artifacts:
                    artifact["path"] = str((folder / artifact["name"]).relative_to(self.project.folder))
                record = StepRecord(number, tool, dict(arguments), kept, artifacts, round(seconds, 4), error, used, call)
                (temporary / "step.json").write_bytes(_json(record.__dict__ | {"finished": time.time()}))
                _sync(temporary / "step.json")
                os.rename(temporary, folder)
                _sync(steps)
        except OSError as fault:
            raise store.disk_error(fault, self.folder) from fault
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return record

    def finish(self, outcome: Mapping[str, Any]) -> None:
        """Keep how the request ended."""
        store.atomic_write(self.folder / "answer.json", _json(dict(outcome)), replace=True)


@contextmanager
def _unused(folder: Path) -> Iterator[bool]:
    """Whether no process writes this unfinished volume; while inside none can begin to."""
    try:
        lock = open(folder / ".lock", "a")  # noqa: SIM115
    except OSError:
        yield False
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def facts_json(facts: Mapping[str, Quantity]) -> dict[str, Any]:
    """Facts as JSON."""
    return {key: {"value": q.value, "unit": q.unit, "label": q.label} for key, q in facts.items()}


@cache
def versions() -> dict[str, str]:
    """Moho's, Python's and the libraries' versions, as far as they are installed."""
    found = {"moho": __version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        return store.stamp(path)
    except FileNotFoundError as error:
        raise DataError("E_NOT_FOUND", f"{path.name} is not where it was: {path}") from error
    except OSError as error:
        raise DataError("E_PERM", f"cannot look at {path}: {error.strerror}") from error


def _input_digest(path: Path) -> str:
    size = store.stamp(path)[0]
    if size <= SAMPLED_ABOVE:
        return store.digest(path)
    if path.is_dir():
        names = store.files(path)
        total = hashlib.sha256("\n".join(f"{name.relative_to(path)} {name.stat().st_size}" for name in names).encode())
        for i in range(64):
            total.update(store.digest(names[i * (len(names) - 1) // 63]).encode())
        return f"sampled:{total.hexdigest()}"
    total = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        for i in range(64):
            file.seek(i * (size - (1 << 16)) // 63)
            total.update(file.read(1 << 16))
    return f"sampled:{total.hexdigest()}"


def _plain(filename: str) -> str:
    """A data set's name from a file's: the stem, without characters that could mislead."""
    stem = re.sub(r"\.(gz|xz|bz2|zip)$", "", filename, flags=re.I)
    stem = re.sub(r"\.[A-Za-z][A-Za-z0-9]{0,6}$", "", stem) or stem
    return _safe(stem)


def _safe(name: str) -> str:
    """`name` without characters that could mislead or lead out of a folder."""
    return re.sub(r"[^\w .+()'’&-]", "_", name).strip(" .") or "data"


def _free_input(wanted: str, taken: Mapping[str, Any]) -> str:
    """`wanted`, or it with a number behind; another 'line 12' is 'line 12 (2)', for 'line 2' may be a line of its own."""
    folded = {name.casefold() for name in taken}
    if not wanted[-1:].isdigit():
        return _free_name(wanted, taken)
    number = 1
    while (name := wanted if number == 1 else f"{wanted} ({number})").casefold() in folded:
        number += 1
    return name


def _free_name(wanted: str, taken: Mapping[str, Any]) -> str:
    """`wanted`, or it with the next number: 'bandpass 1' -> 'bandpass 2', 'line' -> 'line 2'."""
    folded = {name.casefold() for name in taken}
    if wanted.casefold() not in folded:
        return wanted
    stem, _, last = wanted.rpartition(" ")
    if not last.isdigit():
        stem = wanted
    number = 2
    while f"{stem} {number}".casefold() in folded:
        number += 1
    return f"{stem} {number}"


def _artifact(path: Path) -> str:
    return {".npz": "data", ".sgy": "segy", ".nc": "netcdf", ".zarr": "zarr"}.get(path.suffix, path.suffix.lstrip("."))


def _moved(source: Path, target: Path) -> None:
    """Under a second name, so that a kill before the folder has its own loses nothing; moved where links are not known."""
    try:
        if source.is_dir():
            shutil.copytree(source, target, copy_function=os.link)
        else:
            os.link(source, target)
    except OSError:
        shutil.rmtree(target, ignore_errors=True)
        os.replace(source, target)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
