"""``/api/v1/control`` on a real server: operators decide, agents hear of it, and the audit trail says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.served import Served, problem, serving

from spanhouse import ControlPoller
from spanhouse.errors import ConfigurationError
from spanhouse_collector.journal import JournalUnavailableError
from spanhouse_server import token
from spanhouse_server.audit import outbox

PATH = "/api/v1/control"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An empty server; each test takes back the flags it sets."""
    with serving(tmp_path_factory.mktemp("control") / "data") as running:
        yield running


def _post(served: Served, /, **decision: Any) -> httpx.Response:
    return served.http.post(PATH, json=decision, headers={"Authorization": f"Bearer {served.parts.operator_token}"})


def _enable(served: Served, scope: str, target: str = "") -> None:
    assert _post(served, action="enable", scope=scope, target=target).status_code == 201


def test_a_decision_becomes_a_flag_and_an_audit_event(served: Served) -> None:
    """With who, why and until when; ``enable`` lifts it, and both stand in the trail."""
    said = {
        "action": "disable",
        "scope": "tool",
        "target": "http.get",
        "reason": "down",
        "by": "ann",
        "ttl_seconds": 60,
    }
    answer = _post(served, **said)
    assert answer.status_code == 201
    flag = answer.json()
    assert set(flag) == {
        *("id", "action", "scope", "target", "tenant", "reason", "by", "created_at", "expires_at"),
        *("limits", "tool", "arguments", "resources"),
    }
    assert {name: flag[name] for name in said if name in flag} == {k: v for k, v in said.items() if k in flag}
    assert flag["created_at"] < flag["expires_at"]
    assert served.get(PATH)["flags"] == [flag]
    _enable(served, "tool", "http.get")
    assert served.get(PATH)["flags"] == []
    served.drain()
    events = served.get("/api/v1/audit", name="override")["events"]
    assert [(event["stream"], event["data"]["action"], event["data"]["by"]) for event in events] == [
        ("control", "disable", "ann"),
        ("control", "enable", "operator"),
    ]


def test_a_stop_is_audited_as_a_kill(served: Served) -> None:
    """The event that a review of an incident looks for, under the tenant it was for."""
    assert _post(served, action="stop", scope="tenant", target="acme", tenant="acme").status_code == 201
    served.drain()
    (event,) = served.get("/api/v1/audit", name="kill", tenant="acme")["events"]
    assert event["data"]["scope"] == "tenant"
    assert _post(served, action="enable", scope="tenant", target="acme", tenant="acme").status_code == 201


@pytest.mark.parametrize("bearer", ["none", "wrong", "sho_", "ÿ"])
def test_only_who_has_the_token_may_decide(served: Served, bearer: str) -> None:
    """401 says where the token is and how it is sent; nothing is set."""
    headers = {b"authorization": b"Bearer " + bearer.encode("latin-1")}
    answer = served.http.post(PATH, json={"action": "stop", "scope": "all"}, headers=headers)
    document = problem(answer, 401)
    assert token.FILE_NAME in document["detail"]
    assert str(served.data) not in document["detail"]
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert served.get(PATH)["flags"] == []


def test_the_token_is_asked_for_before_the_decision_is_read(served: Served) -> None:
    """Who may not decide is not told what a decision looks like."""
    problem(served.http.post(PATH, json={"acton": "stop"}), 401)
    problem(
        served.http.post(PATH, json={"action": "stop", "scope": "all"}, headers={"Authorization": "Basic eDp5"}), 401
    )


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        ({"action": "stop", "scope": "run"}, "needs a target"),
        ({"action": "stop", "scope": "tool", "target": "  "}, "needs a target"),
        ({"action": "stop", "scope": "all", "target": "acme"}, "takes no target"),
        ({"action": "explode", "scope": "all"}, "'explode'"),
        ({"action": "stop", "scope": "world"}, "'world'"),
        ({"scope": "all"}, "action"),
        ({"action": "stop", "scope": "all", "tennant": "acme"}, "tennant"),
        ({"action": "stop", "scope": "all", "ttl_seconds": 0}, "ttl_seconds"),
        ({"action": "stop", "scope": "all", "ttl_seconds": 1e300}, "ttl_seconds"),
        ({"action": "stop", "scope": "all", "reason": "x" * 3000}, "reason"),
        ({"action": "tighten", "scope": "all"}, "limits"),
        ({"action": "tighten", "scope": "all", "limits": {}}, "limits are needed"),
        ({"action": "tighten", "scope": "all", "limits": {"max_euro": 1}}, "max_euro"),
        ({"action": "tighten", "scope": "all", "limits": {"max_usd": -1}}, "max_usd"),
        ({"action": "tighten", "scope": "all", "limits": {"max_steps": 1.5}}, "whole"),
        ({"action": "stop", "scope": "all", "limits": {"max_usd": 1}}, "limits"),
        ({"action": "raise", "scope": "tenant", "target": "acme", "limits": {"max_usd": 1}}, "one run"),
        ({"action": "edit_next", "scope": "run", "target": "r"}, "arguments"),
        ({"action": "pause", "scope": "run", "target": "r", "tool": "pay"}, "tool"),
    ],
    ids=lambda value: str(value)[-50:],
)
def test_a_decision_that_says_too_little_or_too_much_is_refused(
    served: Served, decision: dict[str, Any], said: str
) -> None:
    """400 names the field; nothing is set."""
    detail = problem(_post(served, **decision), 400)["detail"]
    assert said in detail
    assert len(detail) < 600
    assert served.get(PATH)["flags"] == []


def test_a_body_beyond_reason_is_not_read(served: Served) -> None:
    """413 before it is in memory, in the framework's words; and what is no JSON is a 400."""
    headers = {"Authorization": f"Bearer {served.parts.operator_token}", "Content-Type": "application/json"}
    huge = b'{"reason": "' + b"x" * 100_000 + b'"}'
    assert served.http.post(PATH, content=huge, headers=headers).status_code == 413
    problem(served.http.post(PATH, content=b"{", headers=headers), 400)


def test_a_poll_without_news_is_304(served: Served) -> None:
    """With the tag of the answer before; another tag is answered at once."""
    answer = served.http.get(PATH)
    tag = answer.json()["etag"]
    assert answer.headers["etag"] == f'"{tag}"'
    unchanged = served.http.get(PATH, params={"since": tag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert served.get(PATH, since="other", wait=30)["etag"] == tag
    served.refused(PATH, 400, wait=3600)


def test_waiting_polls_wake_with_a_decision(served: Served) -> None:
    """All of them, with the flag that was set."""
    tag = served.get(PATH)["etag"]
    heard: list[Any] = []

    def listen() -> None:
        with httpx.Client(base_url=served.url, timeout=60) as http:
            heard.append(http.get(PATH, params={"since": tag, "wait": 30}).json()["flags"])

    listeners = [threading.Thread(target=listen) for _ in range(5)]
    for listener in listeners:
        listener.start()
    _post(served, action="pause", scope="agent", target="a")
    for listener in listeners:
        listener.join(30)
    assert [[flag["target"] for flag in flags] for flags in heard] == [["a"]] * 5
    _enable(served, "agent", "a")


def test_a_flag_holds_though_the_journal_takes_nothing_and_its_event_comes_later(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event was written down with the flag, so the answer is the flag; it is sent once it can be."""

    async def full(*_: object) -> None:
        msg = "the journal is full"
        raise JournalUnavailableError(msg, retry_after=30)

    with monkeypatch.context() as patched:
        patched.setattr(served.parts.trail, "_submit", full)
        answer = _post(served, action="stop", scope="all", reason="while the journal is full")
        assert answer.status_code == 201
        assert [flag["scope"] for flag in served.get(PATH)["flags"]] == ["all"]
        assert [each.event for each in outbox.untold(served.parts.state)] == ["kill"]
    _enable(served, "all")
    assert outbox.untold(served.parts.state) == []
    served.drain()
    events = served.get("/api/v1/audit", name="kill", tenant="default")["events"]
    assert [each["data"]["reason"] for each in events if each["data"]["reason"]] == ["while the journal is full"]


def test_the_token_file_is_for_its_owner_alone_and_stays(tmp_path: Path) -> None:
    """Made once, mode 0600, nothing left beside it."""
    made = token.ensure(tmp_path)
    assert token.ensure(tmp_path) == token.read(tmp_path) == made
    assert (tmp_path / token.FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [token.FILE_NAME]


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_token_file_without_a_token_lets_nobody_in(tmp_path: Path, content: bytes) -> None:
    """A file cut short must not become the token that everybody knows."""
    (tmp_path / token.FILE_NAME).write_bytes(content)
    assert token.read(tmp_path) is None
    with pytest.raises(ConfigurationError, match="remove it"):
        token.ensure(tmp_path)
    assert not token.matches("", "")


def test_nan_is_no_limit_and_no_argument(served: Served) -> None:
    """JSON has no form for it: who sends one all the same is refused, and nothing is set."""
    headers = {"Authorization": f"Bearer {served.parts.operator_token}", "Content-Type": "application/json"}
    for body in (
        b'{"action": "tighten", "scope": "all", "limits": {"max_usd": NaN}}',
        b'{"action": "edit_next", "scope": "run", "target": "r", "arguments": {"amount": NaN}}',
    ):
        problem(served.http.post(PATH, content=body, headers=headers), 400)
    assert served.get(PATH)["flags"] == []


def test_limits_and_arguments_reach_the_agent_as_they_were_set(served: Served) -> None:
    """What a flag says beside whom it names comes with it; one about a next call ends by itself."""
    with served.client as client:
        client.set_control("tighten", "tenant", "acme", limits={"max_usd": 0.1, "max_steps": 3})
        client.set_control("edit_next", "run", "r1", tool="pay", arguments={"amount": 5})
        poller = ControlPoller(client)
        poller.poll_once()
    tighten, edit = poller.meant(run_id="r1", tenant="acme")
    assert tighten.limits == {"max_usd": 0.1, "max_steps": 3}
    assert (edit.tool, edit.arguments) == ("pay", {"amount": 5})
    assert edit.expires_at is not None
    _enable(served, "tenant", "acme")
    _enable(served, "run", "r1")
