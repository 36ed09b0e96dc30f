"""The encoder as it is run here, beside the same one of Transformers in float32."""

import numpy as np
import pytest
import torch

from moho.knowledge.embed import TOGETHER, WINDOW, _batches, _folder, embed, hidden, weights
from moho.knowledge.minilm import MiniLM

TEXTS = [
    "",
    "Moho",
    "Gain control hides amplitudes.",
    "The tie of a well needs a wavelet, a time-depth curve and care. " * 6,
    "Où est le Moho? 莫霍面 ☃",
    "naïve stacking of traces " * 100,  # longer than the window
]


def beside(texts: list[str]) -> np.ndarray:
    """(text, 384) as Transformers has it, one text at a time."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(_folder(), local_files_only=True)
    model = AutoModel.from_pretrained(_folder(), local_files_only=True).eval()
    rows = []
    with torch.inference_mode():
        for text in texts:
            read = tokenizer([text], truncation=True, max_length=WINDOW, padding=False, return_tensors="pt")
            rows.append(torch.nn.functional.normalize(model(**read).last_hidden_state.mean(1), dim=1)[0].numpy())
    return np.array(rows)


def test_vectors_are_those_of_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = beside(TEXTS)
    assert ((embed(TEXTS) * peer).sum(1) > 0.999).all()
    monkeypatch.setattr("moho.knowledge.minilm.native", lambda: False)
    model = MiniLM(weights())  # in float32
    for chosen, last, mask in hidden(model, TEXTS):
        mean = torch.nn.functional.normalize((last * mask).sum(1), dim=1).numpy()
        np.testing.assert_allclose(mean, peer[chosen], atol=1e-5)


def test_a_vector_depends_on_its_text_alone() -> None:
    together = embed(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        assert embed([text])[0] @ vector > 0.9998  # bf16 rounds otherwise where rows are filled up
    np.testing.assert_array_equal(embed(TEXTS[::-1])[::-1], together)
    assert embed([]).shape == (0, 384)


def test_batches_hold_every_text_once_and_no_more_tokens_than_said() -> None:
    lengths = np.random.default_rng(0).integers(2, WINDOW, 300).tolist()
    batches = list(_batches(lengths))
    assert sorted(i for batch in batches for i in batch) == list(range(300))
    assert all(len(batch) * max(lengths[i] for i in batch) <= TOGETHER for batch in batches)
    assert list(_batches([5 * TOGETHER])) == [[0]]
