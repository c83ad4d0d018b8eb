"""One door: a process of a fleet on Kafka answers every route, or has it answered.

A request is passed on at most once, with its caller's own credential: roles and realms
are judged by the process that answers.
"""

from __future__ import annotations

import http
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, get_args

from aiohttp import hdrs, web
from attrs import define, field

from streams.clients.peers import HOPS, SERVES
from streams.http.answers import json_answer
from streams.http.auth import PROVEN, CredentialHolder
from streams.http.bodies import packed_body_of
from streams.http.fleet_answers import COVERED, FleetAnswers, digest_of
from streams.http.peer_routes import ROUTES, SENTINEL, USES, PeerRole, PeerRoute
from streams.http.problems import ProblemError, not_implemented, unavailable
from streams.ports.table_reader import TableAwayError
from streams.settings.access import Role

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from aiohttp.typedefs import Handler, Middleware
    from prometheus_client import Counter as Counted

    from streams.http.auth import Tokens

# Requests that are passed on at once. Who proves itself only where it is answered has
# places of its own, so that no stranger takes those of operators. A long body of theirs
# has to be in memory first, and may never end: that takes a place of another sort.
MOST: Final = {"token": 64, "own": 16, "long": 16}
SHORT: Final = 1 << 20  # bytes of a body that is read without a place
_ROUTES: Final = {(each.method, each.canonical): each for each in ROUTES}
_SHARED: Final = {
    each.share.path or each.path: each.share.stage
    for each in ROUTES
    if each.share is not None
} | {USES: SENTINEL}


class Serving(Protocol):
    """What a process answers for now."""

    def __call__(self) -> Mapping[str, Collection[int]]:
        """Stage to its partitions."""


@define(eq=False)
class Door:
    """Answers routes that other processes serve, by asking them.

    Attributes:
        role: of this process.
        name: of this process.
        tokens: prove callers before anybody is asked for them.
        answers: of the other processes.
        serving: partitions that this process answers for now.
    """

    _role: PeerRole
    _name: str
    _tokens: Tokens
    answers: FleetAnswers
    _serving: Serving = dict
    _under_way: Counter[str] = field(factory=Counter, init=False)
    _own: set[tuple[str, str]] = field(factory=set, init=False)

    def running(self) -> AbstractAsyncContextManager[None]:
        """Hold connections to the others for the length of a block."""
        return self.answers.peers.running()

    @property
    def collector(self) -> Counted:
        """Collector for ``/metrics``."""
        return self.answers.passed

    def add_to(self, app: web.Application) -> None:
        """Add every route that the application does not have; call it last."""
        self._own = {
            (route.method, route.resource.canonical)
            for route in app.router.routes()
            if route.resource is not None
        }
        for (method, path), route in _ROUTES.items():
            if (method, path) not in self._own:
                app.router.add_route(method, route.path, self._nobody)
        app.router.add_get(SERVES, self._serves)
        app.middlewares.append(self._middleware())

    async def _nobody(self, request: web.Request) -> web.StreamResponse:
        """Say why a route is not answered, since nobody was named who could."""
        route = _ROUTES[_key(request)]
        self._let_in(request, route)
        status = http.HTTPStatus.NOT_IMPLEMENTED
        where = f"peers.{route.role}" if route.passed else f"rescind {route.role}"
        if route.role == self._role:
            detail = "nothing of the settings asks this process for it"
        elif not route.passed:
            detail = f"it is not passed on: guards connect to {where} itself"
        elif HOPS in request.headers:
            detail = f"this is no process of {where}: correct the settings of the other"
        else:
            detail = f"name the processes that answer this in {where} of the settings"
        raise ProblemError(status, "not served here", detail, served_by=where)

    async def _serves(self, _: web.Request) -> web.Response:
        """Partitions that this process answers for; open, it tells no identifier."""
        serves = {stage: sorted(each) for stage, each in self._serving().items()}
        return json_answer({"name": self._name, "serves": serves})

    def _middleware(self) -> Middleware:
        @web.middleware
        async def passing(request: web.Request, handler: Handler) -> web.StreamResponse:
            key = _key(request)
            route = _ROUTES.get(key)
            if HOPS in request.headers:
                return await self._covered(request, handler)
            if route is None or not self._is_passed_on(route):
                return await handler(request)
            if self._is_here(route, key, request):
                try:
                    return await handler(request)
                except TableAwayError:
                    pass  # it went in this moment
            return await self._passed_on(request, route)

        return passing

    def _is_passed_on(self, route: PeerRoute) -> bool:
        """Whether another process may have to answer a route."""
        alone = route.role == self._role and not route.stage and route.share is None
        return route.passed and not alone and bool(self.answers.peers.urls[route.role])

    def _is_here(
        self, route: PeerRoute, key: tuple[str, str], request: web.Request
    ) -> bool:
        if route.role != self._role or key not in self._own or route.share is not None:
            return False
        if not route.stage:
            return True
        return self.answers.number(request) in self._serving().get(route.stage, ())

    async def _covered(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Answer another process, and say which partitions the answer is about."""
        stage = _SHARED.get(request.path, "")
        before = sorted(self._serving().get(stage, ()))
        response = await handler(request)
        if stage and before == sorted(self._serving().get(stage, ())):
            response.headers[COVERED] = digest_of(before)
        return response

    def _let_in(self, request: web.Request, route: PeerRoute) -> None:
        """Refuse strangers; what the caller may is judged where it is answered."""
        if route.proof == "token":
            self._tokens.holder(request, *get_args(Role), any_realm=True)

    async def _passed_on(
        self, request: web.Request, route: PeerRoute
    ) -> web.StreamResponse:
        """Have a request answered elsewhere.

        Raises:
            ProblemError: 401, 403, 429, the caller may not; 501, it cannot be passed
                on; 503, nobody answers.
        """
        self._let_in(request, route)
        proven = request.get(PROVEN)
        bearer = hdrs.AUTHORIZATION in request.headers
        if isinstance(proven, CredentialHolder) and not bearer:
            detail = (
                "a client certificate cannot be passed on: send a token, or ask a "
                f"process of peers.{route.role} itself"
            )
            raise not_implemented("not passed on", detail)
        body = await self._body(request, route)
        with self._place(route.proof):
            return await self.answers.answer(request, route, body)

    async def _body(self, request: web.Request, route: PeerRoute) -> bytes:
        """Whole body; while it comes, it holds up no other one that is short."""
        length = request.content_length
        long = request.body_exists and (length is None or length > SHORT)
        if route.proof == "token" or not long:
            return await packed_body_of(request)
        with self._place("long"):
            return await packed_body_of(request)

    @contextmanager
    def _place(self, sort: str) -> Iterator[None]:
        """Hold a place for the length of a block.

        Raises:
            ProblemError: 503, all are taken.
        """
        most = MOST[sort]
        if self._under_way[sort] >= most:
            raise unavailable("busy", f"{most} requests are being passed on: try again")
        self._under_way[sort] += 1
        try:
            yield
        finally:
            self._under_way[sort] -= 1


def _key(request: web.Request) -> tuple[str, str]:
    """Return method and route; "" where there is none."""
    resource = request.match_info.route.resource
    return request.method, "" if resource is None else resource.canonical
