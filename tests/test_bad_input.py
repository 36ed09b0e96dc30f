"""Every tool, given data that are broken or of another kind, says so: never another error, never a NaN in a number."""

from __future__ import annotations

import math
import traceback
from pathlib import Path
from typing import Any

import pytest
from broken import dead, holed, single
from made_calls import CALLS, Arguments

from moho.agent.registry import load_tools, prepare
from moho.errors import MohoError, Refusal
from moho.survey import KINDS, Data, Report, noun

ROOT = Path(__file__).resolve().parents[1]
TOOLS = load_tools()
UNTOUCHED = {"event_inspect", "dlis_inspect", "dlis_read"}  # what they take holds no samples to break


def measured(name: str) -> str | None:
    """The first argument of a tool that is data."""
    return next((argument.name for argument in TOOLS[name].arguments if argument.is_data), None)


def raised_here(error: BaseException) -> bool:
    """Whether our own code raised an error, not a library that choked on what it was given."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    return Path(last).resolve().is_relative_to(ROOT)


def outcome(name: str, arguments: Arguments, first: str, how: Any) -> tuple[Data | None, Exception | None]:
    """What a tool makes of its first data broken in this way, or the error it ends in."""
    given = arguments[first]
    try:
        broken = [how(part) for part in given] if isinstance(given, list) else how(given)
        return TOOLS[name].function(**{**arguments, first: broken}), None
    except (MohoError, ValueError) as error:
        return None, error


@pytest.mark.parametrize("how", [holed, dead, single], ids=["NaN everywhere", "zeros", "one sample"])
@pytest.mark.parametrize("name", sorted(name for name in CALLS if measured(name) and name not in UNTOUCHED))
def test_broken_data_end_in_a_reason_or_in_finite_numbers(name: str, how: Any, tmp_path: Path) -> None:
    arguments, first = CALLS[name](tmp_path), measured(name)
    assert first is not None
    result, refused = outcome(name, arguments, first, how)
    if refused is not None:
        assert len(str(refused)) > 20
        assert raised_here(refused)
        return
    assert result is not None
    for quantity in result.facts.values():
        parts = quantity.value if isinstance(quantity.value, list) else [quantity.value]
        assert all(math.isfinite(part) for part in parts if isinstance(part, float)), quantity
    if how is holed and isinstance(result, Report) and TOOLS[name].stage == "inspect":
        assert result.notes  # an inspection tells what is wrong instead of refusing


@pytest.mark.parametrize("name", sorted(name for name in CALLS if measured(name)))
def test_data_of_another_kind_are_refused_with_what_there_is(name: str) -> None:
    argument = TOOLS[name].argument(measured(name) or "")
    other = next((kind for kind in KINDS.values() if not issubclass(kind, argument.kinds)), None)
    if other is None:
        return  # takes anything
    with pytest.raises(Refusal, match=f"the project has none; it holds stranger \\({noun(other)}\\)"):
        prepare(name, {}, {"stranger": other})
