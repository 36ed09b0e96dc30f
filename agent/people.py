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
    return People([Person(one["name"], one["sha256"], _projects(one["name"])) for one in _kept()])


def invite(name: str) -> str:
    """Enter somebody, or give them a new token; the token, which is kept nowhere."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name):
        raise DataError("E_ARGUMENT", f"{name!r} is no name here: a small letter, then small letters, digits, - and _")
    token = secrets.token_urlsafe(24)
    _write([*(one for one in _kept() if one["name"] != name), {"name": name, "sha256": sha256(token.encode()).hexdigest()}])
    new_project(name, "first")
    return token


def dismiss(name: str) -> None:
    """Take somebody's token away; their projects stay."""
    if not any(one["name"] == name for one in _kept()):
        raise DataError("E_NOT_FOUND", f"there is nobody called {name!r}")
    _write([one for one in _kept() if one["name"] != name])


def new_project(person: str, name: str) -> Path:
    """A project of somebody's, made where there is none."""
    if not re.fullmatch(r"[\w][\w .-]{0,59}", name):
        raise DataError("E_ARGUMENT", f"{name!r} is no name of a project: letters, digits, space, . - _")
    folder = _folder(person) / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    return Project.open(folder).folder


def _kept() -> list[dict[str, str]]:
    path = home() / FILE
    try:
        if not path.exists():
            return []
        if path.stat().st_mode & 0o077:
            raise DataError("E_PERM", f"{path} can be read by others", f"chmod 600 {path}")
        return [{"name": str(one["name"]), "sha256": str(one["sha256"])} for one in json.loads(path.read_bytes())["people"]]
    except OSError as error:
        raise store.disk_error(error, path) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("E_CHANGED", f"{path} is damaged: {error!r}") from error


def _write(people: list[dict[str, str]]) -> None:
    """Whole and by a rename, and at no moment to be read by others."""
    before = os.umask(0o077)
    try:
        store.atomic_write(home() / FILE, json.dumps({"schema_version": 1, "people": people}, indent=1).encode(), replace=True)
    finally:
        os.umask(before)


def _folder(person: str) -> Path:
    return home() / "people" / person


def _projects(person: str) -> dict[str, Path]:
    folder = _folder(person)
    return {path.name: path for path in sorted(folder.iterdir()) if (path / "project.json").exists()} if folder.exists() else {}
