"""Fetch the SETs of a stream from its transmitter (RFC 8936).

A SET is acknowledged after what it says is durable, with the next request: a crash in
between has it offered again, and facts merge. A refused one is reported in setErrs,
once, and is not offered again. What cannot be verified or written now is neither.
"""

from __future__ import annotations

import asyncio
import http
from typing import TYPE_CHECKING, Any, Final

import attrs
import structlog
from attrs import Factory, define, field

from streams.observability.failpoints import failpoint
from streams.services.intake import NotWrittenError
from streams.sources.ssf.verifier import SetRefusedError
from streams.ssf.receiver import StaleKeyError
from streams.ssf.transport import LARGEST, TIMEOUT, NoAnswerError, TransmitterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.services.intake import Speaker
    from streams.ssf.receiver import StreamReceiver
    from streams.ssf.transport import Transport

MOST: Final = 100  # SETs in one answer
LONG_POLL: Final = 90.0  # seconds; transmitters hold a request for 30 to 60
PAUSE: Final = 1.0  # seconds; a transmitter that never waits is not asked more often
LONGEST_PAUSE: Final = 60.0

log = structlog.get_logger()


@define
class SetsOutcome:
    """What became of the SETs of one answer, to be told with the next request.

    Attributes:
        ack: those that are durable.
        errors: those that are refused, and why.
        held: some were left for later.
    """

    ack: list[str] = Factory(list)
    errors: dict[str, dict[str, str]] = Factory(dict)
    held: bool = False


@define(eq=False, repr=False)
class StreamPoll:
    """Polls one stream.

    Attributes:
        receiver: takes the SETs in.
        transport: with the token of the management API.
        endpoint: ``endpoint_url`` of the stream.
        speaker: on whose behalf, now.
        pause: seconds between requests; 0: let the transmitter hold them.
    """

    _receiver: StreamReceiver
    _transport: Transport
    _endpoint: str
    _speaker: Callable[[], Speaker]
    _pause: float
    _immediately: bool = field(init=False)

    @_immediately.default
    def _pauses(self) -> bool:
        return self._pause > 0

    async def run(self) -> None:
        """Poll until cancelled."""
        told, failures = SetsOutcome(), 0
        while True:
            started = asyncio.get_running_loop().time()
            try:
                document = await self._ask(told)
            except NoAnswerError as error:
                if self._immediately:
                    failures += 1
                    await self._failed(error, failures)
                # A held request may outlast our patience; an immediate one may not.
                self._immediately = True
                continue
            except TransmitterError as error:
                failures += 1
                await self._failed(error, failures)
                continue
            self._note("")
            failures = 0
            self._immediately = self._pause > 0
            told = await self.take(document.get("sets", {}))
            took = asyncio.get_running_loop().time() - started
            if told.held:
                await asyncio.sleep(max(self._pause, PAUSE))
            elif not (told.ack or told.errors or took > PAUSE):
                await asyncio.sleep(self._pause or PAUSE)

    async def _ask(self, told: SetsOutcome) -> dict[str, Any]:
        document: dict[str, Any] = {
            "maxEvents": MOST,
            "returnImmediately": self._immediately,
        }
        if told.ack:
            document["ack"] = told.ack
        if told.errors:
            document["setErrs"] = told.errors
        answer = await self._transport.call(
            "POST",
            self._endpoint,
            document,
            timeout=TIMEOUT if self._immediately else LONG_POLL,
            largest=LARGEST,
        )
        if answer.status != http.HTTPStatus.OK:
            text = f"the poll endpoint answers {answer.status}"
            raise TransmitterError(text, answer.status)
        failpoint("ssf.polled")
        read = answer.document()
        if not isinstance(read, dict):
            raise TransmitterError("the poll endpoint's answer is no object")
        # RFC 8936 section 2.3 wants `sets` always; an empty answer may lack it, an
        # error that comes with 200 is none.
        known = "sets" in read or read.keys() <= {"moreAvailable"}
        if not known or not isinstance(read.get("sets", {}), dict):
            raise TransmitterError("the poll endpoint's answer has no sets")
        return read

    async def take(self, sets: Mapping[str, Any]) -> SetsOutcome:
        """Take in the SETs of one answer, together."""
        outcome = SetsOutcome()
        async with asyncio.TaskGroup() as tasks:
            for jti, token in sets.items():
                tasks.create_task(self._one(jti, token, outcome))
        failpoint("ssf.taken")
        return outcome

    async def _one(self, jti: str, token: Any, outcome: SetsOutcome) -> None:
        speaker = self._speaker()
        try:
            if not isinstance(token, str):
                raise SetRefusedError("invalid_request", "not a compact JWS")
            await self._receiver.take(token.encode(errors="replace"), speaker)
        except StaleKeyError:
            outcome.held = True
        except SetRefusedError as refused:
            self._receiver.count(refused, speaker.origin.received_at)
            outcome.errors[jti] = {
                "err": refused.err, "description": refused.description,
            }  # fmt: skip
        except NotWrittenError as error:
            log.warning("not_written", error=type(error).__name__)
            outcome.held = True
        except Exception:  # boundary: one bad token must not end the server
            log.exception("set_not_taken", stream=self._receiver.name)
            outcome.held = True
        else:
            outcome.ack.append(jti)

    async def _failed(self, error: TransmitterError, failures: int) -> None:
        self._note(str(error))
        await asyncio.sleep(min(LONGEST_PAUSE, PAUSE * 2 ** min(failures - 1, 6)))

    def _note(self, trouble: str) -> None:
        health = self._receiver.health
        if health.poll_trouble != trouble:
            log.warning("transmitter", stream=self._receiver.name, trouble=trouble)
            self._receiver.note(attrs.evolve(health, poll_trouble=trouble))
