"""Settings of a poll, and what follows from them: its feeds and its authorization.

A vendor's poll is a subclass in the vendor's folder; its descriptor names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import Field, model_validator

from streams.model.shared_secret import SharedSecret, check_url
from streams.model.strict import Strict
from streams.sources.polling.feeds import seconds
from streams.sources.polling.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.sources import Source
    from streams.sources.polling.feeds import VendorFeed

DAY: Final = 86_400


class PollSettings(Strict):
    """A vendor's log that is read from its API.

    Attributes:
        url: of the API, without a path; next pages must stay on it.
        authority: on whose behalf it speaks.
        interval: seconds between two rounds; also the first wait after a failure.
        first: how many seconds back the first round reaches.
        overlap: how many seconds before the newest event the next round starts: how
            late an event may appear.
        allow_http: without TLS, for a vendor on the same machine.
        retention: days that the vendor keeps events; unset: it keeps all.
    """

    url: str
    authority: str
    interval: float = Field(default=15.0, gt=0)
    first: float = Field(default=3600.0, ge=0)
    overlap: float = Field(default=60.0, ge=0)
    allow_http: bool = False
    retention: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _usable(self) -> PollSettings:
        check_url(self.url, allow_http=self.allow_http)
        return self

    # How requests are authorised: the header, what stands in it before the secret, and
    # headers that the vendor wants beside it.
    header: ClassVar[str] = "authorization"
    scheme: ClassVar[str] = "Bearer "
    more: ClassVar[Mapping[str, str]] = {}
    # The log that is read, where there is one, made of no further settings.
    log: ClassVar[type[Windows]] = Windows

    @property
    def secret(self) -> SharedSecret:
        """Setting that holds the secret."""
        raise NotImplementedError

    def feeds(self, name: str) -> Iterator[VendorFeed]:
        """Return the logs that are read, each with the key of its cursor."""
        yield self.log(name=f"{name}/{self.log.source}", **self.window())

    def reader(self) -> Source | None:
        """Reader that needs these settings; None: that of the feed's source."""
        return None

    @property
    def base(self) -> str:
        """URL, without a slash at its end."""
        return self.url.rstrip("/")

    def window(self) -> dict[str, Any]:
        """Return what every log has that is read by time; times in ns."""
        return {
            "base": self.base, "first": seconds(self.first),
            "overlap": seconds(self.overlap),
            "retention": None if self.retention is None
            else seconds(self.retention * DAY),
        }  # fmt: skip


class KeyPoll(PollSettings):
    """A log whose reader is known by an API key."""

    key: SharedSecret

    @property
    def secret(self) -> SharedSecret:
        """The key."""
        return self.key


class ClientPoll(PollSettings):
    """A log whose bearer token comes by client credentials (RFC 6749 section 4.4)."""

    client_id: str
    client_secret: SharedSecret

    @property
    def secret(self) -> SharedSecret:
        """The client's."""
        return self.client_secret

    @property
    def token_url(self) -> str:
        """URL of the token endpoint."""
        raise NotImplementedError

    @property
    def scope(self) -> str:
        """Scope to ask for; empty: none."""
        return ""
