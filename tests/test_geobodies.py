"""A planted salt body in a made cube with noise: found, measured and refused where it must be."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from made_segy import build
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from moho import plot
from moho.agent.tools import geobodies
from moho.agent.tools.geobodies import geobody_salt
from moho.errors import MohoError
from moho.read import read
from moho.survey import Seismic, Volume

SHAPE = (40, 48, 120)


@cache
def planted(noise: float = 0.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(amplitudes, body): folded layers with noise, an ellipsoid of chaotic texture in them."""
    rng = np.random.default_rng(seed)
    i, j, k = np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij")
    layers = gaussian_filter1d(rng.standard_normal(SHAPE[2] + 80), 1.5)
    depth = k + 40 + 4 * np.sin(i / 12) + 3 * np.cos(j / 14)
    data = np.interp(depth.ravel(), np.arange(len(layers)), layers / layers.std()).reshape(SHAPE)
    body = ((i - 20) / 11) ** 2 + ((j - 24) / 13) ** 2 + ((k - 66) / 30) ** 2 < 1
    chaos = gaussian_filter(rng.standard_normal(SHAPE), (0.8, 0.8, 1.2))
    data = np.where(body, 0.6 * chaos / chaos.std(), data)
    rough = gaussian_filter1d(rng.standard_normal(SHAPE), 1.2, axis=2)
    return (data + noise * rough / rough.std()).astype(np.float32), body


def volume(folder: Path, data: np.ndarray) -> Volume:
    """The cube as SEG-Y: inlines from 100, crosslines from 300, bins of 25 m, 4 ms."""
    n, m, samples = data.shape
    inline, crossline = np.repeat(100 + np.arange(n), m), np.tile(300 + np.arange(m), n)
    fields = {189: inline, 193: crossline, 181: 500_000 + 25 * (crossline - 300), 185: 6_000_000 + 25 * (inline - 100), 21: 1 + np.arange(n * m)}
    path = folder / "cube.sgy"
    path.write_bytes(build(data.reshape(-1, samples), dt=4000, fields=fields))
    made = read(path)
    assert isinstance(made, Volume)
    return made


def overlap(found: np.ndarray, body: np.ndarray) -> float:
    return float((found.astype(bool) & body).sum() / (found.astype(bool) | body).sum())


@pytest.mark.parametrize(("noise", "seed"), [(0.3, 0), (0.6, 1)])
def test_a_planted_salt_body_is_found_from_its_seed(tmp_path: Path, noise: float, seed: int) -> None:
    data, body = planted(noise, seed)
    made = geobody_salt(volume(tmp_path, data), 120, 324, 0.26)
    assert overlap(made.arrays["body"], body) > 0.8
    assert made.facts["volume"].value == pytest.approx(body.sum() * 25 * 25 * 0.004 * 4500 / 2, rel=0.15)
    assert made.facts["top"].value == pytest.approx((66 - 30) * 0.004, abs=0.016)
    assert made.facts["chaos_inside"].value > 2 * made.facts["chaos_outside"].value
    assert any("4500 m/s" in note for note in made.notes)
    axes = plot.describe(plot.draw(made))["axes"]  # type: ignore[arg-type]
    assert axes[0]["y"] == "two-way time (s)"


def test_a_window_of_the_cube_and_another_velocity(tmp_path: Path) -> None:
    data, body = planted()
    made = geobody_salt(
        volume(tmp_path, data), velocity=3000, first_inline=105, last_inline=136, first_crossline=304, last_crossline=344, top=0.08, base=0.44
    )
    assert overlap(made.arrays["body"], body[5:37, 4:45, 20:111]) > 0.8
    assert made.facts["volume"].value == pytest.approx(body.sum() * 25 * 25 * 0.004 * 1500, rel=0.2)
    assert any("no seed" in note for note in made.notes)


def section(noise: float = 0.3) -> Seismic:
    return Seismic(data=planted(noise)[0][20], dt=0.004, cdp=300 + np.arange(SHAPE[1]), dx=25.0)


def test_a_body_on_a_section() -> None:
    made = geobody_salt(section(), crossline=324, time=0.26)
    assert overlap(made.arrays["body"][0], planted(0.3)[1][20]) > 0.7
    assert made.facts["area"].unit == "m2"
    assert plot.draw(made) is not None


def test_blank_and_muted_zones_are_no_body_and_the_title_says_what_was_found() -> None:
    line, body = section(), planted(0.3)[1][20].copy()
    data = line.data.copy()
    data[:, :20], data[5:9], data[30:44, 100:] = 0, 0, 1e-7 * np.random.default_rng(1).standard_normal((14, 20))
    made = geobody_salt(replace(line, data=data), crossline=324, time=0.26)
    found = made.arrays["body"][0].astype(bool)
    assert not found[:, :20].any()
    assert not found[5:9].any()
    assert not found[30:44, 100:].any()
    assert overlap(found, body) > 0.65
    assert made.title.startswith(f"chaotic body, {100 * found.mean():.2g} % of the section")
    assert any("% of the window is blank" in note for note in made.notes)


def test_a_cube_too_large_is_refused_with_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geobodies, "LARGEST", 1000)
    with pytest.raises(MohoError, match="40 x 48 x 120"):
        geobody_salt(volume(tmp_path, planted()[0]))


@pytest.mark.parametrize(
    ("data", "arguments", "words"),
    [
        (section(), {"crossline": 302, "time": 0.05}, "layered there"),
        (section(), {"crossline": 900, "time": 0.3}, "outside the window"),
        (section(), {"crossline": 324, "time": 5.0}, r"seed's time of 5 s lies outside the window, 0 to 0\.\d+ s"),
        (section(), {"top": 0.3, "base": 0.1}, r"top must be above base: got 0\.3 s for the top of the window and 0\.1 s"),
        (section(), {"crossline": 324}, "what is its time"),
        (section(), {"inline": 3, "first_inline": 3}, "no inlines"),
        (section(), {"top": 5.0, "base": 6.0}, "the data run from"),
        (Seismic(data=np.zeros((40, 100), np.float32), dt=0.004), {}, "dead"),
        (Seismic(data=np.full((40, 100), np.nan, np.float32), dt=0.004), {}, "NaN"),
        (Seismic(data=np.random.default_rng(3).standard_normal((60, 200)).astype(np.float32), dt=0.004), {}, "chaotic all over, as noise is"),
        (Seismic(data=np.ones((4, 100), np.float32), dt=0.004), {}, "too small"),
    ],
)
def test_what_holds_no_body_is_refused(data: Seismic, arguments: dict[str, float], words: str) -> None:
    with pytest.raises((MohoError, ValueError), match=words):
        geobody_salt(data, **arguments)  # type: ignore[arg-type]


def test_f3_layers_are_said_to_be_hardly_salt(shared: Path) -> None:
    cube = read(shared / "seismic_f3/f3_crop.sgy")
    assert isinstance(cube, Volume)
    made = geobody_salt(cube)
    assert any("may be no salt" in note for note in made.notes)
