"""Who may use a server: a name, the SHA-256 of a token, and the folder of their projects. The token itself is shown once and never kept."""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from moho import store
from moho.errors import DataError
from moho.project import Project
from moho.settings import home

FILE = "people.json"


@dataclass(frozen=True)
class Person:
    """Somebody with a token."""

    name: str
    digest: str  # SHA-256 of the token
    projects: Mapping[str, Path]  # name -> folder; more may be made beside the first

    def project(self, name: str) -> Path:
        """The folder of one of their projects; the only way from a name to a folder."""
        if name not in self.projects:
            raise DataError("E_NOT_FOUND", f"there is no project {name!r}; there is {', '.join(self.projects) or 'none'}")
        return self.projects[name]


class People:
    """Those who may use this server."""

    def __init__(self, people: list[Person]) -> None:
        self._people = people

    def of(self, token: str) -> Person | None:
        """Whose token this is; compared in constant time."""
        given = sha256(token.encode()).hexdigest()
        return next((person for person in self._people if hmac.compare_digest(person.digest, given)), None)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._people)


def alone(token: str, folder: Path) -> People:
    """One person with one project: `moho chat`."""
    return People([Person("me", sha256(token.encode()).hexdigest(), {folder.name or "project": folder})])


def team() -> People:
    """The people of `moho serve`, each with the projects in their folder. DataError where the file is damaged or others may read it."""
    path = home() / FILE
    if not path.exists():
        return People([])
    if path.stat().st_mode & 0o077:
        raise DataError("E_PERM", f"{path} can be read by others", f"chmod 600 {path}")
    try:
        kept = json.loads(path.read_bytes())["people"]
        return People([Person(str(one["name"]), str(one["sha256"]), _projects(str(one["name"]))) for one in kept])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("E_CHANGED", f"{path} is damaged: {error!r}") from error


def invite(name: str) -> str:
    """Enter somebody, or give them a new token; the token, which is kept nowhere."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name):
        raise DataError("E_ARGUMENT", f"{name!r} is no name here: a small letter, then small letters, digits, - and _")
    path, token = home() / FILE, secrets.token_urlsafe(24)
    kept = json.loads(path.read_bytes())["people"] if path.exists() else []
    kept = [one for one in kept if one["name"] != name] + [{"name": name, "sha256": sha256(token.encode()).hexdigest()}]
    store.atomic_write(path, json.dumps({"schema_version": 1, "people": kept}, indent=1).encode(), replace=True)
    os.chmod(path, 0o600)
    new_project(name, "first")
    return token


def dismiss(name: str) -> None:
    """Take somebody's token away; their projects stay."""
    path = home() / FILE
    kept = json.loads(path.read_bytes())["people"] if path.exists() else []
    if not any(one["name"] == name for one in kept):
        raise DataError("E_NOT_FOUND", f"there is nobody called {name!r}")
    left = [one for one in kept if one["name"] != name]
    store.atomic_write(path, json.dumps({"schema_version": 1, "people": left}, indent=1).encode(), replace=True)
    os.chmod(path, 0o600)


def new_project(person: str, name: str) -> Path:
    """A project of somebody's, made where there is none."""
    if not re.fullmatch(r"[\w][\w .-]{0,59}", name):
        raise DataError("E_ARGUMENT", f"{name!r} is no name of a project: letters, digits, space, . - _")
    folder = _folder(person) / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    return Project.open(folder).folder


def _folder(person: str) -> Path:
    return home() / "people" / person


def _projects(person: str) -> dict[str, Path]:
    folder = _folder(person)
    return {path.name: path for path in sorted(folder.iterdir()) if (path / "project.json").exists()} if folder.exists() else {}
