"""Control flags over a restart of the agent: kept with their age, and never more trusted than what was heard."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from spanhouse import Client, ControlPoller, ServerError
from spanhouse.flag_cache import default_path

STOP_ALL = {"action": "stop", "scope": "all"}


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Source:
    """Says the flags it was made with; None: it is away."""

    def __init__(self, flags: list[dict[str, Any]] | None) -> None:
        self.flags = flags
        self.asked: list[tuple[str | None, float | None]] = []

    def control(self, since: str | None = None, wait: float | None = None) -> dict[str, Any] | None:
        """Answer as made."""
        self.asked.append((since, wait))
        if self.flags is None:
            msg = "away"
            raise ServerError(msg)
        return {"etag": "e1", "flags": self.flags}


def poller(source: Source, path: Path, now: float) -> ControlPoller:
    """Return a poller of a process that starts at a time of its own clocks."""
    return ControlPoller(source, cache=path, now=Clock(now), monotonic=Clock(7.0))


def test_an_agent_that_starts_while_the_server_is_silent_has_the_last_flags_and_their_age(tmp_path: Path) -> None:
    """Ten seconds lie between the last news and the new process: its flags hold, and are ten seconds old."""
    path = tmp_path / "cache" / "flags.json"
    first = poller(Source([STOP_ALL]), path, 1_000.0)
    first.poll_once()
    assert first.age() == 0
    again = poller(Source(None), path, 1_010.0)
    assert again.age() == 10.0
    found = again.matching(run_id="r1")
    assert found is not None
    assert found.action == "stop"
    with pytest.raises(ServerError):
        again.poll_once()
    assert again.age() == 10.0


def test_the_first_question_asks_for_all_flags_whatever_was_kept(tmp_path: Path) -> None:
    """What is kept is no tag: flags that were lifted meanwhile are lifted with the first answer."""
    path = tmp_path / "flags.json"
    poller(Source([STOP_ALL]), path, 1_000.0).poll_once()
    source = Source([])
    again = poller(source, path, 1_001.0)
    again.poll_once()
    assert source.asked == [(None, None)]
    assert again.matching() is None
    assert poller(Source(None), path, 1_002.0).matching() is None


def test_the_file_is_open_to_its_owner_alone(tmp_path: Path) -> None:
    """Flags name tenants and runs."""
    path = tmp_path / "cache" / "flags.json"
    poller(Source([STOP_ALL]), path, 1_000.0).poll_once()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["flags.json"]


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 1}',
        b'{"version": 2, "heard_at": 999, "flags": []}',
        b'{"version": 1, "heard_at": "soon", "flags": []}',
        b'{"version": 1, "heard_at": NaN, "flags": []}',
        b'{"version": 1, "heard_at": 2000, "flags": []}',
        b'{"version": 1, "heard_at": 999, "flags": [{"action": "stop"}]}',
        b'{"version": 1, "heard_at": 999, "flags": ["stop"]}',
    ],
)
def test_what_is_damaged_or_from_the_future_is_no_news(tmp_path: Path, kept: bytes) -> None:
    """The agent knows nothing then, and says so: its news is infinitely old."""
    path = tmp_path / "flags.json"
    path.write_bytes(kept)
    found = poller(Source(None), path, 1_000.0)
    assert found.age() == float("inf")
    assert found.flags == ()


def test_a_cache_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    """The flags hold all the same."""
    (tmp_path / "file").write_text("")
    found = poller(Source([STOP_ALL]), tmp_path / "file" / "flags.json", 1_000.0)
    found.poll_once()
    assert found.matching() is not None


def test_flags_are_kept_for_each_server_and_key_apart(tmp_path: Path) -> None:
    """What one key hears another may not; the name does not tell the token; an empty setting is none."""
    environ = {"SPANHOUSE_CONTROL_CACHE": str(tmp_path)}
    urls = ("http://127.0.0.1:1", "http://127.0.0.1:2")
    found = {default_path(Client(url, token), environ) for url in urls for token in ("", "shk_one", "shk_two")}
    assert len(found) == 6
    assert all(path is not None and path.parent == tmp_path and "shk" not in path.name for path in found)
    assert default_path(Client(urls[0], ""), {"SPANHOUSE_CONTROL_CACHE": ""}) is None
    assert default_path(Source([]), environ) is None
    kept = default_path(Client(urls[0], ""), {"XDG_CACHE_HOME": "/x"})
    assert kept == Path("/x/spanhouse") / f"control-{Client(urls[0], '').account}.json"


def test_news_is_written_anew_while_flags_stay_the_same(tmp_path: Path) -> None:
    """The age on disk follows the last answer, not the last change."""
    path, clock = tmp_path / "flags.json", Clock(1_000.0)
    found = ControlPoller(Source([]), cache=path, now=clock, monotonic=Clock(0.0))
    found.poll_once()
    clock.now += 5
    found.poll_once()
    assert json.loads(path.read_text())["heard_at"] == 1_005.0
