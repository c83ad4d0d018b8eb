"""One thing to be ended at one issuer, from the plan to its end.

An item is named by its actuator and its identifier. Its state changes by what probes
found, and by nothing that an act answered.
"""

from __future__ import annotations

from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs
import orjson
from attrs import frozen

from agents_registry.identifiers import Identifier
from streams.model.endings import EndTarget, WantedEnd
from streams.stages.ending.groups import GroupRole, MoreCauses

if TYPE_CHECKING:
    from streams.stages.ending.groups import Membership

FEW: Final = 16  # causes that are looked through without a set of them
MOST_REASON: Final = 300  # characters of what an issuer says


class EndingState(Enum):
    """How far the end of something at its issuer is.

    Attributes:
        WAITING: its authority's mode is ``plan``, or nobody approved it yet.
        PENDING: it is to be done, or to be tried again.
        ACTING: an act was begun; whether it reached the issuer the next probe tells.
        ENDED: a probe found it dead.
        RESTORED: a probe found it given back, after a lift.
        FAILED: it was given up; the reason says why.
        NO_WAY: the issuer cannot end it.
        STOPPED: its causes do not stand any more, and nothing was done.
        LEFT: it is to be suspended, which its issuer cannot do: guards deny it.
        CONFIRMED: an operator says that it is ended there; no probe found that.
    """

    WAITING = "waiting"
    PENDING = "pending"
    ACTING = "acting"
    ENDED = "ended"
    RESTORED = "restored"
    FAILED = "failed"
    NO_WAY = "no_way"
    STOPPED = "stopped"
    LEFT = "left_to_guards"
    CONFIRMED = "confirmed"


OPEN: Final = frozenset({EndingState.PENDING, EndingState.ACTING})
_OVER: Final = frozenset(EndingState) - OPEN - {EndingState.WAITING}
_LATER: Final = (
    "behind", "carried", "failures", "kept", "left", "more", "past", "settled",
    "unproven",
)  # fmt: skip
_PLACES: Final = {
    GroupRole.CARRIED: "causes", GroupRole.BEHIND: "behind", GroupRole.LEFT: "left",
}  # fmt: skip
Key = tuple[str, Identifier]  # the actuator, and what is to be ended


@frozen(kw_only=True)
class EndingItem:
    """One thing to be ended at one issuer; times in ns.

    Attributes:
        actuator: name of it in the settings.
        names: other names of the same thing.
        not_before: only what was issued under it up to then is to end.
        causes: ids of the causes that end it.
        behind: ids of causes that want something else of it, which waits.
        left: ids of causes that suspend it, which its issuer cannot do.
        past: ids of the watermarks that a probe found done; later ones are in `causes`.
        settled: those up to then that are not in `past` any more were found done (ns).
        more: causes of groups that it has and does not name.
        carried: latest watermark of those that it carries out without its name (ns).
        rank: steps from what the first cause names; lower ones are ended first.
        mints: it can make others.
        due: when it is looked at next.
        since: when it was planned; changed: when its state changed last.
        attempts: that were answered and did not end it, since the last news.
        acts: that were begun, ever.
        failures: times that watermarks were given up, since one was found done.
        denied: acts that the issuer said were done while probes find it alive.
        acted_at: when the last act was begun.
        done: the issuer said that the last act was done.
        unanswered: since when the issuer gives no answer.
        rounds: how often the issuer was asked for what it made, after its end.
        suspended: an act that suspended it there was begun, and it is not given back.
        marked: all that was issued under it up to then was found ended (ns).
        rehearsed: what waits was probed and planned, by a dry run where there is one.
        kept: what is needed to finish an act that was begun; no secret.
        unproven: it was given up because no probe could tell whether it is dead.
        how: what the act is or was, for people.
        reason: of the state, for people.
    """

    actuator: str
    identifier: Identifier
    names: tuple[Identifier, ...] = ()
    wanted: WantedEnd = WantedEnd.ENDED
    not_before: int | None = None
    causes: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    settled: int | None = None
    more: tuple[MoreCauses, ...] = ()
    carried: int | None = None
    rank: int = 0
    mints: bool = False
    state: EndingState = EndingState.WAITING
    due: int = 0
    since: int = 0
    changed: int = 0
    attempts: int = 0
    acts: int = 0
    failures: int = 0
    denied: int = 0
    acted_at: int | None = None
    done: bool = False
    unanswered: int | None = None
    rounds: int = 0
    suspended: bool = False
    marked: int | None = None
    rehearsed: bool = False
    kept: str = ""
    unproven: bool = False
    how: str = ""
    reason: str = ""

    @property
    def key(self) -> Key:
        """Actuator and identifier."""
        return self.actuator, self.identifier

    @property
    def name(self) -> str:
        """Name under which it is kept."""
        return item_name(self.actuator, self.identifier)

    @property
    def target(self) -> EndTarget:
        """What the actuator is asked about."""
        return EndTarget(
            self.identifier, self.names, self.wanted, self.not_before,
            seen=self.acts > 0, kept=self.kept,
        )  # fmt: skip

    @property
    def shown(self) -> str:
        """EndingState as closure shows it."""
        if self.state in OPEN:
            return "pending" if self.unanswered is None else "unreachable"
        return "pending" if self.state is EndingState.WAITING else self.state.value

    @cached_property
    def _planned(self) -> frozenset[str]:
        return frozenset((*self.causes, *self.left, *self.past))

    def is_planned_for(self, cause: str) -> bool:
        """Whether what a cause wants of it is done, carried out or left to guards."""
        if len(self.causes) + len(self.left) + len(self.past) <= FEW:
            return cause in self.causes or cause in self.left or cause in self.past
        return cause in self._planned

    @property
    def concerns(self) -> tuple[str, ...]:
        """Ids of all causes that want something of it."""
        found = (*self.causes, *self.behind, *self.left, *self.past)
        return tuple(dict.fromkeys(found))

    @property
    def found_by(self) -> tuple[str, ...]:
        """Ids of the causes that it names, and of the groups of the others."""
        return (*self.concerns, *dict.fromkeys(each.group for each in self.more))

    @property
    def many(self) -> int:
        """Count the names of causes and the groups that it is kept with."""
        named = len(self.causes) + len(self.behind) + len(self.left) + len(self.past)
        return named + len(self.more)

    @property
    def settled_by_end(self) -> int | None:
        """Time up to which watermarks are done once the one carried out is (ns)."""
        if self.not_before is None or self.carried is None:
            return self.settled
        return max(self.settled or 0, min(self.carried, self.not_before))

    def naming(self, cause: str, of: Membership | None) -> EndingItem | None:
        """Item with a cause of a group by its name; None: it has not the cause."""
        if of is None or cause in self.concerns:
            return self if cause in self.concerns else None
        for each in self.more:
            if each.group == of.group and each.since <= of.mark:
                place = self._place(each.role, of.mark)
                given: dict[str, Any] = {place: (*getattr(self, place), cause)}
                return attrs.evolve(self, **given)
        return None

    def _place(self, role: GroupRole, mark: int) -> str:
        if role is not GroupRole.DATED:
            return _PLACES[role]
        if mark <= (self.settled or 0):
            return "past"
        if self.not_before is None:
            return "past" if mark <= (self.marked or 0) else "behind"
        return "causes" if mark <= self.not_before else "behind"

    @property
    def is_for_good(self) -> bool:
        """Whether it is to end itself: then no cause wants any more of it."""
        return self.wanted is WantedEnd.ENDED and self.not_before is None

    @property
    def may_be_confirmed(self) -> bool:
        """Whether an operator may say that it is ended: no probe will.

        What a probe finds alive is not ended, whoever says so, and a half act that is
        to be finished would be forgotten.
        """
        over = self.state is EndingState.NO_WAY or (
            self.state is EndingState.FAILED and self.unproven
        )
        return over and not self.kept and self.wanted is not WantedEnd.RESTORED

    def shown_to(self, cause: str) -> str:
        """State as closure of a cause shows it.

        What waits behind is not done, and what was never tried did not fail.
        """
        if self.leaves(cause):
            return EndingState.LEFT.value
        if self.is_past(cause):
            return EndingState.ENDED.value
        waits = self.waits_for(cause) and self.state in _OVER
        return "pending" if waits else self.shown

    def waits_for(self, cause: str) -> bool:
        """Whether what a cause wants of it waits behind something else."""
        other = cause not in self.causes and not self.leaves(cause)
        return other and not self.is_for_good and not self.is_past(cause)

    def is_past(self, cause: str) -> bool:
        """Whether what a cause wants of it was found done, and others came since."""
        return cause in self.past and cause not in self.causes

    def leaves(self, cause: str) -> bool:
        """Whether what a cause wants of it is left to the guards."""
        return cause in self.left and cause not in self.causes and not self.is_for_good

    def dump(self) -> bytes:
        """Item as JSON."""
        plain: dict[str, Any] = {
            a.name: getattr(self, a.name) for a in attrs.fields(EndingItem)
        }
        plain |= {
            "identifier": str(self.identifier),
            "names": [str(name) for name in self.names],
            "wanted": self.wanted.value,
            "state": self.state.value,
            "more": [(one.group, one.role.value, one.since) for one in self.more],
        }
        for name in _LATER:  # an older process reads what it knows
            if not plain[name]:
                del plain[name]
        return orjson.dumps(plain)

    @classmethod
    def load(cls, body: bytes) -> EndingItem:
        """Read what `dump` gave.

        Raises:
            ValueError: it is of another version.
        """
        try:
            plain = orjson.loads(body)
            plain["identifier"] = Identifier.parse(plain["identifier"])
            plain["names"] = tuple(map(Identifier.parse, plain["names"]))
            plain["causes"] = tuple(plain["causes"])
            for name in ("behind", "left", "past"):
                plain[name] = tuple(plain.get(name, ()))
            more = plain.get("more", ())
            plain["more"] = tuple(MoreCauses(g, GroupRole(r), at) for g, r, at in more)
            plain["wanted"] = WantedEnd(plain["wanted"])
            plain["state"] = EndingState(plain["state"])
            if "suspended" not in plain:  # of a version that judged by its acts
                back = plain["wanted"] is not WantedEnd.ENDED
                plain["suspended"] = back and bool(plain["acts"])
            return cls(**plain)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not an item of an ending: {error}") from error


def item_name(actuator: str, identifier: Identifier) -> str:
    """Name under which an item is kept."""
    return f"{quote(actuator, safe='')}/{quote(str(identifier), safe='')}"
