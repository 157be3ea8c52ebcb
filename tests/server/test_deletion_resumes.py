"""A deletion that a crash interrupts is done at the next start."""

from __future__ import annotations

from pathlib import Path

from tests.support.deletable import ADA, ask, body, finished, send, spans
from tests.support.served import serving

from spanhouse_server.deletions import table
from spanhouse_storage.erasure import TABLES


def test_what_a_crash_interrupted_is_done_after_the_next_start(tmp_path: Path) -> None:
    """The keys are written down before the first row goes, so the rest of a trace is found without it."""
    data = tmp_path / "data"
    with serving(data) as served:
        send(served, body(1, ADA), body(2, "bob"))
        served.parts.leadership.stop()
        begun = ask(served, user=ADA, dry_run=False).json()["deletion"]
        request = table.get(served.parts.state, begun["id"])
        found = served.parts.erasing._find(request)
        assert (found.state, len(found.keys.traces)) == ("deleting", 1)
        inner = served.parts.erasing._store
        inner.execute("ALTER TABLE spans DELETE WHERE user_id != '' AND trace_id LIKE '%1' SETTINGS mutations_sync = 2")
        for name in TABLES:
            inner.execute(f"ALTER TABLE {name} MODIFY SETTING old_parts_lifetime = 0")
    with serving(data) as served:
        done = finished(served, begun["id"])
        assert done["receipt"]["before"]["spans"] == 2
        assert spans(served) == ["2"]
        assert served.parts.store.query("SELECT 1 FROM runs FINAL").num_rows == 1
