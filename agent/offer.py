"""Which tools a request is offered: those that fit the project's data, the nearest in meaning first.

Nearness is MiniLM's, between the request and the ways people are known to ask for a tool (its `say`) or its own first line. It
only shortens the list; the model chooses.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache

import numpy as np

from moho.agent.registry import Tool, load_tools
from moho.settings import home

MANY = 7  # tools a small model is offered


def choose(request: str, kinds: Mapping[str, str], used: Sequence[str] = (), many: int = MANY) -> list[str]:
    """Names of tools for a request, nearest first: those whose data are there, and the two nearest of all even if theirs are missing.

    A tool whose data are missing stays on offer so that the refusal can say what is missing; tools used already stay, too.
    """
    ranked = rank(request)
    held = set(kinds.values())
    tools = load_tools()
    open_ = [name for position, name in enumerate(ranked) if position < 2 or fits(tools[name], held)]
    chosen = [*dict.fromkeys(used), *(name for name in open_ if name not in used)][:many]
    return sorted(chosen, key=ranked.index)


def fits(tool: Tool, held: set[str]) -> bool:
    """Whether every data set the tool requires is of a class the project holds."""
    return all(any(a.takes(kind) for kind in held) for a in tool.arguments if a.is_data and a.required)


@lru_cache(maxsize=512)
def rank(request: str) -> list[str]:
    """All tools, nearest first."""
    from moho.knowledge.embed import embed

    owners, vectors = _phrases()
    asked = embed(clauses(request))
    nearness = (vectors @ asked.T).max(axis=1)
    best: dict[str, float] = {}
    for owner, near in zip(owners, nearness, strict=True):
        best[owner] = max(best.get(owner, -1.0), float(near))
    return sorted(best, key=lambda name: (-best[name], name))


def clauses(conversation: str) -> list[str]:
    """The last two things a person said, whole and in the parts that "then", "and" and commas make of them."""
    lines = [line for line in conversation.split("\n") if line.strip()][-2:] or [conversation]
    parts = [part.strip() for part in re.split(r"[,;.?]\s+|\s+(?:and|then|after that)\s+", lines[-1]) if len(part.split()) > 1]
    return list(dict.fromkeys([*lines, *parts]))[:8]


@cache
def _phrases() -> tuple[list[str], np.ndarray]:
    """(phrase,) owning tools and (phrase, 384) vectors, kept in Moho's folder under a digest of the phrases."""
    from moho.knowledge.embed import embed

    owners: list[str] = []
    texts: list[str] = []
    for name, tool in sorted(load_tools().items()):
        phrases = [tool.summary, name.replace("_", " "), *(say.replace("{", "").replace("}", "").replace("_", " ") for say in tool.say)]
        owners += [name] * len(phrases)
        texts += phrases
    key = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
    path = home() / "cache" / f"tools-{key}.npy"
    if path.exists():
        vectors = np.load(path, allow_pickle=False)
        if len(vectors) == len(texts):
            return owners, vectors
    vectors = embed(texts)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{id(vectors)}.npy")
    np.save(temporary, vectors)
    temporary.replace(path)
    return owners, vectors
