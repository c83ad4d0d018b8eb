"""One revocation through the embedded server: events in, denial and alert out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import fact_id
from enforcement.guard import Guard
from streams.model.findings import Severity
from tests.integration.serving import (
    Server,
    created_key,
    deleted_key,
    listed,
    receiving,
    running,
    until,
    used_key,
    webhook,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

KEY, USER = "AKIAEXAMPLE000000001", "builder"
CREATED = "2026-01-01T10:00:00Z"
DELETED = "2026-01-01T12:00:00Z"
LATER = "2026-01-01T12:30:00Z"


def lines(*events: dict[str, Any]) -> bytes:
    """Write events as a CloudTrail file."""
    return json.dumps({"Records": list(events)}).encode()


async def send(server: Server, *events: dict[str, Any]) -> dict[str, Any]:
    """Post CloudTrail events that must be accepted."""
    status, answer = await server.post("/v1/events/cloudtrail", "aws", lines(*events))
    assert status == 202, answer
    return dict(answer)


async def test_denies_at_a_guard_what_an_operator_revoked(tmp_path: Path) -> None:
    """A guard allows a known key until the revocation is answered, then denies."""
    async with running(tmp_path) as server:
        await send(server, created_key(KEY, USER, CREATED, "e1"))
        async with Guard(server.url, "guard", name="g1") as guard:
            await until(lambda: guard.check(f"aws.access_key:{KEY}").allowed)
            body = {"identifier": f"aws.access_key:{KEY}", "reason": "leaked"}
            status, answer = await server.post("/v1/revocations", "revoker", body)

            assert status == 201
            await until(lambda: not guard.check(f"aws.access_key:{KEY}").allowed)
            verdict = guard.check(f"aws.access_key:{KEY}")
            assert verdict.cause is not None
            assert answer["id"] == verdict.cause.fact_id


async def test_alerts_a_use_after_the_revocation_once(tmp_path: Path) -> None:
    """The receiver gets one alert for a key that is used after its deletion."""
    async with (
        receiving() as receiver,
        running(tmp_path, webhook=webhook(receiver)) as server,
    ):
        await send(server, created_key(KEY, USER, CREATED, "e1"))
        await send(server, deleted_key(KEY, USER, DELETED, "e2"))
        await send(server, used_key(KEY, USER, LATER, "e3", "InvalidClientTokenId"))
        await until(lambda: receiver.got)

        blocked = [f for f in await server.findings() if f["kind"] == "blocked_attempt"]
        assert [f"aws.access_key:{KEY}"] == [f["presented"] for f in blocked]
        assert ["e3"] == blocked[0]["event_ids"]
        told = [i for i, body in receiver.got if blocked[0]["id"] in json.dumps(body)]
        assert [f"{blocked[0]['id']}.1"] == told


@pytest.mark.parametrize("order", ["use first", "cause first"])
async def test_joins_in_both_directions(tmp_path: Path, order: str) -> None:
    """A use is condemned whether the log shows it before or after the deletion."""
    use = used_key(KEY, USER, LATER, "e3")
    end = deleted_key(KEY, USER, DELETED, "e2")
    batches = [use, end] if order == "use first" else [end, use]
    async with running(tmp_path) as server:
        await send(server, created_key(KEY, USER, CREATED, "e1"))
        for batch in batches:
            await send(server, batch)
            await until(lambda: server.served.stages.idle)

        found = [f for f in await server.findings() if f["cause"]]
        assert [("use_after_revocation", 1, ["e3"])] == [
            (f["kind"], f["count"], f["event_ids"]) for f in found
        ]
        (told,) = found
        assert "iam.amazonaws.com:DeleteAccessKey" == told["reason"]
        assert "source" == told["late_by"]
        assert Severity.HIGH == told["severity"]
        assert "aws.user:arn:aws:iam::111122223333:user/admin" == told["ended_by"]
        assert ("192.0.2.1", "aws-cli/2") == (told["address"], told["user_agent"])


async def test_repeats_change_nothing(tmp_path: Path) -> None:
    """The same file twice gives no new fact and counts no use twice."""
    events = [
        created_key(KEY, USER, CREATED, "e1"),
        deleted_key(KEY, USER, DELETED, "e2"),
        used_key(KEY, USER, LATER, "e3"),
    ]
    async with running(tmp_path) as server:
        first = await send(server, *events)
        again = await send(server, *events)
        await until(lambda: server.served.stages.idle)

        assert first["facts"] > 0
        assert again["facts"] == 0
        assert first["token"] == again["token"]
        assert [1] == [f["count"] for f in await server.findings() if f["cause"]]


async def test_refuses_and_reports_a_source_without_authority(tmp_path: Path) -> None:
    """A revocation from an authority without grants stays out, and is a finding."""
    async with running(tmp_path) as server:
        await send(server, created_key(KEY, USER, CREATED, "e1"))
        body = lines(deleted_key(KEY, USER, DELETED, "e2"))
        status, answer = await server.post("/v1/events/cloudtrail", "stranger", body)
        await until(lambda: server.served.stages.idle)
        _, why = await server.get(f"/v1/why/aws.access_key:{KEY}")
        _, letters = await server.get("/v1/dlq")

        assert (202, 0) == (status, answer["facts"])
        assert not why["dead"]
        assert "unauthorised" in {f["kind"] for f in await server.findings()}
        assert any("stranger" in d["reason"] for d in letters["dead_letters"])


async def test_keeps_state_over_a_restart(tmp_path: Path) -> None:
    """Table, findings and log are the same after a restart."""
    async with running(tmp_path) as server:
        await send(server, created_key(KEY, USER, CREATED, "e1"))
        await send(server, used_key(KEY, USER, LATER, "e3"))
        await send(server, deleted_key(KEY, USER, DELETED, "e2"))
        await until(lambda: server.served.stages.idle)
        _, before = await server.get("/v1/table?now=1800000000000000000")
        found = await server.findings()
    async with running(tmp_path) as server:
        _, after = await server.get("/v1/table?now=1800000000000000000")

        assert before == after
        assert found == await server.findings()


async def test_adopts_what_exists_already(tmp_path: Path) -> None:
    """A declared credential is known and hangs on its declared parent."""
    entry = {
        "identifier": "aws.access_key:AKIAOLD0000000000001",
        "issued_at": "2020-01-01T00:00:00Z",
        "parents": ["aws.user:arn:aws:iam::111122223333:user/old"],
    }
    async with running(tmp_path) as server:
        body = {"credentials": [entry]}
        status, _ = await server.post("/v1/adopt", "restorer", body)
        revocation = {"identifier": entry["parents"][0]}
        await server.post("/v1/revocations", "revoker", revocation)
        await until(lambda: server.served.stages.idle)
        _, why = await server.get(f"/v1/why/{entry['identifier']}")

        assert status == 201
        assert ("not_before", "ancestor") == (why["reason"], why["via"])


async def test_follows_a_growing_file_without_loss_or_repeat(tmp_path: Path) -> None:
    """Complete lines are taken in once, over a restart, and half a line waits."""
    log = tmp_path / "trail.log"
    first = json.dumps(created_key(KEY, USER, CREATED, "e1")) + "\n"
    second = json.dumps(deleted_key(KEY, USER, DELETED, "e2")) + "\n"
    log.write_text(first + second[:50])
    watch = [{"path": str(log), "source": "cloudtrail", "authority": "aws",
              "poll_seconds": 0.01}]  # fmt: skip
    async with running(tmp_path, watch=watch) as server:
        path = f"/v1/why/aws.access_key:{KEY}"

        async def known() -> bool:
            _, why = await server.get(path)
            return bool(why["reason"] == "lives")

        await until(known)
    with log.open("a") as file:
        file.write(second[50:])
    async with running(tmp_path, watch=watch) as server:

        async def dead() -> bool:
            _, why = await server.get(path)
            return bool(why["dead"])

        await until(dead)
        _, letters = await server.get("/v1/dlq")

        assert letters["dead_letters"] == []


async def test_lists_every_descendant_of_a_cause(tmp_path: Path) -> None:
    """Id-only subscribers get each condemned identifier once, with the cause."""
    user = f"arn:aws:iam::111122223333:user/{USER}"
    names = [f"aws.access_key:AKIA{n:016d}" for n in range(2500)]
    async with running(tmp_path) as server:
        credentials = [
            {"identifier": name, "parents": [f"aws.user:{user}"],
             "issued_at": "2020-01-01T00:00:00Z"}
            for name in names
        ]  # fmt: skip
        await server.post("/v1/adopt", "restorer", {"credentials": credentials})
        body = {"identifier": f"aws.user:{user}"}
        _, answer = await server.post("/v1/revocations", "revoker", body)
        await until(lambda: server.served.stages.idle)
        rows = await listed(server.served.stages.store)

        assert {*names} <= {name for name, _ in rows}
        assert len(rows) == len({name for name, _ in rows})
        assert {answer["id"]} == {cause for _, cause in rows}


def test_fact_ids_are_the_ones_that_answers_name() -> None:
    """The id of an answer is the content hash of the fact."""
    from agents_registry.identifiers import Identifier  # noqa: PLC0415
    from streams.stages.ingest.ending_orders import EndingOrder  # noqa: PLC0415
    from streams.stages.ingest.ingress import Origin  # noqa: PLC0415

    origin = Origin("operators", "default", 5, "someone", 1)
    ending, target = (
        EndingOrder.read("revoke", {}, 5),
        Identifier("aws.access_key", KEY),
    )
    first, second = (
        ending.cause(target, origin, event_id, "ann") for event_id in ("one", "two")
    )

    assert fact_id(first) != fact_id(second)
