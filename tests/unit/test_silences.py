"""Silences: what they cover, how they end, and what is told then; in virtual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.identifiers import Identifier
from streams.engines.kafka.notify.delivery_file import DeliveryFile
from streams.model.findings import Finding, FindingKind, Severity
from streams.model.times import DAY, SECOND, rfc3339
from streams.services.silences import KeptSilences
from streams.stages.notify import draft as notify_draft
from streams.stages.notify import silences
from streams.stages.notify.deliveries import Activity, ReceiverRoute
from streams.stages.notify.groups import QUIET
from streams.stages.notify.notify import FindingChange, next_due, settle
from streams.stages.notify.silences import CRITICAL, LONGEST, Silence, mark, ordered
from streams.stages.notify.state import UPDATE_EVERY, DeliveryState
from tests.notify_steps import rows_of, step
from tests.unit.kept_bodies import BodiesInMemory
from tests.unit.test_kafka_desk import World
from tests.unit.test_notify import NOW, OK, a_finding

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.unit

HOUR = 3600 * SECOND
SOC = ReceiverRoute(name="soc")
AGENT = Identifier("agent.id", "bot")


def a_silence(**values: Any) -> Silence:
    """Give a silence of an hour about ownerless agents."""
    fields: dict[str, Any] = {
        "id": "s1", "kinds": frozenset({FindingKind.OWNERLESS}), "reason": "migration",
        "by": "ops", "since": NOW, "until": NOW + HOUR,
    }  # fmt: skip
    return Silence(**fields | values)


def ownerless(**values: Any) -> Finding:
    """Give a finding about an agent."""
    return a_finding(kind=FindingKind.OWNERLESS, presented=AGENT, **values)


class Told:
    """The stage notify with one receiver that takes all, and a clock."""

    def __init__(self, *silenced: Silence) -> None:
        self.state = DeliveryState()
        self.silences: tuple[Silence, ...] = silenced
        self.now = NOW

    def hear(
        self, *changes: FindingChange, route: ReceiverRoute = SOC
    ) -> list[Activity]:
        """Take changes in; give what is posted, now or after a moment."""
        said = []
        for news, at in ((changes, self.now), ((), self.now + QUIET)):
            self.state, due = step(
                self.state, news, at, routes=[route], silences=self.silences
            )
            for delivery in due:
                self.state = settle(self.state, delivery, OK, self.now).state
            said += [delivery.activity for delivery in due]
        return said

    def restart(self) -> None:
        """Go on with what is kept."""
        self.state = DeliveryState().joined(DeliveryState.of_rows(rows_of(self.state)))


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("early", [False, True])
def test_a_silenced_finding_is_told_once_when_its_silence_ends(
    early: bool, restarted: bool
) -> None:
    """By its end or by an order; not before, not twice, and over a restart."""
    told = Told(a_silence())

    assert told.hear(FindingChange(ownerless())) == []
    assert told.state.deliveries == {}
    told.now += 2 * UPDATE_EVERY
    assert told.hear(FindingChange(ownerless(count=2))) == []
    assert next_due(told.state, told.now) == NOW + HOUR
    if restarted:
        told.restart()
        assert told.hear() == []
    if early:
        told.silences = ()
    else:
        told.now = NOW + HOUR
    assert told.hear() == [Activity.CREATE]
    told.now += UPDATE_EVERY
    assert told.hear() == []
    assert told.hear(FindingChange(ownerless(), closed=True)) == [Activity.CLOSE]


def test_what_began_and_ended_in_silence_is_never_told() -> None:
    """Nobody has to do anything about it."""
    told = Told(a_silence())
    told.hear(FindingChange(ownerless()))
    told.hear(FindingChange(ownerless(), closed=True))
    told.hear(FindingChange(ownerless(id="f" * 32), closed=True))
    told.now += 2 * HOUR

    assert told.hear() == []
    assert told.state.announced == {}


def test_what_was_told_before_is_updated_after_and_closed_at_once() -> None:
    """An incident that is open elsewhere is not left open by a silence."""
    told = Told()
    assert told.hear(FindingChange(ownerless())) == [Activity.CREATE]
    told.silences = (a_silence(),)
    told.now += UPDATE_EVERY
    assert told.hear(FindingChange(ownerless(count=2))) == []
    told.now += HOUR
    assert told.hear() == [Activity.UPDATE]
    told.silences = (a_silence(until=told.now + HOUR),)
    assert told.hear(FindingChange(ownerless(), closed=True)) == [Activity.CLOSE]


def test_receivers_that_forget_are_not_reminded_of_what_is_silenced() -> None:
    """They are again once the silence ends, and of posture after a day too."""
    repeats = ReceiverRoute(name="am", repeat=300 * SECOND)
    told = Told()
    assert told.hear(FindingChange(ownerless()), route=repeats) == [Activity.CREATE]
    told.silences = (a_silence(),)
    told.now += 400 * SECOND
    assert told.hear(route=repeats) == []
    told.now = NOW + HOUR + 400 * SECOND
    assert told.hear(route=repeats) == [Activity.UPDATE]
    told.now += 2 * DAY
    assert told.hear(route=repeats) == [Activity.UPDATE]


def test_nothing_is_held_that_nobody_would_be_told() -> None:
    """Else it would lie there for ever."""
    told = Told(a_silence())
    told.hear(FindingChange(ownerless()), route=ReceiverRoute(name="x", kinds=CRITICAL))

    assert told.state.announced == {}


@pytest.mark.parametrize("planted", ["everything is told", "nothing is told after"])
def test_planted_bugs_are_caught(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above fails on code that is wrong."""
    if planted == "everything is told":
        monkeypatch.setattr(notify_draft, "silenced", lambda *_: None)
    else:
        monkeypatch.setattr(notify_draft.Draft, "tell_released", lambda _: None)

    with pytest.raises(AssertionError):
        test_a_silenced_finding_is_told_once_when_its_silence_ends(
            early=False, restarted=False
        )


@pytest.mark.parametrize(
    ("values", "covered"),
    [
        ({}, True),
        ({"kinds": frozenset()}, True),
        ({"kinds": frozenset({FindingKind.UNMAPPED})}, False),
        ({"identifier": "agent.id:*"}, True),
        ({"identifier": "agent.id:b?t"}, True),
        ({"identifier": "AGENT.id:bot"}, False),
        ({"realm": "acme"}, True),
        ({"realm": "other"}, False),
    ],
)
def test_covers_kinds_patterns_and_realms(values: Any, covered: bool) -> None:
    """All that a silence names must fit."""
    silence = a_silence(**values)

    assert covered is silence.covers(ownerless())
    assert Silence.from_plain(silence.to_plain()) == silence


def test_critical_kinds_are_covered_only_where_that_was_said() -> None:
    """A silence about a name does not hide that its revocation does not work."""
    broad = a_silence(kinds=frozenset(), identifier="*")
    for kind in CRITICAL:
        assert not broad.covers(a_finding(kind=kind))
        critical = a_silence(kinds=frozenset(), critical=True)
        assert critical.covers(a_finding(kind=kind))


def test_a_finding_is_marked_with_the_silence_that_lasts_longest() -> None:
    """Why, by whom and until when."""
    longer = a_silence(id="s2", until=NOW + 2 * HOUR, reason="known")

    assert mark(ownerless(), (longer, a_silence())) == {
        "id": "s2", "reason": "known", "by": "ops", "until": rfc3339(NOW + 2 * HOUR),
    }  # fmt: skip
    assert mark(ownerless(), ()) is None


ORDER = {"kinds": ["ownerless"], "reason": "known", "until": "8h"}


def order(**values: Any) -> Silence:
    """Read an order."""
    return ordered(ORDER | values, fresh="s1", by="ops", now=NOW)


def test_reads_when_a_silence_ends() -> None:
    """In how long, or at a time."""
    assert order().until == NOW + 8 * HOUR
    assert order(until="30m").until == NOW + HOUR // 2
    assert order(until=rfc3339(NOW + DAY)).until == NOW + DAY
    assert order(until="30d").until == NOW + LONGEST


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"forever": True}, "unknown fields: forever"),
        ({"kinds": "leak"}, "kinds is a list"),
        ({"kinds": [1]}, "kinds is a list"),
        ({"kinds": ["tset", "test"]}, "no kinds of findings: test, tset; the kinds"),
        ({"kinds": []}, "say what is silenced"),
        ({"kinds": ["leak"]}, "leak: to silence that too, say critical"),
        ({"critical": "yes"}, "critical is true or false"),
        ({"reason": " "}, "reason is missing"),
        ({"reason": "x" * 501}, "reason is a text of at most 500"),
        ({"realm": 5}, "realm is a text"),
        ({"until": None}, "until is missing"),
        ({"until": "soon"}, "until: 'soon' is not a time: write"),
        ({"until": "2026-11-29"}, "not a time: write .*2026-01-31T09:00:00Z, or in"),
        ({"until": "31d"}, "at most 30 days"),
        ({"until": "0m"}, "until lies ahead"),
        ({"until": "9999-12-31T23:59:59Z"}, "until"),
    ],
)
def test_says_what_is_wrong_with_an_order(values: Any, said: str) -> None:
    """No silence without reason and end."""
    with pytest.raises(ValueError, match=said):
        order(**values)


def test_the_desk_on_kafka_owes_what_is_silenced(tmp_path: Path) -> None:
    """The commit does not pass it, so whoever has the partition then tells it."""
    world = World(DeliveryFile(tmp_path / "deliveries.db"))

    async def play() -> None:
        desk = world.desk()
        covers = a_silence(kinds=frozenset(), critical=True)
        desk.worker.silences = lambda: silences.in_force([covers], world.now)
        await desk.work(world.record())
        assert (world.got, world.acked, desk.inbox.owed) == ([], [], 1)

        again = world.desk()
        again.worker.silences = desk.worker.silences
        await again.work(world.record())
        assert (world.got, world.acked) == ([], [])
        again.worker.wake()
        world.now += HOUR
        await again.work()
        assert [each.activity for each in world.got] == [Activity.CREATE]
        assert world.acked == [1]

    asyncio.run(play())
    world.file.close()


def test_a_silenced_finding_that_nobody_wants_any_more_is_not_owed() -> None:
    """The receiver was taken out, or wants worse alone, while the silence held."""
    told = Told(a_silence())
    told.hear(FindingChange(ownerless()))
    assert told.state.owes(ownerless().id)

    told.silences = ()
    told.state = DeliveryState.of_rows(rows_of(told.state))
    strict = ReceiverRoute(name="soc", minimum=Severity.CRITICAL)
    assert told.hear(route=strict) == []
    assert not told.state.owes(ownerless().id)


def test_silences_are_followed_by_every_process() -> None:
    """What one took, the other heeds; what ended or cannot be read is no silence."""
    kept, now, heard = BodiesInMemory(), [NOW], []
    bad = b'{"kinds": ["no such kind"]}'
    asyncio.run(kept.put("silence", "bad", bad))
    asyncio.run(kept.put("health", "x", b"{}"))
    one = KeptSilences(kept, lambda: now[0])
    other = KeptSilences(kept, lambda: now[0])
    other.changed = lambda: heard.append(1)

    async def play() -> None:
        await one.put(a_silence())
        assert other.all() == (a_silence(),)
        late = KeptSilences(kept, lambda: now[0])
        assert late.all() == (a_silence(),)
        now[0] += HOUR
        assert other.all() == ()
        await one.put(a_silence(id="s2", until=now[0] + HOUR))
        assert [each.id for each in other.all()] == ["s2"]
        assert kept.get("silence", "s1") is None
        await other.drop("s2")
        assert one.all() == ()

    asyncio.run(play())
    assert len(heard) == 4


def test_an_order_that_is_sent_again_is_the_same_silence() -> None:
    """By its key and whoever gives it; without a key each order is another one."""
    body = {"kinds": ["ownerless"], "reason": "x", "until": "1h"}

    def given(**more: Any) -> str:
        by = more.pop("by", "ops")
        fresh = more.pop("fresh", "fresh")
        return ordered(body | more, fresh=fresh, by=by, now=NOW).id

    assert given(key="k", fresh="one") == given(key="k", fresh="other")
    assert len({given(key="k"), given(key="l"), given(key="k", by="ann"), given()}) == 4
    assert given() == given(key=None) == "fresh"
