"""Records of what the stages tell: the topics ``invalidations`` and ``findings``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agents_registry.identifiers import Identifier
from schemas.codec import in_force
from streams.engines.kafka.records.accesses import OPEN
from streams.engines.kafka.records.codec import Outgoing, cloud_event, partition_of
from streams.stages.sentinel.saved_episodes import to_plain

if TYPE_CHECKING:
    from agents_registry.death import Death
    from streams.stages.sentinel.episode import Episode


REOPENED: Final = "rescind-reopened"
JUDGED: Final = "rescind-judged"


def invalidation_record(
    place: tuple[str, int, int], realm: str, identifier: Identifier, death: Death
) -> Outgoing:
    """Record that tells subscribers of ids that one is dead.

    Args:
        place: genesis and partition of the facts, and the offset it is true as of.
        realm: whose identifier it is.
        identifier: the dead one.
        death: why.
    """
    genesis, partition, as_of = place
    cause = death.cause
    record = {
        "genesis": genesis,
        "partition": partition,
        "realm": realm,
        "identifier": str(identifier),
        "cause": cause.fact_id,
        "target": str(cause.target),
        "effect": cause.effect.value,
        "path": [str(name) for name in death.path],
        "authority": cause.authority,
        "at": cause.at,
        "until": cause.until,
        "as_of": as_of,
    }
    key = f"{realm}/{identifier}/{cause.fact_id}"
    return Outgoing(
        partition=partition,
        key=key.encode(),
        value=in_force().encode("invalidation", record),
        headers=cloud_event(
            key, source=f"/realms/{realm}", kind="invalidation", time=cause.at
        ),
    )


def finding_record(
    episode: Episode,
    partitions: int,
    traceparent: str | None = None,
    judged: int | None = None,
) -> Outgoing:
    """Record of a finding as it is now; the key is that of its episode.

    Args:
        episode: that it is about.
        partitions: of the topic.
        traceparent: of what led to it.
        judged: every access below this offset was judged by then.
    """
    finding = episode.finding
    headers = cloud_event(
        f"{finding.id}/{episode.revision}",
        source=f"/realms/{finding.realm}",
        kind="finding",
        time=finding.last_seen,
        traceparent=traceparent,
    )
    return Outgoing(
        partition=partition_of(finding.realm, partitions),
        key=f"{finding.realm}/{finding.id}".encode(),
        value=in_force().encode("finding", to_plain(finding)),
        headers=(
            *headers,
            (OPEN, b"1" if episode.open else b"0"),
            (REOPENED, str(episode.reopened).encode()),
            *(() if judged is None else ((JUDGED, str(judged).encode()),)),
        ),
    )
