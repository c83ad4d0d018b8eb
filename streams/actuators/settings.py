"""Settings of an actuator, and what follows from them.

A vendor's are a subclass in the vendor's folder; its descriptor names it.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from streams.model.shared_secret import check_url
from streams.model.strict import Strict

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.actuators.actuator import Actuator

Mode = Literal["off", "plan", "approve", "automatic"]


class ActuatorSettings(Strict):
    """How what is dead here is ended at one issuer.

    Attributes:
        authority: whose identifiers it ends: those that the grants of this authority
            cover, of the kinds that the actuator knows.
        mode: ``off``; ``plan``: shows what it would end; ``approve``: ends what an
            operator approved; ``automatic``: needs an approval only for a cause that
            reaches more than `limit` identifiers at this issuer.
        limit: most identifiers of one cause at this issuer without an approval.
        per_second: most requests to the issuer in a second, each page of a list too;
            fewer if the issuer asks to wait.
        at_once: identifiers that are worked on at a time.
        timeout: seconds of one request.
        longest_wait: most seconds between two attempts.
        attempts: answered attempts that end nothing, until it is given up.
        unreachable_seconds: seconds without an answer of the issuer, until there is a
            finding.
    """

    authority: str
    mode: Mode = "off"
    limit: int = Field(default=100, ge=0)
    per_second: float = Field(default=20.0, gt=0)
    at_once: int = Field(default=4, ge=1, le=64)
    timeout: float = Field(default=10.0, gt=0)
    longest_wait: float = Field(default=300.0, gt=0)
    attempts: int = Field(default=8, ge=1)
    unreachable_seconds: float = Field(default=300.0, gt=0)

    @abstractmethod
    def actuator(self, name: str, clock: Callable[[], int]) -> Actuator:
        """Make it.

        Args:
            name: of the actuator in the settings.
            clock: gives the time (ns).

        Raises:
            OSError: a credential or certificate cannot be read.
            ValueError: it is none.
        """


class ServerSettings(ActuatorSettings):
    """An actuator of an issuer with an address of its own.

    Attributes:
        url: of the API, without a path.
        allow_http: without TLS, for an issuer on the same machine.
    """

    url: str
    allow_http: bool = False

    @model_validator(mode="after")
    def _usable(self) -> ServerSettings:
        check_url(self.url, allow_http=self.allow_http)
        return self

    @property
    def base(self) -> str:
        """URL, without a slash at its end."""
        return self.url.rstrip("/")
