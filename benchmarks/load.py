"""A load generator for OTLP: seeded GenAI spans of about 1.1 kB, sent over kept connections at full speed or paced.

Bodies are built once and their trace ids replaced in place before each sending, so that the generator costs little
beside what it measures. Runs have 21 spans (an agent, ten model calls, ten tool calls); text is drawn from a vocabulary
of 4,000 made-up words, so that it compresses like text.
"""

from __future__ import annotations

import http.client
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

SPANS_A_RUN = 21
AGENTS = ("support", "research", "analytics", "billing", "coding")
TOOLS = tuple(
    f"{kind}.{verb}" for kind in ("orders", "web", "mail", "db") for verb in ("get", "list", "put", "search", "check")
)
TENANTS = ("acme", "acme", "acme", "globex", "globex", "initech")
MODELS = ("gpt-4o-mini", "gpt-4.1", "claude-sonnet-4-5", "gemini-2.5-flash")


@dataclass
class Body:
    """One export request and where its trace ids stand."""

    data: bytearray
    spans: int
    trace_offsets: list[list[int]]
    """Offsets of each run's trace id in ``data``."""

    def renew(self, random: Random) -> list[str]:
        """Give every run of the body a new trace id and return the ids."""
        ids = []
        for offsets in self.trace_offsets:
            trace = random.randbytes(16)
            for offset in offsets:
                self.data[offset : offset + 16] = trace
            ids.append(trace.hex())
        return ids


@dataclass
class Result:
    """What was acknowledged, and how fast."""

    acknowledged: int = 0
    failed: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)


def bodies(count: int, spans_a_body: int, *, seed: int = 1, spread: timedelta = timedelta(minutes=5)) -> list[Body]:
    """Return ``count`` bodies of ``spans_a_body`` spans; interleaved runs that start within ``spread`` before now."""
    random = Random(seed)
    words = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.randint(2, 10))) for _ in range(4000)]
    now = datetime.now(UTC)
    return [_body(random, words, spans_a_body, now - spread * random.random()) for _ in range(count)]


def _text(random: Random, words: Sequence[str], length: int) -> str:
    out: list[str] = []
    size = 0
    while size < length:
        word = words[min(int(random.paretovariate(0.7)), len(words) - 1)]
        out.append(word)
        size += len(word) + 1
    return " ".join(out)


def _key(key: str, value: str | int) -> KeyValue:
    return KeyValue(
        key=key, value=AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
    )


def _body(random: Random, words: Sequence[str], spans_a_body: int, started: datetime) -> Body:
    runs = max(1, spans_a_body // SPANS_A_RUN)
    markers = [secrets.token_bytes(16) for _ in range(runs)]
    spans: list[Span] = []
    per_run = [_run(random, words, marker, started, min(SPANS_A_RUN, spans_a_body)) for marker in markers]
    for row in zip(*per_run, strict=True):
        spans += row
    scope = ScopeSpans(scope=InstrumentationScope(name="bench", version="1"), spans=spans)
    resource = Resource(attributes=[_key("service.name", "bench"), _key("deployment.environment.name", "prod")])
    data = bytearray(
        ExportTraceServiceRequest(
            resource_spans=[ResourceSpans(resource=resource, scope_spans=[scope])]
        ).SerializeToString()
    )
    return Body(data, len(spans), [_offsets(data, marker) for marker in markers])


def _run(random: Random, words: Sequence[str], trace: bytes, started: datetime, count: int) -> list[Span]:
    """Return a run's spans in the order their ends come: the root last."""
    at = int(started.timestamp() * 1e9) + random.randint(0, 10**9)
    root = random.randbytes(8)
    agent, model, tenant = random.choice(AGENTS), random.choice(MODELS), random.choice(TENANTS)
    shared = [
        _key("gen_ai.agent.name", agent),
        _key("tenant.id", tenant),
        _key("session.id", f"sess-{random.randint(1, 9999)}"),
        _key("spanhouse.request_id", f"req-{trace.hex()}"),
    ]
    spans = []
    start = at
    for index in range(count - 1):
        end = start + random.randint(10, 900) * 1_000_000
        if index % 2 == 0:
            own = [
                _key("gen_ai.operation.name", "chat"),
                _key("gen_ai.request.model", model),
                _key("gen_ai.response.model", model),
                _key("gen_ai.usage.input_tokens", random.randint(200, 9000)),
                _key("gen_ai.usage.output_tokens", random.randint(10, 900)),
                _key(
                    "gen_ai.input.messages",
                    '[{"role":"user","parts":[{"type":"text","content":"' + _text(random, words, 330) + '"}]}]',
                ),
                _key(
                    "gen_ai.output.messages",
                    '[{"role":"assistant","parts":[{"type":"text","content":"' + _text(random, words, 220) + '"}]}]',
                ),
            ]
            name = f"chat {model}"
        else:
            tool = random.choice(TOOLS)
            own = [
                _key("gen_ai.operation.name", "execute_tool"),
                _key("gen_ai.tool.name", tool),
                _key("gen_ai.tool.call.id", f"call_{index}"),
                _key("gen_ai.tool.call.arguments", '{"query": "' + _text(random, words, 120) + '"}'),
                _key("gen_ai.tool.call.result", _text(random, words, 420)),
            ]
            name = f"execute_tool {tool}"
        spans.append(_span(trace, random.randbytes(8), root, name, start, end, [*shared, *own]))
        start = end
    own = [
        _key("gen_ai.operation.name", "invoke_agent"),
        _key("spanhouse.stop_reason", random.choices(["finish", "max_steps", "loop_detected"], [9, 1, 1])[0]),
    ]
    spans.append(_span(trace, root, b"", f"invoke_agent {agent}", at, start, [*shared, *own]))
    return spans


def _span(
    trace: bytes, span: bytes, parent: bytes, name: str, start: int, end: int, attributes: list[KeyValue]
) -> Span:
    return Span(
        trace_id=trace,
        span_id=span,
        parent_span_id=parent,
        name=name,
        kind=1,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        attributes=attributes,
    )


def _offsets(data: bytearray, marker: bytes) -> list[int]:
    found, position = [], data.find(marker)
    while position >= 0:
        found.append(position)
        position = data.find(marker, position + 16)
    return found


def send(
    port: int, load: Sequence[Body], *, seconds: float, connections: int = 6, rate: float | None = None, seed: int = 7
) -> Result:
    """Send bodies for ``seconds`` and return what was acknowledged.

    Args:
        port: of the server on loopback.
        load: bodies, shared out among the connections.
        seconds: how long.
        connections: keep-alive connections, each on a thread.
        rate: spans a second over all connections; None for as fast as it goes.
        seed: of the trace ids.
    """
    result = Result()
    lock = threading.Lock()
    begin = time.perf_counter()

    def work(number: int) -> None:
        own = load[number::connections]
        random = Random(f"{seed}:{number}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        latencies: list[float] = []
        sent = failed = index = 0
        due = time.perf_counter()
        while time.perf_counter() - begin < seconds:
            body = own[index % len(own)]
            index += 1
            body.renew(random)
            if rate is not None:
                due += body.spans / (rate / connections)
                time.sleep(max(0.0, due - time.perf_counter()))
            started = time.perf_counter()
            connection.request("POST", "/v1/traces", bytes(body.data), {"Content-Type": "application/x-protobuf"})
            response = connection.getresponse()
            response.read()
            if response.status == http.HTTPStatus.OK:
                latencies.append(time.perf_counter() - started)
                sent += body.spans
            else:
                failed += body.spans
                time.sleep(float(response.headers.get("Retry-After") or 0.1))
        connection.close()
        with lock:
            result.acknowledged += sent
            result.failed += failed
            result.latencies += latencies

    threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result.seconds = time.perf_counter() - begin
    return result


def quantile(values: Sequence[float], q: float) -> float:
    """Return a quantile by linear interpolation between ranks; NaN for no values."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    position = q * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
