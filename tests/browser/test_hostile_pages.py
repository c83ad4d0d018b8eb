"""What sources write to run in the console is text there, in every page and export."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Final

import pytest

from streams.console.pages.catalogue import KINDS
from tests.browser.conftest import ENGINES
from tests.browser.running import World, addresses, world
from tests.browser.world import tell_hostile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.looking import Tab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PATHS: Final = [each.path for each in KINDS]
EXPORTS: Final = [(each.path, name) for each in KINDS for name in each.exports]
# What changes how the text beside it is read, and controls.
UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
FORMULA: Final = re.compile(r"^[=+\-@\t\r]")
NUMBER: Final = re.compile(r"^[+-]?\d+(\.\d+)?$")


@pytest.fixture(scope="module", params=ENGINES)
def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Run a server that was told what somebody wrote who wants to run."""
    folder = tmp_path_factory.mktemp("hostile")
    with world(
        folder, request.param, tell_hostile, lambda: request.getfixturevalue("kafka")
    ) as made:
        yield made


@pytest.fixture(scope="module")
def tab(told: World, browser_tabs: Callable[..., Tab]) -> Tab:
    """Give a tab that is logged in."""
    return browser_tabs(told.console, color_scheme="light")


@pytest.mark.parametrize("path", PATHS)
def test_nothing_runs(told: World, tab: Tab, path: str) -> None:
    """No dialog, element or control character comes; the page fits the window."""
    tab.faults.clear()
    status = tab.go(addresses(told)[path])
    tab.picture(f"hostile-{told.engine}-{path}")
    for each in tab.page.query_selector_all("main details"):
        each.evaluate("each => each.open = true")

    assert [] == tab.ran()
    assert (200, []) == (status, tab.faults)
    assert [] == UNSEEN.findall(tab.text())
    assert [] == tab.unsound()
    assert tab.page.evaluate(
        "document.documentElement.scrollWidth <= window.innerWidth"
    ), "the page is wider than the window"


def test_every_link_of_every_page_is_ours(told: World, tab: Tab) -> None:
    """And what is behind each of them shows nothing that runs either."""
    seen: set[str] = set()
    for path in addresses(told).values():
        tab.go(path)
        links = tab.page.eval_on_selector_all(
            "main a[href]",
            "all => all.map(each => new URL(each.getAttribute('href'), location).href)",
        )
        assert all(each.startswith(f"{told.console}/console") for each in links), links
        seen |= {each for each in links if "/credentials/" in each}
    for each in sorted(seen)[:12]:
        tab.faults.clear()
        tab.go(each.removeprefix(told.console))
        assert [] == tab.ran(), each
        assert [] == tab.faults, each


def test_an_export_is_harmless(told: World, tab: Tab) -> None:
    """Cells are no formulas, pictures have no scripts, and neither is a page."""
    for path, name in EXPORTS:
        _export(told, tab, path, name)


def _export(told: World, tab: Tab, path: str, name: str) -> None:
    got = tab.page.request.get(f"{told.console}{addresses(told)[path]}?export={name}")

    assert 200 == got.status
    assert got.headers["content-disposition"].startswith("attachment")
    assert "default-src 'none'" in got.headers["content-security-policy"]
    text = got.text()
    kind = got.headers["content-type"].partition(";")[0]
    assert kind != "text/html"
    if kind == "text/csv":
        rows = list(csv.reader(io.StringIO(text)))
        cells = [cell for row in rows for cell in row]
        assert len({len(row) for row in rows}) == 1
        assert not [
            cell for cell in cells if FORMULA.match(cell) and not NUMBER.match(cell)
        ]
        assert [] == UNSEEN.findall(text)
    if kind == "image/svg+xml":
        own = tab.page.context.new_page()
        ran: list[str] = []
        own.on("dialog", lambda dialog: ran.append(dialog.message))
        own.set_content(text)
        assert own.evaluate("window.ran") is None
        assert 0 == own.locator("script, foreignObject, [onload], [onerror]").count()
        own.close()
        assert [] == ran
