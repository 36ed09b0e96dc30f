"""The model that training starts from: the embedded one, a folder, or an id that the local cache holds; found sound before anything is made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moho.agent import decision, models
from moho.agent.checkpoint import local
from moho.agent.embedded import _quiet, unpack
from moho.errors import DataError


@dataclass(frozen=True)
class Base:
    """A base that can be trained on. Its weights are read by `load`."""

    name: str  # as the card of an adapter tells it
    folder: Path
    config: Mapping[str, Any]
    tokenizer: Any

    @property
    def layers(self) -> int:
        return int(self.config["num_hidden_layers"])


def find(spec: str) -> Base:
    """The base that `spec` names; DataError where there is none, or none that learns decisions as Moho writes them."""
    from transformers import AutoTokenizer

    folder = unpack() if spec == "embedded" else local(spec)
    name = models.SOURCE if spec == "embedded" else _name(spec)
    try:
        config = json.loads((folder / "config.json").read_bytes())
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except FileNotFoundError as error:
        hint = "An adapter is no base: name the one in its card." if (folder / models.CARD).exists() else ""
        raise DataError("E_FORMAT", f"{spec} is no model: it has no {Path(str(error.filename)).name}", hint) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError("E_FORMAT", f"the configuration or the tokenizer of {spec} cannot be read: {_line(error)}") from error
    if config.get("model_type") != "llama":
        raise DataError("E_UNSUPPORTED", f"{spec} is a {config.get('model_type')}; only a llama can be trained on")
    if not any(folder.glob("*.safetensors")):
        raise DataError("E_FORMAT", f"{spec} is no model: it has no weights in safetensors")
    if len(tokenizer) > config["vocab_size"]:
        raise DataError("E_FORMAT", f"the tokenizer of {spec} has {len(tokenizer)} words, its model {config['vocab_size']}")
    _chats(spec, tokenizer)
    return Base(name, folder, config, tokenizer)


def load(base: Base, kind: Any, **options: Any) -> Any:
    """The model of a base in bf16, as transformers' class `kind`; DataError where weights are damaged or missing."""
    import torch
    from safetensors import SafetensorError

    try:
        with _quiet():
            found, told = kind.from_pretrained(
                base.folder, dtype=torch.bfloat16, local_files_only=True, use_safetensors=True, output_loading_info=True, **options
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise DataError("E_FORMAT", f"the weights of {base.name} cannot be read: {_line(error)}") from error
    if told["missing_keys"]:
        raise DataError("E_FORMAT", f"{base.name} lacks {len(told['missing_keys'])} weights, {min(told['missing_keys'])} among them")
    return found


def _chats(spec: str, tokenizer: Any) -> None:
    """DataError for a tokenizer without a chat template that takes a system message, or without a token that ends a reply."""
    from jinja2 import TemplateError

    if not tokenizer.chat_template:
        raise DataError("E_UNSUPPORTED", f"the tokenizer of {spec} has no chat template", "Take a model that is tuned to instructions.")
    try:
        text = tokenizer.apply_chat_template(decision.prompt(decision.Situation("", {}, [])), tokenize=False, add_generation_prompt=True)
    except (TemplateError, ValueError) as error:
        raise DataError("E_UNSUPPORTED", f"the chat template of {spec} refuses a system message: {_line(error)}") from error
    if decision.SYSTEM not in text:
        raise DataError("E_UNSUPPORTED", f"the chat template of {spec} leaves out the system message")
    if tokenizer.eos_token_id is None:
        raise DataError("E_UNSUPPORTED", f"the tokenizer of {spec} has no token that ends a reply")


def _name(spec: str) -> str:
    return str(Path(spec).resolve()) if Path(spec).is_dir() else spec


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
