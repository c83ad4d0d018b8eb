"""Make the Faust app that only hosts, without Faust's own web server (ADR 0068)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import faust
from faust.app.base import BootStrategy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings


class NoKafka(BootStrategy):
    """Start none of Faust's own clients: the engine inside has its own."""

    enable_kafka_consumer = False
    enable_kafka_producer = False
    enable_web = False

    def agents(self) -> Iterable[Any]:
        """No service."""
        return []

    def kafka_conductor(self) -> Iterable[Any]:
        """No service."""
        return []

    def tables(self) -> Iterable[Any]:
        """No service."""
        return []


class HostApp(faust.App):
    """An app that has services and timers, and reads nothing by itself."""

    BootStrategy = NoKafka

    async def on_start(self) -> None:
        """Settle the settings; Faust would make a consumer here, if only to name it."""
        self.finalize()


def host_app(app_id: str, kafka: KafkaSettings, folder: Path) -> HostApp:
    """Make an app that hosts loops of ours.

    Args:
        app_id: its name; joins no group.
        kafka: of the cluster.
        folder: for what Faust keeps.
    """
    return HostApp(app_id, **_common(kafka, folder))


def _common(kafka: KafkaSettings, folder: Path) -> dict[str, Any]:
    client = kafka.client()
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "broker": [f"kafka://{node}" for node in _nodes(kafka.bootstrap_servers)],
        "broker_credentials": _credentials(client),
        "datadir": str(folder),
        "topic_allow_declare": False,
        "web_enabled": False,
        "web_bind": "127.0.0.1",
        "web_tables_enabled": False,
        "autodiscover": False,
    }


def _nodes(servers: str) -> list[str]:
    return [each.strip() for each in servers.split(",")]


def _credentials(client: dict[str, Any]) -> Any:
    context = client.get("ssl_context")
    if "sasl_mechanism" in client:
        return faust.SASLCredentials(
            mechanism=client["sasl_mechanism"],
            username=client["sasl_plain_username"],
            password=client["sasl_plain_password"],
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)
