"""How a stream is: one small record, kept over restarts, changed by pure steps.

- A verification event proves the whole way from the transmitter to us; so does any
  other event. A stream from which neither came for too long is silent.
- `stream-updated` says that the transmitter pauses or ends a stream. It may drop what
  happens meanwhile, and a receiver cannot know what it lost: when the stream flows
  again, the time between is a gap.

Source: OpenID Shared Signals Framework 1.0 sections 8.1.2 and 8.1.4.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import attrs
import orjson
from attrs import frozen

from streams.model.findings import FindingKind
from streams.model.times import rfc3339
from streams.stages.ingest.source_notices import SourceNotice

ENABLED: Final = "enabled"
UNKNOWN: Final = "unknown"
STATES: Final = 8  # of verifications that were asked for and may still come
LATE: Final = "no event and no verification came since {}; look at the transmitter"
STOPPED: Final = (
    "the transmitter {} the stream{}, told at {}; the last event before that came at "
    "{}; what it holds back is not enforced"
)
GAP: Final = (
    "the stream stood still from {} to {}, and the transmitter may have dropped "
    "events: compare its users and sessions with ours"
)


@frozen
class StreamHealth:
    """What is known of a stream; all times in ns since 1970, None: never.

    Attributes:
        status: enabled, paused, disabled; unknown until the transmitter said it.
        reason: of the status, in the transmitter's words.
        since: when the status changed.
        started_at: when we first listened; silence counts from here at first.
        heard_at: when the last good SET came that is newer than all before it.
        newest: ``iat`` of that one (s); said: that of the last stream-updated.
        verified_at: when the last verification event came.
        asked: states of verifications asked for and not yet answered, newest last.
        answered: those whose time has passed: they came, or a later one did.
        asked_at: when one was last asked for.
        accepted: good SETs; refused: those that were not.
        refusal: error code of the last refused one; refused_at: when.
        gap: the last time that events may be missing from, begin and end.
        silent: nothing came for too long, and nothing did since.
        told: the finding on that is open.
        trouble: what the last call to the management API failed with, "" if it did
            not; poll_trouble: the same of the last poll.
    """

    status: str = UNKNOWN
    reason: str = ""
    since: int | None = None
    started_at: int | None = None
    heard_at: int | None = None
    newest: float = 0.0
    said: float = 0.0
    verified_at: int | None = None
    asked: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()
    asked_at: int | None = None
    accepted: int = 0
    refused: int = 0
    refusal: str = ""
    refused_at: int | None = None
    gap: tuple[int, int] | None = None
    silent: bool = False
    told: bool = False
    trouble: str = ""
    poll_trouble: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing is known against the stream."""
        trouble = self.silent or self.trouble or self.poll_trouble
        return self.status in (ENABLED, UNKNOWN) and not trouble


Step: TypeAlias = tuple[StreamHealth, tuple[SourceNotice, ...]]


def heard(health: StreamHealth, issued: float, now: int) -> StreamHealth:
    """Note a good SET.

    One that is not newer than what came before says nothing about the stream now: it
    may be late, or a copy that somebody sends to hide that the stream is cut.
    """
    health = attrs.evolve(health, accepted=health.accepted + 1)
    if issued <= health.newest:
        return health
    return attrs.evolve(health, newest=issued, heard_at=now, silent=False)


def refused(health: StreamHealth, err: str, now: int) -> StreamHealth:
    """Note a refused SET."""
    return attrs.evolve(health, refused=health.refused + 1, refusal=err, refused_at=now)


def asked(health: StreamHealth, state: str, now: int) -> StreamHealth:
    """Note that a verification was asked for; the older ones may still come."""
    return attrs.evolve(health, asked=(*health.asked, state)[-STATES:], asked_at=now)


def verified(
    health: StreamHealth, state: str | None, issued: float, now: int
) -> StreamHealth | None:
    """Note a verification event; None: its state is none that we asked with.

    Without a state the transmitter sent it by itself, and it may be a copy. One that
    comes again, or after a later one, is good and proves nothing: transmitters repeat
    what they got no answer for.
    """
    after = heard(health, issued, now)
    if state is None:
        return after if after.newest == health.newest else _proven(after, now)
    if state in health.answered:
        return after
    if state not in health.asked:
        return None
    end = health.asked.index(state) + 1
    gone = (*health.answered, *health.asked[:end])[-STATES:]
    return attrs.evolve(_proven(after, now), asked=health.asked[end:], answered=gone)


def proven(health: StreamHealth, issued: float, now: int) -> StreamHealth:
    """Note a verification event that another process asked for."""
    return _proven(heard(health, issued, now), now)


def alongside(health: StreamHealth, other: StreamHealth) -> StreamHealth:
    """Record with what another process heard of the same stream."""
    heard_at = max(health.heard_at or 0, other.heard_at or 0) or None
    verified_at = max(health.verified_at or 0, other.verified_at or 0) or None
    if (heard_at, verified_at) == (health.heard_at, health.verified_at):
        return health
    return attrs.evolve(
        health, heard_at=heard_at, verified_at=verified_at, silent=False
    )


def _proven(health: StreamHealth, now: int) -> StreamHealth:
    return attrs.evolve(health, verified_at=now, heard_at=now, silent=False)


def announced(
    health: StreamHealth, status: str, reason: str, issued: float, now: int
) -> Step:
    """Note a stream-updated event; one that a newer one overtook changes nothing."""
    if issued < health.said:
        return heard(health, issued, now), ()
    # It is not the last event before itself.
    after, notices = updated(attrs.evolve(health, said=issued), status, reason, now)
    return heard(after, issued, now), notices


def updated(health: StreamHealth, status: str, reason: str, now: int) -> Step:
    """Note what the transmitter says of the stream; a change is a notice."""
    before = health.status
    if status == before:
        return attrs.evolve(health, reason=reason), ()
    after = attrs.evolve(health, status=status, reason=reason, since=now)
    if status != ENABLED:
        if before not in (ENABLED, UNKNOWN):
            after = attrs.evolve(after, since=health.since)  # it stands still already
        why = f" ({reason})" if reason else ""
        last = (
            "an unknown time" if health.heard_at is None else rfc3339(health.heard_at)
        )
        detail = STOPPED.format(status, why, rfc3339(now), last)
        return after, (SourceNotice(FindingKind.SOURCE_STOPPED, now, detail),)
    if before == UNKNOWN:
        return after, ()
    gap = (now if health.since is None else health.since, now)
    detail = GAP.format(*map(rfc3339, gap))
    flows = SourceNotice(FindingKind.SOURCE_STOPPED, now, over=True)
    lost = SourceNotice(FindingKind.SOURCE_GAP, now, detail)
    return attrs.evolve(after, gap=gap), (flows, lost)


def waited(health: StreamHealth, patience: int, now: int) -> Step:
    """Look whether a stream has been silent for too long, or is so no more.

    Args:
        health: of the stream.
        patience: ns without any event after which it is silent; 0: never.
        now: ns.
    """
    if health.started_at is None:
        return attrs.evolve(health, started_at=now), ()
    last = max(health.started_at, health.heard_at or 0)
    silent = bool(patience) and (health.silent or now - last > patience)
    after = attrs.evolve(health, silent=silent, told=silent)
    if silent == health.told:
        return after, ()
    detail = LATE.format(rfc3339(last)) if silent else ""
    return after, (
        SourceNotice(FindingKind.SOURCE_SILENT, now, detail, over=not silent),
    )


def save(health: StreamHealth) -> bytes:
    """Record as bytes."""
    return orjson.dumps(attrs.asdict(health))


def load(data: bytes) -> StreamHealth:
    """Read what `save` gave; members of other versions are left out."""
    plain: dict[str, Any] = orjson.loads(data)
    known = {one.name for one in attrs.fields(StreamHealth)}
    values = {name: value for name, value in plain.items() if name in known}
    for name in ("asked", "answered"):
        values[name] = tuple(values.get(name, ()))
    values["gap"] = tuple(values["gap"]) if values.get("gap") else None
    return StreamHealth(**values)


def to_plain(name: str, stream_id: str, health: StreamHealth) -> dict[str, Any]:
    """State of a stream for the API; times as RFC 3339."""
    times = {
        member: rfc3339(getattr(health, member))
        for member in ("since", "heard_at", "verified_at", "asked_at", "refused_at")
    }
    return {
        "name": name,
        "stream_id": stream_id,
        "good": health.good,
        "status": health.status,
        "reason": health.reason,
        **times,
        "outstanding": len(health.asked),
        "accepted": health.accepted,
        "refused": health.refused,
        "refusal": health.refusal,
        "gap": None if health.gap is None else [rfc3339(one) for one in health.gap],
        "silent": health.silent,
        "trouble": health.poll_trouble or health.trouble,
    }
