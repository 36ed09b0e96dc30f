"""Logs in tracks over one depth axis: the scale of every curve in the header above it, tops across.

GR, CALI, SP | depth | resistivity on 0.2 to 2000 | density and neutron on compatible scales | sonic | computed curves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import AutoMinorLocator, FixedLocator, MaxNLocator, NullFormatter

from moho.errors import MohoError
from moho.plot_frame import INK, QUIET, Picture, new, title_of, wrapped
from moho.survey import UNKNOWN, Array, Well
from moho.units import convert

CROSSOVER, SHALE = "#f4d03f", "#c9c3b8"


@dataclass(frozen=True)
class Scale:
    """How one curve is drawn: limits at the left and right edge in its recorded unit, colour, line style."""

    mnemonic: str
    left: float
    right: float
    unit: str
    colour: str
    dash: str = "-"
    log: bool = False


# kind -> unit of the limits, limits, limits when the data lie outside the first, colour, dash
TRACKS: dict[str, dict[str, tuple[str, tuple[float, float], tuple[float, float], str, str]]] = {
    "correlation": {
        "GR": ("gAPI", (0, 150), (0, 300), "#1b7837", "-"),
        "CALI": ("in", (6, 16), (6, 26), "#7a7a7a", "--"),
        "SP": ("mV", (-160, 40), (-300, 100), "#2166ac", ":"),
    },
    "resistivity": {"RT": ("ohm.m", (0.2, 2000), (0.02, 20000), "#b2182b", "-")},
    "density neutron": {
        "RHOB": ("g/cm3", (1.95, 2.95), (1.65, 2.65), "#c0392b", "-"),
        "NPHI": ("v/v", (0.45, -0.15), (0.63, 0.03), "#1f4e9c", "--"),
    },
    "sonic": {"DT": ("us/ft", (140, 40), (240, 40), "#5b2c83", "-"), "DTS": ("us/ft", (440, 40), (640, 40), "#b07aa1", "--")},
    "computed": {
        "VSH": ("v/v", (0, 1), (-0.2, 1.2), "#6b7d2b", "-"),
        "PHI": ("v/v", (0.5, 0), (0.8, -0.2), "#2c7fb8", "-"),
        "SW": ("v/v", (1, 0), (1.4, -0.2), "#08519c", "-"),
    },
    "impedance": {"AI": ("kg/m2/s", (2e6, 10e6), (1e6, 20e6), "#2b2b2b", "-"), "VP": ("m/s", (1500, 5500), (300, 8000), "#7a5195", "--")},
}


def logs(data: Well) -> Picture:
    """Every curve that has a known kind, in its track; curves of no known kind are named in the small print."""
    top = float(data.view.get("top", data.depth[0]))
    base = float(data.view.get("base", data.depth[-1]))
    rows = np.flatnonzero((data.depth >= top - 1e-6) & (data.depth <= base + 1e-6))
    depth = data.depth[rows]
    tracks = _tracks(data, rows)
    drawn = {scale.mnemonic for scales in tracks.values() for scale in scales}
    if not drawn:  # no curve of a kind we know: the first four, each on its own range
        tracks = {name: [_free(data, name, rows)] for name in list(data.curves)[:4]}
        drawn = set(tracks)
    left = [name for name in data.curves if name not in drawn]
    names = list(tracks)
    names.insert(1 if names and names[0] == "correlation" else 0, "depth")
    widths = [0.42 if name == "depth" else 1.0 for name in names]
    most = max(len(scales) for scales in tracks.values())
    longest = max((len(_short(name)) for name, place in data.tops.items() if top <= place <= base), default=0)
    margin = 0.3 + 0.07 * longest if longest else 0.15  # inch, for the names of the tops
    width = 0.75 + 1.75 * sum(widths) + margin
    height = 9.0
    figure = new(max(width, 5.5), height, reference=data.reference, depth_extent=[top, base], tracks={
        name: {s.mnemonic: {"left": s.left, "right": s.right, "unit": s.unit, "log": s.log} for s in scales} for name, scales in tracks.items()
    })  # fmt: skip
    figure.set_layout_engine("none")
    head = 0.16 + 0.36 * most
    grid = figure.add_gridspec(
        2, len(names), width_ratios=widths, height_ratios=[head, height - head - 1.1], wspace=0.06, hspace=0.0,
        left=0.15 / width, right=1 - margin / width, top=1 - 0.85 / height, bottom=0.2 / height,
    )  # fmt: skip
    axes = []
    for column, name in enumerate(names):
        header = figure.add_subplot(grid[0, column], label=f"header {name}")
        ax = figure.add_subplot(grid[1, column], label=name)
        ax.set_ylim(float(depth[-1]), float(depth[0]))
        ax.yaxis.set_major_locator(MaxNLocator(14, steps=[1, 2, 5, 10]))
        ax.yaxis.set_minor_locator(AutoMinorLocator(5))
        _frame(header)
        if name == "depth":
            _depth_track(header, ax, data)
        else:
            _curves(header, ax, data, tracks[name], depth, rows, most)
            if {s.mnemonic for s in tracks[name]} >= {_maybe(data, "RHOB"), _maybe(data, "NPHI")}:
                _crossover(ax, data, tracks[name], depth, rows)
            axes.append(ax)
    _tops(axes, data, top, base)
    reference = {"MD": "measured depth (MD)", "TVD": "true vertical depth (TVD)", "TVDSS": "true vertical depth subsea (TVDSS)"}
    said = f"{reference.get(data.reference, 'depth, reference unknown (MD or TVD not stated)')}, {top:.6g} to {base:.6g} m"
    if off := _off_scale(data, [scale for scales in tracks.values() for scale in scales], rows):
        said += f"; off the scale of the track: {', '.join(off)}"
    if left:
        said += f"; not drawn: {', '.join(left[:8])}{f' and {len(left) - 8} more' if len(left) > 8 else ''}"
    title = title_of(data, data.well_name or "Well")
    figure.text(0.15 / width, 1 - 0.1 / height, title, ha="left", va="top", fontsize=12, fontweight="bold", color=INK)
    figure.text(0.15 / width, 1 - 0.38 / height, wrapped(said, width, 2), ha="left", va="top", fontsize=8.5, color=QUIET)
    return figure


def _off_scale(data: Well, scales: list[Scale], rows: Array) -> list[str]:
    """Curves of which a thousandth or more lies beyond the limits they are drawn on, with that share and how far they go."""
    found = []
    for scale in scales:
        values = data.curves[scale.mnemonic].values[rows]
        values = values[np.isfinite(values)]
        low, high = sorted((scale.left, scale.right))
        for side, beyond in (("below", values[values < low]), ("above", values[values > high])):
            if len(beyond) >= 1e-3 * len(values) and len(beyond):
                far, limit = (beyond.min(), low) if side == "below" else (beyond.max(), high)
                share = f"{100 * len(beyond) / len(values):.2g} % {side} {_number(limit)}"
                found.append(f"{scale.mnemonic} {share}, {'down' if side == 'below' else 'up'} to {_number(float(far))}")
    return found


def _short(name: str) -> str:
    """A top's name as long as the margin takes."""
    return name if len(name) <= 18 else name[:17].rstrip() + "…"


def _maybe(data: Well, kind: str) -> str | None:
    """The mnemonic of this kind, or None."""
    try:
        return data.find(kind)
    except MohoError:
        return None


def _tracks(data: Well, rows: Array) -> dict[str, list[Scale]]:
    found: dict[str, list[Scale]] = {}
    for track, kinds in TRACKS.items():
        scales = []
        for kind, (unit, usual, wide, colour, dash) in kinds.items():
            mnemonic = _maybe(data, kind)
            if kind in ("VSH", "PHI", "SW") and mnemonic is None:
                mnemonic = next((name for name in data.curves if name.upper().startswith(kind)), None)
            if mnemonic is None or not np.isfinite(data.curves[mnemonic].values[rows]).any():
                continue
            scales.append(_scale(data, mnemonic, rows, unit, usual, wide, colour, dash))
        if scales:
            found[track] = scales
    if _shallow(found.get("density neutron", []), data, rows):
        pair = [TRACKS["density neutron"][kind] for kind in ("RHOB", "NPHI")]
        found["density neutron"] = [_shift(scale, *kind) for scale, kind in zip(found["density neutron"], pair, strict=True)]
    return found


def _scale(
    data: Well, mnemonic: str, rows: Array, unit: str, usual: tuple[float, float], wide: tuple[float, float], colour: str, dash: str
) -> Scale:
    """Limits in the recorded unit; the wide ones when more than a twentieth of the samples leave the usual ones."""
    curve = data.curves[mnemonic]
    values = curve.values[rows]
    values = values[np.isfinite(values)]
    recorded = curve.unit
    try:
        if recorded == unit:
            usual_here, wide_here = list(usual), list(wide)
        else:
            usual_here, wide_here = ([_neat(float(np.asarray(convert(np.array(v), unit, recorded)))) for v in pair] for pair in (usual, wide))
    except (ValueError, TypeError):
        if recorded not in (UNKNOWN, ""):
            return _free(data, mnemonic, rows, colour, dash)
        usual_here, wide_here = list(usual), list(wide)
    outside = np.mean((values < min(usual_here)) | (values > max(usual_here)))
    left, right = wide_here if outside > 0.05 else usual_here
    log = unit == "ohm.m"
    if np.mean((values < min(left, right)) | (values > max(left, right))) > 0.5:
        return _free(data, mnemonic, rows, colour, dash)
    return Scale(mnemonic, left, right, recorded, colour, dash, log)


def _shallow(scales: list[Scale], data: Well, rows: Array) -> bool:
    """Whether a density-neutron track needs the scales for soft rock: the pair moves together or not at all."""
    if len(scales) < 2:
        return False
    kinds = [TRACKS["density neutron"][kind] for kind in ("RHOB", "NPHI")]
    return any(abs(scale.left) == abs(_limit(kind[2][0], kind[0], scale.unit)) for scale, kind in zip(scales, kinds, strict=True))


def _shift(scale: Scale, unit: str, usual: tuple[float, float], wide: tuple[float, float], colour: str, dash: str) -> Scale:
    return Scale(scale.mnemonic, _limit(wide[0], unit, scale.unit), _limit(wide[1], unit, scale.unit), scale.unit, colour, dash)


def _limit(value: float, unit: str, recorded: str) -> float:
    if unit == recorded:
        return value
    try:
        return _neat(float(np.asarray(convert(np.array(value), unit, recorded))))
    except (ValueError, TypeError):
        return value


def _neat(value: float) -> float:
    """Three significant digits: 459.3 us/m is 459."""
    return float(f"{value:.3g}")


def _number(value: float) -> str:
    return f"{value:.4g}".replace("e+0", "e")


def _free(data: Well, mnemonic: str, rows: Array, colour: str = "#333333", dash: str = "-") -> Scale:
    """A curve on the range of its own data."""
    curve = data.curves[mnemonic]
    values = curve.values[rows]
    values = values[np.isfinite(values)]
    low, high = (float(v) for v in np.percentile(values, [1, 99])) if values.size else (0.0, 1.0)
    room = 0.1 * (high - low) or abs(high) or 1.0
    return Scale(mnemonic, _neat(low - room), _neat(high + room), curve.unit, colour, dash)


def _frame(ax: Axes) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)


def _depth_track(header: Axes, ax: Axes, data: Well) -> None:
    name = data.reference if data.reference != UNKNOWN else "depth"
    header.text(0.5, 0.5, f"{name}\n(m)", ha="center", va="center", fontsize=9)
    ax.set_xlim(0, 1)
    ax.set_xticks([])
    ax.set_ylabel(f"{name} (m)")
    ax.yaxis.label.set_visible(False)
    ax.tick_params(axis="y", which="both", direction="in", left=True, right=True, labelleft=False)
    low, high = sorted(ax.get_ylim())
    for value in ax.yaxis.get_major_locator().tick_values(low, high):
        if low + 0.005 * (high - low) < value < high - 0.005 * (high - low):
            ax.text(0.5, value, f"{value:g}", ha="center", va="center", fontsize=8)


def _curves(header: Axes, ax: Axes, data: Well, scales: list[Scale], depth: Array, rows: Array, most: int) -> None:
    """One track: each curve on its own horizontal scale, which the header writes above it."""
    ax.tick_params(axis="y", which="both", left=False, labelleft=False)
    for number, scale in enumerate(scales):
        own = ax if number == 0 else ax.twiny()
        if number:
            own.set_label(f"{ax.get_label()} {scale.mnemonic}")
            own.set_xticks([])
        if scale.log:
            own.set_xscale("log")
        own.set_xlim(scale.left, scale.right)
        values = data.curves[scale.mnemonic].values[rows]
        if scale.log:
            values = np.where(values > 0, values, np.nan)
        own.plot(values, depth, color=scale.colour, ls=scale.dash, lw=0.8)
        unit = "unit unknown" if scale.unit == UNKNOWN else scale.unit
        own.set_xlabel(f"{scale.mnemonic} ({unit})" if unit else scale.mnemonic)
        own.xaxis.label.set_visible(False)
        y = (number + 0.35) / most
        header.plot([0.04, 0.96], [y, y], color=scale.colour, ls=scale.dash, lw=1.2)
        header.text(0.5, y + 0.09 / most, own.get_xlabel(), ha="center", va="bottom", fontsize=8, color=scale.colour)
        header.text(0.04, y - 0.07 / most, _number(scale.left), ha="left", va="top", fontsize=7, color=scale.colour)
        header.text(0.96, y - 0.07 / most, _number(scale.right), ha="right", va="top", fontsize=7, color=scale.colour)
        own.xaxis.set_major_formatter(NullFormatter())
        own.xaxis.set_minor_formatter(NullFormatter())
        own.tick_params(axis="x", which="both", length=0)
    first = scales[0]
    if first.log:
        ax.grid(axis="x", which="both", color="#d5d5d5", lw=0.35)
        ax.grid(axis="x", which="major", color="#8c8c8c", lw=0.5)
    else:
        ax.xaxis.set_major_locator(FixedLocator(np.linspace(first.left, first.right, 6).tolist()))
        ax.grid(axis="x", color="#d5d5d5", lw=0.4)
    ax.grid(axis="y", which="major", color="#a6a6a6", lw=0.45)
    ax.grid(axis="y", which="minor", color="#e3e3e3", lw=0.3)
    ax.set_axisbelow(True)


def _crossover(ax: Axes, data: Well, scales: list[Scale], depth: Array, rows: Array) -> None:
    """Yellow where the density curve lies left of the neutron curve (gas, or clean sand on limestone scales), grey where right."""
    place = []
    for scale in scales[:2]:
        place.append((data.curves[scale.mnemonic].values[rows] - scale.left) / (scale.right - scale.left))
    density, neutron = (scales[0].left + part * (scales[0].right - scales[0].left) for part in place)
    known = np.isfinite(place[0]) & np.isfinite(place[1])
    options: dict[str, Any] = {"lw": 0, "rasterized": True, "zorder": 0.8}
    ax.fill_betweenx(depth, density, neutron, where=known & (place[0] < place[1]), color=CROSSOVER, **options)
    ax.fill_betweenx(depth, density, neutron, where=known & (place[0] >= place[1]), color=SHALE, alpha=0.55, **options)


def _tops(axes: list[Axes], data: Well, top: float, base: float) -> None:
    """Formation tops across the tracks, names in the right margin kept apart."""
    inside = sorted((place, name) for name, place in data.tops.items() if top <= place <= base)
    apart = 0.019 * (base - top)
    last = -np.inf
    for place, name in inside:
        for ax in axes:
            ax.axhline(place, color="#8e3b00", lw=0.7, ls=(0, (6, 3)))
        at = max(place, last + apart)
        last = at
        axes[-1].annotate(
            _short(name), xy=(1.0, place), xytext=(1.06, at), xycoords=axes[-1].get_yaxis_transform(), textcoords=axes[-1].get_yaxis_transform(),
            fontsize=7.5, va="center", ha="left", color="#8e3b00", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "lw": 0.5, "color": "#8e3b00"},
        )  # fmt: skip
