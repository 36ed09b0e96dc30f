"""What a DLIS or LIS file holds, and one of its frames as a well. Reading the bytes is `moho.dlis`; curves are worked on in `wells`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np

from moho.agent.registry import tool
from moho.errors import Missing
from moho.survey import Data, LogFile, Report
from moho.units import Quantity


@tool(
    discipline="well",
    stage="inspect",
    say=(
        "What frames are in {file}?",
        "Inspect the DLIS file {file}",
        "list the channels of frame {frame} in {file}",
        "which curves does {file} have and in what units",
        "dlis header of {file} pls",
        "how many samples and channels in each frame of {file}",
        "is {file} indexed by time or by depth?",
        "show me what the LIS file {file} contains",
        "please to tell me frames and channels of {file}",
        "what is logged in frame {frame}?",
    ),
    reference="American Petroleum Institute 1991, Recommended Practice 66 (RP66 v1); Schlumberger 1979, Log Information Standard (LIS 79)",
    truth="the Fulla file lists its frames as they are, 921 x 4 and 2301 x 43; a frame over time is said not to be depth",
)
def dlis_inspect(file: LogFile, frame: Annotated[str, "frame"] | None = None) -> Report:
    """Frames with samples, channels and index; for the frame named, or the only one, its channels with units."""
    facts = dict(file.summary())
    counts = {name: (int(rows), int(np.sum(file.frame == name))) for name, rows in zip(file.frames, file.rows, strict=True)}
    for name, (rows, channels) in counts.items():
        facts[f"{name}_samples"] = Quantity(rows, "", f"samples in frame {name}")
        facts[f"{name}_channels"] = Quantity(channels, "", f"channels in frame {name}")
    chosen = _frame(file, frame) if frame is not None else file.frames[0] if len(file.frames) == 1 else None
    which = file.frame == chosen if chosen else np.ones(len(file.frame), dtype=bool)
    if chosen:
        listed = [f"{name} ({unit})" if unit else str(name) for name, unit in zip(file.channel[which], file.unit[which], strict=True)]
        facts["channels"] = Quantity(listed, "", f"channels of frame {chosen}")
    notes = [*file.notes]
    for name, index, spacing in zip(file.frames, file.index, file.spacing, strict=True):
        if chosen in (None, name):
            notes.append(f"frame {name}: index {index}, spacing {spacing}")
            if "depth" not in index.rpartition(",")[2]:
                notes.append(f"frame {name} does not count depth: it is read as a table, not as a well")
    columns = {"frame": file.frame, "channel": file.channel, "unit": file.unit, "values": file.values, "description": file.description}
    arrays = {name: array[which] for name, array in columns.items()}
    return Report(title=f"contents of {file.title or Path(file.path).name}", facts=facts, notes=tuple(notes), arrays=arrays)


@tool(
    discipline="well",
    stage="inspect",
    say=(
        "Read frame {frame} of {file}",
        "get the logs of frame {frame} out of {file}",
        "load {frame} from the DLIS {file}",
        "make a well from {file}, frame {frame}",
        "open frame {frame}",
        "extract the curves in {frame} of {file} please",
        "dlis to well {file} {frame}",
        "I need the data of frame {frame} from {file}",
        "please to take frame {frame} of file {file}",
    ),
    reference="American Petroleum Institute 1991, Recommended Practice 66 (RP66 v1)",
    truth="a made frame of 10 samples comes back with its depths and values, tenths of an inch as 0.00254 m; a frame over time is a table, "
    "never a well",
)
def dlis_read(file: LogFile, frame: Annotated[str, "frame"] | None = None) -> Data:
    """One frame: a well over depth in metres where it counts depth, else a table."""
    from moho.read import read

    if frame is None and len(file.frames) > 1:
        raise Missing("frame", f"Which frame of {file.title or 'the file'} do you mean: {', '.join(file.frames)}?", file.frames)
    return read(file.path, frame=file.frames[0] if frame is None else _frame(file, frame))


def _frame(file: LogFile, asked: str) -> str:
    """The frame meant; ValueError lists them."""
    for name in file.frames:
        if name.casefold() == asked.strip().casefold():
            return name
    raise ValueError(f"there is no frame {asked!r}; {file.title or 'the file'} has {', '.join(file.frames)}")
