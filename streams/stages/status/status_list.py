"""Token Status List: many statuses in one small array (draft-ietf-oauth-status-list).

A list holds one value of 1, 2, 4 or 8 bits for each index, packed into bytes from
the least significant bit on (section 4.1). What no credential was given stays VALID,
so nobody can tell how many there are (section 13.3).
"""

from __future__ import annotations

import base64
import zlib
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, Self

from attrs import frozen

from agents_registry.death import Fate
from agents_registry.facts import Effect
from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from agents_registry.presentation import Presented
from agents_registry.verdict import Policy, UnknownPolicy, judging

if TYPE_CHECKING:
    from agents_registry.causes import CauseRef
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

WIDTHS: Final = (1, 2, 4, 8)  # bits of one status
MOST: Final = 1 << 24  # entries; more in one list is an attack on whoever unpacks it
_LIFTABLE: Final = frozenset({Effect.SUSPEND, Effect.NARROW})
_LENIENT: Final[UnknownPolicy] = "allow_and_report"


class Status(IntEnum):
    """The status types that Rescind uses (section 7.1)."""

    VALID = 0
    INVALID = 1
    SUSPENDED = 2


@frozen
class StatusEntry:
    """A credential that was given an index, as a guard would see it presented.

    Attributes:
        identifiers: the names of the credential, and of what it acts for.
        issued_at: when it was issued (ns).
        chain: its delegation chain, nearest actor first.
    """

    identifiers: tuple[Identifier, ...]
    issued_at: int
    chain: tuple[Identifier, ...] = ()

    @property
    def presented(self) -> Presented:
        """Presentation that is judged."""
        return Presented(self.identifiers, self.issued_at, self.chain)

    def to_plain(self) -> list[Any]:
        """Entry as JSON can hold it."""
        names, chain = map(list, self.identifiers), map(list, self.chain)
        return [list(names), self.issued_at, list(chain)]

    @classmethod
    def from_plain(cls, plain: list[Any]) -> Self:
        """Take up what `to_plain` gave."""
        names, issued_at, chain = plain
        return cls(_identifiers(names), issued_at, _identifiers(chain))


class StatusList:
    """The statuses of a list, by index.

    Attributes:
        bits: of one status.
        array: the statuses, packed.
    """

    def __init__(self, bits: int, size: int) -> None:
        """Start with everything VALID.

        Args:
            bits: 1, 2, 4 or 8.
            size: how many indices, rounded up to whole bytes.

        Raises:
            ValueError: either is not allowed.
        """
        if bits not in WIDTHS:
            raise ValueError(f"a status has 1, 2, 4 or 8 bits, not {bits}")
        if not 0 < size <= MOST:
            raise ValueError(f"a status list has 1 to {MOST} entries, not {size}")
        self.bits = bits
        self.array = bytearray(-(-size * bits // 8))

    def __len__(self) -> int:
        return len(self.array) * 8 // self.bits

    def __setitem__(self, index: int, status: int) -> None:
        """Set the status at an index.

        Raises:
            IndexError: the list does not reach so far.
            ValueError: the status needs more bits.
        """
        mask = (1 << self.bits) - 1
        if not 0 <= status <= mask:
            raise ValueError(f"{status} does not fit {self.bits} bits")
        if not 0 <= index < len(self):
            raise IndexError(f"the list has {len(self)} entries, there is no {index}")
        place, shift = divmod(index * self.bits, 8)
        kept = self.array[place] & ~(mask << shift)
        self.array[place] = kept | status << shift

    def to_json(self) -> dict[str, Any]:
        """Form of the list in a token (section 4.2)."""
        packed = base64.urlsafe_b64encode(zlib.compress(self.array, 9))
        return {"bits": self.bits, "lst": packed.rstrip(b"=").decode()}


def policy_for(registry: Registry) -> Policy:
    """Policy of a list: whoever asked for an index vouches for the credential."""
    return Policy(dict.fromkeys(registry.lineage.vocabulary, _LENIENT))


def judging_now(
    registry: Registry, entry: StatusEntry, now: int, policy: Policy
) -> Steps[Status]:
    """Judge an entry with all its ancestors, as a guard would, in one step at least.

    Args:
        registry: the table of the realm.
        entry: what the index was given to.
        now: the clock (ns).
        policy: of `policy_for`, made once for many entries.
    """
    yield
    verdict = yield from judging(registry, entry.presented, now=now, policy=policy)
    # A principal that no fact knows is no reason: it is judged by its causes.
    if verdict.allowed or verdict.reason is Reason.UNKNOWN_CREDENTIAL:
        return Status.VALID
    return _worse(Status.VALID, verdict.cause)


def judging_at(registry: Registry, entry: StatusEntry, at: int) -> Steps[Status]:
    """Judge an entry as of a time (ns), in one step at least; expiry is no cause.

    A cause at exactly that time counts.
    """
    yield
    worst = Status.VALID
    fate = Fate(registry, entry.presented)
    for cause in (yield from fate.causing(at=at, inclusive=True)):
        worst = _worse(worst, cause)
    return worst


def _identifiers(plain: list[list[str]]) -> tuple[Identifier, ...]:
    return tuple(Identifier(*name) for name in plain)


def _worse(known: Status, cause: CauseRef | None) -> Status:
    """Worse of two statuses: INVALID is for good."""
    liftable = cause is not None and cause.effect in _LIFTABLE
    if liftable and known is not Status.INVALID:
        return Status.SUSPENDED
    return Status.INVALID
