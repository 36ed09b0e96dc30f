"""Requests written whole by several hands, with the steps and the numbers each asks for: what no template says as people do.

A line of `written/*.jsonl` is `{"say", "data", "steps", "answer", "earlier"}`. `data` gives each data set a letter and its class. A step is a
tool with its data arguments (a letter, or the number of the step that made it) and its listed words; a value stands in `say` as `{1.low}`,
which is argument `low` of step 1, and is drawn and spelled anew each time; a required argument that stands nowhere is what the person forgot.
`{?1.traces}` is what the person believes a number to be. No steps: nothing that a tool could do. `earlier` is the turn before, its steps
counted `e1`, `e2`, and `"low": "=e1"` keeps what its first step took for `low`. Those in `written/kept/` are of other hands and are never trained on.

`python -m moho.rl.written FILE...` says which lines can be played, and why others cannot.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moho.agent.registry import MARK, load_tools
from moho.errors import DataError

if TYPE_CHECKING:
    from moho.rl.instructions import Writer

FOLDER = Path(__file__).parent / "written"
SLOT = re.compile(r"\{(\?)?(?:(e?\d)\.(\w+)|([a-z]))\}")


@dataclass(frozen=True)
class Turn:
    """What was said, and the steps it asks for: (tool, argument -> letter, number of a step, or listed word)."""

    say: str
    steps: Sequence[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Written:
    """A request with what is right for it."""

    turn: Turn
    data: Mapping[str, str]  # letter -> class
    answer: Sequence[str] = ()  # keys like 2.gain_range; those of wrong beliefs are found in what was said
    earlier: Turn | None = None

    @property
    def beliefs(self) -> list[str]:
        """The numbers that the person states: keys like 1.traces."""
        return [f"{step}.{key}" for mark, step, key, _ in SLOT.findall(self.turn.say) if mark]


@cache
def written(kept: bool = False) -> tuple[Written, ...]:
    """All requests that come with Moho; `kept` for those that are never trained on."""
    paths = sorted((FOLDER / "kept" if kept else FOLDER).glob("*.jsonl"))
    return tuple(read(json.loads(line)) for path in paths for line in path.read_text(encoding="utf-8").splitlines() if line.strip())


def read(row: Mapping[str, Any]) -> Written:
    """A line's request; DataError where it names what is not there."""
    try:
        before = row.get("earlier")
        one = Written(_turn(row), dict(row.get("data", {})), tuple(row.get("answer", ())), _turn(before) if before else None)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError("E_FORMAT", f"a written request lacks a part or has one of another kind: {error!r}", str(row)[:200]) from error
    _check(one)
    return one


def _turn(row: Mapping[str, Any]) -> Turn:
    return Turn(str(row["say"]), tuple((step["tool"], {key: value for key, value in step.items() if key != "tool"}) for step in row["steps"]))


def _check(one: Written) -> None:
    """DataError for tools, arguments, letters or steps that do not exist."""
    tools = load_tools()
    for turn, mark in ((one.earlier, "e"), (one.turn, "")):
        for number, (name, arguments) in enumerate(turn.steps if turn else (), 1):
            if name not in tools:
                raise _wrong(one, f"there is no tool {name}")
            known = {argument.name: argument for argument in tools[name].arguments}
            for key, value in arguments.items():
                if key not in known:
                    raise _wrong(one, f"{name} has no argument {key}")
                if known[key].is_data:
                    for part in value if isinstance(value, list) else [value]:
                        if part != MARK and part not in one.data and not _before(str(part), mark, number):
                            raise _wrong(one, f"{key}={part} is neither a letter of its data nor a step before step {number}")
    for _, step, key, letter in SLOT.findall(one.turn.say + (one.earlier.say if one.earlier else "")):
        if letter and letter not in one.data:
            raise _wrong(one, f"{{{letter}}} is no letter of its data")
        if step:
            turn = one.earlier if step[0] == "e" else one.turn
            if turn is None or not 1 <= int(step.lstrip("e")) <= len(turn.steps):
                raise _wrong(one, f"there is no step {step} for {{{step}.{key}}}")
    if re.search(r"[{}]", SLOT.sub("", one.turn.say)):
        raise _wrong(one, f"a slot is not closed or not known in {one.turn.say!r}")


def _before(part: str, mark: str, number: int) -> bool:
    """Whether a data argument names a step that comes before."""
    if mark == "" and part[:1] == "e":
        return part[1:].isdigit()
    return part.removeprefix(mark).isdigit() and part.startswith(mark) and 0 < int(part.removeprefix(mark)) < number


def _wrong(one: Written, why: str) -> DataError:
    return DataError("E_FORMAT", f"a written request cannot be read: {why}", one.turn.say[:120])


def main(paths: Sequence[str], tries: int = 10) -> int:
    """Try every decision of every line several times; 1 where one could never be made."""
    from moho.rl.instructions import Writer

    writer, bad = Writer(5), 0
    for path in paths:
        for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip():
                continue
            try:
                one = read(json.loads(line))
                why = [_unplayed(writer, one, upto, tries) for upto in range(max(1, len(one.turn.steps) + bool(one.answer or one.beliefs)))]
            except (DataError, json.JSONDecodeError) as error:
                why = [str(error)]
            for step, words in enumerate(why, 1):
                bad += bool(words)
                print(f"{path}:{number}: decision {step}: {words}" if words else "", end="\n" if words else "")
    return bool(bad)


def _unplayed(writer: Writer, one: Written, upto: int, tries: int) -> str:
    """Why a decision could not be made in any of the tries; "" where it could in one."""
    for _ in range(tries):
        if writer.play_written(one, upto) is not None:
            return ""
    return f"{writer.why or 'not a reply of the grammar'}: {one.turn.say}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
