"""What a guard answers."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agents_registry.verdict import Judgement

if TYPE_CHECKING:
    from agents_registry.causes import CauseRef
    from agents_registry.identifiers import Identifier
    from agents_registry.life import Reason

note: Final = vars(Judgement)["told"].__set__


class Mode(Enum):
    """What a guard does with what it cannot prove.

    Attributes:
        FAIL_CLOSED: deny without a lease; the only mode that a closure may count on
            without hearing from the guard.
        FAIL_OPEN: answer from the replica as it was; known denials still deny.
        OBSERVE: count what would be denied and let it through.
    """

    FAIL_CLOSED = "fail_closed"
    FAIL_OPEN = "fail_open"
    OBSERVE = "observe"


class NotReadyError(Exception):
    """The guard holds no lease; the text says why, without the credential."""


class Lapse(Enum):
    """Why a guard denies though no fact says so."""

    NOT_CAUGHT_UP = "not_caught_up"
    NO_LEASE = "no_lease"
    NOT_YET_APPLIED = "not_yet_applied"
    UNREADABLE = "unreadable"


@frozen(kw_only=True, slots=True)
class Verdict:
    """The answer to one check.

    Attributes:
        allowed: what to do.
        reason: why; the rule that denied, or the lapse, or that nothing did.
        mode: the mode of the route.
        stale: answered without a lease, so newer denials may be missing.
        path: from the presented identifier to the ancestor that is dead.
        cause: what ended that ancestor.
        report: what the policy wants reported though it allows.
        observed: it would have been denied, had the mode been fail_closed.
    """

    allowed: bool
    reason: Reason | Lapse
    mode: Mode
    stale: bool = False
    path: tuple[Identifier, ...] = ()
    cause: CauseRef | None = None
    report: tuple[str, ...] = ()
    observed: bool = False

    def __bool__(self) -> bool:
        """Refuse: a verdict in an ``if`` is a forgotten ``.allowed``, and true."""
        raise TypeError("a verdict is no truth value: ask for .allowed")


def refusal(judged: Judgement, mode: Mode) -> Verdict:
    """Verdict on what is dead, while the lease runs; made once for a judgement."""
    kept: Verdict | None = judged.told
    if kept is None or kept.mode is not mode:
        reason, path, cause = judged.reason, judged.path, judged.cause
        kept = Verdict(allowed=False, reason=reason, mode=mode, path=path, cause=cause)
        note(judged, kept)
    return kept
