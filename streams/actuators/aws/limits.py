"""AWS' limits: an error of status 400 or 503 that names no time to wait.

Source: AWS SDKs and Tools reference guide, "Retry behavior" (codes that count as
throttling, exponential backoff); IAM API reference, "Common errors".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import define, field

from streams.actuators.aws.iam import error_code
from streams.actuators.calls import IssuerApi
from streams.outbound.waits import timed

if TYPE_CHECKING:
    from streams.actuators.calls import Call
    from streams.outbound.answers import HttpAnswer

FIRST: Final = 2  # seconds
LONGEST: Final = 60
LIMITS: Final = frozenset({
    "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled",
    "RequestThrottledException", "RequestLimitExceeded", "TooManyRequestsException",
    "PriorRequestNotComplete", "SlowDown",
})  # fmt: skip
_ERRORS: Final = 400


@define(eq=False)
class AwsApi(IssuerApi):
    """An API of AWS, whose limits name a time to wait.

    What follows takes them for limits then, and for no refusals.
    """

    _wait: int = field(default=FIRST, init=False)

    async def send(self, call: Call) -> HttpAnswer:
        """Make a call, as `IssuerApi.send` does."""
        answer = await super().send(call)
        if answer.status < _ERRORS or error_code(answer) not in LIMITS:
            self._wait = FIRST
            return answer
        wait, self._wait = self._wait, min(2 * self._wait, LONGEST)
        return timed(answer, wait)
