"""One golden case on one engine: events in, table and findings out."""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import orjson
import yaml
from aiokafka import AIOKafkaProducer
from attrs import define, field, frozen

from enforcement.kafka.receipts import LogReceipts
from enforcement.receipts import Receipts, Terms
from enforcement.verdict import Mode
from schemas.codec import bundled
from streams.apps import ingress
from streams.apps.embedded import serve
from streams.apps.ingress import receive
from streams.apps.worker import work
from streams.engines.kafka.records.accesses import OPEN
from streams.engines.kafka.records.codec import partition_of
from streams.model.findings import POSTURE, FindingKind
from streams.model.times import SECOND, parse_time
from streams.settings.server import ClosureSettings, Settings
from streams.settings.worker import WorkerSettings
from tests.integration.serving import until
from tests.integration.test_receipts import Wire
from tests.integration.test_ssf_push import AUDIENCE, ISSUER, OLD, jwks, signed
from tests.integration.working import Pipeline, records, task_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from streams.apps.embedded import Served
    from streams.settings.kafka import KafkaSettings

TOKENS = {
    "gateway": ["ingest"], "vault": ["ingest"], "stranger": ["ingest"],
    "keycloak": ["ingest"], "directory": ["ingest"], "signals": ["ingest"],
    "revoker": ["revoker"], "viewer": ["viewer"],
    "restorer": ["restorer"],
    "guard": ["guard"],
}  # fmt: skip
# The longest lease that is no finding; no case is as long as ten of them.
TERMS = Terms(round(ClosureSettings().max_lease * SECOND), Mode.FAIL_CLOSED, {})

LOOKS = {"told", "ready"}  # steps that wait for something, and change nothing
MEDIA_TYPES = {"user": "application/scim+json", "set": "application/secevent+jwt"}


@frozen
class Outcome:
    """What an engine made of a case, comparable with another engine's.

    Attributes:
        rows: of the table.
        findings: of each kind, identifier, point, cause, via, event ids, related ids,
            path, times and count; of what lasts until it is put right also whether it
            was.
        undeclared: of the inventory, sorted.
    """

    rows: list[Any]
    findings: list[tuple[Any, ...]]
    undeclared: list[dict[str, Any]]


@define
class Clock:
    """The time of a case: its ``now``, and a second more for each step."""

    now: int
    step: int = 0
    waited: int = 0

    def __call__(self) -> int:
        """Give the time."""
        return self.now + (self.step + self.waited) * SECOND

    def fresh_id(self) -> str:
        """Give an id that is the same on every engine."""
        return f"step-{self.step}"


@define
class Case:
    """A case of the suite."""

    path: Path
    plain: dict[str, Any] = field(factory=dict)

    @classmethod
    def read(cls, path: Path) -> Case:
        """Read a file of ``cases/``."""
        return cls(path, yaml.load(path.read_text("utf-8"), yaml.CSafeLoader))

    @property
    def clock(self) -> Clock:
        """Give a new clock that stands at the case's ``now``."""
        now = self.plain["now"]
        parsed = parse_time(now if isinstance(now, str) else now.isoformat())
        assert parsed is not None
        return Clock(parsed)

    def settings(self, folder: Path, repository: Path) -> Settings:
        """Give the settings that every case has."""
        tokens = [
            {
                "name": name,
                "sha256": hashlib.sha256(name.encode()).hexdigest(),
                "roles": roles,
                "authority": name if roles == ["ingest"] else None,
            }
            for name, roles in TOKENS.items()
        ]
        mapping = repository / "examples/mappings/agent-gateway.yaml"
        return Settings.model_validate({
            "data_dir": folder / "data",
            "listen": {"host": "127.0.0.1", "port": 0},
            "tokens": tokens,
            "authorities": {
                "gateway": {"grants": [{"kind": "gateway.*"}]},
                "vault": {"grants": [{"kind": "vault.*"}], "issuer_log": True},
                "keycloak": {
                    "grants": [
                        {"kind": "keycloak.*"}, {"kind": "jwt.jti"},
                        {"kind": "session.id"},
                    ]
                },
                "stranger": {"grants": [{"kind": "jwt.jti"}]},
                "directory": {"grants": [{"kind": "scim.user"}, {"kind": "jwt.sub"}]},
                "signals": {"grants": [{"kind": "attribute.*"}]},
            },
            "sources": {
                "gateway": {"format": "generic", "mapping": mapping},
                "vault": {"format": "openbao", "point": "vault"},
                "keycloak": {"format": "keycloak"},
            },
            "ssf": {"idp": _stream(folder)},
            **self.plain.get("settings", {}),
        })  # fmt: skip

    async def play(
        self,
        engine: Engine,
        clock: Clock,
        repository: Path,
    ) -> None:
        """Send the steps to an engine, each after the last one is worked off."""
        async with aiohttp.ClientSession() as session:
            for step in self.plain["steps"]:
                clock.step += step.keys().isdisjoint(LOOKS)
                if "wait" in step:
                    clock.waited += step["wait"]
                    await engine.settled()
                    continue
                if "receipt" in step or not step.keys().isdisjoint(LOOKS):
                    await engine.settled()
                    await _act(step, engine, clock)
                    await engine.settled()
                    continue
                if "adopt" in step:
                    path, token = "/v1/adopt", "restorer"
                    data = orjson.dumps({"credentials": step["adopt"]})
                elif "revoke" in step:
                    at = step["at"]
                    at = at if isinstance(at, str) else at.isoformat()
                    path, token = "/v1/revocations", "revoker"
                    data = orjson.dumps({"identifier": step["revoke"], "at": at})
                elif "user" in step:
                    path, token = "/scim/v2/Users", "directory"
                    data = orjson.dumps(step["user"])
                elif "set" in step:
                    path, token = "/v1/ssf/push/idp", step.get("token", "signals")
                    data = signed(**step["set"])
                else:
                    token = step["token"]
                    path = f"/v1/events/{step.get('source', 'gateway')}"
                    data = _bytes(step, repository, engine)
                headers = {"Authorization": f"Bearer {token}"}
                for kind, media in MEDIA_TYPES.items():
                    if kind in step:
                        headers["Content-Type"] = media
                async with session.post(
                    engine.url + path, data=data, headers=headers
                ) as got:
                    assert got.status in (200, 201, 202), await got.text()
                await engine.settled()

    def check(self, outcome: Outcome) -> None:
        """Compare an outcome with what the file says."""
        verdicts = {row[0]: row[1] for row in outcome.rows}
        plain = self.plain
        for allowed, name in ((False, "dead"), (True, "alive")):
            found = {one: verdicts.get(one) for one in plain[name]}
            assert dict.fromkeys(plain[name], allowed) == found
        if not plain.get("compared_only"):
            given = plain["findings"]
            wanted = sorted((k, i, tuple(ids), *end) for k, i, ids, *end in given)
            found_ = sorted(
                (f[0], f[1], f[5], *filter(None, f[-1:])) for f in outcome.findings
            )
            assert wanted == found_, found_
        if "undeclared" in plain:
            assert plain["undeclared"] == [
                [one["identifier"], one["points"]] for one in outcome.undeclared
            ]


def _stream(folder: Path) -> dict[str, Any]:
    """Give the settings of a stream whose SETs `signed` makes, and write its keys."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "jwks.json"
    file.write_bytes(jwks(old=OLD))
    return {"issuer": ISSUER, "audience": [AUDIENCE], "jwks": str(file)}


def _bytes(step: dict[str, Any], repository: Path, engine: Engine) -> bytes:
    """Give the events of a step; END in them stands for how long the log is now."""
    if "file" in step:
        sample: Path = repository / step["file"]
        return sample.read_bytes()
    lines: list[bytes] = [orjson.dumps(event) + b"\n" for event in step["events"]]
    data = b"".join(lines)
    if b'"END"' in data:
        return data.replace(b'"END"', b"%d" % engine.end())
    return data


def _time(value: Any) -> int | None:
    return parse_time(value if isinstance(value, str | None) else value.isoformat())


def _finding(found: dict[str, Any]) -> tuple[Any, ...]:
    names = ("kind", "presented", "point", "cause", "via")
    lasts = FindingKind(found["kind"]) in POSTURE
    return (
        *(found[name] for name in names),
        tuple(sorted(found["event_ids"])),
        tuple(sorted(found["related"])),
        tuple(found["path"]),
        *(parse_time(found[name]) for name in ("first_seen", "last_seen")),
        *(found[name] for name in ("count", "owner", "severity")),
        ("open" if found["open"] else "over") if lasts else None,
    )


class Engine(Protocol):
    """What a case is played on."""

    @property
    def url(self) -> str:
        """Give where events go."""
        ...

    def end(self) -> int:
        """Give how long the log is."""
        ...

    async def settled(self) -> None:
        """Wait until all is worked off."""
        ...

    async def report(self, guard: str, at: int, applied: bool) -> None:
        """Have a guard register, and perhaps say that it applied all there is."""
        ...


@define
class EmbeddedEngine:
    """A server, and guards that speak over its feed."""

    served: Served
    guards: dict[str, Receipts] = field(factory=dict)

    @property
    def url(self) -> str:
        """Give where events go."""
        return self.served.url

    def end(self) -> int:
        """Give how long the log is."""
        return self.served.feed.end

    async def settled(self) -> None:
        """Wait until all is worked off."""
        await until(lambda: self.served.stages.idle)

    async def report(self, guard: str, at: int, applied: bool) -> None:
        """Say it over a connection; the guard stays a member when that ends."""
        receipts = self.guards.setdefault(guard, Receipts(guard, "i", TERMS))
        receipts._wall = lambda: at
        headers = {"Authorization": "Bearer guard"}
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{self.url}/v1/feed", headers=headers) as socket,
        ):
            hello = {"type": "hello", "guard": guard, "receipt": receipts.registered()}
            await socket.send_json(hello)
            wire = Wire(socket)
            assert "registered" == await wire.hear()
            if applied:
                said = receipts.applied(self.served.genesis, self.end())
                await wire.send("receipt", said)


@define
class KafkaEngine:
    """A pipeline, and guards that write to the topic ``receipts``."""

    run: Pipeline
    guards: dict[str, LogReceipts] = field(factory=dict)
    at: int = 0

    @property
    def url(self) -> str:
        """Give where events go."""
        return self.run.ingress.url

    def end(self) -> int:
        """Give how far the sentinel has read the log."""
        sentinel = self.run.working.process.sentinel
        return 0 if sentinel is None else sentinel.replica.position("default")

    async def settled(self) -> None:
        """Wait until all is worked off."""
        await self.run.settled()

    async def report(self, guard: str, at: int, applied: bool) -> None:
        """Write a receipt as a guard that reads Kafka does."""
        sentinel = self.run.working.process.sentinel
        assert sentinel is not None
        self.at = at
        number = partition_of("default", self.run.kafka.partitions)
        receipts = self.guards.setdefault(
            guard,
            LogReceipts(
                ("default", guard, "i"),
                TERMS,
                codec=bundled(),
                wall_clock=lambda: self.at,
            ),
        )
        said = (sentinel.replica.partitions[number].genesis, self.end())
        values = [receipts.record("registered", number, None)]
        if applied:
            values.append(receipts.record("applied", number, said))
        producer = AIOKafkaProducer(**self.run.kafka.client())
        async with producer:
            for value in values:
                await producer.send_and_wait(
                    self.run.kafka.topic("receipts"), value, key=receipts.key,
                    partition=number, timestamp_ms=at // 1_000_000,
                )  # fmt: skip


async def _get(url: str, path: str) -> Any:
    headers = {"Authorization": "Bearer viewer"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(url + path) as got,
    ):
        return await got.json()


async def _act(step: dict[str, Any], engine: Engine, clock: Clock) -> None:
    """Have a guard report, or wait for what a step waits for."""
    if "receipt" in step:
        said_at = _time(step.get("at")) or clock()
        await engine.report(step["receipt"], said_at, "applied" in step)
    else:
        await until(partial(_reached, engine.url, step))


async def _reached(url: str, step: dict[str, Any]) -> bool:
    """Tell whether containment looks, or findings of some kinds are told so often."""
    if "ready" in step:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{url}/metrics") as got,
        ):
            return "rescind_containment_behind_seconds " in await got.text()
    listed = await _get(url, "/v1/findings?limit=100000")
    counts = Counter(each["kind"] for each in listed["findings"])
    return all(counts[kind] >= count for kind, count in step["told"].items())


async def _undeclared(url: str) -> list[dict[str, Any]]:
    told = await _get(url, "/v1/inventory")
    found = told["undeclared"]
    # Each name is listed once.
    assert {one["identifier"] for one in found}.isdisjoint(told["unmapped"])
    return sorted(found, key=lambda one: str(one["identifier"]))


async def on_embedded(case: Case, folder: Path, repository: Path) -> Outcome:
    """Run a case on the embedded engine."""
    clock = case.clock
    settings = case.settings(folder, repository)

    async with task_of(
        lambda stop, told: serve(
            settings, stop=stop, started=told, clock=clock, fresh_id=clock.fresh_id
        )
    ) as served:
        await case.play(EmbeddedEngine(served), clock, repository)
        table = await _get(served.url, f"/v1/table?now={case.clock.now}")
        findings = await _get(served.url, "/v1/findings?limit=100000")
        undeclared = await _undeclared(served.url)
    found = sorted(map(_finding, findings["findings"]), key=str)
    return Outcome(table["rows"], found, undeclared)


@asynccontextmanager
async def _kafka(
    case: Case, clock: Clock, folder: Path, repository: Path, kafka: KafkaSettings
) -> AsyncIterator[Pipeline]:
    settings = case.settings(folder, repository)
    worker = WorkerSettings(name="w0", data_dir=folder / "worker")
    async with (
        task_of(
            lambda stop, told: work(
                settings, kafka, worker, stop=stop, started=told, clock=clock
            )
        ) as working,
        task_of(
            lambda stop, told: receive(
                settings, kafka, "i0", stop=stop, started=told, clock=clock
            )
        ) as receiving,
        aiohttp.ClientSession() as session,
    ):
        yield Pipeline(kafka, receiving, working, session)


async def with_ends(kafka: KafkaSettings) -> list[dict[str, Any]]:
    """Give the last record of each finding, with whether it is open."""
    last = {
        record.key: bundled().decode(record.value).record
        | {"open": dict(record.headers)[OPEN] == b"1"}
        for record in await records(kafka, "findings")
    }
    return list(last.values())


async def on_kafka(
    case: Case,
    folder: Path,
    repository: Path,
    kafka: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> Outcome:
    """Run a case on a real broker; its topics must be there."""
    clock = case.clock
    monkeypatch.setattr(ingress, "_fresh_id", clock.fresh_id)
    async with _kafka(case, clock, folder, repository, kafka) as run:
        await case.play(KafkaEngine(run), clock, repository)
        rows = await run.table(case.clock.now)
        undeclared = await _undeclared(run.working.url)
    findings = await with_ends(kafka)
    return Outcome(rows, sorted(map(_finding, findings), key=str), undeclared)
