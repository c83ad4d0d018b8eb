"""GitHub's limits that its headers do not tell of.

Source: "Rate limits for the REST API", "Exceeding the rate limit": a secondary limit is
403 or 429 with a message that says so, also while quota is left. Without a time of its
own it asks for at least a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import define

from streams.actuators.calls import IssuerApi, object_of
from streams.outbound.waits import TOO_MANY, timed

if TYPE_CHECKING:
    from streams.actuators.calls import Call
    from streams.outbound.answers import HttpAnswer

MINUTE: Final = 60  # seconds
FORBIDDEN: Final = 403
_LIMITS: Final = (
    "secondary rate limit",
    "abuse detection",
)  # the second is its old name


def limited(answer: HttpAnswer) -> HttpAnswer:
    """Answer that names its time, where it is a limit and names none.

    What follows takes it for a limit then, and for no refusal.
    """
    said = ""
    if answer.status == FORBIDDEN:
        said = str(object_of(answer).get("message")).casefold()
    if answer.status == TOO_MANY or any(each in said for each in _LIMITS):
        return timed(answer, MINUTE)
    return answer


@define(eq=False)
class GitHubApi(IssuerApi):
    """GitHub's API, whose limits name their time."""

    async def send(self, call: Call) -> HttpAnswer:
        """Make a call, as `IssuerApi.send` does."""
        return limited(await super().send(call))
