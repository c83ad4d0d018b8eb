"""WSGI (PEP 3333): check each request, and each piece of a response before it goes.

Works with whatever speaks WSGI (Flask, Django, Pyramid under gunicorn, uWSGI or
mod_wsgi); it imports none of them. The guard is asked again before each piece of a
response. When the credential died, the response stays incomplete and `DeniedError` is
raised, on which servers cut the connection, so that its client cannot take the part for
the whole. A piece for which the guard has no lease waits a second for one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import frozen

from enforcement.refusal import refusal
from enforcement.tasks import DeniedError
from enforcement.verdict import Lapse

if TYPE_CHECKING:
    from agents_registry.presentation import Presented
    from enforcement.names import Names
    from enforcement.refusal import Asks
    from enforcement.threads import ThreadedGuard
    from enforcement.verdict import Verdict

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Callable[[bytes], object]]
App: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]

PATIENCE: Final = 1.0  # seconds that a piece waits for a lease


class GuardedApplication:
    """A WSGI application behind a guard.

    What needs no credential (health) belongs beside it: put it around the part that
    does.
    """

    def __init__(
        self,
        app: App,
        guard: ThreadedGuard,
        presented: Callable[[Environ], Presented | Names | None],
        *,
        scope: Asks[Environ] | None = None,
        route: Asks[Environ] | None = None,
    ) -> None:
        """Stand before an application.

        Args:
            app: the application.
            guard: started by the first request where nobody started it.
            presented: gives what a request presents, after its signature was
                verified; None where there is nothing (401).
            scope: gives the ``namespace|value`` that a request asks for, or None.
            route: gives the name of the guard's route with a mode of its own, or None.
        """
        self._app = app
        self._guard = guard
        self._presented = presented
        self._scope = scope
        self._route = route

    def __call__(
        self, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve one request."""
        names = self._presented(environ)
        if names is None:
            return _refuse(None, start_response)
        request = AllowedCaller(
            self._guard,
            names,
            None if self._scope is None else self._scope(environ),
            None if self._route is None else self._route(environ),
        )
        verdict = request.verdict()
        if not verdict.allowed:
            return _refuse(verdict, start_response)

        def start(*args: Any) -> Callable[[bytes], object]:
            write = start_response(*args)

            def guarded(piece: bytes) -> object:
                request.demand()
                return write(piece)

            return guarded

        return request.pieces(self._app(environ, start), start_response)


@frozen
class AllowedCaller:
    """Caller of a request that was allowed, while its response goes out."""

    guard: ThreadedGuard
    presented: Presented | Names
    scope: str | None
    route: str | None

    def verdict(self) -> Verdict:
        """Verdict of the guard now."""
        return self.guard.check(self.presented, scope=self.scope, route=self.route)

    def demand(self) -> None:
        """Go on only while the caller is allowed; wait a moment for a lease.

        Raises:
            DeniedError: it is not any more.
        """
        verdict = self.verdict()
        if not verdict.allowed and verdict.reason is Lapse.NO_LEASE:
            self.guard.ready(PATIENCE, required=False)
            verdict = self.verdict()
        if not verdict.allowed:
            raise DeniedError(verdict)

    def pieces(
        self, response: Iterable[bytes], start_response: StartResponse
    ) -> Iterator[bytes]:
        """Yield the pieces of a response while the caller is allowed.

        Raises:
            DeniedError: it is not any more, and a part of the response is sent.
        """
        begun = False
        try:
            for piece in response:
                self.demand()
                begun = True
                yield piece
        except DeniedError as error:
            if begun:
                raise
            yield from _refuse(error.verdict, start_response, sys.exc_info())
        finally:
            close = getattr(response, "close", None)
            if close is not None:
                close()


def _refuse(
    verdict: Verdict | None, start_response: StartResponse, *error: Any
) -> Iterable[bytes]:
    """Answer a refusal, also in place of headers that are not sent yet."""
    answer = refusal(verdict)
    status = f"{answer.status} {HTTPStatus(answer.status).phrase}"
    start_response(status, list(answer.headers.items()), *error)
    return [answer.body]
