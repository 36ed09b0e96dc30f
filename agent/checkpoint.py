"""A local or hub checkpoint behind the chat interface, with its own chat template and way of calling tools.

A checkpoint whose template knows tools is prompted with it, and its calls are read from the reply: JSON between
`<tool_call>` tags (Qwen, Hermes), after `[TOOL_CALLS]` (Mistral), or a bare JSON object (Llama). One whose template does not is
driven like the embedded model, one decision under a grammar at a time, and so is an adapter that `moho train sft --base` made: its
folder stands for the base of its card with the adapter merged.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolCall, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable

from moho.agent import models
from moho.errors import DataError

LONGEST = 768  # tokens of a reply


class CheckpointChat(BaseChatModel):
    """`hf:PATH_OR_ID`. Greedy. `network` lets transformers fetch an id from the hub."""

    path: str
    network: bool = False

    @property
    def _llm_type(self) -> str:
        return f"hf:{self.path}"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, Any]:
        """Offer tools, as OpenAI-style descriptions."""
        return self.bind(offered=list(tools), **kwargs)

    def _generate(self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        from moho.agent.model import message, situate, usage

        tools = kwargs.get("offered", [])
        identity = f"call_{len(messages)}"
        if knows_tools(self.path, self.network):
            made = reply(generate(self.path, self.network, [plain(m) for m in messages], tools), identity)
        else:
            names = [tool["function"]["name"] for tool in tools]
            situation = situate(messages, [name for name in names if name not in ("ask", "refuse")])
            made = message(decider(self.path, self.network).decide(situation), situation, identity)
            made.usage_metadata = usage(decider(self.path, self.network))
        return ChatResult(generations=[ChatGeneration(message=made)])


def local(path: str, otherwise: str = "") -> Path:
    """The folder of a checkpoint, which is a folder itself or an id that the local cache holds; DataError for neither, with what else may be done."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if Path(path).is_dir():
        return Path(path)
    try:
        found = try_to_load_from_cache(path, "config.json")
    except HFValidationError:
        found = None
    if not isinstance(found, str):
        hint = f"Give a folder, or fetch it once: `hf download ID`. {otherwise}"
        raise DataError("E_NOT_FOUND", f"no checkpoint in {path}, and the local cache holds none of that id", hint)
    return Path(found).parent


def tuned(path: str) -> bool:
    """Whether a folder holds an adapter in place of a checkpoint."""
    return (Path(path) / models.CARD).is_file()


@cache
def _load(path: str, network: bool) -> tuple[Any, Any]:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer, model = _adapted(Path(path), network) if tuned(path) else _read(path, network)
    return tokenizer, model.to(device).eval()


def _adapted(adapter: Path, network: bool) -> tuple[Any, Any]:
    from moho.agent.embedded import merge

    base = str(models.read(adapter).get("base", ""))
    if not base:
        raise DataError("E_CHANGED", f"the card of the adapter {adapter.name!r} names no base")
    if base.startswith(models.BASE):
        raise DataError("E_UNSUPPORTED", f"the adapter {adapter.name!r} is for the embedded model", f"`--model embedded:{adapter}`.")
    tokenizer, model = _read(base, network)
    merge(model, adapter)
    return tokenizer, model


def _read(path: str, network: bool) -> tuple[Any, Any]:
    if network:
        os.environ["HF_HUB_OFFLINE"] = "0"
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = path if network else local(path, "Or allow the network: MOHO_ALLOW_NETWORK=1.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=not network, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            place, dtype=torch.bfloat16, local_files_only=not network, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError) as error:
        raise DataError("E_FORMAT", f"the checkpoint {path} cannot be loaded: {str(error).splitlines()[0]}") from error
    return tokenizer, model


def knows_tools(path: str, network: bool) -> bool:
    """Whether the checkpoint's chat template speaks of tools; an adapter was trained on lines of the grammar, whatever its base's does."""
    return not tuned(path) and "tools" in str(_load(path, network)[0].chat_template or "")


@cache
def decider(path: str, network: bool) -> Any:
    """The checkpoint as a model that decides under a grammar."""
    from moho.agent.embedded import Decider

    return Decider(*_load(path, network))


def generate(path: str, network: bool, messages: list[dict[str, Any]], tools: Sequence[Any]) -> str:
    """The greedy reply to a chat, special tokens kept."""
    import torch

    tokenizer, model = _load(path, network)
    encoded = tokenizer.apply_chat_template(messages, tools=list(tools), add_generation_prompt=True, return_tensors="pt", return_dict=True).to(
        model.device
    )
    with torch.inference_mode():
        out = model.generate(**encoded, max_new_tokens=LONGEST, do_sample=False, pad_token_id=tokenizer.eos_token_id)
    text = tokenizer.decode(out[0, encoded["input_ids"].shape[1] :], skip_special_tokens=False)
    for token in (tokenizer.eos_token, "<|im_end|>", "<|eot_id|>", "<|end|>"):
        text = text.replace(token or "<|im_end|>", "")
    return str(text)


def plain(message: BaseMessage) -> dict[str, Any]:
    """A message as chat templates want it."""
    if isinstance(message, SystemMessage):
        return {"role": "system", "content": message.content}
    if isinstance(message, HumanMessage):
        return {"role": "user", "content": message.content}
    if isinstance(message, ToolMessage):
        return {"role": "tool", "content": message.content, "tool_call_id": message.tool_call_id}
    calls = [{"type": "function", "function": {"name": c["name"], "arguments": c["args"]}} for c in getattr(message, "tool_calls", [])]
    return {"role": "assistant", "content": message.content} | ({"tool_calls": calls} if calls else {})


def reply(text: str, identity: str) -> AIMessage:
    """The message in a generated text: its tool calls, or its words without the model's thinking.

    >>> reply('<tool_call>{"name": "bandpass", "arguments": {"low": "5 Hz"}}</tool_call>', "c").tool_calls[0]["args"]
    {'low': '5 Hz'}
    """
    text = re.sub(r"<think>.*?</think>", "", text, flags=re.S).strip()
    found = re.findall(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|$)", text, re.S)
    if not found and "[TOOL_CALLS]" in text:
        found = [text.partition("[TOOL_CALLS]")[2].strip()]
    if not found and text.removeprefix("<|python_tag|>").lstrip().startswith(("{", "[")):
        found = [text.removeprefix("<|python_tag|>").strip()]
    calls: list[ToolCall] = []
    for piece in found:
        try:
            parsed = json.loads(piece)
        except ValueError:
            continue
        for one in parsed if isinstance(parsed, list) else [parsed]:
            if isinstance(one, dict) and "name" in one:
                given = one.get("arguments", one.get("parameters", {}))
                arguments: dict[str, Any] = json.loads(given) if isinstance(given, str) else dict(given or {})
                calls.append(ToolCall(name=str(one["name"]), args=arguments, id=f"{identity}_{len(calls)}"))
    return AIMessage("" if calls else text, tool_calls=calls)
