"""SQL where the store is a ClickHouse server: whoever may read may ask, and sees the tenants of their key alone."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.support.clickhouse_http import ClickHouseHttp
from tests.support.rows import rows, run
from tests.support.served import Served, problem, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("server-store")
    with (
        ClickHouseHttp(directory / "engine") as engine,
        serving(directory / "data", store=engine.url()) as running,
    ):
        made = [run(f"r{number}", tenant=tenant) for number, tenant in enumerate(["acme", "acme", "beta", "gamma"])]
        running.parts.store.insert("runs", rows("runs", *made), "runs")
        yield running


def asked(served: Served, token: str, sql: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.post(f"{served.url}/api/v1/sql", json={"sql": sql}, headers=headers, timeout=60)


def test_a_key_sees_its_own_tenants_and_nothing_of_others(served: Served) -> None:
    """A reading key may ask here, tables without a tenant are empty to it, and once there is a key one is needed."""
    assert asked(served, "", "SELECT count() FROM runs").json()["rows"] == [[4]]
    answer = httpx.post(
        f"{served.url}/api/v1/keys",
        json={"role": "read", "tenants": ["acme"]},
        headers={"authorization": f"Bearer {served.parts.operator_token}"},
    )
    key = answer.json()["secret"]
    assert asked(served, key, "SELECT tenant, count() FROM runs GROUP BY tenant").json()["rows"] == [["acme", 2]]
    crossed = "SELECT DISTINCT b.tenant FROM runs AS a CROSS JOIN (SELECT * FROM spanhouse.runs) AS b"
    assert asked(served, key, crossed).json()["rows"] == [["acme"]]
    assert asked(served, key, "SELECT count() FROM ledger").json()["rows"] == [[0]]
    assert "SETTINGS" in problem(asked(served, key, "SELECT 1 SETTINGS additional_table_filters = {}"), 400)["detail"]
    problem(asked(served, "", "SELECT count() FROM runs"), 401)
    problem(asked(served, "shk_wrong_wrong", "SELECT count() FROM runs"), 401)
    everything = asked(served, served.parts.operator_token, "SELECT uniq(tenant) FROM runs")
    assert everything.json()["rows"] == [[3]]
