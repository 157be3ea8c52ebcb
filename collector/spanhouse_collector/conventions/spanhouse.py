"""Spanhouse's own attributes, which say exactly what the columns hold and so come before all others."""

from __future__ import annotations

from typing import Final

from spanhouse import attributes as own
from spanhouse_collector.conventions.convention import AGENT, WORKFLOW, Convention, Source
from spanhouse_collector.conventions.readers import cost, count32, flag, name

_RUN: Final = frozenset({AGENT, WORKFLOW})

SPANHOUSE: Final = Convention(
    name="spanhouse",
    scopes=("spanhouse", "spanhouse.*", "spanhouse_*"),
    keys=("spanhouse.*",),
    sources=(
        Source("run_hint", (own.RUN_ID,), name),
        Source("request_id", (own.REQUEST_ID,), name),
        Source("tenant", (own.TENANT,), name),
        Source("task", (own.TASK,)),
        Source("task_type", (own.TASK_TYPE,)),
        Source("variant", (own.VARIANT,)),
        Source("run_type", (own.RUN_TYPE,)),
        Source("pending", (own.PENDING,), flag),
        Source("stop_reason", (own.STOP_REASON,)),
        Source("outcome", (own.OUTCOME,)),
        Source("state", (own.STATE,)),
        Source("budget", (own.BUDGET,)),
        Source("escalated", (own.ESCALATED,), flag),
        Source("resumes", (own.RESUMES,), count32),
        Source("steps", (own.STEPS,), count32),
        Source("spans_expected", (own.SPANS_EXPECTED,), count32),
        Source("audit_expected", (own.AUDIT_EXPECTED,), count32),
        Source("content_captured", (own.CONTENT_CAPTURED,), flag),
        Source("preview_input", (own.INPUT,)),
        Source("preview_output", (own.OUTPUT,)),
        Source("step", (own.STEP,), count32),
        Source("step_kind", (own.STEP_KIND,)),
        Source("args_hash", (own.ARGS_HASH,)),
        Source("polling", (own.TOOL_POLLING,), flag),
        Source("attempt", (own.TOOL_ATTEMPT,), count32),
        Source("replayed", (own.TOOL_REPLAYED,), flag),
        Source("decision", (own.DECISION,)),
        Source("error_class", (own.ERROR_CLASS,)),
        Source("cost_usd", (own.COST_USD,), cost),
        Source("price_version", (own.PRICE_VERSION,)),
        # Names in use before any convention had one.
        Source("request_id", ("request.id", "request_id", "http.request.header.x-request-id"), name),
        Source("request_id", ("http.request.header.x-correlation-id", "correlation.id", "metadata.request_id"), name),
        Source("stop_reason", ("agent.stop_reason", "stop_reason"), only=_RUN),
    ),
)
