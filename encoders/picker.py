"""The phase picker: a small 1-D U-Net that gives the probability of a P and of an S onset at every sample.

It is trained on made records alone (`picker_records`), `train` writes the weights and the card that says how. Its use on
seismograms is the tool `pick_phases`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from moho.encoders.picker_records import CORNER, RATE, SAMPLES, Record, make_record
from moho.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]
WEIGHTS = Path(__file__).parent / "weights" / "picker"
PHASES = ("P", "S")
LEAST = 0.15  # probability below which no peak is looked at; the card says from where on one is a pick
MISMATCH = {"P": 0.03, "S": 0.06}  # s, added in quadrature to uncertainties measured on made records: real ones differ
TOLERANCE = {"P": 0.1, "S": 0.2}  # s, within which a pick counts as right
APART = 0.5  # s between two picks of one phase


@dataclass(frozen=True)
class Settings:
    """How a picker is trained."""

    steps: int = 2400
    batch: int = 24  # records
    rate: float = 4e-3  # largest learning rate, AdamW, one cycle
    decay: float = 1e-3
    sigma: float = 0.1  # s, of the Gaussian a label is
    widths: tuple[int, ...] = (8, 16, 24, 40, 56)
    seed: int = 17
    held_out: int = 1000  # records scored at the end
    save_every: int = 200  # steps


PRESETS = {"tiny": Settings(), "check": Settings(steps=4, batch=4, held_out=12, save_every=2)}


class Picker(nn.Module):
    """(batch, 6, sample) features to (batch, 3, sample) logits of P, S and neither; the samples a multiple of 4^4."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.first = _block(6, widths[0])
        self.down = nn.ModuleList(nn.Sequential(_block(a, b, 4), _block(b, b)) for a, b in pairs)
        self.up = nn.ModuleList(_block(b, a, 1) for a, b in reversed(pairs))
        self.merge = nn.ModuleList(_block(2 * a, a) for a, b in reversed(pairs))
        self.last = nn.Conv1d(widths[0], 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)  # (batch, 8, 3072)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)  # (batch, 16, 768) ... (batch, 56, 12)
        for up, merge, skip in zip(self.up, self.merge, reversed(skips), strict=True):
            x = merge(torch.cat([functional.interpolate(up(x), scale_factor=4.0, mode="linear"), skip], 1))
        logits: Tensor = self.last(x)
        return logits


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(inputs, outputs, 7, stride, 3, bias=False), nn.BatchNorm1d(outputs), nn.ReLU())


def features(data: Array) -> Array:
    """(6, sample) float32 of high-passed data (3, sample): scaled by the largest deviation, and each component compressed.

    The compression, asinh over the median amplitude, keeps a weak P visible before a large S, and forgets the gain.
    """
    shown = np.any(data != 0, axis=0)
    part = data[:, shown] if shown.any() else data
    largest = float(part.std(axis=1).max()) or 1.0
    middle = np.median(np.abs(part), axis=1, keepdims=True)
    middle = np.where(middle > 0, middle, largest)
    return np.concatenate([data / largest, np.arcsinh(data / middle) / 3]).astype(np.float32)


def labels(record: Record, sigma: float) -> Array:
    """(3, sample) probabilities of P, S and neither: a Gaussian of `sigma` s at each onset."""
    n = np.arange(record.data.shape[1])
    made = np.zeros((3, len(n)), np.float32)
    for row, onsets in enumerate((record.p, record.s)):
        for onset in onsets:
            made[row] = np.maximum(made[row], np.exp(-0.5 * ((n - onset) / (RATE * sigma)) ** 2))
    both = np.maximum(made[:2].sum(0), 1.0)
    made[:2] /= both
    made[2] = 1 - made[:2].sum(0)
    return made


def train(settings: Settings, out: Path) -> dict[str, Any]:
    """The card of a picker trained by `settings`, kept with its weights in `out`; goes on from a checkpoint it finds there.

    >>> card = train(PRESETS["tiny"], Path("encoders/weights/picker"))  # doctest: +SKIP
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    model = Picker(settings.widths)
    optimiser = torch.optim.AdamW(model.parameters(), settings.rate, weight_decay=settings.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.rate, settings.steps, pct_start=0.1)
    checkpoint, begin, running = out / "checkpoint.pt", 0, 0.0
    if checkpoint.exists():
        held = torch.load(checkpoint, weights_only=True)
        if held["settings"] == json.dumps(asdict(settings)):
            model.load_state_dict(held["model"])
            optimiser.load_state_dict(held["optimiser"])
            schedule.load_state_dict(held["schedule"])
            begin, running = held["step"], held["loss"]
    model.train()
    for step in range(begin, settings.steps):
        records = [make_record((settings.seed, step, i)) for i in range(settings.batch)]
        x = torch.from_numpy(np.stack([features(record.data) for record in records]))
        y = torch.from_numpy(np.stack([labels(record, settings.sigma) for record in records]))
        loss = -(y * functional.log_softmax(model(x), 1)).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        value = float(loss.detach())
        running = value if step == 0 else 0.98 * running + 0.02 * value
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            print(f"step {step + 1} of {settings.steps}: cross entropy {running:.4f}", flush=True)
            state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
            torch.save({**state, "step": step + 1, "loss": running, "settings": json.dumps(asdict(settings))}, checkpoint)
    return _finish(model.eval(), settings, running, out)


def _finish(model: Picker, settings: Settings, loss: float, out: Path) -> dict[str, Any]:
    """Weights and card, the uncertainties read off one half of the held-out records and the scores off the other."""
    from safetensors.torch import save_file

    half = settings.held_out // 2
    thresholds, calibration = _calibrate(model, [held_out(settings.seed, i) for i in range(half)])
    card = {
        "schema_version": 1,
        "what": "P and S onset picker, 1-D U-Net on three components at 100 Hz",
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "data": "made records of moho.encoders.picker_records; nothing recorded was used in training or calibration",
        "preprocessing": f"causal Butterworth high-pass {CORNER:g} Hz, 2 poles; {SAMPLES} samples at {RATE:g} Hz; Z and two horizontals, absent zero",
        "settings": asdict(settings),
        "final_loss": round(loss, 5),
        "thresholds": thresholds,
        "calibration": calibration,
        "scores": {},
    }
    found = Trained(model, card)
    card["scores"] = {"held-out made records": score(found.pick_window, (held_out(settings.seed, i) for i in range(half, settings.held_out)))}
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, out / "picker.safetensors")
    (out / "card.json").write_text(json.dumps(card, indent=1) + "\n")
    return card


def held_out(seed: int, number: int) -> Record:
    """A record no training step of this seed has seen."""
    return make_record((seed, 2**31, number))


def _calibrate(model: Picker, records: Sequence[Record]) -> tuple[dict[str, float], dict[str, dict[str, list[float]]]]:
    """For each phase the least probability of a pick, and peak probability -> uncertainty (s) as two columns.

    The threshold gives the largest F1; the uncertainty is what 68 % of the residuals stay within.
    """
    plain = Trained(model, {"calibration": {}, "thresholds": dict.fromkeys(PHASES, LEAST)})
    rows: dict[str, list[tuple[float, float]]] = {phase: [] for phase in PHASES}  # probability, distance from the nearest onset s
    for record in records:
        for phase, sample, probability, _ in plain.pick_window(record.data):
            onsets = record.p if phase == "P" else record.s
            rows[phase].append((probability, min((abs(sample - onset) for onset in onsets), default=1e9) / RATE))
    thresholds, made = {}, {}
    for phase in PHASES:
        ranked = np.array(sorted(rows[phase])).reshape(-1, 2)
        truth = sum(len(record.p if phase == "P" else record.s) for record in records)
        trials = np.round(np.arange(LEAST, 0.9, 0.05), 2)
        chosen = [ranked[ranked[:, 0] >= trial] for trial in trials]
        f1 = [2 * float(np.sum(part[:, 1] <= TOLERANCE[phase])) / max(len(part) + truth, 1) for part in chosen]
        thresholds[phase] = float(trials[int(np.argmax(f1))])
        near = ranked[(ranked[:, 1] < 1.0) & (ranked[:, 0] >= thresholds[phase])]
        groups = [group for group in np.array_split(near, 6) if len(group) >= 10]
        sizes = np.array([max(float(np.quantile(group[:, 1], 0.68)), 1 / RATE) for group in groups])
        sizes = np.sqrt(np.minimum.accumulate(sizes) ** 2 + MISMATCH[phase] ** 2)  # surer is never less exact
        levels = [round(float(np.median(group[:, 0])), 4) for group in groups]
        made[phase] = {"probability": levels, "uncertainty": [round(float(size), 4) for size in sizes]}
    return thresholds, made


@dataclass(frozen=True)
class Trained:
    """A picker in use, with its card."""

    model: Picker
    card: dict[str, Any]

    def probabilities(self, data: Array) -> Array:
        """(2, sample) probabilities of P and S of high-passed data (3, sample) at 100 Hz, windows of 30.72 s overlapping by half."""
        n = data.shape[1]
        step = SAMPLES // 2
        starts = list(range(0, max(n - SAMPLES, 0) + step, step)) if n > SAMPLES else [0]
        starts = sorted({min(start, max(n - SAMPLES, 0)) for start in starts})
        ramp = np.minimum(np.arange(1, SAMPLES + 1), np.arange(SAMPLES, 0, -1)) / step
        total, weight = np.zeros((2, n)), np.zeros(n)
        for start in starts:
            part = data[:, start : start + SAMPLES]
            length = part.shape[1]
            window = np.zeros((3, SAMPLES), np.float32)
            window[:, :length] = part
            with torch.inference_mode():
                found = torch.softmax(self.model(torch.from_numpy(features(window)[None])), 1)[0, :2].numpy()
            total[:, start : start + length] += found[:, :length] * ramp[:length]
            weight[start : start + length] += ramp[:length]
        return total / np.maximum(weight, 1e-9)

    def pick_window(self, data: Array) -> list[tuple[str, float, float, float]]:
        """(phase, sample, probability, uncertainty s) of every onset in high-passed data (3, sample) at 100 Hz, in order of time."""
        from scipy.signal import find_peaks

        found = []
        for phase, curve in zip(PHASES, self.probabilities(data), strict=True):
            peaks, _ = find_peaks(np.r_[0, curve, 0], height=self.card["thresholds"][phase], distance=round(APART * RATE))
            for peak in peaks - 1:
                near = slice(max(peak - 15, 0), peak + 16)
                weight = curve[near]
                sample = float((np.arange(len(curve))[near] * weight).sum() / weight.sum())
                found.append((phase, sample, float(curve[peak]), self.uncertainty(phase, float(curve[peak]))))
        return sorted(found, key=lambda pick: (pick[1], pick[0]))

    def uncertainty(self, phase: str, probability: float) -> float:
        """s, as calibrated on held-out made records, with a share for the difference of real ones."""
        table = self.card["calibration"].get(phase, {})
        if not table.get("probability"):
            return TOLERANCE[phase]
        return float(np.interp(probability, table["probability"], table["uncertainty"]))


@cache
def load_picker(folder: Path = WEIGHTS) -> Trained:
    """The picker kept in `folder`; DataError where weights or card are missing or do not fit."""
    from safetensors.torch import load_file

    try:
        card = json.loads((folder / "card.json").read_text())
        model = Picker(card["settings"]["widths"])
        model.load_state_dict(load_file(folder / "picker.safetensors"))
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise DataError("E_FORMAT", f"the phase picker in {folder.name} cannot be loaded: {error}") from error
    return Trained(model.eval(), card)


def score(pick: Callable[[Array], Sequence[tuple[Any, ...]]], records: Iterable[Record]) -> dict[str, dict[str, float]]:
    """Recall, precision (0 to 1), mean and standard deviation of the residuals (s) of each phase, and the numbers behind them.

    A pick is right within 0.1 s for P and 0.2 s for S of an onset, each onset found once. `pick` gives rows that begin with
    phase and sample. The residuals are those within 0.5 s.
    """
    onsets = dict.fromkeys(PHASES, 0)
    made = dict.fromkeys(PHASES, 0)
    right = dict.fromkeys(PHASES, 0)
    residuals: dict[str, list[float]] = {phase: [] for phase in PHASES}
    for record in records:
        picks = pick(record.data)
        for phase, truth in zip(PHASES, (record.p, record.s), strict=True):
            times = [float(row[1]) for row in picks if row[0] == phase]
            onsets[phase] += len(truth)
            made[phase] += len(times)
            for onset in truth:
                if not times:
                    continue
                nearest = min(times, key=lambda time: abs(time - onset))
                away = (nearest - onset) / RATE
                right[phase] += abs(away) <= TOLERANCE[phase]
                if abs(away) <= 0.5:
                    residuals[phase].append(away)
    return {
        phase: {
            "onsets": onsets[phase], "picks": made[phase], "right": right[phase],
            "recall": round(right[phase] / max(onsets[phase], 1), 4), "precision": round(min(right[phase] / max(made[phase], 1), 1.0), 4),
            "mean_residual": round(float(np.mean(residuals[phase])), 4) if residuals[phase] else float("nan"),
            "std_residual": round(float(np.std(residuals[phase])), 4) if residuals[phase] else float("nan"),
        }
        for phase in PHASES
    }  # fmt: skip


__all__ = ["PRESETS", "Picker", "Settings", "Trained", "features", "held_out", "labels", "load_picker", "score", "train"]
