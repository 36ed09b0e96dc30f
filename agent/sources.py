"""The literature in a conversation: which part of a request asks for it, and an answer held to the passages it names.

A question about method, or one that wants a source, goes to `ask_literature` by code, whatever the model; the embedded model
then says what was quoted and no more, a larger one may write over the passages and is checked (`moho.knowledge.cite`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from moho.agent.quantities import quantities
from moho.project import StepRecord
from moho.units import unit_of

if TYPE_CHECKING:
    from moho.knowledge.cite import Evidence, Verified

TOOL = "ask_literature"
_CITING = re.compile(
    r"\b(?:cite|citing|citations?|quote|quoting|quotations?|literature|papers?|handbook|textbooks?|publications?|published"
    r"|references? (?:for|on|to|about)|with (?:a )?references?|which (?:source|study|author)|who (?:says|wrote|showed))\b",
    re.I,
)
_DISAGREE = re.compile(r"\b(?:contradict\w*|disagree\w*|conflicting|opposing views)\b", re.I)
_METHOD = re.compile(
    r"^(?:(?:and|but|so|ok|hi|hello|please|can you|could you|tell me)\W+)*(?:explain (?:why|how|what)"
    r"|why (?:do|does|is|are|should|must|can|can't|would)"
    r"|what (?:does|do) (?:a|an|the) .{3,60} (?:do|mean|assume)|what (?:is|are) (?:a|an) |what is the (?:difference|meaning|purpose|idea)"
    r"|what are the (?:assumptions|limits|limitations|pitfalls|drawbacks)|how does (?:a|an|the) |when (?:should|would|must) (?:I|one|you|we) )",
    re.I,
)
_POINTING = re.compile(r"\b(?:this|these|that|my|our|here|it|its|mine)\b|\bthe (?:line|file|data|record|well|map|grid|section|survey)s?\b", re.I)
_END = re.compile(r"(?<=[.?!;])\s+|;\s*|,?\s+(?:and|then) (?=(?:what|which|quote|cite|why)\b)", re.I)
_BARE = 4  # words up to which a sentence that asks for a citation belongs to the one before


def asked(request: str, names: Iterable[str]) -> tuple[str, str]:
    """(what is asked of the literature, what else is asked), each "" where there is none.

    >>> asked("Why does post-stack impedance inversion need a low-frequency model? Cite.", [])
    ('Why does post-stack impedance inversion need a low-frequency model?', '')
    >>> asked("Filter line 12 to 5-60 Hz; what does the literature say about the low-frequency model?", ["line 12"])
    ('what does the literature say about the low-frequency model?', 'Filter line 12 to 5-60 Hz')
    """
    held = [re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.I) for name in names]
    literature: list[str] = []
    rest: list[str] = []
    for part in (part.strip() for part in _END.split(request) if part and part.strip()):
        citing = bool(_CITING.search(part) or _DISAGREE.search(part))
        if citing and len(part.split()) <= _BARE and (literature or rest):
            if not literature:
                literature.append(rest.pop())
            continue
        named = any(pattern.search(part) for pattern in held)
        plain = not named and not _POINTING.search(part) and not any(unit_of(q) for q in quantities(part))
        (literature if citing or (plain and _METHOD.match(part)) else rest).append(part)
    return " ".join(literature), " ".join(rest)


def tool(question: str) -> str:
    """The tool that serves a question to the literature."""
    return "find_contradictions" if _DISAGREE.search(question) else TOOL


def is_literature(step: StepRecord) -> bool:
    """Whether a step brought passages."""
    return "citations" in step.result


def check(text: str, steps: Sequence[StepRecord], whole: bool) -> Verified:
    """`text` held to the passages of the steps; where not the whole answer is from the literature, only sentences that name one."""
    from moho.knowledge.cite import verify

    return verify(text, _evidence(steps), whole)


def citations(text: str, steps: Sequence[StepRecord]) -> list[dict[str, Any]]:
    """The passages that an answer names, as `moho ask --json` prints them, in the order of their first mention."""
    found: dict[str, Mapping[str, Any]] = {c["key"]: c for step in steps for c in step.result.get("citations", [])}
    order = {key: text.find(key) for key in found if re.search(rf"\[[^\]]*\b{key}\b[^\]]*\]", text)}
    return [dict(found[key]) for key in sorted(order, key=lambda key: order[key])]


def _evidence(steps: Sequence[StepRecord]) -> list[Evidence]:
    from moho.knowledge.cite import Evidence

    return [Evidence(c["key"], c["quote"], c["title"], c["where"], c["source"], 0) for step in steps for c in step.result.get("citations", [])]
