"""Guards and relays with nothing start from the table of a relay, on a real Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from enforcement import Guard, Reason
from streams.engines.kafka.relay import fed_replica
from streams.engines.kafka.relay.fed_replica import FedReplica
from streams.http import tables
from streams.http.feed import FeedServer
from tests.integration.kafka_guards import CHILD, FAMILY, OTHER, PARENT, revoke, writing
from tests.integration.serving import until
from tests.integration.test_kafka_relay import guard_of, relaying
from tests.integration.working import lay_out

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Have tables sent of any log; give where relays begin in a log, and where it ends.

    Nothing is read again.
    """
    monkeypatch.setattr(tables, "FROM_FACTS", 1)
    monkeypatch.setattr(fed_replica, "READ_AGAIN", 0)
    found: list[tuple[int, int]] = []
    right = FedReplica.begin

    def begin(replica: FedReplica, genesis: str, start: int, target: int) -> None:
        right(replica, genesis, start, target)
        found.append((replica.next, target))

    monkeypatch.setattr(FedReplica, "begin", begin)
    return found


def own(folder: Path, *urls: str) -> dict[str, Any]:
    """Give the settings of a relay that has peers."""
    token = folder / "peers.token"
    token.write_text("guard\n", "utf-8")
    return {"peers": urls, "peers_token": token}


async def agrees(guard: Guard) -> None:
    """Wait until a guard denies the child, and allows the other."""
    await until(lambda: guard.check(OTHER).allowed)
    assert guard.check(CHILD).reason is Reason.REVOKED


async def test_a_relay_with_nothing_starts_from_a_peer_and_its_guards_from_it(
    tmp_path: Path,
    kafka_settings: KafkaSettings,
    begun: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It reads no fact that the table has, and neither do guards."""
    await lay_out(kafka_settings)
    async with (
        writing(kafka_settings) as writer,
        relaying(tmp_path, kafka_settings) as first,
        guard_of(first.url) as guard,
    ):
        await writer.say(*FAMILY)
        await until(lambda: guard.check(CHILD).allowed)
        await writer.say(revoke(PARENT))
        await until(lambda: guard.check(CHILD).reason is Reason.REVOKED)
        begun.clear()
        given = own(tmp_path, "http://127.0.0.1:1", first.url)
        async with relaying(tmp_path, kafka_settings, own=given) as second:

            async def never(*_: object) -> None:
                raise AssertionError("facts were sent")

            monkeypatch.setattr(FeedServer, "_snapshot", never)
            async with guard_of(second.url, "orders-2") as other:
                await agrees(other)
                ((start, end),) = begun
                assert len(FAMILY) < start <= end
                await writer.say(revoke(OTHER))
                await until(lambda: other.check(OTHER).reason is Reason.REVOKED)
