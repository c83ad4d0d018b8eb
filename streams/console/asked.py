"""A request of a browser, read to its end and within bounds, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from aiohttp import web
from attrs import field, frozen

from streams.console.headers import cookie_name

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST: Final = 256 << 10  # bytes of a form
FIELDS: Final = 2000
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


async def read(request: web.Request, *, secure: bool = False) -> Asked:
    """Read a request.

    Args:
        request: of a browser.
        secure: a proxy before us speaks HTTPS.

    Raises:
        web.HTTPException: 413 or 415, its body is no form that we send.
    """
    form: dict[str, str] = {}
    if request.method == "POST" and request.body_exists:
        form = await _form(request)
    return Asked(
        request.method,
        request.raw_path,
        request.match_info.get("name", ""),
        request.match_info.get("act", ""),
        dict(request.query),
        request.headers,
        request.cookies,
        form,
        secure or request.secure,
        request.remote or "",
    )


async def _form(request: web.Request) -> dict[str, str]:
    if request.content_type != FORM:
        raise web.HTTPUnsupportedMediaType
    if (request.content_length or 0) > LARGEST:
        raise web.HTTPRequestEntityTooLarge(LARGEST, request.content_length or 0)
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > LARGEST:
            raise web.HTTPRequestEntityTooLarge(LARGEST, len(body))
    try:
        given = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS)
    except ValueError:
        raise web.HTTPUnprocessableEntity from None
    return dict(given)
