"""The pages of a key of one tenant, in a real Chromium against the real process: nothing of another tenant arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, WebSocket, expect
from tests.support.browser import playwright, settled, stranger, strangers
from tests.support.process import ServerProcess, run_cli
from tests.support.served import Served
from tests.support.served_runs import FILLERS, fill, ids

from spanhouse.client import Client
from spanhouse_server import token

__all__ = ["playwright"]

pytestmark = pytest.mark.browser

OWN, FOREIGN = ids("refund")[0], ids("denied")[0]
FOREIGN_RUNS = [FOREIGN, *(ids(f"filler-{number}")[0] for number in range(FILLERS))]
FOREIGN_WORDS = ("globex", "ops-agent", "filler-agent", "send_email", "drop_table", "req-denied")
PAGES = {
    "?since=all": "Overview",
    "runs?since=all": "Runs",
    "run": "Latest runs. Choose a cell to open one.",
    f"run?run_id={OWN}&view=waterfall": "req-refund",
    "triage?id=req-refund": "req-refund",
    "alerts": "Alerts",
    "system?since=24h": "Journal, store and disks are of all tenants at once",
}


@dataclass
class Visitor:
    """A browser logged in with one key, and everything the server ever sent it over the pages' stream."""

    url: str
    page: Page
    frames: list[bytes] = field(default_factory=list)

    def visit(self, path: str, says: str) -> str:
        """Open a page, wait for what it says, and return its text."""
        self.page.goto(f"{self.url}/ui/{path}")
        expect(self.page.get_by_text(says).first).to_be_visible()
        settled(self.page)
        expect(self.page.get_by_test_id("stException")).to_have_count(0)
        return self.page.content()

    def received(self, word: str) -> bool:
        """Whether a word came over the stream, seen by anybody or not."""
        return any(word.encode() in frame for frame in self.frames)


@dataclass(frozen=True)
class Keyed:
    server: ServerProcess
    keys: dict[str, str]


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    data = tmp_path_factory.mktemp("tenants") / "data"
    keys = {}
    for name, tenant in (("acme", "acme"), ("globex", "globex"), ("all", "*"), ("ended", "globex")):
        made = run_cli("keys", "create", "--tenant", tenant, "--role", "read", "--offline", "--data", str(data))
        keys[name] = made.stdout.strip()
    with ServerProcess(data, ui=True, grpc="") as server:
        with Client(server.url, token=token.read(data)) as client:
            fill(cast("Served", SimpleNamespace(client=client, drain=server.drain)))
        yield Keyed(server, keys)


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """One browser for all visitors, who share nothing in it."""
    found = strangers(playwright)
    yield found
    found.close()


@pytest.fixture
def login(keyed: Keyed, browser: Browser) -> Iterator[Callable[[str], Visitor]]:
    """Log a visitor in with a key, through the form."""
    visitors: list[BrowserContext] = []

    def visitor(key: str) -> Visitor:
        visitors.append(stranger(browser))
        made = Visitor(keyed.server.url, visitors[-1].new_page())

        def heard(stream: WebSocket) -> None:
            stream.on("framereceived", lambda frame: made.frames.append(frame if isinstance(frame, bytes) else b""))

        made.page.on("websocket", heard)
        made.page.goto(f"{keyed.server.url}/ui/")
        made.page.get_by_role("textbox").fill(keyed.keys[key])
        made.page.keyboard.press("Enter")
        made.page.wait_for_url("**/ui/")
        settled(made.page)
        return made

    yield visitor
    for each in visitors:
        each.close()


def test_no_page_of_a_tenant_shows_a_run_of_another(login: Callable[[str], Visitor]) -> None:
    """Not after somebody who may see all of it looked at the same pages a moment before, either."""
    everyone, acme = login("all"), login("acme")
    for path in ("?since=all", "runs?since=all", "run"):
        everyone.visit(path, PAGES[path])
    everyone.visit(f"run?run_id={FOREIGN}", "req-denied")
    for path, says in PAGES.items():
        shown = acme.visit(path, says)
        assert not [word for word in (*FOREIGN_RUNS, *FOREIGN_WORDS) if word in shown], path
    assert [word for word in (*FOREIGN_RUNS, *FOREIGN_WORDS) if acme.received(word)] == []
    assert acme.received(OWN)
    assert [word for word in (FOREIGN, "globex") if not everyone.received(word)] == []


def test_a_run_of_another_tenant_is_not_found_and_its_tenant_cannot_be_asked_for(
    login: Callable[[str], Visitor],
) -> None:
    acme = login("acme")
    acme.visit(f"run?run_id={FOREIGN}", "no run")
    acme.visit("triage?id=req-denied", "req-denied")
    acme.visit("runs?since=all&tenant=globex", "is for other tenants than")
    assert not acme.received("send_email")
    assert not acme.received("ops-agent")


def test_a_page_left_open_shows_nothing_new_once_its_key_is_revoked(
    login: Callable[[str], Visitor], keyed: Keyed
) -> None:
    visitor = login("ended")
    visitor.visit("system?since=1h", "Records")
    key_id = keyed.keys["ended"].split("_")[1]
    keyed.server.cli("keys", "revoke", key_id, "--data", str(keyed.server.data))
    # The stream that is open goes on; the page on it renews itself by asking again.
    expect(visitor.page.get_by_text("asks for a key").first).to_be_visible(timeout=30_000)
    visitor.page.goto(f"{keyed.server.url}/ui/runs")
    visitor.page.wait_for_url("**/ui-login")
