"""Acts that wait for a second person: what they are, and who may decide them.

An act is kept as the facts that it will write, so what is approved is what was
proposed, whatever happened to the settings since. The facts keep their versions: a
lift that was proposed before a suspend does not end it. One exception is an operator's
suspend or narrow: it is accepted with its approval, so no lift of before ends it.
Approving twice, at two
processes, writes the same facts twice, which is harmless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from unicodedata import normalize

import attrs
import orjson
from attrs import frozen

from agents_registry.facts import Cause, Effect, Lift, from_plain, to_plain
from agents_registry.steps import finish
from streams.model.times import rfc3339
from streams.stages.ingest.acts import KeptDecision
from streams.stages.ingest.entitlement import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier
    from agents_registry.steps import Steps

HELD: Final = "held"  # the kind of a revocation that waits for its reach
WHOLE: Final = 16  # facts of one statement that are kept with it


class UndecidedError(Exception):
    """An act cannot be decided so; the text says why.

    Attributes:
        expired: it waited too long.
    """

    def __init__(self, text: str, *, expired: bool = False) -> None:
        super().__init__(text)
        self.expired = expired


@frozen(kw_only=True)
class Pending:
    """An act that waits.

    Attributes:
        id: unique.
        kind: of the act, or `HELD`.
        summary: what it will do, in one line; names no secret.
        reason: why, as its proposer says.
        person: who proposed it.
        credential: name of the credential that it was proposed with.
        proposed_at: when (ns).
        expires_at: from when it is void (ns); None: never.
        authority: in whose name its facts speak.
        facts: what it writes. Of one statement on many names it is the first alone,
            and the names are kept beside it.
        names: how many these are; 0: the facts are all here.
        digest: of these names, see `streams.stages.ingest.order_names.digest_of`.
        due_at: when it is to be carried out (ns); None: as soon as it may be.
        kept: what is kept once it is approved, in place of facts.
        approved: another person approved it, so no limit holds it again.
    """

    id: str
    kind: str
    summary: str
    reason: str
    person: str
    credential: str
    proposed_at: int
    expires_at: int | None
    authority: str
    facts: tuple[Fact, ...]
    names: int = 0
    digest: str = ""
    due_at: int | None = None
    kept: KeptDecision | None = None
    approved: bool = False

    @property
    def count(self) -> int:
        """Facts that it writes."""
        return self.names or len(self.facts)

    def dump(self) -> bytes:
        """Bytes to keep."""
        plain = attrs.asdict(self, recurse=False)
        plain["kept"] = list(self.kept or ())
        for name in _LATER:  # an older process reads what it knows
            if not plain[name]:
                del plain[name]
        return orjson.dumps(plain | {"facts": [to_plain(one) for one in self.facts]})

    @classmethod
    def load(cls, body: bytes) -> Pending:
        """Read what `dump` gave.

        Raises:
            ValueError: it is not that.
        """
        try:
            plain: dict[str, Any] = orjson.loads(body)
            facts = tuple(from_plain(one) for one in plain["facts"])
            kept = KeptDecision(*plain["kept"]) if plain.get("kept") else None
            return cls(**plain | {"facts": facts, "kept": kept})
        except (KeyError, TypeError) as error:
            raise ValueError("not a pending act") from error

    def expired(self, now: int) -> bool:
        """Whether it waited too long."""
        return self.expires_at is not None and now >= self.expires_at

    @property
    def ends_at(self) -> int | None:
        """When the first of what it writes ends by itself (ns); None: never."""
        ends = [one.until for one in self.facts if isinstance(one, Cause)]
        return min((end for end in ends if end is not None), default=None)

    def check_effect(self, now: int) -> None:
        """Refuse to write what has no effect any more: nobody is to rely on it.

        Raises:
            UndecidedError: it would have ended by itself by now.
        """
        if self.ends_at is not None and now >= self.ends_at:
            text = f"it would have ended at {rfc3339(self.ends_at)}, and has no effect"
            raise UndecidedError(f"{text}: give the order again", expired=True)

    def check_approval(self, person: str, credential: str, now: int) -> None:
        """Check who approves it.

        Args:
            person: who.
            credential: name of the credential that it is approved with.
            now: ns since 1970.

        Raises:
            UndecidedError: it is void, has no effect, or the person proposed it.
        """
        if self.expired(now):
            text = "nobody approved it in time: propose it again"
            raise UndecidedError(text, expired=True)
        ours = {_folded(self.person), _folded(self.credential)}
        if ours & {_folded(person), _folded(credential)}:
            raise UndecidedError("you proposed it: another person has to approve it")
        self.check_effect(now)

    def written(self, now: int, names: Sequence[Identifier] = ()) -> tuple[Fact, ...]:
        """Facts to write at a time (ns); ``names`` are those that are kept beside."""
        return finish(self.writing(now, names))

    def writing(
        self, now: int, names: Sequence[Identifier] = ()
    ) -> Steps[tuple[Fact, ...]]:
        """Make the facts of `written`, in steps."""
        if not self.names:
            return tuple(attrs.evolve(one, received_at=now) for one in self.facts)
        (first,) = self.facts
        assert isinstance(first, Cause | Lift)  # noqa: S101 - see `in_parts`
        found: list[Fact] = []
        for number, name in enumerate(names, 1):
            event_id = f"{self.id}/{number}"
            found.append(
                attrs.evolve(first, target=name, event_id=event_id, received_at=now)
            )
            yield
        return tuple(found)

    def accepted(
        self, now: int, names: Sequence[Identifier] = ()
    ) -> Steps[tuple[Fact, ...]]:
        """Make the facts of `written` as they are once a second person approved them.

        What a source suspended keeps the source's version: its own lift may be newer.
        """
        facts = yield from self.writing(now, names)
        if self.authority != OPERATORS:
            return facts
        found: list[Fact] = []
        for fact in facts:
            yield
            found.append(_of_now(fact, now))
        return tuple(found)


def _of_now(fact: Fact, now: int) -> Fact:
    if isinstance(fact, Cause) and fact.effect in (Effect.SUSPEND, Effect.NARROW):
        return attrs.evolve(fact, version=max(fact.version, now))
    return fact


@frozen
class Scheduled:
    """An act that is kept until its time."""

    order: Pending


_LATER: Final = ("names", "digest", "due_at", "kept", "approved")


def in_parts(facts: Sequence[Fact]) -> tuple[Identifier, ...]:
    """Names of one statement that are too many to be kept with it; else none."""
    if len(facts) <= WHOLE:
        return ()
    return tuple(one.target for one in facts if isinstance(one, Cause | Lift))


def _folded(name: str) -> str:
    """One spelling for each person, however the name is written."""
    return normalize("NFKC", name).strip().casefold()
