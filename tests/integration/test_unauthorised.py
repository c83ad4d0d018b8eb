"""A revocation from a source that may not speak of its target is refused aloud."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from enforcement import Guard
from tests.integration.serving import (
    Server,
    deleted_key,
    receiving,
    running,
    until,
    webhook,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

KEY = "AKIAEXAMPLE000000001"
NAME = f"aws.access_key:{KEY}"


def _revocation(number: int) -> bytes:
    at = f"2026-01-01T10:00:0{number}Z"
    return json.dumps(deleted_key(KEY, "u", at, f"e{number}")).encode() + b"\n"


async def _adopted(server: Server) -> None:
    entry = {"identifier": NAME, "root": True}
    await server.post("/v1/adopt", "restorer", {"credentials": [entry]})


async def _refused(server: Server, times: int) -> dict[str, Any]:
    """Wait for the finding that counts so many refusals; check its dead letter."""

    async def counted() -> dict[str, Any] | None:
        found = await server.findings()
        return found[0] if found and found[0]["count"] == times else None

    finding: dict[str, Any] = await until(counted)
    _, letters = await server.get("/v1/dlq")
    (letter,) = letters["dead_letters"]
    assert letter["count"] == times
    assert letter["reason"].startswith("unauthorised:")
    assert "stranger may not speak of aws.access_key" in letter["reason"]
    assert letter["event_id"] == finding["event_ids"][0]
    assert len(finding["event_ids"]) == times
    assert ("unauthorised", NAME) == (finding["kind"], finding["presented"])
    return finding


async def test_over_http(tmp_path: Path) -> None:
    """The sender is told, the SOC is alerted, and the key lives."""
    async with (
        receiving() as receiver,
        running(tmp_path, webhook=webhook(receiver)) as server,
        Guard(server.url, "guard", name="g") as guard,
    ):
        await _adopted(server)
        answers = [
            await server.post("/v1/events/cloudtrail", "stranger", _revocation(n))
            for n in (1, 2)
        ]
        await _refused(server, 2)
        await until(lambda: receiver.got)

        assert [(202, 0, 1)] * 2 == [
            (status, answer["facts"], answer["dead_letters"])
            for status, answer in answers
        ]
        assert "Statement from a source without" in json.dumps(receiver.got[0][1])
        await until(lambda: guard.check(NAME).allowed)


async def test_in_a_followed_file(tmp_path: Path) -> None:
    """The authority of the settings counts, whatever the log says."""
    log = tmp_path / "trail.log"
    log.write_bytes(_revocation(1))
    watch = {"path": str(log), "source": "cloudtrail", "authority": "stranger",
             "poll_seconds": 0.01}  # fmt: skip
    async with running(tmp_path, watch=[watch]) as server:
        await _adopted(server)
        with log.open("ab") as file:
            file.write(_revocation(2))
        await _refused(server, 2)
        _, why = await server.get(f"/v1/why/{NAME}")

        assert "lives" == why["reason"]
