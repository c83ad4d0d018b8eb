"""Records of the topic ``access``: accesses in blocks, and what ingress saw itself."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from agents_registry.identifiers import Identifier
from schemas.codec import in_force
from schemas.errors import Fault, SchemaError
from streams.engines.kafka.records.codec import (
    Outgoing,
    access_partition_of,
    cloud_event,
)
from streams.engines.kafka.records.scope_uses import AFTER, read_scope_use
from streams.model.findings import FindingKind
from streams.pipeline.access_records import Accesses, AccessRecord, Signal
from streams.stages.access.columns import AccessColumns
from streams.stages.access.uses import AccessEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from streams.stages.ingest.ingress import Origin
    from streams.stages.sentinel.acted import AgentUse

LINES: Final = 1000  # access lines in one block, most often about 64 KiB
BLOCK_BYTES: Final = 64 << 10
OPEN: Final = "rescind-open"


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
        columns = AccessColumns.of(block).columns()
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
            "authority": signal.get("authority"),
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
) -> AccessRecord:
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
            lines = AccessColumns.read((record["point"],), record)
        elif name == "access":  # as earlier versions wrote it
            point, received_at = record["point"], record["received_at"]
            lines = AccessColumns.of(
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


def _source(origin: Origin) -> str:
    authority = quote(origin.authority, safe="")
    return f"/realms/{origin.realm}/authorities/{authority}"
