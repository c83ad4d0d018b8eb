"""A browser in front of a console: what a person sees of a page, and when."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from attrs import frozen

from tests.browser.chromium import environment, found
from tests.browser.looking import Tab, context, launched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_NODES: Final = 300
MOST_BYTES: Final = 2_000_000
# Notes when the content was there and had been painted.
_WATCH: Final = """
    const painted = (name) => requestAnimationFrame(() => requestAnimationFrame(() => {
        window[name] ||= performance.now();
    }));
    const look = () => {
        const page = document.querySelector('#page');
        if (!page || page.getAttribute('aria-busy')) return;
        if (!window.usefulAt) painted('usefulAt');
        const rest = page.querySelector('[aria-busy=true]');
        if (!window.wholeAt && !rest) painted('wholeAt');
    };
    new MutationObserver(look).observe(
        document, {childList: true, subtree: true, attributes: true});
    addEventListener('DOMContentLoaded', look);
"""
_PAINTED: Final = """() => window.usefulAt && window.wholeAt
    && performance.getEntriesByName('first-contentful-paint').length"""
_SEEN: Final = """() => ({
    useful: Math.max(window.usefulAt, performance.getEntriesByName(
        'first-contentful-paint')[0].startTime) / 1000,
    whole: window.wholeAt / 1000,
    first: performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000,
    nodes: document.querySelectorAll('svg [data-node], svg .node').length,
    size: new Blob([document.documentElement.outerHTML]).size,
})"""


@frozen
class Visit:
    """What was seen of a page; seconds since it was asked for.

    Attributes:
        first: something was painted.
        useful: its content was painted, maybe but for a part that takes long.
        whole: all of it was.
        nodes: of its graph.
        size: of its HTML, in bytes.
    """

    first: float
    useful: float
    whole: float
    nodes: int
    size: int


@contextmanager
def opened(url: str, token: str) -> Iterator[Callable[[str], Visit]]:
    """Run a browser that is logged in; give what visits a page."""
    with launched(str(found()), environment()) as browser, context(browser) as own:
        own.add_init_script(_WATCH)
        tab = Tab(own.new_page(), url)
        tab.login(token)

        def visit(path: str) -> Visit:
            tab.faults.clear()
            tab.go(path)
            tab.page.wait_for_function(_PAINTED)
            assert not tab.page.query_selector("#page .problem"), tab.text()
            return Visit(**tab.page.evaluate(_SEEN))

        yield visit
