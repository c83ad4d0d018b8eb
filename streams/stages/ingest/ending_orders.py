"""Orders of operators that end or limit: revoke, suspend, narrow, not-before.

An order is read from a body and becomes causes, one for each name, or one for all that
a selector means. It needs no clock of its own and no log: who plans an order, who keeps
it until its time and who writes it at once read it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from agents_registry.facts import Cause, Effect
from agents_registry.identifiers import REUSABLE_KINDS
from streams.model.times import DAY, duration, rfc3339
from streams.stages.ingest.acts import (
    LONGEST,
    MAX_NAME,
    MAX_REASON,
    ActError,
    aspect_of,
    begins_at,
    selector_of,
    time_of,
)
from streams.stages.ingest.ingress import told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents_registry.identifiers import Identifier
    from streams.model.selectors import Selector
    from streams.stages.ingest.ingress import Origin

MOST_SCOPES: Final = 256
EFFECTS: Final = {
    "revoke": Effect.REVOKE,
    "suspend": Effect.SUSPEND,
    "narrow": Effect.NARROW,
    "not_before": Effect.NOT_BEFORE,
}
# Of what is for good an end and a selector are refused, with what to do instead.
_COMMON: Final = frozenset({"reason", "at", "until", "for", "where"})
_LIFTABLE: Final = _COMMON | {"aspect"}
FIELDS: Final = {
    "revoke": _COMMON,
    "suspend": _LIFTABLE,
    "narrow": _LIFTABLE | {"scopes"},
    "not_before": _COMMON,
}
FINAL: Final = (
    "{} is for good and takes no end: suspend it, for what is to end by itself"
)


@frozen(kw_only=True)
class EndingOrder:
    """What an order does to what it names.

    Attributes:
        act: a key of `EFFECTS`.
        reason: why, empty where that is not said.
        at: since when it holds (ns).
        now: when it was given (ns).
        until: when it ends by itself (ns); None: never.
        aspect: what a lift must name to end this and nothing else.
        scopes: what a narrow leaves.
        where: what it means in place of names.
    """

    act: str
    reason: str
    at: int
    now: int
    until: int | None = None
    aspect: str = ""
    scopes: tuple[str, ...] = ()
    where: Selector | None = None

    @classmethod
    def read(cls, act: str, body: Mapping[str, Any], now: int) -> EndingOrder:
        """Read what an order says beside whom it names.

        Args:
            act: a key of `EFFECTS`.
            body: as JSON gives it; its names were checked against `FIELDS`.
            now: ns.

        Raises:
            ActError: it cannot be read, or contradicts itself.
        """
        at, where = begins_at(body.get("at"), now), selector_of(body)
        liftable = EFFECTS[act] in (Effect.SUSPEND, Effect.NARROW)
        if where is not None and not liftable:
            raise ActError(
                f"a {_called(act)} names identifiers: name them, or suspend what fits"
            )
        return cls(
            act=act,
            reason=_reason(body.get("reason")),
            at=at,
            now=now,
            until=_end(act, body, max(at, now)),
            aspect=aspect_of(body, where),
            where=where,
            scopes=_scopes(body.get("scopes")) if act == "narrow" else (),
        )

    @property
    def due_at(self) -> int | None:
        """When it is to be carried out (ns); None: now."""
        return self.at if self.at > self.now else None

    def cause(
        self, target: Identifier, origin: Origin, event_id: str, actor: str
    ) -> Cause:
        """Cause on a name.

        The end of a name that may be given again is a not-before: what was issued
        under it until then is dead, what is issued later lives.

        Args:
            target: what it names.
            origin: of the request.
            event_id: unique.
            actor: whoever orders it.
        """
        effect = EFFECTS[self.act]
        if effect is Effect.REVOKE and target.kind in REUSABLE_KINDS:
            effect = Effect.NOT_BEFORE
        more: dict[str, Any] = {} if self.until is None else {"until": self.until}
        if self.where is not None:
            target, where, kinds = self.where.cause_parts()
            more |= {"kinds": kinds} if kinds else {}
            more |= {"where": where} if where else {}
        return Cause(
            authority=origin.authority,
            event_id=event_id,
            # An order that waits for its time is the same whoever carries it out.
            version=self.due_at or origin.received_at,
            received_at=origin.received_at,
            ingress_key=origin.ingress_key,
            settings=origin.settings,
            target=target,
            effect=effect,
            at=self.at,
            not_before=self.at if effect is Effect.NOT_BEFORE else None,
            aspect=self.aspect,
            scopes=self.scopes,
            actor=told(actor),
            reason=told(self.reason),
            **more,
        )

    def summary(self, called: str) -> str:
        """One line on what is done to something."""
        said = f"{_called(self.act)} {called} at {rfc3339(self.at)}"
        if self.aspect and (self.where is None or self.aspect != self.where.aspect):
            said += f", aspect {self.aspect}"
        if self.scopes:
            said += f", leaving {', '.join(self.scopes)}"
        return said if self.until is None else f"{said}, until {rfc3339(self.until)}"


def _reason(value: Any) -> str:
    reason = value or ""
    if not isinstance(reason, str) or len(reason) > MAX_REASON:
        raise ActError(f"reason is a text of at most {MAX_REASON} characters")
    return reason


def _end(act: str, body: Mapping[str, Any], begin: int) -> int | None:
    until, span = body.get("until"), body.get("for")
    if until is None and span is None:
        return None
    if EFFECTS[act] not in (Effect.SUSPEND, Effect.NARROW):
        raise ActError(FINAL.format("a " + _called(act)))
    if until is not None and span is not None:
        raise ActError("give until or for, and not both")
    if span is not None:
        try:
            end = begin + duration(span if isinstance(span, str) else str(span))
        except ValueError as error:
            raise ActError(f"for is {error}") from error
    else:
        end = time_of("until", until)
    if not begin < end <= begin + LONGEST:
        what = "until lies after its beginning"
        raise ActError(f"{what}, by at most {LONGEST // DAY} days")
    return end


def _called(act: str) -> str:
    return act.replace("_", "-")


def _scopes(value: Any) -> tuple[str, ...]:
    fits = (
        isinstance(value, list)
        and 0 < len(value) <= MOST_SCOPES
        and all(isinstance(one, str) and 0 < len(one) <= MAX_NAME for one in value)
    )
    if not fits:
        what = f"scopes is a list of 1 to {MOST_SCOPES} texts, namespace|value"
        raise ActError(f"{what}: to leave nothing, suspend it")
    return tuple(dict.fromkeys(value))
