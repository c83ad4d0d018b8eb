"""What somebody types is theirs, whatever happens in the realm meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.running import world
from tests.browser.world import tell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.browser.looking import Tab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def test_news_wait_for_a_form_that_is_filled_in(
    tmp_path: Path, tabs: Callable[..., Tab]
) -> None:
    """The page is as new as the realm once the form is empty again."""
    with world(tmp_path, "embedded", tell) as made:
        first = made.post("suspensions", {"identifier": "agent.id:typed"})
        tab = tabs(made.console)
        tab.go(f"/console/revocations/{first['id']}")
        reason = tab.page.get_by_label("Reason")
        tab.page.wait_for_timeout(1000)  # what changed before it was open is fetched
        tab.settle()
        reason.fill("I am in the middle of")
        tab.page.evaluate("document.querySelector('#page').mine = true")
        heard = "() => document.querySelector('#news').textContent !== ''"
        made.post("revocations", {"identifier": "agent.id:meanwhile"})
        tab.page.wait_for_function(heard)
        tab.page.wait_for_timeout(1000)

        assert reason.input_value() == "I am in the middle of"
        assert tab.page.evaluate("document.querySelector('#page').mine")
        with tab.page.expect_request(lambda each: "fragment=live" in each.url):
            reason.fill("")
            tab.page.get_by_role("heading", level=1).click()
        tab.settle()
        assert [] == tab.faults
