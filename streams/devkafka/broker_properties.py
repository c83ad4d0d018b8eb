"""The ``server.properties`` of a broker for development and tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

HOST: Final = "127.0.0.1"
ADMIN: Final = "admin"
MECHANISM: Final = "SCRAM-SHA-256"
_SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule"
_PLAIN: Final = "org.apache.kafka.common.security.plain.PlainLoginModule"

# Small buffers and pools, and failures noticed in seconds. A killed node may
# come back, and another take its partitions over, only once its session is over; 3 s
# still outlive the pauses of a loaded machine with two cores.
_SMALL: Final = {
    "auto.create.topics.enable": "false",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "log.cleaner.backoff.ms": "1000",
    "log.cleaner.dedupe.buffer.size": str(16 << 20),
    "log.index.size.max.bytes": str(1 << 20),
    "num.io.threads": "4",
    "num.network.threads": "2",
    "offsets.topic.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
}


@frozen
class Address:
    """Where a node listens, on loopback.

    Attributes:
        node: its id, from 1.
        port: for clients and brokers.
        controller_port: for the quorum.
    """

    node: int
    port: int
    controller_port: int


@frozen
class ServerTls:
    """Files of a broker that listens with TLS.

    Attributes:
        keystore: its key (PKCS #8) and certificate chain, in PEM.
        ca: who may have signed certificates, in PEM.
        mutual: clients show a certificate too.
    """

    keystore: Path
    ca: Path
    mutual: bool = False


@frozen
class Security:
    """SASL/SCRAM users on a broker that enforces ACLs; ``admin`` may do everything.

    Attributes:
        passwords: user to password, ``admin`` among them.
        tls: encrypts all listeners; None leaves them in clear.
    """

    passwords: Mapping[str, str] = field(repr=False)
    tls: ServerTls | None = None


def properties(
    address: Address,
    all_nodes: Sequence[Address],
    logs: Path,
    security: Security | None = None,
    more: Mapping[str, str] | None = None,
) -> str:
    """Text of a node's ``server.properties``.

    Args:
        address: of this node, which is broker and controller in one.
        all_nodes: addresses of every node, this one included.
        logs: the folder of its data.
        security: users and ACLs; None lets everyone do everything.
        more: further properties; they win.
    """
    copies = str(min(3, len(all_nodes)))
    in_sync = str(max(1, min(2, len(all_nodes) - 1)))
    protocol = "PLAINTEXT"
    if security is not None:
        protocol = "SASL_SSL" if security.tls else "SASL_PLAINTEXT"
    listeners = (
        f"CLIENT://{HOST}:{address.port},CONTROLLER://{HOST}:{address.controller_port}"
    )
    lines = {
        "process.roles": "broker,controller",
        "node.id": str(address.node),
        "controller.quorum.voters": ",".join(
            f"{other.node}@{HOST}:{other.controller_port}" for other in all_nodes
        ),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENT",
        "listeners": listeners,
        "advertised.listeners": f"CLIENT://{HOST}:{address.port}",
        "listener.security.protocol.map": f"CLIENT:{protocol},CONTROLLER:{protocol}",
        "log.dirs": str(logs),
        "default.replication.factor": copies,
        "offsets.topic.replication.factor": copies,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        **_SMALL,
        **(_secured(security) if security else {}),
        **(_encrypted(security.tls) if security and security.tls else {}),
        **(more or {}),
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def scram(security: Security) -> list[str]:
    """Arguments that create the users when the storage is formatted."""
    return [
        argument
        for user, password in security.passwords.items()
        for argument in (
            "--add-scram",
            f"{MECHANISM}=[name={user},password={password}]",
        )
    ]


def _encrypted(tls: ServerTls) -> dict[str, str]:
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(tls.keystore),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(tls.ca),
        # With passwords too, the setting of all listeners would not count.
        "listener.name.client.ssl.client.auth": "required" if tls.mutual else "none",
    }


def _secured(security: Security) -> dict[str, str]:
    password = security.passwords[ADMIN]
    who = f'username="{ADMIN}" password="{password}"'
    return {
        "authorizer.class.name": (
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
        ),
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:{ADMIN}",
        "sasl.enabled.mechanisms": MECHANISM,
        "sasl.mechanism.inter.broker.protocol": MECHANISM,
        # SCRAM users live in the quorum's log, so the quorum itself cannot use them.
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.client.scram-sha-256.sasl.jaas.config": (
            f"{_SCRAM} required {who};"
        ),
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.controller.plain.sasl.jaas.config": (
            f'{_PLAIN} required {who} user_{ADMIN}="{password}";'
        ),
    }
