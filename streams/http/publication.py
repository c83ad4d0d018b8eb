"""How status lists are made and given out, as it is set."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen

from streams.http.status_token import SigningKey
from streams.model.error_text import error_text
from streams.model.times import SECOND

if TYPE_CHECKING:
    from streams.settings.server import Settings


@frozen
class Publication:
    """How lists are made and given out.

    Attributes:
        url: where readers find them, without a slash at its end.
        key: signs them.
        bits: of a status; size: indices of a new list.
        ttl: seconds for which a reader may use a list.
        lease: ns; a list is as fresh as a guard's proof, or is refused.
        history: how far back a reader may ask (ns); 0: not at all.
    """

    url: str
    key: SigningKey
    bits: int
    size: int
    ttl: int
    lease: int
    history: int

    def uri(self, name: str) -> str:
        """Address of a list, which its credentials name."""
        return f"{self.url}/{name}"

    @property
    def aggregation(self) -> str:
        """Address of the list of lists."""
        return f"{self.url}/aggregation"


def publication(settings: Settings) -> Publication | None:
    """How status lists are made, or None where the settings want none.

    Raises:
        ValueError: the key cannot be used; the text says why.
    """
    lists = settings.status_lists
    if lists is None:
        return None
    try:
        key = SigningKey.read(lists.key.read_bytes())
    except OSError as error:
        raise ValueError(f"status_lists.key: {error_text(error)}") from error
    except ValueError as error:
        raise ValueError(f"status_lists.key: {lists.key}: {error}") from error
    return Publication(
        url=lists.url,
        key=key,
        bits=lists.bits,
        size=lists.size,
        ttl=lists.ttl_seconds or math.ceil(settings.lease_seconds),
        lease=int(settings.lease_seconds * SECOND),
        history=lists.history_seconds * SECOND,
    )
