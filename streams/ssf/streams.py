"""Put the streams of the settings together: keys, receivers, and what runs for them."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from streams.clients.jwks_cache import JwksCache
from streams.model.times import SECOND
from streams.sources.ssf.verifier import StreamRules
from streams.ssf.heartbeat import Rhythm, StreamHeartbeat
from streams.ssf.management import Management
from streams.ssf.metadata import discover
from streams.ssf.poll import StreamPoll
from streams.ssf.receiver import NAME, StreamReceiver, StreamVerifier
from streams.ssf.tokens import KeptSecret, tokens_of
from streams.ssf.transport import TransmitterError, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from streams.services.health_records import HealthRecords
    from streams.services.ingest import Intake
    from streams.services.intake import Speaker
    from streams.settings.sources import SsfStream

    Loop = Callable[[], Coroutine[Any, Any, None]]

REFRESH: Final = 3600.0  # seconds; how long a withdrawn key may still be believed
SILENCE: Final = 3  # verifications that may be missed


@frozen
class Surroundings:
    """What the streams work with.

    Attributes:
        ingest: writes what is taken in.
        speaker: gives origin and rights of an authority and an ingress key, now.
        keeper: of the health records.
        clock: ns since 1970.
        fresh_id: gives unique ids.
    """

    ingest: Intake
    speaker: Callable[[str, str], Speaker]
    keeper: HealthRecords
    clock: Callable[[], int]
    fresh_id: Callable[[], str]


class Streams:
    """All configured streams.

    Attributes:
        receivers: by name.
    """

    def __init__(
        self,
        settings: Mapping[str, SsfStream],
        verifiers: Mapping[str, StreamVerifier],
        around: Surroundings,
    ) -> None:
        self._settings = settings
        self._around = around
        self.receivers = {
            name: StreamReceiver(
                name,
                each,
                verifiers[name],
                around.ingest,
                self._own(name, each),
                around.keeper.asked_elsewhere,
            )
            for name, each in settings.items()
        }

    def loops(self) -> list[Loop]:
        """Coroutines of the streams, which run until cancelled."""
        return [*self.pushed(), *self.polled().values()]

    def pushed(self) -> list[Loop]:
        """Coroutines of the streams that are pushed to us."""
        return [
            partial(self._run, name)
            for name, each in self._settings.items()
            if each.delivery == "push"
        ]

    def polled(self) -> dict[str, Loop]:
        """Coroutines of the polled streams, by the name of the source.

        One process at a time shall: what it asks to be verified comes to who polls.
        """
        return {
            _key(name): partial(self._run, name)
            for name, each in self._settings.items()
            if each.delivery == "poll"
        }

    def _own(self, name: str, each: SsfStream) -> Callable[[], Any]:
        def origin() -> Any:
            return self._around.speaker(each.authority or name, _key(name)).origin

        return origin

    async def _run(self, name: str) -> None:
        each, receiver, around = (
            self._settings[name],
            self.receivers[name],
            self._around,
        )
        transport = transport_of(each)
        rhythm = rhythm_of(each)
        heartbeat = StreamHeartbeat(
            receiver, around.keeper, rhythm, around.clock, around.fresh_id
        )
        await heartbeat.load()

        async def manage() -> Management:
            return Management(transport, await discover(transport, each.issuer))

        def speaker() -> Speaker:
            return around.speaker(each.authority, _key(name))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(receiver.verifier.keys.run())
            tasks.create_task(heartbeat.run(manage if rhythm.verify else None))
            if each.delivery == "poll":
                poll = StreamPoll(
                    receiver, transport, each.endpoint, speaker, each.poll_seconds
                )
                tasks.create_task(poll.run())


def _key(name: str) -> str:
    return f"{NAME}:{name}"


def transport_of(each: SsfStream) -> Transport:
    """Client of a stream's transmitter."""
    tokens = None
    if each.has_token:
        secret = KeptSecret(each.token_file, each.token_env)
        tokens = tokens_of(secret, each.token_url, each.client_id)
    return Transport(tokens, allow_private=each.allow_private)


def rhythm_of(each: SsfStream) -> Rhythm:
    """Interval between looks at a stream."""
    asks = each.has_token and bool(each.stream_id)
    verify = each.verify_seconds if asks else 0.0
    patience = SILENCE * verify if each.silent_seconds is None else each.silent_seconds
    return Rhythm(int(verify * SECOND), int(patience * SECOND))


def verifier_of(name: str, each: SsfStream) -> StreamVerifier:
    """Rules of a stream and its keys; a file is read at once.

    Raises:
        OSError: the file of the keys cannot be read.
        ValueError: it is no JWKS, or the settings of the stream do not fit together.
    """
    if each.delivery == "poll" and not (
        each.endpoint and each.authority and each.has_token
    ):
        message = "polling needs endpoint, authority, and token_file or token_env"
        raise ValueError(message)
    if bool(each.token_url) != bool(each.client_id):
        message = "token_url and client_id need each other"
        raise ValueError(message)
    if each.without_bearer and not each.authority:
        message = "without_bearer needs the authority that speaks"
        raise ValueError(message)
    if each.jwks and "://" not in each.jwks:
        keys = JwksCache.of_file(name, Path(each.jwks), time.monotonic, REFRESH)
    else:
        keys = JwksCache(name, partial(_fetch, each), time.monotonic, REFRESH)
    return StreamVerifier(StreamRules(each.issuer, each.audience), keys)


async def _fetch(each: SsfStream) -> bytes:
    """Read the keys of a stream, without a token.

    Raises:
        TransmitterError: they are not there.
    """
    transport = Transport(allow_private=each.allow_private)
    url = each.jwks or (await discover(transport, each.issuer)).jwks_uri
    if not url:
        raise TransmitterError("the transmitter's configuration has no jwks_uri")
    return await transport.fetch(url)
