"""Which tools a request is offered: those that fit the project's data, the nearest in meaning first.

Nearness is MiniLM's, between the request and the ways people are known to ask for a tool (its `say`) or its own first line. It
only shortens the list; the model chooses. At the end of a request the same nearness, and the words that only few tools are asked for
with, say whether a part of it was left undone.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from moho.agent.registry import Tool, load_tools, way
from moho.agent.voices import phrasings
from moho.settings import home
from moho.store import atomic_write
from moho.survey import KINDS

VECTORS = Path(__file__).parent / "weights" / "phrases.safetensors"
MANY = 7  # tools a small model is offered
FRESH = 5  # of them at least that no step has used
CERTAIN, APART = 0.65, 0.2  # cosine from which a tool is offered alone, and by which all others have to be farther
CLEAR = 0.05  # by which a tool whose data are missing has to be nearer than all others to be offered
BESIDE = 0.05  # by which a tool may be farther from a part of a request than one that has served it, and still be meant
NEAR = 0.4  # cosine between a clause and the tool it asks for
UNPHRASED = 0.1  # added to the cosine of a tool that brings no phrasings: one that brings dozens has a near one among them sooner
RARE = 2  # tools that may share a word by which one of them is meant, however far its phrases are
FEW = 8  # tools that may share a word which still names one of them
ASKS = re.compile(
    r"\W*(?:(?:and|so|but|then|also|until|since) )*(?:what|how|why|which|where|when|who|is|are|does|do|did|was|were|has|have|explain|tell)\b", re.I
)
_AND = re.compile(r"[,;.!]\s+|\?|\s*->\s*|\s+\+\s+|\s+(?:and then|and|then|after that|after this|followed by|next)\s+", re.I)
_WORD = re.compile(r"[a-z][a-z-]*[a-z]", re.I)
_UNITS = frozenset(("hz", "ms", "km", "sec", "seconds", "metres", "degrees", "nt", "mgal"))


def choose(
    request: str, kinds: Mapping[str, str], used: Sequence[str] = (), many: int = MANY, leaving: Collection[str] = (), served: Collection[str] = ()
) -> list[str]:
    """Names of tools for a request, nearest first: those whose data are there, and one of which they are missing where it is clearly the nearest.

    In place of a tool whose data are missing stands the one that makes them of what is there (picks of seismograms). Where none does, it
    stays on offer so that the refusal can say what is missing, unless the request names data of which it takes none; tools used
    already stay, too. `leaving`: phrasings that do not count, for a request that was made of them. `served`: tools whose steps succeeded, all
    of them so far: others are offered only where a part of the request is nearer to them, or nearly so.
    """
    spoken = {kind for name, kind in kinds.items() if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", clauses(request)[0], re.I)}
    for name in sorted(kinds, key=len, reverse=True):
        request = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", request, flags=re.I)
    ranked = rank(request, frozenset(leaving))
    held, tools, named = set(kinds.values()), load_tools(), _named(request)
    names, columns = _nearness(tuple(clauses(request)), frozenset(leaving))
    near = dict(zip(names, columns.max(axis=1).tolist(), strict=True))
    best = max((near[name] for name in ranked if fits(tools[name], held)), default=0.0)
    open_: list[str] = []
    for position, name in enumerate(ranked):
        if fits(tools[name], held):
            open_.append(name)
        elif position < 2 and (made := maker(tools[name], held)):
            open_.append(made)
        elif position < 2 and near[name] > best + CLEAR and (not spoken or _works_on(tools[name], spoken)):
            open_.append(name)
    if spoken and not used:  # who names data wants them worked on
        named_for = [name for name in open_ if _works_on(tools[name], spoken)]
        open_ = named_for if any(a.is_data for name in named_for for a in tools[name].arguments) else open_
    if not used and open_ and near[open_[0]] >= CERTAIN and _apart(open_, request, frozenset(leaving)):
        return open_[:1]
    firsts = [next(name for name in order if name in open_) for order in _by_clause(request, frozenset(leaving))]
    chosen = [*used, *open_[:2], *firsts, *(name for name in open_ if name in named), *open_]
    offered = list(dict.fromkeys(chosen))[: max(many, len(set(used)) + FRESH)]
    if served:
        offered = [name for name in offered if name in used or _wanted_beside(name, served, request, frozenset(leaving))]
    return sorted(offered, key=ranked.index)


def _wanted_beside(name: str, served: Collection[str], request: str, leaving: frozenset[str]) -> bool:
    """Whether a part of the request is as near to this tool as to those that have served it."""
    parts = clauses(request)
    names, near = _nearness(tuple(parts), leaving)
    done = near[[names.index(one) for one in served]].max(axis=0)
    return bool((near[names.index(name)] + BESIDE > done)[1 if len(parts) > 1 else 0 :].any())


def _works_on(tool: Tool, kinds: Collection[str]) -> bool:
    """Whether a tool takes data of one of these classes, or requires none."""
    return any(a.takes(kind) for a in tool.arguments for kind in kinds) or not any(a.is_data and a.required for a in tool.arguments)


def _apart(open_: Sequence[str], request: str, leaving: frozenset[str]) -> bool:
    """Whether the first of these tools is far nearer than the others to the whole request and to each of its clauses."""
    names, near = _nearness(tuple(clauses(request)), leaving)
    own = names.index(open_[0])
    others = near[[names.index(name) for name in open_[1:]]].max(axis=0, initial=-1.0)
    return bool((near[own] > others).all() and near[own].max() >= others.max() + APART)


def fits(tool: Tool, held: set[str]) -> bool:
    """Whether every data set the tool requires is of a class the project holds."""
    return all(any(a.takes(kind) for kind in held) for a in tool.arguments if a.is_data and a.required)


def _named(request: str) -> set[str]:
    """The tools that a word of the request names, which hardly another tool is known by."""
    said = {word for word in _WORD.findall(request.lower()) if 0 < _common()[word] <= RARE}
    return {name for name in load_tools() if said & _words(name)}


def maker(tool: Tool, held: set[str]) -> str:
    """The tool that makes what `tool` lacks of a class that is there; "" where there is none or more than that is lacking."""
    lacking = [a for a in tool.arguments if a.is_data and a.required and not any(a.takes(kind) for kind in held)]
    if len(lacking) != 1:
        return ""
    words = way(lacking[0], [KINDS[kind] for kind in sorted(held) if kind in KINDS])
    named = re.match(r"`(\w+)` (?:makes|takes)", words)
    return named[1] if named and fits(load_tools()[named[1]], held) else ""


def rank(request: str, leaving: frozenset[str] = frozenset()) -> list[str]:
    """All tools, nearest first: by the nearest of its phrases to the whole or to a clause."""
    names, near = _nearness(tuple(clauses(request)), leaving)
    return [names[i] for i in np.lexsort((names, -near.max(axis=1)))]


def _by_clause(request: str, leaving: frozenset[str]) -> list[list[str]]:
    """All tools, nearest first, for each clause."""
    names, near = _nearness(tuple(clauses(request)), leaving)
    return [[names[i] for i in np.lexsort((names, -column))] for column in near.T]


@lru_cache(maxsize=512)
def _nearness(texts: tuple[str, ...], leaving: frozenset[str] = frozenset()) -> tuple[list[str], np.ndarray]:
    """Tools, and (tool, text) the cosine between a text and the nearest of a tool's phrases."""
    from moho.knowledge.embed import embed

    owners, phrases, vectors = _phrases()
    near = vectors @ embed(texts).T
    if leaving:
        near[np.isin(phrases, [_plain(phrase) for phrase in leaving])] = -1.0
    names, first = np.unique(owners, return_index=True)  # the phrases of a tool stand together
    bare = np.array([not load_tools()[name].say for name in names])
    return names.tolist(), np.maximum.reduceat(near, first, axis=0) + UNPHRASED * bare[:, None]


def clauses(conversation: str) -> list[str]:
    """The last two things a person said, whole and in the parts that "then", "and" and commas make of them."""
    lines = [line for line in conversation.split("\n") if line.strip()][-2:] or [conversation]
    parts = [part.strip() for part in re.split(r"[,;.?]\s+|\s+(?:and|then|after that)\s+", lines[-1]) if len(part.split()) > 1]
    return list(dict.fromkeys([*lines, *parts]))[:8]


def undone(request: str, kinds: Mapping[str, str], calls: Sequence[tuple[str, Sequence[str]]]) -> list[tuple[str, str]]:
    """(clause, tool) of each later part of a request that asks for a tool and that no call has served.

    `calls`: tool and names of data, those beside the first being what it was helped with. A clause asks for a tool that is the nearest
    of all and is named by a word that few tools are asked for with; it is served when a call's own words hold that word. Questions,
    and tools that only inspect, draw or look something up, are left to the model.
    """
    plain = request
    for name in sorted(kinds, key=len, reverse=True):
        plain = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", lambda match: "…" * len(match[0]), plain, flags=re.I)
    tools, held, found = load_tools(), set(kinds.values()), []
    helpers = {name.casefold() for _, names in calls for name in names[1:]}
    spent = {word for name, _ in calls for word in _words(name)}
    for start, end in _parts(plain)[1:]:
        clause = re.sub(r"^(?:(?:and|then|also|so) )+", "", request[start:end].strip(), flags=re.I)
        if not clause or ASKS.match(clause) or plain[end : end + 1] == "?" or any(name in clause.casefold() for name in helpers):
            continue
        names, near = _nearness((plain[start:end].replace("…", "").strip(),))
        name = names[int(near[:, 0].argmax())]
        if near.max() < NEAR or tools[name].stage in ("inspect", "plot", "literature") or not fits(tools[name], held):
            continue
        named = {word for word in _WORD.findall(plain[start:end].lower()) if word in _words(name) and _common()[word] <= FEW}
        if named and not named & spent and name not in {one for one, _ in calls}:
            found.append((clause, name))
    return found


def _parts(text: str) -> list[tuple[int, int]]:
    """Start and end of each clause."""
    ends = [(match.start(), match.end()) for match in _AND.finditer(text)]
    return list(zip([0, *(end for _, end in ends)], [*(start for start, _ in ends), len(text)], strict=True))


@cache
def _words(name: str) -> frozenset[str]:
    """The words a tool is known by: its name, the ways people ask for it, its listed choices."""
    tool = load_tools()[name]
    texts = [name.replace("_", " "), *(re.sub(r"\{\w*\}", " ", say) for say in tool.say), *(c for a in tool.arguments for c in a.choices)]
    return frozenset(word for text in texts for word in _WORD.findall(text.lower())) - _UNITS


@cache
def _common() -> Counter[str]:
    """How many tools each word is known by."""
    return Counter(word for name in load_tools() for word in _words(name))


@cache
def _phrases() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(phrase,) owning tools, (phrase,) phrases and their (phrase, 384) vectors: those that come with Moho where they are of just these phrases."""
    owners: list[str] = []
    texts: list[str] = []
    others = phrasings()
    for name, tool in sorted(load_tools().items()):
        phrases = [tool.summary, name.replace("_", " "), *map(_plain, (*tool.say, *others.get(name, ())))]
        owners += [name] * len(phrases)
        texts += phrases
    key = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
    return np.array(owners), np.array(texts), _vectors(texts, key)


def forget() -> None:
    """Look at the registry again: what was read of the tools is kept, and they have changed."""
    for kept in (_words, _common, _phrases, _nearness):
        kept.cache_clear()


def _vectors(texts: Sequence[str], key: str) -> np.ndarray:
    """The vectors that came with Moho, or those that were kept in its folder, or new ones."""
    from safetensors import safe_open

    from moho.knowledge.embed import embed

    for path in (VECTORS, home() / "cache" / f"tools-{key}.safetensors"):
        if path.exists():
            with safe_open(path, "numpy") as held:
                if (held.metadata() or {}).get("phrases") == key:
                    return np.asarray(held.get_tensor("vectors"), np.float32)
    vectors = embed(texts)
    write_vectors(path, vectors, key)
    return vectors


def write_vectors(path: Path, vectors: np.ndarray, key: str) -> None:
    """Keep vectors of phrases under the digest of these."""
    from safetensors.numpy import save

    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, save({"vectors": vectors.astype(np.float16)}, {"phrases": key}), replace=True)


def _plain(say: str) -> str:
    """A phrasing without the braces of its slots."""
    return say.replace("{", "").replace("}", "").replace("_", " ")


def make() -> int:
    """Embed the phrasings of all tools and write the file that comes with Moho; how many there are."""
    _, texts, vectors = _phrases()
    key = hashlib.sha256("\n".join(texts.tolist()).encode()).hexdigest()[:16]
    write_vectors(VECTORS, vectors, key)
    return len(texts)


if __name__ == "__main__":
    print(f"{make()} phrasings embedded")
