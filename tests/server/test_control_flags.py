"""Control flags: set, lifted, expired; polls wake when the flags in force change."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from spanhouse_server.control import flags
from spanhouse_server.control.board import Board
from spanhouse_server.control.flags import Action, Scope
from spanhouse_storage.state import open_state

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    """An empty state database."""
    opened = open_state(tmp_path / "state.db")
    yield opened
    opened.dispose()


def _decision(action: Action, target: str, ttl: float | None = None) -> dict[str, Any]:
    return {
        "action": action,
        "scope": Scope.TOOL,
        "target": target,
        "tenant": "",
        "reason": "why",
        "by": "me",
        "ttl_seconds": ttl,
    }


def test_a_flag_holds_until_it_expires(engine: Engine) -> None:
    """In force before its time is over, gone after, with who and why."""
    flags.add(engine, now=NOW, **_decision(Action.DISABLE, "http.get", ttl=60))
    (held,) = flags.active(engine, NOW + timedelta(seconds=59))
    assert (held.action, held.target, held.by, held.reason) == ("disable", "http.get", "me", "why")
    assert held.as_json()["expires_at"] == "2026-01-01T00:01:00.000Z"
    assert flags.active(engine, NOW + timedelta(seconds=61)) == []


def test_enable_lifts_what_names_the_same_target_only(engine: Engine) -> None:
    """The neighbour's flag stays, and numbers are never used again."""
    first = flags.add(engine, now=NOW, **_decision(Action.DISABLE, "a"))
    flags.add(engine, now=NOW, **_decision(Action.DISABLE, "b"))
    lifted = flags.add(engine, now=NOW, **_decision(Action.ENABLE, "a"))
    assert [f.target for f in flags.active(engine, NOW)] == ["b"]
    again = flags.add(engine, now=NOW, **_decision(Action.DISABLE, "a"))
    assert first.id < lifted.id < again.id


def test_flags_survive_a_restart(tmp_path: Path) -> None:
    """What an operator said holds when the server comes back."""
    engine = open_state(tmp_path / "state.db")
    flags.add(engine, now=NOW, **_decision(Action.STOP, "x"))
    engine.dispose()
    engine = open_state(tmp_path / "state.db")
    assert [f.target for f in flags.active(engine, NOW)] == ["x"]
    engine.dispose()


def test_a_poll_waits_for_a_change_and_wakes_with_it(engine: Engine) -> None:
    """None without a change; the new flags as soon as there is one; at once for who has an old tag."""

    async def scenario() -> None:
        board = Board(engine, lambda: NOW)
        first = await board.poll(None, 0)
        assert first is not None
        tag, in_force = first
        assert in_force == []
        assert await board.poll(tag, 0.05) is None
        waiting = asyncio.create_task(board.poll(tag, 30))
        await asyncio.sleep(0.05)
        await board.set(**_decision(Action.STOP, "r"))
        woken = await asyncio.wait_for(waiting, 5)
        assert woken is not None
        assert [f.target for f in woken[1]] == ["r"]
        assert woken[0] != tag

    asyncio.run(scenario())
