"""Make the Faust apps: one that only hosts, and one with agents.

Both leave Faust's own web server off (ADR 0068) and touch no topic's layout: topics
are there first, made by ``rescind topics apply``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import faust
from faust.app.base import BootStrategy

from streams.faust_shell.hardened import HardApp, HardTopic

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings

REBALANCE_SECONDS: Final = 30.0
COMMIT_SECONDS: Final = 0.5


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


def agent_app(
    app_id: str,
    kafka: KafkaSettings,
    folder: Path,
    *,
    instance: str | None = None,
    session_seconds: float = 10.0,
    app_class: type[faust.App] = HardApp,
    **more: Any,
) -> HardApp:
    """Make an app for agents; its id is the name of its group.

    Args:
        app_id: the consumer group.
        kafka: of the cluster.
        folder: for what Faust keeps.
        instance: a stable name of this process in the group.
        session_seconds: of silence until the group gives its place away.
        app_class: another one only to show what it would lose.
        more: settings of Faust that replace those here.
    """
    # Faust refuses a session that is longer than a request.
    request = max(kafka.request_timeout_ms / 1000, session_seconds, 30.0)
    settings: dict[str, Any] = {
        **_common(kafka, folder),
        "Topic": HardTopic,
        "processing_guarantee": "at_least_once",
        "broker_commit_interval": COMMIT_SECONDS,
        "broker_session_timeout": session_seconds,
        "broker_heartbeat_interval": session_seconds / 4,
        "broker_request_timeout": request,
        "broker_rebalance_timeout": REBALANCE_SECONDS,
        "broker_max_poll_records": 500,
        "consumer_group_instance_id": instance,
        "stream_wait_empty": False,
        "stream_buffer_maxsize": 1024,
        "producer_acks": -1,
        "producer_request_timeout": kafka.request_timeout_ms / 1000,
        "producer_linger": 0.005,
        "producer_threaded": False,
        "table_standby_replicas": 0,
        "topic_disable_leader": True,
        "key_serializer": "raw",
        "value_serializer": "raw",
    }
    return app_class(app_id, **{**settings, **more})  # type: ignore[return-value]


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
