"""Each planted bug can be planted: the line that it takes the place of stands, once.

Whoever changes a line of the product learns here, in a second and before any bug is
tried, which bugs have to be planted anew.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from tests.planted.copies import Change

pytestmark = pytest.mark.unit

OWN: Final = ("tests/planted/copies.py", "tests/planted/test_anchors.py")
PLANTING: Final = sorted(
    path
    for path in (str(path.relative_to(ROOT)) for path in ROOT.glob("tests/**/*.py"))
    if path not in OWN
    and "from tests.planted.copies import" in (text := (ROOT / path).read_text("utf-8"))
    and "Change(" in text
)


@pytest.mark.parametrize("path", PLANTING)
def test_each_anchor_stands_once(path: str) -> None:
    """Else a bug is not planted, or by a line that every test would notice."""
    module = import_module(path.removesuffix(".py").replace("/", "."))
    changes: list[Change] = list(module.CHANGES)
    assert changes

    astray = []
    for change in changes:
        try:
            made = change.made(ROOT)
            if change.file.endswith(".py"):
                compile(made, change.file, "exec")  # else any test would catch it
        except (LookupError, OSError, SyntaxError) as error:
            astray.append(str(error))
    assert [] == astray
