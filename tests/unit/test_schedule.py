"""Orders that wait for their time: who carries them out, how often, what may fail."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest
from attrs import evolve

from agents_registry.facts import Cause, Lift, fact_id
from agents_registry.identifiers import Identifier
from streams.model.times import SECOND
from streams.ports.keyed_store import (
    ORDER_PART,
    PENDING,
    SCHEDULE,
    SCHEDULE_CANCEL,
    SCHEDULE_CLAIM,
)
from streams.services import schedule as schedule_of
from streams.services.approval_queue import FullError
from streams.services.blast_limit import BlastLimit, Limit
from streams.services.intake import NotWrittenError
from streams.services.order_parts import LEFT_SECONDS
from streams.services.schedule import (
    CLAIM_SECONDS,
    SOON_SECONDS,
    Schedule,
    TooLateError,
)
from streams.stages.ingest.acts import OperatorAct
from streams.stages.ingest.approvals import Pending, Scheduled, UndecidedError
from streams.stages.ingest.ending_orders import EndingOrder
from streams.stages.ingest.ingress import Origin
from tests.integration.serving import until
from tests.unit.test_approvals import Log, Tables, table
from tests.unit.test_approvals import desk as desk_of

if TYPE_CHECKING:
    from streams.services.ingest import Intake

pytestmark = pytest.mark.unit

NOW, DUE = 1_000 * SECOND, 2_000 * SECOND
ORIGIN = Origin("okta", "r", NOW, "laptop")
NAME = Identifier("agent.id", "x")
MANY = tuple(Identifier("jwt.jti", str(number)) for number in range(1001))


class World:
    """Processes of one realm that share a store and a log.

    Attributes:
        now: the time of all of them.
    """

    def __init__(self) -> None:
        self.now = NOW
        self.desk, self.kept, self.log = desk_of()
        self.desk._clock = lambda: self.now
        self.log.facts = self._facts  # type: ignore[method-assign]
        self.taken = self.log.written
        self.first = self.desk.schedule = self.process("i0")

    def process(self, owner: str) -> Schedule:
        """Start one more process."""
        made = Schedule(
            kept=self.kept, log=cast("Intake", self.log), desk=self.desk, realm="r",
            clock=lambda: self.now, owner=owner,
        )  # fmt: skip
        made.begin()
        return made

    async def _facts(self, facts: Any, origin: Origin, **more: Any) -> Any:
        """Write as a log does that forgets in the same transaction."""
        also = more.pop("also", ())
        done = await Log.facts(self.log, facts, origin, **more)
        for put in also:
            await self.kept.forget(put.kind, put.name)
        return done

    async def order(
        self, *names: Identifier, act: str = "revoke", lasts: str = "", **more: Any
    ) -> str:
        """Order something for later; give the id of what waits."""
        body = {"at": "1970-01-01T00:33:20Z", "reason": "r"}
        body |= {"for": lasts} if lasts else {}
        ending = EndingOrder.read(act, body, NOW)
        causes = tuple(
            ending.cause(name, ORIGIN, f"o1/{number}", "laptop")
            for number, name in enumerate(names or (NAME,), 1)
        )
        given = OperatorAct(
            act, "revoke x", "r", causes, order="o1", due_at=ending.due_at, **more
        )
        taken = await self.desk.take(given, ORIGIN, "laptop", "alice")
        waiting = taken.order if isinstance(taken, Scheduled) else taken
        assert isinstance(waiting, Pending)
        return waiting.id

    @property
    def ids(self) -> set[str]:
        """Ids of the facts that were written."""
        return {fact_id(fact).hex() for _, _, fact in self.taken}

    @property
    def left(self) -> dict[str, bytes]:
        """What is kept of orders."""
        of = self.kept.items
        return of(SCHEDULE) | of(SCHEDULE_CLAIM) | of(ORDER_PART)


@pytest.fixture
def world() -> World:
    """Give a world without orders."""
    return World()


async def test_an_order_is_carried_out_once_its_time_has_come(world: World) -> None:
    """As it was ordered, by whoever ordered it; nothing of it is kept."""
    await world.order()
    await world.first.carry_out()
    assert world.taken == []
    world.now = DUE + 3 * SECOND
    await world.first.carry_out()
    await world.first.carry_out()
    ((actor, action, cause),) = world.taken
    assert isinstance(cause, Cause)
    assert (actor, cause.at, cause.version) == ("laptop", DUE, DUE)
    assert cause.received_at == world.now
    assert action.startswith(
        "carried out o1, ordered at 1970-01-01T00:16:40Z: revoke x"
    )
    assert world.log.acts == ["laptop: scheduled o1 for 1970-01-01T00:33:20Z: revoke x"]
    assert world.left == {}


async def test_many_names_are_kept_in_parts_and_written_whole(world: World) -> None:
    """With the facts that writing them at once would have made."""
    await world.order(*MANY)
    assert len(world.kept.items(ORDER_PART)) == 2
    assert all(len(body) < 100_000 for body in world.left.values())
    world.now = DUE
    await world.first.carry_out()
    assert [fact.target for _, _, fact in world.taken] == [*MANY]
    assert [fact.event_id for _, _, fact in world.taken][-1] == "o1/1001"
    assert world.left == {}


async def test_of_two_processes_one_carries_it_out(world: World) -> None:
    """The one whose claim was heard first, also where both look at once."""
    second = world.process("i1")
    await world.order()
    world.now = DUE
    await asyncio.gather(world.first.carry_out(), second.carry_out())
    assert len(world.taken) == 1
    await second.carry_out()
    assert len(world.taken) == 1


async def test_of_two_claims_the_one_that_was_heard_first_counts(
    world: World,
) -> None:
    """Both were made before either was heard."""
    second = world.process("i1")
    await world.order()
    world.now = DUE
    for owner in ("i0", "i1"):
        claim = orjson.dumps({"by": owner, "at": DUE})
        await world.kept.put(SCHEDULE_CLAIM, "o1", claim)
    await second.carry_out()
    assert world.taken == []
    await world.first.carry_out()
    assert len(world.taken) == 1


async def test_who_claimed_and_is_gone_is_replaced(world: World) -> None:
    """After a while; a slow one that writes all the same writes the same fact."""
    second = world.process("i1")
    await world.order()
    world.now = DUE
    claim = orjson.dumps({"by": "i0", "at": DUE})
    await world.kept.put(SCHEDULE_CLAIM, "o1", claim)
    kept = world.kept.items(SCHEDULE)["o1"]
    await second.carry_out()
    assert world.taken == []
    world.now = DUE + int(CLAIM_SECONDS * SECOND)
    await second.carry_out()
    assert len(world.taken) == 1
    await world.kept.put(SCHEDULE, "o1", kept)
    await world.first.carry_out()
    assert (len(world.taken), len(world.ids)) == (2, 1)


async def test_what_a_crash_left_is_carried_out_at_the_next_start(world: World) -> None:
    """A process that comes back under its name need not wait for its own claim."""
    await world.order()
    world.now = DUE
    await world.kept.put(SCHEDULE_CLAIM, "o1", orjson.dumps({"by": "i0", "at": DUE}))
    again = world.process("i0")
    await again.carry_out()
    assert len(world.taken) == 1
    assert world.left == {}


async def test_what_is_not_written_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop goes on."""
    monkeypatch.setattr(schedule_of, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(schedule_of, "AGAIN_SECONDS", 0.0)
    await world.order()
    world.now = DUE
    world.kept.failing = 2
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(world.process("i0").run())
        await until(lambda: bool(world.taken))
        running.cancel()
    assert len(world.taken) == 1


async def test_a_cancelled_order_is_never_carried_out(world: World) -> None:
    """But not in the last seconds: clocks differ, and it may be done by now."""
    await world.order(*MANY)
    assert await world.first.cancel("none", "laptop", "no") is None
    world.now = DUE - int(SOON_SECONDS * SECOND)
    with pytest.raises(TooLateError):
        await world.first.cancel("o1", "laptop", "no")
    world.now -= 1
    assert await world.first.cancel("o1", "laptop", "a mistake")
    assert world.log.acts[-1] == "laptop: cancelled o1: revoke x: a mistake"
    assert world.left == {}
    world.now = DUE
    await world.first.carry_out()
    assert world.taken == []


async def test_a_cancel_that_took_too_long_is_no_cancel(world: World) -> None:
    """Whoever asked has to look what was written."""
    await world.order()
    forget = world.kept.forget

    async def slow(kind: str, name: str) -> None:
        world.now = DUE
        await forget(kind, name)

    world.kept.forget = slow  # type: ignore[method-assign]
    with pytest.raises(TooLateError, match="look what was written"):
        await world.first.cancel("o1", "laptop", "no")


async def test_what_reaches_too_much_by_then_is_held(world: World) -> None:
    """Unless another person approved it when it was ordered."""
    rule = {"okta": Limit(1, hold=True)}
    world.first.limit = BlastLimit(rule, Tables(table(2)), world.desk)
    await world.order(over="reaches more than 1 identifiers")
    (waiting,) = await world.desk.waiting()
    assert (waiting.kind, waiting.due_at) == ("held", DUE)
    approved = await world.desk.approve("o1", "bobs", "bob")
    assert isinstance(approved, Scheduled)
    world.now = DUE
    await world.first.carry_out()
    assert len(world.taken) == 1
    assert "enforced: it reaches" in world.log.signals[-1]["detail"]

    world.now = NOW
    await world.order()
    world.now = DUE
    await world.first.carry_out()
    assert len(world.taken) == 1
    (held,) = await world.desk.waiting()
    assert (held.kind, held.due_at) == ("held", None)
    assert "held, not enforced" in world.log.signals[-1]["detail"]
    assert await world.desk.approve("o1", "bobs", "bob")
    assert len(world.taken) == 2


async def test_what_cannot_be_held_yet_waits_and_stops_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop goes on, and so do the orders behind it."""
    rule = {"okta": Limit(1, hold=True)}
    world.first.limit = BlastLimit(rule, Tables(table(2)), world.desk)
    await world.order()
    other = Pending.load(world.kept.items(SCHEDULE)["o1"])
    (cause,) = other.facts
    assert isinstance(cause, Cause)
    small = evolve(cause, target=Identifier("agent.id", "small"))
    other = evolve(other, id="o2", facts=(small,))
    await world.kept.put(SCHEDULE, "o2", other.dump())
    monkeypatch.setattr("streams.services.approval_queue.MOST_WAITING", 0)
    world.now = DUE
    await world.first.carry_out()
    assert [fact.target.value for _, _, fact in world.taken] == ["small"]
    assert list(world.kept.items(SCHEDULE)) == ["o1"]
    monkeypatch.undo()
    await world.first.carry_out()
    assert [each.kind for each in await world.desk.waiting()] == ["held"]
    assert world.kept.items(SCHEDULE) == {}


async def test_an_approval_after_its_time_is_carried_out_at_once(world: World) -> None:
    """Before it, it waits on without ever being void."""
    await world.order(*MANY, act="revoke", over="reaches more than 1 identifiers")
    world.now = DUE
    approved = await world.desk.approve("o1", "bobs", "bob")
    assert not isinstance(approved, Scheduled)
    assert len(world.taken) == len(MANY)
    assert world.left == {}


async def test_an_order_whose_names_are_not_whole_is_not_written(world: World) -> None:
    """It is told, and said to be missing; nothing of it is done."""
    await world.order(*MANY)
    await world.kept.put(ORDER_PART, "o1/1", None)
    world.now = DUE
    await world.first.carry_out()
    assert world.taken == []
    (signal,) = world.log.signals
    assert signal["kind"] == "revocation_not_applied"
    assert "1000 of its 1001 names" in signal["detail"]
    assert world.left == {}

    await world.order(*MANY, over="reaches more than 1 identifiers")
    await world.kept.put(
        ORDER_PART, "o1/1", orjson.dumps({"at": 0, "names": ["a.b:c"]})
    )
    with pytest.raises(UndecidedError, match="give the order again"):
        await world.desk.approve("o1", "bobs", "bob")


async def test_what_does_not_fit_the_log_is_told(world: World) -> None:
    """Else it would be tried for ever."""
    await world.order()
    world.log.misfit = 1
    world.now = DUE
    await world.first.carry_out()
    assert "does not fit" in world.log.signals[-1]["detail"]
    assert world.left == {}


async def test_so_many_orders_wait_and_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another version wrote counts, and is listed by nobody."""
    await world.kept.put(SCHEDULE, "other", b"{}")
    assert await world.first.waiting() == []
    monkeypatch.setattr(schedule_of, "MOST_SCHEDULED", 1)
    with pytest.raises(FullError, match="1 orders wait"):
        await world.order()


async def test_names_that_a_crash_left_are_swept(world: World) -> None:
    """Once nobody is about to keep their order; those of orders stay."""
    await world.order(*MANY)
    left = orjson.dumps({"at": NOW, "names": []})
    await world.kept.put(ORDER_PART, "gone/0", left)
    await world.desk.sweep()
    assert "gone/0" in world.kept.items(ORDER_PART)
    world.now = NOW + int(LEFT_SECONDS * SECOND) + 1
    await world.desk.sweep()
    assert sorted(world.kept.items(ORDER_PART)) == ["o1/0", "o1/1"]


async def test_nothing_of_an_order_is_kept_that_cannot_be(world: World) -> None:
    """The caller repeats it."""
    world.kept.failing = 1
    with pytest.raises(NotWrittenError):
        await world.order()
    assert world.kept.items(PENDING) == {}


@pytest.mark.parametrize(("late", "carried_out"), [(59, True), (60, False)])
async def test_what_would_have_ended_by_itself_is_told(
    world: World, late: int, *, carried_out: bool
) -> None:
    """No audit line says of an order that has no effect that it was carried out."""
    await world.order(act="suspend", lasts="1m")
    world.now = DUE + late * SECOND
    await world.first.carry_out()
    assert bool(world.taken) is carried_out
    assert world.left == {}
    if not carried_out:
        detail = world.log.signals[-1]["detail"]
        assert detail.startswith("the scheduled order o1 was not carried out: it would")
        assert detail in world.log.acts[-1]


@pytest.mark.parametrize("approved", [True, False])
async def test_a_lift_of_who_may_lift_no_more_is_not_carried_out(
    world: World, *, approved: bool
) -> None:
    """A stolen credential would end suspensions long after it was taken away."""
    asked: list[str] = []

    def may_not(name: str) -> bool:
        asked.append(name)
        return False

    world.first._may_lift = may_not
    lift = Lift(
        authority="okta", event_id="o1/1", version=DUE, stamped=True,
        received_at=NOW, target=NAME,
    )  # fmt: skip
    given = OperatorAct("lift", "lift x", "r", (lift,), order="o1", due_at=DUE)
    waiting = await world.desk.take(given, ORIGIN, "laptop", "alice")
    assert isinstance(waiting, Pending)
    await world.first.keep(evolve(waiting, approved=approved), "laptop")
    world.now = DUE
    await world.first.carry_out()
    assert world.left == {}
    assert bool(world.taken) is approved
    assert asked == ([] if approved else ["laptop"])
    if not approved:
        assert "laptop is no restorer any more" in world.log.acts[-1]
        assert "laptop is no restorer any more" in world.log.signals[-1]["detail"]


async def test_what_is_not_carried_out_for_long_can_be_cancelled(world: World) -> None:
    """As where too much is held already; else it would wait there for ever."""
    await world.order()
    world.now = DUE + int(2 * CLAIM_SECONDS * SECOND) - 1
    with pytest.raises(TooLateError, match="within seconds"):
        await world.first.cancel("o1", "ann", "not needed")
    world.now += 1
    second = world.process("i1")
    assert await second._stuck((await second.waiting())[0])
    assert await second.cancel("o1", "ann", "not needed")
    await world.first.carry_out()
    assert world.taken == []
    assert world.left == {}


@pytest.mark.parametrize("becomes", ["cancelled", "carried out", "nothing"])
async def test_who_has_not_claimed_an_order_asks_who_has(
    world: World, monkeypatch: pytest.MonkeyPatch, becomes: str
) -> None:
    """And says what became of it."""
    monkeypatch.setattr(schedule_of, "CANCEL_LOOK", 0.001)
    if becomes == "nothing":
        monkeypatch.setattr(schedule_of, "CANCEL_SECONDS", 0.01)
    await world.order()
    world.now = DUE + int(2 * CLAIM_SECONDS * SECOND)
    second = world.process("i1")
    assert await second._stuck((await second.waiting())[0])
    if becomes == "carried out":
        monkeypatch.setattr(Schedule, "_is_cancelled", no_wish)
    asked = asyncio.create_task(world.first.cancel("o1", "ann", "not needed"))
    if becomes != "nothing":
        await until(lambda: world.kept.get(SCHEDULE_CANCEL, "o1"))
        await second.carry_out()

    if becomes == "cancelled":
        assert await asked
        assert world.log.acts[-1] == "ann: cancelled o1: revoke x: not needed"
    else:
        with pytest.raises(TooLateError, match=r"meanwhile|try again"):
            await asked
    assert bool(world.taken) is (becomes == "carried out")
    assert world.kept.get(SCHEDULE_CANCEL, "o1") is None
    assert bool(world.left) is (becomes == "nothing")


async def no_wish(*_: object) -> bool:
    """Say that nobody wants to cancel anything."""
    return False


@pytest.mark.parametrize("end", ["carried out", "cancelled"])
async def test_what_a_crash_left_with_the_approvals_is_decided(
    world: World, end: str
) -> None:
    """Else it could be rejected there, and be carried out all the same."""
    await world.order(over="reaches more than 3 identifiers")
    world.kept.broken = True
    with pytest.raises(NotWrittenError):
        await world.desk.approve("o1", "bobs", "bob")
    world.kept.broken = False
    assert list(world.kept.items(PENDING)) == list(world.kept.items(SCHEDULE)) == ["o1"]
    assert await world.desk.waiting() == []
    assert await world.desk.reject("o1", "bobs", "no") is None
    if end == "cancelled":
        assert await world.first.cancel("o1", "bobs", "no")
    world.now = DUE
    await world.first.carry_out()
    assert bool(world.taken) is (end == "carried out")
    assert world.left == world.kept.items(PENDING) == {}


async def test_one_person_cannot_take_all_places(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others still order for later; and it may give one of its own again."""
    monkeypatch.setattr(schedule_of, "MOST_OF_PERSON", 2)
    await world.order()
    order = (await world.first.waiting())[0]
    await world.first.keep(evolve(order, id="o2"), "laptop")
    with pytest.raises(FullError, match="of alice wait"):
        await world.first.keep(evolve(order, id="o3"), "laptop")
    await world.first.keep(order, "laptop")
    await world.first.keep(evolve(order, id="o4", person="bob"), "laptop")
