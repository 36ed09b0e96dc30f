"""Gravity and magnetics of the made earth: stations over hills, an intrusion as a prism, a plane beneath it all."""

from __future__ import annotations

from typing import Any

import numpy as np

from moho.survey import Array, Gravity, Magnetics

CRS = "EPSG:32631"  # WGS 84 / UTM zone 31N
GRAVITATION = 6.6743e-11  # m3/(kg s2), CODATA 2018, as harmonica has it


def weigh(random: np.random.Generator, east: float, north: float) -> tuple[Gravity, Magnetics, dict[str, Any]]:
    """About 400 stations over an intrusion below the line: observed gravity (mGal), total-field anomaly (nT), the body."""
    import boule

    heavy = bool(random.integers(2))
    contrast = float(np.round(random.uniform(200, 420) if heavy else -random.uniform(150, 300)))
    middle = np.round([east + random.uniform(-2500, 2500), north + random.uniform(-2500, 2500)], 0)
    half = np.round(random.uniform(2000, 3400, 2), 0)
    top = float(np.round(random.uniform(2500, 3200)))
    base = top + float(np.round(random.uniform(1800, 3000)))
    prism = (middle[0] - half[0], middle[0] + half[0], middle[1] - half[1], middle[1] + half[1], top, base)
    lines = np.linspace(-12000, 12000, 20)
    x, y = (axis.ravel() + shift for axis, shift in zip(np.meshgrid(lines, lines), (east, north), strict=True))
    x, y = x + random.uniform(-350, 350, 400), y + random.uniform(-350, 350, 400)
    longitude, latitude = (np.asarray(axis) for axis in transformer().transform(x, y, direction="INVERSE"))
    longitude, latitude = longitude.round(7), latitude.round(7)
    height = _hills(random, x - east, y - north).round(2)
    regional = random.uniform(-2.5e-4, 2.5e-4, 2).round(6)  # mGal/m
    level = float(np.round(random.uniform(-20, 20), 2))
    slab = 2e5 * np.pi * GRAVITATION * 2670.0 * height
    effect, tensor = prism_fields(x, y, height, prism)
    plane = level + regional[0] * (x - east) + regional[1] * (y - north)
    normal = np.asarray(boule.WGS84.normal_gravity((longitude, latitude, height)))
    observed = normal + slab + plane + contrast * GRAVITATION * 1e5 * effect + 0.03 * random.standard_normal(400)
    gravity = Gravity(
        title="gravity", longitude=longitude, latitude=latitude, height=height, value=observed.round(4), crs="EPSG:4326",
        datum="ellipsoidal WGS84", uncertainty=0.03, notes=("made earth: observed gravity, slab topography of 2670 kg/m3",),
    )  # fmt: skip
    inclination, declination, intensity = 63.5, 1.5, 47800.0
    susceptibility = float(np.round(random.uniform(0.02, 0.05) if heavy else random.uniform(0.008, 0.02), 4))
    steep, turn = np.radians([inclination, declination])
    field = np.array([np.cos(steep) * np.sin(turn), np.cos(steep) * np.cos(turn), np.sin(steep)])  # east, north, down
    anomaly = susceptibility * intensity / (4 * np.pi) * np.einsum("i,ijn,j->n", field, tensor, field) + 0.3 * random.standard_normal(400)
    magnetics = Magnetics(
        title="magnetics", longitude=longitude, latitude=latitude, height=height, value=anomaly.round(2), crs="EPSG:4326",
        datum="ellipsoidal WGS84", inclination=inclination, declination=declination, intensity=intensity,
        notes=("made earth: anomaly of an induced prism",),
    )  # fmt: skip
    volume = 4 * half[0] * half[1] * (base - top)
    body = {
        "east_m": float(middle[0]), "north_m": float(middle[1]), "depth_m": (top + base) / 2, "top_m": top, "base_m": base,
        "half_width_east_m": float(half[0]), "half_width_north_m": float(half[1]), "density_contrast_kg_m3": contrast,
        "excess_mass_kg": float(contrast * volume), "susceptibility_si": susceptibility,
        "regional_mgal_per_m": regional.tolist(), "level_mgal": level, "topography_density_kg_m3": 2670.0,
        "peak_mgal": float(contrast * GRAVITATION * 1e5 * effect.max()),
        "inclination_deg": inclination, "declination_deg": declination, "intensity_nt": intensity, "crs": CRS,
    }  # fmt: skip
    return gravity, magnetics, body


def transformer() -> Any:
    """Longitude and latitude to easting and northing of CRS."""
    import pyproj

    return pyproj.Transformer.from_crs("EPSG:4326", CRS, always_xy=True)


def _hills(random: np.random.Generator, x: Array, y: Array) -> Array:
    """Heights (m): a plateau with smooth hills, as a plate correction can bear."""
    height = np.full(len(x), random.uniform(180, 320))
    for _ in range(5):
        direction, length = random.uniform(0, np.pi), random.uniform(5000, 16000)
        height += random.uniform(8, 28) * np.cos(2 * np.pi * (x * np.cos(direction) + y * np.sin(direction)) / length + random.uniform(0, 2 * np.pi))
    return height


def prism_fields(x: Array, y: Array, height: Array, prism: tuple[float, ...]) -> tuple[Array, Array]:
    """Downward attraction over G times density (m), and the tensor of second derivatives of the potential over the same (3, 3, point).

    `prism` is west, east, south, north, top, base in m, the last two as depth. Axes east, north, down. Closed form of
    Nagy (1966); observation points lie outside the prism.
    """
    west, east, south, north, top, base = prism
    attraction = np.zeros(len(x))
    tensor = np.zeros((3, 3, len(x)))
    for i, side_x in enumerate((west, east)):
        for j, side_y in enumerate((south, north)):
            for k, side_z in enumerate((top, base)):
                sign = (-1) ** (i + j + k + 1)
                u, v, w = side_x - x, side_y - y, side_z + height
                r = np.sqrt(u * u + v * v + w * w)
                log_u, log_v, log_w = np.log(u + r), np.log(v + r), np.log(w + r)
                attraction -= sign * (u * log_v + v * log_u - w * np.arctan2(u * v, w * r))
                tensor[0, 0] -= sign * np.arctan(v * w / (u * r))
                tensor[1, 1] -= sign * np.arctan(u * w / (v * r))
                tensor[2, 2] -= sign * np.arctan(u * v / (w * r))
                for a, b, value in ((0, 1, log_w), (0, 2, log_v), (1, 2, log_u)):
                    tensor[a, b] += sign * value
    for a, b in ((1, 0), (2, 0), (2, 1)):
        tensor[a, b] = tensor[b, a]
    return attraction, tensor
