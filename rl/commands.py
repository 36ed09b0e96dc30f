"""The commands that learning adds to `moho`: evaluate and train. Imports stay inside, so that `moho --help` is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

evaluate = typer.Typer(no_args_is_help=True, help="Score models.")
train = typer.Typer(no_args_is_help=True, help="Train models.")


@evaluate.callback()
def _evaluate() -> None:
    """Score models."""


@train.callback()
def _train() -> None:
    """Train models."""


@evaluate.command("requests")
def requests(
    file: Annotated[list[Path] | None, typer.Argument(help="JSON lines of requests; the development set by default.")] = None,
    model: Annotated[str, typer.Option("--model", help="embedded | embedded:base | perfect | hf:... | openai:...")] = "embedded",
    plays: Annotated[int, typer.Option("--plays", help="Times each request is played, for pass^n.", min=1)] = 3,
    limit: Annotated[int, typer.Option("--limit", help="Only the first so many.")] = 0,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    show: Annotated[bool, typer.Option("--show", help="Print what the model did where it failed.")] = True,
) -> None:
    """Play requests through the whole agent and check what came of them."""
    import json

    from moho.agent.model import make
    from moho.errors import DataError
    from moho.rl import evaluate as scoring

    files = file or [Path("tests/requests/dev.jsonl")]
    missing = [str(path) for path in files if not path.exists()]
    if missing:
        raise DataError("E_NOT_FOUND", f"no requests at {', '.join(missing)}", "Name a file, or run from a checkout.")
    rows = [row for path in files for row in scoring.load(path)]
    rows = rows[:limit] if limit else rows
    chat: Any = None if model == "perfect" else make(model)

    def tell(one: Any) -> None:
        if not one.passed and show:
            print(f"FAILED {one.id} ({one.kind}): {one.why}\n    " + "\n    ".join(one.replies), file=sys.stderr)

    scored = [scoring.evaluate(rows, lambda row: scoring.perfect(row) if chat is None else chat, tell) for _ in range(plays)]
    result = {"schema_version": 1, "model": model, "files": [path.name for path in files], "plays": plays} | scoring.table(scored)
    if as_json:
        print(json.dumps(result))
        return
    for group, score in result["scores"].items():
        print(f"{group:<28} " + "  ".join(f"{key} {value}" for key, value in score.items()))
    print(f"invented numbers {result['invented_numbers']}, median seconds {result['median_seconds']}")
