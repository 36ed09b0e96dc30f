"""A parser in a child process with limits: a crash, a hang or a memory bomb becomes a typed error and the caller lives.

The child is a warm fork, a few milliseconds. It runs parsers only: never torch, never anything that writes for the user.
Large arrays come back through anonymous shared memory without a copy in the caller.
"""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import gc
import json
import math
import mmap
import os
import pickle
import resource
import select
import signal
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from moho.errors import DataError, Missing, MohoError, Refusal
from moho.files import clean

T = TypeVar("T")

GIB = 2**30
FILES = 64  # descriptors a parser may hold
SPARE = 256 * 2**20  # bytes of address space kept back for reporting an exhausted limit
REPORT = 64 * 2**20  # bytes at most of a report; results travel in shared memory
PACKAGES = {"moho", "obspy", "numpy", "collections", "datetime", "copyreg", "pathlib", "decimal", "types"}  # whose classes a result may hold
BUILTINS = {"set", "frozenset", "complex", "bytearray", "range", "slice", "list", "dict", "tuple", "int", "float", "str", "bytes", "bool", "object"}


def limited(
    function: Callable[..., T], *args: Any, seconds: float = 60.0, memory: int = 4 * GIB, written: int = 0, **kwargs: Any
) -> T:
    """What `function(*args, **kwargs)` returns, run in a forked child with limits.

    `memory` bytes beyond what the process maps already, `seconds` of wall clock and of processor, `written` bytes in any
    file. DataError E_RESOURCE names the limit that was met or the signal the child died of. Errors of Moho come through with
    their code; any other exception of the parser becomes a DataError (E_FORMAT, E_ENCODING, E_PERM, E_NOT_FOUND). Warnings
    of the parser's libraries are not shown: a reader that needs them records them.
    """
    what = _subject(function, args)
    _libc()
    shared = _shared_file()
    reading, writing = os.pipe()
    child, status = 0, None
    try:
        parent = os.getpid()
        child = _fork()
        if child == 0:
            try:
                _confine(parent, seconds, memory, written, keep=(shared, writing))
                _work(function, args, kwargs, what, shared, writing)
            finally:
                os._exit(70)
        os.close(writing)
        writing = -1
        report, status = _listen(reading, child, time.monotonic() + seconds)
        if report is None and status is None:
            words = f"{what}: the reader was stopped after {seconds:g} s."
            raise DataError("E_RESOURCE", words, "The file may be damaged or built to hang a reader.")
        if status is None:
            status = _wait(child)
        if report is None:
            raise DataError("E_RESOURCE", f"{what}: the reader died ({_death(status, seconds)}).", "The file is damaged or built to crash a reader.")
        if report["status"] == "ok":
            result: T = _take_over(report["parts"], shared)
            return result
        raise _rebuilt(report, memory, what)
    finally:
        for descriptor in (reading, writing, shared):
            if descriptor >= 0:
                os.close(descriptor)
        if child and status is None:
            os.kill(child, signal.SIGKILL)
            _wait(child)


def _subject(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """What an error speaks of: the first path among the arguments, else the function."""
    for value in args:
        if isinstance(value, os.PathLike):
            return clean(Path(value).name, 120)
    return str(getattr(function, "__name__", "the reader"))


@cache
def _libc() -> Any:
    """The C library, loaded before the fork; None where there is no prctl."""
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _shared_file() -> int:
    if sys.platform == "linux":
        return os.memfd_create("moho", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _fork() -> int:
    """os.fork. Other threads' locks are of no concern: the child touches no thread, no torch and none of the caller's files."""
    if sys.version_info < (3, 12):
        return os.fork()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


# -- in the child


def _confine(parent: int, seconds: float, memory: int, written: int, keep: tuple[int, int]) -> None:
    """Limits, default signals, no inherited descriptor but the two it answers through."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGXCPU, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which stops the child
    if (libc := _libc()) is not None:
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: nothing is orphaned
        libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        if os.getppid() != parent:
            os._exit(71)
    faulthandler.disable()
    sys.settrace(None)
    sys.setprofile(None)
    gc.disable()
    gc.freeze()  # no finaliser of the caller's objects may close a descriptor that the parser opens
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    sys.stdout = sys.stderr = open(1, "w", closefd=False)  # noqa: SIM115
    largest = max(int(name) for name in os.listdir("/dev/fd"))
    edge = 3
    for kept in sorted(keep):
        os.closerange(edge, kept)
        edge = kept + 1
    os.closerange(edge, largest + 1)
    gc.enable()
    whole = math.ceil(max(seconds, 1))
    for limit, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_CPU, whole, whole + 1),
        (resource.RLIMIT_NOFILE, FILES, FILES),
        (resource.RLIMIT_FSIZE, written, memory + written + SPARE),
        (resource.RLIMIT_AS, _mapped() + memory, _mapped() + memory + SPARE),
    ):
        _lower(limit, soft, hard)


def _lower(limit: int, soft: int, hard: int) -> None:
    """Set a limit, never above the hard one already held."""
    held = resource.getrlimit(limit)[1]
    if held != resource.RLIM_INFINITY:
        hard = min(hard, held)
    resource.setrlimit(limit, (min(soft, hard), hard))


def _mapped() -> int:
    """Bytes of address space in use."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
    except OSError:
        return 0


def _work(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], what: str, shared: int, pipe: int) -> NoReturn:
    try:
        result = function(*args, **kwargs)
        _raise_limits()
        report = {"status": "ok", "parts": _hand_over(result, shared)}
    except BaseException as error:
        _raise_limits()
        report = _described(error, what)
    message = json.dumps(report).encode()
    message = struct.pack("<Q", len(message)) + message
    while message:
        message = message[os.write(pipe, message) :]
    os._exit(0)


def _raise_limits() -> None:
    """The reserve kept for reporting: the parser is done, what follows is ours."""
    for limit in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE):
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (hard, hard))


def _hand_over(result: Any, shared: int) -> list[tuple[int, int]]:
    """The result in shared memory, arrays as they lie and the rest pickled; (offset, length) of each piece."""
    buffers: list[pickle.PickleBuffer] = []
    pieces: list[Any] = [pickle.dumps(result, protocol=5, buffer_callback=buffers.append)]
    pieces += [buffer.raw() for buffer in buffers]
    parts, offset = [], 0
    for piece in pieces:
        view = memoryview(piece)
        parts.append((offset, view.nbytes))
        done = 0
        while done < view.nbytes:
            done += os.pwrite(shared, view[done : done + GIB], offset + done)
        offset += -(-view.nbytes // 64) * 64
    return parts


def _described(error: BaseException, what: str) -> dict[str, Any]:
    """An exception as plain JSON."""
    if isinstance(error, Missing):
        return {"status": "missing", "argument": error.argument, "message": error.message, "candidates": list(error.candidates)}
    if isinstance(error, MohoError):
        return {"status": "refusal" if isinstance(error, Refusal) else "error", "code": error.code, "message": error.message, "hint": error.hint}
    words = f"{type(error).__name__}: {clean(str(error), 300)}"
    if isinstance(error, MemoryError):
        return {"status": "memory"}
    code, message = "E_FORMAT", f"{what} cannot be read ({words})."
    if isinstance(error, RecursionError):
        message = f"{what} is nested too deeply to be read."
    elif isinstance(error, UnicodeError):
        code, message = "E_ENCODING", f"{what}: text cannot be decoded ({words})."
    elif isinstance(error, OSError):
        if error.errno == errno.ENOMEM:
            return {"status": "memory"}
        codes = {errno.ENOENT: "E_NOT_FOUND", errno.EACCES: "E_PERM", errno.EPERM: "E_PERM", errno.EMFILE: "E_RESOURCE", errno.EFBIG: "E_RESOURCE"}
        code = codes.get(error.errno or 0, code)
        if error.errno == errno.EMFILE:
            message = f"{what}: the reader opened more than {FILES} files."
        elif error.errno == errno.EFBIG:
            message = f"{what}: the reader tried to write more than it may."
    return {"status": "error", "code": code, "message": message, "hint": ""}


# -- in the parent


def _listen(pipe: int, child: int, deadline: float) -> tuple[dict[str, Any] | None, int | None]:
    """(report, None) when one came, (None, status) when the child died without, (None, None) when time is up."""
    poller = select.poll()
    poller.register(pipe, select.POLLIN)
    held = bytearray()
    status: int | None = None
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return None, status
        if poller.poll(1000 * min(left, 0.05)):
            piece = os.read(pipe, 1 << 16)
            held += piece
            if len(held) >= 8 and len(held) >= 8 + (length := struct.unpack_from("<Q", held)[0]):
                return json.loads(bytes(held[8 : 8 + length])), status
            if not piece or len(held) > REPORT:
                return None, status if status is not None else (_wait(child) if not piece else None)
        elif status is not None:  # dead, and nothing left to read
            return None, status
        else:
            status = _wait(child, os.WNOHANG)


def _wait(child: int, flag: int = 0) -> int | None:
    """The status of the child, reaped; None while it runs, 0 where someone else has reaped it."""
    try:
        pid, status = os.waitpid(child, flag)
    except ChildProcessError:
        return 0
    return status if pid else None


def _death(status: int | None, seconds: float) -> str:
    if status is None or not os.WIFSIGNALED(status):
        return "it ended without an answer"
    number = os.WTERMSIG(status)
    if number == signal.SIGXCPU:
        return f"more than {seconds:g} s of processor time"
    if number == signal.SIGKILL:
        return "killed, as when the machine is out of memory"
    return signal.Signals(number).name


def _rebuilt(report: dict[str, Any], memory: int, what: str) -> MohoError:
    """The child's error, its words cleaned."""
    if report["status"] == "missing":
        return Missing(report["argument"], clean(report["message"], 2000), tuple(report["candidates"]))
    if report["status"] == "memory":
        words = f"{what}: the reader needed more than {memory / GIB:.3g} GiB of memory."
        return DataError("E_RESOURCE", words, "The file may be damaged or built to exhaust a reader.")
    kind = Refusal if report["status"] == "refusal" else DataError
    return kind(report["code"], clean(report["message"], 2000), clean(report["hint"], 1000))


def _take_over(parts: list[tuple[int, int]], shared: int) -> Any:
    """The result, its arrays lying in the memory the child wrote."""
    total = max(offset + length for offset, length in parts if length)  # the pickled body is never empty
    if os.fstat(shared).st_size < total:
        raise DataError("E_RESOURCE", "the reader's answer is incomplete.")
    if total < 1 << 20:
        lying = memoryview(bytearray(os.pread(shared, total, 0)))
    else:
        lying = memoryview(mmap.mmap(shared, total, access=mmap.ACCESS_COPY))
    body, *buffers = (lying[offset : offset + length] for offset, length in parts)
    return _Answer(_Reader(body), buffers=buffers).load()


class _Reader:
    """A memory view as the file `pickle` wants."""

    def __init__(self, view: memoryview) -> None:
        self.view, self.at = view, 0

    def read(self, n: int = -1) -> bytes:
        end = len(self.view) if n < 0 else min(len(self.view), self.at + n)
        piece = bytes(self.view[self.at : end])
        self.at = end
        return piece

    def readline(self) -> bytes:
        rest = bytes(self.view[self.at :])
        line = rest[: rest.find(b"\n") + 1] or rest
        self.at += len(line)
        return line


class _Answer(pickle.Unpickler):  # our own child's answer, and still only classes a reader returns
    def find_class(self, module: str, name: str) -> Any:
        if (module == "builtins" and name not in BUILTINS) or (module != "builtins" and module.split(".")[0] not in PACKAGES):
            raise DataError("E_RESOURCE", f"the reader's answer holds a {module}.{name}, which is no data.")
        return super().find_class(module, name)
