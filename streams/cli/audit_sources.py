"""Where the lines of an audit chain come from: a server, or a file; Kafka apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
from attrs import frozen

from schemas.codec import decode_fact
from streams.stages.audit.chain import BrokenChainError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from agents_registry.facts import Fact
    from streams.clients.rescind import Client

PAGE: Final = 1000


class ChainExport(Protocol):
    """Where the lines of an export come from: a file, a server or Kafka."""

    def lines(self, after: int = 0) -> Iterable[Any]:
        """Give lines; those up to an entry may be left out."""
        ...

    def last_head(self) -> str | None:
        """Give a head that is kept beside the chain; None where none is."""
        ...

    def read_fact(self, value: bytes) -> Fact:
        """Read the value of a record; raises SchemaError."""
        ...


@frozen
class ServerChain:
    """The chain of a server, page by page."""

    client: Client

    def lines(self, after: int = 0) -> Iterator[Any]:
        """Give the lines behind an entry."""
        more: int | None = after
        while more is not None:
            page = self.client.get("audit", after=more, limit=PAGE)
            yield from page["lines"]
            more = page["after"]

    def last_head(self) -> None:
        """Give none: the server keeps its heads in the chain."""

    read_fact = staticmethod(decode_fact)


@frozen
class FileChain:
    """An export in a file."""

    path: Path

    def lines(self, after: int = 0) -> Iterator[Any]:
        """Give all lines.

        Raises:
            BrokenChainError: one is not JSON.
        """
        del after
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    message = f"line {number} is not JSON: changed, or cut off"
                    raise BrokenChainError(message) from error

    def last_head(self) -> None:
        """Give none."""

    read_fact = staticmethod(decode_fact)
