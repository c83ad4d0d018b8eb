"""One seeded run of the crash test: a script of events, a kill, a restart, checks."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import signal
import sqlite3
from collections import defaultdict
from contextlib import asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING, Any

import aiohttp
from attrs import define, field

from agents_registry.death import death
from agents_registry.facts import Fact, fact_id
from agents_registry.identifiers import Identifier
from agents_registry.inventory import table
from agents_registry.registry import Registry
from schemas.codec import decode_fact
from streams.engines.embedded.fact_rows import all_facts
from streams.http.table_answers import table_row
from streams.model.times import SECOND
from streams.observability.failpoints import POINTS
from streams.pollers.logfiles import FilePlace
from streams.services.audit_heads import head_reader, public_key
from streams.sources.aws.cloudtrail import CloudTrail
from streams.stages.audit.proof import ChainVerifier
from streams.stages.ingest.admission import Admission, Entitlements, admit
from streams.stages.ingest.entitlement import Grant
from streams.stages.ingest.ingress import Origin
from tests.integration import crash_child
from tests.integration.forked import preload, start
from tests.integration.serving import (
    Receiver,
    created_key,
    deleted_key,
    until,
    used_key,
    values,
    webhook,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

NOW = 1_800_000_000 * SECOND
START_POINTS = ("start.schema", "start.loaded")
HUNG = 60.0
PATIENCE = 10.0  # until a server that did not die where it should is killed

preload(crash_child)


@define
class Run:
    """What one run sends, what was acknowledged, and what it checks.

    Attributes:
        posts: token and body of ``POST /v1/events``, each a CloudTrail file; one is
            of an authority that may not say it.
        watched: lines of the followed file.
        revoked: keys that an operator revokes.
        acknowledged: numbers of the posts that were answered 202.
        causes: ids of the revocations that were answered 201.
    """

    seed: int
    folder: Path
    receiver: Receiver
    posts: list[tuple[str, bytes]] = field(factory=list)
    watched: list[bytes] = field(factory=list)
    revoked: list[str] = field(factory=list)
    acknowledged: set[int] = field(factory=set)
    causes: set[str] = field(factory=set)
    reached: bool = False

    @property
    def rng(self) -> random.Random:
        """Give the run's own randomness."""
        return random.Random(self.seed)

    @property
    def point(self) -> str:
        """Give the failpoint of this run."""
        return POINTS[self.seed % len(POINTS)]

    @property
    def log(self) -> Path:
        """Give the followed file."""
        return self.folder / "trail.log"

    def settings(self) -> dict[str, Any]:
        """Give the settings of the server."""
        watch = {"path": str(self.log), "source": "cloudtrail", "authority": "aws",
                 "poll_seconds": 0.005}  # fmt: skip
        return values(
            self.folder,
            watch=[watch],
            webhook=webhook(self.receiver),
            ready_file=str(self.folder / "ready"),
        )

    def write_script(self) -> None:
        """Make the events: keys that are made, used, deleted and used again."""
        rng = self.rng
        events = []
        for number in range(rng.randint(4, 8)):
            key = f"AKIA{self.seed:08d}{number:08d}"
            user = f"user{number % 3}"
            name = f"{self.seed}-{number}"
            events.append(created_key(key, user, "2026-01-01T10:00:00Z", f"{name}-c"))
            events.append(used_key(key, user, "2026-01-01T11:00:00Z", f"{name}-u"))
            if rng.random() < 0.6:
                at = "2026-01-01T12:00:00Z"
                events.append(deleted_key(key, user, at, f"{name}-d"))
            elif rng.random() < 0.5:
                self.revoked.append(key)
            for use in range(rng.randint(0, 2)):
                error = rng.choice([None, "InvalidClientTokenId"])
                at = f"2026-01-01T13:0{use}:00Z"
                events.append(used_key(key, user, at, f"{name}-l{use}", error))
        rng.shuffle(events)
        if (self.seed // len(POINTS)) % 2:
            # With nothing after it, no later fact makes good what a cause lost.
            events.sort(key=lambda event: event["eventName"] == "DeleteAccessKey")
        split = rng.randint(1, len(events) // 3)
        self.watched = [json.dumps(e).encode() + b"\n" for e in events[:split]]
        rest = events[split:]
        while rest:
            size = rng.randint(1, 4)
            body = json.dumps({"Records": rest[:size]}).encode()
            self.posts.append(("aws", body))
            rest = rest[size:]
        key = f"AKIA{self.seed:08d}{0:08d}"
        alien = deleted_key(key, "user0", "2026-01-01T10:30:00Z", "alien")
        place = rng.randrange(len(self.posts))
        self.posts.insert(place, ("stranger", json.dumps(alien).encode()))

    async def play(self) -> None:
        """Send the script, die somewhere, come back, send the rest, and check."""
        self.write_script()
        count = self.rng.randint(1, 4)
        armed = f"{self.point}:{count}"
        at_start = self.point in START_POINTS
        await self.attempt("" if at_start else armed)
        if at_start:
            await self.attempt(self.point)
        await self.finish()

    async def finish(self) -> None:
        """Come back, send the rest, and check."""
        async with self.server("") as (process, url):
            await self.send(url)
            self.write_log(len(self.watched))
            await self.check(url, process)
            assert process.pid is not None
            process.terminate()
            process.join(HUNG)
            assert process.exitcode == 0, process.exitcode
        self.check_log_and_alerts()

    async def attempt(
        self, failpoint: str, *, surely: bool = False, goes_on: bool = False
    ) -> None:
        """Run a server that dies by its failpoint, or else by our hand.

        Args:
            failpoint: where to die, empty for nowhere.
            surely: the script reaches the point, perhaps only after all it waits for.
            goes_on: operators revoke again until it does.
        """
        async with self.server(failpoint) as (process, url):
            gone = not url
            if url:
                await self.send(url)
                try:
                    await self.worked_off(url, process, PATIENCE)
                except TimeoutError:
                    pass
                except aiohttp.ClientError:
                    gone = True
            while goes_on and url and process.is_alive():
                async with aiohttp.ClientSession() as session:
                    with suppress(aiohttp.ClientError):
                        await self.revoke(session, url)
                await asyncio.sleep(0.05)
            if gone or surely:
                # Its connections end a little before it counts as dead.
                await until(lambda: not process.is_alive(), HUNG)
            self.reached |= bool(failpoint) and not process.is_alive()

    @asynccontextmanager
    async def server(self, failpoint: str) -> AsyncIterator[tuple[Any, str]]:
        """Run a server process; its URL is empty when it died before it served."""
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        process = start(crash_child, self.settings(), failpoint)
        try:

            def url() -> str | None:
                if ready.exists() and (text := ready.read_text("utf-8").strip()):
                    return text
                return None if process.is_alive() else "dead"

            found = await until(url)
            yield process, "" if found == "dead" else found
        finally:
            if process.is_alive():
                process.kill()
            process.join(HUNG)
            assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
            process.close()

    async def send(self, url: str) -> None:
        """Send what is not acknowledged yet, until done or the server is gone."""
        timeout = aiohttp.ClientTimeout(total=HUNG)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            asyncio.TaskGroup() as tasks,
        ):
            guard = tasks.create_task(listen(session, url))
            self.write_log(len(self.watched) // 2)
            waiting = [n for n in range(len(self.posts)) if n not in self.acknowledged]
            with suppress(aiohttp.ClientError):
                for start in range(0, len(waiting), 2):
                    pair = waiting[start : start + 2]
                    await asyncio.gather(*(self.post(session, url, n) for n in pair))
                    if start == 0:
                        await self.revoke(session, url)
            self.write_log(len(self.watched))
            guard.cancel()

    async def post(self, session: aiohttp.ClientSession, url: str, number: int) -> None:
        """Post one body; note the acknowledgement."""
        token, body = self.posts[number]
        headers = {"Authorization": f"Bearer {token}"}
        path = f"{url}/v1/events/cloudtrail"
        async with session.post(path, data=body, headers=headers) as response:
            assert response.status == 202, await response.text()
            self.acknowledged.add(number)

    async def revoke(self, session: aiohttp.ClientSession, url: str) -> None:
        """Revoke as an operator; note the ids that were answered."""
        headers = {"Authorization": "Bearer revoker"}
        for key in self.revoked:
            body = {"identifier": f"aws.access_key:{key}",
                    "at": "2026-01-01T12:30:00Z"}  # fmt: skip
            async with session.post(
                f"{url}/v1/revocations", json=body, headers=headers
            ) as response:
                assert response.status == 201, await response.text()
                self.causes.add((await response.json())["id"])

    def write_log(self, lines: int) -> None:
        """Let the followed file have this many lines."""
        written = self.log.read_bytes().count(b"\n") if self.log.exists() else 0
        with self.log.open("ab") as file:  # a log is never written anew
            file.write(b"".join(self.watched[written:lines]))

    async def worked_off(
        self, url: str, process: Any, seconds: float
    ) -> list[dict[str, Any]]:
        """Wait until everything is taken in, judged and told, or the server is dead.

        Returns:
            The findings; none of a server that is dead.
        """
        headers = {"Authorization": "Bearer viewer"}
        async with aiohttp.ClientSession(headers=headers) as session:

            async def idle() -> bool:
                async with session.get(f"{url}/metrics") as response:
                    return (
                        'rescind_lag_records{stage="stages"} 0.0'
                        in await response.text()
                    )

            async def dead_or(condition: Callable[[], Any]) -> bool:
                if not process.is_alive():
                    return True
                result = condition()
                return bool(await result if asyncio.iscoroutine(result) else result)

            await until(lambda: dead_or(self.file_read), seconds)
            # What is committed counts as backlog once the server was told of it, and
            # it is told in order: after the answer to one more write.
            await self.write_nothing(session, url)
            await until(lambda: dead_or(idle), seconds)
            async with session.get(f"{url}/v1/findings") as response:
                findings: list[dict[str, Any]] = (await response.json())["findings"]
            told = {f"{f['id']}.1" for f in findings if f["severity"] > 1}
            got = self.receiver.got
            await until(
                lambda: dead_or(lambda: told <= {identity for identity, _ in got}),
                seconds,
            )
        return findings

    async def write_nothing(self, session: aiohttp.ClientSession, url: str) -> None:
        """Have an empty batch committed."""
        headers = {"Authorization": "Bearer aws"}
        path = f"{url}/v1/events/cloudtrail"
        data = b'{"Records": []}'
        async with session.post(path, data=data, headers=headers) as response:
            assert response.status == 202, await response.text()

    async def check(self, url: str, process: Any) -> None:
        """Check the living server: table and findings against a naive model."""
        findings = await self.worked_off(url, process, HUNG)
        headers = {"Authorization": "Bearer viewer"}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.get(f"{url}/v1/table?now={NOW}") as response:
                answer = await response.json()
            async with session.get(f"{url}/v1/audit") as response:
                self.check_audit((await response.json())["lines"])
        facts = self.facts()
        model = Registry.build(facts)
        assert [table_row(row) for row in table(model, NOW)] == answer["rows"]
        self.check_findings(model, findings)
        self.check_invalidations(model)

    def check_findings(self, model: Registry, findings: list[dict[str, Any]]) -> None:
        """Every use of a dead key is in a finding, once, and no other use is."""
        expected: dict[str, set[str | None]] = defaultdict(set)
        for use in self.admitted().accesses:
            key = use.identifiers[0]
            if death(model, key, at=use.at) is not None:
                expected[str(key)].add(use.event_id)
        reported: dict[str, set[str | None]] = defaultdict(set)
        for finding in findings:
            if finding["cause"] is not None:
                ids = reported[finding["presented"]]
                assert not ids & {*finding["event_ids"]}
                ids |= {*finding["event_ids"]}
                assert finding["count"] == len(finding["event_ids"])
        assert dict(expected) == dict(reported)

    def check_invalidations(self, model: Registry) -> None:
        """Id-only subscribers were told of everything dead, of each cause once."""
        dead = {
            str(row.identifier)
            for row in table(model, NOW)
            if death(model, row.identifier) is not None
        }
        told = self.query("SELECT identifier, cause FROM invalidations")
        assert dead == {identifier for identifier, _ in told}
        assert len(told) == len(set(told))

    def check_audit(self, lines: list[dict[str, Any]]) -> None:
        """Hold the audit chain: it has every fact, once and in order (I7)."""
        public = self.folder / "data" / "audit.pub"
        read_head = head_reader([public_key(public.read_bytes())])
        verifier = ChainVerifier(read_head, decode_fact)
        for line in lines:
            verifier.take(line)
        verifier.end()
        chained = [line["entry"]["offset"] for line in lines if "fact" in line]
        assert chained == list(range(len(self.facts())))

    def file_read(self) -> bool:
        """Tell whether the followed file was taken in whole."""
        rows = self.query("SELECT body FROM kept WHERE kind = 'place'")
        found = [FilePlace.load(body).position for (body,) in rows]
        return [self.log.stat().st_size] == found

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """Ask the server's file."""
        path = self.folder / "data" / "rescind.db"
        database = sqlite3.connect(path)
        try:
            return database.execute(text).fetchall()
        finally:
            database.close()

    def facts(self) -> list[Fact]:
        """Read the log; offsets have no gaps."""
        path = self.folder / "data" / "rescind.db"
        with closing(sqlite3.connect(path)) as database:
            rows = list(all_facts(database))
        assert [row.offset for row in rows] == list(range(len(rows)))
        return [decode_fact(row.value) for row in rows]

    def admitted(self) -> Admission:
        """Say what all the events of the script mean."""
        data = [
            *(body for token, body in self.posts if token == "aws"),
            b"".join(self.watched),
        ]
        records = [r for each in data for r in CloudTrail().records(each)]
        origin = Origin("aws", "default", NOW, "aws", 1, issuer_log=True)
        return admit(records, origin, Entitlements((Grant("aws.*"),)), fresh="")

    def check_log_and_alerts(self) -> None:
        """Check the file: all that was acknowledged is there, and nothing else."""
        facts = self.facts()
        logged = {fact_id(f).hex() for f in facts if f.authority != "operators"}
        wanted = {fact_id(f).hex() for f in self.admitted().facts}
        assert wanted == logged
        by_operators = {fact_id(f).hex() for f in facts if f.authority == "operators"}
        assert self.causes <= by_operators
        keys = {Identifier("aws.access_key", key) for key in self.revoked}
        assert {getattr(f, "target", None) for f in facts
                if f.authority == "operators"} <= keys  # fmt: skip
        bodies: dict[str, set[str]] = defaultdict(set)
        for identity, body in self.receiver.got:
            bodies[identity].add(json.dumps(body, sort_keys=True))
        assert all(len(same) == 1 for same in bodies.values())


async def listen(session: aiohttp.ClientSession, url: str) -> None:
    """Be a guard that is connected as long as the server lives."""
    headers = {"Authorization": "Bearer guard"}
    with suppress(aiohttp.ClientError, aiohttp.WSMessageTypeError):
        async with session.ws_connect(f"{url}/v1/feed", headers=headers) as socket:
            hello = {"type": "hello", "guard": "g", "genesis": None, "position": None}
            await socket.send_json(hello)
            sequence = itertools.count()
            while not socket.closed:
                await socket.send_json({"type": "ping", "seq": next(sequence)})
                while (await socket.receive_json())["type"] != "pong":
                    pass
