"""Manage a stream at its transmitter: the calls that a receiver may make.

Source: OpenID Shared Signals Framework 1.0 section 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen
from yarl import URL

from streams.ssf.metadata import POLL, PUSH
from streams.ssf.transport import TransmitterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.ssf.metadata import Metadata
    from streams.ssf.transport import TransmitterAnswer, Transport

STATUSES: Final = frozenset({"enabled", "paused", "disabled"})
_MEANINGS: Final = {
    400: "it cannot read the request",
    401: "it does not accept the token",
    403: "the token may not do this",
    404: "it knows no such stream or subject",
    409: "there is a stream already, and only one is allowed",
    429: "it was asked too often",
}


@frozen
class DeliveryMethod:
    """How SETs come: pushed to our address, or polled at the transmitter's.

    Attributes:
        authorization: the header that the transmitter sends along; never shown.
    """

    method: str
    endpoint_url: str = ""
    authorization: str = field(default="", repr=False)

    def document(self) -> dict[str, str]:
        """Member ``delivery``."""
        plain = {"method": self.method}
        if self.endpoint_url:
            plain["endpoint_url"] = self.endpoint_url
        if self.authorization:
            plain["authorization_header"] = self.authorization
        return plain


@frozen
class StreamConfiguration:
    """A stream as its transmitter has it."""

    stream_id: str
    issuer: str
    audience: tuple[str, ...]
    delivery: DeliveryMethod
    events_delivered: tuple[str, ...] = ()


@frozen
class StreamStatus:
    """Whether a stream flows, and why not."""

    status: str
    reason: str = ""


@frozen
class Management:
    """The management API of one transmitter; every call raises TransmitterError."""

    transport: Transport
    metadata: Metadata

    async def create(
        self,
        delivery: DeliveryMethod,
        events: tuple[str, ...] = (),
        description: str = "",
    ) -> StreamConfiguration:
        """Make a stream; the transmitter may say 409 where it allows one alone."""
        document: dict[str, Any] = {"delivery": delivery.document()}
        if events:
            document["events_requested"] = list(events)
        if description:
            document["description"] = description
        answer = await self._call("POST", "configuration", document, 201)
        return stream_of(answer.document())

    async def streams(self) -> tuple[StreamConfiguration, ...]:
        """List the streams that the token may see."""
        answer = await self._call("GET", "configuration", None, 200)
        listed = answer.document()
        # A transmitter of one stream may give it alone.
        several = listed if isinstance(listed, list) else [listed]
        return tuple(stream_of(one) for one in several)

    async def read(self, stream_id: str) -> StreamConfiguration:
        """Stream."""
        answer = await self._call(
            "GET", "configuration", None, 200, stream_id=stream_id
        )
        return stream_of(answer.document())

    async def update(
        self, stream_id: str, changes: Mapping[str, Any]
    ) -> StreamConfiguration:
        """Change the members that are named, and leave the others (PATCH)."""
        document = {**changes, "stream_id": stream_id}
        answer = await self._call("PATCH", "configuration", document, 200, 202)
        return stream_of(answer.document())

    async def status(self, stream_id: str) -> StreamStatus:
        """Ask whether a stream flows."""
        answer = await self._call("GET", "status", None, 200, stream_id=stream_id)
        return _status_of(answer.document())

    async def add_subject(self, stream_id: str, subject: Mapping[str, Any]) -> None:
        """Ask for events about a subject, which its own issuer has verified."""
        document = {"stream_id": stream_id, "subject": dict(subject), "verified": True}
        await self._call("POST", "add_subject", document, 200, 204)

    async def verify(self, stream_id: str, state: str = "") -> None:
        """Ask for a verification event, which comes through the stream itself."""
        document = {"stream_id": stream_id}
        if state:
            document["state"] = state
        await self._call("POST", "verification", document, 204, 202)

    async def _call(
        self,
        method: str,
        name: str,
        document: Any,
        *expected: int,
        stream_id: str = "",
    ) -> TransmitterAnswer:
        endpoint = getattr(self.metadata, f"{name}_endpoint")
        if not endpoint:
            raise TransmitterError(f"the transmitter has no {name} endpoint")
        if stream_id:
            try:
                endpoint = str(URL(endpoint).update_query(stream_id=stream_id))
            except ValueError as error:
                text = f"the transmitter's {name} endpoint is not a URL"
                raise TransmitterError(text) from error
        answer = await self.transport.call(method, endpoint, document)
        if answer.status not in expected:
            raise TransmitterError(_complaint(name, answer.status), answer.status)
        return answer


def _complaint(name: str, status: int) -> str:
    meaning = _MEANINGS.get(status)
    said = f"the transmitter's {name} endpoint answers {status}"
    return f"{said}: {meaning}" if meaning else said


def stream_of(document: Any) -> StreamConfiguration:
    """Read a stream object.

    Raises:
        TransmitterError: it is none.
    """
    if not isinstance(document, dict) or not isinstance(document.get("stream_id"), str):
        raise TransmitterError("the transmitter's answer is no stream with a stream_id")
    audience = document.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    events = document.get("events_delivered")
    return StreamConfiguration(
        stream_id=document["stream_id"],
        issuer=str(document.get("iss", "")),
        audience=tuple(one for one in named if isinstance(one, str)),
        delivery=_delivery_of(document.get("delivery")),
        events_delivered=tuple(map(str, events)) if isinstance(events, list) else (),
    )


def _delivery_of(value: Any) -> DeliveryMethod:
    given = value if isinstance(value, dict) else {}
    method = str(given.get("method", POLL))
    if method.startswith("https://schemas.openid.net/secevent/risc/delivery-method/"):
        method = PUSH if method.endswith("push") else POLL  # Google's names
    return DeliveryMethod(method, str(given.get("endpoint_url", "")))


def _status_of(document: Any) -> StreamStatus:
    given = document if isinstance(document, dict) else {}
    status, reason = given.get("status"), given.get("reason")
    if not isinstance(status, str) or status not in STATUSES:
        raise TransmitterError("the transmitter's answer is no status of a stream")
    return StreamStatus(status, reason if isinstance(reason, str) else "")
