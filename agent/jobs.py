"""Requests that run in a server: each in a process of its own kind, so that Stop stops it at once, a crash ends one request, and two cores work.

What happens goes into the event log; who watches reads it there, and whoever closed the page finds it there. A worker is kept for the next
request; one that is stopped or dies is replaced. A server that was killed takes up again what was under way.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import multiprocessing
import os
import secrets
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from moho.agent import events
from moho.agent.events import EventLog
from moho.errors import DataError, MohoError, Refusal

PRELOAD = ["moho.agent.graph", "moho.agent.tools", "moho.agent.model", "moho.agent.offer"]
USES = 500  # requests after which a worker is replaced
GRACE = 2.0  # s that a worker has to go by itself when the server ends


@dataclass(frozen=True)
class Options:
    """What the requests of a server have in common."""

    model: str = "embedded"
    key: str = field(default="", repr=False)
    network: bool = False
    steps: int = 25
    minutes: float = 15.0
    approve_seconds: float = 60.0
    database: str = field(default="", repr=False)  # PostgreSQL of threads, events and checkpoints; "" for SQLite beside each project
    draw: bool = True


@dataclass(frozen=True)
class Job:
    """A request, or the going on of one."""

    project: str  # folder
    thread: str
    person: str
    request: str
    model: str = ""  # "" for the server's
    focus: Sequence[str] = ()
    resume: bool = False
    run: str = ""  # that is gone on with
    approved: bool | None = None
    edited: Mapping[str, Any] | None = None
    fingerprint: str = ""
    tool: str = ""  # run by its name, without a language model
    arguments: Mapping[str, Any] = field(default_factory=dict)
    asked: float = 0.0  # s since the epoch


@dataclass
class _Slot:
    """A place where one request runs at a time."""

    process: Any = None
    pipe: Connection | None = None
    uses: int = 0
    job: Job | None = None
    stopping: bool = False


class Jobs:
    """The requests under way and those that wait."""

    def __init__(self, options: Options, *, at_once: int = 2, each: int = 2, queue: int = 64) -> None:
        self.options, self.each, self.longest = options, each, queue
        self.counts: Counter[str] = Counter()  # ended requests by status
        self.seconds = 0.0  # that they took
        self._logs: dict[str, EventLog] = {}
        self._held: dict[str, tuple[IO[str], bool]] = {}  # project folder -> the lock that says that there are jobs on it, whether it was the first
        self._waiting: deque[Job] = deque()
        self._change = threading.Condition()
        self._closing = False
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)
        self._slots = [_Slot() for _ in range(at_once)]
        self._threads = [threading.Thread(target=self._serve, args=(slot,), daemon=True, name="moho-job") for slot in self._slots]
        for thread in self._threads:
            thread.start()

    def log(self, project: str | Path) -> EventLog:
        """The event log of a project folder."""
        with self._change:
            folder = str(project)
            if folder not in self._logs:
                self._logs[folder] = events.opened(Path(folder), self.options.database)
                self._alone(folder)
            return self._logs[folder]

    def submit(self, job: Job, again: bool = False) -> int:
        """Let a request run as soon as there is a place; how many are before it. Refusal E_BUSY where its thread is busy, or too many wait.

        `again`: it was submitted before, to the server before this one.
        """
        job = replace(job, asked=time.time())
        log = self.log(job.project)
        with self._change:
            if self._closing:
                raise Refusal("E_BUSY", "the server is about to end", "Ask again in a moment.")
            if self._of(job.project, job.thread):
                raise Refusal("E_BUSY", "this conversation is still at work", "Stop it, or wait for its answer.")
            if len(self._waiting) >= self.longest and not again:
                raise Refusal("E_BUSY", f"{len(self._waiting)} requests wait already", "Try again later.")
            if sum(other.person == job.person for other in self._waiting) >= max(4, self.longest // 4) and not job.resume:
                raise Refusal("E_BUSY", "several of your requests wait already", "Wait for one of them, or stop it.")
            if not job.resume:
                kept = {key: getattr(job, key) for key in ("request", "person", "focus", "tool", "arguments")}
                log.add(job.thread, "asked", kept | {"model": job.model or self.options.model})
            elif job.approved is not None and not again:
                kept = {key: getattr(job, key) for key in ("approved", "edited", "fingerprint", "person")}
                log.add(job.thread, "decided", kept, job.run)
            self._waiting.append(job)
            before = len(self._waiting) - 1
            if before or all(slot.job for slot in self._slots):
                log.add(job.thread, "queued", {"before": before})
            self._change.notify_all()
        return before

    def stop(self, project: str, thread: str) -> bool:
        """Stop what a thread is at: it is dead when this returns. False where nothing runs."""
        with self._change:
            for job in list(self._waiting):
                if (job.project, job.thread) == (project, thread):
                    self._waiting.remove(job)
                    self._logs[project].add(thread, "stopped", {"status": "stopped", "answer": "Stopped before it began."})
                    self.counts["stopped"] += 1
                    return True
            slot = next((slot for slot in self._slots if slot.job and (slot.job.project, slot.job.thread) == (project, thread)), None)
            if slot is None:
                return False
            running = slot.job
            slot.stopping = True
            if slot.process is not None:
                slot.process.kill()
            self._change.wait_for(lambda: slot.job is not running, 2 * GRACE)
        return True

    def running(self, project: str = "", thread: str = "") -> list[Job]:
        """The requests under way, then those that wait; of one thread, or all."""
        with self._change:
            found = [slot.job for slot in self._slots if slot.job] + list(self._waiting)
        return [job for job in found if not project or (job.project, job.thread) == (project, thread)]

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def recover(self, project: str | Path, person: str) -> int:
        """Take up what was under way when the server before this one ended; how many requests."""
        log, count = self.log(project), 0
        if not self._alone(str(project)):  # what is under way there is under way in another process
            return 0
        for row in log.unfinished():
            if self.running(str(project), row.thread):
                continue
            job = Job(str(project), row.thread, str(row.data.get("person", person)), str(row.data.get("request", "")), resume=True, run=row.run)
            if row.what == "decided":
                data = row.data
                job = replace(job, approved=bool(data["approved"]), edited=data["edited"], fingerprint=str(data["fingerprint"]))
            else:
                runs = [one.run for one in log.since(row.thread, row.seq) if one.what == "run"]
                job = replace(job, run=runs[-1] if runs else "", model=str(row.data.get("model", "")), focus=row.data.get("focus") or ())
                if row.data.get("tool"):  # run by its name: from its beginning
                    job = replace(job, tool=str(row.data["tool"]), arguments=row.data.get("arguments") or {})
            self.submit(job, again=True)
            count += 1
        return count

    def _alone(self, project: str) -> bool:
        """Whether no other process has jobs on this project; it is this one's from then on, together with any that come later."""
        if project in self._held:
            return self._held[project][1]
        file = open(Path(project) / ".jobs", "a")  # noqa: SIM115  held as long as the server
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            alone = False
        fcntl.flock(file, fcntl.LOCK_SH)
        self._held[project] = file, alone
        return alone

    def close(self, seconds: float = 30.0) -> None:
        """End: nothing new is begun, what runs has so many seconds, then it is killed and taken up at the next start."""
        with self._change:
            self._closing = True
            self._waiting.clear()  # they are in the log, unfinished
            self._change.notify_all()
            self._change.wait_for(lambda: not any(slot.job for slot in self._slots), seconds)
        started = [slot for slot in self._slots if slot.process is not None]
        for slot in started:
            with contextlib.suppress(OSError):
                assert slot.pipe is not None
                slot.pipe.send(None)
        until = time.monotonic() + GRACE
        for slot in started:
            slot.process.join(max(0.0, until - time.monotonic()))
            slot.process.kill()
        for slot in started:
            slot.process.join(GRACE)
        for log in self._logs.values():
            log.close()
        for file, _ in self._held.values():
            file.close()
        self._held.clear()

    # -- below

    def _of(self, project: str, thread: str) -> bool:
        return any(slot.job and (slot.job.project, slot.job.thread) == (project, thread) for slot in self._slots) or any(
            (job.project, job.thread) == (project, thread) for job in self._waiting
        )

    def _next(self) -> Job | None:
        """The first job whose person has a place left; the lock is held."""
        busy = Counter(slot.job.person for slot in self._slots if slot.job)
        for job in self._waiting:
            if busy[job.person] < self.each:
                self._waiting.remove(job)
                return job
        return None

    def _serve(self, slot: _Slot) -> None:
        while True:
            with self._change:
                while not self._closing and (job := self._next()) is None:
                    self._change.wait()
                if self._closing:
                    return
                assert job is not None
                slot.job, slot.stopping = job, False
            try:
                self._run(slot, job)
            except Exception as error:  # a place that is lost here would be lost for ever
                slot.uses = USES
                with contextlib.suppress(Exception):
                    ended = failed(DataError("E_INTERNAL", f"{type(error).__name__}: {error}"), job)
                    self.log(job.project).add(job.thread, "ended", ended, job.run)
            finally:
                with self._change:
                    if slot.stopping:
                        slot.uses = USES  # it was killed, whatever it seems to be
                    slot.job, slot.stopping = None, False
                    self._change.notify_all()

    def _run(self, slot: _Slot, job: Job) -> None:
        """One job on a worker, its events into the log."""
        log, began, run = self.log(job.project), time.monotonic(), job.run
        ended: Mapping[str, Any] | None = None
        try:
            pipe = self._worker(slot)
            if slot.stopping:
                raise EOFError
            pipe.send(job)
            log.add(job.thread, "started", {"waited": round(time.time() - job.asked, 3)}, run)
            while ended is None:
                what, data = pipe.recv()
                if what == "run":
                    run = data["id"]
                elif what == "ended":
                    ended = data
                    continue
                log.add(job.thread, what, data, run)
        except (EOFError, OSError):
            slot.uses = USES  # it is gone, or of no more use
            if self._closing and not slot.stopping:
                return  # unfinished in the log: taken up at the next start
            words = "Stopped." if slot.stopping else "The process that worked on this died. What it had kept is there; ask again."
            ended = {
                "status": "stopped" if slot.stopping else "failed",
                "answer": words,
                "code": "" if slot.stopping else "E_RESOURCE",
                "run_id": run,
            }
        waits = bool(ended.get("approval"))
        if waits:
            ended = {**ended, "approval": {**ended["approval"], "id": secrets.token_hex(8), "person": job.person}}
        log.add(job.thread, "waits" if waits else "stopped" if ended["status"] == "stopped" else "ended", ended, run)
        self.counts[str(ended["status"])] += 1
        self.seconds += time.monotonic() - began
        slot.uses += 1

    def _worker(self, slot: _Slot) -> Connection:
        """The pipe to a living worker."""
        if slot.process is None or not slot.process.is_alive() or slot.uses >= USES:
            if slot.process is not None:
                slot.process.kill()
                slot.process.join(GRACE)
            ours, theirs = self._context.Pipe()
            made = self._context.Process(target=work, args=(theirs, self.options, os.getpid()), daemon=True)
            made.start()
            theirs.close()
            with self._change:
                slot.process, slot.pipe, slot.uses = made, ours, 0
        assert slot.pipe is not None
        return slot.pipe


# -- in a worker


def work(pipe: Connection, options: Options, server: int) -> None:
    """Carry out the jobs that come through `pipe` and tell what happens, until None comes or the server is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the server, which ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: with the process that forked it
    threading.Thread(target=_watch, args=(server,), daemon=True).start()
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        if job is None:
            return
        pipe.send(("ended", play(job, options, lambda what, data: pipe.send((what, data)))))


def _watch(server: int) -> None:
    """End this process when the server is gone: nothing is orphaned."""
    while True:
        time.sleep(0.5)
        try:
            os.kill(server, 0)
        except OSError:
            os._exit(1)


def play(job: Job, options: Options, tell: Callable[[str, Mapping[str, Any]], None]) -> dict[str, Any]:
    """Carry out one job; how it ended, as `moho ask --json` prints it."""
    from moho.agent import graph, guard

    def told(event: graph.Event) -> None:
        if event.what == "run":
            tell("run", {"id": event.text})
        elif event.what != "think":
            more = {"done": event.far[0], "of": event.far[1]} if event.what == "chunk" else {}
            tell(event.what, {"text": event.text, **event.data, **more})

    spec = job.model or options.model
    try:
        project = _project(job.project)
        budget = guard.Budget(steps=options.steps, minutes=options.minutes, approve_seconds=options.approve_seconds)
        if job.tool:
            return _by_name(project, job, budget, tell)
        with graph.threads(project, options.database) as checkpointer:
            model = _model(spec, options)
            prefix = f"{job.project}:" if options.database else ""  # one database holds the conversations of all
            agent = graph.Agent(
                project, model, name=spec, prefix=prefix, budget=budget, checkpointer=checkpointer, on_event=told, stream=True, draw=options.draw
            )
            if job.resume and not job.tool:
                outcome = _resumed(agent, job)
                if outcome is not None:
                    return outcome.json()
            return agent.ask(job.request, thread=job.thread, focus=list(job.focus)).json()
    except MohoError as error:
        return failed(error, job)
    except Exception as error:
        return failed(DataError("E_INTERNAL", f"{type(error).__name__}: {error}"), job)


def _by_name(project: Any, job: Job, budget: Any, tell: Callable[[str, Mapping[str, Any]], None]) -> dict[str, Any]:
    """One tool, run by its name: its step as the steps of a request, its numbers in the answer."""
    from moho.agent import act, graph, guard
    from moho.agent.registry import estimate, prepare

    call = prepare(job.tool, job.arguments, project.kinds())
    asked = guard.afford(call, estimate(call, project.load), budget, guard.free_memory())
    if asked:
        raise Refusal("E_APPROVAL", f"{asked}.", "Ask for it on the page, or run it with `moho run ... --yes`: a person has to approve it there.")
    run = project.start(job.request, model="none", thread=job.thread)
    tell("run", {"id": run.id})
    tell("call", {"tool": job.tool, "arguments": call.arguments})
    try:
        step = act.perform(call, run, tell=lambda done, of, seconds: tell("chunk", {"text": f"{job.tool}: {done} of {of}", "done": done, "of": of}))
    except (ValueError, TypeError) as error:
        raise DataError("E_ARGUMENT", str(error)) from error
    tell("step", graph.shown(step))
    facts = [f"{quantity.label or key}: {quantity}" for key, quantity in step.facts().items()]
    made = f"Made “{step.result['name']}”. " if step.result.get("name") else ""
    outcome = {
        "schema_version": 1, "run_id": run.id, "thread": job.thread, "status": "answered", "answer": made + "; ".join(facts), "numbers": [],
        "steps": [graph.shown(step)], "citations": list(step.result.get("citations", [])), "artifacts": [dict(a) for a in step.artifacts],
        "about": [], "candidates": [], "code": "", "approval": {}, "model": "none", "seconds": step.seconds,
    }  # fmt: skip
    run.finish(outcome)
    return outcome


def _resumed(agent: Any, job: Job) -> Any:
    """The outcome of going on; None where there is nothing kept to go on with, and the request has to be asked again."""
    try:
        outcome = agent.resume(job.thread, approved=job.approved, edited=job.edited, fingerprint=job.fingerprint)
    except DataError as error:
        if error.code == "E_NOT_FOUND" and job.request and job.approved is None:
            return None
        raise
    return outcome if job.approved is not None or outcome.run_id == job.run else None


def failed(error: MohoError, job: Job) -> dict[str, Any]:
    """An error as the end of a request."""
    status = "refused" if isinstance(error, Refusal) else "failed"
    return {
        "schema_version": 1, "run_id": job.run, "thread": job.thread, "status": status, "answer": error.message, "hint": error.hint,
        "code": error.code, "numbers": [], "steps": [], "citations": [], "artifacts": [], "about": [], "candidates": [], "approval": {},
        "model": job.model, "seconds": 0.0,
    }  # fmt: skip


@lru_cache(maxsize=8)
def _project(folder: str) -> Any:
    from moho.project import Project

    return Project.open(folder)


@lru_cache(maxsize=4)
def _model(spec: str, options: Options) -> Any:
    from moho.agent import model

    return model.make(spec, key=options.key, network=options.network)


def shown(job: Job) -> dict[str, Any]:
    """A job as lists show it."""
    return {key: value for key, value in asdict(job).items() if key in ("thread", "person", "request", "asked")}
