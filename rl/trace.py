"""The log of a training run: one JSON object a line, cut back to a checkpoint when a run is resumed, and its curves as a picture."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moho import store

PANELS: dict[str, tuple[str, ...]] = {  # title -> the entries drawn in it
    "reward": ("reward",),
    "parts of the reward": ("part ",),
    "KL to the reference, nats an episode": ("kl", "kl_sampled"),
    "weight of the KL penalty": ("kl_weight",),
    "entropy, nats a token": ("entropy",),
    "explained variance": ("explained_variance",),
    "KL of an update, nats a token": ("approx_kl",),
    "share clipped": ("clip_fraction", "value_clip_fraction"),
    "largest ratio": ("ratio_max",),
    "losses": ("policy_loss", "value_loss"),
    "norm of the gradient": ("gradient_norm",),
    "turns, own tokens": ("turns", "own_tokens"),
    "seconds": ("seconds_sample", "seconds_score", "seconds_update"),
}


class Trace:
    """Lines appended to a file. What was written after the first `kept` lines, by a run that was killed, is dropped."""

    def __init__(self, path: Path, kept: int = 0) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = read(path)[:kept] if path.exists() else []
        store.atomic_write(path, "".join(map(_line, self.rows)).encode(), replace=True)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a line; what is not a finite number becomes null, which is JSON."""
        self.rows.append({key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()})
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(_line(self.rows[-1]))


def read(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log; a last one that a kill cut short is left out."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """The curves over the updates, as PNG or SVG by the name of `path`; nothing where there is none."""
    from matplotlib.ticker import MaxNLocator

    from moho.plot_frame import new, styled

    names = list(dict.fromkeys(key for row in rows for key, value in row.items() if value is not None))
    names = [name for name in names if not name.startswith("part ") or any(row.get(name) for row in rows)]  # parts that were ever earned
    panels = {title: [name for name in names if any(name == w or (w.endswith(" ") and name.startswith(w)) for w in wanted)]
              for title, wanted in PANELS.items()}  # fmt: skip
    panels = {title: found for title, found in panels.items() if found}
    if not panels:
        return
    with styled():
        figure = new(12.0, 2.2 * math.ceil(len(panels) / 3))
        for place, (title, found) in enumerate(panels.items(), 1):
            axes = figure.add_subplot(math.ceil(len(panels) / 3), 3, place)
            for number, name in enumerate(found):
                points = [(row["update"], row[name]) for row in rows if row.get(name) is not None]
                style = ("-", "--", ":")[number // 10 % 3]  # ten colours, then again
                axes.plot(*zip(*points, strict=True), style, label=name.removeprefix("part "), marker="." if len(points) < 30 else None)
            if title == "reward":
                band = [(row["update"], row["reward"], row["reward_error"]) for row in rows if row.get("reward_error") is not None]
                axes.fill_between([x for x, _, _ in band], [y - e for _, y, e in band], [y + e for _, y, e in band], alpha=0.25)
            if len(found) > 1:
                axes.legend(fontsize=6, ncols=1 + len(found) // 4, framealpha=0.6)
            axes.set_title(title)
            axes.set_xlabel("update")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.savefig(path, dpi=110)


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, allow_nan=False) + "\n"
