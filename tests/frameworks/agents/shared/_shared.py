"""What every framework's agent shares: the question, the tool, the exporter, and a model API that answers by script."""

# Runs in the frameworks' environments, not in this one.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "gpt-4o-mini"
ASKED = "What is the weather in Paris?"
ANSWER = "It is rainy in Paris, 14 degrees."
SESSION = os.environ.get("SESSION", "sess-1")
USER = "user-42"
USAGE = ((120, 20, 100, 0), (160, 30, 128, 4))


def weather(city: str) -> str:
    """Return the weather of a city.

    Args:
        city: name of the city.
    """
    return f"rainy, 14C in {city}"


def provider() -> Any:
    """Return a tracer provider that exports to OTEL_EXPORTER_OTLP_ENDPOINT, set as the process's own."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    made = TracerProvider(resource=Resource({"service.name": os.environ["FRAMEWORK"]}))
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(made)
    return made


class _Completions(BaseHTTPRequestHandler):
    asked = 0

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        # The first request is answered with a call of the tool, the next with the answer.
        answered = _Completions.asked > 0
        _Completions.asked += 1
        sent, said, cached, reasoned = USAGE[int(answered)]
        arguments = json.dumps({"city": "Paris"})
        call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
        message = {"role": "assistant", "content": ANSWER} if answered else {"role": "assistant", "tool_calls": [call]}
        if answered and "final_answer" in json.dumps(request.get("tools", [])):
            said_by_tool = {"name": "final_answer", "arguments": json.dumps({"answer": ANSWER})}
            message = {"role": "assistant", "tool_calls": [{**call, "id": "call_2", "function": said_by_tool}]}
        usage = {
            "prompt_tokens": sent,
            "completion_tokens": said,
            "total_tokens": sent + said,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": reasoned},
        }
        common = {"id": f"chatcmpl-{int(answered)}", "created": 1_780_000_000, "model": f"{MODEL}-2024-07-18"}
        finish = "stop" if answered else "tool_calls"
        if request.get("stream"):
            if not answered:
                message = {"role": "assistant", "tool_calls": [{**call, "index": 0}]}
            chunks: list[dict[str, Any]] = [
                {"choices": [{"index": 0, "delta": message, "finish_reason": None}]},
                {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
                {"choices": [], "usage": usage},
            ]
            lines = [
                f"data: {json.dumps({**common, 'object': 'chat.completion.chunk', **chunk})}\n\n" for chunk in chunks
            ]
            body, kind = ("".join(lines) + "data: [DONE]\n\n").encode(), "text/event-stream"
        else:
            choice = {"index": 0, "message": message, "finish_reason": finish}
            whole = {**common, "object": "chat.completion", "choices": [choice], "usage": usage}
            body, kind = json.dumps(whole).encode(), "application/json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the run's output is the framework's."""


def model_api() -> str:
    """Return the base URL of a stub of OpenAI's chat completions, served by a thread of this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Completions)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    os.environ.update(OPENAI_API_KEY="unused", OPENAI_BASE_URL=url)
    return url
