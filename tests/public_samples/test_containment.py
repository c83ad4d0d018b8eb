"""The documented rules of containment contain nothing that lives in a public sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.golden.test_containment_history import history_of, hits
from tests.public_samples.test_no_false_findings import SIGNED, SOURCES, logs_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.public_samples


@pytest.mark.parametrize("name", SOURCES | SIGNED)
def test_nothing_that_lives_is_contained(public_samples: Path, name: str) -> None:
    """The files of each system together."""
    logs = logs_of(public_samples, {name: (SOURCES | SIGNED)[name]})

    assert [] == hits(history_of(logs))
