"""Ask a vault's own API: what its audit log calls something, and what it cannot end.

An audit device writes tokens, accessors and ids of leases as HMACs whose key the vault
keeps; `sys/audit-hash` tells the HMAC of a value. So an operator may name what the
vault's own commands show, and what is stored is the HMAC alone.

Source: openbao/openbao website/content/api-docs/system/audit-hash and system/leases,
and OpenBao 2.7.2 as it answered.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs
import orjson

from agents_registry.identifiers import Identifier
from streams.outbound.answers import RequestError, UnreadableAnswerError
from streams.outbound.client import HttpClient, RequestLimits
from streams.services.typed_names import (
    UnhashedError,
    VaultError,
    is_plain,
    is_plain_secret,
)
from streams.sources.openbao.call import HASHED, OPEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streams.outbound.answers import HttpAnswer
    from streams.settings.vendors import VaultSettings

AT_ONCE: Final = 8  # requests to one vault
MOST_LISTED: Final = 10_000  # leases in one answer; it says so when there are more
UNREADABLE: Final = "unreadable answer"


@attrs.frozen
class Irrevocable:
    """The leases that a vault gave up revoking.

    Attributes:
        leases: their ids.
        whole: these are all of them.
    """

    leases: frozenset[str]
    whole: bool


class VaultClient:
    """The API of one cluster."""

    def __init__(self, name: str, settings: VaultSettings) -> None:
        """Set up.

        Raises:
            OSError: the token or the certificates cannot be read.
            ValueError: they are none.
        """
        self.name = name
        self.settings = settings
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._tls: ssl.SSLContext | None = None
        if settings.ca is not None:
            self._tls = ssl.create_default_context(cafile=settings.ca)
        settings.token.reveal()

    async def names_of(self, values: Sequence[str]) -> list[str]:
        """HMACs that stand for values in the audit log.

        Raises:
            VaultError: they cannot be had.
        """
        path = f"sys/audit-hash/{quote(self.settings.device, safe='')}"
        async with HttpClient(tls=self._tls) as client:
            bodies = [orjson.dumps({"input": value}) for value in values]
            asked = [self._call(client, "POST", path, body) for body in bodies]
            answers = await asyncio.gather(*asked)
        hashes = [answer.get("hash") for answer in answers]
        if not all(
            isinstance(each, str) and each.startswith(HASHED) for each in hashes
        ):
            raise self._failed(UNREADABLE)
        return [str(each) for each in hashes]

    async def accessors(self) -> list[str]:
        """Accessors of all tokens, in plain text: to be hashed, not kept.

        Raises:
            VaultError: they cannot be had.
        """
        async with HttpClient(tls=self._tls) as client:
            answer = await self._call(client, "LIST", "auth/token/accessors")
        keys = answer.get("keys")
        if not isinstance(keys, list):
            raise self._failed(UNREADABLE)
        return [key for key in keys if isinstance(key, str)]

    async def irrevocable(self) -> Irrevocable:
        """Leases that the vault could not revoke and tries no more.

        Raises:
            VaultError: they cannot be had.
        """
        async with HttpClient(tls=self._tls) as client:
            answer = await self._call(client, "GET", "sys/leases?type=irrevocable")
        leases = answer.get("leases")
        if not isinstance(leases, list):
            raise self._failed(UNREADABLE)
        # Their errors quote what the other system said, secrets too: left out.
        found = [each.get("lease_id") for each in leases if isinstance(each, dict)]
        ids = frozenset(each for each in found if isinstance(each, str))
        return Irrevocable(ids, whole=len(leases) < MOST_LISTED)

    async def _call(
        self,
        client: HttpClient,
        method: str,
        path: str,
        body: bytes | None = None,
    ) -> dict[str, Any]:
        base = self.settings.url.rstrip("/")
        try:
            # Read each time: whoever renews the token writes the file anew.
            headers = {"X-Vault-Token": self.settings.token.reveal()}
            if self.settings.namespace:
                headers["X-Vault-Namespace"] = self.settings.namespace
            async with self._turns:
                answer = await client.request(
                    method, f"{base}/v1/{path}", headers=headers, data=body,
                    bounds=RequestLimits(self.settings.timeout),
                )  # fmt: skip
            answer.ok()
        except RequestError as failed:
            raise self._failed(str(failed)) from failed
        except (OSError, ValueError) as error:
            raise self._failed(f"its token: {error}") from error
        return self._data(answer)

    def _data(self, answer: HttpAnswer) -> dict[str, Any]:
        try:
            data = answer.object().get("data")
        except UnreadableAnswerError as error:
            raise self._failed(UNREADABLE) from error
        if not isinstance(data, dict):
            raise self._failed(UNREADABLE)
        return data

    def _failed(self, reason: str) -> VaultError:
        return VaultError(f"vault {self.name} ({self.settings.url}): {reason}")


async def names_in_log(
    identifier: Identifier, vaults: Iterable[VaultClient]
) -> tuple[Identifier, ...]:
    """Names by which audit logs know what somebody names in plain text.

    Each cluster has another HMAC; those of the wrong ones name nothing.

    Args:
        identifier: as an operator writes it.
        vaults: the clusters that it may be of.

    Raises:
        UnhashedError: it is a secret, and there is no vault to hash it.
        VaultError: a vault did not answer.
    """
    kind, value = identifier
    if not is_plain(identifier):
        return (identifier,)
    names = []
    for vault in vaults:
        if kind in OPEN_KINDS and not vault.settings.hmac_accessor:
            names.append(identifier)
        else:
            (name,) = await vault.names_of([value])
            names.append(Identifier(kind, name))
    if names:
        return tuple(dict.fromkeys(names))
    if is_plain_secret(identifier):
        raise UnhashedError(kind)
    return (identifier,)  # of a device that writes accessors in plain text
