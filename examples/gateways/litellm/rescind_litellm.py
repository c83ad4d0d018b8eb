"""A guard in LiteLLM's proxy: a dead key is refused, and its running streams end.

LiteLLM keeps a key that it has found for a minute (``user_api_key_cache_ttl``), so a
key that was deleted through another proxy, or whose owner is dead, goes on working. The
guard is asked beside that cache, before each call, and before its answer goes out.

A key is presented by its alias, which LiteLLM keeps unique, with its user and its team,
as the mapping of LiteLLM's logs names them (examples/mappings/litellm-proxy.yaml). A
key without an alias cannot be named, and is refused.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from fastapi import HTTPException
from litellm.caching.dual_cache import DualCache
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy._types import ProxyException, UserAPIKeyAuth

from rescind_guard import Guard, Identifier, Verdict
from rescind_guard.threads import ThreadedGuard

FORBIDDEN = 403


def new_guard() -> Guard:
    """Make the guard of a worker process, under a name of its own."""
    return Guard(
        os.environ["RESCIND_URL"],
        os.environ["RESCIND_GUARD_TOKEN"],
        name=f"litellm-{os.uname().nodename}-{os.getpid()}",
        live_sessions=True,
    )


class RescindHandler(CustomLogger):  # type: ignore[misc]
    """Asks a guard about each call; LiteLLM calls its hooks."""

    def __init__(self) -> None:
        """Start the guard, in a thread of its own."""
        super().__init__()
        self._guard = ThreadedGuard(new_guard)
        self._guard.ready(10, required=False)

    async def async_pre_call_hook(
        self,
        user_api_key_dict: UserAPIKeyAuth,
        cache: DualCache,
        data: dict[str, Any],
        call_type: str,
    ) -> None:
        """Refuse the call of a dead key.

        Raises:
            HTTPException: 401, with the reason; 403 without an alias.
        """
        self._demand(user_api_key_dict, status=401)

    async def async_post_call_success_hook(
        self, data: dict[str, Any], user_api_key_dict: UserAPIKeyAuth, response: Any
    ) -> Any:
        """Give the answer of a call that took its time to a key that lives.

        Raises:
            HTTPException: 403, with the reason. LiteLLM takes a 401 that comes after
                the model was asked for one of the model's, and gives it a rest of 5 s,
                for all keys.
        """
        self._demand(user_api_key_dict, status=FORBIDDEN)
        return response

    async def async_post_call_streaming_iterator_hook(
        self,
        user_api_key_dict: UserAPIKeyAuth,
        response: Any,
        request_data: dict[str, Any],
    ) -> AsyncGenerator[Any, None]:
        """Pass a stream on while its key lives; LiteLLM ends it with an error."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[Verdict] = loop.create_future()

        def end(verdict: Verdict) -> None:
            loop.call_soon_threadsafe(over.set_result, verdict)

        session = self._guard.on_deny(presented(user_api_key_dict), end)
        try:
            pieces = aiter(response)
            while True:
                piece = loop.create_task(_next(pieces))
                await asyncio.wait({piece, over}, return_when=asyncio.FIRST_COMPLETED)
                if over.done():
                    piece.cancel()
                    raise _ended(over.result())
                if (found := piece.result()) is None:
                    return
                yield found
        finally:
            session.cancel()

    def _demand(self, key: UserAPIKeyAuth, *, status: int) -> None:
        verdict = self._guard.check(presented(key))
        if not verdict.allowed:
            raise HTTPException(status, f"rescind: {verdict.reason.value}")


def presented(key: UserAPIKeyAuth) -> list[Identifier]:
    """Give what a call presents: the key, and whoever it belongs to.

    Raises:
        HTTPException: the key has no alias.
    """
    if not key.key_alias:
        reason = "rescind: a key without an alias cannot be named"
        raise HTTPException(FORBIDDEN, reason)
    names = {
        "litellm.key_alias": key.key_alias,
        "litellm.user": key.user_id,
        "litellm.team": key.team_id,
    }
    return [Identifier(kind, value) for kind, value in names.items() if value]


def _ended(verdict: Verdict) -> ProxyException:
    """Give what LiteLLM makes the last event of a stream of, in place of its end."""
    reason = f"rescind: {verdict.reason.value}"
    return ProxyException(reason, type="auth_error", param="key", code=FORBIDDEN)


async def _next(pieces: AsyncIterator[Any]) -> Any:
    """Give the next piece; None at the end."""
    return await anext(pieces, None)


handler = RescindHandler()
