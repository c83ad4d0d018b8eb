"""What guards allowed of what was revoked, and how long after the acceptance; pure.

A guard tells of every check that allows, with the time at which the check began. All
times are seconds of CLOCK_MONOTONIC, which the processes of a host share. So whatever
a guard does with its lease, one allowance too late is seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import Factory, define

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BEFORE: Final = "before"
AFTER: Final = "after"
END: Final = "end"


@define(eq=False)
class GuardAllows:
    """What one guard said.

    Attributes:
        before: names that it allowed before they were revoked.
        last: seconds from the acceptance until it allowed a name for the last time.
        late: names that it allowed a lease after the acceptance or later, and how many
            seconds after.
        proven: last checks of a name that denied because it is revoked.
        lapsed: last checks of a name that denied for want of a lease.
        lost: names that it allowed at the end of all.
        ended: names that it denied then because they are revoked.
    """

    before: int = 0
    last: dict[str, float] = Factory(dict)
    late: dict[str, float] = Factory(dict)
    proven: int = 0
    lapsed: int = 0
    lost: list[str] = Factory(list)
    ended: int = 0


@define(eq=False)
class Allows:
    """What all guards said, by their names.

    Attributes:
        lease: seconds after the acceptance from which nothing may be allowed.
    """

    lease: float
    guards: dict[str, GuardAllows] = Factory(dict)

    def hearer(self, guard: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
        """Give what takes the answers of a guard, each with its question."""
        said = self.guards.setdefault(guard, GuardAllows())
        takes = {BEFORE: _before, AFTER: self._after, END: _end}

        def hear(question: dict[str, Any], told: dict[str, Any]) -> None:
            takes[question["what"]](said, question, told)

        return hear

    def late(self) -> Iterator[tuple[str, str, float]]:
        """Guard, name, and seconds after the acceptance of what came too late."""
        for guard, said in self.guards.items():
            for name, seconds in said.late.items():
                yield guard, name, seconds

    def _after(
        self, said: GuardAllows, question: dict[str, Any], told: dict[str, Any]
    ) -> None:
        said.proven += told.get("revoked", 0)
        said.lapsed += told.get("lapsed", 0)
        for name in told.get("allowed", ()):
            seconds = told["at"] - question["accepted"]
            said.last[name] = max(seconds, said.last.get(name, 0.0))
            if seconds >= self.lease:
                said.late[name] = max(seconds, said.late.get(name, 0.0))


def _before(said: GuardAllows, _: dict[str, Any], told: dict[str, Any]) -> None:
    said.before += len(told.get("allowed", ()))


def _end(said: GuardAllows, _: dict[str, Any], told: dict[str, Any]) -> None:
    said.lost += told.get("allowed", ())
    said.ended += told.get("revoked", 0)
