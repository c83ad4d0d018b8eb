"""Take events in: read, admit, write as one transaction, and only then say yes."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
from attrs import define, frozen

from agents_registry.facts import HOUR, Cause, Fact, fact_id
from schemas.codec import encode_fact
from schemas.errors import SchemaError
from streams.engine.failpoints import failpoint
from streams.engine.transaction import Encoded, Transaction
from streams.findings import FindingKind
from streams.records import Access, DeadLetter
from streams.stages.admission import Admission, Rights, admit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from streams.engine.store import Store
    from streams.records import Record
    from streams.stages.ingress import Origin

THREAD_FROM: Final = 64 << 10  # bytes; smaller bodies are read faster than handed over
MANY: Final = 200  # records; guards must get their pongs while a bulk is prepared
BLOCK: Final = 100  # access lines in one block
REMEMBERED_LINES: Final = 100_000
READER_FAILED: Final = (
    "reader_failed: {}; report this input's shape, the bytes were not kept"
)

_Line = tuple[Any, ...]


class Reader(Protocol):
    """What makes records of a source's bytes."""

    def records(self, data: bytes) -> Iterator[Record]:
        """Give the records of an input, in its order."""
        ...


@frozen
class Receipt:
    """What ingress answers once all is on disk.

    Attributes:
        accepted: records taken in; dead_letters: pieces that could not be.
        facts: facts that were new to the log.
        end: every fact of this request has an offset below it.
    """

    accepted: int
    dead_letters: int
    facts: int
    end: int


@define
class Delivery:
    """A batch to be taken in: bytes that were read, and whose they are."""

    records: Sequence[Record]
    origin: Origin
    rights: Rights
    point: str = ""


class Ingest:
    """The way into the log for sources, operators and watched files."""

    def __init__(self, store: Store, fresh_id: Callable[[], str]) -> None:
        """Write to a store; ``fresh_id`` gives unique ids."""
        self._store = store
        self._fresh_id = fresh_id
        self._lines: dict[_Line, None] = {}

    async def records(
        self,
        delivery: Delivery,
        also: Callable[[Transaction], None] | None = None,
        *,
        patient: bool = False,
    ) -> Receipt:
        """Admit records and write what gets in.

        Args:
            delivery: the batch.
            also: writes more in the same transaction (a file's position, an audit
                line).
            patient: wait for room on a full disk instead of raising.

        Raises:
            StoreBusyError: too much waits to be written.
            sqlite3.Error: the file could not be written.
        """
        origin = delivery.origin
        lines: set[_Line] = set()
        prepare = functools.partial(self._prepare, delivery, lines)
        if len(delivery.records) > MANY:
            admission, encoded, blocks = await asyncio.to_thread(prepare)
        else:
            admission, encoded, blocks = prepare()
        failpoint("ingress.admitted")

        def job(tx: Transaction) -> Receipt:
            facts = tx.add_facts(encoded)
            for block in blocks:
                tx.add_access(block, origin.received_at)
            tx.add_dead_letters(
                admission.dead_letters,
                authority=origin.authority,
                at=origin.received_at,
            )
            tx.add_signals(admission.signals)
            if also is not None:
                also(tx)
            accepted = admission.lifecycle + len(admission.accesses)
            return Receipt(accepted, len(admission.dead_letters), facts, tx.end)

        write = self._store.write_in_time if patient else self._store.write
        receipt = await write(job, urgent=True)
        self._remember(lines)
        return receipt

    async def facts(
        self, facts: Sequence[Fact], origin: Origin, *, actor: str, action: str
    ) -> Receipt:
        """Write an operator's facts and the audit line on them.

        Nothing is written where one of them does not fit the schema: the receipt
        counts those as dead letters.
        """
        admission = Admission()

        def prepare() -> tuple[list[Encoded], list[str]]:
            encoded = encode(facts, origin, admission)
            return encoded, [fact_id(each.fact).hex() for each in encoded]

        many = len(facts) > MANY
        encoded, detail = await asyncio.to_thread(prepare) if many else prepare()
        if admission.dead_letters:
            return Receipt(0, len(admission.dead_letters), 0, self._store.end)

        def job(tx: Transaction) -> Receipt:
            new = tx.add_facts(encoded)
            tx.add_audit(
                at=origin.received_at, actor=actor, action=action, detail=detail
            )
            return Receipt(len(encoded), 0, new, tx.end)

        return await self._store.write(job, urgent=True)

    def _prepare(
        self, delivery: Delivery, lines: set[_Line]
    ) -> tuple[Admission, list[Encoded], list[bytes]]:
        """Do all that needs no transaction; in a thread where it would take long."""
        origin = delivery.origin
        admission = admit(
            delivery.records,
            origin,
            delivery.rights,
            fresh=self._fresh_id(),
            point=delivery.point,
            stated=self._stated(origin, lines),
        )
        encoded = encode(admission.facts, origin, admission)
        return admission, encoded, list(_blocks(admission))

    def _remember(self, lines: Iterable[_Line]) -> None:
        self._lines.update(dict.fromkeys(lines))
        while len(self._lines) > REMEMBERED_LINES:
            del self._lines[next(iter(self._lines))]

    def _stated(self, origin: Origin, lines: set[_Line]) -> Callable[[Access], bool]:
        """Give a test for uses whose lineage was stated before within the hour.

        The log would drop those facts by their keys; this spares making them.
        """
        hour = origin.received_at // HOUR

        def stated(use: Access) -> bool:
            line = (
                origin.authority, origin.ingress_key, hour, use.outcome == "denied",
                use.identifiers, use.parents, use.ties, use.issued_at,
            )  # fmt: skip
            if line in self._lines or line in lines:
                return True
            lines.add(line)
            return False

        return stated


def encode(
    facts: Iterable[Fact], origin: Origin, admission: Admission
) -> list[Encoded]:
    """Give facts their keys and bytes; what does not fit the schema is kept as such."""
    encoded = []
    for fact in facts:
        try:
            encoded.append(Encoded.of(origin.realm, fact, encode_fact(fact)))
        except SchemaError as error:
            _misfit(fact, error, origin, admission)
    return encoded


def _misfit(
    fact: Fact, error: SchemaError, origin: Origin, admission: Admission
) -> None:
    letter = DeadLetter(origin.authority, 0, 0, f"misfit: {error}", fact.event_id)
    admission.dead_letters.append(letter)
    if isinstance(fact, Cause):
        admission.signals.append({
            "kind": FindingKind.REVOCATION_NOT_APPLIED.value,
            "presented": list(fact.target),
            "at": origin.received_at,
            "detail": letter.reason,
        })  # fmt: skip


def _blocks(admission: Admission) -> Iterator[bytes]:
    accesses = admission.accesses
    for start in range(0, len(accesses), BLOCK):
        block = accesses[start : start + BLOCK]
        yield orjson.dumps([use.to_plain() for use in block])


async def read(reader: Reader, data: bytes, source: str) -> list[Record]:
    """Give the records of some bytes; a reader that breaks gives a dead letter."""
    if len(data) < THREAD_FROM:
        return _read(reader, data, source)
    return await asyncio.to_thread(_read, reader, data, source)


def _read(reader: Reader, data: bytes, source: str) -> list[Record]:
    records: list[Record] = []
    try:
        records.extend(reader.records(data))
    except Exception as error:  # noqa: BLE001 - boundary: hostile bytes end here
        reason = READER_FAILED.format(type(error).__name__)
        records.append(DeadLetter(source, 0, len(data), reason))
    return records
