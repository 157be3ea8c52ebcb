"""Spans, steps and audit events of the sample runs; a few runs are shaped by hand for what tests look at."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.support.sample_runs import HOSTILE, TOOLS, Json, Sample, build_runs, identifier, stamp

BIG_SPANS = 300


def build(now: datetime) -> Sample:
    """Return the whole sample as it looks at `now`; the same `now` gives the same sample."""
    sample = Sample(now, build_runs(now))
    for run in sample.runs:
        _trace(sample, run)
    by_code = {(run["stop_reason"] or "running").partition(":")[0]: run for run in reversed(sample.runs)}
    names = {
        "denied": "policy_deny",
        "exhausted": "tool_error_exhausted",
        "loop": "loop_detected",
        "killed": "operator_kill",
    }
    sample.by_name = {name: by_code[code]["run_id"] for name, code in names.items()}
    sample.by_name["running"] = by_code["running"]["run_id"]
    sample.by_name["finished"] = by_code["finish"]["run_id"]
    sample.by_name["unknown"] = by_code["unknown"]["run_id"]
    sample.by_name["big"] = by_code["max_steps"]["run_id"]
    sample.by_name["hostile"] = by_code["error"]["run_id"]
    _shape(sample)
    return sample


def _trace(sample: Sample, run: Json) -> None:
    start = datetime.fromisoformat(run["started_at"])
    length = run["run_seconds"] or 60.0
    root = _span(run, "root", None, start, length * 1000, "agent", f"invoke_agent {run['agent']}")
    root["span_id"] = run["root_span_id"]
    spans, steps = [root], list[Json]()
    slot = length / (run["tool_calls"] + 1)
    failing = run["tool_errors"]
    for index in range(run["tool_calls"] + 1):
        at = start + timedelta(seconds=slot * index)
        call = _span(run, f"model{index}", root["span_id"], at, slot * 450, "llm", f"chat {run['model']}")
        call |= {
            "model": run["model"],
            "provider": "openai",
            "step": index + 1,
            "input_tokens": run["input_tokens"] // (run["tool_calls"] + 1),
            "output_tokens": run["output_tokens"] // (run["tool_calls"] + 1),
            "cost_usd": run["cost_usd"] / (run["tool_calls"] + 1) if run["cost_usd"] is not None else None,
            "finish_reasons": ["tool_calls" if index < run["tool_calls"] else "stop"],
        }
        spans.append(call)
        steps.append(_step(len(steps), call, "model"))
        if index < run["tool_calls"]:
            tool = (run["stop_reason"] or "").partition(":")[2]
            tool = tool if tool in TOOLS else TOOLS[index % len(TOOLS)]
            bad = index >= run["tool_calls"] - failing
            work = _span(
                run,
                f"tool{index}",
                root["span_id"],
                at + timedelta(seconds=slot * 0.5),
                slot * 400,
                "tool",
                f"execute_tool {tool}",
            )
            work |= {
                "tool_name": tool,
                "tool_call_id": f"call_{index}",
                "args_hash": identifier(tool, index, length=16),
                "step": index + 1,
                "attempt": 1,
            }
            if bad:
                work |= {
                    "status": "error",
                    "status_message": "connection refused by 10.0.0.7:5432",
                    "error_type": "unavailable",
                }
            spans.append(work)
            steps.append(_step(len(steps), work, "tool"))
    if run["status"] == "running":
        root |= {"end": None, "ms": None, "status": "unset"}
    sample.spans[run["run_id"]] = spans
    sample.steps[run["run_id"]] = steps
    sample.audit[run["run_id"]] = _audit(run, start, length)


def _span(run: Json, name: str, parent: str | None, start: datetime, ms: float, kind: str, title: str) -> Json:
    return {
        "trace_id": run["trace_id"],
        "span_id": identifier(run["run_id"], name, length=16),
        "parent_span_id": parent,
        "name": title,
        "span_class": kind,
        "status": "ok",
        "status_message": None,
        "error_type": None,
        "start": stamp(start),
        "end": stamp(start + timedelta(milliseconds=ms)),
        "ms": ms,
        "tool_name": None,
        "tool_call_id": None,
        "args_hash": None,
        "decision": None,
        "replayed": False,
        "attempt": None,
        "step": None,
        "step_kind": {"llm": "model", "tool": "tool"}.get(kind),
        "model": None,
        "provider": None,
        "input_tokens": None,
        "output_tokens": None,
        "cache_read_tokens": None,
        "reasoning_tokens": None,
        "cost_usd": None,
        "finish_reasons": [],
        "agent": run["agent"],
        "service_name": "support-api",
        "convention": "spanhouse",
    }


def _step(seq: int, span: Json, kind: str) -> Json:
    return {
        "seq": seq,
        "number": span["step"] or seq + 1,
        "kind": kind,
        "tool": span["tool_name"],
        "model": span["model"],
        "span_id": span["span_id"],
        "started_at": span["start"],
        "ms": span["ms"],
        "status": span["status"],
        "error_type": span["error_type"],
        "error_message": span["status_message"],
        "decision": span["decision"],
        "args_hash": span["args_hash"],
        "attempt": span["attempt"] or 1,
        "replayed": span["replayed"],
        "input_tokens": span["input_tokens"],
        "output_tokens": span["output_tokens"],
        "cost_usd": span["cost_usd"],
    }


def _audit(run: Json, start: datetime, length: float) -> list[Json]:
    code, _, subject = (run["stop_reason"] or "").partition(":")
    plan: list[tuple[float, str, Json]] = [(0.0, "run.start", {"task": run["input_preview"]})]
    plan += [(0.3, "budget.reserve", {"usd": 0.02}), (0.6, "limit.near", {"limit": "max_usd", "used": 0.81})]
    special: dict[str, tuple[str, Json]] = {
        "policy_deny": ("policy.decision", {"decision": "deny", "rule": "no-external-email"}),
        "approval_denied": ("approval.denied", {"decision": "deny", "by": "maria"}),
        "loop_detected": ("loop", {"pattern": "lookup_order", "repeats": 3}),
        "operator_kill": ("kill", {"by": "maria", "reason": "wrong customer"}),
        "max_usd": ("budget.stop", {"limit": 0.05, "used": 0.051}),
        "escalated": ("escalation", {"why": "customer asked for a person"}),
    }
    if code in special:
        plan.append((0.92, *special[code]))
    if run["status"] == "ended":
        plan.append((1.0, "run.end", {"stop_reason": run["stop_reason"]}))
    return [
        {
            "tenant": run["tenant"],
            "stream": run["run_id"],
            "seq": seq,
            "name": name,
            "time": stamp(start + timedelta(seconds=length * share)),
            "environment": run["environment"],
            "request_id": run["request_id"],
            "run_id": run["run_id"],
            "trace_id": run["trace_id"],
            "span_id": None,
            "agent": run["agent"],
            "agent_version": run["agent_version"],
            "step": None,
            "tool": subject or None,
            "args_hash": None,
            "decision": data.get("decision"),
            "status": None,
            "duration_ms": None,
            "event_version": 1,
            "data": data,
        }
        for seq, (share, name, data) in enumerate(plan)
    ]


def _shape(sample: Sample) -> None:
    budget = {
        "max_usd": {"limit": 0.05, "used": 0.0512},
        "max_steps": {"limit": 20, "used": 8},
        "max_tool_calls": {"limit": 100, "used": 6},
        "max_seconds": {"limit": 300, "used": None},
    }
    exhausted = sample.run("exhausted")
    exhausted |= {
        "budget": budget,
        "error_message": "run_sql: connection refused by 10.0.0.7:5432",
        "request_id": "req-7f3a",
        "resumes": 1,
    }
    sample.run("denied").update(request_id="req-7f3a", budget=budget)
    sample.run("unknown").update(
        agent=None,
        input_tokens=None,
        output_tokens=None,
        cost_usd=None,
        cost_source=None,
        unpriced_models=["in-house-13b"],
        spans_expected=None,
        complete=None,
        outcome=None,
        request_id=None,
        session_id=None,
        user_id=None,
        input_preview=None,
        convention="openinference",
    )
    for span in sample.spans[sample.by_name["unknown"]]:
        span |= {"input_tokens": None, "output_tokens": None, "cost_usd": None}
    sample.run("finished").update(spans_expected=40, complete=False)
    hostile = sample.run("hostile")
    hostile |= {
        "name": HOSTILE,
        "agent": HOSTILE,
        "input_preview": HOSTILE,
        "output_preview": HOSTILE,
        "error_message": HOSTILE,
    }
    sample.spans[hostile["run_id"]][0]["name"] = HOSTILE
    sample.spans[hostile["run_id"]][2].update(tool_name=HOSTILE, status_message=HOSTILE, name=f"execute_tool {HOSTILE}")
    _grow(sample, sample.run("big"))


def _grow(sample: Sample, run: Json) -> None:
    spans = sample.spans[run["run_id"]]
    start = datetime.fromisoformat(run["started_at"])
    parent = spans[0]["span_id"]
    while len(spans) < BIG_SPANS:
        index = len(spans)
        kind, title = (
            ("agent", "invoke_agent researcher"),
            ("llm", f"chat {run['model']}"),
            ("tool", "execute_tool search_web"),
            ("retrieval", "retrieve passages"),
            ("other", "GET /v1/search"),
        )[index % 5]
        span = _span(
            run,
            f"extra{index}",
            parent,
            start + timedelta(seconds=run["run_seconds"] * index / BIG_SPANS),
            40 + index % 11 * 90,
            kind,
            title,
        )
        if kind == "llm":
            span |= {"model": run["model"], "input_tokens": 900 + index, "output_tokens": 80, "cost_usd": 0.0004}
        if kind == "agent":
            span["parent_span_id"] = spans[0]["span_id"]
            parent = span["span_id"]
        spans.append(span)
    run |= {"spans_stored": BIG_SPANS, "spans_expected": BIG_SPANS}


def content(sample: Sample, run: Json, span: Json) -> Json:
    """Return a span with its payload, as the single-span route does."""
    hostile = run["run_id"] == sample.by_name["hostile"]
    text = HOSTILE if hostile else "I will look the order up first."
    asked = run["input_preview"] or "(not captured)"
    payload: dict[str, Any] = {"input": None, "output": None, "system_instructions": None, "tool_definitions": None}
    if span["span_class"] == "llm":
        payload["system_instructions"] = [
            {"type": "text", "content": "You help customers. Never promise what you cannot do."}
        ]
        payload["input"] = [
            {"role": "user", "parts": [{"type": "text", "content": asked}]},
            {
                "role": "tool",
                "parts": [
                    {"type": "tool_call_response", "id": "call_0", "result": {"order": 1842, "state": "delivered"}}
                ],
            },
        ]
        payload["output"] = [
            {
                "role": "assistant",
                "parts": [
                    {"type": "text", "content": text},
                    {"type": "tool_call", "id": "call_1", "name": "lookup_order", "arguments": {"order_id": 1842}},
                ],
                "finish_reason": "tool_calls",
            }
        ]
        payload["tool_definitions"] = [
            {"name": "lookup_order", "description": "Find an order", "parameters": {"type": "object"}}
        ]
    if span["span_class"] == "tool":
        payload["input"] = {"order_id": 1842, "note": text if hostile else "broken on arrival"}
        payload["output"] = text if hostile else {"order": 1842, "state": "delivered"}
    if span["span_class"] == "agent":
        payload |= {"input": asked, "output": run["output_preview"]}
    failure = [
        {
            "name": "exception",
            "time": span["end"],
            "attributes": {
                "exception.type": "ConnectionError",
                "exception.message": span["status_message"],
                "exception.stacktrace": 'Traceback:\n  File "tools.py", line 7\nConnectionError',
            },
        }
    ]
    return span | payload | {
        "attributes": {"gen_ai.operation.name": "chat", "server.address": "10.0.0.7", "note": text},
        "resource": {"service.name": "support-api", "deployment.environment.name": "production"},
        "events": failure if span["status"] == "error" else [],
        "links": [],
    }  # fmt: skip
