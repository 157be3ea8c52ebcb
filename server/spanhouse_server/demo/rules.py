"""The demo's alert rules: those that ship, and a small budget that the live agents overspend."""

from __future__ import annotations

from pathlib import Path

import yaml

from spanhouse_alerts.check import DEFAULT_RULES

BUDGET_USD = 0.20
"""What a tenant may spend a day on the demo's agents; the live agents of acme spend more in one round."""


def write(path: Path, receiver_url: str) -> None:
    """Write a rules file that sends every alert to one webhook."""
    rules = yaml.safe_load(DEFAULT_RULES.read_text(encoding="utf-8"))
    rules["receivers"] = {"demo": {"webhook": {"url": receiver_url}}}
    rules["rules"].append(
        {
            "id": "demo-day-budget",
            "kind": "budget",
            "metric": "spend",
            "amount": BUDGET_USD,
            "per": ["tenant"],
            "filters": {"environment": "demo"},
            "window": {"cumulative": "day", "tz": "UTC"},
            "thresholds": [{"severity": "warn", "at": 0.8}, {"severity": "page", "at": 1.0}],
            "annotations": {"description": "Spend of one tenant on the demo's agents today, in US dollars."},
        }
    )
    head = (
        "# Written by `spanhouse demo` at each start: the rules that ship, and a budget small enough to be overspent.\n"
    )
    path.write_text(head + yaml.safe_dump(rules, sort_keys=False), encoding="utf-8")
