"""MLflow's tracing, exporting over OTLP."""

# Runs in the framework's environment, not in this one.
# ruff: noqa: ANN001, ANN201
# mypy: ignore-errors

import os

import _shared

os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = os.environ.pop("OTEL_EXPORTER_OTLP_ENDPOINT") + "/v1/traces"
os.environ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] = "http/protobuf"
os.environ["OTEL_SERVICE_NAME"] = os.environ["FRAMEWORK"]

# Its small package has no store on files, which it would look for.
os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"

import mlflow
from mlflow.entities import SpanType


@mlflow.trace(span_type=SpanType.TOOL)
def weather(city):
    return _shared.weather(city)


@mlflow.trace(span_type=SpanType.CHAT_MODEL, name="chat")
def chat(messages):
    asked = len(messages) > 1
    sent, said, cached, _ = _shared.USAGE[int(asked)]
    span = mlflow.get_current_active_span()
    usage = {
        "input_tokens": sent,
        "output_tokens": said,
        "total_tokens": sent + said,
        "cache_read_input_tokens": cached,
    }
    span.set_attribute("mlflow.chat.tokenUsage", usage)
    span.set_attribute("mlflow.llm.model", _shared.MODEL)
    return {"choices": [{"message": {"role": "assistant", "content": _shared.ANSWER if asked else ""}}]}


@mlflow.trace(span_type=SpanType.AGENT)
def weather_agent(question):
    span = mlflow.get_current_active_span()
    span.set_attribute("session.id", _shared.SESSION)
    span.set_attribute("user.id", _shared.USER)
    messages = [{"role": "user", "content": question}]
    chat(messages=messages)
    messages.append({"role": "tool", "content": weather("Paris")})
    return chat(messages=messages)


weather_agent(_shared.ASKED)
if hasattr(mlflow, "flush_trace_async_logging"):
    mlflow.flush_trace_async_logging()
