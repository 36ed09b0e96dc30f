"""`/api`: projects and their data, conversations and their events, runs and what they made, uploads, feedback, tools."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
from anyio import CapacityLimiter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse

from moho import __version__
from moho.agent import openapi, render
from moho.agent.doors import FOR_ONE, ID, WORDS, Doors, body, finite, whole
from moho.agent.events import Row
from moho.agent.jobs import Job, shown
from moho.agent.people import new_project
from moho.agent.uploads import Upload, Uploads
from moho.errors import DataError, Refusal
from moho.project import Project

APPROVABLE = 600.0  # s that an approval may be given
DRAWN = CapacityLimiter(2)  # figures that are computed at once
BEAT = 15.0  # s between signs of life on a stream of events
KINDS = {"png": "image/png", "svg": "image/svg+xml", "json": "application/json", "csv": "text/csv; charset=utf-8"}


def _project(doors: Doors, request: Request) -> Project:
    """The project that the path names, of who asks."""
    return Project.open(doors.person(request).project(request.path_params["project"]), create=False)


def _thread(request: Request) -> str:
    thread = str(request.path_params["thread"])
    if not ID.fullmatch(thread):
        raise DataError("E_NOT_FOUND", "there is no such conversation")
    return thread


# -- what there is


async def state(doors: Doors, request: Request) -> Response:
    """Who asks, their projects, the model, what runs and waits."""
    person = doors.person(request)
    mine = [shown(job) for job in doors.jobs.running() if job.person == person.name]
    told = {
        "version": __version__,
        "person": person.name,
        "projects": list(person.projects),
        "model": short(doors.jobs.options.model),
        "running": mine,
    }
    return JSONResponse(told | {"waiting": doors.jobs.waiting, "roots": [str(root) for root in doors.roots.folders]})


def short(spec: str) -> str:
    """A model's name as a person is shown it: without its address or folder."""
    scheme, _, rest = spec.partition(":")
    name = rest.rpartition("#")[2] if scheme == "openai" else "" if scheme == "scripted" else Path(rest).name
    return f"{scheme}: {name}" if name else scheme


async def make_project(doors: Doors, request: Request) -> Response:
    """A new project beside the others."""
    if not doors.settings.public:
        raise DataError("E_PERM", "this server has one project; name another with --project")
    name = str((await body(request)).get("name", ""))
    await run_in_threadpool(new_project, doors.person(request).name, name)
    return JSONResponse({"name": name}, 201)


async def data(doors: Doors, request: Request) -> Response:
    """The data sets of a project."""
    project = _project(doors, request)

    def rows() -> list[dict[str, Any]]:
        return [{"name": e.name, "kind": e.kind, "line": e.line, "source": e.source, "added": e.added} for e in project.catalogue().values()]

    return JSONResponse({"data": await run_in_threadpool(rows)})


async def add_data(doors: Doors, request: Request) -> Response:
    """Enter a file beneath a root, or a finished upload."""
    project, given = _project(doors, request), await body(request)
    uploads = Uploads(project.folder / "uploads")
    path = uploads.finish(str(given["upload"])) if "upload" in given else doors.roots.resolve(str(given.get("path", "")))
    hints = given.get("hints", {})
    if not isinstance(hints, dict):
        raise DataError("E_ARGUMENT", "hints are an object")
    entry = await run_in_threadpool(lambda: project.add(path, name=str(given.get("name", "")), **hints))
    return JSONResponse({"name": entry.name, "kind": entry.kind, "line": entry.line, "source": entry.source, "added": entry.added}, 201)


async def one_data(doors: Doors, request: Request) -> Response:
    """The numbers, notes and history of a data set."""
    from moho.project import facts_json

    project, name = _project(doors, request), str(request.path_params["name"])
    held = await run_in_threadpool(project.load, name)
    history = [{"tool": step.tool, "arguments": dict(step.arguments)} for step in held.history]
    facts = facts_json(held.summary() | dict(held.facts))
    return JSONResponse(finite({"name": name, "kind": type(held).__name__, "facts": facts, "notes": list(held.notes), "history": history}))


async def plot(doors: Doors, request: Request) -> Response:
    """A data set for plotly.js, thinned to `width` by `height` pixels."""
    from moho.agent import interactive

    project, name = _project(doors, request), str(request.path_params["name"])
    asked = request.query_params
    width, height = (min(2000, max(100, whole(asked.get(key, default)))) for key, default in (("width", "1000"), ("height", "700")))
    clip = float(asked.get("clip", interactive.CLIP))
    if not 50 <= clip <= 100:
        raise DataError("E_ARGUMENT", "clip is a percentile from 50 to 100")
    where = {key: whole(asked[key]) for key in ("inline", "crossline") if key in asked}

    def drawn() -> bytes:
        return json.dumps(interactive.figure(project.load(name), width, height, clip=clip, **where)).encode()

    return Response(await anyio.to_thread.run_sync(drawn, limiter=DRAWN), media_type="application/json")


async def files(doors: Doors, request: Request) -> Response:
    """What lies in a folder beneath a root."""
    return JSONResponse({"files": await run_in_threadpool(doors.roots.listing, request.query_params.get("path", ""))})


async def tools(doors: Doors, request: Request) -> Response:
    """The tools, as `moho tools --json` lists them."""
    from moho.agent.registry import load_tools

    rows = [
        {"name": t.name, "discipline": t.discipline, "stage": t.stage, "description": t.description, "input_schema": t.schema()}
        for t in load_tools().values()
    ]
    return JSONResponse({"tools": sorted(rows, key=lambda row: str(row["name"]))})


# -- uploads


def _upload(upload: Upload) -> JSONResponse:
    told = {"id": upload.id, "name": upload.name, "size": upload.size, "offset": upload.offset}
    return JSONResponse(told, headers={"Upload-Offset": str(upload.offset), "Upload-Length": str(upload.size)})


async def begin_upload(doors: Doors, request: Request) -> Response:
    """Announce a file of a name and a size."""
    project, given = _project(doors, request), await body(request)
    upload = Uploads(project.folder / "uploads").begin(str(given.get("name", "")), int(given.get("size", 0)))
    return JSONResponse({"id": upload.id, "offset": 0}, 201)


async def more_upload(doors: Doors, request: Request) -> Response:
    """The next bytes of a file, from `Upload-Offset` on."""
    uploads = Uploads(_project(doors, request).folder / "uploads")
    offset = whole(request.headers.get("upload-offset", ""))
    return _upload(await uploads.write(str(request.path_params["upload"]), offset, request.stream()))


async def see_upload(doors: Doors, request: Request) -> Response:
    """How far a file is."""
    return _upload(Uploads(_project(doors, request).folder / "uploads").state(str(request.path_params["upload"])))


# -- conversations


async def threads(doors: Doors, request: Request) -> Response:
    """The conversations of a project, the last changed first; those that hold all of the words `q`."""
    log = doors.jobs.log(_project(doors, request).folder)
    found = await run_in_threadpool(log.threads, request.query_params.get("q", "")[:200])
    return JSONResponse({"threads": [vars(thread) for thread in found]})


async def ask(doors: Doors, request: Request) -> Response:
    """Ask: on a new conversation, or as the next turn of `thread`."""
    project, given = _project(doors, request), await body(request)
    words = str(given.get("request", "")).strip()
    if not words:
        raise DataError("E_ARGUMENT", "say what you want done")
    if len(words) > WORDS:
        raise DataError("E_LIMIT", f"a request may have {WORDS} characters, this one has {len(words)}")
    thread = str(given.get("thread") or secrets.token_hex(6))
    if not ID.fullmatch(thread):
        raise DataError("E_ARGUMENT", "a conversation is named by letters, digits, - and _")
    focus = [str(name) for name in given.get("focus", [])][:100]
    held = await run_in_threadpool(project.catalogue) if focus else {}
    if unknown := [name for name in focus if name not in held]:
        raise DataError("E_NOT_FOUND", f"there is no {unknown[0]!r} in the project")
    job = Job(str(project.folder), thread, doors.person(request).name, words, focus=focus)
    before = await run_in_threadpool(doors.jobs.submit, job)
    return JSONResponse({"thread": thread, "before": before}, 202)


async def events(doors: Doors, request: Request) -> Response:
    """What happened on a conversation: as JSON, or as a stream that goes on from `Last-Event-ID`."""
    project, thread = _project(doors, request), _thread(request)
    log = doors.jobs.log(project.folder)
    seq = whole(request.headers.get("last-event-id") or request.query_params.get("after", "0"))
    if not await run_in_threadpool(log.since, thread, 0, 1):
        raise DataError("E_NOT_FOUND", "there is no such conversation")
    if "text/event-stream" not in request.headers.get("accept", ""):
        rows = await run_in_threadpool(log.since, thread, seq)
        return JSONResponse({"events": [dressed(row) for row in rows]})

    person = doors.person(request).name
    if doors.streams[person] >= FOR_ONE:
        raise Refusal("E_BUSY", f"{FOR_ONE} streams of yours are open", "Close some of the pages.")

    async def stream() -> AsyncIterator[str]:
        doors.streams[person] += 1
        try:
            async for words in told():
                yield words
        finally:
            doors.streams[person] -= 1

    async def told() -> AsyncIterator[str]:
        last = seq
        yield "retry: 1000\n\n"
        quiet = time.monotonic()
        while not doors.closing and not await request.is_disconnected():
            rows = await doors.events(log, thread, last)
            for row in rows:
                last = row.seq
                yield f"id: {row.seq}\nevent: {row.what}\ndata: {json.dumps(dressed(row), ensure_ascii=False)}\n\n"
            if rows:
                quiet = time.monotonic()
            elif time.monotonic() - quiet > BEAT:
                quiet = time.monotonic()
                yield ": here\n\n"
            await asyncio.sleep(0)

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def dressed(row: Row) -> dict[str, Any]:
    """An event as the page is told it: an answer also as HTML."""
    told: dict[str, Any] = finite(row.json())
    if row.what in ("ended", "stopped", "waits"):
        told["html"] = render.answer(
            str(row.data.get("answer", "")), row.data.get("numbers", ()), row.data.get("steps", ()), row.data.get("citations", ())
        )
    return told


async def stop(doors: Doors, request: Request) -> Response:
    """Stop what a conversation is at."""
    project, thread = _project(doors, request), _thread(request)
    stopped = await run_in_threadpool(doors.jobs.stop, str(project.folder), thread)
    if not stopped:
        raise DataError("E_NOT_FOUND", "nothing runs there")
    return JSONResponse({"stopped": True})


async def decide(doors: Doors, request: Request) -> Response:
    """Approve, with other arguments or as it is, or reject the call that a conversation waits with."""
    project, thread, given = _project(doors, request), _thread(request), await body(request)
    log, person = doors.jobs.log(project.folder), doors.person(request).name
    last = await run_in_threadpool(log.last, thread)
    if last is None or last.what != "waits":
        raise DataError("E_CHANGED", "nothing waits for an approval there")
    wanted, approved = last.data["approval"], given.get("approved")
    if not isinstance(approved, bool):
        raise DataError("E_ARGUMENT", "approved is true or false")
    if (given.get("id"), given.get("fingerprint")) != (wanted["id"], wanted["fingerprint"]):
        raise DataError("E_CHANGED", "another call waits for an approval now than the one that was looked at", "Look at it again.")
    if wanted["person"] != person:
        raise DataError("E_PERM", f"{wanted['person']} asked for this and has to approve it")
    if approved and time.time() - last.at > APPROVABLE:
        raise DataError("E_CHANGED", f"this has waited for more than {APPROVABLE / 60:g} minutes", "Reject it and ask again.")
    fingerprint = str(wanted["fingerprint"])
    edited = given.get("arguments")
    if edited is not None and not isinstance(edited, dict):
        raise DataError("E_ARGUMENT", "arguments are an object")
    if edited is not None and len(json.dumps(edited)) > WORDS:
        raise DataError("E_LIMIT", "these arguments are too long")
    job = Job(str(project.folder), thread, person, "", resume=True, run=last.run, approved=approved, edited=edited, fingerprint=fingerprint)
    await run_in_threadpool(doors.jobs.submit, job)
    return JSONResponse({"thread": thread}, 202)


# -- runs


async def run(doors: Doors, request: Request) -> Response:
    """How a run ended, and its steps."""
    found = _project(doors, request).run(str(request.path_params["run"]))
    return JSONResponse(finite({"run": found.record, "answer": found.answer}))


async def artifact(doors: Doors, request: Request) -> Response:
    """An artefact, by run, step and its number there."""
    project = _project(doors, request)
    found = project.run(str(request.path_params["run"]))
    wanted, number = whole(request.path_params["step"]), whole(request.path_params["number"])
    step = next((one for one in await run_in_threadpool(found.steps) if one.id == wanted), None)
    if step is None or not 0 <= number < len(step.artifacts):
        raise DataError("E_NOT_FOUND", "there is no such artefact")
    kept = step.artifacts[number]
    path = project.folder / kept["path"]
    if not path.is_file():
        raise DataError("E_NOT_FOUND", f"{kept['name']} is a folder, which is not handed out")
    kind = KINDS.get(kept["kind"], "application/octet-stream")
    shown_ = kind.startswith("image/")
    headers = {"Cache-Control": "private, max-age=31536000, immutable", "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return FileResponse(path, media_type=kind, headers=headers, filename=None if shown_ else kept["name"])


async def export(doors: Doors, request: Request) -> Response:
    """A run to be handed on: a script, a notebook or a page, none of which needs a language model."""
    from moho.agent import replay

    project, form = _project(doors, request), request.query_params.get("format", "py")
    found = project.run(str(request.path_params["run"]))
    if form == "html":
        return HTMLResponse(await run_in_threadpool(replay.page, project, found.id), headers=_named(f"{found.id}.html"))
    if form not in ("py", "ipynb"):
        raise DataError("E_ARGUMENT", "format is py, ipynb or html")
    text = await run_in_threadpool(replay.script if form == "py" else replay.notebook, project, found.id)
    return PlainTextResponse(text, headers=_named(f"{found.id}.{form}"), media_type="text/x-python" if form == "py" else "application/x-ipynb+json")


def _named(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{Path(name).name}"'}


# -- what people say of answers


async def say(doors: Doors, request: Request) -> Response:
    """Good, bad or withdrawn, with what would have been better."""
    from moho.agent import feedback

    project, given = _project(doors, request), await body(request)
    found = project.run(str(request.path_params["run"]))
    better, number = str(given.get("better", ""))[:WORDS], int(given.get("decision", 0))
    person, verdict = doors.person(request).name, str(given.get("verdict", ""))
    said, told = await run_in_threadpool(
        lambda: feedback.give(feedback.Feedback(), project, found.id, verdict, person=person, better=better, number=number)
    )
    thread = str(found.record.get("thread", ""))
    doors.jobs.log(project.folder).add(
        thread, "feedback", {"id": said.id, "verdict": verdict, "better": better, "told": told, "person": person}, found.id
    )
    return JSONResponse({"id": said.id, "told": told}, 201)


async def said_all(doors: Doors, request: Request) -> Response:
    """What who asks has said, the latest first."""
    from moho.agent import feedback

    mine = [one for one in await run_in_threadpool(feedback.Feedback().all) if one.person == doors.person(request).name]
    rows = [
        {"id": o.id, "at": o.at, "run": o.run, "verdict": o.verdict, "better": o.better, "refused": o.refused, "project": Path(o.project).name}
        for o in mine
    ]
    return JSONResponse({"feedback": rows[::-1]})


async def unsay(doors: Doors, request: Request) -> Response:
    """Delete something that who asks has said."""
    from moho.agent import feedback

    gone = await run_in_threadpool(feedback.Feedback().delete, whole(request.path_params["id"]), doors.person(request).name)
    if not gone:
        raise DataError("E_NOT_FOUND", "you have said nothing of that number")
    return JSONResponse({"deleted": True})


async def description(doors: Doors, request: Request) -> Response:
    """The interface as OpenAPI describes it."""
    return JSONResponse(openapi.document(ROUTES))


_P = "/api/projects/{project}"
ROUTES: list[tuple[Any, ...]] = [
    ("/api/openapi.json", description),
    ("/api/state", state),
    ("/api/projects", make_project, "POST"),
    ("/api/files", files),
    ("/api/tools", tools),
    ("/api/uploads/{project}", begin_upload, "POST"),
    ("/api/uploads/{project}/{upload}", see_upload, "GET"),
    ("/api/uploads/{project}/{upload}", more_upload, "PATCH"),
    ("/api/feedback", said_all),
    ("/api/feedback/{id}", unsay, "DELETE"),
    (f"{_P}/data", data, "GET"),
    (f"{_P}/data", add_data, "POST"),
    (f"{_P}/data/{{name}}", one_data),
    (f"{_P}/plot/{{name}}", plot),
    (f"{_P}/threads", threads, "GET"),
    (f"{_P}/threads", ask, "POST"),
    (f"{_P}/threads/{{thread}}/events", events),
    (f"{_P}/threads/{{thread}}/stop", stop, "POST"),
    (f"{_P}/threads/{{thread}}/decide", decide, "POST"),
    (f"{_P}/runs/{{run}}", run),
    (f"{_P}/runs/{{run}}/steps/{{step}}/artifacts/{{number}}", artifact),
    (f"{_P}/runs/{{run}}/export", export),
    (f"{_P}/runs/{{run}}/feedback", say, "POST"),
]
