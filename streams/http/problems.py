"""Errors as RFC 9457 problem documents, made in one place."""

from __future__ import annotations

import asyncio
import http
import math
import sqlite3
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import hdrs, web

from agents_registry.secret_shapes import without_secrets
from streams.http.peer_routes import ROUTES
from streams.ports.findings_log import BehindError
from streams.ports.table_reader import TableAwayError, UnknownRealmError
from streams.services.intake import NotWrittenError
from streams.services.quotas import OverQuotaError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ELSEWHERE: Final = "Rescind-Elsewhere"
CONTENT_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = 1  # seconds
RETRIED: Final = frozenset(
    {http.HTTPStatus.SERVICE_UNAVAILABLE, http.HTTPStatus.TOO_MANY_REQUESTS}
)
# The rest of the body still comes: the connection cannot carry another request.
BODY_UNREAD: Final = frozenset(
    {
        http.HTTPStatus.BAD_REQUEST,
        http.HTTPStatus.REQUEST_TIMEOUT,
        http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    }
)
LITTLE: Final = 64 << 10  # bytes of an unread body that are waited for
UNREAD_SECONDS: Final = 0.5
REALM: Final = "realm"  # any route tells by it which realm it serves
# Whoever asks with ``?dry_run=true`` or ``?severity=high`` believes that it is heeded.
_QUERIES: Final = {
    (each.method, each.canonical): sorted(each.query | {REALM})
    for each in ROUTES
    if each.query is not None
}

log = structlog.get_logger()


class ProblemError(Exception):
    """A request that cannot be served.

    Args:
        status: HTTP status.
        title: short and constant, for programs.
        detail: what to do about it, for people; never quotes a secret.
    """

    def __init__(self, status: int, title: str, detail: str = "", **more: Any) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.more = more

    def response(self) -> web.Response:
        """Answer."""
        return _problem(self.status, self.title, self.detail, **self.more)


# Problems by their status; what follows is as of `ProblemError`.
bad_request = partial(ProblemError, http.HTTPStatus.BAD_REQUEST)
unauthorized = partial(ProblemError, http.HTTPStatus.UNAUTHORIZED)
forbidden = partial(ProblemError, http.HTTPStatus.FORBIDDEN)
not_found = partial(ProblemError, http.HTTPStatus.NOT_FOUND)
too_many = partial(ProblemError, http.HTTPStatus.TOO_MANY_REQUESTS)
not_implemented = partial(ProblemError, http.HTTPStatus.NOT_IMPLEMENTED)
unavailable = partial(ProblemError, http.HTTPStatus.SERVICE_UNAVAILABLE)


def unreadable(detail: str) -> ProblemError:
    """Problem of a body that cannot be used."""
    status = http.HTTPStatus.UNPROCESSABLE_ENTITY
    return ProblemError(status, "unreadable request", detail)


def behind(why: object) -> ProblemError:
    """Problem of an answer for which not all is read or applied yet."""
    return unavailable("behind", str(why))


def _problem(status: int, title: str, detail: str, **more: Any) -> web.Response:
    headers = {}
    if status == http.HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status in RETRIED:
        headers["Retry-After"] = str(math.ceil(more.pop("retry_after", RETRY_AFTER)))
    document = {"type": "about:blank", "title": title, "status": status}
    if detail:  # it may quote what was sent
        document["detail"] = without_secrets(detail)
    response = web.json_response(
        document | more, status=status, headers=headers, content_type=CONTENT_TYPE
    )
    if status in BODY_UNREAD:
        response.force_close()
    return response


def _without_table(
    error: UnknownRealmError | TableAwayError | BehindError,
) -> web.Response:
    if isinstance(error, BehindError):
        return behind(error).response()
    if isinstance(error, UnknownRealmError):
        return _problem(http.HTTPStatus.NOT_FOUND, "unknown realm", "")
    status = http.HTTPStatus.SERVICE_UNAVAILABLE
    response = _problem(status, error.title, error.detail, **error.where)
    # Another process recognises it, and asks the next one: nothing was done here.
    response.headers[ELSEWHERE] = "1"
    return response


def _detail(request: web.Request, error: web.HTTPException) -> str:
    """Say what to do about an error of the framework, whose texts say nothing."""
    if isinstance(error, web.HTTPNotFound):
        return "nothing is served at this path: see docs/api, and what is set up"
    if isinstance(error, web.HTTPMethodNotAllowed):
        methods = ", ".join(sorted(error.allowed_methods))
        return f"this path takes {methods}, and not {request.method}"
    return error.text or ""


def _left(request: web.Request) -> bool:
    """Whether the client closed the connection, as guards do that look elsewhere."""
    return request.transport is None or request.transport.is_closing()


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into a problem document."""
    response = await _answered(request, handler)
    await _leave_unread(request, response)
    return response


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        if unknown := _unknown_query(request):
            raise unreadable(unknown)
        return await handler(request)
    except ProblemError as problem:
        return problem.response()
    except (UnknownRealmError, TableAwayError, BehindError) as error:
        return _without_table(error)
    except web.HTTPException as error:
        if error.status < http.HTTPStatus.BAD_REQUEST:
            raise
        return _problem(error.status, error.reason, _detail(request, error))
    except OverQuotaError as error:
        status = http.HTTPStatus.TOO_MANY_REQUESTS
        return _problem(status, "over quota", str(error), retry_after=error.seconds)
    except (NotWrittenError, sqlite3.Error) as error:
        log.warning("not_written", error=type(error).__name__)
        detail = "nothing was taken in: send it again"
        return _problem(http.HTTPStatus.SERVICE_UNAVAILABLE, "not written", detail)
    except Exception as error:  # boundary: one bad request must not end the server
        if isinstance(error, ConnectionResetError) and _left(request):
            return _problem(http.HTTPStatus.BAD_REQUEST, "gone", "nobody reads this")
        log.exception("request_failed", method=request.method)
        title = "internal error"
        return _problem(http.HTTPStatus.INTERNAL_SERVER_ERROR, title, "see the log")


def _unknown_query(request: web.Request) -> str:
    """Say which names of a query its route does not know, and which it does."""
    if not request.query_string:
        return ""
    resource = request.match_info.route.resource
    if resource is None:
        return ""
    method = hdrs.METH_GET if request.method == hdrs.METH_HEAD else request.method
    every = _QUERIES.get((method, resource.canonical))
    if every is None:
        return ""
    for name in request.query:
        if name not in every:
            near = get_close_matches(name, every, 1)
            what = f"is it {near[0]}?" if near else f"there are {', '.join(every)}"
            return f"the query has no {name!r:.80}: {what}"
        if len(request.query.getall(name)) > 1:
            return f"the query has {name} twice: send it once"
    return ""


async def _leave_unread(request: web.Request, response: web.StreamResponse) -> None:
    """See to it that the connection ends where a body was not read.

    A short body is on its way together with its headers: it is taken off the line, so
    that the sender reads the answer and not a reset connection (RFC 9112 section 9.6).

    Args:
        request: that is answered.
        response: to it; closes the connection where the body still comes.
    """
    if response.prepared or response.keep_alive is False or request.content.is_eof():
        return
    if (request.content_length or LITTLE + 1) <= LITTLE:
        try:
            async with asyncio.timeout(UNREAD_SECONDS):
                await _thrown_away(request.content)
        except (TimeoutError, web.RequestPayloadError):
            pass
    if not request.content.is_eof():
        response.force_close()


async def _thrown_away(content: Any) -> None:
    async for _ in content.iter_any():
        pass
