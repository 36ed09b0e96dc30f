"""The command line: exit codes, JSON for programs, and the same bytes again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from made_project import AIMessage, call, quick_choice, write_line, write_well

from moho.agent import chosen, cli, replay
from moho.agent.model import ScriptedChat
from moho.agent.registry import Cost, load_tools

assert replay.replay  # imported before figures are switched off below

BANDPASS = call("bandpass", line="line", low="5 Hz", high="60 Hz")
REQUEST = "filter the line 5-60 Hz"


class Shell:
    """`moho` in this process: exit code, standard output and standard error of a command."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.patch, self.capture = patch, capture

    def __call__(self, *words: str | Path, replies: list[Any] | None = None) -> tuple[int, str, str]:
        if replies is not None:
            self.patch.setattr(cli, "make_model", lambda spec: ScriptedChat(replies=replies))
        self.patch.setattr(sys, "argv", ["moho", *map(str, words)])
        self.capture.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as done:
            code = int(done.code or 0)
        out, err = self.capture.readouterr()
        return code, out, err

    def json(self, *words: str | Path, replies: list[Any] | None = None) -> tuple[int, list[dict[str, Any]]]:
        code, out, _ = self(*words, "--json", replies=replies)
        rows = [json.loads(line) for line in out.splitlines()]
        assert all(row["schema_version"] == 1 for row in rows)
        return code, rows


@pytest.fixture
def moho(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MOHO_") and name not in ("MOHO_HOME", "MOHO_TEST_DATA")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MOHO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("moho.agent.offer.choose", quick_choice)
    monkeypatch.setattr(cli, "entry_points", lambda group: [])
    monkeypatch.setattr("moho.agent.act.figures", lambda result, folder: [])
    write_line(tmp_path / "line.sgy")
    write_well(tmp_path / "well.las")
    return Shell(monkeypatch, capsys)


# -- exit codes


def test_0_answered_asked_and_refused(moho: Shell) -> None:
    code, (answered,) = moho.json("ask", REQUEST, "--data", "line.sgy", replies=[BANDPASS, AIMessage("{s1.pass_band}")])
    assert (code, answered["status"], answered["answer"]) == (0, "answered", "5 to 60 Hz")
    assert {"run_id", "numbers", "steps", "citations", "artifacts", "model", "seconds"} <= set(answered)
    assert answered["numbers"] == [{"text": "5 to 60 Hz", "value": [5.0, 60.0], "unit": "Hz", "source": "step:1:pass_band"}]
    code, (asked,) = moho.json("ask", "filter it", replies=[call("bandpass", line="line", low="?", high="?")])
    assert (code, asked["status"], asked["about"]) == (0, "question", ["low", "high"])
    code, (refused,) = moho.json("ask", "invert gravity", replies=[call("gravity_disturbance")])
    assert (code, refused["status"], refused["code"]) == (0, "refused", "E_DATA")


def test_1_an_internal_error_is_a_line(moho: Shell) -> None:
    def broken(messages: Any) -> AIMessage:
        raise RuntimeError("boom")

    code, out, err = moho("ask", REQUEST, "--data", "line.sgy", replies=[broken])
    assert (code, out) == (1, "")
    assert "internal error: RuntimeError: boom" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "words",
    [
        ("ask",),
        ("nonsense",),
        ("ask", "x" * 8001),
        ("run", "band_pass"),
        ("run", "bandpass", "low"),
        ("run", "bandpass", "--low"),
        ("tools", "band_pass"),
        ("run", "bandpass", "--line", "line 99", "--low", "5", "--high", "60"),
        ("run", "bandpass", "--line", "line", "--low", "60 Hz", "--high", "5 Hz"),
        ("run", "bandpass", "--line", "line", "--low", "-5 Hz", "--high", "60 Hz"),
        ("run", "bandpass", "--line", "line", "--low", "5 Hz"),
        ("project", "add", "line.sgy", "well.las", "--name", "a"),
        ("project", "add", "line.sgy", "--hint", "cdp"),
        ("project", "add", "line.sgy", "--hint", "colour=red"),
        ("project", "add", "line.sgy", "--hint", "whole_traces=maybe"),
        ("project", "add", "line.sgy", "--hint", "dt=slow"),
        ("project", "add", "line.sgy", "--hint", "header_bytes.cdp=last"),
        ("export", "last", "--format", "pdf"),
        ("ask", "hello", "--no-such-option"),
    ],
)
def test_2_usage(moho: Shell, words: tuple[str, ...]) -> None:
    moho("project", "add", "line.sgy")
    code, out, err = moho(*words, replies=[])
    assert (code, out) == (2, "")
    assert err.startswith(("error: ", "question: "))
    code, (row,) = moho.json(*words, replies=[])
    assert (code, row["status"] in ("failed", "question")) == (2, True)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("ask", "look", "--data", "gone.sgy"), "E_NOT_FOUND"),
        (("project", "list", "--project", "gone"), "E_NOT_FOUND"),
        (("project", "show", "gone"), "E_NOT_FOUND"),
        (("replay", "gone"), "E_NOT_FOUND"),
        (("ask", "look", "--model", "poet"), "E_UNSUPPORTED"),
        (("project", "add", "bad.sgy"), "E_"),
        (("ask", "look", "--project", "full"), "E_PERM"),
        (("ask", "--thread", "feed", "--resume"), "E_NOT_FOUND"),
    ],
)
def test_3_an_input_that_is_not_there_or_not_readable(moho: Shell, words: tuple[str, ...], error: str, tmp_path: Path) -> None:
    moho("project", "add", "line.sgy")
    (tmp_path / "bad.sgy").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    code, (row,) = moho.json(*words, replies=None if "--model" in words else [])
    assert code == 3
    assert row["status"] == "failed"
    assert row["code"].startswith(error)


def test_4_an_approval_is_needed_and_given_later(moho: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setitem(load_tools(), "bandpass", replace(load_tools()["bandpass"], cost=lambda **_: Cost(3600.0, 0)))
    code, (row,) = moho.json("ask", REQUEST, "--data", "line.sgy", replies=[BANDPASS])
    assert (code, row["status"], row["approval"]["tool"]) == (4, "question", "bandpass")
    assert row["steps"] == []
    code, _out, err = moho("ask", "--thread", row["thread"], "--resume", replies=[])
    assert code == 4
    assert "--approve" in err
    code, (row,) = moho.json("ask", "--thread", "last", "--approve", replies=[AIMessage("{s1.pass_band}")])
    assert (code, row["answer"]) == (0, "5 to 60 Hz")
    code, (row,) = moho.json("ask", REQUEST, replies=[BANDPASS])
    code, (row,) = moho.json("ask", "--thread", row["thread"], "--reject", replies=[])
    assert (code, row["status"], row["code"]) == (0, "refused", "E_APPROVAL")
    words = ("run", "bandpass", "--line", "line", "--low", "5", "--high", "60")
    assert moho(*words)[0] == 4
    assert moho(*words, "--yes")[0] == 0


def test_5_a_tool_that_failed(moho: Shell) -> None:
    moho("project", "add", "line.sgy")
    code, out, err = moho("run", "bandpass", "--line", "line", "--low", "60 Hz", "--high", "300 Hz")
    assert (code, out) == (5, "")
    assert "refused: " in err
    assert "Nyquist" in err
    assert moho.json("project", "history")[1][-1]["status"] == "refused"
    code, (row,) = moho.json("run", "water_saturation", "--rw", "0.05")
    assert (code, row["status"], row["code"]) == (5, "refused", "E_DATA")
    assert "it holds line (a seismic line)" in row["answer"]
    moho("run", "bandpass", "--line", "line", "--low", "60 Hz", "--high", "5 Hz")
    assert moho.json("project", "history")[1][-1]["status"] == "failed"
    code, (row,) = moho.json("ask", REQUEST, replies=[call("nothing")] * 3)
    assert (code, row["status"]) == (5, "failed")


def test_6_part_of_a_batch_failed_and_resume_skips_what_is_done(moho: Shell, tmp_path: Path) -> None:
    rows = [
        {"id": "a", "request": REQUEST, "data": ["line.sgy"]},
        {"id": "b", "request": "look", "data": ["gone.sgy"]},
        {"id": "c", "request": "again"},
    ]
    (tmp_path / "tasks.jsonl").write_text("\n".join(map(json.dumps, rows)))
    script = [BANDPASS, AIMessage("{s1.pass_band}"), call("trace_qc", line="line"), AIMessage("{s1.dead_traces} dead")]
    code, out, _ = moho("batch", "tasks.jsonl", "--out", "out", replies=script)
    told = [json.loads(line) for line in out.splitlines()]
    assert code == 6
    assert [(row["id"], row["status"]) for row in told] == [("a", "answered"), ("b", "failed"), ("c", "answered")]
    kept = json.loads((tmp_path / "out" / "a.json").read_text())
    assert (kept["id"], kept["answer"], kept["schema_version"]) == ("a", "5 to 60 Hz", 1)
    code, out, _ = moho("batch", "tasks.jsonl", "--out", "out", "--resume", replies=[])
    assert (code, [json.loads(line)["id"] for line in out.splitlines()]) == (6, ["b"])  # what failed is tried again, the rest is not
    (tmp_path / "out" / "c.json").unlink()
    code, out, _ = moho("batch", "tasks.jsonl", "--out", "out", "--resume", replies=script[2:])
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["b", "c"]


@pytest.mark.parametrize(
    "lines", ["{", '{"id": "a"}', '{"id": "../a", "request": "x"}', '{"id": "a", "request": "x"}\n{"id": "a", "request": "y"}', "[1]"]
)
def test_a_batch_file_that_is_wrong_is_not_begun(moho: Shell, lines: str, tmp_path: Path) -> None:
    (tmp_path / "tasks.jsonl").write_text(lines)
    for tasks in ("tasks.jsonl", "gone.jsonl"):
        code, out, err = moho("batch", tasks, "--out", "out", replies=[])
        assert (code, out) == (3, "")
        assert err.startswith("error: ")
    assert not (tmp_path / "out").exists()


def test_130_interrupted(moho: Shell) -> None:
    def stop(messages: Any) -> AIMessage:
        raise KeyboardInterrupt

    assert moho("ask", REQUEST, "--data", "line.sgy", replies=[stop])[0] == 130


# -- commands


def test_an_answer_for_a_person_and_its_sources_on_stderr(moho: Shell) -> None:
    code, out, err = moho("ask", REQUEST, "--data", "line.sgy", replies=[BANDPASS, AIMessage("{s1.pass_band}.")])
    assert (code, out) == (0, "5 to 60 Hz.\n")
    assert "<- step 1 (bandpass), pass_band" in err
    assert "note: zero phase" in err


@pytest.mark.parametrize(
    "form", [("--low", "5 Hz", "--high", "60 Hz"), ("--low=5 Hz", "--high=60 Hz"), ("--low=5", "--high", "0.06 kHz", "--low-cut=2.5")]
)
def test_a_tool_without_a_language_model(moho: Shell, form: tuple[str, ...]) -> None:
    code, (row,) = moho.json("run", "bandpass", "--data", "line.sgy", "--line=line", *form)
    assert (code, row["status"], row["result"]["name"]) == (0, "answered", "bandpass 1")
    assert (row["arguments"]["low"], row["arguments"]["high"]) == (5, 60)
    code, out, _ = moho("run", "bandpass", "--line=line", *form)
    assert "pass band: 5 to 60 Hz" in out


def test_an_argument_given_twice_is_a_list() -> None:
    assert cli.options(["--velocity", "1500", "--velocity=2000", "--low-cut", "-3"]) == {"velocity": ["1500", "2000"], "low_cut": "-3"}


def test_tools_list_and_describe(moho: Shell) -> None:
    code, rows = moho.json("tools")
    assert code == 0
    assert [row["name"] for row in rows] == sorted(load_tools())
    code, (row,) = moho.json("tools", "bandpass")
    assert row["input_schema"]["required"] == ["line", "low", "high"]
    assert "--low: low end of the pass band" in moho("tools", "bandpass")[1]


def test_project_add_list_show_and_history(moho: Shell, tmp_path: Path) -> None:
    code, rows = moho.json("project", "add", "line.sgy", "well.las")
    assert (code, [(row["name"], row["kind"]) for row in rows]) == (0, [("line", "Seismic"), ("well", "Well")])
    assert all(re.fullmatch(r"[0-9a-f]{64}", row["sha256"]) for row in rows)
    assert moho("project", "add", "well.las", "gone.las")[0] == 6
    assert moho("project", "add", "gone.las", "lost.las")[0] == 3
    moho("run", "bandpass", "--line", "line", "--low", "5", "--high", "60")
    assert [row["name"] for row in moho.json("project", "list")[1]] == ["line", "well", "bandpass 1"]
    code, (shown,) = moho.json("project", "show", "bandpass 1")
    assert shown["history"][0]["tool"] == "bandpass"
    assert shown["facts"]["pass_band"]["value"] == [5, 60]
    assert "made by bandpass(line=line, low=5.0" in moho("project", "show", "bandpass 1")[1]
    code, (run,) = moho.json("project", "history")
    assert (run["request"], run["status"], run["model"]) == ("run bandpass", "answered", "none")
    assert not (tmp_path / "gone").exists()


def test_replay_gives_the_same_bytes_and_says_when_not(moho: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("moho.agent.offer.choose", quick_choice)
    script = [BANDPASS, call("gain_agc", line="bandpass 1", window="0.1 s"), AIMessage("done")]
    moho("ask", "filter 5-60 Hz, then AGC", "--data", "line.sgy", replies=script)  # the window is nobody's: the default, with a note
    code, (row,) = moho.json("replay", "last")
    assert [artifact["artifact"] for artifact in row["artifacts"] if not artifact["same"]] == []
    assert (code, row["same"]) == (0, True)
    assert len(row["artifacts"]) == 8
    folder = tmp_path / "moho-project" / "runs"
    (step,) = folder.glob("*/steps/01-bandpass/step.json")
    record = json.loads(step.read_text())
    record["arguments"]["low"] = 6.0
    step.write_text(json.dumps(record))
    code, (row,) = moho.json("replay", "last")
    assert (code, row["same"]) == (5, False)
    write_line(tmp_path / "line.sgy", seed=9)
    assert moho.json("replay", "last")[1][0]["code"] == "E_CHANGED"


def test_a_run_without_an_end_is_no_success_when_it_is_replayed(moho: Shell, tmp_path: Path) -> None:
    def stop(messages: Any) -> AIMessage:
        raise KeyboardInterrupt

    assert moho("ask", REQUEST, "--data", "line.sgy", replies=[stop])[0] == 130
    code, (row,) = moho.json("replay", "last")
    assert (code, row["code"]) == (3, "E_NOT_FOUND")
    assert "(interrupted) kept no result" in row["answer"]
    assert moho("ask", REQUEST, replies=[BANDPASS, stop])[0] == 130
    code, (row,) = moho.json("replay", "last")
    assert (code, row["same"], row["ended"]) == (6, True, False)
    assert "interrupted" in moho("replay", "last")[1]


def test_a_reader_takes_yes_and_no_and_numbers_from_the_command_line(moho: Shell, tmp_path: Path) -> None:
    whole = (tmp_path / "line.sgy").read_bytes()
    (tmp_path / "cut.sgy").write_bytes(whole[:-100])
    code, (row,) = moho.json("project", "add", "cut.sgy")
    assert (code, row["code"]) == (3, "E_TRUNCATED")
    assert "--hint whole_traces=true" in row["hint"]
    assert moho.json("project", "add", "cut.sgy", "--hint", "whole_traces=no")[1][0]["code"] == "E_TRUNCATED"
    code, (row,) = moho.json("project", "add", "cut.sgy", "--hint", "whole_traces=Yes", "--hint", "dt=0.004")
    assert code == 0
    assert row["line"].startswith("2-D section, 11 traces, 400 samples at 4 ms")
    assert moho("project", "show", "cut")[0] == 0


def test_a_file_where_a_name_belongs_is_told_how_to_be_added(moho: Shell) -> None:
    code, _, err = moho("run", "bandpass", "--line", "line.sgy", "--low", "5", "--high", "60")
    assert code == 2
    assert "line.sgy is a file: add it with --data line.sgy" in err


def test_an_exported_script_repeats_the_run_whatever_the_request_said(moho: Shell, tmp_path: Path) -> None:
    hostile = 'filter 5-60 Hz """ \n\\"; raise SystemExit(7) # \\'
    moho("ask", hostile, "--data", "line.sgy", replies=[BANDPASS, call("gain_agc", line="bandpass 1", window="0.1 s"), AIMessage("done")])
    code, out, _err = moho("export", "last", "--out", "again.py")
    assert (code, out) == (0, "")
    compile((tmp_path / "again.py").read_text(), "again.py", "exec")
    done = subprocess.run([sys.executable, "again.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("same bytes") == 2
    assert "DIFFERENT" not in done.stdout
    assert moho("export", "last", "--out", "again.py")[0] == 3  # never overwritten
    assert moho("export", "last")[1] == (tmp_path / "again.py").read_text()


def test_doctor_says_what_is_there_and_where_settings_come_from(moho: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "moho.toml").write_text("steps = 7\n")
    monkeypatch.setenv("MOHO_MINUTES", "3")
    code, (row,) = moho.json("doctor")
    assert code in (0, 3)
    found = {check["what"]: check for check in row["checks"]}
    assert found["setting steps"]["found"] == "7 (from moho.toml)"
    assert found["setting minutes"]["found"] == "3.0 (from MOHO_MINUTES)"
    assert found["setting model"]["found"].endswith("(from default)")
    assert found["numpy"]["status"] == "ok"
    assert all(check["do"] for check in row["checks"] if check["status"] == "missing")
    (tmp_path / "moho.toml").write_text("steps = [")
    assert moho("doctor")[0] == 3


def test_a_key_that_others_can_read_is_not_used(moho: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir(exist_ok=True)
    key = tmp_path / "home" / "api-key"
    key.write_text("secret\n")
    key.chmod(0o644)
    code, out, err = moho("ask", "hello", "--model", "openai:http://127.0.0.1:9/v1#m")
    assert code == 3
    assert "secret" not in out + err
    key.chmod(0o600)
    assert chosen.api_key() == "secret"


def test_help_and_version_import_nothing_heavy() -> None:
    words = [sys.executable, "-c", "from moho.agent.cli import main; main()"]
    done = subprocess.run([*words, "--help"], capture_output=True, text=True, check=True)
    assert "ask" in done.stdout
    heavy = "import sys, moho.agent.cli, moho.rl.commands; print({'torch', 'numpy', 'langgraph', 'transformers', 'scipy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True).stdout == "set()\n"
    version = subprocess.run([*words, "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"moho \d+\.\d+\S*\n", version.stdout)
