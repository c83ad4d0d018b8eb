"""Whatever has the shape of a secret is one, also where a quick look comes first."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents_registry.secret_shapes import _SHAPES, has_secret

pytestmark = pytest.mark.property


@given(st.from_regex(_SHAPES))
@example("AIza" + "a" * 35)  # the only one without a dash, a dot and an underscore
def test_no_quick_look_hides_a_secret(text: str) -> None:
    """Texts are made from the shapes themselves."""
    assert has_secret(text)
