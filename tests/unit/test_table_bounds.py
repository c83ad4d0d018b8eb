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
from tests.property.cases import labelled, t1, team
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


def eldest(plain: dict[str, Any]) -> int:
    """Give a number that has a child."""
    children = array("i", plain["lineage.first_child"])
    return next(at for at, child in enumerate(children) if child > 0)


def around(plain: dict[str, Any]) -> None:
    """Let a child be the next one of itself."""
    child = array("i", plain["lineage.first_child"])[eldest(plain)]
    column("lineage.next_child", child, at=child)(plain)


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
    ("change", "told"),
    [
        pytest.param(
            column("lineage.ring", 0),
            "a ring that is none",
            id="a ring that does not come back",
        ),
        pytest.param(column("lineage.ring", -1), "ring: ", id="a ring of none"),
        pytest.param(column("lineage.ring", 1 << 20), "ring: ", id="a ring outside"),
        pytest.param(
            column("lineage.parent", -2), "parent: ", id="a parent below none"
        ),
        pytest.param(
            column("lineage.parent", 1 << 20), "parent: ", id="a parent outside"
        ),
        pytest.param(
            column("lineage.first_child", -2), "first_child: ", id="a child below none"
        ),
        pytest.param(
            column("lineage.next_child", 1 << 20), "next_child: ", id="a child outside"
        ),
        pytest.param(around, "a child of another one", id="children that come back"),
        pytest.param(
            lambda plain: column("lineage.first_child", 0, at=eldest(plain))(plain),
            "a child of another one",
            id="a child that another one has",
        ),
        pytest.param(
            lambda plain: column("lineage.first_child", -1, at=eldest(plain))(plain),
            "children are missing",
            id="a child that is missing",
        ),
        pytest.param(
            column("lineage.relation", 3, "B"), "unknown relations", id="a relation"
        ),
        pytest.param(
            column("lineage.flags", 128, "B"), "without its flag", id="a flag"
        ),
        pytest.param(
            column("expiry.authority", 65534, "H"), "authority: ", id="an authority"
        ),
        pytest.param(
            lambda plain: plain.update({"expiry.authority": bytes(1 << 12)}),
            "expiries of no name",
            id="an expiry of no name",
        ),
        pytest.param(
            names(lambda of: of + b"a"), "without its end", id="a name without its end"
        ),
        pytest.param(
            names(lambda of: b"\xff" + of), "out of range", id="a name of nothing"
        ),
        pytest.param(
            names(lambda of: b"\xc3" + of), "can't decode", id="a name that is no text"
        ),
        pytest.param(
            names(lambda of: b"a\x7f\xff" + of), "kinds: ", id="a name of no kind"
        ),
        pytest.param(
            names(lambda of: "a\u0150".encode() + b"\xff" + of),
            "kinds: ",
            id="of no kind, long",
        ),
        pytest.param(
            row("lineage.more_parents", 0, 0), "lineage.more_parents: ", id="a child"
        ),
        pytest.param(
            row("lineage.more_parents", 0, 1, 0, 0),
            "lineage.more_parents: ",
            id="a further parent",
        ),
        pytest.param(
            row("lineage.more_parents", 0, 1, 0, 1, to=3),
            "relations: ",
            id="its relation",
        ),
        pytest.param(
            row("lineage.reissued", 0, 0), "lineage.reissued: ", id="an issue"
        ),
        pytest.param(
            row("lineage.creators", 0, 1, 0), "lineage.creators: ", id="a creator"
        ),
        pytest.param(
            row("lineage.created", 0, 0), "lineage.created: ", id="created by"
        ),
        pytest.param(
            row("lineage.more_children", 0, 1, 0),
            "lineage.more_children: ",
            id="a further child",
        ),
        pytest.param(row("expiry.shared", 0, 0), "expiry.shared: ", id="an expiry"),
        pytest.param(row("owners", 0, 0), "owners: ", id="the owned"),
        pytest.param(row("owners", 0, 3, 0, 0), "owners: ", id="an owner"),
        pytest.param(row("owned", 0, 1, 0), "owned: ", id="owned"),
        pytest.param(row("scopes", 0, 0), "scopes: ", id="a scope"),
        pytest.param(row("emptied", 0, 0), "emptied: ", id="an empty set"),
        pytest.param(row("holders", 0, 1, 0, 0), "holders: ", id="a holder"),
        pytest.param(row("attributes", 0, 1, 0, 0), "attributes: ", id="an attribute"),
        pytest.param(row("devices", 0, 0), "devices: ", id="a device"),
        pytest.param(row("tenants", 0, 0), "tenants: ", id="a tenant"),
        pytest.param(row("causes", 0, 1), "causes: ", id="a cause"),
        pytest.param(row("causes", 0, 1, to=1 << 20), "causes: ", id="a cause outside"),
        pytest.param(
            row("causes", 0, 1, to=0.0),
            "causes: no number$",
            id="a cause of no whole number",
        ),
        pytest.param(
            row("causes", 0, 1, to=True),
            "causes: no number$",
            id="a cause of no number",
        ),
        pytest.param(row("lifts", 0, 1), "lifts: ", id="a lift"),
        pytest.param(
            unflagged(8), "more_parents without", id="further parents without a flag"
        ),
        pytest.param(unflagged(16), "causes without", id="causes without a flag"),
        pytest.param(unflagged(32), "owners without", id="owners without a flag"),
        pytest.param(unflagged(64), "scopes without", id="scopes without a flag"),
        pytest.param(
            lambda plain: plain["lineage.more_parents"].pop(),
            "parents are missing",
            id="a flag without them",
        ),
    ],
)
def test_refuses_what_would_meet_a_check(
    plain: dict[str, Any], change: Change, told: str
) -> None:
    """It would never end there, raise, or read the value of another node."""
    change(plain)

    with pytest.raises((ValueError, TypeError, LookupError), match=told):
        check_bounds(plain)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (row("labels", 0, 3, 0, 0), "labels: "),
        (column("lineage.flags", 0, "B", at=0), "parents are missing"),
        (lambda plain: plain.pop("labels"), "parents are missing"),
        (lambda plain: plain.update(
            {"lineage.flags": plain["lineage.flags"][::-1]}), "without its flag"),
    ],
)  # fmt: skip
def test_refuses_labels_that_are_none(change: Change, told: str) -> None:
    """A label that is passed over may be a denial."""
    dump = Registry.build([labelled(t1, team)]).dump()
    rows = {name: of for name, of in dump.items() if not isinstance(of, bytes)}
    plain = {**dump, **json.loads(json.dumps(rows))}
    check_bounds(plain)
    change(plain)

    with pytest.raises((ValueError, TypeError), match=told):
        check_bounds(plain)
