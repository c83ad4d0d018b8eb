"""Time: watermarks, lifts, ties, what is taken back, what is forgotten."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import SECOND
from agents_registry.identifiers import Identifier
from tests.property.agreement import answer
from tests.property.cases import (
    CREATED_BY,
    LIVES,
    alias,
    alice,
    bob,
    decides,
    declares,
    distrust,
    edge,
    expires,
    horizon,
    jti,
    lift,
    node,
    not_before,
    owned,
    path,
    revoke,
    suspend,
    t1,
    t2,
    t3,
    waiting,
    withdraw,
)  # fmt: skip
from tests.property.worlds import Question

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.facts import Fact

pytestmark = pytest.mark.property

MARK = not_before(alice, 50)
HERS = edge(t1, alice)
AHEAD = 4000  # seconds; the other times of a case are far below, receive time is 1000


@pytest.mark.parametrize(
    ("issued", "reasons"),
    [(49, {"not_before"}), (50, {"not_before"}), (51, set()), (None, {"not_before"})],
)
def test_a_watermark_ends_what_was_issued_up_to_it(
    issued: float | None, reasons: set[str]
) -> None:
    """Issued at exactly T is dead, and so is what tells no time."""
    decides([HERS, MARK, node(t1, issued)], t1, reasons)


def test_an_issue_time_ahead_of_its_receipt_escapes_no_watermark() -> None:
    """A clock in the year 2451 would be immune to every watermark."""
    later = not_before(alice, 1200, v=1200, received=1300)
    decides([HERS, later, node(t1, 9999, received=1100)], t1, {"not_before"})
    decides([HERS, MARK, node(t1, 9999, received=1100)], t1, LIVES)


def test_a_watermark_passes_through_principals_and_containers() -> None:
    """A user name that was deleted lives on as a name; its old sessions do not."""
    facts = [edge(t1, path), edge(path, alice), MARK, node(t1, 40)]
    decides([*facts, node(alice)], alice, LIVES, issued=51)
    decides([*facts, node(path)], path, LIVES, issued=51)
    decides([*facts, owned(t2, alice), node(t2)], t2, LIVES)
    decides(facts, t1, {"not_before"})


def test_a_principal_without_a_time_is_older_than_any_watermark() -> None:
    """Nobody knows which login is presented."""
    facts = [edge(path, alice), MARK, node(alice), node(path)]
    decides(facts, alice, {"not_before"})
    decides(facts, path, {"not_before"})
    decides(facts, alice, {"not_before"}, issued=50)


def test_a_watermark_reaches_what_is_presented_beside_its_subject() -> None:
    """No fact ties the token to the user: that they come together does."""
    facts = [MARK, node(alice)]
    for issued, reasons in ((50, {"not_before"}), (51, LIVES), (None, {"not_before"})):
        decides(facts, (jti, alice), reasons, issued=issued)
        decides(facts, (alice, jti), reasons, issued=issued)
    decides([*facts, node(t1, 51)], (t1, alice), LIVES)
    decides([*facts, node(t1, 50)], (t1, alice), {"not_before"})
    decides([*facts, node(t1)], (t1, alice), {"not_before"})
    decides([*facts, node(t1, 51), node(t2, 50)], (t1, t2, alice), {"not_before"})
    decides([*facts, node(t1, 51)], t1, LIVES, chain=(alice,))
    decides([*facts, node(t1, 51)], t1, {"not_before"}, chain=(alice,), issued=50)


def test_what_hangs_on_an_outdated_credential_is_dead() -> None:
    """A young child of an old token falls with the token."""
    facts = [HERS, MARK, node(t1, 40), edge(t2, t1), node(t2, 60)]
    decides(facts, t2, {"not_before"})


def test_a_verified_claim_lifts_the_doubt_about_the_issue_time() -> None:
    """A JWT that no source listed tells its own ``iat``."""
    facts = [edge(jti, alice), MARK]
    decides(facts, jti, {"not_before"})
    decides(facts, jti, LIVES, issued=51)
    decides(facts, jti, {"not_before"}, issued=50)
    decides([*facts, node(jti, 40)], jti, {"not_before"}, issued=51)


def test_a_name_that_an_alias_adds_is_as_old_as_the_claim_says() -> None:
    """What was required, and of unknown age, is the presented credential itself."""
    facts = [not_before(t2, 50), edge(t1, t2)]
    decides(facts, t1, {"not_before"}, issued=51)
    decides([*facts, alias(t1, t2)], t1, LIVES, issued=51)
    decides([*facts, alias(t1, t2)], t1, {"not_before"})
    decides([*facts, alias(t1, t2)], t1, {"not_before"}, issued=50)


def test_an_alias_never_lifts_the_doubt_about_the_issue_time() -> None:
    """A name without a time of its own stays doubtful; old times count for all."""
    facts = [HERS, MARK, alias(t1, t2), node(t2, 60)]
    decides(facts, t1, {"not_before"})
    decides([*facts, node(t1, 70)], t1, LIVES)
    decides([*facts, node(t1, 70), alias(t3, t2), node(t3, 20)], t1, {"not_before"})


def test_a_watermark_from_the_future_is_clamped() -> None:
    """A clock in the year 2451 does not end what is issued tomorrow."""
    mark = not_before(alice, 9000, received=55)
    decides([HERS, mark, node(t1, 55)], t1, {"not_before"})
    decides([HERS, mark, node(t1, 56)], t1, LIVES)


@pytest.mark.parametrize("word", ["device", "tenant"])
def test_a_complex_subject_spares_other_devices_and_tenants(word: str) -> None:
    """Only what says that it sits elsewhere is spared."""

    def at(place: str | None) -> dict[str, Any]:
        return {word: place}

    mark = not_before(alice, 50, **at("one"))
    decides([HERS, mark, node(t1, 40)], t1, {"not_before"})
    decides([HERS, mark, node(t1, 40, **at("one"))], t1, {"not_before"})
    decides([HERS, mark, node(t1, 40, **at("two"))], t1, LIVES)
    both = [node(t1, 40, **at("one")), node(t1, 40, **at("two"))]
    decides([HERS, mark, *both], t1, {"not_before"})
    aliased = [alias(t1, t2), node(t2, 40, **at("two"))]
    decides([HERS, mark, node(t1, 40), *aliased], t1, {"not_before"})


@pytest.mark.parametrize(
    ("stamped", "later", "reasons"),
    [
        (False, 0, {"suspend"}),
        (False, 0.001, set()),
        (True, 4, {"suspend"}),
        (True, 5, {"suspend"}),
        (True, 5.001, set()),
    ],
)
def test_a_lift_ends_a_suspend_only_beyond_the_uncertainty(
    stamped: bool, later: float, reasons: set[str]
) -> None:
    """Equal times are no order, and neither are times that we stamped ourselves."""
    suspended = suspend(t1, v=10, stamped=stamped)
    decides([suspended, lift(t1, v=10 + later)], t1, reasons)
    stamped_lift = lift(t1, v=10 + later, stamped=stamped)
    decides([suspend(t1, v=10), stamped_lift], t1, reasons)


def test_a_lift_needs_the_authority_the_identifier_and_the_aspect() -> None:
    """One system does not lift what another one suspended."""
    facts = [suspend(t1, v=10, aspect="key")]
    decides([*facts, lift(t1, v=20, aspect="key")], t1, LIVES)
    decides([*facts, lift(t1, v=20, aspect="risk")], t1, {"suspend"})
    decides([*facts, lift(t1, v=20, aspect="key", by="okta")], t1, {"suspend"})
    decides([*facts, alias(t1, t2), lift(t2, v=20, aspect="key")], t1, {"suspend"})


def test_any_later_lift_ends_an_ambiguous_suspend() -> None:
    """The command that `lift_ambiguous` names is another lift."""
    facts = [suspend(t1, v=10, stamped=True), lift(t1, v=12)]
    decides([*facts, lift(t1, v=16)], t1, LIVES)


def test_a_lift_ends_neither_a_revoke_nor_a_watermark() -> None:
    """Final is final."""
    decides([revoke(t1, v=1), lift(t1, v=99)], t1, {"revoke"})
    decides([HERS, MARK, node(t1, 40), lift(alice, v=99)], t1, {"not_before"})


def test_a_suspend_after_the_lift_counts() -> None:
    """Suspended, lifted, suspended again: in any order of arrival."""
    facts = [suspend(t1, v=10), lift(t1, v=20), suspend(t1, v=30)]
    decides(facts, t1, {"suspend"})
    decides([*facts, lift(t1, v=40)], t1, LIVES)


def test_a_lift_from_the_future_is_refused() -> None:
    """Five minutes ahead are tolerated, more are not."""
    facts = [suspend(t1, v=10)]
    decides([*facts, lift(t1, v=400, received=100)], t1, LIVES)
    decides([*facts, lift(t1, v=401, received=100)], t1, {"suspend"})


def test_a_cause_from_the_future_counts_from_its_receive_time() -> None:
    """A suspend from the year 2451 can be lifted today, after the doubt of 5 s."""
    facts = [suspend(t1, v=AHEAD, received=100, at=100)]
    decides([*facts, lift(t1, v=105)], t1, {"suspend"})
    decides([*facts, lift(t1, v=106)], t1, LIVES)


def test_of_equal_expiries_the_earlier_counts() -> None:
    """Equal timestamps: which one came later is not known. None is the latest."""
    decides([expires(t1, 900, v=5), expires(t1, 400, v=5)], t1, {"expired"})
    decides([expires(t1, None, v=5), expires(t1, 400, v=5)], t1, {"expired"})
    decides([expires(t1, 900, v=6), expires(t1, 400, v=5)], t1, LIVES)
    decides([expires(t1, None, v=6), expires(t1, 400, v=5)], t1, LIVES)


def test_of_several_authorities_the_earliest_expiry_counts() -> None:
    """Every authority may end, none may prolong for another."""
    facts = [expires(t1, 400, v=1), expires(t1, 900, v=9, by="okta")]
    decides(facts, t1, {"expired"})


def test_equal_declarations_of_scope_must_all_cover() -> None:
    """Equal timestamps narrow."""
    facts = [declares(t1, "r|x", v=5), declares(t1, "r|y", v=5)]
    decides(facts, t1, {"scope"}, scope="r|x")
    decides([*facts, declares(t1, "r|x", v=6)], t1, LIVES, scope="r|x")


def test_withdraw_ends_every_copy_of_a_fact() -> None:
    """Also those that arrive later."""
    facts = [revoke(t1), revoke(t1, received=2000, key="second")]
    decides(facts, t1, {"revoke"})
    decides([*facts, withdraw(revoke(t1))], t1, LIVES)
    decides([*facts, revoke(t1, at=3), withdraw(revoke(t1))], t1, {"revoke"})


def test_withdraw_of_a_grant_denies_again() -> None:
    """A lift or an owner set may have been the mistake."""
    facts = [suspend(t1, v=10), lift(t1, v=20)]
    mistaken = withdraw(lift(t1, v=20))
    decides([*facts, mistaken], t1, {"suspend"})
    decides([*facts, lift(t1, v=30), mistaken], t1, LIVES)


def test_distrust_takes_back_what_a_stolen_key_said() -> None:
    """In the interval, both ends included; by that key and authority only."""
    forged = revoke(t1, key="stolen", received=100)
    decides([forged], t1, {"revoke"})
    decides([forged, distrust(90, 110)], t1, LIVES)
    decides([forged, distrust(100, 100)], t1, LIVES)
    decides([forged, distrust(101, 110)], t1, {"revoke"})
    decides([forged, distrust(90, 99)], t1, {"revoke"})
    decides([forged, distrust(90, 110, key="other")], t1, {"revoke"})


def test_a_fact_stands_while_one_trusted_copy_stands() -> None:
    """The thief replayed a genuine revoke: that one stays."""
    copies = [revoke(t1, received=50), revoke(t1, key="stolen", received=100)]
    decides([*copies, distrust(90, 110)], t1, {"revoke"})
    decides([*copies, distrust(90, 110), distrust(0, 60, key="key")], t1, LIVES)


def test_distrust_takes_back_grants_as_well() -> None:
    """A forged lift, a forged age."""
    stolen: dict[str, Any] = {"key": "stolen", "received": 100}
    facts = [suspend(t1, v=10), lift(t1, v=20, **stolen)]
    decides([*facts, distrust(90, 110)], t1, {"suspend"})
    facts = [HERS, MARK, node(t1, 60, **stolen)]
    decides(facts, t1, LIVES)
    decides([*facts, distrust(90, 110)], t1, {"not_before"})


def test_the_smallest_time_over_the_copies_counts() -> None:
    """A redelivery days later does not move a watermark or a suspend."""
    copies = [not_before(alice, 900, received=r, key=str(r)) for r in (40, 700)]
    decides([HERS, *copies, node(t1, 41)], t1, LIVES)
    decides([HERS, *copies, node(t1, 40)], t1, {"not_before"})
    again = [suspend(t1, v=v, received=v, stamped=True, at=10) for v in (10, 700)]
    decides([*again, lift(t1, v=20)], t1, LIVES)


def test_a_stale_redelivery_does_not_win_a_register() -> None:
    """What we stamped ourselves keeps its first time: a zombie's write is old."""

    def both(old: Any, new: Any) -> list[Any]:
        """Say old, new, and old once more, all stamped on arrival."""
        times = [{"v": v, "received": v, "stamped": True} for v in (10, 20, 30)]
        return [say(**t) for say, t in zip((old, new, old), times, strict=True)]

    facts = both(partial(declares, t1, "r|x"), partial(declares, t1, "r|y"))
    decides(facts, t1, {"scope"}, scope="r|x")
    facts = both(partial(expires, t1, None), partial(expires, t1, 40))
    decides(facts, t1, {"expired"})
    facts = both(partial(owned, t1, bob), partial(owned, t1, alice))
    decides([*facts, revoke(alice)], t1, {"ownerless"})
    decides([*facts, revoke(bob)], t1, LIVES)


def test_withdraw_of_an_alias_knows_no_direction() -> None:
    """Said either way round it is one fact."""
    facts = [declares(t1), alias(t2, t1, v=3)]
    decides(facts, t2, {"scope"}, scope="r|x")
    for target in (t1, t2):
        taken = withdraw(alias(t1, t2, v=3), target=target)
        decides([*facts, taken], t2, LIVES, scope="r|x")


def test_beyond_the_horizon_a_forgotten_parent_denies() -> None:
    """What ended the parent may have been pruned."""
    facts = [horizon(100), edge(t2, t1)]
    decides([*facts, node(t2, 99)], t2, {"beyond_horizon"})
    decides([*facts, node(t2)], t2, {"beyond_horizon"})
    decides([*facts, node(t2, 100)], t2, LIVES)
    decides([*facts, node(t2, 99), node(t1, derived=True)], t2, {"beyond_horizon"})
    decides([*facts, node(t2, 99), node(t1)], t2, LIVES)
    decides([*facts, node(t2, 99, root=True)], t2, LIVES)
    decides([*facts, node(t2, 99), edge(t3, t2), node(t3, 300)], t3, {"beyond_horizon"})


def test_the_horizon_asks_for_credentials_with_a_parent_only() -> None:
    """Principals, and credentials that nobody hung on anything, are never pruned."""
    decides([horizon(100), node(alice, 1), edge(alice, bob)], alice, LIVES)
    decides([horizon(100), node(t1, 1)], t1, LIVES)
    decides([horizon(100), node(t1, 1), edge(t1, bob, CREATED_BY)], t1, LIVES)
    decides([horizon(100), node(t1, 1), alias(t1, t2)], t1, LIVES)


def test_an_older_name_counts_at_the_horizon() -> None:
    """What would have ended the older name may be forgotten."""
    facts = [horizon(100), node(t1, 100), edge(t1, alice)]
    decides(facts, t1, LIVES)
    decides([*facts, alias(t1, t2), node(t2, 99)], t1, {"beyond_horizon"})
    decides([*facts, alias(t1, t2), node(t2, 101)], t1, LIVES)


def test_the_presented_chain_and_time_count_at_the_horizon() -> None:
    """A pruned actor ends an old token; a fresh token tells its own time."""
    facts = [horizon(100), node(t1, 1)]
    decides(facts, t1, {"beyond_horizon"}, chain=(t2,))
    decides([horizon(100)], jti, {"beyond_horizon"}, chain=(alice,), issued=99)
    decides([horizon(100)], jti, LIVES, chain=(alice,), issued=100)


def test_the_latest_horizon_counts() -> None:
    """Each prune forgets more."""
    facts = [horizon(100), horizon(50), edge(t2, t1), node(t2, 70)]
    decides(facts, t2, {"beyond_horizon"})


def test_an_unknown_credential_is_denied_by_its_policy() -> None:
    """Opaque tokens must be known; a verified JWT needs a known principal."""
    decides([], t1, {"unknown_credential"}, strict=True)
    decides([], t1, LIVES)
    decides([node(t1, derived=True)], t1, {"unknown_credential"}, strict=True)
    decides([node(t1)], t1, LIVES, strict=True)
    decides([], jti, {"unknown_credential"}, strict=True)
    decides([node(alice)], jti, LIVES, strict=True, chain=(alice,))
    decides([node(alice)], (jti, alice), LIVES, strict=True)
    decides([node(alice)], (t1, alice), {"unknown_credential"}, strict=True)
    decides([node(t1)], (t1, t2), {"unknown_credential"}, strict=True)
    decides([node(alice), edge(jti, alice)], jti, {"unknown_credential"}, strict=True)
    decides([node(path)], jti, {"unknown_credential"}, strict=True, chain=(path,))


def test_a_name_that_nobody_knows_is_denied() -> None:
    """Names are asked for only where no credential is presented."""
    decides([], alice, {"unknown_credential"}, strict=True)
    decides([node(t1)], (t1, alice), LIVES, strict=True)
    decides([node(bob)], (bob, alice), LIVES, strict=True)


def test_the_class_follows_from_the_kind_alone() -> None:
    """A person that no fact names is no token of unknown age."""
    decides([node(bob), not_before(bob, 5)], (bob, alice), LIVES, issued=6)
    decides([node(alice), not_before(bob, 5), node(t1, 6)], (t1, bob, alice), LIVES)
    secret = Identifier("secret", "s")
    facts = [node(bob), not_before(bob, 5)]
    decides(facts, secret, {"not_before"}, chain=(bob,))


@pytest.mark.parametrize("beside", [(), (expires(t1, 900, by="okta"),)])
@pytest.mark.parametrize(
    ("wide", "tight", "reasons"),
    [
        (partial(expires, t1, None), partial(expires, t1, 100), {"expired"}),
        (partial(declares, t1, "r|x", "r|y"), partial(declares, t1, "r|x"), {"scope"}),
        (partial(owned, t1, bob), partial(owned, t1, alice), {"ownerless"}),
    ],
)
def test_a_statement_older_than_it_seemed_allows_nothing(
    wide: Callable[..., Fact],
    tight: Callable[..., Fact],
    reasons: set[str],
    beside: tuple[Fact, ...],
) -> None:
    """What it replaced counts; until the table is built anew, nothing is allowed.

    Another authority may have said something too.
    """
    ask: dict[str, Any] = {"scope": "r|y"} if "scope" in reasons else {}
    stamped, tightened = wide(v=15, stamped=True), tight(v=5)
    facts = [node(t1, 1), revoke(alice), *beside, stamped, tightened]
    decides(facts, t1, (), **ask)

    facts.append(wide(v=2, stamped=True))
    decides(facts, t1, reasons, **ask)

    decides([*facts, wide(v=20)], t1, (), **ask)
    doubted = waiting([*facts, wide(v=20)])
    assert doubted.needs_rebuild, "the case is about a table that waits"
    assert answer(doubted, Question((t1,), now=500 * SECOND, **ask)).allowed
