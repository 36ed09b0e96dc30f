"""What people say of Moho's answers, kept in Moho's own folder, and what of it may be trained on.

One SQLite file; what was acknowledged survives a kill. Each saying is bound to a run, to what the model was shown at each decision of it
and to its replies, so that it stays whole when the project goes. Only `moho feedback`, a person's own command, writes here: no tool does,
and nothing a file or a model says reaches it.

The last word of a person on a run counts. Where two people disagree both are kept and neither is trained on.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from moho import store
from moho.agent import decision
from moho.errors import DataError
from moho.project import Project
from moho.rl.better import Judged, fault, judge, meant_alike
from moho.rl.decisions import Decided, decided, from_json, to_json
from moho.rl.instructions import Example
from moho.settings import home

FILE = "feedback.sqlite"
VERSION = 1
WAIT = 30.0  # s a writer waits for another
GOOD, BAD, WITHDRAWN = "good", "bad", "withdrawn"
_COLUMNS = "id, at, person, project, run, verdict, better, decisions, number, reply, refused"
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS said (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, person TEXT NOT NULL, project TEXT NOT NULL, run TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('good', 'bad', 'withdrawn')), better TEXT NOT NULL, decisions TEXT NOT NULL,
    number INTEGER NOT NULL, reply TEXT NOT NULL, refused TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS of_run ON said (project, run);
PRAGMA user_version = {VERSION};
"""


@dataclass(frozen=True)
class Said:
    """What one person said of one run."""

    person: str
    project: str  # folder
    run: str
    verdict: str  # good | bad | withdrawn
    better: str = ""  # the correction in the person's words
    decisions: Sequence[Decided] = ()
    number: int = 0  # the decision it corrects, 0 for none
    reply: str = ""  # the right reply there
    refused: str = ""  # why the correction is not trained on
    at: float = 0.0  # s since the epoch
    id: int = 0


@dataclass(frozen=True)
class Correction:
    """A decision that people corrected: what Moho replied, and what would have been right."""

    situation: decision.Situation
    reply: str
    right: str

    @property
    def example(self) -> Example:
        """To be trained on or measured."""
        name = self.right.partition("(")[0]
        return Example(self.situation, self.right, "corrected", "" if name in ("answer", "refuse") else name)


@dataclass(frozen=True)
class Learnable:
    """What may be trained on, and what may not with the reason."""

    corrections: Sequence[Correction] = ()
    liked: Sequence[Example] = ()  # decisions of runs that people called good
    excluded: Sequence[tuple[Said, str]] = field(default_factory=tuple)


class Feedback:
    """The store. Each call opens the file anew: safe for several processes at once.

    DataError E_DISK where the disk is full, E_BUSY where another process writes too long, E_CHANGED where the file is damaged.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or home() / FILE

    def add(self, said: Said) -> Said:
        """Keep a saying; when this returns it is on the disk."""
        kept = [{"number": d.number, "situation": to_json(d.situation), "reply": d.reply} for d in said.decisions]
        said = replace(said, at=said.at or time.time())
        values = (said.at, said.person, said.project, said.run, said.verdict, said.better, json.dumps(kept), said.number, said.reply, said.refused)
        with self._opened() as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute(f"INSERT INTO said ({_COLUMNS[4:]}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        return replace(said, id=int(row.lastrowid or 0))

    def all(self) -> list[Said]:
        """Everything that was ever said, oldest first."""
        if not self.path.exists():
            return []
        with self._opened() as connection:
            return [_said(row) for row in connection.execute(f"SELECT {_COLUMNS} FROM said ORDER BY id")]

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            if not self.path.exists():
                os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))  # what people said is theirs
            connection = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)
            try:
                if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                    connection.execute("PRAGMA journal_mode = WAL")
                    connection.executescript(_SCHEMA)
                connection.execute("PRAGMA synchronous = FULL")
                if (version := connection.execute("PRAGMA user_version").fetchone()[0]) != VERSION:
                    raise DataError("E_UNSUPPORTED", f"{self.path} was written by another version of Moho (format {version})")
                yield connection
            finally:
                connection.close()
        except OSError as error:
            raise store.disk_error(error, self.path) from error
        except sqlite3.DatabaseError as error:
            words = str(error)
            if "full" in words or "disk I/O" in words:
                raise DataError("E_DISK", f"no room to write {self.path.name}", "Free some space; what was kept before is untouched.") from error
            if "locked" in words or "busy" in words:
                raise DataError("E_BUSY", f"another process has been writing {self.path.name} for {WAIT:g} s") from error
            if "readonly" in words or "unable to open" in words:
                raise DataError("E_PERM", f"{self.path} cannot be written or opened: {words}") from error
            raise DataError("E_CHANGED", f"{self.path} is damaged or no feedback of Moho's: {words}") from error


def give(kept: Feedback, project: Project, run: str, verdict: str, *, person: str, better: str = "", number: int = 0) -> tuple[Said, list[str]]:
    """Keep what a person says of a run, and what to tell them about it."""
    if verdict not in (GOOD, BAD, WITHDRAWN):
        raise ValueError(f"say good, bad or withdrawn, not {verdict!r}")
    if better and verdict != BAD:
        raise ValueError("a correction goes with bad")
    found = project.run(run)
    decisions = decided(project, found) if verdict != WITHDRAWN else []
    judged = judge(better, decisions, number) if better else Judged()
    before = [one for one in kept.all() if (one.project, one.run) == (str(project.folder), found.id)]
    said = kept.add(Said(person, str(project.folder), found.id, verdict, better, decisions, judged.number, judged.reply, judged.refused))
    told = [f"decision {judged.number} should have been {judged.reply}"] if judged.reply else []
    if judged.refused:
        told.append(f"kept, and it counts as bad; nothing is trained on it: {judged.refused}")
    mine = [one for one in before if one.person == person]
    if mine and (mine[-1].verdict, mine[-1].better) != (verdict, better):
        told.append(f"this replaces what you said before ({mine[-1].verdict})")
    others = {one.person: one for one in before if one.person != person and one.verdict != WITHDRAWN}
    if verdict != WITHDRAWN and (against := [name for name, one in others.items() if _differ(one, said)]):
        told.append(f"{', '.join(sorted(against))} said otherwise: both are kept, neither is trained on")
    return said, told


def learnable(said: Sequence[Said]) -> Learnable:
    """What of it may be trained on: looked at again, without what is contradicted, and each correction once."""
    last: dict[tuple[str, str, str], Said] = {}
    for one in said:
        last[one.person, one.project, one.run] = one
    runs: dict[tuple[str, str], list[Said]] = defaultdict(list)
    for one in last.values():
        if one.verdict != WITHDRAWN:
            runs[one.project, one.run].append(one)
    excluded: list[tuple[Said, str]] = []
    rights: dict[str, list[tuple[Said, Correction]]] = defaultdict(list)
    liked: dict[str, list[tuple[Said, Example]]] = defaultdict(list)
    for group in runs.values():
        if any(_differ(one, other) for one in group for other in group):
            excluded += [(one, "people disagree about this run") for one in group]
            continue
        for one in group:
            if one.verdict == GOOD:
                for d in one.decisions:
                    if not fault(d.situation, d.reply):
                        liked[_key(d.situation)].append((one, Correction(d.situation, "", d.reply).example))
            elif not one.reply:
                excluded.append((one, one.refused or "bad, without what would have been better"))
            elif (at := next((d for d in one.decisions if d.number == one.number), None)) is None:
                excluded.append((one, f"there is no decision {one.number} in this run"))
            elif reason := fault(at.situation, one.reply):
                excluded.append((one, reason))
            else:
                rights[_key(at.situation)].append((one, Correction(at.situation, at.reply, one.reply)))
    corrections, good = [], []
    for key, several in rights.items():
        first = several[0][1]
        if not all(meant_alike(other.right, first.right) for _, other in several[1:]):
            excluded += [(one, "the same request was corrected to different replies") for one, _ in several]
        elif not all(meant_alike(example.reply, first.right) for _, example in liked.get(key, [])):
            excluded += [(one, "what was corrected here was called good elsewhere") for one, _ in several]
            liked.pop(key)
        else:
            corrections.append(first)
    for key, others in liked.items():
        if key not in rights:
            good.append(others[0][1])
    return Learnable(corrections, [Example(e.situation, e.reply, "liked", e.tool) for e in good], excluded)


def _differ(one: Said, other: Said) -> bool:
    """Whether two sayings of one run contradict each other."""
    if one.verdict != other.verdict:
        return WITHDRAWN not in (one.verdict, other.verdict)
    return bool(one.reply and other.reply and one.number == other.number and not meant_alike(one.reply, other.reply))


def _key(situation: decision.Situation) -> str:
    """A digest of all that a decision depends on."""
    return sha256(json.dumps(decision.prompt(situation), ensure_ascii=False).encode()).hexdigest()


def _said(row: Sequence[Any]) -> Said:
    identity, at, person, project, run, verdict, better, decisions, number, reply, refused = row
    try:
        kept: list[Mapping[str, Any]] = json.loads(decisions)
        made = [Decided(int(d["number"]), from_json(d["situation"]), str(d["reply"])) for d in kept]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("E_CHANGED", f"what was said as number {identity} is damaged: {error!r}") from error
    return Said(person, project, run, verdict, better, made, number, reply, refused, at, identity)
