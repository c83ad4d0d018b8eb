"""What an operator sets for logs that are read from vendors' APIs, and for queues.

Each is a name with values: ``polls: {ours: {vendor: openai, ...}}``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streams.settings.vendors import (
    ClientPoll,
    EntraPoll,
    KeycloakPoll,
    OktaPoll,
    PollSettings,
    SharedSecret,
    check_url,
)

DAYS_OF_M365 = 7.0
Content = Literal[
    "Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint",
    "Audit.General", "DLP.All",
]  # fmt: skip


class KeyPoll(PollSettings):
    """A log whose reader is known by an API key."""

    key: SharedSecret
    retention: float | None = Field(default=None, gt=0)


class OpenAiPoll(KeyPoll):
    """The audit log of an OpenAI organisation; the key is an admin key."""

    vendor: Literal["openai"]
    url: str = "https://api.openai.com"


class AnthropicPoll(KeyPoll):
    """The activity feed of Anthropic's Compliance API.

    Its key is a Compliance Access Key or an Admin API key with the scope
    ``read:compliance_activities``. An activity can be read a minute after it happened.
    """

    vendor: Literal["anthropic"]
    url: str = "https://api.anthropic.com"
    interval: float = Field(default=30.0, gt=0)
    overlap: float = Field(default=300.0, ge=0)


class LiteLlmPoll(KeyPoll):
    """The audit log of a LiteLLM proxy; the key is a proxy admin's.

    Virtual keys are named by a keyed hash: without ``peppers`` the end of one cannot
    be applied.
    """

    vendor: Literal["litellm"]


class GitHubPoll(KeyPoll):
    """The audit log of a GitHub organisation (Enterprise Cloud).

    Its key is a token that may read it: a classic one with ``read:audit_log``, or one
    with the permission "Administration" of the organisation, to read.

    Attributes:
        organization: its login.
        overlap: as of every poll; events can be minutes late.
        retention: days that the log can be searched.
    """

    vendor: Literal["github"]
    organization: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    url: str = "https://api.github.com"
    interval: float = Field(default=30.0, gt=0)
    overlap: float = Field(default=600.0, ge=0)
    retention: float | None = Field(default=180.0, gt=0)


class M365Poll(ClientPoll):
    """The unified audit log through the Office 365 Management Activity API.

    Attributes:
        tenant: its id.
        content: the content types to be read; each is subscribed where it is not.
        login: where tokens are given.
        retention: days that blobs can be listed.
    """

    vendor: Literal["m365"]
    tenant: str = Field(pattern=r"^[A-Za-z0-9.-]+$")
    content: tuple[Content, ...] = ("Audit.AzureActiveDirectory",)
    url: str = "https://manage.office.com"
    login: str = "https://login.microsoftonline.com"
    interval: float = Field(default=60.0, gt=0)
    overlap: float = Field(default=3600.0, ge=0, le=43_200)
    retention: float = Field(default=DAYS_OF_M365, gt=0, le=DAYS_OF_M365)

    @model_validator(mode="after")
    def _login(self) -> M365Poll:
        check_url(self.login, allow_http=self.allow_http)
        return self


AnyPoll = Annotated[
    AnthropicPoll | EntraPoll | GitHubPoll | KeycloakPoll | LiteLlmPoll | M365Poll
    | OktaPoll | OpenAiPoll,
    Field(discriminator="vendor"),
]  # fmt: skip


class QueueSettings(BaseModel):
    """A queue of Amazon SQS that carries events, or names objects in S3 that do.

    Attributes:
        url: of the queue, as AWS shows it.
        authority: on whose behalf it speaks.
        format: the source that reads the events.
        buckets: from which objects may be fetched; a message that names another one is
            refused. Empty: none, and the queue carries the events themselves.
        key_id: of the access key; unset: the role of this container or machine.
        key: its secret part.
        session: the session token of a temporary key.
        region: of queue and buckets; unset: the one in ``url``.
        objects_url: where the buckets are; unset: S3 in that region.
        wait: seconds that SQS holds a request for which there is no message.
        allow_http: without TLS, for a service on the same machine.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    authority: str
    format: str = "cloudtrail"
    buckets: tuple[str, ...] = ()
    key_id: str | None = None
    key: SharedSecret | None = None
    session: SharedSecret | None = None
    region: str = ""
    objects_url: str | None = None
    wait: int = Field(default=20, ge=0, le=20)
    allow_http: bool = False

    @model_validator(mode="after")
    def _usable(self) -> QueueSettings:
        for one in (self.url, self.objects_url):
            if one is not None:
                check_url(one, allow_http=self.allow_http)
        if (self.key_id is None) != (self.key is None):
            text = "set both key_id and key, or neither"
            raise ValueError(text)
        if not self.place:
            text = "set region: url does not name one (https://sqs.REGION.amazonaws..)"
            raise ValueError(text)
        return self

    @property
    def place(self) -> str:
        """Region."""
        if self.region:
            return self.region
        parts = self.url.split("/")[2].split(".")
        return parts[1] if parts[0] == "sqs" and len(parts) > 2 else ""  # noqa: PLR2004
