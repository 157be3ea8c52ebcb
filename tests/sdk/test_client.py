"""The API client: what it asks, what it returns, and how it says that something went wrong."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from tests.support.api_stub import ApiStub, Reply

from spanhouse import Client, ConfigurationError, ServerError


@pytest.fixture
def stub() -> Iterator[ApiStub]:
    """A running server to script."""
    with ApiStub() as running:
        yield running


@pytest.fixture
def client(stub: ApiStub) -> Iterator[Client]:
    """A client of it."""
    with Client(stub.url) as connected:
        yield connected


READS: list[tuple[Callable[[Client], Any], str, dict[str, str]]] = [
    (lambda c: c.runs(agent="a b", limit=5, tenant=None), "/api/v1/runs", {"agent": "a b", "limit": "5"}),
    (
        lambda c: c.runs(escalated=True, status=["running", "ended"]),
        "/api/v1/runs",
        {"escalated": "true", "status": "running,ended"},
    ),
    (lambda c: c.run("r/1"), "/api/v1/runs/r/1", {}),
    (lambda c: c.spans("r1", content=True, cursor="x"), "/api/v1/runs/r1/spans", {"content": "true", "cursor": "x"}),
    (lambda c: c.span("r1", "s1"), "/api/v1/runs/r1/spans/s1", {}),
    (lambda c: c.steps("r1"), "/api/v1/runs/r1/steps", {}),
    (lambda c: c.audit(run_id="r1", name="kill"), "/api/v1/audit", {"run_id": "r1", "name": "kill"}),
    (lambda c: c.triage("req 1"), "/api/v1/requests/req 1", {}),
    (
        lambda c: c.metrics(["completion_rate", "cost"], since="24h", by="agent", step="1h", tenant="acme"),
        "/api/v1/metrics",
        {"name": "completion_rate,cost", "since": "24h", "by": "agent", "step": "1h", "tenant": "acme"},
    ),
    (lambda c: c.metric_catalogue(), "/api/v1/metrics/catalogue", {}),
    (lambda c: c.tools(since="7d"), "/api/v1/tools", {"since": "7d"}),
    (lambda c: c.facets(), "/api/v1/facets", {}),
    (lambda c: c.alerts(), "/api/v1/alerts", {}),
    (lambda c: c.control(since="e1", wait=1.5), "/api/v1/control", {"since": "e1", "wait": "1.5"}),
    (lambda c: c.health(), "/readyz", {}),
]


@pytest.mark.parametrize(("call", "path", "query"), READS)
def test_each_read_asks_its_route(
    stub: ApiStub, client: Client, call: Callable[[Client], Any], path: str, query: dict[str, str]
) -> None:
    """Path, filters and answer are as the contract has them; None is left out."""
    stub.reply(path, {"answer": 42})
    assert call(client) == {"answer": 42}
    (asked,) = stub.asked
    assert (asked.method, asked.path) == ("GET", path)
    assert {key: value for key, value in asked.query.items() if value != "false"} == query
    assert "authorization" not in asked.headers


@pytest.mark.parametrize(
    ("pages", "path", "field"),
    [
        (lambda c: c.iter_runs(agent="a"), "/api/v1/runs", "runs"),
        (lambda c: c.iter_spans("r1"), "/api/v1/runs/r1/spans", "spans"),
        (lambda c: c.iter_audit(agent="a"), "/api/v1/audit", "events"),
    ],
)
def test_pages_follow_the_cursor_to_the_end(
    stub: ApiStub, client: Client, pages: Callable[[Client], Iterator[dict[str, Any]]], path: str, field: str
) -> None:
    """All items of all pages come, in order, an empty page in the middle included."""
    stub.reply(
        path,
        {field: [{"n": 1}, {"n": 2}], "next_cursor": "two"},
        {field: [], "next_cursor": "three"},
        {field: [{"n": 3}], "next_cursor": None},
    )
    assert [item["n"] for item in pages(client)] == [1, 2, 3]
    assert [asked.query.get("cursor") for asked in stub.asked] == [None, "two", "three"]
    assert len({asked.query.get("agent") for asked in stub.asked}) == 1


def test_control_flags_are_set_with_the_token(stub: ApiStub) -> None:
    """A decision carries who and why, and only what was said."""
    stub.reply("/api/v1/control", Reply(201, {"id": 7}))
    with Client(stub.url, token="secret") as client:
        assert client.set_control("disable", "tool", "pay", reason="bug", by="ann", ttl_seconds=60) == {"id": 7}
    (asked,) = stub.asked
    assert asked.method == "POST"
    assert asked.headers["authorization"] == "Bearer secret"
    assert json.loads(asked.body) == {
        "action": "disable",
        "scope": "tool",
        "target": "pay",
        "reason": "bug",
        "by": "ann",
        "ttl_seconds": 60,
    }


def test_unchanged_control_flags_are_none(stub: ApiStub, client: Client) -> None:
    """304 means: nothing new."""
    stub.reply("/api/v1/control", Reply(304))
    assert client.control(since="e1", wait=0) is None


def test_a_problem_is_raised_with_title_and_detail(client: Client) -> None:
    """The server's own words reach the person, the document reaches the program."""
    with pytest.raises(ServerError, match=r"^404 Not found: nothing at /api/v1/runs/r1 \(/api/v1/runs/r1\)$") as raised:
        client.run("r1")
    assert raised.value.status == 404
    assert raised.value.problem["title"] == "Not found"


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(502, b"<h1>Bad gateway</h1>", "text/html"), "502 Bad Gateway: <h1>Bad gateway</h1>"),
        (Reply(500, b"{cut", "application/problem+json"), "500 Internal Server Error: {cut"),
        (Reply(400, ["no"], "application/json"), "400 Bad Request"),
        (Reply(200, b"<html>", "text/html"), "without JSON: is a Spanhouse server behind this URL"),
        (Reply(200, [1]), "a JSON list where an object belongs"),
    ],
)
def test_other_answers_are_named_too(stub: ApiStub, client: Client, reply: Reply, message: str) -> None:
    """A proxy's page, a cut body and another service's JSON are told apart from ours."""
    stub.reply("/api/v1/facets", reply)
    with pytest.raises(ServerError) as raised:
        client.facets()
    assert message in str(raised.value)
    assert raised.value.status == reply.status


def test_an_absent_server_is_named_with_the_fix() -> None:
    """The sentence says which URL was tried and how to start a server there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with Client(url) as client, pytest.raises(ServerError) as raised:
        client.health()
    assert url in str(raised.value)
    assert "spanhouse up" in str(raised.value)
    assert raised.value.status is None


def test_a_server_that_does_not_answer_is_told_from_an_absent_one() -> None:
    """A listener that never answers ends in a time-out, not in advice to start a server."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(url, timeout=0.05) as client, pytest.raises(ServerError, match="did not answer in time"):
            client.facets()


def test_url_and_token_come_from_the_environment(stub: ApiStub, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the command line does, so does the library."""
    monkeypatch.setenv("SPANHOUSE_URL", stub.url + "/")
    monkeypatch.setenv("SPANHOUSE_TOKEN", "t-1")
    stub.reply("/readyz", {"ok": True})
    with Client() as client:
        assert client.health() == {"ok": True}
    assert stub.asked[0].headers["authorization"] == "Bearer t-1"
    with pytest.raises(ConfigurationError, match="'house:1' is not one"):
        Client("house:1")


@pytest.mark.parametrize(
    ("environ", "given", "sent"),
    [
        ({"SPANHOUSE_OPERATOR_TOKEN": "o"}, None, "Bearer o"),
        ({"SPANHOUSE_TOKEN": "t", "SPANHOUSE_OPERATOR_TOKEN": "o"}, None, "Bearer t"),
        ({"SPANHOUSE_TOKEN": "t"}, "mine", "Bearer mine"),
        ({"SPANHOUSE_TOKEN": "t", "SPANHOUSE_OPERATOR_TOKEN": "o"}, "", None),
    ],
)
def test_the_client_understands_both_names_of_its_token_and_an_empty_one_is_none(
    stub: ApiStub, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], given: str | None, sent: str | None
) -> None:
    """A page whose visitor shows nothing must not borrow what the process was started with."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    stub.reply("/readyz", {"ok": True})
    with Client(stub.url, token=given) as client:
        client.health()
    assert stub.asked[0].headers.get("authorization") == sent


def test_an_answer_that_is_no_otlp_is_named(stub: ApiStub, client: Client) -> None:
    """A web page that says 200 has stored nothing."""
    stub.reply("/v1/traces", Reply(200, b"<html>", "text/html"))
    with pytest.raises(ServerError, match="without OTLP"):
        client.post_otlp("traces", b"body")


@pytest.mark.parametrize("compress", [True, False])
def test_otlp_is_posted_and_rejections_come_back(stub: ApiStub, client: Client, *, compress: bool) -> None:
    """Whoever sends spans through the client learns how many were not taken, and why."""
    traces, logs = ExportTraceServiceResponse(), ExportLogsServiceResponse()
    traces.partial_success.rejected_spans, traces.partial_success.error_message = 2, "span id is zero"
    logs.partial_success.rejected_log_records = 1
    stub.reply("/v1/traces", Reply(200, traces.SerializeToString(), "application/x-protobuf"))
    stub.reply("/v1/logs", Reply(200, logs.SerializeToString(), "application/x-protobuf"))
    assert client.post_otlp("traces", b"body", compress=compress) == (2, "span id is zero")
    assert client.post_otlp("logs", b"body", compress=compress) == (1, "")
    for asked in stub.asked:
        assert asked.headers["content-type"] == "application/x-protobuf"
        assert (gzip.decompress(asked.body) if compress else asked.body) == b"body"
