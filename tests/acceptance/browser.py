"""A real Chromium for tests, which notes everything that a page should not do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.services import PATIENCE_SECONDS, missing_service

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
PHONE = {"width": 375, "height": 812}
DESK = {"width": 1280, "height": 900}

# Chromium tells of a refused script, style or address only in its console; this collects it.
COLLECT = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => {
        window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
    });
"""


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Chromium; the test is skipped with a sentence where there is none."""
    path = next((found for name in CHROMIUM_NAMES if (found := which(name))), None)
    if path is None:
        missing_service("Chromium is not installed: apt-get install chromium")
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            # Chromium's own sandbox needs rights that containers and root do not have.
            args=["--no-sandbox"],
            # As users have it: Back shows a page as it was left.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page, and what went wrong in it: console errors, exceptions, refused loads."""

    def __init__(self, context: BrowserContext) -> None:
        context.add_init_script(COLLECT)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE_SECONDS * 1000)
        self.complaints: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        self.page.on("requestfailed", self._on_failed)

    def check(self) -> None:
        """Fail when the page complained of anything."""
        assert self.complaints == []
        assert self.page.evaluate("window.violations") == []

    def fits(self) -> bool:
        """True when nothing has to be scrolled sideways but what scrolls by itself."""
        wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        return bool(self.page.evaluate(wide))

    def _on_console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _on_failed(self, request: Any) -> None:
        # A video's load is broken off by design when the reader seeks or leaves.
        if request.resource_type != "media" and request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"failed: {request.url} {request.failure}")


@contextmanager
def watched_page(browser: Browser, **options: Any) -> Iterator[Watched]:
    """A page in a fresh profile; what it complained of fails the test at its end."""
    context = browser.new_context(**{"viewport": DESK, **options})
    try:
        watched = Watched(context)
        yield watched
        watched.check()
    finally:
        context.close()


def drop_files(page: Page, target: str, files: list[Path]) -> None:
    """Drop files on an element as a hand would."""
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
