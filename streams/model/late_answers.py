"""Questions that an issuer answers later, by a request of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.model.endings import EndTarget


@frozen
class LateQuestion:
    """A question that stands.

    Attributes:
        id: unique; the answer repeats it.
        target: what was asked about, by `key_of`.
        until: from when an answer comes too late (ns).
        answer: as it came; None: there is none yet.
    """

    id: str
    target: str
    until: int
    answer: Mapping[str, Any] | None = None


class LateAnswers(Protocol):
    """The questions of one actuator, whichever event loop runs now."""

    async def ask(self, question: LateQuestion) -> None:
        """Note a question, in the place of an earlier one on the same target.

        Raises:
            NotWrittenError: it is not noted.
        """

    def last(self, target: str) -> LateQuestion | None:
        """Question on a target that stands; None: there is none."""

    async def over(self, question: LateQuestion) -> None:
        """Forget a question: its answer counts once.

        Raises:
            NotWrittenError: it stands still.
        """


def key_of(target: EndTarget) -> str:
    """Text of what is wanted of a target: the same for each question on it."""
    return f"{target.identifier}\n{target.wanted.value}\n{target.not_before}"
