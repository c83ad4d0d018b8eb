"""Views of findings and dead letters on Kafka: folded, bounded, in their order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, evolve

from agents_registry.identifiers import Identifier
from streams.engines.kafka.ingress.followed_dead_letters import FollowedDeadLetters
from streams.engines.kafka.ingress.followed_findings import FollowedFindings
from streams.engines.kafka.records.dead_letters import (
    KafkaPlace,
    dead_letter_record,
    poison_record,
)
from streams.engines.kafka.records.outputs import finding_record
from streams.engines.kafka.records.poison import Poison
from streams.model.findings import Finding, FindingKind, Severity
from streams.model.records import DeadLetter
from streams.model.times import DAY, SECOND
from streams.process import aside
from streams.settings.kafka import KafkaSettings
from streams.settings.limits import DeadLetterSettings
from streams.stages.ingest.ingress import Origin
from streams.stages.sentinel.episode import Episode

if TYPE_CHECKING:
    from streams.engines.kafka.records.codec import Outgoing

pytestmark = pytest.mark.unit

NOW = 1_800_000_000 * SECOND
KAFKA = KafkaSettings(bootstrap_servers="none:1", partitions=4)


@define
class Read:
    """A record as the client gives it."""

    offset: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    timestamp: int


def read(outgoing: Outgoing, offset: int, at: int = NOW) -> Read:
    """Give what was written as it is read."""
    headers = tuple(outgoing.headers)
    return Read(offset, outgoing.key, outgoing.value, headers, at // 1_000_000)


def finding(number: int, *, is_open: bool = True, realm: str = "default") -> Outgoing:
    """Give the record of a finding."""
    found = Finding(
        id=f"f{number}",
        realm=realm,
        kind=FindingKind.USE_AFTER_REVOCATION,
        severity=Severity.HIGH,
        presented=Identifier("aws.access_key", f"A{number}"),
        point="p",
        first_seen=NOW,
        last_seen=NOW,
        count=1,
        message="m",
    )
    return finding_record(Episode(found, 0, NOW, open=is_open), 4)


class Findings(FollowedFindings):
    """A view that is always as far as its topic."""

    async def catch_up(self) -> None:
        """Be there."""


class Letters(FollowedDeadLetters):
    """A view that is always as far as its topic."""

    async def catch_up(self) -> None:
        """Be there."""


async def listed(view: Findings, after: int = 0, limit: int = 99) -> list[Any]:
    """Give id, change and state of each finding, and how many are left out."""
    found, left_out = await view.page(after, limit)
    return [*((each.finding.id, each.changed, each.open) for each in found), left_out]


def letters(now: int = NOW, **kept: Any) -> Letters:
    """Make a view of dead letters."""
    return Letters(KAFKA, "default", lambda: now, DeadLetterSettings(**kept))


def letter(
    reason: str, authority: str = "aws", realm: str = "default", **more: Any
) -> Outgoing:
    """Give the record of a dead letter."""
    at, place = more.pop("at", NOW), more.pop("place", None)
    dead = DeadLetter("s", more.pop("offset", 0), 3, reason, **more)
    origin = Origin(authority, realm, at)
    return dead_letter_record(dead, origin, 4, f"{reason}/{at}", place)


async def test_a_finding_is_listed_once_at_its_last_change() -> None:
    """Pages go by the offset; what is another realm's is left out."""
    view = Findings(KAFKA, "default", lambda: NOW)
    alien = finding(9, realm="defaulter")
    told = [finding(1), finding(2), alien, finding(1, is_open=False), finding(3)]
    await view.take([read(each, number) for number, each in enumerate(told)])

    assert [("f2", 2, True), ("f1", 4, False), ("f3", 5, True), 0] == await listed(view)
    assert [("f2", 2, True), 0] == await listed(view, 0, 1)
    assert [("f1", 4, False), ("f3", 5, True), 0] == await listed(view, 2)
    assert [0] == await listed(view, 5)


async def test_what_cannot_be_read_makes_no_page_short() -> None:
    """A short page would end the list of whoever reads it page by page."""
    view = Findings(KAFKA, "default", lambda: NOW)
    await view.take([read(finding(1), 0)])
    broken = read(finding(2), 1)
    broken.value = b"\0poison"
    await view.take([broken, read(finding(3), 2), read(finding(4), 3)])

    assert [("f1", 1, True), ("f3", 3, True), 0] == await listed(view, 0, 2)


async def test_what_went_though_it_counts_is_forgotten_with_its_time() -> None:
    """Else names of closed findings would pile up, and the number would be wrong."""
    now = [NOW]
    view = Findings(KAFKA, "default", lambda: now[0], most=1)
    told = [finding(1, is_open=False), finding(2, is_open=False), finding(3)]
    await view.take([read(each, number) for number, each in enumerate(told)])
    assert [("f3", 3, True), 2] == await listed(view)

    now[0] += 31 * DAY
    assert [("f3", 3, True), 0] == await listed(view)


async def test_many_findings_are_taken_in_while_others_get_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A poll has up to 2000 records, and they are read while guards and people ask."""
    monkeypatch.setattr(aside, "SLICE_SECONDS", -1.0)
    view, turns = Findings(KAFKA, "default", lambda: NOW), []

    async def others() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    asking = asyncio.create_task(others())
    await view.take([read(finding(number), number) for number in range(50)])
    asking.cancel()
    assert 50 <= len(turns)


async def test_what_was_closed_long_ago_and_what_is_too_much_goes() -> None:
    """Closed ones first, and what went though it counts is told as a number."""
    view = Findings(KAFKA, "default", lambda: NOW, most=3)
    await view.take([read(finding(1, is_open=False), 0, NOW - 31 * DAY)])
    assert [0] == await listed(view)

    told = [finding(2), finding(3, is_open=False), finding(4), finding(5)]
    await view.take([read(each, 1 + number) for number, each in enumerate(told)])
    assert ["f2", "f4", "f5"] == [each[0] for each in (await listed(view))[:-1]]
    assert 1 == (await listed(view))[-1]

    await view.take([read(finding(6), 5)])
    assert ["f4", "f5", "f6"] == [each[0] for each in (await listed(view))[:-1]]
    assert 2 == (await listed(view))[-1]

    await view.take([read(finding(2), 6)])  # it changed: it is there again
    assert ["f5", "f6", "f2"] == [each[0] for each in (await listed(view))[:-1]]
    assert 2 == (await listed(view))[-1]

    view.begin()
    assert [0] == await listed(view)


async def test_repeats_of_a_day_are_one_row_that_grows() -> None:
    """By authority, source and reason; the next day begins another row."""
    view = letters()
    first = letter("bad: one", pieces=2, span=7)
    same = letter("bad: one", at=NOW + SECOND, offset=30)
    told = [
        first, letter("bad: two"), same, letter("bad: one", "other"),
        letter("bad: one", at=NOW + DAY), letter("x", realm="elsewhere"),
    ]  # fmt: skip
    await view.take([read(each, number) for number, each in enumerate(told)])
    rows = await view.page(-1, 99)

    assert [1, 2, 3, 4] == [row["offset"] for row in rows]
    assert rows == [*await view.page(-1, 2), *await view.page(2, 2)]
    grown = rows[1]
    assert (3, 0, 30) == (grown["count"], grown["position"], grown["last_position"])
    assert (NOW, NOW + SECOND) == (grown["at"], grown["last_at"])
    assert not any("partition" in row for row in rows)


async def test_a_letter_that_is_written_again_is_counted_once() -> None:
    """As those of raw topics and of poison are, whenever their place is read again."""
    view = letters()
    place = KafkaPlace("t.facts.v1", 2, 7, NOW)
    poison = poison_record(place, Poison(7, 5, "undecodable: x", NOW), 4)
    raw = [
        letter("malformed: x", place=KafkaPlace("idp", 1, offset, NOW))
        for offset in (3, 4)
    ]
    told = [poison, *raw, poison, raw[0], raw[1]]
    await view.take([read(each, number) for number, each in enumerate(told)])
    found, counted = await view.page(-1, 99)

    assert ("t.facts.v1", 2, 7, 1) == tuple(
        found[name] for name in ("source", "partition", "position", "count")
    )
    assert ("idp", 1, 3, 4, 2) == tuple(
        counted[name]
        for name in ("source", "partition", "position", "last_position", "count")
    )


async def test_alerts_that_were_given_up_are_told_one_by_one() -> None:
    """Each names a finding."""
    view = letters()
    told = [letter("410: gone", "notify", at=NOW + n, event_id=f"f{n}") for n in (1, 2)]
    await view.take([read(each, number) for number, each in enumerate(told)])

    assert ["f1", "f2"] == [row["event_id"] for row in await view.page(-1, 99)]


async def test_letters_are_kept_as_the_settings_say() -> None:
    """So many, and so long since one grew; what is no letter is passed over."""
    view = letters(most=2, keep_days=1)
    told = [letter("a", at=NOW - 2 * DAY), letter("b"), letter("c"), letter("d")]
    await view.take([read(told[0], 0)])
    assert not await view.page(-1, 99)

    await view.take([read(each, 1 + number) for number, each in enumerate(told[1:])])
    broken = read(told[1], 9)
    await view.take([evolve(broken, value=b""), read(finding(1), 10)])
    assert ["c", "d"] == [row["reason"] for row in await view.page(-1, 99)]

    view.begin()
    assert not await view.page(-1, 99)
