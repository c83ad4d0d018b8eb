"""Tasks that are cancelled: by a credential that ends, or by somebody else.

A piece of work (a tool call, an agent's step) runs only while a credential lives.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agents_registry.presentation import Presented
    from enforcement.loops import AskedInLoop
    from enforcement.names import Names
    from enforcement.token import Token
    from enforcement.verdict import Verdict


class DeniedError(Exception):
    """The guard denies; the text is the reason alone.

    Attributes:
        verdict: with path and cause, for the operator.
    """

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.reason.value)
        self.verdict = verdict

    def __reduce__(self) -> tuple[type[DeniedError], tuple[Verdict]]:
        return DeniedError, (self.verdict,)  # pools of processes hand it on


@frozen
class AllowedTask:
    """A piece of work that runs while its credential lives."""

    guard: AskedInLoop
    presented: Presented | Names
    scope: str | None
    route: str | None

    async def commit(self) -> Token | None:
        """Ask once more before an effect becomes durable; see `Guard.commit`.

        Raises:
            DeniedError: it is denied.
        """
        return await self.guard.commit(
            self.presented, scope=self.scope, route=self.route
        )


@asynccontextmanager
async def while_allowed(
    guard: AskedInLoop,
    presented: Presented | Names,
    *,
    scope: str | None = None,
    route: str | None = None,
) -> AsyncIterator[AllowedTask]:
    """Run the body of ``async with`` while a guard allows it; else cancel it.

    As with `asyncio.timeout`, the body is cancelled where it awaits, and the error is
    raised once it is through.

    Args:
        guard: of any kind, running.
        presented: identifiers (``kind:value``), or those with verified claims.
        scope: the requested ``namespace|value``.
        route: the name of a route that has a mode of its own.

    Raises:
        DeniedError: it is denied, before the body began or while it ran.
    """
    verdict = await guard.check_in_turns(presented, scope=scope, route=route)
    if not verdict.allowed:
        raise DeniedError(verdict)
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - coroutines on asyncio run in one
    cancelled_before = task.cancelling()
    ended: list[Verdict] = []

    def end(verdict: Verdict) -> None:
        ended.append(verdict)
        task.cancel()

    session = guard.on_deny(presented, end, scope=scope, route=route)
    try:
        yield AllowedTask(guard, presented, scope, route)
    except asyncio.CancelledError:
        if ended and task.uncancel() <= cancelled_before:
            raise DeniedError(ended[0]) from None
        raise
    except BaseException:
        if ended:  # the body made another error of its cancellation
            task.uncancel()
        raise
    finally:
        session.cancel()
    if ended:  # the body finished in spite of its cancellation
        task.uncancel()
        raise DeniedError(ended[0])


def heed_cancellation() -> None:
    """Raise a cancellation that a task group took for its own.

    A TaskGroup whose child fails just when the task is cancelled raises the child's
    errors only (CPython 3.11); the task would then never end.
    """
    if cancelled():
        raise asyncio.CancelledError


def cancelled() -> bool:
    """Whether somebody cancelled the task that asks."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
