"""The picture of the console in the README; ``make picture`` keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.browser.looking import PICTURES
from tests.browser.running import world
from tests.browser.world import tell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.browser.looking import Tab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

BYTES: Final = 200_000
SIZE: Final = {"width": 1280, "height": 860}


def test_a_picture_of_a_lineage(tmp_path: Path, tabs: Callable[..., Tab]) -> None:
    """It shows an agent's token, what hangs on it, and which of that is dead."""
    with world(tmp_path, tell=tell) as told:
        tab = tabs(told.console, who="viewer", color_scheme="dark", viewport=SIZE)
        tab.go("/console/credentials/gateway.token:tok-planner")
        PICTURES.mkdir(parents=True, exist_ok=True)
        tab.page.screenshot(path=PICTURES / "console.png", caret="initial")

    assert [] == tab.faults
    assert BYTES > (PICTURES / "console.png").stat().st_size
