"""A system of somebody's own, which obeys signed webhooks, and tells when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from attrs import define, field
from standardwebhooks import Webhook

from tests.issuers.fake import FakeIssuer, json

if TYPE_CHECKING:
    from streams.outbound.answers import HttpAnswer
    from tests.issuers.fake import Asked

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@define
class Receiver(FakeIssuer):
    """It holds one key.

    Attributes:
        state: of the key.
        told: ids of acts.
        answers: what every question is answered with, beside what it asks for.
    """

    state: str = "alive"
    told: list[str] = field(factory=list)
    answers: dict[str, Any] = field(factory=dict)

    def changes(self, asked: Asked) -> bool:
        """Tell whether it is an act."""
        return asked.path == "/end"

    def answer(self, asked: Asked) -> HttpAnswer:
        """Verify the signature as anybody would; do or tell."""
        sent = dict(asked.headers)
        body = Webhook(KEY).verify(orjson.dumps(asked.body), sent)
        message_id = sent["webhook-id"]
        if self.changes(asked):
            assert body["type"] == "identifier.end"
            if message_id not in self.told:
                self.told.append(message_id)
                back = body["data"]["wanted"] == "restored"
                self.state = "alive" if back else "dead"
            return json({}, 202)
        assert (asked.path, body["type"]) == ("/state", "identifier.probe")
        known = {"id": message_id, "identifier": body["data"]["identifier"]}
        return json(known | {"state": self.state} | self.answers)
