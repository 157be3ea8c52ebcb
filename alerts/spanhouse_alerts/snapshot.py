"""Alerts as the API and the Alerts page show them: rules, alerts, notifications, all as JSON values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, select

from spanhouse_alerts.machine import Phase
from spanhouse_alerts.notices import utc
from spanhouse_alerts.rules import BudgetRule, RatioRule, RuleSet
from spanhouse_alerts.state import Alert, alert_history, load, moment, outbox
from spanhouse_alerts.wording import describe

SHOWN = {Phase.PENDING: "pending", Phase.FIRING: "firing", Phase.RECOVERING: "firing", Phase.INACTIVE: "resolved"}
"""How a phase is shown: whoever was told that an alert fires has not been told otherwise while it recovers."""

_ORDER = {"firing": 0, "pending": 1, "resolved": 2}
_NOTIFICATIONS = 200


def alerts_json(state: Engine) -> list[dict[str, Any]]:
    """Return every alert remembered: firing first, then pending, then resolved, the newest of each first."""
    shown = [_alert(alert) for alert in load(state, resolved=True).values()]
    newest_first = sorted(shown, key=lambda alert: str(alert["since"]), reverse=True)
    return sorted(newest_first, key=lambda alert: _ORDER[alert["state"]])


def notifications_json(state: Engine) -> list[dict[str, Any]]:
    """Return the newest 200 notices with what became of each."""
    newest = select(outbox).order_by(outbox.c.seq.desc()).limit(_NOTIFICATIONS)
    with state.connect() as connection:
        return [_notification(row) for row in connection.execute(newest)]


def history_json(state: Engine, alert_id: str) -> list[dict[str, Any]]:
    """Return every transition of an alert, oldest first, with the figure and query window that led to it."""
    mine = select(alert_history).where(alert_history.c.alert_id == alert_id).order_by(alert_history.c.id)
    with state.connect() as connection:
        return [
            {
                "change": row.change,
                "at": utc(moment(row.at_us)),
                "reason": row.reason,
                "value": row.value,
                "threshold": row.threshold,
                "since": utc(moment(row.window_since_us)),
                "until": utc(moment(row.window_until_us)),
            }
            for row in connection.execute(mine)
        ]


def rules_json(
    rule_set: RuleSet,
    alerts: Sequence[Mapping[str, Any]],
    errors: Mapping[str, str],
    evaluated_at: datetime | None,
) -> list[dict[str, Any]]:
    """Return every rule in the file's order with how it stands: error, firing, pending or ok."""
    return [_rule(rule, alerts, errors, evaluated_at) for rule in rule_set.rules]


def _rule(
    rule: RatioRule | BudgetRule,
    alerts: Sequence[Mapping[str, Any]],
    errors: Mapping[str, str],
    evaluated_at: datetime | None,
) -> dict[str, Any]:
    states = [alert["state"] for alert in alerts if alert["rule"] == rule.id]
    error = errors.get(rule.id)
    worst = next((state for state in ("firing", "pending") if state in states), "ok")
    severities = (
        [threshold.severity.value for threshold in rule.thresholds]
        if isinstance(rule, BudgetRule)
        else [rule.severity.value]
    )
    return {
        "id": rule.id,
        "kind": rule.kind,
        "metric": rule.metric,
        "severities": severities,
        "text": describe(rule),
        "dimensions": list(rule.dimensions),
        "annotations": rule.annotations.model_dump(),
        "state": "error" if error else worst,
        "firing": states.count("firing"),
        "pending": states.count("pending"),
        "last_evaluated": utc(evaluated_at),
        "error": error,
    }


def _alert(alert: Alert) -> dict[str, Any]:
    state = alert.state
    shown = SHOWN[state.phase]
    since = {"pending": state.since, "firing": state.starts_at, "resolved": alert.resolved_at}[shown]
    return {
        "id": alert.alert_id,
        "rule": alert.rule,
        "kind": alert.kind,
        "severity": alert.severity,
        "state": shown,
        "labels": dict(alert.labels),
        "value": state.value,
        "threshold": state.threshold,
        "since": utc(since),
        "started_at": utc(state.starts_at),
        "ends_at": utc(state.ends_at),
        "last_evaluated": utc(state.evaluated_at),
        "summary": alert.summary,
        "no_data": state.no_data,
        "error": state.error or None,
    }


def _notification(row: Row[Any]) -> dict[str, Any]:
    payload = json.loads(row.payload)
    return {
        "key": row.key,
        "rule": row.rule,
        "alert_id": row.alert_id,
        "severity": payload["severity"],
        "receiver": row.receiver,
        "transition": row.transition,
        "summary": payload["summary"],
        "runs": payload["runs"],
        "created_at": utc(moment(row.created_at_us)),
        "sent_at": utc(moment(row.sent_at_us)),
        "given_up_at": utc(moment(row.given_up_at_us)),
        "attempts": row.attempts,
        "error": row.error or None,
    }
