"""The tools over the Model Context Protocol, on standard input and output or as `/mcp` of the server.

A toolset is at most twenty tools; `core` asks in words, lists and adds data, finds tools and runs any of them by name. A call runs
as a job: its progress is told, its figure comes beside its numbers, and cancelling it stops it. What needs a person's approval is refused here with
the way to give it, which is not through this protocol.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from mcp import types
from mcp.server.lowlevel import Server

from moho import __version__
from moho.agent.doors import ID, WORDS
from moho.agent.events import Row
from moho.agent.jobs import Job, Jobs
from moho.agent.registry import Tool, find_tool, load_tools
from moho.errors import DataError, MohoError
from moho.project import Project

CORE = "core"
MOST = 20  # tools of a toolset
PICTURE = 2**20  # bytes of a figure at most
LIMIT = 900.0  # s
SETS: dict[str, Callable[[Tool], bool]] = {
    "seismic": lambda tool: tool.discipline == "seismic" and tool.stage in ("inspect", "processing"),
    "interpretation": lambda tool: tool.discipline == "seismic" and tool.stage not in ("inspect", "processing"),
    "wells": lambda tool: tool.discipline == "well",
    "potential": lambda tool: tool.discipline in ("gravity", "magnetics"),
    "seismology": lambda tool: tool.discipline == "seismology",
    "general": lambda tool: tool.discipline in ("any", "em"),
}

EVERYTHING = (CORE,)  # what `/mcp` offers: any tool can be found and run through it

Where = Callable[[Any], tuple[str, Project]]  # a request's context -> who asks, and their project


def toolset(names: Sequence[str]) -> list[Tool]:
    """The tools of the toolsets named, at most twenty each; DataError for one that there is not."""
    found: list[Tool] = []
    for name in names:
        if name == CORE:
            continue
        if name not in SETS:
            raise DataError("E_ARGUMENT", f"there is no toolset {name!r}; there is {CORE}, {', '.join(SETS)}")
        found += sorted((tool for tool in load_tools().values() if SETS[name](tool)), key=lambda tool: tool.name)[:MOST]
    return found


def create(jobs: Jobs, where: Where, toolsets: Sequence[str] = (CORE,), roots: Any = None) -> Server[Any]:
    """The server; `where` says whose project a request is about."""
    offered = [*(core() if CORE in toolsets else []), *(described(tool) for tool in toolset(toolsets))]

    async def listed(context: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=offered)

    async def called(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            person, project = where(context)
            return await _call(jobs, context, person, project, params.name, params.arguments or {}, {one.name for one in offered}, roots)
        except MohoError as error:
            return failed(error.code, f"{error.message} {error.hint}".strip())
        except (ValueError, TypeError) as error:
            return failed("E_ARGUMENT", str(error))

    words = 'Moho works on data sets of a project by their names; list_data lists them. Numbers with units are written as text: "5 km".'
    return Server("moho", version=__version__, instructions=words, on_list_tools=listed, on_call_tool=called)


def described(tool: Tool) -> types.Tool:
    """A tool of the registry as this protocol describes it. None of them changes a file of the person's: each adds a result of its own."""
    hints = types.ToolAnnotations(title=tool.name.replace("_", " "), read_only_hint=tool.stage in ("inspect", "plot", "literature"),
                                  destructive_hint=False, idempotent_hint=tool.stage == "inspect", open_world_hint=False)  # fmt: skip
    return types.Tool(name=tool.name, description=tool.description, input_schema=tool.schema(), annotations=hints)


def core() -> list[types.Tool]:
    """The wide door: any tool through five."""

    def one(name: str, words: str, reads: bool, required: Sequence[str] = (), /, **properties: str) -> types.Tool:
        shape: dict[str, Any] = {key: {"type": "object" if key == "arguments" else "string", "description": text} for key, text in properties.items()}
        schema: dict[str, Any] = {"type": "object", "properties": shape, "required": list(required), "additionalProperties": False}
        return types.Tool(name=name, description=words, input_schema=schema, annotations=types.ToolAnnotations(
            read_only_hint=reads, destructive_hint=False, idempotent_hint=reads, open_world_hint=False))  # fmt: skip

    return [
        one("ask", "Have a request in words carried out by Moho's own agent; the answer states measured numbers.", False, ["request"],
            request="what is to be done, in words", thread="the conversation to go on with"),
        one("list_data", "The data sets of the project: name, kind, one line.", True),
        one("add_data", "Enter a file of the server's into the project; it is never copied or changed.", False, ["path"],
            path="a path beneath a folder that data may be taken from", name="its name in the project"),
        one("find_tools", "The tools nearest to words, with their arguments.", True, ["query"], query="what is to be done"),
        one("run_tool", "Run a tool by its name.", False, ["name"], name="a tool that find_tools gave", arguments="its arguments"),
    ]  # fmt: skip


async def _call(
    jobs: Jobs, context: Any, person: str, project: Project, name: str, arguments: Mapping[str, Any], offered: set[str], roots: Any
) -> types.CallToolResult:
    if name not in offered:
        raise DataError("E_NOT_FOUND", f"there is no tool {name!r} here; there is {', '.join(sorted(offered))}")
    if name == "list_data":
        rows = [{"name": e.name, "kind": e.kind, "line": e.line, "source": e.source} for e in project.catalogue().values()]
        return said(json.dumps({"data": rows}, ensure_ascii=False), {"data": rows})
    if name == "find_tools":
        from moho.agent import offer

        kinds = {key: entry.kind for key, entry in project.catalogue().items()}
        near = await anyio.to_thread.run_sync(partial(offer.choose, str(arguments.get("query", "")), kinds))
        found = [{"name": one, "description": find_tool(one).description, "input_schema": find_tool(one).schema()} for one in near]
        return said(json.dumps({"tools": found}, ensure_ascii=False), {"tools": found})
    if name == "add_data":
        if roots is None:
            raise DataError("E_PERM", "no folder is allowed here that data may be taken from")
        path = roots.resolve(str(arguments.get("path", "")))
        entry = await anyio.to_thread.run_sync(partial(project.add, path, name=str(arguments.get("name", "") or "")))
        return said(f"“{entry.name}”: {entry.line}", {"name": entry.name, "kind": entry.kind, "line": entry.line})
    thread = f"mcp-{secrets.token_hex(6)}"
    if name == "ask":
        thread = str(arguments.get("thread") or thread)
        job = Job(str(project.folder), thread, person, str(arguments.get("request", "")).strip())
        if not job.request or len(job.request) > WORDS:
            raise DataError("E_ARGUMENT", f"say what you want done, in at most {WORDS} characters")
        if not ID.fullmatch(thread):
            raise DataError("E_ARGUMENT", "a conversation is named by letters, digits, - and _")
    else:
        given = dict(arguments.get("arguments") or {}) if name == "run_tool" else dict(arguments)
        tool = find_tool(str(arguments.get("name", ""))).name if name == "run_tool" else name
        words = f"{tool}({', '.join(f'{key}={value}' for key, value in given.items())})"
        job = Job(str(project.folder), thread, person, words, tool=tool, arguments=given)
    return await _run(jobs, context, project, job)


async def _run(jobs: Jobs, context: Any, project: Project, job: Job) -> types.CallToolResult:
    """A job's end as a result, its progress told meanwhile; stopped where the call is cancelled."""
    log = await anyio.to_thread.run_sync(jobs.log, project.folder)
    last = await anyio.to_thread.run_sync(log.end, job.thread)
    await anyio.to_thread.run_sync(partial(jobs.submit, job))
    deadline, told = time.monotonic() + LIMIT, 0
    try:
        while time.monotonic() < deadline:
            for row in await anyio.to_thread.run_sync(partial(log.wait, job.thread, last, 0.5), abandon_on_cancel=True):
                last = row.seq
                if row.what in ("chunk", "call", "step"):
                    told += 1  # it has to grow, through chunks and steps alike
                    await context.session.report_progress(float(told), None, str(row.data.get("text") or row.data.get("tool", "")))
                elif row.what in ("ended", "stopped", "waits"):
                    return _result(row, project)
        await anyio.to_thread.run_sync(partial(jobs.stop, job.project, job.thread))
        return failed("E_BUDGET", f"stopped after {LIMIT:g} s")
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial(jobs.stop, job.project, job.thread))
        raise


def _result(row: Row, project: Project) -> types.CallToolResult:
    data = row.data
    if row.what == "waits":
        return failed("E_APPROVAL", f"{data['answer']} A person has to approve it on Moho's page.")
    kept = ("run_id", "thread", "status", "answer", "numbers", "citations", "code")
    told = {key: data.get(key) for key in kept}
    told["steps"] = [
        {
            "tool": step["tool"],
            "arguments": step["arguments"],
            "result": {k: step["result"].get(k) for k in ("name", "kind", "line", "facts", "notes")},
        }
        for step in data.get("steps", [])
        if not step.get("error")
    ]
    content: list[Any] = [types.TextContent(type="text", text=json.dumps(told, ensure_ascii=False, default=str))]
    for artifact in [a for a in data.get("artifacts", []) if a["kind"] == "png"][-3:]:
        path: Path = project.folder / artifact["path"]
        if path.is_file() and path.stat().st_size <= PICTURE:
            content.append(types.ImageContent(type="image", data=base64.b64encode(path.read_bytes()).decode(), mime_type="image/png"))
    return types.CallToolResult(content=content, structured_content=json.loads(json.dumps(told, default=str)), is_error=data["status"] == "failed")


def said(text: str, told: Mapping[str, Any] | None = None) -> types.CallToolResult:
    """A result of words."""
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], structured_content=dict(told) if told else None)


def failed(code: str, words: str) -> types.CallToolResult:
    """An error that the client's model can read and mend."""
    return types.CallToolResult(content=[types.TextContent(type="text", text=json.dumps({"code": code, "error": words}))], is_error=True)


async def stdio(server: Server[Any]) -> None:
    """Serve on standard input and output; everything else that is printed goes to standard error."""
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def configuration(client: str, command: Sequence[str]) -> str:
    """What a client's settings file needs to start this server."""
    entry = {"command": command[0], "args": list(command[1:])}
    key = {"vscode": "servers", "cursor": "mcpServers", "claude": "mcpServers"}.get(client)
    if key is None:
        raise DataError("E_ARGUMENT", f"configurations are printed for cursor, vscode and claude, not {client!r}")
    return json.dumps({key: {"moho": ({"type": "stdio"} if client == "vscode" else {}) | entry}}, indent=2)
