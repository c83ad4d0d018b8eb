"""The direct way of the feed: answers in the turn of the ping, facts to all at once."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest
from aiohttp import WSMsgType
from attrs import Factory, define, field

from agents_registry.facts import Node
from agents_registry.identifiers import Identifier
from streams.http import shared_frames
from streams.http.connections import CONNECTIONS, Connections
from streams.http.direct_path import BURST, DirectPath, direct_path
from streams.http.fact_sender import TURN_SECONDS
from streams.http.feed import ADVANCE_SECONDS, FeedServer
from streams.http.guard_connection import Connection
from streams.http.text_frames import SHORT, ClientFrames, text_frame
from streams.services.feed_frames import SnapshotPiece, facts_json, spread_deltas
from streams.services.spread_tail import SpreadTail
from streams.settings.limits import ConnectionSettings
from tests.unit.test_text_frames import of_client
from tests.virtual import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import TypeVar

    Result = TypeVar("Result")

pytestmark = pytest.mark.unit

LEASE = 1.0
SECOND = 1_000_000_000


def now() -> int:
    """Give the time of the loop (ns)."""
    return round(asyncio.get_running_loop().time() * SECOND)


def in_virtual_time(work: Coroutine[Any, Any, Result]) -> Result:
    """Do work in a loop whose time passes at once."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def node(number: int) -> Node:
    """Give a fact."""
    name = Identifier("vault.accessor", f"n{number}")
    return Node(node=name, authority="vault", version=1, received_at=1)


class Log:
    """A log with facts among other records, proven by one question at a time."""

    realm, genesis, partition = "r", "g1", 0

    def __init__(self) -> None:
        """Start empty, with a proof."""
        self.end = self.facts_end = 0
        self.facts: list[tuple[int, Node]] = []
        self.asked = now()
        self._tail = SpreadTail(0)
        self._follower: Any = None

    def follow(self, follower: Any) -> None:
        """Wake this one."""
        self._follower = follower

    def read(self, *records: Node | None) -> None:
        """Read records, of which some are facts; None is a heartbeat."""
        for record in records:
            if record is not None:
                for frame in spread_deltas([self.end], [record], {}):
                    self._tail.append(frame)
                self.facts.append((self.end, record))
                self.facts_end = self.end + 1
            self.end += 1
        self.asked = now()
        if any(record is not None for record in records):
            self._follower.wake()

    def end_from(self, position: int) -> int:
        """Give the position where only heartbeats follow."""
        return position if self.facts_end <= position < self.end else self.end

    def remaining(self, since: int | None, _: int) -> int:
        """Give what is left of the proof."""
        if since is None or self.asked < since:
            return 0
        left = self.asked + round(LEASE * SECOND) - now()
        return max(0, left // 1_000_000)

    def frame(self, position: int) -> Any:
        """Give a delta out of the tail."""
        return self._tail.at(position, self.end)

    async def piece(self, position: int, end: int) -> SnapshotPiece:
        """Read facts again."""
        await asyncio.sleep(0.001)
        found = [fact for at, fact in self.facts if position <= at < end]
        return SnapshotPiece(position, end, facts_json(found))

    async def taken_back(self) -> SnapshotPiece:
        """Give nothing."""
        return SnapshotPiece(0, 0, "[]")

    async def reaches(self, position: int) -> bool:
        """Say whether it is read so far."""
        return position <= self.end


@define(eq=False)
class Wire:
    """A transport and a socket above it; what is written to it, and when.

    Attributes:
        reads: the guard takes what is written.
        writes: when each came (s), and its bytes.
        messages: that were written.
        coming: messages that went the long way.
    """

    reads: bool = True
    closed: bool = False
    farewells: int = 0
    writes: list[tuple[float, bytes]] = Factory(list)
    messages: list[dict[str, Any]] = Factory(list)
    coming: asyncio.Queue[bytes] = Factory(asyncio.Queue)
    _again: asyncio.Event = Factory(asyncio.Event)
    _frames: ClientFrames = field(factory=ClientFrames)

    async def close(self, **_: Any) -> None:
        """Say farewell, and leave the transport to the guard."""
        self.farewells += 1

    def abort(self) -> None:
        """End at once."""
        self.closed = True

    def is_closing(self) -> bool:
        """Say whether it ended."""
        return self.closed

    def get_write_buffer_size(self) -> int:
        """Give what is not read."""
        return 0 if self.reads else 1

    def write(self, data: bytes) -> None:
        """Take whole frames."""
        self.writes.append((asyncio.get_running_loop().time(), data))
        while data:
            size, begin = data[1] & 0x7F, 2
            if size == 126:
                size, begin = int.from_bytes(data[2:4]), 4
            self.messages.append(orjson.loads(data[begin : begin + size]))
            data = data[begin + size :]

    def read_again(self) -> None:
        """Let the guard read what it left."""
        self.reads = True
        self._again.set()

    async def send_str(self, text: str) -> None:
        """Write a text on the long way, and wait as long as nothing is read."""
        self.write(text_frame(text.encode()))
        while not self.reads:
            self._again.clear()
            await self._again.wait()

    async def receive(self) -> Any:
        """Give the next message of the long way."""
        data = await self.coming.get()
        kind = WSMsgType.TEXT if data else WSMsgType.CLOSED
        return SimpleNamespace(type=kind, data=data.decode())

    def passed(self, data: bytes) -> None:
        """Take what goes the long way."""
        for part in self._frames.parts(data):
            if part.text is not None:
                self.coming.put_nowait(part.text)


class Receipts:
    """Takes what guards report, in their order."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.said: list[Any] = []
        self.since_: int | None = 0

    def heard(self, _: Any) -> None:
        """Take no note."""

    def take(self, _: Any, receipt: Any) -> None:
        """Keep a receipt."""
        self.said.append(receipt)

    def since(self, _: Any) -> tuple[int | None, int]:
        """Give since when the guard is a member."""
        return self.since_, 0


class Served:
    """A feed and guards on wires."""

    def __init__(self) -> None:
        """Serve an empty log."""
        self.log, self.receipts = Log(), Receipts()
        lease = round(1000 * LEASE)
        self.feed = FeedServer(
            cast("Any", self.log), {}, lease, cast("Any", self.receipts)
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def guard(
        self, position: int | None = 0, *, session: bool = False
    ) -> tuple[Connection, Wire]:
        """Connect a guard; it goes on from a position, and its task waits."""
        wire = Wire()
        connection = Connection(cast("Any", wire), "g", lambda: None)
        connection.path = DirectPath(cast("Any", wire))
        if session:
            connection.session = cast("Any", object())
        hello = {"genesis": self.log.genesis, "position": position}
        converse = self.feed._converse(connection, hello)
        self._tasks.append(asyncio.create_task(converse))
        for _ in range(5):
            await asyncio.sleep(0)
        return connection, wire

    async def close(self) -> None:
        """End all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def say(connection: Connection, wire: Wire, *messages: dict[str, Any]) -> None:
    """Have messages come in one piece."""
    assert connection.path is not None
    data = b"".join(of_client(orjson.dumps(each)) for each in messages)
    if left := connection.path.take(data):
        wire.passed(left)


def ping(seq: int) -> dict[str, Any]:
    """Give a ping."""
    return {"type": "ping", "seq": seq}


def test_a_ping_is_answered_in_the_turn_in_which_it_comes() -> None:
    """No task is woken for it."""

    async def main() -> list[dict[str, Any]]:
        served = Served()
        connection, wire = await served.guard()
        say(connection, wire, ping(1), ping(2))
        await served.close()
        assert 1 == len(wire.writes)
        return wire.messages

    assert [("pong", 1), ("pong", 2)] == [
        (each["type"], each["seq"]) for each in in_virtual_time(main())
    ]


async def what_is_left() -> list[tuple[int, int]]:
    """Give what each of many guards is told, and what was left of the proof then."""
    served = Served()
    guards = [await served.guard() for _ in range(4)]
    served.log.read(None)
    found = []
    for number, (connection, wire) in enumerate(guards * 2):
        say(connection, wire, ping(number))
        found.append((wire.messages[-1]["remaining_ms"], served.log.remaining(0, 0)))
        await asyncio.sleep(0.125 if number % 2 else 0)
    await served.close()
    return found


def test_each_ping_gets_what_is_left_of_the_proof_when_it_comes() -> None:
    """Whatever another guard was answered a moment before, out of the same proof."""
    found = in_virtual_time(what_is_left())

    assert [told for told, _ in found] == [left for _, left in found]
    assert [1000, 1000, 875, 875, 750, 750, 625, 625] == [told for told, _ in found]


async def before_the_registration() -> None:
    """Ping while the registration is being written."""
    served = Served()
    wire = Wire()
    connection = Connection(cast("Any", wire), "g", lambda: None)
    connection.path = DirectPath(cast("Any", wire))
    hello = {"type": "hello", "receipt": {"status": "registered"}}
    say(connection, wire, hello)
    connection.handled()
    say(connection, wire, ping(1))
    written = asyncio.Event()

    async def open_(*_: Any) -> Any:
        await written.wait()
        return object()

    served.receipts.open = open_  # type: ignore[attr-defined]
    registering = asyncio.create_task(
        served.feed._register(connection, cast("Any", None), hello)
    )
    await asyncio.sleep(0.01)
    say(connection, wire, ping(2))
    assert [] == wire.writes
    assert 3 == wire.coming.qsize()
    written.set()
    await registering
    assert ["registered"] == [each["type"] for each in wire.messages]


def test_no_ping_is_answered_before_the_registration_is_written() -> None:
    """The end in the pong has to lie beyond every revocation that waits for nobody."""
    in_virtual_time(before_the_registration())


HELLO = of_client(b"hello")


async def early(cut: int, size: int) -> None:
    """Say something so soon that a part of it came with the request."""
    said = of_client(b"h" * size) + of_client(b"more")
    register = Connections(ConnectionSettings())
    entry, wire = register.enter("192.0.2.1", 0.0), cast("Any", Wire())
    register.opened(entry, wire)
    entry.rest = said[:cut]  # aiohttp was given it
    config = {CONNECTIONS: register}
    path = direct_path(cast("Any", SimpleNamespace(transport=wire, config_dict=config)))
    assert path is not None
    assert entry.look is not None
    path.answer = lambda _: text_frame(b"{}")
    later = [entry.look(said[at : at + 3]) for at in range(cut, len(said), 3)]
    assert said == said[:cut] + b"".join(later)
    assert [] == wire.messages
    path.handled()
    path.handled()
    assert b"" == entry.look(HELLO)
    assert [{}] == wire.messages


@pytest.mark.parametrize("cut", range(1, len(HELLO) + 1))
@pytest.mark.parametrize("size", [5, SHORT + 5])
def test_what_came_with_the_request_goes_the_long_way_once(cut: int, size: int) -> None:
    """Also the beginning of a message, wherever the piece ended."""
    in_virtual_time(early(cut, size))


async def order_of_a_guard_that_left_something_unread() -> None:
    """Report and ping while the guard reads nothing, and when it reads again."""
    served = Served()
    connection, wire = await served.guard(session=True)
    wire.reads = False
    say(connection, wire, ping(1), {"type": "receipt", "receipt": 2})
    wire.reads = True  # its task was not there yet
    say(connection, wire, {"type": "receipt", "receipt": 3}, ping(4))
    assert [] == wire.writes
    assert [] == served.receipts.said
    await asyncio.sleep(0.01)
    assert [2, 3] == served.receipts.said
    assert [1, 4] == [each["seq"] for each in wire.messages]
    say(connection, wire, ping(5))
    assert 5 == wire.messages[-1]["seq"]
    await served.close()


def test_what_a_guard_says_keeps_its_order() -> None:
    """Behind a message on the long way all go there, until it is taken."""
    in_virtual_time(order_of_a_guard_that_left_something_unread())


async def facts_beside_slow_guards() -> None:
    """Send facts while one guard reads nothing."""
    served = Served()
    guards = [await served.guard() for _ in range(3)]
    guards[1][1].reads = False
    served.log.read(node(0))
    assert [1, 0, 1] == [len(wire.writes) for _, wire in guards]
    await asyncio.sleep(0.01)
    served.log.read(None, node(2))
    await asyncio.sleep(0.01)
    guards[1][1].read_again()
    await asyncio.sleep(0.01)
    for connection, wire in guards:
        moves = [(each["from"], each["to"]) for each in wire.messages]
        assert [(0, 1), (1, 2), (2, 3)] == moves
        assert 3 == connection.position
    await served.close()


def test_a_guard_that_does_not_read_is_sent_by_its_task() -> None:
    """Nothing twice, and nothing is left out."""
    in_virtual_time(facts_beside_slow_guards())


async def facts_beside_a_guard_that_starts() -> None:
    """Send a fact while a guard waits for its snapshot."""
    served = Served()
    served.log.read(node(0))
    _, wire = await served.guard(None)
    served.log.read(node(1))
    await asyncio.sleep(0.1)
    assert ["snapshot", "snapshot", "delta"] == [each["type"] for each in wire.messages]
    assert 1 == wire.messages[-1]["from"]
    await served.close()


def test_a_guard_that_starts_is_sent_by_its_task() -> None:
    """What comes meanwhile comes behind the snapshot."""
    in_virtual_time(facts_beside_a_guard_that_starts())


def test_the_bytes_of_a_fact_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All guards at a place of the log get the same ones, in one write each."""
    made = []

    def counted(text: bytes) -> bytes:
        made.append(text)
        return text_frame(text)

    monkeypatch.setattr(shared_frames, "text_frame", counted)

    async def main() -> None:
        served = Served()
        guards = [await served.guard() for _ in range(50)]
        served.log.read(None, node(1))
        written = {id(data) for _, wire in guards for _, data in wire.writes}
        assert 1 == len(written)
        assert {1} == {len(wire.writes) for _, wire in guards}
        await served.close()

    in_virtual_time(main())
    assert 2 == len(made)  # up to the fact, and the fact


async def many_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send a fact to more guards than can be written to in a turn."""
    served = Served()
    guards = [await served.guard() for _ in range(30)]
    loop = cast("VirtualLoop", asyncio.get_running_loop())

    right = Wire.write

    def costly(wire: Wire, data: bytes) -> None:
        loop.now += TURN_SECONDS / 10
        right(wire, data)

    monkeypatch.setattr(Wire, "write", costly)
    began = loop.time()
    served.log.read(node(0))
    assert loop.time() - began < 2 * TURN_SECONDS
    late, wire = guards[-1]
    say(late, wire, ping(1))
    assert ["delta", "pong"] == [each["type"] for each in wire.messages]
    await asyncio.sleep(1)
    assert {1} == {connection.position for connection, _ in guards}
    assert {1} == {
        [each["type"] for each in wire.messages].count("delta") for _, wire in guards
    }
    await served.close()


def test_very_many_guards_are_written_to_in_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pings are answered between them, with what the guard lacks; it gets that once."""
    in_virtual_time(many_guards(monkeypatch))


async def frames_of_a_quiet_log() -> None:
    """Move on over offsets without facts, at other times than another guard did."""
    served = Served()
    first, second = await served.guard(), await served.guard()
    for wait, guard in ((1, first), (1, second), (8, first), (1, second)):
        for _ in range(wait):
            await asyncio.sleep(ADVANCE_SECONDS + 0.1)
            served.log.read(None)
        say(*guard, ping(1))
        assert served.log.end == guard[0].position
    await served.close()


def test_frames_that_were_made_for_an_end_are_not_sent_at_a_later_one() -> None:
    """A guard is sent on to where the log ends now."""
    in_virtual_time(frames_of_a_quiet_log())


async def frames_of_two_logs() -> None:
    """Make the log another one, in which the same offset has another fact."""
    served = Served()
    await served.guard()
    served.log.read(node(0))
    served.feed.restart()
    served.log._tail = SpreadTail(0)
    served.log.end = 0
    await served.close()
    _, wire = await served.guard()
    served.log.read(node(7))
    (message,) = wire.messages
    assert "vault.accessor:n7" == message["facts"][0]["node"]
    await served.close()


def test_a_new_log_forgets_the_frames_of_the_old_one() -> None:
    """They may have the same offsets."""
    in_virtual_time(frames_of_two_logs())


async def flood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have very many pings come in a piece, each of which costs a millisecond."""
    served = Served()
    connection, wire = await served.guard()
    loop = cast("VirtualLoop", asyncio.get_running_loop())
    right, turns = FeedServer._take, [0.001 * BURST]

    def costly(feed: FeedServer, *about: Any) -> bool:
        loop.now += 0.001
        return right(feed, *about)

    def turn() -> None:
        turns.append(loop.time())
        if len(wire.messages) < 4 * BURST:
            loop.call_soon(turn)

    monkeypatch.setattr(FeedServer, "_take", costly)
    say(connection, wire, *map(ping, range(4 * BURST)))
    assert loop.time() <= 0.001 * BURST + 0.0001
    loop.call_soon(turn)
    await asyncio.sleep(1)
    assert max(after - before for before, after in pairwise(turns)) <= 2 * TURN_SECONDS
    assert [*range(4 * BURST)] == [each["seq"] for each in wire.messages]
    await served.close()


def test_a_flood_of_pings_is_answered_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """No guard holds the loop of the others."""
    in_virtual_time(flood(monkeypatch))


async def ping_behind_a_farewell() -> None:
    """Ping when the server said that it ends."""
    served = Served()
    connection, wire = await served.guard()
    await served.feed.close()
    say(connection, wire, ping(1))
    assert 1 == wire.farewells
    assert [] == wire.writes
    await served.close()


def test_a_farewell_is_the_last_word() -> None:
    """No ping is answered behind it."""
    in_virtual_time(ping_behind_a_farewell())


def test_what_is_no_message_goes_the_long_way() -> None:
    """Which ends the connection."""

    async def main() -> None:
        served = Served()
        for wrong in (b"[1]", b"{", b"\xff"):
            connection, _ = await served.guard()
            assert connection.path is not None
            assert of_client(wrong) == connection.path.take(of_client(wrong))
        await served.close()

    in_virtual_time(main())
