"""`/v1`: Moho as an OpenAI-compatible model, for any client of that protocol. The conversation is the messages; the model's name chooses a project.

`moho` is the first project of who asks, `moho/NAME` another. A request whose messages go on from an answer given here is the next turn of that
conversation; any other begins a new one, with what the messages say before it left out but for the person's own words. A call that needs an
approval ends the reply with the address of the page, where it can be given.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from moho.agent.doors import WORDS, Doors, body, finite
from moho.agent.events import EventLog, Row
from moho.agent.jobs import Job
from moho.errors import DataError, MohoError
from moho.project import Project

LIMIT = 600.0  # s that a reply is waited for
REMEMBERED = 4096  # conversations that are gone on with by their messages
_threads: dict[str, str] = {}  # digest of the messages up to an answer -> its conversation


def problem(status: int, words: str, code: str, kind: str = "invalid_request_error") -> JSONResponse:
    """An error as clients of this protocol read it."""
    return JSONResponse({"error": {"message": words, "type": kind, "param": None, "code": code}}, status)


async def models(doors: Doors, request: Request) -> Response:
    """The projects as models."""
    person = doors.person(request)
    names = ["moho", *(f"moho/{name}" for name in person.projects)]
    return JSONResponse(
        {"object": "list", "data": [{"id": name, "object": "model", "created": int(doors.began), "owned_by": "moho"} for name in names]}
    )


async def completions(doors: Doors, request: Request) -> Response:
    """A chat completion, whole or streamed."""
    try:
        given = await body(request)
        name, words, spoken = _asked(given)
        person = doors.person(request)
        folder = person.project(name.removeprefix("moho/")) if "/" in name else next(iter(person.projects.values()))
        project = Project.open(folder, create=False)
    except MohoError as error:
        return problem(404 if error.code == "E_NOT_FOUND" else 413 if error.code == "E_LIMIT" else 400, error.message, error.code)
    whose = f"{person.name} {project.folder}"
    thread = _threads.get(_digest(whose, spoken)) or secrets.token_hex(6)
    log = await run_in_threadpool(doors.jobs.log, project.folder)
    last = await run_in_threadpool(log.end, thread)
    options = given.get("stream_options")
    counted = isinstance(options, dict) and bool(options.get("include_usage"))
    try:
        await run_in_threadpool(doors.jobs.submit, Job(str(project.folder), thread, person.name, words))
    except MohoError as error:
        busy = error.code == "E_BUSY"
        return problem(
            429 if busy else 507 if error.code == "E_DISK" else 500, error.message, error.code, "rate_limit_error" if busy else "server_error"
        )
    identity, made = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())
    head = {"id": identity, "created": made, "model": name, "system_fingerprint": thread}
    asked = _Asked(str(project.folder), thread, last, whose, [*spoken, ("user", words)])
    if given.get("stream"):
        return StreamingResponse(_streamed(doors, request, log, asked, head, counted), media_type="text/event-stream")
    async with _stopping(doors, asked) as ended:
        async for row in _until_end(doors, request, log, thread, last):
            if row.what in ("ended", "stopped", "waits"):
                ended.append(row)
                text = _text(row, request)
                _remember(whose, [*asked.spoken, ("assistant", text)], thread)
                choice = {"index": 0, "message": {"role": "assistant", "content": text, "refusal": None}, "finish_reason": "stop", "logprobs": None}
                told = head | {"object": "chat.completion", "choices": [choice], "usage": _usage(words, text), "moho": finite(_more(row))}
                return JSONResponse(told)
    return problem(504, "the request took too long, or its client went", "E_BUDGET", "server_error")


@dataclass(frozen=True)
class _Asked:
    """A request under way for a client."""

    folder: str
    thread: str
    last: int  # number of the event before it
    whose: str
    spoken: Sequence[tuple[str, str]]


@contextlib.asynccontextmanager
async def _stopping(doors: Doors, asked: _Asked) -> AsyncIterator[list[Row]]:
    """Stops the request where its end was not put into the list: its client went, or it took too long. Not where the server ends."""
    ended: list[Row] = []
    try:
        yield ended
    finally:
        if not ended and not doors.closing:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(doors.jobs.stop, asked.folder, asked.thread)


async def _streamed(doors: Doors, request: Request, log: EventLog, asked: _Asked, head: Mapping[str, Any], counted: bool) -> AsyncIterator[str]:
    """Server-sent chunks: what is streamed of the answer as it comes, then the rest. What did not stand is followed by what does."""

    def chunk(delta: Mapping[str, Any], end: str | None = None, **more: Any) -> str:
        told = {**head, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": end, "logprobs": None}], **more}
        return f"data: {json.dumps(finite(told), ensure_ascii=False)}\n\n"

    sent = standing = ""  # all that was sent, and what of it has not been taken back
    async with _stopping(doors, asked) as ended:
        yield chunk({"role": "assistant", "content": ""})
        async for row in _until_end(doors, request, log, asked.thread, asked.last):
            if row.what == "text":
                piece = str(row.data.get("text", ""))
                sent, standing = sent + piece, standing + piece
                yield chunk({"content": piece})
            elif row.what == "retract" and standing:
                sent, standing = sent + "\n\n", ""
                yield chunk({"content": "\n\n"})
            elif row.what in ("ended", "stopped", "waits"):
                ended.append(row)
                text = _text(row, request)
                rest = text[len(standing) :] if text.startswith(standing) else f"\n\n{text}"
                if rest:
                    yield chunk({"content": rest})
                _remember(asked.whose, [*asked.spoken, ("assistant", sent + rest)], asked.thread)
                yield chunk({}, "stop", moho=_more(row))
                if counted:
                    usage = {**head, "object": "chat.completion.chunk", "choices": [], "usage": _usage(asked.spoken[-1][1], text)}
                    yield f"data: {json.dumps(usage)}\n\n"
        if ended:
            yield "data: [DONE]\n\n"


async def _until_end(doors: Doors, request: Request, log: EventLog, thread: str, last: int) -> AsyncIterator[Row]:
    """The events of a request up to its end; it stops early where its client went."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline and not doors.closing and not await request.is_disconnected():
        for row in await doors.events(log, thread, last):
            last = row.seq
            yield row
            if row.what in ("ended", "stopped", "waits"):
                return
        await asyncio.sleep(0)


def _asked(given: Mapping[str, Any]) -> tuple[str, str, list[tuple[str, str]]]:
    """(model, the request, what was said before it); DataError for a body that is no chat."""
    name, messages = given.get("model", "moho"), given.get("messages")
    if not isinstance(name, str) or not (name == "moho" or name.startswith("moho/")):
        raise DataError("E_NOT_FOUND", f"the model {str(name)[:80]!r} does not exist; `moho` does, and `moho/PROJECT`")
    if not isinstance(messages, list) or not messages:
        raise DataError("E_ARGUMENT", "messages is a list with at least one message")
    spoken = []
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in ("system", "developer", "user", "assistant", "tool"):
            raise DataError("E_ARGUMENT", "each message has a role and a content")
        content = message.get("content") or ""
        if isinstance(content, list):
            if any(not isinstance(part, dict) or part.get("type") != "text" for part in content):
                raise DataError("E_UNSUPPORTED", "only text can be sent here; add data to the project")
            content = "".join(str(part.get("text", "")) for part in content)
        if message["role"] in ("user", "assistant"):
            spoken.append((str(message["role"]), str(content).strip()))
    if not spoken or spoken[-1][0] != "user" or not spoken[-1][1].strip():
        raise DataError("E_ARGUMENT", "the last message is the user's, and says something")
    words = spoken[-1][1].strip()
    if len(words) > WORDS:
        raise DataError("E_LIMIT", f"a request may have {WORDS} characters, this one has {len(words)}")
    return name, words, spoken[:-1]


def _text(row: Row, request: Request) -> str:
    """The answer, with its passages below, or where an approval can be given."""
    text = str(row.data.get("answer", ""))
    if row.what == "waits":
        return f"{text} This cannot be approved here; open {request.base_url} and the conversation there."
    cited = [f"[{one['key']}] {one['title']}; {one['source']}" for one in row.data.get("citations", [])]
    return "\n\n".join([text, *(["\n".join(cited)] if cited else [])])


def _more(row: Row) -> dict[str, Any]:
    """What this protocol has no place for."""
    return {key: row.data.get(key) for key in ("run_id", "status", "numbers", "citations", "code")} | {"thread": row.thread}


def _usage(asked: str, text: str) -> dict[str, int]:
    """Words as tokens, since the models behind count in their own ways."""
    read, written = len(asked.split()), len(text.split())
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _digest(person: str, spoken: Sequence[tuple[str, str]]) -> str:
    if not spoken:
        return ""
    return hashlib.sha256(json.dumps([person, list(spoken)]).encode()).hexdigest()


def _remember(person: str, spoken: Sequence[tuple[str, str]], thread: str) -> None:
    _threads[_digest(person, [(role, text.strip()) for role, text in spoken])] = thread
    while len(_threads) > REMEMBERED:
        _threads.pop(next(iter(_threads)))


ROUTES: list[tuple[Any, ...]] = [("/v1/models", models), ("/v1/chat/completions", completions, "POST")]
