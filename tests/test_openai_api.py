"""`/v1` as the official client uses it: whole and streamed, usage, errors, a conversation that goes on, a client that goes away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from made_server import FILTER, HEAD, REQUEST, SAYS, TOKEN, application, listening, project, script

from moho.agent.jobs import Jobs


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[openai.OpenAI, Jobs, Path]]:
    place = project(tmp_path_factory.mktemp("v1"))
    app, jobs = application(place, script(place.folder.parent, FILTER, SAYS), at_once=2, each=2)
    with listening(app) as port, openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=TOKEN, max_retries=0) as client:
        yield client, jobs, place.folder


def test_models_are_the_projects(served: tuple[openai.OpenAI, Jobs, Path]) -> None:
    assert [model.id for model in served[0].models.list()] == ["moho", "moho/survey"]


def test_a_completion_is_the_answer_with_its_usage(served: tuple[openai.OpenAI, Jobs, Path]) -> None:
    made = served[0].chat.completions.create(model="moho", messages=[{"role": "user", "content": REQUEST}])
    assert "5 to 60 Hz" in (made.choices[0].message.content or "")
    assert made.choices[0].finish_reason == "stop"
    assert made.usage is not None
    assert made.usage.total_tokens == made.usage.prompt_tokens + made.usage.completion_tokens > 0


def test_a_stream_gives_the_same_answer_in_pieces_and_usage_last(served: tuple[openai.OpenAI, Jobs, Path]) -> None:
    stream = served[0].chat.completions.create(
        model="moho/survey", messages=[{"role": "user", "content": REQUEST}], stream=True, stream_options={"include_usage": True}
    )
    pieces, usage = [], None
    for chunk in stream:
        usage = chunk.usage or usage
        pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
    assert len(pieces) > 3
    assert "".join(pieces).startswith("The section was filtered; its pass band is 5 to 60 Hz")
    assert "{s1" not in "".join(pieces)
    assert usage is not None
    assert usage.completion_tokens > 0


def test_messages_that_go_on_from_an_answer_are_the_next_turn(served: tuple[openai.OpenAI, Jobs, Path]) -> None:
    client, jobs, folder = served
    first = client.chat.completions.create(model="moho", messages=[{"role": "user", "content": REQUEST}])
    said = first.choices[0].message.content or ""
    messages = [{"role": "user", "content": REQUEST}, {"role": "assistant", "content": said}, {"role": "user", "content": "the same again"}]
    second = client.chat.completions.create(model="moho", messages=messages)  # type: ignore[arg-type]
    assert second.system_fingerprint == first.system_fingerprint
    assert [row.what for row in jobs.log(folder).since(first.system_fingerprint or "")].count("asked") == 2
    other = client.chat.completions.create(model="moho", messages=[{"role": "user", "content": REQUEST}])
    assert other.system_fingerprint != first.system_fingerprint


def test_errors_are_those_of_the_protocol(served: tuple[openai.OpenAI, Jobs, Path]) -> None:
    client = served[0]
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "x"}])
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="moho/none", messages=[{"role": "user", "content": "x"}])
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="moho", messages=[])
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="moho", messages=[{"role": "assistant", "content": "x"}])
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    with pytest.raises(openai.BadRequestError, match="only text"):
        client.chat.completions.create(model="moho", messages=[{"role": "user", "content": [image]}])  # type: ignore[list-item]
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()


def test_a_client_that_goes_away_leaves_nothing_running(tmp_path: Path) -> None:
    place = project(tmp_path)
    app, jobs = application(place, script(tmp_path, {"say": "on and on it goes " * 200}, pause=0.3))
    with listening(app) as port:
        body = {"model": "moho", "stream": True, "messages": [{"role": "user", "content": "talk"}]}
        with httpx.stream("POST", f"http://127.0.0.1:{port}/v1/chat/completions", json=body, headers=HEAD, timeout=30) as stream:
            for line in stream.iter_lines():
                if '"content": "on' in line:
                    break
        deadline = time.monotonic() + 6
        while jobs.running() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not jobs.running()
