"""The command line. Results go to stdout, talk to stderr; `--json` prints one object a line. Heavy imports stay inside commands.

Exit codes: 0 a request was answered, asked back or refused; 1 internal error; 2 usage, a wrong or missing argument; 3 input not found or
unreadable; 4 approval needed; 5 a tool failed or, run by its name, refused; 6 part of a batch failed, or a replayed run has no end; 130
interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: two threads on a busy machine ran six times slower than one
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import typer

from moho import __version__
from moho.agent import serving
from moho.agent.chosen import budget, make_model, workers
from moho.errors import DataError, Missing, MohoError, Refusal
from moho.settings import setting

if TYPE_CHECKING:
    from moho.agent.graph import Event, Outcome
    from moho.project import Project, StepRecord

OK, INTERNAL, USAGE, INPUT, APPROVAL, TOOL, PARTIAL, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130

app = typer.Typer(name="moho", no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, rich_markup_mode=None)
projects = typer.Typer(no_args_is_help=True, help="Data sets and runs of a project.")
app.add_typer(projects, name="project")
adapters = typer.Typer(no_args_is_help=True, help="Adapters of the embedded model.")
app.add_typer(adapters, name="model")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Folder = Annotated[str | None, typer.Option("--project", help="Folder of the project.")]
Model = Annotated[str | None, typer.Option("--model", help="embedded | embedded:base | hf:PATH_OR_ID | openai:BASE_URL#NAME")]
Scheduler = Annotated[str | None, typer.Option("--scheduler", help="tcp://HOST:PORT of a dask.distributed scheduler, for volumes.")]
Form = Annotated[str | None, typer.Option("--volumes", help="segy | zarr: how the volumes that tools make are written.")]
Yes = Annotated[bool, typer.Option("--yes", help="Approve long steps beforehand.")]


def say(*words: object) -> None:
    """Talk, on stderr."""
    print(*words, file=sys.stderr)


def emit(value: Any) -> None:
    """One JSON object on a line of stdout."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)


def main() -> None:
    """The `moho` command: every error becomes a line on stderr and an exit code."""
    try:
        for point in entry_points(group="moho.commands"):
            found = point.load()  # a group of commands, or a function that is one
            if isinstance(found, typer.Typer):
                app.add_typer(found, name=point.name)
            else:
                app.command(point.name)(found)
        code = app(standalone_mode=False)  # what typer.Exit said comes back as a number
        sys.exit(code if isinstance(code, int) else OK)
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        say("interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(OK)
    except MohoError as error:
        sys.exit(report(error))
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "format_message"):  # click's own: usage
            if "--json" in sys.argv:
                emit({"schema_version": 1, "status": "failed", "code": "E_ARGUMENT", "answer": error.format_message(), "hint": ""})
            say(f"error: {error.format_message()}")
            sys.exit(USAGE)
        if os.environ.get("MOHO_DEBUG"):
            raise
        say(f"internal error: {type(error).__name__}: {error}  (MOHO_DEBUG=1 shows where)")
        sys.exit(INTERNAL)


def report(error: MohoError) -> int:
    """Print an error as the command was asked to print, and give its exit code."""
    code = INPUT if isinstance(error, DataError) else APPROVAL if error.code == "E_APPROVAL" else USAGE if isinstance(error, Missing) else TOOL
    if "--json" in sys.argv:
        status = "refused" if isinstance(error, Refusal) else "question" if isinstance(error, Missing) else "failed"
        emit({"schema_version": 1, "status": status, "code": error.code, "answer": error.message, "hint": error.hint})
    else:
        say(f"{'refused' if isinstance(error, Refusal) else 'question' if isinstance(error, Missing) else 'error'}: {error}")
    return code


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Moho: say what you want done with seismic, waveform, gravity, magnetic or well-log data."""
    if version:
        print(f"moho {__version__}")
        raise typer.Exit


# -- requests


@app.command()
def ask(
    request: Annotated[str, typer.Argument(help="What you want, in words; - reads standard input.")] = "",
    data: Annotated[list[Path] | None, typer.Option("--data", help="Files to add first; the request is then about these.")] = None,
    project: Folder = None,
    model: Model = None,
    thread: Annotated[str, typer.Option("--thread", help="Continue this conversation; 'last' for the latest.")] = "",
    approve: Annotated[bool, typer.Option("--approve", help="Approve what --thread waits for.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Reject what --thread waits for.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Carry on a killed request of --thread.")] = False,
    as_json: Json = False,
    yes: Yes = False,
    scheduler: Scheduler = None,
    volumes: Form = None,
    no_input: Annotated[bool, typer.Option("--no-input", help="Never ask on the terminal.")] = False,
) -> None:
    """Answer one request on files or a project."""
    from moho.agent import graph

    words = sys.stdin.read().strip() if request == "-" else request.strip()
    continuing = approve or reject or resume
    if not words and not continuing:
        raise typer.BadParameter("say what you want done")
    if len(words) > 8000:
        raise typer.BadParameter(f"a request may have 8000 characters, this one has {len(words)}")
    place = open_project(project)
    focus = []
    for path in data or []:
        entry = place.add(path)
        focus.append(entry.name)
        say(f"data: “{entry.name}” {entry.line}")
    if thread == "last":
        thread = next(
            (run["thread"] for run in ({"thread": place.run(r["id"]).record["thread"]} for r in reversed(place.history())) if run["thread"]), ""
        )
    with graph.threads(place) as checkpointer:
        spec = setting("model", model).value
        loaded = make_model(spec)
        agent = graph.Agent(
            place, loaded, name=spec, budget=budget(), approve=yes, checkpointer=checkpointer, on_event=progress, workers=workers(scheduler, volumes)
        )
        decided = True if approve else False if reject else None
        outcome = agent.resume(thread, approved=decided) if continuing else agent.ask(words, thread=thread, focus=focus)
        interactive = sys.stdin.isatty() and sys.stderr.isatty() and not (no_input or as_json)
        while interactive and outcome.status == "question":
            say(outcome.answer)
            reply = input("> ").strip()
            if not reply:
                break
            outcome = (
                agent.resume(outcome.thread, approved=reply.lower().startswith("y")) if outcome.approval else agent.ask(reply, thread=outcome.thread)
            )
    show(outcome, place, as_json)
    raise typer.Exit(exit_code(outcome))


def progress(event: Event) -> None:
    """A line on stderr when a step has ended, and how far a volume is: on a terminal in place, else at each tenth."""
    if event.what == "step":
        say(f"  {event.text}")
    elif event.what == "chunk":
        show_chunk(event.text, *event.far)


def show_chunk(text: str, done: int, chunks: int) -> None:
    """The progress of a volume on stderr."""
    if sys.stderr.isatty():
        print(f"\r  {text}", end="\n" if done == chunks else "", file=sys.stderr, flush=True)
    elif done == chunks or 10 * done // chunks > 10 * (done - 1) // chunks:
        say(f"  {text}")


def exit_code(outcome: Outcome) -> int:
    """Answered, asked and refused are all a right end of a request."""
    if outcome.approval:
        return APPROVAL
    return TOOL if outcome.status == "failed" else OK


def show(outcome: Outcome, project: Project, as_json: bool) -> None:
    """Print an outcome for a person or a program."""
    if as_json:
        emit(outcome.json())
        return
    print(outcome.answer)
    for citation in outcome.citations:
        place = ", ".join(part for part in (citation["title"], citation["where"]) if part)
        print(f"[{citation['key']}] {place}; {citation['source']}")
    for number in outcome.numbers:
        step = number["source"].split(":")
        others = {"request": "your request", "passage": f"passage [{step[-1]}]"}
        where = f"step {step[1]} ({outcome.steps[int(step[1]) - 1].tool}), {step[2]}" if step[0] == "step" else others[step[0]]
        if len(number["text"]) > 200:
            continue  # a quotation, which stands above
        say(f"  {number['text']}  <- {where}")
    for record in outcome.steps:
        say_notes(record, project)
    say(f"  run {outcome.run_id}, thread {outcome.thread}, {outcome.seconds:.1f} s")
    if outcome.approval:
        say(f"  moho ask --thread {outcome.thread} --approve   (or --reject)")
    elif outcome.status == "question":
        say(f'  moho ask "YOUR ANSWER" --thread {outcome.thread}')


def say_notes(record: StepRecord, project: Project) -> None:
    """Notes and figure of a step, on stderr."""
    for note in record.result.get("notes", []):
        say(f"  note: {note}")
    for artifact in record.artifacts:
        if artifact["kind"] == "png":
            say(f"  figure: {project.folder / artifact['path']}")


@app.command()
def batch(
    tasks: Annotated[Path, typer.Argument(help="JSON lines with id, request and optional data.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for one JSON an id.")] = Path("moho-batch"),
    resume: Annotated[bool, typer.Option("--resume", help="Skip ids that are finished.")] = False,
    project: Folder = None,
    model: Model = None,
    yes: Yes = False,
) -> None:
    """Answer many requests, each with an id; one that fails does not stop the others."""
    from moho import store
    from moho.agent import graph

    rows = read_tasks(tasks)
    place = open_project(project)
    out.mkdir(parents=True, exist_ok=True)
    spec = setting("model", model).value
    loaded = make_model(spec)
    failed = 0
    with graph.threads(place) as checkpointer:
        agent = graph.Agent(place, loaded, name=spec, budget=budget(), approve=yes, checkpointer=checkpointer, workers=workers())
        for row in rows:
            target = out / f"{row['id']}.json"
            if resume and target.exists() and json.loads(target.read_bytes()).get("status") != "failed":
                continue
            try:
                focus = [place.add(path).name for path in row.get("data", [])]
                result = agent.ask(row["request"], focus=focus).json()
            except MohoError as error:
                result = {"schema_version": 1, "status": "failed", "code": error.code, "answer": str(error)}
            failed += result["status"] == "failed"
            store.atomic_write(target, json.dumps({"id": row["id"]} | result, ensure_ascii=False, indent=1).encode(), replace=True)
            emit({"schema_version": 1, "id": row["id"], "status": result["status"], "answer": result["answer"]})
    raise typer.Exit(PARTIAL if failed else OK)


def read_tasks(path: Path) -> list[dict[str, Any]]:
    """The rows of a batch file; DataError with the line that is wrong."""
    import re

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError("E_NOT_FOUND", f"cannot read {path}: {error.strerror}") from error
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            good = isinstance(row, dict) and isinstance(row["request"], str) and re.fullmatch(r"[\w.-]{1,80}", str(row["id"]))
        except (ValueError, KeyError, TypeError):
            good = False
        if not good:
            raise DataError("E_FORMAT", f"line {number} of {path.name} is not an object with id (letters, digits, . _ -) and request")
        rows.append(row | {"id": str(row["id"])})
    if len({row["id"] for row in rows}) < len(rows):
        raise DataError("E_FORMAT", f"{path.name} holds an id twice")
    return rows


# -- tools without a language model


@app.command()
def tools(
    name: Annotated[str, typer.Argument(help="One tool.")] = "",
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the reference page.")] = False,
) -> None:
    """List the tools, or describe one."""
    from moho.agent.registry import find_tool, load_tools

    if markdown:
        from moho.agent import reference

        print(reference.entry(find_one(find_tool, name)) if name else reference.page(), end="")
        return
    chosen = [find_one(find_tool, name)] if name else [load_tools()[key] for key in sorted(load_tools())]
    if as_json:
        for found in chosen:
            emit(
                {
                    "schema_version": 1, "name": found.name, "discipline": found.discipline, "stage": found.stage, "description": found.description,
                    "input_schema": found.schema(), "reference": found.reference, "truth": found.truth,
                }
            )  # fmt: skip
        return
    for found in chosen:
        arguments = ", ".join(a.name + ("" if a.required else "=" + str(a.default)) for a in found.arguments)
        print(f"{found.name}({arguments})\n    {found.description if name else found.summary}")
        if name:
            for argument in found.arguments:
                print(f"    --{argument.name}: {argument.schema()['description']}")
            print(f"    source: {found.reference}\n    held to: {found.truth}")


def find_one(find: Any, name: str) -> Any:
    """`find(name)`, with an unknown name as a usage error."""
    try:
        return find(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(
    context: typer.Context,
    tool: Annotated[str, typer.Argument(help="Name of the tool.")],
    data: Annotated[list[str] | None, typer.Option("--data", help="Files to add first; or the tool's argument of this name.")] = None,
    project: Folder = None,
    as_json: Json = False,
    yes: Yes = False,
    scheduler: Scheduler = None,
    volumes: Form = None,
) -> None:
    """Run one tool without a language model: moho run bandpass --line NAME --low "5 Hz" --high "60 Hz"."""
    from moho.agent import act, guard
    from moho.agent.registry import estimate, find_tool, prepare
    from moho.volumes import progress_words

    found = find_one(find_tool, tool)
    written = options(context.args)
    place = open_project(project)
    takes_data = any(argument.name == "data" for argument in found.arguments)
    for value in data or []:
        name = value if takes_data and value in place.kinds() else place.add(value).name
        if takes_data:
            written["data"] = name
    try:
        call = prepare(found.name, written, place.kinds())
    except (ValueError, TypeError) as error:
        raise typer.BadParameter(f"{error}{file_hint(written)}") from error
    asked = guard.afford(call, estimate(call, place.load), budget(), guard.free_memory())
    if asked and not yes:
        raise Refusal("E_APPROVAL", f"{asked}.", "Add --yes to run it.")
    kept = place.start(f"run {tool}", model="none")
    try:
        step = act.perform(
            call,
            kept,
            workers=workers(scheduler, volumes),
            tell=lambda done, chunks, seconds: show_chunk(f"{tool}: {progress_words(done, chunks, seconds)}", done, chunks),
        )
    except (ValueError, TypeError) as error:
        kept.finish({"schema_version": 1, "run_id": kept.id, "status": "failed", "answer": str(error)})
        raise typer.BadParameter(str(error)) from error
    except MohoError as error:
        status = "refused" if isinstance(error, Refusal) else "question" if isinstance(error, Missing) else "failed"
        kept.finish({"schema_version": 1, "run_id": kept.id, "status": status, "code": error.code, "answer": error.message})
        raise
    outcome = {
        "schema_version": 1, "run_id": kept.id, "status": "answered", "tool": tool, "arguments": dict(step.arguments), "result": dict(step.result),
        "artifacts": [dict(artifact) for artifact in step.artifacts], "seconds": step.seconds,
    }  # fmt: skip
    kept.finish(outcome)
    if as_json:
        emit(outcome)
        return
    if step.result.get("name"):
        print(f"“{step.result['name']}”: {step.result['line']}")
    for key, quantity in step.facts().items():
        print(f"{quantity.label or key}: {quantity}")
    say_notes(step, place)


def file_hint(written: dict[str, Any]) -> str:
    """What to do about a file that was given where the name of a data set belongs; "" where none was."""
    values = [str(value) for given in written.values() for value in (given if isinstance(given, list) else [given])]
    paths = [value for value in values if Path(value).is_file()]
    return f". {paths[0]} is a file: add it with --data {paths[0]}" if paths else ""


def options(words: list[str]) -> dict[str, Any]:
    """`--arg value` and `--arg=value` pairs of a tool; an argument given twice becomes a list."""
    found: dict[str, Any] = {}
    position = 0
    while position < len(words):
        word = words[position]
        if not word.startswith("--"):
            raise typer.BadParameter(f"expected --ARGUMENT, got {word!r}")
        name, equals, value = word[2:].partition("=")
        if not equals:
            position += 1
            if position == len(words):
                raise typer.BadParameter(f"--{name} needs a value")
            value = words[position]
        key = name.replace("-", "_")
        found[key] = [*found[key], value] if isinstance(found.get(key), list) else [found[key], value] if key in found else value
        position += 1
    return found


# -- projects and runs


@projects.command("add")
def project_add(
    paths: Annotated[list[Path], typer.Argument(help="Files to add.")],
    project: Folder = None,
    name: Annotated[str, typer.Option(help="Name in the project, for a single file.")] = "",
    as_json: Json = False,
    hint: Annotated[list[str] | None, typer.Option("--hint", help="For the reader: KEY=VALUE, e.g. variable=gravity.")] = None,
) -> None:
    """Read files and enter them in the catalogue; they are never copied or changed."""
    if name and len(paths) > 1:
        raise typer.BadParameter("--name goes with a single file")
    hints: dict[str, Any] = {}
    for pair in hint or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"--hint wants KEY=VALUE, got {pair!r}")
        if "." in key:  # header_bytes.inline=189
            outer, _, inner = key.partition(".")
            if not value.isdecimal():
                raise typer.BadParameter(f"--hint {key} wants a byte, got {value!r}")
            hints.setdefault(outer, {})[inner] = int(value)
        else:
            hints[key] = value
    place = open_project(project)
    failures: list[MohoError] = []
    for path in paths:
        try:
            entry = place.add(path, name=name, **hints)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        except MohoError as error:
            if len(paths) == 1:
                raise
            failures.append(error)
            say(f"error: {path}: {error}")
            continue
        if as_json:
            emit({"schema_version": 1, "name": entry.name, "kind": entry.kind, "line": entry.line, "sha256": place.sha256(entry.name)})
        else:
            print(f"“{entry.name}”: {entry.line}")
    if failures:
        raise typer.Exit(PARTIAL if len(failures) < len(paths) else INPUT)


@projects.command("list")
def project_list(project: Folder = None, as_json: Json = False) -> None:
    """The data sets of the project."""
    for entry in open_project(project, create=False).catalogue().values():
        if as_json:
            emit({"schema_version": 1, "name": entry.name, "kind": entry.kind, "line": entry.line, "source": entry.source})
        else:
            print(f"{entry.name}  [{entry.source}]  {entry.line}")


@projects.command("show")
def project_show(name: Annotated[str, typer.Argument(help="A data set.")], project: Folder = None, as_json: Json = False) -> None:
    """One data set: its numbers, notes and history."""
    place = open_project(project, create=False)
    data = place.load(name)
    facts = data.summary() | dict(data.facts)
    if as_json:
        from moho.project import facts_json

        history = [{"tool": step.tool, "arguments": dict(step.arguments)} for step in data.history]
        emit(
            {
                "schema_version": 1,
                "name": name,
                "kind": type(data).__name__,
                "facts": facts_json(facts),
                "notes": list(data.notes),
                "history": history,
            }
        )
        return
    for key, quantity in facts.items():
        print(f"{quantity.label or key}: {quantity}")
    for note in data.notes:
        print(f"note: {note}")
    for step in data.history:
        print(f"made by {step.tool}({', '.join(f'{k}={v}' for k, v in step.arguments.items())})")


@projects.command("history")
def project_history(project: Folder = None, as_json: Json = False) -> None:
    """The runs of the project, oldest first."""
    for row in open_project(project, create=False).history():
        if as_json:
            emit({"schema_version": 1} | row)
        else:
            print(f"{row['id']}  {row['status']:<11}  {row['request']}")


@projects.command("clean")
def project_clean(project: Folder = None, as_json: Json = False) -> None:
    """Remove what killed runs left of unfinished volumes. One that is being written stays."""
    gone = open_project(project, create=False).clean(older=0.0)
    if as_json:
        emit({"schema_version": 1, "removed": len(gone), "bytes": sum(one.bytes for one in gone)})
    else:
        print(f"removed {len(gone)} unfinished volumes, {sum(one.bytes for one in gone) / 2**30:.2f} GiB")


@app.command()
def replay(
    identity: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, or 'last'.")], project: Folder = None, as_json: Json = False
) -> None:
    """Repeat a run without a language model and compare the bytes of every result and figure."""
    from moho.agent.replay import replay as repeat

    place = open_project(project, create=False)
    rows = repeat(place, identity)
    same, ended = all(row["same"] for row in rows), bool(place.run(identity).answer)
    if as_json:
        emit({"schema_version": 1, "run_id": identity, "same": same, "ended": ended, "artifacts": rows})
    else:
        for row in rows:
            print(f"{'same' if row['same'] else 'DIFFERS'}  {row['artifact']}")
        print(f"{len(rows)} artefacts, {'all the same bytes' if same else 'NOT all the same'}")
        if not ended:
            print("the run was interrupted: what it kept before that was repeated")
    raise typer.Exit(TOOL if not same else OK if ended else PARTIAL)


@app.command()
def export(
    identity: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, or 'last'.")],
    form: Annotated[str, typer.Option("--format", help="py | ipynb | html")] = "py",
    out: Annotated[Path | None, typer.Option("--out", help="File to write; standard output otherwise.")] = None,
    project: Folder = None,
) -> None:
    """Hand a run on: as a script or a notebook that repeat it without a language model, or as a page to read."""
    from moho import store
    from moho.agent import replay as repeating

    makers = {"py": repeating.script, "ipynb": repeating.notebook, "html": repeating.page}
    if form not in makers:
        raise typer.BadParameter(f"formats are {', '.join(makers)}, not {form!r}")
    place = open_project(project, create=False)
    text = makers[form](place, place.run(identity).id)
    if out is None:
        print(text, end="")
    else:
        store.atomic_write(out, text.encode())
        say(f"wrote {out}")


# -- adapters of the embedded model


@adapters.command("list")
def model_list(as_json: Json = False) -> None:
    """The adapters there are, and which of them answers."""
    from moho.agent import models

    for one in models.adapters():
        used = one.name == models.chosen()
        parent, made = str(one.card.get("parent", "")), str(one.card.get("made", ""))
        if as_json:
            emit({"schema_version": 1, "name": one.name, "in_use": used, "parent": parent, "made": made, "sha256": one.sha256})
        else:
            print(f"{'*' if used else ' '} {one.name:<24} {one.sha256[:12]}  {f'from {parent}, {made}' if parent else one.card.get('method', '')}")


@adapters.command("use")
def model_use(name: Annotated[str, typer.Argument(help="An adapter of `moho model list`.")], as_json: Json = False) -> None:
    """Let this adapter answer from now on."""
    from moho.agent import models

    show_adapter(models.use(name), as_json)


@adapters.command("rollback")
def model_rollback(as_json: Json = False) -> None:
    """Go back to the adapter that answered before."""
    from moho.agent import models

    show_adapter(models.rollback(), as_json)


def show_adapter(chosen: Any, as_json: bool) -> None:
    """Print which adapter answers now."""
    if as_json:
        emit({"schema_version": 1, "name": chosen.name, "sha256": chosen.sha256})
    else:
        print(f"in use: {chosen.name} ({chosen.sha256[:12]})")


# -- the doors that stay open

app.command()(serving.chat)
app.command()(serving.serve)
app.command()(serving.mcp)


# -- the machine


@app.command()
def doctor(as_json: Json = False) -> None:
    """Versions, devices, models found, settings and where they come from, what is missing and how to get it."""
    from moho.agent.doctor import examine

    rows = examine()
    if as_json:
        emit({"schema_version": 1, "checks": rows})
    else:
        for row in rows:
            print(f"{row['status']:<8} {row['what']}: {row['found']}" + (f"   -> {row['do']}" if row["do"] else ""))
    raise typer.Exit(INPUT if any(row["status"] == "missing" for row in rows) else OK)


# -- below


def open_project(folder: str | None, *, create: bool = True) -> Project:
    """The project that the flag, the settings or the current folder name."""
    from moho.project import Project

    return Project.open(setting("project", folder).value, create=create)


if __name__ == "__main__":  # as `accelerate launch -m moho.agent.cli` runs it
    main()
