"""What ending at issuers asks of its surroundings, on either engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from streams.stages.ending.groups import Membership
    from streams.stages.ending.items import EndingItem

LOOKED: Final = "looked"  # name of what tells which actuators were looked for
GROUPED: Final = "grouped:"  # before the id of a cause: of which group it is


class Confirmation(NamedTuple):
    """What an operator says is ended at its issuer.

    Attributes:
        changed: when what they looked at had been given up (ns).
        causes: that it was to end for then.
        by: who; both persons where it takes two.
    """

    changed: int
    causes: frozenset[str]
    by: str
    reason: str


class CurrentFacts(Protocol):
    """The table of a realm, of the event loop that runs now."""

    @property
    def registry(self) -> Registry:
        """Table as it is now."""

    async def catch_up(self) -> str:
        """Wait until the table holds all that was accepted when this was called.

        Raises:
            BehindError: it does not in time.
        """


class EndingRecords(Protocol):
    """Where what is done at issuers becomes durable, whichever event loop runs now."""

    async def load(self) -> list[EndingItem]:
        """Items as they were kept last.

        Raises:
            NotWrittenError: that cannot be told now.
        """

    async def keep(self, items: Sequence[EndingItem]) -> None:
        """Keep the states of items.

        Raises:
            NotWrittenError: not all of them are kept.
        """

    async def note_groups(self, causes: Mapping[str, Membership]) -> None:
        """Note of which groups causes (ids) are that items do not name.

        Raises:
            NotWrittenError: it is not noted.
        """

    def was_planned(self, cause: str) -> bool:
        """Whether it was noted that all that a cause reaches is planned."""

    async def note_planned(
        self, causes: Sequence[str], actuators: Sequence[str] | None
    ) -> None:
        """Note that all that causes reach is planned, for whoever waits for that.

        Args:
            causes: ids.
            actuators: at which all causes that were noted are planned; None: it is not
                known yet of those that were noted earlier.

        Raises:
            NotWrittenError: it is not noted.
        """

    async def forget(self, items: Sequence[EndingItem]) -> None:
        """Keep items no longer.

        Raises:
            NotWrittenError: not all of them are forgotten.
        """

    async def begin(self, item: EndingItem) -> None:
        """Keep an item whose act begins, with a line of the audit chain.

        Raises:
            NotWrittenError: it is not kept: the act must not be made.
        """

    async def declare(self, parent: EndingItem, made: Sequence[Identifier]) -> bool:
        """Declare what something made, so that guards deny it too.

        Returns:
            Whether the authority may speak of them.

        Raises:
            NotWrittenError: it is not declared.
        """

    async def tell(self, signals: Sequence[dict[str, Any]]) -> None:
        """Report what the sentinel is to make findings of.

        Raises:
            NotWrittenError: it is not told.
        """

    def approvals(self, actuator: str) -> frozenset[str]:
        """Return the causes whose whole reach an operator approved to end there."""

    def retried(self, actuator: str) -> int:
        """When an operator last asked to try again what was given up (ns); 0: never."""

    def confirmed(self, actuator: str) -> Mapping[Identifier, Confirmation]:
        """Return what operators say is ended there, the last word on each."""
