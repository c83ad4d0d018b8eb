"""Set a stream up at its transmitter, step by step, and see a verification come.

An existing stream with the same delivery is adopted, so that the command can be
repeated. What answers the verification is whoever reads the stream: the running
server, or, of a polled stream that no server knows yet, this process, which then
acknowledges that one event and leaves the others in the queue.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import attrs
from attrs import frozen

from streams.sources.ssf.ssf import EFFECTS, claims_of, event_type
from streams.sources.ssf.verifier import SetRefusedError, StreamRules, read_jwks, verify
from streams.ssf.management import DeliveryMethod, Management
from streams.ssf.metadata import POLL, PUSH, discover
from streams.ssf.transport import LARGEST, TransmitterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.ssf.management import StreamConfiguration, StreamStatus
    from streams.ssf.transport import Transport

EVENTS: Final = tuple(
    "https://schemas.openid.net/secevent/{}/event-type/{}".format(*name.split("/"))
    for name in EFFECTS
)
LOOK_SECONDS: Final = 0.5


@frozen
class Wish:
    """What is wanted of a stream.

    Attributes:
        push_to: our address; "" polls.
        authorization: the header that the transmitter shall send along with a push.
        stream_id: the stream to adopt; "" looks for one, or makes it.
        events: URIs of event types; subjects: to be added.
    """

    push_to: str = ""
    authorization: str = attrs.field(default="", repr=False)
    stream_id: str = ""
    events: tuple[str, ...] = EVENTS
    subjects: tuple[Mapping[str, Any], ...] = ()

    @property
    def delivery(self) -> DeliveryMethod:
        """Delivery method of the SETs."""
        if not self.push_to:
            return DeliveryMethod(POLL)
        return DeliveryMethod(PUSH, self.push_to, self.authorization)


@frozen
class Connected:
    """A stream that is set up.

    Attributes:
        made: it did not exist before.
    """

    management: Management
    stream: StreamConfiguration
    made: bool
    status: StreamStatus | None


async def connect(transport: Transport, issuer: str, wish: Wish) -> Connected:
    """Discover a transmitter, make or adopt a stream, and add the subjects.

    Raises:
        TransmitterError: it refuses, or cannot be reached.
    """
    management = Management(transport, await discover(transport, issuer))
    if wish.delivery.method not in management.metadata.delivery_methods:
        way = "push" if wish.push_to else "poll"
        raise TransmitterError(f"the transmitter does not deliver by {way}")
    stream = await _existing(management, wish)
    made = stream is None
    if stream is None:
        stream = await management.create(wish.delivery, wish.events, "Rescind")
    for subject in wish.subjects:
        await management.add_subject(stream.stream_id, subject)
    status = None
    if management.metadata.status_endpoint:
        status = await management.status(stream.stream_id)
    return Connected(management, stream, made, status)


async def _existing(management: Management, wish: Wish) -> StreamConfiguration | None:
    """Find the stream to adopt; one that is named gets the delivery that is wanted."""
    if wish.stream_id:
        stream = await management.read(wish.stream_id)
        if _fits(stream, wish) and not wish.authorization:
            return stream
        changes = {"delivery": wish.delivery.document()}
        return await management.update(wish.stream_id, changes)
    for stream in await management.streams():
        if _fits(stream, wish):
            return stream
    return None


def _fits(stream: StreamConfiguration, wish: Wish) -> bool:
    if stream.delivery.method != wish.delivery.method:
        return False
    return not wish.push_to or stream.delivery.endpoint_url == wish.push_to


async def see_verification(
    connected: Connected, state: str, seconds: float, now: Callable[[], int]
) -> bool:
    """Ask for a verification of a polled stream, and poll until it comes.

    Args:
        connected: a stream that nobody else polls.
        state: fresh.
        seconds: how long to wait.
        now: ns since 1970.

    Raises:
        TransmitterError: it refuses, or cannot be reached.
    """
    management, stream = connected.management, connected.stream
    issuer = stream.issuer or management.metadata.issuer
    rules = StreamRules(issuer, stream.audience)
    keys = read_jwks(await management.transport.fetch(management.metadata.jwks_uri))
    await management.verify(stream.stream_id, state)
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        for jti, token in (await _poll(connected, [])).items():
            signed = str(token).encode(errors="replace")
            if not _is_answer(claims_of(signed), state):
                continue
            try:
                verify(signed, keys, rules, now())
            except SetRefusedError as refused:
                message = f"the verification event would be refused: {refused}"
                raise TransmitterError(message) from refused
            await _poll(connected, [jti])
            return True
        if loop.time() >= end:
            return False
        await asyncio.sleep(LOOK_SECONDS)


async def _poll(connected: Connected, ack: list[str]) -> dict[str, Any]:
    stream = connected.stream
    document: dict[str, Any] = {"returnImmediately": True}
    document |= {"ack": ack, "maxEvents": 0} if ack else {}
    answer = await connected.management.transport.call(
        "POST", stream.delivery.endpoint_url, document, largest=LARGEST
    )
    read = answer.document()
    sets = read.get("sets") if isinstance(read, dict) else None
    return sets if isinstance(sets, dict) else {}


def _is_answer(claims: dict[str, Any] | None, state: str) -> bool:
    events = (claims or {}).get("events")
    return isinstance(events, dict) and any(
        event_type(uri).endswith("/verification")
        and isinstance(event, dict)
        and event.get("state") == state
        for uri, event in events.items()
    )
