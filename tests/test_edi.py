"""Magnetotelluric EDI files: numbers, signs and units as the standard has them; damaged ones end in an error of the right code."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from moho import store
from moho.edi import looks_like
from moho.errors import DataError
from moho.plot import draw
from moho.read import describe_kind, read, recognise
from moho.survey import MTSounding

FREQUENCY = np.array([100.0, 10.0, 1.0, 0.1])


def block(name: str, values: np.ndarray | list[float], options: str = "") -> str:
    return f">{name} {options} // {len(values)}\n" + " ".join(f"{value:.9e}" for value in values) + "\n\n"


def edi(rho: float = 100.0, sign: int = 1, unit: str = "", end: str = ">END\n", nfreq: int | None = None, **changed: str) -> str:
    """A half-space as an EDI file in mV/km/nT (or ohm), with 5 % errors of the impedance."""
    z = np.sqrt(1j * 2 * np.pi * FREQUENCY * 4e-7 * np.pi * rho) / (1 if unit == "ohm" else 4e-4 * math.pi)
    z = z if sign > 0 else np.conj(z)
    zero = np.zeros(len(z))
    parts = {
        "HEAD": f">HEAD\n DATAID=\"site 1\"\n LAT=-38:30:00\n LON=118.5\n ELEV=100\n EMPTY=1.0e32\n{f' UNITS={unit}' if unit else ''}\n\n",
        "MTSECT": f">=MTSECT\n NFREQ={len(z) if nfreq is None else nfreq}\n\n",
        "FREQ": block("FREQ", FREQUENCY),
        "ZROT": block("ZROT", zero + 15),
        "ZXXR": block("ZXXR", zero, "ROT=ZROT"), "ZXXI": block("ZXXI", zero),
        "ZXYR": block("ZXYR", z.real), "ZXYI": block("ZXYI", z.imag), "ZXY.VAR": block("ZXY.VAR", (0.05 * np.abs(z)) ** 2),
        "ZYXR": block("ZYXR", -z.real), "ZYXI": block("ZYXI", -z.imag), "ZYX.VAR": block("ZYX.VAR", (0.05 * np.abs(z)) ** 2),
        "ZYYR": block("ZYYR", zero), "ZYYI": block("ZYYI", zero),
    }  # fmt: skip
    return "".join({**parts, **changed}.values()) + end


def put(folder: Path, text: str | bytes, name: str = "a.edi") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(("sign", "unit"), [(1, ""), (-1, ""), (1, "ohm")])
def test_a_half_space_has_its_resistivity_and_45_degrees(sign: int, unit: str, tmp_path: Path) -> None:
    sounding = read(put(tmp_path, edi(sign=sign, unit=unit)))
    assert isinstance(sounding, MTSounding)
    for component in ("xy", "yx", "determinant"):
        rho, phase, relative = sounding.apparent(component)
        assert rho == pytest.approx([100.0] * 4)
        assert phase == pytest.approx([45.0] * 4)
        if component != "determinant":
            assert relative == pytest.approx([0.1] * 4)
    assert (sounding.station, sounding.latitude, sounding.longitude, sounding.rotation) == ("site 1", -38.5, 118.5, 15.0)
    assert any("conjugated" in note for note in sounding.notes) == (sign < 0)


def test_apparent_resistivity_and_phase_make_the_impedance(tmp_path: Path) -> None:
    rho, phase = np.full(4, 50.0), np.full(4, 45.0)
    body = block("RHOXY", rho) + block("PHSXY", phase) + block("RHOXY.ERR", 0.1 * rho) + block("RHOYX", rho) + block("PHSYX", phase)
    sounding = read(put(tmp_path, ">HEAD\n DATAID=b\n\n" + block("FREQ", FREQUENCY) + body + ">END\n"))
    assert isinstance(sounding, MTSounding)
    assert sounding.apparent("xy")[0] == pytest.approx(rho)
    assert sounding.apparent("yx")[1] == pytest.approx(phase)
    assert sounding.apparent("xy")[2] == pytest.approx([0.1] * 4)


def test_empty_values_stay_empty_and_are_counted(tmp_path: Path) -> None:
    z = [1e32, 1.0, 1.0, 1.0]
    sounding = read(put(tmp_path, edi(ZXYR=block("ZXYR", z))))
    assert isinstance(sounding, MTSounding)
    assert np.isnan(sounding.apparent("xy")[0][0])
    assert sounding.facts["missing"].value == 1


def test_what_is_read_is_kept_and_drawn(tmp_path: Path) -> None:
    sounding = read(put(tmp_path, edi()))
    store.save(sounding, tmp_path / "a.npz")
    back = store.load(tmp_path / "a.npz")
    assert store.dump(back) == store.dump(sounding)
    assert "magnetotelluric sounding" in describe_kind(back)
    figure = draw(back)
    assert figure is not None
    assert [ax.get_ylabel() for ax in figure.axes] == ["apparent resistivity (ohm.m)", "phase (deg)"]
    assert figure.axes[1].get_xlabel() == "period (s)"


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    assert recognise(put(tmp_path, edi(), "b.txt")) == "EDI"
    assert not looks_like(b"HEAD\n1 2 3\n", Path("a.txt"))


FULL = edi()
SPECTRA = ">HEAD\n DATAID=a\n\n>=SPECTRASECT\n NFREQ=2\n\n>SPECTRA FREQ=1 // 4\n1 2 3 4\n>END\n"
NO_Z = ">HEAD\n DATAID=a\n\n" + block("FREQ", FREQUENCY) + ">END\n"
ODD = FULL.replace(">ZXYI", ">XXYI")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "E_FORMAT"),
        (bytes(range(256)) * 4, "E_FORMAT"),
        (">HEAD\n DATAID=a\n", "E_TRUNCATED"),
        (FULL[: FULL.index(">ZXYI") + 40], "E_TRUNCATED"),
        (FULL[: FULL.index(">FREQ") + 30], "E_TRUNCATED"),
        (edi(nfreq=7), "E_HEADER"),
        (edi(FREQ=block("FREQ", [100, -10, 1, 0.1])), "E_HEADER"),
        (edi(FREQ=block("FREQ", [100, 10, 10, 0.1])), "E_GEOMETRY"),
        (edi(FREQ=">FREQ // 99999999\n1 2\n"), "E_LIMIT"),
        (edi(ZXYR=">ZXYR // 4\n1 2 three 4\n"), "E_FORMAT"),
        (edi(ZXYR=">ZXYR // 4\n1 2 3 4 5\n"), "E_HEADER"),
        (edi(ZXYR=block("ZXYR", [1e32] * 4), ZYXR=block("ZYXR", [1e32] * 4)), "E_DATA"),
        (ODD, "E_HEADER"),
        (SPECTRA, "E_UNSUPPORTED"),
        (NO_Z, "E_UNSUPPORTED"),
        (FULL.replace(">END\n", "") + FULL, "E_UNSUPPORTED"),
        (FULL.replace("LAT=-38:30:00", "LAT=381:30:00"), "E_HEADER"),
    ],
)
def test_damaged_files_end_in_their_code(text: str | bytes, code: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        read(put(tmp_path, text))
    assert raised.value.code == code


def test_every_cut_is_refused_or_complete(tmp_path: Path) -> None:
    for cut in range(1, len(FULL), 61):
        code = ""
        try:
            sounding = read(put(tmp_path, FULL[:cut]))
            assert isinstance(sounding, MTSounding)
            assert sounding.apparent("xy")[0][:3] == pytest.approx([100.0] * 3)
        except DataError as error:
            code = error.code
        assert code in ("", "E_FORMAT", "E_TRUNCATED", "E_HEADER", "E_UNSUPPORTED")


def test_gabbs_valley(shared: Path) -> None:
    sounding = read(shared / "mt_edi" / "gv100.edi")
    assert isinstance(sounding, MTSounding)
    assert (sounding.latitude, sounding.longitude) == (pytest.approx(38.6114, abs=1e-4), pytest.approx(-118.5353, abs=1e-4))
    assert sounding.summary()["frequencies"].value == 48
    assert sounding.summary()["period"].value == pytest.approx([0.0013, 2048], rel=2e-3)
    at = int(np.argmin(np.abs(sounding.period - 1.04)))
    assert sounding.apparent("xy")[0][at] == pytest.approx(20.0, abs=0.05)
