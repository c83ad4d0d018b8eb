"""Every mapper: whatever stands in a field, records and dead letters come out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.model.records import DeadLetter, Record, to_line
from streams.sources.guess import guess_bytes
from streams.sources.scim.scim import ScimRequest
from streams.sources.scim.scim import records as scim_records
from streams.stages.ingest.ingress import Origin, facts_of
from tests.generators.samples import DIALECTS, SCIM, Dialect
from tests.generators.samples.signals import keycloak_lines
from tests.property.agreement import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.property

NOW = 1_800_000_000_000_000_000
ORIGIN = Origin("issuer", "realm", received_at=NOW)
# A busy machine is no finding.
QUICK = settings(
    max_examples=min(50, max(10, EXAMPLES // 20)),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
KEYS = st.sampled_from(["id", "type", "code", "value", "user", "0", "ü", "\x00"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6)
    | st.sampled_from(["", "False", "a|b", "2026-03-02T09:00:00Z", "[]", '{"id":1}']),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip


def confuse(body: Any, draw: st.DataObject) -> Any:
    """Put another value in the place of one of an event, or of all of it."""
    place, choice = body, draw.draw(st.integers(0, 2**20))
    while isinstance(place, dict | list) and place:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        choice, at = divmod(choice, len(keys))
        inner = place[keys[at]]
        if not (isinstance(inner, dict | list) and inner) or choice % 4 == 0:
            place[keys[at]] = draw.draw(VALUES)
            return body
        place = inner
    return draw.draw(VALUES)


def sound(records: Iterable[Record]) -> None:
    """Take what was read as far as the log of facts and a printed line."""
    for record in records:
        orjson.dumps(to_line(record))
        if not isinstance(record, DeadLetter):
            facts_of(record, ORIGIN, fresh_id="fresh")


def noise(data: bytes, draw: st.DataObject) -> bytes:
    """Write other bytes over some."""
    at = draw.draw(st.integers(0, len(data) - 1))
    written = draw.draw(st.binary(min_size=1, max_size=9))
    return data[:at] + written + data[at + len(written) :]


def fuzz(dialect: Dialect, draw: st.DataObject) -> None:
    """Read a sound event, and one with other values in some of its places."""
    made = dialect.make(0)
    event: Any = made[draw.draw(st.integers(0, len(made) - 1))]
    if dialect.write is keycloak_lines:  # the log of texts has no types to confuse
        sound(dialect.source().records(noise(dialect.write([made[0], event]), draw)))
        return
    for _ in range(draw.draw(st.integers(1, 3))):
        event = confuse(event, draw)
    for data in (dialect.write([made[0], event]), orjson.dumps([event])):
        guess_bytes(data)
        sound(dialect.source().records(data))


@pytest.mark.parametrize("name", DIALECTS)
@QUICK
@given(draw=st.data())
def test_values_of_any_type_never_raise(name: str, draw: st.DataObject) -> None:
    """Another value in the place of any field: records and dead letters come out."""
    fuzz(DIALECTS[name], draw)


@pytest.mark.campaign
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", DIALECTS)
@settings(QUICK, max_examples=5_000)
@given(draw=st.data())
def test_values_of_any_type_never_raise_at_length(
    name: str, draw: st.DataObject
) -> None:
    """The same with a hundred times the examples."""
    fuzz(DIALECTS[name], draw)


@QUICK
@given(draw=st.data())
def test_scim_bodies_of_any_type_never_raise(draw: st.DataObject) -> None:
    """Another value in the place of any field of a request's body."""
    request = draw.draw(st.sampled_from(SCIM(0)))
    body = confuse(orjson.loads(request.body or b"{}"), draw)
    sound(scim_records(ScimRequest(request.method, request.path, orjson.dumps(body))))
