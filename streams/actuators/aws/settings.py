"""What an operator sets for ending things at an AWS account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from streams.actuators.aws.limits import AwsApi
from streams.actuators.aws.ways import (
    KEY,
    PASSWORD,
    ROLE,
    TEMPORARY,
    USER,
    AwsKeyWay,
    AwsPasswordWay,
    AwsRoleWay,
    AwsUserWay,
)
from streams.actuators.settings import ServerSettings
from streams.actuators.ways import AboveWay, WayActuator
from streams.model.shared_secret import SharedSecret, check_url
from streams.outbound.client import HttpClient
from streams.sources.aws.sigv4 import Credentials, Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.actuators.actuator import Actuator
    from streams.actuators.ways import Way


class AwsActuator(ServerSettings):
    """An account, and the access key that acts in it.

    Attributes:
        account: number of the account; what has another one is left alone.
        key_id: of the access key.
        key: its secret; a file is read anew for each request.
        session: token of a temporary key.
        region: of both endpoints.
        sts: URL of the security token service, without a slash at its end.
        delete_keys: delete an access key that is to end for good, once it is inactive;
            false leaves it inactive, to be looked into.
    """

    vendor: Literal["aws"]
    url: str = "https://iam.amazonaws.com"
    sts: str = "https://sts.amazonaws.com"
    account: str = Field(pattern=r"^\d{12}$")
    key_id: str
    key: SharedSecret
    session: SharedSecret | None = None
    region: str = "us-east-1"
    delete_keys: bool = True

    @model_validator(mode="after")
    def _over_tls(self) -> AwsActuator:
        check_url(self.sts, allow_http=self.allow_http)
        return self

    def actuator(self, name: str, clock: Callable[[], int]) -> Actuator:
        """Make it."""
        del name
        self.key.reveal()
        client = HttpClient()
        api = self._api(client, "iam", self.base, clock)
        sts = self._api(client, "sts", self.sts, clock)
        ways: dict[str, Way] = {
            PASSWORD: AwsPasswordWay(self.account),
            USER: AwsUserWay(self.account, clock, delete=self.delete_keys),
            ROLE: AwsRoleWay(self.account, clock),
        }
        sessions = AboveWay(dict(ways), TEMPORARY)
        ways[KEY] = AwsKeyWay(self.account, sts, sessions, delete=self.delete_keys)
        return WayActuator(api, ways, clock, others=(sts,))

    def _api(
        self, client: HttpClient, service: str, base: str, clock: Callable[[], int]
    ) -> AwsApi:
        signer = Signer(service, self.region)

        def sign(
            method: str, url: str, headers: Mapping[str, str], body: bytes
        ) -> dict[str, Any]:
            session = "" if self.session is None else self.session.reveal()
            by = Credentials(self.key_id, self.key.reveal(), session)
            return signer.signed(method, url, headers, body, by, clock())

        return AwsApi(client, base, sign=sign, seconds=self.timeout)
