"""A guard for many processes of a host, and the agent that keeps their table."""

from typing import TYPE_CHECKING

from enforcement.shared.guard import SharedGuard

if TYPE_CHECKING:
    from enforcement.shared.agent import Agent

__all__ = ["Agent", "SharedGuard"]


def __getattr__(name: str) -> object:
    """Import the agent where it is asked for: who reads its table needs no connection.

    Raises:
        AttributeError: there is none of this name.
    """
    if name != "Agent":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from enforcement.shared.agent import Agent  # noqa: PLC0415

    return Agent
