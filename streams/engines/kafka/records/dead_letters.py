"""Records of the topic ``dlq``: what could not be taken in, or not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from schemas.codec import in_force
from streams.engines.kafka.records.codec import Outgoing, cloud_event, partition_of

if TYPE_CHECKING:
    from streams.engines.kafka.records.poison import Poison
    from streams.model.records import DeadLetter
    from streams.stages.ingest.ingress import Origin


MOST_REASON: Final = 4096  # it may quote an identifier


class KafkaPlace(NamedTuple):
    """Where a record lies in Kafka; what is made of it can be named by that.

    Attributes:
        topic: its full name.
        at: when the broker took it, in nanoseconds.
        length: of its value; digest: its keyed hash, None without a key.
    """

    topic: str
    partition: int
    offset: int
    at: int = 0
    length: int = 0
    digest: str | None = None

    def __str__(self) -> str:
        """Topic, partition and offset; no topic's name holds a slash."""
        return f"{self.topic}/{self.partition}/{self.offset}"


def dead_letter_record(
    letter: DeadLetter,
    origin: Origin,
    partitions: int,
    identity: str,
    place: KafkaPlace | None = None,
) -> Outgoing:
    """Record of a dead letter of ingress.

    Args:
        letter: what could not be used.
        origin: where it came from.
        partitions: of ``dlq``.
        identity: unique, or the same whenever the same bytes are taken in again.
        place: of the record of a raw topic that it stands in.
    """
    record = {
        "realm": origin.realm,
        "source": letter.source,
        "authority": origin.authority,
        "reason": letter.reason[:MOST_REASON],
        "offset": letter.offset,
        "partition": None,
        "length": letter.length,
        "digest": letter.digest or None,
        "event_id": letter.event_id,
        "at": origin.received_at,
        "count": letter.pieces,
        "last_offset": letter.offset + letter.span,
    }
    if place is not None:
        inside = f"; in the record at byte {letter.offset}" if letter.offset else ""
        record |= {
            "source": place.topic,
            "reason": f"{letter.reason[:MOST_REASON]}{inside}",
            "offset": place.offset,
            "partition": place.partition,
            "length": letter.length or place.length,
            "digest": letter.digest or place.digest,
            "at": place.at or origin.received_at,
            "last_offset": None,
        }
    return _dead(record, partition_of(origin.realm, partitions), identity)


def poison_record(place: KafkaPlace, poison: Poison, partitions: int) -> Outgoing:
    """Dead letter of a record that cannot be read.

    Its place is the key, and nothing in it depends on who reads it when.
    """
    record = {
        "realm": "",
        "source": place.topic,
        "authority": "",
        "reason": poison.reason,
        "offset": poison.offset,
        "partition": place.partition,
        "length": poison.length,
        "digest": poison.digest,
        "at": poison.at,
    }
    return _dead(record, place.partition % partitions, str(place))


def _dead(record: dict[str, Any], partition: int, identity: str) -> Outgoing:
    return Outgoing(
        partition=partition,
        key=identity.encode(),
        value=in_force().encode("dead_letter", record),
        headers=cloud_event(
            identity,
            source=f"/sources/{quote(record['source'], safe='')}",
            kind="dead-letter",
            time=record["at"],
        ),
    )
