"""What is kept of guards and of causes that they enforce, and how it is written."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final

import attrs
import orjson
from attrs import frozen

from agents_registry.facts import Cause, fact_id
from agents_registry.identifiers import MAX_VALUE_BYTES, Identifier
from streams.model.findings import FindingKind
from streams.model.times import SECOND
from streams.stages.closure.closure import (
    CauseOutcome,
    GuardMode,
    ProofState,
    Registration,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agents_registry.facts import Fact

GUARD: Final = "guard"  # kind of the names in findings
MOST_NAMED: Final = 20  # laggards that a finding names
REFUSED_AGAIN: Final = 60 * SECOND  # between two findings on one guard and credential
MOST_REFUSED: Final = 1000


@frozen
class Revocation:
    """A cause as closure follows it; times in ns of the wall clock.

    Attributes:
        by: whoever ended it, where the order or the event names them.
        authority: whose word that is.
        reason: why, where that was said.
        aspect: what a lift must name.
        until: when it ends by itself; None: never.
    """

    offset: int
    id: str
    target: str
    effect: str
    at: int
    accepted_at: int
    by: str | None = None  # earlier rows tell none of these
    reason: str | None = None
    authority: str | None = None
    aspect: str = ""
    until: int | None = None


@frozen
class Result:
    """What became of a cause.

    Attributes:
        settled_at: when it was so (ns).
    """

    cause: Revocation
    outcome: CauseOutcome
    settled_at: int


def revocations(facts: Iterable[tuple[int, Fact]]) -> Iterator[Revocation]:
    """Causes among facts with their offsets."""
    for offset, fact in facts:
        if isinstance(fact, Cause):
            yield Revocation(
                offset,
                fact_id(fact).hex(),
                str(fact.target),
                fact.effect.value,
                fact.at,
                fact.received_at,
                fact.actor,
                fact.reason,
                fact.authority,
                fact.aspect,
                fact.until,
            )


def row(result: Result) -> tuple[int, str, str, bytes]:
    """Offset, id, state and body, as the table has them."""
    outcome = attrs.asdict(result.outcome) | {"state": result.outcome.state.value}
    cause = attrs.asdict(result.cause)
    body = {"cause": cause, "outcome": outcome, "settled_at": result.settled_at}
    state = result.outcome.state.value
    return result.cause.offset, result.cause.id, state, orjson.dumps(body)


def result_of(body: bytes) -> Result:
    """Read the body of a row."""
    plain = orjson.loads(body)
    outcome = plain["outcome"]
    outcome |= {name: tuple(outcome[name]) for name in ("fenced", "laggards")}
    return Result(
        Revocation(**plain["cause"]),
        CauseOutcome(**outcome | {"state": ProofState(outcome["state"])}),
        plain["settled_at"],
    )


def guard_body(terms: Registration, *, proven: bool) -> bytes:
    """Registration as it is kept, and whether its guard proved anything."""
    plain: dict[str, Any] = attrs.asdict(terms) | {"mode": terms.mode.value}
    return orjson.dumps(plain | {"proven": proven})


def guard_of(body: bytes) -> tuple[Registration, bool]:
    """Read what `guard_body` gave; older rows do not say what was proven."""
    plain = orjson.loads(body)
    proven = plain.pop("proven", True)
    changed = {"mode": GuardMode(plain["mode"]), "routes": tuple(plain["routes"])}
    return Registration(**plain | changed), proven


def signal(
    result: Result, deadline: float, placed: Callable[[str], str]
) -> dict[str, Any]:
    """Return the finding of a deadline that passed, as signals are written.

    Args:
        result: is PARTIAL.
        deadline: seconds.
        placed: gives the name of a guard with the points where it stands.
    """
    cause, laggards = result.cause, result.outcome.laggards
    named = ", ".join(map(placed, laggards[:MOST_NAMED]))
    more = len(laggards) - MOST_NAMED
    named += f" and {more} more" if more > 0 else ""
    target = Identifier.parse(cause.target)
    return {
        "kind": FindingKind.CLOSURE_PARTIAL.value,
        "presented": list(target),
        "at": result.settled_at,
        "cause": cause.id,
        "cause_at": cause.at,
        "cause_effect": cause.effect,
        "told_at": cause.accepted_at,
        "ended_by": cause.by,
        "authority": cause.authority,
        "reason": cause.reason,
        "detail": f"after {deadline:g} s these guards have not confirmed it: {named}",
    }


def over(target: str, at: int) -> dict[str, Any]:
    """Signal that such a finding is over: all of its target is settled by a time."""
    return {
        "kind": FindingKind.CLOSURE_PARTIAL.value,
        "presented": list(Identifier.parse(target)),
        "at": at,
        "over": True,
    }


def refusal(
    guard: str, credential: str, why: str, at: int, holder: str | None = None
) -> dict[str, Any]:
    """Signal that a credential was refused a guard's name.

    Args:
        guard: the name.
        credential: name of the credential, as audit lines have it.
        why: for people.
        at: ns.
        holder: name of the credential whose the guard's name is, where one has it.
    """
    short = guard.encode()[:MAX_VALUE_BYTES].decode(errors="ignore")
    return {
        "kind": FindingKind.UNAUTHORISED.value,
        "presented": [GUARD, short],
        "at": at,
        "detail": f"{credential} was refused as guard {guard}: {why}",
        "ended_by": credential,
        "owner": holder,
    }


class GuardRefusals:
    """Names of guards that were refused, of which no finding was made yet.

    Of one guard and credential there is one in a minute, and of many the newest.
    """

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], int] = {}
        self._waiting: deque[tuple[str, str, str]] = deque(maxlen=MOST_REFUSED)

    def add(self, guard: str, credential: str, why: str, now: int) -> None:
        """Take a refusal; ``now`` is of any one clock (ns)."""
        key = guard, credential
        if now - self._told.get(key, now - REFUSED_AGAIN) < REFUSED_AGAIN:
            return
        while len(self._told) >= MOST_REFUSED:
            del self._told[next(iter(self._told))]
        self._told[key] = now
        self._waiting.append((guard, credential, why))

    def take(
        self, at: int, holder: Callable[[str], str | None] = lambda _: None
    ) -> Iterator[dict[str, Any]]:
        """Yield their signals, as `refusal` makes them."""
        while self._waiting:
            guard, credential, why = self._waiting.popleft()
            yield refusal(guard, credential, why, at, holder(guard))


class Open:
    """The targets of causes that are not settled, and which of them a finding is on.

    A finding is about a target: it is over when the last open cause of it is settled.
    """

    def __init__(self) -> None:
        self._causes: Counter[str] = Counter()
        self._late: set[str] = set()

    def add(self, target: str, *, late: bool = False) -> None:
        """Take a cause in."""
        self._causes[target] += 1
        if late:
            self._late.add(target)

    def late(self, target: str) -> None:
        """Note that a finding is on a target."""
        self._late.add(target)

    def settle(self, target: str) -> bool:
        """Let a cause go; tell whether the finding on its target is over by that."""
        self._causes[target] -= 1
        if self._causes[target] > 0:
            return False
        del self._causes[target]
        was_late = target in self._late
        self._late.discard(target)
        return was_late

    def orphaned(self) -> list[str]:
        """Targets with a finding and no open cause; they are forgotten here."""
        gone = [target for target in self._late if target not in self._causes]
        self._late.difference_update(gone)
        return sorted(gone)


def seconds_between(start: int, end: int) -> float:
    """Seconds from one time to another (ns), never less than none."""
    return max(0, end - start) / SECOND
