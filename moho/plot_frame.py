"""What all drawings share: the house style, a figure that keeps its parameters, colour bars, titles, kilometre axes."""

from __future__ import annotations

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
from matplotlib.ticker import FuncFormatter

from moho.survey import UNKNOWN, Array, Data

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
    """matplotlib's own defaults and the house style, whatever the person's matplotlibrc says; one thread at a time."""
    with _ONE, matplotlib.style.context(["default", STYLE]):  # type: ignore[list-item]
        yield


class Picture(Figure):
    """A figure that remembers what it shows: `parameters`, JSON-plain."""

    parameters: dict[str, Any]


def new(width: float, height: float, **parameters: Any) -> Picture:
    """An empty figure of this size (inch) on an Agg canvas, laid out without overlaps."""
    figure = Picture(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)  # type: ignore[union-attr]
    figure.parameters = parameters
    return figure


def heading(figure: Figure, title: str, under: str) -> None:
    """Title, and under it in small print what the reader must know."""
    figure.suptitle(f"{title}\n" if under else title, x=0.012, ha="left", fontsize=12, color=INK, fontweight="bold")
    if under:
        figure.suptitle(title, x=0.012, ha="left", fontsize=12, color=INK, fontweight="bold", y=0.985, va="top")
        lines = under.count("\n") + 1
        height = figure.get_size_inches()[1]
        figure.text(0.012, 1 - (0.1 + 0.21) / height - 0.015, under, ha="left", va="top", fontsize=8.5, color=QUIET)
        engine = figure.get_layout_engine()
        engine.set(rect=(0, 0, 1, 1 - (0.16 + 0.16 * lines) / height))  # type: ignore[union-attr,call-arg]


def title_of(data: Data, other: str) -> str:
    """The view's title, the data's, or `other`."""
    return str(data.view.get("title") or data.title or other)


def colour_bar(figure: Figure, shown: Any, axes: Any, label: str, **options: Any) -> Any:
    """A labelled colour bar beside `axes`."""
    bar = figure.colorbar(shown, ax=axes, label=label, **({"shrink": 0.85, "pad": 0.015, "aspect": 32} | options))
    bar.outline.set_linewidth(0.6)
    return bar


def robust(values: Array, low: float = 1.0, high: float = 99.0) -> tuple[float, float]:
    """Percentiles of what is finite, never of equal value; from at most about two million samples."""
    flat = np.asarray(values).ravel()
    flat = flat[:: max(1, flat.size // 2_000_000)]
    flat = flat[np.isfinite(flat)]
    if not flat.size:
        return 0.0, 1.0
    bottom, top = (float(v) for v in np.percentile(flat, [low, high]))
    if top - bottom <= 1e-9 * max(abs(top), abs(bottom)):
        bottom, top = float(flat.min()), float(flat.max())
    if top <= bottom:
        bottom, top = bottom - 0.5 * (abs(bottom) or 1), top + 0.5 * (abs(top) or 1)
    return bottom, top


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
