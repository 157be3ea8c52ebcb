"""CPU time of normalising, per span, on GenAI spans of about 1.1 kB: bodies in, Arrow tables out.

Usage: python -m benchmarks.normalise [--spans 20160] [--body 168] [--repeat 3] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import random
import time
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from spanhouse_collector.normalise import Normaliser
from spanhouse_collector.records import RawRecord

SEED = 7
START_NS = 1_780_000_000_000_000_000
WORDS = """
the order refund agent customer please check status shipping delayed account policy return item
damaged email payment address update confirm ticket invoice paris weather flight booking cancel fee
tier silver bronze window
""".split()  # noqa: SIM905 - reads better than a list a screen long


def words(rng: random.Random, characters: int) -> str:
    """Return text of about that many characters."""
    found: list[str] = []
    while sum(map(len, found)) + len(found) < characters:
        found.append(rng.choice(WORDS))
    return " ".join(found)


def body(rng: random.Random, spans: int) -> bytes:
    """Return one request with runs of one agent span, chat spans and tool spans."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    _set(resource.resource.attributes, {"service.name": "support", "deployment.environment.name": "production"})
    scope = resource.scope_spans.add()
    scope.scope.name = "bench"
    trace = root = session = b""
    for number in range(spans):
        if number % 8 == 0:
            trace, root, session = rng.randbytes(16), rng.randbytes(8), rng.randbytes(6)
        span = scope.spans.add(trace_id=trace, span_id=rng.randbytes(8), kind=Span.SPAN_KIND_INTERNAL)
        span.start_time_unix_nano = START_NS + rng.randrange(10**12)
        span.end_time_unix_nano = span.start_time_unix_nano + rng.randrange(10**9)
        shared = {"gen_ai.conversation.id": session.hex(), "gen_ai.agent.name": "support", "user.id": f"u{number % 50}"}
        if number % 8 == 0:
            span.span_id, span.name = root, "invoke_agent support"
            _set(span.attributes, {"gen_ai.operation.name": "invoke_agent", **shared, "input.value": words(rng, 700)})
        elif number % 3:
            span.parent_span_id, span.name = root, "chat gpt-4o-mini"
            _set(span.attributes, _chat(rng, shared))
        else:
            span.parent_span_id, span.name = root, "execute_tool lookup"
            _set(span.attributes, _tool(rng, shared))
    return request.SerializeToString()


def _chat(rng: random.Random, shared: dict[str, Any]) -> dict[str, Any]:
    said = [{"role": "user", "parts": [{"type": "text", "content": words(rng, 350)}]}]
    answered = [{"role": "assistant", "parts": [{"type": "text", "content": words(rng, 170)}]}]
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.usage.input_tokens": rng.randrange(10_000),
        "gen_ai.usage.output_tokens": rng.randrange(1_000),
        "gen_ai.input.messages": json.dumps(said),
        "gen_ai.output.messages": json.dumps(answered),
        **shared,
    }


def _tool(rng: random.Random, shared: dict[str, Any]) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": rng.choice(["lookup", "refund", "search"]),
        "gen_ai.tool.call.id": f"call_{rng.randrange(10**9)}",
        "gen_ai.tool.call.arguments": json.dumps({"order": rng.randrange(10**6), "why": words(rng, 120)}),
        "gen_ai.tool.call.result": words(rng, 420),
        **shared,
    }


def _set(attributes: Any, values: dict[str, Any]) -> None:  # noqa: ANN401 - a repeated protobuf field
    for key, value in values.items():
        item = attributes.add(key=key)
        if isinstance(value, int):
            item.value.int_value = value
        else:
            item.value.string_value = value


def main() -> None:
    """Print microseconds of CPU a span for each round; the first includes warming up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=20_160)
    parser.add_argument("--body", type=int, default=168)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    rng = random.Random(SEED)
    normaliser = Normaliser()
    for round_number in range(options.repeat + 1):
        bodies = [body(rng, options.body) for _ in range(max(options.spans // options.body, 1))]
        records = [RawRecord("traces", each, START_NS // 1000) for each in bodies]
        began = time.process_time()
        found = normaliser(records)
        used = time.process_time() - began
        size = sum(map(len, bodies)) / found.counts.spans
        label = "warm-up" if round_number == 0 else f"round {round_number}"
        print(f"{label}: {used / found.counts.spans * 1e6:.1f} µs a span ({found.counts.spans} spans of {size:.0f} B)")
    if options.profile:
        profile = cProfile.Profile()
        profile.runcall(normaliser, records)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
