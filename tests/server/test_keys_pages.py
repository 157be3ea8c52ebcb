"""The pages behind a login, gRPC behind the same keys, and the command line that makes them: on the real process."""

from __future__ import annotations

import getpass
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import httpx
import pytest
from click.testing import CliRunner, Result
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from tests.support import otlp_bodies as otlp
from tests.support.process import ServerProcess, free_port

from spanhouse_server.cli.commands import cli
from spanhouse_server.cli.serve import load_settings

pytestmark = pytest.mark.e2e


def run(*arguments: str, code: int = 0, **environ: str) -> Result:
    """Return what a command did, which must end with ``code``."""
    ended = CliRunner().invoke(cli, arguments, env=environ)
    assert ended.exit_code == code, (arguments, ended.output, ended.exception)
    return ended


def offline(data: Path, *arguments: str) -> str:
    """Return what ``spanhouse keys ... --offline`` printed."""
    return run("keys", *arguments, "--offline", "--data", str(data)).stdout.strip()


class Keyed:
    """A server that had keys before it was started."""

    def __init__(self, server: ServerProcess, port: int, sender: str, reader: str) -> None:
        self.server, self.grpc, self.sender, self.reader = server, f"127.0.0.1:{port}", sender, reader
        self.operator = (server.data / "operator.token").read_text().strip()


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    data = tmp_path_factory.mktemp("pages") / "data"
    sender = offline(data, "create", "--tenant", "acme", "--env", "prod", "--role", "ingest", "--name", "agents")
    reader = offline(data, "create", "--tenant", "*", "--role", "read", "--expires", "90d")
    port = free_port()
    with ServerProcess(data, ui=True, grpc=f"127.0.0.1:{port}") as server:
        yield Keyed(server, port, sender, reader)


def browser(keyed: Keyed) -> httpx.Client:
    return httpx.Client(base_url=keyed.server.url, timeout=60)


def test_a_page_without_a_login_leads_to_it(keyed: Keyed) -> None:
    with browser(keyed) as client:
        for path in ("/ui", "/ui/", "/ui/runs", "/ui/_stcore/health"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/ui-login")
        form = client.get("/ui-login")
    assert form.status_code == 200
    assert "password" in form.text


def upgraded(keyed: Keyed, cookie: str) -> int:
    """Return how the server answers a browser that opens a page's stream."""
    lines = (
        "GET /ui/_stcore/stream HTTP/1.1",
        f"Host: 127.0.0.1:{keyed.server.port}",
        f"Origin: {keyed.server.url}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Cookie: theme=dark; spanhouse_session={cookie}",
    )
    with socket.create_connection(("127.0.0.1", keyed.server.port), timeout=30) as connection:
        connection.sendall("\r\n".join((*lines, "", "")).encode())
        return int(connection.recv(100).split()[1])


def test_the_stream_of_a_page_opens_with_the_login_alone(keyed: Keyed) -> None:
    with browser(keyed) as client:
        client.get("/ui-login", params={"token": keyed.reader})
        cookie = client.cookies["spanhouse_session"]
    assert upgraded(keyed, cookie) == 101
    assert upgraded(keyed, "") == upgraded(keyed, cookie[:-1]) == 403


@pytest.mark.parametrize("way", ["link", "form"])
def test_a_key_for_all_tenants_opens_the_pages(keyed: Keyed, way: str) -> None:
    with browser(keyed) as client:
        if way == "link":
            answer = client.get("/ui-login", params={"token": keyed.reader})
        else:
            answer = client.post("/ui-login", data={"token": keyed.reader})
        assert (answer.status_code, answer.headers["location"]) == (303, "/ui/")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert keyed.reader.lower() not in cookie
        assert client.get("/ui/").status_code == 200
        assert client.get("/ui/_stcore/health").status_code == 200
        # The cookie is for the pages: the API goes by the header.
        assert client.get("/api/v1/runs").status_code == 401


def test_a_wrong_token_opens_nothing(keyed: Keyed) -> None:
    with browser(keyed) as client:
        for token in (keyed.sender, keyed.reader[:-1], "", "<script>alert"):
            answer = client.post("/ui-login", data={"token": token})
            assert answer.status_code == 401
            assert not token or token not in answer.text
            assert "set-cookie" not in answer.headers
        assert client.post("/ui-login", data={"token": "x" * 2_000}).status_code == 413


def test_the_printed_link_opens_the_pages_once(keyed: Keyed) -> None:
    log = keyed.server.log.read_text()
    found = re.search(r"/ui-login\?token=\S+", log)
    assert found
    with browser(keyed) as first, browser(keyed) as second:
        assert first.get(found[0]).status_code == 303
        assert second.get(found[0]).status_code == 401
    assert keyed.sender not in log
    assert keyed.reader not in log


def test_grpc_asks_for_the_same_keys(keyed: Keyed) -> None:
    body = ExportTraceServiceRequest.FromString(
        otlp.traces(otlp.span(number=1), otlp.span({"tenant.id": "globex"}, number=2)).body
    )
    with grpc.insecure_channel(keyed.grpc) as channel:
        stub = TraceServiceStub(channel)  # type: ignore[no-untyped-call]
        for metadata, code in (
            ((), grpc.StatusCode.UNAUTHENTICATED),
            ((("authorization", f"Bearer {keyed.reader}"),), grpc.StatusCode.PERMISSION_DENIED),
        ):
            with pytest.raises(grpc.RpcError) as refusal:
                stub.Export(body, metadata=metadata, timeout=30)
            assert refusal.value.code() is code
        answer = stub.Export(body, metadata=(("authorization", f"Bearer {keyed.sender}"),), timeout=30)
    assert answer.partial_success.rejected_spans == 1


def test_the_command_line_lists_revokes_and_rotates(keyed: Keyed) -> None:
    where = ("--data", str(keyed.server.data), "--url", keyed.server.url)
    made = json.loads(run("keys", "create", "--tenant", "a,b", "--role", "admin", "--json", *where).stdout)
    assert made["key"]["tenants"] == ["a", "b"]
    listed = run("keys", "list", *where).output
    assert keyed.sender[4:12] in listed
    assert made["secret"][13:] not in listed
    key_id = made["key"]["id"]
    successor = run("keys", "rotate", key_id, "--overlap", "1h", *where).stdout.strip()
    assert re.fullmatch(r"shk_\w{8}_\S{43}", successor)
    assert f"key {key_id} is revoked" in run("keys", "revoke", key_id, *where).stdout
    assert "No such key" in run("keys", "revoke", "nothere1", *where, code=1).stderr
    # A key that manages its own tenants' keys does in the place of the operator's token.
    own = run("keys", "list", "--json", "--url", keyed.server.url, SPANHOUSE_OPERATOR_TOKEN=successor)
    assert {tuple(key["tenants"]) for key in json.loads(own.stdout)["keys"]} == {("a", "b")}


@pytest.mark.parametrize("auth", ["auto", "off"])
def test_an_open_server_beyond_loopback_needs_a_word(tmp_path: Path, auth: str) -> None:
    """Refused before anything is bound."""
    refused = run("up", "--http", "0.0.0.0:0", "--auth", auth, "--data", str(tmp_path / "data"), code=2)
    for way_out in ("spanhouse keys create --offline", "--auth on", "--allow-remote true"):
        assert way_out in refused.stderr


def test_a_key_or_its_being_asked_for_is_word_enough(tmp_path: Path) -> None:
    given: dict[str, str | None] = {"data": str(tmp_path), "http": "0.0.0.0:0"}
    assert load_settings({**given, "auth": "on"}).auth == "on"
    offline(tmp_path, "create", "--tenant", "*", "--role", "read")
    assert load_settings(given).auth == "auto"


def test_offline_says_in_one_sentence_what_cannot_be_done(tmp_path: Path) -> None:
    given = ("--tenant", "a,*", "--role", "read", "--offline", "--data", str(tmp_path))
    wrong = run("keys", "create", *given, code=1)
    assert wrong.stderr.count("\n") == 1
    assert "* stands for all tenants" in wrong.stderr
    assert "There is no key" in offline(tmp_path, "list")


def test_offline_manages_a_key_as_the_server_does(tmp_path: Path) -> None:
    made = json.loads(offline(tmp_path, "create", "--tenant", "a", "--role", "ingest", "--json"))
    key_id = made["key"]["id"]
    rotated = json.loads(offline(tmp_path, "rotate", key_id, "--json"))
    assert rotated["replaced"]["replaced_by"] == rotated["key"]["id"]
    assert json.loads(offline(tmp_path, "revoke", key_id, "--json"))["key"]["state"] == "revoked"
    states = {key["id"]: key["state"] for key in json.loads(offline(tmp_path, "list", "--json"))["keys"]}
    assert states == {key_id: "revoked", rotated["key"]["id"]: "active"}


def test_a_key_made_while_no_server_ran_is_in_the_trail_of_the_next_one(keyed: Keyed) -> None:
    """Nobody who holds the data directory makes a key that nobody hears of."""
    for _ in range(300):
        events = events_of(keyed.server, keyed.operator, "key.create")
        if len(events) >= 2:
            break
        time.sleep(0.1)
    said = {event["data"]["role"]: (event["tenant"], event["data"]) for event in events}
    assert said["ingest"][0] == "acme"
    assert said["ingest"][1]["name"] == "agents"
    assert said["ingest"][1]["by"] == f"{getpass.getuser()} (offline)"
    assert said["read"][0] == "default"
    assert said["read"][1]["tenants"] == ["*"]


def events_of(server: ServerProcess, secret: str, name: str) -> list[dict[str, Any]]:
    """Return the audit events of a name, as the operator sees them."""
    given = {"authorization": f"Bearer {secret}"}
    answer = httpx.get(f"{server.url}/api/v1/audit", params={"name": name}, headers=given, timeout=60)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["events"]
    return found
