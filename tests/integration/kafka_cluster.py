"""Real Kafka for tests: fixtures of one shared broker, and of clusters to break.

``RESCIND_TEST_KAFKA=docker`` runs the same nodes as containers (kafka_containers.py);
by default they are processes. What is missing is an error, never a skip.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from attrs import frozen

from streams.devkafka.broker import Cluster, prepare
from streams.devkafka.broker_properties import ADMIN, Security, ServerTls
from streams.settings.kafka import KafkaSettings, Sasl
from tests.integration.shared_kafka import FormattedOnce, one_of_a_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.devkafka.launch import Launcher

AT = os.environ.get("RESCIND_TEST_KAFKA_AT", "")
WAY = os.environ.get("RESCIND_TEST_KAFKA", "process")
PARTITIONS = 4
SECRET = secrets.token_hex(16)


@frozen
class Running:
    """An open broker that somebody else started."""

    bootstrap: str
    security: None = None
    nodes: tuple[None] = (None,)


class StartKafka(Protocol):
    """Start a cluster that ends with the test."""

    async def __call__(
        self,
        nodes: int = 1,
        *,
        users: tuple[str, ...] = (),
        more: dict[str, str] | None = None,
        tls: ServerTls | None = None,
    ) -> Cluster:
        """Start it and wait until it serves.

        Args:
            nodes: one or three.
            users: SCRAM users besides admin; with any, the nodes enforce ACLs.
            more: properties of the nodes, e.g. a longer session.
            tls: encrypts the listeners of a cluster with users.
        """
        ...


@pytest.fixture(scope="session")
def kafka_launcher(tmp_path_factory: pytest.TempPathFactory) -> Launcher:
    """Give what starts nodes; fail where it cannot be had."""
    if WAY == "docker":
        # Its libraries take long to import, and other runs have no use for them.
        from tests.integration.kafka_containers import Containers  # noqa: PLC0415

        return Containers.of_this_machine(tmp_path_factory.mktemp("image"))
    if WAY != "process":
        pytest.fail(f"RESCIND_TEST_KAFKA={WAY}: it is process or docker", pytrace=False)
    found = prepare(tmp_path_factory.mktemp("learn"))
    kept = of_this_run(tmp_path_factory, "formatted")
    return FormattedOnce(found, kept=kept)


@pytest.fixture(scope="session")
def kafka(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster | Running]:
    """Give one open broker for all tests; none may break it. Use own topic names.

    ``RESCIND_TEST_KAFKA_AT`` names one that runs already, for tests within a test.
    """
    if AT:
        yield Running(AT)
        return
    if WAY == "process" and "PYTEST_XDIST_WORKER" in os.environ:
        folder = of_this_run(tmp_path_factory, "kafka")
        launcher = partial(request.getfixturevalue, "kafka_launcher")
        with one_of_a_run(folder, launcher) as bootstrap:
            yield Running(bootstrap)
        return
    kafka_launcher: Launcher = request.getfixturevalue("kafka_launcher")
    with Cluster(tmp_path_factory.mktemp("kafka"), kafka_launcher) as cluster:
        asyncio.run(cluster.ready())
        yield cluster


@pytest.fixture
def kafka_settings(kafka: Cluster | Running) -> KafkaSettings:
    """Give settings of the shared broker with a prefix of this test's own."""
    return settings_of(kafka)


@pytest.fixture
def start_kafka(kafka_launcher: Launcher, tmp_path: Path) -> Iterator[StartKafka]:
    """Give a way to start clusters that the test may kill, freeze and restart."""
    with ExitStack() as stack:

        async def start(
            nodes: int = 1,
            *,
            users: tuple[str, ...] = (),
            more: dict[str, str] | None = None,
            tls: ServerTls | None = None,
        ) -> Cluster:
            cluster = Cluster(
                tmp_path / f"kafka-{secrets.token_hex(4)}",
                kafka_launcher,
                nodes=nodes,
                security=security_of(users, tls) if users else None,
                more=more,
            )
            stack.enter_context(cluster)
            await cluster.ready()
            return cluster

        yield start


def of_this_run(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """Give a folder that all processes of this run share."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / name
    folder.mkdir(exist_ok=True)
    return folder


def security_of(users: tuple[str, ...], tls: ServerTls | None = None) -> Security:
    """Give passwords for admin and these users, the same all over a run."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", SECRET)
    return Security(
        {
            user: sha256(f"{run} {user}".encode()).hexdigest()
            for user in (ADMIN, *users)
        },
        tls,
    )


def settings_of(
    cluster: Cluster | Running, user: str | None = None, **more: Any
) -> KafkaSettings:
    """Give settings that reach a cluster, with a fresh prefix unless one is given."""
    copies = min(3, len(cluster.nodes))
    sasl = None
    if cluster.security is not None:
        name = user or ADMIN
        sasl = Sasl(
            mechanism="SCRAM-SHA-256",
            username=name,
            password=cluster.security.passwords[name],
        )
    values: dict[str, Any] = {
        "bootstrap_servers": cluster.bootstrap,
        "prefix": f"t{secrets.token_hex(4)}",
        "partitions": PARTITIONS,
        "access_partitions": PARTITIONS,
        "replication_factor": copies,
        "min_insync_replicas": max(1, copies - 1),
        "sasl": sasl,
    }
    return KafkaSettings(**{**values, **more})
