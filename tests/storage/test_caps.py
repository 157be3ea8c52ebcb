"""The embedded engine is a guest: small machines survive it, and it writes no logs of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanhouse_storage import open_store
from spanhouse_storage.embedded import memory_options

GIB = 1 << 30


@pytest.mark.parametrize("physical", [2 * GIB, 4 * GIB, 16 * GIB, 256 * GIB])
def test_memory_is_capped_well_below_the_machines(physical: int) -> None:
    caps = memory_options(physical)
    assert GIB <= caps["max_server_memory_usage"] <= min(physical // 2, 8 * GIB)
    assert caps["max_memory_usage"] <= caps["max_server_memory_usage"] // 2


def test_the_engine_keeps_no_logs_of_its_own(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    found = store.query("SELECT name FROM system.tables WHERE database = 'system' AND engine LIKE '%MergeTree'")
    store.close()
    assert found.num_rows == 0
