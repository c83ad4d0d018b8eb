"""The rights that each part of Rescind needs on Kafka, and no others.

Kafka derives describe from read and from write, describing configurations from altering
them, and lets who may write a topic use the idempotent producer (KIP-679).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from attrs import frozen

from streams.engines.kafka.client.leader_lock import polls_group
from streams.engines.kafka.records.layout import COMPACTED, NAMES, changelogs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from streams.settings.kafka import KafkaSettings


class Role(StrEnum):
    """Who connects to Kafka; each gets a user of its own."""

    TOPICS = "topics"
    INGRESS = "ingress"
    REGISTRY = "registry"
    AUDIT = "audit"
    CLOSURE = "closure"
    SENTINEL = "sentinel"
    NOTIFY = "notify"
    INSIGHTS = "insights"
    PRUNE = "prune"
    AUDITOR = "auditor"
    RELAY = "relay"
    GUARD = "guard"


class Operation(StrEnum):
    """What an ACL allows, as Kafka's tools call it."""

    READ = "Read"
    WRITE = "Write"
    CREATE = "Create"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"
    ALTER_CONFIGS = "AlterConfigs"


@frozen
class Acl:
    """One right.

    Attributes:
        principal: ``User:name``.
        resource: ``topic`` or ``group``.
        name: of it, exactly.
    """

    principal: str
    operation: Operation
    resource: str
    name: str

    def plain(self) -> dict[str, str]:
        """JSON-ready values."""
        return {
            "principal": self.principal,
            "operation": str(self.operation),
            "resource": self.resource,
            "name": self.name,
        }

    def command(self) -> str:
        """Arguments of Kafka's own tool that add the right."""
        return (
            f"kafka-acls.sh --add --allow-principal '{self.principal}' "
            f"--operation {self.operation} --{self.resource} '{self.name}'"
        )


_R: Final = Operation.READ
_W: Final = Operation.WRITE
# All read facts: for its state, or at least for the genesis of its partitions. Kafka
# cannot tell a heartbeat or an act from a fact, so the registry may write facts.
_RIGHTS: Final[Mapping[Role, Mapping[str, tuple[Operation, ...]]]] = {
    Role.TOPICS: {
        name: (Operation.CREATE, Operation.DESCRIBE, Operation.ALTER_CONFIGS)
        + ((_R, _W) if name == "facts" else ())
        for name in NAMES
    },
    Role.INGRESS: {
        # It answers for what was found, and for what could not be read.
        "facts": (_R, _W), "access": (_W,), "invalidations": (_W,), "dlq": (_R, _W),
        "findings": (_R,), "sources": (_R, _W),
    },
    Role.REGISTRY: {
        "facts": (_R, _W), "invalidations": (_W,), "findings": (_W,), "dlq": (_W,),
    },
    Role.AUDIT: {
        "facts": (_R,), "audit": (_R, _W), "heads": (_R, _W), "dlq": (_W,),
    },
    Role.AUDITOR: {"facts": (_R,), "audit": (_R,), "heads": (_R,)},
    Role.CLOSURE: {
        # A guard that an operator removed must not come back with the next owner, who
        # ends what the last one told of.
        "facts": (_R,), "receipts": (_R, _W), "findings": (_R, _W), "dlq": (_W,),
    },
    Role.SENTINEL: {
        # What an owner of a partition told, the next one does not tell again. What it
        # finds of agents goes to the owner of their realm's own partition.
        "facts": (_R,), "receipts": (_R,), "access": (_R, _W), "findings": (_R, _W),
        "dlq": (_W,),
    },
    Role.NOTIFY: {
        # Silences are kept beside what ingress keeps.
        "facts": (_R,), "findings": (_R,), "dlq": (_W,), "sources": (_R, _W),
    },
    Role.INSIGHTS: {"facts": (_R,), "findings": (_R,), "invalidations": (_R,)},
    Role.PRUNE: {"facts": (_R, _W)},
    Role.RELAY: {"facts": (_R,), "receipts": (_W,)},
    Role.GUARD: {"facts": (_R,), "receipts": (_W,)},
}  # fmt: skip
# Who works with state looks whether its topic may lose it.
_LOOKING: Final = frozenset(Role) - {Role.TOPICS, Role.AUDITOR, Role.GUARD}
_GROUPS: Final = (
    Role.REGISTRY, Role.CLOSURE, Role.SENTINEL, Role.AUDIT, Role.NOTIFY, Role.INSIGHTS,
)  # fmt: skip


def acls(
    settings: KafkaSettings,
    users: Mapping[Role, str],
    raw: Iterable[str] = (),
    realms: Iterable[str] = ("default",),
) -> Iterator[Acl]:
    """All rights, role by role.

    Args:
        settings: of the layout.
        users: role to the user that plays it; others are called
            ``<prefix>-<role>``.
        raw: full names of the topics that sources publish to and ingress reads.
        realms: whose vendors ingress polls.
    """
    raw, realms = tuple(raw), tuple(realms)
    for role, rights in _RIGHTS.items():
        principal = f"User:{users.get(role, f'{settings.prefix}-{role}')}"
        for name, operations in rights.items():
            for operation in operations:
                yield Acl(principal, operation, "topic", settings.topic(name))
            if role in _LOOKING and name in COMPACTED:
                looking = Operation.DESCRIBE_CONFIGS
                yield Acl(principal, looking, "topic", settings.topic(name))
        for each in _own(role, settings, raw, realms):
            yield Acl(principal, *each)


def _own(
    role: Role, settings: KafkaSettings, raw: Iterable[str], realms: Iterable[str]
) -> Iterator[tuple[Operation, str, str]]:
    """Rights to what is no topic of the layout: operation, resource and name."""
    if role in _GROUPS:
        yield _R, "group", settings.group(role)
    if role is Role.INSIGHTS:
        for topic in changelogs(settings):
            for operation in (Operation.CREATE, Operation.DESCRIBE, _R, _W):
                yield operation, "topic", topic
    if role is Role.INGRESS:
        for topic in raw:
            yield _R, "topic", topic
            yield _R, "group", settings.group(f"{role}.{topic}")
        for realm in realms:
            yield _R, "group", polls_group(settings, realm)
