"""What tracing costs an agent: microseconds a tool call, beside a bare OpenTelemetry span, in one run.

    python -m benchmarks.sdk

Three functions take turns in blocks: not traced, in a span of the OpenTelemetry SDK that carries the same tool
attributes, and as a Spanhouse tool (span, audit event, argument hash, redaction). Both SDKs export to the same far end,
which answers and discards.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.load import quantile
from benchmarks.server import free_port, machine
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer

import spanhouse as sh


def main() -> None:
    """Print median and 99th percentile of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=400, help="calls a block; what is exported waits until its end")
    parser.add_argument("--blocks", type=int, default=25)
    arguments = parser.parse_args()
    print(machine())
    port = free_port()
    far_end = multiprocessing.get_context("spawn").Process(target=discard, args=(port,), daemon=True)
    far_end.start()
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"http://127.0.0.1:{port}/v1/traces")))
    sh.init("bench", url=f"http://127.0.0.1:{port}")
    ways: dict[str, Callable[[int], object]] = {
        "not traced": look_up,
        "OpenTelemetry span": partial(in_span, provider.get_tracer("bench")),
        "Spanhouse tool": sh.tool(name="look_up")(look_up),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for block in range(arguments.blocks + 1):
        for name, call in ways.items():
            with sh.run("bench", agent="bench"):
                found = [timed(call, number) for number in range(arguments.calls)]
            provider.force_flush()
            sh.flush()
            times[name] += found if block else []
    print(f"{'':<20} {'p50 µs':>8} {'p99 µs':>8}")
    for name, found in times.items():
        print(f"{name:<20} {quantile(found, 0.5) * 1e6:>8.1f} {quantile(found, 0.99) * 1e6:>8.1f}")
    sh.shutdown()
    provider.shutdown()
    far_end.kill()


def timed(call: Callable[[int], object], number: int) -> float:
    """Return the seconds that one call takes."""
    begin = time.perf_counter()
    call(number)
    return time.perf_counter() - begin


def look_up(order: int) -> dict[str, object]:
    """Return what a tool that costs nothing finds."""
    return {"order": order, "state": "shipped", "carrier": "post", "days": 3}


def in_span(tracer: Tracer, order: int) -> dict[str, object]:
    """Look up inside a bare span that says as much as a tool's span."""
    with tracer.start_as_current_span("execute_tool look_up") as span:
        span.set_attribute("gen_ai.operation.name", "execute_tool")
        span.set_attribute("gen_ai.tool.name", "look_up")
        span.set_attribute("gen_ai.tool.call.arguments", '{"order": 1}')
        found = look_up(order)
        span.set_attribute("gen_ai.tool.call.result", str(found))
        return found


def discard(port: int) -> None:
    """Be a far end that takes everything."""
    ThreadingHTTPServer(("127.0.0.1", port), _Discard).serve_forever()


class _Discard(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer every export with an empty success."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


if __name__ == "__main__":
    main()
