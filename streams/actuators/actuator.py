"""What an actuator of a vendor does: plan, act, and probe by another way.

Rules:

- An act is idempotent: to do it again changes nothing more. A crash between an act and
  its record repeats it.
- The probe does not rely on the act, and its answer decides. It reads; it never ends
  anything. What cannot be told is UNKNOWN: no doubt may count as dead.
- `RequestError` may leave every method: the caller waits and tries again, as long as
  the answer's headers ask for. No other error does, whatever the issuer answers.
- Nothing that a method returns or raises holds a secret.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from streams.model.endings import ActAnswer as ActAnswer  # noqa: PLC0414 - of the contract
from streams.model.endings import Alive as Alive  # noqa: PLC0414
from streams.model.endings import Ending as Ending  # noqa: PLC0414
from streams.model.endings import EndStep as EndStep  # noqa: PLC0414
from streams.model.endings import EndTarget as EndTarget  # noqa: PLC0414
from streams.model.endings import NoWay as NoWay  # noqa: PLC0414
from streams.model.endings import Probed as Probed  # noqa: PLC0414
from streams.model.endings import RequestTurn as RequestTurn  # noqa: PLC0414
from streams.model.endings import WantedEnd as WantedEnd  # noqa: PLC0414

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from agents_registry.identifiers import Identifier
    from streams.model.late_answers import LateAnswers


class Actuator(ABC):
    """Ends things at one issuer: one object for each actuator of the settings."""

    @abstractmethod
    def kinds(self) -> Mapping[str, Ending]:
        """How each kind is ended there; a kind that is not in it has no way."""

    @abstractmethod
    async def plan(self, target: EndTarget) -> EndStep | NoWay:
        """Read what must be so before the act, and say what the act will be.

        Raises:
            RequestError: the issuer gave no answer to use.
        """

    @abstractmethod
    async def act(self, step: EndStep) -> ActAnswer:
        """Do it; to do it again changes nothing more.

        Raises:
            RequestError: the issuer gave no answer to use.
        """

    @abstractmethod
    async def probe(self, target: EndTarget) -> Probed:
        """Find out whether it is ended, or suspended, as is wanted of the target.

        DEAD: it cannot be used there; where it is to end for good, nobody can give it
        back by a switch either, if the issuer has both. ALIVE: it can be used. UNKNOWN:
        neither is certain.

        Raises:
            RequestError: the issuer gave no answer to use.
        """

    async def children(self, target: EndTarget) -> AsyncIterator[Identifier]:
        """Yield what it made and what lives there still, as the source names it.

        It is asked after the act, again until nothing new comes. Only of kinds that
        mint, and never what would outlive the target rightly.

        Raises:
            RequestError: the issuer gave no answer to use.
        """
        del target
        nothing: tuple[Identifier, ...] = ()
        for each in nothing:
            yield each

    async def rehearse(self, step: EndStep) -> ActAnswer | None:
        """Try the act by the issuer's own dry run; None: it has none.

        Raises:
            RequestError: the issuer gave no answer to use.
        """
        del step
        return None

    def pace(self, turn: RequestTurn) -> bool:
        """Have each request wait for its turn, also each page of a list.

        Returns:
            Whether it does; else a turn is waited for before each question and act.
        """
        del turn
        return False

    def hear(self, answers: LateAnswers) -> None:  # noqa: B027 - many need none
        """Get what keeps the questions that are answered later."""

    async def close(self) -> None:  # noqa: B027 - many have none
        """Close connections."""
