"""The access key that a poll signs with: configured, or of the role it runs under.

Sources: Amazon ECS developer guide and EKS user guide, "container credentials" (also
EKS Pod Identity) and "IAM roles for service accounts"; AWS STS API reference,
"AssumeRoleWithWebIdentity"; Amazon EC2 user guide, "Instance metadata service
version 2".
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
from attrs import define, field

from streams.model.times import SECOND, AbsurdTimeError, parse_time
from streams.outbound.answers import RequestError
from streams.sources.aws.sigv4 import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.outbound.client import HttpClient

EARLY: Final = 300 * SECOND  # before its end a key is not used any more
RELATIVE: Final = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
FULL: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105 - a variable's name
TOKEN_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105 - a name
ROLE: Final = "AWS_ROLE_ARN"
WEB_TOKEN_FILE: Final = "AWS_WEB_IDENTITY_TOKEN_FILE"  # noqa: S105 - a name
ECS: Final = "http://169.254.170.2"
IMDS: Final = "http://169.254.169.254"
_ROLES: Final = "/latest/meta-data/iam/security-credentials/"


class Keys(Protocol):
    """Gives the access key of now."""

    async def current(self, client: HttpClient) -> Credentials:
        """Keys that are valid now.

        Raises:
            RequestError: there is none for now.
        """


class Configured:
    """A key of the settings, read anew each time: somebody may rotate the files."""

    def __init__(self, read: Callable[[], Credentials]) -> None:
        """Read with a function that may raise what reading a file raises."""
        self._read = read

    async def current(self, client: HttpClient) -> Credentials:
        """Keys of the settings.

        Raises:
            RequestError: a file cannot be read.
        """
        del client
        try:
            return self._read()
        except (OSError, ValueError) as error:
            raise RequestError("no_key") from error


@define(eq=False)
class OfRole:
    """The temporary key of the pod's, the container's or the machine's role.

    It is looked for where the environment says; else the machine is asked.

    Attributes:
        environment: of the process.
        clock: gives the time (ns).
        sts: where a pod's token is exchanged.
        imds: the machine's own service.
    """

    _environment: Mapping[str, str]
    _clock: Callable[[], int]
    _sts: str
    _imds: str = IMDS
    _held: Credentials | None = field(default=None, init=False)
    _until: int = field(default=0, init=False)

    async def current(self, client: HttpClient) -> Credentials:
        """Key at hand, or a new one.

        Raises:
            RequestError: nobody gives one.
        """
        now = self._clock()
        if self._held is None or now >= self._until - EARLY:
            body = await self._asked(client)
            self._held, self._until = _read(body)
        return self._held

    async def _asked(self, client: HttpClient) -> bytes:
        known = self._environment
        if ROLE in known and WEB_TOKEN_FILE in known:
            return await self._of_pod(client)
        if RELATIVE in known or FULL in known:
            return await self._of_container(client)
        return await self._of_machine(client)

    async def _of_pod(self, client: HttpClient) -> bytes:
        known = self._environment
        form = {
            "Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15",
            "RoleArn": known[ROLE], "RoleSessionName": "rescind",
            "WebIdentityToken": _token_in(known[WEB_TOKEN_FILE]),
        }  # fmt: skip
        headers = {"accept": "application/json"}
        answer = await client.request("POST", self._sts, headers=headers, data=form)
        return answer.ok().body

    async def _of_container(self, client: HttpClient) -> bytes:
        known = self._environment
        url = known.get(FULL) or ECS + known[RELATIVE]
        headers = {}
        if TOKEN_FILE in known:
            headers["authorization"] = _token_in(known[TOKEN_FILE])
        elif TOKEN in known:
            headers["authorization"] = known[TOKEN]
        return (await client.request("GET", url, headers=headers)).ok().body

    async def _of_machine(self, client: HttpClient) -> bytes:
        life = {"x-aws-ec2-metadata-token-ttl-seconds": "300"}
        url = f"{self._imds}/latest/api/token"
        token = (await client.request("PUT", url, headers=life)).ok().body
        mine = {"x-aws-ec2-metadata-token": token.decode()}
        url = self._imds + _ROLES
        roles = (await client.request("GET", url, headers=mine)).ok().body
        url += roles.decode().strip().split("\n")[0]
        return (await client.request("GET", url, headers=mine)).ok().body


def _token_in(path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except OSError as error:
        raise RequestError("no_key") from error


def _read(body: bytes) -> tuple[Credentials, int]:
    """Read a key and its end, as containers and machines or as STS write it."""
    try:
        answer: Any = orjson.loads(body)
        if "AssumeRoleWithWebIdentityResponse" in answer:
            answer = answer["AssumeRoleWithWebIdentityResponse"]
            answer = answer["AssumeRoleWithWebIdentityResult"]["Credentials"]
        until = parse_time(answer["Expiration"]) or 0
        key_id, key = answer["AccessKeyId"], answer["SecretAccessKey"]
        session = answer.get("Token") or answer.get("SessionToken") or ""
    except (ValueError, KeyError, TypeError, AttributeError, AbsurdTimeError) as error:
        raise RequestError("no_key") from error
    if not all(isinstance(one, str) for one in (key_id, key, session)):
        raise RequestError("no_key")
    return Credentials(key_id, key, session), until
