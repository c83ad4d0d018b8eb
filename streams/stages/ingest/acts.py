"""What operators decide, as facts: lift, withdraw, distrust, owners.

These are grants: they may turn a denial into an allowance. Each needs the role
restorer and a reason. An operator who names an authority speaks in its name, because a
lift ends only what the same authority suspended, and an owner set replaces only that
of the same authority.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from attrs import evolve, frozen

from agents_registry.facts import (
    FACTS,
    Distrust,
    LabelSet,
    Lift,
    OwnerSet,
    Withdraw,
)
from agents_registry.identifiers import LABEL
from streams.model.declared_entry import MAX_LABELS, MAX_OWNERS
from streams.model.selectors import Selector, SelectorError, is_label, label
from streams.model.times import DAY, SECOND, rfc3339, typed_time
from streams.stages.ingest.entitlement import OPERATORS
from streams.stages.ingest.ingress import said_by
from streams.stages.ingest.order_names import called, calling, where_called

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier
    from agents_registry.steps import Steps
    from streams.stages.ingest.ingress import Common, Origin

MAX_REASON: Final = 1000  # characters
MAX_NAME: Final = 200  # characters
NO_AUTHORITY: Final = (
    "an authority is no condition, since no table keeps who declared what: name a "
    "label that it sets, or take back what a key of it said by `rescind distrust`"
)
LONGEST: Final = 366 * DAY  # until an order begins, and until it ends by itself
NOISE: Final = 2 * SECOND  # a clock that is so far ahead is none that lies
_ID: Final = re.compile(r"[0-9a-f]{64}")
_FINAL: Final = frozenset({Withdraw.NAME, Distrust.NAME})


class ActError(ValueError):
    """What an operator asks for cannot be done; the text says what to change."""


class KeptDecision(NamedTuple):
    """What an operator decided on something that is no fact.

    Attributes:
        kind: under which it is kept; name: under which, of this kind.
        body: a JSON object; ``at`` (ns) and ``by`` are those of the decision.
    """

    kind: str
    name: str
    body: str

    def decided(self, at: int, by: str) -> bytes:
        """Body to keep, with when it was decided and by whom."""
        return orjson.dumps(orjson.loads(self.body) | {"at": at, "by": by})


@frozen
class OperatorAct:
    """What an operator decided.

    Attributes:
        kind: lift, withdraw, distrust, owners, labels, adopt or confirm; or of one that
            ends.
        summary: one line for people.
        reason: why, as the operator says.
        facts: what it writes.
        order: a unique id, where the facts are one statement on several names.
        due_at: when it is to be carried out (ns); None: now.
        over: what it reaches, where that is too much for one person.
        kept: what is kept once it is decided, in place of facts.
    """

    kind: str
    summary: str
    reason: str
    facts: tuple[Fact, ...]
    order: str = ""
    due_at: int | None = None
    over: str = ""
    kept: KeptDecision | None = None


def reason_of(body: Mapping[str, Any]) -> str:
    """Reason that every grant needs.

    Raises:
        ActError: there is none.
    """
    reason = body.get("reason")
    if not isinstance(reason, str) or not reason.strip() or len(reason) > MAX_REASON:
        raise ActError(f"give a reason, a text of at most {MAX_REASON} characters")
    return reason.strip()


def selector_of(body: Mapping[str, Any]) -> Selector | None:
    """Read what an order means by ``where`` in place of names.

    Raises:
        ActError: it is no selector.
    """
    text = body.get("where")
    if text is None:
        return None
    try:
        where = Selector.parse(text if isinstance(text, str) else "")
    except SelectorError as error:
        raise ActError(f"where: {error}") from error
    if where.authorities:
        raise ActError(f"where: {NO_AUTHORITY}")
    return where


def aspect_of(body: Mapping[str, Any], where: Selector | None) -> str:
    """Read the aspect of an order; that of a selector names the selector, too.

    Raises:
        ActError: it is no text.
    """
    aspect = body.get("aspect") or ""
    if not isinstance(aspect, str) or len(aspect) > MAX_NAME:
        raise ActError(f"aspect is a text of at most {MAX_NAME} characters")
    return aspect if where is None else where.aspect_of(aspect)


def begins_at(value: Any, now: int) -> int:
    """Read since when an order holds (ns); without a time it is now.

    Raises:
        ActError: it is no time, or lies too far ahead.
    """
    if value is None:
        return now
    at = time_of("at", value)
    if at > now + LONGEST:
        what = f"at lies ahead by more than {LONGEST // DAY} days"
        raise ActError(f"{what}: leave at out, or give the order later")
    return at if at > now + NOISE else min(at, now)


def time_of(name: str, value: Any) -> int:
    """Read the time (ns) of a field.

    Raises:
        ActError: it is none.
    """
    try:
        return typed_time(value if isinstance(value, str) else None)
    except ValueError as error:
        raise ActError(f"{name} {error}") from error


def lifting(
    body: Mapping[str, Any],
    origin: Origin,
    event_id: str,
    names: tuple[Identifier, ...],
) -> Steps[OperatorAct]:
    """End a suspend or narrow: ``identifier``, ``aspect``, ``authority``, ``reason``.

    The time is this server's clock, so of an authority with a clock of its own what it
    suspended within the last 5 s stays suspended (``lift_ambiguous``). With ``at`` it
    waits until then.

    Raises:
        ActError: it cannot be read.
    """
    now = origin.received_at
    reason, at = reason_of(body), begins_at(body.get("at"), now)
    where = selector_of(body)
    if where is not None:
        names = (where.cause_parts()[0],)
    if at < now - NOISE:
        raise ActError("at lies in the past: a lift ends what was suspended until now")
    due_at, aspect = at if at > now else None, aspect_of(body, where)
    then = evolve(origin, received_at=max(at, now))
    facts = []
    for number, name in enumerate(names, 1):
        yield
        # Stamped: our clock, not that of the authority.
        said = said_by(then, event_id=f"{event_id}/{number}")
        facts.append(Lift(**said, target=name, aspect=aspect))
    named = (yield from calling(names)) if where is None else where_called(where)
    summary = f"lift {named}"
    own = "" if where is None else where.aspect
    summary += f", aspect {aspect}" if aspect != own else ""
    summary += f", as {origin.authority}"
    summary += f", at {rfc3339(at)}" if due_at else ""
    return OperatorAct(
        "lift", summary, reason, tuple(facts), order=event_id, due_at=due_at
    )


def withdraw(
    body: Mapping[str, Any],
    origin: Origin,
    event_id: str,
    names: tuple[Identifier, ...],
) -> OperatorAct:
    """Take one fact back: ``identifier``, ``fact`` (hex id), ``kind``, ``reason``.

    Raises:
        ActError: it cannot be read, or may not be taken back.
    """
    identity, kind = body.get("fact"), _text(body, "kind", "cause")
    if not isinstance(identity, str) or _ID.fullmatch(identity) is None:
        raise ActError("fact is the id of a fact, 64 hex digits, as `rescind why` says")
    if kind in _FINAL or kind not in FACTS:
        known = ", ".join(sorted(set(FACTS) - _FINAL))
        raise ActError(f"kind is one of {known}")
    operators = evolve(origin, authority=OPERATORS)
    facts = tuple(
        Withdraw(
            **_now(operators, event_id),
            fact_id=identity,
            kind=kind,
            target=name,
        )
        for name in names
    )
    summary = f"withdraw {kind} {identity} of {called(names)}"
    return OperatorAct("withdraw", summary, reason_of(body), facts)


def distrust(body: Mapping[str, Any], origin: Origin, event_id: str) -> OperatorAct:
    """Take back all that a stolen key said: ``suspect``, ``key``, ``from``, ``to``.

    Without ``to`` it is what was received until now: remove the key from the settings
    first. What was received then and is read later falls under it too.

    Raises:
        ActError: it cannot be read.
    """
    suspect, key = _text(body, "suspect"), _text(body, "key")
    since, until = time_of("from", body.get("from")), origin.received_at
    if "to" in body:
        until = time_of("to", body.get("to"))
    if until > origin.received_at:
        raise ActError("to lies ahead: only what was received can be taken back")
    if since > until:
        raise ActError("from lies after to: nothing would be taken back")
    operators = evolve(origin, authority=OPERATORS)
    fact = Distrust(
        **_now(operators, event_id),
        suspect=suspect,
        suspect_key=key,
        received_from=since,
        received_to=until,
    )
    span = f"received from {rfc3339(since)} to {rfc3339(until)}"
    summary = f"distrust the key {key} of {suspect}, {span}"
    return OperatorAct("distrust", summary, reason_of(body), (fact,))


def labelling(
    body: Mapping[str, Any],
    origin: Origin,
    event_id: str,
    names: tuple[Identifier, ...],
) -> Steps[OperatorAct]:
    """Say which labels names carry: ``labels``, ``authority``, ``reason``.

    They replace those that the same authority set before; an empty list takes all away.

    Raises:
        ActError: it cannot be read.
    """
    given, reason = body.get("labels"), reason_of(body)
    if not isinstance(given, list) or len(given) > MAX_LABELS:
        raise ActError(f"labels is a list of at most {MAX_LABELS} texts, key=value")
    labels = tuple(dict.fromkeys(map(_label, given)))
    facts = []
    for name in names:
        yield
        if is_label(name):
            raise ActError(f"{name} is a label itself")
        facts.append(LabelSet(**_now(origin, event_id), node=name, labels=labels))
    shown = ", ".join(f"{each.kind[len(LABEL) :]}={each.value}" for each in labels)
    named = yield from calling(names)
    summary = f"set the labels of {named} to {shown or 'none'}"
    summary += f", as {origin.authority}"
    return OperatorAct("labels", summary, reason, tuple(facts))


def _label(text: Any) -> Identifier:
    key, equals, value = text.partition("=") if isinstance(text, str) else ("", "", "")
    if not equals:
        raise ActError("no label: write it as team=payments")
    try:
        return label(key.strip(), value.strip())
    except SelectorError as error:
        raise ActError(str(error)) from error


def owners(
    body: Mapping[str, Any],
    origin: Origin,
    event_id: str,
    names: tuple[Identifier, ...],
    read: Callable[[Any], Identifier],
) -> OperatorAct:
    """Say who owns it: ``identifier``, ``owners``, ``authority``, ``reason``.

    Raises:
        ActError: it cannot be read; no owners at all change nothing.
    """
    listed = body.get("owners")
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_OWNERS:
        raise ActError(f"owners is a list of 1 to {MAX_OWNERS} identifiers")
    try:
        given = tuple(read(one) for one in listed)
    except ValueError as error:
        raise ActError(str(error)) from error
    facts = tuple(
        OwnerSet(
            **_now(origin, event_id),
            node=name,
            owners=given,
        )
        for name in names
    )
    summary = f"set the owners of {called(names)} to {called(given)}"
    summary += f", as {origin.authority}"
    return OperatorAct("owners", summary, reason_of(body), facts)


def _now(origin: Origin, event_id: str) -> Common:
    """Fields of a fact that is stated now, by the clock that counts."""
    return said_by(origin, event_id=event_id, occurred_at=origin.received_at)


def _text(body: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or len(value) > MAX_NAME:
        raise ActError(f"{name} is a text of at most {MAX_NAME} characters")
    if not value and default is None:
        raise ActError(f"{name} is missing")
    return value
