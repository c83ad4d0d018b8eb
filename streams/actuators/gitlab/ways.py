"""Access tokens, deploy tokens and users of an instance: how each of them is ended.

Rules:

- Ids are unique in one instance alone, so an identifier begins with the instance. What
  is of another one is left alone.
- A token is revoked by its id, and its record says so afterwards. GitLab deletes some
  records later, or at once, and answers 404 where a right is missing too. So a 404
  counts only with a second look: an administrator asks, from whom nothing is hidden,
  or the list of the project or group has no deploy token of this id.
- The bot of an access token can be taken out of its project or group, and its token
  lives on. So such a token is looked for in the whole instance.
- A user is blocked, and unblocked after a lift; nothing is deleted, since what a user
  wrote would go too. Who is deactivated comes back by signing in, and lives. Who waits
  for an approval is blocked as well where it is to end for good.

Source: GitLab REST API ("Personal access tokens", "Project access tokens", "Group
access tokens", "Deploy tokens", "Users", "User moderation", "Pagination"), and
"Moderate users" of its administration documentation.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final

from agents_registry.identifiers import Identifier
from streams.actuators.calls import Call, object_of, path, strange
from streams.actuators.ways import Look, Way, alive, dead, unknown
from streams.model.endings import Alive, Ending, WantedEnd
from streams.outbound.answers import RequestError
from streams.sources.reading.fields import number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from streams.actuators.calls import IssuerApi
    from streams.model.endings import EndTarget
    from streams.outbound.answers import HttpAnswer

API: Final = ("api", "v4")
PAGE: Final = 100
MOST_PAGES: Final = 500


def missing(answer: HttpAnswer) -> bool:
    """Whether GitLab itself says so: a route that it does not have says ``error``."""
    said = object_of(answer).get("message")
    return isinstance(said, str) and said.startswith("404 ")


async def listed_until_empty(
    api: IssuerApi, name: str, place: str
) -> AsyncIterator[dict[str, Any]]:
    """Yield the items of a list; an empty page is its end.

    Raises:
        RequestError: a page is none, or there are too many.
    """
    mark = "&" if "?" in place else "?"
    for page in range(1, MOST_PAGES + 1):
        query = f"{place}{mark}per_page={PAGE}&page={page}"
        items = await api.objects(Call(name, "GET", query))
        for one in items:
            yield one
        if not items:
            return
    raise RequestError("too_many", f"{name}: too many pages")


class GitLabWay(Way):
    """Something that an instance finds by its id.

    Args:
        instance: that begins the identifiers' values.
    """

    noun: ClassVar[str]
    shape: ClassVar[re.Pattern[str]] = re.compile(r"([1-9][0-9]*)")

    def __init__(self, instance: str) -> None:
        self.instance = instance

    @abstractmethod
    def folder(self, parts: tuple[str, ...]) -> str:
        """Path of the list that has it, by the parts of its name."""

    @abstractmethod
    def judged(self, record: Mapping[str, Any], target: EndTarget) -> Look | None:
        """Look at what a record says; None: it does not say enough."""

    @abstractmethod
    async def gone(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look a second time, after GitLab said that there is none."""

    def parts(self, target: EndTarget) -> tuple[str, ...]:
        """Parts of its name behind the instance; none of another form or instance."""
        instance, _, rest = target.identifier.value.partition("/")
        found = self.shape.fullmatch(rest) if instance == self.instance else None
        return found.groups() if found else ()

    def place(self, target: EndTarget) -> str:
        """Path of its record."""
        parts = self.parts(target)
        return f"{self.folder(parts)}{path(parts[-1])}"

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Read its record, or look a second time where there is none."""
        parts = self.parts(target)
        if not parts:
            text = f"this is no name of a {self.noun} of {self.instance}"
            return Look(Alive.UNKNOWN, text, never=text)
        call = Call(f"read the {self.noun}", "GET", self.place(target))
        record = await api.object(call, missing)
        if record is None:
            return await self.gone(api, target)
        return self.checked(call, record, target)

    def checked(self, call: Call, record: Mapping[str, Any], target: EndTarget) -> Look:
        """Look at a record that must be the target's own.

        Raises:
            RequestError: it is another one, or does not tell of its state.
        """
        own = number(record.get("id")) == self.parts(target)[-1]
        seen = self.judged(record, target) if own else None
        if seen is None:
            raise strange(call, None, "the answer does not tell of its state")
        return seen

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Revoke it."""
        del found
        yield Call(f"revoke the {self.noun}", "DELETE", self.place(target))


async def nothing_for_administrators(api: IssuerApi, noun: str) -> Look:
    """Look at what is missing, if the one who asks sees everything.

    That somebody is an administrator (``is_admin``) is not enough: with Admin Mode, a
    token without that scope sees less. So a list is read that needs both.

    Raises:
        RequestError: something may be hidden from the one who asks.
    """
    place = f"{path(*API, 'deploy_tokens')}?per_page=1"
    call = Call("read what administrators alone may, after a 404", "GET", place)
    await api.objects(call)
    return dead(f"there is no such {noun}")


def judged_token(record: Mapping[str, Any], field: str, usable: object) -> Look | None:
    """Look at a token's record: whether it is revoked, and one field more.

    Args:
        record: of the token.
        field: that says whether the token is expired.
        usable: its value where the token is not.
    """
    revoked, other = record.get("revoked"), record.get(field)
    if revoked is True:
        return dead("the token is revoked")
    if revoked is not False or not isinstance(other, bool):
        return None
    return alive("the token works") if other is usable else dead("the token is expired")


class GitLabPersonalTokenWay(GitLabWay):
    """A personal access token of whomever."""

    noun = "personal access token"
    ending: ClassVar[Ending] = Ending("revoke the personal access token")

    def folder(self, parts: tuple[str, ...]) -> str:
        """Path of all of them."""
        del parts
        return path(*API, "personal_access_tokens")

    def judged(self, record: Mapping[str, Any], target: EndTarget) -> Look | None:
        """Whether it is revoked or expired."""
        del target
        return judged_token(record, "active", usable=True)

    async def gone(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look who asks."""
        del target
        return await nothing_for_administrators(api, self.noun)


class GitLabResourceTokenWay(GitLabPersonalTokenWay):
    """An access token of a project or a group.

    Args:
        instance: as in `GitLabWay`.
        owners: ``projects`` or ``groups``.
    """

    noun = "access token"
    ending: ClassVar[Ending] = Ending("revoke the access token")
    shape = re.compile(r"([1-9][0-9]*)/([1-9][0-9]*)")

    def __init__(self, instance: str, owners: str) -> None:
        super().__init__(instance)
        self._owners = owners

    def folder(self, parts: tuple[str, ...]) -> str:
        """Path of those of its project or group."""
        return path(*API, self._owners, parts[0], "access_tokens")

    async def gone(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look for it in the whole instance, if an administrator asks."""
        seen = await nothing_for_administrators(api, self.noun)
        place = path(*API, "personal_access_tokens", self.parts(target)[-1])
        call = Call("read it in the whole instance", "GET", place)
        record = await api.object(call, missing)
        return seen if record is None else self.checked(call, record, target)


class GitLabDeployTokenWay(GitLabWay):
    """A deploy token of a project or a group, as its name says."""

    noun = "deploy token"
    ending: ClassVar[Ending] = Ending("delete the deploy token")
    shape = re.compile(r"(projects|groups)/([1-9][0-9]*)/([1-9][0-9]*)")

    def folder(self, parts: tuple[str, ...]) -> str:
        """Path of those of its project or group."""
        return path(*API, parts[0], parts[1], "deploy_tokens")

    def judged(self, record: Mapping[str, Any], target: EndTarget) -> Look | None:
        """Whether it is revoked or expired."""
        del target
        return judged_token(record, "expired", usable=False)

    async def gone(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look for it in the list of its project or group."""
        parts, name = self.parts(target), "list the deploy tokens"
        async for one in listed_until_empty(api, name, self.folder(parts)):
            if number(one.get("id")) == parts[-1]:
                return unknown("its list has it, and its record is missing")
        return dead("the list of its project or group has none of its id")


class GitLabUserWay(GitLabWay):
    """A user, with the personal access tokens that the user made."""

    noun = "user"
    ending: ClassVar[Ending] = Ending("block the user", mints=True, suspends=True)

    def folder(self, parts: tuple[str, ...]) -> str:
        """Path of all users."""
        del parts
        return path(*API, "users")

    def judged(self, record: Mapping[str, Any], target: EndTarget) -> Look | None:
        """Whether the user is blocked, and by whom where that is to be undone."""
        state, wanted = record.get("state"), target.wanted
        if state in _LIVES or (state == _WAITS and wanted is WantedEnd.ENDED):
            return alive(f"the user is {state}")
        if state not in _OFF:
            return None
        text = f"the user is {state}"
        ours = state == "blocked" or wanted is not WantedEnd.RESTORED
        return Look(
            Alive.DEAD, text, never="" if ours else f"{text}: no block to take back"
        )

    async def gone(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look who asks."""
        del target
        return await nothing_for_administrators(api, self.noun)

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Block or unblock the user."""
        del found
        verb = "unblock" if target.wanted is WantedEnd.RESTORED else "block"
        yield Call(f"{verb} the user", "POST", f"{self.place(target)}/{verb}")

    async def children(
        self, api: IssuerApi, target: EndTarget
    ) -> AsyncIterator[Identifier]:
        """Yield the user's active personal access tokens."""
        for user in self.parts(target)[-1:]:
            place = f"{path(*API, 'personal_access_tokens')}?user_id={user}"
            place += "&state=active"
            name = "list the user's tokens"
            async for one in listed_until_empty(api, name, place):
                mine = number(one.get("user_id")) == user
                if mine and (token := number(one.get("id"))):
                    value = f"{self.instance}/{token}"
                    yield Identifier("gitlab.personal_access_token", value)


_LIVES: Final = ("active", "deactivated")
_WAITS: Final = "blocked_pending_approval"
_OFF: Final = ("blocked", "ldap_blocked", "banned", _WAITS)
