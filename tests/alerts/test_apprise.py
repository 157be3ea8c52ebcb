from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from apprise import Apprise

from spanhouse_alerts.notify import apprise_
from spanhouse_alerts.notify.errors import DeliveryError
from spanhouse_alerts.rules import Receiver

if TYPE_CHECKING:
    from tests.alerts.conftest import Far

NOTICE: dict[str, Any] = {
    "transition": "firing",
    "severity": "page",
    "rule": "tool-errors",
    "summary": "tool_error_rate of tool=search over the last 30m is 42 % (21 of 50); fires above 15 %",
    "rule_text": "page when ...",
    "annotations": {"description": "see the runbook", "runbook": ""},
    "runs": [{"run_id": "r1", "link": "http://host/ui/run?run_id=r1"}],
    "link": "http://host/ui/alerts",
    "incident": "abc",
}


def receiver(far: Far, query: str = "") -> Receiver:
    """Return a receiver whose apprise URL posts JSON to the far end."""
    return Receiver(apprise=f"json://127.0.0.1:{far.port}/notify{query}")


def test_a_notice_arrives_as_title_and_text(far: Far) -> None:
    """The service gets severity, rule, summary, evidence and links."""
    apprise_.post(receiver(far), "0123456789abcdef", NOTICE)
    body = json.loads(far.received[0].body)
    assert (body["title"], body["type"]) == ("[PAGE] tool-errors", "failure")
    for part in ("42 % (21 of 50)", "see the runbook", "r1: http://host/ui/run?run_id=r1", "Notice 0123456789ab"):
        assert part in body["message"]


@pytest.mark.parametrize(
    ("over", "kind"), [({"severity": "warn"}, "warning"), ({"transition": "resolved"}, "success"), ({}, "failure")]
)
def test_the_service_is_told_how_bad_it_is(far: Far, over: dict[str, str], kind: str) -> None:
    """Warnings, pages and ends are different types to the service."""
    apprise_.post(receiver(far), "k", {**NOTICE, **over})
    assert json.loads(far.received[0].body)["type"] == kind


@pytest.mark.parametrize("query", ["", "?redirect=yes"])
def test_redirects_are_never_followed(far: Far, query: str) -> None:
    """Not even where the URL asks for it."""
    far.answers(302, Location=far.url + "/elsewhere")
    with pytest.raises(DeliveryError):
        apprise_.post(receiver(far, query), "k", NOTICE)
    assert len(far.received) == 1


def test_a_failure_says_what_the_service_said(far: Far) -> None:
    """The reason apprise logs is the reason we show."""
    far.answers(503)
    with pytest.raises(DeliveryError, match="503") as failed:
        apprise_.post(receiver(far), "k", NOTICE)
    assert not failed.value.permanent


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nope://nothing", "not one apprise knows"),
        ("json://10.0.0.1/", "private address"),
        ("json://169.254.169.254/", "never sent to"),
        ("env:NOT_SET_ANYWHERE", "NOT_SET_ANYWHERE"),
    ],
)
def test_unusable_targets_are_refused(url: str, why: str) -> None:
    """Unknown services and addresses inside are refused before anything is sent."""
    with pytest.raises(DeliveryError, match=why):
        apprise_.post(Receiver(apprise=url), "k", NOTICE)


def test_a_url_may_come_from_the_environment(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    """`env:NAME` keeps tokens out of the rules file."""
    monkeypatch.setenv("OPS_URL", f"json://127.0.0.1:{far.port}/")
    apprise_.post(Receiver(apprise="env:OPS_URL"), "k", NOTICE)
    assert len(far.received) == 1


def test_text_of_agents_cannot_mention_people_or_break_out() -> None:
    """A label a model chose must not call a channel, hide control characters or fill the page."""
    evil = {**NOTICE, "rule": "x", "summary": "<!channel> @everyone \x1b[2J\u202e" + "a" * 5_000}
    title, body = apprise_.text(evil, "k")
    assert not any(bad in body for bad in ("<!", "@everyone", "\x1b", "\u202e"))
    assert len(body) <= apprise_.MAX_BODY
    assert title == "[PAGE] x"


def test_tokens_of_services_are_not_looked_up_as_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first part of a Slack URL is a secret: asking the name server for it would give it away."""
    looked_up: list[str] = []
    monkeypatch.setattr(apprise_, "permitted", lambda host, *_a, **_k: looked_up.append(host))
    monkeypatch.setattr(Apprise, "notify", lambda *_a, **_k: True)
    apprise_.post(Receiver(apprise="slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"), "k", NOTICE)
    apprise_.post(Receiver(apprise="ntfy://ntfy.example/topic"), "k", NOTICE)
    assert looked_up == ["ntfy.example"]
