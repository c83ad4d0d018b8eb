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
            operator approved; ``automatic``: ends what is below the limit by itself,
            and the rest once it is approved.
        limit: most identifiers that a cause may have at this issuer to be ended without
            an approval.
        per_second: questions and acts, at most; an issuer that asks to wait gets fewer.
        at_once: identifiers that are worked on at a time.
        timeout: seconds of one request.
        longest_wait: seconds between two attempts, at most.
        attempts: that are answered and end nothing, before it is given up.
        unreachable_seconds: after which an issuer without an answer is a finding.
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
