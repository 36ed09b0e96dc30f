"""Bodies in a seismic cube: salt by its texture, grown from a seed.

A cube on disk is read line by line inside the window asked for; one that does not fit is refused with its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from moho.agent.registry import tool
from moho.errors import Missing, Refusal
from moho.segy_volume import read_inline
from moho.survey import Array, Report, Seismic, Volume
from moho.units import Count, Fraction, Number, Quantity, TimeShift, Velocity

LARGEST = 40_000_000  # samples of a window: about 3 GiB of work
SALT = 4500.0  # m/s
BLANK = 1e-3  # of the rms amplitude: what is weaker all about holds no reflection
NOISE = 0.4  # chaos of the least chaotic tenth of a window of noise, at least


@tool(
    discipline="seismic",
    stage="interpretation",
    say=(
        "Find the salt body in {cube}",
        "extract the salt from {cube}, seed inline {inline} crossline {crossline} at {time}",
        "geobody salt {cube} seed {inline}/{crossline}/{time}",
        "how big is the salt dome in {cube}?",
        "segment the salt on section {cube} from CDP {crossline} at {time}",
        "top and volume of the salt, velocity {velocity}",
        "grow a geobody from inline {inline}, crossline {crossline}, {time}",
        "where is the chaotic body between {top} and {base}?",
        "salt body pls, chaos threshold {threshold}",
        "please to detect the salt diapir in volume {cube} and its volume in m3",
        "chaos texture geobody between inlines {first_inline} and {last_inline}",
    ),
    reference="Randen, Monsen, Signer et al. 2000, Three-dimensional texture attributes for seismic data analysis, SEG Abstracts 19, 668-671",
    truth="a planted salt body in noise: intersection over union above 0.8, volume within 15 %, top within 16 ms",
)
def geobody_salt(
    cube: Volume | Seismic,
    inline: Annotated[Number, "seed inline"] | None = None,
    crossline: Annotated[Number, "seed crossline, or CDP of a section"] | None = None,
    time: Annotated[TimeShift, "seed time in s, or depth in m"] | None = None,
    threshold: Annotated[Fraction, "chaos above which salt begins"] | None = None,
    velocity: Annotated[Velocity, "velocity of the salt"] | None = None,
    scale: Annotated[Count, "texture scale, samples"] = 5,
    first_inline: Annotated[Number, "first inline"] | None = None,
    last_inline: Annotated[Number, "last inline"] | None = None,
    first_crossline: Annotated[Number, "first crossline"] | None = None,
    last_crossline: Annotated[Number, "last crossline"] | None = None,
    top: Annotated[TimeShift, "top of the window in s or m"] | None = None,
    base: Annotated[TimeShift, "base of the window in s or m"] | None = None,
) -> Report:
    """The connected body of chaotic texture around a seed: its volume, top, base and extent, and the body as an array.

    Chaos is 1 less the planarity (l1 - l2) / (l1 + l2) of the gradient structure tensor of the amplitudes, equalised trace by trace,
    over a Gaussian of `scale` samples. Above the threshold (Otsu's without one) it is cleaned, its edge is laid by a watershed on the
    gradient of chaos between what is surely inside and surely outside, and the reach of the gradient filter, one sample, is
    taken off. Without a seed the largest body is taken. In time, volume needs the velocity of the body; 4500 m/s, salt, unless
    given. Mutes, dead traces and blank zones take no part. A window that is chaotic all over, as noise is, is refused. Chaos is also found
    in gas clouds, slumps and noisy zones.
    """
    window = _windowed(cube, (first_inline, last_inline), (first_crossline, last_crossline), top, base)
    notes = list(window.notes)
    data = window.data
    if data.shape[-1] < 8 * scale or min(n for n in data.shape if n > 1) < 8:
        words = f"a window of {' x '.join(map(str, data.shape))} traces and samples is too small for a texture of {scale} samples."
        raise Refusal("E_PHYSICS", words, f"It needs 8 traces and {8 * scale} samples.")
    seed = _seed(window, inline, crossline, time)
    chaos, live = _chaos(data, scale)
    if not live.any():
        raise Refusal("E_DATA", "every trace of the window is dead.")
    if (blank := 100 * (1 - float(live.mean()))) > 0.05:
        notes.append(f"{blank:.3g} % of the window is blank, muted or at the edge of that: it was left out")
    held = chaos[live]
    _layered(held)
    if threshold is None:
        from skimage.filters import threshold_otsu

        if not float(held.std()) > 1e-6:
            raise Refusal("E_DATA", "the texture is the same everywhere: there is no body to set apart.")
        level = float(threshold_otsu(held))
        notes.append(f"chaos threshold {level:.3f} by Otsu")
        inside_mean, outside_mean = float(held[held > level].mean()), float(held[held <= level].mean())
        if inside_mean - outside_mean < 0.2:
            words = f"chaos of the two classes differs by {inside_mean - outside_mean:.2f} only: what was found is hardly apart from its surroundings"
            notes.append(words)
    else:
        level = threshold
    body = _body(chaos, live, level, scale, seed, window)
    facts, arrays, more = _measured(window, chaos, body, velocity)
    facts["threshold"] = Quantity(round(level, 5), "", "chaos threshold (0 layered, 1 chaotic)")
    notes += more
    if (mean := float(chaos[body].mean())) < 0.6:
        notes.insert(0, f"the body's mean chaos of {mean:.2f} is low: a threshold always finds something, and this may be no salt at all")
    if seed is None:
        notes.append("no seed was given: the largest chaotic body was taken")
    notes.insert(0, f"texture scale {scale} samples and {_reach(scale):.1f} traces; chaos is no proof of salt: gas, slumps and noise are chaotic too")
    unit = "s" if window.domain == "time" else "m"
    labels = {"z": "two-way time (s)" if unit == "s" else "depth (m)", "across": "crossline" if window.three else "CDP", "along": "inline"}
    share = facts["share"].value
    extent = f"{share:.2g} % of the {'cube' if window.three else 'section'}" + (" window" if data.size < _size(cube) else "")
    title = f"{'chaotic' if float(chaos[body].mean()) >= 0.6 else 'hardly chaotic'} body, {extent}" + (f", in {cube.title}" if cube.title else "")
    return Report(title=title, facts=facts, notes=tuple(notes), arrays=arrays, drawing="geobody", labels=labels)


@dataclass(frozen=True)
class _Window:
    """Amplitudes (inline, crossline, sample), one inline for a section, with their numbers and spacing."""

    data: Array
    inlines: Array
    crosslines: Array
    z: Array  # s or m
    domain: str
    bins: tuple[float | None, float | None]  # m between inlines and between crosslines
    three: bool
    notes: tuple[str, ...]


def _windowed(
    cube: Volume | Seismic, inlines: tuple[int | None, int | None], crosslines: tuple[int | None, int | None], top: float | None, base: float | None
) -> _Window:
    if isinstance(cube, Seismic):
        if inlines != (None, None):
            raise ValueError("a section has no inlines; its CDPs are limited by first_crossline and last_crossline")
        columns = _between(np.asarray(cube.numbers), crosslines, "CDP")
        rows = _between(cube.times, (top, base), "sample", 0.25 * cube.dt, _unit(cube.domain))
        _small_enough((1, len(columns), len(rows)), cube.title)
        data = np.asarray(cube.data, np.float32)[np.ix_(columns, rows)][None]
        bins: tuple[float | None, float | None] = (None, cube.dx)
        return _checked(_Window(data, np.zeros(1, int), np.asarray(cube.numbers)[columns], cube.times[rows], cube.domain, bins, False, ()))
    lines, across = (np.arange(first, last + 1, step) for first, last, step in (cube.inline, cube.crossline))
    lines, across = lines[_between(lines, inlines, "inline")], across[_between(across, crosslines, "crossline")]
    times = cube.t0 + cube.dt * np.arange(cube.samples)
    rows = _between(times, (top, base), "sample", 0.25 * cube.dt, _unit(cube.domain))
    _small_enough((len(lines), len(across), len(rows)), cube.title)
    data = np.zeros((len(lines), len(across), len(rows)), np.float32)
    for i, number in enumerate(lines):
        section = read_inline(cube, int(number), top=float(times[rows[0]]), base=float(times[rows[-1]]))
        place = np.searchsorted(across, section.numbers)
        held = (place < len(across)) & (across[np.minimum(place, len(across) - 1)] == section.numbers)
        data[i, place[held]] = section.data[held, : len(rows)]
    sides = (None, None) if cube.bin_size is None else cube.bin_size
    return _checked(_Window(data, lines, across, times[rows], cube.domain, sides, True, ()))


def _between(values: Array, limits: tuple[float | None, float | None], what: str, slack: float = 0.0, unit: str = "") -> Array:
    """Indices of the values between the limits; Refusal with the range there is. Samples go from `top` to `base`, in `unit`."""
    low = values.min() if limits[0] is None else limits[0]
    high = values.max() if limits[1] is None else limits[1]
    if low > high and unit:
        raise ValueError(f"top must be above base: got {low:g}{unit} for the top of the window and {high:g}{unit} for its base")
    if low > high:
        raise ValueError(f"the first {what} must not exceed the last, got {low:g} and {high:g}")
    found = np.flatnonzero((values >= low - slack) & (values <= high + slack))
    if not len(found):
        raise Refusal("E_DATA", f"no {what} lies from {low:g} to {high:g}{unit}; the data run from {values.min():g} to {values.max():g}{unit}.")
    return found


def _unit(domain: str) -> str:
    """Unit of the vertical axis, after a number."""
    return " s" if domain == "time" else " m"


def _small_enough(shape: tuple[int, int, int], title: str) -> None:
    count = int(np.prod(shape, dtype=np.int64))
    if count > LARGEST:
        words = f"a window of {shape[0]} x {shape[1]} x {shape[2]} = {count / 1e6:.1f} million samples of {title or 'the cube'} needs about "
        words += f"{count * 80 / 2**30:.3g} GiB to work in; the limit is {LARGEST / 1e6:g} million."
        raise Refusal("E_LIMIT", words, "Give a window: first_inline, last_inline, first_crossline, last_crossline, top and base.")


def _checked(window: _Window) -> _Window:
    bad = ~np.isfinite(window.data)
    if not bad.any():
        return window
    if bad.all():
        raise Refusal("E_DATA", "every sample of the window is NaN.")
    notes = (*window.notes, f"{int(bad.sum())} samples that are not finite were taken as zero")
    return _Window(
        np.where(bad, 0, window.data), window.inlines, window.crosslines, window.z, window.domain, window.bins, window.three, notes
    )  # fmt: skip


def _seed(window: _Window, inline: int | None, crossline: int | None, time: float | None) -> tuple[int, int, int] | None:
    """Indices of the seed, None when none was given; Missing for a seed given in part."""
    wanted = {"inline": inline, "crossline": crossline, "time": time} if window.three else {"crossline": crossline, "time": time}
    if all(value is None for value in wanted.values()):
        return None
    for name, value in wanted.items():
        if value is None:
            raise Missing(name, f"The seed needs {', '.join(wanted)}: what is its {name}?")
    assert crossline is not None
    assert time is not None
    place = []
    axes = (("inline", inline if window.three else 0, window.inlines), ("crossline", crossline, window.crosslines), ("time", time, window.z))
    for name, value, axis in axes:
        assert value is not None
        if not axis.min() <= value <= axis.max():
            unit = _unit(window.domain) if name == "time" else ""
            called = "depth" if name == "time" and window.domain != "time" else name
            words = f"the seed's {called} of {value:g}{unit} lies outside the window, {axis.min():g} to {axis.max():g}{unit}."
            raise Refusal("E_PHYSICS", words, "Give a seed inside.")
        place.append(int(np.abs(axis - value).argmin()))
    return place[0], place[1], place[2]


def _size(cube: Volume | Seismic) -> int:
    return int(cube.data.size) if isinstance(cube, Seismic) else int(np.prod(cube.shape, dtype=np.int64))


def _layered(held: Array) -> None:
    """Refuse a window whose texture is all of one kind and chaotic: noise, or a window inside the body."""
    from skimage.filters import threshold_otsu

    least = float(np.quantile(held, 0.1))
    if least < NOISE:
        return
    level = float(threshold_otsu(held))
    apart = float(held[held > level].mean() - held[held <= level].mean()) if held.min() < level < held.max() else 0.0
    if apart < 0.25:
        words = f"the window is chaotic all over, as noise is: nine tenths of it have a chaos above {least:.2f} (layers have less than {NOISE:g})"
        hint = "Take a wider window with layers in it, or cleaner data."
        raise Refusal("E_DATA", f"{words}, and its two classes differ by {apart:.2f} only.", hint)


def _reach(scale: int) -> float:
    """Traces over which texture is averaged."""
    return max(1.0, scale / 2)


def _chaos(data: Array, scale: int) -> tuple[Array, Array]:
    """(1 - planarity of the structure tensor, where there is signal), both (inline, crossline, sample)."""
    from scipy.ndimage import gaussian_filter, gaussian_filter1d

    live = _heard(data, scale)
    level = np.sqrt(gaussian_filter1d(data**2, 4.0 * scale, axis=2, mode="nearest"))
    even = data / np.maximum(level, 1e-3 * max(float(level.max()), 1e-30))
    axes = [axis for axis in range(3) if data.shape[axis] > 1]
    width = [_reach(scale) if axis < 2 and data.shape[axis] > 1 else float(scale) if axis == 2 else 0.0 for axis in range(3)]
    soft = [1.0 if data.shape[axis] > 1 else 0.0 for axis in range(3)]
    slope = [gaussian_filter(even, soft, order=[int(axis == n) for n in range(3)], mode="nearest") for axis in axes]
    size = len(axes)
    tensor = np.empty((*data.shape, size, size), np.float32)
    for a in range(size):
        for b in range(a, size):
            tensor[..., a, b] = tensor[..., b, a] = gaussian_filter(slope[a] * slope[b], [part / 4 for part in width], mode="nearest")
    # every place counts alike: without this the stronger texture would spread over the weaker
    power = np.maximum(np.trace(tensor, axis1=-2, axis2=-1), 1e-9)
    values = np.empty((*data.shape, size), np.float32)
    for a in range(size):
        for b in range(a, size):
            tensor[..., a, b] = tensor[..., b, a] = gaussian_filter(tensor[..., a, b] / power, width, mode="nearest")
    for i in range(len(data)):  # a slab at a time: the eigenvalues are computed in copies
        values[i] = np.linalg.eigvalsh(tensor[i])
    first, second = values[..., -1], values[..., -2]
    planarity = np.divide(first - second, first + second, out=np.ones_like(first), where=first + second > 1e-12)
    return np.where(live, 1 - planarity, 0).astype(np.float32), live


def _heard(data: Array, scale: int) -> Array:
    """(inline, crossline, sample) bool: where the texture window lies in data that are no mute, dead trace or blank zone."""
    from scipy.ndimage import maximum_filter, uniform_filter1d

    overall = float(np.sqrt(np.mean(data.astype(np.float64) ** 2)))
    if not overall > 0:
        return np.zeros(data.shape, bool)
    power = uniform_filter1d(data.astype(np.float64) ** 2, 2 * scale + 1, axis=2, mode="nearest")
    blank = power <= (BLANK * overall) ** 2
    if not blank.any():
        return ~blank
    wide = [2 * round(_reach(scale)) + 1 if axis < 2 and data.shape[axis] > 1 else 2 * scale + 1 if axis == 2 else 1 for axis in range(3)]
    return np.asarray(~maximum_filter(blank, wide, mode="nearest"))


def _body(chaos: Array, live: Array, level: float, scale: int, seed: tuple[int, int, int] | None, window: _Window) -> Array:
    """(inline, crossline, sample) bool: the cleaned component of the seed, its edge laid by a watershed."""
    from scipy.ndimage import binary_closing, binary_dilation, binary_erosion, binary_fill_holes, binary_opening, gaussian_gradient_magnitude
    from skimage.measure import label
    from skimage.segmentation import watershed

    flat = chaos.shape[0] == 1
    over = (chaos > level) & live
    ball = _ball(2, flat)
    cleaned = binary_opening(over, ball)
    cleaned = binary_closing(cleaned, ball) | cleaned  # closing alone would eat what touches the sides
    parts = label(cleaned, connectivity=1)
    if parts.max() == 0:
        words = f"nothing larger than the texture scale has a chaos above {level:.3f}; the most is {chaos.max():.3f}."
        raise Refusal("E_DATA", words, "Lower the threshold.")
    if seed is None:
        chosen = int(np.bincount(parts.ravel())[1:].argmax()) + 1
    else:
        near = parts[tuple(slice(max(0, s - 2), s + 3) for s in seed)]
        found = np.bincount(near[near > 0].ravel()) if (near > 0).any() else np.zeros(0, int)
        if not len(found):
            place = f"{'crossline' if window.three else 'CDP'} {window.crosslines[seed[1]]}, {window.z[seed[2]]:g}{_unit(window.domain)}"
            words = f"the seed at {place} has a chaos of {chaos[seed]:.3f}, not {level:.3f}: it is layered there."
            raise Refusal("E_PHYSICS", words, "Seed inside the body, or lower the threshold.")
        chosen = int(found.argmax())
    core = binary_fill_holes(parts == chosen)
    if flat:
        core = binary_fill_holes(core[0])[None]
    sure = binary_erosion(core, ball, border_value=1)
    if not sure.any():
        sure = core
    markers = np.where(sure, 2, np.where(binary_dilation(core, ball), 0, 1)).astype(np.int32)
    edge = gaussian_gradient_magnitude(chaos, 1.0 if not flat else (0, 1, 1), mode="nearest")
    found = watershed(edge, markers) == 2
    # where layers meet chaos the gradient filter sees disorder on both sides: its reach, one sample, comes off
    shrunk = binary_erosion(found[0], border_value=1)[None] if flat else binary_erosion(found, border_value=1)
    return np.asarray(shrunk if shrunk.any() else found)


def _ball(radius: int, flat: bool) -> Array:
    span = np.arange(-radius, radius + 1)
    ball = span[:, None, None] ** 2 + span[:, None] ** 2 + span**2 <= radius**2
    return ball[radius : radius + 1] if flat else ball


def _measured(window: _Window, chaos: Array, body: Array, velocity: float | None) -> tuple[dict[str, Quantity], dict[str, Array], list[str]]:
    """Size and extent of the body, arrays for its drawing, and what to know about them."""
    unit = "s" if window.domain == "time" else "m"
    z, notes = window.z, []
    step = float(z[1] - z[0])
    over = body.any(axis=2)
    top = np.where(over, z[body.argmax(axis=2)], np.nan)
    base = np.where(over, z[len(z) - 1 - body[..., ::-1].argmax(axis=2)], np.nan)
    lines, across = (np.flatnonzero(np.any(over, axis=n)) for n in (1, 0))
    i, j = np.unravel_index(int(np.nanargmin(top)), top.shape)
    facts = {
        "samples": Quantity(int(body.sum()), "", "samples in the body"),
        "share": Quantity(round(100 * float(body.mean()), 4), "%", "share of the window that is the body"),
        "top": Quantity(round(float(np.nanmin(top)), 6), unit, "shallowest top of the body"),
        "base": Quantity(round(float(np.nanmax(base)), 6), unit, "deepest base of the body"),
        "top_crossline": Quantity(int(window.crosslines[j]), "", f"{'crossline' if window.three else 'CDP'} of the shallowest top"),
        "crossline_extent": Quantity([int(n) for n in window.crosslines[across[[0, -1]]]], "", f"{'crossline' if window.three else 'CDP'} extent"),
        "chaos_inside": Quantity(round(float(chaos[body].mean()), 5), "", "mean chaos inside the body"),
        "chaos_outside": Quantity(round(float(chaos[~body].mean()), 5) if not body.all() else 0.0, "", "mean chaos outside"),
    }
    if window.three:
        facts["top_inline"] = Quantity(int(window.inlines[i]), "", "inline of the shallowest top")
        facts["inline_extent"] = Quantity([int(n) for n in window.inlines[lines[[0, -1]]]], "", "inline extent")
    height = step
    if window.domain == "time":
        speed = SALT if velocity is None else velocity
        height = step * speed / 2
        notes.append(f"thickness and volume with {speed:g} m/s in the body" + (" (salt; none was given)" if velocity is None else ""))
    sides = [window.bins[1]] if not window.three else [window.bins[0], window.bins[1]]
    thickest = float(body.sum(axis=2).max()) * height
    facts["thickness"] = Quantity(float(f"{thickest:.6g}"), "m", "largest thickness of the body")
    if None in sides:
        notes.append("trace positions are not known: no volume or area in metres")
    elif window.three:
        cell = float(sides[0] or 0) * float(sides[1] or 0)
        facts["volume"] = Quantity(float(f"{body.sum() * cell * height:.6g}"), "m3", "volume of the body")
        facts["area"] = Quantity(float(f"{over.sum() * cell:.6g}"), "m2", "area of the body in plan")
    else:
        facts["area"] = Quantity(float(f"{body.sum() * float(sides[0] or 0) * height:.6g}"), "m2", "area of the body on the section")
    ends = {
        "first or last inline": window.three and bool((body[0] | body[-1]).sum()),
        "first or last crossline": bool((body[:, 0] | body[:, -1]).sum()),
        "top or base of the window": bool((body[..., 0] | body[..., -1]).sum()),
    }
    touching = [name for name, reached in ends.items() if reached]
    if touching:
        notes.append(f"the body reaches the {' and the '.join(touching)}: it is larger than measured")
    middle = tuple(int(np.round(np.mean(axis))) for axis in np.nonzero(body))
    through = middle[0]
    arrays = {
        "body": body.astype(np.uint8), "inline": window.inlines, "crossline": window.crosslines, "z": z,
        "top": top, "base": base, "amplitude": window.data[through], "chaos": chaos[through],
        "slice": np.array(middle), "plan": window.data[:, :, middle[2]],
    }  # fmt: skip
    return facts, arrays, notes

