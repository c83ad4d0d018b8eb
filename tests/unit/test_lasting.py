"""What tells of a state is open while the state lasts, however long nobody speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import Cause, Effect, Node, Renewal
from agents_registry.identifiers import Identifier, extend
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.engines.kafka.checkpoints.uses_file import UsesFile
from streams.engines.kafka.records.accesses import read_access, signal_records
from streams.engines.kafka.sentinel.owned_partition import OwnedPartition
from streams.model.findings import LASTING, FindingKind
from streams.model.times import SECOND
from streams.pipeline.realm import Realm
from streams.stages.ingest.ingress import Origin
from streams.stages.registry.cascade import Cascade
from streams.stages.sentinel.finding_lifetime import FORGOTTEN
from streams.stages.sentinel.sentinel import Sentinel
from streams.stages.sentinel.tolerances import Tolerances

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

HOUR = 3600 * SECOND
NOW = 1_764_000_000 * SECOND
RULES = Tolerances(0, 0, 24 * HOUR, HOUR)
KEY = Identifier("aws.access_key", "AKIA1")
SAID: dict[str, Any] = {"authority": "a", "version": 1, "received_at": NOW}


def signal(kind: FindingKind, presented: Identifier = KEY, **more: Any) -> Any:
    """Give what ingress tells of something."""
    return {"kind": kind.value, "presented": list(presented), "at": NOW} | more


def ended(effect: Effect = Effect.REVOKE, target: Identifier = KEY) -> Cause:
    """Give the end of something."""
    return Cause(**SAID, target=target, effect=effect, at=NOW)


def told(*kinds: FindingKind, presented: Identifier = KEY) -> Sentinel:
    """Give a sentinel that was told of something."""
    sentinel = Sentinel("r", RULES)
    finish(
        sentinel.report([signal(kind, presented) for kind in kinds], Registry(), NOW)
    )
    return sentinel


@pytest.mark.parametrize("kind", sorted(LASTING, key=str), ids=lambda kind: kind.value)
def test_a_state_is_not_over_because_nobody_says_it_again(
    kind: FindingKind,
) -> None:
    """A source that is silent for five hours is so after one; not for ever either."""
    sentinel = told(kind, FindingKind.ID_COLLISION)

    (event,) = finish(sentinel.expire(NOW + HOUR + 1)).episodes.values()
    late = finish(sentinel.expire(NOW + FORGOTTEN)).episodes
    (last,) = finish(sentinel.expire(NOW + FORGOTTEN + 1)).episodes.values()

    assert (event.finding.kind, late) == (FindingKind.ID_COLLISION, {})
    assert (last.finding.kind, last.open) == (kind, False)


@pytest.mark.parametrize("kind", sorted(LASTING, key=str), ids=lambda kind: kind.value)
def test_a_state_ends_where_it_is_known(kind: FindingKind) -> None:
    """And begins anew as another finding."""
    sentinel = told(kind)

    ended = finish(sentinel.report([signal(kind, over=True)], Registry(), NOW + 1))
    (over,) = ended.episodes.values()
    (again,) = finish(
        sentinel.report([signal(kind)], Registry(), NOW + 2)
    ).episodes.values()

    assert (over.open, again.open) == (False, True)
    assert over.finding.id != again.finding.id


@pytest.mark.parametrize(
    "kind", [FindingKind.LEAK, FindingKind.REVOCATION_NOT_APPLIED], ids=str
)
@pytest.mark.parametrize(
    ("facts", "over"),
    [
        ([ended()], True),
        ([ended(Effect.NOT_BEFORE)], True),
        ([Renewal(**SAID, node=KEY, expires_at=NOW)], True),
        ([ended(Effect.SUSPEND)], False),
        ([ended(Effect.SUSPEND), ended()], True),
        ([Node(**SAID, node=KEY, issued_at=1)], False),
        ([], False),
    ],
)
def test_what_was_leaked_or_not_revoked_is_over_once_it_is_denied_for_good(
    kind: FindingKind, facts: list[Any], over: bool
) -> None:
    """What is suspended may come back, with whoever has the key."""
    sentinel = told(kind)
    registry = Registry.build(facts, extend({}))

    found = finish(sentinel.end_denied(registry, NOW + 1)).episodes.values()

    assert [each.open for each in found] == [False] * over
    assert not finish(sentinel.end_denied(registry, NOW + 2)).episodes


@pytest.mark.parametrize(
    ("kind", "presented"),
    [
        (FindingKind.REVOCATION_NOT_APPLIED, Identifier("vault.lease", "db/1")),
        (FindingKind.CLOSURE_PARTIAL, KEY),
    ],
)
def test_what_denying_does_not_mend_is_not_over_by_it(
    kind: FindingKind, presented: Identifier
) -> None:
    """A lease lives on at its database; a guard that is late has not applied it."""
    sentinel = told(kind, presented=presented)
    registry = Registry.build([ended(target=presented)], extend({}))

    assert not finish(sentinel.end_denied(registry, NOW + 1)).episodes


def test_the_end_of_a_state_comes_over_kafka_as_such(tmp_path: Path) -> None:
    """Also what a realm's table says of its names."""
    realm = Realm(Cascade(extend({})))
    file = UsesFile(tmp_path / "u.db")
    watched = OwnedPartition(file, RULES, lambda _: realm)
    origin = Origin("a", "r", NOW, "k")

    def tell(*signals: Any) -> list[tuple[str, bool]]:
        for record in signal_records(signals, origin, 1, "f"):
            read = read_access(record.value, record.headers)
            finish(watched.judge([read], NOW))
        found = watched.unsaved.findings()
        watched.save()
        return [(each.finding.kind.value, each.open) for each in found]

    silent, leak = FindingKind.SOURCE_SILENT, FindingKind.LEAK
    assert tell(signal(silent)) == [("source_silent", True)]
    assert tell(signal(silent, over=True)) == [("source_silent", False)]
    assert tell(signal(leak)) == [("leak", True)]
    finish(watched.tidy(NOW + 1))
    assert tell() == []
    realm.apply(ended(), 0)
    finish(watched.tidy(NOW + 2))
    assert tell() == [("leak", False)]
    file.close()


def test_a_cause_that_found_nobody_stays_told_though_it_is_for_good() -> None:
    """Its attribute is no name, which nobody presents: posture says when it is over."""
    mail = Identifier("attribute.email", "aa")
    sentinel = told(FindingKind.REVOCATION_NOT_APPLIED, presented=mail)
    registry = Registry.build([ended(Effect.NOT_BEFORE, mail), ended(target=mail)])
    assert {} == finish(sentinel.end_denied(registry, NOW)).episodes
