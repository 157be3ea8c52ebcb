"""``/api/v1/alerts``: the rules in force, what they say now, and what was sent."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from spanhouse_alerts.rules import RuleSet
from spanhouse_server.api.answers import json_answer
from spanhouse_server.keys.gate import access_of
from spanhouse_server.parts import parts_of
from spanhouse_storage.reads.filters import values_of

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"])


@router.get("")
def listed(request: Request) -> Response:
    """Return rules, alerts and notifications."""
    engine = parts_of(request).alerts
    return json_answer(of_tenants(engine.snapshot(), engine.rules, access_of(request).tenants))


def of_tenants(snapshot: dict[str, Any], rules: RuleSet, tenants: frozenset[str] | None) -> dict[str, Any]:
    """Return of a snapshot what concerns these tenants alone; None for all of it.

    Alerts are a tenant's where their rule tells tenants apart; one over several tenants is for who may see all.
    """
    if tenants is None:
        return snapshot
    told_apart = {
        rule.id
        for rule in rules.rules
        if "tenant" in rule.dimensions and tenants.issuperset(values_of(rule.filters.get("tenant", [])))
    }
    alerts = [
        alert
        for alert in snapshot["alerts"]
        if alert["rule"] in told_apart and alert["labels"].get("tenant") in tenants
    ]
    ids = {alert["id"] for alert in alerts}
    return {
        "rules": [_standing(rule, alerts) for rule in snapshot["rules"] if rule["id"] in told_apart],
        "alerts": alerts,
        "notifications": [each for each in snapshot["notifications"] if each["alert_id"] in ids],
        # The file and the receivers are the server's own.
        "problems": [],
        "health": {name: snapshot["health"][name] for name in ("last_evaluated", "interval_seconds")},
    }


def _standing(rule: dict[str, Any], alerts: list[dict[str, Any]]) -> dict[str, Any]:
    states = [alert["state"] for alert in alerts if alert["rule"] == rule["id"]]
    worst = next((state for state in ("firing", "pending") if state in states), "ok")
    state = rule["state"] if rule["state"] == "error" else worst
    return {**rule, "state": state, "firing": states.count("firing"), "pending": states.count("pending")}
