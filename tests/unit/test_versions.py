"""Versions of statements whose copies differ, as they are written down."""

from __future__ import annotations

import json

import pytest

from agents_registry.facts import Renewal
from agents_registry.versions import Versions
from tests.property.cases import t1

pytestmark = pytest.mark.unit


def test_what_was_claimed_ahead_is_taken_up_as_it_was_written_down() -> None:
    """A later copy counts as the first one did, after a restart too."""
    first, later = (
        Renewal(
            authority="a", version=900, received_at=at, event_id="e", node=t1,
            expires_at=5,
        )
        for at in (100, 200)
    )  # fmt: skip
    versions = Versions()
    assert (100, False) == versions.take(first, None)

    restored = Versions()
    assert not restored
    restored.restore(json.loads(json.dumps(versions.dump())))

    assert restored
    assert restored.dump() == versions.dump()
    assert versions.take(later, 100) == restored.take(later, 100) == (100, False)
