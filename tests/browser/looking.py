"""A tab of the browser that keeps account of what must never happen in it."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from tests.browser.chromium import AXE, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

PICTURES: Final = ROOT / "build/screenshots"
FLAGS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--force-color-profile=srgb", "--hide-scrollbars",
)  # fmt: skip
WAIT: Final = 20_000.0  # ms
# Content that htmx still fetches, or puts in place.
_BUSY: Final = "[aria-busy=true], .htmx-request, .htmx-swapping, .htmx-settling"
_SETTLED: Final = f"""() => document.readyState === 'complete'
    && !document.querySelector('{_BUSY}')"""
_AXE: Final = """async () => (await axe.run(document, {resultTypes: ['violations']}))
    .violations.map(v => v.id + ': ' + v.help + ': '
        + v.nodes.slice(0, 5).map(n => n.html.slice(0, 200)).join(' || '))"""
# Set by each text of `tests.browser.world.MARKUP` that is run.
_RAN: Final = "() => window.ran"
_INJECTED: Final = """() => [...document.querySelectorAll(
    'main script, main iframe, main img[src=x], main object, main embed, main base,'
    + ' main [srcdoc], main [onerror], main [onload], main [onfocus],'
    + ' [href^="javascript:" i], [action^="javascript:" i], [data-hx-get="/x"]')]
    .map(each => each.outerHTML.slice(0, 200))"""
# A place with focus that a person can see.
_FOCUS: Final = """() => {
    const at = document.activeElement, style = getComputedStyle(at);
    const seen = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0)
        || style.boxShadow !== 'none';
    return [at.tagName, (at.innerText || at.value || at.id || '').trim().slice(0, 60),
            seen];
}"""


@define(slots=False)  # what listens to the browser is marked by attributes
class Tab:
    """A tab, and what went wrong in it.

    Attributes:
        faults: errors of scripts, violations of the policy, broken answers, dialogs.
        asked: each request, by method and path.
    """

    page: Page
    base: str
    faults: list[str] = field(factory=list)
    asked: list[str] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        """Listen."""
        page = self.page
        page.set_default_timeout(WAIT)
        page.on("dialog", self._dialog)
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("console", self._said)
        page.on("request", self._request)
        page.on("response", self._response)

    def go(self, path: str, **more: Any) -> int:
        """Load a page of the console whole; give the status."""
        answer = self.page.goto(f"{self.base}{path}", **more)
        self.settle()
        assert answer is not None
        return int(answer.status)

    def settle(self) -> None:
        """Wait until nothing is being fetched any more."""
        self.page.wait_for_function(_SETTLED)

    def text(self) -> str:
        """Return what a person reads of the page."""
        return str(self.page.inner_text("main"))

    def unsound(self) -> list[str]:
        """Return the violations that axe finds."""
        found: list[str] = self.page.evaluate(_AXE)
        return found

    def ran(self) -> list[str]:
        """Return what hostile text has brought into the page."""
        if self.page.evaluate(_RAN) is not None:
            self.faults.append("hostile text was run")
        found: list[str] = self.page.evaluate(_INJECTED)
        return found

    def tab(self, times: int = 60) -> list[tuple[str, str, bool]]:
        """Go by the keyboard from the top; give each stop, and whether it is seen."""
        stops: list[tuple[str, str, bool]] = []
        for _ in range(times):
            self.page.keyboard.press("Tab")
            stop = tuple(self.page.evaluate(_FOCUS))
            if stop[0] == "BODY":
                break
            stops.append(stop)
        return stops

    def picture(self, name: str) -> None:
        """Keep a picture of the whole page."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        safe = re.sub(r"[^a-z0-9]+", "-", name.lower().rstrip("/")).strip("-")
        height = self.page.evaluate("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": 1280, "height": min(height, 3000)}
        # Else it hides the caret by a style of the field, which htmx would copy to the
        # field that takes its place: that is against the policy.
        self.page.screenshot(
            path=PICTURES / f"{safe}.png", full_page=True, clip=clip, caret="initial"
        )

    def login(self, token: str) -> None:
        """Log in by the form."""
        self.page.goto(f"{self.base}/console/login")
        self.page.get_by_label("Token of the API").fill(token)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url(lambda url: "/login" not in url)
        self.settle()

    def _dialog(self, dialog: Any) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _said(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.faults.append(f"console: {message.text}")

    def _request(self, request: Any) -> None:
        self.asked.append(f"{request.method} {request.url}")
        if not request.url.startswith((self.base, "data:")):
            self.faults.append(f"asked elsewhere: {request.url}")

    def _response(self, response: Any) -> None:
        policy = response.headers.get("content-security-policy", "")
        if response.ok and "default-src 'none'" not in policy:
            self.faults.append(f"no policy: {response.url}")


@contextmanager
def launched(program: str, environment: dict[str, str]) -> Iterator[Browser]:
    """Run a browser until the context ends."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - of a group

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, env={**environment}, args=FLAGS
        )
        yield browser
        browser.close()


def context(browser: Browser, **more: Any) -> BrowserContext:
    """Return a context of its own, with axe in each page."""
    given: dict[str, Any] = {
        "viewport": {"width": 1280, "height": 800}, "locale": "en-GB",
        "timezone_id": "UTC", "reduced_motion": "reduce", "accept_downloads": True,
    }  # fmt: skip
    made = browser.new_context(**given | more)
    made.add_init_script(path=AXE)
    return made


def until(condition: Any, seconds: float = WAIT / 1000) -> Any:
    """Wait until a condition gives something true; give that."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, "not within the deadline"
        time.sleep(0.05)
    return result
