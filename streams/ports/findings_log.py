"""Logs that people list: of findings, of dead letters, and the audit chains.

No page is given before it holds all that lay in the log when it was asked for: an empty
one means that there is nothing. Places stay what they are when a process starts anew,
so a list can be continued at any process of the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.model.findings import Finding
    from streams.stages.audit.chain import Line


class BehindError(Exception):
    """A view does not hold all yet that lay in its log; the text says what to do."""


class SkippingError(BehindError):
    """A chain that is only read forward is not read up to where a page begins.

    Attributes:
        at: entry that it is read up to; who asks again goes on from there.
    """

    def __init__(self, at: int) -> None:
        """Say how far it is."""
        super().__init__(
            f"the chain is read from its beginning, {at} entries so far: ask again"
        )
        self.at = at


class ListedFinding(NamedTuple):
    """A finding as it was told last.

    Attributes:
        changed: its place in the order of changes.
    """

    changed: int
    open: bool
    finding: Finding


class FindingsLog(Protocol):
    """The findings of a realm, each at its last change."""

    async def page(self, after: int, limit: int) -> tuple[Sequence[ListedFinding], int]:
        """List findings that changed after a place, the oldest change first.

        Args:
            after: place of a change.
            limit: most findings.

        Returns:
            The findings, and how many older ones are not kept any more though open.

        Raises:
            BehindError: not all is read that was told by now.
        """
        ...


class SearchedFindings(FindingsLog, Protocol):
    """The findings of a realm, for people who look for some of them."""

    async def before(self, place: int | None, limit: int) -> Sequence[ListedFinding]:
        """List findings that changed before a place, the newest change first.

        Args:
            place: of a change; None: list from the last one on.
            limit: most findings.

        Raises:
            BehindError: not all is read that was told by now.
        """
        ...

    async def find(self, identity: str) -> ListedFinding | None:
        """Look a finding up by its id; None where none is kept.

        Raises:
            BehindError: not all is read that was told by now.
        """
        ...


class DeadLetterLog(Protocol):
    """The dead letters of a realm; repeats of a day are one.

    A repeat may be counted some seconds after the batch that it stood in.
    """

    async def page(self, after: int, limit: int) -> Sequence[dict[str, Any]]:
        """List letters that are new or grew after an offset, in that order.

        Args:
            after: offset of a letter.
            limit: most letters.

        Returns:
            JSON-ready values by the names of the API; times are integer ns.

        Raises:
            BehindError: not all is read that was written by now.
        """
        ...

    async def newest(self, before: int, limit: int) -> Sequence[dict[str, Any]]:
        """List letters by their last change, the newest first, as `page` has them.

        Args:
            before: offset that all of them lie below.
            limit: most letters.

        Raises:
            BehindError: not all is read that was written by now.
        """
        ...


class AuditChain(Protocol):
    """The audit chains, for whoever keeps or verifies them."""

    async def page(
        self, after: int, limit: int, realm: str | None = None
    ) -> tuple[list[Line], int | None]:
        """Return lines of an export, and the entry that the next page follows.

        Args:
            after: number of an entry; 0: from the beginning.
            limit: most entries.
            realm: whose chain; None: that of the settings.

        Returns:
            The lines in order, and None once they are all.

        Raises:
            BehindError: the chain cannot be read now.
        """
        ...

    async def last_head(self, realm: str | None = None) -> str | None:
        """Return the last signed head of a chain; None where there is none yet.

        Raises:
            BehindError: it cannot be read now.
        """
        ...
