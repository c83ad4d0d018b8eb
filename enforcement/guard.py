"""The guard: ask it before you serve a request.

``check`` answers from a replica in this process, without IO and without waiting. It
allows only while a lease proves that the replica knows everything that was accepted
up to a moment ago; the feed renews the lease four times in its length.

- Before the first catch-up every mode denies.
- Without a lease ``fail_closed`` denies, ``fail_open`` answers from the replica as it
  was (what it knows to be dead stays dead), ``observe`` counts and lets through.
- Call it only after the credential's signature was verified, from the thread of the
  event loop that the guard was started in.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final, Self

from agents_registry.kept import NO_SCOPE
from agents_registry.presentation import KEPT, Presented
from agents_registry.verdict import DEFAULT_POLICY, LIVES, Policy
from enforcement.awaiting import Awaiting, OfFeed, OfStanding
from enforcement.clocks import boottime, wall
from enforcement.feed import Feed
from enforcement.judging import TableJudge
from enforcement.names import ONE, Names, read_presented
from enforcement.parting import let_go
from enforcement.readiness import report
from enforcement.receipts import Receipts, Terms, signer
from enforcement.sessions import Sessions
from enforcement.standing import Freshness
from enforcement.steady import SteadyClock
from enforcement.tasks import AllowedTask, DeniedError, while_allowed
from enforcement.token import Token
from enforcement.verdict import Lapse, Mode, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from agents_registry.steps import Steps
    from enforcement.watchlist import LiveSession

SECOND: Final = 1_000_000_000
PROOF_LEASES: Final = 2  # for which a commit waits
system_random: Final = secrets.SystemRandom().random


class AnyGuard(Awaiting[OfStanding, OfFeed]):
    """A replica of one realm, kept current, that judges presented credentials.

    An async context manager: it feeds itself between entry and exit.

    Attributes:
        counters: what it did.
        standing: its replica and its lease.
        feed: what keeps them current.
        sessions: the running sessions that it watches.
        time: by which expiry is judged.
        live_sessions: it may watch sessions on routes that fail closed.
    """

    # Who is counted as enforcing (guards with receipts) must say so beforehand.
    live_sessions: bool = True

    def __init__(  # noqa: PLR0913 - each by name
        self,
        standing: OfStanding,
        feed: OfFeed,
        *,
        mode: Mode,
        routes: Mapping[str, Mode] | None,
        policy: Policy,
        clock: Callable[[], int],
        wall_clock: Callable[[], int],
    ) -> None:
        """Set up; entering the context connects."""
        super().__init__(mode, routes, clock)
        self.standing = standing
        self.feed = feed
        self.time = SteadyClock(wall_clock, clock)
        standing.witness, standing.parting = self.time.witness, let_go
        # A method of an object is called in half the time that an object is.
        self._now = self.time.__call__
        self._policy = policy
        self._tables = TableJudge(standing, self._now, policy)
        self._read = self._tables.recent.read
        self.sessions = Sessions(
            standing, self._tables.judge, clock=clock, wall_clock=self.time
        )
        self._tasks = asyncio.TaskGroup()
        self._running: asyncio.Task[None]
        self._watching: asyncio.Task[None]
        self._saying: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._running = self._tasks.create_task(self.feed.run())
        self._watching = self._tasks.create_task(self.sessions.run())
        self._saying = self._tasks.create_task(report(self.standing, self.feed))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (self._saying, self._watching, self._running):
            task.cancel()
        await self._tasks.__aexit__(None, None, None)

    def check(
        self,
        presented: Presented | Names,
        *,
        scope: str | None = None,
        at_least: Token | str | None = None,
        route: str | None = None,
    ) -> Verdict:
        """Judge a credential now; never waits.

        Args:
            presented: identifiers (``kind:value``), or those with verified claims.
            scope: the requested ``namespace|value``.
            at_least: deny unless this token's facts are applied (`wait_for` waits).
            route: the name of a route that has a mode of its own.

        Raises:
            KeyError: no route of this name was declared.
            ValueError: ``at_least`` is not a token.
        """
        mode, granted = self._routes[route]
        standing, read = self.standing, None
        if at_least is None and not standing.kept:
            if type(presented) is Presented:
                read = presented
            elif type(presented) in ONE:
                read = self._read.get(presented)
            if read is not None:
                seal, others, since, until, asked, kept = read.found[KEPT]
                # As `judge`. The clock comes last, and so it serves lease and expiry.
                if (
                    seal.era is others.era
                    and seal.era is standing.replica.registry.clearance.answers.era
                    and (
                        asked is None
                        or (asked is NO_SCOPE if scope is None else asked == scope)
                    )
                    and (clock := self._clock()) < standing.deadline
                    and since <= self.time.at(clock) < until
                ):
                    if kept is LIVES:
                        self.counters.allowed += 1
                        return granted
                    if mode is not Mode.OBSERVE:
                        return self._refused(kept, mode)
        judged = self._tables.judged(presented if read is None else read, scope)
        if judged is LIVES and at_least is None and self._clock() < standing.deadline:
            self.counters.allowed += 1
            return granted
        return self._concluded(standing, judged, mode, granted, at_least)

    async def check_in_turns(
        self,
        presented: Presented | Names,
        *,
        scope: str | None = None,
        at_least: Token | str | None = None,
        route: str | None = None,
    ) -> Verdict:
        """Judge a credential as `check` does, and let others go on meanwhile.

        For a process that answers many: what hangs on thousands of ancestors takes
        `check` up to a tenth of a second. Facts that are fed meanwhile count.
        """
        mode, granted = self._routes[route]
        read = read_presented(presented)
        judged = None if read is None else await self._tables.in_turns(read, scope)
        return self._concluded(self.standing, judged, mode, granted, at_least)

    def checking(
        self,
        presented: Presented | Names,
        *,
        scope: str | None = None,
        at_least: Token | str | None = None,
        route: str | None = None,
    ) -> Steps[Verdict]:
        """Judge a credential as `check` does, in steps; facts must wait meanwhile."""
        mode, granted = self._routes[route]
        read = read_presented(presented)
        judged = None
        if read is not None:
            judged = yield from self._tables.judging(read, scope)
        return self._concluded(self.standing, judged, mode, granted, at_least)

    def on_deny(
        self,
        presented: Presented | Names,
        callback: Callable[[Verdict], object],
        *,
        scope: str | None = None,
        route: str | None = None,
    ) -> LiveSession:
        """Have a running session ended when its credential dies; see `sessions`.

        Call it after the `check` that allowed the session, with the same arguments.
        The callback is called once, in the event loop and at the latest one lease
        after the guard would deny, also when it denies already; without a lease, and
        only where the route fails closed, one lease after the last one ended. Never
        for routes that observe.

        Args:
            presented: identifiers (``kind:value``), or those with verified claims.
            callback: ends the session; it must not wait. What it raises goes to the
                loop's exception handler.
            scope: the ``namespace|value`` that the session was allowed.
            route: the name of a route that has a mode of its own.

        Returns:
            The session; cancel it when it is over.

        Raises:
            KeyError: no route of this name was declared.
            RuntimeError: the guard does not run, or was made without
                ``live_sessions`` and the route fails closed.
            TypeError: the callback is a coroutine function.
        """
        mode, _ = self._routes[route]
        if mode is Mode.FAIL_CLOSED and not self.live_sessions:
            raise RuntimeError("make the guard with live_sessions=True")
        return self.sessions.watch(
            read_presented(presented), callback, scope=scope, mode=mode
        )

    async def commit(
        self,
        presented: Presented | Names,
        *,
        scope: str | None = None,
        route: str | None = None,
    ) -> Token | None:
        """Ask once more, just before the effect of a long call becomes durable.

        Waits for a proof that is younger than this call, a quarter of a lease or so:
        so it denies for whatever was accepted before it began, where `check` may be a
        lease behind.

        Returns:
            How far the table reached that was asked, to be kept with the effect.

        Raises:
            DeniedError: it is denied; without such a proof also ``no_lease``, where
                the route fails closed.
            KeyError: no route of this name was declared.
        """
        mode, _ = self._routes[route]
        proven = await self.proven(PROOF_LEASES * self.standing.lease.length / SECOND)
        applied = self.applied()
        verdict = await self.check_in_turns(presented, scope=scope, route=route)
        if verdict.allowed and mode is Mode.FAIL_CLOSED and not proven:
            lapse = Lapse.NO_LEASE
            verdict = self._answer(self.standing, mode, stale=True, lapse=lapse)
        if not verdict.allowed:
            raise DeniedError(verdict)
        return applied

    def task(
        self,
        presented: Presented | Names,
        *,
        scope: str | None = None,
        route: str | None = None,
    ) -> AbstractAsyncContextManager[AllowedTask]:
        """Run the body of ``async with`` while allowed; see `while_allowed`."""
        return while_allowed(self, presented, scope=scope, route=route)

    def _allows(self, name: str) -> bool:
        """Answer a probe of the server, which is no use and so is not counted."""
        presented = read_presented(name)
        return presented is not None and self._tables.judge(presented, None).allowed


class Guard(AnyGuard[Freshness, Feed]):
    """A guard that a server feeds.

    Attributes:
        counters: what it did.
        standing: its replica and its lease.
        feed: its connection to the server.
    """

    def __init__(  # noqa: PLR0913 - each is a setting with a default, by name
        self,
        url: str,
        credential: str,
        *,
        name: str,
        mode: Mode = Mode.FAIL_CLOSED,
        routes: Mapping[str, Mode] | None = None,
        policy: Policy = DEFAULT_POLICY,
        lease: float = 1.0,
        live_sessions: bool = False,
        signing_key: bytes | None = None,
        clock: Callable[[], int] = boottime,
        wall_clock: Callable[[], int] = wall,
        jitter: Callable[[], float] = system_random,
    ) -> None:
        """Set up; entering the context connects.

        Args:
            url: of the Rescind server, ``https://host:port``.
            credential: the guard's bearer token; it decides the realm.
            name: of this guard, unique in its realm.
            mode: what to do with what cannot be proven.
            routes: routes with a mode of their own, by name.
            policy: what to do with credentials that no fact makes known.
            lease: seconds for which one proof may be used.
            live_sessions: it serves sessions that end up to one lease after `check`
                denies; a revocation is then counted as enforced that much later.
            signing_key: Ed25519 key in PEM that signs its receipts; needs the package
                cryptography.
            clock: nanoseconds of CLOCK_BOOTTIME.
            wall_clock: nanoseconds UTC, for expiry.
            jitter: random numbers in [0, 1) for pauses between connections.

        Raises:
            ImportError: there is a key and no cryptography.
            ValueError: the key cannot be read.
        """
        self.live_sessions = live_sessions
        standing = self._fresh(round(lease * SECOND), clock)
        terms = Terms(standing.lease.length, mode, dict(routes or {}), live_sessions)
        receipts = _receipts(name, terms, signing_key, wall_clock)
        super().__init__(
            standing,
            Feed(
                url,
                credential,
                name=name,
                standing=standing,
                jitter=jitter,
                receipts=receipts,
                allows=self._allows,
                wall_clock=wall_clock,
            ),
            mode=mode,
            routes=routes,
            policy=policy,
            clock=clock,
            wall_clock=wall_clock,
        )

    def _fresh(self, length: int, clock: Callable[[], int]) -> Freshness:
        return Freshness(length, clock)


def _receipts(
    name: str, terms: Terms, key: bytes | None, wall_clock: Callable[[], int]
) -> Receipts:
    sign = None if key is None else signer(key)
    return Receipts(name, secrets.token_hex(8), terms, sign, wall_clock)
