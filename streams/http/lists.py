"""What the embedded engine keeps in lists: findings, and dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from streams.engines.embedded.dead_letters import NAMES, row_as_plain
from streams.http.answers import json_answer
from streams.http.query_values import limit_of, number_of
from streams.model.times import rfc3339
from streams.process.aside import Aside, collected, here, packed
from streams.stages.notify.silences import Silence, mark
from streams.stages.sentinel import saved_episodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.engines.embedded.store import Store
    from streams.http.auth import Tokens


class Lists:
    """Handlers of what the embedded engine keeps in lists; all need the role viewer."""

    def __init__(
        self,
        tokens: Tokens,
        store: Store,
        silences: Callable[[], tuple[Silence, ...]] = tuple,
        aside: Aside = here,
    ) -> None:
        """Answer from the store; ``silences`` gives those in force."""
        self._aside = aside
        self._tokens = tokens
        self._store = store
        self._silences = silences

    async def findings(self, request: web.Request) -> web.Response:
        """List findings by their last change; ``?after=`` continues a list.

        An open one that is not told now says which silence covers it, and why.
        """
        self._tokens.holder(request, "viewer")
        after = number_of(request, "after", 0)
        query = (
            "SELECT changed, body FROM findings WHERE changed > ?"
            " ORDER BY changed LIMIT ?"
        )
        limit = limit_of(request)

        async def listed() -> bytes:
            rows = await self._store.read(query, after, limit)
            silences = self._silences()
            found = await collected(
                _finding(changed, each, silences) for changed, each in rows
            )
            last = rows[-1][0] if rows else after
            return await packed({"findings": found, "after": last})

        body = await self._aside(listed)
        return web.Response(body=body, content_type="application/json")

    async def dlq(self, request: web.Request) -> web.Response:
        """List dead letters by their last change; ``?after=`` continues a list."""
        self._tokens.holder(request, "viewer")
        after = number_of(request, "after", -1)
        query = (
            f"SELECT {', '.join(NAMES)} FROM dlq"  # noqa: S608 - constant names
            " WHERE offset > ? ORDER BY offset LIMIT ?"
        )
        rows = await self._store.read(query, after, limit_of(request))
        letters = [row_as_plain(row) for row in rows]
        for letter in letters:
            letter |= {name: rfc3339(letter[name]) for name in ("at", "last_at")}
        last = rows[-1][0] if rows else after
        return json_answer({"dead_letters": letters, "after": last})


def _finding(changed: int, body: bytes, silences: tuple[Silence, ...]) -> Any:
    episode = orjson.loads(body)
    finding = episode["finding"] | {"open": episode["open"], "changed": changed}
    known = saved_episodes.from_plain(episode["finding"])
    finding["silenced"] = mark(known, silences) if episode["open"] else None
    for name in ("first_seen", "last_seen", "cause_at"):
        finding[name] = rfc3339(finding[name])
    return finding
