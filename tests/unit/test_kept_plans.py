"""Plans are kept in parts, for a day, and not without bound."""

from __future__ import annotations

from typing import Any

import pytest

from streams.ports.fact_log import NotWrittenError
from streams.ports.keyed_store import PLAN, PLAN_PART
from streams.services import plans as module
from streams.services.approval_queue import FullError
from streams.services.plans import KeptPlans, LostPartError, Plan
from tests.unit.kept_bodies import BodiesInMemory

pytestmark = pytest.mark.unit

S = 10**9
DAY = 86_400 * S
NAMES = [f"agent.id:n{number}" for number in range(5)]
MEMBERS = bytes(range(40))


class Desk:
    """Kept plans on a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000 * S
        self.bodies = BodiesInMemory()
        self.kept = KeptPlans(self.bodies, lambda: self.now)
        self.made = 0

    async def keep(self, **more: Any) -> Plan:
        """Keep a plan with parts."""
        self.made += 1
        identity, until = self.kept.fresh_id(f"{self.made:032x}")
        plan = Plan(
            id=identity, act="revoke", order={"reason": "x"}, summary="revoke",
            by="ann", made_at=self.now, expires_at=until, as_of="g:0:1",
            reach={"incomplete": []},
        )  # fmt: skip
        return await self.kept.keep(plan, NAMES, more.get("members", MEMBERS))


async def test_a_plan_comes_back_from_its_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Names and prints are cut, and joined in their order."""
    monkeypatch.setattr(module, "NAMES", 2)
    monkeypatch.setattr(module, "PRINTS", 16)
    desk = Desk()

    plan = await desk.keep()

    assert (plan.name_parts, plan.print_parts) == (3, 3)
    assert await desk.kept.find(plan.id) == plan
    assert desk.kept.names(plan) == NAMES
    assert desk.kept.members(plan) == MEMBERS
    assert await desk.kept.find("none") is None


async def test_a_lost_part_is_no_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan with fewer prints would seem to have changed, or not to have."""
    monkeypatch.setattr(module, "PRINTS", 16)
    desk = Desk()
    plan = await desk.keep()
    await desk.bodies.forget(PLAN_PART, f"{plan.id}/prints/1")
    await desk.bodies.forget(PLAN_PART, f"{plan.id}/names/0")

    with pytest.raises(LostPartError):
        desk.kept.members(plan)
    with pytest.raises(LostPartError):
        desk.kept.names(plan)


async def test_what_is_void_goes_with_the_next_plan() -> None:
    """Also what a crash left of one that was never kept."""
    desk = Desk()
    old = await desk.keep()
    left, _ = desk.kept.fresh_id("f" * 32)
    await desk.bodies.put(PLAN_PART, f"{left}/names/0", b"[]")
    desk.now += DAY - S
    await desk.keep()
    assert await desk.kept.find(old.id) is not None
    desk.now += S
    new = await desk.keep()

    assert await desk.kept.find(old.id) is None
    assert {each[:8] for each in desk.bodies.items(PLAN_PART)} != {old.id[:8]}
    assert new.id in desk.bodies.items(PLAN)
    assert f"{left}/names/0" not in desk.bodies.items(PLAN_PART)


async def test_there_are_never_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their number, and by their bytes; who is refused is told what to do."""
    desk = Desk()
    monkeypatch.setattr(module, "MOST_PLANS", 2)
    await desk.keep()
    await desk.keep()
    with pytest.raises(FullError, match="2 plans are kept"):
        await desk.keep()
    monkeypatch.setattr(module, "MOST_PLANS", 10)
    monkeypatch.setattr(module, "MOST_BYTES", 4096)
    with pytest.raises(FullError):
        await desk.keep(members=bytes(4096))


async def test_nothing_is_kept_of_a_plan_that_is_not_written() -> None:
    """Its head comes last."""
    desk = Desk()
    desk.bodies.failing = 1
    with pytest.raises(NotWrittenError):
        await desk.keep()
    assert not desk.bodies.items(PLAN)


async def test_a_plan_that_was_applied_says_so() -> None:
    """Another version's plan is none."""
    desk = Desk()
    plan = await desk.keep()
    await desk.kept.note_applied(plan, {"by": "bob"})

    found = await desk.kept.find(plan.id)

    assert found is not None
    assert found.applied == {"by": "bob"}
    await desk.bodies.put(PLAN, plan.id, b'{"more": 1}')
    assert await desk.kept.find(plan.id) is None


async def test_one_process_alone_orders_a_plan() -> None:
    """Whoever claims it first; a while later another one may, as the same order."""
    desk = Desk()
    plan = await desk.keep()
    one, two = (KeptPlans(desk.bodies, lambda: desk.now, name) for name in "ab")
    first = await one.claim(plan, "o1")
    assert first is not None
    assert (first.order, first.at) == ("o1", desk.now)
    assert await two.claim(plan, "o2") is None
    assert await one.claim(plan, "o3") == first

    desk.now += int(module.CLAIM_SECONDS * S)
    again = await two.claim(plan, "o4")

    assert again is not None
    assert (again.order, again.at) == (first.order, first.at)
    assert await one.claim(plan, "o5") is None
    restarted = KeptPlans(desk.bodies, lambda: desk.now, "b")
    assert await restarted.claim(plan, "o6") == again


async def test_a_claim_of_long_ago_is_no_order_of_today() -> None:
    """What ends by itself would be over, and what was issued since would be spared."""
    desk = Desk()
    plan = await desk.keep()
    one, two = (KeptPlans(desk.bodies, lambda: desk.now, name) for name in "ab")
    assert await one.claim(plan, "o1")
    desk.now += int(module.SAME_SECONDS * S) + 1

    claim = await two.claim(plan, "o2")

    assert claim is not None
    assert (claim.order, claim.at) == ("o2", desk.now)
    assert claim == await two.claim(plan, "o3")
    restarted = KeptPlans(desk.bodies, lambda: desk.now, "b")
    assert claim == await restarted.claim(plan, "o4")
    desk.now += int(module.SAME_SECONDS * S) + 1
    anew = await two.claim(plan, "o5")  # the same process, which lives on
    assert anew is not None
    assert (anew.order, anew.at) == ("o5", desk.now)


async def test_a_claim_that_is_given_back_leaves_nothing() -> None:
    """The next one is an order of its own."""
    desk = Desk()
    plan = await desk.keep()
    one, two = (KeptPlans(desk.bodies, lambda: desk.now, name) for name in "ab")
    assert await one.claim(plan, "o1")
    await one.release(plan)

    claim = await two.claim(plan, "o2")

    assert claim is not None
    assert claim.order == "o2"


async def test_who_starts_after_two_claims_hears_the_first() -> None:
    """The store keeps the last body alone: whoever lost puts the first one back."""
    desk = Desk()
    plan = await desk.keep()
    one, two = (KeptPlans(desk.bodies, lambda: desk.now, name) for name in "ab")
    put = desk.bodies.put

    async def between(kind: str, name: str, body: bytes | None, **more: Any) -> None:
        desk.bodies.put = put  # type: ignore[method-assign]
        assert await one.claim(plan, "o1")
        await put(kind, name, body, **more)

    desk.bodies.put = between  # type: ignore[method-assign]
    assert await two.claim(plan, "o2") is None

    anew = await KeptPlans(desk.bodies, lambda: desk.now, "a").claim(plan, "o3")

    assert anew is not None
    assert anew.order == "o1"
