"""A recorded run as OTLP spans: its conversation where it has one, else one run span that carries its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from spanhouse import attributes as keys
from spanhouse.stop_reasons import StopCode
from spanhouse_server.importing import conversation, mapping
from spanhouse_server.importing.spans import SpanDraft, encode


def spans_of(run: Mapping[str, Any], *, tenant: str, environment: str) -> list[Span]:
    """Return the spans of one line of an import file.

    Args:
        run: the line; needs ``run_id``.
        tenant: tenant the run is filed under.
        environment: environment the run is filed under.
    """
    run_id = str(run["run_id"])
    agent = str(run.get("source") or "import")
    shared = {
        keys.TENANT: tenant,
        keys.ENVIRONMENT: environment,
        keys.REQUEST_ID: run_id,
        keys.AGENT_NAME: agent,
        keys.TASK: run.get("task_id"),
        keys.TASK_TYPE: run.get("domain") or run.get("service"),
        keys.VARIANT: run.get("mode"),
    }
    root = SpanDraft("run", f"invoke_agent {agent}", 0, 0, {keys.OPERATION: "invoke_agent"})
    root.attributes |= {
        "spanhouse.import." + name: run.get(name)
        for name in (
            "source_commit",
            "source_file",
            "trial",
            "reward",
            "end_reason",
            "end_reason_origin",
            "actual_model",
        )
    }
    children: list[SpanDraft] = []
    failing_tool = ""
    if run.get("messages"):
        told = conversation.read(run)
        children, failing_tool = told.spans, told.last_failing_tool
        root.start, root.end = told.start, told.end
        root.attributes |= {keys.INPUT: told.asked, keys.OUTPUT: told.answered, keys.REQUEST_MODEL: run.get("model")}
    else:
        _carry_figures(run, root)
    reason = mapping.stop_reason(run, failing_tool)
    verdict = mapping.outcome(run)
    root.attributes |= {
        keys.STOP_REASON: str(reason) if reason else None,
        keys.OUTCOME: verdict.value,
        keys.SPANS_EXPECTED: len(children) + 1,
    }
    if reason and reason.code not in {StopCode.FINISH, StopCode.ESCALATED} and root.error is None:
        root.error = str(reason)
    return encode(run_id, root, children, shared)


def _output_tokens(run: Mapping[str, Any]) -> int | None:
    """Return a run's output with its reasoning: some sources count reasoning in the total alone."""
    total, inputs, outputs = run.get("total_tokens"), run.get("input_tokens"), run.get("output_tokens")
    if isinstance(total, int) and isinstance(inputs, int) and total >= inputs:
        return total - inputs
    return outputs if isinstance(outputs, int) else None


def _carry_figures(run: Mapping[str, Any], root: SpanDraft) -> None:
    """Put a run's own totals on its span: there are no calls to add up."""
    started = mapping.nanoseconds(run.get("started_at"))
    root.start = started if started is not None else mapping.made_up_start(run)
    root.end = root.start + int(float(run.get("duration_s") or 0) * 1e9)
    cost = run.get("cost_usd")
    root.attributes |= {
        keys.REQUEST_MODEL: run.get("model"),
        keys.INPUT_TOKENS: run.get("input_tokens"),
        keys.OUTPUT_TOKENS: _output_tokens(run),
        keys.REASONING_TOKENS: run.get("reasoning_tokens"),
        keys.COST_USD: float(cost) if cost is not None else None,
        keys.STEPS: run.get("turns"),
    }
    if run.get("error_message"):
        root.error = str(run["error_message"])
