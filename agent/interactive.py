"""Data sets as figures to zoom into: what plotly.js draws in the page, thinned to the pixels there are.

Conventions are those of `moho.plot`: amplitudes symmetric about zero with blue positive, clipped at a percentile that is printed; time or depth
down; logs over one depth axis; maps with equal aspect. The arrays travel as base64 of float32.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from moho.agent.registry import find_tool
from moho.errors import DataError
from moho.survey import Data, Gather, Gravity, Grid, Magnetics, Seismic, Volume, Waveforms, Well

Figure = dict[str, Any]
CLIP = 99.0  # percentile of the absolute amplitudes
DIVERGING = [[0.0, "#67001f"], [0.25, "#f4a582"], [0.5, "#f7f7f7"], [0.75, "#92c5de"], [1.0, "#053061"]]  # blue is positive
POINTS = 20_000  # of a map of stations
ABOUT_ZERO = ("amplitude", "residual", "vertical derivative", "difference")


def figure(data: Data, width: int = 1000, height: int = 700, *, clip: float = CLIP, **where: int) -> Figure:
    """`{"data", "layout"}` for plotly.js; DataError E_UNSUPPORTED for what has no interactive picture.

    `width` and `height` in pixels; `where`: of a volume, `inline` or `crossline`.
    """
    if isinstance(data, Volume):
        if not where:
            where = {"inline": (data.inline[0] + data.inline[1]) // 2 // data.inline[2] * data.inline[2]}
        data = find_tool("segy_read").function(data=data, **where)
    for kinds, draw in DRAWERS.items():
        if isinstance(data, kinds):
            return draw(data, width, height, clip)
    raise DataError("E_UNSUPPORTED", f"{type(data).__name__} has no interactive picture")


def section(line: Seismic | Gather, width: int, height: int, clip: float) -> Figure:
    """A section or gather as variable density."""
    values = np.asarray(line.data, np.float32)  # (trace, sample)
    columns, rows = _every(len(values), width), _every(values.shape[1], height)
    thin = _extremes(values[::columns], rows)  # (column, row)
    depth = isinstance(line, Seismic) and line.domain == "depth"
    vertical = line.t0 + np.arange(thin.shape[1]) * rows * line.dt
    signed = not isinstance(line, Seismic) or line.quantity in ABOUT_ZERO
    horizontal, label = _along(line)
    low, high = limits(thin, clip, signed)
    unit = getattr(line, "unit", "") if isinstance(line, Seismic) else ""
    name = line.quantity if isinstance(line, Seismic) else "amplitude"
    heat = {
        "type": "heatmap", "z": _packed(thin.T), "x": _packed(horizontal[::columns][: len(thin)]), "y": _packed(vertical), "zmin": low, "zmax": high,
        "colorscale": DIVERGING if signed else "Viridis", "zsmooth": False, "hoverongaps": False,
        "colorbar": {"title": {"text": plain(f"{name}{f' ({unit})' if unit not in ('', 'unknown') else ''}, clip {clip:g} %")}},
        "hovertemplate": f"{label} %{{x}}<br>{'depth' if depth else 'time'} %{{y:.4g}} {'m' if depth else 's'}<br>%{{z:.5g}}<extra></extra>",
    }  # fmt: skip
    layout = _layout(line.title) | {
        "xaxis": {"title": {"text": label}, "side": "top"},
        "yaxis": {"title": {"text": "depth (m)" if depth else "two-way time (s)"}, "autorange": "reversed"},
    }
    return {"data": [heat], "layout": layout}


def grid_map(grid: Grid, width: int, height: int, clip: float) -> Figure:
    """A grid as a map."""
    columns, rows = _every(len(grid.x), width), _every(len(grid.y), height)
    values = np.asarray(grid.values, np.float32)
    signed = any(word in grid.quantity for word in ABOUT_ZERO)
    low, high = limits(values, clip, signed)
    heat = {
        "type": "heatmap", "z": _packed(values[::rows, ::columns]), "x": _packed(grid.x[::columns]), "y": _packed(grid.y[::rows]),
        "zmin": low, "zmax": high,
        "colorscale": DIVERGING if signed else "Viridis", "zsmooth": False, "hoverongaps": False,
        "colorbar": {"title": {"text": plain(f"{grid.quantity} ({grid.unit})")}},
    }  # fmt: skip
    traces: list[dict[str, Any]] = [heat]
    if grid.stations is not None:
        traces.append({"type": "scatter", "x": _packed(grid.stations[:, 0]), "y": _packed(grid.stations[:, 1]), "mode": "markers", "name": "stations",
                       "marker": {"size": 3, "color": "#222"}, "hoverinfo": "skip"})  # fmt: skip
    return {"data": traces, "layout": _layout(grid.title) | _plan(grid.geographic, grid.crs)}


def station_map(stations: Gravity | Magnetics, width: int, height: int, clip: float) -> Figure:
    """Stations coloured by their value."""
    geographic = stations.longitude is not None
    east, north = (stations.longitude, stations.latitude) if geographic else (stations.x, stations.y)
    assert east is not None
    assert north is not None
    every = _every(len(stations.value), POINTS)
    east, north, value = east[::every], north[::every], stations.value[::every]
    low, high = limits(value, clip, False)
    unit = "mGal" if isinstance(stations, Gravity) else "nT"
    points = {
        "type": "scatter", "x": _packed(east), "y": _packed(north), "mode": "markers", "text": [f"{one:.5g} {unit}" for one in value],
        "marker": {"size": 7, "color": _packed(value), "cmin": low, "cmax": high, "colorscale": "Viridis", "showscale": True,
                   "colorbar": {"title": {"text": plain(f"{stations.quantity} ({unit})")}}},
    }  # fmt: skip
    return {"data": [points], "layout": _layout(stations.title) | _plan(geographic, stations.crs)}


TRACKS = (("GR", "CALI", "SP", "VSH"), ("RT", "ILD", "LLD", "RES"), ("RHOB", "NPHI", "PHI", "SW"), ("DT", "DTS"))


def logs(well: Well, width: int, height: int, clip: float) -> Figure:
    """The logs of a well, a track for each kind, over one depth axis."""
    rows = _every(len(well.depth), 2 * height)
    groups = [[name for name in well.curves if name.upper().startswith(track)] for track in TRACKS]
    rest = [name for name in well.curves if not any(name in group for group in groups)]
    shown = [group for group in [*groups, *([name] for name in rest)] if group][:8]
    traces: list[dict[str, Any]] = []
    layout = _layout(well.title or well.well_name) | {
        "yaxis": {"title": {"text": f"depth ({well.reference}, m)"}, "autorange": "reversed"},
        "hovermode": "y unified",
    }
    for place, group in enumerate(shown):
        axis = "" if place == 0 else str(place + 1)
        left, right = place / len(shown), (place + 0.9) / len(shown)
        resistivity = group[0].upper().startswith(TRACKS[1])
        title = plain(", ".join(f"{name} ({well.curves[name].unit})" for name in group))
        layout[f"xaxis{axis}"] = {"domain": [left, right], "title": {"text": title}, "side": "top", "type": "log" if resistivity else "linear"}
        for name in group:
            line = {
                "type": "scatter",
                "mode": "lines",
                "name": plain(name),
                "x": _packed(well.curves[name].values[::rows]),
                "y": _packed(well.depth[::rows]),
            }
            traces.append(line | {"xaxis": f"x{axis}", "yaxis": "y", "connectgaps": False})
    return {"data": traces, "layout": layout}


def seismograms(waveforms: Waveforms, width: int, height: int, clip: float) -> Figure:
    """Seismograms one below the other on one time axis, each by its channel."""
    streams = list(waveforms.stream)[:24]
    begin = min(trace.stats.starttime for trace in streams)
    traces: list[dict[str, Any]] = []
    layout = _layout(waveforms.title) | {"xaxis": {"title": {"text": f"s after {begin}"}}, "showlegend": False}
    for place, trace in enumerate(streams):
        axis = "" if place == 0 else str(place + 1)
        step = _every(trace.stats.npts, 2 * width)
        values = _extremes(np.asarray(trace.data, np.float32)[None, :], step)[0]
        seconds = float(trace.stats.starttime - begin) + np.arange(len(values)) * step * trace.stats.delta
        line = {"type": "scatter", "mode": "lines", "x": _packed(seconds), "y": _packed(values), "line": {"width": 1, "color": "#1f4e79"}}
        traces.append(line | {"xaxis": "x", "yaxis": f"y{axis}", "name": plain(trace.id)})
        low, high = 1 - (place + 0.95) / len(streams), 1 - place / len(streams)
        layout[f"yaxis{axis}"] = {
            "domain": [low, high],
            "title": {"text": f"{plain(trace.id)}<br>({plain(waveforms.unit)})", "font": {"size": 9}},
            "anchor": "x",
        }
    return {"data": traces, "layout": layout}


DRAWERS: Mapping[Any, Any] = {
    (Seismic, Gather): section, Grid: grid_map, (Gravity, Magnetics): station_map, Well: logs, Waveforms: seismograms,
}  # fmt: skip


def limits(values: Any, clip: float, signed: bool) -> tuple[float, float]:
    """The ends of a colour bar: symmetric about zero for what has a sign."""
    good = np.asarray(values, float)
    good = good[np.isfinite(good)]
    if not good.size:
        return -1.0, 1.0
    if signed:
        most = float(np.percentile(np.abs(good), clip)) or 1.0
        return -most, most
    low, high = (float(v) for v in np.percentile(good, (100 - clip, clip)))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _along(line: Seismic | Gather) -> tuple[np.ndarray, str]:
    if isinstance(line, Gather):
        return (np.arange(len(line.data)), "trace") if np.any(np.diff(line.offset) <= 0) else (np.asarray(line.offset), "offset (m)")
    if line.cdp is not None and np.all(np.diff(line.cdp) > 0):
        return np.asarray(line.cdp), "CDP"
    return np.arange(len(line.data)), "trace"


def _extremes(values: np.ndarray, step: int) -> np.ndarray:
    """(row, sample / step) the sample farthest from zero of every `step`: a thin event is not lost."""
    if step == 1:
        return values
    whole = values.shape[1] // step * step
    blocks = values[:, :whole].reshape(len(values), -1, step)
    chosen = np.abs(np.nan_to_num(blocks)).argmax(axis=2)
    return np.take_along_axis(blocks, chosen[:, :, None], axis=2)[:, :, 0]


def _every(count: int, pixels: int) -> int:
    return max(1, -(-count // max(1, pixels)))


def _packed(values: Any) -> dict[str, Any]:
    """An array as plotly.js takes it without parsing."""
    array = np.ascontiguousarray(values)
    array = array.astype("<f8" if array.ndim == 1 else "<f4")
    kind = "f8" if array.ndim == 1 else "f4"
    packed: dict[str, Any] = {"dtype": kind, "bdata": base64.b64encode(array.tobytes()).decode()}
    return packed | ({"shape": ", ".join(map(str, array.shape))} if array.ndim > 1 else {})


def _plan(geographic: bool, crs: str) -> dict[str, Any]:
    east, north = ("longitude (deg)", "latitude (deg)") if geographic else ("easting (m)", "northing (m)")
    return {"xaxis": {"title": {"text": plain(f"{east}, {crs}")}}, "yaxis": {"title": {"text": north}, "scaleanchor": "x"}}


def plain(text: str) -> str:
    """Text of a file as plotly.js shows it: no tags."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _layout(title: str) -> dict[str, Any]:
    return {
        "title": {"text": plain(title), "x": 0.01, "y": 0.985, "xanchor": "left", "yanchor": "top", "font": {"size": 14}},
        "margin": {"l": 70, "r": 20, "t": 90, "b": 50},
        "showlegend": False,
    }
