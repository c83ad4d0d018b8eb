"""The demo counts a name as dead before where the guard has judged it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from agents_registry.identifiers import Identifier
from streams.demo.stage import VerdictChange, WatchedGuard

pytestmark = pytest.mark.unit

ALIVE, DEAD = Identifier("agent.id", "alive"), Identifier("agent.id", "dead")
ALLOWED = VerdictChange(allowed=True, reason="ok", cause=None, at=1)
REVOKED = VerdictChange(allowed=False, reason="revoked", cause=str(DEAD), at=1)
NO_LEASE = VerdictChange(allowed=False, reason="no_lease", cause=None, at=1)


@pytest.mark.parametrize(
    ("verdicts", "judges"),
    [
        ({ALIVE: ALLOWED, DEAD: REVOKED}, True),
        ({ALIVE: NO_LEASE, DEAD: REVOKED}, False),
        ({ALIVE: ALLOWED}, False),
    ],
)
def test_a_denial_without_a_lease_judges_nothing(
    verdicts: dict[Identifier, VerdictChange], *, judges: bool
) -> None:
    """Nor does the want of a verdict."""
    guard = WatchedGuard(cast("Any", None), verdicts)

    assert guard.judges([ALIVE, DEAD]) is judges
