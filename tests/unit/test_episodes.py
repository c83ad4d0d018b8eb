"""The life of a finding, from the first use to its last message, in virtual time."""

from __future__ import annotations

import itertools
from random import Random
from typing import Any

import orjson
import pytest
from attrs import define, field

from agents_registry.facts import Node
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.model.findings import FindingKind
from streams.model.times import DAY
from streams.stages.access.uses import AccessEvent
from streams.stages.notify import notify
from streams.stages.notify.deliveries import (
    Activity,
    AttemptOutcome,
    Delivery,
    ReceiverRoute,
)
from streams.stages.notify.notify import FindingChange
from streams.stages.notify.state import DeliveryState
from streams.stages.sentinel import saved_episodes
from streams.stages.sentinel.episode import Episode, Sighting
from streams.stages.sentinel.episodes import KEPT, Episodes
from streams.stages.sentinel.sentinel import Sentinel
from streams.stages.sentinel.tolerances import Tolerances
from tests.noted import note
from tests.notify_steps import step
from tests.unit.test_sentinel import COMMON, TOKEN, S, revoke

pytestmark = pytest.mark.unit

MINUTE, HOUR = 60 * S, 3600 * S
RULES = Tolerances(skew=0, grace=S, remember=24 * HOUR, silence=HOUR)
START = 1000 * S


@define
class World:
    """A sentinel whose findings are told to one receiver, and a clock.

    Attributes:
        told: what arrived, and when.
    """

    now: int = START
    sentinel: Sentinel = field(factory=lambda: Sentinel("r", RULES))
    registry: Registry = field(factory=Registry)
    state: DeliveryState = field(factory=DeliveryState)
    told: list[tuple[int, Delivery]] = field(factory=list)
    saved: dict[str, Any] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        """Make a token and end it at 100 s."""
        for offset, fact in enumerate(
            (Node(node=TOKEN, issued_at=1, **COMMON), revoke())
        ):
            self.registry.apply(fact)
            note(self.sentinel, fact, offset)

    def use(self, point: str = "door", outcome: str = "allowed") -> None:
        """Show a use of now."""
        use = AccessEvent((TOKEN,), point, outcome, self.now, f"{self.now}")
        self.tell(
            finish(self.sentinel.observe([use], self.registry, self.now)).episodes
        )

    def wait(self, span: int) -> None:
        """Let time pass, and both stages tidy up every five seconds."""
        end = self.now + span
        while self.now < end:
            self.now = min(end, self.now + 5 * S)
            self.tell(finish(self.sentinel.expire(self.now)).episodes)

    def tell(self, changed: dict[str, Episode]) -> None:
        """Save what changed, and deliver what is due."""
        changes = []
        for identity, each in changed.items():
            self.saved[identity] = orjson.dumps(saved_episodes.save(each))
            changes.append(FindingChange(each.finding, closed=not each.open))
        self.state, due = step(
            self.state, changes, self.now, routes=[ReceiverRoute(name="soc")]
        )
        for delivery in due:
            self.told.append((self.now, delivery))
            ok = AttemptOutcome(status=204)
            self.state = notify.settle(self.state, delivery, ok, self.now).state

    def restart(self) -> None:
        """Go on in another process with what was saved."""
        known = self.sentinel
        self.sentinel = Sentinel("r", RULES)
        self.sentinel.accepted = known.accepted
        for body in self.saved.values():
            self.sentinel.episodes.restore(saved_episodes.load(orjson.loads(body)))


def test_the_first_alert_never_waits_and_updates_do() -> None:
    """Ten minutes of uses are one beginning and an update a minute."""
    world = World()
    for _ in range(200):
        world.use()
        world.now += 3 * S
    (began, first), *updates = world.told

    assert (START, Activity.CREATE, 1) == (began, first.activity, first.finding.count)
    assert 9 <= len(updates) <= 10
    times = [began, *(at for at, _ in updates)]
    assert all(b - a >= MINUTE for a, b in itertools.pairwise(times))
    assert all(
        (Activity.UPDATE, first.finding.id, 1 + (at - START) // (3 * S))
        == (told.activity, told.finding.id, told.finding.count)
        for at, told in updates
    )


def test_silence_ends_it_and_the_next_use_begins_another() -> None:
    """With an id of its own, at once, however long it was silent."""
    world = World()
    ids = []
    for silence in (HOUR + MINUTE, 30 * HOUR, MINUTE):
        world.use()
        assert (world.now, Activity.CREATE) == (
            world.told[-1][0],
            world.told[-1][1].activity,
        )
        ids.append(world.told[-1][1].finding.id)
        world.wait(silence)
    assert [Activity.CREATE, Activity.CLOSE] * 2 + [Activity.CREATE] == [
        told.activity for _, told in world.told
    ]
    assert 3 == len(set(ids))
    closed = [at for at, told in world.told if told.activity is Activity.CLOSE]
    assert HOUR < closed[0] - START <= HOUR + 10 * S


def test_a_restart_changes_neither_id_nor_count() -> None:
    """Before the first silence, in it, and after it was reopened."""
    straight, broken = World(), World()
    for world in (straight, broken):
        for pause in (S, MINUTE, HOUR + MINUTE, S, 2 * HOUR, S):
            world.use()
            world.wait(pause)
            if world is broken:
                world.restart()

    assert [(at, d.id, d.activity, d.finding) for at, d in straight.told] == [
        (at, d.id, d.activity, d.finding) for at, d in broken.told
    ]


def test_one_is_open_for_each_kind_and_point() -> None:
    """They are told apart, and none waits for another."""
    world = World()
    for _ in range(3):
        for point in ("door", "gate"):
            world.use(point)
            world.use(point, "denied")
        world.now += S

    assert 4 == len(world.told)
    assert {("use_after_revocation", "door"), ("use_after_revocation", "gate"),
            ("blocked_attempt", "door"), ("blocked_attempt", "gate")} == {
        (told.finding.kind.value, told.finding.point) for _, told in world.told
    }  # fmt: skip


def test_a_use_after_a_silence_ends_what_was_open_before() -> None:
    """Also where nobody tidied up meanwhile: a stop was longer than the silence."""
    world = World()
    world.use()
    world.now += HOUR + MINUTE
    world.restart()
    world.use()

    create, close = Activity.CREATE, Activity.CLOSE
    assert [create, close, create] == [told.activity for _, told in world.told]
    first, closed, second = (told.finding.id for _, told in world.told)
    assert first == closed != second


@pytest.mark.parametrize("seed", range(4))
def test_no_id_comes_twice_and_what_is_closed_is_forgotten(seed: int) -> None:
    """Whatever opens and ends when, and however often a process starts anew."""
    random = Random(seed)
    now, given, open_now = START, set(), set()
    saved: dict[str, Any] = {}
    known = Episodes("r", HOUR, KEPT)
    for _ in range(600):
        now += random.choice((0, S, HOUR, DAY, DAY, 10 * DAY, 31 * DAY))
        point = random.choice("ab")
        seen = Sighting(
            kind=FindingKind.UNKNOWN_CREDENTIAL, presented=TOKEN, point=point,
            first_seen=START, last_seen=START,
        )  # fmt: skip
        ended = [known.end_silent(seen.key, now), *finish(known.close_silent(now))]
        if random.random() < 0.3:
            ended.append(known.end(seen.key, now))
        elif random.random() < 0.5:
            episode = known.see(seen, now)
            identity = episode.finding.id
            assert (identity in given) == (identity in open_now)
            given.add(identity)
            open_now.add(identity)
            saved[identity] = saved_episodes.save(episode)
        for each in filter(None, ended):
            open_now.remove(each.finding.id)
            saved[each.finding.id] = saved_episodes.save(each)
        for identity in finish(known.forget(now)):
            assert identity not in open_now
            del saved[identity]
        if random.random() < 0.1:
            known = Episodes("r", HOUR, KEPT)
            for plain in random.sample([*saved.values()], len(saved)):
                known.restore(saved_episodes.load(plain))
    finish(known.close_silent(now + 2 * HOUR))
    finish(known.forget(now + 3 * HOUR + KEPT))

    assert 100 < len(given)
    held = (known._last, known._open, known._closed, known._about, known._doubted)
    assert not any(held)


def test_doubts_of_what_is_closed_are_forgotten_with_it() -> None:
    """Where no guard reports nobody ever asks for them."""
    world = World()
    for number in range(3):
        world.use(f"door{number}")
    assert 3 == len(world.sentinel.episodes.doubtful_points)
    world.wait(HOUR + MINUTE)

    assert not world.sentinel.episodes.doubtful_points
