"""The tables of the realms that a process keeps, for questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.registry import Registry
    from streams.stages.sentinel.unknown_agents import Shown


class UnknownRealmError(Exception):
    """The engine has no such realm."""


class TableAwayError(Exception):
    """The table is not here now: it is being read, or another process has it.

    Attributes:
        title: short and constant, for programs.
        detail: what to do about it.
        where: the partition and who has it, as far as is known.
    """

    def __init__(self, title: str, detail: str, **where: Any) -> None:
        super().__init__(detail)
        self.title = title
        self.detail = detail
        self.where = where


class Table(NamedTuple):
    """The table of a realm, and the token of how far it is.

    Every fact before the token is in the table; some behind it may be.
    """

    registry: Registry
    as_of: str


class TableReader(Protocol):
    """Gives the tables of the realms that this process keeps."""

    def table(self, realm: str | None) -> Table:
        """Table of a realm, of the settings' own by default.

        It belongs to the event loop of the stages: whoever walks it does so there.

        Raises:
            UnknownRealmError: the engine does not have it.
            TableAwayError: it is not here, or not yet.
        """
        ...

    def undeclared(self, realm: str | None) -> Iterable[Shown] | None:
        """Undeclared agents and credentials of a realm; None: other processes know."""
        ...
