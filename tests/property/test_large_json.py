"""Whatever JSON it is, and however it is cut: large JSON is read as small JSON is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_registry.steps import finish
from enforcement import large_json

if TYPE_CHECKING:
    from enforcement.large_json import Loads

pytestmark = pytest.mark.property

DECODERS = st.sampled_from([orjson.loads, large_json.loads])

TEXTS = st.text(st.sampled_from('a,"}{][:\\\n \u00e9\u2028\U0001f600'), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(
    allow_nan=False, allow_infinity=False
) | TEXTS  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=8) | st.dictionaries(TEXTS, inner, max_size=8)
    ),
    max_leaves=60,
)


@given(
    value=VALUES,
    indent=st.sampled_from([None, 0, 2]),
    ascii_only=st.booleans(),
    compact=st.booleans(),
    piece=st.sampled_from([4, 16, 64, 1 << 14]),
    loads=DECODERS,
)
def test_it_is_the_decoder_of_what_is_small(
    value: Any,
    indent: int | None,
    piece: int,
    loads: Loads,
    *,
    ascii_only: bool,
    compact: bool,
) -> None:
    """The same values in the same order, wherever a piece ends."""
    text = json.dumps(
        value, indent=indent, ensure_ascii=ascii_only,
        separators=(",", ":") if compact else None,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_json, "PIECE", piece)
        assert repr(loads(text)) == repr(finish(large_json.reading(text, loads)))


@given(
    text=st.text(st.sampled_from('[]{}",:01-.eE tn\\\n'), max_size=12),
    piece=st.sampled_from([4, 64]),
    loads=DECODERS,
)
def test_what_is_none_is_none(text: str, piece: int, loads: Loads) -> None:
    """Both refuse it, or both read the same."""
    try:
        wanted = repr(loads(text))
    except ValueError:
        wanted = "none"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_json, "PIECE", piece)
        try:
            found = repr(finish(large_json.reading(text, loads)))
        except ValueError:
            found = "none"
    assert wanted == found
