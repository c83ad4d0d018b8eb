"""What it is to end something at its issuer: targets, steps, answers and probes.

Values alone: vendors make them in `streams.actuators`, and the stage `ending` decides
by them what comes next.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import field, frozen

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier


# Waits until another request to an issuer is within its limits.
RequestTurn: TypeAlias = Callable[[], Awaitable[None]]


class WantedEnd(Enum):
    """What is to become of something at its issuer.

    Attributes:
        ENDED: it is over for good.
        SUSPENDED: it cannot be used until it is given back.
        RESTORED: what Rescind suspended there is given back.
    """

    ENDED = "ended"
    SUSPENDED = "suspended"
    RESTORED = "restored"


class Alive(Enum):
    """What a probe found."""

    DEAD = "dead"
    ALIVE = "alive"
    UNKNOWN = "unknown"


@frozen
class Ending:
    """How an issuer ends what is of a kind.

    Attributes:
        how: the act, in the issuer's words.
        mints: it can make others, so it is ended before what it made, and the issuer is
            asked for those again after the act.
        suspends: it can be suspended and given back; without, a suspend is left to the
            guards.
        dated: all that was issued under it up to a time can be ended, while it lives
            on.
        settles: seconds that the issuer may take until a probe shows what was done.
        above: it has no door of its own, and ends with something that it requires: the
            target names what of that is to end too.
        placed: its name does not tell of which place it is: the target names what it
            requires, so that a list without it proves something.
    """

    how: str
    mints: bool = False
    suspends: bool = False
    dated: bool = False
    settles: float = 5.0
    above: bool = False
    placed: bool = False


@frozen
class EndTarget:
    """One thing to be ended at its issuer.

    Attributes:
        identifier: of a kind that the actuator ends.
        names: its other names.
        not_before: only what was issued under it up to this time (ns) is to end; None:
            it is to end itself.
        above: what it requires and ends with, as that is to end at the same issuer;
            only where its `Ending` asks for it.
        requires: what it requires, by the names that are known here; only where its
            `Ending` is ``placed``.
        seen: an act on it was begun, so it was found there before.
        kept: of an act that was begun: what is needed to finish it, see `EndStep.kept`.
    """

    identifier: Identifier
    names: tuple[Identifier, ...] = ()
    wanted: WantedEnd = WantedEnd.ENDED
    not_before: int | None = None
    above: tuple[EndTarget, ...] = ()
    requires: tuple[Identifier, ...] = ()
    seen: bool = False
    kept: str = ""


@frozen
class EndStep:
    """An act that is planned: its precondition was read and holds.

    Attributes:
        act: what will be done, for people and the audit chain; no secret.
        data: what the actuator needs for it, in memory alone: it is never stored or
            logged.
        kept: what a later look needs to finish the act, where only a part of it is
            made; it is stored before the act, so it holds no secret. Empty: the act
            can be repeated as a whole.
    """

    target: EndTarget
    act: str
    data: Any = field(default=None, repr=False)
    kept: str = field(default="", repr=False)


@frozen
class NoWay:
    """The issuer cannot end it; the reason says why, and what ends it instead."""

    reason: str


@frozen
class ActAnswer:
    """What the issuer said to an act. It decides nothing: the probe does.

    Attributes:
        done: it said that the act was done.
        said: for people: the status and the code of an error; no secret.
        retry_after: seconds that it asks to wait.
    """

    done: bool
    said: str = ""
    retry_after: float | None = None


@frozen
class Probed:
    """What a probe found, by another way than the act.

    Attributes:
        reason: why that is not known, or what was seen; no secret.
        retry_after: seconds that the issuer asks to wait.
        answered: the issuer gave an answer at all.
        later: the answer comes by itself; seconds until it is looked for.
        known_by: DEAD holds only if one of these, which were found there, has been
            known here for as long as the target: else its name may be one of another
            place.
        untouched: nothing of an act that was begun is made, so nothing is to be
            finished.
    """

    found: Alive
    reason: str = ""
    retry_after: float | None = None
    answered: bool = True
    later: float | None = None
    known_by: frozenset[Identifier] | None = field(default=None, repr=False)
    untouched: bool = False
