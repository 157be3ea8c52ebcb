"""A small, deterministic set of runs as OTLP, each known to tests by its request id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support.served import Served

from spanhouse import attributes as keys
from spanhouse.canonical import args_hash, canonical_json
from spanhouse.identity import run_id_of
from spanhouse_server.importing.spans import (
    SpanDraft,
    any_value,
    attributes,
    encode,
    json_text,
    request_of,
    span_id,
    trace_id,
)

FIRST = datetime(2026, 1, 5, 12, tzinfo=UTC)
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
FILLERS = 30
ESCAPE = "\x1b[2J\x1b]0;owned\x07\u202egnp.exe\x9b31m"
"""Clears a terminal, renames its window, turns text around, and recolours it by an 8-bit control."""
HOSTILE_JSON = (
    '{"half": "\\ud83d", "big": 123456789012345678901234567890, "none": NaN, "deep": ' + "[" * 400 + "]" * 400 + "}"
)
HOSTILE_ID = "req/hostile?x=1#y"
DEEPER_JSON = "[" * 50_000

Event = tuple[str, dict[str, Any]]


def at(minutes: float) -> int:
    """Return the Unix nanoseconds of a time after ``FIRST``."""
    return int(FIRST.timestamp()) * SECOND + int(minutes * MINUTE)


def ids(key: str) -> tuple[str, str]:
    """Return the run id and trace id of the run with this key."""
    trace = trace_id(key).hex()
    return run_id_of(trace, span_id(key, "run").hex()), trace


def model(number: int, start: int, own: Mapping[str, Any] | None = None, *, seconds: float = 1.0) -> SpanDraft:
    """Return a model call; tokens and cost only where given."""
    known = {keys.OPERATION: "chat", keys.PROVIDER: "openai", keys.REQUEST_MODEL: "gpt-4o-mini"}
    end = start + int(seconds * SECOND)
    return SpanDraft(f"model:{number}", "chat gpt-4o-mini", start, end, {**known, **(own or {})})


def tool(
    number: int,
    name: str,
    start: int,
    own: Mapping[str, Any] | None = None,
    *,
    arguments: dict[str, Any] | None = None,
    error: str | None = None,
) -> SpanDraft:
    """Return a tool call that takes half a second."""
    known = {
        keys.OPERATION: "execute_tool",
        keys.TOOL_NAME: name,
        keys.TOOL_CALL_ID: f"call_{number}",
        keys.TOOL_ARGUMENTS: json_text(arguments or {"n": number}),
        keys.ARGS_HASH: args_hash(arguments or {"n": number}),
        keys.STEP: number,
        keys.STEP_KIND: "tool",
    }
    end = start + SECOND // 2
    return SpanDraft(f"tool:{number}", f"execute_tool {name}", start, end, {**known, **(own or {})}, error)


class Body:
    """Spans and audit events that are sent together."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.records: list[LogRecord] = []

    def run(
        self,
        key: str,
        minutes: float,
        children: Sequence[SpanDraft] = (),
        events: Sequence[Event] = (),
        *,
        shared: dict[str, Any] | None = None,
        pending: bool = False,
        **own: Any,
    ) -> None:
        """Add a run of one minute; ``own`` are further attributes of its span by their names in ``attributes``."""
        start = at(minutes)
        named = {getattr(keys, name): value for name, value in own.items()}
        agent = {keys.AGENT_NAME: "support-agent", keys.REQUEST_ID: f"req-{key}", **(shared or {})}
        root = SpanDraft("run", f"invoke_agent {agent[keys.AGENT_NAME]}", start, start + (0 if pending else MINUTE))
        root.attributes = {keys.OPERATION: "invoke_agent", keys.PENDING: True if pending else None, **named}
        self.spans += encode(key, root, children, agent)
        run_id, trace = ids(key)
        for seq, (name, fields) in enumerate(events, 1):
            numbered = {**agent, keys.RUN_ID: run_id, keys.AUDIT_SEQ: seq, keys.AUDIT_VERSION: 1}
            record = LogRecord(
                time_unix_nano=start + seq * SECOND,
                event_name=name,
                body=any_value(canonical_json(fields)),
                attributes=attributes(numbered),
                trace_id=bytes.fromhex(trace),
                span_id=span_id(key, "run"),
            )
            self.records.append(record)

    def send(self, served: Served) -> None:
        """Post all of it and wait until it can be read."""
        client = served.client
        traces = request_of(self.spans, {"service.name": "served-runs"}).SerializeToString()
        assert client.post_otlp("traces", traces) == (0, "")
        scope = ScopeLogs(scope=InstrumentationScope(name=keys.AUDIT_SCOPE), log_records=self.records)
        logs = ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[scope])])
        assert client.post_otlp("logs", logs.SerializeToString()) == (0, "")
        client.close()
        served.drain()


def fill(served: Served) -> None:
    """Send every run of this page.

    ``refund`` knows everything; ``denied`` was refused three times and never called a tool; ``plain`` knows nothing but
    its times; ``loop`` failed at one tool four times; ``twice-1`` and ``twice-2`` belong to one request and session;
    ``hostile`` says what must not reach a terminal; ``running`` has no end; ``lone`` is a model call outside any agent;
    ``filler-N`` are one a minute, at 10 % each failed.
    """
    body = Body()
    _refund(body)
    _denied(body)
    body.run("plain", 2, [model(1, at(2))], shared={keys.AGENT_NAME: "plain-agent"})
    failing = [tool(n, "fetch_page", at(3) + n * SECOND, arguments={"u": 1}, error="503 down") for n in range(1, 5)]
    body.run("loop", 3, failing, shared={keys.AGENT_NAME: "scraper-agent"}, STOP_REASON="loop_detected:fetch_page")
    both = {keys.REQUEST_ID: "req-twice", keys.SESSION_ID: "sess-twice", keys.AGENT_NAME: "twin-agent"}
    for number in (1, 2):
        body.run(f"twice-{number}", 3 + number, shared=both, STOP_REASON="finish", INPUT=f"ask {number}")
    _hostile(body)
    now = (datetime.now(UTC) - FIRST).total_seconds() / 60 - 1
    body.run("running", now, pending=True, shared={keys.AGENT_NAME: "batch-agent"}, INPUT="wait for it")
    lone = model(1, at(8), {keys.REQUEST_ID: "req-lone", keys.INPUT_TOKENS: 3, keys.OUTPUT_TOKENS: 4})
    body.spans += encode("lone", lone, [], {keys.TENANT: "acme"})
    for number in range(FILLERS):
        failed = number % 10 == 0
        body.run(
            f"filler-{number}",
            10 + number,
            [model(1, at(10 + number), {keys.INPUT_TOKENS: 100 + number, keys.OUTPUT_TOKENS: 10})],
            shared={keys.AGENT_NAME: "filler-agent", keys.TENANT: "globex", keys.AGENT_VERSION: f"{number % 2}.0"},
            STOP_REASON="max_steps" if failed else "finish",
            OUTCOME="failure" if failed else "success",
        )
    body.send(served)


def _refund(body: Body) -> None:
    asked = [{"role": "user", "parts": [{"type": "text", "content": "Refund order 1842"}]}]
    answer = [{"role": "assistant", "parts": [{"type": "text", "content": "Done."}], "finish_reason": "stop"}]
    usage = {keys.INPUT_TOKENS: 1200, keys.OUTPUT_TOKENS: 80, keys.CACHE_READ_TOKENS: 600, keys.COST_USD: 0.004}
    body.run(
        "refund",
        0,
        [
            model(1, at(0) + SECOND, {**usage, keys.INPUT_MESSAGES: json_text(asked), keys.STEP: 1}),
            tool(2, "issue_refund", at(0) + 3 * SECOND, {keys.TOOL_RESULT: '{"ok": true}'}, arguments={"order": 1842}),
            tool(3, "issue_refund", at(0) + 4 * SECOND, {keys.TOOL_REPLAYED: True}, arguments={"order": 1842}),
            model(
                4,
                at(0) + 5 * SECOND,
                {**usage, keys.OUTPUT_MESSAGES: json_text(answer), keys.FINISH_REASONS: ["stop"]},
            ),
        ],
        [
            ("run.start", {"task": "Refund order 1842"}),
            ("policy.decision", {"tool": "issue_refund", "args_hash": "aa", "decision": "allow", "rule": "refunds"}),
            ("tool.call", {"tool": "issue_refund", "args_hash": "aa", "status": "ok", "duration_ms": 500.0}),
            ("run.end", {"stop_reason": "finish", "outcome": "success"}),
        ],
        shared={
            keys.TENANT: "acme",
            keys.ENVIRONMENT: "prod",
            keys.SESSION_ID: "sess-refund",
            keys.USER_ID: "u-1",
            keys.AGENT_VERSION: "1.2",
            keys.TASK: "t-7",
            keys.TASK_TYPE: "refund",
            keys.VARIANT: "b",
        },
        INPUT="Refund order 1842",
        OUTPUT="Done.",
        STOP_REASON="finish",
        OUTCOME="success",
        STATE="completed",
        SPANS_EXPECTED=5,
        BUDGET=json_text({"max_usd": {"limit": 0.01, "used": 0.008}, "max_steps": {"limit": 20, "used": 4}}),
    )


def _denied(body: Body) -> None:
    refused = [
        tool(n, name, at(1) + n * SECOND, {keys.DECISION: "deny", keys.POLICY_RULE: rule}, error="denied")
        for n, (name, rule) in enumerate((("send_email", "no mail"), ("drop_table", "no sql"), ("pay", "no money")), 1)
    ]
    events = [
        ("policy.decision", {"tool": name, "args_hash": f"h{n}", "decision": "deny", "rule": rule})
        for n, (name, rule) in enumerate((("send_email", "no mail"), ("drop_table", "no sql"), ("pay", "no money")), 1)
    ]
    body.run(
        "denied",
        1,
        refused,
        events,
        shared={keys.TENANT: "globex", keys.AGENT_NAME: "ops-agent"},
        INPUT="Clean up",
        STOP_REASON="policy_deny:pay",
        OUTCOME="failure",
        ESCALATED=True,
    )


def _hostile(body: Body) -> None:
    body.run(
        "hostile",
        7,
        [
            tool(1, f"[red]{ESCAPE}", at(7), {keys.TOOL_RESULT: HOSTILE_JSON}, error=f"failed\nfake row {ESCAPE}"),
            tool(2, "deeper", at(7) + SECOND, {keys.TOOL_RESULT: DEEPER_JSON}),
        ],
        [("decision", {"option": f"{ESCAPE}"})],
        shared={
            keys.AGENT_NAME: f"[bold]{ESCAPE}",
            keys.SESSION_ID: f"sess{ESCAPE}",
            keys.REQUEST_ID: "req/hostile?x=1#y",
        },
        INPUT=f"say {ESCAPE}",
        OUTPUT=f"said {ESCAPE}",
        BUDGET='{"max_usd": 3, "odd": null, "max_steps": {"limit": 0, "used": "many"}}',
    )
