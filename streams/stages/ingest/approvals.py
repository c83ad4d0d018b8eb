"""Acts that wait for a second person: what they are, and who may decide them.

An act is kept as the facts that it will write, so what is approved is what was
proposed, whatever happened to the settings since. The facts keep their versions: a
lift that was proposed before a suspend does not end it. Approving twice, at two
processes, writes the same facts twice, which is harmless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
import orjson
from attrs import frozen

from agents_registry.facts import from_plain, to_plain

if TYPE_CHECKING:
    from agents_registry.facts import Fact

HELD: Final = "held"  # the kind of a revocation that waits for its reach


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
        facts: what it writes.
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

    def dump(self) -> bytes:
        """Bytes to keep."""
        plain = attrs.asdict(self, recurse=False)
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
            return cls(**plain | {"facts": facts})
        except (KeyError, TypeError) as error:
            raise ValueError("not a pending act") from error

    def expired(self, now: int) -> bool:
        """Whether it waited too long."""
        return self.expires_at is not None and now >= self.expires_at

    def approved(self, person: str, credential: str, now: int) -> tuple[Fact, ...]:
        """Facts to write on approval.

        Args:
            person: who.
            credential: name of the credential that it is approved with.
            now: ns since 1970.

        Raises:
            UndecidedError: it is void, or the person proposed it.
        """
        if self.expired(now):
            text = "nobody approved it in time: propose it again"
            raise UndecidedError(text, expired=True)
        ours = {_folded(self.person), _folded(self.credential)}
        if ours & {_folded(person), _folded(credential)}:
            raise UndecidedError("you proposed it: another person has to approve it")
        return tuple(attrs.evolve(one, received_at=now) for one in self.facts)


def _folded(name: str) -> str:
    """One spelling for each person, however the name is written."""
    return name.strip().casefold()
