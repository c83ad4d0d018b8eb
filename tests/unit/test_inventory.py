"""Queries of the registry: lineage, blast radius, owners, scopes, the table."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import attrs
import pytest

from agents_registry.death import Fate, death
from agents_registry.facts import (
    SECOND,
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Holds,
    LabelSet,
    Lift,
    Node,
    OwnerSet,
    Relation,
    Renewal,
    ScopeSet,
    Withdraw,
)
from agents_registry.identifiers import Identifier
from agents_registry.inventory import (
    BlastRadius,
    affected,
    ambiguous_lifts,
    ancestors,
    blast_radius,
    created_below,
    creators,
    excess_scopes,
    ownerless,
    shared_service_accounts,
    speakers,
    table,
    unapplied,
    unmapped,
)
from agents_registry.registry import Registry
from agents_registry.steps import finish

pytestmark = pytest.mark.unit

ROOT, CHILD, LEAF = (Identifier("vault.accessor", name) for name in ("r", "c", "l"))
LEAF_HMAC = Identifier("vault.token_hmac", "lh")
ANN = Identifier("person.id", "ann")
BOT, TOOL = Identifier("agent.id", "bot"), Identifier("agent.id", "tool")
ACCOUNT = Identifier("service_account.id", "sa")
MAIL = Identifier("attribute.mail", "00ff")


def fact(kind: type[Fact], at: int = 1, **fields: Any) -> Fact:
    """Make a fact said and received at a second."""
    return kind(
        authority="vault", version=at * SECOND, received_at=at * SECOND, **fields
    )


def registry(*facts: Fact) -> Registry:
    """Build a table."""
    return Registry.build(facts)


def tree() -> list[Fact]:
    """Give root -> child -> leaf, the leaf with two names, the root owned by Ann."""
    return [
        *(fact(Node, node=node) for node in (ROOT, CHILD, LEAF, LEAF_HMAC, ANN)),
        fact(Edge, child=CHILD, parent=ROOT),
        fact(Edge, child=LEAF, parent=CHILD),
        fact(Alias, first=LEAF, second=LEAF_HMAC),
        fact(OwnerSet, node=ROOT, owners=(ANN,)),
    ]


def test_ancestors_come_nearest_first_with_their_distance() -> None:
    """Other names of the same node are at distance 0."""
    found = list(ancestors(registry(*tree()), LEAF_HMAC))

    assert [(LEAF, 0), (CHILD, 1), (ROOT, 2)] == found


def test_descendants_are_lazy_and_name_every_name() -> None:
    """The first one comes before the last is looked for."""
    found = affected(registry(*tree()), ROOT)

    assert (CHILD, 1) == next(found)
    assert [(LEAF, 2), (LEAF_HMAC, 2)] == list(found)


def test_nobody_hangs_on_an_identifier_that_no_fact_names() -> None:
    """An unknown name has no lineage, and asking for it is no error."""
    table_ = registry(*tree())

    assert [] == list(affected(table_, BOT))
    assert BlastRadius(0, {}, ()) == blast_radius(table_, BOT)


def test_blast_radius_counts_owned_and_names_created() -> None:
    """Owners reach what they own; what was only created is told apart."""
    created = fact(Edge, child=TOOL, parent=ROOT, relation=Relation.CREATED_BY)
    table_ = registry(*tree(), created, created)
    of_ann, of_root = blast_radius(table_, ANN), blast_radius(table_, ROOT)

    assert {"vault.accessor": 3, "vault.token_hmac": 1} == of_ann.by_kind
    assert 4 == of_ann.total
    assert (TOOL,) == of_root.created
    assert 3 == of_root.total


def test_what_was_created_is_followed_through_what_it_created() -> None:
    """A leaf made a tool, which made a bot: each is found once, and no cascade."""
    made = fact(Edge, child=TOOL, parent=LEAF, relation=Relation.CREATED_BY)
    again = fact(Edge, child=BOT, parent=TOOL, relation=Relation.CREATED_BY)
    back = fact(Edge, child=TOOL, parent=BOT, relation=Relation.CREATED_BY)
    table_ = registry(*tree(), made, again, back)

    assert [TOOL, BOT] == [one for one in created_below(table_, ROOT) if one]
    assert [] == [one for one in created_below(registry(*tree()), ROOT) if one]
    assert ((LEAF, BOT), ()) == (creators(table_, TOOL), creators(table_, ROOT))
    assert death(table_, TOOL) is None


def test_a_cause_on_an_attribute_affects_its_holders() -> None:
    """The people behind a mail address, and what they own."""
    table_ = registry(*tree(), fact(Holds, node=ANN, attribute=MAIL))

    assert [ANN, ROOT] == [who for who, _ in affected(table_, MAIL)][:2]


def test_ownerless_are_known_and_hang_on_nobody() -> None:
    """An owner, a parent or another name's owner is enough."""
    lonely = fact(Node, node=BOT)
    alias_owned = (fact(Node, node=TOOL), fact(OwnerSet, node=TOOL, owners=(ANN,)))
    found = set(ownerless(registry(*tree(), lonely, *alias_owned)))

    assert {ANN, BOT} == found


def test_an_empty_owner_set_that_came_later_is_ownerless() -> None:
    """The old set stays in force for life, the inventory says that it emptied."""
    bot = (fact(Node, node=BOT), fact(OwnerSet, at=1, node=BOT, owners=(ANN,)))
    emptied = fact(OwnerSet, at=2, node=BOT, owners=())
    refilled = fact(OwnerSet, at=3, node=BOT, owners=(ANN,))

    assert BOT in set(ownerless(registry(*bot, emptied)))
    assert BOT not in set(ownerless(registry(*bot, emptied, refilled)))


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_ownerless_is_the_same_in_every_order(order: tuple[int, ...]) -> None:
    """The latest empty set counts for each authority, whichever arrives last."""
    statements = [
        fact(OwnerSet, at=2, node=BOT, owners=(ANN,)),
        fact(OwnerSet, at=1, node=BOT, owners=()),
        fact(OwnerSet, at=3, node=BOT, owners=()),
        attrs.evolve(fact(OwnerSet, at=9, node=BOT, owners=(ANN,)), authority="okta"),
    ]
    arrived = [fact(Node, node=BOT), *(statements[number] for number in order)]

    assert BOT in set(ownerless(registry(*arrived)))
    arrived.remove(statements[2])
    assert BOT not in set(ownerless(registry(*arrived)))


def test_a_service_account_of_two_agents_is_shared() -> None:
    """One agent alone does not share."""
    bot = fact(Edge, child=BOT, parent=ACCOUNT)
    tool = fact(Edge, child=TOOL, parent=ACCOUNT)

    assert [] == list(shared_service_accounts(registry(*tree(), bot)))
    assert [(ACCOUNT, (BOT, TOOL))] == list(
        shared_service_accounts(registry(bot, tool))
    )


def test_an_account_is_shared_by_credentials_that_hang_on_it_and_on_agents() -> None:
    """Of accounts alone, and of credentials alone."""
    edges = (
        fact(Edge, child=CHILD, parent=ACCOUNT),
        fact(Edge, child=CHILD, parent=BOT),
        fact(Edge, child=LEAF, parent=ACCOUNT),
        fact(Edge, child=LEAF, parent=TOOL),
        fact(Edge, child=LEAF, parent=ANN),
        fact(Edge, child=MAIL, parent=ACCOUNT),
    )
    shared = registry(*edges)

    assert [(ACCOUNT, (BOT, TOOL))] == list(
        shared_service_accounts(shared, lambda kind: kind == ACCOUNT.kind)
    )
    assert [] == list(shared_service_accounts(shared))


def test_a_child_that_declares_more_than_an_ancestor_escalates() -> None:
    """Only the excess is named; an ancestor without scopes limits nothing."""
    facts = (
        *tree(),
        fact(ScopeSet, node=ROOT, scopes=("s3|get:*",)),
        fact(ScopeSet, node=LEAF, scopes=("s3|get:a", "s3|put")),
    )

    assert [(LEAF, ROOT, ("s3|put",))] == list(excess_scopes(registry(*facts)))
    assert [] == list(excess_scopes(registry(*facts[:-1])))


def test_a_child_within_its_ancestors_scopes_does_not_escalate() -> None:
    """To declare less than an ancestor is what a child should do."""
    facts = (
        *tree(),
        fact(ScopeSet, node=ROOT, scopes=("s3|get:*",)),
        fact(ScopeSet, node=LEAF, scopes=("s3|get:a",)),
    )

    assert [] == list(excess_scopes(registry(*facts)))


@pytest.mark.parametrize("kind", ["withdraw", "distrust"])
def test_what_an_operator_took_back_cannot_be_taken_back(kind: str) -> None:
    """A withdraw that names a withdraw or a distrust changes nothing."""
    table_ = registry(*tree())
    said: dict[str, Any] = {
        "authority": "operators",
        "version": SECOND,
        "received_at": SECOND,
    }
    table_.apply(Withdraw(**said, fact_id="00", kind=kind, target=ROOT))

    assert not table_.needs_rebuild
    assert table(table_, now=0) == table(registry(*tree()), now=0)


def test_a_parent_that_was_only_named_is_unmapped() -> None:
    """It lives, and it is shown."""
    assert [ROOT] == list(unmapped(registry(fact(Edge, child=CHILD, parent=ROOT))))


def test_a_lift_within_the_uncertainty_is_ambiguous() -> None:
    """The suspend stays; a clear lift ends it and the doubt."""
    suspend = Cause(
        authority="vault",
        version=10 * SECOND,
        stamped=True,
        received_at=10 * SECOND,
        target=BOT,
        effect=Effect.SUSPEND,
        at=10 * SECOND,
    )
    near, clear = (fact(Lift, at=at, target=BOT) for at in (12, 16))

    assert [] == list(ambiguous_lifts(registry(suspend)))
    assert [BOT] == [
        registry(suspend).lineage.identifier(c.node)
        for c in ambiguous_lifts(registry(suspend, near))
    ]
    assert [] == list(ambiguous_lifts(registry(suspend, near, clear)))


def test_a_cause_on_an_attribute_that_nobody_holds_is_unapplied() -> None:
    """A holder by a later fact does not count: it was not meant."""
    cause = Cause(
        authority="vault",
        version=5 * SECOND,
        received_at=5 * SECOND,
        target=MAIL,
        effect=Effect.REVOKE,
        at=5 * SECOND,
    )
    later, earlier = (fact(Holds, at=at, node=ANN, attribute=MAIL) for at in (6, 4))

    other = attrs.evolve(cause, target=CHILD)

    assert 1 == len(list(unapplied(registry(cause, other))))
    assert 1 == len(list(unapplied(registry(cause, later))))
    assert [] == list(unapplied(registry(cause, earlier)))


def test_the_table_has_a_row_for_each_identifier() -> None:
    """Attributes are no rows; expiry, scopes, owners and causes stand in them."""
    cause = Cause(
        authority="vault",
        version=5 * SECOND,
        received_at=5 * SECOND,
        target=CHILD,
        effect=Effect.REVOKE,
        at=5 * SECOND,
    )
    facts = (
        *tree(),
        cause,
        fact(Holds, node=ANN, attribute=MAIL),
        fact(Renewal, node=ROOT, expires_at=99 * SECOND),
        fact(ScopeSet, node=ROOT, scopes=("s3|get",)),
    )
    rows = {row.identifier: row for row in table(registry(*facts), now=6 * SECOND)}

    assert {ROOT, CHILD, LEAF, LEAF_HMAC, ANN} == rows.keys()
    assert rows[ROOT].allowed
    assert 99 * SECOND == rows[ROOT].expires_at
    assert (("s3|get",),) == rows[ROOT].scopes
    assert ((ANN,),) == rows[ROOT].owners
    assert "revoked" == rows[LEAF_HMAC].reason
    assert rows[CHILD].causes == rows[LEAF_HMAC].causes != ()


def test_two_authorities_keep_their_own_expiry() -> None:
    """The earliest counts; a later version of one moves only its own."""
    okta = Renewal(
        authority="okta",
        version=SECOND,
        received_at=SECOND,
        node=ROOT,
        expires_at=50 * SECOND,
    )
    mine = fact(Renewal, node=ROOT, expires_at=40 * SECOND)
    renewed = fact(Renewal, at=2, node=ROOT, expires_at=90 * SECOND)
    (row,) = table(registry(okta, mine), now=0)
    (later,) = table(registry(okta, mine, renewed), now=0)

    assert 40 * SECOND == row.expires_at
    assert 50 * SECOND == later.expires_at


def test_who_speaks_of_a_node_is_told_by_what_stands() -> None:
    """Whose word on expiry, owners, scopes or labels counts; not who declared it."""
    team = Identifier("label.team", "payments")

    def of(authority: str, fact: Fact) -> Fact:
        return attrs.evolve(fact, authority=authority)

    facts = [
        *tree(),
        of("idp", fact(OwnerSet, node=CHILD, owners=(ANN,))),
        of("aws", fact(ScopeSet, node=CHILD, scopes=("r|x",))),
        of("ops", fact(LabelSet, node=CHILD, labels=(team,))),
        fact(Renewal, node=LEAF, expires_at=9 * SECOND),
        fact(Renewal, node=CHILD, expires_at=9 * SECOND),
        of("other", fact(Renewal, node=LEAF, expires_at=8 * SECOND)),
    ]
    table_ = registry(*facts)
    find = table_.lineage.find

    assert speakers(table_, find(CHILD)) == {"vault", "idp", "aws", "ops"}
    assert speakers(table_, find(LEAF)) == {"vault", "other"}
    assert speakers(table_, find(ROOT)) == {"vault"}
    assert speakers(table_, find(LEAF_HMAC)) == speakers(table_, find(team)) == set()


def test_a_death_is_dated_by_the_access() -> None:
    """Before the cause, at it, after it, and after the lift."""
    suspend = Cause(
        authority="vault",
        version=5 * SECOND,
        received_at=5 * SECOND,
        target=ROOT,
        effect=Effect.SUSPEND,
        at=5 * SECOND,
    )
    lift = fact(Lift, at=9, target=ROOT)
    table_ = registry(*tree(), suspend, lift)
    dead = death(table_, LEAF, at=6 * SECOND)

    assert dead is not None
    assert "ancestor" == dead.via
    assert (LEAF, CHILD, ROOT) == dead.path
    assert death(table_, LEAF, at=5 * SECOND) is None
    assert death(table_, LEAF, at=5 * SECOND, inclusive=True) is not None
    assert death(table_, LEAF, at=9 * SECOND) is None
    assert [5 * SECOND, 9 * SECOND] == Fate(table_, LEAF).turning_points()
    assert [] == Fate(table_, BOT).turning_points()
    assert set() == finish(Fate(table_, BOT).causing())


def test_a_table_may_grow_while_descendants_are_walked() -> None:
    """A long walk stands still between slices, and facts go on being merged."""
    table_ = registry(*tree())
    walk = affected(table_, ROOT)
    first = next(walk)
    for number in range(100):
        new = Identifier("vault.accessor", f"late{number}")
        table_.apply(fact(Edge, child=new, parent=LEAF))
    found = {who for who, _ in walk}

    assert (CHILD, 1) == first
    assert {LEAF, LEAF_HMAC} < found
