"""API keys and members of an organisation: how each of them is ended.

Rules:

- A key is made inactive, and active again after a lift. What ends it for good archives
  it: nobody can make it active again.
- A member is removed from the organisation. Anthropic lets the keys that a member made
  live on: they are keys of the organisation.
- What the organisation does not have may be of another one, so that it is dead is known
  only of what was found here before.

Source: Anthropic Admin API (Get and Update API Key, Get and Remove User, errors).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from streams.actuators.calls import Call, object_of, path
from streams.actuators.ways import RecordWay, unknown
from streams.model.endings import Ending, WantedEnd
from streams.sources.reading.fields import mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.actuators.calls import IssuerApi
    from streams.actuators.ways import Look
    from streams.model.endings import EndTarget
    from streams.outbound.answers import HttpAnswer

ELSEWHERE: Final = "the organisation has no such {}, and it may be of another one"
ACTIVE, INACTIVE, ARCHIVED = "active", "inactive", "archived"


class AnthropicWay(RecordWay):
    """A record of the Admin API."""

    async def gone(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look at what is missing: dead, if it was found here before."""
        if target.seen:
            return await super().gone(api, target)
        return unknown(ELSEWHERE.format(self.noun))

    def missing(self, answer: HttpAnswer) -> bool:
        """Whether it is an error of the type not_found_error."""
        said = object_of(answer)
        return mapping(said.get("error")).get("type") == "not_found_error"


class AnthropicKeyWay(AnthropicWay):
    """An API key."""

    noun = "API key"
    ending: ClassVar[Ending] = Ending("make the key inactive", suspends=True)

    def place(self, value: str) -> str:
        """Path of the key."""
        return path("v1", "organizations", "api_keys", value)

    def over(self, record: Mapping[str, Any], target: EndTarget) -> str:
        """Whether it is inactive, and archived where it is to end for good."""
        status = record.get("status")
        ended = target.wanted is WantedEnd.ENDED
        over = status in ((ARCHIVED, "expired") if ended else _OFF)
        return f"the key is {status}" if over else ""

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Set its status."""
        del found
        status = _STATUS[target.wanted]
        where = self.place(target.identifier.value)
        yield Call(f"make the key {status}", "POST", where, json={"status": status})


class AnthropicMemberWay(AnthropicWay):
    """A member of the organisation."""

    noun = "member"
    ending: ClassVar[Ending] = Ending("remove the member")

    def place(self, value: str) -> str:
        """Path of the member."""
        return path("v1", "organizations", "users", value)

    def over(self, record: Mapping[str, Any], target: EndTarget) -> str:
        """Find nothing: a member who is listed is one."""
        del record, target
        return ""

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Remove the member."""
        del found
        yield Call("remove the member", "DELETE", self.place(target.identifier.value))


_OFF = (INACTIVE, ARCHIVED, "expired")
_STATUS = {
    WantedEnd.ENDED: ARCHIVED, WantedEnd.SUSPENDED: INACTIVE,
    WantedEnd.RESTORED: ACTIVE,
}  # fmt: skip
