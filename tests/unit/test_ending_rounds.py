"""What is dead here ends at its issuer, by what the probe finds."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import Effect, Node, fact_id
from agents_registry.identifiers import Identifier
from streams.model.times import SECOND
from streams.stages.ending.items import EndingItem, EndingState
from tests import virtual
from tests.ending_world import FakeSettings, World, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    Story = Callable[[World], Coroutine[Any, Any, None]]

pytestmark = pytest.mark.unit

AGENT = Identifier("agent.id", "planner")
TOKEN = Identifier("vault.accessor", "t")
CHILD = Identifier("vault.accessor", "c")
LEASE = Identifier("vault.lease", "l")
KEY = Identifier("aws.access_key", "k")
ALL = (TOKEN, CHILD, LEASE, KEY)
DONE = frozenset(
    {
        EndingState.ENDED,
        EndingState.FAILED,
        EndingState.NO_WAY,
        EndingState.STOPPED,
        EndingState.LEFT,
    }
)


def told(story: Story, **settings: Any) -> World:
    """Run a story in a world with an agent, its token with child and lease, and a key.

    The rounds begin once the story waits for the first time.
    """

    async def main(loop: virtual.VirtualLoop) -> World:
        world = World(loop, Random(1))
        world.issuer("vault", **settings)
        world.issuer("aws", **settings)
        world.accept(Node, node=AGENT)
        for name, parent in zip(ALL, (AGENT, TOKEN, TOKEN, AGENT), strict=True):
            world.node(name, parent, alive=True)
        working = asyncio.create_task(world.rounds().run())
        try:
            await story(world)
        finally:
            working.cancel()
        return world

    world: World = virtual.run(main)
    assert [] == world.outside
    return world


def states(world: World) -> dict[Identifier, EndingState]:
    """States of all items, as they are kept."""
    return {name: each.state for name, each in world.items().items()}


def settled(world: World, count: int = 4) -> bool:
    """Whether nothing is open any more."""
    found = states(world)
    return len(found) == count and set(found.values()) <= DONE


def test_all_that_a_revoke_reaches_is_probed_dead() -> None:
    """The maker is ended before what it made, and each act has its audit line."""

    async def story(world: World) -> None:
        world.end(AGENT)
        await until(world, lambda: settled(world))

    world = told(story)

    assert dict.fromkeys(ALL, EndingState.ENDED) == states(world)
    assert not world.issuers["vault"].alive
    acts = [name for _, name in world.issuers["vault"].acts]
    assert TOKEN == acts[0]
    assert len(ALL) == len(world.audit)


def test_the_status_of_an_act_decides_nothing() -> None:
    """An issuer that says yes and does nothing is found out, told and given up."""

    async def story(world: World) -> None:
        world.issuers["aws"].lies[KEY] = 1000
        world.end(AGENT)
        await until(world, lambda: settled(world))
        await until(world, lambda: world.signals and world.signals[-1]["detail"])

    world = told(story)

    assert EndingState.FAILED == states(world)[KEY]
    assert KEY in world.issuers["aws"].alive
    assert "says yes and does nothing" in world.signals[-1]["detail"]
    assert EndingState.ENDED == states(world)[CHILD]


def test_a_lie_that_ends_is_no_failure() -> None:
    """What shows its effect at the second act is ended."""

    async def story(world: World) -> None:
        world.issuers["aws"].lies[KEY] = 1
        world.end(KEY)
        await until(world, lambda: settled(world, 1))

    world = told(story)

    assert {KEY: EndingState.ENDED} == states(world)
    assert [("ended", KEY)] * 2 == world.issuers["aws"].acts


def test_an_act_that_fails_with_an_effect_is_done() -> None:
    """Where the probe finds it dead, no answer to the act matters."""

    async def story(world: World) -> None:
        world.issuers["aws"].alive.discard(KEY)
        world.end(KEY)
        await until(world, lambda: settled(world, 1))

    world = told(story)

    assert {KEY: EndingState.ENDED} == states(world)
    assert [] == world.issuers["aws"].acts


def test_what_is_made_between_is_asked_for_denied_and_ended() -> None:
    """A child that came while its maker ended is declared, and ends."""
    late = Identifier("vault.accessor", "late")
    later = Identifier("vault.accessor", "later")

    async def story(world: World) -> None:
        world.issuers["vault"].mints = {TOKEN: [late], late: [later]}
        world.end(AGENT)
        await until(world, lambda: settled(world, 6))

    world = told(story)

    assert not world.issuers["vault"].alive
    assert {late, later} < states(world).keys()
    assert Effect.REVOKE is world.condemned(later)


def test_nothing_is_done_where_the_mode_is_plan() -> None:
    """What would end is shown, and no act is made."""

    async def story(world: World) -> None:
        world.end(AGENT)
        await until(world, lambda: len(world.kept) == len(ALL))
        await asyncio.sleep(60)

    world = told(story, mode="plan")
    reasons = {each.reason for each in world.items().values()}

    assert 2 == len(reasons)
    assert all("mode is plan; dry run: would" in each for each in reasons)

    assert dict.fromkeys(ALL, EndingState.WAITING) == states(world)
    assert [] == world.audit
    assert {"pending"} == {each.shown for each in world.items().values()}


def test_an_approval_lets_one_cause_act_at_one_issuer() -> None:
    """Whatever is not approved waits on."""

    async def story(world: World) -> None:
        world.end(AGENT)
        await until(world, lambda: len(world.kept) == len(ALL))
        (cause,) = {cause for each in world.items().values() for cause in each.causes}
        world.approved["aws"] = frozenset({cause})
        await until(world, lambda: states(world)[KEY] is EndingState.ENDED)
        await asyncio.sleep(60)

    world = told(story, mode="approve")

    assert EndingState.WAITING is states(world)[TOKEN]
    assert [] == world.issuers["vault"].acts


def test_more_than_the_limit_waits_for_an_approval() -> None:
    """The limit counts what one cause reaches at one issuer."""

    async def story(world: World) -> None:
        world.end(AGENT)
        await until(world, lambda: states(world).get(KEY) is EndingState.ENDED)
        await asyncio.sleep(60)

    world = told(story, limit=2)

    assert EndingState.WAITING is states(world)[TOKEN]
    assert "more than the limit" in world.items()[TOKEN].reason


def test_a_lift_stops_what_is_not_done_yet() -> None:
    """What waits for an issuer that is away is not acted on after the lift."""

    async def story(world: World) -> None:
        world.issuers["aws"].away = (0.0, 500.0)
        world.end(AGENT, Effect.SUSPEND)
        await until(world, lambda: states(world).get(TOKEN) is EndingState.ENDED)
        world.lift(AGENT)
        await until(world, lambda: states(world)[KEY] is EndingState.STOPPED)
        await until(world, lambda: states(world)[TOKEN] is EndingState.RESTORED)
        await asyncio.sleep(1000)

    world = told(story)

    assert [] == world.issuers["aws"].acts
    assert world.issuers["vault"].usable(TOKEN)
    assert world.issuers["vault"].usable(CHILD)


def test_a_lift_in_the_last_moment_stops_an_act() -> None:
    """What is recorded as begun is not made when its cause was lifted meanwhile."""

    async def story(world: World) -> None:
        begin = world.begin

        async def lifted(item: EndingItem) -> None:
            await begin(item)
            world.lift(KEY)

        world.begin = lifted  # type: ignore[method-assign]
        world.end(KEY, Effect.SUSPEND)
        await until(world, lambda: states(world).get(KEY) is EndingState.STOPPED)

    world = told(story)

    assert [] == world.issuers["aws"].acts


def test_what_is_limited_for_long_is_not_given_up() -> None:
    """An issuer that asks to wait a hundred times ends it nevertheless."""

    async def story(world: World) -> None:
        world.issuers["aws"].limit = 0
        world.end(KEY)
        await asyncio.sleep(600)
        assert states(world)[KEY] is EndingState.PENDING
        world.issuers["aws"].limit = 100
        await until(world, lambda: settled(world, 1))

    world = told(story)

    assert {KEY: EndingState.ENDED} == states(world)


def test_an_issuer_that_gives_no_answer_proves_nothing() -> None:
    """Where the probe cannot tell, it counts as neither."""

    async def story(world: World) -> None:
        world.issuers["aws"].away = (0.0, 50.0)
        world.end(KEY)
        await asyncio.sleep(40)
        assert "unreachable" == shown(world, KEY)
        await until(world, lambda: settled(world, 1))

    world = told(story)

    assert [("ended", KEY)] == world.issuers["aws"].acts


def test_a_suspend_is_left_to_guards_where_it_cannot_be_given_back() -> None:
    """A lease can only be revoked."""

    async def story(world: World) -> None:
        world.end(AGENT, Effect.SUSPEND)
        await until(world, lambda: settled(world))
        await asyncio.sleep(60)

    world = told(story)

    assert EndingState.LEFT is states(world)[LEASE]
    assert LEASE in world.issuers["vault"].alive


def test_an_issuer_that_is_away_is_named_and_asked_again() -> None:
    """It is unreachable until it answers, a finding after a while, then it is over."""

    async def story(world: World) -> None:
        world.issuers["aws"].away = (0.0, 900.0)
        world.end(AGENT)
        await until(world, lambda: "unreachable" == shown(world, KEY))
        await until(world, lambda: world.signals and world.signals[-1]["detail"])
        assert "gives no answer" in world.signals[-1]["detail"]
        assert set(ALL) - {KEY} == {
            name for name, state in states(world).items() if state is EndingState.ENDED
        }
        await until(world, lambda: states(world)[KEY] is EndingState.ENDED)
        await until(world, lambda: world.signals[-1]["over"])

    told(story)


def test_a_limited_issuer_is_waited_for() -> None:
    """Retry-After is no failure."""

    async def story(world: World) -> None:
        world.issuers["vault"].limit = 1
        world.end(AGENT)
        await until(world, lambda: settled(world))

    world = told(story)

    assert dict.fromkeys(ALL, EndingState.ENDED) == states(world)


def test_what_is_of_no_kind_there_is_named() -> None:
    """It is no way, by its name."""
    secret = Identifier("vault.secret_id_accessor", "s")

    async def story(world: World) -> None:
        world.node(secret, AGENT, alive=False)
        world.end(AGENT)
        await until(world, lambda: settled(world, 5))

    world = told(story)

    assert EndingState.NO_WAY is states(world)[secret]
    assert "vault.secret_id_accessor" in world.items()[secret].reason


def test_a_revoke_after_a_suspend_ends_for_good() -> None:
    """The wish is the stronger one."""

    async def story(world: World) -> None:
        world.end(KEY, Effect.SUSPEND)
        await until(world, lambda: settled(world, 1))
        world.end(KEY)
        await until(world, lambda: KEY not in world.issuers["aws"].alive)

    world = told(story)

    assert [("suspended", KEY), ("ended", KEY)] == world.issuers["aws"].acts


def shown(world: World, name: Identifier) -> str | None:
    """Return what closure shows of something."""
    item = world.items().get(name)
    return None if item is None else item.shown


def test_a_suspend_that_is_over_by_the_clock_is_given_back() -> None:
    """No fact says so: the end stands in the cause."""

    async def story(world: World) -> None:
        until_then = world.clock() + 60 * SECOND
        world.end(KEY, Effect.SUSPEND, until=until_then)
        await until(world, lambda: settled(world, 1))
        assert not world.issuers["aws"].usable(KEY)
        world.lapse(KEY, until_then)
        await until(world, lambda: states(world)[KEY] is EndingState.RESTORED, 600)

    world = told(story)

    assert world.issuers["aws"].usable(KEY)


def test_a_fault_of_ours_ends_nothing_else() -> None:
    """What breaks is tried again, and the rest goes on."""

    async def story(world: World) -> None:
        keep, broken = world.keep, [KEY]

        async def breaking(items: Sequence[EndingItem]) -> None:
            if broken and any(each.state is EndingState.ENDED for each in items):
                broken.pop()
                raise ZeroDivisionError
            await keep(items)

        world.keep = breaking  # type: ignore[method-assign]
        world.end(AGENT)
        await until(world, lambda: settled(world))

    world = told(story)

    assert dict.fromkeys(ALL, EndingState.ENDED) == states(world)


def test_what_the_issuer_tells_of_our_suspend_does_not_keep_it() -> None:
    """Its log tells of the act as of its own; a lift gives back all the same."""

    async def story(world: World) -> None:
        world.end(KEY, Effect.SUSPEND)
        await until(world, lambda: settled(world, 1))
        world.end(KEY, Effect.SUSPEND, authority="aws")
        await asyncio.sleep(30)
        world.lift(KEY)
        await until(world, lambda: states(world)[KEY] is EndingState.RESTORED, 600)

    world = told(story)

    assert world.issuers["aws"].usable(KEY)
    assert [("suspended", KEY), ("restored", KEY)] == world.issuers["aws"].acts


USER = Identifier("aws.user", "u")


def marked(world: World, **more: Any) -> None:
    """End what was issued under the user until now."""
    world.end(USER, Effect.NOT_BEFORE, not_before=world.clock(), **more)


def test_a_suspend_is_given_back_where_a_watermark_came_between() -> None:
    """The watermark is carried out after the user was given back."""

    async def story(world: World) -> None:
        vendor = world.issuers["aws"]
        world.node(USER, AGENT, alive=True)
        world.end(USER, Effect.SUSPEND)
        await until(world, lambda: USER in vendor.suspended)
        marked(world)
        await asyncio.sleep(60)
        assert USER in vendor.suspended
        world.lift(USER)
        await until(world, lambda: USER not in vendor.suspended)
        await until(world, lambda: settled(world, 1))

    world = told(story)

    assert {USER: EndingState.ENDED} == states(world)
    assert USER in world.issuers["aws"].marks
    wanted = [each for each, _ in world.issuers["aws"].acts]
    assert ["suspended", "restored", "ended"] == wanted


def test_a_suspend_after_a_watermark_is_carried_out_and_given_back() -> None:
    """What was ended up to a time is suspended all the same."""

    async def story(world: World) -> None:
        vendor = world.issuers["aws"]
        world.node(USER, AGENT, alive=True)
        marked(world)
        await until(world, lambda: settled(world, 1))
        world.end(USER, Effect.SUSPEND)
        await until(world, lambda: USER in vendor.suspended)
        world.lift(USER)
        await until(world, lambda: USER not in vendor.suspended)
        await until(world, lambda: settled(world, 1))

    world = told(story)

    assert {USER: EndingState.ENDED} == states(world)


def test_what_somebody_else_suspended_is_not_given_back() -> None:
    """An act of ours for another reason makes no suspend ours."""

    async def story(world: World) -> None:
        vendor = world.issuers["aws"]
        world.node(USER, AGENT, alive=True)
        marked(world)
        await until(world, lambda: settled(world, 1))
        vendor.suspended.add(USER)
        world.end(USER, Effect.SUSPEND)
        await asyncio.sleep(60)
        world.lift(USER)
        await asyncio.sleep(60)

    world = told(story)

    assert USER in world.issuers["aws"].suspended
    assert ["ended"] == [each for each, _ in world.issuers["aws"].acts]


@pytest.mark.parametrize("bound", [{"device": "laptop"}, {"tenant": "t"}])
def test_a_watermark_of_one_device_ends_no_user(bound: dict[str, str]) -> None:
    """The issuer would end more than it names."""

    async def story(world: World) -> None:
        world.node(USER, AGENT, alive=True)
        marked(world, **bound)
        await asyncio.sleep(60)

    world = told(story)

    assert {} == states(world)


@pytest.mark.parametrize("mode", ["plan", "approve"])
def test_a_mode_of_today_stops_what_another_one_let_in(mode: str) -> None:
    """What was open when the server was stopped is not acted on."""

    async def main(loop: virtual.VirtualLoop) -> World:
        world = World(loop, Random(1))
        world.issuer("aws").away = (0.0, 20.0)
        world.node(KEY, None, alive=True)
        world.end(KEY)
        for given in ("automatic", mode):
            world.modes["aws"] = FakeSettings(authority="aws", mode=given)
            working = asyncio.create_task(world.rounds().run())
            await asyncio.sleep(10 if given == "automatic" else 60)
            working.cancel()
            await asyncio.wait([working])
        return world

    world = virtual.run(main)

    assert [] == world.issuers["aws"].acts
    assert {KEY: EndingState.WAITING} == states(world)


@pytest.mark.parametrize("known", [True, False])
def test_a_name_alone_is_dead_only_where_a_witness_is_known(known: bool) -> None:
    """Names that nobody here knows may be those of another place."""

    async def story(world: World) -> None:
        vendor = world.issuers["vault"]
        vendor.alive.discard(CHILD)
        vendor.known_by = frozenset(
            {LEASE if known else Identifier("vault.lease", "x")}
        )
        world.end(CHILD)
        await until(world, lambda: settled(world, 1))

    state = EndingState.ENDED if known else EndingState.FAILED
    assert {CHILD: state} == states(told(story))


def test_what_was_given_back_once_ends_with_its_maker() -> None:
    """An end that is over says nothing of what lives now."""
    other = Identifier("vault.accessor", "other")

    async def story(world: World) -> None:
        vendor = world.issuers["vault"]
        world.node(other, None, alive=True)
        world.end(other, Effect.SUSPEND)
        await until(world, lambda: other in vendor.suspended)
        world.lift(other)
        await until(world, lambda: states(world)[other] is EndingState.RESTORED)
        vendor.made[TOKEN].append(other)
        world.end(TOKEN)
        await until(world, lambda: other not in vendor.alive, 600)

    told(story)


def marked_and_suspended(world: World) -> tuple[str, str]:
    """Give both orders on the user; ids of the two causes, the mark first."""
    world.node(USER, AGENT, alive=True)
    marked(world)
    world.end(USER, Effect.SUSPEND)
    mark, suspend = world.accepted[-2:]
    return fact_id(mark).hex(), fact_id(suspend).hex()


def test_a_watermark_that_nobody_approves_keeps_no_suspend_away() -> None:
    """The suspend is carried out; the watermark waits behind it, and says so."""
    ids: list[str] = []

    async def story(world: World) -> None:
        mark, suspend = marked_and_suspended(world)
        ids[:] = [mark, suspend]
        await until(world, lambda: USER in world.items())
        world.approved["aws"] = frozenset({suspend})
        await until(world, lambda: USER in world.issuers["aws"].suspended, 120)
        await until(world, lambda: settled(world, 1))

    item = told(story, mode="approve").items()[USER]

    assert ids == [*item.behind, *item.causes]
    assert ["pending", "ended"] == [item.shown_to(each) for each in ids]


def test_a_suspend_that_nobody_approves_keeps_no_watermark_away() -> None:
    """Whichever of the two is approved is carried out."""

    async def story(world: World) -> None:
        mark, _ = marked_and_suspended(world)
        await until(world, lambda: USER in world.items())
        world.approved["aws"] = frozenset({mark})
        await until(world, lambda: USER in world.issuers["aws"].marks, 120)
        await asyncio.sleep(60)

    world = told(story, mode="approve")

    assert [("ended", USER)] == world.issuers["aws"].acts


def test_both_are_carried_out_where_both_may_be() -> None:
    """First the watermark; after it the user is suspended."""

    async def story(world: World) -> None:
        marked_and_suspended(world)
        await until(world, lambda: USER in world.issuers["aws"].suspended, 120)
        await until(world, lambda: settled(world, 1))

    world = told(story)

    assert [("ended", USER), ("suspended", USER)] == world.issuers["aws"].acts
    assert () == world.items()[USER].behind


def test_a_watermark_that_does_not_get_done_keeps_no_suspend_away() -> None:
    """An issuer that does nothing about it suspends meanwhile."""

    async def story(world: World) -> None:
        world.issuers["aws"].lies[USER] = 3
        marked_and_suspended(world)
        await until(world, lambda: USER in world.issuers["aws"].suspended, 300)

    told(story)


def test_a_suspend_of_what_ends_for_good_waits_for_that() -> None:
    """Its closure tells of the end, proven or not."""
    ids: list[str] = []

    async def story(world: World) -> None:
        world.issuers["aws"].away = (0.0, 50.0)
        world.end(KEY)
        world.end(KEY, Effect.SUSPEND)
        ids[:] = [fact_id(each).hex() for each in world.accepted[-2:]]
        await until(world, lambda: "unreachable" == shown(world, KEY))
        item = world.items()[KEY]
        assert ["unreachable"] * 2 == [item.shown_to(each) for each in ids]
        await until(world, lambda: settled(world, 1))

    item = told(story).items()[KEY]

    assert ["ended"] * 2 == [item.shown_to(each) for each in ids]


def test_what_was_made_active_again_ends_with_its_maker() -> None:
    """Its earlier end proves nothing once the issuer tells of it again."""

    async def story(world: World) -> None:
        vendor = world.issuers["vault"]
        vendor.made[TOKEN].append(CHILD)
        world.end(CHILD)
        await until(world, lambda: states(world).get(CHILD) is EndingState.ENDED)
        vendor.alive.add(CHILD)
        await asyncio.sleep(30)  # a probe of so long ago still holds for another cause
        world.end(TOKEN)
        await until(world, lambda: TOKEN not in vendor.alive)
        await until(world, lambda: CHILD not in vendor.alive, 120)
        await until(world, lambda: settled(world, 3))

    world = told(story)

    assert EndingState.ENDED is states(world)[TOKEN]
    assert 2 == world.issuers["vault"].acts.count(("ended", CHILD))


def test_what_waits_behind_another_order_counts_for_the_limit() -> None:
    """A suspend of two waits for an approval, also where one has a watermark first."""

    async def story(world: World) -> None:
        marked_and_suspended(world)
        world.end(AGENT, Effect.SUSPEND)
        await until(world, lambda: settled(world, 1) or KEY in states(world))
        await asyncio.sleep(60)

    world = told(story, limit=1)

    assert KEY not in world.issuers["aws"].suspended
    assert EndingState.WAITING is states(world)[KEY]
