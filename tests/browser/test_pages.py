"""Every page of the catalogue in a browser, with a day's data, on both engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from streams.console.pages.catalogue import KINDS
from tests.browser.conftest import ENGINES
from tests.browser.running import World, addresses, world
from tests.browser.world import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.looking import Tab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PATHS: Final = [each.path for each in KINDS]
BYTES: Final = 2_000_000
NODES: Final = 300
# On Kafka a process counts for these charts that the fleet of the tests has none of.
OTHERS: Final = {("kafka", "/insights")}


@pytest.fixture(scope="module", params=ENGINES)
def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Run a server that was told a day."""
    folder = tmp_path_factory.mktemp("told")
    with world(
        folder, request.param, tell, lambda: request.getfixturevalue("kafka")
    ) as made:
        yield made


@pytest.fixture(scope="module")
def tab_of(told: World, browser_tabs: Callable[..., Tab]) -> Callable[[str], Tab]:
    """Give a tab that is logged in, one for each theme."""
    made: dict[str, Tab] = {}

    def opened(theme: str) -> Tab:
        if theme not in made:
            made[theme] = browser_tabs(told.console, color_scheme=theme)
        made[theme].faults.clear()
        return made[theme]

    return opened


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_sound(
    told: World, tab_of: Callable[[str], Tab], path: str, theme: str
) -> None:
    """It has content, one heading, no fault, and nothing that axe complains of."""
    tab = tab_of(theme)
    status = tab.go(addresses(told)[path])
    tab.picture(f"{told.engine}-{theme}-{path}")

    assert (200, []) == (status, tab.faults)
    if (told.engine, path) not in OTHERS:
        assert not tab.page.query_selector("#page .problem"), tab.text()
    assert 1 == len(tab.page.query_selector_all("h1"))
    assert [] == tab.unsound()
    assert NODES >= len(tab.page.query_selector_all("svg [data-node], svg .node"))
    assert BYTES > len(tab.page.content().encode())
    assert tab.page.evaluate(
        "document.documentElement.scrollWidth <= window.innerWidth"
    ), "the page is wider than the window"
