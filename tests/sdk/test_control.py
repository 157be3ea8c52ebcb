"""Control flags as agents see them: who is meant, which flag counts, and how old the news is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.api_stub import ApiStub, Reply

from spanhouse import Client, ControlPoller, Flag, ServerError
from spanhouse.control import SEVERITY, Subject, strongest

RUN = Subject(run_id="r1", agent="support", tenant="acme", tools=("pay", "look"), user="u1")


def flag(action: str = "stop", scope: str = "all", target: str = "", **more: Any) -> Flag:
    """Return a flag."""
    return Flag("1", action, scope, target, **more)


@pytest.mark.parametrize(
    ("given_flag", "meant"),
    [
        (flag(scope="all"), True),
        (flag(scope="run", target="r1"), True),
        (flag(scope="run", target="r2"), False),
        (flag(scope="agent", target="support"), True),
        (flag(scope="agent", target="sales"), False),
        (flag(scope="tool", target="pay"), True),
        (flag(scope="tool", target="mail"), False),
        (flag(scope="user", target="u1"), True),
        (flag(scope="tenant", target="acme"), True),
        (flag(scope="tenant", target="other"), False),
        (flag(scope="all", tenant="acme"), True),
        (flag(scope="all", tenant="other"), False),
        (flag(scope="agent", target="support", tenant="other"), False),
        (flag(scope="galaxy", target="r1"), False),
        (flag(scope="user", target=""), False),
    ],
)
def test_a_flag_is_meant_for_whom_it_names(given_flag: Flag, *, meant: bool) -> None:
    """Scope and target name the subject; a tenant narrows any flag; an unknown scope means nobody."""
    assert RUN.matches(given_flag) is meant


def test_an_unknown_user_is_not_met_by_an_empty_target() -> None:
    """Empty means not known, on both sides; it must never be an accidental match."""
    assert not Subject().matches(flag(scope="user"))


@given(st.lists(st.builds(flag, st.sampled_from([*SEVERITY, "dance"]), created_at=st.floats(0, 100))))
def test_the_strongest_flag_counts(flags: list[Flag]) -> None:
    """A stop is never hidden behind a pause, in whatever order they came; an unknown action comes last."""
    found = strongest(flags, RUN, now=0)
    if not flags:
        assert found is None
        return
    assert found is not None
    order = [*SEVERITY, "dance"]
    assert order.index(found.action) == min(order.index(one.action) for one in flags)
    equal = [one.created_at or 0 for one in flags if one.action == found.action]
    assert found.created_at == max(equal)


def test_a_flag_ends_when_it_expires() -> None:
    """Expiry is judged by the agent's clock too, so that a flag ends while the server is away."""
    short = flag(expires_at=100.0)
    assert strongest([short], RUN, now=99.9) is short
    assert strongest([short], RUN, now=100.0) is None


def test_the_api_form_is_parsed() -> None:
    """Times are RFC 3339, null is not set, ids may be numbers."""
    parsed = Flag.parse(
        {
            "id": 7,
            "action": "disable",
            "scope": "tool",
            "target": "pay",
            "tenant": None,
            "reason": "bug",
            "by": "ann",
            "created_at": "1970-01-01T00:01:00Z",
            "expires_at": None,
        }
    )
    assert parsed == Flag("7", "disable", "tool", "pay", "", "bug", "ann", 60.0, None)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Source:
    """Answers as scripted: a dict, None for no news, or an error."""

    def __init__(self, *answers: dict[str, Any] | ServerError | None) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str | None, float | None]] = []

    def control(self, since: str | None = None, wait: float | None = None) -> dict[str, Any] | None:
        """Give the next answer."""
        self.asked.append((since, wait))
        answer = self.answers.pop(0)
        if isinstance(answer, ServerError):
            raise answer
        return answer


STOP_ALL = {"action": "stop", "scope": "all"}


def test_flags_are_learnt_kept_and_lifted() -> None:
    """The first question does not wait; later ones carry the tag; no news keeps the flags; news replaces them."""
    source = Source({"etag": "e1", "flags": [STOP_ALL]}, None, {"etag": "e2", "flags": []})
    poller = ControlPoller(source, wait=5)
    assert poller.matching(run_id="r1") is None
    poller.poll_once()
    found = poller.matching(run_id="r1")
    assert found is not None
    assert found.action == "stop"
    poller.poll_once()
    assert poller.flags == (found,)
    poller.poll_once()
    assert poller.matching(run_id="r1") is None
    assert source.asked == [(None, None), ("e1", 5), ("e1", 5)]


def test_news_grows_old_while_the_server_is_away() -> None:
    """Flags stay; age tells the runtime when to stop trusting them; silence is not news, an unchanged answer is."""
    clock = Clock()
    source = Source({"etag": "e1", "flags": [STOP_ALL]}, ServerError("away"), None)
    poller = ControlPoller(source, monotonic=clock)
    assert poller.age() == float("inf")
    poller.poll_once()
    clock.now += 30
    with pytest.raises(ServerError):
        poller.poll_once()
    assert poller.age() == 30
    assert poller.matching() is not None
    poller.poll_once()
    assert poller.age() == 0


def test_expiry_is_judged_when_asked() -> None:
    """No answer of the server is needed for a flag to end."""
    clock = Clock()
    source = Source({"etag": "e1", "flags": [{**STOP_ALL, "expires_at": "1970-01-01T00:16:50Z"}]})
    poller = ControlPoller(source, now=clock)
    poller.poll_once()
    assert poller.matching() is not None
    clock.now = 1010.0
    assert poller.matching() is None


@pytest.fixture
def stub() -> Iterator[ApiStub]:
    """A running server to script."""
    with ApiStub() as running:
        yield running


def test_the_background_thread_hears_a_change(stub: ApiStub) -> None:
    """Over real HTTP: errors and nonsense are lived through, and the flag set at last is seen."""
    seen = threading.Event()
    stub.reply(
        "/api/v1/control",
        Reply(503),
        {"etag": "e0"},
        {"etag": "e1", "flags": []},
        Reply(304),
        {"etag": "e2", "flags": [{"action": "pause", "scope": "agent", "target": "support"}]},
        Reply(304),
    )

    class Watched(ControlPoller):
        def poll_once(self) -> None:
            super().poll_once()
            if self.matching(agent="support") is not None:
                seen.set()
                self.stop()

    with Client(stub.url) as client, Watched(client, retry=0.001) as poller:
        poller.start()
        assert poller.wait_for_first(30)
        assert seen.wait(30)
        found = poller.matching(agent="support")
        assert found is not None
        assert found.action == "pause"
        assert poller.matching(agent="sales") is None


def test_waiting_for_a_server_that_never_comes_ends() -> None:
    """An agent can insist on flags before its first step, and give up."""
    poller = ControlPoller(Source())
    assert not poller.wait_for_first(0)
