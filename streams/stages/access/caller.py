"""Where a use came from, as its line tells beyond the credential."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from agents_registry.secret_shapes import without_secrets

MOST_TEXT: Final = 256  # characters of each value; a user agent may be any text


class Caller(NamedTuple):
    """Where a use came from, as its line tells.

    Attributes:
        address: of the network, as the point saw it.
        user_agent: as the client named itself.
        agent: identifier of the agent that acted, as ``kind:value``.
    """

    address: str | None = None
    user_agent: str | None = None
    agent: str | None = None


@lru_cache(maxsize=4096)  # few call often, and each text is searched for secrets
def caller(
    address: str | None, user_agent: str | None, agent: str | None
) -> Caller | None:
    """Caller with its texts cut to a length; None where nothing is known."""
    told = (address, user_agent, agent)
    if not any(told):
        return None
    return Caller(*(text and without_secrets(text)[:MOST_TEXT] for text in told))
