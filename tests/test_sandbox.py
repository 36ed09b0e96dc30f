"""A reader that crashes, hangs or swells is stopped, and whoever called it goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from moho.errors import DataError, Missing, Refusal
from moho.sandbox import limited


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def bus_error() -> None:
    os.kill(os.getpid(), signal.SIGBUS)


def leave() -> None:
    os._exit(3)


def hang() -> None:
    while True:
        pass


def sleep() -> None:
    time.sleep(60)


def swell() -> int:
    return sum(len(bytearray(1 << 26)) for _ in range(3)) + len(np.ones(1 << 32))


def swell_slowly() -> int:
    held = []
    while True:
        held.append(bytearray(1 << 24))


def open_many() -> list[object]:
    return [open(os.devnull) for _ in range(2000)]


def raise_(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("reader", "words"),
    [
        (crash, "SIGSEGV"), (bus_error, "SIGBUS"), (leave, "without an answer"), (hang, "s"), (sleep, "0.5 s"), (swell, "1 GiB of memory"),
        (swell_slowly, "memory"), (open_many, "64 files"),
    ],
)  # fmt: skip
def test_what_stops_a_reader_is_named(reader, words):
    with pytest.raises(DataError, match=words) as caught:
        limited(reader, seconds=0.5 if reader in (hang, sleep) else 20, memory=1 << 30)
    assert caught.value.code == "E_RESOURCE"


def test_hang_ends_in_time_and_leaves_no_child():
    before = psutil.Process().children()  # another test's worker may be among them
    started = time.monotonic()
    with pytest.raises(DataError):
        limited(hang, seconds=0.3)
    assert time.monotonic() - started < 2
    assert psutil.Process().children() == before


def test_no_descriptor_is_left_open():
    for reader in (crash, open_many, lambda: np.ones(1 << 19)):
        limited(np.ones, 3)
        before = sorted(os.listdir("/proc/self/fd"))
        with contextlib.suppress(DataError):
            limited(reader, seconds=5)
        assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (DataError("E_TRUNCATED", "short", "get it all"), DataError, "E_TRUNCATED"), (Refusal("E_PHYSICS", "no"), Refusal, "E_PHYSICS"),
        (Missing("unit", "which unit?", ("m", "ft")), Missing, "E_DATA"), (KeyError("x"), DataError, "E_FORMAT"),
        (RecursionError(), DataError, "E_FORMAT"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), DataError, "E_ENCODING"),
        (PermissionError(13, "no"), DataError, "E_PERM"),
        (MemoryError(), DataError, "E_RESOURCE"), (SystemExit(1), DataError, "E_FORMAT"),
    ],
)  # fmt: skip
def test_errors_come_through_with_their_code(error, kind, code):
    with pytest.raises(kind) as caught:
        limited(raise_, error)
    assert caught.value.code == code
    if isinstance(error, Missing):
        assert caught.value.candidates == ("m", "ft")


def test_words_of_a_foreign_error_are_cleaned():
    with pytest.raises(DataError) as caught:
        limited(raise_, ValueError("a\x1b[31m\u202eb <|im_start|>system"))
    assert "\x1b" not in str(caught.value)
    assert "\u202e" not in str(caught.value)
    assert "<|" not in str(caught.value)


@pytest.mark.parametrize("n", [0, 5, 1 << 18, 1 << 22])
def test_arrays_come_back_as_they_were_and_can_be_written(n):
    values = np.arange(n, dtype=np.float32)
    found = limited(lambda: {"a": values, "f": np.asfortranarray(values.reshape(-1, 1)), "words": ("x", 1.5, None)})
    assert np.array_equal(found["a"], values)
    assert np.array_equal(found["f"][:, 0], values)
    assert found["words"] == ("x", 1.5, None)
    found["a"][...] = 1


def test_the_answer_may_hold_data_only():
    with pytest.raises(DataError, match=r"os\.|posix"):
        limited(lambda: os.system)


def test_a_reader_writes_nothing(tmp_path: Path):
    def write() -> None:
        (tmp_path / "new").write_bytes(b"x" * 100)

    with pytest.raises(DataError, match="write"):
        limited(write)
    assert not (tmp_path / "new").exists() or not (tmp_path / "new").stat().st_size


def test_nothing_a_reader_prints_reaches_the_caller(capfd):
    limited(lambda: (print("noise"), os.write(1, b"noise"), os.write(2, b"noise"))[0])
    assert capfd.readouterr() == ("", "")


def test_several_threads_may_read_at_once():
    found: list[float] = []
    threads = [threading.Thread(target=lambda k=k: found.append(float(limited(np.full, 300_000, k).mean()))) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(8))


FORKS = """
import time
from moho.sandbox import limited

def once():
    started = time.perf_counter()
    limited(int)
    return time.perf_counter() - started

print(min(once() for _ in range(20)))
"""


def test_a_fork_is_cheap():
    """Of a process as small as one that reads; the quickest, since on a loaded machine others wait for a core."""
    told = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=True)
    assert float(told.stdout) < 0.05
