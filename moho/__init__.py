"""Moho: an agent for geophysicists. Data types, readers, units and projects live here and import none of the rest.

`from moho import Project` is the notebook's door (`moho.agent.notebook`), which is looked for when it is asked for.
"""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "Project":
        from importlib import import_module

        return import_module("moho.agent.notebook").Project
    raise AttributeError(f"module 'moho' has no {name!r}")
