"""The tools over the Model Context Protocol, as its official client uses them: in process, over HTTP and on standard input and output."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from made_server import FILTER, HEAD, SAYS, application, listening, project, script
from mcp import Client, StdioServerParameters

from moho.agent import mcp_server
from moho.agent.jobs import Jobs, Options
from moho.agent.uploads import Roots
from moho.errors import DataError
from moho.project import Project


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, Jobs]]:
    place = project(tmp_path_factory.mktemp("mcp"))
    jobs = Jobs(Options(model=script(place.folder.parent, FILTER, SAYS)), at_once=1)
    yield place, jobs
    jobs.close(0.0)


def told(result: Any) -> dict[str, Any]:
    return dict(json.loads(result.content[0].text))


def with_client(made: tuple[Project, Jobs], use: Any, *toolsets: str, **more: Any) -> None:
    place, jobs = made
    roots = Roots([place.folder.parent / "files"])

    async def main() -> None:
        server = mcp_server.create(jobs, lambda context: ("me", place), toolsets or ("core",), roots)
        async with Client(server, **more) as client:
            await use(client)

    anyio.run(main)


@pytest.mark.parametrize("era", ["legacy", "auto"])  # before 2026-07-28, and since
def test_any_tool_is_found_and_run_through_the_core(made: tuple[Project, Jobs], era: str) -> None:
    async def use(client: Client) -> None:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert names == {"ask", "list_data", "add_data", "find_tools", "run_tool"}
        data = told(await client.call_tool("list_data", {}))["data"]
        assert {row["name"] for row in data} >= {"line", "well"}
        found = told(await client.call_tool("find_tools", {"query": "band-pass filter the line"}))["tools"]
        assert "bandpass" in {row["name"] for row in found}
        result = await client.call_tool("run_tool", {"name": "bandpass", "arguments": {"line": "line", "low": "5 Hz", "high": "60 Hz"}})
        assert not result.is_error
        (step,) = told(result)["steps"]
        assert step["result"]["facts"]["pass_band"]["value"] == [5.0, 60.0]
        picture = next(part for part in result.content if part.type == "image")
        assert base64.b64decode(picture.data).startswith(b"\x89PNG")
        wrong = await client.call_tool("run_tool", {"name": "bandpass", "arguments": {"line": "nothing", "low": "5", "high": "60"}})
        assert wrong.is_error
        assert "for line there is line" in told(wrong)["answer"]
        physics = await client.call_tool("run_tool", {"name": "bandpass", "arguments": {"line": "line", "low": "5 Hz", "high": "6000 Hz"}})
        assert told(physics)["status"] in ("refused", "failed")

    with_client(made, use, mode=era)


def test_a_toolset_describes_its_tools_as_the_registry_does(made: tuple[Project, Jobs]) -> None:
    async def use(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert len(tools) <= mcp_server.MOST
        assert tools["vshale"].input_schema["required"] == ["well", "clean", "shale"]
        inspect = tools["las_inspect"].annotations
        assert inspect is not None
        assert inspect.read_only_hint
        result = await client.call_tool("vshale", {"well": "well", "clean": "25", "shale": "115"})
        assert told(result)["steps"][0]["result"]["name"].startswith("vshale")

    with_client(made, use, "wells")
    for name in mcp_server.SETS:
        assert 1 <= len(mcp_server.toolset([name])) <= mcp_server.MOST
    with pytest.raises(DataError, match="no toolset"):
        mcp_server.toolset(["everything"])


def test_ask_is_the_agent_and_progress_is_told(made: tuple[Project, Jobs]) -> None:
    heard: list[float] = []

    async def use(client: Client) -> None:
        async def progress(done: float, of: float | None, words: str | None) -> None:
            heard.append(done)

        result = await client.call_tool("ask", {"request": "filter line to 5-60 Hz"}, progress_callback=progress)
        assert "5 to 60 Hz" in told(result)["answer"]
        assert told(result)["numbers"]

    with_client(made, use)
    assert heard == sorted(heard)
    assert heard


def test_a_file_is_added_from_beneath_a_root_only(made: tuple[Project, Jobs]) -> None:
    async def use(client: Client) -> None:
        assert not (await client.call_tool("add_data", {"path": "other.sgy"})).is_error
        assert (await client.call_tool("add_data", {"path": "/etc/passwd"})).is_error

    with_client(made, use)


def test_a_cancelled_call_stops(tmp_path: Path) -> None:
    place = project(tmp_path)
    jobs = Jobs(Options(model=script(tmp_path, {"say": "on and on it goes " * 200}, pause=0.3), draw=False), at_once=1)

    async def use(client: Client) -> None:
        with anyio.move_on_after(6):
            await client.call_tool("ask", {"request": "talk"})
        with anyio.fail_after(5):
            while jobs.running():
                await anyio.sleep(0.05)

    try:
        with_client((place, jobs), use)
    finally:
        jobs.close(0.0)


@pytest.mark.parametrize("era", ["legacy", "auto"])
def test_the_same_over_http_with_a_token(tmp_path: Path, era: str) -> None:
    import httpx
    from mcp.client.streamable_http import streamable_http_client

    place = project(tmp_path)
    app, _ = application(place, script(tmp_path, FILTER, SAYS))

    async def main(port: int) -> None:
        async with httpx.AsyncClient(headers=HEAD, timeout=60) as http:
            async with Client(streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=http), mode=era) as client:
                assert {tool.name for tool in (await client.list_tools()).tools} >= {"ask", "run_tool"}
                result = await client.call_tool("run_tool", {"name": "segy_inspect", "arguments": {"data": "line"}})
                assert told(result)["steps"][0]["result"]["facts"]["traces"]["value"] == 12
            bare = await http.post(f"http://127.0.0.1:{port}/mcp", json={}, headers={"Authorization": "Bearer wrong"})
            assert bare.status_code == 401

    with listening(app) as port:
        anyio.run(main, port)


def test_on_standard_output_there_is_nothing_but_the_protocol(tmp_path: Path) -> None:
    place = project(tmp_path)
    model = script(tmp_path, FILTER, SAYS)
    words = ["-m", "moho.agent.cli", "mcp", "--project", str(place.folder), "--model", model]

    async def main() -> None:
        async with Client(StdioServerParameters(command=sys.executable, args=words)) as client:
            result = await client.call_tool("run_tool", {"name": "segy_inspect", "arguments": {"data": "line"}})
            assert not result.is_error

    anyio.run(main)


def test_a_configuration_is_printed_for_each_client() -> None:
    for client, key in (("cursor", "mcpServers"), ("vscode", "servers"), ("claude", "mcpServers")):
        kept = json.loads(mcp_server.configuration(client, ["moho", "mcp", "--project", "p"]))
        assert kept[key]["moho"]["args"] == ["mcp", "--project", "p"]
    with pytest.raises(DataError):
        mcp_server.configuration("emacs", ["moho"])
