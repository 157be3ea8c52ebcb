"""A real Chromium for tests: found on the machine, never downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
TIMEOUT_MS = 30_000
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Not for the session: its event loop would run beside every later test.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """What starts browsers; the test is skipped where there is none, and fails where a landing is judged."""
    if executable() is None:
        message = f"the browser tests need one of {', '.join(BROWSERS)}: install Debian's package `chromium`"
        # On a laptop the rest of the suite is worth running; where a landing is judged nothing may be left out.
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as found:
        yield found


def executable() -> str | None:
    """Return the browser's path, None where there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def launched(playwright: Playwright, profile: Path, scheme: str = "light") -> BrowserContext:
    """Return a browser with a profile of its own, in a colour scheme; whoever asks closes it."""
    found = playwright.chromium.launch_persistent_context(
        profile,
        executable_path=executable(),
        args=ARGUMENTS,
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": 1440, "height": 1000},
    )
    found.set_default_timeout(TIMEOUT_MS)
    return found


def strangers(playwright: Playwright) -> Browser:
    """Return a browser for several visitors who share nothing; whoever asks closes it."""
    return playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)


def stranger(browser: Browser) -> BrowserContext:
    """Return a visitor without cookies or memory; whoever asks closes it."""
    found = browser.new_context(viewport={"width": 1440, "height": 1000})
    found.set_default_timeout(TIMEOUT_MS)
    return found


def settled(page: Page) -> None:
    """Wait until the page's script has run to its end."""
    expect(page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]')).to_be_attached()
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
