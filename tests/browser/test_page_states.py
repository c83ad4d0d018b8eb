"""Every page without data, without an API, with a slow one, by keyboard, unscripted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from streams.console.pages.catalogue import KINDS
from tests.browser.running import World, addresses, door, world
from tests.browser.world import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.looking import Tab
    from tests.browser.neighbours import Door

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PATHS: Final = [each.path for each in KINDS]
ASKS_NOTHING: Final = {"/credentials", "/contain"}  # a form alone
LISTS: Final = [path for path in PATHS if "{" not in path]
SKELETON_MS: Final = 200
TRIES: Final = 5
# When the frame was there, by the browser's own clock.
_FRAME_MS: Final = """() => {
    const [at] = performance.getEntriesByType('navigation');
    return at.responseEnd - at.requestStart;
}"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run a server that was told a day."""
    with world(tmp_path_factory.mktemp("told"), tell=tell) as made:
        yield made


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run a server that was told nothing."""
    with world(tmp_path_factory.mktemp("empty")) as made:
        yield made


@pytest.fixture(scope="module")
def doored(told: World) -> tuple[Door, str]:
    """Give a door before its API, and the URL of a console that goes through it."""
    return door(told)


@pytest.fixture(scope="module")
def tab_at(browser_tabs: Callable[..., Tab]) -> Callable[[str], Tab]:
    """Give a tab that is logged in at a console, the same for all tests."""
    made: dict[str, Tab] = {}

    def opened(url: str) -> Tab:
        made[url] = made.get(url) or browser_tabs(url, color_scheme="dark")
        made[url].faults.clear()
        return made[url]

    return opened


@pytest.mark.parametrize("path", PATHS)
def test_a_page_works_by_the_keyboard(
    told: World, tab_at: Callable[[str], Tab], path: str
) -> None:
    """The first stop skips the menu, each stop is seen, and the content is reached."""
    tab = tab_at(told.console)
    tab.go(addresses(told)[path])
    stops = tab.tab()

    assert "Skip to the content" == stops[0][1]
    assert [] == [stop for stop in stops if not stop[2]]
    tab.go(addresses(told)[path])
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.id") == "content"


@pytest.mark.parametrize("path", PATHS)
def test_a_page_comes_without_scripts(
    told: World, tabs: Callable[..., Tab], path: str
) -> None:
    """Who has no JavaScript gets all of it, at latest behind the link."""
    tab = tabs(told.console, java_script_enabled=False, who="")
    tab.page.goto(f"{tab.base}/console/login")
    tab.page.get_by_label("Token of the API").fill("admin")
    tab.page.get_by_role("button", name="Log in").click()
    answer = tab.page.goto(f"{tab.base}{addresses(told)[path]}?whole=1")

    assert answer is not None
    assert (200, []) == (answer.status, tab.faults)
    assert not tab.page.query_selector("[aria-busy=true], #page .problem")


@pytest.mark.parametrize("path", LISTS)
def test_an_empty_page_says_what_to_do(
    empty: World, tab_at: Callable[[str], Tab], path: str
) -> None:
    """It is no blank, no fault and no table without rows."""
    tab = tab_at(empty.console)
    status = tab.go(addresses(empty)[path])
    tab.picture(f"empty-{path}")

    assert (200, []) == (status, tab.faults)
    assert not tab.page.query_selector("#page .problem"), tab.text()
    assert not tab.page.query_selector("main tbody:not(:has(tr))"), "an empty table"
    assert [] == tab.unsound()
    assert tab.page.query_selector("main .empty, main form, main td"), tab.text()


@pytest.mark.parametrize("fault", ["status", "shut"])
@pytest.mark.parametrize("path", PATHS)
def test_a_page_without_an_api_says_so(
    told: World,
    doored: tuple[Door, str],
    tab_at: Callable[[str], Tab],
    path: str,
    fault: str,
) -> None:
    """It says what failed and what to do; what the broken one wrote is no markup."""
    behind, url = doored
    tab = tab_at(url)
    with behind.fault(**{fault: 500 if fault == "status" else True}):
        tab.go(addresses(told)[path])
        tab.picture(f"{fault}-{path}")
        told_of = [
            each.inner_text() for each in tab.page.query_selector_all("#page .problem")
        ]
        assert told_of or path in ASKS_NOTHING, tab.text()
        assert all(len(each.split()) > 5 for each in told_of)
        assert not tab.page.query_selector("#page .problem b")
        assert [] == tab.unsound()


@pytest.mark.parametrize("path", PATHS)
def test_a_slow_page_shows_its_frame_at_once(
    told: World, doored: tuple[Door, str], tab_at: Callable[[str], Tab], path: str
) -> None:
    """Within 200 ms, and then its content, by itself."""
    behind, url = doored
    tab, took = tab_at(url), []
    address = f"{tab.base}{addresses(told)[path]}"
    for _ in range(TRIES):
        with behind.fault(held=True):
            tab.page.goto(address)
            took.append(tab.page.evaluate(_FRAME_MS))
            busy = tab.page.query_selector("[aria-busy=true]")
            assert busy or path in ASKS_NOTHING, "it did not wait for the API"
        if took[-1] <= SKELETON_MS:
            break
    tab.picture(f"slow-{path}")
    tab.settle()

    assert min(took) <= SKELETON_MS
    assert [] == tab.faults
    assert not tab.page.query_selector("#page .problem"), tab.text()
