"""The calls a model writes, heard as it replies and compared with those of a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import LLMResult

from moho.agent.registry import MARK, load_tools
from moho.units import Unit, parse, split


class Listener(BaseCallbackHandler):
    """Hears what a model replies: the calls it writes, and the tokens where it tells them."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.read = self.written = 0

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        for generation in (one for several in response.generations for one in several):
            reply = getattr(generation, "message", None)
            if isinstance(reply, AIMessage):
                self.calls += [(call["name"], dict(call["args"])) for call in reply.tool_calls]
                used = reply.usage_metadata
                if used:
                    self.read, self.written = self.read + used["input_tokens"], self.written + used["output_tokens"]


Calls = Sequence[tuple[str, Mapping[str, Any]]]  # (tool, arguments)


def either(written: Calls, carried: Calls, kinds: Mapping[str, str]) -> Calls:
    """The calls that were carried out, and those a model wrote besides: code completes what a follow-up leaves out, and a question has no step."""
    tools = load_tools()
    done = [(name, canonical(name, arguments, kinds)) for name, arguments in carried]
    return [*carried, *(one for one in written if one[0] in tools and (one[0], canonical(*one, kinds)) not in done)]


def compared(script: Calls, calls: Calls, kinds: Mapping[str, str]) -> tuple[int, int]:
    """How many calls of a script have a call of their own of the same tool, and how many one with the same arguments. `kinds` of the inputs."""
    tools = load_tools()
    left = [(name, canonical(name, arguments, kinds)) for name, arguments in calls if name in tools]
    matched = exact = 0
    wanted = [(name, canonical(name, arguments, kinds)) for name, arguments in script]
    for one in [one for one in wanted if one in left]:
        if one in left:
            left.remove(one)
            wanted.remove(one)
            matched, exact = matched + 1, exact + 1
    for name, _ in wanted:
        if (place := next((i for i, (other, _) in enumerate(left) if other == name), None)) is not None:
            left.pop(place)
            matched += 1
    return matched, exact


def canonical(name: str, written: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    """Arguments so that those which mean the same are equal: numbers in the argument's unit, defaults filled in, the only data set named.

    >>> canonical("bandpass", {"low": "5 Hz", "high": "0.06 kHz"}, {"line 12": "Seismic"}) == canonical(
    ...     "bandpass", {"line": "Line 12", "low": 5, "high": "60"}, {"line 12": "Seismic"})
    True
    """
    found: dict[str, Any] = {}
    for argument in load_tools()[name].arguments:
        value = written.get(argument.name)
        absent = value in (None, "", MARK)
        if argument.is_data and absent:
            fitting = [held for held, kind in kinds.items() if argument.takes(kind)]
            value = fitting if argument.required and (argument.many or len(fitting) == 1) else value if argument.required else None
        elif absent:
            value = MARK if argument.required else argument.default
        parts = value if isinstance(value, (list, tuple)) else split(str(value)) if argument.many and value not in (None, MARK) else [value]
        found[argument.name] = [_plain(part, argument.unit) for part in parts]
    return found


def _plain(value: Any, unit: Unit | None) -> Any:
    """A number in `unit` to seven digits, or words without their capitals."""
    try:
        return float(f"{parse(value, Unit(unit.symbol)):.7g}") if unit is not None and value is not None else str(value).strip().casefold()
    except ValueError:
        return str(value).strip().casefold()
