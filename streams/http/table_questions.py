"""How handlers ask a table: who may, about which identifier, and without disturbing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from attrs import define

from agents_registry.identifiers import ATTRIBUTE, class_of
from agents_registry.lineage import NONE
from streams.http.names import as_given, hashed, vault_silent
from streams.http.problems import unavailable, unreadable
from streams.process.aside import Aside, here, packed
from streams.services.secret_names import PlainSecretError, SecretNames
from streams.services.typed_names import VaultError, identifier_of, unknown_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from agents_registry.identifiers import Identifier
    from streams.http.auth import Tokens
    from streams.http.names import Naming
    from streams.ports.table_reader import Table, TableReader

TRIES: Final = 5
ANSWER_SECONDS: Final = 60.0
IN_A_URL: Final = (
    "a secret stands in no URL: post it to /v1/names as the identifier, and ask for "
    "the name that this gives"
)


@define(eq=False, repr=False)
class TableQuestions:
    """What handlers of questions to a table share; all need a role that may look.

    Each takes ``?realm=``, where an engine has several.

    Attributes:
        tokens: who may ask.
        tables: give the table of a realm.
        clock: gives the time (ns).
        secrets: names those that are asked about.
        aside: gets to the event loop that the tables belong to.
        in_logs: gives the names that audit logs have for one in plain text.
    """

    _tokens: Tokens
    _tables: TableReader
    _clock: Callable[[], int]
    _secrets: SecretNames
    _aside: Aside = here
    _in_logs: Naming = as_given

    def _let_in(self, request: web.Request) -> None:
        self._tokens.holder(request, "viewer", "revoker", "restorer", any_realm=True)

    async def _identifier(self, request: web.Request) -> Identifier:
        return await self._named(request, request.match_info["identifier"])

    async def _named(self, request: web.Request, text: str) -> Identifier:
        """Read an identifier of a URL.

        Raises:
            ProblemError: 422, it is none, a secret, or of an unknown kind; 503, the
                vault that knows its name is silent.
        """
        try:
            if self._secrets.plain(text) is not None:
                raise PlainSecretError(IN_A_URL)
            name, *_ = await self._in_logs(hashed(identifier_of(text)))
            self._check_kind(name, request)
            return name
        except VaultError as error:
            raise vault_silent(error) from error
        except ValueError as error:
            raise unreadable(str(error)) from error

    def _check_kind(self, name: Identifier, request: web.Request) -> None:
        """Refuse what no source can ever tell of: mostly it is a slip of the pen."""
        lineage = self._tables.table(request.query.get("realm")).registry.lineage
        kind = name.kind
        known = class_of(kind, lineage.vocabulary) is not None
        declared = known or kind.startswith(ATTRIBUTE)
        # Of a mapping that was taken out of the settings the table may know names.
        if not declared and lineage.find(name) == NONE:
            raise ValueError(unknown_kind(kind, lineage.vocabulary))

    async def _ask(
        self,
        request: web.Request,
        question: Callable[[Table], Coroutine[Any, Any, dict[str, Any]]],
    ) -> web.Response:
        """Ask a table in its event loop, in slices between which facts are applied.

        Where that disturbs a walk, it is done again.
        """
        realm = request.query.get("realm")
        self._tables.table(realm)  # where there is none, nobody has to be asked

        async def answer() -> bytes:
            for _ in range(TRIES):
                try:
                    found = await question(self._tables.table(realm))
                except (RuntimeError, IndexError):
                    continue
                return await packed(found)
            raise unavailable("busy", "the table changes too fast; try again")

        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                body = await self._aside(answer)
        except TimeoutError as error:
            detail = "the analysis is busy; try again, or ask for less"
            raise unavailable("busy", detail) from error
        return web.Response(body=body, content_type="application/json")
