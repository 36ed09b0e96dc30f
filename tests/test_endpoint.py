"""An OpenAI-compatible endpoint behind the same graph: native tool calls, bindings, and the key nowhere but in the header."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from moho.agent import ledger
from moho.agent.graph import Agent
from moho.agent.model import make
from moho.project import Project
from moho.survey import Seismic

NAME = "line 1"
KEY = "sk-a-key-that-must-not-leak"


class Endpoint(BaseHTTPRequestHandler):
    """Answers with a call of trace_qc, then with a sentence that binds its number and one that makes a number up."""

    asked: ClassVar[list[dict]] = []
    keys: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Endpoint.asked.append(body)
        Endpoint.keys.append(self.headers["Authorization"])
        results = [m for m in body["messages"] if m["role"] == "tool"]
        if not results:
            call = {"id": "c1", "type": "function", "function": {"name": "trace_qc", "arguments": json.dumps({"line": NAME})}}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        else:
            message = {"role": "assistant", "content": "The spectrum peaks at {s1.peak_frequency}, which is 99.5 % of what I expected."}
        reply = {
            "id": "x", "object": "chat.completion", "created": 0, "model": "m",
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }  # fmt: skip
        data = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def address() -> Iterator[str]:
    Endpoint.asked.clear()
    Endpoint.keys.clear()
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_hosted_model_calls_tools_and_cannot_add_a_number_of_its_own(address: str, tmp_path: Path) -> None:
    project = Project.open(tmp_path / "p")
    times = np.arange(500) * 0.004
    data = np.tile(np.sin(2 * np.pi * 25 * times), (20, 1)).astype(np.float32)
    project.start("made").keep("line", {}, [], Seismic(data=data, dt=0.004), seconds=0)
    name = next(iter(project.catalogue()))
    assert name == NAME
    agent = Agent(project, make(f"openai:{address}#m", key=KEY))
    outcome = agent.ask("where does the spectrum peak?")
    assert Endpoint.asked[0]["messages"][0]["role"] == "system"
    assert name in Endpoint.asked[0]["messages"][0]["content"]
    assert "trace_qc" in [tool["function"]["name"] for tool in Endpoint.asked[0]["tools"]]
    assert Endpoint.keys[0] == f"Bearer {KEY}"
    assert outcome.status == "answered"
    assert outcome.answer == f"The spectrum peaks at 25 Hz, which is {ledger.STRUCK} % of what I expected."
    assert len(Endpoint.asked) == 3  # the call, the answer, and the answer again after it came back
    kept = b"".join(path.read_bytes() for path in (tmp_path / "p").rglob("*") if path.is_file())
    assert KEY.encode() not in kept
