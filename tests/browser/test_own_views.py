"""Views of findings that a person keeps in their browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.running import world

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.browser.looking import Tab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def test_a_view_is_kept_by_its_name_and_forgotten(
    tmp_path: Path, tabs: Callable[..., Tab]
) -> None:
    """Its address is the view; whatever its name is, it is a text."""
    name = "<img src=x onerror=window.ran=1>"
    with world(tmp_path) as made:
        tab = tabs(made.console)
        tab.go("/console/findings?state=closed&severity=high")
        tab.page.get_by_label("Keep this view as").fill(name)
        tab.page.get_by_role("button", name="Keep", exact=True).click()
        tab.go("/console/findings")
        tab.page.get_by_role("link", name=name).click()
        tab.settle()

        assert tab.page.url.endswith("/findings?state=closed&severity=high")
        assert ([], []) == (tab.faults, tab.ran())
        assert [] == tab.unsound()
        tab.page.get_by_role("button", name="Forget the view").click()
        assert not tab.page.query_selector("#own-views li")
        tab.go("/console/findings")
        assert not tab.page.query_selector("#own-views li")
