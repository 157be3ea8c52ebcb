"""Rules, alerts in every state and notifications, one of them undelivered, in the API's JSON."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.support.sample_runs import Json, stamp


def build(now: datetime) -> Json:
    """Return what the alerts route answers at `now`."""
    just, earlier, long_ago = (stamp(now - timedelta(minutes=minutes)) for minutes in (2, 14, 300))
    errors = {"rule": "tool-errors", "kind": "ratio", "severity": "page", "threshold": 0.2}
    spend = {"rule": "cost-per-hour", "kind": "budget", "severity": "warn", "threshold": 5.0}
    return {
        "rules": [
            _rule("tool-errors", "ratio", "tool_error_rate", "tool_error_rate by tool above 20 % over 15m", just, 1),
            _rule("cost-per-hour", "budget", "cost", "cost by tenant above $5.00 an hour", just, 0),
        ],
        "alerts": [
            _alert("a1", errors, "firing", {"tool": "run_sql", "tenant": "acme"}, 0.41, earlier, just)
            | {"summary": "41 % of run_sql calls failed in the last 15 minutes (threshold 20 %)."},
            _alert("a2", spend, "pending", {"tenant": "globex"}, None, just, just)
            | {"summary": "Spend of globex cannot be computed: a model has no price.", "no_data": True},
            _alert("a3", spend, "resolved", {"tenant": "acme"}, 1.1, long_ago, just)
            | {"summary": "Spend of acme is $1.10 in the last hour (threshold $5.00).", "ends_at": just},
        ],
        "notifications": [
            _notification("n1", "tool-errors", "on-call", "firing", earlier, None),
            _notification("n2", "cost-per-hour", "finance", "resolved", None, "502 from hooks.example.test"),
        ],
        "problems": [{"line": 12, "message": "unknown metric `tool_eror_rate`"}],
        "health": {"last_evaluated": just},
    }


def _rule(name: str, kind: str, metric: str, text: str, evaluated: str, firing: int) -> Json:
    return {
        "id": name,
        "kind": kind,
        "metric": metric,
        "severities": ["page"],
        "text": text,
        "dimensions": ["tenant"],
        "annotations": {},
        "state": "firing" if firing else "ok",
        "firing": firing,
        "pending": 0,
        "last_evaluated": evaluated,
        "error": None,
    }


def _alert(
    name: str, rule: Json, state: str, labels: dict[str, str], value: float | None, since: str, evaluated: str
) -> Json:
    moments = {"since": since, "started_at": since, "ends_at": None, "last_evaluated": evaluated}
    return {"id": name, **rule, "state": state, "labels": labels, "value": value, **moments} | {
        "no_data": False,
        "error": None,
    }


def _notification(key: str, rule: str, receiver: str, transition: str, sent: str | None, error: str | None) -> Json:
    return {
        "key": key,
        "rule": rule,
        "receiver": receiver,
        "transition": transition,
        "sent_at": sent,
        "attempts": 1 if error is None else 3,
        "error": error,
    }
