"""Used scopes are told once a day, and again where that was not acked."""

from __future__ import annotations

import pytest

from agents_registry.identifiers import Identifier
from schemas.codec import in_force
from schemas.errors import SchemaError
from streams.engines.kafka.records import scope_uses
from streams.engines.kafka.records.accesses import read_access
from streams.engines.kafka.records.scope_uses import (
    ScopeUses,
    scope_use_record,
)
from streams.model.times import DAY
from streams.pipeline.access_records import ScopeUse
from streams.stages.access.uses import AccessEvent

pytestmark = pytest.mark.unit

TOKEN, OTHER = Identifier("jwt.jti", "t"), Identifier("jwt.jti", "o")


def use(*scopes: str, day: int = 1, name: Identifier = TOKEN) -> AccessEvent:
    """Give a use of some scopes."""
    return AccessEvent((name,), "door", "allowed", day * DAY + 5, None, scopes=scopes)


def test_tells_a_day_once_it_is_acked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each scope once a day for each credential; what is forgotten is told again."""
    book = ScopeUses()
    batch = [use("a|x"), use("a|x", "a|y"), use("a|x", day=2), use("a|x", name=OTHER)]

    first = book.new("acme", batch)
    assert [(u.name, u.scopes, u.at) for u in first] == [
        (TOKEN, ("a|x", "a|y"), DAY + 5),
        (TOKEN, ("a|x",), 2 * DAY + 5),
        (OTHER, ("a|x",), DAY + 5),
    ]
    assert list(book.new("acme", batch)) == list(first)
    book.remember(first.values())
    assert not book.new("acme", batch)
    assert book.new("other", batch)
    (left,) = book.new("acme", [use("a|x", "a|z")])
    assert left.scopes == ("a|z",)
    monkeypatch.setattr(scope_uses, "MOST", 1)
    book.remember([])
    assert book.new("acme", batch)


def test_a_record_brings_it_back() -> None:
    """With the facts that must be applied first."""
    record = scope_use_record(ScopeUse("acme", TOKEN, ("a|x",), 7), 4, "id", 12)

    assert read_access(record.value, record.headers) == ScopeUse(
        "acme", TOKEN, ("a|x",), 7, 12
    )
    broken = {"realm": "acme", "identifier": "t", "scopes": [], "at": 1}
    with pytest.raises(SchemaError):
        read_access(in_force().encode("scope_use", broken), ())
