"""Guards behind a relay on a real Kafka: what they deny, and what is known of them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from agents_registry.facts import Withdraw, fact_id, to_plain
from agents_registry.identifiers import Identifier
from enforcement import Guard, Lapse, Reason, Token
from enforcement.clocks import boottime
from streams.apps.builders.relayed_realms import Relaying
from streams.apps.onward import onward
from streams.apps.relay import relay
from streams.engines.kafka.clock import heartbeats
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.relay import log_pieces
from streams.http import revoked_tokens
from streams.http.feed import FeedServer
from streams.model.times import SECOND
from streams.services.spread_tail import SpreadTail
from streams.settings.relay import RelaySettings
from streams.settings.server import Settings
from tests.integration.cut_proxy import CutProxy
from tests.integration.cuts import FAULTS
from tests.integration.go_guard import BUILD_SECONDS, built
from tests.integration.kafka_guards import (
    CHILD,
    FAMILY,
    OTHER,
    PARENT,
    THIRD,
    node,
    revoke,
    said,
    writing,
)
from tests.integration.node_guard import FOLDER, NODE
from tests.integration.serving import DEADLINE, until, values
from tests.integration.test_kafka_cut_guards import campaigning
from tests.integration.test_kafka_genesis import renew
from tests.integration.working import lay_out, pipeline, task_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streams.devkafka.launch import Launcher
    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
LEASE = 2.0
RELAYS = 3
IN_GO = [pytest.mark.long, pytest.mark.timeout(BUILD_SECONDS)]


def plain_settings(folder: Path, **more: Any) -> dict[str, Any]:
    """Give settings under which a token may feed guards of some names."""
    given = values(folder, lease_seconds=LEASE, **more)
    for token in given["tokens"]:
        if token["name"] == "guard":
            token["guards"] = ["orders*", "guard-ts"]
    return given


@asynccontextmanager
async def relaying(
    folder: Path, kafka: KafkaSettings, **more: Any
) -> AsyncIterator[Relaying]:
    """Run a relay in this process until the context ends."""
    own = RelaySettings(**more.pop("own", {}))
    settings = Settings(**plain_settings(folder, **more))
    async with task_of(
        lambda stop, told: relay(settings, kafka, own, stop=stop, started=told)
    ) as started:
        yield started


@asynccontextmanager
async def relay_process(folder: Path, kafka: KafkaSettings) -> AsyncIterator[Any]:
    """Run the command until the context ends; give its process and its port."""
    ready = folder / "relay.url"
    config = folder / "relay.yaml"
    given = plain_settings(folder, ready_file=str(ready))
    config.write_text(yaml.safe_dump(given), "utf-8")
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("rescind"), "relay", "--config", config,
        cwd=ROOT,
        env={
            "RESCIND_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "RESCIND_KAFKA_PREFIX": kafka.prefix,
            "RESCIND_KAFKA_PARTITIONS": str(kafka.partitions),
            "RESCIND_KAFKA_REPLICATION_FACTOR": "1",
            "RESCIND_KAFKA_MIN_INSYNC_REPLICAS": "1",
        },
    )  # fmt: skip
    try:
        await until(lambda: process.returncode is not None or ready.exists())
        yield process, int(ready.read_text("utf-8").rpartition(":")[2].strip("/\n"))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def guard_of(url: str, name: str = "orders", **more: Any) -> Guard:
    """Give a guard behind a relay, not yet entered."""
    given = {"lease": LEASE, "jitter": lambda: 0.2, **more}
    return Guard(url, given.pop("token", "guard"), name=name, **given)


def beside(realm: str, partitions: int) -> str:
    """Name another realm whose facts lie in the same partition."""
    number = partition_of(realm, partitions)
    names = (f"realm-{each}" for each in range(1000))
    return next(each for each in names if partition_of(each, partitions) == number)


def keys_of(folder: Path) -> tuple[Path, Path]:
    """Write the private and the public key of a relay."""
    key = Ed25519PrivateKey.generate()
    private, public = folder / "relay.key", folder / "relay.pem"
    private.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
    )  # fmt: skip
    return private, public


async def test_a_revocation_is_denied_and_its_closure_names_the_guard(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """From ingress over Kafka and a relay that signs, to a guard without Kafka."""
    await lay_out(kafka_settings)
    private, public = keys_of(tmp_path)
    async with (
        pipeline(tmp_path, kafka_settings, relay_keys={"relay": public}) as running,
        relaying(
            tmp_path, kafka_settings, own={"signing_key": private}
        ) as relayed,
        writing(kafka_settings, beats=False) as writer,
        CutProxy(int(relayed.url.rpartition(":")[2])).listening() as proxy,
        guard_of(f"http://127.0.0.1:{proxy.port}") as guard,
    ):  # fmt: skip
        await writer.say(*FAMILY)
        await until(lambda: guard.check(CHILD).allowed)

        async def asked(path: str) -> Any:
            headers = {"Authorization": "Bearer viewer"}
            url = running.working.url + path
            async with running.session.get(url, headers=headers) as got:
                return await got.json()

        async def ended(name: Identifier) -> dict[str, Any]:
            body = {"identifier": str(name), "reason": "leak"}
            status, answer = await running.post("/v1/revocations", "revoker", body)
            assert 201 == status
            return dict(answer)

        async def closed(answer: dict[str, Any]) -> dict[str, Any]:
            async def told() -> dict[str, Any] | None:
                found: dict[str, Any] = await asked(f"/v1/revocations/{answer['id']}")
                return found if found.get("state") == "closed" else None

            return dict(await until(told))

        answer = await ended(PARENT)
        assert await guard.wait_for(Token.parse(answer["token"]), DEADLINE)
        assert guard.check(CHILD).reason is Reason.REVOKED
        told = await closed(answer)
        assert (1, []) == (told["applied"], told["fenced"])
        (row,) = (await asked("/v1/guards"))["guards"]
        assert ("orders", "fail_closed", 2000) == (
            row["guard"], row["mode"], row["lease_ms"],
        )  # fmt: skip
        async with running.session.get(f"{relayed.url}/healthz/ready") as got:
            assert 200 == got.status
        text = await running.scrape(relayed.url)
        assert "rescind_guards 1.0" in text
        assert 'rescind_relay_realms{lease="held"} 1.0' in text

        proxy.cut()
        told = await closed(await ended(OTHER))
        assert (0, ["orders"]) == (told["applied"], told["fenced"])
        assert isinstance(guard.check(OTHER).reason, Lapse)


@pytest.mark.long
async def test_a_killed_relay_costs_the_lease_and_another_one_loses_nothing(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard goes on from its position, and gets what it missed."""
    await lay_out(kafka_settings)
    async with (
        writing(kafka_settings) as writer,
        relay_process(tmp_path, kafka_settings) as (process, port),
        CutProxy(port).listening() as proxy,
        guard_of(f"http://127.0.0.1:{proxy.port}") as guard,
    ):
        await writer.say(*FAMILY)
        await until(lambda: guard.check(CHILD).allowed and guard.check(OTHER).allowed)

        process.kill()
        await process.wait()
        killed = boottime()
        await writer.say(revoke(PARENT), node(THIRD))
        await until(lambda: isinstance(guard.check(OTHER).reason, Lapse))
        assert guard.standing.deadline <= killed + LEASE * SECOND

        def never(*_: object) -> None:
            raise AssertionError("it had a position")

        monkeypatch.setattr(FeedServer, "_begin", never)
        async with relaying(tmp_path, kafka_settings) as second:
            proxy.port_of_server = int(second.url.rpartition(":")[2])
            await until(lambda: guard.check(OTHER).allowed)
            assert guard.check(CHILD).reason is Reason.REVOKED
            assert guard.check(THIRD).allowed


async def test_heartbeats_cost_no_guard_behind_a_second_relay_its_lease(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """The log's end moves on and on, and no fact comes."""
    await lay_out(kafka_settings)
    file = tmp_path / "upstream.token"
    file.write_text("guard", "utf-8")
    async with (
        writing(kafka_settings) as writer,
        relaying(tmp_path, kafka_settings) as first,
        task_of(
            lambda stop, told: onward(
                Settings(**plain_settings(tmp_path)),
                RelaySettings(upstream=first.url, upstream_token=file),
                stop=stop,
                started=told,
            )
        ) as second,
        guard_of(second.url) as guard,
    ):
        await writer.say(*FAMILY)
        await until(lambda: guard.check(CHILD).allowed)
        least, end = LEASE * SECOND, boottime() + 2 * LEASE * SECOND
        while boottime() < end:
            await guard.feed.progress()
            least = min(least, guard.standing.deadline - boottime())
        assert least > 0
        token = await writer.say(revoke(PARENT))
        assert await guard.wait_for(token, LEASE)
        assert guard.check(CHILD).reason is Reason.REVOKED


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_relay_that_is_cut_off_hands_out_no_lease(
    tmp_path: Path, kafka_launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it is: its guards, which reach it well, deny a lease after the cut."""
    monkeypatch.setattr(heartbeats, "PERIOD", 0.1)

    @asynccontextmanager
    async def behind_a_relay(kafka: KafkaSettings, number: int) -> AsyncIterator[Guard]:
        folder = tmp_path / f"relay-{number}"
        async with (
            relaying(folder, kafka) as relayed,
            guard_of(relayed.url, f"orders-{number}") as guard,
        ):
            yield guard

    async with campaigning(
        tmp_path, kafka_launcher, RELAYS, LEASE, str(tmp_path), behind_a_relay
    ) as campaign:
        for fault in FAULTS.values():
            await campaign.suffer(fault)


async def test_each_guard_gets_the_facts_of_its_realm_and_no_others(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Also where both lie in one partition."""
    realm = beside("default", kafka_settings.partitions)
    tokens = plain_settings(tmp_path)["tokens"]
    for name, realms in (("theirs", [realm]), ("both", [realm, "third"])):
        digest = hashlib.sha256(name.encode()).hexdigest()
        made = {"name": name, "sha256": digest, "roles": ["guard"], "realms": realms}
        tokens.append(made)
    await lay_out(kafka_settings)
    async with (
        writing(kafka_settings) as writer,
        relaying(tmp_path, kafka_settings, tokens=tokens) as relayed,
        guard_of(relayed.url, "orders") as ours,
        guard_of(relayed.url, "theirs", token="theirs") as theirs,
        aiohttp.ClientSession() as session,
    ):
        await writer.say(*FAMILY)
        token_of_theirs = await writer.say(node(THIRD), realm=realm)
        await until(lambda: ours.check(CHILD).allowed)
        await until(lambda: theirs.check(THIRD).allowed)

        assert await ours.wait_for(token_of_theirs, DEADLINE)
        assert Reason.UNKNOWN_CREDENTIAL is ours.check(THIRD).reason
        assert Reason.UNKNOWN_CREDENTIAL is theirs.check(CHILD).reason

        async def asked(token: str, query: str = "") -> tuple[int, str]:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            url = f"{relayed.url}/v1/feed{query}"
            async with session.get(url, headers=headers) as got:
                return got.status, (await got.json(content_type=None))["title"]

        assert (401, "no token") == await asked("")
        assert (403, "role missing") == await asked("viewer")
        assert (403, "another realm") == await asked("guard", f"?realm={realm}")
        assert (400, "which realm") == await asked("both")
        for token, query in (("guard", ""), ("theirs", ""), ("both", "?realm=third")):
            assert (400, "no WebSocket") == await asked(token, query)


async def test_a_token_that_is_revoked_is_fed_no_more(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay runs on, and so does a guard of another realm with another token."""
    monkeypatch.setattr(revoked_tokens, "LOOK_SECONDS", 0.01)
    file = tmp_path / "revoked"
    file.touch()
    tokens = plain_settings(tmp_path)["tokens"]
    digest = hashlib.sha256(b"theirs").hexdigest()
    made = {"name": "theirs", "sha256": digest, "roles": ["guard"], "realms": ["third"]}
    await lay_out(kafka_settings)
    more = {"tokens": [*tokens, made], "revoked_tokens": str(file)}
    async with (
        writing(kafka_settings),
        relaying(tmp_path, kafka_settings, **more) as relayed,
        guard_of(relayed.url, "orders") as ours,
        guard_of(relayed.url, "theirs", token="theirs") as theirs,
    ):
        assert await ours.ready(DEADLINE)
        assert await theirs.ready(DEADLINE)
        fed = ours.feed.connections, theirs.feed.connections
        file.write_text(f"{digest}  # theirs\n", "utf-8")
        await until(lambda: "401" in str(theirs.feed.last_error))

        assert fed == (ours.feed.connections, theirs.feed.connections)
        assert ours.standing.holds()


async def test_another_log_is_read_from_its_start_before_anything_is_allowed(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Topic deleted and made anew: what the one before denied stays denied."""
    await lay_out(kafka_settings)
    async with (
        relaying(tmp_path, kafka_settings) as relayed,
        guard_of(relayed.url) as guard,
    ):
        async with writing(kafka_settings) as writer:
            await writer.say(*FAMILY, revoke(OTHER), node(THIRD))
            await until(lambda: guard.check(THIRD).allowed)
            before = guard.standing.replica.genesis
        await renew(kafka_settings)
        # The lease over the log before ends first: it may outlive a quick renewal.
        await until(lambda: not guard.check(THIRD).allowed)
        async with writing(kafka_settings) as writer:
            # All live here, and the new log is soon the longer one.
            for _ in range(20):
                await writer.say(*FAMILY, node(THIRD))
            token = await writer.say(revoke(THIRD))

            def denied() -> bool:
                served = guard.check(THIRD)
                assert not guard.check(OTHER).allowed
                assert guard.standing.replica.genesis != before or not served.allowed
                return served.reason is Reason.REVOKED

            await until(denied)
            assert await guard.wait_for(token, DEADLINE)
            await until(lambda: guard.check(CHILD).allowed)
            assert guard.check(OTHER).reason is Reason.REVOKED


async def test_who_starts_and_who_fell_behind_read_the_topic_in_bounded_pieces(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes facts back comes first, facts of others not at all, each fact once."""
    most, half = 7, 25
    monkeypatch.setattr(log_pieces, "CHUNK", most)
    monkeypatch.setattr(SpreadTail, "at", lambda *_: None)
    realm = beside("default", kafka_settings.partitions)
    names = [Identifier("vault.accessor", f"n{number}") for number in range(2 * half)]
    taken = revoke(THIRD)
    withdraw = Withdraw(
        **said("k2", "operators"), fact_id=fact_id(taken).hex(), kind=taken.NAME,
        target=THIRD,
    )  # fmt: skip
    await lay_out(kafka_settings)
    async with (
        writing(kafka_settings) as writer,
        relaying(tmp_path, kafka_settings) as relayed,
        aiohttp.ClientSession() as session,
    ):
        for name in names[:half]:
            await writer.say(node(name))
            await writer.say(node(name), realm=realm)
        token = await writer.say(node(THIRD), taken, withdraw)
        log = relayed.realms._realms["default"].log
        await until(lambda: log.serves and log.end >= token.offset)
        async with session.ws_connect(
            f"{relayed.url}/v1/feed", headers={"Authorization": "Bearer guard"}
        ) as feed:
            await feed.send_json({"type": "hello", "guard": "orders"})
            pieces: list[dict[str, Any]] = []
            while not pieces or pieces[-1]["more"]:
                pieces.append(await feed.receive_json())
            assert [to_plain(withdraw)] == pieces[0]["facts"]
            for name in names[half:]:
                await writer.say(node(name), node(name))
            deltas: list[dict[str, Any]] = []
            while sum(len(each["facts"]) for each in deltas) < 2 * half:
                deltas.append(await feed.receive_json())

    assert {token.partition} == {each["partition"] for each in pieces}
    assert max(len(each["facts"]) for each in (*pieces[1:], *deltas)) <= most
    assert [to_plain(node(n)) for n in names[:half]] == [
        fact for each in pieces[1:] for fact in each["facts"]
    ][:half]
    told = [fact for each in deltas for fact in each["facts"]]
    assert [to_plain(node(name)) for name in names[half:] for _ in range(2)] == told
    ends = [pieces[-1]["offset"], *(each["to"] for each in deltas)]
    assert ends[:-1] == [each["from"] for each in deltas]


@pytest.mark.parametrize("language", ["ts", pytest.param("go", marks=IN_GO)])
async def test_a_guard_in_another_language_is_fed_too(
    tmp_path: Path, kafka_settings: KafkaSettings, language: str
) -> None:
    """It passes over offsets without facts, and holds the lease that is left."""
    if language == "go":
        command = [built("./cmd/rescind-check", tmp_path)]
    else:
        command = [NODE, str(FOLDER / "check.ts")]
    await lay_out(kafka_settings)
    async with (
        writing(kafka_settings) as writer,
        relaying(tmp_path, kafka_settings) as relayed,
    ):
        await writer.say(*FAMILY)
        own = {"RESCIND_URL": relayed.url, "RESCIND_TOKEN": "guard"}
        process = await asyncio.create_subprocess_exec(
            *command,
            env=own | {"RESCIND_GUARD": "orders-go"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        asking, answers = process.stdin, process.stdout
        assert asking is not None
        assert answers is not None

        async def check(name: object) -> dict[str, Any]:
            asking.write(f"{name}\n".encode())
            verdict: dict[str, Any] = json.loads(await answers.readline())
            return verdict

        async def reason(name: object) -> str:
            return str((await check(name))["reason"])

        async def allows(name: object) -> bool:
            return bool((await check(name))["allowed"])

        try:
            await until(lambda: allows(CHILD))
            await writer.say(revoke(PARENT))
            acked = boottime()
            await until(lambda: boottime() > acked + LEASE * SECOND)
            assert not await allows(CHILD)
            assert "revoked" == await reason(CHILD)
            await until(lambda: allows(OTHER))
        finally:
            process.kill()
            await process.wait()
