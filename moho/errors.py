"""The two ways a request can be turned down, each with a code that a program can read.

`DataError`: a file or data set is not what was asked for. `Refusal`: physics or the data do not allow it.
A plain `ValueError` or `TypeError` from a tool means its caller may try again with other arguments.
"""

from __future__ import annotations

CODES = {
    "E_FORMAT": "not a format Moho reads, or not the format it claims to be",
    "E_TRUNCATED": "the file ends before its headers say it does",
    "E_HEADER": "headers that contradict each other or the data",
    "E_UNSUPPORTED": "a known format in a variant that is not read",
    "E_LIMIT": "larger than the limits set for reading",
    "E_ENCODING": "text that cannot be decoded",
    "E_GEOMETRY": "coordinates, offsets or numbering are absent or do not form a geometry",
    "E_UNITS": "units are unknown or do not fit",
    "E_NOT_FOUND": "no such file or data set",
    "E_DISK": "the disk is full or does not take writes",
    "E_PERM": "not allowed to read or write there",
    "E_LOCKED": "another process is writing this project",
    "E_BUSY": "too much is under way",
    "E_CHANGED": "an input is no longer the file that was added",
    "E_BUDGET": "more steps, time or memory than this request may use",
    "E_RESOURCE": "the reader was stopped: memory, time or a crash",
    "E_PHYSICS": "physics does not allow it",
    "E_DATA": "the data do not allow it",
    "E_APPROVAL": "a person has to approve it first",
    "E_ARGUMENT": "an argument that cannot be used",
    "E_INTERNAL": "an error of Moho's own",
    "E_SCOPE": "not a geophysical request that Moho's tools can answer",
}


class MohoError(Exception):
    """An error with a code from `CODES`, a message with the numbers, and what to do about it."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        if code not in CODES:
            raise KeyError(code)
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint

    def __str__(self) -> str:
        message = self.message.rstrip()
        stop = "" if message.endswith((".", "?", "!", ":", ";")) or not self.hint else "."
        return f"{message}{stop} {self.hint}".strip() + f" [{self.code}]"

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:  # crosses the reader's process boundary
        return type(self), (self.code, self.message, self.hint)


class DataError(MohoError):
    """A file or data set is missing, damaged or not what it claims."""


class Refusal(MohoError):
    """Physics, the data or a limit do not allow what was asked; trying other words will not help."""


class Missing(MohoError):
    """A value or data set that only the person can give. `argument` names it (`also` others), `candidates` are the choices."""

    def __init__(self, argument: str, message: str, candidates: tuple[str, ...] = (), also: tuple[str, ...] = ()) -> None:
        super().__init__("E_DATA", message)
        self.argument, self.candidates, self.also = argument, candidates, also

    @property
    def about(self) -> list[str]:
        """The names of all that is missing."""
        return [self.argument, *self.also]

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[type, tuple]:
        return type(self), (self.argument, self.message, self.candidates, self.also)
