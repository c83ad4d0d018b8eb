"""The access key that a poll signs with: configured, or of the role it runs under.

Sources: Amazon ECS developer guide and EKS user guide, "container credentials" (also
EKS Pod Identity); Amazon EC2 user guide, "Instance metadata service version 2".
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from streams.pollers.sigv4 import Credentials
from streams.pollers.transport import FailedError, fetch
from streams.times import SECOND, AbsurdTimeError, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import aiohttp

EARLY: Final = 300 * SECOND  # before its end a key is not used any more
RELATIVE: Final = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
FULL: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105 - a variable's name
TOKEN_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105 - a name
ECS: Final = "http://169.254.170.2"
IMDS: Final = "http://169.254.169.254"
_ROLES: Final = "/latest/meta-data/iam/security-credentials/"


class Keys(Protocol):
    """Gives the access key of now."""

    async def current(self, session: aiohttp.ClientSession) -> Credentials:
        """Give it.

        Raises:
            FailedError: there is none for now.
        """
        ...


class Configured:
    """A key of the settings, read anew each time: somebody may rotate the files."""

    def __init__(self, read: Callable[[], Credentials]) -> None:
        """Read with a function that may raise what reading a file raises."""
        self._read = read

    async def current(self, session: aiohttp.ClientSession) -> Credentials:
        """Give it.

        Raises:
            FailedError: a file cannot be read.
        """
        del session
        try:
            return self._read()
        except (OSError, ValueError) as error:
            raise FailedError("no_key") from error


class OfRole:
    """The temporary key of the container's or the machine's role."""

    def __init__(
        self, environment: Mapping[str, str], clock: Callable[[], int], imds: str = IMDS
    ) -> None:
        """Look where the environment says; else ask the machine."""
        self._environment = environment
        self._clock = clock
        self._imds = imds
        self._held: Credentials | None = None
        self._until = 0

    async def current(self, session: aiohttp.ClientSession) -> Credentials:
        """Give the key at hand, or a new one.

        Raises:
            FailedError: nobody gives one.
        """
        now = self._clock()
        if self._held is None or now >= self._until - EARLY:
            body = await self._asked(session, now)
            self._held, self._until = _read(body)
        return self._held

    async def _asked(self, session: aiohttp.ClientSession, now: int) -> bytes:
        known = self._environment
        if RELATIVE in known or FULL in known:
            url = known.get(FULL) or ECS + known[RELATIVE]
            headers = {}
            if TOKEN_FILE in known:
                headers["authorization"] = _token_in(known[TOKEN_FILE])
            elif TOKEN in known:
                headers["authorization"] = known[TOKEN]
            return (await fetch(session, "GET", url, now, headers=headers)).body
        life = {"x-aws-ec2-metadata-token-ttl-seconds": "300"}
        url = f"{self._imds}/latest/api/token"
        token = (await fetch(session, "PUT", url, now, headers=life)).body.decode()
        mine = {"x-aws-ec2-metadata-token": token}
        url = self._imds + _ROLES
        role = (await fetch(session, "GET", url, now, headers=mine)).body.decode()
        url += role.strip().split("\n")[0]
        return (await fetch(session, "GET", url, now, headers=mine)).body


def _token_in(path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except OSError as error:
        raise FailedError("no_key") from error


def _read(body: bytes) -> tuple[Credentials, int]:
    try:
        answer: Any = orjson.loads(body)
        until = parse_time(answer["Expiration"]) or 0
        key_id, key = answer["AccessKeyId"], answer["SecretAccessKey"]
        return Credentials(key_id, key, answer.get("Token") or ""), until
    except (ValueError, KeyError, TypeError, AttributeError, AbsurdTimeError) as error:
        raise FailedError("no_key") from error
