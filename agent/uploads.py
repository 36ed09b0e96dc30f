"""Files that a page sends or points at: paths beneath the roots a person allowed, and uploads that go to disk piece by piece and can be resumed."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from moho import store
from moho.errors import DataError

LARGEST = 64 * 2**30  # bytes of an upload
FREE = 2**30  # bytes that an upload leaves free on the disk
PAUSE = 60.0  # s between pieces of an upload
KEPT = 7 * 86400.0  # s that an unfinished upload waits
LISTED = 2000  # names of a folder


@dataclass(frozen=True)
class Roots:
    """The folders that data may be taken from."""

    folders: Sequence[Path]

    def resolve(self, written: str) -> Path:
        """The path, every link followed, where it lies in one of the roots; DataError E_PERM otherwise."""
        if "\0" in written:
            raise DataError("E_ARGUMENT", "a path has no NUL in it")
        path = Path(written)
        if len(written) > 4096 or any(len(part.encode()) > 255 for part in path.parts):
            raise DataError("E_ARGUMENT", "no path is as long as that")
        if not path.is_absolute():
            found = [root / path for root in self.folders if (root / path).exists()]
            path = found[0] if found else (self.folders[0] / path if self.folders else path)
        try:
            real = path.resolve()
        except (OSError, RuntimeError) as error:  # links in a circle
            raise DataError("E_PERM", f"{written} cannot be followed") from error
        if not any(real == root or root in real.parents for root in (folder.resolve() for folder in self.folders)):
            allowed = ", ".join(map(str, self.folders)) or "none"
            raise DataError("E_PERM", f"{written} is not beneath a folder that data may be taken from", f"Allowed: {allowed} (--root).")
        if not real.exists():
            raise DataError("E_NOT_FOUND", f"there is no {written}")
        return real

    def listing(self, written: str) -> list[dict[str, object]]:
        """Folders, then files, of a folder beneath a root; of "" the roots."""
        if not written:
            return [{"name": str(folder), "path": str(folder), "folder": True, "bytes": 0} for folder in self.folders]
        real = self.resolve(written)
        if not real.is_dir():
            raise DataError("E_ARGUMENT", f"{written} is a file")
        rows: list[dict[str, object]] = []
        try:
            with os.scandir(real) as found:
                for entry in found:
                    if not entry.name.startswith(".") and len(rows) < LISTED:
                        folder = entry.is_dir(follow_symlinks=False)
                        size = 0 if folder else entry.stat(follow_symlinks=False).st_size
                        rows.append({"name": entry.name, "path": str(real / entry.name), "folder": folder, "bytes": size})
        except OSError as error:
            raise store.disk_error(error, real) from error
        return sorted(rows, key=lambda row: (not row["folder"], str(row["name"]).casefold()))


@dataclass(frozen=True)
class Upload:
    """A file on its way."""

    id: str
    name: str
    size: int
    offset: int  # bytes that have come


class Uploads:
    """The uploads into one folder. The folder of each has `upload.json` and `part`, and the whole file in a folder of its own in the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, name: str, size: int) -> Upload:
        """Make room for a file; DataError for a name that is no plain file name, too large a file or too full a disk."""
        plain = re.sub(r"[\x00-\x1f/\\]", "", name).strip()
        if not plain or plain in (".", "..") or plain.startswith(".") or len(plain.encode()) > 200:
            raise DataError("E_ARGUMENT", f"{name[:80]!r} is no file name")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        if not 0 < size <= LARGEST:
            raise DataError("E_LIMIT", f"an upload has 1 to {LARGEST} bytes, not {size}", "Point at the file on the server instead.")
        if shutil.disk_usage(self.folder).free < size + FREE:
            raise DataError("E_DISK", f"no room for {size} bytes", "Free some space, or point at the file on the server instead.")
        identity = secrets.token_hex(8)
        place = self.folder / identity
        place.mkdir()
        store.atomic_write(place / "upload.json", json.dumps({"name": plain, "size": size, "began": time.time()}).encode())
        (place / "part").touch()
        return Upload(identity, plain, size, 0)

    def state(self, identity: str) -> Upload:
        """How far an upload is."""
        if not re.fullmatch(r"[0-9a-f]{16}", identity) or not (self.folder / identity / "upload.json").exists():
            raise DataError("E_NOT_FOUND", f"there is no upload {identity[:20]!r}")
        place = self.folder / identity
        kept = json.loads((place / "upload.json").read_bytes())
        part = place / "part"
        return Upload(identity, kept["name"], kept["size"], part.stat().st_size if part.exists() else kept["size"])

    async def write(self, identity: str, offset: int, body: AsyncIterator[bytes]) -> Upload:
        """Put what comes behind what is there; E_CHANGED where `offset` is not where it ends, E_LIMIT where more comes than was said."""
        upload = self.state(identity)
        if offset != upload.offset:
            raise DataError("E_CHANGED", f"the upload is at byte {upload.offset}, not {offset}")
        place = self.folder / identity
        left = upload.size - offset
        if not (place / "part").exists():
            raise DataError("E_CHANGED", "the upload is whole already")
        with open(place / "part", "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DataError("E_LOCKED", "another request is sending this file") from error
            if file.seek(0, os.SEEK_END) != offset:
                raise DataError("E_CHANGED", f"the upload is at byte {file.tell()}, not {offset}")
            try:
                async for piece in _timely(body):
                    if len(piece) > left:
                        raise DataError("E_LIMIT", f"more than {upload.size} bytes came")
                    file.write(piece)
                    left -= len(piece)
            except OSError as error:
                raise store.disk_error(error, place) from error
            finally:
                file.flush()
        if left == 0:
            with open(place / "part", "rb") as file:
                os.fsync(file.fileno())
        return self.state(identity)

    def finish(self, identity: str) -> Path:
        """The whole file under its name; E_TRUNCATED where bytes are missing."""
        upload, place = self.state(identity), self.folder / identity
        if upload.offset != upload.size:
            raise DataError("E_TRUNCATED", f"{upload.offset} of {upload.size} bytes have come")
        target = place / "file" / upload.name  # a folder of its own: no name is one of ours
        target.parent.mkdir(exist_ok=True)
        if (place / "part").exists():
            os.rename(place / "part", target)
        return target

    def _sweep(self) -> None:
        for place in self.folder.iterdir():
            part = place / "part"
            if part.exists() and time.time() - part.stat().st_mtime > KEPT:
                shutil.rmtree(place, ignore_errors=True)


async def _timely(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces of a body; E_LIMIT where one does not come in time."""
    try:
        while True:
            async with asyncio.timeout(PAUSE):
                piece = await anext(body)
            yield piece
    except StopAsyncIteration:
        return
    except TimeoutError as error:
        raise DataError("E_LIMIT", f"nothing came for {PAUSE:g} s") from error
