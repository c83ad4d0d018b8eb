"""The lists of findings and dead letters as they lie in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from streams.engines.embedded.dead_letters import NAMES, row_as_plain
from streams.ports.findings_log import ListedFinding
from streams.process.aside import collected
from streams.stages.sentinel import saved_episodes

if TYPE_CHECKING:
    from streams.engines.embedded.store import Store

LARGEST: Final = 2**63 - 1


class StoredFindings:
    """Findings of a store, which were told once they are committed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, after: int, limit: int) -> tuple[list[ListedFinding], int]:
        """List findings that changed after a place; none is ever left out."""
        query = (
            "SELECT changed, body FROM findings WHERE changed > ?"
            " ORDER BY changed LIMIT ?"
        )
        rows = await self._store.read(query, after, limit)
        return await collected(_listed(*row) for row in rows), 0

    async def before(self, place: int | None, limit: int) -> list[ListedFinding]:
        """List findings that changed before a place, the newest change first."""
        query = (
            "SELECT changed, body FROM findings WHERE changed < ?"
            " ORDER BY changed DESC LIMIT ?"
        )
        end = LARGEST if place is None else place
        rows = await self._store.read(query, end, limit)
        return await collected(_listed(*row) for row in rows)

    async def find(self, identity: str) -> ListedFinding | None:
        """Look a finding up by its id."""
        query = "SELECT changed, body FROM findings WHERE id = ?"
        for row in await self._store.read(query, identity):
            return _listed(*row)
        return None


class StoredDeadLetters:
    """Dead letters of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, after: int, limit: int) -> list[dict[str, Any]]:
        """List letters that are new or grew after an offset."""
        query = (
            f"SELECT {', '.join(NAMES)} FROM dlq"  # noqa: S608 - constant names
            " WHERE offset > ? ORDER BY offset LIMIT ?"
        )
        rows = await self._store.read(query, after, limit)
        return [row_as_plain(row) for row in rows]

    async def newest(self, before: int, limit: int) -> list[dict[str, Any]]:
        """List letters before an offset, the newest first."""
        query = (
            f"SELECT {', '.join(NAMES)} FROM dlq"  # noqa: S608 - constant names
            " WHERE offset < ? ORDER BY offset DESC LIMIT ?"
        )
        rows = await self._store.read(query, before, limit)
        return [row_as_plain(row) for row in rows]


def _listed(changed: int, body: bytes) -> ListedFinding:
    episode = orjson.loads(body)
    finding = saved_episodes.from_plain(episode["finding"])
    return ListedFinding(changed, episode["open"], finding)
