"""The library a person has: opened where the settings say, with the handbook in it from the start."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from moho.errors import DataError
from moho.settings import home, setting

if TYPE_CHECKING:
    from moho.knowledge.index import Library
    from moho.knowledge.retrieve import Retriever


def folder(chosen: Path | None = None) -> Path:
    """The folder of the library: as chosen, as set, or in Moho's own folder."""
    named = str(setting("library", str(chosen) if chosen else None).value)
    return Path(named).expanduser().absolute() if named else home() / "literature"


def open_library(chosen: Path | None = None) -> Library:
    """The library; a new one is made with the handbook in it."""
    from moho.knowledge import starter
    from moho.knowledge.embed import ENCODER
    from moho.knowledge.index import Library

    library = Library(folder(chosen), ENCODER)
    if not starter.is_held(library):
        try:
            starter.add(library)
        except DataError as error:
            if error.code != "E_PERM" or not library.size():
                raise  # a library that may only be read answers without it
    return library


@lru_cache(maxsize=4)
def retriever(at: Path) -> Retriever:
    """Search over the library in a folder, kept for the life of the process: it follows the library as that changes."""
    from moho.knowledge.retrieve import Retriever
    from moho.knowledge.scale import nearest

    library = open_library(at)
    return Retriever(library, nearest(library, str(setting("store").value)))
