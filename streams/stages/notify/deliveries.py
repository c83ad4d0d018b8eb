"""What notify deals with: routes, deliveries on their way, and what became of them.

Plain frozen values; `streams.stages.notify.state` holds them together.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from streams.model.findings import Severity

if TYPE_CHECKING:
    from streams.model.findings import Finding, FindingKind

IN_FLIGHT: Final = 16


class Activity(IntEnum):
    """What happened to a finding; OCSF ``activity_id`` of class 2004."""

    CREATE = 1
    UPDATE = 2
    CLOSE = 3


@frozen(kw_only=True)
class ReceiverRoute:
    """One receiver as the schedule sees it.

    Attributes:
        name: stable; a delivery finds its endpoint by it.
        minimum: findings below are not sent.
        kinds: only these; empty: all. So are realms and owners.
        updates: tell what changed between the first message and the last.
        in_flight: how many attempts may be under way.
        spacing: from one attempt to the next, at least (ns).
        repeat: an open finding is told again after so long (ns); 0: never. For
            receivers that forget.
    """

    name: str
    minimum: Severity = Severity.LOW
    kinds: frozenset[FindingKind] = frozenset()
    realms: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    updates: bool = True
    in_flight: int = IN_FLIGHT
    spacing: int = 0
    repeat: int = 0

    def wants(self, finding: Finding, activity: Activity = Activity.CREATE) -> bool:
        """Whether a message about a finding goes here."""
        return (
            finding.severity >= self.minimum
            and (not self.kinds or finding.kind in self.kinds)
            and (not self.realms or finding.realm in self.realms)
            and (not self.owners or finding.owner in self.owners)
            and (self.updates or activity is not Activity.UPDATE)
        )


@frozen(kw_only=True)
class Delivery:
    """One message to one receiver until it is accepted or given up.

    Attributes:
        id: the same in every attempt, and the receiver's key to drop repeats.
        number: of the message among those of its finding, from 1.
        created_at: when the message came to be (ns); its body is of that time.
        attempts: how many have failed.
        next_at: not to be tried before (ns), unless it was called.
        leased_until: an attempt is under way; after this one it counts as lost (ns).
        called: its receiver is back, so it is tried before its time.
        called_at: when it was called last (ns).
        refused: the receiver refused what the message says, so that it is back is no
            reason to call.
    """

    id: str
    number: int
    route: str
    activity: Activity
    finding: Finding
    created_at: int
    attempts: int = 0
    next_at: int
    leased_until: int = 0
    called: bool = False
    called_at: int = 0
    refused: bool = False

    @property
    def key(self) -> str:
        """Key of the delivery's row."""
        return f"delivery/{self.route}/{self.id}"

    @property
    def ready_at(self) -> int:
        """Time of the next attempt (ns), unless one is under way: 0 is at once."""
        return self.next_at if self.attempts and not self.called else 0


@frozen(kw_only=True)
class Announced:
    """A finding that receivers know of, or will once its silence ends.

    Attributes:
        messages: number of the last message made of it; stands in its id. 0: none was
            made, since it is silenced.
        at: when the last one was made (ns).
        waiting: the finding as it is now, if that was not told yet.
        order: of what waits, see `streams.stages.notify.notify.FindingChange`.
        count: of uses in what waits, or else in what was told last.
        told: the finding as it was told, where a route wants it repeated.
        repeat_at: when it is (ns).
        group: id of the group that it waits in or was told with; empty: of its own.
    """

    messages: int
    at: int
    waiting: Finding | None = None
    order: int = 0
    count: int = 0
    told: Finding | None = None
    repeat_at: int = 0
    group: str = ""


@frozen(kw_only=True)
class Group:
    """Posture findings of one kind that began together.

    Attributes:
        id: that of the finding that stands for them.
        owner: whose, where a receiver is told of some owners alone.
        first_at, last_at: when the first and the last one came (ns).
        begun: how many came in all.
        held: how many wait to be told.
        members: how many are open of those that the summary stands for.
        summary: as it was told, None while there is none.
    """

    id: str
    realm: str
    kind: FindingKind
    owner: str | None = None
    first_at: int
    last_at: int
    begun: int = 0
    held: int = 0
    members: int = 0
    summary: Finding | None = None

    @property
    def place(self) -> tuple[str, FindingKind, str | None]:
        """Common part of the members' findings."""
        return self.realm, self.kind, self.owner


@frozen(kw_only=True)
class AttemptOutcome:
    """How one attempt ended.

    Attributes:
        status: of the HTTP response; None when there was none.
        error: constant name of what went wrong, empty where there is a status.
        retry_after: what the receiver asked for, in ns.
    """

    status: int | None = None
    error: str = ""
    retry_after: int | None = None

    @property
    def accepted(self) -> bool:
        """Whether the receiver has it: RFC 9110 section 15.3, any 2xx."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004


@frozen(kw_only=True)
class LastAttempts:
    """How the last attempts at one receiver ended, since this process began.

    Attributes:
        delivered: when it took one last (ns); None: none yet.
        failed: when one failed last (ns); None: none yet.
        error: what went wrong then: a constant name, or the status of the response.
    """

    delivered: int | None = None
    failed: int | None = None
    error: str = ""

    def after(self, outcome: AttemptOutcome, now: int) -> LastAttempts:
        """Return what is known once another attempt has ended."""
        if outcome.accepted:
            return evolve(self, delivered=now)
        error = outcome.error or f"status {outcome.status}"
        return evolve(self, failed=now, error=error)


@frozen(kw_only=True)
class Dead:
    """A delivery that was given up, for the dead letters.

    Attributes:
        reason: ``exhausted``, ``endpoint_gone``, ``route_removed``, ``over``, and why.
    """

    delivery: Delivery
    reason: str
