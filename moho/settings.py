"""Where Moho keeps its own things, and the settings a person may change. The environment is read here and in `cli` only.

A setting comes from the flag, else from `MOHO_<NAME>`, else from `./moho.toml`, else from the user's `config.toml`, else the
default; `origin` says which, for `moho doctor`.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moho.errors import DataError

DEFAULTS: dict[str, Any] = {
    "model": "embedded",  # embedded | embedded:base | hf:PATH_OR_ID | openai:BASE_URL#NAME
    "project": "moho-project",  # folder of the project
    "steps": 25,  # tool calls a request
    "minutes": 15.0,  # a request
    "approve_seconds": 60.0,  # a call estimated to take longer asks first
    "scheduler": "",  # tcp://HOST:PORT of a dask.distributed scheduler for volumes; threads of this process where empty
    "threads": 1,  # for volumes, where there is no scheduler
    "volumes": "segy",  # segy | zarr: how the volumes that tools make are written
    "library": "",  # folder of the literature index; "literature" in Moho's own folder where empty
    "store": "",  # where the literature's vectors are searched: "" for FAISS here, else qdrant:URL_OR_FOLDER
    "database": "",  # postgresql://... for threads, events and checkpoints of a team; SQLite beside each project where empty
    "allow_network": False,  # for checkpoints from a hub
}


@dataclass(frozen=True)
class Setting:
    """A value and where it came from."""

    value: Any
    origin: str


def home() -> Path:
    """Moho's own folder for models and caches: MOHO_HOME, else the user's data folder. Made when absent."""
    chosen = os.environ.get("MOHO_HOME")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "moho"
    try:
        base.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "Set MOHO_HOME to a folder that can be written."
        raise DataError("E_PERM", f"Moho's own folder {base} cannot be made: {error.strerror}", hint) from error
    return base


def setting(name: str, flag: Any = None) -> Setting:
    """The value of `name` and its origin; DataError when a file or variable holds something of another type."""
    if flag is not None:
        return Setting(flag, "flag")
    default = DEFAULTS[name]
    variable = f"MOHO_{name.upper()}"
    if variable in os.environ:
        return Setting(_typed(name, os.environ[variable], default), variable)
    config = Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / "moho" / "config.toml"
    for path in (Path("moho.toml"), config):
        if path.is_file():
            try:
                found = tomllib.loads(path.read_text())
            except (OSError, ValueError) as error:
                raise DataError("E_FORMAT", f"{path} cannot be read: {error}") from error
            if name in found:
                return Setting(_typed(name, found[name], default), str(path))
    return Setting(default, "default")


def secret(name: str) -> str:
    """What an environment variable holds that no settings file should, "" for nothing."""
    return os.environ.get(name, "")


def _typed(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, bool):
        if str(value).lower() in ("1", "true", "yes", "on"):
            return True
        if str(value).lower() in ("0", "false", "no", "off", ""):
            return False
    else:
        try:
            return type(default)(value)
        except (TypeError, ValueError):
            pass
    raise DataError("E_FORMAT", f"setting {name} wants a {type(default).__name__}, got {value!r}")
