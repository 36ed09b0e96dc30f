"""The commands that learning adds to `moho`: evaluate and train. Imports stay inside, so that `moho --help` is quick."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

evaluate = typer.Typer(no_args_is_help=True, help="Score models.")
train = typer.Typer(no_args_is_help=True, help="Train models.")

Preset = Annotated[str, typer.Option("--preset", help="micro | tiny | base")]
Out = Annotated[Path, typer.Option("--out", help="Folder for what is trained and its card.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Another than the preset's.")]
Minutes = Annotated[float | None, typer.Option("--minutes", help="Stop training after so many, other than the preset's.")]


@evaluate.callback()
def _evaluate() -> None:
    """Score models."""


@train.callback()
def _train() -> None:
    """Train models."""


@evaluate.command("requests")
def requests(
    file: Annotated[list[Path] | None, typer.Argument(help="JSON lines of requests; the development set by default.")] = None,
    model: Annotated[str, typer.Option("--model", help="embedded | embedded:base | embedded:FOLDER | perfect | hf:... | openai:...")] = "embedded",
    plays: Annotated[int, typer.Option("--plays", help="Times each request is played, for pass^n.", min=1)] = 3,
    limit: Annotated[int, typer.Option("--limit", help="Only the first so many.")] = 0,
    only: Annotated[list[str] | None, typer.Option("--only", help="Only the request of this id; again for more.")] = None,
    part: Annotated[str, typer.Option("--part", help="Only every n-th from the i-th, as i/n, to split over processes.")] = "1/1",
    out: Annotated[Path | None, typer.Option("--out", help="JSON lines where each play is kept at once; what they hold is not played again.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write tables and failures as a page.")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    show: Annotated[bool, typer.Option("--show/--no-show", help="Print what the model did where it failed.")] = True,
) -> None:
    """Play requests through the whole agent and check what came of them."""
    import json

    from moho.agent.model import make
    from moho.errors import DataError
    from moho.rl import evaluate as scoring
    from moho.rl import scores

    files = file or [Path("tests/requests/dev.jsonl")]
    missing = [str(path) for path in files if not path.exists()]
    if missing:
        raise DataError("E_NOT_FOUND", f"no requests at {', '.join(missing)}", "Name a file, or run from a checkout.")
    rows = scoring.chosen([row for path in files for row in scoring.load(path)], only or (), part)
    rows = rows[:limit] if limit else rows
    chat: Any = None if model == "perfect" else make(model)
    card = scoring.identity(model)
    kept = scores.Kept(out, card)

    def tell(one: Any) -> None:
        if not one.passed and show:
            print(f"FAILED {one.id} ({one.kind}): {one.why}\n    " + "\n    ".join(one.replies), file=sys.stderr)

    scored = [scoring.evaluate(rows, lambda row: scoring.perfect(row) if chat is None else chat, tell, kept, number) for number in range(plays)]
    made: dict[str, Any] = {"schema_version": 1, "model": model, "card": card, "files": [path.name for path in files], "plays": plays}
    result = made | scores.table(scored)
    if html:
        from moho.rl import report

        html.write_text(report.page(result, scored, rows), encoding="utf-8")
    print(json.dumps(result) if as_json else "\n".join(scores.words(result)))


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


@train.command("judge")
def judge(out: Annotated[Path, typer.Option("--out", help="Folder for the weights and their card.")] = Path("trained/judge")) -> None:
    """Train the judge of whether a sentence answers a question."""
    from moho.knowledge import examples
    from moho.knowledge import judge as judging

    judging.train(examples.examples(), judging.Settings(), out)


@train.command("sft")
def sft(
    preset: Preset = "tiny",
    base: Annotated[str, typer.Option("--base", help="embedded | PATH_OR_ID of a llama on disk: the model that is adapted.")] = "embedded",
    out: Out = Path("trained/embedded"),
    seed: Seed = None,
    minutes: Minutes = None,
    held_out: Annotated[list[Path] | None, typer.Option("--held-out", help="Requests that no training request may resemble.")] = None,
) -> None:
    """Instruction-tune a model on data made from the registry; needs the extra `train`."""
    _training()
    from accelerate import PartialState

    from moho.rl import evaluate as scoring
    from moho.rl import sft as tuning

    settings = tuning.on(_settings(tuning.PRESETS, preset, seed, minutes), base)
    files = held_out or sorted(Path("tests/requests").glob("*.jsonl"))
    requests_ = [turn["request"] for path in files for row in scoring.load(path) for turn in row["turns"]]
    made = tuning.train(settings, out, requests_)
    if PartialState().is_main_process:  # of several under `accelerate launch`
        print(f"{out}: {made['steps']} steps, loss {made['loss_first_last']}, {made['minutes']} minutes")


@train.command("reward")
def reward(
    preset: Preset = "tiny",
    out: Out = Path("trained/reward"),
    seed: Seed = None,
    minutes: Minutes = None,
    feedback: Annotated[bool, typer.Option("--feedback", help="Learn from what people corrected, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Train a judge of replies on made choices and, with --feedback, on people's; needs the extra `train`."""
    import json

    _training()
    from moho.agent import models
    from moho.agent.feedback import Feedback
    from moho.rl import contrasts, loop
    from moho.rl import reward as judging
    from moho.rl.feedback import learnable

    settings = _settings(judging.PRESETS, preset, seed, minutes)
    learned = list(contrasts.choices(settings.seed, settings.choices, ways=settings.ways))
    held = list(contrasts.choices(settings.seed + 1, settings.held_out, held_out=True, ways=settings.ways))
    if feedback:
        corrections = learnable(Feedback().all()).corrections
        by_situation = {id(c.situation): c for c in corrections}
        ours, theirs = loop.split([c.example for c in corrections], 0.3, settings.seed)
        learned += contrasts.said([by_situation[id(e.situation)] for e in ours])
        held += contrasts.said([by_situation[id(e.situation)] for e in theirs])
    chosen = models.in_use()
    made = judging.train(learned, settings, out, held_out=held, start=chosen.folder if chosen else None)
    report = made["held_out"]
    if as_json:
        print(json.dumps({"schema_version": 1, "out": str(out)} | report))
        return
    for name, row in report["accuracy"].items():
        print(f"{name:<28} {row['pairs']:5d} pairs, better side preferred in {row['share']}")
    print(f"calibration error {report['calibration_error']}, temperature {report['temperature']}")
    for name, row in report["correlation"].items():
        print(f"correlation with {name:<16} score {row['score']}, truth {row['truth']}")
    print(f"{out}: {made['steps']} steps, loss {made['loss_first_last']}, {made['minutes']} minutes")


@train.command("ppo")
def ppo(
    preset: Preset = "tiny",
    out: Out = Path("trained/ppo"),
    seed: Seed = None,
    minutes: Minutes = None,
    start: Annotated[Path | None, typer.Option("--start", help="Folder of the adapter to begin with; the one in use by default.")] = None,
    feedback: Annotated[bool, typer.Option("--feedback", help="Learn from what people said; adopt what is better.")] = False,
    algorithm: Annotated[
        str | None, typer.Option("--algorithm", help="ppo | grpo (single decisions, no value head); with --feedback sft (for few corrections) | ppo")
    ] = None,
    decisions: Annotated[int, typer.Option("--decisions", help="With --feedback: made decisions that nothing may be lost of.")] = 300,
    yes: Annotated[bool, typer.Option("--yes", help="Adopt without asking.")] = False,
) -> None:
    """Reinforce the embedded model in its environment; or, with --feedback, learn from corrections and adopt what is better."""
    known = ("sft", "ppo") if feedback else ("ppo", "grpo")
    algorithm = algorithm or known[0]
    if algorithm not in known:
        raise typer.BadParameter(f"algorithms {'with' if feedback else 'without'} --feedback are {' and '.join(known)}, not {algorithm}")
    _training()
    from moho.agent import models
    from moho.agent.embedded import embedded
    from moho.rl import ppo as reinforcing
    from moho.rl.environment import DecisionEnvironment

    settings = _settings(reinforcing.PRESETS, preset, seed, minutes)
    if feedback:
        learn(algorithm, settings, minutes, decisions, yes)
        return
    decider, chosen = embedded(str(start or "")), models.in_use()
    start = start or (chosen.folder if chosen else None)
    if algorithm == "grpo":
        from moho.rl import grpo

        card = grpo.train(settings, grpo.decisions(settings, decider), start, out)
    else:
        card = reinforcing.train(settings, DecisionEnvironment(decider), start, out)
    print(f"{out}: {card['sha256'][:12]}")


def learn(algorithm: str, settings: Any, minutes: float | None, decisions: int, yes: bool) -> None:
    """Learn from what people said, show what came of it, and adopt it where it is better and the person agrees."""
    from hashlib import sha256

    from moho.agent import models
    from moho.agent.embedded import embedded, load, unpack
    from moho.agent.feedback import Feedback
    from moho.rl import adapter, loop, sft
    from moho.rl import ppo as reinforcing
    from moho.rl.environment import DecisionEnvironment
    from moho.rl.feedback import learnable

    found = learnable(Feedback().all())
    for one, why in found.excluded:
        print(f"not learned from: run {one.run} ({one.person}): {why}", file=sys.stderr)

    def supervised(examples: Any, start: Path | None, out: Path) -> Any:
        like = adapter.shape(start) if start else {}
        wanted = sft.Settings(seed=settings.seed, minutes=minutes or 20.0, rate=2e-4, renamed=0.0, start=str(start or ""), **like)
        return sft.fit(examples, wanted, out)

    def reinforced(examples: Any, start: Path | None, out: Path) -> Any:
        decider = embedded()
        wrong = {id(c.situation): c.reply for c in found.corrections}
        return reinforcing.train(settings, loop.Corrected(examples, decider, DecisionEnvironment(decider), wrong), start, out)

    tokenizer = sha256((unpack() / "tokenizer.json").read_bytes()).hexdigest()
    made = loop.improve(
        found,
        loop.Settings(seed=settings.seed, decisions=decisions),
        fit=supervised if algorithm == "sft" else reinforced,
        load=load,
        mix=adapter.between,
        tokenizer=tokenizer,
        tell=lambda words: print(words, file=sys.stderr),
    )
    print(made.table)
    if made.against:
        print("not adopted: " + "; ".join(made.against))
        return
    if not yes and not typer.confirm(f"Let {made.name} answer from now on?", err=True):
        print(f"{made.name} is kept; `moho model use {made.name}` adopts it")
        return
    models.use(made.name)
    print(f"in use: {made.name}; `moho model rollback` goes back to {made.parent or 'the model as it comes'}")


def _settings(presets: Mapping[str, Any], preset: str, seed: int | None, minutes: float | None) -> Any:
    """The settings of a preset, with the seed and the minutes that were given."""
    from dataclasses import replace

    if preset not in presets:
        raise typer.BadParameter(f"presets are {', '.join(presets)}")
    given = {"seed": seed, "minutes": minutes}
    return replace(presets[preset], **{name: value for name, value in given.items() if value is not None})


def _training() -> None:
    """DataError where what training needs is not installed."""
    from importlib.util import find_spec

    from moho.errors import DataError

    if find_spec("trl") is None:
        raise DataError("E_NOT_FOUND", "training needs trl", "pip install 'moho[train]'")


def feedback(
    identity: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, or 'last'.")] = "",
    good: Annotated[bool, typer.Option("--good", help="The answer was right.")] = False,
    bad: Annotated[bool, typer.Option("--bad", help="The answer was wrong.")] = False,
    better: Annotated[str | None, typer.Option("--better", help="What would have been right: the call, or in words.")] = None,
    step: Annotated[int, typer.Option("--step", help="The decision of the run that --better is about.", min=0)] = 0,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take back what you said of the run.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="What was said, and what of it is trained on.")] = False,
    person: Annotated[str, typer.Option("--person", help="Who says so; the user of this machine by default.")] = "",
    project: Annotated[str | None, typer.Option("--project", help="Folder of the project.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say whether an answer was good or bad, and what would have been better."""
    import json
    import os
    import pwd

    from moho.agent import feedback as keeping
    from moho.project import Project
    from moho.rl.feedback import learnable
    from moho.settings import setting

    kept = keeping.Feedback()
    if listed:
        found = learnable(kept.all())
        rows = [{"learned": True, "request": c.situation.request, "was": c.reply, "right": c.right} for c in found.corrections]
        rows += [{"learned": False, "person": one.person, "run": one.run, "better": one.better, "why": why} for one, why in found.excluded]
        for row in rows:
            words = f"+ {row['request']}: {row['right']}, not {row['was']}" if row["learned"] else f"- {row['run']} ({row['person']}): {row['why']}"
            print(json.dumps({"schema_version": 1} | row, ensure_ascii=False) if as_json else words)
        print(f"{len(found.corrections)} corrections and {len(found.liked)} good decisions to learn from", file=sys.stderr)
        return
    if good + (bad or better is not None) + withdraw != 1 or not identity:
        raise typer.BadParameter("name a run and say one of --good, --bad (with --better or without) or --withdraw")
    if better is not None and not better.strip():
        raise typer.BadParameter("--better is empty")
    if not person:
        try:
            person = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            person = f"user {os.getuid()}"
    verdict = keeping.WITHDRAWN if withdraw else keeping.GOOD if good else keeping.BAD
    place = Project.open(setting("project", project).value, create=False)
    said, told = keeping.give(kept, place, identity, verdict, person=person, better=better or "", number=step)
    if as_json:
        row = {"schema_version": 1, "run_id": said.run, "verdict": said.verdict, "right": said.reply, "refused": said.refused, "told": told}
        print(json.dumps(row, ensure_ascii=False))
    else:
        print("\n".join([f"kept: {said.verdict}, {said.run}", *told]))


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
        (low, high), shares = score["exact"]["interval"], f"name {score['name']['share']:.3f}  exact {score['exact']['share']:.3f}"
        print(f"{group:<12} {score['decisions']:5d}  {shares}  ({low:.3f} to {high:.3f})")


@evaluate.command("unseen")
def unseen(
    model: Annotated[str, typer.Option("--model", help="embedded | embedded:base | embedded:FOLDER")] = "embedded",
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Score calls of ten tools that no training has seen, as plugins bring them; from a checkout."""
    import json

    from moho.agent.embedded import embedded
    from moho.errors import DataError
    from moho.rl import unseen as scoring

    scheme, _, variant = model.partition(":")
    if scheme != "embedded":
        raise DataError("E_UNSUPPORTED", f"unseen tools are scored for the embedded model, not {model!r}")
    result = scoring.score(embedded(variant).decide)
    if as_json:
        print(json.dumps({"schema_version": 1, "model": model} | result, ensure_ascii=False))
        return
    for row in result["wrong"]:
        offered = "" if row["offered"] else " (not on offer)"
        print(f"{row['request']}\n    wanted {row['wanted']}{offered}\n    got    {row['got']}", file=sys.stderr)
    print("\n".join(scoring.words(result)))


@evaluate.command("figures")
def figures(
    model: Annotated[str, typer.Option("--model", help="embedded | embedded:base | embedded:FOLDER")] = "embedded",
    write: Annotated[bool, typer.Option("--write", help="Put them into the card of the adapter in FOLDER.")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Play all figures of an adapter's card again and set them beside what it says; from a checkout, a quarter of an hour."""
    import json

    from moho.agent import models
    from moho.errors import DataError
    from moho.rl import figures as scoring

    chosen = models.in_use() if model == "embedded" else None
    folder = chosen.folder if chosen else Path(model.partition(":")[2])
    if write and model == "embedded":
        raise DataError("E_UNSUPPORTED", "the card of the adapter in use is not rewritten in place", "Name its folder: --model embedded:FOLDER")
    found = scoring.measure(model, lambda line: print(line, file=sys.stderr))
    path = folder / "adapter.json"
    said = json.loads(path.read_text(encoding="utf-8")).get("scores", {}) if path.exists() else {}
    if write:
        scoring.write(folder, found)
    print(json.dumps({"schema_version": 1, "model": model, "figures": found, "card": said}) if as_json else "\n".join(scoring.words(found, said)))
    if said and not write and (differ := scoring.apart(found, said)):
        raise DataError("E_CHANGED", f"{len(differ)} figures are not those of the card: {', '.join(differ)}")


@train.command("data")
def data(
    count: Annotated[int, typer.Option("--count", help="Examples.", min=1)] = 20_000,
    seed: Annotated[int, typer.Option("--seed")] = 7,
    out: Annotated[Path, typer.Option("--out", help="Folder for examples.jsonl and card.md.")] = Path("trained/data"),
) -> None:
    """Write down instruction data and its card; training draws the same from the same seed."""
    from moho.rl import evaluate as scoring
    from moho.rl.datacard import write
    from moho.rl.instructions import Writer

    files = sorted(Path("tests/requests").glob("*.jsonl"))
    held_out = [turn["request"] for path in files for row in scoring.load(path) for turn in row["turns"]]
    counts = write(Writer(seed).examples(count), out, held_out, seed)
    print(f"{out}: {counts['examples']} examples, {counts['removed_as_contaminated']} left out as near to a held-out request")
