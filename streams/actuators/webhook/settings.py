"""What an operator sets for ending things at a system of their own."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from streams.actuators.settings import ServerSettings
from streams.actuators.webhook.endings import WebhookEndings
from streams.model.endings import Ending
from streams.model.shared_secret import SharedSecret, check_url
from streams.model.strict import Strict
from streams.outbound.client import HttpClient
from streams.outbound.pinned import AddressRule
from streams.outbound.standard_webhooks import (
    checked_secret,
    headers,
    shared_secret,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.actuators.actuator import Actuator


class EndedKind(Strict):
    """How the receiver ends what is of one kind.

    Attributes:
        suspends: it can suspend it, and give it back.
        dated: it can end what was issued under it up to a time, and let it live on.
        settles: seconds until an answer of it shows what it did.
    """

    suspends: bool = False
    dated: bool = False
    settles: float = Field(default=5.0, ge=0)


class CallbackSettings(Strict):
    """How the receiver answers questions later.

    Attributes:
        secret: ``whsec_...``, which it signs its answers with.
        seconds: for which an answer may come, after the question.
    """

    secret: SharedSecret
    seconds: float = Field(default=3600.0, gt=0, le=604_800.0)


class WebhookActuator(ServerSettings):
    """A receiver of signed webhooks.

    Attributes:
        url: where it is told what to end.
        probe_url: where it is asked whether it ended.
        secret: ``whsec_...`` or ``whsk_...``, which signs both; a file is read anew for
            each request.
        kinds: what it ends.
        callback: it may answer a question later; without, it answers at once.
        allow_private: addresses outside of the public internet too.
    """

    vendor: Literal["webhook"]
    probe_url: str
    secret: SharedSecret
    kinds: dict[str, EndedKind] = Field(min_length=1)
    callback: CallbackSettings | None = None
    allow_private: bool = False

    @model_validator(mode="after")
    def _asked_elsewhere(self) -> WebhookActuator:
        check_url(self.probe_url, allow_http=self.allow_http)
        if self.probe_url == self.url:
            text = "probe_url must be another one than url: it decides what has ended"
            raise ValueError(text)
        return self

    def actuator(self, name: str, clock: Callable[[], int]) -> Actuator:
        """Make it."""
        del name
        checked_secret(self.secret.reveal())
        if self.callback is not None:
            shared_secret(self.callback.secret.reveal())

        def sign(message_id: str, now: int, body: bytes) -> Mapping[str, str]:
            return headers((self.secret.reveal(),), message_id, now, body)

        rule = AddressRule(self.allow_private, self.allow_http)
        ends = {
            kind: Ending("tell the receiver", suspends=one.suspends, dated=one.dated,
                         settles=one.settles)
            for kind, one in self.kinds.items()
        }  # fmt: skip
        return WebhookEndings(
            HttpClient(rule), self.url, self.probe_url, ends, sign, clock,
            lambda: f"ask_{secrets.token_hex(16)}", self.timeout,
            0.0 if self.callback is None else self.callback.seconds,
        )  # fmt: skip
