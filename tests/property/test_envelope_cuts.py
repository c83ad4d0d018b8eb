"""No input raises, wherever it is cut and whatever is written into it."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.model.records import DeadLetter, Lifecycle
from streams.sources.aws.cloudtrail import CloudTrail
from streams.sources.aws.effects import EFFECTS
from streams.sources.reading.envelope import Event, events
from tests.generators.cloudtrail import as_document, as_lines, generate

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.property

SMALL = generate(Random(5), 6, users=3).events
FORMS = {"lines": as_lines, "document": as_document}


@pytest.mark.parametrize("form", FORMS)
def test_a_cut_at_any_byte_keeps_the_events_before_it(form: str) -> None:
    """What ends before the cut is read; what the cut hits is one dead letter."""
    data = FORMS[form](SMALL)
    ends = [
        item.offset + len(data[item.offset : item.offset + item.length].rstrip(b"]},"))
        for item in events(data, "test")
    ]
    for cut in range(len(data)):
        items = list(events(data[:cut], "test"))
        whole = [item for item in items if isinstance(item, Event)]
        assert sum(end + 2 <= cut for end in ends) <= len(whole) <= len(ends)
        assert len(items) - len(whole) <= 1


@given(st.sampled_from([as_lines, as_document]), st.data())
def test_noise_never_raises_and_spares_what_stands_before_it(
    form: Callable[[list[dict[str, object]]], bytes], draw: st.DataObject
) -> None:
    """Bytes overwritten in one place cost no event that ends before them."""
    data = form(SMALL)
    at = draw.draw(st.integers(0, len(data) - 1))
    noise = draw.draw(st.binary(min_size=1, max_size=20))
    damaged = data[:at] + noise + data[at + len(noise) :]
    before = [i for i in events(data, "x") if i.offset + i.length < at]
    after = list(events(damaged, "x"))
    if form is as_lines or at > 20:
        assert len(before) <= len([i for i in after if isinstance(i, Event)])
    list(CloudTrail().records(damaged))


@given(st.binary(max_size=300))
def test_any_bytes_at_all_are_accounted_for(data: bytes) -> None:
    """Each input gives at least one item, unless it is an empty list."""
    items = list(events(data, "test"))
    assert items or data.strip().startswith((b"[", b"{"))


KEYS = [
    "userIdentity", "accessKeyId", "arn", "type", "sessionContext", "attributes",
    "creationDate", "sessionIssuer", "credentials", "requestParameters",
    "responseElements", "policyDocument", "tags",
]  # fmt: skip
SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**60) | st.text("aé", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(SHAPES, SHAPES, st.sampled_from(sorted(EFFECTS)))
def test_events_of_any_shape_never_raise(
    identity: object, inside: object, kind: tuple[str, str]
) -> None:
    """Every field may have any type: a revocation is given or is a dead letter."""
    event = {
        "eventSource": kind[0],
        "eventName": kind[1],
        "eventTime": "2026-01-01T00:00:00Z",
        "userIdentity": identity,
        "requestParameters": inside,
        "responseElements": inside,
    }
    records = list(CloudTrail().records(orjson.dumps(event)))
    if kind[1].startswith("Delete"):
        change = records[0]
        assert isinstance(change, Lifecycle)
        letters = [record for record in records if isinstance(record, DeadLetter)]
        assert len(letters) == (not change.identifiers)
