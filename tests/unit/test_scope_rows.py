"""What credentials declare against what they use, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from agents_registry.facts import Fact, Node, ScopeSet
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.http.peer_routes import known_scopes
from streams.model.times import DAY
from streams.stages.posture.scope_rows import ScopeFilter, scope_rows
from streams.stages.posture.used_scopes import UsedScopes

pytestmark = pytest.mark.unit

KEYS = [Identifier("jwt.jti", f"k{number}") for number in range(200)]
DECLARED = ("api|read", "api|write:*")


def fact(kind: type[Fact], **fields: Any) -> Fact:
    """Give a fact."""
    return kind(authority="a", version=1, received_at=1, **fields)


def rows(book: UsedScopes, registry: Registry, **wanted: Any) -> list[dict[str, Any]]:
    """Give the rows that fit."""
    return finish(scope_rows(book.usages(), registry, ScopeFilter(**wanted)))


def world() -> tuple[UsedScopes, Registry]:
    """Give credentials that declare two scopes, of which all used one, and one both."""
    facts = [fact(Node, node=key) for key in KEYS]
    facts += [fact(ScopeSet, node=key, scopes=DECLARED) for key in KEYS]
    book = UsedScopes()
    for key in KEYS:
        book.take(key, DECLARED, ["api|read"], 20 * DAY)
    book.take(KEYS[7], DECLARED, ["api|write:x"], 21 * DAY)
    book.take(Identifier("jwt.jti", "k0gone"), DECLARED, ["api|read"], 20 * DAY)
    return book, Registry.build(facts)


def test_a_row_has_each_declared_scope_with_its_last_day() -> None:
    """And what was used of one that stands for many."""
    (row,) = rows(*world(), text="K7", limit=1)
    assert row == {
        "identifier": "jwt.jti:k7", "last_use": "1970-01-22",
        "scopes": [
            {"scope": "api|read", "watched_since": "1970-01-21",
             "last_used": "1970-01-21", "parts": []},
            {"scope": "api|write:*", "watched_since": "1970-01-21",
             "last_used": "1970-01-22", "parts": ["api|write:x"]},
        ],
    }  # fmt: skip


def test_what_is_declared_no_more_is_left_out() -> None:
    """Also a credential that nothing declares."""
    book, registry = world()
    narrowed = ScopeSet(
        authority="a", version=2, received_at=2, node=KEYS[0], scopes=("api|read",)
    )
    registry.apply(narrowed)
    found = {row["identifier"]: row for row in rows(book, registry, limit=1000)}
    assert len(found) == len(KEYS)
    assert [each["scope"] for each in found["jwt.jti:k0"]["scopes"]] == ["api|read"]
    unused = rows(book, registry, unused=True, limit=1000)
    assert {*found} - {row["identifier"] for row in unused} == {
        "jwt.jti:k0", "jwt.jti:k7",
    }  # fmt: skip


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_parts_together_are_the_list_by_name(limit: int) -> None:
    """Each begins behind the last name of the one before."""
    book, registry = world()
    names: list[str] = []
    while part := rows(book, registry, after=names[-1] if names else "", limit=limit):
        names += [row["identifier"] for row in part]
    assert names == sorted(map(str, KEYS))


def test_the_process_that_tells_of_a_realm_answers() -> None:
    """And where none does, nobody knows."""
    none = {"rows": None, "after": None}
    told: dict[str, Any] = {"rows": [], "after": None}
    assert known_scopes([none, told]) is told
    assert known_scopes([none]) == none
