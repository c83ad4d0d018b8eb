"""Accessors of living tokens, by what the audit log calls them.

The log has HMACs whose key the vault keeps, so the accessors of all living tokens are
listed and hashed by the vault itself, each once. They are held in memory alone, also
those that ended since: of them the vault can be asked by their accessor. What no listed
accessor ever hashed to is no living token, if the names are those of this device, and
if the lists of all namespaces were read: one device names the tokens of all of them.

Source: openbao/openbao website/content/api-docs/system/audit-hash and auth/token, and
OpenBao 2.7.2 as it answered.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from attrs import define, field, frozen

from agents_registry.identifiers import Identifier
from streams.actuators.openbao.namespaces import (
    missing_there,
    namespaces,
    unproven,
)
from streams.actuators.openbao.vault import says_none
from streams.outbound.answers import OK, RequestError, UnreadableAnswerError
from streams.sources.openbao.call import ACCESSOR, HASHED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container

    from streams.actuators.openbao.vault import VaultRequests
    from streams.outbound.answers import HttpAnswer

    Ask = Callable[["Accessor"], Awaitable[None]]

AT_ONCE: Final = 8  # requests to one vault
MOST_ENDED: Final = 100_000
PLAIN: Final = "the name is hashed, and hmac_accessor is false in the settings"


ACCESSORS: Final = "auth/token/accessors"


@frozen
class Accessor:
    """Accessor of a token, and the namespace that alone answers for it."""

    value: str
    namespace: str = ""


@define(eq=False, repr=False)
class TokenNames:
    """Finds accessors; ``hashed`` says whether the audit device hashes them."""

    _asked: VaultRequests
    _device: str
    _hashed: bool = field(kw_only=True, default=True)
    _by_name: dict[str, Accessor] = field(factory=dict, init=False)
    _ended: dict[str, Accessor] = field(factory=dict, init=False)
    _entities: dict[Accessor, str] = field(factory=dict, init=False)
    _gap: RequestError | None = field(default=None, init=False)
    _listing: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    _names: frozenset[Identifier] = field(factory=frozenset, init=False)
    _listed: int = field(default=0, init=False)  # listings that were begun

    async def accessor(self, name: str) -> Accessor | None:
        """Accessor of a living token, in plain text; None: none is called so.

        None is returned only where the lists of all namespaces were read.

        Raises:
            RequestError: that is not known.
        """
        if not name.startswith(HASHED):
            return await self._plain(name)
        if not self._hashed:
            raise RequestError("hashed", PLAIN, status=OK)
        if name not in self._by_name and name not in self._ended:
            await self._list()
        found = self._by_name.get(name) or self._ended.get(name)
        if found is None and (gap := self._gap or missing_there(self._asked)):
            raise gap
        return found

    async def looked_up(self, accessor: Accessor) -> HttpAnswer:
        """Answer of its namespace to a look-up.

        Raises:
            RequestError: there is none.
        """
        body = {"accessor": accessor.value}
        path, where = "auth/token/lookup-accessor", accessor.namespace
        return await self._asked.call("POST", path, body, where)

    def listed(self) -> frozenset[Identifier]:
        """Names of tokens that were found living, by the device as it is now."""
        return self._names

    def forget(self, name: str) -> None:
        """Note that a token may have ended."""
        self._by_name.pop(name, None)

    async def of_entity(self, entity: str) -> list[str]:
        """Names of the living tokens of an entity.

        Raises:
            RequestError: they are not known.
        """
        await self._list()
        if self._gap is not None:
            raise self._gap
        names = dict(self._by_name)
        unknown = [each for each in names.values() if each not in self._entities]
        await self._each(unknown, self._look_up)
        return [n for n, each in names.items() if self._entities.get(each) == entity]

    async def _list(self) -> None:
        """List all tokens, by a request that is sent from now on."""
        begun = self._listed
        async with self._listing:
            if self._listed > begun:
                return  # another listing was begun after this was called
            self._listed += 1
            living = await self._living()
            await self._check_device(living)
            known = set(self._by_name.values())
            new = [each for each in living if each not in known]
            gone = known.difference(living)
            for name, each in list(self._by_name.items()):
                if each in gone:
                    self._ended[name] = self._by_name.pop(name)
            for name in list(self._ended)[: max(0, len(self._ended) - MOST_ENDED)]:
                del self._ended[name]
            await self._each(new, self._hash)
            every = (*self._by_name, *self._ended)
            self._names = frozenset(Identifier(ACCESSOR, name) for name in every)
            self._entities = {k: v for k, v in self._entities.items() if k in living}

    async def _plain(self, name: str) -> Accessor:
        """Accessor that the log has in plain text; its end tells its namespace."""
        where = ""
        if "." in name:
            where = (await namespaces(self._asked)).of(name)
        return Accessor(name, where)

    async def _check_device(self, living: Container[Accessor]) -> None:
        """Forget all names where the device hashes otherwise than before."""
        for name, accessor in self._by_name.items():
            if self._hashed and accessor in living:
                if await self._hash_of(accessor) != name:
                    self._by_name.clear()
                    self._ended.clear()
                return

    async def _living(self) -> dict[Accessor, None]:
        """List those of all namespaces, and keep why some may be missing."""
        found = await self._living_in("")
        below = await namespaces(self._asked)
        self._gap = below.gap
        for where in below.ids:
            try:
                found |= await self._living_in(where)
            except RequestError as error:
                self._gap = self._gap or unproven(error, where, ACCESSORS)
        return found

    async def _living_in(self, where: str) -> dict[Accessor, None]:
        try:
            data = await self._asked.data("LIST", ACCESSORS, namespace=where)
        except RequestError as error:
            if says_none(error.answer):
                return {}
            raise
        keys = data.get("keys")
        if not isinstance(keys, list) or not all(isinstance(k, str) for k in keys):
            raise RequestError("unreadable")
        return dict.fromkeys(Accessor(key, where) for key in keys)

    async def _each(self, accessors: list[Accessor], ask: Ask) -> None:
        waiting = iter(accessors)

        async def worker() -> None:
            for each in waiting:
                await ask(each)

        workers = [worker() for _ in range(min(AT_ONCE, len(accessors)))]
        for ended in await asyncio.gather(*workers, return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended

    async def _hash(self, accessor: Accessor) -> None:
        if not self._hashed:
            self._by_name[accessor.value] = accessor
            return
        self._by_name[await self._hash_of(accessor)] = accessor

    async def _hash_of(self, accessor: Accessor) -> str:
        path = f"sys/audit-hash/{quote(self._device, safe='')}"
        body = {"input": accessor.value}
        found = (await self._asked.data("POST", path, body)).get("hash")
        if not isinstance(found, str) or not found.startswith(HASHED):
            raise RequestError("unreadable")
        return found

    async def _look_up(self, accessor: Accessor) -> None:
        answer = await self.looked_up(accessor)
        if answer.status == OK:
            try:
                data = answer.object().get("data")
            except UnreadableAnswerError as error:
                raise RequestError("unreadable") from error
            entity = data.get("entity_id") if isinstance(data, dict) else None
            self._entities[accessor] = entity if isinstance(entity, str) else ""
