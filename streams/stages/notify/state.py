"""All that notify remembers, and the rows in which an engine keeps it.

A queue for each receiver: what is asked of one costs nothing for what waits at another,
so a receiver that hangs with a long backlog slows nobody else down. `differing` gives
the rows that differ between two states, and does not look at buckets carried over.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import orjson
from attrs import field, frozen

from streams.model.findings import FindingKind
from streams.model.times import SECOND
from streams.stages.notify.deliveries import Activity, Announced, Dead, Delivery, Group
from streams.stages.notify.queue import DeliveryQueue
from streams.stages.sentinel import saved_episodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agents_registry.steps import Steps
    from streams.model.findings import Finding
    from streams.stages.notify.silences import Silence

Value = TypeVar("Value")

UPDATE_EVERY: Final = 60 * SECOND
STEP: Final = 63  # a mask: rows made between two yields
ANNOUNCED: Final = "announced/"
DELIVERY: Final = "delivery/"
_DISABLED: Final = "disabled/"
GROUP: Final = "group/"
DEAD: Final = "dead/"
KEPT: Final = 30 * 24 * 3600 * SECOND  # how long a dead delivery can be replayed


@frozen(slots=False)
class NotifiedState:
    """What receivers know of, by the id of the finding."""

    findings: Mapping[str, Announced] = field(factory=dict)

    @cached_property
    def times(self) -> tuple[int, ...]:
        """Times at which something is to be sent, in order (ns)."""
        updates = {
            known.at + UPDATE_EVERY
            for known in self.findings.values()
            if known.waiting is not None and known.messages
        }
        repeats = {k.repeat_at for k in self.findings.values() if k.told is not None}
        return tuple(sorted(updates | repeats))


@frozen(kw_only=True)
class Failing:
    """A receiver that took none of the last attempts.

    Attributes:
        since: when the first of them ended (ns).
        attempts: how many in a row.
        probes: how many of them were made alone, after a pause.
        until: no other attempt is made before (ns); 0: attempts go on.
    """

    since: int
    attempts: int = 1
    probes: int = 0
    until: int = 0


@frozen(kw_only=True)
class DeliveryState:
    """All that notify knows.

    Attributes:
        queues: by the name of the route; none is empty.
        told: what was announced.
        groups: of posture findings that began together, by their ids.
        disabled: routes that answered 410, and when (ns).
        paused: routes that nothing is sent to before a time (ns). Not kept over a
            restart: each delivery has its own time besides.
        failing: receivers that take nothing. Not kept over a restart either.
        silences: those in force when what they hold back was looked at last; None:
            it is to be looked at. Not kept over a restart either.
    """

    queues: Mapping[str, DeliveryQueue] = field(factory=dict)
    told: NotifiedState = NotifiedState()
    groups: Mapping[str, Group] = field(factory=dict)
    disabled: Mapping[str, int] = field(factory=dict)
    paused: Mapping[str, int] = field(factory=dict)
    failing: Mapping[str, Failing] = field(factory=dict, eq=False)
    silences: tuple[Silence, ...] | None = field(default=None, eq=False)

    @property
    def deliveries(self) -> Mapping[str, Delivery]:
        """All deliveries by their key."""
        queues = self.queues.values()
        return {key: each for queue in queues for key, each in queue.deliveries.items()}

    @property
    def announced(self) -> Mapping[str, Announced]:
        """Announced findings, by id."""
        return self.told.findings

    def queue(self, route: str) -> DeliveryQueue:
        """Queue of a route; an empty one where nothing waits."""
        return self.queues.get(route, _EMPTY)

    def with_queue(self, route: str, queue: DeliveryQueue) -> DeliveryState:
        """Put a queue into the place of a route's."""
        queues = {name: q for name, q in self.queues.items() if name != route}
        if queue:
            queues[route] = queue
        return attrs.evolve(self, queues=queues)

    def with_deliveries(self, deliveries: Iterable[Delivery]) -> DeliveryState:
        """Add deliveries, in the place of those with the same keys."""
        by_route: dict[str, list[Delivery]] = {}
        for each in deliveries:
            by_route.setdefault(each.route, []).append(each)
        state = self
        for route, added in by_route.items():
            queue = state.queue(route).with_deliveries(added)
            state = state.with_queue(route, queue)
        return state

    def joined(self, other: DeliveryState) -> DeliveryState:
        """Add what another state knows of other findings; its attempts were lost."""
        if not (other.queues or other.announced or other.groups):
            return self
        freed = (
            attrs.evolve(each, leased_until=0) if each.leased_until else each
            for each in other.deliveries.values()
        )
        told = NotifiedState({**self.announced, **other.announced})
        held = any(_held(known) for known in other.announced.values())
        return attrs.evolve(
            self.with_deliveries(freed),
            told=told,
            groups={**self.groups, **other.groups},
            silences=None if held else self.silences,
        )

    def owes(self, finding: str) -> bool:
        """Whether a message of a finding waits or is under way."""
        known = self.announced.get(finding)
        if known is not None and known.group and known.waiting is None:
            return self.owes(known.group)
        return (known is not None and known.waiting is not None) or any(
            finding in queue.bucket(finding).findings for queue in self.queues.values()
        )

    @classmethod
    def of_bodies(cls, rows: Iterable[tuple[str, bytes]]) -> DeliveryState:
        """Read rows as `of_rows` does, each as JSON."""
        return cls.of_rows({key: orjson.loads(body) for key, body in rows})

    @classmethod
    def of_rows(cls, rows: Mapping[str, Mapping[str, Any]]) -> DeliveryState:
        """Read rows of `differing`; dead deliveries are not part of it."""
        deliveries, announced, disabled, groups = [], {}, {}, {}
        for key, row in rows.items():
            if key.startswith(ANNOUNCED):
                announced[key.removeprefix(ANNOUNCED)] = Announced(
                    **{
                        **row,
                        "waiting": _finding(row["waiting"]),
                        "told": _finding(row.get("told")),
                    }
                )
            elif key.startswith(_DISABLED):
                disabled[key.removeprefix(_DISABLED)] = row["at"]
            elif key.startswith(GROUP):
                groups[row["id"]] = _group_of(row)
            elif key.startswith(DELIVERY):
                deliveries.append(delivery_of(row))
        state = cls(told=NotifiedState(announced), disabled=disabled, groups=groups)
        return state.with_deliveries(deliveries)


_EMPTY: Final = DeliveryQueue()


def differing(
    before: DeliveryState, after: DeliveryState
) -> Steps[tuple[dict[str, Any], tuple[str, ...]]]:
    """Rows to write and keys to drop that lead from one state to the other, in steps.

    Rows are JSON-ready; times stay integer ns.
    """
    put: dict[str, Any] = {}
    dropped: list[str] = []
    for route in before.queues.keys() | after.queues.keys():
        old, new = before.queue(route), after.queue(route)
        for one, other in zip(old.buckets, new.buckets, strict=True):
            if one is not other:
                pair = one.deliveries, other.deliveries
                yield from _differ("", *pair, _delivery, put, dropped)
    if before.told is not after.told:
        old_told, new_told = before.announced, after.announced
        yield from _differ(ANNOUNCED, old_told, new_told, _announced, put, dropped)
    yield from _differ(GROUP, before.groups, after.groups, _group, put, dropped)
    sides = before.disabled, after.disabled
    yield from _differ(_DISABLED, *sides, _disabled, put, dropped)
    return put, tuple(dropped)


@frozen(kw_only=True)
class Buried:
    """A delivery that was given up, when (ns) and why."""

    delivery: Delivery
    at: int
    reason: str


def buried_of(rows: Iterable[tuple[bytes]]) -> list[Buried]:
    """Read rows of `dead_rows`, each as JSON; give the oldest first."""
    found = [
        Buried(delivery=delivery_of(row), at=row["at"], reason=row["reason"])
        for row in (orjson.loads(body) for (body,) in rows)
    ]
    return sorted(found, key=lambda each: (each.at, each.delivery.key))


def dead_rows(dead: Iterable[Dead], at: int) -> Steps[dict[str, dict[str, Any]]]:
    """Rows of deliveries that were given up at a time (ns), in steps.

    They are kept beside the state, until someone replays them and they arrive.
    """
    rows: dict[str, dict[str, Any]] = {}
    for count, each in enumerate(dead):
        if not count & STEP:
            yield
        row = {"at": at, "reason": each.reason, **_delivery(each.delivery)}
        rows[dead_key(each.delivery)] = row
    return rows


def dead_key(delivery: Delivery) -> str:
    """Key of the row of a delivery that was given up."""
    return DEAD + delivery.key.removeprefix(DELIVERY)


def delivery_of(row: Mapping[str, Any]) -> Delivery:
    """Read the row of a delivery, dead or alive."""
    values = {name: row[name] for name in _FIELDS if name in row}
    finding = saved_episodes.from_plain(row["finding"])
    activity = Activity(row["activity"])
    return Delivery(**{**values, "finding": finding, "activity": activity})


_FIELDS: Final = tuple(each.name for each in attrs.fields(Delivery))


def _differ(
    prefix: str,
    before: Mapping[str, Value],
    after: Mapping[str, Value],
    plain: Callable[[Value], dict[str, Any]],
    put: dict[str, Any],
    dropped: list[str],
) -> Steps[None]:
    # Values are immutable and carried over, so an unchanged one is the same object.
    for count, (key, value) in enumerate(after.items()):
        if not count & STEP:
            yield
        if before.get(key) is not value:
            put[prefix + key] = plain(value)
    dropped += [prefix + key for key in before if key not in after]


def _delivery(value: Delivery) -> dict[str, Any]:
    return attrs.asdict(value, recurse=False) | {
        "activity": int(value.activity),
        "finding": saved_episodes.to_plain(value.finding),
    }


def _announced(value: Announced) -> dict[str, Any]:
    row = attrs.asdict(value, recurse=False) | {
        "waiting": _plain(value.waiting),
        "told": _plain(value.told),
    }
    if not value.group:
        del row["group"]  # earlier versions read all other rows
    return row


def _held(known: Announced) -> bool:
    """Whether a silence holds a finding back."""
    return not known.messages and not known.group


def _group(value: Group) -> dict[str, Any]:
    return attrs.asdict(value, recurse=False) | {
        "kind": value.kind.value,
        "summary": _plain(value.summary),
    }


def _group_of(row: Mapping[str, Any]) -> Group:
    kind, summary = FindingKind(row["kind"]), _finding(row["summary"])
    return Group(**{**row, "kind": kind, "summary": summary})


def _disabled(at: int) -> dict[str, Any]:
    return {"at": at}


def _plain(finding: Finding | None) -> dict[str, Any] | None:
    return None if finding is None else saved_episodes.to_plain(finding)


def _finding(plain: dict[str, Any] | None) -> Finding | None:
    return None if plain is None else saved_episodes.from_plain(plain)
