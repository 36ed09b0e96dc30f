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
    show: Annotated[bool, typer.Option("--show/--no-show", help="Print what the model did where it failed.")] = True,
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
    result: dict[str, Any] = {"schema_version": 1, "model": model, "files": [path.name for path in files], "plays": plays} | scoring.table(scored)
    if as_json:
        print(json.dumps(result))
        return
    for group, score in result["scores"].items():
        print(f"{group:<28} " + "  ".join(f"{key} {value}" for key, value in score.items()))
    print(f"invented numbers {result['invented_numbers']}, median seconds {result['median_seconds']}")


@evaluate.command("retrieval")
def retrieval(
    paths: Annotated[list[Path] | None, typer.Argument(help="Collections (folders) and questions (JSON lines); tests/questions/dev.jsonl.")] = None,
    read: Annotated[bool, typer.Option("--read/--no-read", help="Read the best passages again by their tokens.")] = True,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Score the literature index: nDCG@10 on collections with judgements, and what comes of questions about the handbook."""
    import json

    from moho.knowledge import evaluate as scoring
    from moho.knowledge.library import folder, retriever

    for path in paths or [Path("tests/questions/dev.jsonl")]:
        if path.is_dir():
            result = scoring.score(scoring.load(path), read=read)
            rows = {"nDCG@10": {"share": result["ndcg@10"], "n": result["queries"], "interval": result["interval"]}}
        else:
            rows = scoring.table(scoring.ask(retriever(folder()), scoring.questions(path)))
            result = {"questions": path.name, "scores": rows}
        if as_json:
            print(json.dumps({"schema_version": 1} | result))
            continue
        print(path.name)
        for name, row in rows.items():
            print(f"  {name:<40} {row['share']:.3f}  ({row['interval'][0]:.3f} to {row['interval'][1]:.3f}, n = {row['n']})")


@train.command("reader")
def reader(out: Annotated[Path, typer.Option("--out", help="Folder for the weights and their card.")] = Path("trained/reader")) -> None:
    """Train the reader that orders the best passages of the literature index."""
    from moho.knowledge import reader as reading

    reading.train(reading.data(), reading.Settings(), out)


@train.command("sft")
def sft(
    preset: Annotated[str, typer.Option("--preset", help="micro | tiny | base")] = "tiny",
    out: Annotated[Path, typer.Option("--out", help="Folder for the adapter and its card.")] = Path("trained/embedded"),
    seed: Annotated[int | None, typer.Option("--seed")] = None,
    held_out: Annotated[list[Path] | None, typer.Option("--held-out", help="Requests that no training request may resemble.")] = None,
) -> None:
    """Instruction-tune the embedded model on data made from the registry; needs the extra `train`."""
    from dataclasses import replace
    from importlib.util import find_spec

    from moho.errors import DataError
    from moho.rl import evaluate as scoring

    if find_spec("trl") is None:
        raise DataError("E_NOT_FOUND", "training needs trl", "pip install 'moho[train]'")
    from moho.rl.sft import PRESETS
    from moho.rl.sft import train as run

    if preset not in PRESETS:
        raise typer.BadParameter(f"presets are {', '.join(PRESETS)}")
    settings = PRESETS[preset] if seed is None else replace(PRESETS[preset], seed=seed)
    files = held_out or sorted(Path("tests/requests").glob("*.jsonl"))
    requests_ = [turn["request"] for path in files for row in scoring.load(path) for turn in row["turns"]]
    made = run(settings, out, requests_)
    print(f"{out}: {made['steps']} steps, loss {made['loss_first_last']}, {made['minutes']} minutes")


@evaluate.command("decisions")
def decisions(
    model: Annotated[str, typer.Option("--model", help="embedded | embedded:base | embedded:FOLDER")] = "embedded",
    count: Annotated[int, typer.Option("--count", help="Decisions to score.")] = 200,
    seed: Annotated[int, typer.Option("--seed")] = 4242,
    held_out: Annotated[bool, typer.Option("--held-out/--seen", help="Phrasings that were never trained on.")] = True,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Score single decisions, made from phrasings of the tools that no training has seen."""
    import json

    from moho.agent.embedded import embedded
    from moho.errors import DataError
    from moho.rl.instructions import Writer
    from moho.rl.sft import measure

    scheme, _, variant = model.partition(":")
    if scheme != "embedded":
        raise DataError("E_UNSUPPORTED", f"decisions are scored for the embedded model, not {model!r}")
    result = measure(embedded(variant), list(Writer(seed, held_out=held_out).examples(count)))
    if as_json:
        print(json.dumps({"schema_version": 1, "model": model} | result))
        return
    for row in result["wrong"]:
        print(f"{row['request']}\n    wanted {row['wanted']}\n    got    {row['got']}", file=sys.stderr)
    for group, score in result["scores"].items():
        print(f"{group:<12} " + "  ".join(f"{key} {value}" for key, value in score.items()))
