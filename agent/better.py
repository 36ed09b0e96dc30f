"""What a person says a reply should have been, as the reply that would have been right; or why nothing can be learned from it.

A correction is a call line, or words that code can follow without guessing: the value said, put into the one argument that can hold it
("that should have been 5 km", "use the RHOB curve", "the other line, line 14"); `?` for an argument Moho should have asked for ("ask me
for the density"); the number that was wanted ("I asked for the pass band"). Whatever comes of it has to be a reply that the grammar of
that situation allows, so that its values stand in the conversation and its tool was on offer. All else only counts as Bad.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from moho.agent import decision
from moho.agent.decisions import Decided
from moho.agent.quantities import candidates, quantities
from moho.agent.registry import MARK, Argument, Tool, find_tool, load_tools
from moho.units import Unit, parse

LONGEST = 2000  # characters of a correction
_TEMPLATE = re.compile(r"<\|[^|]*\|>|\[/?INST\]|</?s>|<<SYS>>")
_RULE = re.compile(
    r"(?<!\w)(?:always|never|every ?time|each time|from now on|in (?:the )?future|henceforth|whenever|by default|ignore|disregard|forget"
    r"|override|pretend|system prompt|you are now|your instructions)(?!\w)",
    re.I,
)
_PLACE = re.compile(r"(?:^|[\s\"'=(,;])(?:~|\.{1,2})?/[\w.~-]|\w:\\|\\\\|\w+://|\$[({]|`|(?<!\w)(?:rm|sudo|curl|wget|chmod)\s")
_CALL = re.compile(r"\s*(\w+)\s*\((.*)\)\s*;?\s*", re.S)
_PAIR = re.compile(r"\s*(\w+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|(\?)|([^,()\"'=]+?))\s*(?:,|$)")
_KEYS = re.compile(r"\s*(?:\d+\.\w+(?:!=\"[^\"]*\")?\s*(?:,\s*|$))+")
_ASK = re.compile(r"(?<!\w)ask(?:ed|ing)?(?: me)?(?: first)?(?: (?:for|about|which|what))? (.+)", re.I | re.S)
_WANTED = re.compile(r"(?<!\w)(?:asked|wanted|want|meant|tell me|give me|show me|answer with|report)(?!\w)", re.I)
_NOT = re.compile(r"(?<!\w)(?:not|instead of|rather than)\s+((?:[^,;.]|\.\d)+)", re.I)


@dataclass(frozen=True)
class Judged:
    """A correction as it can be trained on: the decision it is of and the right reply; or why it cannot."""

    number: int = 0  # 0 where it is of no decision
    reply: str = ""
    refused: str = ""


def judge(better: str, decisions: Sequence[Decided], number: int = 0) -> Judged:
    """The right reply that `better` says, for the decision `number` or the one that it can only be about."""
    if words := suspicious(better):
        return Judged(number, "", words)
    if not decisions:
        return Judged(number, "", "this run holds no decision of the model that could be corrected")
    if number and number > len(decisions):
        return Judged(0, "", f"the run has {len(decisions)} decisions, there is no number {number}")
    looked_at = [one for one in decisions if number in (0, one.number)]
    found: list[tuple[Decided, str]] = []
    reasons: list[str] = []
    called = _CALL.fullmatch(better) and re.match(r"\s*\w+\(", better)
    for one in _nearest(better, looked_at) if called else looked_at:
        reply, reason = line(better, one.situation) if called else worded(better, one)
        reason = reason or fault(one.situation, reply)
        if not reason and meant_alike(reply, one.reply):
            reason = "that is what Moho did"
        if reason:
            reasons.append(reason)
        elif (one.number, reply) not in [(other.number, said) for other, said in found]:
            found.append((one, reply))
    if len(found) == 1 or (found and called):
        return Judged(found[0][0].number, found[0][1])
    if found:
        return Judged(0, "", f"it could be about the decisions {', '.join(str(one.number) for one, _ in found)}: say which with --step")
    return Judged(number, "", min(reasons, key=len) if called else max(set(reasons), key=reasons.count))


def suspicious(text: str) -> str:
    """Why words cannot be a correction of one reply, whoever wrote them; "" where they can."""
    if not text.strip():
        return "it is empty"
    if len(text) > LONGEST:
        return f"it has {len(text)} characters, at most {LONGEST} are read"
    if any(unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs", "Cn") and c not in "\n\t" for c in text) or _TEMPLATE.search(text):
        return "it holds hidden characters or marks of a chat template"
    if _PLACE.search(text):
        return "it names a path, an address or a command, which no reply may hold"
    if rule := _RULE.search(text):
        return f"it is a rule for other requests (“{rule[0]}”), not what this reply should have been"
    return ""


def fault(situation: decision.Situation, reply: str) -> str:
    """Why a reply is none that could have been given in a situation; "" where it could. Checked again before every training."""
    if gone := [name for name in situation.tools if name not in load_tools()]:
        return f"{gone[0]}, which was on offer there, is no longer a tool"
    try:
        chosen = decision.read(reply)
    except ValueError as error:
        return str(error)
    if any(_PLACE.search(value) or _TEMPLATE.search(value) for value in chosen.arguments.values()):
        return "a value is a path, an address or a command"
    if chosen.name in load_tools() and chosen.name not in situation.tools:
        return f"{chosen.name} was not on offer there"
    return "" if allowed(situation, reply) else f"{reply[:80]} is not a reply that this situation allows"


def allowed(situation: decision.Situation, reply: str) -> bool:
    """Whether the grammar of a situation has this reply."""
    return bool(possible(situation, [reply]))


def possible(situation: decision.Situation, replies: Sequence[str]) -> list[str]:
    """Those of the replies that the grammar of a situation has."""
    import xgrammar

    compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo(["x", "</s>"], stop_token_ids=[1]), max_threads=1, cache_enabled=False)
    grammar = compiler.compile_grammar(decision.grammar(situation))
    found = []
    for reply in replies:
        matcher = xgrammar.GrammarMatcher(grammar, terminate_without_stop_token=True)
        if reply and matcher.accept_string(reply) and matcher.is_completed():
            found.append(reply)
    return found


def meant_alike(one: str, other: str) -> bool:
    """Whether two replies are the same decision."""
    try:
        a, b = decision.read(one), decision.read(other)
    except ValueError:
        return False
    return a.name == b.name and dict(a.arguments) == dict(b.arguments) and set(a.keys) == set(b.keys)


def line(text: str, situation: decision.Situation) -> tuple[str, str]:
    """(A call line as the model would write it here, "") or ("", why it is none)."""
    match = _CALL.fullmatch(text)
    assert match is not None
    name, inside = match[1], match[2].strip()
    if name == "refuse" and not inside:
        return "refuse()", ""
    if name == "answer":
        if not _KEYS.fullmatch(inside):
            return "", f"answer({inside[:40]}) names no results like 1.traces"
        return decision.write_answer([part.strip() for part in re.findall(r'\d+\.\w+(?:!="[^"]*")?', inside)]), ""
    if name not in load_tools():
        return "", f"there is no tool {name!r}"
    if name not in situation.tools:
        return "", f"{name} was not on offer there"
    tool, arguments, place = find_tool(name), dict[str, str](), 0
    while place < len(inside):
        if (pair := _PAIR.match(inside, place)) is None:
            return "", f'{inside[place : place + 40]!r} is no argument like low="5 Hz"'
        key = pair[1]
        value = next(v for v in pair.groups()[1:] if v is not None)
        place = pair.end()
        if key not in {a.name for a in tool.arguments}:
            return "", f"{name} has no argument {key}"
        said = value if value == MARK else _as_said(tool.argument(key), value.strip(), situation)
        if not said:
            return "", f"{key}={value.strip()} stands nowhere in the conversation"
        arguments[key] = said
    return decision.write_call(name, {a.name: arguments.get(a.name) for a in tool.arguments}), ""


def worded(text: str, one: Decided) -> tuple[str, str]:
    """(What a correction in words makes of a reply, "") or ("", why that cannot be told)."""
    vague = "what the right reply is cannot be told from it"
    if one.reply.startswith("answer("):
        keys = _wanted(text, one.situation)
        return (decision.write_answer(keys), "") if keys else ("", vague)
    chosen = decision.read(one.reply)
    if chosen.name not in load_tools():
        return "", vague
    tool = find_tool(chosen.name)
    if re.search(r"(?:n't|(?<!\w)not|no need to)(?: have)? (?:to )?ask", text, re.I):
        return "", vague
    if (asked := _ASK.search(text)) and not re.search(r"(?<!\w)(?:I|we)(?:'d| had| have)? asked", text, re.I):
        named = [a for a in _named(tool, asked[1]) if a.required]
        if len(named) != 1:
            return "", f"which argument of {tool.name} to ask for cannot be told from it"
        return _rewritten(tool, chosen.arguments, {named[0].name: MARK}), ""
    changes: dict[str, str] = {}
    for found in (_value(tool, text, one), _listed(tool, text), _data(tool, text, one.situation), _word(tool, text, one.situation)):
        if found is None:
            return "", _nowhere(text, one.situation) or f"which argument of {tool.name} it is about cannot be told from it"
        changes |= found
    if changes and all(chosen.arguments.get(name) == value for name, value in changes.items()):
        return one.reply, ""
    changes = {name: value for name, value in changes.items() if chosen.arguments.get(name) != value}
    if not changes:
        return "", _nowhere(text, one.situation) or vague
    if len(changes) > 1 and set(changes) != {"low", "high"}:
        return "", f"it changes {', '.join(changes)} at once: give the whole call"
    return _rewritten(tool, chosen.arguments, changes), ""


def _nearest(text: str, decisions: Sequence[Decided]) -> list[Decided]:
    """The decisions a call line can be about, the likeliest first: of the same tool; answers last; a refusal of the first."""
    name = text.strip().partition("(")[0].strip()
    same = [one for one in decisions if one.reply.partition("(")[0] == name]
    if name == "answer":
        return [decisions[-1]]
    if name == "refuse":
        return [decisions[0]]
    calls = [one for one in decisions if not one.reply.startswith("answer(")] or list(decisions[:1])
    return same or calls[:1]


def _rewritten(tool: Tool, before: Mapping[str, str], changes: Mapping[str, str]) -> str:
    after = {**before, **changes}
    return decision.write_call(tool.name, {a.name: after.get(a.name) for a in tool.arguments})


def _as_said(argument: Argument, value: str, situation: decision.Situation) -> str:
    """`value` as the model could copy it from the conversation; "" where it stands nowhere there."""
    if argument.many and "," in value:
        parts = [_as_said(argument, part.strip(), situation) for part in value.split(",")]
        return ", ".join(parts) if all(parts) else ""
    if argument.is_data:
        return next((name for name in situation.catalogue if name.casefold() == value.casefold()), "")
    offered = candidates(situation.text, argument)
    if exact := next((one for one in offered if one.casefold() == value.casefold()), ""):
        return exact
    if argument.unit is None or argument.choices:
        return ""
    unit = Unit(argument.unit.symbol)
    try:
        number = parse(value, unit)
    except ValueError:
        return ""
    return next((one for one in offered if abs(parse(one, unit) - number) <= 1e-6 * max(1e-9, abs(number))), "")


def _named(tool: Tool, words: str) -> list[Argument]:
    """The arguments of a tool that words name, by their name or the field's word for them."""
    text = words.lower()
    return [a for a in tool.arguments if any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in _names(a))]


def _names(argument: Argument) -> Iterator[str]:
    yield argument.name.replace("_", " ").lower()
    yield argument.label.lower()
    if argument.is_data:
        yield from (kind.__name__.lower() for kind in argument.kinds)


def _fitting(tool: Tool, quantity: str) -> list[Argument]:
    """The arguments that could hold a quantity, those of its own unit where it has one."""
    return [a for a in tool.arguments if a.unit is not None and not a.choices and not a.many and candidates(quantity, a)]


def _value(tool: Tool, text: str, one: Decided) -> dict[str, str] | None:
    """The argument that a number said belongs to; {} where none was said, None where it cannot be told."""
    plain = text
    for name in sorted(one.situation.catalogue, key=len, reverse=True):
        plain = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", plain, flags=re.I)
    wrong = [quantity for part in _NOT.findall(plain) for quantity in quantities(part)]
    said = [quantity for quantity in quantities(_NOT.sub(" ", plain)) if quantity not in wrong]
    before = decision.read(one.reply).arguments
    if len(said) == 2 and {"low", "high"} <= set(before):
        low, high = (_as_said(tool.argument(name), value, one.situation) for name, value in zip(("low", "high"), said, strict=True))
        return {"low": low, "high": high} if low and high else None
    if len(said) != 1:
        return {} if not said else None
    fitting = _fitting(tool, said[0])
    named = [a for a in _named(tool, text) if a in fitting]  # "the high cut" may be `high` or `high_cut`: then it is neither
    number = said[0].partition(" ")[0]
    ways = [
        [a for a in fitting if before.get(a.name) in wrong],
        fitting,
        [a for a in fitting if a.name in before],
        [a for a in fitting if before.get(a.name, "").partition(" ")[0] == number or before.get(a.name) == MARK],
    ]
    meant = next((way[0] for way in ([named] if named else ways) if len(way) == 1), None)
    if meant is None:
        return None
    value = _as_said(meant, said[0], one.situation)
    return {meant.name: value} if value else {}


def _listed(tool: Tool, text: str) -> dict[str, str] | None:
    """The argument one of whose listed words was said."""
    plain = _NOT.sub(" ", text)
    found = {
        a.name: choice
        for a in tool.arguments
        for choice in a.choices
        if not a.flag and len(choice) > 2 and re.search(rf"(?<!\w){re.escape(choice)}(?!\w)", plain, re.I)
    }
    return found if len(found) < 2 else None


def _data(tool: Tool, text: str, situation: decision.Situation) -> dict[str, str] | None:
    """The argument that a data set named in the correction belongs to."""
    plain, found = _NOT.sub(" ", text), list[str]()
    for name in sorted(situation.catalogue, key=len, reverse=True):
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", plain, re.I):
            found.append(name)
            plain = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", plain, flags=re.I)
    if not found:
        return {}
    fitting = [a for a in tool.arguments if a.is_data and a.takes(situation.catalogue[found[0]])]
    named = [a for a in _named(tool, plain) if a in fitting] if len(fitting) > 1 else fitting
    return {named[0].name: found[0]} if len(found) == 1 and len(named) == 1 else None


def _word(tool: Tool, text: str, situation: decision.Situation) -> dict[str, str] | None:
    """The argument of free words that a code or mnemonic in the correction belongs to: RHOB, HHZ, P."""
    free = [a for a in tool.arguments if a.unit is None and not a.choices and not a.is_data and a.label != "question"]
    words = re.findall(r"(?<!\w)[A-Z][A-Z0-9_.-]*\w|(?<!\w)\w*\d\w*[A-Za-z]\w*", _NOT.sub(" ", text))
    there = set(re.findall(r"[\w.-]*\w", situation.text))
    units = {quantity.rpartition(" ")[2] for quantity in quantities(text)}
    said = [word for word in dict.fromkeys(words) if word in there and word not in units and word not in situation.catalogue]
    if not said or not free:
        return {}
    named = [a for a in free if a in _named(tool, text)] if len(free) > 1 else free
    return {named[0].name: said[0]} if len(said) == 1 and len(named) == 1 else None


def _wanted(text: str, situation: decision.Situation) -> list[str]:
    """The keys of the numbers that a correction of an answer asks for by their labels."""
    if not _WANTED.search(text):
        return []
    found, plain = [], text.lower()
    facts = [(f"{step.id}.{key}", key, q.label) for step in situation.done for key, q in step.facts.items()]
    every = {(whole, words) for whole, key, label in facts for words in (label or key, key.replace("_", " "))}
    for key, label in sorted(every, key=lambda pair: (-len(pair[1]), pair)):
        match = re.search(rf"(?<!\w){re.escape(label.lower())}(?!\w)", plain)
        if match:
            found.append((match.start(), key))
            plain = plain[: match.start()] + "…" * len(match[0]) + plain[match.end() :]
    return [key for _, key in sorted(found)]


def _nowhere(text: str, situation: decision.Situation) -> str:
    """The quantity of a correction that stands nowhere in the conversation, in words."""
    there = set(quantities(situation.text))
    absent = [quantity for quantity in quantities(_NOT.sub(" ", text)) if quantity not in there]
    return f"{absent[0]} stands nowhere in the conversation" if absent else ""
