"""What the trainers of adapters share: a fresh LoRA, what trl's trainers are told alike, and an adapter put together with the one below it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moho import store
from moho.agent import models
from moho.errors import DataError
from moho.project import versions

if TYPE_CHECKING:
    from moho.rl import ppo, reward, sft

    Settings = sft.Settings | reward.Settings | ppo.Settings

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def lora(settings: Settings, task: str = "CAUSAL_LM", **more: Any) -> Any:
    """What peft is asked for: a LoRA whose B is zero, in the layers of the settings that there are."""
    from peft import LoraConfig

    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules=list(TARGETS),
        task_type=task,
        layers_to_transform=list(range(*settings.layers)),
        **more,
    )


def shape(folder: Path) -> dict[str, Any]:
    """Rank, alpha and layers of the adapter in a folder, as settings name them, to go on learning in it; DataError where its ranks differ."""
    from safetensors import safe_open

    card = json.loads((folder / models.CARD).read_text(encoding="utf-8"))
    with safe_open(folder / models.WEIGHTS, "pt") as held:
        names = [name for name in held.keys() if name.endswith(".lora_A")]  # noqa: SIM118
        ranks = {held.get_slice(name).get_shape()[0] for name in names}
    if ranks != {card["rank"]}:
        raise DataError("E_UNSUPPORTED", f"the adapter in {folder.name} has matrices of ranks {sorted(ranks)}", "Fold it to one rank (kept_rank).")
    layers = [int(name.split(".layers.")[1].split(".")[0]) for name in names]
    return {"rank": card["rank"], "alpha": card["alpha"], "layers": (min(layers), max(layers) + 1)}


def arguments(settings: Settings, out: Path) -> dict[str, Any]:
    """What the trainers of trl are told alike."""
    import torch

    return {
        "output_dir": str(out / "checkpoints"),
        "learning_rate": settings.rate,
        "seed": settings.seed,
        "report_to": [],
        "bf16": False,
        "activation_checkpointing": False,
        "use_cpu": not torch.cuda.is_available(),
        "disable_tqdm": True,
    }


def keep(settings: ppo.Settings, matrices: Mapping[str, Any], start: Path | None, out: Path, made: Mapping[str, Any]) -> dict[str, Any]:
    """Write an adapter that was learned on top of the one in `start`, put together with it, and its card, as `moho.rl.sft` keeps them."""
    import torch
    from safetensors.torch import load_file, save

    terms: list[tuple[Mapping[str, Any], float]] = [({name: value.cpu() for name, value in matrices.items()}, settings.alpha / settings.rank)]
    before: dict[str, Any] = {}
    if start is not None:
        before = json.loads((start / "adapter.json").read_text())
        terms.insert(0, (load_file(start / "adapter.safetensors"), before["alpha"] / before["rank"]))
    tensors, lost = fold(terms, settings.kept_rank)
    rank = settings.kept_rank or settings.rank + before.get("rank", 0)
    content = save({name: value.to(torch.bfloat16).contiguous() for name, value in tensors.items()})
    card = {
        "base": before.get("base", models.SOURCE),
        "rank": rank,
        "alpha": rank,  # the scale stands in B
        "lost_by_truncation": lost,  # share of the squared norm
        "settings": asdict(settings),
        "start": before.get("sha256", ""),
        "data": before.get("data", {}),
        **made,
        "versions": versions(),
        "sha256": sha256(content).hexdigest(),
    }
    store.atomic_write(out / "adapter.safetensors", content, replace=True)
    store.atomic_write(out / "adapter.json", (json.dumps(card, indent=1) + "\n").encode(), replace=True)
    return card


def between(before: Path | None, after: Path, share: float, out: Path) -> None:
    """Write the adapter that stands between two, `share` of the way: the mean of their products, of the rank of the second.

    A model half-way back to where it was fine-tuned from keeps most of what it learned and loses less of what it could (Wortsman et al.,
    2022, arXiv:2109.01903). Without `before` it is the model as it comes.
    """
    import torch
    from safetensors.torch import load_file, save

    terms = []
    for folder, weight in ((after, share), (before, 1 - share)):
        if folder is not None:
            found = json.loads((folder / models.CARD).read_text(encoding="utf-8"))
            terms.append((load_file(folder / models.WEIGHTS), weight * found["alpha"] / found["rank"]))
    card = json.loads((after / models.CARD).read_text(encoding="utf-8"))
    tensors, lost = fold(terms, card["rank"])
    content = save({name: value.to(torch.bfloat16).contiguous() for name, value in tensors.items()})
    card |= {"alpha": card["rank"], "share_of_the_way": share, "lost_by_truncation": lost, "sha256": sha256(content).hexdigest()}
    out.mkdir(parents=True, exist_ok=True)
    store.atomic_write(out / models.WEIGHTS, content, replace=True)
    store.atomic_write(out / models.CARD, (json.dumps(card, indent=1) + "\n").encode(), replace=True)


def fold(terms: Sequence[tuple[Mapping[str, Any], float]], rank: int = 0) -> tuple[dict[str, Any], float]:
    """One adapter of scale 1 equal to several, each given with its scale; of `rank`, the best in least squares, or of all their ranks (0).

    The second value is the share of the squared norm of all products B A that a smaller rank leaves out.
    """
    import torch

    folded: dict[str, Any] = {}
    lost = whole = 0.0
    for module in sorted({name.rpartition(".")[0] for tensors, _ in terms for name in tensors}):
        found = [(tensors[f"{module}.lora_A"].float(), scale * tensors[f"{module}.lora_B"].float()) for tensors, scale in terms
                 if f"{module}.lora_A" in tensors]  # fmt: skip
        a, b = torch.cat([a for a, _ in found]), torch.cat([b for _, b in found], dim=1)  # (rank, in), (out, rank)
        if rank:
            left, inner = torch.linalg.qr(b.double())
            right, outer = torch.linalg.qr(a.double().T)
            u, singular, vt = torch.linalg.svd(inner @ outer.T)
            whole += float((singular**2).sum())
            lost += float((singular[rank:] ** 2).sum())
            root = singular[:rank].sqrt()
            a, b = (root[:, None] * vt[:rank] @ right.T).float(), (left @ u[:, :rank] * root).float()
        folded |= {f"{module}.lora_A": a, f"{module}.lora_B": b}
    return folded, lost / whole if whole else 0.0


def short(name: str) -> str:
    """A parameter's name as adapters are kept with: `model.layers.16.self_attn.q_proj.lora_A`."""
    return name.removeprefix("base_model.model.").removesuffix(".default.weight")
