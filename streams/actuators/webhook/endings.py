"""Have a system of your own end something, and ask it whether it did.

Both requests are signed as Standard Webhooks (https://www.standardwebhooks.com). The
act bears an id that stays the same, so the receiver may do it once. The question goes
to an address of its own, which another part of that system should answer: one that
looks whether the thing can be used, and not one that remembers being told.

It may answer a question later, by a request of its own: that question stands for some
time, its answer counts once, and no other question is asked meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import define, field

from streams.actuators.actuator import Actuator
from streams.actuators.webhook.messages import END, PROBE, id_of, message, read
from streams.model.endings import ActAnswer, Alive, EndStep, Probed
from streams.model.late_answers import LateQuestion, key_of
from streams.model.times import SECOND
from streams.outbound.answers import UnreadableAnswerError
from streams.outbound.client import RequestLimits
from streams.outbound.waits import limited

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.model.endings import Ending, EndTarget, NoWay, RequestTurn
    from streams.model.late_answers import LateAnswers
    from streams.outbound.answers import HttpAnswer
    from streams.outbound.client import HttpClient

    Sign = Callable[[str, int, bytes], Mapping[str, str]]

LARGEST: Final = 64 << 10
_SUCCESS: Final = range(200, 300)
_OK: Final = 200
_ACCEPTED: Final = 202
LOOK: Final = 2.0  # seconds between two looks for an answer
LATER: Final = "the receiver answers later"


@define(eq=False)
class WebhookEndings(Actuator):
    """The actuator of one receiver.

    Attributes:
        client: pinned to the addresses that the settings allow.
        url: where acts are posted.
        probe_url: where questions are posted.
        ends: how it ends each kind.
        sign: gives the headers of a message: of its id, the time (ns) and its body.
        clock: gives the time (ns).
        fresh: gives an id that was given to no question before.
        seconds: of one request.
        waits: seconds for which an answer may come later; 0: it may not.
    """

    client: HttpClient
    url: str
    probe_url: str
    ends: Mapping[str, Ending]
    sign: Sign = field(repr=False)
    clock: Callable[[], int]
    fresh: Callable[[], str]
    seconds: float = 10.0
    waits: float = 0.0
    _late: LateAnswers | None = field(default=None, init=False)
    _turn: RequestTurn | None = field(default=None, init=False)

    def kinds(self) -> Mapping[str, Ending]:
        """Those of the settings."""
        return self.ends

    def pace(self, turn: RequestTurn) -> bool:
        """Have each message wait; a look for a late answer is none."""
        self._turn = turn
        return True

    async def plan(self, target: EndTarget) -> EndStep | NoWay:
        """Plan to tell the receiver; it decides how it ends it."""
        return EndStep(target, f"post {END} to the receiver")

    async def act(self, step: EndStep) -> ActAnswer:
        """Post the act to the receiver."""
        target = step.target
        answer = await self._post(self.url, END, id_of(target), target)
        said = f"status {answer.status}"
        wait = limited(answer, self.clock())
        done = answer.status in _SUCCESS
        return ActAnswer(done=done, said=said, retry_after=wait)

    def hear(self, answers: LateAnswers) -> None:
        """Get what keeps the questions that are answered later."""
        self._late = answers

    async def probe(self, target: EndTarget) -> Probed:
        """Post a question to the receiver, unless one stands."""
        late = self._late if self.waits else None
        asked = None if late is None else late.last(key_of(target))
        if late is not None and asked is not None:
            return await self._answered(late, asked, target)
        question = self.fresh()
        answer = await self._post(self.probe_url, PROBE, question, target)
        if answer.status == _ACCEPTED and late is not None:
            until = self.clock() + int(self.waits * SECOND)
            await late.ask(LateQuestion(question, key_of(target), until))
            return Probed(Alive.UNKNOWN, LATER, later=LOOK)
        if answer.status != _OK:
            wait = limited(answer, self.clock())
            answered = answer.status < 500  # noqa: PLR2004 - errors of the server
            return Probed(
                Alive.UNKNOWN, f"status {answer.status}", wait, answered=answered
            )
        try:
            return read(answer.json(), question, target)
        except UnreadableAnswerError as error:
            return Probed(Alive.UNKNOWN, str(error))

    async def _answered(
        self, late: LateAnswers, asked: LateQuestion, target: EndTarget
    ) -> Probed:
        """Read the answer to a question that stands, or wait on."""
        if asked.answer is None and self.clock() < asked.until:
            return Probed(Alive.UNKNOWN, LATER, later=LOOK)
        await late.over(asked)
        if asked.answer is None:
            return Probed(Alive.UNKNOWN, "no answer came in time")
        return read(asked.answer, asked.id, target)

    async def _post(
        self, url: str, kind: str, message_id: str, target: EndTarget
    ) -> HttpAnswer:
        if self._turn is not None:
            await self._turn()
        now = self.clock()
        body = message(kind, target, now)
        headers = {
            "content-type": "application/json", **self.sign(message_id, now, body),
        }  # fmt: skip
        bounds = RequestLimits(self.seconds, LARGEST)
        return await self.client.request(
            "POST", url, headers=headers, data=body, bounds=bounds
        )

    async def close(self) -> None:
        """Close connections."""
        await self.client.__aexit__()
