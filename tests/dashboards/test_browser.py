"""The pages in a real Chromium, light and dark, served as the server serves them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, Playwright, expect
from tests.support.browser import launched, playwright, settled

__all__ = ["playwright"]

pytestmark = pytest.mark.browser

PAGES = {
    "": "Overview",
    "runs?since=all": "Runs",
    "run?run_id={exhausted}": "run_sql kept failing until no attempt was left.",
    "run?run_id={denied}&view=waterfall": "audit events",
    "sessions?since=all": "Sessions",
    "sessions?session_id=sess-1": "All sessions",
    "triage?id=req-7f3a": "req-7f3a is a request id of 2 runs.",
    "alerts": "41 % of run_sql calls failed",
}
GROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 20, 27)"}


Contexts = Callable[[str], BrowserContext]


@pytest.fixture(scope="module")
def contexts(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contexts]:
    """Start a browser with a fresh profile for each colour scheme that is asked for, once."""
    started: dict[str, BrowserContext] = {}

    def context(scheme: str) -> BrowserContext:
        if scheme not in started:
            started[scheme] = launched(playwright, tmp_path_factory.mktemp("profile"), scheme)
        return started[scheme]

    yield context
    for found in started.values():
        found.close()


@pytest.fixture
def scheme() -> str:
    """The colour scheme of the page; tests that look at both give it as a parameter."""
    return "light"


@pytest.fixture
def page(contexts: Contexts, scheme: str) -> Iterator[Page]:
    """A fresh tab; after the test, nothing may have failed in it and nothing may have been asked of another host."""
    found = contexts(scheme).new_page()
    trouble: list[str] = []
    hosts: set[str] = set()
    found.on("console", lambda message: trouble.append(message.text) if is_failure(message) else None)
    found.on("pageerror", lambda error: trouble.append(str(error)))
    found.on("request", lambda request: hosts.add(request.url.split("/")[2].partition(":")[0]))
    yield found
    found.close()
    assert trouble == []
    assert hosts <= {"127.0.0.1", ""}


def is_failure(message: ConsoleMessage) -> bool:
    # On a deep link Streamlit looks for its server below the page's own path first; those probes end in 404.
    return message.type == "error" and "/_stcore/" not in message.location.get("url", "")


@pytest.fixture(scope="module")
def ids(ui: str) -> dict[str, str]:
    """Run ids of the sample by the stop code they are known for."""
    runs = httpx.get(f"{ui}/api/v1/runs", params={"limit": 1000}).json()["runs"]
    by_code = {(run["stop_reason"] or "running").partition(":")[0]: run["run_id"] for run in reversed(runs)}
    return {
        "exhausted": by_code["tool_error_exhausted"],
        "denied": by_code["policy_deny"],
        "hostile": by_code["error"],
        "big": by_code["max_steps"],
    }


def go(page: Page, ui: str, path: str) -> None:
    page.goto(f"{ui}/ui/{path}")
    settled(page)


def click_cell(page: Page, table: Locator, row: int) -> None:
    """Click into a row of a table; the grid is one canvas, so the place is all there is to aim at."""
    table.scroll_into_view_if_needed()
    box = table.locator("canvas").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 60, box["y"] + 35 * (row + 1) + 17)


@pytest.mark.parametrize("scheme", list(GROUNDS))
@pytest.mark.parametrize("path", list(PAGES))
def test_every_page_shows_its_content_in_its_theme_without_an_error(
    page: Page, ui: str, ids: dict[str, str], path: str, scheme: str
) -> None:
    go(page, ui, path.format(**ids))
    expect(page.get_by_text(PAGES[path], exact=False).first).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)
    ground = page.get_by_test_id("stApp").evaluate("node => getComputedStyle(node).backgroundColor")
    assert ground == GROUNDS[scheme]


def test_a_card_leads_to_its_runs_with_the_filters_of_the_overview(page: Page, ui: str) -> None:
    go(page, ui, "?since=7d&agent=refund-agent")
    page.get_by_role("link", name="Runs by cost").click()
    page.wait_for_url("**/ui/runs?since=7d&agent=refund-agent&sort=-cost_usd")
    settled(page)
    expect(page.get_by_role("combobox", name="Sort")).to_have_value("Most expensive")
    expect(page.get_by_role("combobox", name="Agent")).to_have_value("refund-agent")
    page.go_back()
    settled(page)
    expect(page).to_have_url(f"{ui}/ui/?since=7d&agent=refund-agent")


def test_a_stop_reason_leads_to_the_runs_that_ended_so(page: Page, ui: str) -> None:
    go(page, ui, "")
    bars = page.locator(".st-key-stop_reasons .barlayer .point")
    bars.last.scroll_into_view_if_needed()
    box = bars.last.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_url("**/ui/runs?since=24h&stop_reason=finish")


def test_a_tool_leads_to_the_runs_that_called_it(page: Page, ui: str) -> None:
    go(page, ui, "")
    click_cell(page, page.locator(".st-key-tools"), 0)
    page.wait_for_url("**/ui/runs?since=24h&tool=*")


def test_a_filter_that_is_chosen_is_in_the_address(page: Page, ui: str) -> None:
    go(page, ui, "runs")
    page.get_by_role("radio", name="7 days").click()
    page.wait_for_url("**/ui/runs?since=7d")
    settled(page)
    page.get_by_role("combobox", name="Tool called").click()
    page.get_by_role("option", name="run_sql").click()
    page.wait_for_url("**/ui/runs?since=7d&tool=run_sql")


def test_a_filter_is_typed_refused_with_its_place_mended_and_kept_in_the_address(page: Page, ui: str) -> None:
    go(page, ui, "runs?since=all")
    box = page.get_by_role("textbox", name="Filter")
    box.fill("stop_reson = operator_kill")
    box.press("Enter")
    expect(page.get_by_text("did you mean 'stop_reason'?", exact=False)).to_be_visible()
    expect(page.locator("code", has_text="^^^^^^^^^^")).to_contain_text("stop_reson = operator_kill")
    expect(page.get_by_test_id("stDataFrame")).to_have_count(0)
    box.fill("stop_reason = operator_kill and tool_calls > 0")
    box.press("Enter")
    page.wait_for_url("**&filter=stop_reason+*")
    settled(page)
    expect(page.get_by_text("Runs 1 to 1.", exact=False)).to_be_visible()
    expect(page.locator("code", has_text="^^^")).to_have_count(0)
    page.reload()
    settled(page)
    expect(page.get_by_role("textbox", name="Filter")).to_have_value("stop_reason = operator_kill and tool_calls > 0")
    expect(page.get_by_text("Runs 1 to 1.", exact=False)).to_be_visible()


def test_a_chosen_value_is_a_condition_that_a_click_takes_away(page: Page, ui: str) -> None:
    go(page, ui, "runs?since=all&stop_reason=operator_kill")
    page.get_by_role("button", name="stop_reason = operator_kill").click()
    page.wait_for_url(f"{ui}/ui/runs?since=all")
    settled(page)
    expect(page.get_by_text("Runs 1 to 50.", exact=False)).to_be_visible()


def test_a_row_opens_its_run(page: Page, ui: str) -> None:
    go(page, ui, "runs?stop_reason=operator_kill&since=all")
    click_cell(page, page.get_by_test_id("stDataFrame"), 0)
    page.wait_for_url("**/ui/run?run_id=*")
    expect(page.get_by_text("An operator stopped the run.")).to_be_visible()


def test_a_span_is_chosen_in_the_tree_by_click_and_keyboard_and_kept_in_the_address(
    page: Page, ui: str, ids: dict[str, str]
) -> None:
    go(page, ui, f"run?run_id={ids['exhausted']}")
    page.get_by_role("treeitem", name="chat").first.click()
    page.wait_for_url("**&span_id=*")
    settled(page)
    expect(page.get_by_text("I will look the order up first.")).to_be_visible()
    expect(page.get_by_text("You help customers.", exact=False)).to_be_visible()
    before = page.url
    page.keyboard.press("ArrowDown")
    page.wait_for_url(lambda url: url != before)
    expect(page.locator('[role="treeitem"][aria-selected="true"]')).to_contain_text("execute_tool")


def test_slash_searches_the_tree_and_only_what_is_in_view_is_drawn(page: Page, ui: str, ids: dict[str, str]) -> None:
    go(page, ui, f"run?run_id={ids['big']}")
    expect(page.get_by_text("300 spans")).to_be_visible()
    assert page.get_by_role("treeitem").count() < 60
    page.get_by_role("tree").focus()
    page.keyboard.press("/")
    page.keyboard.type("retrieve")
    expect(page.locator(".count")).to_contain_text("of 300")
    expect(page.locator("mark").first).to_have_text("retrieve")
    page.keyboard.press("Escape")
    expect(page.get_by_text("300 spans")).to_be_visible()


def test_a_span_is_chosen_in_the_waterfall_by_click(page: Page, ui: str, ids: dict[str, str]) -> None:
    go(page, ui, f"run?run_id={ids['denied']}&view=waterfall")
    bar = page.locator(".barlayer .point").nth(4)
    bar.scroll_into_view_if_needed()
    box = bar.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_url("**&span_id=*")
    settled(page)
    expect(page.get_by_role("tab", name="Messages")).to_be_visible()


def test_what_a_model_wrote_runs_nowhere(page: Page, ui: str, ids: dict[str, str]) -> None:
    for path in ("runs?stop_reason=error&since=all", f"run?run_id={ids['hostile']}", f"triage?id={ids['hostile']}"):
        go(page, ui, path)
        assert page.evaluate("window.pwned") is None
        assert page.locator("a[href^='javascript']").count() == 0
        assert page.locator("img[src='x']").count() == 0
    go(page, ui, f"run?run_id={ids['hostile']}&view=waterfall")
    assert page.evaluate("window.pwned") is None
