"""The records of all topics but ``facts``: what stands in them, and how it is read."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from attrs import frozen

from agents_registry.identifiers import Identifier
from schemas.codec import in_force
from schemas.errors import Fault, SchemaError
from streams.engines.kafka.records.codec import (
    Outgoing,
    access_partition_of,
    cloud_event,
    partition_of,
)
from streams.engines.kafka.records.scope_uses import AFTER, ScopeUse, read_scope_use
from streams.model.findings import FindingKind
from streams.stages.access.columns import Lines
from streams.stages.access.uses import AccessEvent
from streams.stages.sentinel.episodes import to_plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agents_registry.death import Death
    from streams.engines.kafka.records.poison import Poison
    from streams.model.records import DeadLetter
    from streams.stages.ingest.ingress import Origin
    from streams.stages.sentinel.acted import AgentUse
    from streams.stages.sentinel.episodes import Episode

LINES: Final = 1000  # access lines in one block, most often about 64 KiB
BLOCK_BYTES: Final = 64 << 10
MOST_REASON: Final = 4096  # it may quote an identifier
OPEN: Final = "rescind-open"
REOPENED: Final = "rescind-reopened"
JUDGED: Final = "rescind-judged"


@frozen
class Accesses:
    """A block of accesses.

    Attributes:
        after: judge it once every fact below this offset is applied.
    """

    realm: str
    after: int
    lines: Lines


@frozen
class Signal:
    """What ingress saw by itself; ``values`` are the sentinel's."""

    realm: str
    values: Mapping[str, Any]


def access_records(
    uses: Iterable[AccessEvent], origin: Origin, after: int, partitions: int, fresh: str
) -> Iterator[Outgoing]:
    """Return the records of a batch's accesses, a block for each point.

    Args:
        uses: in their order.
        origin: where they came from.
        after: the end of the realm's facts that were written with or before them.
        partitions: of the topic ``access``.
        fresh: a unique id of the batch.
    """
    by_point: dict[str, list[AccessEvent]] = {}
    for use in uses:
        by_point.setdefault(use.point, []).append(use)
    numbers = itertools.count()
    for point, all_of_it in by_point.items():
        for block in _blocks(all_of_it):
            yield _block(
                block, point, origin, after, partitions, f"{fresh}/a{next(numbers)}"
            )


def _blocks(uses: Iterable[AccessEvent]) -> Iterator[list[AccessEvent]]:
    """Cut uses into blocks; one that is larger than a block stands alone."""
    block: list[AccessEvent] = []
    filled = 0
    for use in uses:
        size = sum(len(name.value) + 32 for name in use.identifiers) + 40
        size += len(use.owner or "") + len(use.event_id or "")
        size += sum(len(scope) + 4 for scope in use.scopes or ())
        size += sum(len(text or "") + 4 for text in use.caller or ())
        if block and (len(block) == LINES or filled + size > BLOCK_BYTES):
            yield block
            block, filled = [], 0
        block.append(use)
        filled += size
    if block:
        yield block


def _block(
    block: Sequence[AccessEvent],
    point: str,
    origin: Origin,
    after: int,
    partitions: int,
    identity: str,
) -> Outgoing:
    try:
        columns = Lines.of(block).columns()
    except ValueError as error:
        message = "an access holds what no record may hold"
        raise SchemaError(Fault.MISFIT, message) from error
    record = {
        "realm": origin.realm,
        "point": point,
        "authority": origin.authority,
        "received_at": origin.received_at,
        "ingress_key": origin.ingress_key,
        **columns,
    }
    headers = cloud_event(
        identity, source=_source(origin), kind="access", time=origin.received_at
    )
    return Outgoing(
        partition=access_partition_of(origin.realm, point, partitions),
        key=f"{origin.realm}/{point}".encode(),
        value=in_force().encode("access_lines", record),
        headers=(*headers, (AFTER, str(after).encode())),
    )


def signal_records(
    signals: Iterable[Mapping[str, Any]], origin: Origin, partitions: int, fresh: str
) -> Iterator[Outgoing]:
    """Return the records of what ingress saw by itself, for the topic ``access``."""
    for number, signal in enumerate(signals):
        point = signal.get("point", "")
        record = {
            "realm": origin.realm,
            "kind": signal["kind"],
            "presented": str(Identifier(*signal["presented"])),
            "point": point,
            "at": signal["at"],
            "event_ids": list(signal.get("event_ids", ())),
            "detail": signal.get("detail", ""),
            "ended_by": signal.get("ended_by"),
            "reason": signal.get("reason"),
        }
        yield Outgoing(
            partition=access_partition_of(origin.realm, point, partitions),
            key=f"{origin.realm}/{point}".encode(),
            value=in_force().encode("signal", record),
            headers=(
                *cloud_event(
                    f"{fresh}/s{number}",
                    source=_source(origin),
                    kind="signal",
                    time=origin.received_at,
                ),
                (OPEN, b"0" if signal.get("over") else b"1"),
            ),
        )


def agent_record(
    use: AgentUse, realm: str, partitions: int, identity: str, now: int
) -> Outgoing:
    """Record of uses by an agent that nobody declared, a signal.

    It lies in the partition of the realm's own findings, whatever its point.

    Args:
        use: what a point tells.
        realm: whose it is.
        partitions: of the topic ``access``.
        identity: of the record.
        now: ns.
    """
    signal = use.signal()
    record = signal | {"realm": realm, "presented": str(use.agent)}
    headers = cloud_event(identity, source=f"/realms/{realm}", kind="signal", time=now)
    return Outgoing(
        partition=access_partition_of(realm, "", partitions),
        key=f"{realm}/".encode(),
        value=in_force().encode("signal", record),
        headers=(*headers, (OPEN, b"1")),
    )


def read_access(
    value: bytes | None, headers: Sequence[tuple[str, bytes]]
) -> Accesses | Signal | ScopeUse:
    """Read one record of the topic ``access``.

    Raises:
        SchemaError: it is none that we can read.
    """
    name, _, record = in_force().decode(value or b"")
    try:
        if name == "signal":
            realm = record.pop("realm")
            record["presented"] = list(Identifier.parse(record["presented"]))
            record["kind"] = FindingKind(record["kind"]).value
            record["over"] = dict(headers).get(OPEN) == b"0"
            return Signal(realm, record)
        after = int(dict(headers).get(AFTER, b"0"))
        if name == "scope_use":
            return read_scope_use(record, after)
        if name == "access_lines":
            lines = Lines.read((record["point"],), record)
        elif name == "access":  # as earlier versions wrote it
            point, received_at = record["point"], record["received_at"]
            lines = Lines.of(
                _seen(line, point, received_at) for line in record["lines"]
            )
        else:
            raise SchemaError(
                Fault.NOT_A_FACT, f"a {name} record has no place in access"
            )
        return Accesses(record["realm"], after, lines)
    except ValueError as error:
        message = f"a field of this {name} cannot be read"
        raise SchemaError(Fault.UNDECODABLE, message) from error


def _seen(line: Mapping[str, Any], point: str, received_at: int) -> AccessEvent:
    at = line["occurred_at"]
    return AccessEvent(
        identifiers=tuple(Identifier.parse(name) for name in line["identifiers"]),
        point=point,
        outcome=line["outcome"],
        at=received_at if at is None else at,
        event_id=line["event_id"],
        owner=line["owner"],
        applied=line["applied"],
        scopes=None if line["scope"] is None else tuple(line["scope"]),
    )


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


def _source(origin: Origin) -> str:
    authority = quote(origin.authority, safe="")
    return f"/realms/{origin.realm}/authorities/{authority}"
