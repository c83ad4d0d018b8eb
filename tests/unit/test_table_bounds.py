"""Rings and numbers of a table: one that no guard can walk is refused."""

from __future__ import annotations

import json
from array import array
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry import table_bounds
from agents_registry.facts import Alias, Cause, Effect, from_plain
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from agents_registry.table_bounds import check_bounds
from tests.unit.test_table_form import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable

    Change = Callable[[dict[str, Any]], object]

pytestmark = pytest.mark.unit


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Give a table that has something in every section, read in small pieces."""
    monkeypatch.setattr(table_bounds, "_PIECE", 3)
    facts = json.loads(SAMPLE.read_bytes())["facts"]
    dump = Registry.build(map(from_plain, facts)).dump()
    rows = {name: of for name, of in dump.items() if not isinstance(of, bytes)}
    return {**dump, **json.loads(json.dumps(rows))}


def column(name: str, number: int, code: str = "i", at: int = -1) -> Change:
    """Give a change of one number of a column."""

    def change(plain: dict[str, Any]) -> None:
        numbers = array(code, plain[name])
        numbers[at] = number
        plain[name] = numbers.tobytes()

    return change


def row(name: str, *path: int, to: object = -7) -> Change:
    """Give a change of one number of a row."""

    def change(plain: dict[str, Any]) -> None:
        found = plain[name]
        for at in path[:-1]:
            found = found[at]
        found[path[-1]] = to

    return change


def names(of: Callable[[bytes], bytes]) -> Change:
    """Give a change of the names."""
    return lambda plain: plain.update({"lineage.names": of(plain["lineage.names"])})


def unflagged(flag: int) -> Change:
    """Give a table whose flags tell of no rows of some kind."""
    name = "lineage.flags"
    return lambda plain: plain.update({name: bytes(f & ~flag for f in plain[name])})


def test_what_a_server_sends_is_as_it_should_be(plain: dict[str, Any]) -> None:
    """Names of many kinds too, whose codes are more than one byte, and none at all."""
    check_bounds(plain)
    check_bounds(Registry().dump())
    registry = Registry()
    said: dict[str, Any] = {"authority": "a", "version": 1, "received_at": 1}
    for kind in range(200):
        name = Identifier(f"kind.{kind}", f"ÿ{kind}\udcff")
        registry.apply(Cause(**said, target=name, effect=Effect.REVOKE, at=1))
        registry.apply(Alias(**said, first=name, second=Identifier("jwt.sub", "x")))
    check_bounds(registry.dump())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(column("lineage.ring", 0), id="a ring that does not come back"),
        pytest.param(column("lineage.ring", -1), id="a ring of none"),
        pytest.param(column("lineage.ring", 1 << 20), id="a ring outside"),
        pytest.param(column("lineage.parent", -2), id="a parent below none"),
        pytest.param(column("lineage.parent", 1 << 20), id="a parent outside"),
        pytest.param(column("lineage.first_child", -2), id="a child below none"),
        pytest.param(column("lineage.next_child", 1 << 20), id="a child outside"),
        pytest.param(column("lineage.relation", 3, "B"), id="a relation"),
        pytest.param(column("lineage.flags", 128, "B"), id="a flag"),
        pytest.param(column("expiry.authority", 65534, "H"), id="an authority"),
        pytest.param(
            lambda plain: plain.update({"expiry.authority": bytes(1 << 12)}),
            id="an expiry of no name",
        ),
        pytest.param(names(lambda of: of + b"a"), id="a name without its end"),
        pytest.param(names(lambda of: b"\xff" + of), id="a name of nothing"),
        pytest.param(names(lambda of: b"\xc3" + of), id="a name that is no text"),
        pytest.param(names(lambda of: b"a\x7f\xff" + of), id="a name of no kind"),
        pytest.param(
            names(lambda of: "a\u0150".encode() + b"\xff" + of), id="of no kind, long"
        ),
        pytest.param(row("lineage.more_parents", 0, 0), id="a child"),
        pytest.param(row("lineage.more_parents", 0, 1, 0, 0), id="a further parent"),
        pytest.param(row("lineage.more_parents", 0, 1, 0, 1, to=3), id="its relation"),
        pytest.param(row("lineage.reissued", 0, 0), id="an issue"),
        pytest.param(row("lineage.creators", 0, 1, 0), id="a creator"),
        pytest.param(row("lineage.created", 0, 0), id="created by"),
        pytest.param(row("lineage.more_children", 0, 1, 0), id="a further child"),
        pytest.param(row("expiry.shared", 0, 0), id="an expiry"),
        pytest.param(row("owners", 0, 0), id="the owned"),
        pytest.param(row("owners", 0, 3, 0, 0), id="an owner"),
        pytest.param(row("owned", 0, 1, 0), id="owned"),
        pytest.param(row("scopes", 0, 0), id="a scope"),
        pytest.param(row("emptied", 0, 0), id="an empty set"),
        pytest.param(row("holders", 0, 1, 0, 0), id="a holder"),
        pytest.param(row("attributes", 0, 1, 0, 0), id="an attribute"),
        pytest.param(row("devices", 0, 0), id="a device"),
        pytest.param(row("tenants", 0, 0), id="a tenant"),
        pytest.param(row("causes", 0, 1), id="a cause"),
        pytest.param(row("causes", 0, 1, to=1 << 20), id="a cause outside"),
        pytest.param(row("causes", 0, 1, to=0.0), id="a cause of no whole number"),
        pytest.param(row("causes", 0, 1, to=True), id="a cause of no number"),
        pytest.param(row("lifts", 0, 1), id="a lift"),
        pytest.param(unflagged(8), id="further parents without a flag"),
        pytest.param(unflagged(16), id="causes without a flag"),
        pytest.param(unflagged(32), id="owners without a flag"),
        pytest.param(unflagged(64), id="scopes without a flag"),
        pytest.param(
            lambda plain: plain["lineage.more_parents"].pop(), id="a flag without them"
        ),
    ],
)
def test_refuses_what_would_meet_a_check(plain: dict[str, Any], change: Change) -> None:
    """It would never end there, raise, or read the value of another node."""
    change(plain)

    with pytest.raises((ValueError, TypeError, LookupError)):
        check_bounds(plain)
