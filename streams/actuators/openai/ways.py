"""API keys, service accounts and members of an organisation: how each is ended.

Rules:

- A key is deleted, in its project or among the admin keys. OpenAI has no switch for a
  key: a suspend is left to the guards.
- A name says nothing of its project, so all projects are asked. What is in an archived
  one cannot be used.
- A service account is deleted; its keys end with it. A member is deleted.
- What the organisation does not have may be of another one, so that it is dead is known
  only of what was found here before, and of what is of a project that is here.

Source: OpenAI API reference, Administration (projects, project API keys, admin API
keys, project service accounts, users; error codes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from streams.actuators.calls import Call, object_of, path
from streams.actuators.ways import Way, alive, dead, unknown
from streams.model.endings import Ending
from streams.outbound.answers import RequestError
from streams.sources.reading.fields import mapping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from streams.actuators.calls import IssuerApi
    from streams.actuators.ways import Look
    from streams.model.endings import EndTarget
    from streams.outbound.answers import HttpAnswer

MOST_PAGES: Final = 50
OWN: Final = ("v1", "organization")
PROJECT: Final = "openai.project"
ELSEWHERE: Final = "the organisation has no such {}, and it may be of another one"


def missing(answer: HttpAnswer) -> bool:
    """Whether OpenAI itself says so: its error object, about no path of the API."""
    said = object_of(answer)
    text = mapping(said.get("error")).get("message")
    return isinstance(text, str) and not text.startswith("Invalid URL")


class OpenAiWay(Way):
    """Something that is at one of several places."""

    noun: ClassVar[str]

    def places(self, api: IssuerApi, value: str) -> AsyncIterator[str]:
        """Yield the paths at which it may be."""
        raise NotImplementedError

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Ask at each place."""
        async for place in self.places(api, target.identifier.value):
            call = Call(f"read the {self.noun}", "GET", place)
            if await api.object(call, missing) is not None:
                return alive(f"the {self.noun} is there", place=place)
        if target.seen or await has_project(api, target):
            return dead(f"the organisation has no such {self.noun}")
        return unknown(ELSEWHERE.format(self.noun))

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Delete it where it was seen."""
        del target
        yield Call(f"delete the {self.noun}", "DELETE", found["place"])


class OpenAiKeyWay(OpenAiWay):
    """An API key of a project, or an admin key."""

    noun = "API key"
    ending: ClassVar[Ending] = Ending("delete the key", placed=True)

    async def places(self, api: IssuerApi, value: str) -> AsyncIterator[str]:
        """Yield the place among the admin keys, then that of each project."""
        yield path(*OWN, "admin_api_keys", value)
        async for project in projects(api):
            yield path(*OWN, "projects", project, "api_keys", value)


class OpenAiAccountWay(OpenAiWay):
    """A service account of a project."""

    noun = "service account"
    ending: ClassVar[Ending] = Ending(
        "delete the service account, with its keys", placed=True
    )

    async def places(self, api: IssuerApi, value: str) -> AsyncIterator[str]:
        """Yield the place of each project."""
        async for project in projects(api):
            yield path(*OWN, "projects", project, "service_accounts", value)


class OpenAiMemberWay(OpenAiWay):
    """A member of the organisation."""

    noun = "member"
    ending: ClassVar[Ending] = Ending("delete the member")

    async def places(self, api: IssuerApi, value: str) -> AsyncIterator[str]:
        """Yield its only place."""
        del api
        yield path(*OWN, "users", value)


async def has_project(api: IssuerApi, target: EndTarget) -> bool:
    """Whether the organisation has a project that the target requires.

    Raises:
        RequestError: there is no answer to use.
    """
    for one in target.requires:
        if one.kind == PROJECT:
            call = Call("read its project", "GET", path(*OWN, "projects", one.value))
            if await api.object(call, missing) is not None:
                return True
    return False


async def projects(api: IssuerApi) -> AsyncIterator[str]:
    """Yield ids of all projects that are not archived.

    Raises:
        RequestError: there are more than may be asked.
    """
    after = ""
    for _ in range(MOST_PAGES):
        query = "?limit=100&include_archived=false" + after
        call = Call("list the projects", "GET", path(*OWN, "projects") + query)
        page = await api.object(call) or {}
        items = page.get("data")
        for one in items if isinstance(items, list) else ():
            yield str(mapping(one).get("id"))
        if page.get("has_more") is False and isinstance(items, list):
            return
        last = page.get("last_id")
        if not isinstance(last, str) or not last:
            raise RequestError("strange", "list the projects: no page", status=200)
        after = f"&after={last}"
    raise RequestError("too_many", "list the projects: too many")
