"""Names of identifiers as the logs have them; secrets that are given are hashed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

from streams.http.answers import json_answer
from streams.http.bodies import json_object
from streams.http.problems import ProblemError, unavailable, unreadable
from streams.services.typed_names import (
    UnhashedError,
    VaultError,
    identifier_of,
    is_plain,
    is_plain_secret,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from agents_registry.identifiers import Identifier
    from streams.http.auth import Tokens
    from streams.services.secret_names import SecretNames

    Naming = Callable[[Identifier], Awaitable[tuple[Identifier, ...]]]


async def as_given(identifier: Identifier) -> tuple[Identifier, ...]:
    """Name of an audit log where no vault can be asked for it.

    Raises:
        UnhashedError: it is a secret of a vault.
    """
    return (hashed(identifier),)


def any_realm(realm: str | None) -> None:
    """Take every realm: names are the same in all."""
    del realm


@define(eq=False, repr=False)
class Names:
    """The handler of ``POST /v1/names``.

    Attributes:
        tokens: who may ask.
        secrets: names those that are asked about.
        in_logs: gives the names that audit logs have for one in plain text.
        check: refuses realms that are not served.
    """

    _tokens: Tokens
    _secrets: SecretNames
    _in_logs: Naming = as_given
    _check: Callable[[str | None], object] = any_realm

    def add_to(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_post("/v1/names", self.post)

    async def post(self, request: web.Request) -> web.Response:
        """Names of an identifier; a secret given by value is hashed.

        A secret must stand in no URL, where the questions have their identifier.
        """
        holder = self._tokens.holder(
            request, "viewer", "revoker", "restorer", any_realm=True
        )
        self._check(request.query.get("realm"))
        body = await json_object(request, holder, named=True)
        text = body.get("identifier")
        if not isinstance(text, str):
            raise unreadable("identifier is a text, kind:value")
        try:
            secret = self._secrets.plain(text)
            given = identifier_of(text) if secret is None else secret
            found: tuple[Identifier, ...]
            if is_plain(given):
                found = await self._in_logs(given)
            else:
                found = (given,) if secret is None else self._secrets.names(secret)
        except VaultError as error:
            raise vault_silent(error) from error
        except ValueError as error:
            raise unreadable(str(error)) from error
        by_value = secret is not None
        return json_answer({"identifiers": [*map(str, found)], "hashed": by_value})


def hashed(identifier: Identifier) -> Identifier:
    """Return identifier that is no secret of a vault, whose HMAC only a vault knows.

    Raises:
        UnhashedError: it is one.
    """
    if is_plain_secret(identifier):
        raise UnhashedError(identifier.kind)
    return identifier


def vault_silent(error: VaultError) -> ProblemError:
    """503: the vault that knows the name in the logs does not answer."""
    detail = f"{error}; try again, or name it as its audit log does"
    return unavailable("a vault does not answer", detail)
