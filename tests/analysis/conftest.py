from __future__ import annotations

from collections.abc import Iterator

import pytest

from spanhouse_storage import Store, migrate, open_store


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A migrated embedded store, opened once a module."""
    store = open_store(tmp_path_factory.mktemp("facts") / "store")
    migrate(store)
    yield store
    store.close()


@pytest.fixture
def store(opened: Store) -> Store:
    """The module's store with its tables emptied."""
    for table in ("spans", "audit_events", "runs", "steps"):
        opened.execute(f"TRUNCATE TABLE {table}")
    return opened
