"""Maps: stations, grids, horizons, epicentres, and slices of a block model. Equal aspect, CRS, unit and datum in sight."""

from __future__ import annotations

import re
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from moho.plot_frame import INK, P_COLOUR, QUIET, Picture, after, colour_bar, heading, kilometres, new, nice, title_of, with_unit
from moho.plot_ranges import about_zero, map_colours, robust
from moho.survey import UNKNOWN, Array, Blocks, Catalogue, Data, Gravity, Grid, Magnetics, Response
from moho.units import as_length, show

DEGREE = 111.2  # km of latitude
PROJECTIONS = {"lcc": "Lambert conformal conic", "merc": "Mercator", "tmerc": "transverse Mercator", "aea": "Albers equal area"}
DOTS = 60_000  # stations that a page can show


def grid(data: Grid) -> Picture:
    """A grid in colour with contours and the stations it was made from; NaN stays white."""
    values = np.ma.masked_invalid(data.values)
    signed = about_zero(data.quantity)
    low, high = map_colours(data.values, data.quantity)
    figure, ax = _map(data.x, data.y, data.geographic)
    half_x, half_y = (0.5 * step for step in data.spacing)
    extent = (float(data.x[0] - half_x), float(data.x[-1] + half_x), float(data.y[0] - half_y), float(data.y[-1] + half_y))
    colours = matplotlib.colormaps[_palette(data.quantity, signed)].with_extremes(bad="white")
    even = all(np.allclose(np.diff(axis), np.diff(axis).mean(), rtol=1e-3) for axis in (data.x, data.y))
    if even:
        image: Any = ax.imshow(values, extent=extent, origin="lower", cmap=colours, vmin=low, vmax=high, interpolation="nearest", aspect="auto")
    else:
        image = ax.pcolormesh(data.x, data.y, values, cmap=colours, vmin=low, vmax=high, shading="nearest", rasterized=True)
    levels = np.asarray(MaxNLocator(13, steps=[1, 2, 5, 10]).tick_values(low, high))
    levels = levels[(levels >= low) & (levels <= high)]
    shown = np.isfinite(data.values)
    if len(levels) > 1 and shown.sum() > 8 and min(data.values.shape) > 3:
        thin = tuple(slice(None, None, max(1, n // 400)) for n in data.values.shape)
        lines = ax.contour(
            data.x[thin[1]], data.y[thin[0]], values[thin], levels=levels, colors="black", linewidths=0.5, alpha=0.75, negative_linestyles="solid"
        )
        ax.clabel(lines, levels[:: max(1, len(levels) // 5)], fontsize=7, fmt=lambda value: f"{value:g}")
    if data.stations is not None and len(data.stations):
        _dots(ax, data.stations[:, 0], data.stations[:, 1])
    ax.set_xlim(extent[0], extent[1])
    ax.set_ylim(extent[2], extent[3])
    interval = float(levels[1] - levels[0]) if len(levels) > 1 else 0.0
    _finish(figure, ax, data, image, with_unit(data.quantity, data.unit), data.geographic)
    parts = [_crs(data.crs), *_made(data.density, data.height)]
    if interval:
        parts.append(f"contours every {interval:g} {data.unit}")
    blank = 100 * float((~shown).mean())
    step = f"{show(round(data.spacing[0], 4))} deg" if data.geographic else as_length(data.spacing[0])
    parts.append(f"grid {step}" + (f", {blank:.0f} % blank" if blank >= 1 else ""))
    figure.parameters |= {"crs": data.crs, "quantity": data.quantity, "unit": data.unit, "density": data.density, "contour_interval": interval,
                          "colour_range": [low, high]}  # fmt: skip
    heading(figure, _title(data, data.quantity), "; ".join(parts) + after(data))
    return figure


def stations(data: Gravity | Magnetics) -> Picture:
    """Stations coloured by what was measured there."""
    unit = "mGal" if isinstance(data, Gravity) else "nT"
    x, y = data.coordinates()
    density = data.density if isinstance(data, Gravity) else None
    parts = _made(density, None) + ([f"height datum {data.datum}"] if data.height is not None else [])
    if isinstance(data, Magnetics) and data.inclination is not None and data.declination is not None:
        parts.append(f"field inclination {data.inclination:g}°, declination {data.declination:g}°")
    label = with_unit(data.quantity, unit)
    picture = scatter_map(data, x, y, data.value, label, data.geographic, _palette(data.quantity, about_zero(data.quantity)), parts)
    picture.parameters |= {"quantity": data.quantity, "unit": unit, "density": density}
    return picture


def scatter_map(data: Data, x: Array, y: Array, values: Array, label: str, geographic: bool, palette: str, words: list[str]) -> Picture:
    """Points coloured by value on a map; points without a value are small grey crosses."""
    figure, ax = _map(x, y, geographic)
    every = max(1, len(x) // DOTS)
    count = f"{len(x)} points" + (f", one in {every} drawn" if every > 1 else "")
    x, y, values = (np.asarray(axis)[::every] for axis in (x, y, values))
    known = np.isfinite(values)
    low, high = map_colours(values, str(getattr(data, "quantity", "")))
    size = float(np.clip(14000 / max(len(x), 1), 2.0, 34.0))
    ax.scatter(x[~known], y[~known], s=8, c="#999999", marker="x", linewidths=0.6, rasterized=len(x) > 3000)
    edge: dict[str, Any] = {"edgecolors": "#222222", "linewidths": 0.3} if size > 12 else {"linewidths": 0}
    shown = ax.scatter(x[known], y[known], c=values[known], s=size, cmap=palette, vmin=low, vmax=high, rasterized=len(x) > 3000, **edge)
    _finish(figure, ax, data, shown, label, geographic)
    crs = str(getattr(data, "crs", UNKNOWN))
    figure.parameters |= {"crs": crs, "colour_range": [low, high], "points": len(x), "drawn_every": every}
    heading(figure, _title(data, label.partition(" (")[0]), "; ".join([_crs(crs), count, *words]))
    return figure


def epicentres(data: Catalogue) -> Picture:
    """Epicentres by depth and magnitude, the stations, and the error ellipse of a located event."""
    x, y = data.longitude, data.latitude
    facts = {key: fact.value for key, fact in data.facts.items()}
    around = data.view.get("stations", [])
    level, end = ("95 % ", "_95") if "ellipse_major_95" in facts else ("", "")
    ellipse = [facts.get(name) for name in (f"ellipse_major{end}", f"ellipse_minor{end}", "ellipse_azimuth")]
    all_x = np.concatenate([x, [row[1] for row in around]])
    all_y = np.concatenate([y, [row[2] for row in around]])
    if all(isinstance(part, (int, float)) for part in ellipse):
        reach = float(ellipse[0]) / DEGREE  # type: ignore[arg-type]
        all_x = np.concatenate([all_x, x + reach / np.cos(np.radians(y)), x - reach / np.cos(np.radians(y))])
        all_y = np.concatenate([all_y, y + reach, y - reach])
    figure, ax = _map(all_x, all_y, True, 0.1)
    _names(ax, around)
    magnitude = np.where(np.isfinite(data.magnitude), data.magnitude, np.nan)
    size = np.where(np.isfinite(magnitude), 4 + 3.0 * np.clip(magnitude, 0, 8) ** 2.2, 90 if len(x) == 1 else 14)
    order = np.argsort(-size, kind="stable")
    depth = np.where(np.isfinite(data.depth), data.depth, np.nan)
    parts = [_crs("EPSG:4326"), f"{len(x)} event{'s' if len(x) != 1 else ''}"]
    if len(x) > 1:
        low, high = robust(depth, 0, 99)
        many = len(x) > 2000
        shown = ax.scatter(x[order], y[order], s=size[order], c=depth[order], cmap="viridis_r", vmin=max(low, 0) if low >= 0 else low, vmax=high,
                           edgecolors="black", linewidths=0.1 if many else 0.35, alpha=0.85, rasterized=many, zorder=4)  # fmt: skip
        _finish(figure, ax, data, shown, "depth (km)", True)
        if np.isfinite(magnitude).any():
            parts.append(f"size by magnitude {np.nanmin(magnitude):.1f} to {np.nanmax(magnitude):.1f}")
        figure.parameters |= {"colour_range": [low, high]}
    else:
        ax.plot(x, y, marker="+", ms=11, color="#b5261e", mew=1.6, ls="", zorder=5)
        _finish(figure, ax, data, None, "", True)
        if np.isfinite(depth[0]):
            error = facts.get("depth_error")
            parts.append(f"depth {depth[0]:.3g} km" + (f" ± {error:.2g} km" if isinstance(error, (int, float)) else ""))
        parts.append(f"origin {str(data.time[0])[:23]}")
    if all(isinstance(part, (int, float)) for part in ellipse) and len(x) == 1:
        major, minor, azimuth = (float(part) for part in ellipse)  # type: ignore[arg-type]
        _ellipse(ax, float(x[0]), float(y[0]), major, minor, azimuth)
        parts.append(f"{level}ellipse half-axes {major:.3g} and {minor:.3g} km, azimuth {azimuth:.0f}°")
        figure.parameters |= {"ellipse_km": [major, minor], "ellipse_azimuth": azimuth}
    heading(figure, title_of(data, "Epicentres"), "; ".join(parts))
    return figure


def network(data: Response) -> Picture:
    """Stations of an inventory by name."""
    found = sorted({(f"{n.code}.{s.code}", float(s.longitude), float(s.latitude)) for n in data.inventory for s in n})
    x, y = np.array([row[1] for row in found]), np.array([row[2] for row in found])
    figure, ax = _map(x, y, True, 0.1)
    _names(ax, found)
    _finish(figure, ax, data, None, "", True)
    figure.parameters |= {"stations": len(found)}
    heading(figure, title_of(data, "Stations"), f"{_crs('EPSG:4326')}; {len(found)} stations")
    return figure


def slices(data: Blocks) -> Picture:
    """Three slices through the cell of largest magnitude; below them observed against predicted data where kept."""
    strongest = np.unravel_index(int(np.argmax(np.abs(data.values))), data.values.shape)
    k, j, i = (int(n) for n in strongest)
    centres = [0.5 * (edges[1:] + edges[:-1]) for edges in (data.z_edges, data.y_edges, data.x_edges)]
    at = [float(axis[n]) for axis, n in zip(centres, (k, j, i), strict=True)]
    limit = float(np.abs(data.values).max()) or 1.0
    signed = bool((data.values < 0).any() and (data.values > 0).any()) or about_zero(data.quantity)
    palette, low, high = ("RdBu_r", -limit, limit) if signed else ("viridis", float(data.values.min()), limit)
    fits = all(name in data.arrays and np.asarray(data.arrays[name]).ndim == 1 for name in ("observed", "predicted"))
    figure = new(12.0, 7.0, quantity=data.quantity, unit=data.unit, slices_m={"z": at[0], "y": at[1], "x": at[2]}, colour_range=[low, high])
    x, y, z = data.x_edges, data.y_edges, data.z_edges
    tall = [float(np.clip((z[-1] - z[0]) / (along[-1] - along[0]), 0.25, 1.0)) for along in (x, y)]
    panels = ["section y", "section x", *(["fit"] if fits else [])]
    axes = figure.subplot_mosaic([["plan", name] for name in panels], height_ratios=[*tall, 0.5][: len(panels)], width_ratios=[1.15, 1])
    shows = {
        "plan": (x, y, data.values[k], "easting (km)", "northing (km)", f"depth {as_length(at[0], 6)}"),
        "section x": (y, z, data.values[:, :, i], "northing (km)", "depth (km)", f"easting {as_length(at[2], 6)}"),
        "section y": (x, z, data.values[:, j], "easting (km)", "depth (km)", f"northing {as_length(at[1], 6)}"),
    }
    image: Any = None
    for name, (across, up, values, x_label, y_label, title) in shows.items():
        ax = axes[name]
        ax.set_label(name)
        image = ax.pcolormesh(across, up, values, cmap=palette, vmin=low, vmax=high, rasterized=True)
        ax.set_aspect("equal")
        ax.set_xlabel(x_label)
        ax.set_ylabel(y_label)
        ax.set_title(title, fontsize=9)
        kilometres(ax)
        ax.xaxis.set_major_locator(MaxNLocator(6))
        if up is z:
            ax.set_ylim(float(z[-1]), float(z[0]))
            ax.axhline(at[0], color=INK, lw=0.5, ls=":")
        else:
            ax.axhline(at[1], color=INK, lw=0.5, ls=":")
        ax.axvline(at[1] if name == "section x" else at[2], color=INK, lw=0.5, ls=":")
    colour_bar(figure, image, axes["plan"], with_unit(data.quantity, data.unit), location="bottom", pad=0.02)
    if fits:
        _fit(axes["fit"], np.asarray(data.arrays["observed"]), np.asarray(data.arrays["predicted"]), data)
    size = " x ".join(as_length(float(np.diff(edges).min())) for edges in (x, y, z))
    said = f"{_crs(data.crs)}; slices through the strongest cell, no vertical exaggeration; smallest cell {size}"
    heading(figure, _title(data, f"model of {data.quantity}"), said, room=0.18)
    return figure


def _fit(ax: Axes, observed: Array, predicted: Array, data: Blocks) -> None:
    ax.set_label("fit")
    unit = {"density contrast": "mGal", "susceptibility": "nT"}.get(data.quantity, "")
    low, high = float(min(observed.min(), predicted.min())), float(max(observed.max(), predicted.max()))
    room = 0.05 * (high - low) or 1.0
    ax.plot([low - room, high + room], [low - room, high + room], color=QUIET, lw=0.8)
    ax.plot(observed, predicted, ls="", marker="o", ms=3, color=P_COLOUR, alpha=0.6, mew=0)
    ax.set_xlim(low - room, high + room)
    ax.set_ylim(low - room, high + room)
    ax.set_aspect("equal")
    ax.set_xlabel(f"observed ({unit})" if unit else "observed")
    ax.set_ylabel(f"predicted ({unit})" if unit else "predicted")
    rms = float(np.sqrt(np.mean((observed - predicted) ** 2)))
    ax.set_title(f"fit: rms {rms:.3g} {unit}, {len(observed)} data", fontsize=9)


def _palette(quantity: str, signed: bool) -> str:
    if signed:
        return "RdBu_r"
    return "cividis" if "topography" in quantity or quantity == "height" else "viridis"


def _made(density: float | None, height: float | None) -> list[str]:
    return ([f"density {show(float(density))} kg/m3"] if density else []) + ([f"at {height:.0f} m height"] if height is not None else [])


def _title(data: Data, words: str) -> str:
    """What the data are called and what is drawn of them: 'line 4: residual Bouguer anomaly'."""
    if data.view.get("title") or not data.title or words.lower() in data.title.lower() or words == UNKNOWN:
        return title_of(data, words[:1].upper() + words[1:])
    return f"{data.title}: {words}"


def _crs(crs: str) -> str:
    """The reference system, a projection of one's own by name and the parallels or the centre that it is true at."""
    held = dict(re.findall(r"\+(\w+)=(\S+)", crs))
    if (name := PROJECTIONS.get(held.get("proj", ""))) is None:
        return f"CRS {crs}" if len(crs) <= 40 else f"CRS {crs[:40]}..."
    true = [f"{abs(float(held[key])):.4g}°{'N' if float(held[key]) >= 0 else 'S'}" for key in ("lat_1", "lat_2", "lat_ts") if key in held]
    centre = f", centre {abs(float(held['lon_0'])):.4g}°{'E' if float(held['lon_0']) >= 0 else 'W'}" if "lon_0" in held else ""
    return f"CRS {name}{', true at ' + ' and '.join(true) if true else ''}{centre}"


def _map(x: Array, y: Array, geographic: bool, room: float = 0.06) -> tuple[Picture, Axes]:
    """An empty map around the points, its page shaped like the area."""
    left, right, south, north = (float(v) for v in (np.nanmin(x), np.nanmax(x), np.nanmin(y), np.nanmax(y)))
    span = max(right - left, north - south, 0.02 if geographic else 10.0)
    room_x, room_y = (max(room * (b - a), 0.6 * room * span) for a, b in ((left, right), (south, north)))
    stretch = 1 / max(np.cos(np.radians(0.5 * (south + north))), 0.05) if geographic else 1.0
    ratio = float(np.clip((north - south + 2 * room_y) * stretch / (right - left + 2 * room_x), 0.35, 2.0))
    width = 7.2 if ratio < 1 else 7.2 / ratio
    figure = new(max(width + 1.9, 6.0), max(width * ratio + 1.15, 4.4))
    ax = figure.add_subplot(label="map")
    ax.set_xlim(left - room_x, right + room_x)
    ax.set_ylim(south - room_y, north + room_y)
    ax.set_aspect(stretch)
    figure.parameters = {"x_extent": [left, right], "y_extent": [south, north], "geographic": geographic}
    return figure, ax


def _finish(figure: Picture, ax: Axes, data: Data, shown: Any, label: str, geographic: bool) -> None:
    """Axis labels, north arrow, scale bar, colour bar."""
    if geographic:
        for axis, sides in ((ax.xaxis, "EW"), (ax.yaxis, "NS")):
            axis.set_major_locator(MaxNLocator(4 if axis is ax.xaxis and figure.get_size_inches()[0] < 7.5 else 6, steps=[1, 2, 2.5, 5, 10]))
            axis.set_major_formatter(FuncFormatter(lambda v, _, s=sides: f"{abs(v):.6g}°{s[0] if v > 0 else s[1] if v < 0 else ''}"))
        ax.set_xlabel("longitude (deg)")
        ax.set_ylabel("latitude (deg)")
        ax.set_aspect(1 / max(np.cos(np.radians(np.mean(ax.get_ylim()))), 0.05))
    else:
        ax.set_aspect("equal")
        ax.set_xlabel("easting (km)")
        ax.set_ylabel("northing (km)")
        kilometres(ax)
        ax.xaxis.set_major_locator(MaxNLocator(6))
        ax.yaxis.set_major_locator(MaxNLocator(8))
    ax.tick_params(axis="y", labelrotation=0)
    if shown is not None:
        colour_bar(figure, shown, ax, label, extend="both")
    _north(ax)
    _scale_bar(ax, geographic)


def _names(ax: Axes, rows: Any) -> None:
    """Stations (name, longitude, latitude) as triangles; names while they can still be read, each on a side where it covers no other."""
    left, right = ax.get_xlim()
    for _, lon, lat in rows:
        ax.plot(lon, lat, marker="^", ms=8, color=P_COLOUR, mec="white", mew=0.6, zorder=3)
    if not 0 < len(rows) <= 60:
        return
    ax.apply_aspect()
    at = ax.transData.transform([(lon, lat) for _, lon, lat in rows]) * 72 / ax.get_figure(root=True).dpi  # type: ignore[union-attr]
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in at.tolist()]  # points: the triangles, then the names
    for (name, lon, lat), (x, y) in zip(rows, at.tolist(), strict=True):
        side = -1 if lon > left + 0.78 * (right - left) else 1
        wide, places = 4.8 * len(str(name)), list[tuple[int, int, int, int, tuple[float, float, float, float]]]()
        for along, up in ((side, 5), (-side, 5), (side, -11), (-side, -11), (side, 13), (-side, 13), (side, -19), (-side, -19)):
            low = x + 6 if along > 0 else x - 6 - wide
            box = (low, y + up, low + wide, y + up + 8)
            covered = sum(box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in taken)
            places.append((covered, len(places), along, up, box))
        _, _, along, up, box = min(places)
        taken.append(box)
        ax.annotate(str(name), (lon, lat), (6 * along, up), textcoords="offset points", fontsize=7.5, color=INK, ha="left" if along > 0 else "right")


def _north(ax: Axes) -> None:
    box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.7}
    ax.annotate("N", xy=(0.965, 0.975), xytext=(0.965, 0.895), xycoords="axes fraction", ha="center", va="center", fontsize=10, fontweight="bold",
                arrowprops={"arrowstyle": "-|>", "lw": 1.2, "color": INK}, bbox=box, zorder=6)  # fmt: skip


def _scale_bar(ax: Axes, geographic: bool) -> None:
    left, right = ax.get_xlim()
    south, north = ax.get_ylim()
    metre = 1 / (1000 * DEGREE * max(np.cos(np.radians(0.5 * (south + north))), 0.05)) if geographic else 1.0
    if geographic and right - left > 40:
        return  # one length does not hold over such a map
    length = nice(0.25 * (right - left) / metre)
    x, y = left + 0.04 * (right - left), south + 0.045 * (north - south)
    words = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    ax.plot([x, x + length * metre], [y, y], color="white", lw=7.0, alpha=0.8, zorder=5.9)
    ax.plot([x, x + length * metre], [y, y], color=INK, lw=3.0, solid_capstyle="butt", zorder=6)
    ax.text(x + 0.5 * length * metre, y + 0.012 * (north - south), words, ha="center", va="bottom", fontsize=8, zorder=6,
            bbox={"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none", "alpha": 0.75})  # fmt: skip


def _dots(ax: Axes, x: Array, y: Array) -> None:
    ax.plot(x, y, ls="", marker="o", ms=float(np.clip(40 / np.sqrt(len(x)), 0.5, 2.5)), color="black", alpha=0.55, mew=0, rasterized=len(x) > 3000)


def _ellipse(ax: Axes, lon: float, lat: float, major: float, minor: float, azimuth: float) -> None:
    """The error ellipse: half-axes in km, azimuth of the long one clockwise from north."""
    angle = np.linspace(0, 2 * np.pi, 121)
    turn = np.radians(azimuth)
    along, across = major * np.cos(angle), minor * np.sin(angle)
    east, north = along * np.sin(turn) + across * np.cos(turn), along * np.cos(turn) - across * np.sin(turn)
    ax.plot(lon + east / (DEGREE * np.cos(np.radians(lat))), lat + north / DEGREE, color="#b5261e", lw=1.3, zorder=5)
