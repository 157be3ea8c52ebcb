"""Spanhouse: observability, trace analysis and control for AI agents.

This is what an agent imports::

    import spanhouse as sh

    sh.init(service="support-agent")
    with sh.run("refund", request_id=rid, tenant="acme") as run:
        ...
        run.outcome("success")

Names are loaded when first used, so that ``import spanhouse`` costs an agent next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spanhouse.client import Client
    from spanhouse.context import current_run
    from spanhouse.control import ControlPoller, Flag
    from spanhouse.errors import ConfigurationError, ErrorType, RunStopped, ServerError, SpanhouseError
    from spanhouse.middleware import Caller, SpanhouseASGI, SpanhouseWSGI
    from spanhouse.model_calls import ModelCall, model_call
    from spanhouse.people import feedback
    from spanhouse.propagation import extract, inject
    from spanhouse.queues import watch_queue
    from spanhouse.runs import Run, run
    from spanhouse.serverless import Invocation, invocation
    from spanhouse.stop_reasons import Outcome, StopCode, StopReason
    from spanhouse.telemetry import flush, init, shutdown, telemetry_loss
    from spanhouse.tool_calls import ToolCall, tool_call
    from spanhouse.tools import tool

_HOMES = {
    "Caller": "middleware",
    "Client": "client",
    "ConfigurationError": "errors",
    "ControlPoller": "control",
    "ErrorType": "errors",
    "Flag": "control",
    "Invocation": "serverless",
    "ModelCall": "model_calls",
    "Outcome": "stop_reasons",
    "Run": "runs",
    "RunStopped": "errors",
    "ServerError": "errors",
    "SpanhouseASGI": "middleware",
    "SpanhouseError": "errors",
    "SpanhouseWSGI": "middleware",
    "StopCode": "stop_reasons",
    "StopReason": "stop_reasons",
    "ToolCall": "tool_calls",
    "current_run": "context",
    "extract": "propagation",
    "feedback": "people",
    "flush": "telemetry",
    "init": "telemetry",
    "inject": "propagation",
    "invocation": "serverless",
    "model_call": "model_calls",
    "run": "runs",
    "shutdown": "telemetry",
    "telemetry_loss": "telemetry",
    "tool": "tools",
    "tool_call": "tool_calls",
    "watch_queue": "queues",
}
"""Public name -> the module it lives in. No module may be called like a public name: it would hide it."""

__all__ = [
    "Caller",
    "Client",
    "ConfigurationError",
    "ControlPoller",
    "ErrorType",
    "Flag",
    "Invocation",
    "ModelCall",
    "Outcome",
    "Run",
    "RunStopped",
    "ServerError",
    "SpanhouseASGI",
    "SpanhouseError",
    "SpanhouseWSGI",
    "StopCode",
    "StopReason",
    "ToolCall",
    "current_run",
    "extract",
    "feedback",
    "flush",
    "init",
    "inject",
    "invocation",
    "model_call",
    "run",
    "shutdown",
    "telemetry_loss",
    "tool",
    "tool_call",
    "watch_queue",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
