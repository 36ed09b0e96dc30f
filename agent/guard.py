"""What stands between a model's call and its execution: whose numbers these are, what it costs, who has to approve.

Units, bounds and names are checked by `registry.prepare`; physics by the tools themselves, which raise `Refusal`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moho.agent.quantities import said
from moho.agent.registry import MARK, Argument, Call, Cost, find_tool, question
from moho.errors import Missing, Refusal
from moho.units import Quantity, Unit, convert, parse, split


@dataclass(frozen=True)
class Budget:
    """What one request may use before a person is asked, or at all."""

    steps: int = 25
    minutes: float = 15.0
    approve_seconds: float = 60.0
    approve_disk: float = 4 * 2.0**30  # bytes of a result
    memory_share: float = 0.6  # of what is free


def provenance(name: str, written: Mapping[str, Any], conversation: str, known: Sequence[Quantity]) -> tuple[dict[str, Any], list[str]]:
    """The arguments without numbers that nobody gave, and notes on what was left out.

    A number must stand in what the person said (in any unit) or be a result of an earlier step. An optional one that does not is
    dropped, so that the tool's stated default holds; for a required one the person is asked (Missing). A number said once is the value
    of one argument: a second, optional one that takes it again is dropped too.
    """
    tool = find_tool(name)
    by_name = {argument.name: argument for argument in tool.arguments}
    kept: dict[str, Any] = {}
    notes: list[str] = []
    for key, value in written.items():
        argument = by_name.get(key)
        if argument is None or argument.unit is None or value is None or value == MARK:
            kept[key] = value
            continue
        parts = value if isinstance(value, (list, tuple)) else split(str(value)) if argument.many else [value]
        if all(said(str(part), conversation, argument) or _measured(part, argument.unit, known) for part in parts):
            if argument.required or not _spent(str(value), kept, by_name, conversation):
                kept[key] = value
            else:
                notes.append(f"{key} {value} was said once and is the value of another argument; {key} is left at its default")
        elif argument.required:
            raise Missing(key, question(tool, argument))
        else:
            instead = "it is left out" if argument.default is None else f"the default {argument.default} is used"
            notes.append(f"{key} {value} was not given by the person; {instead}")
    return kept, notes


def _spent(value: str, kept: Mapping[str, Any], by_name: Mapping[str, Argument], conversation: str) -> bool:
    """Whether earlier arguments of the call have taken this value as often as it was said."""
    taken = sum(str(other) == value and by_name[key].unit is not None for key, other in kept.items() if key in by_name)
    digits = value.partition(" ")[0]
    return bool(taken) and taken >= len(re.findall(rf"(?<![\w.]){re.escape(digits)}(?![\w]*\d|\.\d)", conversation))


def _measured(value: Any, unit: Unit, known: Sequence[Quantity]) -> bool:
    """Whether a tool has returned this number, in the argument's unit or in one that becomes it."""
    try:
        number = parse(value, Unit(unit.symbol))
    except ValueError:
        return True  # prepare says what is wrong with it
    return any(abs(number - other) <= 5e-3 * abs(other) for quantity in known for other in (quantity.value, _converted(quantity, unit)))


def _converted(quantity: Quantity, unit: Unit) -> float:
    try:
        return float(convert(quantity.value, quantity.unit, unit.symbol))
    except ValueError:
        return float(quantity.value)


def afford(call: Call, cost: Cost, budget: Budget, free: float) -> str:
    """What has to be approved about this call, "" for nothing; Refusal when it does not fit the memory that is free (bytes)."""
    if cost.bytes > budget.memory_share * free:
        raise Refusal(
            "E_BUDGET", f"{call.tool} would need {cost.bytes / 2**30:.1f} GiB and {free / 2**30:.1f} GiB is free.", "Use larger cells or less data."
        )
    if cost.seconds > budget.approve_seconds or cost.disk > budget.approve_disk:
        words = f", and to write {cost.disk / 2**30:.2f} GiB" if cost.disk else ""
        return f"{call.tool} is estimated to take {cost.seconds:.0f} s and {cost.bytes / 2**20:.0f} MiB{words}"
    return ""


def free_memory() -> float:
    """Bytes that a new array may take without swapping; infinite where the system does not say."""
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return float(line.split()[1]) * 1024
    except OSError:
        pass
    return float("inf")


def fingerprint(call: Call) -> str:
    """A digest of tool and arguments: an approval holds for exactly these."""
    return hashlib.sha256(json.dumps([call.tool, call.arguments], sort_keys=True, default=str).encode()).hexdigest()[:16]
