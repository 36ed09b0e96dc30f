"""The doors over HTTP: what is asked is done and found again, what is not allowed is turned away with the right status, nothing is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_server import FILTER, HEAD, REQUEST, SAYS, TOKEN, application, client, listening, project, script, until
from starlette.testclient import TestClient

from moho.agent import handlers
from moho.agent.people import alone
from moho.project import Project

HERE = "/api/projects/survey"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return project(tmp_path_factory.mktemp("doors"))


@pytest.fixture(scope="module")
def door(place: Project) -> Iterator[TestClient]:
    with client(place, script(place.folder.parent, FILTER, SAYS), roots=[place.folder.parent / "files"], draw=True) as made:
        yield made


@pytest.fixture(scope="module")
def thread(door: TestClient) -> str:
    """A conversation with one answer."""
    found = door.post(f"{HERE}/threads", json={"request": REQUEST})
    assert found.status_code == 202
    until(door, found.json()["thread"], "ended")
    return str(found.json()["thread"])


def ended(door: TestClient, thread: str) -> dict:  # type: ignore[type-arg]
    return next(row for row in until(door, thread, "ended") if row["what"] == "ended")


# -- what is asked is done


def test_a_request_is_carried_out_and_its_events_tell_how(door: TestClient, thread: str) -> None:
    rows = until(door, thread, "ended")
    order = [row["what"] for row in rows]
    assert [what for what in order if what not in ("text", "queued")] == ["asked", "started", "run", "plan", "call", "step", "ended"]
    assert [row["seq"] for row in rows] == sorted(row["seq"] for row in rows)
    last = rows[-1]
    assert last["data"]["status"] == "answered"
    assert "5 to 60 Hz" in last["data"]["answer"]
    assert '<button type="button" class="number" data-source="step 1, bandpass: pass band"' in last["html"]
    streamed = "".join(row["data"]["text"] for row in rows if row["what"] == "text")
    assert streamed
    assert last["data"]["answer"].startswith(streamed.rstrip())
    assert "{s1" not in streamed


def test_a_stream_of_events_goes_on_where_its_reader_left(door: TestClient, thread: str) -> None:
    rows = until(door, thread, "ended")
    head = {"Accept": "text/event-stream", "Last-Event-ID": str(rows[-2]["seq"])}
    with door.stream("GET", f"{HERE}/threads/{thread}/events", headers=head) as stream:
        lines = iter(stream.iter_lines())
        told = [next(line for line in lines if line.startswith(word)) for word in ("id: ", "event: ", "data: ")]
    assert told[0] == f"id: {rows[-1]['seq']}"
    assert told[1] == "event: ended"
    assert json.loads(told[2].removeprefix("data: "))["data"]["run_id"] == rows[-1]["data"]["run_id"]


def test_conversations_are_listed_and_searched(door: TestClient, thread: str) -> None:
    (one,) = [found for found in door.get(f"{HERE}/threads").json()["threads"] if found["id"] == thread]
    assert (one["title"], one["status"]) == (REQUEST, "answered")
    assert thread in {found["id"] for found in door.get(f"{HERE}/threads", params={"q": "PASS band"}).json()["threads"]}
    assert door.get(f"{HERE}/threads", params={"q": "magnetotelluric"}).json()["threads"] == []
    assert door.get(f"{HERE}/threads", params={"q": "100%"}).json()["threads"] == []  # no pattern of the database's


def test_figures_and_exports_are_handed_out_by_run_and_number(door: TestClient, thread: str) -> None:
    data = ended(door, thread)["data"]
    (step,) = data["steps"]
    numbers = {Path(path).suffix: place for place, path in enumerate(step["artifacts"])}
    figure = door.get(f"{HERE}/runs/{data['run_id']}/steps/1/artifacts/{numbers['.png']}")
    assert figure.headers["content-type"] == "image/png"
    assert figure.content.startswith(b"\x89PNG")
    assert door.get(f"{HERE}/runs/{data['run_id']}/steps/1/artifacts/99").status_code == 404
    for form, holds in (("py", "call('bandpass'"), ("ipynb", '"cell_type": "code"'), ("html", "data:image/png;base64,")):
        exported = door.get(f"{HERE}/runs/{data['run_id']}/export", params={"format": form})
        assert exported.status_code == 200
        assert holds in exported.text
    assert door.get(f"{HERE}/runs/{data['run_id']}/export", params={"format": "exe"}).status_code == 400


def test_data_are_drawn_for_the_pixels_there_are(door: TestClient) -> None:
    found = door.get(f"{HERE}/plot/line", params={"width": 100, "height": 100}).json()
    heat = found["data"][0]
    assert heat["type"] == "heatmap"
    rows, columns = map(int, heat["z"]["shape"].split(", "))
    assert rows <= 100
    assert columns <= 100
    assert heat["zmin"] == -heat["zmax"]
    assert heat["colorscale"][-1][1] == "#053061"  # blue is positive
    assert found["layout"]["yaxis"]["autorange"] == "reversed"
    assert [trace["name"] for trace in door.get(f"{HERE}/plot/well").json()["data"]] == ["GR", "RHOB"]
    assert door.get(f"{HERE}/plot/nothing").status_code == 404


# -- data


def test_a_file_beneath_a_root_is_added_and_none_elsewhere(door: TestClient, place: Project, tmp_path: Path) -> None:
    files = place.folder.parent / "files"
    assert {row["name"] for row in door.get("/api/files", params={"path": str(files)}).json()["files"]} == {"line.sgy", "other.sgy", "well.las"}
    added = door.post(f"{HERE}/data", json={"path": str(files / "other.sgy"), "name": "second"})
    assert (added.status_code, added.json()["kind"]) == (201, "Seismic")
    (files / "way out").symlink_to(tmp_path)
    (tmp_path / "secret.sgy").write_bytes(b"x")
    for path in ("/etc/passwd", f"{files}/../script.json", f"{files}/way out/secret.sgy", "../script.json", "a\0b"):
        refused = door.post(f"{HERE}/data", json={"path": path})
        assert refused.status_code in (400, 403), path
        assert door.get("/api/files", params={"path": path}).status_code in (400, 403)
    (files / "way out").unlink()
    assert door.post(f"{HERE}/data", json={"path": str(files / "none.sgy")}).status_code == 404


def test_an_upload_goes_to_disk_in_pieces_and_on_after_a_break(door: TestClient, place: Project) -> None:
    content = (place.folder.parent / "files" / "other.sgy").read_bytes()
    begun = door.post("/api/uploads/survey", json={"name": "sent.sgy", "size": len(content)}).json()
    address, kind = f"/api/uploads/survey/{begun['id']}", "application/offset+octet-stream"
    half = len(content) // 2

    def sent(offset: int, piece: bytes) -> int:
        return door.patch(address, content=piece, headers={"Content-Type": kind, "Upload-Offset": str(offset)}).status_code

    assert sent(0, content[:half]) == 200
    assert sent(0, content[:half]) == 409  # it is farther already
    assert door.post(f"{HERE}/data", json={"upload": begun["id"]}).status_code == 400  # not whole
    assert door.get(address).json()["offset"] == half
    assert sent(half, content[half:] + b"more") == 413
    assert sent(door.get(address).json()["offset"], content[door.get(address).json()["offset"] :]) == 200
    added = door.post(f"{HERE}/data", json={"upload": begun["id"]}).json()
    assert (added["name"], added["kind"]) == ("sent", "Seismic")
    for name in ("../up.sgy", "", ".hidden", "a" * 300):
        assert door.post("/api/uploads/survey", json={"name": name, "size": 10}).status_code in (201, 400)
    assert not (place.folder.parent / "up.sgy").exists()
    assert door.post("/api/uploads/survey", json={"name": "large", "size": 2**50}).status_code == 413
    assert door.get("/api/uploads/survey/..%2f..").status_code == 404
    evil = json.dumps({"name": "../../../stolen", "size": 60}).ljust(60).encode()
    own = door.post("/api/uploads/survey", json={"name": "upload.json", "size": len(evil)}).json()["id"]
    door.patch(f"/api/uploads/survey/{own}", content=evil, headers={"Content-Type": kind, "Upload-Offset": "0"})
    for _ in range(2):  # a file that is called as ours is no file of ours
        assert door.post(f"{HERE}/data", json={"upload": own}).status_code == 400
        assert door.get(f"/api/uploads/survey/{own}").json()["name"] == "upload.json"


# -- feedback


def test_what_is_said_of_an_answer_is_kept_shown_and_deleted(door: TestClient, thread: str) -> None:
    run = ended(door, thread)["data"]["run_id"]
    said = door.post(f"{HERE}/runs/{run}/feedback", json={"verdict": "bad", "better": "8 Hz, not 5 Hz"})
    assert said.status_code == 201
    (one,) = [row for row in door.get("/api/feedback").json()["feedback"] if row["id"] == said.json()["id"]]
    assert (one["verdict"], one["run"]) == ("bad", run)
    assert any(row["what"] == "feedback" for row in until(door, thread, "feedback"))
    assert door.post(f"{HERE}/runs/{run}/feedback", json={"verdict": "splendid"}).status_code == 400
    assert door.delete(f"/api/feedback/{one['id']}").status_code == 200
    assert door.delete(f"/api/feedback/{one['id']}").status_code == 404
    assert one["id"] not in {row["id"] for row in door.get("/api/feedback").json()["feedback"]}


def test_the_interface_is_described_route_by_route(door: TestClient) -> None:
    found = door.get("/api/openapi.json").json()
    assert found["openapi"].startswith("3.1")
    described = {(path, method) for path, methods in found["paths"].items() for method in methods}
    assert (f"{HERE.replace('survey', '{project}')}/threads", "post") in described
    assert len(described) == len({(path, method) for path, _, *methods in handlers.ROUTES for method in methods or ["GET"]})
    assert all(one["summary"].endswith(".") for methods in found["paths"].values() for one in methods.values())


# -- who may come in


def test_a_token_a_host_and_an_origin_are_asked_for(place: Project) -> None:
    app, jobs = application(place, "scripted:none")
    with TestClient(app) as bare:
        assert bare.get("/health").status_code == 200
        assert bare.get("/").status_code == 401
        for path in ("/api/state", f"{HERE}/data", "/metrics", "/v1/models", "/static/page.js"):
            assert bare.get(path).status_code == 401, path
            assert bare.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401, path
        assert bare.get("/api/state", headers=HEAD | {"Host": "evil.example"}).status_code == 421
        assert bare.get("/api/state", headers=HEAD | {"Origin": "http://evil.example"}).status_code == 403
        assert bare.get("/api/state", headers=HEAD | {"Origin": "http://testserver"}).status_code == 200
        entered = bare.get(f"/?token={TOKEN}", follow_redirects=False)
        assert entered.status_code == 303
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        page = bare.get("/")
        assert page.status_code == 200
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert bare.post(f"{HERE}/threads", content="request=x", headers={"Content-Type": "text/plain"}).status_code == 415
        assert bare.post(f"{HERE}/threads", json={"request": "x"}, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        jobs.close(0.0)


def test_nobody_reaches_the_projects_of_others(place: Project, door: TestClient) -> None:
    for path in ("/api/projects/none/data", "/api/projects/..%2fsurvey/data", "/api/projects/%2e%2e/threads"):
        assert door.get(path).status_code == 404, path
    assert door.get(f"{HERE}/threads/..%2f..%2fetc/events").status_code == 404
    assert door.get(f"{HERE}/threads/nothing-here/events").status_code == 404
    assert door.get(f"{HERE}/runs/..%2f..%2fsurvey/export").status_code == 404
    assert door.get(f"{HERE}/data/..%2f..%2fscript").status_code in (404, 400)
    assert door.post("/api/projects", json={"name": "mine"}).status_code == 403  # one project, one person


@pytest.mark.parametrize("content", [b"[1]", b"{", b"\xff\xfe", b"null", b"{" * 5000, b'{"request": 5}', b'{"request": ""}'])
def test_a_body_that_is_no_request_is_said_to_be_none(door: TestClient, content: bytes) -> None:
    found = door.post(f"{HERE}/threads", content=content, headers={"Content-Type": "application/json"})
    assert found.status_code in (202, 400), found.text
    assert "error" in found.json() or found.status_code == 202


@pytest.mark.parametrize(
    "path",
    [
        "/api/files?path=~nobody", "/api/files?path=" + 300 * "a", f"{HERE}/runs/" + 300 * "1", f"{HERE}/data/" + 300 * "a",
        f"{HERE}/threads/none/events?after=9" + 30 * "9", f"{HERE}/plot/line?width=-5", f"{HERE}/plot/line?clip=nan",
        f"{HERE}/runs/x/steps/{'9' * 40}/artifacts/0", f"{HERE}/runs/last/export?format=%00",
    ],
)  # fmt: skip
def test_addresses_that_make_no_sense_are_no_error_of_the_server(door: TestClient, path: str) -> None:
    assert 400 <= door.get(path).status_code < 500


def test_numbers_that_are_none_are_no_error_of_the_server(door: TestClient) -> None:
    for content in (b'{"name": "a", "size": 1e400}', b'{"name": "a", "size": NaN}', b'{"name": "a", "size": "many"}'):
        assert 400 <= door.post("/api/uploads/survey", content=content, headers={"Content-Type": "application/json"}).status_code < 500
    assert 400 <= door.delete("/api/feedback/" + "9" * 30).status_code < 500
    assert door.delete("/api/feedback/-1").status_code == 400


def test_large_bodies_and_requests_are_refused(door: TestClient) -> None:
    assert door.post(f"{HERE}/threads", json={"request": "x" * 9000}).status_code == 413
    assert door.post(f"{HERE}/threads", content=b'{"a": "' + b"x" * 2**21 + b'"}', headers={"Content-Type": "application/json"}).status_code == 413


# -- stop, queue, approval, restart


def test_stop_ends_a_request_within_two_seconds_and_the_next_one_runs(place: Project) -> None:
    slow = script(place.folder.parent, {"say": "so it goes on and on " * 100}, pause=0.5, name="slow.json")
    with client(place, slow) as door:
        thread = door.post(f"{HERE}/threads", json={"request": "talk"}).json()["thread"]
        until(door, thread, "text")
        second = door.post(f"{HERE}/threads", json={"request": "talk, too"}).json()
        assert second["before"] == 0
        assert any(row["what"] == "queued" for row in until(door, second["thread"], "queued"))
        assert door.post(f"{HERE}/threads", json={"request": "again", "thread": thread}).status_code == 409
        began = time.monotonic()
        assert door.post(f"{HERE}/threads/{thread}/stop", json={}).status_code == 200
        rows = until(door, thread, "stopped", seconds=2.0)
        assert time.monotonic() - began < 2.0
        assert rows[-1]["data"]["status"] == "stopped"
        assert door.post(f"{HERE}/threads/{thread}/stop", json={}).status_code == 404
        until(door, second["thread"], "text")
        door.post(f"{HERE}/threads/{second['thread']}/stop", json={})


def test_what_waits_for_an_approval_is_approved_once_edited_or_rejected(place: Project) -> None:
    model = script(place.folder.parent, FILTER, SAYS, name="approve.json")
    with client(place, model, approve_seconds=-1.0) as door:

        def waiting() -> tuple[str, dict]:  # type: ignore[type-arg]
            thread = door.post(f"{HERE}/threads", json={"request": REQUEST}).json()["thread"]
            return thread, until(door, thread, "waits")[-1]["data"]["approval"]

        def decide(thread: str, wanted: dict, approved: object, **more: object) -> int:  # type: ignore[type-arg]
            answer = {"id": wanted["id"], "fingerprint": wanted["fingerprint"], "approved": approved} | more
            return door.post(f"{HERE}/threads/{thread}/decide", json=answer).status_code

        thread, wanted = waiting()
        assert wanted["tool"] == "bandpass"
        assert decide(thread, wanted | {"fingerprint": "0" * 16}, True) == 409
        assert decide(thread, wanted | {"id": "0" * 16}, True) == 409  # of the same call, asked for at another time
        assert decide(thread, wanted, "yes") == 400
        assert decide(thread, wanted, True) == 202
        assert decide(thread, wanted, True) == 409  # used
        assert "5 to 60 Hz" in ended(door, thread)["data"]["answer"]

        thread, wanted = waiting()
        assert decide(thread, wanted, True, arguments={"low": "8 Hz"}) == 202
        last = ended(door, thread)["data"]
        assert "8 to 60 Hz" in last["answer"]
        assert "the arguments were edited by the person" in json.dumps(last["steps"])

        thread, wanted = waiting()
        assert decide(thread, wanted, True, arguments={"low": "8000 Hz"}) == 202  # what physics forbids is no more allowed by hand
        assert until(door, thread, "ended")[-1]["data"]["status"] in ("refused", "failed")

        thread, wanted = waiting()
        assert decide(thread, wanted, False) == 202
        assert ended(door, thread)["data"]["code"] == "E_APPROVAL"


def test_a_restarted_server_takes_up_what_was_under_way_and_shows_the_rest(tmp_path: Path) -> None:
    place = project(tmp_path)
    slow = script(place.folder.parent, FILTER, {"say": "It is done: {s1.pass_band}. " + "word " * 30}, pause=0.4, name="restart.json")
    app, jobs = application(place, slow)
    with TestClient(app, headers=HEAD) as door:
        thread = door.post(f"{HERE}/threads", json={"request": REQUEST}).json()["thread"]
        rows = until(door, thread, "text")
        jobs._closing = True
        for slot in jobs._slots:
            slot.process.kill()  # as when the machine goes down
    before = {row["seq"] for row in rows}
    script(place.folder.parent, FILTER, SAYS, name="restart.json")
    with client(place, slow) as door:
        rows = until(door, thread, "ended")
        assert before <= {row["seq"] for row in rows}
        assert [row["what"] for row in rows].count("asked") == 1
        assert "5 to 60 Hz" in rows[-1]["data"]["answer"]
        assert len(rows[-1]["data"]["steps"]) == 1  # the step that was kept was not made again


def test_two_people_each_see_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from moho.agent import people

    monkeypatch.setenv("MOHO_HOME", str(tmp_path / "home"))
    tokens = {name: people.invite(name) for name in ("ann", "bob")}
    assert (tmp_path / "home" / "people.json").stat().st_mode & 0o077 == 0
    assert not any(token in (tmp_path / "home" / "people.json").read_text() for token in tokens.values())
    app, jobs = application(Project.open(tmp_path / "unused"), "scripted:none", people=people.team())
    with TestClient(app) as door:
        heads = {name: {"Authorization": f"Bearer {token}"} for name, token in tokens.items()}
        assert door.get("/api/state", headers=heads["ann"]).json()["person"] == "ann"
        assert door.get("/api/state", headers=heads["bob"]).json()["projects"] == ["first"]
        assert {entry.name for entry in people.team()} == {"ann", "bob"}
        jobs.close(0.0)
    people.dismiss("bob")
    assert people.team().of(tokens["bob"]) is None
    assert people.team().of(tokens["ann"]) is not None
    assert alone("t", tmp_path / "p").of("T") is None


def test_the_page_is_small_and_asks_nobody_else(place: Project) -> None:
    page = Path(__file__).parents[1] / "agent" / "page"
    assert sum(path.stat().st_size for path in page.iterdir()) < 200_000
    for path in page.iterdir():
        text = path.read_text()
        assert "https://" not in text
        assert text.replace("http://www.w3.org/2000/svg", "").count("http://") == 0


def test_a_server_on_a_port_answers_and_ends(place: Project) -> None:
    import httpx

    app, _ = application(place, script(place.folder.parent, SAYS, name="port.json"))
    with listening(app) as port:
        assert httpx.get(f"http://127.0.0.1:{port}/health").json()["status"] == "ok"
        assert httpx.get(f"http://127.0.0.1:{port}/", headers=HEAD).status_code == 200
