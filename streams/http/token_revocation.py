"""Token revocation (RFC 7009): a client hands in a token that must work no more.

The token names itself: a JWT by its jti, any other by a keyed hash. Neither it nor a
plain hash of it is kept. A token that nobody knows is revoked all the same, so the
answer is 200 for it too (section 2.2). What a client may end is what the settings
grant its authority; no signature of a JWT is looked at, since ending can only deny.
"""

from __future__ import annotations

import base64
import binascii
import http
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote_plus

from aiohttp import hdrs, web
from attrs import define

from streams.http.auth import authority_of
from streams.http.bodies import body_of
from streams.http.decisions import held
from streams.http.problems import ProblemError
from streams.model.keyed_names import keyed_identifier
from streams.model.records import Lifecycle
from streams.services.intake import IntakeBatch
from streams.sources.reading.fields import identifier, named
from streams.sources.ssf.verifier import SetRefusedError, claimed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents_registry.identifiers import Identifier
    from streams.http.auth import CredentialHolder, Tokens
    from streams.http.events import Speakers
    from streams.services.ingest import Intake

SOURCE: Final = "rfc7009"
KIND: Final = "secret"
_FORM: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 16
_BASIC: Final = "Basic "


class OAuthError(Exception):
    """A refusal in the words of RFC 6749 section 5.2."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.description = description

    def response(self) -> web.Response:
        """Answer."""
        headers = {hdrs.CACHE_CONTROL: "no-store"}
        if self.status == http.HTTPStatus.UNAUTHORIZED:
            headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="rescind"'
        body = {"error": self.error, "error_description": self.description}
        return web.json_response(body, status=self.status, headers=headers)


@define(eq=False, repr=False)
class TokenRevocation:
    """The handler of ``POST /v1/oauth/revoke``, for clients with an ingest token.

    Attributes:
        peppers: name opaque tokens.
    """

    _tokens: Tokens
    _speakers: Speakers
    _ingest: Intake
    _peppers: Sequence[bytes]

    async def post(self, request: web.Request) -> web.Response:
        """Revoke one token."""
        try:
            waiting = await self._revoke(request, *self._client(request))
        except OAuthError as refused:
            return refused.response()
        if waiting:
            return held(waiting)
        return web.Response(headers={hdrs.CACHE_CONTROL: "no-store"})

    def _client(self, request: web.Request) -> tuple[CredentialHolder, str]:
        """Client's token and authority: Bearer, or Basic with NAME and token.

        Raises:
            OAuthError: 401, it is not authentic; 400, it may not do this.
        """
        given = request.headers.get(hdrs.AUTHORIZATION, "")
        name = None
        try:
            if given.startswith(_BASIC):
                name, secret = _basic(given[len(_BASIC) :])
                token = self._tokens.known(secret, "ingest")
            else:
                token = self._tokens.holder(request, "ingest")
            authority = authority_of(token)
        except ProblemError as problem:
            if problem.status == http.HTTPStatus.UNAUTHORIZED:
                raise _unknown_client() from problem
            raise _not_yours(problem.detail) from problem
        if name is not None and name != token.name:
            raise _unknown_client()
        return token, authority

    async def _revoke(
        self, request: web.Request, client: CredentialHolder, authority: str
    ) -> int:
        """Take the revocation in; count what is held of it."""
        names = self._names(_token_of(request, await body_of(request, client)))
        # Several names are those of two peppers in use: one node.
        record = Lifecycle(
            SOURCE, None, "revocation", "revoke", occurred_at=None, identifiers=names,
            offset=0, outcome="allowed",
        )  # fmt: skip
        delivery = IntakeBatch(
            [record],
            self._speakers.origin(authority, client.name),
            self._speakers.rights(authority),
            via=f"{SOURCE}:{client.name}",
        )
        receipt = await self._ingest.records(delivery)
        if receipt.dead_letters:
            raise _not_yours(f"grant {authority} the kind {names[0].kind}")
        return receipt.held

    def _names(self, token: str) -> tuple[Identifier, ...]:
        try:
            jti = identifier("jwt.jti", claimed(token.encode()).get("jti"))
        except SetRefusedError:
            jti = None
        names = named(jti) or tuple(
            keyed_identifier(KIND, token, pepper) for pepper in self._peppers
        )
        if not names:
            text = "without a pepper in the settings only JWTs with a jti can be named"
            raise OAuthError(
                http.HTTPStatus.BAD_REQUEST, "unsupported_token_type", text
            )
        return names


def _token_of(request: web.Request, body: bytes) -> str:
    """Read the one ``token`` of the form; a hint may be there and is not needed."""
    if request.content_type != _FORM:
        raise _invalid(f"the content type is not {_FORM}")
    try:
        form = parse_qs(
            body.decode("ascii"), strict_parsing=True, errors="strict",
            max_num_fields=_MOST_FIELDS,
        )  # fmt: skip
    except ValueError as error:
        raise _invalid("the body is no form") from error
    tokens = form.get("token", [])
    if len(tokens) != 1:
        raise _invalid("send one token")
    return tokens[0]


def _basic(given: str) -> tuple[str, str]:
    """Read client id and secret (RFC 6749 section 2.3.1: each is form-encoded)."""
    try:
        plain = base64.b64decode(given.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _unknown_client() from error
    name, _, secret = plain.partition(":")
    return unquote_plus(name), unquote_plus(secret)


def _unknown_client() -> OAuthError:
    text = "authenticate with Basic (name and ingest token) or Bearer (the token)"
    return OAuthError(http.HTTPStatus.UNAUTHORIZED, "invalid_client", text)


def _not_yours(text: str) -> OAuthError:
    return OAuthError(http.HTTPStatus.BAD_REQUEST, "unauthorized_client", text)


def _invalid(text: str) -> OAuthError:
    return OAuthError(http.HTTPStatus.BAD_REQUEST, "invalid_request", text)
