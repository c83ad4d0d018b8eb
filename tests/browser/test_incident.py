"""An incident in a browser, on both engines: from the alert to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.browser.conftest import ENGINES
from tests.browser.looking import until
from tests.browser.running import World, world
from tests.browser.world import Gateway, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.looking import Tab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

MOST_CLICKS: Final = 5
_SAYS: Final = "text => document.querySelector('main').innerText.includes(text)"


@pytest.fixture(scope="module", params=ENGINES)
def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Run a server that was told a day."""
    folder = tmp_path_factory.mktemp("incident")
    with world(
        folder, request.param, tell, lambda: request.getfixturevalue("kafka")
    ) as made:
        yield made


def test_from_the_alert_to_closed_in_five_clicks(
    told: World, tabs: Callable[..., Tab]
) -> None:
    """The agent of a dead token is revoked, and the page shows that it closes."""
    finding = told.names["findings"]
    tab = tabs(told.console, who="revoker")
    tab.go(f"/console/findings/{finding}")  # what the alert links to
    clicks = 0

    def click(name: str) -> None:
        nonlocal clicks
        clicks += 1
        tab.page.get_by_role("button", name=name).first.click()
        tab.settle()

    clicks += 1
    tab.page.get_by_label("What is to be done").select_option("revoke")
    clicks += 1
    tab.page.get_by_label("With what").select_option("gateway.agent:crawler")
    click("Show what that would end")
    tab.picture(f"incident-{told.engine}-plan")
    tab.page.get_by_label("Reason", exact=True).fill("it still acts")
    click("Revoke 1 name")
    tab.page.wait_for_function(_SAYS, arg="closed")
    tab.picture(f"incident-{told.engine}-closed")

    assert clicks <= MOST_CLICKS
    assert [] == tab.faults
    assert "it still acts" in tab.text()
    path = tab.page.url.rpartition("/")[2].partition("?")[0]
    assert "closed" == told.get(f"revocations/{path}")["state"]
    assert "gateway.agent:crawler" in tab.text()


def test_a_revocation_appears_by_itself(told: World, tabs: Callable[..., Tab]) -> None:
    """On the first page, without a reload, and a use of what it ended too."""
    tab = tabs(told.console, who="viewer")
    tab.go("/console")
    tab.page.evaluate("window.still = true")
    assert "tok-sub-7" not in tab.text()
    told.post("revocations", {
        "identifier": "gateway.token:tok-sub-7", "reason": "seen live",
    })  # fmt: skip
    tab.page.wait_for_function(_SAYS, arg="tok-sub-7")
    tab.page.wait_for_timeout(1500)  # a use within a second of the end is no finding
    log = Gateway()
    log.use(0.1, "tok-leaf-7", "leaf", status=403)
    told.post("events/gateway", log.bytes(), "gateway")
    tab.page.wait_for_function(_SAYS, arg="tok-leaf-7")
    tab.picture(f"live-{told.engine}")

    assert tab.page.evaluate("window.still")
    assert [] == tab.faults


def test_two_persons_lift_what_one_may_not(
    told: World, tabs: Callable[..., Tab]
) -> None:
    """What one proposed waits on a page, and the other approves it there."""
    (waiting,) = told.get("approvals")["approvals"]
    tab = tabs(told.console, who="restorer")
    tab.go("/console/approvals")
    assert waiting["reason"] in tab.text()
    tab.page.get_by_role("button", name="Approve").first.click()
    tab.settle()
    until(lambda: not told.get("approvals")["approvals"])
    assert [] == tab.faults
