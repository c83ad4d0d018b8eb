"""The chain of a partition holds every fact once, whoever writes it and however often.

The stage itself runs here over a log in memory: workers are frozen, killed while they
write, and take over from each other, while the topic is compacted under them.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from attrs import Factory, define
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents_registry.facts import Cause, Effect, Node, fact_key
from agents_registry.identifiers import Identifier
from schemas.codec import decode_fact, encode_fact
from schemas.entries import Act
from schemas.errors import SchemaError
from streams.engines.kafka.audit import export as audit_export
from streams.engines.kafka.audit import state as audit_state
from streams.engines.kafka.audit.audit import AuditStage
from streams.engines.kafka.audit.chains import ChainLink, Chains
from streams.engines.kafka.audit.export import exported, last_head
from streams.engines.kafka.audit.records import read_audit
from streams.engines.kafka.audit.state import UnknownChainError
from streams.engines.kafka.client.publisher import Acked
from streams.engines.kafka.records.codec import Genesis, act_record
from streams.model.times import SECOND
from streams.services.audit_heads import HeadKey, head_reader
from streams.services.audit_sinks import Sinks
from streams.settings.kafka import KafkaSettings
from streams.settings.worker import WorkerSettings
from streams.stages.audit.chain import BrokenChainError
from streams.stages.audit.portion import from_a_head, until_a_head
from streams.stages.audit.proof import ChainVerifier
from tests.campaigns import some

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from streams.engines.kafka.audit.state import Audited

    AccessColumns = list[dict[str, Any]]

pytestmark = pytest.mark.property

REALMS = ("acme", "beta")
FORKED = 369  # a world in which two workers chained different records
SETTINGS = KafkaSettings(prefix="t", partitions=1, access_partitions=1)
GENESIS = Genesis(
    genesis="g1", partition=0, partitions=1, created_at=1, created_by="ops"
)
KEY = HeadKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
NODE = encode_fact(
    Node(
        authority="a", version=1, received_at=1, node=Identifier("vault.accessor", "1")
    )
)
READ_HEAD = head_reader([KEY.private.public_key()])


class KilledError(Exception):
    """The worker died while it wrote."""


@define
class Record:
    """A record as the client gives it."""

    offset: int
    key: bytes
    value: bytes | None
    timestamp: int = 0
    partition: int = 0


@define
class World:
    """The topics, and who works on them; strangers write too where they are spoilt."""

    rng: random.Random
    spoilt: bool = False
    settings: KafkaSettings = SETTINGS
    topics: dict[str, list[Record]] = Factory(
        lambda: {"facts": [], "audit": [], "heads": []}
    )
    workers: list[Worker] = Factory(list)
    begins: Counter[str] = Factory(Counter)
    ends: Counter[str] = Factory(Counter)
    said: set[bytes] = Factory(set)
    tombstones: set[bytes] = Factory(set)
    busy: bool = False
    buried: set[tuple[str, int]] = Factory(set)

    def write(self, name: str, key: bytes, value: bytes | None) -> int:
        """Append a record; give its offset."""
        offset = self.ends[name]
        self.ends[name] += 1
        self.topics[name].append(Record(offset, key, value))
        return offset

    def say(self) -> None:
        """Accept a fact, a copy of one, an act, a tombstone or a heartbeat."""
        realm, number = self.rng.choice(REALMS), self.rng.randrange(12)
        if self.spoilt and self.rng.random() < 0.2:
            topic = self.rng.choice(("audit", "heads"))
            key = self.rng.choice((b"", b"stranger", f"{realm}/newer-1".encode()))
            bad = self.rng.choice((b"", b"garbage", NODE))
            self.write(topic, key, bad)
            self.buried.add((topic, self.ends[topic] - 1))
        name = Identifier("vault.accessor", str(number))
        kind = self.rng.random()
        if kind < 0.1:
            act = Act(realm=realm, at=number, actor="ann", action="adopt", facts=["a"])
            record = act_record(act, 1, str(self.ends["facts"]))
            self.said.add(record.key)
            self.write("facts", record.key, record.value)
        elif kind < 0.2:
            self.write("facts", b"heartbeat/w", b"not read by anybody here")
        elif kind < 0.22:
            key = f"{realm}/cause/{number}/newer".encode()
            self.said.add(key)
            self.write("facts", key, b"\0\0\0\xff\xff" + bytes([number]))
        elif kind < 0.27 and self.said:
            key = self.rng.choice(sorted(self.said))
            if not key.startswith(b"act/"):
                self.tombstones.add(key)
                self.write("facts", key, None)
        else:
            fact: Any = Node(authority="a", version=1, received_at=number, node=name)
            if kind > 0.6:
                fact = Cause(authority="a", event_id=str(number), version=1, at=1,
                             received_at=self.ends["facts"], target=name,
                             effect=Effect.REVOKE)  # fmt: skip
            key = fact_key(realm, fact).encode()
            self.said.add(key)
            self.write("facts", key, encode_fact(fact))

    async def meanwhile(self, publisher: Publisher) -> None:
        """Let another worker write in between, now and then."""
        rivals = [each for each in self.workers if each.publisher is not publisher]
        if self.busy or not rivals or self.rng.random() > 0.1:
            return
        self.busy, rival = True, self.rng.choice(rivals)
        try:
            await (rival.sign() if self.rng.random() < 0.3 else rival.step(3))
        except KilledError:
            self.workers.remove(rival)
        finally:
            self.busy = False

    def compact(self) -> None:
        """Leave the last record of each key, as the broker may at any time."""
        facts = self.topics["facts"]
        last = {record.key: record.offset for record in facts}
        cut = self.rng.randint(0, self.ends["facts"])
        self.topics["facts"] = [
            r for r in facts if r.offset >= cut or last[r.key] == r.offset
        ]

    @asynccontextmanager
    async def reading(self, _: KafkaSettings) -> AsyncIterator[World]:
        """Stand in for the client."""
        yield self

    async def bounds(self, name: str, number: int) -> tuple[int, int]:
        """Give where a topic begins and ends."""
        assert number == 0
        return self.begins[name], self.ends[name]

    async def records(
        self, name: str, number: int, start: int, end: int
    ) -> AsyncIterator[Record]:
        """Give what is left of a topic."""
        assert number == 0
        for each in list(self.topics[name]):
            if start <= each.offset < end:
                yield each


@define
class Publisher:
    """Writes to the topics at once, unless the worker is killed on the way."""

    world: World
    dies_in: int | None = None

    async def publish(self, topic: str, groups: Iterable[Any]) -> list[Acked]:
        """Write and ack."""
        return await self.acks(await self.send(topic, groups))

    async def send(self, topic: str, groups: Iterable[Any]) -> list[Acked]:
        """Write."""
        name, written = topic.split(".")[1], []
        for (record,) in groups:
            await self.world.meanwhile(self)
            if self.dies_in is not None:
                self.dies_in -= 1
                if self.dies_in < 0:
                    raise KilledError
            at = self.world.write(name, record.key, record.value)
            written.append(Acked(0, at, at + 1))
        return written

    async def acks(self, waiting: list[Acked]) -> list[Acked]:
        """Give what was acked; others may have come first."""
        return waiting

    async def end(self, topic: str, partition: int, key: bytes) -> None:
        """End a key."""
        assert partition == 0
        self.world.write(topic.split(".")[1], key, None)


@define
class Member:
    """The partition is always ours, until what was read of it is doubtful."""

    fresh: set[int] = Factory(set)

    def hold(self, number: int) -> None:
        """Note that it is to be read anew."""
        self.fresh.add(number)


class Worker:
    """The stage of one process."""

    def __init__(self, world: World, name: str) -> None:
        """Begin with nothing read."""
        self.world = world
        self.publisher = Publisher(world)
        clock = iter(range(1, 10**9))
        settings = WorkerSettings(name=name)
        self.stage = AuditStage(
            SETTINGS, settings, self.publisher,  # type: ignore[arg-type]
            lambda: next(clock) * SECOND, KEY, Sinks(),
        )  # fmt: skip
        self.stage.member = Member({0})  # type: ignore[assignment]
        self.audited: Audited | None = None

    async def step(self, most: int) -> None:
        """Chain the next records, or read where the chains stand."""
        if self.stage.member.fresh or self.audited is None:
            self.audited = await audit_state.restored(self.world, 0, GENESIS.genesis)  # type: ignore[arg-type]
            self.stage.member.fresh.clear()
            return
        records = [
            each
            for each in self.world.topics["facts"]
            if each.offset >= self.audited.position
        ][:most]
        if records:
            await self.stage._chain(self.audited, records)

    async def sign(self) -> None:
        """Sign what moved."""
        if self.audited is not None and not self.stage.member.fresh:
            await self.stage._sign_of(self.audited)

    @property
    def done(self) -> bool:
        """Tell whether all is chained and signed."""
        return (
            self.audited is not None
            and not self.stage.member.fresh
            and self.audited.position >= self.world.ends["facts"]
            and not self.audited.unsigned
        )


async def play(world: World, steps: int) -> None:
    """Let chance do what it does, then one worker finish."""
    rng = world.rng
    for number in range(steps):
        what = rng.random()
        if what < 0.45:
            for _ in range(rng.randint(1, 5)):
                world.say()
        elif what < 0.57:
            world.compact()
        elif what < 0.65 or not world.workers:
            world.workers.append(Worker(world, f"w{number}"))
        else:
            worker = rng.choice(world.workers[-3:])
            if rng.random() < 0.15:
                worker.publisher.dies_in = rng.randint(0, 4)
            try:
                await (worker.sign() if rng.random() < 0.3 else worker.step(8))
            except KilledError:
                if worker in world.workers:
                    world.workers.remove(worker)
    world.write("facts", b"heartbeat/w", b"not read by anybody here")
    last = Worker(world, "last")
    while not last.done:
        await last.step(8)
        await last.sign()


async def chain_of(realm: str) -> tuple[AccessColumns, str | None]:
    """Export the chain of a realm, and the head beside it."""
    lines = [line async for line in exported(SETTINGS, realm)]
    return list(until_a_head(lines)), await last_head(SETTINGS, realm)


def verified(lines: AccessColumns, last: str | None = None) -> str:
    """Give what is said against an export, nothing where it holds."""
    try:
        known = [] if last is None else [READ_HEAD(last)]
        verifier = ChainVerifier(READ_HEAD, decode_fact, known)
        for line in lines:
            verifier.take(line)
        verifier.end()
    except BrokenChainError as error:
        return str(error)
    return ""


def _patched(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    async def geneses(_: KafkaSettings) -> dict[int, Genesis]:
        return {0: GENESIS}

    async def nothing(_: Any) -> None:
        pass

    monkeypatch.setattr(audit_export, "reading", world.reading)
    monkeypatch.setattr(audit_export, "read_geneses", geneses)
    monkeypatch.setattr(audit_export, "take_ids", nothing)
    return world


async def check(world: World) -> None:
    """Verify each realm, and hold what was accepted and is left against its chain."""
    for realm in REALMS:
        lines, last = await chain_of(realm)
        assert not verified(lines, last)
        entries = [line["entry"] for line in lines if "entry" in line]
        offsets = Counter(entry["offset"] for entry in entries)
        assert {1} == set(offsets.values())
        left = {
            record.offset
            for record in world.topics["facts"]
            if f"{realm}/".encode() in record.key
        }
        assert left <= set(offsets)
        chained = {
            str(entry.get("fact_key") or entry.get("unread")).encode()
            for entry in entries
        }
        said = {key for key in world.said if key.startswith(f"{realm}/".encode())}
        assert said - world.tombstones <= chained


def run(seed: int, monkeypatch: pytest.MonkeyPatch) -> World:
    """Play a world and check it."""
    world = _patched(World(random.Random(seed)), monkeypatch)

    async def play_and_check() -> None:
        await play(world, 80)
        await check(world)

    asyncio.run(play_and_check())
    return world


@pytest.mark.parametrize("seed", some(range(60), range(20), pytest.mark.long))
def test_the_chain_holds_every_fact_once(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was killed, frozen or late."""
    run(seed, monkeypatch)


@pytest.mark.parametrize("seed", some(range(40), range(13), pytest.mark.long))
def test_what_strangers_write_stops_no_chain(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither between the links nor in place of a head, and each is told of."""
    world = _patched(World(random.Random(seed), spoilt=True), monkeypatch)
    asyncio.run(play(world, 80))
    asyncio.run(check(world))
    last = asyncio.run(audit_state.restored(world, 0, GENESIS.genesis))  # type: ignore[arg-type]
    told = {(topic.split(".")[1], poison.offset) for topic, poison in last.poison}
    assert told <= world.buried


def test_a_head_nobody_can_read_begins_no_second_chain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the first links are gone it may be all that is left."""
    world = quiet(monkeypatch)
    world.begins["audit"] = 5
    world.write("heads", b"acme/newer-1", b"\0\0\0\xff\xff")

    def restored() -> Audited:
        return asyncio.run(audit_state.restored(world, 0, GENESIS.genesis))  # type: ignore[arg-type]

    with pytest.raises(UnknownChainError, match=r"heads.* partition 0 offset \d+"):
        restored()
    world.write("heads", b"acme/newer-1", None)
    assert not restored().unsigned


# Lots and not single seeds: every run of any test would collect all of them.
@pytest.mark.campaign
@pytest.mark.parametrize("first", range(60, 3000, 60))
def test_it_does_in_many_worlds(first: int) -> None:
    """As above."""
    for seed in range(first, first + 60):
        with pytest.MonkeyPatch.context() as patch:
            try:
                run(seed, patch)
            except Exception as error:
                error.add_note(f"seed {seed}")
                raise


def test_who_does_not_see_that_he_is_not_alone_breaks_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The offsets of the acks are needed: what compaction hid made another chain."""

    def alone(self: AuditStage, audited: Audited, acked: list[Acked]) -> bool:
        audited.end = acked[-1].end if acked else audited.end
        return True

    monkeypatch.setattr(AuditStage, "_alone", alone)
    with pytest.raises(AssertionError):
        run(FORKED, monkeypatch)


def quiet(monkeypatch: pytest.MonkeyPatch) -> World:
    """Give a world in which one worker chained all in peace."""
    world = _patched(World(random.Random(3)), monkeypatch)
    for _ in range(60):
        world.say()
    asyncio.run(play(world, 0))
    return world


def told(world: World) -> str:
    """Give what is said against any of its chains."""

    async def all_of_it() -> str:
        said = [verified(*await chain_of(realm)) for realm in REALMS]
        return " ".join(said).strip()

    return asyncio.run(all_of_it())


def test_a_worker_that_skips_a_fact_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its chain is whole: the log holds what it does not speak of."""
    link = Chains.link

    def skipping(self: Chains, offset: int, key: bytes, value: Any) -> Any:
        return None if offset == 7 else link(self, offset, key, value)

    assert not told(quiet(monkeypatch))
    monkeypatch.setattr(Chains, "link", skipping)
    assert "the log holds a fact that has no entry" in told(quiet(monkeypatch))


def test_a_worker_that_chains_a_fact_twice_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Though both entries are signed."""
    link, links = Chains.link, AuditStage._links

    def forgetful(self: Chains, offset: int, key: bytes, value: Any) -> Any:
        for realm, tip in self.tips.items():
            self.tips[realm] = tip._replace(offset=-1)
        return link(self, offset, key, value)

    def again(self: AuditStage, audited: Audited, records: list[Any]) -> Any:
        return links(self, audited, [*records, records[-1]])

    monkeypatch.setattr(Chains, "link", forgetful)
    monkeypatch.setattr(AuditStage, "_links", again)
    assert "speaks of a record that an entry before it" in told(quiet(monkeypatch))


def test_whatever_is_done_to_the_topics_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A byte changed, records cut off, taken out, put in another order; or a fact."""
    world = quiet(monkeypatch)
    whole = world.topics["audit"]
    links = [at for at, each in enumerate(whole) if _is_link(each)]
    for at in links[1:-1:7]:
        record = whole[at]
        for place in range(5, len(record.value or b""), 61):
            value = bytearray(record.value or b"")
            value[place] ^= 1
            changed = Record(record.offset, record.key, bytes(value))
            world.topics["audit"] = [*whole[:at], changed, *whole[at + 1 :]]
            assert _broken(world)
        world.topics["audit"] = whole[:at]
        assert _broken(world)
        world.topics["audit"] = whole[:at] + whole[at + 1 :]
        assert _broken(world)
        other = next(n for n in links if n > at and _realm(whole[n]) == _realm(record))
        swapped = list(whole)
        swapped[at], swapped[other] = whole[other], whole[at]
        world.topics["audit"] = swapped
        assert _broken(world)
    world.topics["audit"] = whole
    assert not told(world)
    fact = next(each for each in world.topics["facts"] if b"/cause/" in each.key)
    fact.value = (fact.value or b"")[:-1] + b"\x02"
    assert told(world)


def _broken(world: World) -> bool:
    try:
        return bool(told(world))
    except SchemaError:
        return True


def _realm(record: Record) -> str:
    return read_audit(record.value).realm


def _is_link(record: Record) -> bool:
    return isinstance(read_audit(record.value), ChainLink)


def test_a_chain_that_lost_its_start_holds_from_a_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the retention of the topic leaves it, and for who kept that head or trusts."""
    world = quiet(monkeypatch)
    del world.topics["audit"][:20]

    async def check_part() -> None:
        lines, _ = await chain_of(REALMS[0])
        first, *rest = from_a_head(lines)
        verifier = ChainVerifier(READ_HEAD, decode_fact, start=READ_HEAD(first["head"]))
        for line in rest:
            verifier.take(line)
        assert verifier.end().sequence > verifier.start.sequence > 1  # type: ignore[union-attr]
        assert verified([first, *rest])

    asyncio.run(check_part())


def test_what_is_gone_from_the_topic_stops_nobody_and_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker goes on behind it; the export says where the chain is broken."""
    world = quiet(monkeypatch)
    del world.topics["heads"][:]  # so that the next one reads all of the chain
    links = [at for at, each in enumerate(world.topics["audit"]) if _is_link(each)]
    world.topics["audit"][links[2]].value = b"\0junk"
    for _ in range(9):
        world.say()
    world.write("facts", b"heartbeat/w", b"not read by anybody here")

    async def go_on() -> None:
        last = Worker(world, "next")
        while not last.done:
            await last.step(8)
            await last.sign()
        del world.topics["audit"][links[2]]

    asyncio.run(go_on())
    assert "a fact that has no entry" in told(world)
    world.ends["audit"] = 1  # the topic was made anew, and the heads were not
    del world.topics["audit"][:]

    async def anew() -> None:
        last = Worker(world, "anew")
        await last.step(8)
        assert last.audited is not None
        assert last.audited.end == 1
        assert last.audited.chains.tips

    asyncio.run(anew())
