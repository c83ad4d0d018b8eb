"""Answers of the console to a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from streams.console import csrf, headers
from streams.console.addresses import local
from streams.console.api import ApiProblem
from streams.console.frame import FRAGMENT
from streams.console.templates import BASE, url

if TYPE_CHECKING:
    from streams.console.asked import Asked
    from streams.console.frame import Frame

SEE_OTHER: Final = 303
OVER: Final = f"{BASE}/login?why=over"


def html(body: bytes, status: int) -> web.Response:
    """Page."""
    return web.Response(
        body=body,
        status=status,
        content_type="text/html",
        charset="utf-8",
        headers=headers.PRIVATE,
    )


def to(where: str) -> web.Response:
    """Redirect after which a browser asks with GET."""
    given = {**headers.PRIVATE, "Location": where}
    return web.Response(status=SEE_OTHER, headers=given)


def bare(
    frame: Frame, template: str, asked: Asked, status: int, **values: Any
) -> web.Response:
    """Page for somebody who need not be logged in."""
    return html(frame.bare(template, asked, **values), status)


def stop(frame: Frame, asked: Asked, problem: ApiProblem) -> web.Response:
    """Page that says why there is no other one."""
    return bare(frame, "stop.html", asked, problem.status, problem=problem)


def not_ours(frame: Frame, asked: Asked) -> web.Response:
    """Refusal of a form that is not of the session."""
    problem = ApiProblem(
        "This form is not of your session",
        "Nothing was done.",
        "Load the page again, and send it from there.",
        403,
    )
    return stop(frame, asked, problem)


def to_login(frame: Frame, asked: Asked, kinds: frozenset[str] | None) -> web.Response:
    """Way to the login, and back to the page that was asked for."""
    if FRAGMENT in asked.query:
        return left_by_htmx()
    after = local(asked.target, kinds) if asked.method == "GET" else BASE
    if asked.method == "GET" and csrf.is_from_elsewhere(asked.headers):
        # A strict cookie does not come with a link of another site. Asked for once
        # more by this page itself, it does.
        return bare(frame, "bounce.html", asked, 200, to=after)
    return to(url("/login", next=after))


def ended(asked: Asked) -> web.Response:
    """Way to the login of a session that is over."""
    if FRAGMENT in asked.query:
        return left_by_htmx()
    response = to(OVER)
    headers.drop_cookie(response, headers.SESSION, secure=asked.secure)
    return response


def anew() -> web.Response:
    """Answer by which htmx loads the whole page: around it stands another realm."""
    return web.Response(status=409, headers={**headers.PRIVATE, "HX-Refresh": "true"})


def left_by_htmx() -> web.Response:
    """Answer by which htmx leaves the page for the login."""
    return web.Response(status=401, headers={**headers.PRIVATE, "HX-Redirect": OVER})
