"""Guards behind a relay on a real Kafka: what they deny, and what is known of them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from enforcement import Guard, Reason, Token
from streams.apps.relay import Relaying, relay
from streams.settings.relay import RelaySettings
from streams.settings.server import Settings
from tests.integration.kafka_guards import CHILD, FAMILY, PARENT, writing
from tests.integration.serving import until, values
from tests.integration.working import lay_out, pipeline, task_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

LEASE = 2.0


def guarding(folder: Path, **more: Any) -> Settings:
    """Give settings under which a token may feed guards of some names."""
    given = values(folder, lease_seconds=LEASE, **more)
    for token in given["tokens"]:
        if token["name"] == "guard":
            token["guards"] = ["orders", "payments-*"]
    return Settings(**given)


@asynccontextmanager
async def relaying(
    folder: Path, kafka: KafkaSettings, **more: Any
) -> AsyncIterator[Relaying]:
    """Run a relay in this process until the context ends."""
    own = RelaySettings(**more.pop("own", {}))
    settings = guarding(folder, **more)
    async with task_of(
        lambda stop, told: relay(settings, kafka, own, stop=stop, started=told)
    ) as started:
        yield started


def guard_of(
    url: str, name: str = "orders", token: str = "guard", **more: Any
) -> Guard:
    """Give a guard behind a relay, not yet entered."""
    return Guard(url, token, name=name, lease=LEASE, jitter=lambda: 0.2, **more)


async def test_a_revocation_is_denied_and_its_closure_names_the_guard(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """From the ingress over Kafka and the relay to a guard that knows no Kafka."""
    await lay_out(kafka_settings)
    async with (
        pipeline(tmp_path, kafka_settings) as running,
        relaying(tmp_path, kafka_settings) as relayed,
        writing(kafka_settings, beats=False) as writer,
        guard_of(relayed.url) as guard,
    ):
        await writer.say(*FAMILY)
        await until(lambda: guard.check(CHILD).allowed)

        status, answer = await running.post(
            "/v1/revocations", "revoker", {"identifier": str(PARENT), "reason": "leak"}
        )
        assert status == 201
        assert await guard.wait_for(Token.parse(answer["token"]), LEASE)
        assert guard.check(CHILD).reason is Reason.REVOKED

        async def closed() -> dict[str, Any] | None:
            url = f"{running.working.url}/v1/revocations/{answer['id']}"
            headers = {"Authorization": "Bearer viewer"}
            async with running.session.get(url, headers=headers) as got:
                told = await got.json()
            return told if told.get("state") == "closed" else None

        told = await until(closed)
        assert (1, []) == (told["applied"], told["fenced"])
