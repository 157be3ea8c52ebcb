"""What a server's state means: each check fine, a warning or a failure, with what to do."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from spanhouse_server.diagnosis import Level, diagnose, size, unreachable

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
GIB = 1 << 30
COUNTS = {"received": 9, "stored": 8, "rejected": 0, "sampled_out": 0, "late": 0, "duplicated": 1, "reasons": {}}
WELL: dict[str, Any] = {
    "now": "2026-03-04T12:00:00.000000Z",
    "status": "ok",
    "reasons": [],
    "versions": {"spanhouse": "1.0", "python": "3.11", "engine": "26.9", "schema": 6},
    "journal": {"bytes": 10, "limit": GIB, "pending_records": 0, "pending_items": 0, "pending_seconds": 0.0},
    "dead_letters": {"letters": 0, "folder": "/data/dead-letters", "newest_at": None, "reasons": {}},
    "refused_callers": {},
    "audit": {
        "tenants": 1,
        "last_at": "2026-03-04T11:59:00Z",
        "verifies": True,
        "bad": [],
        "late": [],
        "anchored": True,
        "copies": None,
    },
    "disks": [{"of": "data", "path": "/data", "free": 50 * GIB, "total": 100 * GIB}],
    "store": {"kind": "embedded", "url": "/data/store", "away_seconds": 0.0, "error": None, "bytes": 9, "tables": [{}]},
    "schema": {"number": 6, "drift": []},
    "ledger": {"day": COUNTS, "gaps": []},
    "incomplete_runs": {"runs": 0, "run_ids": []},
    "unpriced_models": [],
}


def levels(changes: dict[str, Any], **asked: Any) -> dict[str, Level]:
    """The checks that are not fine once the state is changed so; each has a way out."""
    state = deepcopy(WELL)
    for path, value in changes.items():
        *way, last = path.split(".")
        inner = state
        for step in way:
            inner = inner[step]
        inner[last] = value
    found = diagnose(state, **{"program": "1.0", "before": NOW, "after": NOW, **asked})
    assert all(each.todo for each in found if each.level is not Level.OK)
    return {each.check: each.level for each in found if each.level is not Level.OK}


def test_a_server_that_is_well_has_no_finding_but_fine_ones() -> None:
    assert levels({}) == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"reasons": ["the journal is full"]}, {"ready": Level.FAIL}),
        ({"store.error": "away", "schema": None, "ledger": None}, {"store": Level.FAIL}),
        ({"store.away_seconds": 9.0}, {"store": Level.FAIL}),
        ({"schema.drift": ["column spans.x is missing"]}, {"schema": Level.FAIL}),
        ({"audit.copies": "/mnt/elsewhere cannot be written"}, {"audit": Level.FAIL}),
        ({"audit.bad": ["acme"]}, {"audit": Level.FAIL}),
        ({"audit.late": ["acme"]}, {"audit": Level.FAIL}),
        ({"audit.tenants": 0, "audit.last_at": None, "audit.verifies": None}, {}),
        ({"journal.pending_seconds": 61.0}, {"journal": Level.FAIL}),
        ({"journal.bytes": GIB // 2 + 1}, {"journal": Level.WARN}),
        ({"dead_letters.letters": 2, "dead_letters.reasons": {"odd": 3}}, {"dead letters": Level.WARN}),
        ({"ledger.gaps": [{"minute": "2026-03-04T11:00:00Z", "missing": 5}]}, {"ledger": Level.FAIL}),
        ({"ledger.day": COUNTS | {"rejected": 2, "reasons": {"bad id": 2}}}, {"refusals": Level.WARN}),
        ({"incomplete_runs": {"runs": 1, "run_ids": ["r"]}}, {"runs": Level.WARN}),
        ({"unpriced_models": [{"model": "m", "runs": 3}]}, {"prices": Level.WARN}),
        (
            {"disks": [{"of": "data", "path": "/", "free": 9 * GIB, "total": 100 * GIB}]},
            {"disk of the data": Level.WARN},
        ),
        (
            {"disks": [{"of": "data", "path": "/", "free": 2 * GIB, "total": 100 * GIB}]},
            {"disk of the data": Level.FAIL},
        ),
        ({"disks": [{"of": "data", "path": "/", "free": 9, "total": 10}]}, {"disk of the data": Level.FAIL}),
        ({"refused_callers": {"no key": 9, "rate": 2, "role": 1}}, {}),
        ({"refused_callers": {"revoked": 3, "unknown": 2}}, {"keys": Level.WARN}),
        ({"versions.spanhouse": "0.9"}, {"versions": Level.WARN}),
    ],
)
def test_each_check_finds_what_it_looks_for(changes: dict[str, Any], expected: dict[str, Level]) -> None:
    assert levels(changes) == expected


def test_a_key_of_some_tenants_is_told_of_their_records_and_of_no_machine() -> None:
    machines = dict.fromkeys(("journal", "dead_letters", "disks", "store", "schema", "refused_callers", "audit"))
    state = {**deepcopy(WELL), **machines, "versions": {"spanhouse": "1.0", "engine": None, "python": None}}
    state["ledger"]["gaps"] = [{"minute": "2026-03-04T11:00:00Z", "missing": 5}]
    found = {each.check: each for each in diagnose(state, program="1.0", before=NOW, after=NOW)}
    assert set(found) == {"versions", "ready", "ledger", "runs", "prices", "clock"}
    assert found["versions"].said == "spanhouse 1.0"
    assert found["ledger"].level is Level.FAIL


def test_only_what_the_answers_time_cannot_explain_is_skew() -> None:
    """The server's clock was read somewhere between question and answer."""
    slow = {"before": NOW - timedelta(seconds=20), "after": NOW + timedelta(seconds=20)}
    assert levels({}, **slow) == {}
    late = {"before": NOW + timedelta(seconds=6), "after": NOW + timedelta(seconds=7)}
    assert levels({}, **late) == {"clock": Level.WARN}
    early = {"before": NOW - timedelta(hours=2), "after": NOW - timedelta(hours=1)}
    assert levels({}, **early) == {"clock": Level.FAIL}


def test_a_server_that_does_not_answer_is_one_failure_with_the_way_out() -> None:
    [only] = unreachable("http://x", "no connection")
    assert only.level is Level.FAIL
    assert "http://x" in only.todo


@pytest.mark.parametrize(
    ("count", "text"), [(None, "—"), (9, "9 B"), (1536, "1.5 KiB"), (3 * GIB, "3.0 GiB"), (5000 * GIB, "4.9 TiB")]
)
def test_sizes_are_written_for_people(count: int | None, text: str) -> None:
    assert size(count) == text
