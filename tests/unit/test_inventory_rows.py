"""Parts of an inventory: each row once, whatever the size of the parts."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from agents_registry import clearance
from agents_registry.facts import (
    Cause,
    Edge,
    Effect,
    Fact,
    Node,
    OwnerSet,
    Renewal,
    ScopeSet,
)
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.http import inventory_parts
from streams.model.times import DAY, SECOND
from streams.services.inventory_rows import InventoryFilter, InventoryRows

pytestmark = pytest.mark.unit

ANN, BOB = (Identifier("person.id", name) for name in ("ann", "bob"))
BOT, TOOL = Identifier("agent.id", "bot"), Identifier("agent.id", "tool")
ACCOUNT = Identifier("service_account.id", "sa")
KEYS = [Identifier("vault.accessor", f"k{number}") for number in range(5)]
NOW = 1_000 * DAY


def fact(kind: type[Fact], **fields: Any) -> Fact:
    """Give a fact said and received at a second."""
    return kind(authority="vault", version=SECOND, received_at=SECOND, **fields)


def table() -> Registry:
    """Give five keys, of which one is dead, one Bob's, and three expire."""
    return Registry.build([
        *(fact(Node, node=node) for node in (ANN, BOB, BOT, TOOL, ACCOUNT, *KEYS)),
        *(fact(OwnerSet, node=key, owners=(ANN,)) for key in KEYS[:3]),
        fact(OwnerSet, node=KEYS[3], owners=(ANN, BOB)),
        *(fact(Edge, child=agent, parent=ACCOUNT) for agent in (BOT, TOOL)),
        fact(Edge, child=KEYS[4], parent=Identifier("vault.path", "auth/x")),
        fact(ScopeSet, node=ACCOUNT, scopes=("aws|s3:get",)),
        fact(ScopeSet, node=BOT, scopes=("aws|s3:get", "aws|s3:put")),
        fact(Renewal, node=KEYS[1], expires_at=NOW + 2 * DAY),
        fact(Renewal, node=KEYS[0], expires_at=NOW + 2 * DAY),
        fact(Renewal, node=KEYS[2], expires_at=NOW + DAY),
        fact(Renewal, node=KEYS[3], expires_at=NOW - DAY),
        fact(Cause, target=KEYS[2], effect=Effect.REVOKE, at=SECOND),
    ])  # fmt: skip


def rows(list_: str, **more: Any) -> list[dict[str, Any]]:
    """Give all rows of a list."""
    made = InventoryRows(table(), InventoryFilter(list_, **more), NOW)
    return [row for _, row in made.looked(0) if row is not None]


def names(found: list[dict[str, Any]]) -> list[str]:
    """Give the identifiers of rows."""
    return [row["identifier"] for row in found]


def test_a_row_says_who_owns_it_what_it_may_and_until_when() -> None:
    """And whether it lives."""
    by = {row["identifier"]: row for row in rows("all")}
    dead, bot = by[str(KEYS[2])], by[str(BOT)]
    assert ([str(ANN)], False, "revoked") == (
        dead["owners"], dead["allowed"], dead["reason"],
    )  # fmt: skip
    assert dead["expires_at"].startswith("1972-09-28")
    assert (["aws|s3:get", "aws|s3:put"], 2, None) == (
        bot["scopes"], bot["scopes_total"], bot["expires_at"],
    )  # fmt: skip
    assert 10 == len(by)


def test_each_list_holds_what_it_is_about() -> None:
    """As the whole inventory has it."""
    (shared,) = rows("shared")
    (excess,) = rows("excess")
    assert (str(ACCOUNT), [str(BOT), str(TOOL)]) == (
        shared["identifier"], shared["agents"],
    )  # fmt: skip
    assert excess["beyond"] == [{"ancestor": str(ACCOUNT), "scopes": ["aws|s3:put"]}]
    assert ["vault.path:auth/x"] == names(rows("unmapped"))
    assert {str(ANN): 4, str(BOB): 1} == {
        row["identifier"]: row["owns"] for row in rows("owners")
    }
    assert str(KEYS[0]) not in names(rows("ownerless"))
    assert [str(KEYS[3])] == names(rows("owned", owner=BOB))
    assert [] == rows("owned", owner=Identifier("person.id", "nobody"))


def test_filters_hold_together() -> None:
    """Text whatever the case, kind or all below it, and whether it lives."""
    assert [str(KEYS[1])] == names(rows("all", text="K1"))
    assert 5 == len(rows("all", kind="vault.*", text="vault"))
    assert 0 == len(rows("all", kind="vault"))
    assert [str(KEYS[2]), str(KEYS[3])] == names(
        rows("all", state="denied", kind="vault.accessor")
    )
    assert str(KEYS[2]) not in names(rows("all", state="allowed"))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_parts_together_are_the_list(size: int) -> None:
    """A part goes on at the place that the one before it named."""
    registry, found, place = table(), list[str](), 0
    while True:
        made = InventoryRows(registry, InventoryFilter("all"), NOW)
        part = []
        for behind, row in made.looked(place):
            place = behind
            part += [] if row is None else [row]
            if len(part) == size:
                break
        found += names(part)
        if len(part) < size:
            break
    assert found == names(rows("all"))


@pytest.mark.parametrize("size", [1, 2, 50])
def test_what_expires_soon_comes_in_that_order(size: int) -> None:
    """Also where two expire together; what did, or does later, is left out."""
    made = InventoryRows(table(), InventoryFilter("expiring", within=3 * DAY), NOW)
    found: list[str] = []
    after: tuple[int, str] | None = None
    while part := finish(made.soonest(after, size)):
        found += names(part)
        after = part[-1]["expires_ns"], part[-1]["identifier"]
    assert found == [str(KEYS[2]), str(KEYS[0]), str(KEYS[1])]
    living = InventoryFilter("expiring", within=3 * DAY, state="allowed")
    part = finish(InventoryRows(table(), living, NOW).soonest(None, 9))
    assert names(part) == [str(KEYS[0]), str(KEYS[1])]


def test_room_for_what_is_known_is_made_in_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first verdict on a table of a million made it all at once, in 11 ms."""
    monkeypatch.setattr(clearance, "PORTION", 2)
    registry = table()
    looked = InventoryRows(registry, InventoryFilter("all"), NOW).looked(0)
    known = [len(registry.clearance.values)]
    while next(looked) == (0, None):
        known.append(len(registry.clearance.values))
    assert len(known) > 2
    assert all(after - before <= 2 for before, after in pairwise(known))
    assert len(registry.lineage) - known[-1] <= 2


async def test_a_part_without_time_is_not_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It gets on by one place at least: a list that stopped would look whole."""
    monkeypatch.setattr(clearance, "PORTION", 1)
    monkeypatch.setattr(inventory_parts, "LOOK_SECONDS", -1.0)
    registry, found, after = table(), list[str](), ""
    while True:
        made = InventoryRows(registry, InventoryFilter("all"), NOW)
        part = await inventory_parts._behind(made, after, 100)
        found += names(part["rows"])
        if part["after"] is None:
            break
        after = part["after"]
    assert found == names(rows("all"))


def test_a_place_is_known_by_the_name_in_front_of_it() -> None:
    """There is none in front of the first, and none behind the last."""
    registry = table()
    made = InventoryRows(registry, InventoryFilter("all"), NOW)
    assert made.mark(0) is None
    assert made.mark(len(registry.lineage) + 1) is None
    assert made.mark(1) == str(registry.lineage.identifier(0))
