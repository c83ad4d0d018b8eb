"""Questions to issuers that answer later: kept, and answered once, on either engine.

Whichever process of the realm gets the answer keeps it; the one that asked hears it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog
from attrs import asdict, define, evolve, field

from streams.model.late_answers import LateQuestion
from streams.model.times import DAY, SECOND
from streams.ports.keyed_store import ENDING_QUESTION, part

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from streams.ports.keyed_store import KeyedStore

SWEPT: Final = 60 * SECOND
LEFT: Final = DAY  # after its time, a question whose target nobody works on is dropped

log = structlog.get_logger()


@define(eq=False)
class KeptQuestions:
    """Implements `LateAnswers`; made in the event loop that accepts."""

    _kept: KeyedStore
    _actuator: str
    _clock: Callable[[], int]
    _last: dict[str, LateQuestion] = field(factory=dict, init=False)
    _targets: dict[str, str] = field(factory=dict, init=False)
    _swept: int = field(default=0, init=False)
    _loop: asyncio.AbstractEventLoop = field(init=False)

    @_loop.default
    def _here(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def __attrs_post_init__(self) -> None:
        """Hear of questions and answers, whoever keeps them."""
        self._kept.follow(ENDING_QUESTION, self._heard)

    async def ask(self, question: LateQuestion) -> None:
        """Note a question, in the place of an earlier one on the same target."""
        before = self._last.get(question.target)
        await self._put(question)
        if before is not None:
            await self.over(before)
        if self._clock() - self._swept >= SWEPT:
            self._swept = self._clock()
            for each in list(self._last.values()):
                if self._clock() - each.until > LEFT:
                    await self.over(each)

    def last(self, target: str) -> LateQuestion | None:
        """Question on a target that stands; None: there is none."""
        return self._last.get(target)

    async def over(self, question: LateQuestion) -> None:
        """Forget a question."""
        await self._outside(self._kept.forget(ENDING_QUESTION, self._name(question.id)))

    async def answer(self, identity: str, answer: Mapping[str, Any]) -> bool | None:
        """Keep the answer to a question; False: it has one; None: it does not stand.

        Raises:
            NotWrittenError: it is not kept.
        """
        await self._kept.catch_up()
        target = self._targets.get(self._name(identity))
        question = None if target is None else self._last.get(target)
        if question is None or question.id != identity:
            return None
        if self._clock() >= question.until:
            return None
        if question.answer is not None:
            return False
        await self._put(evolve(question, answer=dict(answer)))
        return True

    async def _put(self, question: LateQuestion) -> None:
        body = orjson.dumps(asdict(question))
        name = self._name(question.id)
        await self._outside(self._kept.put(ENDING_QUESTION, name, body))

    def _name(self, identity: str) -> str:
        return f"{part(self._actuator)}/{part(identity)}"

    def _heard(self, name: str, body: bytes | None) -> None:
        if not name.startswith(self._name("")):
            return
        if body is None:
            target = self._targets.pop(name, "")
            if target in self._last and self._name(self._last[target].id) == name:
                del self._last[target]
            return
        try:
            question = LateQuestion(**orjson.loads(body))
        except (TypeError, ValueError) as error:  # of another version
            log.warning("question_not_read", name=name, error=str(error))
            return
        self._targets[name] = question.target
        self._last[question.target] = question

    async def _outside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work in the event loop that accepts."""
        if asyncio.get_running_loop() is self._loop:
            return await work
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        return await asyncio.wrap_future(future)
