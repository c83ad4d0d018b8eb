"""Guards keep their lease whatever the analysis does; see ADR 0055."""

from __future__ import annotations

import asyncio
import functools
import socket
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest

from agents_registry.facts import Node, to_plain
from agents_registry.identifiers import Identifier
from enforcement.turns import resting_tables
from streams.engines.embedded import fact_log, right_of_way
from streams.engines.embedded import feed_log as frames
from streams.engines.embedded.fact_block import PLACES
from streams.engines.embedded.packing import LEAST_FACTS
from streams.engines.embedded.reading import Reading
from streams.engines.embedded.stages import Stages
from streams.http import fact_sender
from streams.http.fact_sender import FactSender
from streams.http.guard_connection import Connection
from streams.pipeline.realm import Realm
from streams.ports.fact_log import Encoded
from streams.services.feed_frames import CHUNK, PIECE, SnapshotPiece
from streams.services.intake import MANY, encode
from streams.stages.ingest.admission import Admission
from streams.stages.ingest.ingress import Origin
from tests.integration.healthy_guard import beside
from tests.integration.serving import DEADLINE, Server, running, until, used_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from agents_registry.facts import Fact
    from streams.engines.embedded.transaction import Transaction
    from streams.ports.fact_log import LogBatch

pytestmark = pytest.mark.integration

LEASE = 2.0
AGENT = "agent.id:planner"
OTHER = "agent.id:other"
AT = "2026-11-01T10:00:00Z"
LONG = 4 * LEASE  # that the analysis computes at most
IMPORTED = 8_000
LARGE = 25_000  # facts; more than the buffers of a connection hold
DEAF = 12  # subscribers
HASTY = aiohttp.ClientWSTimeout(ws_close=0.1)


class Busy:
    """Makes the first fact that is applied cost as long as it is wanted."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        """Plant it in the stages."""
        self.begun = threading.Event()
        self.enough = threading.Event()
        apply, load = Realm.apply, Stages.load

        def applied(realm: Realm, fact: Fact, offset: int) -> None:
            self.compute()
            apply(realm, fact, offset)

        async def loaded(stages: Stages) -> None:
            if stages.ends.facts:
                self.compute()
            await load(stages)

        patch.setattr(Realm, "apply", applied)
        patch.setattr(Stages, "load", loaded)

    def compute(self) -> None:
        """Compute without a pause."""
        clock = asyncio.get_running_loop().time
        until_then, number = clock() + LONG, 0
        self.begun.set()
        while not self.enough.is_set() and clock() < until_then:
            number = (number * 31 + 7) % 1_000_003
        self.enough.set()


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Busy]:
    """Plant a busy analysis, and let it end with the test."""
    planted = Busy(monkeypatch)
    yield planted
    planted.enough.set()


async def adopt(server: Server, *names: str) -> None:
    """Declare agents."""
    body = {"credentials": [{"identifier": name} for name in names]}
    status, answer = await server.post("/v1/adopt", "restorer", body)
    assert status == 201, answer


async def test_a_busy_analysis_costs_no_lease_and_delays_no_revocation(
    tmp_path: Path, busy: Busy
) -> None:
    """Accepting, feed, receipts, health and metrics go on meanwhile."""
    async with (
        running(tmp_path, lease_seconds=LEASE) as server,
        beside(server.url, LEASE) as guard,
    ):
        loop = asyncio.get_running_loop()
        await adopt(server, AGENT)
        assert await asyncio.to_thread(busy.begun.wait, LONG)
        began = loop.time()
        guard.watch(AGENT)
        revoked = await server.post("/v1/revocations", "revoker", {"identifier": AGENT})
        await until(lambda: AGENT in guard.denied)
        live = await server.session.get(f"{server.url}/healthz/live")
        metrics = await server.session.get(f"{server.url}/metrics")

        assert 201 == revoked[0]
        assert not busy.enough.is_set()
        assert (200, 200) == (live.status, metrics.status)
        assert not server.served.stages.applied
        await until(lambda: loop.time() > began + 1.5 * LEASE)
        assert not busy.enough.is_set()
        assert 0 == guard.lost
        busy.enough.set()
        await until(lambda: server.served.stages.idle)
        assert not (await server.get(f"/v1/why/{AGENT}"))[1]["allowed"]


async def test_guards_are_sent_a_cause_before_anybody_lists_what_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where that takes the feed a moment."""
    done: list[str] = []
    catch_up, note_dead = FactSender._catch_up, Realm.note_dead

    async def sent(feed: FactSender, connection: Connection) -> None:
        await asyncio.sleep(0.02)
        await catch_up(feed, connection)
        done.append("sent")

    def listed(realm: Realm, found: Any, as_of: int) -> Any:
        done.append("listed")
        return note_dead(realm, found, as_of)

    async with (
        running(tmp_path, lease_seconds=LEASE) as server,
        beside(server.url, LEASE) as guard,
    ):
        await adopt(server, AGENT)
        await until(lambda: server.served.stages.idle)
        await until(lambda: guard.holds)
        # Times that a busy machine does not use up.
        monkeypatch.setattr(right_of_way, "LONGEST", DEADLINE)
        monkeypatch.setattr(fact_sender, "AWAITED_SECONDS", DEADLINE)
        monkeypatch.setattr(Connection, "direct", False)
        monkeypatch.setattr(FactSender, "_catch_up", sent)
        monkeypatch.setattr(Realm, "note_dead", listed)
        guard.watch(AGENT)
        await server.post("/v1/revocations", "revoker", {"identifier": AGENT})
        await until(lambda: AGENT in guard.denied)
        await until(lambda: "listed" in done)

    assert "sent" == done[0]


async def test_a_restart_serves_leases_and_accepts_before_the_table_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guard goes on from where it was; only what needs the table waits for it."""
    where: dict[str, Any] = {"listen": {"port": free_port()}, "lease_seconds": LEASE}
    async with AsyncExitStack() as guards:
        async with running(tmp_path, **where) as server:
            guard = await guards.enter_async_context(beside(server.url, LEASE))
            await adopt(server, AGENT, OTHER)
            await until(lambda: server.served.stages.idle)
        await until(lambda: guard.lost)
        busy = Busy(monkeypatch)
        guards.callback(busy.enough.set)
        async with running(tmp_path, loaded=False, **where) as server:
            assert await asyncio.to_thread(busy.begun.wait, LONG)
            await until(lambda: guard.holds)
            guard.watch(AGENT)
            body = {"identifier": AGENT}
            revoked = await server.post("/v1/revocations", "revoker", body)
            await until(lambda: AGENT in guard.denied)
            asked = await server.get(f"/v1/why/{OTHER}")

            assert not busy.enough.is_set()
            assert (201, 503) == (revoked[0], asked[0])
            assert 1 == guard.lost
            busy.enough.set()
            await until(lambda: server.served.stages.idle)
            assert (await server.get(f"/v1/why/{OTHER}"))[1]["allowed"]
            assert not (await server.get(f"/v1/why/{AGENT}"))[1]["allowed"]


async def test_facts_wait_for_a_walk_that_needs_the_table(tmp_path: Path) -> None:
    """The table stands still for it; what was accepted is denied meanwhile."""
    begun, enough = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def walk() -> int:
        async with resting_tables():
            loop.call_soon_threadsafe(begun.set)
            await asyncio.to_thread(enough.wait, DEADLINE)
            return server.served.stages.registry.changes

    async with (
        running(tmp_path, lease_seconds=LEASE) as server,
        beside(server.url, LEASE) as guard,
    ):
        guard.watch(AGENT)
        walking = asyncio.create_task(server.served.prober.aside(walk))
        await begun.wait()
        await server.post("/v1/revocations", "revoker", {"identifier": AGENT})
        await until(lambda: AGENT in guard.denied)
        enough.set()

        assert 0 == await walking
        await until(lambda: server.served.stages.idle)
        assert 0 < server.served.stages.registry.changes


async def test_an_import_costs_no_lease(tmp_path: Path) -> None:
    """Many credentials in one request, and revocations pass by them."""
    names = [f"vault.accessor:{number}" for number in range(IMPORTED)]
    async with (
        running(tmp_path, lease_seconds=LEASE) as server,
        beside(server.url, LEASE) as guard,
        asyncio.TaskGroup() as tasks,
    ):
        guard.watch(AGENT)
        importing = tasks.create_task(adopt(server, *names))
        await until(lambda: server.served.feed.end)
        body = {"identifier": AGENT}
        assert 201 == (await server.post("/v1/revocations", "revoker", body))[0]
        await until(lambda: AGENT in guard.denied)
        await importing

        assert 0 == guard.lost
        assert IMPORTED + 1 == server.served.feed.end


async def test_what_many_lines_cost_is_paid_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also to pack and to cut them, once they are read and admitted."""
    where: list[threading.Thread] = []
    cut = fact_log._cut

    def noted(batch: LogBatch) -> Any:
        where.append(threading.current_thread())
        return cut(batch)

    monkeypatch.setattr(fact_log, "_cut", noted)
    async with running(tmp_path) as server:
        for count in (1, MANY):
            events = [used_key("AKIA1", "u", AT, f"e{n}") for n in range(count)]
            body = {"Records": events}
            status, _ = await server.post("/v1/events/cloudtrail", "aws", body)
            assert 202 == status
    small, large = where
    assert small is threading.main_thread()
    assert large is not threading.main_thread()


@pytest.mark.long
async def test_snapshots_are_made_in_bounded_pieces_off_the_loop_and_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards without a table that start together get the same pieces."""
    made: list[str] = []
    make = frames._piece

    def counted(reader: Reading, position: int, end: int) -> SnapshotPiece:
        made.append(threading.current_thread().name)
        return make(reader, position, end)

    monkeypatch.setattr(frames, "_piece", counted)
    async with running(tmp_path, lease_seconds=LEASE) as server:
        await fill(server, LARGE)
        async with beside(server.url, LEASE) as guard, AsyncExitStack() as feeds:
            sizes: list[int] = []
            for name in "abcde":
                feed = await feeds.enter_async_context(subscribe(server, name))
                sizes, facts = await snapshot(feed)

                assert LARGE == facts
                assert max(sizes) < 3 * PIECE
            assert 0 == guard.lost
    assert len(made) < 2 * len(sizes)
    assert all(name.startswith("feeder") for name in made)


@pytest.mark.long
async def test_a_piece_is_few_rows_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each row Python's lock is let go of, and waited for behind the analysis."""
    rows: list[int] = []
    read = Reading.read

    def counted(reader: Reading, query: str, values: Any) -> list[tuple[Any, ...]]:
        found = read(reader, query, values)
        if reader is store._feeder:  # others read, too
            rows.append(len(found))
        return found

    async with running(tmp_path) as server:
        await fill(server, 2 * CHUNK)
        store = server.served.stages.store
        stored = await store.facts(0, 2 * CHUNK)
        monkeypatch.setattr(Reading, "read", counted)
        for most, pieces in ((1 << 30, 2), (100_000, None), (1, 2 * CHUNK)):
            monkeypatch.setattr(frames, "PIECE", most)
            made: list[SnapshotPiece] = []
            rows.clear()
            while not made or made[-1].end < len(stored):
                start = made[-1].end if made else 0
                make = functools.partial(frames._piece, position=start, end=len(stored))
                made.append(await store.look(make))

            assert pieces in (None, len(made))
            told = [fact for each in made for fact in orjson.loads(each.facts)]
            assert [to_plain(each.fact) for each in stored] == told
            # One for all facts that are rows, and one for each block. These are smaller
            # where the file is slow, and rows become blocks meanwhile.
            ((blocks,),) = await store.read("SELECT count(*) FROM fact_blocks")
            assert blocks <= 2 * CHUNK / LEAST_FACTS
            assert max(rows) <= 2 + max(blocks, -(-CHUNK // PLACES))


@pytest.mark.long
async def test_subscribers_that_never_read_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each holds no more than a piece meanwhile; a guard beside them loses nothing."""
    monkeypatch.setattr("streams.http.guard_connection.UNREAD_SECONDS", LEASE / 2)
    async with running(tmp_path, lease_seconds=LEASE) as server:
        await fill(server, LARGE)
        feed = server.served.feed
        async with beside(server.url, LEASE) as guard, AsyncExitStack() as feeds:
            healthy = set(feed.connections)
            for number in range(DEAF):
                deaf = subscribe(server, f"deaf-{number}")
                reader = await feeds.enter_async_context(deaf)
                connection = reader._response.connection
                assert connection is not None
                connection.transport.pause_reading()  # type: ignore[union-attr]
            held = 0
            async with asyncio.timeout(DEADLINE):
                while feed.connections != healthy:
                    held = max(held, *map(unsent, feed.connections))
                    await asyncio.sleep(0.01)

            assert 0 < held < 3 * PIECE
            assert 0 == guard.lost


@asynccontextmanager
async def subscribe(
    server: Server, name: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Connect as a guard of another language that has nothing yet."""
    headers = {"Authorization": "Bearer guard"}
    url = f"{server.url}/v1/feed"
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.ws_connect(url, max_msg_size=0, timeout=HASTY) as feed,
    ):
        await feed.send_json({"type": "hello", "guard": name})
        yield feed


async def snapshot(feed: aiohttp.ClientWebSocketResponse) -> tuple[list[int], int]:
    """Take a snapshot; give the sizes of its frames and how many facts it has."""
    sizes, facts = [], 0
    async for frame in feed:
        message = orjson.loads(frame.data)
        if message["type"] == "snapshot":
            sizes.append(len(frame.data))
            facts += len(message["facts"])
            if not message["more"]:
                break
    return sizes, facts


async def fill(server: Server, count: int) -> None:
    """Write facts with long names, as fast as the file takes them."""
    origin = Origin(authority="vault", realm="default", received_at=1, ingress_key="k")
    facts = [
        Node(
            authority="vault",
            version=number,
            received_at=1,
            node=Identifier("vault.accessor", f"{number:x<200}"),
        )
        for number in range(count)
    ]
    encoded = encode(facts, origin, Admission())
    for start in range(0, count, 1000):
        part = encoded[start : start + 1000]

        def job(tx: Transaction, part: list[Encoded] = part) -> int:
            return tx.log.add_facts(part)

        await server.served.stages.store.write(job)


def unsent(connection: Connection) -> int:
    """Give the bytes that wait in this process for a guard to read."""
    writer = connection.socket._writer
    assert writer is not None
    return int(writer.transport.get_write_buffer_size())


def free_port() -> int:
    """Give a port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
