"""A request of a browser, read to its end and within bounds, as plain values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from aiohttp import web
from attrs import field, frozen

from streams.console.headers import cookie_name

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST: Final = 256 << 10  # bytes of a form
OF_STRANGERS: Final = 16 << 10  # of one without a session: a login
FIELDS: Final = 2000
LONGEST_ADDRESS: Final = 64  # characters
_BRACKETED: Final = re.compile(r"\[([^\[\]]*)\](?::[0-9]*)?")
FORM: Final = "application/x-www-form-urlencoded"


@frozen
class Asked:
    """One request.

    Attributes:
        target: path and query, as they were sent.
        name: what stands for ``{name}`` in the path.
        act: the last part of the path of a form.
        query: each name once, its first value counts.
        secure: it came by HTTPS, or by a proxy to which it did.
        address: it came from.
    """

    method: str
    target: str
    name: str
    act: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    cookies: Mapping[str, str] = field(repr=False)
    form: Mapping[str, str] = field(repr=False)
    secure: bool
    address: str

    def cookie(self, name: str) -> str:
        """Value of a cookie of ours; "" where it did not come."""
        return self.cookies.get(cookie_name(name, secure=self.secure), "")


def read(request: web.Request, *, secure: bool = False) -> Asked:
    """Read a request without its form.

    Args:
        request: of a browser.
        secure: a proxy before us speaks HTTPS.
    """
    return Asked(
        request.method,
        request.raw_path,
        request.match_info.get("name", ""),
        request.match_info.get("act", ""),
        dict(request.query),
        request.headers,
        request.cookies,
        {},
        secure or request.secure,
        _address(request, secure=secure),
    )


def _address(request: web.Request, *, secure: bool) -> str:
    """Where a request comes from; of a proxy before us its last word counts."""
    named = request.headers.getall("X-Forwarded-For", []) if secure else []
    last = named[-1].rpartition(",")[2].strip() if named else ""
    return _without_port(last)[:LONGEST_ADDRESS] or request.remote or ""


def _without_port(address: str) -> str:
    """Address without the port that some proxies name: each connection has its own."""
    if found := _BRACKETED.fullmatch(address):
        return found[1]
    host, colon, port = address.partition(":")
    return host if colon and port.isdecimal() and port.isascii() else address


async def body_of(request: web.Request, largest: int) -> bytes:
    """Read the body of a form; `form_of` takes it apart.

    Raises:
        web.HTTPException: 413 or 415, it is no form that we send.
    """
    if request.method != "POST" or not request.body_exists:
        return b""
    if request.content_type != FORM:
        raise web.HTTPUnsupportedMediaType
    if (request.content_length or 0) > largest:
        raise web.HTTPRequestEntityTooLarge(largest, request.content_length or 0)
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > largest:
            raise web.HTTPRequestEntityTooLarge(largest, len(body))
    return bytes(body)


def form_of(body: bytes) -> dict[str, str]:
    """Take a form apart: a large one takes 0.3 s, so never in the loop of guards.

    Raises:
        ValueError: it is none.
    """
    given = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS)
    return dict(given)
