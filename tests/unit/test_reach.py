"""How a guard reaches a server that answers late, elsewhere or not at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from enforcement import reach
from enforcement.reach import SecondPath
from enforcement.replica import FeedBrokenError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.unit

FIRST, LATER, PATIENT = 0.01, 0.02, 100.0


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give quick attempts up at once, and the patient one never."""
    monkeypatch.setattr(reach, "QUICK", (FIRST, LATER))
    monkeypatch.setattr(reach, "PATIENT", PATIENT)


@define(eq=False)
class Socket:
    """A connection that was made by the attempt of a number."""

    number: int
    over: asyncio.Event = field(factory=asyncio.Event)

    @property
    def closed(self) -> bool:
        """Whether it is."""
        return self.over.is_set()

    async def close(self) -> None:
        """End it."""
        self.over.set()


@define(eq=False)
class Server:
    """Answers the attempts that a test names, in the order in which they begin."""

    answers: Callable[[int], Awaitable[object]]
    begun: int = 0
    sockets: list[Socket] = field(factory=list)
    made: asyncio.Event = field(factory=asyncio.Event)
    third: asyncio.Event = field(factory=asyncio.Event)

    async def connect(self) -> Any:
        """Begin another attempt."""
        number, self.begun = self.begun, self.begun + 1
        if self.begun == 3:
            self.third.set()
        await self.answers(number)
        self.sockets.append(Socket(number))
        self.made.set()
        return self.sockets[-1]


async def never() -> None:
    """Wait for what does not come."""
    await asyncio.Event().wait()


async def test_a_server_that_answers_is_asked_once() -> None:
    """No second attempt is made beside one that works."""
    server = Server(lambda _: asyncio.sleep(0))
    assert (await reach.reach(server.connect)).number == 0  # type: ignore[attr-defined]
    assert server.begun == 1


async def test_an_attempt_that_nobody_answers_is_given_up_for_another() -> None:
    """The name may lead to another host by then: the old one is gone, and silent."""
    server = Server(lambda number: never() if number < 5 else asyncio.sleep(0))
    made: Any = await reach.reach(server.connect)
    assert made.number == 5
    assert [made] == server.sockets


async def test_a_server_that_needs_long_is_waited_for() -> None:
    """As TLS does with a busy one: the second attempt is patient."""
    others = asyncio.Event()

    async def answers(number: int) -> None:
        if number == 4:
            others.set()
        await (others.wait() if number == 1 else never())

    server = Server(answers)
    made: Any = await reach.reach(server.connect)
    assert made.number == 1


async def test_of_two_that_are_answered_at_once_one_is_closed() -> None:
    """Nobody would use or end the other."""
    both = asyncio.Event()

    async def answers(number: int) -> None:
        if number == 0:
            await never()
        if number == 2:
            both.set()
        await both.wait()

    server = Server(answers)
    made: Any = await reach.reach(server.connect)
    assert [each.closed for each in server.sockets if each is not made] == [True]
    assert not made.closed


@pytest.mark.parametrize("moment", range(4))
async def test_nothing_stays_open_where_nobody_waits_any_more(moment: int) -> None:
    """A guard that ends may do so just when an attempt is answered."""
    answered = asyncio.Event()

    async def answers(number: int) -> None:
        await (answered.wait() if number else never())

    server = Server(answers)
    reaching = asyncio.ensure_future(reach.reach(server.connect))
    await server.third.wait()
    answered.set()
    for _ in range(moment):
        await asyncio.sleep(0)
    reaching.cancel()
    await asyncio.gather(reaching, return_exceptions=True)
    used: list[Any] = [] if reaching.cancelled() else [reaching.result()]
    assert [each for each in server.sockets if not each.closed] == used


@pytest.mark.parametrize("number", [0, 2])
async def test_a_refusal_ends_the_attempts(number: int) -> None:
    """A pause follows it, or a server that restarts is asked without end."""

    async def answers(begun: int) -> None:
        if begun == number:
            raise ConnectionRefusedError
        await never()

    server = Server(answers)
    with pytest.raises(ConnectionRefusedError):
        await reach.reach(server.connect)
    assert server.begun == number + 1


async def test_the_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a connection hears of it at some time."""
    monkeypatch.setattr(reach, "PATIENT", 3.5 * LATER)
    server = Server(lambda _: never())
    with pytest.raises(TimeoutError):
        await reach.reach(server.connect)
    assert server.begun > 2


@pytest.mark.parametrize("speaks", [True, False])
async def test_whichever_connection_answers_first_is_used(speaks: bool) -> None:
    """Of the silent one and the one that is made beside it."""
    connecting, answered = asyncio.Event(), asyncio.Event()

    async def answers(number: int) -> None:
        connecting.set()
        await answered.wait()

    server = Server(answers)
    path = SecondPath()
    path.heard()
    path.waits = True
    watching = asyncio.ensure_future(path.watch(server.connect, 0.001, lambda: 0.0))
    await connecting.wait()
    if speaks:
        path.heard()
    answered.set()
    if speaks:
        await server.made.wait()
        await server.sockets[0].over.wait()
        assert not watching.done()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        return
    with pytest.raises(FeedBrokenError):
        await watching
    taken: Any = await path.take(server.connect)
    assert server.sockets == [taken]
    assert server.begun == 1


@pytest.mark.parametrize("reads", [True, False])
async def test_one_with_a_reason_to_say_nothing_is_not_silent(reads: bool) -> None:
    """A table is made before the first frame, and one that comes is taken up."""
    server = Server(lambda _: asyncio.sleep(0))
    path = SecondPath()
    if reads:
        path.heard()
    path.waits = not reads
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await path.watch(server.connect, 0.001, lambda: 0.0)
    assert server.begun == 0
