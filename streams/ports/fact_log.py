"""The log of facts, and all that is written with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents_registry.facts import Fact
    from schemas.entries import Act
    from streams.model.records import DeadLetter
    from streams.ports.keyed_store import Put
    from streams.stages.access.uses import AccessEvent
    from streams.stages.ingest.ingress import Origin

FactKey = Callable[[str, "Fact"], str]  # of a realm and a fact


class NotWrittenError(Exception):
    """It cannot be written now: answer 503, the source repeats."""


class Encoded(NamedTuple):
    """A fact with its key and bytes, made before it is written."""

    key: str
    value: bytes
    fact: Fact


@frozen(kw_only=True)
class LogBatch:
    """What is appended together.

    Attributes:
        name: a unique id, by which is named what has no key of its own.
        origin: whose it is, and of which realm.
        facts: encoded with the key of the log.
        accesses, signals, dead_letters: stand behind the facts in the order of work.
        acts: of operators, on the facts.
        also: stands once all else does.
        place: of the record in a log of the engine that the batch was read from; a
            batch of the same place is the same batch.
    """

    name: str
    origin: Origin
    facts: Sequence[Encoded] = ()
    accesses: Sequence[AccessEvent] = ()
    signals: Sequence[dict[str, Any]] = ()
    dead_letters: Sequence[DeadLetter] = ()
    acts: Sequence[Act] = ()
    also: Sequence[Put] = ()
    place: object = None


class Appended(NamedTuple):
    """What became durable.

    Attributes:
        facts: how many were written; a log that knows its keys counts the new ones.
        token: consistency token; every fact of the batch lies before it.
    """

    facts: int
    token: str


class FactLog(Protocol):
    """The one log of facts of a realm.

    Durability: `append` returns once all of the batch is durable, and never before.
    Order: whoever reads an access, a signal or a keyed body of a batch finds the facts
    of that batch in the log. A batch may become durable in several steps, in this
    order: readers may meet a part of it, and after an error a part of it may stay.
    Idempotence: a batch that is appended again changes no table.
    """

    @property
    def key(self) -> FactKey:
        """Names facts as this log needs it."""
        ...

    async def append(self, batch: LogBatch, *, patient: bool = False) -> Appended:
        """Write a batch.

        Args:
            batch: what is written.
            patient: wait while the log takes nothing, instead of raising.

        Raises:
            NotWrittenError: not all of it is durable, whatever failed in the backend.
        """
        ...

    def written(self, realm: str) -> str:
        """Token of the last fact that this process wrote for a realm."""
        ...


def token_of(genesis: str, end: int, partition: int = 0) -> str:
    """Consistency token: genesis, partition, offset."""
    return f"{genesis}:{partition}:{end}"
