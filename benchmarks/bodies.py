"""Export requests for a load generator: seeded GenAI runs whose spans arrive as exporters send them.

A run has 21 spans: ten model calls, ten tool calls and its agent span, which ends last. Eight runs are always under way
and their spans alternate, so that a body cut from the stream holds pieces of several runs, and most runs lie in more
than one body with their root in the last. Text is drawn from a vocabulary of 4,000 made-up words by a power law, so
that it compresses about like text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from random import Random

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

SPANS_A_RUN = 21
RUNS_AT_ONCE = 8
AGENTS = ("support", "research", "analytics", "billing", "coding")
TOOLS = tuple(
    f"{kind}.{verb}" for kind in ("orders", "web", "mail", "db") for verb in ("get", "list", "put", "search", "check")
)
TENANTS = ("acme", "acme", "acme", "globex", "globex", "initech")
MODELS = ("gpt-4o-mini", "gpt-4.1", "claude-sonnet-4-5", "gemini-2.5-flash")


@dataclass(frozen=True)
class Body:
    """One export request, which is a new one for every key.

    Attributes:
        data: the encoded request.
        spans: how many it holds.
        places: for each run in it its number, the offsets of its trace id, and the offsets of that id written in hex.
        members: run number and span id of every span.
    """

    data: bytes
    spans: int
    places: tuple[tuple[int, tuple[int, ...], tuple[int, ...]], ...]
    members: tuple[tuple[int, str], ...]

    def renewed(self, key: bytes) -> bytearray:
        """Return the request with the trace ids of this key, the same in every body of the tape."""
        data = bytearray(self.data)
        for run, raw, texts in self.places:
            trace = _trace_id(key, run)
            for offset in raw:
                data[offset : offset + 16] = trace
            if texts:
                text = trace.hex().encode()
                for offset in texts:
                    data[offset : offset + 32] = text
        return data

    def identities(self, key: bytes) -> Iterator[tuple[str, str]]:
        """Yield trace and span id of every span, as they stand in ``renewed(key)``."""
        traces = {run: _trace_id(key, run).hex() for run, _, _ in self.places}
        for run, span in self.members:
            yield traces[run], span


def bodies(count: int, spans_a_body: int, *, seed: int = 1, spread: timedelta = timedelta(minutes=5)) -> list[Body]:
    """Return a tape of about ``count`` bodies: whole runs that start within ``spread`` before now, cut to size."""
    random = Random(seed)
    words = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.randint(2, 10))) for _ in range(4000)]
    now = datetime.now(UTC)
    runs = max(1, round(count * spans_a_body / SPANS_A_RUN))
    stream = _interleaved(
        random, [_run(random, words, number, now - spread * random.random()) for number in range(runs)]
    )
    return [_body(stream[first : first + spans_a_body]) for first in range(0, len(stream), spans_a_body)]


def _trace_id(key: bytes, run: int) -> bytes:
    return blake2b(run.to_bytes(8, "big"), key=key, digest_size=16).digest()


def _interleaved(random: Random, runs: Sequence[Sequence[Span]]) -> list[tuple[int, Span]]:
    stream: list[tuple[int, Span]] = []
    waiting = [(number, iter(spans)) for number, spans in enumerate(runs)][::-1]
    active = [waiting.pop() for _ in range(min(RUNS_AT_ONCE, len(waiting)))]
    while active:
        place = random.randrange(len(active))
        number, spans = active[place]
        span = next(spans, None)
        if span is not None:
            stream.append((number, span))
        elif waiting:
            active[place] = waiting.pop()
        else:
            del active[place]
    return stream


def _body(spans: Sequence[tuple[int, Span]]) -> Body:
    scope = ScopeSpans(scope=InstrumentationScope(name="bench", version="1"), spans=[span for _, span in spans])
    resource = Resource(attributes=[_key("service.name", "bench"), _key("deployment.environment.name", "prod")])
    data = ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource, scope_spans=[scope])]
    ).SerializeToString()
    marks = {number: span.trace_id for number, span in spans}
    return Body(
        data,
        len(spans),
        tuple((number, _offsets(data, mark), _offsets(data, mark.hex().encode())) for number, mark in marks.items()),
        tuple((number, span.span_id.hex()) for number, span in spans),
    )


def _offsets(data: bytes, mark: bytes) -> tuple[int, ...]:
    found, position = [], data.find(mark)
    while position >= 0:
        found.append(position)
        position = data.find(mark, position + len(mark))
    return tuple(found)


def _run(random: Random, words: Sequence[str], number: int, started: datetime) -> list[Span]:
    """Return a run's spans in the order in which they end."""
    trace, root = random.randbytes(16), random.randbytes(8)
    agent, model = random.choice(AGENTS), random.choice(MODELS)
    shared = [
        _key("gen_ai.agent.name", agent),
        _key("tenant.id", random.choice(TENANTS)),
        _key("session.id", f"sess-{number % 10_000}"),
        _key("spanhouse.request_id", f"req-{trace.hex()}"),
    ]
    spans = []
    at = start = int(started.timestamp() * 1e9)
    for index in range(SPANS_A_RUN - 1):
        end = start + random.randint(10, 900) * 1_000_000
        name, own = _model(random, words, model) if index % 2 == 0 else _tool(random, words, index)
        spans.append(_span(trace, random.randbytes(8), root, name, start, end, [*shared, *own]))
        start = end
    own = [
        _key("gen_ai.operation.name", "invoke_agent"),
        _key("spanhouse.stop_reason", random.choices(["finish", "max_steps", "loop_detected"], [9, 1, 1])[0]),
    ]
    spans.append(_span(trace, root, b"", f"invoke_agent {agent}", at, start, [*shared, *own]))
    return spans


def _model(random: Random, words: Sequence[str], model: str) -> tuple[str, list[KeyValue]]:
    asked, answered = _text(random, words, 380), _text(random, words, 240)
    return f"chat {model}", [
        _key("gen_ai.operation.name", "chat"),
        _key("gen_ai.request.model", model),
        _key("gen_ai.response.model", model),
        _key("gen_ai.usage.input_tokens", random.randint(200, 9000)),
        _key("gen_ai.usage.output_tokens", random.randint(10, 900)),
        _key("gen_ai.input.messages", f'[{{"role":"user","parts":[{{"type":"text","content":"{asked}"}}]}}]'),
        _key("gen_ai.output.messages", f'[{{"role":"assistant","parts":[{{"type":"text","content":"{answered}"}}]}}]'),
    ]


def _tool(random: Random, words: Sequence[str], index: int) -> tuple[str, list[KeyValue]]:
    tool = random.choice(TOOLS)
    return f"execute_tool {tool}", [
        _key("gen_ai.operation.name", "execute_tool"),
        _key("gen_ai.tool.name", tool),
        _key("gen_ai.tool.call.id", f"call_{index}"),
        _key("gen_ai.tool.call.arguments", f'{{"query": "{_text(random, words, 180)}"}}'),
        _key("gen_ai.tool.call.result", _text(random, words, 480)),
    ]


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


def _span(
    trace: bytes, span: bytes, parent: bytes, name: str, start: int, end: int, attributes: list[KeyValue]
) -> Span:
    return Span(
        trace_id=trace,
        span_id=span,
        parent_span_id=parent,
        name=name,
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        attributes=attributes,
    )
