"""A decision of a rule on a finding, and what is written of it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import attrs
import orjson
from attrs import frozen

from agents_registry.facts import Cause, Effect
from agents_registry.identifiers import Identifier
from streams.model.findings import FindingKind
from streams.model.times import rfc3339
from streams.stages.containment.rules import ContainmentMode
from streams.stages.ingest.entitlement import CONTAINMENT
from streams.stages.ingest.ingress import said_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.stages.ingest.ingress import Origin

_PAST: Final = {Effect.SUSPEND: "suspended", Effect.NARROW: "narrowed"}


class ContainmentResult(Enum):
    """What a rule decided."""

    CONTAINED = "contained"  # as its mode says
    OVER_BLAST_LIMIT = "over_blast_limit"
    OVER_RATE = "over_rate"
    ALREADY = "already"  # what it names is contained by the same rule
    LIFTED = "lifted"  # by an operator, and the rule does not begin again
    ENDED = "ended"  # for good, by somebody else
    UNNAMED = "unnamed"  # the finding names nothing of what the rule contains
    UNTRUSTED = "untrusted"  # who says so may not speak of the name


# A person has to look: the rule would have acted, and did not.
HELD_BACK: Final = frozenset({
    ContainmentResult.OVER_BLAST_LIMIT, ContainmentResult.OVER_RATE,
})  # fmt: skip


@frozen(kw_only=True)
class ContainmentDecision:
    """What one rule decided on one finding; it never decides on that again.

    Attributes:
        rule: its name.
        finding: id of the finding.
        kind: of the finding, its value.
        target: what the finding names; None: nothing.
        reach: number of identifiers beside the target, or one above the limit.
        limit: of the rule, that it was over.
        at: when (ns).
        until: when what is contained lives again (ns); None: when it is lifted.
        done: all of it is written.
    """

    rule: str
    mode: ContainmentMode
    finding: str
    kind: str
    target: Identifier | None
    result: ContainmentResult
    effect: Effect
    scopes: tuple[str, ...] = ()
    reach: int = 0
    limit: int = 0
    at: int
    until: int | None
    done: bool = False

    @property
    def key(self) -> str:
        """Name under which it is kept."""
        return key_of(self.rule, self.finding)

    @property
    def contains(self) -> bool:
        """Whether the rule acts as its mode says."""
        return self.result is ContainmentResult.CONTAINED

    def dump(self) -> bytes:
        """Bytes to keep."""
        plain = attrs.asdict(self, recurse=False)
        plain["target"] = None if self.target is None else list(self.target)
        return orjson.dumps(plain)

    @classmethod
    def load(cls, body: bytes) -> ContainmentDecision:
        """Read what `dump` gave.

        Raises:
            ValueError: it is not that.
        """
        try:
            plain: dict[str, Any] = orjson.loads(body)
            if plain["target"] is not None:
                plain["target"] = Identifier(*plain["target"])
            for name, of in (
                ("mode", ContainmentMode),
                ("result", ContainmentResult),
                ("effect", Effect),
                ("scopes", tuple),
            ):
                plain[name] = of(plain[name])
            return cls(**plain)
        except (KeyError, TypeError) as error:
            raise ValueError("not a decision of a containment rule") from error

    def cause(self, origin: Origin) -> Cause | None:
        """Fact that enforces it; the same whenever it is made. None: there is none.

        Args:
            origin: of the realm; the times are those of the decision.
        """
        enforced = self.mode is ContainmentMode.ENFORCE and self.contains
        if not enforced or self.target is None:
            return None
        at = attrs.evolve(origin, authority=CONTAINMENT, received_at=self.at)
        return Cause(
            **said_by(at, event_id=self.key, occurred_at=self.at),
            target=self.target,
            effect=self.effect,
            at=self.at,
            aspect=self.rule,
            scopes=self.scopes,
            until=self.until,
            actor=f"containment rule {self.rule}",
            reason=f"finding {self.kind} {self.finding}",
        )

    def signal(self) -> dict[str, Any] | None:
        """Signal of the finding on it; None: nobody is told."""
        told = self.contains or self.result in HELD_BACK
        if self.mode is ContainmentMode.SHADOW or self.target is None or not told:
            return None
        return {
            "kind": FindingKind.CONTAINMENT.value,
            "presented": [*self.target],
            "point": self.rule,
            "at": self.at,
            "detail": self.words(),
            "authority": CONTAINMENT,
        }

    def action(self) -> str:
        """Line of the audit chain."""
        named = "" if self.target is None else f" {self.target}"
        of = f"finding {self.finding} ({self.kind})"
        return (
            f"containment rule {self.rule}, {self.mode.value}: "
            f"{self.result.value}{named} on {of}: {self.words()}"
        )

    def words(self) -> str:
        """Say what was done and why, without the target."""
        by = f"rule {self.rule} on a finding {self.kind}"
        match self.result:
            case ContainmentResult.CONTAINED:
                return f"{self._did()} by {by}; it reaches {self._reached()}"
            case ContainmentResult.OVER_BLAST_LIMIT:
                return (
                    f"not contained by {by}: it reaches more than {self.limit} others"
                )
            case ContainmentResult.OVER_RATE:
                return f"not contained by {by}: it acted {self.limit} times in an hour"
            case ContainmentResult.ALREADY:
                return "it is contained already"
            case ContainmentResult.LIFTED:
                return "an operator lifted it, and the rule does not begin again"
            case ContainmentResult.ENDED:
                return "it has ended for good"
            case ContainmentResult.UNTRUSTED:
                return "its source may not speak of it, and the rule does not name it"
        return "the finding names nothing of what the rule contains"

    def _did(self) -> str:
        until = "until it is lifted"
        if self.until is not None:
            until = f"until {rfc3339(self.until)}"
        past = _PAST[self.effect]
        would = "" if self.mode is ContainmentMode.ENFORCE else "would be "
        return f"{would}{past} {until}"

    def _reached(self) -> str:
        return "nothing else" if not self.reach else f"{self.reach} others"


def action_of(decisions: Sequence[ContainmentDecision]) -> str:
    """Line of the audit chain on one decision, or on several that are alike."""
    first = decisions[0]
    if len(decisions) == 1:
        return first.action()
    named = [
        each.finding if each.target is None else f"{each.target} ({each.finding})"
        for each in decisions
    ]
    return (
        f"containment rule {first.rule}, {first.mode.value}: {first.result.value} on "
        f"{len(named)} findings {first.kind}: {', '.join(named)}: {first.words()}"
    )


def key_of(rule: str, finding: str) -> str:
    """Name under which the decision of a rule on a finding is kept."""
    return f"{rule}/{finding}"
