"""The SCIM resources of each authority, and the facts that their changes are.

A resource is never written before the facts of its change. Resources belong to the
authority that made them: directories do not see each other's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from attrs import define, field

from agents_registry.identifiers import Identifier
from streams.http.scim_resources import USERS, Resource, ResourceType, ScimError
from streams.model.records import Lifecycle
from streams.services.intake import IntakeBatch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.http.auth import CredentialHolder
    from streams.http.events import Speakers
    from streams.model.records import Record
    from streams.services.scim_resources import KeptResources
    from streams.settings.vendors import Scim


@define(eq=False, repr=False)
class Directory:
    """All resources.

    Attributes:
        writing: held by a request that writes, from its look to its write.
    """

    _settings: Scim
    _speakers: Speakers
    _resources: KeptResources
    writing: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    async def find(
        self, kind: ResourceType, authority: str, column: str, value: str
    ) -> Resource | None:
        """Resource with this ``id``, ``name`` or ``external_id``."""
        row = await self._resources.find(authority, kind.kind, column, value)
        return None if row is None else _resource(row)

    async def page(
        self, kind: ResourceType, authority: str, start: int, count: int
    ) -> tuple[list[Resource], int]:
        """Resources in the order of their ids, and how many there are.

        Args:
            kind: of the resources.
            authority: whose.
            start: the first is 1.
            count: how many at most.
        """
        rows, total = await self._resources.page(authority, kind.kind, start - 1, count)
        return [_resource(row) for row in rows], total

    async def write(
        self,
        kind: ResourceType,
        token: CredentialHolder,
        resource: Resource,
        records: Iterable[Record],
        *,
        gone: bool = False,
    ) -> None:
        """Write a resource with the facts of the request that changed it.

        Raises:
            ScimError: 403, the token's authority may not speak of it; 400, its
                ``externalId`` is too long for an identifier.
        """
        authority = str(token.authority)
        names = self._names(kind, resource)
        rights = self._speakers.rights(authority)
        for name in names:
            if not any(grant.covers(name) for grant in rights.grants):
                raise ScimError(403, f"grant {authority} the kind {name.kind}")
        named = [
            each._replace(identifiers=names) if isinstance(each, Lifecycle) else each
            for each in records
        ]
        row = (
            authority, kind.kind, resource.id, resource.name, resource.external_id,
            resource.active, resource.created, resource.modified,
        )  # fmt: skip

        origin = self._speakers.origin(authority, token.name)
        delivery = IntakeBatch(named, origin, rights, via=f"scim:{token.name}")
        await self._resources.write(delivery, row, gone=gone)

    def _names(self, kind: ResourceType, resource: Resource) -> tuple[Identifier, ...]:
        """Name a resource: by our id, and by what ``externalId`` stands for."""
        ours = Identifier(kind.kind, resource.id)
        external = self._settings.external_kind
        if kind is not USERS or external is None or resource.external_id is None:
            return (ours,)
        value = self._settings.external_prefix + resource.external_id
        try:
            return ours, Identifier(external, value).checked()
        except ValueError as error:
            raise ScimError(400, "externalId is too long", "invalidValue") from error


def _resource(row: Any) -> Resource:
    identity, name, external, active, created, modified = row
    return Resource(identity, name, external, bool(active), created, modified)
