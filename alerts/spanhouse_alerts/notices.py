"""Notices: what an alert tells each receiver, with the evidence for it."""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from spanhouse_alerts.evidence import Evidence
from spanhouse_alerts.machine import Change
from spanhouse_alerts.round import Told
from spanhouse_alerts.rules import RuleSet, Severity
from spanhouse_alerts.state import Notice, micros, notice_key
from spanhouse_alerts.wording import describe

log = logging.getLogger(__name__)


def notices(rule_set: RuleSet, told: Told, evidence: Evidence, base_url: str, now: datetime) -> list[Notice]:
    """Return one notice for each receiver the alert is routed to; a repeat and a first notice have different keys."""
    alert = told.alert
    starts_at = alert.state.starts_at or now
    change = told.change.value if told.repeats is None else f"repeat@{micros(told.repeats)}"
    receivers = [
        name
        for name in rule_set.route(alert.rule, Severity(alert.severity)).to
        if told.change is Change.FIRING or rule_set.receivers[name].send_resolved
    ]
    if not receivers:
        return []
    payload = _payload(rule_set, told, evidence, base_url, now)
    return [
        Notice(
            key=key,
            alert=alert,
            receiver=name,
            transition=told.change.value,
            payload={"key": key, **payload},
            at=now,
        )
        for name in receivers
        for key in [notice_key(alert.labels, starts_at, change, name)]
    ]


def utc(at: datetime | None) -> str | None:
    """Return a moment as RFC 3339 in UTC with Z, None as None."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _payload(rule_set: RuleSet, told: Told, evidence: Evidence, base_url: str, now: datetime) -> dict[str, Any]:
    alert, state = told.alert, told.alert.state
    starts_at = state.starts_at or now
    rule = rule_set.rule(alert.rule)
    sample = told.finding.sample if told.finding else None
    summary = alert.summary or alert.rule
    return {
        "version": 1,
        "incident": hashlib.sha256(f"{alert.alert_id}:{micros(starts_at)}".encode()).hexdigest()[:32],
        "transition": told.change.value,
        "repeat": told.repeats is not None,
        "rule": alert.rule,
        "kind": alert.kind,
        "severity": alert.severity,
        "rule_text": describe(rule) if rule else "the rule was removed",
        "summary": f"resolved ({told.reason}): {summary}" if told.change is Change.RESOLVED else summary,
        "reason": told.reason,
        "labels": dict(alert.labels),
        "metric": rule.metric if rule else None,
        "value": state.value,
        "threshold": state.threshold,
        "numerator": sample.numerator if sample else None,
        "denominator": sample.denominator if sample else None,
        "low": told.finding.low if told.finding else None,
        "high": told.finding.high if told.finding else None,
        "window": {"since": utc(told.finding.since), "until": utc(told.finding.until)} if told.finding else None,
        "starts_at": utc(starts_at),
        "at": utc(now),
        "annotations": rule.annotations.model_dump() if rule else {},
        "runs": _runs(rule_set, told, evidence, base_url),
        "link": f"{base_url.rstrip('/')}/ui/alerts",
    }


def _runs(rule_set: RuleSet, told: Told, evidence: Evidence, base_url: str) -> list[dict[str, str]]:
    rule = rule_set.rule(told.alert.rule)
    if rule is None or told.finding is None or told.change is not Change.FIRING:
        return []
    try:
        found = evidence.runs(rule, told.alert.labels, told.finding.since, told.finding.until)
    except Exception:
        # A notice without examples is worth more than no notice.
        log.exception("no evidence for alert %s of rule %s", told.alert.alert_id, rule.id)
        return []
    root = base_url.rstrip("/")
    return [{"run_id": run_id, "link": f"{root}/ui/run?run_id={quote(run_id)}"} for run_id in found]
