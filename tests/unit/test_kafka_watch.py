"""A partition of accesses goes on over rebuilt tables and restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import Cause, Effect, Node, ScopeSet
from agents_registry.identifiers import Identifier, extend
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.engines.kafka.checkpoints.uses_file import UsesFile
from streams.engines.kafka.records.accesses import access_records, read_access
from streams.engines.kafka.sentinel.owned_partition import OwnedPartition
from streams.model.findings import FindingKind
from streams.pipeline.realm import Realm
from streams.pipeline.unsaved import AccessTally
from streams.stages.access.uses import AccessEvent
from streams.stages.ingest.ingress import Origin
from streams.stages.registry.cascade import Cascade
from streams.stages.sentinel.points import EnforcementPoints
from streams.stages.sentinel.tolerances import Tolerances

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit

S = 10**9
NOW = 10**18
TOKEN = Identifier("vault.accessor", "t")
SAID: dict[str, Any] = {"authority": "v", "version": 1, "received_at": 1}
ISSUE = Node(**SAID, node=TOKEN, issued_at=1)
SHADOW = Identifier("vault.accessor", "shadow")
CAUSE = Cause(**SAID, target=TOKEN, effect=Effect.REVOKE, at=1)


class World:
    """A worker's table, guards and file; `watched` is one process after the other."""

    def __init__(self, file: UsesFile) -> None:
        """Start with a token that lives."""
        self.file = file
        self.realm = Realm(Cascade(extend({})))
        self.realm.apply(ISSUE, 0)
        self.points = EnforcementPoints()

        self.tally = AccessTally()

    def watched(self) -> OwnedPartition:
        """Give the partition as a process that starts has it."""
        tolerances = Tolerances(0, 0, 10**20, 10**20)
        return OwnedPartition(
            self.file, tolerances, lambda _: self.realm,
            points_of=lambda _: self.points, tally=self.tally,
        )  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Give a world with an empty file."""
    file = UsesFile(tmp_path / "u.db")
    yield World(file)
    file.close()


def show(
    watched: OwnedPartition, name: Identifier = TOKEN, *scopes: str, **more: Any
) -> None:
    """Show one use of a credential, at 5 s."""
    more = {"identifiers": (name,), "scopes": scopes or None, **more}
    use = AccessEvent(point="door", outcome="allowed", at=5 * S, event_id="e", **more)
    origin = Origin("vault", "default", NOW, "k", 1)
    (record,) = access_records([use], origin, 0, 1, "f")
    block = read_access(record.value, record.headers)
    finish(watched.judge([block], NOW))


def kinds(watched: OwnedPartition) -> list[str]:
    """Give the kinds of what was found."""
    return sorted(each.finding.kind.value for each in watched.unsaved.findings())


def test_uses_are_judged_again_by_a_table_that_was_built_anew(world: World) -> None:
    """Something was taken back, and nobody lists what is dead without it."""
    each = world.watched()
    show(each)
    finish(each.follow(NOW))
    assert [] == kinds(each)
    world.realm.cascade.replace(Registry.build([CAUSE]))
    for _ in range(2):
        finish(each.follow(NOW))

    assert ["use_after_revocation"] == kinds(each)


def test_a_restart_weighs_receipts_that_came_meanwhile(world: World) -> None:
    """They are read before the uses are, and are news to nobody then."""
    world.points.registered("door", S, enforces=True)
    world.realm.apply(CAUSE, 1)
    before = world.watched()
    show(before)
    assert ["enforcement_lag"] == kinds(before)
    before.save()
    world.points.applied("door", 2, 2 * S)
    world.points.take_news()
    after = world.watched()
    finish(after.restore(NOW))

    assert ["enforcement_failure", "enforcement_lag"] == kinds(after)


def test_an_unknown_credential_is_told_after_a_restart_until_it_is_declared(
    world: World,
) -> None:
    """Its use is held in the file; a fact that comes then ends the finding."""
    before = world.watched()
    show(before, SHADOW)
    assert ([], 0) == (kinds(before), before.unsettled(NOW))
    before.save()
    after = world.watched()
    finish(after.restore(NOW))
    later = NOW + 900 * S
    assert 1 == after.unsettled(later)
    finish(after.settle(later))
    assert (["unknown_credential"], 0) == (kinds(after), after.unsettled(later))
    after.save()
    world.realm.apply(Node(**SAID, node=SHADOW, issued_at=1), 1)
    finish(after.tidy(later))

    assert [False] == [each.open for each in after.unsaved.findings()]


def test_a_fact_that_limits_scopes_comes_after_the_use(world: World) -> None:
    """A realm notes such facts from when on somebody asks."""
    each = world.watched()
    show(each, TOKEN, "api|pay")
    assert [] == world.realm.take_late()
    world.realm.apply(ScopeSet(**SAID, node=TOKEN, scopes=("api|read",)), 1)
    late = world.realm.take_late()
    assert [ScopeSet] == list(map(type, late))
    each.note_late("nobody uses this one", late)
    each.note_late("default", late)
    while each.unsettled(NOW):
        finish(each.settle(NOW))

    assert ["scope_violation"] == kinds(each)


def test_a_credential_is_older_than_the_use_of_it_said(world: World) -> None:
    """Nothing that it hangs on was ended: the end is another's that was presented."""
    each, user = world.watched(), Identifier("person.id", "ann")
    said: dict[str, Any] = {"authority": "v", "version": 5 * S, "received_at": 5 * S}
    ends = Cause(
        **said, target=user, effect=Effect.NOT_BEFORE, at=3 * S, not_before=3 * S
    )  # fmt: skip
    world.realm.apply(ends, 1)
    show(each, identifiers=(SHADOW, user), issued_at=4 * S)
    world.realm.take_late()
    for issued_at, found in ((4 * S, []), (3 * S, ["use_after_revocation"])):
        fact = Node(**said, node=SHADOW, issued_at=issued_at)
        world.realm.apply(fact, 2)
        each.note_late("default", world.realm.take_late())
        while each.unsettled(NOW):
            finish(each.settle(NOW))
        assert found == kinds(each)


def test_what_is_thrown_away_before_it_is_saved_is_counted_once(world: World) -> None:
    """The group gave the partition away, or gives it anew: it is judged again."""
    world.realm.apply(CAUSE, 1)
    show(world.watched())
    each = world.watched()
    show(each)
    each.unsaved.clear()
    each = world.watched()
    show(each)
    assert not world.tally.opened
    each.save()
    each.save()

    assert {FindingKind.USE_AFTER_REVOCATION: 1} == world.tally.opened
