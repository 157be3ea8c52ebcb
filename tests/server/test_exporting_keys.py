"""Who may export what, and who may take a backup, on a server that asks for keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.served import Served, serving
from tests.support.served_runs import fill

from spanhouse import Client, ServerError


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with runs of several tenants."""
    with serving(tmp_path_factory.mktemp("guarded") / "data") as running:
        fill(running)
        yield running


def _keyed(served: Served, tenant: str, role: str) -> Client:
    with served.client as operator:
        return Client(served.url, token=operator.create_key([tenant], role)["secret"])


@pytest.mark.parametrize("kind", ["runs", "spans", "steps", "audit"])
def test_a_key_exports_its_own_tenant_alone(guarded: Served, kind: str) -> None:
    """Rows, the expected count and frames alike; another tenant's name is refused."""
    with guarded.client as operator, operator.export(kind) as export:
        tenants = [tenant for batch in export for tenant in batch.rows.column("tenant").to_pylist()]
    assert len(set(tenants)) > 1
    with _keyed(guarded, "acme", "read") as client:
        with client.export(kind) as export:
            mine = [tenant for batch in export for tenant in batch.rows.column("tenant").to_pylist()]
        assert (set(mine), len(mine)) == ({"acme"}, tenants.count("acme"))
        assert export.said["expected"] == len(mine)
        with pytest.raises(ServerError, match="not for this tenant"):
            client.export(kind, tenant="globex")


def test_a_backup_is_for_whoever_may_do_everything(guarded: Served, tmp_path: Path) -> None:
    """It holds the operator's token: neither a key to operate nor an admin of one tenant may take it."""
    with Client(guarded.url, token="") as nobody, pytest.raises(ServerError) as refused:
        nobody.backup()
    assert refused.value.status == 401
    for tenant, role in (("*", "operate"), ("acme", "admin"), ("*", "read")):
        with _keyed(guarded, tenant, role) as client, pytest.raises(ServerError) as refused:
            client.backup()
        assert refused.value.status == 403, (tenant, role)
    for client in (_keyed(guarded, "*", "admin"), guarded.client):
        with client:
            answer = client.backup()
            with pytest.raises(ServerError, match="backup is being made already"):
                client.backup()
            assert answer.raw.read(262)[257:262] == b"ustar"
            answer.raw.read()
            answer.close()
