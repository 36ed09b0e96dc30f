"""What all drawings share: the house style, a figure that keeps its parameters, colour bars, titles, kilometre axes."""

from __future__ import annotations

import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter

from moho.survey import UNKNOWN, Data

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 10, "axes.labelsize": 9, "xtick.labelsize": 8, "ytick.labelsize": 8,
    "legend.fontsize": 8, "axes.linewidth": 0.7, "xtick.major.width": 0.7, "ytick.major.width": 0.7, "lines.linewidth": 1.0,
    "svg.hashsalt": "moho", "figure.facecolor": "white", "axes.formatter.useoffset": False, "axes.unicode_minus": True, "path.simplify": True,
    "agg.path.chunksize": 20000,
}  # fmt: skip
INK, QUIET = "#1a1a1a", "#595959"
P_COLOUR, S_COLOUR = "#0b5fa5", "#b5261e"  # P and S, apart in lightness too
_ONE = threading.RLock()


@contextmanager
def styled() -> Iterator[None]:
    """The house style over the library's own defaults, whatever the person's matplotlibrc says; one thread at a time."""
    with _ONE, matplotlib.style.context(["default", STYLE]):
        yield


class Picture(Figure):
    """A figure that remembers what it shows: `parameters`, JSON-plain."""

    parameters: dict[str, Any]


def new(width: float, height: float, **parameters: Any) -> Picture:
    """An empty figure of this size (inch) on an Agg canvas, laid out without overlaps."""
    figure = Picture(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06))
    FigureCanvasAgg(figure)
    figure.parameters = parameters
    return figure


def arrange(figure: Figure, **settings: Any) -> None:
    """Settings of the constrained layout: pads in inch, spaces as shares, rect as (left, bottom, width, height)."""
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(**settings)


def heading(figure: Figure, title: str, under: str, room: float = 0.0) -> None:
    """Title, and under it in small print what the reader must know; `room` inch below stay free for the title of a panel of equal aspect."""
    width, height = figure.get_size_inches()
    under = wrapped(under, width)
    letters = int(9.2 * width)
    title = title if len(title) <= letters else title[: letters - 1].rstrip(" ,;") + "\u2026"
    figure.text(0.012, 1 - 0.1 / height, title, ha="left", va="top", fontsize=12, color=INK, fontweight="bold")
    if under:
        figure.text(0.012, 1 - 0.34 / height, under, ha="left", va="top", fontsize=8.5, color=QUIET, linespacing=1.35)
    taken = 0.34 + (0.06 + 0.17 * (under.count("\n") + 1) if under else 0.0) + room
    arrange(figure, rect=(0, 0, 1, 1 - taken / height))


def wrapped(words: str, width: float, lines: int = 3) -> str:
    """Small print broken to the page's width (inch), at most so many lines."""
    return "\n".join(textwrap.wrap(words, max(int(12.7 * width), 30), max_lines=lines, placeholder=" ..."))


def title_of(data: Data, other: str) -> str:
    """The view's title, the data's, or `other`."""
    return str(data.view.get("title") or data.title or other)


def after(data: Data, most: int = 3) -> str:
    """'; after decon, bandpass': the last steps that made the data, plots and cuts left out; empty where there are none."""
    steps = [step.tool for step in data.history if not step.tool.startswith(("plot_", "segy_"))]
    return f"; after {'... ' if len(steps) > most else ''}{', '.join(steps[-most:])}" if steps else ""


def colour_bar(figure: Figure, shown: Any, axes: Any, label: str, **options: Any) -> Any:
    """A labelled colour bar beside `axes`."""
    largest = max(abs(v) for v in shown.get_clim())
    power = 3 * int(np.floor(np.log10(largest) / 3)) if largest > 0 else 0
    options = {"shrink": 0.85, "pad": 0.015, "aspect": 32} | options
    if largest >= 1e6 or 0 < largest < 1e-2:  # a power of a thousand in the label, not floating above the bar
        head, _, unit = label.rpartition("(")
        label = f"{head}($10^{{{power}}}$ {unit}" if head else f"{label} ($10^{{{power}}}$)"
        options["format"] = FuncFormatter(lambda value, _: f"{value / 10.0**power:g}")
    bar = figure.colorbar(shown, ax=axes, label=label, **options)
    bar.outline.set_linewidth(0.6)
    return bar


def with_unit(quantity: str, unit: str) -> str:
    """'quantity (unit)', saying so when the unit is not known."""
    if unit == UNKNOWN:
        return f"{quantity} (unit unknown)"
    return f"{quantity} ({unit})" if unit else quantity


def kilometres(ax: Axes, which: str = "both") -> None:
    """Metre axes labelled in km."""
    form = FuncFormatter(lambda value, _: f"{value / 1000:,.10g}".replace(",", "\u2009"))
    for name in ("x", "y"):
        if which in (name, "both"):
            getattr(ax, f"{name}axis").set_major_formatter(form)


def nice(length: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not longer."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(step for step in (1, 2, 5) if step * power <= length * (1 + 1e-9)) * power)
