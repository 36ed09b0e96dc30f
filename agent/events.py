"""The event log: what happened on each thread, in order, for every door.

A row has a number that only grows, so a reader who has seen some of them is told the rest, whatever has been restarted between. What a request
did is in its run's folder; here is what a person is shown of it: `asked`, `queued`, `started`, `run`, `plan`, `call`, `chunk`, `step`, `error`,
`text`, `retract`, `waits`, `decided`, `ended`, `stopped`, `feedback`. A row's data is JSON.

One table in SQLite beside the project, or in PostgreSQL (`postgresql://`) for a team.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Engine, Float, Index, Integer, MetaData, Table, Text, create_engine, event, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from moho.errors import DataError

FILE = "events.sqlite"
POLL = 0.25  # s between looks for rows that other processes wrote
LAST = ("ended", "stopped")  # what a request closes with
TELLING = ("asked", "waits", "decided", *LAST)  # what says how a thread stands
_META = MetaData()
_ROWS = Table(
    "events", _META,
    Column("seq", Integer, primary_key=True, autoincrement=True), Column("at", Float, nullable=False), Column("project", Text, nullable=False),
    Column("thread", Text, nullable=False), Column("run", Text, nullable=False), Column("what", Text, nullable=False),
    Column("data", Text, nullable=False), sqlite_autoincrement=True,
)  # fmt: skip
Index("of_thread", _ROWS.c.project, _ROWS.c.thread, _ROWS.c.seq)


@dataclass(frozen=True)
class Row:
    """One event."""

    seq: int
    at: float  # s since the epoch
    thread: str
    run: str
    what: str
    data: Mapping[str, Any]

    def json(self) -> dict[str, Any]:
        """As the page and `/api` see it."""
        return {"seq": self.seq, "at": self.at, "thread": self.thread, "run": self.run, "what": self.what, "data": dict(self.data)}


@dataclass(frozen=True)
class Thread:
    """A conversation as a list shows it."""

    id: str
    title: str  # its first request
    started: float
    changed: float
    status: str  # running | question | answered | refused | failed | stopped


class EventLog:
    """The events of one project. Safe for several processes; a reader in this process is woken at once, others look every quarter of a second."""

    def __init__(self, database: str | Path, project: str = "") -> None:
        url = str(database)
        if "://" not in url:
            url = f"sqlite:///{url}"
        elif url.startswith(("postgresql://", "postgres://")):
            url = "postgresql+psycopg://" + url.partition("://")[2]
        self.project = project
        self._engine = _engine(url)
        self._new = threading.Condition()
        self._last: dict[str, int] = {}  # number of the last event of each thread that came from here

    def add(self, thread: str, what: str, data: Mapping[str, Any] | None = None, run: str = "") -> Row:
        """Keep an event; it has its number when this returns."""
        now, kept = time.time(), dict(data or {})
        text = json.dumps(kept, ensure_ascii=False, default=str).encode("utf-8", "replace").decode()  # a model may write half a character
        values = {"at": now, "project": self.project, "thread": thread, "run": run, "what": what, "data": text}
        with self._writing() as connection:
            if self._engine.dialect.name == "postgresql":  # numbers are given in the order in which they are seen
                connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"{self.project} {thread}"))))
            (seq,) = connection.execute(_ROWS.insert().values(**values)).inserted_primary_key or (0,)
        with self._new:
            self._last[thread] = int(seq)
            self._new.notify_all()
        return Row(int(seq), now, thread, run, what, kept)

    def since(self, thread: str, seq: int = 0, limit: int = 2000) -> list[Row]:
        """The events of a thread after number `seq`, oldest first."""
        wanted = select(_ROWS).where(_ROWS.c.project == self.project, _ROWS.c.thread == thread, _ROWS.c.seq > seq).order_by(_ROWS.c.seq).limit(limit)
        with self._engine.connect() as connection:
            return [_row(found) for found in connection.execute(wanted)]

    def wait(self, thread: str, seq: int, seconds: float) -> list[Row]:
        """The events after number `seq` as soon as there is one; none after so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            found, left = self.since(thread, seq), deadline - time.monotonic()
            if found or left <= 0:
                return found
            with self._new:
                self._new.wait_for(lambda: self._last.get(thread, 0) > seq, min(POLL, left))

    def threads(self, words: str = "", limit: int = 200) -> list[Thread]:
        """The conversations, the last changed first; with `words`, those whose requests or answers hold them all."""
        here = _ROWS.c.project == self.project
        spans = select(_ROWS.c.thread, func.min(_ROWS.c.at), func.max(_ROWS.c.at), func.max(_ROWS.c.seq)).where(here).group_by(_ROWS.c.thread)
        said = _ROWS.c.what.in_(("asked", "ended"))
        for word in words.split():
            holding = select(_ROWS.c.thread).where(here, said, _ROWS.c.data.icontains(json.dumps(word, ensure_ascii=False)[1:-1], autoescape=True))
            spans = spans.where(_ROWS.c.thread.in_(holding))
        with self._engine.connect() as connection:
            rows = connection.execute(spans.order_by(func.max(_ROWS.c.seq).desc()).limit(limit)).all()
            found = []
            for thread, started, changed, _ in rows:
                own = select(_ROWS).where(here, _ROWS.c.thread == thread)
                first = connection.execute(own.where(_ROWS.c.what == "asked").order_by(_ROWS.c.seq).limit(1)).first()
                last = connection.execute(own.where(_ROWS.c.what.in_(TELLING)).order_by(_ROWS.c.seq.desc()).limit(1)).first()
                if first is not None and last is not None:
                    found.append(Thread(thread, str(_row(first).data.get("request", "")), started, changed, _status(_row(last))))
        return found

    def unfinished(self) -> list[Row]:
        """The last `asked` or `decided` of each thread that neither ended nor waits for a person: what a restarted server takes up again."""
        telling = (_ROWS.c.project == self.project, _ROWS.c.what.in_(TELLING))
        last = select(func.max(_ROWS.c.seq)).where(*telling).group_by(_ROWS.c.thread)
        with self._engine.connect() as connection:
            found = connection.execute(select(_ROWS).where(_ROWS.c.seq.in_(last), _ROWS.c.what.in_(("asked", "decided"))).order_by(_ROWS.c.seq))
            return [_row(one) for one in found]

    def last(self, thread: str) -> Row | None:
        """The last event of a thread that says how it stands."""
        wanted = select(_ROWS).where(_ROWS.c.project == self.project, _ROWS.c.thread == thread, _ROWS.c.what.in_(TELLING))
        with self._engine.connect() as connection:
            found = connection.execute(wanted.order_by(_ROWS.c.seq.desc()).limit(1)).first()
        return _row(found) if found is not None else None

    def end(self, thread: str) -> int:
        """The number of the last event of a thread, 0 for none."""
        with self._engine.connect() as connection:
            wanted = select(func.max(_ROWS.c.seq)).where(_ROWS.c.project == self.project, _ROWS.c.thread == thread)
            return int(connection.execute(wanted).scalar() or 0)

    def close(self) -> None:
        """Let the database go; it is opened anew where it is asked again."""
        self._engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            words = str(error.orig)
            if "full" in words or "No space" in words:
                raise DataError("E_DISK", "no room to write the event log", "Free some space; what was kept before is untouched.") from error
            if "locked" in words:
                raise DataError("E_BUSY", "another process has been writing the event log for 30 s") from error
            raise DataError("E_CHANGED", f"the event log cannot be written: {words}") from error


@cache
def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        engine = create_engine(url, pool_size=4, max_overflow=12, pool_pre_ping=True)
        _META.create_all(engine)
        return engine
    engine = create_engine(url, connect_args={"timeout": 30, "check_same_thread": False}, poolclass=None if ":memory:" in url else NullPool)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing; the runs themselves are synced

    _META.create_all(engine)
    return engine


def _row(found: Any) -> Row:
    return Row(int(found.seq), float(found.at), str(found.thread), str(found.run), str(found.what), json.loads(found.data))


def _status(last: Row) -> str:
    if last.what in ("asked", "decided"):
        return "running"
    return "question" if last.what == "waits" else str(last.data.get("status", last.what))


def opened(folder: Path, database: str = "") -> EventLog:
    """The event log of a project folder: beside it, or in the database that the settings name."""
    return EventLog(database or folder / FILE, str(folder) if database else "")
