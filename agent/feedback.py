"""What people say of Moho's answers, kept in Moho's own folder. What of it may be trained on is for `moho.rl.feedback`.

One SQLite file; what was acknowledged survives a kill. Each saying is bound to a run, to what the model was shown at each decision of it
and to its replies, so that it stays whole when the project goes. Only a person's own command or click writes here: no tool does,
and nothing a file or a model says reaches it.

The last word of a person on a run counts. Where two people disagree both are kept and neither is trained on.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moho import store
from moho.agent.better import Judged, judge, meant_alike
from moho.agent.decisions import Decided, decided, from_json, to_json
from moho.errors import DataError
from moho.project import Project
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

    def delete(self, identity: int, person: str) -> bool:
        """Remove what a person has said under this number, as if it had never been; False where they have said nothing of it."""
        if not self.path.exists():
            return False
        with self._opened() as connection, connection:
            connection.execute("PRAGMA secure_delete = ON")  # its words are overwritten
            connection.execute("BEGIN IMMEDIATE")
            gone = connection.execute("DELETE FROM said WHERE id = ? AND person = ?", (identity, person)).rowcount
        return bool(gone)

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
    if verdict != WITHDRAWN and (against := [name for name, one in others.items() if differ(one, said)]):
        told.append(f"{', '.join(sorted(against))} said otherwise: both are kept, neither is trained on")
    return said, told


def differ(one: Said, other: Said) -> bool:
    """Whether two sayings of one run contradict each other."""
    if one.verdict != other.verdict:
        return WITHDRAWN not in (one.verdict, other.verdict)
    return bool(one.reply and other.reply and one.number == other.number and not meant_alike(one.reply, other.reply))


def _said(row: Sequence[Any]) -> Said:
    identity, at, person, project, run, verdict, better, decisions, number, reply, refused = row
    try:
        kept: list[Mapping[str, Any]] = json.loads(decisions)
        made = [Decided(int(d["number"]), from_json(d["situation"]), str(d["reply"])) for d in kept]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("E_CHANGED", f"what was said as number {identity} is damaged: {error!r}") from error
    return Said(person, project, run, verdict, better, made, number, reply, refused, at, identity)
