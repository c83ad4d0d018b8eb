"""What a log would never take is told of instead of being tried for ever."""

from __future__ import annotations

import pytest

from agents_registry.facts import Cause, Effect, Node
from agents_registry.identifiers import Identifier
from streams.engines.kafka.ingress.fact_log import fitting
from streams.engines.kafka.records.accesses import (
    access_records,
    read_access,
    signal_records,
)
from streams.model.records import DeadLetter
from streams.pipeline.access_records import Accesses
from streams.services.intake import MOST_FACT_BYTES, encode
from streams.stages.access.uses import AccessEvent
from streams.stages.ingest.admission import MAX_EVENT_ID, Admission, Entitlements, admit
from streams.stages.ingest.ingress import Origin

pytestmark = pytest.mark.unit

ORIGIN = Origin("aws", "default", 10**18)
KEY = Identifier("aws.access_key", "AKIA")
HUGE = "x" * (MOST_FACT_BYTES + 1)


def use(number: int, owner: str = "") -> AccessEvent:
    """Give a use."""
    return AccessEvent((KEY,), "aws", "allowed", 5, f"e{number}", owner)


def test_a_fact_that_is_too_large_is_a_dead_letter_and_a_lost_cause_is_a_finding() -> (
    None
):
    """The batch goes on without it, and nobody believes that it was applied."""
    said = {"authority": HUGE, "version": 1, "received_at": 1, "ingress_key": "k"}
    node = Node(**said, node=KEY, issued_at=1)  # type: ignore[arg-type]
    cause = Cause(**said, target=KEY, effect=Effect.REVOKE, at=1)  # type: ignore[arg-type]
    admission = Admission()
    assert encode([node, cause], ORIGIN, admission) == []
    assert ["misfit"] * 2 == [
        each.reason.partition(":")[0] for each in admission.dead_letters
    ]
    assert ["revocation_not_applied"] == [each["kind"] for each in admission.signals]


def test_uses_are_cut_into_blocks_by_their_size() -> None:
    """No use is lost, none twice, and one that is too large takes no other with it."""
    uses = [use(n, owner="o" * 1000) for n in range(100)]
    uses.insert(50, use(1000, owner=HUGE))
    records = list(access_records(uses, ORIGIN, 0, 4, "b"))
    assert len(records) == len({each.headers[2] for each in records})
    taken, refused = fitting(records)
    read = []
    for each in taken:
        accesses = read_access(each.value, each.headers)
        assert isinstance(accesses, Accesses)
        rows = range(len(accesses.lines))
        read += [accesses.lines.use(row).event_id for row in rows]
    assert [f"e{number}" for number in range(100)] == read
    assert [True] == [each.reason.startswith("too_large:") for each in refused]
    assert max(len(each.value) for each in taken) < MOST_FACT_BYTES


def test_a_signal_that_is_too_large_is_told_of() -> None:
    """Its detail may quote what a source said."""
    signal = {"kind": "leak", "presented": list(KEY), "at": 5, "detail": HUGE}
    taken, refused = fitting(signal_records([signal], ORIGIN, 4, "b"))
    assert (0, 1) == (len(taken), len(refused))


def test_a_long_event_id_is_the_same_short_one_each_time() -> None:
    """Its event is taken in: it may be what ends something."""
    short = "e" * MAX_EVENT_ID
    given = [DeadLetter("s", 0, 0, "r", event_id) for event_id in (HUGE, HUGE, short)]
    found = [
        each.event_id
        for each in admit(given, ORIGIN, Entitlements(()), fresh="f").dead_letters
    ]
    assert found[0] == found[1] != found[2] == short
    assert str(found[0]).startswith("sha256:")
