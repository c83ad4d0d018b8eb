"""GitHub's limits that its headers do not tell of.

Source: "Rate limits for the REST API", "Exceeding the rate limit": a secondary limit is
403 or 429 with a message that says so, also while quota is left. Without a time of its
own it asks for at least a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import define, evolve

from streams.actuators.calls import IssuerApi, object_of
from streams.outbound.waits import waiting

if TYPE_CHECKING:
    from streams.actuators.calls import Call
    from streams.outbound.answers import HttpAnswer

MINUTE: Final = {"retry-after": "60"}
FORBIDDEN: Final = 403
TOO_MANY: Final = 429
_LIMITS: Final = (
    "secondary rate limit",
    "abuse detection",
)  # the second is its old name


def limited(answer: HttpAnswer) -> HttpAnswer:
    """Answer that names its time, where it is a limit and names none.

    What follows takes it for a limit then, and for no refusal.
    """
    status = answer.status
    if status not in (FORBIDDEN, TOO_MANY) or waiting(answer.headers, 0) is not None:
        return answer
    said = str(object_of(answer).get("message")).casefold()
    if status == TOO_MANY or any(each in said for each in _LIMITS):
        return evolve(answer, headers={**answer.headers, **MINUTE})
    return answer


@define(eq=False)
class GitHubApi(IssuerApi):
    """GitHub's API, whose limits name their time."""

    async def send(self, call: Call) -> HttpAnswer:
        """Make a call, as `IssuerApi.send` does."""
        return limited(await super().send(call))
