"""A small, rich, deterministic set of runs in the API's JSON: every stop reason, unknown values, hostile text."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from spanhouse.stop_reasons import NEEDS_SUBJECT, StopCode

Json = dict[str, Any]

HOSTILE = (
    "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'> **bold** [link](javascript:alert(1)) "
    ":material/delete: $x^2$ :red-badge[fake]"
)
AGENTS = ("support-agent", "refund-agent", "research-agent")
TOOLS = ("lookup_order", "issue_refund", "send_email", "search_web", "run_sql")
MODELS = ("gpt-4o-mini", "claude-sonnet-4", "gemini-2.5-flash")
SUBJECTS = {
    StopCode.POLICY_DENY: "send_email",
    StopCode.APPROVAL_DENIED: "issue_refund",
    StopCode.APPROVAL_TIMEOUT: "issue_refund",
    StopCode.TOOL_TIMEOUT: "search_web",
    StopCode.TOOL_ERROR_EXHAUSTED: "run_sql",
    StopCode.TOOL_UNHEALTHY: "run_sql",
    StopCode.RATE_LIMITED: "search_web",
    StopCode.DISABLED: "issue_refund",
    StopCode.MODEL_ERROR: "rate_limit",
    StopCode.ERROR: "ValueError",
}
TASKS = (
    "Refund order 1842, it arrived broken",
    "Where is my parcel?",
    "Summarise the incident reports of last week",
    "Change the delivery address of order 9931",
    "Which invoices of March are unpaid?",
)
QUIET = 96
"""Runs that simply finish, beside one for every stop code."""


def stamp(at: datetime) -> str:
    """Return a time as the API writes it."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def identifier(*parts: object, length: int = 32) -> str:
    """Return a stable hex id made of the parts."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:length]


@dataclass(slots=True)
class Sample:
    """All answers of the sample API; the named run ids are those that tests ask for."""

    now: datetime
    runs: list[Json] = field(default_factory=list)
    spans: dict[str, list[Json]] = field(default_factory=dict)
    steps: dict[str, list[Json]] = field(default_factory=dict)
    audit: dict[str, list[Json]] = field(default_factory=dict)
    by_name: dict[str, str] = field(default_factory=dict)

    def run(self, name: str) -> Json:
        """Return the run that a test knows by a word such as `denied` or `big`."""
        return next(run for run in self.runs if run["run_id"] == self.by_name[name])


def build_runs(now: datetime) -> list[Json]:
    """Return the runs, newest first: one for each stop code in the last day, quiet ones over the week, one running."""
    dice = random.Random(7)
    out: list[Json] = []
    for index, code in enumerate(StopCode):
        subject = SUBJECTS.get(code, "") if code in NEEDS_SUBJECT else ""
        reason = f"{code.value}:{subject}" if subject else code.value
        out.append(_run(dice, f"stop-{code.value}", now - timedelta(minutes=20 + 47 * index), reason))
    for index in range(QUIET):
        reason = "finish" if index % 7 else "max_steps"
        out.append(_run(dice, f"quiet-{index}", now - timedelta(minutes=11 + 103 * index), reason))
    out.append(_running(dice, now))
    return sorted(out, key=lambda run: str(run["started_at"]), reverse=True)


def _run(dice: random.Random, name: str, started: datetime, reason: str) -> Json:
    agent = dice.choice(AGENTS)
    seconds = round(dice.uniform(3, 90), 3)
    tool_calls = dice.randint(1, 9)
    code = reason.partition(":")[0]
    failed = code in {"tool_error_exhausted", "tool_timeout", "model_error", "error"}
    input_tokens = dice.randint(800, 30_000)
    tool_errors = 3 if failed else int(dice.random() < 0.1)
    denials = 1 if code in {"policy_deny", "approval_denied", "disabled"} else 0
    model = dice.choice(MODELS)
    return {
        "run_id": identifier("run", name),
        "trace_id": identifier("trace", name),
        "root_span_id": identifier("root", name, length=16),
        "request_id": f"req-{identifier('request', name, length=8)}",
        "session_id": f"sess-{dice.randint(1, 20)}",
        "user_id": f"user-{dice.randint(1, 30)}",
        "tenant": dice.choice(("acme", "acme", "globex")),
        "environment": "production",
        "agent": agent,
        "agent_version": dice.choice(("1.4.0", "1.5.0")),
        "model": model,
        "models": [model],
        "status": "ended",
        "stop_reason": reason,
        "stop_reason_source": "reported" if dice.random() < 0.7 else "inferred",
        "outcome": "success" if code == "finish" else ("failure" if failed else "unknown"),
        "started_at": stamp(started),
        "ended_at": stamp(started + timedelta(seconds=seconds)),
        "run_seconds": seconds,
        "state": "failed" if failed else "completed",
        "type": "agent",
        "task": None,
        "task_type": dice.choice(("refund", "question")),
        "variant": None,
        "resumes": 0,
        "steps": tool_calls + 2,
        "model_calls": tool_calls + 1,
        "model_errors": int(code == "model_error"),
        "tool_calls": tool_calls,
        "tool_errors": min(tool_errors, tool_calls),
        "tool_requests": tool_calls + denials,
        "policy_denials": denials,
        "loops": 1 if code == "loop_detected" else 0,
        "cycle_length": 0,
        "retries": 2 if failed else 0,
        "retry_storm": False,
        "escalated": code == "escalated",
        "input_tokens": input_tokens,
        "output_tokens": input_tokens // 9,
        "cache_read_tokens": input_tokens // 3,
        "cache_write_tokens": 0,
        "reasoning_tokens": None,
        "cost_usd": round(input_tokens * 1.7e-6, 6),
        "cost_source": "computed",
        "unpriced_models": [],
        "budget": None,
        "spans_stored": 2 * tool_calls + 2,
        "spans_expected": 2 * tool_calls + 2,
        "complete": True,
        "convention": "spanhouse",
        "name": agent.removesuffix("-agent"),
        "error_type": "other" if failed else None,
        "error_message": None,
        "input_preview": dice.choice(TASKS),
        "output_preview": "Done." if code == "finish" else None,
    }


def _running(dice: random.Random, now: datetime) -> Json:
    run = _run(dice, "running", now - timedelta(seconds=95), "finish")
    return run | {
        "status": "running",
        "state": "executing",
        "stop_reason": None,
        "stop_reason_source": None,
        "outcome": None,
        "ended_at": None,
        "run_seconds": None,
        "output_preview": None,
        "complete": None,
        "spans_expected": None,
    }
