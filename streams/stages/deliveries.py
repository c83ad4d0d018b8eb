"""What notify remembers: deliveries on their way and findings that were announced.

Plain frozen values; `State.rows` gives them as JSON-ready rows with stable keys, so
an engine stores what changed and nothing else.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
from attrs import field, frozen

from streams.findings import Finding, Severity
from streams.stages import episodes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Value = TypeVar("Value")


class Activity(IntEnum):
    """What happened to a finding; OCSF ``activity_id`` of class 2004."""

    CREATE = 1
    UPDATE = 2
    CLOSE = 3


@frozen(kw_only=True)
class Route:
    """One receiver as the schedule sees it.

    Attributes:
        name: stable; a delivery finds its endpoint by it.
        minimum: findings below are not sent.
    """

    name: str
    minimum: Severity = Severity.LOW


@frozen(kw_only=True)
class Delivery:
    """One message to one receiver until it is accepted or given up.

    Attributes:
        id: the same in every attempt, and the receiver's key to drop repeats.
        number: of the message among those of its finding, from 1.
        created_at: when the message came to be (ns); its body is of that time.
        attempts: how many have failed.
        next_at: not to be tried before (ns).
        leased_until: an attempt is under way; after this one it counts as lost (ns).
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

    @property
    def key(self) -> str:
        """Give the key of the delivery's row."""
        return f"delivery/{self.route}/{self.id}"


@frozen(kw_only=True)
class Announced:
    """A finding that receivers know of.

    Attributes:
        messages: number of the last message made of it; stands in its id.
        at: when the last one was made (ns).
        waiting: the finding as it is now, if that was not told yet.
        order: of what waits, see `streams.stages.notify.Change`.
    """

    messages: int
    at: int
    waiting: Finding | None = None
    order: int = 0


@frozen(kw_only=True)
class Outcome:
    """How one attempt ended.

    Attributes:
        status: of the HTTP response; None when there was none.
        error: constant name of what went wrong, empty where there is a status.
        retry_after: what the receiver asked for, in ns.
    """

    status: int | None = None
    error: str = ""
    retry_after: int | None = None


@frozen(kw_only=True)
class Dead:
    """A delivery that was given up, for the dead letters.

    Attributes:
        reason: ``exhausted`` or ``endpoint_gone``, and how the last attempt ended.
    """

    delivery: Delivery
    reason: str


@frozen(kw_only=True)
class State:
    """All that notify knows.

    Attributes:
        deliveries: by their key.
        announced: by the id of the finding.
        disabled: routes that answered 410, and when (ns).
    """

    deliveries: Mapping[str, Delivery] = field(factory=dict)
    announced: Mapping[str, Announced] = field(factory=dict)
    disabled: Mapping[str, int] = field(factory=dict)

    def rows(self) -> dict[str, dict[str, Any]]:
        """Give the state as JSON-ready rows; times stay integer ns."""
        rows = {key: _delivery(value) for key, value in self.deliveries.items()}
        rows |= {_FINDING + key: _announced(v) for key, v in self.announced.items()}
        return rows | {_ROUTE + key: _disabled(v) for key, v in self.disabled.items()}

    @classmethod
    def of_rows(cls, rows: Mapping[str, Mapping[str, Any]]) -> State:
        """Read what `rows` gave."""
        deliveries, announced, disabled = {}, {}, {}
        for key, row in rows.items():
            if key.startswith(_FINDING):
                announced[key.removeprefix(_FINDING)] = Announced(
                    **{**row, "waiting": _finding(row["waiting"])}
                )
            elif key.startswith(_ROUTE):
                disabled[key.removeprefix(_ROUTE)] = row["at"]
            else:
                finding = episodes.from_plain(row["finding"])
                activity = Activity(row["activity"])
                deliveries[key] = Delivery(
                    **{**row, "finding": finding, "activity": activity}
                )
        return cls(deliveries=deliveries, announced=announced, disabled=disabled)


def changes(before: State, after: State) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Give the rows to write and the keys to drop that lead from one to the other."""
    put: dict[str, Any] = {}
    dropped: list[str] = []
    _differ("", before.deliveries, after.deliveries, _delivery, put, dropped)
    _differ(_FINDING, before.announced, after.announced, _announced, put, dropped)
    _differ(_ROUTE, before.disabled, after.disabled, _disabled, put, dropped)
    return put, tuple(dropped)


def _differ(
    prefix: str,
    before: Mapping[str, Value],
    after: Mapping[str, Value],
    plain: Callable[[Value], dict[str, Any]],
    put: dict[str, Any],
    dropped: list[str],
) -> None:
    # Values are immutable and carried over, so an unchanged one is the same object.
    put |= {prefix + k: plain(v) for k, v in after.items() if before.get(k) is not v}
    dropped += [prefix + key for key in before if key not in after]


_FINDING: Final = "announced/"
_ROUTE: Final = "disabled/"


def _delivery(value: Delivery) -> dict[str, Any]:
    return attrs.asdict(value, recurse=False) | {
        "activity": int(value.activity),
        "finding": episodes.to_plain(value.finding),
    }


def _announced(value: Announced) -> dict[str, Any]:
    waiting = None if value.waiting is None else episodes.to_plain(value.waiting)
    return {
        "messages": value.messages,
        "at": value.at,
        "waiting": waiting,
        "order": value.order,
    }


def _disabled(at: int) -> dict[str, Any]:
    return {"at": at}


def _finding(plain: dict[str, Any] | None) -> Finding | None:
    return None if plain is None else episodes.from_plain(plain)
