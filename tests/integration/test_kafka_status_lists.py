"""Status lists on Kafka: any ingress gives an index, and any serves the same lists."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from enforcement.kafka.replica import LogReplica
from streams.http.status_lists import AS_OF
from tests.integration.serving import running, until
from tests.integration.test_kafka_sources import ingress
from tests.integration.test_status_lists import (
    CHILD,
    PARENT,
    Reader,
    declare_child,
    entry,
    revoke,
    settings,
)
from tests.integration.working import lay_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings
    from tests.integration.serving import Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


async def status(server: Server, reference: dict[str, Any]) -> int:
    """Give the status at a reference, once the server is as far as the log."""
    reader = Reader(server)

    async def answered() -> bool:
        return (await reader.get(reference["uri"]))[0] == 200

    await until(answered)
    return await reader.status(reference)


async def told(servers: Sequence[Server]) -> list[int]:
    """Ask for indices at some servers, revoke, and give statuses of before and after.

    The last server answers for them all.
    """
    await declare_child(servers[0])
    references = await asyncio.gather(
        *(entry(servers[n % len(servers)], CHILD) for n in range(10)),
        entry(servers[-1], PARENT[:-1]),
    )
    assert len({(one["uri"], one["idx"]) for one in references}) == len(references)
    before = [await status(servers[-1], one) for one in references]
    await revoke(servers[0], PARENT)

    async def ended() -> bool:
        # Each list is made at most once every quarter of a lease.
        return all([await status(servers[-1], one) for one in references[:-1]])

    await until(ended)
    return [*before, *[await status(servers[-1], one) for one in references]]


async def test_lists_are_those_of_the_embedded_server_at_any_ingress(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """No index is given twice, however many give; a start loses none."""
    await lay_out(kafka_settings)
    made = settings(tmp_path, size=16)
    async with running(tmp_path / "embedded", **made) as server:
        wanted = await told([server])
    async with (
        ingress(tmp_path, kafka_settings, "i0", **made) as first,
        ingress(tmp_path, kafka_settings, "i1", **made) as second,
    ):
        assert wanted == await told([first, second])
        _, body, _ = await Reader(first).get("/aggregation", accept=None)
        listed = json.loads(body)["status_lists"]
    async with ingress(tmp_path, kafka_settings, "i2", **made) as third:
        again = [await entry(third, PARENT) for _ in range(8)]
        _, body, _ = await Reader(third).get("/aggregation", accept=None)
        statuses = [await status(third, one) for one in again]
        headers = {"Authorization": "Bearer viewer"}
        url = f"{third.url}/statuslists/{again[0]['uri'].rpartition('/')[2]}"
        async with third.session.get(url, headers=headers) as got:
            as_of = got.headers[AS_OF].split(":")

    assert wanted == [0] * 11 + [1] * 10 + [0]
    assert listed == json.loads(body)["status_lists"][: len(listed)]
    assert statuses == [1] * 8
    assert (3, True) == (len(as_of), int(as_of[2]) > 0)


async def test_a_list_says_nothing_before_the_table_is_at_the_end_of_the_log(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another ingress accepted a moment ago is in the list, or there is none."""
    await lay_out(kafka_settings)
    made = settings(tmp_path, size=8)
    may_apply = asyncio.Event()
    take = LogReplica.take

    def held(self: LogReplica, records: Sequence[Any], end: int) -> Iterator[None]:
        while not may_apply.is_set():
            yield
        yield from take(self, records, end)

    async with (
        ingress(tmp_path, kafka_settings, "i0", **made) as first,
        ingress(tmp_path, kafka_settings, "i1", **made) as second,
    ):
        reader = Reader(second)
        await declare_child(first)
        *_, other, child = [await entry(first, CHILD) for _ in range(5)]
        before = await status(second, other)  # now it has a table and a lease
        monkeypatch.setattr(LogReplica, "take", held)
        await revoke(first, PARENT)
        # Nobody asked for this list yet, so none is kept.
        early, _, headers = await reader.get(child["uri"])
        may_apply.set()
        after = await status(second, child)

    assert other["uri"] != child["uri"]
    assert (0, 503, "1", 1) == (before, early, headers["Retry-After"], after)
