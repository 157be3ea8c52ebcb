"""Rules, alerts in every state and notifications, one of them undelivered, in the API's JSON."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.support.sample_runs import Json, stamp


def build(now: datetime) -> Json:
    """Return what the alerts route answers at `now`."""
    just, earlier, long_ago = (stamp(now - timedelta(minutes=minutes)) for minutes in (2, 14, 300))
    errors: Json = {"kind": "threshold", "severity": "critical", "threshold": 0.2}
    spend: Json = {"kind": "threshold", "severity": "warning", "threshold": 5.0}
    return {
        "rules": [
            {"name": "tool-errors", **errors, "metric": "tool_error_rate", "window": "15m", "enabled": True},
            {"name": "cost-per-hour", **spend, "metric": "cost", "window": "1h", "enabled": True},
        ],
        "alerts": [
            {
                "rule": "tool-errors",
                **errors,
                "state": "firing",
                "labels": {"tool": "run_sql", "tenant": "acme"},
                "value": 0.41,
                "since": earlier,
                "last_evaluated": just,
                "summary": "41 % of run_sql calls failed in the last 15 minutes (threshold 20 %).",
            },
            {
                "rule": "cost-per-hour",
                **spend,
                "state": "pending",
                "labels": {"tenant": "globex"},
                "value": None,
                "since": just,
                "last_evaluated": just,
                "summary": "Spend of globex cannot be computed: a model has no price.",
            },
            {
                "rule": "cost-per-hour",
                **spend,
                "state": "resolved",
                "labels": {"tenant": "acme"},
                "value": 1.1,
                "since": long_ago,
                "last_evaluated": just,
                "summary": "Spend of acme is $1.10 in the last hour (threshold $5.00).",
            },
        ],
        "notifications": [
            {
                "key": "tool-errors/run_sql/acme",
                "rule": "tool-errors",
                "receiver": "on-call",
                "transition": "firing",
                "sent_at": earlier,
                "attempts": 1,
                "error": None,
            },
            {
                "key": "cost-per-hour/acme",
                "rule": "cost-per-hour",
                "receiver": "finance",
                "transition": "resolved",
                "sent_at": None,
                "attempts": 3,
                "error": "502 from hooks.example.test",
            },
        ],
    }
