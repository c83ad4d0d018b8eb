"""The uses of one node, as the sentinels of all processes remember them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import define

from enforcement.turns import in_turns
from streams.http.answers import json_answer
from streams.http.names import hashed
from streams.http.peer_routes import USED
from streams.http.problems import unreadable
from streams.http.query_values import texts_of
from streams.http.table_questions import IN_A_URL
from streams.process.aside import Aside, here
from streams.services.secret_names import PlainSecretError
from streams.services.typed_names import identifier_of
from streams.stages.lineage.uses import using

if TYPE_CHECKING:
    from aiohttp import web

    from agents_registry.identifiers import Identifier
    from streams.http.auth import Tokens
    from streams.http.last_uses import RealmUses
    from streams.services.secret_names import SecretNames

MOST_NAMES: Final = 32


@define(eq=False, repr=False)
class Uses:
    """Handler of ``/v1/uses``.

    Attributes:
        tokens: who may ask.
        uses: gives those of a realm that this process remembers.
        secrets: names those that are asked about.
        aside: gets to the event loop that they belong to.
    """

    _tokens: Tokens
    _uses: RealmUses
    _secrets: SecretNames
    _aside: Aside = here

    def add_to(self, app: web.Application) -> None:
        """Put the handler behind its route."""
        app.router.add_get(USED, self.get)

    async def get(self, request: web.Request) -> web.Response:
        """Say when, where and from where the names of a node were used."""
        self._tokens.holder(request, "viewer", "revoker", "restorer", any_realm=True)
        realm = request.query.get("realm")
        self._uses(realm)  # where there is no such realm, nothing else is said
        names = self._names(request)

        async def found() -> dict[str, Any]:
            return await in_turns(using(self._uses(realm).pieces, names))

        return json_answer(await self._aside(found))

    def _names(self, request: web.Request) -> list[Identifier]:
        texts = texts_of(request, "identifier", MOST_NAMES)
        if not texts:
            raise unreadable("identifier names the node whose uses are asked for")
        try:
            if any(self._secrets.plain(text) is not None for text in texts):
                raise PlainSecretError(IN_A_URL)
            return [hashed(identifier_of(text)) for text in texts]
        except ValueError as error:
            raise unreadable(str(error)) from error
