"""Fixtures of the tests of pages: a browser, and what opens tabs in it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.browser.chromium import BrowserError, environment, found
from tests.browser.looking import Tab, context, launched
from tests.integration.kafka_cluster import kafka, kafka_launcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

__all__ = ["kafka", "kafka_launcher"]
ENGINES: Final = ("embedded", "kafka")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let one engine be chosen."""
    parser.addoption("--engine", choices=ENGINES, help="run on this one alone")


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out the tests of the other engine."""
    chosen = config.getoption("--engine", default=None)
    others = {f"[{each}" for each in ENGINES if chosen and each != chosen}
    out = [item for item in items if any(each in item.nodeid for each in others)]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


@pytest.fixture(scope="session")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """Run the browser of this process; fail where there is none.

    Its client keeps an event loop running, and the start of a broker runs one: so that
    comes first.
    """
    if any("[kafka" in item.nodeid for item in request.session.items):
        request.getfixturevalue("kafka")
    try:
        program = str(found())
    except BrowserError as error:
        pytest.fail(str(error), pytrace=False)
    with launched(program, environment()) as running:
        yield running


def _opening(browser: Browser) -> Iterator[Callable[..., Tab]]:
    with ExitStack() as stack:

        def opened(url: str, who: str = "admin", **more: Any) -> Tab:
            own = stack.enter_context(context(browser, **more))
            tab = Tab(own.new_page(), url)
            if who:
                tab.login(who)
            return tab

        yield opened


@pytest.fixture
def tabs(browser: Browser) -> Iterator[Callable[..., Tab]]:
    """Give what opens tabs; each is of a browser of its own, and closed at the end."""
    yield from _opening(browser)


@pytest.fixture(scope="module")
def browser_tabs(browser: Browser) -> Iterator[Callable[..., Tab]]:
    """Give what opens tabs that last for a module."""
    yield from _opening(browser)
