"""What the routes of the server share: who asks, the jobs, the roots; a JSON body held to limits, and errors as every route gives them."""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio import CapacityLimiter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from moho.agent.events import EventLog, Row
from moho.agent.jobs import Jobs
from moho.agent.people import People, Person
from moho.agent.uploads import Roots
from moho.errors import DataError, MohoError, Refusal

WORDS = 8000  # characters of a request
ID = re.compile(r"[0-9A-Za-z][\w-]{0,63}", re.ASCII)  # of a conversation
BODY = 2**20  # bytes of a JSON body
SLOW = 20.0  # s that a JSON body may take
STREAMS = 256  # event streams at once; each waits in a thread of its own
FOR_ONE = 24  # of them one person may have
SIGNED = 2**62
STATUS = {
    "E_NOT_FOUND": 404, "E_PERM": 403, "E_BUSY": 409, "E_CHANGED": 409, "E_LOCKED": 409, "E_LIMIT": 413, "E_DISK": 507, "E_INTERNAL": 500,
    "E_APPROVAL": 409,
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """A server."""

    hosts: Sequence[str] = ("127.0.0.1", "localhost")  # names, without the port, that it answers to
    origins: Sequence[str] = ()  # beside those of its own hosts
    roots: Sequence[Path] = field(default_factory=list)
    public: bool = False  # a team's: cookies over TLS where the address says https


class Doors:
    """What the routes share."""

    def __init__(self, jobs: Jobs, people: Callable[[], People], settings: Settings) -> None:
        self.jobs, self.settings, self.roots = jobs, settings, Roots(list(settings.roots))
        self._people = people
        self.began = time.time()
        self.requests = 0
        self.closing = False  # streams end by themselves
        self.waits = CapacityLimiter(STREAMS)
        self.streams: Counter[str] = Counter()  # open ones of each person

    async def events(self, log: EventLog, thread: str, after: int) -> list[Row]:
        """The events of a thread after a number, as soon as there is one; none after a second. It holds no thread that others need."""
        return await anyio.to_thread.run_sync(log.wait, thread, after, 1.0, limiter=self.waits, abandon_on_cancel=True)

    @property
    def people(self) -> People:
        """Those who may come in, read anew: who was invited comes in at once, who was dismissed no more."""
        return self._people()

    def person(self, request: Request) -> Person:
        """Who asks, as `Gate` found out."""
        found: Person = request.scope["state"]["person"]
        return found


def problem(status: int, code: str, words: str, headers: Mapping[str, str] | None = None, hint: str = "") -> JSONResponse:
    """An error as every route gives it."""
    return JSONResponse({"error": {"code": code, "message": words, "hint": hint}}, status, headers=dict(headers or {}))


def failure(error: MohoError) -> JSONResponse:
    """A typed error with its status."""
    status = STATUS.get(error.code, 422 if isinstance(error, Refusal) else 400)
    return problem(status, error.code, error.message, hint=error.hint)


def whole(text: str, most: int = SIGNED) -> int:
    """A whole number that a client wrote; DataError for anything else."""
    if not text.isascii() or not text.isdecimal() or len(text) > 18 or int(text) > most:
        raise DataError("E_ARGUMENT", f"{text[:40]!r} is no number here")
    return int(text)


def finite(value: Any) -> Any:
    """What JSON can hold: numbers that are none become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(one) for key, one in value.items()}
    return [finite(one) for one in value] if isinstance(value, (list, tuple)) else value


async def body(request: Request, limit: int = BODY) -> dict[str, Any]:
    """The JSON object of a request; DataError where it is none, too large or too slow."""
    pieces, size = [], 0
    try:
        async with asyncio.timeout(SLOW):
            async for piece in request.stream():
                size += len(piece)
                if size > limit:
                    raise DataError("E_LIMIT", f"a body may have {limit} bytes")
                pieces.append(piece)
    except TimeoutError as error:
        raise DataError("E_LIMIT", f"the body did not come within {SLOW:g} s") from error
    try:
        found = json.loads(b"".join(pieces) or b"{}")
    except (ValueError, RecursionError) as error:
        raise DataError("E_FORMAT", "the body is no JSON") from error
    found = finite(found)
    if not isinstance(found, dict):
        raise DataError("E_FORMAT", "the body is no JSON object")
    return found


Handler = Callable[[Doors, Request], Awaitable[Response]]
