"""Operators at work in a real Chromium against the real process: answers, flags, and nothing for who is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect
from tests.support.browser import launched, playwright, settled
from tests.support.process import ServerProcess
from tests.support.served import Served
from tests.support.served_runs import fill, ids

from spanhouse.canonical import args_hash
from spanhouse.client import Client
from spanhouse_server import token

__all__ = ["playwright"]

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=\"document.title='owned'\"> **bold** [link](javascript:alert(1))"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A real server with pages."""
    with ServerProcess(tmp_path_factory.mktemp("operators") / "data", ui=True, grpc="") as running:
        yield running


@pytest.fixture
def visit(
    server: ServerProcess, playwright: Playwright, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Page]]:
    """Open a page in a browser of its own, as an operator or as nobody."""
    browsers: list[BrowserContext] = []

    def opened(path: str, *, operator: bool) -> Page:
        browsers.append(launched(playwright, tmp_path_factory.mktemp("profile")))
        page = browsers[-1].new_page()
        if operator:
            page.goto(f"{server.url}/ui-login?token={token.read(server.data)}")
        page.goto(f"{server.url}/ui/{path}")
        settled(page)
        return page

    yield opened
    for browser in browsers:
        browser.close()


def ask(server: ServerProcess, **more: Any) -> dict[str, Any]:
    """Ask as an agent, which shows no token."""
    arguments = more.pop("arguments", {"to": "bob", "amount": 500})
    call = {"run_id": "r1", "tool": "pay", "arguments": arguments, "args_hash": args_hash(arguments)}
    with Client(server.url, token="") as agent:
        return agent.ask_approval(**{**call, "agent": "support", "expires_in": 120, **more})


def state(server: ServerProcess, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what became of a question."""
    with Client(server.url, token="") as agent:
        return agent.approval(asked["id"], wait=20)


def signed(page: Page, button: str, *, reason: str = "") -> None:
    """Sign the open dialog and send it."""
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Your name").fill("ann")
    dialog.get_by_label("Your name").press("Tab")
    dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_label("Reason").press("Tab")
    dialog.get_by_role("button", name=button, exact=True).click()


def test_an_operator_approves_what_they_see(server: ServerProcess, visit: Callable[..., Page]) -> None:
    """It comes up by itself, is confirmed with a name, and the agent hears of it; markup of an agent is text."""
    page = visit("approvals", operator=True)
    expect(page.get_by_text("No agent waits for an answer.")).to_be_visible()
    asked = ask(server, arguments={"note": HOSTILE}, why=HOSTILE)
    expect(page.get_by_text("onerror").first).to_be_visible()
    assert page.title() != "owned"
    assert page.locator("img[src='x']").count() == 0
    page.get_by_role("button", name="Approve", exact=True).click()
    signed(page, "Approve", reason="known")
    found = state(server, asked)
    assert (found["state"], found["by"], found["reason"]) == ("approved", "ann", "known")


def test_an_operator_edits_and_another_call_is_denied(server: ServerProcess, visit: Callable[..., Page]) -> None:
    """With other arguments, which must be an object; and with a reason for the agent."""
    asked = ask(server)
    page = visit("approvals", operator=True)
    page.get_by_role("button", name="Edit and approve").click()
    box = page.get_by_role("dialog").get_by_label("Arguments (JSON object)")
    box.fill('{"to": "bob", "amount": 5}')
    box.press("Tab")
    signed(page, "Approve these")
    assert state(server, asked)["answer_arguments"] == {"to": "bob", "amount": 5}
    again = ask(server)
    page = visit("approvals", operator=True)
    page.get_by_role("button", name="Deny").first.click()
    signed(page, "Deny", reason="wrong customer")
    found = state(server, again)
    assert (found["state"], found["reason"]) == ("denied", "wrong customer")


def test_who_is_no_operator_sees_and_answers_nothing(server: ServerProcess, visit: Callable[..., Page]) -> None:
    """On loopback the pages are open to all, approvals are not: what waits is not shown, a flag is not set."""
    asked = ask(server, arguments={"secret plan": "x"})
    page = visit("approvals", operator=False)
    expect(page.get_by_text("This is for operators")).to_be_visible()
    assert "secret plan" not in page.content()
    page.goto(f"{server.url}/ui/control")
    settled(page)
    page.get_by_label("Target", exact=True).fill("support")
    page.get_by_label("Target", exact=True).press("Tab")
    page.get_by_role("button", name="Set", exact=True).click()
    signed(page, "Yes")
    expect(page.get_by_text("This is for operators")).to_be_visible()
    assert server.get("/api/v1/control")["flags"] == []
    with Client(server.url, token="") as agent:
        assert agent.withdraw_approval(asked["id"])["state"] == "withdrawn"


def test_an_operator_stops_an_agent_and_lifts_it(server: ServerProcess, visit: Callable[..., Page]) -> None:
    """Confirmed, with name and reason; the flag is shown and lifted again."""
    page = visit("control", operator=True)
    expect(page.get_by_text("No flag is in force")).to_be_visible()
    page.get_by_label("Target", exact=True).fill("r-77")
    page.get_by_label("Target", exact=True).press("Tab")
    page.get_by_role("button", name="Set", exact=True).click()
    signed(page, "Yes", reason="runaway")
    expect(page.get_by_role("button", name="Lift")).to_be_visible()
    (flag,) = server.get("/api/v1/control")["flags"]
    assert (flag["action"], flag["target"], flag["by"], flag["reason"]) == ("stop", "r-77", "ann", "runaway")
    page.get_by_role("button", name="Lift").click()
    signed(page, "Yes")
    expect(page.get_by_text("No flag is in force")).to_be_visible()
    assert server.get("/api/v1/control")["flags"] == []


def test_a_visitor_says_what_a_run_was_worth(server: ServerProcess, visit: Callable[..., Page]) -> None:
    """A thumb on the run's page is a score of the run."""
    with Client(server.url, token=token.read(server.data)) as client:
        fill(cast("Served", SimpleNamespace(client=client, drain=server.drain)))
    page = visit(f"run?run_id={ids('refund')[0]}", operator=True)
    page.get_by_role("button", name="Feedback").click()
    page.get_by_role("button", name="Bad").click()
    expect(page.get_by_text("Noted;")).to_be_visible()
    server.drain()
    (score,) = server.get("/api/v1/scores", run_id=ids("refund")[0], name="user_feedback")["scores"]
    assert (score["value"], score["label"]) == (0.0, "down")
