"""What causes want of something at its issuer: judged of the table, not yet done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from streams.stages.ending.groups import CauseGroups, GroupRole, MoreCauses, by_group

if TYPE_CHECKING:
    from agents_registry.cause_rows import RecordedCause
    from agents_registry.steps import Steps
    from streams.model.endings import WantedEnd

# Whether one of some causes (ids) may be acted on.
MayAct: TypeAlias = Callable[[Sequence[str]], bool]
ALL_NAMED: Final = CauseGroups()


class Condemnation(NamedTuple):
    """What is to become of something, and by which causes (ids).

    Of causes that are in groups, only `deciding` names each.

    Attributes:
        not_before: of a name that lives on: what was issued under it up to then (ns).
        behind: causes that want something else of it, which waits.
        left: causes that suspend it, which its issuer cannot do.
        latest: as `not_before`, with the later ones that wait (ns).
        deciding: causes one of which must let it be acted on: of the time `not_before`.
        past: watermarks in force that a probe found done, the latest of them; None: as
            they were.
        settled: all of them up to then that are not in `past` are done (ns).
        more: causes that are not named, by their groups.
        carried: latest watermark of those that is carried out with `causes` (ns).
        groups: causes that an item does not name, whatever it named before.
    """

    wanted: WantedEnd
    causes: tuple[str, ...]
    not_before: int | None = None
    behind: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    latest: int | None = None
    deciding: tuple[str, ...] = ()
    past: tuple[str, ...] | None = None
    settled: int | None = None
    more: tuple[MoreCauses, ...] = ()
    carried: int | None = None
    groups: CauseGroups = ALL_NAMED

    @property
    def is_left(self) -> bool:
        """Whether nothing of it is to be done: guards alone deny it."""
        return bool(self.left) and self.causes == self.left


class WantingCauses(NamedTuple):
    """Causes in force on something, by what they want of it.

    Attributes:
        marks: watermarks of all that was issued under it, the latest last.
        left: suspends that its issuer cannot do.
        groups: causes that are not named.
    """

    final: list[RecordedCause]
    marks: list[RecordedCause]
    suspends: list[RecordedCause]
    groups: CauseGroups
    left: Sequence[RecordedCause] = ()

    def more(
        self, *of: tuple[Sequence[RecordedCause], GroupRole]
    ) -> Steps[tuple[MoreCauses, ...]]:
        """Return the groups of causes that are not named, by what is done for them."""
        found: dict[str, MoreCauses] = {}
        for causes, role in of:
            for each in (yield from by_group(causes, role, self.groups)):
                found.setdefault(each.group, each)
        return tuple(found.values())
