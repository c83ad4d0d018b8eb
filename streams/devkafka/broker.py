"""Run real Apache Kafka nodes on loopback, for development and tests.

One or three KRaft nodes, each broker and controller in one. Every process is ended by
its own handle. A node keeps its folder and its ports over restarts.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
import signal
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, Final, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from attrs import define

from enforcement.kafka.connecting import stopped, whole
from streams.devkafka.broker_properties import (
    ADMIN,
    HOST,
    MECHANISM,
    Address,
    Security,
    properties,
    scram,
)
from streams.devkafka.distribution import BrokerError, KafkaDistribution, find, only_one
from streams.devkafka.launch import Handle, Launcher, Ports, Processes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FORMAT: Final = "kafka.tools.StorageTool"
SERVER: Final = "kafka.Kafka"
CLUSTER_ID: Final = "cmVzY2luZC1kZXYtMDAwMA"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0


@define
class BrokerNode:
    """One broker of a cluster.

    Attributes:
        address: its id and ports, the same over restarts.
        folder: its properties, data and log; the same over restarts.
    """

    address: Address
    folder: Path
    _launcher: Launcher
    _handle: Handle | None = None
    _frozen: bool = False

    def start(self) -> None:
        """Start it on its old data; `Cluster.ready` tells when it serves."""
        if self._handle is not None and self._handle.running():
            raise BrokerError(f"node {self.address.node} runs already")
        self._frozen = False
        args = [str(self.folder / "server.properties")]
        self._handle = self._launcher.spawn(self.folder, SERVER, args)

    def kill(self) -> None:
        """End it with SIGKILL, also when frozen; return when it is gone."""
        if self._handle is None:
            return
        if self._handle.running():
            self._handle.signal(signal.SIGKILL)
            self._handle.wait(STOP_SECONDS)
        self._handle.discard()
        self._handle = None

    def stop(self) -> None:
        """End it in order, by force after 30 s."""
        if self._handle is not None and self._handle.running() and not self._frozen:
            self._handle.signal(signal.SIGTERM)
            self._handle.wait(STOP_SECONDS)
        self.kill()

    def freeze(self) -> None:
        """Stop its clock and all that it does (SIGSTOP)."""
        self._signal(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._signal(signal.SIGCONT)
        self._frozen = False

    @property
    def serving(self) -> bool:
        """Whether it was started and neither ended nor frozen since."""
        return self._handle is not None and self._handle.running() and not self._frozen

    @property
    def failed(self) -> bool:
        """Whether it was started and ended by itself."""
        return self._handle is not None and not self._handle.running()

    def log(self) -> str:
        """Last lines that it wrote."""
        text = self._handle.log() if self._handle is not None else ""
        return "\n".join(text.splitlines()[-40:])

    def _signal(self, number: signal.Signals) -> None:
        if self._handle is None or not self._handle.running():
            raise BrokerError(f"node {self.address.node} does not run")
        self._handle.signal(number)


class Cluster:
    """One or three nodes; use it as a context manager, which ends them all.

    Attributes:
        nodes: the nodes, id 1 first.
        security: the users and their passwords, None on an open cluster.
    """

    def __init__(
        self,
        folder: Path,
        launcher: Launcher,
        *,
        nodes: int = 1,
        ports: Sequence[int] = (),
        security: Security | None = None,
        more: Mapping[str, str] | None = None,
    ) -> None:
        """Write the files of a cluster, or take over those of an earlier run.

        Args:
            folder: of all files, made if need be.
            launcher: what starts the nodes.
            nodes: how many.
            ports: of the clients' listeners, one a node; free ones by default.
            security: users and ACLs.
            more: properties for every node, on top of the small ones.
        """
        self.security = security
        self._ports = Ports()
        addresses = [
            Address(
                node,
                ports[node - 1] if ports else self._ports.reserve(),
                self._ports.reserve(ports),
            )
            for node in range(1, nodes + 1)
        ]
        self.nodes = tuple(
            BrokerNode(address, folder / f"node-{address.node}", launcher)
            for address in addresses
        )
        for node in self.nodes:
            node.folder.mkdir(parents=True, exist_ok=True)
            (node.folder / "server.properties").write_text(
                properties(
                    node.address, addresses, node.folder / "data", security, more
                ),
                encoding="utf-8",
            )
        self._launcher = launcher

    @property
    def bootstrap(self) -> str:
        """``host:port`` of every node, with commas."""
        return ",".join(f"{HOST}:{node.address.port}" for node in self.nodes)

    def client(self, user: str = ADMIN) -> dict[str, Any]:
        """Arguments with which an aiokafka client connects as a user."""
        reach: dict[str, Any] = {"bootstrap_servers": self.bootstrap}
        if self.security is None:
            return reach
        if (tls := self.security.tls) is not None:
            # The nodes show themselves as what they are: also to one another.
            context = ssl.create_default_context(cafile=tls.ca)
            context.load_cert_chain(tls.keystore)
            reach["ssl_context"] = context
        return {
            **reach,
            "security_protocol": "SASL_SSL" if tls else "SASL_PLAINTEXT",
            "sasl_mechanism": MECHANISM,
            "sasl_plain_username": user,
            "sasl_plain_password": self.security.passwords[user],
        }

    def start(self) -> None:
        """Start all nodes; `ready` tells when they serve.

        Raises:
            BrokerError: the nodes' storage cannot be formatted.
        """
        self._format()
        for node in self.nodes:
            node.start()

    async def ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until each serving node knows all serving nodes.

        Raises:
            BrokerError: a node ended, or the time is up; the text holds its log.
        """
        deadline = time.monotonic() + seconds
        wanted = {node.address.node for node in self.nodes if node.serving}
        for node in self.nodes:
            while node.serving and not wanted <= await self._known_to(node):
                if time.monotonic() > deadline:
                    message = f"node {node.address.node} is not ready:\n{node.log()}"
                    raise BrokerError(message)
                await asyncio.sleep(0.05)
            if node.failed:
                raise BrokerError(f"node {node.address.node} ended:\n{node.log()}")

    def close(self) -> None:
        """End all nodes at once and give back their ports."""
        for node in self.nodes:
            node.kill()
        self._ports.close()

    def stop(self) -> None:
        """End all nodes in order and give back their ports."""
        for node in self.nodes:
            node.stop()
        self._ports.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _known_to(self, node: BrokerNode) -> set[int]:
        address = (HOST, node.address.port)
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(address):
                return set()
        reach = {**self.client(), "bootstrap_servers": f"{HOST}:{address[1]}"}
        admin = AIOKafkaAdminClient(**reach, request_timeout_ms=2000)
        try:
            await whole(admin.start())
            found = await admin.describe_cluster()
        except (KafkaError, OSError, TimeoutError):
            return set()
        finally:
            await stopped(admin.close)
        return {broker["node_id"] for broker in found["brokers"]}

    def _format(self) -> None:
        first, *others = self.nodes
        if (first.folder / "data" / "meta.properties").exists():
            return
        args = ["format", "-t", CLUSTER_ID, "-c"]
        args.append(str(first.folder / "server.properties"))
        self._launcher.run(
            first.folder, FORMAT, [*args, *(scram(self.security or Security({})))]
        )
        # What the tool writes differs between nodes by the two ids alone, and a
        # second of JVM start a node is worth saving.
        meta = (first.folder / "data" / "meta.properties").read_text("utf-8")
        kept = [
            line
            for line in meta.splitlines()
            if not line.startswith(("node.id=", "directory.id="))
        ]
        for node in others:
            shutil.copytree(first.folder / "data", node.folder / "data")
            identity = (f"rescind-node-{node.address.node:03}".encode())[:16]
            directory = base64.urlsafe_b64encode(identity).decode().rstrip("=")
            lines = [
                *kept, f"node.id={node.address.node}", f"directory.id={directory}"
            ]  # fmt: skip
            (node.folder / "data" / "meta.properties").write_text(
                "\n".join(lines) + "\n", "utf-8"
            )


def prepare(folder: Path) -> KafkaDistribution:
    """Find the distribution and make its archive of loaded classes, once a machine.

    Args:
        folder: an empty one, for the broker that is started to learn its classes.

    Raises:
        BrokerError: see `find`; or the broker did not start.
    """
    found = find()
    with only_one(found.archive.parent):
        if found.archive.exists():
            return found
        partial = found.archive.with_suffix(".partial")
        learn = (f"-XX:AOTCacheOutput={partial}", "-Xlog:aot*=off")
        cluster = Cluster(folder, Processes(found, learn))
        try:
            cluster.start()
            asyncio.run(cluster.ready())
        finally:
            cluster.stop()
        # Without one the start is slower, nothing else.
        if partial.exists():
            partial.rename(found.archive)
    return found
