"""A fleet on Kafka behind one URL: ingress, workers and notify that know each other."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from attrs import define, field

from streams.apps.ingress import Receiving, receive
from streams.apps.notify import deliver
from streams.apps.worker import Working, work
from streams.settings.notify import NotifySettings
from streams.settings.server import Settings
from streams.settings.worker import WorkerSettings
from tests.integration.serving import values
from tests.integration.working import task_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings


def free_ports(count: int) -> list[int]:
    """Give ports of loopback that nobody has."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def url_of(port: int) -> str:
    """Give the URL of a process."""
    return f"http://127.0.0.1:{port}"


@define
class FleetPorts:
    """Where the processes of a fleet listen, known before they start."""

    ingress: int
    workers: list[int]
    notify: int

    @classmethod
    def free(cls, workers: int) -> FleetPorts:
        """Choose them."""
        first, second, *others = free_ports(workers + 2)
        return cls(first, others, second)

    def peers(self) -> dict[str, list[str]]:
        """Give the setting ``peers``."""
        return {
            "ingress": [url_of(self.ingress)],
            "workers": [*map(url_of, self.workers)],
            "notify": [url_of(self.notify)],
        }


@define
class RunningFleet:
    """Processes that run, and a client of their door."""

    url: str
    session: aiohttp.ClientSession
    ingress: Receiving
    workers: list[Working] = field(factory=list)

    async def ask(
        self, method: str, path: str, token: str = "viewer", **more: Any
    ) -> tuple[int, Any]:
        """Ask the door; give status and decoded answer."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.request(
            method, self.url + path, headers=headers, **more
        ) as got:
            return got.status, await got.json(content_type=None)


@asynccontextmanager
async def fleet(
    folder: Path,
    kafka: KafkaSettings,
    ports: FleetPorts,
    *,
    running: int | None = None,
    notify: bool = False,
    worker: dict[str, Any] | None = None,
    stages: tuple[frozenset[str], ...] = (),
    **more: Any,
) -> AsyncIterator[RunningFleet]:
    """Run a fleet in this process; the topics must be there.

    Args:
        folder: for its files.
        kafka: the cluster.
        ports: where its processes listen.
        running: how many of the workers run here; all by default.
        notify: whether a notify process runs too.
        worker: settings of each worker.
        stages: of each worker; all by default.
        **more: settings of all.
    """

    def settings(port: int) -> Settings:
        listen = {"host": "127.0.0.1", "port": port}
        given = values(folder, **{"peers": ports.peers(), **more})
        return Settings(**given | {"listen": listen})

    async with AsyncExitStack() as stack:
        workers = []
        for number, port in enumerate(ports.workers[:running]):
            given: dict[str, Any] = {
                "name": f"w{number}",
                "data_dir": folder / f"w{number}",
            }
            given |= {"stages": stages[number]} if stages else {}
            own = WorkerSettings(**given | (worker or {}))
            workers.append(
                await stack.enter_async_context(
                    task_of(
                        lambda stop, told, own=own, port=port: work(  # type: ignore[misc]
                            settings(port), kafka, own, stop=stop, started=told
                        )
                    )
                )
            )
        if notify:
            telling = NotifySettings(name="n0", data_dir=folder / "notify")
            await stack.enter_async_context(
                task_of(
                    lambda stop, told: deliver(
                        settings(ports.notify), kafka, telling, stop=stop, started=told
                    )
                )
            )
        ingress = await stack.enter_async_context(
            task_of(
                lambda stop, told: receive(
                    settings(ports.ingress), kafka, "i0", stop=stop, started=told
                )
            )
        )
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield RunningFleet(ingress.url, session, ingress, workers)
