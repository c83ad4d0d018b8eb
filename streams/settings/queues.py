"""What an operator sets for queues that carry a vendor's events."""

from __future__ import annotations

from pydantic import Field, model_validator

from streams.model.shared_secret import SharedSecret, check_url
from streams.model.strict import Strict
from streams.settings.formats import SourceFormat


class QueueSettings(Strict):
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
        wait: long polling: seconds that SQS waits for a message before it answers.
        allow_http: without TLS, for a service on the same machine.
    """

    url: str
    authority: str
    format: SourceFormat = "cloudtrail"
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
