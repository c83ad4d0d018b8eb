"""What each adapter of `DeliveryPort` must do: the same cases for every engine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import attrs
import pytest

from agents_registry.steps import finish
from streams.model.findings import FindingKind
from streams.ports.delivery import DeliveryChange, DeliveryPort
from streams.stages.notify.deliveries import Dead, Delivery
from streams.stages.notify.notify import FindingChange
from streams.stages.notify.state import DeliveryState, dead_key, dead_rows
from tests.notify_steps import changes, rows_of, step
from tests.unit.test_notify import NOW, SOC, a_finding

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from streams.model.findings import Finding


class Outbox(Protocol):
    """Where an engine keeps findings, and what became of their deliveries."""

    def process(self) -> AbstractAsyncContextManager[DeliveryPort]:
        """Run one process; one at a time."""
        ...

    async def tell(self, port: DeliveryPort, *findings: Finding) -> None:
        """Write findings as the stages do, and have a process hear of them."""
        ...

    async def letters(self) -> int:
        """Count the dead letters that are durable."""
        ...


async def taken(
    port: DeliveryPort, *, saved: bool = True, owed: bool = False
) -> list[FindingChange]:
    """Take in all that waits, and save that it is."""
    found: list[FindingChange] = []
    while True:
        each = await port.next(100, 100)
        found += each.changes
        state, _ = step(DeliveryState(), each.changes, NOW, routes=[SOC])
        if saved:
            rows = rows_of(state) if owed else {}
            kept = state if owed else DeliveryState()
            change = DeliveryChange(put=rows, took=each.took, state=kept)
            assert await port.save(change)
        if not each.more or not each.changes:
            return found


async def known(port: DeliveryPort, *findings: Finding) -> DeliveryState:
    """Give what a process that begins knows of findings."""
    begun = (await port.next(100, 100)).anew
    assert begun is not None
    return begun.joined(await port.recall({each.id for each in findings}))


def a_delivery(finding: Finding) -> Delivery:
    """Give the message of a finding, under way."""
    _, (due,) = step(DeliveryState(), [FindingChange(finding)], NOW, routes=[SOC])
    return due


class DeliveryPortCases:
    """Contract of `DeliveryPort`."""

    async def test_a_process_is_told_that_it_begins_once(self, outbox: Outbox) -> None:
        """And that there is news, whenever there is."""
        async with outbox.process() as port:
            assert (await port.next(9, 9)).anew == DeliveryState()
            assert (await port.next(9, 9)).anew is None
            port.news.clear()
            await outbox.tell(port, a_finding(1))
            async with asyncio.timeout(10):
                await port.news.wait()
            (change,) = await taken(port)
            assert change.finding == a_finding(1)

    async def test_what_is_urgent_comes_first(self, outbox: Outbox) -> None:
        """However many others were told before."""
        quiet = [a_finding(n, kind=FindingKind.OWNERLESS) for n in range(20)]
        async with outbox.process() as port:
            await outbox.tell(port, *quiet, a_finding(99))
            first = await port.next(5, 5)
            assert first.changes[0].finding == a_finding(99)
            assert len(first.changes) <= 10
            assert first.more

    @pytest.mark.parametrize("owed", [False, True])
    async def test_what_was_saved_is_not_given_again(
        self, outbox: Outbox, owed: bool
    ) -> None:
        """Also where its message is still to be delivered."""
        async with outbox.process() as port:
            await outbox.tell(port, a_finding(1), a_finding(2))
            assert 2 == len(await taken(port, owed=owed))
        async with outbox.process() as port:
            await outbox.tell(port, a_finding(3))
            again = await taken(port)
            assert [a_finding(3)] == [each.finding for each in again]

    async def test_what_was_not_saved_comes_again(self, outbox: Outbox) -> None:
        """It is told at least once, whatever dies."""
        async with outbox.process() as port:
            await outbox.tell(port, a_finding(1))
            assert 1 == len(await taken(port, saved=False))
        async with outbox.process() as port:
            (change,) = await taken(port)
            assert change.finding == a_finding(1)

    async def test_the_end_of_an_attempt_takes_nothing_in(self, outbox: Outbox) -> None:
        """It is saved between the step that takes findings in and its save."""
        async with outbox.process() as port:
            await outbox.tell(port, a_finding(1))
            given = await port.next(9, 9)
            ended = DeliveryChange(
                dropped=["delivery/soc/other"],
                state=DeliveryState(),
                ended=a_delivery(a_finding(2)),
            )
            await port.save(ended)
            assert 1 == len(given.changes)
        async with outbox.process() as port:
            assert 1 == len(await taken(port))

    async def test_what_is_to_be_delivered_outlives_the_process(
        self, outbox: Outbox
    ) -> None:
        """Its schedule does; the attempt that was under way was lost."""
        finding = a_finding(1)
        async with outbox.process() as port:
            await outbox.tell(port, finding)
            given = await port.next(9, 9)
            state, (due,) = step(DeliveryState(), given.changes, NOW, routes=[SOC])
            rows, _ = changes(DeliveryState(), state)
            await port.save(DeliveryChange(put=rows, took=given.took, state=state))
        async with outbox.process() as port:
            await outbox.tell(port)
            found = await known(port, finding)
            free = attrs.evolve(due, leased_until=0)
            lost = DeliveryState().joined(found)
            assert {due.key: free} == dict(lost.deliveries)

    async def test_the_last_of_some_saves_holds(self, outbox: Outbox) -> None:
        """They may be called before the one before is done."""
        due = a_delivery(a_finding(1))
        states = [
            DeliveryState().with_deliveries([attrs.evolve(due, attempts=number)])
            for number in range(5)
        ]
        dead = Dead(delivery=a_delivery(a_finding(2)), reason="exhausted")
        async with outbox.process() as port:
            await outbox.tell(port, a_finding(1))
            given = await port.next(9, 9)
            first = DeliveryChange(
                put=rows_of(states[0]), took=given.took, dead=[dead], at=NOW,
                state=states[0],
            )  # fmt: skip
            later = [DeliveryChange(put=rows_of(s), state=s) for s in states[1:]]
            await asyncio.gather(*map(port.save, [first, *later]))
        async with outbox.process() as port:
            (kept,) = (await known(port, a_finding(1))).deliveries.values()
            assert 4 == kept.attempts

    async def test_what_was_given_up_is_listed_until_it_arrives(
        self, outbox: Outbox
    ) -> None:
        """And is a dead letter from then on."""
        dead = [
            Dead(delivery=a_delivery(a_finding(number)), reason=f"exhausted {number}")
            for number in range(3)
        ]
        async with outbox.process() as port:
            await port.next(9, 9)
            for at, each in enumerate(dead, NOW):
                put = finish(dead_rows([each], at))
                kept = DeliveryState()
                change = DeliveryChange(put=put, dead=[each], at=at, state=kept)
                await port.save(change)
            assert 3 == await outbox.letters()
            arrived = [dead_key(dead[1].delivery)]
            await port.save(DeliveryChange(dropped=arrived, state=DeliveryState()))
        async with outbox.process() as port:
            buried = await port.buried(9)
            assert [(NOW, "exhausted 0"), (NOW + 2, "exhausted 2")] == [
                (each.at, each.reason) for each in buried
            ]
            assert dead[0].delivery == buried[0].delivery
        assert 3 == await outbox.letters()
