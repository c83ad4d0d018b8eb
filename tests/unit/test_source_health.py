"""What becomes of the record of a source, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import attrs
import orjson
import pytest

from agents_registry.identifiers import Identifier
from streams.model.findings import FindingKind
from streams.model.records import DeadLetter, Lifecycle
from streams.model.times import SECOND, rfc3339
from streams.services.event_id_conflicts import Memory
from streams.services.intake import (
    Acceptance,
    Deduplicator,
    IntakeBatch,
    NotWrittenError,
)
from streams.services.source_health import MOST, OTHERS, HealthBook
from streams.stages.ingest import source_health as steps
from streams.stages.ingest.admission import Entitlements
from streams.stages.ingest.entitlement import Grant
from streams.stages.ingest.ingress import Origin
from streams.stages.ingest.source_health import Batch, Expected, HealthRecord

if TYPE_CHECKING:
    from streams.services.ingest import Intake

pytestmark = pytest.mark.unit

NOW = 1_700_000_000 * SECOND
EXPECTED = Expected(event=60 * SECOND, answer=10 * SECOND)
ONCE = Expected(event=60 * SECOND)
RIGHTS = Entitlements((Grant("okta.user"),))


def at(seconds: float) -> int:
    """Give a time some seconds from now."""
    return NOW + int(seconds * SECOND)


def origin(now: int = NOW, authority: str = "okta") -> Origin:
    """Give where a batch came from."""
    return Origin(authority, "default", now, ingress_key="hook:okta")


def ending(user: str, event_id: str | None = "e1", **more: Any) -> Lifecycle:
    """Give the record of a user's end."""
    names = (Identifier("okta.user", user),)
    return Lifecycle(
        "okta", event_id, "user.lifecycle.suspend", "suspend", at(-3), names, 0, **more
    )


def nameless(event_id: str) -> DeadLetter:
    """Give the dead letter of a change whose subject has no name."""
    reason = "no_target: the event names nothing to act on; see it at the source"
    return DeadLetter("okta", 0, 9, reason, event_id, "user.lifecycle.suspend")


def delivered(*records: Any, **more: Any) -> IntakeBatch:
    """Give a batch as a receiver hands it over."""
    return IntakeBatch(list(records), origin(), RIGHTS, **more)


def signals(*deliveries: IntakeBatch) -> list[dict[str, Any]]:
    """Take batches in, each written, and give what is found at the last one."""
    stated, found = Deduplicator(), list[dict[str, Any]]()
    for each in deliveries:
        prepared = stated.prepare(each, "fresh")
        stated.remember(prepared)
        found = prepared.admission.signals
    return found


def test_a_batch_counts_and_its_newest_event_gives_the_lag() -> None:
    """What came is told apart from what could be used."""
    batch = Deduplicator().prepare(delivered(ending("u1"), nameless("e9")), "f").batch

    health = steps.took(HealthRecord(), batch, "okta", NOW)

    assert (1, 1, 1, 0) == (
        health.accepted, health.dead_letters, health.unmapped, health.collisions
    )  # fmt: skip
    assert (NOW, 3 * SECOND, "no_target") == (
        health.heard_at, health.lag, health.reason
    )  # fmt: skip


def test_what_nobody_can_read_ends_no_silence() -> None:
    """A source whose format changed is silent, however much it sends."""
    silent = HealthRecord(started_at=NOW, silent=True)

    assert steps.took(silent, Batch(dead_letters=9), "okta", at(90)).silent


def test_silence_is_found_once_and_ends_as_a_gap() -> None:
    """The time between the events may have lost some."""
    heard = steps.took(HealthRecord(started_at=NOW), Batch(1), "okta", at(1))

    early, none = steps.waited(heard, ONCE, at(61))
    silent, (notice,) = steps.waited(heard, ONCE, at(62))
    still, again = steps.waited(silent, ONCE, at(99))
    speaks = steps.took(still, Batch(1), "okta", at(100))

    assert ((), (), False) == (none, again, early.silent)
    assert FindingKind.SOURCE_SILENT is notice.kind
    assert (False, (at(1), at(100))) == (speaks.silent, speaks.gap)


def test_the_finding_on_a_silence_is_over_when_something_is_heard() -> None:
    """Not by a start of ours, from which silence counts anew."""
    silent, _ = steps.waited(HealthRecord(started_at=NOW, heard_at=at(1)), ONCE, at(62))
    restarted = attrs.evolve(
        steps.from_plain(steps.to_plain(silent)), started_at=at(70)
    )

    waits, none = steps.waited(restarted, ONCE, at(71))
    speaks = steps.took(waits, Batch(1), "okta", at(80))
    back, (over,) = steps.waited(speaks, ONCE, at(81))

    assert (True, ()) == (waits.silent, none)
    assert (FindingKind.SOURCE_SILENT, True) == (over.kind, over.over)
    assert over.signal("hook:okta")["over"]
    assert steps.waited(back, ONCE, at(82)) == (back, ())


def test_the_finding_is_over_where_silence_is_no_fault_any_more() -> None:
    """The setting, or the source, was taken out."""
    silent, _ = steps.waited(HealthRecord(started_at=NOW), ONCE, at(61))

    back, (over,) = steps.waited(silent, Expected(), at(62))

    assert (over.over, back.silent) == (True, False)


def test_a_source_that_never_spoke_is_silent_since_the_start() -> None:
    """A hook that was never set up at the vendor is noticed too."""
    health, _ = steps.waited(HealthRecord(), ONCE, NOW)

    assert not steps.waited(health, ONCE, at(60))[0].silent
    assert steps.waited(health, ONCE, at(61))[0].silent


def test_a_poll_without_answers_is_silent_and_one_without_news_is_not() -> None:
    """An empty page proves that the way is open; a refused request does not."""
    expected = Expected(answer=10 * SECOND)
    begun = HealthRecord(started_at=NOW)
    asked = steps.failed(steps.answered(begun, at(5)), "status 401")

    silent, (notice,) = steps.waited(asked, expected, at(16))
    back, _ = steps.waited(steps.answered(silent, at(17)), expected, at(18))

    assert "status 401" in notice.detail
    assert (True, False, "") == (silent.silent, back.silent, back.trouble)


def test_a_subject_without_a_name_is_a_finding_with_examples() -> None:
    """Event ids are told, five at most; of the subject nothing is."""
    letters = [nameless(f"e{number}") for number in range(7)]

    (signal,) = signals(delivered(*letters))

    assert "unmapped_subject" == signal["kind"]
    assert ["source", "hook:okta"] == signal["presented"]
    assert [f"e{number}" for number in range(5)] == signal["event_ids"]
    assert "no_target" in signal["detail"]
    assert (None, None) == (signal["ended_by"], signal["reason"])


def test_what_such_an_event_tells_of_its_order_is_told() -> None:
    """When it was and who gave it, where all events of the batch agree."""
    sam = (Identifier("okta.user", "sam"),)
    first = nameless("e1")._replace(occurred_at=at(-3), actor=sam, stated="left")
    second = first._replace(event_id="e2", occurred_at=at(-2))
    other = second._replace(actor=(), stated=None)

    (signal,) = signals(delivered(first, second))
    (both,) = signals(delivered(first, other))

    times = f"{rfc3339(at(-3))} to {rfc3339(at(-2))}"
    assert (
        f"a change of user.lifecycle.suspend at {times} is about nobody"
        in signal["detail"]
    )
    assert ("okta.user:sam", "left") == (signal["ended_by"], signal["reason"])
    assert "hook:okta" == signal["authority"]
    assert (None, None) == (both["ended_by"], both["reason"])


def test_a_lost_revocation_is_not_told_twice() -> None:
    """It is critical already; the count alone grows."""
    lost = Lifecycle("okta", "e1", "user.lifecycle.suspend", "suspend", NOW, (), 0)

    found = signals(delivered(lost, nameless("e1")))

    assert ["revocation_not_applied"] == [each["kind"] for each in found]


def test_one_id_with_two_contents_is_found_in_another_batch_too() -> None:
    """Each further content once; repeats, other types and other systems never."""
    first, other = delivered(ending("u1")), delivered(ending("u2"))
    elsewhere = IntakeBatch([ending("u2")], origin(authority="other"), RIGHTS)

    assert ["id_collision"] == [each["kind"] for each in signals(first, other)]
    assert ["e1"] == signals(first, other)[0]["event_ids"]
    assert (
        "an event about okta.user:u2 came again" in signals(first, other)[0]["detail"]
    )
    assert [] == signals(first, other, first)
    assert [] == signals(first, other, other)
    assert [] == signals(first, delivered(ending("u2", None)))
    assert [] == signals(first, elsewhere)


def test_a_batch_that_was_not_written_is_looked_at_again() -> None:
    """The source repeats it, and the finding must not get lost between."""
    stated = Deduplicator()
    stated.remember(stated.prepare(delivered(ending("u1")), "f"))
    other = delivered(ending("u2"))

    tries = [stated.prepare(other, "f").batch.collisions for _ in range(2)]

    assert [1, 1] == tries


def test_repeats_are_counted_of_lines_without_an_id_too() -> None:
    """By all that they say; what has no time either may be another event."""
    stated = Deduplicator()

    def repeated(*records: Any) -> int:
        prepared = stated.prepare(delivered(*records), "f")
        stated.remember(prepared)
        return prepared.batch.repeated

    line, bare = ending("u1", None), ending("u1", None)._replace(occurred_at=None)

    assert [0, 1] == [repeated(line) for _ in range(2)]
    assert 2 == repeated(line._replace(offset=9), line)
    assert 0 == repeated(line._replace(occurred_at=NOW), ending("u2", None))
    assert [0, 0] == [repeated(bare) for _ in range(2)]
    assert [0, 1] == [repeated(ending("u1")) for _ in range(2)]
    assert [0, 1] == [repeated(ending("u3")) for _ in range(2)]  # other content


def test_what_was_not_written_is_no_repeat_yet() -> None:
    """The source sends it again, and it is taken in for the first time."""
    stated, line = Deduplicator(), delivered(ending("u1", None))

    assert [0, 0] == [stated.prepare(line, "f").batch.repeated for _ in range(2)]


def test_lines_without_an_id_cost_no_id_its_place() -> None:
    """An access log is long; the ids of an audit log are few."""
    memory = Memory(most=2)
    memory.remember(memory.look([ending("u")], "okta", joined=False).marks)
    for number in range(5):
        looked = memory.look([ending(f"u{number}", None)], "okta", joined=False)
        memory.remember(looked.marks, looked.lines)

    assert memory.look([ending("x")], "okta", joined=False).differing
    assert [0, 1] == [
        memory.look([ending(f"u{number}", None)], "okta", joined=False).repeated
        for number in (2, 4)
    ]


def test_halves_of_a_call_are_no_collision_unless_they_were_joined() -> None:
    """A vault's request and response come in one batch or in two."""
    request = ending("u1")._replace(source="openbao")
    response = ending("u2")._replace(source="openbao")

    assert [] == signals(delivered(request), delivered(response))
    joined = [delivered(each, joined=True) for each in (request, response)]
    assert 1 == len(signals(*joined))


def test_the_memory_of_events_has_an_end() -> None:
    """The oldest are forgotten, and then there is nothing to compare with."""
    memory = Memory(most=2)
    for number in range(3):
        records = [ending("u", f"e{number}")]
        memory.remember(memory.look(records, "okta", joined=False).marks)

    def differs(event_id: str) -> bool:
        looked = memory.look([ending("x", event_id)], "okta", joined=False)
        return bool(looked.differing)

    assert [False, True, True] == [differs(f"e{number}") for number in range(3)]


def test_lost_events_are_a_gap() -> None:
    """Of the source that lost them, from when to when."""
    delivery = delivered(via="poll:idp/logs", gap=(at(-90), at(-30)))

    (signal,) = signals(delivery)

    assert ("source_gap", ["source", "poll:idp/logs"]) == (
        signal["kind"], signal["presented"]
    )  # fmt: skip
    batch = Deduplicator().prepare(delivery, "f").batch
    assert (at(-90), at(-30)) == steps.took(HealthRecord(), batch, "okta", NOW).gap


def test_a_record_survives_being_saved() -> None:
    """Members that a later version adds or drops do not matter."""
    health = HealthRecord(
        authority="a", started_at=1, gap=(1, 2), silent=True, told=True, accepted=3
    )
    plain = orjson.loads(orjson.dumps(steps.to_plain(health) | {"later": 1}))

    assert health == steps.from_plain(plain)


def test_names_are_bounded() -> None:
    """A label of a metric must not be a caller's to choose."""
    book = HealthBook(lambda: NOW)
    for number in range(MOST + 5):
        book.count(f"hook:{number}", "refused")

    assert MOST + 1 == len(book.sources)
    assert 5 == book.sources[OTHERS].refused


class Deaf:
    """A log that takes nothing for a while, and keeps what it takes."""

    def __init__(self) -> None:
        self.open = False
        self.taken: list[IntakeBatch] = []

    async def records(self, delivery: IntakeBatch) -> Acceptance:
        """Take a batch, or not."""
        if not self.open:
            raise NotWrittenError
        self.taken.append(delivery)
        return Acceptance(0, 0, 0, "")


async def test_silence_counts_once_its_finding_is_durable() -> None:
    """While the log takes nothing it is tried again."""
    now = [NOW]
    book, log = HealthBook(lambda: now[0], {"hook:okta": ONCE}), Deaf()
    book.sources["hook:okta"] = attrs.evolve(HealthRecord(), started_at=NOW)
    now[0] = at(61)

    with pytest.raises(NotWrittenError):
        await book.look(cast("Intake", log), origin)
    tried = book.sources["hook:okta"]
    log.open = True
    await book.look(cast("Intake", log), origin)
    await book.look(cast("Intake", log), origin)

    assert (False, True) == (tried.silent, book.sources["hook:okta"].silent)
    assert 1 == len(log.taken)


async def test_a_source_that_speaks_while_its_silence_is_told_ends_the_finding() -> (
    None
):
    """With the next look, and once."""
    now, log = [at(61)], Deaf()
    book = HealthBook(lambda: now[0], {"hook:okta": ONCE})
    book.sources["hook:okta"] = HealthRecord(started_at=NOW)
    log.open, write = True, log.records

    async def speaks(delivery: IntakeBatch) -> Acceptance:
        health = book.sources["hook:okta"]
        book.sources["hook:okta"] = steps.took(health, Batch(1), "okta", now[0])
        return await write(delivery)

    log.records = speaks  # type: ignore[method-assign]
    await book.look(cast("Intake", log), origin)
    log.records = write  # type: ignore[method-assign]
    for _ in range(2):
        await book.look(cast("Intake", log), origin)

    told = [signal.get("over", False) for d in log.taken for signal in d.signals]
    assert told == [False, True]
    assert not book.sources["hook:okta"].silent


async def test_a_source_that_speaks_with_another_process_is_not_silent() -> None:
    """Behind a load balancer each process hears a part; together they know all."""
    now = [NOW]
    book, log = HealthBook(lambda: now[0], {"hook:okta": ONCE}), Deaf()
    heard = HealthRecord(heard_at=at(50), accepted=2, refused=1, gap=(1, 2), lag=7)
    plain = {"hook:okta": steps.to_plain(heard), "scim:d": steps.to_plain(heard)}
    peer = HealthBook(
        lambda: now[0], {"hook:okta": ONCE}, lambda: [orjson.dumps(plain)]
    )
    log.open = True
    for each in (book, peer):
        each.sources["hook:okta"] = HealthRecord(
            started_at=NOW, heard_at=at(1), accepted=3
        )
        now[0] = at(90)
        await each.look(cast("Intake", log), origin)

    whole = peer.whole()

    assert (True, False) == (
        book.sources["hook:okta"].silent, peer.sources["hook:okta"].silent
    )  # fmt: skip
    assert 1 == len(log.taken)
    assert (5, 1, at(50), (1, 2), 7) == (
        whole["hook:okta"].accepted, whole["hook:okta"].refused,
        whole["hook:okta"].heard_at, whole["hook:okta"].gap, whole["hook:okta"].lag,
    )  # fmt: skip
    assert 2 == whole["scim:d"].accepted
