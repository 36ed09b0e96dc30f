"""What the settings choose for a request, whatever door it comes through: the model, its key, the budget, who makes volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moho.errors import DataError
from moho.settings import home, secret, setting

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def workers(scheduler: str | None = None, volumes: str | None = None) -> Any:
    """Who makes volumes and how they are written, from the flags and the settings."""
    from moho.volumes import Workers

    return Workers(setting("scheduler", scheduler).value, setting("threads").value, setting("volumes", volumes).value)


def budget() -> Any:
    """The budget of a request, from the settings."""
    from moho.agent.guard import Budget

    return Budget(steps=setting("steps").value, minutes=setting("minutes").value, approve_seconds=setting("approve_seconds").value)


def make_model(spec: str) -> BaseChatModel:
    """The language model that `spec` names, with its key where one is needed."""
    from moho.agent import model

    return model.make(spec, key=api_key(), network=setting("allow_network").value)


def api_key() -> str:
    """The key of a hosted endpoint: MOHO_API_KEY, or the file api-key in Moho's folder, which only its owner may read."""
    if key := secret("MOHO_API_KEY"):
        return key
    path = home() / "api-key"
    if not path.exists():
        return ""
    if path.stat().st_mode & 0o077:
        raise DataError("E_PERM", f"{path} can be read by others", f"chmod 600 {path}")
    return path.read_text().strip()
