"""The commands that open a door: `moho chat`, `moho serve`, `moho mcp`. Heavy imports stay inside; what a person reads goes to stderr on `mcp`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moho.settings import secret, setting

if TYPE_CHECKING:
    from moho.agent.jobs import Jobs

Folder = Annotated[str | None, typer.Option("--project", help="Folder of the project.")]
Model = Annotated[str | None, typer.Option("--model", help="embedded | embedded:base | hf:PATH_OR_ID | openai:BASE_URL#NAME")]
Root = Annotated[list[Path] | None, typer.Option("--root", help="A folder that data may be taken from; the current one by default.")]
Port = Annotated[int, typer.Option("--port", help="0 for any that is free.", min=0, max=65535)]
AtOnce = Annotated[int, typer.Option("--at-once", help="Requests that run at the same time; the others wait.", min=1, max=64)]


def chat(
    project: Folder = None,
    model: Model = None,
    root: Root = None,
    port: Port = 0,
    at_once: AtOnce = 2,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Open the chat page, on this machine only."""
    import webbrowser

    from moho.agent import doors, server
    from moho.agent.people import alone
    from moho.project import Project

    place = Project.open(setting("project", project).value)
    token = secret("MOHO_TOKEN") or server.token()
    jobs = make_jobs(model, at_once, draw=True)
    people = alone(token, place.folder)
    settings = doors.Settings(roots=[path.expanduser().resolve() for path in root or [Path.cwd()]])

    def ready(found: int) -> None:
        address = f"http://127.0.0.1:{found}/?token={token}"
        print(address, flush=True)
        if browser:
            webbrowser.open(address)

    server.serve(server.create(jobs, lambda: people, settings), "127.0.0.1", port, ready=ready)


def serve(
    host: Annotated[list[str] | None, typer.Option("--host", help="A name, without port, that the server answers to.")] = None,
    bind: Annotated[str, typer.Option("--bind", help="Address to listen on.")] = "127.0.0.1",
    port: Port = 8321,
    origin: Annotated[list[str] | None, typer.Option("--origin", help="An origin whose pages may ask here.")] = None,
    model: Model = None,
    root: Root = None,
    at_once: AtOnce = 2,
    each: Annotated[int, typer.Option("--each", help="Requests of one person that run at the same time.", min=1)] = 1,
    queue: Annotated[int, typer.Option("--queue", help="Requests that may wait.", min=1)] = 64,
    add: Annotated[str, typer.Option("--add", help="Enter a person, print their token, and end.")] = "",
    remove: Annotated[str, typer.Option("--remove", help="Take a person's token away, and end.")] = "",
) -> None:
    """Serve the page, /api, /v1 and /mcp to a team; each person has a token and projects of their own."""
    from moho.agent import doors, people, server

    if add or remove:
        if add:
            print(people.invite(add))
        if remove:
            people.dismiss(remove)
            print(f"{remove} may no longer come in; their projects are kept")
        return
    if not list(people.team()):
        raise typer.BadParameter("nobody may come in yet: `moho serve --add NAME` prints a token")
    jobs = make_jobs(model, at_once, each=each, queue=queue)
    names = tuple(dict.fromkeys(["127.0.0.1", "localhost", *(host or [])]))
    roots = [path.expanduser().resolve() for path in root or []]
    settings = doors.Settings(hosts=names, origins=tuple(origin or ()), roots=roots, public=True)
    server.serve(server.create(jobs, people.team, settings), bind, port, ready=lambda found: print(f"http://{names[-1]}:{found}/", flush=True))


def mcp(
    toolset: Annotated[
        list[str] | None, typer.Option("--toolset", help="core, seismic, interpretation, wells, potential, seismology, general.")
    ] = None,
    project: Folder = None,
    model: Model = None,
    root: Root = None,
    print_config: Annotated[str, typer.Option("--print-config", help="cursor | vscode | claude: print what its settings file needs, and end.")] = "",
) -> None:
    """Serve the tools over the Model Context Protocol, on standard input and output."""
    from moho.agent import mcp_server

    names = [name for part in toolset or ["core"] for name in part.split(",")]
    if print_config:
        command = [sys.argv[0] if os.path.isabs(sys.argv[0]) else "moho", "mcp", "--project", str(Path(setting("project", project).value).resolve())]
        print(mcp_server.configuration(print_config, [*command, *(word for name in names for word in ("--toolset", name))]))
        return
    import anyio

    from moho.agent.uploads import Roots
    from moho.project import Project

    mcp_server.toolset(names)  # a wrong name is said before anything listens
    place = Project.open(setting("project", project).value)
    protocol = os.dup(1)
    os.dup2(2, 1)  # whatever prints reaches stderr; the protocol alone has the real standard output
    sys.stdout = os.fdopen(protocol, "w", encoding="utf-8")
    jobs = make_jobs(model, 2)
    roots = Roots([path.expanduser().resolve() for path in root or [Path.cwd()]])
    try:
        anyio.run(mcp_server.stdio, mcp_server.create(jobs, lambda context: ("me", place), names, roots))
    finally:
        jobs.close(1.0)


def make_jobs(model: str | None, at_once: int, **more: Any) -> Jobs:
    """The jobs of a server, from the flags and the settings."""
    from moho.agent.chosen import api_key
    from moho.agent.jobs import Jobs, Options

    draw = more.pop("draw", True)
    options = Options(
        model=setting("model", model).value, key=api_key(), network=setting("allow_network").value, steps=setting("steps").value,
        minutes=setting("minutes").value, approve_seconds=setting("approve_seconds").value, database=setting("database").value, draw=draw,
    )  # fmt: skip
    return Jobs(options, at_once=at_once, **more)
