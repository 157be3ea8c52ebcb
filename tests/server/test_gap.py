"""Records nobody accounts for are named by the doctor, in JSON too, and on the System page, with their minute."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner, Result
from tests.dashboards.test_pages import opened, shown
from tests.support.export_requests import traces
from tests.support.served import Served, serving

from spanhouse_collector.ledger import Rejected, of_rejected, row
from spanhouse_dashboards import settings
from spanhouse_server.cli.commands import cli

MISSING = 7


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("gap") / "data") as running:
        headers = {"content-type": "application/x-protobuf"}
        running.http.post("/v1/traces", content=traces(1, 2).SerializeToString(), headers=headers)
        running.drain()
        yield running


def doctor(served: Served, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["doctor", *arguments, "--url", served.url])


def test_a_gap_is_named_by_the_doctor_and_on_the_system_page(served: Served) -> None:
    before = {each["check"]: each for each in json.loads(doctor(served, "--json").output)["findings"]}
    assert before["ledger"]["level"] == "ok"
    at = time.time_ns() // 1000 - 120_000_000
    lost = Rejected("acme", "traces", "billing", "", at, MISSING, explained=False)
    served.parts.store.insert("ledger", row(of_rejected([lost]), "seeded", at), "seeded")
    minute = datetime.fromtimestamp(at // 60_000_000 * 60, UTC)

    ended = doctor(served, "--json")
    assert ended.exit_code == 1
    found = {each["check"]: each for each in json.loads(ended.output)["findings"]}
    assert found["ledger"]["level"] == "fail"
    assert f"{MISSING} records of {minute:%Y-%m-%dT%H:%M}" in found["ledger"]["said"]
    assert found["ledger"]["todo"]
    assert {name for name in found if found[name]["level"] != before[name]["level"]} == {"ledger"}
    assert doctor(served).exit_code == 1

    settings.configure(served.url)
    try:
        page = opened("system", since="1h")
    finally:
        settings.configure(None)
    said = [error.value for error in page.error]
    assert len(said) == 1
    assert f"{MISSING} records received in the minute of {minute:%Y-%m-%d %H:%M}" in said[0]
    assert "every record of the last day is accounted for" not in shown(page)
