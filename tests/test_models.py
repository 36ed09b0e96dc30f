"""Which adapter answers: chosen only by a person, found sound before it answers, and one command leads back to the old bytes."""

from __future__ import annotations

import json
import os
import signal
import time
from hashlib import sha256
from pathlib import Path

import pytest
from test_cli import Shell, moho

from moho.agent import embedded, models
from moho.errors import DataError

__all__ = ["moho"]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOHO_HOME", str(tmp_path / "home"))


def made(content: bytes, name: str = "", **card: object) -> Path:
    """A finished folder of an adapter, under a name of its own or none yet."""
    folder = models.folder() / (name or ".made.part")
    folder.mkdir()
    (folder / models.WEIGHTS).write_bytes(content)
    told = {"base": f"{models.BASE} (Apache-2.0)", "sha256": sha256(content).hexdigest()} | card
    (folder / models.CARD).write_text(json.dumps(told))
    return folder


def weights() -> bytes:
    chosen = models.in_use()
    assert chosen is not None
    return (chosen.folder / models.WEIGHTS).read_bytes()


def test_what_ships_answers_until_a_person_chooses() -> None:
    chosen = models.in_use()
    assert chosen is None or chosen.name == models.SHIPPED


def test_rollback_gives_the_old_bytes_step_by_step() -> None:
    for content in (b"one", b"two"):
        models.add(made(content), content.decode())
        models.use(content.decode())
    assert weights() == b"two"
    models.rollback()
    assert weights() == b"one"
    if (models.SHIPPED_AT / models.CARD).exists():
        assert models.rollback().name == models.SHIPPED
    with pytest.raises(DataError, match="before"):
        models.rollback()


def test_using_the_one_in_use_again_leaves_the_way_back_as_it_was() -> None:
    for name in ("one", "two", "two"):
        if not (models.folder() / name).exists():
            models.add(made(name.encode()), name)
        models.use(name)
    assert models.rollback().name == "one"


def test_rollback_passes_over_what_is_gone_or_damaged() -> None:
    for name in ("one", "two", "three"):
        models.add(made(name.encode()), name)
        models.use(name)
    (models.folder() / "two" / models.WEIGHTS).write_bytes(b"other")
    assert models.rollback().name == "one"


@pytest.mark.parametrize(
    ("card", "code"), [({"sha256": "0" * 64}, "E_CHANGED"), ({"base": "another-7B"}, "E_UNSUPPORTED"), ({"base": ""}, "E_UNSUPPORTED")]
)
def test_an_unsound_adapter_never_comes_into_use(card: dict, code: str) -> None:
    models.add(made(b"good"), "good")
    models.use("good")
    made(b"bad", "bad", **card)
    with pytest.raises(DataError) as error:
        models.use("bad")
    assert error.value.code == code
    assert weights() == b"good"


def test_an_adapter_of_another_tokenizer_is_refused() -> None:
    one = models.add(made(b"one", tokenizer="a" * 64), "one")
    assert models.sound(one, "a" * 64)
    with pytest.raises(DataError, match="another tokenizer") as error:
        models.sound(one, "b" * 64)
    assert error.value.code == "E_UNSUPPORTED"


def test_a_name_is_never_overwritten_and_never_a_path() -> None:
    models.add(made(b"one"), "one")
    with pytest.raises(DataError, match="already"):
        models.add(made(b"two"), "one")
    for name in ("../one", "/etc", "", ".hidden", "a/b"):
        with pytest.raises(DataError):
            models.use(name)
    assert (models.folder() / "one" / models.WEIGHTS).read_bytes() == b"one"


def test_a_missing_adapter_in_use_is_said_with_the_way_back(moho: Shell) -> None:
    models.add(made(b"one"), "one")
    models.add(made(b"two"), "two")
    models.use("one")
    models.use("two")
    (models.folder() / "two" / models.CARD).unlink()
    with pytest.raises(DataError, match="rollback"):
        models.in_use()
    assert "one" in [row["name"] for row in moho.json("model", "list")[1]]
    assert models.rollback().name == "one"


def test_a_kill_while_choosing_leaves_one_or_the_other() -> None:
    for name in ("one", "two"):
        models.add(made(name.encode()), name)
    models.use("one")
    for delay in (0.0, 0.002, 0.01):
        child = os.fork()
        if child == 0:
            try:
                while True:
                    models.use("two")
                    models.use("one")
            finally:
                os._exit(0)
        time.sleep(0.05 + delay)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert weights() in (b"one", b"two")
        models.use("one")  # the lock went with the process
    assert models.rollback()


def test_the_embedded_model_loads_the_adapter_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(embedded, "_loaded", loaded.append)
    embedded.embedded()
    models.add(made(b"one"), "one")
    models.use("one")
    embedded.embedded()
    embedded.embedded("base")
    assert loaded[1:] == [str(models.folder() / "one"), ""]
    assert loaded[0] in ("", str(models.SHIPPED_AT))


def test_the_commands_list_choose_and_go_back(moho: Shell) -> None:
    for name in ("one", "two"):
        models.add(made(name.encode(), parent="shipped", made="2026-11-30"), name)
    assert moho.json("model", "use", "one")[0] == 0
    assert moho.json("model", "use", "two")[1][0]["name"] == "two"
    code, rows = moho.json("model", "list")
    assert code == 0
    assert [row["name"] for row in rows if row["in_use"]] == ["two"]
    assert {"one", "two"} <= {row["name"] for row in rows}
    assert moho.json("model", "rollback")[1][0]["name"] == "one"
    assert moho("model", "use", "three")[0] == 3
