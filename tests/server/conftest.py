"""One real server a test file, filled with the runs of ``tests.support.served_runs``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.served import Served, serving
from tests.support.served_runs import fill


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with runs in it. Tests of one file share it: what one sets, it takes back."""
    with serving(tmp_path_factory.mktemp("served") / "data") as running:
        fill(running)
        yield running
