"""Times ahead: no grant acts later than it was received.

Every kind of grant is dated 1 s, 5 min and 6 min ahead of its receipt; a restriction
that comes later, in order of its source's true clock, counts. What restricts keeps
the version that it claims, up to 5 min ahead.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import Fact
from agents_registry.registry import Registry
from tests.property.agreement import table
from tests.property.cases import (
    ENDS,
    LIVES,
    alias,
    alice,
    bob,
    decides,
    declares,
    edge,
    expires,
    holds,
    lift,
    mail,
    narrow,
    node,
    not_before,
    owned,
    revoke,
    suspend,
    t1,
    t2,
    waiting,
)

if TYPE_CHECKING:
    from collections.abc import Callable

AHEAD = pytest.mark.parametrize("ahead", [1, 300, 360])
HEARD = 400  # s; when the statement from ahead was received
LATER = HEARD + 0.5  # what its source says next, by a true clock


def dated(say: Callable[..., Fact], ahead: float) -> Fact:
    """Let a statement be dated ahead of its receipt."""
    return say(v=HEARD + ahead, received=HEARD)


@AHEAD
@pytest.mark.parametrize(
    ("restrict", "reason"),
    [(suspend, "suspend"), (partial(narrow, t1, "r|x"), "narrow")],
)
def test_a_lift_dated_ahead_ends_nothing_that_comes_later(
    ahead: float, restrict: Callable[..., Fact], reason: str
) -> None:
    """It ends what was suspended before, unless it lies more than 5 min ahead."""
    restrict = partial(suspend, t1) if restrict is suspend else restrict
    early, late = restrict(v=10), restrict(v=LATER, received=LATER)
    lifted = dated(partial(lift, t1), ahead)
    refused = ahead > 300
    decides([early, lifted], t1, {reason} if refused else LIVES, now=LATER + 1)
    decides([early, lifted, late], t1, {reason}, now=LATER + 1)
    decides([lifted, late], t1, {reason}, now=LATER + 1)


WIDE_TIGHT = pytest.mark.parametrize(
    ("wide", "tight", "reason"),
    [
        (partial(expires, t1, None), partial(expires, t1, 100), "expired"),
        (partial(declares, t1, "r|x", "r|y"), partial(declares, t1, "r|x"), "scope"),
        (partial(owned, t1, bob), partial(owned, t1, alice), "ownerless"),
    ],
    ids=["renewal", "scope set", "owner set"],
)


@AHEAD
@WIDE_TIGHT
def test_a_register_dated_ahead_outbids_nothing_that_comes_later(
    ahead: float, wide: Callable[..., Fact], tight: Callable[..., Fact], reason: str
) -> None:
    """A later statement of that authority counts, whichever of the two restricts."""
    ask: dict[str, Any] = {"scope": "r|y"} if reason == "scope" else {}
    facts = [node(t1, 1), revoke(alice), dated(wide, ahead)]
    decides(facts, t1, LIVES, **ask)
    decides([*facts, tight(v=LATER, received=LATER)], t1, {reason}, **ask)
    facts = [node(t1, 1), revoke(alice), dated(tight, ahead)]
    decides([*facts, wide(v=LATER, received=LATER)], t1, LIVES, **ask)


@AHEAD
@WIDE_TIGHT
def test_a_copy_that_comes_later_brings_no_later_time(
    ahead: float, wide: Callable[..., Fact], tight: Callable[..., Fact], reason: str
) -> None:
    """Once its claim has passed, a repeat would be believed; the first copy counts."""
    ask: dict[str, Any] = {"scope": "r|y"} if reason == "scope" else {}
    again = wide(v=HEARD + ahead, received=HEARD + 600, key="other")
    facts = [node(t1, 1), revoke(alice), dated(wide, ahead), again]
    decides([*facts, tight(v=LATER, received=LATER)], t1, {reason}, **ask)
    newer = wide(v=HEARD + 500, received=HEARD + 601)
    decides([*facts, tight(v=LATER, received=LATER), newer], t1, LIVES, **ask)


@AHEAD
def test_an_attribute_dated_ahead_is_held_from_its_receipt(ahead: float) -> None:
    """A cause on the attribute that comes later hits the node."""
    held = dated(partial(holds, t1, mail), ahead)
    late = revoke(mail, v=LATER, received=LATER)
    decides([node(t1, 1), held, late], t1, {"revoke"})
    copy = holds(t1, mail, v=HEARD + ahead, received=HEARD + 600, key="other")
    decides([node(t1, 1), held, copy, late], t1, {"revoke"})


@AHEAD
def test_a_time_of_issue_ahead_lifts_no_doubt_past_its_receipt(ahead: float) -> None:
    """A node fact counts as issued at its receipt: a later not_before ends it."""
    born = node(t1, HEARD + ahead, v=HEARD + ahead, received=HEARD)
    mark = not_before(t1, LATER, v=LATER, received=LATER)
    decides([born, mark], t1, {"not_before"})
    decides([born, not_before(t1, HEARD - 1, v=HEARD - 1)], t1, LIVES)


@AHEAD
def test_lineage_dated_ahead_knows_no_time(ahead: float) -> None:
    """Edges and aliases only add denials, and have no version to outbid with."""
    said = {"v": HEARD + ahead, "received": HEARD}
    late = revoke(t1, v=LATER, received=LATER)
    decides([node(t2, 1), edge(t2, t1, ENDS, **said), late], t2, {"revoke"})
    decides([node(t2, 1), alias(t2, t1, **said), late], t2, {"revoke"})


def test_what_restricts_keeps_its_claim_up_to_five_minutes() -> None:
    """A suspend dated ahead holds against a lift that comes before that time."""
    ahead = suspend(t1, v=HEARD + 300, received=HEARD)
    decides([ahead, lift(t1, v=LATER, received=LATER)], t1, {"suspend"})
    decides([ahead, lift(t1, v=HEARD + 301, received=HEARD + 301)], t1, LIVES)
    far = suspend(t1, v=HEARD + 301, received=HEARD)
    decides([far, lift(t1, v=HEARD + 5, received=HEARD + 5)], t1, {"suspend"})
    decides([far, lift(t1, v=HEARD + 6, received=HEARD + 6)], t1, LIVES)


def test_a_lift_clamped_to_its_receipt_is_as_vague_as_a_stamp() -> None:
    """The receipt is our own clock's time: ± 5 s, and the pair within is said."""
    lifted = lift(t1, v=HEARD + 60, received=HEARD)
    decides([suspend(t1, v=HEARD - 5), lifted], t1, {"suspend"})
    decides([suspend(t1, v=HEARD - 5.001), lifted], t1, LIVES)
    for version, said in ((HEARD - 5, True), (HEARD + 65, True), (HEARD + 66, False)):
        registry = table([suspend(t1, v=version), lifted])
        (cause,) = registry.causes.all()
        assert registry.causes.ambiguous(cause) is said, version


def test_what_comes_from_ahead_does_not_pile_up() -> None:
    """A source that is always ahead asks for no rebuild, and is forgotten in time."""
    registry = Registry()
    for second in range(500):
        said: dict[str, Any] = {"v": second + 60, "received": second}
        registry.apply(expires(t1, 1000 + second, **said))
        registry.apply(declares(t1, f"r|{second}", **said))
        registry.apply(owned(t1, alice, **said))
        registry.apply(owned(t1, **said))
        registry.apply(holds(t1, mail, **said))
        assert not registry.needs_rebuild, second
    (claims,) = {len(claims) for *_, claims in registry.dump()["claims"]}
    assert claims <= 61, "what cannot win any more is kept"


@WIDE_TIGHT
def test_a_copy_believed_before_is_found_out(
    wide: Callable[..., Fact], tight: Callable[..., Fact], reason: str
) -> None:
    """The later copy came first: the table denies, and asks to be built anew."""
    first = wide(v=HEARD + 60, received=HEARD + 600, key="other")
    facts = [node(t1, 1), revoke(alice), tight(v=LATER), first]
    registry = waiting(facts)
    asked = [registry.needs_rebuild]
    registry.apply(dated(wide, 60))
    assert [*asked, registry.needs_rebuild] == [False, True]
    ask: dict[str, Any] = {"scope": "r|y"} if reason == "scope" else {}
    decides([*facts, dated(wide, 60)], t1, {reason}, **ask)
