"""What every test shares: where the real data are, one thread a process, no network, no door left open."""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["HF_HUB_OFFLINE"] = "1"

from pathlib import Path

import pytest

LONG = (  # files that take longest, in that order: begun first, so that no worker is left alone with one at the end
    "test_requests", "test_volumes", "test_waveform_inversion", "test_plot", "test_instructions", "test_embedded", "test_kill", "test_tomography",
    "test_gravity_inversion", "test_rock_physics", "test_facies", "test_catalogue", "test_magnetics", "test_real_chains", "test_model", "test_cli",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, the others in the order they have."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data, or a skip that says so."""
    folder = Path(os.environ.get("MOHO_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data are not at {folder}; set MOHO_TEST_DATA")
    return folder
