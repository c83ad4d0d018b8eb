"""What comes in, prepared to be written: all of ingress that needs no log.

`Intake` of `streams.services.ingest` appends a `PreparedBatch` to the log of the
engine, and answers with an `Acceptance` once that is durable.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from attrs import define, field, frozen

from agents_registry.facts import HOUR, Cause, fact_key
from schemas.codec import encode_fact
from schemas.errors import Fault, SchemaError
from streams.model.findings import FindingKind
from streams.model.records import Access, DeadLetter, Lifecycle
from streams.ports.fact_log import Encoded
from streams.ports.fact_log import (
    NotWrittenError as NotWrittenError,  # noqa: PLC0414 - whoever takes in meets it
)
from streams.services.event_id_conflicts import Looked, Memory
from streams.services.secret_names import SecretNames
from streams.stages.ingest.admission import Admission, Entitlements, admit
from streams.stages.ingest.dead_letters import Reasons, Refused, folded, number, refused
from streams.stages.ingest.source_health import Batch, newest_of
from streams.stages.ingest.source_notices import (
    collided,
    last_code,
    lost,
    nameless,
    unmapped,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agents_registry.facts import Fact
    from streams.model.records import Record
    from streams.ports.fact_log import FactKey
    from streams.services.ingest import Intake
    from streams.stages.ingest.ingress import Origin

MANY: Final = 100  # records and names in them: they are prepared within about 5 ms
REMEMBERED_LINES: Final = 100_000
# A log takes no record above 1 MiB, and a source would repeat it for ever.
MOST_FACT_BYTES: Final = 512 << 10

_Line = tuple[Any, ...]


def many(records: Sequence[Record]) -> bool:
    """Whether preparing the records would hold an event loop for too long.

    It goes by what they name: a single event may state hundreds of edges.
    """
    return len(records) > MANY or len(records) + sum(map(_names, records)) > MANY


def _names(record: Record) -> int:
    if isinstance(record, DeadLetter):
        return 0
    owners = len(record.owners) if isinstance(record, Lifecycle) else 0
    return sum(map(len, (record.identifiers, record.parents, record.ties))) + owners


@frozen
class Acceptance:
    """What ingress answers once all is durable.

    Attributes:
        accepted: records taken in; dead_letters: pieces that could not be.
        facts: facts that were written.
        token: every fact of this request lies before it.
        held: revocations that wait for a second person, and are not accepted.
        refused: the first reasons of the dead letters.
    """

    accepted: int
    dead_letters: int
    facts: int
    token: str
    held: int = 0
    refused: tuple[Refused, ...] = ()


class Speaker(NamedTuple):
    """On whose behalf something is taken in, and when."""

    origin: Origin
    rights: Entitlements


@define
class IntakeBatch:
    """A batch to be taken in: bytes that were read, and whose they are.

    Attributes:
        signals: what else the sentinel shall make findings of, JSON-ready.
        via: the way in, as `rescind sources` names it; by default the ingress key.
        joined: events whose halves came in two batches were put together.
        gap: from when to when (ns) the events before these are lost.
        loss: what happened to them, for people; by default that they are not kept.
    """

    records: Sequence[Record]
    origin: Origin
    rights: Entitlements
    point: str = ""
    signals: Sequence[dict[str, Any]] = ()
    via: str = ""
    joined: bool = False
    gap: tuple[int, int] | None = None
    loss: str = ""

    @property
    def name(self) -> str:
        """Name of the way in."""
        return self.via or self.origin.ingress_key


Complete = Callable[[IntakeBatch], Awaitable[IntakeBatch]]


async def as_it_is(delivery: IntakeBatch) -> IntakeBatch:
    """Add nothing to a delivery."""
    return delivery


@frozen
class PreparedBatch:
    """A batch that may be written, and what to remember once it is.

    Attributes:
        lines: uses whose lineage it states.
        looked: at its events, to know them by.
        batch: what is counted of it.
        held: revocations that are not in it, since they wait for a second person.
    """

    admission: Admission
    encoded: Sequence[Encoded]
    lines: frozenset[_Line] = frozenset()
    looked: Looked | None = None
    batch: Batch = field(factory=Batch)
    held: int = 0

    @property
    def accepted(self) -> int:
        """Count the records that were taken in."""
        return self.admission.accepted

    def receipt(self, facts: int, token: str) -> Acceptance:
        """Receipt of a batch of which so many facts were written."""
        letters, held = self.admission.dead_letters, self.held
        return Acceptance(
            self.accepted, number(letters), facts, token, held, refused(letters)
        )


Noted = Callable[[IntakeBatch, PreparedBatch], None]  # told of what was written


class Deduplicator:
    """Uses whose lineage was stated within the hour.

    The log would drop those facts by their keys; this spares making them.

    Attributes:
        secrets: names them, before anything else is made of a record.
        reasons: of dead letters, within the quota of each authority.
    """

    def __init__(self, key: FactKey = fact_key) -> None:
        """Start with none; ``key`` names records as the engine's log needs it."""
        self._key = key
        self.secrets = SecretNames()
        self._lines: dict[_Line, None] = {}
        self._events = Memory()
        self.reasons = Reasons()

    def prepare(
        self, delivery: IntakeBatch, fresh: str, *, again: bool = False
    ) -> PreparedBatch:
        """Do all that needs no log.

        Args:
            delivery: the batch.
            fresh: a unique id of it.
            again: it may be taken in again, and must become the same then: no quota.
        """
        origin, now = delivery.origin, delivery.origin.received_at
        unhashed = filter(None, map(self.secrets.unhashed, delivery.records))
        records = [self.secrets.conceal(each) for each in delivery.records]
        records += unhashed
        lines: set[_Line] = set()
        admission = admit(
            records,
            origin,
            delivery.rights,
            fresh=fresh,
            point=delivery.point,
            stated=self._test(origin, lines),
        )
        looked = self._events.look(records, origin.authority, joined=delivery.joined)
        unnamed = unmapped(admission.dead_letters)
        notices = nameless(unnamed, _signalled(admission), now)
        notices += collided(looked.differing, now)
        if delivery.gap is not None:
            notices.append(lost(*delivery.gap, now, delivery.loss))
        admission.signals += [each.signal(delivery.name) for each in notices]
        admission.signals += delivery.signals
        encoded = encode(admission.facts, origin, admission, self._key)
        letters = admission.dead_letters
        admission.dead_letters = (
            folded(letters)
            if again
            else self.reasons.within(letters, origin.authority, now)
        )
        batch = Batch(
            accepted=admission.accepted,
            dead_letters=number(letters),
            unmapped=number(unnamed),
            collisions=len(looked.differing),
            repeated=looked.repeated,
            newest=newest_of(records),
            reason=last_code(admission.dead_letters),
            gap=delivery.gap,
        )
        return PreparedBatch(admission, encoded, frozenset(lines), looked, batch)

    def remember(self, written: PreparedBatch) -> None:
        """Note that a batch is in the log."""
        if written.looked is not None:
            self._events.remember(written.looked.marks, written.looked.lines)
        self._lines.update(dict.fromkeys(written.lines))
        while len(self._lines) > REMEMBERED_LINES:
            del self._lines[next(iter(self._lines))]

    def _test(self, origin: Origin, lines: set[_Line]) -> Callable[[Access], bool]:
        hour = origin.received_at // HOUR

        def stated(use: Access) -> bool:
            line = (
                origin.authority, origin.ingress_key, hour, use.outcome == "denied",
                use.identifiers, use.parents, use.ties, use.issued_at,
                use.actor if origin.issuer_log else (),
            )  # fmt: skip
            if line in self._lines or line in lines:
                return True
            lines.add(line)
            return False

        return stated


def _signalled(admission: Admission) -> frozenset[str]:
    """Ids of events that are findings already."""
    return frozenset(one for each in admission.signals for one in each["event_ids"])


def encode(
    facts: Iterable[Fact], origin: Origin, admission: Admission, key: FactKey = fact_key
) -> list[Encoded]:
    """Keys and bytes of facts; a fact that does not fit the schema stays as it is."""
    encoded = []
    for fact in facts:
        try:
            value = encode_fact(fact)
            if len(value) > MOST_FACT_BYTES:
                raise SchemaError(Fault.MISFIT, "the fact is too large for the log")
            encoded.append(Encoded(key(origin.realm, fact), value, fact))
        except SchemaError as error:
            _misfit(fact, error, origin, admission)
    return encoded


def _misfit(
    fact: Fact, error: SchemaError, origin: Origin, admission: Admission
) -> None:
    letter = DeadLetter(origin.authority, 0, 0, f"misfit: {error}", fact.event_id)
    admission.dead_letters.append(letter)
    if isinstance(fact, Cause):
        signal = not_applied(fact.target, origin.received_at, letter.reason)
        admission.signals.append(signal)


def not_applied(
    presented: Sequence[str], at: int, detail: str, **more: Any
) -> dict[str, Any]:
    """Signal for the finding that a revocation is not applied, or may be missing."""
    kind = FindingKind.REVOCATION_NOT_APPLIED.value
    return {"kind": kind, "presented": [*presented], "at": at, "detail": detail, **more}


async def tell(log: Intake, signals: Sequence[dict[str, Any]], own: Origin) -> None:
    """Write signals that came with no records.

    Raises:
        NotWrittenError: they are not written.
    """
    if signals:
        await log.records(IntakeBatch((), own, Entitlements(()), signals=signals))
