"""What a guard makes of a judgement: by mode and lease, counted.

However a table comes to a guard, and wherever it lies, this is how it answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from agents_registry.verdict import LIVES
from enforcement.counters import Counters
from enforcement.token import Token
from enforcement.verdict import Lapse, Mode, Verdict, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agents_registry.verdict import Judgement

UNEXPIRED: Final = 0  # ns since 1970, by which a table that is kept is judged


class Vouching(Protocol):
    """What is known of how current a table is; see `enforcement.standing`."""

    @property
    def deadline(self) -> int:
        """When the lease ends (ns of the guard's clock)."""
        ...

    @property
    def caught_up(self) -> bool:
        """Whether this log was once applied up to its end."""
        ...

    @property
    def served(self) -> bool:
        """Whether some log was once applied up to its end."""
        ...

    def covers(self, token: Token) -> bool:
        """Whether everything below a token's offset is applied."""
        ...


class Conclusion:
    """Puts judgement, mode and lease together.

    Attributes:
        counters: what it did.
    """

    def __init__(
        self,
        mode: Mode,
        routes: Mapping[str, Mode] | None,
        clock: Callable[[], int],
    ) -> None:
        """Set up; the clock is that of the lease."""
        self.counters = Counters()
        self._clock = clock
        modes: dict[str | None, Mode] = {None: mode} | dict(routes or {})
        # One look-up by text: an enum hashes slowly.
        self._routes = {
            route: (each, Verdict(allowed=True, reason=LIVES.reason, mode=each))
            for route, each in modes.items()
        }

    def _concluded(
        self,
        standing: Vouching,
        judged: Judgement | None,
        mode: Mode,
        granted: Verdict,
        at_least: Token | str | None,
    ) -> Verdict:
        now = self._clock()  # only now: the process may have been stopped meanwhile
        stale = now >= standing.deadline
        if judged is None:
            return self._answer(standing, mode, stale=False, lapse=Lapse.UNREADABLE)
        if not stale and at_least is None:
            if judged is LIVES:
                self.counters.allowed += 1
                return granted
            if not judged.allowed and mode is not Mode.OBSERVE:
                return self._refused(judged, mode)
        lapse = _lapse(standing, mode, at_least, stale=stale)
        return self._answer(standing, mode, stale=stale, lapse=lapse, judged=judged)

    def _refused(self, judged: Judgement, mode: Mode) -> Verdict:
        """Refuse by a rule, while the lease runs, and count."""
        self.counters.denied[judged.reason._value_] += 1
        told: Verdict | None = judged.told
        if told is not None and told.mode is mode:
            return told
        return refusal(judged, mode)

    def _answer(
        self,
        standing: Vouching,
        mode: Mode,
        *,
        stale: bool,
        lapse: Lapse | None,
        judged: Judgement = LIVES,
    ) -> Verdict:
        """Put rule and lapse together, and count.

        A known cause says more than a lapse, and a lapse more than a doubt: a
        credential may be unknown only because the replica is behind.
        """
        refused = lapse is not None or not judged.allowed
        observed = refused and mode is Mode.OBSERVE and standing.served
        because_of_rule = not judged.allowed and judged.cause is not None
        reason = judged.reason if lapse is None or because_of_rule else lapse
        counters = self.counters
        counters.stale += stale
        if observed:
            counters.observed[reason.value] += 1
        elif refused:
            counters.denied[reason.value] += 1
        else:
            counters.allowed += 1
        return Verdict(
            allowed=observed or not refused,
            reason=reason,
            mode=mode,
            stale=stale,
            path=judged.path,
            cause=judged.cause,
            report=judged.report,
            observed=observed,
        )


def _lapse(
    standing: Vouching, mode: Mode, at_least: Token | str | None, *, stale: bool
) -> Lapse | None:
    """Reason why the guard cannot vouch for its replica, None where it can."""
    if not standing.caught_up:
        return Lapse.NOT_CAUGHT_UP
    if at_least is not None:
        token = Token.of(at_least)
        if not standing.covers(token):
            return Lapse.NOT_YET_APPLIED
    return Lapse.NO_LEASE if stale and mode is not Mode.FAIL_OPEN else None
