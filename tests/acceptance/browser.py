"""A real Chromium for tests, which records errors and violations of each page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.services import TIMEOUT_SECONDS, missing_service

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
PHONE = {"width": 375, "height": 812}
DESK = {"width": 1280, "height": 900}

# Chromium reports a blocked script, style or address only in its console; this collects them.
COLLECT_CSP_VIOLATIONS = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => {
        window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
    });
"""


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Chromium; skip the test if it is not installed."""
    path = next((found for name in CHROMIUM_NAMES if (found := which(name))), None)
    if path is None:
        missing_service("Chromium is not installed: apt-get install chromium")
    expect.set_options(timeout=TIMEOUT_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            # Chromium's own sandbox needs privileges that containers lack, and refuses root.
            args=["--no-sandbox"],
            # On, as it is for users: Back shows a page as it was left.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        try:
            yield browser
        finally:
            browser.close()


class WatchedPage:
    """A page and its errors: console messages, exceptions and failed requests."""

    def __init__(self, context: BrowserContext) -> None:
        context.add_init_script(COLLECT_CSP_VIOLATIONS)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(TIMEOUT_SECONDS * 1000)
        self.errors: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.errors.append(f"exception: {error}"))
        self.page.on("requestfailed", self._on_failed)

    def check(self) -> None:
        """Fail if the page had an error or violated the content security policy."""
        assert self.errors == []
        assert self.page.evaluate("window.violations") == []

    def fits_viewport(self) -> bool:
        """True if the page itself does not scroll sideways (elements in it may)."""
        is_narrow = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        return bool(self.page.evaluate(is_narrow))

    def _on_console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.errors.append(f"{message.type}: {message.text}")

    def _on_failed(self, request: Any) -> None:
        # Browsers abort the loading of a video when the user seeks or leaves the page.
        if request.resource_type != "media" and request.failure != "net::ERR_ABORTED":
            self.errors.append(f"failed: {request.url} {request.failure}")


@contextmanager
def watched_page(browser: Browser, **options: Any) -> Iterator[WatchedPage]:
    """Open a page in a fresh profile; at the end, fail the test if the page had errors."""
    context = browser.new_context(**{"viewport": DESK, **options})
    try:
        watched = WatchedPage(context)
        yield watched
        watched.check()
    finally:
        context.close()


def drop_files(page: Page, target: str, files: list[Path]) -> None:
    """Drop files on an element as a user would."""
    contents = [{"name": path.name, "bytes": list(path.read_bytes())} for path in files]
    transfer = page.evaluate_handle(
        """(files) => {
            const transfer = new DataTransfer();
            for (const { name, bytes } of files) {
                transfer.items.add(new File([new Uint8Array(bytes)], name));
            }
            return transfer;
        }""",
        contents,
    )
    page.dispatch_event(target, "drop", {"dataTransfer": transfer})
