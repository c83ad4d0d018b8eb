"""The process that reads large inputs: the same records, whatever happens to it."""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import pytest

from streams.apps.builders.sources import configured_sources
from streams.engines.embedded import reader_process
from streams.engines.embedded.reader_process import FROM, ReaderProcess
from streams.services import reading
from streams.settings.server import Settings
from streams.sources.catalogue import source, vendors
from tests.integration.healthy_guard import beside
from tests.integration.serving import created_key, running, until, values

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from streams.model.records import Record

pytestmark = pytest.mark.integration

MAPPING = Path(__file__).parents[2] / "examples/mappings/envoy.yaml"
LEASE = 2.0
SENDERS = 3
AT = "2026-11-01T10:00:00Z"


def large(count: int = 800) -> bytes:
    """Give a CloudTrail file above the size from which the process reads it."""
    events = [
        created_key(f"AKIAEXAMPLE{number:09}", "u", AT, f"e{number}")
        for number in range(count)
    ]
    body = orjson.dumps({"Records": events})
    assert len(body) > FROM
    return body


class Ending(NamedTuple):
    """A reader that ends the process that it reads in, or hangs."""

    hangs: bool

    def records(self, data: bytes) -> Iterator[Record]:
        """Give nothing."""
        del data
        if not self.hangs:
            os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()
        yield from ()


@pytest.fixture
async def apart() -> AsyncIterator[ReaderProcess]:
    """Give a process, and end it with the test."""
    process = ReaderProcess()
    yield process
    await process.close()


async def test_records_are_the_same_wherever_they_are_read(
    apart: ReaderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a large input is not read in the server's process at all."""
    idle = created_key("", "u", AT, "idle") | {"userIdentity": {"type": "AWSService"}}
    idle["eventName"] = "DescribeRegions"
    body = orjson.dumps({"Records": [*orjson.loads(large())["Records"], idle]})
    here = reading.read_now(source("cloudtrail"), body, "cloudtrail")
    monkeypatch.setattr(reading, "read_now", None)
    first, again = [
        await apart.read(source("cloudtrail"), body, "cloudtrail") for _ in range(2)
    ]

    assert here
    assert here == first == again
    assert 1 == here.idle == first.idle == again.idle


@pytest.mark.parametrize("hangs", [False, True])
async def test_an_input_that_ends_the_process_is_a_dead_letter(
    apart: ReaderProcess, monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    """The next one is read by a new process."""
    monkeypatch.setattr(reader_process, "SECONDS", 3.0)
    (letter,) = await apart.read(Ending(hangs), bytes(FROM), "s")
    monkeypatch.undo()

    assert "reader_failed: " in str(letter.reason)
    assert await apart.read(source("cloudtrail"), large(), "cloudtrail")


async def test_who_gives_up_leaves_nothing_to_the_next(apart: ReaderProcess) -> None:
    """What the process still says is not taken for the records of another input."""
    async with asyncio.TaskGroup() as tasks:
        given_up = tasks.create_task(apart.read(Ending(hangs=True), bytes(FROM), "s"))
        await until(lambda: apart._process)
        given_up.cancel()
    body = large()

    expected = reading.read_now(source("cloudtrail"), body, "cloudtrail")
    assert expected == await apart.read(source("cloudtrail"), body, "cloudtrail")


async def test_who_proves_leases_has_more_right_to_a_core(apart: ReaderProcess) -> None:
    """Large inputs, one after the other, would take a whole one."""
    assert await apart.read(source("cloudtrail"), large(), "cloudtrail")
    process = apart._process

    assert process is not None
    here = os.getpriority(os.PRIO_PROCESS, 0)
    assert here < os.getpriority(os.PRIO_PROCESS, process.pid)


def test_every_source_can_be_handed_over(tmp_path: Path) -> None:
    """Those of a mapping file too."""
    formats: dict[str, Any] = {name: {"format": name} for name in vendors()}
    del formats["ssf"]  # its tokens come one by one
    formats["own"] = {"format": "generic", "mapping": str(MAPPING)}
    settings = Settings(**{**values(tmp_path), "sources": formats})
    _, sources = configured_sources(settings)

    assert set(sources) == set(formats)
    assert all(pickle.dumps(each.make()) for each in sources.values())


@pytest.mark.long
async def test_large_documents_cost_no_lease(tmp_path: Path) -> None:
    """Senders who send one after the other, of what is most work to decode."""
    body = b'{"Records":[],"padding":[' + b",".join([b"{}"] * 2_500_000) + b"]}"
    async with (
        running(tmp_path, lease_seconds=LEASE) as server,
        beside(server.url, LEASE) as guard,
    ):

        async def send() -> int:
            async with server.session.post(
                f"{server.url}/v1/events/cloudtrail",
                headers={"Authorization": "Bearer aws"},
                data=io.BytesIO(body),
            ) as answer:
                return answer.status

        answers = await asyncio.gather(*(send() for _ in range(2 * SENDERS)))

        assert {202} == set(answers)
        assert 0 == guard.lost
