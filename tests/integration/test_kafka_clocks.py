"""A process whose clock is wrong, on a real broker: nothing is lost, nothing denied."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from enforcement.clocks import boottime
from streams.engines.kafka.clock.cluster_clock import ClusterClock
from streams.model.times import SECOND, rfc3339
from tests.campaigns import some
from tests.integration.serving import created_key, receiving, until, used_key
from tests.integration.test_kafka_notify import notifying
from tests.integration.working import decoded, lay_out, pipeline, worker
from tests.unit.openbao_lines import auth, line

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

HOUR = 3600 * SECOND
KEY = "AKIAEXAMPLE000000001"
USES = 14
AUTHORITIES: dict[str, Any] = {
    "aws": {"grants": [{"kind": "aws.*"}, {"kind": "vault.*"}], "issuer_log": True},
    "stranger": {"grants": [{"kind": "jwt.jti"}]},
}


def clock_off_by(shift: int) -> ClusterClock:
    """Give the clock of a process on a machine whose wall clock is wrong."""
    return ClusterClock(lambda: time.time_ns() + shift, boottime)


def at(seconds: float) -> str:
    """Give a time by the true clock."""
    return rfc3339(time.time_ns() + round(seconds * SECOND)) or ""


def whole(seconds: float) -> str:
    """Give a time by the true clock as CloudTrail writes it."""
    return f"{at(seconds)[:19]}Z"


def token_renewed() -> bytes:
    """Give the lines of a token that lives since it was renewed."""
    caller = auth("root")
    made, renewed = (auth("t", token_ttl=ttl) for ttl in (60, 7200))
    lines = [
        line("auth/token/create", caller, response={"auth": made}),
        line("auth/token/renew-self", made, response={"auth": renewed}),
    ]
    for number, one in enumerate(lines):
        one |= {"time": at(50 * number - 100)}
        one["request"]["id"] = f"call-{number}"
    return "".join(f"{json.dumps(one)}\n" for one in lines).encode()


@pytest.mark.parametrize(
    "shift",
    some([HOUR, -HOUR, 30 * HOUR], [HOUR], pytest.mark.long),
    ids=["1h", "-1h", "30h"],
)
async def test_an_ingress_with_a_wrong_clock_loses_and_denies_nothing(
    tmp_path: Path, kafka_settings: KafkaSettings, shift: int
) -> None:
    """Its times are the brokers'; it says that its clock is wrong, and is not ready."""
    await lay_out(kafka_settings)
    wrong = clock_off_by(shift)
    async with pipeline(
        tmp_path, kafka_settings, clock=wrong, authorities=AUTHORITIES
    ) as run:
        status, _ = await run.post("/v1/events/vault", "aws", token_renewed())
        assert status == 202
        made = created_key(KEY, "bob", whole(-600), "made")
        body = json.dumps({"Records": [made]}).encode()
        assert 202 == (await run.post("/v1/events/cloudtrail", "aws", body))[0]
        revoked = {"identifier": f"aws.access_key:{KEY}", "reason": "test"}
        assert 201 == (await run.post("/v1/revocations", "revoker", revoked))[0]
        used = [used_key(KEY, "bob", whole(5 + n), f"u{n}") for n in range(USES)]
        body = json.dumps({"Records": used}).encode()
        assert 202 == (await run.post("/v1/events/cloudtrail", "aws", body))[0]
        await run.settled()
        rows = {row[0]: row[1:3] for row in await run.table(time.time_ns())}
        found = await decoded(kafka_settings, "findings")
        await said(run.session, run.ingress.url, shift)
    counts = {
        each["kind"]: each["count"] for each in found if KEY in str(each["presented"])
    }
    assert {"use_after_revocation": USES} == counts
    tokens = {name: row for name, row in rows.items() if name.startswith("vault.acc")}
    assert tokens, rows
    assert all(allowed for allowed, _ in tokens.values()), tokens


async def test_who_writes_no_heartbeats_measures_by_those_of_others(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """A sentinel and a notify process say it, and go by the brokers' time."""
    shift = HOUR
    await lay_out(kafka_settings)
    async with (
        pipeline(tmp_path, kafka_settings),
        receiving() as receiver,
        aiohttp.ClientSession() as session,
    ):
        sentinel, notify = clock_off_by(shift), clock_off_by(shift)
        stages = frozenset({"sentinel", "closure"})
        own = tmp_path / "own"
        async with (
            worker(own, kafka_settings, "w1", clock=sentinel, stages=stages) as working,
            notifying(own, kafka_settings, receiver, notify, "n1") as telling,
        ):
            for clock in (sentinel, notify):
                assert abs(clock() - time.time_ns()) < SECOND
            for url in (working.url, telling.url):
                await said(session, url, shift)
                # A wrong clock restarts nothing.
                await until(partial(started, session, url))


async def started(session: aiohttp.ClientSession, url: str) -> bool:
    """Tell whether a process says that it has started."""
    async with session.get(f"{url}/healthz/startup") as got:
        return got.status == 200


async def said(session: aiohttp.ClientSession, url: str, shift: int) -> None:
    """Find what a process says of its clock."""

    async def unready() -> str | None:
        async with session.get(f"{url}/healthz/ready") as got:
            text = await got.text()
            return text if got.status == 503 and "clock" in text else None

    direction = "ahead of" if shift > 0 else "behind"
    assert f"s {direction} the brokers'" in await until(unready)
    async with session.get(f"{url}/metrics") as got:
        (told,) = (
            one.split()[1]
            for one in (await got.text()).splitlines()
            if one.startswith("rescind_clock_offset_seconds ")
        )
    assert abs(float(told) - shift / SECOND) < 2
