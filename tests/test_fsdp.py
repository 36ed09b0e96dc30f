"""Training over several processes: sharded as `rl/fsdp.yaml` says, a model learns what it learns whole."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from accelerate.utils.launch import prepare_multi_gpu_env
from test_base import EXAMPLES, SETTINGS, written

import moho.rl
from moho.errors import DataError
from moho.rl import sft
from moho.rl.choosing import ChoosingForCausalLM

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.:FutureWarning")  # trl and peft read the old name

CONFIG = Path(moho.rl.__file__).parent / "fsdp.yaml"
MICRO = replace(SETTINGS, batch=4, minutes=1e6)


def launched(*more: str) -> tuple[Any, dict[str, str]]:
    """The arguments that `accelerate launch` has from the file, and the environment that it gives each process."""
    given = launch_command_parser().parse_args(["--config_file", str(CONFIG), "--num_processes", "1", *more, "script.py"])
    arguments, _, _ = _validate_launch_command(given)
    return arguments, {key: value for key, value in prepare_multi_gpu_env(arguments).items() if key.startswith(("ACCELERATE_", "FSDP_"))}


@pytest.fixture
def sharding(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One process as accelerate launches several, on a CPU: accelerate keeps FSDP to accelerators, so its state is told otherwise."""
    plain = AcceleratorState.__init__

    def told(self: Any, *given: Any, fsdp_plugin: Any = None, **named: Any) -> None:
        plain(self, *given, fsdp_plugin=fsdp_plugin, **named)
        self.distributed_type = DistributedType.FSDP
        if fsdp_plugin is not None:
            self.fsdp_plugin = fsdp_plugin

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    one = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}
    for name, value in (launched()[1] | one).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(AcceleratorState, "__init__", told)
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    AcceleratorState._reset_state(reset_partial_state=True)


def test_accelerate_knows_what_the_file_says(tmp_path: Path) -> None:
    config = load_config_from_file(str(CONFIG))  # ValueError for a name it does not know
    arguments, environment = launched()
    assert config.distributed_type == DistributedType.FSDP
    assert set(config.fsdp_config) <= set(vars(arguments))
    assert arguments.use_fsdp
    assert (environment["FSDP_VERSION"], environment["ACCELERATE_MIXED_PRECISION"]) == ("2", "no")
    base = ChoosingForCausalLM.from_pretrained(written(tmp_path))
    assert environment["FSDP_TRANSFORMER_CLS_TO_WRAP"] in {type(module).__name__ for module in base.modules()}


@pytest.mark.parametrize("tied", [True, False])
def test_a_sharded_model_learns_what_it_learns_whole(sharding: None, tied: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from peft import PeftModel
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

    kinds: list[tuple[bool, bool, bool]] = []
    keep = sft.keep

    def kept(model: Any, *given: Any, **named: Any) -> dict[str, Any]:
        base = model.get_base_model()
        kinds.append((isinstance(model, PeftModel), isinstance(base.model.layers[0], FSDPModule), isinstance(base.lm_head.weight, DTensor)))
        return keep(model, *given, **named)

    monkeypatch.setattr(sft, "keep", kept)
    settings = replace(MICRO, base=str(written(tmp_path / "base", tie_word_embeddings=tied)))
    sharded = sft.fit(EXAMPLES[:8], settings, tmp_path / "sharded")
    torch.distributed.destroy_process_group()
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.undo()
    monkeypatch.setattr(sft, "keep", kept)
    whole = sft.fit(EXAMPLES[:8], settings, tmp_path / "whole")
    assert kinds == [(True, True, True), (True, False, False)]
    assert sharded["steps"] == whole["steps"] == 2
    assert (tmp_path / "sharded" / "adapter.safetensors").read_bytes() == (tmp_path / "whole" / "adapter.safetensors").read_bytes()
    assert (tmp_path / "sharded" / "checkpoints" / "checkpoint-2" / "adapter_model.safetensors").exists()  # whole, to go on from


def test_only_the_first_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trl import SFTTrainer

    settings = replace(MICRO, base=str(written(tmp_path / "base")))
    first = sft.fit(EXAMPLES[:4], settings, tmp_path / "first")
    monkeypatch.setattr(SFTTrainer, "is_world_process_zero", lambda self: False)
    monkeypatch.setattr("transformers.TrainingArguments.should_save", False)
    second = sft.fit(EXAMPLES[:4], settings, tmp_path / "second")
    assert second["sha256"] == first["sha256"]
    assert list((tmp_path / "second").glob("adapter*")) == []


def test_shards_that_are_flat_are_refused(sharding: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSDP_VERSION", "1")
    monkeypatch.setenv("FSDP_SYNC_MODULE_STATES", "false")  # which needs a GPU
    with pytest.raises(DataError, match="FSDP 2 only"):
        sft.fit(EXAMPLES[:4], replace(MICRO, base=str(written(tmp_path / "base"))), tmp_path / "out")
    assert not (tmp_path / "out" / "adapter.json").exists()


def test_the_rate_and_the_end_follow_the_first_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelerate.utils.broadcast_object_list", lambda told: [600.0])  # what the first process says
    card = sft.fit(EXAMPLES[:8], replace(MICRO, batch=1, minutes=5.0, base=str(written(tmp_path / "base"))), tmp_path / "out")
    assert card["steps"] == 1
    assert os.environ.get("ACCELERATE_USE_FSDP") is None
