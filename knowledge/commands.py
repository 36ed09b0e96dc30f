"""`moho knowledge`: the literature index on the command line. Imports stay inside, so that `moho --help` is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

knowledge = typer.Typer(no_args_is_help=True, help="The literature index: add papers, search them, see what is held.")
At = Annotated[Path | None, typer.Option("--library", help="Folder of the library; in Moho's own folder by default.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


@knowledge.command("add")
def add(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Papers and folders: PDF, HTML, Markdown, text, LaTeX, EPUB; BibTeX and RIS describe them.")
    ] = None,
    starter: Annotated[bool, typer.Option("--starter", help="Add or renew the handbook that comes with Moho.")] = False,
    library: At = None,
    as_json: Json = False,
) -> None:
    """Add documents; what is unchanged is left, what has changed is replaced, what has gone from a folder is removed."""
    import json

    from moho.knowledge import ingest
    from moho.knowledge import starter as handbook
    from moho.knowledge.library import folder, open_library, retriever

    if not paths and not starter:
        raise typer.BadParameter("name a file or folder, or --starter")
    held = open_library(library)
    if starter:
        handbook.add(held)
    report = ingest.add(held, paths or [], tell=_bar())
    search = retriever(folder(library))
    search.vectors.snapshot()
    search.words.snapshot()
    if as_json:
        failed = {source: {"code": error.code, "message": error.message} for source, error in report.failed.items()}
        print(json.dumps({"schema_version": 1, **{k: v for k, v in vars(report).items() if k != "failed"}, "failed": failed}))
    else:
        documents = held.documents()
        print(
            f"{len(report.added)} added, {len(report.replaced)} replaced, {report.unchanged} unchanged, {len(report.removed)} removed;"
            f" {len(documents)} documents held."
        )
        for source, other in report.same.items():
            print(f"{Path(source).name} has the same content as {Path(other).name}; it is held once.")
        for source, other in report.near.items():
            print(f"{Path(source).name} has nearly the same text as {Path(other).name}.")
        for source, notes in report.notes.items():
            print(f"{Path(source).name}: {' '.join(notes)}")
        if report.joined:
            print(f"{report.joined} documents were described by a bibliography.")
        for source, error in report.failed.items():
            print(f"{source}: {error}", file=sys.stderr)
    if report.failed:
        raise typer.Exit(6 if report.added or report.replaced or report.unchanged else 3)


@knowledge.command("remove")
def remove(
    sources: Annotated[list[str], typer.Argument(help="Sources as `moho knowledge status` lists them, or folders.")], library: At = None
) -> None:
    """Remove documents from the library; the files themselves are not touched."""
    from moho.errors import DataError
    from moho.knowledge.library import open_library

    held = open_library(library)
    known = [record.source for record in held.documents()]
    for source in sources:
        names = {source, str(Path(source).expanduser().absolute())}
        chosen = [one for one in known if one in names or any(one.startswith(f"{name.rstrip('/')}/") for name in names)]
        if not chosen:
            raise DataError("E_NOT_FOUND", f"the library holds no {source!r}", "`moho knowledge status` lists what it holds.")
        for one in chosen:
            held.remove(one)
        print(f"{len(chosen)} removed: {source}")


@knowledge.command("search")
def search(
    query: Annotated[str, typer.Argument(help='What is sought; "since 2010" and "by Oldenburg" are heeded.')],
    count: Annotated[int, typer.Option("--count", "-k", min=1, max=100)] = 5,
    library: At = None,
    as_json: Json = False,
) -> None:
    """Passages on a matter, best first, with their places."""
    import json

    from moho.knowledge import cite
    from moho.knowledge.library import folder, retriever

    found = cite.evidence(retriever(folder(library)).search(query, count))
    for one in found:
        if as_json:
            print(json.dumps({"schema_version": 1, "key": one.key, "title": one.title, "where": one.where, "quote": one.text, "source": one.source}))
        else:
            print(f"[{one.key}] {one.label}\n    {one.text}\n")
    if not found and not as_json:
        print(cite.NOTHING)


@knowledge.command("ask")
def ask(question: Annotated[str, typer.Argument()], library: At = None, as_json: Json = False) -> None:
    """The sentences of the library that answer a question, word for word, or "Not in these sources."."""
    import json

    from moho.knowledge import cite
    from moho.knowledge.library import folder, retriever

    answer = cite.quote(retriever(folder(library)), question)
    cited = {quote.key for quote in answer.quotes}
    sources = [one for one in answer.evidence if one.key in cited]
    if as_json:
        rows = [{"key": one.key, "title": one.title, "where": one.where, "quote": one.text, "source": one.source} for one in sources]
        print(json.dumps({"schema_version": 1, "answer": answer.text, "supported": answer.supported, "citations": rows}))
        return
    print(answer.text)
    for one in sources:
        print(f"[{one.key}] {one.label}; {one.source}")


@knowledge.command("status")
def status(library: At = None, as_json: Json = False) -> None:
    """What the library holds."""
    import json

    from moho.knowledge.library import open_library

    held = open_library(library)
    records = held.documents()
    if as_json:
        rows: list[dict[str, Any]] = [
            {
                "source": r.source,
                "title": r.title,
                "authors": r.authors,
                "year": r.year,
                "doi": r.doi,
                "format": r.format,
                "passages": r.passages,
                "notes": r.notes,
            }
            for r in records
        ]
        print(
            json.dumps({"schema_version": 1, "folder": str(held.folder), "generation": held.generation, "encoder": held.encoder, "documents": rows})
        )
        return
    print(f"{held.folder}: {len(records)} documents, {held.size()} passages, {held.path.stat().st_size / 2**20:.1f} MiB")
    for record in records:
        print(f"  {record.passages:5d}  {record.label}  {record.source}{'  ' + ' '.join(record.notes) if record.notes else ''}")


@knowledge.command("rebuild")
def rebuild(library: At = None) -> None:
    """Embed all passages again, as after a change of encoder, and make the fast copies anew; the library answers meanwhile."""
    from moho.knowledge.ingest import embed_again
    from moho.knowledge.library import open_library

    held = open_library(library)
    held.verify()
    print(f"{embed_again(held, tell=_bar())} passages embedded again.")


def _bar() -> Any:
    """A progress bar's `tell`, where a person sees it."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task("", total=None)

    def tell(done: int, every: int, name: str) -> None:
        bar.start()
        bar.update(task, completed=done, total=every, description=name[:40])
        if done >= every:
            bar.stop()

    return tell
